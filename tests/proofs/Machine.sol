// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.24;

/// What the solver chooses freely.
interface Solver {
    function enableSymbolicStorage(address) external;
}

/// @title What an instruction does to the machine.
struct Outcome {
    uint256 pc;
    uint256 status;
    uint256 rd;
    uint256 value;
    uint256 location;
    uint256 size;
    uint256 stored;
    /// One more than the number of the float register that is written.
    uint256 frd;
    uint256 number;
}

/// @title The machine as the generated instructions see it, with anything in its registers and memory.
/// @dev It stands where the verifier has its witness: instructions run against it unchanged, and it notes
/// what they do. That registers and memory are what the state's hash says is proved by the witness, not here.
abstract contract Machine {
    Solver internal constant SOLVER = Solver(0xF3993A62377BCd56AE39D773740A5390411E8BC9);

    mapping(uint256 => uint256) private registers;
    mapping(uint256 => uint256) private memories;
    mapping(uint256 => uint256) private readables;
    mapping(uint256 => uint256) private writables;
    /// What the instruction has done.
    Outcome internal got;

    constructor() {
        SOLVER.enableSymbolicStorage(address(this));
    }

    function register(uint256 index) internal view returns (uint256) {
        return index == 0 ? 0 : registers[index] & 0xffffffffffffffff;
    }

    function rs1(uint256 instruction) internal view returns (uint256) {
        return register(fieldRs1(instruction));
    }

    function rs2(uint256 instruction) internal view returns (uint256) {
        return register(fieldRs2(instruction));
    }

    function setRd(uint256 instruction, uint256 value) internal {
        got.rd = fieldRd(instruction);
        if (got.rd != 0) got.value = value & 0xffffffffffffffff;
    }

    function readable(uint256 location) internal view returns (bool) {
        return readables[location] & 1 != 0;
    }

    function writable(uint256 location) internal view returns (bool) {
        return writables[location] & 1 != 0;
    }

    function load(uint256 location, uint256 size) internal view returns (uint256) {
        return memories[location] & ((1 << (8 * size)) - 1);
    }

    function store(uint256 location, uint256 size, uint256 value) internal {
        got.location = location;
        got.size = size;
        // The bytes that are not stored don't matter.
        got.stored = value & ((1 << (8 * size)) - 1);
    }

    function trap(uint256 cause, uint256 pc) internal returns (uint256) {
        got.status = 16 + cause;
        return pc;
    }

    function exit(uint256 pc) internal returns (uint256) {
        got.status = 1;
        return pc;
    }

    function nextPc(uint256 pc) internal pure returns (uint256) {
        unchecked {
            return (pc + 4) & 0xffffffffffffffff;
        }
    }

    function fieldRd(uint256 instruction) internal pure virtual returns (uint256);
    function fieldRs1(uint256 instruction) internal pure virtual returns (uint256);
    function fieldRs2(uint256 instruction) internal pure virtual returns (uint256);
}
