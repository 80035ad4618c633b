// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.24;

import {IInferenceConsumer, Input, Model, Source} from "../src/Interfaces.sol";
import {Stage} from "./Stage.sol";
import {Run, Toy, ToyVerifier, Turn} from "./Toy.sol";
import {vm} from "./Vm.sol";

contract QuietConsumer is IInferenceConsumer {
    function inferenceCallback(uint256, address, bytes32, bytes[] calldata, bytes calldata) external pure {}
}

/// @dev Fails until it is told not to.
contract StubbornConsumer is IInferenceConsumer {
    bool private willing;

    function agree() external {
        willing = true;
    }

    function inferenceCallback(uint256, address, bytes32, bytes[] calldata, bytes calldata) external view {
        require(willing, "not yet");
    }
}

/// @dev Takes no money until it is told to.
contract RefusingAsserter {
    bool private willing;

    function agree() external {
        willing = true;
    }

    receive() external payable {
        require(willing, "not yet");
    }
}

/// @dev What each call costs, in `snapshots/`: forge compares. Every call is a transaction of its own, so its
/// gas is what the chain charges, calldata included.
/// forge-config: default.isolate = true
contract GasTest is Stage {
    function note(string memory name) private {
        vm.snapshotGasLastCall("gas", name);
    }

    function test_registry() public {
        registry = newRegistry();
        registry.deployVerifier(Toy.EXTENSIONS, type(ToyVerifier).creationCode);
        note("deployVerifier (of the toy)");
        Model memory model = Toy.model(Toy.plain());
        registry.register(model);
        note("register");
    }

    function test_service() public {
        Asked memory asked = ask();
        note("request (40 and 32 bytes)");
        answer(asked, truth(asked));
        note("answer (two of 32 bytes)");
        vm.warp(block.timestamp + WINDOW);
        service.settle(asked.id, asked.request, new bytes[](0), "");
        note("settle");
        // The next one goes on with the state.
        Input[] memory inputs = someInputs();
        inputs[0] = Input(Source.Root, abi.encode(someInputRoot()));
        inputs[1].source = Source.Result;
        inputs[1].data = abi.encodePacked(asked.id, uint256(1), Toy.outputRoots(truth(asked)));
        vm.prank(REQUESTER);
        service.request{value: FEE}(order(), inputs);
        note("request (root and result)");
    }

    function test_withdraw() public {
        Asked memory asked = ask();
        RefusingAsserter refusing = new RefusingAsserter();
        vm.deal(address(refusing), WEALTH);
        answer(address(refusing), asked, truth(asked));
        vm.warp(block.timestamp + WINDOW);
        service.settle(asked.id, asked.request, new bytes[](0), "");
        note("settle (refused)");
        refusing.agree();
        vm.prank(address(refusing));
        service.withdraw();
        note("withdraw");
    }

    function test_callbacks() public {
        Asked memory asked = ask(address(new QuietConsumer()), 100_000, "data");
        answer(asked, truth(asked));
        vm.warp(block.timestamp + WINDOW);
        settle(asked, truth(asked));
        note("settle with callback");
        StubbornConsumer stubborn = new StubbornConsumer();
        asked = ask(address(stubborn), 100_000, "data");
        answer(asked, truth(asked));
        vm.warp(block.timestamp + WINDOW);
        settle(asked, truth(asked));
        stubborn.agree();
        service.redeliver(asked.id, asked.request, Toy.outputs(truth(asked)), "data");
        note("redeliver");
    }

    function test_cancel() public {
        Asked memory asked = ask();
        vm.prank(REQUESTER);
        service.cancel(asked.id, asked.request);
        note("cancel (notice)");
        vm.warp(block.timestamp + WINDOW);
        vm.prank(REQUESTER);
        service.cancel(asked.id, asked.request);
        note("cancel");
    }

    function test_dispute() public {
        Asked memory asked = ask();
        Run memory lied = lie(asked, 7);
        answer(asked, lied);
        Turn memory other = challenge(OTHER, asked, truth(asked));
        Turn memory turn = challenge(CHALLENGER, asked, truth(asked));
        note("challenge");
        string[4] memory names =
            ["dissect big steps", "enter", "dissect steps", "prove (with the toy's verifier)"];
        for (uint256 i = 0; i < names.length; i++) {
            bool asserters = Toy.position(turn.game).asserterMoves;
            bytes memory call = Toy.reply(asserters ? lied : truth(asked), turn, ARITY);
            vm.recordLogs();
            vm.prank(Toy.mover(turn));
            (bool made,) = address(service).call(call);
            check(made, names[i]);
            note(names[i]);
            if (i < 3) moved(turn);
        }
        reclaim(other);
        note("reclaim");
    }

    function test_timeout() public {
        Asked memory asked = ask();
        answer(asked, lie(asked, 7));
        Turn memory turn = challenge(CHALLENGER, asked, truth(asked));
        vm.warp(block.timestamp + CLOCK + 1);
        timeout(turn);
        note("timeout");
    }
}
