//! Tensors between files and the machine's memory.

use image::{Dtype, Image, Role};
use onnx::{ElementType, Tensor};
use std::collections::HashSet;
use std::path::{Path, PathBuf};

use crate::cli::Input;
use crate::failure::Failure;
use crate::npy;
use crate::output::{read_file, write_file};

/// The element types that both a machine's tensor and a file can have.
const TYPES: [(Dtype, ElementType); 11] = [
    (Dtype::F32, ElementType::Float32),
    (Dtype::F64, ElementType::Float64),
    (Dtype::I8, ElementType::Int8),
    (Dtype::I16, ElementType::Int16),
    (Dtype::I32, ElementType::Int32),
    (Dtype::I64, ElementType::Int64),
    (Dtype::U8, ElementType::UInt8),
    (Dtype::U16, ElementType::UInt16),
    (Dtype::U32, ElementType::UInt32),
    (Dtype::U64, ElementType::UInt64),
    (Dtype::Bool, ElementType::Bool),
];

/// Bytes for an input tensor of an image.
#[derive(Debug)]
pub struct InputBytes {
    /// Where they go.
    pub address: u64,
    /// The elements.
    pub bytes: Vec<u8>,
}

/// Reads the inputs that an image needs, each exactly once, each of the right type and shape.
pub fn read_inputs(image: &Image, inputs: &[Input]) -> Result<Vec<InputBytes>, Failure> {
    let fed = read_given_inputs(image, inputs)?;
    match wanted(image).find(|tensor| fed.iter().all(|fed| fed.address != tensor.address)) {
        None => Ok(fed),
        Some(missing) => Err(Failure::new(format!("input '{}' is missing", missing.name)).hint(format!(
            "add --input {}=FILE.npy; the image wants {}",
            missing.name,
            names(image)
        ))),
    }
}

/// The inputs of an image.
fn wanted(image: &Image) -> impl Iterator<Item = &image::Tensor> {
    image.tensors.iter().filter(|tensor| tensor.role == Role::Input)
}

/// What they are called, for people.
fn names(image: &Image) -> String {
    wanted(image).map(describe).collect::<Vec<_>>().join("; ")
}

/// Reads inputs of an image, each at most once, each of the right type and shape.
pub fn read_given_inputs(image: &Image, inputs: &[Input]) -> Result<Vec<InputBytes>, Failure> {
    let wanted: Vec<_> = wanted(image).collect();
    let mut given = HashSet::new();
    let mut fed = Vec::new();
    for input in inputs {
        let tensor = match &input.name {
            Some(name) => wanted.iter().find(|tensor| tensor.name == *name),
            None if wanted.len() == 1 => wanted.first(),
            None => None,
        };
        let Some(tensor) = tensor else {
            let found = input.name.as_deref().unwrap_or("without a name");
            return Err(Failure::new(format!("the image has no input '{found}'"))
                .hint(format!("its inputs are: {}", names(image))));
        };
        if !given.insert(&tensor.name) {
            return Err(Failure::new(format!("input '{}' is given twice", tensor.name)));
        }
        fed.push(InputBytes { address: tensor.address, bytes: read_input(tensor, &input.file)? });
    }
    Ok(fed)
}

/// "image: f32 [1, 28, 28]".
fn describe(tensor: &image::Tensor) -> String {
    format!("{}: {} {:?}", tensor.name, tensor.dtype, tensor.shape)
}

/// Reads one input and checks that it is what the image wants.
fn read_input(wanted: &image::Tensor, path: &Path) -> Result<Vec<u8>, Failure> {
    let found = read_tensor(path, wanted.bytes)?;
    let dtype = TYPES.iter().find(|(_, element)| *element == found.element()).map(|(dtype, _)| *dtype);
    if dtype != Some(wanted.dtype) || found.dims() != wanted.shape {
        let element = dtype.map_or(found.element().name(), Dtype::name);
        return Err(Failure::about(
            path,
            format!("holds {element} {:?}, but the image wants {}", found.dims(), describe(wanted)),
        ));
    }
    let (_, _, bytes) = found.into_parts();
    Ok(bytes)
}

/// How much longer a tensor's file may be than the tensor: names and headers, and any other small tensor by mistake.
const MARGIN: u64 = 1 << 20;

/// Reads an .npy file, or an ONNX TensorProto from anything that ends in .pb.
fn read_tensor(path: &Path, bytes: u64) -> Result<Tensor, Failure> {
    let limit = bytes.saturating_add(MARGIN);
    if path.extension().is_some_and(|extension| extension == "pb") {
        let (_, tensor) = onnx::read_tensor(path, &onnx::Limits { file: limit, tensor: limit })
            .map_err(|error| Failure::about(path, error))?;
        return Ok(tensor);
    }
    npy::decode(&read_file(path, limit)?).map_err(|error| Failure::about(path, error))
}

/// The outputs of an image, taken out of memory by `read`.
pub fn outputs<'a>(
    image: &Image,
    read: impl Fn(u64, u64) -> Option<&'a [u8]>,
) -> Result<Vec<(String, Tensor)>, Failure> {
    let tensors = image.tensors.iter().filter(|tensor| tensor.role == Role::Output);
    tensors
        .map(|tensor| {
            let element = TYPES.iter().find(|(dtype, _)| *dtype == tensor.dtype).map(|(_, element)| *element);
            let bytes = read(tensor.address, tensor.bytes);
            element
                .zip(bytes)
                .and_then(|(element, bytes)| Tensor::new(element, tensor.shape.clone(), bytes.to_vec()))
                .map(|value| (tensor.name.clone(), value))
                .ok_or_else(|| Failure::new(format!("output '{}' is not in memory", tensor.name)))
        })
        .collect()
}

/// Writes outputs as NAME.npy into a folder and returns the files' paths.
pub fn write_outputs(folder: &Path, outputs: &[(String, Tensor)]) -> Result<Vec<(String, PathBuf)>, Failure> {
    let mut taken = HashSet::new();
    let mut files = Vec::new();
    for (name, _) in outputs {
        let path = folder.join(file_name(name));
        if !taken.insert(path.clone()) {
            return Err(Failure::new(format!("two outputs would be written to {}", path.display())));
        }
        files.push((name.clone(), path));
    }
    for ((_, path), (_, tensor)) in files.iter().zip(outputs) {
        write_file(path, &npy::encode(tensor))?;
    }
    Ok(files)
}

/// The file of an output: what could leave the folder becomes '_'.
fn file_name(name: &str) -> String {
    format!("{}.npy", name.replace(['/', '\\', '\0'], "_"))
}

/// The elements of a small tensor as numbers, for people.
pub fn numbers(tensor: &Tensor) -> Vec<f64> {
    let bytes = tensor.bytes();
    match tensor.element() {
        ElementType::Float32 => bytes.as_chunks().0.iter().map(|b| f64::from(f32::from_le_bytes(*b))).collect(),
        ElementType::Float64 => bytes.as_chunks().0.iter().map(|b| f64::from_le_bytes(*b)).collect(),
        ElementType::Int64 => bytes.as_chunks().0.iter().map(|b| i64::from_le_bytes(*b) as f64).collect(),
        ElementType::Int32 => bytes.as_chunks().0.iter().map(|b| f64::from(i32::from_le_bytes(*b))).collect(),
        ElementType::UInt8 | ElementType::Bool => bytes.iter().map(|&b| f64::from(b)).collect(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_names_stay_in_their_folder() {
        assert_eq!(file_name("a/b"), "a_b.npy");
        assert_eq!(file_name("../../etc/passwd"), ".._.._etc_passwd.npy");
        assert_eq!(file_name(".."), "...npy");
    }
}
