//! Dispatches from an instruction word to its meaning, with a decision tree derived from the instruction
//! table.

use crate::machine::Recorder;
use crate::print;
use crate::symbolic::{Arena, Statement, block};
use isa::{InstructionEntry, semantics};
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// An instruction and its recorded meaning.
pub type Recorded = (&'static InstructionEntry, Vec<Statement>);

/// Up to this many values are compared one after the other. More are halved first.
const CHAIN: usize = 3;

/// The bits of every opcode.
const OPCODE: u32 = 0x7f;

/// Records an instruction; inside a session.
#[must_use]
pub fn record(entry: &'static InstructionEntry) -> Recorded {
    let statements = block(|| {
        let mut recorder = Recorder::new(entry);
        // The recorder never stops early, so every alternative is recorded.
        let _ = semantics::execute(&mut recorder, entry.op);
        recorder.finish();
    });
    (entry, statements)
}

/// The functions that execute an instruction: one that examines the opcode, and one for each opcode.
#[must_use]
pub fn functions(arena: &Arena, instructions: &[Recorded]) -> String {
    let mut opcodes: BTreeMap<u32, Vec<&Recorded>> = BTreeMap::new();
    for instruction in instructions {
        opcodes.entry(instruction.0.bits & OPCODE).or_default().push(instruction);
    }
    let mut text = String::from(
        "    /// @dev Executes an instruction and returns the next program counter.\n    \
         function dispatch(uint256 instruction, uint256 pc) private pure returns (uint256) {\n        \
         unchecked {\n",
    );
    let _ = writeln!(text, "            uint256 opcode = instruction & {};", hex(OPCODE));
    let calls: Vec<_> = opcodes.iter().map(|(&opcode, _)| (opcode, opcode)).collect();
    search(&mut text, "opcode", &calls, 3, &mut |text, &opcode, indent| {
        line(text, indent, &format!("return {}(instruction, pc);", function_name(opcode)));
    });
    text.push_str("            return trap(ILLEGAL_INSTRUCTION, pc);\n        }\n    }\n");
    for (&opcode, instructions) in &opcodes {
        text.push('\n');
        text.push_str(&opcode_function(arena, opcode, instructions));
    }
    text
}

fn function_name(opcode: u32) -> String {
    format!("opcode{opcode:02x}")
}

/// The function of one opcode.
fn opcode_function(arena: &Arena, opcode: u32, instructions: &[&Recorded]) -> String {
    let mut body = String::new();
    tree(&mut body, arena, instructions, OPCODE, 3);
    let mnemonics: Vec<_> = instructions.iter().map(|(entry, _)| entry.mnemonic).collect();
    let mut text = print::comment(&format!("@dev Opcode {}: {}.", hex(opcode), mnemonics.join(", ")));
    let _ = writeln!(
        text,
        "    function {}(uint256 instruction, uint256 pc) private pure returns (uint256) {{",
        function_name(opcode)
    );
    text.push_str("        unchecked {\n");
    text.push_str(&body);
    let always = instructions.len() == 1 && instructions[0].0.mask == OPCODE;
    if !always {
        text.push_str("            return trap(ILLEGAL_INSTRUCTION, pc);\n");
    }
    text + "        }\n    }\n"
}

/// Distinguishes instructions by the lowest field in which they differ. `known` are the bits examined before.
fn tree(text: &mut String, arena: &Arena, instructions: &[&Recorded], known: u32, indent: usize) {
    if let [instruction] = instructions {
        return leaf(text, arena, instruction, known, indent);
    }
    let common = instructions.iter().fold(!known, |common, (entry, _)| common & entry.mask);
    let differs = |field: &u32| {
        instructions.iter().any(|(entry, _)| (entry.bits ^ instructions[0].0.bits) & field != 0)
    };
    let Some(field) = runs(common).into_iter().find(differs) else { return };
    let mut values: BTreeMap<u32, Vec<&Recorded>> = BTreeMap::new();
    for &instruction in instructions {
        values.entry((instruction.0.bits & field) >> field.trailing_zeros()).or_default().push(instruction);
    }
    let name = field_name(field);
    line(text, indent, &format!("uint256 {name} = {};", field_text(field)));
    let values: Vec<_> = values.into_iter().collect();
    search(text, name, &values, indent, &mut |text, instructions, indent| {
        tree(text, arena, instructions, known | field, indent);
    });
}

/// Compares a field with its possible values, halving them while there are many.
fn search<T>(
    text: &mut String,
    name: &str,
    values: &[(u32, T)],
    indent: usize,
    found: &mut impl FnMut(&mut String, &T, usize),
) {
    if values.len() > CHAIN {
        let (low, high) = values.split_at(values.len() / 2);
        line(text, indent, &format!("if ({name} < {}) {{", hex(high[0].0)));
        search(text, name, low, indent + 1, found);
        line(text, indent, "}");
        return search(text, name, high, indent, found);
    }
    for (value, instructions) in values {
        line(text, indent, &format!("if ({name} == {}) {{", hex(*value)));
        found(text, instructions, indent + 1);
        line(text, indent, "}");
    }
}

/// One instruction: the remaining checks, and its code.
fn leaf(text: &mut String, arena: &Arena, (entry, statements): &Recorded, known: u32, indent: usize) {
    let rest = entry.mask & !known;
    let mut conditions = Vec::new();
    if rest != 0 {
        conditions.push(format!("instruction & {} == {}", hex(rest), hex(entry.bits & rest)));
    }
    if entry.is_rounded() {
        conditions.push("roundingMode(instruction) <= RMM".to_owned());
    }
    let inner = indent + usize::from(!conditions.is_empty());
    if !conditions.is_empty() {
        line(text, indent, &format!("if ({}) {{", conditions.join(" && ")));
    }
    line(text, inner, format!("// {} {}", entry.mnemonic, entry.syntax).trim_end());
    line(text, inner, &format!("// {}", entry.doc));
    text.push_str(&print::statements(arena, statements, inner, &RESERVED));
    if !conditions.is_empty() {
        line(text, indent, "}");
    }
}

/// Names that these functions use themselves.
const RESERVED: [&str; 8] = ["instruction", "pc", "opcode", "funct3", "funct6", "funct7", "funct5", "next"];

/// The runs of ones in a mask, lowest first.
fn runs(mut mask: u32) -> Vec<u32> {
    let mut runs = Vec::new();
    while mask != 0 {
        let low = mask.trailing_zeros();
        let run = (mask >> low).trailing_ones();
        let field = (u32::MAX >> (u32::BITS - run)) << low;
        runs.push(field);
        mask &= !field;
    }
    runs
}

/// The specification's name for a field.
fn field_name(field: u32) -> &'static str {
    match (field.trailing_zeros(), field.count_ones()) {
        (12, 3) => "funct3",
        (25, 7) => "funct7",
        (26, 6) => "funct6",
        (20, 5) => "rs2Field",
        (25, 2) => "format",
        _ => "rest",
    }
}

/// A field as an expression.
fn field_text(field: u32) -> String {
    let low = field.trailing_zeros();
    if field.leading_zeros() == 0 {
        format!("instruction >> {low}")
    } else {
        format!("(instruction >> {low}) & {}", hex(field >> low))
    }
}

fn hex(value: u32) -> String {
    format!("0x{value:02x}")
}

fn line(text: &mut String, indent: usize, line: &str) {
    let _ = writeln!(text, "{:width$}{line}", "", width = 4 * indent);
}
