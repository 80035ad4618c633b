//! Converts ONNX to the graph. Names become ids, shapes are inferred, constants are folded, and old forms of
//! operators are replaced by the newest.
//!
//! The importer does not stop at the first problem. Tensors that a problem leaves unknown have no entry in
//! [`Import::names`], and nodes that depend on them are only checked for their form.

mod call;
mod constants;
mod operators;
mod order;
mod shape;
mod state;

use std::collections::{BTreeMap, BTreeSet};

use dnn_lib::operator::Operator;
use dnn_lib::tensor::TensorType;
use graph::{BuildError, Builder, Tensor, TensorId};
use onnx::element_name;

use crate::error::{ImportErrors, ModelError, NodeError, Warning};
use crate::{Imported, Options};

pub(crate) use operators::all as operators;

/// The newest version of the operator set with which the importer has been compared.
const NEWEST_OPSET: i64 = 28;

/// Imports a model. Its constants are in memory, or in the files that are returned too.
pub fn import(model: onnx::Model, options: &Options) -> Result<Imported, ImportErrors> {
    if !(1..=NEWEST_OPSET).contains(&model.opset) {
        return Err(ModelError::Opset { found: model.opset, newest: NEWEST_OPSET }.into());
    }
    let mut import = Import::new(&model, options.max_memory);
    import.builder.add_files(model.files);
    let order = order::order(&model.graph, &mut import.errors);
    // If the structure is wrong, a name may stand for the wrong tensor, and errors about types would mislead.
    let sound = import.errors.is_empty();
    let onnx::ModelGraph { nodes, initializers, inputs, outputs, .. } = model.graph;
    let used =
        order.iter().flat_map(|&index| &nodes[index].inputs).chain(outputs.iter().map(|output| &output.name));
    import.used = used.cloned().collect();
    // An input with an initializer has a default, which is a constant here.
    let constants: BTreeSet<&str> =
        initializers.iter().map(|initializer| initializer.name.as_str()).collect();
    let inputs: Vec<onnx::Value> =
        inputs.into_iter().filter(|input| !constants.contains(&*input.name)).collect();
    import.inputs(inputs, options);
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
    let Import { mut builder, warnings, mut errors, .. } = import;
    let files = builder.take_files();
    let mut graph = builder.finish();
    if errors.is_empty() {
        let names: Vec<String> = outputs.into_iter().map(|output| output.name).collect();
        state::declare(&mut graph, &names, &options.states, &mut errors);
    }
    if options.repeat == 0 {
        errors.model(ModelError::Repeat);
    }
    if errors.is_empty() { Ok(Imported { graph, files, warnings }) } else { Err(errors) }
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
    builder: Builder,
    /// The known tensors, by their names in the model.
    names: BTreeMap<String, TensorId>,
    /// The names of all tensors that a needed node reads or that are outputs of the graph.
    used: BTreeSet<String>,
    warnings: Vec<Warning>,
    errors: ImportErrors,
}

impl Import {
    fn new(model: &onnx::Model, limit: u64) -> Self {
        let builder = Builder::new(model.graph.name.as_str(), limit);
        let (names, used, warnings, errors) = Default::default();
        Self { opset: model.opset, limit, builder, names, used, warnings, errors }
    }

    /// Adds the inputs. Those that are bound to constants become constants.
    fn inputs(&mut self, inputs: Vec<onnx::Value>, options: &Options) {
        let constants = constants::of(&inputs, &options.constants, &mut self.errors);
        let mut shapes = options.shapes.clone();
        shapes.extend(constants.iter().map(|(name, tensor)| ((*name).to_owned(), tensor.dims().to_vec())));
        let types = shape::bind(&inputs, &shapes, &mut self.errors);
        for (input, ty) in inputs.into_iter().zip(types) {
            let Some(ty) = ty else { continue };
            self.warnings.extend(shape::empty_input(&input, &shapes));
            if self.fits(&input.name, &ty) {
                let id = match constants.get(&*input.name) {
                    Some(tensor) => self.builder.tensor(&input.name, ty, Some(tensor.shared())),
                    None => self.builder.input(&input.name, ty),
                };
                self.names.insert(input.name, id);
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
        let ty = TensorType::new(dtype, dims);
        if self.fits(&name, &ty) {
            let id = self.builder.tensor(&name, ty, Some(bytes));
            self.names.insert(name, id);
        }
    }

    /// Whether a tensor that the model names is small enough; an error if not.
    fn fits(&mut self, name: &str, ty: &TensorType) -> bool {
        let bits =
            ty.shape.iter().try_fold(u128::from(ty.dtype.bits()), |size, &dim| size.checked_mul(dim.into()));
        let bytes = bits.map(|bits| bits.div_ceil(8));
        let fits = bytes.is_some_and(|bytes| bytes <= self.limit.into());
        if !fits {
            let what = format!("tensor `{name}` of type {ty}");
            let bytes = bytes.unwrap_or(u128::MAX);
            self.errors.model(ModelError::TooLarge { what, bytes, limit: self.limit });
        }
        fits
    }

    fn tensor(&self, id: TensorId) -> &Tensor {
        self.builder.graph().tensor(id)
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

    /// Adds a node and returns its outputs, which get these names. A node whose inputs are all constants
    /// becomes constants.
    pub(crate) fn apply(
        &mut self,
        node: &str,
        operator: impl Into<Operator>,
        inputs: &[TensorId],
        names: &[String],
    ) -> Result<Vec<TensorId>, NodeError> {
        let outputs = self.builder.apply(node, operator, inputs, names);
        outputs.map_err(|error| match error {
            BuildError::Operator(error) => self.operands_error(error, inputs),
            other => other.into(),
        })
    }

    /// The error for the user: for a wrong element type, with the tensor's name and ONNX's names of the
    /// types.
    fn operands_error(&self, error: dnn_lib::operator::OperatorError, inputs: &[TensorId]) -> NodeError {
        use dnn_lib::operator::Problem;
        match &error.problem {
            Problem::DType { input, found, expected } if *input < inputs.len() => NodeError::ElementType {
                index: *input,
                tensor: self.tensor(inputs[*input]).name.clone(),
                found: element_name(*found),
                expected: expected.iter().map(|&dtype| element_name(dtype)).collect::<Vec<_>>().join(" or "),
            },
            _ => NodeError::Operands(error),
        }
    }

    /// The declared shape is only compared, since many exporters leave a wrong one.
    fn output(&mut self, declared: &onnx::Value) {
        let Some(id) = self.named(&declared.name) else { return };
        let (name, computed) = (|| declared.name.clone(), &self.builder.graph().tensor(id).ty);
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
        self.warnings.extend(wrong.into_iter().chain(empty));
        self.builder.output(id);
    }
}
