//! Reference pages that are made from tables. `OPML_BLESS=1` rewrites them.

use std::fmt::Write;
use std::path::Path;

/// Compares a page with its file, or writes it.
fn check(name: &str, page: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs").join(name);
    if std::env::var_os("OPML_BLESS").is_some() {
        std::fs::write(&path, page).expect("docs are writable");
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(found == page, "docs/{name} is not what the tables say; run the test with OPML_BLESS=1");
}

#[test]
fn instructions() {
    let mut page = "# Instructions\n\nMade from the table in `vm/isa/src/table.rs` by a test; do not edit. What each \
                    one does exactly is its function in\n`vm/isa/src/semantics.rs`.\n"
        .to_owned();
    let mut extension = None;
    for entry in isa::TABLE {
        if extension != Some(entry.extension) {
            extension = Some(entry.extension);
            let name = match entry.extension {
                isa::Extension::I => "RV64I: integers",
                isa::Extension::M => "M: multiplication and division",
                isa::Extension::F => "F: binary32",
                isa::Extension::D => "D: binary64",
            };
            let _ = write!(page, "\n## {name}\n\n| Instruction | Operands | Mask | Bits | |\n|---|---|---|---|---|\n");
        }
        let _ = writeln!(
            page,
            "| `{}` | {} | `{:08x}` | `{:08x}` | {} |",
            entry.mnemonic, entry.syntax, entry.mask, entry.bits, entry.doc
        );
    }
    check("instructions.md", &page);
}

#[test]
fn operators() {
    let mut page = "# Operators\n\nMade from the table in `dnn-lib/src/operator.rs` by a test; do not edit. How their \
                    numbers are computed is in\n[numerics.md](numerics.md).\n\n| Operator | Inputs | |\n|---|---|---|\n"
        .to_owned();
    for entry in dnn_lib::operator::Operator::TABLE {
        let inputs = match (*entry.inputs.start(), *entry.inputs.end()) {
            (least, usize::MAX) => format!("{least} or more"),
            (least, most) if least == most => least.to_string(),
            (least, most) => format!("{least} to {most}"),
        };
        let _ = writeln!(page, "| {} | {inputs} | {} |", entry.name, entry.doc);
    }
    check("operators.md", &page);
}
