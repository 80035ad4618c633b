// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.24;

import {IInferenceConsumer, IInferenceService, Input, Order, Request, Source} from "./Interfaces.sol";

/// @title An example of a consumer: it stores the outputs that it asked for, of models with one input and one
/// output.
/// @notice Use it as a template for your own. docs/integrating.md explains how consumers work.
contract ExampleConsumer is IInferenceConsumer {
    IInferenceService public immutable SERVICE;
    mapping(uint256 id => bytes) public outputs;
    mapping(uint256 id => address) public askers;

    event Delivered(uint256 indexed id, bytes output);

    error NotTheService();
    error NotAsked();
    error NotTheAsker();
    error Refused();

    constructor(IInferenceService service) {
        SERVICE = service;
    }

    /// @notice Requests an inference. Once its output is final, it is in `outputs(id)`.
    function ask(bytes32 model, bytes calldata input) external payable returns (uint256 id) {
        Order memory order = Order({
            model: model,
            repetitions: 0,
            byRoot: 0,
            callback: address(this),
            callbackGas: 300_000,
            callbackData: ""
        });
        Input[] memory inputs = new Input[](1);
        inputs[0] = Input(Source.Bytes, input);
        id = SERVICE.request{value: msg.value}(order, inputs);
        // The service makes no external call to this contract when it takes a request.
        // slither-disable-next-line reentrancy-benign
        askers[id] = msg.sender;
    }

    /// @notice Gives notice that the asker wants its money back. Called again once the notice period is over,
    /// it returns the money, unless an answer has come.
    function cancel(uint256 id, Request calldata request) external {
        if (msg.sender != askers[id]) revert NotTheAsker();
        uint256 before = address(this).balance;
        // When it cancels, the service calls nobody but `receive`.
        // slither-disable-next-line reentrancy-no-eth,reentrancy-balance
        SERVICE.cancel(id, request);
        if (address(this).balance == before) return;
        delete askers[id];
        // slither-disable-next-line low-level-calls
        (bool taken,) = msg.sender.call{value: request.fee}("");
        if (!taken) revert Refused();
    }

    /// Receives the refund from the service.
    receive() external payable {}

    /// @inheritdoc IInferenceConsumer
    function inferenceCallback(uint256 id, address requester, bytes32, bytes[] calldata given, bytes calldata)
        external
    {
        // Anyone can call this function, but only the service knows which outputs are final.
        if (msg.sender != address(SERVICE)) revert NotTheService();
        // Anyone can make a request that names this contract; only its own concern it.
        if (requester != address(this)) revert NotAsked();
        // There is no output if the model has none for the input.
        bytes memory output = given.length == 0 ? bytes("") : given[0];
        outputs[id] = output;
        emit Delivered(id, output);
    }
}
