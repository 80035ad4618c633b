//! The steps of operators' kernels.

use codegen::Target;
use dnn_lib::kernel::Kernel;
use dnn_lib::operator::*;
use dnn_lib::tensor::{DType, TensorType};
use image::{Contents, Image, Segment};
use interpreter::Interpreter;
use isa::Extensions;
use step::MachineProfile;

/// The steps of all units, the bound, and the instructions of the code.
fn steps(kernel: &Kernel, units: u64) -> (u64, u64, usize) {
    let compiled = Target::guest().expect("a target").compile(kernel).expect("code");
    let mut code = compiled.bytes;
    let size = code.len() / 4;
    if std::env::var("DISASM").is_ok_and(|name| name == kernel.name) {
        for (i, word) in code.chunks_exact(4).enumerate() {
            let word = u32::from_le_bytes(word.try_into().unwrap());
            if let Some(x) = isa::decode(word, Extensions::IMFD) {
                println!("{:5x} {:?} {} {} {} {}", i * 4, x.op, x.rd, x.rs1, x.rs2, x.imm);
            }
        }
    }
    code.resize(code.len().next_multiple_of(32), 0);
    let start = 1u64 << 27;
    let mut arguments = vec![];
    let (mut address, mut segments) = (4096u64, vec![]);
    for input in &kernel.inputs {
        arguments.push(address);
        let bytes: Vec<u8> = match input.dtype {
            DType::F32 => (0..input.elements().unwrap())
                .flat_map(|i| ((i * 7919 % 1001) as f32 / 500.0 - 1.0).to_le_bytes())
                .collect(),
            _ => vec![1; input.bytes().unwrap() as usize],
        };
        address += (bytes.len() as u64).next_multiple_of(4096);
        segments.push(Segment { address: *arguments.last().unwrap(), bytes: bytes.into() });
    }
    arguments.push(address);
    let block: Vec<u8> = arguments.iter().flat_map(|address| address.to_le_bytes()).collect();
    let contents = Contents {
        profile: MachineProfile::new(Extensions::IMFD, 27, start, code.len() as u64).expect("a profile"),
        entry: start,
        sp: start,
        code: code.into(),
        segments,
        tensors: vec![],
        symbols: vec![],
        schedule: vec![],
        period: None,
        interface: None,
        sections: vec![],
    };
    let mut machine = Interpreter::new(&Image::new(contents).expect("an image")).expect("a machine");
    machine.write_memory(64, &block).expect("inside");
    for (register, argument) in (10..).zip([64, 0, units]) {
        machine.set_x(register, argument);
    }
    let outcome = machine.run(1 << 32);
    assert_eq!(machine.pc(), 0, "{outcome:?}");
    (outcome.steps - 1, compiled.steps.map_or(u64::MAX, |bound| bound.most(units)), size)
}

fn row(name: &str, operator: impl Into<Operator>, shapes: &[&[u64]], work: u64) {
    let operator = operator.into();
    let inputs: Vec<TensorType> =
        shapes.iter().map(|shape| TensorType::new(DType::F32, shape.to_vec())).collect();
    let Ok(Some(Meaning::Computed(definition))) = operator.define(&inputs, 0) else { panic!("{name}") };
    let kernel = dnn_lib::schedule::guest(&definition).expect("a kernel");
    if std::env::args().nth(1).as_deref() == Some(name) {
        println!("{definition}\n{kernel}");
    }
    let per = |steps: u64| steps as f64 / work as f64;
    let (new, bound, size) = steps(&kernel, kernel.units());
    println!(
        "{name:24} {:8.2} bound {:5.2} code {size:5} units {:6} tile {:?}",
        per(new),
        bound as f64 / new as f64,
        kernel.units(),
        kernel.tile
    );
}

fn conv(group: u64, pad: u64, stride: u64) -> Conv {
    let padding = Padding::Explicit(vec![(pad, pad); 2]);
    Conv { window: Window { padding, strides: vec![stride; 2], ..Window::default() }, group }
}

fn main() {
    row("matmul64", MatMul, &[&[64, 64], &[64, 64]], 64 * 64 * 64);
    row("matmul256", MatMul, &[&[256, 256], &[256, 256]], 256 * 256 * 256);
    row("matmul50x70x30", MatMul, &[&[50, 30], &[30, 70]], 50 * 70 * 30);
    row("gemv", MatMul, &[&[1, 256], &[256, 256]], 256 * 256);
    row("gemm10", Gemm { trans_b: true, ..Gemm::default() }, &[&[1, 64], &[10, 64], &[10]], 640);
    row("conv8", conv(1, 1, 1), &[&[1, 8, 28, 28], &[8, 8, 3, 3], &[8]], 28 * 28 * 8 * 8 * 9);
    row("conv1", conv(1, 1, 1), &[&[1, 1, 28, 28], &[8, 1, 3, 3], &[8]], 28 * 28 * 8 * 9);
    row("conv64", conv(1, 1, 1), &[&[1, 64, 28, 28], &[64, 64, 3, 3], &[64]], 28 * 28 * 64 * 64 * 9);
    row("conv7x7s2", conv(1, 3, 2), &[&[1, 3, 56, 56], &[16, 3, 7, 7], &[16]], 28 * 28 * 16 * 3 * 49);
    row("conv1x1", conv(1, 0, 1), &[&[1, 64, 14, 14], &[64, 64, 1, 1], &[64]], 14 * 14 * 64 * 64);
    row("depthwise3", conv(32, 1, 1), &[&[1, 32, 28, 28], &[32, 1, 3, 3], &[32]], 28 * 28 * 32 * 9);
    row("depthwise3s2", conv(32, 1, 2), &[&[1, 32, 28, 28], &[32, 1, 3, 3], &[32]], 14 * 14 * 32 * 9);
    row("depthwise112", conv(8, 1, 1), &[&[1, 8, 112, 112], &[8, 1, 3, 3], &[8]], 112 * 112 * 8 * 9);
    let pool = |pad: u64| Window {
        padding: Padding::Explicit(vec![(pad, pad); 2]),
        strides: vec![2, 2],
        ..Window::default()
    };
    row(
        "maxpool2",
        MaxPool { kernel: vec![2, 2], window: pool(0), ceil_mode: false, column_major: false },
        &[&[1, 8, 28, 28]],
        8 * 14 * 14 * 4,
    );
    row(
        "maxpool3",
        MaxPool { kernel: vec![3, 3], window: pool(1), ceil_mode: false, column_major: false },
        &[&[1, 8, 56, 56]],
        8 * 28 * 28 * 9,
    );
    row(
        "avgpool3",
        AveragePool { kernel: vec![3, 3], window: pool(1), ceil_mode: false, count_include_pad: false },
        &[&[1, 8, 56, 56]],
        8 * 28 * 28 * 9,
    );
    row("add", Add, &[&[64, 64], &[64, 64]], 4096);
    row("add row", Add, &[&[64, 64], &[64]], 4096);
    row("add channel", Add, &[&[1, 16, 16, 16], &[16, 1, 1]], 4096);
    row("add 7x7 channel", Add, &[&[1, 64, 7, 7], &[64, 1, 1]], 49 * 64);
    row("relu", Relu, &[&[1, 16, 16, 16]], 4096);
    row("sigmoid", Sigmoid, &[&[4096]], 4096);
    row("tanh", Tanh, &[&[4096]], 4096);
    row("exp", Exp, &[&[4096]], 4096);
    row("transpose", Transpose { perm: None }, &[&[64, 64]], 4096);
    row("transpose0231", Transpose { perm: Some(vec![0, 2, 3, 1]) }, &[&[1, 16, 16, 16]], 4096);
    row("concat", Concat { axis: 1 }, &[&[1, 8, 16, 16], &[1, 8, 16, 16]], 4096);
    row("concat inner", Concat { axis: -1 }, &[&[64, 30], &[64, 34]], 4096);
    row("softmax10", Softmax { axis: -1 }, &[&[64, 10]], 640);
    row("softmax1000", Softmax { axis: -1 }, &[&[4, 1000]], 4000);
    row("softmax axis 1", Softmax { axis: 1 }, &[&[4, 32, 32]], 4096);
    row("global average", GlobalAveragePool, &[&[1, 16, 16, 16]], 4096);
    row("mean middle", ReduceMean { axes: Some(vec![1]), keep_dims: false }, &[&[16, 16, 16]], 4096);
    row(
        "batchnorm",
        BatchNormalization { epsilon: 1e-5 },
        &[&[1, 16, 16, 16], &[16], &[16], &[16], &[16]],
        4096,
    );
}
