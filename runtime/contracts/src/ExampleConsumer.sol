// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.24;

import {IInferenceConsumer, IInferenceService, Request} from "./Interfaces.sol";

/// @title A consumer of inferences: it keeps the outputs that it is told.
/// @notice Start from it for your own. docs/integrating.md goes through it.
contract ExampleConsumer is IInferenceConsumer {
    IInferenceService public immutable SERVICE;
    mapping(uint256 id => bytes) public outputs;
    mapping(uint256 id => address) public askers;

    event Delivered(uint256 indexed id, bytes output);

    error NotTheService();
    error NotTheAsker();
    error Refused();

    constructor(IInferenceService service) {
        SERVICE = service;
    }

    /// @notice Asks for an inference; the output will be in `outputs(id)` once it is final.
    function ask(bytes32 listing, bytes calldata input) external payable returns (uint256 id) {
        id = SERVICE.requestCallback{value: msg.value}(listing, input, address(this), 300_000, "");
        // The service calls nobody when it takes a request.
        // slither-disable-next-line reentrancy-benign
        askers[id] = msg.sender;
    }

    /// @notice Gives up what nobody has answered for as long as the service's window; the money goes back to whoever asked.
    function cancel(uint256 id, Request calldata request) external {
        if (msg.sender != askers[id]) revert NotTheAsker();
        delete askers[id];
        SERVICE.cancel(id, request);
        SERVICE.withdraw();
        // slither-disable-next-line low-level-calls
        (bool taken,) = msg.sender.call{value: uint256(request.fee) + request.licenceFee}("");
        if (!taken) revert Refused();
    }

    /// The service pays what it owes.
    receive() external payable {}

    /// @inheritdoc IInferenceConsumer
    function inferenceCallback(uint256 id, bytes calldata output, bytes calldata) external {
        // Anybody may call this; only the service says what is final.
        if (msg.sender != address(SERVICE)) revert NotTheService();
        outputs[id] = output;
        emit Delivered(id, output);
    }
}
