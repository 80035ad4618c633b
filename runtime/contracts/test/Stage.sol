// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.24;

import {InferenceService} from "../src/InferenceService.sol";
import {
    Answer,
    Game,
    IDisputeGame,
    Listing,
    Machine,
    Model,
    Opening,
    Request,
    Standing,
    Terms
} from "../src/Interfaces.sol";
import {ModelRegistry} from "../src/ModelRegistry.sol";
import {Naive} from "./Naive.sol";
import {Run, Toy, ToyVerifier} from "./Toy.sol";
import {Vm, vm} from "./Vm.sol";

/// @title A registry with the toy model, a service, people with money, and shorthands for what they do.
abstract contract Stage {
    uint32 internal constant WINDOW = 1000;
    uint32 internal constant CLOCK = 500;
    uint16 internal constant ARITY = 2;
    uint96 internal constant ASSERTER_BOND = 10 ether;
    uint96 internal constant CHALLENGER_BOND = 3 ether;
    uint96 internal constant BURNED = 4 ether;
    uint96 internal constant LICENCE_FEE = 0.2 ether;
    uint96 internal constant FEE = 1 ether;
    uint256 internal constant INPUT_BYTES = 40;

    address internal constant REQUESTER = address(0x1001);
    address internal constant ASSERTER = address(0x1002);
    address internal constant CHALLENGER = address(0x1003);
    address internal constant OTHER = address(0x1004);
    address internal constant LICENSOR = address(0x1005);

    ModelRegistry internal registry;
    InferenceService internal service;
    Model internal model;
    bytes32 internal listing;

    /// A request with all that its answer needs.
    struct Asked {
        uint256 id;
        Request request;
        bytes callbackData;
    }

    function setUp() public virtual {
        vm.warp(1_700_000_000);
        registry = new ModelRegistry(keccak256(type(ToyVerifier).creationCode), keccak256("no other machine"));
        address verifier = registry.deployVerifier(machine(), type(ToyVerifier).creationCode);
        model = Toy.model(verifier);
        listing = registry.register(offer(), machine());
        service = new InferenceService(registry, terms());
        address[5] memory people = [REQUESTER, ASSERTER, CHALLENGER, OTHER, LICENSOR];
        for (uint256 i = 0; i < people.length; i++) {
            vm.deal(people[i], 1000 ether);
        }
    }

    function machine() internal pure returns (Machine memory) {
        return Machine({floats: false, memoryBits: Toy.MEMORY_BITS, codeBase: 0x1000, codeSize: 64});
    }

    function offer() internal view returns (Listing memory) {
        return Listing({
            model: model,
            inputBytes: uint64(INPUT_BYTES),
            outputBytes: 32,
            licensor: LICENSOR,
            licenceFee: LICENCE_FEE,
            licence: keccak256("free as in beer")
        });
    }

    function terms() internal pure returns (Terms memory) {
        return Terms({
            window: WINDOW,
            clock: CLOCK,
            arity: ARITY,
            asserterBond: ASSERTER_BOND,
            challengerBond: CHALLENGER_BOND,
            burned: BURNED
        });
    }

    // ---- Requests

    function someInput() internal pure returns (bytes memory input) {
        input = new bytes(INPUT_BYTES);
        for (uint256 i = 0; i < input.length; i++) {
            input[i] = bytes1(uint8(7 * i + 1));
        }
    }

    /// What the contract must make of a request, worked out here.
    function expected(
        address requester,
        bytes memory input,
        address callback,
        uint64 callbackGas,
        bytes memory data
    ) internal view returns (Request memory) {
        return Request({
            model: keccak256(abi.encode(model)),
            inputRoot: Naive.memoryRoot(input, 1),
            requester: requester,
            fee: FEE,
            licensor: LICENSOR,
            licenceFee: LICENCE_FEE,
            callback: callback,
            callbackGas: callbackGas,
            created: uint64(block.timestamp),
            outputBytes: 32,
            outputLevel: 1,
            callbackData: keccak256(data)
        });
    }

    function ask(address callback, uint64 callbackGas, bytes memory data)
        internal
        returns (Asked memory asked)
    {
        asked.request = expected(REQUESTER, someInput(), callback, callbackGas, data);
        asked.callbackData = data;
        vm.prank(REQUESTER);
        asked.id = service.requestCallback{value: FEE + LICENCE_FEE}(
            listing, someInput(), callback, callbackGas, data
        );
    }

    function ask() internal returns (Asked memory) {
        return ask(address(0), 0, "");
    }

    // ---- Answers

    function truth(Asked memory asked) internal pure returns (Run memory) {
        return Toy.run(asked.request.inputRoot, 0);
    }

    function lie(Asked memory asked, uint256 step) internal pure returns (Run memory) {
        return Toy.run(asked.request.inputRoot, step);
    }

    function answer(Asked memory asked, Run memory made) internal {
        vm.prank(ASSERTER);
        service.answer{value: ASSERTER_BOND}(asked.id, asked.request, Toy.output(made));
    }

    function settle(Asked memory asked, Run memory made) internal {
        service.settle(asked.id, asked.request, Toy.output(made), asked.callbackData);
    }

    function standing(Asked memory asked) internal view returns (Standing) {
        return service.provisionalAnswer(asked.id).standing;
    }

    // ---- Games

    function challenge(address challenger, Asked memory asked, Run memory made)
        internal
        returns (uint256 id, Game memory game, bytes32[] memory claims)
    {
        bytes32 asserted = service.provisionalAnswer(asked.id).outputRoot;
        Opening memory opening = Toy.opening(made, ARITY);
        vm.recordLogs();
        vm.prank(challenger);
        id = service.challenge{value: CHALLENGER_BOND}(asked.id, asked.request, model, asserted, opening);
        (game, claims) = moved();
    }

    /// The game as the last event has it.
    function moved() internal returns (Game memory game, bytes32[] memory claims) {
        Vm.Log[] memory logs = vm.getRecordedLogs();
        return abi.decode(logs[logs.length - 1].data, (Game, bytes32[]));
    }

    /// Both reply as their runs have it, until one wins; who has nothing to say loses by time.
    function playOut(
        uint256 id,
        Game memory game,
        bytes32[] memory claims,
        Run memory asserters,
        Run memory challengers
    ) internal returns (bool asserterWon) {
        while (uint256(service.games(id)) > 3) {
            address mover = game.asserterMoves ? game.asserter : game.challenger;
            bytes memory call =
                Toy.reply(game.asserterMoves ? asserters : challengers, id, game, model, claims);
            vm.recordLogs();
            vm.prank(mover);
            (bool made,) = address(service).call(call);
            if (!made) {
                vm.warp(block.timestamp + CLOCK + 1);
                service.timeout(id, game);
            } else if (uint256(service.games(id)) > 3) {
                (game, claims) = moved();
            }
        }
        return uint256(service.games(id)) == 1;
    }

    function check(bool holds, string memory what) internal pure {
        require(holds, what);
    }
}
