//! Recognizes files by their first bytes, so that a command given the wrong kind of file can tell which one
//! is right.

use std::io::Read;
use std::path::Path;

/// Kinds of files that are easily mistaken for each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// An opml image.
    Image,
    /// An ONNX model.
    Onnx,
    /// A NumPy array.
    Npy,
    /// A NumPy archive of arrays, with the name of the first one.
    Npz(String),
    /// A PyTorch file.
    PyTorch,
    /// Some other zip archive.
    Zip,
    /// A program.
    Elf,
    /// A GGUF model.
    Gguf,
    /// A HDF5 file, as Keras writes.
    Hdf5,
    /// A picture.
    Picture,
    /// A web page.
    Html,
}

/// The number of bytes that are examined.
const HEAD: u64 = 512;

impl Kind {
    /// The kind of a file; `None` if it is unknown or can't be read.
    pub fn of_file(path: &Path) -> Option<Self> {
        let mut head = Vec::new();
        mapped::open(path).ok()?.take(HEAD).read_to_end(&mut head).ok()?;
        Self::of(&head)
    }

    /// The kind of a file that starts with these bytes.
    pub fn of(head: &[u8]) -> Option<Self> {
        let starts = |magic: &[u8]| head.starts_with(magic);
        let text = head.trim_ascii_start().to_ascii_lowercase();
        Some(if starts(b"opmlimg") {
            Self::Image
        } else if starts(b"\x93NUMPY") {
            Self::Npy
        } else if starts(b"PK\x03\x04") {
            first_member(head).map_or(Self::Zip, |name| match name.strip_suffix(".npy") {
                Some(array) => Self::Npz(array.to_owned()),
                None if name.ends_with("data.pkl") => Self::PyTorch,
                None => Self::Zip,
            })
        } else if starts(b"\x7fELF") {
            Self::Elf
        } else if starts(b"GGUF") {
            Self::Gguf
        } else if starts(b"\x89HDF\r\n\x1a\n") {
            Self::Hdf5
        } else if starts(b"\x89PNG") || starts(b"\xff\xd8\xff") || starts(b"GIF8") {
            Self::Picture
        } else if text.starts_with(b"<!doctype html") || text.starts_with(b"<html") {
            Self::Html
        } else if is_onnx(head) {
            Self::Onnx
        } else {
            return None;
        })
    }

    /// "an ONNX model".
    pub fn name(&self) -> &'static str {
        match self {
            Self::Image => "an opml image",
            Self::Onnx => "an ONNX model",
            Self::Npy => "a NumPy array",
            Self::Npz(_) => "an .npz archive of NumPy arrays",
            Self::PyTorch => "a PyTorch file",
            Self::Zip => "a zip archive",
            Self::Elf => "an ELF program",
            Self::Gguf => "a GGUF model",
            Self::Hdf5 => "a HDF5 file",
            Self::Picture => "a picture",
            Self::Html => "a web page",
        }
    }

    /// The hint of a command that needs an image but got this file.
    pub fn instead_of_image(&self, file: &Path) -> Option<String> {
        let file = file.display();
        Some(match self {
            Self::Onnx => format!("compile it first: opml compile {file} -o model.opml"),
            Self::Elf => format!("make an image of it first: opml image from-elf {file} -o program.opml"),
            Self::Npy | Self::Npz(_) => "give the image first, and the array as --input NAME=FILE".to_owned(),
            Self::PyTorch => {
                "export it to ONNX with torch.onnx.export, then `opml compile` makes an image".to_owned()
            }
            Self::Html => {
                "it may be the page about a file, not the file: download the file itself".to_owned()
            }
            _ => return None,
        })
    }

    /// The hint of a command that needs an ONNX model but got this file.
    pub fn instead_of_model(&self, file: &Path) -> Option<String> {
        let file = file.display();
        Some(match self {
            Self::Image => format!("it is compiled already: opml run {file}"),
            Self::Elf => format!("programs become images by `opml image from-elf {file} -o program.opml`"),
            Self::PyTorch => "export it to ONNX with torch.onnx.export".to_owned(),
            Self::Hdf5 => "convert it to ONNX with tf2onnx".to_owned(),
            Self::Html => {
                "it may be the page about a file, not the file: download the file itself".to_owned()
            }
            _ => return None,
        })
    }

    /// The hint of a command that needs a NumPy array but got this file.
    pub fn instead_of_array(&self, file: &Path) -> Option<String> {
        let file = file.display();
        Some(match self {
            Self::Npz(array) => {
                format!(
                    "save one array of it by itself: np.save('{array}.npy', np.load('{file}')['{array}'])"
                )
            }
            Self::PyTorch => format!("convert it: np.save('x.npy', torch.load('{file}').numpy())"),
            Self::Picture => {
                "save its pixels as an array of the model's type and shape with np.save".to_owned()
            }
            Self::Html => {
                "it may be the page about a file, not the file: download the file itself".to_owned()
            }
            _ => return None,
        })
    }
}

/// The name of the first member of a zip archive.
fn first_member(head: &[u8]) -> Option<String> {
    let length = usize::from(u16::from_le_bytes(*head.get(26..)?.first_chunk()?));
    Some(String::from_utf8_lossy(head.get(30..30 + length)?).into_owned())
}

/// Whether bytes look like an ONNX model, which has no magic number: the field `ir_version` with a small
/// number, followed by another field of a model.
fn is_onnx(head: &[u8]) -> bool {
    matches!(head, [0x08, 1..=32, 0x12 | 0x1a | 0x22 | 0x28 | 0x32 | 0x3a | 0x42 | 0x72, ..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_known_by_their_first_bytes() {
        let zip = |name: &str| {
            let mut bytes = b"PK\x03\x04".to_vec();
            bytes.resize(26, 0);
            bytes.extend((name.len() as u16).to_le_bytes());
            bytes.extend([0, 0]);
            bytes.extend(name.bytes());
            bytes
        };
        for (bytes, kind) in [
            (b"opmlimg\0\x05".to_vec(), Some(Kind::Image)),
            (b"\x93NUMPY\x01".to_vec(), Some(Kind::Npy)),
            (zip("image.npy"), Some(Kind::Npz("image".to_owned()))),
            (zip("archive/data.pkl"), Some(Kind::PyTorch)),
            (zip("a.txt"), Some(Kind::Zip)),
            (b"PK\x03\x04".to_vec(), Some(Kind::Zip)),
            (b"\n<!DOCTYPE html>".to_vec(), Some(Kind::Html)),
            (b"\x08\x08\x12\x07pytorch".to_vec(), Some(Kind::Onnx)),
            (b"\x08".to_vec(), None),
            (Vec::new(), None),
        ] {
            assert_eq!(Kind::of(&bytes), kind, "{bytes:?}");
        }
        for folder in ["mnist-cnn", "mnist-mlp"] {
            let model = format!("{}/../fixtures/{folder}/model.onnx", env!("CARGO_MANIFEST_DIR"));
            assert_eq!(Kind::of_file(Path::new(&model)), Some(Kind::Onnx));
        }
        assert_eq!(Kind::of_file(Path::new("/dev/zero")), None);
    }
}
