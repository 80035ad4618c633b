//! Which elements of the output depend on which part of an input: those at one index of an axis on what is there
//! alone, or on more.

use super::{Affine, Axis, Coordinate, Definition, Load, Source, Step};

impl Definition {
    /// The axis of the output that goes with an axis of an input: what is at an index along it depends, of that
    /// input, on nothing but what is at the same index. `None` if there is no such axis, or nothing is read.
    pub fn along(&self, input: usize, axis: usize) -> Option<Axis> {
        let mut found = None;
        for load in self.loads(Source::Input(input as u32)) {
            let own = self.output_axes().find(|&own| load.at.get(axis) == Some(&whole(own)))?;
            if *found.get_or_insert(own) != own {
                return None;
            }
        }
        let own = found?;
        // What is computed for the row as a whole is read at the same index, too.
        let stages = self.stages.iter().enumerate().filter_map(|(number, stage)| {
            let place = stage.axes.iter().position(|&axis| axis == own)?;
            Some((Source::Stage(number as u32), place))
        });
        let mut reads =
            stages.flat_map(|(source, place)| self.loads(source).map(move |load| load.at.get(place)));
        reads.all(|at| at == Some(&whole(own))).then_some(own)
    }

    /// Whether an input is read at indices that change along an axis of the output, other than through values.
    pub fn reads_along(&self, input: usize, axis: Axis) -> bool {
        self.loads(Source::Input(input as u32)).flat_map(|load| &load.at).any(|at| match at {
            Coordinate::Affine(affine) => affine.factor(axis) != 0,
            Coordinate::Value(_) => false,
        })
    }

    fn loads(&self, from: Source) -> impl Iterator<Item = &Load> {
        let mut loads = Vec::new();
        self.stages.iter().for_each(|stage| collect(&stage.steps, &mut loads));
        loads.into_iter().filter(move |load| load.from == from)
    }
}

/// An axis, as the coordinate of a load.
fn whole(axis: Axis) -> Coordinate {
    Affine::from(axis).into()
}

fn collect<'a>(steps: &'a [Step], loads: &mut Vec<&'a Load>) {
    for step in steps {
        match step {
            Step::Load(_, load) => loads.push(load),
            Step::Reduce(reduction) => collect(&reduction.body, loads),
            _ => {}
        }
    }
}
