// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.24;

import {DigitReader} from "../src/DigitReader.sol";
import {IInferenceService, Request} from "opml/Interfaces.sol";

/// Stands in for the service: it takes requests and calls back when the test says so.
contract FakeService {
    uint256 public count;
    uint256 public fee;
    DigitReader private reader;

    function requestCallback(bytes32, bytes calldata, address callback, uint64, bytes calldata)
        external
        payable
        returns (uint256)
    {
        (reader, fee) = (DigitReader(payable(callback)), msg.value);
        return ++count;
    }

    function settle(uint256 id, bytes calldata output) external {
        reader.inferenceCallback{gas: reader.CALLBACK_GAS()}(id, output, "");
    }

    function cancel(uint256, Request calldata) external {}

    function withdraw() external {
        (bool taken,) = msg.sender.call{value: fee}("");
        require(taken, "the reader takes its money");
    }
}

contract DigitReaderTest {
    FakeService private service = new FakeService();
    DigitReader private reader = new DigitReader(IInferenceService(address(service)), bytes32(uint256(1)));

    receive() external payable {}

    /// Ten float32, little-endian: 0.9 for the given digit, 0.01 for the others.
    function probabilities(uint256 digit) private pure returns (bytes memory output) {
        for (uint256 i = 0; i < 10; ++i) {
            output = bytes.concat(output, i == digit ? bytes4(0x6666663f) : bytes4(0x0ad7233c));
        }
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
        try reader.inferenceCallback(id, probabilities(7), "") {
            revert("only the service can call back");
        } catch (bytes memory reason) {
            require(bytes4(reason) == DigitReader.NotTheService.selector, "and the error says so");
        }
    }

    function test_aModelWithoutAResultIsNoDigit() external {
        uint256 id = reader.ask(new bytes(3136));
        service.settle(id, "");
        require(reader.digits(id) == 0, "nothing is kept");
    }

    function test_aFeeReturnsToTheAsker() external {
        uint256 id = reader.ask{value: 1 ether}(new bytes(3136));
        uint256 before = address(this).balance;
        Request memory request;
        request.fee = 1 ether;
        reader.cancel(id, request);
        require(address(this).balance == before + 1 ether, "the fee is back");
        try reader.cancel(id, request) {
            revert("only once");
        } catch (bytes memory reason) {
            require(bytes4(reason) == DigitReader.NotTheAsker.selector, "only by the asker");
        }
    }
}
