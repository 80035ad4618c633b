//! Images run in the machine give the same bits as the kernels' reference evaluator.

use std::path::{Path, PathBuf};

use compiler::{Compiled, Options};
use graph::reference;
use image::Role;
use interpreter::Interpreter;
use onnx::Limits;
use step::Status;

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures")
}

fn inputs(case: &Path) -> Vec<onnx::Tensor> {
    (0..)
        .map(|index| case.join(format!("test_data_set_0/input_{index}.pb")))
        .take_while(|path| path.exists())
        .map(|path| onnx::read_tensor(&path, &Limits::default()).unwrap().1)
        .collect()
}

fn compile(case: &Path, inputs: &[onnx::Tensor]) -> Compiled {
    let model = case.join("model.onnx");
    let mut options = Options::default();
    let declared = onnx::read_model(&model, &Limits::default()).unwrap().graph;
    let initializer = |name: &str| declared.initializers.iter().any(|initializer| initializer.name == name);
    for (value, input) in declared.inputs.iter().filter(|value| !initializer(&value.name)).zip(inputs) {
        options.shapes.insert(value.name.clone(), input.dims().to_vec());
    }
    compiler::compile(&model, &options).unwrap_or_else(|error| panic!("{}: {error}", model.display()))
}

/// The outputs after running the image, and the number of steps.
fn run(compiled: &Compiled, inputs: &[&[u8]]) -> Result<(Vec<Vec<u8>>, u64), String> {
    let image = &compiled.image;
    let mut machine = Interpreter::new(image).map_err(|error| error.to_string())?;
    let tensors = |role: Role| image.tensors.iter().filter(move |tensor| tensor.role == role);
    for (tensor, input) in tensors(Role::Input).zip(inputs) {
        machine.memory_mut().write(tensor.address, input).ok_or("the input is outside of memory")?;
    }
    let outcome = machine.run(1 << 32);
    if outcome.status != Status::Exited {
        return Err(format!("{:?} after {} steps", outcome.status, outcome.steps));
    }
    let output = |tensor: &image::Tensor| {
        machine.memory().read(tensor.address, tensor.bytes as usize).map(<[u8]>::to_vec)
    };
    let outputs: Option<Vec<_>> = tensors(Role::Output).map(output).collect();
    Ok((outputs.ok_or("an output is outside of memory")?, outcome.steps))
}

fn check(case: &Path) -> Result<u64, String> {
    let inputs = inputs(case);
    let compiled = compile(case, &inputs);
    let inputs: Vec<&[u8]> = inputs.iter().map(onnx::Tensor::bytes).collect();
    let expected = reference::execute(&compiled.graph, &inputs).map_err(|error| error.to_string())?;
    let (found, steps) = run(&compiled, &inputs)?;
    if found == expected { Ok(steps) } else { Err("another output than the reference".to_owned()) }
}

#[test]
fn every_operator_case_gives_the_bits_of_the_reference() {
    let mut failures = Vec::new();
    let cases = std::fs::read_dir(fixtures().join("operators")).unwrap();
    for case in cases.map(|case| case.unwrap().path()).filter(|path| path.is_dir()) {
        if let Err(error) = check(&case) {
            failures.push(format!("{}: {error}", case.display()));
        }
    }
    assert!(failures.is_empty(), "{} cases fail:\n{}", failures.len(), failures.join("\n"));
}

#[test]
fn the_bundled_networks_give_the_bits_of_the_reference() {
    for network in ["mnist-mlp", "mnist-cnn"] {
        let steps = check(&fixtures().join(network)).unwrap_or_else(|error| panic!("{network}: {error}"));
        println!("{network}: {steps} steps");
    }
}
