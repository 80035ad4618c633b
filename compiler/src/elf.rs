//! Writes an image as an ELF file: all other memory in one segment, code in another.

use std::io::{self, BufWriter, Write};

use image::Image;
use object::Endianness;
use object::elf;
use object::write::elf::{FileHeader, ProgramHeader, SectionHeader, Sym, Writer};
use object::write::{Error, StreamingBuffer, StringId};

use codegen::link::{Mark, MarkKind, START};

const PAGE: u64 = 4096;

/// A symbol and where its name is.
struct Named {
    name: StringId,
    info: elf::SymbolInfo,
    address: u64,
    size: u64,
}

/// Writes the file piece by piece. The marks say where instructions and data begin in the code.
pub(crate) fn write(image: &Image, marks: &[Mark], to: impl Write) -> io::Result<()> {
    let mut buffer = StreamingBuffer::new(BufWriter::new(to));
    parts(image, marks, &mut Writer::new(Endianness::Little, true, &mut buffer)).map_err(io::Error::other)?;
    buffer.flush()
}

fn parts<'a>(image: &'a Image, marks: &[Mark], writer: &mut Writer<'a>) -> Result<(), Error> {
    let data_size = image.segments.last().map_or(0, |last| last.address + last.bytes.len() as u64);
    let (text_address, text_size) = (image.profile.code_base(), image.profile.code_size());

    writer.reserve_file_header();
    writer.reserve_program_headers(2);
    let data_offset = writer.reserve(data_size, PAGE);
    let text_offset = writer.reserve(text_size, PAGE);
    writer.reserve_null_section_index();
    let data_name = writer.add_section_name(b".data");
    writer.reserve_section_index();
    let text_name = writer.add_section_name(b".text");
    let text_section = writer.reserve_section_index();
    writer.reserve_symtab_section_index();
    writer.reserve_strtab_section_index();
    writer.reserve_shstrtab_section_index();
    writer.reserve_null_symbol_index();
    let (locals, symbols) = symbols(image, marks, writer);
    for _ in &symbols {
        writer.reserve_symbol_index(Some(text_section));
    }
    writer.reserve_symtab();
    writer.reserve_strtab()?;
    writer.reserve_shstrtab()?;
    writer.reserve_section_headers();

    writer.write_file_header(&FileHeader {
        os_abi: elf::ELFOSABI_NONE,
        abi_version: 0,
        e_type: elf::ET_EXEC,
        e_machine: elf::EM_RISCV,
        e_entry: image.entry,
        e_flags: elf::EF_RISCV_FLOAT_ABI_DOUBLE,
    })?;
    writer.write_align_program_headers();
    let segment = |flags, offset, address, file_size, memory_size| ProgramHeader {
        p_type: elf::PT_LOAD,
        p_flags: flags,
        p_offset: offset,
        p_vaddr: address,
        p_paddr: address,
        p_filesz: file_size,
        p_memsz: memory_size,
        p_align: PAGE,
    };
    writer.write_program_header(&segment(
        elf::PF_R | elf::PF_W,
        data_offset,
        0,
        data_size,
        image.profile.memory_size(),
    ));
    writer.write_program_header(&segment(
        elf::PF_R | elf::PF_X,
        text_offset,
        text_address,
        text_size,
        text_size,
    ));
    for segment in &image.segments {
        writer.pad_until(data_offset + segment.address);
        writer.write(&segment.bytes);
    }
    writer.pad_until(text_offset);
    writer.write(&image.code);
    writer.write_null_symbol();
    for symbol in &symbols {
        let st_name = writer.string_offset(Some(symbol.name));
        writer.write_symbol(&Sym {
            section: Some(text_section.0),
            st_name,
            st_info: symbol.info,
            st_other: elf::SymbolOther(0),
            st_shndx: elf::SymbolSection(0),
            st_value: symbol.address,
            st_size: symbol.size,
        });
    }
    writer.write_strtab();
    writer.write_shstrtab();
    writer.write_null_section_header();
    let section = |name, flags, address, offset, size, align| SectionHeader {
        sh_name: name,
        sh_type: elf::SHT_PROGBITS,
        sh_flags: elf::SHF_ALLOC | flags,
        sh_addr: address,
        sh_offset: offset,
        sh_size: size,
        sh_link: 0,
        sh_info: 0,
        sh_addralign: align,
        sh_entsize: 0,
    };
    let name = writer.section_name_offset(Some(data_name));
    writer.write_section_header(&section(name, elf::SHF_WRITE, 0, data_offset, data_size, PAGE));
    let name = writer.section_name_offset(Some(text_name));
    writer.write_section_header(&section(
        name,
        elf::SHF_EXECINSTR,
        text_address,
        text_offset,
        text_size,
        PAGE,
    ));
    writer.write_symtab_section_header(1 + locals);
    writer.write_strtab_section_header();
    writer.write_shstrtab_section_header();
    Ok(())
}

/// All symbols, local ones first, and how many those are.
fn symbols<'a>(image: &'a Image, marks: &[Mark], writer: &mut Writer<'a>) -> (u32, Vec<Named>) {
    let mut symbols = Vec::new();
    for mark in marks {
        let info = elf::SymbolInfo::new(elf::STB_LOCAL, elf::STT_NOTYPE);
        // The names of the RISC-V psABI.
        let name: &[u8] = match mark.kind {
            MarkKind::Instructions => b"$x",
            MarkKind::Data => b"$d",
        };
        symbols.push(Named { name: writer.add_string(name), info, address: mark.address, size: 0 });
    }
    let (entry, kernels): (Vec<_>, Vec<_>) = image.symbols.iter().partition(|symbol| symbol.name == START);
    let local = kernels.into_iter().map(|symbol| (elf::STB_LOCAL, symbol));
    for (bind, symbol) in local.chain(entry.into_iter().map(|symbol| (elf::STB_GLOBAL, symbol))) {
        let info = elf::SymbolInfo::new(bind, elf::STT_FUNC);
        let name = writer.add_string(symbol.name.as_bytes());
        symbols.push(Named { name, info, address: symbol.address, size: symbol.size });
    }
    let locals = symbols.iter().filter(|symbol| symbol.info.st_bind() == elf::STB_LOCAL).count();
    (u32::try_from(locals).unwrap_or(u32::MAX), symbols)
}
