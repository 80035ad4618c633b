// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.24;

import {IStepVerifier} from "./IStepVerifier.sol";
import {Entry, Game, IDisputeGame, Model, Opening, Pick, Region} from "./Interfaces.sol";
import {Merkle} from "./Merkle.sol";
import {Models} from "./Models.sol";

/// @title The dispute between an asserter and a challenger, down to one machine step.
/// @notice docs/protocol.md says what every move means, why the honest side wins, and in which order errors are looked
/// for. The Rust game (`runtime/game`) makes the same transitions.
/// @dev Of a game only the hash of its state is stored; whoever moves brings the state along, and finds it in the last
/// event. Who may open a game, and what winning it means, is for the contract that inherits this one.
abstract contract DisputeGame is IDisputeGame {
    /// @notice The root of what does not exist: memory after a big step that trapped or ran on, and a result of it.
    bytes32 public constant VOID = bytes32(type(uint256).max);
    /// @notice The most parts of a segment.
    uint256 public constant MAX_ARITY = 256;

    bytes32 private constant ASSERTER_WON = bytes32(uint256(1));
    bytes32 private constant CHALLENGER_WON = bytes32(uint256(2));
    bytes32 private constant CLOSED = bytes32(uint256(3));
    // The state's bytes, as docs/formats.md has them.
    uint256 private constant STATE_SIZE = 353;
    uint256 private constant MEMORY_ROOT_AT = 32;
    uint256 private constant STATUS_AT = 104;
    uint8 private constant EXITED = 1;
    /// The registers behind x2: x3 to x31, all zero.
    uint256 private constant OTHER_REGISTERS = 29 * 8;

    /// @inheritdoc IDisputeGame
    mapping(uint256 id => bytes32) public games;

    // ---- Moves

    /// @dev Opens game `id` of a challenger who disagrees with the asserted output root. Of `game` it takes model, players
    /// and arity, and the asserter's clock for both sides.
    function openGame(
        uint256 id,
        Game memory game,
        Model calldata model,
        bytes32 inputRoot,
        bytes32 asserted,
        Opening calldata opening
    ) internal {
        Models.requireValid(model);
        if (game.arity < 2 || game.arity > MAX_ARITY) revert InvalidModel();
        if (opening.claims.length != parts(model.bigSteps, game.arity)) revert Count();
        game.start = graft(model, opening, inputRoot);
        if (outputOf(model, opening) == asserted) revert Agrees();
        game.asserterMoves = true;
        game.challengerClock = game.asserterClock;
        game.since = uint64(block.timestamp);
        game.hi = model.bigSteps;
        save(id, game, opening.claims);
    }

    /// @inheritdoc IDisputeGame
    function dissect(uint256 id, Game memory game, Pick calldata pick, bytes32[] calldata claims) external {
        begin(id, game);
        take(game, pick);
        uint256 units = game.hi - game.lo;
        if (units == 1) revert Units();
        if (claims.length != parts(units, game.arity)) revert Count();
        if (claims[claims.length - 1] == pick.rejected) revert Agrees();
        pass(id, game, claims);
    }

    /// @inheritdoc IDisputeGame
    function enter(uint256 id, Game memory game, Model calldata model, Pick calldata pick, Entry calldata entry)
        external
    {
        begin(id, game);
        requireModel(game, model);
        take(game, pick);
        if (game.inSteps) revert Level();
        if (game.hi - game.lo != 1) revert Units();
        if (game.start == VOID) revert Void();
        requireScheduled(model, game.lo, entry);
        uint64 bound = entry.bound == 0 ? 1 : entry.bound;
        if (entry.claims.length != parts(bound, game.arity)) revert Count();
        if (endOf(model, entry) == pick.rejected) revert Agrees();
        game.start = startOf(model, game.start, entry.entry);
        game.inSteps = true;
        game.bigStep = game.lo;
        game.lo = 0;
        game.hi = bound;
        pass(id, game, entry.claims);
    }

    /// @inheritdoc IDisputeGame
    function proveVoid(uint256 id, Game memory game, Pick calldata pick) external {
        begin(id, game);
        take(game, pick);
        if (game.inSteps) revert Level();
        if (game.hi - game.lo != 1) revert Units();
        if (game.start != VOID) revert Void();
        if (pick.rejected == VOID) revert Agrees();
        finish(id, game, game.asserterMoves);
    }

    /// @inheritdoc IDisputeGame
    function prove(uint256 id, Game memory game, Model calldata model, Pick calldata pick, bytes calldata witness)
        external
    {
        begin(id, game);
        requireModel(game, model);
        take(game, pick);
        if (!game.inSteps) revert Level();
        if (game.hi - game.lo != 1) revert Units();
        try IStepVerifier(model.verifier).step(game.start, witness) returns (bytes32 successor) {
            if (successor == pick.rejected) revert Agrees();
        } catch {
            revert Witness();
        }
        finish(id, game, game.asserterMoves);
    }

    /// @inheritdoc IDisputeGame
    function timeout(uint256 id, Game memory game) external {
        requireAlive(id);
        requireRunning(id, game);
        if (block.timestamp - game.since <= clockOf(game)) revert Early();
        finish(id, game, !game.asserterMoves);
    }

    // ---- What the inheriting contract makes of it

    /// @dev Refuses a move of a game that has ended for a reason outside of it.
    function requireAlive(uint256 id) internal view virtual;

    /// @dev A game has ended by a win.
    function won(uint256 id, Game memory game, bool asserterWon) internal virtual;

    // ---- Turns

    /// @dev The sender may move now; its clock is charged.
    function begin(uint256 id, Game memory game) private view {
        requireAlive(id);
        requireRunning(id, game);
        if (msg.sender != (game.asserterMoves ? game.asserter : game.challenger)) revert Turn();
        uint256 used = block.timestamp - game.since;
        uint32 clock = clockOf(game);
        if (used > clock) revert Late();
        // The cast is exact: used is at most the clock.
        uint32 left = clock - uint32(used);
        if (game.asserterMoves) game.asserterClock = left;
        else game.challengerClock = left;
        game.since = uint64(block.timestamp);
    }

    /// @dev The other side is to move, against these claims.
    function pass(uint256 id, Game memory game, bytes32[] calldata claims) private {
        game.asserterMoves = !game.asserterMoves;
        save(id, game, claims);
    }

    function save(uint256 id, Game memory game, bytes32[] calldata claims) private {
        game.claims = Merkle.rootOf(claims);
        games[id] = keccak256(abi.encode(game));
        emit Moved(id, game, claims);
    }

    function finish(uint256 id, Game memory game, bool asserterWon) private {
        games[id] = asserterWon ? ASSERTER_WON : CHALLENGER_WON;
        emit Won(id, asserterWon);
        won(id, game, asserterWon);
    }

    /// @dev Ends a game that nobody has won.
    function close(uint256 id, Game memory game) internal {
        requireRunning(id, game);
        games[id] = CLOSED;
    }

    function clockOf(Game memory game) private pure returns (uint32) {
        return game.asserterMoves ? game.asserterClock : game.challengerClock;
    }

    function requireRunning(uint256 id, Game memory game) private view {
        bytes32 state = games[id];
        // Not an amount that somebody could shift by a little: three words that no hash is.
        // slither-disable-next-line incorrect-equality
        if (state == ASSERTER_WON || state == CHALLENGER_WON || state == CLOSED) revert Over();
        if (state != keccak256(abi.encode(game))) revert StateMismatch();
    }

    function requireModel(Game memory game, Model calldata model) private pure {
        if (hashOf(model) != game.model) revert StateMismatch();
    }

    // ---- Segments

    /// @dev How many parts a segment is cut into.
    function parts(uint256 units, uint256 arity) private pure returns (uint256) {
        return units < arity ? units : arity;
    }

    /// @dev Narrows the segment to the part that is picked.
    function take(Game memory game, Pick calldata pick) private pure {
        uint256 units = game.hi - game.lo;
        uint256 count = parts(units, game.arity);
        uint256 part = pick.part;
        if (part == 0 || part > count) revert Part();
        uint256 depth = Merkle.depth(count);
        if (part != 1) {
            requireClaim(game.claims, depth, part - 2, pick.begin, pick.beginSiblings);
            game.start = pick.begin;
        }
        requireClaim(game.claims, depth, part - 1, pick.rejected, pick.rejectedSiblings);
        uint64 lo = game.lo;
        game.lo = uint64(lo + units * (part - 1) / count);
        game.hi = uint64(lo + units * part / count);
    }

    function requireClaim(bytes32 claims, uint256 depth, uint256 index, bytes32 claim, bytes32[] calldata siblings)
        private
        pure
    {
        if (siblings.length != depth || Merkle.fold(claim, index, siblings) != claims) revert Proof();
    }

    // ---- Models

    /// @inheritdoc IDisputeGame
    function hashOf(Model calldata model) public pure returns (bytes32) {
        return Models.hashOf(model);
    }

    /// @dev The memory before the first big step: the image's, with the input in its place.
    function graft(Model calldata model, Opening calldata opening, bytes32 inputRoot) private pure returns (bytes32) {
        requireSubtree(model.memoryBits, model.input, opening.input, opening.inputSiblings, model.memoryRoot);
        return Merkle.fold(inputRoot, model.input.index, opening.inputSiblings);
    }

    /// @dev The output root that belongs to the last claim.
    function outputOf(Model calldata model, Opening calldata opening) private pure returns (bytes32) {
        bytes32 last = opening.claims[opening.claims.length - 1];
        if (last == VOID) return VOID;
        requireSubtree(model.memoryBits, model.output, opening.output, opening.outputSiblings, last);
        return opening.output;
    }

    /// @dev A subtree must lead to a memory root.
    function requireSubtree(
        uint256 memoryBits,
        Region calldata region,
        bytes32 subtree,
        bytes32[] calldata siblings,
        bytes32 root
    ) private pure {
        if (siblings.length != memoryBits - Models.LEAF_BITS - region.level) {
            revert Proof();
        }
        if (Merkle.fold(subtree, region.index, siblings) != root) revert Proof();
    }

    /// @dev Big step `index` must begin at `entry.entry` and have the bound `entry.bound`.
    function requireScheduled(Model calldata model, uint256 index, Entry calldata entry) private pure {
        if (entry.scheduleSiblings.length != Merkle.depth(model.bigSteps)) revert Proof();
        bytes32 leaf = keccak256(abi.encodePacked(entry.entry, entry.bound));
        if (Merkle.fold(leaf, index, entry.scheduleSiblings) != model.scheduleRoot) revert Proof();
    }

    /// @dev The state root at the start of a big step: nobody asserts it, it is derived.
    function startOf(Model calldata model, bytes32 memoryRoot, uint64 pc) private pure returns (bytes32) {
        bytes32 zeros = 0;
        bytes32 ones = bytes32(type(uint256).max);
        bytes32 floats = keccak256(abi.encodePacked(zeros, zeros, zeros, zeros, ones, ones, ones, ones));
        uint64 sp = uint64(1) << model.memoryBits;
        bytes memory others = new bytes(OTHER_REGISTERS);
        return keccak256(abi.encodePacked(model.codeRoot, memoryRoot, floats, pc, uint8(0), uint64(0), sp, others));
    }

    /// @dev The memory root that an end state ends its big step with: scratch memory replaced by zero, or void.
    function endOf(Model calldata model, Entry calldata entry) private pure returns (bytes32) {
        bytes calldata state = entry.endState;
        if (state.length != STATE_SIZE || keccak256(state) != entry.claims[entry.claims.length - 1]) revert EndState();
        if (uint8(state[STATUS_AT]) != EXITED || bytes32(state[:32]) != model.codeRoot) return VOID;
        uint256 above = model.memoryBits - model.scratchBits;
        uint256 top = (uint256(1) << above) - 1;
        if (entry.scratchSiblings.length != above) revert Proof();
        bytes32 memoryRoot = bytes32(state[MEMORY_ROOT_AT:MEMORY_ROOT_AT + 32]);
        if (Merkle.fold(entry.scratch, top, entry.scratchSiblings) != memoryRoot) revert Proof();
        return Merkle.fold(bytes32(0), top, entry.scratchSiblings);
    }
}
