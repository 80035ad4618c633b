//! A node that says anything: the operator's commands give an error or a sensible line, and never panic.

use crate::commands::{account, status};
use crate::history::{Disputed, Which, disputes};
use crate::network::Session;
use chain::{Answering, Deployment, Head, Log, Node, Nodes, Question, Reply};
use contracts::{
    Address, Answer, B256, Bytes, Game, IDisputeGame, IInferenceService, Request, RequestStatus,
    SolCall as _, SolEvent, Standing, Terms, U256,
};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

const SERVICE: Address = Address::repeat_byte(9);
const ACCOUNT: Address = Address::repeat_byte(0x12);
const BLOCK: u64 = u64::MAX - 3;

/// What a node says.
#[derive(Clone)]
struct Liar {
    time: u64,
    /// The game's position.
    position: U256,
    /// What is stored of every game; `None` for the state that its event has.
    stored: Option<B256>,
    standing: Standing,
    /// What `balances` says.
    owes: U256,
    logs: Vec<Log>,
}

fn head(time: u64) -> Head {
    Head { number: u64::MAX, hash: B256::ZERO, parent: B256::ZERO, time, base_fee: u128::MAX }
}

/// The request that everything is about. No other has a higher number that fits a game's ID.
fn id() -> U256 {
    U256::MAX >> 176
}

fn game_id() -> U256 {
    players::game_id(id(), u16::MAX, ACCOUNT)
}

fn request() -> Request {
    let most = U256::MAX;
    Request {
        model: B256::ZERO,
        inputs: B256::ZERO,
        requester: ACCOUNT,
        fee: most.wrapping_to(),
        repetitions: u64::MAX,
        byRoot: u64::MAX,
        callback: ACCOUNT,
        callbackGas: u64::MAX,
        callbackData: B256::ZERO,
        outputs: vec![most],
    }
}

fn log(event: &impl SolEvent) -> Log {
    let mut log = Log::default();
    (log.inner.address, log.inner.data) = (SERVICE, event.encode_log_data());
    log.block_number = Some(BLOCK);
    log.transaction_hash = Some(B256::repeat_byte(1));
    log
}

fn moved(position: U256) -> IDisputeGame::Moved {
    let game = Game { subject: B256::ZERO, position };
    IDisputeGame::Moved { id: game_id(), game, start: B256::ZERO, claims: Vec::new() }
}

impl Liar {
    fn new(position: U256) -> Self {
        let request = request();
        let credited = IInferenceService::Credited { account: ACCOUNT, wei_: U256::MAX };
        let (id, attempt, outputs, inputs) = (id(), u16::MAX, Vec::new(), Vec::new());
        let (model, result, data) = (B256::ZERO, B256::ZERO, Bytes::new());
        let mut logs = vec![
            log(&IInferenceService::Requested { id, model, request, inputs, callbackData: data }),
            log(&IInferenceService::CancelNotice { id, cancellable: u64::MAX }),
            log(&IInferenceService::Answered { id, attempt, asserter: ACCOUNT, result, outputs }),
            log(&moved(position)),
            log(&credited),
            log(&credited),
        ];
        logs.iter_mut().zip(0..).for_each(|(log, index)| log.log_index = Some(index));
        // It gives one of them twice.
        logs.push(logs[0].clone());
        let (time, stored, standing, owes) = (u64::MAX, None, Standing::Pending, U256::MAX);
        Self { time, position, stored, standing, owes, logs }
    }

    fn call(&self, data: &[u8]) -> Vec<u8> {
        let most = U256::MAX;
        if let Ok(call) = IInferenceService::statusOfCall::abi_decode(data) {
            let answer = Answer {
                asserter: ACCOUNT,
                posted: most.wrapping_to(),
                attempt: u16::MAX,
                openGames: most.wrapping_to(),
                standing: self.standing,
                delivered: false,
                result: B256::ZERO,
            };
            let hash = contracts::request_hash(id(), &request());
            let status = RequestStatus { hash, cancellable: u64::MAX, answer };
            let all = vec![status; call.ids.len()];
            return IInferenceService::statusOfCall::abi_encode_returns(&all);
        }
        if let Ok(call) = IDisputeGame::gamesOfCall::abi_decode(data) {
            let moved = moved(self.position);
            let known = players::Position { game: moved.game, start: moved.start, claims: moved.claims };
            let stored = self.stored.unwrap_or_else(|| known.hash(moved.id));
            return IDisputeGame::gamesOfCall::abi_encode_returns(&vec![stored; call.ids.len()]);
        }
        if IInferenceService::termsCall::abi_decode(data).is_ok() {
            let terms = Terms {
                window: u32::MAX,
                clock: u32::MAX,
                arity: u16::MAX,
                asserterBond: most.wrapping_to(),
                challengerBond: most.wrapping_to(),
                burned: most.wrapping_to(),
            };
            return IInferenceService::termsCall::abi_encode_returns(&terms);
        }
        self.owes.to_be_bytes_vec()
    }

    fn json(&self, method: &str, params: &Value) -> Value {
        let most = format!("{:#x}", U256::MAX);
        match method {
            "eth_getLogs" => {
                let wanted = |at: usize, log: &Log| {
                    let topics = params[0]["topics"][at].as_array();
                    topics.is_none_or(|topics| topics.contains(&json!(log.topics()[at])))
                };
                json!(self.logs.iter().filter(|log| wanted(0, log) && wanted(1, log)).collect::<Vec<_>>())
            }
            "eth_getTransactionByHash" => {
                json!({ "from": ACCOUNT, "to": SERVICE, "nonce": "0x0", "input": 7 })
            }
            "eth_getTransactionReceipt" => {
                json!({ "blockNumber": "0x0", "gasUsed": most, "effectiveGasPrice": most, "l1Fee": most })
            }
            "eth_getTransactionCount" => json!("0xffffffffffffffff"),
            _ => json!([{ "from": ACCOUNT, "transactionHash": "0x1" }, 7, null]),
        }
    }
}

impl Node for Liar {
    fn answer(&self, question: Question) -> Answering<'_> {
        Box::pin(async move {
            Ok(match question {
                Question::Chain => Reply::Number(7),
                Question::Block(_) => Reply::Hash(Some(B256::ZERO)),
                Question::Head => Reply::Head(head(self.time)),
                Question::Nonce(_) => Reply::Number(u64::MAX),
                Question::Balance(_) => Reply::Wei(U256::MAX),
                Question::Logs { .. } => Reply::Logs(self.logs.clone()),
                Question::Call { data, .. } => Reply::Bytes(self.call(&data).into()),
                Question::Other { method, params } => Reply::Json(self.json(method, &params)),
                _ => Reply::Done,
            })
        })
    }

    fn name(&self) -> String {
        "liar".to_owned()
    }
}

fn session(liar: Liar) -> Session {
    let deployment = Deployment {
        rpc: None,
        chain_id: 7,
        registry: SERVICE,
        service: SERVICE,
        block: BLOCK,
        block_hash: B256::ZERO,
        consumer: None,
    };
    let node: Arc<dyn Node> = Arc::new(liar);
    let node = Nodes::new(vec![node], 7, Some((BLOCK, B256::ZERO)), Duration::from_secs(5));
    Session { deployment, node }
}

/// What the commands say to such a node: stories and JSON of the games, the status, and the account.
async fn told(liar: &Liar) -> [String; 3] {
    let session = session(liar.clone());
    let head = head(liar.time);
    let which = Which { of: Some(ACCOUNT), finished: true };
    let games = match session.game_events(&head, true).await {
        Ok(logs) => disputes(&session, &head, &logs, &which).await,
        Err(failure) => Err(failure),
    };
    let shown = |game: &Disputed| format!("{} {:?} {}", game.story(), game.cells(), game.json());
    let games = games.map(|games| games.iter().map(shown).collect::<Vec<_>>().join("\n"));
    let status = status::Found::new(&session, id()).await.map(|found| {
        let (object, text) = found.report();
        format!("{text} {object}")
    });
    let account = account::statement(&session, &head, ACCOUNT).await;
    let account = account.map(|account| format!("{} {}", account.text(), account.json()));
    [games, status, account].map(|said| said.unwrap_or_else(|failure| failure.to_string()))
}

#[tokio::test]
async fn whatever_a_node_says_something_sensible_is_shown() {
    let bits = |bits: &[usize]| bits.iter().fold(U256::ZERO, |word, bit| word | (U256::ONE << *bit));
    let backwards = (U256::from(9) << 48) | U256::from(3);
    for position in [U256::ZERO, U256::MAX, backwards, bits(&[240, 241]), bits(&[0, 47, 95, 135, 241])] {
        let honest = Liar::new(position);
        let [games, status, _] = told(&honest).await;
        assert!(games.contains("\"ending\":\"open\"") && games.contains("to move"), "{games}");
        assert!(status.contains("pending") && status.contains("is narrowed to"), "{status}");
        for time in [0, u64::MAX] {
            let stored = [0u64, 1, 2, 3, 4].map(|word| Some(B256::from(U256::from(word))));
            for stored in stored.into_iter().chain([None, Some(B256::repeat_byte(0xff))]) {
                for standing in [Standing::None, Standing::Pending, Standing::Final, Standing::Overturned] {
                    let liar = Liar { time, stored, standing, ..honest.clone() };
                    for said in told(&liar).await {
                        assert!(!said.is_empty(), "{position} {time} {stored:?} {standing:?}");
                    }
                }
            }
        }
    }
}

#[tokio::test]
async fn a_position_that_the_contract_does_not_have_is_not_shown_as_the_game() {
    let liar = Liar { stored: Some(B256::repeat_byte(7)), ..Liar::new(U256::MAX) };
    let [games, status, _] = told(&liar).await;
    for said in [&games, &status] {
        assert!(said.contains("does not have the event of its last move"), "{said}");
        assert!(said.contains("\"clocks\":null") && said.contains("\"narrowed_to\":null"), "{said}");
    }
}

#[tokio::test]
async fn an_account_is_refused_if_the_events_do_not_add_up() {
    let mut liar = Liar::new(U256::ZERO);
    // More than there is was credited, twice.
    let [.., account] = told(&liar).await;
    assert!(account.contains("\"spent\":") && account.contains("net       -"), "{account}");
    liar.owes = U256::from(5);
    let [.., account] = told(&liar).await;
    assert!(account.contains("but the service owes 0.000000000000000005 ETH"), "{account}");
    // One who hides the request has no story to tell.
    (_, _) = (liar.logs.remove(0), liar.logs.pop());
    let [_, status, _] = told(&liar).await;
    assert!(status.contains("does not have the event of request"), "{status}");
}
