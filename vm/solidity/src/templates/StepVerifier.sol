// SPDX-License-Identifier: MIT OR Apache-2.0
// Generated from the semantics of the instruction set: do not edit.
pragma solidity ^0.8.24;

import {IStepVerifier} from "./IStepVerifier.sol";

/// @title Verifies one step of an {{machine}} machine.
/// @notice The contract has three parts: the machine's state, with proofs of what is read from it; the
/// instructions; and the arithmetic that they use. The last two are printed from the code that the
/// interpreter runs, names included.
/// @dev A machine word is a number below 2^64 in a `uint256`. Nothing here can overflow 256 bits, so all
/// arithmetic is unchecked. The state is kept in memory in the form in which it is hashed, and is changed in
/// place.
contract StepVerifier is IStepVerifier {
    // ---- Numbers

    /// The extensions that this contract executes.
    uint256 private constant EXTENSIONS = {{extensions}};
    /// The mask of a machine word.
    uint256 private constant WORD = 0xffffffffffffffff;
    /// The binary logarithm of the bytes in a leaf.
    uint256 private constant LEAF_BITS = 5;
{{constants}}
    // ---- Layout of this contract's memory. A field shorter than 32 bytes is given by the 32 bytes that end
    // with it, so that it is the low bits of a word.

{{layout}}
    /// @inheritdoc IStepVerifier
    function step(bytes32 preStateRoot, uint256 machine, bytes calldata witness)
        external
        pure
        returns (bytes32 postStateRoot)
    {
        loadMachine(machine);
        loadState(preStateRoot, witness);
        if (wordAt(STATUS) & 0xff == RUNNING) {
            uint256 pc = wordAt(PC) & WORD;
            setField(PC, execute(pc));
        }
        requireAllRead(witness.length);
        return stateRoot();
    }

    /// @dev Executes the instruction at `pc` and returns the next program counter.
    function execute(uint256 pc) private pure returns (uint256) {
        if (!inCode(pc)) return trap(INSTRUCTION_FAULT, pc);
        if (pc & 3 != 0) return trap(INSTRUCTION_MISALIGNED, pc);
        return dispatch(fetch(pc), pc);
    }

    // ---- State

    /// @dev Unpacks the machine and refuses one that cannot exist or has other extensions.
    function loadMachine(uint256 machine) private pure {
        unchecked {
            uint256 memoryBits = (machine >> 128) & 0xff;
            uint256 codeBase = (machine >> 64) & WORD;
            uint256 codeSize = machine & WORD;
            bool memoryValid = memoryBits >= {{min_memory_bits}} && memoryBits <= {{max_memory_bits}};
            bool codeValid = codeSize != 0 && (codeSize | codeBase) & 31 == 0 && codeBase + codeSize <= WORD;
            if (!memoryValid || !codeValid || machine >> 136 != EXTENSIONS) revert InvalidMachine();
            uint256 codeDepth = bitLength(codeSize / 32 - 1);
            assembly ("memory-safe") {
                mstore(MEMORY_BITS, memoryBits)
                mstore(CODE_BASE, codeBase)
                mstore(CODE_SIZE, codeSize)
                mstore(CODE_DEPTH, codeDepth)
            }
        }
    }

    /// @dev The 32 bytes at `place` in this contract's memory.
    function wordAt(uint256 place) private pure returns (uint256 value) {
        assembly ("memory-safe") {
            value := mload(place)
        }
    }

    /// @dev Replaces the low 64 bits of the 32 bytes at `place` in this contract's memory.
    function setField(uint256 place, uint256 value) private pure {
        assembly ("memory-safe") {
            mstore(place, or(and(mload(place), not(WORD)), value))
        }
    }

    /// @dev Copies the state from the witness and checks its root.
    function loadState(bytes32 preStateRoot, bytes calldata witness) private pure {
        if (witness.length < STATE_SIZE) revert WitnessLength(STATE_SIZE, witness.length);
        assembly ("memory-safe") {
            mstore(0x40, FLOATS_END)
            mstore(CURSOR, add(witness.offset, STATE_SIZE))
            mstore(WITNESS_START, witness.offset)
            mstore(WITNESS_END, add(witness.offset, witness.length))
            calldatacopy(STATE, witness.offset, STATE_SIZE)
        }
        bytes32 given = stateRoot();
        if (given != preStateRoot) revert StateMismatch(preStateRoot, given);
        uint256 status = wordAt(STATUS) & 0xff;
        bool trapped = status >= TRAPPED && status <= TRAPPED + {{last_trap}};
        if (status != RUNNING && status != EXITED && !trapped) revert InvalidStatus(status);
    }

    function stateRoot() private pure returns (bytes32 root) {
        assembly ("memory-safe") {
            root := keccak256(STATE, STATE_SIZE)
        }
    }

    /// @dev Stops the machine at this instruction.
    function stop(uint256 status, uint256 pc) private pure returns (uint256) {
        assembly ("memory-safe") {
            mstore8(add(STATUS, 31), status)
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

    /// @dev The integer register `index`; x0 is always 0.
    function register(uint256 index) private pure returns (uint256 value) {
        assembly ("memory-safe") {
            value := mul(and(mload(add(REGISTERS, shl(3, index))), WORD), iszero(iszero(index)))
        }
    }

    function rs1(uint256 instruction) private pure returns (uint256) {
        return register(fieldRs1(instruction));
    }

    function rs2(uint256 instruction) private pure returns (uint256) {
        return register(fieldRs2(instruction));
    }

    /// @dev Writes the destination register; writes to x0 are ignored.
    function setRd(uint256 instruction, uint256 value) private pure {
        unchecked {
            uint256 index = fieldRd(instruction);
            if (index != 0) setField(REGISTERS + 8 * index, value);
        }
    }
{{floats}}
    // ---- Memory and code

    function inCode(uint256 location) private pure returns (bool) {
        unchecked {
            return location - wordAt(CODE_BASE) < wordAt(CODE_SIZE);
        }
    }

    /// @dev Whether an aligned load may read this address: memory or code.
    function readable(uint256 location) private pure returns (bool) {
        return location >> wordAt(MEMORY_BITS) == 0 || inCode(location);
    }

    /// @dev Whether an aligned store may write this address: memory that is not hidden by code.
    function writable(uint256 location) private pure returns (bool) {
        return location >> wordAt(MEMORY_BITS) == 0 && !inCode(location);
    }

    /// @dev The instruction at an address of the code, with its proof checked.
    function fetch(uint256 pc) private pure returns (uint256) {
        return (codeLeaf(pc) >> (8 * (pc & 31))) & 0xffffffff;
    }

    /// @dev `size` bytes at an address, with their proof checked.
    function load(uint256 location, uint256 size) private pure returns (uint256) {
        uint256 leaf = inCode(location) ? codeLeaf(location) : memoryLeaf(location);
        return (leaf >> (8 * (location & 31))) & ((1 << (8 * size)) - 1);
    }

    /// @dev Stores `size` bytes at an address: checks the proof of the old leaf, then hashes the new leaf up
    /// the same path.
    function store(uint256 location, uint256 size, uint256 value) private pure {
        unchecked {
            uint256 proof = wordAt(CURSOR);
            uint256 leaf = memoryLeaf(location);
            uint256 shift = 8 * (location & 31);
            uint256 mask = (1 << (8 * size)) - 1;
            leaf = (leaf & ~(mask << shift)) | ((value & mask) << shift);
            (uint256 root,,) = fold(leaf, location >> LEAF_BITS, wordAt(MEMORY_BITS) - LEAF_BITS, proof + 32);
            assembly ("memory-safe") {
                mstore(MEMORY_ROOT, root)
            }
        }
    }

    function codeLeaf(uint256 location) private pure returns (uint256) {
        unchecked {
            return provenLeaf(wordAt(CODE_ROOT), (location - wordAt(CODE_BASE)) >> LEAF_BITS, wordAt(CODE_DEPTH));
        }
    }

    function memoryLeaf(uint256 location) private pure returns (uint256) {
        unchecked {
            return provenLeaf(wordAt(MEMORY_ROOT), location >> LEAF_BITS, wordAt(MEMORY_BITS) - LEAF_BITS);
        }
    }

    // ---- Proofs

    /// @dev Reads and checks the next proof in the witness: that of leaf `index` in the tree with this root.
    function provenLeaf(uint256 root, uint256 index, uint256 depth) private pure returns (uint256 leaf) {
        unchecked {
            uint256 proof = wordAt(CURSOR);
            assembly ("memory-safe") {
                leaf := calldataload(proof)
            }
            (uint256 given, uint256 end, bool canonical) = fold(leaf, index, depth, proof + 32);
            advance(end);
            if (!canonical) revert ProofNotCanonical();
            if (given != root) revert ProofMismatch(bytes32(root), bytes32(given));
        }
    }

    /// @dev Hashes a leaf up to the root. `proof` points to the mask of the non-zero siblings, which follow
    /// it; `end` points after them.
    function fold(uint256 leaf, uint256 index, uint256 depth, uint256 proof)
        private
        pure
        returns (uint256 root, uint256 end, bool canonical)
    {
        assembly ("memory-safe") {
            root := leaf
            let mask := shr(192, calldataload(proof))
            canonical := iszero(shr(depth, mask))
            end := add(proof, 8)
            for {} depth { depth := sub(depth, 1) } {
                let sibling := 0
                if and(mask, 1) {
                    sibling := calldataload(end)
                    end := add(end, 32)
                    if iszero(sibling) { canonical := 0 }
                }
                // The parent of two zeros is zero.
                if or(root, sibling) {
                    let place := shl(5, and(index, 1))
                    mstore(place, root)
                    mstore(xor(place, 32), sibling)
                    root := keccak256(0, 64)
                }
                mask := shr(1, mask)
                index := shr(1, index)
            }
        }
    }

    /// @dev Records that the witness has been read up to `end`.
    function advance(uint256 end) private pure {
        uint256 start = wordAt(WITNESS_START);
        uint256 limit = wordAt(WITNESS_END);
        if (end > limit) revert WitnessLength(end - start, limit - start);
        assembly ("memory-safe") {
            mstore(CURSOR, end)
        }
    }

    /// @dev The witness must have no bytes that the step does not read.
    function requireAllRead(uint256 given) private pure {
        unchecked {
            uint256 left = wordAt(WITNESS_END) - wordAt(CURSOR);
            if (left != 0) revert WitnessLength(given - left, given);
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
