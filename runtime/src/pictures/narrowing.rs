//! The picture of a dispute: how it is narrowed, round by round, from big steps to one instruction.

use crate::commands::dispute::{Ending, Played, side};
use crate::narration::{node_at, node_name, range};
use crate::output::count;
use crate::pictures::{Anchor, Area, FAINT, INK, MARGIN, PALE, Picture, SIZE, WIDTH, colour, fit};
use game::{Level, Segment, Side};
use image::Image;

/// The left end of the bars, and their width.
const LEFT: f64 = 210.0;
const LENGTH: f64 = WIDTH - MARGIN - LEFT;
/// The height of a bar, and the distance from one bar to the next.
const BAR: f64 = 28.0;
const ROUND: f64 = 84.0;
/// The upper edge of the first bar.
const TOP: f64 = 100.0;
/// The colour of the part in dispute, and a lighter one that leads to the next bar.
const DISPUTED: &str = "#f59e0b";
const LEADING: &str = "#fef3c7";

/// Claims about a segment, and the part with which the opponent disagrees.
#[derive(Debug, Clone, Copy)]
pub struct Round {
    /// The side that made them.
    pub by: Side,
    /// The name of the move that made them.
    pub name: &'static str,
    /// The gas of that move.
    pub gas: u64,
    /// The segment.
    pub segment: Segment,
    /// The number of parts into which the segment is cut.
    pub parts: u64,
    /// The part that the opponent picked, counted from 1. `None` if the opponent did not answer.
    pub picked: Option<u64>,
}

/// A segment without its big step: `steps 0 to 1,204`.
pub fn short(segment: Segment) -> String {
    let unit = if segment.level == Level::BigSteps { "big step" } else { "step" };
    match segment.units() {
        0 | 1 => format!("{unit} {}", count(segment.lo)),
        _ => format!("{unit}s {} to {}", count(segment.lo), count(segment.hi - 1)),
    }
}

/// Draws a dispute.
pub fn draw(image: &Image, played: &Played) -> Vec<u8> {
    let mut picture = Picture::default();
    let rounds = &played.rounds;
    let title = match played.narrowed() {
        Some(segment) if matches!(played.ending, Ending::Executed | Ending::Refused) => {
            format!("A dispute, narrowed to {}", range(segment))
        }
        _ => "A dispute, ended by a timeout".to_owned(),
    };
    picture.heading(
        &title,
        "Each bar is one side's claims about a part of the run. The other side picks the first claim that it disagrees \
         with, and goes on from there.",
    );
    for (index, round) in rounds.iter().enumerate() {
        let y = TOP + index as f64 * ROUND;
        if index + 1 < rounds.len() || played.ending != Ending::Silence && round.picked.is_some() {
            lead(&mut picture, round, y + BAR, y + ROUND);
        }
        draw_round(&mut picture, image, played, index + 1, y);
    }
    let y = TOP + rounds.len() as f64 * ROUND;
    let bottom = verdict(&mut picture, image, played, y);
    picture.finish(bottom + MARGIN)
}

/// One side's claims.
fn draw_round(picture: &mut Picture, image: &Image, played: &Played, number: usize, y: f64) {
    let Played { model, arity, .. } = played;
    let (arity, round) = (*arity, &played.rounds[number - 1]);
    let width = LEFT - MARGIN - 12.0;
    picture.text(
        MARGIN,
        y + 12.0,
        INK,
        Anchor::Start,
        &fit(&format!("{number}  {}", side(round.by)), width, SIZE),
    );
    let below = format!("{}, {} gas", round.name, count(round.gas));
    picture.sized(MARGIN, y + 26.0, 11.0, PALE, Anchor::Start, &fit(&below, width, 11.0));
    let mut label = range(round.segment);
    if let Level::Steps { big_step } = round.segment.level
        && let Some(step) = node_at(image, model, big_step)
    {
        label += &format!(" ({})", node_name(&step.operator, &step.node));
    }
    picture.text(LEFT, y - 6.0, INK, Anchor::Start, &fit(&label, LENGTH - 130.0, SIZE));
    let parts = if round.parts == 1 { "in 1 part".to_owned() } else { format!("in {} parts", round.parts) };
    picture.text(LEFT + LENGTH, y - 6.0, PALE, Anchor::End, &parts);
    for part in 1..=round.parts {
        let cell = round.segment.part(part, arity);
        let (left, right) = edges(round, part);
        let gap = if round.parts <= 64 { 1.0 } else { 0.0 };
        let area = Area { x: left, y, width: right - left - gap, height: BAR };
        let single = cell.level == Level::BigSteps && cell.units() == 1;
        let step = node_at(image, model, cell.lo).filter(|_| single);
        let picked = round.picked == Some(part);
        let (fill, name) = match step {
            _ if picked => (DISPUTED.to_owned(), step.map_or(String::new(), |step| step.operator.clone())),
            Some(step) => (colour(&step.operator, 82), step.operator.clone()),
            None => (FAINT.to_owned(), String::new()),
        };
        let node =
            step.map(|step| format!("\n{}", node_name(&step.operator, &step.node))).unwrap_or_default();
        let here = if picked { "\nthe first claim that the other side disagrees with" } else { "" };
        picture.label(area, &fill, &name, &format!("part {part}: {}{node}{here}", range(cell)));
    }
}

/// The left and right edges of a part.
fn edges(round: &Round, part: u64) -> (f64, f64) {
    let edge = |index: u64| LEFT + LENGTH * index as f64 / round.parts.max(1) as f64;
    (edge(part.saturating_sub(1)), edge(part))
}

/// Connects the picked part to the next bar.
fn lead(picture: &mut Picture, round: &Round, top: f64, bottom: f64) {
    let Some(part) = round.picked else { return };
    let (left, right) = edges(round, part);
    picture.polygon(&[(left, top), (right, top), (LEFT + LENGTH, bottom), (LEFT, bottom)], LEADING);
}

/// Shows the outcome. Returns the lower edge.
fn verdict(picture: &mut Picture, image: &Image, played: &Played, top: f64) -> f64 {
    let (winner, loser) = (side(played.winner), side(played.winner.other()));
    let mut lines = vec![("The winner", format!("the {winner}: {}", how(played, loser)))];
    if let Some(step) = &played.step {
        let executed = matches!(played.ending, Ending::Executed | Ending::Refused);
        let place = if executed { "The step" } else { "First disagreement" };
        lines.push((place, step.place(image)));
        lines.push(("The instruction", step.instruction(image).replace('`', "")));
        if let Some(difference) = &step.difference {
            lines.push(("What differs", difference.what.clone()));
            lines.push(("The right value", difference.right.clone()));
            lines.push(("The false claim", format!("{} (the {loser}'s)", difference.claimed)));
        }
    }
    let height = 24.0 + 22.0 * lines.len() as f64;
    picture.rect(Area { x: LEFT, y: top, width: LENGTH, height }, DISPUTED);
    picture.rect(Area { x: LEFT + 2.0, y: top + 2.0, width: LENGTH - 4.0, height: height - 4.0 }, "#fffbeb");
    for (index, (name, text)) in lines.iter().enumerate() {
        let y = top + 26.0 + 22.0 * index as f64;
        picture.text(LEFT + 14.0, y, PALE, Anchor::Start, name);
        picture.text(LEFT + 160.0, y, INK, Anchor::Start, &fit(text, LENGTH - 174.0, SIZE));
    }
    top + height
}

/// How the dispute was won.
fn how(played: &Played, loser: &str) -> String {
    match played.ending {
        Ending::Executed => "the contract executed the step".to_owned(),
        Ending::Refused => format!("the contract executed the step and refused the {loser}'s proof"),
        Ending::Void => "there is no memory to go on from".to_owned(),
        Ending::Silence => format!("the {loser} did not answer in time; no step was executed"),
        Ending::NoMove => {
            format!("the {loser} had no legal move left and ran out of time; no step was executed")
        }
    }
}
