//! Lowers a region to a Cranelift function.
//!
//! The function keeps the machine's registers in variables. Its argument is a
//! [`Context`](crate::context::Context) with the registers (floats in the forms that the code was made for)
//! and the number of steps it may make. It returns the remaining steps, the registers and the pc in the
//! context. It always exits at the start of an instruction: before one that the interpreter must execute,
//! before an unusual access or jump, when too few steps are left to reach the next check, and at the end of
//! the region. So only the interpreter traps or ends a run.

mod iterations;

use crate::access::{AccessCheck, Accesses, Span, Steady, accesses};
use crate::context::Context;
use crate::domain::{Binary, Float, Id, Node, constant, node};
use crate::effect::{Access, Effect, Next};
use crate::form::{BOX, Form, Forms, NAN_32, NAN_64, boxed, form_of, format_of, is_arithmetic};
use crate::region::{Block, CodeRegion, End, Registers, Text, members};
use cranelift_codegen::ir::condcodes::{CondCode as _, FloatCC, IntCC};
use cranelift_codegen::ir::immediates::{Ieee32, Ieee64};
use cranelift_codegen::ir::types::{F32, F64, I8, I32, I64};
use cranelift_codegen::ir::{
    self, AbiParam, Function, InstBuilder, MemFlagsData, Signature, Type, UserFuncName, Value,
};
use cranelift_codegen::isa::{CallConv, TargetFrontendConfig};
use cranelift_frontend::{FunctionBuilder, FunctionBuilderContext, Switch, Variable};
use isa::domain::Word as _;
use isa::{Format, Size, U64};
use std::collections::BTreeMap;
use std::mem::offset_of;
use step::MachineProfile;

/// The function of a region. Float registers have the forms of its entry block.
pub(crate) fn lower(text: &Text, region: &CodeRegion, host: TargetFrontendConfig) -> Function {
    let mut signature = Signature::new(CallConv::SystemV);
    signature.params = vec![AbiParam::new(I64)];
    let mut function = Function::with_name_signature(UserFuncName::default(), signature);
    let mut context = FunctionBuilderContext::new();
    let mut code = FunctionBuilder::new(&mut function, &mut context);
    let start = code.create_block();
    code.append_block_params_for_function_params(start);
    code.switch_to_block(start);
    let pointer = code.block_params(start)[0];
    let mut declare = |of: Type| std::array::from_fn(|_| code.declare_var(of));
    let (x, single, double) = (declare(I64), declare(F32), declare(F64));
    let left = code.declare_var(I64);
    let blocks = region.blocks.keys().map(|&at| (at, code.create_block())).collect();
    let profile = text.profile();
    let mut lowering = Lowering {
        text,
        region,
        pointer,
        memory: pointer,
        marks: pointer,
        data: data(profile),
        x,
        single,
        double,
        left,
        blocks,
        iteration: None,
        literal: None,
        is_marked: false,
        forms: Forms::default(),
        kept: Registers::default(),
        stale: Registers::default(),
        values: Vec::new(),
        floats: Vec::new(),
        code,
    };
    lowering.enter();
    for block in region.blocks.values() {
        lowering.block(block);
    }
    lowering.code.seal_all_blocks();
    lowering.code.finalize(host);
    function
}

/// A condition under which the code has to exit.
struct Wrong {
    condition: Value,
    /// The accesses are still fine if they are in this range.
    unless: Option<Range>,
}

impl From<Value> for Wrong {
    fn from(condition: Value) -> Self {
        Self { condition, unless: None }
    }
}

/// A range of memory for accesses.
#[derive(Clone, Copy)]
struct Range {
    /// The address of the first access.
    first: Value,
    /// log2 of the largest access's size.
    bits: u32,
    /// The start of the range, a multiple of that size.
    start: u64,
    /// The largest valid distance of the first access from the start.
    last: i64,
}

struct Lowering<'a> {
    text: &'a Text,
    region: &'a CodeRegion,
    code: FunctionBuilder<'a>,
    /// The pointer to the context.
    pointer: Value,
    /// The guest's memory, and the marks of its pages.
    memory: Value,
    marks: Value,
    /// The accessible parts of memory, the largest first.
    data: Vec<std::ops::Range<u64>>,
    x: [Variable; 32],
    single: [Variable; 32],
    double: [Variable; 32],
    /// The remaining steps, already without those of the current block.
    left: Variable,
    blocks: BTreeMap<u64, ir::Block>,
    /// If the current block is a loop with hoisted checks: its address, and the block where an iteration
    /// without them starts.
    iteration: Option<(u64, ir::Block)>,
    /// The value that the current instruction loads from code.
    literal: Option<u64>,
    /// Whether the current store's page is already marked.
    is_marked: bool,
    /// The forms before the current instruction.
    forms: Forms,
    /// The registers that are in variables. The others are in the context.
    kept: Registers,
    /// Those whose value in the context is out of date.
    stale: Registers,
    /// The values computed for the current instruction: integers, and floats by whether they are exact.
    values: Vec<(Id, Value)>,
    floats: Vec<((Id, bool), Value)>,
}

/// The accessible parts of a machine's memory, the largest first: everything that code doesn't hide.
fn data(profile: MachineProfile) -> Vec<std::ops::Range<u64>> {
    let (base, size) = (profile.code_base(), profile.memory_size());
    let (before, after) = (0..base.min(size), base.saturating_add(profile.code_size()).min(size)..size);
    let mut parts = vec![before, after];
    parts.retain(|part| !part.is_empty());
    parts.sort_by_key(|part| std::cmp::Reverse(part.end - part.start));
    parts
}

/// The offset of a field in the context.
macro_rules! field {
    ($field:ident) => {
        i32::try_from(offset_of!(Context, $field)).unwrap_or_default()
    };
}

use field;

// ---- Entry, blocks, exits

impl Lowering<'_> {
    /// Loads the pointers and the step count, and jumps to the first block.
    fn enter(&mut self) {
        self.memory = self.field(field!(memory));
        self.marks = self.field(field!(marks));
        let left = self.field(field!(left));
        self.code.def_var(self.left, left);
        self.forms = self.region.forms();
        self.jump(self.region.entry);
    }

    /// Loads a field of the context.
    fn field(&mut self, offset: i32) -> Value {
        self.code.ins().load(I64, MemFlagsData::trusted(), self.pointer, offset)
    }

    /// An integer register. It is loaded from the context if it isn't in a variable.
    fn x(&mut self, register: u8) -> Value {
        let variable = self.x[usize::from(register)];
        if (Registers::x(register) - self.kept).is_empty() {
            return self.code.use_var(variable);
        }
        let value = self.field(field!(x) + 8 * i32::from(register));
        self.code.def_var(variable, value);
        self.kept |= Registers::x(register);
        value
    }

    /// A float register in its form. It is loaded from the context if it isn't in a variable.
    fn f(&mut self, register: u8) -> Value {
        let (variable, of) = self.variable(register);
        if (Registers::f(register) - self.kept).is_empty() {
            return self.code.use_var(variable);
        }
        let at = field!(f) + 8 * i32::from(register);
        let value = self.code.ins().load(of, MemFlagsData::trusted(), self.pointer, at);
        self.code.def_var(variable, value);
        self.kept |= Registers::f(register);
        value
    }

    /// The variable of a float register, and its type in the current form.
    fn variable(&self, register: u8) -> (Variable, Type) {
        let at = usize::from(register);
        if self.forms[at].is_single() { (self.single[at], F32) } else { (self.double[at], F64) }
    }

    /// Sets an integer register.
    fn set_x(&mut self, register: u8, value: Value) {
        self.code.def_var(self.x[usize::from(register)], value);
        self.kept |= Registers::x(register);
        self.stale |= Registers::x(register);
    }

    /// Sets a float register in a form.
    fn set_f(&mut self, register: u8, form: Form, value: Value) {
        self.forms[usize::from(register)] = form;
        self.code.def_var(self.variable(register).0, value);
        self.kept |= Registers::f(register);
        self.stale |= Registers::f(register);
    }

    /// Jumps to an address, inside or outside the region.
    fn jump(&mut self, target: u64) {
        match (self.entrance(target), self.region.blocks.get(&target)) {
            (Some(block), Some(next)) => {
                self.prepare(next);
                self.code.ins().jump(block, &[]);
            }
            _ => self.exit_at(target),
        }
    }

    /// The block to which the current block jumps for an address in the region.
    fn entrance(&self, target: u64) -> Option<ir::Block> {
        let iteration = self.iteration.filter(|&(place, _)| place == target).map(|(_, block)| block);
        iteration.or_else(|| self.blocks.get(&target).copied())
    }

    /// Brings registers to the places and forms that a block expects.
    fn prepare(&mut self, next: &Block) {
        let unfit = self.unfit(next);
        self.exit_if_payload(
            unfit.iter().filter(|(_, form)| form.is_arithmetic()).map(|&(register, _)| register),
            next.start,
        );
        for (register, form) in unfit {
            let value = match form {
                Form::Exact32 => self.register(register, Format::F32),
                Form::Exact64 => self.register(register, Format::F64),
                Form::Arith32 | Form::Arith64 => self.f(register),
            };
            self.set_f(register, form, value);
        }
        self.put_back(self.stale - next.stale);
        let missing = next.kept - self.kept;
        members(missing.x).for_each(|register| _ = self.x(register));
        members(missing.f).for_each(|register| _ = self.f(register));
    }

    /// Exits before the next block if one of these binary32 registers holds a NaN that isn't canonical.
    fn exit_if_payload(&mut self, registers: impl Iterator<Item = u8>, pc: u64) {
        let values: Vec<_> = registers.map(|register| self.f(register)).collect();
        if values.is_empty() {
            return;
        }
        let [rare, out, on] = std::array::from_fn(|_| self.code.create_block());
        self.code.set_cold_block(rare);
        self.code.set_cold_block(out);
        let mut pairs = values.chunks(2).peekable();
        while let Some(pair) = pairs.next() {
            let next = if pairs.peek().is_some() { self.code.create_block() } else { on };
            let is_nan = self.code.ins().fcmp(FloatCC::Unordered, pair[0], pair[pair.len() - 1]);
            self.code.ins().brif(is_nan, rare, &[], next, &[]);
            self.code.switch_to_block(next);
        }
        self.code.switch_to_block(rare);
        let mut bad = self.code.ins().iconst(I8, 0);
        for &value in &values {
            let bits = self.bits(value, Format::F32);
            let other = self.code.ins().icmp_imm_s(IntCC::NotEqual, bits, i64::from(NAN_32));
            let is_nan = self.code.ins().fcmp(FloatCC::Unordered, value, value);
            let both = self.code.ins().band(other, is_nan);
            bad = self.code.ins().bor(bad, both);
        }
        self.code.ins().brif(bad, out, &[], on, &[]);
        self.code.switch_to_block(out);
        self.exit_at(pc);
        self.code.switch_to_block(on);
    }

    /// The registers that have other forms in a block, with those forms.
    fn unfit(&self, next: &Block) -> Vec<(u8, Form)> {
        let forms =
            members(self.region.writes.f).map(|register| (register, next.forms[usize::from(register)]));
        forms.filter(|&(register, form)| self.forms[usize::from(register)] != form).collect()
    }

    /// Whether a block can be entered without any preparation.
    fn is_ready(&self, next: &Block) -> bool {
        (self.stale - next.stale).is_empty()
            && (next.kept - self.kept).is_empty()
            && self.unfit(next).is_empty()
    }

    /// Exits before the next block, at an address.
    fn exit_at(&mut self, pc: u64) {
        let pc = self.code.ins().iconst(I64, pc.cast_signed());
        self.exit(pc, 0);
    }

    /// Exits at an address and writes the changed registers back. `unmade` steps of the block were not made.
    fn exit(&mut self, pc: Value, unmade: u64) {
        self.write(self.stale);
        if self.region.writes.f != 0 {
            let is = |of: fn(Form) -> bool| {
                let forms = members(self.region.writes.f)
                    .map(|register| (register, self.forms[usize::from(register)]));
                forms.filter(|&(_, form)| of(form)).fold(0i64, |all, (register, _)| all | 1 << register)
            };
            let forms = self.code.ins().iconst(I64, is(Form::is_single) | is(Form::is_arithmetic) << 32);
            self.code.ins().store(MemFlagsData::trusted(), forms, self.pointer, field!(forms));
        }
        self.code.ins().store(MemFlagsData::trusted(), pc, self.pointer, field!(pc));
        let left = self.code.use_var(self.left);
        let left = self.plus(left, unmade.cast_signed());
        self.code.ins().store(MemFlagsData::trusted(), left, self.pointer, field!(left));
        self.code.ins().return_(&[]);
    }

    /// Adds a constant.
    fn plus(&mut self, value: Value, constant: i64) -> Value {
        if constant == 0 { value } else { self.code.ins().iadd_imm_s(value, constant) }
    }

    /// Writes registers from variables to the context.
    fn write(&mut self, registers: Registers) {
        for register in members(registers.x) {
            let value = self.code.use_var(self.x[usize::from(register)]);
            self.code.ins().store(
                MemFlagsData::trusted(),
                value,
                self.pointer,
                field!(x) + 8 * i32::from(register),
            );
        }
        for register in members(registers.f) {
            let value = self.code.use_var(self.variable(register).0);
            self.code.ins().store(
                MemFlagsData::trusted(),
                value,
                self.pointer,
                field!(f) + 8 * i32::from(register),
            );
        }
    }

    /// Writes registers to the context, and marks them as up to date.
    fn put_back(&mut self, registers: Registers) {
        self.write(registers);
        self.stale = self.stale - registers;
    }

    /// Exits if a condition holds. `unmade` steps of the block were not made.
    fn exit_if(&mut self, wrong: &[Wrong], pc: u64, unmade: u64) {
        if wrong.is_empty() {
            return;
        }
        let (out, on) = (self.code.create_block(), self.code.create_block());
        self.code.set_cold_block(out);
        for (left, wrong) in (1..=wrong.len()).rev().zip(wrong) {
            let on = if left == 1 { on } else { self.code.create_block() };
            if let Some(range) = wrong.unless {
                let again = self.code.create_block();
                self.code.set_cold_block(again);
                self.code.ins().brif(wrong.condition, again, &[], on, &[]);
                self.code.seal_block(again);
                self.code.switch_to_block(again);
                let outside = self.outside(range);
                self.code.ins().brif(outside, out, &[], on, &[]);
            } else {
                self.code.ins().brif(wrong.condition, out, &[], on, &[]);
            }
            self.code.seal_block(on);
            self.code.switch_to_block(on);
        }
        self.code.seal_block(out);
        self.code.switch_to_block(out);
        let pc = self.code.ins().iconst(I64, pc.cast_signed());
        self.exit(pc, unmade);
        self.code.switch_to_block(on);
    }

    fn block(&mut self, block: &Block) {
        let Some(&here) = self.blocks.get(&block.start) else { return };
        self.code.switch_to_block(here);
        (self.forms, self.kept, self.stale) = (block.forms, block.kept, block.stale);
        let mut accesses = accesses(self.text, block);
        let steady = if block.is_loop() { accesses.take_steady(self.text, block) } else { Steady::default() };
        let Accesses { points, literals, .. } = accesses;
        let mut points = points.into_iter().peekable();
        let mut wrong = Vec::new();
        self.iteration = None;
        match block.check {
            Some(needed) if !steady.spans.is_empty() => {
                self.iteration = Some((block.start, self.begin_iterations(block, needed, &steady)));
            }
            Some(needed) => {
                let left = self.code.use_var(self.left);
                let needed = self.code.ins().iconst(I64, needed.cast_signed());
                wrong.push(self.code.ins().icmp(IntCC::SignedLessThan, left, needed).into());
            }
            None => {}
        }
        if let Some(point) = points.next_if(|point| point.index == 0) {
            self.check(&point, &mut wrong);
        }
        self.exit_if(&wrong, block.start, 0);
        let left = self.code.use_var(self.left);
        let left = self.code.ins().iadd_imm_s(left, -block.len.cast_signed());
        // These two instructions produce no code, but hide the subtraction from Cranelift. Otherwise it would
        // derive the count after the block and in all exits from the count before it. A loop would then need
        // another register, and moves at its end.
        let both = self.code.ins().iconcat(left, left);
        let (left, _) = self.code.ins().isplit(both);
        self.code.def_var(self.left, left);
        let finals = self.text.finals(block);
        let held = self.region.stale_after(block);
        let mut last = None;
        for ((index, pc), finals) in (0..).zip(block.addresses()).zip(finals) {
            let unmade = block.len - index;
            if let Some(point) = points.next_if(|point| point.index == index) {
                let mut wrong = Vec::new();
                self.check(&point, &mut wrong);
                self.exit_if(&wrong, pc, unmade);
            }
            let Some(effect) = self.text.effect(pc) else { return };
            self.literal = literals.iter().find(|(place, _)| *place == index).map(|&(_, value)| value);
            self.is_marked = steady.stores.contains(&index);
            last = self.instruction(&effect, pc, unmade);
            // Written at once, so that no host register holds it until the end of the block.
            self.put_back(finals - held);
        }
        self.end(block, last);
    }

    /// Ends a block. `value` is the condition or target of its last instruction.
    fn end(&mut self, block: &Block, value: Option<Value>) {
        self.put_back(self.stale - self.region.stale_after(block));
        match (block.end, value) {
            (End::To(target), _) => self.jump(target),
            // An empty block starts at `pc` itself, so a jump there would be endless.
            (End::Out(pc), _) => self.exit_at(pc),
            (End::Branch(target, after), Some(condition)) => {
                let [taken, not] = [target, after].map(|target| self.place(target));
                self.code.ins().brif(condition, taken, &[], not, &[]);
                self.finish(target, taken);
                self.finish(after, not);
            }
            (End::Indirect, Some(target)) => {
                let mut switch = Switch::new();
                let places: Vec<_> =
                    self.region.returns.iter().map(|&place| (place, self.place(place))).collect();
                places.iter().for_each(|&(place, block)| switch.set_entry(place.into(), block));
                let other = self.code.create_block();
                switch.emit(&mut self.code, target, other);
                places.into_iter().for_each(|(place, block)| self.finish(place, block));
                self.code.switch_to_block(other);
                self.exit(target, 0);
            }
            // A block that ends in a branch or an indirect jump always has a value.
            (End::Branch(..) | End::Indirect, None) => self.exit_at(block.start),
        }
    }

    /// The block of a target if it can be entered without preparation. Otherwise a new block, to be
    /// [finished](Self::finish).
    fn place(&mut self, target: u64) -> ir::Block {
        let ready = self.region.blocks.get(&target).is_some_and(|next| self.is_ready(next));
        match self.entrance(target) {
            Some(block) if ready => block,
            _ => self.code.create_block(),
        }
    }

    fn finish(&mut self, target: u64, block: ir::Block) {
        if self.entrance(target) == Some(block) {
            return;
        }
        self.code.switch_to_block(block);
        let before = (self.forms, self.kept, self.stale);
        self.jump(target);
        (self.forms, self.kept, self.stale) = before;
    }
}

// ---- Instructions

impl Lowering<'_> {
    /// Lowers one instruction. Returns the condition of a branch or the target of an indirect jump.
    fn instruction(&mut self, effect: &Effect, pc: u64, unmade: u64) -> Option<Value> {
        self.values.clear();
        self.floats.clear();
        if let Some(condition) = effect.trap {
            let condition = self.condition(condition);
            self.exit_if(&[condition.into()], pc, unmade);
        }
        // All results are computed before any register is written.
        let x = effect.x.map(|(register, id)| (register, self.word(id)));
        let f = effect.f.map(|(register, id)| (register, form_of(id, &self.forms), self.new_float(id)));
        let next = match effect.next {
            Next::Branch(condition, _) => Some(self.condition(condition)),
            Next::Indirect(target) => Some(self.word(target)),
            Next::Following | Next::Jump(_) => None,
        };
        if let Some(Access { address, size, value: Some(value) }) = effect.access {
            self.store(address, size, value);
        }
        if let Some((register, value)) = x {
            self.set_x(register, value);
        }
        if let Some((register, form, value)) = f {
            self.set_f(register, form, value);
        }
        next
    }

    /// Adds the exit conditions for the accesses from here on: misaligned, outside memory, or hidden by code.
    fn check(&mut self, point: &AccessCheck, wrong: &mut Vec<Wrong>) {
        for span in &point.spans {
            self.check_span(*span, wrong);
        }
        if point.never {
            wrong.push(self.code.ins().iconst(I8, 1).into());
        }
    }

    /// Adds the exit condition for a span.
    fn check_span(&mut self, span: Span, wrong: &mut Vec<Wrong>) {
        let (usual, other) = self.ranges(span);
        let condition = match usual {
            Some(usual) => self.outside(usual),
            // There is no accessible memory.
            None => self.code.ins().iconst(I8, 1),
        };
        wrong.push(Wrong { condition, unless: other });
    }

    /// The ranges for the accesses of a span: the largest, and the other one.
    fn ranges(&mut self, span: Span) -> (Option<Range>, Option<Range>) {
        let (low, length) = span.aligned();
        let base = self.x(span.register);
        let first = self.plus(base, low);
        let mut ranges = self.data.iter().map(|data| Range {
            first,
            bits: span.size.bytes().ilog2(),
            start: data.start,
            last: (data.end - data.start).cast_signed() - length,
        });
        (ranges.next(), ranges.next())
    }

    /// Whether accesses are misaligned or outside a range. Rotating the distance right by log2 of their size
    /// makes it large if it isn't aligned, so one comparison decides both.
    fn outside(&mut self, range: Range) -> Value {
        let Range { first, bits, start, last } = range;
        if last < 0 {
            return self.code.ins().iconst(I8, 1);
        }
        let distance = self.plus(first, start.wrapping_neg().cast_signed());
        let rotated =
            if bits == 0 { distance } else { self.code.ins().rotr_imm_u(distance, i64::from(bits)) };
        let last = self.code.ins().iconst(I64, last >> bits);
        self.code.ins().icmp(IntCC::UnsignedGreaterThan, rotated, last)
    }

    /// The host address of a guest address: a pointer and an offset.
    fn host(&mut self, address: Id) -> (Value, i32) {
        let distance =
            |distance| constant(distance).and_then(|distance| i32::try_from(distance.cast_signed()).ok());
        let (base, distance) = match node(address) {
            Node::Binary(Binary::Add, base, by) => {
                distance(by).map_or((address, 0), |distance| (base, distance))
            }
            _ => (address, 0),
        };
        let base = self.word(base);
        (self.code.ins().iadd(self.memory, base), distance)
    }

    /// Stores a value and marks its page.
    fn store(&mut self, address: Id, size: Size, value: Id) {
        let flags = MemFlagsData::trusted();
        let (to, at) = self.host(address);
        match (size, self.number(value, size)) {
            (_, Some(number)) => _ = self.code.ins().store(flags, number, to, at),
            (size, None) => {
                let value = self.word(value);
                let ins = self.code.ins();
                match size {
                    Size::Byte => ins.istore8(flags, value, to, at),
                    Size::Half => ins.istore16(flags, value, to, at),
                    Size::Word => ins.istore32(flags, value, to, at),
                    Size::Double => ins.store(flags, value, to, at),
                };
            }
        }
        if !self.is_marked {
            let address = self.word(address);
            self.mark(address);
        }
    }

    /// Marks the page of an address, and lists it if it wasn't marked.
    fn mark(&mut self, address: Value) {
        let flags = MemFlagsData::trusted();
        let page = self.code.ins().ushr_imm_u(address, i64::from(memory::PAGE_BITS));
        let mark = self.code.ins().iadd(self.marks, page);
        let marked = self.code.ins().load(I8, flags, mark, 0);
        let (new, on) = (self.code.create_block(), self.code.create_block());
        self.code.set_cold_block(new);
        self.code.ins().brif(marked, on, &[], new, &[]);
        self.code.switch_to_block(new);
        let one = self.code.ins().iconst(I8, 1);
        self.code.ins().store(flags, one, mark, 0);
        let (list, count) = (self.field(field!(pages)), self.field(field!(count)));
        let offset = self.code.ins().ishl_imm_u(count, 3);
        let entry = self.code.ins().iadd(list, offset);
        self.code.ins().store(flags, page, entry, 0);
        let count = self.code.ins().iadd_imm_s(count, 1);
        self.code.ins().store(flags, count, self.pointer, field!(count));
        self.code.ins().jump(on, &[]);
        self.code.switch_to_block(on);
    }

    /// The stored value as a host float, if it is one.
    fn number(&mut self, value: Id, size: Size) -> Option<Value> {
        match (node(value), size) {
            (Node::F(register), Size::Word) if self.forms[usize::from(register)].is_single() => {
                Some(self.register(register, Format::F32))
            }
            (Node::F(register), Size::Double) if !self.forms[usize::from(register)].is_single() => {
                Some(self.register(register, Format::F64))
            }
            _ => None,
        }
    }
}

// ---- Integers

impl Lowering<'_> {
    /// An expression as an integer.
    fn word(&mut self, id: Id) -> Value {
        if let Some(&(_, value)) = self.values.iter().find(|(known, _)| *known == id) {
            return value;
        }
        let value = self.new_word(id);
        self.values.push((id, value));
        value
    }

    fn new_word(&mut self, id: Id) -> Value {
        match node(id) {
            Node::Constant(value) => self.code.ins().iconst(I64, value.cast_signed()),
            Node::X(register) => self.x(register),
            Node::Loaded(address, size) => self.load(address, size, false),
            Node::SignExtend(value, bits) => self.sign_extended(value, bits),
            Node::High(a, b) => {
                let (a, b) = (self.word(a), self.word(b));
                self.code.ins().umulhi(a, b)
            }
            Node::Select(condition, a, b) if constant(a) == Some(1) && constant(b) == Some(0) => {
                let condition = self.condition(condition);
                self.code.ins().uextend(I64, condition)
            }
            Node::Select(condition, a, b) => {
                let (condition, a, b) = (self.condition(condition), self.word(a), self.word(b));
                self.code.ins().select(condition, a, b)
            }
            Node::Binary(operator, a, b) if !is_comparison(operator) => self.binary(operator, a, b),
            Node::ToInteger { format, x, bits, signed, mode } => self.rounded(format, x, bits, signed, mode),
            Node::Binary(..)
            | Node::Not(_)
            | Node::Float(Float::Equal | Float::Less | Float::LessEqual, ..) => {
                let condition = self.condition(id);
                self.code.ins().uextend(I64, condition)
            }
            number => {
                let format = format_of(number).unwrap_or(Format::F64);
                let value = self.float(id, format, true);
                self.bits(value, format)
            }
        }
    }

    fn load(&mut self, address: Id, size: Size, signed: bool) -> Value {
        if let Some(value) = self.literal {
            let value = if signed { U64(value).sext(size.bits()).0 } else { value };
            return self.code.ins().iconst(I64, value.cast_signed());
        }
        let flags = MemFlagsData::trusted();
        let (from, at) = self.host(address);
        let ins = self.code.ins();
        match (size, signed) {
            (Size::Byte, false) => ins.uload8(I64, flags, from, at),
            (Size::Byte, true) => ins.sload8(I64, flags, from, at),
            (Size::Half, false) => ins.uload16(I64, flags, from, at),
            (Size::Half, true) => ins.sload16(I64, flags, from, at),
            (Size::Word, false) => ins.uload32(flags, from, at),
            (Size::Word, true) => ins.sload32(flags, from, at),
            (Size::Double, _) => ins.load(I64, flags, from, at),
        }
    }

    fn sign_extended(&mut self, value: Id, bits: u32) -> Value {
        if let Node::Loaded(address, size) = node(value)
            && size.bits() == bits
        {
            return self.load(address, size, true);
        }
        let value = self.word(value);
        let short = Type::int(u16::try_from(bits).unwrap_or(64)).filter(|short| short.bits() < 64);
        let Some(short) = short else { return value };
        let value = self.code.ins().ireduce(short, value);
        self.code.ins().sextend(I64, value)
    }

    fn binary(&mut self, operator: Binary, a: Id, b: Id) -> Value {
        if matches!(operator, Binary::DivU | Binary::RemU | Binary::DivS | Binary::RemS) {
            return self.division(operator, a, b);
        }
        let (a, b) = (self.word(a), self.word(b));
        let ins = self.code.ins();
        match operator {
            Binary::Add => ins.iadd(a, b),
            Binary::Sub => ins.isub(a, b),
            Binary::Mul => ins.imul(a, b),
            Binary::And => ins.band(a, b),
            Binary::Or => ins.bor(a, b),
            Binary::Xor => ins.bxor(a, b),
            Binary::Shl => ins.ishl(a, b),
            Binary::Shr => ins.ushr(a, b),
            _ => ins.sshr(a, b),
        }
    }

    /// Total division: by 0 it gives 0, and by -1 it doesn't overflow. It uses 32 bits where possible, which
    /// is faster.
    fn division(&mut self, operator: Binary, a: Id, b: Id) -> Value {
        let signed = matches!(operator, Binary::DivS | Binary::RemS);
        let short = [a, b].into_iter().all(|id| is_short(id, signed));
        let [a, b] = [a, b].map(|id| self.word(id));
        let code = &mut self.code;
        let [zero, one, minus] = [0, 1, -1].map(|number| code.ins().iconst(I64, number));
        let is_zero = code.ins().icmp(IntCC::Equal, b, zero);
        let is_minus = code.ins().icmp(IntCC::Equal, b, minus);
        let is_special = if operator == Binary::DivS { code.ins().bor(is_zero, is_minus) } else { is_zero };
        let safe = code.ins().select(is_special, one, b);
        let [x, y] = [a, safe].map(|value| if short { code.ins().ireduce(I32, value) } else { value });
        let result = match operator {
            Binary::DivU => code.ins().udiv(x, y),
            Binary::DivS => code.ins().sdiv(x, y),
            Binary::RemU => code.ins().urem(x, y),
            _ => code.ins().srem(x, y),
        };
        let result = match (short, signed) {
            (false, _) => result,
            (true, true) => code.ins().sextend(I64, result),
            (true, false) => code.ins().uextend(I64, result),
        };
        match operator {
            Binary::DivU => code.ins().select(is_zero, zero, result),
            Binary::DivS => {
                let negated = code.ins().ineg(a);
                let result = code.ins().select(is_minus, negated, result);
                code.ins().select(is_zero, zero, result)
            }
            // Special cases divide by 1, which leaves no remainder.
            _ => result,
        }
    }

    /// An expression as an 8-bit condition.
    fn condition(&mut self, id: Id) -> Value {
        self.test(id, true)
    }

    /// Tests whether a condition is true, or false if `holds` is false.
    fn test(&mut self, id: Id, holds: bool) -> Value {
        match node(id) {
            Node::Not(inner) => self.test(inner, !holds),
            Node::Binary(operator, a, b) if is_comparison(operator) => {
                let (a, b) = (self.word(a), self.word(b));
                let code = match operator {
                    Binary::Equal => IntCC::Equal,
                    Binary::LessU => IntCC::UnsignedLessThan,
                    _ => IntCC::SignedLessThan,
                };
                self.code.ins().icmp(if holds { code } else { code.complement() }, a, b)
            }
            Node::Float(operation @ (Float::Equal | Float::Less | Float::LessEqual), format, a, b)
                if holds =>
            {
                let (a, b) = (self.float(a, format, false), self.float(b, format, false));
                let code = match operation {
                    Float::Equal => FloatCC::Equal,
                    Float::Less => FloatCC::LessThan,
                    _ => FloatCC::LessThanOrEqual,
                };
                self.code.ins().fcmp(code, a, b)
            }
            _ => {
                let (value, zero) = (self.word(id), self.code.ins().iconst(I64, 0));
                self.code.ins().icmp(if holds { IntCC::NotEqual } else { IntCC::Equal }, value, zero)
            }
        }
    }

    /// A number rounded to an integer, saturating. A NaN counts as positive infinity. A 32-bit result is
    /// extended.
    fn rounded(&mut self, format: Format, x: Id, bits: u32, signed: bool, mode: u8) -> Value {
        let x = self.float(x, format, false);
        let ins = self.code.ins();
        let whole = match mode {
            0 => ins.nearest(x),
            2 => ins.floor(x),
            3 => ins.ceil(x),
            _ => x,
        };
        let of = if bits == 32 { I32 } else { I64 };
        let result = match signed {
            true => self.code.ins().fcvt_to_sint_sat(of, whole),
            false => self.code.ins().fcvt_to_uint_sat(of, whole),
        };
        let result = match (of == I32, signed) {
            (false, _) => result,
            (true, true) => self.code.ins().sextend(I64, result),
            (true, false) => self.code.ins().uextend(I64, result),
        };
        let largest = u64::MAX >> (64 - bits + u32::from(signed));
        let largest = self.code.ins().iconst(I64, largest.cast_signed());
        let nan = self.code.ins().fcmp(FloatCC::Unordered, x, x);
        self.code.ins().select(nan, largest, result)
    }
}

/// Whether an expression is extended from 32 bits.
fn is_short(id: Id, signed: bool) -> bool {
    match node(id) {
        Node::SignExtend(_, bits) => signed && bits <= 32,
        Node::Binary(Binary::And, _, mask) => {
            !signed && constant(mask).is_some_and(|mask| mask <= u32::MAX.into())
        }
        _ => false,
    }
}

/// Whether an operator yields a condition.
fn is_comparison(operator: Binary) -> bool {
    matches!(operator, Binary::Equal | Binary::LessU | Binary::LessS)
}

// ---- Numbers

impl Lowering<'_> {
    /// The new value of a float register, in the form of the expression.
    fn new_float(&mut self, id: Id) -> Value {
        let form = form_of(id, &self.forms);
        let exact = !form.is_arithmetic();
        if !form.is_single() {
            return match node(id) {
                Node::F(register) => self.f(register),
                _ => self.float(id, Format::F64, exact),
            };
        }
        match node(boxed(id).unwrap_or(id)) {
            // A move keeps the form.
            Node::F(register) | Node::Unboxed(register) if self.forms[usize::from(register)].is_single() => {
                self.f(register)
            }
            _ => self.float(boxed(id).unwrap_or(id), Format::F32, exact),
        }
    }

    /// An expression as a number: exact to the bit if `exact`, otherwise any NaN stands for the canonical
    /// one.
    fn float(&mut self, id: Id, format: Format, exact: bool) -> Value {
        let key = (id, exact);
        if let Some(&(_, value)) = self.floats.iter().find(|(known, _)| *known == key) {
            return value;
        }
        let value = self.compute(id, format, exact);
        self.floats.push((key, value));
        value
    }

    fn compute(&mut self, id: Id, format: Format, exact: bool) -> Value {
        match node(id) {
            Node::Unboxed(register) if format == Format::F32 => self.unboxed(register, exact),
            Node::F(register) if format == Format::F64 => {
                let form = self.forms[usize::from(register)];
                if form == Form::Arith64 && !exact {
                    self.f(register)
                } else {
                    self.register(register, Format::F64)
                }
            }
            Node::Loaded(address, size)
                if size.bits() == u32::from(format.width) && self.literal.is_none() =>
            {
                let (from, at) = self.host(address);
                self.code.ins().load(type_of(format), MemFlagsData::trusted(), from, at)
            }
            Node::Negated(of, x) if of == format => {
                let x = self.float(x, format, exact);
                self.code.ins().fneg(x)
            }
            Node::CopySign(of, x, sign) if of == format => {
                let (x, sign) = (self.float(x, format, exact), self.float(sign, format, true));
                self.code.ins().fcopysign(x, sign)
            }
            Node::Float(operation @ (Float::Min | Float::Max), of, a, b) if of == format => {
                self.min_max(operation == Float::Max, format, a, b)
            }
            operation if is_arithmetic(operation) && format_of(operation) == Some(format) => {
                let value = self.arithmetic(operation, format);
                if exact { self.canonical(value, format) } else { value }
            }
            _ => {
                let bits = self.word(id);
                self.of_bits(bits, format)
            }
        }
    }

    /// An operation of the host's hardware.
    fn arithmetic(&mut self, operation: Node, format: Format) -> Value {
        let of = type_of(format);
        match operation {
            Node::Float(operation, _, a, b) => {
                let (a, b) = (self.float(a, format, false), self.float(b, format, false));
                let ins = self.code.ins();
                match operation {
                    Float::Add => ins.fadd(a, b),
                    Float::Mul => ins.fmul(a, b),
                    _ => ins.fdiv(a, b),
                }
            }
            Node::Fma(_, a, b, c) => {
                let [a, b, c] = [a, b, c].map(|id| self.float(id, format, false));
                self.code.ins().fma(a, b, c)
            }
            Node::Sqrt(_, a) => {
                let a = self.float(a, format, false);
                self.code.ins().sqrt(a)
            }
            Node::FromInteger { x, signed, .. } => {
                let x = self.word(x);
                if signed {
                    self.code.ins().fcvt_from_sint(of, x)
                } else {
                    self.code.ins().fcvt_from_uint(of, x)
                }
            }
            Node::Converted { from, x } => {
                let x = self.float(x, from, false);
                if of == F64 { self.code.ins().fpromote(F64, x) } else { self.code.ins().fdemote(F32, x) }
            }
            // `is_arithmetic` admits nothing else.
            _ => self.nan(format),
        }
    }

    /// The minimum or maximum, exact to the bit. -0 is smaller than +0, and a number wins over a NaN.
    fn min_max(&mut self, larger: bool, format: Format, a: Id, b: Id) -> Value {
        let (a, b) = (self.float(a, format, true), self.float(b, format, true));
        let (bits_a, bits_b) = (self.bits(a, format), self.bits(b, format));
        // Equal numbers have equal bits, except for the sign of a zero.
        let ins = self.code.ins();
        let equal = if larger { ins.band(bits_a, bits_b) } else { ins.bor(bits_a, bits_b) };
        let equal = self.of_bits(equal, format);
        let nan = self.nan(format);
        let code = &mut self.code;
        let (less, more) =
            (code.ins().fcmp(FloatCC::LessThan, a, b), code.ins().fcmp(FloatCC::GreaterThan, a, b));
        let (take_a, take_b) = if larger { (more, less) } else { (less, more) };
        let nan_a = code.ins().fcmp(FloatCC::Unordered, a, a);
        let nan_b = code.ins().fcmp(FloatCC::Unordered, b, b);
        let both = code.ins().band(nan_a, nan_b);
        let result = code.ins().select(take_b, b, equal);
        let result = code.ins().select(take_a, a, result);
        let result = code.ins().select(nan_b, a, result);
        let result = code.ins().select(nan_a, b, result);
        code.ins().select(both, nan, result)
    }

    /// The binary32 in a register. The canonical NaN if the register isn't boxed.
    fn unboxed(&mut self, register: u8, exact: bool) -> Value {
        let at = usize::from(register);
        if self.forms[at].is_single() {
            return match exact {
                true => self.register(register, Format::F32),
                false => self.f(register),
            };
        }
        let value = self.register(register, Format::F64);
        let bits = self.bits(value, Format::F64);
        let high = self.code.ins().ushr_imm_u(bits, 32);
        let ones = self.code.ins().iconst(I64, i64::from(u32::MAX));
        let is_boxed = self.code.ins().icmp(IntCC::Equal, high, ones);
        let (number, nan) = (self.of_bits(bits, Format::F32), self.nan(Format::F32));
        self.code.ins().select(is_boxed, number, nan)
    }

    /// A register, exact to the bit: its binary32, which it must have, or all 64 bits.
    fn register(&mut self, register: u8, format: Format) -> Value {
        let at = usize::from(register);
        let form = self.forms[at];
        let of = if form.is_single() { Format::F32 } else { Format::F64 };
        let value = self.f(register);
        let value = if form.is_arithmetic() { self.canonical(value, of) } else { value };
        if of == format {
            return value;
        }
        let bits = self.bits(value, of);
        let bits = self.code.ins().bor_imm_s(bits, BOX.cast_signed());
        self.of_bits(bits, Format::F64)
    }

    /// The bits of a number, zero-extended.
    fn bits(&mut self, value: Value, format: Format) -> Value {
        if format == Format::F64 {
            return self.code.ins().bitcast(I64, MemFlagsData::new(), value);
        }
        let bits = self.code.ins().bitcast(I32, MemFlagsData::new(), value);
        self.code.ins().uextend(I64, bits)
    }

    /// The number with these bits. A binary32 has the lower half.
    fn of_bits(&mut self, bits: Value, format: Format) -> Value {
        if format == Format::F64 {
            return self.code.ins().bitcast(F64, MemFlagsData::new(), bits);
        }
        let bits = self.code.ins().ireduce(I32, bits);
        self.code.ins().bitcast(F32, MemFlagsData::new(), bits)
    }

    /// The canonical NaN.
    fn nan(&mut self, format: Format) -> Value {
        match format {
            Format::F32 => self.code.ins().f32const(Ieee32::with_bits(NAN_32)),
            _ => self.code.ins().f64const(Ieee64::with_bits(NAN_64)),
        }
    }

    /// Makes a NaN canonical. It branches, because NaNs are rare.
    fn canonical(&mut self, value: Value, format: Format) -> Value {
        let (rare, on) = (self.code.create_block(), self.code.create_block());
        self.code.set_cold_block(rare);
        let result = self.code.append_block_param(on, type_of(format));
        let is_nan = self.code.ins().fcmp(FloatCC::Unordered, value, value);
        self.code.ins().brif(is_nan, rare, &[], on, &[value.into()]);
        self.code.switch_to_block(rare);
        let nan = self.nan(format);
        self.code.ins().jump(on, &[nan.into()]);
        self.code.switch_to_block(on);
        result
    }
}

fn type_of(format: Format) -> Type {
    if format == Format::F32 { F32 } else { F64 }
}
