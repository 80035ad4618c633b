// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.24;

/// @title Merkle trees as docs/formats.md defines them, word for word and without haste: what `Merkle` is held against.
library Naive {
    function node(bytes32 left, bytes32 right) internal pure returns (bytes32) {
        if (left == 0 && right == 0) return 0;
        return keccak256(abi.encodePacked(left, right));
    }

    function depth(uint256 count) internal pure returns (uint256 levels) {
        while (2 ** levels < count) levels += 1;
    }

    /// The tree's leaves, with zeros behind them until they are a power of two.
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

    /// The root of 2^level leaves of memory that begin with these bytes.
    function memoryRoot(bytes memory data, uint256 level) internal pure returns (bytes32) {
        bytes32[] memory leaves = new bytes32[](2 ** level);
        for (uint256 i = 0; i < data.length; i++) {
            uint256 byte_ = uint8(data[i]);
            leaves[i / 32] |= bytes32(byte_ << (8 * (i % 32)));
        }
        return root(leaves);
    }
}
