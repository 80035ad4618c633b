//! The reference evaluator: the meaning of a kernel in safe Rust over a byte slice. Slow and exact.

use std::ops::Range;

use crate::kernel::ir::{Block, Kernel, Statement};
use crate::scalar::{Value, narrow, widen};
use crate::tensor::TensorType;

/// Why a kernel could not be evaluated.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EvalError {
    /// An access is outside memory, or not aligned to its size.
    #[error(
        "kernel {kernel}: access of {size} bytes at address {address:#x} is misaligned or outside of the memory"
    )]
    Access {
        /// The kernel's name.
        kernel: String,
        /// The address.
        address: u64,
        /// The size of the access in bytes.
        size: u64,
    },
    /// A loop ran longer than its bound.
    #[error("kernel {kernel}: the loop over {index} ran longer than its bound of {bound} iterations")]
    Bound {
        /// The kernel's name.
        kernel: String,
        /// The loop's index.
        index: Value,
        /// The bound.
        bound: u64,
    },
    /// The number of arguments is wrong.
    #[error("kernel {kernel} takes {expected} arguments, not {found}")]
    Arguments {
        /// The kernel's name.
        kernel: String,
        /// The number of parameters.
        expected: usize,
        /// The number of arguments.
        found: usize,
    },
    /// A tensor has the wrong size.
    #[error("kernel {kernel}: input {index} is {ty}, which does not have {found} bytes")]
    Size {
        /// The kernel's name.
        kernel: String,
        /// The index of the input.
        index: usize,
        /// Its type.
        ty: TensorType,
        /// The size given.
        found: usize,
    },
    /// The output is too large for this machine.
    #[error("kernel {kernel}: an output of type {ty} does not fit")]
    Output {
        /// The kernel's name.
        kernel: String,
        /// Its type.
        ty: TensorType,
    },
}

/// The memory of a kernel: bytes from address 0.
#[derive(Debug)]
pub struct Memory<'a>(pub &'a mut [u8]);

impl Memory<'_> {
    fn range(&self, address: u64, size: u64) -> Option<Range<usize>> {
        let start = usize::try_from(address).ok()?;
        let end = start.checked_add(size as usize)?;
        (address.is_multiple_of(size) && end <= self.0.len()).then_some(start..end)
    }

    fn read(&self, address: u64, size: u64) -> Option<u64> {
        let mut bytes = [0; 8];
        bytes[..size as usize].copy_from_slice(&self.0[self.range(address, size)?]);
        Some(u64::from_le_bytes(bytes))
    }

    fn write(&mut self, address: u64, size: u64, value: u64) -> Option<()> {
        let range = self.range(address, size)?;
        self.0[range].copy_from_slice(&value.to_le_bytes()[..size as usize]);
        Some(())
    }
}

impl Kernel {
    /// Evaluates the kernel over memory. The arguments are those of [`Kernel`]: input addresses, output
    /// address, lo, hi.
    pub fn eval(&self, memory: &mut Memory<'_>, arguments: &[u64]) -> Result<(), EvalError> {
        if arguments.len() != self.params() {
            let (expected, found) = (self.params(), arguments.len());
            return Err(EvalError::Arguments { kernel: self.name.clone(), expected, found });
        }
        let mut values = vec![0; self.types.len()];
        values[..arguments.len()].copy_from_slice(arguments);
        Evaluator { kernel: self, memory, values }.block(&self.body)
    }

    /// Evaluates all units on the bytes of the inputs, and returns the bytes of the output.
    pub fn run(&self, inputs: &[&[u8]]) -> Result<Vec<u8>, EvalError> {
        self.run_ranges(inputs, std::iter::once(0..self.units()))
    }

    /// Like [`Kernel::run`], range by range. Units that no range covers stay 0.
    pub fn run_ranges(
        &self,
        inputs: &[&[u8]],
        ranges: impl IntoIterator<Item = Range<u64>>,
    ) -> Result<Vec<u8>, EvalError> {
        if inputs.len() != self.inputs.len() {
            let (expected, found) = (self.inputs.len(), inputs.len());
            return Err(EvalError::Arguments { kernel: self.name.clone(), expected, found });
        }
        let mut bytes = Vec::new();
        let mut arguments = Vec::new();
        for (index, (&input, ty)) in inputs.iter().zip(&self.inputs).enumerate() {
            if ty.bytes() != Some(input.len() as u64) {
                let (ty, found) = (ty.clone(), input.len());
                return Err(EvalError::Size { kernel: self.name.clone(), index, ty, found });
            }
            arguments.push(bytes.len() as u64);
            bytes.extend_from_slice(input);
            bytes.resize(bytes.len().next_multiple_of(16), 0);
        }
        let start = bytes.len();
        let size =
            self.output.bytes().and_then(|size| usize::try_from(size).ok()).filter(|&size| size <= 1 << 40);
        let Some(size) = size else {
            return Err(EvalError::Output { kernel: self.name.clone(), ty: self.output.clone() });
        };
        bytes.resize(start + size, 0);
        for range in ranges {
            let mut all = arguments.clone();
            all.extend([start as u64, range.start, range.end]);
            self.eval(&mut Memory(&mut bytes), &all)?;
        }
        Ok(bytes.split_off(start))
    }
}

struct Evaluator<'a, 'm> {
    kernel: &'a Kernel,
    memory: &'a mut Memory<'m>,
    values: Vec<u64>,
}

impl Evaluator<'_, '_> {
    fn get(&self, value: Value) -> u64 {
        self.values[value.index()]
    }

    fn set(&mut self, value: Value, bits: u64) {
        self.values[value.index()] = bits;
    }

    fn assign(&mut self, to: &[Value], from: &[Value]) {
        let bits: Vec<_> = from.iter().map(|&value| self.get(value)).collect();
        for (&to, bits) in to.iter().zip(bits) {
            self.set(to, bits);
        }
    }

    fn address(&self, base: Value, offset: i32) -> u64 {
        self.get(base).wrapping_add_signed(offset.into())
    }

    fn bad_access(&self, address: u64, size: u64) -> EvalError {
        EvalError::Access { kernel: self.kernel.name.clone(), address, size }
    }

    fn block(&mut self, block: &Block) -> Result<(), EvalError> {
        block.statements.iter().try_for_each(|statement| self.statement(statement))
    }

    fn statement(&mut self, statement: &Statement) -> Result<(), EvalError> {
        match statement {
            Statement::Let(value, expr) => {
                let bits = expr.eval(&self.kernel.types, &self.values);
                self.set(*value, bits);
            }
            Statement::Load { value, dtype, base, offset } => {
                let address = self.address(*base, *offset);
                let bits = self.memory.read(address, dtype.size());
                let bits = bits.ok_or_else(|| self.bad_access(address, dtype.size()))?;
                self.set(*value, widen(*dtype, bits));
            }
            Statement::Store { dtype, base, offset, value } => {
                let address = self.address(*base, *offset);
                let bits = narrow(*dtype, self.get(*value));
                let written = self.memory.write(address, dtype.size(), bits);
                written.ok_or_else(|| self.bad_access(address, dtype.size()))?;
            }
            Statement::For { index, start, end, step, bound, init, carried, body, results } => {
                self.assign(carried, init);
                let (mut i, end) = (self.get(*start) as i64, self.get(*end) as i64);
                let mut left = bound.unwrap_or(u64::MAX);
                while i < end {
                    let Some(rest) = left.checked_sub(1) else {
                        let (index, bound) = (*index, bound.unwrap_or(u64::MAX));
                        return Err(EvalError::Bound { kernel: self.kernel.name.clone(), index, bound });
                    };
                    left = rest;
                    self.set(*index, i as u64);
                    self.block(body)?;
                    self.assign(carried, &body.yields);
                    i = i.wrapping_add(*step);
                }
                self.assign(results, carried);
            }
            Statement::If { condition, then, otherwise, results } => {
                let block = if self.get(*condition) != 0 { then } else { otherwise };
                self.block(block)?;
                self.assign(results, &block.yields);
            }
        }
        Ok(())
    }
}
