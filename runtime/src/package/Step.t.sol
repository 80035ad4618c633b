
    /// Step {{step}}.
    function test_{{mnemonic}}() public view {
        judge(
            {{before}},
            {{after}},
            hex"{{witness}}"
        );
    }
