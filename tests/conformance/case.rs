//! The cases, as `tests/fetch-wheels.sh` leaves them.

use std::fs;
use std::path::{Path, PathBuf};

use onnx::{Limits, Tensor, Value};
use opml_tests::tools::in_repository;

/// A model with inputs and outputs.
pub struct Case {
    pub kind: String,
    pub name: String,
    pub folder: PathBuf,
    /// The operator that a node case is about, with its domain unless that is ONNX's own.
    pub operator: Option<String>,
    /// The relative tolerance.
    pub relative: f64,
    /// The absolute tolerance.
    pub absolute: f64,
}

impl Case {
    fn read(kind: &str, folder: PathBuf) -> Self {
        let data = fs::read(folder.join("data.json")).unwrap_or_else(|_| b"{}".to_vec());
        let data: serde_json::Value = serde_json::from_slice(&data).unwrap_or_default();
        Self {
            kind: kind.to_owned(),
            name: folder.file_name().unwrap_or_default().to_string_lossy().into_owned(),
            folder,
            operator: data["operator"].as_str().map(str::to_owned),
            relative: data["rtol"].as_f64().unwrap_or(1e-3),
            absolute: data["atol"].as_f64().unwrap_or(1e-7),
        }
    }

    /// Whether the environment asks for this case, or for all.
    pub fn is_wanted(&self) -> bool {
        let (name, operator) = chosen();
        name.is_none_or(|name| self.name.starts_with(&name))
            && operator.is_none_or(|operator| self.operator.as_ref() == Some(&operator))
    }

    pub fn model(&self) -> PathBuf {
        self.folder.join("model.onnx")
    }

    /// The folders with inputs and outputs.
    pub fn data_sets(&self) -> Vec<PathBuf> {
        let numbered = (0..).map(|number| self.folder.join(format!("test_data_set_{number}")));
        numbered.take_while(|folder| folder.is_dir()).collect()
    }
}

/// The values of the variables that choose cases: the beginning of a name, and an operator.
fn chosen() -> (Option<String>, Option<String>) {
    (std::env::var("OPML_CASE").ok(), std::env::var("OPML_OPERATOR").ok())
}

/// Whether only some cases are asked for.
pub fn are_chosen() -> bool {
    chosen() != (None, None)
}

/// All cases, in order.
pub fn all() -> Vec<Case> {
    let pins = fs::read_to_string(in_repository("fixtures/train/requirements.txt")).expect("the pins");
    let version = pins.lines().find_map(|line| line.strip_prefix("onnx==")).expect("the version of onnx");
    let root = in_repository(&format!(".cache/onnx-{version}"));
    assert!(root.join("node").is_dir(), "{} has no cases: run tests/fetch-wheels.sh", root.display());
    let kinds = ["node", "pytorch-converted", "pytorch-operator", "simple"];
    kinds
        .iter()
        .flat_map(|kind| folders(&root.join(kind)).into_iter().map(|folder| Case::read(kind, folder)))
        .collect()
}

fn folders(parent: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(parent).unwrap_or_else(|error| panic!("{}: {error}", parent.display()));
    let mut folders: Vec<PathBuf> =
        entries.map(|entry| entry.expect("a folder").path()).filter(|path| path.is_dir()).collect();
    folders.sort();
    folders
}

/// What is in the files of a data set: tensors with their names, those of a sequence one by one.
pub struct Values {
    pub tensors: Vec<(String, Tensor)>,
    /// The names of sequences without elements, and of what is missing.
    pub empty: Vec<String>,
}

/// The values `input_0.pb, input_1.pb, ...` of a data set, or its outputs, which are declared like this.
pub fn values(data_set: &Path, kind: &str, declared: &[Value]) -> Result<Values, String> {
    let mut values = Values { tensors: Vec::new(), empty: Vec::new() };
    let files = (0..).map(|number| data_set.join(format!("{kind}_{number}.pb")));
    for (number, path) in files.take_while(|path| path.exists()).enumerate() {
        let name = declared.get(number).map(|value| value.name.clone()).unwrap_or_default();
        let limits = Limits::default();
        let (is_sequence, is_optional) =
            declared.get(number).map_or((false, false), |value| (value.is_sequence(), value.is_optional()));
        let read = match (is_optional, is_sequence) {
            (true, _) => onnx::read_optional(&path, &limits).map(Option::unwrap_or_default),
            (false, true) => onnx::read_sequence(&path, &limits),
            (false, false) => onnx::read_tensor(&path, &limits).map(|(_, tensor)| vec![tensor]),
        };
        let read = read.map_err(|error| format!("{kind} {number}: {error}"))?;
        if read.is_empty() {
            values.empty.push(name.clone());
        }
        let named = |(index, tensor)| {
            let name = if is_sequence { format!("{name}[{index}]") } else { name.clone() };
            (name, tensor)
        };
        values.tensors.extend(read.into_iter().enumerate().map(named));
    }
    Ok(values)
}
