// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.24;

/// @title Merkle trees whose nodes over zeros are zero (docs/formats.md).
library Merkle {
    /// @notice The node over two others.
    function node(bytes32 left, bytes32 right) internal pure returns (bytes32 parent) {
        assembly ("memory-safe") {
            if or(left, right) {
                mstore(0, left)
                mstore(32, right)
                parent := keccak256(0, 64)
            }
        }
    }

    /// @notice The root that siblings, from the bottom up, lead to from a node at this index of its level.
    function fold(bytes32 from, uint256 index, bytes32[] calldata siblings) internal pure returns (bytes32 root) {
        root = from;
        for (uint256 i = 0; i < siblings.length; ++i) {
            root = index & 1 == 0 ? node(root, siblings[i]) : node(siblings[i], root);
            index >>= 1;
        }
    }

    /// @notice The root of the smallest tree over these leaves, at least one; missing ones are zero.
    function rootOf(bytes32[] calldata leaves) internal pure returns (bytes32) {
        bytes32[] memory level = leaves;
        uint256 count = level.length;
        while (count > 1) {
            uint256 parents = (count + 1) / 2;
            for (uint256 i = 0; i < parents; ++i) {
                level[i] = node(level[2 * i], 2 * i + 1 < count ? level[2 * i + 1] : bytes32(0));
            }
            count = parents;
        }
        return level[0];
    }

    /// @notice The levels of the smallest tree over `count` leaves, at least one.
    function depth(uint256 count) internal pure returns (uint256 levels) {
        while ((uint256(1) << levels) < count) ++levels;
    }
}
