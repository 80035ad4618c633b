//! The schedules of an image.

use crate::{BigStep, Image};
use schedule::{Leaf, Schedule, Shape};
use step::Root;

impl From<&BigStep> for Leaf {
    fn from(step: &BigStep) -> Self {
        Self { entry: step.entry, bound: step.bound }
    }
}

impl Image {
    /// The big steps, the period repeated as often as it may be.
    #[must_use]
    pub fn big_steps(&self) -> Schedule {
        Schedule::new(self.schedule.iter().map(Leaf::from).collect(), self.shape())
    }

    /// How the big steps are repeated.
    #[must_use]
    pub fn shape(&self) -> Shape {
        // Contents are checked, and metadata have a limit, so this is a shape.
        Shape::of(self.schedule.len(), self.period).unwrap_or(Shape::plain(u32::MAX))
    }

    /// The whole program as a single big step, if its number of steps is bounded: single-phase.
    #[must_use]
    pub fn single_phase(&self) -> Option<Schedule> {
        self.interface.as_ref().map(|interface| {
            Schedule::new(vec![Leaf { entry: self.entry, bound: interface.bound }], Shape::plain(1))
        })
    }

    /// The root of the schedule tree over the big steps.
    #[must_use]
    pub fn schedule_root(&self) -> Root {
        self.big_steps().root()
    }
}
