//! Images in files.

use crate::failure::Failure;
use crate::output::Output;
use image::{Image, ImageError};
use std::path::Path;

/// How many bytes of memory are always hashed when an image is opened: 64 MiB, a tenth of a second.
const SMALL: u64 = 1 << 26;

/// Writes an image and returns its size.
pub fn save(image: &Image, path: &Path) -> Result<u64, Failure> {
    image.write(path).map_err(|error| failure(path, &error))?;
    std::fs::metadata(path)
        .map(|data| data.len())
        .map_err(|error| Failure::io("read", &path.display().to_string(), &error))
}

/// Opens an image. If it is small, every hash in it is checked; of a large one the memory and its nodes are believed, but for
/// the root, and read when they are needed: so it is there at once, however large it is.
pub fn load(path: &Path) -> Result<Image, Failure> {
    let image = Image::open(path).map_err(|error| failure(path, &error))?;
    if image.stored() <= SMALL {
        image.verify(|_| ()).map_err(|error| failure(path, &error))?;
    }
    Ok(image)
}

/// Opens an image and checks every hash in it: for who puts money on it.
pub fn load_verified(path: &Path, output: Output) -> Result<Image, Failure> {
    let image = load(path)?;
    if image.stored() > SMALL {
        let bar = output.bytes("checking the image", image.stored());
        image.verify(|bytes| bar.set_position(bytes)).map_err(|error| failure(path, &error))?;
        bar.finish_and_clear();
    }
    Ok(image)
}

/// What is wrong with an image file.
fn failure(path: &Path, error: &ImageError) -> Failure {
    match error {
        ImageError::Io { verb, source, .. } => Failure::io(verb, &path.display().to_string(), source),
        ImageError::Memory { .. } => reserved(Failure::about(path, error), error),
        other => Failure::about(path, other).hint("images are written by `opml compile` and `opml image from-elf`"),
    }
}

/// Adds what to do where the system has not enough addresses for a machine's memory.
pub fn reserved(failure: Failure, error: &ImageError) -> Failure {
    match error {
        ImageError::Memory { .. } => failure.hint(
            "memory is reserved as a whole and taken page by page: look at `ulimit -v` and vm.overcommit_memory, or use a larger machine",
        ),
        _ => failure,
    }
}
