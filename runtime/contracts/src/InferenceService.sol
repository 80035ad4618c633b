// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.24;

import {DisputeGame} from "./DisputeGame.sol";
import {
    Answer,
    Card,
    Game,
    IInferenceConsumer,
    IInferenceService,
    IModelRegistry,
    Model,
    Opening,
    Request,
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

    uint256 private next = 1;
    /// @inheritdoc IInferenceService
    mapping(uint256 id => bytes32) public requests;
    mapping(uint256 id => Answer) private answers;
    /// @inheritdoc IInferenceService
    mapping(address account => uint256) public balances;

    constructor(IModelRegistry models, Terms memory agreed) {
        bool timely =
            agreed.window != 0 && agreed.clock != 0 && agreed.arity >= 2 && agreed.arity <= MAX_ARITY;
        bool costly =
            agreed.asserterBond != 0 && agreed.challengerBond != 0 && agreed.burned <= agreed.asserterBond;
        if (!timely || !costly) revert InvalidTerms();
        registry = models;
        (WINDOW, CLOCK, ARITY) = (agreed.window, agreed.clock, agreed.arity);
        (ASSERTER_BOND, CHALLENGER_BOND, BURNED) = (agreed.asserterBond, agreed.challengerBond, agreed.burned);
    }

    // ---- Requests

    /// @inheritdoc IInferenceService
    function requestCallback(
        bytes32 listing,
        bytes calldata input,
        address callback,
        uint64 callbackGas,
        bytes calldata callbackData
    ) external payable returns (uint256 id) {
        Card memory card = registry.cardOf(listing);
        // An input is never truncated or padded.
        if (input.length != card.inputBytes) revert Size();
        Request memory request = requestFor(card, callback, callbackGas, callbackData);
        request.inputRoot = Merkle.rootOfMemory(input, card.inputLevel);
        id = store(request);
        emit Requested(id, listing, request, input, callbackData);
    }

    /// @inheritdoc IInferenceService
    function requestByRoot(
        bytes32 listing,
        bytes32 inputRoot,
        address callback,
        uint64 callbackGas,
        bytes calldata callbackData
    ) external payable returns (uint256 id) {
        Request memory request = requestFor(registry.cardOf(listing), callback, callbackGas, callbackData);
        request.inputRoot = inputRoot;
        id = store(request);
        emit Requested(id, listing, request, "", callbackData);
    }

    /// @inheritdoc IInferenceService
    function cancel(uint256 id, Request calldata request) external {
        requireRequest(id, request);
        Standing standing = answers[id].standing;
        bool unanswered = standing == Standing.None || standing == Standing.Overturned;
        if (!unanswered || msg.sender != request.requester || block.timestamp - request.created < WINDOW) {
            revert NotCancellable();
        }
        delete requests[id];
        balances[request.requester] += uint256(request.fee) + request.licenceFee;
        emit Cancelled(id);
    }

    function requestFor(Card memory card, address callback, uint64 callbackGas, bytes calldata callbackData)
        private
        view
        returns (Request memory request)
    {
        if (callbackGas > MAX_CALLBACK_GAS) revert CallbackGas();
        if (msg.value < card.licenceFee || msg.value > type(uint96).max) revert Value(card.licenceFee);
        request.model = card.model;
        request.requester = msg.sender;
        request.fee = uint96(msg.value) - card.licenceFee;
        (request.licensor, request.licenceFee) = (card.licensor, card.licenceFee);
        (request.callback, request.callbackGas) = (callback, callbackGas);
        request.created = uint64(block.timestamp);
        (request.outputBytes, request.outputLevel) = (card.outputBytes, card.outputLevel);
        request.callbackData = keccak256(callbackData);
    }

    function store(Request memory request) private returns (uint256 id) {
        id = next++;
        requests[id] = keccak256(abi.encode(request));
    }

    function requireRequest(uint256 id, Request calldata request) private view {
        if (requests[id] != keccak256(abi.encode(request))) revert RequestMismatch();
    }

    // ---- Answers

    /// @inheritdoc IInferenceService
    function answer(uint256 id, Request calldata request, bytes calldata output) external payable {
        requireRequest(id, request);
        requireValue(ASSERTER_BOND);
        Answer memory given = answers[id];
        if (given.standing == Standing.Pending || given.standing == Standing.Final) revert AnsweredAlready();
        bytes32 root = outputRoot(request, output);
        ++given.attempt;
        (given.asserter, given.posted, given.openGames) = (msg.sender, uint40(block.timestamp), 0);
        (given.standing, given.outputRoot) = (Standing.Pending, root);
        answers[id] = given;
        emit Answered(id, given.attempt, msg.sender, root, output);
    }

    /// @inheritdoc IInferenceService
    function settle(uint256 id, Request calldata request, bytes calldata output, bytes calldata callbackData)
        external
    {
        requireRequest(id, request);
        Answer storage given = answers[id];
        if (given.standing != Standing.Pending) revert Decided();
        if (given.openGames != 0 || block.timestamp - given.posted < WINDOW) revert Unsettled();
        bytes32 root = given.outputRoot;
        if (outputRoot(request, output) != root) revert NotTheOutput();
        if (keccak256(callbackData) != request.callbackData) revert NotTheOutput();
        given.standing = Standing.Final;
        balances[given.asserter] += uint256(ASSERTER_BOND) + request.fee;
        if (request.licenceFee != 0) balances[request.licensor] += request.licenceFee;
        bool delivered = request.callback != address(0) && deliver(id, request, output, callbackData);
        emit Settled(id, root, delivered);
    }

    /// @dev A consumer can harm only itself: it gets the gas that the request asked for, its failure changes
    /// nothing, and its return data is not read.
    function deliver(uint256 id, Request calldata request, bytes calldata output, bytes calldata callbackData)
        private
        returns (bool delivered)
    {
        bytes memory data = abi.encodeCall(IInferenceConsumer.inferenceCallback, (id, output, callbackData));
        (address callback, uint256 callbackGas) = (request.callback, request.callbackGas);
        // A call gets at most 63/64 of the remaining gas (EIP-150).
        if (gasleft() < callbackGas + callbackGas / 63 + RESERVED_GAS) revert Gas();
        assembly ("memory-safe") {
            delivered := call(callbackGas, callback, 0, add(data, 32), mload(data), 0, 0)
        }
    }

    /// @dev The root of an output. An empty output is void.
    function outputRoot(Request calldata request, bytes calldata output) private pure returns (bytes32) {
        if (output.length == 0) return VOID;
        if (output.length != request.outputBytes) revert Size();
        return Merkle.rootOfMemory(output, request.outputLevel);
    }

    // ---- Challenges

    /// @inheritdoc IInferenceService
    function challenge(
        uint256 id,
        Request calldata request,
        Model calldata model,
        bytes32 asserted,
        Opening calldata opening
    ) external payable returns (uint256 game) {
        requireRequest(id, request);
        requireValue(CHALLENGER_BOND);
        Answer memory given = answers[id];
        if (given.standing != Standing.Pending) revert Decided();
        if (block.timestamp - given.posted >= WINDOW) revert WindowOver();
        if (msg.sender == given.asserter) revert Itself();
        // A reorganization may have put another answer in its place, and that one may be right.
        if (given.outputRoot != asserted) revert OtherAnswer(given.outputRoot);
        game = id << REQUEST_SHIFT | uint256(given.attempt) << ATTEMPT_SHIFT | uint160(msg.sender);
        if (games[game] != 0) revert Challenged();
        if (hashOf(model) != request.model) revert StateMismatch();
        ++answers[id].openGames;
        openGame(
            game, gameAgainst(given.asserter, request.model), model, request.inputRoot, asserted, opening
        );
    }

    function gameAgainst(address asserter, bytes32 model) private view returns (Game memory game) {
        (game.model, game.asserter, game.challenger) = (model, asserter, msg.sender);
        (game.arity, game.asserterClock) = (ARITY, CLOCK);
    }

    /// @inheritdoc IInferenceService
    function reclaim(uint256 game, Game calldata state) external {
        if (isAlive(game)) revert Unsettled();
        close(game, state);
        balances[state.challenger] += CHALLENGER_BOND;
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
    function won(uint256 id, Game memory game, bool asserterWon) internal override {
        Answer storage given = answers[id >> REQUEST_SHIFT];
        --given.openGames;
        if (asserterWon) {
            balances[game.asserter] += CHALLENGER_BOND;
        } else {
            given.standing = Standing.Overturned;
            balances[game.challenger] += uint256(CHALLENGER_BOND) + ASSERTER_BOND - BURNED;
        }
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
