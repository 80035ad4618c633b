// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.24;

import {
    IDisputeGame,
    IInferenceService,
    Model,
    Order,
    Pick,
    Program,
    Request,
    Standing
} from "../src/Interfaces.sol";
import {Naive} from "./Naive.sol";
import {Stage} from "./Stage.sol";
import {Run, Toy, Turn} from "./Toy.sol";
import {vm} from "./Vm.sol";

/// @notice The holes that the contracts of the first opML (2023) had, each tried here.
contract PredecessorTest is Stage {
    /// There, a player who fell silent kept a dispute open for ever.
    function test_noClocks() public {
        Asked memory asked = ask();
        uint256 posted = block.timestamp;
        answer(asked, lie(asked, 7));
        // The latest that a game can be opened, and then everybody thinks as long as it may.
        vm.warp(posted + WINDOW - 1);
        Turn memory turn = challenge(CHALLENGER, asked, truth(asked));
        vm.warp(block.timestamp + CLOCK);
        check(move(turn, lie(asked, 7)), "the last second is in time");
        check(Toy.position(turn.game).asserterClock == 0, "a move is free");
        vm.warp(block.timestamp + CLOCK);
        check(move(turn, truth(asked)), "the last second is in time");
        // The asserter has used its time and is silent. Anyone may end the game.
        bytes32 claims = Toy.claimsRoot(turn);
        refuse(IDisputeGame.Early.selector);
        service.timeout(turn.id, turn.game, claims);
        vm.warp(block.timestamp + 1);
        vm.prank(OTHER);
        service.timeout(turn.id, turn.game, claims);
        check(standing(asked) == Standing.Overturned, "it goes on");
        check(
            block.timestamp <= posted + WINDOW + 2 * uint256(CLOCK), "it took longer than window and clocks"
        );
    }

    /// There, neither a false result nor a false challenge cost its author anything.
    function test_noBonds() public {
        Asked memory asked = ask();
        bytes[] memory outputs = Toy.outputs(lie(asked, 2));
        vm.prank(ASSERTER);
        vm.expectRevert(abi.encodeWithSelector(IInferenceService.Value.selector, ASSERTER_BOND));
        service.answer(asked.id, asked.request, outputs);
        uint256 before = ASSERTER.balance;
        answer(asked, lie(asked, 2));
        bytes32 asserted = Toy.result(lie(asked, 2));
        bytes32[] memory opening = Toy.opening(truth(asked), ARITY);
        Model memory model = Toy.model(asked.plan);
        vm.prank(CHALLENGER);
        vm.expectRevert(abi.encodeWithSelector(IInferenceService.Value.selector, CHALLENGER_BOND));
        service.challenge(asked.id, asked.request, model, asserted, opening);
        Turn memory turn = challenge(CHALLENGER, asked, truth(asked));
        check(!playOut(turn, lie(asked, 2), truth(asked)), "the liar wins");
        vm.prank(ASSERTER);
        refuse(IInferenceService.Nothing.selector);
        service.withdraw();
        check(ASSERTER.balance == before - ASSERTER_BOND, "the lie was free");
        check(paid(CHALLENGER) > CHALLENGER_BOND, "telling the truth doesn't pay");
    }

    /// There, the contract's owner could take all bonds. Here the deployer is nobody: it tries every function, and names
    /// that owners' functions have.
    function test_ownerCanWithdraw() public {
        Asked memory asked = ask();
        answer(asked, lie(asked, 7));
        Turn memory turn = challenge(CHALLENGER, asked, truth(asked));
        bytes[] memory calls = everythingAnOwnerTries(asked, turn);
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

    function everythingAnOwnerTries(Asked memory asked, Turn memory turn)
        private
        view
        returns (bytes[] memory calls)
    {
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
        bytes[] memory own = everyFunction(asked, turn);
        calls = new bytes[](own.length + owners.length);
        for (uint256 i = 0; i < own.length; i++) {
            calls[i] = own[i];
        }
        for (uint256 i = 0; i < owners.length; i++) {
            calls[own.length + i] = abi.encodeWithSignature(owners[i], address(this), address(this).balance);
        }
    }

    /// There, whoever called last had its result stored.
    function test_anyoneCanOverwriteAResult() public {
        Asked memory asked = ask();
        answer(asked, truth(asked));
        bytes[] memory other = Toy.outputs(lie(asked, 16));
        vm.prank(OTHER);
        refuse(IInferenceService.AnsweredAlready.selector);
        service.answer{value: ASSERTER_BOND}(asked.id, asked.request, other);
        vm.warp(block.timestamp + WINDOW);
        // Whatever whoever settles says that the outputs are.
        vm.prank(OTHER);
        service.settle(asked.id, asked.request, other, "");
        vm.prank(OTHER);
        refuse(IInferenceService.AnsweredAlready.selector);
        service.answer{value: ASSERTER_BOND}(asked.id, asked.request, other);
        check(service.result(asked.id) == Toy.result(truth(asked)), "overwritten");
    }

    /// There, the output that was posted had nothing to do with the run that was proven. Here one who runs truly and
    /// posts another output has claims to answer whose end is its own, and can't go on.
    function test_outputIsNotBoundToTheFinalState() public {
        Asked memory asked = ask();
        bytes32 asserted = Toy.result(lie(asked, 16));
        answer(asked, lie(asked, 16));
        // The challenger can't show another output than its run ends with either.
        bytes32[] memory opening = Toy.opening(truth(asked), ARITY);
        check(opening[9] == Toy.outputRoots(truth(asked))[0], "another word");
        opening[9] = Toy.outputRoots(lie(asked, 15))[0];
        Model memory model = Toy.model(asked.plan);
        vm.prank(CHALLENGER);
        refuse(IDisputeGame.Proof.selector);
        service.challenge{value: CHALLENGER_BOND}(asked.id, asked.request, model, asserted, opening);
        Turn memory turn = challenge(CHALLENGER, asked, truth(asked));
        // All true claims: the asserter can only reject what is its own.
        bytes32[] memory same =
            Naive.concat(Toy.pairSiblings(turn, 2), Toy.claims(truth(asked), ARITY, false, 0, 2, 4));
        Pick memory last = Toy.pick(turn, 2);
        vm.prank(ASSERTER);
        refuse(IDisputeGame.Agrees.selector);
        service.dissect(turn.id, turn.game, last, same);
        vm.warp(block.timestamp + CLOCK + 1);
        timeout(turn);
        check(standing(asked) == Standing.Overturned, "it stands");
    }

    /// There, a correct result could be challenged again and again for nothing, which kept it from being final.
    function test_correctResultsAreChallengeableAtNoCost() public {
        Asked memory asked = ask();
        uint256 posted = block.timestamp;
        answer(asked, truth(asked));
        bytes32 asserted = Toy.result(truth(asked));
        bytes32[] memory same = Toy.opening(truth(asked), ARITY);
        Model memory model = Toy.model(asked.plan);
        vm.prank(CHALLENGER);
        refuse(IDisputeGame.Agrees.selector);
        service.challenge{value: CHALLENGER_BOND}(asked.id, asked.request, model, asserted, same);
        // Two try, at the last moment; each pays.
        vm.warp(posted + WINDOW - 1);
        loses(CHALLENGER, asked, lie(asked, 4));
        loses(OTHER, asked, lie(asked, 8));
        check(paid(ASSERTER) == 2 * uint256(CHALLENGER_BOND), "challenges are free");
        vm.warp(posted + WINDOW + 2 * uint256(CLOCK));
        settle(asked, truth(asked));
        bytes32[] memory again = Toy.opening(lie(asked, 4), ARITY);
        vm.prank(OTHER);
        refuse(IInferenceService.Decided.selector);
        service.challenge{value: CHALLENGER_BOND}(asked.id, asked.request, model, asserted, again);
    }

    /// A challenge to a true answer, by a liar.
    function loses(address challenger, Asked memory asked, Run memory lied) private {
        uint256 now_ = block.timestamp;
        Turn memory turn = challenge(challenger, asked, lied);
        check(playOut(turn, truth(asked), lied), "the liar wins");
        // What the other one does meanwhile: games go on side by side.
        vm.warp(now_);
    }

    /// There, the challenger said how many steps the run has.
    function test_theChallengerChoosesTheStepCount() public {
        // Of big steps: there are as many claims as the model's count and the arity make.
        Asked memory asked = ask();
        answer(asked, truth(asked));
        bytes32 asserted = Toy.result(truth(asked));
        bytes32[] memory opening = Toy.opening(lie(asked, 1), ARITY);
        Model memory model = Toy.model(asked.plan);
        for (uint256 count = 0; count <= 4; count++) {
            if (count == ARITY) continue;
            bytes32[] memory words = Naive.concat(new bytes32[](opening.length - ARITY), new bytes32[](count));
            for (uint256 i = 0; i < opening.length - ARITY; i++) {
                words[i] = opening[i];
            }
            vm.prank(CHALLENGER);
            refuse(IDisputeGame.Count.selector);
            service.challenge{value: CHALLENGER_BOND}(asked.id, asked.request, model, asserted, words);
        }
        // Of steps: the bound is the schedule's.
        (Asked memory other, Turn memory turn) = atTheEntry();
        bytes32 before = service.games(turn.id);
        Entering memory to = entering(other, turn);
        for (uint64 bound = 0; bound < 9; bound++) {
            to.leaf = to.leaf >> 64 << 64 | bound;
            // Less than two steps make another number of claims.
            bytes4 refusal = bound < 2 ? IDisputeGame.Count.selector : IDisputeGame.Proof.selector;
            enterAs(CHALLENGER, turn, to, bound == Toy.STEPS ? bytes4(0) : refusal);
            if (bound == Toy.STEPS) break;
        }
        check(service.games(turn.id) != before, "the right bound is refused");
    }

    /// What the move into a big step brings.
    struct Entering {
        Pick picked;
        Program program;
        uint256 leaf;
        bytes end;
        bytes32[] words;
    }

    function entering(Asked memory asked, Turn memory turn) private pure returns (Entering memory to) {
        (to.picked, to.program) = (Toy.pick(turn, 1), Toy.program(asked.plan));
        (to.leaf, to.end, to.words) = Toy.entry(truth(asked), 0, ARITY);
        to.words = Naive.concat(Toy.pairSiblings(turn, 1), to.words);
    }

    /// There, anyone could open the inner phase of anyone's dispute, from any state.
    function test_anyoneHandsOverBetweenPhasesWithAnyState() public {
        (Asked memory asked, Turn memory turn) = atTheEntry();
        Entering memory to = entering(asked, turn);
        address[3] memory strangers = [OTHER, REQUESTER, ASSERTER];
        for (uint256 i = 0; i < strangers.length; i++) {
            enterAs(strangers[i], turn, to, IDisputeGame.Turn.selector);
        }
        // Nor can the mover choose the place, the end, the memory or the program.
        to.leaf += 4 << 64;
        enterAs(CHALLENGER, turn, to, IDisputeGame.Proof.selector);
        to = entering(asked, turn);
        to.end = Naive.slice(Toy.state(lie(asked, 2), 0, 3), 64);
        to.end[32] = 0x01;
        enterAs(CHALLENGER, turn, to, IDisputeGame.EndState.selector);
        to = entering(asked, turn);
        to.picked.agreed = keccak256("another memory");
        enterAs(CHALLENGER, turn, to, IDisputeGame.StateMismatch.selector);
        to = entering(asked, turn);
        to.picked.rejected = keccak256("another claim");
        enterAs(CHALLENGER, turn, to, IDisputeGame.StateMismatch.selector);
        to = entering(asked, turn);
        to.program.codeRoot = keccak256("other code");
        enterAs(CHALLENGER, turn, to, IDisputeGame.StateMismatch.selector);
        to.program = Toy.program(Toy.periodic());
        enterAs(CHALLENGER, turn, to, IDisputeGame.StateMismatch.selector);
        // The start is derived: code, agreed memory, entry, and everything else as at reset.
        to = entering(asked, turn);
        vm.recordLogs();
        enterAs(CHALLENGER, turn, to, 0);
        moved(turn);
        check(turn.start == keccak256(Toy.state(truth(asked), 0, 0)), "another start");
    }

    function enterAs(address who, Turn memory turn, Entering memory to, bytes4 refusal) private {
        vm.prank(who);
        if (refusal != 0) refuse(refusal);
        service.enter(turn.id, turn.game, to.picked, to.program, to.leaf, to.end, to.words);
    }

    /// A game against an answer that is false from its first step on: the challenger must go into big step 0.
    function atTheEntry() private returns (Asked memory asked, Turn memory turn) {
        asked = ask();
        answer(asked, lie(asked, 1));
        turn = challenge(CHALLENGER, asked, truth(asked));
        check(move(turn, lie(asked, 1)), "no move");
    }

    /// There, an input longer than expected was cut off without a word.
    function test_inputsAreSilentlyTruncated() public {
        Order memory ordered = order();
        bytes memory long = bytes.concat(someInput(), hex"01");
        refuse(IInferenceService.Size.selector);
        service.request{value: FEE}(ordered, inputsOf(long));
        bytes memory short = new bytes(INPUT_BYTES - 1);
        refuse(IInferenceService.Size.selector);
        service.request{value: FEE}(ordered, inputsOf(short));
        // The last byte counts.
        bytes memory other = someInput();
        other[INPUT_BYTES - 1] ^= 0x01;
        Request memory request = expected(address(this), ordered);
        check(someInputRoot() != Naive.memoryRoot(other, 1), "the last byte doesn't count");
        request.inputs = Toy.commitment(Naive.memoryRoot(other, 1), Toy.FIRST_STATE);
        uint256 id = service.request{value: FEE}(ordered, inputsOf(other));
        check(statusOf(id).hash == keccak256(abi.encode(id, request)), "another input");
    }

    /// There, an asserter could play its own challenger and win. Here one key can't, and a second one costs.
    function test_sameKeyOnBothSides() public {
        Asked memory asked = ask();
        answer(asked, lie(asked, 7));
        bytes32 asserted = Toy.result(lie(asked, 7));
        bytes32[] memory opening = Toy.opening(truth(asked), ARITY);
        Model memory model = Toy.model(asked.plan);
        vm.prank(ASSERTER);
        refuse(IInferenceService.Itself.selector);
        service.challenge{value: CHALLENGER_BOND}(asked.id, asked.request, model, asserted, opening);
        // OTHER is the asserter's second key. It loses to itself before an honest challenger gets to the end.
        Turn memory honest = challenge(CHALLENGER, asked, truth(asked));
        Turn memory turn = challenge(OTHER, asked, truth(asked));
        check(!playOut(turn, lie(asked, 7), truth(asked)), "it lost to its friend");
        reclaim(honest);
        uint256 prize = ASSERTER_BOND - BURNED;
        uint256 back = paid(OTHER) + paid(ASSERTER);
        check(back == CHALLENGER_BOND + prize / 2 && prize / 2 < ASSERTER_BOND, "lying was free");
        check(paid(CHALLENGER) == CHALLENGER_BOND + prize / 2, "the honest challenger got nothing");
    }
}
