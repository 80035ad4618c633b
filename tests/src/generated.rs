//! Generated files that are checked in. Tests compare them, and `OPML_BLESS=1` rewrites them.

use isa::{Extension, Extensions};
use std::fs;
use std::path::Path;

/// Compares a checked-in file with its expected contents, or writes it.
///
/// # Panics
/// If it differs.
pub fn check(path: &Path, text: &str) {
    if std::env::var_os("OPML_BLESS").is_some() {
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        fs::write(path, text).expect("a file");
    }
    let found = fs::read_to_string(path).unwrap_or_default();
    let same = found.lines().zip(text.lines()).take_while(|(a, b)| a == b).count();
    let path = path.display();
    assert!(
        found == text,
        "{path} is not what is generated, from line {} on; run the test with OPML_BLESS=1",
        same + 1
    );
}

/// The maximum size of a verifier's deployed code. EIP-170 allows 24,576 bytes.
#[must_use]
pub fn size_limit(extensions: Extensions) -> usize {
    if extensions.has(Extension::F) { 16_384 } else { 7168 }
}

/// Hexadecimal digits in lines of a readable length.
#[must_use]
pub fn lines(digits: &str) -> String {
    digits.as_bytes().chunks(120).map(|line| String::from_utf8_lossy(line).into_owned() + "\n").collect()
}
