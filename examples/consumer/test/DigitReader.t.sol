// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.24;

import {DigitReader} from "../src/DigitReader.sol";
import {IInferenceService, Input, Order, Request, Source} from "opml/Interfaces.sol";

/// Stands in for the service: it takes requests and calls back when the test says so.
contract FakeService {
    uint256 public count;
    uint256 public fee;
    DigitReader private reader;
    mapping(uint256 id => bool) private noticed;

    function request(Order calldata order, Input[] calldata inputs) external payable returns (uint256) {
        require(inputs.length == 1 && inputs[0].source == Source.Bytes, "one input, by its bytes");
        require(inputs[0].data.length == 3136, "an image");
        (reader, fee) = (DigitReader(payable(order.callback)), msg.value);
        return ++count;
    }

    function settle(uint256 id, bytes[] calldata outputs) external {
        callBack(id, address(reader), outputs);
    }

    /// What the service does for a request of somebody else that names the reader.
    function callBack(uint256 id, address requester, bytes[] calldata outputs) public {
        reader.inferenceCallback{gas: reader.CALLBACK_GAS()}(id, requester, reader.MODEL(), outputs, "");
    }

    /// The first call is the notice; the second one pays the fee back.
    function cancel(uint256 id, Request calldata) external {
        if (noticed[id]) {
            (bool taken,) = msg.sender.call{value: fee, gas: 20_000}("");
            require(taken, "the reader takes its money");
        }
        noticed[id] = true;
    }
}

contract DigitReaderTest {
    FakeService private service = new FakeService();
    DigitReader private reader = new DigitReader(IInferenceService(address(service)), bytes32(uint256(1)));

    receive() external payable {}

    /// Ten float32, little-endian: 0.9 for the given digit, 0.01 for the others.
    function probabilities(uint256 digit) private pure returns (bytes[] memory outputs) {
        bytes memory output;
        for (uint256 i = 0; i < 10; ++i) {
            output = bytes.concat(output, i == digit ? bytes4(0x6666663f) : bytes4(0x0ad7233c));
        }
        outputs = new bytes[](1);
        outputs[0] = output;
    }

    function test_theDigitIsKeptWhenItIsFinal() external {
        for (uint256 digit = 0; digit < 10; ++digit) {
            uint256 id = reader.ask{value: 1 ether}(new bytes(3136));
            service.settle(id, probabilities(digit));
            require(reader.digits(id) == digit, "the digit with the largest probability");
        }
    }

    function test_nobodyElseCanCallBack() external {
        uint256 id = reader.ask(new bytes(3136));
        try reader.inferenceCallback(id, address(reader), reader.MODEL(), probabilities(7), "") {
            revert("only the service can call back");
        } catch (bytes memory reason) {
            require(bytes4(reason) == DigitReader.NotTheService.selector, "and the error says so");
        }
    }

    function test_requestsOfOthersDoNotCount() external {
        uint256 id = reader.ask(new bytes(3136));
        try service.callBack(id, address(this), probabilities(7)) {
            revert("somebody else asked");
        } catch (bytes memory reason) {
            require(bytes4(reason) == DigitReader.NotAsked.selector, "and the error says so");
        }
        require(reader.digits(id) == 0, "nothing is kept");
    }

    function test_aModelWithoutAResultIsNoDigit() external {
        uint256 id = reader.ask(new bytes(3136));
        service.settle(id, new bytes[](0));
        require(reader.digits(id) == 0, "nothing is kept");
    }

    function test_aFeeReturnsToTheAsker() external {
        uint256 id = reader.ask{value: 1 ether}(new bytes(3136));
        uint256 before = address(this).balance;
        Request memory request;
        request.fee = 1 ether;
        reader.cancel(id, request);
        require(address(this).balance == before && reader.askers(id) == address(this), "notice first");
        reader.cancel(id, request);
        require(address(this).balance == before + 1 ether, "the fee is back");
        try reader.cancel(id, request) {
            revert("only once");
        } catch (bytes memory reason) {
            require(bytes4(reason) == DigitReader.NotTheAsker.selector, "only by the asker");
        }
    }
}
