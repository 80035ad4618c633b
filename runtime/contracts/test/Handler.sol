// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.24;

import {InferenceService} from "../src/InferenceService.sol";
import {
    Answer,
    Game,
    IDisputeGame,
    IInferenceService,
    Model,
    Opening,
    Request,
    Standing
} from "../src/Interfaces.sol";
import {Naive} from "./Naive.sol";
import {Run, Toy} from "./Toy.sol";
import {Vm, vm} from "./Vm.sol";

/// @title People who do anything at any time, truly or not, with a service; and what must hold of every single act.
/// @dev Each act is chosen by a seed, may be one that the service refuses, and then changes nothing.
contract Handler {
    /// A request, and the lies that its answers were made with (0 is the truth).
    struct Asked {
        Request request;
        uint256 lie;
        bool cancelled;
        bytes32 finalRoot;
    }

    /// A game, its state and what the players' runs are.
    struct Played {
        uint256 id;
        uint256 request;
        Game game;
        bytes32[] claims;
        uint256 asserterLie;
        uint256 challengerLie;
    }

    InferenceService private immutable SERVICE;
    bytes32 private immutable LISTING;
    uint96 private immutable ASSERTER_BOND;
    uint96 private immutable CHALLENGER_BOND;
    uint96 private immutable BURNED;
    uint256 private constant PEOPLE = 5;
    bytes private input = new bytes(40);
    Model private model;

    Asked[] private asked;
    Played[] private played;
    /// What has been burned.
    uint256 public burned;
    /// How often each kind of act succeeded.
    mapping(string act => uint256) public succeeded;

    constructor(InferenceService service, bytes32 listing, Model memory about) {
        (SERVICE, LISTING, model) = (service, listing, about);
        ASSERTER_BOND = service.terms().asserterBond;
        CHALLENGER_BOND = service.terms().challengerBond;
        BURNED = service.terms().burned;
        for (uint256 i = 0; i < PEOPLE; i++) {
            vm.deal(person(i), 1e6 ether);
        }
    }

    function person(uint256 seed) private pure returns (address) {
        return address(uint160(0x1000 + seed % PEOPLE));
    }

    /// One of the last few: old ones have little left to happen to them.
    function recent(uint256 seed, uint256 count) private pure returns (uint256) {
        return count - 1 - seed % (count < 4 ? count : 4);
    }

    /// Sends a call from somebody. Nobody's wei may change by it but the sender's, and the sender's only by what it
    /// sends along, or by what was credited to it if it withdraws.
    function act(string memory name, address sender, uint256 value, bytes memory call)
        private
        returns (bool done)
    {
        uint256[] memory before = wallets();
        uint256 credit = SERVICE.balances(sender);
        vm.recordLogs();
        vm.prank(sender);
        (done,) = address(SERVICE).call{value: value}(call);
        if (done) succeeded[name] += 1;
        uint256 received = bytes4(call) == IInferenceService.withdraw.selector && done ? credit : 0;
        for (uint256 i = 0; i < PEOPLE; i++) {
            uint256 due = before[i];
            if (person(i) == sender) due = due + received - (done ? value : 0);
            require(person(i).balance == due, "somebody's money changed");
        }
    }

    function wallets() private view returns (uint256[] memory found) {
        found = new uint256[](PEOPLE);
        for (uint256 i = 0; i < PEOPLE; i++) {
            found[i] = person(i).balance;
        }
    }

    // ---- Acts

    function request(uint256 who, uint96 fee) external {
        address requester = person(who);
        fee = 0.2 ether + fee % 1 ether;
        uint256 id = asked.length + 1;
        bytes memory call =
            abi.encodeCall(IInferenceService.requestCallback, (LISTING, input, address(0), 0, ""));
        if (!act("request", requester, fee, call)) return;
        asked.push();
        asked[id - 1].request = Request({
            model: keccak256(abi.encode(model)),
            inputRoot: 0,
            requester: requester,
            fee: fee - 0.2 ether,
            licensor: person(4),
            licenceFee: 0.2 ether,
            callback: address(0),
            callbackGas: 0,
            created: uint64(block.timestamp),
            outputBytes: 32,
            outputLevel: 1,
            callbackData: keccak256("")
        });
    }

    function cancel(uint256 who, uint256 which) external {
        if (asked.length == 0) return;
        uint256 id = 1 + recent(which, asked.length);
        Request memory its = asked[id - 1].request;
        address sender = who % 2 == 0 ? its.requester : person(who);
        bool done = act("cancel", sender, 0, abi.encodeCall(IInferenceService.cancel, (id, its)));
        require(!done || sender == its.requester, "somebody else cancelled");
        if (done) asked[id - 1].cancelled = true;
    }

    function answer(uint256 who, uint256 which, uint256 lie) external {
        if (asked.length == 0) return;
        uint256 id = 1 + recent(which, asked.length);
        // Half of the answers are true.
        lie = lie % 2 == 0 ? 0 : 1 + lie % 16;
        Standing before = SERVICE.provisionalAnswer(id).standing;
        bytes memory output = Toy.output(Toy.run(0, lie));
        bytes memory call = abi.encodeCall(IInferenceService.answer, (id, asked[id - 1].request, output));
        if (!act("answer", person(who), ASSERTER_BOND, call)) return;
        require(before == Standing.None || before == Standing.Overturned, "an answer took another's place");
        asked[id - 1].lie = lie;
    }

    function challenge(uint256 who, uint256 which, uint256 lie) external {
        if (asked.length == 0) return;
        uint256 id = 1 + recent(which, asked.length);
        // Half of the challengers tell the truth.
        lie = lie % 2 == 0 ? 0 : 1 + lie % 16;
        Answer memory given = SERVICE.provisionalAnswer(id);
        Opening memory opening = Toy.opening(Toy.run(0, lie), SERVICE.terms().arity);
        bytes memory call = abi.encodeCall(
            IInferenceService.challenge, (id, asked[id - 1].request, model, given.outputRoot, opening)
        );
        if (!act("challenge", person(who), CHALLENGER_BOND, call)) return;
        require(person(who) != given.asserter, "it plays against itself");
        played.push();
        Played storage one = played[played.length - 1];
        one.id = id << 176 | uint256(given.attempt) << 160 | uint160(person(who));
        (one.request, one.asserterLie, one.challengerLie) = (id, asked[id - 1].lie, lie);
        (one.game, one.claims) = moved();
    }

    /// Some moves of one game.
    function reply(uint256 which, uint256 times) external {
        if (played.length == 0) return;
        Played storage one = played[recent(which, played.length)];
        for (uint256 i = 0; i <= times % 5; i++) {
            if (!replyOnce(one)) return;
        }
    }

    /// Says whether the game goes on.
    function replyOnce(Played storage one) private returns (bool) {
        bool asserters = one.game.asserterMoves;
        Run memory made = Toy.run(0, asserters ? one.asserterLie : one.challengerLie);
        bytes memory call = Toy.reply(made, one.id, one.game, model, one.claims);
        bool proves = bytes4(call) == IDisputeGame.prove.selector;
        address mover = asserters ? one.game.asserter : one.game.challenger;
        if (call.length == 0 || !act(proves ? "prove" : "move", mover, 0, call)) return false;
        if (!proves) {
            (one.game, one.claims) = moved();
            return true;
        }
        require(
            (asserters ? one.challengerLie : one.asserterLie) != 0, "something false was proven of the truth"
        );
        if (!asserters) burned += BURNED;
        return false;
    }

    function timeout(uint256 who, uint256 which) external {
        if (played.length == 0) return;
        Played storage one = played[recent(which, played.length)];
        bytes memory call = abi.encodeCall(IDisputeGame.timeout, (one.id, one.game));
        if (act("timeout", person(who), 0, call) && one.game.asserterMoves) burned += BURNED;
    }

    function settle(uint256 who, uint256 which) external {
        if (asked.length == 0) return;
        uint256 id = 1 + recent(which, asked.length);
        bytes memory output = Toy.output(Toy.run(0, asked[id - 1].lie));
        bytes memory call = abi.encodeCall(IInferenceService.settle, (id, asked[id - 1].request, output, ""));
        if (act("settle", person(who), 0, call)) asked[id - 1].finalRoot = SERVICE.result(id);
    }

    function reclaim(uint256 who, uint256 which) external {
        if (played.length == 0) return;
        Played storage one = played[recent(which, played.length)];
        act("reclaim", person(who), 0, abi.encodeCall(IInferenceService.reclaim, (one.id, one.game)));
    }

    function withdraw(uint256 who) external {
        act("withdraw", person(who), 0, abi.encodeCall(IInferenceService.withdraw, ()));
    }

    function wait(uint256 time) external {
        // Long enough for clocks and windows to run out now and then.
        vm.warp(block.timestamp + time % 700);
    }

    function moved() private returns (Game memory game, bytes32[] memory claims) {
        Vm.Log[] memory logs = vm.getRecordedLogs();
        return abi.decode(logs[logs.length - 1].data, (Game, bytes32[]));
    }

    // ---- What is there

    /// What the service must hold: what is credited, open bonds, open fees, and what is burned.
    function owed() external view returns (uint256 sum) {
        sum = burned;
        for (uint256 i = 0; i < PEOPLE; i++) {
            sum += SERVICE.balances(person(i));
        }
        for (uint256 i = 0; i < asked.length; i++) {
            Standing standing = SERVICE.provisionalAnswer(i + 1).standing;
            Request storage its = asked[i].request;
            if (!asked[i].cancelled && standing != Standing.Final) sum += uint256(its.fee) + its.licenceFee;
            if (standing == Standing.Pending) sum += ASSERTER_BOND;
        }
        for (uint256 i = 0; i < played.length; i++) {
            if (uint256(SERVICE.games(played[i].id)) > 3) sum += CHALLENGER_BOND;
        }
    }

    /// Final answers are what they were when they became final; what isn't final has no result.
    function finalsStand() external view returns (bool stand) {
        stand = true;
        for (uint256 i = 0; i < asked.length; i++) {
            bool isFinal = SERVICE.provisionalAnswer(i + 1).standing == Standing.Final;
            stand = stand && isFinal == (asked[i].finalRoot != 0);
            if (isFinal) stand = stand && SERVICE.result(i + 1) == asked[i].finalRoot;
        }
    }

    /// A pending answer knows how many games are open against it; a game that runs is one about the last answer.
    function gamesAreCounted() external view returns (bool counted) {
        counted = true;
        for (uint256 i = 0; i < asked.length; i++) {
            Answer memory given = SERVICE.provisionalAnswer(i + 1);
            uint256 open;
            for (uint256 j = 0; j < played.length; j++) {
                bool its = played[j].id >> 160 == ((i + 1) << 16 | given.attempt);
                if (its && uint256(SERVICE.games(played[j].id)) > 3) open += 1;
            }
            if (given.standing == Standing.Pending) counted = counted && open == given.openGames;
            if (given.standing == Standing.Final) counted = counted && open == 0;
        }
    }
}
