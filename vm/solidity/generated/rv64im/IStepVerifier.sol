// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.24;

/// @title Verifies one step of a machine.
/// @notice A wrong claim is not an error: it is a post-state root that differs from the one that `step`
/// returns. An error means that the witness is not the one witness of this step, and says nothing about
/// either claim.
interface IStepVerifier {
    /// No machine has this profile, or it has other extensions than this contract.
    error InvalidMachine();
    /// The witness has `given` bytes, but this step reads `needed` bytes (or more, if `needed` is larger).
    error WitnessLength(uint256 needed, uint256 given);
    /// The state in the witness does not hash to the pre-state root.
    error StateMismatch(bytes32 preStateRoot, bytes32 given);
    /// No machine has this status.
    error InvalidStatus(uint256 status);
    /// A proof leads to a root other than the one in the state.
    error ProofMismatch(bytes32 root, bytes32 given);
    /// A proof names a sibling outside the tree, or a sibling that is zero.
    error ProofNotCanonical();
    /// The float registers in the witness do not hash to the value in the state.
    error FloatsMismatch(bytes32 floatHash, bytes32 given);
    /// The float registers are in the long form although the short form would do, or in an unknown form.
    error FloatsNotCanonical();

    /// @notice Executes one instruction.
    /// @param preStateRoot the root of the state before the step, on which both parties agree
    /// @param machine the machine: extensions << 136 | memory bits << 128 | code base << 64 | code size
    /// (formats.md, "Machine")
    /// @param witness what the step reads (formats.md, "Witness")
    /// @return postStateRoot the root of the state after the step
    function step(bytes32 preStateRoot, uint256 machine, bytes calldata witness)
        external
        view
        returns (bytes32 postStateRoot);
}
