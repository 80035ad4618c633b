//! The inputs and outputs that are states.

use graph::{Graph, State};

use crate::error::{ImportErrors, ModelError};

/// Declares states by the names of an input and of an output.
pub(super) fn declare(
    graph: &mut Graph,
    outputs: &[String],
    states: &[(String, String)],
    errors: &mut ImportErrors,
) {
    let inputs: Vec<String> = graph.inputs.iter().map(|&id| graph.tensor(id).name.clone()).collect();
    let mut known = Vec::new();
    for (input, output) in states {
        let place = |name: &String, names: &[String]| names.iter().position(|other| other == name);
        let missing = |what, name: &String, names: &[String]| {
            let (flag, names) = (format!("{input}={output}"), names.to_vec());
            ModelError::UnknownState { flag, what, name: name.clone(), names }
        };
        match (place(input, &inputs), place(output, outputs)) {
            (None, _) => errors.model(missing("input", input, &inputs)),
            (_, None) => errors.model(missing("output", output, outputs)),
            (Some(input), Some(output)) => known.push(State { input, output }),
        }
    }
    known.sort_by_key(|state| state.input);
    for state in &known {
        let [old, new] =
            [graph.inputs[state.input], graph.outputs[state.output]].map(|id| &graph.tensor(id).ty);
        if old != new {
            let [input, output] = [&inputs[state.input], &outputs[state.output]].map(String::clone);
            let [old, new] = [old, new].map(ToString::to_string);
            errors.model(ModelError::StateType { input, output, old, new });
        }
    }
    if known.windows(2).any(|pair| pair[0].input == pair[1].input || pair[0].output >= pair[1].output) {
        errors.model(ModelError::StateOrder { inputs, outputs: outputs.to_vec() });
    }
    graph.states = known;
}
