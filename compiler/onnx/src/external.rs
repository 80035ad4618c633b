//! The data of tensors that is stored in files beside the model.

use std::path::{Component, Path, PathBuf};

use bytes::Bytes;

use crate::TensorError;
use crate::messages::EntryProto;
use crate::tensor::{Header, Source};

/// The bytes of a tensor, from the place given by the entries.
pub(crate) fn read(entries: &[EntryProto], header: &Header, source: &Source) -> Result<Bytes, TensorError> {
    let entry =
        |key: &str| entries.iter().find(|entry| entry.key == key.as_bytes()).map(|entry| &entry.value[..]);
    let location = entry("location").unwrap_or_default();
    let offset = number("offset", entry("offset"))?.unwrap_or(0);
    let length = number("length", entry("length"))?.unwrap_or(header.size);
    if length != header.size {
        return Err(header.length_error("external data", length));
    }
    let name = String::from_utf8_lossy(location).into_owned();
    let Some(relative) = relative_path(location) else {
        return Err(TensorError::ExternalEntry {
            key: "location",
            found: name,
            expected: "the path of a file",
        });
    };
    let path = resolve(relative, &name, &source.folders)?;
    range(&path, &name, offset, length, source)
}

fn number(key: &'static str, text: Option<&[u8]>) -> Result<Option<u64>, TensorError> {
    let Some(text) = text else { return Ok(None) };
    let text = String::from_utf8_lossy(text);
    text.parse().map(Some).map_err(|_| TensorError::ExternalEntry {
        key,
        found: text.into_owned(),
        expected: "a number of bytes",
    })
}

/// The location as a path. File names need not be UTF-8 on systems that allow other names.
fn relative_path(location: &[u8]) -> Option<&Path> {
    #[cfg(unix)]
    let path: &Path = Path::new(<std::ffi::OsStr as std::os::unix::ffi::OsStrExt>::from_bytes(location));
    #[cfg(not(unix))]
    let path = Path::new(std::str::from_utf8(location).ok()?);
    (!location.is_empty()).then_some(path)
}

/// The file at a location, below the first folder that contains it. Symbolic links are followed, but only to
/// files below one of the folders.
fn resolve(relative: &Path, name: &str, folders: &[PathBuf]) -> Result<PathBuf, TensorError> {
    let plain = |part: Component<'_>| matches!(part, Component::Normal(_) | Component::CurDir);
    if !relative.components().all(plain) {
        return Err(TensorError::Escape { location: name.to_owned() });
    }
    let io = |source| TensorError::ExternalIo { location: name.to_owned(), source };
    let folders =
        folders.iter().map(|folder| folder.canonicalize()).collect::<Result<Vec<_>, _>>().map_err(io)?;
    let mut problem = None;
    for folder in &folders {
        match folder.join(relative).canonicalize() {
            Ok(path) if folders.iter().any(|folder| path.starts_with(folder)) => return Ok(path),
            Ok(target) => return Err(TensorError::LinkEscape { location: name.to_owned(), target }),
            Err(error) => problem = problem.or(Some(error)),
        }
    }
    Err(problem.map_or_else(|| TensorError::NoFolder { location: name.to_owned() }, io))
}

/// Part of a file.
fn range(
    path: &Path,
    location: &str,
    offset: u64,
    length: u64,
    source: &Source,
) -> Result<Bytes, TensorError> {
    let io = |source| TensorError::ExternalIo { location: location.to_owned(), source };
    let file = source.files.map(path).map_err(io)?;
    let (size, end) = (file.len() as u64, offset.saturating_add(length));
    if end > size {
        return Err(TensorError::ExternalRange { location: location.to_owned(), offset, end, size });
    }
    Ok(file.slice(offset as usize..end as usize))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::messages::{DataLocation, TensorProto};
    use crate::tensor::convert;

    /// A float tensor with two elements, described by these entries.
    fn read_entries(entries: &[(&[u8], &[u8])], folders: &[&Path]) -> Result<Vec<u8>, String> {
        let entry = |&(key, value): &(&[u8], &[u8])| EntryProto { key: key.to_vec(), value: value.to_vec() };
        let proto = TensorProto {
            data_type: 1,
            dims: vec![2],
            data_location: DataLocation::External.into(),
            external_data: entries.iter().map(entry).collect(),
            ..TensorProto::default()
        };
        let source = Source::new(folders.iter().map(|&folder| folder.to_owned()).collect(), 1 << 20);
        convert(proto, &source).map(|tensor| tensor.bytes().to_vec()).map_err(|error| error.to_string())
    }

    fn at(location: &[u8], folders: &[&Path]) -> Result<Vec<u8>, String> {
        read_entries(&[(b"location", location)], folders)
    }

    /// A folder with a folder `model` and a file `secret` in it.
    fn folders() -> (tempfile::TempDir, PathBuf) {
        let outer = tempfile::tempdir().unwrap();
        let folder = outer.path().join("model");
        std::fs::create_dir(&folder).unwrap();
        std::fs::write(outer.path().join("secret"), [0; 8]).unwrap();
        (outer, folder)
    }

    #[test]
    fn external_data_stays_in_the_folder_and_in_the_file() {
        let (_outer, folder) = folders();
        std::fs::write(folder.join("weights"), [9, 9, 1, 2, 3, 4, 5, 6, 7, 8]).unwrap();
        let good: &[(&[u8], &[u8])] = &[(b"location", b"weights"), (b"offset", b"2"), (b"length", b"8")];
        assert_eq!(read_entries(good, &[&folder]).unwrap(), [1, 2, 3, 4, 5, 6, 7, 8]);

        let location = |location| (&b"location"[..], location);
        let weights = location(&b"weights"[..]);
        for (entries, expected) in [
            (&[location(b"../secret")][..], "outside the model's folder"),
            (&[location(b"/etc/hostname")], "outside the model's folder"),
            (&[], "location is ``; expected the path"),
            (&[location(b"none")], "external data `none`: "),
            (&[location(b".")], "external data `.`: Is a directory"),
            (&[weights, (b"offset", b"3")], "the tensor is bytes 3..11, but the file has 10 bytes"),
            (&[weights, (b"offset", b"18446744073709551615")], "the file has 10 bytes"),
            (&[weights, (b"offset", b"-1")], "offset is `-1`; expected a number"),
            (&[weights, (b"offset", b"\xff")], "offset is `\u{fffd}`; expected a number"),
            (&[weights, (b"length", b"4")], "external data holds 4 bytes, but float of shape [2] needs 8"),
        ] {
            let error = read_entries(entries, &[&folder]).unwrap_err();
            assert!(error.contains(expected), "`{error}` should say `{expected}`");
        }
        let error = at(b"weights", &[]).unwrap_err();
        assert!(error.contains("was not read from a file"), "{error}");
    }

    #[cfg(unix)]
    #[test]
    fn a_link_may_lead_to_any_of_the_folders_but_nowhere_else() {
        use std::os::unix::fs::symlink;
        let (outer, folder) = folders();
        let real = outer.path().join("real");
        std::fs::create_dir(&real).unwrap();
        std::fs::write(real.join("data"), [1, 2, 3, 4, 5, 6, 7, 8]).unwrap();
        symlink("../real/data", folder.join("data link")).unwrap();
        symlink("../secret", folder.join("secret link")).unwrap();
        symlink("..", folder.join("up")).unwrap();

        let error = at(b"data link", &[&folder]).unwrap_err();
        assert!(error.contains("is a link to") && error.contains("real/data, outside"), "{error}");
        assert_eq!(at(b"data link", &[&folder, &real]).unwrap(), [1, 2, 3, 4, 5, 6, 7, 8]);
        assert_eq!(at(b"data", &[&folder, &real]).unwrap(), [1, 2, 3, 4, 5, 6, 7, 8]);
        for link in [&b"secret link"[..], b"up/secret"] {
            let error = at(link, &[&folder, &real]).unwrap_err();
            assert!(error.contains("outside the model's folder; copy the file there"), "{error}");
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_name_of_the_file_need_not_be_utf8() {
        use std::os::unix::ffi::OsStrExt;
        let (_outer, folder) = folders();
        let name = b"gewichte-\xe4.bin";
        std::fs::write(folder.join(Path::new(std::ffi::OsStr::from_bytes(name))), [1, 2, 3, 4, 5, 6, 7, 8])
            .unwrap();
        assert_eq!(at(name, &[&folder]).unwrap(), [1, 2, 3, 4, 5, 6, 7, 8]);
    }
}
