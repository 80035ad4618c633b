//! Work that machines share: players leave tasks in a database, and workers, which have neither a key nor a node, do
//! them.

use crate::check::Checks;
use crate::health::Health;
use crate::model::{LoadedModel, inputs_commitment};
use crate::player::PlayerError;
use crate::show::Short;
use crate::task::{Found, Parcel, Task};
use crate::work::{Inference, Inferences, WorkError};
use chain::{MOST_JOB_BYTES, Order, Progress, Queue, Store, StoreError, Taken};
use contracts::B256;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};

/// How often it is looked whether there is a job, or whether it is done.
const GLANCE: Duration = Duration::from_millis(250);
/// How often a player says that it still wants a job. One that nobody asks for isn't done.
const ASKED_EVERY: Duration = Duration::from_secs(15);
/// The longest pause while the database is away.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

// ---- What a player does

/// Leaves a task to other machines, and waits for what it comes to. While the database is away, it waits for that too.
pub async fn leave(
    queue: &Queue,
    model: &LoadedModel,
    parcel: Parcel,
    deadline: u64,
) -> Result<Found, WorkError> {
    let order = Order::new(parcel.model, parcel.pack(), deadline);
    let (mut asked, mut failures) = (None::<Instant>, 0u32);
    loop {
        let looked = look(queue, &order, &mut asked).await;
        failures = if looked.is_ok() { 0 } else { failures.saturating_add(1) };
        match looked {
            Ok(Progress::Done(bytes)) => {
                match Found::unpack(&bytes).filter(|found| found.fits(&parcel.task, model)) {
                    Some(found) => return Ok(found),
                    // Done once more, it is hopefully right.
                    None => {
                        let _ = queue.discard(&order).await;
                        return Err(WorkError::Worker("what the database has is damaged".to_owned()));
                    }
                }
            }
            Ok(Progress::Failed(reason)) => return Err(WorkError::Worker(reason)),
            Ok(Progress::Waiting) => {}
            Ok(Progress::Unknown) => asked = None,
            Err(error) => complain(&error, failures),
        }
        sleep(pause(failures)).await;
    }
}

/// Looks what has become of a job, and orders it, or asks for it again, when that is due.
async fn look(queue: &Queue, order: &Order, asked: &mut Option<Instant>) -> Result<Progress, StoreError> {
    match asked {
        None => queue.order(order).await?,
        Some(at) if at.elapsed() >= ASKED_EVERY => queue.ask_again(order).await?,
        Some(_) => return queue.look(order).await,
    }
    *asked = Some(Instant::now());
    queue.look(order).await
}

/// The pause before the next try.
fn pause(failures: u32) -> Duration {
    GLANCE.saturating_mul(2u32.saturating_pow(failures)).min(LONGEST_PAUSE)
}

/// Says that the database fails, and not for each of a thousand times.
fn complain(error: &StoreError, failures: u32) {
    if failures.is_power_of_two() {
        tracing::warn!(%error, advice = error.advice(), failures, "the database with the jobs fails; trying again");
    }
}

// ---- What a worker does

/// Does tasks that players have left.
pub struct Worker {
    queue: Arc<Queue>,
    models: HashMap<B256, Arc<LoadedModel>>,
    checks: Checks,
    inferences: Inferences,
    config: WorkerConfig,
    /// What the database has still to be told.
    done: Vec<(String, Outcome)>,
}

/// How a worker works.
pub struct WorkerConfig {
    /// How many tasks it does at the same time.
    pub most: usize,
    /// How many bytes of memory the process may hold.
    pub max_memory: Option<u64>,
    /// The time between two signs of life.
    pub beat: Duration,
    /// Who is told how it is.
    pub health: Arc<Health>,
}

/// A job that is being done.
struct Job {
    name: String,
    /// The name of its model.
    model: String,
}

/// What a job came to, packed.
type Outcome = Result<Vec<u8>, String>;

impl Worker {
    /// A worker with these models. The store has which images were checked before.
    pub fn new(
        queue: Arc<Queue>,
        store: Store,
        models: Vec<LoadedModel>,
        config: WorkerConfig,
    ) -> Result<Self, PlayerError> {
        let models: HashMap<B256, Arc<LoadedModel>> =
            models.into_iter().map(|model| (model.id(), Arc::new(model))).collect();
        for (id, model) in &models {
            let runs = if model.native.is_some() { "natively" } else { "in the machine" };
            tracing::info!(model = model.name, %id, runs, "the model is ready");
        }
        let checks = Checks::start(Arc::new(store), &models, Arc::clone(&config.health))?;
        let (inferences, done) = Default::default();
        Ok(Self { queue, models, checks, inferences, config, done })
    }

    /// Works until `stop` completes. Then others get what it has not done.
    pub async fn run(&mut self, stop: impl Future<Output = ()>) {
        tokio::pin!(stop);
        let (mut running, mut jobs) = (JoinSet::new(), HashMap::new());
        let mut beats = interval(self.config.beat);
        beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut failures = 0;
        loop {
            let told = tokio::select! {
                () = &mut stop => break,
                _ = beats.tick() => self.beat(&jobs).await,
                Some(over) = running.join_next_with_id() => {
                    self.take(over, &mut jobs);
                    self.look(&mut running, &mut jobs).await
                }
                () = sleep(pause(failures)) => self.look(&mut running, &mut jobs).await,
            };
            metrics::gauge!("opml_running_jobs").set(jobs.len() as f64);
            match told {
                Ok(()) => failures = 0,
                Err(error) => {
                    failures += 1;
                    complain(&error, failures);
                }
            }
        }
        let names: Vec<String> = jobs.into_values().map(|job| job.name).collect();
        if !names.is_empty() {
            tracing::info!(jobs = names.len(), "stopping: others get what is not done");
        }
        // If that fails, they get it when the lease is over.
        match timeout(LONGEST_PAUSE, self.queue.hand_back(names)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "cannot give the jobs back"),
            Err(_) => tracing::warn!("cannot give the jobs back: the database doesn't answer"),
        }
    }

    /// Notes whether the database answers.
    fn heard<T>(&self, answer: Result<T, StoreError>) -> Result<T, StoreError> {
        self.config.health.heard(answer.as_ref().err().map(ToString::to_string));
        answer
    }

    /// The models that it may run by now.
    fn admitted(&self) -> Vec<B256> {
        self.models.keys().copied().filter(|&model| self.checks.admit(model)).collect()
    }

    /// Gives a sign of life, and looks how much there is to do.
    async fn beat(&self, jobs: &HashMap<tokio::task::Id, Job>) -> Result<(), StoreError> {
        let names = jobs.values().map(|job| job.name.clone()).collect();
        self.heard(self.queue.beat(names).await)?;
        let waiting = self.heard(self.queue.waiting(&self.admitted()).await)?;
        metrics::gauge!("opml_waiting_jobs").set(waiting as f64);
        Ok(())
    }

    /// Takes jobs, if there are some and it may take more.
    async fn look(
        &mut self,
        running: &mut JoinSet<Outcome>,
        jobs: &mut HashMap<tokio::task::Id, Job>,
    ) -> Result<(), StoreError> {
        self.tell().await?;
        self.checks.follow(&mut self.models)?;
        while jobs.len() < self.config.most {
            let taken = self.heard(self.queue.take(&self.admitted()).await)?;
            let Some(taken) = taken else { break };
            let name = taken.name.clone();
            match self.prepare(&taken) {
                Some((inference, parcel)) => {
                    let (about, task) = (Short(parcel.model), what(&parcel.task));
                    let model = inference.model().name.clone();
                    tracing::info!(job = short(&name), model, %about, "took a job: {task}");
                    let id = running.spawn_blocking(move || packed(inference.run(&parcel.task)));
                    jobs.insert(id.id(), Job { name, model });
                }
                None => {
                    let reason = "it is not a job about a model with its inputs";
                    tracing::warn!(job = short(&name), "cannot do a job: {reason}");
                    self.over(name, Err(reason.to_owned()));
                }
            }
        }
        self.tell().await
    }

    /// What is to be run; `None` if the job makes no sense.
    fn prepare(&mut self, taken: &Taken) -> Option<(Arc<Inference>, Parcel)> {
        let parcel = Parcel::unpack(&taken.job).filter(|_| taken.is_whole())?;
        let model = self.models.get(&parcel.model)?;
        let commitment = inputs_commitment(model.inputs(), &parcel.inputs)?;
        let name = Inferences::name(commitment, parcel.model, parcel.repetitions);
        // A player's next move in a game goes on where the last one has left the machine.
        let inference = self.inferences.find(name).unwrap_or_else(|| {
            let (model, inputs) = (Arc::clone(model), parcel.inputs.clone());
            let new = Inference::new(model, parcel.repetitions, inputs, None, self.config.max_memory);
            self.inferences.keep(name, new)
        });
        Some((inference, parcel))
    }

    /// Takes what a job came to.
    fn take(
        &mut self,
        over: Result<(tokio::task::Id, Outcome), JoinError>,
        jobs: &mut HashMap<tokio::task::Id, Job>,
    ) {
        let (id, done) = match over {
            Ok(over) => over,
            Err(error) => (error.id(), Err(WorkError::BrokenOff.to_string())),
        };
        let Some(Job { name, model }) = jobs.remove(&id) else { return };
        match &done {
            Ok(bytes) => tracing::info!(job = short(&name), model, bytes = bytes.len(), "did a job"),
            Err(error) => {
                tracing::error!(job = short(&name), model, error, "cannot do a job; others may try");
                // It may have been the memory.
                self.inferences.free();
            }
        }
        self.config.health.worked(model, done.as_ref().err().cloned());
        self.over(name, done);
    }

    /// Counts what a job came to; the database is told later.
    fn over(&mut self, name: String, outcome: Outcome) {
        let how = if outcome.is_ok() { "done" } else { "failed" };
        metrics::counter!("opml_jobs_total", "outcome" => how).increment(1);
        self.done.push((name, outcome));
    }

    /// Tells the database what is done.
    async fn tell(&mut self) -> Result<(), StoreError> {
        while let Some((name, done)) = self.done.last().cloned() {
            self.heard(match done {
                Ok(result) => self.queue.finish(name, result).await,
                Err(reason) => self.queue.fail(name, reason).await,
            })?;
            self.done.pop();
        }
        Ok(())
    }
}

/// What a task came to, packed, or why nothing did.
fn packed(done: Result<Found, WorkError>) -> Outcome {
    let bytes = done.map_err(|error| error.to_string())?.pack();
    match bytes.len() <= MOST_JOB_BYTES {
        true => Ok(bytes),
        false => Err("what it came to is too large for the database".to_owned()),
    }
}

/// A job's name, shortened. It comes from the database.
fn short(name: &str) -> String {
    name.chars().take(10).collect()
}

/// A task for people.
fn what(task: &Task) -> &'static str {
    match task {
        Task::Result => "compute a result",
        Task::Opening { .. } => "prepare a challenge",
        Task::Reply(_) => "find a move",
    }
}
