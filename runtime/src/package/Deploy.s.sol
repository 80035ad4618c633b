// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.24;

import {InferenceService} from "../src/InferenceService.sol";
import {Terms} from "../src/Interfaces.sol";
import {ModelRegistry} from "../src/ModelRegistry.sol";
import {StepVerifier} from "../src/StepVerifier.sol";
import {{{name}}Model} from "../src/{{name}}Model.sol";
import {vm} from "../test/Vm.sol";

/// @title Deploys registry, verifier and service, and registers the model.
/// @notice README.md has the command, and the variables that change the terms.
contract Deploy {
    function run()
        external
        returns (ModelRegistry registry, InferenceService service, address verifier, bytes32 listing)
    {
        vm.startBroadcast();
        (registry, service, verifier, listing) = deploy(terms());
        vm.stopBroadcast();
    }

    function deploy(Terms memory agreed)
        public
        returns (ModelRegistry registry, InferenceService service, address verifier, bytes32 listing)
    {
        registry = new ModelRegistry({{name}}Model.INTEGER_CODE, {{name}}Model.FLOAT_CODE);
        verifier = registry.deployVerifier({{name}}Model.machine(), type(StepVerifier).creationCode);
        service = new InferenceService(registry, agreed);
        address licensor = address(uint160(setting("LICENSOR", 0, type(uint160).max)));
        uint96 licenceFee = uint96(setting("LICENCE_FEE", 0, type(uint96).max));
        bytes32 licence = bytes32(setting("LICENCE", 0, type(uint256).max));
        listing = registry.register(
            {{name}}Model.listing(verifier, licensor, licenceFee, licence), {{name}}Model.machine()
        );
    }

    /// What everyone plays by, if the environment doesn't say otherwise: a day to challenge, six hours for all moves of a
    /// side, and bonds well above what a whole game costs in gas.
    function terms() public view returns (Terms memory) {
        return Terms({
            window: uint32(setting("WINDOW", 1 days, type(uint32).max)),
            clock: uint32(setting("CLOCK", 6 hours, type(uint32).max)),
            arity: uint16(setting("ARITY", {{arity}}, 256)),
            asserterBond: uint96(setting("ASSERTER_BOND", 0.1 ether, type(uint96).max)),
            challengerBond: uint96(setting("CHALLENGER_BOND", 0.05 ether, type(uint96).max)),
            burned: uint96(setting("BURNED", 0.05 ether, type(uint96).max))
        });
    }

    /// A number of the environment that is not too large for its place.
    function setting(string memory name, uint256 otherwise, uint256 most) private view returns (uint256 value) {
        value = vm.envOr(name, otherwise);
        require(value <= most, name);
    }
}
