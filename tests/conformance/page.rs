//! `docs/operators.md`: the operators, their opsets and types, and how many of their cases pass.

use std::collections::BTreeMap;
use std::fmt::Write;

use compiler::SupportedOperator;
use dnn_lib::tensor::DType;
use onnx::{Limits, Model};
use opml_tests::generated;
use opml_tests::tools::in_repository;

use crate::case::{self, Case, Values};
use crate::list::List;
use crate::run;

/// Compares the page with what the tables and the lists say, or writes it.
pub fn check() {
    generated::check(&in_repository("docs/operators.md"), &page(&case::all(), &List::read()));
}

fn page(cases: &[Case], list: &List) -> String {
    let passes =
        |case: &&Case| !list.refused.contains_key(&case.name) && !list.deviations.contains_key(&case.name);
    let mut page = "# Operators\n\n\
                    Made by a test from the compiler's tables and from `tests/conformance`; do not edit. How numbers are\n\
                    computed is in [numerics.md](numerics.md). *Opset* is the oldest that is supported. *Types* are those\n\
                    of the first input, and *tests* are ONNX's own node tests: how many pass, of how many.\n\n\
                    | Operator | Opset | Types | Tests | |\n|---|---:|---|---:|---|\n"
        .to_owned();
    for operator in compiler::operators() {
        let name = full_name(&operator);
        let own: Vec<&Case> = cases.iter().filter(|case| case.operator.as_deref() == Some(&*name)).collect();
        let passed: Vec<&Case> = own.iter().copied().filter(passes).collect();
        let doc = dnn_lib::operator::Operator::TABLE.iter().find(|entry| entry.name == operator.name);
        let _ = writeln!(
            page,
            "| {name} | {} | {} | {} of {} | {} |",
            operator.since,
            types(&passed),
            passed.len(),
            own.len(),
            doc.filter(|_| operator.domain.is_empty()).map_or("", |entry| entry.doc)
        );
    }
    page += "\n## ONNX's tests\n\n\
             Every shape is fixed at compile time. Where an input of a case decides one, or how often a loop runs, \
             it is\ngiven as a constant, as by `--constant`; *with constants* counts these among those that pass.\n\n\
             | Kind | Pass | With constants | Of |\n|---|---:|---:|---:|\n";
    let mut kinds: BTreeMap<&str, [usize; 3]> = BTreeMap::new();
    for case in cases {
        let [pass, bound, all] = kinds.entry(&case.kind).or_default();
        *pass += usize::from(passes(&case));
        *bound += usize::from(passes(&case) && needs_constants(case));
        *all += 1;
    }
    for (kind, [pass, bound, all]) in kinds {
        let _ = writeln!(page, "| {kind} | {pass} | {bound} | {all} |");
    }
    reasons(&mut page, "Refused", &list.refused);
    reasons(&mut page, "Different by intention", &list.deviations);
    page
}

/// A section with the cases of each reason.
fn reasons(page: &mut String, title: &str, cases: &BTreeMap<String, String>) {
    let mut by_reason: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (case, reason) in cases {
        by_reason.entry(reason).or_default().push(case.strip_prefix("test_").unwrap_or(case));
    }
    if by_reason.is_empty() {
        return;
    }
    let _ = write!(page, "\n## {title}\n\n| Reason | Number | Cases |\n|---|---:|---|\n");
    for (reason, cases) in by_reason {
        let _ = writeln!(page, "| {} | {} | {} |", reason.replace('|', "\\|"), cases.len(), cases.join(", "));
    }
}

fn full_name(operator: &SupportedOperator) -> String {
    match operator.domain {
        "" => operator.name.to_owned(),
        domain => format!("{domain}.{}", operator.name),
    }
}

/// The element types that the first input can have: those with which one of the cases is still imported.
fn types(passed: &[&Case]) -> String {
    let plain = passed.iter().find(|case| !case.name.contains("_expanded"));
    let Some((model, inputs)) = plain.and_then(|case| read(case)) else {
        return String::new();
    };
    let Ok((options, _)) =
        run::bind(&model, &inputs, |options| compiler::import_model(model.clone(), options))
    else {
        return String::new();
    };
    let first = model.graph.inputs.iter().find(|input| !options.constants.contains_key(&input.name));
    let Some(replaced) = first.and_then(|input| input.dtype) else { return String::new() };
    let accepted = DType::ALL.into_iter().filter(|&dtype| {
        let mut model = model.clone();
        for input in model.graph.inputs.iter_mut().filter(|input| input.dtype == Some(replaced)) {
            if !options.constants.contains_key(&input.name) {
                input.dtype = Some(dtype);
            }
        }
        model.graph.outputs.iter_mut().for_each(|output| output.dtype = None);
        compiler::import_model(model, &options).is_ok()
    });
    accepted.map(DType::name).collect::<Vec<_>>().join(" ")
}

/// Whether a case is compiled with an input as a constant.
fn needs_constants(case: &Case) -> bool {
    let Some((model, inputs)) = read(case) else { return false };
    let bound = run::bind(&model, &inputs, |options| compiler::import_model(model.clone(), options));
    bound.is_ok_and(|(options, _)| !options.constants.is_empty())
}

fn read(case: &Case) -> Option<(Model, Values)> {
    let model = onnx::read_model(&case.model(), &Limits::default()).ok()?;
    let inputs = case::values(case.data_sets().first()?, "input", &run::inputs_of(&model)).ok()?;
    Some((model, inputs))
}
