//! Writes small static RISC-V executables byte by byte, since tests also need ones that no linker would make.

/// A loadable segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segment {
    /// Its address, a multiple of 4,096 as qemu requires.
    pub address: u64,
    /// `PF_X` 1, `PF_W` 2, `PF_R` 4.
    pub flags: u32,
    /// Its contents in the file.
    pub bytes: Vec<u8>,
    /// Its size in memory. The part beyond the bytes is zero.
    pub size: u64,
}

impl Segment {
    /// Code: readable and executable.
    #[must_use]
    pub fn code(address: u64, words: &[u32]) -> Self {
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        Self { address, flags: 5, size: bytes.len() as u64, bytes }
    }

    /// Data: readable and writable.
    #[must_use]
    pub fn data(address: u64, bytes: Vec<u8>) -> Self {
        Self { address, flags: 6, size: bytes.len() as u64, bytes }
    }
}

/// Segments start at multiples of this in the file, as at their addresses.
const PAGE: usize = 4096;

/// An executable that starts at `entry`.
#[must_use]
pub fn write(entry: u64, segments: &[Segment]) -> Vec<u8> {
    let mut file = header(entry, segments.len() as u16);
    let mut offset = PAGE;
    for segment in segments {
        program_header(&mut file, segment, offset as u64);
        offset += segment.bytes.len().next_multiple_of(PAGE);
    }
    for segment in segments {
        file.resize(file.len().next_multiple_of(PAGE), 0);
        file.extend(&segment.bytes);
    }
    file
}

/// The file header ("ELF-64 Object File Format", figure 2).
fn header(entry: u64, segments: u16) -> Vec<u8> {
    let mut out = b"\x7fELF\x02\x01\x01".to_vec();
    out.resize(16, 0);
    out.extend(2u16.to_le_bytes()); // ET_EXEC
    out.extend(243u16.to_le_bytes()); // EM_RISCV
    out.extend(1u32.to_le_bytes());
    out.extend(entry.to_le_bytes());
    out.extend(64u64.to_le_bytes()); // program headers follow
    out.extend(0u64.to_le_bytes()); // no section headers
    out.extend(4u32.to_le_bytes()); // EF_RISCV_FLOAT_ABI_DOUBLE
    for half in [64u16, 56, segments, 64, 0, 0] {
        out.extend(half.to_le_bytes());
    }
    out
}

/// A program header of type `PT_LOAD`.
fn program_header(out: &mut Vec<u8>, segment: &Segment, offset: u64) {
    out.extend(1u32.to_le_bytes());
    out.extend(segment.flags.to_le_bytes());
    for word in
        [offset, segment.address, segment.address, segment.bytes.len() as u64, segment.size, PAGE as u64]
    {
        out.extend(word.to_le_bytes());
    }
}
