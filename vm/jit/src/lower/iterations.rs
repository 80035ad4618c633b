//! Hoists checks out of single-block loops.
//!
//! Accesses that move by a fixed distance per iteration stay in memory, and in their current page, for a
//! number of iterations that can be computed in advance. Every iteration takes the same number of steps off
//! the counter, so that number corresponds to a minimum of remaining steps. Each iteration compares the
//! remaining steps anyway. This one comparison covers all checks, and pages are marked before the first
//! iteration.

use super::{Lowering, Range, Wrong, field};
use crate::access::{Span, Steady, Stride};
use crate::context::Context;
use crate::region::Block;
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::types::I64;
use cranelift_codegen::ir::{self, InstBuilder, MemFlagsData, Value};
use memory::PAGE_BITS;
use std::mem::offset_of;

/// The offset of the last byte in a page.
const LAST: i64 = (1 << PAGE_BITS) - 1;
/// The largest distance per iteration. Up to this, a distance rotated right by log2 of a size stays
/// comparable.
const FARTHEST: i64 = 1 << 62;

impl Lowering<'_> {
    /// Begins a block that is a loop and needs `needed` steps: first with all checks, then with the one
    /// comparison that keeps them valid. Returns the block where later iterations start.
    pub(super) fn begin_iterations(&mut self, block: &Block, needed: u64, steady: &Steady) -> ir::Block {
        let [iteration, body] = std::array::from_fn(|_| self.code.create_block());
        let Some(here) = self.code.current_block() else { return iteration };
        let state = (self.kept, self.stale);
        let left = self.code.use_var(self.left);
        let needed = self.code.ins().iconst(I64, needed.cast_signed());
        let mut wrong: Vec<Wrong> = vec![self.code.ins().icmp(IntCC::SignedLessThan, left, needed).into()];
        for (span, _) in &steady.spans {
            self.check_span(*span, &mut wrong);
        }
        self.exit_if(&wrong, block.start, 0);
        let mut iterations: Option<Value> = None;
        for &(span, stride) in &steady.spans {
            if stride.lingers() {
                self.mark_span(span);
            }
            let more = self.iterations(span, stride);
            iterations = match (iterations, more) {
                (Some(iterations), Some(more)) => Some(self.code.ins().umin(iterations, more)),
                (iterations, more) => iterations.or(more),
            };
        }
        let bound = iterations.map_or(needed, |iterations| {
            let steps = self.code.ins().imul_imm_s(iterations, block.len.cast_signed());
            let bound = self.code.ins().isub(left, steps);
            self.code.ins().smax(bound, needed)
        });
        self.code.ins().store(MemFlagsData::trusted(), bound, self.pointer, field!(bound));
        self.code.ins().jump(iteration, &[]);

        self.code.switch_to_block(iteration);
        (self.kept, self.stale) = state;
        let (left, bound) = (self.code.use_var(self.left), self.field(field!(bound)));
        let is_over = self.code.ins().icmp(IntCC::SignedLessThan, left, bound);
        self.code.ins().brif(is_over, here, &[], body, &[]);
        self.code.switch_to_block(body);
        iteration
    }

    /// Marks the pages that a span writes to. A span is no longer than a page, so it touches at most two.
    fn mark_span(&mut self, span: Span) {
        let Some((first, last, both)) = span.written() else { return };
        let base = self.x(span.register);
        for at in [Some(first), both.then_some(last)].into_iter().flatten() {
            let address = self.plus(base, at);
            self.mark(address);
        }
    }

    /// For how many further iterations the span's checks and marks surely hold. `None` if they hold forever.
    fn iterations(&mut self, span: Span, stride: Stride) -> Option<Value> {
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
                let rotated = if bits == 0 { distance } else { self.code.ins().rotr_imm_u(distance, bits) };
                // Too large if the distance is negative, misaligned or, because of the subtraction, zero.
                let rotated = self.code.ins().iadd_imm_s(rotated, -1);
                let limit = self.code.ins().iconst(I64, (FARTHEST >> bits) - 1);
                let bad = self.code.ins().icmp(IntCC::UnsignedGreaterThan, rotated, limit);
                let [none, one] = [0, 1].map(|number| self.code.ins().iconst(I64, number));
                let divisor = self.code.ins().select(bad, one, distance);
                let iterations = self.code.ins().udiv(room, divisor);
                self.code.ins().select(bad, none, iterations)
            }
        })
    }

    /// Divides by a constant. The result may be one too small.
    fn quotient(&mut self, number: Value, by: u64) -> Value {
        if by.is_power_of_two() {
            return self.code.ins().ushr_imm_u(number, i64::from(by.ilog2()));
        }
        let inverse = self.code.ins().iconst(I64, (u64::MAX / by).cast_signed());
        self.code.ins().umulhi(number, inverse)
    }

    /// How many bytes a span can move forward or, if it falls, backward. It must stay in the largest part of
    /// memory and, if it writes, in the last or first page that it writes to. Zero if it isn't in that part.
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
