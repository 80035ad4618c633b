// SPDX-License-Identifier: MIT OR Apache-2.0
// Generated from the semantics of the instruction set: do not edit.
pragma solidity ^0.8.24;

import {IStepVerifier} from "./IStepVerifier.sol";

/// @title Verifies one step of an rv64imfd machine.
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
    uint256 private constant EXTENSIONS = 15;
    /// The mask of a machine word.
    uint256 private constant WORD = 0xffffffffffffffff;
    /// The lower half of each of 16 bytes.
    uint256 private constant HALF_BYTES = 0x0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f;
    /// The binary logarithm of the bytes in a leaf.
    uint256 private constant LEAF_BITS = 5;
    uint256 private constant RMM = 4;
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

    // ---- Float registers

    /// What each float register is at reset, and less which it is written: NaN-boxed +0.
    uint256 private constant BOXED_ZERO = 0xffffffff00000000;

    /// @dev Reads the float registers from the witness, which gives their hash.
    function loadFloats() private pure {
        uint256 end = loadNumbers(FLOATS);
        assembly ("memory-safe") {
            mstore(FLOATS_END, end)
        }
        reveal(FLOAT_HASH, hashOf(FLOATS, end));
    }

    /// @dev The float register `index`, all 64 bits.
    function floatRegister(uint256 index) private pure returns (uint256) {
        (uint256 place, uint256 length) = find(FLOATS, index);
        return numberAt(place, length) ^ BOXED_ZERO;
    }

    function frs1(uint256 instruction) private pure returns (uint256) {
        return floatRegister(fieldRs1(instruction));
    }

    function frs2(uint256 instruction) private pure returns (uint256) {
        return floatRegister(fieldRs2(instruction));
    }

    function frs3(uint256 instruction) private pure returns (uint256) {
        return floatRegister(fieldRs3(instruction));
    }

    /// @dev Writes all 64 bits of the destination float register, and updates the hash.
    function setFrd(uint256 instruction, uint256 value) private pure {
        uint256 end;
        assembly ("memory-safe") {
            end := mload(FLOATS_END)
        }
        end = replace(FLOATS, end, NEW_FLOATS, fieldRd(instruction), value ^ BOXED_ZERO);
        assembly ("memory-safe") {
            mstore(add(NEW, FLOAT_HASH), keccak256(NEW_FLOATS, sub(end, NEW_FLOATS)))
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
            if (opcode < 0x3b) {
                if (opcode < 0x1b) {
                    if (opcode < 0x0f) {
                        if (opcode == 0x03) {
                            return opcode03(instruction, pc);
                        }
                        if (opcode == 0x07) {
                            return opcode07(instruction, pc);
                        }
                    }
                    if (opcode == 0x0f) {
                        return opcode0f(instruction, pc);
                    }
                    if (opcode == 0x13) {
                        return opcode13(instruction, pc);
                    }
                    if (opcode == 0x17) {
                        return opcode17(instruction, pc);
                    }
                }
                if (opcode < 0x27) {
                    if (opcode == 0x1b) {
                        return opcode1b(instruction, pc);
                    }
                    if (opcode == 0x23) {
                        return opcode23(instruction, pc);
                    }
                }
                if (opcode == 0x27) {
                    return opcode27(instruction, pc);
                }
                if (opcode == 0x33) {
                    return opcode33(instruction, pc);
                }
                if (opcode == 0x37) {
                    return opcode37(instruction, pc);
                }
            }
            if (opcode < 0x53) {
                if (opcode < 0x47) {
                    if (opcode == 0x3b) {
                        return opcode3b(instruction, pc);
                    }
                    if (opcode == 0x43) {
                        return opcode43(instruction, pc);
                    }
                }
                if (opcode == 0x47) {
                    return opcode47(instruction, pc);
                }
                if (opcode == 0x4b) {
                    return opcode4b(instruction, pc);
                }
                if (opcode == 0x4f) {
                    return opcode4f(instruction, pc);
                }
            }
            if (opcode < 0x67) {
                if (opcode == 0x53) {
                    return opcode53(instruction, pc);
                }
                if (opcode == 0x63) {
                    return opcode63(instruction, pc);
                }
            }
            if (opcode == 0x67) {
                return opcode67(instruction, pc);
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

    /// @dev Opcode 0x07: flw, fld.
    function opcode07(uint256 instruction, uint256 pc) private pure returns (uint256) {
        unchecked {
            uint256 funct3 = (instruction >> 12) & 0x07;
            if (funct3 == 0x02) {
                // flw frd, imm(rs1)
                // Loads a binary32.
                loadFloats();
                uint256 location = (rs1(instruction) + immI(instruction)) & WORD;
                if ((location & 3) != 0) return trap(LOAD_MISALIGNED, pc);
                if (!readable(location)) return trap(LOAD_FAULT, pc);
                uint256 value = load(location, 4);
                setFrd(instruction, value | 0xffffffff00000000);
                return nextPc(pc);
            }
            if (funct3 == 0x03) {
                // fld frd, imm(rs1)
                // Loads 64 bits.
                loadFloats();
                uint256 location = (rs1(instruction) + immI(instruction)) & WORD;
                if ((location & 7) != 0) return trap(LOAD_MISALIGNED, pc);
                if (!readable(location)) return trap(LOAD_FAULT, pc);
                uint256 value = load(location, 8);
                setFrd(instruction, value);
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

    /// @dev Opcode 0x27: fsw, fsd.
    function opcode27(uint256 instruction, uint256 pc) private pure returns (uint256) {
        unchecked {
            uint256 funct3 = (instruction >> 12) & 0x07;
            if (funct3 == 0x02) {
                // fsw frs2, imm(rs1)
                // Stores the low 32 bits.
                loadFloats();
                uint256 location = (rs1(instruction) + immS(instruction)) & WORD;
                if ((location & 3) != 0) return trap(STORE_MISALIGNED, pc);
                if (!writable(location)) return trap(STORE_FAULT, pc);
                store(location, 4, frs2(instruction));
                return nextPc(pc);
            }
            if (funct3 == 0x03) {
                // fsd frs2, imm(rs1)
                // Stores 64 bits.
                loadFloats();
                uint256 location = (rs1(instruction) + immS(instruction)) & WORD;
                if ((location & 7) != 0) return trap(STORE_MISALIGNED, pc);
                if (!writable(location)) return trap(STORE_FAULT, pc);
                store(location, 8, frs2(instruction));
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

    /// @dev Opcode 0x43: fmadd.s, fmadd.d.
    function opcode43(uint256 instruction, uint256 pc) private pure returns (uint256) {
        unchecked {
            uint256 format = (instruction >> 25) & 0x03;
            if (format == 0x00) {
                if (roundingMode(instruction) <= RMM) {
                    // fmadd.s frd, frs1, frs2, frs3, rm
                    // frs1 * frs2 + frs3, rounded once.
                    loadFloats();
                    uint256 result = multiplyAdd(
                        unbox(frs1(instruction)),
                        unbox(frs2(instruction)),
                        unbox(frs3(instruction)),
                        roundingMode(instruction),
                        23,
                        32
                    );
                    setFrd(instruction, (result & WORD) | 0xffffffff00000000);
                    return nextPc(pc);
                }
            }
            if (format == 0x01) {
                if (roundingMode(instruction) <= RMM) {
                    // fmadd.d frd, frs1, frs2, frs3, rm
                    // frs1 * frs2 + frs3, rounded once.
                    loadFloats();
                    uint256 result = multiplyAdd(
                        frs1(instruction),
                        frs2(instruction),
                        frs3(instruction),
                        roundingMode(instruction),
                        52,
                        64
                    );
                    setFrd(instruction, result & WORD);
                    return nextPc(pc);
                }
            }
            return trap(ILLEGAL_INSTRUCTION, pc);
        }
    }

    /// @dev Opcode 0x47: fmsub.s, fmsub.d.
    function opcode47(uint256 instruction, uint256 pc) private pure returns (uint256) {
        unchecked {
            uint256 format = (instruction >> 25) & 0x03;
            if (format == 0x00) {
                if (roundingMode(instruction) <= RMM) {
                    // fmsub.s frd, frs1, frs2, frs3, rm
                    // frs1 * frs2 - frs3, rounded once.
                    loadFloats();
                    uint256 result = multiplyAdd(
                        unbox(frs1(instruction)),
                        unbox(frs2(instruction)),
                        unbox(frs3(instruction)) ^ 0x80000000,
                        roundingMode(instruction),
                        23,
                        32
                    );
                    setFrd(instruction, (result & WORD) | 0xffffffff00000000);
                    return nextPc(pc);
                }
            }
            if (format == 0x01) {
                if (roundingMode(instruction) <= RMM) {
                    // fmsub.d frd, frs1, frs2, frs3, rm
                    // frs1 * frs2 - frs3, rounded once.
                    loadFloats();
                    uint256 result = multiplyAdd(
                        frs1(instruction),
                        frs2(instruction),
                        frs3(instruction) ^ 0x8000000000000000,
                        roundingMode(instruction),
                        52,
                        64
                    );
                    setFrd(instruction, result & WORD);
                    return nextPc(pc);
                }
            }
            return trap(ILLEGAL_INSTRUCTION, pc);
        }
    }

    /// @dev Opcode 0x4b: fnmsub.s, fnmsub.d.
    function opcode4b(uint256 instruction, uint256 pc) private pure returns (uint256) {
        unchecked {
            uint256 format = (instruction >> 25) & 0x03;
            if (format == 0x00) {
                if (roundingMode(instruction) <= RMM) {
                    // fnmsub.s frd, frs1, frs2, frs3, rm
                    // -(frs1 * frs2) + frs3, rounded once.
                    loadFloats();
                    uint256 result = multiplyAdd(
                        unbox(frs1(instruction)) ^ 0x80000000,
                        unbox(frs2(instruction)),
                        unbox(frs3(instruction)),
                        roundingMode(instruction),
                        23,
                        32
                    );
                    setFrd(instruction, (result & WORD) | 0xffffffff00000000);
                    return nextPc(pc);
                }
            }
            if (format == 0x01) {
                if (roundingMode(instruction) <= RMM) {
                    // fnmsub.d frd, frs1, frs2, frs3, rm
                    // -(frs1 * frs2) + frs3, rounded once.
                    loadFloats();
                    uint256 result = multiplyAdd(
                        frs1(instruction) ^ 0x8000000000000000,
                        frs2(instruction),
                        frs3(instruction),
                        roundingMode(instruction),
                        52,
                        64
                    );
                    setFrd(instruction, result & WORD);
                    return nextPc(pc);
                }
            }
            return trap(ILLEGAL_INSTRUCTION, pc);
        }
    }

    /// @dev Opcode 0x4f: fnmadd.s, fnmadd.d.
    function opcode4f(uint256 instruction, uint256 pc) private pure returns (uint256) {
        unchecked {
            uint256 format = (instruction >> 25) & 0x03;
            if (format == 0x00) {
                if (roundingMode(instruction) <= RMM) {
                    // fnmadd.s frd, frs1, frs2, frs3, rm
                    // -(frs1 * frs2) - frs3, rounded once.
                    loadFloats();
                    uint256 result = multiplyAdd(
                        unbox(frs1(instruction)) ^ 0x80000000,
                        unbox(frs2(instruction)),
                        unbox(frs3(instruction)) ^ 0x80000000,
                        roundingMode(instruction),
                        23,
                        32
                    );
                    setFrd(instruction, (result & WORD) | 0xffffffff00000000);
                    return nextPc(pc);
                }
            }
            if (format == 0x01) {
                if (roundingMode(instruction) <= RMM) {
                    // fnmadd.d frd, frs1, frs2, frs3, rm
                    // -(frs1 * frs2) - frs3, rounded once.
                    loadFloats();
                    uint256 result = multiplyAdd(
                        frs1(instruction) ^ 0x8000000000000000,
                        frs2(instruction),
                        frs3(instruction) ^ 0x8000000000000000,
                        roundingMode(instruction),
                        52,
                        64
                    );
                    setFrd(instruction, result & WORD);
                    return nextPc(pc);
                }
            }
            return trap(ILLEGAL_INSTRUCTION, pc);
        }
    }

    /// @dev Opcode 0x53: fadd.s, fsub.s, fmul.s, fdiv.s, fsqrt.s, fsgnj.s, fsgnjn.s, fsgnjx.s, fmin.s,
    /// fmax.s, fcvt.w.s, fcvt.wu.s, fcvt.l.s, fcvt.lu.s, fmv.x.w, fclass.s, feq.s, flt.s, fle.s, fcvt.s.w,
    /// fcvt.s.wu, fcvt.s.l, fcvt.s.lu, fmv.w.x, fadd.d, fsub.d, fmul.d, fdiv.d, fsqrt.d, fsgnj.d, fsgnjn.d,
    /// fsgnjx.d, fmin.d, fmax.d, fcvt.s.d, fcvt.d.s, feq.d, flt.d, fle.d, fclass.d, fcvt.w.d, fcvt.wu.d,
    /// fcvt.l.d, fcvt.lu.d, fcvt.d.w, fcvt.d.wu, fcvt.d.l, fcvt.d.lu, fmv.x.d, fmv.d.x.
    function opcode53(uint256 instruction, uint256 pc) private pure returns (uint256) {
        unchecked {
            uint256 funct7 = instruction >> 25;
            if (funct7 < 0x21) {
                if (funct7 < 0x0c) {
                    if (funct7 < 0x05) {
                        if (funct7 == 0x00) {
                            if (roundingMode(instruction) <= RMM) {
                                // fadd.s frd, frs1, frs2, rm
                                // Adds.
                                loadFloats();
                                uint256 result = multiplyAdd(
                                    unbox(frs1(instruction)),
                                    0x3f800000,
                                    unbox(frs2(instruction)),
                                    roundingMode(instruction),
                                    23,
                                    32
                                );
                                setFrd(instruction, (result & WORD) | 0xffffffff00000000);
                                return nextPc(pc);
                            }
                        }
                        if (funct7 == 0x01) {
                            if (roundingMode(instruction) <= RMM) {
                                // fadd.d frd, frs1, frs2, rm
                                // Adds.
                                loadFloats();
                                uint256 result = multiplyAdd(
                                    frs1(instruction),
                                    0x3ff0000000000000,
                                    frs2(instruction),
                                    roundingMode(instruction),
                                    52,
                                    64
                                );
                                setFrd(instruction, result & WORD);
                                return nextPc(pc);
                            }
                        }
                        if (funct7 == 0x04) {
                            if (roundingMode(instruction) <= RMM) {
                                // fsub.s frd, frs1, frs2, rm
                                // Subtracts.
                                loadFloats();
                                uint256 result = multiplyAdd(
                                    unbox(frs1(instruction)),
                                    0x3f800000,
                                    unbox(frs2(instruction)) ^ 0x80000000,
                                    roundingMode(instruction),
                                    23,
                                    32
                                );
                                setFrd(instruction, (result & WORD) | 0xffffffff00000000);
                                return nextPc(pc);
                            }
                        }
                    }
                    if (funct7 == 0x05) {
                        if (roundingMode(instruction) <= RMM) {
                            // fsub.d frd, frs1, frs2, rm
                            // Subtracts.
                            loadFloats();
                            uint256 result = multiplyAdd(
                                frs1(instruction),
                                0x3ff0000000000000,
                                frs2(instruction) ^ 0x8000000000000000,
                                roundingMode(instruction),
                                52,
                                64
                            );
                            setFrd(instruction, result & WORD);
                            return nextPc(pc);
                        }
                    }
                    if (funct7 == 0x08) {
                        if (roundingMode(instruction) <= RMM) {
                            // fmul.s frd, frs1, frs2, rm
                            // Multiplies.
                            loadFloats();
                            uint256 a = unbox(frs1(instruction));
                            uint256 b = unbox(frs2(instruction));
                            uint256 result = multiplyAdd(
                                a, b, (a ^ b) & 0x80000000, roundingMode(instruction), 23, 32
                            );
                            setFrd(instruction, (result & WORD) | 0xffffffff00000000);
                            return nextPc(pc);
                        }
                    }
                    if (funct7 == 0x09) {
                        if (roundingMode(instruction) <= RMM) {
                            // fmul.d frd, frs1, frs2, rm
                            // Multiplies.
                            loadFloats();
                            uint256 a = frs1(instruction);
                            uint256 b = frs2(instruction);
                            uint256 result = multiplyAdd(
                                a, b, (a ^ b) & 0x8000000000000000, roundingMode(instruction), 52, 64
                            );
                            setFrd(instruction, result & WORD);
                            return nextPc(pc);
                        }
                    }
                }
                if (funct7 < 0x11) {
                    if (funct7 == 0x0c) {
                        if (roundingMode(instruction) <= RMM) {
                            // fdiv.s frd, frs1, frs2, rm
                            // Divides.
                            loadFloats();
                            uint256 result = divide(
                                unbox(frs1(instruction)),
                                unbox(frs2(instruction)),
                                roundingMode(instruction),
                                23,
                                32
                            );
                            setFrd(instruction, (result & WORD) | 0xffffffff00000000);
                            return nextPc(pc);
                        }
                    }
                    if (funct7 == 0x0d) {
                        if (roundingMode(instruction) <= RMM) {
                            // fdiv.d frd, frs1, frs2, rm
                            // Divides.
                            loadFloats();
                            uint256 result = divide(
                                frs1(instruction), frs2(instruction), roundingMode(instruction), 52, 64
                            );
                            setFrd(instruction, result & WORD);
                            return nextPc(pc);
                        }
                    }
                    if (funct7 == 0x10) {
                        uint256 funct3 = (instruction >> 12) & 0x07;
                        if (funct3 == 0x00) {
                            // fsgnj.s frd, frs1, frs2
                            // frs1 with the sign of frs2.
                            loadFloats();
                            setFrd(
                                instruction,
                                (unbox(frs1(instruction)) & 0x7fffffff)
                                | (unbox(frs2(instruction)) & 0x80000000)
                                | 0xffffffff00000000
                            );
                            return nextPc(pc);
                        }
                        if (funct3 == 0x01) {
                            // fsgnjn.s frd, frs1, frs2
                            // frs1 with the opposite of the sign of frs2.
                            loadFloats();
                            setFrd(
                                instruction,
                                (unbox(frs1(instruction)) & 0x7fffffff)
                                | ((unbox(frs2(instruction)) ^ 0x80000000) & 0x80000000)
                                | 0xffffffff00000000
                            );
                            return nextPc(pc);
                        }
                        if (funct3 == 0x02) {
                            // fsgnjx.s frd, frs1, frs2
                            // frs1 with its sign flipped if frs2 is negative.
                            loadFloats();
                            uint256 a = unbox(frs1(instruction));
                            setFrd(
                                instruction,
                                (a & 0x7fffffff)
                                | ((a ^ unbox(frs2(instruction))) & 0x80000000)
                                | 0xffffffff00000000
                            );
                            return nextPc(pc);
                        }
                    }
                }
                if (funct7 < 0x15) {
                    if (funct7 == 0x11) {
                        uint256 funct3 = (instruction >> 12) & 0x07;
                        if (funct3 == 0x00) {
                            // fsgnj.d frd, frs1, frs2
                            // frs1 with the sign of frs2.
                            loadFloats();
                            setFrd(
                                instruction,
                                (frs1(instruction) & 0x7fffffffffffffff)
                                | (frs2(instruction) & 0x8000000000000000)
                            );
                            return nextPc(pc);
                        }
                        if (funct3 == 0x01) {
                            // fsgnjn.d frd, frs1, frs2
                            // frs1 with the opposite of the sign of frs2.
                            loadFloats();
                            setFrd(
                                instruction,
                                (frs1(instruction) & 0x7fffffffffffffff)
                                | ((frs2(instruction) ^ 0x8000000000000000) & 0x8000000000000000)
                            );
                            return nextPc(pc);
                        }
                        if (funct3 == 0x02) {
                            // fsgnjx.d frd, frs1, frs2
                            // frs1 with its sign flipped if frs2 is negative.
                            loadFloats();
                            uint256 a = frs1(instruction);
                            setFrd(
                                instruction,
                                (a & 0x7fffffffffffffff) | ((a ^ frs2(instruction)) & 0x8000000000000000)
                            );
                            return nextPc(pc);
                        }
                    }
                    if (funct7 == 0x14) {
                        uint256 funct3 = (instruction >> 12) & 0x07;
                        if (funct3 == 0x00) {
                            // fmin.s frd, frs1, frs2
                            // The smaller; a NaN loses against a number.
                            loadFloats();
                            uint256 result = minMax(
                                unbox(frs1(instruction)), unbox(frs2(instruction)), 0, 23, 32
                            );
                            setFrd(instruction, (result & WORD) | 0xffffffff00000000);
                            return nextPc(pc);
                        }
                        if (funct3 == 0x01) {
                            // fmax.s frd, frs1, frs2
                            // The larger; a NaN loses against a number.
                            loadFloats();
                            uint256 result = minMax(
                                unbox(frs1(instruction)), unbox(frs2(instruction)), 1, 23, 32
                            );
                            setFrd(instruction, (result & WORD) | 0xffffffff00000000);
                            return nextPc(pc);
                        }
                    }
                }
                if (funct7 == 0x15) {
                    uint256 funct3 = (instruction >> 12) & 0x07;
                    if (funct3 == 0x00) {
                        // fmin.d frd, frs1, frs2
                        // The smaller; a NaN loses against a number.
                        loadFloats();
                        uint256 result = minMax(frs1(instruction), frs2(instruction), 0, 52, 64);
                        setFrd(instruction, result & WORD);
                        return nextPc(pc);
                    }
                    if (funct3 == 0x01) {
                        // fmax.d frd, frs1, frs2
                        // The larger; a NaN loses against a number.
                        loadFloats();
                        uint256 result = minMax(frs1(instruction), frs2(instruction), 1, 52, 64);
                        setFrd(instruction, result & WORD);
                        return nextPc(pc);
                    }
                }
                if (funct7 == 0x20) {
                    if (instruction & 0x1f00000 == 0x100000 && roundingMode(instruction) <= RMM) {
                        // fcvt.s.d frd, frs1, rm
                        // From binary64 to binary32.
                        loadFloats();
                        uint256 result = convert(
                            frs1(instruction), roundingMode(instruction), 52, 64, 23, 32
                        );
                        setFrd(instruction, (result & WORD) | 0xffffffff00000000);
                        return nextPc(pc);
                    }
                }
            }
            if (funct7 < 0x61) {
                if (funct7 < 0x50) {
                    if (funct7 == 0x21) {
                        if (instruction & 0x1f00000 == 0x00 && roundingMode(instruction) <= RMM) {
                            // fcvt.d.s frd, frs1, rm
                            // From binary32 to binary64, exactly.
                            loadFloats();
                            uint256 result = convert(
                                unbox(frs1(instruction)), roundingMode(instruction), 23, 32, 52, 64
                            );
                            setFrd(instruction, result & WORD);
                            return nextPc(pc);
                        }
                    }
                    if (funct7 == 0x2c) {
                        if (instruction & 0x1f00000 == 0x00 && roundingMode(instruction) <= RMM) {
                            // fsqrt.s frd, frs1, rm
                            // The square root.
                            loadFloats();
                            uint256 result = squareRoot(
                                unbox(frs1(instruction)), roundingMode(instruction), 23, 32
                            );
                            setFrd(instruction, (result & WORD) | 0xffffffff00000000);
                            return nextPc(pc);
                        }
                    }
                    if (funct7 == 0x2d) {
                        if (instruction & 0x1f00000 == 0x00 && roundingMode(instruction) <= RMM) {
                            // fsqrt.d frd, frs1, rm
                            // The square root.
                            loadFloats();
                            uint256 result = squareRoot(frs1(instruction), roundingMode(instruction), 52, 64);
                            setFrd(instruction, result & WORD);
                            return nextPc(pc);
                        }
                    }
                }
                if (funct7 == 0x50) {
                    uint256 funct3 = (instruction >> 12) & 0x07;
                    if (funct3 == 0x00) {
                        // fle.s rd, frs1, frs2
                        // 1 if less or equal.
                        loadFloats();
                        uint256 holds = compareLess(
                            unbox(frs1(instruction)), unbox(frs2(instruction)), 1, 23, 32
                        );
                        setRd(instruction, holds);
                        return nextPc(pc);
                    }
                    if (funct3 == 0x01) {
                        // flt.s rd, frs1, frs2
                        // 1 if less.
                        loadFloats();
                        uint256 holds = compareLess(
                            unbox(frs1(instruction)), unbox(frs2(instruction)), 0, 23, 32
                        );
                        setRd(instruction, holds);
                        return nextPc(pc);
                    }
                    if (funct3 == 0x02) {
                        // feq.s rd, frs1, frs2
                        // 1 if equal.
                        loadFloats();
                        uint256 holds = compareEqual(
                            unbox(frs1(instruction)), unbox(frs2(instruction)), 23, 32
                        );
                        setRd(instruction, holds);
                        return nextPc(pc);
                    }
                }
                if (funct7 == 0x51) {
                    uint256 funct3 = (instruction >> 12) & 0x07;
                    if (funct3 == 0x00) {
                        // fle.d rd, frs1, frs2
                        // 1 if less or equal.
                        loadFloats();
                        uint256 holds = compareLess(frs1(instruction), frs2(instruction), 1, 52, 64);
                        setRd(instruction, holds);
                        return nextPc(pc);
                    }
                    if (funct3 == 0x01) {
                        // flt.d rd, frs1, frs2
                        // 1 if less.
                        loadFloats();
                        uint256 holds = compareLess(frs1(instruction), frs2(instruction), 0, 52, 64);
                        setRd(instruction, holds);
                        return nextPc(pc);
                    }
                    if (funct3 == 0x02) {
                        // feq.d rd, frs1, frs2
                        // 1 if equal.
                        loadFloats();
                        uint256 holds = compareEqual(frs1(instruction), frs2(instruction), 52, 64);
                        setRd(instruction, holds);
                        return nextPc(pc);
                    }
                }
                if (funct7 == 0x60) {
                    uint256 rs2Field = (instruction >> 20) & 0x1f;
                    if (rs2Field < 0x02) {
                        if (rs2Field == 0x00) {
                            if (roundingMode(instruction) <= RMM) {
                                // fcvt.w.s rd, frs1, rm
                                // To a signed 32-bit integer, saturating.
                                loadFloats();
                                uint256 integer = toInteger(
                                    unbox(frs1(instruction)), roundingMode(instruction), 32, 1, 23, 32
                                );
                                setRd(instruction, signExtend(integer, 32));
                                return nextPc(pc);
                            }
                        }
                        if (rs2Field == 0x01) {
                            if (roundingMode(instruction) <= RMM) {
                                // fcvt.wu.s rd, frs1, rm
                                // To an unsigned 32-bit integer, saturating, sign-extended.
                                loadFloats();
                                uint256 integer = toInteger(
                                    unbox(frs1(instruction)), roundingMode(instruction), 32, 0, 23, 32
                                );
                                setRd(instruction, signExtend(integer, 32));
                                return nextPc(pc);
                            }
                        }
                    }
                    if (rs2Field == 0x02) {
                        if (roundingMode(instruction) <= RMM) {
                            // fcvt.l.s rd, frs1, rm
                            // To a signed 64-bit integer, saturating.
                            loadFloats();
                            uint256 integer = toInteger(
                                unbox(frs1(instruction)), roundingMode(instruction), 64, 1, 23, 32
                            );
                            setRd(instruction, integer);
                            return nextPc(pc);
                        }
                    }
                    if (rs2Field == 0x03) {
                        if (roundingMode(instruction) <= RMM) {
                            // fcvt.lu.s rd, frs1, rm
                            // To an unsigned 64-bit integer, saturating.
                            loadFloats();
                            uint256 integer = toInteger(
                                unbox(frs1(instruction)), roundingMode(instruction), 64, 0, 23, 32
                            );
                            setRd(instruction, integer);
                            return nextPc(pc);
                        }
                    }
                }
            }
            if (funct7 < 0x70) {
                if (funct7 == 0x61) {
                    uint256 rs2Field = (instruction >> 20) & 0x1f;
                    if (rs2Field < 0x02) {
                        if (rs2Field == 0x00) {
                            if (roundingMode(instruction) <= RMM) {
                                // fcvt.w.d rd, frs1, rm
                                // To a signed 32-bit integer, saturating.
                                loadFloats();
                                uint256 integer = toInteger(
                                    frs1(instruction), roundingMode(instruction), 32, 1, 52, 64
                                );
                                setRd(instruction, signExtend(integer, 32));
                                return nextPc(pc);
                            }
                        }
                        if (rs2Field == 0x01) {
                            if (roundingMode(instruction) <= RMM) {
                                // fcvt.wu.d rd, frs1, rm
                                // To an unsigned 32-bit integer, saturating, sign-extended.
                                loadFloats();
                                uint256 integer = toInteger(
                                    frs1(instruction), roundingMode(instruction), 32, 0, 52, 64
                                );
                                setRd(instruction, signExtend(integer, 32));
                                return nextPc(pc);
                            }
                        }
                    }
                    if (rs2Field == 0x02) {
                        if (roundingMode(instruction) <= RMM) {
                            // fcvt.l.d rd, frs1, rm
                            // To a signed 64-bit integer, saturating.
                            loadFloats();
                            uint256 integer = toInteger(
                                frs1(instruction), roundingMode(instruction), 64, 1, 52, 64
                            );
                            setRd(instruction, integer);
                            return nextPc(pc);
                        }
                    }
                    if (rs2Field == 0x03) {
                        if (roundingMode(instruction) <= RMM) {
                            // fcvt.lu.d rd, frs1, rm
                            // To an unsigned 64-bit integer, saturating.
                            loadFloats();
                            uint256 integer = toInteger(
                                frs1(instruction), roundingMode(instruction), 64, 0, 52, 64
                            );
                            setRd(instruction, integer);
                            return nextPc(pc);
                        }
                    }
                }
                if (funct7 == 0x68) {
                    uint256 rs2Field = (instruction >> 20) & 0x1f;
                    if (rs2Field < 0x02) {
                        if (rs2Field == 0x00) {
                            if (roundingMode(instruction) <= RMM) {
                                // fcvt.s.w frd, rs1, rm
                                // From a signed 32-bit integer.
                                loadFloats();
                                uint256 result = fromInteger(
                                    signExtend(rs1(instruction), 32), roundingMode(instruction), 1, 23, 32
                                );
                                setFrd(instruction, (result & WORD) | 0xffffffff00000000);
                                return nextPc(pc);
                            }
                        }
                        if (rs2Field == 0x01) {
                            if (roundingMode(instruction) <= RMM) {
                                // fcvt.s.wu frd, rs1, rm
                                // From an unsigned 32-bit integer.
                                loadFloats();
                                uint256 result = fromInteger(
                                    rs1(instruction) & 0xffffffff, roundingMode(instruction), 0, 23, 32
                                );
                                setFrd(instruction, (result & WORD) | 0xffffffff00000000);
                                return nextPc(pc);
                            }
                        }
                    }
                    if (rs2Field == 0x02) {
                        if (roundingMode(instruction) <= RMM) {
                            // fcvt.s.l frd, rs1, rm
                            // From a signed 64-bit integer.
                            loadFloats();
                            uint256 result = fromInteger(
                                rs1(instruction), roundingMode(instruction), 1, 23, 32
                            );
                            setFrd(instruction, (result & WORD) | 0xffffffff00000000);
                            return nextPc(pc);
                        }
                    }
                    if (rs2Field == 0x03) {
                        if (roundingMode(instruction) <= RMM) {
                            // fcvt.s.lu frd, rs1, rm
                            // From an unsigned 64-bit integer.
                            loadFloats();
                            uint256 result = fromInteger(
                                rs1(instruction), roundingMode(instruction), 0, 23, 32
                            );
                            setFrd(instruction, (result & WORD) | 0xffffffff00000000);
                            return nextPc(pc);
                        }
                    }
                }
                if (funct7 == 0x69) {
                    uint256 rs2Field = (instruction >> 20) & 0x1f;
                    if (rs2Field < 0x02) {
                        if (rs2Field == 0x00) {
                            if (roundingMode(instruction) <= RMM) {
                                // fcvt.d.w frd, rs1, rm
                                // From a signed 32-bit integer, exactly.
                                loadFloats();
                                uint256 result = fromInteger(
                                    signExtend(rs1(instruction), 32), roundingMode(instruction), 1, 52, 64
                                );
                                setFrd(instruction, result & WORD);
                                return nextPc(pc);
                            }
                        }
                        if (rs2Field == 0x01) {
                            if (roundingMode(instruction) <= RMM) {
                                // fcvt.d.wu frd, rs1, rm
                                // From an unsigned 32-bit integer, exactly.
                                loadFloats();
                                uint256 result = fromInteger(
                                    rs1(instruction) & 0xffffffff, roundingMode(instruction), 0, 52, 64
                                );
                                setFrd(instruction, result & WORD);
                                return nextPc(pc);
                            }
                        }
                    }
                    if (rs2Field == 0x02) {
                        if (roundingMode(instruction) <= RMM) {
                            // fcvt.d.l frd, rs1, rm
                            // From a signed 64-bit integer.
                            loadFloats();
                            uint256 result = fromInteger(
                                rs1(instruction), roundingMode(instruction), 1, 52, 64
                            );
                            setFrd(instruction, result & WORD);
                            return nextPc(pc);
                        }
                    }
                    if (rs2Field == 0x03) {
                        if (roundingMode(instruction) <= RMM) {
                            // fcvt.d.lu frd, rs1, rm
                            // From an unsigned 64-bit integer.
                            loadFloats();
                            uint256 result = fromInteger(
                                rs1(instruction), roundingMode(instruction), 0, 52, 64
                            );
                            setFrd(instruction, result & WORD);
                            return nextPc(pc);
                        }
                    }
                }
            }
            if (funct7 < 0x78) {
                if (funct7 == 0x70) {
                    uint256 funct3 = (instruction >> 12) & 0x07;
                    if (funct3 == 0x00) {
                        if (instruction & 0x1f00000 == 0x00) {
                            // fmv.x.w rd, frs1
                            // The low 32 bits, sign-extended.
                            loadFloats();
                            setRd(instruction, signExtend(frs1(instruction), 32));
                            return nextPc(pc);
                        }
                    }
                    if (funct3 == 0x01) {
                        if (instruction & 0x1f00000 == 0x00) {
                            // fclass.s rd, frs1
                            // The class as a one-hot mask.
                            loadFloats();
                            uint256 mask = classify(unbox(frs1(instruction)), 23, 32);
                            setRd(instruction, mask);
                            return nextPc(pc);
                        }
                    }
                }
                if (funct7 == 0x71) {
                    uint256 funct3 = (instruction >> 12) & 0x07;
                    if (funct3 == 0x00) {
                        if (instruction & 0x1f00000 == 0x00) {
                            // fmv.x.d rd, frs1
                            // All 64 bits.
                            loadFloats();
                            setRd(instruction, frs1(instruction));
                            return nextPc(pc);
                        }
                    }
                    if (funct3 == 0x01) {
                        if (instruction & 0x1f00000 == 0x00) {
                            // fclass.d rd, frs1
                            // The class as a one-hot mask.
                            loadFloats();
                            uint256 mask = classify(frs1(instruction), 52, 64);
                            setRd(instruction, mask);
                            return nextPc(pc);
                        }
                    }
                }
            }
            if (funct7 == 0x78) {
                if (instruction & 0x1f07000 == 0x00) {
                    // fmv.w.x frd, rs1
                    // The low 32 bits as a binary32.
                    loadFloats();
                    setFrd(instruction, rs1(instruction) | 0xffffffff00000000);
                    return nextPc(pc);
                }
            }
            if (funct7 == 0x79) {
                if (instruction & 0x1f07000 == 0x00) {
                    // fmv.d.x frd, rs1
                    // All 64 bits.
                    loadFloats();
                    setFrd(instruction, rs1(instruction));
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

    /// @dev The third source register.
    function fieldRs3(uint256 instruction) private pure returns (uint256) {
        return instruction >> 27;
    }

    /// @dev The rounding mode.
    function roundingMode(uint256 instruction) private pure returns (uint256) {
        return (instruction >> 12) & 7;
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

    /// @dev The binary32 in a float register: the low half if the upper half is all ones, the canonical NaN
    /// otherwise.
    function unbox(uint256 boxed) private pure returns (uint256 x) {
        unchecked {
            bool valid = (boxed >> 32) == 0xffffffff;
            x = valid ? boxed & 0xffffffff : 0x7fc00000;
        }
    }

    /// @dev The bit pattern of positive infinity.
    function infinity(uint256 man, uint256 width) private pure returns (uint256 pattern) {
        unchecked {
            pattern = (1 << (width - 1)) - (1 << man);
        }
    }

    /// @dev The bit pattern without its sign.
    function magnitude(uint256 x, uint256 width) private pure returns (uint256 mag) {
        unchecked {
            mag = x & ((1 << (width - 1)) - 1);
        }
    }

    /// @dev Unpacks a finite number. `sig` is normalised to `man + 1` bits unless it is zero.
    function unpack(uint256 x, uint256 man, uint256 width)
        private
        pure
        returns (uint256 sign, uint256 exp, uint256 sig)
    {
        unchecked {
            uint256 fraction = x & ((1 << man) - 1);
            uint256 mag = magnitude(x, width);
            uint256 field = mag >> man;
            uint256 least = 8194 - (1 << (width - man - 2)) - man;
            if (field == 0) {
                uint256 up = man + 1 - bitLength(fraction);
                exp = fraction == 0 ? 4096 : least - up;
                sig = fraction << up;
            } else {
                exp = least + field - 1;
                sig = fraction | (1 << man);
            }
            sign = x >> (width - 1);
        }
    }

    /// @dev The exponent, sign and exact product of two finite numbers.
    function multiply(uint256 a, uint256 b, uint256 man, uint256 width)
        private
        pure
        returns (uint256 sign, uint256 exp, uint256 product)
    {
        unchecked {
            (uint256 signA, uint256 expA, uint256 sigA) = unpack(a, man, width);
            (uint256 signB, uint256 expB, uint256 sigB) = unpack(b, man, width);
            sign = signA ^ signB;
            exp = expA + expB - 8192;
            product = sigA * sigB;
        }
    }

    /// @dev `x >> count`, with the lowest bit set if any bit was lost ("jamming"). The result rounds like
    /// `x`, as long as the rounding point is at least two bits higher.
    function shiftRightJam(uint256 x, uint256 count) private pure returns (uint256 jammed) {
        unchecked {
            uint256 down = count < 127 ? count : 127;
            uint256 kept = x >> down;
            bool lost = (kept << down) != x;
            jammed = kept | toUint(lost);
        }
    }

    /// @dev Aligns a product (below 2^106) and an addend (below 2^53) to one exponent. The one with the
    /// larger exponent moves left as far as there is room, and only then the other one moves right. What is
    /// jammed therefore lies far below the rounding point.
    function align(uint256 expP, uint256 product, uint256 expC, uint256 addend)
        private
        pure
        returns (uint256 exp, uint256 p, uint256 c)
    {
        unchecked {
            if (expP < expC) {
                uint256 gap = expC - expP;
                uint256 up = gap < 72 ? gap : 72;
                p = shiftRightJam(product, gap - up);
                exp = expC - up;
                c = addend << up;
            } else {
                uint256 gap = expP - expC;
                uint256 up = gap < 19 ? gap : 19;
                c = shiftRightJam(addend, gap - up);
                exp = expP - up;
                p = product << up;
            }
        }
    }

    /// @dev The sum of two signed magnitudes. If they cancel, it is -0 when rounding down and +0 otherwise.
    function addSigned(uint256 rm, uint256 signA, uint256 a, uint256 signB, uint256 b)
        private
        pure
        returns (uint256 sign, uint256 sum)
    {
        unchecked {
            if (signA == signB) {
                sign = signA;
                sum = a + b;
            } else if (a == b) {
                sign = toUint(rm == 2);
                sum = 0;
            } else if (a < b) {
                sign = signB;
                sum = b - a;
            } else {
                sign = signA;
                sum = a - b;
            }
        }
    }

    /// @dev A product plus an addend, exact except for jamming.
    function addProduct(
        uint256 rm,
        uint256 signP,
        uint256 expP,
        uint256 product,
        uint256 signC,
        uint256 expC,
        uint256 addend
    )
        private
        pure
        returns (uint256 sign, uint256 exp, uint256 sum)
    {
        unchecked {
            uint256 high;
            uint256 low;
            (exp, high, low) = align(expP, product, expC, addend);
            (sign, sum) = addSigned(rm, signP, high, signC, low);
        }
    }

    /// @dev `a * b + c` before rounding. All three must be finite.
    function fused(uint256 a, uint256 b, uint256 c, uint256 rm, uint256 man, uint256 width)
        private
        pure
        returns (uint256 sign, uint256 exp, uint256 sum)
    {
        unchecked {
            (uint256 signP, uint256 expP, uint256 product) = multiply(a, b, man, width);
            (uint256 signC, uint256 expC, uint256 addend) = unpack(c, man, width);
            (sign, exp, sum) = addProduct(rm, signP, expP, product, signC, expC, addend);
        }
    }

    /// @dev Rounds `sig / 2^count` to an integer in mode `rm`; `sig` < 2^126.
    function roundShift(uint256 sign, uint256 sig, uint256 count, uint256 rm)
        private
        pure
        returns (uint256 rounded)
    {
        unchecked {
            uint256 down = count < 127 ? count : 127;
            uint256 floor = sig >> down;
            uint256 rest = sig - (floor << down);
            uint256 twice = rest << 1;
            uint256 unit = 1 << down;
            bool up =
                (rm == 0 && (unit < twice || (twice == unit && (floor & 1) == 1)))
                || (rm == 4 && (unit < twice || twice == unit))
                || (rm == 2 && sign == 1 && rest != 0)
                || (rm == 3 && sign != 1 && rest != 0);
            rounded = floor + toUint(up);
        }
    }

    /// @dev Rounds `(-1)^sign * sig * 2^(exp - BIAS)` to the format; `sig` < 2^126.
    function roundPack(uint256 sign, uint256 exp, uint256 sig, uint256 rm, uint256 man, uint256 width)
        private
        pure
        returns (uint256 packed)
    {
        unchecked {
            uint256 least = 8194 - (1 << (width - man - 2)) - man;
            uint256 fit = exp + bitLength(sig) - man - 1;
            uint256 lsb = fit < least ? least : fit;
            uint256 rounded = exp < lsb ? roundShift(sign, sig, lsb - exp, rm) : sig << (exp - lsb);
            uint256 inf = infinity(man, width);
            uint256 bits = rounded == 0 ? 0 : rounded + ((lsb - least) << man);
            uint256 finite;
            if (bits < inf) {
                finite = bits;
            } else {
                bool stay = rm == 1 || (rm == 2 && sign != 1) || (rm == 3 && sign == 1);
                finite = inf - toUint(stay);
            }
            packed = finite | (sign << (width - 1));
        }
    }

    /// @dev `a * b + c`, rounded once. All three must be finite.
    function fmaFinite(uint256 a, uint256 b, uint256 c, uint256 rm, uint256 man, uint256 width)
        private
        pure
        returns (uint256 result)
    {
        unchecked {
            (uint256 sign, uint256 exp, uint256 sum) = fused(a, b, c, rm, man, width);
            result = roundPack(sign, exp, sum, rm, man, width);
        }
    }

    /// @dev The bit pattern of the canonical NaN: positive and quiet, without payload.
    function canonicalNan(uint256 man, uint256 width) private pure returns (uint256 pattern) {
        unchecked {
            pattern = (1 << (width - 1)) - (1 << (man - 1));
        }
    }

    /// @dev `a * b + c` where at least one operand is infinite or NaN.
    function fmaSpecial(uint256 a, uint256 b, uint256 c, uint256 man, uint256 width)
        private
        pure
        returns (uint256 result)
    {
        unchecked {
            uint256 inf = infinity(man, width);
            uint256 magA = magnitude(a, width);
            uint256 magB = magnitude(b, width);
            uint256 magC = magnitude(c, width);
            uint256 productSign = (a ^ b) >> (width - 1);
            bool productInfinite = magA == inf || magB == inf;
            result =
                inf < magA
                || inf < magB
                || inf < magC
                || (productInfinite && (magA == 0 || magB == 0))
                || (productInfinite && magC == inf && productSign != (c >> (width - 1)))
                ? canonicalNan(man, width)
                : productInfinite ? inf | (productSign << (width - 1)) : c;
        }
    }

    /// @dev `a * b + c`, rounded once.
    function multiplyAdd(uint256 a, uint256 b, uint256 c, uint256 rm, uint256 man, uint256 width)
        private
        pure
        returns (uint256 result)
    {
        unchecked {
            uint256 inf = infinity(man, width);
            uint256 magA = magnitude(a, width);
            uint256 magB = magnitude(b, width);
            uint256 magC = magnitude(c, width);
            result = magA < inf && magB < inf && magC < inf
                ? fmaFinite(a, b, c, rm, man, width)
                : fmaSpecial(a, b, c, man, width);
        }
    }

    /// @dev The jammed quotient of two significands. The dividend is extended by `man + 4` bits, so the
    /// quotient has at least `man + 4` bits.
    function divideJam(uint256 sigA, uint256 sigB, uint256 man) private pure returns (uint256 jammed) {
        unchecked {
            uint256 dividend = sigA << (man + 4);
            uint256 quotient = dividend / sigB;
            bool exact = quotient * sigB == dividend;
            jammed = quotient | toUint(!exact);
        }
    }

    /// @dev `a / b`. Both must be finite, and `b` nonzero.
    function divideFinite(uint256 a, uint256 b, uint256 rm, uint256 man, uint256 width)
        private
        pure
        returns (uint256 result)
    {
        unchecked {
            (uint256 signA, uint256 expA, uint256 sigA) = unpack(a, man, width);
            (uint256 signB, uint256 expB, uint256 sigB) = unpack(b, man, width);
            uint256 quotient = divideJam(sigA, sigB, man);
            result = roundPack(signA ^ signB, expA + 8192 - expB - man - 4, quotient, rm, man, width);
        }
    }

    /// @dev `a / b` where an operand is zero, infinite or NaN.
    function divideSpecial(uint256 a, uint256 b, uint256 man, uint256 width)
        private
        pure
        returns (uint256 result)
    {
        unchecked {
            uint256 inf = infinity(man, width);
            uint256 magA = magnitude(a, width);
            uint256 magB = magnitude(b, width);
            if (inf < magA || inf < magB || (magA == inf && magB == inf) || (magA == 0 && magB == 0)) {
                result = canonicalNan(man, width);
            } else {
                uint256 sign = (a ^ b) >> (width - 1);
                result = (magA == inf || magB == 0 ? inf : 0) | (sign << (width - 1));
            }
        }
    }

    /// @dev `a / b`, rounded once.
    function divide(uint256 a, uint256 b, uint256 rm, uint256 man, uint256 width)
        private
        pure
        returns (uint256 result)
    {
        unchecked {
            uint256 inf = infinity(man, width);
            uint256 magA = magnitude(a, width);
            uint256 magB = magnitude(b, width);
            result = magA < inf && magB < inf && magA != 0 && magB != 0
                ? divideFinite(a, b, rm, man, width)
                : divideSpecial(a, b, man, width);
        }
    }

    /// @dev One step of Newton's method for the square root of `x`.
    function newton(uint256 x, uint256 estimate) private pure returns (uint256 next) {
        unchecked {
            next = (estimate + (x / estimate)) >> 1;
        }
    }

    /// @dev The integer part of the square root of `x`, 2^108 <= x < 2^110. Newton's method starts at 2^55,
    /// above the root. After seven steps the estimate is at most one too high.
    function integerSqrt(uint256 x) private pure returns (uint256 root) {
        unchecked {
            uint256 estimate = newton(
                x, newton(x, newton(x, newton(x, newton(x, newton(x, newton(x, 0x80000000000000))))))
            );
            root = estimate - toUint(x < estimate * estimate);
        }
    }

    /// @dev The square root of a positive finite number.
    function squareRootFinite(uint256 a, uint256 rm, uint256 man, uint256 width)
        private
        pure
        returns (uint256 result)
    {
        unchecked {
            (, uint256 exp, uint256 sig) = unpack(a, man, width);
            uint256 up = 108 - man + ((exp + man) & 1);
            uint256 radicand = sig << up;
            uint256 root = integerSqrt(radicand);
            uint256 jammed = root | toUint(root * root != radicand);
            result = roundPack(0, (exp + 8192 - up) >> 1, jammed, rm, man, width);
        }
    }

    /// @dev The square root of `a`, rounded once. The square root of -0 is -0.
    function squareRoot(uint256 a, uint256 rm, uint256 man, uint256 width)
        private
        pure
        returns (uint256 result)
    {
        unchecked {
            uint256 inf = infinity(man, width);
            uint256 mag = magnitude(a, width);
            if (mag == 0 || a == inf) {
                result = a;
            } else {
                result = a < inf ? squareRootFinite(a, rm, man, width) : canonicalNan(man, width);
            }
        }
    }

    /// @dev 1 if `x` is a NaN.
    function isNan(uint256 x, uint256 man, uint256 width) private pure returns (uint256 nan) {
        unchecked {
            uint256 inf = infinity(man, width);
            uint256 mag = magnitude(x, width);
            nan = toUint(inf < mag);
        }
    }

    /// @dev A rank that orders numbers, with -0 just below +0.
    function order(uint256 x, uint256 width) private pure returns (uint256 rank) {
        unchecked {
            uint256 signBit = 1 << (width - 1);
            rank = x < signBit ? x + signBit : signBit + signBit - 1 - x;
        }
    }

    /// @dev The smaller number, or the larger one if `larger` is 1. -0 is below +0, and a number wins over a
    /// NaN.
    function minMax(uint256 a, uint256 b, uint256 larger, uint256 man, uint256 width)
        private
        pure
        returns (uint256 result)
    {
        unchecked {
            uint256 nanA = isNan(a, man, width);
            uint256 nanB = isNan(b, man, width);
            if ((nanA & nanB) == 1) {
                result = canonicalNan(man, width);
            } else {
                uint256 rankA = order(a, width);
                uint256 rankB = order(b, width);
                uint256 first = rankA < rankB ? 1 - larger : larger;
                result = nanB == 1 || (nanA == 0 && first == 1) ? a : b;
            }
        }
    }

    /// @dev The largest magnitude of an integer with `bits` bits and this sign.
    function integerLimit(uint256 sign, uint256 bits, uint256 signed) private pure returns (uint256 limit) {
        unchecked {
            uint256 range = 1 << (bits - signed);
            limit = sign == 1 ? (signed == 1 ? range : 0) : range - 1;
        }
    }

    /// @dev Rounds a number to an integer of `bits` bits, signed if `signed` is 1. The result saturates, and
    /// a NaN counts as positive infinity. It is returned modulo 2^64.
    function toInteger(uint256 x, uint256 rm, uint256 bits, uint256 signed, uint256 man, uint256 width)
        private
        pure
        returns (uint256 integer)
    {
        unchecked {
            uint256 nan = isNan(x, man, width);
            (uint256 signX, uint256 exp, uint256 sig) = unpack(x, man, width);
            uint256 sign = signX & (1 - nan);
            uint256 whole = exp < 8192
                ? roundShift(sign, sig, 8192 - exp, rm)
                : sig << (exp - 8192 < 66 ? exp - 8192 : 66);
            uint256 limit = integerLimit(sign, bits, signed);
            uint256 saturated = whole < limit ? whole : limit;
            integer = sign == 1 && saturated != 0 ? 0x10000000000000000 - saturated : saturated;
        }
    }

    /// @dev The class of `x` as a one-hot mask: -inf, -normal, -subnormal, -0, +0, +subnormal, +normal, +inf,
    /// signalling NaN, quiet NaN.
    function classify(uint256 x, uint256 man, uint256 width) private pure returns (uint256 mask) {
        unchecked {
            uint256 inf = infinity(man, width);
            uint256 mag = magnitude(x, width);
            if (inf < mag) {
                mask = 256 << ((mag >> (man - 1)) & 1);
            } else {
                uint256 distance = toUint(mag != 0) + toUint(mag >= (1 << man)) + toUint(mag == inf);
                mask = 1 << (x == mag ? uint256(4 + distance) : 3 - distance);
            }
        }
    }

    /// @dev 1 if neither is a NaN and they are equal. Zeros are equal.
    function compareEqual(uint256 a, uint256 b, uint256 man, uint256 width)
        private
        pure
        returns (uint256 holds)
    {
        unchecked {
            uint256 nan = isNan(a, man, width);
            uint256 zeros = magnitude(a | b, width);
            holds = toUint((a == b && nan == 0) || zeros == 0);
        }
    }

    /// @dev 1 if neither is a NaN and `a < b`. If `or_equal` is 1, also if they are equal. Zeros are equal.
    function compareLess(uint256 a, uint256 b, uint256 orEqual, uint256 man, uint256 width)
        private
        pure
        returns (uint256 holds)
    {
        unchecked {
            uint256 nanA = isNan(a, man, width);
            uint256 nanB = isNan(b, man, width);
            uint256 equal = compareEqual(a, b, man, width);
            uint256 rankA = order(a, width);
            uint256 rankB = order(b, width);
            holds = toUint((nanA | nanB) == 0 && (equal == 1 ? orEqual : toUint(rankA < rankB)) == 1);
        }
    }

    /// @dev Rounds the 64-bit integer `x` to the format; two's complement if `signed` is 1.
    function fromInteger(uint256 x, uint256 rm, uint256 signed, uint256 man, uint256 width)
        private
        pure
        returns (uint256 result)
    {
        unchecked {
            uint256 sign = (x >> 63) & signed;
            uint256 sig = sign == 1 ? 0x10000000000000000 - x : x;
            result = roundPack(sign, 8192, sig, rm, man, width);
        }
    }

    /// @dev Rounds `x` from one format to the format of `to_man` and `to_width`.
    function convert(uint256 x, uint256 rm, uint256 man, uint256 width, uint256 toMan, uint256 toWidth)
        private
        pure
        returns (uint256 result)
    {
        unchecked {
            uint256 inf = infinity(man, width);
            uint256 mag = magnitude(x, width);
            if (mag < inf) {
                (uint256 sign, uint256 exp, uint256 sig) = unpack(x, man, width);
                result = roundPack(sign, exp, sig, rm, toMan, toWidth);
            } else if (mag == inf) {
                uint256 toInf = infinity(toMan, toWidth);
                result = toInf | ((x >> (width - 1)) << (toWidth - 1));
            } else {
                result = canonicalNan(toMan, toWidth);
            }
        }
    }
}
