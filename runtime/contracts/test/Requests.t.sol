// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.24;

import {ExampleConsumer} from "../src/ExampleConsumer.sol";
import {InferenceService} from "../src/InferenceService.sol";
import {
    Answer,
    IDisputeGame,
    IInferenceService,
    IModelRegistry,
    Input,
    Model,
    Order,
    Request,
    RequestStatus,
    Source,
    Standing,
    Terms
} from "../src/Interfaces.sol";
import {Naive} from "./Naive.sol";
import {Stage} from "./Stage.sol";
import {Plan, Run, Toy, Turn} from "./Toy.sol";
import {vm} from "./Vm.sol";

/// @dev Terms, requests, cancellations and what can be read of them.
contract RequestsTest is Stage {
    // ---- Terms

    function test_termsAreKept() public view {
        check(keccak256(abi.encode(service.terms())) == keccak256(abi.encode(terms())), "other terms");
        check(address(service.registry()) == address(registry), "another registry");
    }

    function refuseTerms(Terms memory bad) private {
        refuse(IInferenceService.InvalidTerms.selector);
        new InferenceService(registry, bad);
    }

    function test_timesHaveLimits() public {
        uint32 year = 365 days;
        uint32[6] memory times = [uint32(0), 9, 10, year, year + 1, type(uint32).max];
        for (uint256 i = 0; i < times.length; i++) {
            bool good = i == 2 || i == 3;
            Terms memory edge = terms();
            edge.window = times[i];
            if (good) new InferenceService(registry, edge);
            else refuseTerms(edge);
            edge = terms();
            edge.clock = times[i];
            if (good) new InferenceService(registry, edge);
            else refuseTerms(edge);
        }
    }

    function test_bondsHaveALeast() public {
        uint96[4] memory bonds = [uint96(0), 1, 1e15 - 1, 1e15];
        for (uint256 i = 0; i < bonds.length; i++) {
            Terms memory edge = terms();
            (edge.asserterBond, edge.burned) = (bonds[i], bonds[i] / 2);
            if (i == 3) new InferenceService(registry, edge);
            else refuseTerms(edge);
            edge = terms();
            edge.challengerBond = bonds[i];
            if (i == 3) new InferenceService(registry, edge);
            else refuseTerms(edge);
        }
        // The largest bonds.
        Terms memory most = terms();
        (most.asserterBond, most.challengerBond) = (type(uint96).max, type(uint96).max);
        most.burned = type(uint96).max / 10 * 9;
        new InferenceService(registry, most);
    }

    /// A tenth to nine tenths of the asserter's bond burn.
    function test_someBurnsAndSomeIsWon() public {
        uint96 tenth = ASSERTER_BOND / 10;
        uint96[8] memory burns =
            [uint96(0), 1, tenth - 1, tenth, 9 * tenth, 9 * tenth + 1, ASSERTER_BOND, type(uint96).max];
        for (uint256 i = 0; i < burns.length; i++) {
            Terms memory edge = terms();
            edge.burned = burns[i];
            if (i == 3 || i == 4) new InferenceService(registry, edge);
            else refuseTerms(edge);
        }
    }

    function test_segmentsAreCutIntoTwoTo256() public {
        uint16[6] memory arities = [uint16(0), 1, 2, 256, 257, type(uint16).max];
        for (uint256 i = 0; i < arities.length; i++) {
            Terms memory edge = terms();
            edge.arity = arities[i];
            if (i == 2 || i == 3) new InferenceService(registry, edge);
            else refuseTerms(edge);
        }
    }

    // ---- Requests

    function hashOf(uint256 id, Request memory request) private pure returns (bytes32) {
        bytes memory words = abi.encodePacked(
            id,
            request.model,
            request.inputs,
            uint256(uint160(request.requester)),
            uint256(request.fee),
            uint256(request.repetitions),
            uint256(request.byRoot),
            uint256(uint160(request.callback))
        );
        words = bytes.concat(words, bytes32(uint256(request.callbackGas)), request.callbackData);
        // The list comes last: its place, its length, its elements. In front is the place of the request.
        words = bytes.concat(words, bytes32(uint256(320)), bytes32(request.outputs.length));
        words = bytes.concat(words, abi.encodePacked(request.outputs));
        return keccak256(bytes.concat(bytes32(id), bytes32(uint256(64)), Naive.slice(words, 32)));
    }

    function test_aRequestIsStoredAsAHash() public {
        Order memory ordered = order(OTHER, 100_000, "data");
        Request memory request = expected(REQUESTER, ordered);
        vm.prank(REQUESTER);
        vm.expectEmit();
        emit IInferenceService.Requested(1, ordered.model, request, someInputs(), "data");
        uint256 id = service.request{value: FEE}(ordered, someInputs());
        check(id == 1 && statusOf(1).hash == hashOf(1, request), "another request");
        check(ask().id == 2 && service.requestCount() == 2, "the next one");
    }

    /// Whichever inputs are given by their root.
    function test_aRequestByRootIsTheSame() public {
        for (uint256 i = 1; i < 4; i++) {
            Order memory ordered = order(OTHER, 100_000, "data");
            Request memory request = expected(REQUESTER, ordered);
            Input[] memory inputs = someInputs();
            if (i & 1 != 0) inputs[0] = Input(Source.Root, bytes.concat(someInputRoot()));
            if (i & 2 != 0) inputs[1] = Input(Source.Root, bytes.concat(Toy.FIRST_STATE));
            vm.prank(REQUESTER);
            vm.expectEmit();
            emit IInferenceService.Requested(i, ordered.model, request, inputs, "data");
            uint256 id = service.request{value: FEE}(ordered, inputs);
            check(statusOf(id).hash == hashOf(id, request), "another request");
        }
    }

    // ---- Inputs from results

    /// Input 1 is output `index` of request `id`, of whose parts these are the roots.
    function fromResult(uint256 id, uint256 index, bytes32[] memory roots)
        private
        pure
        returns (Input[] memory inputs)
    {
        inputs = someInputs();
        inputs[1] = Input(Source.Result, abi.encodePacked(id, index, roots));
    }

    function refuseInputs(Input[] memory inputs, bytes4 reason) private {
        Order memory ordered = order();
        refuse(reason);
        service.request(ordered, inputs);
    }

    /// A chain of requests, each of which takes the state where the one before has left it; the answer to the
    /// last one is disputed.
    function test_theStateGoesFromRequestToRequest() public {
        Asked memory asked = ask();
        for (uint256 i = 0; i < 3; i++) {
            answer(asked, truth(asked));
            vm.warp(block.timestamp + WINDOW);
            settle(asked, truth(asked));
            bytes32[] memory roots = Toy.outputRoots(truth(asked));
            Input[] memory inputs = fromResult(asked.id, 1, roots);
            asked = ask(Toy.plain(), order(), inputs, someInputRoot(), roots[1]);
            check(statusOf(asked.id).hash == hashOf(asked.id, asked.request), "another request");
            check(roots[1] != Toy.FIRST_STATE, "the state stays");
        }
        // Whoever runs with another state answers something else.
        Run memory stale = Toy.run(asked.plan, 0, asked.inputRoot, Toy.FIRST_STATE, 0);
        check(Toy.result(stale) != Toy.result(truth(asked)), "the state doesn't count");
        answer(asked, stale);
        bytes32[] memory opening = Toy.opening(stale, ARITY);
        bytes32 asserted = Toy.result(stale);
        Model memory model = Toy.model(asked.plan);
        refuse(IDisputeGame.Inputs.selector);
        service.challenge{value: CHALLENGER_BOND}(asked.id, asked.request, model, asserted, opening);
        check(!playOut(challenge(CHALLENGER, asked, truth(asked)), stale, truth(asked)), "the liar wins");
        check(standing(asked) == Standing.Overturned, "it stands");
    }

    /// Any output can be any input: the root counts, not the part.
    function test_anOutputBecomesAnInput() public {
        Asked memory asked = ask();
        answer(asked, truth(asked));
        vm.warp(block.timestamp + WINDOW);
        settle(asked, truth(asked));
        bytes32[] memory roots = Toy.outputRoots(truth(asked));
        Input[] memory inputs = fromResult(asked.id, 0, roots);
        (inputs[0], inputs[1]) = (inputs[1], inputs[0]);
        inputs[1] = Input(Source.Root, bytes.concat(roots[1]));
        Asked memory second = ask(Toy.plain(), order(), inputs, roots[0], roots[1]);
        check(statusOf(second.id).hash == hashOf(second.id, second.request), "another request");
    }

    function test_onlyFinalResultsAreInputs() public {
        Asked memory asked = ask();
        bytes32[] memory roots = Toy.outputRoots(truth(asked));
        Input[] memory inputs = fromResult(asked.id, 1, roots);
        refuseInputs(inputs, IInferenceService.NotFinal.selector);
        answer(asked, truth(asked));
        refuseInputs(inputs, IInferenceService.NotFinal.selector);
        vm.warp(block.timestamp + WINDOW);
        refuseInputs(inputs, IInferenceService.NotFinal.selector);
        settle(asked, truth(asked));
        service.request(order(), inputs);
        // Nor are requests that were never made: none, the next one, and the last one of all.
        uint256[3] memory ids = [uint256(0), service.requestCount() + 1, type(uint256).max];
        for (uint256 i = 0; i < ids.length; i++) {
            refuseInputs(fromResult(ids[i], 1, roots), IInferenceService.NotFinal.selector);
        }
        // Nor are overturned ones.
        asked = ask();
        answer(asked, lie(asked, 7));
        check(!playOut(challenge(CHALLENGER, asked, truth(asked)), lie(asked, 7), truth(asked)), "lost");
        inputs = fromResult(asked.id, 1, Toy.outputRoots(lie(asked, 7)));
        refuseInputs(inputs, IInferenceService.NotFinal.selector);
    }

    function test_onlyTheResultsRootsAreInputs() public {
        Asked memory asked = ask();
        answer(asked, truth(asked));
        vm.warp(block.timestamp + WINDOW);
        settle(asked, truth(asked));
        bytes32[] memory roots = Toy.outputRoots(truth(asked));
        bytes4 reason = IInferenceService.NotTheOutput.selector;
        for (uint256 i = 0; i < 2; i++) {
            roots[i] ^= bytes32(uint256(1));
            refuseInputs(fromResult(asked.id, 1, roots), reason);
            roots[i] ^= bytes32(uint256(1));
        }
        refuseInputs(fromResult(asked.id, 1, Naive.concat(roots, new bytes32[](1))), reason);
        refuseInputs(fromResult(asked.id, 0, Naive.slice(roots, 1)), reason);
        (roots[0], roots[1]) = (roots[1], roots[0]);
        refuseInputs(fromResult(asked.id, 1, roots), reason);
        // A final answer that is void has no parts, whatever roots are given.
        asked = ask();
        service.answer{value: ASSERTER_BOND}(asked.id, asked.request, new bytes[](0));
        vm.warp(block.timestamp + WINDOW);
        service.settle(asked.id, asked.request, new bytes[](0), "");
        refuseInputs(fromResult(asked.id, 1, roots), reason);
        bytes32[] memory void = new bytes32[](1);
        void[0] = Toy.VOID;
        refuseInputs(fromResult(asked.id, 0, void), reason);
    }

    function test_resultsHaveTheirSize() public {
        Asked memory asked = ask();
        answer(asked, truth(asked));
        vm.warp(block.timestamp + WINDOW);
        settle(asked, truth(asked));
        bytes32[] memory roots = Toy.outputRoots(truth(asked));
        Input[] memory inputs = fromResult(asked.id, 1, roots);
        bytes memory good = inputs[1].data;
        for (uint256 size = 0; size < 160; size++) {
            inputs[1].data = new bytes(size);
            for (uint256 i = 0; i < size && i < good.length; i++) {
                inputs[1].data[i] = good[i];
            }
            // One root alone has the right size, but index 1 is not in it.
            if (size != 128) refuseInputs(inputs, IInferenceService.Size.selector);
            else service.request(order(), inputs);
        }
        uint256[4] memory indexes = [uint256(2), 1 << 128, (1 << 251) + 1, type(uint256).max];
        for (uint256 i = 0; i < indexes.length; i++) {
            refuseInputs(fromResult(asked.id, indexes[i], roots), IInferenceService.Size.selector);
        }
        // The size is looked at first.
        refuseInputs(fromResult(77, 2, roots), IInferenceService.Size.selector);
    }

    function test_rootsHaveTheirSize() public {
        uint8[5] memory sizes = [0, 1, 31, 33, 40];
        for (uint256 place = 0; place < 2; place++) {
            for (uint256 i = 0; i < sizes.length; i++) {
                Input[] memory inputs = someInputs();
                inputs[place] = Input(Source.Root, new bytes(sizes[i]));
                refuseInputs(inputs, IInferenceService.Size.selector);
            }
        }
    }

    /// There are three sources; what claims to be a fourth one is no call.
    function test_unknownSources() public {
        bytes memory data = abi.encodeCall(IInferenceService.request, (order(), someInputs()));
        // Two places, the order's seven words, the list's length and two places; then the first source.
        uint256 place = 4 + 32 * (2 + 7 + 3);
        data[place + 31] = 0x01;
        (bool made, bytes memory reason) = address(service).call(data);
        check(!made && bytes4(reason) == IInferenceService.Size.selector, "not the source");
        data[place + 31] = 0x03;
        (made, reason) = address(service).call(data);
        check(!made && reason.length == 0, "accepted");
    }

    // ---- Outputs by root

    function test_byRootIsAboutOutputs() public {
        Order memory ordered = order();
        for (uint256 bit = 2; bit < 64; bit++) {
            ordered.byRoot = uint64(1 << bit);
            refuse(IInferenceService.ByRoot.selector);
            service.request(ordered, someInputs());
        }
        for (uint64 byRoot = 0; byRoot < 4; byRoot++) {
            ordered.byRoot = byRoot;
            uint256 id = service.request{value: FEE}(ordered, someInputs());
            Request memory request = expected(address(this), ordered);
            check(statusOf(id).hash == hashOf(id, request), "another request");
        }
    }

    /// With 64 outputs every bit means one of them.
    function test_byRootOfSixtyFourOutputs() public {
        Model memory model = Toy.model(Toy.plain());
        model.outputs = new uint256[](64);
        for (uint256 i = 0; i < 64; i++) {
            model.outputs[i] = (32 + i) << 64 | 1;
        }
        Order memory ordered = order();
        ordered.model = registry.register(model);
        ordered.byRoot = type(uint64).max;
        Request memory request = expected(address(this), ordered);
        request.outputs = model.outputs;
        uint256 id = service.request{value: FEE}(ordered, someInputs());
        check(statusOf(id).hash == hashOf(id, request), "another request");
        // All by their root but the last one, which is a byte.
        ordered.byRoot = type(uint64).max >> 1;
        request.byRoot = ordered.byRoot;
        id = service.request{value: FEE}(ordered, someInputs());
        bytes[] memory outputs = new bytes[](64);
        bytes32[] memory roots = new bytes32[](64);
        for (uint256 i = 0; i < 64; i++) {
            roots[i] = bytes32(i == 63 ? 7 : i);
            outputs[i] = i == 63 ? bytes(hex"07") : bytes.concat(roots[i]);
        }
        service.answer{value: ASSERTER_BOND}(id, request, outputs);
        bytes32 result = keccak256(abi.encodePacked(roots));
        check(service.provisionalAnswer(id).result == result, "another result");
    }

    /// Two errors at once: the first one counts.
    function test_theOrderOfARequestsErrors() public {
        vm.deal(address(this), uint256(1) << 100);
        uint256 tooMuch = uint256(1) << 96;
        Order memory ordered = order(OTHER, type(uint64).max, "");
        (ordered.byRoot, ordered.repetitions) = (4, 1);
        Input[] memory inputs = someInputs();
        inputs[1].data = "short";
        bytes32 model = ordered.model;
        ordered.model = 0;
        refuse(IModelRegistry.Unknown.selector);
        service.request{value: tooMuch}(ordered, inputs);
        ordered.model = model;
        refuse(IInferenceService.ByRoot.selector);
        service.request{value: tooMuch}(ordered, inputs);
        ordered.byRoot = 3;
        refuse(IInferenceService.Size.selector);
        service.request{value: tooMuch}(ordered, inputs);
        refuse(IInferenceService.NotFinal.selector);
        service.request{value: tooMuch}(ordered, fromResult(1, 0, new bytes32[](1)));
        inputs = someInputs();
        refuse(IInferenceService.CallbackGas.selector);
        service.request{value: tooMuch}(ordered, inputs);
        ordered.callbackGas = 0;
        vm.expectRevert(abi.encodeWithSelector(IInferenceService.Value.selector, type(uint96).max));
        service.request{value: tooMuch}(ordered, inputs);
        refuse(IInferenceService.Repetitions.selector);
        service.request(ordered, inputs);
    }

    // ---- Requests

    /// The same request twice in one block: two requests, of which each is answered and settled on its own.
    function test_theSameRequestTwiceInOneBlock() public {
        (Asked memory one, Asked memory two) = (ask(), ask());
        check(one.id != two.id, "one ID");
        check(keccak256(abi.encode(one.request)) == keccak256(abi.encode(two.request)), "they differ");
        check(statusOf(one.id).hash != statusOf(two.id).hash, "one hash for two requests");
        // A true answer to one and a false one to the other.
        answer(one, truth(one));
        check(standing(two) == Standing.None, "one answer for both");
        answer(two, lie(two, 16));
        Turn memory turn = challenge(CHALLENGER, two, truth(two));
        check(!playOut(turn, lie(two, 16), truth(two)), "the liar wins");
        vm.warp(block.timestamp + WINDOW);
        settle(one, truth(one));
        check(standing(one) == Standing.Final && standing(two) == Standing.Overturned, "standing");
        check(paid(ASSERTER) == ASSERTER_BOND + FEE, "paid");
        answer(two, truth(two));
        vm.warp(block.timestamp + WINDOW);
        settle(two, truth(two));
        check(service.result(one.id) == service.result(two.id), "two results");
        check(paid(ASSERTER) == 2 * uint256(ASSERTER_BOND + FEE), "paid");
    }

    /// Two true answers to two equal requests, challenged by one key in one block: two games, whose states
    /// are equal except that the ID is in their hash.
    function test_twoEqualGamesInOneBlock() public {
        (Asked memory one, Asked memory two) = (ask(), ask());
        answer(one, truth(one));
        answer(two, truth(two));
        Turn memory first = challenge(CHALLENGER, one, lie(one, 5));
        Turn memory second = challenge(CHALLENGER, two, lie(two, 5));
        check(keccak256(abi.encode(first.game)) == keccak256(abi.encode(second.game)), "they differ");
        check(service.games(first.id) != service.games(second.id), "one word for two games");
        uint256 start = block.timestamp;
        check(playOut(second, truth(two), lie(two, 5)), "the liar wins");
        check(runs(service, first), "both are over");
        // The games go on side by side.
        vm.warp(start);
        check(playOut(first, truth(one), lie(one, 5)), "the liar wins");
        check(paid(ASSERTER) == 2 * CHALLENGER_BOND, "both bonds");
    }

    function test_inputsHaveExactlyTheirSize() public {
        uint256[6] memory sizes = [uint256(0), 1, 31, INPUT_BYTES - 1, INPUT_BYTES + 1, 64];
        for (uint256 i = 0; i < sizes.length; i++) {
            refuseInputs(inputsOf(new bytes(sizes[i])), IInferenceService.Size.selector);
            Input[] memory inputs = someInputs();
            inputs[1].data = new bytes(sizes[i]);
            refuseInputs(inputs, IInferenceService.Size.selector);
        }
    }

    function test_thereIsOneInputForEachPart() public {
        for (uint256 count = 0; count < 5; count++) {
            if (count == 2) continue;
            Input[] memory inputs = new Input[](count);
            for (uint256 i = 0; i < count; i++) {
                inputs[i] = someInputs()[i % 2];
            }
            refuseInputs(inputs, IInferenceService.Size.selector);
        }
    }

    function test_feesFitTheirWord() public {
        vm.deal(address(this), uint256(1) << 100);
        Order memory ordered = order();
        bytes memory reason = abi.encodeWithSelector(IInferenceService.Value.selector, type(uint96).max);
        vm.expectRevert(reason);
        service.request{value: uint256(1) << 96}(ordered, someInputs());
        service.request{value: type(uint96).max}(ordered, someInputs());
        // An answer may be worth nothing.
        service.request(ordered, someInputs());
    }

    function test_callbacksHaveAMostOfGas() public {
        uint64 most = uint64(service.MAX_CALLBACK_GAS());
        check(most == 8_000_000, "another most");
        Order memory ordered = order(OTHER, most, "");
        service.request{value: FEE}(ordered, someInputs());
        ordered.callbackGas = most + 1;
        refuse(IInferenceService.CallbackGas.selector);
        service.request{value: FEE}(ordered, someInputs());
        ordered.callbackGas = type(uint64).max;
        refuse(IInferenceService.CallbackGas.selector);
        service.request{value: FEE}(ordered, someInputs());
    }

    // ---- Repetitions

    function test_repetitionsAreWithinTheModels() public {
        Plan memory plan = Toy.periodic();
        (plan.least, plan.most) = (2, 4);
        registry.register(Toy.model(plan));
        uint64[5] memory bad = [uint64(1), 5, 1 << 40, (1 << 40) + 2, type(uint64).max];
        Order memory ordered = order();
        ordered.model = idOf(plan);
        for (uint256 i = 0; i < bad.length; i++) {
            ordered.repetitions = bad[i];
            refuse(IInferenceService.Repetitions.selector);
            service.request{value: FEE}(ordered, someInputs());
        }
        for (uint64 i = 2; i <= 4; i++) {
            Asked memory asked = ask(plan, i);
            check(statusOf(asked.id).hash == hashOf(asked.id, asked.request), "another request");
        }
    }

    /// Zero repetitions are the most that the model allows.
    function test_noRepetitionsAreTheMost() public {
        Asked memory asked = ask(Toy.periodic(), 0);
        check(asked.request.repetitions == 5, "the most");
        check(statusOf(asked.id).hash == hashOf(asked.id, asked.request), "another request");
        answer(asked, truth(asked));
        Turn memory turn = challenge(CHALLENGER, asked, lie(asked, 47));
        check(Toy.position(turn.game).hi == 12 && Toy.position(turn.game).place == 5, "a shorter game");
        check(playOut(turn, truth(asked), lie(asked, 47)), "the liar wins");
    }

    function test_withoutAPeriodThereAreNoRepetitions() public {
        Order memory ordered = order();
        ordered.repetitions = 1;
        refuse(IInferenceService.Repetitions.selector);
        service.request{value: FEE}(ordered, someInputs());
    }

    /// Requests that differ only in their repetitions have different answers.
    function test_repetitionsDecideTheAnswer() public {
        for (uint64 repetitions = 1; repetitions <= 5; repetitions++) {
            Asked memory asked = ask(Toy.periodic(), repetitions);
            // The answer to a request with one repetition more or less.
            Run memory other = Toy.run(asked.plan, repetitions == 5 ? 4 : repetitions + 1, asked.inputRoot, 0);
            answer(asked, other);
            Turn memory turn = challenge(CHALLENGER, asked, truth(asked));
            vm.warp(block.timestamp + CLOCK + 1);
            timeout(turn);
            check(standing(asked) == Standing.Overturned, "it stands");
        }
    }

    // ---- Other requests

    function test_nothingGoesWithAnotherRequest() public {
        Asked memory asked = ask();
        Asked memory other = ask(OTHER, 5, "");
        nothingGoes(asked.id, other.request, truth(asked));
        nothingGoes(3, asked.request, truth(asked));
        nothingGoes(0, asked.request, truth(asked));
        answer(asked, truth(asked));
        nothingGoes(asked.id, other.request, truth(asked));
    }

    /// The same request under another ID is another request, even where that ID has an equal one.
    function test_everyFieldOfARequestCounts() public {
        Asked memory asked = ask();
        for (uint256 i = 0; i < 12; i++) {
            Request memory changed = abi.decode(abi.encode(asked.request), (Request));
            if (i == 0) changed.model ^= bytes32(uint256(1));
            if (i == 1) changed.inputs ^= bytes32(uint256(1));
            if (i == 2) changed.requester = OTHER;
            if (i == 3) changed.fee += 1;
            if (i == 4) changed.repetitions += 1;
            if (i == 5) changed.byRoot += 1;
            if (i == 6) changed.callback = OTHER;
            if (i == 7) changed.callbackGas += 1;
            if (i == 8) changed.callbackData ^= bytes32(uint256(1));
            if (i == 9 || i == 10) changed.outputs[i - 9] += 1;
            if (i == 11) changed.outputs = Toy.pair(changed.outputs[1], changed.outputs[0]);
            nothingGoes(asked.id, changed, truth(asked));
        }
    }

    function nothingGoes(uint256 id, Request memory request, Run memory made) private {
        bytes[] memory outputs = Toy.outputs(made);
        bytes4 mismatch = IInferenceService.RequestMismatch.selector;
        refuse(mismatch);
        service.answer{value: ASSERTER_BOND}(id, request, outputs);
        vm.prank(REQUESTER);
        refuse(mismatch);
        service.cancel(id, request);
        refuse(mismatch);
        service.settle(id, request, outputs, "");
        refuse(mismatch);
        service.redeliver(id, request, outputs, "");
        bytes32[] memory opening = Toy.opening(made, ARITY);
        Model memory model = Toy.model(made.plan);
        refuse(mismatch);
        service.challenge{value: CHALLENGER_BOND}(id, request, model, 0, opening);
    }

    // ---- Cancelling

    function cancel(address who, Asked memory asked) private {
        vm.prank(who);
        service.cancel(asked.id, asked.request);
    }

    function giveNotice(Asked memory asked) private returns (uint256 from) {
        from = block.timestamp + WINDOW;
        vm.expectEmit();
        emit IInferenceService.CancelNotice(asked.id, uint64(from));
        cancel(REQUESTER, asked);
        check(statusOf(asked.id).cancellable == from, "another time");
    }

    function test_cancellingNeedsNotice() public {
        Asked memory asked = ask();
        check(statusOf(asked.id).cancellable == 0, "notice from the start");
        vm.warp(block.timestamp + 100 days);
        uint256 from = giveNotice(asked);
        check(paid(REQUESTER) == 0 && statusOf(asked.id).hash != 0, "cancelled at once");
        bytes memory reason = abi.encodeWithSelector(IInferenceService.Notice.selector, from);
        vm.expectRevert(reason);
        cancel(REQUESTER, asked);
        vm.warp(from - 1);
        vm.expectRevert(reason);
        cancel(REQUESTER, asked);
        vm.warp(from);
        vm.expectEmit();
        emit IInferenceService.Cancelled(asked.id);
        cancel(REQUESTER, asked);
        check(paid(REQUESTER) == FEE && statusOf(asked.id).hash == 0, "not all");
        // It is gone for everybody.
        refuse(IInferenceService.RequestMismatch.selector);
        cancel(REQUESTER, asked);
        bytes[] memory outputs = Toy.outputs(truth(asked));
        refuse(IInferenceService.RequestMismatch.selector);
        service.answer{value: ASSERTER_BOND}(asked.id, asked.request, outputs);
        check(paid(REQUESTER) == FEE, "paid twice");
    }

    function test_onlyTheRequesterCancels() public {
        Asked memory asked = ask();
        address[3] memory others = [ASSERTER, OTHER, address(this)];
        for (uint256 i = 0; i < others.length; i++) {
            refuse(IInferenceService.NotCancellable.selector);
            cancel(others[i], asked);
        }
        vm.warp(giveNotice(asked));
        for (uint256 i = 0; i < others.length; i++) {
            refuse(IInferenceService.NotCancellable.selector);
            cancel(others[i], asked);
        }
        check(statusOf(asked.id).hash != 0, "cancelled");
    }

    /// Whoever reads an answer in the mempool can't take the money back: notice does not stop the answer.
    function test_anAnswerDuringTheNoticeIsPaid() public {
        Asked memory asked = ask();
        uint256 from = giveNotice(asked);
        vm.warp(from - 1);
        answer(asked, truth(asked));
        refuse(IInferenceService.NotCancellable.selector);
        cancel(REQUESTER, asked);
        vm.warp(from + 100 days);
        refuse(IInferenceService.NotCancellable.selector);
        cancel(REQUESTER, asked);
        settle(asked, truth(asked));
        refuse(IInferenceService.NotCancellable.selector);
        cancel(REQUESTER, asked);
        check(paid(ASSERTER) == ASSERTER_BOND + FEE && paid(REQUESTER) == 0, "paid");
    }

    /// As long as nobody has cancelled, an answer is welcome after the notice period too.
    function test_anAnswerAfterTheNoticeIsPaid() public {
        Asked memory asked = ask();
        vm.warp(giveNotice(asked) + 1);
        answer(asked, truth(asked));
        refuse(IInferenceService.NotCancellable.selector);
        cancel(REQUESTER, asked);
        vm.warp(block.timestamp + WINDOW);
        settle(asked, truth(asked));
        check(paid(ASSERTER) == ASSERTER_BOND + FEE, "not paid");
    }

    function test_aRequestWithoutNoticeIsNotCancelledWhenAnswered() public {
        Asked memory asked = ask();
        answer(asked, truth(asked));
        refuse(IInferenceService.NotCancellable.selector);
        cancel(REQUESTER, asked);
        check(statusOf(asked.id).cancellable == 0, "notice was given");
    }

    function test_afterAnOverturnedAnswerItCanBeCancelled() public {
        Asked memory asked = ask();
        answer(asked, lie(asked, 11));
        Turn memory turn = challenge(CHALLENGER, asked, truth(asked));
        refuse(IInferenceService.NotCancellable.selector);
        cancel(REQUESTER, asked);
        check(!playOut(turn, lie(asked, 11), truth(asked)), "the liar wins");
        vm.warp(giveNotice(asked));
        cancel(REQUESTER, asked);
        check(paid(REQUESTER) == FEE, "not all");
    }

    /// A notice stays: once a false answer is overturned, the notice period is over.
    function test_aNoticeOutlastsAnOverturnedAnswer() public {
        Asked memory asked = ask();
        uint256 from = giveNotice(asked);
        answer(asked, lie(asked, 11));
        Turn memory turn = challenge(CHALLENGER, asked, truth(asked));
        check(!playOut(turn, lie(asked, 11), truth(asked)), "the liar wins");
        check(statusOf(asked.id).cancellable == from, "another time");
        vm.warp(from);
        cancel(REQUESTER, asked);
        check(paid(REQUESTER) == FEE, "not all");
        // The challenger has been paid already.
        bytes32 claims = Toy.claimsRoot(turn);
        refuse(IDisputeGame.Over.selector);
        service.reclaim(turn.id, turn.game, claims);
    }

    /// A challenger whose game was open can still reclaim its bond and share once the request is cancelled.
    function test_cancellingTakesNothingFromChallengers() public {
        Asked memory asked = ask();
        answer(asked, lie(asked, 11));
        Turn memory slow = challenge(OTHER, asked, truth(asked));
        Turn memory turn = challenge(CHALLENGER, asked, truth(asked));
        check(!playOut(turn, lie(asked, 11), truth(asked)), "the liar wins");
        vm.warp(giveNotice(asked));
        cancel(REQUESTER, asked);
        reclaim(slow);
        check(paid(OTHER) == CHALLENGER_BOND + (ASSERTER_BOND - BURNED) / 2, "not its share");
    }

    function test_theExampleReturnsTheFee() public {
        ExampleConsumer consumer = new ExampleConsumer(service);
        vm.prank(OTHER);
        uint256 id = consumer.ask{value: FEE}(idOf(Toy.plain()), someInputs());
        Request memory request = expected(address(consumer), order(address(consumer), 300_000, ""));
        refuse(ExampleConsumer.NotTheAsker.selector);
        consumer.cancel(id, request);
        uint256 before = OTHER.balance;
        vm.prank(OTHER);
        consumer.cancel(id, request);
        check(OTHER.balance == before && consumer.askers(id) == OTHER, "at once");
        vm.warp(block.timestamp + WINDOW);
        refuse(ExampleConsumer.NotTheAsker.selector);
        consumer.cancel(id, request);
        vm.prank(OTHER);
        consumer.cancel(id, request);
        check(OTHER.balance == before + FEE, "not all");
        vm.prank(OTHER);
        refuse(ExampleConsumer.NotTheAsker.selector);
        consumer.cancel(id, request);
    }

    // ---- Reads

    function test_statusOf() public {
        check(service.statusOf(new uint256[](0)).length == 0, "an empty list");
        (Asked memory one, Asked memory two) = (ask(), ask());
        answer(two, truth(two));
        giveNotice(one);
        uint256[] memory ids = new uint256[](6);
        (ids[0], ids[1], ids[2]) = (two.id, one.id, two.id);
        (ids[3], ids[4], ids[5]) = (0, 3, type(uint256).max);
        RequestStatus[] memory found = service.statusOf(ids);
        check(found.length == 6, "as many");
        check(keccak256(abi.encode(found[0])) == keccak256(abi.encode(found[2])), "a duplicate");
        check(found[0].hash == hashOf(two.id, two.request), "hash");
        check(found[1].hash == hashOf(one.id, one.request), "hash");
        check(found[1].cancellable == block.timestamp + WINDOW && found[0].cancellable == 0, "cancellable");
        bytes32 given = keccak256(abi.encode(service.provisionalAnswer(two.id)));
        check(keccak256(abi.encode(found[0].answer)) == given, "answer");
        check(found[1].answer.standing == Standing.None, "no answer");
        RequestStatus memory none;
        for (uint256 i = 3; i < 6; i++) {
            check(keccak256(abi.encode(found[i])) == keccak256(abi.encode(none)), "an unknown request");
        }
    }

    function test_gamesOf() public {
        check(service.gamesOf(new uint256[](0)).length == 0, "an empty list");
        Asked memory asked = ask();
        answer(asked, lie(asked, 5));
        Turn memory one = challenge(CHALLENGER, asked, truth(asked));
        Turn memory two = challenge(OTHER, asked, truth(asked));
        check(!playOut(one, lie(asked, 5), truth(asked)), "the liar wins");
        uint256[] memory ids = new uint256[](4);
        (ids[0], ids[1], ids[2], ids[3]) = (one.id, two.id, one.id, two.id + 1);
        bytes32[] memory found = service.gamesOf(ids);
        check(uint256(found[0]) == 2 && found[2] == found[0], "the game that is over, twice");
        check(found[1] == service.games(two.id) && uint256(found[1]) > 3, "the game that runs");
        check(found[3] == 0, "an unknown game");
    }

    function test_requestsAreCounted() public {
        check(service.requestCount() == 0, "none");
        Asked memory asked = ask();
        ask();
        service.request(order(), someInputs());
        check(service.requestCount() == 3, "three");
        vm.warp(giveNotice(asked));
        cancel(REQUESTER, asked);
        check(service.requestCount() == 3, "a cancelled one counts");
        Answer memory none;
        check(
            keccak256(abi.encode(service.provisionalAnswer(asked.id))) == keccak256(abi.encode(none)),
            "no answer"
        );
    }
}
