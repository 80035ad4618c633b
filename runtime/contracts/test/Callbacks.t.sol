// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.24;

import {IInferenceConsumer, IInferenceService, InferenceService} from "../src/InferenceService.sol";
import {Request, Standing} from "../src/Interfaces.sol";
import {Stage} from "./Stage.sol";
import {Toy} from "./Toy.sol";
import {vm} from "./Vm.sol";

/// @dev Keeps what it is told, and with how much gas.
contract Consumer is IInferenceConsumer {
    address public caller;
    uint256 public id;
    bytes public output;
    bytes public data;
    uint256 public gas;
    uint256 public calls;

    function inferenceCallback(uint256 id_, bytes calldata output_, bytes calldata data_) external {
        gas = gasleft();
        (caller, id, output, data) = (msg.sender, id_, output_, data_);
        calls += 1;
    }
}

contract FailingConsumer is IInferenceConsumer {
    function inferenceCallback(uint256, bytes calldata, bytes calldata) external pure {
        revert("no");
    }
}

contract GreedyConsumer is IInferenceConsumer {
    function inferenceCallback(uint256, bytes calldata, bytes calldata) external pure {
        while (true) {}
    }
}

/// @dev Answers with so much that reading it would cost the caller all its gas.
contract BombConsumer is IInferenceConsumer {
    function inferenceCallback(uint256, bytes calldata, bytes calldata) external pure {
        assembly ("memory-safe") {
            revert(0, 500000)
        }
    }
}

/// @dev Tries to be paid or called twice, or to turn the answer.
contract ReentrantConsumer is IInferenceConsumer {
    InferenceService private immutable SERVICE;
    Request private request;
    uint256 public tries;
    uint256 public succeeded;

    constructor(InferenceService service) {
        SERVICE = service;
    }

    function expect(Request calldata asked) external {
        request = asked;
    }

    function inferenceCallback(uint256 id, bytes calldata output, bytes calldata data) external {
        attempt(abi.encodeCall(IInferenceService.settle, (id, request, output, data)), 0);
        attempt(abi.encodeCall(IInferenceService.cancel, (id, request)), 0);
        attempt(abi.encodeCall(IInferenceService.answer, (id, request, output)), SERVICE.terms().asserterBond);
        attempt(abi.encodeCall(IInferenceService.withdraw, ()), 0);
    }

    function attempt(bytes memory call, uint256 value) private {
        (bool done,) = address(SERVICE).call{value: value}(call);
        tries += 1;
        if (done) succeeded += 1;
    }

    receive() external payable {}
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

    /// Settles with all the gas there is, or with so much, and says whether the consumer took it.
    function delivered(Asked memory asked) private returns (bool) {
        vm.recordLogs();
        settle(asked, truth(asked));
        check(standing(asked) == Standing.Final, "not final");
        check(service.balances(ASSERTER) == ASSERTER_BOND + FEE, "not paid");
        check(service.balances(LICENSOR) == LICENCE_FEE, "not paid");
        (, bool was) = abi.decode(vm.getRecordedLogs()[0].data, (bytes32, bool));
        return was;
    }

    function test_theConsumerIsCalledOnceItIsFinal() public {
        Consumer consumer = new Consumer();
        Asked memory asked = ask(address(consumer), GAS, "some data");
        answer(asked, truth(asked));
        vm.warp(block.timestamp + WINDOW - 1);
        vm.expectRevert(abi.encodeWithSelector(IInferenceService.Unsettled.selector));
        settle(asked, truth(asked));
        check(consumer.calls() == 0, "called before finality");
        vm.warp(block.timestamp + 1);
        check(delivered(asked), "not delivered");
        check(consumer.calls() == 1 && consumer.caller() == address(service), "called");
        check(consumer.id() == asked.id && keccak256(consumer.data()) == keccak256("some data"), "which");
        check(keccak256(consumer.output()) == keccak256(Toy.output(truth(asked))), "output");
        vm.expectRevert(abi.encodeWithSelector(IInferenceService.Decided.selector));
        settle(asked, truth(asked));
    }

    function test_aFailingConsumerHarmsNobody() public {
        check(!delivered(ready(address(new FailingConsumer()), GAS, "")), "delivered");
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
        consumer.expect(asked.request);
        check(delivered(asked), "the attempts didn't come to their end");
        check(consumer.tries() == 4 && consumer.succeeded() == 0, "one succeeded");
        check(service.result(asked.id) == Toy.outputRoot(truth(asked)), "another result");
        check(address(service).balance == ASSERTER_BOND + FEE + LICENCE_FEE, "money went");
    }

    /// Whoever settles with too little gas can't make a callback fail: it gets all that it asked for, or nothing happens.
    function testFuzz_aStarvedCallbackIsNotMade(uint256 gas) public {
        gas = 30_000 + gas % 900_000;
        Consumer consumer = new Consumer();
        Asked memory asked = ready(address(consumer), GAS, "");
        bytes memory call =
            abi.encodeCall(IInferenceService.settle, (asked.id, asked.request, Toy.output(truth(asked)), ""));
        (bool settled,) = address(service).call{gas: gas}(call);
        check(settled == (consumer.calls() == 1), "settled without the callback");
        check(settled == (standing(asked) == Standing.Final), "half settled");
        // The call itself costs a little before the first line runs.
        if (settled) check(consumer.gas() > GAS - 2_000, "less gas than it asked for");
    }

    function test_tooLittleGasIsSaid() public {
        Asked memory asked = ready(address(new Consumer()), GAS, "");
        bytes memory call =
            abi.encodeCall(IInferenceService.settle, (asked.id, asked.request, Toy.output(truth(asked)), ""));
        (bool settled, bytes memory reason) = address(service).call{gas: 300_000}(call);
        check(!settled && bytes4(reason) == IInferenceService.Gas.selector, "settled, or another error");
        (settled,) = address(service).call{gas: 500_000}(call);
        check(settled, "enough gas");
    }
}
