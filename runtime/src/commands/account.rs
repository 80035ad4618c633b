//! `opml account`: keys and their addresses, and what an account has gained and lost.

use crate::cli::{Account, AccountAddress, NewAccount};
use crate::failure::Failure;
use crate::history;
use crate::ledger::{Entries, Entry, Ledger, add};
use crate::network::{Session, ask_secret, block_on, can_ask, ether, signer};
use crate::output::{self, Output, table};
use crate::spending::{Spending, spending};
use chain::{Ether, Head};
use contracts::{Address, B256, IInferenceService, U256};
use serde_json::{Value, json};
use std::collections::HashSet;

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

/// An account's bookkeeping.
pub struct Statement {
    account: Address,
    balance: U256,
    /// What the service owes it, as the contract says.
    credited: U256,
    withdrawn: U256,
    entries: Entries,
    transactions: usize,
    /// How many transactions were not found.
    unseen: u64,
}

/// Shows what an account has bonded, won, lost and spent.
pub fn show(args: &Account, output: Output) -> Result<(), Failure> {
    let account = match args.address {
        Some(account) => account,
        None => {
            let hint = "`opml account ADDRESS` needs no key";
            signer(&args.key).map_err(|failure| failure.hint(hint))?.address()
        }
    };
    let spinner = output.spinner("reading all events and receipts");
    let statement = block_on(async {
        let session = Session::open(&args.network).await?;
        let head = session.head().await?;
        statement(&session, &head, account).await
    })?;
    spinner.finish_and_clear();
    output.result(&statement.json(), &statement.text())
}

/// Does an account's bookkeeping.
pub async fn statement(session: &Session, head: &Head, account: Address) -> Result<Statement, Failure> {
    let logs = session.events(head).await?;
    let ledger = Ledger::new(account, &logs);
    let games = ledger.undecided();
    let service = session.deployment.service;
    let stored = players::stored(&session.node, service, &games, head).await.map_err(Failure::from_error)?;
    // The contract's word for a game whose bond was paid back.
    let closed = B256::with_last_byte(3);
    let reclaimed: HashSet<U256> = games.into_iter().filter(|id| stored.get(id) == Some(&closed)).collect();
    let mut entries = ledger.entries(&session.terms().await?, &reclaimed);
    let call = IInferenceService::balancesCall { account };
    let credited = session.node.call(service, &call, head.hash).await.map_err(Failure::from_error)?;
    let withdrawn = ledger.withdrawn();
    check(&entries, withdrawn, credited)?;
    let Spending { sent, unseen } = spending(session, head, account, ledger.transactions()).await?;
    let costs: Vec<_> = sent.iter().filter_map(|sent| Some((sent.request, sent.cost?))).collect();
    for (request, cost) in &costs {
        add(&mut entries.entry(*request).or_default().gas, *cost);
    }
    let balance = session.node.balance(account).await.map_err(Failure::from_error)?;
    Ok(Statement { account, balance, credited, withdrawn, entries, transactions: costs.len(), unseen })
}

/// Compares the events with what the contract says that it owes.
fn check(entries: &Entries, withdrawn: U256, credited: U256) -> Result<(), Failure> {
    let ever = total(entries).credited;
    if ever.checked_sub(withdrawn) == Some(credited) {
        return Ok(());
    }
    let (ever, withdrawn, owed) = (ether(ever), ether(withdrawn), ether(credited));
    Err(Failure::new(format!(
        "the node's events say that {ever} were credited and {withdrawn} withdrawn, but the service owes {owed}"
    ))
    .hint("the node doesn't have all events since the deployment; ask another one with --rpc"))
}

fn total(entries: &Entries) -> Entry {
    let mut total = Entry::default();
    entries.values().for_each(|entry| total += entry);
    total
}

impl Statement {
    pub fn json(&self) -> Value {
        let requests = self.entries.iter().map(|(request, entry)| {
            let mut object = amounts(entry);
            object["request"] = request.map_or(Value::Null, history::number);
            object
        });
        let mut total = amounts(&total(&self.entries));
        total["credited"] = json!(self.credited.to_string());
        total["withdrawn"] = json!(self.withdrawn.to_string());
        json!({
            "account": self.account, "balance": self.balance.to_string(), "total": total,
            "requests": requests.collect::<Vec<_>>(), "transactions": self.transactions, "unseen": self.unseen,
        })
    }

    pub fn text(&self) -> String {
        let sum = total(&self.entries);
        let gas = match self.transactions {
            1 => "gas of one transaction to the service".to_owned(),
            count => format!("gas of {count} transactions to the service"),
        };
        let mut text = format!("account   {}\nbalance   {}\n", self.account, ether(self.balance));
        for (name, amount, what) in [
            ("bonded", sum.bonded, "bonds of answers and challenges that the service holds"),
            ("due", sum.due, "its share of bonds that were lost; `opml watch` reclaims it with the bond"),
            ("offered", sum.offered, "fees of its requests that have no final answer yet"),
            ("credited", self.credited, "payments that it did not take; `opml withdraw` takes them"),
            ("won", sum.won, "fees, and bonds of others"),
            ("lost", sum.lost, "its bonds"),
            ("paid", sum.paid, "fees of its requests"),
            ("spent", sum.gas, &gas),
        ] {
            if !amount.is_zero() || matches!(name, "bonded" | "won" | "lost" | "spent") {
                text += &format!("{name:<9} {}: {what}\n", ether(amount));
            }
        }
        text += &format!("net       {} ETH\n", signed(sum.net(), |wei| Ether(wei).to_string()));
        if self.unseen > 0 {
            text += &format!(
                "\n{} transactions since its first one were not found, and their gas is not counted: they have \
                 no event of the service (they were reverted, took back a bond, or went elsewhere), and the node \
                 doesn't know old states.\n",
                self.unseen
            );
        }
        if self.entries.is_empty() {
            return text + "\nIt never had to do with this service.";
        }
        let mut rows = table(["request", "bonded", "won", "lost", "paid", "spent", "net"]);
        for (request, entry) in &self.entries {
            let request = request.map_or("-".to_owned(), |id| id.to_string());
            let amounts = [entry.bonded, entry.won, entry.lost, entry.paid, entry.gas].map(short);
            let [bonded, won, lost, paid, gas] = amounts;
            rows.add_row([request, bonded, won, lost, paid, gas, signed(entry.net(), short)]);
        }
        format!("{text}\n{rows}")
    }
}

/// The amounts of an entry in JSON: in wei, as text, since they may not fit a number.
fn amounts(entry: &Entry) -> Value {
    let Entry { bonded, offered, due, credited, won, lost, paid, gas } = entry;
    let mut object = json!({});
    for (name, amount) in [
        ("bonded", bonded),
        ("due", due),
        ("offered", offered),
        ("credited", credited),
        ("won", won),
        ("lost", lost),
        ("paid", paid),
        ("spent", gas),
    ] {
        object[name] = json!(amount.to_string());
    }
    object["net"] = json!(signed(entry.net(), |wei| wei.to_string()));
    object
}

/// A gain, or a loss with a minus sign.
fn signed(net: Result<U256, U256>, show: impl Fn(U256) -> String) -> String {
    match net {
        Ok(gain) => show(gain),
        Err(loss) => format!("-{}", show(loss)),
    }
}

/// An amount for a table: in ether, rounded to six decimals.
fn short(wei: U256) -> String {
    const UNIT: u64 = 1_000_000_000_000;
    let units = wei.saturating_add(U256::from(UNIT / 2)) / U256::from(UNIT);
    match (units.is_zero(), wei.is_zero()) {
        (true, false) => "<0.000001".to_owned(),
        _ => Ether(units.saturating_mul(U256::from(UNIT))).to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_in_a_table_are_rounded() {
        for (wei, expected) in [
            (0u64, "0"),
            (1, "<0.000001"),
            (1_500_000_000_000, "0.000002"),
            (1_499_999_999_999, "0.000001"),
            (200_000_000_000_000_000, "0.2"),
        ] {
            assert_eq!(short(U256::from(wei)), expected);
        }
        // A node may say that somebody has everything.
        assert!(short(U256::MAX).len() > 50);
        let entry = Entry { won: U256::from(1), lost: U256::MAX, gas: U256::MAX, ..Entry::default() };
        assert_eq!(signed(entry.net(), |wei| wei.to_string()), format!("-{}", U256::MAX - U256::from(1)));
    }

    #[test]
    fn events_that_do_not_add_up_are_an_error() {
        let credit = |wei| Entries::from([(None, Entry { credited: U256::from(wei), ..Entry::default() })]);
        let check = |ever: u64, withdrawn: u64, owed: u64| {
            check(&credit(ever), U256::from(withdrawn), U256::from(owed))
        };
        assert!(check(5, 3, 2).is_ok() && check(0, 0, 0).is_ok());
        for (ever, withdrawn, owed) in [(5, 3, 3), (5, 3, 1), (3, 5, 0), (0, 0, 1)] {
            let failure = check(ever, withdrawn, owed).expect_err("they differ");
            assert!(failure.message.contains("but the service owes"), "{failure}");
        }
    }
}
