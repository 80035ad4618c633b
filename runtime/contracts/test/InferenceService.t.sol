// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.24;

import {InferenceService} from "../src/InferenceService.sol";
import {
    Answer,
    IDisputeGame,
    IInferenceService,
    Model,
    Order,
    Request,
    Standing
} from "../src/Interfaces.sol";
import {Stage} from "./Stage.sol";
import {Position, Run, Toy, Turn} from "./Toy.sol";
import {vm} from "./Vm.sol";

/// @dev Refuses money until it is told to take it.
contract Refusing {
    bool private taking;

    function answer(InferenceService service, uint256 id, Request calldata request, bytes[] calldata outputs)
        external
        payable
    {
        service.answer{value: msg.value}(id, request, outputs);
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
        emit IInferenceService.Answered(asked.id, 1, ASSERTER, Toy.result(made), Toy.outputs(made));
        service.answer{value: ASSERTER_BOND}(asked.id, asked.request, Toy.outputs(made));
        Answer memory given = service.provisionalAnswer(asked.id);
        check(given.standing == Standing.Pending && given.attempt == 1 && given.openGames == 0, "standing");
        check(given.asserter == ASSERTER && given.posted == block.timestamp, "whose");
        check(given.result == Toy.result(made) && !given.delivered, "what");

        vm.warp(block.timestamp + WINDOW - 1);
        refuse(IInferenceService.Unsettled.selector);
        settle(asked, made);
        refuse(IInferenceService.NotFinal.selector);
        service.result(asked.id);
        vm.warp(block.timestamp + 1);
        // Without a callback there is nothing that could fail.
        vm.expectEmit();
        emit IInferenceService.Settled(asked.id, Toy.result(made), true);
        settle(asked, made);
        check(service.result(asked.id) == Toy.result(made), "another result");
        check(service.provisionalAnswer(asked.id).delivered, "not delivered");
        check(ASSERTER.balance == WEALTH + FEE && address(service).balance == 0, "the asserter's");
        refuse(IInferenceService.Decided.selector);
        settle(asked, made);
    }

    function test_anAnswerHasTheOutputsSize() public {
        Asked memory asked = ask();
        bytes[] memory outputs = Toy.outputs(truth(asked));
        uint8[4] memory sizes = [0, 1, 31, 33];
        for (uint256 i = 0; i < 2 * sizes.length; i++) {
            bytes memory kept = outputs[i % 2];
            outputs[i % 2] = new bytes(sizes[i / 2]);
            refuse(IInferenceService.Size.selector);
            service.answer{value: ASSERTER_BOND}(asked.id, asked.request, outputs);
            outputs[i % 2] = kept;
        }
        for (uint256 count = 1; count < 4; count++) {
            if (count == 2) continue;
            bytes[] memory others = new bytes[](count);
            for (uint256 i = 0; i < count; i++) {
                others[i] = outputs[i % 2];
            }
            refuse(IInferenceService.Size.selector);
            service.answer{value: ASSERTER_BOND}(asked.id, asked.request, others);
        }
        service.answer{value: ASSERTER_BOND}(asked.id, asked.request, outputs);
    }

    /// Each output in the form that the request wants, and in no other.
    function test_outputsByRoot() public {
        for (uint64 byRoot = 0; byRoot < 4; byRoot++) {
            Asked memory asked = askByRoot(byRoot);
            for (uint64 other = 0; other < 4; other++) {
                if (other == byRoot) continue;
                // The output has 32 bytes and its root too, so only the lengths of the last part differ not.
                bytes[] memory wrong = Toy.outputs(truth(asked), other);
                vm.prank(ASSERTER);
                service.answer{value: ASSERTER_BOND}(asked.id, asked.request, wrong);
                check(service.provisionalAnswer(asked.id).result != Toy.result(truth(asked)), "any form");
                Turn memory turn = challenge(CHALLENGER, asked, truth(asked));
                vm.warp(block.timestamp + CLOCK + 1);
                timeout(turn);
            }
            answer(asked, truth(asked));
            check(service.provisionalAnswer(asked.id).result == Toy.result(truth(asked)), "another result");
            vm.warp(block.timestamp + WINDOW);
            settle(asked, truth(asked));
        }
    }

    function askByRoot(uint64 byRoot) private returns (Asked memory) {
        Order memory ordered = order(OTHER, 1000, "data");
        ordered.byRoot = byRoot;
        return ask(Toy.plain(), ordered, someInputs(), someInputRoot(), Toy.FIRST_STATE);
    }

    /// A root has 32 bytes, however many the part has.
    function test_rootsOfOutputsHaveTheirSize() public {
        Model memory model = Toy.model(Toy.plain());
        (model.outputs[0], model.outputs[1]) = (1 << 128 | 1 << 64 | 40, Toy.STATE);
        Order memory ordered = order();
        (ordered.model, ordered.byRoot) = (registry.register(model), 1);
        Request memory request = expected(address(this), ordered);
        request.fee = 0;
        request.outputs = model.outputs;
        uint256 id = service.request(ordered, someInputs());
        bytes[] memory outputs = new bytes[](2);
        outputs[1] = new bytes(32);
        uint8[4] memory sizes = [0, 31, 33, 40];
        for (uint256 i = 0; i < sizes.length; i++) {
            outputs[0] = new bytes(sizes[i]);
            refuse(IInferenceService.Size.selector);
            service.answer{value: ASSERTER_BOND}(id, request, outputs);
        }
        outputs[0] = bytes.concat(bytes32("any root"));
        service.answer{value: ASSERTER_BOND}(id, request, outputs);
        bytes32 result = keccak256(bytes.concat(bytes32("any root"), bytes32(0)));
        check(service.provisionalAnswer(id).result == result, "another result");
    }

    function test_noOutputIsAnAnswerToo() public {
        Asked memory asked = ask();
        service.answer{value: ASSERTER_BOND}(asked.id, asked.request, new bytes[](0));
        check(service.provisionalAnswer(asked.id).result == VOID, "not void");
        vm.warp(block.timestamp + WINDOW);
        service.settle(asked.id, asked.request, new bytes[](0), "");
        check(service.result(asked.id) == VOID, "not void");
    }

    /// Without a callback nothing looks at outputs and data.
    function test_settlingWithoutACallback() public {
        for (uint256 i = 0; i < 3; i++) {
            Asked memory asked = ask();
            answer(asked, truth(asked));
            vm.warp(block.timestamp + WINDOW);
            bytes[] memory outputs = i == 0 ? new bytes[](0) : Toy.outputs(lie(asked, 16));
            if (i == 2) outputs[0] = new bytes(5);
            vm.expectEmit();
            emit IInferenceService.Settled(asked.id, Toy.result(truth(asked)), true);
            service.settle(asked.id, asked.request, outputs, i == 0 ? bytes("") : bytes("any"));
            check(service.result(asked.id) == Toy.result(truth(asked)), "another result");
            check(paid(ASSERTER) == (i + 1) * uint256(ASSERTER_BOND + FEE), "not paid");
        }
    }

    function test_settlingTakesTheVeryOutputAndData() public {
        Asked memory asked = ask(OTHER, 1000, "data");
        answer(asked, truth(asked));
        vm.warp(block.timestamp + WINDOW);
        refuse(IInferenceService.NotTheOutput.selector);
        settle(asked, lie(asked, 16));
        bytes[] memory outputs = Toy.outputs(truth(asked));
        refuse(IInferenceService.NotTheOutput.selector);
        service.settle(asked.id, asked.request, outputs, "other");
        refuse(IInferenceService.NotTheOutput.selector);
        service.settle(asked.id, asked.request, new bytes[](0), "data");
        bytes memory kept = outputs[1];
        outputs[1] = bytes.concat(kept, hex"00");
        refuse(IInferenceService.Size.selector);
        service.settle(asked.id, asked.request, outputs, "data");
        outputs[1] = kept;
        service.settle(asked.id, asked.request, outputs, "data");
    }

    function test_oneAnswerAtATime() public {
        Asked memory asked = ask();
        answer(asked, lie(asked, 3));
        bytes[] memory outputs = Toy.outputs(truth(asked));
        refuse(IInferenceService.AnsweredAlready.selector);
        service.answer{value: ASSERTER_BOND}(asked.id, asked.request, outputs);
        vm.warp(block.timestamp + WINDOW);
        settle(asked, lie(asked, 3));
        refuse(IInferenceService.AnsweredAlready.selector);
        service.answer{value: ASSERTER_BOND}(asked.id, asked.request, outputs);
        Asked memory unasked = ask();
        refuse(IInferenceService.Decided.selector);
        settle(unasked, truth(unasked));
    }

    function test_bondsAreExact() public {
        Asked memory asked = ask();
        bytes[] memory outputs = Toy.outputs(truth(asked));
        for (uint256 i = 0; i < 2; i++) {
            vm.expectRevert(abi.encodeWithSelector(IInferenceService.Value.selector, ASSERTER_BOND));
            service.answer{value: ASSERTER_BOND - 1 + 2 * i}(asked.id, asked.request, outputs);
        }
        answer(asked, truth(asked));
        bytes32 asserted = Toy.result(truth(asked));
        bytes32[] memory opening = Toy.opening(lie(asked, 1), ARITY);
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
        bytes32[] memory opening = Toy.opening(truth(asked), ARITY);
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
        check(turn.start == Toy.memoryRoot(truth(asked), 0) && turn.claims.length == 2, "claims");
        bytes32 word =
            keccak256(abi.encodePacked(turn.id, turn.game.subject, turn.game.position, Toy.claimsRoot(turn)));
        check(service.games(turn.id) == word, "hash");
        check(service.provisionalAnswer(asked.id).openGames == 1, "count");
    }

    function test_theWindowIsExactToTheSecond() public {
        Asked memory asked = ask();
        bytes32 lied = Toy.result(lie(asked, 5));
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
        bytes32 lied = Toy.result(lie(asked, 5));
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
        bytes32 lied = Toy.result(lie(asked, 5));
        bytes32 other = Toy.result(lie(asked, 6));
        bytes32[] memory opening = Toy.opening(truth(asked), ARITY);
        Model memory model = Toy.model(asked.plan);
        vm.prank(CHALLENGER);
        vm.expectRevert(abi.encodeWithSelector(IInferenceService.OtherAnswer.selector, lied));
        service.challenge{value: CHALLENGER_BOND}(asked.id, asked.request, model, other, opening);
    }

    function test_aChallengeIsAboutTheModel() public {
        Asked memory asked = ask();
        answer(asked, lie(asked, 5));
        bytes32 asserted = Toy.result(lie(asked, 5));
        bytes32[] memory opening = Toy.opening(truth(asked), ARITY);
        for (uint256 i = 0; i < 9; i++) {
            Model memory model = Toy.model(asked.plan);
            if (i == 0) model.program.codeRoot = "other code";
            if (i == 1) model.program.machine += 32;
            if (i == 2) model.program.scheduleRoot = "another schedule";
            if (i == 3) model.program.shape += 1;
            if (i == 4) model.memoryRoot = "another memory";
            if (i == 5 || i == 6) model.inputs[i - 5] += 1;
            if (i == 7 || i == 8) model.outputs[i - 7] += 1;
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
        check(paid(ASSERTER) == CHALLENGER_BOND, "the bond");
        check(service.provisionalAnswer(asked.id).openGames == 0, "count");
        // One game an answer, even when it is lost.
        refused(CHALLENGER, asked, Toy.result(truth(asked)), IInferenceService.Challenged.selector);
        bytes32 claims = Toy.claimsRoot(turn);
        refuse(IDisputeGame.Over.selector);
        service.timeout(turn.id, turn.game, claims);
        vm.warp(service.provisionalAnswer(asked.id).posted + WINDOW);
        settle(asked, truth(asked));
        check(paid(ASSERTER) == CHALLENGER_BOND + ASSERTER_BOND + FEE, "all of it");
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
        check(paid(CHALLENGER) == CHALLENGER_BOND + PRIZE, "the prize");
        check(paid(ASSERTER) == 0, "the asserter is paid");
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
            vm.deal(challengers[i], WEALTH);
        }
        (, Turn[] memory turns) = overturned(challengers);
        uint256 others = count - 1;
        uint256 share = others == 0 ? 0 : PRIZE / 2 / others;
        uint256 winner = paid(challengers[0]);
        check(winner == CHALLENGER_BOND + PRIZE - share * others, "the winner's");
        check(winner >= CHALLENGER_BOND + PRIZE / 2, "less than half");
        uint256 all = winner;
        for (uint256 i = 1; i < count; i++) {
            check(paid(challengers[i]) == 0, "before it reclaims");
            reclaim(turns[i]);
            check(paid(challengers[i]) == CHALLENGER_BOND + share, "its share");
            all += paid(challengers[i]);
            // Once.
            bytes32 claims = Toy.claimsRoot(turns[i]);
            refuse(IDisputeGame.Over.selector);
            service.reclaim(turns[i].id, turns[i].game, claims);
        }
        check(all == count * CHALLENGER_BOND + PRIZE, "the sum");
    }

    /// A friend of the liar that wins first loses at least what the honest challenger gains.
    function test_aFriendThatWinsFirstDoesNotTakeItAll() public {
        address[] memory challengers = new address[](2);
        (challengers[0], challengers[1]) = (OTHER, CHALLENGER);
        (, Turn[] memory turns) = overturned(challengers);
        reclaim(turns[1]);
        check(paid(CHALLENGER) == CHALLENGER_BOND + PRIZE / 2, "the honest challenger's");
        uint256 pair = paid(OTHER) + paid(ASSERTER);
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
        check(paid(CHALLENGER) == CHALLENGER_BOND + PRIZE / 6, "its share");
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
        check(paid(ASSERTER) == CHALLENGER_BOND, "the loser's bond");
        check(service.provisionalAnswer(asked.id).openGames == 1, "count");
        check(!playOut(winner, lie(asked, 11), truth(asked)), "the liar wins");
        check(paid(CHALLENGER) == CHALLENGER_BOND + PRIZE, "the whole prize");
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
        check(paid(OTHER) == CHALLENGER_BOND + PRIZE / 2, "bond and share");
        check(paid(ASSERTER) == 0, "whoever calls gets nothing");
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
        uint256 before = paid(OTHER);
        reclaim(slow);
        check(paid(OTHER) == before + CHALLENGER_BOND + PRIZE / 2, "the second answer's");
        before = paid(CHALLENGER);
        reclaim(turns[1]);
        check(paid(CHALLENGER) == before + CHALLENGER_BOND + PRIZE / 4, "the first answer's");
        reclaim(turns[2]);
        check(paid(THIRD) == CHALLENGER_BOND + PRIZE / 4, "the first answer's");
        check(address(service).balance == 2 * uint256(BURNED), "the sum");
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

    /// Whoever takes its payments has no credit.
    function test_nobodyIsCreditedWhoIsPaid() public {
        overturned();
        address[5] memory people = [REQUESTER, ASSERTER, CHALLENGER, OTHER, THIRD];
        for (uint256 i = 0; i < people.length; i++) {
            check(service.balances(people[i]) == 0, "credited");
            vm.prank(people[i]);
            refuse(IInferenceService.Nothing.selector);
            service.withdraw();
        }
        check(address(service).balance == BURNED + FEE, "money stayed");
    }

    function test_whoeverRefusesMoneyHasACredit() public {
        Asked memory asked = ask();
        Refusing refusing = new Refusing();
        refusing.answer{value: ASSERTER_BOND}(service, asked.id, asked.request, Toy.outputs(truth(asked)));
        vm.warp(block.timestamp + WINDOW);
        vm.expectEmit();
        emit IInferenceService.Settled(asked.id, Toy.result(truth(asked)), true);
        vm.expectEmit();
        emit IInferenceService.Credited(address(refusing), ASSERTER_BOND + FEE);
        settle(asked, truth(asked));
        refuse(IInferenceService.Refused.selector);
        refusing.withdraw(service);
        check(service.balances(address(refusing)) == ASSERTER_BOND + FEE, "the credit is gone");
        refusing.take();
        vm.expectEmit();
        emit IInferenceService.Withdrawn(address(refusing), ASSERTER_BOND + FEE);
        refusing.withdraw(service);
        check(address(refusing).balance == ASSERTER_BOND + FEE, "not all");
        check(service.balances(address(refusing)) == 0 && address(service).balance == 0, "still credited");
        refuse(IInferenceService.Nothing.selector);
        refusing.withdraw(service);
    }

    // ---- Limits

    /// The word of an answer that has asserter and counts: asserter, posted, attempt, openGames and so on.
    function store(Asked memory asked, uint256 word) private {
        vm.store(address(service), slotOf(asked), bytes32(word));
    }

    function load(Asked memory asked) private view returns (uint256) {
        return uint256(vm.load(address(service), slotOf(asked)));
    }

    /// Where an answer is stored: found by what is there.
    function slotOf(Asked memory asked) private view returns (bytes32 slot) {
        for (uint256 i = 0; i < 20; i++) {
            slot = keccak256(abi.encode(asked.id, i));
            if (vm.load(address(service), bytes32(uint256(slot) + 1)) == Toy.result(truth(asked))) {
                return slot;
            }
        }
        revert("no answer");
    }

    /// After 65,535 answers there is no number for another one.
    function test_tooManyAnswers() public {
        Asked memory asked = ask();
        answer(asked, truth(asked));
        Turn memory turn = challenge(CHALLENGER, asked, lie(asked, 7));
        // The last attempt but one.
        uint256 attempt = 0xffff << 200;
        store(asked, (load(asked) & ~attempt) | 0xfffe << 200);
        check(service.provisionalAnswer(asked.id).attempt == 0xfffe, "another field");
        // It is overturned; so is the next one, which is the last.
        store(asked, (load(asked) & ~(uint256(0xff) << 240)) | uint256(Standing.Overturned) << 240);
        check(standing(asked) == Standing.Overturned, "another field");
        answer(asked, truth(asked));
        check(service.provisionalAnswer(asked.id).attempt == 0xffff, "not the last");
        turn = challenge(CHALLENGER, asked, lie(asked, 7));
        check(turn.id == asked.id << 176 | 0xffff << 160 | uint160(CHALLENGER), "id");
        vm.warp(block.timestamp + CLOCK);
        store(asked, (load(asked) & ~(uint256(0xff) << 240)) | uint256(Standing.Overturned) << 240);
        bytes[] memory outputs = Toy.outputs(truth(asked));
        refuse(IInferenceService.TooMany.selector);
        service.answer{value: ASSERTER_BOND}(asked.id, asked.request, outputs);
    }

    /// After 16,777,215 games at once there is no room for another one.
    function test_tooManyGames() public {
        Asked memory asked = ask();
        answer(asked, truth(asked));
        store(asked, load(asked) | 0xfffffe << 216);
        check(service.provisionalAnswer(asked.id).openGames == 0xfffffe, "another field");
        challenge(CHALLENGER, asked, lie(asked, 7));
        check(service.provisionalAnswer(asked.id).openGames == 0xffffff, "count");
        bytes32[] memory opening = Toy.opening(lie(asked, 7), ARITY);
        Model memory model = Toy.model(asked.plan);
        bytes32 asserted = Toy.result(truth(asked));
        vm.prank(OTHER);
        refuse(IInferenceService.TooMany.selector);
        service.challenge{value: CHALLENGER_BOND}(asked.id, asked.request, model, asserted, opening);
    }

    function test_moneyThatIsJustSentComesBack() public {
        (bool taken,) = address(service).call{value: 1 ether}("");
        check(!taken, "there is no way to get it out again");
    }
}
