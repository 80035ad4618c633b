//! One node of a model on tensors, in the reference evaluator.

use compiler::Options;
use dnn_lib::tensor::DType;
use graph::reference;
use onnx::{Attribute, Dimension, Initializer, Model, ModelGraph, ModelNode, Tensor, Value};

/// A node that is being described.
#[derive(Clone, Debug)]
pub struct Single {
    opset: i64,
    node: ModelNode,
    inputs: Vec<Tensor>,
    constants: Vec<Initializer>,
}

/// A node of an operator, with its domain before a colon unless that is ONNX's own.
pub fn single(operator: &str) -> Single {
    let (domain, operator) = operator.split_once(':').unwrap_or(("", operator));
    let (domain, operator) = (domain.to_owned(), operator.to_owned());
    let node =
        ModelNode { name: "node".to_owned(), domain, operator, outputs: names(1), ..ModelNode::default() };
    Single { opset: 28, node, inputs: Vec::new(), constants: Vec::new() }
}

fn names(count: usize) -> Vec<String> {
    (0..count).map(|index| format!("y{index}")).collect()
}

pub fn floats(shape: &[u64], values: &[f32]) -> Tensor {
    let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    Tensor::new(DType::F32, shape.to_vec(), bytes).expect("a tensor")
}

pub fn integers(shape: &[u64], values: &[i64]) -> Tensor {
    let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    Tensor::new(DType::I64, shape.to_vec(), bytes).expect("a tensor")
}

impl Single {
    pub fn opset(mut self, opset: i64) -> Self {
        self.opset = opset;
        self
    }

    pub fn input(mut self, tensor: Tensor) -> Self {
        self.node.inputs.push(format!("x{}", self.inputs.len()));
        self.inputs.push(tensor);
        self
    }

    pub fn constant(mut self, tensor: Tensor) -> Self {
        let name = format!("c{}", self.constants.len());
        self.node.inputs.push(name.clone());
        self.constants.push(Initializer { name, tensor });
        self
    }

    pub fn omitted(mut self) -> Self {
        self.node.inputs.push(String::new());
        self
    }

    pub fn with(mut self, name: &str, value: Attribute) -> Self {
        self.node.attributes.insert(name.to_owned(), value);
        self
    }

    pub fn int(self, name: &str, value: i64) -> Self {
        self.with(name, Attribute::Int(value))
    }

    pub fn float(self, name: &str, value: f32) -> Self {
        self.with(name, Attribute::Float(value))
    }

    pub fn string(self, name: &str, value: &str) -> Self {
        self.with(name, Attribute::String(value.to_owned()))
    }

    pub fn outputs(mut self, count: usize) -> Self {
        self.node.outputs = names(count);
        self
    }

    /// The outputs.
    pub fn run(&self) -> Result<Vec<Tensor>, String> {
        let inputs = self.inputs.iter().enumerate().map(|(index, tensor)| Value {
            name: format!("x{index}"),
            dtype: Some(tensor.dtype()),
            shape: Some(tensor.dims().iter().map(|&size| Dimension::Fixed(size)).collect()),
            other: None,
        });
        let outputs = self.node.outputs.iter().map(|name| Value { name: name.clone(), ..Value::default() });
        let graph = ModelGraph {
            name: "single".to_owned(),
            nodes: vec![self.node.clone()],
            initializers: self.constants.clone(),
            inputs: inputs.collect(),
            outputs: outputs.collect(),
            ..ModelGraph::default()
        };
        let model = Model { opset: self.opset, graph, ..Model::default() };
        let imported =
            compiler::import_model(model, &Options::default()).map_err(|error| error.to_string())?;
        imported.graph.verify().map_err(|error| error.to_string())?;
        let inputs: Vec<&[u8]> = self.inputs.iter().map(Tensor::bytes).collect();
        let found = reference::execute(&imported.graph, &inputs).map_err(|error| error.to_string())?;
        let tensors = found.into_iter().zip(&imported.graph.outputs).map(|(bytes, &id)| {
            let ty = &imported.graph.tensor(id).ty;
            Tensor::new(ty.dtype, ty.shape.clone(), bytes).expect("a tensor")
        });
        Ok(tensors.collect())
    }

    /// The first output as floats, and its shape.
    #[track_caller]
    pub fn floats(&self) -> (Vec<u64>, Vec<f32>) {
        let tensor = self.run().unwrap_or_else(|error| panic!("{:?}: {error}", self.node)).swap_remove(0);
        (tensor.dims().to_vec(), as_floats(&tensor))
    }

    /// Why it is refused.
    #[track_caller]
    pub fn error(&self) -> String {
        self.run().err().unwrap_or_else(|| panic!("{:?} is accepted", self.node))
    }
}

#[track_caller]
pub fn as_floats(tensor: &Tensor) -> Vec<f32> {
    assert_eq!(tensor.dtype(), DType::F32);
    tensor.bytes().as_chunks().0.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect()
}

/// A sum in 16 lanes, by halving.
pub fn lane_sum(values: impl IntoIterator<Item = f32>) -> f32 {
    let mut lanes = [0f32; 16];
    for (i, value) in values.into_iter().enumerate() {
        lanes[i % 16] += value;
    }
    for half in [8, 4, 2, 1] {
        for i in 0..half {
            lanes[i] += lanes[i + half];
        }
    }
    lanes[0]
}
