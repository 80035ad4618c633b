//! The code of a machine, decoded on demand.
//!
//! Decoding takes twice the code's memory and much longer than reading it, and programs reach only little of
//! a large code. So records are made page by page. They are stored in chunks that are large enough for the
//! loop to rarely leave one.

use crate::hart::Record;
use bytes::Bytes;
use isa::decode;
use step::MachineProfile;

/// Words per page.
const PAGE: usize = 1 << 10;
/// Words per chunk: 256 KiB of code.
const CHUNK: usize = 1 << 16;

/// Code with its decoded records.
#[derive(Debug)]
pub(crate) struct Code {
    profile: MachineProfile,
    bytes: Bytes,
    chunks: Vec<Option<Chunk>>,
}

#[derive(Debug)]
struct Chunk {
    records: Box<[Record]>,
    /// The decoded pages. The records of all other pages stop the loop.
    decoded: [bool; CHUNK / PAGE],
}

impl Code {
    /// The code of an image.
    pub(crate) fn new(profile: MachineProfile, bytes: Bytes) -> Self {
        let chunks = (bytes.len() / 4).div_ceil(CHUNK);
        Self { profile, bytes, chunks: (0..chunks).map(|_| None).collect() }
    }

    /// The bytes.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The word at an address, if there is one.
    pub(crate) fn word(&self, address: u64) -> Option<usize> {
        let offset = address.wrapping_sub(self.profile.code_base());
        (offset < self.profile.code_size() && offset.is_multiple_of(4)).then_some((offset / 4) as usize)
    }

    /// The record of a word. Decodes its page if necessary.
    pub(crate) fn record(&mut self, word: usize) -> Option<&mut Record> {
        let words = self.bytes.as_chunks::<4>().0;
        let first = word / CHUNK * CHUNK;
        let len = words.len().saturating_sub(first).min(CHUNK);
        let chunk = self.chunks.get_mut(word / CHUNK)?.get_or_insert_with(|| Chunk {
            records: vec![Record::STOP; len].into(),
            decoded: [false; CHUNK / PAGE],
        });
        let page = (word - first) / PAGE;
        if !std::mem::replace(chunk.decoded.get_mut(page)?, true) {
            let records = chunk.records.iter_mut().zip(words.get(first..)?).skip(page * PAGE).take(PAGE);
            for (record, &bytes) in records {
                *record = Record::new(decode(u32::from_le_bytes(bytes), self.profile.extensions()));
            }
        }
        chunk.records.get_mut(word - first)
    }

    /// The records around a decoded word, and their byte offset in the code.
    pub(crate) fn records(&self, word: usize) -> (&[Record], u64) {
        let chunk = self.chunks.get(word / CHUNK).and_then(Option::as_ref);
        (chunk.map_or(&[], |chunk| &chunk.records), (word / CHUNK * CHUNK * 4) as u64)
    }
}
