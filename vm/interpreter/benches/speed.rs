//! How many million instructions a second the interpreter makes: `cargo bench -p interpreter`.

fn main() {}
