//! Several nodes used as one: what one doesn't answer, refuses, delays or gets wrong.

use chain::{
    Act, Address, Answering, At, B256, Bytes, Fees, Head, Log, Node, NodeError, Nodes, PrivateKeySigner,
    Question, Reply, Store, Topics, U256, Wallet,
};
use contracts::IInferenceService;
use serde_json::json;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::time::{Instant, sleep};

const CHAIN: u64 = 7;
const ANCHOR: (u64, B256) = (3, B256::repeat_byte(3));
const SERVICE: Address = Address::repeat_byte(9);

/// A node whose answers a test makes.
struct Fake {
    name: &'static str,
    chain: u64,
    delay: Duration,
    asked: AtomicU64,
    answer: Mutex<Answer>,
}

type Answer = Box<dyn FnMut(&Question) -> Result<Reply, NodeError> + Send>;

impl Fake {
    fn new(
        name: &'static str,
        answer: impl FnMut(&Question) -> Result<Reply, NodeError> + Send + 'static,
    ) -> Arc<Self> {
        Self::slow(name, Duration::ZERO, answer)
    }

    fn slow(
        name: &'static str,
        delay: Duration,
        answer: impl FnMut(&Question) -> Result<Reply, NodeError> + Send + 'static,
    ) -> Arc<Self> {
        let answer = Mutex::new(Box::new(answer) as Answer);
        Arc::new(Self { name, chain: CHAIN, delay, asked: AtomicU64::new(0), answer })
    }

    /// How often it was asked for anything but its chain.
    fn asked(&self) -> u64 {
        self.asked.load(Ordering::Relaxed)
    }
}

impl Node for Fake {
    fn answer(&self, question: Question) -> Answering<'_> {
        Box::pin(async move {
            match question {
                Question::Chain => return Ok(Reply::Number(self.chain)),
                Question::Block(3) => return Ok(Reply::Hash(Some(ANCHOR.1))),
                _ => {}
            }
            self.asked.fetch_add(1, Ordering::Relaxed);
            sleep(self.delay).await;
            self.answer.lock().expect("a lock")(&question)
        })
    }

    fn name(&self) -> String {
        self.name.to_owned()
    }
}

fn nodes(members: &[Arc<Fake>]) -> Nodes {
    let members = members.iter().map(|member| Arc::clone(member) as Arc<dyn Node>).collect();
    Nodes::new(members, CHAIN, Some(ANCHOR), Duration::from_secs(2))
}

fn failure() -> Result<Reply, NodeError> {
    Err(NodeError::Transport { what: "answer".to_owned(), reason: "HTTP status 502".to_owned() })
}

fn refusal() -> Result<Reply, NodeError> {
    Err(NodeError::Refused { what: "answer".to_owned(), reason: "block range is too large".to_owned() })
}

fn head(number: u64) -> Result<Reply, NodeError> {
    let hash = B256::from(U256::from(number));
    Ok(Reply::Head(Head { number, hash, parent: B256::ZERO, time: number, base_fee: 0 }))
}

#[tokio::test(start_paused = true)]
async fn what_one_does_not_answer_the_next_one_does() {
    let (bad, good) = (Fake::new("bad", |_| failure()), Fake::new("good", |_| Ok(Reply::Number(5))));
    let both = nodes(&[bad.clone(), good.clone()]);
    for _ in 0..10 {
        assert_eq!(both.nonce(SERVICE).await.expect("a nonce"), 5);
    }
    // The one that fails is asked last.
    assert_eq!((bad.asked(), good.asked()), (1, 10));
}

#[tokio::test(start_paused = true)]
async fn one_node_is_asked_again() {
    let mut times = 0;
    let flaky = Fake::new("flaky", move |_| {
        times += 1;
        if times % 3 == 0 { Ok(Reply::Number(5)) } else { failure() }
    });
    let one = nodes(&[flaky]);
    for _ in 0..5 {
        assert_eq!(one.nonce(SERVICE).await.expect("a nonce"), 5);
    }
    let error = nodes(&[Fake::new("bad", |_| failure())]).nonce(SERVICE).await.expect_err("no nonce");
    assert!(error.to_string().contains("502"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_node_that_hangs_is_overtaken() {
    let hangs = Fake::slow("hangs", Duration::from_secs(1000), |_| Ok(Reply::Number(6)));
    let both = nodes(&[hangs.clone(), Fake::new("good", |_| Ok(Reply::Number(5)))]);
    let start = Instant::now();
    assert_eq!(both.nonce(SERVICE).await.expect("a nonce"), 5);
    assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
    // It isn't waited for each time.
    let start = Instant::now();
    assert_eq!(both.nonce(SERVICE).await.expect("a nonce"), 5);
    assert_eq!((start.elapsed(), hangs.asked()), (Duration::ZERO, 1));
}

#[tokio::test(start_paused = true)]
async fn a_node_of_another_chain_is_not_asked() {
    let other = Arc::new(Fake {
        chain: 8,
        name: "other",
        delay: Duration::ZERO,
        asked: AtomicU64::new(0),
        answer: Mutex::new(Box::new(|_| Ok(Reply::Number(6)))),
    });
    let good = Fake::new("good", |_| Ok(Reply::Number(5)));
    assert_eq!(nodes(&[other.clone(), good]).nonce(SERVICE).await.expect("a nonce"), 5);
    let error = nodes(std::slice::from_ref(&other)).nonce(SERVICE).await.expect_err("another chain");
    assert!(matches!(error, NodeError::OtherChain { .. }), "{error}");
    assert_eq!(other.asked(), 0);
    let anchor = Some((3, B256::repeat_byte(4)));
    let restarted =
        Nodes::new(vec![Fake::new("restarted", |_| head(1))], CHAIN, anchor, Duration::from_secs(2));
    let error = restarted.head().await.expect_err("another block 3");
    assert!(error.to_string().contains("restarted"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn ranges_shrink_until_a_node_takes_them_and_are_remembered() {
    for most in [1, 7, 10, 500, 1000] {
        let node = Fake::new("narrow", move |question| match question {
            Question::Logs { from, to, .. } if to - from < most => Ok(Reply::Logs(Vec::new())),
            Question::Logs { .. } => refusal(),
            _ => failure(),
        });
        let one = nodes(std::slice::from_ref(&node));
        let mut from = 100;
        while from <= 5000 {
            from = one.logs(SERVICE, from, 5000, 0).await.expect("events").1 + 1;
        }
        // About half of what it takes, and a few refusals at the beginning and when more is tried.
        let (asked, best) = (node.asked(), 4901u64.div_ceil(most));
        assert!(asked <= 2 * best + 12 + 2 * best / 100, "{asked} queries of at most {most} blocks");
    }
}

#[tokio::test(start_paused = true)]
async fn events_of_other_blocks_or_contracts_are_refused() {
    let log = |address, block| {
        let mut log = Log::default();
        (log.inner.address, log.block_number) = (address, Some(block));
        Ok(Reply::Logs(vec![log]))
    };
    for bad in [log(SERVICE, 99), log(SERVICE, 111), log(Address::repeat_byte(8), 105)] {
        let bad = bad.expect("a reply");
        let liar = Fake::new("liar", move |_| Ok(bad.clone()));
        assert!(nodes(&[liar]).logs(SERVICE, 100, 110, 0).await.is_err());
    }
    let good = Fake::new("good", move |_| log(SERVICE, 105));
    assert_eq!(nodes(&[good]).logs(SERVICE, 100, 110, 0).await.expect("events").0.len(), 1);
}

/// The range of a query for events with topics.
fn range_of(question: &Question) -> Option<(u64, u64)> {
    let Question::Other { method: "eth_getLogs", params } = question else { return None };
    let number = |name: &str| u64::from_str_radix(params[0][name].as_str()?.strip_prefix("0x")?, 16).ok();
    Some((number("fromBlock")?, number("toBlock")?))
}

#[tokio::test(start_paused = true)]
async fn events_with_an_index_are_asked_for_in_large_ranges_from_either_end() {
    let topics = Topics { kinds: Vec::new(), about: vec![B256::repeat_byte(1)] };
    for (most, queries) in [(u64::MAX, 3), (100_000, 3), (10_000, 50)] {
        let ranges = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&ranges);
        let node = Fake::new("narrow", move |question| match range_of(question) {
            Some((from, to)) if to - from < most => {
                seen.lock().expect("a lock").push((from, to));
                Ok(Reply::Json(json!([])))
            }
            Some(_) => refusal(),
            None => failure(),
        });
        let one = nodes(std::slice::from_ref(&node));
        let (mut from, end) = (100, 300_000);
        while from <= end {
            from = one.some_logs(SERVICE, &topics, from, end).await.expect("events").1 + 1;
        }
        let mut to = end;
        while to >= 100 {
            to = one.last_logs(SERVICE, &topics, 100, to).await.expect("events").1 - 1;
        }
        let ranges = ranges.lock().expect("a lock").clone();
        let (forth, back) =
            ranges.split_at(ranges.iter().position(|(_, to)| *to == end).expect("an end") + 1);
        assert!(forth.len() <= queries && back.len() <= queries, "{forth:?} {back:?}");
        // No block is left out, and none is asked for twice.
        assert!(forth.windows(2).all(|pair| pair[0].1 + 1 == pair[1].0), "{forth:?}");
        assert!(back.windows(2).all(|pair| pair[1].1 + 1 == pair[0].0), "{back:?}");
        assert_eq!((forth[0].0, back[0].1, back[back.len() - 1].0), (100, end, 100));
        // Those without an index are asked for in small ranges as before.
        assert_eq!(one.range(0), 2_000);
    }
}

#[tokio::test(start_paused = true)]
async fn events_about_something_else_are_refused() {
    let word = B256::repeat_byte;
    let log = |topics: &[B256]| {
        let mut log: Log = Log::default();
        (log.inner.address, log.block_number) = (SERVICE, Some(105));
        log.inner.data.set_topics_unchecked(topics.to_vec());
        json!([log])
    };
    let topics = Topics { kinds: vec![word(1), word(2)], about: vec![word(3)] };
    for (reply, fits) in [
        (log(&[word(1), word(3)]), true),
        (log(&[word(2), word(3), word(9)]), true),
        (log(&[word(4), word(3)]), false),
        (log(&[word(1), word(4)]), false),
        (log(&[word(1)]), false),
        (log(&[]), false),
        (json!("none"), false),
        (json!([{ "address": 7 }]), false),
    ] {
        let shown = reply.to_string();
        let node = Fake::new("node", move |_| Ok(Reply::Json(reply.clone())));
        let found = nodes(&[node]).some_logs(SERVICE, &topics, 100, 110).await;
        assert_eq!(found.is_ok(), fits, "{shown}");
    }
    // At the end of all numbers, too.
    let node = nodes(&[Fake::new("node", |_| Ok(Reply::Json(json!([]))))]);
    for (from, to) in [(0, u64::MAX), (u64::MAX, u64::MAX), (u64::MAX - 1, u64::MAX)] {
        let (_, reached) = node.some_logs(SERVICE, &topics, from, to).await.expect("events");
        assert!((from..=to).contains(&reached));
        let (_, reached) = node.last_logs(SERVICE, &topics, from, to).await.expect("events");
        assert!((from..=to).contains(&reached));
    }
}

#[tokio::test(start_paused = true)]
async fn a_head_that_stands_still_or_goes_back_is_compared() {
    let still = Fake::new("still", |_| head(5));
    let start = Instant::now();
    let moves = Fake::new("moves", move |_| head(5 + start.elapsed().as_secs()));
    let both = nodes(&[still.clone(), moves]);
    assert_eq!(both.head().await.expect("a head").number, 5);
    sleep(Duration::from_secs(10)).await;
    assert_eq!(both.head().await.expect("a head").number, 5, "it may just have no new block");
    sleep(Duration::from_secs(10)).await;
    assert_eq!(both.head().await.expect("a head").number, 25);
    for second in 26..120 {
        sleep(Duration::from_secs(1)).await;
        assert_eq!(both.head().await.expect("a head").number, second, "it never goes back");
    }
}

#[tokio::test(start_paused = true)]
async fn two_nodes_must_agree_where_that_is_asked() {
    let says = |terms: u8| {
        move |question: &Question| match question {
            Question::Call { at: At::Hash(_), .. } => {
                Ok(Reply::Bytes(Bytes::from(U256::from(terms).to_be_bytes_vec())))
            }
            _ => failure(),
        }
    };
    let count = IInferenceService::requestCountCall {};
    let ask = async |members: &[Arc<Fake>]| nodes(members).confirm_call(SERVICE, &count, B256::ZERO).await;
    let one = || Fake::new("one", says(1));
    assert_eq!(ask(&[one(), one()]).await.expect("they agree"), Some(U256::from(1)));
    let error = ask(&[one(), Fake::new("two", says(2))]).await.expect_err("they differ");
    assert!(error.to_string().contains("one and two answer differently"), "{error}");
    // One that is away has no say, nor one that doesn't know the block.
    for silent in [Fake::new("away", |_| failure()), Fake::new("behind", |_| refusal())] {
        assert_eq!(ask(&[silent.clone(), one()]).await.expect("one answers"), Some(U256::from(1)));
        assert_eq!(ask(&[one(), silent]).await.expect("one answers"), Some(U256::from(1)));
    }
    assert_eq!(ask(&[Fake::new("behind", |_| refusal())]).await.expect("nobody knows"), None);
}

#[tokio::test]
async fn a_time_that_is_yet_to_come_does_not_keep_a_transaction_back() {
    let sent = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&sent);
    let node = Fake::new("forgets", move |question| {
        counted.fetch_add(u64::from(matches!(question, Question::Send(_))), Ordering::Relaxed);
        Ok(match question {
            Question::Nonce(_) => Reply::Number(0),
            Question::Balance(_) => Reply::Wei(U256::from(10).pow(U256::from(18))),
            Question::Tip => Reply::Wei(U256::ZERO),
            Question::Estimate { .. } => Reply::Number(30_000),
            Question::Send(_) => Reply::Done,
            Question::Knows(_) => Reply::Truth(false),
            _ => return failure(),
        })
    });
    let key = PrivateKeySigner::from_bytes(&B256::repeat_byte(1)).expect("a key");
    let store = Arc::new(Store::in_memory().expect("a store"));
    let mut wallet = Wallet::open(key, nodes(&[node]), store, Fees::default()).expect("a wallet");
    let at = |time| Head {
        number: time,
        hash: B256::from(U256::from(time)),
        parent: B256::ZERO,
        time,
        base_fee: 1,
    };
    let (to, value, data) = (Some(SERVICE), U256::from(1), Bytes::new());
    let (name, about) = ("gift".to_owned(), "send a gift".to_owned());
    let act = Act { name, about, to, value, data, deadline: None, stake: 0, gas: 0 };
    wallet.submit(act, &at(u64::MAX)).await.expect("sent");
    assert!(wallet.tend(&at(100)).await.expect("tended").is_empty());
    // The node has lost it. Whether it has is asked only once it has waited for a block.
    assert!(wallet.tend(&at(112)).await.expect("tended").is_empty());
    assert_eq!(sent.load(Ordering::Relaxed), 2);
}

#[tokio::test(start_paused = true)]
async fn a_transaction_goes_to_every_node_and_one_that_takes_it_is_enough() {
    let (bad, good) = (Fake::new("bad", |_| refusal()), Fake::new("good", |_| Ok(Reply::Done)));
    for members in [[bad.clone(), good.clone()], [good.clone(), bad.clone()]] {
        nodes(&members).send(&Bytes::from_static(b"raw")).await.expect("taken");
    }
    assert_eq!((bad.asked(), good.asked()), (2, 2));
    let error = nodes(&[bad]).send(&Bytes::from_static(b"raw")).await.expect_err("refused");
    assert!(matches!(error, NodeError::Refused { .. }), "{error}");
}
