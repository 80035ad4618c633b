//! The wallet on a real node: lost, replaced and undone transactions, a rising base fee, and a crash.

use chain::{
    Act, Address, Bytes, Fees, GWEI, Head, Nodes, PrivateKeySigner, Store, U256, Wallet, WalletError,
};
use serde_json::{Value, json};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

/// An account that anvil funds.
const KEY: &str = "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80";
const SOMEBODY: Address = Address::repeat_byte(0x77);

/// A process that ends with the test.
struct Anvil(Child);

impl Drop for Anvil {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A chain that mines a block only on request.
struct Chain {
    _anvil: Anvil,
    node: Nodes,
}

impl Chain {
    async fn start() -> Self {
        let port =
            TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a port").port();
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../node_modules/.bin/anvil");
        let mut command = Command::new(path);
        command.args(["--no-mining", "--quiet", "--port", &port.to_string()]).stdout(Stdio::null());
        let anvil =
            Anvil(command.spawn().expect("anvil is not there: run `npm ci` in the repository's root"));
        let url = format!("http://127.0.0.1:{port}");
        for _ in 0..200 {
            if let Ok(node) = Nodes::connect(&url, Duration::from_secs(5)).await {
                return Self { _anvil: anvil, node };
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("anvil does not answer");
    }

    /// Mines blocks, a second apart.
    async fn mine(&self, blocks: u64) -> Head {
        self.ask("anvil_mine", json!([format!("{blocks:#x}"), "0x1"])).await;
        self.node.head().await.expect("a head")
    }

    async fn ask(&self, method: &'static str, params: Value) -> Value {
        self.node.raw(method, params).await.expect(method)
    }

    fn wallet(&self, store: &Arc<Store>) -> Wallet {
        self.wallet_with(store, Fees::default())
    }

    fn wallet_with(&self, store: &Arc<Store>, fees: Fees) -> Wallet {
        let key: PrivateKeySigner = KEY.parse().expect("a key");
        Wallet::open(key, self.node.clone(), Arc::clone(store), fees).expect("a wallet")
    }

    /// The amount that was sent to an account.
    async fn received(&self) -> u64 {
        self.node.balance(SOMEBODY).await.expect("a balance").to()
    }

    /// Makes the node forget all transactions that are not mined.
    async fn drop_all(&self) {
        self.ask("anvil_dropAllTransactions", json!([])).await;
    }
}

fn store() -> Arc<Store> {
    Arc::new(Store::in_memory().expect("a store"))
}

/// Sends one wei.
fn gift(name: &str, deadline: Option<u64>, stake: u128) -> Act {
    let (value, data) = (U256::from(1), Bytes::new());
    Act {
        name: name.to_owned(),
        about: format!("send {name}"),
        to: Some(SOMEBODY),
        value,
        data,
        deadline,
        stake,
        gas: 0,
    }
}

#[tokio::test]
async fn what_a_node_has_lost_is_sent_again_once() {
    let chain = Chain::start().await;
    let store = store();
    let mut wallet = chain.wallet(&store);
    let head = chain.mine(1).await;
    wallet.submit(gift("a", None, 0), &head).await.expect("sent");
    wallet.submit(gift("a", None, 0), &head).await.expect("not sent twice");
    wallet.submit(gift("b", None, 0), &head).await.expect("sent");
    chain.drop_all().await;
    assert_eq!((chain.mine(1).await.number, chain.received().await), (2, 0), "both are lost");
    let head = chain.node.head().await.expect("a head");
    assert!(wallet.tend(&head).await.expect("tended").is_empty());
    let head = chain.mine(1).await;
    assert_eq!(chain.received().await, 2);
    let mined = wallet.tend(&head).await.expect("tended");
    assert_eq!(mined.iter().map(|mined| &*mined.name).collect::<Vec<_>>(), ["a", "b"]);
    assert!(wallet.tend(&head).await.expect("tended").is_empty(), "news is reported once");
}

#[tokio::test]
async fn a_crash_forgets_nothing() {
    let chain = Chain::start().await;
    let store = store();
    let head = chain.mine(1).await;
    chain.wallet(&store).submit(gift("a", None, 0), &head).await.expect("sent");
    chain.drop_all().await;
    // Another wallet on the same store: the first one is gone.
    let mut wallet = chain.wallet(&store);
    assert!(wallet.has("a"));
    wallet.submit(gift("a", None, 0), &head).await.expect("known");
    wallet.submit(gift("b", None, 0), &head).await.expect("sent");
    let head = chain.mine(1).await;
    wallet.tend(&head).await.expect("tended");
    let head = chain.mine(1).await;
    assert_eq!((chain.received().await, wallet.tend(&head).await.expect("tended").len()), (2, 2));
    let head = chain.mine(70).await;
    wallet.tend(&head).await.expect("tended");
    assert!(!wallet.has(""), "what is buried is forgotten");
}

#[tokio::test]
async fn what_a_reorganization_undoes_is_sent_again() {
    let chain = Chain::start().await;
    let mut wallet = chain.wallet(&store());
    let head = chain.mine(1).await;
    let snapshot = chain.ask("evm_snapshot", json!([])).await;
    wallet.submit(gift("a", None, 0), &head).await.expect("sent");
    let head = chain.mine(1).await;
    assert_eq!(wallet.tend(&head).await.expect("tended").len(), 1);
    chain.ask("evm_revert", json!([snapshot])).await;
    chain.drop_all().await;
    let head = chain.mine(3).await;
    assert_eq!(chain.received().await, 0, "undone");
    wallet.tend(&head).await.expect("tended");
    let head = chain.mine(1).await;
    assert_eq!((chain.received().await, wallet.tend(&head).await.expect("tended").len()), (1, 1));
}

#[tokio::test]
async fn a_rising_base_fee_is_followed_up_to_the_cap_and_beyond_it_when_a_clock_runs_out() {
    let chain = Chain::start().await;
    let mut wallet = chain.wallet_with(&store(), Fees { cap: 20 * GWEI, tip: GWEI });
    let head = chain.mine(1).await;
    // A bond of 0.01 ether is worth some 380 gwei for each of 26,250 units of gas.
    let act = gift("move", Some(head.time + 1000), 10_000_000 * GWEI);
    wallet.submit(act, &head).await.expect("sent");
    let spike = |gwei: u128| json!([format!("{:#x}", gwei * GWEI)]);
    chain.ask("anvil_setNextBlockBaseFeePerGas", spike(15)).await;
    let mut received = 0;
    for _ in 0..4 {
        let head = chain.mine(30).await;
        wallet.tend(&head).await.expect("tended");
        received = chain.received().await;
    }
    assert_eq!(received, 1, "raised to the new fee");

    let head = chain.mine(1).await;
    wallet.submit(gift("late", Some(head.time + 400), 10_000_000 * GWEI), &head).await.expect("sent");
    chain.ask("anvil_setNextBlockBaseFeePerGas", spike(100)).await;
    let head = chain.mine(1).await;
    for _ in 0..3 {
        wallet.tend(&head).await.expect("tended");
    }
    assert_eq!(chain.received().await, 1, "100 gwei are above the cap");
    // Blocks without transactions lower the base fee, so the test holds it up.
    let mut now = head.time;
    while now < head.time + 390 && chain.received().await == 1 {
        chain.ask("anvil_setNextBlockBaseFeePerGas", spike(100)).await;
        let head = chain.mine(1).await;
        chain.ask("evm_increaseTime", json!([25])).await;
        wallet.tend(&head).await.expect("tended");
        now = head.time;
    }
    assert_eq!(chain.received().await, 2, "time ran out and the bond is worth more");
}

#[tokio::test]
async fn a_move_is_not_stuck_behind_what_could_wait() {
    let chain = Chain::start().await;
    let mut wallet = chain.wallet_with(&store(), Fees { cap: 20 * GWEI, tip: GWEI });
    let head = chain.mine(1).await;
    wallet.submit(gift("whenever", None, 0), &head).await.expect("sent");
    wallet.submit(gift("move", Some(head.time + 400), 10_000_000 * GWEI), &head).await.expect("sent");
    let mut now = head.time;
    while now < head.time + 390 && chain.received().await < 2 {
        chain.ask("anvil_setNextBlockBaseFeePerGas", json!([format!("{:#x}", 100 * GWEI)])).await;
        let head = chain.mine(1).await;
        chain.ask("evm_increaseTime", json!([25])).await;
        wallet.tend(&head).await.expect("tended");
        now = head.time;
    }
    assert_eq!(chain.received().await, 2, "the move, and what was before it");

    // A transaction that is too late is not urgent any more.
    let head = chain.mine(1).await;
    wallet.submit(gift("too late", Some(head.time + 10), 10_000_000 * GWEI), &head).await.expect("sent");
    chain.ask("anvil_setNextBlockBaseFeePerGas", json!([format!("{:#x}", 100 * GWEI)])).await;
    chain.ask("evm_increaseTime", json!([60])).await;
    for _ in 0..10 {
        let head = chain.mine(1).await;
        wallet.tend(&head).await.expect("tended");
        chain.ask("anvil_setNextBlockBaseFeePerGas", json!([format!("{:#x}", 100 * GWEI)])).await;
    }
    assert_eq!(chain.received().await, 2, "its price stays the same");
}

#[tokio::test]
async fn what_no_node_would_accept_gets_no_nonce() {
    let chain = Chain::start().await;
    let mut wallet = chain.wallet(&store());
    let head = chain.mine(1).await;
    let large = Act { data: vec![0; 1 << 17].into(), ..gift("large", None, 0) };
    assert!(matches!(wallet.submit(large, &head).await, Err(WalletError::Size { .. })));
    let balance = |wei: u128| json!([wallet.address(), format!("{wei:#x}")]);
    let (bond, gas) = (10u128.pow(17), 10u128.pow(15));
    chain.ask("anvil_setBalance", balance(bond + 1)).await;
    // What is known of an account is believed only from a block to its child.
    let head = chain.mine(2).await;
    let bonded = Act { value: U256::from(bond), ..gift("bond", None, 0) };
    let error = wallet.submit(bonded.clone(), &head).await.expect_err("too little for the gas").to_string();
    let expected =
        format!("send bond: the account {} has 0.100000000000000001 ETH, but needs 0.1", wallet.address());
    assert!(error.starts_with(&expected) && error.contains("; send it 0.00"), "{error}");
    let larger = Act { value: U256::from(bond) * U256::from(3), ..bonded.clone() };
    let error = wallet.submit(larger, &head).await.expect_err("less than is sent along").to_string();
    assert!(error.contains("needs 0.3 ETH") && error.ends_with("or more"), "{error}");
    wallet.submit(gift("move", None, 0), &head).await.expect("there is enough for this");
    assert!(matches!(wallet.submit(bonded.clone(), &head).await, Err(WalletError::Funds { .. })));
    let head = chain.mine(1).await;
    assert_eq!((wallet.tend(&head).await.expect("tended").len(), chain.received().await), (1, 1));
    let balance = |wei: u128| json!([wallet.address(), format!("{wei:#x}")]);
    chain.ask("anvil_setBalance", balance(bond + gas)).await;
    let head = chain.mine(1).await;
    wallet.submit(bonded, &head).await.expect("now there is");
}

#[tokio::test]
async fn the_wallet_recovers_when_the_key_is_used_elsewhere() {
    let chain = Chain::start().await;
    let mut wallet = chain.wallet(&store());
    let head = chain.mine(1).await;
    wallet.submit(gift("ours", None, 0), &head).await.expect("sent");
    chain.drop_all().await;
    // Another program uses the nonce with the same key.
    let mut other = chain.wallet(&store());
    other.submit(gift("theirs", None, 0), &head).await.expect("sent");
    let other_data = Act { data: Bytes::from_static(b"x"), ..gift("more", None, 0) };
    other.submit(other_data, &head).await.expect("sent");
    let head = chain.mine(1).await;
    assert!(wallet.tend(&head).await.expect("tended").len() <= 1);
    wallet.submit(gift("next", None, 0), &head).await.expect("sent");
    let head = chain.mine(1).await;
    wallet.tend(&head).await.expect("tended");
    assert_eq!(chain.received().await, 3);
}
