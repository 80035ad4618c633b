//! How fast definitions run: `cargo bench -p opml-host --bench engine [-- NAME...]`.
//!
//! A line for each case: the best time of runs that alternate with copies of as many bytes as the case reads and
//! writes, how many of the best copies that is, and the time that [`Prepared::work`] expects. `OPML_ISA` forces a set of vector instructions.

use std::time::Instant;

use dnn_lib::definition::{Builder, Definition, Over, Source};
use dnn_lib::math::Function;
use dnn_lib::scalar::{BinaryOp, Ops};
use dnn_lib::tensor::{DType, TensorType};
use host::{Isa, Prepared, Scratch};

fn main() {
    let names: Vec<String> = std::env::args().skip(1).filter(|name| !name.starts_with('-')).collect();
    let wanted = |name: &str| names.is_empty() || names.iter().any(|wanted| name.starts_with(wanted));
    let isa = Isa::chosen().unwrap();
    println!("{isa}; {:<28} {:>10} {:>8} {:>10} {:>10}", "case", "us", "GB/s", "copies", "expected");
    for (name, definition) in cases().into_iter().filter(|(name, _)| wanted(name)) {
        measure(isa, &name, &definition);
    }
}

/// A buffer that is aligned for every element.
fn buffer(bytes: u64) -> Vec<u64> {
    (0..bytes.div_ceil(8)).map(|i| u64::from((i as f32 % 7.0 - 3.0).to_bits()) * 0x1_0000_0001).collect()
}

fn measure(isa: Isa, name: &str, definition: &Definition) {
    let mut prepared = Prepared::new(isa, definition).unwrap();
    let inputs: Vec<Vec<u64>> = definition.inputs.iter().map(|ty| buffer(ty.bytes().unwrap())).collect();
    let mut output = buffer(definition.output.bytes().unwrap());
    if name.starts_with("matmul") {
        let bytes: Vec<u8> = inputs[1].iter().flat_map(|word| word.to_ne_bytes()).collect();
        prepared.pack(1, &bytes).unwrap();
    }
    let pointers: Vec<*const u8> = inputs.iter().map(|input| input.as_ptr().cast()).collect();
    let bytes: u64 = definition.inputs.iter().chain([&definition.output]).map(|ty| ty.bytes().unwrap()).sum();
    let (from, mut to) = (buffer(bytes / 2), buffer(bytes / 2));
    let (part, mut scratch) = (prepared.whole(), Scratch::default());
    let (mut runs, mut copies) = (Vec::new(), Vec::new());
    let start = Instant::now();
    while runs.len() < 10 || start.elapsed().as_secs_f64() < 0.5 {
        let before = Instant::now();
        #[expect(unsafe_code, reason = "as callers run it")]
        // SAFETY: The buffers have the bytes of the tensors, and are aligned for all elements.
        unsafe {
            prepared.run_raw(&mut scratch, &pointers, output.as_mut_ptr().cast(), &part);
        }
        runs.push(before.elapsed().as_secs_f64());
        let before = Instant::now();
        to.copy_from_slice(&from);
        std::hint::black_box(&mut to);
        copies.push(before.elapsed().as_secs_f64());
    }
    let [run, copy] = [runs, copies].map(|times| times.into_iter().fold(f64::INFINITY, f64::min));
    let expected = prepared.work() as f64 / 1e3;
    let rate = bytes as f64 / run / 1e9;
    println!("        {name:<28} {:>10.1} {rate:>8.1} {:>10.2} {expected:>10.1}", run * 1e6, run / copy);
}

fn f32s(shape: &[u64]) -> TensorType {
    TensorType::new(DType::F32, shape)
}

fn cases() -> Vec<(String, Definition)> {
    let mut cases = Vec::new();
    for log in [12, 18, 22] {
        let n = 1u64 << log;
        let mut add = |name: &str, definition| cases.push((format!("{name}-2^{log}"), definition));
        add("add", sum(&[n], &[n]));
        add("broadcast", sum(&[n / 64, 64], &[64]));
        add("channel-bias", sum(&[n / 3136 + 1, 56, 56], &[n / 3136 + 1, 1, 1]));
        add("small-channel-bias", sum(&[n / 49 + 1, 7, 7], &[n / 49 + 1, 1, 1]));
        add("relu", relu(n));
        add("transpose", transpose(&[n >> (log / 2), 1 << (log / 2)], &[1, 0]));
        add("heads", transpose(&[1, n / 384, 12, 32], &[0, 2, 1, 3]));
        add("softmax-128", softmax(&[n / 128, 128], 1));
        add("softmax-channels", softmax(&[n >> 10, 64, 16], 1));
        add("layernorm-384", layernorm(n / 384 + 1, 384));
        add("exp", call(n, Function::Exp));
    }
    for (m, k, n) in [(512, 512, 512), (128, 384, 1536), (128, 64, 128), (1, 4096, 4096)] {
        for formula in [false, true] {
            let name = format!("matmul-{m}x{k}x{n}{}", if formula { "-bias-relu" } else { "" });
            cases.push((name, matmul(m, k, n, formula)));
        }
    }
    cases.push(("maxpool-64x112x112".to_owned(), maxpool()));
    cases.push(("averagepool-64x56x56".to_owned(), averagepool()));
    cases.push(("global-averagepool-2048x7x7".to_owned(), global_averagepool()));
    cases
}

fn sum(a: &[u64], c: &[u64]) -> Definition {
    let mut b = Builder::new("add", &[f32s(a), f32s(c)], &f32s(a));
    let (x, y) = (b.broadcast(0), b.broadcast(1));
    let sum = b.add(x, y);
    b.finish(sum).unwrap()
}

fn relu(n: u64) -> Definition {
    let mut b = Builder::new("relu", &[f32s(&[n])], &f32s(&[n]));
    let (x, zero) = (b.broadcast(0), b.f32(0.0));
    let cut = b.le(x, zero);
    let y = b.select(cut, zero, x);
    b.finish(y).unwrap()
}

fn call(n: u64, function: Function) -> Definition {
    let mut b = Builder::new("call", &[f32s(&[n])], &f32s(&[n]));
    let x = b.broadcast(0);
    let y = b.call(function, x);
    b.finish(y).unwrap()
}

fn transpose(shape: &[u64], order: &[usize]) -> Definition {
    let [from, to] = [shape.to_vec(), order.iter().map(|&axis| shape[axis]).collect::<Vec<_>>()]
        .map(|shape| TensorType::new(DType::I32, shape));
    let mut b = Builder::new("transpose", &[from], &to);
    let mut at = b.indices();
    for (place, &axis) in order.iter().enumerate() {
        at[axis] = b.at(place);
    }
    let element = b.load(Source::Input(0), at);
    b.finish(element).unwrap()
}

fn softmax(shape: &[u64], axis: usize) -> Definition {
    let ty = f32s(shape);
    let mut b = Builder::new("softmax", std::slice::from_ref(&ty), &ty);
    b.rows_along([axis]);
    let indices = b.indices();
    let lowest = b.f32(f32::NEG_INFINITY);
    let most = b.in_lanes(BinaryOp::Max, [shape[axis]], lowest, |b, at| {
        let mut place = indices.clone();
        place[axis] = at[0].clone();
        b.load(Source::Input(0), place)
    });
    let most = b.stage(most);
    let (x, top) = (b.broadcast(0), b.of_row(most));
    let x = b.sub(x, top);
    let power = b.call(Function::Exp, x);
    let powers = b.row_stage(power);
    let zero = b.f32(0.0);
    let sum = b.in_lanes(BinaryOp::Add, [shape[axis]], zero, |b, at| b.load(powers, at.to_vec()));
    let sum = b.stage(sum);
    let (power, sum) = (b.load(powers, [indices[axis].clone()]), b.of_row(sum));
    let quotient = b.div(power, sum);
    b.finish(quotient).unwrap()
}

fn layernorm(rows: u64, size: u64) -> Definition {
    let ty = f32s(&[rows, size]);
    let mut b = Builder::new("layernorm", &[ty.clone(), f32s(&[size]), f32s(&[size])], &ty);
    b.rows_along([1]);
    let row = b.at(0);
    let (zero, count) = (b.f32(0.0), b.f32(size as f32));
    let sum = b.in_lanes(BinaryOp::Add, [size], zero, |b, at| {
        b.load(Source::Input(0), [row.clone(), at[0].clone()])
    });
    let mean = b.div(sum, count);
    let mean = b.stage(mean);
    let (zero, count) = (b.f32(0.0), b.f32(size as f32));
    let squares = b.in_lanes(BinaryOp::Add, [size], zero, |b, at| {
        let x = b.load(Source::Input(0), [row.clone(), at[0].clone()]);
        let mean = b.of_row(mean);
        let x = b.sub(x, mean);
        b.mul(x, x)
    });
    let variance = b.div(squares, count);
    let epsilon = b.f32(1e-5);
    let variance = b.add(variance, epsilon);
    let deviation = b.sqrt(variance);
    let deviation = b.stage(deviation);
    let (x, mean, deviation) = (b.broadcast(0), b.of_row(mean), b.of_row(deviation));
    let x = b.sub(x, mean);
    let x = b.div(x, deviation);
    let (scale, bias) = (b.broadcast(1), b.broadcast(2));
    let y = b.fma(x, scale, bias);
    b.finish(y).unwrap()
}

fn matmul(m: u64, k: u64, n: u64, formula: bool) -> Definition {
    let mut b = Builder::new("matmul", &[f32s(&[m, k]), f32s(&[k, n]), f32s(&[n])], &f32s(&[m, n]));
    let (zero, row, column) = (b.f32(0.0), b.at(0), b.at(1));
    let sum = b.fold([Over::all(k)], &[zero], |b, at, sum| {
        let x = b.load(Source::Input(0), [row.clone(), at[0].clone()]);
        let y = b.load(Source::Input(1), [at[0].clone(), column.clone()]);
        vec![b.fma(x, y, sum[0])]
    });
    let mut value = sum[0];
    if formula {
        let bias = b.broadcast(2);
        value = b.add(value, bias);
        value = b.max(value, zero);
    }
    b.finish(value).unwrap()
}

fn maxpool() -> Definition {
    let mut b = Builder::new("maxpool", &[f32s(&[64, 112, 112])], &f32s(&[64, 56, 56]));
    let lowest = b.f32(f32::NEG_INFINITY);
    let (c, y, x) = (b.at(0), b.at(1) * 2 - 1, b.at(2) * 2 - 1);
    let over = [Over::window(3, y.clone(), 1, 112), Over::window(3, x.clone(), 1, 112)];
    let max = b.fold(over, &[lowest], |b, at, max| {
        let place = [c.clone(), y.clone() + at[0].clone(), x.clone() + at[1].clone()];
        let element = b.load(Source::Input(0), place);
        vec![b.max(max[0], element)]
    });
    b.finish(max[0]).unwrap()
}

fn averagepool() -> Definition {
    let mut b = Builder::new("averagepool", &[f32s(&[64, 56, 56])], &f32s(&[64, 56, 56]));
    let (zero, count) = (b.f32(0.0), b.f32(9.0));
    let (c, y, x) = (b.at(0), b.at(1) - 1, b.at(2) - 1);
    let over = [Over::window(3, y.clone(), 1, 56), Over::window(3, x.clone(), 1, 56)];
    let sum = b.fold(over, &[zero], |b, at, sum| {
        let place = [c.clone(), y.clone() + at[0].clone(), x.clone() + at[1].clone()];
        let element = b.load(Source::Input(0), place);
        vec![b.add(sum[0], element)]
    });
    let mean = b.div(sum[0], count);
    b.finish(mean).unwrap()
}

fn global_averagepool() -> Definition {
    let mut b = Builder::new("global-averagepool", &[f32s(&[2048, 7, 7])], &f32s(&[2048]));
    let (zero, count) = (b.f32(0.0), b.f32(49.0));
    let c = b.at(0);
    let sum = b.in_lanes(BinaryOp::Add, [7, 7], zero, |b, at| {
        b.load(Source::Input(0), [c.clone(), at[0].clone(), at[1].clone()])
    });
    let mean = b.div(sum, count);
    b.finish(mean).unwrap()
}
