// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.24;

import {DisputeGame} from "./DisputeGame.sol";
import {IDisputeGame, IModelRegistry, IOpenDisputes, Model} from "./Interfaces.sol";
import {Models} from "./Models.sol";

/// @title The game alone, without bonds. It is for tests only.
/// @notice Anyone may challenge any assertion, and winning has no consequences.
contract OpenDisputes is DisputeGame, IOpenDisputes {
    struct Players {
        address asserter;
        uint16 arity;
        address challenger;
    }

    IModelRegistry private immutable REGISTRY;
    uint256 private next = 1;
    mapping(uint256 id => Players) private players;

    constructor(IModelRegistry registry) {
        REGISTRY = registry;
    }

    /// @inheritdoc IOpenDisputes
    function challenge(
        address asserter,
        uint16 arity,
        uint32 clock,
        Model calldata model,
        uint64 repetitions,
        bytes32 inputs,
        bytes32 asserted,
        bytes32[] calldata words
    ) external returns (uint256 id) {
        Models.requireValid(model);
        (uint256 least, uint256 most) = Models.repetitionsOf(model.program.shape);
        if (arity < 2 || arity > MAX_ARITY || repetitions < least || repetitions > most) {
            revert IDisputeGame.InvalidModel();
        }
        id = next++;
        players[id] = Players(asserter, arity, msg.sender);
        openGame(id, model, repetitions, clock, inputs, asserted, words);
    }

    function playerOf(uint256 id, bool asserter) internal view override returns (address) {
        return asserter ? players[id].asserter : players[id].challenger;
    }

    function arityOf(uint256 id) internal view override returns (uint256) {
        return players[id].arity;
    }

    function verifierOf(uint32 extensions) internal view override returns (address) {
        return REGISTRY.verifierOf(extensions);
    }

    function requireAlive(uint256) internal view override {}

    function won(uint256, bool) internal override {}
}
