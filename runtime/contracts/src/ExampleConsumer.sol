// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.24;

import {IInferenceConsumer, IInferenceService} from "./Interfaces.sol";

/// @title A consumer of inferences: it keeps the outputs that it is told.
/// @notice Start from it for your own. docs/integrating.md goes through it.
contract ExampleConsumer is IInferenceConsumer {
    IInferenceService public immutable SERVICE;
    mapping(uint256 id => bytes) public outputs;

    event Delivered(uint256 indexed id, bytes output);

    error NotTheService();

    constructor(IInferenceService service) {
        SERVICE = service;
    }

    /// @notice Asks for an inference; the output will be in `outputs(id)` once it is final.
    function ask(bytes32 listing, bytes calldata input) external payable returns (uint256 id) {
        id = SERVICE.requestCallback{value: msg.value}(listing, input, address(this), 300_000, "");
    }

    /// @inheritdoc IInferenceConsumer
    function inferenceCallback(uint256 id, bytes calldata output, bytes calldata) external {
        // Anybody may call this; only the service says what is final.
        if (msg.sender != address(SERVICE)) revert NotTheService();
        outputs[id] = output;
        emit Delivered(id, output);
    }
}
