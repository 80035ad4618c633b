//! The flame graph of a run: what took the steps, from left to right in the order of execution.

use crate::output::count;
use crate::pictures::{Anchor, Area, FAINT, INK, MARGIN, PALE, Picture, SIZE, WIDTH, colour, fit};
use crate::profile::RunProfile;

/// The height of a row of boxes, with the gap below it.
const ROW: f64 = 24.0;
/// The upper edge of the first row.
const TOP: f64 = 70.0;
/// Narrower boxes are omitted, which limits the size of a picture for any schedule.
const NARROWEST: f64 = 0.3;
/// The number of names in the legend.
const LISTED: usize = 30;

/// A box: a name and its steps, with the boxes inside it.
#[derive(Debug, Default)]
pub struct Frame {
    name: String,
    /// The key of its colour.
    kind: String,
    steps: u64,
    inside: Vec<Frame>,
}

impl Frame {
    /// An empty box.
    fn new(name: &str, kind: &str) -> Self {
        Self { name: name.to_owned(), kind: kind.to_owned(), ..Self::default() }
    }

    /// The inner box for what is executed next: the last one if the name is the same, otherwise a new one.
    fn next(&mut self, name: &str, kind: &str) -> &mut Self {
        if self.inside.last().is_none_or(|last| last.name != name) {
            self.inside.push(Self::new(name, kind));
        }
        let last = self.inside.len() - 1;
        &mut self.inside[last]
    }

    /// The inner box with this name, at any position.
    fn named(&mut self, name: &str, kind: &str) -> &mut Self {
        let found = self.inside.iter().position(|frame| frame.name == name);
        let index = found.unwrap_or_else(|| {
            self.inside.push(Self::new(name, kind));
            self.inside.len() - 1
        });
        &mut self.inside[index]
    }

    /// The number of rows of boxes below it.
    fn depth(&self) -> usize {
        self.inside.iter().map(|frame| 1 + frame.depth()).max().unwrap_or(0)
    }
}

/// The boxes of a run: operators and nodes in the order of the schedule. Inside them are functions and
/// instructions, the largest first. A program without a schedule has only the latter.
pub fn frames(model: &str, profile: &RunProfile<'_>) -> Frame {
    let schedule = profile.has_schedule();
    let mut root = Frame::new(model, "");
    let mut lines =
        profile.by(|place| (place.big_step, place.operator, place.node, place.function, place.instruction));
    // `by` puts the largest first. The sort is stable, so they stay first within a big step.
    lines.sort_by_key(|((big_step, ..), _)| *big_step);
    for ((_, operator, node, function, instruction), steps) in lines {
        root.steps += steps;
        let mut frame = &mut root;
        if schedule {
            for name in [operator, node] {
                frame = frame.next(name, operator);
                frame.steps += steps;
            }
        }
        let kind = if schedule { operator } else { function };
        for name in [function, instruction] {
            frame = frame.named(name, kind);
            frame.steps += steps;
        }
    }
    root
}

/// Draws the boxes, with a legend of the totals by colour.
pub fn draw(root: &Frame, totals: &[(&str, u64)]) -> Vec<u8> {
    let mut picture = Picture::default();
    picture.heading(
        &format!("{}: {} steps", root.name, count(root.steps)),
        "A box is as wide as its share of the steps. The run goes from left to right; hover over a box for its numbers.",
    );
    let scale = (WIDTH - 2.0 * MARGIN) / root.steps.max(1) as f64;
    draw_frame(&mut picture, root, &[], MARGIN, TOP, scale, root.steps);
    let bottom = TOP + ROW * (1.0 + root.depth() as f64) + 16.0;
    let bottom = legend(&mut picture, totals, bottom, root.steps);
    picture.finish(bottom + MARGIN)
}

fn draw_frame(picture: &mut Picture, frame: &Frame, above: &[&str], x: f64, y: f64, scale: f64, all: u64) {
    let width = frame.steps as f64 * scale;
    if width < NARROWEST {
        return;
    }
    let path = [above, &[&frame.name]].concat();
    let fill = match above.len() {
        0 => FAINT.to_owned(),
        depth => colour(&frame.kind, [66, 73, 80, 87][depth.min(4) - 1]),
    };
    let title =
        format!("{}\n{} steps, {} of all", path.join(" › "), count(frame.steps), per_cent(frame.steps, all));
    // A gap between boxes, unless they are too narrow.
    let gap = if width > 3.0 { 1.0 } else { 0.0 };
    picture.label(Area { x, y, width: width - gap, height: ROW - 2.0 }, &fill, &frame.name, &title);
    let mut x = x;
    for inside in &frame.inside {
        draw_frame(picture, inside, &path, x, y + ROW, scale, all);
        x += inside.steps as f64 * scale;
    }
}

/// Names with their colours and steps, in three columns. Returns the lower edge.
fn legend(picture: &mut Picture, totals: &[(&str, u64)], top: f64, all: u64) -> f64 {
    const COLUMNS: usize = 3;
    let (listed, rest) = totals.split_at(totals.len().min(LISTED));
    let others = (!rest.is_empty())
        .then(|| (format!("{} others", rest.len()), rest.iter().map(|(_, n)| n).sum::<u64>()));
    let named = listed.iter().map(|&(name, steps)| (name.to_owned(), steps, colour(name, 66)));
    let rows: Vec<_> = named.chain(others.map(|(name, steps)| (name, steps, FAINT.to_owned()))).collect();
    let height = rows.len().div_ceil(COLUMNS);
    let width = (WIDTH - 2.0 * MARGIN) / COLUMNS as f64;
    for (index, (name, steps, fill)) in rows.iter().enumerate() {
        let (x, y) = (MARGIN + (index / height) as f64 * width, top + (index % height) as f64 * 20.0);
        picture.rect(Area { x, y, width: 14.0, height: 14.0 }, fill);
        picture.text(x + 22.0, y + 11.5, INK, Anchor::Start, &fit(name, width - 200.0, SIZE));
        picture.text(x + width - 90.0, y + 11.5, INK, Anchor::End, &count(*steps));
        picture.text(x + width - 30.0, y + 11.5, PALE, Anchor::End, &per_cent(*steps, all));
    }
    top + height as f64 * 20.0
}

/// A share, for people.
fn per_cent(steps: u64, all: u64) -> String {
    format!("{:.1} %", steps as f64 * 100.0 / all.max(1) as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_schedule_makes_a_picture_of_bounded_size() {
        let mut root = Frame::new("model", "");
        for index in 0..100_000u64 {
            let node =
                root.next(&format!("operator {}", index % 2), "kind").next(&format!("node {index}"), "kind");
            node.steps = 1;
            root.inside.last_mut().expect("the operator").steps = 1;
            root.steps += 1;
        }
        let names: Vec<String> = (0..1000).map(|index| format!("operator {index}")).collect();
        let totals: Vec<_> = names.iter().map(|name| (name.as_str(), 100)).collect();
        let svg = draw(&root, &totals);
        assert!(svg.len() < 1 << 20, "{} bytes", svg.len());
        let svg = String::from_utf8(svg).expect("text");
        assert!(svg.contains("970 others") && svg.contains("97,000"), "{svg}");
    }
}
