// SPDX-License-Identifier: MIT OR Apache-2.0
// Generated from an image: do not edit.
pragma solidity ^0.8.24;

import {Listing, Machine, Model, Subtree} from "./Interfaces.sol";

/// @title What the registry must know of the image {{image}}.
library {{name}}Model {
    /// The creation code of `StepVerifier` for RV64IM and for RV64IMFD, hashed. The image is of an {{machine}} machine.
    bytes32 internal constant INTEGER_CODE = {{integer_code}};
    bytes32 internal constant FLOAT_CODE = {{float_code}};

    function machine() internal pure returns (Machine memory) {
        return Machine({
            floats: {{floats}},
            memoryBits: {{memory_bits}},
            codeBase: {{code_base}},
            codeSize: {{code_size}}
        });
    }

    function model(address verifier) internal pure returns (Model memory) {
        return Model({
            codeRoot: {{code_root}},
            memoryRoot: {{memory_root}},
            scheduleRoot: {{schedule_root}},
            bigSteps: {{big_steps}},
            memoryBits: {{memory_bits}},
            scratchBits: {{scratch_bits}},
            input: Subtree({level: {{input_level}}, index: {{input_index}}}),
            output: Subtree({level: {{output_level}}, index: {{output_index}}}),
            verifier: verifier
        });
    }

    /// Inputs and outputs lie one after the other as in the image's memory (`opml inspect`).
    function listing(address verifier, address licensor, uint96 licenceFee, bytes32 licence)
        internal
        pure
        returns (Listing memory)
    {
        return Listing({
            model: model(verifier),
            inputBytes: {{input_bytes}},
            outputBytes: {{output_bytes}},
            licensor: licensor,
            licenceFee: licenceFee,
            licence: licence
        });
    }
}
