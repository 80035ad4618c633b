//! Why a model cannot be compiled: what is wrong, where, and what would be right.

mod import;

use dnn_lib::operator::OperatorError;
use graph::BuildError;
use thiserror::Error;

pub use import::{ImportErrors, ImportProblem};

/// Why a model cannot be compiled.
#[derive(Debug, Error)]
pub enum CompileError {
    /// The file could not be read, or is not an ONNX model.
    #[error(transparent)]
    Read(#[from] onnx::Error),
    /// The model has errors, or needs something that is not supported.
    #[error(transparent)]
    Import(#[from] ImportErrors),
    /// The model does not fit into memory.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The graph makes no sense. Those that are imported do.
    #[error(transparent)]
    Graph(Box<graph::GraphError>),
    /// A region is repeated too often.
    #[error(transparent)]
    Unroll(#[from] graph::passes::unroll::UnrollError),
    /// The graph was accepted but cannot be computed, which is an error in a definition.
    #[error(transparent)]
    Lower(#[from] graph::lower::LowerError),
    /// The image can't be written, or the program is not a valid one, which is an error in the compiler.
    #[error(transparent)]
    Image(#[from] image::ImageError),
    /// A definition has no kernel, which is an error in the scheduler.
    #[error(transparent)]
    Kernel(#[from] dnn_lib::kernel::BuildError),
    /// The kernels could not be turned into code, or linked to a program.
    #[error(transparent)]
    Link(#[from] codegen::LinkError),
    /// There is no schedule.
    #[error(transparent)]
    Schedule(#[from] ScheduleError),
    /// The program can't be written, which is an error in the compiler.
    #[error(transparent)]
    Program(#[from] dnn_lib::program::ProgramError),
}

impl From<graph::GraphError> for CompileError {
    fn from(error: graph::GraphError) -> Self {
        Self::Graph(Box::new(error))
    }
}

/// A warning about a model that was accepted.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Warning {
    /// Something is odd about the file.
    #[error("{note}")]
    File {
        /// What.
        note: String,
    },
    /// An input that nobody reads has no fixed type.
    #[error("input `{name}` is {found}; nothing reads it, so the program is made without it")]
    UnusedInput {
        /// The input.
        name: String,
        /// What it is.
        found: String,
    },
    /// The declared shape of an output is wrong.
    #[error(
        "output `{name}` is declared {declared}, but its nodes compute {computed}; the declared shape is ignored"
    )]
    OutputShape {
        /// The output.
        name: String,
        /// The shape that the model declares.
        declared: String,
        /// The shape that its nodes compute.
        computed: String,
    },
    /// An input is declared with a dimension of 0.
    #[error(
        "input `{name}` is declared {declared} and has no elements; if its 0 stands for an open dimension, add --shape \
         {name}={suggestion}"
    )]
    EmptyInput {
        /// The input.
        name: String,
        /// The shape that the model declares.
        declared: String,
        /// A shape that would work.
        suggestion: String,
    },
    /// There are too many inputs or outputs for a dispute, or none.
    #[error(
        "the model has {count} {what}: it can be run but not registered or disputed, for which a model has 1 \
         to {most}",
        most = image::MOST_REGIONS
    )]
    Undisputable {
        /// Inputs or outputs.
        what: &'static str,
        /// Their number.
        count: usize,
    },
    /// A big step can take more steps than the budget.
    #[error(
        "node `{node}` ({operator}) has units that take up to {bound} steps and can't be cut: its big steps exceed the \
         budget of {budget}"
    )]
    Budget {
        /// The node.
        node: String,
        /// Its operator.
        operator: String,
        /// The bound of its largest big step.
        bound: u64,
        /// The budget.
        budget: u64,
    },
    /// An output is as large as its data say.
    #[error(
        "output `{name}` has as many elements along axis {axis} as its data say; its shape {most} is the largest one, \
         and output `{size}` is the true one, to which `opml run` cuts it"
    )]
    Bounded {
        /// The output.
        name: String,
        /// Its shape in the program.
        most: String,
        /// The axis.
        axis: usize,
        /// The output with its true shape.
        size: String,
    },
    /// A loop may end before its condition ends it.
    #[error(
        "loop `{node}` ends when it ran as often as --loop-bound says; output `{output}` is true if it would have gone \
         on, and `opml run` fails then"
    )]
    Cut {
        /// The loop's node.
        node: String,
        /// The output.
        output: String,
    },
    /// A list of maps is the tensor of their values.
    #[error("output `{output}` is a tensor instead of a list of maps; its columns are {classes}")]
    Columns {
        /// The output.
        output: String,
        /// The columns.
        classes: String,
    },
    /// An output is the numbers of strings.
    #[error("output `{output}` has the number of each string instead of the string: {texts}")]
    Texts {
        /// The output.
        output: String,
        /// The strings.
        texts: String,
    },
    /// An output has no elements.
    #[error("output `{name}` has shape {shape} and no elements: the model computes nothing for it")]
    EmptyOutput {
        /// The output.
        name: String,
        /// Its shape.
        shape: String,
    },
}

/// An error in a graph outside its nodes.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ModelError {
    /// The version of the operator set is unknown.
    #[error("opset {found} is not supported; supported: 1 to {newest}")]
    Opset {
        /// The model's version.
        found: i64,
        /// The newest supported version.
        newest: i64,
    },
    /// The graph has no outputs.
    #[error("the graph has no outputs; declare at least one tensor as its output")]
    NoOutputs,
    /// A tensor is defined twice.
    #[error("tensor `{name}` is defined twice: as {first} and as {second}")]
    Duplicate {
        /// The tensor.
        name: String,
        /// One definition.
        first: String,
        /// The other.
        second: String,
    },
    /// A tensor is never defined.
    #[error("tensor `{name}`, used by {user}, is not defined by any input, initializer or node")]
    Undefined {
        /// The tensor.
        name: String,
        /// What uses it.
        user: String,
    },
    /// Nodes depend on each other.
    #[error("the graph has a cycle through {}; a node must not depend on its own output", nodes.join(", "))]
    Cycle {
        /// The nodes.
        nodes: Vec<String>,
    },
    /// An input has no element type.
    #[error("input `{name}` has no element type; the model must declare one")]
    InputWithoutType {
        /// The input.
        name: String,
    },
    /// The model leaves the shape of an input open.
    #[error(
        "input `{name}` has {shape}, which is not fixed; add {}--shape {name}={suggestion}",
        dims(symbols)
    )]
    DynamicShape {
        /// The input.
        name: String,
        /// What the model declares: `shape [batch, 784]`.
        shape: String,
        /// A shape that would work.
        suggestion: String,
        /// The names of its open dimensions.
        symbols: Vec<String>,
    },
    /// An input is something that there is no memory for.
    #[error("input `{name}` is {found}; {}", input_type(name, found))]
    InputType {
        /// The input.
        name: String,
        /// What it is.
        found: String,
    },
    /// A size was given for a dimension that no input has.
    #[error("--dim {name}: no input has an open dimension of that name; open dimensions: {}", list(names))]
    UnknownDim {
        /// The name given.
        name: String,
        /// Those of the model.
        names: Vec<String>,
    },
    /// A shape was given for something that is not an input.
    #[error("--shape {name}: the model has no such input; inputs: {}", inputs.join(", "))]
    ShapeOfUnknownInput {
        /// The name given.
        name: String,
        /// The inputs.
        inputs: Vec<String>,
    },
    /// A constant was given for something that is not an input.
    #[error("--constant {name}: the model has no such input; inputs: {}", inputs.join(", "))]
    ConstantOfUnknownInput {
        /// The name given.
        name: String,
        /// The inputs.
        inputs: Vec<String>,
    },
    /// A constant has another type than its input.
    #[error("--constant {name}: the tensor is {found}, but the model declares {declared}")]
    ConstantType {
        /// The input.
        name: String,
        /// The type of the constant.
        found: String,
        /// The type that the model declares.
        declared: String,
    },
    /// A given shape contradicts the model, or another given shape.
    #[error("--shape {name}={given} contradicts the declared shape {declared}")]
    ShapeContradicted {
        /// The input.
        name: String,
        /// The shape given.
        given: String,
        /// The declared shape, with names replaced by the sizes that other inputs give them.
        declared: String,
    },
    /// A state was declared for something that is no input or no output.
    #[error("--state {flag}: the model has no {what} `{name}`; {what}s: {}", names.join(", "))]
    UnknownState {
        /// What was given.
        flag: String,
        /// Input or output.
        what: &'static str,
        /// Its name.
        name: String,
        /// Those of the model.
        names: Vec<String>,
    },
    /// The old and the new value of a state have different types.
    #[error("--state {input}={output}: the input is {old}, the output {new}; a state keeps its type")]
    StateType {
        /// The input.
        input: String,
        /// The output.
        output: String,
        /// The type of the input.
        old: String,
        /// The type of the output.
        new: String,
    },
    /// States have another order among the inputs than among the outputs, or one is declared twice.
    #[error(
        "--state: each state is named once, and states have the same order among the inputs ({}) and the outputs \
         ({}); reorder the model's outputs",
        inputs.join(", "),
        outputs.join(", ")
    )]
    StateOrder {
        /// The model's inputs.
        inputs: Vec<String>,
        /// The model's outputs.
        outputs: Vec<String>,
    },
    /// A name is taken that the compiler gives.
    #[error(
        "`{name}` is the name of the true shape of output `{output}`, which is as large as its data say; rename the \
         model's tensor of this name"
    )]
    Reserved {
        /// The name.
        name: String,
        /// The output whose shape it is.
        output: String,
    },
    /// A state is as large as its data say.
    #[error(
        "--state {input}={output}: the output has as many elements as its data say, and a state keeps its size"
    )]
    BoundedState {
        /// The input.
        input: String,
        /// The output.
        output: String,
    },
    /// A loop that may be cut is repeated with the model.
    #[error(
        "--repeat: loop `{node}` ends when it ran as often as --loop-bound says, and no output could tell that of a \
         repetition before the last; run the model once at a time, with --state"
    )]
    RepeatedCut {
        /// The loop's node.
        node: String,
    },
    /// A model that is never run computes nothing.
    #[error("--repeat 0 computes nothing; the least is 1")]
    Repeat,
    /// An output's element type differs from the declared one.
    #[error(
        "output `{name}` is declared {declared}, but its nodes compute {computed}; correct its declaration"
    )]
    OutputType {
        /// The output.
        name: String,
        /// The type that the model declares, as ONNX calls it.
        declared: &'static str,
        /// The type that its nodes compute.
        computed: &'static str,
    },
    /// The model needs more memory than is allowed.
    #[error("{what} needs {bytes} bytes; the limit is {limit}")]
    TooLarge {
        /// A tensor, or all of them.
        what: String,
        /// Its size.
        bytes: u128,
        /// The maximum supported size.
        limit: u64,
    },
}

/// An error in a node.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum NodeError {
    /// The operator is not in the table.
    #[error("the operator is not supported{}{instead}", nearest(near))]
    Unsupported {
        /// Supported operators with similar names.
        near: Vec<&'static str>,
        /// What to do instead, if that is known.
        instead: &'static str,
    },
    /// Something inside of the node is wrong, and listed already.
    #[error("a node inside of it has a problem")]
    Inside,
    /// Graphs or functions are nested too deeply.
    #[error("there are more than {limit} graphs and functions inside of each other")]
    Nested {
        /// The limit.
        limit: usize,
    },
    /// A function calls itself.
    #[error("function `{function}` calls itself, which ONNX does not allow")]
    Recursive {
        /// The function.
        function: String,
    },
    /// Functions and loops that are written out have too many nodes.
    #[error(
        "functions and repetitions make more than {limit} nodes of the model; nothing real needs so many"
    )]
    Written {
        /// The limit.
        limit: usize,
    },
    /// The graph of an attribute has another number of something than it must have.
    #[error("`{attribute}` has {found} {what}; expected {expected}")]
    GraphCount {
        /// The attribute.
        attribute: &'static str,
        /// Of what.
        what: &'static str,
        /// Their number.
        found: usize,
        /// What it must be.
        expected: String,
    },
    /// The branches of an If give different types.
    #[error(
        "output {index} is {then} in then_branch and {otherwise} in else_branch; the condition (`{condition}`) isn't \
         known before the run, so both must have one type"
    )]
    Branches {
        /// The place of the output.
        index: usize,
        /// Its type in one branch.
        then: String,
        /// Its type in the other.
        otherwise: String,
        /// The condition.
        condition: String,
    },
    /// What is carried changes its type.
    #[error(
        "`{tensor}`, which goes from one repetition to the next, is {before} before one and {after} after it; its type \
         must stay, unless the loop is short and always runs to its end"
    )]
    Carried {
        /// The tensor.
        tensor: String,
        /// Its type before a repetition.
        before: String,
        /// Its type after it.
        after: String,
    },
    /// The number of rows of a result depends on data.
    #[error(
        "output {index} (`{name}`) collects a row of each repetition, but how often the loop runs depends on \
         `{condition}`, and every shape is fixed at compile time; a value for an input of the model can be given by \
         --constant INPUT=FILE.npy"
    )]
    Rows {
        /// The place of the output.
        index: usize,
        /// Its name.
        name: String,
        /// What decides whether the loop goes on.
        condition: String,
    },
    /// A loop has no known end.
    #[error(
        "how often it runs isn't known before the run, but decided by `{tensor}`; give the most with --loop-bound TIMES, \
         or the values that decide it with --constant INPUT=FILE.npy"
    )]
    Unbounded {
        /// The number of repetitions, or the condition.
        tensor: String,
    },
    /// An input is no tensor, where one must be, or the other way round.
    #[error("input {index} (`{tensor}`) is {found}; expected {expected}")]
    Kind {
        /// The index of the input.
        index: usize,
        /// Its name.
        tensor: String,
        /// What it is.
        found: &'static str,
        /// What it must be.
        expected: &'static str,
    },
    /// A loop runs too often.
    #[error("it runs {found} times; supported: up to {limit}")]
    Times {
        /// How often.
        found: i64,
        /// The limit.
        limit: u64,
    },
    /// The operator takes a map.
    #[error(
        "it takes a map, and the machine has tensors only; let the model begin with the features in a row"
    )]
    Map,
    /// The operator computes with the numbers of strings.
    #[error("input {index} (`{tensor}`) is a tensor of strings; operators that take one: {supported}")]
    Text {
        /// The index of the input.
        index: usize,
        /// The tensor.
        tensor: String,
        /// What takes strings.
        supported: String,
    },
    /// The operator's form is too old.
    #[error(
        "the form of opset {found} is not supported; supported: opset {since} and newer; convert the model, with \
         onnx.version_converter for example"
    )]
    Opset {
        /// The model's opset.
        found: i64,
        /// The oldest supported opset.
        since: i64,
    },
    /// The operator has no such attribute.
    #[error("attribute `{attribute}` is unknown; supported: {known}")]
    UnknownAttribute {
        /// The attribute.
        attribute: String,
        /// The operator's attributes.
        known: String,
    },
    /// A required attribute is missing.
    #[error("attribute `{attribute}` is missing")]
    MissingAttribute {
        /// The attribute.
        attribute: &'static str,
    },
    /// An attribute has the wrong kind.
    #[error("attribute `{attribute}` is of kind {found}; expected {expected}")]
    AttributeKind {
        /// The attribute.
        attribute: String,
        /// The kind found.
        found: &'static str,
        /// The kind that the operator requires.
        expected: &'static str,
    },
    /// An attribute's value is not supported.
    #[error("attribute `{attribute}` is {found}; supported: {supported}")]
    AttributeValue {
        /// The attribute.
        attribute: String,
        /// The value found.
        found: String,
        /// The supported values.
        supported: String,
    },
    /// It has too few or too many inputs.
    #[error("has {found} inputs; expected {expected}")]
    InputCount {
        /// The number of inputs.
        found: usize,
        /// The numbers that are accepted.
        expected: String,
    },
    /// A required input is omitted.
    #[error("input {index} is left out, but required")]
    MissingInput {
        /// The index of the input.
        index: usize,
    },
    /// An output is used that the operator has not, or that is not supported.
    #[error("output {index} (`{name}`) is used, but only {supported} supported")]
    Output {
        /// The index of the output.
        index: usize,
        /// Its name.
        name: String,
        /// Those that are: `output 0 is`.
        supported: String,
    },
    /// An input must be known at compile time.
    #[error(
        "input {index} (`{tensor}`) must be a constant: {why}; a value for an input of the model can be given by \
         --constant {tensor}=FILE.npy"
    )]
    NotConstant {
        /// The index of the input.
        index: usize,
        /// The tensor.
        tensor: String,
        /// The reason.
        why: &'static str,
    },
    /// An input is as large as its data say, and the operator can't take it.
    #[error(
        "input {index} (`{tensor}`) has as many elements along axis {axis} as its data say, at most {most}; the \
         operator combines elements along this axis, so what is behind them would count; supported: operators that \
         take each element along the axis by itself, such as Gather by these indices, Cast, Mul with a scalar, \
         Transpose or Shape"
    )]
    Bounded {
        /// The index of the input.
        index: usize,
        /// The tensor.
        tensor: String,
        /// The axis.
        axis: usize,
        /// The size of the axis.
        most: u64,
    },
    /// An input has the wrong element type.
    #[error("input {index} (`{tensor}`) is {found}; expected {expected}")]
    ElementType {
        /// The index of the input.
        index: usize,
        /// The tensor.
        tensor: String,
        /// Its type, as ONNX calls it.
        found: &'static str,
        /// The types that the operator accepts.
        expected: String,
    },
    /// An input has the wrong shape.
    #[error("input {index} (`{tensor}`) has shape {found}; expected {expected}")]
    InputShape {
        /// The index of the input.
        index: usize,
        /// The tensor.
        tensor: String,
        /// Its shape.
        found: String,
        /// What is accepted.
        expected: String,
    },
    /// The value of an input is not supported.
    #[error("input {index} (`{tensor}`) is {found}; supported: {supported}")]
    InputValue {
        /// The index of the input.
        index: usize,
        /// The tensor.
        tensor: String,
        /// Its value.
        found: String,
        /// The supported values.
        supported: String,
    },
    /// The operator refuses its inputs or attributes.
    #[error("{}", .0.problem)]
    Operands(OperatorError),
    /// The node can't be added to the graph.
    #[error(transparent)]
    Build(#[from] BuildError),
}

/// What may be done about an input that is no tensor, or one of other elements.
fn input_type(name: &str, found: &str) -> String {
    match found {
        onnx::Value::SEQUENCE => format!(
            "give the shape of each element: --shape {name}[0]=SIZE,... --shape {name}[1]=SIZE,... and so on, or \
             --shape {name}[]= if it is empty"
        ),
        onnx::Value::OPTIONAL => {
            format!("give its shape with --shape {name}=SIZE,..., or --shape {name}[]= if there is none")
        }
        onnx::Value::OPTIONAL_SEQUENCE => format!(
            "give the shape of each element: --shape {name}[0]=SIZE,... and so on, or --shape {name}[]= if there is none"
        ),
        _ => format!("supported: tensors of {}", onnx::ELEMENT_TYPES),
    }
}

/// The way to fix dimensions that have names.
fn dims(symbols: &[String]) -> String {
    let dims: Vec<String> = symbols.iter().map(|name| format!("--dim {name}=1")).collect();
    if dims.is_empty() { String::new() } else { format!("{} for all inputs, or ", dims.join(" ")) }
}

fn list(names: &[String]) -> String {
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

/// Supported operators with similar names.
pub(crate) fn nearest(near: &[&str]) -> String {
    if near.is_empty() { String::new() } else { format!("; did you mean {}?", near.join(" or ")) }
}

/// Why there is no schedule.
#[derive(Debug, Error)]
pub enum ScheduleError {
    /// There are too many big steps.
    #[error("a budget of {budget} steps makes more than {limit} big steps; choose a larger --budget")]
    Steps {
        /// The budget.
        budget: u64,
        /// The maximum number of big steps.
        limit: usize,
    },
    /// The kernel or output of a big step is not in the image, which is an error in the compiler.
    #[error("node `{node}`: its kernel or its output is not in the image")]
    Lost {
        /// The node.
        node: String,
    },
}
