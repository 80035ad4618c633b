//! From ONNX to the graph: names become ids, shapes are worked out, constants folded, old forms of operators replaced
//! by the newest.

mod call;
mod operators;
mod order;
mod shape;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use dnn_lib::operator::Operator;
use dnn_lib::tensor::{DType, TensorType};
use onnx::ElementType;

use crate::Options;
use crate::error::{CompileError, ModelError, NodeError};
use crate::graph::{Graph, Node, Tensor, TensorId};
use crate::passes;

/// The newest version of the operator set that the importer has been compared with.
const NEWEST_OPSET: i64 = 28;

/// Imports a model.
pub fn import(model: onnx::Model, options: &Options) -> Result<Graph, CompileError> {
    if !(1..=NEWEST_OPSET).contains(&model.opset) {
        return Err(ModelError::Opset { found: model.opset, newest: NEWEST_OPSET }.into());
    }
    let onnx::ModelGraph { name, nodes, initializers, inputs, outputs } = model.graph;
    let order = order::order(&nodes, &initializers, &inputs, &outputs)?;
    let mut import = Import {
        opset: model.opset,
        limit: options.max_memory,
        graph: Graph { name, ..Graph::default() },
        names: BTreeMap::new(),
    };
    // An input with an initializer has a default, which is a constant to us.
    let constants: BTreeSet<&str> = initializers.iter().map(|initializer| initializer.name.as_str()).collect();
    let inputs: Vec<onnx::Value> = inputs.into_iter().filter(|input| !constants.contains(&*input.name)).collect();
    for (name, ty) in shape::bind(&inputs, &options.shapes)? {
        let id = import.add_tensor(name, ty, None)?;
        import.graph.inputs.push(id);
    }
    for onnx::Initializer { name, tensor } in initializers {
        let (ty, bytes) = constant(&name, tensor)?;
        import.add_tensor(name, ty, Some(Arc::new(bytes)))?;
    }
    for index in order {
        import.node(&nodes[index], index)?;
    }
    for output in &outputs {
        import.output(output)?;
    }
    Ok(import.graph)
}

/// A node as messages name it.
pub(crate) fn label(node: &onnx::ModelNode, index: usize) -> String {
    if node.name.is_empty() { format!("#{index}") } else { node.name.clone() }
}

/// A graph under construction.
pub(crate) struct Import {
    opset: i64,
    limit: u64,
    graph: Graph,
    names: BTreeMap<String, TensorId>,
}

impl Import {
    /// Adds a tensor that the model names.
    fn add_tensor(
        &mut self,
        name: String,
        ty: TensorType,
        value: Option<Arc<Vec<u8>>>,
    ) -> Result<TensorId, ModelError> {
        let bytes = ty.shape.iter().try_fold(u128::from(ty.dtype.size()), |size, &dim| size.checked_mul(dim.into()));
        match bytes {
            Some(bytes) if bytes <= self.limit.into() => {}
            _ => {
                return Err(ModelError::TooLarge {
                    what: format!("tensor `{name}` of type {ty}"),
                    bytes: bytes.unwrap_or(u128::MAX),
                    limit: self.limit,
                });
            }
        }
        let id = self.graph.add_tensor(Tensor { name: name.clone(), ty, value });
        self.names.insert(name, id);
        Ok(id)
    }

    fn node(&mut self, node: &onnx::ModelNode, index: usize) -> Result<(), CompileError> {
        let result = operators::import(self, node, index);
        result.map_err(|problem| CompileError::Node {
            node: label(node, index),
            operator: node.operator.clone(),
            problem: Box::new(problem),
        })
    }

    /// The tensor with this name; that there is one has been checked.
    fn named(&self, name: &str) -> Option<TensorId> {
        self.names.get(name).copied()
    }

    /// Adds a node and gives its output, which gets the name. A node of constants becomes a constant.
    pub(crate) fn apply(
        &mut self,
        node: &str,
        operator: impl Into<Operator>,
        inputs: &[TensorId],
        output: String,
    ) -> Result<TensorId, NodeError> {
        let operator = operator.into();
        let types = self.graph.types(inputs);
        let inferred = operator.infer(&types).map_err(|error| self.operands_error(error, inputs))?;
        let [ty] = <[TensorType; 1]>::try_from(inferred).map_err(|all| NodeError::Kernels { found: all.len() })?;
        let bytes = ty.bytes().unwrap_or(u64::MAX);
        if bytes > self.limit {
            return Err(NodeError::TooLarge { ty: ty.to_string(), bytes, limit: self.limit });
        }
        let tensors: Vec<&Tensor> = inputs.iter().map(|&id| self.graph.tensor(id)).collect();
        let value = passes::fold::fold(&operator, &tensors)?;
        let folded = value.is_some();
        let output = self.graph.add_tensor(Tensor { name: output, ty, value });
        if !folded {
            let (name, inputs) = (node.to_owned(), inputs.to_vec());
            self.graph.nodes.push(Node { name, operator, inputs, output });
        }
        Ok(output)
    }

    /// An element type is told with the tensor's name and ONNX's name of the type.
    fn operands_error(&self, error: dnn_lib::operator::OperatorError, inputs: &[TensorId]) -> NodeError {
        use dnn_lib::operator::Problem;
        match &error.problem {
            Problem::DType { input, found, expected } if *input < inputs.len() => NodeError::ElementType {
                index: *input,
                tensor: self.graph.tensor(inputs[*input]).name.clone(),
                found: onnx_name(*found),
                expected: expected.iter().map(|&dtype| onnx_name(dtype)).collect::<Vec<_>>().join(" or "),
            },
            _ => NodeError::Operands(error),
        }
    }

    fn output(&mut self, declared: &onnx::Value) -> Result<(), ModelError> {
        let Some(id) = self.named(&declared.name) else {
            let (name, user) = (declared.name.clone(), "the graph's outputs".to_owned());
            return Err(ModelError::Undefined { name, user });
        };
        let computed = &self.graph.tensor(id).ty;
        let contradicted = |declared_as: String| ModelError::OutputContradicted {
            name: declared.name.clone(),
            declared: declared_as,
            computed: format!("{} {:?}", onnx_name(computed.dtype), computed.shape),
        };
        if let Some(element) = declared.element
            && element_type(element) != Some(computed.dtype)
        {
            return Err(contradicted(element.to_string()));
        }
        if let Some(shape) = &declared.shape
            && !shape::admits(shape, &computed.shape)
        {
            return Err(contradicted(shape::display(shape)));
        }
        self.graph.outputs.push(id);
        Ok(())
    }
}

/// Type and bytes of a constant.
fn constant(name: &str, tensor: onnx::Tensor) -> Result<(TensorType, Vec<u8>), ModelError> {
    let (element, dims, bytes) = tensor.into_parts();
    let dtype = element_type(element)
        .ok_or_else(|| ModelError::ElementType { name: name.to_owned(), found: element.name() })?;
    Ok((TensorType::new(dtype, dims), bytes))
}

/// The element type to compute with, if there is one.
fn element_type(element: ElementType) -> Option<DType> {
    Some(match element {
        ElementType::Float32 => DType::F32,
        ElementType::Float64 => DType::F64,
        ElementType::Int8 => DType::I8,
        ElementType::Int16 => DType::I16,
        ElementType::Int32 => DType::I32,
        ElementType::Int64 => DType::I64,
        ElementType::UInt8 => DType::U8,
        ElementType::UInt16 => DType::U16,
        ElementType::UInt32 => DType::U32,
        ElementType::UInt64 => DType::U64,
        ElementType::Bool => DType::Bool,
        ElementType::Float16 | ElementType::BFloat16 => return None,
    })
}

/// ONNX's name of an element type.
pub(crate) fn onnx_name(dtype: DType) -> &'static str {
    match dtype {
        DType::F32 => "float",
        DType::F64 => "double",
        DType::I8 => "int8",
        DType::I16 => "int16",
        DType::I32 => "int32",
        DType::I64 => "int64",
        DType::U8 => "uint8",
        DType::U16 => "uint16",
        DType::U32 => "uint32",
        DType::U64 => "uint64",
        DType::Bool => "bool",
    }
}
