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

    /// @notice By game: the hash of its state; 1 if the asserter has won it, 2 if the challenger has, 3 if it ended with
    /// another; 0 if there is none.
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

// ---- The service

/// @notice The machine that a verifier is for.
struct Machine {
    /// Whether it has floats (RV64IMFD) or not (RV64IM).
    bool floats;
    uint8 memoryBits;
    uint64 codeBase;
    uint64 codeSize;
}

/// @notice A model as it is offered: what it computes, what goes in and out, and what its use costs.
struct Listing {
    Model model;
    /// How many bytes an input has; the rest of the input region is zero.
    uint64 inputBytes;
    /// How many bytes an output has; the rest of the output region is zero.
    uint64 outputBytes;
    /// Who is paid for each use that is answered.
    address licensor;
    /// How much, in wei.
    uint96 licenceFee;
    /// The keccak of the licence's text; zero if there is none.
    bytes32 licence;
}

/// @notice What the registry keeps of a listing.
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

/// @title The models that can be used, each named by the hash of its listing.
/// @notice Anyone may register anything: a name is a hash, so nobody can take or change another's.
interface IModelRegistry {
    /// @notice A verifier has been deployed.
    event Deployed(address indexed verifier, Machine machine);
    /// @notice A listing can be used.
    event Registered(bytes32 indexed id, Listing listing, Machine machine);

    /// The creation code isn't the one that the registry knows.
    error CreationCode();
    /// The machine has no verifier yet, or the model another one, or another size of memory.
    error NotItsVerifier(address expected);
    /// The verifier can't be deployed.
    error NotDeployed();
    /// There are no bytes in an input or an output, or more than in its region.
    error Size();
    /// There is no such listing.
    error Unknown();

    /// @notice The verifier of a machine; zero if it isn't deployed.
    function verifierOf(Machine calldata machine) external view returns (address);

    /// @notice Deploys the verifier of a machine, once; its creation code must be the known one.
    function deployVerifier(Machine calldata machine, bytes calldata creationCode) external returns (address);

    /// @notice Lists a model. The same listing has the same id, whoever registers it.
    function register(Listing calldata listing, Machine calldata machine) external returns (bytes32 id);

    /// @notice What is kept of a listing; reverts if there is none.
    function cardOf(bytes32 id) external view returns (Card memory);
}

/// @notice What everyone plays by. Times are in seconds, amounts in wei.
struct Terms {
    /// Answers can be challenged in the time from the answer to before this much later.
    uint32 window;
    /// The time of each side of a game.
    uint32 clock;
    /// Into how many parts a segment is cut.
    uint16 arity;
    /// What goes with an answer.
    uint96 asserterBond;
    /// What goes with a challenge.
    uint96 challengerBond;
    /// The part of a fallen answer's bond that nobody gets.
    uint96 burned;
}

/// @notice What somebody wants computed. Only its hash is stored.
struct Request {
    /// The hash of the model.
    bytes32 model;
    bytes32 inputRoot;
    /// Who gets the fee back if nobody answers.
    address requester;
    /// What the answer is worth, in wei.
    uint96 fee;
    address licensor;
    uint96 licenceFee;
    /// Who is called when the answer is final; nobody if zero.
    address callback;
    uint64 callbackGas;
    uint64 created;
    uint64 outputBytes;
    uint8 outputLevel;
    /// The keccak of what is handed to the callback beside the output.
    bytes32 callbackData;
}

/// @notice What an answer can be.
enum Standing {
    None,
    /// It may be challenged, or games go on.
    Pending,
    /// It stands.
    Final,
    /// It lost a game.
    Fallen
}

/// @notice The last answer to a request.
struct Answer {
    address asserter;
    uint40 posted;
    /// Which answer to its request it is, counted from 1.
    uint16 attempt;
    uint32 openGames;
    Standing standing;
    bytes32 outputRoot;
}

/// @title Requests, answers, bonds and callbacks.
/// @notice An answer is final once its window is over and every game against it is won by its asserter. It falls when
/// it loses one game; then the request may be answered again. docs/protocol.md has the rules.
/// @dev The id of a game is `request << 176 | attempt << 160 | challenger`.
interface IInferenceService is IDisputeGame {
    /// @notice Somebody wants this computed. `input` is empty if it was given by its root.
    event Requested(uint256 indexed id, bytes32 indexed listing, Request request, bytes input, bytes callbackData);
    /// @notice The fee has gone back to the requester.
    event Cancelled(uint256 indexed id);
    /// @notice Somebody has put down a bond for this output; it is empty if the model has none on this input.
    event Answered(uint256 indexed id, uint16 attempt, address indexed asserter, bytes32 outputRoot, bytes output);
    /// @notice An answer is final. `delivered` says whether there was a callback and it didn't fail.
    event Settled(uint256 indexed id, bytes32 outputRoot, bool delivered);
    /// @notice An account's money has left.
    event Withdrawn(address indexed account, uint256 wei_);

    /// The terms are not such that games can be played and lies cost.
    error InvalidTerms();
    /// Not the money that is asked for.
    error Value(uint256 expected);
    /// The input hasn't the size that the model wants, or the output.
    error Size();
    /// The callback asks for more gas than a transaction can give.
    error CallbackGas();
    /// The request isn't the one whose hash is stored.
    error RequestMismatch();
    /// The request can't be cancelled now, or not by the sender.
    error NotCancellable();
    /// There is an answer that stands or may come to stand.
    error AnsweredAlready();
    /// The answer is final or has fallen, or there is none.
    error Decided();
    /// Too late for a challenge.
    error WindowOver();
    /// Nobody plays against itself.
    error Itself();
    /// The sender has a game against this answer.
    error Challenged();
    /// The answer isn't the one that the sender disagrees with.
    error OtherAnswer(bytes32 outputRoot);
    /// The window is open, or a game goes on.
    error Unsettled();
    /// The output isn't the one that was asserted, or the data not those of the request.
    error NotTheOutput();
    /// There is too little gas for the callback.
    error Gas();
    /// The answer isn't final.
    error NotFinal();
    /// There is nothing to be had.
    error Nothing();
    /// The account doesn't take its money.
    error Refused();

    /// @notice Asks for an inference on these bytes. The money is the licence fee and the fee for the answer.
    /// @param listing The model, by its id in the registry.
    /// @param input All inputs as they lie in the input region.
    /// @param callback Who is called when the answer is final; zero for nobody.
    /// @param callbackGas With how much gas.
    /// @param callbackData What it is handed beside the output.
    function requestCallback(
        bytes32 listing,
        bytes calldata input,
        address callback,
        uint64 callbackGas,
        bytes calldata callbackData
    ) external payable returns (uint256 id);

    /// @notice The same for an input that is known by its root. Who wants an answer must see to it that servers have it.
    function requestByRoot(
        bytes32 listing,
        bytes32 inputRoot,
        address callback,
        uint64 callbackGas,
        bytes calldata callbackData
    ) external payable returns (uint256 id);

    /// @notice Takes the money back; for the requester, once the window's time has passed without an answer that stands.
    function cancel(uint256 id, Request calldata request) external;

    /// @notice Answers a request with a bond. No output at all says that the model has none on this input.
    function answer(uint256 id, Request calldata request, bytes calldata output) external payable;

    /// @notice Opens a game of the sender against the answer, with a bond.
    /// @param asserted The output root that the sender disagrees with.
    function challenge(
        uint256 id,
        Request calldata request,
        Model calldata model,
        bytes32 asserted,
        Opening calldata opening
    ) external payable returns (uint256 game);

    /// @notice Makes an answer final that nobody can bring down any more, pays, and calls back.
    function settle(uint256 id, Request calldata request, bytes calldata output, bytes calldata callbackData) external;

    /// @notice Returns the bond of a challenger whose game was open when the answer fell to another one.
    function reclaim(uint256 game, Game calldata state) external;

    /// @notice Pays out the sender's balance.
    function withdraw() external;

    /// @notice The terms.
    function terms() external view returns (Terms memory);

    /// @notice The registry of the models.
    function registry() external view returns (IModelRegistry);

    /// @notice By request: the hash of its fields; zero if there is none or it was cancelled.
    function requests(uint256 id) external view returns (bytes32);

    /// @notice The output root of a final answer; reverts if there is none.
    function result(uint256 id) external view returns (bytes32);

    /// @notice The last answer to a request, which may be false: nobody may rely on it that isn't `Final`.
    function provisionalAnswer(uint256 id) external view returns (Answer memory);

    /// @notice What an account can withdraw, in wei.
    function balances(address account) external view returns (uint256);
}

/// @title Who wants to be called when an answer is final.
interface IInferenceConsumer {
    /// @notice Called once, by the service, with the final output; it is empty if the model has none on this input.
    function inferenceCallback(uint256 id, bytes calldata output, bytes calldata callbackData) external;
}
