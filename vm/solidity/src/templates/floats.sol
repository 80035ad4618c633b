
    // ---- Float registers

    /// @dev Reads the float registers from the witness and checks their hash.
    function loadFloats() private pure {
        unchecked {
            uint256 cursor = wordAt(CURSOR);
            uint256 form;
            bool boxed;
            assembly ("memory-safe") {
                form := byte(0, calldataload(cursor))
                calldatacopy(FLOATS, add(cursor, 1), 256)
                if eq(form, 1) {
                    // Every high half is all ones, and none is in the witness.
                    for { let place := add(FLOATS, 128) } lt(place, FLOATS_END) { place := add(place, 32) } {
                        mstore(place, not(0))
                    }
                }
                let high := and(mload(add(FLOATS, 128)), mload(add(FLOATS, 160)))
                high := and(high, and(mload(add(FLOATS, 192)), mload(add(FLOATS, 224))))
                boxed := iszero(not(high))
            }
            advance(cursor + 1 + (form == 1 ? uint256(128) : 256));
            if (form > 1 || boxed != (form == 1)) revert FloatsNotCanonical();
            uint256 given = hashFloats();
            if (given != wordAt(FLOAT_HASH)) {
                revert FloatsMismatch(bytes32(wordAt(FLOAT_HASH)), bytes32(given));
            }
        }
    }

    function hashFloats() private pure returns (uint256 root) {
        assembly ("memory-safe") {
            root := keccak256(FLOATS, 256)
        }
    }

    /// @dev The float register `index`, all 64 bits.
    function floatRegister(uint256 index) private pure returns (uint256 value) {
        assembly ("memory-safe") {
            let place := add(FLOATS, shl(2, index))
            value := or(shr(224, mload(place)), shl(32, shr(224, mload(add(place, 128)))))
        }
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
        uint256 index = fieldRd(instruction);
        assembly ("memory-safe") {
            // The low 32 bits of the word that ends with a half are that half.
            let place := add(sub(FLOATS, 28), shl(2, index))
            mstore(place, or(and(mload(place), not(0xffffffff)), and(value, 0xffffffff)))
            place := add(place, 128)
            mstore(place, or(and(mload(place), not(0xffffffff)), shr(32, value)))
        }
        uint256 root = hashFloats();
        assembly ("memory-safe") {
            mstore(FLOAT_HASH, root)
        }
    }
