//! Compiles models with large weights, and compares with what can't be avoided: reading, hashing and writing
//! them.

use crate::{LAYER_BITS, ROUNDS, child, random};
use compiler::Options;
use image::Image;
use native::Native;
use opml_tests::report::number;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::Path;
use std::time::Instant;

/// A model of matrix products.
struct Model {
    name: &'static str,
    /// The rows and columns of each matrix.
    side: u64,
    layers: u64,
    /// Whether the weights are in a file beside the model.
    external: bool,
    rounds: usize,
    /// The figures to reach: time, memory, ratio, start.
    goals: [&'static str; 4],
}

/// The rows of the table.
pub fn rows(folder: &Path, gigabytes: u64) -> Vec<Vec<String>> {
    let layers = gigabytes << (30 - LAYER_BITS);
    let small = Model {
        name: "96 M parameters in the model's file",
        side: 4000,
        layers: 6,
        external: false,
        rounds: ROUNDS,
        goals: ["< 3 s", "< 150 MB more than the file", "-", "-"],
    };
    let large = Model {
        name: "weights in another file",
        side: 1 << ((LAYER_BITS - 2) / 2),
        layers,
        external: true,
        rounds: 3,
        goals: ["-", "< 1,000 MB", "< 1.3", "< 1,000"],
    };
    [small, large].iter().flat_map(|model| model.measure(folder)).collect()
}

impl Model {
    fn measure(&self, folder: &Path) -> Vec<Vec<String>> {
        let (model, weights) = (folder.join("model.onnx"), folder.join("weights"));
        self.write(&model, &weights);
        let source = if self.external { &weights } else { &model };
        let mut figures = BTreeMap::<String, Vec<f64>>::new();
        for _ in 0..self.rounds {
            for (name, value) in child(&["compile".as_ref(), &model, source]) {
                figures.entry(name).or_default().push(value);
            }
        }
        for file in [&model, &weights] {
            let _ = fs::remove_file(file);
        }
        let mut median = |name: &str| {
            let values = figures.get_mut(name).expect("a figure");
            values.sort_by(f64::total_cmp);
            values[values.len() / 2]
        };
        let gigabytes = (self.layers * self.side * self.side * 4) as f64 / 1e9;
        let title = format!("compile {} GB: {}", number(gigabytes), self.name);
        let [seconds, resident, apart, start] = ["seconds", "resident", "apart", "start"].map(&mut median);
        let values = [
            (&*title, number(seconds), "s"),
            ("... most memory resident, the files' pages too", number(resident), "MB"),
            (
                "... time compared with reading, hashing and writing one after the other",
                number(seconds / apart),
                "",
            ),
            ("... open the image for native runs, as `opml serve` and `opml run` do", number(start), "ms"),
        ];
        let row = |((name, value, unit), goal): ((&str, String, &str), &str)| {
            vec![name.to_owned(), format!("{value} {unit}").trim_end().to_owned(), goal.to_owned()]
        };
        values.into_iter().zip(self.goals).map(row).collect()
    }

    /// Writes the model's files.
    fn write(&self, model: &Path, weights: &Path) {
        let size = self.side * self.side * 4;
        let names: Vec<String> = (0..self.layers).map(|layer| format!("w{layer}")).collect();
        let name = |layer: u64| match layer {
            0 => "x".to_owned(),
            layer if layer == self.layers => "y".to_owned(),
            layer => format!("h{layer}"),
        };
        let node = |(layer, weights): (u64, &String)| {
            let (from, to) = (name(layer), name(layer + 1));
            field(1, &[text(1, &from), text(1, weights), text(2, &to), text(4, "MatMul")].concat())
        };
        let nodes: Vec<u8> = (0..).zip(&names).flat_map(node).collect();
        let value = |name: &str| {
            let shape = [field(1, &number_field(1, 1)), field(1, &number_field(1, self.side))].concat();
            let ty = [number_field(1, 1), field(2, &shape)].concat();
            [text(1, name), field(2, &field(1, &ty))].concat()
        };
        let interface = [field(11, &value("x")), field(12, &value("y"))].concat();
        let head = |(layer, name): (u64, &String)| {
            let ty =
                [number_field(1, self.side), number_field(1, self.side), number_field(2, 1), text(8, name)];
            let entry = |key: &str, value: &str| field(13, &[text(1, key), text(2, value)].concat());
            let place = [
                entry("location", "weights"),
                entry("offset", &(layer * size).to_string()),
                entry("length", &size.to_string()),
                number_field(14, 1),
            ];
            let mut head = ty.concat();
            if self.external {
                head.extend(place.concat());
                return field(5, &head);
            }
            head.extend([varint(9 << 3 | 2), varint(size)].concat());
            [varint(5 << 3 | 2), varint(head.len() as u64 + size), head].concat()
        };
        let heads: Vec<Vec<u8>> = (0..).zip(&names).map(head).collect();
        let inside = if self.external { 0 } else { size * self.layers };
        let length = nodes.len() + interface.len() + heads.iter().map(Vec::len).sum::<usize>();
        let mut file = File::create(model).expect("room on the disk");
        let mut other = self.external.then(|| File::create(weights).expect("room on the disk"));
        let start = [number_field(1, 8), field(8, &number_field(2, 17)), varint(7 << 3 | 2)].concat();
        for part in [&start, &varint(length as u64 + inside), &nodes, &interface] {
            file.write_all(part).expect("room on the disk");
        }
        for (seed, head) in (1..).zip(&heads) {
            file.write_all(head).expect("room on the disk");
            let to = other.as_mut().unwrap_or(&mut file);
            to.write_all(&random(seed, size)).expect("room on the disk");
        }
    }
}

/// Compiles a model, and then does what can't be avoided. Reports the figures.
pub fn measured(model: &Path, source: &Path) {
    let (image, copy) = (model.with_extension("opml"), model.with_extension("copy"));
    let start = Instant::now();
    let compiled = compiler::compile_to(&image, model, &Options::default(), &|_| ()).expect("an image");
    println!("seconds={}", start.elapsed().as_secs_f64());
    println!("resident={}", crate::most_resident() / 1e6);
    let start = Instant::now();
    compiled.image.verify(|_| ()).expect("a good image");
    let hashing = start.elapsed().as_secs_f64();
    drop(compiled);
    let start = Instant::now();
    let opened = Image::open(&image).expect("an image");
    let native = Native::of(&opened, 0).expect("a program");
    println!("start={}", start.elapsed().as_secs_f64() * 1e3);
    drop((opened, native));
    fs::remove_file(&image).expect("the image");
    let mut buffer = vec![0; 1 << 20];
    let start = Instant::now();
    let (mut from, mut to) = (File::open(source).expect("the weights"), File::create(&copy).expect("room"));
    loop {
        let count = from.read(&mut buffer).expect("the weights");
        if count == 0 {
            break;
        }
        to.write_all(&buffer[..count]).expect("room on the disk");
    }
    println!("apart={}", hashing + start.elapsed().as_secs_f64());
    fs::remove_file(&copy).expect("the copy");
}

/// A field of a protobuf message.
fn field(number: u64, body: &[u8]) -> Vec<u8> {
    [&varint(number << 3 | 2), &varint(body.len() as u64), body].concat()
}

fn text(number: u64, text: &str) -> Vec<u8> {
    field(number, text.as_bytes())
}

fn number_field(number: u64, value: u64) -> Vec<u8> {
    [varint(number << 3), varint(value)].concat()
}

fn varint(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes
}
