//! The state machine: which side wins, in how many moves, and which moves are refused.

use game::fake::{Fake, What};
use game::player::{self, pick};
use game::{
    BigStepEntry, Challenge, Clocks, Game, Illegal, Level, MAX_STEPS, Move, Outcome, Pick, Proven, Region,
    Regions, Segment, Side, Subtree, VOID,
};
use proptest::prelude::*;
use schedule::Shape;
use std::convert::Infallible;
use step::{Proof, Root, State, Status};

const CLOCKS: Clocks = Clocks { asserter: 100, challenger: 100 };
const END: (u64, u64) = (u64::MAX, u64::MAX);

/// What can't fail.
fn sure<T>(result: Result<T, Infallible>) -> T {
    let Ok(value) = result;
    value
}

/// Two players about one game.
struct Table {
    rules: Fake,
    asserter: Fake,
    challenger: Fake,
    game: Game,
    claims: Vec<Root>,
    moves: u64,
    /// How many steps are proved at once.
    at_once: u64,
}

impl Table {
    fn new(rules: &Fake, asserter: &Fake, challenger: &Fake, arity: u64) -> Result<Self, Illegal> {
        let model = rules.model().expect("a model");
        let mut challenger = challenger.clone();
        let challenge = sure(player::challenge(&model, arity, &mut challenger));
        let (inputs, result) = (rules.inputs_commitment(), asserter.result_commitment());
        let game = Game::challenge_under(rules, &model, inputs, result, arity, CLOCKS, &challenge, 0)?;
        let (rules, asserter) = (rules.clone(), asserter.clone());
        Ok(Self { rules, asserter, challenger, game, claims: challenge.claims, moves: 1, at_once: 1 })
    }

    /// A side's reply.
    fn reply(&mut self, side: Side) -> Option<Move> {
        let oracle = match side {
            Side::Asserter => &mut self.asserter,
            Side::Challenger => &mut self.challenger,
        };
        sure(player::reply(&self.game, &self.claims, self.at_once, oracle))
    }

    fn apply(&mut self, side: Side, move_: &Move, now: u64) -> Result<Outcome, Illegal> {
        let before = self.game.clone();
        let result = self.game.apply_under(&self.rules, side, move_, now);
        match result {
            Ok(_) => {
                self.moves += 1;
                self.claims = move_.claims().to_vec();
            }
            Err(_) => assert_eq!(self.game, before, "a refused move changed the game"),
        }
        result
    }

    /// Both reply until one wins or has no legal move and runs out of time.
    fn play(&mut self) -> Side {
        while let Some(mover) = self.game.mover() {
            let moved = self.reply(mover).is_some_and(|move_| self.apply(mover, &move_, 0).is_ok());
            if !moved {
                self.game.timeout(201).expect("no time left");
            }
        }
        self.game.winner().expect("the game is over")
    }
}

/// The true run, and one that lies from some place on.
fn pair(big_steps: u64, steps: u64, from: (u64, u64)) -> (Fake, Fake) {
    let truth = Fake::new(7, big_steps, steps);
    (truth.clone(), truth.lying(from..END, What::Other(1)))
}

#[test]
fn segments_are_cut_evenly() {
    for (lo, hi, arity, boundaries) in [
        (0, 10, 2, &[5, 10][..]),
        (0, 10, 4, &[2, 5, 7, 10]),
        (3, 5, 4, &[4, 5]),
        (7, 8, 16, &[8]),
        (0, 0, 2, &[]),
        (5, u64::MAX, 2, &[9_223_372_036_854_775_810, u64::MAX]),
    ] {
        let segment = Segment { level: Level::BigSteps, lo, hi };
        assert_eq!(segment.boundaries(arity).collect::<Vec<_>>(), boundaries, "{lo} to {hi} in {arity}");
        for (part, &end) in (1..).zip(boundaries) {
            let part = segment.part(part, arity);
            assert_eq!(part.hi, end);
            assert!(part.units() <= segment.units().div_ceil(arity));
        }
    }
}

#[test]
fn the_honest_side_wins_within_the_bound() {
    for arity in [2, 3, 4, 16, 256] {
        for big_steps in [1, 2, 3, 5, 16, 17, 1000, 1 << 40] {
            for bound in [0, 1, 2, 3, 16, 257, 1 << 33, u64::MAX] {
                let steps = bound.clamp(1, MAX_STEPS);
                let last = (big_steps - 1, steps);
                for from in [(0, 1), (big_steps / 2, 1 + steps / 2), last, (big_steps / 3, 0), (big_steps, 0)]
                {
                    let from = from.max((0, 1));
                    let (truth, liar) = pair(big_steps, bound, from);
                    let most = Game::most_moves(big_steps, steps, arity);
                    for (asserter, challenger, winner) in
                        [(&truth, &liar, Side::Asserter), (&liar, &truth, Side::Challenger)]
                    {
                        let mut table = Table::new(&truth, asserter, challenger, arity).expect("a challenge");
                        let context = format!("{big_steps} x {steps} by {arity}, lies from {from:?}");
                        assert_eq!(table.play(), winner, "{context}");
                        assert!(table.moves <= most, "{} moves of {most}: {context}", table.moves);
                    }
                }
            }
        }
    }
}

#[test]
fn the_bound_is_reached() {
    for (big_steps, steps, arity, moves) in
        [(1, 1, 2, 3), (1, 1 << 20, 2, 22), (16, 1 << 20, 16, 7), (1 << 10, 1 << 20, 2, 31), (17, 17, 16, 5)]
    {
        assert_eq!(Game::most_moves(big_steps, steps, arity), moves);
        // An error at the very end stays in the largest part. Only the honest side can make the last move.
        let (truth, liar) = pair(big_steps, steps, (big_steps - 1, steps));
        let played = [(&liar, &truth), (&truth, &liar)].map(|(asserter, challenger)| {
            let mut table = Table::new(&truth, asserter, challenger, arity).expect("a challenge");
            table.play();
            table.moves
        });
        assert_eq!(played.into_iter().max(), Some(moves), "{big_steps} x {steps} by {arity}");
    }
}

/// The outcome of a move, in words.
fn words(result: Result<Outcome, Illegal>) -> String {
    match result {
        Ok(Outcome::Open(Side::Asserter)) => "asserter's turn".to_owned(),
        Ok(Outcome::Open(Side::Challenger)) => "challenger's turn".to_owned(),
        Ok(Outcome::Won(Side::Asserter)) => "asserter wins".to_owned(),
        Ok(Outcome::Won(Side::Challenger)) => "challenger wins".to_owned(),
        Err(error) => {
            let name = format!("{error:?}");
            name.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default().to_owned()
        }
    }
}

/// One row of a script.
fn row(table: &mut Table, who: &str, what: &str, now: u64) -> String {
    let side = if who == "asserter" { Side::Asserter } else { Side::Challenger };
    if what == "calls time" {
        return words(table.game.timeout(now));
    }
    let reply = table.reply(side);
    let mut move_ = reply.unwrap_or_else(|| Move::Void { pick: pick(table.game.start(), &table.claims, 1) });
    let rejected = move_.pick().rejected;
    let claims = match &mut move_ {
        Move::Dissect { claims, .. } => Some(claims),
        Move::Enter { entry, .. } => Some(&mut entry.claims),
        Move::Void { .. } | Move::Prove { .. } => None,
    };
    let number = what.split_whitespace().last().and_then(|word| word.parse::<u64>().ok());
    match what {
        "replies" => {}
        "replies with a claim too many" => claims.expect("claims").push(Root::ZERO),
        "replies with a claim too few" => drop(claims.expect("claims").pop()),
        "replies without claims" => claims.expect("claims").clear(),
        "agrees at the end" => *claims.expect("claims").last_mut().expect("one") = rejected,
        "forges what it rejects" => match &mut move_ {
            Move::Dissect { pick, .. }
            | Move::Enter { pick, .. }
            | Move::Prove { pick, .. }
            | Move::Void { pick } => {
                pick.rejected = Root([9; 32]);
            }
        },
        "enters" => {
            let model = table.rules.model().expect("a model");
            let entry = BigStepEntry {
                leaf: schedule::Leaf { entry: 0, bound: 0 },
                schedule: Vec::new(),
                claims: vec![model.code_root],
                end: Vec::new(),
                scratch: Proof { leaf: Root::ZERO, siblings: Vec::new() },
            };
            move_ = Move::Enter { pick: move_.pick().clone(), entry };
        }
        "lies about the bound" => {
            if let Move::Enter { entry, .. } = &mut move_ {
                entry.leaf.bound += 1;
            }
        }
        "says void" => move_ = Move::Void { pick: move_.pick().clone() },
        "proves" => move_ = Move::Prove { pick: move_.pick().clone(), witnesses: vec![vec![0; 16]] },
        "dissects" => move_ = Move::Dissect { pick: move_.pick().clone(), claims: vec![Root::ZERO; 2] },
        _ if what.starts_with("picks part") => {
            let pick = pick(table.game.start(), &table.claims, number.expect("a part"));
            move_ = Move::Dissect { pick, claims: vec![Root([3; 32]), Root([4; 32])] };
        }
        _ => panic!("what is {what:?}?"),
    }
    words(table.apply(side, &move_, now))
}

/// Plays rows of "side move @time -> outcome", and reports all whose outcome differs.
fn script(table: &mut Table, rows: &str) {
    let mut wrong = String::new();
    for line in rows.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (event, expected) = line.split_once(" -> ").expect("an outcome");
        let (action, now) = event.split_once(" @").expect("a time");
        let (who, what) = action.split_once(' ').expect("an action");
        let found = row(table, who, what.trim(), now.trim().parse().expect("a number"));
        if found != expected {
            wrong += &format!("{event} -> {found}, not {expected}\n");
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}

#[test]
fn a_game_move_by_move() {
    let (truth, liar) = pair(4, 4, (1, 3));
    let mut table = Table::new(&truth, &liar, &truth, 2).expect("a challenge");
    script(
        &mut table,
        "
        challenger replies @1                       -> Turn
        asserter   calls time @100                  -> Early
        asserter   picks part 0 @1                  -> Part
        asserter   picks part 3 @1                  -> Part
        asserter   proves @1                        -> Level
        asserter   says void @1                     -> Units
        asserter   forges what it rejects @1        -> Proof
        asserter   replies with a claim too many @1 -> Count
        asserter   replies with a claim too few @1  -> Count
        asserter   replies without claims @1        -> Count
        asserter   agrees at the end @1             -> Agrees
        asserter   replies @101                     -> Late
        asserter   replies @60                      -> challenger's turn
        asserter   replies @61                      -> Turn
        challenger dissects @70                     -> Units
        challenger says void @70                    -> Void
        challenger proves @70                       -> Level
        challenger lies about the bound @70         -> Proof
        challenger agrees at the end @70            -> EndState
        challenger forges what it rejects @70       -> Proof
        challenger replies without claims @70       -> Count
        challenger calls time @160                  -> Early
        challenger replies @160                     -> asserter's turn
        asserter   calls time @200                  -> Early
        asserter   replies @200                     -> challenger's turn
        challenger dissects @200                    -> Units
        challenger says void @200                   -> Level
        challenger enters @200                      -> Level
        challenger replies @200                     -> challenger wins
        asserter   replies @200                     -> Over
        asserter   calls time @999                  -> Over
        ",
    );
}

#[test]
fn time_runs_out_for_the_mover_only() {
    let (truth, liar) = pair(4, 4, (1, 3));
    let mut table = Table::new(&truth, &liar, &truth, 2).expect("a challenge");
    script(
        &mut table,
        "
        asserter   replies @90      -> challenger's turn
        challenger replies @190     -> asserter's turn
        asserter   replies @201     -> Late
        challenger calls time @200  -> Early
        challenger calls time @201  -> challenger wins
        ",
    );
    // Time that runs backwards counts as none.
    let mut table = Table::new(&truth, &liar, &truth, 2).expect("a challenge");
    script(
        &mut table,
        "
        asserter   replies @50      -> challenger's turn
        challenger replies @10      -> asserter's turn
        asserter   replies @100     -> challenger's turn
        challenger calls time @200  -> Early
        challenger calls time @201  -> asserter wins
        ",
    );
}

#[test]
fn a_model_that_traps_has_the_result_void() {
    let truth = Fake { traps: Some(2), ..Fake::new(3, 5, 8) };
    assert_eq!(truth.result_commitment(), VOID);
    // An invented result: the liar claims that the big step ended, and continues from there.
    let liar = Fake { traps: None, ..truth.clone() };
    // Or that there is no result although there is one.
    let (healthy, gloomy) = (liar.clone(), Fake { traps: Some(1), ..liar.clone() });
    // Or void, followed by something that is not void.
    let revived = liar.clone().lying((3, 0)..(4, 0), What::Void);
    for arity in [2, 3, 16] {
        for (rules, honest, liar) in
            [(&truth, &truth, &liar), (&healthy, &healthy, &gloomy), (&truth, &truth, &revived)]
        {
            for (asserter, challenger, winner) in
                [(honest, liar, Side::Asserter), (liar, honest, Side::Challenger)]
            {
                let mut table = Table::new(rules, asserter, challenger, arity).expect("a challenge");
                assert_eq!(table.play(), winner, "by {arity}, challenger {challenger:?}");
            }
        }
    }
    // Void follows void, even if a player claims otherwise.
    let mut table = Table::new(&truth, &truth, &revived, 16).expect("a challenge");
    table.claims[2] = VOID;
    let claims = game::commit(table.game.start(), &table.claims);
    assert_eq!(claims, table.game.claims(), "void was claimed after big step 2");
    let void = |part| Move::Void { pick: pick(table.game.start(), &table.claims, part) };
    for (part, outcome) in [(1, "Void"), (3, "Void"), (4, "asserter wins")] {
        let mut game = table.game.clone();
        assert_eq!(words(game.apply(Side::Asserter, &void(part), 0)), outcome, "part {part}");
    }
    assert!(matches!(table.reply(Side::Asserter), Some(Move::Void { .. })));
    // The big step can't be entered.
    let (segment, four) = (table.game.segment(), pick(table.game.start(), &table.claims, 4));
    let other = Pick { agreed: Root::ZERO, ..four.clone() };
    let mut enter = sure(player::go_on(16, segment.part(4, 16), other, 1, &mut truth.clone()));
    let Move::Enter { pick, .. } = &mut enter else { panic!("{enter:?}") };
    *pick = four;
    assert_eq!(table.apply(Side::Asserter, &enter, 0), Err(Illegal::Void));
}

#[test]
fn an_end_state_must_be_an_end() {
    let truth = Fake::new(3, 1, 8);
    for status in [Status::Running, Status::Trapped(isa::Trap::LoadFault)] {
        // The cheater has to enter against true claims, so it claims that there is no end.
        let cheat = Fake { status: Some(status), ..truth.clone() }.lying((0, 5)..END, What::Other(1));
        let mut table = Table::new(&truth, &cheat, &truth, 2).expect("a challenge");
        assert_eq!(table.play(), Side::Challenger);
        assert!(table.moves > 2, "it could enter");
    }
    // A state with a status that no machine has doesn't end the big step either: its memory root is given as it
    // is.
    let (truth, liar) = pair(1, 8, (0, 1));
    for byte in [2, 255] {
        let mut table = Table::new(&truth, &liar, &truth, 2).expect("a challenge");
        // The true continuation leads to the very claim that it rejects.
        let way_on = player::go_on(
            2,
            table.game.segment(),
            pick(table.game.start(), &table.claims, 1),
            1,
            &mut truth.clone(),
        );
        let mut enter = sure(way_on);
        assert_eq!(table.apply(Side::Asserter, &enter, 0), Err(Illegal::Agrees));
        let Move::Enter { entry, .. } = &mut enter else { panic!("{enter:?}") };
        entry.end[BigStepEntry::STATUS] ^= byte;
        let siblings = Illegal::Count { what: "siblings of scratch memory", expected: 0, found: 1 };
        assert_eq!(table.apply(Side::Asserter, &enter, 0), Err(siblings), "{byte}");
        let Move::Enter { entry, .. } = &mut enter else { panic!("{enter:?}") };
        entry.scratch = Proof { leaf: Root([5; 32]), siblings: Vec::new() };
        assert_eq!(table.apply(Side::Asserter, &enter, 0), Err(Illegal::EndState), "{byte}");
        let Move::Enter { entry, .. } = &mut enter else { panic!("{enter:?}") };
        let code = table.rules.model().expect("a model").code_root;
        entry.claims[1] = step::keccak(&[&code.0[..], &[5; 32], &entry.end].concat());
        assert_eq!(table.apply(Side::Asserter, &enter, 0), Ok(Outcome::Open(Side::Challenger)), "{byte}");
    }
    // A player that counts scratch memory as it was left gets the same end state as the honest one.
    let truth = Fake::new(3, 2, 8);
    let dirty = truth.clone().lying((1, 0)..(2, 0), What::Scratch).lying((2, 0)..END, What::Other(1));
    let mut table = Table::new(&truth, &dirty, &truth, 2).expect("a challenge");
    let enter = table.reply(Side::Asserter).expect("it disagrees");
    assert!(matches!(enter, Move::Enter { .. }));
    assert_eq!(table.apply(Side::Asserter, &enter, 0), Err(Illegal::Agrees));
    let mut table = Table::new(&truth, &truth, &dirty, 2).expect("a challenge");
    assert_eq!(table.play(), Side::Asserter);
}

#[test]
fn challenges_are_checked() {
    let (truth, liar) = pair(4, 4, (1, 3));
    let model = truth.model().expect("a model");
    let good = sure(player::challenge(&model, 2, &mut liar.clone()));
    let (inputs, result) = (truth.inputs_commitment(), truth.result_commitment());
    let open = |model: &game::Model, result, arity, change: &dyn Fn(&mut Challenge)| {
        let mut challenge = good.clone();
        change(&mut challenge);
        Game::challenge(model, inputs, result, arity, CLOCKS, &challenge, 0).map(|_| ())
    };
    let nothing: &dyn Fn(&mut Challenge) = &|_| {};
    let region = |level, index, bytes| Region { subtree: Subtree { level, index }, bytes };
    let with = |inputs: &[Region], outputs: &[Region]| game::Model {
        inputs: inputs.into(),
        outputs: outputs.into(),
        ..model.clone()
    };
    let (half, quarter) = (region(7, 0, 32), region(6, 1, 32));
    let bad_models = [
        ("no big steps", game::Model { shape: Shape::plain(0), ..model.clone() }),
        ("too much scratch", game::Model { scratch_bits: 14, ..model.clone() }),
        ("no inputs", with(&[], &[half])),
        ("no outputs", with(&[half], &[])),
        ("too many", with(&[half], &(0..65).map(|index| region(0, index, 1)).collect::<Vec<_>>())),
        ("an input outside", with(&[region(7, 2, 32)], &[half])),
        ("an input in scratch memory", with(&[region(7, 1, 32)], &[half])),
        ("no bytes", with(&[half], &[region(7, 0, 0)])),
        ("more bytes than a region has", with(&[half], &[region(0, 0, 33)])),
        ("regions that descend", with(&[quarter, region(6, 0, 32)], &[half])),
        ("a region twice", with(&[half], &[quarter, quarter])),
        ("a region in another", with(&[half], &[half, quarter])),
        ("an output in an input", with(&[half], &[quarter])),
        ("an input in an output", with(&[quarter], &[half])),
    ];
    for (what, model) in bad_models {
        assert_eq!(open(&model, result, 2, nothing), Err(Illegal::Model), "{what}");
    }
    let count = |what, expected, found| Err(Illegal::Count { what, expected, found });
    let siblings = "siblings of inputs or outputs";
    for (what, found, expected) in [
        ("a good one", open(&model, result, 2, nothing), Ok(())),
        ("equal results", open(&model, liar.result_commitment(), 2, nothing), Err(Illegal::Agrees)),
        ("arity 1", open(&model, result, 1, nothing), Err(Illegal::Model)),
        ("arity 257", open(&model, result, 257, nothing), Err(Illegal::Model)),
        ("arity 3", open(&model, result, 3, nothing), count("claims", 3, 2)),
        ("no claims", open(&model, result, 2, &|c| c.claims.clear()), count("claims", 2, 0)),
        ("no siblings", open(&model, result, 2, &|c| c.inputs.siblings.clear()), count(siblings, 1, 0)),
        (
            "a sibling too many",
            open(&model, result, 2, &|c| c.outputs.siblings.push(Root::ZERO)),
            count(siblings, 1, 2),
        ),
        (
            "another image",
            open(&model, result, 2, &|c| c.inputs.siblings[0] = Root([1; 32])),
            Err(Illegal::Proof(Proven::Inputs)),
        ),
        (
            "other inputs",
            open(&model, result, 2, &|c| c.inputs.roots[0] = Root([1; 32])),
            Err(Illegal::Inputs),
        ),
        (
            "a forged output",
            open(&model, result, 2, &|c| c.outputs.roots[0] = Root([1; 32])),
            Err(Illegal::Proof(Proven::Outputs)),
        ),
    ] {
        assert_eq!(found, expected, "{what}");
    }
}

#[test]
fn several_steps_are_proved_at_once() {
    let (truth, liar) = pair(4, 1000, (1, 313));
    for at_once in [1, 2, 7, 64, 1000] {
        // A part of so many steps isn't cut any more.
        let most = Game::most_moves(4, 1000u64.div_ceil(at_once), 2) + 1;
        for (asserter, challenger, winner) in
            [(&truth, &liar, Side::Asserter), (&liar, &truth, Side::Challenger)]
        {
            let mut table = Table::new(&truth, asserter, challenger, 2).expect("a challenge");
            table.at_once = at_once;
            assert_eq!(table.play(), winner);
            assert!(table.moves <= most, "{} moves with {at_once}, not {most}", table.moves);
        }
    }
    // Each step needs its witness, in order, and the last state must differ from the rejected claim.
    let mut table = Table::new(&truth, &liar, &truth, 2).expect("a challenge");
    table.at_once = 1000;
    loop {
        let mover = table.game.mover().expect("a running game");
        let move_ = table.reply(mover).expect("a reply");
        let Move::Prove { pick, witnesses } = move_.clone() else {
            table.apply(mover, &move_, 0).expect("a legal move");
            continue;
        };
        let tried = |witnesses: Vec<Vec<u8>>| {
            table.game.clone().apply_under(
                &table.rules,
                mover,
                &Move::Prove { pick: pick.clone(), witnesses },
                0,
            )
        };
        let count = witnesses.len();
        assert!(count > 100, "{count} steps");
        assert!(matches!(tried(witnesses[1..].to_vec()), Err(Illegal::Count { .. })));
        assert!(matches!(tried([&witnesses[..], &witnesses[..1]].concat()), Err(Illegal::Count { .. })));
        assert!(matches!(tried(Vec::new()), Err(Illegal::Count { .. })));
        let mut swapped = witnesses.clone();
        swapped.swap(3, 4);
        assert!(matches!(tried(swapped), Err(Illegal::Witness(_))));
        if tried(witnesses.clone()).is_err() {
            // It was the liar's.
            let honest = sure(player::reply(&table.game, &table.claims, 1, &mut truth.clone()));
            assert_eq!(honest, None);
        }
        break;
    }
}

/// Roots that are often equal, void or zero.
fn any_root() -> impl Strategy<Value = Root> {
    prop_oneof![Just(VOID), Just(Root::ZERO), Just(Root([1; 32])), any::<[u8; 32]>().prop_map(Root)]
}

fn any_regions() -> impl Strategy<Value = Regions> {
    let roots = || prop::collection::vec(any_root(), 0..4);
    (roots(), roots()).prop_map(|(roots, siblings)| Regions { roots, siblings })
}

fn any_proof() -> impl Strategy<Value = Proof> {
    (any_root(), prop::collection::vec(any_root(), 0..9))
        .prop_map(|(leaf, siblings)| Proof { leaf, siblings })
}

fn any_pick() -> impl Strategy<Value = Pick> {
    let part = prop_oneof![0..5u64, any::<u64>()];
    (part, any_proof(), any_root()).prop_map(|(part, Proof { leaf, siblings }, rejected)| Pick {
        part,
        agreed: leaf,
        rejected,
        siblings,
    })
}

fn any_move() -> impl Strategy<Value = Move> {
    let claims = || prop::collection::vec(any_root(), 0..5);
    let bytes = || {
        prop_oneof![
            prop::collection::vec(any::<u8>(), State::HEAD..State::MOST_BYTES),
            prop::collection::vec(any::<u8>(), 0..20)
        ]
    };
    let leaf = prop_oneof![Just((0x2000, 8)), any::<(u64, u64)>()]
        .prop_map(|(entry, bound)| schedule::Leaf { entry, bound });
    let entry = (leaf, prop::collection::vec(any_root(), 0..5), claims(), bytes(), any_proof()).prop_map(
        |(leaf, schedule, claims, end, scratch)| BigStepEntry { leaf, schedule, claims, end, scratch },
    );
    prop_oneof![
        (any_pick(), claims()).prop_map(|(pick, claims)| Move::Dissect { pick, claims }),
        (any_pick(), entry).prop_map(|(pick, entry)| Move::Enter { pick, entry }),
        any_pick().prop_map(|pick| Move::Void { pick }),
        (any_pick(), prop::collection::vec(bytes(), 0..4))
            .prop_map(|(pick, witnesses)| Move::Prove { pick, witnesses }),
    ]
}

/// What a player does in a random game.
#[derive(Debug, Clone)]
enum Action {
    Replies,
    /// A reply with the parts of another move.
    Mixes(Move),
    Moves(Move),
    /// A part that isn't the first false one.
    Picks(u64),
    CallsTime,
}

fn any_action() -> impl Strategy<Value = Action> {
    prop_oneof![
        3 => Just(Action::Replies),
        1 => any_move().prop_map(Action::Mixes),
        1 => any_move().prop_map(Action::Moves),
        1 => (0..6u64).prop_map(Action::Picks),
        1 => Just(Action::CallsTime),
    ]
}

/// A move with the pick of another.
fn with_pick(mut move_: Move, new: game::Pick) -> Move {
    match &mut move_ {
        Move::Dissect { pick, .. }
        | Move::Enter { pick, .. }
        | Move::Void { pick }
        | Move::Prove { pick, .. } => {
            *pick = new;
        }
    }
    move_
}

proptest! {
    /// Every input gets an answer, refusals change nothing, and games end.
    #[test]
    fn the_game_is_total(
        (big_steps, steps, arity) in (1..20u64, 0..20u64, 2..5u64),
        actions in prop::collection::vec((any::<bool>(), any_action(), 0..40u64), 0..60),
    ) {
        let (truth, liar) = pair(big_steps, steps, (big_steps / 2, 1));
        let mut table = Table::new(&truth, &liar, &truth, arity).expect("a challenge");
        let mut now = 0u64;
        for (first, action, time) in actions {
            now = (now + time).saturating_sub(20);
            let side = if first { Side::Asserter } else { Side::Challenger };
            let reply = table.reply(side);
            let move_ = match action {
                Action::Replies => reply,
                Action::Moves(move_) => Some(move_),
                Action::Mixes(move_) => reply.map(|reply| with_pick(move_, reply.pick().clone())),
                Action::Picks(part) => reply.map(|reply| with_pick(reply, pick(table.game.start(), &table.claims, part))),
                Action::CallsTime => {
                    let (before, result) = (table.game.clone(), table.game.timeout(now));
                    prop_assert!(result.is_ok() || table.game == before);
                    None
                }
            };
            if let Some(move_) = move_ {
                let _ = table.apply(side, &move_, now);
            }
        }
        prop_assert!(table.moves <= Game::most_moves(big_steps, steps.max(1), arity));
    }

    /// Arbitrary challenges and models are answered too.
    #[test]
    fn challenges_are_total(
        (inputs, claims, outputs) in (any_regions(), prop::collection::vec(any_root(), 0..5), any_regions()),
        (level, index, scratch_bits, big_steps) in any::<(u32, u64, u8, u64)>(),
        (arity, now) in any::<(u64, u64)>(),
    ) {
        let model = Fake::new(1, 3, 3).model().expect("a model");
        let region = Region { subtree: Subtree { level, index }, bytes: 1 };
        let challenge = Challenge { inputs, claims, outputs };
        for model in [
            model.clone(),
            game::Model { shape: Shape { most: big_steps, ..model.shape }, ..model.clone() },
            game::Model { scratch_bits, ..model.clone() },
            game::Model { inputs: [region].into(), outputs: [region, region].into(), ..model },
        ] {
            let opened = Game::challenge(&model, VOID, Root::ZERO, arity, CLOCKS, &challenge, now);
            prop_assert!(opened.is_err(), "hashes were guessed");
        }
    }
}
