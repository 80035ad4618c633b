"""Claims about the generated Solidity: every instruction word does what the manual says.

A claim is made out of each line of `integers.txt` and `floats.txt`: for all registers, memories, addresses
and operands, the word that the manual's encoding gives has the effect that the line says, and no other. One
more claim is that all other words are illegal. Halmos runs the compiled code on symbols, Bitwuzla decides.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
WORK = ROOT / "target" / "proofs"
HEAD = "// SPDX-License-Identifier: MIT OR Apache-2.0\npragma solidity ^0.8.24;\n\n"

# Compiled as the verifiers are (tests/src/solc.rs).
SETTINGS = f"""[profile.default]
solc = "{ROOT}/vm/solidity/solc.mjs"
evm_version = "cancun"
optimizer = true
optimizer_runs = 200
bytecode_hash = "none"
offline = true
libs = []

[lint]
lint_on_build = false
"""

# The sets of extensions, smaller ones first, and the tables of their instructions.
SETS = {"rv64im": ["integers.txt"], "rv64imfd": ["integers.txt", "floats.txt"]}

# Mistakes, each of which has to be found: the claim that finds it, and what is replaced by what in its
# instruction.
BUGS = [
    ("addiw", "immI(instruction), 32", "immI(instruction), 33"),
    ("bgeu", ">=", ">"),
    ("bitLength", "shl(5, lt(0xffffffff", "shl(5, lt(0x7fffffff"),
    ("divw", "? WORD", "? 0"),
    ("ecall", "!= 93", "== 93"),
    ("fcvt.lu.d", ", 64, 0, 52", ", 64, 1, 52"),
    ("fcvt.s.d", "52, 64, 23, 32", "23, 32, 52, 64"),
    ("fcvt.d.wu", "& 0xffffffff", "& WORD"),
    ("fmsub.s", "^ 0x80000000", ""),
    ("fmv.w.x", "| 0xffffffff00000000", ""),
    ("fsgnjn.d", "^ 0x8000000000000000", ""),
    ("fsub.s", "unbox(frs2(instruction))", "frs2(instruction)"),
    ("illegal", "instruction & 0x7000 == 0x00", "true"),
    ("jal", "pc + 4", "pc + 8"),
    ("jalr", "0xfffffffffffffffe", "WORD"),
    ("lb", "signExtend(value, 8)", "value"),
    ("ld", "& 7", "& 3"),
    ("lwu", "setRd(instruction, value)", "setRd(instruction, signExtend(value, 32))"),
    ("mulhsu", "lessSigned(a, 0)", "lessSigned(b, 0)"),
    ("remu", "? dividend", "? 0"),
    ("sh", "STORE_MISALIGNED", "LOAD_MISALIGNED"),
    ("sltiu", "rs1(instruction) < immI(instruction)", "lessSigned(rs1(instruction), immI(instruction))"),
    ("sraw", "& 31", "& 63"),
    ("sub", " - ", " + "),
    ("sw", "!writable(location)", "!readable(location)"),
]


class Instruction:
    """One line of the manual: its encoding, and what it does."""

    def __init__(self, line):
        self.name, rest = line.split(None, 1)
        encoding, self.effect = re.split(r"\s{2,}", rest.strip(), maxsplit=1)
        # The fixed bits of the word, and how the others are made of the claim's variables.
        self.mask = self.bits = 0
        self.variables, self.parts, self.immediate = [], [], []
        at = 32
        for part in encoding.split():
            if set(part) <= {"0", "1"}:
                at -= len(part)
                self.mask |= (2 ** len(part) - 1) << at
                self.bits |= int(part, 2) << at
                continue
            name, spans = re.fullmatch(r"(\w+)(?:\[(.*)\])?", part).groups()
            for span in (spans or ("2:0" if name == "rm" else "4:0")).split("|"):
                high, low = (int(end) for end in (span.split(":") * 2)[:2])
                at -= high - low + 1
                self.part(name, high, low, at)
        assert at == 0, line

    def part(self, name, high, low, at):
        """Bits `high` to `low` of an operand are at this place of the word."""
        if name not in self.variables:
            self.variables.append(name)
        if name == "imm":
            self.immediate.append((high, low))
        self.parts.append(f"({name} / 2 ** {low} % 2 ** {high - low + 1}) * 2 ** {at}")

    def claim(self):
        """The claim as a test in Solidity."""
        lines = [f"execute({' + '.join([hex(self.bits), *self.parts])}, place);"]
        if self.immediate:
            sign = max(high for high, _ in self.immediate)
            low = min(low for _, low in self.immediate)
            lines.append(f"imm = imm % 2 ** {sign + 1} / 2 ** {low} * 2 ** {low};")
            lines.append(f"uint256 negative = imm / 2 ** {sign};")
            lines.append(f"int64 immediate = int64(int256(imm)) - int64(int256(negative * 2 ** {sign + 1}));")
        for letter, register in ("a", "rs1"), ("b", "rs2"), ("c", "rs3"):
            integer, number = f"register({register} % 32)", f"floatRegister({register} % 32)"
            for name, value in {
                letter: f"uint64 {letter} = uint64({integer})",
                f"s{letter}": f"int64 s{letter} = int64(uint64({integer}))",
                f"{letter}32": f"uint32 {letter}32 = uint32({integer})",
                f"s{letter}32": f"int32 s{letter}32 = int32(uint32({integer}))",
                f"f{letter}": f"uint64 f{letter} = uint64({number})",
                f"h{letter}": f"uint32 h{letter} = unboxed({number})",
            }.items():
                if re.search(rf"\b{name}\b", self.effect):
                    lines.append(f"{value};")
        if "rm" in self.variables:
            # The other three modes are reserved, or mean a register that this machine doesn't have.
            lines += ["rm %= 8;", "if (rm > 4) traps(2); else"]
        effect = re.sub(r"\bimm\b", "immediate", self.effect)
        lines += [f"{effect};", "done();"]
        body = "".join(f"            {line}\n" for line in lines)
        variables = ", ".join(f"uint256 {name}" for name in [*self.variables, "place"])
        head = f"    function check_{self.name.replace('.', '_')}({variables}) external {{\n"
        return f"{head}        unchecked {{\n{body}        }}\n    }}\n"


def table(name):
    lines = (HERE / name).read_text().splitlines()
    return [Instruction(line) for line in lines if line and not line.startswith("#")]


def illegal(rows):
    """Every word that is in no line traps."""
    known = "".join(f"        if (word & {row.mask:#x} == {row.bits:#x}) return;\n" for row in rows)
    return (
        f"    function check_illegal(uint32 word, uint256 place) external {{\n{known}"
        "        execute(word, place);\n        traps(2);\n        done();\n    }\n"
    )


LENGTH = """    function check_bitLength(uint128 x) external {
        uint256 length = bitLength(x);
        assert(x >> length == 0 && (length == 0 ? x == 0 : x >> (length - 1) == 1));
    }
"""
# The soft-float's operations, for which FloatMachine.sol has others.
OPERATIONS = (
    "multiplyAdd|divide|squareRoot|minMax|compareEqual|compareLess|classify|toInteger|fromInteger|convert"
)


def generated(extensions):
    """The instructions of a verifier as they are, on top of the machine that stands for its witness."""
    text = (ROOT / "vm/solidity/generated" / extensions / "StepVerifier.sol").read_text()
    numbers = re.search(r"    // ---- Numbers\n.*?(?=    // ----)", text, re.S)[0]
    code = text[text.index("    // ---- Instructions\n") :]
    code = re.sub(rf"function ({OPERATIONS})\(", r"function \1Unused(", code)
    # What touches the machine is not `view` here.
    code = re.sub(r"\bprivate (?:pure|view)\b|\bprivate\s+pure\b", "internal", code)
    code = re.sub(r"(function field(?:Rd|Rs1|Rs2|Rs3)\(.*?\)) internal", r"\1 internal pure override", code)
    code = numbers.replace(" private ", " internal ") + code
    base = "FloatMachine" if "loadFloats" in code else "Machine"
    head = f'{HEAD}import {{{base}}} from "../{base}.sol";\n\n'
    return f"{head}abstract contract Instructions is {base} {{\n{code}"


def with_bugs(code):
    """The same with all the mistakes. Above each instruction is a comment with its name."""
    for name, old, new in BUGS:
        comment = re.search(rf"// {name}\b.*\n.*// .*\n", code)
        start = comment.end() if comment else 0
        assert old in (code[start:].split("//")[0] if comment else code), name
        code = code[:start] + code[start:].replace(old, new, 1)
    return code


def write(contract, code, claims):
    """A contract in a folder of its own."""
    folder = WORK / "src" / contract
    folder.mkdir(parents=True, exist_ok=True)
    base = "FloatClaims" if "FloatMachine" in code else "Claims"
    (folder / "Instructions.sol").write_text(code)
    for name in {"Claims", base}:
        (folder / f"{name}.sol").write_text((HERE / f"{name}.sol").read_text())
    body = "\n".join(claims)
    (folder / f"{contract}.sol").write_text(
        f'{HEAD}import {{{base}}} from "./{base}.sol";\n\ncontract {contract} is {base} {{\n{body}}}\n'
    )


def halmos(contract):
    """What Halmos finds: the claims by whether it proves, refutes or can't decide them."""
    result = WORK / f"{contract}.json"
    result.unlink(missing_ok=True)
    command = [Path(sys.executable).with_name("halmos"), "--contract", contract, "--json-output", result]
    command += ["--solver-command", f"{sys.executable} {HERE}/solver.py", "--solver-threads", "1"]
    command += ["--solver-timeout-assertion", "600000", "--no-status"]
    command += ["--early-exit"] if contract == "Bugs" else []
    path = f"{ROOT}/node_modules/@foundry-rs/forge-linux-amd64/bin:{os.environ['PATH']}"
    run = subprocess.run(command, cwd=WORK, capture_output=True, text=True, env={**os.environ, "PATH": path})
    if not result.exists():
        sys.exit((run.stdout + run.stderr)[-4000:])
    [tests] = json.loads(result.read_text())["test_results"].values()
    verdicts = {0: "proved", 1: "refuted"}
    found = {}
    for test in tests:
        name = test["name"].split("(")[0].removeprefix("check_").replace("_", ".")
        found[name] = verdicts.get(test["exitcode"], "undecided")
    return found


def lemmas():
    """What Claims.sol needs of numbers; true of words of 256 bits."""
    import z3

    # A signed number is the unsigned one with the same bits, less 2^64 where it is negative.
    x = z3.BitVec("x", 64)
    wrap = z3.BitVecVal(2**64, 256)
    signed = z3.ZeroExt(192, x) - z3.If(x < 0, wrap, z3.BitVecVal(0, 256))
    solver = z3.Solver()
    solver.add(z3.SignExt(192, x) != signed)
    # The product of two such differences, multiplied out; true in every ring.
    a, b, s, t = z3.BitVecs("a b s t", 256)
    product = a * b - wrap * s * b - wrap * t * a + wrap * wrap * s * t
    rest = z3.simplify((a - wrap * s) * (b - wrap * t) - product, som=True)
    return {"sign": solver.check() == z3.unsat, "product": z3.is_bv_value(rest) and rest.as_long() == 0}


def prove(quick):
    """Prints how many; returns what is not as it should be. The largest set has all instructions, so the
    quick way is to prove of the others only that other words are illegal."""
    checked_in = {path.name for path in (ROOT / "vm/solidity/generated").iterdir() if path.is_dir()}
    assert checked_in == set(SETS), "each set of extensions needs its tables in SETS"
    shutil.rmtree(WORK, ignore_errors=True)
    (WORK / "src").mkdir(parents=True)
    (WORK / "foundry.toml").write_text(SETTINGS)
    for name in "Machine.sol", "FloatMachine.sol":
        (WORK / "src" / name).write_text((HERE / name).read_text())
    contracts = {}
    for extensions, tables in SETS.items():
        rows = [row for name in tables for row in table(name)]
        claims = {row.name: row.claim() for row in rows} | {"bitLength": LENGTH, "illegal": illegal(rows)}
        largest = extensions == list(SETS)[-1]
        contract = extensions.capitalize()
        contracts[contract] = list(claims) if largest or not quick else ["illegal"]
        write(contract, generated(extensions), [claims[name] for name in contracts[contract]])
    contracts["Bugs"] = [name for name, *_ in BUGS]
    write("Bugs", with_bugs(generated(extensions)), [claims[name] for name in contracts["Bugs"]])

    wrong = [f"lemma about numbers: {name}" for name, holds in lemmas().items() if not holds]
    for contract, names in contracts.items():
        wanted = "refuted" if contract == "Bugs" else "proved"
        verdicts = dict.fromkeys(names, "missing") | halmos(contract)
        wrong += [f"{contract} {name}: {verdict}" for name, verdict in verdicts.items() if verdict != wanted]
        print(f"{contract}: {list(verdicts.values()).count(wanted)} of {len(verdicts)} {wanted}", flush=True)
    return wrong
