// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.24;

import {IStepVerifier} from "./IStepVerifier.sol";
import {BigStepEntry, Game, IDisputeGame, Model, Opening, Pick, Subtree} from "./Interfaces.sol";
import {Merkle} from "./Merkle.sol";
import {Models} from "./Models.sol";

/// @title The dispute between an asserter and a challenger, down to one machine step.
/// @notice docs/protocol.md defines the moves, shows why the honest side wins, and gives the order in which
/// errors are checked. The Rust game (`runtime/game`) makes the same transitions.
/// @dev Only the hash of a game's state is stored. Whoever moves passes in the state, which the last event
/// contains. The inheriting contract decides who may open a game and what follows from winning it.
abstract contract DisputeGame is IDisputeGame {
    /// @notice The root that stands for "nothing": the memory after a big step that trapped or exceeded its
    /// bound, and the output of such a run.
    bytes32 public constant VOID = bytes32(type(uint256).max);
    /// @notice The most parts that a segment can be cut into.
    uint256 public constant MAX_ARITY = 256;

    bytes32 private constant ASSERTER_WON = bytes32(uint256(1));
    bytes32 private constant CHALLENGER_WON = bytes32(uint256(2));
    bytes32 private constant CLOSED = bytes32(uint256(3));
    // The layout of a machine state's bytes (docs/formats.md).
    uint256 private constant MEMORY_ROOT_AT = 32;
    uint256 private constant STATUS_AT = 96;
    uint256 private constant NUMBERS_AT = 113;
    uint8 private constant EXITED = 1;
    /// The shift to the length of x2, among the lengths of x1 to x31 and of the program counter.
    uint256 private constant SP_LENGTH = 4 * 30;

    /// @inheritdoc IDisputeGame
    mapping(uint256 id => bytes32) public games;

    // ---- Moves

    /// @dev Opens game `id` against the asserted output root. The caller sets the model, players and arity in
    /// `game`, and the asserter's clock, which both sides get.
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
    function enter(
        uint256 id,
        Game memory game,
        Model calldata model,
        Pick calldata pick,
        BigStepEntry calldata entry
    ) external {
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
    function prove(
        uint256 id,
        Game memory game,
        Model calldata model,
        Pick calldata pick,
        bytes calldata witness
    ) external {
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

    // ---- What the inheriting contract defines

    /// @dev Reverts if a game has ended for a reason outside of it.
    function requireAlive(uint256 id) internal view virtual;

    /// @dev Called when a side has won a game.
    function won(uint256 id, Game memory game, bool asserterWon) internal virtual;

    // ---- Turns

    /// @dev Reverts unless the sender may move now, and charges its clock.
    function begin(uint256 id, Game memory game) private view {
        requireAlive(id);
        requireRunning(id, game);
        if (msg.sender != (game.asserterMoves ? game.asserter : game.challenger)) revert Turn();
        uint256 used = block.timestamp - game.since;
        uint32 clock = clockOf(game);
        if (used > clock) revert Late();
        // The cast is exact: `used` is at most the clock.
        uint32 left = clock - uint32(used);
        if (game.asserterMoves) game.asserterClock = left;
        else game.challengerClock = left;
        game.since = uint64(block.timestamp);
    }

    /// @dev Gives the turn to the other side, which must reply to these claims.
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

    /// @dev Ends a game without a winner.
    function close(uint256 id, Game memory game) internal {
        requireRunning(id, game);
        games[id] = CLOSED;
    }

    function clockOf(Game memory game) private pure returns (uint32) {
        return game.asserterMoves ? game.asserterClock : game.challengerClock;
    }

    function requireRunning(uint256 id, Game memory game) private view {
        bytes32 state = games[id];
        // These are not amounts that somebody could shift a little, but three words that are never a hash.
        // slither-disable-next-line incorrect-equality
        if (state == ASSERTER_WON || state == CHALLENGER_WON || state == CLOSED) revert Over();
        if (state != keccak256(abi.encode(game))) revert StateMismatch();
    }

    function requireModel(Game memory game, Model calldata model) private pure {
        if (hashOf(model) != game.model) revert StateMismatch();
    }

    // ---- Segments

    /// @dev The number of parts that a segment is cut into.
    function parts(uint256 units, uint256 arity) private pure returns (uint256) {
        return units < arity ? units : arity;
    }

    /// @dev Narrows the segment to the picked part.
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

    function requireClaim(
        bytes32 claims,
        uint256 depth,
        uint256 index,
        bytes32 claim,
        bytes32[] calldata siblings
    ) private pure {
        if (siblings.length != depth || Merkle.fold(claim, index, siblings) != claims) {
            revert Proof();
        }
    }

    // ---- Models

    /// @inheritdoc IDisputeGame
    function hashOf(Model calldata model) public pure returns (bytes32) {
        return Models.hashOf(model);
    }

    /// @dev The memory root before the first big step: the image's memory with the input in place.
    function graft(Model calldata model, Opening calldata opening, bytes32 inputRoot)
        private
        pure
        returns (bytes32)
    {
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

    /// @dev Reverts unless a subtree's proof leads to the memory root.
    function requireSubtree(
        uint256 memoryBits,
        Subtree calldata region,
        bytes32 subtree,
        bytes32[] calldata siblings,
        bytes32 root
    ) private pure {
        if (siblings.length != memoryBits - Models.LEAF_BITS - region.level) {
            revert Proof();
        }
        if (Merkle.fold(subtree, region.index, siblings) != root) revert Proof();
    }

    /// @dev Reverts unless the schedule says that big step `index` starts at `entry.entry` with the bound
    /// `entry.bound`.
    function requireScheduled(Model calldata model, uint256 index, BigStepEntry calldata entry) private pure {
        if (entry.scheduleSiblings.length != Merkle.depth(model.bigSteps)) revert Proof();
        bytes32 leaf = keccak256(abi.encodePacked(entry.entry, entry.bound));
        if (Merkle.fold(leaf, index, entry.scheduleSiblings) != model.scheduleRoot) revert Proof();
    }

    /// @dev The state root at the start of a big step. It is derived here; no player asserts it.
    function startOf(Model calldata model, bytes32 memoryRoot, uint64 pc)
        private
        pure
        returns (bytes32 root)
    {
        // At reset float registers have no bytes, and of the integer registers only sp does.
        bytes32 floats = keccak256(abi.encodePacked(uint128(0)));
        uint256 spBytes = model.memoryBits / 8 + 1;
        uint256 pcBytes = 0;
        for (uint256 rest = pc; rest != 0; rest >>= 8) {
            pcBytes++;
        }
        uint128 lengths = uint128((spBytes << SP_LENGTH) | pcBytes);
        uint256 count = spBytes + pcBytes;
        uint256 sp = uint256(1) << model.memoryBits;
        uint256 numbers = ((sp << (8 * pcBytes)) | pc) << (256 - 8 * count);
        bytes memory state = abi.encodePacked(model.codeRoot, memoryRoot, floats, uint8(0), lengths, numbers);
        uint256 size = NUMBERS_AT + count;
        assembly ("memory-safe") {
            root := keccak256(add(state, 32), size)
        }
    }

    /// @dev The memory root with which an end state ends its big step: its memory with the scratch part
    /// zeroed, or void.
    function endOf(Model calldata model, BigStepEntry calldata entry) private pure returns (bytes32) {
        bytes calldata state = entry.endState;
        if (state.length <= STATUS_AT || keccak256(state) != entry.claims[entry.claims.length - 1]) {
            revert EndState();
        }
        if (uint8(state[STATUS_AT]) != EXITED || bytes32(state[:32]) != model.codeRoot) return VOID;
        uint256 above = model.memoryBits - model.scratchBits;
        uint256 top = (uint256(1) << above) - 1;
        if (entry.scratchSiblings.length != above) revert Proof();
        bytes32 memoryRoot = bytes32(state[MEMORY_ROOT_AT:MEMORY_ROOT_AT + 32]);
        if (Merkle.fold(entry.scratch, top, entry.scratchSiblings) != memoryRoot) revert Proof();
        return Merkle.fold(bytes32(0), top, entry.scratchSiblings);
    }
}
