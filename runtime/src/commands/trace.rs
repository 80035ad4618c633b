//! `opml trace`: the machine at chosen steps.

use super::disasm::{place, symbol_at};
use crate::cli::Trace;
use crate::failure::Failure;
use crate::machine::{check_reach, prepare, run_exactly};
use crate::output::{Output, count, table};
use image::{BigStep, Image};
use indicatif::ProgressBar;
use interpreter::{Arithmetic, Interpreter};
use isa::{Instruction, Layout, decode};
use serde_json::{Value, json};
use step::{Root, Status};

/// How far ahead of the last step the element that it works on is looked for.
const LOOKAHEAD: u64 = 10_000_000;

/// What is shown of a step.
pub struct Row {
    /// The step.
    pub step: u64,
    /// The state root before it.
    pub root: Root,
    /// The program counter.
    pub pc: u64,
    /// Its place as symbol and offset.
    pub place: String,
    /// The instruction; none if the word is illegal or outside the code.
    pub instruction: Option<Instruction>,
    /// The state of the machine.
    pub status: Status,
    /// The big step that it belongs to, by number.
    pub big_step: Option<usize>,
    /// The element of the big step's output that is computed: the next one that is stored.
    pub element: Option<u64>,
}

/// Shows the steps.
pub fn run(args: &Trace, output: Output) -> Result<(), Failure> {
    args.at.iter().try_for_each(|&step| check_reach(&args.fed, step))?;
    let mut loaded = prepare(&args.fed, Arithmetic::Host)?;
    let bar = output.steps(args.at.iter().max().copied());
    let rows = trace(&loaded.image, &mut loaded.machine, &args.at, &bar)?;
    bar.finish_and_clear();
    let image = &loaded.image;
    let object = Value::Array(rows.iter().map(|row| object(image, row)).collect());
    let mut text = table(["step", "state root", "pc", "place", "instruction", "operator", "element"]);
    for row in &rows {
        text.add_row([
            count(row.step),
            row.root.to_string(),
            format!("{:#x}", row.pc),
            row.place.clone(),
            instruction(row),
            operator(image, row).map(|step| format!("{} ({})", step.operator, step.node)).unwrap_or_default(),
            element(image, row).unwrap_or_default(),
        ]);
    }
    output.result(&object, &text.to_string())
}

/// The instruction, or how the machine ended.
fn instruction(row: &Row) -> String {
    match (row.status, &row.instruction) {
        (Status::Running, Some(instruction)) => instruction.to_string(),
        (Status::Running, None) => "illegal".to_owned(),
        (status, _) => status.to_string(),
    }
}

/// The big step of a row.
pub fn operator<'a>(image: &'a Image, row: &Row) -> Option<&'a BigStep> {
    image.schedule.get(row.big_step?)
}

/// The element as "tensor[index, index]".
pub fn element(image: &Image, row: &Row) -> Option<String> {
    let tensor = image.tensors.get(operator(image, row)?.output as usize)?;
    let mut rest = row.element?;
    let mut indices: Vec<u64> = Vec::new();
    for &size in tensor.shape.iter().rev() {
        indices.push(rest.checked_rem(size)?);
        rest /= size;
    }
    indices.reverse();
    Some(format!("{}{indices:?}", tensor.name))
}

/// A row for machines.
fn object(image: &Image, row: &Row) -> Value {
    let step = operator(image, row);
    json!({
        "step": row.step, "state_root": row.root.to_string(), "pc": row.pc, "place": row.place, "status": row.status.to_string(),
        "instruction": row.instruction.map(|instruction| instruction.to_string()), "big_step": row.big_step,
        "operator": step.map(|step| &step.operator), "node": step.map(|step| &step.node),
        "tensor": step.and_then(|step| image.tensors.get(step.output as usize)).map(|tensor| &tensor.name),
        "element": row.element,
    })
}

/// Looks at a run at some steps, in one pass.
pub fn trace(image: &Image, machine: &mut Interpreter, at: &[u64], bar: &ProgressBar) -> Result<Vec<Row>, Failure> {
    let mut steps = at.to_vec();
    steps.sort_unstable();
    steps.dedup();
    let mut tracer = Tracer { image, calls: call_sites(image), rows: Vec::new(), open: Vec::new() };
    for step in steps {
        while !tracer.open.is_empty() && machine.steps() < step && machine.status() == Status::Running {
            tracer.advance(machine);
        }
        run_exactly(machine, step, bar)?;
        tracer.look(machine);
    }
    let end = machine.steps().saturating_add(LOOKAHEAD);
    while !tracer.open.is_empty() && machine.steps() < end && machine.status() == Status::Running {
        tracer.advance(machine);
    }
    Ok(tracer.rows)
}

/// The return addresses of the calls that start big steps, in the schedule's order.
fn call_sites(image: &Image) -> Vec<u64> {
    let Some(start) = symbol_at(image, image.entry) else { return Vec::new() };
    let range = start.address..start.address + start.size;
    let addresses = range.step_by(4);
    let calls = addresses.filter(|&pc| {
        instruction_at(image, pc).is_some_and(|i| i.rd == 1 && matches!(i.op, isa::Op::Jal | isa::Op::Jalr))
    });
    calls.map(|pc| pc + 4).collect()
}

/// The instruction at an address.
pub fn instruction_at(image: &Image, pc: u64) -> Option<Instruction> {
    let at = usize::try_from(pc.checked_sub(image.profile.code_base())?).ok()?;
    let word = u32::from_le_bytes(*image.code.get(at..)?.first_chunk()?);
    decode(word, image.extensions())
}

/// Rows, some of which still wait for their element.
struct Tracer<'a> {
    image: &'a Image,
    calls: Vec<u64>,
    rows: Vec<Row>,
    /// Rows whose element is not known yet.
    open: Vec<usize>,
}

impl Tracer<'_> {
    /// Adds a row for the machine's next step.
    fn look(&mut self, machine: &mut Interpreter) {
        let pc = machine.pc();
        let big_step = self.big_step(machine);
        if big_step.is_some() && machine.status() == Status::Running {
            self.open.push(self.rows.len());
        }
        self.rows.push(Row {
            step: machine.steps(),
            root: machine.state_root(),
            pc,
            place: place(self.image, pc),
            instruction: instruction_at(self.image, pc),
            status: machine.status(),
            big_step,
            element: None,
        });
    }

    /// The big step that the machine is in. A kernel calls nothing, so `ra` still says who called it.
    fn big_step(&self, machine: &Interpreter) -> Option<usize> {
        let in_start = symbol_at(self.image, machine.pc())?.address == symbol_at(self.image, self.image.entry)?.address;
        let index = if in_start {
            self.calls.iter().position(|&call| machine.pc() < call)
        } else {
            self.calls.iter().position(|&call| machine.x(1) == call)
        };
        index.filter(|&index| index < self.image.schedule.len())
    }

    /// Makes one step; if it stores an output, the rows that waited for it have their element.
    fn advance(&mut self, machine: &mut Interpreter) {
        if let Some(address) = stored(self.image, machine) {
            let Self { image, rows, open, .. } = self;
            open.retain(|&index| {
                let found = output_element(image, &rows[index], address);
                rows[index].element = found;
                found.is_none()
            });
        }
        machine.run(1);
    }
}

/// Where the next instruction stores, if it does.
fn stored(image: &Image, machine: &Interpreter) -> Option<u64> {
    let instruction = instruction_at(image, machine.pc())?;
    let store = instruction.op.entry().layout == Layout::S;
    store.then(|| machine.x(instruction.rs1).wrapping_add_signed(instruction.imm.into()))
}

/// Which element of its big step's output an address is.
fn output_element(image: &Image, row: &Row, address: u64) -> Option<u64> {
    let tensor = image.tensors.get(operator(image, row)?.output as usize)?;
    let offset = address.checked_sub(tensor.address).filter(|&offset| offset < tensor.bytes)?;
    Some(offset / tensor.dtype.size())
}
