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

    // ---- Parts

    /// A tree of memory in which parts have other roots.
    struct Replaced {
        bytes32[] leaves;
        uint256[] parts;
        bytes32[] roots;
        /// The siblings of the parts so far.
        bytes32[] siblings;
        uint256 used;
    }

    /// The root of memory, and the siblings of the parts: those of all parts in the left child come first,
    /// then those in the right child, and then the other child if only one has parts.
    function replaced(bytes32[] memory leaves, uint256[] memory parts, bytes32[] memory roots)
        internal
        pure
        returns (bytes32 root_, bytes32[] memory siblings_)
    {
        uint256 levels = depth(leaves.length);
        Replaced memory tree = Replaced(leaves, parts, roots, new bytes32[](levels * parts.length), 0);
        (root_,) = visit(tree, levels, 0);
        siblings_ = new bytes32[](tree.used);
        for (uint256 i = 0; i < tree.used; i++) {
            siblings_[i] = tree.siblings[i];
        }
    }

    /// A node's hash, and whether there are parts in it.
    function visit(Replaced memory tree, uint256 level, uint256 index)
        private
        pure
        returns (bytes32 hash, bool its)
    {
        for (uint256 i = 0; i < tree.parts.length; i++) {
            uint256 part = tree.parts[i];
            if (part >> 128 == level && uint64(part >> 64) == index) return (tree.roots[i], true);
        }
        if (level == 0) return (tree.leaves[index], false);
        (bytes32 left, bool inLeft) = visit(tree, level - 1, 2 * index);
        (bytes32 right, bool inRight) = visit(tree, level - 1, 2 * index + 1);
        if (inLeft != inRight) tree.siblings[tree.used++] = inLeft ? right : left;
        return (node(left, right), inLeft || inRight);
    }

    /// How many siblings parts have: each has a path to the root, less what neighbours share above their
    /// lowest common ancestor; and where two paths meet, neither needs the other as a sibling.
    function siblingsOf(uint256[] memory parts, uint256 levels) internal pure returns (uint256 count) {
        for (uint256 i = 0; i < parts.length; i++) {
            count += levels - (parts[i] >> 128);
        }
        for (uint256 i = 1; i < parts.length; i++) {
            (uint256 one, uint256 two) = (firstLeaf(parts[i - 1]), firstLeaf(parts[i]));
            uint256 common = 0;
            while (one >> common != two >> common) common++;
            count -= levels - common;
        }
        count -= 2 * (parts.length - 1);
    }

    function firstLeaf(uint256 part) internal pure returns (uint256) {
        return uint256(uint64(part >> 64)) << (part >> 128);
    }

    // ---- Lists

    /// The bytes from `start` on.
    function slice(bytes memory data, uint256 start) internal pure returns (bytes memory rest) {
        rest = new bytes(data.length - start);
        for (uint256 i = 0; i < rest.length; i++) {
            rest[i] = data[start + i];
        }
    }

    /// The words from `start` on.
    function slice(bytes32[] memory words, uint256 start) internal pure returns (bytes32[] memory rest) {
        rest = new bytes32[](words.length - start);
        for (uint256 i = 0; i < rest.length; i++) {
            rest[i] = words[start + i];
        }
    }

    /// Two lists as one.
    function concat(bytes32[] memory one, bytes32[] memory two) internal pure returns (bytes32[] memory all) {
        all = new bytes32[](one.length + two.length);
        for (uint256 i = 0; i < all.length; i++) {
            all[i] = i < one.length ? one[i] : two[i - one.length];
        }
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
