//! Several nodes of one chain, used as one: what one doesn't answer, the next one does.
//!
//! Every query is tried at each node, then again after a pause. A node that fails is asked last for a while. One
//! of another chain is not asked at all. Nothing else is believed for long: a head that stands still is
//! compared with the others', and what costs money can be asked of two nodes ([`Nodes::confirm`]).

mod events;

use crate::node::{NodeError, RpcNode};
use crate::question::{At, Head, Node, Question, Receipt, Reply};
use alloy::primitives::{Address, B256, Bytes, TxHash, U256};
use alloy::sol_types::SolCall;
use events::Range;
pub use events::Topics;
use futures_util::future::join_all;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout};

/// How often every node is asked before a query fails: for longer than a second, after which a node that allows only
/// so many calls a second answers again.
const ROUNDS: u32 = 5;
/// The pause after the first round. It doubles with every round.
const PAUSE: Duration = Duration::from_millis(100);
/// How long a node that fails is asked last, at most.
const LONGEST_REST: Duration = Duration::from_secs(30);
/// How long a head may stand still before the other nodes are asked for theirs.
const STILL: Duration = Duration::from_secs(15);
/// The least time after which another node is asked as well.
const LEAST_PATIENCE: Duration = Duration::from_millis(400);

/// The nodes of a chain.
#[derive(Clone)]
pub struct Nodes(Arc<Inner>);

struct Inner {
    members: Vec<Member>,
    chain: u64,
    /// A block of the chain, by its number and hash. Other chains may have the same ID.
    anchor: Option<(u64, B256)>,
    /// How long an answer may take.
    patience: Duration,
    /// The last head, and since when it is the last one.
    last: Mutex<Option<(Head, Instant)>>,
}

struct Member {
    node: Arc<dyn Node>,
    health: Mutex<Health>,
}

/// What is known of a node.
#[derive(Debug, Clone, Copy)]
struct Health {
    /// Whether it was found to be of the right chain.
    right: bool,
    /// How often it failed in a row.
    failures: u32,
    /// Until when it is asked last.
    rests: Option<Instant>,
    /// How many blocks a query for events may cover: for all of a contract, and for those with an index.
    ranges: [Range; 2],
    /// How long its answers usually take.
    usual: Duration,
}

impl std::fmt::Debug for Nodes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.0.members.iter().map(|member| member.node.name())).finish()
    }
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Member {
    fn health(&self) -> MutexGuard<'_, Health> {
        lock(&self.health)
    }

    /// Asks once, and notes whether that went well.
    async fn ask(&self, question: Question, patience: Duration) -> Result<Reply, NodeError> {
        let what = question.what();
        let late = |_| NodeError::Transport {
            what,
            reason: format!("no answer within {} ms", patience.as_millis()),
        };
        let asked = Instant::now();
        let reply = timeout(patience, self.node.answer(question)).await.map_err(late).flatten();
        match &reply {
            Ok(_) | Err(NodeError::Reverted { .. }) => {
                let mut health = self.health();
                (health.failures, health.usual) = (0, (7 * health.usual + asked.elapsed()) / 8);
            }
            // It may refuse this query only.
            Err(NodeError::Refused { .. }) => {}
            Err(error) => {
                tracing::debug!(node = self.node.name(), %error, "a node fails");
                self.rest();
            }
        }
        reply
    }

    /// Has others asked first for a while: longer with every failure.
    fn rest(&self) {
        let mut health = self.health();
        health.failures = health.failures.saturating_add(1);
        let pause = PAUSE.saturating_mul(2u32.saturating_pow(health.failures)).min(LONGEST_REST);
        health.rests = Some(Instant::now() + pause);
    }

    fn rests(&self) -> bool {
        self.health().rests.is_some_and(|until| until > Instant::now())
    }
}

impl Nodes {
    /// Nodes of a chain that has this block. A node is checked before it is asked anything else.
    #[must_use]
    pub fn new(
        nodes: Vec<Arc<dyn Node>>,
        chain: u64,
        anchor: Option<(u64, B256)>,
        patience: Duration,
    ) -> Self {
        let health = Health {
            right: false,
            failures: 0,
            rests: None,
            ranges: [Range::of_all(), Range::of_some()],
            usual: Duration::ZERO,
        };
        let members = nodes.into_iter().map(|node| Member { node, health: Mutex::new(health) }).collect();
        Self(Arc::new(Inner { members, chain, anchor, patience, last: Mutex::default() }))
    }

    /// The node at a URL, whatever its chain.
    pub async fn connect(url: &str, patience: Duration) -> Result<Self, NodeError> {
        let node: Arc<dyn Node> = Arc::new(RpcNode::new(url, patience)?);
        let chain = number(&Question::Chain, node.answer(Question::Chain).await?)?;
        Ok(Self::new(vec![node], chain, None, patience))
    }

    /// The chain's ID.
    #[must_use]
    pub fn chain_id(&self) -> u64 {
        self.0.chain
    }

    /// How many nodes there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.members.len()
    }

    /// The nodes in the order in which they are asked: those that rest come last.
    fn in_order(&self) -> Vec<&Member> {
        let mut members: Vec<&Member> = self.0.members.iter().collect();
        members.sort_by_key(|member| member.rests());
        members
    }

    /// Asks one node, if it is of the right chain.
    async fn ask_one(&self, member: &Member, question: Question) -> Result<Reply, NodeError> {
        self.check(member).await?;
        member.ask(question, self.0.patience).await
    }

    /// Asks one node, and the next one too if the first takes much longer than it usually does.
    async fn ask_either<'a>(
        &self,
        first: &'a Member,
        second: &'a Member,
        question: &Question,
    ) -> Result<(&'a Member, Reply), NodeError> {
        let patience = (4 * first.health().usual).max(LEAST_PATIENCE);
        let asked = self.ask_one(first, question.clone());
        tokio::pin!(asked);
        if let Ok(reply) = timeout(patience, &mut asked).await {
            return reply.map(|reply| (first, reply));
        }
        let also_asked = self.ask_one(second, question.clone());
        tokio::pin!(also_asked);
        tokio::select! {
            reply = &mut asked => match reply {
                Ok(reply) => Ok((first, reply)),
                Err(_) => also_asked.await.map(|reply| (second, reply)),
            },
            reply = &mut also_asked => match reply {
                Ok(reply) => {
                    // Whoever is overtaken is not waited for the next time.
                    if !std::ptr::eq(first, second) {
                        first.rest();
                    }
                    Ok((second, reply))
                }
                Err(_) => asked.await.map(|reply| (first, reply)),
            },
        }
    }

    /// Asks every node in turn, several times. Returns the answer and whose it is.
    async fn ask(&self, question: &Question) -> Result<(&Member, Reply), NodeError> {
        // Asked again, a node refuses these for the same reason. A state that is forgotten doesn't come back.
        let final_ = matches!(
            question,
            Question::Estimate { .. }
                | Question::Send(_)
                | Question::Other { .. }
                | Question::Call { at: At::Hash(_), .. }
        );
        let mut failure = NodeError::Missing("answer");
        for round in 0..ROUNDS {
            let mut refused = true;
            let members = self.in_order();
            for (index, &member) in members.iter().enumerate() {
                let next = members[(index + 1) % members.len()];
                match self.ask_either(member, next, question).await {
                    Ok(answered) => return Ok(answered),
                    Err(error @ NodeError::Reverted { .. }) => return Err(error),
                    Err(error) => {
                        refused &= matches!(error, NodeError::Refused { .. } | NodeError::OtherChain { .. });
                        failure = error;
                    }
                }
            }
            if (refused && final_) || matches!(failure, NodeError::OtherChain { .. }) {
                break;
            }
            if round + 1 < ROUNDS {
                sleep(PAUSE * 2u32.pow(round)).await;
            }
        }
        Err(failure)
    }

    /// Makes sure that a node is of the right chain.
    async fn check(&self, member: &Member) -> Result<(), NodeError> {
        if member.health().right {
            return Ok(());
        }
        let wrong = |reason: String| {
            member.rest();
            Err(NodeError::OtherChain { name: member.node.name(), reason })
        };
        let chain = number(&Question::Chain, member.ask(Question::Chain, self.0.patience).await?)?;
        if chain != self.0.chain {
            return wrong(format!("its chain ID is {chain}, not {}", self.0.chain));
        }
        if let Some((block, hash)) = self.0.anchor {
            let found = member.ask(Question::Block(block), self.0.patience).await?;
            if found != Reply::Hash(Some(hash)) {
                return wrong(format!("its block {block} is another one; was a test chain restarted?"));
            }
        }
        member.health().right = true;
        Ok(())
    }

    /// Asks two nodes, if there are two that answer, and fails if they differ.
    pub async fn confirm(&self, question: &Question) -> Result<Reply, NodeError> {
        let (first, reply) = self.ask(question).await?;
        for second in self.in_order().into_iter().filter(|member| !std::ptr::eq(*member, first)) {
            match self.ask_one(second, question.clone()).await {
                Ok(other) if other == reply => break,
                Ok(_) => {
                    let (first, second) = (first.node.name(), second.node.name());
                    return Err(NodeError::Disagree { what: question.what(), first, second });
                }
                Err(_) => {}
            }
        }
        Ok(reply)
    }

    /// The last block. If it has been the last one for long, the highest that any node knows.
    pub async fn head(&self) -> Result<Head, NodeError> {
        let (member, reply) = self.ask(&Question::Head).await?;
        let mut best = head(reply)?;
        let doubtful = lock(&self.0.last).is_some_and(|(last, since)| {
            let stands_still = last.hash == best.hash && since.elapsed() >= STILL;
            stands_still || best.number < last.number
        });
        if doubtful {
            for other in self.in_order().into_iter().filter(|other| !std::ptr::eq(*other, member)) {
                let Ok(found) = self.ask_one(other, Question::Head).await.and_then(head) else { continue };
                if found.number > best.number {
                    let (behind, block) = (member.node.name(), best.number);
                    tracing::warn!(node = behind, block, "a node is behind: asking others first");
                    member.health().rests = Some(Instant::now() + LONGEST_REST);
                    best = found;
                }
            }
        }
        let mut last = lock(&self.0.last);
        if last.is_none_or(|(last, _)| last.hash != best.hash) {
            *last = Some((best, Instant::now()));
        }
        Ok(best)
    }

    /// How long the last head has been the last one.
    #[must_use]
    pub fn standstill(&self) -> Duration {
        lock(&self.0.last).map_or(Duration::ZERO, |(_, since)| since.elapsed())
    }

    /// The hash of a block; `None` if there is no such block yet.
    pub async fn block_hash(&self, number: u64) -> Result<Option<B256>, NodeError> {
        match self.ask(&Question::Block(number)).await?.1 {
            Reply::Hash(hash) => Ok(hash),
            _ => Err(NodeError::Missing("hash of the block")),
        }
    }

    /// Calls a view function of a contract, as of a block. A node that doesn't know that block any more is asked
    /// for the last one's state: what is done about it is checked by the contract.
    pub async fn call<C: SolCall>(&self, to: Address, call: &C, at: B256) -> Result<C::Return, NodeError> {
        let ask = |at| Question::Call { to, data: call.abi_encode().into(), at };
        let lacks = |error: &NodeError| matches!(error, NodeError::Refused { .. } | NodeError::Missing(_));
        let mut reply = self.ask_once(&ask(At::Hash(at))).await;
        if reply.as_ref().is_err_and(|error| !lacks(error) && !matches!(error, NodeError::Reverted { .. })) {
            reply = self.ask(&ask(At::Hash(at))).await.map(|(_, reply)| reply);
        }
        let reply = match reply {
            Err(error) if lacks(&error) => self.ask(&ask(At::Latest)).await?.1,
            decided => decided?,
        };
        decode::<C>(reply)
    }

    /// The same of two nodes, if there are two that know that block; `None` if there is none. Fails if they differ.
    pub async fn confirm_call<C: SolCall>(
        &self,
        to: Address,
        call: &C,
        at: B256,
    ) -> Result<Option<C::Return>, NodeError> {
        let question = Question::Call { to, data: call.abi_encode().into(), at: At::Hash(at) };
        match self.confirm(&question).await {
            Ok(reply) => decode::<C>(reply).map(Some),
            Err(NodeError::Refused { .. } | NodeError::Missing(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Asks every node once.
    async fn ask_once(&self, question: &Question) -> Result<Reply, NodeError> {
        let mut failure = NodeError::Missing("answer");
        for member in self.in_order() {
            match self.ask_one(member, question.clone()).await {
                Err(error) if !matches!(error, NodeError::Reverted { .. }) => failure = error,
                decided => return decided,
            }
        }
        Err(failure)
    }

    /// The gas that a transaction would use now. Fails if it would be reverted.
    pub async fn estimate(
        &self,
        from: Address,
        to: Option<Address>,
        data: Bytes,
        value: U256,
    ) -> Result<u64, NodeError> {
        let question = Question::Estimate { from, to, data, value };
        number(&question, self.ask(&question).await?.1)
    }

    /// How many transactions of an account have been mined: the next free nonce.
    pub async fn nonce(&self, account: Address) -> Result<u64, NodeError> {
        let question = Question::Nonce(account);
        number(&question, self.ask(&question).await?.1)
    }

    /// An account's balance, in wei.
    pub async fn balance(&self, account: Address) -> Result<U256, NodeError> {
        wei(self.ask(&Question::Balance(account)).await?.1)
    }

    /// What others offer to a block's builder, in wei per unit of gas. A node is asked only once: this is not worth
    /// waiting for.
    pub async fn tip(&self) -> Result<u128, NodeError> {
        Ok(wei(self.ask_once(&Question::Tip).await?)?.saturating_to())
    }

    /// Whether there is a contract at an address.
    pub async fn has_code(&self, account: Address) -> Result<bool, NodeError> {
        truth(self.ask(&Question::HasCode(account)).await?.1)
    }

    /// Sends a signed transaction to every node. One that takes it is enough; if none answers, all are asked again.
    pub async fn send(&self, raw: &Bytes) -> Result<(), NodeError> {
        let question = Question::Send(raw.clone());
        let mut failure = NodeError::Missing("answer");
        for round in 0..ROUNDS {
            let members = self.in_order();
            let sent = members.iter().map(|member| self.ask_one(member, question.clone()));
            let mut refused = true;
            for reply in join_all(sent).await {
                let Err(error) = reply else { return Ok(()) };
                refused &= matches!(error, NodeError::Refused { .. } | NodeError::OtherChain { .. });
                failure = error;
            }
            if refused {
                break;
            }
            if round + 1 < ROUNDS {
                sleep(PAUSE * 2u32.pow(round)).await;
            }
        }
        Err(failure)
    }

    /// Whether a node has a transaction, mined or not.
    pub async fn knows(&self, hash: TxHash) -> Result<bool, NodeError> {
        truth(self.ask(&Question::Knows(hash)).await?.1)
    }

    /// The outcome of a transaction; `None` if it isn't mined.
    pub async fn receipt(&self, hash: TxHash) -> Result<Option<Receipt>, NodeError> {
        match self.ask(&Question::Receipt(hash)).await?.1 {
            Reply::Receipt(receipt) => Ok(receipt.map(|receipt| *receipt)),
            _ => Err(NodeError::Missing("receipt")),
        }
    }

    /// Calls any other JSON-RPC method.
    pub async fn raw(
        &self,
        method: &'static str,
        params: serde_json::Value,
    ) -> Result<serde_json::Value, NodeError> {
        match self.ask(&Question::Other { method, params }).await?.1 {
            Reply::Json(value) => Ok(value),
            _ => Err(NodeError::Missing("answer")),
        }
    }
}

fn number(question: &Question, reply: Reply) -> Result<u64, NodeError> {
    let reason = "the answer is not a number".to_owned();
    let Reply::Number(number) = reply else {
        return Err(NodeError::Transport { what: question.what(), reason });
    };
    Ok(number)
}

fn head(reply: Reply) -> Result<Head, NodeError> {
    let Reply::Head(head) = reply else { return Err(NodeError::Missing("last block")) };
    Ok(head)
}

fn wei(reply: Reply) -> Result<U256, NodeError> {
    let Reply::Wei(wei) = reply else { return Err(NodeError::Missing("amount")) };
    Ok(wei)
}

fn truth(reply: Reply) -> Result<bool, NodeError> {
    let Reply::Truth(truth) = reply else { return Err(NodeError::Missing("answer")) };
    Ok(truth)
}

fn decode<C: SolCall>(reply: Reply) -> Result<C::Return, NodeError> {
    let Reply::Bytes(bytes) = reply else { return Err(NodeError::Missing("result of the call")) };
    C::abi_decode_returns(&bytes).map_err(|error| NodeError::Transport {
        what: format!("call {}", C::SIGNATURE),
        reason: error.to_string(),
    })
}
