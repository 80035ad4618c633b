//! Reference pages generated from tables. `OPML_BLESS=1` rewrites them.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use contracts::cost::{Bonds, Kind, Schedule, Shape};
use game::Side;

fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs").join(name)
}

/// Compares a page with its file, or writes it.
fn check(name: &str, page: &str) {
    let path = path(name);
    if std::env::var_os("OPML_BLESS").is_some() {
        std::fs::write(&path, page).expect("docs are writable");
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(found == page, "docs/{name} is not what the tables say; run the test with OPML_BLESS=1");
}

#[test]
fn instructions() {
    let mut page = "# Instructions\n\nA test generates this page from the table in `vm/isa/src/table.rs`; do not edit it. \
                    The exact meaning of an\ninstruction is its function in `vm/isa/src/semantics.rs`.\n"
        .to_owned();
    let mut extension = None;
    for entry in isa::TABLE {
        if extension != Some(entry.extension) {
            extension = Some(entry.extension);
            let title = entry.extension.title();
            let _ = write!(
                page,
                "\n## {title}\n\n| Instruction | Operands | Mask | Bits | |\n|---|---|---|---|---|\n"
            );
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
fn operations() {
    use dnn_lib::scalar::{BinaryOp, Comparison, Conversion, Type, UnaryOp};
    let list =
        |types: &mut dyn Iterator<Item = Type>| types.map(|ty| ty.to_string()).collect::<Vec<_>>().join(" ");
    let types = |own: &[Type]| list(&mut Type::ALL.into_iter().filter(|ty| own.contains(ty)));
    let mut page = "# Operations\n\nMade from the table in `dnn-lib/src/scalar/table.rs` by a test; do not edit. Definitions of \
                    operators and\nkernels compute with values of five types: `bool`, `i32` and `i64`, which an operation takes as \
                    signed or as\nunsigned, `f32` and `f64`. [numerics.md](numerics.md) has the rules for NaNs and rounding. \
                    Besides these\noperations there are constants, `fma` (`a * b + c` of floats, rounded once) and `select` (one \
                    of two values,\nby a `bool`).\n"
        .to_owned();
    let mut section = |title: &str, rows: &[(&str, String, &str)]| {
        let _ = write!(page, "\n## {title}\n\n| Operation | Types | |\n|---|---|---|\n");
        for (name, types, doc) in rows {
            let _ = writeln!(page, "| `{name}` | {types} | {doc} |");
        }
    };
    let of_one = UnaryOp::ALL.iter().map(|op| (op.name(), types(op.types()), op.doc()));
    section("Of one value", &of_one.collect::<Vec<_>>());
    let of_two = BinaryOp::ALL.iter().map(|op| (op.name(), types(op.types()), op.doc()));
    section("Of two values", &of_two.collect::<Vec<_>>());
    let comparisons = Comparison::ALL.iter().map(|op| (op.name(), types(op.types()), op.doc()));
    section("Comparisons, which give a `bool`", &comparisons.collect::<Vec<_>>());
    let ways = |op: Conversion| {
        let ways = Type::ALL.into_iter().filter_map(|from| {
            let to = list(&mut Type::ALL.into_iter().filter(|&to| op.works(from, to)));
            (!to.is_empty()).then(|| format!("{from} to {to}"))
        });
        ways.collect::<Vec<_>>().join(", ")
    };
    let conversions = Conversion::ALL.iter().map(|&op| (op.name(), ways(op), op.doc()));
    section("Conversions", &conversions.collect::<Vec<_>>());
    check("operations.md", &page);
}

/// The table of bounds in the page about costs. The rest of that page is written by hand.
#[test]
fn costs() {
    let (begin, end) = ("<!-- made by a test -->\n\n", "\n<!-- end -->");
    let page = std::fs::read_to_string(path("costs.md")).expect("docs/costs.md");
    let (before, rest) = page.split_once(begin).expect("where the table begins");
    let (_, after) = rest.split_once(end).expect("where it ends");
    check("costs.md", &format!("{before}{begin}{}{end}{after}", bounds()));
}

/// The maximum costs of disputes about models of some sizes.
fn bounds() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/mnist-cnn/model.onnx");
    let image = compiler::compile(&path, &compiler::Options::default()).expect("an image").image;
    let schedule = image.big_steps();
    let model = prover::model_of(&image, &schedule).expect("a model");
    let longest = schedule.leaves().iter().map(|leaf| leaf.bound).max().expect("a big step");
    let cnn = Shape::of(&model, longest, 20);
    let shape = |big_steps, steps, code_depth, memory_depth, regions, scratch_depth| Shape {
        arity: 20,
        big_steps,
        steps,
        code_depth,
        memory_depth,
        inputs: regions,
        outputs: regions,
        scratch_depth,
    };
    let shapes = [
        ("bundled CNN", cnn),
        ("a hundred times that", shape(800, longest, 9, 18, [1, 11], 11)),
        ("7 B parameters, one token", shape(1 << 13, 1 << 26, 12, 30, [4, 26], 23)),
        ("the same, 1,000 tokens", Shape::LARGE),
    ];
    let mut table = "| Model | B | N | Moves | challenge | dissect | enter | prove | Challenger, gas | Asserter, gas | Bonds at 50 gwei, ETH |\n\
                     |---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|\n"
        .to_owned();
    for (name, shape) in shapes {
        // Under both schedules.
        let both = |gas: &dyn Fn(&Schedule) -> u64| {
            Schedule::ALL.map(|schedule| thousands(gas(&schedule))).join("; ")
        };
        let bound = |kind| both(&|schedule| shape.bound(kind, schedule).gas);
        let bonds = Bonds::at(&shape, 50_000_000_000);
        let ether = |wei: u128| wei as f64 / 1e18;
        let _ = writeln!(
            table,
            "| {name} | {} | {} | {} | {} | {} | {} | {} | {} | {} | {:.3} + {:.3} |",
            thousands(shape.big_steps),
            thousands(shape.steps),
            shape.moves(),
            bound(Kind::Challenge),
            bound(Kind::Dissect),
            bound(Kind::Enter),
            bound(Kind::Prove(1)),
            both(&|schedule| shape.gas(Side::Challenger, schedule)),
            both(&|schedule| shape.gas(Side::Asserter, schedule)),
            ether(bonds.asserter),
            ether(bonds.challenger),
        );
    }
    table
}

/// A number with commas.
fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let groups: Vec<&str> =
        digits.as_bytes().rchunks(3).rev().filter_map(|group| std::str::from_utf8(group).ok()).collect();
    groups.join(",")
}
