//! Runs the `opml` command and checks its results.

#![allow(dead_code, missing_docs, reason = "each test file uses a part of this")]

pub mod net;
pub mod weather;

use serde_json::Value;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use tempfile::TempDir;

/// A folder in which commands run, empty at first.
pub struct Folder(TempDir);

impl Folder {
    pub fn new() -> Self {
        Self(TempDir::new().expect("a folder"))
    }

    /// A folder that contains the image of a bundled network as `net.opml`.
    pub fn with_net(net: &str) -> Self {
        let folder = Self::new();
        folder.text(&["compile", &fixture(&format!("{net}/model.onnx")), "-o", "net.opml"]);
        folder
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    pub fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        std::fs::write(self.path(name), bytes).unwrap_or_else(|error| panic!("{name}: {error}"));
    }

    /// The names of the files in it, sorted.
    pub fn files(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.0.path()).expect("a folder");
        let names = entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned());
        let mut names: Vec<_> = names.collect();
        names.sort();
        names
    }

    pub fn output(&self, args: &[impl AsRef<OsStr>]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_opml"));
        // Nothing is stored in the user's home folder.
        command.current_dir(self.0.path()).env("OPML_CACHE", "").args(args).output().expect("opml starts")
    }

    /// The output of a command that must succeed.
    pub fn text(&self, args: &[&str]) -> String {
        let output = self.output(args);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "opml {args:?} fails: {stderr}");
        assert_eq!(stderr, "", "opml {args:?} succeeds and complains");
        let text = String::from_utf8(output.stdout).expect("text");
        assert!(!text.trim().is_empty(), "opml {args:?} says nothing");
        text
    }

    /// Its output with `--json`: one object, alone on its line.
    pub fn json(&self, args: &[&str]) -> Value {
        let text = self.text(&[args, &["--json"]].concat());
        assert_eq!(text.lines().count(), 1, "{text}");
        let object: Value =
            serde_json::from_str(&text).unwrap_or_else(|error| panic!("opml {args:?}: {error} in {text}"));
        assert!(object.is_object(), "opml {args:?}: not an object: {text}");
        object
    }

    /// The complaint of a command that must fail with exit status 1, or 2 if the command line is wrong. It
    /// must print only the complaint, with the same words in text and in JSON.
    pub fn fails(&self, args: &[impl AsRef<OsStr>]) -> Complaint {
        self.try_fails(args).unwrap_or_else(|wrong| panic!("{wrong}"))
    }

    /// The same for a wrong command line: exit status 2.
    pub fn misused(&self, args: &[impl AsRef<OsStr>]) -> Complaint {
        let complaint = self.fails(args);
        assert_eq!(complaint.status, 2, "{complaint:?}");
        complaint
    }

    /// The same for a table of cases that reports them all. If the command fails in the wrong way, the error
    /// describes how.
    pub fn try_fails(&self, args: &[impl AsRef<OsStr>]) -> Result<Complaint, String> {
        let args: Vec<&OsStr> = args.iter().map(AsRef::as_ref).collect();
        let wrong = |wrong: String| format!("opml {args:?}: {wrong}");
        let output = self.output(&args);
        let text = complaint_of(&output, &output.stderr, &output.stdout).map_err(wrong)?;
        let message = text.strip_prefix("error: ").ok_or_else(|| wrong(format!("not an error: {text}")))?;
        let json_output = self.output(&[&args[..], &[OsStr::new("--json")]].concat());
        let json = complaint_of(&json_output, &json_output.stdout, &json_output.stderr).map_err(wrong)?;
        let json: Value = serde_json::from_str(&json).map_err(|error| wrong(format!("{error} in {json}")))?;
        let status = output.status.code().unwrap_or_default();
        let error = &json["error"];
        let kind = if status == 2 { "usage" } else { "failed" };
        if json_output.status.code() != Some(status) || error["kind"] != kind {
            return Err(wrong(format!("{} and {error} are not status {status}", json_output.status)));
        }
        match (&error["message"], &error["hint"]) {
            (Value::String(error), hint) if message.starts_with(error.as_str()) => Ok(Complaint {
                status,
                error: error.clone(),
                hint: hint.as_str().unwrap_or_default().to_owned(),
            }),
            _ => Err(wrong(format!("text and JSON differ: {text} {json}"))),
        }
    }
}

/// Pseudorandom numbers from a seed.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below a limit.
    pub fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }
}

/// A number in a variable of the environment.
pub fn number(variable: &str, usual: u64) -> u64 {
    std::env::var(variable).map_or(usual, |text| text.parse().expect("a number"))
}

/// Why a command failed.
#[derive(Debug)]
pub struct Complaint {
    pub status: i32,
    pub error: String,
    pub hint: String,
}

impl Complaint {
    /// Checks that the error or the hint contains these words.
    pub fn says(&self, words: &[&str]) {
        assert_eq!(self.missing(words), [""; 0], "{self:?}");
    }

    /// The words that neither contains.
    pub fn missing<'a>(&self, words: &[&'a str]) -> Vec<&'a str> {
        let missing = words.iter().filter(|&&word| !self.error.contains(word) && !self.hint.contains(word));
        missing.copied().collect()
    }
}

/// A command's complaint, if it failed properly: one stream has the complaint, and the other is empty.
fn complaint_of(output: &Output, complaint: &[u8], other: &[u8]) -> Result<String, String> {
    let complaint = String::from_utf8_lossy(complaint).into_owned();
    let other = String::from_utf8_lossy(other);
    if !matches!(output.status.code(), Some(1 | 2)) {
        return Err(format!("{}, not 1 or 2: {complaint}{other}", output.status));
    }
    if !other.is_empty() {
        return Err(format!("prints {other:?} although it fails"));
    }
    Ok(complaint)
}

/// A file of the fixtures.
pub fn fixture(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures").join(name);
    assert!(path.exists(), "{} is missing", path.display());
    path.to_str().expect("a readable path").to_owned()
}

/// The numbers of an .npy file of f32.
pub fn numbers(bytes: &[u8]) -> Vec<f32> {
    let length = u16::from_le_bytes([bytes[8], bytes[9]]);
    let header = String::from_utf8_lossy(&bytes[10..10 + usize::from(length)]);
    assert!(header.contains("'<f4'"), "{header}");
    let data = bytes[10 + usize::from(length)..].as_chunks().0;
    data.iter().map(|&number| f32::from_le_bytes(number)).collect()
}

/// An .npy file.
pub fn npy(dtype: &str, shape: &str, data: &[u8]) -> Vec<u8> {
    let header = format!("{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape}, }}\n");
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((header.len() as u16).to_le_bytes());
    bytes.extend(header.bytes());
    bytes.extend(data);
    bytes
}

/// Checks that two lists of numbers are within 1e-5 of each other.
pub fn assert_near(found: &[f32], expected: &[f32]) {
    assert_eq!(found.len(), expected.len());
    for (index, (found, expected)) in found.iter().zip(expected).enumerate() {
        assert!((found - expected).abs() <= 1e-5, "number {index} is {found}, not {expected}");
    }
}

/// A program of these instructions: an ELF file with one segment, a page into the file.
pub fn program(words: &[u32]) -> Vec<u8> {
    const PAGE: u64 = 0x1000;
    let code: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    let (base, size) = (0x1_0000, code.len() as u64);
    let mut bytes = b"\x7fELF\x02\x01\x01".to_vec();
    bytes.resize(16, 0);
    bytes.extend([2, 0, 243, 0, 1, 0, 0, 0]);
    bytes.extend([base, 64, 0].iter().flat_map(|number: &u64| number.to_le_bytes()));
    bytes.extend([0, 0, 0, 0, 64, 0, 56, 0, 1, 0, 64, 0, 0, 0, 0, 0]);
    bytes.extend([1, 0, 0, 0, 5, 0, 0, 0]);
    bytes.extend([PAGE, base, base, size, size, PAGE].iter().flat_map(|number| number.to_le_bytes()));
    bytes.resize(PAGE as usize, 0);
    bytes.extend(code);
    bytes
}

/// The addresses of the numbers that a [`stateful`] program has.
pub const STATE: u64 = 64;
pub const NUMBER: u64 = 128;
pub const TWICE: u64 = 192;

/// Writes the image of a program that takes a state and a number, changes the state, and gives another number.
pub fn stateful(path: &Path, code: &[isa::Instruction], bound: u64) {
    const CODE: u64 = 1 << 13;
    let words = code.iter().map(|op| isa::encode(*op).expect("operands that fit"));
    let mut code: Vec<u8> = words.flat_map(u32::to_le_bytes).collect();
    // Code is whole leaves.
    code.resize(code.len().next_multiple_of(32), 0);
    let (extensions, size) = (isa::Extensions::IM, code.len() as u64);
    let profile = step::MachineProfile::new(extensions, 13, CODE, size).expect("a machine");
    let tensor = |name: &str, role, address| image::Tensor {
        name: name.to_owned(),
        role,
        dtype: tensor::DType::U64,
        shape: vec![1],
        address,
        bytes: 8,
    };
    let region = |address| image::Region { address, bits: 5 };
    let (operator, node, arguments) = Default::default();
    let (kernel, output, lo, hi) = (0, 1, 0, 1);
    let step = image::BigStep { kernel, operator, node, output, lo, hi, arguments, entry: CODE, bound };
    let contents = image::Contents {
        profile,
        entry: CODE,
        sp: profile.memory_size(),
        code: code.into(),
        segments: Vec::new(),
        tensors: vec![
            tensor("state", image::Role::Input, STATE),
            tensor("state", image::Role::Output, STATE),
            tensor("number", image::Role::Input, NUMBER),
            tensor("twice", image::Role::Output, TWICE),
        ],
        symbols: vec![image::Symbol { name: "kernel".to_owned(), address: CODE, size: 0 }],
        schedule: vec![step],
        period: None,
        sections: Vec::new(),
        interface: Some(image::Interface {
            inputs: vec![region(STATE), region(NUMBER)],
            outputs: vec![region(STATE), region(TWICE)],
            scratch_bits: 5,
            bound,
        }),
    };
    image::Image::new(contents).expect("an image").write(path).expect("room");
}
