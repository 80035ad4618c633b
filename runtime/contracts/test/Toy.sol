// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.24;

import {IStepVerifier} from "../src/IStepVerifier.sol";
import {Game, IDisputeGame, Model, Pick, Program} from "../src/Interfaces.sol";
import {Naive} from "./Naive.sol";

// A machine so small that games about it can be played in Solidity. Its memory is 4 KiB, of which these
// leaves are used: 0 and 1 are an input, 2 is an output, 4 has the weights, and 5 is a state: an input that
// changes in place and is an output too. Each step hashes input, output, state and pc into output and state.
// A big step is four steps.

/// @notice The order of a program's big steps, and one leaf of the schedule whose bound is a step too small.
struct Plan {
    uint256 prologue;
    uint256 period;
    uint256 epilogue;
    uint256 least;
    uint256 most;
    /// `Toy.NONE` if all bounds are large enough.
    uint256 short;
}

/// @notice What somebody claims to have run.
struct Run {
    Plan plan;
    bytes32 inputRoot;
    /// The leaf of the schedule for each big step.
    uint256[] order;
    /// The output's leaf after every step of all big steps, lies included.
    bytes32[] leaves;
    /// The same for the state.
    bytes32[] states;
    /// Memory is void after this many big steps; `Toy.NONE` if it never is.
    uint256 voidFrom;
    /// A liar's memory is there again after this many; otherwise `Toy.NONE`.
    uint256 backFrom;
}

/// @notice A game at the moment of a move: its players and what the last event showed.
struct Turn {
    uint256 id;
    address asserter;
    address challenger;
    Game game;
    bytes32 start;
    bytes32[] claims;
}

/// @notice What a game's position says.
struct Position {
    bool asserterMoves;
    bool inSteps;
    uint256 asserterClock;
    uint256 challengerClock;
    uint256 since;
    uint256 place;
    uint256 lo;
    uint256 hi;
}

/// @title Executes a step of the toy machine. The witness is the machine's state, the input's root, and the
/// leaves of output and state.
contract ToyVerifier is IStepVerifier {
    function step(bytes32 preStateRoot, uint256 machine, bytes calldata witness)
        external
        pure
        returns (bytes32)
    {
        if (machine != Toy.MACHINE) revert InvalidMachine();
        if (witness.length < 113 + 96) revert WitnessLength(113 + 96, witness.length);
        bytes calldata state = witness[:witness.length - 96];
        if (keccak256(state) != preStateRoot) revert StateMismatch(preStateRoot, keccak256(state));
        if (state[96] != 0) return preStateRoot;
        (bytes32 inputRoot, bytes32 leaf, bytes32 its) =
            abi.decode(witness[state.length:], (bytes32, bytes32, bytes32));
        bytes32 memoryRoot = bytes32(state[32:64]);
        if (Toy.memoryRoot(inputRoot, leaf, its) != memoryRoot) revert ProofMismatch(memoryRoot, 0);
        // The program counter comes last, and has one byte unless it is 0.
        uint64 pc = uint8(state[112]) == 0 ? 0 : uint8(state[state.length - 1]);
        (leaf, its) = Toy.next(inputRoot, leaf, its, pc);
        return
            keccak256(Toy.stateOf(Toy.memoryRoot(inputRoot, leaf, its), pc + 4, (pc + 4) % 16 == 0 ? 1 : 0));
    }
}

/// @title The toy machine: its runs, and players who act on them.
library Toy {
    uint256 internal constant STEPS = 4;
    uint256 internal constant NONE = type(uint256).max;
    uint32 internal constant EXTENSIONS = 5;
    uint256 internal constant MEMORY_BITS = 12;
    uint256 internal constant SCRATCH_BITS = 5;
    uint256 internal constant MACHINE = uint256(EXTENSIONS) << 136 | MEMORY_BITS << 128 | 0x1000 << 64 | 64;
    uint256 internal constant INPUT_BYTES = 40;
    uint256 internal constant OUTPUT_BYTES = 32;
    uint256 internal constant STATE_BYTES = 32;
    /// Input and output are of one level: at index 0 and at index 1. The state is a leaf.
    uint256 internal constant INPUT = 1 << 128 | INPUT_BYTES;
    uint256 internal constant OUTPUT = 1 << 128 | 1 << 64 | OUTPUT_BYTES;
    uint256 internal constant STATE = 5 << 64 | STATE_BYTES;
    bytes32 internal constant WEIGHTS = keccak256("the toy's weights");
    /// The state with which runs start if nothing else is said.
    bytes32 internal constant FIRST_STATE = keccak256("the toy's first state");
    bytes32 internal constant CODE_ROOT = keccak256("the toy's code");
    bytes32 internal constant VOID = bytes32(type(uint256).max);

    // ---- Models

    /// Four big steps in a row.
    function plain() internal pure returns (Plan memory) {
        return Plan({prologue: 4, period: 0, epilogue: 0, least: 0, most: 0, short: NONE});
    }

    /// One big step, then two that are repeated, then one.
    function periodic() internal pure returns (Plan memory) {
        return Plan({prologue: 1, period: 2, epilogue: 1, least: 1, most: 5, short: NONE});
    }

    function model(Plan memory plan) internal pure returns (Model memory) {
        return Model({
            program: program(plan), memoryRoot: memoryRoot(0, 0, 0), inputs: inputs(), outputs: outputs()
        });
    }

    /// The parts of the inputs.
    function inputs() internal pure returns (uint256[] memory) {
        return pair(INPUT, STATE);
    }

    /// The parts of the outputs.
    function outputs() internal pure returns (uint256[] memory) {
        return pair(OUTPUT, STATE);
    }

    function pair(uint256 one, uint256 two) internal pure returns (uint256[] memory both) {
        both = new uint256[](2);
        (both[0], both[1]) = (one, two);
    }

    function program(Plan memory plan) internal pure returns (Program memory) {
        return Program({
            codeRoot: CODE_ROOT,
            machine: MACHINE,
            scheduleRoot: Naive.root(schedule(plan)),
            shape: shape(plan)
        });
    }

    function shape(Plan memory plan) internal pure returns (uint256) {
        return SCRATCH_BITS << 176 | plan.prologue << 144 | plan.period << 112 | plan.epilogue << 80
            | plan.least << 40 | plan.most;
    }

    function schedule(Plan memory plan) internal pure returns (bytes32[] memory leaves) {
        leaves = new bytes32[](plan.prologue + plan.period + plan.epilogue);
        for (uint256 i = 0; i < leaves.length; i++) {
            leaves[i] = keccak256(abi.encodePacked(uint64(16 * i), uint64(bound(plan, i))));
        }
    }

    function bound(Plan memory plan, uint256 leaf) private pure returns (uint256) {
        return leaf == plan.short ? STEPS - 1 : STEPS;
    }

    /// The schedule's leaves in the order of the run, written out.
    function orderOf(Plan memory plan, uint256 repetitions) internal pure returns (uint256[] memory order) {
        order = new uint256[](plan.prologue + repetitions * plan.period + plan.epilogue);
        uint256 used;
        for (uint256 i = 0; i < plan.prologue; i++) {
            order[used++] = i;
        }
        for (uint256 repetition = 0; repetition < repetitions; repetition++) {
            for (uint256 i = 0; i < plan.period; i++) {
                order[used++] = plan.prologue + i;
            }
        }
        for (uint256 i = 0; i < plan.epilogue; i++) {
            order[used++] = plan.prologue + plan.period + i;
        }
    }

    // ---- Runs

    /// The leaves of output and state after a step.
    function next(bytes32 inputRoot, bytes32 leaf, bytes32 its, uint64 pc)
        internal
        pure
        returns (bytes32, bytes32)
    {
        bytes32 hash = keccak256(abi.encode(inputRoot, leaf, its, pc));
        return (hash, keccak256(abi.encode(hash)));
    }

    /// The same with the first state.
    function run(Plan memory plan, uint256 repetitions, bytes32 inputRoot, uint256 lieAt)
        internal
        pure
        returns (Run memory)
    {
        return run(plan, repetitions, inputRoot, FIRST_STATE, lieAt);
    }

    /// A run that is true except that step `lieAt`, counted from 1, flips a bit: of the output if it is odd,
    /// of the state if it is even; 0 for a true run.
    function run(Plan memory plan, uint256 repetitions, bytes32 inputRoot, bytes32 firstState, uint256 lieAt)
        internal
        pure
        returns (Run memory made)
    {
        (made.plan, made.inputRoot, made.order) = (plan, inputRoot, orderOf(plan, repetitions));
        uint256 steps = STEPS * made.order.length;
        (made.leaves, made.states) = (new bytes32[](steps + 1), new bytes32[](steps + 1));
        (made.voidFrom, made.backFrom) = (NONE, NONE);
        made.states[0] = firstState;
        for (uint256 i = 0; i < steps; i++) {
            uint256 its = made.order[i / STEPS];
            (bytes32 leaf, bytes32 state_) = (made.leaves[i], made.states[i]);
            if (i % STEPS < bound(plan, its)) {
                (leaf, state_) = next(inputRoot, leaf, state_, uint64(16 * its + 4 * (i % STEPS)));
            }
            if (i + 1 == lieAt && i % 2 == 0) leaf ^= bytes32(uint256(1));
            if (i + 1 == lieAt && i % 2 == 1) state_ ^= bytes32(uint256(1));
            (made.leaves[i + 1], made.states[i + 1]) = (leaf, state_);
            // The bound is over before the program exits.
            if (its == plan.short && made.voidFrom == NONE) made.voidFrom = i / STEPS + 1;
        }
    }

    /// The bytes of output and state; none if the run ends void.
    function outputs(Run memory made) internal pure returns (bytes[] memory) {
        return outputs(made, 0);
    }

    /// The same, but those whose bit is set by their root.
    function outputs(Run memory made, uint64 byRoot) internal pure returns (bytes[] memory data) {
        bytes32[] memory roots = outputRoots(made);
        data = new bytes[](roots.length);
        if (data.length == 0) return data;
        data[0] = byRoot & 1 == 0 ? bytesOf(made.leaves[made.leaves.length - 1]) : bytes.concat(roots[0]);
        data[1] = byRoot & 2 == 0 ? bytesOf(roots[1]) : bytes.concat(roots[1]);
    }

    /// A leaf's bytes: it is little-endian.
    function bytesOf(bytes32 leaf) internal pure returns (bytes memory data) {
        data = new bytes(32);
        for (uint256 i = 0; i < 32; i++) {
            data[i] = leaf[31 - i];
        }
    }

    /// The roots of output and state; none if the run ends void.
    function outputRoots(Run memory made) internal pure returns (bytes32[] memory roots) {
        if (isVoid(made, made.order.length)) return roots;
        roots = new bytes32[](2);
        uint256 last = made.leaves.length - 1;
        (roots[0], roots[1]) = (Naive.node(made.leaves[last], 0), made.states[last]);
    }

    function result(Run memory made) internal pure returns (bytes32) {
        if (isVoid(made, made.order.length)) return VOID;
        return keccak256(abi.encodePacked(outputRoots(made)));
    }

    /// The hash by which a request knows its inputs.
    function commitment(bytes32 inputRoot, bytes32 firstState) internal pure returns (bytes32) {
        return keccak256(bytes.concat(inputRoot, firstState));
    }

    function commitment(Run memory made) internal pure returns (bytes32) {
        return commitment(made.inputRoot, made.states[0]);
    }

    function isVoid(Run memory made, uint256 bigStep) private pure returns (bool) {
        return bigStep >= made.voidFrom && bigStep < made.backFrom;
    }

    /// The rest of memory is zero.
    function memoryRoot(bytes32 inputRoot, bytes32 leaf, bytes32 its) internal pure returns (bytes32) {
        return Naive.node(lowerHalf(inputRoot, leaf, its), 0);
    }

    function lowerHalf(bytes32 inputRoot, bytes32 leaf, bytes32 its) private pure returns (bytes32 root) {
        bytes32 first = Naive.node(inputRoot, Naive.node(leaf, 0));
        root = Naive.node(first, Naive.node(Naive.node(WEIGHTS, its), 0));
        for (uint256 i = 0; i < 3; i++) {
            root = Naive.node(root, 0);
        }
    }

    function memoryRoot(Run memory made, uint256 step) internal pure returns (bytes32) {
        return memoryRoot(made.inputRoot, made.leaves[step], made.states[step]);
    }

    function state(Run memory made, uint256 bigStep, uint256 step) internal pure returns (bytes memory) {
        bytes32 memory_ = memoryRoot(made, STEPS * bigStep + step);
        uint64 pc = uint64(16 * made.order[bigStep] + 4 * step);
        return stateOf(memory_, pc, status(made, bigStep, step));
    }

    /// Of all registers only x2 isn't zero; it has two bytes. The program counter has one, or none if it is
    /// 0.
    function stateOf(bytes32 memory_, uint64 pc, uint8 status_) internal pure returns (bytes memory) {
        bytes32 floats = keccak256(new bytes(16));
        uint128 lengths = (uint128(2) << 120) | (pc == 0 ? 0 : 1);
        bytes memory last = pc == 0 ? bytes("") : abi.encodePacked(uint8(pc));
        return abi.encodePacked(CODE_ROOT, memory_, floats, status_, lengths, uint16(1 << MEMORY_BITS), last);
    }

    /// 0 while the machine runs, 1 once it has exited, 2 if it has trapped.
    function status(Run memory made, uint256 bigStep, uint256 step) private pure returns (uint8) {
        if (step < bound(made.plan, made.order[bigStep])) return 0;
        if (!isVoid(made, bigStep + 1)) return 1;
        return step == STEPS ? 2 : 0;
    }

    // ---- Players. A player tells the truth if its run is true.

    /// The words of the first move.
    function opening(Run memory made, uint256 arity) internal pure returns (bytes32[] memory words) {
        words = new bytes32[](9);
        (words[0], words[1]) = (made.inputRoot, made.states[0]);
        // The other siblings are zero: leaf 3, the leaves after 5, and what is above.
        words[3] = WEIGHTS;
        bytes32[] memory roots = outputRoots(made);
        if (roots.length != 0) {
            bytes32[] memory path = new bytes32[](7);
            (path[0], path[1]) = (made.inputRoot, WEIGHTS);
            words = Naive.concat(words, Naive.concat(roots, path));
        }
        words = Naive.concat(words, claims(made, arity, false, 0, 0, made.order.length));
    }

    /// The calldata of the reply to the opponent's claims; empty if the player finds nothing wrong with them.
    function reply(Run memory made, Turn memory turn, uint256 arity) internal pure returns (bytes memory) {
        uint256 part = firstWrong(made, turn, arity);
        if (part == 0) return "";
        Position memory here = position(turn.game);
        Pick memory picked = pick(turn, part);
        bytes32[] memory path = pairSiblings(turn, part);
        (uint256 lo, uint256 hi) = (boundary(here, arity, part - 1), boundary(here, arity, part));
        if (hi - lo > 1) {
            bytes32[] memory words = Naive.concat(path, claims(made, arity, here.inSteps, here.place, lo, hi));
            return abi.encodeCall(IDisputeGame.dissect, (turn.id, turn.game, picked, words));
        }
        if (!here.inSteps && picked.agreed == VOID) {
            return abi.encodeCall(IDisputeGame.proveVoid, (turn.id, turn.game, picked, path));
        }
        if (!here.inSteps) return enter(made, turn, part, lo, arity);
        bytes[] memory shown = witnesses(made, here.place, lo, hi);
        return abi.encodeCall(IDisputeGame.prove, (turn.id, turn.game, picked, path, shown));
    }

    /// The calldata of the move into a big step.
    function enter(Run memory made, Turn memory turn, uint256 part, uint256 bigStep, uint256 arity)
        internal
        pure
        returns (bytes memory)
    {
        (uint256 leaf, bytes memory end, bytes32[] memory words) = entry(made, bigStep, arity);
        words = Naive.concat(pairSiblings(turn, part), words);
        return abi.encodeCall(
            IDisputeGame.enter, (turn.id, turn.game, pick(turn, part), program(made.plan), leaf, end, words)
        );
    }

    function witness(Run memory made, uint256 bigStep, uint256 step) internal pure returns (bytes memory) {
        uint256 now_ = STEPS * bigStep + step;
        return bytes.concat(state(made, bigStep, step), made.inputRoot, made.leaves[now_], made.states[now_]);
    }

    /// The witnesses of the steps from `lo` to `hi`.
    function witnesses(Run memory made, uint256 bigStep, uint256 lo, uint256 hi)
        internal
        pure
        returns (bytes[] memory shown)
    {
        shown = new bytes[](hi - lo);
        for (uint256 i = 0; i < shown.length; i++) {
            shown[i] = witness(made, bigStep, lo + i);
        }
    }

    /// The first part, counted from 1, whose end is another in this run; 0 if there is none.
    function firstWrong(Run memory made, Turn memory turn, uint256 arity) internal pure returns (uint256) {
        Position memory here = position(turn.game);
        for (uint256 part = 1; part <= turn.claims.length; part++) {
            bytes32 ours = rootAt(made, here.inSteps, here.place, boundary(here, arity, part));
            if (ours != turn.claims[part - 1]) return part;
        }
        return 0;
    }

    function pick(Turn memory turn, uint256 part) internal pure returns (Pick memory picked) {
        bytes32[] memory leaves = Naive.prepend(turn.start, turn.claims);
        picked.part = part;
        (picked.agreed, picked.rejected) = (leaves[part - 1], leaves[part]);
    }

    function pairSiblings(Turn memory turn, uint256 part) internal pure returns (bytes32[] memory) {
        return Naive.pairSiblings(Naive.prepend(turn.start, turn.claims), part - 1);
    }

    /// The root of a turn's claims, the agreed start included.
    function claimsRoot(Turn memory turn) internal pure returns (bytes32) {
        return Naive.root(Naive.prepend(turn.start, turn.claims));
    }

    /// What the move into a big step brings: the schedule's leaf, the end state without its roots, and the
    /// words after the pair's siblings.
    function entry(Run memory made, uint256 bigStep, uint256 arity)
        internal
        pure
        returns (uint256 leaf, bytes memory end, bytes32[] memory words)
    {
        uint256 its = made.order[bigStep];
        uint256 steps = bound(made.plan, its);
        leaf = 16 * its << 64 | steps;
        end = Naive.slice(state(made, bigStep, steps), 64);
        words = Naive.siblings(schedule(made.plan), its);
        uint256 now_ = STEPS * bigStep + steps;
        bytes32[] memory node;
        if (status(made, bigStep, steps) == 1) {
            // Scratch memory is the last leaf, which is zero; all memory that is used is in the other half.
            node = new bytes32[](8);
            node[7] = lowerHalf(made.inputRoot, made.leaves[now_], made.states[now_]);
        } else {
            node = new bytes32[](1);
            node[0] = memoryRoot(made, now_);
        }
        words = Naive.concat(Naive.concat(words, node), claims(made, arity, true, bigStep, 0, steps));
    }

    function claims(Run memory made, uint256 arity, bool inSteps, uint256 bigStep, uint256 lo, uint256 hi)
        internal
        pure
        returns (bytes32[] memory roots)
    {
        uint256 count = hi - lo < arity ? hi - lo : arity;
        roots = new bytes32[](count);
        for (uint256 i = 1; i <= count; i++) {
            roots[i - 1] = rootAt(made, inSteps, bigStep, lo + (hi - lo) * i / count);
        }
    }

    function boundary(Position memory here, uint256 arity, uint256 part) private pure returns (uint256) {
        uint256 units = here.hi - here.lo;
        uint256 count = units < arity ? units : arity;
        return here.lo + units * part / count;
    }

    function rootAt(Run memory made, bool inSteps, uint256 bigStep, uint256 place)
        private
        pure
        returns (bytes32)
    {
        if (inSteps) return keccak256(state(made, bigStep, place));
        return isVoid(made, place) ? VOID : memoryRoot(made, STEPS * place);
    }

    // ---- Positions

    function position(Game memory game) internal pure returns (Position memory here) {
        bytes memory word = abi.encodePacked(game.position);
        // Flags take two bytes; clocks four each; then come five, five, six and six.
        here.asserterMoves = uint8(word[1]) & 1 == 1;
        here.inSteps = uint8(word[1]) & 2 == 2;
        here.asserterClock = field(word, 2, 4);
        here.challengerClock = field(word, 6, 4);
        here.since = field(word, 10, 5);
        here.place = field(word, 15, 5);
        here.lo = field(word, 20, 6);
        here.hi = field(word, 26, 6);
    }

    function field(bytes memory word, uint256 start, uint256 size) private pure returns (uint256 value) {
        for (uint256 i = start; i < start + size; i++) {
            value = value << 8 | uint8(word[i]);
        }
    }

    function mover(Turn memory turn) internal pure returns (address) {
        return position(turn.game).asserterMoves ? turn.asserter : turn.challenger;
    }
}
