//! What players and workers share in a database: state that one player has at a time, and jobs that are done once.

#![allow(missing_docs)]

mod cluster;

use chain::{B256, MOST_JOB_BYTES, Order, Progress, Queue, Store, StoreError};
use cluster::Cluster;
use std::time::{Duration, Instant};

/// Long enough for anything that the tests do meanwhile.
const LONG: Duration = Duration::from_secs(60);
const SHORT: Duration = Duration::from_millis(600);

fn words(list: &[&str]) -> Vec<String> {
    list.iter().map(|word| (*word).to_owned()).collect()
}

/// What every store does, wherever it keeps its entries.
fn is_a_store(open: &dyn Fn() -> Result<Store, StoreError>) {
    let store = open().expect("a store");
    // What is saved is there when it is opened again, in the order of the names' bytes.
    for name in ["b/1", "a/é", "a/2", "a/10", "a", "A/3", "a/~", "a0"] {
        store.save(name, &name).expect("a write");
    }
    drop(store);
    let store = open().expect("the same store");
    let names = words(&["a/10", "a/2", "a/~", "a/é"]);
    assert_eq!(store.names("a/").expect("names"), names);
    let scanned = store.scan::<String>("a/").expect("a scan");
    assert_eq!(scanned, names.iter().map(|name| (name.clone(), name.clone())).collect::<Vec<_>>());
    assert_eq!(store.load::<String>("a").expect("a read").as_deref(), Some("a"));
    assert_eq!(store.load::<String>("c").expect("a read"), None);
    assert_eq!(store.names("c").expect("names"), words(&[]));
    // The last one of a name counts, whatever the order.
    let (one, two) = (Some(vec![1]), Some(vec![2]));
    let entry = |name: &str, bytes: &Option<Vec<u8>>| (name.to_owned(), bytes.clone());
    store
        .write(&[
            entry("x", &one),
            entry("x", &two),
            entry("y", &one),
            entry("y", &None),
            entry("z", &None),
            entry("z", &two),
            entry("nothing", &None),
        ])
        .expect("a write");
    assert_eq!(store.get("x").expect("a read"), two);
    assert_eq!(store.get("y").expect("a read"), None);
    assert_eq!(store.get("z").expect("a read"), two);
    store.write(&[]).expect("nothing to write");
    // Any bytes, also none, and many.
    let large: Vec<u8> = (0..3_000_000).map(|at| (at % 251) as u8).collect();
    store.write(&[entry("x", &Some(Vec::new())), entry("y", &Some(large.clone()))]).expect("a write");
    assert_eq!(store.get("x").expect("a read"), Some(Vec::new()));
    assert_eq!(store.get("y").expect("a read"), Some(large));
    // What isn't of the type that is asked for.
    let error = store.load::<u32>("a").expect_err("not a number");
    assert!(matches!(&error, StoreError::Entry { name, .. } if name == "a"), "{error}");
    assert!(error.advice().is_some());
    // A second player with the same key.
    let error = open().expect_err("in use");
    assert!(matches!(error, StoreError::InUse | StoreError::Taken(_)), "{error}");
    assert!(error.advice().is_some());
    // What another version has written.
    store.save("version", &7).expect("a write");
    drop(store);
    let error = open().expect_err("a version that doesn't exist yet");
    assert!(matches!(error, StoreError::Version(_)) && error.to_string().contains("version 7"), "{error}");
    assert!(error.advice().is_some_and(|advice| advice.contains("another database")), "{error}");
}

#[test]
fn a_file_and_a_database_are_the_same_store() {
    let folder = tempfile::tempdir().expect("a folder");
    is_a_store(&|| Store::open(&folder.path().join("state")));
    let cluster = Cluster::start();
    is_a_store(&|| Store::shared(&cluster.url(), "a player", LONG));
    // What was there before there was a version is of the first one.
    cluster.query("DELETE FROM opml_entries WHERE name = 'version'");
    let store = Store::shared(&cluster.url(), "a player", LONG).expect("a store");
    assert_eq!(store.load::<u32>("version").expect("a read"), Some(1));
    // Players don't see each other's entries.
    let other = Store::shared(&cluster.url(), "another player", LONG).expect("a store");
    assert_eq!(other.names("").expect("names"), words(&["version"]));
    other.write(&[("a".to_owned(), None)]).expect("a write");
    assert_eq!(store.load::<String>("a").expect("a read").as_deref(), Some("a"));
}

/// Tries until it is so.
#[track_caller]
fn wait<T>(what: &str, mut found: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = found() {
            return found;
        }
        assert!(start.elapsed() < Duration::from_secs(20), "{what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn one_of_two_players_with_one_key_writes() {
    let cluster = Cluster::start();
    let open = || Store::shared(&cluster.url(), "a player", SHORT);
    let first = open().expect("a store");
    first.save("x", &1).expect("a write");
    // As long as it lives, it keeps the lease, also when it writes nothing.
    let start = Instant::now();
    while start.elapsed() < 3 * SHORT {
        let error = open().expect_err("the first one has it");
        assert!(matches!(error, StoreError::Taken(_)), "{error}");
        assert!(error.to_string().contains("(process "), "{error}");
        std::thread::sleep(SHORT / 10);
    }
    // The machine stands still: nothing is heard of it. Another one goes on from where it was.
    let second = wait("the lease to be over", || {
        // The first one may prolong it once more, right after this.
        cluster.query("UPDATE opml_leases SET until = clock_timestamp() - interval '1 second'");
        open().ok()
    });
    assert_eq!(second.load("x").expect("a read"), Some(1));
    second.save("x", &2).expect("a write");
    // It comes back, and changes nothing.
    let error = first.save("x", &3).expect_err("it has lost the lease");
    assert!(matches!(error, StoreError::Taken(_)), "{error}");
    assert_eq!(second.load("x").expect("a read"), Some(2));
    // Its view is old for ever, also when nobody has the lease any more.
    drop(second);
    for _ in 0..2 {
        let error = first.load::<u32>("x").expect_err("it is lost");
        assert!(error.to_string().contains("which has ended"), "{error}");
        assert!(first.save("x", &3).is_err());
    }
    drop(first);
    // Whoever ends lets the next one have it at once.
    assert_eq!(open().expect("it is free").load("x").expect("a read"), Some(2));
}

#[test]
fn whoever_has_lost_a_lease_notices_without_writing() {
    let cluster = Cluster::start();
    let store = Store::shared(&cluster.url(), "a player", SHORT).expect("a store");
    cluster.query(
        "UPDATE opml_leases SET holder = 'another', place = 'elsewhere', until = until + interval '1 hour'",
    );
    let error = wait("a beat", || store.get("x").err());
    assert!(error.to_string().contains("elsewhere"), "{error}");
}

#[test]
fn what_a_lost_connection_had_sent_changes_nothing_any_more() {
    let cluster = Cluster::start();
    let store = Store::shared(&cluster.url(), "a player", LONG).expect("a store");
    store.save("x", &1).expect("a write");
    let link = || cluster.query("SELECT connection FROM opml_leases")[0].parse::<i64>().expect("a number");
    let old = link();
    // The server ends all connections. The next call says so, and the one after that works.
    cluster.query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'opml'");
    wait("a new connection", || store.save("x", &2).ok());
    assert!(link() > old, "a statement of connection {old} would still count");
    // As if connection 2 were an old one, whose statement arrives only now.
    cluster.query("UPDATE opml_leases SET connection = 100");
    let error = store.save("x", &3).expect_err("a later connection has written");
    assert!(matches!(error, StoreError::Taken(_)), "{error}");
    assert_eq!(cluster.query("SELECT convert_from(bytes, 'UTF8') FROM opml_entries WHERE name = 'x'"), ["2"]);
}

#[test]
fn a_player_goes_on_when_its_database_is_back() {
    let cluster = Cluster::start();
    let store = Store::shared(&cluster.url(), "a player", LONG).expect("a store");
    store.save("x", &1).expect("a write");
    cluster.stop();
    for _ in 0..3 {
        let start = Instant::now();
        let error = store.save("x", &2).expect_err("there is no database");
        assert!(matches!(error, StoreError::Unreachable(_)), "{error:?}");
        assert!(error.advice().is_some_and(|advice| advice.contains("is PostgreSQL running")), "{error}");
        assert!(start.elapsed() < Duration::from_secs(5));
    }
    cluster.resume();
    wait("the database", || store.save("x", &3).ok());
    assert_eq!(store.load("x").expect("a read"), Some(3));
    // What the database refuses changes nothing, and is said.
    cluster.query("ALTER TABLE opml_entries ADD CHECK (bytes <> '4')");
    let entry = |name: &str, value: &str| (name.to_owned(), Some(value.as_bytes().to_vec()));
    let error = store.write(&[entry("y", "1"), entry("x", "4")]).expect_err("it violates the constraint");
    assert!(matches!(error, StoreError::Refused { .. }), "{error:?}");
    assert_eq!((store.load("x").expect("a read"), store.get("y").expect("a read")), (Some(3), None));
}

#[test]
fn a_database_that_cannot_be_used_is_named_without_its_password() {
    let cluster = Cluster::start();
    let error = |url: &str| Store::shared(url, "a player", LONG).map(drop).expect_err(url);
    for (url, says, advises) in [
        ("postgres://opml:secret-password@localhost:1/opml", "refused", "is PostgreSQL running"),
        ("mysql://opml:secret-password@localhost/opml", "postgres://", "postgres://"),
        ("secret-password", "URL", "postgres://"),
        ("postgres://opml:secret-password@localhost:x/opml", "port", "postgres://"),
        (&cluster.url().replace("/opml?", "/nothing?"), "nothing", "createdb"),
        (&cluster.url().replace("opml@", "nobody@"), "nobody", "user and password"),
    ] {
        let error = error(url);
        let (text, advice) = (error.to_string(), error.advice().unwrap_or_default());
        assert!(text.contains(says) && advice.contains(advises), "{text}; {advice}");
        assert!(!format!("{error:?}{text}").contains("secret-password"), "{error:?}");
    }
}

// ---- Jobs

const MODEL: B256 = B256::repeat_byte(1);
const OTHER: B256 = B256::repeat_byte(2);

/// A queue and a runtime for it.
struct Desk(Queue, tokio::runtime::Runtime);

impl Desk {
    fn open(cluster: &Cluster, lease: Duration) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
        Self(Queue::open(&cluster.url(), lease).expect("a queue"), runtime)
    }

    fn order(&self, order: &Order) {
        self.1.block_on(self.0.order(order)).expect("an order");
    }

    fn look(&self, order: &Order) -> Progress {
        self.1.block_on(self.0.look(order)).expect("an answer")
    }

    fn waiting(&self) -> u64 {
        self.1.block_on(self.0.waiting(&[MODEL])).expect("an answer")
    }

    /// The bytes and the name of the next job.
    fn take(&self) -> Option<(Vec<u8>, String)> {
        let taken = self.1.block_on(self.0.take(&[MODEL])).expect("an answer")?;
        assert!(taken.is_whole());
        Some((taken.job, taken.name))
    }

    fn finish(&self, name: &str, result: &[u8]) {
        self.1.block_on(self.0.finish(name.to_owned(), result.to_vec())).expect("an answer");
    }

    fn fail(&self, name: &str, reason: &str) {
        self.1.block_on(self.0.fail(name.to_owned(), reason.to_owned())).expect("an answer");
    }
}

fn job(bytes: &[u8], deadline: u64) -> Order {
    Order::new(MODEL, bytes.to_vec(), deadline)
}

#[test]
fn jobs_are_taken_by_deadline_and_done_once() {
    let cluster = Cluster::start();
    let [player, one, two] = [LONG, LONG, SHORT].map(|lease| Desk::open(&cluster, lease));
    let (late, soon, other) = (job(b"late", u64::MAX), job(b"soon", 7), Order::new(OTHER, b"x".to_vec(), 1));
    assert_eq!(player.look(&late), Progress::Unknown);
    for order in [&late, &soon, &other, &soon] {
        player.order(order);
        assert_eq!(player.look(order), Progress::Waiting);
    }
    // Each has a job of its own, and nobody takes one about another model.
    assert_eq!(one.waiting(), 2);
    let (bytes, soons) = two.take().expect("a job");
    assert_eq!((bytes.as_slice(), one.waiting()), (&b"soon"[..], 1));
    assert_eq!(one.take().map(|(bytes, _)| bytes).as_deref(), Some(&b"late"[..]));
    assert_eq!(one.take(), None);
    // A worker that isn't heard of loses its job.
    std::thread::sleep(SHORT / 2);
    two.1.block_on(two.0.beat(vec![soons.clone()])).expect("an answer");
    std::thread::sleep(SHORT * 2 / 3);
    assert_eq!(one.take(), None, "two is heard of");
    let (bytes, name) = wait("a lease that is over", || one.take());
    assert_eq!((bytes.as_slice(), &name), (&b"soon"[..], &soons));
    // The first result counts, also from a worker that has lost the job.
    two.finish(&name, b"right");
    one.finish(&name, b"again");
    assert_eq!(player.look(&soon), Progress::Done(b"right".to_vec()));
    // Whoever orders the same shares what it came to.
    player.order(&soon);
    assert_eq!(one.look(&soon), Progress::Done(b"right".to_vec()));
    // What can't be right is done again.
    player.1.block_on(player.0.discard(&soon)).expect("an answer");
    assert_eq!(player.look(&soon), Progress::Waiting);
    assert!(one.take().is_some(), "at once, whoever had it");
    // A worker that stops gives its jobs back.
    one.1.block_on(one.0.hand_back(vec![name])).expect("an answer");
    assert_eq!(two.take().map(|(bytes, _)| bytes).as_deref(), Some(&b"soon"[..]));
}

#[test]
fn a_job_that_nobody_can_do_fails_until_it_is_ordered_again() {
    let cluster = Cluster::start();
    let [player, one, two] = [LONG, LONG, SHORT].map(|lease| Desk::open(&cluster, lease));
    let order = job(b"hard", 1);
    player.order(&order);
    let (_, name) = one.take().expect("a job");
    two.fail(&name, "it isn't mine");
    one.fail(&name, "out of\0 memory");
    // Others may try, but not the one who has.
    assert_eq!((player.look(&order), one.take()), (Progress::Waiting, None));
    assert_eq!((one.waiting(), two.waiting()), (0, 1));
    assert!(two.take().is_some());
    two.fail(&name, "no file");
    assert_eq!(player.look(&order), Progress::Waiting);
    let failed = wait("an end", || Some(player.look(&order)).filter(|look| *look != Progress::Waiting));
    assert_eq!(failed, Progress::Failed("no file".to_owned()));
    // The player tries again, and so do the workers.
    player.order(&order);
    assert_eq!(player.look(&order), Progress::Waiting);
    assert!(one.take().is_some());
    one.fail(&name, "again");
    // Workers die of it.
    player.order(&order);
    for _ in 0..5 {
        assert!(two.take().is_some());
        cluster.query("UPDATE opml_jobs SET lease = clock_timestamp()");
    }
    assert_eq!(two.take(), None);
    let Progress::Failed(reason) = player.look(&order) else { panic!("it has failed") };
    assert!(reason.contains("5 workers"), "{reason}");
    // A result is welcome all the same.
    two.finish(&name, b"late");
    assert_eq!(player.look(&order), Progress::Done(b"late".to_vec()));
}

#[test]
fn what_nobody_asks_for_is_not_done_and_not_kept() {
    let cluster = Cluster::start();
    let desk = Desk::open(&cluster, LONG);
    let (old, new) = (job(b"old", 1), job(b"new", 2));
    desk.order(&old);
    cluster.query("UPDATE opml_jobs SET asked = asked - interval '2 minutes'");
    assert_eq!(desk.take(), None);
    desk.1.block_on(desk.0.ask_again(&old)).expect("an answer");
    assert!(desk.take().is_some());
    cluster.query("UPDATE opml_jobs SET asked = asked - interval '11 minutes'");
    desk.order(&new);
    assert_eq!((desk.look(&old), desk.look(&new)), (Progress::Unknown, Progress::Waiting));
}

#[test]
fn rows_that_nobody_of_ours_wrote_do_no_harm() {
    let cluster = Cluster::start();
    let desk = Desk::open(&cluster, LONG);
    let order = job(b"job", 3);
    desk.order(&order);
    // A name that is not that of its job, and a job of another version.
    let model = "decode(repeat('01', 32), 'hex')";
    cluster.query(&format!(
        "INSERT INTO opml_jobs (name, format, model, job, deadline) VALUES
            ('', 1, {model}, 'x', 1), ('old', 0, {model}, 'x', -1), ('short', 1, '', 'x', -1)"
    ));
    let strange = desk.1.block_on(desk.0.take(&[MODEL])).expect("an answer").expect("a job");
    assert!(!strange.is_whole() && strange.name.is_empty());
    // Too large.
    cluster.query(&format!(
        "INSERT INTO opml_jobs (name, format, model, job, deadline)
            SELECT 'large', 1, {model}, decode(repeat('00', {}), 'hex'), 1",
        MOST_JOB_BYTES + 1
    ));
    let (bytes, name) = desk.take().expect("a job");
    assert_eq!((bytes.as_slice(), desk.take()), (&b"job"[..], None));
    cluster.query(&format!(
        "UPDATE opml_jobs SET result = decode(repeat('00', {}), 'hex') WHERE name = '{name}'",
        MOST_JOB_BYTES + 1
    ));
    let look = desk.look(&order);
    assert!(matches!(&look, Progress::Failed(reason) if reason.contains("too large")), "{look:?}");
    // Other types, which are errors.
    cluster.query("ALTER TABLE opml_jobs ALTER tries TYPE text");
    let error = desk.1.block_on(desk.0.take(&[MODEL])).expect_err("no numbers");
    assert!(matches!(error, StoreError::Refused { .. } | StoreError::Unreachable(_)), "{error:?}");
}
