//! The player's slow work: results, challenges and replies are computed on other threads, or by other machines. What
//! fails is tried again after a pause.

use crate::book::BookError;
use crate::duty::Case;
use crate::inputs::root;
use crate::model::{Computed, LoadedModel, is_by_root, region_root};
use crate::player::{Player, PlayerError};
use crate::show::Short;
use crate::task::{Found, Task};
use crate::work::{Inference, Inferences, WorkError};
use crate::worker::leave;
use chain::{Ether, Event, Queue};
use contracts::{B256, Bytes, IInferenceService, Input, Request, Source, Standing, U256};
use std::collections::HashMap;
use std::fmt::{Debug, Formatter};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::{AbortHandle, JoinError, JoinSet};
use tokio::time::Instant;

/// How many results are computed at the same time, here and by other machines.
const MOST_RESULTS: usize = 4;
const MOST_RESULTS_ELSEWHERE: usize = 64;
/// How many earlier answers are looked for at each look.
const MOST_FETCHED: usize = 4;
/// How many failed jobs are remembered.
const MOST_FAILED: usize = 10_000;
/// The longest pause before a failed job is tried again.
const LONGEST_PAUSE: Duration = Duration::from_secs(300);

/// Where models are run.
#[derive(Clone)]
pub enum Workers {
    /// On other threads.
    Threads,
    /// By other machines, which take jobs from a database. What they can't do is done on other threads.
    Elsewhere(Arc<Queue>),
    /// On this thread, after so much time: for simulations, in which time is not real.
    Here(Duration),
}

impl Debug for Workers {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Threads => f.write_str("Threads"),
            Self::Elsewhere(_) => f.write_str("Elsewhere"),
            Self::Here(pause) => f.debug_tuple("Here").field(pause).finish(),
        }
    }
}

/// Something to compute, and for which request or game.
#[derive(Debug, Clone)]
pub(crate) struct Job {
    /// The job's name. It does not run twice at the same time.
    name: String,
    /// The request's number and hash.
    request: U256,
    hash: B256,
    /// The model's name.
    model: String,
    /// When something may be too late, in seconds since 1970.
    deadline: u64,
    /// Whether it is a result that is there in a moment. Then it need not be in the log: the answer or the check is.
    quick: bool,
}

/// A job that runs.
struct Running {
    request: U256,
    is_result: bool,
    abort: AbortHandle,
}

/// What a job comes to.
pub(crate) type Done = (Job, Result<Found, WorkError>);

/// The jobs.
pub(crate) struct Jobs {
    workers: Workers,
    set: JoinSet<Done>,
    running: HashMap<String, Running>,
    /// How often jobs have failed, and when they may be tried again.
    failed: HashMap<String, (u32, Instant)>,
}

impl Jobs {
    pub(crate) fn new(workers: Workers) -> Self {
        let (set, running, failed) = Default::default();
        Self { workers, set, running, failed }
    }

    /// The next job that is over. Never, if there are none.
    pub(crate) async fn next(&mut self) -> Result<Done, JoinError> {
        match self.set.join_next().await {
            Some(done) => done,
            None => std::future::pending().await,
        }
    }

    /// A job that is over.
    pub(crate) fn try_next(&mut self) -> Option<Result<Done, JoinError>> {
        self.set.try_join_next()
    }

    /// How many failed jobs are remembered.
    pub(crate) fn failed(&self) -> usize {
        self.failed.len()
    }

    /// Whether another result can be computed. Requests cost their authors little, but runs take memory. Games are not
    /// limited like this, since each costs a bond.
    fn has_room(&self) -> bool {
        let most = match self.workers {
            Workers::Elsewhere(_) => MOST_RESULTS_ELSEWHERE,
            _ => MOST_RESULTS,
        };
        self.running.values().filter(|running| running.is_result).count() < most
    }

    /// Starts a job, unless it is running or has failed just now; returns whether it did.
    fn start(&mut self, job: Job, inference: Arc<Inference>, task: Task) -> bool {
        let waits = self.failed.get(&job.name).is_some_and(|(_, until)| *until > Instant::now());
        if waits || self.running.contains_key(&job.name) {
            return false;
        }
        let (name, request, is_result) = (job.name.clone(), job.request, task == Task::Result);
        let abort = match &self.workers {
            Workers::Here(pause) => {
                let pause = *pause;
                self.set.spawn(async move {
                    tokio::time::sleep(pause).await;
                    (job, inference.run(&task))
                })
            }
            Workers::Elsewhere(queue) if let Some(parcel) = inference.parcel(&task) => {
                let queue = Arc::clone(queue);
                self.set.spawn(async move {
                    let done = leave(&queue, inference.model(), parcel, job.deadline).await;
                    (job, done)
                })
            }
            _ => self.set.spawn_blocking(move || (job, inference.run(&task))),
        };
        self.running.insert(name, Running { request, is_result, abort });
        true
    }

    /// Notes that a job is over. Says whether it was still wanted.
    fn end(&mut self, job: &Job) -> bool {
        self.running.remove(&job.name).is_some()
    }

    /// Forgets the jobs for a request.
    pub(crate) fn forget(&mut self, request: U256) {
        for (_, running) in self.running.extract_if(|_, running| running.request == request) {
            // What runs on a thread runs to its end.
            running.abort.abort();
        }
    }

    /// Notes that a job has failed. Returns the pause before it is tried again: the longer, the more often it failed,
    /// since most runs give the same result every time.
    fn fail(&mut self, job: &Job) -> Duration {
        let now = Instant::now();
        if self.failed.len() >= MOST_FAILED {
            self.failed.retain(|_, (_, until)| *until > now);
        }
        let times = self.failed.get(&job.name).map_or(0, |(times, _)| *times).saturating_add(1);
        let pause = Duration::from_secs(1).saturating_mul(2u32.saturating_pow(times)).min(LONGEST_PAUSE);
        self.failed.insert(job.name.clone(), (times, now + pause));
        pause
    }
}

impl Player {
    /// Computes the result of a request.
    pub(crate) fn compute(&mut self, case: &Case) -> Result<(), PlayerError> {
        if !self.jobs.has_room() || self.awaits_check(case) {
            return Ok(());
        }
        let Some(inference) = self.inference(case)? else { return Ok(()) };
        let (request, quick) = (case.id, self.is_quick(case));
        let job = Job { quick, ..self.job(format!("result/{}", case.hash), case) };
        let model = job.model.clone();
        if self.jobs.start(job, inference, Task::Result) && !quick {
            let eth = Ether(case.request.as_ref().map_or(U256::ZERO, |request| U256::from(request.fee)));
            match case.answer.standing {
                Standing::Pending => {
                    tracing::info!(%request, model, "computing the result, to check the answer")
                }
                _ => tracing::info!(%request, model, %eth, "computing the result, to answer the request"),
            }
        }
        Ok(())
    }

    /// Whether the result of a request is there in a moment.
    fn is_quick(&self, case: &Case) -> bool {
        const MOST_NANOSECONDS: u64 = 1_000_000_000;
        let (Some(model), Some(request)) = (self.model(case), &case.request) else { return false };
        let run = model.native.as_ref().and_then(|native| native.repeated(request.repetitions).ok());
        run.is_some_and(|run| run.expected() <= MOST_NANOSECONDS)
    }

    /// A job for a request.
    pub(crate) fn job(&self, name: String, case: &Case) -> Job {
        let (model, deadline) = (self.model_name(case), case.deadline(self.terms.window.into()));
        Job { name, request: case.id, hash: case.hash, model, deadline, quick: false }
    }

    /// Starts a job; returns whether it did.
    pub(crate) fn start_job(&mut self, job: Job, inference: Arc<Inference>, task: Task) -> bool {
        self.jobs.start(job, inference, task)
    }

    /// Takes the result of a job.
    pub(crate) fn take(&mut self, done: Result<Done, JoinError>) {
        let (job, result) = match done {
            Ok(done) => done,
            Err(error) if error.is_cancelled() => return,
            Err(_) => return tracing::error!("a thread panicked; please report this"),
        };
        if !self.jobs.end(&job) {
            return;
        }
        let Job { ref name, request, hash, ref model, .. } = job;
        self.view.wake_at(request, 0);
        match result {
            Ok(Found::Result(mut computed)) => {
                let (result, bytes) = (Short(computed.result), computed.bytes());
                if !job.quick {
                    tracing::info!(%request, model, %result, bytes, "computed the result");
                }
                // It may have been forgotten meanwhile.
                let Some(asked) = self.view.book.request(hash) else { return };
                let by_root = asked.request.byRoot;
                self.keep_outputs(by_root, &computed);
                computed.forget(by_root);
                self.results.insert(hash, computed);
            }
            Ok(Found::Opening(opening)) => {
                self.openings.insert(name.clone(), opening);
            }
            Ok(Found::Reply(data)) => {
                if data.is_none() {
                    tracing::warn!(%request, model, "all claims of the opponent are true: there is no reply");
                }
                self.replies.insert(name.clone(), data);
            }
            Err(error) => {
                let pause = self.jobs.fail(&job);
                tracing::error!(%request, model, %error, ?pause, "the computation failed; trying again");
                metrics::counter!("opml_failed_computations_total").increment(1);
                if error.is_memory() {
                    self.inferences.free();
                }
            }
        }
    }

    /// Whether the model of a request may not run yet.
    pub(crate) fn awaits_check(&mut self, case: &Case) -> bool {
        let waits = case.request.as_ref().is_some_and(|request| !self.checks.admit(request.model));
        if waits && self.notes.is_new(case.id, "check") {
            let (request, model) = (case.id, self.model_name(case));
            tracing::info!(%request, model, "waiting until the image is checked");
        }
        waits
    }

    /// The inference for a request, if the model and the input are available.
    pub(crate) fn inference(&mut self, case: &Case) -> Result<Option<Arc<Inference>>, BookError> {
        let (Some(model), Some(request)) = (self.model(case), &case.request) else { return Ok(None) };
        let Request { inputs: commitment, model: id, repetitions, .. } = *request;
        let name = Inferences::name(commitment, id, repetitions);
        if let Some(inference) = self.inferences.find(name) {
            return Ok(Some(inference));
        }
        let Some((given, _)) = self.view.book.given(case.id, case.hash)? else { return Ok(None) };
        let Some(inputs) = self.bytes_of(case, &model, given) else { return Ok(None) };
        if !Inference::are_inputs(&model, &inputs, commitment) {
            if self.notes.is_new(case.id, "other inputs") {
                tracing::warn!(request = %case.id, model = model.name, "the inputs are not those of the request");
            }
            return Ok(None);
        }
        let (tamper, max_memory) = (self.config.tamper.clone(), self.config.max_memory);
        let new = Inference::new(model, repetitions, inputs, tamper, max_memory);
        Ok(Some(self.inferences.keep(name, new)))
    }

    /// The bytes of the inputs of a request, if all are known.
    fn bytes_of(&mut self, case: &Case, model: &LoadedModel, given: Vec<Input>) -> Option<Vec<Bytes>> {
        let mut inputs = Vec::new();
        for (region, input) in model.inputs().iter().zip(given) {
            inputs.push(match input.source {
                Source::Bytes => input.data,
                _ => {
                    let root = contracts::word(root(region, &input)?);
                    let Some(bytes) = self.preimages.find(root, region) else {
                        self.warn_of_missing(case, model, inputs.len(), root);
                        if let Some(earlier) = earlier(&input) {
                            self.wanted.insert(root, (earlier, *region));
                        }
                        return None;
                    };
                    bytes
                }
            });
        }
        Some(inputs)
    }

    /// Warns once of an input without which a request can't be run.
    fn warn_of_missing(&mut self, case: &Case, model: &LoadedModel, input: usize, root: B256) {
        if self.notes.is_new(case.id, &format!("input/{root}")) {
            let folder = self.config.inputs.as_deref().unwrap_or(std::path::Path::new("DIR"));
            let file = folder.join(format!("{root}.bin"));
            tracing::warn!(
                request = %case.id, model = model.name, input, file = %file.display(),
                "the bytes of an input are missing: the request doesn't show them, and there is no file with them"
            );
        }
    }

    /// Gets the bytes of inputs that earlier answers show, a few at each look, in any order. They are found at the
    /// next look; what a node doesn't have now is asked for again.
    pub(crate) async fn fetch_wanted(&mut self) -> Result<(), PlayerError> {
        for (root, (request, region)) in std::mem::take(&mut self.wanted).into_iter().take(MOST_FETCHED) {
            let Some(block) = self.view.book.answered_in(request)? else { continue };
            let (logs, _) = self.node.logs(self.config.deployment.service, block, block, 0).await?;
            let answers = logs.iter().filter_map(Event::<IInferenceService::Answered>::of);
            let outputs =
                answers.filter(|event| event.data.id == request).flat_map(|event| event.data.outputs);
            for bytes in outputs.filter(|bytes| bytes.len() as u64 <= 1 << region.subtree.bits()) {
                if contracts::word(region_root(&region, &bytes)) == root {
                    self.keep(root, &bytes);
                }
            }
        }
        Ok(())
    }

    /// Keeps the outputs that are answered by root: a later request may take them as inputs.
    fn keep_outputs(&mut self, by_root: u64, computed: &Computed) {
        for (output, _) in computed.outputs.iter().zip(0..).filter(|(_, index)| is_by_root(by_root, *index)) {
            self.keep(contracts::word(output.root), &output.bytes);
        }
    }

    fn keep(&mut self, root: B256, bytes: &Bytes) {
        if let Err(error) = self.preimages.keep(root, bytes) {
            tracing::error!(%root, %error, "cannot keep an output, which later requests may need");
        }
    }
}

/// The request whose result an input is taken from.
fn earlier(input: &Input) -> Option<U256> {
    let first = input.data.get(..32).filter(|_| input.source == Source::Result)?;
    Some(U256::from_be_slice(first))
}
