// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.24;

import {IStepVerifier} from "./IStepVerifier.sol";
import {Game, IDisputeGame, Model, Pick, Program} from "./Interfaces.sol";
import {Merkle} from "./Merkle.sol";
import {Models} from "./Models.sol";

/// @title The dispute between an asserter and a challenger, down to one machine step.
/// @notice docs/protocol.md defines the moves, shows why the honest side wins, and gives the order in which
/// errors are checked. The Rust game (`runtime/game`) makes the same transitions.
/// @dev Only the hash of a game's state is stored. Whoever moves passes in the state, which the last event
/// contains. The inheriting contract defines who plays, and what follows from winning.
abstract contract DisputeGame is IDisputeGame {
    /// @notice The root that stands for "nothing": the memory after a big step that trapped or exceeded its
    /// bound, and the result of such a run.
    bytes32 public constant VOID = bytes32(type(uint256).max);
    /// @notice The most parts that a segment can be cut into.
    uint256 public constant MAX_ARITY = 256;
    /// @notice A big step whose bound is larger has this bound.
    uint256 public constant MAX_STEPS = type(uint48).max;

    bytes32 private constant ASSERTER_WON = bytes32(uint256(1));
    bytes32 private constant CHALLENGER_WON = bytes32(uint256(2));
    bytes32 private constant CLOSED = bytes32(uint256(3));
    // The layout of a machine state's bytes (docs/formats.md). The first two words are the roots of code and
    // memory.
    uint256 private constant ROOTS = 64;
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
        /// How many of the move's words have been used.
        uint256 used;
    }

    // ---- Moves

    /// @dev Opens game `id` against the asserted result.
    function openGame(
        uint256 id,
        Model calldata model,
        uint256 repetitions,
        uint32 clock,
        bytes32 inputs,
        bytes32 asserted,
        bytes32[] calldata words
    ) internal {
        uint256 bigSteps = Models.bigStepsOf(model.program.shape, repetitions);
        // All other fields are meant to be zero.
        // slither-disable-next-line uninitialized-local
        Table memory table;
        (table.id, table.arity, table.subject) = (id, arityOf(id), Models.hashOf(model.program));
        (table.asserterClock, table.challengerClock, table.since) = (clock, clock, block.timestamp);
        (table.place, table.hi) = (repetitions, bigSteps);
        uint256 claims = parts(bigSteps, table.arity);
        (bytes32 start, bytes32 result) = endsOf(model, inputs, words, claims);
        if (result == asserted) revert Agrees();
        table.start = start;
        pass(table, words[words.length - claims:]);
    }

    // Slither finds equalities that somebody could shift a little. Here hashes are compared, and counts that
    // the stored state fixes.
    // slither-disable-start incorrect-equality

    /// @inheritdoc IDisputeGame
    function dissect(uint256 id, Game calldata game, Pick calldata pick, bytes32[] calldata words) external {
        Table memory table = begin(id, game, pick, words);
        uint256 units = table.hi - table.lo;
        if (units == 1) revert Units();
        if (words.length != table.used + parts(units, table.arity)) revert Count();
        if (words[words.length - 1] == table.rejected) revert Agrees();
        pass(table, words[table.used:]);
    }

    /// @inheritdoc IDisputeGame
    function enter(
        uint256 id,
        Game calldata game,
        Pick calldata pick,
        Program calldata program,
        uint256 leaf,
        bytes calldata end,
        bytes32[] calldata words
    ) external {
        Table memory table = begin(id, game, pick, words);
        requireBigStep(table);
        if (Models.hashOf(program) != table.subject) revert StateMismatch();
        if (table.start == VOID) revert Void();
        descend(table, program, leaf, end, words);
    }

    /// @inheritdoc IDisputeGame
    function proveVoid(uint256 id, Game calldata game, Pick calldata pick, bytes32[] calldata words)
        external
    {
        Table memory table = begin(id, game, pick, words);
        requireBigStep(table);
        if (table.start != VOID) revert Void();
        if (words.length != table.used) revert Count();
        if (table.rejected == VOID) revert Agrees();
        finish(id, table.asserterMoves);
    }

    /// @inheritdoc IDisputeGame
    function prove(
        uint256 id,
        Game calldata game,
        Pick calldata pick,
        bytes32[] calldata words,
        bytes[] calldata witnesses
    ) external {
        Table memory table = begin(id, game, pick, words);
        if (!table.inSteps) revert Level();
        if (words.length != table.used || witnesses.length != table.hi - table.lo) revert Count();
        if (afterSteps(table, witnesses) == table.rejected) revert Agrees();
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
    /// mover's clock, and narrows the segment to the picked part. The first words are the pair's siblings.
    function begin(uint256 id, Game calldata game, Pick calldata pick, bytes32[] calldata words)
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
        bytes32 claims;
        (claims, table.used) = Merkle.foldPair(pick.agreed, pick.rejected, part - 1, count + 1, words);
        // Only here it is known that the state is the game's.
        requireState(id, game, claims);
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

    /// @dev The memory root before the first big step, which is the image's memory with the inputs in place,
    /// and the result that belongs to the last claim.
    function endsOf(Model calldata model, bytes32 inputs, bytes32[] calldata words, uint256 claims)
        private
        pure
        returns (bytes32 start, bytes32 result)
    {
        uint256 depth = Models.depthOf(model.program.machine);
        uint256 used;
        (start, used) = Merkle.foldRegions(model.inputs, depth, words, false);
        if (words.length < used + claims) revert Count();
        bytes32[] calldata rest = words[used:];
        bytes32 last = rest[rest.length - 1];
        // The root to which the outputs lead.
        bytes32 end = VOID;
        used = 0;
        if (last != VOID) (end, used) = Merkle.foldRegions(model.outputs, depth, rest, false);
        if (rest.length != used + claims) revert Count();
        requireInputs(model, depth, inputs, words);
        if (end != last) revert Proof();
        result = last == VOID ? VOID : keccak256(abi.encodePacked(rest[:model.outputs.length]));
    }

    /// @dev Reverts unless the words are siblings of the image's inputs, and roots of these inputs.
    function requireInputs(Model calldata model, uint256 depth, bytes32 inputs, bytes32[] calldata words)
        private
        pure
    {
        // The words after the siblings are not used.
        // slither-disable-next-line unused-return
        (bytes32 image,) = Merkle.foldRegions(model.inputs, depth, words, true);
        if (image != model.memoryRoot) revert Proof();
        if (keccak256(abi.encodePacked(words[:model.inputs.length])) != inputs) revert Inputs();
    }

    /// @dev Goes from one big step to its machine steps.
    function descend(
        Table memory table,
        Program calldata program,
        uint256 leaf,
        bytes calldata end,
        bytes32[] calldata words
    ) private {
        uint256 bound = uint64(leaf);
        bound = bound == 0 ? 1 : bound > MAX_STEPS ? MAX_STEPS : bound;
        uint256 node = table.used + Merkle.depth(Models.leavesOf(program.shape));
        uint256 claims = node + 1 + levelsAbove(program, end);
        if (words.length != claims + parts(bound, table.arity)) revert Count();
        requireScheduled(program, table, leaf, words[table.used:node]);
        bytes32 last = words[words.length - 1];
        // Two hashes.
        // slither-disable-next-line incorrect-equality
        if (endOf(program, end, words[node:claims], last) == table.rejected) revert Agrees();
        table.start = startOf(program, table.start, uint64(leaf >> 64));
        table.subject = bytes32(program.machine);
        table.inSteps = true;
        (table.place, table.lo, table.hi) = (table.lo, 0, bound);
        pass(table, words[claims:]);
    }

    /// @dev Reverts unless the schedule has this leaf for the table's big step.
    function requireScheduled(
        Program calldata program,
        Table memory table,
        uint256 leaf,
        bytes32[] calldata siblings
    ) private pure {
        // The tree has the hash of the leaf's 16 bytes.
        if (leaf >> 128 != 0) revert Proof();
        bytes32 hash = keccak256(abi.encodePacked(uint128(leaf)));
        uint256 index = Models.leafOf(program.shape, table.place, table.lo);
        if (Merkle.fold(hash, index, siblings) != program.scheduleRoot) revert Proof();
    }

    /// @dev The levels between the scratch part and the root of memory, where scratch memory is zeroed after
    /// the big step; none if there is no memory after it, because it has not exited.
    function levelsAbove(Program calldata program, bytes calldata end) private pure returns (uint256) {
        if (end.length <= STATUS_AT - ROOTS || uint8(end[STATUS_AT - ROOTS]) != EXITED) return 0;
        return Models.memoryBitsOf(program.machine) - Models.scratchBitsOf(program.shape);
    }

    /// @dev The memory root with which a big step ends: that of its end state with the scratch part zeroed,
    /// or void.
    function endOf(Program calldata program, bytes calldata end, bytes32[] calldata path, bytes32 last)
        private
        pure
        returns (bytes32)
    {
        bytes32[] calldata siblings = path[1:];
        uint256 top = (uint256(1) << siblings.length) - 1;
        bytes32 memoryRoot = Merkle.fold(path[0], top, siblings);
        bool its = end.length > STATUS_AT - ROOTS
            && keccak256(abi.encodePacked(program.codeRoot, memoryRoot, end)) == last;
        if (!its) revert EndState();
        // The scratch part is never all of memory.
        return siblings.length == 0 ? VOID : Merkle.fold(bytes32(0), top, siblings);
    }

    /// @dev The state root after the steps of the table's part.
    function afterSteps(Table memory table, bytes[] calldata witnesses) private view returns (bytes32 root) {
        uint256 machine = uint256(table.subject);
        IStepVerifier verifier = IStepVerifier(verifierOf(Models.extensionsOf(machine)));
        root = table.start;
        for (uint256 i = 0; i < witnesses.length; ++i) {
            // The caller chooses how many, and pays for them.
            // slither-disable-next-line calls-loop
            try verifier.step(root, machine, witnesses[i]) returns (bytes32 successor) {
                root = successor;
            } catch {
                revert Witness();
            }
        }
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

    // ---- Views

    /// @inheritdoc IDisputeGame
    function gamesOf(uint256[] calldata ids) external view returns (bytes32[] memory found) {
        found = new bytes32[](ids.length);
        for (uint256 i = 0; i < ids.length; ++i) {
            found[i] = games[ids[i]];
        }
    }
}
