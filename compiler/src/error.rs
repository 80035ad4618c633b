//! Why a model cannot be compiled: what, where, and what would be right.

use dnn_lib::kernel::EvalError;
use dnn_lib::operator::OperatorError;
use thiserror::Error;

/// Why a model cannot be compiled.
#[derive(Debug, Error)]
pub enum CompileError {
    /// The file is no sound ONNX.
    #[error(transparent)]
    Read(#[from] onnx::Error),
    /// The model as a whole.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// One node of it.
    #[error("node `{node}` ({operator}): {problem}")]
    Node {
        /// The node's name, or its number in the file.
        node: String,
        /// Its operator.
        operator: String,
        /// What is wrong.
        #[source]
        problem: Box<NodeError>,
    },
    /// An operator that was accepted and then cannot be computed: a fault of its kernel.
    #[error(transparent)]
    Operator(#[from] OperatorError),
    /// A kernel without code.
    #[error(transparent)]
    Codegen(#[from] codegen::CodegenError),
    /// The program is no image: a fault of the compiler.
    #[error(transparent)]
    Image(#[from] image::ImageError),
    /// The pieces do not make a program.
    #[error(transparent)]
    Link(#[from] LinkError),
}

/// What can be wrong with a graph apart from its nodes.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ModelError {
    /// A version of the operator set that is not known.
    #[error("opset {found} is not supported; supported: 1 to {newest}")]
    Opset {
        /// What the model says.
        found: i64,
        /// The newest known.
        newest: i64,
    },
    /// A graph that computes nothing.
    #[error("the graph has no outputs")]
    NoOutputs,
    /// A tensor that is defined twice.
    #[error("tensor `{name}` is defined twice: as {first} and as {second}")]
    Duplicate {
        /// The tensor.
        name: String,
        /// One definition.
        first: String,
        /// The other.
        second: String,
    },
    /// A tensor that nothing defines.
    #[error("tensor `{name}`, used by {user}, is not defined by any input, initializer or node")]
    Undefined {
        /// The tensor.
        name: String,
        /// Who wants it.
        user: String,
    },
    /// Nodes that wait for each other.
    #[error("the graph has a cycle through {}", nodes.join(", "))]
    Cycle {
        /// The nodes.
        nodes: Vec<String>,
    },
    /// An input without an element type.
    #[error("input `{name}` has no element type; the model must declare one")]
    InputWithoutType {
        /// The input.
        name: String,
    },
    /// An element type that cannot be computed with.
    #[error("tensor `{name}` has element type {found}; supported: float, double, bool, (u)int8 to (u)int64")]
    ElementType {
        /// The tensor.
        name: String,
        /// ONNX's name of the type.
        found: &'static str,
    },
    /// An input whose shape the model leaves open.
    #[error("input `{name}` has {shape}, which is not fixed; add --shape {name}={suggestion}")]
    DynamicShape {
        /// The input.
        name: String,
        /// What the model declares: `shape [batch, 784]`.
        shape: String,
        /// A shape that would do.
        suggestion: String,
    },
    /// A shape given for something that is no input.
    #[error("--shape {name}: the model has no such input; inputs: {}", inputs.join(", "))]
    ShapeOfUnknownInput {
        /// The name given.
        name: String,
        /// The inputs.
        inputs: Vec<String>,
    },
    /// A shape given that contradicts the model, or another shape given.
    #[error("--shape {name}={given} contradicts the declared shape {declared}")]
    ShapeContradicted {
        /// The input.
        name: String,
        /// The shape given.
        given: String,
        /// The shape declared, names replaced by what other inputs say.
        declared: String,
    },
    /// A declared output that is not what is computed.
    #[error("output `{name}` is declared {declared}, but computed as {computed}")]
    OutputContradicted {
        /// The output.
        name: String,
        /// What the model declares.
        declared: String,
        /// What its nodes compute.
        computed: String,
    },
    /// More memory than there is.
    #[error("{what} needs {bytes} bytes; the limit is {limit}")]
    TooLarge {
        /// A tensor, or all of them.
        what: String,
        /// Its size.
        bytes: u128,
        /// The most that is supported.
        limit: u64,
    },
}

/// What can be wrong with a node.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum NodeError {
    /// An operator that is not in the table.
    #[error("the operator is not supported; supported: {supported}")]
    Operator {
        /// Those that are, or the nearest one.
        supported: String,
    },
    /// An operator of another domain.
    #[error("operators of domain `{domain}` are not supported; supported: those of ONNX itself")]
    Domain {
        /// The domain.
        domain: String,
    },
    /// An old form of an operator.
    #[error("its form of opset {found} is not supported; supported: opset {since} and newer")]
    Opset {
        /// The model's opset.
        found: i64,
        /// The oldest supported.
        since: i64,
    },
    /// An attribute that the operator does not have.
    #[error("attribute `{attribute}` is unknown; known: {known}")]
    UnknownAttribute {
        /// The attribute.
        attribute: String,
        /// Those that the operator has.
        known: String,
    },
    /// An attribute that must be there.
    #[error("attribute `{attribute}` is missing")]
    MissingAttribute {
        /// The attribute.
        attribute: &'static str,
    },
    /// An attribute of another kind.
    #[error("attribute `{attribute}` is of kind {found}; expected {expected}")]
    AttributeKind {
        /// The attribute.
        attribute: String,
        /// The kind found.
        found: &'static str,
        /// The kind that the operator wants.
        expected: &'static str,
    },
    /// An attribute's value that is not supported.
    #[error("attribute `{attribute}` is {found}; supported: {supported}")]
    AttributeValue {
        /// The attribute.
        attribute: String,
        /// The value found.
        found: String,
        /// What would be accepted.
        supported: String,
    },
    /// Too few or too many inputs.
    #[error("has {found} inputs; expected {expected}")]
    InputCount {
        /// How many there are.
        found: usize,
        /// How many there may be.
        expected: String,
    },
    /// An input that must not be left out.
    #[error("input {index} is left out, but required")]
    MissingInput {
        /// Which.
        index: usize,
    },
    /// An output that is not computed.
    #[error("output {index} (`{name}`) is wanted, but only output 0 is supported")]
    Output {
        /// Which.
        index: usize,
        /// Its name.
        name: String,
    },
    /// An input that must be known at compile time.
    #[error("input {index} (`{tensor}`) must be a constant: {why}")]
    NotConstant {
        /// Which.
        index: usize,
        /// The tensor.
        tensor: String,
        /// Why.
        why: &'static str,
    },
    /// An input of the wrong element type.
    #[error("input {index} (`{tensor}`) is {found}; expected {expected}")]
    ElementType {
        /// Which.
        index: usize,
        /// The tensor.
        tensor: String,
        /// Its type, as ONNX calls it.
        found: &'static str,
        /// What the operator takes.
        expected: String,
    },
    /// An input whose value is not supported.
    #[error("input {index} (`{tensor}`) is {found}; supported: {supported}")]
    InputValue {
        /// Which.
        index: usize,
        /// The tensor.
        tensor: String,
        /// Its value.
        found: String,
        /// What would be accepted.
        supported: &'static str,
    },
    /// The operator refuses its inputs or attributes.
    #[error("{}", .0.problem)]
    Operands(OperatorError),
    /// A result that is too large.
    #[error("the output {ty} needs {bytes} bytes; the limit is {limit}")]
    TooLarge {
        /// The type of the output.
        ty: String,
        /// Its size.
        bytes: u64,
        /// The limit.
        limit: u64,
    },
    /// Its value could not be worked out at compile time: a fault of a kernel.
    #[error("constant folding: {0}")]
    Fold(#[from] EvalError),
    /// A kernel has more outputs than its operator.
    #[error("the operator has {found} kernels; expected 1")]
    Kernels {
        /// How many there are.
        found: usize,
    },
}

/// What can be wrong with the program made of the kernels.
#[derive(Debug, Error)]
pub enum LinkError {
    /// A kernel that needs more stack than there is.
    #[error("kernel {kernel} needs {found} bytes of stack; the limit is {limit}")]
    Stack {
        /// The kernel.
        kernel: String,
        /// Bytes that it uses.
        found: u64,
        /// Bytes that there are.
        limit: u64,
    },
    /// A kernel with a loop of which nobody can say how often it runs.
    #[error("kernel {kernel} has no upper bound of steps: a loop in it depends on data")]
    Unbounded {
        /// The kernel.
        kernel: String,
    },
    /// Too many big steps.
    #[error("a budget of {budget} steps makes more than {limit} big steps; a larger one is needed")]
    Steps {
        /// The budget.
        budget: u64,
        /// How many big steps there may be.
        limit: usize,
    },
    /// Something that does not fit into an instruction.
    #[error("{what} cannot be encoded")]
    Encoding {
        /// What.
        what: String,
    },
    /// The ELF file could not be written.
    #[error("cannot write the ELF file: {0}")]
    Elf(#[from] object::write::Error),
    /// The file just written is refused by the loader: a fault of the linker.
    #[error("the program that was linked is not accepted: {0}")]
    Load(#[from] image::elf::ElfError),
    /// A big step whose kernel or output is not in the image: a fault of the linker.
    #[error("node `{node}`: its kernel or its output is not in the image")]
    Lost {
        /// The node.
        node: String,
    },
}
