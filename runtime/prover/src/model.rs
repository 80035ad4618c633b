//! What a chain knows of an image.

use game::{MOST_REGIONS, Model, Region, Subtree};
use image::{Image, Role, Schedule};
use std::sync::Arc;
use step::merkle::LEAF;

// An image that can be made can be disputed.
const _: () = assert!(MOST_REGIONS == image::MOST_REGIONS);

/// The model of an image with one of its schedules: its big steps, or one for the whole program. `None` if the
/// image doesn't declare its inputs and outputs.
#[must_use]
pub fn model_of(image: &Image, schedule: &Schedule) -> Option<Model> {
    let interface = image.interface.as_ref()?;
    let region = |role, region: &image::Region| {
        let level = u32::from(region.bits).saturating_sub(LEAF.ilog2());
        let index = region.address.checked_shr(region.bits.into()).unwrap_or(0);
        Region { subtree: Subtree { level, index }, bytes: image.extent(role, *region) }
    };
    let regions = |role, regions: &[image::Region]| -> Arc<[Region]> {
        regions.iter().map(|one| region(role, one)).collect()
    };
    Some(Model {
        profile: image.profile,
        code_root: image.code_root(),
        memory_root: image.memory_root(),
        schedule_root: schedule.root(),
        shape: schedule.shape(),
        repetitions: schedule.repetitions(),
        scratch_bits: interface.scratch_bits,
        inputs: regions(Role::Input, &interface.inputs),
        outputs: regions(Role::Output, &interface.outputs),
    })
}
