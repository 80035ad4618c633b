//! An EVM in this process, with a one-step verifier deployed on it.
//!
//! [`Verifier::step`] sends a witness to the contract in a transaction, and returns the result and its cost.
//! [`chain`] hosts any contracts.

pub mod chain;

use revm::context::TxEnv;
use revm::context::result::{ExecutionResult, Output};
use revm::database::{CacheDB, EmptyDB};
use revm::handler::MainnetContext;
use revm::primitives::hardfork::SpecId;
use revm::primitives::{Address, Bytes, TxKind};
use revm::{Context, ExecuteCommitEvm, ExecuteEvm, MainBuilder, MainContext, MainnetEvm};
use step::{MachineProfile, Root, keccak};
use thiserror::Error;

/// The maximum gas of a transaction (EIP-7825).
const GAS_LIMIT: u64 = 1 << 24;
/// The sender of the transactions.
const SENDER: Address = Address::repeat_byte(0x11);
/// The rules: Osaka, including EIP-7623's floor for the price of calldata.
const SPEC: SpecId = SpecId::OSAKA;

/// A contract's answer to [`Verifier::step`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// The post-state root.
    Root(Root),
    /// The witness is malformed.
    Malformed(Revert),
}

/// A typed error of the contract.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revert {
    /// The error's name; empty if the contract declares no such error.
    pub name: String,
    /// Its arguments, 32 bytes each, or all the data if it has no name.
    pub arguments: Vec<u8>,
}

/// The cost of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cost {
    /// Gas of the contract's own work: the transaction's, less what every transaction with this calldata
    /// pays.
    pub execution: u64,
    /// Gas of the whole transaction, the floor of EIP-7623 included.
    pub transaction: u64,
    /// The floor that EIP-7623 puts under the transaction.
    pub floor: u64,
    /// Bytes of calldata.
    pub calldata: usize,
    /// The number of these bytes that are zero, and cheaper.
    pub zeros: usize,
}

/// Why a contract returned no result.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum EvmError {
    /// The contract could not be deployed.
    #[error("the contract can't be deployed: {reason}")]
    Deploy {
        /// The EVM's reason.
        reason: String,
    },
    /// The call failed without a revert.
    #[error("the call failed: {reason}")]
    Call {
        /// The EVM's reason.
        reason: String,
    },
}

/// A deployed verifier.
pub struct Verifier {
    evm: MainnetEvm<MainnetContext<CacheDB<EmptyDB>>>,
    address: Address,
    machine: [u8; 32],
    deployment: u64,
    code_size: usize,
}

impl Verifier {
    /// Deploys the precompiled verifier of a machine.
    pub fn new(profile: &MachineProfile) -> Result<Self, EvmError> {
        Self::deploy(&solidity::bytecode(profile.extensions()), profile.word())
    }

    /// Deploys a verifier from its creation code. Its calls will name this machine, as a word.
    pub fn deploy(creation_code: &[u8], machine: [u8; 32]) -> Result<Self, EvmError> {
        let mut evm = Context::mainnet()
            .with_db(CacheDB::<EmptyDB>::default())
            .modify_cfg_chained(|cfg| {
                cfg.set_spec_and_mainnet_gas_params(SPEC);
                cfg.disable_nonce_check = true;
            })
            .build_mainnet();
        let fail = |reason: String| EvmError::Deploy { reason };
        let result = evm
            .transact_commit(transaction(TxKind::Create, creation_code.to_vec()).map_err(fail)?)
            .map_err(|error| fail(error.to_string()))?;
        match result {
            ExecutionResult::Success { output: Output::Create(code, Some(address)), ref gas, .. } => {
                let (deployment, code_size) = (gas.tx_gas_used(), code.len());
                Ok(Self { evm, address, machine, deployment, code_size })
            }
            other => Err(fail(format!("{other:?}"))),
        }
    }

    /// Bytes of the deployed code.
    #[must_use]
    pub fn code_size(&self) -> usize {
        self.code_size
    }

    /// Gas of the deployment.
    #[must_use]
    pub fn deployment(&self) -> u64 {
        self.deployment
    }

    /// Sends a witness to the contract.
    pub fn step(&mut self, before: Root, witness: &[u8]) -> Result<(Answer, Cost), EvmError> {
        let fail = |reason: String| EvmError::Call { reason };
        let calldata = calldata(before, self.machine, witness);
        let call = transaction(TxKind::Call(self.address), calldata.clone()).map_err(fail)?;
        let result = self.evm.transact(call).map_err(|error| fail(error.to_string()))?.result;
        let cost = cost(&calldata, result.gas());
        match result {
            ExecutionResult::Success { output, .. } => {
                let root = <[u8; 32]>::try_from(output.data().as_ref());
                let root =
                    root.map_err(|_| fail(format!("{} bytes returned, not 32", output.data().len())))?;
                Ok((Answer::Root(Root(root)), cost))
            }
            ExecutionResult::Revert { output, .. } => Ok((Answer::Malformed(revert(&output)), cost)),
            halt @ ExecutionResult::Halt { .. } => Err(fail(format!("{halt:?}"))),
        }
    }
}

/// A number as an argument.
fn word(value: u64) -> [u8; 32] {
    let mut word = [0; 32];
    word[24..].copy_from_slice(&value.to_be_bytes());
    word
}

/// The call of `step`: selector, root, machine, offset and length of the witness, the witness.
#[must_use]
pub fn calldata(before: Root, machine: [u8; 32], witness: &[u8]) -> Vec<u8> {
    let mut data = selector("step(bytes32,uint256,bytes)").to_vec();
    data.extend(before.0);
    data.extend(machine);
    data.extend(word(96));
    data.extend(word(witness.len() as u64));
    data.extend(witness);
    data
}

/// The first four bytes of a signature's hash.
fn selector(signature: &str) -> [u8; 4] {
    let [a, b, c, d, ..] = keccak(signature.as_bytes()).0;
    [a, b, c, d]
}

/// The error with which a contract reverted.
fn revert(data: &[u8]) -> Revert {
    let (head, rest) = data.split_at(data.len().min(4));
    match solidity::errors().into_iter().find(|signature| selector(signature) == head) {
        Some(signature) => {
            let name = signature.split('(').next().unwrap_or_default().to_owned();
            Revert { name, arguments: rest.to_vec() }
        }
        None => Revert { name: String::new(), arguments: data.to_vec() },
    }
}

fn transaction(kind: TxKind, data: Vec<u8>) -> Result<TxEnv, String> {
    let builder = TxEnv::builder().caller(SENDER).gas_limit(GAS_LIMIT).kind(kind).data(Bytes::from(data));
    builder.build().map_err(|error| format!("{error:?}"))
}

/// The parts of a call's cost.
fn cost(calldata: &[u8], gas: &revm::context::result::ResultGas) -> Cost {
    Cost {
        execution: gas.total_gas_spent().saturating_sub(intrinsic(calldata)),
        transaction: gas.tx_gas_used(),
        floor: gas.floor_gas(),
        calldata: calldata.len(),
        zeros: zeros(calldata),
    }
}

/// The number of bytes that are zero.
fn zeros(calldata: &[u8]) -> usize {
    calldata.iter().filter(|&&byte| byte == 0).count()
}

/// What a transaction with this calldata pays before it executes anything.
fn intrinsic(calldata: &[u8]) -> u64 {
    let zeros = zeros(calldata);
    21_000 + 4 * zeros as u64 + 16 * (calldata.len() - zeros) as u64
}
