//! Indices that are affine in the axes.

use std::fmt;
use std::ops::{Add, Mul, Neg, Sub};

use serde::{Deserialize, Serialize};

use crate::scalar::Value;

/// An axis of a definition: an index into [`Definition::axes`](super::Definition::axes).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Axis(pub(crate) u32);

impl Axis {
    /// Its number.
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// A constant and a sum of multiples of axes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Affine {
    /// The factors, none of them 0, by ascending axis.
    pub terms: Vec<(Axis, i64)>,
    /// The constant.
    pub constant: i64,
}

impl Affine {
    /// The factor of an axis.
    pub fn factor(&self, axis: Axis) -> i64 {
        self.terms.iter().find(|(other, _)| *other == axis).map_or(0, |&(_, factor)| factor)
    }

    /// The axes that it depends on.
    pub fn axes(&self) -> impl Iterator<Item = Axis> {
        self.terms.iter().map(|&(axis, _)| axis)
    }

    /// Its value, given the indices of all axes. Wraps; [`check`](super::Definition::check) rules that out.
    pub fn at(&self, indices: &[i64]) -> i64 {
        let term = |&(axis, factor): &(Axis, i64)| factor.wrapping_mul(indices[axis.index()]);
        self.terms.iter().map(term).fold(self.constant, i64::wrapping_add)
    }

    /// The affine index in which axes are replaced by others.
    pub fn replace(&self, mut by: impl FnMut(Axis) -> Affine) -> Self {
        let constant = Self { terms: Vec::new(), constant: self.constant };
        self.terms.iter().fold(constant, |sum, &(axis, factor)| sum + by(axis) * factor)
    }
}

impl From<Axis> for Affine {
    fn from(axis: Axis) -> Self {
        Self { terms: vec![(axis, 1)], constant: 0 }
    }
}

impl From<i64> for Affine {
    fn from(constant: i64) -> Self {
        Self { terms: Vec::new(), constant }
    }
}

impl<T: Into<Affine>> Add<T> for Affine {
    type Output = Self;

    fn add(mut self, other: T) -> Self {
        let other = other.into();
        for (axis, factor) in other.terms {
            match self.terms.binary_search_by_key(&axis, |&(axis, _)| axis) {
                Ok(place) => self.terms[place].1 = self.terms[place].1.wrapping_add(factor),
                Err(place) => self.terms.insert(place, (axis, factor)),
            }
        }
        self.terms.retain(|&(_, factor)| factor != 0);
        Self { constant: self.constant.wrapping_add(other.constant), ..self }
    }
}

impl<T: Into<Affine>> Sub<T> for Affine {
    type Output = Self;

    fn sub(self, other: T) -> Self {
        self + -other.into()
    }
}

impl Neg for Affine {
    type Output = Self;

    fn neg(self) -> Self {
        self * -1
    }
}

impl Mul<i64> for Affine {
    type Output = Self;

    fn mul(mut self, factor: i64) -> Self {
        self.terms.iter_mut().for_each(|(_, own)| *own = own.wrapping_mul(factor));
        self.terms.retain(|&(_, factor)| factor != 0);
        Self { constant: self.constant.wrapping_mul(factor), ..self }
    }
}

/// A coordinate of a load.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Coordinate {
    /// An affine index.
    Affine(Affine),
    /// An `I64` that was computed.
    Value(Value),
}

impl<T: Into<Affine>> From<T> for Coordinate {
    fn from(affine: T) -> Self {
        Self::Affine(affine.into())
    }
}

impl From<Value> for Coordinate {
    fn from(value: Value) -> Self {
        Self::Value(value)
    }
}

impl fmt::Display for Axis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "i{}", self.0)
    }
}

impl fmt::Display for Affine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut first = true;
        for &(axis, factor) in &self.terms {
            let sign = if factor < 0 { "-" } else { "+" };
            match (first, factor < 0) {
                (true, true) => f.write_str("-")?,
                (true, false) => {}
                (false, _) => write!(f, " {sign} ")?,
            }
            if factor.unsigned_abs() != 1 {
                write!(f, "{}*", factor.unsigned_abs())?;
            }
            write!(f, "{axis}")?;
            first = false;
        }
        match (first, self.constant) {
            (true, constant) => write!(f, "{constant}"),
            (false, 0) => Ok(()),
            (false, constant) if constant < 0 => write!(f, " - {}", constant.unsigned_abs()),
            (false, constant) => write!(f, " + {constant}"),
        }
    }
}

impl fmt::Display for Coordinate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Affine(affine) => affine.fmt(f),
            Self::Value(value) => value.fmt(f),
        }
    }
}
