//! The witness file, which `opml prove` writes and `opml verify` reads: a claim about one step, with its witness.

use isa::Extensions;
use serde::{Deserialize, Serialize};
use std::path::Path;
use step::{MachineProfile, Root};

use crate::failure::Failure;
use crate::output::{hex, read_file, write_file};

/// The claim that a machine of this shape goes from one state to another in one step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// The machine's shape.
    pub profile: MachineProfile,
    /// The number of the step in its run. A witness does not prove it.
    pub step: u64,
    /// The state root before the step.
    pub before: Root,
    /// The claimed state root after the step.
    pub after: Root,
    /// The witness, as the contract takes it.
    pub witness: Vec<u8>,
}

/// The maximum size of a witness file. Real ones are far smaller.
const MAX_FILE: u64 = 1 << 20;

/// The file's fields.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Fields {
    extensions: String,
    memory_bits: u8,
    code_base: u64,
    code_size: u64,
    step: u64,
    pre_state_root: String,
    post_state_root: String,
    witness: String,
}

impl Claim {
    /// Writes the file.
    pub fn write(&self, path: &Path) -> Result<(), Failure> {
        let fields = Fields {
            extensions: self.profile.extensions().name().to_owned(),
            memory_bits: self.profile.memory_bits(),
            code_base: self.profile.code_base(),
            code_size: self.profile.code_size(),
            step: self.step,
            pre_state_root: self.before.to_string(),
            post_state_root: self.after.to_string(),
            witness: hex(&self.witness),
        };
        let mut text = serde_json::to_string_pretty(&fields).map_err(|error| Failure::about(path, error))?;
        text.push('\n');
        write_file(path, text.as_bytes())
    }

    /// Reads the file.
    pub fn read(path: &Path) -> Result<Self, Failure> {
        Self::parse(&read_file(path, MAX_FILE)?).map_err(|message| {
            Failure::about(path, message).hint("witness files are written by `opml prove`")
        })
    }

    /// Reads the file's text.
    fn parse(text: &[u8]) -> Result<Self, String> {
        let fields: Fields =
            serde_json::from_slice(text).map_err(|error| format!("not a witness file: {error}"))?;
        let extensions = Extensions::from_name(&fields.extensions).ok_or_else(|| {
            let names: Vec<_> = Extensions::ALL.iter().map(|set| set.name()).collect();
            format!("extensions '{}'; expected {}", fields.extensions, names.join(" or "))
        })?;
        let profile = MachineProfile::new(extensions, fields.memory_bits, fields.code_base, fields.code_size)
            .map_err(|error| error.to_string())?;
        Ok(Self {
            profile,
            step: fields.step,
            before: root("pre_state_root", &fields.pre_state_root)?,
            after: root("post_state_root", &fields.post_state_root)?,
            witness: unhex(&fields.witness)
                .ok_or("witness: expected 0x and an even number of hexadecimal digits")?,
        })
    }
}

/// A root in hexadecimal.
fn root(field: &str, text: &str) -> Result<Root, String> {
    unhex(text)
        .and_then(|bytes| bytes.try_into().ok())
        .map(Root)
        .ok_or(format!("{field}: expected 0x and 64 hexadecimal digits"))
}

/// The bytes of 0x-prefixed hexadecimal.
pub fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits = text.strip_prefix("0x")?.as_bytes();
    let digit = |c: u8| char::from(c).to_digit(16).map(|digit| digit as u8);
    let (pairs, rest) = digits.as_chunks::<2>();
    rest.is_empty().then_some(())?;
    pairs.iter().map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn claims_survive_their_file() {
        let claim = Claim {
            profile: MachineProfile::new(Extensions::IM, 13, 0x2000, 64).expect("a machine"),
            step: 7,
            before: Root([1; 32]),
            after: Root([2; 32]),
            witness: vec![0, 255, 16],
        };
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("claim.json");
        claim.write(&path).expect("written");
        assert_eq!(Claim::read(&path).expect("read"), claim);

        let text = std::fs::read_to_string(&path).expect("text");
        for (from, to, complaint) in [
            ("\"rv64im\"", "\"rv32i\"", "extensions 'rv32i'"),
            ("13", "99", "memory of 2^99 bytes"),
            ("0x0101", "0x01", "pre_state_root"),
            ("0x00ff10", "0x00ff1", "witness"),
            ("\"step\"", "\"stop\"", "unknown field `stop`"),
        ] {
            let error = Claim::parse(text.replacen(from, to, 1).as_bytes()).expect_err(to);
            assert!(error.contains(complaint), "{error}");
        }
    }
}
