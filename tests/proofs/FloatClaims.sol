// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.24;

import {Claims} from "./Claims.sol";

/// @title What a float instruction has to do, in the words of the manual.
abstract contract FloatClaims is Claims {
    uint32 internal constant SIGN32 = 2 ** 31;
    uint64 internal constant SIGN64 = 2 ** 63;

    /// Writes a number of 32 bits: the upper half of the register is ones.
    function f32(uint32 value) internal {
        f64(type(uint64).max - type(uint32).max + value);
    }

    function f64(uint64 value) internal {
        (want.frd, want.number) = (1 + rd, value);
    }

    /// The number of 32 bits in a register: the canonical NaN if it isn't boxed.
    function unboxed(uint256 value) internal pure returns (uint32) {
        return value / 2 ** 32 == type(uint32).max ? uint32(value) : 0x7fc00000;
    }

    function narrow(uint64 a, uint256 rm) internal view returns (uint32) {
        return uint32(convert(a, rm, 52, 64, 23, 32));
    }

    function widen(uint32 a, uint256 rm) internal view returns (uint64) {
        return uint64(convert(a, rm, 23, 32, 52, 64));
    }

    function fma32(uint32 a, uint32 b, uint32 c, uint256 rm) internal view returns (uint32) {
        return uint32(multiplyAdd(a, b, c, rm, 23, 32));
    }

    function add32(uint32 a, uint32 b, uint256 rm) internal view returns (uint32) {
        return fma32(a, 0x3f800000, b, rm);
    }

    function mul32(uint32 a, uint32 b, uint256 rm) internal view returns (uint32) {
        return fma32(a, b, (a ^ b) & SIGN32, rm);
    }

    function div32(uint32 a, uint32 b, uint256 rm) internal view returns (uint32) {
        return uint32(divide(a, b, rm, 23, 32));
    }

    function sqrt32(uint32 a, uint256 rm) internal view returns (uint32) {
        return uint32(squareRoot(a, rm, 23, 32));
    }

    function min32(uint32 a, uint32 b) internal view returns (uint32) {
        return uint32(minMax(a, b, 0, 23, 32));
    }

    function max32(uint32 a, uint32 b) internal view returns (uint32) {
        return uint32(minMax(a, b, 1, 23, 32));
    }

    function equal32(uint32 a, uint32 b) internal view returns (uint64) {
        return uint64(compareEqual(a, b, 23, 32));
    }

    function less32(uint32 a, uint32 b) internal view returns (uint64) {
        return uint64(compareLess(a, b, 0, 23, 32));
    }

    function lessEqual32(uint32 a, uint32 b) internal view returns (uint64) {
        return uint64(compareLess(a, b, 1, 23, 32));
    }

    function class32(uint32 a) internal view returns (uint64) {
        return uint64(classify(a, 23, 32));
    }

    function toInteger32(uint32 a, uint256 rm, uint256 bits, uint256 signed) internal view returns (uint64) {
        return uint64(toInteger(a, rm, bits, signed, 23, 32));
    }

    function fromInteger32(uint64 a, uint256 rm, uint256 signed) internal view returns (uint32) {
        return uint32(fromInteger(a, rm, signed, 23, 32));
    }

    function fma64(uint64 a, uint64 b, uint64 c, uint256 rm) internal view returns (uint64) {
        return uint64(multiplyAdd(a, b, c, rm, 52, 64));
    }

    function add64(uint64 a, uint64 b, uint256 rm) internal view returns (uint64) {
        return fma64(a, 0x3ff0000000000000, b, rm);
    }

    function mul64(uint64 a, uint64 b, uint256 rm) internal view returns (uint64) {
        return fma64(a, b, (a ^ b) & SIGN64, rm);
    }

    function div64(uint64 a, uint64 b, uint256 rm) internal view returns (uint64) {
        return uint64(divide(a, b, rm, 52, 64));
    }

    function sqrt64(uint64 a, uint256 rm) internal view returns (uint64) {
        return uint64(squareRoot(a, rm, 52, 64));
    }

    function min64(uint64 a, uint64 b) internal view returns (uint64) {
        return uint64(minMax(a, b, 0, 52, 64));
    }

    function max64(uint64 a, uint64 b) internal view returns (uint64) {
        return uint64(minMax(a, b, 1, 52, 64));
    }

    function equal64(uint64 a, uint64 b) internal view returns (uint64) {
        return uint64(compareEqual(a, b, 52, 64));
    }

    function less64(uint64 a, uint64 b) internal view returns (uint64) {
        return uint64(compareLess(a, b, 0, 52, 64));
    }

    function lessEqual64(uint64 a, uint64 b) internal view returns (uint64) {
        return uint64(compareLess(a, b, 1, 52, 64));
    }

    function class64(uint64 a) internal view returns (uint64) {
        return uint64(classify(a, 52, 64));
    }

    function toInteger64(uint64 a, uint256 rm, uint256 bits, uint256 signed) internal view returns (uint64) {
        return uint64(toInteger(a, rm, bits, signed, 52, 64));
    }

    function fromInteger64(uint64 a, uint256 rm, uint256 signed) internal view returns (uint64) {
        return uint64(fromInteger(a, rm, signed, 52, 64));
    }
}
