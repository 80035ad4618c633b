// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.24;

/// @title Judges one step of a machine.
/// @notice A wrong claim is not an error: it is a post-state root other than the one that `step` returns. Errors mean
/// that the witness is not the one witness of this step, and say nothing about either party's claim.
interface IStepVerifier {
    /// The constructor was given a machine that can't be.
    error InvalidProfile();
    /// The witness has `given` bytes; this step reads `needed` (at least, if `needed` is larger).
    error WitnessLength(uint256 needed, uint256 given);
    /// The state in the witness is not that of the pre-state root.
    error StateMismatch(bytes32 preStateRoot, bytes32 given);
    /// No machine has this status.
    error InvalidStatus(uint256 status);
    /// A proof leads to another root than the state's.
    error ProofMismatch(bytes32 root, bytes32 given);
    /// A proof names a sibling outside of the tree, or one that is zero.
    error ProofNotCanonical();
    /// The float registers are not those of the state.
    error FloatsMismatch(bytes32 floatHash, bytes32 given);
    /// The float registers are sent in the longer form for no reason, or in no form.
    error FloatsNotCanonical();

    /// @notice Executes one instruction.
    /// @param preStateRoot the root of the state before the step, agreed on by both parties
    /// @param witness what the step reads (formats.md, "Witness")
    /// @return postStateRoot the root of the state after the step
    function step(bytes32 preStateRoot, bytes calldata witness) external view returns (bytes32 postStateRoot);
}
