// SPDX-License-Identifier: MIT OR Apache-2.0
// Generated from an image's machine profile: do not edit.
pragma solidity ^0.8.24;

/// @title The machine of the image {{image}}, as `IStepVerifier.step` takes it.
/// @notice 2^{{memory_bits}} bytes of memory, {{code_size}} bytes of code at {{code_base}}.
library {{name}} {
    uint256 internal constant MACHINE = {{machine}};
}
