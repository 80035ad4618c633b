// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.24;

import {IModelRegistry, Model, Order} from "../src/Interfaces.sol";
import {InferenceService} from "../src/InferenceService.sol";
import {ModelRegistry} from "../src/ModelRegistry.sol";
import {Stage} from "./Stage.sol";
import {Toy, ToyVerifier} from "./Toy.sol";
import {vm} from "./Vm.sol";

/// @dev Says yes to everything.
contract YesVerifier {
    function step(bytes32, uint256, bytes calldata) external pure returns (bytes32) {
        return 0;
    }
}

/// @dev Cannot be deployed.
contract FailingVerifier {
    constructor() {
        revert("no");
    }
}

contract ModelRegistryTest is Stage {
    uint32 private constant EXTENSIONS = Toy.EXTENSIONS;
    uint32 private constant OTHERS = type(uint32).max;

    /// A registry that knows two sets of extensions.
    function registryOf(uint32 one, bytes memory codeOfOne, uint32 two, bytes memory codeOfTwo)
        private
        returns (ModelRegistry)
    {
        uint32[] memory sets = new uint32[](2);
        bytes32[] memory hashes = new bytes32[](2);
        (sets[0], sets[1]) = (one, two);
        (hashes[0], hashes[1]) = (keccak256(codeOfOne), keccak256(codeOfTwo));
        return new ModelRegistry(sets, hashes);
    }

    function bothVerifiers() private returns (ModelRegistry) {
        return registryOf(EXTENSIONS, type(ToyVerifier).creationCode, OTHERS, type(YesVerifier).creationCode);
    }

    // ---- Sets of extensions

    function test_theSetsAreKept() public {
        ModelRegistry both = bothVerifiers();
        uint32[] memory sets = both.sets();
        check(sets.length == 2 && sets[0] == EXTENSIONS && sets[1] == OTHERS, "other sets");
        check(both.verifierOf(EXTENSIONS) != both.verifierOf(OTHERS), "one verifier for two sets");
    }

    function test_noSetTwice() public {
        bytes memory code = type(ToyVerifier).creationCode;
        uint32[] memory sets = new uint32[](2);
        bytes32[] memory hashes = new bytes32[](2);
        (hashes[0], hashes[1]) = (keccak256(code), keccak256(type(YesVerifier).creationCode));
        refuse(IModelRegistry.InvalidSets.selector);
        new ModelRegistry(sets, hashes);
        // Two sets may share their code.
        sets[1] = 1;
        hashes[1] = hashes[0];
        ModelRegistry shared = new ModelRegistry(sets, hashes);
        check(shared.verifierOf(0) == shared.verifierOf(1), "two verifiers from one code");
    }

    function test_asManyHashesAsSets() public {
        for (uint256 i = 0; i < 3; i++) {
            for (uint256 j = 0; j < 3; j++) {
                if (i == j) continue;
                uint32[] memory sets = new uint32[](i);
                if (i == 2) sets[1] = 1;
                refuse(IModelRegistry.InvalidSets.selector);
                new ModelRegistry(sets, new bytes32[](j));
            }
        }
    }

    /// A registry that knows no sets registers nothing, and a service on it serves nothing.
    function test_anEmptyRegistry() public {
        ModelRegistry empty = new ModelRegistry(new uint32[](0), new bytes32[](0));
        check(empty.sets().length == 0 && empty.verifierOf(0) == address(0), "a verifier");
        bytes memory reason = abi.encodeWithSelector(IModelRegistry.NoVerifier.selector, EXTENSIONS);
        vm.expectRevert(reason);
        empty.deployVerifier(EXTENSIONS, type(ToyVerifier).creationCode);
        Model memory model = Toy.model(Toy.plain());
        vm.expectRevert(reason);
        empty.register(model);
        service = new InferenceService(empty, terms());
        Order memory ordered = order();
        refuse(IModelRegistry.Unknown.selector);
        service.request(ordered, someInputs());
    }

    // ---- Verifiers

    function test_verifiersComeOnlyFromKnownCode() public {
        registry = newRegistry();
        refuse(IModelRegistry.CreationCode.selector);
        registry.deployVerifier(EXTENSIONS, type(YesVerifier).creationCode);
        refuse(IModelRegistry.CreationCode.selector);
        registry.deployVerifier(EXTENSIONS, bytes.concat(type(ToyVerifier).creationCode, hex"00"));
        check(registry.verifierOf(EXTENSIONS).code.length == 0, "a verifier from unknown code");
        // The refused attempts do not stand in the way.
        address verifier = registry.deployVerifier(EXTENSIONS, type(ToyVerifier).creationCode);
        check(verifier.code.length != 0 && registry.verifierOf(EXTENSIONS) == verifier, "no verifier");
    }

    function test_eachSetHasItsOwnCode() public {
        registry = bothVerifiers();
        refuse(IModelRegistry.CreationCode.selector);
        registry.deployVerifier(OTHERS, type(ToyVerifier).creationCode);
        refuse(IModelRegistry.CreationCode.selector);
        registry.deployVerifier(EXTENSIONS, type(YesVerifier).creationCode);
        registry.deployVerifier(OTHERS, type(YesVerifier).creationCode);
        check(registry.verifierOf(EXTENSIONS).code.length == 0, "the other set's code");
    }

    function test_unknownSets() public {
        uint32[4] memory unknown = [0, EXTENSIONS - 1, EXTENSIONS + 1, OTHERS];
        for (uint256 i = 0; i < unknown.length; i++) {
            check(registry.verifierOf(unknown[i]) == address(0), "a verifier");
            vm.expectRevert(abi.encodeWithSelector(IModelRegistry.NoVerifier.selector, unknown[i]));
            registry.deployVerifier(unknown[i], type(ToyVerifier).creationCode);
        }
    }

    /// CREATE2 (EIP-1014), computed here: the address is known before the verifier is there, and does not
    /// depend on who deploys what in which order.
    function test_addressesDoNotDependOnTheOrder() public {
        (ModelRegistry one, ModelRegistry two) = (bothVerifiers(), bothVerifiers());
        address[4] memory before = addresses(one, two);
        one.deployVerifier(EXTENSIONS, type(ToyVerifier).creationCode);
        one.deployVerifier(OTHERS, type(YesVerifier).creationCode);
        refuse(IModelRegistry.CreationCode.selector);
        two.deployVerifier(OTHERS, type(ToyVerifier).creationCode);
        vm.prank(OTHER);
        two.deployVerifier(OTHERS, type(YesVerifier).creationCode);
        vm.prank(THIRD);
        two.deployVerifier(EXTENSIONS, type(ToyVerifier).creationCode);
        address[4] memory later = addresses(one, two);
        for (uint256 i = 0; i < 4; i++) {
            check(before[i] == later[i] && later[i].code.length != 0, "another address");
        }
        check(before[0] == placeOf(one, type(ToyVerifier).creationCode), "not CREATE2");
        check(before[1] == placeOf(one, type(YesVerifier).creationCode), "not CREATE2");
        check(before[2] == placeOf(two, type(ToyVerifier).creationCode), "not CREATE2");
        check(before[3] == placeOf(two, type(YesVerifier).creationCode), "not CREATE2");
    }

    function addresses(ModelRegistry one, ModelRegistry two) private view returns (address[4] memory) {
        return [
            one.verifierOf(EXTENSIONS),
            one.verifierOf(OTHERS),
            two.verifierOf(EXTENSIONS),
            two.verifierOf(OTHERS)
        ];
    }

    function placeOf(ModelRegistry deployer, bytes memory code) private pure returns (address) {
        bytes memory place = abi.encodePacked(hex"ff", address(deployer), uint256(0), keccak256(code));
        return address(bytes20(keccak256(place) << 96));
    }

    function test_aVerifierIsNeverReplaced() public {
        address first = registry.verifierOf(EXTENSIONS);
        bytes32 code = first.codehash;
        // Whoever comes later gets the first one, whatever code it brings.
        check(registry.deployVerifier(EXTENSIONS, type(YesVerifier).creationCode) == first, "another");
        check(registry.deployVerifier(EXTENSIONS, type(ToyVerifier).creationCode) == first, "another");
        check(registry.deployVerifier(EXTENSIONS, "") == first, "another");
        check(registry.verifierOf(EXTENSIONS) == first && first.codehash == code, "another");
    }

    function test_deployingIsLogged() public {
        registry = newRegistry();
        vm.expectEmit();
        emit IModelRegistry.Deployed(EXTENSIONS, registry.verifierOf(EXTENSIONS));
        registry.deployVerifier(EXTENSIONS, type(ToyVerifier).creationCode);
    }

    function test_codeThatCannotBeDeployed() public {
        registry = registryOf(EXTENSIONS, type(FailingVerifier).creationCode, OTHERS, "");
        refuse(IModelRegistry.NotDeployed.selector);
        registry.deployVerifier(EXTENSIONS, type(FailingVerifier).creationCode);
    }

    /// A set whose creation code is empty has no verifier: nothing is ever deployed there.
    function test_emptyCode() public {
        registry = registryOf(EXTENSIONS, "", OTHERS, type(YesVerifier).creationCode);
        registry.deployVerifier(EXTENSIONS, "");
        Model memory model = Toy.model(Toy.plain());
        vm.expectRevert(abi.encodeWithSelector(IModelRegistry.NoVerifier.selector, EXTENSIONS));
        registry.register(model);
    }

    // ---- Models

    function test_aModelNeedsTheVerifierOfItsMachine() public {
        registry = newRegistry();
        Model memory model = Toy.model(Toy.plain());
        vm.expectRevert(abi.encodeWithSelector(IModelRegistry.NoVerifier.selector, EXTENSIONS));
        registry.register(model);
        registry.deployVerifier(EXTENSIONS, type(ToyVerifier).creationCode);
        registry.register(model);
        // The extensions are the machine's.
        model.program.machine = Toy.MACHINE ^ (3 << 136);
        vm.expectRevert(abi.encodeWithSelector(IModelRegistry.NoVerifier.selector, EXTENSIONS ^ 3));
        registry.register(model);
    }

    function test_anIdIsTheModelsHash() public {
        Model memory model = Toy.model(Toy.periodic());
        (model.memoryRoot, model.program.codeRoot) = ("memory", "code");
        vm.expectEmit();
        emit IModelRegistry.Registered(idOf(model), model);
        check(registry.register(model) == idOf(model), "another ID");
        check(service.hashOf(model) == idOf(model), "another hash");
        sameCard(model);
    }

    function sameCard(Model memory model) private view {
        (uint256 shape, uint256[] memory inputs, uint256[] memory outputs) = registry.cardOf(idOf(model));
        bytes memory card = abi.encode(model.program.shape, model.inputs, model.outputs);
        check(keccak256(abi.encode(shape, inputs, outputs)) == keccak256(card), "another card");
    }

    /// As many parts as a model can have, and other numbers of inputs than of outputs.
    function test_cardsOfEverySize() public {
        uint8[2][5] memory counts = [[1, 1], [1, 64], [64, 1], [64, 64], [3, 2]];
        for (uint256 i = 0; i < counts.length; i++) {
            Model memory model = Toy.model(Toy.periodic());
            model.inputs = new uint256[](counts[i][0]);
            model.outputs = new uint256[](counts[i][1]);
            // Inputs are the even leaves up to 126, outputs the odd ones up to 125, and one is the same.
            for (uint256 j = 0; j < model.inputs.length; j++) {
                model.inputs[j] = 2 * j << 64 | (1 + j % 32);
            }
            for (uint256 j = 0; j < model.outputs.length; j++) {
                model.outputs[j] = (j == 0 ? 0 : 2 * j - 1) << 64 | (32 - j % 32);
            }
            registry.register(model);
            sameCard(model);
        }
    }

    /// The ID is the same on every chain, whoever registers it, and however often.
    function test_anIdDependsOnNothingElse() public {
        Model memory model = Toy.model(Toy.plain());
        bytes32 id = registry.register(model);
        vm.prank(OTHER);
        check(registry.register(model) == id, "by another");
        ModelRegistry other = newRegistry();
        vm.prank(THIRD);
        other.deployVerifier(EXTENSIONS, type(ToyVerifier).creationCode);
        vm.warp(block.timestamp + 1000);
        check(other.register(model) == id, "in another registry");
    }

    /// Every word of a model is part of its ID.
    function testFuzz_everyBitCounts(uint8 bit) public view {
        bytes32 id = idOf(Toy.model(Toy.periodic()));
        for (uint256 word = 0; word < 9; word++) {
            Model memory model = Toy.model(Toy.periodic());
            uint256 flip = uint256(1) << bit;
            if (word == 0) model.program.codeRoot ^= bytes32(flip);
            if (word == 1) model.program.machine ^= flip;
            if (word == 2) model.program.scheduleRoot ^= bytes32(flip);
            if (word == 3) model.program.shape ^= flip;
            if (word == 4) model.memoryRoot ^= bytes32(flip);
            if (word == 5 || word == 6) model.inputs[word - 5] ^= flip;
            if (word == 7 || word == 8) model.outputs[word - 7] ^= flip;
            check(service.hashOf(model) == idOf(model) && service.hashOf(model) != id, "a bit is ignored");
        }
    }

    /// So is the border between inputs and outputs.
    function test_inputsAreNotOutputs() public view {
        Model memory one = Toy.model(Toy.periodic());
        Model memory two = Toy.model(Toy.periodic());
        one.inputs = new uint256[](3);
        (one.inputs[0], one.inputs[1], one.inputs[2]) = (1, 2, 3);
        one.outputs = new uint256[](1);
        one.outputs[0] = 4;
        (two.inputs, two.outputs) = (Toy.pair(1, 2), Toy.pair(3, 4));
        check(service.hashOf(one) != service.hashOf(two), "one ID for two models");
        check(service.hashOf(one) == idOf(one) && service.hashOf(two) == idOf(two), "another hash");
    }

    function test_unknownModels() public {
        Order memory ordered = order();
        bytes32[3] memory unknown = [bytes32(0), bytes32(uint256(1)), ordered.model ^ bytes32(uint256(1))];
        for (uint256 i = 0; i < unknown.length; i++) {
            refuse(IModelRegistry.Unknown.selector);
            registry.cardOf(unknown[i]);
            ordered.model = unknown[i];
            refuse(IModelRegistry.Unknown.selector);
            service.request{value: 1 ether}(ordered, someInputs());
        }
    }
}
