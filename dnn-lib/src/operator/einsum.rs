//! Sums of products, by a formula.

use crate::definition::{Affine, Builder, Over, Source};
use crate::operator::error::{check_attribute, check_shape, numbers, same_dtype};
use crate::operator::{Meaning, Problem, Semantics};
use crate::scalar::{Ops, Type};
use crate::tensor::TensorType;

/// The sum of the products of elements whose indices a formula names, as `ij,jk->ik`.
///
/// There is one accumulator, which starts at +0. It goes through the summed indices in the order of their
/// letters in the formula, the first one outermost. The elements are multiplied from left to right; the last
/// product and the sum are one fused multiply-add, of floats.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Einsum {
    /// The formula. Three dots stand for dimensions that are broadcast.
    pub equation: String,
}

/// A formula for some shapes. Labels are letters, or numbers of dimensions that dots stand for.
struct Formula {
    /// The labels of the dimensions of each input.
    inputs: Vec<Vec<Label>>,
    output: Vec<Label>,
    summed: Vec<Label>,
    sizes: Vec<(Label, u64)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Label {
    /// A dimension that dots stand for, counted from the last one.
    Dots(usize),
    Letter(char),
}

/// The labels of a term; `dots` is the number of dimensions that dots stand for.
fn labels(term: &str, dots: usize) -> Option<Vec<Label>> {
    let mut labels = Vec::new();
    let mut rest = term;
    let mut dotted = false;
    while let Some(first) = rest.chars().next() {
        if rest.starts_with("...") && !dotted {
            dotted = true;
            labels.extend((0..dots).rev().map(Label::Dots));
            rest = &rest[3..];
        } else if first.is_ascii_alphabetic() {
            labels.push(Label::Letter(first));
            rest = &rest[1..];
        } else {
            return None;
        }
    }
    Some(labels)
}

impl Formula {
    fn new(equation: &str, inputs: &[TensorType]) -> Result<Self, Problem> {
        let wrong = |expected: &str| Problem::Attribute {
            name: "equation",
            found: format!("{equation:?}"),
            expected: expected.to_owned(),
        };
        let spelled: String = equation.chars().filter(|c| !c.is_whitespace()).collect();
        let (left, right) = match spelled.split_once("->") {
            Some((left, right)) => (left, Some(right)),
            None => (&*spelled, None),
        };
        let terms: Vec<&str> = left.split(',').collect();
        check_attribute("equation", equation, terms.len() == inputs.len(), || {
            format!("there are {} inputs", inputs.len())
        })?;
        let mut formula =
            Self { inputs: Vec::new(), output: Vec::new(), summed: Vec::new(), sizes: Vec::new() };
        let spelling = || wrong("must consist of letters, and three dots at most once in a term");
        let mut most_dots = 0;
        for (input, (term, ty)) in terms.iter().zip(inputs).enumerate() {
            let letters = term.chars().filter(char::is_ascii_alphabetic).count();
            let rank = ty.shape.len();
            let dots = if term.contains('.') { rank.checked_sub(letters) } else { Some(0) };
            let own = dots.map(|dots| labels(term, dots).ok_or_else(spelling)).transpose()?;
            let own = own.filter(|own| own.len() == rank);
            check_shape(inputs, input, own.is_some(), || format!("must have the dimensions of `{term}`"))?;
            most_dots = most_dots.max(dots.unwrap_or(0));
            let own = own.unwrap_or_default();
            for (&label, &size) in own.iter().zip(&ty.shape) {
                formula.size(label, size).ok_or(()).or_else(|()| {
                    check_shape(inputs, input, false, || format!("of `{term}` has another size elsewhere"))
                })?;
            }
            formula.inputs.push(own);
        }
        let mut all: Vec<Label> = formula.inputs.concat();
        let mut known = Vec::new();
        all.retain(|label| {
            !known.contains(label) && {
                known.push(*label);
                true
            }
        });
        formula.output = match right {
            Some(right) => labels(right, most_dots).ok_or_else(spelling)?,
            None => {
                // What dots stand for, then the letters that there are once, in alphabetical order.
                let count =
                    |label: &Label| formula.inputs.iter().flatten().filter(|own| *own == label).count();
                let dots = (0..most_dots).rev().map(Label::Dots);
                let mut letters: Vec<Label> = all.iter().copied().filter(|label| count(label) == 1).collect();
                letters.retain(|label| matches!(label, Label::Letter(_)));
                letters.sort_unstable();
                dots.chain(letters).collect()
            }
        };
        let unique = (1..formula.output.len()).all(|i| !formula.output[..i].contains(&formula.output[i]));
        if !unique || !formula.output.iter().all(|label| all.contains(label)) {
            return Err(wrong("the output must name dimensions of inputs, each once"));
        }
        formula.summed = all.into_iter().filter(|label| !formula.output.contains(label)).collect();
        Ok(formula)
    }

    /// Adds the size of a dimension. `None` if another one is known; 1 is broadcast.
    fn size(&mut self, label: Label, size: u64) -> Option<()> {
        match self.sizes.iter_mut().find(|(own, _)| *own == label) {
            None => self.sizes.push((label, size)),
            Some((_, known)) if *known == 1 => *known = size,
            Some((_, known)) if *known == size || size == 1 => {}
            Some(_) => return None,
        }
        Some(())
    }

    fn size_of(&self, label: Label) -> u64 {
        self.sizes.iter().find(|(own, _)| *own == label).map_or(1, |&(_, size)| size)
    }
}

impl Semantics for Einsum {
    fn infer(&self, inputs: &[TensorType]) -> Result<TensorType, Problem> {
        let dtype = same_dtype(inputs, &numbers())?;
        let formula = Formula::new(&self.equation, inputs)?;
        let shape: Vec<u64> = formula.output.iter().map(|&label| formula.size_of(label)).collect();
        Ok(TensorType::new(dtype, shape))
    }

    fn define(&self, inputs: &[TensorType], output: &TensorType) -> Result<Meaning, Problem> {
        let formula = Formula::new(&self.equation, inputs)?;
        let mut b = Builder::new("einsum", inputs, output);
        let ty = Type::of(output.dtype);
        let over: Vec<Over> = formula.summed.iter().map(|&label| Over::all(formula.size_of(label))).collect();
        let zero = b.number(ty, 0);
        let sum = b.fold(over, &[zero], |b, k, sum| {
            let own = b.indices();
            let index = |label: &Label| -> Affine {
                let place = |list: &[Label], indices: &[Affine]| {
                    let place = list.iter().position(|own| own == label)?;
                    indices.get(place).cloned()
                };
                place(&formula.output, &own).or_else(|| place(&formula.summed, k)).unwrap_or_default()
            };
            let mut factors = Vec::new();
            for (input, labels) in formula.inputs.iter().enumerate() {
                let sizes = labels.iter().zip(&inputs[input].shape);
                let at: Vec<Affine> = sizes
                    .map(|(label, &size)| if size == 1 { Affine::from(0) } else { index(label) })
                    .collect();
                factors.push(b.load(Source::Input(input as u32), at));
            }
            let last = factors.pop().unwrap_or(zero);
            let Some(product) = factors.into_iter().reduce(|product, factor| b.mul(product, factor)) else {
                return vec![b.add(sum[0], last)];
            };
            vec![if ty.is_float() {
                b.fma(product, last, sum[0])
            } else {
                let product = b.mul(product, last);
                b.add(sum[0], product)
            }]
        });
        Ok(b.finish(sum[0])?.into())
    }
}
