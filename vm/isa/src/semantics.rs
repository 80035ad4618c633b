//! The meaning of every instruction, written once. `docs/machine.md` lists the differences from the
//! specification.
//!
//! Each instruction has a function of its name, generic over the [`Machine`]; [`execute`] dispatches by the
//! table.

use crate::def;
use crate::domain::{Bool, Domain, Nat, Word};
use crate::float::{self, Format};
use crate::for_each_instruction;
use crate::machine::{Done, FloatUnit, Machine, Size, Trap};
use crate::table::Op;

/// The word type of a machine.
type W<M> = <<M as Machine>::D as Domain>::Word;
/// The natural type of a machine.
type N<M> = <<M as Machine>::D as Domain>::Nat;
/// The condition type of a machine.
type B<M> = <<M as Machine>::D as Domain>::Bool;

/// Binary32.
const S: Format = Format::F32;
/// Binary64.
const D: Format = Format::F64;
/// The number of the system call `exit`.
const EXIT: u64 = 93;

macro_rules! dispatch {
    ($(
        $op:ident $function:ident $mnemonic:literal $extension:ident $layout:ident $fixed:expr,
        $syntax:literal $doc:literal;
    )*) => {
        /// Executes one instruction.
        #[inline(always)]
        pub fn execute<M: Machine>(machine: &mut M, op: Op) -> Done {
            match op {
                $(Op::$op => $function(machine),)*
            }
        }
    };
}
for_each_instruction!(dispatch);

/// Declares instruction functions: `name(m) => body` is a function over any machine `m`.
macro_rules! instructions {
    ($($name:ident($m:ident) => $body:expr;)*) => {$(
        #[inline(always)]
        fn $name<M: Machine>($m: &mut M) -> Done { $body }
    )*};
}

// ---- Constants and shorthands

/// A word constant.
#[inline(always)]
fn word<M: Machine>(value: u64) -> W<M> {
    <M::D as Domain>::word(value)
}

/// A condition as 0 or 1.
#[inline(always)]
fn flag<M: Machine>(condition: B<M>) -> W<M> {
    condition.select_word(word::<M>(1), word::<M>(0))
}

// ---- Jumps

instructions! {
    lui(m) => {
        let imm = m.imm();
        m.set_rd(imm)
    };
    auipc(m) => {
        let sum = m.pc() + m.imm();
        m.set_rd(sum)
    };
    jal(m) => {
        def!(target = m.pc() + m.imm());
        m.trap_if(misaligned::<M>(target, Size::Word), Trap::InstructionMisaligned)?;
        let link = m.pc() + word::<M>(4);
        m.set_rd(link)?;
        m.jump(target)
    };
    jalr(m) => {
        // The instruction clears the lowest bit.
        def!(target = (m.rs1() + m.imm()) & word::<M>(!1));
        m.trap_if(misaligned::<M>(target, Size::Word), Trap::InstructionMisaligned)?;
        let link = m.pc() + word::<M>(4);
        m.set_rd(link)?;
        m.jump(target)
    };
    beq(m) => { let taken = m.rs1().eq(m.rs2()); branch(m, taken) };
    bne(m) => { let taken = !m.rs1().eq(m.rs2()); branch(m, taken) };
    blt(m) => { let taken = m.rs1().lts(m.rs2()); branch(m, taken) };
    bge(m) => { let taken = !m.rs1().lts(m.rs2()); branch(m, taken) };
    bltu(m) => { let taken = m.rs1().ltu(m.rs2()); branch(m, taken) };
    bgeu(m) => { let taken = !m.rs1().ltu(m.rs2()); branch(m, taken) };
}

/// Whether an address is not a multiple of a size.
#[inline(always)]
fn misaligned<M: Machine>(address: W<M>, size: Size) -> B<M> {
    !(address & word::<M>(size.bytes() - 1)).eq(word::<M>(0))
}

/// Branches relative to pc. The target matters only if the branch is taken.
#[inline(always)]
fn branch<M: Machine>(m: &mut M, condition: B<M>) -> Done {
    def!(taken = condition);
    def!(target = m.pc() + m.imm());
    m.trap_if(taken & misaligned::<M>(target, Size::Word), Trap::InstructionMisaligned)?;
    m.jump_if(taken, target)
}

// ---- Memory

instructions! {
    lb(m) => { let value = load(m, Size::Byte)?.sext(8); m.set_rd(value) };
    lh(m) => { let value = load(m, Size::Half)?.sext(16); m.set_rd(value) };
    lw(m) => { let value = load(m, Size::Word)?.sext(32); m.set_rd(value) };
    ld(m) => { let value = load(m, Size::Double)?; m.set_rd(value) };
    lbu(m) => { let value = load(m, Size::Byte)?; m.set_rd(value) };
    lhu(m) => { let value = load(m, Size::Half)?; m.set_rd(value) };
    lwu(m) => { let value = load(m, Size::Word)?; m.set_rd(value) };
    sb(m) => { let value = m.rs2(); store(m, Size::Byte, value) };
    sh(m) => { let value = m.rs2(); store(m, Size::Half, value) };
    sw(m) => { let value = m.rs2(); store(m, Size::Word, value) };
    sd(m) => { let value = m.rs2(); store(m, Size::Double, value) };
    flw(m) => { let value = load(m, Size::Word)?; m.set_frd(value | word::<M>(BOX)) };
    fld(m) => { let value = load(m, Size::Double)?; m.set_frd(value) };
    fsw(m) => { let value = m.frs2(); store(m, Size::Word, value) };
    fsd(m) => { let value = m.frs2(); store(m, Size::Double, value) };
}

/// Loads from `rs1 + imm`. A misaligned address traps as misaligned, even outside memory.
#[inline(always)]
fn load<M: Machine>(m: &mut M, size: Size) -> Result<W<M>, crate::machine::Stop> {
    def!(location = m.rs1() + m.imm());
    m.trap_if(misaligned::<M>(location, size), Trap::LoadMisaligned)?;
    let readable = m.readable(location);
    m.trap_if(!readable, Trap::LoadFault)?;
    Ok(m.read(location, size))
}

/// Stores to `rs1 + imm`.
#[inline(always)]
fn store<M: Machine>(m: &mut M, size: Size, value: W<M>) -> Done {
    def!(location = m.rs1() + m.imm());
    m.trap_if(misaligned::<M>(location, size), Trap::StoreMisaligned)?;
    let writable = m.writable(location);
    m.trap_if(!writable, Trap::StoreFault)?;
    m.write(location, size, value)
}

// ---- Integers

instructions! {
    addi(m) => { let r = m.rs1() + m.imm(); m.set_rd(r) };
    slti(m) => { let r = m.rs1().lts(m.imm()); m.set_rd(flag::<M>(r)) };
    sltiu(m) => { let r = m.rs1().ltu(m.imm()); m.set_rd(flag::<M>(r)) };
    xori(m) => { let r = m.rs1() ^ m.imm(); m.set_rd(r) };
    ori(m) => { let r = m.rs1() | m.imm(); m.set_rd(r) };
    andi(m) => { let r = m.rs1() & m.imm(); m.set_rd(r) };
    slli(m) => { let r = m.rs1().shl(m.imm()); m.set_rd(r) };
    srli(m) => { let r = m.rs1().shr(m.imm()); m.set_rd(r) };
    srai(m) => { let r = m.rs1().sar(m.imm()); m.set_rd(r) };
    add(m) => { let r = m.rs1() + m.rs2(); m.set_rd(r) };
    sub(m) => { let r = m.rs1() - m.rs2(); m.set_rd(r) };
    sll(m) => { let r = m.rs1().shl(m.rs2().zext(6)); m.set_rd(r) };
    slt(m) => { let r = m.rs1().lts(m.rs2()); m.set_rd(flag::<M>(r)) };
    sltu(m) => { let r = m.rs1().ltu(m.rs2()); m.set_rd(flag::<M>(r)) };
    xor(m) => { let r = m.rs1() ^ m.rs2(); m.set_rd(r) };
    srl(m) => { let r = m.rs1().shr(m.rs2().zext(6)); m.set_rd(r) };
    sra(m) => { let r = m.rs1().sar(m.rs2().zext(6)); m.set_rd(r) };
    or(m) => { let r = m.rs1() | m.rs2(); m.set_rd(r) };
    and(m) => { let r = m.rs1() & m.rs2(); m.set_rd(r) };
    addiw(m) => { let r = m.rs1() + m.imm(); m.set_rd(r.sext(32)) };
    slliw(m) => { let r = m.rs1().shl(m.imm()); m.set_rd(r.sext(32)) };
    srliw(m) => { let r = m.rs1().zext(32).shr(m.imm()); m.set_rd(r.sext(32)) };
    sraiw(m) => { let r = m.rs1().sext(32).sar(m.imm()); m.set_rd(r) };
    addw(m) => { let r = m.rs1() + m.rs2(); m.set_rd(r.sext(32)) };
    subw(m) => { let r = m.rs1() - m.rs2(); m.set_rd(r.sext(32)) };
    sllw(m) => { let r = m.rs1().shl(m.rs2().zext(5)); m.set_rd(r.sext(32)) };
    srlw(m) => { let r = m.rs1().zext(32).shr(m.rs2().zext(5)); m.set_rd(r.sext(32)) };
    sraw(m) => { let r = m.rs1().sext(32).sar(m.rs2().zext(5)); m.set_rd(r) };
    fence(_m) => Ok(());
    ecall(m) => {
        let other = !m.a7().eq(word::<M>(EXIT));
        m.trap_if(other, Trap::EnvironmentCall)?;
        m.exit()
    };
    ebreak(m) => m.trap(Trap::Breakpoint);
}

// ---- Multiplication and division

instructions! {
    mul(m) => { let r = m.rs1() * m.rs2(); m.set_rd(r) };
    mulhu(m) => {
        let product = m.rs1().nat() * m.rs2().nat();
        m.set_rd(high::<M>(product))
    };
    mulhsu(m) => {
        def!(a = m.rs1());
        def!(b = m.rs2());
        // A negative a is read as 2^64 too large, so the high half is too large by b.
        let excess = negative::<M>(a).select_word(b, word::<M>(0));
        def!(unsigned = high::<M>(a.nat() * b.nat()));
        m.set_rd(unsigned - excess)
    };
    mulh(m) => {
        def!(a = m.rs1());
        def!(b = m.rs2());
        let excess_a = negative::<M>(a).select_word(b, word::<M>(0));
        let excess_b = negative::<M>(b).select_word(a, word::<M>(0));
        def!(unsigned = high::<M>(a.nat() * b.nat()));
        m.set_rd(unsigned - excess_a - excess_b)
    };
    div(m) => { let (a, b) = (m.rs1(), m.rs2()); let r = quotient::<M>(a, b, true); m.set_rd(r) };
    divu(m) => { let (a, b) = (m.rs1(), m.rs2()); let r = quotient::<M>(a, b, false); m.set_rd(r) };
    rem(m) => { let (a, b) = (m.rs1(), m.rs2()); let r = remainder::<M>(a, b, true); m.set_rd(r) };
    remu(m) => { let (a, b) = (m.rs1(), m.rs2()); let r = remainder::<M>(a, b, false); m.set_rd(r) };
    mulw(m) => { let r = m.rs1() * m.rs2(); m.set_rd(r.sext(32)) };
    divw(m) => { let (a, b) = (m.rs1().sext(32), m.rs2().sext(32)); let r = quotient::<M>(a, b, true); m.set_rd(r.sext(32)) };
    divuw(m) => { let (a, b) = (m.rs1().zext(32), m.rs2().zext(32)); let r = quotient::<M>(a, b, false); m.set_rd(r.sext(32)) };
    remw(m) => { let (a, b) = (m.rs1().sext(32), m.rs2().sext(32)); let r = remainder::<M>(a, b, true); m.set_rd(r.sext(32)) };
    remuw(m) => { let (a, b) = (m.rs1().zext(32), m.rs2().zext(32)); let r = remainder::<M>(a, b, false); m.set_rd(r.sext(32)) };
}

/// Whether a word is negative as a signed number.
#[inline(always)]
fn negative<M: Machine>(a: W<M>) -> B<M> {
    a.lts(word::<M>(0))
}

/// The high half of a 128-bit product.
#[inline(always)]
fn high<M: Machine>(product: N<M>) -> W<M> {
    (product >> <M::D as Domain>::nat(64)).word()
}

/// The quotient. All ones if the divisor is 0.
#[inline(always)]
fn quotient<M: Machine>(a: W<M>, b: W<M>, signed: bool) -> W<M> {
    def!(divisor = b);
    let quotient = if signed { a.divs(divisor) } else { a.divu(divisor) };
    divisor.eq(word::<M>(0)).select_word(word::<M>(u64::MAX), quotient)
}

/// The remainder. The dividend if the divisor is 0.
#[inline(always)]
fn remainder<M: Machine>(a: W<M>, b: W<M>, signed: bool) -> W<M> {
    def!(dividend = a);
    def!(divisor = b);
    let remainder = if signed { dividend.rems(divisor) } else { dividend.remu(divisor) };
    divisor.eq(word::<M>(0)).select_word(dividend, remainder)
}

// ---- Floating point

/// The upper half of a float register that holds a binary32.
const BOX: u64 = 0xffff_ffff_0000_0000;

/// Register `rs1` as a number of the format.
#[inline(always)]
fn frs1<M: Machine>(m: &mut M, format: Format) -> N<M> {
    let value = m.frs1();
    unboxed::<M>(value, format)
}

/// Register `rs2` as a number of the format.
#[inline(always)]
fn frs2<M: Machine>(m: &mut M, format: Format) -> N<M> {
    let value = m.frs2();
    unboxed::<M>(value, format)
}

/// Register `rs3` as a number of the format.
#[inline(always)]
fn frs3<M: Machine>(m: &mut M, format: Format) -> N<M> {
    let value = m.frs3();
    unboxed::<M>(value, format)
}

/// A register's bits as a number of the format. A binary32 must be boxed in ones.
#[inline(always)]
fn unboxed<M: Machine>(register: W<M>, format: Format) -> N<M> {
    if format == S { M::Float::unbox(register.nat()) } else { register.nat() }
}

/// Writes a number of the format to register `rd`.
#[inline(always)]
fn set_frd<M: Machine>(m: &mut M, format: Format, value: N<M>) -> Done {
    let bits = value.word();
    m.set_frd(if format == S { bits | word::<M>(BOX) } else { bits })
}

/// Declares the instructions that exist for both formats.
macro_rules! both_formats {
    ($($single:ident $double:ident ($m:ident, $f:ident) => $body:expr;)*) => {$(
        #[inline(always)]
        fn $single<M: Machine>($m: &mut M) -> Done { let $f = S; $body }
        #[inline(always)]
        fn $double<M: Machine>($m: &mut M) -> Done { let $f = D; $body }
    )*};
}

both_formats! {
    fadd_s fadd_d (m, f) => { let (a, b, rm) = (frs1(m, f), frs2(m, f), m.rm()); set_frd(m, f, M::Float::add(f, a, b, rm)) };
    fsub_s fsub_d (m, f) => {
        let (a, b, rm) = (frs1(m, f), frs2(m, f), m.rm());
        set_frd(m, f, M::Float::add(f, a, float::negate::<M::D>(f, b), rm))
    };
    fmul_s fmul_d (m, f) => {
        def!(a = frs1(m, f));
        def!(b = frs2(m, f));
        let rm = m.rm();
        set_frd(m, f, M::Float::mul(f, a, b, rm))
    };
    fdiv_s fdiv_d (m, f) => { let (a, b, rm) = (frs1(m, f), frs2(m, f), m.rm()); set_frd(m, f, M::Float::div(f, a, b, rm)) };
    fsqrt_s fsqrt_d (m, f) => { let (a, rm) = (frs1(m, f), m.rm()); set_frd(m, f, M::Float::sqrt(f, a, rm)) };
    fmadd_s fmadd_d (m, f) => multiply_add(m, f, false, false);
    fmsub_s fmsub_d (m, f) => multiply_add(m, f, false, true);
    fnmsub_s fnmsub_d (m, f) => multiply_add(m, f, true, false);
    fnmadd_s fnmadd_d (m, f) => multiply_add(m, f, true, true);
    fsgnj_s fsgnj_d (m, f) => { let (a, b) = (frs1(m, f), frs2(m, f)); set_frd(m, f, float::copy_sign::<M::D>(f, a, b)) };
    fsgnjn_s fsgnjn_d (m, f) => {
        let (a, b) = (frs1(m, f), frs2(m, f));
        set_frd(m, f, float::copy_sign::<M::D>(f, a, float::negate::<M::D>(f, b)))
    };
    fsgnjx_s fsgnjx_d (m, f) => {
        def!(a = frs1(m, f));
        let b = frs2(m, f);
        set_frd(m, f, float::copy_sign::<M::D>(f, a, a ^ b))
    };
    fmin_s fmin_d (m, f) => { let (a, b) = (frs1(m, f), frs2(m, f)); set_frd(m, f, M::Float::min(f, a, b)) };
    fmax_s fmax_d (m, f) => { let (a, b) = (frs1(m, f), frs2(m, f)); set_frd(m, f, M::Float::max(f, a, b)) };
    feq_s feq_d (m, f) => { let (a, b) = (frs1(m, f), frs2(m, f)); m.set_rd(M::Float::equal(f, a, b).word()) };
    flt_s flt_d (m, f) => { let (a, b) = (frs1(m, f), frs2(m, f)); m.set_rd(M::Float::less(f, a, b).word()) };
    fle_s fle_d (m, f) => { let (a, b) = (frs1(m, f), frs2(m, f)); m.set_rd(M::Float::less_equal(f, a, b).word()) };
    fclass_s fclass_d (m, f) => { let a = frs1(m, f); m.set_rd(float::class::<M::D>(f, a).word()) };
    fcvt_w_s fcvt_w_d (m, f) => to_int(m, f, 32, true);
    fcvt_wu_s fcvt_wu_d (m, f) => to_int(m, f, 32, false);
    fcvt_l_s fcvt_l_d (m, f) => to_int(m, f, 64, true);
    fcvt_lu_s fcvt_lu_d (m, f) => to_int(m, f, 64, false);
    fcvt_s_w fcvt_d_w (m, f) => { let a = m.rs1().sext(32); from_int(m, f, a, true) };
    fcvt_s_wu fcvt_d_wu (m, f) => { let a = m.rs1().zext(32); from_int(m, f, a, false) };
    fcvt_s_l fcvt_d_l (m, f) => { let a = m.rs1(); from_int(m, f, a, true) };
    fcvt_s_lu fcvt_d_lu (m, f) => { let a = m.rs1(); from_int(m, f, a, false) };
}

/// `±(rs1 * rs2) ± rs3`.
#[inline(always)]
fn multiply_add<M: Machine>(m: &mut M, f: Format, negate_product: bool, negate_addend: bool) -> Done {
    let (a, b, c, rm) = (frs1(m, f), frs2(m, f), frs3(m, f), m.rm());
    let a = if negate_product { float::negate::<M::D>(f, a) } else { a };
    let c = if negate_addend { float::negate::<M::D>(f, c) } else { c };
    set_frd(m, f, M::Float::fma(f, a, b, c, rm))
}

/// Converts to an integer.
#[inline(always)]
fn to_int<M: Machine>(m: &mut M, f: Format, bits: u32, signed: bool) -> Done {
    let (a, rm) = (frs1(m, f), m.rm());
    m.set_rd(M::Float::to_int(f, a, rm, bits, signed))
}

/// Converts from an integer.
#[inline(always)]
fn from_int<M: Machine>(m: &mut M, f: Format, a: W<M>, signed: bool) -> Done {
    let rm = m.rm();
    set_frd(m, f, M::Float::from_int(f, a, rm, signed))
}

instructions! {
    fcvt_s_d(m) => { let (a, rm) = (frs1(m, D), m.rm()); set_frd(m, S, M::Float::change_format(D, S, a, rm)) };
    fcvt_d_s(m) => { let (a, rm) = (frs1(m, S), m.rm()); set_frd(m, D, M::Float::change_format(S, D, a, rm)) };
    fmv_x_w(m) => { let bits = m.frs1(); m.set_rd(bits.sext(32)) };
    fmv_w_x(m) => { let bits = m.rs1(); m.set_frd(bits | word::<M>(BOX)) };
    fmv_x_d(m) => { let bits = m.frs1(); m.set_rd(bits) };
    fmv_d_x(m) => { let bits = m.rs1(); m.set_frd(bits) };
}
