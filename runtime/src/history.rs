//! The disputes about a request, as far as the chain shows: how far each is narrowed, and how it ended.

use crate::claim::unhex;
use crate::commands::disasm::place;
use crate::commands::trace::{Row, element, element_name, trace_next};
use crate::failure::Failure;
use crate::narration::{node_name, range, short_hex, value};
use crate::network::Session;
use chain::{Event, Head, Log};
use contracts::{
    Address, Answer, B256, Bytes, IDisputeGame, IInferenceService, Position, RequestStatus, SolCall as _,
    Source, Standing, U256,
};
use game::regions::commitment;
use game::{Execution, ExecutionError, Level, MemoryLimit, Region, Segment, Side, Subtree};
use image::Role;
use isa::{Extensions, decode};
use players::{
    Computed, LoadedModel, Preimages, challenger_of, game_of, input_root, inputs_commitment, is_by_root,
    region_root,
};
use serde_json::{Value, json};
use std::collections::{BTreeSet, HashMap};
use std::path::Path;
use step::Root;
use step::merkle::LEAF;

/// A dispute about an answer.
pub struct Disputed {
    game: U256,
    attempt: u16,
    asserter: Address,
    challenger: Address,
    position: Position,
    narrowed: Segment,
    ending: Ending,
    /// The time of the chain's last block.
    now: u64,
    /// The machine before the step that the contract executed. Available only with the image.
    row: Option<Row>,
    /// The additional facts from the image.
    details: Option<Details>,
}

/// The state of a dispute.
#[derive(Debug, PartialEq)]
enum Ending {
    /// The dispute is running, and the position says whose turn it is.
    Open,
    /// The dispute is running, but the node doesn't have the event of its last move.
    Unseen,
    /// Another dispute overturned the answer. The challenger gets its bond back, or has it already.
    Fallen { reclaimed: bool },
    /// The contract executed a step, which begins with this program counter and is this instruction.
    Executed { asserter_won: bool, pc: u64, instruction: String },
    /// A side did not answer in time.
    Timeout { asserter_won: bool },
    /// The dispute was won in another way, or by a transaction that isn't a call of the service.
    Won { asserter_won: bool },
}

/// Facts that only the image provides.
struct Details {
    place: Option<String>,
    operator: Option<(String, String)>,
    element: Option<String>,
    /// The first wrong output element: its name, the claimed value, the right value.
    wrong: Option<(String, String, String)>,
}

/// A game as the events show it: its last move, and whether the asserter won, with the log that says so.
pub struct Played<'a> {
    pub id: U256,
    pub last: players::Position,
    pub won: Option<(bool, &'a Log)>,
}

/// The games in these events, in the order of their first moves.
pub fn games(logs: &[Log]) -> Vec<Played<'_>> {
    let mut games: Vec<Played<'_>> = Vec::new();
    let mut places: HashMap<U256, usize> = HashMap::new();
    for log in logs {
        if let Some(Event { data, .. }) = Event::<IDisputeGame::Moved>::of(log) {
            let IDisputeGame::Moved { id, game, start, claims } = data;
            let last = players::Position { game, start, claims };
            match places.get(&id) {
                Some(&place) => games[place].last = last,
                None => {
                    places.insert(id, games.len());
                    games.push(Played { id, last, won: None });
                }
            }
        } else if let Some(Event { data, .. }) = Event::<IDisputeGame::Won>::of(log)
            && let Some(&place) = places.get(&data.id)
        {
            games[place].won = Some((data.asserterWon, log));
        }
    }
    games
}

/// Which disputes are wanted.
pub struct Which {
    /// Those in which this account is a side.
    pub of: Option<Address>,
    /// Also those that somebody has won.
    pub finished: bool,
}

/// The disputes in these events, in the order of their first moves.
pub async fn disputes(
    session: &Session,
    head: &Head,
    logs: &[Log],
    which: &Which,
) -> Result<Vec<Disputed>, Failure> {
    let mut found = games(logs);
    found.retain(|played| which.finished || played.won.is_none());
    if found.is_empty() {
        return Ok(Vec::new());
    }
    let (service, arity) = (session.deployment.service, u64::from(session.terms().await?.arity));
    let running: Vec<U256> =
        found.iter().filter(|played| played.won.is_none()).map(|played| played.id).collect();
    let requests: BTreeSet<U256> = running.iter().map(|id| game_of(*id).0).collect();
    let requests: Vec<U256> = requests.into_iter().collect();
    let stored =
        players::stored(&session.node, service, &running, head).await.map_err(Failure::from_error)?;
    let statuses = players::statuses(&session.node, service, &requests, head).await;
    let statuses: HashMap<U256, RequestStatus> = statuses.map_err(Failure::from_error)?.into_iter().collect();
    let asserters = asserters(logs);
    let mut disputes = Vec::new();
    for played in found {
        let (request, attempt) = game_of(played.id);
        let answer = statuses.get(&request).map(|status| &status.answer);
        let answer = answer.filter(|answer| answer.attempt == attempt);
        let asserter = asserters.get(&(request, attempt)).copied();
        let asserter = asserter.or_else(|| answer.map(|answer| answer.asserter)).unwrap_or_default();
        let challenger = challenger_of(played.id);
        if which.of.is_some_and(|account| account != asserter && account != challenger) {
            continue;
        }
        let position = played.last.place();
        let mut narrowed = position.segment;
        let ending = match played.won {
            None => {
                let stored = stored.get(&played.id).copied().unwrap_or_default();
                let pending = answer.is_some_and(|answer| answer.standing == Standing::Pending);
                standing(stored, played.last.hash(played.id), pending)
            }
            Some((asserter_won, log)) => {
                let call = calldata(session, log).await?;
                ending(asserter_won, &call, &mut narrowed, arity)
            }
        };
        let (game, now, row, details) = (played.id, head.time, None, None);
        disputes.push(Disputed {
            game,
            attempt,
            asserter,
            challenger,
            position,
            narrowed,
            ending,
            now,
            row,
            details,
        });
    }
    Ok(disputes)
}

/// The state of a game that no event ends: what the contract stores, the hash of its last known position, and
/// whether the answer is still pending.
fn standing(stored: B256, known: B256, pending: bool) -> Ending {
    match U256::from_be_bytes(stored.0).try_into() {
        Ok(1u64) => Ending::Won { asserter_won: true },
        Ok(2) => Ending::Won { asserter_won: false },
        Ok(3) => Ending::Fallen { reclaimed: true },
        // Only now it is known that the position is the game's.
        _ if stored != known => Ending::Unseen,
        _ if pending => Ending::Open,
        _ => Ending::Fallen { reclaimed: false },
    }
}

/// Who gave which answer, by requests and attempts.
pub fn asserters(logs: &[Log]) -> HashMap<(U256, u16), Address> {
    let answers = logs.iter().filter_map(Event::<IInferenceService::Answered>::of).map(|event| event.data);
    answers.map(|data| ((data.id, data.attempt), data.asserter)).collect()
}

/// What was sent to the chain for an event; empty if the node doesn't tell.
async fn calldata(session: &Session, log: &Log) -> Result<Vec<u8>, Failure> {
    let Some(hash) = log.transaction_hash else { return Ok(Vec::new()) };
    let asked =
        session.node.raw("eth_getTransactionByHash", json!([hash])).await.map_err(Failure::from_error)?;
    Ok(asked["input"].as_str().and_then(unhex).unwrap_or_default())
}

/// How a game was won, according to the call that won it. A step narrows the segment to itself.
fn ending(asserter_won: bool, call: &[u8], narrowed: &mut Segment, arity: u64) -> Ending {
    if let Ok(call) = IDisputeGame::proveCall::abi_decode(call) {
        *narrowed = narrowed.part(call.pick.part.saturating_to(), arity);
        if let Some((pc, instruction)) = call.witnesses.first().and_then(|witness| executed(witness)) {
            return Ending::Executed { asserter_won, pc, instruction };
        }
    }
    if IDisputeGame::timeoutCall::abi_decode(call).is_ok() {
        return Ending::Timeout { asserter_won };
    }
    Ending::Won { asserter_won }
}

/// The program counter and the instruction of a witness.
fn executed(witness: &[u8]) -> Option<(u64, String)> {
    let (pc, word) = step::instruction_of(witness)?;
    let instruction = decode(word, Extensions::IMFD);
    Some((
        pc,
        instruction.map_or("an illegal instruction".to_owned(), |instruction| format!("`{instruction}`")),
    ))
}

/// A request's number in JSON. No service has so many requests that it doesn't fit, but a node may say so.
pub fn number(request: U256) -> Value {
    u64::try_from(request).map_or_else(|_| json!(request), Value::from)
}

fn side(side: Side) -> &'static str {
    match side {
        Side::Asserter => "asserter",
        Side::Challenger => "challenger",
    }
}

impl Disputed {
    /// Runs the model to add the facts that only the image provides.
    pub fn explain(
        &mut self,
        loaded: &LoadedModel,
        id: U256,
        logs: &[Log],
        inputs: Option<&Path>,
    ) -> Result<(), Failure> {
        let IInferenceService::Requested { request, .. } = requested(logs, id)?;
        let inputs = inputs_of(loaded, id, logs, inputs)?;
        let image = &loaded.image;
        let schedule = image.big_steps().repeated(request.repetitions);
        let schedule = schedule.ok_or(ExecutionError::Repetitions(request.repetitions))?;
        let execution = Execution::new(image.clone(), schedule, inputs).map_err(Failure::from)?;
        let mut execution = execution.with_limit(MemoryLimit::new(None));
        if let (Ending::Executed { .. }, Level::Steps { big_step }) = (&self.ending, self.narrowed.level) {
            let index = usize::try_from(execution.model().leaf(big_step)).ok();
            self.row = Some(execution.visit(big_step, self.narrowed.lo, |machine| {
                trace_next(image, machine, index, &MemoryLimit::new(None))
            })??);
        }
        let big_step = match self.narrowed.level {
            Level::Steps { big_step } => Some(big_step),
            Level::BigSteps => (self.narrowed.units() == 1).then_some(self.narrowed.lo),
        };
        let leaf = big_step.map(|big_step| execution.model().leaf(big_step));
        let node = leaf.and_then(|leaf| image.schedule.get(usize::try_from(leaf).ok()?));
        let answers = logs.iter().filter_map(Event::<IInferenceService::Answered>::of);
        let answer =
            answers.map(|event| event.data).find(|data| data.id == id && data.attempt == self.attempt);
        let right = loaded.result(&mut execution)?;
        let wrong = answer.and_then(|answer| wrong_element(loaded, request.byRoot, &answer.outputs, &right));
        self.details = Some(Details {
            place: self.row.as_ref().map(|row| place(image, row.pc)),
            operator: node.map(|step| (step.operator.clone(), step.node.clone())),
            element: self.row.as_ref().and_then(|row| element(image, row)),
            wrong,
        });
        Ok(())
    }

    /// The dispute in sentences.
    pub fn story(&self) -> String {
        let (asserter, challenger) = (short_hex(self.asserter), short_hex(self.challenger));
        let mut narrowed = range(self.narrowed);
        if let Some((operator, node)) = self.details.as_ref().and_then(|details| details.operator.as_ref()) {
            narrowed += &format!(" ({})", node_name(operator, node));
        }
        let intro = format!("Challenger {challenger} disputed answer {} by {asserter}.", self.attempt);
        let sides = |asserter_won: bool| {
            if asserter_won { ("asserter", "challenger") } else { ("challenger", "asserter") }
        };
        let ending = match &self.ending {
            Ending::Open => {
                let mover = side(self.position.mover);
                match self.left() {
                    Some(left) => format!(
                        "It is narrowed to {narrowed}; the {mover} is to move, and has {left} s left."
                    ),
                    None => format!(
                        "It is narrowed to {narrowed}. The {mover} was to move, but its time is over: anyone can \
                         end the game."
                    ),
                }
            }
            Ending::Unseen => {
                "It is running, but the node does not have the event of its last move.".to_owned()
            }
            Ending::Fallen { reclaimed } => format!(
                "Another dispute overturned the answer; the challenger's bond {}.",
                if *reclaimed { "was paid back, with a share of the prize" } else { "is to be reclaimed" }
            ),
            Ending::Executed { asserter_won, pc, instruction } => {
                let details = self.details.as_ref();
                let place = details
                    .and_then(|details| details.place.as_ref())
                    .filter(|place| !place.starts_with("0x"));
                let place = place.map(|place| format!(" ({place})")).unwrap_or_default();
                let element = details.and_then(|details| details.element.as_ref());
                let element = element.map(|element| format!(", on the way to {element}")).unwrap_or_default();
                let (winner, _) = sides(*asserter_won);
                format!(
                    "The {winner} won: the contract executed {narrowed}, {instruction} at {pc:#x}{place}{element}."
                )
            }
            Ending::Timeout { asserter_won } => {
                let (winner, loser) = sides(*asserter_won);
                format!(
                    "The {winner} won: the {loser} did not answer in time, so no step was executed. \
                     The dispute had been narrowed to {narrowed}."
                )
            }
            Ending::Won { asserter_won } => {
                format!("The {} won. The dispute had been narrowed to {narrowed}.", sides(*asserter_won).0)
            }
        };
        let wrong = self.details.as_ref().and_then(|details| details.wrong.as_ref());
        let wrong = wrong.map(|(what, claimed, right)| {
            format!(" The answer claims {what} = {claimed}; {right} is right.")
        });
        format!("{intro} {ending}{}", wrong.unwrap_or_default())
    }

    /// The seconds that the mover has left in a running game; `None` if its time is over.
    fn left(&self) -> Option<u64> {
        self.position.deadline().checked_sub(self.now)
    }

    /// The seconds that a side has left in a running game.
    fn clock(&self, side: Side) -> u64 {
        if side == self.position.mover { self.left().unwrap_or(0) } else { self.position.clocks.of(side) }
    }

    /// How urgent it is: the deadline of a running game, then bonds to be reclaimed, then what is over.
    pub fn urgency(&self) -> (u8, u64) {
        match &self.ending {
            Ending::Unseen => (0, 0),
            Ending::Open => (0, self.position.deadline()),
            Ending::Fallen { reclaimed: false } => (1, 0),
            _ => (2, 0),
        }
    }

    /// Whether nothing is left to do in it.
    pub fn is_over(&self) -> bool {
        self.urgency().0 == 2
    }

    /// The dispute in a row of a table: the request and the answer's number, both sides, what it is narrowed to, how
    /// it stands, and the clocks of asserter and challenger.
    pub fn cells(&self) -> [String; 6] {
        let won = |asserter_won: bool| if asserter_won { "asserter won" } else { "challenger won" };
        let state = match &self.ending {
            Ending::Open => format!("{} moves", side(self.position.mover)),
            Ending::Unseen => "last move unknown".to_owned(),
            Ending::Fallen { reclaimed: false } => "to be reclaimed".to_owned(),
            Ending::Fallen { reclaimed: true } => "reclaimed".to_owned(),
            Ending::Executed { asserter_won, .. } => format!("{} by step", won(*asserter_won)),
            Ending::Timeout { asserter_won } => format!("{} by time", won(*asserter_won)),
            Ending::Won { asserter_won } => won(*asserter_won).to_owned(),
        };
        let clocks = match &self.ending {
            Ending::Open => format!("{} s, {} s", self.clock(Side::Asserter), self.clock(Side::Challenger)),
            _ => String::new(),
        };
        let request = format!("{}/{}", game_of(self.game).0, self.attempt);
        let [asserter, challenger] = [self.asserter, self.challenger].map(short_hex);
        let narrowed = if self.ending == Ending::Unseen { String::new() } else { range(self.narrowed) };
        [request, asserter, challenger, narrowed, state, clocks]
    }

    /// The dispute as JSON.
    pub fn json(&self) -> Value {
        let (name, asserter_won) = match &self.ending {
            Ending::Open => ("open", None),
            Ending::Unseen => ("unseen", None),
            Ending::Fallen { reclaimed: false } => ("fallen", None),
            Ending::Fallen { reclaimed: true } => ("reclaimed", None),
            Ending::Executed { asserter_won, .. } => ("executed", Some(*asserter_won)),
            Ending::Timeout { asserter_won } => ("timeout", Some(*asserter_won)),
            Ending::Won { asserter_won } => ("won", Some(*asserter_won)),
        };
        let (unit, big_step) = match self.narrowed.level {
            Level::BigSteps => ("big steps", None),
            Level::Steps { big_step } => ("steps", Some(big_step)),
        };
        let step = match &self.ending {
            Ending::Executed { pc, instruction, .. } => {
                json!({ "pc": pc, "instruction": instruction.trim_matches('`') })
            }
            _ => Value::Null,
        };
        let details = self.details.as_ref().map(|details| {
            let (operator, node) = details.operator.clone().unzip();
            let wrong = details
                .wrong
                .as_ref()
                .map(|(what, claimed, right)| json!({ "output_element": what, "claimed": claimed, "right": right }));
            json!({ "place": details.place, "operator": operator, "node": node, "output_element": details.element,
                    "wrong": wrong })
        });
        let clocks = (self.ending == Ending::Open).then(|| {
            let (mover, deadline) = (self.position.mover, self.position.deadline());
            json!({ "to_move": side(mover), "deadline": deadline, "overdue": self.left().is_none(),
                    "asserter_left": self.clock(Side::Asserter),
                    "challenger_left": self.clock(Side::Challenger) })
        });
        let narrowed = (self.ending != Ending::Unseen).then(|| {
            json!({ "unit": unit, "big_step": big_step, "from": self.narrowed.lo, "to": self.narrowed.hi })
        });
        json!({
            "request": number(game_of(self.game).0), "game": self.game,
            "attempt": self.attempt, "asserter": self.asserter, "challenger": self.challenger, "ending": name,
            "clocks": clocks, "winner": asserter_won.map(|won| if won { "asserter" } else { "challenger" }),
            "narrowed_to": narrowed,
            "executed": step, "details": details, "story": self.story(),
        })
    }
}

/// The event of a request.
pub fn requested(logs: &[Log], id: U256) -> Result<IInferenceService::Requested, Failure> {
    let requests = logs.iter().filter_map(Event::<IInferenceService::Requested>::of);
    let request = requests.map(|event| event.data).find(|data| data.id == id);
    request.ok_or_else(|| Failure::new(format!("the node does not have the event of request {id}")))
}

/// The outputs of a final answer, as its event shows them.
pub fn final_outputs(logs: &[Log], id: U256, answer: &Answer) -> Result<Vec<Bytes>, Failure> {
    let answers = logs.iter().filter_map(Event::<IInferenceService::Answered>::of).map(|event| event.data);
    let its = answers.filter(|data| data.id == id).find(|data| data.attempt == answer.attempt);
    let its = its.ok_or_else(|| Failure::new("the node does not have the event with the outputs"))?;
    Ok(its.outputs)
}

/// How many bytes an input or output has, and log2 of the size of its region, from the word of the region.
pub fn sizes(word: U256) -> (u64, u32) {
    let level: u32 = (word >> 128usize).saturating_to();
    (word.wrapping_to(), level.saturating_add(LEAF.ilog2()))
}

/// The roots of the outputs of a final answer.
pub fn output_roots(logs: &[Log], id: U256, answer: &Answer) -> Result<Vec<Root>, Failure> {
    let request = requested(logs, id)?.request;
    let outputs = final_outputs(logs, id, answer)?;
    let root = |((index, word), bytes): ((u32, &U256), &Bytes)| match is_by_root(request.byRoot, index) {
        true => Some(Root(bytes[..].try_into().ok()?)),
        false => {
            let level = sizes(*word).1.checked_sub(LEAF.ilog2())?;
            let region = Region { subtree: Subtree { level, index: 0 }, bytes: bytes.len() as u64 };
            // No memory has more levels, whatever the node says.
            (level <= u64::BITS).then(|| region_root(&region, bytes))
        }
    };
    let roots: Option<Vec<Root>> = (0..).zip(&request.outputs).zip(&outputs).map(root).collect();
    let roots = roots
        .filter(|roots| roots.len() == outputs.len() && contracts::word(commitment(roots)) == answer.result);
    roots.ok_or_else(|| Failure::new(format!("the outputs of request {id} do not have the result's roots")))
}

/// The inputs of a request, with their addresses: from its event, or from the folder with inputs by root.
fn inputs_of(
    loaded: &LoadedModel,
    id: U256,
    logs: &[Log],
    folder: Option<&Path>,
) -> Result<Vec<(u64, Vec<u8>)>, Failure> {
    let IInferenceService::Requested { request, inputs: given, .. } = requested(logs, id)?;
    let preimages = Preimages::new(folder.map(Path::to_owned));
    let mut inputs = Vec::new();
    for (region, input) in loaded.inputs().iter().zip(&given) {
        let bytes = match input.source {
            Source::Bytes => Some(input.data.clone()),
            _ => {
                let root = input_root(region, input).map(contracts::word);
                let found = root.and_then(|root| preimages.find(root, region));
                if let (Some(root), None) = (root, &found) {
                    let message =
                        format!("request {id} gives input {} by the root {root} only", inputs.len());
                    return Err(Failure::new(message)
                        .hint("--inputs DIR names the folder with ROOT.bin, or leave --image out"));
                }
                found
            }
        };
        inputs.extend(bytes);
    }
    if inputs_commitment(loaded.inputs(), &inputs) != Some(request.inputs) {
        return Err(
            Failure::new("the request's inputs do not fit the image").hint("is it about another model?")
        );
    }
    let addresses = loaded.inputs().iter().map(|region| region.subtree.address());
    Ok(addresses.zip(inputs.into_iter().map(|input| input.to_vec())).collect())
}

/// The first wrong output element of an answer: its name, the claimed value, the right value. Outputs that are
/// given by root don't tell.
fn wrong_element(
    loaded: &LoadedModel,
    by_root: u64,
    claimed: &[Bytes],
    right: &Computed,
) -> Option<(String, String, String)> {
    let regions = (0..).zip(loaded.outputs().iter().zip(claimed).zip(&right.outputs));
    for (_, ((region, claimed), right)) in regions.filter(|(index, _)| !is_by_root(by_root, *index)) {
        let tensors = loaded.image.tensors.iter().filter(|tensor| tensor.role == Role::Output);
        for tensor in tensors {
            let Some(start) = tensor.address.checked_sub(region.subtree.address()) else { continue };
            let start = usize::try_from(start).ok()?;
            let end = start.checked_add(usize::try_from(tensor.bytes).ok()?)?;
            let (claimed, right) = (claimed.get(start..end), right.bytes.get(start..end));
            let (Some(claimed), Some(right)) = (claimed, right) else { continue };
            let size = tensor.dtype.size() as usize;
            let mut elements = (0..).step_by(size).zip(claimed.chunks(size).zip(right.chunks(size)));
            if let Some((offset, (claimed, right))) = elements.find(|(_, (claimed, right))| claimed != right)
            {
                let name = element_name(tensor, tensor.dtype.element_at(offset))?;
                return Some((name, value(tensor.dtype, claimed), value(tensor.dtype, right)));
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_from_any_word() {
        assert_eq!(sizes((U256::from(3) << 128) | (U256::from(7) << 64) | U256::from(40)), (40, 8));
        // A node may say anything.
        assert_eq!(sizes(U256::MAX), (u64::MAX, u32::MAX));
    }
}
