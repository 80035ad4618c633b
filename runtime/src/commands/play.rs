//! `opml serve` and `opml watch`: run the players.

use crate::cli::{Cheat, Limits, LogFormat, Playing, Running, Serve, Watch};
use crate::failure::{Failure, Kind};
use crate::images::load;
use crate::lies::{liar, lies};
use crate::network::{block_on, nodes, signer, unreachable};
use crate::output::{Output, create_private_folder};
use crate::{log, metrics};
use chain::{Deployment, Fees, GWEI, PrivateKeySigner, Queue, Store, StoreError};
use contracts::U256;
use native::{Native, NativeError};
use players::{Config, Health, LoadedModel, Player, PlayerError, Role, Tamper, Workers};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// How long a node may take for an answer. Then the next one is asked.
const TIMEOUT: Duration = Duration::from_secs(8);
/// How long a player in a database keeps its state when nothing is heard of it.
const LEASE: Duration = Duration::from_secs(30);

/// Answers requests.
pub fn serve(args: &Serve, output: Output) -> Result<(), Failure> {
    play(
        &args.playing,
        Role { answers: Some(U256::from(args.min_fee.0)), challenges: false, repairs: false },
        output,
    )
}

/// Challenges wrong answers.
pub fn watch(args: &Watch, output: Output) -> Result<(), Failure> {
    play(&args.playing, Role { answers: None, challenges: true, repairs: !args.no_answers }, output)
}

fn play(args: &Playing, role: Role, output: Output) -> Result<(), Failure> {
    if args.cheat == Some(Cheat::Challenger) {
        return Err(Failure::usage("--cheat challenger is for `opml dispute`")
            .hint("`opml watch --cheat output` is a challenger that lies"));
    }
    require_models(&args.running)?;
    let key = signer(&args.key)?;
    let models = begin(&args.running, output)?;
    create_private_folder(&args.state)?;
    block_on(async {
        let health = watched(&args.running, Health::default()).await?;
        if let Some(mut player) = player(args, role, key, models, health).await? {
            player.run(interrupted()).await.map_err(|error| match error.of_store() {
                Some(cause) => about_store(cause),
                None => Failure::from_error(error),
            })?;
        }
        tracing::info!("stopped");
        Ok(())
    })
}

/// Refuses a file with options that names no models.
pub fn require_models(args: &Running) -> Result<(), Failure> {
    match &args.config {
        Some(file) if args.models.is_empty() => {
            let failure = Failure::usage(format!("no model is given: {} has no `models`", file.display()));
            Err(failure.hint("add models = [\"model.opml\"], or give images on the command line"))
        }
        _ => Ok(()),
    }
}

/// Starts the log, and loads the models.
pub fn begin(args: &Running, output: Output) -> Result<Vec<LoadedModel>, Failure> {
    let usual = if output.is_json() { LogFormat::Json } else { LogFormat::Human };
    log::start(args.log_format.unwrap_or(usual))?;
    args.models.iter().map(|path| load_model(path, args.threads, &args.limits)).collect()
}

/// A health that others can ask for from now on, if that is wanted.
pub async fn watched(args: &Running, health: Health) -> Result<Arc<Health>, Failure> {
    let health = Arc::new(health);
    if let Some(address) = args.metrics {
        metrics::start(address, Arc::clone(&health)).await?;
    }
    Ok(health)
}

/// The player; none if it was stopped before a node answered, or before it could have its state.
async fn player(
    args: &Playing,
    role: Role,
    key: PrivateKeySigner,
    models: Vec<LoadedModel>,
    health: Arc<Health>,
) -> Result<Option<Player>, Failure> {
    let (deployment, nodes) = nodes(&args.network, TIMEOUT)?;
    let (store, workers) = match &args.database {
        None => {
            let path = args.state.join(player_name(&deployment, &key) + ".redb");
            (Some(state_file(&path)?), Workers::Threads)
        }
        Some(url) => {
            let queue = Queue::open(url, LEASE).map_err(|error| about_store(&error))?;
            let store = shared(url, &player_name(&deployment, &key)).await?;
            (store, Workers::Elsewhere(Arc::new(queue)))
        }
    };
    let Some(store) = store else { return Ok(None) };
    let config = Config {
        deployment: deployment.clone(),
        role,
        reserve_price: args.reserve_price.0,
        workers,
        fees: Fees { cap: args.max_fee.0, tip: GWEI },
        poll_interval: Duration::from_millis(args.poll),
        inputs: Some(args.inputs.clone().unwrap_or_else(|| args.state.join("inputs"))),
        at_once: args.prove_at_once,
        tamper: args.cheat.map(tamper),
        silent: args.cheat == Some(Cheat::Silent),
        health,
        max_memory: args.running.limits.max_memory,
    };
    Player::start(config, nodes, key, Arc::new(store), models, interrupted()).await.map_err(|error| {
        match error {
            PlayerError::Node(error) => unreachable(&args.network, &deployment, error),
            PlayerError::Store(cause) => about_store(&cause),
            error => Failure::from_error(error),
        }
    })
}

/// What a player is called: the chain, the service and the key.
fn player_name(deployment: &Deployment, key: &PrivateKeySigner) -> String {
    // A restarted test chain has the same ID and the same addresses, but another history.
    let chain = &deployment.block_hash.to_string()[2..10];
    format!("{}-{chain}-{}-{}", deployment.chain_id, deployment.service, key.address())
}

/// A state file.
pub fn state_file(path: &Path) -> Result<Store, Failure> {
    Store::open(path).map_err(|error| {
        let Failure { kind, hint, .. } = about_store(&error);
        Failure { kind, hint, ..Failure::about(path, error) }
    })
}

/// The player's state in a database. Waits while another player has it; none if it was stopped meanwhile.
async fn shared(url: &str, name: &str) -> Result<Option<Store>, Failure> {
    let stop = interrupted();
    tokio::pin!(stop);
    let mut waits = false;
    loop {
        match Store::shared(url, name, LEASE) {
            Ok(store) => return Ok(Some(store)),
            Err(error @ StoreError::Taken(_)) if !waits => {
                waits = true;
                tracing::warn!(%error, "another player with this key is running: waiting until it ends");
            }
            Err(StoreError::Taken(_)) => {}
            Err(error) => return Err(about_store(&error)),
        }
        tokio::select! {
            () = &mut stop => return Ok(None),
            () = tokio::time::sleep(Duration::from_secs(1)) => {}
        }
    }
}

/// Why a state can't be used.
pub fn about_store(error: &StoreError) -> Failure {
    let failure = Failure::from_error(error).of_kind(kind(error));
    match error.advice() {
        Some(advice) => failure.hint(advice),
        None => failure,
    }
}

/// What a supervisor should do about a state: start the player again, or leave it to people.
fn kind(error: &StoreError) -> Kind {
    match error {
        StoreError::InUse | StoreError::Taken(_) => Kind::InUse,
        StoreError::Damaged(_) | StoreError::Version(_) | StoreError::Entry { .. } => Kind::Damaged,
        StoreError::Url(_) => Kind::Usage,
        StoreError::Io(_)
        | StoreError::Database(_)
        | StoreError::Unreachable(_)
        | StoreError::Refused { .. } => Kind::Failed,
    }
}

/// A model. It runs natively if its image has a program, otherwise on the machine. Whoever uses a large image checks it
/// before.
fn load_model(path: &Path, threads: usize, limits: &Limits) -> Result<LoadedModel, Failure> {
    let image = load(path)?;
    let name = path.file_stem().unwrap_or_default().to_string_lossy();
    let native = match Native::of(&image, threads) {
        Ok(native) => Some(native),
        Err(NativeError::NoProgram) => None,
        Err(error @ (NativeError::Isa(_) | NativeError::Threads(_))) => {
            return Err(Failure::about(path, error));
        }
        Err(error) => {
            tracing::warn!(model = %name, "{error}");
            None
        }
    };
    match native {
        Some(_) => limits.admit_big_steps(&image.big_steps())?,
        None => limits.admit(&image.big_steps())?,
    }
    let model = LoadedModel::new(image, native).map_err(|error| Failure::about(path, error))?;
    Ok(model.named(&name))
}

/// A way to lie about any inference.
fn tamper(cheat: Cheat) -> Tamper {
    Arc::new(move |loaded, fresh| {
        let fresh = || fresh().map_err(Failure::new);
        let lie = || {
            let mut honest = fresh()?;
            let changes = lies(&loaded.image, &mut honest, cheat)?;
            liar(&mut honest, fresh, &changes)
        };
        lie().map_err(|failure| failure.message)
    })
}

/// Waits for Ctrl-C or a termination signal.
pub async fn interrupted() {
    #[cfg(unix)]
    if let Ok(mut terminated) = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
        tokio::select! {
            _ = tokio::signal::ctrl_c() => {}
            _ = terminated.recv() => {}
        }
        return;
    }
    let _ = tokio::signal::ctrl_c().await;
}
