// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.24;

/// @title Merkle trees whose nodes over zeros are zero (docs/formats.md).
library Merkle {
    /// @notice The root that siblings, from the bottom up, lead to from a node at this index of its level.
    function fold(bytes32 from, uint256 index, bytes32[] calldata siblings) internal pure returns (bytes32 root) {
        root = from;
        assembly ("memory-safe") {
            let end := add(siblings.offset, shl(5, siblings.length))
            for { let at := siblings.offset } lt(at, end) { at := add(at, 32) } {
                let sibling := calldataload(at)
                if or(root, sibling) {
                    let side := shl(5, and(index, 1))
                    mstore(side, root)
                    mstore(xor(side, 32), sibling)
                    root := keccak256(0, 64)
                }
                index := shr(1, index)
            }
        }
    }

    /// @notice The root of the smallest tree over these leaves, at least one; missing ones are zero.
    function rootOf(bytes32[] calldata leaves) internal pure returns (bytes32 root) {
        assembly ("memory-safe") {
            // Each level takes the place of the one below, in memory that is free and stays so.
            let level := mload(0x40)
            let count := leaves.length
            calldatacopy(level, leaves.offset, shl(5, count))
            for {} gt(count, 1) {} {
                mstore(add(level, shl(5, count)), 0)
                count := shr(1, add(count, 1))
                for { let i := 0 } lt(i, count) { i := add(i, 1) } {
                    let pair := add(level, shl(6, i))
                    let parent := 0
                    if or(mload(pair), mload(add(pair, 32))) { parent := keccak256(pair, 64) }
                    mstore(add(level, shl(5, i)), parent)
                }
            }
            root := mload(level)
        }
    }

    /// @notice The levels of the smallest tree over `count` leaves, at least one.
    function depth(uint256 count) internal pure returns (uint256 levels) {
        while ((uint256(1) << levels) < count) ++levels;
    }
}
