// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.24;

import {Game, IInferenceConsumer, Listing, Machine, Opening} from "../src/Interfaces.sol";
import {Stage} from "./Stage.sol";
import {Run, Toy, ToyVerifier} from "./Toy.sol";
import {vm} from "./Vm.sol";

contract QuietConsumer is IInferenceConsumer {
    function inferenceCallback(uint256, bytes calldata, bytes calldata) external pure {}
}

/// @dev What each call costs, in `snapshots/`: forge compares. Every call is a transaction of its own, so its gas is
/// that of the chain, calldata included.
/// forge-config: default.isolate = true
contract GasTest is Stage {
    function note(string memory name) private {
        vm.snapshotGasLastCall("gas", name);
    }

    function test_registry() public {
        Machine memory another = machine();
        another.codeSize = 96;
        registry.deployVerifier(another, type(ToyVerifier).creationCode);
        note("deployVerifier (of the toy)");
        Listing memory offered = offer();
        offered.licenceFee = 0;
        registry.register(offered, machine());
        note("register");
    }

    function test_service() public {
        Asked memory asked = ask();
        note("requestCallback (40 bytes)");
        answer(asked, truth(asked));
        note("answer (32 bytes)");
        vm.warp(block.timestamp + WINDOW);
        settle(asked, truth(asked));
        note("settle");
        vm.prank(ASSERTER);
        service.withdraw();
        note("withdraw");
        asked = ask(address(new QuietConsumer()), 100_000, "data");
        answer(asked, truth(asked));
        vm.warp(block.timestamp + WINDOW);
        settle(asked, truth(asked));
        note("settle with callback");
        asked = ask();
        vm.warp(block.timestamp + WINDOW);
        vm.prank(REQUESTER);
        service.cancel(asked.id, asked.request);
        note("cancel");
    }

    function test_dispute() public {
        Asked memory asked = ask();
        Run memory lied = lie(asked, 7);
        answer(asked, lied);
        (uint256 other, Game memory state,) = challenge(OTHER, asked, truth(asked));
        (uint256 id, Game memory game, bytes32[] memory claims) = challenge(CHALLENGER, asked, truth(asked));
        note("challenge");
        string[4] memory names =
            ["dissect big steps", "enter", "dissect steps", "prove (with the toy's verifier)"];
        for (uint256 i = 0; i < names.length; i++) {
            bytes memory call = Toy.reply(game.asserterMoves ? lied : truth(asked), id, game, model, claims);
            vm.recordLogs();
            vm.prank(game.asserterMoves ? ASSERTER : CHALLENGER);
            (bool made,) = address(service).call(call);
            check(made, names[i]);
            note(names[i]);
            if (i < 3) (game, claims) = moved();
        }
        service.reclaim(other, state);
        note("reclaim");
    }

    function test_timeout() public {
        Asked memory asked = ask();
        answer(asked, lie(asked, 7));
        (uint256 id, Game memory game,) = challenge(CHALLENGER, asked, truth(asked));
        vm.warp(block.timestamp + CLOCK + 1);
        service.timeout(id, game);
        note("timeout");
    }
}
