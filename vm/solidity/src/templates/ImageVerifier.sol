// SPDX-License-Identifier: MIT OR Apache-2.0
// Generated from an image's machine profile: do not edit.
pragma solidity ^0.8.24;

import {StepVerifier} from "./StepVerifier.sol";

/// @title Verifies one step of the image {{image}}.
contract {{name}} is StepVerifier {
    /// 2^{{memory_bits}} bytes of memory, {{code_size}} bytes of code at {{code_base}}.
    constructor() StepVerifier({{memory_bits}}, {{code_base}}, {{code_size}}) {}
}
