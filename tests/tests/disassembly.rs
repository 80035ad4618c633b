//! The decoder and disassembler against binutils' objdump, as an independent oracle, on encodings of every
//! instruction and on random words. Both must accept the same words as instructions.

use isa::{Instruction, InstructionEntry, Layout, Op, TABLE, decode_any};
use opml_tests::random::Random;
use opml_tests::tools;

/// A word as objdump shows it: mnemonic and operands, without spaces and comments.
type Shown = (String, String);

/// Disassembles words at addresses 0, 4, ...
fn objdump(words: &[u32]) -> Vec<Shown> {
    let file = tempfile::NamedTempFile::new().expect("a temporary file");
    let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    std::fs::write(file.path(), bytes).expect("write the words");
    let options =
        "-D -b binary -m riscv:rv64 -M no-aliases --disassemble-zeroes".split(' ').map(String::from);
    let output = tools::run(tools::OBJDUMP, options.chain([file.path().display().to_string()]));
    assert!(output.status.success(), "objdump: {}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).expect("text");
    // "   4:\t00208053          \tfadd.s\tft0,ft1,ft2,rne"
    let lines = text.lines().map(|line| line.split('\t').collect::<Vec<_>>());
    let shown =
        lines.filter(|fields| fields.len() >= 3 && fields[0].trim_end().ends_with(':')).map(|fields| {
            let operands = fields.get(3).copied().unwrap_or_default();
            let operands = operands.split(['#', '<']).next().unwrap_or_default();
            (fields[2].trim().to_owned(), operands.split_whitespace().collect())
        });
    let shown: Vec<Shown> = shown.collect();
    assert_eq!(shown.len(), words.len(), "objdump shows another number of words");
    shown
}

/// objdump's expected output for an instruction: branches with targets, upper immediates and shifts in
/// hexadecimal.
fn expected(instruction: Instruction, address: i64) -> Shown {
    let entry = instruction.op.entry();
    let text = instruction.to_string();
    let operands: String =
        text.split_once(' ').map_or("", |(_, operands)| operands).split_whitespace().collect();
    let imm = i64::from(instruction.imm);
    let imm = match entry.layout {
        Layout::B | Layout::J => format!("{:#x}", address + imm),
        Layout::U => format!("{:#x}", imm >> 12 & 0xf_ffff),
        Layout::Shift | Layout::ShiftW => format!("{imm:#x}"),
        _ => return (entry.mnemonic.to_owned(), operands),
    };
    let rest = operands.rsplit_once(',').map_or("", |(rest, _)| rest);
    (entry.mnemonic.to_owned(), format!("{rest},{imm}"))
}

/// Conversions that are exact in any rounding mode. binutils knows them only in mode 0, which it does not
/// show.
fn is_exact(op: Op) -> bool {
    matches!(op, Op::FcvtDS | Op::FcvtDW | Op::FcvtDWu)
}

/// A word of an entry, with the other bits random.
fn word(entry: &InstructionEntry, random: &mut Random) -> u32 {
    let free = random.bits() as u32 & !entry.mask;
    let rounded = if is_exact(entry.op) { free & !(7 << 12) } else { free };
    entry.bits | if entry.op == Op::Fence { 0 } else { rounded }
}

/// Compares one word's two disassemblies.
fn compare(word: u32, address: i64, shown: &Shown) -> Result<(), String> {
    let ours = decode_any(word);
    let known = TABLE.iter().find(|entry| entry.mnemonic == shown.0);
    // objdump also shows instructions with rounding modes that the machine refuses: dynamic and reserved
    // ones.
    let refused = word >> 12 & 7 > 4;
    let theirs = known.filter(|entry| !(entry.is_rounded() && refused));
    match (ours, theirs) {
        (None, None) => Ok(()),
        // The machine ignores a fence's ordering and reserved fields, as the specification requires. binutils
        // decodes them.
        (Some(Instruction { op: Op::Fence, .. }), _) => Ok(()),
        (Some(ours), None) if is_exact(ours.op) && word >> 12 & 7 != 0 => Ok(()),
        (Some(ours), Some(_)) => {
            let mut expected = expected(ours, address);
            if is_exact(ours.op) {
                expected.1 = expected.1.trim_end_matches(",rne").to_owned();
            }
            if expected == *shown {
                Ok(())
            } else {
                Err(format!("{word:#010x}: {expected:?}, objdump {shown:?}"))
            }
        }
        (ours, _) => {
            let ours = ours.map_or("no instruction".to_owned(), |ours| ours.to_string());
            Err(format!("{word:#010x}: {ours}, objdump {shown:?}"))
        }
    }
}

/// Compares many words and reports the first that differ.
fn check(words: &[u32]) {
    let shown = objdump(words);
    let compared =
        words.iter().zip(&shown).enumerate().map(|(i, (&word, shown))| compare(word, 4 * i as i64, shown));
    let failures: Vec<String> = compared.filter_map(Result::err).take(20).collect();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn every_instruction_reads_as_in_objdump() {
    let mut random = Random::new(0);
    let words: Vec<u32> = TABLE
        .iter()
        .flat_map(|entry| std::iter::repeat_n(entry, 40))
        .map(|entry| word(entry, &mut random))
        .collect();
    check(&words);
}

#[test]
fn the_same_random_words_are_instructions() {
    let mut random = Random::new(1);
    // Words that differ from an instruction in a few bits, and words with the machine's opcodes.
    let words: Vec<u32> = (0..30_000)
        .map(|_| {
            let entry = random.pick(TABLE);
            let near = word(entry, &mut random) ^ 1 << (7 + random.below(25));
            if random.one_in(2) { near } else { random.bits() as u32 & !0x7f | entry.bits & 0x7f }
        })
        .collect();
    check(&words);
}
