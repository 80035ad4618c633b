//! Programs of models: what passes the checks means the same to all that run it.

use dnn_lib::definition::Definition;
use dnn_lib::program::Program;
use dnn_lib::schedule;
use dnn_lib::tensor::TensorType;
use host::{Isa, Prepared};

/// The most work of a definition that is run, and the most bytes of its tensors.
const MOST_WORK: u64 = 1 << 16;

/// Any bytes are a program or an error. Its definitions give the same bits by their meaning, as kernels for the
/// machine, and in vectors.
pub fn program(bytes: &[u8]) {
    if let Ok(program) = Program::read(bytes, &[]) {
        program.definitions.iter().for_each(agree);
    }
}

/// The programs of small models, as definitions alone.
pub(super) fn programs() -> Vec<Vec<u8>> {
    let definitions = |bytes: Vec<u8>| {
        let model = onnx::decode_model(&bytes, &super::LIMITS).ok()?;
        let options =
            compiler::Options { max_memory: 1 << 16, limits: super::LIMITS, ..compiler::Options::default() };
        let definitions = compiler::compile_model(model, &options).ok()?.schedule.definitions;
        Program { definitions, ..Program::default() }.to_bytes().ok()
    };
    super::models().into_iter().filter_map(definitions).collect()
}

/// Runs a checked definition in every way.
fn agree(definition: &Definition) {
    let kernel = schedule::guest(definition);
    let prepared: Vec<(Isa, _)> =
        Isa::available().into_iter().map(|isa| (isa, Prepared::new(isa, definition))).collect();
    let bytes = |ty: &TensorType| ty.bytes().expect("a size");
    let all = definition.inputs.iter().chain([&definition.output]).map(bytes).fold(0, u64::saturating_add);
    if definition.work().max(all) > MOST_WORK {
        return;
    }
    let inputs: Vec<Vec<u8>> =
        (0..).zip(&definition.inputs).map(|(seed, ty)| elements(seed, bytes(ty))).collect();
    let inputs: Vec<&[u8]> = inputs.iter().map(Vec::as_slice).collect();
    let expected = definition.eval(&inputs).expect("a meaning");
    if let Ok(kernel) = kernel {
        assert_eq!(kernel.units(), schedule::units(definition), "the units of\n{definition}");
        let found = kernel.run(&inputs).expect("a run");
        assert!(found == expected, "the machine's kernel differs:\n{definition}\n{found:?}\n{expected:?}");
    }
    for (isa, prepared) in prepared {
        let Ok(mut prepared) = prepared else { continue };
        for packed in [false, true] {
            for (index, input) in inputs.iter().enumerate().filter(|_| packed) {
                prepared.pack(index, input).expect("an input");
            }
            let mut found = vec![0; expected.len()];
            prepared.run(&inputs, &mut found, &prepared.whole()).expect("a run");
            assert!(found == expected, "{isa}, packed: {packed}:\n{definition}\n{found:?}\n{expected:?}");
        }
    }
}

/// Elements of all kinds: any bits, small integers, and floats that are ordinary or not.
fn elements(seed: u64, bytes: u64) -> Vec<u8> {
    let mut random = crate::random::Random::new(seed);
    let word = |_| match random.below(6) {
        0 => random.bits(),
        1 => random.below(9),
        2 => 0x7fc0_1234_ffa0_0001,
        3 => 0x8000_0000_7f80_0000,
        _ => {
            let mut float = || u64::from(((random.below(64) as f32 - 32.0) / 4.0).to_bits());
            float() << 32 | float()
        }
    };
    let mut all: Vec<u8> = (0..bytes.div_ceil(8)).map(word).flat_map(u64::to_le_bytes).collect();
    all.truncate(bytes as usize);
    all
}
