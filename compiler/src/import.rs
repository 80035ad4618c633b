//! Converts ONNX to the graph. Names become ids, shapes are inferred, constants are folded, and old forms of
//! operators are replaced by the newest.
//!
//! The importer does not stop at the first problem. Tensors that a problem leaves unknown have no entry in
//! [`Import::names`], and nodes that depend on them are only checked for their form.

mod call;
mod operators;
mod order;
mod shape;

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use dnn_lib::operator::Operator;
use dnn_lib::tensor::TensorType;
use mapped::Mapped;
use onnx::element_name;

use crate::Options;
use crate::error::{ImportErrors, ModelError, NodeError, Warning};
use crate::graph::{Graph, GraphNode, Tensor, TensorId};
use crate::passes;

/// The newest version of the operator set with which the importer has been compared.
const NEWEST_OPSET: i64 = 28;

/// Imports a model. Its constants are in memory or in the files that are returned too.
pub fn import(model: onnx::Model, options: &Options) -> Result<(Graph, Vec<Mapped>), ImportErrors> {
    if !(1..=NEWEST_OPSET).contains(&model.opset) {
        return Err(ModelError::Opset { found: model.opset, newest: NEWEST_OPSET }.into());
    }
    let mut import = Import::new(model.opset, options.max_memory);
    import.files = model.files;
    let order = order::order(&model.graph, &mut import.errors);
    // If the structure is wrong, a name may stand for the wrong tensor, and errors about types would mislead.
    let sound = import.errors.is_empty();
    let onnx::ModelGraph { name, nodes, initializers, inputs, outputs } = model.graph;
    import.graph.name = name;
    let used =
        order.iter().flat_map(|&index| &nodes[index].inputs).chain(outputs.iter().map(|output| &output.name));
    import.used = used.cloned().collect();
    // An input with an initializer has a default, which is a constant here.
    let constants: BTreeSet<&str> =
        initializers.iter().map(|initializer| initializer.name.as_str()).collect();
    let inputs: Vec<onnx::Value> =
        inputs.into_iter().filter(|input| !constants.contains(&*input.name)).collect();
    import.inputs(&inputs, options);
    if sound {
        initializers.into_iter().for_each(|initializer| import.initializer(initializer));
    } else {
        import.names.clear();
    }
    for index in order {
        import.node(&nodes[index], index);
    }
    if sound {
        outputs.iter().for_each(|output| import.output(output));
    }
    if import.errors.is_empty() { Ok((import.graph, import.files)) } else { Err(import.errors) }
}

/// The name of a node in messages.
pub(crate) fn label(node: &onnx::ModelNode, index: usize) -> String {
    if node.name.is_empty() { format!("#{index}") } else { node.name.clone() }
}

/// A graph under construction.
pub(crate) struct Import {
    opset: i64,
    /// The maximum size of a tensor in bytes.
    limit: u64,
    graph: Graph,
    /// The files in which constants are: those of the model, and of results that were folded.
    files: Vec<Mapped>,
    /// The known tensors, by their names in the model.
    names: BTreeMap<String, TensorId>,
    /// The names of all tensors that a needed node reads or that are outputs of the graph.
    used: BTreeSet<String>,
    errors: ImportErrors,
}

impl Import {
    fn new(opset: i64, limit: u64) -> Self {
        let (graph, errors) = (Graph::default(), ImportErrors::default());
        let files = Vec::new();
        Self { opset, limit, graph, files, names: BTreeMap::new(), used: BTreeSet::new(), errors }
    }

    fn inputs(&mut self, inputs: &[onnx::Value], options: &Options) {
        let types = shape::bind(inputs, &options.shapes, &mut self.errors);
        for (input, ty) in inputs.iter().zip(types) {
            let Some(ty) = ty else { continue };
            self.graph.warnings.extend(shape::empty_input(input, &options.shapes));
            if let Some(id) = self.add_tensor(&input.name, ty, None) {
                self.graph.inputs.push(id);
            }
        }
    }

    /// Adds a constant, if it is used.
    fn initializer(&mut self, initializer: onnx::Initializer) {
        let onnx::Initializer { name, tensor } = initializer;
        if !self.used.contains(&name) {
            return;
        }
        let (dtype, dims, bytes) = tensor.into_parts();
        self.add_tensor(&name, TensorType::new(dtype, dims), Some(bytes));
    }

    /// Adds a tensor that the model names, unless it is too large.
    fn add_tensor(&mut self, name: &str, ty: TensorType, value: Option<Bytes>) -> Option<TensorId> {
        let bits =
            ty.shape.iter().try_fold(u128::from(ty.dtype.bits()), |size, &dim| size.checked_mul(dim.into()));
        let bytes = bits.map(|bits| bits.div_ceil(8));
        if bytes.is_none_or(|bytes| bytes > self.limit.into()) {
            let what = format!("tensor `{name}` of type {ty}");
            let bytes = bytes.unwrap_or(u128::MAX);
            self.errors.model(ModelError::TooLarge { what, bytes, limit: self.limit });
            return None;
        }
        let id = self.graph.add_tensor(Tensor { name: name.to_owned(), ty, value });
        self.names.insert(name.to_owned(), id);
        Some(id)
    }

    fn node(&mut self, node: &onnx::ModelNode, index: usize) {
        if let Err(error) = operators::import(self, node, index) {
            let domain = if node.domain.is_empty() { String::new() } else { format!("{}.", node.domain) };
            self.errors.node(label(node, index), format!("{domain}{}", node.operator), error);
        }
    }

    /// The tensor with this name, if it is known.
    fn named(&self, name: &str) -> Option<TensorId> {
        self.names.get(name).copied()
    }

    /// Adds a node and returns its output, which gets the name. A node whose inputs are all constants becomes
    /// a constant.
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
        let [ty] =
            <[TensorType; 1]>::try_from(inferred).map_err(|all| NodeError::Outputs { found: all.len() })?;
        let bytes = ty.bytes().unwrap_or(u64::MAX);
        if bytes > self.limit {
            return Err(NodeError::TooLarge { ty: ty.to_string(), bytes, limit: self.limit });
        }
        let tensors: Vec<&Tensor> = inputs.iter().map(|&id| self.graph.tensor(id)).collect();
        let value = passes::fold::fold(&operator, &tensors, &mut self.files)?;
        let folded = value.is_some();
        let output = self.graph.add_tensor(Tensor { name: output, ty, value });
        if !folded {
            let (name, inputs) = (node.to_owned(), inputs.to_vec());
            self.graph.nodes.push(GraphNode { name, operator, inputs, output });
        }
        Ok(output)
    }

    /// The error for the user: for a wrong element type, with the tensor's name and ONNX's names of the
    /// types.
    fn operands_error(&self, error: dnn_lib::operator::OperatorError, inputs: &[TensorId]) -> NodeError {
        use dnn_lib::operator::Problem;
        match &error.problem {
            Problem::DType { input, found, expected } if *input < inputs.len() => NodeError::ElementType {
                index: *input,
                tensor: self.graph.tensor(inputs[*input]).name.clone(),
                found: element_name(*found),
                expected: expected.iter().map(|&dtype| element_name(dtype)).collect::<Vec<_>>().join(" or "),
            },
            _ => NodeError::Operands(error),
        }
    }

    /// The declared shape is only compared, since many exporters leave a wrong one.
    fn output(&mut self, declared: &onnx::Value) {
        let Some(id) = self.named(&declared.name) else { return };
        let (name, computed) = (|| declared.name.clone(), &self.graph.tensor(id).ty);
        let shape = format!("{:?}", computed.shape);
        if let Some(declared) = declared.dtype.filter(|&declared| declared != computed.dtype) {
            let [declared, computed] = [declared, computed.dtype].map(element_name);
            self.errors.model(ModelError::OutputType { name: name(), declared, computed });
            return;
        }
        let contradicted = declared.shape.as_ref().filter(|shape| !shape::admits(shape, &computed.shape));
        let wrong = contradicted.map(|declared| Warning::OutputShape {
            name: name(),
            declared: shape::display(declared),
            computed: shape.clone(),
        });
        let empty =
            computed.shape.contains(&0).then(|| Warning::EmptyOutput { name: name(), shape: shape.clone() });
        self.graph.warnings.extend(wrong.into_iter().chain(empty));
        self.graph.outputs.push(id);
    }
}
