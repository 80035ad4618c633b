// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.24;

import {BigStepEntry, IDisputeGame, Model, Opening, Pick, Program} from "../src/Interfaces.sol";
import {OpenDisputes} from "../src/OpenDisputes.sol";
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
        Opening memory opening = Toy.opening(challengers, arity);
        Model memory model = Toy.model(challengers.plan);
        bytes32 asserted = Toy.outputRoot(asserters);
        vm.recordLogs();
        vm.prank(CHALLENGER);
        turn.id = disputes.challenge(
            ASSERTER, arity, clock, model, repetitions, challengers.inputRoot, asserted, opening
        );
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
            Opening memory opening = Toy.opening(three, 256);
            refuse(IDisputeGame.InvalidModel.selector);
            disputes.challenge(ASSERTER, 256, CLOCK, model, bad[i], 0, 0, opening);
        }
        // As many claims as big steps: other repetitions need another number of them.
        Model memory model_ = Toy.model(Toy.periodic());
        Opening memory opening_ = Toy.opening(three, 256);
        refuse(IDisputeGame.Count.selector);
        disputes.challenge(ASSERTER, 256, CLOCK, model_, 2, 0, 0, opening_);
    }

    // ---- Void

    /// A big step that exceeds its bound is void, and so is everything after it.
    function test_aRunThatExceedsItsBoundIsVoid() public {
        Plan memory plan = Toy.periodic();
        for (plan.short = 0; plan.short < 4; plan.short++) {
            Run memory honest = Toy.run(plan, 3, 0, 0);
            check(Toy.outputRoot(honest) == Toy.VOID, "not void");
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
        vm.prank(ASSERTER);
        refuse(IDisputeGame.Void.selector);
        disputes.proveVoid(turn.id, turn.game, picked);
        // Void follows void.
        Plan memory plan = Toy.plain();
        plan.short = 0;
        Run memory honest = Toy.run(plan, 0, 0, 0);
        Run memory liar = Toy.run(plan, 0, 0, 0);
        liar.voidFrom = Toy.NONE;
        turn = open(liar, honest, 0, 4, CLOCK);
        picked = Toy.pick(turn, 3);
        vm.prank(ASSERTER);
        refuse(IDisputeGame.Agrees.selector);
        disputes.proveVoid(turn.id, turn.game, picked);
        // Nor can anyone enter a big step that starts void.
        BigStepEntry memory into = Toy.entry(liar, 2, 4);
        Program memory program = Toy.program(plan);
        vm.prank(ASSERTER);
        refuse(IDisputeGame.Void.selector);
        disputes.enter(turn.id, turn.game, program, picked, into);
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
        bytes memory call = Toy.reply(Toy.run(plan, 5, 0, 1 + 4 * (part % 12)), turn, arity);
        // Whatever part is first: spoil one word of the pick.
        if (noise == 0) noise = keccak256("noise");
        (bool found, uint256 place) = placeOfPick(call);
        check(found, "no pick");
        // The words of a pick: part, agreed, rejected, offset, length, siblings.
        uint256 siblings = uint256(wordAt(call, place + 128));
        uint256 word = what % (3 + siblings);
        if (word == 0) {
            // Another part of the same claims.
            uint256 given = uint256(wordAt(call, place));
            uint256 other = 1 + (given + uint256(noise) % (count - 1)) % count;
            if (other == given) return;
            setWord(call, place, bytes32(other));
        } else {
            uint256 changed = place + (word < 3 ? 32 * word : 160 + 32 * (word - 3));
            setWord(call, changed, wordAt(call, changed) ^ noise);
        }
        vm.prank(ASSERTER);
        (bool made, bytes memory reason) = address(disputes).call(call);
        check(!made && bytes4(reason) == IDisputeGame.StateMismatch.selector, "accepted");
    }

    /// Where a reply's pick begins: its offset is in the word after the game, or one later if a program comes
    /// first.
    function placeOfPick(bytes memory call) private pure returns (bool, uint256) {
        bytes4 selector = bytes4(call);
        if (selector == IDisputeGame.dissect.selector) return (true, 4 + uint256(wordAt(call, 4 + 96)));
        if (selector == IDisputeGame.enter.selector) {
            return (true, 4 + uint256(wordAt(call, 4 + 96 + 128)));
        }
        return (false, 0);
    }

    function wordAt(bytes memory data, uint256 place) private pure returns (bytes32 word) {
        assembly ("memory-safe") {
            word := mload(add(add(data, 32), place))
        }
    }

    function setWord(bytes memory data, uint256 place, bytes32 word) private pure {
        assembly ("memory-safe") {
            mstore(add(add(data, 32), place), word)
        }
    }

    function test_partsThatDoNotExist() public {
        Turn memory turn = open(2);
        uint16[3] memory parts = [0, 3, type(uint16).max];
        for (uint256 i = 0; i < parts.length; i++) {
            bytes memory call = Toy.reply(run(3), turn, 2);
            (, uint256 place) = placeOfPick(call);
            setWord(call, place, bytes32(uint256(parts[i])));
            vm.prank(ASSERTER);
            (bool made, bytes memory reason) = address(disputes).call(call);
            check(!made && bytes4(reason) == IDisputeGame.Part.selector, "accepted");
        }
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
