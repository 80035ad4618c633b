// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.24;

import {IModelRegistry, Model} from "./Interfaces.sol";
import {Models} from "./Models.sol";

/// @title The registry of models. The ID of a model is its hash.
/// @notice The registry deploys the verifiers itself, one for each set of extensions, from creation code whose
/// hash is fixed at construction. So only these verifiers decide disputes about registered models. The
/// registry has no owner.
contract ModelRegistry is IModelRegistry {
    /// @dev What is stored of a model. A shape has no higher bits, and there is always an input.
    struct Card {
        uint184 shape;
        uint8 inputCount;
        uint8 outputCount;
        mapping(uint256 number => uint256) inputs;
        mapping(uint256 number => uint256) outputs;
    }

    uint32[] private known;
    mapping(uint32 extensions => address) private verifiers;
    mapping(bytes32 id => Card) private cards;

    /// @param extensions The sets of extensions that have a verifier.
    /// @param codeHashes For each of them, the hash of the verifier's creation code.
    constructor(uint32[] memory extensions, bytes32[] memory codeHashes) {
        if (extensions.length != codeHashes.length) revert InvalidSets();
        known = extensions;
        for (uint256 i = 0; i < extensions.length; ++i) {
            if (verifiers[extensions[i]] != address(0)) revert InvalidSets();
            // CREATE2 (EIP-1014): the address follows from the code alone, not from the order of deployment.
            bytes32 place =
                keccak256(abi.encodePacked(bytes1(0xff), address(this), bytes32(0), codeHashes[i]));
            verifiers[extensions[i]] = address(uint160(uint256(place)));
        }
    }

    /// @inheritdoc IModelRegistry
    function deployVerifier(uint32 extensions, bytes calldata creationCode)
        external
        returns (address verifier)
    {
        verifier = verifiers[extensions];
        if (verifier == address(0)) revert NoVerifier(extensions);
        if (verifier.code.length != 0) return verifier;
        bytes memory code = creationCode;
        address created;
        assembly ("memory-safe") {
            created := create2(0, add(code, 32), mload(code), 0)
        }
        if (created == address(0)) revert NotDeployed();
        if (created != verifier) revert CreationCode();
        emit Deployed(extensions, verifier);
    }

    /// @inheritdoc IModelRegistry
    function register(Model calldata model) external returns (bytes32 id) {
        Models.requireValid(model);
        uint32 extensions = Models.extensionsOf(model.program.machine);
        if (verifiers[extensions].code.length == 0) revert NoVerifier(extensions);
        id = Models.hashOf(model);
        Card storage card = cards[id];
        card.shape = uint184(model.program.shape);
        (card.inputCount, card.outputCount) = (uint8(model.inputs.length), uint8(model.outputs.length));
        for (uint256 i = 0; i < model.inputs.length; ++i) {
            card.inputs[i] = model.inputs[i];
        }
        for (uint256 i = 0; i < model.outputs.length; ++i) {
            card.outputs[i] = model.outputs[i];
        }
        emit Registered(id, model);
    }

    /// @inheritdoc IModelRegistry
    function sets() external view returns (uint32[] memory) {
        return known;
    }

    /// @inheritdoc IModelRegistry
    function verifierOf(uint32 extensions) external view returns (address) {
        return verifiers[extensions];
    }

    /// @inheritdoc IModelRegistry
    function cardOf(bytes32 id)
        external
        view
        returns (uint256 shape, uint256[] memory inputs, uint256[] memory outputs)
    {
        Card storage card = cards[id];
        shape = card.shape;
        (inputs, outputs) = (new uint256[](card.inputCount), new uint256[](card.outputCount));
        if (inputs.length == 0) revert Unknown();
        for (uint256 i = 0; i < inputs.length; ++i) {
            inputs[i] = card.inputs[i];
        }
        for (uint256 i = 0; i < outputs.length; ++i) {
            outputs[i] = card.outputs[i];
        }
    }
}
