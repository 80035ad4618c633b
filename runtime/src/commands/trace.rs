//! `opml trace`: shows the machine at chosen steps.

use super::disasm::{place, symbol_at};
use crate::cli::{Backend, Trace};
use crate::failure::Failure;
use crate::machine::{check_reach, prepare, run_by, run_exactly, run_to};
use crate::output::{Output, count, table};
use image::{BigStep, Image, Tensor};
use indicatif::ProgressBar;
use interpreter::Interpreter;
use isa::{Instruction, Layout, decode};
use jit::Jit;
use prover::MemoryLimit;
use serde_json::{Value, json};
use step::{Root, Status};

/// How many steps ahead to search for the element that a step computes.
const LOOKAHEAD: u64 = 10_000_000;

/// The maximum number of rows.
const MAX_ROWS: usize = 100_000;

/// A row of a trace: one step.
pub struct Row {
    /// The step.
    pub step: u64,
    /// The state root before it.
    pub root: Root,
    /// The program counter.
    pub pc: u64,
    /// The program counter as symbol and offset.
    pub place: String,
    /// The instruction; `None` if the word is illegal or outside the code.
    pub instruction: Option<Instruction>,
    /// The machine's status.
    pub status: Status,
    /// The index of its big step.
    pub big_step: Option<usize>,
    /// The element of the big step's output that the step helps to compute: the next one to be stored.
    pub element: Option<u64>,
}

/// Runs the image and shows the steps.
pub fn run(args: &Trace, output: Output) -> Result<(), Failure> {
    let at = chosen(args)?;
    let mut loaded = prepare(&args.run, Backend::Jit)?;
    let bar = output.steps(at.last().copied().filter(|_| args.every.is_none()));
    let mut tracer = Tracer::new(&loaded.image, &loaded.memory, &bar);
    match args.every {
        Some(every) => tracer.trace_every(&mut loaded.machine, every, args.run.limits.max_steps, &at)?,
        None => tracer.trace(&mut loaded.machine, &at)?,
    }
    let rows = tracer.rows;
    bar.finish_and_clear();
    let image = &loaded.image;
    let object = json!({ "steps": rows.iter().map(|row| object(image, row)).collect::<Vec<_>>() });
    let mut text = table(["step", "pc", "place", "instruction", "operator", "element"]);
    // Roots are as wide as a page, so they get a separate table.
    let mut roots = table(["step", "state root"]);
    for row in &rows {
        roots.add_row([count(row.step), row.root.to_string()]);
        text.add_row([
            count(row.step),
            format!("{:#x}", row.pc),
            row.place.clone(),
            instruction(row),
            operator(image, row).map(named).unwrap_or_default(),
            element(image, row).unwrap_or_default(),
        ]);
    }
    output.result(&object, &format!("{text}\n\n{roots}"))
}

/// The instruction, or how the machine ended.
pub fn instruction(row: &Row) -> String {
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
    element_name(image.tensors.get(operator(image, row)?.output as usize)?, row.element?)
}

/// An element of a tensor as "tensor[index, index]"; `None` if the tensor is smaller.
pub fn element_name(tensor: &Tensor, element: u64) -> Option<String> {
    let mut rest = element;
    let mut indices: Vec<u64> = Vec::new();
    for &size in tensor.shape.iter().rev() {
        indices.push(rest.checked_rem(size)?);
        rest /= size;
    }
    indices.reverse();
    (rest == 0).then(|| format!("{}{indices:?}", tensor.name))
}

/// A row as JSON.
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

/// The steps of `--at`, sorted.
fn chosen(args: &Trace) -> Result<Vec<u64>, Failure> {
    let total = args.at.iter().fold(0u64, |sum, steps| sum.saturating_add(steps.0.end - steps.0.start));
    if total > MAX_ROWS as u64 {
        return Err(too_many().hint("use --every STEPS for an overview of a long run"));
    }
    for steps in &args.at {
        check_reach(&args.run, steps.0.end.saturating_sub(1).max(steps.0.start))?;
    }
    let mut steps: Vec<u64> = args.at.iter().flat_map(|steps| steps.0.clone()).collect();
    steps.sort_unstable();
    steps.dedup();
    Ok(steps)
}

/// The error for too many rows.
fn too_many() -> Failure {
    Failure::new(format!("this would show more than {} steps", count(MAX_ROWS as u64)))
}

/// Traces these steps in one pass. They must be sorted.
pub fn trace(
    image: &Image,
    machine: &mut Jit,
    at: &[u64],
    memory: &MemoryLimit,
    bar: &ProgressBar,
) -> Result<Vec<Row>, Failure> {
    let mut tracer = Tracer::new(image, memory, bar);
    tracer.trace(machine, at)?;
    Ok(tracer.rows)
}

/// Traces the next step of a machine in the given big step, or in a run of the whole program if `None`.
pub fn trace_next(
    image: &Image,
    machine: &mut Jit,
    big_step: Option<usize>,
    memory: &MemoryLimit,
) -> Result<Row, Failure> {
    let bar = ProgressBar::hidden();
    let mut tracer = Tracer { big_step, ..Tracer::new(image, memory, &bar) };
    tracer.trace(machine, &[machine.steps()])?;
    tracer.rows.pop().ok_or_else(|| Failure::new("there is no next step"))
}

/// The return addresses of the calls that start big steps, in the schedule's order.
fn call_sites(image: &Image) -> Vec<u64> {
    let Some(start) = symbol_at(image, image.entry) else { return Vec::new() };
    // The size of a symbol is unchecked.
    let code = image.profile.code_base() + image.profile.code_size();
    let range = start.address..start.address.saturating_add(start.size).min(code);
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

/// Rows under construction. Some still lack their element.
struct Tracer<'a> {
    image: &'a Image,
    memory: &'a MemoryLimit,
    bar: &'a ProgressBar,
    /// The big step of all rows, if the machine runs only that one.
    big_step: Option<usize>,
    /// The return addresses of the calls that start big steps.
    calls: Vec<u64>,
    /// The addresses of the instructions that store.
    stores: Vec<u64>,
    rows: Vec<Row>,
    /// Rows whose element has not been found yet.
    open: Vec<usize>,
}

impl<'a> Tracer<'a> {
    fn new(image: &'a Image, memory: &'a MemoryLimit, bar: &'a ProgressBar) -> Self {
        let (calls, stores) = (call_sites(image), stores(image));
        Self { image, memory, bar, big_step: None, calls, stores, rows: Vec::new(), open: Vec::new() }
    }

    /// Traces these steps, which must be sorted.
    fn trace(&mut self, machine: &mut Jit, at: &[u64]) -> Result<(), Failure> {
        for &step in at {
            self.seek(machine, step)?;
            run_exactly(machine, step, self.memory, self.bar)?;
            self.look(machine, true)?;
        }
        self.seek(machine, u64::MAX)
    }

    /// Traces every `every`-th step up to the end of the run, or up to `max`, and additional steps, which
    /// must be sorted.
    fn trace_every(&mut self, machine: &mut Jit, every: u64, max: u64, at: &[u64]) -> Result<(), Failure> {
        let mut at = at.iter().copied().peekable();
        let mut point = Some(0);
        while let Some(step) = at.peek().copied().into_iter().chain(point).min() {
            self.seek(machine, step)?;
            let chosen = at.next_if_eq(&step).is_some();
            if chosen {
                run_exactly(machine, step, self.memory, self.bar)?;
            } else {
                run_to(machine, step, self.memory, self.bar)?;
            }
            self.look(machine, chosen)?;
            if point == Some(step) {
                point = Some(step.saturating_add(every).min(max)).filter(|&next| next > step);
            }
            if machine.status() != Status::Running {
                point = None;
            }
        }
        self.seek(machine, u64::MAX)
    }

    /// Adds a row for the machine's next step. With `element`, searches for its element from now on.
    fn look(&mut self, machine: &mut Jit, element: bool) -> Result<(), Failure> {
        if self.rows.len() == MAX_ROWS {
            return Err(too_many().hint("raise --every"));
        }
        let pc = machine.pc();
        let big_step = self.big_step(machine);
        if element && big_step.is_some() && machine.status() == Status::Running {
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
        Ok(())
    }

    /// Continues the run to find the missing elements, but neither beyond a step nor for too long. The
    /// machine runs at full speed from store to store.
    fn seek(&mut self, machine: &mut Jit, step: u64) -> Result<(), Failure> {
        let Some(&last) = self.open.last() else { return Ok(()) };
        let end = self.rows[last].step.saturating_add(LOOKAHEAD);
        let Self { image, memory, bar, stores, rows, open, .. } = self;
        run_by(machine, end.min(step), memory, bar, |machine, steps| {
            machine.run_watched(steps, stores, |machine| {
                if let Some(address) = stored(image, machine) {
                    open.retain(|&index| {
                        rows[index].element = output_element(image, &rows[index], address);
                        rows[index].element.is_none()
                    });
                }
                !open.is_empty()
            });
            !open.is_empty()
        })?;
        if end <= step {
            self.open.clear();
        }
        Ok(())
    }

    /// The machine's current big step. A kernel calls nothing, so `ra` still points to its caller.
    fn big_step(&self, machine: &Jit) -> Option<usize> {
        if self.big_step.is_some() {
            return self.big_step;
        }
        let in_start =
            symbol_at(self.image, machine.pc())?.address == symbol_at(self.image, self.image.entry)?.address;
        let index = if in_start {
            self.calls.iter().position(|&call| machine.pc() < call)
        } else {
            self.calls.iter().position(|&call| machine.x(1) == call)
        };
        index.filter(|&index| index < self.image.schedule.len())
    }
}

/// The addresses of the instructions that store.
fn stores(image: &Image) -> Vec<u64> {
    let range = image.profile.code_base()..image.profile.code_base() + image.profile.code_size();
    let stores = |&pc: &u64| instruction_at(image, pc).is_some_and(|i| i.op.entry().layout == Layout::S);
    range.step_by(4).filter(stores).collect()
}

/// The address that the next instruction stores to, if it is a store.
fn stored(image: &Image, machine: &Interpreter) -> Option<u64> {
    let instruction = instruction_at(image, machine.pc())?;
    let store = instruction.op.entry().layout == Layout::S;
    store.then(|| machine.x(instruction.rs1).wrapping_add_signed(instruction.imm.into()))
}

/// The element of its big step's output at an address.
fn output_element(image: &Image, row: &Row, address: u64) -> Option<u64> {
    let tensor = image.tensors.get(operator(image, row)?.output as usize)?;
    let offset = address.checked_sub(tensor.address).filter(|&offset| offset < tensor.bytes)?;
    Some(tensor.dtype.element_at(offset))
}

/// `Conv (conv1)`; a program has no nodes.
fn named(step: &BigStep) -> String {
    match &*step.node {
        "" => step.operator.clone(),
        node => format!("{} ({node})", step.operator),
    }
}
