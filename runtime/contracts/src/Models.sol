// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.24;

import {IDisputeGame, Model, Subtree} from "./Interfaces.sol";

/// @title Validity and hashes of models.
library Models {
    /// @notice A leaf of memory has 2^LEAF_BITS bytes.
    uint256 internal constant LEAF_BITS = 5;

    /// @notice The hash that identifies a model.
    function hashOf(Model calldata model) internal pure returns (bytes32) {
        return keccak256(abi.encode(model));
    }

    /// @notice Reverts if no image can have these values.
    function requireValid(Model calldata model) internal pure {
        bool memoryValid = model.memoryBits >= 12 && model.memoryBits <= 45 && model.scratchBits >= LEAF_BITS
            && model.scratchBits <= model.memoryBits;
        if (!memoryValid || model.bigSteps == 0) revert IDisputeGame.InvalidModel();
        uint256 depth = model.memoryBits - LEAF_BITS;
        // A single leaf can be any 32 bytes, so the root of a one-leaf output could be void. A hash never is.
        if (model.output.level == 0) revert IDisputeGame.InvalidModel();
        if (!inside(model.input, depth) || !inside(model.output, depth)) revert IDisputeGame.InvalidModel();
    }

    /// @notice The number of bytes in a subtree of this level.
    function sizeOf(uint256 level) internal pure returns (uint256) {
        return uint256(1) << (level + LEAF_BITS);
    }

    function inside(Subtree calldata subtree, uint256 depth) private pure returns (bool) {
        return subtree.level <= depth && subtree.index >> (depth - subtree.level) == 0;
    }
}
