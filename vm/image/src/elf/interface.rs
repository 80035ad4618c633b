//! The inputs and outputs that a program declares.
//!
//! The section `.opml` has one line of text for each: `input data f32[16]`, `output mean f32[13]`. The loader
//! places them above the program, and calls the entry with pointers to them in the order of the lines.

use super::error::ElfError;
use super::start::MOST_ARGUMENTS;
use super::{malformed, part};
use crate::{BigStep, Contents, Dtype, Interface, Region, Role, Tensor};
use goblin::elf::{Elf, section_header as sh};

/// The section with the declarations.
const SECTION: &str = ".opml";

/// The alignment of every tensor, and the minimum size of a region: two leaves, so that its root is a hash.
const ALIGNMENT: u64 = 64;

/// log2 of the number of bytes at the top of memory that count as zero at the end. It is the minimum, since a
/// dispute doesn't depend on a program's stack.
const SCRATCH_BITS: u8 = 5;

/// The declarations of a program.
pub(super) struct Declared {
    /// In the order of the lines, without addresses yet.
    pub tensors: Vec<Tensor>,
}

/// The addresses of the tensors.
pub(super) struct Layout {
    pub tensors: Vec<Tensor>,
    /// The regions of inputs and outputs, if there are any.
    regions: Option<[Region; 2]>,
    /// The first address after everything, including the scratch.
    pub end: u64,
}

impl Declared {
    /// The declarations of a file.
    pub fn read(elf: &Elf<'_>, bytes: &[u8]) -> Result<Self, ElfError> {
        let mut tensors: Vec<Tensor> = Vec::new();
        let is_ours = |section: &&sh::SectionHeader| elf.shdr_strtab.get_at(section.sh_name) == Some(SECTION);
        for section in elf.section_headers.iter().filter(is_ours) {
            let text = part(bytes, section.sh_offset, section.sh_size)
                .filter(|_| section.sh_type == sh::SHT_PROGBITS);
            let text = text.and_then(|bytes| std::str::from_utf8(bytes).ok());
            let text = text.ok_or_else(|| malformed(format!("the section {SECTION} is not text")))?;
            for line in text.split(['\n', '\0']).map(str::trim).filter(|line| !line.is_empty()) {
                let new = tensor(line)
                    .and_then(|new| match tensors.iter().any(|old| old.name == new.name) {
                        true => Err(format!("the name {} is taken", new.name)),
                        false => Ok(new),
                    })
                    .map_err(|reason| ElfError::Declaration { line: line.to_owned(), reason })?;
                tensors.push(new);
            }
        }
        if tensors.len() > MOST_ARGUMENTS {
            return Err(ElfError::TooManyDeclared { found: tensors.len(), most: MOST_ARGUMENTS });
        }
        let has = |role| tensors.iter().any(|tensor| tensor.role == role);
        for (role, missing) in [(Role::Input, "input"), (Role::Output, "output")] {
            if !tensors.is_empty() && !has(role) {
                return Err(ElfError::NoneDeclared { missing });
            }
        }
        Ok(Self { tensors })
    }

    /// Places the regions after an address, the larger one first, which wastes less to alignment. `None` if
    /// they don't fit into the address space.
    pub fn place(mut self, end: u64) -> Option<Layout> {
        if self.tensors.is_empty() {
            return Some(Layout { tensors: self.tensors, regions: None, end });
        }
        let sizes = [region_size(&self.tensors, Role::Input)?, region_size(&self.tensors, Role::Output)?];
        let mut regions = [Region { address: 0, bits: 0 }; 2];
        let mut end = end;
        let order = if sizes[0] >= sizes[1] { [0, 1] } else { [1, 0] };
        for index in order {
            let address = end.checked_next_multiple_of(sizes[index])?;
            regions[index] = Region { address, bits: sizes[index].ilog2() as u8 };
            end = address.checked_add(sizes[index])?;
        }
        let mut next = regions.map(|region| region.address);
        for tensor in &mut self.tensors {
            let next = &mut next[usize::from(tensor.role == Role::Output)];
            tensor.address = *next;
            *next += tensor.bytes.next_multiple_of(ALIGNMENT);
        }
        let end = end.checked_add(1 << SCRATCH_BITS)?;
        Some(Layout { tensors: self.tensors, regions: Some(regions), end })
    }
}

impl Layout {
    /// Adds the tensors to an image. If the number of steps is bounded, also adds the schedule, where the
    /// whole program is one big step. `start` is the index of the symbol of its first instruction.
    pub fn describe(self, contents: &mut Contents, start: usize, bound: Option<u64>) -> Result<(), ElfError> {
        let Self { tensors, regions, .. } = self;
        contents.tensors = tensors;
        let Some(bound) = bound else { return Ok(()) };
        let Some([input, output]) = regions else { return Err(ElfError::NothingDeclared) };
        contents.interface = Some(Interface { input, output, scratch_bits: SCRATCH_BITS, bound });
        let first = contents.tensors.iter().position(|tensor| tensor.role == Role::Output).unwrap_or(0);
        contents.schedule.push(BigStep {
            kernel: start as u32,
            operator: "program".to_owned(),
            node: String::new(),
            output: first as u32,
            lo: 0,
            hi: contents.tensors.get(first).and_then(Tensor::elements).unwrap_or(0),
            arguments: contents.tensors.iter().map(|tensor| tensor.address).collect(),
            entry: contents.entry,
            bound,
        });
        Ok(())
    }
}

/// The size of the smallest subtree of memory that has room for the tensors of a role.
fn region_size(tensors: &[Tensor], role: Role) -> Option<u64> {
    let sizes = tensors.iter().filter(|tensor| tensor.role == role).map(|tensor| tensor.bytes);
    let sum = sizes.map(|bytes| bytes.checked_next_multiple_of(ALIGNMENT));
    sum.sum::<Option<u64>>()?.max(ALIGNMENT).checked_next_power_of_two()
}

/// Parses a line such as `input data f32[16]`.
fn tensor(line: &str) -> Result<Tensor, String> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let &[role, name, ty] = words.as_slice() else {
        return Err("expected three words: input or output, a name, a type".to_owned());
    };
    let role = match role {
        "input" => Role::Input,
        "output" => Role::Output,
        _ => return Err(format!("it begins with {role}, not with input or output")),
    };
    let (dtype, shape) = ty.split_once('[').map_or((ty, None), |(dtype, shape)| (dtype, Some(shape)));
    let names = || Dtype::ALL.map(Dtype::name).join(", ");
    let dtype =
        Dtype::from_name(dtype).ok_or_else(|| format!("the type {dtype} is not one of {}", names()))?;
    let dimension = |text: &str| text.trim().parse().ok().filter(|&size: &u64| size > 0);
    let shape = match shape {
        None => Some(Vec::new()),
        Some(dims) => dims.strip_suffix(']').and_then(|dims| dims.split(',').map(dimension).collect()),
    };
    let shape: Vec<u64> = shape.ok_or_else(|| format!("the shape in {ty} is not like [2,3]"))?;
    let bytes = shape.iter().try_fold(dtype.size(), |bytes, &size| bytes.checked_mul(size));
    let bytes = bytes.filter(|&bytes| bytes < 1 << 45).ok_or_else(|| format!("{ty} is too large"))?;
    Ok(Tensor { name: name.to_owned(), role, dtype, shape, address: 0, bytes })
}
