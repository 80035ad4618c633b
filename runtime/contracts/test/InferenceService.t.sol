// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.24;

import {InferenceService} from "../src/InferenceService.sol";
import {
    Answer,
    IDisputeGame,
    IInferenceService,
    Model,
    Opening,
    Request,
    Standing
} from "../src/Interfaces.sol";
import {Stage} from "./Stage.sol";
import {Position, Run, Toy, Turn} from "./Toy.sol";
import {vm} from "./Vm.sol";

/// @dev Refuses money until it is told to take it.
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

/// @dev Answers, challenges, shares and money.
contract InferenceServiceTest is Stage {
    bytes32 private constant VOID = Toy.VOID;
    uint256 private constant PRIZE = ASSERTER_BOND - BURNED;

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
        check(given.outputRoot == Toy.outputRoot(made) && !given.delivered, "what");

        vm.warp(block.timestamp + WINDOW - 1);
        refuse(IInferenceService.Unsettled.selector);
        settle(asked, made);
        refuse(IInferenceService.NotFinal.selector);
        service.result(asked.id);
        vm.warp(block.timestamp + 1);
        // Without a callback there is nothing that could fail.
        vm.expectEmit();
        emit IInferenceService.Settled(asked.id, Toy.outputRoot(made), true);
        settle(asked, made);
        check(service.result(asked.id) == Toy.outputRoot(made), "another result");
        check(service.provisionalAnswer(asked.id).delivered, "not delivered");
        check(service.balances(ASSERTER) == ASSERTER_BOND + FEE, "the asserter's");
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
        Model memory model = Toy.model(asked.plan);
        for (uint256 i = 0; i < 2; i++) {
            vm.expectRevert(abi.encodeWithSelector(IInferenceService.Value.selector, CHALLENGER_BOND));
            service.challenge{value: CHALLENGER_BOND - 1 + 2 * i}(
                asked.id, asked.request, model, asserted, opening
            );
        }
    }

    // ---- Challenges

    /// A challenge that must be refused.
    function refused(address sender, Asked memory asked, bytes32 asserted, bytes4 reason) private {
        Opening memory opening = Toy.opening(truth(asked), ARITY);
        Model memory model = Toy.model(asked.plan);
        vm.prank(sender);
        refuse(reason);
        service.challenge{value: CHALLENGER_BOND}(asked.id, asked.request, model, asserted, opening);
    }

    function test_aGameBeginsWithAllBigSteps() public {
        Asked memory asked = ask(Toy.periodic(), 3);
        answer(asked, lie(asked, 5));
        vm.warp(block.timestamp + 7);
        Turn memory turn = challenge(CHALLENGER, asked, truth(asked));
        check(turn.id == asked.id << 176 | 1 << 160 | uint160(CHALLENGER), "id");
        check(turn.game.subject == keccak256(abi.encode(Toy.program(asked.plan))), "subject");
        Position memory here = Toy.position(turn.game);
        check(here.asserterMoves && !here.inSteps && turn.game.position >> 242 == 0, "flags");
        check(here.asserterClock == CLOCK && here.challengerClock == CLOCK, "clocks");
        check(here.since == block.timestamp && here.lo == 0 && here.hi == 8 && here.place == 3, "segment");
        check(turn.start == Toy.memoryRoot(asked.request.inputRoot, 0) && turn.claims.length == 2, "claims");
        bytes32 word =
            keccak256(abi.encodePacked(turn.id, turn.game.subject, turn.game.position, Toy.claimsRoot(turn)));
        check(service.games(turn.id) == word, "hash");
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
        // While a game is open, the answer does not become final when its window ends.
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
        bytes32 other = Toy.outputRoot(lie(asked, 6));
        Opening memory opening = Toy.opening(truth(asked), ARITY);
        Model memory model = Toy.model(asked.plan);
        vm.prank(CHALLENGER);
        vm.expectRevert(abi.encodeWithSelector(IInferenceService.OtherAnswer.selector, lied));
        service.challenge{value: CHALLENGER_BOND}(asked.id, asked.request, model, other, opening);
    }

    function test_aChallengeIsAboutTheModel() public {
        Asked memory asked = ask();
        answer(asked, lie(asked, 5));
        bytes32 asserted = Toy.outputRoot(lie(asked, 5));
        Opening memory opening = Toy.opening(truth(asked), ARITY);
        for (uint256 i = 0; i < 7; i++) {
            Model memory model = Toy.model(asked.plan);
            if (i == 0) model.program.codeRoot = "other code";
            if (i == 1) model.program.machine += 32;
            if (i == 2) model.program.scheduleRoot = "another schedule";
            if (i == 3) model.program.shape += 1;
            if (i == 4) model.memoryRoot = "another memory";
            if (i == 5) model.input += 1;
            if (i == 6) model.output += 1;
            vm.prank(CHALLENGER);
            refuse(IDisputeGame.StateMismatch.selector);
            service.challenge{value: CHALLENGER_BOND}(asked.id, asked.request, model, asserted, opening);
        }
    }

    function test_aLostChallengePaysTheAsserter() public {
        Asked memory asked = ask();
        answer(asked, truth(asked));
        Turn memory turn = challenge(CHALLENGER, asked, lie(asked, 9));
        check(playOut(turn, truth(asked), lie(asked, 9)), "the liar wins");
        check(service.balances(ASSERTER) == CHALLENGER_BOND, "the bond");
        check(service.provisionalAnswer(asked.id).openGames == 0, "count");
        // One game an answer, even when it is lost.
        refused(CHALLENGER, asked, Toy.outputRoot(truth(asked)), IInferenceService.Challenged.selector);
        bytes32 claims = Toy.claimsRoot(turn);
        refuse(IDisputeGame.Over.selector);
        service.timeout(turn.id, turn.game, claims);
        vm.warp(service.provisionalAnswer(asked.id).posted + WINDOW);
        settle(asked, truth(asked));
        check(service.balances(ASSERTER) == CHALLENGER_BOND + ASSERTER_BOND + FEE, "all of it");
        refuse(IDisputeGame.Over.selector);
        service.reclaim(turn.id, turn.game, claims);
    }

    // ---- Overturned answers

    /// An answer by ASSERTER that these challenge truthfully, and that the first of them overturns.
    function overturned(address[] memory challengers)
        private
        returns (Asked memory asked, Turn[] memory turns)
    {
        asked = ask();
        answer(asked, lie(asked, 11));
        turns = new Turn[](challengers.length);
        for (uint256 i = 0; i < challengers.length; i++) {
            turns[i] = challenge(challengers[i], asked, truth(asked));
        }
        check(!playOut(turns[0], lie(asked, 11), truth(asked)), "the liar wins");
        check(standing(asked) == Standing.Overturned, "it stands");
    }

    function overturned() private returns (Asked memory asked) {
        address[] memory only = new address[](1);
        only[0] = CHALLENGER;
        (asked,) = overturned(only);
    }

    function test_aWonChallengeIsPaid() public {
        Asked memory asked = overturned();
        check(service.balances(CHALLENGER) == CHALLENGER_BOND + PRIZE, "the prize");
        check(service.balances(ASSERTER) == 0, "the asserter is paid");
        vm.warp(block.timestamp + WINDOW);
        refuse(IInferenceService.Decided.selector);
        settle(asked, lie(asked, 11));
        // The request can be answered again, and challenged again by the same account.
        answer(asked, lie(asked, 12));
        check(service.provisionalAnswer(asked.id).attempt == 2, "attempt");
        Turn memory turn = challenge(CHALLENGER, asked, truth(asked));
        check(turn.id == asked.id << 176 | 2 << 160 | uint160(CHALLENGER), "id");
    }

    /// With 1 to 20 challengers: the winner gets at least half of the prize, each other one an equal share of
    /// the other half, and all of it together is the prize to the wei.
    function test_othersShareHalfOfThePrize() public {
        uint8[6] memory counts = [1, 2, 3, 4, 8, 20];
        for (uint256 i = 0; i < counts.length; i++) {
            shares(counts[i], 0xa000 + 0x100 * i);
        }
        // What burned is still there, and nothing else.
        check(address(service).balance == counts.length * uint256(BURNED + FEE), "money went");
    }

    function shares(uint256 count, uint256 first) private {
        address[] memory challengers = new address[](count);
        for (uint256 i = 0; i < count; i++) {
            challengers[i] = address(uint160(first + i));
            vm.deal(challengers[i], CHALLENGER_BOND);
        }
        (, Turn[] memory turns) = overturned(challengers);
        uint256 others = count - 1;
        uint256 share = others == 0 ? 0 : PRIZE / 2 / others;
        uint256 winner = service.balances(challengers[0]);
        check(winner == CHALLENGER_BOND + PRIZE - share * others, "the winner's");
        check(winner >= CHALLENGER_BOND + PRIZE / 2, "less than half");
        uint256 all = withdraw(challengers[0]);
        for (uint256 i = 1; i < count; i++) {
            check(service.balances(challengers[i]) == 0, "before it reclaims");
            reclaim(turns[i]);
            check(service.balances(challengers[i]) == CHALLENGER_BOND + share, "its share");
            all += withdraw(challengers[i]);
            // Once.
            bytes32 claims = Toy.claimsRoot(turns[i]);
            refuse(IDisputeGame.Over.selector);
            service.reclaim(turns[i].id, turns[i].game, claims);
        }
        check(all == count * CHALLENGER_BOND + PRIZE, "the sum");
    }

    function withdraw(address who) private returns (uint256 amount) {
        amount = who.balance;
        vm.prank(who);
        service.withdraw();
        amount = who.balance - amount;
    }

    /// A friend of the liar that wins first loses at least what the honest challenger gains.
    function test_aFriendThatWinsFirstDoesNotTakeItAll() public {
        address[] memory challengers = new address[](2);
        (challengers[0], challengers[1]) = (OTHER, CHALLENGER);
        (, Turn[] memory turns) = overturned(challengers);
        reclaim(turns[1]);
        check(service.balances(CHALLENGER) == CHALLENGER_BOND + PRIZE / 2, "the honest challenger's");
        uint256 pair = service.balances(OTHER) + service.balances(ASSERTER);
        check(pair == CHALLENGER_BOND + PRIZE / 2, "the pair's");
        check(pair + BURNED + PRIZE / 2 == uint256(CHALLENGER_BOND) + ASSERTER_BOND, "lying was cheaper");
    }

    /// Friends that share with an honest challenger make its share smaller, but never take its bond.
    function test_manyFriendsOfTheLiar() public {
        address[] memory challengers = new address[](4);
        (challengers[0], challengers[1], challengers[2], challengers[3]) =
        (OTHER, CHALLENGER, THIRD, REQUESTER);
        (, Turn[] memory turns) = overturned(challengers);
        reclaim(turns[1]);
        check(service.balances(CHALLENGER) == CHALLENGER_BOND + PRIZE / 6, "its share");
    }

    /// A game that was lost before the answer was overturned has no share.
    function test_whoHasLostHasNoShare() public {
        Asked memory asked = ask();
        answer(asked, lie(asked, 11));
        Turn memory loser = challenge(OTHER, asked, lie(asked, 3));
        Turn memory winner = challenge(CHALLENGER, asked, truth(asked));
        // Both lie. The challenger's clock runs out.
        check(move(loser, lie(asked, 11)), "no move");
        vm.warp(block.timestamp + CLOCK);
        check(move(winner, lie(asked, 11)), "no move");
        vm.warp(block.timestamp + 1);
        timeout(loser);
        check(service.balances(ASSERTER) == CHALLENGER_BOND, "the loser's bond");
        check(service.provisionalAnswer(asked.id).openGames == 1, "count");
        check(!playOut(winner, lie(asked, 11), truth(asked)), "the liar wins");
        check(service.balances(CHALLENGER) == CHALLENGER_BOND + PRIZE, "the whole prize");
        bytes32 claims = Toy.claimsRoot(loser);
        refuse(IDisputeGame.Over.selector);
        service.reclaim(loser.id, loser.game, claims);
    }

    function test_gamesEndWithTheAnswer() public {
        Asked memory asked = ask();
        Run memory lied = lie(asked, 11);
        answer(asked, lied);
        Turn memory slow = challenge(OTHER, asked, truth(asked));
        Turn memory quick = challenge(CHALLENGER, asked, truth(asked));
        bytes32 claims = Toy.claimsRoot(slow);
        refuse(IInferenceService.Unsettled.selector);
        service.reclaim(slow.id, slow.game, claims);
        check(!playOut(quick, lied, truth(asked)), "the liar wins");
        check(service.provisionalAnswer(asked.id).openGames == 1, "those that were");

        // No move counts any more, and bond and share return, once.
        bytes memory call = Toy.reply(lied, slow, ARITY);
        vm.prank(ASSERTER);
        (bool made, bytes memory reason) = address(service).call(call);
        check(!made && bytes4(reason) == IInferenceService.Decided.selector, "a move");
        vm.warp(block.timestamp + CLOCK + 1);
        refuse(IInferenceService.Decided.selector);
        service.timeout(slow.id, slow.game, claims);
        bytes32 others = Toy.claimsRoot(quick);
        refuse(IDisputeGame.StateMismatch.selector);
        service.reclaim(slow.id, quick.game, others);
        refuse(IDisputeGame.StateMismatch.selector);
        service.reclaim(slow.id, slow.game, others);
        vm.prank(ASSERTER);
        service.reclaim(slow.id, slow.game, claims);
        check(service.balances(OTHER) == CHALLENGER_BOND + PRIZE / 2, "bond and share");
        check(service.balances(ASSERTER) == 0, "whoever calls gets nothing");
        check(uint256(service.games(slow.id)) == 3, "closed");
        refuse(IDisputeGame.Over.selector);
        service.reclaim(slow.id, slow.game, claims);

        // Nor does the next answer bring it back.
        answer(asked, truth(asked));
        refuse(IDisputeGame.Over.selector);
        service.reclaim(slow.id, slow.game, claims);
        refuse(IInferenceService.Decided.selector);
        service.timeout(slow.id, slow.game, claims);
    }

    /// The share is that of the answer that was overturned, however late it is reclaimed.
    function test_sharesBelongToTheirAnswer() public {
        address[] memory challengers = new address[](3);
        (challengers[0], challengers[1], challengers[2]) = (OTHER, CHALLENGER, THIRD);
        (Asked memory asked, Turn[] memory turns) = overturned(challengers);
        // A second answer loses against two.
        answer(asked, lie(asked, 4));
        Turn memory again = challenge(CHALLENGER, asked, truth(asked));
        Turn memory slow = challenge(OTHER, asked, truth(asked));
        check(!playOut(again, lie(asked, 4), truth(asked)), "the liar wins");
        // And a third one is final.
        answer(asked, truth(asked));
        vm.warp(block.timestamp + WINDOW);
        settle(asked, truth(asked));
        uint256 before = service.balances(OTHER);
        reclaim(slow);
        check(service.balances(OTHER) == before + CHALLENGER_BOND + PRIZE / 2, "the second answer's");
        before = service.balances(CHALLENGER);
        reclaim(turns[1]);
        check(service.balances(CHALLENGER) == before + CHALLENGER_BOND + PRIZE / 4, "the first answer's");
        reclaim(turns[2]);
        check(service.balances(THIRD) == CHALLENGER_BOND + PRIZE / 4, "the first answer's");
        uint256 left = 2 * uint256(BURNED) + service.balances(OTHER) + service.balances(CHALLENGER)
            + service.balances(THIRD) + service.balances(ASSERTER);
        check(address(service).balance == left, "the sum");
    }

    function test_reclaimNeedsAGame() public {
        address[] memory challengers = new address[](1);
        challengers[0] = CHALLENGER;
        (Asked memory asked, Turn[] memory turns) = overturned(challengers);
        // OTHER had no game; CHALLENGER's is over; and there is no such attempt or request.
        uint256 never = asked.id << 176 | 1 << 160 | uint160(OTHER);
        bytes32 claims = Toy.claimsRoot(turns[0]);
        refuse(IDisputeGame.StateMismatch.selector);
        service.reclaim(never, turns[0].game, claims);
        refuse(IDisputeGame.Over.selector);
        service.reclaim(turns[0].id, turns[0].game, claims);
        refuse(IDisputeGame.StateMismatch.selector);
        service.reclaim(asked.id << 176 | 2 << 160 | uint160(CHALLENGER), turns[0].game, claims);
        refuse(IDisputeGame.StateMismatch.selector);
        service.reclaim(7 << 176 | 1 << 160 | uint160(CHALLENGER), turns[0].game, claims);
        refuse(IDisputeGame.StateMismatch.selector);
        service.reclaim(0, turns[0].game, claims);
    }

    /// A game's state is refused in another game, for every function that takes it.
    function test_aStateBelongsToItsGame() public {
        (Asked memory one, Asked memory two) = (ask(), ask());
        answer(one, lie(one, 5));
        answer(two, lie(two, 5));
        Turn memory first = challenge(CHALLENGER, one, truth(one));
        Turn memory second = challenge(CHALLENGER, two, truth(two));
        check(move(first, lie(one, 5)), "no move");
        uint256 id = first.id;
        first.id = second.id;
        bytes memory move_ = Toy.reply(truth(one), first, ARITY);
        first.id = id;
        // The second game is at an earlier state, in which the asserter moves.
        vm.prank(CHALLENGER);
        (bool made, bytes memory reason) = address(service).call(move_);
        check(!made && bytes4(reason) == IDisputeGame.StateMismatch.selector, "a move of another game");
        vm.warp(block.timestamp + CLOCK + 1);
        bytes32 claims = Toy.claimsRoot(first);
        refuse(IDisputeGame.StateMismatch.selector);
        service.timeout(second.id, first.game, claims);
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

    function test_whoeverRefusesMoneyKeepsItsCredit() public {
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
