// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.24;

import {IInferenceConsumer, IInferenceService, Input, Order, Request} from "./Interfaces.sol";

/// @title An example of a consumer: it stores the outputs that it asked for.
/// @notice Use it as a template for your own. docs/integrating.md explains how consumers work.
contract ExampleConsumer is IInferenceConsumer {
    IInferenceService public immutable SERVICE;
    mapping(uint256 id => bytes[]) private delivered;
    mapping(uint256 id => address) public askers;

    event Delivered(uint256 indexed id, bytes[] outputs);

    error NotTheService();
    error NotAsked();
    error NotTheAsker();
    error Refused();

    constructor(IInferenceService service) {
        SERVICE = service;
    }

    /// @notice Requests an inference. Once its outputs are final, they are in `outputsOf(id)`.
    function ask(bytes32 model, Input[] calldata inputs) external payable returns (uint256 id) {
        Order memory order = Order({
            model: model,
            repetitions: 0,
            byRoot: 0,
            callback: address(this),
            callbackGas: 300_000,
            callbackData: ""
        });
        id = SERVICE.request{value: msg.value}(order, inputs);
        // The service makes no external call to this contract when it takes a request.
        // slither-disable-next-line reentrancy-benign
        askers[id] = msg.sender;
    }

    /// @notice The outputs of a request; none if they are not final, or if the model has none for its inputs.
    function outputsOf(uint256 id) external view returns (bytes[] memory) {
        return delivered[id];
    }

    /// @notice Gives notice that the asker wants its money back. Called again once the notice period is over,
    /// it returns the money, unless an answer has come.
    function cancel(uint256 id, Request calldata request) external {
        if (msg.sender != askers[id]) revert NotTheAsker();
        uint256 before = address(this).balance;
        // When it cancels, the service calls nobody but `receive`.
        // slither-disable-next-line reentrancy-no-eth,reentrancy-balance
        SERVICE.cancel(id, request);
        if (address(this).balance <= before) return;
        delete askers[id];
        // slither-disable-next-line low-level-calls
        (bool taken,) = msg.sender.call{value: request.fee}("");
        if (!taken) revert Refused();
    }

    /// Receives the refund from the service.
    receive() external payable {}

    /// @inheritdoc IInferenceConsumer
    function inferenceCallback(
        uint256 id,
        address requester,
        bytes32,
        bytes[] calldata outputs,
        bytes calldata
    ) external {
        // Anyone can call this function, but only the service knows which outputs are final.
        if (msg.sender != address(SERVICE)) revert NotTheService();
        // Anyone can make a request that names this contract; only its own concern it.
        if (requester != address(this)) revert NotAsked();
        for (uint256 i = 0; i < outputs.length; ++i) {
            delivered[id].push(outputs[i]);
        }
        emit Delivered(id, outputs);
    }
}
