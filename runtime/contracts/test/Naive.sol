// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.24;

/// @title Merkle trees written exactly as docs/formats.md defines them, without regard to cost. The reference
/// for `Merkle`.
library Naive {
    function node(bytes32 left, bytes32 right) internal pure returns (bytes32) {
        if (left == 0 && right == 0) return 0;
        return keccak256(abi.encodePacked(left, right));
    }

    function depth(uint256 count) internal pure returns (uint256 levels) {
        while (2 ** levels < count) levels += 1;
    }

    /// The leaves of a tree: zeros follow until their number is a power of two.
    function padded(bytes32[] memory leaves) internal pure returns (bytes32[] memory all) {
        all = new bytes32[](2 ** depth(leaves.length));
        for (uint256 i = 0; i < leaves.length; i++) {
            all[i] = leaves[i];
        }
    }

    /// The next level of a tree.
    function above(bytes32[] memory level) internal pure returns (bytes32[] memory parents) {
        parents = new bytes32[](level.length / 2);
        for (uint256 i = 0; i < parents.length; i++) {
            parents[i] = node(level[2 * i], level[2 * i + 1]);
        }
    }

    function root(bytes32[] memory leaves) internal pure returns (bytes32) {
        bytes32[] memory level = padded(leaves);
        while (level.length > 1) level = above(level);
        return level[0];
    }

    function siblings(bytes32[] memory leaves, uint256 index) internal pure returns (bytes32[] memory found) {
        bytes32[] memory level = padded(leaves);
        found = new bytes32[](depth(leaves.length));
        for (uint256 i = 0; i < found.length; i++) {
            found[i] = level[index ^ 1];
            level = above(level);
            index /= 2;
        }
    }

    /// The siblings that prove leaves `index` and `index + 1` together: on each level, from the left, every
    /// node that is needed, is not known, and has a leaf below it.
    function pairSiblings(bytes32[] memory leaves, uint256 index)
        internal
        pure
        returns (bytes32[] memory found)
    {
        bytes32[] memory level = padded(leaves);
        bytes32[] memory all = new bytes32[](2 * depth(leaves.length));
        uint256 used;
        // The nodes that are known, and the nodes of the level that have a leaf below them.
        (uint256 first, uint256 last, uint256 count) = (index, index + 1, leaves.length);
        while (level.length > 1) {
            for (uint256 i = first / 2 * 2; i <= last / 2 * 2 + 1; i++) {
                bool known = i == first || i == last;
                if (!known && i < count) all[used++] = level[i];
            }
            level = above(level);
            (first, last, count) = (first / 2, last / 2, (count + 1) / 2);
        }
        found = new bytes32[](used);
        for (uint256 i = 0; i < used; i++) {
            found[i] = all[i];
        }
    }

    /// The root of 2^level leaves of memory that begin with these bytes.
    function memoryRoot(bytes memory data, uint256 level) internal pure returns (bytes32) {
        bytes32[] memory leaves = new bytes32[](2 ** level);
        for (uint256 i = 0; i < data.length; i++) {
            uint256 byte_ = uint8(data[i]);
            leaves[i / 32] |= bytes32(byte_ << (8 * (i % 32)));
        }
        return root(leaves);
    }

    /// The elements after `first`, as one list with it.
    function prepend(bytes32 first, bytes32[] memory rest) internal pure returns (bytes32[] memory all) {
        all = new bytes32[](rest.length + 1);
        all[0] = first;
        for (uint256 i = 0; i < rest.length; i++) {
            all[i + 1] = rest[i];
        }
    }
}
