//! New keys, in encrypted keystore files.

use crate::key::KeyError;
use alloy::primitives::Address;
use alloy::signers::local::PrivateKeySigner;
use std::fs;
use std::io::Write as _;
use std::path::Path;

/// Makes a random key, writes it to a new keystore file that only its owner can read, and returns the key's address.
pub fn create_keystore(path: &Path, password: &str) -> Result<Address, KeyError> {
    let fail =
        |error: &dyn std::fmt::Display| KeyError::Create { path: path.to_owned(), reason: error.to_string() };
    // Checked before the slow part. A file that appears meanwhile is caught below.
    if path.symlink_metadata().is_ok() {
        return Err(fail(&"the file exists, and may hold the only copy of a key"));
    }
    // The library writes files that everyone can read, so it writes into a folder that only its owner can
    // enter.
    let folder = tempfile::tempdir().map_err(|error| fail(&error))?;
    let signer = PrivateKeySigner::random();
    let name = Some("keystore");
    PrivateKeySigner::encrypt_keystore(
        folder.path(),
        &mut rand::thread_rng(),
        signer.to_bytes(),
        password,
        name,
    )
    .map_err(|error| fail(&error))?;
    let json = fs::read(folder.path().join("keystore")).map_err(|error| fail(&error))?;
    let mut options = fs::File::options();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path).map_err(|error| fail(&error))?;
    if let Err(error) = file.write_all(&json).and_then(|()| file.sync_all()) {
        let _ = fs::remove_file(path);
        return Err(fail(&error));
    }
    Ok(signer.address())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::KeySource;

    #[test]
    fn a_new_keystore_opens_with_its_password_only_and_is_never_overwritten() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("key.json");
        let address = create_keystore(&path, "secret").expect("a keystore");
        let source = KeySource { keystore: Some(path.clone()), password_file: None };
        assert_eq!(source.unlock("secret").expect("the key").address(), address);
        assert!(matches!(source.unlock("wrong"), Err(KeyError::Keystore { .. })));
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(fs::metadata(&path).expect("a file").permissions().mode() & 0o777, 0o600);
        }
        let before = fs::read(&path).expect("a file");
        assert!(matches!(create_keystore(&path, "other"), Err(KeyError::Create { .. })));
        assert_eq!(fs::read(&path).expect("a file"), before);
    }
}
