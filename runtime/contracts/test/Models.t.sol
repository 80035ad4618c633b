// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.24;

import {IDisputeGame, Model} from "../src/Interfaces.sol";
import {Models} from "../src/Models.sol";
import {OpenDisputes} from "../src/OpenDisputes.sol";
import {Stage} from "./Stage.sol";
import {Plan, Toy} from "./Toy.sol";

/// @dev Which models are valid: every field of every packed word, at its limits and beyond.
contract ModelsTest is Stage {
    uint256 private constant U32 = type(uint32).max;
    uint256 private constant U40 = type(uint40).max;
    uint256 private constant U64 = type(uint64).max;

    OpenDisputes private disputes;
    bytes32[] private none;

    function setUp() public override {
        super.setUp();
        disputes = new OpenDisputes(registry);
    }

    function machine(uint256 extensions, uint256 bits, uint256 base, uint256 size)
        private
        pure
        returns (uint256)
    {
        return extensions << 136 | bits << 128 | base << 64 | size;
    }

    function part(uint256 level, uint256 index, uint256 size) private pure returns (uint256) {
        return level << 128 | index << 64 | size;
    }

    function plan(uint256 prologue, uint256 period, uint256 epilogue, uint256 least, uint256 most)
        private
        pure
        returns (uint256)
    {
        return Toy.shape(Plan(prologue, period, epilogue, least, most, 0));
    }

    function toy() private pure returns (Model memory) {
        return Toy.model(Toy.periodic());
    }

    function accept(Model memory model) private {
        check(registry.register(model) == idOf(model), "refused");
    }

    /// Neither the registry takes it nor the bare game.
    function reject(Model memory model) private {
        refuse(IDisputeGame.InvalidModel.selector);
        registry.register(model);
        refuse(IDisputeGame.InvalidModel.selector);
        disputes.challenge(ASSERTER, ARITY, CLOCK, model, 1, 0, 0, none);
    }

    // ---- Machines

    function acceptMachine(uint256 word) private {
        Model memory model = toy();
        model.program.machine = word;
        accept(model);
    }

    function rejectMachine(uint256 word) private {
        Model memory model = toy();
        model.program.machine = word;
        reject(model);
    }

    function test_memoryBits() public {
        acceptMachine(machine(Toy.EXTENSIONS, 12, 32, 32));
        acceptMachine(machine(Toy.EXTENSIONS, 45, 32, 32));
        uint8[6] memory bad = [0, 1, 11, 46, 64, 255];
        for (uint256 i = 0; i < bad.length; i++) {
            rejectMachine(machine(Toy.EXTENSIONS, bad[i], 32, 32));
        }
    }

    function test_codeIsInWholeLeavesBelowTwoToThe64() public {
        uint256 top = U64 - 31;
        acceptMachine(machine(Toy.EXTENSIONS, 12, 0, 32));
        acceptMachine(machine(Toy.EXTENSIONS, 12, 0, top));
        acceptMachine(machine(Toy.EXTENSIONS, 12, top - 32, 32));
        rejectMachine(machine(Toy.EXTENSIONS, 12, 32, 0));
        // The end must be a number of 64 bits.
        rejectMachine(machine(Toy.EXTENSIONS, 12, top, 32));
        rejectMachine(machine(Toy.EXTENSIONS, 12, 32, top));
        rejectMachine(machine(Toy.EXTENSIONS, 12, top, top));
        for (uint256 bit = 0; bit < 5; bit++) {
            rejectMachine(machine(Toy.EXTENSIONS, 12, 32, 32 + (1 << bit)));
            rejectMachine(machine(Toy.EXTENSIONS, 12, 32 + (1 << bit), 32));
        }
    }

    function test_machinesHaveNoHigherBits() public {
        for (uint256 bit = 168; bit < 256; bit++) {
            rejectMachine(Toy.MACHINE | 1 << bit);
        }
    }

    // ---- Schedules

    function acceptShape(uint256 word) private {
        Model memory model = toy();
        model.program.shape = word;
        accept(model);
    }

    function rejectShape(uint256 word) private {
        Model memory model = toy();
        model.program.shape = word;
        reject(model);
    }

    function test_thereIsABigStep() public {
        rejectShape(plan(0, 0, 0, 0, 0));
        acceptShape(plan(1, 0, 0, 0, 0));
        acceptShape(plan(0, 0, 1, 0, 0));
        acceptShape(plan(0, 1, 0, 1, 1));
    }

    function test_aPeriodIsRepeatedAtLeastOnce() public {
        rejectShape(plan(1, 1, 1, 0, 1));
        rejectShape(plan(1, 1, 1, 0, 0));
        rejectShape(plan(1, 1, 1, 2, 1));
        rejectShape(plan(1, 1, 1, U40, 1));
        acceptShape(plan(1, 1, 1, 2, 2));
        acceptShape(plan(1, 1, 1, 1, 1_000_000));
    }

    function test_withoutAPeriodThereAreNoRepetitions() public {
        rejectShape(plan(1, 0, 1, 0, 1));
        rejectShape(plan(1, 0, 1, 1, 1));
        rejectShape(plan(1, 0, 1, 1, 0));
        acceptShape(plan(1, 0, 1, 0, 0));
    }

    function test_atMostTwoToThe40BigSteps() public {
        uint256 most = 1 << 40;
        acceptShape(plan(1, 1, 0, 1, most - 1));
        rejectShape(plan(1, 1, 1, 1, most - 1));
        acceptShape(plan(0, 1 << 10, 0, 1, 1 << 30));
        rejectShape(plan(1, 1 << 10, 0, 1, 1 << 30));
        rejectShape(plan(0, 1 << 10, 1, 1, 1 << 30));
        rejectShape(plan(U32, U32, U32, U40, U40));
        rejectShape(plan(0, 2, 0, 1, U40));
        acceptShape(plan(U32, 0, U32, 0, 0));
        acceptShape(plan(U32, U32, U32, 1, 1));
        // (2^40 - 2 (2^32 - 1)) / (2^32 - 1) is 254 and a little.
        acceptShape(plan(U32, U32, U32, 1, 254));
        rejectShape(plan(U32, U32, U32, 1, 255));
    }

    function test_scratchIsALeafToAllMemory() public {
        uint256 shape = Toy.shape(Toy.periodic()) & ((1 << 176) - 1);
        for (uint256 bits = 0; bits < 14; bits++) {
            // Inputs and outputs take the first 192 bytes. The largest scratch that leaves them is 2 KiB.
            bool valid = bits >= 5 && bits <= 11;
            if (valid) acceptShape(shape | bits << 176);
            else rejectShape(shape | bits << 176);
        }
    }

    function test_shapesHaveNoHigherBits() public {
        for (uint256 bit = 180; bit < 256; bit++) {
            rejectShape(Toy.shape(Toy.periodic()) | 1 << bit);
        }
    }

    // ---- Parts

    /// The toy with these parts.
    function withParts(uint256[] memory inputs, uint256[] memory outputs)
        private
        pure
        returns (Model memory model)
    {
        model = toy();
        (model.inputs, model.outputs) = (inputs, outputs);
    }

    function list(uint256 only) private pure returns (uint256[] memory parts) {
        parts = new uint256[](1);
        parts[0] = only;
    }

    /// A list of three.
    function list(uint256 one, uint256 two, uint256 three) private pure returns (uint256[] memory parts) {
        parts = new uint256[](3);
        (parts[0], parts[1], parts[2]) = (one, two, three);
    }

    function acceptParts(uint256 input, uint256 output) private {
        accept(withParts(list(input), list(output)));
    }

    function rejectParts(uint256 input, uint256 output) private {
        reject(withParts(list(input), list(output)));
    }

    function test_partsHoldTheirBytes() public {
        // Parts of one level hold 64 bytes.
        uint64[5] memory sizes = [uint64(0), 1, 64, 65, type(uint64).max];
        for (uint256 i = 0; i < sizes.length; i++) {
            bool bad = sizes[i] == 0 || sizes[i] > 64;
            (uint256 input, uint256 output) = (part(1, 0, sizes[i]), part(1, 1, sizes[i]));
            if (bad) {
                rejectParts(input, Toy.OUTPUT);
                rejectParts(Toy.INPUT, output);
            } else {
                acceptParts(input, Toy.OUTPUT);
                acceptParts(Toy.INPUT, output);
            }
        }
    }

    function test_partsAreInsideMemory() public {
        // 4 KiB have 7 levels above the leaves.
        uint128[6] memory levels = [uint128(8), 9, 251, 255, 256, type(uint128).max];
        for (uint256 i = 0; i < levels.length; i++) {
            rejectParts(part(levels[i], 0, 32), Toy.OUTPUT);
            rejectParts(Toy.INPUT, part(levels[i], 0, 32));
        }
        uint64[3] memory indexes = [uint64(64), 1 << 32, type(uint64).max];
        for (uint256 i = 0; i < indexes.length; i++) {
            rejectParts(part(1, indexes[i], 32), Toy.OUTPUT);
            rejectParts(Toy.INPUT, part(1, indexes[i], 32));
        }
        acceptParts(part(1, 62, 32), Toy.OUTPUT);
        acceptParts(part(5, 0, 32), part(5, 2, 32));
    }

    /// At every place of both lists.
    function test_partsHaveNoHigherBits() public {
        for (uint256 bit = 131; bit < 256; bit++) {
            for (uint256 place = 0; place < 4; place++) {
                Model memory model = toy();
                uint256[] memory parts = place < 2 ? model.inputs : model.outputs;
                parts[place % 2] |= 1 << bit;
                reject(model);
            }
        }
    }

    /// Scratch memory is the last leaf: the last pair of leaves is not free.
    function test_partsDoNotTouchScratch() public {
        rejectParts(part(1, 63, 32), Toy.OUTPUT);
        rejectParts(Toy.INPUT, part(1, 63, 32));
        rejectParts(part(7, 0, 32), Toy.OUTPUT);
        rejectParts(part(6, 1, 32), Toy.OUTPUT);
        rejectParts(Toy.INPUT, part(6, 1, 32));
        // A part may be a leaf: the one just before scratch, but not scratch itself.
        acceptParts(part(0, 126, 32), Toy.OUTPUT);
        acceptParts(Toy.INPUT, part(0, 126, 32));
        rejectParts(part(0, 127, 32), Toy.OUTPUT);
        rejectParts(Toy.INPUT, part(0, 127, 32));
        // Nor does a part that is not the first.
        Model memory model = toy();
        model.inputs[1] = part(0, 127, 32);
        reject(model);
        model = toy();
        model.outputs[1] = part(0, 127, 32);
        reject(model);
    }

    /// Every input and output of up to three levels in the first 512 bytes, compared byte by byte: they are
    /// apart or the same.
    function test_inputsAndOutputsAreApartOrTheSame() public {
        for (uint256 a = 0; a <= 3; a++) {
            for (uint256 b = 0; b <= 3; b++) {
                for (uint256 i = 0; i < 16 >> a; i++) {
                    for (uint256 j = 0; j < 16 >> b; j++) {
                        bool apart = (i + 1) << a <= j << b || (j + 1) << b <= i << a;
                        bool same = a == b && i == j;
                        if (apart || same) acceptParts(part(a, i, 1), part(b, j, 2));
                        else rejectParts(part(a, i, 1), part(b, j, 2));
                    }
                }
            }
        }
    }

    /// The same for two inputs, or two outputs: they are apart, and the first one comes first.
    function test_partsOfAListAreAscendingAndApart() public {
        for (uint256 a = 0; a <= 2; a++) {
            for (uint256 b = 0; b <= 2; b++) {
                for (uint256 i = 0; i < 8 >> a; i++) {
                    for (uint256 j = 0; j < 8 >> b; j++) {
                        uint256[] memory parts = Toy.pair(part(a, i, 1), part(b, j, 1));
                        uint256[] memory far = list(part(3, 5, 1));
                        bool valid = (i + 1) << a <= j << b;
                        if (valid) accept(withParts(parts, far));
                        else reject(withParts(parts, far));
                        if (valid) accept(withParts(far, parts));
                        else reject(withParts(far, parts));
                    }
                }
            }
        }
    }

    /// Lists of several, in which the second or third one is wrong.
    function test_longerLists() public {
        uint256[] memory good = list(part(0, 0, 1), part(1, 1, 1), part(2, 1, 1));
        uint256[] memory far = list(part(0, 40, 1), part(0, 41, 1), part(1, 21, 1));
        accept(withParts(good, far));
        accept(withParts(good, good));
        // Two neighbours the wrong way round, and the same one twice.
        reject(withParts(list(good[1], good[0], good[2]), far));
        reject(withParts(list(good[0], good[2], good[1]), far));
        reject(withParts(far, list(good[0], good[2], good[1])));
        reject(withParts(list(good[0], good[1], good[1]), far));
        reject(withParts(far, list(good[0], good[0], good[1])));
        // An output in the last input, and an input in the last output.
        uint256 inside = part(1, 3, 1);
        reject(withParts(good, list(far[0], far[1], part(2, 10, 1))));
        reject(withParts(good, list(part(0, 1, 1), inside, far[0])));
        reject(withParts(list(part(0, 1, 1), inside, far[0]), good));
        // The same subtree may say another number of bytes.
        accept(withParts(good, list(part(0, 1, 1), part(1, 1, 2), far[0])));
        accept(withParts(list(part(0, 1, 1), part(1, 1, 2), far[0]), good));
    }

    function test_oneToSixtyFourParts() public {
        uint8[5] memory counts = [0, 1, 63, 64, 65];
        for (uint256 i = 0; i < counts.length; i++) {
            uint256[] memory parts = new uint256[](counts[i]);
            for (uint256 j = 0; j < parts.length; j++) {
                parts[j] = part(0, j, 32);
            }
            uint256[] memory far = list(part(2, 20, 1));
            bool valid = i != 0 && i != 4;
            if (valid) accept(withParts(parts, far));
            else reject(withParts(parts, far));
            if (valid) accept(withParts(far, parts));
            else reject(withParts(far, parts));
        }
    }

    // ---- Schedules with a period

    /// The leaf of every big step is that of the order written out.
    function testFuzz_leafOf(uint8 prologue, uint8 period, uint8 epilogue, uint8 repetitions) public pure {
        (prologue, period, epilogue, repetitions) =
        (prologue % 6, period % 6, epilogue % 6, period == 0 ? 0 : 1 + repetitions % 9);
        Plan memory its = Plan(prologue, period, epilogue, 1, 9, 0);
        if (period == 0) (its.least, its.most) = (0, 0);
        if (period == 0) repetitions = 0;
        uint256 shape = Toy.shape(its);
        uint256[] memory order = Toy.orderOf(its, repetitions);
        check(Models.bigStepsOf(shape, repetitions) == order.length, "another number of big steps");
        check(Models.leavesOf(shape) == uint256(prologue) + period + epilogue, "another number of leaves");
        for (uint256 i = 0; i < order.length; i++) {
            check(Models.leafOf(shape, repetitions, i) == order[i], "another leaf");
        }
    }

    /// At the borders of large fields, where the order can't be written out.
    function test_leavesOfALargeSchedule() public pure {
        uint256 shape = plan(U32, 100, U32, 1, 1_000_000);
        uint256 end = U32 + 100 * uint256(1_000_000);
        check(Models.leafOf(shape, 1_000_000, 0) == 0, "the first");
        check(Models.leafOf(shape, 1_000_000, U32 - 1) == U32 - 1, "the prologue's last");
        check(Models.leafOf(shape, 1_000_000, U32) == U32, "the first repetition's first");
        check(Models.leafOf(shape, 1_000_000, U32 + 99) == U32 + 99, "the first repetition's last");
        check(Models.leafOf(shape, 1_000_000, U32 + 100) == U32, "the second repetition's first");
        check(Models.leafOf(shape, 1_000_000, end - 1) == U32 + 99, "the last repetition's last");
        check(Models.leafOf(shape, 1_000_000, end) == U32 + 100, "the epilogue's first");
        check(Models.leafOf(shape, 1_000_000, end + U32 - 1) == 2 * U32 + 99, "the last");
        check(Models.bigStepsOf(shape, 1_000_000) == end + U32, "the number");
    }
}
