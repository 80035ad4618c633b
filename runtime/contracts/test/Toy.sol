// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.24;

import {IStepVerifier} from "../src/IStepVerifier.sol";
import {BigStepEntry, Game, IDisputeGame, Model, Opening, Pick, Subtree} from "../src/Interfaces.sol";
import {Naive} from "./Naive.sol";

// A machine so small that games about it can be played in Solidity. Its memory is 4 KiB, of which the input is 64 bytes
// at 0, the output 32 bytes at 64, and nothing else is ever used. Each step hashes input, output and pc into the output.
// A run is four big steps of four steps each.

/// @notice A run: the input's root, and the output leaf after every step of all big steps, lies included.
struct Run {
    bytes32 inputRoot;
    bytes32[17] leaves;
}

/// @title Executes a step of the toy machine. The witness is the state, the input's root and the output's leaf.
contract ToyVerifier is IStepVerifier {
    constructor(uint256 memoryBits, uint64, uint64) {
        if (memoryBits != Toy.MEMORY_BITS) revert InvalidProfile();
    }

    function step(bytes32 preStateRoot, bytes calldata witness) external pure returns (bytes32) {
        if (witness.length < 113 + 64) revert WitnessLength(113 + 64, witness.length);
        bytes calldata state = witness[:witness.length - 64];
        if (keccak256(state) != preStateRoot) revert StateMismatch(preStateRoot, keccak256(state));
        if (state[96] != 0) return preStateRoot;
        (bytes32 inputRoot, bytes32 leaf) = abi.decode(witness[state.length:], (bytes32, bytes32));
        bytes32 memoryRoot = bytes32(state[32:64]);
        if (Toy.memoryRoot(inputRoot, leaf) != memoryRoot) revert ProofMismatch(memoryRoot, 0);
        // The program counter comes last, and has one byte unless it is 0.
        uint64 pc = uint8(state[112]) == 0 ? 0 : uint8(state[state.length - 1]);
        memoryRoot = Toy.memoryRoot(inputRoot, Toy.next(inputRoot, leaf, pc));
        return keccak256(Toy.stateOf(memoryRoot, pc + 4, (pc + 4) % 16 == 0 ? 1 : 0));
    }
}

/// @title What is true of the toy machine, and how it is played about.
library Toy {
    uint8 internal constant MEMORY_BITS = 12;
    uint64 internal constant BIG_STEPS = 4;
    uint64 internal constant STEPS = 4;
    bytes32 internal constant CODE_ROOT = keccak256("the toy's code");
    /// Levels between input or output, which are one above the leaves, and the root.
    uint256 private constant ABOVE = 6;

    // ---- The machine

    function model(address verifier) internal pure returns (Model memory) {
        return Model({
            codeRoot: CODE_ROOT,
            memoryRoot: 0,
            scheduleRoot: Naive.root(schedule()),
            bigSteps: BIG_STEPS,
            memoryBits: MEMORY_BITS,
            scratchBits: 5,
            input: Subtree({level: 1, index: 0}),
            output: Subtree({level: 1, index: 1}),
            verifier: verifier
        });
    }

    function schedule() private pure returns (bytes32[] memory leaves) {
        leaves = new bytes32[](BIG_STEPS);
        for (uint64 i = 0; i < BIG_STEPS; i++) {
            leaves[i] = keccak256(abi.encodePacked(16 * i, STEPS));
        }
    }

    /// The output's leaf after a step.
    function next(bytes32 inputRoot, bytes32 leaf, uint64 pc) internal pure returns (bytes32) {
        return keccak256(abi.encode(inputRoot, leaf, pc));
    }

    /// A run that is true up to step `lieAt`, which leaves another bit behind; 0 for a true one.
    function run(bytes32 inputRoot, uint256 lieAt) internal pure returns (Run memory made) {
        made.inputRoot = inputRoot;
        for (uint64 i = 0; i < BIG_STEPS * STEPS; i++) {
            made.leaves[i + 1] = next(inputRoot, made.leaves[i], 4 * i);
            if (i + 1 == lieAt) made.leaves[i + 1] ^= bytes32(uint256(1));
        }
    }

    /// The output's bytes: a leaf is little-endian.
    function output(Run memory made) internal pure returns (bytes memory data) {
        data = new bytes(32);
        for (uint256 i = 0; i < 32; i++) {
            data[i] = made.leaves[16][31 - i];
        }
    }

    function outputRoot(Run memory made) internal pure returns (bytes32) {
        return Naive.node(made.leaves[16], 0);
    }

    /// Memory is zero but for input and output, which lie side by side.
    function memoryRoot(bytes32 inputRoot, bytes32 leaf) internal pure returns (bytes32) {
        return Naive.node(lowerHalf(inputRoot, leaf), 0);
    }

    function lowerHalf(bytes32 inputRoot, bytes32 leaf) private pure returns (bytes32 root) {
        root = Naive.node(inputRoot, Naive.node(leaf, 0));
        for (uint256 i = 0; i < 4; i++) {
            root = Naive.node(root, 0);
        }
    }

    function state(Run memory made, uint64 bigStep, uint64 step) internal pure returns (bytes memory) {
        bytes32 memory_ = memoryRoot(made.inputRoot, made.leaves[4 * bigStep + step]);
        return stateOf(memory_, 16 * bigStep + 4 * step, step == STEPS ? 1 : 0);
    }

    /// Of all registers only x2 isn't zero; it has two bytes. The program counter has one, or none if it is 0.
    function stateOf(bytes32 memory_, uint64 pc, uint8 status) internal pure returns (bytes memory) {
        bytes32 floats = keccak256(new bytes(16));
        uint128 lengths = (uint128(2) << 120) | (pc == 0 ? 0 : 1);
        bytes memory last = pc == 0 ? bytes("") : abi.encodePacked(uint8(pc));
        return abi.encodePacked(CODE_ROOT, memory_, floats, status, lengths, uint16(1) << MEMORY_BITS, last);
    }

    // ---- The player, who tells the truth if its run is true

    /// The first move.
    function opening(Run memory made, uint256 arity) internal pure returns (Opening memory move) {
        move.inputSiblings = new bytes32[](ABOVE);
        move.claims = claims(made, arity, false, 0, 0, BIG_STEPS);
        move.output = outputRoot(made);
        move.outputSiblings = new bytes32[](ABOVE);
        move.outputSiblings[0] = made.inputRoot;
    }

    /// The calldata of the answer to the opponent's claims; empty if the player finds nothing wrong with them.
    function reply(Run memory made, uint256 id, Game memory game, Model memory about, bytes32[] memory theirs)
        internal
        pure
        returns (bytes memory)
    {
        uint256 part = firstWrong(made, game, theirs);
        if (part == 0) return "";
        Pick memory picked = pick(theirs, part);
        (uint64 lo, uint64 hi) = (boundary(game, part - 1), boundary(game, part));
        if (hi - lo > 1) {
            bytes32[] memory ours = claims(made, game.arity, game.inSteps, game.bigStep, lo, hi);
            return abi.encodeCall(IDisputeGame.dissect, (id, game, picked, ours));
        }
        if (!game.inSteps) {
            return abi.encodeCall(IDisputeGame.enter, (id, game, about, picked, entry(made, lo, game.arity)));
        }
        bytes memory witness =
            bytes.concat(state(made, game.bigStep, lo), made.inputRoot, made.leaves[4 * game.bigStep + lo]);
        return abi.encodeCall(IDisputeGame.prove, (id, game, about, picked, witness));
    }

    /// The first part, counted from 1, that ends otherwise than in this run; 0 if there is none.
    function firstWrong(Run memory made, Game memory game, bytes32[] memory theirs)
        internal
        pure
        returns (uint256)
    {
        for (uint256 part = 1; part <= theirs.length; part++) {
            bytes32 ours = rootAt(made, game.inSteps, game.bigStep, boundary(game, part));
            if (ours != theirs[part - 1]) return part;
        }
        return 0;
    }

    function pick(bytes32[] memory theirs, uint256 part) internal pure returns (Pick memory picked) {
        picked.part = uint16(part);
        if (part > 1) {
            picked.begin = theirs[part - 2];
            picked.beginSiblings = Naive.siblings(theirs, part - 2);
        }
        picked.rejected = theirs[part - 1];
        picked.rejectedSiblings = Naive.siblings(theirs, part - 1);
    }

    function entry(Run memory made, uint64 bigStep, uint256 arity)
        internal
        pure
        returns (BigStepEntry memory into)
    {
        into.entry = 16 * bigStep;
        into.bound = STEPS;
        into.scheduleSiblings = Naive.siblings(schedule(), bigStep);
        into.endState = state(made, bigStep, STEPS);
        // Scratch memory is the last leaf; all memory beside it is in the other half.
        into.scratchSiblings = new bytes32[](7);
        into.scratchSiblings[6] = lowerHalf(made.inputRoot, made.leaves[4 * bigStep + STEPS]);
        into.claims = claims(made, arity, true, bigStep, 0, STEPS);
    }

    function claims(Run memory made, uint256 arity, bool inSteps, uint64 bigStep, uint64 lo, uint64 hi)
        internal
        pure
        returns (bytes32[] memory roots)
    {
        uint256 count = hi - lo < arity ? hi - lo : arity;
        roots = new bytes32[](count);
        for (uint256 i = 1; i <= count; i++) {
            roots[i - 1] = rootAt(made, inSteps, bigStep, uint64(lo + (hi - lo) * i / count));
        }
    }

    function boundary(Game memory game, uint256 part) private pure returns (uint64) {
        uint256 units = game.hi - game.lo;
        uint256 count = units < game.arity ? units : game.arity;
        return uint64(game.lo + units * part / count);
    }

    function rootAt(Run memory made, bool inSteps, uint64 bigStep, uint64 place)
        private
        pure
        returns (bytes32)
    {
        if (inSteps) return keccak256(state(made, bigStep, place));
        return memoryRoot(made.inputRoot, made.leaves[4 * place]);
    }
}
