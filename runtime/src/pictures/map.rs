//! The picture of an image: its nodes in the order of execution with steps and bytes, and a map of its
//! memory.

use crate::narration::node_name;
use crate::output::count;
use crate::pictures::graph::{Entry, Source, entries};
use crate::pictures::memory::{draw_memory, legend_of_memory};
use crate::pictures::{Anchor, Area, FAINT, INK, MARGIN, PALE, Picture, SIZE, WIDTH, colour, fit};
use image::{Image, Symbol};
use std::collections::BTreeMap;

/// The distance from one row to the next, and the height of a box.
const ROW: f64 = 26.0;
const BOX: f64 = 20.0;
/// The left edge of the boxes. To the left of it are the lines of data that skip rows.
const LEFT: f64 = 130.0;
/// The left edges of the columns.
const TENSOR: f64 = 430.0;
const STEPS: f64 = 680.0;
const READ: f64 = 860.0;
const WRITTEN: f64 = 1030.0;
/// The maximum number of functions listed for a program.
const FUNCTIONS: usize = 60;

/// Draws an image.
pub fn draw(image: &Image, name: &str) -> Vec<u8> {
    let mut picture = Picture::default();
    let bound =
        image.interface.as_ref().map(|interface| format!(", at most {} steps", count(interface.bound)));
    let title =
        format!("{name}: {} bytes of code{}", count(image.profile.code_size()), bound.unwrap_or_default());
    picture.heading(
        &title,
        &format!("image root {}, machine {}", image.state().root(), image.extensions().name()),
    );
    let top = 90.0;
    let bottom = if image.schedule.len() > 1 {
        graph(&mut picture, image, top)
    } else {
        functions(&mut picture, image, top)
    };
    let bottom = draw_memory(&mut picture, image, bottom + 44.0);
    let bottom = legend_of_memory(&mut picture, image, bottom + 14.0);
    picture.finish(bottom + MARGIN)
}

/// The titles of columns.
fn titles(picture: &mut Picture, y: f64, titles: &[(f64, &str)]) {
    for &(x, title) in titles {
        picture.text(x, y, PALE, Anchor::Start, title);
    }
    picture.line(&[(MARGIN, y + 7.0), (WIDTH - MARGIN, y + 7.0)], FAINT);
}

/// The nodes, one per row. Returns the lower edge.
fn graph(picture: &mut Picture, image: &Image, top: f64) -> f64 {
    let rows = entries(image);
    let heads = [
        (LEFT, "node"),
        (TENSOR, "output"),
        (STEPS, "most steps"),
        (READ, "bytes of weights read"),
        (WRITTEN, "bytes of output"),
    ];
    titles(picture, top, &heads);
    let top = top + 18.0;
    lines(picture, &rows, top);
    let most = |part: fn(&Entry) -> u64| rows.iter().map(part).max().unwrap_or(0);
    let scales = [most(|row| row.steps), most(|row| row.weights), most(|row| row.written)];
    for (index, row) in rows.iter().enumerate() {
        let y = top + index as f64 * ROW;
        let area = Area { x: LEFT, y, width: TENSOR - LEFT - 16.0, height: BOX };
        let fill = if row.operator.is_empty() { FAINT.to_owned() } else { colour(&row.operator, 75) };
        let label = node_name(&row.operator, &row.node).replace(", node ", " · ");
        let title = format!(
            "{label}\n{}\nat most {} steps in {} big steps\n{} bytes of weights, {} bytes of output",
            row.output,
            count(row.steps),
            row.big_steps,
            count(row.weights),
            count(row.written)
        );
        picture.label(area, &fill, &label, &title);
        let ink = if row.is_output { INK } else { PALE };
        let output = if row.is_output { format!("{} (output)", row.output) } else { row.output.clone() };
        picture.text(TENSOR, y + 14.0, ink, Anchor::Start, &fit(&output, STEPS - TENSOR - 10.0, SIZE));
        let amounts = [(STEPS, row.steps), (READ, row.weights), (WRITTEN, row.written)];
        for ((x, amount), most) in amounts.into_iter().zip(scales) {
            bar(picture, x, y, amount, most, &fill);
        }
    }
    let y = top + rows.len() as f64 * ROW + 16.0;
    picture.line(&[(MARGIN, y - 16.0), (WIDTH - MARGIN, y - 16.0)], FAINT);
    let sum = |part: fn(&Entry) -> u64| count(rows.iter().map(part).fold(0, u64::saturating_add));
    let nodes: u64 = rows.iter().map(|row| row.nodes).sum();
    picture.text(
        LEFT,
        y,
        INK,
        Anchor::Start,
        &format!("{} nodes, {} big steps", count(nodes), count(image.schedule.len() as u64)),
    );
    picture.text(STEPS, y, INK, Anchor::Start, &sum(|row| row.steps));
    picture.text(READ, y, INK, Anchor::Start, &sum(|row| row.weights));
    picture.text(WRITTEN, y, INK, Anchor::Start, &sum(|row| row.written));
    y + 6.0
}

/// A bar with its number.
fn bar(picture: &mut Picture, x: f64, y: f64, amount: u64, most: u64, fill: &str) {
    const LENGTH: f64 = 150.0;
    if amount > 0 {
        let width = (LENGTH * amount as f64 / most.max(1) as f64).max(1.0);
        picture.rect(Area { x, y, width, height: BOX }, fill);
        picture.text(x + 4.0, y + 14.0, INK, Anchor::Start, &count(amount));
    }
}

/// Lines from each row to the rows that read its output. A line to the next row is short; others use lanes on
/// the left.
fn lines(picture: &mut Picture, rows: &[Entry], top: f64) {
    let mut readers: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for (index, row) in rows.iter().enumerate() {
        for source in &row.sources {
            if let Source::Row(source) = source {
                readers.entry(*source).or_default().push(index);
            }
        }
    }
    let centre = |row: usize| top + row as f64 * ROW + BOX / 2.0;
    // The row from which each lane is free again.
    let mut lanes: Vec<usize> = Vec::new();
    let mut long = Vec::new();
    for (source, readers) in readers {
        if readers.contains(&(source + 1)) {
            let (x, y) = (LEFT + 14.0, centre(source) + BOX / 2.0);
            picture.line(&[(x, y), (x, y + ROW - BOX)], PALE);
        }
        let far: Vec<usize> = readers.into_iter().filter(|&reader| reader > source + 1).collect();
        let Some(&last) = far.last() else { continue };
        let lane = lanes.iter().position(|&free| free <= source).unwrap_or_else(|| {
            lanes.push(0);
            lanes.len() - 1
        });
        lanes[lane] = last;
        long.push((source, far, lane));
    }
    let space = ((LEFT - MARGIN - 10.0) / lanes.len().max(1) as f64).min(10.0);
    for (source, far, lane) in long {
        let stroke = colour(&rows[source].operator, 45);
        let x = LEFT - 12.0 - lane as f64 * space;
        let last = far.last().copied().unwrap_or(source);
        // It leaves its box slightly below the point where others reach it.
        picture.line(
            &[(LEFT, centre(source) + 4.0), (x, centre(source) + 4.0), (x, centre(last) - 4.0)],
            &stroke,
        );
        for reader in far {
            let y = centre(reader) - 4.0;
            picture.line(&[(x, y), (LEFT, y)], &stroke);
            picture.polygon(&[(LEFT, y), (LEFT - 5.0, y - 3.0), (LEFT - 5.0, y + 3.0)], &stroke);
        }
    }
}

/// The largest functions of a program, by address. Returns the lower edge.
fn functions(picture: &mut Picture, image: &Image, top: f64) -> f64 {
    titles(picture, top, &[(MARGIN, "function"), (TENSOR, "address"), (STEPS, "bytes of code")]);
    let code = |symbol: &&Symbol| image.profile.is_code(symbol.address) && symbol.size > 0;
    let mut shown: Vec<&Symbol> = image.symbols.iter().filter(code).collect();
    let all = shown.len();
    shown.sort_by_key(|symbol| (std::cmp::Reverse(symbol.size), symbol.address));
    shown.truncate(FUNCTIONS);
    let most = shown.first().map_or(0, |symbol| symbol.size);
    shown.sort_by_key(|symbol| symbol.address);
    let mut y = top + 18.0;
    for symbol in &shown {
        let fill = colour(&symbol.name, 75);
        let area = Area { x: MARGIN, y, width: TENSOR - MARGIN - 16.0, height: BOX };
        picture.label(
            area,
            &fill,
            &symbol.name,
            &format!("{}\n{} bytes at {:#x}", symbol.name, count(symbol.size), symbol.address),
        );
        picture.text(TENSOR, y + 14.0, PALE, Anchor::Start, &format!("{:#x}", symbol.address));
        bar(picture, STEPS, y, symbol.size, most, &fill);
        y += ROW;
    }
    let note = match (all, all - shown.len()) {
        (0, _) => "one program, without symbols".to_owned(),
        (_, 0) => return y,
        (_, rest) => format!("and {} smaller functions", count(rest as u64)),
    };
    picture.text(MARGIN, y + 14.0, PALE, Anchor::Start, &note);
    y + ROW
}
