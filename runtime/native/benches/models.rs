//! Runs a model natively and says how long that takes, as often as it is asked: one of the engines that
//! `tests/speed/run` measures in turns, and `tests/speed/engines.py` says how they talk.

use std::io::{BufRead, stdin};
use std::path::Path;
use std::time::{Duration, Instant};
use std::{env, fs};

use compiler::Options;
use native::{Native, Run};
use onnx::Limits;

fn main() {
    let arguments: Vec<String> = env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let [folder, threads, results] = &arguments[..] else {
        return println!("models FOLDER THREADS RESULTS: see tests/speed/run");
    };
    let folder = Path::new(folder);
    let inputs: Vec<_> = (0..)
        .map(|index| folder.join(format!("test_data_set_0/input_{index}.pb")))
        .take_while(|path| path.exists())
        .map(|path| onnx::read_tensor(&path, &Limits::default()).expect("a tensor").1)
        .collect();
    let inputs: Vec<&[u8]> = inputs.iter().map(|input| input.bytes()).collect();
    let compiled = match compiler::compile(&folder.join("model.onnx"), &Options::default()) {
        Ok(compiled) => compiled,
        Err(error) => return println!("refused: {}", error.to_string().replace('\n', " ")),
    };
    let native = Native::of(&compiled.image, threads.parse().expect("a number")).expect("native code");
    let mut run = Run::new(&native, &compiled.image, &inputs).expect("a run");
    let outputs = run.outputs().expect("a run");
    // What is measured are runs over the same memory. They must not have changed their inputs.
    native.run(run.memory()).expect("a run");
    assert!(run.outputs().expect("a run") == outputs, "another run gives other results");
    fs::write(results, outputs.concat()).expect("a file");
    println!("ready");

    let mut time = || {
        let start = Instant::now();
        native.run(run.memory()).expect("a run");
        start.elapsed()
    };
    for line in stdin().lock().lines() {
        let count: usize = line.expect("a line").parse().expect("a number");
        time();
        let mut times: Vec<Duration> = (0..count).map(|_| time()).collect();
        times.sort();
        println!("{}", times[count / 2].as_secs_f64());
    }
}
