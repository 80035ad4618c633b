// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.24;

import {InferenceService} from "../src/InferenceService.sol";
import {Terms} from "../src/Interfaces.sol";
import {ModelRegistry} from "../src/ModelRegistry.sol";
import {StepVerifier} from "../src/StepVerifier.sol";
import {{{name}}Model} from "../src/{{name}}Model.sol";
import {Vm, vm} from "../test/Vm.sol";

/// @title Deploys registry, verifier and service, and registers the model.
/// @notice README.md has the command, and the environment variables that change the terms.
contract Deploy {
    /// How many blocks deep a block is safe from reorganisations.
    uint256 private constant BURIED = {{buried}};

    function run()
        external
        returns (ModelRegistry registry, InferenceService service, address verifier, bytes32 model)
    {
        uint256 block_ = block.number > BURIED ? block.number - BURIED : 0;
        vm.startBroadcast();
        (registry, service, verifier, model) = deploy(terms());
        vm.stopBroadcast();
        if (vm.isContext(Vm.ForgeContext.ScriptBroadcast)) write(registry, service, block_);
    }

    /// Writes deployment.json, which `opml request`, `opml serve` and the other commands read. The block identifies the
    /// chain: no event is older, and no reorganisation undoes it.
    function write(ModelRegistry registry, InferenceService service, uint256 block_) private {
        string memory object = "deployment";
        vm.serializeUint(object, "chain_id", block.chainid);
        vm.serializeAddress(object, "registry", address(registry));
        vm.serializeAddress(object, "service", address(service));
        vm.serializeUint(object, "block", block_);
        // The hash of the last block can be asked for only from the next one on.
        vm.roll(block.number + 1);
        string memory json = vm.serializeBytes32(object, "block_hash", blockhash(block_));
        vm.writeJson(json, "deployment.json");
    }

    function deploy(Terms memory agreed)
        public
        returns (ModelRegistry registry, InferenceService service, address verifier, bytes32 model)
    {
        (uint32[] memory extensions, bytes32[] memory hashes) = {{name}}Model.verifiers();
        registry = new ModelRegistry(extensions, hashes);
        verifier = registry.deployVerifier({{name}}Model.EXTENSIONS, type(StepVerifier).creationCode);
        service = new InferenceService(registry, agreed);
        model = registry.register({{name}}Model.model());
    }

    /// The terms of the service: those of `opml deploy`, unless the environment changes them. The bonds cover what a whole
    /// game costs in gas at 50 gwei: {{asserter_ether}} and {{challenger_ether}}.
    function terms() public view returns (Terms memory) {
        uint96 asserterBond = uint96(setting("ASSERTER_BOND", {{asserter_bond}}, type(uint96).max));
        return Terms({
            window: uint32(setting("WINDOW", {{window}}, type(uint32).max)),
            clock: uint32(setting("CLOCK", {{clock}}, type(uint32).max)),
            arity: uint16(setting("ARITY", {{arity}}, 256)),
            asserterBond: asserterBond,
            challengerBond: uint96(setting("CHALLENGER_BOND", {{challenger_bond}}, type(uint96).max)),
            burned: uint96(setting("BURNED", asserterBond / 3, asserterBond))
        });
    }

    /// A number from the environment, or its default. It must fit the field that it is for.
    function setting(string memory name, uint256 otherwise, uint256 most) private view returns (uint256 value) {
        value = vm.envOr(name, otherwise);
        require(value <= most, name);
    }
}
