//! What the service stores: of what has changed, and of some that seem not to have.

use super::{View, answered};
use crate::book::{Book, Position};
use crate::duty::{GameStanding, concerns, game_id, game_ids};
use crate::player::PlayerError;
use chain::{Head, Nodes, StoreError};
use contracts::{Address, B256, IDisputeGame, IInferenceService, RequestStatus, U256};
use game::Side;
use std::collections::{BTreeSet, HashMap};

/// How many IDs are asked about in one call.
const MOST_IDS: usize = 100;
/// Of how many attempts before the last one the player asks for its game, even if it saw no event of it.
const LAST_ATTEMPTS: u16 = 3;

impl View {
    /// The requests whose state is to be read, and in the same call some that seem not to have changed.
    pub(super) fn due(&mut self, spare: bool, head: &Head) -> Vec<U256> {
        let mut ids: BTreeSet<U256> = self.changed.iter().copied().collect();
        ids.extend(self.others.keys());
        ids.extend(&self.missing);
        ids.extend(self.cases.playing());
        let room = MOST_IDS.saturating_sub(ids.len());
        if (spare || !ids.is_empty()) && room > 0 {
            ids.extend(self.examine(room));
            self.examined_at = head.time;
        }
        ids.into_iter().collect()
    }

    /// Whether there is a running game.
    pub(crate) fn is_playing(&self) -> bool {
        !self.cases.playing().is_empty()
    }

    /// The running games.
    pub(super) fn running_games(&self) -> Vec<U256> {
        self.cases.running_games().map(|(id, _)| id).collect()
    }

    /// Takes the states that were read, and reads those of what has changed since and of its games.
    pub(super) async fn refresh(
        &mut self,
        nodes: &Nodes,
        head: &Head,
        states: Result<Vec<(U256, RequestStatus)>, PlayerError>,
        games: Result<HashMap<U256, B256>, PlayerError>,
    ) -> Result<(), PlayerError> {
        let mut failure = None;
        let mut cases: BTreeSet<U256> = self.cases.playing().clone();
        let mut states = states.unwrap_or_else(|error| note(&mut failure, error));
        let read: BTreeSet<U256> = states.iter().map(|(id, _)| *id).collect();
        let rest: Vec<U256> = self.changed.iter().filter(|id| !read.contains(*id)).copied().collect();
        let rest = statuses(nodes, self.service, &rest, head).await;
        states.extend(rest.unwrap_or_else(|error| note(&mut failure, error)));
        for (id, status) in states {
            let taken = self.take_status(id, status, head);
            cases.extend(taken.unwrap_or_else(|error| note(&mut failure, error.into())));
        }
        let games = games.unwrap_or_else(|error| note(&mut failure, error));
        if let Err(error) = self.refresh_games(nodes, head, &cases, games).await {
            self.changed.extend(cases);
            failure = Some(error);
        }
        failure.map_or(Ok(()), Err)
    }

    /// Numbers that may have been given without an event, and requests whose turn it is.
    pub(super) fn examine(&mut self, room: usize) -> Vec<U256> {
        // One that was cancelled looks like one that was never made, so several numbers are tried.
        let probes = (0..6).map(|power: u32| self.unknown + U256::from((1u64 << power) - 1));
        let mut ids: Vec<U256> = probes.filter(|id| !self.known.contains(id)).collect();
        ids.extend(self.gaps().take(room / 4));
        ids.extend(self.cases.urgent().take(room / 2));
        let after = self.cases.ids(self.examined);
        let turn: Vec<U256> = after.take(room.saturating_sub(ids.len())).collect();
        self.examined = turn.last().map_or(U256::ZERO, |last| *last + U256::ONE);
        if turn.len() + ids.len() < room {
            self.examined = U256::ZERO;
        }
        ids.extend(turn);
        ids.truncate(room);
        ids.sort_unstable();
        ids.dedup();
        ids
    }

    /// Numbers below a known one of which no request is known.
    pub(super) fn gaps(&self) -> impl Iterator<Item = U256> {
        let end = self.known.last().copied().unwrap_or(self.unknown);
        std::iter::successors(Some(self.unknown), |id| Some(*id + U256::ONE))
            .take_while(move |id| *id < end)
            .filter(|id| !self.known.contains(id))
    }

    /// Takes what the service stores of a request. Returns the request if the state of its games is to be read.
    pub(super) fn take_status(
        &mut self,
        id: U256,
        status: RequestStatus,
        head: &Head,
    ) -> Result<Option<U256>, StoreError> {
        let RequestStatus { hash, cancellable, answer } = status;
        // What can fail comes first: nothing is noted by halves.
        let known = self.cases.get(id);
        let is_new = known.is_some_and(|case| {
            let same = case.hash == hash && case.answer == answer && case.cancellable == cancellable;
            !same || self.changed.contains(&id)
        });
        let before = if is_new { self.store.load::<u16>(&answered(id, hash))? } else { None };
        let is_case = known.is_some();
        // What only a node says isn't known yet: the contract must have it.
        if let Some(expected) = self.others.remove(&id) {
            if hash == expected {
                self.know(id);
            } else if hash != B256::ZERO {
                self.missing.insert(id);
            }
        }
        if hash != B256::ZERO && is_case {
            self.know(id);
        }
        self.changed.remove(&id);
        if !is_case {
            if hash != B256::ZERO && id >= self.unknown && !self.known.contains(&id) {
                // Those before it were made too.
                self.known.insert(id);
                let gaps: Vec<U256> = self.gaps().take(MOST_IDS).collect();
                self.known.remove(&id);
                self.missing.extend(gaps.into_iter().filter(|gap| !self.others.contains_key(gap)));
                self.missing.insert(id);
            } else if hash == B256::ZERO && self.known.last().is_some_and(|last| id < *last) {
                // It was cancelled.
                self.know(id);
            } else if hash == B256::ZERO {
                self.missing.remove(&id);
            }
            return Ok(None);
        }
        if !is_new {
            return Ok(None);
        }
        if hash != B256::ZERO && self.book.request(hash).is_none() {
            // After a reorganization, the number belongs to another request.
            self.missing.insert(id);
        } else {
            self.missing.remove(&id);
        }
        // An answer that came too late doesn't count, nor one that a reorganization has undone: if the other answer
        // is overturned, the player should answer again.
        let (attempt, mine) = (answer.attempt, answer.asserter == self.me);
        if mine && before != Some(attempt) {
            self.book.note(answered(id, hash), &attempt);
        }
        let asked = self.book.request(hash);
        let mut settled = false;
        self.cases.change(id, |case| {
            case.request = asked.map(|asked| asked.request.clone());
            case.callback_data = asked.map_or(0, |asked| asked.callback_data);
            (case.hash, case.cancellable, case.answer) = (hash, cancellable, answer);
            case.answered = mine || before.is_some_and(|before| before < attempt);
            settled = case.is_settled();
        });
        if settled {
            self.over.entry(id).or_insert(head.number);
        } else {
            self.over.remove(&id);
        }
        Ok(Some(id))
    }

    /// Takes the states of the games about these requests that may concern the player, and reads those that are not
    /// among them.
    pub(super) async fn refresh_games(
        &mut self,
        nodes: &Nodes,
        head: &Head,
        requests: &BTreeSet<U256>,
        mut found: HashMap<U256, B256>,
    ) -> Result<(), PlayerError> {
        let mut ids = BTreeSet::new();
        for case in requests.iter().filter_map(|id| self.cases.get(*id)) {
            // Of earlier attempts, games of the player are in the book.
            let first = case.answer.attempt.saturating_sub(LAST_ATTEMPTS).max(1);
            let last = case.answer.attempt.saturating_sub(u16::from(case.is_unchallenged()));
            let own = (first..=last).map(|attempt| game_id(case.id, attempt, self.me));
            ids.extend(self.book.games(case.id).into_iter().chain(own));
        }
        let rest: Vec<U256> = ids.iter().filter(|id| !found.contains_key(*id)).copied().collect();
        found.extend(stored(nodes, self.service, &rest, head).await?);
        for id in requests {
            let (book, me, unread) = (&self.book, self.me, self.changed.contains(id));
            self.cases.change(*id, |case| {
                let standings = ids.range(game_ids(*id)).filter_map(|game| {
                    let standing = standing(book, *found.get(game)?);
                    concerns(me, &case.answer, *game, &standing).then_some((*game, standing))
                });
                (case.games, case.unread) = (standings.collect(), unread);
            });
        }
        Ok(())
    }
}

fn standing(book: &Book, stored: B256) -> GameStanding {
    match U256::from_be_bytes(stored.0) {
        U256::ZERO => GameStanding::None,
        over if over < U256::from(4) => GameStanding::Over(match over.to::<u8>() {
            1 => Some(Side::Asserter),
            2 => Some(Side::Challenger),
            _ => None,
        }),
        _ => match book.position(stored) {
            Some(position) => GameStanding::Open(Box::new(Position::clone(position))),
            None => GameStanding::Unseen,
        },
    }
}

/// Notes an error and goes on with nothing.
fn note<T: Default>(failure: &mut Option<PlayerError>, error: PlayerError) -> T {
    *failure = Some(error);
    T::default()
}

/// What the service stores of requests, as of a block.
pub async fn statuses(
    nodes: &Nodes,
    service: Address,
    ids: &[U256],
    head: &Head,
) -> Result<Vec<(U256, RequestStatus)>, PlayerError> {
    let mut found = Vec::new();
    for ids in ids.chunks(MOST_IDS) {
        let call = IInferenceService::statusOfCall { ids: ids.to_vec() };
        let statuses = nodes.call(service, &call, head.hash).await?;
        found.extend(ids.iter().copied().zip(complete(ids, statuses)?));
    }
    Ok(found)
}

/// What the service stores of games, as of a block.
pub async fn stored(
    nodes: &Nodes,
    service: Address,
    ids: &[U256],
    head: &Head,
) -> Result<HashMap<U256, B256>, PlayerError> {
    let mut found = HashMap::new();
    for ids in ids.chunks(MOST_IDS) {
        let call = IDisputeGame::gamesOfCall { ids: ids.to_vec() };
        let stored = nodes.call(service, &call, head.hash).await?;
        found.extend(ids.iter().copied().zip(complete(ids, stored)?));
    }
    Ok(found)
}

/// The answers to a call about these IDs. A request that is left out would go unseen.
fn complete<T>(ids: &[U256], answers: Vec<T>) -> Result<Vec<T>, PlayerError> {
    let (asked, found) = (ids.len(), answers.len());
    if asked == found { Ok(answers) } else { Err(PlayerError::Incomplete { asked, found }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_that_leaves_something_out_is_an_error() {
        let ids = [U256::from(1), U256::from(2)];
        assert!(complete(&ids, vec![7, 8]).is_ok());
        for answers in [vec![], vec![7], vec![7, 8, 9]] {
            let found = answers.len();
            let error = complete(&ids, answers).expect_err("another number of answers");
            assert!(matches!(error, PlayerError::Incomplete { asked: 2, found: same } if same == found));
        }
    }
}
