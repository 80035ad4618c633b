//! A model that a player can run: its image, and its native code if the model file is at hand.

use contracts::{Address, B256, Bytes, Listing, Machine, SolValue as _, U256};
use game::{Execution, ExecutionError, Model, Oracle as _, VOID};
use image::{Image, Interface, Region, Role};
use isa::Extensions;
use native::Native;
use step::{Root, Tree};
use thiserror::Error;

/// The most bytes of an input or an output. They are copied as a whole; a transaction takes far less.
const MOST_BYTES: u64 = 1 << 30;

/// A model that can be run.
pub struct LoadedModel {
    /// What is committed.
    pub image: Image,
    /// The same for the host, if it was compiled here.
    pub native: Option<Native>,
    /// What the registry stores of it, and games are about.
    pub commitment: Model,
    interface: Interface,
}

/// The result of a model on an input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Computed {
    /// The output root.
    pub root: B256,
    /// The output; empty if there is none.
    pub output: Bytes,
}

/// Why a model can't be offered.
#[derive(Debug, Error)]
pub enum ModelError {
    /// No inputs, outputs or bounds.
    #[error("the image does not say what its inputs, outputs and bounds are, or has none")]
    NoInterface,
    /// Too much to hand around.
    #[error("the {what} have {bytes} bytes, more than {MOST_BYTES}")]
    TooLarge {
        /// Inputs or outputs.
        what: &'static str,
        /// How many.
        bytes: u64,
    },
    /// A machine that the registry has no verifier for.
    #[error("the registry has no verifier for {} machines yet", .0.name())]
    NoVerifier(Extensions),
    /// The game's rules.
    #[error("the model can't be disputed: {0}")]
    Illegal(#[from] game::Illegal),
}

/// Which of the registry's two verifiers a machine has, that with floats or the other; `None` if neither.
const fn has_floats(extensions: Extensions) -> Option<bool> {
    match extensions {
        Extensions::IM => Some(false),
        Extensions::IMFD => Some(true),
    }
}

impl LoadedModel {
    /// A model by its image.
    pub fn new(image: Image, native: Option<Native>) -> Result<Self, ModelError> {
        let interface = image.interface.ok_or(ModelError::NoInterface)?;
        let commitment = Model::of(&image, &image.big_steps()).ok_or(ModelError::NoInterface)?;
        commitment.check()?;
        let extensions = image.profile.extensions();
        has_floats(extensions).ok_or(ModelError::NoVerifier(extensions))?;
        let model = Self { image, native, commitment, interface };
        for (what, bytes) in [("inputs", model.input_bytes()), ("outputs", model.output_bytes())] {
            match bytes {
                0 => return Err(ModelError::NoInterface),
                1..=MOST_BYTES => {}
                _ => return Err(ModelError::TooLarge { what, bytes }),
            }
        }
        Ok(model)
    }

    /// Where inputs are.
    #[must_use]
    pub fn input(&self) -> Region {
        self.interface.input
    }

    /// Where outputs are.
    #[must_use]
    pub fn output(&self) -> Region {
        self.interface.output
    }

    /// How many bytes an input has: up to the end of the last input tensor.
    #[must_use]
    pub fn input_bytes(&self) -> u64 {
        self.extent(Role::Input, self.interface.input)
    }

    /// How many bytes an output has.
    #[must_use]
    pub fn output_bytes(&self) -> u64 {
        self.extent(Role::Output, self.interface.output)
    }

    fn extent(&self, role: Role, region: Region) -> u64 {
        let tensors = self.image.tensors.iter().filter(|tensor| tensor.role == role);
        tensors.map(|tensor| (tensor.address + tensor.bytes).saturating_sub(region.address)).max().unwrap_or(0)
    }

    /// The machine that judges its steps.
    #[must_use]
    pub fn machine(&self) -> Machine {
        let profile = self.image.profile;
        Machine {
            floats: has_floats(profile.extensions()) == Some(true),
            memoryBits: profile.memory_bits(),
            codeBase: profile.code_base(),
            codeSize: profile.code_size(),
        }
    }

    /// The model as it is offered.
    #[must_use]
    pub fn listing(&self, verifier: Address, licensor: Address, licence_fee: U256, licence: B256) -> Listing {
        Listing {
            model: contracts::model(&self.commitment, verifier),
            inputBytes: self.input_bytes(),
            outputBytes: self.output_bytes(),
            licensor,
            licenceFee: licence_fee.saturating_to(),
            licence,
        }
    }

    /// What comes out of a run of it in the machine, truthful or not.
    pub fn result(&self, machine: &mut Execution) -> Result<Computed, ExecutionError> {
        // The run may be of other phases than the listing's; the result is the same.
        let commitment = *machine.model();
        let root = machine.result(&commitment)?;
        let bytes = usize::try_from(self.output_bytes()).unwrap_or(usize::MAX);
        let output = if root == VOID { &[][..] } else { machine.read(self.output().address, bytes)? };
        Ok(Computed { root: contracts::word(root), output: Bytes::copy_from_slice(output) })
    }

    /// The hash that names the model to contracts.
    #[must_use]
    pub fn hash(&self, verifier: Address) -> B256 {
        B256::new(step::keccak(&contracts::model(&self.commitment, verifier).abi_encode()).0)
    }
}

/// Puts tensors' bytes, given with their addresses, where they lie in a region.
#[must_use]
pub fn pack(region: Region, bytes: u64, tensors: &[(u64, Vec<u8>)]) -> Vec<u8> {
    let mut packed = vec![0; usize::try_from(bytes).unwrap_or(0)];
    for (address, tensor) in tensors {
        let at = usize::try_from(address.saturating_sub(region.address)).unwrap_or(usize::MAX);
        for (to, from) in packed.iter_mut().skip(at).zip(tensor) {
            *to = *from;
        }
    }
    packed
}

/// The root of a region that begins with these bytes and is zero behind them.
#[must_use]
pub fn input_root(region: Region, bytes: &[u8]) -> Root {
    Tree::of_bytes(bytes, u32::from(region.bits).saturating_sub(step::merkle::LEAF.ilog2())).root()
}

#[cfg(test)]
mod tests {
    use super::*;
    use compiler::Options;
    use std::path::Path;
    use step::MachineProfile;

    #[test]
    fn inputs_have_a_limit() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/mnist-mlp/model.onnx");
        let model = |beginning: u64| {
            let mut contents = compiler::compile(&path, &Options::default()).expect("an image").image.into_contents();
            let old = contents.profile;
            contents.profile =
                MachineProfile::new(old.extensions(), 40, old.code_base(), old.code_size()).expect("a machine");
            let interface = contents.interface.as_mut().expect("an interface");
            interface.input = Region { address: 1 << 35, bits: 35 };
            let input = contents.tensors.iter_mut().find(|tensor| tensor.role == Role::Input).expect("an input");
            input.address = (1 << 35) + beginning;
            LoadedModel::new(Image::new(contents).expect("an image"), None).map(|model| model.input_bytes())
        };
        // An input that begins so far from its region's beginning has as many bytes before it.
        let size = model(0).expect("a model");
        assert_eq!(model(MOST_BYTES - size).ok(), Some(MOST_BYTES));
        let error = model(MOST_BYTES).expect_err("too large");
        assert_eq!(error.to_string(), format!("the inputs have {} bytes, more than 1073741824", MOST_BYTES + size));
    }
}
