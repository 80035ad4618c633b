// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.24;

import {IInferenceConsumer, IInferenceService, Request} from "./Interfaces.sol";

/// @title An example of a consumer: it stores the outputs that it receives.
/// @notice Use it as a template for your own. docs/integrating.md explains how consumers work.
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

    /// @notice Requests an inference. Once its output is final, it is in `outputs(id)`.
    function ask(bytes32 listing, bytes calldata input) external payable returns (uint256 id) {
        id = SERVICE.requestCallback{value: msg.value}(listing, input, address(this), 300_000, "");
        // The service makes no external call to this contract when it takes a request.
        // slither-disable-next-line reentrancy-benign
        askers[id] = msg.sender;
    }

    /// @notice Cancels a request that was not answered within the service's window. The money goes back to
    /// the asker.
    function cancel(uint256 id, Request calldata request) external {
        if (msg.sender != askers[id]) revert NotTheAsker();
        delete askers[id];
        SERVICE.cancel(id, request);
        SERVICE.withdraw();
        // slither-disable-next-line low-level-calls
        (bool taken,) = msg.sender.call{value: uint256(request.fee) + request.licenceFee}("");
        if (!taken) revert Refused();
    }

    /// Receives the refund from the service.
    receive() external payable {}

    /// @inheritdoc IInferenceConsumer
    function inferenceCallback(uint256 id, bytes calldata output, bytes calldata) external {
        // Anyone can call this function, but only the service knows which outputs are final.
        if (msg.sender != address(SERVICE)) revert NotTheService();
        outputs[id] = output;
        emit Delivered(id, output);
    }
}
