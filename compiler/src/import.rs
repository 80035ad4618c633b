//! Converts ONNX to the graph. Names become ids, shapes are inferred, constants are folded, and old forms of
//! operators are replaced by the newest.
//!
//! The importer does not stop at the first problem. Tensors that a problem leaves unknown have no entry in
//! [`Scope::names`], and nodes that depend on them are only checked for their form.

mod bounds;
mod call;
mod constants;
mod operators;
mod order;
mod others;
mod packing;
mod repeat;
mod scope;
mod shape;
mod state;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::rc::Rc;

use bytes::Bytes;
use dnn_lib::operator::Operator;
use dnn_lib::tensor::{DType, TensorType};
use graph::{BuildError, Builder, Tensor, TensorId};
use onnx::{NEWEST_OPSET, element_name};

use crate::error::{ImportErrors, ModelError, NodeError, Warning};
use crate::{Imported, Options};
use bounds::Bounded;
pub(crate) use operators::all as operators;
pub(crate) use operators::supports;
use others::Other;
use repeat::Cut;
use scope::Scope;

/// Imports a model. Its constants are in memory, or in the files that are returned too.
pub fn import(model: onnx::Model, options: &Options) -> Result<Imported, ImportErrors> {
    if !(1..=NEWEST_OPSET).contains(&model.opset) {
        return Err(ModelError::Opset { found: model.opset, newest: NEWEST_OPSET }.into());
    }
    let onnx::Model { opset, functions, notes, graph, files, .. } = model;
    let mut import = Import::new(&graph, functions, options);
    import.warnings.extend(notes.into_iter().map(|note| Warning::File { note }));
    import.builder.add_files(files);
    let order = order::order(&graph, &|_| false, &mut import.errors);
    // If the structure is wrong, a name may stand for the wrong tensor, and errors about types would mislead.
    let sound = import.errors.is_empty();
    import.scopes.push(Scope::of(&graph, &order, opset));
    import.inputs(&graph, options);
    if sound {
        import.initializers(&graph);
    } else {
        import.scope_mut().names.clear();
    }
    import.nodes(&graph, &order);
    if sound {
        graph.outputs.iter().for_each(|output| import.output(output));
        graph.outputs.iter().for_each(|output| import.true_shape_of_output(&output.name));
        import.flags(options.repeat);
        import.states(&options.states);
    }
    let Import { mut builder, warnings, mut errors, .. } = import;
    let files = builder.take_files();
    let mut built = builder.finish();
    if errors.is_empty() {
        let names = built.outputs.iter().map(|&id| built.tensor(id).name.clone());
        let names: Vec<String> = names.collect();
        state::declare(&mut built, &names, &options.states, &mut errors);
    }
    if options.repeat == 0 {
        errors.model(ModelError::Repeat);
    }
    if errors.is_empty() { Ok(Imported { graph: built, files, warnings }) } else { Err(errors) }
}

/// The most bytes of a constant that the importer makes itself.
const MOST_ZEROS: u64 = 1 << 30;

/// The name of a node in messages.
pub(crate) fn label(node: &onnx::ModelNode, index: usize) -> String {
    if node.name.is_empty() { format!("#{index}") } else { node.name.clone() }
}

/// A graph under construction.
pub(crate) struct Import {
    /// The maximum size of a tensor in bytes.
    limit: u64,
    /// How often a loop may run whose end depends on data.
    loop_bound: Option<u64>,
    builder: Builder,
    /// The tensors of floats that were made from bytes.
    dequantized: HashMap<TensorId, operators::Dequantized>,
    /// The operators that the model defines.
    functions: Rc<[onnx::Function]>,
    /// Their numbers, by domain, name and overload.
    calls: BTreeMap<[String; 3], usize>,
    /// The tensors of which not everything counts.
    bounds: BTreeMap<TensorId, Bounded>,
    /// What is no tensor, by the tensors that stand for it. Those have no elements.
    others: BTreeMap<TensorId, Other>,
    /// The loops that may end because they ran as often as they may.
    cuts: Vec<Cut>,
    /// The graphs that nodes are added from: the main one, and those inside of it down to the present one.
    scopes: Vec<Scope>,
    /// What the integers of a tensor stand for, if these are the numbers of texts.
    texts: BTreeMap<TensorId, Rc<[String]>>,
    /// The number of nodes that functions and loops may still make.
    left: usize,
    warnings: Vec<Warning>,
    errors: ImportErrors,
}

impl Import {
    fn new(graph: &onnx::ModelGraph, functions: Vec<onnx::Function>, options: &Options) -> Self {
        let key = |function: &onnx::Function| {
            [&function.domain, &function.name, &function.overload].map(String::clone)
        };
        let calls = functions.iter().enumerate().map(|(number, function)| (key(function), number));
        Self {
            calls: calls.collect(),
            limit: options.max_memory,
            loop_bound: options.loop_bound,
            builder: Builder::new(graph.name.as_str(), options.max_memory),
            dequantized: HashMap::new(),
            functions: functions.into(),
            bounds: BTreeMap::new(),
            others: BTreeMap::new(),
            cuts: Vec::new(),
            scopes: Vec::new(),
            texts: BTreeMap::new(),
            left: scope::MOST_WRITTEN,
            warnings: Vec::new(),
            errors: ImportErrors::default(),
        }
    }

    /// The inputs of the main graph. One with an initializer has a default, which is a constant here.
    fn inputs(&mut self, graph: &onnx::ModelGraph, options: &Options) {
        let constants: BTreeSet<&str> =
            graph.initializers.iter().map(|initializer| initializer.name.as_str()).collect();
        let inputs: Vec<onnx::Value> =
            graph.inputs.iter().filter(|input| !constants.contains(&*input.name)).cloned().collect();
        let (inputs, containers) = others::elements(inputs, options);
        let bound = constants::of(&inputs, &options.constants, &mut self.errors);
        let mut shapes = options.shapes.clone();
        shapes.retain(|name, _| !containers.iter().any(|container| container.empty_name() == *name));
        shapes.extend(bound.iter().map(|(name, tensor)| ((*name).to_owned(), tensor.dims().to_vec())));
        let types = shape::bind(&inputs, &shapes, &options.dims, &mut self.errors);
        for (input, ty) in inputs.iter().zip(types) {
            let name = input.name.clone();
            match ty {
                Ok(ty) => {
                    self.warnings.extend(shape::empty_input(input, &shapes));
                    if self.fits(&name, &ty) {
                        let id = match bound.get(&*name) {
                            Some(tensor) => self.builder.tensor(&name, ty, Some(tensor.shared())),
                            None => self.builder.input(&name, ty),
                        };
                        self.define(name, Some(id));
                    }
                }
                Err(_) if !self.wants(&name) && !others::is_element(&containers, &name) => {
                    self.warnings.push(Warning::UnusedInput { name, found: shape::description(input) });
                }
                Err(error) => self.errors.model(error),
            }
        }
        containers.into_iter().for_each(|container| self.container(container));
    }

    /// Adds the constants of a graph that are used.
    fn initializers(&mut self, graph: &onnx::ModelGraph) {
        for onnx::Initializer { name, tensor } in &graph.initializers {
            if !self.wants(name) {
                continue;
            }
            let (dtype, dims, bytes) = tensor.clone().into_parts();
            let ty = TensorType::new(dtype, dims);
            if self.fits(name, &ty) {
                let id = self.builder.tensor(name, ty, Some(bytes));
                self.define(name.clone(), Some(id));
            }
        }
        for onnx::Texts { name, dims, texts } in &graph.texts {
            let numbers: Vec<i64> = (0..texts.len() as i64).collect();
            let id = self.integers(name, dims, &numbers);
            self.texts.insert(id, texts.as_slice().into());
            self.define(name.clone(), Some(id));
        }
    }

    /// Adds the nodes of a graph.
    fn nodes(&mut self, graph: &onnx::ModelGraph, order: &[usize]) {
        for &index in order {
            self.node(&graph.nodes[index], index);
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

    pub(crate) fn tensor(&self, id: TensorId) -> &Tensor {
        self.builder.graph().tensor(id)
    }

    fn node(&mut self, node: &onnx::ModelNode, index: usize) {
        match operators::import(self, node, index) {
            // What is wrong inside of a node has been told.
            Ok(()) | Err(NodeError::Inside) => {}
            Err(error) => {
                let domain = if node.domain.is_empty() { String::new() } else { format!("{}.", node.domain) };
                let label = self.label(node, index);
                self.errors.node(label, format!("{domain}{}", node.operator), error);
            }
        }
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
        let operator = operator.into();
        self.tensors_only(inputs)?;
        if let Some(packed) = packing::moved(&operator, inputs.iter().map(|&id| self.tensor(id).ty.dtype)) {
            self.unbounded(inputs)?;
            return self.move_packed(node, operator, packed, inputs, names);
        }
        let bounds = self.follow(&operator, inputs)?;
        let outputs = self.builder.apply(node, operator, inputs, names);
        let outputs = outputs.map_err(|error| match error {
            BuildError::Operator(error) => self.operands_error(error, inputs),
            other => other.into(),
        })?;
        for (&output, bounded) in outputs.iter().zip(bounds) {
            bounded.into_iter().for_each(|bounded| self.bind(output, bounded));
        }
        Ok(outputs)
    }

    /// Likewise, for one output without a name of its own.
    pub(crate) fn add(
        &mut self,
        node: &str,
        operator: impl Into<Operator>,
        inputs: &[TensorId],
    ) -> Result<TensorId, NodeError> {
        // Every operator has an output.
        Ok(self.apply(node, operator, inputs, &[node.to_owned()])?[0])
    }

    /// A constant list of integers, or a scalar.
    pub(crate) fn integers(&mut self, name: &str, shape: &[u64], values: &[i64]) -> TensorId {
        let bytes: Bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.builder.tensor(name, TensorType::new(DType::I64, shape), Some(bytes))
    }

    /// A constant that is all zeros.
    pub(crate) fn zeros(&mut self, name: &str, ty: TensorType) -> Result<TensorId, NodeError> {
        let (bytes, limit) = (ty.bytes().unwrap_or(u64::MAX), self.limit.min(MOST_ZEROS));
        if bytes > limit {
            return Err(BuildError::TooLarge { ty, bytes, limit }.into());
        }
        Ok(self.builder.tensor(name, ty, Some(vec![0; bytes as usize].into())))
    }

    /// A constant condition.
    pub(crate) fn boolean(&mut self, name: &str, value: bool) -> TensorId {
        let value = Bytes::copy_from_slice(&[u8::from(value)]);
        self.builder.tensor(name, TensorType::new(DType::Bool, []), Some(value))
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

    /// An output, or all elements of a sequence.
    fn output(&mut self, declared: &onnx::Value) {
        let Some(Some(id)) = self.named(&declared.name) else { return };
        let elements = match self.other(id) {
            None => return self.output_tensor(declared, id),
            Some(Other::Absent) => Vec::new(),
            Some(Other::Sequence(elements)) => elements.clone(),
        };
        if elements.is_empty() {
            let (name, shape) = (declared.name.clone(), "of an empty sequence".to_owned());
            self.warnings.push(Warning::EmptyOutput { name, shape });
        }
        if let Err(error) = self.unbounded(&elements) {
            self.errors.node(declared.name.clone(), "SequenceConstruct".to_owned(), error);
        }
        for (index, id) in elements.into_iter().enumerate() {
            let name = others::element_name(&declared.name, index);
            self.output_tensor(&onnx::Value { name, other: None, ..declared.clone() }, id);
        }
    }

    /// The declared shape is only compared, since many exporters leave a wrong one.
    fn output_tensor(&mut self, declared: &onnx::Value, id: TensorId) {
        if let Some(texts) = self.texts.get(&id) {
            let (output, texts) = (declared.name.clone(), operators::shortened(texts));
            self.warnings.push(Warning::Texts { output, texts });
        }
        let (name, computed) = (|| declared.name.clone(), &self.builder.graph().tensor(id).ty);
        let shape = format!("{:?}", computed.shape);
        if let Some(declared) = declared.dtype.filter(|&declared| declared != computed.dtype) {
            let [declared, computed] = [declared, computed.dtype].map(element_name);
            self.errors.model(ModelError::OutputType { name: name(), declared, computed });
            return;
        }
        // What the data decide is not known here.
        let known = self.bounded(id).is_none();
        let contradicted =
            declared.shape.as_ref().filter(|shape| known && !shape::admits(shape, &computed.shape));
        let wrong = contradicted.map(|declared| Warning::OutputShape {
            name: name(),
            declared: shape::display(declared),
            computed: shape.clone(),
        });
        let empty =
            computed.shape.contains(&0).then(|| Warning::EmptyOutput { name: name(), shape: shape.clone() });
        self.warnings.extend(wrong.into_iter().chain(empty));
        // What comes from inside of a node has the name that it has there.
        let named = match self.tensor(id).name == declared.name {
            true => Ok(id),
            false => self.add(&declared.name, dnn_lib::operator::Identity, &[id]),
        };
        match named {
            Ok(id) => self.builder.output(id),
            Err(error) => self.errors.node(declared.name.clone(), "Identity".to_owned(), error),
        }
    }
}
