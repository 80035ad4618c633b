//! Tensors between files and the machine's memory.

use image::{Image, Role};
use onnx::Tensor;
use serde_json::{Map, Value};
use std::collections::{BTreeMap, HashSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use tensor::DType;

use crate::cli::Input;
use crate::failure::Failure;
use crate::kinds::Kind;
use crate::npy::{self, NpyError};
use crate::output::{self, read_file, write_file};

/// The bytes of an input tensor.
#[derive(Debug)]
pub struct InputBytes {
    /// Their address in the machine's memory.
    pub address: u64,
    /// The elements.
    pub bytes: Vec<u8>,
}

/// Reads the inputs of an image. Each must be given exactly once, with the right type and shape.
pub fn read_inputs(image: &Image, inputs: &[Input]) -> Result<Vec<InputBytes>, Failure> {
    let given = read_given_inputs(image, inputs)?;
    match wanted(image).find(|tensor| given.iter().all(|given| given.address != tensor.address)) {
        None => Ok(given),
        Some(missing) => Err(Failure::usage(format!("input '{}' is missing", missing.name)).hint(format!(
            "add --input {}=FILE.npy; the image takes {}",
            missing.name,
            names(image)
        ))),
    }
}

/// The inputs of an image.
fn wanted(image: &Image) -> impl Iterator<Item = &image::Tensor> {
    image.tensors.iter().filter(|tensor| tensor.role == Role::Input)
}

/// Describes an image's inputs for people: names, types and shapes.
fn names(image: &Image) -> String {
    let names = wanted(image).map(describe).collect::<Vec<_>>().join("; ");
    if names.is_empty() { "no inputs".to_owned() } else { names }
}

/// Reads inputs of an image. Each may be given at most once, and must have the right type and shape.
pub fn read_given_inputs(image: &Image, inputs: &[Input]) -> Result<Vec<InputBytes>, Failure> {
    let mut named = Vec::new();
    // Names are checked before any file is read.
    for input in inputs {
        let tensor = find_input(image, input.name.as_deref())?;
        if named.iter().any(|(other, _): &(&image::Tensor, _)| other.name == tensor.name) {
            return Err(Failure::usage(format!("input '{}' is given twice", tensor.name)));
        }
        named.push((tensor, &*input.file));
    }
    let read = |(tensor, file): (&image::Tensor, &Path)| {
        Ok(InputBytes { address: tensor.address, bytes: read_input(tensor, file)? })
    };
    named.into_iter().map(read).collect()
}

/// The input of an image with a name. The name is optional if there is only one input.
pub fn find_input<'a>(image: &'a Image, name: Option<&str>) -> Result<&'a image::Tensor, Failure> {
    let Some(name) = name else {
        let mut inputs = wanted(image);
        return match (inputs.next(), inputs.next()) {
            (Some(only), None) => Ok(only),
            (None, _) => Err(Failure::usage("the image has no inputs").hint("leave --input out")),
            _ => Err(Failure::usage("--input has no name, and the image has several inputs")
                .hint(format!("--input NAME=FILE, where the image takes {}", names(image)))),
        };
    };
    wanted(image).find(|tensor| tensor.name == name).ok_or_else(|| {
        let nearest = wanted(image)
            .map(|tensor| (strsim::jaro_winkler(&tensor.name, name), &tensor.name))
            .filter(|(similarity, _)| *similarity > ALIKE)
            .max_by(|a, b| a.0.total_cmp(&b.0));
        let guess = nearest.map(|(_, name)| format!("did you mean '{name}'? ")).unwrap_or_default();
        Failure::usage(format!("the image has no input '{name}'"))
            .hint(format!("{guess}the image takes {}", names(image)))
    })
}

/// The similarity from which a name is suggested in place of another.
const ALIKE: f64 = 0.7;

/// "image: f32 [1, 28, 28]".
fn describe(tensor: &image::Tensor) -> String {
    format!("{}: {} {:?}", tensor.name, tensor.dtype, tensor.shape)
}

/// Reads one input and checks that the image accepts it.
fn read_input(wanted: &image::Tensor, path: &Path) -> Result<Vec<u8>, Failure> {
    let found = read_tensor(path, wanted.bytes)?;
    let (dtype, dims) = (found.dtype(), found.dims());
    let is_array = path.extension().is_none_or(|extension| extension != "pb");
    let codes = is_array && dtype == npy::stored(wanted.dtype);
    if dtype != wanted.dtype && !codes || dims != wanted.shape {
        let message = format!("holds {dtype} {dims:?}, but the image takes {}", describe(wanted));
        let failure = Failure::about(path, message);
        return Err(match conversion(wanted, &found, path) {
            Some(hint) => failure.hint(hint),
            None => failure,
        });
    }
    let (_, _, bytes) = found.into_parts();
    Ok(bytes.into())
}

/// Reads the values of a model's inputs that are constants, by their names.
pub fn read_constants(given: &[Input]) -> Result<BTreeMap<String, Tensor>, Failure> {
    let mut constants = BTreeMap::new();
    for Input { name, file } in given {
        let name = name.as_ref().ok_or_else(|| {
            Failure::usage(format!("--constant {}: which input?", file.display()))
                .hint(format!("--constant INPUT={}", file.display()))
        })?;
        let tensor = read_tensor(file, onnx::Limits::default().tensor)?;
        if constants.insert(name.clone(), tensor).is_some() {
            return Err(Failure::usage(format!("--constant is given twice for '{name}'")));
        }
    }
    Ok(constants)
}

/// How to convert a file's array to the one that an image accepts, in Python.
fn conversion(wanted: &image::Tensor, found: &Tensor, path: &Path) -> Option<String> {
    let file = path.display();
    let elements = |dims: &[u64]| dims.iter().fold(1u128, |product, &dim| product.saturating_mul(dim.into()));
    let (has, needs) = (elements(found.dims()), elements(&wanted.shape));
    if has != needs {
        return Some(format!(
            "the array has {has} elements, the input {needs}; \
             a model with open dimensions takes other shapes if it is compiled with --shape {}=DIM,DIM",
            wanted.name
        ));
    }
    if path.extension().is_some_and(|extension| extension == "pb") {
        return None;
    }
    let mut array = format!("np.load('{file}')");
    if wanted.dtype != found.dtype() {
        array += &format!(".astype(np.{})", wanted.dtype.numpy()?.name);
    }
    if found.dims() != wanted.shape {
        let dims: Vec<_> = wanted.shape.iter().map(u64::to_string).collect();
        array += &format!(".reshape({})", if dims.is_empty() { "()".to_owned() } else { dims.join(", ") });
    }
    Some(format!("np.save('{file}', {array})"))
}

/// How much longer a tensor's file may be than the tensor. This is enough for names and headers, and for any
/// other small tensor given by mistake.
const MARGIN: u64 = 1 << 20;

/// Reads an .npy file, or an ONNX TensorProto from a file whose name ends in .pb.
fn read_tensor(path: &Path, bytes: u64) -> Result<Tensor, Failure> {
    let limit = bytes.saturating_add(MARGIN);
    if path.extension().is_some_and(|extension| extension == "pb") {
        let (_, tensor) = onnx::read_tensor(path, &onnx::Limits { file: limit, tensor: limit })
            .map_err(|error| Failure::about(path, error))?;
        return Ok(tensor);
    }
    let bytes = read_file(path, limit)?;
    npy::decode(&bytes).map_err(|error| not_an_array(path, &bytes, &error))
}

/// The error for a file that is not a readable array, with a hint.
fn not_an_array(path: &Path, bytes: &[u8], error: &NpyError) -> Failure {
    let kind = Kind::of(bytes).filter(|kind| *error == NpyError::Magic && *kind != Kind::Npy);
    let failure = match &kind {
        Some(kind) => Failure::about(path, format!("not an .npy file, but {}", kind.name())),
        None => Failure::about(path, error),
    };
    match kind.and_then(|kind| kind.instead_of_array(path)).or_else(|| error.hint(path)) {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
}

/// The outputs of an image. `read` gets their bytes from memory. Those whose data decide how large they are are cut
/// to their true shapes.
pub fn outputs<'a>(
    image: &Image,
    read: impl Fn(u64, u64) -> Option<&'a [u8]>,
) -> Result<Vec<(String, Tensor)>, Failure> {
    let all = outputs_where(image, |_| true, read)?;
    let own = || image.tensors.iter().filter(|tensor| tensor.role == Role::Output);
    let mut flags = own().zip(&all).filter(|(_, (_, value))| value.bytes() == [1]);
    if let Some(node) = flags.find_map(|(tensor, _)| tensor.loop_of()) {
        let what = format!("loop '{node}' ran as often as it may and would have gone on: there is no result");
        return Err(Failure::new(what).hint("compile the model with a larger --loop-bound"));
    }
    let cut = own().zip(&all).map(|(tensor, (name, value))| {
        let shape = all.iter().find(|(other, _)| *other == image::true_shape(name));
        let Some((_, shape)) = shape else { return Some((name.clone(), value.clone())) };
        let shape: Vec<u64> =
            shape.bytes().as_chunks().0.iter().map(|&size| u64::from_le_bytes(size)).collect();
        let bytes = tensor.cut(value.bytes(), &shape)?;
        Some((name.clone(), Tensor::new(tensor.dtype, shape, bytes)?))
    });
    // A shape that makes no sense was not made by the compiler.
    Ok(cut.collect::<Option<_>>().unwrap_or_else(|| all.clone()))
}

/// Those of the outputs that are wanted.
pub fn outputs_where<'a>(
    image: &Image,
    wanted: impl Fn(&image::Tensor) -> bool,
    read: impl Fn(u64, u64) -> Option<&'a [u8]>,
) -> Result<Vec<(String, Tensor)>, Failure> {
    let tensors = image.tensors.iter().filter(|tensor| tensor.role == Role::Output && wanted(tensor));
    tensors
        .map(|tensor| {
            read(tensor.address, tensor.bytes)
                .and_then(|bytes| Tensor::new(tensor.dtype, tensor.shape.clone(), bytes.to_vec()))
                .map(|value| (tensor.name.clone(), value))
                .ok_or_else(|| Failure::new(format!("output '{}' is not in memory", tensor.name)))
        })
        .collect()
}

/// Writes outputs into a folder and returns the files' paths.
pub fn write_outputs(folder: &Path, outputs: &[(String, Tensor)]) -> Result<Vec<(String, PathBuf)>, Failure> {
    let names: Vec<&str> = outputs.iter().map(|(name, _)| &**name).collect();
    let mut files = Vec::new();
    for (file, (name, tensor)) in file_names(&names).into_iter().zip(outputs) {
        let path = folder.join(file);
        let bytes = npy::encode(tensor).map_err(|error| Failure::about(&path, error))?;
        write_file(&path, &bytes)?;
        files.push((name.clone(), path));
    }
    Ok(files)
}

/// The files of outputs, a different one for each: NAME.npy, or a name as close to it as the file system
/// allows. Names that can be files are kept. If several others want the same file, the later ones are
/// numbered.
fn file_names(outputs: &[&str]) -> Vec<String> {
    let mut taken = HashSet::new();
    let mut files = vec![None; outputs.len()];
    for exact in [true, false] {
        for (name, file) in outputs.iter().zip(&mut files).filter(|(_, file)| file.is_none()) {
            let stem = stem(name);
            if exact && stem != *name {
                continue;
            }
            let numbered = (2u64..).map(|number| format!("{stem}-{number}.npy"));
            let mut candidates = std::iter::once(format!("{stem}.npy")).chain(numbered);
            // Some file systems don't distinguish upper and lower case.
            *file = candidates.find(|candidate| taken.insert(candidate.to_lowercase()));
        }
    }
    files.into_iter().flatten().collect()
}

/// How much of an output's name its file name may contain, in bytes. File systems allow 255 bytes or more in
/// total.
const LONGEST_NAME: usize = 120;

/// An output's name as a file name: forbidden characters become '_', and long names are cut.
fn stem(name: &str) -> String {
    let safe = |c: char| if c.is_control() || "/\\:*?\"<>|".contains(c) { '_' } else { c };
    let stem: String = name[..name.floor_char_boundary(LONGEST_NAME)].chars().map(safe).collect();
    if stem.is_empty() { "_".to_owned() } else { stem }
}

/// How `run` and `result` show outputs: the shape, file and first numbers of each.
pub fn show(outputs: &[(String, Tensor)], files: &[(String, PathBuf)]) -> String {
    let mut text = String::new();
    for ((name, tensor), (_, path)) in outputs.iter().zip(files) {
        let all = numbers(tensor);
        let shown: Vec<_> = all.iter().take(SHOWN).map(|x| format!("{x:.6}")).collect();
        let more = if all.len() > SHOWN { " ..." } else { "" };
        let _ =
            writeln!(text, "{name} {:?} -> {}\n  {}{more}", tensor.dims(), path.display(), shown.join(" "));
        if path.file_name().is_none_or(|file| *file != *format!("{name}.npy")) {
            let _ =
                writeln!(text, "  (a file can't have the output's name, or another output's file has it)");
        }
    }
    text
}

/// How many numbers of an output are shown.
const SHOWN: usize = 8;

/// Names and files of outputs, for machines.
pub fn paths(files: &[(String, PathBuf)]) -> Value {
    files.iter().map(|(name, path)| (name.clone(), output::path(path))).collect::<Map<_, _>>().into()
}

/// The elements of a small tensor as numbers, for people.
pub fn numbers(tensor: &Tensor) -> Vec<f64> {
    let bytes = tensor.bytes();
    match tensor.dtype() {
        DType::F32 => bytes.as_chunks().0.iter().map(|b| f64::from(f32::from_le_bytes(*b))).collect(),
        DType::F64 => bytes.as_chunks().0.iter().map(|b| f64::from_le_bytes(*b)).collect(),
        DType::I64 => bytes.as_chunks().0.iter().map(|b| i64::from_le_bytes(*b) as f64).collect(),
        DType::I32 => bytes.as_chunks().0.iter().map(|b| f64::from(i32::from_le_bytes(*b))).collect(),
        DType::U8 | DType::Bool => bytes.iter().map(|&b| f64::from(b)).collect(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_names_stay_in_their_folder() {
        for (name, file) in [
            ("a/b", "a_b.npy"),
            ("../../etc/passwd", ".._.._etc_passwd.npy"),
            ("..", "...npy"),
            ("", "_.npy"),
            ("a\nb:0", "a_b_0.npy"),
            (&"x".repeat(300), &format!("{}.npy", "x".repeat(120))),
            (&"é".repeat(100), &format!("{}.npy", "é".repeat(60))),
        ] {
            assert_eq!(file_names(&[name]), [file]);
        }
    }

    #[test]
    fn every_output_has_its_own_file() {
        assert_eq!(file_names(&["a/b", "a_b", "a:b"]), ["a_b-2.npy", "a_b.npy", "a_b-3.npy"]);
        assert_eq!(file_names(&["a/b", "a:b", "a_b-2"]), ["a_b.npy", "a_b-3.npy", "a_b-2.npy"]);
        assert_eq!(file_names(&["y", "Y"]), ["y.npy", "Y-2.npy"]);
        let long = "x".repeat(300);
        assert_ne!(
            file_names(&[&(long.clone() + "1"), &(long + "2")])[0],
            format!("{}-2.npy", "x".repeat(120))
        );
    }
}
