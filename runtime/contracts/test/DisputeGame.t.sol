// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.24;

import {Game, IDisputeGame, Model} from "../src/Interfaces.sol";
import {OpenDisputes} from "../src/OpenDisputes.sol";
import {Run, Toy, ToyVerifier} from "./Toy.sol";
import {Vm, vm} from "./Vm.sol";

/// @dev Whole games about runs of the toy machine. That the contract makes the transitions of the game in Rust, errors
/// and their order included, is tested from Rust (`tests/tests/contracts.rs`).
contract DisputeGameTest {
    address private constant ASSERTER = address(0x1002);
    address private constant CHALLENGER = address(0x1003);
    uint32 private constant CLOCK = 500;

    OpenDisputes private disputes;
    Model private model;

    function setUp() public {
        vm.warp(1_700_000_000);
        disputes = new OpenDisputes();
        model = Toy.model(address(new ToyVerifier(Toy.MEMORY_BITS, 0, 0)));
    }

    function moved() private returns (Game memory game, bytes32[] memory claims) {
        Vm.Log[] memory logs = vm.getRecordedLogs();
        return abi.decode(logs[logs.length - 1].data, (Game, bytes32[]));
    }

    function open(Run memory asserters, Run memory challengers, uint16 arity)
        private
        returns (uint256 id, Game memory game, bytes32[] memory claims)
    {
        vm.recordLogs();
        vm.prank(CHALLENGER);
        id = disputes.challenge(
            ASSERTER,
            arity,
            CLOCK,
            model,
            challengers.inputRoot,
            Toy.outputRoot(asserters),
            Toy.opening(challengers, arity)
        );
        (game, claims) = moved();
    }

    /// The reply of whoever is to move; false if it has none, or the contract refuses it.
    function move(
        uint256 id,
        Game memory game,
        bytes32[] memory claims,
        Run memory asserters,
        Run memory challengers
    ) private returns (bool made) {
        bytes memory call = Toy.reply(game.asserterMoves ? asserters : challengers, id, game, model, claims);
        vm.recordLogs();
        vm.prank(game.asserterMoves ? game.asserter : game.challenger);
        (made,) = address(disputes).call(call);
    }

    /// Whatever the lie, the arity and the side that lies: the honest side wins, by proof or because the liar has
    /// nothing left to say, within four moves at each level and the challenge.
    function testFuzz_theHonestSideWins(bytes32 input, uint8 step, uint16 arity, bool asserterLies) public {
        arity = 2 + arity % 255;
        (Run memory honest, Run memory liar) = (Toy.run(input, 0), Toy.run(input, 1 + step % 16));
        (Run memory asserters, Run memory challengers) = asserterLies ? (liar, honest) : (honest, liar);
        (uint256 id, Game memory game, bytes32[] memory claims) = open(asserters, challengers, arity);
        uint256 moves = 1;
        while (uint256(disputes.games(id)) > 3) {
            if (move(id, game, claims, asserters, challengers)) {
                moves += 1;
                if (uint256(disputes.games(id)) > 3) (game, claims) = moved();
            } else {
                require(game.asserterMoves == asserterLies, "the honest side has no move");
                vm.warp(block.timestamp + CLOCK + 1);
                disputes.timeout(id, game);
            }
        }
        require(uint256(disputes.games(id)) == (asserterLies ? 2 : 1), "the liar wins");
        require(moves <= 1 + 2 + 2, "too many moves");
    }

    /// Of the state only the hash is stored: any other state is refused, whatever bit is changed.
    function testFuzz_anotherStateIsRefused(uint256 word, uint8 bit) public {
        (uint256 id, Game memory game,) = open(Toy.run(0, 3), Toy.run(0, 0), 2);
        vm.warp(block.timestamp + CLOCK + 1);
        bytes memory call = abi.encodeCall(IDisputeGame.timeout, (id, game));
        // The state is the 14 words behind selector and id.
        uint256 place = 4 + 32 + 32 * (word % 14) + 31 - bit / 8;
        call[place] ^= bytes1(uint8(1 << (bit % 8)));
        (bool made, bytes memory reason) = address(disputes).call(call);
        // Bits that its type hasn't are refused by the decoder, without a word.
        require(
            !made && (reason.length == 0 || bytes4(reason) == IDisputeGame.StateMismatch.selector), "accepted"
        );
        disputes.timeout(id, game);
    }

    function testFuzz_aClockEndsToTheSecond(uint16 first, uint64 second) public {
        (Run memory honest, Run memory liar) = (Toy.run(0, 0), Toy.run(0, 3));
        (uint256 id, Game memory game, bytes32[] memory claims) = open(liar, honest, 2);
        uint256 used = first % (CLOCK + 1);
        vm.warp(block.timestamp + used);
        require(move(id, game, claims, liar, honest), "in time");
        (game, claims) = moved();
        require(game.asserterClock == CLOCK - used && game.challengerClock == CLOCK, "clocks");
        // Also after so long that it doesn't fit the clock's type.
        uint256 late = second % 2 == 0 ? second % (2 * uint256(CLOCK)) : second % (1 << 40);
        vm.warp(block.timestamp + late);
        bytes memory call = Toy.reply(honest, id, game, model, claims);
        vm.prank(CHALLENGER);
        (bool made, bytes memory reason) = address(disputes).call(call);
        require(made == (late <= CLOCK), "to the second");
        if (made) return;
        require(bytes4(reason) == IDisputeGame.Late.selector, "another reason");
        disputes.timeout(id, game);
        require(uint256(disputes.games(id)) == 1, "the side that ran out of time loses");
    }
}
