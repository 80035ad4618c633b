//! The contents of an image, and their validation.

use crate::{ImageError, MAX_CODE, MOST_REGIONS, Period, Shape, Shown};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::ops::Range;
use step::MachineProfile;
use step::merkle::LEAF;
use tensor::DType;

/// What is in an image.
#[derive(Debug, Clone, PartialEq)]
pub struct Contents {
    /// The machine's shape.
    pub profile: MachineProfile,
    /// The address of the first instruction.
    pub entry: u64,
    /// The initial stack pointer (x2). The stack grows down from there.
    pub sp: u64,
    /// The code. Its length is that in the profile.
    pub code: Bytes,
    /// Memory that is initially not zero, in ascending order of addresses.
    pub segments: Vec<Segment>,
    /// Tensors in memory.
    pub tensors: Vec<Tensor>,
    /// Named functions and objects.
    pub symbols: Vec<Symbol>,
    /// The big steps in order. Empty if the image is a single program that starts at its entry.
    pub schedule: Vec<BigStep>,
    /// The big steps that are repeated; `None` if each is made once.
    pub period: Option<Period>,
    /// What a dispute needs; `None` if the image can't be disputed.
    pub interface: Option<Interface>,
    /// What else is in the file, for those who know it.
    pub sections: Vec<Section>,
}

/// Bytes that the machine doesn't need.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Section {
    /// What they are. Each name is there at most once.
    pub name: String,
    /// The bytes.
    pub bytes: Vec<u8>,
}

impl Section {
    /// The name of a model's program.
    pub const PROGRAM: &str = "program";

    /// A model's program.
    #[must_use]
    pub fn program(bytes: Vec<u8>) -> Self {
        Self { name: Self::PROGRAM.to_owned(), bytes }
    }
}

/// The inputs and outputs of a whole run, and its limits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Interface {
    /// The subtrees that contain the inputs: 1 to [`MOST_REGIONS`], ascending and disjoint.
    pub inputs: Vec<Region>,
    /// The subtrees that contain the outputs, likewise. One may be that of an input, which changes in place.
    pub outputs: Vec<Region>,
    /// log2 of the number of bytes at the top of memory that count as zero between big steps and at the end.
    pub scratch_bits: u8,
    /// The maximum number of steps of a run from the entry.
    pub bound: u64,
}

/// 2^bits bytes at a multiple of 2^bits: a subtree of memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Region {
    /// The first address.
    pub address: u64,
    /// log2 of the size in bytes.
    pub bits: u8,
}

impl Region {
    /// Its addresses, if it is a subtree of some memory.
    #[must_use]
    pub fn range(self) -> Option<Range<u64>> {
        let size = 1u64.checked_shl(self.bits.into()).filter(|&size| size >= LEAF as u64)?;
        self.address.is_multiple_of(size).then_some(self.address..self.address.checked_add(size)?)
    }
}

/// Bytes of memory before the first step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segment {
    /// The first address.
    pub address: u64,
    /// The bytes.
    pub bytes: Bytes,
}

/// A named array in memory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tensor {
    /// Its name in the model.
    pub name: String,
    /// Its role.
    pub role: Role,
    /// The type of its elements.
    pub dtype: DType,
    /// Its dimensions, outermost first. Empty for a scalar.
    pub shape: Vec<u64>,
    /// The address of its first element.
    pub address: u64,
    /// Its size in bytes.
    pub bytes: u64,
}

impl Tensor {
    /// The number of elements of its shape; `None` if that exceeds 64 bits.
    #[must_use]
    pub fn elements(&self) -> Option<u64> {
        self.shape.iter().try_fold(1u64, |product, &dimension| product.checked_mul(dimension))
    }
}

/// The role of a tensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Role {
    /// Written before the first step.
    Input,
    /// Read after the last.
    Output,
    /// A weight or another constant.
    Constant,
    /// An intermediate result.
    Activation,
}

/// A named function or object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Symbol {
    /// Its name.
    pub name: String,
    /// Its address.
    pub address: u64,
    /// Its size in bytes; 0 if unknown.
    pub size: u64,
}

/// One kernel over a range of output elements.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BigStep {
    /// The kernel, as an index into the symbols.
    pub kernel: u32,
    /// The operator that it computes.
    pub operator: String,
    /// The name of its node.
    pub node: String,
    /// The tensor that it writes, as an index into the tensors.
    pub output: u32,
    /// The first element that it computes.
    pub lo: u64,
    /// One past the last.
    pub hi: u64,
    /// The kernel's other arguments: addresses.
    pub arguments: Vec<u64>,
    /// The address of its first instruction.
    pub entry: u64,
    /// The maximum number of steps that it takes.
    pub bound: u64,
}

impl Contents {
    /// The bytes of a section.
    #[must_use]
    pub fn section(&self, name: &str) -> Option<&[u8]> {
        self.sections.iter().find(|section| section.name == name).map(|section| &*section.bytes)
    }

    /// The bytes from the start of a region to the end of its last tensor of a role. The others are zero.
    #[must_use]
    pub fn extent(&self, role: Role, region: Region) -> u64 {
        let tensors = self.tensors.iter().filter(|tensor| tensor.role == role);
        let here = tensors.filter(|tensor| region.range().is_some_and(|all| all.contains(&tensor.address)));
        let end = here.map(|tensor| tensor.address.saturating_add(tensor.bytes)).max();
        end.map_or(0, |end| end - region.address)
    }

    /// The bytes at an address before the first step, shared with the segment that contains all of them. `None`
    /// if there is none.
    #[must_use]
    pub fn initial(&self, address: u64, length: usize) -> Option<Bytes> {
        let after = self.segments.partition_point(|segment| segment.address <= address);
        let segment = self.segments[..after].last()?;
        let start = usize::try_from(address - segment.address).ok()?;
        let end = start.checked_add(length).filter(|&end| end <= segment.bytes.len())?;
        Some(segment.bytes.slice(start..end))
    }

    /// Checks everything except the code itself.
    pub(crate) fn check(&self) -> Result<(), ImageError> {
        let profile = &self.profile;
        if self.code.len() as u64 != profile.code_size() {
            return Err(ImageError::CodeSize { expected: profile.code_size(), found: self.code.len() });
        }
        if profile.code_size() > MAX_CODE {
            let found = profile.code_size();
            return Err(ImageError::TooMany { what: "code", unit: "bytes", found, most: MAX_CODE });
        }
        if !profile.is_code(self.entry) || !self.entry.is_multiple_of(4) {
            return Err(ImageError::Entry { entry: self.entry });
        }
        if self.sp > profile.memory_size() || !self.sp.is_multiple_of(16) {
            return Err(ImageError::StackPointer { sp: self.sp });
        }
        self.check_segments()?;
        self.tensors.iter().try_for_each(|tensor| self.check_tensor(tensor))?;
        self.schedule.iter().enumerate().try_for_each(|(index, step)| self.check_big_step(index, step))?;
        self.check_period()?;
        self.check_sections()?;
        self.interface.iter().try_for_each(|interface| self.check_interface(interface))
    }

    /// No two sections have the same name.
    fn check_sections(&self) -> Result<(), ImageError> {
        let mut names = BTreeSet::new();
        match self.sections.iter().find(|section| !names.insert(&section.name)) {
            Some(twice) => Err(ImageError::Section { name: twice.name.clone() }),
            None => Ok(()),
        }
    }

    /// A period must lie in the schedule, and repeat it a possible number of times.
    fn check_period(&self) -> Result<(), ImageError> {
        let Some(Period { start, count, least, most }) = self.period else { return Ok(()) };
        let big_steps = self.schedule.len();
        match Shape::of(big_steps, self.period) {
            Some(shape) if shape.is_valid() => Ok(()),
            _ => Err(ImageError::Period { start, count, least, most, big_steps }),
        }
    }

    /// Regions must be ascending subtrees of memory apart from scratch, and contain exactly their tensors. An
    /// input region and an output region may be the same.
    fn check_interface(&self, interface: &Interface) -> Result<(), ImageError> {
        let size = self.profile.memory_size();
        let scratch =
            1u64.checked_shl(interface.scratch_bits.into()).and_then(|scratch| size.checked_sub(scratch));
        // Scratch larger than memory is not a subtree either.
        let scratch = Region { address: scratch.unwrap_or(u64::MAX), bits: interface.scratch_bits };
        let scratch = self.subtree(|| "scratch".to_owned(), scratch)?;
        let inputs = self.check_parts("input", Role::Input, &interface.inputs, &scratch)?;
        let outputs = self.check_parts("output", Role::Output, &interface.outputs, &scratch)?;
        for (i, input) in inputs.iter().enumerate() {
            let clash = |output: &&Range<u64>| overlap(input, output) && input != *output;
            if let Some(o) = outputs.iter().position(|output| clash(&output)) {
                let [first, second] = [format!("input region {i}"), format!("output region {o}")];
                let address = input.start.max(outputs[o].start);
                return Err(ImageError::Overlap { first, second, address });
            }
        }
        Ok(())
    }

    /// Checks the regions of a role, and returns their addresses.
    fn check_parts(
        &self,
        what: &'static str,
        role: Role,
        regions: &[Region],
        scratch: &Range<u64>,
    ) -> Result<Vec<Range<u64>>, ImageError> {
        if !(1..=MOST_REGIONS).contains(&regions.len()) {
            return Err(ImageError::RegionCount { what, found: regions.len() });
        }
        let mut ranges: Vec<Range<u64>> = Vec::new();
        for (index, &region) in regions.iter().enumerate() {
            let name = || format!("{what} region {index}");
            let range = self.subtree(name, region)?;
            if overlap(&range, scratch) {
                let (second, address) = ("scratch".to_owned(), range.start.max(scratch.start));
                return Err(ImageError::Overlap { first: name(), second, address });
            }
            if let Some(last) = ranges.last().filter(|last| range.start < last.end) {
                return Err(ImageError::RegionOrder { what, index, address: range.start, end: last.end });
            }
            ranges.push(range);
        }
        let mut empty = vec![true; ranges.len()];
        for tensor in self.tensors.iter().filter(|tensor| tensor.role == role) {
            let home = ranges.iter().position(|range| range.contains(&tensor.address));
            let home = home.filter(|&home| tensor.address + tensor.bytes <= ranges[home].end);
            let home = home.ok_or_else(|| ImageError::NotInRegion { name: tensor.name.clone(), what })?;
            empty[home] = false;
        }
        match empty.iter().position(|&empty| empty) {
            Some(index) => Err(ImageError::EmptyRegion { what, index, address: ranges[index].start }),
            None => Ok(ranges),
        }
    }

    /// The addresses of a region, which must be a subtree of memory.
    fn subtree(&self, what: impl Fn() -> String, region: Region) -> Result<Range<u64>, ImageError> {
        let Region { address, bits } = region;
        let range = region.range().filter(|range| range.end <= self.profile.memory_size());
        range.ok_or_else(|| ImageError::Region { what: what(), address, bits })
    }

    /// Segments must be inside memory, ascending and disjoint, and zero where code hides them.
    fn check_segments(&self) -> Result<(), ImageError> {
        let mut end = 0;
        for (i, segment) in self.segments.iter().enumerate() {
            let (address, len) = (segment.address, segment.bytes.len() as u64);
            let what = || format!("segment {i}");
            self.check_range(what, address, len)?;
            if address < end {
                let first = format!("segment {}", i.saturating_sub(1));
                return Err(ImageError::Overlap { first, second: what(), address });
            }
            end = address + len;
            let code = self.profile.code_base();
            let hidden = code.max(address)..(code + self.profile.code_size()).min(end);
            let bytes = segment.bytes.iter().skip((hidden.start - address) as usize);
            let lost = bytes.take(hidden.end.saturating_sub(hidden.start) as usize).any(|&byte| byte != 0);
            if lost {
                let address = hidden.start;
                return Err(ImageError::Overlap { first: what(), second: "the code".to_owned(), address });
            }
        }
        Ok(())
    }

    /// A tensor must be inside memory and as long as its shape requires.
    fn check_tensor(&self, tensor: &Tensor) -> Result<(), ImageError> {
        let expected = tensor.elements().and_then(|elements| tensor.dtype.bytes(elements));
        if expected != Some(tensor.bytes) {
            let (name, found) = (tensor.name.clone(), tensor.bytes);
            return Err(ImageError::TensorSize { name, expected: Shown(expected), found });
        }
        self.check_range(|| format!("tensor {}", tensor.name), tensor.address, tensor.bytes)
    }

    /// Everything that a big step refers to must exist.
    fn check_big_step(&self, index: usize, step: &BigStep) -> Result<(), ImageError> {
        let missing = |what, found, count| ImageError::Reference { index, what, found, count };
        if step.kernel as usize >= self.symbols.len() {
            return Err(missing("symbol", step.kernel, self.symbols.len()));
        }
        let output = self.tensors.get(step.output as usize);
        let output = output.ok_or_else(|| missing("tensor", step.output, self.tensors.len()))?;
        let count = output.elements().unwrap_or(0);
        if step.lo >= step.hi || step.hi > count {
            return Err(ImageError::Range { index, lo: step.lo, hi: step.hi, count });
        }
        if !self.profile.is_code(step.entry) || !step.entry.is_multiple_of(4) {
            return Err(ImageError::Entry { entry: step.entry });
        }
        Ok(())
    }

    /// Bytes must be inside memory.
    fn check_range(&self, what: impl Fn() -> String, address: u64, len: u64) -> Result<(), ImageError> {
        match address.checked_add(len) {
            Some(end) if end <= self.profile.memory_size() => Ok(()),
            _ => Err(ImageError::Outside { what: what(), address, len, bits: self.profile.memory_bits() }),
        }
    }
}

fn overlap(a: &Range<u64>, b: &Range<u64>) -> bool {
    a.start < b.end && b.start < a.end
}
