// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.24;

/// @title Verifies one step of a machine.
/// @notice A wrong claim is not an error: it is a post-state root that differs from the one that `step`
/// returns. An error means that the witness is not the one witness of this step, and says nothing about
/// either claim.
interface IStepVerifier {
    /// The machine has other extensions than this contract.
    error InvalidMachine();
    /// The witness has `given` bytes, but this step reads `needed` bytes.
    error WitnessLength(uint256 needed, uint256 given);
    /// The state in the witness does not hash to the pre-state root.
    error StateMismatch(bytes32 preStateRoot, bytes32 given);
    /// No machine has this status.
    error InvalidStatus(uint256 status);
    /// A number in the witness is said to have more than eight bytes.
    error NumberTooLong();
    /// Two proofs in the code's tree lead to different roots.
    error ProofMismatch(bytes32 root, bytes32 given);
    /// A proof names a sibling outside the tree, or a sibling that is zero.
    error ProofNotCanonical();

    /// @notice Executes one instruction.
    /// @param preStateRoot the root of the state before the step, on which both parties agree
    /// @param machine a valid machine: extensions << 136 | memory bits << 128 | code base << 64 | code size
    /// (formats.md, "Machine")
    /// @param witness what the step reads (formats.md, "Witness")
    /// @return postStateRoot the root of the state after the step
    function step(bytes32 preStateRoot, uint256 machine, bytes calldata witness)
        external
        view
        returns (bytes32 postStateRoot);
}
