//! Loops of one block: what would be checked in every turn is checked for many turns at once.
//!
//! Accesses that move by the same distance in every turn stay in memory, and in the page that they are in, for a number of turns that is
//! known before the first of them. As every turn takes the same number of steps off the counter, that is the same as saying how many
//! steps must be left. So the one comparison that a turn needs anyway, whether there are steps enough, stands for all checks, and
//! pages are marked before the first turn.

use super::{Lowering, Range, Wrong, field};
use crate::access::{Span, Steady, Stride};
use crate::context::Context;
use crate::region::Block;
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::types::I64;
use cranelift_codegen::ir::{self, InstBuilder, MemFlagsData, Value};
use memory::PAGE_BITS;
use std::mem::offset_of;

/// The last byte of a page, from its first.
const LAST: i64 = (1 << PAGE_BITS) - 1;
/// No distance of a turn is larger, so that what is turned right by the logarithm of a size stays comparable.
const FARTHEST: i64 = 1 << 62;

impl Lowering<'_> {
    /// Begins a block that is a loop, where a turn needs so many steps: with all checks, and from then on with one that says whether they
    /// are still good. Gives the place where other turns begin.
    pub(super) fn begin_turns(&mut self, block: &Block, needed: u64, steady: &Steady) -> ir::Block {
        let [turn, body] = std::array::from_fn(|_| self.code.create_block());
        let Some(here) = self.code.current_block() else { return turn };
        let state = (self.kept, self.stale);
        let left = self.code.use_var(self.left);
        let needed = self.code.ins().iconst(I64, needed.cast_signed());
        let mut wrong: Vec<Wrong> = vec![self.code.ins().icmp(IntCC::SignedLessThan, left, needed).into()];
        for (span, _) in &steady.spans {
            self.check_span(*span, &mut wrong);
        }
        self.exit_if(&wrong, block.start, 0);
        let mut turns: Option<Value> = None;
        for &(span, stride) in &steady.spans {
            if stride.lingers() {
                self.mark_span(span);
            }
            let more = self.turns(span, stride);
            turns = match (turns, more) {
                (Some(turns), Some(more)) => Some(self.code.ins().umin(turns, more)),
                (turns, more) => turns.or(more),
            };
        }
        let bound = turns.map_or(needed, |turns| {
            let steps = self.code.ins().imul_imm_s(turns, block.len.cast_signed());
            let bound = self.code.ins().isub(left, steps);
            self.code.ins().smax(bound, needed)
        });
        self.code.ins().store(MemFlagsData::trusted(), bound, self.pointer, field!(bound));
        self.code.ins().jump(turn, &[]);

        self.code.switch_to_block(turn);
        (self.kept, self.stale) = state;
        let (left, bound) = (self.code.use_var(self.left), self.field(field!(bound)));
        let is_over = self.code.ins().icmp(IntCC::SignedLessThan, left, bound);
        self.code.ins().brif(is_over, here, &[], body, &[]);
        self.code.switch_to_block(body);
        turn
    }

    /// Marks the pages that a span writes to: all between the first and the last are these two, as no span is longer than a page.
    fn mark_span(&mut self, span: Span) {
        let Some((first, last, both)) = span.written() else { return };
        let base = self.x(span.register);
        for at in [Some(first), both.then_some(last)].into_iter().flatten() {
            let address = self.plus(base, at);
            self.mark(address);
        }
    }

    /// How many turns after this one a span surely stays where its checks and marks are good for; nothing if it does so for ever.
    fn turns(&mut self, span: Span, stride: Stride) -> Option<Value> {
        let falls = match stride {
            Stride::By(0) => return None,
            Stride::By(distance) => distance < 0,
            Stride::Register(_) => false,
        };
        let room = self.room(span, stride, falls);
        Some(match stride {
            Stride::By(distance) => self.quotient(room, distance.unsigned_abs()),
            Stride::Register(register) => {
                let distance = self.x(register);
                let bits = i64::from(span.size.bytes().ilog2());
                let turned = if bits == 0 { distance } else { self.code.ins().rotr_imm_u(distance, bits) };
                // Large if it falls, isn't aligned or, as one is taken off, nothing.
                let turned = self.code.ins().iadd_imm_s(turned, -1);
                let limit = self.code.ins().iconst(I64, (FARTHEST >> bits) - 1);
                let bad = self.code.ins().icmp(IntCC::UnsignedGreaterThan, turned, limit);
                let [none, one] = [0, 1].map(|number| self.code.ins().iconst(I64, number));
                let divisor = self.code.ins().select(bad, one, distance);
                let turns = self.code.ins().udiv(room, divisor);
                self.code.ins().select(bad, none, turns)
            }
        })
    }

    /// A number by a constant, or one less.
    fn quotient(&mut self, number: Value, by: u64) -> Value {
        if by.is_power_of_two() {
            return self.code.ins().ushr_imm_u(number, i64::from(by.ilog2()));
        }
        let inverse = self.code.ins().iconst(I64, (u64::MAX / by).cast_signed());
        self.code.ins().umulhi(number, inverse)
    }

    /// How many bytes a span can move on or, if it falls, back: as long as it stays in memory's largest part, and where it writes,
    /// in the last or first page that it writes to. None if it isn't in that part.
    fn room(&mut self, span: Span, stride: Stride, falls: bool) -> Value {
        let (usual, other) = self.ranges(span);
        let Some(Range { first, start, last, .. }) = usual.filter(|range| range.last >= 0) else {
            return self.code.ins().iconst(I64, 0);
        };
        let distance = self.plus(first, start.wrapping_neg().cast_signed());
        let last = self.code.ins().iconst(I64, last);
        let room = if falls { distance } else { self.code.ins().isub(last, distance) };
        let room = if other.is_none() {
            room
        } else {
            let outside = self.code.ins().icmp(IntCC::UnsignedGreaterThan, distance, last);
            let none = self.code.ins().iconst(I64, 0);
            self.code.ins().select(outside, none, room)
        };
        let Some((first, last, _)) = span.written().filter(|_| stride.lingers()) else { return room };
        let base = self.x(span.register);
        let edge = self.plus(base, if falls { first } else { last });
        let edge = if falls { edge } else { self.code.ins().bnot(edge) };
        let in_page = self.code.ins().band_imm_s(edge, LAST);
        self.code.ins().umin(room, in_page)
    }
}
