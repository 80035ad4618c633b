// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.24;

import {Machine} from "./Machine.sol";

/// @title The same with float registers, and with any function at all for each operation of the soft-float.
/// @dev What the operations compute is proved elsewhere (floats.py): here it is proved which of them an
/// instruction uses, of what, and where the result goes. All that is assumed of them is that a result is a
/// number of its format.
abstract contract FloatMachine is Machine {
    mapping(uint256 => uint256) private floats;
    mapping(bytes32 => uint256) private results;

    function loadFloats() internal {}

    function floatRegister(uint256 index) internal view returns (uint256) {
        return floats[index] & 0xffffffffffffffff;
    }

    function frs1(uint256 instruction) internal view returns (uint256) {
        return floatRegister(fieldRs1(instruction));
    }

    function frs2(uint256 instruction) internal view returns (uint256) {
        return floatRegister(fieldRs2(instruction));
    }

    function frs3(uint256 instruction) internal view returns (uint256) {
        return floatRegister(fieldRs3(instruction));
    }

    function setFrd(uint256 instruction, uint256 value) internal {
        got.frd = 1 + fieldRd(instruction);
        got.number = value;
    }

    function fieldRs3(uint256 instruction) internal pure virtual returns (uint256);

    function any(bytes memory operation, uint256 width) private view returns (uint256) {
        return results[keccak256(operation)] & ((1 << width) - 1);
    }

    function multiplyAdd(uint256 a, uint256 b, uint256 c, uint256 rm, uint256 man, uint256 width)
        internal
        view
        returns (uint256)
    {
        return any(abi.encode(1, a, b, c, rm, man), width);
    }

    function divide(uint256 a, uint256 b, uint256 rm, uint256 man, uint256 width)
        internal
        view
        returns (uint256)
    {
        return any(abi.encode(2, a, b, rm, man), width);
    }

    function squareRoot(uint256 a, uint256 rm, uint256 man, uint256 width) internal view returns (uint256) {
        return any(abi.encode(3, a, rm, man), width);
    }

    function minMax(uint256 a, uint256 b, uint256 larger, uint256 man, uint256 width)
        internal
        view
        returns (uint256)
    {
        return any(abi.encode(4, a, b, larger, man), width);
    }

    function compareEqual(uint256 a, uint256 b, uint256 man, uint256 width) internal view returns (uint256) {
        return any(abi.encode(5, a, b, man, width), 1);
    }

    function compareLess(uint256 a, uint256 b, uint256 orEqual, uint256 man, uint256 width)
        internal
        view
        returns (uint256)
    {
        return any(abi.encode(6, a, b, orEqual, man, width), 1);
    }

    function classify(uint256 a, uint256 man, uint256 width) internal view returns (uint256) {
        return any(abi.encode(7, a, man, width), 10);
    }

    function toInteger(uint256 a, uint256 rm, uint256 bits, uint256 signed, uint256 man, uint256 width)
        internal
        view
        returns (uint256)
    {
        return any(abi.encode(8, a, rm, bits, signed, man, width), 64);
    }

    function fromInteger(uint256 a, uint256 rm, uint256 signed, uint256 man, uint256 width)
        internal
        view
        returns (uint256)
    {
        return any(abi.encode(9, a, rm, signed, man), width);
    }

    function convert(uint256 a, uint256 rm, uint256 man, uint256 width, uint256 toMan, uint256 toWidth)
        internal
        view
        returns (uint256)
    {
        return any(abi.encode(10, a, rm, man, width, toMan), toWidth);
    }
}
