//! `opml serve` and `opml watch`: run the players.

use crate::cli::{Cheat, LogFormat, Playing, Serve, Watch};
use crate::failure::{Failure, Kind};
use crate::images::load;
use crate::lies::{liar, lies};
use crate::network::{block_on, nodes, signer, unreachable};
use crate::output::{Output, create_private_folder};
use crate::{log, metrics};
use chain::{Fees, GWEI, PrivateKeySigner, Store, StoreError};
use contracts::U256;
use native::{Native, NativeError};
use players::{Config, Health, LoadedModel, Player, PlayerError, Role, Tamper, Workers};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// How long a node may take for an answer. Then the next one is asked.
const TIMEOUT: Duration = Duration::from_secs(8);

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
    if let (true, Some(file)) = (args.models.is_empty(), &args.config) {
        let failure = Failure::usage(format!("no model is given: {} has no `models`", file.display()));
        return Err(failure.hint("add models = [\"model.opml\"], or give images on the command line"));
    }
    let key = signer(&args.key)?;
    log::start(args.log_format.unwrap_or(if output.is_json() { LogFormat::Json } else { LogFormat::Human }))?;
    let models = args.models.iter().map(|path| load_model(path, args)).collect::<Result<Vec<_>, _>>()?;
    create_private_folder(&args.state)?;
    block_on(async {
        let health = Arc::new(Health::default());
        if let Some(address) = args.metrics {
            metrics::start(address, Arc::clone(&health)).await?;
        }
        if let Some(mut player) = player(args, role, key, models, health).await? {
            player.run(interrupted()).await;
        }
        tracing::info!("stopped");
        Ok(())
    })
}

/// The player; none if it was stopped before a node answered.
async fn player(
    args: &Playing,
    role: Role,
    key: PrivateKeySigner,
    models: Vec<LoadedModel>,
    health: Arc<Health>,
) -> Result<Option<Player>, Failure> {
    let (deployment, nodes) = nodes(&args.network, TIMEOUT)?;
    // A restarted test chain has the same ID and the same addresses, but another history.
    let chain = &deployment.block_hash.to_string()[2..10];
    let name = format!("{}-{chain}-{}-{}.redb", deployment.chain_id, deployment.service, key.address());
    let path = args.state.join(name);
    let store = Store::open(&path).map_err(|error| {
        let (advice, kind) = (error.advice(), kind(&error));
        let failure = Failure::about(&path, error).of_kind(kind);
        match advice {
            Some(advice) => failure.hint(advice),
            None => failure,
        }
    })?;
    let config = Config {
        deployment: deployment.clone(),
        role,
        reserve_price: args.reserve_price.0,
        workers: Workers::Threads,
        fees: Fees { cap: args.max_fee.0, tip: GWEI },
        poll_interval: Duration::from_millis(args.poll),
        inputs: Some(args.inputs.clone().unwrap_or_else(|| args.state.join("inputs"))),
        at_once: args.prove_at_once,
        tamper: args.cheat.map(tamper),
        silent: args.cheat == Some(Cheat::Silent),
        health,
        max_memory: args.limits.max_memory,
    };
    Player::start(config, nodes, key, Arc::new(store), models, interrupted()).await.map_err(|error| {
        match error {
            PlayerError::Node(error) => unreachable(&args.network, &deployment, error),
            PlayerError::Store(cause) => {
                let kind = kind(&cause);
                Failure::from_error(cause).of_kind(kind)
            }
            error => Failure::from_error(error),
        }
    })
}

/// What a supervisor should do about a state file: start the player again, or leave it to people.
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

/// A model to play for. It runs natively if its image has a program, otherwise on the machine. The player checks
/// a large image before it uses it.
fn load_model(path: &Path, args: &Playing) -> Result<LoadedModel, Failure> {
    let image = load(path)?;
    let name = path.file_stem().unwrap_or_default().to_string_lossy();
    let native = match Native::of(&image, args.threads) {
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
        Some(_) => args.limits.admit_big_steps(&image.big_steps())?,
        None => args.limits.admit(&image.big_steps())?,
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
