//! A chain of one node in this process: accounts, any contracts, a clock, and transactions one at a time.

use crate::{GAS_LIMIT, SPEC};
use alloy_sol_types::{SolCall, SolError, SolEvent};
use isa::Extensions;
use revm::context::TxEnv;
use revm::context::result::{ExecutionResult, Output, ResultGas};
use revm::database::{AccountState, CacheDB, EmptyDB};
use revm::handler::MainnetContext;
use revm::primitives::{Address, Bytes, Log, TxKind, U256};
use revm::state::AccountInfo;
use revm::{Context, ExecuteCommitEvm, ExecuteEvm, MainBuilder, MainContext, MainnetEvm};
use thiserror::Error;

/// A chain with rules as of Osaka, on which gas costs nothing.
pub struct Chain {
    evm: MainnetEvm<MainnetContext<CacheDB<EmptyDB>>>,
    /// What every change replaced, if that is noted.
    replaced: Option<Vec<Replaced>>,
}

/// The state of all accounts.
#[derive(Debug, Clone)]
pub struct State(CacheDB<EmptyDB>);

/// An account before a change: what it was, and the slots of its storage that have changed.
#[derive(Debug, Clone)]
struct Replaced {
    address: Address,
    account: Option<(AccountInfo, AccountState)>,
    slots: Vec<(U256, U256)>,
}

/// Changes that were undone, to make them again.
#[derive(Debug)]
pub struct Undone(Vec<Replaced>);

/// The outcome and the cost of a transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// Whether it was executed, and its result.
    pub outcome: Outcome,
    /// Gas of the whole transaction, the floor of EIP-7623 included.
    pub gas: u64,
    /// The floor that EIP-7623 puts under the transaction.
    pub floor: u64,
    /// Bytes of calldata.
    pub calldata: usize,
    /// The number of these bytes that are zero.
    pub zeros: usize,
    /// Gas of everything but the base and the calldata, less refunds.
    pub execution: u64,
    /// Storage slots that were zero before and aren't now.
    pub new_slots: u64,
    /// Other storage slots that have changed.
    pub changed_slots: u64,
}

/// How a transaction ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It was executed.
    Success {
        /// What it returned; the deployed code, if it deployed a contract.
        output: Bytes,
        /// The contract that it deployed.
        created: Option<Address>,
        /// The events.
        logs: Vec<Log>,
    },
    /// It had no effect: the contract reverted with these bytes.
    Revert(Bytes),
    /// It had no effect: the EVM halted for this reason.
    Halt(String),
}

/// Why a transaction did not have the expected outcome.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ChainError {
    /// The node refused the transaction.
    #[error("the transaction was refused: {reason}")]
    Refused {
        /// The node's reason.
        reason: String,
    },
    /// The contract reverted.
    #[error("the contract reverted with {data}")]
    Reverted {
        /// The bytes of the error.
        data: Bytes,
    },
    /// The EVM halted.
    #[error("the EVM halted: {reason}")]
    Halted {
        /// Its reason.
        reason: String,
    },
    /// The answer does not have the type of the call's result.
    #[error("the answer cannot be decoded: {reason}")]
    Answer {
        /// The decoder's reason.
        reason: String,
    },
}

impl ChainError {
    /// Whether the contract reverted with this error.
    #[must_use]
    pub fn is<E: SolError>(&self) -> bool {
        matches!(self, Self::Reverted { data } if data.starts_with(&E::SELECTOR))
    }
}

impl Default for Chain {
    fn default() -> Self {
        Self::new()
    }
}

impl Chain {
    /// An empty chain.
    #[must_use]
    pub fn new() -> Self {
        let evm = Context::mainnet()
            .with_db(CacheDB::<EmptyDB>::default())
            .modify_cfg_chained(|cfg| {
                cfg.set_spec_and_mainnet_gas_params(SPEC);
                cfg.disable_nonce_check = true;
            })
            .build_mainnet();
        let mut chain = Self { evm, replaced: None };
        chain.set_time(1);
        chain
    }

    /// The state of all accounts, to go back to it.
    #[must_use]
    pub fn state(&self) -> State {
        State(self.evm.ctx.journaled_state.database.clone())
    }

    /// Goes back to a state, or on to one.
    pub fn restore(&mut self, state: &State) {
        self.evm.ctx.journaled_state.database = state.0.clone();
    }

    /// Notes all changes from now on, so that they can be undone. No contract may be deployed then.
    pub fn note_changes(&mut self) {
        self.replaced = Some(Vec::new());
    }

    /// How many changes were noted.
    #[must_use]
    pub fn changes(&self) -> usize {
        self.replaced.as_ref().map_or(0, Vec::len)
    }

    /// Undoes all changes but the first ones.
    pub fn undo(&mut self, changes: usize) -> Undone {
        let mut replaced = self.replaced.take().unwrap_or_default();
        let undone = replaced.split_off(changes.min(replaced.len()));
        self.replaced = Some(replaced);
        Undone(undone.into_iter().rev().map(|replaced| self.replace(replaced)).collect())
    }

    /// Makes changes again that were undone last.
    pub fn redo(&mut self, undone: Undone) {
        for replaced in undone.0.into_iter().rev() {
            let replaced = self.replace(replaced);
            self.replaced.get_or_insert_default().push(replaced);
        }
    }

    /// Puts back what was replaced; returns what that replaces.
    fn replace(&mut self, before: Replaced) -> Replaced {
        let Replaced { address, account, slots } = before;
        let now = self.noted(address, slots.iter().map(|(slot, _)| *slot));
        let accounts = &mut self.evm.ctx.journaled_state.database.cache.accounts;
        match account {
            None => drop(accounts.remove(&address)),
            Some((info, state)) => {
                let account = accounts.entry(address).or_default();
                (account.info, account.account_state) = (info, state);
                account.storage.extend(slots);
            }
        }
        now
    }

    /// An account and some of its slots as they are now.
    fn noted(&self, address: Address, slots: impl Iterator<Item = U256>) -> Replaced {
        let account = self.evm.ctx.journaled_state.database.cache.accounts.get(&address);
        let slot = |slot| account.and_then(|account| account.storage.get(&slot)).copied().unwrap_or_default();
        let slots = slots.map(|number| (number, slot(number))).collect();
        let account = account.map(|account| (account.info.clone(), account.account_state.clone()));
        Replaced { address, account, slots }
    }

    /// Notes an account before it changes.
    fn note(&mut self, address: Address, slots: impl Iterator<Item = U256>) {
        if self.replaced.is_some() {
            let noted = self.noted(address, slots);
            self.replaced.get_or_insert_default().push(noted);
        }
    }

    /// Takes money from an account, as far as it has some, in wei.
    pub fn charge(&mut self, account: Address, wei: U256) {
        self.note(account, std::iter::empty());
        let accounts = &mut self.evm.ctx.journaled_state.database.cache.accounts;
        if let Some(account) = accounts.get_mut(&account) {
            account.info.balance = account.info.balance.saturating_sub(wei);
        }
    }

    /// Sets an account's balance, in wei.
    pub fn fund(&mut self, account: Address, wei: U256) {
        self.note(account, std::iter::empty());
        self.evm.ctx.journaled_state.database.insert_account_info(account, AccountInfo::from_balance(wei));
    }

    /// An account's balance, in wei.
    #[must_use]
    pub fn balance(&self, account: Address) -> U256 {
        let accounts = &self.evm.ctx.journaled_state.database.cache.accounts;
        accounts.get(&account).map_or(U256::ZERO, |account| account.info.balance)
    }

    /// The timestamp of the next transaction's block, in seconds.
    pub fn set_time(&mut self, seconds: u64) {
        self.evm.ctx.block.timestamp = U256::from(seconds);
    }

    /// Deploys a contract from its creation code with the constructor's arguments.
    pub fn deploy(&mut self, from: Address, code: Vec<u8>) -> Result<(Address, Receipt), ChainError> {
        let receipt = self.send(from, TxKind::Create, code, U256::ZERO)?;
        match &receipt.outcome {
            Outcome::Success { created: Some(address), .. } => Ok((*address, receipt)),
            other => Err(failure(other)),
        }
    }

    /// Deploys the precompiled verifier of machines with these extensions.
    pub fn deploy_verifier(
        &mut self,
        from: Address,
        extensions: Extensions,
    ) -> Result<(Address, Receipt), ChainError> {
        self.deploy(from, solidity::bytecode(extensions))
    }

    /// Sends a call in a transaction; a revert is an error.
    pub fn transact<C: SolCall>(
        &mut self,
        from: Address,
        to: Address,
        call: &C,
    ) -> Result<(C::Return, Receipt), ChainError> {
        self.pay(from, to, call, U256::ZERO)
    }

    /// Sends a call and money with it; a revert is an error.
    pub fn pay<C: SolCall>(
        &mut self,
        from: Address,
        to: Address,
        call: &C,
        wei: U256,
    ) -> Result<(C::Return, Receipt), ChainError> {
        let receipt = self.send(from, TxKind::Call(to), call.abi_encode(), wei)?;
        Ok((answer::<C>(&receipt.outcome)?, receipt))
    }

    /// Calls a contract without changing anything.
    pub fn call<C: SolCall>(
        &mut self,
        from: Address,
        to: Address,
        call: &C,
    ) -> Result<C::Return, ChainError> {
        let transaction = transaction(from, TxKind::Call(to), call.abi_encode(), U256::ZERO, GAS_LIMIT)?;
        let result = self.evm.transact(transaction).map_err(|error| refused(error.to_string()))?.result;
        answer::<C>(&outcome(result).0)
    }

    /// Sends any calldata to a contract. A revert gives a receipt too.
    pub fn send_to(&mut self, from: Address, to: Address, data: Vec<u8>) -> Result<Receipt, ChainError> {
        self.send(from, TxKind::Call(to), data, U256::ZERO)
    }

    /// The same with money.
    pub fn pay_to(
        &mut self,
        from: Address,
        to: Address,
        data: Vec<u8>,
        wei: U256,
    ) -> Result<Receipt, ChainError> {
        self.send(from, TxKind::Call(to), data, wei)
    }

    /// Runs calldata on a contract without changing anything, and returns what it returns.
    pub fn view(&mut self, to: Address, data: Vec<u8>) -> Result<Bytes, ChainError> {
        let transaction = transaction(Address::ZERO, TxKind::Call(to), data, U256::ZERO, GAS_LIMIT)?;
        let result = self.evm.transact(transaction).map_err(|error| refused(error.to_string()))?.result;
        match outcome(result).0 {
            Outcome::Success { output, .. } => Ok(output),
            other => Err(failure(&other)),
        }
    }

    /// What a transaction would come to and the gas that it would use. Nothing changes.
    pub fn estimate(
        &mut self,
        from: Address,
        kind: TxKind,
        data: Vec<u8>,
        wei: U256,
    ) -> Result<(Outcome, u64), ChainError> {
        let transaction = transaction(from, kind, data, wei, GAS_LIMIT)?;
        let result = self.evm.transact(transaction).map_err(|error| refused(error.to_string()))?.result;
        let (outcome, gas) = outcome(result);
        // Refunds come at the end, and the floor is paid in any case.
        Ok((outcome, gas.total_gas_spent().max(gas.floor_gas())))
    }

    /// Sends any transaction. A revert gives a receipt too.
    pub fn send(
        &mut self,
        from: Address,
        kind: TxKind,
        data: Vec<u8>,
        wei: U256,
    ) -> Result<Receipt, ChainError> {
        self.send_within(GAS_LIMIT, from, kind, data, wei)
    }

    /// Sends any transaction that may use so much gas.
    pub fn send_within(
        &mut self,
        gas_limit: u64,
        from: Address,
        kind: TxKind,
        data: Vec<u8>,
        wei: U256,
    ) -> Result<Receipt, ChainError> {
        let (calldata, zeros) = (data.len(), crate::zeros(&data));
        let intrinsic = crate::intrinsic(&data);
        let transaction = transaction(from, kind, data, wei, gas_limit)?;
        let executed = self.evm.transact(transaction).map_err(|error| refused(error.to_string()))?;
        let slots = executed.state.values().flat_map(|account| account.storage.values());
        let changes = slots.filter(|slot| slot.is_changed());
        let (new, changed): (Vec<_>, Vec<_>) = changes.partition(|slot| slot.original_value.is_zero());
        let (new_slots, changed_slots) = (new.len() as u64, changed.len() as u64);
        for (address, account) in executed.state.iter().filter(|(_, account)| account.is_touched()) {
            let slots = account.storage.iter().filter(|(_, slot)| slot.is_changed());
            self.note(*address, slots.map(|(number, _)| *number));
        }
        self.evm.commit(executed.state);
        let (outcome, gas) = outcome(executed.result);
        let spent = gas.total_gas_spent().saturating_sub(gas.inner_refunded());
        let (execution, floor) = (spent.saturating_sub(intrinsic), gas.floor_gas());
        let gas = gas.tx_gas_used();
        Ok(Receipt { outcome, gas, floor, calldata, zeros, execution, new_slots, changed_slots })
    }
}

impl Receipt {
    /// The first event of this type.
    #[must_use]
    pub fn event<E: SolEvent>(&self) -> Option<E> {
        let Outcome::Success { logs, .. } = &self.outcome else { return None };
        logs.iter().find_map(|log| E::decode_log(log).ok()).map(|log| log.data)
    }
}

fn transaction(from: Address, kind: TxKind, data: Vec<u8>, wei: U256, gas: u64) -> Result<TxEnv, ChainError> {
    let builder = TxEnv::builder().caller(from).gas_limit(gas).kind(kind).data(data.into()).value(wei);
    builder.build().map_err(|error| refused(format!("{error:?}")))
}

fn refused(reason: String) -> ChainError {
    ChainError::Refused { reason }
}

fn outcome(result: ExecutionResult) -> (Outcome, ResultGas) {
    let gas = *result.gas();
    let outcome = match result {
        ExecutionResult::Success { output, logs, .. } => {
            let created = if let Output::Create(_, created) = output { created } else { None };
            Outcome::Success { output: output.into_data(), created, logs }
        }
        ExecutionResult::Revert { output, .. } => Outcome::Revert(output),
        ExecutionResult::Halt { reason, .. } => Outcome::Halt(format!("{reason:?}")),
    };
    (outcome, gas)
}

fn answer<C: SolCall>(outcome: &Outcome) -> Result<C::Return, ChainError> {
    let Outcome::Success { output, .. } = outcome else { return Err(failure(outcome)) };
    C::abi_decode_returns(output).map_err(|error| ChainError::Answer { reason: error.to_string() })
}

fn failure(outcome: &Outcome) -> ChainError {
    match outcome {
        Outcome::Revert(data) => ChainError::Reverted { data: data.clone() },
        Outcome::Halt(reason) => ChainError::Halted { reason: reason.clone() },
        Outcome::Success { .. } => ChainError::Answer { reason: "no contract was deployed".to_owned() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_undone_and_made_again() {
        let mut chain = Chain::new();
        let [rich, poor] = [1, 2].map(Address::with_last_byte);
        chain.fund(rich, U256::from(100));
        // It stores the first word of its calldata in slot 0, and returns what was there:
        // SLOAD(0), CALLDATALOAD(0), SSTORE(0), MSTORE(0), RETURN(0, 32).
        let runtime = [0x5f, 0x54, 0x5f, 0x35, 0x5f, 0x55, 0x5f, 0x52, 0x60, 0x20, 0x5f, 0xf3];
        // PUSH12 runtime, MSTORE(0), RETURN(20, 12).
        let code = [&[0x6b][..], &runtime, &[0x5f, 0x52, 0x60, 0x0c, 0x60, 0x14, 0xf3]].concat();
        let (cell, _) = chain.deploy(rich, code).expect("a contract");
        let stored = |chain: &mut Chain| {
            let bytes = chain.view(cell, vec![0; 32]).expect("a word");
            U256::from_be_slice(&bytes)
        };
        chain.note_changes();
        let mut seen = vec![(0, U256::ZERO, U256::ZERO)];
        for word in [7u8, 9] {
            let data = [&[0; 31][..], &[word]].concat();
            chain.send(rich, TxKind::Call(cell), data, U256::ZERO).expect("a receipt");
            chain.send(rich, TxKind::Call(poor), vec![], U256::from(word)).expect("a receipt");
            chain.charge(poor, U256::ONE);
            seen.push((chain.changes(), stored(&mut chain), chain.balance(poor)));
        }
        assert_eq!(seen[2].1, U256::from(9));
        assert_eq!(seen[2].2, U256::from(14));
        let now = seen[2].0;
        for &(changes, word, balance) in &seen {
            let undone = chain.undo(changes);
            assert_eq!((chain.changes(), stored(&mut chain), chain.balance(poor)), (changes, word, balance));
            chain.redo(undone);
            assert_eq!((chain.changes(), stored(&mut chain)), (now, seen[2].1));
        }
    }
}
