// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.24;

import {InferenceService} from "../src/InferenceService.sol";
import {
    Answer,
    Game,
    IDisputeGame,
    IInferenceService,
    Input,
    Model,
    Order,
    Request,
    RequestStatus,
    Source,
    Standing
} from "../src/Interfaces.sol";
import {Plan, Run, Toy, Turn} from "./Toy.sol";
import {Vm, vm} from "./Vm.sol";

/// @dev Takes money in every other second only.
contract Moody {
    receive() external payable {
        require(block.timestamp % 2 == 0, "not now");
    }
}

/// @title People who do anything at any time, honestly or not, and what must hold after every single act.
/// @dev A seed chooses each act. The service may refuse it; then nothing changes. Only one thing is not left
/// to chance: whoever plays an honest game moves before its time runs out.
contract Handler {
    /// A request, and how its last answer came about.
    struct Asked {
        Request request;
        bool periodic;
        /// With which state its run starts.
        bytes32 firstState;
        /// The step at which the last answer lies; 0 if it is true.
        uint256 lie;
        bool cancelled;
        bytes32 result;
    }

    /// A game, and at which steps its players' runs lie.
    struct Played {
        uint256 request;
        uint256 attempt;
        Turn turn;
        uint256 asserterLie;
        uint256 challengerLie;
        /// What its challenger may still reclaim beside the bond.
        uint256 share;
    }

    InferenceService private immutable SERVICE;
    uint256 private immutable WINDOW;
    uint256 private immutable ARITY;
    uint256 private immutable ASSERTER_BOND;
    uint256 private immutable CHALLENGER_BOND;
    uint256 private immutable BURNED;
    uint256 private constant PEOPLE = 5;
    /// One of them is moody.
    uint256 private constant MOODY = 4;
    /// The root of the input, which is all zeros.
    bytes32 private constant INPUT_ROOT = 0;

    Asked[] private asked;
    Played[] private played;
    /// What has been burned.
    uint256 public burned;
    /// How often each kind of act succeeded.
    mapping(string act => uint256) public succeeded;

    constructor(InferenceService service) {
        SERVICE = service;
        WINDOW = service.terms().window;
        ARITY = service.terms().arity;
        ASSERTER_BOND = service.terms().asserterBond;
        CHALLENGER_BOND = service.terms().challengerBond;
        BURNED = service.terms().burned;
        for (uint256 i = 0; i < PEOPLE; i++) {
            vm.deal(person(i), 1e6 ether);
        }
        vm.etch(person(MOODY), type(Moody).runtimeCode);
    }

    function person(uint256 seed) private pure returns (address) {
        return address(uint160(0x1000 + seed % PEOPLE));
    }

    /// One of the last few: little can still happen to old ones.
    function recent(uint256 seed, uint256 count) private pure returns (uint256) {
        return count - 1 - seed % (count < 4 ? count : 4);
    }

    function planOf(bool periodic) private pure returns (Plan memory) {
        return periodic ? Toy.periodic() : Toy.plain();
    }

    function runOf(uint256 id, uint256 lie) private view returns (Run memory) {
        Asked storage its = asked[id - 1];
        return Toy.run(planOf(its.periodic), its.request.repetitions, INPUT_ROOT, its.firstState, lie);
    }

    /// What somebody is due if an act succeeds.
    struct Due {
        address payee;
        uint256 amount;
    }

    function nobody() private pure returns (Due memory due) {}

    /// Makes a call. It may change nobody's money but the sender's by what it sends along, and that of who is
    /// due something: that goes to the wallet, or becomes a credit if the account does not take it.
    function act(string memory name, address sender, uint256 value, bytes memory call, Due memory due)
        private
        returns (bool done)
    {
        (uint256[] memory wallets_, uint256[] memory credits_) = (wallets(), credits());
        bool withdraws = bytes4(call) == IInferenceService.withdraw.selector;
        vm.recordLogs();
        vm.prank(sender);
        (done,) = address(SERVICE).call{value: value}(call);
        if (done) succeeded[name] += 1;
        for (uint256 i = 0; i < PEOPLE; i++) {
            if (done && person(i) == sender) wallets_[i] -= value;
            if (done && person(i) == sender && withdraws) {
                (wallets_[i], credits_[i]) = (wallets_[i] + credits_[i], 0);
            }
            if (done && person(i) == due.payee) {
                if (i == MOODY && block.timestamp % 2 != 0) {
                    credits_[i] += due.amount;
                    if (due.amount != 0) succeeded["credit"] += 1;
                } else {
                    wallets_[i] += due.amount;
                }
            }
            require(person(i).balance == wallets_[i], "somebody's money changed");
            require(SERVICE.balances(person(i)) == credits_[i], "somebody's credit changed");
        }
    }

    function act(string memory name, address sender, uint256 value, bytes memory call)
        private
        returns (bool)
    {
        return act(name, sender, value, call, nobody());
    }

    function wallets() private view returns (uint256[] memory found) {
        found = new uint256[](PEOPLE);
        for (uint256 i = 0; i < PEOPLE; i++) {
            found[i] = person(i).balance;
        }
    }

    function credits() private view returns (uint256[] memory found) {
        found = new uint256[](PEOPLE);
        for (uint256 i = 0; i < PEOPLE; i++) {
            found[i] = SERVICE.balances(person(i));
        }
    }

    // ---- Acts

    /// Sometimes the same request twice in one block.
    function request(uint256 who, uint256 fee, uint256 repetitions) external {
        for (uint256 i = 0; i <= who % 2; i++) {
            requestOnce(person(who / 2), uint96(fee % 1 ether), uint64(repetitions % 4));
        }
    }

    function requestOnce(address requester, uint96 fee, uint64 repetitions) private {
        bool periodic = repetitions != 0;
        Order memory order;
        (order.model, order.repetitions) = (SERVICE.hashOf(Toy.model(planOf(periodic))), repetitions);
        order.byRoot = uint64(fee % 4);
        (Input[] memory inputs, bytes32 firstState) = inputsOf(fee / 4);
        bytes memory call = abi.encodeCall(IInferenceService.request, (order, inputs));
        bool chained = inputs[1].source == Source.Result;
        if (!act(chained ? "request from a result" : "request", requester, fee, call)) return;
        asked.push();
        Asked storage made = asked[asked.length - 1];
        (made.periodic, made.firstState) = (periodic, firstState);
        made.request = Request({
            model: order.model,
            inputs: Toy.commitment(INPUT_ROOT, firstState),
            requester: requester,
            fee: fee,
            repetitions: repetitions,
            byRoot: order.byRoot,
            callback: address(0),
            callbackGas: 0,
            callbackData: keccak256(""),
            outputs: Toy.outputs()
        });
    }

    /// The input is given by its bytes or its root; the state by its bytes, or by a result if one is final.
    function inputsOf(uint256 seed) private view returns (Input[] memory inputs, bytes32 firstState) {
        inputs = new Input[](2);
        inputs[0] = seed % 2 == 0
            ? Input(Source.Bytes, new bytes(Toy.INPUT_BYTES))
            : Input(Source.Root, bytes.concat(INPUT_ROOT));
        firstState = Toy.FIRST_STATE;
        inputs[1] = Input(Source.Bytes, Toy.bytesOf(firstState));
        for (uint256 id = asked.length; id > 0 && seed / 2 % 2 == 0; id--) {
            if (asked[id - 1].result == 0) continue;
            bytes32[] memory roots = Toy.outputRoots(runOf(id, asked[id - 1].lie));
            inputs[1] = Input(Source.Result, abi.encodePacked(id, uint256(1), roots));
            return (inputs, roots[1]);
        }
    }

    function cancel(uint256 who, uint256 which) external {
        if (asked.length == 0) return;
        uint256 id = 1 + recent(which, asked.length);
        Request memory its = asked[id - 1].request;
        address sender = who % 8 == 0 ? person(who / 8) : its.requester;
        uint256 from = statusOf(id).cancellable;
        bool second = from != 0;
        bytes memory call = abi.encodeCall(IInferenceService.cancel, (id, its));
        Due memory due = Due(its.requester, second ? its.fee : 0);
        if (!act(second ? "cancel" : "notice", sender, 0, call, due)) return;
        require(sender == its.requester, "somebody else cancelled");
        if (!second) {
            require(statusOf(id).cancellable == block.timestamp + WINDOW, "the wrong notice");
            return;
        }
        require(block.timestamp >= from, "cancelled before its time");
        asked[id - 1].cancelled = true;
    }

    function answer(uint256 who, uint256 which, uint256 lie) external {
        if (asked.length == 0) return;
        uint256 id = 1 + recent(which, asked.length);
        // Half of the answers are true.
        lie = someLie(id, lie);
        Standing before = SERVICE.provisionalAnswer(id).standing;
        Request memory its = asked[id - 1].request;
        bytes[] memory outputs = Toy.outputs(runOf(id, lie), its.byRoot);
        bytes memory call = abi.encodeCall(IInferenceService.answer, (id, its, outputs));
        if (!act("answer", person(who), ASSERTER_BOND, call)) return;
        require(before == Standing.None || before == Standing.Overturned, "an answer took another's place");
        asked[id - 1].lie = lie;
    }

    /// 0 in half of the cases; otherwise a step of the run.
    function someLie(uint256 id, uint256 seed) private view returns (uint256) {
        if (seed % 2 == 0) return 0;
        return 1 + seed / 2 % (runOf(id, 0).leaves.length - 1);
    }

    function challenge(uint256 who, uint256 which, uint256 lie) external {
        if (asked.length == 0) return;
        uint256 id = 1 + recent(which, asked.length);
        // Half of the challengers tell the truth.
        lie = someLie(id, lie);
        Answer memory given = SERVICE.provisionalAnswer(id);
        bytes32[] memory opening = Toy.opening(runOf(id, lie), ARITY);
        Model memory model = Toy.model(planOf(asked[id - 1].periodic));
        bytes memory call = abi.encodeCall(
            IInferenceService.challenge, (id, asked[id - 1].request, model, given.result, opening)
        );
        if (!act("challenge", person(who), CHALLENGER_BOND, call)) return;
        require(person(who) != given.asserter, "it plays against itself");
        played.push();
        Played storage one = played[played.length - 1];
        (one.request, one.attempt) = (id, given.attempt);
        (one.asserterLie, one.challengerLie) = (asked[id - 1].lie, lie);
        one.turn.id = id << 176 | uint256(given.attempt) << 160 | uint160(person(who));
        (one.turn.asserter, one.turn.challenger) = (given.asserter, person(who));
        takeOver(one);
    }

    /// A few moves of one game.
    function reply(uint256 which, uint256 times) external {
        if (played.length == 0) return;
        Played storage one = played[recent(which, played.length)];
        for (uint256 i = 0; i <= times % 5; i++) {
            if (!replyOnce(one)) return;
        }
    }

    /// Says whether the game goes on.
    function replyOnce(Played storage one) private returns (bool) {
        Turn memory turn = one.turn;
        bool asserters = Toy.position(turn.game).asserterMoves;
        Run memory made = runOf(one.request, asserters ? one.asserterLie : one.challengerLie);
        bytes memory call = Toy.reply(made, turn, ARITY);
        bool proves = bytes4(call) == IDisputeGame.prove.selector;
        Due memory due;
        if (proves) due = dueToWinner(one, asserters);
        if (!act(proves ? "prove" : "move", Toy.mover(turn), 0, call, due)) return false;
        if (!proves) {
            takeOver(one);
            return true;
        }
        require((asserters ? one.challengerLie : one.asserterLie) != 0, "the truth was refuted");
        if (!asserters) overturned(one);
        return false;
    }

    function takeOver(Played storage one) private {
        Vm.Log[] memory logs = vm.getRecordedLogs();
        (one.turn.game, one.turn.start, one.turn.claims) =
            abi.decode(logs[logs.length - 1].data, (Game, bytes32, bytes32[]));
    }

    /// What the winner of a game gets.
    function dueToWinner(Played storage one, bool asserterWins) private view returns (Due memory) {
        if (asserterWins) return Due(one.turn.asserter, CHALLENGER_BOND);
        uint256 others;
        for (uint256 i = 0; i < played.length; i++) {
            if (isBeside(played[i], one)) others += 1;
        }
        // Itself is among them.
        others = others == 0 ? 0 : others - 1;
        uint256 prize = ASSERTER_BOND - BURNED;
        if (others != 0) prize -= prize / 2 / others * others;
        return Due(one.turn.challenger, CHALLENGER_BOND + prize);
    }

    /// What follows for all games against an answer that has lost one.
    function overturned(Played storage one) private {
        require(one.asserterLie != 0, "a true answer was overturned");
        burned += BURNED;
        uint256 others;
        for (uint256 i = 0; i < played.length; i++) {
            if (isBeside(played[i], one)) others += 1;
        }
        for (uint256 i = 0; i < played.length; i++) {
            if (isBeside(played[i], one)) played[i].share = (ASSERTER_BOND - BURNED) / 2 / others;
        }
    }

    /// Whether a game is still stored as running and is against the same answer.
    function isBeside(Played storage game, Played storage one) private view returns (bool) {
        return game.request == one.request && game.attempt == one.attempt && isOpen(game);
    }

    function isOpen(Played storage game) private view returns (bool) {
        return uint256(SERVICE.games(game.turn.id)) > 3;
    }

    function timeout(uint256 who, uint256 which) external {
        if (played.length == 0) return;
        Played storage one = played[recent(which, played.length)];
        Turn memory turn = one.turn;
        bytes memory call = abi.encodeCall(IDisputeGame.timeout, (turn.id, turn.game, Toy.claimsRoot(turn)));
        bool asserters = Toy.position(turn.game).asserterMoves;
        if (!act("timeout", person(who), 0, call, dueToWinner(one, !asserters))) return;
        require((asserters ? one.asserterLie : one.challengerLie) != 0, "an honest player was too late");
        if (asserters) overturned(one);
    }

    function settle(uint256 who, uint256 which) external {
        if (asked.length == 0) return;
        uint256 id = 1 + recent(which, asked.length);
        Request memory its = asked[id - 1].request;
        // Without a callback nobody needs the outputs.
        bytes memory call = abi.encodeCall(IInferenceService.settle, (id, its, new bytes[](0), ""));
        Due memory due = Due(SERVICE.provisionalAnswer(id).asserter, ASSERTER_BOND + its.fee);
        if (!act("settle", person(who), 0, call, due)) return;
        asked[id - 1].result = SERVICE.result(id);
        // A lie becomes final only if no honest challenger came.
        bool seen;
        for (uint256 i = 0; i < played.length; i++) {
            bool against =
                played[i].request == id && played[i].attempt == SERVICE.provisionalAnswer(id).attempt;
            seen = seen || (against && played[i].challengerLie == 0);
        }
        require(asked[id - 1].lie == 0 || !seen, "a lie is final that was challenged honestly");
    }

    function reclaim(uint256 who, uint256 which) external {
        if (played.length == 0) return;
        Played storage one = played[recent(which, played.length)];
        Turn memory turn = one.turn;
        bytes memory call =
            abi.encodeCall(IInferenceService.reclaim, (turn.id, turn.game, Toy.claimsRoot(turn)));
        Due memory due = Due(turn.challenger, CHALLENGER_BOND + one.share);
        if (!act("reclaim", person(who), 0, call, due)) return;
        one.share = 0;
    }

    function withdraw(uint256 who) external {
        // Half of the time whoever has a credit most likely.
        address sender = person(who % 2 == 0 ? MOODY : who / 2);
        act("withdraw", sender, 0, abi.encodeCall(IInferenceService.withdraw, ()));
    }

    /// Time passes, sometimes so much that clocks and windows run out. Honest players move first.
    function wait(uint256 time) external {
        for (uint256 i = 0; i < played.length; i++) {
            moveHonestly(played[i]);
        }
        vm.warp(block.timestamp + time % 700);
        vm.roll(block.number + 1);
    }

    function moveHonestly(Played storage one) private {
        if (!isOpen(one)) return;
        Answer memory given = SERVICE.provisionalAnswer(one.request);
        if (given.attempt != one.attempt || given.standing != Standing.Pending) return;
        bool asserters = Toy.position(one.turn.game).asserterMoves;
        if ((asserters ? one.asserterLie : one.challengerLie) != 0) return;
        // Two honest players never meet.
        require(Toy.firstWrong(runOf(one.request, 0), one.turn, ARITY) != 0, "nothing to reject");
        bool open = replyOnce(one);
        require(open || !isOpen(one), "the honest move was refused");
    }

    // ---- The state of things

    function statusOf(uint256 id) private view returns (RequestStatus memory) {
        uint256[] memory ids = new uint256[](1);
        ids[0] = id;
        return SERVICE.statusOf(ids)[0];
    }

    /// What the service must hold: credits, bonds, fees, shares that wait to be reclaimed, and what is
    /// burned.
    function owed() external view returns (uint256 sum) {
        sum = burned;
        for (uint256 i = 0; i < PEOPLE; i++) {
            sum += SERVICE.balances(person(i));
        }
        for (uint256 i = 0; i < asked.length; i++) {
            Standing standing = SERVICE.provisionalAnswer(i + 1).standing;
            if (!asked[i].cancelled && standing != Standing.Final) sum += asked[i].request.fee;
            if (standing == Standing.Pending) sum += ASSERTER_BOND;
        }
        for (uint256 i = 0; i < played.length; i++) {
            if (isOpen(played[i])) sum += CHALLENGER_BOND + played[i].share;
        }
    }

    /// Final answers are what they were when they became final; whatever is not final has no result.
    function finalsStand() external view returns (bool stand) {
        stand = true;
        for (uint256 i = 0; i < asked.length; i++) {
            bool isFinal = SERVICE.provisionalAnswer(i + 1).standing == Standing.Final;
            stand = stand && isFinal == (asked[i].result != 0);
            if (isFinal) stand = stand && SERVICE.result(i + 1) == asked[i].result;
        }
    }

    /// Honest players have moved in time, so no true answer is overturned.
    function truthStands() external view returns (bool stand) {
        stand = true;
        for (uint256 i = 0; i < asked.length; i++) {
            bool overturned_ = SERVICE.provisionalAnswer(i + 1).standing == Standing.Overturned;
            stand = stand && !(overturned_ && asked[i].lie == 0);
        }
    }

    /// What is stored of all games, in their order.
    function storedGames() private view returns (bytes32[] memory) {
        uint256[] memory ids = new uint256[](played.length);
        for (uint256 i = 0; i < ids.length; i++) {
            ids[i] = played[i].turn.id;
        }
        return SERVICE.gamesOf(ids);
    }

    /// What is stored of all requests, in their order.
    function storedRequests() private view returns (RequestStatus[] memory) {
        uint256[] memory ids = new uint256[](asked.length);
        for (uint256 i = 0; i < ids.length; i++) {
            ids[i] = i + 1;
        }
        return SERVICE.statusOf(ids);
    }

    /// A pending answer knows how many games against it are open.
    function gamesAreCounted() external view returns (bool counted) {
        RequestStatus[] memory requests = storedRequests();
        bytes32[] memory games = storedGames();
        uint256[] memory open = new uint256[](requests.length);
        for (uint256 i = 0; i < games.length; i++) {
            uint256 its = played[i].request - 1;
            bool last = played[i].attempt == requests[its].answer.attempt;
            if (last && uint256(games[i]) > 3) open[its] += 1;
        }
        counted = true;
        for (uint256 i = 0; i < requests.length; i++) {
            Answer memory given = requests[i].answer;
            if (given.standing == Standing.Pending) counted = counted && open[i] == given.openGames;
            if (given.standing == Standing.Final) counted = counted && open[i] == 0;
        }
    }

    /// No two requests have the same hash, nor do two open games.
    function hashesDiffer() external view returns (bool differ) {
        RequestStatus[] memory requests = storedRequests();
        differ = SERVICE.requestCount() == requests.length;
        bytes32[] memory hashes = new bytes32[](requests.length);
        for (uint256 i = 0; i < requests.length; i++) {
            hashes[i] = requests[i].hash;
            differ = differ && (hashes[i] == 0) == asked[i].cancelled;
        }
        differ = differ && allDiffer(hashes) && allDiffer(storedGames());
    }

    /// Whether no hash occurs twice; words up to 3 are no hashes.
    function allDiffer(bytes32[] memory words) private pure returns (bool) {
        for (uint256 i = 0; i < words.length; i++) {
            if (uint256(words[i]) <= 3) continue;
            for (uint256 j = 0; j < i; j++) {
                if (words[i] == words[j]) return false;
            }
        }
        return true;
    }
}
