
    /// Step {{step}}.
    function test_{{mnemonic}}() public view {
        verify(
            {{before}},
            {{after}},
            hex"{{witness}}"
        );
    }
