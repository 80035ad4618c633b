//! How fast contractions are: `cargo bench -p opml-host [-- NAME...]`.
//!
//! A line for each case and set of vector instructions: the median and the least time of the processor, and
//! what the median means.

use host::Isa;
use host::contraction::{Convolution, Finish, Geometry, Matrix, Output, Panels, multiply, multiply_unpacked};
use std::time::Instant;

/// A case: its name, what one run amounts to, and a run.
struct Case {
    name: &'static str,
    amount: f64,
    unit: &'static str,
    run: Box<dyn FnMut()>,
}

fn main() {
    let names: Vec<String> = std::env::args().skip(1).filter(|name| !name.starts_with('-')).collect();
    let wanted =
        |name: &str| names.is_empty() || names.iter().any(|wanted| name.starts_with(wanted.as_str()));
    let sets = match std::env::var(host::VARIABLE) {
        Ok(_) => vec![Isa::chosen().unwrap()],
        Err(_) => Isa::available(),
    };
    for (name, case) in CASES {
        for &isa in sets.iter().rev().filter(|_| wanted(name)) {
            let mut case = case(name, isa);
            let [median, best] = times(&mut case.run).map(|seconds| seconds * 1e3);
            let rate = case.amount / median / 1e6;
            let isa = isa.name();
            println!("{:<24} {isa:<9} {median:>9.4} ms {best:>9.4} ms {rate:>7.1} {}", case.name, case.unit);
        }
    }
}

/// The median and the least time of runs over half a second, after one that nobody measures.
fn times(run: &mut dyn FnMut()) -> [f64; 2] {
    run();
    let mut times = Vec::new();
    let start = Instant::now();
    while times.len() < 5 || start.elapsed().as_secs_f64() < 0.5 {
        let start = clock();
        run();
        times.push(clock() - start);
    }
    times.sort_by(f64::total_cmp);
    [times[times.len() / 2], times[0]]
}

/// Seconds that this thread has run: what else the computer does counts little.
#[cfg(target_os = "linux")]
fn clock() -> f64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

/// Seconds.
#[cfg(not(target_os = "linux"))]
fn clock() -> f64 {
    static START: std::sync::LazyLock<Instant> = std::sync::LazyLock::new(Instant::now);
    START.elapsed().as_secs_f64()
}

/// Makes a case of a name.
type Make = fn(&'static str, Isa) -> Case;

const CASES: &[(&str, Make)] = &[
    ("matmul-512", |name, isa| matmul(name, isa, [512, 512, 512])),
    ("matmul-1024", |name, isa| matmul(name, isa, [1024, 1024, 1024])),
    ("matmul-128x384x384", |name, isa| matmul(name, isa, [128, 384, 384])),
    ("matmul-128x384x1536", |name, isa| matmul(name, isa, [128, 384, 1536])),
    ("matmul-128x1536x384", |name, isa| matmul(name, isa, [128, 1536, 384])),
    ("unpacked-512", |name, isa| unpacked(name, isa, [512, 512, 512], false)),
    ("unpacked-128x64x128", |name, isa| unpacked(name, isa, [128, 64, 128], false)),
    ("transposed-128x64x128", |name, isa| unpacked(name, isa, [128, 64, 128], true)),
    ("gemv-4096", |name, isa| matmul(name, isa, [1, 4096, 4096])),
    ("gemv-2x4096", |name, isa| matmul(name, isa, [2, 4096, 4096])),
    ("gemv-4x4096", |name, isa| matmul(name, isa, [4, 4096, 4096])),
    ("gemv-1024x128", |name, isa| matmul(name, isa, [1, 1024, 128])),
    // Channels, filters, groups, size of the image, size of the kernel, stride.
    ("conv-first-7x7", |name, isa| convolution(name, isa, [3, 64, 1, 224, 7, 2])),
    ("conv-first-3x3", |name, isa| convolution(name, isa, [3, 32, 1, 224, 3, 1])),
    ("conv-224", |name, isa| convolution(name, isa, [32, 32, 1, 224, 3, 1])),
    ("conv-56", |name, isa| convolution(name, isa, [64, 64, 1, 56, 3, 1])),
    ("conv-28", |name, isa| convolution(name, isa, [128, 128, 1, 28, 3, 1])),
    ("conv-14", |name, isa| convolution(name, isa, [256, 256, 1, 14, 3, 1])),
    ("conv-7", |name, isa| convolution(name, isa, [512, 512, 1, 7, 3, 1])),
    ("conv-stride", |name, isa| convolution(name, isa, [128, 128, 1, 56, 3, 2])),
    ("conv-mnist-1", |name, isa| convolution(name, isa, [1, 8, 1, 28, 5, 1])),
    ("conv-mnist-2", |name, isa| convolution(name, isa, [8, 16, 1, 14, 5, 1])),
    ("point-56", |name, isa| convolution(name, isa, [64, 256, 1, 56, 1, 1])),
    ("point-28", |name, isa| convolution(name, isa, [512, 128, 1, 28, 1, 1])),
    ("point-14", |name, isa| convolution(name, isa, [256, 1024, 1, 14, 1, 1])),
    ("point-7", |name, isa| convolution(name, isa, [2048, 512, 1, 7, 1, 1])),
    ("point-stride", |name, isa| convolution(name, isa, [256, 512, 1, 56, 1, 2])),
    ("depthwise-112", |name, isa| convolution(name, isa, [32, 32, 32, 112, 3, 1])),
    ("depthwise-112-stride", |name, isa| convolution(name, isa, [64, 64, 64, 112, 3, 2])),
    ("depthwise-56", |name, isa| convolution(name, isa, [64, 64, 64, 56, 3, 1])),
    ("depthwise-14", |name, isa| convolution(name, isa, [512, 512, 512, 14, 3, 1])),
    ("depthwise-7", |name, isa| convolution(name, isa, [1024, 1024, 1024, 7, 3, 1])),
];

fn values(length: usize) -> Vec<f32> {
    (0..length as u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 8) as f32 / (1 << 24) as f32 - 0.5).collect()
}

fn matmul(name: &'static str, isa: Isa, [rows, depth, columns]: [usize; 3]) -> Case {
    let (left, right) = (values(rows * depth), values(depth * columns));
    let panels = Panels::pack(isa, &Matrix::contiguous(&right, [depth, columns]).unwrap());
    let mut out = vec![0.0; rows * columns];
    let run = Box::new(move || {
        let left = Matrix::contiguous(&left, [rows, depth]).unwrap();
        let out = Output::new(&mut out, [rows, columns], columns).unwrap();
        multiply(&left, &panels, out, &Finish::NONE, &mut |_| ()).unwrap();
    });
    let operations = 2 * rows * depth * columns;
    if rows > 4 {
        Case { name, amount: operations as f64, unit: "GFLOP/s", run }
    } else {
        Case { name, amount: (depth * columns * size_of::<f32>()) as f64, unit: "GB/s", run }
    }
}

fn unpacked(name: &'static str, isa: Isa, [rows, depth, columns]: [usize; 3], transposed: bool) -> Case {
    let (left, right) = (values(rows * depth), values(depth * columns));
    let mut out = vec![0.0; rows * columns];
    let run = Box::new(move || {
        let left = Matrix::contiguous(&left, [rows, depth]).unwrap();
        let right = if transposed {
            Matrix::contiguous(&right, [columns, depth]).unwrap().transposed()
        } else {
            Matrix::contiguous(&right, [depth, columns]).unwrap()
        };
        let out = Output::new(&mut out, [rows, columns], columns).unwrap();
        multiply_unpacked(isa, &left, &right, out, &Finish::NONE, &mut |_| ()).unwrap();
    });
    Case { name, amount: (2 * rows * depth * columns) as f64, unit: "GFLOP/s", run }
}

fn convolution(
    name: &'static str,
    isa: Isa,
    [channels, filters, groups, size, kernel, stride]: [usize; 6],
) -> Case {
    let output = size.div_ceil(stride);
    let geometry = Geometry {
        channels,
        filters,
        groups,
        input: [size; 2],
        kernel: [kernel; 2],
        strides: [stride; 2],
        dilations: [1; 2],
        padding: [kernel / 2; 2],
        output: [output; 2],
    };
    let (input, pixels) = (values(geometry.inputs()), geometry.pixels());
    let convolution = Convolution::new(isa, geometry.clone(), &values(geometry.weights())).unwrap();
    let mut out = vec![0.0; filters * pixels];
    let run = Box::new(move || {
        let out = Output::new(&mut out, [filters, pixels], pixels).unwrap();
        convolution.run(&input, out, &Finish::NONE, &mut |_| ()).unwrap();
    });
    let operations = 2 * filters * pixels * channels / groups * kernel * kernel;
    Case { name, amount: operations as f64, unit: "GFLOP/s", run }
}
