//! Seeded disputes between honest, lying, silent, late, griefing and crashing players. The honest side wins
//! its games and keeps its bond, and the disputes end in time. Bugs planted in the rules are noticed.
//!
//! `OPML_DISPUTES` sets how many are played (1500). A failure reports its seed.

use contracts::cost::{AT_ONCE, Bonds, Kind, Schedule, Shape};
use game::dispute::{Assertion, Dispute, Payment, Refused, Standing, Terms};
use game::fake::{Fake, What};
use game::player::{self, pick};
use game::{
    BigStepEntry, Challenge, Clocks, Game, Level, Model, Move, Pick, Region, Rules, Side, VOID, pair,
};
use opml_tests::random::Random;
use opml_tests::tools::number;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::convert::Infallible;
use step::{Proof, Root, WitnessError};

const END: (u64, u64) = (u64::MAX, u64::MAX);
const ASSERTER: usize = 0;

/// What can't fail.
fn sure<T>(result: Result<T, Infallible>) -> T {
    let Ok(value) = result;
    value
}

/// A check that is removed from the rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Bug {
    /// A part beyond the last is accepted.
    Part,
    /// Any siblings prove anything.
    Proof,
    /// A move may arrive at the claim that it rejects.
    Agreement,
    /// A big step ends in any status.
    Status,
    /// Scratch memory isn't cleared.
    Scratch,
    /// Thinking takes no time.
    Clock,
}

/// The rules over the true run, with or without a bug.
struct FaultyRules {
    truth: Fake,
    bug: Option<Bug>,
}

impl FaultyRules {
    fn has(&self, bug: Bug) -> bool {
        self.bug == Some(bug)
    }
}

impl Rules for FaultyRules {
    fn successor(&self, model: &Model, before: Root, witness: &[u8]) -> Result<Root, WitnessError> {
        self.truth.successor(model, before, witness)
    }
    fn is_part(&self, number: u64, parts: u64) -> bool {
        self.truth.is_part(number, parts) || self.has(Bug::Part)
    }
    fn leads(&self, proof: &Proof, index: u64, depth: u32, root: Root) -> bool {
        self.truth.leads(proof, index, depth, root) || self.has(Bug::Proof)
    }
    fn picks(&self, pick: &Pick, parts: u64, claims: Root) -> Option<usize> {
        let anything = self.has(Bug::Proof).then_some(pick.siblings.len());
        self.truth.picks(pick, parts, claims).or(anything)
    }
    fn differs(&self, ours: Root, rejected: Root) -> bool {
        self.truth.differs(ours, rejected) || self.has(Bug::Agreement)
    }
    fn left(&self, clock: u64, used: u64) -> Option<u64> {
        self.truth.left(clock, if self.has(Bug::Clock) { 0 } else { used })
    }
    fn folds(&self, regions: &[Region], roots: &[Root], depth: u32, siblings: &[Root], root: Root) -> bool {
        self.truth.folds(regions, roots, depth, siblings, root) || self.has(Bug::Proof)
    }
    fn has_ended(&self, status: u8) -> bool {
        self.truth.has_ended(status) || self.has(Bug::Status)
    }
    fn reset(&self, model: &Model, scratch: &Proof) -> Root {
        if self.has(Bug::Scratch) {
            return scratch.root(scratch.leaf, model.scratch().index);
        }
        self.truth.reset(model, scratch)
    }
}

/// How a player plays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Character {
    /// Tells the truth, without delay.
    Honest,
    /// Tells the truth, but is occasionally away for a long time and has no state afterwards.
    Crashing,
    /// Tells one story to the end.
    Liar,
    /// Tells another story at each move.
    Fickle,
    /// A liar that stops answering.
    Silent,
    /// A liar that answers after its time is over.
    Late,
    /// A liar that uses all of its time.
    Slow,
    /// A liar that tries all illegal moves first.
    Griefer,
    /// Asserts a lie, then insists on the truth: picks true claims, and arrives at the same roots.
    Sophist,
    /// Claims the same root everywhere.
    Monotone,
    /// Claims that big steps don't end.
    Gloomy,
    /// Doesn't clear scratch memory.
    Dirty,
}

use Character::*;

const DISHONEST: [Character; 10] =
    [Liar, Fickle, Silent, Late, Slow, Griefer, Sophist, Monotone, Gloomy, Dirty];

impl Character {
    fn is_honest(self) -> bool {
        matches!(self, Honest | Crashing)
    }
}

/// The subject of a dispute.
#[derive(Debug, Clone)]
struct World {
    truth: Fake,
    model: Model,
    terms: Terms,
}

impl World {
    fn random(random: &mut Random) -> Self {
        let big_steps = *random.pick(&[1, 2, 3, 5, 16, 100, 1 << 20, 1 << 40]);
        let steps = *random.pick(&[0, 1, 2, 3, 7, 64, 1000, 1 << 30, 1 << 60]);
        let traps = random.one_in(4).then(|| random.below(big_steps));
        let truth = Fake { traps, ..Fake::new(random.bits(), big_steps, steps) };
        let clocks =
            Clocks { asserter: 10_000 + random.below(1000), challenger: 10_000 + random.below(1000) };
        let arity = *random.pick(&[2, 3, 4, 5, 8, 16, 64]);
        let window = 1 + random.below(5000);
        let terms = Terms { window, clocks, arity, asserter_bond: 1000, challenger_bond: 100, burned: 250 };
        Self::new(truth, terms)
    }

    fn new(truth: Fake, terms: Terms) -> Self {
        let model = truth.model().expect("a model");
        Self { truth, model, terms }
    }

    /// The latest end.
    fn deadline(&self) -> u64 {
        self.terms.window + self.terms.clocks.asserter + self.terms.clocks.challenger
    }

    fn most_moves(&self) -> u64 {
        Game::most_moves(self.truth.big_steps, self.truth.steps.max(1), self.terms.arity)
    }

    /// A story whose result differs from the true one.
    fn story(&self, random: &mut Random) -> Fake {
        let Fake { big_steps, steps, .. } = self.truth;
        let other = What::Other(random.below(3));
        let from = (random.below(big_steps), 1 + random.below(steps.max(1)));
        let story = Fake { traps: None, ..self.truth.clone() };
        match random.below(4) {
            0 => story.lying(from..END, other),
            // True in the middle again, wrong at the end.
            1 => {
                let until = (from.0 + random.below(big_steps - from.0 + 1), 1);
                story.lying(from..until, other).lying((big_steps, 0)..END, other)
            }
            2 => story.lying((0, 1)..END, other),
            _ => story.lying((big_steps, 0)..END, other),
        }
    }
}

/// A key with a character.
struct Player {
    character: Character,
    oracle: Fake,
    random: Random,
    /// How long it may still be away, in each game.
    away: u64,
    /// How many steps it proves at once.
    at_once: u64,
}

/// A move at a time.
struct Attempt {
    delay: u64,
    move_: Move,
}

impl Player {
    fn new(character: Character, world: &World, random: &mut Random) -> Self {
        let mut random = Random::new(random.bits());
        let (truth, big_steps) = (&world.truth, world.truth.big_steps);
        let oracle = match character {
            Honest | Crashing => truth.clone(),
            Monotone => Fake { traps: None, ..truth.clone() }.lying((0, 1)..END, What::Same),
            Gloomy => gloomy(truth, random.below(big_steps)),
            Dirty => {
                let story = Fake { traps: None, ..truth.clone() };
                story.lying((1, 0)..(big_steps, 0), What::Scratch).lying((big_steps, 0)..END, What::Other(1))
            }
            _ => world.story(&mut random),
        };
        let away = world.terms.clocks.asserter / 4;
        let at_once = *random.pick(&[1, 2, 3, 64]);
        Self { character, oracle, random, away, at_once }
    }

    /// The output root that it asserts.
    fn result(&self) -> Root {
        self.oracle.result_commitment()
    }

    fn challenge(&mut self, world: &World) -> Challenge {
        sure(player::challenge(&world.model, world.terms.arity, &mut self.oracle))
    }

    /// A player's turn.
    fn attempts(&mut self, world: &World, game: &Game, theirs: &[Root]) -> Vec<Attempt> {
        if self.character == Fickle {
            self.oracle = world.story(&mut self.random);
        }
        let reply = sure(player::reply(game, theirs, self.at_once, &mut self.oracle));
        let left = game.mover().map_or(0, |mover| game.clocks().of(mover));
        let soon = self.random.below(1 + 5000 / world.most_moves());
        let at = |delay| move |move_| Attempt { delay, move_ };
        match self.character {
            Honest | Liar | Fickle | Monotone | Gloomy | Dirty => reply.into_iter().map(at(soon)).collect(),
            Crashing => {
                let outage = if self.random.one_in(4) { self.random.below(self.away + 1) } else { 0 };
                self.away -= outage;
                reply.into_iter().map(at(soon + outage)).collect()
            }
            Silent => reply.into_iter().filter(|_| !self.random.one_in(3)).map(at(soon)).collect(),
            Late => {
                let delay = if self.random.one_in(3) { left + 1 } else { soon };
                reply.into_iter().map(at(delay)).collect()
            }
            Slow => reply.into_iter().map(at(left)).collect(),
            Griefer => mischief(world, game, theirs, &mut self.random)
                .into_iter()
                .chain(reply)
                .map(at(soon))
                .collect(),
            Sophist => sophistry(world, game, theirs).into_iter().chain(reply).map(at(soon)).collect(),
        }
    }
}

/// Claims that a big step traps, or that it doesn't although it does.
fn gloomy(truth: &Fake, traps: u64) -> Fake {
    let traps = if truth.traps.is_none() { Some(traps) } else { None };
    Fake { traps, ..truth.clone() }
}

/// Moves that no rule allows.
fn mischief(world: &World, game: &Game, theirs: &[Root], random: &mut Random) -> Vec<Move> {
    let truth = &mut world.truth.clone();
    let (segment, arity) = (game.segment(), game.arity());
    let parts = segment.parts(arity);
    let mut moves = Vec::new();
    // A part before the first, and one behind the last, whose leaf is zero or, where the tree is full, the first.
    let (start, beyond) = (game.start(), segment.hi);
    let (agreed, siblings) = (theirs[parts as usize - 1], pair(start, theirs, parts));
    let outside = Pick { part: parts + 1, agreed, rejected: Root::ZERO, siblings };
    moves.push(with_witness(outside.clone(), segment.level, beyond));
    moves.push(Move::Dissect { pick: outside, claims: vec![Root::ZERO; arity as usize] });
    moves.push(Move::Void { pick: pick(start, theirs, 0) });
    // What the opponent never said.
    let part = 1 + random.below(parts);
    let lo = segment.part(part, arity).lo;
    let mut forged = pick(start, theirs, part);
    forged.rejected = Root([9; 32]);
    moves.push(with_witness(forged, segment.level, lo));
    let mut forged = pick(start, theirs, part);
    forged.agreed = VOID;
    moves.push(Move::Void { pick: forged });
    // Moves of other levels, of wrong sizes, with proofs of nothing.
    let genuine = || pick(start, theirs, part);
    moves.push(Move::Void { pick: genuine() });
    moves.push(with_witness(genuine(), segment.level, lo));
    moves.push(Move::Prove { pick: genuine(), witnesses: vec![Vec::new()] });
    moves.push(Move::Prove { pick: genuine(), witnesses: Vec::new() });
    moves.push(Move::Dissect { pick: genuine(), claims: Vec::new() });
    let unit = segment.part(part, arity);
    if let Move::Enter { pick, entry } = sure(player::go_on(arity, unit, genuine(), 1, truth)) {
        let change = |change: &dyn Fn(&mut BigStepEntry)| {
            let mut entry = entry.clone();
            change(&mut entry);
            Move::Enter { pick: pick.clone(), entry }
        };
        moves.push(change(&|entry| entry.end = vec![0; 33]));
        moves.push(change(&|entry| entry.leaf.bound ^= 1));
        moves.push(change(&|entry| entry.claims.push(Root::ZERO)));
        moves.push(change(&|entry| entry.scratch.leaf = Root([7; 32])));
    }
    moves
}

/// The witness of a place, which only the true state there accepts.
fn with_witness(pick: Pick, level: Level, step: u64) -> Move {
    let big_step = if let Level::Steps { big_step } = level { big_step } else { 0 };
    Move::Prove { pick, witnesses: vec![[big_step.to_be_bytes(), step.to_be_bytes()].concat()] }
}

/// The honest continuation of every part, whether there is anything to disagree with or not.
fn sophistry(world: &World, game: &Game, theirs: &[Root]) -> Vec<Move> {
    let truth = &mut world.truth.clone();
    let (segment, arity) = (game.segment(), game.arity());
    let way_on = |part: u64| {
        let pick = pick(game.start(), theirs, part);
        sure(player::go_on(arity, segment.part(part, arity), pick, 1, truth))
    };
    (1..=segment.parts(arity)).rev().take(8).map(way_on).collect()
}

/// The next event.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Challenge(usize),
    /// The number of a game, of its turn, and of the attempt in it.
    Attempt(usize, u64, usize),
    Timeout(usize, u64),
    Settle,
}

/// A dispute in progress.
struct Simulation {
    rules: FaultyRules,
    world: World,
    players: Vec<Player>,
    dispute: Dispute<usize>,
    /// By time. Events at the same time are handled in order.
    events: BinaryHeap<Reverse<(u64, u64, Event)>>,
    sequence: u64,
    /// Each game's turn, the claims of the last move, and the move that the player tries.
    turns: Vec<(u64, Vec<Root>, Vec<Move>)>,
    balances: Vec<i64>,
    refusals: u64,
    end: u64,
}

impl Simulation {
    /// The first player asserts, the others challenge.
    fn new(world: World, characters: &[Character], bug: Option<Bug>, random: &mut Random) -> Self {
        let players: Vec<Player> =
            characters.iter().map(|&character| Player::new(character, &world, random)).collect();
        let (model, inputs, result) =
            (world.model.clone(), world.truth.inputs_commitment(), players[ASSERTER].result());
        let dispute = Dispute::post(Assertion { asserter: ASSERTER, model, inputs, result }, world.terms, 0);
        let mut balances = vec![0; players.len()];
        balances[ASSERTER] -= world.terms.asserter_bond as i64;
        let rules = FaultyRules { truth: world.truth.clone(), bug };
        let (events, turns) = Default::default();
        let mut new = Self {
            rules,
            world,
            players,
            dispute,
            events,
            sequence: 0,
            turns,
            balances,
            refusals: 0,
            end: 0,
        };
        for challenger in 1..new.players.len() {
            let time = random.below(new.world.terms.window);
            new.push(time, Event::Challenge(challenger));
        }
        new.push(new.dispute.window_end(), Event::Settle);
        new
    }

    fn push(&mut self, time: u64, event: Event) {
        self.sequence += 1;
        self.events.push(Reverse((time, self.sequence, event)));
    }

    /// Plays to the end. A dispute can't be longer than this unless a rule is broken.
    fn run(&mut self) {
        let patience = 2 * self.world.deadline();
        while let Some(Reverse((now, _, event))) = self.events.pop() {
            if self.dispute.standing() != Standing::Pending || now > patience {
                return;
            }
            self.end = now;
            match event {
                Event::Challenge(challenger) => self.challenge(challenger, now),
                Event::Attempt(game, turn, attempt) if self.turns[game].0 == turn => {
                    self.attempt(game, attempt, now)
                }
                Event::Timeout(game, turn) if self.turns[game].0 == turn => {
                    let paid = self.dispute.timeout(&self.rules, game, now);
                    self.finish(game, paid, now);
                }
                Event::Attempt(..) | Event::Timeout(..) => {}
                Event::Settle => {
                    if let Ok(payment) = self.dispute.settle(now) {
                        self.pay(&[payment]);
                    }
                }
            }
        }
    }

    fn challenge(&mut self, challenger: usize, now: u64) {
        let challenge = self.players[challenger].challenge(&self.world);
        // An honest player has no move against a true result.
        match self.dispute.challenge(&self.rules, challenger, &challenge, now) {
            Ok(game) => {
                self.balances[challenger] -= self.world.terms.challenger_bond as i64;
                self.turns.push((0, challenge.claims, Vec::new()));
                self.turn(game, now);
            }
            Err(_) => self.refusals += 1,
        }
    }

    /// A side's turn begins.
    fn turn(&mut self, game: usize, now: u64) {
        let Some((challenger, state)) = self.dispute.game(game) else { return };
        let (Some(mover), Some(deadline)) = (state.mover(), state.deadline()) else { return };
        let player = if mover == Side::Asserter { ASSERTER } else { challenger };
        let (turn, claims, _) = &self.turns[game];
        let (turn, attempts) = (*turn + 1, self.players[player].attempts(&self.world, state, claims));
        self.turns[game].0 = turn;
        for (number, attempt) in attempts.iter().enumerate() {
            self.push(now + attempt.delay, Event::Attempt(game, turn, number));
        }
        self.turns[game].2 = attempts.into_iter().map(|attempt| attempt.move_).collect();
        self.push(deadline + 1, Event::Timeout(game, turn));
    }

    fn attempt(&mut self, game: usize, attempt: usize, now: u64) {
        let Some((challenger, state)) = self.dispute.game(game) else { return };
        let player = if state.mover() == Some(Side::Asserter) { ASSERTER } else { challenger };
        let move_ = self.turns[game].2[attempt].clone();
        match self.dispute.apply(&self.rules, game, player, &move_, now) {
            Ok(paid) => {
                self.turns[game].1 = move_.claims().to_vec();
                self.pay(&paid);
                self.turn(game, now);
                self.settle_later(now);
            }
            Err(_) => self.refusals += 1,
        }
    }

    fn finish(&mut self, game: usize, paid: Result<Vec<Payment<usize>>, Refused>, now: u64) {
        match paid {
            Ok(paid) => {
                self.turns[game].0 += 1;
                self.pay(&paid);
                self.settle_later(now);
            }
            Err(_) => self.refusals += 1,
        }
    }

    /// Anyone may settle as soon as it is possible.
    fn settle_later(&mut self, now: u64) {
        self.push(now.max(self.dispute.window_end()), Event::Settle);
    }

    fn pay(&mut self, payments: &[Payment<usize>]) {
        for payment in payments {
            self.balances[payment.to] += payment.amount as i64;
        }
    }

    /// Every game with its challenger.
    fn games(&self) -> impl Iterator<Item = (usize, &Game)> {
        (0..self.turns.len()).filter_map(|game| self.dispute.game(game))
    }

    /// What went wrong in the dispute.
    fn violation(&self) -> Option<String> {
        let honest = |player: usize| self.players[player].character.is_honest();
        let says =
            |side: Side, challenger| honest(if side == Side::Asserter { ASSERTER } else { challenger });
        let true_result = self.players[ASSERTER].result() == self.world.truth.result_commitment();
        let standing = self.dispute.standing();
        let watched = (1..self.players.len()).any(honest);
        if standing == Standing::Pending || self.end > self.world.deadline() {
            return Some(format!("{standing:?} at {}, later than {}", self.end, self.world.deadline()));
        }
        if honest(ASSERTER) && standing != Standing::Final {
            return Some("an honest result fell".to_owned());
        }
        if watched && !true_result && standing != Standing::Overturned {
            return Some("a wrong result stands".to_owned());
        }
        for (challenger, game) in self.games() {
            if game
                .winner()
                .is_some_and(|winner| says(winner.other(), challenger) && !says(winner, challenger))
            {
                let [asserter, challenger] =
                    [ASSERTER, challenger].map(|player| self.players[player].character);
                return Some(format!("{asserter:?} against {challenger:?}: {:?}", game.winner()));
            }
        }
        if let Some((turns, ..)) = self.turns.iter().find(|(turns, ..)| *turns > self.world.most_moves() + 1)
        {
            return Some(format!("{turns} turns of {}", self.world.most_moves()));
        }
        let losers = (0..self.players.len()).filter(|&player| self.balances[player] < 0);
        if let Some(loser) = losers.into_iter().find(|&player| honest(player)) {
            return Some(format!("an honest player lost {}", -self.balances[loser]));
        }
        let burned = if standing == Standing::Overturned { self.world.terms.burned as i64 } else { 0 };
        let total: i64 = self.balances.iter().sum();
        (total != -burned).then(|| format!("{} are locked or made up", -burned - total))
    }
}

/// Plays one random dispute.
fn play(seed: u64, bug: Option<Bug>) -> Simulation {
    let random = &mut Random::new(seed);
    let world = World::random(random);
    let any = |random: &mut Random| match random.below(4) {
        0 => Honest,
        1 => Crashing,
        _ => *random.pick(&DISHONEST),
    };
    let characters: Vec<Character> = (0..2 + random.below(6)).map(|_| any(random)).collect();
    let mut simulation = Simulation::new(world, &characters, bug, random);
    simulation.run();
    simulation
}

#[test]
fn the_honest_side_wins_and_keeps_its_bond_in_time() {
    let (mut games, mut refusals, mut overturned, mut standing) = (0, 0, 0, 0);
    let disputes = number("OPML_DISPUTES", 1500);
    for seed in 0..disputes {
        let simulation = play(seed, None);
        let characters: Vec<_> = simulation.players.iter().map(|player| player.character).collect();
        if let Some(violation) = simulation.violation() {
            panic!("seed {seed}: {violation}\n{characters:?}\n{:?}", simulation.world);
        }
        games += simulation.turns.len();
        refusals += simulation.refusals;
        match simulation.dispute.standing() {
            Standing::Overturned => overturned += 1,
            _ => standing += 1,
        }
    }
    // All of these happened, and often.
    let least = [
        (games as u64, disputes),
        (refusals, disputes),
        (overturned, disputes / 10),
        (standing, disputes / 10),
    ];
    assert!(least.iter().all(|(count, least)| count >= least), "{least:?}");
}

/// Plays one dispute of these players. The first asserts.
fn play_characters(seed: u64, characters: &[Character], bug: Option<Bug>) -> Simulation {
    let random = &mut Random::new(seed);
    let world = World::random(random);
    let mut simulation = Simulation::new(world, characters, bug, random);
    simulation.run();
    simulation
}

#[test]
fn a_true_result_survives_a_hundred_challengers() {
    for seed in 0..5 {
        let challengers = DISHONEST.iter().cycle().take(100);
        let characters: Vec<_> = std::iter::once(&Honest).chain(challengers).copied().collect();
        let simulation = play_characters(seed, &characters, None);
        assert_eq!(simulation.violation(), None, "seed {seed}");
        assert_eq!(simulation.dispute.standing(), Standing::Final);
        // Each challenger that was heard paid for it.
        let heard = simulation.turns.len();
        assert!(heard >= 80, "{heard} challenges");
        assert_eq!(simulation.balances[ASSERTER], 100 * heard as i64);
        assert_eq!(simulation.balances.iter().filter(|&&balance| balance == -100).count(), heard);
    }
}

#[test]
fn one_honest_challenger_among_a_hundred_is_enough() {
    for (seed, asserter) in (0..).zip(DISHONEST) {
        let mut characters: Vec<_> = DISHONEST.iter().cycle().take(100).copied().collect();
        characters[1 + seed as usize * 9] = Honest;
        characters[ASSERTER] = asserter;
        let simulation = play_characters(seed, &characters, None);
        assert_eq!(simulation.violation(), None, "{asserter:?}");
        assert_eq!(simulation.dispute.standing(), Standing::Overturned, "{asserter:?}");
        // The winner gets at least half of what isn't burned; those whose games were open share the rest.
        let challengers = &simulation.balances[1..];
        let gains: Vec<i64> = challengers.iter().copied().filter(|&balance| balance > 0).collect();
        assert_eq!(gains.iter().sum::<i64>(), 750, "{asserter:?}: {gains:?}");
        assert!(gains.iter().any(|&gain| gain >= 375), "{asserter:?}: {gains:?}");
    }
}

#[test]
fn every_planted_bug_is_noticed() {
    for bug in [Bug::Part, Bug::Proof, Bug::Agreement, Bug::Status, Bug::Scratch, Bug::Clock] {
        let noticed = (0..number("OPML_DISPUTES", 1500)).find_map(|seed| play(seed, Some(bug)).violation());
        assert!(noticed.is_some(), "no dispute showed that {bug:?} isn't checked");
    }
}

/// A setting for two players: no traps, and times and bonds that are easy to add up.
fn meeting(traps: Option<u64>) -> World {
    let clocks = Clocks { asserter: 10_000, challenger: 10_000 };
    let terms =
        Terms { window: 500, clocks, arity: 4, asserter_bond: 1000, challenger_bond: 100, burned: 250 };
    World::new(Fake { traps, ..Fake::new(5, 100, 1000) }, terms)
}

/// The pairs of players and the outcomes.
const MEETINGS: &str = "
    honest   against honest   -> Final  asserter    0, challenger    0
    honest   against crashing -> Final  asserter    0, challenger    0
    honest   against liar     -> Final  asserter  100, challenger -100
    honest   against fickle   -> Final  asserter  100, challenger -100
    honest   against silent   -> Final  asserter  100, challenger -100
    honest   against late     -> Final  asserter  100, challenger -100
    honest   against slow     -> Final  asserter  100, challenger -100
    honest   against griefer  -> Final  asserter  100, challenger -100
    honest   against sophist  -> Final  asserter  100, challenger -100
    honest   against monotone -> Final  asserter  100, challenger -100
    honest   against gloomy   -> Final  asserter  100, challenger -100
    honest   against dirty    -> Final  asserter  100, challenger -100
    crashing against griefer  -> Final  asserter  100, challenger -100
    liar     against honest   -> Overturned asserter -1000, challenger 750
    fickle   against honest   -> Overturned asserter -1000, challenger 750
    silent   against honest   -> Overturned asserter -1000, challenger 750
    late     against honest   -> Overturned asserter -1000, challenger 750
    slow     against honest   -> Overturned asserter -1000, challenger 750
    griefer  against honest   -> Overturned asserter -1000, challenger 750
    sophist  against honest   -> Overturned asserter -1000, challenger 750
    monotone against honest   -> Overturned asserter -1000, challenger 750
    gloomy   against honest   -> Overturned asserter -1000, challenger 750
    dirty    against honest   -> Overturned asserter -1000, challenger 750
    liar     against crashing -> Overturned asserter -1000, challenger 750
";

fn character(name: &str) -> Character {
    let all = [Honest, Crashing].into_iter().chain(DISHONEST);
    let named = |character: &Character| format!("{character:?}").to_lowercase() == name;
    all.into_iter().find(named).unwrap_or_else(|| panic!("unknown player {name:?}"))
}

#[test]
fn who_meets_whom() {
    let mut wrong = String::new();
    let rows = MEETINGS.lines().map(str::trim).filter(|row| !row.is_empty());
    for (row, traps) in rows.flat_map(|row| [(row, None), (row, Some(40))]) {
        let (meeting_of, expected) = row.split_once(" -> ").expect("an outcome");
        let (asserter, challenger) = meeting_of.split_once(" against ").expect("two players");
        let characters = [asserter, challenger].map(|name| character(name.trim()));
        let mut simulation = Simulation::new(meeting(traps), &characters, None, &mut Random::new(11));
        simulation.run();
        let (standing, balances) = (simulation.dispute.standing(), &simulation.balances);
        let found = format!("{standing:?} asserter {}, challenger {}", balances[0], balances[1]);
        let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        if words(&found) != words(expected) || simulation.violation().is_some() {
            wrong += &format!("{row}: {found}, {:?} (traps: {traps:?})\n", simulation.violation());
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}

#[test]
fn who_may_not_play() {
    let world = meeting(None);
    let random = &mut Random::new(1);
    let (mut liar, mut honest) = (Player::new(Liar, &world, random), Player::new(Honest, &world, random));
    let (model, inputs, result) = (world.model.clone(), world.truth.inputs_commitment(), liar.result());
    let mut dispute = Dispute::post(Assertion { asserter: 0, model, inputs, result }, world.terms, 1000);
    let rules = FaultyRules { truth: world.truth.clone(), bug: None };
    let (good, bad) = (honest.challenge(&world), liar.challenge(&world));
    assert_eq!(dispute.challenge(&rules, 0, &good, 1000), Err(Refused::Itself));
    assert_eq!(dispute.challenge(&rules, 1, &bad, 1000), Err(Refused::Illegal(game::Illegal::Agrees)));
    assert_eq!(dispute.challenge(&rules, 1, &good, 1500), Err(Refused::WindowOver));
    assert_eq!(dispute.challenge(&rules, 1, &good, 1499), Ok(0));
    let reply = sure(player::reply(dispute.game(0).expect("a game").1, &good.claims, 1, &mut liar.oracle));
    let reply = reply.expect("a lie");
    assert_eq!(dispute.apply(&rules, 0, 2, &reply, 1500), Err(Refused::Stranger));
    assert_eq!(dispute.apply(&rules, 1, 0, &reply, 1500), Err(Refused::Game));
    assert_eq!(dispute.apply(&rules, 0, 1, &reply, 1500), Err(Refused::Illegal(game::Illegal::Turn)));
    assert_eq!(dispute.timeout(&rules, 0, 11_499), Err(Refused::Illegal(game::Illegal::Early)));
    assert_eq!(dispute.settle(1500), Err(Refused::Unsettled));
    let paid = dispute.timeout(&rules, 0, 11_500);
    assert_eq!(paid, Ok(vec![Payment { to: 1, amount: 850 }]));
    assert_eq!(dispute.settle(11_500), Err(Refused::Decided));
    assert_eq!(dispute.apply(&rules, 0, 0, &reply, 11_500), Err(Refused::Decided));
}

/// What a move costs at most, in gas.
fn gas_of(move_: &Move) -> u64 {
    let kind = match move_ {
        Move::Dissect { .. } => Kind::Dissect,
        Move::Enter { .. } => Kind::Enter,
        Move::Void { .. } => Kind::Prove(1),
        Move::Prove { witnesses, .. } => Kind::Prove(witnesses.len() as u64),
    };
    Shape::LARGE.bound(kind, &Schedule::OSAKA).gas
}

/// A lie that is challenged by an honest player and by friends of the liar, one of whom wins just before the
/// honest player would have: what the honest player has in the end, less its gas at this price.
fn honest_gain(friends: usize, gas_price: u64) -> i64 {
    const HONEST: usize = 1;
    let bonds = Bonds::at(&Shape::LARGE, 50);
    let amount = |amount: u128| u64::try_from(amount).expect("bonds at a low price");
    let Shape { arity, big_steps, steps, .. } = Shape::LARGE;
    let terms = Terms {
        window: 100,
        clocks: Clocks { asserter: 1000, challenger: 1000 },
        arity,
        asserter_bond: amount(bonds.asserter),
        challenger_bond: amount(bonds.challenger),
        burned: amount(bonds.burned),
    };
    let mut truth = Fake::new(3, big_steps, steps);
    let mut liar = truth.clone().lying((big_steps / 3, steps / 3)..END, What::Other(1));
    let model = truth.model().expect("a model");
    let (inputs, result) = (truth.inputs_commitment(), liar.result_commitment());
    let mut dispute =
        Dispute::post(Assertion { asserter: ASSERTER, model: model.clone(), inputs, result }, terms, 0);
    let rules = truth.clone();
    let opening = sure(player::challenge(&model, arity, &mut truth));
    let challenge = Shape::LARGE.bound(Kind::Challenge, &Schedule::OSAKA).gas;
    let mut balance = -((terms.challenger_bond + challenge * gas_price) as i64);
    // The honest player's game is the first.
    for challenger in HONEST..=HONEST + friends {
        dispute.challenge(&rules, challenger, &opening, 1).expect("a challenge");
    }
    let mut paid = Vec::new();
    for game in [0, 1] {
        let mut theirs = opening.claims.clone();
        while let Some(mover) = dispute.game(game).expect("a game").1.mover() {
            let (challenger, state) = dispute.game(game).expect("a game");
            let oracle = if mover == Side::Asserter { &mut liar } else { &mut truth };
            let Some(move_) = sure(player::reply(state, &theirs, AT_ONCE, oracle)) else { break };
            let player = if mover == Side::Asserter { ASSERTER } else { challenger };
            let wins = matches!(move_, Move::Prove { .. } | Move::Void { .. }) && mover == Side::Challenger;
            if wins && challenger == HONEST {
                break;
            }
            let Ok(payments) = dispute.apply(&rules, game, player, &move_, 2) else { break };
            theirs = move_.claims().to_vec();
            if challenger == HONEST && mover == Side::Challenger {
                balance -= (gas_of(&move_) * gas_price) as i64;
            }
            paid.extend(payments);
        }
    }
    if dispute.standing() == Standing::Pending {
        // The liar has no move left in the friend's game.
        paid.extend(dispute.timeout(&rules, 1, 2000).expect("its time is over"));
    }
    assert_eq!(dispute.standing(), Standing::Overturned);
    let back = paid.iter().filter(|payment| payment.to == HONEST).map(|payment| payment.amount as i64);
    balance + back.sum::<i64>()
}

#[test]
fn friends_of_a_liar_do_not_take_an_honest_challengers_gas() {
    // The bonds are made for one friend at 50, so they suffice for ten at 5.
    for (friends, gas_price) in [(1, 50), (2, 25), (5, 10), (10, 5), (50, 1)] {
        let gain = honest_gain(friends, gas_price);
        assert!(gain >= 0, "{friends} friends at {gas_price}: the honest challenger loses {}", -gain);
    }
    assert!(honest_gain(200, 50) < 0, "the limit that docs/costs.md states");
}

/// Plays a game against a liar that gives up when it can only come to the truth; whether it ended in a proof, or
/// the honest side had to wait for the liar's clock.
fn ends_in_a_proof(truth: &Fake, liar: &Fake, honest: Side, at_once: u64) -> bool {
    let (model, clocks) = (truth.model().expect("a model"), Clocks { asserter: 1000, challenger: 1000 });
    let (mut asserter, mut challenger) = match honest {
        Side::Asserter => (truth.clone(), liar.clone()),
        Side::Challenger => (liar.clone(), truth.clone()),
    };
    let opening = sure(player::challenge(&model, 20, &mut challenger));
    let (inputs, asserted) = (truth.inputs_commitment(), asserter.result_commitment());
    let game = Game::challenge_under(truth, &model, inputs, asserted, 20, clocks, &opening, 0);
    let (mut game, mut theirs) = (game.expect("a challenge"), opening.claims);
    while let Some(mover) = game.mover() {
        let oracle = if mover == Side::Asserter { &mut asserter } else { &mut challenger };
        let at_once = if mover == honest { at_once } else { 1 };
        let move_ = sure(player::reply(&game, &theirs, at_once, oracle));
        let legal = |move_: &Move| game.apply_under(truth, mover, move_, 0).is_ok();
        match move_.filter(legal) {
            Some(move_) => theirs = move_.claims().to_vec(),
            None => {
                assert_ne!(mover, honest, "the honest side always has a move");
                return false;
            }
        }
    }
    assert_eq!(game.winner(), Some(honest));
    true
}

/// How often a dispute ends in a proof, so that nobody waits for a clock, if the honest side proves so many steps
/// at once. docs/decisions has the table.
#[test]
fn how_games_end() {
    const GAMES: u64 = 400;
    let mut text =
        "big steps of so many steps; steps proved at once: 1 2 4 20 64 (games of 100 that end in a proof)\n"
            .to_owned();
    for steps in [1_000, 456_829, 1 << 26] {
        let shares = [1, 2, 4, 20, 64].map(|at_once| {
            let random = &mut Random::new(steps);
            let proofs = (0..GAMES).filter(|_| {
                let truth = Fake::new(random.bits(), 8, steps);
                let from = (random.below(8), 1 + random.below(steps));
                let liar = truth.clone().lying(from..END, What::Other(1));
                let honest = if random.one_in(2) { Side::Asserter } else { Side::Challenger };
                ends_in_a_proof(&truth, &liar, honest, at_once)
            });
            (proofs.count() as u64 * 100 / GAMES).to_string()
        });
        text += &format!("{steps:>10}: {}\n", shares.join(" "));
    }
    insta::assert_snapshot!(text);
}
