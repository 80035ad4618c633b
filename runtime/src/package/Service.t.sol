// SPDX-License-Identifier: MIT OR Apache-2.0
// Generated from runs of an image: do not edit.
pragma solidity ^0.8.24;

import {Deploy} from "../script/Deploy.s.sol";
import {InferenceService} from "../src/InferenceService.sol";
import {
    Game,
    IDisputeGame,
    IInferenceConsumer,
    Input,
    Model,
    Order,
    Pick,
    Program,
    Request,
    Source,
    Standing,
    Terms
} from "../src/Interfaces.sol";
import {ModelRegistry} from "../src/ModelRegistry.sol";
import {StepVerifier} from "../src/StepVerifier.sol";
import {{{name}}Model} from "../src/{{name}}Model.sol";
import {Vm, vm} from "./Vm.sol";

/// @dev The model as it is deployed: a request that is answered, and one whose answer is disputed down to one step.
contract ServiceTest is IInferenceConsumer {
    address private constant ASSERTER = address(0xa1);
    address private constant CHALLENGER = address(0xc1);
    uint64 private constant CALLBACK_GAS = 1_000_000;

    InferenceService private service;
    Terms private terms;
    Model private model;
    bytes32 private delivered;

    function setUp() public {
        vm.warp(1_700_000_000);
        Deploy script = new Deploy();
        terms = script.terms();
        // The recorded game's.
        terms.arity = {{arity}};
        bytes32 id;
        (, service,, id) = script.deploy(terms);
        require(id == {{name}}Model.ID, "another model");
        model = {{name}}Model.model();
        vm.deal(ASSERTER, 2 * uint256(terms.asserterBond));
        vm.deal(CHALLENGER, 2 * uint256(terms.challengerBond));
    }

    function inferenceCallback(uint256, address requester, bytes32, bytes[] calldata result, bytes calldata)
        external
    {
        require(msg.sender == address(service) && requester == address(this), "who calls?");
        delivered = keccak256(abi.encode(result));
    }

    function test_theCompilerMakesTheKnownVerifier() public pure {
        (uint32[] memory extensions, bytes32[] memory hashes) = {{name}}Model.verifiers();
        bool known = false;
        for (uint256 i = 0; i < hashes.length; i++) {
            bool its = extensions[i] == {{name}}Model.EXTENSIONS;
            known = known || (its && keccak256(type(StepVerifier).creationCode) == hashes[i]);
        }
        require(known, "see foundry.toml for the compiler and its settings");
    }

    function test_anAnswerBecomesFinal() public {
        (uint256 id, Request memory request) = ask();
        answer(id, request, outputs());
        vm.warp(block.timestamp + terms.window);
        service.settle(id, request, outputs(), "");
        require(service.result(id) == RESULT, "another result");
        require(delivered == keccak256(abi.encode(outputs())), "other outputs");
    }

    function test_anOpeningLeadsToItsOutputs() public {
        (uint256 id, Request memory request) = ask();
        answer(id, request, answered());
        bytes32[] memory bad = opening();
        bad[bad.length - 1] = keccak256("no memory of this run");
        bytes32 asserted = service.provisionalAnswer(id).result;
        vm.deal(address(this), terms.challengerBond);
        vm.expectRevert(abi.encodeWithSelector(IDisputeGame.Proof.selector));
        service.challenge{value: terms.challengerBond}(id, request, model, asserted, bad);
    }

    /// Both players' moves were recorded; the last one is the step that the contract executes.
    function test_aDisputeEndsInOneStep() public {
        (uint256 id, Request memory request) = ask();
        answer(id, request, answered());
        bytes32 asserted = service.provisionalAnswer(id).result;
        uint256[2] memory before = [ASSERTER.balance, CHALLENGER.balance];
        vm.recordLogs();
        vm.prank(CHALLENGER);
        uint256 number = service.challenge{value: terms.challengerBond}(id, request, model, asserted, opening());
        Game memory game = moved();
        bytes[] memory recorded = moves();
        for (uint256 i = 0; i < recorded.length; i++) {
            bytes memory call = this.put(recorded[i], number, game);
            vm.recordLogs();
            vm.prank(game.position >> 240 & 1 != 0 ? ASSERTER : CHALLENGER);
            (bool made,) = address(service).call(call);
            require(made, "a move is refused");
            if (i + 1 < recorded.length) game = moved();
            else require(bytes4(call) == IDisputeGame.prove.selector, "the end is no step");
        }
        bool asserterWon = service.games(number) == bytes32(uint256(1));
        require(asserterWon == ASSERTER_WINS, "the liar wins");
        Standing standing = service.provisionalAnswer(id).standing;
        require(standing == (asserterWon ? Standing.Pending : Standing.Overturned), "the wrong answer stands");
        if (asserterWon) require(ASSERTER.balance == before[0] + terms.challengerBond, "the winner isn't paid");
        else require(CHALLENGER.balance > before[1], "the winner isn't paid");
    }

    // ---- What the tests are made of

    function ask() private returns (uint256 id, Request memory request) {
        vm.recordLogs();
        id = service.request(order(), inputs());
        (request,,) = abi.decode(vm.getRecordedLogs()[0].data, (Request, Input[], bytes));
    }

    function order() private view returns (Order memory) {
        return Order({
            model: {{name}}Model.ID,
            repetitions: 0,
            byRoot: 0,
            callback: address(this),
            callbackGas: CALLBACK_GAS,
            callbackData: ""
        });
    }

    function answer(uint256 id, Request memory request, bytes[] memory given) private {
        vm.prank(ASSERTER);
        service.answer{value: terms.asserterBond}(id, request, given);
    }

    function moved() private returns (Game memory game) {
        Vm.Log[] memory logs = vm.getRecordedLogs();
        (game,,) = abi.decode(logs[logs.length - 1].data, (Game, bytes32, bytes32[]));
    }

    /// A recorded move, put into the game that is played here.
    function put(bytes calldata call, uint256 id, Game memory game) external view returns (bytes memory) {
        bytes4 kind = bytes4(call);
        Pick memory pick;
        bytes32[] memory words;
        if (kind == IDisputeGame.dissect.selector) {
            (,, pick, words) = abi.decode(call[4:], (uint256, Game, Pick, bytes32[]));
            return abi.encodeCall(IDisputeGame.dissect, (id, game, pick, words));
        }
        if (kind == IDisputeGame.enter.selector) {
            uint256 leaf;
            bytes memory end;
            (,, pick,, leaf, end, words) =
                abi.decode(call[4:], (uint256, Game, Pick, Program, uint256, bytes, bytes32[]));
            return abi.encodeCall(IDisputeGame.enter, (id, game, pick, model.program, leaf, end, words));
        }
        bytes[] memory witnesses;
        (,, pick, words, witnesses) = abi.decode(call[4:], (uint256, Game, Pick, bytes32[], bytes[]));
        return abi.encodeCall(IDisputeGame.prove, (id, game, pick, words, witnesses));
    }

    // ---- The runs

    bytes32 private constant RESULT = {{result}};
    bool private constant ASSERTER_WINS = {{asserter_wins}};

    function inputs() private pure returns (Input[] memory given) {
        given = new Input[]({{input_count}});
{{inputs}}    }

    /// The model's outputs on these inputs.
    function outputs() private pure returns (bytes[] memory all) {
        all = new bytes[]({{output_count}});
{{outputs}}    }

    /// What the asserter of the recorded game says they are.
    function answered() private pure returns (bytes[] memory all) {
        all = new bytes[]({{answered_count}});
{{answered}}    }

    /// The words of the challenge.
    function opening() private pure returns (bytes32[] memory words) {
        words = new bytes32[]({{word_count}});
{{words}}    }

    function moves() private pure returns (bytes[] memory calls) {
        calls = new bytes[]({{move_count}});
{{moves}}    }
}
