// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.24;

import {IDisputeGame, Model, Pick, Program} from "../src/Interfaces.sol";
import {OpenDisputes} from "../src/OpenDisputes.sol";
import {Naive} from "./Naive.sol";
import {Stage} from "./Stage.sol";
import {Plan, Position, Run, Toy, Turn} from "./Toy.sol";
import {vm} from "./Vm.sol";

/// @dev Whole games about runs of the toy machine. Rust tests that the contract makes the transitions of the
/// game in Rust, errors and their order included (`tests/tests/contracts.rs`).
contract DisputeGameTest is Stage {
    OpenDisputes private disputes;

    function setUp() public override {
        super.setUp();
        disputes = new OpenDisputes(registry);
    }

    function run(uint256 lieAt) private pure returns (Run memory) {
        return Toy.run(Toy.plain(), 0, bytes32(uint256(7)), lieAt);
    }

    function open(
        Run memory asserters,
        Run memory challengers,
        uint64 repetitions,
        uint16 arity,
        uint32 clock
    ) private returns (Turn memory turn) {
        (turn.asserter, turn.challenger) = (ASSERTER, CHALLENGER);
        bytes32[] memory opening = Toy.opening(challengers, arity);
        Model memory model = Toy.model(challengers.plan);
        bytes32 asserted = Toy.result(asserters);
        bytes32 inputs = Toy.commitment(challengers);
        vm.recordLogs();
        vm.prank(CHALLENGER);
        turn.id = disputes.challenge(ASSERTER, arity, clock, model, repetitions, inputs, asserted, opening);
        moved(turn);
    }

    function open(uint16 arity) private returns (Turn memory) {
        return open(run(3), run(0), 0, arity, CLOCK);
    }

    /// Plays a game in which one side is honest, which must win within the moves that the arity allows.
    function honestSideWins(
        Run memory honest,
        Run memory liar,
        uint64 repetitions,
        uint16 arity,
        bool asserterLies
    ) private {
        (Run memory asserters, Run memory challengers) = asserterLies ? (liar, honest) : (honest, liar);
        Turn memory turn = open(asserters, challengers, repetitions, arity, CLOCK);
        (bool asserterWon, uint256 moves) = playOut(disputes, turn, asserters, challengers, arity);
        check(asserterWon != asserterLies, "the liar wins");
        check(moves <= most(honest.order.length, arity) + most(Toy.STEPS, arity), "too many moves");
    }

    /// The moves after which a segment of this many units is down to one, and the one that ends it.
    function most(uint256 units, uint256 arity) private pure returns (uint256 moves) {
        moves = 1;
        while (units > arity) {
            units = (units + arity - 1) / arity;
            moves += 1;
        }
    }

    function testFuzz_theHonestSideWins(bytes32 input, uint8 step, uint16 arity, bool asserterLies) public {
        arity = 2 + arity % 255;
        Plan memory plan = Toy.plain();
        honestSideWins(
            Toy.run(plan, 0, input, 0), Toy.run(plan, 0, input, 1 + step % 16), 0, arity, asserterLies
        );
    }

    // ---- Schedules with a period

    function testFuzz_theHonestSideWinsWithAPeriod(
        bytes32 input,
        uint8 repetitions,
        uint16 step,
        uint16 arity,
        bool asserterLies
    ) public {
        arity = 2 + arity % 255;
        repetitions = 1 + repetitions % 5;
        Plan memory plan = Toy.periodic();
        Run memory honest = Toy.run(plan, repetitions, input, 0);
        uint256 lie = 1 + step % (honest.leaves.length - 1);
        honestSideWins(honest, Toy.run(plan, repetitions, input, lie), repetitions, arity, asserterLies);
    }

    /// At every big step of every run of up to five repetitions, and at its first and last step.
    function test_everyBigStepIsDisputed() public {
        Plan memory plan = Toy.periodic();
        for (uint64 repetitions = 1; repetitions <= 5; repetitions++) {
            Run memory honest = Toy.run(plan, repetitions, 0, 0);
            for (uint256 bigStep = 0; bigStep < honest.order.length; bigStep++) {
                Run memory liar = Toy.run(plan, repetitions, 0, 4 * bigStep + 1);
                honestSideWins(honest, liar, repetitions, 3, true);
                liar = Toy.run(plan, repetitions, 0, 4 * bigStep + 4);
                honestSideWins(honest, liar, repetitions, 2, false);
            }
        }
    }

    /// Every combination of missing and longer parts, disputed at every big step.
    function test_everyShapeIsDisputed() public {
        for (uint256 i = 1; i < 27; i++) {
            Plan memory plan = Toy.plain();
            (plan.prologue, plan.period, plan.epilogue) = (i % 3, i / 3 % 3, i / 9);
            if (plan.period != 0) (plan.least, plan.most) = (1, 3);
            uint64 repetitions = uint64(plan.most);
            Run memory honest = Toy.run(plan, repetitions, 0, 0);
            for (uint256 bigStep = 0; bigStep < honest.order.length; bigStep++) {
                Run memory liar = Toy.run(plan, repetitions, 0, 4 * bigStep + 2);
                honestSideWins(honest, liar, repetitions, 2, bigStep % 2 == 0);
            }
        }
    }

    /// A period that is repeated 200 times, disputed at the borders of prologue, repetitions and epilogue.
    function test_theBordersOfManyRepetitions() public {
        Plan memory plan = Toy.periodic();
        plan.most = 1_000_000;
        Run memory honest = Toy.run(plan, 200, 0, 0);
        uint16[8] memory places = [0, 1, 2, 3, 200, 399, 400, 401];
        for (uint256 i = 0; i < places.length; i++) {
            honestSideWins(honest, Toy.run(plan, 200, 0, 4 * uint256(places[i]) + 3), 200, 20, i % 2 == 0);
        }
    }

    /// Whoever goes into a big step must show the leaf that belongs to it, not that of another big step.
    function test_noOtherLeafOfThePeriod() public {
        Plan memory plan = Toy.periodic();
        Run memory honest = Toy.run(plan, 3, 0, 0);
        for (uint256 bigStep = 0; bigStep < honest.order.length; bigStep++) {
            for (uint256 leaf = 0; leaf < 4; leaf++) {
                Run memory liar = Toy.run(plan, 3, 0, 4 * bigStep + 1);
                // The challenger claims the truth at once for all big steps, and the asserter enters.
                Turn memory turn = open(liar, honest, 3, 256, CLOCK);
                Run memory strayed = Toy.run(plan, 3, 0, 4 * bigStep + 1);
                strayed.order[bigStep] = leaf;
                bool entered = move(disputes, turn, strayed, 256);
                check(entered == (leaf == honest.order[bigStep]), "another leaf is accepted");
            }
        }
    }

    /// The number of repetitions decides where the epilogue begins.
    function test_theRepetitionsArePartOfTheGame() public {
        Run memory three = Toy.run(Toy.periodic(), 3, 0, 0);
        Turn memory turn = open(Toy.run(Toy.periodic(), 3, 0, 1), three, 3, 256, CLOCK);
        check(Toy.position(turn.game).place == 3 && Toy.position(turn.game).hi == 8, "position");
        uint64[4] memory bad = [uint64(0), 6, 1 << 40, type(uint64).max];
        for (uint256 i = 0; i < bad.length; i++) {
            Model memory model = Toy.model(Toy.periodic());
            bytes32[] memory opening = Toy.opening(three, 256);
            refuse(IDisputeGame.InvalidModel.selector);
            disputes.challenge(ASSERTER, 256, CLOCK, model, bad[i], 0, 0, opening);
        }
        // As many claims as big steps: other repetitions need another number of them.
        Model memory model_ = Toy.model(Toy.periodic());
        bytes32[] memory opening_ = Toy.opening(three, 256);
        refuse(IDisputeGame.Count.selector);
        disputes.challenge(ASSERTER, 256, CLOCK, model_, 2, 0, 0, opening_);
    }

    // ---- Void

    /// A big step that exceeds its bound is void, and so is everything after it.
    function test_aRunThatExceedsItsBoundIsVoid() public {
        Plan memory plan = Toy.periodic();
        for (plan.short = 0; plan.short < 4; plan.short++) {
            Run memory honest = Toy.run(plan, 3, 0, 0);
            check(Toy.result(honest) == Toy.VOID, "not void");
            // A liar for whom this big step exits, and a liar for whom the memory comes back later.
            Run memory liar = Toy.run(plan, 3, 0, 0);
            liar.voidFrom = Toy.NONE;
            for (uint16 arity = 2; arity < 10; arity += 3) {
                honestSideWins(honest, liar, 3, arity, true);
                honestSideWins(honest, liar, 3, arity, false);
            }
        }
    }

    /// A liar claims that a good run is void from some big step on.
    function test_aRunThatEndsIsNotVoid() public {
        Run memory honest = Toy.run(Toy.periodic(), 2, 0, 0);
        for (uint256 from = 1; from <= honest.order.length; from++) {
            Run memory liar = Toy.run(Toy.periodic(), 2, 0, 0);
            liar.voidFrom = from;
            honestSideWins(honest, liar, 2, 2, true);
            honestSideWins(honest, liar, 2, 5, false);
        }
    }

    /// After void comes void: whoever claims that the memory comes back loses to `proveVoid`.
    function test_voidIsForEver() public {
        Plan memory plan = Toy.periodic();
        for (plan.short = 0; plan.short < 3; plan.short++) {
            Run memory honest = Toy.run(plan, 2, 0, 0);
            for (uint256 back = honest.voidFrom + 1; back <= honest.order.length; back++) {
                Run memory liar = Toy.run(plan, 2, 0, 0);
                liar.backFrom = back;
                honestSideWins(honest, liar, 2, 2, true);
                honestSideWins(honest, liar, 2, 256, false);
            }
        }
    }

    function test_proveVoidNeedsVoidAndAnotherClaim() public {
        // The start is a memory.
        Turn memory turn = open(run(3), run(0), 0, 4, CLOCK);
        Pick memory picked = Toy.pick(turn, 1);
        bytes32[] memory path = Toy.pairSiblings(turn, 1);
        vm.prank(ASSERTER);
        refuse(IDisputeGame.Void.selector);
        disputes.proveVoid(turn.id, turn.game, picked, path);
        // Void follows void.
        Plan memory plan = Toy.plain();
        plan.short = 0;
        Run memory honest = Toy.run(plan, 0, 0, 0);
        Run memory liar = Toy.run(plan, 0, 0, 0);
        liar.voidFrom = Toy.NONE;
        turn = open(liar, honest, 0, 4, CLOCK);
        picked = Toy.pick(turn, 3);
        path = Toy.pairSiblings(turn, 3);
        vm.prank(ASSERTER);
        refuse(IDisputeGame.Agrees.selector);
        disputes.proveVoid(turn.id, turn.game, picked, path);
        // Nor can anyone enter a big step that starts void.
        is_(turn, Toy.enter(liar, turn, 3, 2, 4), IDisputeGame.Void.selector);
    }

    // ---- States

    /// Only the hash of the state is stored: any other state is refused, whichever bit is changed. That
    /// includes the bits of the position that mean nothing.
    function test_everyBitOfTheStateCounts() public {
        Turn memory turn = open(2);
        vm.warp(block.timestamp + CLOCK + 1);
        bytes32 claims = Toy.claimsRoot(turn);
        for (uint256 bit = 0; bit < 256; bit++) {
            turn.game.position ^= 1 << bit;
            refuse(IDisputeGame.StateMismatch.selector);
            disputes.timeout(turn.id, turn.game, claims);
            turn.game.position ^= 1 << bit;
            turn.game.subject ^= bytes32(1 << bit);
            refuse(IDisputeGame.StateMismatch.selector);
            disputes.timeout(turn.id, turn.game, claims);
            turn.game.subject ^= bytes32(1 << bit);
            refuse(IDisputeGame.StateMismatch.selector);
            disputes.timeout(turn.id, turn.game, claims ^ bytes32(1 << bit));
        }
        disputes.timeout(turn.id, turn.game, claims);
    }

    /// The same for moves. Whatever the changed bits seem to say, the move is refused with an error of the
    /// game, and the state stays.
    function testFuzz_noMoveFromAnotherState(uint256 word, bool position, bool second) public {
        Turn memory turn = open(2);
        if (second) check(move(disputes, turn, run(3), 2), "no move");
        bytes32 before = disputes.games(turn.id);
        bytes memory call = Toy.reply(second ? run(0) : run(3), turn, 2);
        // Selector and ID come before the game.
        uint256 place = 4 + 32 + (position ? 32 : 0);
        for (uint256 i = 0; i < 32; i++) {
            call[place + i] ^= bytes32(word)[i];
        }
        vm.prank(Toy.mover(turn));
        (bool made, bytes memory reason) = address(disputes).call(call);
        check(made == (word == 0), "accepted");
        if (made) return;
        bytes4 given = bytes4(reason);
        check(
            given == IDisputeGame.StateMismatch.selector || given == IDisputeGame.Turn.selector
                || given == IDisputeGame.Late.selector || given == IDisputeGame.Part.selector,
            "another error"
        );
        check(disputes.games(turn.id) == before, "the state changed");
    }

    /// The bits 242 to 255 of the position must not be accepted as another state.
    function test_dirtyBitsAreAnotherState() public {
        Turn memory turn = open(2);
        for (uint256 bit = 242; bit < 256; bit++) {
            turn.game.position ^= 1 << bit;
            bytes memory call = Toy.reply(run(3), turn, 2);
            vm.prank(ASSERTER);
            (bool made, bytes memory reason) = address(disputes).call(call);
            check(!made && bytes4(reason) == IDisputeGame.StateMismatch.selector, "accepted");
            turn.game.position ^= 1 << bit;
        }
        check(move(disputes, turn, run(3), 2), "the clean state is refused");
        check(turn.game.position >> 242 == 0, "dirty");
    }

    /// Two games whose states are equal are stored as two words, and neither takes the other's state. They
    /// differ only in the ID.
    function test_equalStatesOfTwoGames() public {
        (Turn memory one, Turn memory two) = (open(2), open(2));
        check(one.id != two.id, "one game");
        check(keccak256(abi.encode(one.game)) == keccak256(abi.encode(two.game)), "the states differ");
        check(Toy.claimsRoot(one) == Toy.claimsRoot(two), "the claims differ");
        check(disputes.games(one.id) != disputes.games(two.id), "one word for two games");
        // Once one game has moved, its state is not the other's.
        check(move(disputes, one, run(3), 2), "no move");
        vm.warp(block.timestamp + CLOCK + 1);
        bytes32 claims = Toy.claimsRoot(one);
        refuse(IDisputeGame.StateMismatch.selector);
        disputes.timeout(two.id, one.game, claims);
        claims = Toy.claimsRoot(two);
        refuse(IDisputeGame.StateMismatch.selector);
        disputes.timeout(one.id, two.game, claims);
    }

    /// The stored word, by its definition.
    function test_theStoredWord() public {
        Turn memory turn = open(2);
        bytes32 word =
            keccak256(abi.encodePacked(turn.id, turn.game.subject, turn.game.position, Toy.claimsRoot(turn)));
        check(disputes.games(turn.id) == word, "another word");
        check(
            turn.game.subject == keccak256(abi.encode(Toy.program(Toy.plain()))),
            "the subject isn't the program"
        );
        check(move(disputes, turn, run(3), 2) && move(disputes, turn, run(0), 2), "no move");
        check(turn.game.subject == bytes32(Toy.MACHINE), "the subject isn't the machine");
        word =
            keccak256(abi.encodePacked(turn.id, turn.game.subject, turn.game.position, Toy.claimsRoot(turn)));
        check(disputes.games(turn.id) == word, "another word");
    }

    function test_gamesOf() public {
        (Turn memory one, Turn memory two) = (open(2), open(3));
        uint256[] memory ids = new uint256[](5);
        check(disputes.gamesOf(new uint256[](0)).length == 0, "an empty list");
        (ids[0], ids[1], ids[2], ids[3], ids[4]) = (two.id, one.id, two.id, 0, type(uint256).max);
        bytes32[] memory found = disputes.gamesOf(ids);
        check(found.length == 5 && found[0] == found[2], "a duplicate");
        check(found[0] == disputes.games(two.id) && found[1] == disputes.games(one.id), "the words");
        check(found[3] == 0 && found[4] == 0, "unknown games");
    }

    // ---- Picks

    /// A pick proves two neighbours of the claims. Anything else is another state.
    function testFuzz_aPickIsProven(uint16 arity, uint8 part, uint8 what, bytes32 noise) public {
        Plan memory plan = Toy.periodic();
        arity = 2 + arity % 13;
        Run memory honest = Toy.run(plan, 5, 0, 0);
        Turn memory turn = open(Toy.run(plan, 5, 0, 1), honest, 5, arity, CLOCK);
        uint256 count = turn.claims.length;
        part = uint8(1 + part % count);
        // Spoil one word of the pick or of its siblings.
        if (noise == 0) noise = keccak256("noise");
        Pick memory picked = Toy.pick(turn, part);
        bytes32[] memory words = Toy.pairSiblings(turn, part);
        uint256 word = what % (3 + words.length);
        if (word == 0) picked.part = 1 + (part + uint256(noise) % (count - 1)) % count;
        if (word == 1) picked.agreed ^= noise;
        if (word == 2) picked.rejected ^= noise;
        if (word > 2) words[word - 3] ^= noise;
        if (picked.part == part && word == 0) return;
        bytes memory call = abi.encodeCall(IDisputeGame.dissect, (turn.id, turn.game, picked, words));
        is_(turn, call, IDisputeGame.StateMismatch.selector);
    }

    function test_partsThatDoNotExist() public {
        Turn memory turn = open(2);
        uint256[5] memory parts = [uint256(0), 3, 1 << 16 | 1, 1 << 128 | 1, type(uint256).max];
        for (uint256 i = 0; i < parts.length; i++) {
            Pick memory picked = Toy.pick(turn, 1);
            picked.part = parts[i];
            bytes32[] memory words = Toy.pairSiblings(turn, 1);
            bytes memory call = abi.encodeCall(IDisputeGame.dissect, (turn.id, turn.game, picked, words));
            is_(turn, call, IDisputeGame.Part.selector);
        }
    }

    // ---- Words

    /// The mover makes this call, which must have this error, or none if it is zero.
    function is_(Turn memory turn, bytes memory call, bytes4 refusal) private {
        vm.prank(Toy.mover(turn));
        (bool made, bytes memory reason) = address(disputes).call(call);
        check(made == (refusal == 0), made ? "accepted" : "refused");
        check(made || (reason.length == 4 && bytes4(reason) == refusal), "another error");
    }

    /// A list with one word more, and one with one word less.
    function longer(bytes32[] memory words) private pure returns (bytes32[] memory) {
        return Naive.concat(words, new bytes32[](1));
    }

    function shorter(bytes32[] memory words) private pure returns (bytes32[] memory cut) {
        cut = new bytes32[](words.length - 1);
        for (uint256 i = 0; i < cut.length; i++) {
            cut[i] = words[i];
        }
    }

    function open(bytes32[] memory words, bytes32 inputs, bytes32 asserted, bytes4 refusal) private {
        Model memory model = Toy.model(Toy.plain());
        if (refusal != 0) refuse(refusal);
        disputes.challenge(ASSERTER, 3, CLOCK, model, 0, inputs, asserted, words);
    }

    /// The first move: every number of words but one, and every altered word.
    function test_theWordsOfAChallenge() public {
        Run memory made = run(0);
        bytes32[] memory words = Toy.opening(made, 3);
        bytes32 inputs = Toy.commitment(made);
        // Inputs and their siblings; outputs and theirs; the claims.
        check(words.length == 9 + 9 + 3, "other words");
        for (uint256 count = 0; count < 25; count++) {
            if (count == words.length) continue;
            bytes32[] memory others = new bytes32[](count);
            for (uint256 i = 0; i < count && i < words.length; i++) {
                others[i] = words[i];
            }
            if (count > words.length) others[count - 1] = words[words.length - 1];
            open(others, inputs, 0, IDisputeGame.Count.selector);
        }
        for (uint256 i = 0; i < words.length; i++) {
            words[i] ^= bytes32(uint256(1));
            // The claims in the middle can be any.
            bytes4 refusal = IDisputeGame.Proof.selector;
            if (i < 2) refusal = IDisputeGame.Inputs.selector;
            if (i == 18 || i == 19) refusal = 0;
            open(words, inputs, 0, refusal);
            words[i] ^= bytes32(uint256(1));
        }
        open(words, inputs ^ bytes32(uint256(1)), 0, IDisputeGame.Inputs.selector);
        open(words, inputs, Toy.result(made), IDisputeGame.Agrees.selector);
        open(words, inputs, Toy.VOID, 0);
    }

    /// If the last claim is void, there are no words about outputs.
    function test_theWordsOfAVoidChallenge() public {
        Run memory made = run(0);
        made.voidFrom = 3;
        bytes32[] memory words = Toy.opening(made, 3);
        bytes32 inputs = Toy.commitment(made);
        check(words.length == 9 + 3, "other words");
        open(words, inputs, Toy.VOID, IDisputeGame.Agrees.selector);
        open(words, inputs, 0, 0);
        words[10] = Toy.VOID;
        open(words, inputs, 0, 0);
        bytes32[] memory cut = shorter(words);
        cut[10] = Toy.VOID;
        open(cut, inputs, 0, IDisputeGame.Count.selector);
        bytes32[] memory more = longer(words);
        more[12] = Toy.VOID;
        open(more, inputs, 0, IDisputeGame.Count.selector);
        // The outputs of the true run, though its memory is gone.
        more = Toy.opening(run(0), 3);
        more[20] = Toy.VOID;
        open(more, inputs, 0, IDisputeGame.Count.selector);
    }

    /// Two errors at once: the first one counts.
    function test_theOrderOfAChallengesErrors() public {
        Run memory made = run(0);
        bytes32[] memory words = Toy.opening(made, 3);
        bytes32 inputs = Toy.commitment(made);
        bytes32 result = Toy.result(made);
        words[2] ^= bytes32(uint256(1));
        open(longer(words), 0, result, IDisputeGame.Count.selector);
        open(words, 0, result, IDisputeGame.Proof.selector);
        words[2] ^= bytes32(uint256(1));
        words[12] ^= bytes32(uint256(1));
        open(words, 0, result, IDisputeGame.Inputs.selector);
        open(words, inputs, result, IDisputeGame.Proof.selector);
    }

    function test_theWordsOfADissection() public {
        Turn memory turn = open(run(3), run(0), 0, 2, CLOCK);
        Run memory liar = run(3);
        bytes32[] memory path = Toy.pairSiblings(turn, 1);
        bytes32[] memory words = Naive.concat(path, Toy.claims(liar, 2, false, 0, 0, 2));
        check(path.length == 1 && words.length == 3, "other words");
        is_(turn, dissection(turn, longer(words)), IDisputeGame.Count.selector);
        is_(turn, dissection(turn, shorter(words)), IDisputeGame.Count.selector);
        is_(turn, dissection(turn, path), IDisputeGame.Count.selector);
        // Without its sibling the first claim is read in its place; it belongs to another root.
        is_(turn, dissection(turn, Naive.slice(words, 1)), IDisputeGame.StateMismatch.selector);
        is_(turn, dissection(turn, new bytes32[](0)), IDisputeGame.StateMismatch.selector);
        words[2] = turn.claims[0];
        is_(turn, dissection(turn, longer(words)), IDisputeGame.Count.selector);
        is_(turn, dissection(turn, words), IDisputeGame.Agrees.selector);
        words[2] = 0;
        is_(turn, dissection(turn, words), 0);
    }

    function dissection(Turn memory turn, bytes32[] memory words) private pure returns (bytes memory) {
        return abi.encodeCall(IDisputeGame.dissect, (turn.id, turn.game, Toy.pick(turn, 1), words));
    }

    function test_onlyPartsOfMoreThanOneUnitAreDissected() public {
        Turn memory turn = open(run(3), run(0), 0, 4, CLOCK);
        // Whatever the words after the siblings are.
        is_(turn, dissection(turn, Toy.pairSiblings(turn, 1)), IDisputeGame.Units.selector);
        check(move(disputes, turn, run(3), 4), "no move");
        is_(turn, dissection(turn, Toy.pairSiblings(turn, 1)), IDisputeGame.Units.selector);
    }

    /// What the move into a big step brings.
    struct Entering {
        Turn turn;
        Program program;
        uint256 leaf;
        bytes end;
        bytes32[] path;
        bytes32[] words;
    }

    /// A liar that enters the first big step of a game with an arity of four.
    function entering(Run memory liar) private returns (Entering memory to) {
        to.turn = open(liar, run(0), 0, 4, CLOCK);
        to.program = Toy.program(liar.plan);
        to.path = Toy.pairSiblings(to.turn, 1);
        (to.leaf, to.end, to.words) = Toy.entry(liar, 0, 4);
    }

    function enters(Entering memory to, bytes32[] memory words, bytes4 refusal) private {
        Pick memory picked = Toy.pick(to.turn, 1);
        words = Naive.concat(to.path, words);
        bytes memory call = abi.encodeCall(
            IDisputeGame.enter, (to.turn.id, to.turn.game, picked, to.program, to.leaf, to.end, words)
        );
        is_(to.turn, call, refusal);
    }

    function enters(Entering memory to, bytes4 refusal) private {
        enters(to, to.words, refusal);
    }

    function test_theWordsOfAnEntry() public {
        Entering memory to = entering(run(3));
        // Two siblings in the schedule; scratch memory and its siblings; the claims.
        check(to.words.length == 2 + 8 + 4, "other words");
        enters(to, longer(to.words), IDisputeGame.Count.selector);
        enters(to, shorter(to.words), IDisputeGame.Count.selector);
        enters(to, new bytes32[](0), IDisputeGame.Count.selector);
        for (uint256 i = 0; i < to.words.length; i++) {
            if (i >= 10 && i < 13) continue;
            to.words[i] ^= bytes32(uint256(1));
            enters(to, i < 2 ? IDisputeGame.Proof.selector : IDisputeGame.EndState.selector);
            to.words[i] ^= bytes32(uint256(1));
        }
        for (uint256 i = 0; i < to.end.length; i++) {
            to.end[i] ^= 0x80;
            // With another status there is another number of words.
            bytes4 refusal = i == 32 ? IDisputeGame.Count.selector : IDisputeGame.EndState.selector;
            enters(to, refusal);
            to.end[i] ^= 0x80;
        }
        enters(to, 0);
    }

    /// The last claim is the hash of what is no end state, because it has no status.
    function test_anEndStateHasAStatus() public {
        Entering memory to = entering(run(3));
        bytes memory end = to.end;
        // The list may be anything that a step could end with; without it there are 33 bytes.
        for (uint256 size = 0; size < 40; size++) {
            to.end = new bytes(size);
            bytes32[] memory words = new bytes32[](2 + 1 + 4);
            (words[0], words[1], words[2]) = (to.words[0], to.words[1], "memory");
            words[6] = keccak256(abi.encodePacked(Toy.CODE_ROOT, words[2], to.end));
            // Whoever doesn't exit ends void, which is not what the claim says.
            to.turn = open(run(3), run(0), 0, 4, CLOCK);
            enters(to, words, size < 33 ? IDisputeGame.EndState.selector : bytes4(0));
        }
        (to.turn, to.end) = (open(run(3), run(0), 0, 4, CLOCK), end);
        enters(to, 0);
    }

    /// The end state has the program's code root, whatever the mover claims.
    function test_anEndStateHasTheProgramsCode() public {
        Entering memory to = entering(run(3));
        bytes32 memoryRoot = Naive.node(to.words[9], 0);
        to.words[13] = keccak256(abi.encodePacked(bytes32("other code"), memoryRoot, to.end));
        enters(to, IDisputeGame.EndState.selector);
    }

    /// An end that did not exit: the word is the root of its memory, and the big step ends void.
    function test_theWordsOfAVoidEntry() public {
        Plan memory plan = Toy.plain();
        plan.short = 0;
        Run memory honest = Toy.run(plan, 0, bytes32(uint256(7)), 0);
        Run memory liar = Toy.run(plan, 0, bytes32(uint256(7)), 0);
        liar.voidFrom = Toy.NONE;
        Entering memory to;
        to.turn = open(honest, liar, 0, 4, CLOCK);
        (to.program, to.path) = (Toy.program(plan), Toy.pairSiblings(to.turn, 1));
        (to.leaf, to.end, to.words) = Toy.entry(honest, 0, 4);
        check(to.words.length == 2 + 1 + 3 && to.end[32] == 0, "other words");
        enters(to, longer(to.words), IDisputeGame.Count.selector);
        enters(to, shorter(to.words), IDisputeGame.Count.selector);
        to.words[2] ^= bytes32(uint256(1));
        enters(to, IDisputeGame.EndState.selector);
        to.words[2] ^= bytes32(uint256(1));
        enters(to, 0);
        // Where the opponent says void as well, there is nothing to reject.
        to.turn = open(liar, honest, 0, 4, CLOCK);
        to.path = Toy.pairSiblings(to.turn, 1);
        enters(to, IDisputeGame.Agrees.selector);
    }

    function test_theLeafOfAnEntry() public {
        Entering memory to = entering(run(3));
        uint256 leaf = to.leaf;
        for (uint256 bit = 0; bit < 256; bit++) {
            to.leaf = leaf ^ (1 << bit);
            // With a bound of no or one step there are fewer claims; of less than four likewise.
            uint256 bound = uint64(to.leaf);
            enters(to, bound < 4 ? IDisputeGame.Count.selector : IDisputeGame.Proof.selector);
        }
        to.leaf = leaf;
        enters(to, 0);
    }

    function test_theOrderOfAnEntrysErrors() public {
        Entering memory to = entering(run(3));
        bytes32[] memory good = to.words;
        to.program.codeRoot = 0;
        enters(to, longer(good), IDisputeGame.StateMismatch.selector);
        to.program.codeRoot = Toy.CODE_ROOT;
        to.words = longer(good);
        to.leaf |= 1 << 128;
        enters(to, IDisputeGame.Count.selector);
        to.words = good;
        to.end[0] ^= 0x01;
        enters(to, IDisputeGame.Proof.selector);
        to.leaf &= type(uint128).max;
        enters(to, IDisputeGame.EndState.selector);
        to.end[0] ^= 0x01;
        // The truth ends where the opponent says.
        (to.leaf, to.end, to.words) = Toy.entry(run(0), 0, 4);
        enters(to, IDisputeGame.Agrees.selector);
        // In the steps nobody enters; a part of two big steps is not one.
        (to.leaf, to.end, to.words) = Toy.entry(run(3), 0, 4);
        Turn memory wide = open(run(3), run(0), 0, 2, CLOCK);
        Turn memory narrow = to.turn;
        (to.turn, to.path) = (wide, Toy.pairSiblings(wide, 1));
        enters(to, new bytes32[](0), IDisputeGame.Units.selector);
        check(move(disputes, narrow, run(3), 4), "no move");
        (to.turn, to.path) = (narrow, Toy.pairSiblings(narrow, 1));
        enters(to, new bytes32[](0), IDisputeGame.Level.selector);
    }

    function test_theWordsOfVoid() public {
        Plan memory plan = Toy.plain();
        plan.short = 0;
        Run memory liar = Toy.run(plan, 0, 0, 0);
        liar.backFrom = 3;
        Turn memory turn = open(Toy.run(plan, 0, 0, 0), liar, 0, 4, CLOCK);
        bytes32[] memory path = Toy.pairSiblings(turn, 3);
        Pick memory picked = Toy.pick(turn, 3);
        check(picked.agreed == Toy.VOID && picked.rejected != Toy.VOID && path.length == 2, "another pick");
        bytes4 count = IDisputeGame.Count.selector;
        bytes4 mismatch = IDisputeGame.StateMismatch.selector;
        is_(turn, abi.encodeCall(IDisputeGame.proveVoid, (turn.id, turn.game, picked, longer(path))), count);
        path[1] ^= bytes32(uint256(1));
        is_(turn, abi.encodeCall(IDisputeGame.proveVoid, (turn.id, turn.game, picked, path)), mismatch);
        path[1] ^= bytes32(uint256(1));
        is_(turn, abi.encodeCall(IDisputeGame.proveVoid, (turn.id, turn.game, picked, path)), 0);
        check(uint256(disputes.games(turn.id)) == 1, "void isn't proven");
    }

    // ---- Proofs of several steps

    /// A game at the steps of a big step, with an arity of two: the claims are after two steps and after
    /// four.
    function atTheSteps(Run memory asserters, Run memory challengers) private returns (Turn memory turn) {
        turn = open(asserters, challengers, 0, 2, CLOCK);
        check(move(disputes, turn, asserters, 2) && move(disputes, turn, challengers, 2), "no move");
        Position memory here = Toy.position(turn.game);
        check(here.inSteps && here.asserterMoves && here.place == 0 && here.hi == 4, "not at the steps");
    }

    function proof(Turn memory turn, uint256 part, bytes[] memory witnesses)
        private
        pure
        returns (bytes memory)
    {
        bytes32[] memory path = Toy.pairSiblings(turn, part);
        return abi.encodeCall(IDisputeGame.prove, (turn.id, turn.game, Toy.pick(turn, part), path, witnesses));
    }

    /// The truth is proven two steps at a time, wherever the lie is.
    function test_twoStepsAtOnce() public {
        for (uint256 lieAt = 1; lieAt <= 4; lieAt++) {
            // The challenger lies; the asserter refutes the part in which it does.
            Turn memory turn = atTheSteps(run(0), run(lieAt));
            uint256 part = lieAt <= 2 ? 1 : 2;
            bytes[] memory witnesses = Toy.witnesses(run(0), 0, 2 * part - 2, 2 * part);
            check(witnesses.length == 2, "not two");
            is_(turn, proof(turn, part, witnesses), 0);
            check(uint256(disputes.games(turn.id)) == 1, "not won");
        }
    }

    /// One witness for each step: any other number is refused before anything is executed.
    function test_oneWitnessForEachStep() public {
        Turn memory turn = atTheSteps(run(0), run(3));
        for (uint256 count = 0; count < 5; count++) {
            if (count == 2) continue;
            bytes[] memory some = new bytes[](count);
            for (uint256 i = 0; i < count; i++) {
                some[i] = Toy.witness(run(0), 0, i < 2 ? 2 + i : 3);
            }
            is_(turn, proof(turn, 2, some), IDisputeGame.Count.selector);
        }
        bytes[] memory witnesses = Toy.witnesses(run(0), 0, 2, 4);
        bytes32[] memory path = longer(Toy.pairSiblings(turn, 2));
        bytes memory call =
            abi.encodeCall(IDisputeGame.prove, (turn.id, turn.game, Toy.pick(turn, 2), path, witnesses));
        is_(turn, call, IDisputeGame.Count.selector);
        is_(turn, proof(turn, 2, witnesses), 0);
    }

    /// Each witness is of its step: whatever byte of whichever is altered, none is taken in another's place,
    /// and none from another run.
    function test_everyWitnessCounts() public {
        Turn memory turn = atTheSteps(run(0), run(3));
        bytes[] memory witnesses = Toy.witnesses(run(0), 0, 2, 4);
        bytes4 refusal = IDisputeGame.Witness.selector;
        for (uint256 i = 0; i < 2; i++) {
            for (uint256 place = 0; place < witnesses[i].length; place += 5) {
                witnesses[i][place] ^= 0x01;
                is_(turn, proof(turn, 2, witnesses), refusal);
                witnesses[i][place] ^= 0x01;
            }
            bytes memory kept = witnesses[i];
            witnesses[i] = witnesses[1 - i];
            is_(turn, proof(turn, 2, witnesses), refusal);
            witnesses[i] = "";
            is_(turn, proof(turn, 2, witnesses), refusal);
            witnesses[i] = kept;
        }
        (witnesses[0], witnesses[1]) = (witnesses[1], witnesses[0]);
        is_(turn, proof(turn, 2, witnesses), refusal);
        // The liar's own steps: the first starts where both agree, the second where only it is.
        witnesses = Toy.witnesses(run(3), 0, 2, 4);
        is_(turn, proof(turn, 2, witnesses), refusal);
        // Where nobody lies there is nothing to prove.
        is_(turn, proof(turn, 1, Toy.witnesses(run(0), 0, 0, 2)), IDisputeGame.Agrees.selector);
        check(disputes.games(turn.id) != bytes32(uint256(1)), "won");
    }

    function test_bigStepsAreNotProven() public {
        Turn memory turn = open(run(0), run(3), 0, 4, CLOCK);
        is_(turn, proof(turn, 1, Toy.witnesses(run(0), 0, 0, 1)), IDisputeGame.Level.selector);
    }

    // ---- Clocks

    function testFuzz_aClockEndsToTheSecond(uint16 first, uint64 second) public {
        Turn memory turn = open(2);
        uint256 used = first % (CLOCK + 1);
        vm.warp(block.timestamp + used);
        check(move(disputes, turn, run(3), 2), "in time");
        Position memory here = Toy.position(turn.game);
        check(here.asserterClock == CLOCK - used && here.challengerClock == CLOCK, "clocks");
        check(here.since == block.timestamp && !here.asserterMoves, "since");
        // Also after so long that it does not fit the clock's type.
        uint256 late = second % 2 == 0 ? second % (2 * uint256(CLOCK)) : second % (1 << 40);
        vm.warp(block.timestamp + late);
        bytes memory call = Toy.reply(run(0), turn, 2);
        vm.prank(CHALLENGER);
        (bool made, bytes memory reason) = address(disputes).call(call);
        check(made == (late <= CLOCK), "to the second");
        if (made) return;
        check(bytes4(reason) == IDisputeGame.Late.selector, "another reason");
        disputes.timeout(turn.id, turn.game, Toy.claimsRoot(turn));
        check(uint256(disputes.games(turn.id)) == 1, "the side that ran out of time loses");
    }

    /// The largest clock, and one of zero seconds.
    function test_clocksAtTheirEnds() public {
        uint32 most_ = type(uint32).max;
        Turn memory turn = open(run(3), run(0), 0, 2, most_);
        Turn memory quick = open(run(3), run(0), 0, 2, 0);
        bytes32 claims = Toy.claimsRoot(quick);
        refuse(IDisputeGame.Early.selector);
        disputes.timeout(quick.id, quick.game, claims);
        check(move(disputes, quick, run(3), 2), "a move in the same second");
        vm.warp(block.timestamp + 1);
        disputes.timeout(quick.id, quick.game, Toy.claimsRoot(quick));
        check(uint256(disputes.games(quick.id)) == 1, "the challenger ran out of time");

        vm.warp(block.timestamp - 1 + most_);
        claims = Toy.claimsRoot(turn);
        refuse(IDisputeGame.Early.selector);
        disputes.timeout(turn.id, turn.game, claims);
        check(move(disputes, turn, run(3), 2), "the last second is in time");
        Position memory here = Toy.position(turn.game);
        check(here.asserterClock == 0 && here.challengerClock == most_, "clocks");
        vm.warp(block.timestamp + uint256(most_) + 1);
        check(!move(disputes, turn, run(0), 2), "too late");
        disputes.timeout(turn.id, turn.game, Toy.claimsRoot(turn));
        check(uint256(disputes.games(turn.id)) == 1, "the challenger ran out of time");
    }

    /// A clock is charged only to the side that moves.
    function test_eachSideHasItsOwnClock() public {
        Turn memory turn = open(2);
        uint256[2] memory left = [uint256(CLOCK), CLOCK];
        for (uint256 i = 0; i < 3; i++) {
            vm.warp(block.timestamp + 100 + i);
            check(move(disputes, turn, i % 2 == 0 ? run(3) : run(0), 2), "no move");
            left[i % 2] -= 100 + i;
            Position memory here = Toy.position(turn.game);
            check(here.asserterClock == left[0] && here.challengerClock == left[1], "clocks");
        }
    }
}
