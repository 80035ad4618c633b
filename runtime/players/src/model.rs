//! A model that a player can run: its image, and its native code if it was compiled here.

use contracts::cost::{Kind, Schedule, Shape};
use contracts::{B256, Bytes};
use game::regions::commitment;
use game::{Model, Oracle as _, Region, VOID};
use image::Image;
use native::Native;
use prover::{Execution, ExecutionError, model_of};
use serde::{Deserialize, Serialize};
use step::{Root, Tree};
use thiserror::Error;

/// The most bytes of all inputs or all outputs. They are copied as a whole. A transaction can hold far less.
const MOST_BYTES: u64 = 1 << 30;

/// The largest arity that a service can have.
const MOST_ARITY: u64 = 256;

/// The bytes of a transaction without its calldata, at most.
const SIGNED: u64 = 256;

/// A model that can be run.
pub struct LoadedModel {
    /// Its name in logs.
    pub name: String,
    /// Its image.
    pub image: Image,
    /// Its native code, if it was compiled here.
    pub native: Option<Native>,
    /// The registry's commitment to it, and the subject of its games.
    pub commitment: Model,
}

/// The result of a model on its inputs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Computed {
    /// The result, as answers commit to it.
    pub result: B256,
    /// Each output with its root. None if the model has no outputs for the inputs.
    pub outputs: Vec<Output>,
}

/// An output.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Output {
    /// The root of its region.
    #[serde(with = "crate::task::root")]
    pub root: Root,
    /// Its bytes. If there is something else than zeros behind them in its region, they are those of the whole
    /// region; none if that is too large.
    pub bytes: Bytes,
}

impl Computed {
    /// The outputs as an answer gives them: the root of each whose bit is set, the bytes of all others.
    #[must_use]
    pub fn shown(&self, by_root: u64) -> Vec<Bytes> {
        let outputs = self.outputs.iter().zip(0..);
        outputs
            .map(|(output, index)| match is_by_root(by_root, index) {
                true => Bytes::copy_from_slice(&output.root.0),
                false => output.bytes.clone(),
            })
            .collect()
    }

    /// The bytes of all outputs together.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.outputs.iter().map(|output| output.bytes.len() as u64).sum()
    }

    /// Whether an answer can give the outputs like this. It can't give one by its bytes if there is something
    /// else than zeros behind them in its region.
    #[must_use]
    pub fn can_be_shown(&self, by_root: u64, regions: &[Region]) -> bool {
        let mut outputs = self.outputs.iter().zip(regions).zip(0..);
        outputs.all(|((output, region), index)| {
            is_by_root(by_root, index) || output.bytes.len() as u64 == region.bytes
        })
    }

    /// Forgets the bytes of the outputs that are given by their roots. They may be large, and many.
    pub(crate) fn forget(&mut self, by_root: u64) {
        for (output, _) in self.outputs.iter_mut().zip(0..).filter(|(_, index)| is_by_root(by_root, *index)) {
            output.bytes = Bytes::new();
        }
    }
}

/// Whether answers give an output by its root.
#[must_use]
pub fn is_by_root(by_root: u64, index: u32) -> bool {
    by_root.checked_shr(index).unwrap_or(0) & 1 == 1
}

/// Why a model can't be served.
#[derive(Debug, Error)]
pub enum ModelError {
    /// It declares no inputs, outputs or bounds.
    #[error("the image does not declare its inputs, outputs and bounds, or has none")]
    NoInterface,
    /// An input or output is too large to pass around.
    #[error("the {what} have {bytes} bytes; at most {MOST_BYTES} are supported")]
    TooLarge {
        /// Inputs or outputs.
        what: &'static str,
        /// The size in bytes.
        bytes: u64,
    },
    /// The game's rules.
    #[error("the model can't be disputed: {0}")]
    Illegal(#[from] game::Illegal),
    /// A false answer could not be challenged.
    #[error(
        "a challenge of an answer takes {bytes} bytes, but nodes relay at most {}: the inputs and outputs are too many, too far apart",
        chain::MOST_BYTES
    )]
    TooFarApart {
        /// The size of the transaction in bytes.
        bytes: u64,
    },
}

impl LoadedModel {
    /// A model from its image. Until it is [`named`](Self::named), its memory root is its name.
    pub fn new(image: Image, native: Option<Native>) -> Result<Self, ModelError> {
        let commitment = model_of(&image, &image.big_steps()).ok_or(ModelError::NoInterface)?;
        commitment.check()?;
        let name = crate::show::Short(contracts::word(commitment.memory_root)).to_string();
        for (what, regions) in [("inputs", &commitment.inputs), ("outputs", &commitment.outputs)] {
            let bytes = regions.iter().fold(0u64, |sum, region| sum.saturating_add(region.bytes));
            if bytes > MOST_BYTES {
                return Err(ModelError::TooLarge { what, bytes });
            }
        }
        let new = Self { name, image, native, commitment };
        let challenge = Shape::of(&new.commitment, new.longest(), MOST_ARITY);
        let bytes = challenge.bound(Kind::Challenge, &Schedule::OSAKA).bytes + SIGNED;
        if bytes > chain::MOST_BYTES as u64 {
            return Err(ModelError::TooFarApart { bytes });
        }
        Ok(new)
    }

    /// The same model with a name for logs.
    #[must_use]
    pub fn named(self, name: &str) -> Self {
        Self { name: name.to_owned(), ..self }
    }

    /// The maximum number of moves in a game about it.
    #[must_use]
    pub fn most_moves(&self, arity: u64) -> u64 {
        game::Game::most_moves(self.commitment.big_steps(), self.longest(), arity)
    }

    /// Where the inputs are.
    #[must_use]
    pub fn inputs(&self) -> &[Region] {
        &self.commitment.inputs
    }

    /// Where the outputs are.
    #[must_use]
    pub fn outputs(&self) -> &[Region] {
        &self.commitment.outputs
    }

    /// The bound of the longest big step.
    #[must_use]
    pub fn longest(&self) -> u64 {
        self.image.schedule.iter().map(|step| step.bound).max().unwrap_or(0).max(1)
    }

    /// The result of the model's run in the machine, truthful or not.
    pub fn result(&self, machine: &mut Execution) -> Result<Computed, ExecutionError> {
        // The run may use another schedule than the registered one. The result is the same.
        let commitment = machine.model().clone();
        let result = machine.result(&commitment)?;
        let roots = if result == VOID { Vec::new() } else { machine.outputs()?.roots };
        let outputs = roots.into_iter().zip(self.outputs()).map(|(root, region)| {
            let address = region.subtree.address();
            let mut bytes = Bytes::copy_from_slice(machine.read(address, size(region))?);
            if region_root(region, &bytes) != root {
                let whole = Region { bytes: 1 << region.subtree.bits(), ..*region };
                let fits = whole.bytes <= MOST_BYTES;
                bytes = if fits {
                    Bytes::copy_from_slice(machine.read(address, size(&whole))?)
                } else {
                    Bytes::new()
                };
            }
            Ok(Output { root, bytes })
        });
        Ok(Computed {
            result: contracts::word(result),
            outputs: outputs.collect::<Result<_, ExecutionError>>()?,
        })
    }

    /// The model's ID: the hash by which the contracts know it, on every chain.
    #[must_use]
    pub fn id(&self) -> B256 {
        contracts::model_id(&self.commitment)
    }
}

/// The bytes of each region: every tensor's bytes at its address, zeros elsewhere.
#[must_use]
pub fn pack(regions: &[Region], tensors: &[(u64, Vec<u8>)]) -> Vec<Bytes> {
    let packed = regions.iter().map(|region| {
        let mut packed = vec![0; size(region)];
        for (address, tensor) in tensors {
            let Some(at) = address.checked_sub(region.subtree.address()) else { continue };
            let at = usize::try_from(at).unwrap_or(usize::MAX);
            for (to, from) in packed.iter_mut().skip(at).zip(tensor) {
                *to = *from;
            }
        }
        Bytes::from(packed)
    });
    packed.collect()
}

/// The number of bytes in a region. A loaded model has no larger ones than a computer can hold.
pub(crate) fn size(region: &Region) -> usize {
    usize::try_from(region.bytes).unwrap_or(0)
}

/// The root of a region that begins with these bytes, followed by zeros.
#[must_use]
pub fn region_root(region: &Region, bytes: &[u8]) -> Root {
    Tree::of_bytes(bytes, region.subtree.level).root()
}

/// The commitment to inputs with these bytes; `None` if there are more or fewer than regions, or one doesn't fit
/// into its region.
#[must_use]
pub fn inputs_commitment(regions: &[Region], inputs: &[Bytes]) -> Option<B256> {
    let fits = inputs.len() == regions.len()
        && inputs.iter().zip(regions).all(|(input, region)| input.len() as u64 <= 1 << region.subtree.bits());
    let root = |(region, input): (&Region, &Bytes)| region_root(region, input);
    fits.then(|| contracts::word(commitment(&regions.iter().zip(inputs).map(root).collect::<Vec<Root>>())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use compiler::Options;
    use image::Role;
    use std::path::Path;
    use step::MachineProfile;

    #[test]
    fn what_could_not_be_challenged_is_refused() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/mnist-mlp/model.onnx");
        let contents = compiler::compile(&path, &Options::default()).expect("an image").image.into_contents();
        let model = |count: u64| {
            let mut contents = contents.clone();
            let old = contents.profile;
            contents.profile = MachineProfile::new(old.extensions(), 45, old.code_base(), old.code_size())
                .expect("a machine");
            let interface = contents.interface.as_mut().expect("an interface");
            for index in 1..count {
                let regions =
                    [(Role::Input, 0, &mut interface.inputs), (Role::Output, 1, &mut interface.outputs)];
                for (role, half, regions) in regions {
                    let address = (2 * index + half) << 37;
                    let tensor =
                        contents.tensors.iter().find(|tensor| tensor.role == role).expect("a tensor");
                    let name = format!("{}{index}", tensor.name);
                    let (shape, bytes) = (vec![1], tensor.dtype.size());
                    contents.tensors.push(image::Tensor { name, address, shape, bytes, ..tensor.clone() });
                    regions.push(image::Region { address, bits: 5 });
                }
            }
            LoadedModel::new(Image::new(contents).expect("an image"), None)
        };
        assert!(model(32).is_ok());
        let error = model(64).err().expect("too many");
        assert!(matches!(error, ModelError::TooFarApart { bytes: 131_073..200_000 }), "{error}");
    }

    #[test]
    fn inputs_have_a_limit() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/mnist-mlp/model.onnx");
        let model = |beginning: u64| {
            let mut contents =
                compiler::compile(&path, &Options::default()).expect("an image").image.into_contents();
            let old = contents.profile;
            contents.profile = MachineProfile::new(old.extensions(), 40, old.code_base(), old.code_size())
                .expect("a machine");
            let interface = contents.interface.as_mut().expect("an interface");
            interface.inputs = vec![image::Region { address: 1 << 35, bits: 35 }];
            let input =
                contents.tensors.iter_mut().find(|tensor| tensor.role == Role::Input).expect("an input");
            input.address = (1 << 35) + beginning;
            LoadedModel::new(Image::new(contents).expect("an image"), None)
                .map(|model| model.inputs()[0].bytes)
        };
        // The bytes between the start of the region and the tensor count too.
        let size = model(0).expect("a model");
        assert_eq!(model(MOST_BYTES - size).ok(), Some(MOST_BYTES));
        let error = model(MOST_BYTES).expect_err("too large");
        assert_eq!(
            error.to_string(),
            format!("the inputs have {} bytes; at most 1073741824 are supported", MOST_BYTES + size)
        );
    }
}
