//! `opml games`: the disputes of a deployment and their clocks.

use crate::cli::Games;
use crate::failure::Failure;
use crate::history::{Disputed, Which, disputes};
use crate::network::{Session, block_on};
use crate::output::{Output, table};
use serde_json::{Value, json};

/// Shows the games, those with the nearest deadline first.
pub fn run(args: &Games, output: Output) -> Result<(), Failure> {
    let spinner = output.spinner("reading events");
    let (head, mut games) = block_on(async {
        let session = Session::open(&args.network).await?;
        let head = session.head().await?;
        let logs = session.game_events(&head, args.all).await?;
        let which = Which { of: args.of, finished: args.all };
        Ok((head, disputes(&session, &head, &logs, &which).await?))
    })?;
    spinner.finish_and_clear();
    games.retain(|game| args.all || !game.is_over());
    games.sort_by_key(Disputed::urgency);
    let object = json!({
        "block": head.number, "time": head.time,
        "games": games.iter().map(Disputed::json).collect::<Vec<Value>>(),
    });
    if games.is_empty() {
        let kind = if args.all { "no game was played" } else { "no game is running" };
        let of = args.of.map(|account| format!(" in which {account} is a side")).unwrap_or_default();
        return output.result(&object, &format!("{kind}{of}, as of block {}", head.number));
    }
    let mut rows = table(["answer", "asserter", "challenger", "narrowed to", "state", "clocks"]);
    for game in &games {
        rows.add_row(game.cells());
    }
    output.result(&object, &rows.to_string())
}
