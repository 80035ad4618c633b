//! The player's slow work: results, challenges and replies are computed on other threads. What fails is tried
//! again after a pause.

use crate::book::BookError;
use crate::duty::Case;
use crate::inputs::root;
use crate::model::{Computed, LoadedModel, is_by_root, region_root};
use crate::player::{Player, PlayerError};
use crate::show::Short;
use crate::work::{Inference, WorkError};
use chain::{Ether, Event};
use contracts::{B256, Bytes, IInferenceService, Input, Request, Source, Standing, U256};
use game::{Challenge, Move};
use std::collections::{HashMap, HashSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::{JoinError, JoinSet};
use tokio::time::Instant;

/// How many results are computed at the same time.
const MOST_RESULTS: usize = 4;
/// The maximum number of runs that are kept.
const MOST_INFERENCES: usize = 16;
/// How many earlier answers are looked for at each look.
const MOST_FETCHED: usize = 4;
/// How many failed jobs are remembered.
const MOST_FAILED: usize = 10_000;
/// The longest pause before a failed job is tried again.
const LONGEST_PAUSE: Duration = Duration::from_secs(300);

/// Where models are run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Workers {
    /// On other threads.
    Threads,
    /// On this thread, after so much time: for simulations, in which time is not real.
    Here(Duration),
}

/// Something to compute, and for which request or game.
#[derive(Debug, Clone)]
pub(crate) struct Job {
    /// The job's name. It does not run twice at the same time.
    name: String,
    request: U256,
    /// The model's name.
    model: String,
    kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// A result; whether it is there in a moment. Then it need not be in the log: the answer or the check is.
    Result {
        quick: bool,
    },
    Other,
}

/// The result of a job.
pub(crate) enum Found {
    /// The result of the request with this hash.
    Result(B256, Computed),
    Opening(Challenge),
    Reply(Option<Move>),
}

/// What a job comes to.
pub(crate) type Done = (Job, Result<Found, WorkError>);

/// The jobs.
pub(crate) struct Jobs {
    workers: Workers,
    set: JoinSet<Done>,
    running: HashSet<String>,
    /// How many of them compute results.
    results: usize,
    /// How often jobs have failed, and when they may be tried again.
    failed: HashMap<String, (u32, Instant)>,
}

impl Jobs {
    pub(crate) fn new(workers: Workers) -> Self {
        let (set, running, failed) = Default::default();
        Self { workers, set, running, results: 0, failed }
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

    /// Starts a job, unless it is running or has failed just now; returns whether it did.
    fn start(&mut self, job: Job, work: impl FnOnce() -> Result<Found, WorkError> + Send + 'static) -> bool {
        let waits = self.failed.get(&job.name).is_some_and(|(_, until)| *until > Instant::now());
        if waits || !self.running.insert(job.name.clone()) {
            return false;
        }
        self.results += usize::from(job.kind != Kind::Other);
        let work = move || catch_unwind(AssertUnwindSafe(work)).unwrap_or(Err(WorkError::BrokenOff));
        match self.workers {
            Workers::Threads => {
                self.set.spawn_blocking(move || (job, work()));
            }
            Workers::Here(pause) => {
                self.set.spawn(async move {
                    tokio::time::sleep(pause).await;
                    (job, work())
                });
            }
        }
        true
    }

    /// Notes that a job is over.
    fn end(&mut self, job: &Job) {
        self.running.remove(&job.name);
        self.results -= usize::from(job.kind != Kind::Other);
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
        // Requests cost their authors little, but runs take memory. Games are not limited like this, since
        // each costs a bond.
        if self.jobs.results >= MOST_RESULTS || self.awaits_check(case) {
            return Ok(());
        }
        let Some(inference) = self.inference(case)? else { return Ok(()) };
        let (request, hash) = (case.id, case.hash);
        let quick = self.is_quick(case);
        let job = Job { kind: Kind::Result { quick }, ..self.job(format!("result/{hash}"), case) };
        let model = job.model.clone();
        let started = self.jobs.start(job, move || Ok(Found::Result(hash, inference.result()?)));
        if started && !quick {
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
        Job { name, request: case.id, model: self.model_name(case), kind: Kind::Other }
    }

    /// Starts a job; returns whether it did.
    pub(crate) fn start_job(
        &mut self,
        job: Job,
        work: impl FnOnce() -> Result<Found, WorkError> + Send + 'static,
    ) -> bool {
        self.jobs.start(job, work)
    }

    /// Takes the result of a job.
    pub(crate) fn take(&mut self, done: Result<Done, JoinError>) {
        let Ok((job, result)) = done else {
            return tracing::error!("a thread panicked; please report this");
        };
        self.jobs.end(&job);
        let Job { ref name, request, ref model, .. } = job;
        match result {
            Ok(Found::Result(hash, mut computed)) => {
                let (result, bytes) = (Short(computed.result), computed.bytes());
                if job.kind != (Kind::Result { quick: true }) {
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
            Ok(Found::Reply(move_)) => {
                if move_.is_none() {
                    tracing::warn!(%request, model, "all claims of the opponent are true: there is no reply");
                }
                self.replies.insert(name.clone(), move_);
            }
            Err(error) => {
                let pause = self.jobs.fail(&job);
                tracing::error!(%request, model, %error, ?pause, "the computation failed; trying again");
                metrics::counter!("opml_failed_computations_total").increment(1);
                if error.is_memory() {
                    self.inferences.retain(|_, inference| Arc::strong_count(inference) > 1);
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
        let key = [&commitment.0[..], &id.0, &repetitions.to_be_bytes()].concat();
        let key = B256::new(step::keccak(&key).0);
        if let Some(inference) = self.inferences.get(&key) {
            return Ok(Some(Arc::clone(inference)));
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
        let inference = Arc::new(Inference::new(model, repetitions, inputs, tamper, max_memory));
        // Machines are large, so those that no request needs are dropped.
        if self.inferences.len() >= MOST_INFERENCES {
            self.inferences.retain(|_, inference| Arc::strong_count(inference) > 1);
        }
        self.inferences.insert(key, Arc::clone(&inference));
        Ok(Some(inference))
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
