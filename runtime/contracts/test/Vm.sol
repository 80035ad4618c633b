// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.24;

/// @title The cheatcodes of forge that the tests use.
interface Vm {
    struct Log {
        bytes32[] topics;
        bytes data;
        address emitter;
    }

    /// What forge is doing.
    enum ForgeContext {
        TestGroup,
        Test,
        Coverage,
        Snapshot,
        ScriptGroup,
        ScriptDryRun,
        ScriptBroadcast,
        ScriptResume,
        Unknown
    }

    /// The next call comes from `sender`.
    function prank(address sender) external;
    /// Sets the time of the block.
    function warp(uint256 timestamp) external;
    /// Sets an account's wei.
    function deal(address account, uint256 wei_) external;
    /// Gives an account code.
    function etch(address account, bytes calldata code) external;
    /// A word of an account's storage.
    function load(address account, bytes32 slot) external view returns (bytes32);
    /// Sets a word of an account's storage.
    function store(address account, bytes32 slot, bytes32 word) external;
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
    /// A text of the environment, or what stands in for it.
    function envOr(string calldata name, string calldata otherwise) external view returns (string memory);
    /// Whether forge does this, for example sends a script's transactions.
    function isContext(ForgeContext context) external view returns (bool);
    /// Sets the number of the block.
    function roll(uint256 number) external;
    /// Adds a field to the JSON of an object with a name of its own, and returns the JSON so far.
    function serializeAddress(string calldata object, string calldata field, address value)
        external
        returns (string memory);
    /// The same for a number.
    function serializeUint(string calldata object, string calldata field, uint256 value)
        external
        returns (string memory);
    /// The same for a word.
    function serializeBytes32(string calldata object, string calldata field, bytes32 value)
        external
        returns (string memory);
    /// The same for a text.
    function serializeString(string calldata object, string calldata field, string calldata value)
        external
        returns (string memory);
    /// Writes JSON to a file that foundry.toml allows.
    function writeJson(string calldata json, string calldata path) external;
    /// What follows is sent as transactions; for scripts.
    function startBroadcast() external;
    /// What follows isn't.
    function stopBroadcast() external;
    /// The gas of the last call goes into `snapshots/`.
    function snapshotGasLastCall(string calldata group, string calldata name) external returns (uint256);
}

// Where forge listens.
Vm constant vm = Vm(address(uint160(uint256(keccak256("hevm cheat code")))));
