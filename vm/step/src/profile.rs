//! The shape of a machine: what a verifier must know of an image beyond its state.

use isa::Extensions;
use thiserror::Error;

/// The shape of a machine: its extensions, its memory and where its code is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct MachineProfile {
    extensions: Extensions,
    memory_bits: u8,
    code_base: u64,
    code_size: u64,
}

/// Why no machine can have this shape.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ProfileError {
    /// Too little or too much memory.
    #[error("memory of 2^{found} bytes; it must be 2^{min} to 2^{max}", min = MachineProfile::MEMORY_BITS.start(), max = MachineProfile::MEMORY_BITS.end())]
    Memory {
        /// The logarithm asked for.
        found: u8,
    },
    /// Code that does not start or end on a leaf of its tree.
    #[error("{size} bytes of code at {base:#x}; both must be multiples of 32, and the size at least 32")]
    CodeLeaves {
        /// The first address.
        base: u64,
        /// The number of bytes.
        size: u64,
    },
    /// Code that goes beyond the last address.
    #[error("{size} bytes of code at {base:#x} go beyond the last address")]
    CodeRange {
        /// The first address.
        base: u64,
        /// The number of bytes.
        size: u64,
    },
}

impl MachineProfile {
    /// The binary logarithms of the allowed memory sizes.
    pub const MEMORY_BITS: core::ops::RangeInclusive<u8> = 12..=45;

    /// A machine with 2^`memory_bits` bytes of memory and `code_size` bytes of code at `code_base`.
    pub fn new(
        extensions: Extensions,
        memory_bits: u8,
        code_base: u64,
        code_size: u64,
    ) -> Result<Self, ProfileError> {
        if !Self::MEMORY_BITS.contains(&memory_bits) {
            return Err(ProfileError::Memory { found: memory_bits });
        }
        if !code_base.is_multiple_of(32) || !code_size.is_multiple_of(32) || code_size == 0 {
            return Err(ProfileError::CodeLeaves { base: code_base, size: code_size });
        }
        if code_base.checked_add(code_size).is_none() {
            return Err(ProfileError::CodeRange { base: code_base, size: code_size });
        }
        Ok(Self { extensions, memory_bits, code_base, code_size })
    }

    /// The profile as one word of a contract: 11 zero bytes, then the extensions (32 bits), the memory bits
    /// (8 bits), the code's base and its size (64 bits each), all big-endian.
    #[must_use]
    pub fn word(&self) -> [u8; 32] {
        let mut word = [0; 32];
        word[11..15].copy_from_slice(&u32::from(self.extensions.bits()).to_be_bytes());
        word[15] = self.memory_bits;
        word[16..24].copy_from_slice(&self.code_base.to_be_bytes());
        word[24..].copy_from_slice(&self.code_size.to_be_bytes());
        word
    }

    /// The extensions whose instructions are legal.
    #[must_use]
    pub const fn extensions(&self) -> Extensions {
        self.extensions
    }
    /// The logarithm of the size of memory.
    #[must_use]
    pub const fn memory_bits(&self) -> u8 {
        self.memory_bits
    }
    /// Bytes of memory; it starts at address 0.
    #[must_use]
    pub const fn memory_size(&self) -> u64 {
        1 << self.memory_bits
    }
    /// The first address of the code.
    #[must_use]
    pub const fn code_base(&self) -> u64 {
        self.code_base
    }
    /// Bytes of code.
    #[must_use]
    pub const fn code_size(&self) -> u64 {
        self.code_size
    }
    /// Levels of the memory's tree.
    #[must_use]
    pub const fn memory_depth(&self) -> u32 {
        self.memory_bits as u32 - 5
    }
    /// Levels of the code's tree.
    #[must_use]
    pub const fn code_depth(&self) -> u32 {
        u64::BITS - (self.code_size / 32 - 1).leading_zeros()
    }
    /// Whether the address is inside the code.
    #[must_use]
    pub const fn is_code(&self, address: u64) -> bool {
        address.wrapping_sub(self.code_base) < self.code_size
    }
    /// Whether the address may be read.
    #[must_use]
    pub const fn is_readable(&self, address: u64) -> bool {
        address < self.memory_size() || self.is_code(address)
    }
    /// Whether the address may be written.
    #[must_use]
    pub const fn is_writable(&self, address: u64) -> bool {
        address < self.memory_size() && !self.is_code(address)
    }
}
