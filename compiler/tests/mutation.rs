//! Damaged models never make the compiler panic, or take memory out of proportion to the file. They are
//! refused or compiled.

use std::path::Path;

use compiler::Options;
use onnx::Limits;

/// A small random number generator, so that failures can be repeated.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % end.max(1)
    }
}

/// One to four changes: a byte is replaced, removed or repeated, or everything after it is cut off.
fn damage(bytes: &[u8], random: &mut Random) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for _ in 0..=random.below(4) {
        let place = random.below(bytes.len());
        if place >= bytes.len() {
            break;
        }
        match random.below(16) {
            0 => bytes.truncate(place),
            1 => drop(bytes.remove(place)),
            2 => bytes.insert(place, bytes[place]),
            3 => bytes[place] = 0xff,
            4 => bytes[place] ^= 0x80,
            _ => bytes[place] = random.below(256) as u8,
        }
    }
    bytes
}

#[test]
fn damaged_models_are_refused_or_compiled() {
    let operators = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/operators");
    let options = Options { max_memory: 1 << 24, ..Options::default() };
    let (mut random, mut refused, mut compiled) = (Random(1), 0, 0);
    for case in [
        "conv_2d_strides_pads",
        "max_pool_2d_pads",
        "gemm_all_inputs",
        "reshape_minus_one",
        "graph_attention",
        "concat_three",
    ] {
        let bytes = std::fs::read(operators.join(case).join("model.onnx")).unwrap();
        for _ in 0..500 {
            let model = onnx::decode_model(&damage(&bytes, &mut random), &Limits::default());
            // Kernels for the sizes in a damaged file may run for long, but compile quickly.
            let result = model.map_err(Into::into).and_then(|model| compiler::compile_model(model, &options));
            match result {
                Ok(_) => compiled += 1,
                Err(error) => {
                    assert!(!error.to_string().is_empty());
                    refused += 1;
                }
            }
        }
    }
    assert!(
        refused > 100 && compiled > 100,
        "{refused} refused, {compiled} compiled: the damage is not varied enough"
    );
}
