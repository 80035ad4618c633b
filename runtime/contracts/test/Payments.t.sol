// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.24;

import {IInferenceConsumer, IInferenceService, Standing} from "../src/Interfaces.sol";
import {Stage} from "./Stage.sol";
import {Toy, Turn} from "./Toy.sol";
import {Vm, vm} from "./Vm.sol";

/// @dev Uses all gas of its callback.
contract BusyConsumer is IInferenceConsumer {
    function inferenceCallback(uint256, address, bytes32, bytes[] calldata, bytes calldata) external pure {
        while (true) {}
    }
}

/// @dev Writes down with how much gas it was paid, if that is enough to write.
contract MeasuringAccount {
    event Paid(uint256 gas, uint256 amount);

    receive() external payable {
        emit Paid(gasleft(), msg.value);
    }
}

/// @dev Payments to accounts that do anything with them. No payment makes a call fail, none takes more than
/// its gas, and whoever does not take one can withdraw it.
contract PaymentsTest is Stage {
    uint256 private constant PRIZE = ASSERTER_BOND - BURNED;
    uint64 private constant GAS = 1000;

    /// Code that does not take money.
    bytes private constant REFUSING = hex"5f5ffd";
    /// JUMPDEST, PUSH0, JUMP: uses all its gas.
    bytes private constant GREEDY = hex"5b5f56";
    /// Reverts with as many zeros as its gas allows to ask for, and much more than it allows.
    bytes private constant BOMB = hex"6180005ffd";
    bytes private constant LARGE_BOMB = hex"63400000005ffd";

    /// What happens to each of the five payments.
    enum Payment {
        Settled,
        Cancelled,
        Reclaimed,
        ChallengeLost,
        ChallengeWon
    }

    /// Everything that leads to a payment, of which the last call is not made yet.
    struct Coming {
        address payee;
        uint256 amount;
        bytes call;
        Asked asked;
        Turn turn;
    }

    function coming(Payment kind, address callback) private returns (Coming memory next) {
        Asked memory asked = ask(callback, GAS, "");
        next.asked = asked;
        if (kind == Payment.Cancelled) {
            vm.prank(REQUESTER);
            service.cancel(asked.id, asked.request);
            vm.warp(block.timestamp + WINDOW);
            (next.payee, next.amount) = (REQUESTER, FEE);
            next.call = abi.encodeCall(IInferenceService.cancel, (asked.id, asked.request));
            return next;
        }
        if (kind == Payment.Settled) {
            answer(asked, truth(asked));
            vm.warp(block.timestamp + WINDOW);
            (next.payee, next.amount) = (ASSERTER, ASSERTER_BOND + FEE);
            next.call = abi.encodeCall(
                IInferenceService.settle, (asked.id, asked.request, outputsOf(asked, truth(asked)), "")
            );
            return next;
        }
        answer(asked, lie(asked, 7));
        next.turn = challenge(CHALLENGER, asked, truth(asked));
        Turn memory other = challenge(OTHER, asked, truth(asked));
        (next.payee, next.amount) = (CHALLENGER, CHALLENGER_BOND + PRIZE / 2);
        if (kind == Payment.Reclaimed) {
            vm.warp(block.timestamp + CLOCK + 1);
            timeout(other);
            next.call = abi.encodeCall(
                IInferenceService.reclaim, (next.turn.id, next.turn.game, Toy.claimsRoot(next.turn))
            );
            return next;
        }
        if (kind == Payment.ChallengeLost) {
            check(move(next.turn, lie(asked, 7)), "no move");
            (next.payee, next.amount) = (ASSERTER, CHALLENGER_BOND);
        }
        vm.warp(block.timestamp + CLOCK + 1);
        next.call = abi.encodeCall(service.timeout, (next.turn.id, next.turn.game, Toy.claimsRoot(next.turn)));
    }

    /// Makes the last call; says with how much gas.
    function pay(Coming memory next) private returns (uint256 gas) {
        // Only the requester may cancel.
        vm.prank(REQUESTER);
        gas = gasleft();
        (bool done,) = address(service).call(next.call);
        gas -= gasleft();
        check(done, "a payment made a call fail");
    }

    // ---- Every payment to every kind of account

    function test_everyPaymentIsMadeAtOnce() public {
        for (uint256 kind = 0; kind < 5; kind++) {
            Coming memory next = coming(Payment(kind), address(0));
            uint256 before = paid(next.payee);
            uint256 held = address(service).balance;
            pay(next);
            check(paid(next.payee) == before + next.amount, "not paid");
            check(address(service).balance == held - next.amount, "the service has it");
            check(service.balances(next.payee) == 0, "credited too");
        }
    }

    function test_whoeverDoesNotTakeAPaymentIsCredited() public {
        bytes[4] memory codes = [REFUSING, GREEDY, BOMB, LARGE_BOMB];
        for (uint256 i = 0; i < codes.length; i++) {
            for (uint256 kind = 0; kind < 5; kind++) {
                credits(codes[i], Payment(kind));
            }
        }
    }

    function credits(bytes memory code, Payment kind) private {
        Coming memory next = coming(kind, address(0));
        vm.etch(next.payee, code);
        uint256 before = paid(next.payee);
        uint256 held = address(service).balance;
        vm.expectEmit();
        emit IInferenceService.Credited(next.payee, next.amount);
        uint256 gas = pay(next);
        check(gas < 200_000, "it took more than its gas");
        check(service.balances(next.payee) == next.amount, "not credited");
        check(paid(next.payee) == before && address(service).balance == held, "paid too");
        vm.prank(next.payee);
        refuse(IInferenceService.Refused.selector);
        service.withdraw{gas: 200_000}();
        // Once it takes money, it gets all that it was credited, once.
        vm.etch(next.payee, "");
        vm.prank(next.payee);
        service.withdraw();
        check(paid(next.payee) == before + next.amount, "not withdrawn");
        vm.prank(next.payee);
        refuse(IInferenceService.Nothing.selector);
        service.withdraw();
    }

    /// Credits add up.
    function test_creditsAddUp() public {
        vm.etch(ASSERTER, REFUSING);
        pay(coming(Payment.Settled, address(0)));
        pay(coming(Payment.ChallengeLost, address(0)));
        pay(coming(Payment.Settled, address(0)));
        uint256 all = 2 * uint256(ASSERTER_BOND + FEE) + CHALLENGER_BOND;
        check(service.balances(ASSERTER) == all, "the sum");
    }

    /// A fee of nothing is no payment.
    function test_nothingIsNotPaid() public {
        vm.prank(REQUESTER);
        uint256 id = service.request(order(), someInputs());
        Asked memory asked;
        (asked.id, asked.request) = (id, expected(REQUESTER, order()));
        asked.request.fee = 0;
        vm.prank(REQUESTER);
        service.cancel(id, asked.request);
        vm.warp(block.timestamp + WINDOW);
        vm.etch(REQUESTER, REFUSING);
        vm.recordLogs();
        vm.prank(REQUESTER);
        service.cancel(id, asked.request);
        check(vm.getRecordedLogs().length == 1 && service.balances(REQUESTER) == 0, "credited");
    }

    /// An account has 20,000 gas and the 2,300 that come with any money.
    function test_aPaymentHasItsGas() public {
        check(service.PAYMENT_GAS() == 20_000, "another gas");
        for (uint256 kind = 0; kind < 5; kind++) {
            Coming memory next = coming(Payment(kind), address(0));
            vm.etch(next.payee, type(MeasuringAccount).runtimeCode);
            vm.recordLogs();
            pay(next);
            (uint256 gas, uint256 amount) = abi.decode(lastLogOf(next.payee), (uint256, uint256));
            check(amount == next.amount, "another amount");
            check(gas <= 22_300 && gas > 22_000, "another gas");
            vm.etch(next.payee, "");
        }
    }

    function lastLogOf(address emitter) private returns (bytes memory data) {
        Vm.Log[] memory logs = vm.getRecordedLogs();
        for (uint256 i = 0; i < logs.length; i++) {
            if (logs[i].emitter == emitter) data = logs[i].data;
        }
    }

    // ---- Accounts that call back

    /// Code that makes this call of the service with all gas, and takes the money whatever comes of it.
    function callingBack(uint256 value, bytes memory call) private view returns (bytes memory) {
        bytes2 size = bytes2(uint16(call.length));
        bytes memory copies = abi.encodePacked(hex"61", size, hex"60465f39");
        bytes memory calls =
            abi.encodePacked(hex"5f5f61", size, hex"5f7f", value, hex"73", address(service), hex"5af100");
        return bytes.concat(copies, calls, call);
    }

    /// Whatever function an account calls from inside its payment, it is paid once, and nobody loses
    /// anything. Only one call is allowed: once an answer is overturned, it may answer itself, with a bond.
    function test_callingBackGainsNothing() public {
        for (uint256 kind = 0; kind < 5; kind++) {
            for (uint256 what = 0; what < 13; what++) {
                callsBack(Payment(kind), what);
            }
        }
    }

    function callsBack(Payment kind, uint256 what) private {
        Coming memory next = coming(kind, address(0));
        if (next.turn.id == 0) next.turn.asserter = ASSERTER;
        uint256 before = paid(next.payee);
        uint256 held = address(service).balance;
        vm.etch(next.payee, callCode(next, what));
        pay(next);
        bool overturned = kind == Payment.Reclaimed || kind == Payment.ChallengeWon;
        uint256 bond = overturned && what == 2 ? ASSERTER_BOND : 0;
        check((bond != 0) == (service.provisionalAnswer(next.asked.id).attempt == 2), "another answer");
        check(paid(next.payee) == before + next.amount - bond, "paid otherwise");
        check(address(service).balance == held - next.amount + bond, "money went");
        check(service.balances(next.payee) == 0, "credited too");
        vm.etch(next.payee, "");
    }

    function callCode(Coming memory next, uint256 what) private view returns (bytes memory) {
        if (what == 12) {
            return callingBack(0, abi.encodeCall(IInferenceService.request, (order(), someInputs())));
        }
        uint256 value = what == 2 ? ASSERTER_BOND : what == 3 ? CHALLENGER_BOND : 0;
        return callingBack(value, everyFunction(next.asked, next.turn)[what]);
    }

    /// The same from inside a withdrawal, which has all gas: the credit is paid out once. What the account
    /// sends along itself, for a bond that is due, is its own business.
    function test_callingBackWhileWithdrawingGainsNothing() public {
        for (uint256 what = 0; what < 13; what++) {
            Coming memory next = coming(Payment.Settled, address(0));
            vm.etch(ASSERTER, REFUSING);
            pay(next);
            uint256 before = paid(ASSERTER);
            vm.etch(ASSERTER, callCode(next, what));
            vm.prank(ASSERTER);
            service.withdraw();
            check(paid(ASSERTER) == before + next.amount, "paid otherwise");
            check(address(service).balance == 0 && service.balances(ASSERTER) == 0, "money went");
            vm.etch(ASSERTER, "");
        }
    }

    /// The calls above do reach the service: one that is allowed is made.
    function test_accountsCanCallBack() public {
        Coming memory next = coming(Payment.Settled, address(0));
        vm.etch(ASSERTER, REFUSING);
        pay(next);
        Asked memory other = ask();
        bytes memory call = everyFunction(other, next.turn)[2];
        vm.etch(ASSERTER, callingBack(ASSERTER_BOND, call));
        vm.prank(ASSERTER);
        service.withdraw();
        check(standing(other) == Standing.Pending, "not answered");
        check(address(service).balance == ASSERTER_BOND + FEE, "the bond isn't there");
    }

    // ---- Gas after a callback

    /// With more and more gas, settling fails without gas, then says so, and then succeeds: once there is
    /// enough for the callback, there is enough for all that follows, whatever callback and asserter do with
    /// theirs. Each try is a transaction of its own, in which nothing is warm.
    /// forge-config: default.isolate = true
    function test_theRestIsPaidForInAdvance() public {
        bytes[3] memory codes = [bytes(""), REFUSING, GREEDY];
        for (uint256 i = 0; i < codes.length; i++) {
            Coming memory next = coming(Payment.Settled, address(new BusyConsumer()));
            vm.etch(ASSERTER, codes[i]);
            settlesWithEnoughGas(next);
            check(standing(next.asked) == Standing.Final, "not final");
            check(!service.provisionalAnswer(next.asked.id).delivered, "delivered");
            check(service.balances(ASSERTER) == (i == 0 ? 0 : next.amount), "another credit");
            // The next one fills its balance anew.
            vm.etch(ASSERTER, "");
            vm.prank(ASSERTER);
            if (i != 0) service.withdraw();
        }
    }

    function settlesWithEnoughGas(Coming memory next) private {
        bool told;
        for (uint256 gas = 20_000; gas < 1_000_000; gas += 500) {
            (bool done, bytes memory reason) = address(service).call{gas: gas}(next.call);
            if (done) {
                check(told, "no error before");
                return;
            }
            bool tells = bytes4(reason) == IInferenceService.Gas.selector;
            check(tells || !told, "it failed after the callback");
            told = told || tells;
        }
        check(false, "never");
    }

    /// An account that does not exist any more costs more to pay.
    /// forge-config: default.isolate = true
    function test_anAsserterThatDoesNotExist() public {
        address gone = address(0x90e);
        Asked memory asked = ask(address(new BusyConsumer()), GAS, "");
        vm.deal(gone, ASSERTER_BOND);
        answer(gone, asked, truth(asked));
        check(gone.balance == 0, "it exists");
        vm.warp(block.timestamp + WINDOW);
        Coming memory next;
        next.call = abi.encodeCall(
            IInferenceService.settle, (asked.id, asked.request, outputsOf(asked, truth(asked)), "")
        );
        settlesWithEnoughGas(next);
        check(gone.balance == ASSERTER_BOND + FEE && standing(asked) == Standing.Final, "not paid");
    }
}
