// SPDX-License-Identifier: MIT OR Apache-2.0
// Generated from an image: do not edit.
pragma solidity ^0.8.24;

import {Model, Program} from "./Interfaces.sol";

/// @title What the registry must know of the image {{image}}.
library {{name}}Model {
    /// The model's ID, on every chain.
    bytes32 internal constant ID = {{id}};
    /// The extensions of its machine.
    uint32 internal constant EXTENSIONS = {{extensions}};

    /// Interfaces.sol explains the packed words.
    function model() internal pure returns (Model memory its) {
        its.program = Program({
            codeRoot: {{code_root}},
            machine: {{machine}},
            scheduleRoot: {{schedule_root}},
            shape: {{shape}}
        });
        its.memoryRoot = {{memory_root}};
        (its.inputs, its.outputs) = (new uint256[]({{input_count}}), new uint256[]({{output_count}}));
{{inputs}}{{outputs}}    }

    /// The sets of extensions that have a verifier, and the hashes of the verifiers' creation codes.
    function verifiers() internal pure returns (uint32[] memory extensions, bytes32[] memory hashes) {
        (extensions, hashes) = (new uint32[]({{count}}), new bytes32[]({{count}}));
{{verifiers}}    }
}
