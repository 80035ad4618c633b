//! Images in files.

use crate::failure::Failure;
use crate::kinds::Kind;
use crate::output::Output;
use image::{Image, ImageError};
use std::path::Path;

/// The size of memory up to which all of it is hashed when an image is opened: 64 MiB, which takes a tenth of
/// a second.
const SMALL: u64 = 1 << 26;

/// Writes an image and returns its size.
pub fn save(image: &Image, path: &Path) -> Result<u64, Failure> {
    image.write(path).map_err(|error| failure(path, &error))?;
    size(path)
}

/// The size of a file.
pub fn size(path: &Path) -> Result<u64, Failure> {
    std::fs::metadata(path)
        .map(|data| data.len())
        .map_err(|error| Failure::io("read", &path.display().to_string(), &error))
}

/// Opens an image. If it is small, every hash in it is checked. The memory of a large image and its tree are
/// trusted, except for the root, and are read on demand. So even a large image opens at once.
pub fn load(path: &Path) -> Result<Image, Failure> {
    let image = Image::open(path).map_err(|error| failure(path, &error))?;
    if image.stored() <= SMALL {
        image.verify(|_| ()).map_err(|error| failure(path, &error))?;
    }
    Ok(image)
}

/// Opens an image and checks every hash in it, for commands that stake money on it.
pub fn load_verified(path: &Path, output: Output) -> Result<Image, Failure> {
    let image = load(path)?;
    if image.stored() > SMALL {
        let bar = output.bytes("checking the image", image.stored());
        image.verify(|bytes| bar.set_position(bytes)).map_err(|error| failure(path, &error))?;
        bar.finish_and_clear();
    }
    Ok(image)
}

/// The error for an image file.
pub fn failure(path: &Path, error: &ImageError) -> Failure {
    match error {
        ImageError::Io { verb, source, .. } => Failure::io(verb, &path.display().to_string(), source),
        ImageError::Memory { .. } => reserved(Failure::about(path, error), error),
        other => {
            let kind = Kind::of_file(path).filter(|kind| *kind != Kind::Image);
            let failure = match &kind {
                Some(kind) => Failure::about(path, format!("not an opml image, but {}", kind.name())),
                None => Failure::about(path, other),
            };
            let usual = || "images are written by `opml compile` and `opml image from-elf`".to_owned();
            failure.hint(kind.and_then(|kind| kind.instead_of_image(path)).unwrap_or_else(usual))
        }
    }
}

/// Adds a hint if the system has too few addresses for a machine's memory.
pub fn reserved(failure: Failure, error: &ImageError) -> Failure {
    match error {
        ImageError::Memory { .. } => failure.hint(
            "memory is reserved as a whole and taken page by page: look at `ulimit -v` and vm.overcommit_memory, or use a larger machine",
        ),
        _ => failure,
    }
}
