//! Prints the one-step verifier from the semantics.
//!
//! The verifier is a Solidity contract that executes one instruction, given the root of a state and a
//! witness. Its instructions and arithmetic are printed by running [`isa::semantics`] over expressions
//! (`symbolic`) instead of numbers; names and doc comments come from the Rust code. Hand-written accessors
//! (`templates/`) surround them. Each set of extensions has one contract. The rest of a machine's profile is an
//! argument of every call, so one deployed contract serves every image.

mod dispatch;
mod machine;
mod print;
mod symbolic;

use isa::float::rounding::RMM;
use isa::{Extensions, TABLE, Trap, fields};
use std::fmt::Write as _;
use step::{MachineProfile, State, Status};
use symbolic::{Id, Statement, Symbolic, Word};

/// A generated file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// Its name, without folders.
    pub name: String,
    /// Its content.
    pub text: String,
}

/// The name of the contract that is generated for each set of extensions.
pub const CONTRACT: &str = "StepVerifier";

/// The verifier of every machine with these extensions.
#[must_use]
pub fn verifier(extensions: Extensions) -> String {
    let ((instructions, fields), arena) = symbolic::session(|| {
        let entries = TABLE.iter().filter(|entry| extensions.has(entry.extension));
        (entries.map(dispatch::record).collect::<Vec<_>>(), field_functions(extensions))
    });
    let library: String = arena
        .functions
        .iter()
        .map(|definition| format!("\n{}", print::function(&arena, definition)))
        .collect();
    let fields: Vec<_> = fields
        .iter()
        .map(|(name, doc, body)| {
            let body = print::statements(&arena, body, 2, &[]);
            format!("    /// @dev {doc}\n    function {name}(uint256 instruction) private pure returns (uint256) {{\n{body}    }}\n")
        })
        .collect();
    let floats = if extensions.has(isa::Extension::F) { include_str!("templates/floats.sol") } else { "" };
    fill(
        include_str!("templates/StepVerifier.sol"),
        &[
            ("machine", extensions.name()),
            ("constants", &constants(extensions)),
            ("layout", &layout()),
            ("extensions", &extensions.bits().to_string()),
            ("last_trap", &Trap::ALL.map(|trap| trap as u8).into_iter().max().unwrap_or(0).to_string()),
            ("floats", floats),
            ("execute", &dispatch::functions(&arena, &instructions)),
            ("fields", &fields.join("\n")),
            ("library", &library),
        ],
    )
}

/// Replaces the `{{names}}` in a template.
#[must_use]
pub fn fill(template: &str, values: &[(&str, &str)]) -> String {
    values
        .iter()
        .fold(template.to_owned(), |text, (name, value)| text.replace(&format!("{{{{{name}}}}}"), value))
}

/// The constants that have a name in Rust.
fn constants(extensions: Extensions) -> String {
    let mut text = String::new();
    let mut constant = |name: &str, value: u8| {
        let _ = writeln!(text, "    uint256 private constant {name} = {value};");
    };
    if extensions.has(isa::Extension::F) {
        constant("RMM", RMM);
    }
    constant("RUNNING", Status::Running.byte());
    constant("EXITED", Status::Exited.byte());
    constant("TRAPPED", Status::Trapped(Trap::ALL[0]).byte() - Trap::ALL[0] as u8);
    for trap in Trap::ALL {
        constant(&machine::trap_name(trap), trap as u8);
    }
    text
}

/// The layout of the verifier's memory.
fn layout() -> String {
    // Solidity's own memory ends here.
    const CURSOR: usize = 0x80;
    const MACHINE: usize = CURSOR + 6 * 32;
    const OLD: usize = MACHINE + 4 * 32;
    // A number may be written with the word that it is at the start of.
    const STATE: usize = (State::MOST_BYTES + 32).next_multiple_of(32);
    const LIST: usize = (State::MOST_BYTES - State::HEAD + 32).next_multiple_of(32);
    const NEW: usize = OLD + STATE;
    const FLOATS: usize = NEW + STATE;
    let places = [
        ("CURSOR", CURSOR, "The next byte of the witness, as an offset into calldata."),
        ("OLD_END", CURSOR + 32, "The end of the state before the step."),
        ("NEW_END", CURSOR + 160, "The end of the state after the step."),
        ("FLOATS_END", CURSOR + 128, "The end of the list of the float registers before the step."),
        ("REVEALED", CURSOR + 64, "For each hash of the state that is known, the bit at its place."),
        ("NOT_CANONICAL", CURSOR + 96, "1 if a proof isn't in its one form."),
        ("MEMORY_BITS", MACHINE, "Memory spans the addresses below 2^MEMORY_BITS."),
        ("CODE_BASE", MACHINE + 32, "The first address of the code."),
        ("CODE_SIZE", MACHINE + 64, "The size of the code in bytes."),
        ("CODE_BITS", MACHINE + 96, "Each offset into the code is below 2^CODE_BITS."),
        ("OLD", OLD, "The state before the step."),
        ("NEW", NEW, "The state after the step."),
        ("FLOATS", FLOATS, "The list of the float registers before the step."),
        ("NEW_FLOATS", FLOATS + LIST, "The list of the float registers after the step."),
        ("MEMORY_END", FLOATS + 2 * LIST, "The end of all these."),
        ("CODE_ROOT", 0, "In a state: the root of the code."),
        ("MEMORY_ROOT", 32, "In a state: the root of the memory."),
        ("FLOAT_HASH", 64, "In a state: the hash of the float registers."),
        ("STATUS", State::HEAD - 1, "In a state: the status, one byte."),
        ("NUMBERS", State::HEAD, "In a state: the list of x1 to x31 and, last, the program counter."),
    ];
    places
        .iter()
        .map(|(name, place, doc)| {
            format!("    /// {doc}\n    uint256 private constant {name} = {place:#x};\n")
        })
        .collect()
}

/// A generated function of an instruction word: name, comment and body.
type FieldFunction = (&'static str, &'static str, Vec<Statement>);

/// The functions that extract the fields of an instruction word.
fn field_functions(extensions: Extensions) -> Vec<FieldFunction> {
    let function = |name, doc, field: fn(Word) -> Word| {
        let body = symbolic::block(|| {
            let instruction: Id = symbolic::parameter("instruction", u32::BITS);
            symbolic::emit(Statement::Return(field(Word(instruction)).0));
        });
        (name, doc, body)
    };
    let mut functions = vec![
        function("fieldRd", "The destination register.", fields::rd::<Symbolic>),
        function("fieldRs1", "The first source register.", fields::rs1::<Symbolic>),
        function("fieldRs2", "The second source register.", fields::rs2::<Symbolic>),
        function(
            "immI",
            "The immediate of loads and register-immediate instructions.",
            fields::imm_i::<Symbolic>,
        ),
        function("immS", "The immediate of stores.", fields::imm_s::<Symbolic>),
        function("immB", "The displacement of branches.", fields::imm_b::<Symbolic>),
        function("immU", "The upper immediate, sign-extended.", fields::imm_u::<Symbolic>),
        function("immJ", "The displacement of jal.", fields::imm_j::<Symbolic>),
        function("shamt6", "The amount of 64-bit shifts.", fields::shamt6::<Symbolic>),
        function("shamt5", "The amount of 32-bit shifts.", fields::shamt5::<Symbolic>),
    ];
    if extensions.has(isa::Extension::F) {
        functions.push(function("fieldRs3", "The third source register.", fields::rs3::<Symbolic>));
        functions.push(function("roundingMode", "The rounding mode.", fields::rm::<Symbolic>));
    }
    functions
}

/// The files that verify the steps of one image's machine: the interface, the verifier for its extensions,
/// and a library with the machine that the verifier's calls must name. It is called after the image:
/// `mnist-cnn` becomes `MnistCnnMachine`.
#[must_use]
pub fn generate(profile: &MachineProfile, image: &str) -> Vec<File> {
    let file = |name: &str, text: String| File { name: format!("{name}.sol"), text };
    let name = identifier(image);
    let library = format!("{name}Machine");
    let image = fill(
        include_str!("templates/ImageMachine.sol"),
        &[
            ("name", &library),
            ("image", &name),
            ("machine", &step::Root(profile.word()).to_string()),
            ("memory_bits", &profile.memory_bits().to_string()),
            ("code_base", &format!("{:#x}", profile.code_base())),
            ("code_size", &profile.code_size().to_string()),
        ],
    );
    vec![
        file("IStepVerifier", interface().to_owned()),
        file(CONTRACT, verifier(profile.extensions())),
        file(&library, image),
    ]
}

/// A name for a Solidity contract: only letters and digits, the first one a letter.
fn identifier(name: &str) -> String {
    let words = name.split(|letter: char| !letter.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    let capitalised: String = words.map(|word| word[..1].to_ascii_uppercase() + &word[1..]).collect();
    if capitalised.starts_with(|letter: char| letter.is_ascii_alphabetic()) {
        capitalised
    } else {
        format!("Image{capitalised}")
    }
}

/// The interface that every verifier has.
#[must_use]
pub const fn interface() -> &'static str {
    include_str!("templates/IStepVerifier.sol")
}

/// The signatures of the errors with which a verifier may revert, as `Name(type,type)`.
#[must_use]
pub fn errors() -> Vec<String> {
    let declarations = interface().lines().filter_map(|line| line.trim().strip_prefix("error "));
    declarations.map(signature).collect()
}

/// `Name(type name, type name);` without the names.
fn signature(declaration: &str) -> String {
    let (name, rest) = declaration.split_once('(').unwrap_or((declaration, ""));
    let parameters = rest.trim_end_matches([';', ')']).split(',');
    let types: Vec<_> = parameters.filter_map(|parameter| parameter.split_whitespace().next()).collect();
    format!("{name}({})", types.join(","))
}

/// The precompiled creation code of [`verifier`]; its constructor takes no arguments. A test compares the code with the compiler's output for the
/// source.
#[must_use]
pub fn bytecode(extensions: Extensions) -> Vec<u8> {
    from_hex(match extensions {
        Extensions::IM => include_str!("../generated/rv64im/StepVerifier.hex"),
        Extensions::IMFD => include_str!("../generated/rv64imfd/StepVerifier.hex"),
    })
}

/// The bytes that hexadecimal digits stand for; all other characters are ignored.
#[must_use]
pub fn from_hex(text: &str) -> Vec<u8> {
    let digits: Vec<_> = text.chars().filter_map(|digit| digit.to_digit(16)).collect();
    digits.chunks_exact(2).map(|pair| (pair[0] << 4 | pair[1]) as u8).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contracts_are_called_after_images() {
        let names = ["mnist-cnn", "Mnist", "7 nets/b.onnx", "", "step", "I", "\u{fc}ber"].map(identifier);
        assert_eq!(names, ["MnistCnn", "Mnist", "Image7NetsBOnnx", "Image", "Step", "I", "Ber"]);
    }

    #[test]
    fn errors_have_signatures() {
        assert!(errors().contains(&"StateMismatch(bytes32,bytes32)".to_owned()), "{:?}", errors());
        assert!(errors().contains(&"ProofNotCanonical()".to_owned()));
    }

    #[test]
    fn semantics_name_what_they_use_twice() {
        let (instructions, arena) =
            symbolic::session(|| TABLE.iter().map(dispatch::record).collect::<Vec<_>>());
        let instructions = instructions.iter().map(|(entry, body)| (entry.mnemonic, body));
        let functions = arena.functions.iter().map(|definition| (definition.function.name, &definition.body));
        let repeated: Vec<_> = instructions
            .chain(functions)
            .filter(|(_, body)| !arena.repeated(body).is_empty())
            .map(|(name, _)| name)
            .collect();
        assert!(repeated.is_empty(), "give names to what is used twice in {repeated:?}");
    }

    #[test]
    fn every_instruction_is_in_the_text() {
        let mut verified = vec![false; TABLE.len()];
        for &extensions in Extensions::ALL {
            let text = verifier(extensions);
            for (entry, verified) in TABLE.iter().zip(&mut verified) {
                let line = format!("// {} {}", entry.mnemonic, entry.syntax);
                let found = text.lines().any(|found| found.trim() == line.trim());
                assert_eq!(
                    found,
                    extensions.has(entry.extension),
                    "{} in {}",
                    entry.mnemonic,
                    extensions.name()
                );
                *verified |= found;
            }
            assert!(!text.contains("{{"), "a hole in the template was not filled");
        }
        let missing: Vec<_> = TABLE.iter().zip(verified).filter(|(_, verified)| !verified).collect();
        assert!(missing.is_empty(), "no verifier executes {missing:?}");
    }
}
