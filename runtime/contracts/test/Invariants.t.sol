// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.24;

import {Handler} from "./Handler.sol";
import {Stage} from "./Stage.sol";

/// @dev What holds whatever anybody does (`Handler`). The handler itself checks what must hold of each act.
contract InvariantsTest is Stage {
    Handler private handler;
    address[] private targets;

    function setUp() public override {
        super.setUp();
        handler = new Handler(service);
        targets.push(address(handler));
    }

    /// Forge calls nothing but these.
    function targetContracts() public view returns (address[] memory) {
        return targets;
    }

    function invariant_everythingHolds() public view {
        check(address(service).balance == handler.owed(), "money came or went");
        check(handler.finalsStand(), "a final answer changed");
        check(handler.truthStands(), "a true answer was overturned");
        check(handler.gamesAreCounted(), "a game isn't counted");
        check(handler.hashesDiffer(), "two requests or games have one hash");
    }

    /// The handler really gets everywhere: every kind of act succeeds, many times.
    function test_theHandlerReachesEverything() public {
        for (uint256 i = 0; i < 2000; i++) {
            bytes32 seed = keccak256(abi.encode(i));
            doSomething(uint8(seed[0]) % 20, uint8(seed[1]), uint8(seed[2]), uint8(seed[3]));
        }
        string[13] memory acts = [
            "request",
            "request from a result",
            "notice",
            "cancel",
            "answer",
            "challenge",
            "move",
            "prove",
            "timeout",
            "settle",
            "credit",
            "withdraw",
            "reclaim"
        ];
        for (uint256 i = 0; i < acts.length; i++) {
            check(handler.succeeded(acts[i]) >= 3, acts[i]);
        }
        check(handler.burned() > 0, "burned");
        invariant_everythingHolds();
    }

    function doSomething(uint256 what, uint256 who, uint256 which, uint256 lie) private {
        if (what == 0 && who % 4 < 2) handler.request(who, lie, which);
        else if (what <= 2) handler.cancel(who, which);
        else if (what <= 4) handler.answer(who, which, lie);
        else if (what <= 9) handler.challenge(who, which, lie);
        else if (what <= 13) handler.reply(which, lie);
        else if (what == 14) handler.timeout(who, which);
        else if (what == 15) handler.settle(who, which);
        else if (what <= 17) handler.reclaim(who, which);
        else if (what == 18) handler.withdraw(who);
        else handler.wait(lie * 4 + who % 2);
    }
}
