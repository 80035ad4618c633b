//! `opml disasm`: an image's instructions, with symbols.

use crate::cli::ImageOnly;
use crate::failure::Failure;
use crate::images::load;
use crate::output::Output;
use image::{Image, Symbol};
use isa::{Instruction, Layout, decode};
use serde_json::json;
use std::fmt::Write;

/// One word of code.
struct Line {
    address: u64,
    word: u32,
    /// `None` if the word is data.
    instruction: Option<Instruction>,
}

/// Lists the code.
pub fn run(args: &ImageOnly, output: Output) -> Result<(), Failure> {
    let image = load(&args.image)?;
    let lines = lines(&image);
    let described = |line: &Line| {
        json!({ "address": line.address, "word": format!("{:08x}", line.word), "text": text(&image, line),
                "symbol": symbol_at(&image, line.address).map(|symbol| &symbol.name) })
    };
    let object = json!({ "lines": lines.iter().map(described).collect::<Vec<_>>() });
    let mut listing = String::new();
    for line in &lines {
        for symbol in image.symbols.iter().filter(|symbol| symbol.address == line.address) {
            let _ = writeln!(listing, "\n{}:", symbol.name);
        }
        let _ = writeln!(listing, "{:>10x}:  {:08x}  {}", line.address, line.word, text(&image, line));
    }
    output.result(&object, listing.trim_start_matches('\n'))
}

/// Every word of the code.
fn lines(image: &Image) -> Vec<Line> {
    let words = image.code.as_chunks::<4>().0.iter().map(|bytes| u32::from_le_bytes(*bytes));
    words
        .enumerate()
        .map(|(index, word)| Line {
            address: image.profile.code_base() + 4 * index as u64,
            word,
            instruction: decode(word, image.extensions()),
        })
        .collect()
}

/// The instruction, with the target of its jump.
fn text(image: &Image, line: &Line) -> String {
    line.instruction.map_or(".word".to_owned(), |instruction| described(image, line.address, instruction))
}

/// An instruction at an address, with the target of its jump.
pub fn described(image: &Image, address: u64, instruction: Instruction) -> String {
    match target(address, instruction) {
        Some(target) => format!("{instruction}  # {}", place(image, target)),
        None => instruction.to_string(),
    }
}

/// The target of a jump or branch, if the instruction encodes it.
pub fn target(address: u64, instruction: Instruction) -> Option<u64> {
    let relative = matches!(instruction.op.entry().layout, Layout::B | Layout::J);
    relative.then(|| address.wrapping_add_signed(instruction.imm.into()))
}

/// An address as symbol and offset.
pub fn place(image: &Image, address: u64) -> String {
    match symbol_at(image, address) {
        Some(symbol) if symbol.address == address => symbol.name.clone(),
        Some(symbol) => format!("{}+{:#x}", symbol.name, address - symbol.address),
        None => format!("{address:#x}"),
    }
}

/// The symbol for an address of the code: the last one that starts at or before it.
pub fn symbol_at(image: &Image, address: u64) -> Option<&Symbol> {
    let code = |symbol: &&Symbol| image.profile.is_code(symbol.address) && symbol.address <= address;
    image.symbols.iter().filter(code).max_by_key(|symbol| symbol.address)
}
