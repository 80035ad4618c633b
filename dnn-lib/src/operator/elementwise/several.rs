//! Operators of any number of tensors.

use super::{Elementwise, Formula};
use crate::operator::Problem;
use crate::operator::error::{FLOATS, numbers, same_dtype};
use crate::scalar::{Ops, Value};
use crate::tensor::{DType, TensorType};

macro_rules! several {
    ($(
        $(#[doc = $doc:literal])+
        $name:ident of $dtypes:expr; |$e:ident, $x:ident, $y:ident| $step:expr $(, |$count:ident| $end:expr)?;
    )+) => {$(
        $(#[doc = $doc])+
        #[derive(Clone, Copy, Debug, PartialEq)]
        pub struct $name;

        impl Elementwise for $name {
            const NAME: &'static str = stringify!($name);

            fn dtype(&self, inputs: &[TensorType]) -> Result<DType, Problem> {
                same_dtype(inputs, &$dtypes)
            }

            /// The step of the result so far and the next element, from the first one on, and then the end.
            fn formula(&self, $e: &mut Formula) -> Value {
                let mut $x = $e.element(0);
                for input in 1..$e.dtypes.len() {
                    let $y = $e.element(input);
                    $x = $step;
                }
                $(
                    let $count = $e.dtypes.len() as f64;
                    $x = $end;
                )?
                $x
            }
        }
    )+};
}

several! {
    /// The largest number; a NaN if one of them is.
    Max of numbers(); |e, x, y| e.larger(x, y);
    /// The sum, from the first to the last, divided by the number of tensors.
    Mean of FLOATS; |e, x, y| e.add(x, y), |count| {
        let count = e.literal(count);
        e.div(x, count)
    };
    /// The smallest number; a NaN if one of them is.
    Min of numbers(); |e, x, y| e.smaller(x, y);
    /// The sum, from the first to the last.
    Sum of FLOATS; |e, x, y| e.add(x, y);
}

/// The first input, or the limit that it exceeds. The limits that there are, the lower one first, are the
/// other inputs. If they contradict each other, the upper one wins. A NaN stays a NaN.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Clip {
    /// Whether there is a lower limit.
    pub min: bool,
    /// Whether there is an upper limit.
    pub max: bool,
}

impl Elementwise for Clip {
    const NAME: &'static str = "Clip";

    fn dtype(&self, inputs: &[TensorType]) -> Result<DType, Problem> {
        let limits = usize::from(self.min) + usize::from(self.max);
        if inputs.len() != 1 + limits {
            return Err(Problem::Inputs { found: inputs.len(), expected: 1 + limits..=1 + limits });
        }
        same_dtype(inputs, &numbers())
    }

    fn formula(&self, e: &mut Formula) -> Value {
        let mut y = e.element(0);
        if self.min {
            let least = e.element(1);
            y = e.larger(y, least);
        }
        if self.max {
            let most = e.element(1 + usize::from(self.min));
            y = e.smaller(y, most);
        }
        y
    }
}
