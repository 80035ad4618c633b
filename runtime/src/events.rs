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
            in_order(&mut logs);
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
        in_order(&mut logs);
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
        in_order(&mut logs);
        Ok(logs)
    }
}

/// Puts events in the order in which they happened. A node may give one twice.
fn in_order(logs: &mut Vec<Log>) {
    logs.sort_by_key(|log| (log.block_number, log.log_index));
    logs.dedup_by_key(|log| (log.block_number, log.log_index));
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

#[cfg(test)]
mod tests {
    use super::*;
    use chain::{Answering, Deployment, Node, Nodes, Question, Reply};
    use contracts::{Address, SolCall as _, SolEvent};
    use serde_json::{Value, json};
    use std::sync::{Arc, Mutex};
    use std::time::Duration;

    const SERVICE: Address = Address::repeat_byte(9);
    const HEAD: u64 = 500_000;
    const REQUEST: u64 = 3;

    fn log(block: u64, event: &impl SolEvent) -> Log {
        let mut log = Log::default();
        (log.inner.address, log.inner.data) = (SERVICE, event.encode_log_data());
        (log.block_number, log.log_index) = (Some(block), Some(0));
        log
    }

    /// A node with the events of a cancelled request, which notes for what it is asked.
    struct Noting {
        logs: Vec<Log>,
        asked: Arc<Mutex<Vec<Value>>>,
    }

    impl Node for Noting {
        fn answer(&self, question: Question) -> Answering<'_> {
            let number =
                |value: &Value| u64::from_str_radix(&value.as_str().expect("text")[2..], 16).expect("hex");
            let reply = match question {
                Question::Chain => Reply::Number(7),
                Question::Block(_) => Reply::Hash(Some(B256::ZERO)),
                Question::Call { data, .. } if IInferenceService::statusOfCall::abi_decode(&data).is_ok() => {
                    // A list of one, all whose nine fields are zero.
                    let words =
                        [32, 1].into_iter().chain([0; 9]).map(|word| U256::from(word).to_be_bytes::<32>());
                    Reply::Bytes(words.flatten().collect::<Vec<u8>>().into())
                }
                Question::Call { .. } => Reply::Bytes(U256::from(REQUEST).to_be_bytes_vec().into()),
                Question::Other { params, .. } => {
                    let filter = &params[0];
                    let blocks = number(&filter["fromBlock"])..=number(&filter["toBlock"]);
                    let fits = |log: &&Log, at: usize| {
                        let topics = filter["topics"][at].as_array();
                        topics.is_none_or(|topics| topics.contains(&json!(log.topics()[at])))
                    };
                    let found =
                        self.logs.iter().filter(|log| blocks.contains(&log.block_number.expect("a block")));
                    let found: Vec<&Log> = found.filter(|log| fits(log, 0) && fits(log, 1)).collect();
                    self.asked.lock().expect("a lock").push(json!([blocks.start(), blocks.end()]));
                    Reply::Json(json!(found))
                }
                Question::Head => Reply::Head(head()),
                _ => Reply::Done,
            };
            Box::pin(async move { Ok(reply) })
        }

        fn name(&self) -> String {
            "noting".to_owned()
        }
    }

    fn head() -> Head {
        Head { number: HEAD, hash: B256::ZERO, parent: B256::ZERO, time: 0, base_fee: 0 }
    }

    #[tokio::test]
    async fn events_are_asked_for_back_to_the_request_and_moves_only_where_there_can_be_some() {
        let id = U256::from(REQUEST);
        let requested = |id| IInferenceService::Requested { id, ..Default::default() };
        let answered = IInferenceService::Answered { id, attempt: 1, ..Default::default() };
        let moved = |request| {
            let id = players::game_id(request, 1, Address::repeat_byte(5));
            IDisputeGame::Moved { id, ..Default::default() }
        };
        let all = vec![
            log(100_000, &requested(U256::from(2))),
            log(310_000, &requested(id)),
            log(320_000, &answered),
            log(320_001, &moved(id)),
            log(320_002, &moved(U256::from(2))),
            log(330_000, &IInferenceService::Cancelled { id }),
            log(340_000, &moved(U256::from(2))),
        ];
        let asked = Arc::<Mutex<Vec<Value>>>::default();
        let node: Arc<dyn Node> = Arc::new(Noting { logs: all, asked: Arc::clone(&asked) });
        let deployment = Deployment {
            rpc: None,
            chain_id: 7,
            registry: SERVICE,
            service: SERVICE,
            block: 1,
            block_hash: B256::ZERO,
            consumer: None,
        };
        let node = Nodes::new(vec![node], 7, Some((1, B256::ZERO)), Duration::from_secs(5));
        let session = Session { deployment, node };
        let (_, logs) = session.events_of(id, &head()).await.expect("its events");
        let blocks: Vec<u64> = logs.iter().filter_map(|log| log.block_number).collect();
        assert_eq!(blocks, [310_000, 320_000, 320_001, 330_000]);
        let ranges = [[400_001, HEAD], [300_001, 400_000], [320_000, 330_000]];
        assert_eq!(*asked.lock().expect("a lock"), ranges.map(|range| json!(range)));
        // What was never asked for costs no search.
        asked.lock().expect("a lock").clear();
        for unknown in [U256::ZERO, U256::from(REQUEST + 1), U256::MAX] {
            let failure = session.events_of(unknown, &head()).await.expect_err("no such request");
            assert!(failure.message.contains("there is no request"), "{failure}");
        }
        assert!(asked.lock().expect("a lock").is_empty());
        let lost = session.events_of(U256::from(1), &head()).await.expect_err("its event is missing");
        assert!(lost.message.contains("does not have the event of request 1"), "{lost}");
    }
}
