// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.24;

import {IDisputeGame, Model, Program} from "./Interfaces.sol";

/// @title Hashes, packed words and validity of models.
library Models {
    /// @notice A leaf of memory has 2^LEAF_BITS bytes.
    uint256 internal constant LEAF_BITS = 5;
    /// @notice The most big steps of a run, repetitions included.
    uint256 internal constant MAX_BIG_STEPS = 1 << 40;
    /// @notice The most inputs, and the most outputs, of a model.
    uint256 internal constant MAX_REGIONS = 64;

    uint256 private constant U64 = type(uint64).max;
    uint256 private constant U40 = type(uint40).max;
    uint256 private constant U32 = type(uint32).max;

    // ---- Hashes

    /// @notice The hash that identifies a program.
    function hashOf(Program calldata program) internal pure returns (bytes32) {
        return keccak256(abi.encode(program));
    }

    /// @notice The hash that identifies a model.
    function hashOf(Model calldata model) internal pure returns (bytes32) {
        return keccak256(
            abi.encode(
                hashOf(model.program),
                model.memoryRoot,
                keccak256(abi.encodePacked(model.inputs)),
                keccak256(abi.encodePacked(model.outputs))
            )
        );
    }

    // ---- Machines

    function extensionsOf(uint256 machine) internal pure returns (uint32) {
        // Valid machines have no higher bits.
        return uint32(machine >> 136);
    }

    function memoryBitsOf(uint256 machine) internal pure returns (uint256) {
        return machine >> 128 & 0xff;
    }

    /// @notice The levels of the tree over memory.
    function depthOf(uint256 machine) internal pure returns (uint256) {
        return memoryBitsOf(machine) - LEAF_BITS;
    }

    // ---- Regions

    function levelOf(uint256 region) internal pure returns (uint256) {
        return region >> 128;
    }

    function indexOf(uint256 region) internal pure returns (uint256) {
        return region >> 64 & U64;
    }

    function bytesOf(uint256 region) internal pure returns (uint256) {
        return region & U64;
    }

    /// @dev The leaf with which a region begins.
    function startOf(uint256 region) private pure returns (uint256) {
        return indexOf(region) << levelOf(region);
    }

    /// @dev The leaf after a region.
    function endOf(uint256 region) private pure returns (uint256) {
        return indexOf(region) + 1 << levelOf(region);
    }

    // ---- Schedules

    function scratchBitsOf(uint256 shape) internal pure returns (uint256) {
        return shape >> 176;
    }

    /// @notice The leaves of the schedule's tree.
    function leavesOf(uint256 shape) internal pure returns (uint256) {
        return (shape >> 144 & U32) + (shape >> 112 & U32) + (shape >> 80 & U32);
    }

    /// @notice The big steps of a run that repeats the period this often.
    function bigStepsOf(uint256 shape, uint256 repetitions) internal pure returns (uint256) {
        return (shape >> 144 & U32) + repetitions * (shape >> 112 & U32) + (shape >> 80 & U32);
    }

    /// @notice The leaf of big step `index`.
    function leafOf(uint256 shape, uint256 repetitions, uint256 index) internal pure returns (uint256) {
        uint256 prologue = shape >> 144 & U32;
        uint256 period = shape >> 112 & U32;
        if (index < prologue || period == 0) return index;
        index -= prologue;
        uint256 repeated = repetitions * period;
        return prologue + (index < repeated ? index % period : period + index - repeated);
    }

    /// @notice The fewest and the most repetitions.
    function repetitionsOf(uint256 shape) internal pure returns (uint256 least, uint256 most) {
        return (shape >> 40 & U40, shape & U40);
    }

    // ---- Validity

    /// @notice Reverts if no image can have these values.
    function requireValid(Model calldata model) internal pure {
        Program calldata program = model.program;
        uint256 scratchBits = scratchBitsOf(program.shape);
        uint256 memoryBits = memoryBitsOf(program.machine);
        bool valid = machineValid(program.machine) && scheduleValid(program.shape) && scratchBits >= LEAF_BITS
            && scratchBits <= memoryBits && regionsValid(model.inputs, memoryBits, scratchBits)
            && regionsValid(model.outputs, memoryBits, scratchBits) && compatible(model.inputs, model.outputs);
        if (!valid) revert IDisputeGame.InvalidModel();
    }

    function machineValid(uint256 machine) private pure returns (bool) {
        uint256 memoryBits = memoryBitsOf(machine);
        uint256 codeBase = machine >> 64 & U64;
        uint256 codeSize = machine & U64;
        return machine >> 168 == 0 && memoryBits >= 12 && memoryBits <= 45 && codeSize != 0
            && (codeBase | codeSize) & 31 == 0 && codeBase + codeSize <= U64;
    }

    function scheduleValid(uint256 shape) private pure returns (bool) {
        (uint256 least, uint256 most) = repetitionsOf(shape);
        bool repeats = shape >> 112 & U32 != 0;
        bool repetitionsValid = repeats ? least != 0 && least <= most : most == 0 && least == 0;
        return repetitionsValid && leavesOf(shape) != 0 && bigStepsOf(shape, most) <= MAX_BIG_STEPS;
    }

    /// @dev Whether regions are some, not too many, valid, ascending by address, and apart.
    function regionsValid(uint256[] calldata regions, uint256 memoryBits, uint256 scratchBits)
        private
        pure
        returns (bool)
    {
        if (regions.length == 0 || regions.length > MAX_REGIONS) return false;
        uint256 end = 0;
        for (uint256 i = 0; i < regions.length; ++i) {
            if (!regionValid(regions[i], memoryBits, scratchBits) || startOf(regions[i]) < end) return false;
            end = endOf(regions[i]);
        }
        return true;
    }

    /// @dev Whether a region is inside memory, holds its bytes, and does not touch scratch memory.
    function regionValid(uint256 region, uint256 memoryBits, uint256 scratchBits)
        private
        pure
        returns (bool)
    {
        uint256 level = levelOf(region);
        if (level + LEAF_BITS > memoryBits) return false;
        uint256 size = uint256(1) << level + LEAF_BITS;
        uint256 end = (indexOf(region) + 1) * size;
        uint256 scratch = (uint256(1) << memoryBits) - (uint256(1) << scratchBits);
        return bytesOf(region) != 0 && bytesOf(region) <= size && end <= scratch;
    }

    /// @dev Whether every input and every output are apart or the same subtree, which then changes in place.
    function compatible(uint256[] calldata inputs, uint256[] calldata outputs) private pure returns (bool) {
        (uint256 i, uint256 j) = (0, 0);
        while (i < inputs.length && j < outputs.length) {
            (uint256 input, uint256 output) = (inputs[i], outputs[j]);
            if (endOf(input) <= startOf(output)) {
                ++i;
            } else if (endOf(output) <= startOf(input)) {
                ++j;
            } else {
                // They overlap: those of one level are the same.
                if (levelOf(input) != levelOf(output)) return false;
                ++i;
            }
        }
        return true;
    }
}
