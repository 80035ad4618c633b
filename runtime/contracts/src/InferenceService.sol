// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.24;

import {DisputeGame} from "./DisputeGame.sol";
import {
    Answer,
    Game,
    IInferenceConsumer,
    IInferenceService,
    IModelRegistry,
    Model,
    Opening,
    Order,
    Request,
    RequestStatus,
    Standing,
    Terms
} from "./Interfaces.sol";
import {Merkle} from "./Merkle.sol";
import {Models} from "./Models.sol";

/// @title Requests, bonded answers, bonded challenges, and callbacks once an answer is final.
/// @notice The contract has no owner, and nothing can be changed once it is deployed. Money leaves only
/// through `withdraw`, to the account it was credited to. `game::dispute` in Rust is the same without
/// requests, fees and callbacks.
contract InferenceService is DisputeGame, IInferenceService {
    /// @notice The most gas that a request can ask for its callback.
    uint256 public constant MAX_CALLBACK_GAS = 8_000_000;
    /// @notice The least and the most for window and clock, in seconds.
    uint256 public constant MIN_TIME = 10;
    uint256 public constant MAX_TIME = 365 days;
    /// @notice The least bond, in wei.
    uint256 public constant MIN_BOND = 1e15;
    /// @dev The gas that is kept for the rest of `settle` when a callback uses all of its own.
    uint256 private constant RESERVED_GAS = 40_000;
    uint256 private constant REQUEST_SHIFT = 176;
    uint256 private constant ATTEMPT_SHIFT = 160;

    /// @inheritdoc IInferenceService
    IModelRegistry public immutable registry;
    uint32 private immutable WINDOW;
    uint32 private immutable CLOCK;
    uint16 private immutable ARITY;
    uint96 private immutable ASSERTER_BOND;
    uint96 private immutable CHALLENGER_BOND;
    uint96 private immutable BURNED;

    /// @inheritdoc IInferenceService
    uint256 public requestCount;
    mapping(uint256 id => bytes32) private requests;
    mapping(uint256 id => uint256) private cancellable;
    mapping(uint256 id => Answer) private answers;
    /// @dev For an overturned answer (`request << 16 | attempt`): what each challenger gets whose game was
    /// still running, beside its bond.
    mapping(uint256 overturned => uint256) private shares;
    /// @dev The verifiers, as the registry has them.
    mapping(uint32 extensions => address) private verifiers;
    /// @inheritdoc IInferenceService
    mapping(address account => uint256) public balances;

    constructor(IModelRegistry models, Terms memory agreed) {
        bool timely = agreed.window >= MIN_TIME && agreed.window <= MAX_TIME && agreed.clock >= MIN_TIME
            && agreed.clock <= MAX_TIME;
        // A tenth to nine tenths of the bond burn: the former deters, the latter pays whoever wins.
        // Rounding by a few wei is harmless.
        // slither-disable-next-line divide-before-multiply
        bool costly = agreed.asserterBond >= MIN_BOND && agreed.challengerBond >= MIN_BOND
            && agreed.burned >= agreed.asserterBond / 10 && agreed.burned <= agreed.asserterBond / 10 * 9;
        if (!timely || !costly || agreed.arity < 2 || agreed.arity > MAX_ARITY) revert InvalidTerms();
        registry = models;
        (WINDOW, CLOCK, ARITY) = (agreed.window, agreed.clock, agreed.arity);
        (ASSERTER_BOND, CHALLENGER_BOND, BURNED) = (agreed.asserterBond, agreed.challengerBond, agreed.burned);
        uint32[] memory sets = models.sets();
        for (uint256 i = 0; i < sets.length; ++i) {
            // The deployer chooses the registry, and with it how many sets there are.
            // slither-disable-next-line calls-loop
            verifiers[sets[i]] = models.verifierOf(sets[i]);
        }
    }

    // ---- Requests

    /// @inheritdoc IInferenceService
    function request(Order calldata order, bytes calldata input) external payable returns (uint256 id) {
        (uint256 region, uint256 output, uint256 shape) = registry.cardOf(order.model);
        // An input is never truncated or padded.
        if (input.length != Models.bytesOf(region)) revert Size();
        bytes32 inputRoot = Merkle.rootOfMemory(input, Models.levelOf(region));
        Request memory made;
        (id, made) = store(order, inputRoot, output, shape);
        emit Requested(id, order.model, made, input, order.callbackData);
    }

    /// @inheritdoc IInferenceService
    function requestByRoot(Order calldata order, bytes32 inputRoot) external payable returns (uint256 id) {
        // The input's region does not matter: its root is given.
        // slither-disable-next-line unused-return
        (, uint256 output, uint256 shape) = registry.cardOf(order.model);
        Request memory made;
        (id, made) = store(order, inputRoot, output, shape);
        emit Requested(id, order.model, made, "", order.callbackData);
    }

    /// @inheritdoc IInferenceService
    function cancel(uint256 id, Request calldata request_) external {
        requireRequest(id, request_);
        Standing standing = answers[id].standing;
        bool unanswered = standing == Standing.None || standing == Standing.Overturned;
        if (!unanswered || msg.sender != request_.requester) revert NotCancellable();
        uint256 from = cancellable[id];
        if (from == 0) {
            from = block.timestamp + WINDOW;
            cancellable[id] = from;
            emit CancelNotice(id, uint64(from));
            return;
        }
        if (block.timestamp < from) revert Notice(uint64(from));
        delete requests[id];
        balances[request_.requester] += request_.fee;
        emit Cancelled(id);
    }

    function store(Order calldata order, bytes32 inputRoot, uint256 output, uint256 shape)
        private
        returns (uint256 id, Request memory made)
    {
        if (order.callbackGas > MAX_CALLBACK_GAS) revert CallbackGas();
        if (msg.value > type(uint96).max) revert Value(type(uint96).max);
        (uint256 least, uint256 most) = Models.repetitionsOf(shape);
        uint256 repetitions = order.repetitions == 0 ? most : order.repetitions;
        if (repetitions < least || repetitions > most) revert Repetitions();
        made.model = order.model;
        made.inputRoot = inputRoot;
        (made.requester, made.fee) = (msg.sender, uint96(msg.value));
        (made.repetitions, made.output) = (uint64(repetitions), output);
        (made.callback, made.callbackGas) = (order.callback, order.callbackGas);
        made.callbackData = keccak256(order.callbackData);
        id = ++requestCount;
        requests[id] = keccak256(abi.encode(id, made));
    }

    function requireRequest(uint256 id, Request calldata request_) private view {
        if (requests[id] != keccak256(abi.encode(id, request_))) revert RequestMismatch();
    }

    // ---- Answers

    /// @inheritdoc IInferenceService
    function answer(uint256 id, Request calldata request_, bytes calldata output) external payable {
        requireRequest(id, request_);
        requireValue(ASSERTER_BOND);
        Answer memory given = answers[id];
        if (given.standing == Standing.Pending || given.standing == Standing.Final) revert AnsweredAlready();
        bytes32 root = outputRoot(request_, output);
        ++given.attempt;
        (given.asserter, given.posted, given.openGames) = (msg.sender, uint40(block.timestamp), 0);
        (given.standing, given.outputRoot) = (Standing.Pending, root);
        answers[id] = given;
        emit Answered(id, given.attempt, msg.sender, root, output);
    }

    /// @inheritdoc IInferenceService
    function settle(uint256 id, Request calldata request_, bytes calldata output, bytes calldata callbackData)
        external
    {
        requireRequest(id, request_);
        Answer storage given = answers[id];
        if (given.standing != Standing.Pending) revert Decided();
        if (given.openGames != 0 || block.timestamp - given.posted < WINDOW) revert Unsettled();
        bytes32 root = given.outputRoot;
        requireOutput(request_, output, callbackData, root);
        given.standing = Standing.Final;
        // Set before the call, so that nobody can have it made twice from inside.
        given.delivered = true;
        balances[given.asserter] += uint256(ASSERTER_BOND) + request_.fee;
        bool delivered = request_.callback == address(0) || deliver(id, request_, output, callbackData);
        if (!delivered) given.delivered = false;
        emit Settled(id, root, delivered);
    }

    /// @inheritdoc IInferenceService
    function redeliver(
        uint256 id,
        Request calldata request_,
        bytes calldata output,
        bytes calldata callbackData
    ) external {
        requireRequest(id, request_);
        Answer storage given = answers[id];
        if (given.standing != Standing.Final) revert NotFinal();
        if (given.delivered) revert DeliveredAlready();
        requireOutput(request_, output, callbackData, given.outputRoot);
        given.delivered = true;
        emit Redelivered(id);
        if (!deliver(id, request_, output, callbackData)) revert CallbackFailed();
    }

    /// @dev A consumer can harm only itself: it gets the gas that the request asked for, its failure changes
    /// nothing, and its return data is not read.
    function deliver(
        uint256 id,
        Request calldata request_,
        bytes calldata output,
        bytes calldata callbackData
    ) private returns (bool delivered) {
        bytes memory data = abi.encodeCall(
            IInferenceConsumer.inferenceCallback,
            (id, request_.requester, request_.model, output, callbackData)
        );
        (address callback, uint256 callbackGas) = (request_.callback, request_.callbackGas);
        // A call gets at most 63/64 of the remaining gas (EIP-150).
        if (gasleft() < callbackGas + callbackGas / 63 + RESERVED_GAS) revert Gas();
        assembly ("memory-safe") {
            delivered := call(callbackGas, callback, 0, add(data, 32), mload(data), 0, 0)
        }
    }

    function requireOutput(
        Request calldata request_,
        bytes calldata output,
        bytes calldata callbackData,
        bytes32 root
    ) private pure {
        bool its = outputRoot(request_, output) == root && keccak256(callbackData) == request_.callbackData;
        if (!its) revert NotTheOutput();
    }

    /// @dev The root of an output. An empty output is void.
    function outputRoot(Request calldata request_, bytes calldata output) private pure returns (bytes32) {
        if (output.length == 0) return VOID;
        if (output.length != Models.bytesOf(request_.output)) revert Size();
        return Merkle.rootOfMemory(output, Models.levelOf(request_.output));
    }

    // ---- Challenges

    /// @inheritdoc IInferenceService
    function challenge(
        uint256 id,
        Request calldata request_,
        Model calldata model,
        bytes32 asserted,
        Opening calldata opening
    ) external payable returns (uint256 game) {
        requireRequest(id, request_);
        requireValue(CHALLENGER_BOND);
        Answer memory given = answers[id];
        if (given.standing != Standing.Pending) revert Decided();
        if (block.timestamp - given.posted >= WINDOW) revert WindowOver();
        if (msg.sender == given.asserter) revert Itself();
        // A reorganization may have put another answer in its place, and that one may be right.
        if (given.outputRoot != asserted) revert OtherAnswer(given.outputRoot);
        game = id << REQUEST_SHIFT | uint256(given.attempt) << ATTEMPT_SHIFT | uint160(msg.sender);
        if (games[game] != 0) revert Challenged();
        if (hashOf(model) != request_.model) revert StateMismatch();
        ++answers[id].openGames;
        openGame(game, model, request_.repetitions, CLOCK, request_.inputRoot, asserted, opening);
    }

    /// @inheritdoc IInferenceService
    function reclaim(uint256 id, Game calldata game, bytes32 claims) external {
        if (isAlive(id)) revert Unsettled();
        close(id, game, claims);
        balances[playerOf(id, false)] += CHALLENGER_BOND + shares[id >> ATTEMPT_SHIFT];
    }

    /// @inheritdoc DisputeGame
    function requireAlive(uint256 game) internal view override {
        if (!isAlive(game)) revert Decided();
    }

    /// @dev Whether the answer that a game is against is still pending.
    function isAlive(uint256 game) private view returns (bool) {
        Answer storage given = answers[game >> REQUEST_SHIFT];
        return given.standing == Standing.Pending && given.attempt == uint16(game >> ATTEMPT_SHIFT);
    }

    /// @inheritdoc DisputeGame
    function playerOf(uint256 game, bool asserter) internal view override returns (address) {
        // The game is against the last answer as long as moves are made.
        return asserter ? answers[game >> REQUEST_SHIFT].asserter : address(uint160(game));
    }

    /// @inheritdoc DisputeGame
    function arityOf(uint256) internal view override returns (uint256) {
        return ARITY;
    }

    /// @inheritdoc DisputeGame
    function verifierOf(uint32 extensions) internal view override returns (address) {
        return verifiers[extensions];
    }

    /// @inheritdoc DisputeGame
    function won(uint256 id, bool asserterWon) internal override {
        Answer storage given = answers[id >> REQUEST_SHIFT];
        uint256 others = --given.openGames;
        if (asserterWon) {
            balances[given.asserter] += CHALLENGER_BOND;
            return;
        }
        given.standing = Standing.Overturned;
        uint256 prize = ASSERTER_BOND - BURNED;
        // Whoever was on the way to win as well gets a share, so that a friend of the asserter who wins first
        // does not take everything.
        if (others != 0) {
            // What the division leaves over is the winner's.
            // slither-disable-next-line divide-before-multiply
            uint256 share = prize / 2 / others;
            shares[id >> ATTEMPT_SHIFT] = share;
            prize -= share * others;
        }
        balances[playerOf(id, false)] += CHALLENGER_BOND + prize;
    }

    // ---- Money

    /// @inheritdoc IInferenceService
    function withdraw() external {
        uint256 amount = balances[msg.sender];
        if (amount == 0) revert Nothing();
        balances[msg.sender] = 0;
        emit Withdrawn(msg.sender, amount);
        // `transfer` would fail for accounts whose code needs more than 2,300 gas.
        // slither-disable-next-line low-level-calls
        (bool taken,) = msg.sender.call{value: amount}("");
        if (!taken) revert Refused();
    }

    function requireValue(uint256 expected) private view {
        if (msg.value != expected) revert Value(expected);
    }

    // ---- Views

    /// @inheritdoc IInferenceService
    function terms() external view returns (Terms memory) {
        return Terms({
            window: WINDOW,
            clock: CLOCK,
            arity: ARITY,
            asserterBond: ASSERTER_BOND,
            challengerBond: CHALLENGER_BOND,
            burned: BURNED
        });
    }

    /// @inheritdoc IInferenceService
    function statusOf(uint256[] calldata ids) external view returns (RequestStatus[] memory found) {
        found = new RequestStatus[](ids.length);
        for (uint256 i = 0; i < ids.length; ++i) {
            uint256 id = ids[i];
            found[i] = RequestStatus(requests[id], uint64(cancellable[id]), answers[id]);
        }
    }

    /// @inheritdoc IInferenceService
    function result(uint256 id) external view returns (bytes32) {
        Answer storage given = answers[id];
        if (given.standing != Standing.Final) revert NotFinal();
        return given.outputRoot;
    }

    /// @inheritdoc IInferenceService
    function provisionalAnswer(uint256 id) external view returns (Answer memory) {
        return answers[id];
    }
}
