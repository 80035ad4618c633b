// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.24;

/// @title The cheatcodes of forge that the tests use.
interface Vm {
    struct Log {
        bytes32[] topics;
        bytes data;
        address emitter;
    }

    /// The next call comes from `sender`.
    function prank(address sender) external;
    /// Sets the time of the block.
    function warp(uint256 timestamp) external;
    /// Sets an account's wei.
    function deal(address account, uint256 wei_) external;
    /// The next call must revert with exactly this.
    function expectRevert(bytes calldata data) external;
    /// The next call must emit exactly what is emitted next.
    function expectEmit() external;
    /// Keeps what is emitted from here on.
    function recordLogs() external;
    /// What has been emitted since.
    function getRecordedLogs() external returns (Log[] memory);
    /// A number of the environment, or what stands in for it.
    function envOr(string calldata name, uint256 otherwise) external view returns (uint256);
    /// What follows is sent as transactions; for scripts.
    function startBroadcast() external;
    /// What follows isn't.
    function stopBroadcast() external;
    /// The gas of the last call goes into `snapshots/`.
    function snapshotGasLastCall(string calldata group, string calldata name) external returns (uint256);
}

// Where forge listens.
Vm constant vm = Vm(address(uint160(uint256(keccak256("hevm cheat code")))));
