//! The inputs and outputs that a program declares.
//!
//! The section `.opml` has one line of text for each tensor: `input data f32[16]`, `output mean f32[13]`,
//! `state sums f32[4]`. The loader places them above the program in the order of the lines, and calls the
//! entry with pointers to them in the same order.

use super::error::ElfError;
use super::start::MOST_ARGUMENTS;
use super::{malformed, part};
use crate::{BigStep, Contents, Interface, Region, Role, Tensor};
use goblin::elf::{Elf, section_header as sh};
use step::merkle::LEAF;
use tensor::DType;

/// The section with the declarations.
const SECTION: &str = ".opml";

/// log2 of the number of bytes at the top of memory that count as zero at the end. It is the minimum, since a
/// dispute doesn't depend on a program's stack.
const SCRATCH_BITS: u8 = 5;

/// The declarations of a program.
pub(super) struct Declared {
    /// In the order of the lines.
    pub tensors: Vec<Declaration>,
}

/// A line.
pub(super) struct Declaration {
    /// Both for a state, which is an input and an output in the same place.
    roles: &'static [Role],
    /// Without a role or an address yet.
    tensor: Tensor,
}

/// The addresses of the tensors.
pub(super) struct Layout {
    /// One for each line.
    pub addresses: Vec<u64>,
    /// A row for each role of each line.
    tensors: Vec<Tensor>,
    inputs: Vec<Region>,
    outputs: Vec<Region>,
    /// The first address after everything, including the scratch.
    pub end: u64,
}

impl Declared {
    /// The declarations of a file.
    pub fn read(elf: &Elf<'_>, bytes: &[u8]) -> Result<Self, ElfError> {
        let mut tensors: Vec<Declaration> = Vec::new();
        let is_ours = |section: &&sh::SectionHeader| elf.shdr_strtab.get_at(section.sh_name) == Some(SECTION);
        for section in elf.section_headers.iter().filter(is_ours) {
            let text = part(bytes, section.sh_offset, section.sh_size)
                .filter(|_| section.sh_type == sh::SHT_PROGBITS);
            let text = text.and_then(|bytes| std::str::from_utf8(bytes).ok());
            let text = text.ok_or_else(|| malformed(format!("the section {SECTION} is not text")))?;
            for line in text.split(['\n', '\0']).map(str::trim).filter(|line| !line.is_empty()) {
                let new = declaration(line)
                    .and_then(|new| match tensors.iter().any(|old| old.tensor.name == new.tensor.name) {
                        true => Err(format!("the name {} is taken", new.tensor.name)),
                        false => Ok(new),
                    })
                    .map_err(|reason| ElfError::Declaration { line: line.to_owned(), reason })?;
                tensors.push(new);
            }
        }
        if tensors.len() > MOST_ARGUMENTS {
            return Err(ElfError::TooManyDeclared { found: tensors.len(), most: MOST_ARGUMENTS });
        }
        let has = |role| tensors.iter().any(|declaration| declaration.roles.contains(&role));
        for (role, missing) in [(Role::Input, "input"), (Role::Output, "output")] {
            if !tensors.is_empty() && !has(role) {
                return Err(ElfError::NoneDeclared { missing });
            }
        }
        Ok(Self { tensors })
    }

    /// Places each tensor after an address and after the one before: an aligned power of two of bytes, so
    /// that it is a region of memory. `None` if they don't fit into the address space.
    pub fn place(self, mut end: u64) -> Option<Layout> {
        let (mut addresses, mut tensors) = (Vec::new(), Vec::new());
        let (mut inputs, mut outputs) = (Vec::new(), Vec::new());
        for Declaration { roles, tensor } in self.tensors {
            let size = tensor.bytes.max(LEAF as u64).checked_next_power_of_two()?;
            let address = end.checked_next_multiple_of(size)?;
            end = address.checked_add(size)?;
            addresses.push(address);
            for &role in roles {
                let regions = if role == Role::Input { &mut inputs } else { &mut outputs };
                regions.push(Region { address, bits: size.ilog2() as u8 });
                tensors.push(Tensor { role, address, ..tensor.clone() });
            }
        }
        if !tensors.is_empty() {
            end = end.checked_add(1 << SCRATCH_BITS)?;
        }
        Some(Layout { addresses, tensors, inputs, outputs, end })
    }
}

impl Layout {
    /// Adds the tensors to an image. If the number of steps is bounded, also adds the schedule, where the
    /// whole program is one big step. `start` is the index of the symbol of its first instruction.
    pub fn describe(self, contents: &mut Contents, start: usize, bound: Option<u64>) -> Result<(), ElfError> {
        let Self { addresses, tensors, inputs, outputs, .. } = self;
        contents.tensors = tensors;
        let Some(bound) = bound else { return Ok(()) };
        if addresses.is_empty() {
            return Err(ElfError::NothingDeclared);
        }
        contents.interface = Some(Interface { inputs, outputs, scratch_bits: SCRATCH_BITS, bound });
        let first = contents.tensors.iter().position(|tensor| tensor.role == Role::Output).unwrap_or(0);
        contents.schedule.push(BigStep {
            kernel: start as u32,
            operator: "program".to_owned(),
            node: String::new(),
            output: first as u32,
            lo: 0,
            hi: contents.tensors.get(first).and_then(Tensor::elements).unwrap_or(0),
            arguments: addresses,
            entry: contents.entry,
            bound,
        });
        Ok(())
    }
}

/// Parses a line such as `input data f32[16]`.
fn declaration(line: &str) -> Result<Declaration, String> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let &[word, name, ty] = words.as_slice() else {
        return Err("expected three words: input, output or state, a name, a type".to_owned());
    };
    let roles: &[Role] = match word {
        "input" => &[Role::Input],
        "output" => &[Role::Output],
        "state" => &[Role::Input, Role::Output],
        _ => return Err(format!("it begins with {word}, not with input, output or state")),
    };
    let (dtype, shape) = ty.split_once('[').map_or((ty, None), |(dtype, shape)| (dtype, Some(shape)));
    let names = || DType::ALL.map(DType::name).join(", ");
    let dtype =
        DType::from_name(dtype).ok_or_else(|| format!("the type {dtype} is not one of {}", names()))?;
    let dimension = |text: &str| text.trim().parse().ok().filter(|&size: &u64| size > 0);
    let shape = match shape {
        None => Some(Vec::new()),
        Some(dims) => dims.strip_suffix(']').and_then(|dims| dims.split(',').map(dimension).collect()),
    };
    let shape: Vec<u64> = shape.ok_or_else(|| format!("the shape in {ty} is not like [2,3]"))?;
    let elements = shape.iter().try_fold(1u64, |elements, &size| elements.checked_mul(size));
    let bytes = elements.and_then(|elements| dtype.bytes(elements));
    let bytes = bytes.filter(|&bytes| bytes < 1 << 45).ok_or_else(|| format!("{ty} is too large"))?;
    let tensor = Tensor { name: name.to_owned(), role: roles[0], dtype, shape, address: 0, bytes };
    Ok(Declaration { roles, tensor })
}
