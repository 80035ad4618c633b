//! Where a key comes from: a keystore file or the environment, but never the command line.

use alloy::signers::local::PrivateKeySigner;
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use thiserror::Error;

/// The environment variable that holds a key: 64 hexadecimal digits.
const KEY: &str = "OPML_KEY";
/// The environment variable that holds a keystore's password.
const PASSWORD: &str = "OPML_PASSWORD";

/// Where to find a key.
#[derive(Debug, Clone, Default)]
pub struct KeySource {
    /// A keystore file (Web3 Secret Storage). Without one, the key is in the environment.
    pub keystore: Option<PathBuf>,
    /// A file with the keystore's password. Without one, the password is in the environment.
    pub password_file: Option<PathBuf>,
}

/// Why there is no key. No message shows any part of a key or a password.
#[derive(Debug, Error)]
pub enum KeyError {
    /// No key was given.
    #[error("no key: give --keystore FILE, or set {KEY}")]
    Missing,
    /// No password was given.
    #[error("the keystore needs its password: set {PASSWORD}, or give --password-file FILE")]
    Password,
    /// What was given is not a key.
    #[error("{KEY} is not a key: a key is 64 hexadecimal digits")]
    Invalid,
    /// The file can't be read.
    #[error("cannot read {}: {reason}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
    /// Others than its owner can read the file.
    #[error(
        "{} can be read by others than its owner (mode {mode:o}), so what is in it may be no secret any more: \
         `chmod 600 {}` makes it yours only",
        path.display(), path.display()
    )]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// The password is wrong, or the file isn't a keystore.
    #[error("cannot open the keystore {}: {reason}", path.display())]
    Keystore {
        /// The file.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
    /// A new keystore can't be written.
    #[error("cannot make the keystore {}: {reason}", path.display())]
    Create {
        /// The file.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
}

impl KeySource {
    /// Loads the key.
    pub fn load(&self) -> Result<PrivateKeySigner, KeyError> {
        self.load_with(|name| std::env::var(name).ok())
    }

    /// Loads the key of the keystore with this password.
    pub fn unlock(&self, password: &str) -> Result<PrivateKeySigner, KeyError> {
        self.load_with(|name| (name == PASSWORD).then(|| password.to_owned()))
    }

    fn load_with(&self, variable: impl Fn(&str) -> Option<String>) -> Result<PrivateKeySigner, KeyError> {
        let Some(path) = &self.keystore else {
            let key = variable(KEY).ok_or(KeyError::Missing)?;
            return key.trim().parse().map_err(|_| KeyError::Invalid);
        };
        // The library reports a missing file as a wrong password, and panics on a truncated one.
        let keystore = |reason: String| KeyError::Keystore { path: path.clone(), reason };
        check(&read(path)?).map_err(|reason| keystore(reason.to_owned()))?;
        let password = match &self.password_file {
            Some(file) => read_password(file)?,
            None => variable(PASSWORD).ok_or(KeyError::Password)?,
        };
        PrivateKeySigner::decrypt_keystore(path, password).map_err(|error| keystore(error.to_string()))
    }
}

/// Rejects a keystore whose key or initial vector is shorter than the library assumes without checking.
fn check(json: &str) -> Result<(), &'static str> {
    let json: serde_json::Value = serde_json::from_str(json).map_err(|_| "it is not JSON")?;
    let [key, iv] = ["/crypto/kdfparams/dklen", "/crypto/cipherparams/iv"].map(|name| json.pointer(name));
    if key.and_then(serde_json::Value::as_u64).is_none_or(|bytes| bytes < 32) {
        return Err("its crypto.kdfparams.dklen is not 32");
    }
    if iv.and_then(serde_json::Value::as_str).is_none_or(|digits| digits.trim_start_matches("0x").len() != 32)
    {
        return Err("its crypto.cipherparams.iv is not 16 bytes");
    }
    Ok(())
}

/// The password in a file: all of it but the end of its line.
pub fn read_password(path: &Path) -> Result<String, KeyError> {
    Ok(read(path)?.trim_end_matches(['\r', '\n']).to_owned())
}

/// The most bytes that a keystore or a file with a password has.
const LONGEST: u64 = 1 << 16;

/// The text of a file that only its owner can read.
fn read(path: &Path) -> Result<String, KeyError> {
    let fail = |reason: String| KeyError::File { path: path.to_owned(), reason };
    let file = mapped::open(path).map_err(|error| fail(error.to_string()))?;
    let mode = file.metadata().map_err(|error| fail(error.to_string()))?.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(KeyError::Exposed { path: path.to_owned(), mode });
    }
    let mut text = String::new();
    file.take(LONGEST + 1).read_to_string(&mut text).map_err(|error| fail(error.to_string()))?;
    if text.len() as u64 > LONGEST {
        return Err(fail(format!("it has more than {LONGEST} bytes")));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Writes a file that only its owner can read.
    fn write_secret(path: &Path, text: &str) {
        std::fs::write(path, text).expect("a file");
        set_mode(path, 0o600);
    }

    fn set_mode(path: &Path, mode: u32) {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("a mode");
    }

    #[test]
    fn a_secret_that_others_can_read_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let [keystore, password] = ["keystore", "password"].map(|name| folder.path().join(name));
        let address = crate::create_keystore(&keystore, "secret").expect("a keystore");
        write_secret(&password, "secret\n");
        let source = KeySource { keystore: Some(keystore.clone()), password_file: Some(password.clone()) };
        assert_eq!(source.load_with(|_| None).expect("a key").address(), address);
        for path in [&keystore, &password] {
            for mode in [0o640, 0o604, 0o620] {
                set_mode(path, mode);
                let text = source.load_with(|_| None).expect_err("others can read it").to_string();
                assert!(text.contains(&format!("`chmod 600 {}`", path.display())), "{text}");
            }
            set_mode(path, 0o400);
            source.load_with(|_| None).expect("a key");
        }
        set_mode(&password, 0o600);
        std::fs::write(&password, vec![b'a'; LONGEST as usize + 1]).expect("a file");
        let text = source.load_with(|_| None).expect_err("a long password").to_string();
        assert!(text.contains("more than 65536 bytes"), "{text}");
    }

    #[test]
    fn a_keystore_that_is_cut_short_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("keystore");
        let load = |json: &str| {
            write_secret(&path, json);
            let source = KeySource { keystore: Some(path.clone()), password_file: None };
            source.load_with(|_| Some("secret".to_owned())).expect_err(json).to_string()
        };
        let of = |dklen: u64, iv: &str| {
            let zeros = "00".repeat(32);
            serde_json::json!({ "id": "00000000-0000-0000-0000-000000000000", "version": 3, "crypto": {
                "cipher": "aes-128-ctr", "cipherparams": { "iv": iv }, "ciphertext": zeros, "mac": zeros, "kdf": "pbkdf2",
                "kdfparams": { "c": 1, "dklen": dklen, "prf": "hmac-sha256", "salt": zeros } } })
            .to_string()
        };
        let iv = "00".repeat(16);
        assert!(load(&of(32, &iv)).contains("Mac"), "{}", load(&of(32, &iv)));
        assert!(load(&of(16, &iv)).contains("dklen"));
        assert!(load(&of(32, "00")).contains("iv"));
        assert!(load("{}").contains("dklen"));
        assert!(load("key").contains("not JSON"));
    }

    const ONE: &str = "0x0000000000000000000000000000000000000000000000000000000000000001";

    #[test]
    fn a_key_is_in_the_environment_or_in_a_keystore() {
        let source = KeySource::default();
        let key = source.load_with(|name| (name == KEY).then(|| format!("{ONE}\n"))).expect("a key");
        assert!(matches!(source.load_with(|_| None), Err(KeyError::Missing)));
        for bad in [
            "",
            "0x12",
            "zz",
            &ONE[..65],
            "0x0000000000000000000000000000000000000000000000000000000000000000",
        ] {
            let error = source.load_with(|_| Some(bad.to_owned())).expect_err(bad);
            assert!(bad.len() < 5 || !error.to_string().contains(bad), "{error}");
        }
        let folder = tempfile::tempdir().expect("a folder");
        let (_, name) = PrivateKeySigner::encrypt_keystore(
            folder.path(),
            &mut rand::thread_rng(),
            key.to_bytes(),
            "secret",
            None,
        )
        .expect("a keystore");
        let keystore = Some(folder.path().join(name));
        let password_file = Some(folder.path().join("password"));
        write_secret(&folder.path().join("password"), "secret\n");
        set_mode(keystore.as_deref().expect("a path"), 0o600);
        let from_file = KeySource { keystore: keystore.clone(), password_file };
        assert_eq!(from_file.load_with(|_| None).expect("a key").address(), key.address());
        let from_variable = KeySource { keystore, password_file: None };
        let with =
            |password: &str| from_variable.load_with(|name| (name == PASSWORD).then(|| password.to_owned()));
        assert_eq!(with("secret").expect("a key").address(), key.address());
        assert!(matches!(with("wrong"), Err(KeyError::Keystore { .. })));
        assert!(matches!(from_variable.load_with(|_| None), Err(KeyError::Password)));
        let missing = KeySource { keystore: Some(folder.path().join("none")), password_file: None };
        assert!(matches!(missing.load_with(|_| Some(String::new())), Err(KeyError::File { .. })));
    }
}
