//! An image's program as text.

use std::fmt::Write;

use image::Image;

use crate::{NativeError, nodes};

/// What the image's program computes, for people: its nodes in order, over the image's tensors, and the
/// definitions that they apply. Whether the image's code does the same is not checked.
pub fn text(image: &Image) -> Result<String, NativeError> {
    let program = nodes::program(image)?;
    let name = |&tensor: &u32| image.tensors.get(tensor as usize).map_or("?", |tensor| tensor.name.as_str());
    let mut text = String::new();
    let mut steps = program.steps.iter().zip(&image.schedule).peekable();
    for (number, node) in program.nodes.iter().enumerate() {
        let named = steps.peek().map_or("", |(_, step)| step.node.as_str());
        while steps.next_if(|(of, _)| **of as usize == number).is_some() {}
        let inputs: Vec<&str> = node.inputs.iter().map(name).collect();
        let guards = node
            .guards
            .iter()
            .map(|guard| format!(", if {}{}", if guard.when { "" } else { "not " }, name(&guard.tensor)));
        let guards: String = guards.collect();
        let (output, inputs) = (name(&node.output), inputs.join(", "));
        let _ = writeln!(text, "{named}: {output} = #{}({inputs}){guards}", node.definition);
    }
    for (number, definition) in program.definitions.iter().enumerate() {
        let _ = write!(text, "\n#{number} {definition}");
    }
    Ok(text)
}
