// SPDX-License-Identifier: MIT OR Apache-2.0
// Generated from the semantics of the instruction set: do not edit.
pragma solidity ^0.8.24;

import {IStepVerifier} from "./IStepVerifier.sol";

/// @title Verifies one step of an {{machine}} machine.
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
    uint256 private constant EXTENSIONS = {{extensions}};
    /// The mask of a machine word.
    uint256 private constant WORD = 0xffffffffffffffff;
    /// The lower half of each of 16 bytes.
    uint256 private constant HALF_BYTES = 0x0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f;
    /// The binary logarithm of the bytes in a leaf.
    uint256 private constant LEAF_BITS = 5;
{{constants}}
    // ---- Layout of this contract's memory

{{layout}}
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
            bool trapped = status - TRAPPED <= {{last_trap}};
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
{{floats}}
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

{{execute}}
    // ---- Fields of an instruction word

{{fields}}
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
{{library}}}
