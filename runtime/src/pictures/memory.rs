//! The map of an image's memory, to scale, with a list of its ranges.

use crate::output::count;
use crate::pictures::{Anchor, Area, FAINT, INK, MARGIN, PALE, Picture, SIZE, WIDTH, colour, fit};
use image::{Image, Role};
use std::ops::Range;

/// The maximum number of ranges in a map.
const RANGES: usize = 24;

/// The uses of memory. Where two overlap, the first one counts.
const KINDS: [&str; 7] = ["code", "input", "output", "stack and scratch", "weights", "activations", "data"];
/// Unused memory.
const UNUSED: &str = "unused";

/// Draws memory as a strip. Returns its lower edge.
pub fn draw_memory(picture: &mut Picture, image: &Image, top: f64) -> f64 {
    const HEIGHT: f64 = 34.0;
    let bits = image.profile.memory_bits();
    picture.sized(MARGIN, top, 15.0, INK, Anchor::Start, &format!("Memory: 2^{bits} bytes"));
    let below = "to scale, but unused ranges are shortened and small ranges widened";
    picture.text(WIDTH - MARGIN, top, PALE, Anchor::End, below);
    let ranges = ranges(image);
    let length = |range: &Range<u64>| (range.end - range.start) as f64;
    let used: f64 = ranges.iter().filter(|(kind, _)| *kind != UNUSED).map(|(_, range)| length(range)).sum();
    let shown: Vec<f64> = ranges
        .iter()
        .map(|(kind, range)| match *kind {
            UNUSED => length(range).min(used * 0.08),
            _ => length(range).max(used * 0.006),
        })
        .collect();
    let scale = (WIDTH - 2.0 * MARGIN) / shown.iter().sum::<f64>().max(1.0);
    let (mut x, y) = (MARGIN, top + 12.0);
    for ((kind, range), shown) in ranges.iter().zip(shown) {
        let width = shown * scale;
        let title = format!(
            "{kind}\n{:#x} to {:#x}, {} bytes",
            range.start,
            range.end,
            count(range.end - range.start)
        );
        picture.label(
            Area { x, y, width: (width - 1.0).max(0.5), height: HEIGHT },
            &fill(kind),
            kind,
            &title,
        );
        x += width;
    }
    y + HEIGHT
}

/// Lists the ranges of the map. Returns the lower edge.
pub fn legend_of_memory(picture: &mut Picture, image: &Image, top: f64) -> f64 {
    let mut y = top;
    for (kind, range) in ranges(image) {
        picture.rect(Area { x: MARGIN, y, width: 14.0, height: 14.0 }, &fill(kind));
        picture.text(MARGIN + 22.0, y + 11.5, INK, Anchor::Start, &fit(kind, 180.0, SIZE));
        picture.text(430.0, y + 11.5, PALE, Anchor::End, &format!("{:#x}", range.start));
        picture.text(450.0, y + 11.5, PALE, Anchor::Start, &format!("to {:#x}", range.end));
        picture.text(800.0, y + 11.5, INK, Anchor::End, &format!("{} bytes", count(range.end - range.start)));
        y += 20.0;
    }
    y
}

fn fill(kind: &str) -> String {
    if kind == UNUSED { FAINT.to_owned() } else { colour(kind, 74) }
}

/// The uses of memory, from the first address to the last. Small gaps are merged into their neighbours.
fn ranges(image: &Image) -> Vec<(&'static str, Range<u64>)> {
    let used = used(image);
    let mut gap = 4096;
    loop {
        let ranges = painted(&used, gap, image.profile.memory_size());
        if ranges.len() <= RANGES || gap >= image.profile.memory_size() {
            return ranges;
        }
        gap *= 2;
    }
}

/// All used ranges, by kind.
fn used(image: &Image) -> Vec<Vec<Range<u64>>> {
    let size = image.profile.memory_size();
    let span = |address: u64, bytes: u64| address.min(size)..address.saturating_add(bytes).min(size);
    let tensors = |role: Role| -> Vec<Range<u64>> {
        image.tensors.iter().filter(|t| t.role == role).map(|t| span(t.address, t.bytes)).collect()
    };
    let code = span(image.profile.code_base(), image.profile.code_size());
    // The segments of a model are its weights, padded to whole pages.
    let is_model = image.schedule.len() > 1;
    let data = image.segments.iter().filter(|_| !is_model).map(|s| span(s.address, s.bytes.len() as u64));
    let data: Vec<_> = data.collect();
    let once = |range: std::ops::Range<u64>| std::iter::once(range).collect::<Vec<_>>();
    let regions = |regions: &[image::Region]| -> Vec<Range<u64>> {
        let size = |region: &image::Region| 1u64.checked_shl(region.bits.into()).unwrap_or(0);
        regions.iter().map(|region| span(region.address, size(region))).collect()
    };
    let (input, output) = match &image.interface {
        Some(interface) => (regions(&interface.inputs), regions(&interface.outputs)),
        None => (Vec::new(), Vec::new()),
    };
    let program = image::elf::stack_pointer(image);
    let stack = match (program, &image.interface) {
        (None, Some(interface)) => {
            let scratch = 1u64.checked_shl(interface.scratch_bits.into()).unwrap_or(0);
            size.saturating_sub(scratch)..size
        }
        // The stack of a program grows down from `sp`, at most to the next range below it.
        _ => {
            let sp = program.unwrap_or(image.sp);
            let below = data.iter().chain([&code]).chain(&input).chain(&output);
            below.map(|range| range.end).filter(|&end| end <= sp).max().unwrap_or(0)..sp.min(size)
        }
    };
    let stack = once(stack);
    vec![vec![code], input, output, stack, tensors(Role::Constant), tensors(Role::Activation), data]
}

/// One kind for each range. Neighbours of the same kind are joined over gaps up to a size.
fn painted(used: &[Vec<Range<u64>>], gap: u64, size: u64) -> Vec<(&'static str, Range<u64>)> {
    let joined: Vec<Vec<Range<u64>>> = used.iter().map(|ranges| join(ranges, gap)).collect();
    let mut edges: Vec<u64> = joined.iter().flatten().flat_map(|range| [range.start, range.end]).collect();
    edges.extend([0, size]);
    edges.sort_unstable();
    edges.dedup();
    let mut painted: Vec<(&str, Range<u64>)> = Vec::new();
    for pair in edges.windows(2) {
        let holds = |ranges: &&Vec<Range<u64>>| {
            let after = ranges.partition_point(|range| range.start <= pair[0]);
            after > 0 && pair[0] < ranges[after - 1].end
        };
        let kind = joined.iter().position(|ranges| holds(&ranges)).map_or(UNUSED, |index| KINDS[index]);
        match painted.last_mut() {
            Some((last, range)) if *last == kind => range.end = pair[1],
            _ => painted.push((kind, pair[0]..pair[1])),
        }
    }
    painted
}

/// Sorts ranges, and joins those that overlap or are separated by less than `gap`.
fn join(ranges: &[Range<u64>], gap: u64) -> Vec<Range<u64>> {
    let mut sorted: Vec<Range<u64>> = ranges.iter().filter(|range| !range.is_empty()).cloned().collect();
    sorted.sort_by_key(|range| range.start);
    let mut joined: Vec<Range<u64>> = Vec::new();
    for range in sorted {
        match joined.last_mut() {
            Some(last) if range.start <= last.end.saturating_add(gap) => last.end = last.end.max(range.end),
            _ => joined.push(range),
        }
    }
    joined
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_address_has_one_kind() {
        let mut used = vec![Vec::new(); KINDS.len()];
        (used[0], used[4]) = (std::iter::once(100..200).collect(), vec![300..400, 410..500, 150..160]);
        let map = painted(&used, 16, 1000);
        let expected = [
            ("unused", 0..100),
            ("code", 100..200),
            ("unused", 200..300),
            ("weights", 300..500),
            ("unused", 500..1000),
        ];
        assert_eq!(map, expected);
        assert_eq!(painted(&vec![Vec::new(); 7], 0, 64), [("unused", 0..64)]);
    }
}
