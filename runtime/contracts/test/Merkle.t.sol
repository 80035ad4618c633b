// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.24;

import {Merkle} from "../src/Merkle.sol";
import {Naive} from "./Naive.sol";

contract MerkleTest {
    // The library takes calldata.
    function rootOf(bytes32[] calldata leaves) external pure returns (bytes32) {
        return Merkle.rootOf(leaves);
    }

    function rootOfMemory(bytes calldata data, uint256 level) external pure returns (bytes32) {
        return Merkle.rootOfMemory(data, level);
    }

    function fold(bytes32 from, uint256 index, bytes32[] calldata siblings) external pure returns (bytes32) {
        return Merkle.fold(from, index, siblings);
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

    function testFuzz_rootOf(uint256 seed, uint16 length) public view {
        bytes32[] memory leaves = someLeaves(seed, 1 + length % 300);
        require(this.rootOf(leaves) == Naive.root(leaves), "another root");
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
            require(this.rootOf(leaves) == (length == 0 ? bytes32(0) : Naive.root(leaves)), "leaves");
            bytes memory data = someBytes(2, length);
            require(this.rootOfMemory(data, 2) == Naive.memoryRoot(data, 2), "bytes");
        }
    }

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
        require(this.rootOf(new bytes32[](37)) == 0, "zero leaves");
        require(this.fold(0, 5, new bytes32[](7)) == 0, "zero siblings");
    }

    /// Two roots in one call: the first must not stay in the memory that the second is computed in.
    function test_memoryIsLeftInOrder() public view {
        bytes32[] memory leaves = someLeaves(3, 33);
        (bytes32 one, bytes32 two, bytes32 three) = this.several(leaves, someBytes(4, 50));
        require(one == Naive.root(leaves) && three == one, "leaves");
        require(two == Naive.memoryRoot(someBytes(4, 50), 1), "bytes");
    }

    function several(bytes32[] calldata leaves, bytes calldata data)
        external
        pure
        returns (bytes32, bytes32, bytes32)
    {
        bytes memory kept = abi.encode(leaves.length);
        bytes32 one = Merkle.rootOf(leaves);
        bytes32 two = Merkle.rootOfMemory(data, 1);
        bytes32 three = Merkle.rootOf(leaves);
        require(abi.decode(kept, (uint256)) == leaves.length, "memory in use was overwritten");
        return (one, two, three);
    }
}
