//! Prints the verifier: `cargo run -p solidity --example print -- rv64im`.
fn main() {
    let e = if std::env::args().nth(1).as_deref() == Some("im") { isa::Extensions::IM } else { isa::Extensions::IMFD };
    print!("{}", solidity::verifier(e));
}
