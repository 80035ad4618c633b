// SPDX-License-Identifier: MIT OR Apache-2.0
// Generated from the semantics of the instruction set: do not edit.
pragma solidity ^0.8.24;

import {IStepVerifier} from "./IStepVerifier.sol";

/// @title Verifies one step of an rv64im machine.
/// @notice The contract has three parts: the machine's state, with proofs of what is read from it; the
/// instructions; and the arithmetic that they use. The last two are printed from the code that the
/// interpreter runs, names included.
/// @dev A machine word is a number below 2^64 in a `uint256`. Nothing here can overflow 256 bits, so all
/// arithmetic is unchecked. The states before and after the step are kept in memory in the form in which they
/// are hashed. What can be derived is not in the witness: a proof gives the root of its tree, the float
/// registers give their hash. So the step is executed first, and only then is it known whether it was made
/// from the right state.
contract StepVerifier is IStepVerifier {
    // ---- Numbers

    /// The extensions that this contract executes.
    uint256 private constant EXTENSIONS = 3;
    /// The mask of a machine word.
    uint256 private constant WORD = 0xffffffffffffffff;
    /// The lower half of each of 16 bytes.
    uint256 private constant HALF_BYTES = 0x0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f;
    /// The binary logarithm of the bytes in a leaf.
    uint256 private constant LEAF_BITS = 5;
    uint256 private constant RUNNING = 0;
    uint256 private constant EXITED = 1;
    uint256 private constant TRAPPED = 16;
    uint256 private constant INSTRUCTION_MISALIGNED = 0;
    uint256 private constant INSTRUCTION_FAULT = 1;
    uint256 private constant ILLEGAL_INSTRUCTION = 2;
    uint256 private constant BREAKPOINT = 3;
    uint256 private constant LOAD_MISALIGNED = 4;
    uint256 private constant LOAD_FAULT = 5;
    uint256 private constant STORE_MISALIGNED = 6;
    uint256 private constant STORE_FAULT = 7;
    uint256 private constant ENVIRONMENT_CALL = 8;

    // ---- Layout of this contract's memory

    /// The next byte of the witness, as an offset into calldata.
    uint256 private constant CURSOR = 0x80;
    /// The end of the state before the step.
    uint256 private constant OLD_END = 0xa0;
    /// The end of the state after the step.
    uint256 private constant NEW_END = 0x120;
    /// The end of the list of the float registers before the step.
    uint256 private constant FLOATS_END = 0x100;
    /// For each hash of the state that is known, the bit at its place.
    uint256 private constant REVEALED = 0xc0;
    /// 1 if a proof isn't in its one form.
    uint256 private constant NOT_CANONICAL = 0xe0;
    /// Memory spans the addresses below 2^MEMORY_BITS.
    uint256 private constant MEMORY_BITS = 0x140;
    /// The first address of the code.
    uint256 private constant CODE_BASE = 0x160;
    /// The size of the code in bytes.
    uint256 private constant CODE_SIZE = 0x180;
    /// Each offset into the code is below 2^CODE_BITS.
    uint256 private constant CODE_BITS = 0x1a0;
    /// The state before the step.
    uint256 private constant OLD = 0x1c0;
    /// The state after the step.
    uint256 private constant NEW = 0x360;
    /// The list of the float registers before the step.
    uint256 private constant FLOATS = 0x500;
    /// The list of the float registers after the step.
    uint256 private constant NEW_FLOATS = 0x640;
    /// The end of all these.
    uint256 private constant MEMORY_END = 0x780;
    /// In a state: the root of the code.
    uint256 private constant CODE_ROOT = 0x0;
    /// In a state: the root of the memory.
    uint256 private constant MEMORY_ROOT = 0x20;
    /// In a state: the hash of the float registers.
    uint256 private constant FLOAT_HASH = 0x40;
    /// In a state: the status, one byte.
    uint256 private constant STATUS = 0x60;
    /// In a state: the list of x1 to x31 and, last, the program counter.
    uint256 private constant NUMBERS = 0x61;

    /// @inheritdoc IStepVerifier
    function step(bytes32 preStateRoot, uint256 machine, bytes calldata witness)
        external
        pure
        returns (bytes32 postStateRoot)
    {
        loadMachine(machine);
        (uint256 status, uint256 pc) = loadState(witness);
        if (status == RUNNING) pc = execute(pc);
        requireTrue(preStateRoot, witness);
        return bytes32(hashOf(NEW, setPc(pc)));
    }

    /// @dev Executes the instruction at `pc` and returns the next program counter.
    function execute(uint256 pc) private pure returns (uint256) {
        if (!inCode(pc)) return trap(INSTRUCTION_FAULT, pc);
        if (pc & 3 != 0) return trap(INSTRUCTION_MISALIGNED, pc);
        return dispatch(fetch(pc), pc);
    }

    // ---- State

    /// @dev Unpacks the machine.
    function loadMachine(uint256 machine) private pure {
        unchecked {
            if (machine >> 136 != EXTENSIONS) revert InvalidMachine();
            uint256 codeSize = machine & WORD;
            uint256 codeBits = bitLength(codeSize - 1);
            assembly ("memory-safe") {
                mstore(MEMORY_BITS, byte(15, machine))
                mstore(CODE_BASE, and(shr(64, machine), WORD))
                mstore(CODE_SIZE, codeSize)
                mstore(CODE_BITS, codeBits)
            }
        }
    }

    /// @dev Hashes this contract's memory from `start` to `end`.
    function hashOf(uint256 start, uint256 end) private pure returns (uint256 hash) {
        assembly ("memory-safe") {
            hash := keccak256(start, sub(end, start))
        }
    }

    /// @dev Reads status, registers and program counter from the witness. The roots follow from its other
    /// parts, so only `requireTrue` can tell whether this is the state before the step.
    function loadState(bytes calldata witness) private pure returns (uint256 status, uint256 counter) {
        unchecked {
            assembly ("memory-safe") {
                mstore(0x40, MEMORY_END)
                mstore(CURSOR, add(witness.offset, 1))
                status := byte(0, calldataload(witness.offset))
                mstore8(add(OLD, STATUS), status)
            }
            // Wraps below TRAPPED, to more than any trap.
            bool trapped = status - TRAPPED <= 8;
            if (status > EXITED && !trapped) revert InvalidStatus(status);
            uint256 end = loadNumbers(OLD + NUMBERS);
            assembly ("memory-safe") {
                mstore(OLD_END, end)
                mstore(NEW_END, add(end, sub(NEW, OLD)))
                mcopy(add(NEW, STATUS), add(OLD, STATUS), sub(end, add(OLD, STATUS)))
                // The program counter comes last.
                let bits := shl(3, and(mload(add(OLD, sub(NUMBERS, 16))), 15))
                counter := and(mload(sub(end, 32)), sub(shl(bits, 1), 1))
            }
        }
    }

    /// @dev Notes a root or a hash of the state, at its place there, which a part of the witness gives. Until
    /// the step changes it, it is the same after the step.
    function reveal(uint256 place, uint256 hash) private pure {
        assembly ("memory-safe") {
            mstore(add(OLD, place), hash)
            mstore(add(NEW, place), hash)
            mstore(REVEALED, or(mload(REVEALED), shl(place, 1)))
        }
    }

    /// @dev Reads the hashes of the state that no other part of the witness has given. Reverts unless the
    /// witness is well-formed, has nothing more, and shows the state with this root.
    function requireTrue(bytes32 preStateRoot, bytes calldata witness) private pure {
        uint256 read;
        bytes32 given;
        bool canonical;
        assembly ("memory-safe") {
            let cursor := mload(CURSOR)
            let hidden := not(mload(REVEALED))
            for { let place := CODE_ROOT } lt(place, STATUS) { place := add(place, 32) } {
                if and(shr(place, hidden), 1) {
                    calldatacopy(add(OLD, place), cursor, 32)
                    calldatacopy(add(NEW, place), cursor, 32)
                    cursor := add(cursor, 32)
                }
            }
            read := sub(cursor, witness.offset)
            given := keccak256(OLD, sub(mload(OLD_END), OLD))
            canonical := iszero(mload(NOT_CANONICAL))
        }
        if (read != witness.length) revert WitnessLength(read, witness.length);
        if (!canonical) revert ProofNotCanonical();
        if (given != preStateRoot) revert StateMismatch(preStateRoot, given);
    }

    /// @dev Stops the machine at this instruction.
    function stop(uint256 status, uint256 pc) private pure returns (uint256) {
        assembly ("memory-safe") {
            mstore8(add(NEW, STATUS), status)
        }
        return pc;
    }

    /// @dev Stops the machine because of an error.
    function trap(uint256 cause, uint256 pc) private pure returns (uint256) {
        unchecked {
            return stop(TRAPPED + cause, pc);
        }
    }

    /// @dev Stops the machine because the program has exited.
    function exit(uint256 pc) private pure returns (uint256) {
        return stop(EXITED, pc);
    }

    /// @dev The address of the instruction that follows the one at `pc`.
    function nextPc(uint256 pc) private pure returns (uint256) {
        unchecked {
            return (pc + 4) & WORD;
        }
    }

    /// @dev The integer register `index`. The lists begin with x1; x0 has no place in them, and is 0.
    function register(uint256 index) private pure returns (uint256) {
        unchecked {
            (uint256 place, uint256 length) = find(OLD + NUMBERS, index - 1);
            return numberAt(place, length);
        }
    }

    function rs1(uint256 instruction) private pure returns (uint256) {
        return register(fieldRs1(instruction));
    }

    function rs2(uint256 instruction) private pure returns (uint256) {
        return register(fieldRs2(instruction));
    }

    /// @dev Writes the low 64 bits to the destination register; writes to x0 are ignored.
    function setRd(uint256 instruction, uint256 value) private pure {
        unchecked {
            uint256 index = fieldRd(instruction);
            if (index == 0) return;
            uint256 end;
            assembly ("memory-safe") {
                end := mload(OLD_END)
            }
            end = replace(OLD + NUMBERS, end, NEW + NUMBERS, index - 1, value & WORD);
            assembly ("memory-safe") {
                mstore(NEW_END, end)
            }
        }
    }

    /// @dev Writes the program counter of the state after the step, and returns the end of that state.
    function setPc(uint256 counter) private pure returns (uint256 end) {
        uint256 length = byteLength(counter);
        assembly ("memory-safe") {
            // The word that ends with the lengths.
            let lengths := mload(add(NEW, sub(NUMBERS, 16)))
            let place := sub(mload(NEW_END), and(lengths, 15))
            mstore(place, shl(sub(256, shl(3, length)), counter))
            mstore8(add(NEW, add(NUMBERS, 15)), or(and(lengths, 0xf0), length))
            end := add(place, length)
        }
    }

    // ---- Lists of 32 numbers: half a byte each for how many bytes they have, then these bytes

    /// @dev Copies the next list from the witness into this contract's memory, and returns its end there.
    function loadNumbers(uint256 list) private pure returns (uint256 end) {
        unchecked {
            uint256 cursor;
            uint256 tooLong;
            assembly ("memory-safe") {
                cursor := mload(CURSOR)
                let lengths := calldataload(cursor)
                mstore(list, lengths)
                // More than eight: the highest of the four bits, and any other.
                tooLong := or(or(lengths, shr(1, lengths)), shr(2, lengths))
                tooLong := and(and(tooLong, shr(3, lengths)), shl(128, 0x11111111111111111111111111111111))
            }
            if (tooLong != 0) revert NumberTooLong();
            (uint256 place, uint256 length) = find(list, 31);
            end = place + length;
            assembly ("memory-safe") {
                let size := sub(end, list)
                calldatacopy(list, cursor, size)
                mstore(CURSOR, add(cursor, size))
            }
        }
    }

    /// @dev The place of number `index` of a list, and how many bytes it has. An index of -1 finds nothing.
    function find(uint256 list, uint256 index) private pure returns (uint256 place, uint256 length) {
        assembly ("memory-safe") {
            let lengths := mload(list)
            let bits := shl(2, index)
            length := shr(252, shl(bits, lengths))
            // The sum of the lengths before it: of pairs first, whose sum is the remainder by 255.
            lengths := shr(sub(256, bits), lengths)
            lengths := add(and(lengths, HALF_BYTES), and(shr(4, lengths), HALF_BYTES))
            place := add(add(list, 16), mod(lengths, 255))
        }
    }

    /// @dev The number of up to 32 bytes at a place.
    function numberAt(uint256 place, uint256 length) private pure returns (uint256 value) {
        assembly ("memory-safe") {
            value := shr(sub(256, shl(3, length)), mload(place))
        }
    }

    /// @dev Copies the list between `from` and `end` with number `index` replaced; returns the copy's end.
    function replace(uint256 from, uint256 end, uint256 to, uint256 index, uint256 value)
        private
        pure
        returns (uint256 newEnd)
    {
        (uint256 place, uint256 length) = find(from, index);
        uint256 newLength = byteLength(value);
        assembly ("memory-safe") {
            let head := sub(place, from)
            mcopy(to, from, head)
            newEnd := add(to, head)
            mstore(newEnd, shl(sub(256, shl(3, newLength)), value))
            newEnd := add(newEnd, newLength)
            place := add(place, length)
            mcopy(newEnd, place, sub(end, place))
            newEnd := add(newEnd, sub(end, place))
            // Only the length of this number changes.
            mstore(to, xor(mload(to), shl(sub(252, shl(2, index)), xor(length, newLength))))
        }
    }

    /// @dev The number of bytes needed to write a word: 0 for 0.
    function byteLength(uint256 x) private pure returns (uint256 length) {
        assembly ("memory-safe") {
            length := shl(2, lt(0xffffffff, x))
            length := or(length, shl(1, lt(0xffff, shr(shl(3, length), x))))
            length := or(length, lt(0xff, shr(shl(3, length), x)))
            length := add(length, iszero(iszero(x)))
        }
    }

    // ---- Memory and code

    function inCode(uint256 location) private pure returns (bool result) {
        assembly ("memory-safe") {
            result := lt(sub(location, mload(CODE_BASE)), mload(CODE_SIZE))
        }
    }

    function inMemory(uint256 location) private pure returns (bool result) {
        assembly ("memory-safe") {
            result := iszero(shr(mload(MEMORY_BITS), location))
        }
    }

    /// @dev Whether an aligned load may read this address: memory or code.
    function readable(uint256 location) private pure returns (bool) {
        return inMemory(location) || inCode(location);
    }

    /// @dev Whether an aligned store may write this address: memory that is not hidden by code.
    function writable(uint256 location) private pure returns (bool) {
        return inMemory(location) && !inCode(location);
    }

    /// @dev The instruction at an address of the code, with its proof checked.
    function fetch(uint256 pc) private pure returns (uint256) {
        unchecked {
            return (codeLeaf(pc) >> (8 * (pc & 31))) & 0xffffffff;
        }
    }

    /// @dev `size` bytes at an address, with their proof checked.
    function load(uint256 location, uint256 size) private pure returns (uint256) {
        unchecked {
            uint256 leaf = inCode(location) ? codeLeaf(location) : memoryLeaf(location);
            return (leaf >> (8 * (location & 31))) & ((1 << (8 * size)) - 1);
        }
    }

    /// @dev Stores `size` bytes at an address: hashes the new leaf up the same path as the old one.
    function store(uint256 location, uint256 size, uint256 value) private pure {
        unchecked {
            uint256 proof;
            assembly ("memory-safe") {
                proof := mload(CURSOR)
            }
            uint256 leaf = memoryLeaf(location);
            uint256 shift = 8 * (location & 31);
            uint256 mask = (1 << (8 * size)) - 1;
            leaf = (leaf & ~(mask << shift)) | ((value & mask) << shift);
            uint256 root = memoryRoot(leaf, location, proof);
            assembly ("memory-safe") {
                mstore(add(NEW, MEMORY_ROOT), root)
            }
        }
    }

    /// @dev Reads the next proof in the witness, of a leaf of the code.
    function codeLeaf(uint256 location) private pure returns (uint256 leaf) {
        uint256 proof;
        uint256 offset;
        uint256 bits;
        assembly ("memory-safe") {
            proof := mload(CURSOR)
            leaf := calldataload(proof)
            offset := sub(location, mload(CODE_BASE))
            bits := mload(CODE_BITS)
        }
        bytes32 root = bytes32(fold(leaf, offset, bits, proof));
        bytes32 known;
        bool first;
        assembly ("memory-safe") {
            known := mload(add(OLD, CODE_ROOT))
            first := iszero(mload(REVEALED))
        }
        if (!first && root != known) revert ProofMismatch(known, root);
        reveal(CODE_ROOT, uint256(root));
    }

    /// @dev Reads the next proof in the witness, of a leaf of the memory.
    function memoryLeaf(uint256 location) private pure returns (uint256 leaf) {
        uint256 proof;
        assembly ("memory-safe") {
            proof := mload(CURSOR)
            leaf := calldataload(proof)
        }
        reveal(MEMORY_ROOT, memoryRoot(leaf, location, proof));
    }

    /// @dev The root of the memory with this leaf.
    function memoryRoot(uint256 leaf, uint256 location, uint256 proof) private pure returns (uint256) {
        uint256 bits;
        assembly ("memory-safe") {
            bits := mload(MEMORY_BITS)
        }
        return fold(leaf, location, bits, proof);
    }

    // ---- Proofs

    /// @dev Hashes the leaf at an offset below 2^bits up to the root, and moves the cursor behind the proof.
    /// The proof has the leaf before the step, the mask of the non-zero siblings, and these siblings.
    function fold(uint256 leaf, uint256 offset, uint256 bits, uint256 proof)
        private
        pure
        returns (uint256 root)
    {
        assembly ("memory-safe") {
            root := leaf
            let depth := sub(bits, LEAF_BITS)
            // A bit for each level, in whole bytes.
            let size := shr(3, add(depth, 7))
            let end := add(proof, 32)
            let mask := shr(sub(256, shl(3, size)), calldataload(end))
            end := add(end, size)
            let bad := shr(depth, mask)
            // The bit at LEAF_BITS says on which side of its parent a node is. A one above the offset ends
            // the loop when it arrives there.
            for { let path := or(offset, shl(bits, 1)) } gt(path, 63) { path := shr(1, path) } {
                let sibling := 0
                if and(mask, 1) {
                    sibling := calldataload(end)
                    end := add(end, 32)
                    if iszero(sibling) { bad := 1 }
                }
                // The parent of two zeros is zero.
                if or(root, sibling) {
                    // A hash has 32 bytes, and that is the value of the bit.
                    let place := and(path, 32)
                    mstore(place, root)
                    mstore(xor(place, 32), sibling)
                    root := keccak256(0, 64)
                }
                mask := shr(1, mask)
            }
            mstore(CURSOR, end)
            if bad { mstore(NOT_CANONICAL, 1) }
        }
    }

    // ---- Instructions

    /// @dev Executes an instruction and returns the next program counter.
    function dispatch(uint256 instruction, uint256 pc) private pure returns (uint256) {
        unchecked {
            uint256 opcode = instruction & 0x7f;
            if (opcode < 0x33) {
                if (opcode < 0x17) {
                    if (opcode == 0x03) {
                        return opcode03(instruction, pc);
                    }
                    if (opcode == 0x0f) {
                        return opcode0f(instruction, pc);
                    }
                    if (opcode == 0x13) {
                        return opcode13(instruction, pc);
                    }
                }
                if (opcode == 0x17) {
                    return opcode17(instruction, pc);
                }
                if (opcode == 0x1b) {
                    return opcode1b(instruction, pc);
                }
                if (opcode == 0x23) {
                    return opcode23(instruction, pc);
                }
            }
            if (opcode < 0x63) {
                if (opcode == 0x33) {
                    return opcode33(instruction, pc);
                }
                if (opcode == 0x37) {
                    return opcode37(instruction, pc);
                }
                if (opcode == 0x3b) {
                    return opcode3b(instruction, pc);
                }
            }
            if (opcode < 0x6f) {
                if (opcode == 0x63) {
                    return opcode63(instruction, pc);
                }
                if (opcode == 0x67) {
                    return opcode67(instruction, pc);
                }
            }
            if (opcode == 0x6f) {
                return opcode6f(instruction, pc);
            }
            if (opcode == 0x73) {
                return opcode73(instruction, pc);
            }
            return trap(ILLEGAL_INSTRUCTION, pc);
        }
    }

    /// @dev Opcode 0x03: lb, lh, lw, ld, lbu, lhu, lwu.
    function opcode03(uint256 instruction, uint256 pc) private pure returns (uint256) {
        unchecked {
            uint256 funct3 = (instruction >> 12) & 0x07;
            if (funct3 < 0x03) {
                if (funct3 == 0x00) {
                    // lb rd, imm(rs1)
                    // Loads a sign-extended byte.
                    uint256 location = (rs1(instruction) + immI(instruction)) & WORD;
                    if (!readable(location)) return trap(LOAD_FAULT, pc);
                    uint256 value = load(location, 1);
                    setRd(instruction, signExtend(value, 8));
                    return nextPc(pc);
                }
                if (funct3 == 0x01) {
                    // lh rd, imm(rs1)
                    // Loads 16 sign-extended bits.
                    uint256 location = (rs1(instruction) + immI(instruction)) & WORD;
                    if ((location & 1) != 0) return trap(LOAD_MISALIGNED, pc);
                    if (!readable(location)) return trap(LOAD_FAULT, pc);
                    uint256 value = load(location, 2);
                    setRd(instruction, signExtend(value, 16));
                    return nextPc(pc);
                }
                if (funct3 == 0x02) {
                    // lw rd, imm(rs1)
                    // Loads 32 sign-extended bits.
                    uint256 location = (rs1(instruction) + immI(instruction)) & WORD;
                    if ((location & 3) != 0) return trap(LOAD_MISALIGNED, pc);
                    if (!readable(location)) return trap(LOAD_FAULT, pc);
                    uint256 value = load(location, 4);
                    setRd(instruction, signExtend(value, 32));
                    return nextPc(pc);
                }
            }
            if (funct3 < 0x05) {
                if (funct3 == 0x03) {
                    // ld rd, imm(rs1)
                    // Loads 64 bits.
                    uint256 location = (rs1(instruction) + immI(instruction)) & WORD;
                    if ((location & 7) != 0) return trap(LOAD_MISALIGNED, pc);
                    if (!readable(location)) return trap(LOAD_FAULT, pc);
                    uint256 value = load(location, 8);
                    setRd(instruction, value);
                    return nextPc(pc);
                }
                if (funct3 == 0x04) {
                    // lbu rd, imm(rs1)
                    // Loads a zero-extended byte.
                    uint256 location = (rs1(instruction) + immI(instruction)) & WORD;
                    if (!readable(location)) return trap(LOAD_FAULT, pc);
                    uint256 value = load(location, 1);
                    setRd(instruction, value);
                    return nextPc(pc);
                }
            }
            if (funct3 == 0x05) {
                // lhu rd, imm(rs1)
                // Loads 16 zero-extended bits.
                uint256 location = (rs1(instruction) + immI(instruction)) & WORD;
                if ((location & 1) != 0) return trap(LOAD_MISALIGNED, pc);
                if (!readable(location)) return trap(LOAD_FAULT, pc);
                uint256 value = load(location, 2);
                setRd(instruction, value);
                return nextPc(pc);
            }
            if (funct3 == 0x06) {
                // lwu rd, imm(rs1)
                // Loads 32 zero-extended bits.
                uint256 location = (rs1(instruction) + immI(instruction)) & WORD;
                if ((location & 3) != 0) return trap(LOAD_MISALIGNED, pc);
                if (!readable(location)) return trap(LOAD_FAULT, pc);
                uint256 value = load(location, 4);
                setRd(instruction, value);
                return nextPc(pc);
            }
            return trap(ILLEGAL_INSTRUCTION, pc);
        }
    }

    /// @dev Opcode 0x0f: fence.
    function opcode0f(uint256 instruction, uint256 pc) private pure returns (uint256) {
        unchecked {
            if (instruction & 0x7000 == 0x00) {
                // fence
                // Orders memory accesses: nothing to do with one hart.
                return nextPc(pc);
            }
            return trap(ILLEGAL_INSTRUCTION, pc);
        }
    }

    /// @dev Opcode 0x13: addi, slti, sltiu, xori, ori, andi, slli, srli, srai.
    function opcode13(uint256 instruction, uint256 pc) private pure returns (uint256) {
        unchecked {
            uint256 funct3 = (instruction >> 12) & 0x07;
            if (funct3 < 0x04) {
                if (funct3 < 0x02) {
                    if (funct3 == 0x00) {
                        // addi rd, rs1, imm
                        // Adds the immediate.
                        setRd(instruction, rs1(instruction) + immI(instruction));
                        return nextPc(pc);
                    }
                    if (funct3 == 0x01) {
                        if (instruction & 0xfc000000 == 0x00) {
                            // slli rd, rs1, imm
                            // Shifts left.
                            setRd(instruction, rs1(instruction) << shamt6(instruction));
                            return nextPc(pc);
                        }
                    }
                }
                if (funct3 == 0x02) {
                    // slti rd, rs1, imm
                    // 1 if less than the immediate, signed.
                    setRd(instruction, toUint(lessSigned(rs1(instruction), immI(instruction))));
                    return nextPc(pc);
                }
                if (funct3 == 0x03) {
                    // sltiu rd, rs1, imm
                    // 1 if less than the immediate, unsigned.
                    setRd(instruction, toUint(rs1(instruction) < immI(instruction)));
                    return nextPc(pc);
                }
            }
            if (funct3 < 0x06) {
                if (funct3 == 0x04) {
                    // xori rd, rs1, imm
                    // Exclusive or with the immediate.
                    setRd(instruction, rs1(instruction) ^ immI(instruction));
                    return nextPc(pc);
                }
                if (funct3 == 0x05) {
                    uint256 funct6 = instruction >> 26;
                    if (funct6 == 0x00) {
                        // srli rd, rs1, imm
                        // Shifts right, filling with zeros.
                        setRd(instruction, rs1(instruction) >> shamt6(instruction));
                        return nextPc(pc);
                    }
                    if (funct6 == 0x10) {
                        // srai rd, rs1, imm
                        // Shifts right, filling with the sign.
                        setRd(instruction, shiftRightSigned(rs1(instruction), shamt6(instruction)));
                        return nextPc(pc);
                    }
                }
            }
            if (funct3 == 0x06) {
                // ori rd, rs1, imm
                // Or with the immediate.
                setRd(instruction, rs1(instruction) | immI(instruction));
                return nextPc(pc);
            }
            if (funct3 == 0x07) {
                // andi rd, rs1, imm
                // And with the immediate.
                setRd(instruction, rs1(instruction) & immI(instruction));
                return nextPc(pc);
            }
            return trap(ILLEGAL_INSTRUCTION, pc);
        }
    }

    /// @dev Opcode 0x17: auipc.
    function opcode17(uint256 instruction, uint256 pc) private pure returns (uint256) {
        unchecked {
            // auipc rd, imm
            // Adds the upper immediate to pc.
            setRd(instruction, pc + immU(instruction));
            return nextPc(pc);
        }
    }

    /// @dev Opcode 0x1b: addiw, slliw, srliw, sraiw.
    function opcode1b(uint256 instruction, uint256 pc) private pure returns (uint256) {
        unchecked {
            uint256 funct3 = (instruction >> 12) & 0x07;
            if (funct3 == 0x00) {
                // addiw rd, rs1, imm
                // Adds the immediate in 32 bits.
                setRd(instruction, signExtend(rs1(instruction) + immI(instruction), 32));
                return nextPc(pc);
            }
            if (funct3 == 0x01) {
                if (instruction & 0xfe000000 == 0x00) {
                    // slliw rd, rs1, imm
                    // Shifts 32 bits left.
                    setRd(instruction, signExtend(rs1(instruction) << shamt5(instruction), 32));
                    return nextPc(pc);
                }
            }
            if (funct3 == 0x05) {
                uint256 funct7 = instruction >> 25;
                if (funct7 == 0x00) {
                    // srliw rd, rs1, imm
                    // Shifts 32 bits right, filling with zeros.
                    setRd(
                        instruction, signExtend((rs1(instruction) & 0xffffffff) >> shamt5(instruction), 32)
                    );
                    return nextPc(pc);
                }
                if (funct7 == 0x20) {
                    // sraiw rd, rs1, imm
                    // Shifts 32 bits right, filling with the sign.
                    setRd(
                        instruction, shiftRightSigned(signExtend(rs1(instruction), 32), shamt5(instruction))
                    );
                    return nextPc(pc);
                }
            }
            return trap(ILLEGAL_INSTRUCTION, pc);
        }
    }

    /// @dev Opcode 0x23: sb, sh, sw, sd.
    function opcode23(uint256 instruction, uint256 pc) private pure returns (uint256) {
        unchecked {
            uint256 funct3 = (instruction >> 12) & 0x07;
            if (funct3 < 0x02) {
                if (funct3 == 0x00) {
                    // sb rs2, imm(rs1)
                    // Stores a byte.
                    uint256 location = (rs1(instruction) + immS(instruction)) & WORD;
                    if (!writable(location)) return trap(STORE_FAULT, pc);
                    store(location, 1, rs2(instruction));
                    return nextPc(pc);
                }
                if (funct3 == 0x01) {
                    // sh rs2, imm(rs1)
                    // Stores 16 bits.
                    uint256 location = (rs1(instruction) + immS(instruction)) & WORD;
                    if ((location & 1) != 0) return trap(STORE_MISALIGNED, pc);
                    if (!writable(location)) return trap(STORE_FAULT, pc);
                    store(location, 2, rs2(instruction));
                    return nextPc(pc);
                }
            }
            if (funct3 == 0x02) {
                // sw rs2, imm(rs1)
                // Stores 32 bits.
                uint256 location = (rs1(instruction) + immS(instruction)) & WORD;
                if ((location & 3) != 0) return trap(STORE_MISALIGNED, pc);
                if (!writable(location)) return trap(STORE_FAULT, pc);
                store(location, 4, rs2(instruction));
                return nextPc(pc);
            }
            if (funct3 == 0x03) {
                // sd rs2, imm(rs1)
                // Stores 64 bits.
                uint256 location = (rs1(instruction) + immS(instruction)) & WORD;
                if ((location & 7) != 0) return trap(STORE_MISALIGNED, pc);
                if (!writable(location)) return trap(STORE_FAULT, pc);
                store(location, 8, rs2(instruction));
                return nextPc(pc);
            }
            return trap(ILLEGAL_INSTRUCTION, pc);
        }
    }

    /// @dev Opcode 0x33: add, sub, sll, slt, sltu, xor, srl, sra, or, and, mul, mulh, mulhsu, mulhu, div,
    /// divu, rem, remu.
    function opcode33(uint256 instruction, uint256 pc) private pure returns (uint256) {
        unchecked {
            uint256 funct3 = (instruction >> 12) & 0x07;
            if (funct3 < 0x04) {
                if (funct3 < 0x02) {
                    if (funct3 == 0x00) {
                        uint256 funct7 = instruction >> 25;
                        if (funct7 == 0x00) {
                            // add rd, rs1, rs2
                            // Adds.
                            setRd(instruction, rs1(instruction) + rs2(instruction));
                            return nextPc(pc);
                        }
                        if (funct7 == 0x01) {
                            // mul rd, rs1, rs2
                            // Multiplies; the low 64 bits.
                            setRd(instruction, rs1(instruction) * rs2(instruction));
                            return nextPc(pc);
                        }
                        if (funct7 == 0x20) {
                            // sub rd, rs1, rs2
                            // Subtracts.
                            setRd(instruction, rs1(instruction) - rs2(instruction));
                            return nextPc(pc);
                        }
                    }
                    if (funct3 == 0x01) {
                        uint256 funct7 = instruction >> 25;
                        if (funct7 == 0x00) {
                            // sll rd, rs1, rs2
                            // Shifts left by the low 6 bits of rs2.
                            setRd(instruction, rs1(instruction) << (rs2(instruction) & 63));
                            return nextPc(pc);
                        }
                        if (funct7 == 0x01) {
                            // mulh rd, rs1, rs2
                            // Multiplies, both signed; the high 64 bits.
                            uint256 a = rs1(instruction);
                            uint256 b = rs2(instruction);
                            uint256 unsigned = (a * b) >> 64;
                            setRd(
                                instruction,
                                unsigned - (lessSigned(a, 0) ? b : 0) - (lessSigned(b, 0) ? a : 0)
                            );
                            return nextPc(pc);
                        }
                    }
                }
                if (funct3 == 0x02) {
                    uint256 funct7 = instruction >> 25;
                    if (funct7 == 0x00) {
                        // slt rd, rs1, rs2
                        // 1 if less, signed.
                        setRd(instruction, toUint(lessSigned(rs1(instruction), rs2(instruction))));
                        return nextPc(pc);
                    }
                    if (funct7 == 0x01) {
                        // mulhsu rd, rs1, rs2
                        // Multiplies, rs1 signed and rs2 unsigned; the high 64 bits.
                        uint256 a = rs1(instruction);
                        uint256 b = rs2(instruction);
                        uint256 unsigned = (a * b) >> 64;
                        setRd(instruction, unsigned - (lessSigned(a, 0) ? b : 0));
                        return nextPc(pc);
                    }
                }
                if (funct3 == 0x03) {
                    uint256 funct7 = instruction >> 25;
                    if (funct7 == 0x00) {
                        // sltu rd, rs1, rs2
                        // 1 if less, unsigned.
                        setRd(instruction, toUint(rs1(instruction) < rs2(instruction)));
                        return nextPc(pc);
                    }
                    if (funct7 == 0x01) {
                        // mulhu rd, rs1, rs2
                        // Multiplies, both unsigned; the high 64 bits.
                        setRd(instruction, (rs1(instruction) * rs2(instruction)) >> 64);
                        return nextPc(pc);
                    }
                }
            }
            if (funct3 < 0x06) {
                if (funct3 == 0x04) {
                    uint256 funct7 = instruction >> 25;
                    if (funct7 == 0x00) {
                        // xor rd, rs1, rs2
                        // Exclusive or.
                        setRd(instruction, rs1(instruction) ^ rs2(instruction));
                        return nextPc(pc);
                    }
                    if (funct7 == 0x01) {
                        // div rd, rs1, rs2
                        // Divides, signed, towards zero; -1 if the divisor is 0.
                        uint256 divisor = rs2(instruction);
                        setRd(instruction, divisor == 0 ? WORD : divideSigned(rs1(instruction), divisor));
                        return nextPc(pc);
                    }
                }
                if (funct3 == 0x05) {
                    uint256 funct7 = instruction >> 25;
                    if (funct7 == 0x00) {
                        // srl rd, rs1, rs2
                        // Shifts right by the low 6 bits of rs2, filling with zeros.
                        setRd(instruction, rs1(instruction) >> (rs2(instruction) & 63));
                        return nextPc(pc);
                    }
                    if (funct7 == 0x01) {
                        // divu rd, rs1, rs2
                        // Divides, unsigned; all ones if the divisor is 0.
                        uint256 divisor = rs2(instruction);
                        setRd(instruction, divisor == 0 ? WORD : divideUnsigned(rs1(instruction), divisor));
                        return nextPc(pc);
                    }
                    if (funct7 == 0x20) {
                        // sra rd, rs1, rs2
                        // Shifts right by the low 6 bits of rs2, filling with the sign.
                        setRd(instruction, shiftRightSigned(rs1(instruction), rs2(instruction) & 63));
                        return nextPc(pc);
                    }
                }
            }
            if (funct3 == 0x06) {
                uint256 funct7 = instruction >> 25;
                if (funct7 == 0x00) {
                    // or rd, rs1, rs2
                    // Or.
                    setRd(instruction, rs1(instruction) | rs2(instruction));
                    return nextPc(pc);
                }
                if (funct7 == 0x01) {
                    // rem rd, rs1, rs2
                    // The signed remainder; the dividend if the divisor is 0.
                    uint256 dividend = rs1(instruction);
                    uint256 divisor = rs2(instruction);
                    setRd(instruction, divisor == 0 ? dividend : remainderSigned(dividend, divisor));
                    return nextPc(pc);
                }
            }
            if (funct3 == 0x07) {
                uint256 funct7 = instruction >> 25;
                if (funct7 == 0x00) {
                    // and rd, rs1, rs2
                    // And.
                    setRd(instruction, rs1(instruction) & rs2(instruction));
                    return nextPc(pc);
                }
                if (funct7 == 0x01) {
                    // remu rd, rs1, rs2
                    // The unsigned remainder; the dividend if the divisor is 0.
                    uint256 dividend = rs1(instruction);
                    uint256 divisor = rs2(instruction);
                    setRd(instruction, divisor == 0 ? dividend : remainderUnsigned(dividend, divisor));
                    return nextPc(pc);
                }
            }
            return trap(ILLEGAL_INSTRUCTION, pc);
        }
    }

    /// @dev Opcode 0x37: lui.
    function opcode37(uint256 instruction, uint256 pc) private pure returns (uint256) {
        unchecked {
            // lui rd, imm
            // Loads the upper immediate.
            setRd(instruction, immU(instruction));
            return nextPc(pc);
        }
    }

    /// @dev Opcode 0x3b: addw, subw, sllw, srlw, sraw, mulw, divw, divuw, remw, remuw.
    function opcode3b(uint256 instruction, uint256 pc) private pure returns (uint256) {
        unchecked {
            uint256 funct3 = (instruction >> 12) & 0x07;
            if (funct3 < 0x05) {
                if (funct3 == 0x00) {
                    uint256 funct7 = instruction >> 25;
                    if (funct7 == 0x00) {
                        // addw rd, rs1, rs2
                        // Adds in 32 bits.
                        setRd(instruction, signExtend(rs1(instruction) + rs2(instruction), 32));
                        return nextPc(pc);
                    }
                    if (funct7 == 0x01) {
                        // mulw rd, rs1, rs2
                        // Multiplies in 32 bits.
                        setRd(instruction, signExtend(rs1(instruction) * rs2(instruction), 32));
                        return nextPc(pc);
                    }
                    if (funct7 == 0x20) {
                        // subw rd, rs1, rs2
                        // Subtracts in 32 bits.
                        setRd(instruction, signExtend(rs1(instruction) - rs2(instruction), 32));
                        return nextPc(pc);
                    }
                }
                if (funct3 == 0x01) {
                    if (instruction & 0xfe000000 == 0x00) {
                        // sllw rd, rs1, rs2
                        // Shifts 32 bits left by the low 5 bits of rs2.
                        setRd(instruction, signExtend(rs1(instruction) << (rs2(instruction) & 31), 32));
                        return nextPc(pc);
                    }
                }
                if (funct3 == 0x04) {
                    if (instruction & 0xfe000000 == 0x2000000) {
                        // divw rd, rs1, rs2
                        // Divides 32 bits, signed, towards zero; -1 if the divisor is 0.
                        uint256 divisor = signExtend(rs2(instruction), 32);
                        setRd(
                            instruction,
                            signExtend(
                                divisor == 0 ? WORD : divideSigned(signExtend(rs1(instruction), 32), divisor),
                                32
                            )
                        );
                        return nextPc(pc);
                    }
                }
            }
            if (funct3 == 0x05) {
                uint256 funct7 = instruction >> 25;
                if (funct7 == 0x00) {
                    // srlw rd, rs1, rs2
                    // Shifts 32 bits right by the low 5 bits of rs2, filling with zeros.
                    setRd(
                        instruction,
                        signExtend((rs1(instruction) & 0xffffffff) >> (rs2(instruction) & 31), 32)
                    );
                    return nextPc(pc);
                }
                if (funct7 == 0x01) {
                    // divuw rd, rs1, rs2
                    // Divides 32 bits, unsigned; all ones if the divisor is 0.
                    uint256 divisor = rs2(instruction) & 0xffffffff;
                    setRd(
                        instruction,
                        signExtend(
                            divisor == 0 ? WORD : divideUnsigned(rs1(instruction) & 0xffffffff, divisor), 32
                        )
                    );
                    return nextPc(pc);
                }
                if (funct7 == 0x20) {
                    // sraw rd, rs1, rs2
                    // Shifts 32 bits right by the low 5 bits of rs2, filling with the sign.
                    setRd(
                        instruction, shiftRightSigned(signExtend(rs1(instruction), 32), rs2(instruction) & 31)
                    );
                    return nextPc(pc);
                }
            }
            if (funct3 == 0x06) {
                if (instruction & 0xfe000000 == 0x2000000) {
                    // remw rd, rs1, rs2
                    // The signed 32-bit remainder; the dividend if the divisor is 0.
                    uint256 dividend = signExtend(rs1(instruction), 32);
                    uint256 divisor = signExtend(rs2(instruction), 32);
                    setRd(
                        instruction,
                        signExtend(divisor == 0 ? dividend : remainderSigned(dividend, divisor), 32)
                    );
                    return nextPc(pc);
                }
            }
            if (funct3 == 0x07) {
                if (instruction & 0xfe000000 == 0x2000000) {
                    // remuw rd, rs1, rs2
                    // The unsigned 32-bit remainder; the dividend if the divisor is 0.
                    uint256 dividend = rs1(instruction) & 0xffffffff;
                    uint256 divisor = rs2(instruction) & 0xffffffff;
                    setRd(
                        instruction,
                        signExtend(divisor == 0 ? dividend : remainderUnsigned(dividend, divisor), 32)
                    );
                    return nextPc(pc);
                }
            }
            return trap(ILLEGAL_INSTRUCTION, pc);
        }
    }

    /// @dev Opcode 0x63: beq, bne, blt, bge, bltu, bgeu.
    function opcode63(uint256 instruction, uint256 pc) private pure returns (uint256) {
        unchecked {
            uint256 funct3 = (instruction >> 12) & 0x07;
            if (funct3 < 0x05) {
                if (funct3 == 0x00) {
                    // beq rs1, rs2, imm
                    // Branches if equal.
                    bool taken = rs1(instruction) == rs2(instruction);
                    uint256 target = (pc + immB(instruction)) & WORD;
                    if (taken && (target & 3) != 0) return trap(INSTRUCTION_MISALIGNED, pc);
                    return taken ? target : nextPc(pc);
                }
                if (funct3 == 0x01) {
                    // bne rs1, rs2, imm
                    // Branches if not equal.
                    bool taken = rs1(instruction) != rs2(instruction);
                    uint256 target = (pc + immB(instruction)) & WORD;
                    if (taken && (target & 3) != 0) return trap(INSTRUCTION_MISALIGNED, pc);
                    return taken ? target : nextPc(pc);
                }
                if (funct3 == 0x04) {
                    // blt rs1, rs2, imm
                    // Branches if less, signed.
                    bool taken = lessSigned(rs1(instruction), rs2(instruction));
                    uint256 target = (pc + immB(instruction)) & WORD;
                    if (taken && (target & 3) != 0) return trap(INSTRUCTION_MISALIGNED, pc);
                    return taken ? target : nextPc(pc);
                }
            }
            if (funct3 == 0x05) {
                // bge rs1, rs2, imm
                // Branches if not less, signed.
                bool taken = !lessSigned(rs1(instruction), rs2(instruction));
                uint256 target = (pc + immB(instruction)) & WORD;
                if (taken && (target & 3) != 0) return trap(INSTRUCTION_MISALIGNED, pc);
                return taken ? target : nextPc(pc);
            }
            if (funct3 == 0x06) {
                // bltu rs1, rs2, imm
                // Branches if less, unsigned.
                bool taken = rs1(instruction) < rs2(instruction);
                uint256 target = (pc + immB(instruction)) & WORD;
                if (taken && (target & 3) != 0) return trap(INSTRUCTION_MISALIGNED, pc);
                return taken ? target : nextPc(pc);
            }
            if (funct3 == 0x07) {
                // bgeu rs1, rs2, imm
                // Branches if not less, unsigned.
                bool taken = rs1(instruction) >= rs2(instruction);
                uint256 target = (pc + immB(instruction)) & WORD;
                if (taken && (target & 3) != 0) return trap(INSTRUCTION_MISALIGNED, pc);
                return taken ? target : nextPc(pc);
            }
            return trap(ILLEGAL_INSTRUCTION, pc);
        }
    }

    /// @dev Opcode 0x67: jalr.
    function opcode67(uint256 instruction, uint256 pc) private pure returns (uint256) {
        unchecked {
            if (instruction & 0x7000 == 0x00) {
                // jalr rd, imm(rs1)
                // Jumps to an address in a register and keeps the return address.
                uint256 target = (rs1(instruction) + immI(instruction)) & 0xfffffffffffffffe;
                if ((target & 3) != 0) return trap(INSTRUCTION_MISALIGNED, pc);
                setRd(instruction, pc + 4);
                return target;
            }
            return trap(ILLEGAL_INSTRUCTION, pc);
        }
    }

    /// @dev Opcode 0x6f: jal.
    function opcode6f(uint256 instruction, uint256 pc) private pure returns (uint256) {
        unchecked {
            // jal rd, imm
            // Jumps and keeps the return address.
            uint256 target = (pc + immJ(instruction)) & WORD;
            if ((target & 3) != 0) return trap(INSTRUCTION_MISALIGNED, pc);
            setRd(instruction, pc + 4);
            return target;
        }
    }

    /// @dev Opcode 0x73: ecall, ebreak.
    function opcode73(uint256 instruction, uint256 pc) private pure returns (uint256) {
        unchecked {
            uint256 rest = instruction >> 7;
            if (rest == 0x00) {
                // ecall
                // Exits if a7 is 93; any other system call traps.
                if (register(17) != 93) return trap(ENVIRONMENT_CALL, pc);
                return exit(pc);
            }
            if (rest == 0x2000) {
                // ebreak
                // Traps.
                return trap(BREAKPOINT, pc);
            }
            return trap(ILLEGAL_INSTRUCTION, pc);
        }
    }

    // ---- Fields of an instruction word

    /// @dev The destination register.
    function fieldRd(uint256 instruction) private pure returns (uint256) {
        return (instruction >> 7) & 31;
    }

    /// @dev The first source register.
    function fieldRs1(uint256 instruction) private pure returns (uint256) {
        return (instruction >> 15) & 31;
    }

    /// @dev The second source register.
    function fieldRs2(uint256 instruction) private pure returns (uint256) {
        return (instruction >> 20) & 31;
    }

    /// @dev The immediate of loads and register-immediate instructions.
    function immI(uint256 instruction) private pure returns (uint256) {
        return signExtend(instruction >> 20, 12);
    }

    /// @dev The immediate of stores.
    function immS(uint256 instruction) private pure returns (uint256) {
        return signExtend(((instruction >> 25) << 5) | ((instruction >> 7) & 31), 12);
    }

    /// @dev The displacement of branches.
    function immB(uint256 instruction) private pure returns (uint256) {
        return
            signExtend((instruction >> 31) << 12, 13)
            | (((instruction >> 7) & 1) << 11)
            | (((instruction >> 25) & 63) << 5)
            | (((instruction >> 8) & 15) << 1);
    }

    /// @dev The upper immediate, sign-extended.
    function immU(uint256 instruction) private pure returns (uint256) {
        return signExtend(instruction & 0xfffff000, 32);
    }

    /// @dev The displacement of jal.
    function immJ(uint256 instruction) private pure returns (uint256) {
        return
            signExtend((instruction >> 31) << 20, 21)
            | (instruction & 0xff000)
            | (((instruction >> 20) & 1) << 11)
            | (((instruction >> 21) & 1023) << 1);
    }

    /// @dev The amount of 64-bit shifts.
    function shamt6(uint256 instruction) private pure returns (uint256) {
        return (instruction >> 20) & 63;
    }

    /// @dev The amount of 32-bit shifts.
    function shamt5(uint256 instruction) private pure returns (uint256) {
        return (instruction >> 20) & 31;
    }

    // ---- Arithmetic of words

    /// @dev 1 if the condition holds, 0 otherwise.
    function toUint(bool condition) private pure returns (uint256 value) {
        assembly ("memory-safe") {
            value := condition
        }
    }

    /// @dev The low `bits` bits, sign-extended to a word.
    function signExtend(uint256 x, uint256 bits) private pure returns (uint256 result) {
        assembly ("memory-safe") {
            let unused := sub(256, bits)
            result := and(sar(unused, shl(unused, x)), WORD)
        }
    }

    /// @dev Shifts a word right by `n` < 64, filling with the sign.
    function shiftRightSigned(uint256 x, uint256 n) private pure returns (uint256 result) {
        assembly ("memory-safe") {
            result := and(sar(n, signextend(7, x)), WORD)
        }
    }

    /// @dev Whether `a < b`, both signed.
    function lessSigned(uint256 a, uint256 b) private pure returns (bool result) {
        assembly ("memory-safe") {
            result := slt(signextend(7, a), signextend(7, b))
        }
    }

    /// @dev The quotient; `x / 0 = 0`.
    function divideUnsigned(uint256 a, uint256 b) private pure returns (uint256 result) {
        assembly ("memory-safe") {
            result := div(a, b)
        }
    }

    /// @dev The remainder; `x % 0 = 0`.
    function remainderUnsigned(uint256 a, uint256 b) private pure returns (uint256 result) {
        assembly ("memory-safe") {
            result := mod(a, b)
        }
    }

    /// @dev The signed quotient, rounded towards zero; `x / 0 = 0` and `MIN / -1 = MIN`.
    function divideSigned(uint256 a, uint256 b) private pure returns (uint256 result) {
        assembly ("memory-safe") {
            result := and(sdiv(signextend(7, a), signextend(7, b)), WORD)
        }
    }

    /// @dev The signed remainder, with the sign of the dividend; `x % 0 = 0` and `MIN % -1 = 0`.
    function remainderSigned(uint256 a, uint256 b) private pure returns (uint256 result) {
        assembly ("memory-safe") {
            result := and(smod(signextend(7, a), signextend(7, b)), WORD)
        }
    }

    /// @dev The number of bits needed to write `x` < 2^128: 0 for 0.
    function bitLength(uint256 x) private pure returns (uint256 length) {
        assembly ("memory-safe") {
            length := shl(6, lt(0xffffffffffffffff, x))
            length := or(length, shl(5, lt(0xffffffff, shr(length, x))))
            length := or(length, shl(4, lt(0xffff, shr(length, x))))
            length := or(length, shl(3, lt(0xff, shr(length, x))))
            length := or(length, shl(2, lt(0xf, shr(length, x))))
            length := or(length, shl(1, lt(0x3, shr(length, x))))
            length := or(length, lt(0x1, shr(length, x)))
            length := add(length, iszero(iszero(x)))
        }
    }
}
