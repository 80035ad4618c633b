// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.24;

/// @notice An aligned subtree of memory: its level, counted from the leaves, and its index in that level.
struct Subtree {
    uint8 level;
    uint64 index;
}

/// @notice A model, as the game sees it.
struct Model {
    bytes32 codeRoot;
    bytes32 memoryRoot;
    bytes32 scheduleRoot;
    uint64 bigSteps;
    uint8 memoryBits;
    uint8 scratchBits;
    Subtree input;
    Subtree output;
    address verifier;
}

/// @notice A running game.
struct Game {
    /// The hash of the model.
    bytes32 model;
    address asserter;
    address challenger;
    /// The number of parts that a segment is cut into.
    uint16 arity;
    /// Whether it is the asserter's turn.
    bool asserterMoves;
    /// The seconds that each side has left.
    uint32 asserterClock;
    uint32 challengerClock;
    /// When the mover's clock started.
    uint64 since;
    /// Whether the segment consists of machine steps of big step `bigStep`; otherwise it consists of big
    /// steps.
    bool inSteps;
    uint64 bigStep;
    uint64 lo;
    uint64 hi;
    /// The root at `lo`, on which both sides agree.
    bytes32 start;
    /// The Merkle root of the claims of the side that moved last.
    bytes32 claims;
}

/// @notice The challenger's first move: it goes from the request to big steps.
struct Opening {
    bytes32 input;
    bytes32[] inputSiblings;
    bytes32[] claims;
    bytes32 output;
    bytes32[] outputSiblings;
}

/// @notice The part of the opponent's claims that the mover disputes: it accepts the root where the part
/// begins and rejects the root where it ends.
struct Pick {
    uint16 part;
    bytes32 begin;
    bytes32[] beginSiblings;
    bytes32 rejected;
    bytes32[] rejectedSiblings;
}

/// @notice What a move brings to go from one big step to its machine steps.
struct BigStepEntry {
    uint64 entry;
    uint64 bound;
    bytes32[] scheduleSiblings;
    bytes endState;
    bytes32 scratch;
    bytes32[] scratchSiblings;
    bytes32[] claims;
}

/// @title The moves of a dispute and their errors.
/// @notice docs/protocol.md defines every move and the order in which errors are checked.
interface IDisputeGame {
    /// @notice A side has moved. `claims` are its claims; `game` is the state that the next move must pass
    /// in.
    event Moved(uint256 indexed id, Game game, bytes32[] claims);
    /// @notice Game `id` is over.
    event Won(uint256 indexed id, bool asserterWon);

    /// The model or the arity is out of range.
    error InvalidModel();
    /// The hash of the given game or model is not the stored one.
    error StateMismatch();
    /// The game is over.
    error Over();
    /// It is the other side's turn.
    error Turn();
    /// The mover has no time left.
    error Late();
    /// The mover still has time.
    error Early();
    /// There is no such part.
    error Part();
    /// A Merkle proof does not lead to its root.
    error Proof();
    /// The move belongs to the other level.
    error Level();
    /// The part must have more than one unit for this move, or exactly one.
    error Units();
    /// The part must not begin void for this move, or must.
    error Void();
    /// There must be one claim for every part.
    error Count();
    /// The end state is not that of the last claim.
    error EndState();
    /// The move results in the claim that it rejects.
    error Agrees();
    /// The verifier refuses the witness.
    error Witness();

    /// @notice For a game's ID: the hash of its state while it runs; 1 if the asserter won, 2 if the
    /// challenger won, 3 if it ended because another game overturned the answer; 0 if there is no such game.
    function games(uint256 id) external view returns (bytes32);

    /// @notice The hash that identifies a model.
    function hashOf(Model calldata model) external pure returns (bytes32);

    /// @notice Picks a part of the opponent's claims and cuts it into smaller parts, with one claim for each.
    function dissect(uint256 id, Game memory game, Pick calldata pick, bytes32[] calldata claims) external;

    /// @notice Picks one big step and goes down to its machine steps.
    function enter(
        uint256 id,
        Game memory game,
        Model calldata model,
        Pick calldata pick,
        BigStepEntry calldata entry
    ) external;

    /// @notice Wins the game: after a void memory everything is void, and the opponent claims otherwise.
    function proveVoid(uint256 id, Game memory game, Pick calldata pick) external;

    /// @notice Wins the game: the contract executes the one step in dispute, and its result is not what the
    /// opponent claims.
    function prove(
        uint256 id,
        Game memory game,
        Model calldata model,
        Pick calldata pick,
        bytes calldata witness
    ) external;

    /// @notice Ends a game whose mover has run out of time. Anyone may call it.
    function timeout(uint256 id, Game memory game) external;
}

/// @title The game alone, without bonds.
interface IOpenDisputes is IDisputeGame {
    /// @notice Opens a game in which the sender challenges an output root. It is not checked that `asserter`
    /// asserted it.
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

// ---- The service

/// @notice The machine whose steps a verifier executes.
struct Machine {
    /// Whether it has floats (RV64IMFD) or not (RV64IM).
    bool floats;
    uint8 memoryBits;
    uint64 codeBase;
    uint64 codeSize;
}

/// @notice A model on offer: what it computes, its input and output sizes, and its licence fee.
struct Listing {
    Model model;
    /// The bytes of an input. The rest of the input region is zero.
    uint64 inputBytes;
    /// The bytes of an output. The rest of the output region is zero.
    uint64 outputBytes;
    /// Who receives the licence fee of every settled request.
    address licensor;
    /// The licence fee, in wei.
    uint96 licenceFee;
    /// The keccak-256 hash of the licence's text; zero if there is none.
    bytes32 licence;
}

/// @notice What the registry stores of a listing.
struct Card {
    /// The hash of the model.
    bytes32 model;
    uint64 inputBytes;
    uint64 outputBytes;
    uint8 inputLevel;
    uint8 outputLevel;
    address licensor;
    uint96 licenceFee;
}

/// @title The registry of models. The ID of a listing is its hash.
/// @notice Anyone may register any model. An ID is a hash, so nobody can take or change the listing of
/// somebody else.
interface IModelRegistry {
    /// @notice A verifier was deployed.
    event Deployed(address indexed verifier, Machine machine);
    /// @notice A listing was registered and can be used.
    event Registered(bytes32 indexed id, Listing listing, Machine machine);

    /// The creation code is not the one that the registry knows.
    error CreationCode();
    /// The machine has no verifier yet, or the model names another verifier or memory size.
    error NotItsVerifier(address expected);
    /// The verifier cannot be deployed.
    error NotDeployed();
    /// An input or output has no bytes, or more than its region holds.
    error Size();
    /// There is no such listing.
    error Unknown();

    /// @notice The verifier of a machine; zero if none is deployed.
    function verifierOf(Machine calldata machine) external view returns (address);

    /// @notice Deploys the verifier of a machine, unless it is deployed already. The hash of its creation
    /// code is fixed.
    function deployVerifier(Machine calldata machine, bytes calldata creationCode) external returns (address);

    /// @notice Registers a model. The same listing has the same ID, whoever registers it.
    function register(Listing calldata listing, Machine calldata machine) external returns (bytes32 id);

    /// @notice The stored part of a listing; reverts if there is no such listing.
    function cardOf(bytes32 id) external view returns (Card memory);
}

/// @notice The terms of a service. Times are in seconds, amounts in wei.
struct Terms {
    /// An answer can be challenged until this much time has passed since it was posted.
    uint32 window;
    /// The total time that each side has for its moves in a game.
    uint32 clock;
    /// The number of parts that a segment is cut into.
    uint16 arity;
    /// The bond that an answer must bring.
    uint96 asserterBond;
    /// The bond that a challenge must bring.
    uint96 challengerBond;
    /// The part of an overturned answer's bond that is burned.
    uint96 burned;
}

/// @notice A request for an inference. Only its hash is stored.
struct Request {
    /// The hash of the model.
    bytes32 model;
    bytes32 inputRoot;
    /// Who gets the fees back if the request is cancelled.
    address requester;
    /// The fee for the answer, in wei.
    uint96 fee;
    address licensor;
    uint96 licenceFee;
    /// The contract to call once the answer is final; zero for none.
    address callback;
    uint64 callbackGas;
    uint64 created;
    uint64 outputBytes;
    uint8 outputLevel;
    /// The keccak-256 hash of the data that the callback receives with the output.
    bytes32 callbackData;
}

/// @notice The status of a request's last answer.
enum Standing {
    /// There is no answer yet.
    None,
    /// The answer can be challenged, or games against it are running.
    Pending,
    /// The answer stands and can no longer change.
    Final,
    /// The answer lost a game. The request can be answered again.
    Overturned
}

/// @notice The last answer to a request.
struct Answer {
    address asserter;
    uint40 posted;
    /// The number of the answer among those to its request, counted from 1.
    uint16 attempt;
    uint32 openGames;
    Standing standing;
    bytes32 outputRoot;
}

/// @title Requests, answers, bonds and callbacks.
/// @notice An answer is final once its window is over and its asserter has won every game against it. It is
/// overturned when it loses one game; then the request can be answered again. docs/protocol.md has the rules.
/// @dev The ID of a game is `request << 176 | attempt << 160 | challenger`.
interface IInferenceService is IDisputeGame {
    /// @notice Somebody requests an inference. `input` is empty if it was given by its root.
    event Requested(
        uint256 indexed id, bytes32 indexed listing, Request request, bytes input, bytes callbackData
    );
    /// @notice A request was cancelled; its fees were credited to the requester.
    event Cancelled(uint256 indexed id);
    /// @notice Somebody answered with a bond. `output` is empty if the model has no output for this input.
    event Answered(
        uint256 indexed id, uint16 attempt, address indexed asserter, bytes32 outputRoot, bytes output
    );
    /// @notice An answer is final. `delivered` tells whether there was a callback and it succeeded.
    event Settled(uint256 indexed id, bytes32 outputRoot, bool delivered);
    /// @notice An account's balance was paid out.
    event Withdrawn(address indexed account, uint256 wei_);

    /// A time or bond is zero, the arity is out of range, or more would be burned than is bonded.
    error InvalidTerms();
    /// The transaction does not send the required amount.
    error Value(uint256 expected);
    /// The input or output does not have the size that the model requires.
    error Size();
    /// The callback gas exceeds MAX_CALLBACK_GAS (8,000,000).
    error CallbackGas();
    /// The hash of the given request is not the stored one.
    error RequestMismatch();
    /// Only the requester can cancel, a window after the request, while no answer is pending or final.
    error NotCancellable();
    /// The request has an answer that is pending or final.
    error AnsweredAlready();
    /// There is no answer, or it is final or overturned.
    error Decided();
    /// The challenge window is over.
    error WindowOver();
    /// The asserter cannot challenge its own answer.
    error Itself();
    /// The sender already has, or had, a game against this answer.
    error Challenged();
    /// The answer is not the one that the challenge is against.
    error OtherAnswer(bytes32 outputRoot);
    /// The window is still open, or a game is still running.
    error Unsettled();
    /// The output is not the asserted one, or the callback data is not the request's.
    error NotTheOutput();
    /// The transaction has too little gas for the callback.
    error Gas();
    /// The answer is not final.
    error NotFinal();
    /// The sender has no balance to withdraw.
    error Nothing();
    /// The account refuses the payment.
    error Refused();

    /// @notice Requests an inference on these bytes. The amount sent is the licence fee plus the fee for the
    /// answer.
    /// @param listing The ID of the model's listing in the registry.
    /// @param input The bytes of all inputs, as they lie in the input region.
    /// @param callback The contract to call once the answer is final; zero for none.
    /// @param callbackGas The gas of the callback.
    /// @param callbackData Data that the callback receives with the output.
    function requestCallback(
        bytes32 listing,
        bytes calldata input,
        address callback,
        uint64 callbackGas,
        bytes calldata callbackData
    ) external payable returns (uint256 id);

    /// @notice Requests an inference on an input that is given by its root. The requester must get the input
    /// to servers and validators.
    function requestByRoot(
        bytes32 listing,
        bytes32 inputRoot,
        address callback,
        uint64 callbackGas,
        bytes calldata callbackData
    ) external payable returns (uint256 id);

    /// @notice Cancels a request and credits its fees to the requester. Only the requester may call it, once
    /// a window's time has passed since the request, while no answer is pending or final.
    function cancel(uint256 id, Request calldata request) external;

    /// @notice Answers a request, with a bond. An empty output asserts that the model has no output for this
    /// input.
    function answer(uint256 id, Request calldata request, bytes calldata output) external payable;

    /// @notice Challenges the answer, with a bond: opens a game between the sender and the asserter.
    /// @param asserted The output root that the sender disputes.
    function challenge(
        uint256 id,
        Request calldata request,
        Model calldata model,
        bytes32 asserted,
        Opening calldata opening
    ) external payable returns (uint256 game);

    /// @notice Makes an answer final once it can no longer be overturned; credits the fees and calls the
    /// callback.
    function settle(uint256 id, Request calldata request, bytes calldata output, bytes calldata callbackData)
        external;

    /// @notice Returns the bond of a challenger whose game was still open when another game overturned the
    /// answer.
    function reclaim(uint256 game, Game calldata state) external;

    /// @notice Pays out the sender's balance.
    function withdraw() external;

    /// @notice The terms.
    function terms() external view returns (Terms memory);

    /// @notice The registry of the models.
    function registry() external view returns (IModelRegistry);

    /// @notice The hash of a request; zero if there is no such request or it was cancelled.
    function requests(uint256 id) external view returns (bytes32);

    /// @notice The output root of a final answer; reverts if the answer is not final.
    function result(uint256 id) external view returns (bytes32);

    /// @notice The last answer to a request. It may be false: do not rely on it unless it is `Final`.
    function provisionalAnswer(uint256 id) external view returns (Answer memory);

    /// @notice What an account can withdraw, in wei.
    function balances(address account) external view returns (uint256);
}

/// @title A contract that is called once an answer is final.
interface IInferenceConsumer {
    /// @notice The service calls this once, with the final output; it is empty if the model has no output for
    /// the input.
    function inferenceCallback(uint256 id, bytes calldata output, bytes calldata callbackData) external;
}
