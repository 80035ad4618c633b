//! The most expensive steps: no byte of the witness is zero unless it must be, and no float register is
//! short.

use crate::random::{Random, special_floats};
use isa::{Extensions, Format, Instruction, InstructionEntry, Op, decode_any};
use step::{Floats, MachineProfile, Proof, Root, Source, State};

/// The size of a machine's trees.
#[derive(Debug, Clone, Copy)]
pub struct Trees {
    /// The logarithm of the bytes of memory.
    pub memory_bits: u8,
    /// The logarithm of the bytes of code.
    pub code_bits: u8,
}

/// A machine before one step. Only the leaves of its code and memory that the step reads exist, and the
/// siblings on their paths, none of which is zero. It can therefore be of any size.
#[derive(Debug, Clone)]
pub struct Dearest {
    profile: MachineProfile,
    state: State,
    floats: Floats,
    code: Proof,
    memory: Proof,
    word: u32,
}

/// The address of the instruction: one without a zero byte, beyond any memory.
const PC: u64 = 0x1111_1111_1111_1114;

impl Dearest {
    /// A machine whose transaction has the maximum cost for this instruction.
    ///
    /// # Panics
    /// If there is no such machine.
    #[must_use]
    pub fn transaction(entry: &InstructionEntry, trees: Trees, random: &mut Random) -> Self {
        let (word, x) = full_operands(entry, random);
        loop {
            // Less what they are at reset, no byte of them is zero.
            let floats = Floats(Floats::RESET.0.map(|zero| zero ^ full(random)));
            let machine = Self::new(word, x, floats, trees, random);
            let State { code_root, memory_root, float_hash, .. } = machine.state;
            let roots = [code_root, memory_root, float_hash, machine.root()];
            if roots.iter().all(|root| !root.0.contains(&0)) {
                return machine;
            }
        }
    }

    /// A machine with random operands, including those that are most expensive for arithmetic.
    ///
    /// # Panics
    /// If there is no such machine.
    #[must_use]
    pub fn execution(entry: &InstructionEntry, trees: Trees, random: &mut Random) -> Self {
        let (word, mut x) = operands(entry, random);
        // The address of an access is already in a register.
        let is_access = is_access(entry);
        for (register, x) in x.iter_mut().enumerate().skip(1) {
            if !is_access || register != usize::from(decode_any(word).map_or(0, |it| it.rs1)) {
                *x = random.word();
            }
        }
        if entry.op == Op::Ecall && random.one_in(2) {
            x[17] = 93;
        }
        let floats = Floats(std::array::from_fn(|_| {
            let format = *random.pick(&[Format::F32, Format::F64]);
            let number =
                if random.one_in(4) { *random.pick(&special_floats(format)) } else { random.float(format) };
            if format == Format::F32 { number | 0xffff_ffff << 32 } else { number }
        }));
        Self::new(word, x, floats, trees, random)
    }

    fn new(word: u32, x: [u64; 32], floats: Floats, trees: Trees, random: &mut Random) -> Self {
        let Trees { memory_bits, code_bits } = trees;
        let profile =
            MachineProfile::new(Extensions::IMFD, memory_bits, PC & !31, 1 << code_bits).expect("a machine");
        let mut code = proof(profile.code_depth(), random);
        let mut bytes = code.leaf.memory();
        bytes[(PC % 32) as usize..][..4].copy_from_slice(&word.to_le_bytes());
        code.leaf = Root::leaf(bytes);
        let memory = proof(profile.memory_depth(), random);
        let address =
            decode_any(word).map_or(0, |it| x[usize::from(it.rs1)].wrapping_add_signed(it.imm.into()));
        let (code_root, memory_root) = (code.root(code.leaf, 0), memory.root(memory.leaf, address / 32));
        let mut state = State::reset(code_root, memory_root, PC, 0);
        (state.x, state.float_hash) = (x, floats.hash());
        Self { profile, state, floats, code, memory, word }
    }

    /// Its shape.
    #[must_use]
    pub fn profile(&self) -> MachineProfile {
        self.profile
    }

    /// The root of its state.
    #[must_use]
    pub fn root(&self) -> Root {
        self.state.root()
    }

    /// The witness of its next step, and the root after it.
    ///
    /// # Panics
    /// Never: the proofs lead to the roots of its state.
    #[must_use]
    pub fn record(&mut self) -> (Vec<u8>, Root) {
        let (witness, after) = step::record(self).expect("proofs that fit the state");
        (witness, after.root())
    }

    /// How many bytes of a witness of this length have to be zero: the status of a running machine, and what the
    /// instruction is encoded in.
    #[must_use]
    pub fn zeros(&self) -> usize {
        1 + self.word.to_le_bytes().iter().filter(|&&byte| byte == 0).count()
    }
}

impl Source for Dearest {
    fn profile(&self) -> MachineProfile {
        self.profile
    }
    fn state(&mut self) -> State {
        self.state
    }
    fn floats(&mut self) -> Floats {
        self.floats
    }
    fn code_proof(&mut self, _: u64) -> Proof {
        self.code.clone()
    }
    fn memory_proof(&mut self, _: u64) -> Proof {
        self.memory.clone()
    }
}

/// Whether an instruction loads or stores.
#[must_use]
pub fn is_access(entry: &InstructionEntry) -> bool {
    entry.syntax.ends_with("imm(rs1)") && entry.op != Op::Jalr
}

/// An instruction word with random operands that doesn't trap, and integer registers for it without zero
/// bytes, as far as the address of an access permits.
fn operands(entry: &InstructionEntry, random: &mut Random) -> (u32, [u64; 32]) {
    loop {
        let word = entry.bits | random.bits() as u32 & !entry.mask;
        let Some(instruction) = decode_any(word) else { continue };
        let Instruction { rs1, imm, .. } = instruction;
        let mut x = std::array::from_fn(|_| full(random));
        x[0] = 0;
        if is_access(entry) {
            if rs1 == 0 {
                continue;
            }
            // The address is low: the sum of a register far below zero and a positive immediate.
            x[usize::from(rs1)] = (8 * random.below(256)).wrapping_sub(i64::from(imm).cast_unsigned());
        }
        return (word, x);
    }
}

/// The same with the fewest zero bytes found.
fn full_operands(entry: &InstructionEntry, random: &mut Random) -> (u32, [u64; 32]) {
    let zeros = |(word, x): &(u32, [u64; 32])| {
        let words = x.iter().skip(1).flat_map(|x| x.to_le_bytes());
        word.to_le_bytes().into_iter().chain(words).filter(|&byte| byte == 0).count()
    };
    (0..500).map(|_| operands(entry, random)).min_by_key(zeros).expect("some operands")
}

/// A leaf and siblings without a zero byte.
fn proof(depth: u32, random: &mut Random) -> Proof {
    let mut root = || Root(std::array::from_fn(|_| 1 + random.below(255) as u8));
    Proof { leaf: root(), siblings: (0..depth).map(|_| root()).collect() }
}

/// A number without a zero byte.
fn full(random: &mut Random) -> u64 {
    u64::from_le_bytes(std::array::from_fn(|_| 1 + random.below(255) as u8))
}
