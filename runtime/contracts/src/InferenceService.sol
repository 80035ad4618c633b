// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.24;

import {DisputeGame} from "./DisputeGame.sol";
import {
    Answer,
    Game,
    IInferenceConsumer,
    IInferenceService,
    IModelRegistry,
    Input,
    Model,
    Order,
    Request,
    RequestStatus,
    Source,
    Standing,
    Terms
} from "./Interfaces.sol";
import {Merkle} from "./Merkle.sol";
import {Models} from "./Models.sol";

/// @title Requests, bonded answers, bonded challenges, and callbacks once an answer is final.
/// @notice The contract has no owner, and nothing can be changed once it is deployed. Money leaves only
/// through `pay` and `withdraw`, to the account that it belongs to. `game::dispute` in Rust is the same
/// without requests, fees and callbacks.
contract InferenceService is DisputeGame, IInferenceService {
    /// @notice The most gas that a request can ask for its callback.
    uint256 public constant MAX_CALLBACK_GAS = 8_000_000;
    /// @notice The least and the most for window and clock, in seconds.
    uint256 public constant MIN_TIME = 10;
    uint256 public constant MAX_TIME = 365 days;
    /// @notice The least bond, in wei.
    uint256 public constant MIN_BOND = 1e15;
    /// @notice The gas that an account has to take a payment.
    uint256 public constant PAYMENT_GAS = 20_000;
    /// @dev The gas that is kept for the rest of `settle` when a callback uses all of its own: about 62,000
    /// if the asserter does so too and is credited.
    uint256 private constant RESERVED_GAS = 70_000;
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

    /// @dev The ID of the next request. It is never zero: the first request fills no new slot with it.
    uint256 private next = 1;
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
    function request(Order calldata order, Input[] calldata inputs) external payable returns (uint256 id) {
        (uint256 shape, uint256[] memory given, uint256[] memory outputs) = registry.cardOf(order.model);
        if (uint256(order.byRoot) >> outputs.length != 0) revert ByRoot();
        // All other fields are set below.
        // slither-disable-next-line uninitialized-local
        Request memory made;
        made.inputs = commitmentOf(given, inputs);
        if (order.callbackGas > MAX_CALLBACK_GAS) revert CallbackGas();
        if (msg.value > type(uint96).max) revert Value(type(uint96).max);
        made.repetitions = uint64(repetitionsOf(shape, order.repetitions));
        (made.model, made.requester, made.fee) = (order.model, msg.sender, uint96(msg.value));
        (made.byRoot, made.outputs) = (order.byRoot, outputs);
        (made.callback, made.callbackGas) = (order.callback, order.callbackGas);
        made.callbackData = keccak256(order.callbackData);
        id = next++;
        requests[id] = keccak256(abi.encode(id, made));
        emit Requested(id, order.model, made, inputs, order.callbackData);
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
        emit Cancelled(id);
        pay(request_.requester, request_.fee);
    }

    function repetitionsOf(uint256 shape, uint256 wanted) private pure returns (uint256) {
        (uint256 least, uint256 most) = Models.repetitionsOf(shape);
        if (wanted == 0) return most;
        if (wanted < least || wanted > most) revert Repetitions();
        return wanted;
    }

    /// @dev The hash of the roots of these inputs, one for each of a model's input regions.
    function commitmentOf(uint256[] memory its, Input[] calldata inputs) private view returns (bytes32) {
        if (inputs.length != its.length) revert Size();
        bytes32[] memory roots = new bytes32[](its.length);
        for (uint256 i = 0; i < roots.length; ++i) {
            (Source source, bytes calldata data) = (inputs[i].source, inputs[i].data);
            roots[i] =
                source == Source.Result ? rootInResult(data) : rootOf(its[i], source == Source.Root, data);
        }
        return keccak256(abi.encodePacked(roots));
    }

    /// @dev The root of an output of another request's result: ID, index, all roots.
    function rootInResult(bytes calldata data) private view returns (bytes32) {
        if (data.length < 64 || data.length % 32 != 0) revert Size();
        uint256 index = uint256(bytes32(data[32:64]));
        bytes calldata roots = data[64:];
        if (index >= roots.length / 32) revert Size();
        Answer storage given = answers[uint256(bytes32(data[:32]))];
        if (given.standing != Standing.Final) revert NotFinal();
        if (keccak256(roots) != given.result) revert NotTheOutput();
        return bytes32(roots[32 * index:]);
    }

    /// @dev The root of a region that is given by its root or by its bytes, which are never truncated or
    /// padded.
    function rootOf(uint256 region, bool byRoot, bytes calldata data) private pure returns (bytes32) {
        if (data.length != (byRoot ? 32 : Models.bytesOf(region))) revert Size();
        return byRoot ? bytes32(data) : Merkle.rootOfMemory(data, Models.levelOf(region));
    }

    function requireRequest(uint256 id, Request calldata request_) private view {
        if (requests[id] != keccak256(abi.encode(id, request_))) revert RequestMismatch();
    }

    // ---- Answers

    /// @inheritdoc IInferenceService
    function answer(uint256 id, Request calldata request_, bytes[] calldata outputs) external payable {
        requireRequest(id, request_);
        requireValue(ASSERTER_BOND);
        Answer memory given = answers[id];
        if (given.standing == Standing.Pending || given.standing == Standing.Final) revert AnsweredAlready();
        if (given.attempt == type(uint16).max) revert TooMany();
        ++given.attempt;
        (given.asserter, given.posted, given.openGames) = (msg.sender, uint40(block.timestamp), 0);
        (given.standing, given.result) = (Standing.Pending, resultOf(request_, outputs));
        answers[id] = given;
        emit Answered(id, given.attempt, msg.sender, given.result, outputs);
    }

    /// @inheritdoc IInferenceService
    function settle(
        uint256 id,
        Request calldata request_,
        bytes[] calldata outputs,
        bytes calldata callbackData
    ) external {
        requireRequest(id, request_);
        Answer storage given = answers[id];
        if (given.standing != Standing.Pending) revert Decided();
        if (given.openGames != 0 || block.timestamp - given.posted < WINDOW) revert Unsettled();
        given.standing = Standing.Final;
        // Set before the call, so that nobody can have it made twice from inside.
        given.delivered = true;
        bool delivered = true;
        if (request_.callback != address(0)) {
            requireOutputs(request_, outputs, callbackData, given.result);
            delivered = deliver(id, request_, outputs, callbackData);
            if (!delivered) given.delivered = false;
        }
        emit Settled(id, given.result, delivered);
        pay(given.asserter, uint256(ASSERTER_BOND) + request_.fee);
    }

    /// @inheritdoc IInferenceService
    function redeliver(
        uint256 id,
        Request calldata request_,
        bytes[] calldata outputs,
        bytes calldata callbackData
    ) external {
        requireRequest(id, request_);
        Answer storage given = answers[id];
        if (given.standing != Standing.Final) revert NotFinal();
        if (given.delivered) revert DeliveredAlready();
        requireOutputs(request_, outputs, callbackData, given.result);
        given.delivered = true;
        emit Redelivered(id);
        if (!deliver(id, request_, outputs, callbackData)) revert CallbackFailed();
    }

    /// @dev A consumer can harm only itself: it gets the gas that the request asked for, its failure changes
    /// nothing, and its return data is not read.
    function deliver(
        uint256 id,
        Request calldata request_,
        bytes[] calldata outputs,
        bytes calldata callbackData
    ) private returns (bool delivered) {
        bytes memory data = abi.encodeCall(
            IInferenceConsumer.inferenceCallback,
            (id, request_.requester, request_.model, outputs, callbackData)
        );
        (address callback, uint256 callbackGas) = (request_.callback, request_.callbackGas);
        // A call gets at most 63/64 of the remaining gas (EIP-150).
        if (gasleft() < callbackGas + callbackGas / 63 + RESERVED_GAS) revert Gas();
        assembly ("memory-safe") {
            delivered := call(callbackGas, callback, 0, add(data, 32), mload(data), 0, 0)
        }
    }

    function requireOutputs(
        Request calldata request_,
        bytes[] calldata outputs,
        bytes calldata callbackData,
        bytes32 result_
    ) private pure {
        bool its = resultOf(request_, outputs) == result_ && keccak256(callbackData) == request_.callbackData;
        if (!its) revert NotTheOutput();
    }

    /// @dev The result that consists of these outputs. None are void.
    function resultOf(Request calldata request_, bytes[] calldata outputs) private pure returns (bytes32) {
        if (outputs.length == 0) return VOID;
        if (outputs.length != request_.outputs.length) revert Size();
        bytes32[] memory roots = new bytes32[](outputs.length);
        for (uint256 i = 0; i < roots.length; ++i) {
            roots[i] = rootOf(request_.outputs[i], request_.byRoot >> i & 1 != 0, outputs[i]);
        }
        return keccak256(abi.encodePacked(roots));
    }

    // ---- Challenges

    /// @inheritdoc IInferenceService
    function challenge(
        uint256 id,
        Request calldata request_,
        Model calldata model,
        bytes32 asserted,
        bytes32[] calldata words
    ) external payable returns (uint256 game) {
        requireRequest(id, request_);
        requireValue(CHALLENGER_BOND);
        Answer memory given = answers[id];
        if (given.standing != Standing.Pending) revert Decided();
        if (block.timestamp - given.posted >= WINDOW) revert WindowOver();
        if (msg.sender == given.asserter) revert Itself();
        // A reorganization may have put another answer in its place, and that one may be right.
        if (given.result != asserted) revert OtherAnswer(given.result);
        game = id << REQUEST_SHIFT | uint256(given.attempt) << ATTEMPT_SHIFT | uint160(msg.sender);
        if (games[game] != 0) revert Challenged();
        if (hashOf(model) != request_.model) revert StateMismatch();
        if (given.openGames == type(uint24).max) revert TooMany();
        ++answers[id].openGames;
        openGame(game, model, request_.repetitions, CLOCK, request_.inputs, asserted, words);
    }

    /// @inheritdoc IInferenceService
    function reclaim(uint256 id, Game calldata game, bytes32 claims) external {
        if (isAlive(id)) revert Unsettled();
        close(id, game, claims);
        pay(playerOf(id, false), CHALLENGER_BOND + shares[id >> ATTEMPT_SHIFT]);
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
            pay(given.asserter, CHALLENGER_BOND);
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
        pay(playerOf(id, false), CHALLENGER_BOND + prize);
    }

    // ---- Money

    /// @dev Pays an account at once, or credits it if it does not take the money. Like a consumer, it can
    /// harm only itself: its gas is limited, its return data is not read, and everything is stored before.
    function pay(address account, uint256 amount) private {
        if (amount == 0) return;
        bool taken;
        assembly ("memory-safe") {
            taken := call(PAYMENT_GAS, account, amount, 0, 0, 0, 0)
        }
        if (taken) return;
        balances[account] += amount;
        emit Credited(account, amount);
    }

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
    function requestCount() external view returns (uint256) {
        return next - 1;
    }

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
        return given.result;
    }

    /// @inheritdoc IInferenceService
    function provisionalAnswer(uint256 id) external view returns (Answer memory) {
        return answers[id];
    }
}
