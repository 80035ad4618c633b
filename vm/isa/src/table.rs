//! The instruction table: every instruction is declared here, once.
//!
//! `for_each_instruction!` hands the table to any macro. The enum [`Op`], the static [`TABLE`], the decoder,
//! the disassembler, the dispatch in [`crate::semantics`], the verifier generator, the documentation and the
//! fuzzers all read it. A row gives: variant, semantics function, mnemonic, extension, layout, bits, syntax,
//! doc line. In the syntax, `rd rs1 rs2` are integer registers and `frd frs1 frs2 frs3` are float registers.

/// An extension of RISC-V (unprivileged specification).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Extension {
    /// RV64I, the base integer instructions.
    I = 1,
    /// Integer multiplication and division.
    M = 2,
    /// Single-precision floating point.
    F = 4,
    /// Double-precision floating point.
    D = 8,
}

impl Extension {
    /// The extension's heading in the documentation.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::I => "RV64I: integers",
            Self::M => "M: multiplication and division",
            Self::F => "F: binary32",
            Self::D => "D: binary64",
        }
    }
}

/// Declares the sets of extensions: variant, name and extensions, smaller sets first.
macro_rules! sets {
    ($($(#[doc = $doc:literal])* $set:ident $name:literal = $($extension:ident)*;)*) => {
        /// A set of extensions: what a machine can execute. Every set has a verifier.
        ///
        /// The checked-in verifiers, the image format, the ELF loader and the tests go through
        /// [`ALL`](Self::ALL).
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        pub enum Extensions {
            $($(#[doc = $doc])* $set = $(Extension::$extension as u8)|*,)*
        }

        impl Extensions {
            /// Every set, smaller ones first.
            pub const ALL: &[Self] = &[$(Self::$set,)*];

            /// The name of the machine, such as `rv64im`.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$set => $name,)*
                }
            }
        }
    };
}

sets! {
    /// Integers only.
    IM "rv64im" = I M;
    /// Integers and floats.
    IMFD "rv64imfd" = I M F D;
}

impl Extensions {
    /// Whether the set has this extension.
    #[must_use]
    pub const fn has(self, extension: Extension) -> bool {
        self.bits() & extension as u8 != 0
    }

    /// The set as a bit mask of its extensions: I 1, M 2, F 4, D 8.
    #[must_use]
    pub const fn bits(self) -> u8 {
        self as u8
    }

    /// The set with this bit mask.
    #[must_use]
    pub fn from_bits(bits: u8) -> Option<Self> {
        Self::ALL.iter().copied().find(|set| set.bits() == bits)
    }

    /// The set with this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|set| set.name() == name)
    }

    /// The smallest set that contains this set and this extension.
    #[must_use]
    pub fn with(self, extension: Extension) -> Option<Self> {
        let needed = self.bits() | extension as u8;
        Self::ALL.iter().copied().find(|set| set.bits() & needed == needed)
    }
}

// An instruction that no machine has would be declared, tested and printed needlessly.
const _: () = {
    let mut row = 0;
    while row < TABLE.len() {
        let (mut set, mut known) = (0, false);
        while set < Extensions::ALL.len() {
            known |= Extensions::ALL[set].has(TABLE[row].extension);
            set += 1;
        }
        assert!(known, "an instruction's extension is in none of the `sets!`");
        row += 1;
    }
};

/// Where an instruction keeps its immediate and its other operands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// Registers only.
    R,
    /// Registers and a static rounding mode.
    Rounded,
    /// Four registers and a static rounding mode.
    R4,
    /// A 12-bit immediate.
    I,
    /// A 6-bit shift amount.
    Shift,
    /// A 5-bit shift amount.
    ShiftW,
    /// A 12-bit immediate in two parts: stores.
    S,
    /// A 13-bit displacement: branches.
    B,
    /// The upper 20 bits: `lui` and `auipc`.
    U,
    /// A 21-bit displacement: `jal`.
    J,
    /// No operands.
    Nullary,
}

/// One row of the table.
#[derive(Debug, Clone, Copy)]
pub struct InstructionEntry {
    /// The instruction.
    pub op: Op,
    /// The assembler's name.
    pub mnemonic: &'static str,
    /// The extension that defines it.
    pub extension: Extension,
    /// Where its operands are.
    pub layout: Layout,
    /// The mask of the fixed bits.
    pub mask: u32,
    /// The values of the fixed bits.
    pub bits: u32,
    /// The operands in assembler order.
    pub syntax: &'static str,
    /// What it does.
    pub doc: &'static str,
}

/// Fixed bits of an instruction: mask and values.
type Fixed = (u32, u32);

/// Only the opcode.
const fn op(opcode: u32) -> Fixed {
    (0x7f, opcode)
}
/// Opcode and funct3.
const fn f3(opcode: u32, funct3: u32) -> Fixed {
    (0x707f, funct3 << 12 | opcode)
}
/// Opcode, funct3 and the upper 7 bits.
const fn f7(opcode: u32, funct3: u32, funct7: u32) -> Fixed {
    (0xfe00_707f, funct7 << 25 | funct3 << 12 | opcode)
}
/// Opcode, funct3 and the upper 6 bits: 64-bit shifts.
const fn f6(opcode: u32, funct3: u32, funct6: u32) -> Fixed {
    (0xfc00_707f, funct6 << 26 | funct3 << 12 | opcode)
}
/// Opcode, funct3 and the upper 12 bits: one operand.
const fn f12(opcode: u32, funct3: u32, funct12: u32) -> Fixed {
    (0xfff0_707f, funct12 << 20 | funct3 << 12 | opcode)
}
/// A float instruction with rounding mode: the upper 7 bits.
const fn fp(funct7: u32) -> Fixed {
    (0xfe00_007f, funct7 << 25 | 0x53)
}
/// The same with rs2 fixed: conversions and square roots.
const fn fp2(funct7: u32, rs2: u32) -> Fixed {
    (0xfff0_007f, funct7 << 25 | rs2 << 20 | 0x53)
}
/// A float instruction with funct3 in the place of the rounding mode.
const fn fp3(funct7: u32, funct3: u32) -> Fixed {
    f7(0x53, funct3, funct7)
}
/// The same with rs2 fixed too.
const fn fp23(funct7: u32, rs2: u32, funct3: u32) -> Fixed {
    f12(0x53, funct3, funct7 << 5 | rs2)
}
/// A fused multiply-add: format in bits 26..25.
const fn fp4(opcode: u32, format: u32) -> Fixed {
    (0x0600_007f, format << 25 | opcode)
}
/// All 32 bits.
const fn all(bits: u32) -> Fixed {
    (0xffff_ffff, bits)
}

/// Hands the instruction table to a macro.
#[macro_export]
macro_rules! for_each_instruction {
    ($callback:path) => {
        $callback! {
            Lui lui "lui" I U op(0x37), "rd, imm" "Loads the upper immediate.";
            Auipc auipc "auipc" I U op(0x17), "rd, imm" "Adds the upper immediate to pc.";
            Jal jal "jal" I J op(0x6f), "rd, imm" "Jumps and keeps the return address.";
            Jalr jalr "jalr" I I f3(0x67, 0), "rd, imm(rs1)"
                "Jumps to an address in a register and keeps the return address.";
            Beq beq "beq" I B f3(0x63, 0), "rs1, rs2, imm" "Branches if equal.";
            Bne bne "bne" I B f3(0x63, 1), "rs1, rs2, imm" "Branches if not equal.";
            Blt blt "blt" I B f3(0x63, 4), "rs1, rs2, imm" "Branches if less, signed.";
            Bge bge "bge" I B f3(0x63, 5), "rs1, rs2, imm" "Branches if not less, signed.";
            Bltu bltu "bltu" I B f3(0x63, 6), "rs1, rs2, imm" "Branches if less, unsigned.";
            Bgeu bgeu "bgeu" I B f3(0x63, 7), "rs1, rs2, imm" "Branches if not less, unsigned.";
            Lb lb "lb" I I f3(0x03, 0), "rd, imm(rs1)" "Loads a sign-extended byte.";
            Lh lh "lh" I I f3(0x03, 1), "rd, imm(rs1)" "Loads 16 sign-extended bits.";
            Lw lw "lw" I I f3(0x03, 2), "rd, imm(rs1)" "Loads 32 sign-extended bits.";
            Ld ld "ld" I I f3(0x03, 3), "rd, imm(rs1)" "Loads 64 bits.";
            Lbu lbu "lbu" I I f3(0x03, 4), "rd, imm(rs1)" "Loads a zero-extended byte.";
            Lhu lhu "lhu" I I f3(0x03, 5), "rd, imm(rs1)" "Loads 16 zero-extended bits.";
            Lwu lwu "lwu" I I f3(0x03, 6), "rd, imm(rs1)" "Loads 32 zero-extended bits.";
            Sb sb "sb" I S f3(0x23, 0), "rs2, imm(rs1)" "Stores a byte.";
            Sh sh "sh" I S f3(0x23, 1), "rs2, imm(rs1)" "Stores 16 bits.";
            Sw sw "sw" I S f3(0x23, 2), "rs2, imm(rs1)" "Stores 32 bits.";
            Sd sd "sd" I S f3(0x23, 3), "rs2, imm(rs1)" "Stores 64 bits.";
            Addi addi "addi" I I f3(0x13, 0), "rd, rs1, imm" "Adds the immediate.";
            Slti slti "slti" I I f3(0x13, 2), "rd, rs1, imm" "1 if less than the immediate, signed.";
            Sltiu sltiu "sltiu" I I f3(0x13, 3), "rd, rs1, imm" "1 if less than the immediate, unsigned.";
            Xori xori "xori" I I f3(0x13, 4), "rd, rs1, imm" "Exclusive or with the immediate.";
            Ori ori "ori" I I f3(0x13, 6), "rd, rs1, imm" "Or with the immediate.";
            Andi andi "andi" I I f3(0x13, 7), "rd, rs1, imm" "And with the immediate.";
            Slli slli "slli" I Shift f6(0x13, 1, 0x00), "rd, rs1, imm" "Shifts left.";
            Srli srli "srli" I Shift f6(0x13, 5, 0x00), "rd, rs1, imm" "Shifts right, filling with zeros.";
            Srai srai "srai" I Shift f6(0x13, 5, 0x10), "rd, rs1, imm" "Shifts right, filling with the sign.";
            Add add "add" I R f7(0x33, 0, 0x00), "rd, rs1, rs2" "Adds.";
            Sub sub "sub" I R f7(0x33, 0, 0x20), "rd, rs1, rs2" "Subtracts.";
            Sll sll "sll" I R f7(0x33, 1, 0x00), "rd, rs1, rs2" "Shifts left by the low 6 bits of rs2.";
            Slt slt "slt" I R f7(0x33, 2, 0x00), "rd, rs1, rs2" "1 if less, signed.";
            Sltu sltu "sltu" I R f7(0x33, 3, 0x00), "rd, rs1, rs2" "1 if less, unsigned.";
            Xor xor "xor" I R f7(0x33, 4, 0x00), "rd, rs1, rs2" "Exclusive or.";
            Srl srl "srl" I R f7(0x33, 5, 0x00), "rd, rs1, rs2"
                "Shifts right by the low 6 bits of rs2, filling with zeros.";
            Sra sra "sra" I R f7(0x33, 5, 0x20), "rd, rs1, rs2"
                "Shifts right by the low 6 bits of rs2, filling with the sign.";
            Or or "or" I R f7(0x33, 6, 0x00), "rd, rs1, rs2" "Or.";
            And and "and" I R f7(0x33, 7, 0x00), "rd, rs1, rs2" "And.";
            Addiw addiw "addiw" I I f3(0x1b, 0), "rd, rs1, imm" "Adds the immediate in 32 bits.";
            Slliw slliw "slliw" I ShiftW f7(0x1b, 1, 0x00), "rd, rs1, imm" "Shifts 32 bits left.";
            Srliw srliw "srliw" I ShiftW f7(0x1b, 5, 0x00), "rd, rs1, imm"
                "Shifts 32 bits right, filling with zeros.";
            Sraiw sraiw "sraiw" I ShiftW f7(0x1b, 5, 0x20), "rd, rs1, imm"
                "Shifts 32 bits right, filling with the sign.";
            Addw addw "addw" I R f7(0x3b, 0, 0x00), "rd, rs1, rs2" "Adds in 32 bits.";
            Subw subw "subw" I R f7(0x3b, 0, 0x20), "rd, rs1, rs2" "Subtracts in 32 bits.";
            Sllw sllw "sllw" I R f7(0x3b, 1, 0x00), "rd, rs1, rs2"
                "Shifts 32 bits left by the low 5 bits of rs2.";
            Srlw srlw "srlw" I R f7(0x3b, 5, 0x00), "rd, rs1, rs2"
                "Shifts 32 bits right by the low 5 bits of rs2, filling with zeros.";
            Sraw sraw "sraw" I R f7(0x3b, 5, 0x20), "rd, rs1, rs2"
                "Shifts 32 bits right by the low 5 bits of rs2, filling with the sign.";
            Fence fence "fence" I I f3(0x0f, 0), "" "Orders memory accesses: nothing to do with one hart.";
            Ecall ecall "ecall" I Nullary all(0x0000_0073), ""
                "Exits if a7 is 93; any other system call traps.";
            Ebreak ebreak "ebreak" I Nullary all(0x0010_0073), "" "Traps.";
            Mul mul "mul" M R f7(0x33, 0, 0x01), "rd, rs1, rs2" "Multiplies; the low 64 bits.";
            Mulh mulh "mulh" M R f7(0x33, 1, 0x01), "rd, rs1, rs2"
                "Multiplies, both signed; the high 64 bits.";
            Mulhsu mulhsu "mulhsu" M R f7(0x33, 2, 0x01), "rd, rs1, rs2"
                "Multiplies, rs1 signed and rs2 unsigned; the high 64 bits.";
            Mulhu mulhu "mulhu" M R f7(0x33, 3, 0x01), "rd, rs1, rs2"
                "Multiplies, both unsigned; the high 64 bits.";
            Div div "div" M R f7(0x33, 4, 0x01), "rd, rs1, rs2"
                "Divides, signed, towards zero; -1 if the divisor is 0.";
            Divu divu "divu" M R f7(0x33, 5, 0x01), "rd, rs1, rs2"
                "Divides, unsigned; all ones if the divisor is 0.";
            Rem rem "rem" M R f7(0x33, 6, 0x01), "rd, rs1, rs2"
                "The signed remainder; the dividend if the divisor is 0.";
            Remu remu "remu" M R f7(0x33, 7, 0x01), "rd, rs1, rs2"
                "The unsigned remainder; the dividend if the divisor is 0.";
            Mulw mulw "mulw" M R f7(0x3b, 0, 0x01), "rd, rs1, rs2" "Multiplies in 32 bits.";
            Divw divw "divw" M R f7(0x3b, 4, 0x01), "rd, rs1, rs2"
                "Divides 32 bits, signed, towards zero; -1 if the divisor is 0.";
            Divuw divuw "divuw" M R f7(0x3b, 5, 0x01), "rd, rs1, rs2"
                "Divides 32 bits, unsigned; all ones if the divisor is 0.";
            Remw remw "remw" M R f7(0x3b, 6, 0x01), "rd, rs1, rs2"
                "The signed 32-bit remainder; the dividend if the divisor is 0.";
            Remuw remuw "remuw" M R f7(0x3b, 7, 0x01), "rd, rs1, rs2"
                "The unsigned 32-bit remainder; the dividend if the divisor is 0.";
            Flw flw "flw" F I f3(0x07, 2), "frd, imm(rs1)" "Loads a binary32.";
            Fsw fsw "fsw" F S f3(0x27, 2), "frs2, imm(rs1)" "Stores the low 32 bits.";
            FmaddS fmadd_s "fmadd.s" F R4 fp4(0x43, 0), "frd, frs1, frs2, frs3, rm"
                "frs1 * frs2 + frs3, rounded once.";
            FmsubS fmsub_s "fmsub.s" F R4 fp4(0x47, 0), "frd, frs1, frs2, frs3, rm"
                "frs1 * frs2 - frs3, rounded once.";
            FnmsubS fnmsub_s "fnmsub.s" F R4 fp4(0x4b, 0), "frd, frs1, frs2, frs3, rm"
                "-(frs1 * frs2) + frs3, rounded once.";
            FnmaddS fnmadd_s "fnmadd.s" F R4 fp4(0x4f, 0), "frd, frs1, frs2, frs3, rm"
                "-(frs1 * frs2) - frs3, rounded once.";
            FaddS fadd_s "fadd.s" F Rounded fp(0x00), "frd, frs1, frs2, rm" "Adds.";
            FsubS fsub_s "fsub.s" F Rounded fp(0x04), "frd, frs1, frs2, rm" "Subtracts.";
            FmulS fmul_s "fmul.s" F Rounded fp(0x08), "frd, frs1, frs2, rm" "Multiplies.";
            FdivS fdiv_s "fdiv.s" F Rounded fp(0x0c), "frd, frs1, frs2, rm" "Divides.";
            FsqrtS fsqrt_s "fsqrt.s" F Rounded fp2(0x2c, 0), "frd, frs1, rm" "The square root.";
            FsgnjS fsgnj_s "fsgnj.s" F R fp3(0x10, 0), "frd, frs1, frs2" "frs1 with the sign of frs2.";
            FsgnjnS fsgnjn_s "fsgnjn.s" F R fp3(0x10, 1), "frd, frs1, frs2"
                "frs1 with the opposite of the sign of frs2.";
            FsgnjxS fsgnjx_s "fsgnjx.s" F R fp3(0x10, 2), "frd, frs1, frs2"
                "frs1 with its sign flipped if frs2 is negative.";
            FminS fmin_s "fmin.s" F R fp3(0x14, 0), "frd, frs1, frs2"
                "The smaller; a NaN loses against a number.";
            FmaxS fmax_s "fmax.s" F R fp3(0x14, 1), "frd, frs1, frs2"
                "The larger; a NaN loses against a number.";
            FcvtWS fcvt_w_s "fcvt.w.s" F Rounded fp2(0x60, 0), "rd, frs1, rm"
                "To a signed 32-bit integer, saturating.";
            FcvtWuS fcvt_wu_s "fcvt.wu.s" F Rounded fp2(0x60, 1), "rd, frs1, rm"
                "To an unsigned 32-bit integer, saturating, sign-extended.";
            FcvtLS fcvt_l_s "fcvt.l.s" F Rounded fp2(0x60, 2), "rd, frs1, rm"
                "To a signed 64-bit integer, saturating.";
            FcvtLuS fcvt_lu_s "fcvt.lu.s" F Rounded fp2(0x60, 3), "rd, frs1, rm"
                "To an unsigned 64-bit integer, saturating.";
            FmvXW fmv_x_w "fmv.x.w" F R fp23(0x70, 0, 0), "rd, frs1" "The low 32 bits, sign-extended.";
            FclassS fclass_s "fclass.s" F R fp23(0x70, 0, 1), "rd, frs1" "The class as a one-hot mask.";
            FeqS feq_s "feq.s" F R fp3(0x50, 2), "rd, frs1, frs2" "1 if equal.";
            FltS flt_s "flt.s" F R fp3(0x50, 1), "rd, frs1, frs2" "1 if less.";
            FleS fle_s "fle.s" F R fp3(0x50, 0), "rd, frs1, frs2" "1 if less or equal.";
            FcvtSW fcvt_s_w "fcvt.s.w" F Rounded fp2(0x68, 0), "frd, rs1, rm" "From a signed 32-bit integer.";
            FcvtSWu fcvt_s_wu "fcvt.s.wu" F Rounded fp2(0x68, 1), "frd, rs1, rm"
                "From an unsigned 32-bit integer.";
            FcvtSL fcvt_s_l "fcvt.s.l" F Rounded fp2(0x68, 2), "frd, rs1, rm" "From a signed 64-bit integer.";
            FcvtSLu fcvt_s_lu "fcvt.s.lu" F Rounded fp2(0x68, 3), "frd, rs1, rm"
                "From an unsigned 64-bit integer.";
            FmvWX fmv_w_x "fmv.w.x" F R fp23(0x78, 0, 0), "frd, rs1" "The low 32 bits as a binary32.";
            Fld fld "fld" D I f3(0x07, 3), "frd, imm(rs1)" "Loads 64 bits.";
            Fsd fsd "fsd" D S f3(0x27, 3), "frs2, imm(rs1)" "Stores 64 bits.";
            FmaddD fmadd_d "fmadd.d" D R4 fp4(0x43, 1), "frd, frs1, frs2, frs3, rm"
                "frs1 * frs2 + frs3, rounded once.";
            FmsubD fmsub_d "fmsub.d" D R4 fp4(0x47, 1), "frd, frs1, frs2, frs3, rm"
                "frs1 * frs2 - frs3, rounded once.";
            FnmsubD fnmsub_d "fnmsub.d" D R4 fp4(0x4b, 1), "frd, frs1, frs2, frs3, rm"
                "-(frs1 * frs2) + frs3, rounded once.";
            FnmaddD fnmadd_d "fnmadd.d" D R4 fp4(0x4f, 1), "frd, frs1, frs2, frs3, rm"
                "-(frs1 * frs2) - frs3, rounded once.";
            FaddD fadd_d "fadd.d" D Rounded fp(0x01), "frd, frs1, frs2, rm" "Adds.";
            FsubD fsub_d "fsub.d" D Rounded fp(0x05), "frd, frs1, frs2, rm" "Subtracts.";
            FmulD fmul_d "fmul.d" D Rounded fp(0x09), "frd, frs1, frs2, rm" "Multiplies.";
            FdivD fdiv_d "fdiv.d" D Rounded fp(0x0d), "frd, frs1, frs2, rm" "Divides.";
            FsqrtD fsqrt_d "fsqrt.d" D Rounded fp2(0x2d, 0), "frd, frs1, rm" "The square root.";
            FsgnjD fsgnj_d "fsgnj.d" D R fp3(0x11, 0), "frd, frs1, frs2" "frs1 with the sign of frs2.";
            FsgnjnD fsgnjn_d "fsgnjn.d" D R fp3(0x11, 1), "frd, frs1, frs2"
                "frs1 with the opposite of the sign of frs2.";
            FsgnjxD fsgnjx_d "fsgnjx.d" D R fp3(0x11, 2), "frd, frs1, frs2"
                "frs1 with its sign flipped if frs2 is negative.";
            FminD fmin_d "fmin.d" D R fp3(0x15, 0), "frd, frs1, frs2"
                "The smaller; a NaN loses against a number.";
            FmaxD fmax_d "fmax.d" D R fp3(0x15, 1), "frd, frs1, frs2"
                "The larger; a NaN loses against a number.";
            FcvtSD fcvt_s_d "fcvt.s.d" D Rounded fp2(0x20, 1), "frd, frs1, rm" "From binary64 to binary32.";
            FcvtDS fcvt_d_s "fcvt.d.s" D Rounded fp2(0x21, 0), "frd, frs1, rm"
                "From binary32 to binary64, exactly.";
            FeqD feq_d "feq.d" D R fp3(0x51, 2), "rd, frs1, frs2" "1 if equal.";
            FltD flt_d "flt.d" D R fp3(0x51, 1), "rd, frs1, frs2" "1 if less.";
            FleD fle_d "fle.d" D R fp3(0x51, 0), "rd, frs1, frs2" "1 if less or equal.";
            FclassD fclass_d "fclass.d" D R fp23(0x71, 0, 1), "rd, frs1" "The class as a one-hot mask.";
            FcvtWD fcvt_w_d "fcvt.w.d" D Rounded fp2(0x61, 0), "rd, frs1, rm"
                "To a signed 32-bit integer, saturating.";
            FcvtWuD fcvt_wu_d "fcvt.wu.d" D Rounded fp2(0x61, 1), "rd, frs1, rm"
                "To an unsigned 32-bit integer, saturating, sign-extended.";
            FcvtLD fcvt_l_d "fcvt.l.d" D Rounded fp2(0x61, 2), "rd, frs1, rm"
                "To a signed 64-bit integer, saturating.";
            FcvtLuD fcvt_lu_d "fcvt.lu.d" D Rounded fp2(0x61, 3), "rd, frs1, rm"
                "To an unsigned 64-bit integer, saturating.";
            FcvtDW fcvt_d_w "fcvt.d.w" D Rounded fp2(0x69, 0), "frd, rs1, rm"
                "From a signed 32-bit integer, exactly.";
            FcvtDWu fcvt_d_wu "fcvt.d.wu" D Rounded fp2(0x69, 1), "frd, rs1, rm"
                "From an unsigned 32-bit integer, exactly.";
            FcvtDL fcvt_d_l "fcvt.d.l" D Rounded fp2(0x69, 2), "frd, rs1, rm" "From a signed 64-bit integer.";
            FcvtDLu fcvt_d_lu "fcvt.d.lu" D Rounded fp2(0x69, 3), "frd, rs1, rm"
                "From an unsigned 64-bit integer.";
            FmvXD fmv_x_d "fmv.x.d" D R fp23(0x71, 0, 0), "rd, frs1" "All 64 bits.";
            FmvDX fmv_d_x "fmv.d.x" D R fp23(0x79, 0, 0), "frd, rs1" "All 64 bits.";
        }
    };
}

macro_rules! declare {
    ($(
        $op:ident $function:ident $mnemonic:literal $extension:ident $layout:ident $fixed:expr,
        $syntax:literal $doc:literal;
    )*) => {
        /// An instruction.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        pub enum Op {
            $(#[doc = concat!("`", $mnemonic, "`: ", $doc)] $op,)*
        }

        /// Every instruction, in the order of [`Op`].
        pub static TABLE: &[InstructionEntry] = &[$(InstructionEntry {
            op: Op::$op,
            mnemonic: $mnemonic,
            extension: Extension::$extension,
            layout: Layout::$layout,
            mask: $fixed.0,
            bits: $fixed.1,
            syntax: $syntax,
            doc: $doc,
        },)*];
    };
}
for_each_instruction!(declare);

impl Op {
    /// The instruction's row of the table.
    #[must_use]
    pub fn entry(self) -> &'static InstructionEntry {
        &TABLE[self as usize]
    }
}

impl InstructionEntry {
    /// Whether the syntax has this operand.
    #[must_use]
    pub fn has(&self, operand: &str) -> bool {
        self.syntax.split([',', ' ', '(', ')']).any(|word| word == operand)
    }

    /// Whether the instruction has a static rounding mode.
    #[must_use]
    pub const fn is_rounded(&self) -> bool {
        matches!(self.layout, Layout::Rounded | Layout::R4)
    }

    /// Whether the instruction reads or writes a float register.
    #[must_use]
    pub fn uses_floats(&self) -> bool {
        ["frd", "frs1", "frs2", "frs3"].iter().any(|operand| self.has(operand))
    }
}
