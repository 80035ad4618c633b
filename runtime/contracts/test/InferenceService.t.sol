// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.24;

import {ExampleConsumer} from "../src/ExampleConsumer.sol";
import {InferenceService} from "../src/InferenceService.sol";
import {
    Answer,
    Game,
    IDisputeGame,
    IInferenceService,
    Listing,
    Opening,
    Request,
    Standing,
    Terms
} from "../src/Interfaces.sol";
import {Naive} from "./Naive.sol";
import {Stage} from "./Stage.sol";
import {Run, Toy} from "./Toy.sol";
import {vm} from "./Vm.sol";

/// @dev Doesn't take money, until it is told to.
contract Refusing {
    bool private taking;

    function answer(InferenceService service, uint256 id, Request calldata request, bytes calldata output)
        external
        payable
    {
        service.answer{value: msg.value}(id, request, output);
    }

    function withdraw(InferenceService service) external {
        service.withdraw();
    }

    function take() external {
        taking = true;
    }

    receive() external payable {
        require(taking, "no, thanks");
    }
}

contract InferenceServiceTest is Stage {
    bytes32 private constant VOID = bytes32(type(uint256).max);

    function refuse(bytes4 reason) private {
        vm.expectRevert(abi.encodeWithSelector(reason));
    }

    // ---- Terms

    function test_termsAreKept() public view {
        check(keccak256(abi.encode(service.terms())) == keccak256(abi.encode(terms())), "other terms");
        check(address(service.registry()) == address(registry), "another registry");
    }

    function test_termsMustMakeLiesCost() public {
        Terms[7] memory bad;
        for (uint256 i = 0; i < bad.length; i++) {
            bad[i] = terms();
        }
        bad[0].window = 0;
        bad[1].clock = 0;
        bad[2].arity = 1;
        bad[3].arity = 257;
        bad[4].asserterBond = 0;
        bad[5].challengerBond = 0;
        bad[6].burned = ASSERTER_BOND + 1;
        for (uint256 i = 0; i < bad.length; i++) {
            refuse(IInferenceService.InvalidTerms.selector);
            new InferenceService(registry, bad[i]);
        }
        Terms memory edge = terms();
        (edge.window, edge.clock, edge.arity, edge.burned) = (1, 1, 256, ASSERTER_BOND);
        new InferenceService(registry, edge);
    }

    // ---- Requests

    function test_aRequestIsStoredByItsHash() public {
        Request memory request = expected(REQUESTER, someInput(), OTHER, 100_000, "data");
        vm.prank(REQUESTER);
        vm.expectEmit();
        emit IInferenceService.Requested(1, listing, request, someInput(), "data");
        uint256 id =
            service.requestCallback{value: FEE + LICENCE_FEE}(listing, someInput(), OTHER, 100_000, "data");
        check(id == 1 && service.requests(1) == keccak256(abi.encode(request)), "another request");
        check(ask().id == 2, "the next one");
    }

    function test_aRequestByRootIsTheSame() public {
        Request memory request = expected(REQUESTER, someInput(), OTHER, 100_000, "data");
        vm.prank(REQUESTER);
        vm.expectEmit();
        emit IInferenceService.Requested(1, listing, request, "", "data");
        uint256 id = service.requestByRoot{value: FEE + LICENCE_FEE}(
            listing, Naive.memoryRoot(someInput(), 1), OTHER, 100_000, "data"
        );
        check(service.requests(id) == keccak256(abi.encode(request)), "another request");
    }

    function test_inputsHaveExactlyTheirSize() public {
        uint256[5] memory sizes = [uint256(0), 1, INPUT_BYTES - 1, INPUT_BYTES + 1, 64];
        for (uint256 i = 0; i < sizes.length; i++) {
            refuse(IInferenceService.Size.selector);
            service.requestCallback{value: 1 ether}(listing, new bytes(sizes[i]), address(0), 0, "");
        }
    }

    function test_theLicenceFeeIsTheLeast() public {
        bytes memory reason = abi.encodeWithSelector(IInferenceService.Value.selector, LICENCE_FEE);
        vm.expectRevert(reason);
        service.requestCallback{value: LICENCE_FEE - 1}(listing, someInput(), address(0), 0, "");
        vm.deal(address(this), uint256(1) << 100);
        vm.expectRevert(reason);
        service.requestCallback{value: uint256(1) << 96}(listing, someInput(), address(0), 0, "");
        // An answer may be worth nothing.
        service.requestCallback{value: LICENCE_FEE}(listing, someInput(), address(0), 0, "");
        service.requestCallback{value: type(uint96).max}(listing, someInput(), address(0), 0, "");
    }

    function test_callbacksHaveAMostOfGas() public {
        uint64 most = uint64(service.MAX_CALLBACK_GAS());
        service.requestCallback{value: FEE}(listing, someInput(), OTHER, most, "");
        refuse(IInferenceService.CallbackGas.selector);
        service.requestCallback{value: FEE}(listing, someInput(), OTHER, most + 1, "");
    }

    function test_nothingGoesWithAnotherRequest() public {
        Asked memory asked = ask();
        Asked memory other = ask(OTHER, 5, "");
        refuse(IInferenceService.RequestMismatch.selector);
        service.answer{value: ASSERTER_BOND}(asked.id, other.request, "");
        refuse(IInferenceService.RequestMismatch.selector);
        service.answer{value: ASSERTER_BOND}(3, asked.request, "");
        refuse(IInferenceService.RequestMismatch.selector);
        vm.prank(REQUESTER);
        service.cancel(asked.id, other.request);
        answer(asked, truth(asked));
        refuse(IInferenceService.RequestMismatch.selector);
        service.settle(asked.id, other.request, "", "");
        refuse(IInferenceService.RequestMismatch.selector);
        service.challenge{value: CHALLENGER_BOND}(
            asked.id, other.request, model, 0, Toy.opening(truth(asked), ARITY)
        );
    }

    // ---- Cancelling

    function test_whoWasNotAnsweredGetsAllBack() public {
        Asked memory asked = ask();
        vm.warp(block.timestamp + WINDOW - 1);
        vm.prank(REQUESTER);
        refuse(IInferenceService.NotCancellable.selector);
        service.cancel(asked.id, asked.request);
        vm.warp(block.timestamp + 1);
        refuse(IInferenceService.NotCancellable.selector);
        service.cancel(asked.id, asked.request);
        vm.prank(REQUESTER);
        vm.expectEmit();
        emit IInferenceService.Cancelled(asked.id);
        service.cancel(asked.id, asked.request);
        check(service.balances(REQUESTER) == FEE + LICENCE_FEE, "not all");
        vm.prank(REQUESTER);
        refuse(IInferenceService.RequestMismatch.selector);
        service.cancel(asked.id, asked.request);
        refuse(IInferenceService.RequestMismatch.selector);
        service.answer{value: ASSERTER_BOND}(asked.id, asked.request, "");
    }

    function test_whatIsAnsweredIsNotCancelled() public {
        Asked memory asked = ask();
        answer(asked, truth(asked));
        vm.warp(block.timestamp + WINDOW);
        vm.prank(REQUESTER);
        refuse(IInferenceService.NotCancellable.selector);
        service.cancel(asked.id, asked.request);
        settle(asked, truth(asked));
        vm.prank(REQUESTER);
        refuse(IInferenceService.NotCancellable.selector);
        service.cancel(asked.id, asked.request);
    }

    function test_afterAnOverturnedAnswerThereIsAnotherOrNone() public {
        (Asked memory asked,) = overturned();
        vm.warp(block.timestamp + WINDOW);
        vm.prank(REQUESTER);
        service.cancel(asked.id, asked.request);
        check(service.balances(REQUESTER) == FEE + LICENCE_FEE, "not all");
    }

    function test_whoAskedThroughTheExampleGetsAllBackFromIt() public {
        ExampleConsumer consumer = new ExampleConsumer(service);
        vm.prank(OTHER);
        uint256 id = consumer.ask{value: FEE + LICENCE_FEE}(listing, someInput());
        Request memory request = expected(address(consumer), someInput(), address(consumer), 300_000, "");
        vm.warp(block.timestamp + WINDOW);
        refuse(ExampleConsumer.NotTheAsker.selector);
        consumer.cancel(id, request);
        uint256 before = OTHER.balance;
        vm.prank(OTHER);
        consumer.cancel(id, request);
        check(OTHER.balance == before + FEE + LICENCE_FEE, "not all");
        vm.prank(OTHER);
        refuse(ExampleConsumer.NotTheAsker.selector);
        consumer.cancel(id, request);
    }

    // ---- Answers

    function test_anAnswerStandsAfterItsWindow() public {
        Asked memory asked = ask();
        Run memory made = truth(asked);
        vm.prank(ASSERTER);
        vm.expectEmit();
        emit IInferenceService.Answered(asked.id, 1, ASSERTER, Toy.outputRoot(made), Toy.output(made));
        service.answer{value: ASSERTER_BOND}(asked.id, asked.request, Toy.output(made));
        Answer memory given = service.provisionalAnswer(asked.id);
        check(given.standing == Standing.Pending && given.attempt == 1 && given.openGames == 0, "standing");
        check(given.asserter == ASSERTER && given.posted == block.timestamp, "whose");
        check(given.outputRoot == Toy.outputRoot(made), "what");

        vm.warp(block.timestamp + WINDOW - 1);
        refuse(IInferenceService.Unsettled.selector);
        settle(asked, made);
        refuse(IInferenceService.NotFinal.selector);
        service.result(asked.id);
        vm.warp(block.timestamp + 1);
        vm.expectEmit();
        emit IInferenceService.Settled(asked.id, Toy.outputRoot(made), false);
        settle(asked, made);
        check(service.result(asked.id) == Toy.outputRoot(made), "another result");
        check(service.balances(ASSERTER) == ASSERTER_BOND + FEE, "the asserter's");
        check(service.balances(LICENSOR) == LICENCE_FEE, "the licensor's");
        refuse(IInferenceService.Decided.selector);
        settle(asked, made);
    }

    function test_anAnswerHasTheOutputsSize() public {
        Asked memory asked = ask();
        uint256[3] memory sizes = [uint256(1), 31, 33];
        for (uint256 i = 0; i < sizes.length; i++) {
            refuse(IInferenceService.Size.selector);
            service.answer{value: ASSERTER_BOND}(asked.id, asked.request, new bytes(sizes[i]));
        }
    }

    function test_noOutputIsAnAnswerToo() public {
        Asked memory asked = ask();
        service.answer{value: ASSERTER_BOND}(asked.id, asked.request, "");
        check(service.provisionalAnswer(asked.id).outputRoot == VOID, "not void");
        vm.warp(block.timestamp + WINDOW);
        refuse(IInferenceService.NotTheOutput.selector);
        settle(asked, truth(asked));
        service.settle(asked.id, asked.request, "", "");
        check(service.result(asked.id) == VOID, "not void");
    }

    function test_settlingTakesTheVeryOutputAndData() public {
        Asked memory asked = ask(OTHER, 1000, "data");
        answer(asked, truth(asked));
        vm.warp(block.timestamp + WINDOW);
        refuse(IInferenceService.NotTheOutput.selector);
        settle(asked, lie(asked, 16));
        bytes memory output = Toy.output(truth(asked));
        refuse(IInferenceService.NotTheOutput.selector);
        service.settle(asked.id, asked.request, output, "other");
        refuse(IInferenceService.Size.selector);
        service.settle(asked.id, asked.request, bytes.concat(output, hex"00"), "data");
        service.settle(asked.id, asked.request, output, "data");
    }

    function test_oneAnswerAtATime() public {
        Asked memory asked = ask();
        answer(asked, lie(asked, 3));
        bytes memory output = Toy.output(truth(asked));
        refuse(IInferenceService.AnsweredAlready.selector);
        service.answer{value: ASSERTER_BOND}(asked.id, asked.request, output);
        vm.warp(block.timestamp + WINDOW);
        settle(asked, lie(asked, 3));
        refuse(IInferenceService.AnsweredAlready.selector);
        service.answer{value: ASSERTER_BOND}(asked.id, asked.request, output);
        Asked memory unasked = ask();
        refuse(IInferenceService.Decided.selector);
        settle(unasked, truth(unasked));
    }

    function test_bondsAreExact() public {
        Asked memory asked = ask();
        bytes memory output = Toy.output(truth(asked));
        for (uint256 i = 0; i < 2; i++) {
            vm.expectRevert(abi.encodeWithSelector(IInferenceService.Value.selector, ASSERTER_BOND));
            service.answer{value: ASSERTER_BOND - 1 + 2 * i}(asked.id, asked.request, output);
        }
        answer(asked, truth(asked));
        bytes32 asserted = Toy.outputRoot(truth(asked));
        Opening memory opening = Toy.opening(lie(asked, 1), ARITY);
        for (uint256 i = 0; i < 2; i++) {
            vm.expectRevert(abi.encodeWithSelector(IInferenceService.Value.selector, CHALLENGER_BOND));
            service.challenge{value: CHALLENGER_BOND - 1 + 2 * i}(
                asked.id, asked.request, model, asserted, opening
            );
        }
    }

    // ---- Challenges

    /// An overturned answer, with the loser's output.
    function overturned() private returns (Asked memory asked, Run memory lied) {
        asked = ask();
        lied = lie(asked, 11);
        answer(asked, lied);
        (uint256 id, Game memory game, bytes32[] memory claims) = challenge(CHALLENGER, asked, truth(asked));
        check(!playOut(id, game, claims, lied, truth(asked)), "the liar wins");
        check(standing(asked) == Standing.Overturned, "it stands");
    }

    /// A challenge that must be refused.
    function refused(address sender, Asked memory asked, bytes32 asserted, bytes4 reason) private {
        Opening memory opening = Toy.opening(truth(asked), ARITY);
        vm.prank(sender);
        refuse(reason);
        service.challenge{value: CHALLENGER_BOND}(asked.id, asked.request, model, asserted, opening);
    }

    function test_aGameHasItsPlayers() public {
        Asked memory asked = ask();
        answer(asked, lie(asked, 5));
        vm.warp(block.timestamp + 7);
        (uint256 id, Game memory game, bytes32[] memory claims) = challenge(CHALLENGER, asked, truth(asked));
        check(id == asked.id << 176 | 1 << 160 | uint160(CHALLENGER), "id");
        check(game.model == asked.request.model && game.arity == ARITY, "model, arity");
        check(game.asserter == ASSERTER && game.challenger == CHALLENGER && game.asserterMoves, "players");
        check(game.asserterClock == CLOCK && game.challengerClock == CLOCK, "clocks");
        check(game.since == block.timestamp && game.lo == 0 && game.hi == 4 && !game.inSteps, "segment");
        check(game.start == Toy.memoryRoot(asked.request.inputRoot, 0), "start");
        check(game.claims == Naive.root(claims) && claims.length == 2, "claims");
        check(service.games(id) == keccak256(abi.encode(game)), "hash");
        check(service.provisionalAnswer(asked.id).openGames == 1, "count");
    }

    function test_theWindowIsExactToTheSecond() public {
        Asked memory asked = ask();
        bytes32 lied = Toy.outputRoot(lie(asked, 5));
        refused(CHALLENGER, asked, 0, IInferenceService.Decided.selector);
        answer(asked, lie(asked, 5));
        vm.warp(block.timestamp + WINDOW);
        refused(CHALLENGER, asked, lied, IInferenceService.WindowOver.selector);
        vm.warp(block.timestamp - 1);
        challenge(CHALLENGER, asked, truth(asked));
        // With a game, the window's end isn't the answer's.
        vm.warp(block.timestamp + 1);
        refuse(IInferenceService.Unsettled.selector);
        settle(asked, lie(asked, 5));
    }

    function test_whoMayChallenge() public {
        Asked memory asked = ask();
        bytes32 lied = Toy.outputRoot(lie(asked, 5));
        answer(asked, lie(asked, 5));
        refused(ASSERTER, asked, lied, IInferenceService.Itself.selector);
        challenge(CHALLENGER, asked, truth(asked));
        refused(CHALLENGER, asked, lied, IInferenceService.Challenged.selector);
        // Another one has a game of its own.
        challenge(OTHER, asked, truth(asked));
        check(service.provisionalAnswer(asked.id).openGames == 2, "count");
    }

    function test_aChallengeNamesTheAnswer() public {
        Asked memory asked = ask();
        answer(asked, lie(asked, 5));
        bytes32 lied = Toy.outputRoot(lie(asked, 5));
        Opening memory opening = Toy.opening(truth(asked), ARITY);
        vm.prank(CHALLENGER);
        vm.expectRevert(abi.encodeWithSelector(IInferenceService.OtherAnswer.selector, lied));
        service.challenge{value: CHALLENGER_BOND}(
            asked.id, asked.request, model, Toy.outputRoot(lie(asked, 6)), opening
        );
    }

    function test_aChallengeIsAboutTheModel() public {
        Asked memory asked = ask();
        answer(asked, lie(asked, 5));
        bytes32 lied = Toy.outputRoot(lie(asked, 5));
        model.scheduleRoot = bytes32(uint256(1));
        refused(CHALLENGER, asked, lied, IDisputeGame.StateMismatch.selector);
    }

    function test_aLostChallengePaysTheAsserter() public {
        Asked memory asked = ask();
        answer(asked, truth(asked));
        (uint256 id, Game memory game, bytes32[] memory claims) = challenge(CHALLENGER, asked, lie(asked, 9));
        check(playOut(id, game, claims, truth(asked), lie(asked, 9)), "the liar wins");
        check(service.balances(ASSERTER) == CHALLENGER_BOND, "the bond");
        check(service.provisionalAnswer(asked.id).openGames == 0, "count");
        // One game an answer, also when it is lost.
        refused(CHALLENGER, asked, Toy.outputRoot(truth(asked)), IInferenceService.Challenged.selector);
        refuse(IDisputeGame.Over.selector);
        service.timeout(id, game);
        vm.warp(service.provisionalAnswer(asked.id).posted + WINDOW);
        settle(asked, truth(asked));
        check(service.balances(ASSERTER) == CHALLENGER_BOND + ASSERTER_BOND + FEE, "all of it");
        refuse(IDisputeGame.Over.selector);
        service.reclaim(id, game);
    }

    function test_aWonChallengeIsPaid() public {
        (Asked memory asked,) = overturned();
        uint256 prize = uint256(CHALLENGER_BOND) + ASSERTER_BOND - BURNED;
        check(service.balances(CHALLENGER) == prize && service.balances(ASSERTER) == 0, "the prize");
        vm.warp(block.timestamp + WINDOW);
        refuse(IInferenceService.Decided.selector);
        settle(asked, lie(asked, 11));
        // The request can be answered again, and challenged again by the same.
        answer(asked, lie(asked, 12));
        check(service.provisionalAnswer(asked.id).attempt == 2, "attempt");
        (uint256 id,,) = challenge(CHALLENGER, asked, truth(asked));
        check(id == asked.id << 176 | 2 << 160 | uint160(CHALLENGER), "id");
    }

    function test_gamesEndWithTheAnswer() public {
        Asked memory asked = ask();
        Run memory lied = lie(asked, 11);
        answer(asked, lied);
        (uint256 slow, Game memory state, bytes32[] memory theirs) = challenge(OTHER, asked, truth(asked));
        (uint256 quick, Game memory game, bytes32[] memory claims) =
            challenge(CHALLENGER, asked, truth(asked));
        refuse(IInferenceService.Unsettled.selector);
        service.reclaim(slow, state);
        check(!playOut(quick, game, claims, lied, truth(asked)), "the liar wins");

        // No move counts any more, and the bond returns, once.
        bytes memory move = Toy.reply(lied, slow, state, model, theirs);
        vm.prank(ASSERTER);
        (bool moved_, bytes memory reason) = address(service).call(move);
        check(!moved_ && bytes4(reason) == IInferenceService.Decided.selector, "a move");
        vm.warp(block.timestamp + CLOCK + 1);
        refuse(IInferenceService.Decided.selector);
        service.timeout(slow, state);
        refuse(IDisputeGame.StateMismatch.selector);
        service.reclaim(slow, game);
        vm.prank(ASSERTER);
        service.reclaim(slow, state);
        check(service.balances(OTHER) == CHALLENGER_BOND && service.balances(ASSERTER) == 0, "the bond");
        refuse(IDisputeGame.Over.selector);
        service.reclaim(slow, state);

        // Nor does the next answer bring it back.
        answer(asked, truth(asked));
        refuse(IDisputeGame.Over.selector);
        service.reclaim(slow, state);
        refuse(IInferenceService.Decided.selector);
        service.timeout(slow, state);
    }

    function test_reclaimNeedsAGame() public {
        (Asked memory asked, Run memory lied) = overturned();
        Game memory never;
        refuse(IDisputeGame.StateMismatch.selector);
        service.reclaim(asked.id << 176 | 1 << 160 | uint160(OTHER), never);
        lied;
    }

    // ---- Money

    function test_moneyGoesToWhomItIsCredited() public {
        overturned();
        uint256 prize = service.balances(CHALLENGER);
        uint256 before = CHALLENGER.balance;
        vm.prank(CHALLENGER);
        vm.expectEmit();
        emit IInferenceService.Withdrawn(CHALLENGER, prize);
        service.withdraw();
        check(CHALLENGER.balance == before + prize && service.balances(CHALLENGER) == 0, "not all");
        vm.prank(CHALLENGER);
        refuse(IInferenceService.Nothing.selector);
        service.withdraw();
        vm.prank(OTHER);
        refuse(IInferenceService.Nothing.selector);
        service.withdraw();
    }

    function test_whoRefusesMoneyKeepsItsCredit() public {
        Asked memory asked = ask();
        Refusing refusing = new Refusing();
        refusing.answer{value: ASSERTER_BOND}(service, asked.id, asked.request, Toy.output(truth(asked)));
        vm.warp(block.timestamp + WINDOW);
        settle(asked, truth(asked));
        refuse(IInferenceService.Refused.selector);
        refusing.withdraw(service);
        check(service.balances(address(refusing)) == ASSERTER_BOND + FEE, "the credit is gone");
        refusing.take();
        refusing.withdraw(service);
        check(address(refusing).balance == ASSERTER_BOND + FEE, "not all");
    }

    function test_moneyThatIsJustSentComesBack() public {
        (bool taken,) = address(service).call{value: 1 ether}("");
        check(!taken, "there is no way to get it out again");
    }
}
