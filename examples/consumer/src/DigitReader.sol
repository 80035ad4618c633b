// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.24;

import {IInferenceConsumer, IInferenceService, Input, Order, Request, Source} from "opml/Interfaces.sol";

/// @title Asks which digit an image shows, and keeps the answer once it is final.
/// @notice Made for fixtures/mnist-cnn: 28 x 28 grey levels in, ten probabilities out, all float32.
contract DigitReader is IInferenceConsumer {
    /// @notice Enough for `inferenceCallback`; a callback gets exactly this much.
    uint64 public constant CALLBACK_GAS = 200_000;

    IInferenceService public immutable SERVICE;
    /// @notice The model's ID, as `opml register` prints it.
    bytes32 public immutable MODEL;

    mapping(uint256 id => address) public askers;
    mapping(uint256 id => uint256) public digits;

    event Asked(uint256 indexed id, address asker);
    event Read(uint256 indexed id, uint256 digit);
    /// @notice The model has no result on this input.
    event NoResult(uint256 indexed id);

    error NotTheService();
    error NotAsked();
    error NotTheAsker();
    error NotTenFloats();
    error Refused();

    constructor(IInferenceService service, bytes32 model) {
        (SERVICE, MODEL) = (service, model);
    }

    /// The service pays the fee of a cancelled request back to this contract.
    receive() external payable {}

    /// @notice Asks for the digit. The money sent is the fee for whoever answers.
    /// @param image 28 x 28 float32 in rows, little-endian: 3,136 bytes.
    function ask(bytes calldata image) external payable returns (uint256 id) {
        Order memory order = Order({
            model: MODEL,
            repetitions: 0,
            byRoot: 0,
            callback: address(this),
            callbackGas: CALLBACK_GAS,
            callbackData: ""
        });
        Input[] memory inputs = new Input[](1);
        inputs[0] = Input(Source.Bytes, image);
        id = SERVICE.request{value: msg.value}(order, inputs);
        askers[id] = msg.sender;
        emit Asked(id, msg.sender);
    }

    /// @notice Gives notice that the asker wants the fee back. Called again after the notice period, it
    /// returns the fee, unless an answer has come.
    /// @param request The request as the service's `Requested` event shows it.
    function cancel(uint256 id, Request calldata request) external {
        if (msg.sender != askers[id]) revert NotTheAsker();
        uint256 before = address(this).balance;
        SERVICE.cancel(id, request);
        if (address(this).balance <= before) return;
        delete askers[id];
        (bool taken,) = msg.sender.call{value: request.fee}("");
        if (!taken) revert Refused();
    }

    /// @inheritdoc IInferenceConsumer
    /// @dev Called when the answer is final. If this reverts, the answer is final all the same, and anyone can
    /// have the call made again.
    function inferenceCallback(
        uint256 id,
        address requester,
        bytes32,
        bytes[] calldata outputs,
        bytes calldata
    ) external {
        // Anyone can call this function; only the service knows what is final.
        if (msg.sender != address(SERVICE)) revert NotTheService();
        // Anyone can name this contract in a request, with another model too; only its own concern it.
        if (requester != address(this)) revert NotAsked();
        // Models can trap. Then there are no outputs, and that is final too.
        if (outputs.length == 0) {
            emit NoResult(id);
            return;
        }
        digits[id] = mostLikely(outputs[0]);
        emit Read(id, digits[id]);
    }

    /// @notice The index of the largest of ten probabilities.
    /// @dev Positive floats are ordered like their bits, so no floating-point arithmetic is needed.
    function mostLikely(bytes calldata output) public pure returns (uint256 digit) {
        if (output.length != 40) revert NotTenFloats();
        uint32 most = 0;
        for (uint256 i = 0; i < 10; ++i) {
            bytes calldata number = output[4 * i:4 * i + 4];
            uint32 bits = 0;
            for (uint256 j = 4; j > 0; --j) {
                bits = bits << 8 | uint8(number[j - 1]);
            }
            if (bits > most) (most, digit) = (bits, i);
        }
    }
}
