// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.24;

/// @title Merkle trees in which a node is zero if both of its children are (docs/formats.md).
library Merkle {
    /// @notice Folds a node at this index of its level with its siblings, from the bottom up, to the root.
    function fold(bytes32 from, uint256 index, bytes32[] calldata siblings)
        internal
        pure
        returns (bytes32 root)
    {
        root = from;
        assembly ("memory-safe") {
            let end := add(siblings.offset, shl(5, siblings.length))
            for { let at := siblings.offset } lt(at, end) { at := add(at, 32) } {
                let sibling := calldataload(at)
                if or(root, sibling) {
                    let side := shl(5, and(index, 1))
                    mstore(side, root)
                    // The exclusive or gives the other half.
                    // slither-disable-next-line incorrect-exp
                    mstore(xor(side, 32), sibling)
                    root := keccak256(0, 64)
                }
                index := shr(1, index)
            }
        }
    }

    /// @notice Folds two neighbouring leaves, number `index` and the next one, of the smallest tree over
    /// `count` leaves. The siblings come from the bottom up, the left one first; those behind the last leaf
    /// are zero and left out. `used` tells how many that takes. In place of missing ones, other bytes of the
    /// call are read.
    function foldPair(bytes32 left, bytes32 right, uint256 index, uint256 count, bytes32[] calldata siblings)
        internal
        pure
        returns (bytes32 root, uint256 used)
    {
        assembly ("memory-safe") {
            // While the two nodes have different parents, the left one is a right child and vice versa.
            for {} and(index, 1) {} {
                let sibling := calldataload(add(siblings.offset, shl(5, used)))
                used := add(used, 1)
                left := parent(sibling, left)
                sibling := 0
                // The right sibling of the right node.
                if lt(add(index, 2), count) {
                    sibling := calldataload(add(siblings.offset, shl(5, used)))
                    used := add(used, 1)
                }
                right := parent(right, sibling)
                index := shr(1, index)
                count := shr(1, add(count, 1))
            }
            root := parent(left, right)
            index := shr(1, index)
            count := shr(1, add(count, 1))
            for {} gt(count, 1) {} {
                switch and(index, 1)
                case 0 {
                    let sibling := 0
                    if lt(add(index, 1), count) {
                        sibling := calldataload(add(siblings.offset, shl(5, used)))
                        used := add(used, 1)
                    }
                    root := parent(root, sibling)
                }
                default {
                    let sibling := calldataload(add(siblings.offset, shl(5, used)))
                    used := add(used, 1)
                    root := parent(sibling, root)
                }
                index := shr(1, index)
                count := shr(1, add(count, 1))
            }
            function parent(a, b) -> node {
                if or(a, b) {
                    mstore(0, a)
                    mstore(32, b)
                    node := keccak256(0, 64)
                }
            }
        }
    }

    /// @notice Folds regions of memory to its root. `words` are the roots of the regions, all taken as zero if
    /// `blank`; then the siblings in the order in which they are needed: up from the first region, then from
    /// the next one, and so on (docs/formats.md). `used` tells how many words that takes. In place of missing
    /// ones, other bytes of the call are read.
    /// @param regions Valid parts of memory (`Models`), ascending and apart.
    /// @param levels The levels of the tree over memory.
    function foldRegions(uint256[] calldata regions, uint256 levels, bytes32[] calldata words, bool blank)
        internal
        pure
        returns (bytes32 root, uint256 used)
    {
        assembly ("memory-safe") {
            let next := add(words.offset, shl(5, regions.length))
            // Free memory, which stays free, has a place for each level: for a left child that waits until its
            // sibling is known. `waiting` has a bit for each place.
            let waiting := 0
            for { let i := 0 } lt(i, regions.length) {} {
                let level := calldataload(add(regions.offset, shl(5, i)))
                let index := and(shr(64, level), 0xffffffffffffffff)
                level := shr(128, level)
                root := mul(calldataload(add(words.offset, shl(5, i))), iszero(blank))
                i := add(i, 1)
                // The leaf with which the next region begins.
                let following := not(0)
                if lt(i, regions.length) {
                    let region := calldataload(add(regions.offset, shl(5, i)))
                    following := shl(shr(128, region), and(shr(64, region), 0xffffffffffffffff))
                }
                for {} lt(level, levels) { level := add(level, 1) } {
                    let sibling
                    switch and(shr(level, waiting), 1)
                    case 0 {
                        // The next region is in the sibling, which then is the right one.
                        // slither-disable-next-line incorrect-exp
                        if eq(shr(level, following), xor(index, 1)) {
                            mstore(add(mload(0x40), shl(5, level)), root)
                            // slither-disable-next-line incorrect-shift
                            waiting := or(waiting, shl(level, 1))
                            break
                        }
                        sibling := calldataload(next)
                        next := add(next, 32)
                    }
                    default {
                        sibling := mload(add(mload(0x40), shl(5, level)))
                        // slither-disable-next-line incorrect-shift
                        waiting := xor(waiting, shl(level, 1))
                    }
                    if or(root, sibling) {
                        let side := shl(5, and(index, 1))
                        mstore(side, root)
                        // slither-disable-next-line incorrect-exp
                        mstore(xor(side, 32), sibling)
                        root := keccak256(0, 64)
                    }
                    index := shr(1, index)
                }
            }
            used := shr(5, sub(next, words.offset))
        }
    }

    /// @notice The root of the smallest tree over `first` and these leaves. Missing leaves are zero.
    function rootOf(bytes32 first, bytes32[] calldata leaves) internal pure returns (bytes32) {
        uint256 nodes;
        assembly ("memory-safe") {
            // Uses free memory, which stays free.
            nodes := mload(0x40)
            mstore(nodes, first)
            calldatacopy(add(nodes, 32), leaves.offset, shl(5, leaves.length))
        }
        return reduce(nodes, leaves.length + 1);
    }

    /// @notice The root of an aligned subtree of memory, `level` levels above the leaves, that starts with
    /// these bytes followed by zeros. The bytes must fit into it.
    function rootOfMemory(bytes calldata data, uint256 level) internal pure returns (bytes32 root) {
        uint256 nodes;
        uint256 count = (data.length + 31) / 32;
        assembly ("memory-safe") {
            nodes := mload(0x40)
            let end := add(nodes, shl(5, count))
            mstore(add(nodes, and(data.length, not(31))), 0)
            calldatacopy(nodes, data.offset, data.length)
            // A leaf is a little-endian number, so its bytes are reversed.
            for { let at := nodes } lt(at, end) { at := add(at, 32) } { mstore(at, reversed(mload(at))) }

            // slither-disable-start too-many-digits (masks)
            function reversed(word) -> r {
                r := swapped(word, 8, 0x00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff)
                r := swapped(r, 16, 0x0000ffff0000ffff0000ffff0000ffff0000ffff0000ffff0000ffff0000ffff)
                r := swapped(r, 32, 0x00000000ffffffff00000000ffffffff00000000ffffffff00000000ffffffff)
                r := swapped(r, 64, 0x0000000000000000ffffffffffffffff0000000000000000ffffffffffffffff)
                r := or(shr(128, r), shl(128, r))
            }
            // slither-disable-end too-many-digits
            // Swaps neighbouring fields of `bits` bits. The mask selects every other field.
            function swapped(word, bits, mask) -> r {
                r := or(and(shr(bits, word), mask), shl(bits, and(word, mask)))
            }
        }
        root = reduce(nodes, count);
        for (uint256 above = depth(count); above < level; ++above) {
            if (root != 0) root = keccak256(abi.encode(root, bytes32(0)));
        }
    }

    /// @dev The root over `count` nodes in memory. They are overwritten, and so is the word after them.
    function reduce(uint256 nodes, uint256 count) private pure returns (bytes32 root) {
        assembly ("memory-safe") {
            // Each level overwrites the one below.
            for {} gt(count, 1) {} {
                mstore(add(nodes, shl(5, count)), 0)
                count := shr(1, add(count, 1))
                for { let i := 0 } lt(i, count) { i := add(i, 1) } {
                    let pair := add(nodes, shl(6, i))
                    let parent := 0
                    if or(mload(pair), mload(add(pair, 32))) { parent := keccak256(pair, 64) }
                    mstore(add(nodes, shl(5, i)), parent)
                }
            }
            if count { root := mload(nodes) }
        }
    }

    /// @notice The number of levels of the smallest tree over `count` leaves. There must be at least one.
    function depth(uint256 count) internal pure returns (uint256 levels) {
        while ((uint256(1) << levels) < count) ++levels;
    }
}
