
    /// Step {{step}}.
    function test_{{mnemonic}}() public view {
        check(
            {{before}},
            {{after}},
            hex"{{witness}}"
        );
    }
