//! A small machine that keeps its complete trees and can prove every leaf: the fastest way to make witnesses.

use isa::Extensions;
use step::{Floats, MachineProfile, Proof, Root, Source, State, Status, Tree};

/// A machine whose code and memory are given by their trees.
#[derive(Debug, Clone)]
pub struct Hashed {
    profile: MachineProfile,
    /// Status, pc and registers. Its roots are those of the trees.
    pub state: State,
    floats: Floats,
    code: Tree,
    memory: Tree,
}

impl Hashed {
    /// A machine at the start of its code, with zeroed memory.
    ///
    /// # Panics
    /// If the code is not at a multiple of 32 or the memory is too small or too large.
    #[must_use]
    pub fn new(extensions: Extensions, memory_bits: u8, base: u64, code: &[u32]) -> Self {
        let size = (4 * code.len() as u64).next_multiple_of(32);
        let profile = MachineProfile::new(extensions, memory_bits, base, size).expect("a machine");
        let bytes: Vec<u8> = code.iter().flat_map(|word| word.to_le_bytes()).collect();
        let code = Tree::of_bytes(&bytes, profile.code_depth());
        let memory = Tree::of_bytes(&[], profile.memory_depth());
        let state = State::reset(code.root(), memory.root(), base, 0);
        Self { profile, state, floats: Floats::RESET, code, memory }
    }

    /// The machine with this code, of the same size.
    #[must_use]
    pub fn with_code(mut self, code: &[u32]) -> Self {
        let bytes: Vec<u8> = code.iter().flat_map(|word| word.to_le_bytes()).collect();
        self.code = Tree::of_bytes(&bytes, self.profile.code_depth());
        self.state.code_root = self.code.root();
        self
    }

    /// The machine with these bytes at the start of its memory.
    #[must_use]
    pub fn with_memory(mut self, bytes: &[u8]) -> Self {
        self.memory = Tree::of_bytes(bytes, self.profile.memory_depth());
        self.state.memory_root = self.memory.root();
        self
    }

    /// The machine with these float registers.
    #[must_use]
    pub fn with_floats(mut self, floats: Floats) -> Self {
        self.floats = floats;
        self.state.float_hash = floats.hash();
        self
    }

    /// The machine with this status.
    #[must_use]
    pub fn with_status(mut self, status: Status) -> Self {
        self.state.status = status;
        self
    }

    /// The root of its state.
    #[must_use]
    pub fn root(&self) -> Root {
        self.state.root()
    }

    /// The witness of its next step, and the root after it.
    ///
    /// # Panics
    /// Never: its trees are those of its state.
    #[must_use]
    pub fn record(&mut self) -> (Vec<u8>, Root) {
        let (witness, after) = step::record(self).expect("trees that fit the state");
        (witness, after.root())
    }
}

impl Source for Hashed {
    fn profile(&self) -> MachineProfile {
        self.profile
    }
    fn state(&mut self) -> State {
        self.state
    }
    fn floats(&mut self) -> Floats {
        self.floats
    }
    fn code_proof(&mut self, leaf: u64) -> Proof {
        self.code.proof(leaf)
    }
    fn memory_proof(&mut self, leaf: u64) -> Proof {
        self.memory.proof(leaf)
    }
}
