//! The disputes about a request, as far as the chain shows: how far each is narrowed, and how it ended.

use crate::claim::unhex;
use crate::commands::disasm::place;
use crate::commands::trace::{Row, element, element_name, trace_next};
use crate::failure::Failure;
use crate::narration::{node_name, range, short_hex, value};
use crate::network::Session;
use chain::{Event, Log};
use contracts::{
    Address, Answer, Bytes, IDisputeGame, IInferenceService, Position, SolCall as _, Source, U256,
};
use game::regions::commitment;
use game::{Level, Region, Segment, Side, Subtree};
use image::Role;
use isa::{Extensions, decode};
use players::{
    Computed, LoadedModel, Preimages, challenger_of, game_of, input_root, inputs_commitment, is_by_root,
    region_root,
};
use prover::{Execution, ExecutionError, MemoryLimit};
use serde_json::{Value, json};
use std::path::Path;
use step::Root;
use step::merkle::LEAF;

/// A dispute about an answer.
pub struct Disputed {
    attempt: u16,
    asserter: Address,
    challenger: Address,
    narrowed: Segment,
    ending: Ending,
    /// The machine before the step that the contract executed. Available only with the image.
    row: Option<Row>,
    /// The additional facts from the image.
    details: Option<Details>,
}

/// The state of a dispute.
enum Ending {
    /// The dispute is running, and it is this side's turn.
    Open { asserter_moves: bool },
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

/// A game with its latest position, and whether the asserter won, with the log that says so.
type Found<'a> = (U256, Position, Option<(bool, &'a Log)>);

/// The disputes about a request, in the order of their first moves.
pub async fn disputes(session: &Session, id: U256, logs: &[Log]) -> Result<Vec<Disputed>, Failure> {
    let mut found: Vec<Found<'_>> = Vec::new();
    for log in logs {
        if let Some(Event { data, .. }) =
            Event::<IDisputeGame::Moved>::of(log).filter(|e| game_of(e.data.id).0 == id)
        {
            match found.iter_mut().find(|(game, ..)| *game == data.id) {
                Some((_, position, _)) => *position = Position::unpack(data.game.position),
                None => found.push((data.id, Position::unpack(data.game.position), None)),
            }
        } else if let Some(Event { data, .. }) = Event::<IDisputeGame::Won>::of(log)
            && let Some((.., won)) = found.iter_mut().find(|(game, ..)| *game == data.id)
        {
            *won = Some((data.asserterWon, log));
        }
    }
    let mut disputes = Vec::new();
    let arity = u64::from(session.terms().await?.arity);
    for (game, position, won) in found {
        let mut narrowed = position.segment;
        let ending = match won {
            None => Ending::Open { asserter_moves: position.mover == Side::Asserter },
            Some((asserter_won, log)) => {
                let call = calldata(session, log).await?;
                ending(asserter_won, &call, &mut narrowed, arity)
            }
        };
        let (attempt, challenger) = (game_of(game).1, challenger_of(game));
        let asserter = asserter_of(id, attempt, logs);
        disputes.push(Disputed { attempt, asserter, challenger, narrowed, ending, row: None, details: None });
    }
    Ok(disputes)
}

/// Who gave an answer; zero if the node doesn't have the event.
pub fn asserter_of(request: U256, attempt: u16, logs: &[Log]) -> Address {
    let answers = logs.iter().filter_map(Event::<IInferenceService::Answered>::of);
    let mut its = answers.filter(|event| event.data.id == request && event.data.attempt == attempt);
    its.next().map(|event| event.data.asserter).unwrap_or_default()
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
            Ending::Open { asserter_moves } => {
                let mover = if *asserter_moves { "asserter" } else { "challenger" };
                format!("It is narrowed to {narrowed}; the {mover} is to move.")
            }
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

    /// The dispute as JSON.
    pub fn json(&self) -> Value {
        let (name, asserter_won) = match &self.ending {
            Ending::Open { .. } => ("open", None),
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
        json!({
            "attempt": self.attempt, "asserter": self.asserter, "challenger": self.challenger, "ending": name,
            "winner": asserter_won.map(|won| if won { "asserter" } else { "challenger" }),
            "narrowed_to": { "unit": unit, "big_step": big_step, "from": self.narrowed.lo, "to": self.narrowed.hi },
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
