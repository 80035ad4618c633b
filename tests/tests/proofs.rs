//! What the proofs are about is what the machine does.

use opml_tests::{generated, smt};
use std::path::Path;

#[test]
fn the_solver_reads_what_the_semantics_say() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("proofs/softfloat.smt2");
    generated::check(&path, &smt::floating_point());
}
