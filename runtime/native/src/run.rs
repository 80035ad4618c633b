//! An inference, one big step at a time.

use image::{Image, Region, Role, Tensor};
use interpreter::Interpreter;
use memory::{Checkpoints, Memory, Snapshot};
use std::fmt::{Debug, Formatter};
use step::merkle::LEAF;
use step::{Root, Tree};

use crate::{Native, NativeError};

/// A run of a model on some inputs. It always stands between two big steps.
pub struct Run {
    native: Native,
    image: Image,
    memory: Memory,
    boundary: u64,
    /// Memory before the first big step, and at every boundary that was asked about.
    checkpoints: Checkpoints<u64, Snapshot>,
}

impl Debug for Run {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Run").field("boundary", &self.boundary).finish_non_exhaustive()
    }
}

impl Run {
    /// A run before its first big step. The image must be the model's, and the inputs in its order.
    pub fn new(native: &Native, image: &Image, inputs: &[&[u8]]) -> Result<Self, NativeError> {
        check_image(native, image)?;
        let expected: Vec<u64> = tensors(image, Role::Input).map(|tensor| tensor.bytes).collect();
        let count = expected.len();
        for index in 0..count.max(inputs.len()) {
            let expected = expected.get(index).copied();
            let found = inputs.get(index).map(|input| input.len() as u64);
            if expected != found {
                let (expected, found) = (expected.unwrap_or(0), found.unwrap_or(0));
                return Err(NativeError::Input { index, count, expected, found });
            }
        }
        let mut memory = image.memory()?;
        for (tensor, input) in tensors(image, Role::Input).zip(inputs) {
            // An image's tensors are always inside memory.
            let _ = memory.write(tensor.address, input);
        }
        Self::over(native, image, memory)
    }

    /// A run over memory of the model's image that holds the inputs.
    pub fn over(native: &Native, image: &Image, memory: Memory) -> Result<Self, NativeError> {
        check_image(native, image)?;
        let (native, image, checkpoints) = (native.clone(), image.clone(), Checkpoints::default());
        let mut new = Self { native, image, memory, boundary: 0, checkpoints };
        new.keep();
        Ok(new)
    }

    /// The number of big steps run so far.
    #[must_use]
    pub fn boundary(&self) -> u64 {
        self.boundary
    }

    /// Goes to a boundary, from here or from the last checkpoint before it.
    pub fn run_to(&mut self, boundary: u64) -> Result<(), NativeError> {
        let count = self.native.big_steps();
        if boundary > count {
            return Err(NativeError::Boundary { from: self.boundary, to: boundary, count });
        }
        // The first checkpoint is never dropped, so there is always one.
        let kept = self.checkpoints.before(boundary);
        if let Some((at, snapshot)) = kept.filter(|(at, _)| boundary < self.boundary || *at > self.boundary) {
            // The snapshot was taken from this memory.
            let _ = self.memory.restore(snapshot);
            self.boundary = at;
        }
        self.native.run_range(&mut self.memory, self.boundary..boundary)?;
        self.boundary = boundary;
        Ok(())
    }

    /// The memory root after this many big steps. Scratch is zero.
    pub fn memory_root_at(&mut self, boundary: u64) -> Result<Root, NativeError> {
        self.run_to(boundary)?;
        self.keep();
        Ok(self.memory.root())
    }

    /// Memory after this many big steps, for another memory of the same image.
    pub fn snapshot_at(&mut self, boundary: u64) -> Result<Snapshot, NativeError> {
        self.run_to(boundary)?;
        self.keep();
        Ok(self.memory.snapshot())
    }

    /// Keeps a checkpoint here, unless there is one already.
    fn keep(&mut self) {
        if !self.checkpoints.has(self.boundary) {
            let snapshot = self.memory.snapshot();
            let copied = snapshot.copied();
            self.checkpoints.keep(self.boundary, snapshot, self.boundary, copied);
        }
    }

    /// Memory, with its tree.
    pub fn memory(&mut self) -> &mut Memory {
        &mut self.memory
    }

    /// Runs to the end and returns the outputs.
    pub fn outputs(&mut self) -> Result<Vec<Vec<u8>>, NativeError> {
        self.run_to(self.native.big_steps())?;
        let bytes =
            |tensor: &Tensor| self.memory.read(tensor.address, tensor.bytes as usize).map(<[u8]>::to_vec);
        Ok(tensors(&self.image, Role::Output).filter_map(bytes).collect())
    }

    /// Runs to the end and returns the roots of the output parts. Nothing else is hashed: without a dispute,
    /// this is the whole cost of a commitment.
    pub fn output_roots(&mut self) -> Result<Vec<Root>, NativeError> {
        self.run_to(self.native.big_steps())?;
        let outputs = self.image.interface.as_ref().map_or(&[][..], |interface| &interface.outputs);
        let root = |region: &Region| {
            let bytes = self.memory.read(region.address, 1 << region.bits).unwrap_or_default();
            Tree::of_bytes(bytes, u32::from(region.bits) - LEAF.ilog2()).root()
        };
        Ok(outputs.iter().map(root).collect())
    }

    /// The machine before the next big step, as the contract derives it: memory as it is here, registers as
    /// at reset, pc at the big step's entry. `None` after the last big step.
    pub fn machine(&mut self) -> Result<Option<Interpreter>, NativeError> {
        let index = self.native.index(self.boundary).and_then(|index| usize::try_from(index).ok());
        let Some(step) = index.and_then(|index| self.image.schedule.get(index)) else { return Ok(None) };
        let mut machine = Interpreter::new(&self.image)?;
        // Both use the memory of the same image.
        let _ = machine.memory_mut().restore(&self.memory.snapshot());
        machine.set_x(2, self.image.profile.memory_size());
        machine.set_pc(step.entry);
        Ok(Some(machine))
    }
}

/// The image must be the model's.
fn check_image(native: &Native, image: &Image) -> Result<(), NativeError> {
    let (expected, found) = (native.model.state_root, image.state().root());
    if expected == found { Ok(()) } else { Err(NativeError::OtherImage { expected, found }) }
}

fn tensors(image: &Image, role: Role) -> impl Iterator<Item = &Tensor> {
    image.tensors.iter().filter(move |tensor| tensor.role == role)
}
