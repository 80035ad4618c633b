// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.24;

import {IStepVerifier} from "./IStepVerifier.sol";
import {BigStepEntry, Game, IDisputeGame, Model, Opening, Pick, Program} from "./Interfaces.sol";
import {Merkle} from "./Merkle.sol";
import {Models} from "./Models.sol";

/// @title The dispute between an asserter and a challenger, down to one machine step.
/// @notice docs/protocol.md defines the moves, shows why the honest side wins, and gives the order in which
/// errors are checked. The Rust game (`runtime/game`) makes the same transitions.
/// @dev Only the hash of a game's state is stored. Whoever moves passes in the state, which the last event
/// contains. The inheriting contract defines who plays, and what follows from winning.
abstract contract DisputeGame is IDisputeGame {
    /// @notice The root that stands for "nothing": the memory after a big step that trapped or exceeded its
    /// bound, and the output of such a run.
    bytes32 public constant VOID = bytes32(type(uint256).max);
    /// @notice The most parts that a segment can be cut into.
    uint256 public constant MAX_ARITY = 256;
    /// @notice A big step whose bound is larger has this bound.
    uint256 public constant MAX_STEPS = type(uint48).max;

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

    /// @dev A game's state, unpacked.
    struct Table {
        uint256 id;
        bytes32 subject;
        uint256 arity;
        bool asserterMoves;
        bool inSteps;
        uint256 asserterClock;
        uint256 challengerClock;
        uint256 since;
        uint256 place;
        uint256 lo;
        uint256 hi;
        /// The root at `lo`, on which both sides agree.
        bytes32 start;
        /// The claim that the mover rejects.
        bytes32 rejected;
    }

    // ---- Moves

    /// @dev Opens game `id` against the asserted output root.
    function openGame(
        uint256 id,
        Model calldata model,
        uint256 repetitions,
        uint32 clock,
        bytes32 inputRoot,
        bytes32 asserted,
        Opening calldata opening
    ) internal {
        uint256 bigSteps = Models.bigStepsOf(model.program.shape, repetitions);
        // All other fields are meant to be zero.
        // slither-disable-next-line uninitialized-local
        Table memory table;
        (table.id, table.arity, table.subject) = (id, arityOf(id), Models.hashOf(model.program));
        (table.asserterClock, table.challengerClock, table.since) = (clock, clock, block.timestamp);
        (table.place, table.hi) = (repetitions, bigSteps);
        if (opening.claims.length != parts(bigSteps, table.arity)) revert Count();
        table.start = graft(model, opening, inputRoot);
        if (outputOf(model, opening) == asserted) revert Agrees();
        pass(table, opening.claims);
    }

    // Slither finds equalities that somebody could shift a little. Here hashes are compared, and counts that the
    // stored state fixes.
    // slither-disable-start incorrect-equality

    /// @inheritdoc IDisputeGame
    function dissect(uint256 id, Game calldata game, Pick calldata pick, bytes32[] calldata claims) external {
        Table memory table = begin(id, game, pick);
        uint256 units = table.hi - table.lo;
        if (units == 1) revert Units();
        if (claims.length != parts(units, table.arity)) revert Count();
        if (claims[claims.length - 1] == table.rejected) revert Agrees();
        pass(table, claims);
    }

    /// @inheritdoc IDisputeGame
    function enter(
        uint256 id,
        Game calldata game,
        Program calldata program,
        Pick calldata pick,
        BigStepEntry calldata entry
    ) external {
        Table memory table = begin(id, game, pick);
        requireBigStep(table);
        if (Models.hashOf(program) != table.subject) revert StateMismatch();
        if (table.start == VOID) revert Void();
        requireScheduled(program, Models.leafOf(program.shape, table.place, table.lo), entry);
        uint256 bound = entry.bound == 0 ? 1 : entry.bound > MAX_STEPS ? MAX_STEPS : entry.bound;
        if (entry.claims.length != parts(bound, table.arity)) revert Count();
        if (endOf(program, entry) == table.rejected) revert Agrees();
        table.start = startOf(program, table.start, entry.entry);
        table.subject = bytes32(program.machine);
        table.inSteps = true;
        (table.place, table.lo, table.hi) = (table.lo, 0, bound);
        pass(table, entry.claims);
    }

    /// @inheritdoc IDisputeGame
    function proveVoid(uint256 id, Game calldata game, Pick calldata pick) external {
        Table memory table = begin(id, game, pick);
        requireBigStep(table);
        if (table.start != VOID) revert Void();
        if (table.rejected == VOID) revert Agrees();
        finish(id, table.asserterMoves);
    }

    /// @inheritdoc IDisputeGame
    function prove(uint256 id, Game calldata game, Pick calldata pick, bytes calldata witness) external {
        Table memory table = begin(id, game, pick);
        if (!table.inSteps) revert Level();
        if (table.hi - table.lo != 1) revert Units();
        uint256 machine = uint256(table.subject);
        IStepVerifier verifier = IStepVerifier(verifierOf(Models.extensionsOf(machine)));
        try verifier.step(table.start, machine, witness) returns (bytes32 successor) {
            if (successor == table.rejected) revert Agrees();
        } catch {
            revert Witness();
        }
        finish(id, table.asserterMoves);
    }

    // slither-disable-end incorrect-equality

    /// @inheritdoc IDisputeGame
    function timeout(uint256 id, Game calldata game, bytes32 claims) external {
        requireAlive(id);
        requireNotOver(id);
        requireState(id, game, claims);
        Table memory table = unpack(id, game);
        if (block.timestamp - table.since <= clockOf(table)) revert Early();
        finish(id, !table.asserterMoves);
    }

    // ---- What the inheriting contract defines

    /// @dev The asserter or the challenger of a game.
    function playerOf(uint256 id, bool asserter) internal view virtual returns (address);

    /// @dev The number of parts that a game's segments are cut into.
    function arityOf(uint256 id) internal view virtual returns (uint256);

    /// @dev The contract that verifies steps of machines with these extensions.
    function verifierOf(uint32 extensions) internal view virtual returns (address);

    /// @dev Reverts if a game has ended for a reason outside of it.
    function requireAlive(uint256 id) internal view virtual;

    /// @dev Called when a side has won a game.
    function won(uint256 id, bool asserterWon) internal virtual;

    // ---- Turns

    /// @dev Begins a move: reverts unless the sender may make it and the state is the stored one; charges the
    /// mover's clock, and narrows the segment to the picked part.
    function begin(uint256 id, Game calldata game, Pick calldata pick)
        private
        view
        returns (Table memory table)
    {
        requireAlive(id);
        requireNotOver(id);
        table = unpack(id, game);
        if (msg.sender != playerOf(id, table.asserterMoves)) revert Turn();
        // A state that is not the game's may say that the clock starts later.
        uint256 used = block.timestamp < table.since ? 0 : block.timestamp - table.since;
        if (used > clockOf(table)) revert Late();
        uint256 units = table.hi < table.lo ? 0 : table.hi - table.lo;
        uint256 count = parts(units, table.arity);
        uint256 part = pick.part;
        if (part == 0 || part > count) revert Part();
        // Only here it is known that the state is the game's.
        requireState(
            id, game, Merkle.foldPair(pick.agreed, pick.rejected, part - 1, count + 1, pick.siblings)
        );
        if (table.asserterMoves) table.asserterClock -= used;
        else table.challengerClock -= used;
        table.since = block.timestamp;
        (table.start, table.rejected) = (pick.agreed, pick.rejected);
        table.hi = table.lo + units * part / count;
        table.lo += units * (part - 1) / count;
    }

    /// @dev Gives the turn to the other side, which must reply to these claims.
    function pass(Table memory table, bytes32[] calldata claims) private {
        table.asserterMoves = !table.asserterMoves;
        Game memory game = pack(table);
        games[table.id] = hashOf(table.id, game, Merkle.rootOf(table.start, claims));
        emit Moved(table.id, game, table.start, claims);
    }

    function finish(uint256 id, bool asserterWon) private {
        games[id] = asserterWon ? ASSERTER_WON : CHALLENGER_WON;
        emit Won(id, asserterWon);
        won(id, asserterWon);
    }

    /// @dev Ends a game without a winner.
    function close(uint256 id, Game calldata game, bytes32 claims) internal {
        requireNotOver(id);
        requireState(id, game, claims);
        games[id] = CLOSED;
    }

    function clockOf(Table memory table) private pure returns (uint256) {
        return table.asserterMoves ? table.asserterClock : table.challengerClock;
    }

    function requireNotOver(uint256 id) private view {
        bytes32 state = games[id];
        // These are not amounts that somebody could shift a little, but three words that are never a hash.
        // slither-disable-next-line incorrect-equality
        if (state == ASSERTER_WON || state == CHALLENGER_WON || state == CLOSED) revert Over();
    }

    function requireState(uint256 id, Game calldata game, bytes32 claims) private view {
        if (games[id] != hashOf(id, game, claims)) revert StateMismatch();
    }

    // ---- The state

    function hashOf(uint256 id, Game memory game, bytes32 claims) private pure returns (bytes32) {
        return keccak256(abi.encode(id, game.subject, game.position, claims));
    }

    function pack(Table memory table) private pure returns (Game memory game) {
        game.subject = table.subject;
        uint256 flags = (table.asserterMoves ? 1 : 0) | (table.inSteps ? 2 : 0);
        game.position = flags << 240 | table.asserterClock << 208 | table.challengerClock << 176 | table.since
            << 136 | table.place << 96 | table.lo << 48 | table.hi;
    }

    function unpack(uint256 id, Game calldata game) private view returns (Table memory table) {
        uint256 position = game.position;
        table.id = id;
        table.subject = game.subject;
        table.arity = arityOf(id);
        table.asserterMoves = position >> 240 & 1 != 0;
        table.inSteps = position >> 241 & 1 != 0;
        table.asserterClock = uint32(position >> 208);
        table.challengerClock = uint32(position >> 176);
        table.since = uint40(position >> 136);
        table.place = uint40(position >> 96);
        table.lo = uint48(position >> 48);
        table.hi = uint48(position);
    }

    /// @dev The number of parts that a segment is cut into.
    function parts(uint256 units, uint256 arity) private pure returns (uint256) {
        return units < arity ? units : arity;
    }

    function requireBigStep(Table memory table) private pure {
        if (table.inSteps) revert Level();
        if (table.hi - table.lo != 1) revert Units();
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
        uint256 memoryBits = Models.memoryBitsOf(model.program.machine);
        requireSubtree(memoryBits, model.input, opening.input, opening.inputSiblings, model.memoryRoot);
        return Merkle.fold(inputRoot, Models.indexOf(model.input), opening.inputSiblings);
    }

    /// @dev The output root that belongs to the last claim.
    function outputOf(Model calldata model, Opening calldata opening) private pure returns (bytes32) {
        bytes32 last = opening.claims[opening.claims.length - 1];
        if (last == VOID) return VOID;
        uint256 memoryBits = Models.memoryBitsOf(model.program.machine);
        requireSubtree(memoryBits, model.output, opening.output, opening.outputSiblings, last);
        return opening.output;
    }

    /// @dev Reverts unless a region's proof leads to the memory root.
    function requireSubtree(
        uint256 memoryBits,
        uint256 region,
        bytes32 subtree,
        bytes32[] calldata siblings,
        bytes32 root
    ) private pure {
        if (siblings.length != memoryBits - Models.LEAF_BITS - Models.levelOf(region)) revert Proof();
        if (Merkle.fold(subtree, Models.indexOf(region), siblings) != root) revert Proof();
    }

    /// @dev Reverts unless the schedule's leaf `index` says `entry.entry` and `entry.bound`.
    function requireScheduled(Program calldata program, uint256 index, BigStepEntry calldata entry)
        private
        pure
    {
        uint256 depth = Merkle.depth(Models.leavesOf(program.shape));
        if (entry.scheduleSiblings.length != depth) revert Proof();
        bytes32 leaf = keccak256(abi.encodePacked(entry.entry, entry.bound));
        if (Merkle.fold(leaf, index, entry.scheduleSiblings) != program.scheduleRoot) revert Proof();
    }

    /// @dev The state root at the start of a big step. It is derived here; no player asserts it.
    function startOf(Program calldata program, bytes32 memoryRoot, uint64 pc)
        private
        pure
        returns (bytes32 root)
    {
        // At reset float registers have no bytes, and of the integer registers only sp does.
        bytes32 floats = keccak256(abi.encodePacked(uint128(0)));
        uint256 memoryBits = Models.memoryBitsOf(program.machine);
        uint256 spBytes = memoryBits / 8 + 1;
        uint256 pcBytes = 0;
        for (uint256 rest = pc; rest != 0; rest >>= 8) {
            pcBytes++;
        }
        uint128 lengths = uint128((spBytes << SP_LENGTH) | pcBytes);
        uint256 count = spBytes + pcBytes;
        uint256 sp = uint256(1) << memoryBits;
        uint256 numbers = ((sp << (8 * pcBytes)) | pc) << (256 - 8 * count);
        bytes memory state =
            abi.encodePacked(program.codeRoot, memoryRoot, floats, uint8(0), lengths, numbers);
        uint256 size = NUMBERS_AT + count;
        assembly ("memory-safe") {
            root := keccak256(add(state, 32), size)
        }
    }

    /// @dev The memory root with which an end state ends its big step: its memory with the scratch part
    /// zeroed, or void.
    function endOf(Program calldata program, BigStepEntry calldata entry) private pure returns (bytes32) {
        bytes calldata state = entry.endState;
        if (state.length <= STATUS_AT || keccak256(state) != entry.claims[entry.claims.length - 1]) {
            revert EndState();
        }
        if (uint8(state[STATUS_AT]) != EXITED || bytes32(state[:32]) != program.codeRoot) return VOID;
        uint256 above = Models.memoryBitsOf(program.machine) - Models.scratchBitsOf(program.shape);
        uint256 top = (uint256(1) << above) - 1;
        if (entry.scratchSiblings.length != above) revert Proof();
        bytes32 memoryRoot = bytes32(state[MEMORY_ROOT_AT:MEMORY_ROOT_AT + 32]);
        if (Merkle.fold(entry.scratch, top, entry.scratchSiblings) != memoryRoot) revert Proof();
        return Merkle.fold(bytes32(0), top, entry.scratchSiblings);
    }

    // ---- Views

    /// @inheritdoc IDisputeGame
    function gamesOf(uint256[] calldata ids) external view returns (bytes32[] memory found) {
        found = new bytes32[](ids.length);
        for (uint256 i = 0; i < ids.length; ++i) {
            found[i] = games[ids[i]];
        }
    }
}
