//! Describes the linked program: its memory, the tensor table and the schedule.

use image::{BigStep, Contents, ImageError, Interface, MOST_REGIONS, Period, Role, Section, Segment, Tensor};
use step::MachineProfile;

use codegen::link::{self, STACK_BITS, Text};
use dnn_lib::program::{Guard, Node, Program};
use graph::{Graph, TensorId, lower};

use crate::error::{CompileError, ScheduleError, Warning};
use crate::plan::Plan;
use crate::schedule::Schedule;

/// The contents of the image.
pub(crate) fn contents(
    text: Text,
    graph: &Graph,
    used: &[TensorId],
    plan: &Plan,
    schedule: &Schedule,
) -> Result<Contents, CompileError> {
    let size = text.bytes.len() as u64;
    let extensions = text.extensions()?;
    let profile = MachineProfile::new(extensions, plan.memory_bits as u8, text.address, size)
        .map_err(ImageError::from)?;
    let table = Table::of(graph, used);
    let steps = schedule.steps.iter().zip(&text.entries).map(|(step, entry)| {
        let missing = || ScheduleError::Lost { node: step.node.clone() };
        Ok(BigStep {
            kernel: text.kernel(step.definition).ok_or_else(missing)?,
            operator: step.operator.clone(),
            node: step.node.clone(),
            output: table.place(step.output).ok_or_else(missing)?,
            lo: step.lo,
            hi: step.hi,
            arguments: step.addresses(plan),
            entry: entry.address,
            bound: entry.bound,
        })
    });
    let program = program(schedule, &table)?;
    let period = schedule.period.map(period);
    let schedule = steps.collect::<Result<_, ScheduleError>>()?;
    let segments = plan.constants.iter().filter_map(|&id| {
        let bytes = graph.tensor(id).value.clone().filter(|bytes| !bytes.is_empty())?;
        Some(Segment { address: plan.address(id), bytes })
    });
    Ok(Contents {
        profile,
        entry: text.address,
        sp: plan.memory_size(),
        segments: segments.collect(),
        tensors: table.rows.iter().map(|&(role, id)| tensor(graph, plan, role, id)).collect(),
        schedule,
        period,
        interface: warnings(graph).next().is_none().then(|| Interface {
            inputs: plan.inputs.clone(),
            outputs: plan.outputs.clone(),
            scratch_bits: STACK_BITS,
            bound: text.bound,
        }),
        sections: vec![Section::program(program.to_bytes()?)],
        code: text.bytes.into(),
        symbols: text.symbols,
    })
}

/// The period, which is repeated as often as the whole run does it.
fn period(period: link::Period) -> Period {
    // The image refuses a period of more big steps than it can have.
    let [start, count] = [period.start, period.count].map(|step| u32::try_from(step).unwrap_or(u32::MAX));
    Period { start, count, least: period.times, most: period.times }
}

/// The program, over the tensors of the image's table.
fn program(schedule: &Schedule, table: &Table) -> Result<Program, ScheduleError> {
    let mut program = Program { definitions: schedule.definitions.clone(), ..Program::default() };
    let mut last = None;
    for step in &schedule.steps {
        let lost = || ScheduleError::Lost { node: step.node.clone() };
        if last.replace(step.place) != Some(step.place) {
            let inputs = step.inputs.iter().map(|&id| table.place(id));
            let guard = |guard: &lower::Guard| {
                table.place(guard.tensor).map(|tensor| Guard { tensor, when: guard.when })
            };
            let guards = step.guards.iter().map(guard);
            program.nodes.push(Node {
                definition: u32::try_from(step.definition).map_err(|_| lost())?,
                inputs: inputs.collect::<Option<_>>().ok_or_else(lost)?,
                output: table.place(step.output).ok_or_else(lost)?,
                guards: guards.collect::<Option<_>>().ok_or_else(lost)?,
            });
        }
        program.steps.push(u32::try_from(program.nodes.len() - 1).map_err(|_| lost())?);
    }
    Ok(program)
}

/// Why a model can be run but not disputed: its image gets no interface.
pub(crate) fn warnings(graph: &Graph) -> impl Iterator<Item = Warning> + use<> {
    let counts = [("inputs", graph.inputs.len()), ("outputs", graph.outputs.len())];
    let wrong = counts.into_iter().filter(|(_, count)| !(1..=MOST_REGIONS).contains(count));
    wrong.map(|(what, count)| Warning::Undisputable { what, count })
}

/// The tensors of the image's table, in order.
struct Table {
    rows: Vec<(Role, TensorId)>,
    /// For each tensor of the graph, its row.
    places: Vec<Option<u32>>,
}

impl Table {
    /// Inputs and outputs in the order of the model, then all other tensors in memory.
    fn of(graph: &Graph, used: &[TensorId]) -> Self {
        let inputs = graph.inputs.iter().map(|&id| (Role::Input, id));
        let outputs = graph.outputs.iter().map(|&id| (Role::Output, id));
        let others = used.iter().map(|&id| match graph.tensor(id).value {
            Some(_) => (Role::Constant, id),
            None => (Role::Activation, id),
        });
        let mut table = Self { rows: Vec::new(), places: vec![None; graph.tensors.len()] };
        for (role, id) in inputs.chain(outputs).chain(others) {
            let place = &mut table.places[id.index()];
            if place.is_none() {
                *place = u32::try_from(table.rows.len()).ok();
                table.rows.push((role, id));
            }
        }
        table
    }

    fn place(&self, id: TensorId) -> Option<u32> {
        self.places[id.index()]
    }
}

fn tensor(graph: &Graph, plan: &Plan, role: Role, id: TensorId) -> Tensor {
    let tensor = graph.tensor(id);
    Tensor {
        name: tensor.name.clone(),
        role,
        dtype: tensor.ty.dtype,
        shape: tensor.ty.shape.clone(),
        address: plan.address(id),
        bytes: tensor.ty.bytes().unwrap_or(0),
    }
}
