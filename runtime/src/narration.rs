//! Describes a dispute in words: the instruction that decides it, what it was computing, and both values.

use crate::commands::trace::{Row, element, element_name, instruction, operator, trace_next};
use crate::failure::Failure;
use crate::output::count;
use game::{Level, Model, Oracle, Segment, VOID, steps};
use image::{BigStep, Image, Role, Tensor};
use isa::{FLOAT_REGISTERS, REGISTERS};
use jit::Jit;
use prover::{Execution, MemoryLimit};
use serde_json::{Value, json};
use step::Floats;
use tensor::DType;

/// The step at which two runs of an image diverge.
pub struct DisputedStep {
    /// The big step.
    pub big_step: u64,
    /// The step, counted from the start of the big step.
    pub step: u64,
    /// Whether the big step is the whole program.
    pub whole: bool,
    /// The machine before the step.
    pub row: Row,
    /// The difference after the step.
    pub difference: Option<Difference>,
}

/// The first difference between two machines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The place: `scores[0, 3]`, `register fa0`, `the byte at 0x1000`.
    pub what: String,
    /// The tensor and the index of the element, if the difference is in a tensor.
    pub element: Option<(String, u64)>,
    /// Its value in the false run.
    pub claimed: String,
    /// Its value in the true run.
    pub right: String,
}

impl DisputedStep {
    /// Searches a segment for the first step at which two runs diverge. `None` if there is none, or if it is
    /// after the end of the run.
    pub fn find(
        image: &Image,
        segment: Segment,
        claimed: &mut Execution,
        right: &mut Execution,
    ) -> Result<Option<Self>, Failure> {
        /// The number of parts into which the search cuts a segment.
        const ARITY: u64 = 20;
        let mut segment = segment;
        loop {
            if segment.units() > 1 {
                let mut differing = None;
                for (number, place) in (1..).zip(segment.boundaries(ARITY)) {
                    if root(segment.level, place, claimed)? != root(segment.level, place, right)? {
                        differing = Some(number);
                        break;
                    }
                }
                let Some(number) = differing else { return Ok(None) };
                segment = segment.part(number, ARITY);
                continue;
            }
            match segment.level {
                Level::BigSteps if right.memory(segment.lo)? == VOID => return Ok(None),
                Level::BigSteps => {
                    let (leaf, _) = right.schedule(segment.lo)?;
                    segment =
                        Segment { level: Level::Steps { big_step: segment.lo }, lo: 0, hi: steps(leaf) };
                }
                Level::Steps { big_step } => {
                    return Self::at(image, big_step, segment.lo, claimed, right).map(Some);
                }
            }
        }
    }

    /// Describes a step at which two runs diverge.
    fn at(
        image: &Image,
        big_step: u64,
        step: u64,
        claimed: &mut Execution,
        right: &mut Execution,
    ) -> Result<Self, Failure> {
        let whole = right.model().big_steps() == 1 && image.schedule.len() != 1;
        let current = if whole { None } else { usize::try_from(right.model().leaf(big_step)).ok() };
        let row = right
            .visit(big_step, step, |machine| trace_next(image, machine, current, &MemoryLimit::none()))??;
        let last = row.big_step;
        let difference = claimed.visit(big_step, step + 1, |claimed| {
            right.visit(big_step, step + 1, |right| difference(image, last, claimed, right))
        })???;
        Ok(Self { big_step, step, whole, row, difference })
    }

    /// The place of the step: `step 1,204 of big step 3 (Gemm, node fc2)`.
    pub fn place(&self, image: &Image) -> String {
        let node = operator(image, &self.row).map(|step| node_name(&step.operator, &step.node));
        let step = count(self.step);
        match (self.whole, node) {
            (true, None) => format!("step {step}"),
            (true, Some(node)) => format!("step {step} ({node})"),
            (false, None) => format!("step {step} of big step {}", self.big_step),
            (false, Some(node)) => format!("step {step} of big step {} ({node})", self.big_step),
        }
    }

    /// The step: the instruction with its address, and the output element that it helps to compute.
    pub fn instruction(&self, image: &Image) -> String {
        let Row { pc, place, .. } = &self.row;
        let at = if place.starts_with("0x") { place.clone() } else { format!("{pc:#x} ({place})") };
        let element = element(image, &self.row).map(|element| format!(", on the way to {element}"));
        format!("`{}` at {at}{}", instruction(&self.row), element.unwrap_or_default())
    }

    /// Both values: `After it scores[0, 3] is 0.5; the asserter claims 2.0.`
    pub fn values(&self, liar: &str) -> String {
        match &self.difference {
            Some(Difference { what, claimed, right, .. }) => {
                format!("After it, {what} is {right}; the {liar} claims {claimed}.")
            }
            None => format!("The {liar} claims another state after it."),
        }
    }

    /// The same facts as JSON.
    pub fn json(&self, image: &Image) -> Value {
        let step = operator(image, &self.row);
        let difference = self.difference.as_ref().map(|difference| {
            let (tensor, element) = difference.element.clone().unzip();
            json!({ "what": difference.what, "tensor": tensor, "element": element,
                    "claimed": difference.claimed, "right": difference.right })
        });
        json!({
            "big_step": if self.whole { self.row.big_step.map(|index| index as u64) } else { Some(self.big_step) },
            "step": self.step, "pc": self.row.pc, "place": self.row.place, "instruction": instruction(&self.row),
            "operator": step.map(|step| &step.operator), "node": step.map(|step| &step.node),
            "output_element": element(image, &self.row), "difference": difference,
        })
    }
}

/// What a big step of a run computes; `None` if it is the whole program.
pub fn node_at<'a>(image: &'a Image, model: &Model, big_step: u64) -> Option<&'a BigStep> {
    let leaf = usize::try_from(model.leaf(big_step)).ok()?;
    image.schedule.get(leaf).filter(|_| model.shape.leaves() > 1)
}

/// An operator and its node, as briefly as is unambiguous.
pub fn node_name(operator: &str, node: &str) -> String {
    match (operator, node) {
        ("", name) | (name, "") => name.to_owned(),
        _ if node == operator => operator.to_owned(),
        _ => format!("{operator}, node {node}"),
    }
}

/// The root at a place of a run.
fn root(level: Level, place: u64, run: &mut Execution) -> Result<step::Root, Failure> {
    Ok(match level {
        Level::BigSteps => run.memory(place)?,
        Level::Steps { big_step } => run.state(big_step, place)?,
    })
}

/// The first difference between two machines: in memory, then in registers, then in how they continue.
fn difference(
    image: &Image,
    big_step: Option<usize>,
    claimed: &mut Jit,
    right: &mut Jit,
) -> Result<Option<Difference>, Failure> {
    if let Some(address) = differing_byte(image, claimed, right) {
        return Ok(Some(difference_at(image, big_step, address, claimed, right)));
    }
    let plain =
        |what: String, claimed: String, right: String| Difference { what, element: None, claimed, right };
    for (register, name) in (0u8..).zip(REGISTERS) {
        let (claimed, right) = (claimed.x(register), right.x(register));
        if claimed != right {
            return Ok(Some(plain(
                format!("register {name}"),
                format!("{claimed:#x}"),
                format!("{right:#x}"),
            )));
        }
    }
    let (Floats(claimed_floats), Floats(right_floats)) =
        (claimed.interpreter().floats(), right.interpreter().floats());
    for (name, (claimed, right)) in FLOAT_REGISTERS.iter().zip(claimed_floats.into_iter().zip(right_floats)) {
        if claimed != right {
            return Ok(Some(plain(format!("register {name}"), float(claimed), float(right))));
        }
    }
    if claimed.pc() != right.pc() {
        let [claimed, right] = [claimed.pc(), right.pc()].map(|pc| format!("{pc:#x}"));
        return Ok(Some(plain("the program counter".to_owned(), claimed, right)));
    }
    let [claimed, right] = [claimed.status(), right.status()];
    Ok((claimed != right).then(|| plain("the status".to_owned(), claimed.to_string(), right.to_string())))
}

/// The address of the first byte of memory that differs, found from the root downwards.
fn differing_byte(image: &Image, claimed: &mut Jit, right: &mut Jit) -> Option<u64> {
    const LEAF_BITS: u32 = step::merkle::LEAF.ilog2();
    let mut bits = u32::from(image.profile.memory_bits());
    let mut address = 0;
    let same = |address, bits, claimed: &mut Jit, right: &mut Jit| {
        claimed.subtree(address, bits).leaf == right.subtree(address, bits).leaf
    };
    if same(address, bits, claimed, right) {
        return None;
    }
    while bits > LEAF_BITS {
        bits -= 1;
        if same(address, bits, claimed, right) {
            address += 1 << bits;
        }
    }
    let bytes = |machine: &Jit| machine.read_memory(address, step::merkle::LEAF).map(<[u8]>::to_vec);
    let offset = bytes(claimed)?.iter().zip(bytes(right)?).position(|(claimed, right)| *claimed != right)?;
    Some(address + offset as u64)
}

/// The difference at an address: an element if there is a tensor, otherwise the byte.
fn difference_at(
    image: &Image,
    big_step: Option<usize>,
    address: u64,
    claimed: &Jit,
    right: &Jit,
) -> Difference {
    if let Some(tensor) = tensor_at(image, big_step, address) {
        let (offset, size) = (address - tensor.address, tensor.dtype.size());
        let (index, first) = (tensor.dtype.element_at(offset), address - offset % size);
        let read = |machine: &Jit| machine.read_memory(first, size as usize).map(<[u8]>::to_vec);
        if let (Some(what), Some(claimed), Some(right)) =
            (element_name(tensor, index), read(claimed), read(right))
        {
            let element = Some((tensor.name.clone(), index));
            let [claimed, right] = [claimed, right].map(|bytes| value(tensor.dtype, &bytes));
            return Difference { what, element, claimed, right };
        }
    }
    let [claimed, right] = [claimed, right].map(|machine| {
        machine
            .read_memory(address, 1)
            .map_or_else(|| "not in memory".to_owned(), |byte| format!("{:#04x}", byte[0]))
    });
    Difference { what: format!("the byte at {address:#x}"), element: None, claimed, right }
}

/// The tensor at an address during a big step. Tensors may share memory; this is the one that was written
/// last.
pub fn tensor_at(image: &Image, big_step: Option<usize>, address: u64) -> Option<&Tensor> {
    let holds =
        |tensor: &&Tensor| (tensor.address..tensor.address.saturating_add(tensor.bytes)).contains(&address);
    let run =
        big_step.map_or(image.schedule.len(), |index| index.saturating_add(1)).min(image.schedule.len());
    let written =
        image.schedule[..run].iter().rev().filter_map(|step| image.tensors.get(step.output as usize));
    let given = || image.tensors.iter().filter(|tensor| matches!(tensor.role, Role::Constant | Role::Input));
    written
        .into_iter()
        .find(holds)
        .or_else(|| given().find(holds))
        .or_else(|| image.tensors.iter().find(holds))
}

/// An element for people, as short as is exact.
pub fn value(dtype: DType, bytes: &[u8]) -> String {
    let mut word = [0; 8];
    word.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
    let unsigned = u64::from_le_bytes(word);
    match dtype {
        DType::F32 => format!("{:?}", f32::from_bits(unsigned as u32)),
        DType::F64 => format!("{:?}", f64::from_bits(unsigned)),
        DType::I8 => (unsigned as i8).to_string(),
        DType::I16 => (unsigned as i16).to_string(),
        DType::I32 => (unsigned as i32).to_string(),
        DType::I64 => (unsigned as i64).to_string(),
        DType::U8 | DType::U16 | DType::U32 | DType::U64 => unsigned.to_string(),
        DType::Bool => (unsigned != 0).to_string(),
        // Their bits are exact; those of packed elements are a byte.
        DType::F16 | DType::BF16 => format!("{unsigned:#06x}"),
        _ => format!("{unsigned:#04x}"),
    }
}

/// A float register for people: a boxed binary32, or a binary64.
fn float(bits: u64) -> String {
    if bits >> 32 == u64::from(u32::MAX) {
        format!("{:?}", f32::from_bits(bits as u32))
    } else {
        format!("{:?}", f64::from_bits(bits))
    }
}

/// Text in lines of at most `width` characters, broken between words.
pub fn wrapped(text: &str, width: usize) -> String {
    let mut lines = String::new();
    for line in text.lines() {
        let mut length = 0;
        for word in line.split(' ') {
            let letters = word.chars().count();
            if length > 0 && length + 1 + letters > width {
                lines.push('\n');
                length = 0;
            } else if length > 0 {
                lines.push(' ');
                length += 1;
            }
            lines.push_str(word);
            length += letters;
        }
        lines.push('\n');
    }
    lines.truncate(lines.trim_end().len());
    lines
}

/// A line of at most `width` characters. Longer text ends in "…".
pub fn cut(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    text.chars().take(width.saturating_sub(1)).chain(['…']).collect()
}

/// A segment for people: `big steps 0 to 5`, `step 1,204 of big step 3`.
pub fn range(segment: Segment) -> String {
    let units = |unit: &str| match segment.units() {
        0 | 1 => format!("{unit} {}", count(segment.lo)),
        _ => format!("{unit}s {} to {}", count(segment.lo), count(segment.hi - 1)),
    };
    match segment.level {
        Level::BigSteps => units("big step"),
        Level::Steps { big_step } => format!("{} of big step {big_step}", units("step")),
    }
}

/// A shortened address or hash, for people who only need to recognise it: `0x7099…79c8`.
pub fn short_hex(number: impl std::fmt::Display) -> String {
    let text = number.to_string();
    match (text.get(..6), text.get(text.len().saturating_sub(4)..)) {
        (Some(head), Some(tail)) if text.len() > 14 => format!("{head}…{tail}"),
        _ => text,
    }
}
