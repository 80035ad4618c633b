//! A look at a file before it is decoded: how many fields it has.
//!
//! An empty message takes two bytes in the file and hundreds once decoded, so that a small file could ask for a lot of
//! memory. What a real model holds a lot of are bytes, not fields.

/// The most fields of a file. Models of many thousand nodes have a tenth of it.
const MAX_FIELDS: u64 = 1 << 22;

/// How deep messages may lie in each other; the decoder itself goes no deeper.
const MAX_DEPTH: u32 = 100;

/// The messages whose fields can be messages again; the others are leaves.
#[derive(Clone, Copy)]
pub(crate) enum Message {
    Model,
    Graph,
    Node,
    Attribute,
    Tensor,
    Sparse,
    Value,
    Type,
    TensorType,
    Shape,
    Function,
    Training,
    Leaf,
}

impl Message {
    /// The message that a field with this number holds, as onnx.proto numbers them.
    fn field(self, number: u64) -> Self {
        use Message::*;
        match (self, number) {
            (Model, 7) | (Attribute, 6 | 11) | (Training, 1 | 2) => Graph,
            (Model, 20) => Training,
            (Model, 25) => Function,
            (Graph, 1) | (Function, 7) => Node,
            (Graph, 5) | (Attribute, 5 | 10) | (Sparse, 1 | 2) => Tensor,
            (Graph, 15) | (Attribute, 22 | 23) => Sparse,
            (Graph, 11..=13) | (Function, 12) => Value,
            (Node, 5) | (Function, 11) => Attribute,
            (Value, 2) | (Attribute, 14 | 15) => Type,
            (Type, 1 | 8) => TensorType,
            (TensorType, 2) => Shape,
            _ => Leaf,
        }
    }
}

/// Whether the message has few enough fields to be decoded. Of bytes that are no message, the decoder says what is wrong.
pub(crate) fn fits(bytes: &[u8], message: Message) -> bool {
    let mut left = MAX_FIELDS;
    count(bytes, message, MAX_DEPTH, &mut left);
    left > 0
}

/// Takes one from the budget for every field, until it is used up or the bytes make no sense.
fn count(mut bytes: &[u8], message: Message, depth: u32, left: &mut u64) -> Option<()> {
    while !bytes.is_empty() && *left > 0 {
        *left -= 1;
        let key = varint(&mut bytes)?;
        let skip = match key & 7 {
            0 => {
                varint(&mut bytes)?;
                0
            }
            1 => 8,
            2 => varint(&mut bytes)?,
            5 => 4,
            _ => return None,
        };
        let (field, rest) = bytes.split_at_checked(usize::try_from(skip).ok()?)?;
        bytes = rest;
        let inner = message.field(key >> 3);
        if key & 7 == 2 && depth > 0 && !matches!(inner, Message::Leaf) {
            count(field, inner, depth - 1, left)?;
        }
    }
    Some(())
}

/// Protobuf's numbers: seven bits a byte, the lowest first.
fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A graph of this many empty nodes, each with this many empty attributes.
    fn model(nodes: usize, attributes: usize) -> Vec<u8> {
        let field = |number: u8, body: Vec<u8>| {
            let mut bytes = vec![number << 3 | 2];
            let mut length = body.len();
            while length >= 0x80 {
                bytes.push(length as u8 | 0x80);
                length >>= 7;
            }
            bytes.push(length as u8);
            bytes.extend(body);
            bytes
        };
        let node = field(1, field(5, vec![]).repeat(attributes));
        field(7, node.repeat(nodes))
    }

    #[test]
    fn a_small_file_of_very_many_empty_messages_is_not_decoded() {
        assert!(fits(&model(1000, 10), Message::Model));
        assert!(!fits(&model(1 << 22, 0), Message::Model));
        assert!(!fits(&model(1, 1 << 22), Message::Model));
    }

    #[test]
    fn bytes_that_are_no_message_are_left_to_the_decoder() {
        for bytes in [&[0xff; 20][..], &[0x3a, 0x7f], &[0x3a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f]] {
            assert!(fits(bytes, Message::Model));
        }
    }
}
