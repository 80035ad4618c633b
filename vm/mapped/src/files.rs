//! Files that are opened by a path from outside: only regular files, and never more of one than is expected.

use rustix::fs::OFlags;
use rustix::io::Errno;
use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

/// Opens a file for reading, if it is a regular file. Never waits: a pipe without a writer would block whoever
/// opens it, also against the signal that should end it.
pub fn open(path: &Path) -> io::Result<File> {
    open_with(OpenOptions::new().read(true), path)
}

/// Opens a file in some way, if it is a regular file.
pub fn open_with(options: &OpenOptions, path: &Path) -> io::Result<File> {
    // It says what to do when reading would block, and regular files never do.
    let flags = i32::try_from(OFlags::NONBLOCK.bits()).map_err(io::Error::other)?;
    let file = options.clone().custom_flags(flags).open(path)?;
    let kind = file.metadata()?.file_type();
    if kind.is_dir() {
        return Err(Errno::ISDIR.into());
    }
    if !kind.is_file() {
        let what = "it is a pipe or a device, not a regular file";
        return Err(io::Error::new(io::ErrorKind::InvalidInput, what));
    }
    Ok(file)
}

/// The bytes of a regular file; `None` if there are more than `limit`. The size that the system reports isn't
/// relied on: the file may grow, and those below /proc have none.
pub fn read(path: &Path, limit: u64) -> io::Result<Option<Vec<u8>>> {
    let file = open(path)?;
    if file.metadata()?.len() > limit {
        return Ok(None);
    }
    let mut bytes = Vec::new();
    file.take(limit.saturating_add(1)).read_to_end(&mut bytes)?;
    Ok((bytes.len() as u64 <= limit).then_some(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_regular_files_of_the_expected_size_are_read() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("file");
        std::fs::write(&path, [7; 40]).expect("a file");
        assert_eq!(read(&path, 40).expect("a file"), Some(vec![7; 40]));
        assert_eq!(read(&path, 39).expect("a file"), None);
        // A file without a size, and one behind a link.
        assert!(
            read(Path::new("/proc/self/status"), 1 << 20).expect("a file").is_some_and(|it| !it.is_empty())
        );
        assert_eq!(read(Path::new("/proc/self/status"), 3).expect("a file"), None);
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(&path, &link).expect("a link");
        assert_eq!(read(&link, 40).expect("a file"), Some(vec![7; 40]));
    }

    #[test]
    fn pipes_devices_and_folders_are_refused_at_once() {
        let folder = tempfile::tempdir().expect("a folder");
        let pipe = folder.path().join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&pipe).status().expect("mkfifo starts");
        assert!(made.success());
        let zero = folder.path().join("zero");
        std::os::unix::fs::symlink("/dev/zero", &zero).expect("a link");
        for path in [&pipe, &zero] {
            let error = read(path, 100).expect_err("no regular file");
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{error}");
        }
        let error = read(folder.path(), 100).expect_err("a folder");
        assert_eq!(error.kind(), io::ErrorKind::IsADirectory, "{error}");
        let error = read(&folder.path().join("none"), 100).expect_err("nothing");
        assert_eq!(error.kind(), io::ErrorKind::NotFound, "{error}");
    }
}
