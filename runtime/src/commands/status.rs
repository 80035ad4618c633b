//! `opml status`: shows the state of a request, and its history.

use crate::cli::Status;
use crate::failure::Failure;
use crate::history::{Disputed, Which, asserters, disputes, number};
use crate::images::load;
use crate::narration::{range, short_hex, wrapped};
use crate::network::{Session, block_on};
use crate::output::{Output, table};
use chain::{Event, Log};
use contracts::{Address, Answer, IDisputeGame, IInferenceService, Position, Standing, Terms, U256};
use game::Side;
use players::{LoadedModel, challenger_of, game_of};
use serde_json::{Value, json};
use std::collections::HashMap;

/// An event about the request.
struct Happened {
    block: u64,
    what: &'static str,
    about: String,
}

/// Shows the request.
pub fn run(args: &Status, output: Output) -> Result<(), Failure> {
    let loaded = match &args.image {
        Some(path) => Some(LoadedModel::new(load(path)?, None).map_err(|error| Failure::about(path, error))?),
        None => None,
    };
    let mut found = block_on(async {
        let session = Session::open(&args.network).await?;
        Found::new(&session, U256::from(args.request)).await
    })?;
    if let Some(loaded) = &loaded {
        let spinner = output.spinner("running the model");
        for disputed in &mut found.disputes {
            disputed.explain(loaded, found.id, &found.logs, args.inputs.as_deref())?;
        }
        spinner.finish_and_clear();
    }
    let (object, text) = found.report();
    output.result(&object, &text)
}

/// What the chain has about a request.
pub struct Found {
    id: U256,
    answer: Answer,
    terms: Terms,
    /// The time of the chain's last block.
    now: u64,
    logs: Vec<Log>,
    disputes: Vec<Disputed>,
}

impl Found {
    /// Asks the node.
    pub async fn new(session: &Session, id: U256) -> Result<Self, Failure> {
        let head = session.head().await?;
        let (status, logs) = session.events_of(id, &head).await?;
        let every = Which { of: None, finished: true };
        let disputes = disputes(session, &head, &logs, &every).await?;
        let terms = session.terms().await?;
        Ok(Self { id, answer: status.answer, terms, now: head.time, logs, disputes })
    }

    /// The report as JSON and as text.
    pub fn report(&self) -> (Value, String) {
        let Self { id, answer, terms, logs, disputes, .. } = self;
        let asserters = asserters(logs);
        let history: Vec<Happened> = logs.iter().filter_map(|log| happened(*id, log, &asserters)).collect();
        let standing = standing(answer, history.iter().any(|happened| happened.what == "cancelled"));
        let ends = answer.posted.to::<u64>().saturating_add(terms.window.into());
        let left = ends.saturating_sub(self.now);
        let events: Vec<Value> = history
            .iter()
            .map(|happened| {
                json!({ "block": happened.block, "event": happened.what, "about": happened.about })
            })
            .collect();
        let object = json!({
            "request": number(*id), "standing": standing, "asserter": answer.asserter, "result": answer.result,
            "attempt": answer.attempt, "open_games": answer.openGames.to::<u32>(),
            "window_ends_in": (answer.standing == Standing::Pending).then_some(left),
            "disputes": disputes.iter().map(Disputed::json).collect::<Vec<_>>(), "history": events,
        });
        let mut text = format!("request {id}: {standing}\n{}\n", summary(answer, terms, left));
        for disputed in disputes {
            text += &format!("\n{}\n", wrapped(&disputed.story(), 80));
        }
        let mut rows = table(["block", "event", "about"]);
        for happened in &history {
            rows.add_row([happened.block.to_string(), happened.what.to_owned(), shortened(&happened.about)]);
        }
        (object, format!("{text}\n{rows}"))
    }
}

fn standing(answer: &Answer, cancelled: bool) -> &'static str {
    match answer.standing {
        _ if cancelled => "cancelled",
        Standing::Pending => "pending",
        Standing::Final => "final",
        Standing::Overturned => "overturned",
        _ => "open",
    }
}

/// The state of the last answer.
fn summary(answer: &Answer, terms: &Terms, left: u64) -> String {
    let more = match answer.standing {
        Standing::Pending => {
            format!(
                "window  {left} s of {} s left to challenge it; {} open disputes",
                terms.window, answer.openGames
            )
        }
        Standing::Final => "It is final.".to_owned(),
        Standing::Overturned => "It lost a dispute and is overturned.".to_owned(),
        _ => return "There is no answer yet.".to_owned(),
    };
    format!("answer  {} by {}\nresult  {}\n{more}", answer.attempt, answer.asserter, answer.result)
}

/// A text with addresses and hashes short enough for a table.
fn shortened(text: &str) -> String {
    let words = text.split(' ').map(|word| {
        let number = word.trim_end_matches([':', ';', ',']);
        if number.starts_with("0x") { short_hex(number) + &word[number.len()..] } else { word.to_owned() }
    });
    words.collect::<Vec<_>>().join(" ")
}

/// An event, if it is about the request.
fn happened(id: U256, log: &Log, asserters: &HashMap<(U256, u16), Address>) -> Option<Happened> {
    let of = |game: U256| game_of(game).0 == id;
    let new = |block, what, about| Some(Happened { block, what, about });
    if let Some(Event { data, block }) =
        Event::<IInferenceService::Requested>::of(log).filter(|e| e.data.id == id)
    {
        new(block, "requested", format!("by {}, model {}", data.request.requester, data.model))
    } else if let Some(Event { data, block }) =
        Event::<IInferenceService::Answered>::of(log).filter(|e| e.data.id == id)
    {
        new(block, "answered", format!("by {}: {}", data.asserter, data.result))
    } else if let Some(Event { data, block }) =
        Event::<IDisputeGame::Moved>::of(log).filter(|e| of(e.data.id))
    {
        let position = Position::unpack(data.game.position);
        let (mover, next) = match position.mover {
            Side::Asserter => (challenger_of(data.id), "asserter"),
            Side::Challenger => (asserters.get(&game_of(data.id)).copied().unwrap_or_default(), "challenger"),
        };
        let range = range(position.segment);
        new(block, "moved", format!("{mover}: {range}; the {next} is to move"))
    } else if let Some(Event { data, block }) = Event::<IDisputeGame::Won>::of(log).filter(|e| of(e.data.id))
    {
        let winner = if data.asserterWon { "asserter" } else { "challenger" };
        new(block, "game over", format!("the {winner} has won"))
    } else if let Some(Event { data, block }) =
        Event::<IInferenceService::Settled>::of(log).filter(|e| e.data.id == id)
    {
        let delivered = if data.delivered { "no callback, or it succeeded" } else { "the callback failed" };
        new(block, "final", format!("{}; {delivered}", data.result))
    } else if let Some(Event { data, block }) =
        Event::<IInferenceService::CancelNotice>::of(log).filter(|e| e.data.id == id)
    {
        new(block, "notice", format!("can be cancelled from {} on (seconds since 1970)", data.cancellable))
    } else if let Some(Event { block, .. }) =
        Event::<IInferenceService::Redelivered>::of(log).filter(|e| e.data.id == id)
    {
        new(block, "redelivered", "the callback succeeded".to_owned())
    } else {
        let Event { block, .. } =
            Event::<IInferenceService::Cancelled>::of(log).filter(|e| e.data.id == id)?;
        new(block, "cancelled", "the fee went back to the requester".to_owned())
    }
}
