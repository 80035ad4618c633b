//! The players. Their oracle alone decides whether they are honest: the same functions are honest with a true
//! oracle and lie with a false one.

use crate::claims::{Level, Segment, pair};
use crate::game::Game;
use crate::model::{Model, VOID, steps};
use crate::moves::{BigStepEntry, Challenge, Move, Pick};
use crate::oracle::Oracle;
use crate::regions::Regions;
use step::Root;

/// The challenger's first move.
pub fn challenge<O: Oracle>(model: &Model, arity: u64, oracle: &mut O) -> Result<Challenge, O::Error> {
    let inputs = oracle.inputs()?;
    let claims = claims(Segment { level: Level::BigSteps, lo: 0, hi: model.big_steps() }, arity, oracle)?;
    let outputs = if claims.last() == Some(&VOID) { Regions::default() } else { oracle.outputs()? };
    Ok(Challenge { inputs, outputs, claims })
}

/// The reply to the opponent's claims. It disputes the first false one, and proves it false if that takes no
/// more than `at_once` steps. `None` if all claims are true, which an honest player never encounters.
pub fn reply<O: Oracle>(
    game: &Game,
    theirs: &[Root],
    at_once: u64,
    oracle: &mut O,
) -> Result<Option<Move>, O::Error> {
    let (segment, arity) = (game.segment(), game.arity());
    for (number, (&claim, place)) in (1..).zip(theirs.iter().zip(segment.boundaries(arity))) {
        if root(segment.level, place, oracle)? != claim {
            let (part, pick) = (segment.part(number, arity), pick(game.start(), theirs, number));
            return go_on(arity, part, pick, at_once, oracle).map(Some);
        }
    }
    Ok(None)
}

/// The move that continues with a part. At the level of steps it is a proof if the part has at most `at_once`
/// of them, and in any case if it has one.
pub fn go_on<O: Oracle>(
    arity: u64,
    part: Segment,
    pick: Pick,
    at_once: u64,
    oracle: &mut O,
) -> Result<Move, O::Error> {
    Ok(match part.level {
        Level::Steps { big_step } if part.units() <= at_once.max(1) => {
            let witnesses = (part.lo..part.hi).map(|step| oracle.witness(big_step, step));
            Move::Prove { pick, witnesses: witnesses.collect::<Result<_, _>>()? }
        }
        _ if part.units() > 1 => Move::Dissect { pick, claims: claims(part, arity, oracle)? },
        Level::BigSteps if pick.agreed == VOID => Move::Void { pick },
        _ => Move::Enter { pick, entry: entry(part.lo, arity, oracle)? },
    })
}

/// Picks a part, counted from 1, of a list of claims that begins at `start`.
#[must_use]
pub fn pick(start: Root, theirs: &[Root], part: u64) -> Pick {
    let index = part.saturating_sub(1);
    let claim = |number: u64| match usize::try_from(number).ok().and_then(|number| number.checked_sub(1)) {
        None => start,
        Some(index) => theirs.get(index).copied().unwrap_or_default(),
    };
    Pick { part, agreed: claim(index), rejected: claim(part), siblings: pair(start, theirs, index) }
}

/// Claims for a segment.
pub fn claims<O: Oracle>(segment: Segment, arity: u64, oracle: &mut O) -> Result<Vec<Root>, O::Error> {
    segment.boundaries(arity).map(|place| root(segment.level, place, oracle)).collect()
}

/// The data that a move needs to enter a big step.
fn entry<O: Oracle>(big_step: u64, arity: u64, oracle: &mut O) -> Result<BigStepEntry, O::Error> {
    let (leaf, schedule) = oracle.schedule(big_step)?;
    let steps = Segment { level: Level::Steps { big_step }, lo: 0, hi: steps(leaf) };
    let claims = claims(steps, arity, oracle)?;
    let (end, scratch) = oracle.end(big_step)?;
    Ok(BigStepEntry { leaf, schedule, claims, end, scratch })
}

/// The root at a place.
fn root<O: Oracle>(level: Level, place: u64, oracle: &mut O) -> Result<Root, O::Error> {
    match level {
        Level::BigSteps => oracle.memory(place),
        Level::Steps { big_step } => oracle.state(big_step, place),
    }
}
