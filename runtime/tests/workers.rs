//! Machines that share work in a database: workers that die in the middle of it, and players that leave it to them.

use crate::cluster::Cluster;
use crate::common::net::{
    Net, PATIENCE, Process, SERVER, VALIDATOR, command, events, free_port, log, spawn, told, wait_for_health,
};
use crate::common::{Folder, NUMBER, Random, STATE, TWICE, number, stateful};
use chain::Queue;
use contracts::{B256, Bytes, Position, U256};
use game::{Clocks, Level, Segment, Side};
use image::Image;
use isa::{Instruction, Op};
use players::{Found, Inference, LoadedModel, Parcel, Task, Turn, leave};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;

/// Writes the image of a program that hashes its state as often as the number says: a million times take a while.
fn busy(folder: &Folder) -> Arc<LoadedModel> {
    let op =
        |op, rd, rs1, rs2, imm: u64| Instruction { rd, rs1, rs2, imm: imm as i32, ..Instruction::new(op) };
    let code = [
        op(Op::Ld, 5, 0, 0, NUMBER),
        op(Op::Ld, 6, 0, 0, STATE),
        // The loop.
        op(Op::Mul, 6, 6, 6, 0),
        op(Op::Addi, 6, 6, 0, 7),
        op(Op::Addi, 5, 5, 0, u64::MAX),
        op(Op::Bne, 0, 5, 0, (-12i64).cast_unsigned()),
        op(Op::Sd, 0, 0, 6, STATE),
        op(Op::Sd, 0, 0, 5, TWICE),
        op(Op::Addi, 17, 0, 0, 93),
        op(Op::Ecall, 0, 0, 0, 0),
    ];
    stateful(&folder.path("net.opml"), &code, 1 << 40);
    let image = Image::open(&folder.path("net.opml")).expect("an image");
    Arc::new(LoadedModel::new(image, None).expect("a model"))
}

/// The number of times that takes about as long as a worker lives.
const TIMES: u64 = 200_000_000;
/// How many numbers a wave of tasks has for itself.
const WAVE: u64 = 100;

/// A state of a game about the model in which the other side's claims are all wrong.
fn turn(segment: Segment) -> Turn {
    let (clocks, mover) = (Clocks { asserter: 100, challenger: 100 }, Side::Asserter);
    let repetitions = (segment.level == Level::BigSteps).then_some(0);
    let position = Position { mover, clocks, since: 7, repetitions, segment };
    let claims = (0..segment.parts(4)).map(|claim| B256::with_last_byte(claim as u8)).collect();
    let state = (B256::repeat_byte(3), position.pack());
    Turn { game: U256::from(77), state, start: B256::repeat_byte(4), claims, arity: 4, at_once: 2 }
}

/// Tasks of all kinds about several inputs, from a number on.
fn tasks(first: u64) -> Vec<(u64, Task)> {
    let steps = |lo, hi| Segment { level: Level::Steps { big_step: 0 }, lo, hi };
    let mut tasks: Vec<(u64, Task)> = (0..6).map(|number| (first + number, Task::Result)).collect();
    tasks.push((first + 1, Task::Opening { arity: 4 }));
    for segment in
        [Segment { level: Level::BigSteps, lo: 0, hi: 1 }, steps(0, 1 << 40), steps(3, 7), steps(9, 11)]
    {
        tasks.push((first + 2, Task::Reply(turn(segment))));
    }
    tasks
}

fn inputs(number: u64) -> Vec<Bytes> {
    [3, number].map(|number: u64| Bytes::from(number.to_le_bytes().to_vec())).to_vec()
}

/// Leaves a task to the workers, as often as it takes, as a player does.
async fn left(queue: Arc<Queue>, model: Arc<LoadedModel>, number: u64, task: Task) -> Found {
    let parcel = Parcel { model: model.id(), repetitions: 0, inputs: inputs(number), task };
    loop {
        match leave(&queue, &model, parcel.clone(), number).await {
            Ok(found) => return found,
            Err(error) => println!("{error}"),
        }
    }
}

/// Three workers that die all the time.
struct Mortal<'a> {
    cluster: &'a Cluster,
    folder: &'a Folder,
    model: &'a Arc<LoadedModel>,
    workers: Vec<Process>,
    random: Random,
    /// How often each was killed.
    killed: [u64; 3],
}

impl Mortal<'_> {
    fn start(&self) -> Process {
        let url = self.cluster.url();
        let args = ["work", "net.opml", "--database", &url, "--lease", "1", "--jobs", "2", "--threads", "1"];
        spawn(self.folder, None, &args)
    }

    /// Leaves tasks to them, kills them until all are done, and compares what they came to.
    fn wave(&mut self, runtime: &Runtime, queue: &Arc<Queue>, first: u64) {
        let (tasks, begun) = (tasks(first), Instant::now());
        let leave_one = |(number, task): &(u64, Task)| {
            runtime.spawn(left(Arc::clone(queue), Arc::clone(self.model), *number, task.clone()))
        };
        let waiting: Vec<_> = tasks.iter().map(leave_one).collect();
        let log = || log(self.folder);
        // The first to work all die in the middle of it, however fast the computer is.
        let busy = "SELECT count(*) FROM opml_jobs WHERE lease > clock_timestamp() AND result IS NULL";
        while self.cluster.query(busy) == ["0"] {
            assert!(begun.elapsed() < PATIENCE, "nobody works: {}", log());
        }
        for which in 0..3 {
            let next = self.start();
            std::mem::replace(&mut self.workers[which], next).kill();
            self.killed[which] += 1;
        }
        while waiting.iter().any(|task| !task.is_finished()) || self.killed.iter().any(|&killed| killed < 2) {
            assert!(begun.elapsed() < PATIENCE, "not done: {}", log());
            std::thread::sleep(Duration::from_millis(400 + self.random.below(800)));
            let (which, next) = (self.random.below(3) as usize, self.start());
            let died = std::mem::replace(&mut self.workers[which], next);
            // Most of them without a warning; those that get one give back what they have.
            match self.random.below(4) {
                0 => drop(died),
                _ => {
                    died.kill();
                    self.killed[which] += 1;
                }
            }
        }
        let done = format!(
            "SELECT count(*) FROM opml_jobs WHERE result IS NOT NULL AND deadline BETWEEN {first} AND {}",
            first + WAVE - 1
        );
        assert_eq!(self.cluster.query(&done), [tasks.len().to_string()]);
        for ((number, task), found) in tasks.iter().zip(waiting) {
            let found = runtime.block_on(found).expect("no panic");
            let inference = Inference::new(Arc::clone(self.model), 0, inputs(*number), None, None);
            assert_eq!(found, inference.run(task).expect("a result"), "{number} {task:?}");
        }
    }
}

/// `OPML_KILLS` is how often workers are killed at least, `OPML_SEED` decides who and when.
#[test]
fn workers_may_die_at_any_time_and_every_job_gets_its_one_result() {
    let (folder, cluster, begun) = (Folder::new(), Cluster::start(), Instant::now());
    let model = busy(&folder);
    let queue = Arc::new(Queue::open(&cluster.url(), Duration::from_secs(1)).expect("a database"));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let runtime = runtime.expect("a runtime");
    let (random, workers) = (Random(number("OPML_SEED", 0)), Vec::new());
    let mut mortal =
        Mortal { cluster: &cluster, folder: &folder, model: &model, workers, random, killed: [0; 3] };
    mortal.workers = (0..3).map(|_| mortal.start()).collect();
    // Each wave is about other inputs: what was done isn't done again.
    for first in (TIMES..).step_by(WAVE as usize) {
        mortal.wave(&runtime, &queue, first);
        let again = cluster.query("SELECT count(*) FROM opml_jobs WHERE tries > 1")[0].clone();
        println!("killed {:?} within {:?}; {again} jobs were taken over", mortal.killed, begun.elapsed());
        assert_ne!(again, "0", "nobody died while it worked: {}", log(&folder));
        if mortal.killed.iter().sum::<u64>() >= number("OPML_KILLS", 0) {
            break;
        }
    }
}

#[test]
fn a_worker_refuses_what_is_no_job_and_goes_on() {
    let (folder, cluster) = (Folder::new(), Cluster::start());
    let (model, url) = (busy(&folder), cluster.url());
    let port = free_port();
    let port_text = port.to_string();
    let args =
        ["--database", &url, "--log-format", "json", "--lease", "2", "--metrics", &port_text, "--state", "s"];
    let _worker = spawn(&folder, None, &[&["work", "net.opml"][..], &args].concat());
    assert!(wait_for_health(port, 200, &folder).contains(r#"{"reasons":[],"status":"ok"}"#));
    // What it knows of its images is its own.
    let second = ["work", "net.opml", "--database", &url, "--state", "s"];
    let second = command(&folder, None).args(second).output().expect("opml starts");
    let said = String::from_utf8_lossy(&second.stderr);
    assert!(second.status.code() == Some(4) && said.contains("already open"), "{said}");
    let queue = Arc::new(Queue::open(&url, Duration::from_secs(1)).expect("a database"));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let start = |parcel: Parcel| {
        let (queue, model) = (Arc::clone(&queue), Arc::clone(&model));
        runtime.spawn(async move { leave(&queue, &model, parcel, 1).await })
    };
    let try_ = |parcel: &Parcel| runtime.block_on(start(parcel.clone())).expect("no panic");
    let good = Parcel { model: model.id(), repetitions: 0, inputs: inputs(9), task: Task::Result };
    let steps = |lo, hi| Task::Reply(turn(Segment { level: Level::Steps { big_step: 0 }, lo, hi }));
    let arity = Turn { arity: u64::MAX, ..turn(Segment { level: Level::BigSteps, lo: 0, hi: 1 }) };
    let at_once = Turn { at_once: u64::MAX, ..arity.clone() };
    let beyond = Segment { level: Level::Steps { big_step: 5 }, lo: 0, hi: 1 };
    let bad = [
        (Parcel { inputs: Vec::new(), ..good.clone() }, "not a job"),
        (Parcel { inputs: vec![Bytes::from(vec![0; 40]); 2], ..good.clone() }, "not a job"),
        (Parcel { task: Task::Opening { arity: u64::MAX }, ..good.clone() }, "the arity"),
        (Parcel { task: Task::Reply(arity.clone()), ..good.clone() }, "the arity"),
        (Parcel { task: Task::Reply(Turn { arity: 4, ..at_once }), ..good.clone() }, "at once"),
        (Parcel { task: steps(0, 1 << 47), ..good.clone() }, "the segment"),
        (Parcel { task: steps(8, 8), ..good.clone() }, "the segment"),
        (Parcel { task: steps(9, 8), ..good.clone() }, "the segment"),
        (Parcel { task: Task::Reply(turn(beyond)), ..good.clone() }, "the segment"),
        (Parcel { repetitions: 5, ..good.clone() }, "repe"),
    ];
    // Each is left to other workers for some seconds.
    for (error, says) in bad.map(|(parcel, says)| (start(parcel), says)) {
        let error = runtime.block_on(error).expect("no panic").expect_err(says).to_string();
        assert!(error.contains(says), "{error}, not {says}");
    }
    // Whoever watches over it learns that.
    let red = wait_for_health(port, 503, &folder);
    assert!(red.contains("job: net: ") && red.contains(" jobs in a row failed: "), "{red}");
    // What is no parcel at all, under its right name and a wrong one.
    let id = &model.id().to_string()[2..];
    for name in ["'0x' || encode(sha256('junk'), 'hex')", "''", "repeat('x', 2000)"] {
        cluster.query(&format!(
            "INSERT INTO opml_jobs (name, format, model, job, deadline)
                VALUES ({name}, 1, decode('{id}', 'hex'), 'junk', 0)"
        ));
    }
    let right = try_(&good).expect("a result");
    wait_for_health(port, 200, &folder);
    assert_eq!(
        right,
        Inference::new(Arc::clone(&model), 0, inputs(9), None, None).run(&Task::Result).expect("it")
    );
    // Results that can't be right are not believed, and computed again.
    for bytes in ["''::bytea", "'junk'::bytea", "set_byte(result, 3, 255 - get_byte(result, 3))"] {
        cluster.query(&format!("UPDATE opml_jobs SET result = {bytes} WHERE result IS NOT NULL"));
        let error = try_(&good).expect_err("damaged").to_string();
        assert!(error.contains("damaged"), "{error}");
        assert_eq!(try_(&good).expect("a result"), right);
    }
    // The database is away for longer than the worker would keep a job.
    cluster.stop();
    let red = wait_for_health(port, 503, &folder);
    assert!(red.contains("database: no answer for ") && red.contains("reach"), "{red}");
    cluster.resume();
    wait_for_health(port, 200, &folder);
    let metrics = told(port, "/metrics").expect("metrics");
    // Each bad result was computed again.
    for line in [r#"opml_jobs_total{outcome="done"} 4"#, r#"{outcome="failed"} 13"#, "opml_running_jobs 0"] {
        assert!(metrics.contains(line), "{metrics}");
    }
    assert!(metrics.contains("opml_waiting_jobs 0") && metrics.contains("opml_database_errors_total "));
}

#[test]
fn players_in_a_database_leave_work_to_others_and_one_follows_the_other() {
    let (net, cluster) = (Net::start(), Cluster::start());
    let url = cluster.url();
    let _workers = [(); 2].map(|()| net.play(VALIDATOR, &["work", "net.opml", "--database", &url]));
    let watch = ["watch", "net.opml", "--poll", "100", "--database", &url];
    let serve = ["serve", "net.opml", "--poll", "100", "--cheat", "output", "--state", "liar"];
    let first = net.play(VALIDATOR, &watch);
    let wait = |words: &str| {
        let start = Instant::now();
        while !log(&net.folder).contains(words) {
            assert!(start.elapsed() < PATIENCE, "nobody says '{words}': {}", log(&net.folder));
            std::thread::sleep(Duration::from_millis(50));
        }
    };
    wait("role validator");
    // A second one with the same key waits.
    let _second = net.play(VALIDATOR, &watch);
    wait("waiting until it ends");
    let _liar = net.play(SERVER, &serve);
    let id = net.request(&[]);
    net.wait(&id, "in the middle of a game", |status| !events(status, "moved").is_empty());
    // The machine is lost, and its lease is over.
    first.kill();
    cluster.query("UPDATE opml_leases SET until = clock_timestamp()");
    let status = net.wait_final(&id);
    assert_eq!(events(&status, "game over"), ["the challenger has won"], "{status:#}");
    assert_eq!(events(&status, "answered").len(), 2, "{status:#}");
    assert_eq!(net.digit(&id), 7);
    let done = cluster.query("SELECT count(*) FROM opml_jobs WHERE result IS NOT NULL")[0].parse::<u32>();
    assert!(done.expect("a number") >= 3, "results, challenges and moves: {}", log(&net.folder));
    wait("took a job: find a move");
    // A player that was taken for lost says so and ends, so that nobody has two.
    cluster.query("UPDATE opml_leases SET holder = 'another', until = clock_timestamp() + interval '1 hour'");
    wait("belongs to another player");
}

#[test]
fn a_command_says_what_is_wrong_with_its_database() {
    let folder = Folder::with_net("mnist-mlp");
    let fails = |args: &[&str], status: i32, words: &[&str]| {
        let output = command(&folder, Some(SERVER)).args(args).output().expect("opml starts");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(status), "{said}");
        assert!(words.iter().all(|word| said.contains(word)) && !said.contains("secret-of-mine"), "{said}");
    };
    let away = "postgres://opml:secret-of-mine@127.0.0.1:1/opml";
    fails(
        &["work", "net.opml", "--database", away],
        1,
        &["cannot reach the database", "is PostgreSQL running"],
    );
    fails(&["work", "net.opml", "--database", "http://secret-of-mine"], 2, &["postgres://"]);
    fails(&["work", "net.opml"], 2, &["--database"]);
    fails(&["work", "net.opml", "--database", away, "--lease", "x"], 2, &["--lease"]);
    folder.write("opml.toml", format!("models = ['net.opml']\ndatabase = '{away}'\n"));
    Command::new("chmod").args(["644"]).arg(folder.path("opml.toml")).status().expect("chmod");
    fails(&["serve", "--config", "opml.toml"], 1, &["chmod 600"]);
}
