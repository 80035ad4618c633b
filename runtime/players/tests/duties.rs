//! The duties of a player, case by case.

use contracts::{Address, Answer, B256, Game, Request, Standing, Terms, U256};
use game::{Clocks, Level, Segment, Side};
use players::{
    Case, Duty, GameStanding, Position, Role, concerns, duties, game_id, game_ids, game_of, next_duty,
};

const ME: Address = Address::repeat_byte(1);
const THEM: Address = Address::repeat_byte(2);
const TRUTH: B256 = B256::repeat_byte(7);
const LIE: B256 = B256::repeat_byte(8);
const POSTED: u64 = 1000;
const WINDOW: u64 = 100;
const CLOCK: u32 = 50;

const SERVER: Role = Role { answers: Some(U256::ZERO), challenges: false, repairs: false };
const VALIDATOR: Role = Role { answers: None, challenges: true, repairs: true };

fn terms() -> Terms {
    let bond = U256::from(1).to();
    Terms {
        window: WINDOW as u32,
        clock: CLOCK,
        arity: 4,
        asserterBond: bond,
        challengerBond: bond,
        burned: bond,
    }
}

/// Nothing was answered yet.
fn no_answer() -> Answer {
    Case::unseen(U256::ZERO).answer
}

fn answer(asserter: Address, root: B256, standing: Standing) -> Answer {
    Answer { asserter, result: root, standing, attempt: 1, posted: U256::from(POSTED).to(), ..no_answer() }
}

fn case(answer: Answer) -> Case {
    Case {
        id: U256::from(5),
        hash: B256::ZERO,
        request: Some(Request::default()),
        cancellable: 0,
        answer,
        games: Vec::new(),
        truth: Some(TRUTH),
        answered: false,
        callback_data: 0,
        unread: false,
        gas_price: 10,
    }
}

/// A game of `challenger` against the answer, in which this side is to move since `POSTED`.
fn game(challenger: Address, asserter_moves: bool) -> (U256, GameStanding) {
    let clock = u64::from(CLOCK);
    let position = contracts::Position {
        mover: if asserter_moves { Side::Asserter } else { Side::Challenger },
        clocks: Clocks { asserter: clock, challenger: clock },
        since: POSTED,
        repetitions: Some(0),
        segment: Segment { level: Level::BigSteps, lo: 0, hi: 9 },
    };
    let game = Game { subject: B256::ZERO, position: position.pack() };
    let state = Position { game, start: B256::ZERO, claims: Vec::new() };
    (game_id(U256::from(5), 1, challenger), GameStanding::Open(Box::new(state)))
}

fn what(role: Role, now: u64, case: &Case) -> Vec<Duty> {
    duties(&role, ME, &terms(), now, case)
}

#[test]
fn a_game_is_named_after_request_attempt_and_challenger() {
    let id = game_id(U256::from(77), 3, Address::repeat_byte(0xff));
    assert_eq!(game_of(id), (U256::from(77), 3));
    assert_ne!(id, game_id(U256::from(77), 4, Address::repeat_byte(0xff)));
}

#[test]
fn a_server_answers_what_pays_once_it_knows_the_answer() {
    let mut open = case(no_answer());
    assert_eq!(what(SERVER, 0, &open), [Duty::Answer]);
    open.truth = None;
    assert_eq!(what(SERVER, 0, &open), [Duty::Compute]);
    assert_eq!(what(Role { answers: Some(U256::from(1)), ..SERVER }, 0, &open), []);
    assert_eq!(what(VALIDATOR, 0, &open), []);
    open.answered = true;
    assert_eq!(what(SERVER, 0, &open), [], "a request is not answered twice");
    open.request = None;
    assert_eq!(what(SERVER, 0, &open), []);
}

#[test]
fn requests_that_could_not_be_settled_are_not_answered() {
    let mut open = case(answer(THEM, LIE, Standing::Overturned));
    for (callback_data, output, fits) in [(119_900, 10_000, true), (130_900, 10, false), (10, 130_900, false)]
    {
        let request = Request::default();
        (open.callback_data, open.request) =
            (callback_data, Some(Request { outputs: vec![U256::from(output)], ..request }));
        let expected = if fits { vec![Duty::Answer] } else { vec![] };
        assert_eq!((what(SERVER, 0, &open), what(VALIDATOR, 0, &open)), (expected.clone(), expected));
    }
}

#[test]
fn requests_that_pay_less_than_their_callback_costs_are_not_answered() {
    let pays = |fee: u64, callback| {
        let blank = Request::default();
        Some(Request { fee: U256::from(fee).to(), callback, callbackGas: 8_000_000, ..blank })
    };
    let server = Role { answers: Some(U256::from(5)), ..SERVER };
    for (role, standing, least) in
        [(server, Standing::None, 80_000_005), (VALIDATOR, Standing::Overturned, 80_000_000)]
    {
        let mut open = case(answer(THEM, LIE, standing));
        open.request = pays(least - 1, THEM);
        assert_eq!(what(role, 0, &open), [], "{role:?}");
        open.request = pays(least, THEM);
        assert_eq!(what(role, 0, &open), [Duty::Answer], "{role:?}");
        // There is no callback, regardless of the gas asked for.
        open.request = pays(5, Address::ZERO);
        assert_eq!(what(role, 0, &open), [Duty::Answer], "{role:?}");
    }
}

#[test]
fn a_game_against_an_overturned_answer_concerns_its_challenger_only() {
    let (ours, theirs) = (game(THEM, true), game(ME, true));
    let is_ours =
        |standing, (id, state): &(U256, GameStanding)| concerns(ME, &answer(ME, LIE, standing), *id, state);
    assert!(is_ours(Standing::Pending, &ours) && is_ours(Standing::Pending, &theirs));
    assert!(!is_ours(Standing::Overturned, &ours), "or nothing is ever withdrawn again");
    assert!(is_ours(Standing::Overturned, &theirs), "the bond is to be got back");
    let (id, state) = game(Address::repeat_byte(3), true);
    assert!(!concerns(ME, &answer(THEM, LIE, Standing::Pending), id, &state));
}

#[test]
fn missed_events_are_noticed() {
    let mut ours = case(answer(ME, TRUTH, Standing::Pending));
    assert!(!ours.misses_events(ME));
    ours.answer.openGames = U256::from(2).to();
    ours.games = vec![game(THEM, true)];
    assert!(ours.misses_events(ME), "a game against us");
    ours.games.push(game(Address::repeat_byte(3), true));
    assert!(!ours.misses_events(ME));
    ours.answer.attempt = 2;
    assert!(ours.misses_events(ME), "those are against an older answer");
    let mut theirs = case(answer(THEM, LIE, Standing::Pending));
    theirs.answer.openGames = U256::from(1).to();
    assert!(!theirs.misses_events(ME), "what others play is theirs");
    theirs.games = vec![(game_id(U256::from(5), 1, ME), GameStanding::Unseen)];
    assert!(theirs.misses_events(ME), "a state of our game");
    theirs.games.clear();
    theirs.request = None;
    assert!(!theirs.misses_events(ME), "it was cancelled");
    theirs.hash = TRUTH;
    assert!(theirs.misses_events(ME), "a request");
}

#[test]
fn a_validator_challenges_what_is_wrong_within_the_window_and_once() {
    let mut wrong = case(answer(THEM, LIE, Standing::Pending));
    assert_eq!(what(VALIDATOR, POSTED, &wrong), [Duty::Challenge]);
    assert_eq!(what(VALIDATOR, POSTED + WINDOW - 1, &wrong), [Duty::Challenge]);
    assert_eq!(what(VALIDATOR, POSTED + WINDOW, &wrong), []);
    assert_eq!(what(SERVER, POSTED, &wrong), []);
    wrong.games = vec![game(ME, true)];
    assert_eq!(what(VALIDATOR, POSTED, &wrong), []);
    wrong.games = vec![(game_id(U256::from(5), 1, ME), GameStanding::Over(Some(Side::Asserter)))];
    assert_eq!(what(VALIDATOR, POSTED, &wrong), [], "a player that has lost doesn't try again");
    wrong.truth = None;
    wrong.games.clear();
    assert_eq!(what(VALIDATOR, POSTED, &wrong), [Duty::Compute]);
    assert_eq!(what(VALIDATOR, POSTED, &case(answer(THEM, TRUTH, Standing::Pending))), []);
    assert_eq!(what(VALIDATOR, POSTED, &case(answer(ME, LIE, Standing::Pending))), [], "not one's own");
}

#[test]
fn the_mover_moves_and_a_late_opponent_is_timed_out() {
    let last = POSTED + u64::from(CLOCK);
    let id = game_id(U256::from(5), 1, ME);
    let mut ours = case(answer(THEM, LIE, Standing::Pending));
    ours.games = vec![game(ME, false)];
    assert_eq!(what(VALIDATOR, last, &ours), [Duty::Reply(id)]);
    assert_eq!(what(VALIDATOR, last + 1, &ours), [], "it is too late");
    ours.games = vec![game(ME, true)];
    assert_eq!(what(VALIDATOR, last, &ours), []);
    assert_eq!(what(VALIDATOR, last + 1, &ours), [Duty::Timeout(id)]);

    // A server defends its answer in several games at once.
    let mut defended = case(answer(ME, TRUTH, Standing::Pending));
    defended.answer.openGames = U256::from(2).to();
    let other = Address::repeat_byte(3);
    defended.games = vec![game(THEM, true), game(other, false)];
    let [first, second] = [THEM, other].map(|challenger| game_id(U256::from(5), 1, challenger));
    assert_eq!(what(SERVER, POSTED, &defended), [Duty::Reply(first)]);
    assert_eq!(what(SERVER, last + 1, &defended), [Duty::Timeout(second)]);
    assert_eq!(what(SERVER, POSTED + WINDOW, &defended), [Duty::Timeout(second)], "games are open");
}

#[test]
fn an_asserter_settles_its_answer_once_it_cannot_be_overturned() {
    let mut ours = case(answer(ME, TRUTH, Standing::Pending));
    assert_eq!(what(SERVER, POSTED + WINDOW - 1, &ours), []);
    assert_eq!(what(SERVER, POSTED + WINDOW, &ours), [Duty::Settle]);
    ours.truth = None;
    assert_eq!(what(SERVER, POSTED + WINDOW, &ours), [Duty::Settle], "nobody needs the outputs");
    ours.request.as_mut().expect("a request").callback = Address::repeat_byte(7);
    assert_eq!(what(SERVER, POSTED + WINDOW, &ours), [Duty::Compute], "the output is shown again");
    ours.answer.standing = Standing::Final;
    assert_eq!(what(SERVER, POSTED + WINDOW, &ours), []);
    assert_eq!(what(VALIDATOR, POSTED + WINDOW, &case(answer(THEM, TRUTH, Standing::Pending))), []);
}

#[test]
fn after_an_overturned_answer_the_true_one_is_given_and_bonds_are_reclaimed() {
    let id = game_id(U256::from(5), 1, ME);
    let mut overturned = case(answer(THEM, LIE, Standing::Overturned));
    assert_eq!(what(VALIDATOR, POSTED, &overturned), [Duty::Answer]);
    assert_eq!(what(Role { repairs: false, ..VALIDATOR }, POSTED, &overturned), []);
    // Our game was still running.
    overturned.games = vec![game(ME, false)];
    assert_eq!(what(VALIDATOR, POSTED, &overturned), [Duty::Reclaim(id), Duty::Answer]);
    // Another answer has come in between.
    overturned.answer = Answer { attempt: 2, ..answer(THEM, TRUTH, Standing::Pending) };
    assert_eq!(what(VALIDATOR, POSTED, &overturned), [Duty::Reclaim(id)]);
    // A game whose current state has not been seen waits for its event.
    overturned.games = vec![(id, GameStanding::Unseen)];
    assert_eq!(what(VALIDATOR, POSTED, &overturned), []);
}

#[test]
fn nothing_is_due_before_its_time() {
    let server = Role { answers: Some(U256::from(5)), ..SERVER };
    let ends =
        |standing| [(ME, TRUTH), (THEM, TRUTH), (THEM, LIE)].map(|(by, root)| answer(by, root, standing));
    let mut answers = vec![no_answer()];
    answers.extend([Standing::Pending, Standing::Overturned, Standing::Final].into_iter().flat_map(ends));
    let (mut awaited, mut cases) = (0, Vec::new());
    for (answer, truth, games) in answers.iter().flat_map(|answer| {
        let games = [Vec::new(), vec![game(ME, true)], vec![game(THEM, false)]];
        games
            .into_iter()
            .flat_map(move |games| [None, Some(TRUTH)].map(|truth| (answer, truth, games.clone())))
    }) {
        for (answered, cancellable, callback) in
            [(false, 0, Address::ZERO), (true, 0, Address::ZERO), (false, POSTED + WINDOW, THEM)]
        {
            let mut new = case(answer.clone());
            (new.truth, new.games, new.answered, new.cancellable) =
                (truth, games.clone(), answered, cancellable);
            new.answer.openGames = U256::from(games.len()).to();
            new.request.as_mut().expect("a request").callback = callback;
            cases.push(new);
        }
    }
    for (role, case) in
        [server, SERVER, VALIDATOR].iter().flat_map(|role| cases.iter().map(move |it| (role, it)))
    {
        for now in (POSTED..POSTED + 2 * WINDOW).step_by(10) {
            let next = next_duty(role, ME, &terms(), now, case);
            let first = (now..POSTED + 3 * WINDOW).find(|&now| !what(*role, now, case).is_empty());
            assert!(first.is_none_or(|first| next <= first), "{role:?} {now}: {next} {first:?} {case:?}");
            awaited += u32::from(next > now && next < u64::MAX);
        }
    }
    assert!(awaited > 0, "some are waited for");
}

#[test]
fn every_number_has_its_games_and_no_other() {
    for request in [0u64, 1, 7, u64::MAX]
        .map(U256::from)
        .into_iter()
        .chain([(U256::from(1) << 80) - U256::from(1), U256::MAX])
    {
        let games = game_ids(request);
        assert!(games.start() <= games.end(), "{request}");
        for (attempt, account) in [(0, Address::ZERO), (u16::MAX, Address::repeat_byte(0xff))] {
            assert!(games.contains(&game_id(request, attempt, account)), "{request}");
        }
    }
    assert!(game_ids(U256::from(7)).end() < game_ids(U256::from(8)).start());
}
