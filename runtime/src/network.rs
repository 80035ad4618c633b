//! What commands that use a chain have in common.

use crate::cli::{Key, Network, Wei};
use crate::failure::Failure;
use crate::output::read_file;
use chain::{
    Act, Deployment, Ether, Fees, Head, KeyError, KeySource, Log, Node, NodeError, Nodes, PrivateKeySigner,
    RpcNode, Sent, Store, Wallet, endpoint,
};
use contracts::{Address, B256, Bytes, IInferenceService, SolCall, Terms, U256};
use isa::Extensions;
use std::io::IsTerminal as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The timeout for a node's responses.
const TIMEOUT: Duration = Duration::from_secs(20);
/// How long to wait for a transaction.
const PATIENCE: Duration = Duration::from_secs(600);
/// The maximum size of a deployment file.
const LONGEST: u64 = 1 << 16;

/// Runs a future that uses the network.
pub fn block_on<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Runtime::new().map_err(Failure::from_error)?;
    let done = runtime.block_on(work);
    // Runs of models on other threads are not waited for: they may take minutes.
    runtime.shutdown_background();
    done
}

/// A node and the contracts on its chain.
pub struct Session {
    /// The contracts.
    pub deployment: Deployment,
    /// The node.
    pub node: Nodes,
}

impl Session {
    /// Connects, and checks that the deployment is on that chain.
    pub async fn open(network: &Network) -> Result<Self, Failure> {
        let (deployment, node) = nodes(network, TIMEOUT)?;
        node.head().await.map_err(|error| unreachable(network, &deployment, error))?;
        Ok(Self { deployment, node })
    }

    /// The last block.
    pub async fn head(&self) -> Result<Head, Failure> {
        self.node.head().await.map_err(Failure::from_error)
    }

    /// Queries the service.
    pub async fn service<C: SolCall>(&self, call: &C) -> Result<C::Return, Failure> {
        self.ask(self.deployment.service, call).await
    }

    /// Queries the registry.
    pub async fn registry<C: SolCall>(&self, call: &C) -> Result<C::Return, Failure> {
        self.ask(self.deployment.registry, call).await
    }

    async fn ask<C: SolCall>(&self, to: Address, call: &C) -> Result<C::Return, Failure> {
        let head = self.head().await?;
        self.node.call(to, call, head.hash).await.map_err(Failure::from_error)
    }

    /// The service's terms.
    pub async fn terms(&self) -> Result<Terms, Failure> {
        self.service(&IInferenceService::termsCall {}).await
    }
}

/// The deployment, and the nodes of its chain. Nothing is asked of them yet.
pub fn nodes(network: &Network, patience: Duration) -> Result<(Deployment, Nodes), Failure> {
    let deployment = deployment(network)?;
    let urls = urls(network, &deployment)?;
    let node = |url: &String| match RpcNode::new(url, patience) {
        Ok(node) => Ok(Arc::new(node) as Arc<dyn Node>),
        Err(error) => Err(Failure::new(format!("{}: {error}", endpoint(url)))),
    };
    let members = urls.iter().map(node).collect::<Result<_, _>>()?;
    let anchor = Some((deployment.block, deployment.block_hash));
    let nodes = Nodes::new(members, deployment.chain_id, anchor, patience);
    Ok((deployment, nodes))
}

/// The URLs of the nodes.
fn urls(network: &Network, deployment: &Deployment) -> Result<Vec<String>, Failure> {
    match &deployment.rpc {
        _ if !network.rpc.is_empty() => Ok(network.rpc.clone()),
        Some(rpc) => Ok(vec![rpc.clone()]),
        None => Err(Failure::about(&network.deployment, "it names no node")
            .hint("give --rpc URL, or set OPML_RPC; a URL with an access key is never written to the file")),
    }
}

/// Why no node could be asked.
pub fn unreachable(network: &Network, deployment: &Deployment, error: NodeError) -> Failure {
    let urls = urls(network, deployment).unwrap_or_default();
    let shown = urls.iter().map(|url| endpoint(url)).collect::<Vec<_>>().join(", ");
    match error {
        NodeError::OtherChain { .. } => Failure::about(
            &network.deployment,
            format!("the deployment is not on the chain of {shown}: {error}"),
        )
        .hint("a test chain that is started anew is another chain: deploy again, or give the other --deployment"),
        NodeError::Transport { .. } => Failure::new(format!("{shown}: {error}"))
            .hint("is the node running? `opml devnet` starts one"),
        error => Failure::new(format!("{shown}: {error}")),
    }
}

/// Reads the deployment.
pub fn deployment(network: &Network) -> Result<Deployment, Failure> {
    let path = &network.deployment;
    let hint = "`opml devnet` and `opml deploy` write such a file; --deployment FILE says where it is";
    let json = read_file(path, LONGEST).map_err(|failure| failure.hint(hint))?;
    Deployment::from_json(&json).map_err(|error| Failure::about(path, error).hint(hint))
}

/// Connects to a node.
pub async fn connect(rpc: &str) -> Result<Nodes, Failure> {
    Nodes::connect(rpc, TIMEOUT).await.map_err(|error| match error {
        NodeError::Transport { .. } => Failure::new(format!("{}: {error}", endpoint(rpc)))
            .hint("is the node running? `opml devnet` starts one"),
        error => Failure::new(format!("{}: {error}", endpoint(rpc))),
    })
}

/// Loads a key. Asks for the password of a keystore if it isn't given and there is a terminal.
pub fn signer(key: &Key) -> Result<PrivateKeySigner, Failure> {
    let source = KeySource { keystore: key.keystore.clone(), password_file: key.password_file.clone() };
    let loaded = match (source.load(), &key.keystore) {
        (Err(KeyError::Password), Some(path)) if can_ask() => {
            source.unlock(&ask_secret(&format!("Password of {}: ", path.display()))?)
        }
        (loaded, _) => loaded,
    };
    loaded.map_err(|error| {
        let missing = matches!(error, KeyError::Missing);
        let failure = Failure::from_error(error);
        let hint = "`opml account new -o FILE` makes a key; `opml devnet` prints those of its test chain";
        if missing { failure.hint(hint) } else { failure }
    })
}

/// Whether the user can be asked.
pub fn can_ask() -> bool {
    std::io::stdin().is_terminal() && std::io::stderr().is_terminal()
}

/// Asks for a secret and hides the input.
pub fn ask_secret(question: &str) -> Result<String, Failure> {
    let terminal = console::Term::stderr();
    let answer = terminal.write_str(question).and_then(|()| terminal.read_secure_line());
    answer.map_err(|error| Failure::io("read from", "the terminal", &error))
}

/// A key that sends transactions one by one and waits for each.
pub struct Sender {
    wallet: Wallet,
    node: Nodes,
}

/// A transaction that was mined and succeeded.
pub struct Receipt {
    /// Its cost and its block.
    pub sent: Sent,
    /// The contract that it deployed.
    pub created: Option<Address>,
    /// Its events.
    pub logs: Vec<Log>,
}

impl Sender {
    /// The wallet of the key.
    pub fn new(signer: PrivateKeySigner, node: &Nodes) -> Result<Self, Failure> {
        let store = Arc::new(Store::in_memory().map_err(Failure::from_error)?);
        let wallet =
            Wallet::open(signer, node.clone(), store, Fees::default()).map_err(Failure::from_error)?;
        Ok(Self { wallet, node: node.clone() })
    }

    /// The account.
    pub fn address(&self) -> Address {
        self.wallet.address()
    }

    /// Deploys a contract.
    pub async fn deploy(&mut self, what: &str, code: Vec<u8>) -> Result<Address, Failure> {
        let receipt = self.send(what, None, code, U256::ZERO).await?;
        receipt.created.ok_or_else(|| Failure::new(format!("{what}: the node says nothing of a contract")))
    }

    /// Calls a contract.
    pub async fn call<C: SolCall>(&mut self, to: Address, call: &C, value: Wei) -> Result<Receipt, Failure> {
        self.send(C::SIGNATURE, Some(to), call.abi_encode(), U256::from(value.0)).await
    }

    async fn send(
        &mut self,
        what: &str,
        to: Option<Address>,
        data: Vec<u8>,
        value: U256,
    ) -> Result<Receipt, Failure> {
        let about = what.to_owned();
        let act = Act {
            name: what.to_owned(),
            about,
            to,
            value,
            data: Bytes::from(data),
            deadline: None,
            stake: 0,
            gas: 0,
        };
        let head = self.node.head().await.map_err(Failure::from_error)?;
        self.wallet.submit(act, &head).await.map_err(Failure::from_error)?;
        let start = Instant::now();
        while start.elapsed() < PATIENCE {
            let head = self.node.head().await.map_err(Failure::from_error)?;
            let news = self.wallet.tend(&head).await.map_err(Failure::from_error)?;
            let Some(mined) = news.into_iter().find(|mined| mined.name == what) else {
                tokio::time::sleep(Duration::from_millis(200)).await;
                continue;
            };
            if !mined.sent.success {
                return Err(Failure::new(format!("{what}: transaction {} was reverted", mined.hash)));
            }
            let receipt = self.node.receipt(mined.hash).await.map_err(Failure::from_error)?;
            let missing = || Failure::new(format!("{what}: the node has no receipt of the transaction"));
            let chain::Receipt { created, logs, .. } = receipt.ok_or_else(missing)?;
            // The same action may be repeated.
            self.wallet = self.wallet.fresh().map_err(Failure::from_error)?;
            return Ok(Receipt { sent: mined.sent, created, logs });
        }
        Err(Failure::new(format!("{what}: not mined within {} s", PATIENCE.as_secs())))
    }
}

/// An amount for people: in ether, exact.
pub fn ether(wei: U256) -> String {
    format!("{} ETH", Ether(wei))
}

/// The verifiers that a registry is deployed with: for each set of extensions, the hash of the creation code.
pub fn verifiers() -> Vec<(Extensions, B256)> {
    let hash = |extensions| B256::new(step::keccak(&solidity::bytecode(extensions)).0);
    Extensions::ALL.iter().map(|&extensions| (extensions, hash(extensions))).collect()
}
