//! The real command on a real chain through nodes in bad weather, and killed whenever it hurts: the honest win.
//!
//! `OPML_KILLS` says how often they die (3), `OPML_SEED` what the weather is (0).

use crate::common::net::{
    DEPLOYER, Net, PATIENCE, Process, SERVER, SERVER_ACCOUNT, VALIDATOR, VALIDATOR_ACCOUNT, events, log,
};
use crate::common::weather::Weather;
use crate::common::{Random, number};
use alloy::consensus::{Transaction as _, TxEnvelope};
use alloy::eips::eip2718::Decodable2718 as _;
use contracts::{Bytes, function_name};
use serde_json::Value;
use std::collections::HashMap;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Keys of liars.
const LYING_SERVER: &str = "0x47e179ec197488593b187f80a00eb0da91f1b9d0b13f8733639f19c30a34926a";
const LYING_CHALLENGER: &str = "0x8b3a350cf5c34c9194ca85829a2df0ec3153be0318b5e2d3348e872092edffba";
/// The longest time from a request until its answer is final.
const ROUND: Duration = Duration::from_secs(400);

/// An honest player.
struct Player {
    name: &'static str,
    key: &'static str,
    args: Vec<String>,
    nodes: Vec<Weather>,
    process: Option<Process>,
}

impl Player {
    fn new(net: &Net, name: &'static str, key: &'static str, args: &[&str], seeds: &[u64]) -> Self {
        let nodes: Vec<Weather> = seeds.iter().map(|&seed| Weather::over(&net.rpc, seed)).collect();
        let more = ["net.opml", "--poll", "200", "--state", name];
        let mut args: Vec<String> = args.iter().chain(&more).map(ToString::to_string).collect();
        args.extend(nodes.iter().map(|node| format!("--rpc={}", node.url)));
        Self { name, key, args, nodes, process: None }
    }

    fn start(&mut self, net: &Net) {
        let args: Vec<&str> = self.args.iter().map(String::as_str).collect();
        self.process = Some(net.play(self.key, &args));
    }

    /// Kills it, as a power cut would. It must not have ended by itself.
    fn die(&mut self, net: &Net) {
        if let Some(mut process) = self.process.take() {
            let ended = process.0.try_wait().expect("a process");
            assert!(
                ended.is_none(),
                "the {} has ended by itself: {ended:?}: {}",
                self.name,
                log(&net.folder)
            );
            process.kill();
        }
    }

    /// In no state of a game has it sent two different moves.
    fn assert_consistent(&self) {
        let mut moves: HashMap<Vec<u8>, Bytes> = HashMap::new();
        for raw in self.nodes.iter().flat_map(Weather::sent) {
            let bytes: Bytes = raw.parse().expect("bytes");
            let transaction = TxEnvelope::decode_2718(&mut &bytes[..]).expect("a transaction");
            let data = transaction.input();
            // A selector, the game's ID, and its state.
            if ["dissect", "enter", "prove", "proveVoid"].contains(&function_name(data).as_str()) {
                let first = moves.entry(data[4..100].to_vec()).or_insert_with(|| data.clone());
                assert_eq!(first, data, "two moves of the {} in one state of a game", self.name);
            }
        }
        assert!(!moves.is_empty(), "the {} has played no game", self.name);
    }
}

/// Kills and starts players until all is done. Returns how often they died.
fn storm(
    net: &Net,
    players: &mut [&mut Player],
    random: &mut Random,
    most: u64,
    done: impl Fn() -> bool,
) -> u64 {
    let (begun, mut killed) = (Instant::now(), 0);
    while !done() {
        assert!(begun.elapsed() < ROUND, "it takes too long: {}", log(&net.folder));
        sleep(Duration::from_millis(300 + random.below(2200)));
        if killed < most {
            let which = random.below(players.len() as u64) as usize;
            players[which].die(net);
            sleep(Duration::from_millis(random.below(2000)));
            players[which].start(net);
            killed += 1;
        }
    }
    killed
}

#[test]
fn whatever_the_weather_and_whenever_they_die_the_honest_win() {
    let (most, seed) = (number("OPML_KILLS", 3), number("OPML_SEED", 0));
    let net = Net::with_times(20, 60);
    net.json(DEPLOYER, &["register", "net.opml"]);
    let mut random = Random(seed);
    let mut seeds = || [random.next(), random.next()];
    let mut server = Player::new(&net, "server", SERVER, &["serve", "--min-fee", "1gwei"], &seeds()[..1]);
    let mut validator = Player::new(&net, "validator", VALIDATOR, &["watch"], &seeds());
    let liar = |key, args: &[&str]| net.play(key, &[args, &["net.opml", "--poll", "100"]].concat());
    let _liars = (
        // One step at once, so that there is more to move.
        liar(
            LYING_SERVER,
            &["serve", "--cheat", "output", "--min-fee", "1eth", "--prove-at-once", "1", "--state", "liar"],
        ),
        liar(LYING_CHALLENGER, &["watch", "--cheat", "output", "--no-answers", "--state", "challenger"]),
        liar(DEPLOYER, &["watch", "--cheat", "step", "--no-answers", "--state", "other"]),
    );
    validator.start(&net);
    let (mut killed, begun) = (0, Instant::now());
    for round in 1.. {
        server.die(&net);
        let lied = net.request(&["--fee", "2eth"]);
        net.wait(&lied, "answered", |status| !events(status, "answered").is_empty());
        server.start(&net);
        // The liar wants more for a lie.
        let true_ = net.request(&["--fee", "0.5eth"]);
        let ids = [&lied, &true_];
        let status = |id: &str| net.json(SERVER, &["status", id]);
        let both = &mut [&mut server, &mut validator];
        killed += storm(&net, both, &mut random, most - killed, || {
            ids.iter().all(|id| status(id)["standing"] == "final")
        });
        let honest = [SERVER_ACCOUNT, VALIDATOR_ACCOUNT].map(str::to_lowercase);
        for (id, answers) in ids.into_iter().zip([2, 1]) {
            let status = status(id);
            let asserter = status["asserter"].as_str().map(str::to_lowercase);
            assert!(asserter.is_some_and(|it| honest.contains(&it)), "{status:#}: {}", log(&net.folder));
            assert_eq!(events(&status, "answered").len(), answers, "{status:#}: {}", log(&net.folder));
            assert_eq!(net.digit(id), 7);
        }
        println!("round {round}: killed {killed} times within {:?}", begun.elapsed());
        if killed >= most {
            break;
        }
    }
    for (player, account) in [(&server, SERVER_ACCOUNT), (&validator, VALIDATOR_ACCOUNT)] {
        player.assert_consistent();
        let begun = Instant::now();
        let total = loop {
            let total = net.json(SERVER, &["account", account])["total"].clone();
            if total["bonded"] == "0" && total["due"] == "0" {
                break total;
            }
            assert!(begun.elapsed() < PATIENCE, "a bond stays: {total:#}: {}", log(&net.folder));
            sleep(Duration::from_millis(500));
        };
        let wei =
            |name: &str| total[name].as_str().and_then(|wei| wei.parse::<i128>().ok()).expect("an amount");
        assert_eq!(total["lost"], Value::from("0"), "{total:#}");
        assert!(wei("won") > 0 && wei("net") > 0, "{total:#}");
        println!("{}: {total}", player.name);
    }
}
