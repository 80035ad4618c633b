//! Moving elements that share a byte: each gets a byte of its own for the time.

use dnn_lib::operator::{Cast, Operator};
use dnn_lib::tensor::DType;
use graph::TensorId;

use super::Import;
use crate::error::NodeError;

/// The type of the elements that an operator moves, if they share bytes.
pub(super) fn moved(operator: &Operator, inputs: impl Iterator<Item = DType>) -> Option<DType> {
    use Operator::{
        Concat, Expand, Gather, GatherElements, GatherND, Pad, ReverseSequence, Slice, Split, Tile,
        Transpose, Trilu, Where,
    };
    let moves = matches!(
        operator,
        Concat(_)
            | Expand(_)
            | Gather(_)
            | GatherElements(_)
            | GatherND(_)
            | Pad(_)
            | ReverseSequence(_)
            | Slice(_)
            | Split(_)
            | Tile(_)
            | Transpose(_)
            | Trilu(_)
            | Where(_)
    );
    inputs.into_iter().find(|dtype| moves && dtype.is_packed())
}

/// A type whose elements have a byte each, with all numbers of one whose elements share bytes.
const fn alone(packed: DType) -> DType {
    match packed {
        DType::I2 | DType::I4 => DType::I8,
        DType::F4E2M1 => DType::F8E4M3FN,
        _ => DType::U8,
    }
}

impl Import {
    /// Adds a node that moves elements that share bytes.
    pub(super) fn move_packed(
        &mut self,
        node: &str,
        operator: Operator,
        packed: DType,
        inputs: &[TensorId],
        names: &[String],
    ) -> Result<Vec<TensorId>, NodeError> {
        let mut alone_inputs = Vec::new();
        for &input in inputs {
            let is_packed = self.tensor(input).ty.dtype == packed;
            let to = alone(packed);
            alone_inputs.push(if is_packed { self.add(node, Cast { to }, &[input])? } else { input });
        }
        let own: Vec<String> = names.iter().map(|name| format!("{name}.alone")).collect();
        let moved = self.apply(node, operator, &alone_inputs, &own)?;
        let mut outputs = Vec::new();
        for (i, tensor) in moved.into_iter().enumerate() {
            let name = names.get(i).cloned().unwrap_or_default();
            outputs.extend(self.apply(node, Cast { to: packed }, &[tensor], &[name])?);
        }
        Ok(outputs)
    }
}
