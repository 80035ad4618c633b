//! `opml status`: how a request stands, and how it came to that.

use crate::cli::Status;
use crate::failure::Failure;
use crate::network::{Session, block_on};
use crate::output::{Output, table};
use chain::{Event, Log};
use contracts::{Answer, IDisputeGame, IInferenceService, Standing, Terms, U256};
use players::game_of;
use serde_json::{Value, json};

/// Something that happened.
struct Happened {
    block: u64,
    what: &'static str,
    about: String,
}

/// Shows it.
pub fn run(args: &Status, output: Output) -> Result<(), Failure> {
    let id = U256::from(args.request);
    let (answer, terms, now, logs) = block_on(async {
        let session = Session::open(&args.network).await?;
        let answer = session.service(&IInferenceService::provisionalAnswerCall { id }).await?;
        let logs = session.events(session.deployment.service).await?;
        Ok((answer, session.terms().await?, session.head().await?.time, logs))
    })?;
    let history: Vec<Happened> = logs.iter().filter_map(|log| happened(id, log)).collect();
    if history.is_empty() {
        return Err(Failure::new(format!("there is no request {id}")).hint("`opml request` says the number"));
    }
    let standing = standing(&answer, history.iter().any(|happened| happened.what == "cancelled"));
    let left = (answer.posted.to::<u64>() + u64::from(terms.window)).saturating_sub(now);
    let events: Vec<Value> = history
        .iter()
        .map(|happened| json!({ "block": happened.block, "event": happened.what, "about": happened.about }))
        .collect();
    let object = json!({
        "request": args.request, "standing": standing, "asserter": answer.asserter, "output_root": answer.outputRoot,
        "attempt": answer.attempt, "open_games": answer.openGames,
        "window_ends_in": (answer.standing == Standing::Pending).then_some(left), "history": events,
    });
    output.result(&object, &text(args.request, standing, &answer, &terms, left, &history))
}

fn standing(answer: &Answer, cancelled: bool) -> &'static str {
    match answer.standing {
        _ if cancelled => "cancelled",
        Standing::Pending => "pending",
        Standing::Final => "final",
        Standing::Fallen => "fallen",
        _ => "open",
    }
}

fn text(id: u64, standing: &str, answer: &Answer, terms: &Terms, left: u64, history: &[Happened]) -> String {
    let mut rows = table(["block", "event", "about"]);
    for happened in history {
        rows.add_row([happened.block.to_string(), happened.what.to_owned(), happened.about.clone()]);
    }
    let now = match answer.standing {
        Standing::Pending => format!(
            "answer {} by {}: {} open games, {left} s of {} s left to challenge it",
            answer.attempt, answer.asserter, answer.openGames, terms.window
        ),
        Standing::Final => format!("answer {} by {} stands: {}", answer.attempt, answer.asserter, answer.outputRoot),
        Standing::Fallen => format!("answer {} by {} has lost a game", answer.attempt, answer.asserter),
        _ => "nobody has answered yet".to_owned(),
    };
    format!("request {id}: {standing}\n{now}\n\n{rows}")
}

/// An event that is about a request.
fn happened(id: U256, log: &Log) -> Option<Happened> {
    let of = |game: U256| game_of(game).0 == id;
    let new = |block, what, about| Some(Happened { block, what, about });
    if let Some(Event { data, block }) = Event::<IInferenceService::Requested>::of(log).filter(|e| e.data.id == id) {
        new(block, "requested", format!("by {}, listing {}", data.request.requester, data.listing))
    } else if let Some(Event { data, block }) =
        Event::<IInferenceService::Answered>::of(log).filter(|e| e.data.id == id)
    {
        new(block, "answered", format!("by {}: {}", data.asserter, data.outputRoot))
    } else if let Some(Event { data, block }) = Event::<IDisputeGame::Moved>::of(log).filter(|e| of(e.data.id)) {
        let game = data.game;
        let (mover, next) =
            if game.asserterMoves { (game.challenger, "asserter") } else { (game.asserter, "challenger") };
        let what = if game.inSteps { format!("steps of big step {}", game.bigStep) } else { "big steps".to_owned() };
        new(block, "moved", format!("{mover}: {what} {} to {}; the {next} is to move", game.lo, game.hi))
    } else if let Some(Event { data, block }) = Event::<IDisputeGame::Won>::of(log).filter(|e| of(e.data.id)) {
        let winner = if data.asserterWon { "asserter" } else { "challenger" };
        new(block, "game over", format!("the {winner} has won"))
    } else if let Some(Event { data, block }) = Event::<IInferenceService::Settled>::of(log).filter(|e| e.data.id == id)
    {
        let delivered = if data.delivered { "delivered to the callback" } else { "no callback, or it failed" };
        new(block, "final", format!("{}; {delivered}", data.outputRoot))
    } else {
        let Event { block, .. } = Event::<IInferenceService::Cancelled>::of(log).filter(|e| e.data.id == id)?;
        new(block, "cancelled", "the fee went back".to_owned())
    }
}
