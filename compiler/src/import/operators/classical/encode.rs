//! Encoders of categories: tables of keys and values.
//!
//! The machine has no strings. A tensor of strings is one of their numbers in a list ([`Import::texts`]), which
//! comes from a constant, from the classes of a classifier or from another encoder, so what becomes of each string
//! is known at compile time.
//!
//! [`Import::texts`]: crate::import::Import

use std::collections::{BTreeMap, HashSet};
use std::rc::Rc;

use bytes::Bytes;
use dnn_lib::operator as op;
use dnn_lib::tensor::{DType, TensorType};
use graph::TensorId;
use onnx::Attribute;

use super::{Outputs, floats, transform};
use crate::error::{NodeError, Warning};
use crate::import::call::{Call, value_error};

/// Keys or values.
enum Column {
    Integers(Vec<i64>),
    Floats(Vec<f64>, DType),
    Texts(Vec<String>),
}

impl Column {
    fn len(&self) -> usize {
        match self {
            Self::Integers(values) => values.len(),
            Self::Floats(values, _) => values.len(),
            Self::Texts(values) => values.len(),
        }
    }

    /// That of the attributes that begin with a word.
    fn of(call: &Call<'_>, word: &str) -> Result<Option<Self>, NodeError> {
        let tensor = format!("{word}_tensor");
        match call.node.attributes.get(&tensor) {
            Some(Attribute::Tensor(found)) if matches!(found.dtype(), DType::F32 | DType::F64) => {
                let dtype = found.dtype();
                return Ok(call.tensor_numbers(&tensor)?.map(|values| Self::Floats(values, dtype)));
            }
            Some(Attribute::Strings(texts)) => return Ok(Some(Self::Texts(texts.clone()))),
            Some(_) => {
                let integers = |values: Vec<f64>| values.into_iter().map(|value| value as i64).collect();
                return Ok(call.tensor_numbers(&tensor)?.map(|values| Self::Integers(integers(values))));
            }
            None => {}
        }
        if let Some(texts) = call.strings(&format!("{word}_strings"))? {
            return Ok(Some(Self::Texts(texts)));
        }
        if let Some(values) = call.ints(&format!("{word}_int64s"))? {
            return Ok(Some(Self::Integers(values)));
        }
        Ok(floats(call, &format!("{word}_floats"))?.map(|values| Self::Floats(values, DType::F32)))
    }
}

/// Values by keys. The first of equal keys counts.
struct Mapping {
    keys: Column,
    values: Column,
    /// What there is for other keys: an element like the values.
    default: Column,
}

impl Mapping {
    /// The values, and the default behind them, as a tensor; texts are their numbers.
    fn table(&self, call: &mut Call<'_>, order: &[Option<usize>]) -> (TensorId, Option<Rc<[String]>>) {
        let size = [order.len() as u64];
        match (&self.values, &self.default) {
            (Column::Integers(values), Column::Integers(default)) => {
                let values: Vec<i64> =
                    order.iter().map(|&at| at.map_or(default[0], |at| values[at])).collect();
                (call.constant_list("values", &values), None)
            }
            (Column::Floats(values, dtype), Column::Floats(default, _)) => {
                let values: Vec<f64> =
                    order.iter().map(|&at| at.map_or(default[0], |at| values[at])).collect();
                (transform::constant(call, "values", &values, &size, *dtype), None)
            }
            (values, default) => {
                let (texts, default) = (texts_of(values), texts_of(default));
                let numbers: Vec<i64> = order.iter().map(|&at| at.unwrap_or(texts.len()) as i64).collect();
                (call.constant_list("values", &numbers), Some([texts, default].concat().into()))
            }
        }
    }

    fn apply(self, call: &mut Call<'_>) -> Outputs {
        if self.keys.len() != self.values.len() || self.default.len() != 1 {
            let found = format!("{} values", self.values.len());
            return Err(value_error("values", &found, &format!("{}, one for each key", self.keys.len())));
        }
        let x = call.input(0)?;
        let known = call.import.texts.get(&x).cloned();
        let (number, order) = match (&self.keys, known) {
            (Column::Texts(keys), Some(texts)) => {
                let mut places = BTreeMap::new();
                keys.iter().enumerate().for_each(|(at, key)| _ = places.entry(key).or_insert(at));
                (x, texts.iter().map(|text| places.get(text).copied()).collect())
            }
            (Column::Texts(_), None) => return Err(not_text(call)),
            (_, Some(_)) => return Err(value_error("keys", &"numbers", "strings, as input 0 is")),
            (keys, None) => {
                (place(call, x, keys)?, std::iter::once(None).chain((0..keys.len()).map(Some)).collect())
            }
        };
        let order: Vec<Option<usize>> = order;
        let (table, texts) = self.table(call, &order);
        let outputs = call.apply_to(op::Gather { axis: 0 }, &[table, number])?;
        call.import.texts.extend(texts.map(|texts| (outputs[0], texts)));
        Ok(outputs)
    }
}

fn texts_of(column: &Column) -> Vec<String> {
    match column {
        Column::Texts(texts) => texts.clone(),
        Column::Integers(values) => values.iter().map(i64::to_string).collect(),
        Column::Floats(values, _) => values.iter().map(f64::to_string).collect(),
    }
}

fn not_text(call: &Call<'_>) -> NodeError {
    call.input_error(
        0,
        "no tensor of strings that are known at compile time",
        "the classes of a classifier, constants, and what encoders make of them; or replace the strings by their \
         numbers before the model",
    )
}

/// Where each element is among keys, counted from 1; 0 if it is none of them.
fn place(call: &mut Call<'_>, x: TensorId, keys: &Column) -> Result<TensorId, NodeError> {
    let dtype = call.ty(x).dtype;
    let (mut seen, mut nan) = (HashSet::new(), None);
    let mut bytes = Vec::new();
    let mut numbers = Vec::new();
    for at in 0..keys.len() {
        let (key, is_nan) = match keys {
            Column::Floats(values, _) => (transform::float_bytes(dtype, values[at]), values[at].is_nan()),
            Column::Integers(values) => (values[at].to_le_bytes()[..dtype.size() as usize].to_vec(), false),
            Column::Texts(_) => return Err(not_text(call)),
        };
        if is_nan {
            nan.get_or_insert(at as i64 + 1);
        } else if seen.insert(key.clone()) {
            bytes.extend(key);
            numbers.push(at as i64 + 1);
        }
    }
    let fits = match keys {
        Column::Floats(..) => matches!(dtype, DType::F32 | DType::F64),
        _ => matches!(dtype, DType::I8 | DType::I16 | DType::I32 | DType::I64 | DType::Bool),
    };
    if !fits {
        return Err(NodeError::ElementType {
            index: 0,
            tensor: call.tensor(x).name.clone(),
            found: onnx::element_name(dtype),
            expected: "the type of the keys".to_owned(),
        });
    }
    let size = [numbers.len() as u64];
    let mut number = if numbers.is_empty() {
        let shape = call.ty(x).shape.clone();
        let none = call.import.integers("none", &[], &[0]);
        call.step("places", op::Expand { shape }, &[none])?
    } else {
        let keys = call.constant("keys", TensorType::new(dtype, size), bytes.into());
        let apart = call.step("apart", op::Unsqueeze { axes: vec![-1] }, &[x])?;
        let same = call.step("same", op::Equal, &[apart, keys])?;
        let numbers = call.constant_list("numbers", &numbers);
        let none = call.import.integers("none", &[], &[0]);
        let places = call.step("candidates", op::Where, &[same, numbers, none])?;
        call.step("places", op::ReduceMax { axes: Some(vec![-1]), keep_dims: false }, &[places])?
    };
    if let Some(nan) = nan {
        let missing = call.step("missing", op::IsNaN, &[x])?;
        let nan = call.import.integers("nan", &[], &[nan]);
        number = call.step("places_of_all", op::Where, &[missing, nan, number])?;
    }
    Ok(number)
}

/// Defaults by the type of the values.
fn default(call: &Call<'_>, values: &Column) -> Result<Column, NodeError> {
    Ok(match (values, call.node.attributes.contains_key("default_tensor")) {
        (_, true) => Column::of(call, "default")?.unwrap_or(Column::Integers(Vec::new())),
        (Column::Integers(_), _) => Column::Integers(vec![call.int("default_int64")?.unwrap_or(-1)]),
        (Column::Floats(_, dtype), _) => {
            Column::Floats(vec![call.float("default_float")?.unwrap_or(-0.0).into()], *dtype)
        }
        (Column::Texts(_), _) => {
            Column::Texts(vec![call.string("default_string")?.unwrap_or_else(|| "_Unused".to_owned())])
        }
    })
}

pub(super) fn label_encoder(call: &mut Call<'_>) -> Outputs {
    if let Some(classes) = call.strings("classes_strings")? {
        return between(call, classes, |count| (0..count as i64).collect());
    }
    let keys = Column::of(call, "keys")?.ok_or(NodeError::MissingAttribute { attribute: "keys_tensor" })?;
    let values =
        Column::of(call, "values")?.ok_or(NodeError::MissingAttribute { attribute: "values_tensor" })?;
    let default = default(call, &values)?;
    Mapping { keys, values, default }.apply(call)
}

pub(super) fn category_mapper(call: &mut Call<'_>) -> Outputs {
    let texts = call.strings("cats_strings")?.unwrap_or_default();
    let numbers = call.ints("cats_int64s")?.unwrap_or_default();
    if texts.len() != numbers.len() {
        let supported = format!("{}, one for each string", texts.len());
        return Err(value_error("cats_int64s", &format!("{} values", numbers.len()), &supported));
    }
    between(call, texts, |_| numbers)
}

/// From strings to numbers, or back, as the input says.
fn between(call: &mut Call<'_>, texts: Vec<String>, numbers: impl FnOnce(usize) -> Vec<i64>) -> Outputs {
    let (numbers, texts) = (Column::Integers(numbers(texts.len())), Column::Texts(texts));
    let x = call.input(0)?;
    let (keys, values) = if call.import.texts.contains_key(&x) { (texts, numbers) } else { (numbers, texts) };
    let default = default(call, &values)?;
    Mapping { keys, values, default }.apply(call)
}

/// A column for each category, along a new last axis.
pub(super) fn one_hot(call: &mut Call<'_>) -> Outputs {
    // Other categories have no column, where onnxruntime would stop if it is told so.
    call.flag("zeros", true)?;
    let mut x = call.input(0)?;
    let categories = match call.strings("cats_strings")?.filter(|texts| !texts.is_empty()) {
        Some(categories) => {
            let known = call.import.texts.get(&x).cloned().ok_or_else(|| not_text(call))?;
            let place = |text| categories.iter().position(|category| category == text);
            let places: Vec<i64> =
                known.iter().map(|text| place(text).map_or(-1, |place| place as i64)).collect();
            let places = call.constant_list("places", &places);
            x = call.step("categories", op::Gather { axis: 0 }, &[places, x])?;
            (0..categories.len() as i64).collect()
        }
        None => call.ints("cats_int64s")?.unwrap_or_default(),
    };
    if categories.is_empty() {
        return Err(NodeError::MissingAttribute { attribute: "cats_int64s" });
    }
    if call.ty(x).dtype != DType::I64 {
        x = call.step("integers", op::Cast { to: DType::I64 }, &[x])?;
    }
    let categories = call.constant_list("columns", &categories);
    let apart = call.step("apart", op::Unsqueeze { axes: vec![-1] }, &[x])?;
    let same = call.step("same", op::Equal, &[apart, categories])?;
    call.apply_to(op::Cast { to: DType::F32 }, &[same])
}

/// A list of maps from classes to scores: the scores, one column for each class.
pub(super) fn zip_map(call: &mut Call<'_>) -> Outputs {
    let texts = call.strings("classlabels_strings")?.filter(|texts| !texts.is_empty());
    let classes = match texts {
        Some(texts) => texts,
        None => call.ints("classlabels_int64s")?.unwrap_or_default().iter().map(i64::to_string).collect(),
    };
    let outputs = call.apply(op::Identity)?;
    let output = call.node.outputs.first().cloned().unwrap_or_default();
    call.import.warnings.push(Warning::Columns { output, classes: super::shortened(&classes) });
    Ok(outputs)
}

/// The numbers that strings stand for, or the strings as they are.
pub(super) fn cast(call: &mut Call<'_>, texts: &[String]) -> Outputs {
    let x = call.input(0)?;
    let code = call.int("to")?.unwrap_or(0);
    let to = match onnx::element_type(code) {
        Err(found) if found == "string" => return call.apply(op::Identity),
        Err(found) => return Err(value_error("to", &found, onnx::ELEMENT_TYPES)),
        Ok(to) => to,
    };
    let number = |text: &String| {
        text.trim()
            .parse::<f64>()
            .map_err(|_| value_error("to", &onnx::element_name(to), &format!("string for `{text}`")))
    };
    let numbers: Vec<f64> = texts.iter().map(number).collect::<Result<_, _>>()?;
    let table: Bytes = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
    let table = call.constant("numbers", TensorType::new(DType::F64, [texts.len() as u64]), table);
    let table = call.step("typed", op::Cast { to }, &[table])?;
    call.apply_to(op::Gather { axis: 0 }, &[table, x])
}
