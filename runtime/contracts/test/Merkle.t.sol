// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.24;

import {Merkle} from "../src/Merkle.sol";
import {Naive} from "./Naive.sol";

contract MerkleTest {
    // The library takes calldata.
    function rootOf(bytes32 first, bytes32[] calldata leaves) external pure returns (bytes32) {
        return Merkle.rootOf(first, leaves);
    }

    function rootOfMemory(bytes calldata data, uint256 level) external pure returns (bytes32) {
        return Merkle.rootOfMemory(data, level);
    }

    function fold(bytes32 from, uint256 index, bytes32[] calldata siblings) external pure returns (bytes32) {
        return Merkle.fold(from, index, siblings);
    }

    function foldPair(bytes32 left, bytes32 right, uint256 index, uint256 count, bytes32[] calldata siblings)
        external
        pure
        returns (bytes32, uint256)
    {
        return Merkle.foldPair(left, right, index, count, siblings);
    }

    function foldRegions(uint256[] calldata parts, uint256 levels, bytes32[] calldata words, bool blank)
        external
        pure
        returns (bytes32, uint256)
    {
        return Merkle.foldRegions(parts, levels, words, blank);
    }

    /// Leaves of which some are zero, and so are whole subtrees.
    function someLeaves(uint256 seed, uint256 count) private pure returns (bytes32[] memory leaves) {
        leaves = new bytes32[](count);
        for (uint256 i = 0; i < count; i++) {
            bytes32 word = keccak256(abi.encode(seed, i));
            if (uint8(word[0]) % 3 != 0) leaves[i] = word;
        }
    }

    function someBytes(uint256 seed, uint256 count) private pure returns (bytes memory data) {
        data = new bytes(count);
        for (uint256 i = 0; i < count; i++) {
            data[i] = keccak256(abi.encode(seed, i))[0];
        }
    }

    function testFuzz_rootOf(uint256 seed, uint16 length, bytes32 first) public view {
        bytes32[] memory leaves = someLeaves(seed, length % 300);
        require(this.rootOf(first, leaves) == Naive.root(Naive.prepend(first, leaves)), "another root");
    }

    function testFuzz_rootOfMemory(uint256 seed, uint16 length, uint8 more) public view {
        bytes memory data = someBytes(seed, length % 1100);
        uint256 level = Naive.depth((data.length + 31) / 32) + more % 4;
        require(this.rootOfMemory(data, level) == Naive.memoryRoot(data, level), "another root");
    }

    function testFuzz_fold(uint256 seed, uint16 length, uint16 place) public view {
        bytes32[] memory leaves = someLeaves(seed, 1 + length % 300);
        uint256 index = place % leaves.length;
        bytes32 root = this.fold(leaves[index], index, Naive.siblings(leaves, index));
        require(root == Naive.root(leaves), "another root");
    }

    function testFuzz_depth(uint256 count) public pure {
        count = 1 + count % (1 << 64);
        require(Merkle.depth(count) == Naive.depth(count), "another depth");
    }

    function test_everyLength() public view {
        for (uint256 length = 0; length <= 70; length++) {
            bytes32[] memory leaves = someLeaves(1, length);
            require(this.rootOf("first", leaves) == Naive.root(Naive.prepend("first", leaves)), "leaves");
            bytes memory data = someBytes(2, length);
            require(this.rootOfMemory(data, 2) == Naive.memoryRoot(data, 2), "bytes");
        }
    }

    // ---- Pairs

    /// Whether the proof of a pair leads to the root of the tree, and nothing of it is left over.
    function pairFolds(bytes32 root, bytes32[] memory leaves, uint256 index, bytes32[] memory siblings)
        private
        view
        returns (bool)
    {
        (bytes32 folded, uint256 used) =
            this.foldPair(leaves[index], leaves[index + 1], index, leaves.length, siblings);
        return folded == root && used == siblings.length;
    }

    /// Every pair of every tree of 2 to 40 leaves; and no proof that is shorter, longer or different.
    function test_everyPair() public view {
        for (uint256 count = 2; count <= 40; count++) {
            for (uint256 index = 0; index + 1 < count; index++) {
                // Each in a call of its own, which gives its memory back.
                this.hasOneProof(count, index);
            }
        }
    }

    function hasOneProof(uint256 count, uint256 index) external view {
        bytes32[] memory leaves = someLeavesWithoutZeros(count);
        bytes32 root = Naive.root(leaves);
        bytes32[] memory siblings = Naive.pairSiblings(leaves, index);
        require(pairFolds(root, leaves, index, siblings), "a proof is refused");
        refusesOthers(root, leaves, index, siblings);
        for (uint256 other = 0; other + 1 < count; other++) {
            if (other == index) continue;
            (bytes32 folded,) = this.foldPair(leaves[index], leaves[index + 1], other, count, siblings);
            require(folded != root, "another index");
        }
    }

    function refusesOthers(bytes32 root, bytes32[] memory leaves, uint256 index, bytes32[] memory siblings)
        private
        view
    {
        // One more: a word at the end, zeros included.
        bytes32[] memory longer = new bytes32[](siblings.length + 1);
        for (uint256 i = 0; i < siblings.length; i++) {
            longer[i] = siblings[i];
        }
        require(!pairFolds(root, leaves, index, longer), "an extra zero");
        longer[siblings.length] = leaves[index];
        require(!pairFolds(root, leaves, index, longer), "an extra sibling");
        for (uint256 place = 0; place < siblings.length; place++) {
            // One less, at any place.
            bytes32[] memory shorter = new bytes32[](siblings.length - 1);
            for (uint256 i = 0; i < shorter.length; i++) {
                shorter[i] = siblings[i < place ? i : i + 1];
            }
            require(!pairFolds(root, leaves, index, shorter), "a missing sibling");
            // One other.
            bytes32 kept = siblings[place];
            siblings[place] = kept ^ bytes32(uint256(1));
            require(!pairFolds(root, leaves, index, siblings), "a wrong sibling");
            siblings[place] = 0;
            require(!pairFolds(root, leaves, index, siblings), "a zero sibling");
            siblings[place] = kept;
        }
        // Two in the other order.
        for (uint256 place = 0; place + 1 < siblings.length; place++) {
            (siblings[place], siblings[place + 1]) = (siblings[place + 1], siblings[place]);
            require(!pairFolds(root, leaves, index, siblings), "swapped siblings");
            (siblings[place], siblings[place + 1]) = (siblings[place + 1], siblings[place]);
        }
    }

    /// A missing sibling may be replaced by bytes that follow the list in the calldata, but it still counts.
    function test_siblingsOutsideTheListCount() public view {
        bytes32[] memory leaves = someLeavesWithoutZeros(9);
        for (uint256 index = 0; index < 8; index++) {
            bytes32[] memory siblings = Naive.pairSiblings(leaves, index);
            bytes memory data = abi.encodeCall(
                this.foldPair, (leaves[index], leaves[index + 1], index, leaves.length, siblings)
            );
            // Cut the list's length, but leave its words.
            for (uint256 length = 0; length < siblings.length; length++) {
                uint256 place = 4 + 5 * 32;
                assembly ("memory-safe") {
                    mstore(add(add(data, 32), place), length)
                }
                (bool done, bytes memory found) = address(this).staticcall(data);
                (bytes32 root, uint256 used) = abi.decode(found, (bytes32, uint256));
                require(done && root == Naive.root(leaves), "another root");
                require(used == siblings.length, "words outside the list are not counted");
            }
        }
    }

    function someLeavesWithoutZeros(uint256 count) private pure returns (bytes32[] memory leaves) {
        leaves = new bytes32[](count);
        for (uint256 i = 0; i < count; i++) {
            leaves[i] = keccak256(abi.encode("leaf", i));
        }
    }

    function testFuzz_pairsWithZeros(uint256 seed, uint16 length, uint16 place) public view {
        bytes32[] memory leaves = someLeaves(seed, 2 + length % 300);
        uint256 index = place % (leaves.length - 1);
        require(
            pairFolds(Naive.root(leaves), leaves, index, Naive.pairSiblings(leaves, index)), "another root"
        );
    }

    /// The most leaves: 256 claims and their start.
    function test_pairsOfTheLargestTree() public view {
        bytes32[] memory leaves = someLeavesWithoutZeros(257);
        bytes32 root = Naive.root(leaves);
        uint16[6] memory places = [uint16(0), 1, 127, 128, 254, 255];
        for (uint256 i = 0; i < places.length; i++) {
            require(pairFolds(root, leaves, places[i], Naive.pairSiblings(leaves, places[i])), "another root");
        }
    }

    /// By hand: three leaves, so one level has two nodes and the other one sibling that is left out.
    function test_aPairByHand() public view {
        bytes32[] memory siblings = new bytes32[](1);
        bytes32 one = keccak256(abi.encode("a", "b"));
        siblings[0] = "z";
        // Leaves 1 and 2 of three: the left sibling of leaf 1 is leaf 0; leaf 2 has none.
        bytes32 left = keccak256(abi.encodePacked(bytes32("z"), one));
        bytes32 right = keccak256(abi.encodePacked(bytes32("y"), bytes32(0)));
        bytes32 root = keccak256(abi.encodePacked(left, right));
        require(folds(one, "y", 1, siblings, root), "leaves 1 and 2");
        // Leaves 0 and 1: their only sibling is the parent of leaf 2 and zero.
        siblings[0] = right;
        require(folds("z", one, 0, siblings, root), "leaves 0 and 1");
    }

    /// Whether a pair of three leaves folds to a root with one sibling.
    function folds(bytes32 left, bytes32 right, uint256 index, bytes32[] memory siblings, bytes32 root)
        private
        view
        returns (bool)
    {
        (bytes32 folded, uint256 used) = this.foldPair(left, right, index, 3, siblings);
        return folded == root && used == 1;
    }

    // ---- Parts

    uint256 private constant LEVELS = 6;

    /// Parts here and there, of all levels.
    function someParts(uint256 seed) private pure returns (uint256[] memory parts) {
        uint256[] memory all = new uint256[](1 << LEVELS);
        uint256 count;
        uint256 leaf = 0;
        for (uint256 i = 0; leaf < 1 << LEVELS; i++) {
            uint256 noise = uint256(keccak256(abi.encode("part", seed, i)));
            uint256 level = noise % 4;
            while (leaf % (1 << level) != 0) level--;
            // A seed chooses how many there are.
            if (noise / 4 % 64 < 1 + seed % 64) all[count++] = level << 128 | leaf >> level << 64 | 1;
            leaf += 1 << level;
        }
        // One at least.
        if (count == 0) all[count++] = (seed % (1 << LEVELS)) << 64 | 1;
        parts = new uint256[](count);
        for (uint256 i = 0; i < count; i++) {
            parts[i] = all[i];
        }
    }

    /// Random parts with random roots in random memory: the fold is what the whole tree says, and takes as
    /// many words as there are roots and siblings.
    function testFuzz_foldRegions(uint256 seed) public view {
        uint256[] memory parts = someParts(seed);
        bytes32[] memory leaves = someLeaves(seed, 1 << LEVELS);
        partsFold(leaves, parts, someLeaves(~seed, parts.length));
    }

    function partsFold(bytes32[] memory leaves, uint256[] memory parts, bytes32[] memory roots) private view {
        (bytes32 root, bytes32[] memory siblings) = Naive.replaced(leaves, parts, roots);
        require(siblings.length == Naive.siblingsOf(parts, LEVELS), "another number of siblings");
        bytes32[] memory words = Naive.concat(roots, siblings);
        (bytes32 folded, uint256 used) = this.foldRegions(parts, LEVELS, words, false);
        require(folded == root && used == words.length, "another root");
        // More words change nothing.
        words = Naive.concat(words, someLeaves(1, 3));
        (folded, used) = this.foldRegions(parts, LEVELS, words, false);
        require(folded == root && used == words.length - 3, "words that are not used");
        // Blank, the roots are zero.
        (root, siblings) = Naive.replaced(leaves, parts, new bytes32[](parts.length));
        (folded, used) = this.foldRegions(parts, LEVELS, words, true);
        require(folded == root && used == words.length - 3, "another blank root");
    }

    /// Every part alone, and every two of them.
    function test_everyTwoRegions() public view {
        for (uint256 one = 0; one < 1 << 4; one++) {
            for (uint256 two = one; two < 1 << 4; two++) {
                // Each in a call of its own, which gives its memory back.
                this.twoPartsFold(one, two);
            }
        }
    }

    function twoPartsFold(uint256 one, uint256 two) external view {
        for (uint256 level = 0; level < 3; level++) {
            for (uint256 other = 0; other < 3; other++) {
                uint256 first = level << 128 | one << 64 | 1;
                uint256 second = other << 128 | two << 64 | 1;
                if ((one + 1) << level > 1 << LEVELS || (two + 1) << other > 1 << LEVELS) continue;
                bool apart = (one + 1) << level <= two << other;
                if (!apart && first != second) continue;
                uint256[] memory parts = new uint256[](apart ? 2 : 1);
                parts[0] = first;
                if (apart) parts[1] = second;
                partsFold(someLeavesWithoutZeros(1 << LEVELS), parts, someLeavesWithoutZeros(parts.length));
            }
        }
    }

    /// Every altered word leads to another root, and so do roots in another order.
    function testFuzz_everyWordOfPartsCounts(uint256 seed, uint256 bit) public view {
        uint256[] memory parts = someParts(seed);
        bytes32[] memory roots = someLeavesWithoutZeros(parts.length);
        (bytes32 root, bytes32[] memory siblings) =
            Naive.replaced(someLeavesWithoutZeros(1 << LEVELS), parts, roots);
        bytes32[] memory words = Naive.concat(roots, siblings);
        for (uint256 i = 0; i < words.length; i++) {
            words[i] ^= bytes32(1 << bit % 256);
            (bytes32 folded,) = this.foldRegions(parts, LEVELS, words, false);
            require(folded != root, "a word is ignored");
            words[i] ^= bytes32(1 << bit % 256);
        }
        for (uint256 i = 1; i < words.length; i++) {
            if (words[i] == words[i - 1]) continue;
            (words[i], words[i - 1]) = (words[i - 1], words[i]);
            (bytes32 folded,) = this.foldRegions(parts, LEVELS, words, false);
            require(folded != root, "the order is ignored");
            (words[i], words[i - 1]) = (words[i - 1], words[i]);
        }
    }

    /// Words that are missing are read from what follows, but counted.
    function test_partsWithoutWords() public view {
        uint256[] memory parts = new uint256[](1);
        parts[0] = 1 << 128 | 3 << 64 | 1;
        (, uint256 used) = this.foldRegions(parts, LEVELS, new bytes32[](0), false);
        require(used == 6, "words that aren't there are not counted");
    }

    /// By hand: leaves 1 and 2 of four, whose paths meet at the root.
    function test_partsByHand() public view {
        uint256[] memory parts = new uint256[](2);
        (parts[0], parts[1]) = (1 << 64 | 1, 2 << 64 | 1);
        bytes32[] memory words = new bytes32[](4);
        (words[0], words[1], words[2], words[3]) = ("one", "two", "zero", "three");
        bytes32 left = keccak256(bytes.concat(bytes32("zero"), bytes32("one")));
        bytes32 right = keccak256(bytes.concat(bytes32("two"), bytes32("three")));
        (bytes32 root, uint256 used) = this.foldRegions(parts, 2, words, false);
        require(root == keccak256(bytes.concat(left, right)) && used == 4, "another root");
        left = keccak256(bytes.concat(bytes32("zero"), bytes32(0)));
        right = keccak256(bytes.concat(bytes32(0), bytes32("three")));
        (root, used) = this.foldRegions(parts, 2, words, true);
        require(root == keccak256(bytes.concat(left, right)) && used == 4, "another blank root");
    }

    // ---- Bytes

    /// By hand, without anybody's code: byte i of memory is byte i of the number.
    function test_leavesAreLittleEndian() public view {
        bytes memory two = hex"0102";
        require(this.rootOfMemory(two, 0) == bytes32(uint256(0x0201)), "one leaf");
        bytes32 parent = keccak256(abi.encode(uint256(0x0201), uint256(0)));
        require(this.rootOfMemory(two, 1) == parent, "a leaf and zeros");
        bytes memory last = new bytes(33);
        last[32] = 0x03;
        require(
            this.rootOfMemory(last, 1) == keccak256(abi.encode(uint256(0), uint256(3))), "the second leaf"
        );
    }

    function test_zerosHaveNoHash() public view {
        require(this.rootOfMemory("", 9) == 0, "no bytes");
        require(this.rootOfMemory(new bytes(100), 40) == 0, "zeros");
        require(this.rootOf(0, new bytes32[](37)) == 0, "zero leaves");
        require(this.fold(0, 5, new bytes32[](7)) == 0, "zero siblings");
        bytes32[] memory zeros = Naive.pairSiblings(new bytes32[](9), 3);
        (bytes32 root,) = this.foldPair(0, 0, 3, 9, zeros);
        require(root == 0, "a pair of zeros");
        (root,) = this.foldRegions(someParts(5), LEVELS, new bytes32[](200), false);
        require(root == 0, "parts of zeros");
    }

    /// Two roots in one call: the first must not stay in the memory that the second is computed in.
    function test_memoryIsLeftInOrder() public view {
        bytes32[] memory leaves = someLeaves(3, 33);
        (bytes32 one, bytes32 two, bytes32 three) = this.several(leaves, someBytes(4, 50));
        require(one == Naive.root(Naive.prepend("first", leaves)) && three == one, "leaves");
        require(two == Naive.memoryRoot(someBytes(4, 50), 1), "bytes");
    }

    function several(bytes32[] calldata leaves, bytes calldata data)
        external
        pure
        returns (bytes32, bytes32, bytes32)
    {
        bytes memory kept = abi.encode(leaves.length);
        bytes32 one = Merkle.rootOf("first", leaves);
        bytes32 two = Merkle.rootOfMemory(data, 1);
        bytes32 three = Merkle.rootOf("first", leaves);
        require(abi.decode(kept, (uint256)) == leaves.length, "memory in use was overwritten");
        return (one, two, three);
    }
}
