//! Parts of an output: the boxes that a range of units covers, and the elements of a box.

use std::ops::Range;

/// A box: a range of indices along each dimension.
pub(crate) type Box = Vec<Range<u64>>;

/// The boxes of the units `lo..hi` of an output that is cut into tiles, numbered in row-major order.
pub(crate) fn boxes(shape: &[u64], tile: &[u64], lo: u64, hi: u64) -> Vec<Box> {
    let grid: Vec<u64> = shape.iter().zip(tile).map(|(&size, &tile)| size.div_ceil(tile.max(1))).collect();
    let mut boxes = Vec::new();
    cover(&grid, lo, hi, &mut Vec::new(), &mut boxes);
    for ranges in &mut boxes {
        for ((range, &size), &tile) in ranges.iter_mut().zip(shape).zip(tile) {
            *range = range.start * tile..(range.end * tile).min(size);
        }
    }
    boxes
}

/// Covers `lo..hi` of a grid by boxes behind a prefix of indices.
fn cover(grid: &[u64], lo: u64, hi: u64, prefix: &mut Box, boxes: &mut Vec<Box>) {
    let Some((_, inner)) = grid.split_first() else {
        if lo < hi {
            boxes.push(prefix.clone());
        }
        return;
    };
    let size: u64 = inner.iter().product::<u64>().max(1);
    let mut from = lo;
    while from < hi {
        let index = from / size;
        let (start, end) = (from % size, (hi - index * size).min(size));
        if start == 0 && end == size {
            // Whole slices, as many as there are.
            let last = hi / size;
            let whole = inner.iter().map(|&size| 0..size);
            boxes.push(prefix.iter().cloned().chain(std::iter::once(index..last)).chain(whole).collect());
            from = last * size;
        } else {
            prefix.push(index..index + 1);
            cover(inner, start, end, prefix, boxes);
            prefix.pop();
            from = index * size + end;
        }
    }
}

/// The runs of adjacent elements in a box: the first element and the number of elements.
pub(crate) fn rows(shape: &[u64], ranges: &[Range<u64>]) -> Vec<(u64, u64)> {
    let mut rows = vec![(0, 1)];
    for (axis, (&size, range)) in shape.iter().zip(ranges).enumerate() {
        let whole = shape[axis..].iter().zip(&ranges[axis..]).all(|(&size, range)| *range == (0..size));
        let rest: u64 = shape[axis..].iter().product();
        if whole {
            // Everything from here on is adjacent.
            return rows.into_iter().map(|(first, count)| (first * rest, count * rest)).collect();
        }
        let inner_whole =
            shape[axis + 1..].iter().zip(&ranges[axis + 1..]).all(|(&size, range)| *range == (0..size));
        let of = |first: u64| {
            let at = |index: u64| first * size + index;
            if inner_whole {
                vec![(at(range.start), range.end - range.start)]
            } else {
                range.clone().map(|index| (at(index), 1)).collect()
            }
        };
        rows = rows.into_iter().flat_map(|(first, _)| of(first)).collect();
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rows_of_a_box_are_its_elements() {
        assert_eq!(rows(&[], &[]), [(0, 1)]);
        assert_eq!(rows(&[5], std::slice::from_ref(&(2..4))), [(2, 2)]);
        assert_eq!(rows(&[2, 3, 4], &[1..2, 0..2, 1..4]), [(13, 3), (17, 3)]);
        assert_eq!(rows(&[2, 3, 4], &[0..1, 1..3, 0..4]), [(4, 8)]);
        assert_eq!(rows(&[2, 3, 4], &[0..2, 0..3, 0..4]), [(0, 24)]);
    }

    /// Every element of the units once, and no other, for every range of units.
    #[test]
    fn boxes_cover_exactly_the_units() {
        for (shape, tile) in [
            (vec![], vec![]),
            (vec![7], vec![1]),
            (vec![7], vec![3]),
            (vec![3, 4], vec![1, 1]),
            (vec![5, 7], vec![2, 4]),
            (vec![2, 3, 5], vec![1, 2, 5]),
        ] {
            let grid: Vec<u64> =
                shape.iter().zip(&tile).map(|(&size, &tile): (&u64, &u64)| size.div_ceil(tile)).collect();
            let units: u64 = grid.iter().product();
            for lo in 0..=units {
                for hi in lo..=units {
                    let mut right = Vec::new();
                    for unit in lo..hi {
                        let (mut rest, mut ranges) = (unit, Vec::new());
                        for ((&count, &size), &tile) in grid.iter().zip(&shape).zip(&tile).rev() {
                            let start = rest % count * tile;
                            rest /= count;
                            ranges.push(start..(start + tile).min(size));
                        }
                        ranges.reverse();
                        let elements = rows(&shape, &ranges);
                        right.extend(elements.into_iter().flat_map(|(first, count)| first..first + count));
                    }
                    let boxes = boxes(&shape, &tile, lo, hi);
                    let found = boxes.iter().flat_map(|ranges| rows(&shape, ranges));
                    let mut found: Vec<u64> = found.flat_map(|(first, count)| first..first + count).collect();
                    right.sort_unstable();
                    found.sort_unstable();
                    assert_eq!(found, right, "{lo}..{hi} of {shape:?} in {tile:?}");
                    assert!(boxes.len() <= 2 * shape.len() + 1, "{boxes:?}");
                }
            }
        }
    }
}
