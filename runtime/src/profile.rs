//! Where a run spends its steps: the counts at each address, summed in several ways.

use crate::commands::disasm::target;
use crate::commands::trace::instruction_at;
use crate::failure::Failure;
use image::{BigStep, Image, Symbol};
use interpreter::Count;
use isa::Op;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::Hash;

/// Shown for steps before the first big step: the start of the program.
const NO_BIG_STEP: &str = "(before the first big step)";
/// Shown for instructions outside all functions.
const NO_FUNCTION: &str = "(no symbol)";
/// Shown as function and instruction for steps that trap because their address has no code.
const NO_CODE: &str = "(no code)";
/// Shown for words that are not instructions.
const ILLEGAL: &str = "(illegal)";

/// The place of an instruction, to which its steps are attributed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Place<'a> {
    /// The index of the big step.
    pub big_step: Option<usize>,
    /// Its operator, if the image has a schedule.
    pub operator: &'a str,
    /// Its node.
    pub node: &'a str,
    /// The function.
    pub function: &'a str,
    /// The mnemonic.
    pub instruction: &'static str,
}

/// A basic block: instructions that are always executed in sequence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    /// The address of the first instruction.
    pub address: u64,
    /// The number of instructions.
    pub length: u64,
    /// How often each instruction was executed.
    pub times: u64,
}

impl Block {
    /// The steps spent in it.
    pub fn steps(&self) -> u64 {
        self.length * self.times
    }
}

/// Where a run spent its steps.
pub struct RunProfile<'a> {
    image: &'a Image,
    /// The steps at each address in each big step, with the place they are attributed to.
    lines: Vec<(Place<'a>, u64)>,
    /// The steps at each address.
    addresses: BTreeMap<u64, u64>,
}

impl<'a> RunProfile<'a> {
    /// The profile of a run of `steps` steps. The counts must cover all of them.
    pub fn new(image: &'a Image, counts: impl Iterator<Item = Count>, steps: u64) -> Result<Self, Failure> {
        let functions = functions(image);
        let mut addresses = BTreeMap::new();
        let mut lines = Vec::new();
        for Count { section, address, steps } in counts {
            *addresses.entry(address).or_insert(0) += steps;
            lines.push((place(image, &functions, section, address), steps));
        }
        let counted = addresses.values().sum::<u64>();
        if counted != steps {
            return Err(Failure::new(format!(
                "the profile counts {counted} steps, but the machine made {steps}"
            ))
            .hint("this is a bug in opml, please report it"));
        }
        Ok(Self { image, lines, addresses })
    }

    /// Whether the image has a schedule, so that steps are attributed to operators and nodes.
    pub fn has_schedule(&self) -> bool {
        !self.image.schedule.is_empty()
    }

    /// The steps summed by a key of their place, the largest sum first.
    pub fn by<K: Eq + Hash + Ord>(&self, key: impl Fn(&Place<'a>) -> K) -> Vec<(K, u64)> {
        let mut sums = HashMap::new();
        for (place, steps) in &self.lines {
            *sums.entry(key(place)).or_insert(0) += steps;
        }
        let mut sums: Vec<_> = sums.into_iter().collect();
        sums.sort_by(|(a, more), (b, less)| less.cmp(more).then_with(|| a.cmp(b)));
        sums
    }

    /// The steps of each big step of the schedule; 0 if the run did not reach it.
    pub fn by_big_step(&self) -> Vec<u64> {
        let mut sums = vec![0; self.image.schedule.len()];
        for (place, steps) in &self.lines {
            if let Some(sum) = place.big_step.and_then(|index| sums.get_mut(index)) {
                *sum += steps;
            }
        }
        sums
    }

    /// The number of instructions that were executed at least once.
    pub fn touched(&self) -> u64 {
        self.addresses.keys().filter(|&&address| is_word(self.image, address)).count() as u64
    }

    /// The addresses with their steps, the largest number first.
    pub fn hottest(&self) -> Vec<(u64, u64)> {
        let mut addresses: Vec<_> =
            self.addresses.iter().map(|(&address, &steps)| (address, steps)).collect();
        addresses.sort_by_key(|&(address, steps)| (std::cmp::Reverse(steps), address));
        addresses
    }

    /// The basic blocks, those with the most steps first. A block ends where control may leave or enter. The
    /// targets of jumps through registers aren't known, but the counts differ there.
    pub fn blocks(&self) -> Vec<Block> {
        let leaders = leaders(self.image, self.addresses.keys().copied());
        let mut blocks: Vec<Block> = Vec::new();
        for (&address, &times) in &self.addresses {
            match blocks.last_mut() {
                Some(block)
                    if block.address.wrapping_add(4 * block.length) == address
                        && block.times == times
                        && !leaders.contains(&address) =>
                {
                    block.length += 1;
                }
                _ => blocks.push(Block { address, length: 1, times }),
            }
        }
        blocks.sort_by_key(|block| (std::cmp::Reverse(block.steps()), block.address));
        blocks
    }
}

/// Whether a word of the code is at an address.
fn is_word(image: &Image, address: u64) -> bool {
    image.profile.is_code(address) && address.is_multiple_of(4)
}

/// The symbols of the code, by address.
fn functions(image: &Image) -> Vec<&Symbol> {
    let mut functions: Vec<_> =
        image.symbols.iter().filter(|symbol| image.profile.is_code(symbol.address)).collect();
    functions.sort_by_key(|symbol| symbol.address);
    functions
}

/// The place of the steps at an address.
fn place<'a>(image: &'a Image, functions: &[&'a Symbol], big_step: Option<usize>, address: u64) -> Place<'a> {
    let step: Option<&BigStep> = big_step.and_then(|index| image.schedule.get(index));
    let (operator, node) = step.map_or((NO_BIG_STEP, NO_BIG_STEP), |step| (&step.operator, &step.node));
    let (function, instruction) = if is_word(image, address) {
        let before = functions.partition_point(|symbol| symbol.address <= address);
        let function = before.checked_sub(1).and_then(|last| functions.get(last));
        let instruction = instruction_at(image, address).map(|instruction| instruction.op.entry().mnemonic);
        (function.map_or(NO_FUNCTION, |symbol| &symbol.name), instruction.unwrap_or(ILLEGAL))
    } else {
        (NO_CODE, NO_CODE)
    };
    Place { big_step, operator, node, function, instruction }
}

/// The starts of basic blocks: symbols, entries, addresses after jumps, and targets of executed jumps.
fn leaders(image: &Image, executed: impl Iterator<Item = u64>) -> BTreeSet<u64> {
    let mut leaders: BTreeSet<u64> = image.symbols.iter().map(|symbol| symbol.address).collect();
    leaders.extend(image.schedule.iter().map(|step| step.entry));
    leaders.insert(image.entry);
    for pc in executed {
        let Some(instruction) = instruction_at(image, pc) else { continue };
        let target = target(pc, instruction);
        if target.is_some() || matches!(instruction.op, Op::Jalr | Op::Ecall | Op::Ebreak) {
            leaders.extend([pc.wrapping_add(4)].into_iter().chain(target));
        }
    }
    leaders
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::{Contents, Role, Tensor};
    use interpreter::{Census, Interpreter};
    use isa::{Extensions, Instruction, encode};
    use tensor::DType;

    const CODE: u64 = 0x1000;

    fn instruction(op: Op, rd: u8, rs1: u8, imm: i32) -> Instruction {
        Instruction { rd, rs1, imm, ..Instruction::new(op) }
    }

    /// Two big steps that call one function, which loops a0 times: 3 times and 5 times.
    fn program() -> Image {
        use Op::*;
        let code = [
            instruction(Addi, 8, 0, 1),    // _start
            instruction(Addi, 10, 0, 3),   // big step 0
            instruction(Jal, 1, 0, 24),    //
            instruction(Addi, 10, 0, 5),   // big step 1
            instruction(Jal, 1, 0, 16),    //
            instruction(Addi, 17, 0, 93),  //
            instruction(Ecall, 0, 0, 0),   //
            instruction(Ebreak, 0, 0, 0),  // never reached
            instruction(Addi, 10, 10, -1), // turn
            instruction(Bne, 0, 10, -4),   //
            instruction(Jalr, 0, 1, 0),    //
        ];
        let mut code: Vec<u8> =
            code.iter().flat_map(|&i| encode(i).expect("an instruction").to_le_bytes()).collect();
        code.resize(code.len().next_multiple_of(32), 0);
        let profile =
            step::MachineProfile::new(Extensions::IM, 12, CODE, code.len() as u64).expect("a machine");
        let symbol = |name: &str, address| Symbol { name: name.to_owned(), address, size: 0 };
        let big_step = |operator: &str, node: &str, entry| BigStep {
            kernel: 1,
            operator: operator.to_owned(),
            node: node.to_owned(),
            output: 0,
            lo: 0,
            hi: 1,
            arguments: Vec::new(),
            entry,
            bound: 100,
        };
        let (name, shape) = ("out".to_owned(), vec![1]);
        let output = Tensor { name, role: Role::Activation, dtype: DType::F32, shape, address: 0, bytes: 4 };
        Image::new(Contents {
            profile,
            entry: CODE,
            sp: 0x1000,
            code: code.into(),
            segments: Vec::new(),
            tensors: vec![output],
            symbols: vec![symbol("_start", CODE), symbol("turn", CODE + 32)],
            schedule: vec![big_step("First", "a node", CODE + 4), big_step("Second", "b;c", CODE + 12)],
            period: None,
            interface: None,
            sections: Vec::new(),
        })
        .expect("an image")
    }

    fn counts(image: &Image, limit: u64) -> (Vec<Count>, u64) {
        let mut machine = Interpreter::new(image).expect("memory");
        let mut census = Census::new(image.profile, image.schedule.iter().map(|step| step.entry));
        machine.run_census(limit, &mut census);
        (census.counts().collect(), machine.steps())
    }

    #[test]
    fn a_shared_function_counts_towards_the_node_that_calls_it() {
        let image = program();
        let (counts, steps) = counts(&image, 1000);
        let profile = RunProfile::new(&image, counts.into_iter(), steps).expect("every step is counted");
        assert_eq!(steps, 1 + (2 + 2 * 3 + 1) + (2 + 2 * 5 + 1 + 2));
        assert_eq!(profile.by(|p| p.operator), [("Second", 15), ("First", 9), (NO_BIG_STEP, 1)]);
        assert_eq!(profile.by(|p| p.node), [("b;c", 15), ("a node", 9), (NO_BIG_STEP, 1)]);
        assert_eq!(profile.by_big_step(), [9, 15]);
        assert_eq!(profile.by(|p| p.function), [("turn", 18), ("_start", 7)]);
        let mnemonics = [("addi", 12), ("bne", 8), ("jal", 2), ("jalr", 2), ("ecall", 1)];
        assert_eq!(profile.by(|p| p.instruction), mnemonics);
        assert_eq!(profile.touched(), 10);
        assert_eq!(profile.hottest()[..2], [(CODE + 32, 8), (CODE + 36, 8)]);
        let blocks = profile.blocks();
        assert_eq!(blocks[0], Block { address: CODE + 32, length: 2, times: 8 });
        assert_eq!(blocks.iter().map(Block::steps).sum::<u64>(), steps);
    }

    #[test]
    fn a_step_too_many_or_too_few_is_noticed() {
        let image = program();
        let (counts, steps) = counts(&image, 1000);
        for change in [-1, 1] {
            let mut wrong = counts.clone();
            wrong[3].steps = wrong[3].steps.wrapping_add_signed(change);
            let error = RunProfile::new(&image, wrong.into_iter(), steps).err().expect("a miscount");
            assert!(error.message.contains("but the machine made 25"), "{error}");
        }
        let lost = counts[1..].iter().copied();
        assert!(RunProfile::new(&image, lost, steps).is_err());
    }

    #[test]
    fn a_run_can_be_counted_in_pieces() {
        let image = program();
        let (whole, steps) = counts(&image, 1000);
        for piece in 1..steps {
            let mut machine = Interpreter::new(&image).expect("memory");
            let mut census = Census::new(image.profile, image.schedule.iter().map(|step| step.entry));
            while machine.run_census(piece, &mut census).steps > 0 {}
            assert_eq!(census.counts().collect::<Vec<_>>(), whole, "pieces of {piece} steps");
        }
    }
}
