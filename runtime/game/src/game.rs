//! The state machine.

use crate::claims::{Level, Segment, commit};
use crate::model::{Model, VOID, steps};
use crate::moves::{BigStepEntry, Challenge, Illegal, Move, Pick, Proven};
use crate::regions::{self, Region, Regions};
use crate::rules::{Protocol, Rules};
use step::{Proof, Root, keccak};

/// One of the two players.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Side {
    /// Posted the result.
    Asserter,
    /// Disagrees with it.
    Challenger,
}

impl Side {
    /// The opponent.
    #[must_use]
    pub fn other(self) -> Self {
        match self {
            Self::Asserter => Self::Challenger,
            Self::Challenger => Self::Asserter,
        }
    }
}

/// The time that each side has left, in the unit of `now`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Clocks {
    /// The asserter's.
    pub asserter: u64,
    /// The challenger's.
    pub challenger: u64,
}

impl Clocks {
    /// A side's clock.
    #[must_use]
    pub fn of(&self, side: Side) -> u64 {
        match side {
            Side::Asserter => self.asserter,
            Side::Challenger => self.challenger,
        }
    }

    /// Sets a side's clock.
    fn set(&mut self, side: Side, left: u64) {
        match side {
            Side::Asserter => self.asserter = left,
            Side::Challenger => self.challenger = left,
        }
    }
}

/// The status of a game.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It is running, and it is this side's turn.
    Open(Side),
    /// It is over, and this side won.
    Won(Side),
}

/// A game between an asserter and a challenger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Game {
    model: Model,
    arity: u64,
    outcome: Outcome,
    clocks: Clocks,
    since: u64,
    segment: Segment,
    start: Root,
    claims: Root,
}

/// A part picked with valid proofs.
struct Picked {
    part: Segment,
    start: Root,
    rejected: Root,
    /// The siblings that the proof takes, and those that are there.
    siblings: [usize; 2],
}

impl Picked {
    /// Fails if there are more siblings than the proof takes.
    fn exact(&self) -> Result<(), Illegal> {
        let [taken, found] = self.siblings;
        count("siblings", taken as u64, found)
    }
}

/// The result of a legal move.
enum Next {
    Segment { segment: Segment, start: Root, claims: Root },
    Proven,
}

impl Game {
    /// The numbers of parts into which a segment may be cut.
    pub const ARITIES: std::ops::RangeInclusive<u64> = 2..=256;

    /// Opens a game: a challenge to an asserted result about these inputs.
    pub fn challenge(
        model: &Model,
        inputs: Root,
        asserted: Root,
        arity: u64,
        clocks: Clocks,
        challenge: &Challenge,
        now: u64,
    ) -> Result<Self, Illegal> {
        Self::challenge_under(&Protocol, model, inputs, asserted, arity, clocks, challenge, now)
    }

    /// The same with other rules.
    #[expect(clippy::too_many_arguments, reason = "those of `challenge`, which are what a game is about")]
    pub fn challenge_under(
        rules: &impl Rules,
        model: &Model,
        inputs: Root,
        asserted: Root,
        arity: u64,
        clocks: Clocks,
        challenge: &Challenge,
        now: u64,
    ) -> Result<Self, Illegal> {
        model.check()?;
        if !Self::ARITIES.contains(&arity) {
            return Err(Illegal::Model);
        }
        let segment = Segment { level: Level::BigSteps, lo: 0, hi: model.big_steps() };
        let last = last(&challenge.claims, &segment, arity)?;
        let depth = model.profile.memory_depth();
        complete(&challenge.inputs, &model.inputs, depth)?;
        let outputs: &[Region] = if last == VOID { &[] } else { &model.outputs };
        complete(&challenge.outputs, outputs, depth)?;
        let (Regions { roots, siblings }, zeros) = (&challenge.inputs, vec![Root::ZERO; model.inputs.len()]);
        if !rules.folds(&model.inputs, &zeros, depth, siblings, model.memory_root) {
            return Err(Illegal::Proof(Proven::Inputs));
        }
        if challenge.inputs.commitment() != inputs {
            return Err(Illegal::Inputs);
        }
        if !rules.differs(result(rules, model, last, &challenge.outputs)?, asserted) {
            return Err(Illegal::Agrees);
        }
        let start = regions::fold(&model.inputs, roots, depth, siblings).unwrap_or_default();
        let (claims, outcome) = (commit(start, &challenge.claims), Outcome::Open(Side::Asserter));
        Ok(Self { model: model.clone(), arity, outcome, clocks, since: now, segment, start, claims })
    }

    /// Restores a running game from its state on a chain.
    #[expect(clippy::too_many_arguments, reason = "those are the parts of a game")]
    #[must_use]
    pub fn resume(
        model: &Model,
        arity: u64,
        mover: Side,
        clocks: Clocks,
        since: u64,
        segment: Segment,
        start: Root,
        claims: Root,
    ) -> Self {
        let (model, outcome) = (model.clone(), Outcome::Open(mover));
        Self { model, arity, outcome, clocks, since, segment, start, claims }
    }

    /// Makes a move. A refused move changes nothing.
    pub fn apply(&mut self, player: Side, move_: &Move, now: u64) -> Result<Outcome, Illegal> {
        self.apply_under(&Protocol, player, move_, now)
    }

    /// The same with other rules.
    pub fn apply_under(
        &mut self,
        rules: &impl Rules,
        player: Side,
        move_: &Move,
        now: u64,
    ) -> Result<Outcome, Illegal> {
        let mover = self.mover().ok_or(Illegal::Over)?;
        if player != mover {
            return Err(Illegal::Turn);
        }
        let left = rules.left(self.clocks.of(mover), self.used(now)).ok_or(Illegal::Late)?;
        let next = self.next(rules, move_)?;
        self.clocks.set(mover, left);
        self.since = self.since.max(now);
        self.outcome = match next {
            Next::Proven => Outcome::Won(mover),
            Next::Segment { segment, start, claims } => {
                (self.segment, self.start, self.claims) = (segment, start, claims);
                Outcome::Open(mover.other())
            }
        };
        Ok(self.outcome)
    }

    /// Ends the game if the mover has no time left. Anyone may call it.
    pub fn timeout(&mut self, now: u64) -> Result<Outcome, Illegal> {
        self.timeout_under(&Protocol, now)
    }

    /// The same with other rules.
    pub fn timeout_under(&mut self, rules: &impl Rules, now: u64) -> Result<Outcome, Illegal> {
        let mover = self.mover().ok_or(Illegal::Over)?;
        if rules.left(self.clocks.of(mover), self.used(now)).is_some() {
            return Err(Illegal::Early);
        }
        self.outcome = Outcome::Won(mover.other());
        Ok(self.outcome)
    }

    /// The segment after a move.
    fn next(&self, rules: &impl Rules, move_: &Move) -> Result<Next, Illegal> {
        let picked = self.pick(rules, move_.pick())?;
        match move_ {
            Move::Dissect { claims, .. } => self.dissect(rules, &picked, claims),
            Move::Enter { entry, .. } => self.enter(rules, &picked, entry),
            Move::Void { .. } => self.void(rules, &picked),
            Move::Prove { witnesses, .. } => self.prove(rules, &picked, witnesses),
        }
    }

    /// The part that a move continues with.
    fn pick(&self, rules: &impl Rules, pick: &Pick) -> Result<Picked, Illegal> {
        let parts = self.segment.parts(self.arity);
        if !rules.is_part(pick.part, parts) {
            return Err(Illegal::Part { found: pick.part, parts });
        }
        let taken = rules.picks(pick, parts, self.claims).ok_or(Illegal::Proof(Proven::Claims))?;
        let (start, rejected) = (pick.agreed, pick.rejected);
        let part = self.segment.part(pick.part, self.arity);
        Ok(Picked { part, start, rejected, siblings: [taken, pick.siblings.len()] })
    }

    fn dissect(&self, rules: &impl Rules, picked: &Picked, claims: &[Root]) -> Result<Next, Illegal> {
        let found = picked.part.units();
        if found <= 1 {
            return Err(Illegal::Units { found });
        }
        picked.exact()?;
        let last = last(claims, &picked.part, self.arity)?;
        differ(rules, last, picked.rejected)?;
        let (segment, start) = (picked.part, picked.start);
        Ok(Next::Segment { segment, start, claims: commit(start, claims) })
    }

    fn enter(&self, rules: &impl Rules, picked: &Picked, entry: &BigStepEntry) -> Result<Next, Illegal> {
        let big_step = big_step(&picked.part)?;
        if picked.start == VOID {
            return Err(Illegal::Void);
        }
        let model = &self.model;
        let status = entry.end.get(BigStepEntry::STATUS);
        let ended = status.is_some_and(|&status| rules.has_ended(status));
        let (scratch, depth) = (model.scratch(), model.schedule_depth());
        picked.exact()?;
        count("siblings of the schedule's leaf", depth.into(), entry.schedule.len())?;
        let above = if ended { model.levels_above(scratch) } else { 0 };
        count("siblings of scratch memory", above.into(), entry.scratch.siblings.len())?;
        let segment = Segment { level: Level::Steps { big_step }, lo: 0, hi: steps(entry.leaf) };
        let last = last(&entry.claims, &segment, self.arity)?;
        let leaf = Proof { leaf: entry.leaf.root(), siblings: entry.schedule.clone() };
        if !rules.leads(&leaf, model.leaf(big_step), depth, model.schedule_root) {
            return Err(Illegal::Proof(Proven::Schedule));
        }
        let memory = entry.scratch.root(entry.scratch.leaf, scratch.index);
        let state = [&model.code_root.0[..], &memory.0, &entry.end].concat();
        if status.is_none() || keccak(&state) != last {
            return Err(Illegal::EndState);
        }
        let end = if ended { rules.reset(model, &entry.scratch) } else { VOID };
        differ(rules, end, picked.rejected)?;
        let start = model.start(picked.start, entry.leaf.entry);
        Ok(Next::Segment { segment, start, claims: commit(start, &entry.claims) })
    }

    fn void(&self, rules: &impl Rules, picked: &Picked) -> Result<Next, Illegal> {
        big_step(&picked.part)?;
        if picked.start != VOID {
            return Err(Illegal::Void);
        }
        picked.exact()?;
        differ(rules, VOID, picked.rejected)?;
        Ok(Next::Proven)
    }

    fn prove(&self, rules: &impl Rules, picked: &Picked, witnesses: &[Vec<u8>]) -> Result<Next, Illegal> {
        if picked.part.level == Level::BigSteps {
            return Err(Illegal::Level);
        }
        picked.exact()?;
        count("witnesses", picked.part.units(), witnesses.len())?;
        let mut state = picked.start;
        for witness in witnesses {
            state = rules.successor(&self.model, state, witness)?;
        }
        differ(rules, state, picked.rejected)?;
        Ok(Next::Proven)
    }

    /// The time that the mover has used. It is zero if the clock ran backwards.
    fn used(&self, now: u64) -> u64 {
        now.saturating_sub(self.since)
    }

    /// The side whose turn it is, unless the game is over.
    #[must_use]
    pub fn mover(&self) -> Option<Side> {
        match self.outcome {
            Outcome::Open(mover) => Some(mover),
            Outcome::Won(_) => None,
        }
    }

    /// The winner, if there is one.
    #[must_use]
    pub fn winner(&self) -> Option<Side> {
        match self.outcome {
            Outcome::Open(_) => None,
            Outcome::Won(winner) => Some(winner),
        }
    }

    /// The last time at which the mover may move.
    #[must_use]
    pub fn deadline(&self) -> Option<u64> {
        self.mover().map(|mover| self.since.saturating_add(self.clocks.of(mover)))
    }

    /// When the mover's clock began to run.
    #[must_use]
    pub fn since(&self) -> u64 {
        self.since
    }

    /// The disputed model.
    #[must_use]
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// The number of parts that a segment is cut into.
    #[must_use]
    pub fn arity(&self) -> u64 {
        self.arity
    }

    /// The time that each side had left at the last move.
    #[must_use]
    pub fn clocks(&self) -> Clocks {
        self.clocks
    }

    /// The segment in dispute.
    #[must_use]
    pub fn segment(&self) -> Segment {
        self.segment
    }

    /// The agreed root at the segment's start.
    #[must_use]
    pub fn start(&self) -> Root {
        self.start
    }

    /// The root of the start and the last mover's claims.
    #[must_use]
    pub fn claims(&self) -> Root {
        self.claims
    }

    /// The maximum number of moves in a game, including the challenge and the proof.
    #[must_use]
    pub fn most_moves(big_steps: u64, steps: u64, arity: u64) -> u64 {
        1 + cuts(big_steps, arity).max(1) + cuts(steps, arity).max(1)
    }
}

/// The number of cuts until every part has one unit: the logarithm, rounded up.
fn cuts(units: u64, arity: u64) -> u64 {
    std::iter::successors(Some(units), |&units| (units > 1).then(|| units.div_ceil(arity.max(2)))).count()
        as u64
        - 1
}

/// The last claim. There must be one for each part.
fn last(claims: &[Root], segment: &Segment, arity: u64) -> Result<Root, Illegal> {
    count("claims", segment.parts(arity), claims.len())?;
    Ok(claims.last().copied().unwrap_or_default())
}

/// There must be exactly as many.
fn count(what: &'static str, expected: u64, found: usize) -> Result<(), Illegal> {
    if found as u64 == expected { Ok(()) } else { Err(Illegal::Count { what, expected, found }) }
}

/// There must be a root for each region, and exactly the siblings that they need.
fn complete(given: &Regions, regions: &[Region], depth: u32) -> Result<(), Illegal> {
    count("roots of inputs or outputs", regions.len() as u64, given.roots.len())?;
    let siblings = regions::sibling_count(regions, depth);
    count("siblings of inputs or outputs", siblings as u64, given.siblings.len())
}

/// The result in the memory of the last claim.
fn result(rules: &impl Rules, model: &Model, memory: Root, outputs: &Regions) -> Result<Root, Illegal> {
    if memory == VOID {
        return Ok(VOID);
    }
    let depth = model.profile.memory_depth();
    if !rules.folds(&model.outputs, &outputs.roots, depth, &outputs.siblings, memory) {
        return Err(Illegal::Proof(Proven::Outputs));
    }
    Ok(outputs.commitment())
}

/// The part must be a single big step.
fn big_step(part: &Segment) -> Result<u64, Illegal> {
    if part.level != Level::BigSteps {
        return Err(Illegal::Level);
    }
    one(part).map(|()| part.lo)
}

/// The part must have one unit.
fn one(part: &Segment) -> Result<(), Illegal> {
    let found = part.units();
    if found == 1 { Ok(()) } else { Err(Illegal::Units { found }) }
}

/// A move must disagree with the claim it rejects.
fn differ(rules: &impl Rules, ours: Root, rejected: Root) -> Result<(), Illegal> {
    if rules.differs(ours, rejected) { Ok(()) } else { Err(Illegal::Agrees) }
}
