// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.24;

import {Card, IDisputeGame, IModelRegistry, Listing, Machine} from "../src/Interfaces.sol";
import {ModelRegistry} from "../src/ModelRegistry.sol";
import {Stage} from "./Stage.sol";
import {Toy, ToyVerifier} from "./Toy.sol";
import {vm} from "./Vm.sol";

/// @dev Says yes to everything.
contract YesVerifier {
    constructor(uint256, uint64, uint64) {}
}

contract ModelRegistryTest is Stage {
    function test_verifiersComeFromKnownCodeOnly() public {
        Machine memory another = machine();
        another.codeSize = 96;
        vm.expectRevert(abi.encodeWithSelector(IModelRegistry.CreationCode.selector));
        registry.deployVerifier(another, type(YesVerifier).creationCode);
        vm.expectRevert(abi.encodeWithSelector(IModelRegistry.CreationCode.selector));
        registry.deployVerifier(another, bytes.concat(type(ToyVerifier).creationCode, hex"00"));
        // The integer machine's verifier is none for floats.
        another.floats = true;
        vm.expectRevert(abi.encodeWithSelector(IModelRegistry.CreationCode.selector));
        registry.deployVerifier(another, type(ToyVerifier).creationCode);
        check(registry.verifierOf(another) == address(0), "a verifier from unknown code");
    }

    function test_eitherCodeServesItsMachines() public {
        registry = new ModelRegistry(keccak256("none"), keccak256(type(ToyVerifier).creationCode));
        Machine memory floats = machine();
        vm.expectRevert(abi.encodeWithSelector(IModelRegistry.CreationCode.selector));
        registry.deployVerifier(floats, type(ToyVerifier).creationCode);
        floats.floats = true;
        address verifier = registry.deployVerifier(floats, type(ToyVerifier).creationCode);
        check(verifier != address(0) && registry.verifierOf(floats) == verifier, "no verifier");
    }

    function test_aVerifierIsNeverReplaced() public {
        address first = registry.verifierOf(machine());
        check(first == model.verifier && first.code.length != 0, "no verifier");
        // Who comes later gets the first one, whatever it brings.
        check(registry.deployVerifier(machine(), type(YesVerifier).creationCode) == first, "another verifier");
        check(registry.deployVerifier(machine(), type(ToyVerifier).creationCode) == first, "another verifier");
        check(registry.verifierOf(machine()) == first, "another verifier");
    }

    function test_aMachineThatCantBeHasNoVerifier() public {
        Machine memory impossible = machine();
        impossible.memoryBits = 13;
        vm.expectRevert(abi.encodeWithSelector(IModelRegistry.NotDeployed.selector));
        registry.deployVerifier(impossible, type(ToyVerifier).creationCode);
    }

    function test_aModelNeedsTheVerifierOfItsMachine() public {
        Listing memory bad = offer();
        bad.model.verifier = address(new YesVerifier(0, 0, 0));
        vm.expectRevert(abi.encodeWithSelector(IModelRegistry.NotItsVerifier.selector, model.verifier));
        registry.register(bad, machine());

        Machine memory other = machine();
        other.codeSize = 96;
        vm.expectRevert(abi.encodeWithSelector(IModelRegistry.NotItsVerifier.selector, address(0)));
        registry.register(offer(), other);
        bad.model.verifier = address(0);
        vm.expectRevert(abi.encodeWithSelector(IModelRegistry.NotItsVerifier.selector, address(0)));
        registry.register(bad, other);

        bad = offer();
        bad.model.memoryBits = 13;
        vm.expectRevert(abi.encodeWithSelector(IModelRegistry.NotItsVerifier.selector, model.verifier));
        registry.register(bad, machine());
    }

    function test_sizesFitTheirRegions() public {
        // Regions of one level hold 64 bytes.
        uint64[4] memory sizes = [uint64(0), 1, 64, 65];
        for (uint256 i = 0; i < sizes.length; i++) {
            bool bad = sizes[i] == 0 || sizes[i] > 64;
            Listing memory sized = offer();
            sized.inputBytes = sizes[i];
            if (bad) vm.expectRevert(abi.encodeWithSelector(IModelRegistry.Size.selector));
            registry.register(sized, machine());
            sized = offer();
            sized.outputBytes = sizes[i];
            if (bad) vm.expectRevert(abi.encodeWithSelector(IModelRegistry.Size.selector));
            registry.register(sized, machine());
        }
    }

    function test_modelsAreValid() public {
        Listing[7] memory bad;
        for (uint256 i = 0; i < bad.length; i++) {
            bad[i] = offer();
        }
        bad[0].model.bigSteps = 0;
        bad[1].model.scratchBits = 4;
        bad[2].model.scratchBits = Toy.MEMORY_BITS + 1;
        bad[3].model.input.level = 8;
        bad[4].model.input.index = 64;
        bad[5].model.output.level = 0;
        bad[6].model.output.index = type(uint64).max;
        for (uint256 i = 0; i < bad.length; i++) {
            vm.expectRevert(abi.encodeWithSelector(IDisputeGame.InvalidModel.selector));
            registry.register(bad[i], machine());
        }
    }

    function test_aCardSaysWhatTheListingSaid() public view {
        Card memory card = registry.cardOf(listing);
        check(listing == keccak256(abi.encode(offer())), "the name isn't the hash");
        check(card.model == keccak256(abi.encode(model)), "model");
        check(card.inputBytes == INPUT_BYTES && card.inputLevel == 1, "input");
        check(card.outputBytes == 32 && card.outputLevel == 1, "output");
        check(card.licensor == LICENSOR && card.licenceFee == LICENCE_FEE, "licence");
    }

    function test_aListingIsNotOverwritten() public {
        Card memory before = registry.cardOf(listing);
        // Whatever differs has another name, and the same is the same.
        Listing memory dearer = offer();
        dearer.licenceFee = 5 ether;
        dearer.licensor = OTHER;
        vm.prank(OTHER);
        bytes32 other = registry.register(dearer, machine());
        check(other != listing, "one name for two listings");
        vm.prank(OTHER);
        check(registry.register(offer(), machine()) == listing, "two names for one listing");
        check(
            keccak256(abi.encode(before)) == keccak256(abi.encode(registry.cardOf(listing))),
            "the card changed"
        );
    }

    function test_unknownListings() public {
        vm.expectRevert(abi.encodeWithSelector(IModelRegistry.Unknown.selector));
        registry.cardOf(bytes32(uint256(1)));
        vm.expectRevert(abi.encodeWithSelector(IModelRegistry.Unknown.selector));
        service.requestCallback{value: 1 ether}(bytes32(uint256(1)), someInput(), address(0), 0, "");
        vm.expectRevert(abi.encodeWithSelector(IModelRegistry.Unknown.selector));
        service.requestByRoot{value: 1 ether}(bytes32(uint256(1)), 0, address(0), 0, "");
    }
}
