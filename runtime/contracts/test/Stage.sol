// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.24;

import {InferenceService} from "../src/InferenceService.sol";
import {
    Answer,
    Game,
    IDisputeGame,
    IInferenceService,
    Input,
    Model,
    Order,
    Pick,
    Request,
    RequestStatus,
    Source,
    Standing,
    Terms
} from "../src/Interfaces.sol";
import {ModelRegistry} from "../src/ModelRegistry.sol";
import {Naive} from "./Naive.sol";
import {Plan, Run, Toy, ToyVerifier, Turn} from "./Toy.sol";
import {Vm, vm} from "./Vm.sol";

/// @title A registry with the toy's models, a service, people with money, and shorthands for what they do.
abstract contract Stage {
    uint32 internal constant WINDOW = 1000;
    uint32 internal constant CLOCK = 500;
    uint16 internal constant ARITY = 2;
    uint96 internal constant ASSERTER_BOND = 10 ether;
    uint96 internal constant CHALLENGER_BOND = 3 ether;
    uint96 internal constant BURNED = 4 ether;
    uint96 internal constant FEE = 1 ether;
    uint256 internal constant INPUT_BYTES = Toy.INPUT_BYTES;
    /// What everybody has at first.
    uint256 internal constant WEALTH = 1000 ether;

    address internal constant REQUESTER = address(0x1001);
    address internal constant ASSERTER = address(0x1002);
    address internal constant CHALLENGER = address(0x1003);
    address internal constant OTHER = address(0x1004);
    address internal constant THIRD = address(0x1005);

    ModelRegistry internal registry;
    InferenceService internal service;
    /// What these functions have sent to the service from each account.
    mapping(address account => uint256) private spent;

    /// A request with everything that its answer needs.
    struct Asked {
        uint256 id;
        Plan plan;
        bytes32 inputRoot;
        bytes32 firstState;
        Request request;
        bytes callbackData;
    }

    function setUp() public virtual {
        vm.warp(1_700_000_000);
        registry = newRegistry();
        registry.deployVerifier(Toy.EXTENSIONS, type(ToyVerifier).creationCode);
        registry.register(Toy.model(Toy.plain()));
        registry.register(Toy.model(Toy.periodic()));
        service = new InferenceService(registry, terms());
        address[5] memory people = [REQUESTER, ASSERTER, CHALLENGER, OTHER, THIRD];
        for (uint256 i = 0; i < people.length; i++) {
            vm.deal(people[i], WEALTH);
        }
    }

    /// A registry that knows the toy's verifier only.
    function newRegistry() internal returns (ModelRegistry) {
        uint32[] memory sets = new uint32[](1);
        bytes32[] memory hashes = new bytes32[](1);
        (sets[0], hashes[0]) = (Toy.EXTENSIONS, keccak256(type(ToyVerifier).creationCode));
        return new ModelRegistry(sets, hashes);
    }

    function terms() internal pure returns (Terms memory) {
        return Terms({
            window: WINDOW,
            clock: CLOCK,
            arity: ARITY,
            asserterBond: ASSERTER_BOND,
            challengerBond: CHALLENGER_BOND,
            burned: BURNED
        });
    }

    function refuse(bytes4 reason) internal {
        vm.expectRevert(abi.encodeWithSelector(reason));
    }

    function check(bool holds, string memory what) internal pure {
        require(holds, what);
    }

    // ---- Models

    /// The ID of a model, computed here from its definition.
    function idOf(Model memory model) internal pure returns (bytes32) {
        bytes32 program = keccak256(
            abi.encodePacked(
                model.program.codeRoot, model.program.machine, model.program.scheduleRoot, model.program.shape
            )
        );
        bytes32 inputs = keccak256(abi.encodePacked(model.inputs));
        bytes32 outputs = keccak256(abi.encodePacked(model.outputs));
        return keccak256(bytes.concat(program, model.memoryRoot, inputs, outputs));
    }

    function idOf(Plan memory plan) internal pure returns (bytes32) {
        return idOf(Toy.model(plan));
    }

    // ---- Requests

    function someInput() internal pure returns (bytes memory input) {
        input = new bytes(INPUT_BYTES);
        for (uint256 i = 0; i < input.length; i++) {
            input[i] = bytes1(uint8(7 * i + 1));
        }
    }

    /// An input by its bytes, the state by its bytes.
    function someInputs() internal pure returns (Input[] memory) {
        return inputsOf(someInput());
    }

    /// The same with these bytes as the input.
    function inputsOf(bytes memory data) internal pure returns (Input[] memory inputs) {
        inputs = new Input[](2);
        inputs[0] = Input(Source.Bytes, data);
        inputs[1] = Input(Source.Bytes, Toy.bytesOf(Toy.FIRST_STATE));
    }

    function someInputRoot() internal pure returns (bytes32) {
        return Naive.memoryRoot(someInput(), 1);
    }

    /// An order of a run of the plain model.
    function order(address callback, uint64 callbackGas, bytes memory data)
        internal
        pure
        returns (Order memory)
    {
        return Order({
            model: idOf(Toy.plain()),
            repetitions: 0,
            byRoot: 0,
            callback: callback,
            callbackGas: callbackGas,
            callbackData: data
        });
    }

    function order() internal pure returns (Order memory) {
        return order(address(0), 0, "");
    }

    /// The request that an order must become.
    function expected(address requester, Order memory ordered) internal pure returns (Request memory) {
        return Request({
            model: ordered.model,
            inputs: Toy.commitment(someInputRoot(), Toy.FIRST_STATE),
            requester: requester,
            fee: FEE,
            repetitions: ordered.repetitions,
            byRoot: ordered.byRoot,
            callback: ordered.callback,
            callbackGas: ordered.callbackGas,
            callbackData: keccak256(ordered.callbackData),
            outputs: Toy.outputs()
        });
    }

    function ask(
        Plan memory plan,
        uint64 repetitions,
        address callback,
        uint64 callbackGas,
        bytes memory data
    ) internal returns (Asked memory asked) {
        Order memory ordered = order(callback, callbackGas, data);
        (ordered.model, ordered.repetitions) = (idOf(plan), repetitions);
        asked = ask(plan, ordered, someInputs(), someInputRoot(), Toy.FIRST_STATE);
    }

    /// A request with these inputs, of which these are the roots.
    function ask(
        Plan memory plan,
        Order memory ordered,
        Input[] memory inputs,
        bytes32 inputRoot,
        bytes32 firstState
    ) internal returns (Asked memory asked) {
        (asked.plan, asked.inputRoot, asked.firstState) = (plan, inputRoot, firstState);
        asked.request = expected(REQUESTER, ordered);
        asked.request.inputs = Toy.commitment(inputRoot, firstState);
        if (ordered.repetitions == 0) asked.request.repetitions = uint64(plan.most);
        asked.callbackData = ordered.callbackData;
        spent[REQUESTER] += FEE;
        vm.prank(REQUESTER);
        asked.id = service.request{value: FEE}(ordered, inputs);
    }

    /// What an account has been paid by the service.
    function paid(address account) internal view returns (uint256) {
        return account.balance + spent[account] - WEALTH;
    }

    function ask(address callback, uint64 callbackGas, bytes memory data) internal returns (Asked memory) {
        return ask(Toy.plain(), 0, callback, callbackGas, data);
    }

    function ask(Plan memory plan, uint64 repetitions) internal returns (Asked memory) {
        return ask(plan, repetitions, address(0), 0, "");
    }

    function ask() internal returns (Asked memory) {
        return ask(address(0), 0, "");
    }

    function statusOf(uint256 id) internal view returns (RequestStatus memory) {
        uint256[] memory ids = new uint256[](1);
        ids[0] = id;
        return service.statusOf(ids)[0];
    }

    // ---- Answers

    function truth(Asked memory asked) internal pure returns (Run memory) {
        return lie(asked, 0);
    }

    function lie(Asked memory asked, uint256 step) internal pure returns (Run memory) {
        return Toy.run(asked.plan, asked.request.repetitions, asked.inputRoot, asked.firstState, step);
    }

    function answer(Asked memory asked, Run memory made) internal {
        answer(ASSERTER, asked, made);
    }

    function answer(address asserter, Asked memory asked, Run memory made) internal {
        bytes[] memory outputs = outputsOf(asked, made);
        spent[asserter] += ASSERTER_BOND;
        vm.prank(asserter);
        service.answer{value: ASSERTER_BOND}(asked.id, asked.request, outputs);
    }

    function settle(Asked memory asked, Run memory made) internal {
        service.settle(asked.id, asked.request, outputsOf(asked, made), asked.callbackData);
    }

    /// A run's outputs as the request wants them.
    function outputsOf(Asked memory asked, Run memory made) internal pure returns (bytes[] memory) {
        return Toy.outputs(made, asked.request.byRoot);
    }

    function standing(Asked memory asked) internal view returns (Standing) {
        return service.provisionalAnswer(asked.id).standing;
    }

    // ---- Games

    function challenge(address challenger, Asked memory asked, Run memory made)
        internal
        returns (Turn memory turn)
    {
        Answer memory given = service.provisionalAnswer(asked.id);
        bytes32[] memory opening = Toy.opening(made, ARITY);
        Model memory model = Toy.model(asked.plan);
        (turn.asserter, turn.challenger) = (given.asserter, challenger);
        spent[challenger] += CHALLENGER_BOND;
        vm.recordLogs();
        vm.prank(challenger);
        turn.id =
            service.challenge{value: CHALLENGER_BOND}(asked.id, asked.request, model, given.result, opening);
        moved(turn);
    }

    /// Takes over the game as the last event shows it.
    function moved(Turn memory turn) internal {
        Vm.Log[] memory logs = vm.getRecordedLogs();
        Vm.Log memory last = logs[logs.length - 1];
        check(last.topics[0] == IDisputeGame.Moved.selector, "no move");
        check(uint256(last.topics[1]) == turn.id, "another game");
        (turn.game, turn.start, turn.claims) = abi.decode(last.data, (Game, bytes32, bytes32[]));
    }

    /// A game's next move according to this run; false if there is none or the contract refuses it.
    function move(IDisputeGame place, Turn memory turn, Run memory made, uint256 arity)
        internal
        returns (bool done)
    {
        bytes memory call = Toy.reply(made, turn, arity);
        vm.recordLogs();
        vm.prank(Toy.mover(turn));
        (done,) = address(place).call(call);
        if (done && runs(place, turn)) moved(turn);
    }

    function move(Turn memory turn, Run memory made) internal returns (bool) {
        return move(service, turn, made, ARITY);
    }

    function runs(IDisputeGame place, Turn memory turn) internal view returns (bool) {
        return uint256(place.games(turn.id)) > 3;
    }

    /// Both reply according to their runs until one wins; whoever has no move loses by time.
    function playOut(
        IDisputeGame place,
        Turn memory turn,
        Run memory asserters,
        Run memory challengers,
        uint256 arity
    ) internal returns (bool asserterWon, uint256 moves) {
        while (runs(place, turn)) {
            bool asserterMoves = Toy.position(turn.game).asserterMoves;
            if (move(place, turn, asserterMoves ? asserters : challengers, arity)) {
                moves += 1;
                continue;
            }
            vm.warp(block.timestamp + CLOCK + 1);
            place.timeout(turn.id, turn.game, Toy.claimsRoot(turn));
        }
        asserterWon = uint256(place.games(turn.id)) == 1;
    }

    function playOut(Turn memory turn, Run memory asserters, Run memory challengers)
        internal
        returns (bool asserterWon)
    {
        (asserterWon,) = playOut(service, turn, asserters, challengers, ARITY);
    }

    /// A call of every function of the service that could move money. The moves say nothing.
    function everyFunction(Asked memory asked, Turn memory turn)
        internal
        pure
        returns (bytes[] memory calls)
    {
        Pick memory picked;
        bytes32[] memory none;
        bytes32[] memory opening = Toy.opening(lie(asked, 3), ARITY);
        bytes[] memory outputs = outputsOf(asked, truth(asked));
        Model memory model = Toy.model(asked.plan);
        bytes32 claims = Toy.claimsRoot(turn);
        (uint256 id, bytes memory data) = (asked.id, asked.callbackData);
        bytes32 asserted = Toy.result(lie(asked, 7));
        calls = new bytes[](12);
        calls[0] = abi.encodeCall(IInferenceService.withdraw, ());
        calls[1] = abi.encodeCall(IInferenceService.cancel, (id, asked.request));
        calls[2] = abi.encodeCall(IInferenceService.answer, (id, asked.request, outputs));
        calls[3] = abi.encodeCall(IInferenceService.challenge, (id, asked.request, model, asserted, opening));
        calls[4] = abi.encodeCall(IInferenceService.settle, (id, asked.request, outputs, data));
        calls[5] = abi.encodeCall(IInferenceService.redeliver, (id, asked.request, outputs, data));
        calls[6] = abi.encodeCall(IInferenceService.reclaim, (turn.id, turn.game, claims));
        calls[7] = abi.encodeCall(IDisputeGame.dissect, (turn.id, turn.game, picked, none));
        calls[8] =
            abi.encodeCall(IDisputeGame.enter, (turn.id, turn.game, picked, model.program, 0, "", none));
        calls[9] = abi.encodeCall(IDisputeGame.proveVoid, (turn.id, turn.game, picked, none));
        calls[10] = abi.encodeCall(IDisputeGame.prove, (turn.id, turn.game, picked, none, new bytes[](0)));
        calls[11] = abi.encodeCall(IDisputeGame.timeout, (turn.id, turn.game, claims));
    }

    function timeout(Turn memory turn) internal {
        service.timeout(turn.id, turn.game, Toy.claimsRoot(turn));
    }

    function reclaim(Turn memory turn) internal {
        service.reclaim(turn.id, turn.game, Toy.claimsRoot(turn));
    }
}
