// SPDX-License-Identifier: MIT OR Apache-2.0
// Generated from a run of an image: do not edit.
pragma solidity ^0.8.24;

import {StepVerifier} from "../src/StepVerifier.sol";
import {{{name}}Machine} from "../src/{{name}}Machine.sol";

/// @dev The first step of every instruction in a run of the image: the verifier computes the state after it from the
/// state before it, and accepts no other witness.
contract StepsTest {
    StepVerifier private verifier;

    function setUp() public {
        verifier = new StepVerifier();
    }

    function check(bytes32 before, bytes32 behind, bytes memory witness) private view {
        require(verifier.step(before, {{name}}Machine.MACHINE, witness) == behind, "another state");
        refuse(~before, witness);
        refuse(before, bytes.concat(witness, hex"00"));
        // Single bits, in every part of the witness.
        for (uint256 i = 0; i < witness.length; i += 13) {
            bytes1 kept = witness[i];
            witness[i] = kept ^ bytes1(uint8(1 << (i % 8)));
            refuse(before, witness);
            witness[i] = kept;
        }
        assembly ("memory-safe") {
            mstore(witness, sub(mload(witness), 1))
        }
        refuse(before, witness);
    }

    function refuse(bytes32 before, bytes memory witness) private view {
        try verifier.step(before, {{name}}Machine.MACHINE, witness) returns (bytes32) {
            revert("a changed witness was accepted");
        } catch {}
    }
{{steps}}}
