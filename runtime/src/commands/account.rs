//! `opml account`: keys and their addresses.

use crate::cli::{AccountAddress, NewAccount};
use crate::failure::Failure;
use crate::network::{ask_secret, can_ask, signer};
use crate::output::{self, Output};
use serde_json::json;

/// Makes a key.
pub fn new(args: &NewAccount, output: Output) -> Result<(), Failure> {
    let password = new_password(args)?;
    let spinner = output.spinner("encrypting");
    let address = chain::create_keystore(&args.output, &password).map_err(Failure::from_error)?;
    spinner.finish_and_clear();
    let file = args.output.display();
    let text = format!(
        "address   {address}\nkeystore  {file}\n\nKeep the file and its password: without both, the money is lost.\n\
         Use it with --keystore {file}"
    );
    output.result(&json!({ "address": address, "keystore": output::path(&args.output) }), &text)
}

/// The password for a new keystore: from a file, from the environment, or typed twice.
fn new_password(args: &NewAccount) -> Result<String, Failure> {
    if args.output.symlink_metadata().is_ok() {
        return Err(Failure::new(format!(
            "{} exists, and may hold the only copy of a key",
            args.output.display()
        ))
        .hint("choose another --output; delete the file yourself if it is worthless"));
    }
    if let Some(path) = &args.password_file {
        return not_empty(chain::read_password(path).map_err(Failure::from_error)?);
    }
    if let Ok(password) = std::env::var("OPML_PASSWORD") {
        return not_empty(password);
    }
    if !can_ask() {
        return Err(Failure::new("the keystore needs a password")
            .hint("give --password-file FILE, or set OPML_PASSWORD, or run the command on a terminal"));
    }
    let password = ask_secret("New password: ")?;
    if ask_secret("The same again: ")? != password {
        return Err(Failure::new("the two passwords differ"));
    }
    not_empty(password)
}

fn not_empty(password: String) -> Result<String, Failure> {
    if password.is_empty() { Err(Failure::new("the password is empty")) } else { Ok(password) }
}

/// Shows the address of a key.
pub fn address(args: &AccountAddress, output: Output) -> Result<(), Failure> {
    let address = signer(&args.key)?.address();
    output.result(&json!({ "address": address }), &address.to_string())
}
