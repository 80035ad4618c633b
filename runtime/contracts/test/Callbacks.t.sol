// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.24;

import {IInferenceConsumer, IInferenceService, InferenceService} from "../src/InferenceService.sol";
import {ExampleConsumer} from "../src/ExampleConsumer.sol";
import {Order, Request, Standing} from "../src/Interfaces.sol";
import {Naive} from "./Naive.sol";
import {Stage} from "./Stage.sol";
import {Toy} from "./Toy.sol";
import {vm} from "./Vm.sol";

/// @dev Records what it is told, and with how much gas.
contract Consumer is IInferenceConsumer {
    address public caller;
    uint256 public id;
    address public requester;
    bytes32 public model;
    bytes[] private given;
    bytes public data;
    uint256 public gas;
    uint256 public calls;

    function inferenceCallback(
        uint256 id_,
        address requester_,
        bytes32 model_,
        bytes[] calldata outputs_,
        bytes calldata data_
    ) external {
        gas = gasleft();
        (caller, id, requester, model, data) = (msg.sender, id_, requester_, model_, data_);
        delete given;
        for (uint256 i = 0; i < outputs_.length; i++) {
            given.push(outputs_[i]);
        }
        calls += 1;
    }

    function outputs() external view returns (bytes[] memory) {
        return given;
    }
}

/// @dev Fails until it is told not to.
contract StubbornConsumer is IInferenceConsumer {
    bool private willing;
    uint256 public calls;
    uint256 public gas;

    function agree() external {
        willing = true;
    }

    function inferenceCallback(uint256, address, bytes32, bytes[] calldata, bytes calldata) external {
        gas = gasleft();
        require(willing, "not yet");
        calls += 1;
    }
}

contract GreedyConsumer is IInferenceConsumer {
    function inferenceCallback(uint256, address, bytes32, bytes[] calldata, bytes calldata) external pure {
        while (true) {}
    }
}

/// @dev Returns so much that reading it would cost the caller all its gas.
contract BombConsumer is IInferenceConsumer {
    function inferenceCallback(uint256, address, bytes32, bytes[] calldata, bytes calldata) external pure {
        assembly ("memory-safe") {
            revert(0, 500000)
        }
    }
}

/// @dev Tries to be paid or called twice, or to change the answer.
contract ReentrantConsumer is IInferenceConsumer {
    InferenceService private immutable SERVICE;
    Request private request;
    bool private failing;
    uint256 public calls;
    uint256 public tries;
    uint256 public succeeded;

    constructor(InferenceService service) {
        SERVICE = service;
    }

    function expect(Request calldata asked, bool fails) external {
        (request, failing) = (asked, fails);
    }

    function inferenceCallback(uint256 id, address, bytes32, bytes[] calldata outputs, bytes calldata data)
        external
    {
        require(!failing, "not yet");
        calls += 1;
        attempt(abi.encodeCall(IInferenceService.settle, (id, request, outputs, data)), 0);
        attempt(abi.encodeCall(IInferenceService.redeliver, (id, request, outputs, data)), 0);
        attempt(abi.encodeCall(IInferenceService.cancel, (id, request)), 0);
        attempt(
            abi.encodeCall(IInferenceService.answer, (id, request, outputs)), SERVICE.terms().asserterBond
        );
        attempt(abi.encodeCall(IInferenceService.withdraw, ()), 0);
    }

    function attempt(bytes memory call, uint256 value) private {
        (bool done,) = address(SERVICE).call{value: value}(call);
        tries += 1;
        if (done) succeeded += 1;
    }

    receive() external payable {}
}

/// @dev A consumer whose guarded function settles: while it runs, the guard refuses the callback.
contract GuardedConsumer is IInferenceConsumer {
    bool private entered;
    uint256 public calls;

    function settle(InferenceService service, uint256 id, Request calldata request, bytes[] calldata outputs)
        external
    {
        entered = true;
        service.settle(id, request, outputs, "");
        entered = false;
    }

    function inferenceCallback(uint256, address, bytes32, bytes[] calldata, bytes calldata) external {
        require(!entered, "reentered");
        calls += 1;
    }
}

contract CallbacksTest is Stage {
    uint64 private constant GAS = 300_000;

    /// An answered request whose window is over.
    function ready(address consumer, uint64 callbackGas, bytes memory data)
        private
        returns (Asked memory asked)
    {
        asked = ask(consumer, callbackGas, data);
        answer(asked, truth(asked));
        vm.warp(block.timestamp + WINDOW);
    }

    /// Settles, and says whether the consumer took the output.
    function delivered(Asked memory asked) private returns (bool) {
        vm.recordLogs();
        settle(asked, truth(asked));
        check(standing(asked) == Standing.Final, "not final");
        check(paid(ASSERTER) == ASSERTER_BOND + FEE, "not paid");
        (, bool was) = abi.decode(vm.getRecordedLogs()[0].data, (bytes32, bool));
        check(service.provisionalAnswer(asked.id).delivered == was, "the event says something else");
        return was;
    }

    function redeliver(Asked memory asked) private {
        service.redeliver(asked.id, asked.request, Toy.outputs(truth(asked)), asked.callbackData);
    }

    // ---- The call

    function test_theConsumerIsCalledOnceTheAnswerIsFinal() public {
        Consumer consumer = new Consumer();
        Asked memory asked = ask(address(consumer), GAS, "some data");
        answer(asked, truth(asked));
        vm.warp(block.timestamp + WINDOW - 1);
        refuse(IInferenceService.Unsettled.selector);
        settle(asked, truth(asked));
        check(consumer.calls() == 0, "called before finality");
        vm.warp(block.timestamp + 1);
        check(delivered(asked), "not delivered");
        check(consumer.calls() == 1 && consumer.caller() == address(service), "called");
        check(consumer.id() == asked.id && keccak256(consumer.data()) == keccak256("some data"), "which");
        bytes memory outputs = abi.encode(Toy.outputs(truth(asked)));
        check(keccak256(abi.encode(consumer.outputs())) == keccak256(outputs), "outputs");
        refuse(IInferenceService.Decided.selector);
        settle(asked, truth(asked));
    }

    /// A consumer learns who asked for which model, whoever settles.
    function test_theConsumerKnowsRequesterAndModel() public {
        Consumer consumer = new Consumer();
        Asked memory asked = ask(Toy.periodic(), 3, address(consumer), GAS, "");
        answer(OTHER, asked, truth(asked));
        vm.warp(block.timestamp + WINDOW);
        vm.prank(THIRD);
        settle(asked, truth(asked));
        check(consumer.requester() == REQUESTER && consumer.model() == idOf(Toy.periodic()), "who, what");
        // Somebody else's request that names the consumer.
        Order memory ordered = order(address(consumer), GAS, "");
        asked.plan = Toy.plain();
        asked.request = expected(OTHER, ordered);
        vm.prank(OTHER);
        asked.id = service.request{value: FEE}(ordered, someInputs());
        answer(asked, truth(asked));
        vm.warp(block.timestamp + WINDOW);
        settle(asked, truth(asked));
        check(consumer.requester() == OTHER && consumer.model() == idOf(Toy.plain()), "who, what");
    }

    function test_anEmptyOutputIsDeliveredToo() public {
        Consumer consumer = new Consumer();
        Asked memory asked = ask(address(consumer), GAS, "data");
        vm.prank(ASSERTER);
        bytes[] memory none = new bytes[](0);
        service.answer{value: ASSERTER_BOND}(asked.id, asked.request, none);
        vm.warp(block.timestamp + WINDOW);
        service.settle(asked.id, asked.request, none, "data");
        check(consumer.calls() == 1 && consumer.outputs().length == 0, "not delivered");
    }

    /// A consumer gets each output in the form that the request says.
    function test_aConsumerGetsRoots() public {
        for (uint64 byRoot = 0; byRoot < 4; byRoot++) {
            Consumer consumer = new Consumer();
            Order memory ordered = order(address(consumer), GAS, "data");
            ordered.byRoot = byRoot;
            Asked memory asked = ask(Toy.plain(), ordered, someInputs(), someInputRoot(), Toy.FIRST_STATE);
            answer(asked, truth(asked));
            vm.warp(block.timestamp + WINDOW);
            settle(asked, truth(asked));
            bytes memory outputs = abi.encode(Toy.outputs(truth(asked), byRoot));
            check(keccak256(abi.encode(consumer.outputs())) == keccak256(outputs), "outputs");
        }
    }

    function test_aFailingConsumerHarmsNobody() public {
        check(!delivered(ready(address(new StubbornConsumer()), GAS, "")), "delivered");
    }

    function test_aGreedyConsumerGetsWhatItAskedFor() public {
        Asked memory asked = ready(address(new GreedyConsumer()), GAS, "");
        uint256 before = gasleft();
        check(!delivered(asked), "delivered");
        check(before - gasleft() < GAS + 300_000, "it took more");
    }

    function test_aBombIsNotRead() public {
        Asked memory asked = ready(address(new BombConsumer()), 2_000_000, "");
        uint256 before = gasleft();
        check(!delivered(asked), "delivered");
        // To copy the bomb would cost its gas a second time.
        check(before - gasleft() < 1_100_000, "it was read");
    }

    function test_anAddressWithoutCodeIsNoHarm() public {
        delivered(ready(address(0xdead), GAS, ""));
    }

    function test_reentrancyGainsNothing() public {
        ReentrantConsumer consumer = new ReentrantConsumer(service);
        vm.deal(address(consumer), 100 ether);
        Asked memory asked = ready(address(consumer), 2_000_000, "");
        consumer.expect(asked.request, false);
        check(delivered(asked), "the attempts didn't come to their end");
        check(consumer.tries() == 5 && consumer.succeeded() == 0, "one succeeded");
        check(consumer.calls() == 1, "called twice");
        check(service.result(asked.id) == Toy.result(truth(asked)), "another result");
        check(address(service).balance == 0 && paid(ASSERTER) == ASSERTER_BOND + FEE, "money went");
    }

    // ---- Gas

    /// Whoever settles with too little gas can't make a callback fail: it gets all that it asked for, or
    /// nothing happens.
    function testFuzz_aStarvedCallbackIsNotMade(uint256 gas) public {
        gas = 30_000 + gas % 900_000;
        Consumer consumer = new Consumer();
        Asked memory asked = ready(address(consumer), GAS, "");
        bytes memory call = abi.encodeCall(
            IInferenceService.settle, (asked.id, asked.request, Toy.outputs(truth(asked)), "")
        );
        (bool settled,) = address(service).call{gas: gas}(call);
        check(settled == (consumer.calls() == 1), "settled without the callback");
        check(settled == (standing(asked) == Standing.Final), "half settled");
        // The call itself costs a little before the first line runs.
        if (settled) check(consumer.gas() > GAS - 2_000, "less gas than it asked for");
    }

    /// The same for a callback that is made again.
    function testFuzz_aStarvedCallbackIsNotMadeAgain(uint256 gas) public {
        gas = 30_000 + gas % 900_000;
        StubbornConsumer consumer = new StubbornConsumer();
        Asked memory asked = ready(address(consumer), GAS, "");
        check(!delivered(asked), "delivered");
        consumer.agree();
        bytes memory call = abi.encodeCall(
            IInferenceService.redeliver, (asked.id, asked.request, Toy.outputs(truth(asked)), "")
        );
        (bool done,) = address(service).call{gas: gas}(call);
        check(done == (consumer.calls() == 1), "not called");
        check(done == service.provisionalAnswer(asked.id).delivered, "half delivered");
        if (done) check(consumer.gas() > GAS - 2_000, "less gas than it asked for");
    }

    function test_tooLittleGasIsAnError() public {
        StubbornConsumer consumer = new StubbornConsumer();
        Asked memory asked = ready(address(consumer), GAS, "");
        bytes[] memory outputs = Toy.outputs(truth(asked));
        bytes memory call = abi.encodeCall(IInferenceService.settle, (asked.id, asked.request, outputs, ""));
        startsWithEnoughGas(call);
        consumer.agree();
        call = abi.encodeCall(IInferenceService.redeliver, (asked.id, asked.request, outputs, ""));
        startsWithEnoughGas(call);
    }

    function startsWithEnoughGas(bytes memory call) private {
        (bool done, bytes memory reason) = address(service).call{gas: 300_000}(call);
        check(!done && bytes4(reason) == IInferenceService.Gas.selector, "done, or another error");
        (done,) = address(service).call{gas: 500_000}(call);
        check(done, "enough gas");
    }

    /// The most gas that a request can ask for is still there when it is made.
    function test_theMostGas() public {
        Consumer consumer = new Consumer();
        uint64 most = uint64(service.MAX_CALLBACK_GAS());
        check(delivered(ready(address(consumer), most, "")), "not delivered");
        check(consumer.gas() > most - 2_000, "less gas than it asked for");
    }

    // ---- Again

    function test_aFailedCallbackCanBeMadeAgain() public {
        StubbornConsumer consumer = new StubbornConsumer();
        Asked memory asked = ready(address(consumer), GAS, "data");
        check(!delivered(asked), "delivered");
        uint256 held = address(service).balance;
        // It fails again, which changes nothing.
        for (uint256 i = 0; i < 2; i++) {
            refuse(IInferenceService.CallbackFailed.selector);
            redeliver(asked);
            check(!service.provisionalAnswer(asked.id).delivered, "delivered");
        }
        consumer.agree();
        vm.warp(block.timestamp + 1000 days);
        vm.expectEmit();
        emit IInferenceService.Redelivered(asked.id);
        vm.prank(THIRD);
        redeliver(asked);
        check(consumer.calls() == 1 && service.provisionalAnswer(asked.id).delivered, "not delivered");
        refuse(IInferenceService.DeliveredAlready.selector);
        redeliver(asked);
        check(consumer.calls() == 1, "delivered twice");
        // No money moves, and the answer stands.
        check(address(service).balance == held, "money went");
        check(paid(ASSERTER) == ASSERTER_BOND + FEE, "paid twice");
        check(service.result(asked.id) == Toy.result(truth(asked)), "another result");
    }

    function test_onlyFailedCallbacksOfFinalAnswers() public {
        Consumer consumer = new Consumer();
        Asked memory asked = ask(address(consumer), GAS, "");
        refuse(IInferenceService.NotFinal.selector);
        redeliver(asked);
        answer(asked, truth(asked));
        refuse(IInferenceService.NotFinal.selector);
        redeliver(asked);
        vm.warp(block.timestamp + WINDOW);
        refuse(IInferenceService.NotFinal.selector);
        redeliver(asked);
        check(consumer.calls() == 0, "called before finality");
        check(delivered(asked), "not delivered");
        refuse(IInferenceService.DeliveredAlready.selector);
        redeliver(asked);
        // Without a callback there is nothing to deliver.
        asked = ready(address(0), 0, "");
        settle(asked, truth(asked));
        refuse(IInferenceService.DeliveredAlready.selector);
        redeliver(asked);
    }

    function test_onlyTheOutputIsMadeAgain() public {
        StubbornConsumer consumer = new StubbornConsumer();
        Asked memory asked = ready(address(consumer), GAS, "data");
        check(!delivered(asked), "delivered");
        consumer.agree();
        bytes[] memory outputs = Toy.outputs(truth(asked));
        bytes[] memory other = Toy.outputs(lie(asked, 16));
        refuse(IInferenceService.NotTheOutput.selector);
        service.redeliver(asked.id, asked.request, other, "data");
        refuse(IInferenceService.NotTheOutput.selector);
        service.redeliver(asked.id, asked.request, outputs, "other data");
        refuse(IInferenceService.NotTheOutput.selector);
        service.redeliver(asked.id, asked.request, new bytes[](0), "data");
        other[1] = bytes.concat(outputs[1], hex"00");
        refuse(IInferenceService.Size.selector);
        service.redeliver(asked.id, asked.request, other, "data");
        Request memory request = asked.request;
        request.callback = OTHER;
        refuse(IInferenceService.RequestMismatch.selector);
        service.redeliver(asked.id, request, outputs, "data");
        request.callback = address(consumer);
        service.redeliver(asked.id, request, outputs, "data");
        check(consumer.calls() == 1, "not delivered");
    }

    /// From inside its callback, a consumer can't have it made a second time.
    function test_aCallbackMadeAgainIsNotReentered() public {
        ReentrantConsumer consumer = new ReentrantConsumer(service);
        vm.deal(address(consumer), 100 ether);
        Asked memory asked = ready(address(consumer), 2_000_000, "");
        consumer.expect(asked.request, true);
        check(!delivered(asked), "delivered");
        consumer.expect(asked.request, false);
        redeliver(asked);
        check(consumer.tries() == 5 && consumer.succeeded() == 0, "one succeeded");
        check(consumer.calls() == 1, "called twice");
        check(address(service).balance == 0 && paid(ASSERTER) == ASSERTER_BOND + FEE, "money went");
    }

    /// Whoever settles from inside a consumer's guarded function makes the callback fail, but not for ever.
    function test_settlingInsideAGuardHarmsOnlyUntilItIsMadeAgain() public {
        GuardedConsumer consumer = new GuardedConsumer();
        Asked memory asked = ready(address(consumer), GAS, "");
        consumer.settle(service, asked.id, asked.request, Toy.outputs(truth(asked)));
        check(standing(asked) == Standing.Final && consumer.calls() == 0, "the guard is open");
        redeliver(asked);
        check(consumer.calls() == 1, "not delivered");
    }

    /// An overturned answer is never delivered; the one that takes its place is.
    function test_anOverturnedAnswerIsNotDelivered() public {
        Consumer consumer = new Consumer();
        Asked memory asked = ask(address(consumer), GAS, "");
        answer(asked, lie(asked, 7));
        check(!playOut(challenge(CHALLENGER, asked, truth(asked)), lie(asked, 7), truth(asked)), "lost");
        refuse(IInferenceService.NotFinal.selector);
        redeliver(asked);
        answer(asked, truth(asked));
        vm.warp(block.timestamp + WINDOW);
        check(delivered(asked), "not delivered");
    }

    // ---- The example

    function test_theExampleStoresOnlyWhatItAskedFor() public {
        ExampleConsumer consumer = new ExampleConsumer(service);
        vm.prank(OTHER);
        uint256 id = consumer.ask{value: FEE}(idOf(Toy.plain()), someInputs());
        Asked memory asked;
        (asked.id, asked.plan) = (id, Toy.plain());
        (asked.inputRoot, asked.firstState) = (someInputRoot(), Toy.FIRST_STATE);
        asked.request = expected(address(consumer), order(address(consumer), GAS, ""));
        answer(asked, truth(asked));
        // Somebody else names the example in a request of its own.
        Asked memory unsolicited = ask(address(consumer), GAS, "");
        answer(unsolicited, lie(unsolicited, 3));
        vm.warp(block.timestamp + WINDOW);
        vm.expectEmit();
        emit IInferenceService.Settled(id, Toy.result(truth(asked)), true);
        settle(asked, truth(asked));
        bytes memory outputs = abi.encode(Toy.outputs(truth(asked)));
        check(keccak256(abi.encode(consumer.outputsOf(id))) == keccak256(outputs), "not stored");
        vm.expectEmit();
        emit IInferenceService.Settled(unsolicited.id, Toy.result(lie(unsolicited, 3)), false);
        settle(unsolicited, lie(unsolicited, 3));
        check(consumer.outputsOf(unsolicited.id).length == 0, "stored for somebody else");
        refuse(ExampleConsumer.NotTheService.selector);
        consumer.inferenceCallback(id, address(consumer), idOf(Toy.plain()), new bytes[](1), "");
    }
}
