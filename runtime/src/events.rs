//! The events of the service that commands read: of everything, of one request, or of games.
//!
//! All events about a request have its number as an index, except for the moves and ends of its games: their index is the
//! whole ID of the game, in which the request is only a part, and nodes can't look for a part. So the moves of all games
//! are read, but only in the blocks in which the request could have any.

use crate::failure::Failure;
use crate::network::Session;
use chain::{Event, Head, Log, Topics};
use contracts::{B256, IDisputeGame, IInferenceService, RequestStatus, SolEvent as _, U256, request_hash};
use players::game_of;

impl Session {
    /// All events of the service since it was deployed.
    pub async fn events(&self, head: &Head) -> Result<Vec<Log>, Failure> {
        self.read(None, self.deployment.block, head.number).await
    }

    /// All moves and ends of games since the service was deployed; with the answers that they are about, if asked.
    pub async fn game_events(&self, head: &Head, with_answers: bool) -> Result<Vec<Log>, Failure> {
        let mut topics = about_games();
        if with_answers {
            topics.kinds.push(IInferenceService::Answered::SIGNATURE_HASH);
        }
        self.read(Some(&topics), self.deployment.block, head.number).await
    }

    /// What the service stores of a request, and all events about it and its games. However many other requests
    /// there are, the node is asked as often.
    pub async fn events_of(&self, id: U256, head: &Head) -> Result<(RequestStatus, Vec<Log>), Failure> {
        let unknown =
            || Failure::new(format!("there is no request {id}")).hint("`opml request` prints the number");
        let found = players::statuses(&self.node, self.deployment.service, &[id], head).await;
        let (_, status) = found.map_err(Failure::from_error)?.pop().ok_or_else(unknown)?;
        // Of one that was cancelled, the service stores as little as of one that was never made.
        if status.hash == B256::ZERO {
            let count = self.service(&IInferenceService::requestCountCall {}).await?;
            if id.is_zero() || id > count {
                return Err(unknown());
            }
        }
        let mut logs = self.own_events(id, status.hash, head).await?;
        if let Some((from, to)) = span_of_games(id, &logs) {
            let games = self.read(Some(&about_games()), from, to.unwrap_or(head.number)).await?;
            logs.extend(games.into_iter().filter(|log| game(log).is_some_and(|game| game_of(game).0 == id)));
            logs.sort_by_key(|log| (log.block_number, log.log_index));
        }
        Ok((status, logs))
    }

    /// The events with a request's number, from the last one backwards to the request itself.
    async fn own_events(&self, id: U256, hash: B256, head: &Head) -> Result<Vec<Log>, Failure> {
        let topics = Topics { kinds: Vec::new(), about: vec![B256::from(id)] };
        let begins = |log: &Log| {
            Event::<IInferenceService::Requested>::of(log).is_some_and(|event| {
                event.data.id == id && (hash == B256::ZERO || request_hash(id, &event.data.request) == hash)
            })
        };
        let service = self.deployment.service;
        let (first, mut to) = (self.deployment.block.min(head.number), head.number);
        let mut logs: Vec<Log> = Vec::new();
        loop {
            let found = self.node.last_logs(service, &topics, first, to).await;
            let (found, reached) = found.map_err(Failure::from_error)?;
            // The first field of other events may be an account with that number, or a game.
            logs.extend(found.into_iter().filter(|log| request(log) == Some(id)));
            if logs.iter().any(begins) || reached <= first {
                break;
            }
            to = reached - 1;
        }
        if !logs.iter().any(begins) {
            return Err(Failure::new(format!("the node does not have the event of request {id}"))
                .hint("ask another node with --rpc: this one doesn't have all events since the deployment"));
        }
        logs.sort_by_key(|log| (log.block_number, log.log_index));
        Ok(logs)
    }

    /// The events of the service in these blocks.
    async fn read(&self, topics: Option<&Topics>, from: u64, to: u64) -> Result<Vec<Log>, Failure> {
        let (service, mut next, mut logs) = (self.deployment.service, Some(from), Vec::new());
        while let Some(from) = next.filter(|from| *from <= to) {
            let found = match topics {
                Some(topics) => self.node.some_logs(service, topics, from, to).await,
                None => self.node.logs(service, from, to, 0).await,
            };
            let (found, reached) = found.map_err(Failure::from_error)?;
            logs.extend(found);
            next = reached.checked_add(1);
        }
        Ok(logs)
    }
}

fn about_games() -> Topics {
    let kinds = vec![IDisputeGame::Moved::SIGNATURE_HASH, IDisputeGame::Won::SIGNATURE_HASH];
    Topics { kinds, about: Vec::new() }
}

/// The first indexed field of an event, if it is of one of these kinds.
fn about(log: &Log, kinds: &[B256]) -> Option<U256> {
    let [kind, about, ..] = log.topics() else { return None };
    kinds.contains(kind).then(|| U256::from_be_bytes(about.0))
}

/// The game that an event is about.
pub fn game(log: &Log) -> Option<U256> {
    about(log, &about_games().kinds)
}

/// The request that an event is about.
pub fn request(log: &Log) -> Option<U256> {
    let own = [
        IInferenceService::Requested::SIGNATURE_HASH,
        IInferenceService::Answered::SIGNATURE_HASH,
        IInferenceService::Settled::SIGNATURE_HASH,
        IInferenceService::CancelNotice::SIGNATURE_HASH,
        IInferenceService::Cancelled::SIGNATURE_HASH,
        IInferenceService::Redelivered::SIGNATURE_HASH,
    ];
    about(log, &own).or_else(|| game(log).map(|game| game_of(game).0))
}

/// The blocks in which there can be moves about a request: from its first answer until it is final or cancelled. `None`
/// if it was never answered; without an end if it may still go on.
fn span_of_games(id: U256, logs: &[Log]) -> Option<(u64, Option<u64>)> {
    let answers = logs.iter().filter_map(Event::<IInferenceService::Answered>::of);
    let first = answers.filter(|event| event.data.id == id).map(|event| event.block).min()?;
    let end = |log: &Log| {
        let settled = Event::<IInferenceService::Settled>::of(log).filter(|event| event.data.id == id);
        let cancelled = Event::<IInferenceService::Cancelled>::of(log).filter(|event| event.data.id == id);
        settled.map(|event| event.block).or_else(|| cancelled.map(|event| event.block))
    };
    Some((first, logs.iter().find_map(end)))
}
