//! Makes the image: loads the linked program like any other, and adds the tensor table and the schedule.

use image::{BigStep, Image, Interface, MOST_REGIONS, Role, Tensor};
use step::MachineProfile;

use crate::error::{CompileError, LinkError, Warning};
use crate::graph::{Graph, TensorId};
use crate::link::Text;
use crate::plan::{Plan, STACK_BITS};
use crate::schedule::Schedule;

/// Loads the program like any other ELF file, and describes it.
pub(crate) fn image(
    elf: &[u8],
    text: &Text,
    graph: &Graph,
    plan: &Plan,
    schedule: &Schedule,
) -> Result<Image, CompileError> {
    let mut contents = image::elf::read(elf).map_err(LinkError::from)?;
    // The loader provides memory for all addresses, but here the code is above memory.
    let extensions = contents.profile.extensions();
    let (code_base, code_size) = (contents.profile.code_base(), contents.profile.code_size());
    contents.profile = MachineProfile::new(extensions, plan.memory_bits as u8, code_base, code_size)
        .map_err(image::ImageError::from)?;
    contents.sp = plan.memory_size();

    let table = Table::of(graph);
    contents.tensors = table.rows.iter().map(|&(role, id)| tensor(graph, plan, role, id)).collect();
    contents.interface = warnings(graph).next().is_none().then(|| Interface {
        inputs: plan.inputs.clone(),
        outputs: plan.outputs.clone(),
        scratch_bits: STACK_BITS,
        bound: text.bound,
    });
    let symbol = |kernel: usize| {
        let wanted = text.kernels().get(kernel)?;
        let place = contents.symbols.iter().position(|symbol| symbol.name == wanted.name)?;
        u32::try_from(place).ok()
    };
    let steps = schedule.steps.iter().zip(&text.entries).map(|(step, entry)| {
        let missing = || LinkError::Lost { node: step.node.clone() };
        Ok(BigStep {
            kernel: symbol(step.kernel).ok_or_else(missing)?,
            operator: step.operator.to_owned(),
            node: step.node.clone(),
            output: table.place(step.output).ok_or_else(missing)?,
            lo: step.lo,
            hi: step.hi,
            arguments: step.addresses(plan),
            entry: entry.address,
            bound: entry.bound,
        })
    });
    contents.schedule = steps.collect::<Result<_, LinkError>>()?;
    Ok(Image::new(contents)?)
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
    /// Inputs and outputs in the order of the model, then all other used tensors.
    fn of(graph: &Graph) -> Self {
        let used = graph.used();
        let inputs = graph.inputs.iter().map(|&id| (Role::Input, id));
        let outputs = graph.outputs.iter().map(|&id| (Role::Output, id));
        let others = graph.ids().filter(|id| used[id.index()]).map(|id| match graph.tensor(id).value {
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
