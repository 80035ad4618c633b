//! A chain with the real contracts in an EVM: blocks, a pool of signed transactions, and reorganizations.

use alloy::consensus::{Transaction as _, TxEnvelope, transaction::SignerRecoverable as _};
use alloy::eips::eip2718::Decodable2718 as _;
use chain::{Head, Log, Receipt, Sent};
use contracts::{
    Address, B256, Bytes, IInferenceService, IModelRegistry, Order, SolCall, SolValue, Standing, Terms, U256,
};
use evm::chain::{Chain as Evm, ChainError, Outcome, State};
use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::sync::Mutex;

pub const CHAIN_ID: u64 = 31_337;
/// When the first block was made.
pub const START: u64 = 1_700_000_000;
/// What gas usually costs, in wei.
pub const BASE_FEE: u128 = 1_000_000_000;
const DEPLOYER: Address = Address::repeat_byte(0xdd);
/// Who makes requests.
pub const REQUESTER: Address = Address::repeat_byte(0x0e);

/// A block with everything that nodes tell of it.
#[derive(Clone)]
pub struct Block {
    pub number: u64,
    pub hash: B256,
    pub parent: B256,
    pub time: u64,
    pub base_fee: u128,
    pub logs: Vec<Log>,
    receipts: HashMap<B256, Receipt>,
    /// How many changes of the state there were after it, a name of that state, and the nonces.
    changes: usize,
    state: u64,
    nonces: HashMap<Address, u64>,
    /// Its transactions.
    sent: Vec<Sending>,
}

impl Block {
    pub fn head(&self) -> Head {
        let Self { number, hash, parent, time, base_fee, .. } = *self;
        Head { number, hash, parent, time, base_fee }
    }
}

/// A transaction.
#[derive(Clone)]
pub struct Sending {
    pub hash: B256,
    pub from: Address,
    pub to: Option<Address>,
    pub nonce: u64,
    pub data: Bytes,
    value: U256,
    gas: u64,
    max_fee: u128,
    tip: u128,
    /// Whether it was signed, or made by the simulation itself.
    signed: bool,
    /// The time of the first block that may have it.
    pub not_before: u64,
}

thread_local! {
    /// The chain of the run on this thread. An EVM can't be sent to another one, but those who ask must be.
    static CHAIN: RefCell<Option<Chain>> = const { RefCell::new(None) };
}

/// Makes a chain that of this thread.
pub fn set(chain: Chain) {
    CHAIN.set(Some(chain));
}

/// Works on this thread's chain.
pub fn with<T>(f: impl FnOnce(&mut Chain) -> T) -> T {
    CHAIN.with_borrow_mut(|chain| f(chain.as_mut().expect("a chain")))
}

pub struct Chain {
    evm: Evm,
    pub blocks: Vec<Block>,
    pub pool: BTreeMap<(Address, u64), Sending>,
    /// Known transactions, mined or not, and the blocks of those that are.
    known: HashMap<B256, Sending>,
    mined: HashMap<B256, u64>,
    /// What was asked of a state, since most of it is asked again and again.
    views: HashMap<(u64, Vec<u8>), Bytes>,
    pub registry: Address,
    pub service: Address,
    pub terms: Terms,
    pub base_fee: u128,
    /// Makes the hashes of blocks differ.
    salt: u64,
    /// Who sent what they couldn't pay for.
    pub broke: Vec<Address>,
    reorganized: bool,
}

impl Chain {
    /// A chain with a service on which models are registered.
    pub fn new(models: &[&game::Model], terms: Terms) -> Self {
        let (state, registry, service) = deployed(models, &terms);
        let mut evm = Evm::new();
        evm.restore(&state);
        evm.set_time(START);
        evm.note_changes();
        let mut new = Self {
            evm,
            blocks: Vec::new(),
            pool: BTreeMap::new(),
            known: HashMap::new(),
            mined: HashMap::new(),
            views: HashMap::new(),
            registry,
            service,
            terms,
            base_fee: BASE_FEE,
            salt: 0,
            broke: Vec::new(),
            reorganized: false,
        };
        new.mine(START, |_| true);
        new
    }

    /// Gives an account money, before anything else happens.
    pub fn fund(&mut self, account: Address, wei: U256) {
        self.evm.fund(account, wei);
        let changes = self.evm.changes();
        self.blocks.iter_mut().for_each(|block| block.changes = changes);
    }

    pub fn head(&self) -> &Block {
        self.blocks.last().expect("a block")
    }

    pub fn block(&self, number: u64) -> Option<&Block> {
        self.blocks.get(usize::try_from(number).ok()?)
    }

    /// Adds a block with the transactions that are ready and chosen.
    pub fn mine(&mut self, time: u64, chosen: impl Fn(&Sending) -> bool) {
        let (number, parent) =
            (self.blocks.len() as u64, self.blocks.last().map_or(B256::ZERO, |last| last.hash));
        let mut nonces = self.blocks.last().map(|last| last.nonces.clone()).unwrap_or_default();
        self.salt += 1;
        let hash = [&number.to_be_bytes()[..], &self.salt.to_be_bytes(), &parent.0].concat();
        let hash = B256::new(step::keccak(&hash).0);
        self.evm.set_time(time);
        let (mut logs, mut receipts, mut sent) = (Vec::new(), HashMap::new(), Vec::new());
        loop {
            let ready = self.pool.values().find(|sending| {
                let nonce = nonces.get(&sending.from).copied().unwrap_or_default();
                let pays = !sending.signed || sending.max_fee >= self.base_fee;
                let due = sending.nonce == nonce && sending.not_before <= time;
                due && pays && chosen(sending) && self.affords(sending)
            });
            let Some(sending) = ready.cloned() else { break };
            self.pool.remove(&(sending.from, sending.nonce));
            *nonces.entry(sending.from).or_default() += 1;
            let receipt = self.execute(&sending, number, hash, time, &mut logs);
            receipts.insert(sending.hash, receipt);
            self.mined.insert(sending.hash, number);
            sent.push(sending);
        }
        let (base_fee, changes) = (self.base_fee, self.evm.changes());
        // A state is named by the first block that has it.
        let last = self.blocks.last().filter(|_| sent.is_empty());
        let state = last.map_or(self.salt, |last| last.state);
        let block =
            Block { number, hash, parent, time, base_fee, logs, receipts, changes, state, nonces, sent };
        self.blocks.push(block);
        // Those that can never be mined any more.
        let nonces = &self.blocks[self.blocks.len() - 1].nonces;
        self.pool.retain(|(from, nonce), _| *nonce >= nonces.get(from).copied().unwrap_or_default());
    }

    fn affords(&self, sending: &Sending) -> bool {
        let cost = sending.value + U256::from(sending.gas) * U256::from(sending.max_fee);
        !sending.signed || self.evm.balance(sending.from) >= cost
    }

    fn execute(
        &mut self,
        sending: &Sending,
        number: u64,
        hash: B256,
        time: u64,
        logs: &mut Vec<Log>,
    ) -> Receipt {
        let kind = sending.to.map_or(alloy::primitives::TxKind::Create, alloy::primitives::TxKind::Call);
        let (from, data, wei) = (sending.from, sending.data.to_vec(), sending.value);
        let (success, gas, found) = match self.evm.send_within(sending.gas, from, kind, data, wei) {
            Ok(receipt) => match receipt.outcome {
                Outcome::Success { logs, .. } => (true, receipt.gas, logs),
                Outcome::Revert(_) => (false, receipt.gas, Vec::new()),
                Outcome::Halt(_) => (false, sending.gas, Vec::new()),
            },
            Err(error) => panic!("a transaction of the pool can be executed: {error}"),
        };
        if std::env::var_os("OPML_TRACE").is_some() {
            let (what, second) = (contracts::function_name(&sending.data), time - START);
            println!("{second} s, block {number}: {what} by {}, success: {success}, {gas} gas", sending.from);
        }
        let price = if sending.signed { sending.max_fee.min(self.base_fee + sending.tip) } else { 0 };
        let cost = U256::from(gas) * U256::from(price);
        self.evm.charge(sending.from, cost);
        let made = found.into_iter().enumerate().map(|(index, inner)| Log {
            inner,
            block_hash: Some(hash),
            block_number: Some(number),
            block_timestamp: Some(time),
            transaction_hash: Some(sending.hash),
            transaction_index: Some(0),
            log_index: Some((logs.len() + index) as u64),
            removed: false,
        });
        let made: Vec<Log> = made.collect();
        logs.extend(made.clone());
        Receipt { sent: Sent { block: number, success, gas, cost }, created: None, logs: made }
    }

    /// Replaces the last blocks by as many others and one more. Their transactions go back to the pool; `keeps` says
    /// which of them.
    pub fn reorganize(&mut self, depth: usize, time: u64, keeps: impl Fn(&Sending) -> bool) {
        self.reorganized = true;
        let depth = depth.min(self.blocks.len() - 1);
        let gone = self.blocks.split_off(self.blocks.len() - depth);
        self.evm.undo(self.head().changes);
        for hash in gone.iter().flat_map(|block| block.receipts.keys()) {
            self.mined.remove(hash);
        }
        let times: Vec<u64> = gone.iter().map(|block| block.time).collect();
        for sending in gone.into_iter().flat_map(|block| block.sent).filter(keeps) {
            self.pool.insert((sending.from, sending.nonce), sending);
        }
        for time in times {
            self.mine(time, |_| false);
        }
        self.mine(time, |_| true);
    }

    /// Takes a signed transaction, or says why not, as nodes do.
    pub fn take(&mut self, raw: &[u8]) -> Result<Sending, &'static str> {
        let envelope = TxEnvelope::decode_2718(&mut &raw[..]).map_err(|_| "it can't be decoded")?;
        let hash = *envelope.tx_hash();
        if let Some(known) = self.known.get(&hash)
            && (self.pool.contains_key(&(known.from, known.nonce)) || self.receipt(hash).is_some())
        {
            return Err("already known");
        }
        let sending = Sending {
            hash,
            from: envelope.recover_signer().map_err(|_| "invalid signature")?,
            to: envelope.to(),
            nonce: envelope.nonce(),
            data: envelope.input().clone(),
            value: envelope.value(),
            gas: envelope.gas_limit(),
            max_fee: envelope.max_fee_per_gas(),
            tip: envelope.max_priority_fee_per_gas().unwrap_or_default(),
            signed: true,
            not_before: 0,
        };
        let zeros = sending.data.iter().filter(|&&byte| byte == 0).count() as u64;
        let tokens = zeros + 4 * (sending.data.len() as u64 - zeros);
        if sending.gas < 21_000 + 10 * tokens {
            return Err("intrinsic gas too low");
        }
        if sending.nonce < self.nonce(sending.from) {
            return Err("nonce too low");
        }
        if !self.affords(&sending) {
            // What a reorganization undoes may have paid for it.
            self.broke.extend((!self.reorganized).then_some(sending.from));
            return Err("insufficient funds for gas * price + value");
        }
        if let Some(old) = self.pool.get(&(sending.from, sending.nonce))
            && (sending.max_fee < old.max_fee + old.max_fee / 10 || sending.tip < old.tip + old.tip / 10)
        {
            return Err("replacement transaction underpriced");
        }
        self.known.insert(hash, sending.clone());
        self.pool.insert((sending.from, sending.nonce), sending.clone());
        Ok(sending)
    }

    pub fn knows(&self, hash: B256) -> bool {
        self.receipt(hash).is_some() || self.pool.values().any(|sending| sending.hash == hash)
    }

    pub fn receipt(&self, hash: B256) -> Option<&Receipt> {
        self.block(*self.mined.get(&hash)?)?.receipts.get(&hash)
    }

    /// What an account has paid for gas.
    pub fn spent(&self, account: Address) -> U256 {
        let sent = self.blocks.iter().flat_map(|block| block.sent.iter().map(move |sent| (block, sent)));
        let own = sent.filter(|(_, sent)| sent.from == account);
        own.map(|(block, sent)| block.receipts[&sent.hash].sent.cost).fold(U256::ZERO, |sum, cost| sum + cost)
    }

    pub fn nonce(&self, account: Address) -> u64 {
        self.head().nonces.get(&account).copied().unwrap_or_default()
    }

    pub fn balance(&self, account: Address) -> U256 {
        self.evm.balance(account)
    }

    /// Calls a view function as of a block. None of the contracts' depends on the time.
    pub fn view(&mut self, block: u64, to: Address, data: &[u8]) -> Result<Bytes, ChainError> {
        /// More than players ask between two changes.
        const MOST: usize = 1000;
        let Block { changes, state, .. } = self.blocks[block as usize];
        let key = (state, [&to[..], data].concat());
        if let Some(found) = self.views.get(&key) {
            return Ok(found.clone());
        }
        let undone = (changes < self.evm.changes()).then(|| self.evm.undo(changes));
        let found = self.evm.view(to, data.to_vec());
        undone.into_iter().for_each(|undone| self.evm.redo(undone));
        let found = found?;
        if self.views.len() >= MOST {
            self.views.clear();
        }
        self.views.insert(key, found.clone());
        Ok(found)
    }

    pub fn estimate(
        &mut self,
        from: Address,
        to: Option<Address>,
        data: &[u8],
        value: U256,
    ) -> Result<(Outcome, u64), ChainError> {
        let kind = to.map_or(alloy::primitives::TxKind::Create, alloy::primitives::TxKind::Call);
        self.evm.estimate(from, kind, data.to_vec(), value)
    }

    /// Calls the service, without a node between.
    pub fn ask<C: SolCall>(&mut self, call: &C) -> C::Return {
        self.evm.call(Address::ZERO, self.service, call).expect("an answer")
    }

    /// Whether no answer is pending, and nothing has been sent for so many blocks.
    pub fn is_settled(&mut self, quiet: usize) -> bool {
        let mut last = self.blocks.iter().rev().take(quiet);
        if !self.pool.is_empty() || last.any(|block| !block.sent.is_empty()) {
            return false;
        }
        let count = self.ask(&IInferenceService::requestCountCall {}).to::<u64>();
        let ids = (1..=count).map(U256::from).collect();
        let statuses = self.ask(&IInferenceService::statusOfCall { ids });
        statuses.iter().all(|status| status.answer.standing != Standing::Pending)
    }

    /// Puts a call by somebody who has no key into the pool.
    pub fn order(&mut self, from: Address, data: Vec<u8>, value: U256) {
        let waiting = self.pool.keys().filter(|(account, _)| *account == from).count() as u64;
        let nonce = self.nonce(from) + waiting;
        self.salt += 1;
        let hash = B256::new(step::keccak(&[&data[..], &self.salt.to_be_bytes()].concat()).0);
        let (to, data, signed) = (Some(self.service), data.into(), false);
        let (gas, max_fee, tip, not_before) = (1 << 24, 0, 0, 0);
        let sending = Sending { hash, from, to, nonce, data, value, gas, max_fee, tip, signed, not_before };
        self.known.insert(hash, sending.clone());
        self.pool.insert((from, nonce), sending);
    }

    /// Has somebody request an inference.
    pub fn request(&mut self, model: B256, inputs: &[Bytes], fee: u64) {
        let given = |data: &Bytes| contracts::Input { source: contracts::Source::Bytes, data: data.clone() };
        let order = Order {
            model,
            repetitions: 0,
            byRoot: 0,
            callback: Address::ZERO,
            callbackGas: 0,
            callbackData: Bytes::new(),
        };
        let call = IInferenceService::requestCall { order, inputs: inputs.iter().map(given).collect() };
        self.order(REQUESTER, call.abi_encode(), U256::from(fee));
    }
}

/// The state of a chain with a service on which models are registered, and where the registry and the service are.
/// Deploying them takes long, and it is always the same.
fn deployed(models: &[&game::Model], terms: &Terms) -> (State, Address, Address) {
    type Deployed = (State, Address, Address);
    static KNOWN: Mutex<Vec<(Vec<u8>, Deployed)>> = Mutex::new(Vec::new());
    let key =
        models.iter().flat_map(|model| contracts::model_id(model).0).chain(terms.abi_encode()).collect();
    let mut known = KNOWN.lock().expect("a lock");
    if let Some((_, deployed)) = known.iter().find(|(found, _)| *found == key) {
        return deployed.clone();
    }
    let mut evm = Evm::new();
    evm.set_time(START);
    for account in [DEPLOYER, REQUESTER] {
        evm.fund(account, U256::from(10).pow(U256::from(24)));
    }
    let extensions = models[0].profile.extensions();
    let code = solidity::bytecode(extensions);
    let hash = B256::new(step::keccak(&code).0);
    let (registry, _) =
        evm.deploy(DEPLOYER, contracts::model_registry(&[(extensions, hash)])).expect("a registry");
    let call = IModelRegistry::deployVerifierCall {
        extensions: u32::from(extensions.bits()),
        creationCode: code.into(),
    };
    evm.transact(DEPLOYER, registry, &call).expect("a verifier");
    for model in models {
        let call = IModelRegistry::registerCall { model: contracts::model(model) };
        evm.transact(DEPLOYER, registry, &call).expect("a model");
    }
    let code = contracts::inference_service(registry, terms);
    let (service, _) = evm.deploy(DEPLOYER, code).expect("a service");
    let deployed = (evm.state(), registry, service);
    known.push((key, deployed.clone()));
    deployed
}
