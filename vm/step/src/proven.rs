//! Steps over a hashed state: recorded with the proofs of a live machine, or verified with those of a
//! witness.

use crate::access::{Access, step};
use crate::floats::{self, Floats};
use crate::packed::Packed;
use crate::profile::MachineProfile;
use crate::state::{Core, Form, State, Status};
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
    let (state, profile) = (source.state(), source.profile());
    let form = Form::from(&state);
    let mut witness = Vec::new();
    form.core.write(&mut witness);
    let oracle = Recorder { source, roots: form.roots, witness };
    let (before, after, oracle) = Proven::new(profile, form.core, oracle).step()?;
    let (expected, found) = (form.root(), before.root());
    if found != expected {
        return Err(WitnessError::State { expected, found });
    }
    Ok((oracle.witness, State::from(&after)))
}

/// Executes a witnessed step and returns the state root after it, as the contract does.
///
/// Fails if the witness is malformed, or if its state does not have the root `before`.
pub fn verify(profile: MachineProfile, witness: &[u8], before: Root) -> Result<Root, WitnessError> {
    let mut reader = Reader::new(witness);
    let core = Core::read(&mut reader)?;
    let (state, after, reader) = Proven::new(profile, core, reader).step()?;
    reader.end()?;
    // Only here is it known that the step was made from this state.
    let found = state.root();
    if found == before { Ok(after.root()) } else { Err(WitnessError::State { expected: before, found }) }
}

/// The program counter and the word of the instruction in the witness of a step that fetches one.
#[must_use]
pub fn instruction_of(witness: &[u8]) -> Option<(u64, u32)> {
    let mut reader = Reader::new(witness);
    let pc = Core::read(&mut reader).ok()?.pc();
    let mut leaf = Root(reader.take(Part::Code).ok()?).memory();
    let word = bytes_at(&mut leaf, pc, Size::Word).first_chunk()?;
    pc.is_multiple_of(4).then_some((pc, u32::from_le_bytes(*word)))
}

/// The source of a witness's parts.
trait Oracle {
    /// The float registers.
    fn floats(&mut self) -> Result<Packed, WitnessError>;
    /// The proof of a leaf of the code or the memory.
    fn proof(&mut self, place: Place) -> Result<Proof, WitnessError>;
    /// A hash of the state that no part has given.
    fn root(&mut self, hash: Hash) -> Result<Root, WitnessError>;
}

/// A hash of the state.
#[derive(Debug, Clone, Copy)]
enum Hash {
    Code,
    Memory,
    Floats,
}

impl Hash {
    /// All, in the order in which they are in the state.
    const ALL: [Self; 3] = [Self::Code, Self::Memory, Self::Floats];
}

/// A leaf of one of the two trees.
#[derive(Debug, Clone, Copy)]
struct Place {
    /// The part of the witness.
    part: Part,
    /// Whose root it belongs to.
    tree: Hash,
    /// Which leaf.
    leaf: u64,
    /// Levels of the tree.
    depth: u32,
}

/// Asks a live machine for proofs and writes them down.
struct Recorder<'a, S> {
    source: &'a mut S,
    roots: [Root; 3],
    witness: Vec<u8>,
}

impl<S: Source> Oracle for Recorder<'_, S> {
    fn floats(&mut self) -> Result<Packed, WitnessError> {
        let floats = self.source.floats().packed();
        floats.write(&mut self.witness);
        Ok(floats)
    }
    fn proof(&mut self, place: Place) -> Result<Proof, WitnessError> {
        let proof = match place.tree {
            Hash::Code => self.source.code_proof(place.leaf),
            _ => self.source.memory_proof(place.leaf),
        };
        write_proof(&proof, &mut self.witness);
        Ok(proof)
    }
    fn root(&mut self, hash: Hash) -> Result<Root, WitnessError> {
        let root = self.roots[hash as usize];
        self.witness.extend(root.0);
        Ok(root)
    }
}

impl Oracle for Reader<'_> {
    fn floats(&mut self) -> Result<Packed, WitnessError> {
        Packed::read(self, Part::Floats)
    }
    fn proof(&mut self, place: Place) -> Result<Proof, WitnessError> {
        Reader::proof(self, place.part, place.depth)
    }
    fn root(&mut self, _: Hash) -> Result<Root, WitnessError> {
        self.take(Part::Roots).map(Root)
    }
}

/// A machine of which only status, registers and pc are given; everything else is shown when it is needed.
struct Proven<O> {
    profile: MachineProfile,
    /// What the witness starts with.
    before: Core,
    /// The same after what was executed so far.
    after: Core,
    /// The hashes of the state before the step, as far as they follow from what was shown.
    shown: [Option<Root>; 3],
    /// The hashes that the step has changed.
    changed: [Option<Root>; 3],
    /// What the float registers are, once they are open.
    floats: Packed,
    oracle: O,
}

impl<O: Oracle> Proven<O> {
    fn new(profile: MachineProfile, core: Core, oracle: O) -> Self {
        let floats = Floats::RESET.packed();
        Self { profile, before: core, after: core, shown: [None; 3], changed: [None; 3], floats, oracle }
    }

    /// Makes the step, and gives the states before and after it, in which nothing is missing now.
    fn step(mut self) -> Result<(Form, Form, O), WitnessError> {
        step(&mut self)?;
        // Whether it has changed or not, pc is written again.
        self.after.set_pc(self.after.pc());
        let mut roots = [Root::ZERO; 3];
        for hash in Hash::ALL {
            let shown = self.shown[hash as usize];
            roots[hash as usize] = shown.map_or_else(|| self.oracle.root(hash), Ok)?;
        }
        let before = Form { roots, core: self.before };
        for (root, changed) in roots.iter_mut().zip(self.changed) {
            *root = changed.unwrap_or(*root);
        }
        Ok((before, Form { roots, core: self.after }, self.oracle))
    }

    /// The place and the proof of the leaf at an address. The proof gives the root of its tree, and has to
    /// lead to the same root as a proof before it.
    fn leaf(&mut self, part: Part, address: u64) -> Result<(Place, Proof), WitnessError> {
        let (tree, base, depth) = if self.profile.is_code(address) {
            (Hash::Code, self.profile.code_base(), self.profile.code_depth())
        } else {
            (Hash::Memory, 0, self.profile.memory_depth())
        };
        let place = Place { part, tree, leaf: (address - base) / LEAF as u64, depth };
        let proof = self.oracle.proof(place)?;
        let found = proof.root(proof.leaf, place.leaf);
        let expected = *self.shown[tree as usize].get_or_insert(found);
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
        self.after.status
    }
    fn set_status(&mut self, status: Status) {
        self.after.status = status;
    }
    fn pc(&self) -> u64 {
        self.after.pc()
    }
    fn set_pc(&mut self, pc: u64) {
        self.after.set_pc(pc);
    }
    fn fetch(&mut self, address: u64) -> Result<u32, WitnessError> {
        Ok(self.load(Part::Code, address, Size::Word)? as u32)
    }
    fn x(&self, register: u8) -> u64 {
        self.after.x(register)
    }
    fn set_x(&mut self, register: u8, value: u64) {
        self.after.set_x(register, value);
    }
    fn open_floats(&mut self) -> Result<(), WitnessError> {
        self.floats = self.oracle.floats()?;
        self.shown[Hash::Floats as usize] = Some(floats::hash(&self.floats));
        Ok(())
    }
    fn f(&self, register: u8) -> u64 {
        floats::boxed(self.floats.get(usize::from(register % 32)))
    }
    fn set_f(&mut self, register: u8, value: u64) {
        self.floats.set(usize::from(register % 32), floats::boxed(value));
        self.changed[Hash::Floats as usize] = Some(floats::hash(&self.floats));
    }
    fn read(&mut self, address: u64, size: Size) -> Result<u64, WitnessError> {
        self.load(Part::Access, address, size)
    }
    fn write(&mut self, address: u64, size: Size, value: u64) -> Result<(), WitnessError> {
        let (place, proof) = self.leaf(Part::Access, address)?;
        let mut bytes = proof.leaf.memory();
        let to = bytes_at(&mut bytes, address, size);
        to.copy_from_slice(&value.to_le_bytes()[..to.len()]);
        self.changed[Hash::Memory as usize] = Some(proof.root(Root::leaf(bytes), place.leaf));
        Ok(())
    }
}
