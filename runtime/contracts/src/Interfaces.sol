// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.24;

/// @notice What a machine executes, and in which order. Its hash is the program's name in a game.
/// @dev Two fields are packed (docs/formats.md, "Words of the contracts"). A field's bits are counted from
/// the lowest.
struct Program {
    /// The root of the code.
    bytes32 codeRoot;
    /// The machine: extensions << 136 | memory bits << 128 | code base << 64 | code size.
    uint256 machine;
    /// The root of the schedule's tree: a leaf for each big step of prologue, period and epilogue.
    bytes32 scheduleRoot;
    /// The shape: scratch bits << 176 | prologue << 144 | period << 112 | epilogue << 80 | least << 40 |
    /// most. The first is a logarithm of bytes; then come numbers of big steps; then how often the period may
    /// be repeated.
    uint256 shape;
}

/// @notice A program with its data. Its hash is the model's ID, on every chain.
/// @dev Each input and each output is a region of memory, which is an aligned subtree: level << 128 |
/// index << 64 | bytes. The level is counted from the leaves, the index within the level. The tensor is the
/// first bytes of the subtree; the rest of it is zero. Both lists are ascending by address.
struct Model {
    Program program;
    /// The root of memory in which every input region is zero.
    bytes32 memoryRoot;
    uint256[] inputs;
    uint256[] outputs;
}

/// @notice A running game, as each move passes it in.
/// @dev The contract stores one word: `keccak256(id, subject, position, claims)`. `claims` is the root of the
/// tree over the segment's agreed start and the claims of the side that moved last.
struct Game {
    /// While the segment consists of big steps: the hash of the program. After that: its machine.
    bytes32 subject;
    /// flags << 240 | asserter's clock << 208 | challenger's clock << 176 | since << 136 | place << 96 |
    /// lo << 48 | hi. Flag 1: the asserter moves. Flag 2: the segment consists of the machine steps of big
    /// step `place`; otherwise it consists of big steps, and `place` tells how often the period is repeated.
    uint256 position;
}

/// @notice The part of the opponent's claims that the mover disputes: it accepts the root where the part
/// begins and rejects the root where it ends.
struct Pick {
    /// The part's number, counted from 1.
    uint256 part;
    bytes32 agreed;
    bytes32 rejected;
}

/// @title The moves of a dispute and their errors.
/// @notice docs/protocol.md defines every move and the order in which errors are checked.
/// @dev The hashes that a move brings are in one list, `words`. First come the siblings that lead from the
/// picked pair to the root of the opponent's claims (docs/formats.md, "Pairs of claims"); the mover's own
/// claims, one for each part, come last.
interface IDisputeGame {
    /// @notice A side has moved. `game` is the state that the next move must pass in; `start` is the root on
    /// which both sides agree, and `claims` are the mover's claims.
    event Moved(uint256 indexed id, Game game, bytes32 start, bytes32[] claims);
    /// @notice Game `id` is over.
    event Won(uint256 indexed id, bool asserterWon);

    /// No image can have these values.
    error InvalidModel();
    /// The given game, claims or program are not those whose hash is stored.
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
    /// There are too few or too many words or witnesses.
    error Count();
    /// The input roots are not those of the run.
    error Inputs();
    /// The end state is not that of the last claim.
    error EndState();
    /// The move results in the claim that it rejects.
    error Agrees();
    /// The verifier refuses the witness.
    error Witness();

    /// @notice For a game's ID: the hash of its state while it runs; 1 if the asserter won, 2 if the
    /// challenger won, 3 if it ended because another game overturned the answer; 0 if there is no such game.
    function games(uint256 id) external view returns (bytes32);

    /// @notice The same for many games.
    function gamesOf(uint256[] calldata ids) external view returns (bytes32[] memory);

    /// @notice The hash that identifies a model.
    function hashOf(Model calldata model) external pure returns (bytes32);

    /// @notice Picks a part of the opponent's claims and cuts it into smaller parts, with one claim for each.
    /// @param words The pair's siblings, and the claims.
    function dissect(uint256 id, Game calldata game, Pick calldata pick, bytes32[] calldata words) external;

    /// @notice Picks one big step and goes down to its machine steps.
    /// @param leaf The big step's leaf in the schedule: entry << 64 | bound.
    /// @param end The end state without the roots of code and memory.
    /// @param words The pair's siblings; the leaf's siblings; the scratch part of the end state's memory and
    /// its siblings, or only that memory's root if the big step has not exited; the claims.
    function enter(
        uint256 id,
        Game calldata game,
        Pick calldata pick,
        Program calldata program,
        uint256 leaf,
        bytes calldata end,
        bytes32[] calldata words
    ) external;

    /// @notice Wins the game: after a void memory everything is void, and the opponent claims otherwise.
    /// @param words The pair's siblings.
    function proveVoid(uint256 id, Game calldata game, Pick calldata pick, bytes32[] calldata words) external;

    /// @notice Wins the game: the contract executes the steps of the picked part, and the result is not what
    /// the opponent claims.
    /// @param words The pair's siblings.
    /// @param witnesses One for each step.
    function prove(
        uint256 id,
        Game calldata game,
        Pick calldata pick,
        bytes32[] calldata words,
        bytes[] calldata witnesses
    ) external;

    /// @notice Ends a game whose mover has run out of time. Anyone may call it.
    /// @param claims The root of the claims, start included.
    function timeout(uint256 id, Game calldata game, bytes32 claims) external;
}

/// @title The game alone, without bonds.
interface IOpenDisputes is IDisputeGame {
    /// @notice Opens a game in which the sender challenges a result. It is not checked that `asserter`
    /// asserted it.
    /// @param inputs The keccak-256 hash of the roots of the input regions.
    /// @param asserted The keccak-256 hash of the roots of the output regions, or void.
    /// @param words The roots of the input regions and their siblings; the roots of the output regions in the
    /// memory of the last claim and their siblings, neither if that claim is void; the claims.
    function challenge(
        address asserter,
        uint16 arity,
        uint32 clock,
        Model calldata model,
        uint64 repetitions,
        bytes32 inputs,
        bytes32 asserted,
        bytes32[] calldata words
    ) external returns (uint256 id);
}

// ---- The service

/// @title The registry of models. The ID of a model is its hash.
/// @notice Anyone may register any model. Registering makes nobody its owner.
interface IModelRegistry {
    /// @notice The verifier of machines with these extensions was deployed.
    event Deployed(uint32 indexed extensions, address verifier);
    /// @notice A model was registered and can be used.
    event Registered(bytes32 indexed id, Model model);

    /// The creation code is not the one that the registry knows for these extensions.
    error CreationCode();
    /// The verifier cannot be deployed.
    error NotDeployed();
    /// The verifier of the model's machine is not deployed yet, or the registry knows none.
    error NoVerifier(uint32 extensions);
    /// There is no such model.
    error Unknown();
    /// There must be as many hashes as sets of extensions, and no set twice.
    error InvalidSets();

    /// @notice The sets of extensions whose verifiers the registry knows.
    function sets() external view returns (uint32[] memory);

    /// @notice The address of the verifier of machines with these extensions, deployed or not; zero if the
    /// registry knows none.
    function verifierOf(uint32 extensions) external view returns (address);

    /// @notice Deploys a verifier, unless it is deployed already. The hash of its creation code is fixed.
    function deployVerifier(uint32 extensions, bytes calldata creationCode) external returns (address);

    /// @notice Registers a model. The same model has the same ID, whoever registers it.
    function register(Model calldata model) external returns (bytes32 id);

    /// @notice What a request must know of a model; reverts if there is no such model.
    function cardOf(bytes32 id)
        external
        view
        returns (uint256 shape, uint256[] memory inputs, uint256[] memory outputs);
}

/// @notice The terms of a service. Times are in seconds, amounts in wei.
struct Terms {
    /// An answer can be challenged until this much time has passed since it was posted. It is also the notice
    /// period of a cancellation.
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

/// @notice How an input is given.
enum Source {
    /// The region's bytes, exactly as many as the model says.
    Bytes,
    /// The region's root, 32 bytes. The requester must get the bytes to servers and validators.
    Root,
    /// `abi.encodePacked(uint256 id, uint256 index, bytes32[] roots)`: output `index` of request `id`, whose
    /// answer is final and has regions with these roots.
    Result
}

/// @notice An input of a request.
struct Input {
    Source source;
    bytes data;
}

/// @notice What a requester orders.
struct Order {
    /// The ID of the model.
    bytes32 model;
    /// How often the model's period is repeated; zero means as often as the model allows.
    uint64 repetitions;
    /// Bit i: answers give output i by its root, 32 bytes, instead of its bytes.
    uint64 byRoot;
    /// The contract to call once the answer is final; zero for none.
    address callback;
    /// The gas of the callback.
    uint64 callbackGas;
    /// Data that the callback receives with the outputs.
    bytes callbackData;
}

/// @notice A request for an inference. Only `keccak256(id, request)` is stored.
struct Request {
    bytes32 model;
    /// The keccak-256 hash of the roots of the input regions.
    bytes32 inputs;
    /// Who gets the fee back if the request is cancelled.
    address requester;
    /// The fee for the answer, in wei.
    uint96 fee;
    uint64 repetitions;
    uint64 byRoot;
    address callback;
    uint64 callbackGas;
    /// The keccak-256 hash of the data that the callback receives with the outputs.
    bytes32 callbackData;
    /// The model's output regions.
    uint256[] outputs;
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
    /// The games that are running; once the answer is overturned, those that were.
    uint24 openGames;
    Standing standing;
    /// Whether the callback has succeeded, or there is none.
    bool delivered;
    /// The keccak-256 hash of the roots of the output regions, or void.
    bytes32 result;
}

/// @notice All that the service stores of a request.
struct RequestStatus {
    /// The hash of ID and request; zero if there is no such request or it was cancelled.
    bytes32 hash;
    /// When the requester may cancel it; zero if it gave no notice.
    uint64 cancellable;
    Answer answer;
}

/// @title Requests, answers, bonds and callbacks.
/// @notice An answer is final once its window is over and its asserter has won every game against it. It is
/// overturned when it loses one game; then the request can be answered again. docs/protocol.md has the rules.
/// @dev The IDs of requests are 1, 2, 3 and so on. The ID of a game is
/// `request << 176 | attempt << 160 | challenger`. Outputs are a list with one element for each output of the
/// model, in the form that the request's `byRoot` says, or an empty list if the run has none.
interface IInferenceService is IDisputeGame {
    /// @notice Somebody requests an inference.
    event Requested(
        uint256 indexed id, bytes32 indexed model, Request request, Input[] inputs, bytes callbackData
    );
    /// @notice The requester may cancel the request from this time on.
    event CancelNotice(uint256 indexed id, uint64 cancellable);
    /// @notice A request was cancelled; its fee went back to the requester.
    event Cancelled(uint256 indexed id);
    /// @notice Somebody answered with a bond. `outputs` is empty if the model has none for these inputs.
    event Answered(
        uint256 indexed id, uint16 attempt, address indexed asserter, bytes32 result, bytes[] outputs
    );
    /// @notice An answer is final. `delivered` is false only if there is a callback and it failed.
    event Settled(uint256 indexed id, bytes32 result, bool delivered);
    /// @notice A callback that had failed has succeeded.
    event Redelivered(uint256 indexed id);
    /// @notice An account did not take a payment, and can withdraw it.
    event Credited(address indexed account, uint256 wei_);
    /// @notice An account's balance was paid out.
    event Withdrawn(address indexed account, uint256 wei_);

    /// A term is outside the limits in docs/protocol.md.
    error InvalidTerms();
    /// The transaction does not send the required amount.
    error Value(uint256 expected);
    /// The order wants an output by its root that the model does not have.
    error ByRoot();
    /// The inputs or outputs are not as many, or not as long, as they must be.
    error Size();
    /// The model does not allow as many repetitions, or as few.
    error Repetitions();
    /// The callback gas exceeds MAX_CALLBACK_GAS (8,000,000).
    error CallbackGas();
    /// The given request is not the one whose hash is stored.
    error RequestMismatch();
    /// Only the requester can cancel, while no answer is pending or final.
    error NotCancellable();
    /// The notice period of the cancellation is not over.
    error Notice(uint64 cancellable);
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
    error OtherAnswer(bytes32 result);
    /// The request has too many answers, or the answer too many games.
    error TooMany();
    /// The window is still open, or a game is still running.
    error Unsettled();
    /// The outputs are not those of the answer, or the callback data is not the request's.
    error NotTheOutput();
    /// The transaction has too little gas for the callback.
    error Gas();
    /// The answer is not final.
    error NotFinal();
    /// There is no callback, or it has succeeded.
    error DeliveredAlready();
    /// The callback failed again.
    error CallbackFailed();
    /// The sender has no balance to withdraw.
    error Nothing();
    /// The account refuses the payment.
    error Refused();

    /// @notice Requests an inference. The amount sent is the fee for the answer.
    /// @param inputs One for each input of the model.
    function request(Order calldata order, Input[] calldata inputs) external payable returns (uint256 id);

    /// @notice Gives notice of a cancellation, or cancels once the notice period is over. Only the requester
    /// may call it, while no answer is pending or final. Cancelling pays the fee back to the requester.
    function cancel(uint256 id, Request calldata request_) external;

    /// @notice Answers a request, with a bond. No outputs at all assert that the model has none for these
    /// inputs.
    function answer(uint256 id, Request calldata request_, bytes[] calldata outputs) external payable;

    /// @notice Challenges the answer, with a bond: opens a game between the sender and the asserter.
    /// @param asserted The result that the sender disputes.
    /// @param words As in `IOpenDisputes.challenge`.
    function challenge(
        uint256 id,
        Request calldata request_,
        Model calldata model,
        bytes32 asserted,
        bytes32[] calldata words
    ) external payable returns (uint256 game);

    /// @notice Makes an answer final once it can no longer be overturned; calls the callback and pays bond
    /// and fee to the asserter. Without a callback, nothing looks at outputs and callback data.
    function settle(
        uint256 id,
        Request calldata request_,
        bytes[] calldata outputs,
        bytes calldata callbackData
    ) external;

    /// @notice Makes a callback again that failed when the answer was settled. Reverts if it fails again.
    function redeliver(
        uint256 id,
        Request calldata request_,
        bytes[] calldata outputs,
        bytes calldata callbackData
    ) external;

    /// @notice Pays back the bond of a challenger whose game was still running when another game overturned
    /// the answer, with a share of the asserter's bond.
    function reclaim(uint256 id, Game calldata game, bytes32 claims) external;

    /// @notice Pays out the sender's balance, with all gas.
    function withdraw() external;

    /// @notice The terms.
    function terms() external view returns (Terms memory);

    /// @notice The registry of the models.
    function registry() external view returns (IModelRegistry);

    /// @notice The number of requests so far, which is the ID of the last one.
    function requestCount() external view returns (uint256);

    /// @notice What is stored of these requests.
    function statusOf(uint256[] calldata ids) external view returns (RequestStatus[] memory);

    /// @notice The result of a final answer: the keccak-256 hash of the roots of the output regions, or void.
    /// Reverts if the answer is not final.
    function result(uint256 id) external view returns (bytes32);

    /// @notice The last answer to a request. It may be false: do not rely on it unless it is `Final`.
    function provisionalAnswer(uint256 id) external view returns (Answer memory);

    /// @notice What an account can withdraw, in wei: the payments that it did not take.
    function balances(address account) external view returns (uint256);
}

/// @title A contract that is called once an answer is final.
interface IInferenceConsumer {
    /// @notice The service calls this with the final outputs, until it succeeds once; there are none if the
    /// model has none for the inputs. Anyone can name any contract in a request: check that `requester` is
    /// one from whom you expect results, and `model` the one that you trust.
    function inferenceCallback(
        uint256 id,
        address requester,
        bytes32 model,
        bytes[] calldata outputs,
        bytes calldata callbackData
    ) external;
}
