// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.24;

import {DisputeGame} from "./DisputeGame.sol";
import {Game, IOpenDisputes, Model, Opening} from "./Interfaces.sol";

/// @title The game alone, without bonds. It is for tests only.
/// @notice Anyone may challenge any assertion, and winning has no consequences.
contract OpenDisputes is DisputeGame, IOpenDisputes {
    uint256 private next = 1;

    /// @inheritdoc IOpenDisputes
    function challenge(
        address asserter,
        uint16 arity,
        uint32 clock,
        Model calldata model,
        bytes32 inputRoot,
        bytes32 asserted,
        Opening calldata opening
    ) external returns (uint256 id) {
        // All other fields are meant to be zero.
        // slither-disable-next-line uninitialized-local
        Game memory game;
        game.model = hashOf(model);
        game.asserter = asserter;
        game.challenger = msg.sender;
        game.arity = arity;
        game.asserterClock = clock;
        id = next++;
        openGame(id, game, model, inputRoot, asserted, opening);
    }

    function requireAlive(uint256) internal view override {}

    function won(uint256, Game memory, bool) internal override {}
}
