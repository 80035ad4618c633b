//! The effect of one instruction as expressions: its semantics, run on a machine that records them.

use crate::domain::{Bool, Expressions, Hardware, Id, Nat, Node, Word, constant, node, push, session};
use isa::domain::Word as _;
use isa::{Done, Instruction, Machine, Size, Stop, Trap, semantics};

/// The effect of an instruction. All expressions refer to the state before it.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Effect {
    /// The memory access.
    pub access: Option<Access>,
    /// If this holds, the instruction traps or must be left to the interpreter for another reason.
    pub trap: Option<Id>,
    /// The integer register that it writes, never x0.
    pub x: Option<(u8, Id)>,
    /// The float register that it writes.
    pub f: Option<(u8, Id)>,
    /// The next instruction.
    pub next: Next,
}

/// A memory access, not checked yet.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Access {
    pub address: Id,
    pub size: Size,
    /// The value to write; `None` for a load.
    pub value: Option<Id>,
}

/// The next instruction.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) enum Next {
    /// The following instruction.
    #[default]
    Following,
    /// A target, if the condition holds; otherwise the following instruction.
    Branch(Id, u64),
    /// A constant target.
    Jump(u64),
    /// A computed target.
    Indirect(Id),
}

/// The effect of an instruction at an address. `None` if the interpreter has to execute it.
pub(crate) fn effect(instruction: Instruction, pc: u64) -> Option<Effect> {
    session();
    let mut recorder = Recorder { instruction, pc, effect: Effect::default(), bailed: false };
    semantics::execute(&mut recorder, instruction.op).ok()?;
    let mut effect = recorder.effect;
    effect.trap = effect.trap.or_else(|| effect.f.and_then(|(_, value)| inexact(value)));
    let supported = effect.expressions().all(is_supported);
    (supported && !recorder.bailed).then_some(effect)
}

impl Effect {
    /// All of its expressions.
    pub fn expressions(&self) -> impl Iterator<Item = Id> + use<> {
        let next = match self.next {
            Next::Branch(id, _) | Next::Indirect(id) => Some(id),
            Next::Following | Next::Jump(_) => None,
        };
        let access = self.access.map_or([None; 2], |access| [Some(access.address), access.value]);
        let values = [self.trap, self.x.map(|(_, id)| id), self.f.map(|(_, id)| id), next];
        access.into_iter().chain(values).flatten()
    }
}

impl Node {
    /// The operands of an expression.
    pub(crate) fn operands(self) -> [Option<Id>; 3] {
        match self {
            Self::Constant(_) | Self::X(_) | Self::F(_) | Self::Unboxed(_) | Self::Unsupported => [None; 3],
            Self::Loaded(a, _)
            | Self::SignExtend(a, _)
            | Self::Not(a)
            | Self::Sqrt(_, a)
            | Self::Negated(_, a)
            | Self::FromInteger { x: a, .. }
            | Self::ToInteger { x: a, .. }
            | Self::Converted { x: a, .. } => [Some(a), None, None],
            Self::Binary(_, a, b)
            | Self::Product(a, b)
            | Self::High(a, b)
            | Self::Float(_, _, a, b)
            | Self::CopySign(_, a, b) => [Some(a), Some(b), None],
            Self::Select(a, b, c) | Self::Fma(_, a, b, c) => [Some(a), Some(b), Some(c)],
        }
    }
}

/// Whether an expression can be computed without the interpreter.
fn is_supported(id: Id) -> bool {
    let node = node(id);
    let supported = match node {
        Node::Unsupported | Node::Product(..) => false,
        // To nearest, towards zero, down and up. No host can round ties away from zero.
        Node::ToInteger { mode, .. } => mode < 4,
        _ => true,
    };
    supported && node.operands().into_iter().flatten().all(is_supported)
}

/// The condition under which a conversion from an integer is inexact, if its rounding mode is not to nearest.
fn inexact(id: Id) -> Option<Id> {
    match node(id) {
        Node::FromInteger { format, x, signed, mode } if mode != 0 => {
            let limit = Word(push(Node::Constant(2 << format.man)));
            // Adding the limit maps the small signed numbers to the small unsigned ones.
            let (x, limit) = if signed { (Word(x) + limit, limit + limit) } else { (Word(x), limit) };
            Some(limit.ltu(x).0)
        }
        node => node.operands().into_iter().flatten().find_map(inexact),
    }
}

/// Visits an expression and everything in it.
pub(crate) fn visit(id: Id, see: &mut impl FnMut(Node)) {
    let node = node(id);
    see(node);
    node.operands().into_iter().flatten().for_each(|operand| visit(operand, see));
}

/// The machine that records.
struct Recorder {
    instruction: Instruction,
    pc: u64,
    effect: Effect,
    /// Whether something happened that only the interpreter can do.
    bailed: bool,
}

impl Recorder {
    /// An integer register.
    fn x(&self, register: u8) -> Word {
        Word(push(if register == 0 { Node::Constant(0) } else { Node::X(register) }))
    }

    /// Leaves the instruction to the interpreter.
    fn bail(&mut self) -> Done {
        self.bailed = true;
        Err(Stop)
    }
}

impl Machine for Recorder {
    type D = Expressions;
    type Float = Hardware;

    fn pc(&mut self) -> Word {
        Word(push(Node::Constant(self.pc)))
    }
    fn rs1(&mut self) -> Word {
        self.x(self.instruction.rs1)
    }
    fn rs2(&mut self) -> Word {
        self.x(self.instruction.rs2)
    }
    fn imm(&mut self) -> Word {
        Word(push(Node::Constant(i64::from(self.instruction.imm).cast_unsigned())))
    }
    fn a7(&mut self) -> Word {
        self.x(17)
    }
    fn set_rd(&mut self, value: Word) -> Done {
        let rd = self.instruction.rd;
        self.effect.x = (rd != 0).then_some((rd, value.0));
        Ok(())
    }
    fn frs1(&mut self) -> Word {
        Word(push(Node::F(self.instruction.rs1)))
    }
    fn frs2(&mut self) -> Word {
        Word(push(Node::F(self.instruction.rs2)))
    }
    fn frs3(&mut self) -> Word {
        Word(push(Node::F(self.instruction.rs3)))
    }
    fn set_frd(&mut self, value: Word) -> Done {
        self.effect.f = Some((self.instruction.rd, value.0));
        Ok(())
    }
    fn rm(&mut self) -> Nat {
        Nat(push(Node::Constant(self.instruction.rm.into())))
    }
    // The generated code checks before an access whether it is aligned and in range. If that fails, the
    // interpreter makes the access, and the trap.
    fn readable(&mut self, _: Word) -> Bool {
        Bool(push(Node::Constant(1)))
    }
    fn writable(&mut self, _: Word) -> Bool {
        Bool(push(Node::Constant(1)))
    }
    fn read(&mut self, address: Word, size: Size) -> Word {
        self.effect.access = Some(Access { address: address.0, size, value: None });
        Word(push(Node::Loaded(address.0, size)))
    }
    fn write(&mut self, address: Word, size: Size, value: Word) -> Done {
        self.effect.access = Some(Access { address: address.0, size, value: Some(value.0) });
        Ok(())
    }
    fn jump_if(&mut self, taken: Bool, target: Word) -> Done {
        match (constant(taken.0), constant(target.0)) {
            (Some(0), _) => Ok(()),
            (Some(_), Some(target)) => {
                self.effect.next = Next::Jump(target);
                Ok(())
            }
            (None, Some(target)) => {
                self.effect.next = Next::Branch(taken.0, target);
                Ok(())
            }
            (_, None) => self.bail(),
        }
    }
    fn jump(&mut self, target: Word) -> Done {
        self.effect.next = constant(target.0).map_or(Next::Indirect(target.0), Next::Jump);
        Ok(())
    }
    fn trap_if(&mut self, bad: Bool, trap: Trap) -> Done {
        let checked = [Trap::LoadMisaligned, Trap::LoadFault, Trap::StoreMisaligned, Trap::StoreFault];
        match constant(bad.0) {
            Some(0) => Ok(()),
            _ if checked.contains(&trap) => Ok(()),
            None if self.effect.trap.is_none() => {
                self.effect.trap = Some(bad.0);
                Ok(())
            }
            _ => self.bail(),
        }
    }
    fn trap(&mut self, _: Trap) -> Done {
        self.bail()
    }
    fn exit(&mut self) -> Done {
        self.bail()
    }
}
