// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.24;

import {Listing} from "../src/Interfaces.sol";
import {Handler} from "./Handler.sol";
import {Stage} from "./Stage.sol";

/// @dev What holds after whatever anybody did (`Handler`). What must hold of each act, the handler checks itself.
contract InvariantsTest is Stage {
    Handler private handler;
    address[] private targets;

    function setUp() public override {
        super.setUp();
        // The licensor is one of those whose money is watched.
        Listing memory licensed = offer();
        licensed.licensor = address(0x1004);
        handler = new Handler(service, registry.register(licensed, machine()), model);
        targets.push(address(handler));
    }

    /// Forge calls nothing but these.
    function targetContracts() public view returns (address[] memory) {
        return targets;
    }

    function invariant_theServiceHoldsWhatItOwes() public view {
        check(address(service).balance == handler.owed(), "money came or went");
    }

    function invariant_finalAnswersStand() public view {
        check(handler.finalsStand(), "a final answer changed");
    }

    function invariant_gamesAreCounted() public view {
        check(handler.gamesAreCounted(), "a game isn't counted");
    }

    /// The handler really gets everywhere: all kinds of acts succeed, many times.
    function test_theHandlerReachesEverything() public {
        for (uint256 i = 0; i < 3000; i++) {
            bytes32 seed = keccak256(abi.encode(i));
            doSomething(uint8(seed[0]) % 16, uint8(seed[1]), uint8(seed[2]), uint8(seed[3]));
        }
        string[9] memory acts =
            ["request", "cancel", "answer", "challenge", "move", "prove", "timeout", "settle", "withdraw"];
        for (uint256 i = 0; i < acts.length; i++) {
            check(handler.succeeded(acts[i]) >= 5, acts[i]);
        }
        check(handler.succeeded("reclaim") >= 1 && handler.burned() > 0, "reclaim");
        invariant_theServiceHoldsWhatItOwes();
        invariant_finalAnswersStand();
        invariant_gamesAreCounted();
    }

    function doSomething(uint256 what, uint256 who, uint256 which, uint256 lie) private {
        if (what == 0 && who % 2 == 0) handler.request(who, uint96(lie));
        else if (what <= 1) handler.cancel(who, which);
        else if (what <= 3) handler.answer(who, which, lie);
        else if (what <= 6) handler.challenge(who, which, lie);
        else if (what <= 11) handler.reply(which, lie);
        else if (what == 12) handler.timeout(who, which);
        else if (what == 13) handler.settle(who, which);
        else if (what == 14) lie % 2 == 0 ? handler.reclaim(who, which) : handler.withdraw(who);
        else handler.wait(lie * 4);
    }
}
