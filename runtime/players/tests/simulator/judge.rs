//! What must be so at the end of a run.

use super::cast::Actor;
use super::chain::Chain;
use super::node::Sent;
use ::chain::Event;
use contracts::{Address, IDisputeGame, IInferenceService, RequestStatus, Standing, U256};
use players::{challenger_of, game_of};
use std::collections::{HashMap, HashSet};

/// What a run came to.
pub struct Verdict {
    /// What is wrong; nothing if all is well.
    pub wrong: Vec<String>,
    /// How the last answers to the requests stand.
    pub standings: Vec<Standing>,
    /// How many games the honest have won.
    pub won: usize,
}

/// Checks what must be so at the end.
pub fn judge(world: &mut Chain, actors: &[Actor], sent: &Sent, mut wrong: Vec<String>) -> Verdict {
    let count = world.ask(&IInferenceService::requestCountCall {}).to::<u64>();
    let ids: Vec<U256> = (1..=count).map(U256::from).collect();
    let statuses: Vec<RequestStatus> = ids
        .chunks(1000)
        .flat_map(|ids| world.ask(&IInferenceService::statusOfCall { ids: ids.to_vec() }))
        .collect();
    let honest: HashSet<Address> =
        actors.iter().filter(|actor| actor.character.is_honest()).map(Actor::address).collect();
    let watched = actors.iter().any(|actor| actor.character.is_watchful());
    for (number, status) in (1..).zip(&statuses) {
        let answer = &status.answer;
        if watched && answer.standing == Standing::Final && !honest.contains(&answer.asserter) {
            wrong.push(format!("a lie about request {number} is final"));
        }
        if answer.standing == Standing::Overturned && honest.contains(&answer.asserter) {
            wrong.push(format!("a true answer to request {number} was overturned"));
        }
    }
    money(world, actors, &statuses, &mut wrong);
    let won = games(world, &honest, watched, &mut wrong);
    moves(sent, &mut wrong);
    let standings = statuses.iter().map(|status| status.answer.standing).collect();
    Verdict { wrong, standings, won }
}

/// Nobody honest loses more than gas, or sends what it can't pay for.
fn money(world: &mut Chain, actors: &[Actor], statuses: &[RequestStatus], wrong: &mut Vec<String>) {
    let broke: HashSet<Address> = world.broke.iter().copied().collect();
    for actor in actors.iter().filter(|actor| actor.character.is_honest()) {
        let (character, account) = (actor.character, actor.address());
        let gas = world.spent(account);
        let has = world.balance(account) + world.ask(&IInferenceService::balancesCall { account });
        let bonds = statuses.iter().filter(|status| {
            status.answer.standing == Standing::Pending && status.answer.asserter == account
        });
        let bonds = U256::from(world.terms.asserterBond) * U256::from(bonds.count());
        let in_games = U256::from(world.terms.challengerBond) * U256::from(open_games(world, account));
        let (has, had) = (has + bonds + in_games + gas, character.money());
        if has < had {
            wrong.push(format!("{character:?} has lost {} wei besides gas", had - has));
        }
        // A twentieth of an ether, and a thousandth for each request.
        if gas > U256::from(10).pow(U256::from(15)) * U256::from(50 + statuses.len()) {
            wrong.push(format!("{character:?} has spent {gas} wei on gas"));
        }
        if broke.contains(&account) {
            wrong.push(format!("{character:?} has sent what it can't pay for"));
        }
    }
}

/// How many games of a challenger are not over.
fn open_games(world: &mut Chain, challenger: Address) -> usize {
    let moved = world.blocks.iter().flat_map(|block| &block.logs);
    let ids: HashSet<U256> = moved
        .filter_map(Event::<IDisputeGame::Moved>::of)
        .map(|event| event.data.id)
        .filter(|id| challenger_of(*id) == challenger)
        .collect();
    let stored = world.ask(&IDisputeGame::gamesOfCall { ids: ids.into_iter().collect() });
    stored.iter().filter(|hash| U256::from_be_bytes(hash.0) > U256::from(3)).count()
}

/// Nobody honest loses a game, and every lie is challenged in time. Returns how many games the honest have won.
fn games(world: &Chain, honest: &HashSet<Address>, watched: bool, wrong: &mut Vec<String>) -> usize {
    let (mut answers, mut challenged, mut won) = (HashMap::new(), HashSet::new(), 0);
    let logs = world.blocks.iter().flat_map(|block| block.logs.iter().map(|log| (block.time, log)));
    for (time, log) in logs {
        if let Some(Event { data, .. }) = Event::<IInferenceService::Answered>::of(log) {
            answers.insert((data.id, data.attempt), (data.asserter, time));
        } else if let Some(Event { data, .. }) = Event::<IDisputeGame::Moved>::of(log) {
            if honest.contains(&challenger_of(data.id)) {
                challenged.insert(game_of(data.id));
            }
        } else if let Some(Event { data, .. }) = Event::<IDisputeGame::Won>::of(log) {
            let (asserter, challenger) = (answers[&game_of(data.id)].0, challenger_of(data.id));
            let (winner, loser) =
                if data.asserterWon { (asserter, challenger) } else { (challenger, asserter) };
            won += usize::from(honest.contains(&winner));
            if honest.contains(&loser) {
                wrong.push(format!("somebody honest has lost the game {}", data.id));
            }
        }
    }
    let late = world.head().time.saturating_sub(world.terms.window.into());
    for (answer, (asserter, _)) in answers.iter().filter(|(_, (_, time))| *time < late) {
        if watched && !honest.contains(asserter) && !challenged.contains(answer) {
            wrong.push(format!("nobody has challenged the lie about request {}", answer.0));
        }
    }
    won
}

/// The same state of a game never gets two different moves.
fn moves(sent: &Sent, wrong: &mut Vec<String>) {
    let mut moves: HashMap<(Address, Vec<u8>), Vec<u8>> = HashMap::new();
    for (from, data) in sent.lock().expect("a lock").iter() {
        // A selector, the game's ID, and its state.
        let Some(key) = data.get(4..100) else { continue };
        if !["dissect", "enter", "prove", "proveVoid"].contains(&contracts::function_name(data).as_str()) {
            continue;
        }
        let first = moves.entry((*from, key.to_vec())).or_insert_with(|| data.clone());
        if first != data {
            wrong.push("two different moves in one state of a game".to_owned());
        }
    }
}
