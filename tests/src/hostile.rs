//! Single steps from states that no honest program reaches: any instruction, any registers, any pc, machines
//! of any shape.

use crate::random::{Random, special_floats};
use image::{Contents, Image};
use interpreter::Interpreter;
use isa::{Extensions, Format, Instruction, InstructionEntry, Layout, Op, TABLE, Trap, encode};
use std::fmt::{self, Display, Formatter};
use step::{Access, Floats, MachineProfile, Status};

/// A machine before a step.
#[derive(Debug, Clone)]
pub struct Case {
    /// Its code and its shape.
    pub image: Image,
    /// Whether it runs.
    pub status: Status,
    /// The program counter.
    pub pc: u64,
    /// The integer registers.
    pub x: [u64; 32],
    /// The float registers.
    pub floats: Floats,
    /// Bytes in memory, 8 at a time.
    pub memory: Vec<(u64, u64)>,
}

impl Case {
    /// A case whose pc is usually at this instruction, with random operands.
    ///
    /// # Panics
    /// If the generator makes an impossible machine.
    #[must_use]
    pub fn random(entry: &InstructionEntry, random: &mut Random) -> Self {
        let profile = profile(entry, random);
        let words = (profile.code_size() / 4) as usize;
        let mut code: Vec<u32> = (0..words).map(|_| word(random.pick(TABLE), random)).collect();
        let at = random.below(words as u64);
        code[at as usize] = word(entry, random);
        let pc = if random.one_in(16) {
            near(&profile, random)
        } else {
            profile.code_base() + 4 * at + random.below(4) * u64::from(random.one_in(32))
        };
        let mut x = std::array::from_fn(|_| register(&profile, random));
        aim(code[at as usize], &profile, &mut x, random);
        x[0] = 0;
        let memory = memory(&profile, code[at as usize], &x, random);
        let code = code.into_iter().flat_map(u32::to_le_bytes).collect::<Vec<_>>().into();
        let (segments, tensors, symbols, schedule) = Default::default();
        let entry = profile.code_base();
        let contents = Contents {
            profile,
            entry,
            sp: 0,
            code,
            segments,
            tensors,
            symbols,
            schedule,
            period: None,
            interface: None,
            sections: Vec::new(),
        };
        Self {
            image: Image::new(contents).expect("an image"),
            status: if random.one_in(64) { status(random) } else { Status::Running },
            pc,
            x,
            floats: floats(random),
            memory,
        }
    }

    /// The live machine.
    ///
    /// # Panics
    /// If there is no address space for its memory.
    #[must_use]
    pub fn machine(&self) -> Interpreter {
        let mut machine = Interpreter::new(&self.image).expect("memory");
        for (register, &value) in (0..).zip(&self.x) {
            machine.set_x(register, value);
        }
        machine.set_pc(self.pc);
        machine.set_status(self.status);
        machine.set_floats(self.floats);
        for (address, value) in &self.memory {
            machine.write_memory(*address, &value.to_le_bytes()).expect("bytes inside memory");
        }
        machine
    }

    /// The word at pc, if there is one.
    #[must_use]
    pub fn word(&self) -> Option<u32> {
        let at = self.pc.checked_sub(self.image.profile.code_base())?;
        let bytes = self.image.code.get(usize::try_from(at).ok()?..)?.first_chunk()?;
        Some(u32::from_le_bytes(*bytes))
    }
}

impl Display for Case {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let word = self.word().unwrap_or(0);
        let instruction = isa::decode_any(word).map_or("illegal".to_owned(), |i| i.to_string());
        let Self { status, pc, x, floats, memory, image } = self;
        writeln!(f, "{word:#010x} {instruction} at {pc:#x}, {status}, {:x?}", image.profile)?;
        write!(f, "x {x:x?}\nf {:x?}\nmemory {memory:x?}", floats.0)
    }
}

/// A machine of any shape that has room for a few instructions.
fn profile(entry: &InstructionEntry, random: &mut Random) -> MachineProfile {
    // Usually a machine that has the instruction.
    let has_entry = |extensions: &Extensions| extensions.has(entry.extension);
    let having: Vec<_> = Extensions::ALL.iter().copied().filter(has_entry).collect();
    let sets = if random.one_in(32) { Extensions::ALL } else { &having };
    let extensions = *random.pick(sets);
    let bits = if random.one_in(16) { 13 + random.below(33) } else { 12 + random.below(6) };
    let size = 32 * (1 + random.below(7));
    let memory = 1u64 << bits;
    let bases =
        [0, memory - size, memory, memory / 2, memory - 32, 1 << 38, u64::MAX - size, random.below(memory)];
    let base = random.pick(&bases) & !31;
    MachineProfile::new(extensions, bits as u8, base, size).expect("a machine")
}

/// An instruction word with random operands. It is legal, except for its rounding mode.
fn word(entry: &InstructionEntry, random: &mut Random) -> u32 {
    let instruction = Instruction {
        rd: random.below(32) as u8,
        rs1: random.below(32) as u8,
        rs2: random.below(32) as u8,
        rs3: random.below(32) as u8,
        ..Instruction::new(entry.op)
    };
    // Jumps usually go to words.
    let free = match entry.layout {
        Layout::B | Layout::J if !random.one_in(4) => random.bits() as u32 & !(1 << 21 | 1 << 8),
        _ => random.bits() as u32,
    };
    let mut word = entry.bits | free & !entry.mask;
    if entry.is_rounded() && !random.one_in(16) {
        word = word & !(7 << 12) | (random.below(5) as u32) << 12;
    }
    // Sometimes not an instruction, or its plainest form.
    match random.below(64) {
        0 => random.bits() as u32,
        1 => 0,
        2 => encode(instruction).unwrap_or(word),
        _ => word,
    }
}

/// An address close to an edge.
fn near(profile: &MachineProfile, random: &mut Random) -> u64 {
    let (base, size, memory) = (profile.code_base(), profile.code_size(), profile.memory_size());
    let edges = [
        0,
        base,
        base.wrapping_add(size),
        memory,
        memory / 2,
        1 << 63,
        base.wrapping_add(random.below(size)),
    ];
    random.pick(&edges).wrapping_add(random.below(24)).wrapping_sub(12)
}

/// The value of an integer register: often an address, often an aligned one.
fn register(profile: &MachineProfile, random: &mut Random) -> u64 {
    match random.below(8) {
        0..4 => near(profile, random) & !(random.pick(&[0, 7, 7, 3]) & 7),
        4 => random.below(profile.memory_size()) & !7,
        5 => 93,
        _ => random.word(),
    }
}

/// Usually makes an access hit existing memory, whatever its immediate.
fn aim(word: u32, profile: &MachineProfile, x: &mut [u64; 32], random: &mut Random) {
    let Some(instruction) = isa::decode_any(word) else { return };
    if instruction.op.entry().syntax.ends_with("imm(rs1)") && !random.one_in(4) {
        let target = register(profile, random);
        x[usize::from(instruction.rs1)] = target.wrapping_add_signed(-i64::from(instruction.imm));
    }
}

/// Float registers of every kind: all boxed, most boxed, not boxed.
fn floats(random: &mut Random) -> Floats {
    let loose = *random.pick(&[0u64, 0, 1, 8]);
    Floats(std::array::from_fn(|_| {
        let format = if random.below(8) < loose { Format::F64 } else { Format::F32 };
        let number =
            if random.one_in(2) { *random.pick(&special_floats(format)) } else { random.float(format) };
        if format == Format::F32 { number | 0xffff_ffff << 32 } else { number }
    }))
}

/// Some bytes of memory, often where the instruction accesses it.
fn memory(profile: &MachineProfile, word: u32, x: &[u64; 32], random: &mut Random) -> Vec<(u64, u64)> {
    let size = profile.memory_size();
    let reached =
        isa::decode_any(word).map_or(0, |i| x[usize::from(i.rs1)].wrapping_add_signed(i64::from(i.imm)) & !7);
    let count = random.below(4);
    let anywhere = [random.below(size) & !7, size - 8, 0];
    let neighbours = (0..count).map(|_| reached.wrapping_add(8 * random.below(9)).wrapping_sub(32));
    let mut places: Vec<u64> = neighbours.chain(anywhere).filter(|&address| address <= size - 8).collect();
    places.truncate(random.below(7) as usize);
    places.into_iter().map(|address| (address, random.bits())).collect()
}

/// Any status except running.
fn status(random: &mut Random) -> Status {
    let trapped = Trap::ALL.map(Status::Trapped);
    *random.pick(&[&trapped[..], &[Status::Exited]].concat())
}

/// A name for a step's effect, to check that all of them occur: the instruction, or the trap.
#[must_use]
pub fn event(case: &Case, after: Status) -> Event {
    let executed = case.word().and_then(|word| isa::decode(word, case.image.profile.extensions()));
    match (case.status, after, executed) {
        (Status::Running, Status::Trapped(trap), _) => Event::Trapped(trap),
        (Status::Running, _, Some(instruction)) => Event::Executed(instruction.op),
        _ => Event::Nothing,
    }
}

/// The effect of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// An instruction was executed.
    Executed(Op),
    /// The machine trapped.
    Trapped(Trap),
    /// The machine was not running.
    Nothing,
}
