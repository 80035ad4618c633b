//! `opml dispute`: a whole dispute about a result, move by move, on the contracts in the embedded EVM.

use crate::arena::{Arena, Transaction};
use crate::cli::{Cheat, Dispute};
use crate::failure::Failure;
use crate::images::load_verified;
use crate::lies::{liar, lies};
use crate::narration::{DisputedStep, cut, node_at, range, wrapped};
use crate::output::{Output, count, table, write_file};
use crate::pictures::narrowing::{self, Round};
use crate::tensors::read_inputs;
use game::player::{challenge, reply};
use game::{Game, Illegal, Model, Move, Oracle as _, Outcome, Segment, Side};
use image::{Image, Schedule};
use indicatif::ProgressBar;
use players::{LoadedModel, pack};
use prover::Execution;
use serde_json::{Value, json};
use std::fmt::{Display, Formatter};
use std::time::{Duration, Instant};
use step::Root;

/// The width of text.
const COLUMNS: usize = 80;

/// A finished dispute.
pub struct Played {
    pub model: Model,
    pub arity: u64,
    pub winner: Side,
    pub ending: Ending,
    /// The claims, and the opponent's pick from each.
    pub rounds: Vec<Round>,
    /// The disputed step, if there is one.
    pub step: Option<DisputedStep>,
    transactions: Vec<Transaction>,
    time: Duration,
}

/// How a dispute ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// The contract executed the step.
    Executed,
    /// There was no memory to continue from, but the loser claimed some.
    Void,
    /// The loser never answered.
    Silence,
    /// The contract executed the step and refused the loser's proof; then its time ran out.
    Refused,
    /// The loser had no move left at all, and its time ran out.
    NoMove,
}

/// The cost of some transactions.
#[derive(Debug, Clone, Copy, Default)]
struct Bill {
    transactions: u64,
    /// What the EVM took.
    gas: u64,
    /// What it would take under the announced schedule.
    glamsterdam: u64,
    bytes: u64,
}

impl Bill {
    fn json(self) -> Value {
        let Self { transactions, gas, glamsterdam, bytes } = self;
        json!({ "transactions": transactions, "gas": gas, "glamsterdam_gas": glamsterdam, "calldata_bytes": bytes })
    }
}

impl Display for Bill {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        let Self { transactions, gas, glamsterdam, bytes } = *self;
        let [gas, glamsterdam, bytes] = [gas, glamsterdam, bytes].map(count);
        write!(
            f,
            "{transactions:>3} transactions, {bytes:>7} bytes of calldata, {gas:>9} gas\n{:>64}{glamsterdam:>9} gas",
            "under Glamsterdam's schedule "
        )
    }
}

impl Ending {
    /// Its name in JSON.
    fn name(self) -> &'static str {
        match self {
            Self::Executed => "executed",
            Self::Void => "void",
            Self::Refused => "refused",
            Self::Silence | Self::NoMove => "timeout",
        }
    }
}

impl Played {
    /// What the dispute only, or everything, cost.
    fn bill(&self, all: bool) -> Bill {
        let mut bill = Bill::default();
        for transaction in self.transactions.iter().filter(|transaction| all || transaction.disputed) {
            bill.transactions += 1;
            bill.gas += transaction.gas;
            bill.glamsterdam += transaction.glamsterdam;
            bill.bytes += transaction.calldata as u64;
        }
        bill
    }

    /// The part of the run to which the dispute was narrowed.
    pub fn narrowed(&self) -> Option<Segment> {
        let last = self.rounds.last()?;
        Some(last.picked.map_or(last.segment, |part| last.segment.part(part, self.arity)))
    }

    /// How it ended, in sentences.
    pub fn story(&self, image: &Image) -> Vec<String> {
        let (winner, loser) = (side(self.winner), side(self.winner.other()));
        let narrowed = self.narrowed().map(range).unwrap_or_default();
        let mut story = Vec::new();
        let late = match self.ending {
            Ending::Executed | Ending::Refused => None,
            Ending::Void => {
                story.push(format!(
                    "The {winner} wins: the run has no memory before {narrowed}, but the {loser} claims one after it."
                ));
                return story;
            }
            Ending::Silence => Some("did not answer in time"),
            Ending::NoMove => Some("had no legal move left and ran out of time"),
        };
        match late {
            None => story.push(format!("The {winner} wins: the contract executed {narrowed}.")),
            Some(late) => {
                story.push(format!("The {winner} wins: the {loser} {late}, so no step was executed."));
                story.push(format!("The dispute had been narrowed to {narrowed}."));
            }
        }
        if self.ending == Ending::Refused {
            story.push(format!(
                "The {loser} had tried to prove its claim, but it came to the {winner}'s, and its time ran out."
            ));
        }
        if let Some(step) = &self.step {
            let (place, instruction) = (step.place(image), step.instruction(image));
            story.push(format!("The two sides first disagree about {place}, {instruction}."));
            story.push(step.values(loser));
        }
        story
    }
}

/// Plays the dispute, once for each arity.
pub fn run(args: &Dispute, output: Output) -> Result<(), Failure> {
    if args.svg.is_some() && args.arity.len() > 1 {
        return Err(Failure::new("--svg draws one dispute, but --arity lists several")
            .hint("give one --arity, or leave --svg out"));
    }
    let image = load_verified(&args.image, output)?;
    let inputs = read_inputs(&image, &args.inputs)?;
    let inputs: Vec<(u64, Vec<u8>)> = inputs.into_iter().map(|input| (input.address, input.bytes)).collect();
    let bar = output.spinner("running the model on both sides");
    let disputed = args.arity.iter().map(|&arity| {
        // Several disputes are compared in a table. With only one, each move is printed when it is played.
        let moves = if args.arity.len() == 1 { Some(output) } else { None };
        Match::new(&image, &inputs, args, arity, Announcer { moves, bar: &bar, shown: 0 })?.play()
    });
    let played = disputed.collect::<Result<Vec<_>, _>>()?;
    bar.finish_and_clear();
    if let Some(wrong) = played.iter().find(|played| played.winner != honest_side(args.cheat)) {
        return Err(Failure::new(format!("the cheater won at arity {}: please report this", wrong.arity)));
    }
    if let (Some(file), [played]) = (&args.svg, &played[..]) {
        write_file(file, &narrowing::draw(&image, played))?;
    }
    let object =
        json!({ "disputes": played.iter().map(|played| object(&image, played)).collect::<Vec<_>>() });
    let mut text = match &played[..] {
        [played] => ending(&image, played),
        _ => arities(&played),
    };
    if let Some(file) = &args.svg {
        text += &format!("\nThe narrowing is drawn in {}.", file.display());
    }
    output.result(&object, &text)
}

/// The honest side.
fn honest_side(cheat: Cheat) -> Side {
    if cheat == Cheat::Challenger { Side::Asserter } else { Side::Challenger }
}

/// Prints moves as they are played.
struct Announcer<'a> {
    /// The output; `None` to print nothing.
    moves: Option<Output>,
    bar: &'a ProgressBar,
    /// The number of moves printed so far.
    shown: usize,
}

impl Announcer<'_> {
    /// Prints the new moves, one per line.
    fn announce(&mut self, transactions: &[Transaction]) -> Result<(), Failure> {
        let Some(output) = self.moves else { return Ok(()) };
        for transaction in &transactions[self.shown..] {
            self.shown += 1;
            self.bar.suspend(|| output.say(&line(self.shown, transaction)))?;
        }
        Ok(())
    }
}

/// A move as a line of text.
fn line(number: usize, transaction: &Transaction) -> String {
    let Transaction { who, name, about, gas, .. } = transaction;
    format!("{number:>2} {who:<10} {name:<9} {:<41} {:>9} gas", cut(about, 41), count(*gas))
}

/// Both players, and the contract between them.
struct Match<'a> {
    image: &'a Image,
    loaded: LoadedModel,
    model: Model,
    arity: u64,
    honest: Side,
    /// How many steps the honest side proves at once.
    at_once: u64,
    /// Whether the asserter never answers.
    silent: bool,
    inputs: &'a [(u64, Vec<u8>)],
    asserter: Execution,
    challenger: Execution,
    announcer: Announcer<'a>,
    rounds: Vec<Round>,
    start: Instant,
}

impl<'a> Match<'a> {
    fn new(
        image: &'a Image,
        inputs: &'a [(u64, Vec<u8>)],
        args: &Dispute,
        arity: u64,
        announcer: Announcer<'a>,
    ) -> Result<Self, Failure> {
        let start = Instant::now();
        let schedule = schedule(image, args.phases)?;
        args.limits.admit(&schedule)?;
        let loaded = LoadedModel::new(image.clone(), None).map_err(Failure::from_error)?;
        let execution = || {
            let execution = Execution::new(image.clone(), schedule.clone(), inputs.to_vec())?;
            Ok(execution.with_limit(args.limits.memory()))
        };
        let mut honest = execution()?;
        let model = honest.model().clone();
        let lies = lies(image, &mut honest, args.cheat)?;
        let liar = liar(&mut honest, execution, &lies)?;
        let (honest_side, at_once) = (honest_side(args.cheat), args.prove_at_once);
        let (asserter, challenger) =
            if honest_side == Side::Asserter { (honest, liar) } else { (liar, honest) };
        let silent = args.cheat == Cheat::Silent;
        let rounds = Vec::new();
        Ok(Self {
            image,
            loaded,
            model,
            arity,
            honest: honest_side,
            at_once,
            silent,
            inputs,
            asserter,
            challenger,
            announcer,
            rounds,
            start,
        })
    }

    /// Plays until an answer is final.
    fn play(mut self) -> Result<Played, Failure> {
        let inputs = pack(self.loaded.inputs(), self.inputs);
        let commitment = self.challenger.inputs()?.commitment();
        let mut arena = Arena::open(self.image, &self.loaded, &self.model, inputs, commitment, self.arity)?;
        let claimed = self.loaded.result(&mut self.asserter)?;
        arena.answer(Side::Asserter, &claimed)?;
        self.announcer.announce(&arena.transactions)?;
        let opening = challenge(&self.model, self.arity, &mut self.challenger)?;
        let about = format!("{} in {}", range(self.whole()), parts(opening.claims.len()));
        arena.challenge(&opening, about)?;
        self.record(Side::Challenger, &arena)?;
        let (winner, ending) = self.play_game(&mut arena, opening.claims)?;
        if winner == Side::Challenger {
            arena.answer(winner, &self.loaded.result(&mut self.challenger)?)?;
        }
        arena.settle(winner)?;
        self.announcer.announce(&arena.transactions)?;
        let (arity, time) = (self.arity, self.start.elapsed());
        let (model, rounds, transactions) = (self.model, self.rounds, arena.transactions);
        let mut played = Played { model, arity, winner, ending, rounds, step: None, transactions, time };
        let (honest, liar) = match winner {
            Side::Asserter => (&mut self.asserter, &mut self.challenger),
            Side::Challenger => (&mut self.challenger, &mut self.asserter),
        };
        if let Some(segment) = played.narrowed() {
            played.step = DisputedStep::find(self.image, segment, liar, honest)?;
        }
        Ok(played)
    }

    /// All big steps.
    fn whole(&self) -> Segment {
        Segment { level: game::Level::BigSteps, lo: 0, hi: self.model.big_steps() }
    }

    /// Records a side's claims about a segment, and prints the move.
    fn record(&mut self, by: Side, arena: &Arena) -> Result<(), Failure> {
        let segment = arena.game()?.segment();
        let (name, gas) = arena.transactions.last().map_or(("", 0), |last| (last.name, last.gas));
        self.rounds.push(Round { by, name, gas, segment, parts: segment.parts(self.arity), picked: None });
        self.announcer.announce(&arena.transactions)
    }

    fn play_game(&mut self, arena: &mut Arena, mut theirs: Vec<Root>) -> Result<(Side, Ending), Failure> {
        loop {
            let game = arena.game()?.clone();
            let mover = game.mover().unwrap_or(Side::Asserter);
            let most = Game::most_moves(self.model.big_steps(), self.longest(), self.arity);
            let round = self.rounds.len() + 1;
            self.announcer
                .bar
                .set_message(format!("move {round} of at most {most}: the {} computes", side(mover)));
            let next = self.next(&game, &theirs)?;
            if let (Next::Legal(move_) | Next::Refused(move_), Some(last)) = (&next, self.rounds.last_mut()) {
                last.picked = Some(move_.pick().part);
            }
            let Next::Legal(move_) = next else {
                let mut ending = if self.silent { Ending::Silence } else { Ending::NoMove };
                if let Next::Refused(move_) = next {
                    let part = narrowing::short(game.segment().part(move_.pick().part, self.arity));
                    let about = format!("{part} proves the {} right", side(mover.other()));
                    arena.play_refused(&move_, about)?;
                    ending = Ending::Refused;
                }
                arena.let_time_pass(format!("the {}'s time has run out", side(mover)))?;
                self.announcer.announce(&arena.transactions)?;
                return Ok((mover.other(), ending));
            };
            theirs = move_.claims().to_vec();
            let outcome = arena.play(&move_, about(self.image, &move_, &game))?;
            if let Outcome::Won(winner) = outcome {
                self.announcer.announce(&arena.transactions)?;
                let void = matches!(move_, Move::Void { .. });
                return Ok((winner, if void { Ending::Void } else { Ending::Executed }));
            }
            self.record(mover, arena)?;
        }
    }

    /// The maximum number of steps in a big step.
    fn longest(&self) -> u64 {
        let bounds = self.image.schedule.iter().map(|step| step.bound);
        let interface = self.image.interface.as_ref().filter(|_| self.model.big_steps() == 1);
        interface.map(|interface| interface.bound).or_else(|| bounds.max()).unwrap_or(1)
    }

    /// The move of the side to move.
    fn next(&mut self, game: &Game, theirs: &[Root]) -> Result<Next, Failure> {
        let mover = game.mover().unwrap_or(Side::Asserter);
        let oracle = match mover {
            Side::Asserter if self.silent => return Ok(Next::Nothing),
            Side::Asserter => &mut self.asserter,
            Side::Challenger => &mut self.challenger,
        };
        // A liar has no true witnesses after its lie.
        let at_once = if mover == self.honest { self.at_once } else { 1 };
        let Some(move_) = reply(game, theirs, at_once, oracle)? else { return Ok(Next::Nothing) };
        Ok(match game.clone().apply(mover, &move_, game.deadline().unwrap_or_default()) {
            Ok(_) => Next::Legal(move_),
            Err(Illegal::Agrees) if matches!(move_, Move::Prove { .. }) => Next::Refused(move_),
            Err(_) => Next::Nothing,
        })
    }
}

/// What a side does when it is its turn.
enum Next {
    /// A move.
    Legal(Move),
    /// A proof of a lie, which comes to the truth.
    Refused(Move),
    /// Nothing: it is silent, or has no legal move.
    Nothing,
}

/// The units of the dispute: all big steps, or the whole program as one.
fn schedule(image: &Image, phases: u8) -> Result<Schedule, Failure> {
    let schedule = if phases == 1 { image.single_phase() } else { Some(image.big_steps()) };
    schedule.filter(|schedule| !schedule.leaves().is_empty()).ok_or_else(|| {
        Failure::new("the image does not say what its inputs, outputs and bounds are")
            .hint("images of models do: see `opml compile`")
    })
}

/// The subject of a move.
fn about(image: &Image, move_: &Move, game: &Game) -> String {
    let part = game.segment().part(move_.pick().part, game.arity());
    match move_ {
        Move::Dissect { claims, .. } => format!("{} in {}", narrowing::short(part), parts(claims.len())),
        Move::Enter { entry, .. } => {
            let step = node_at(image, game.model(), part.lo);
            let node = step.map(|step| format!(", {} {}", step.operator, step.node)).unwrap_or_default();
            format!("{} steps of big step {}{node}", count(entry.leaf.bound), part.lo)
        }
        Move::Void { .. } => format!("{}: nothing comes after nothing", range(part)),
        Move::Prove { .. } => format!("the contract executes {}", narrowing::short(part)),
    }
}

/// `20 parts`.
fn parts(number: usize) -> String {
    if number == 1 { "1 part".to_owned() } else { format!("{number} parts") }
}

/// A dispute as JSON.
fn object(image: &Image, played: &Played) -> Value {
    let moves = played.transactions.iter().map(|transaction| {
        let Transaction { who, name, about, gas, glamsterdam, calldata, disputed } = transaction;
        json!({ "who": who, "move": name, "gas": gas, "glamsterdam_gas": glamsterdam, "calldata_bytes": calldata, "about": about, "disputed": disputed })
    });
    let rounds = played.rounds.iter().map(|round| {
        let picked = round.picked.map(|part| segment(round.segment.part(part, played.arity)));
        json!({ "by": side(round.by), "move": round.name, "about": segment(round.segment), "parts": round.parts,
                "picked_part": round.picked, "picked": picked })
    });
    let Bill { transactions, gas, glamsterdam, bytes } = played.bill(false);
    json!({
        "arity": played.arity, "winner": side(played.winner), "ending": played.ending.name(),
        "story": played.story(image).join(" "), "narrowed_to": played.narrowed().map(segment),
        "disputed_step": played.step.as_ref().map(|step| step.json(image)),
        "rounds": rounds.collect::<Vec<_>>(), "moves": moves.collect::<Vec<_>>(),
        "transactions": transactions, "gas": gas, "glamsterdam_gas": glamsterdam, "calldata_bytes": bytes, "seconds": played.time.as_secs_f64(),
        "whole": played.bill(true).json(),
    })
}

/// A segment as JSON: the first unit, and one past the last.
fn segment(segment: Segment) -> Value {
    let (unit, big_step) = match segment.level {
        game::Level::BigSteps => ("big steps", None),
        game::Level::Steps { big_step } => ("steps", Some(big_step)),
    };
    json!({ "unit": unit, "big_step": big_step, "from": segment.lo, "to": segment.hi })
}

/// The outcome and cost of a dispute, as text.
fn ending(image: &Image, played: &Played) -> String {
    format!(
        "\n{}\n\nthe dispute alone  {}\neverything         {}\nBoth sides together computed for {:.0} ms.",
        wrapped(&played.story(image).join(" "), COLUMNS),
        played.bill(false),
        played.bill(true),
        played.time.as_secs_f64() * 1e3,
    )
}

/// Several disputes as a table.
fn arities(played: &[Played]) -> String {
    let mut rows =
        table(["arity", "winner", "transactions", "gas", "Glamsterdam", "bytes", "ms", "gas of all"]);
    for played in played {
        let Bill { transactions, gas, glamsterdam, bytes } = played.bill(false);
        rows.add_row([
            played.arity.to_string(),
            side(played.winner).to_owned(),
            transactions.to_string(),
            count(gas),
            count(glamsterdam),
            count(bytes),
            format!("{:.0}", played.time.as_secs_f64() * 1e3),
            count(played.bill(true).gas),
        ]);
    }
    rows.to_string()
}

/// A side's name.
pub fn side(side: Side) -> &'static str {
    match side {
        Side::Asserter => "asserter",
        Side::Challenger => "challenger",
    }
}
