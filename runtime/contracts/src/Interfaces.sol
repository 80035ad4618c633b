// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.24;

/// @notice An aligned subtree of memory: its level, counted from the leaves, and its index there.
struct Region {
    uint8 level;
    uint64 index;
}

/// @notice What a model is for the game.
struct Model {
    bytes32 codeRoot;
    bytes32 memoryRoot;
    bytes32 scheduleRoot;
    uint64 bigSteps;
    uint8 memoryBits;
    uint8 scratchBits;
    Region input;
    Region output;
    address verifier;
}

/// @notice A running game.
struct Game {
    /// The hash of the model.
    bytes32 model;
    address asserter;
    address challenger;
    /// How many parts a segment is cut into.
    uint16 arity;
    /// Whether the asserter is to move.
    bool asserterMoves;
    /// The seconds that each side has left.
    uint32 asserterClock;
    uint32 challengerClock;
    /// When the mover's clock began to run.
    uint64 since;
    /// Whether the segment is one of machine steps, of big step `bigStep`, and not one of big steps.
    bool inSteps;
    uint64 bigStep;
    uint64 lo;
    uint64 hi;
    /// The root at `lo`, agreed.
    bytes32 start;
    /// The Merkle root of the claims of the side that moved last.
    bytes32 claims;
}

/// @notice The first move, from the request to big steps.
struct Opening {
    bytes32 input;
    bytes32[] inputSiblings;
    bytes32[] claims;
    bytes32 output;
    bytes32[] outputSiblings;
}

/// @notice Which part of the opponent's claims is wrong: it begins right and ends wrong.
struct Pick {
    uint16 part;
    bytes32 begin;
    bytes32[] beginSiblings;
    bytes32 rejected;
    bytes32[] rejectedSiblings;
}

/// @notice The way from one big step to its machine steps.
struct Entry {
    uint64 entry;
    uint64 bound;
    bytes32[] scheduleSiblings;
    bytes endState;
    bytes32 scratch;
    bytes32[] scratchSiblings;
    bytes32[] claims;
}

/// @title The moves of a dispute, and what can be wrong with them.
/// @notice docs/protocol.md says what every move means, and in which order errors are looked for.
interface IDisputeGame {
    /// @notice The last mover's claims are in `claims`; `game` is the state that the next move brings along.
    event Moved(uint256 indexed id, Game game, bytes32[] claims);
    /// @notice Game `id` has ended.
    event Won(uint256 indexed id, bool asserterWon);

    /// The model or the arity is out of range.
    error InvalidModel();
    /// The game or the model in the move isn't the one whose hash is stored.
    error StateMismatch();
    /// The game has ended.
    error Over();
    /// It is the other side's turn.
    error Turn();
    /// The mover has no time left.
    error Late();
    /// The mover still has time.
    error Early();
    /// There is no such part.
    error Part();
    /// Siblings don't lead to the root.
    error Proof();
    /// The move belongs to the other level.
    error Level();
    /// The part has one unit where it must have more, or the other way round.
    error Units();
    /// The part begins void where it mustn't, or the other way round.
    error Void();
    /// There is not one claim for every part.
    error Count();
    /// The end state isn't what the last claim says.
    error EndState();
    /// The move comes to what the opponent claims.
    error Agrees();
    /// The verifier refuses the witness.
    error Witness();

    /// @notice By game: the hash of its state; 1 if the asserter has won it, 2 if the challenger has.
    function games(uint256 id) external view returns (bytes32);

    /// @notice The hash that names a model.
    function hashOf(Model calldata model) external pure returns (bytes32);

    /// @notice Picks a part and says what one's own roots are inside of it.
    function dissect(uint256 id, Game memory game, Pick calldata pick, bytes32[] calldata claims) external;

    /// @notice Picks one big step and goes down into its machine steps.
    function enter(uint256 id, Game memory game, Model calldata model, Pick calldata pick, Entry calldata entry)
        external;

    /// @notice Wins: what follows a void memory is void, and the opponent claims something else.
    function proveVoid(uint256 id, Game memory game, Pick calldata pick) external;

    /// @notice Wins: the contract executes the one step in dispute, and it does not lead where the opponent claims.
    function prove(uint256 id, Game memory game, Model calldata model, Pick calldata pick, bytes calldata witness)
        external;

    /// @notice Ends a game whose mover has no time left; anyone may call it.
    function timeout(uint256 id, Game memory game) external;
}

/// @title The bare game, without bonds.
interface IOpenDisputes is IDisputeGame {
    /// @notice Opens a game of the sender about what `asserter` is said to assert.
    function challenge(
        address asserter,
        uint16 arity,
        uint32 clock,
        Model calldata model,
        bytes32 inputRoot,
        bytes32 asserted,
        Opening calldata opening
    ) external returns (uint256 id);
}
