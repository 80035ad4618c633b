
    // ---- Float registers

    /// What each float register is at reset, and less which it is written: NaN-boxed +0.
    uint256 private constant BOXED_ZERO = 0xffffffff00000000;

    /// @dev Reads the float registers from the witness, which gives their hash.
    function loadFloats() private pure {
        uint256 end = loadNumbers(FLOATS);
        assembly ("memory-safe") {
            mstore(FLOATS_END, end)
        }
        reveal(FLOAT_HASH, hashOf(FLOATS, end));
    }

    /// @dev The float register `index`, all 64 bits.
    function floatRegister(uint256 index) private pure returns (uint256) {
        (uint256 place, uint256 length) = find(FLOATS, index);
        return numberAt(place, length) ^ BOXED_ZERO;
    }

    function frs1(uint256 instruction) private pure returns (uint256) {
        return floatRegister(fieldRs1(instruction));
    }

    function frs2(uint256 instruction) private pure returns (uint256) {
        return floatRegister(fieldRs2(instruction));
    }

    function frs3(uint256 instruction) private pure returns (uint256) {
        return floatRegister(fieldRs3(instruction));
    }

    /// @dev Writes all 64 bits of the destination float register, and updates the hash.
    function setFrd(uint256 instruction, uint256 value) private pure {
        uint256 end;
        assembly ("memory-safe") {
            end := mload(FLOATS_END)
        }
        end = replace(FLOATS, end, NEW_FLOATS, fieldRd(instruction), value ^ BOXED_ZERO);
        assembly ("memory-safe") {
            mstore(add(NEW, FLOAT_HASH), keccak256(NEW_FLOATS, sub(end, NEW_FLOATS)))
        }
    }
