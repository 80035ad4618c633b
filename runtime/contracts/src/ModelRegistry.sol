// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.24;

import {Card, IModelRegistry, Listing, Machine, Model} from "./Interfaces.sol";
import {Models} from "./Models.sol";

/// @title The registry of models. The ID of a listing is its hash.
/// @notice The registry deploys the verifiers itself, from creation code whose hash is fixed at construction.
/// So only the verifier of its machine decides disputes about a registered model. The registry has no owner.
contract ModelRegistry is IModelRegistry {
    /// @notice The hash of the creation code of the RV64IM verifier, without constructor arguments.
    bytes32 public immutable INTEGER_CODE;
    /// @notice The hash of the creation code of the RV64IMFD verifier, without constructor arguments.
    bytes32 public immutable FLOAT_CODE;

    mapping(bytes32 machine => address) private verifiers;
    mapping(bytes32 id => Card) private cards;

    constructor(bytes32 integerCode, bytes32 floatCode) {
        (INTEGER_CODE, FLOAT_CODE) = (integerCode, floatCode);
    }

    /// @inheritdoc IModelRegistry
    function deployVerifier(Machine calldata machine, bytes calldata creationCode)
        external
        returns (address verifier)
    {
        verifier = verifierOf(machine);
        if (verifier != address(0)) return verifier;
        if (keccak256(creationCode) != (machine.floats ? FLOAT_CODE : INTEGER_CODE)) revert CreationCode();
        bytes memory arguments = abi.encode(uint256(machine.memoryBits), machine.codeBase, machine.codeSize);
        bytes memory code = bytes.concat(creationCode, arguments);
        assembly ("memory-safe") {
            verifier := create(0, add(code, 32), mload(code))
        }
        if (verifier == address(0)) revert NotDeployed();
        verifiers[hashOf(machine)] = verifier;
        emit Deployed(verifier, machine);
    }

    /// @inheritdoc IModelRegistry
    function register(Listing calldata listing, Machine calldata machine) external returns (bytes32 id) {
        Model calldata model = listing.model;
        Models.requireValid(model);
        address verifier = verifierOf(machine);
        bool its =
            verifier != address(0) && verifier == model.verifier && machine.memoryBits == model.memoryBits;
        if (!its) revert NotItsVerifier(verifier);
        requireSize(listing.inputBytes, model.input.level);
        requireSize(listing.outputBytes, model.output.level);
        id = keccak256(abi.encode(listing));
        cards[id] = Card({
            model: Models.hashOf(model),
            inputBytes: listing.inputBytes,
            outputBytes: listing.outputBytes,
            inputLevel: model.input.level,
            outputLevel: model.output.level,
            licensor: listing.licensor,
            licenceFee: listing.licenceFee
        });
        emit Registered(id, listing, machine);
    }

    /// @inheritdoc IModelRegistry
    function verifierOf(Machine calldata machine) public view returns (address) {
        return verifiers[hashOf(machine)];
    }

    /// @inheritdoc IModelRegistry
    function cardOf(bytes32 id) external view returns (Card memory card) {
        card = cards[id];
        if (card.model == 0) revert Unknown();
    }

    function hashOf(Machine calldata machine) private pure returns (bytes32) {
        return keccak256(abi.encode(machine));
    }

    function requireSize(uint256 size, uint256 level) private pure {
        if (size == 0 || size > Models.sizeOf(level)) revert Size();
    }
}
