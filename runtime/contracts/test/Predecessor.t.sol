// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.24;

import {
    BigStepEntry,
    Game,
    IDisputeGame,
    IInferenceConsumer,
    IInferenceService,
    IModelRegistry,
    Machine,
    Model,
    Opening,
    Pick,
    Request,
    Standing
} from "../src/Interfaces.sol";
import {Naive} from "./Naive.sol";
import {Stage} from "./Stage.sol";
import {Run, Toy} from "./Toy.sol";
import {vm} from "./Vm.sol";

/// @notice The holes that the contracts of the first opML (2023) had, each tried here.
contract PredecessorTest is Stage {
    function refuse(bytes4 reason) private {
        vm.expectRevert(abi.encodeWithSelector(reason));
    }

    /// There, a player who fell silent kept a dispute open for ever.
    function test_noClocks() public {
        Asked memory asked = ask();
        uint256 posted = block.timestamp;
        answer(asked, lie(asked, 7));
        // The latest that a game can be opened, and then everybody thinks as long as it may.
        vm.warp(posted + WINDOW - 1);
        (uint256 id, Game memory game, bytes32[] memory claims) = challenge(CHALLENGER, asked, truth(asked));
        vm.warp(block.timestamp + CLOCK);
        bytes memory call = Toy.reply(lie(asked, 7), id, game, model, claims);
        vm.recordLogs();
        vm.prank(ASSERTER);
        (bool made,) = address(service).call(call);
        check(made, "the last second is in time");
        (game, claims) = moved();
        check(game.asserterClock == 0, "a move is free");
        vm.warp(block.timestamp + CLOCK);
        call = Toy.reply(truth(asked), id, game, model, claims);
        vm.recordLogs();
        vm.prank(CHALLENGER);
        (made,) = address(service).call(call);
        check(made, "the last second is in time");
        (game, claims) = moved();
        // The asserter has used its time and says nothing. Anyone may end it.
        refuse(IDisputeGame.Early.selector);
        service.timeout(id, game);
        vm.warp(block.timestamp + 1);
        vm.prank(OTHER);
        service.timeout(id, game);
        check(standing(asked) == Standing.Overturned, "it goes on");
        check(
            block.timestamp <= posted + WINDOW + 2 * uint256(CLOCK), "it took longer than window and clocks"
        );
    }

    /// There, neither a false result nor a false challenge cost its author anything.
    function test_noBonds() public {
        Asked memory asked = ask();
        bytes memory output = Toy.output(lie(asked, 2));
        vm.prank(ASSERTER);
        vm.expectRevert(abi.encodeWithSelector(IInferenceService.Value.selector, ASSERTER_BOND));
        service.answer(asked.id, asked.request, output);
        uint256 before = ASSERTER.balance;
        answer(asked, lie(asked, 2));
        Opening memory opening = Toy.opening(truth(asked), ARITY);
        vm.prank(CHALLENGER);
        vm.expectRevert(abi.encodeWithSelector(IInferenceService.Value.selector, CHALLENGER_BOND));
        service.challenge(asked.id, asked.request, model, Toy.outputRoot(lie(asked, 2)), opening);
        (uint256 id, Game memory game, bytes32[] memory claims) = challenge(CHALLENGER, asked, truth(asked));
        check(!playOut(id, game, claims, lie(asked, 2), truth(asked)), "the liar wins");
        vm.prank(ASSERTER);
        refuse(IInferenceService.Nothing.selector);
        service.withdraw();
        check(ASSERTER.balance == before - ASSERTER_BOND, "the lie was free");
        check(service.balances(CHALLENGER) > CHALLENGER_BOND, "telling the truth doesn't pay");
    }

    /// There, the contract's owner could take all bonds. Here the deployer is nobody: it tries every function, and names
    /// that owners' functions have.
    function test_ownerCanWithdraw() public {
        Asked memory asked = ask();
        answer(asked, lie(asked, 7));
        (uint256 id, Game memory game,) = challenge(CHALLENGER, asked, truth(asked));
        bytes[] memory calls = everyFunction(asked, id, game);
        (uint256 held, uint256 before) = (address(service).balance, address(this).balance);
        for (uint256 i = 0; i < calls.length; i++) {
            (bool done,) = address(service).call(calls[i]);
            check(!done, "the deployer may do something");
            (done,) = address(registry).call(calls[i]);
            check(!done, "the deployer may do something");
        }
        check(service.balances(address(this)) == 0, "credited");
        check(address(service).balance == held && address(this).balance == before, "money went");
        check(standing(asked) == Standing.Pending, "turned");
    }

    function everyFunction(Asked memory asked, uint256 id, Game memory game)
        private
        view
        returns (bytes[] memory calls)
    {
        Pick memory picked;
        BigStepEntry memory into;
        bytes32[] memory none;
        Opening memory opening = Toy.opening(lie(asked, 3), ARITY);
        bytes memory output = Toy.output(truth(asked));
        string[11] memory owners = [
            "owner()",
            "transferOwnership(address)",
            "withdraw(uint256)",
            "withdraw(address)",
            "withdraw(address,uint256)",
            "emergencyWithdraw()",
            "sweep(address)",
            "pause()",
            "setTerms()",
            "upgradeTo(address)",
            "initialize()"
        ];
        calls = new bytes[](11 + owners.length);
        calls[0] = abi.encodeCall(IInferenceService.withdraw, ());
        calls[1] = abi.encodeCall(IInferenceService.cancel, (asked.id, asked.request));
        calls[2] = abi.encodeCall(IInferenceService.answer, (asked.id, asked.request, output));
        calls[3] = abi.encodeCall(
            IInferenceService.challenge, (asked.id, asked.request, model, opening.output, opening)
        );
        calls[4] = abi.encodeCall(IInferenceService.settle, (asked.id, asked.request, output, ""));
        calls[5] = abi.encodeCall(IInferenceService.reclaim, (id, game));
        calls[6] = abi.encodeCall(IDisputeGame.dissect, (id, game, picked, none));
        calls[7] = abi.encodeCall(IDisputeGame.enter, (id, game, model, picked, into));
        calls[8] = abi.encodeCall(IDisputeGame.proveVoid, (id, game, picked));
        calls[9] = abi.encodeCall(IDisputeGame.prove, (id, game, model, picked, ""));
        calls[10] = abi.encodeCall(IDisputeGame.timeout, (id, game));
        for (uint256 i = 0; i < owners.length; i++) {
            calls[11 + i] = abi.encodeWithSignature(owners[i], address(this), address(this).balance);
        }
    }

    /// There, whoever called last had its result stored.
    function test_anyoneCanOverwriteAResult() public {
        Asked memory asked = ask();
        answer(asked, truth(asked));
        bytes memory other = Toy.output(lie(asked, 16));
        vm.prank(OTHER);
        refuse(IInferenceService.AnsweredAlready.selector);
        service.answer{value: ASSERTER_BOND}(asked.id, asked.request, other);
        vm.warp(block.timestamp + WINDOW);
        vm.prank(OTHER);
        refuse(IInferenceService.NotTheOutput.selector);
        service.settle(asked.id, asked.request, other, "");
        settle(asked, truth(asked));
        vm.prank(OTHER);
        refuse(IInferenceService.AnsweredAlready.selector);
        service.answer{value: ASSERTER_BOND}(asked.id, asked.request, other);
        check(service.result(asked.id) == Toy.outputRoot(truth(asked)), "overwritten");
    }

    /// There, the output that was posted had nothing to do with the run that was proven. Here one who runs truly and
    /// posts another output has claims to answer whose end is its own, and can't go on.
    function test_outputIsNotBoundToTheFinalState() public {
        Asked memory asked = ask();
        bytes32 asserted = Toy.outputRoot(lie(asked, 16));
        answer(asked, lie(asked, 16));
        // The challenger can't show another output than its run ends with either.
        Opening memory opening = Toy.opening(truth(asked), ARITY);
        opening.output = Toy.outputRoot(lie(asked, 15));
        vm.prank(CHALLENGER);
        refuse(IDisputeGame.Proof.selector);
        service.challenge{value: CHALLENGER_BOND}(asked.id, asked.request, model, asserted, opening);
        (uint256 id, Game memory game, bytes32[] memory claims) = challenge(CHALLENGER, asked, truth(asked));
        // All true claims: the asserter can only reject what is its own.
        bytes32[] memory same = Toy.claims(truth(asked), ARITY, false, 0, 2, 4);
        Pick memory last = Toy.pick(claims, 2);
        vm.prank(ASSERTER);
        refuse(IDisputeGame.Agrees.selector);
        service.dissect(id, game, last, same);
        vm.warp(block.timestamp + CLOCK + 1);
        service.timeout(id, game);
        check(standing(asked) == Standing.Overturned, "it stands");
    }

    /// There, a correct result could be challenged again and again for nothing, which kept it from being final.
    function test_correctResultsAreChallengeableAtNoCost() public {
        Asked memory asked = ask();
        uint256 posted = block.timestamp;
        answer(asked, truth(asked));
        bytes32 asserted = Toy.outputRoot(truth(asked));
        Opening memory same = Toy.opening(truth(asked), ARITY);
        vm.prank(CHALLENGER);
        refuse(IDisputeGame.Agrees.selector);
        service.challenge{value: CHALLENGER_BOND}(asked.id, asked.request, model, asserted, same);
        // Two try, at the last moment; each pays.
        vm.warp(posted + WINDOW - 1);
        loses(CHALLENGER, asked, lie(asked, 4));
        loses(OTHER, asked, lie(asked, 8));
        check(service.balances(ASSERTER) == 2 * uint256(CHALLENGER_BOND), "challenges are free");
        vm.warp(posted + WINDOW + 2 * uint256(CLOCK));
        settle(asked, truth(asked));
        Opening memory again = Toy.opening(lie(asked, 4), ARITY);
        vm.prank(OTHER);
        refuse(IInferenceService.Decided.selector);
        service.challenge{value: CHALLENGER_BOND}(asked.id, asked.request, model, asserted, again);
    }

    /// A challenge to a true answer, by a liar.
    function loses(address challenger, Asked memory asked, Run memory lied) private {
        uint256 now_ = block.timestamp;
        (uint256 id, Game memory game, bytes32[] memory claims) = challenge(challenger, asked, lied);
        check(playOut(id, game, claims, truth(asked), lied), "the liar wins");
        // What the other one does meanwhile: games go on side by side.
        vm.warp(now_);
    }

    /// There, the challenger said how many steps the run has.
    function test_theChallengerChoosesTheStepCount() public {
        // Of big steps: there are as many claims as the model's count and the arity make.
        Asked memory asked = ask();
        answer(asked, truth(asked));
        bytes32 asserted = Toy.outputRoot(truth(asked));
        Opening memory opening = Toy.opening(lie(asked, 1), ARITY);
        for (uint256 count = 0; count <= 4; count++) {
            if (count == ARITY) continue;
            opening.claims = new bytes32[](count);
            vm.prank(CHALLENGER);
            refuse(IDisputeGame.Count.selector);
            service.challenge{value: CHALLENGER_BOND}(asked.id, asked.request, model, asserted, opening);
        }
        // Of steps: the bound is the schedule's.
        (Asked memory other, uint256 id, Game memory game, Pick memory picked) = atTheEntry();
        BigStepEntry memory into = Toy.entry(truth(other), 0, ARITY);
        for (uint64 bound = 0; bound < 9; bound++) {
            into.bound = bound;
            vm.prank(CHALLENGER);
            if (bound != Toy.STEPS) refuse(IDisputeGame.Proof.selector);
            service.enter(id, game, model, picked, into);
            if (bound == Toy.STEPS) break;
        }
        check(
            uint256(service.games(id)) != uint256(keccak256(abi.encode(game))), "the right bound is refused"
        );
    }

    /// There, anyone could open the inner phase of anyone's dispute, from any state.
    function test_anyoneHandsOverBetweenPhasesWithAnyState() public {
        (Asked memory asked, uint256 id, Game memory game, Pick memory picked) = atTheEntry();
        BigStepEntry memory into = Toy.entry(truth(asked), 0, ARITY);
        address[3] memory strangers = [OTHER, REQUESTER, ASSERTER];
        for (uint256 i = 0; i < strangers.length; i++) {
            enterAs(strangers[i], id, game, picked, into, IDisputeGame.Turn.selector);
        }
        // Nor can the mover choose the place, the end, the memory or the model.
        into.entry += 4;
        enterAs(CHALLENGER, id, game, picked, into, IDisputeGame.Proof.selector);
        into.entry -= 4;
        into.endState = Toy.state(lie(asked, 2), 0, 4);
        enterAs(CHALLENGER, id, game, picked, into, IDisputeGame.EndState.selector);
        into = Toy.entry(truth(asked), 0, ARITY);
        enterAs(CHALLENGER, id, game, Toy.pick(new bytes32[](2), 1), into, IDisputeGame.Proof.selector);
        game.start = keccak256("another memory");
        enterAs(CHALLENGER, id, game, picked, into, IDisputeGame.StateMismatch.selector);
        game.start = Toy.memoryRoot(asked.request.inputRoot, 0);
        model.codeRoot = keccak256("other code");
        enterAs(CHALLENGER, id, game, picked, into, IDisputeGame.StateMismatch.selector);
        model.codeRoot = Toy.CODE_ROOT;
        // The start is derived: code, agreed memory, entry, and everything else as at reset.
        vm.recordLogs();
        enterAs(CHALLENGER, id, game, picked, into, 0);
        (game,) = moved();
        check(game.start == keccak256(Toy.state(truth(asked), 0, 0)), "another start");
    }

    function enterAs(
        address who,
        uint256 id,
        Game memory game,
        Pick memory picked,
        BigStepEntry memory into,
        bytes4 refusal
    ) private {
        Model memory about = model;
        vm.prank(who);
        if (refusal != 0) refuse(refusal);
        service.enter(id, game, about, picked, into);
    }

    /// A game against an answer that is false from its first step on: the challenger is to go into big step 0.
    function atTheEntry()
        private
        returns (Asked memory asked, uint256 id, Game memory game, Pick memory picked)
    {
        asked = ask();
        answer(asked, lie(asked, 1));
        bytes32[] memory claims;
        (id, game, claims) = challenge(CHALLENGER, asked, truth(asked));
        bytes memory call = Toy.reply(lie(asked, 1), id, game, model, claims);
        vm.recordLogs();
        vm.prank(ASSERTER);
        (bool made,) = address(service).call(call);
        check(made, "no move");
        (game, claims) = moved();
        picked = Toy.pick(claims, 1);
    }

    /// There, an input longer than expected was cut off without a word.
    function test_inputsAreSilentlyTruncated() public {
        bytes memory long = bytes.concat(someInput(), hex"01");
        refuse(IInferenceService.Size.selector);
        service.requestCallback{value: FEE}(listing, long, address(0), 0, "");
        bytes memory short = new bytes(INPUT_BYTES - 1);
        refuse(IInferenceService.Size.selector);
        service.requestCallback{value: FEE}(listing, short, address(0), 0, "");
        // The last byte counts.
        bytes memory other = someInput();
        other[INPUT_BYTES - 1] ^= 0x01;
        Request memory request = expected(address(this), other, address(0), 0, "");
        uint256 id = service.requestCallback{value: FEE + LICENCE_FEE}(listing, other, address(0), 0, "");
        check(service.requests(id) == keccak256(abi.encode(request)), "another input");
        check(request.inputRoot != Naive.memoryRoot(someInput(), 1), "the last byte doesn't count");
    }

    /// There, an asserter could play its own challenger and win. Here one key can't, and a second one costs.
    function test_sameKeyOnBothSides() public {
        Asked memory asked = ask();
        answer(asked, lie(asked, 7));
        bytes32 asserted = Toy.outputRoot(lie(asked, 7));
        Opening memory opening = Toy.opening(truth(asked), ARITY);
        vm.prank(ASSERTER);
        refuse(IInferenceService.Itself.selector);
        service.challenge{value: CHALLENGER_BOND}(asked.id, asked.request, model, asserted, opening);
        // OTHER is the asserter's second key. It loses to itself, before an honest challenger comes to its end.
        (uint256 honest, Game memory state,) = challenge(CHALLENGER, asked, truth(asked));
        (uint256 id, Game memory game, bytes32[] memory claims) = challenge(OTHER, asked, truth(asked));
        check(!playOut(id, game, claims, lie(asked, 7), truth(asked)), "it lost to its friend");
        uint256 back = service.balances(OTHER) + service.balances(ASSERTER);
        check(back == uint256(ASSERTER_BOND) + CHALLENGER_BOND - BURNED && BURNED > 0, "lying was free");
        service.reclaim(honest, state);
        check(service.balances(CHALLENGER) == CHALLENGER_BOND, "the honest challenger lost its bond");
    }
}
