//! The step without hashes: registers and bytes, software floats, no roots. It shares bugs in the semantics,
//! but not in Merkle trees.

use image::Image;
use isa::{Extensions, Size, SoftFloat};
use std::collections::HashMap;
use std::convert::Infallible;
use step::{Access, MachineProfile, Status};

/// Bytes per page.
const PAGE: u64 = 4096;

/// A machine that consists only of registers and bytes.
#[derive(Debug, Clone)]
pub struct Flat {
    profile: MachineProfile,
    /// Whether it runs.
    pub status: Status,
    /// The program counter.
    pub pc: u64,
    /// The integer registers.
    pub x: [u64; 32],
    /// The float registers.
    pub f: [u64; 32],
    pages: HashMap<u64, Box<[u8; PAGE as usize]>>,
}

impl Flat {
    /// A machine with zeroed memory and code.
    #[must_use]
    pub fn new(profile: MachineProfile, entry: u64, sp: u64) -> Self {
        let mut x = [0; 32];
        x[2] = sp;
        Self {
            profile,
            status: Status::Running,
            pc: entry,
            x,
            f: [0xffff_ffff_0000_0000; 32],
            pages: HashMap::new(),
        }
    }

    /// A machine with large memory and code, and this code.
    ///
    /// # Panics
    /// If the code is not at a multiple of 32.
    #[must_use]
    pub fn with_code(extensions: Extensions, memory_bits: u8, base: u64, code: &[u32]) -> Self {
        let size = (4 * code.len() as u64).next_multiple_of(32);
        let profile = MachineProfile::new(extensions, memory_bits, base, size).expect("a machine");
        let mut machine = Self::new(profile, base, 0);
        for (i, word) in code.iter().enumerate() {
            machine.put(base + 4 * i as u64, &word.to_le_bytes());
        }
        machine
    }

    /// The machine of an image at reset.
    #[must_use]
    pub fn of(image: &Image) -> Self {
        let mut machine = Self::new(image.profile, image.entry, image.sp);
        machine.put(image.profile.code_base(), &image.code);
        for segment in &image.segments {
            machine.put(segment.address, &segment.bytes);
        }
        machine
    }

    /// The machine's shape.
    #[must_use]
    pub fn profile(&self) -> MachineProfile {
        self.profile
    }

    /// The pages that were written: address and bytes.
    pub fn pages(&self) -> impl Iterator<Item = (u64, &[u8])> {
        self.pages.iter().map(|(page, bytes)| (page * PAGE, bytes.as_slice()))
    }

    /// Writes bytes, code or memory.
    pub fn put(&mut self, address: u64, bytes: &[u8]) {
        for (at, &byte) in (address..).zip(bytes) {
            let page = self.pages.entry(at / PAGE).or_insert_with(|| Box::new([0; PAGE as usize]));
            page[(at % PAGE) as usize] = byte;
        }
    }

    /// Reads bytes.
    #[must_use]
    pub fn get(&self, address: u64, len: u64) -> Vec<u8> {
        (address..address + len)
            .map(|at| self.pages.get(&(at / PAGE)).map_or(0, |page| page[(at % PAGE) as usize]))
            .collect()
    }

    /// Runs until the machine stops or has made `limit` steps. Returns the number of steps.
    pub fn run(&mut self, limit: u64) -> u64 {
        let mut steps = 0;
        while self.status == Status::Running && steps < limit {
            let Ok(()) = step::step(self);
            steps += 1;
        }
        steps
    }
}

impl Access for Flat {
    type Float = SoftFloat;
    type Error = Infallible;

    fn profile(&self) -> MachineProfile {
        self.profile
    }
    fn status(&self) -> Status {
        self.status
    }
    fn set_status(&mut self, status: Status) {
        self.status = status;
    }
    fn pc(&self) -> u64 {
        self.pc
    }
    fn set_pc(&mut self, pc: u64) {
        self.pc = pc;
    }
    fn fetch(&mut self, address: u64) -> Result<u32, Infallible> {
        self.read(address, Size::Word).map(|word| word as u32)
    }
    fn x(&self, register: u8) -> u64 {
        self.x[usize::from(register)]
    }
    fn set_x(&mut self, register: u8, value: u64) {
        self.x[usize::from(register)] = value;
    }
    fn open_floats(&mut self) -> Result<(), Infallible> {
        Ok(())
    }
    fn f(&self, register: u8) -> u64 {
        self.f[usize::from(register)]
    }
    fn set_f(&mut self, register: u8, value: u64) {
        self.f[usize::from(register)] = value;
    }
    fn read(&mut self, address: u64, size: Size) -> Result<u64, Infallible> {
        let mut bytes = [0; 8];
        let len = size.bytes();
        bytes[..len as usize].copy_from_slice(&self.get(address, len));
        Ok(u64::from_le_bytes(bytes))
    }
    fn write(&mut self, address: u64, size: Size, value: u64) -> Result<(), Infallible> {
        self.put(address, &value.to_le_bytes()[..size.bytes() as usize]);
        Ok(())
    }
}
