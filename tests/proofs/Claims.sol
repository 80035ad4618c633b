// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.24;

import {Instructions} from "./Instructions.sol";
import {Outcome} from "../Machine.sol";

/// @title What an instruction has to do, in the words of the manual.
/// @dev Solidity's own signed and narrow integers are the manual's, so that a claim shares no arithmetic with
/// the generated code, which has one type and masks.
abstract contract Claims is Instructions {
    /// What it has to do.
    Outcome internal want;
    uint256 internal rd;
    /// The address of the instruction.
    int64 internal pc;
    /// What a load has read.
    uint64 internal loaded;

    /// Executes an instruction word at an address.
    function execute(uint256 word, uint256 place) internal {
        delete got;
        delete want;
        rd = (word / 128) % 32;
        pc = int64(uint64(place));
        want.pc = uint64(unchecked_(pc, 4));
        got.pc = dispatch(word, uint64(place));
    }

    function unchecked_(int64 from, int64 by) private pure returns (uint64) {
        unchecked {
            return uint64(from + by);
        }
    }

    /// Writes rd.
    function x(uint64 value) internal {
        want.rd = rd;
        if (rd != 0) want.value = value;
    }

    function x(int64 value) internal {
        x(uint64(value));
    }

    function traps(uint256 cause) internal {
        want.status = 16 + cause;
        want.pc = uint64(pc);
    }

    function exits() internal {
        want.status = 1;
        want.pc = uint64(pc);
    }

    function jump(uint64 target) internal {
        if (target % 4 != 0) return traps(0);
        x(unchecked_(pc, 4));
        want.pc = target;
    }

    function branch(bool taken, int64 by) internal {
        uint64 target = unchecked_(pc, by);
        if (!taken) return;
        if (target % 4 != 0) return traps(0);
        want.pc = target;
    }

    function loads(uint256 size, int64 base, int64 by) internal returns (bool) {
        uint64 location = unchecked_(base, by);
        if (size != 1 && location % size != 0) {
            traps(4);
        } else if (!readable(location)) {
            traps(5);
        } else {
            loaded = uint64(load(location, size));
            return true;
        }
        return false;
    }

    function stores(uint256 size, int64 base, int64 by, uint64 value) internal {
        uint64 location = unchecked_(base, by);
        if (size != 1 && location % size != 0) return traps(6);
        if (!writable(location)) return traps(7);
        (want.location, want.size, want.stored) = (location, size, value);
    }

    /// `(a - 2^64 s) (b - 2^64 t)`, multiplied out. The lemmas in instructions.py say that this is the
    /// product of the numbers with these bits, where `s` and `t` say which of them are negative.
    function product(uint256 a, bool s, uint256 b, bool t) internal pure returns (int256) {
        unchecked {
            return int256(a * b) - (s ? int256(b << 64) : int256(0)) - (t ? int256(a << 64) : int256(0))
                + (s && t ? int256(1 << 128) : int256(0));
        }
    }

    /// The instruction has done this, and nothing else.
    function done() internal view {
        assert(
            got.pc == want.pc && got.status == want.status && got.rd == want.rd && got.value == want.value
                && got.location == want.location && got.size == want.size && got.stored == want.stored
                && got.frd == want.frd && got.number == want.number
        );
    }
}
