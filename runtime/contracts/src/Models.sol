// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.24;

import {IDisputeGame, Model, Region} from "./Interfaces.sol";

/// @title What a model can be.
library Models {
    /// @notice A leaf of memory is 2^LEAF_BITS bytes.
    uint256 internal constant LEAF_BITS = 5;

    /// @notice The hash that names a model.
    function hashOf(Model calldata model) internal pure returns (bytes32) {
        return keccak256(abi.encode(model));
    }

    /// @notice Refuses what no image can be.
    function requireValid(Model calldata model) internal pure {
        bool memoryValid = model.memoryBits >= 12 && model.memoryBits <= 45 && model.scratchBits >= LEAF_BITS
            && model.scratchBits <= model.memoryBits;
        if (!memoryValid || model.bigSteps == 0) revert IDisputeGame.InvalidModel();
        uint256 depth = model.memoryBits - LEAF_BITS;
        // A single leaf is any 32 bytes, so an output of one could be void; a hash can't.
        if (model.output.level == 0) revert IDisputeGame.InvalidModel();
        if (!inside(model.input, depth) || !inside(model.output, depth)) revert IDisputeGame.InvalidModel();
    }

    /// @notice How many bytes are in a subtree of this level.
    function sizeOf(uint256 level) internal pure returns (uint256) {
        return uint256(1) << (level + LEAF_BITS);
    }

    function inside(Region calldata region, uint256 depth) private pure returns (bool) {
        return region.level <= depth && region.index >> (depth - region.level) == 0;
    }
}
