//! Steps over a hashed state: recorded with the proofs of a live machine, or verified with those of a
//! witness.

use crate::access::{Access, step};
use crate::floats::Floats;
use crate::profile::MachineProfile;
use crate::state::{State, Status};
use crate::witness::{Part, Reader, WitnessError, write_proof};
use alloc::vec::Vec;
use isa::{Size, SoftFloat};
use merkle::{LEAF, Proof, Root};

/// A live machine that can prove its contents.
pub trait Source {
    /// Its shape.
    fn profile(&self) -> MachineProfile;
    /// Its state, with every root up to date.
    fn state(&mut self) -> State;
    /// Its float registers.
    fn floats(&mut self) -> Floats;
    /// The proof of a leaf of its code.
    fn code_proof(&mut self, leaf: u64) -> Proof;
    /// The proof of a leaf of its memory.
    fn memory_proof(&mut self, leaf: u64) -> Proof;
}

/// The witness of a machine's next step, and the state after that step. The machine doesn't change.
///
/// Fails only if the machine's proofs do not lead to the roots in its state.
pub fn record<S: Source>(source: &mut S) -> Result<(Vec<u8>, State), WitnessError> {
    let state = source.state();
    let (profile, witness) = (source.profile(), state.to_bytes().to_vec());
    let mut machine = Proven { profile, state, floats: Floats::RESET, oracle: Recorder { source, witness } };
    step(&mut machine)?;
    Ok((machine.oracle.witness, machine.state))
}

/// Executes a witnessed step and returns the state root after it, as the contract does.
///
/// Fails if the witness is malformed, or if its state does not have the root `before`.
pub fn verify(profile: MachineProfile, witness: &[u8], before: Root) -> Result<Root, WitnessError> {
    let mut reader = Reader::new(witness);
    let state = State::from_bytes(&reader.take(Part::State)?)?;
    if state.root() != before {
        return Err(WitnessError::State { expected: before, found: state.root() });
    }
    let mut machine = Proven { profile, state, floats: Floats::RESET, oracle: reader };
    step(&mut machine)?;
    machine.oracle.end()?;
    Ok(machine.state.root())
}

/// The source of a witness's parts.
trait Oracle {
    /// The float registers.
    fn floats(&mut self) -> Result<Floats, WitnessError>;
    /// The proof of a leaf of the code or the memory.
    fn proof(&mut self, place: Place) -> Result<Proof, WitnessError>;
}

/// A leaf of one of the two trees.
#[derive(Debug, Clone, Copy)]
struct Place {
    /// The part of the witness.
    part: Part,
    /// Whether it is a leaf of the code.
    code: bool,
    /// Which leaf.
    leaf: u64,
    /// Levels of the tree.
    depth: u32,
}

/// Asks a live machine for proofs and writes them down.
struct Recorder<'a, S> {
    source: &'a mut S,
    witness: Vec<u8>,
}

impl<S: Source> Oracle for Recorder<'_, S> {
    fn floats(&mut self) -> Result<Floats, WitnessError> {
        let floats = self.source.floats();
        floats.write(&mut self.witness);
        Ok(floats)
    }
    fn proof(&mut self, place: Place) -> Result<Proof, WitnessError> {
        let proof = if place.code {
            self.source.code_proof(place.leaf)
        } else {
            self.source.memory_proof(place.leaf)
        };
        write_proof(&proof, &mut self.witness);
        Ok(proof)
    }
}

impl Oracle for Reader<'_> {
    fn floats(&mut self) -> Result<Floats, WitnessError> {
        Floats::read(self)
    }
    fn proof(&mut self, place: Place) -> Result<Proof, WitnessError> {
        Reader::proof(self, place.part, place.depth)
    }
}

/// A machine of which only the hashed state is given. Everything else is proven when it is needed.
struct Proven<O> {
    profile: MachineProfile,
    state: State,
    /// The float registers, once their hash has been opened.
    floats: Floats,
    oracle: O,
}

impl<O: Oracle> Proven<O> {
    /// The index and the proof of the leaf at an address, checked against the state.
    fn leaf(&mut self, part: Part, address: u64) -> Result<(Place, Proof), WitnessError> {
        let code = self.profile.is_code(address);
        let (base, depth, expected) = if code {
            (self.profile.code_base(), self.profile.code_depth(), self.state.code_root)
        } else {
            (0, self.profile.memory_depth(), self.state.memory_root)
        };
        let place = Place { part, code, leaf: (address - base) / LEAF as u64, depth };
        let proof = self.oracle.proof(place)?;
        let found = proof.root(proof.leaf, place.leaf);
        if found != expected {
            return Err(WitnessError::Proof { part, expected, found });
        }
        Ok((place, proof))
    }

    /// Aligned bytes at an address, zero-extended.
    fn load(&mut self, part: Part, address: u64, size: Size) -> Result<u64, WitnessError> {
        let (_, proof) = self.leaf(part, address)?;
        let mut bytes = proof.leaf.memory();
        Ok(bytes_at(&mut bytes, address, size)
            .iter()
            .rev()
            .fold(0, |value, &byte| value << 8 | u64::from(byte)))
    }
}

/// The bytes of an aligned access inside its leaf.
fn bytes_at(leaf: &mut [u8; LEAF], address: u64, size: Size) -> &mut [u8] {
    let start = (address % LEAF as u64) as usize;
    let end = (start + size as usize).min(LEAF);
    &mut leaf[start..end]
}

impl<O: Oracle> Access for Proven<O> {
    type Float = SoftFloat;
    type Error = WitnessError;

    fn profile(&self) -> MachineProfile {
        self.profile
    }
    fn status(&self) -> Status {
        self.state.status
    }
    fn set_status(&mut self, status: Status) {
        self.state.status = status;
    }
    fn pc(&self) -> u64 {
        self.state.pc
    }
    fn set_pc(&mut self, pc: u64) {
        self.state.pc = pc;
    }
    fn fetch(&mut self, address: u64) -> Result<u32, WitnessError> {
        Ok(self.load(Part::Code, address, Size::Word)? as u32)
    }
    fn x(&self, register: u8) -> u64 {
        self.state.x[usize::from(register % 32)]
    }
    fn set_x(&mut self, register: u8, value: u64) {
        self.state.x[usize::from(register % 32)] = value;
    }
    fn open_floats(&mut self) -> Result<(), WitnessError> {
        self.floats = self.oracle.floats()?;
        let (expected, found) = (self.state.float_hash, self.floats.hash());
        if found == expected { Ok(()) } else { Err(WitnessError::Floats { expected, found }) }
    }
    fn f(&self, register: u8) -> u64 {
        self.floats.0[usize::from(register % 32)]
    }
    fn set_f(&mut self, register: u8, value: u64) {
        self.floats.0[usize::from(register % 32)] = value;
        self.state.float_hash = self.floats.hash();
    }
    fn read(&mut self, address: u64, size: Size) -> Result<u64, WitnessError> {
        self.load(Part::Access, address, size)
    }
    fn write(&mut self, address: u64, size: Size, value: u64) -> Result<(), WitnessError> {
        let (place, proof) = self.leaf(Part::Access, address)?;
        let mut bytes = proof.leaf.memory();
        let to = bytes_at(&mut bytes, address, size);
        to.copy_from_slice(&value.to_le_bytes()[..to.len()]);
        self.state.memory_root = proof.root(Root::leaf(bytes), place.leaf);
        Ok(())
    }
}
