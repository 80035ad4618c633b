//! Counts the fields of a file before it is decoded.
//!
//! An empty message takes two bytes in the file and hundreds once decoded, so a small file could demand a lot
//! of memory. A real model is large because of its tensors' bytes, not because of the number of its fields.

/// The maximum number of fields in a file. Models with many thousand nodes have a tenth of it.
const MAX_FIELDS: u64 = 1 << 22;

/// How many numbers of an attribute count as one field. They take four times their bytes in the file at most, and
/// trees have millions of them.
const NUMBERS: u64 = 16;

/// The maximum nesting depth of messages. The decoder has the same limit.
const MAX_DEPTH: u32 = 100;

/// The messages with fields that can be messages. All others, and those that are skipped, are leaves.
#[derive(Clone, Copy)]
pub(crate) enum Message {
    Model,
    Graph,
    Node,
    Attribute,
    Function,
    Tensor,
    Sparse,
    Value,
    Type,
    TensorType,
    Shape,
    /// The type of what is in a sequence or an optional value.
    Elements,
    /// The value of a sequence.
    Sequence,
    /// The value of something that may be missing.
    Optional,
    Leaf,
}

impl Message {
    /// The message in the field with this number, as `messages` declares it.
    fn field(self, number: u64) -> Self {
        use Message::*;
        match (self, number) {
            (Model, 7) | (Attribute, 6) => Graph,
            (Model, 25) => Function,
            (Graph, 1) | (Function, 7) => Node,
            (Graph, 5) | (Attribute, 5) | (Sparse, 1 | 2) => Tensor,
            (Graph, 15) | (Attribute, 22) => Sparse,
            (Function, 11) => Attribute,
            (Graph, 11 | 12) => Value,
            (Node, 5) => Attribute,
            (Value, 2) => Type,
            (Type, 1) => TensorType,
            (Type, 4 | 9) => Elements,
            (Elements, 1) => Type,
            (Sequence | Optional, 3) => Tensor,
            (Optional, 5) => Sequence,
            (TensorType, 2) => Shape,
            _ => Leaf,
        }
    }
}

/// Whether the message has few enough fields to be decoded. Bytes that are not a message are left to the
/// decoder, which reports what is wrong with them.
pub(crate) fn fits(bytes: &[u8], message: Message) -> bool {
    let mut left = MAX_FIELDS * NUMBERS;
    count(bytes, message, (MAX_DEPTH, 1), &mut left);
    left > 0
}

/// Takes from the budget for every field, until it is used up or the bytes are not a message. Those of a
/// graph inside of others take more, since they are looked at from each of these: the square of its level.
fn count(mut bytes: &[u8], message: Message, (depth, level): (u32, u64), left: &mut u64) -> Option<()> {
    while !bytes.is_empty() && *left > 0 {
        let key = varint(&mut bytes)?;
        let number = matches!(message, Message::Attribute) && matches!(key & 7, 0 | 1 | 5);
        *left = left.saturating_sub(level * level * if number { 1 } else { NUMBERS });
        let skip = match key & 7 {
            0 => {
                varint(&mut bytes)?;
                0
            }
            1 => 8,
            2 => varint(&mut bytes)?,
            5 => 4,
            // The ends of a group, which the decoder skips. The fields in it count as well.
            3 | 4 => 0,
            _ => return None,
        };
        let (field, rest) = bytes.split_at_checked(usize::try_from(skip).ok()?)?;
        bytes = rest;
        let inner = message.field(key >> 3);
        if key & 7 == 2 && depth > 0 && !matches!(inner, Message::Leaf) {
            let inside = matches!((message, inner), (Message::Attribute, Message::Graph));
            count(field, inner, (depth - 1, level + u64::from(inside)), left)?;
        }
    }
    Some(())
}

/// Protobuf's numbers: seven bits per byte, the lowest first.
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
    fn numbers_of_an_attribute_count_less() {
        let numbers = |count: usize| {
            let number = [8 << 3, 1].repeat(count);
            let length = |bytes: &[u8]| {
                (0..5)
                    .map(|at| (bytes.len() >> (7 * at)) as u8 & 0x7f | if at < 4 { 0x80 } else { 0 })
                    .collect::<Vec<_>>()
            };
            let field = |tag: u8, bytes: Vec<u8>| [vec![tag << 3 | 2], length(&bytes), bytes].concat();
            field(7, field(1, field(5, number)))
        };
        assert!(fits(&numbers(1 << 23), Message::Model));
        assert!(!fits(&numbers(1 << 26), Message::Model));
    }

    #[test]
    fn graphs_inside_of_graphs_may_have_fewer() {
        let field = |number: u8, body: &[u8]| {
            let length = body.len() as u32;
            let length = (0..5).map(|at| (length >> (7 * at)) as u8 & 0x7f | if at < 4 { 0x80 } else { 0 });
            [&[number << 3 | 2], &length.collect::<Vec<_>>()[..], body].concat()
        };
        let nested = |levels: usize| {
            let mut graph = field(1, &[]).repeat(1 << 18);
            (1..levels).for_each(|_| graph = field(1, &field(5, &field(6, &graph))));
            field(7, &graph)
        };
        assert!(fits(&nested(3), Message::Model));
        assert!(!fits(&nested(5), Message::Model));
    }

    #[test]
    fn a_group_does_not_end_the_count() {
        let group =
            [99 << 3 | 3, 99 << 3 | 4].map(|key: u16| [key as u8 & 0x7f | 0x80, (key >> 7) as u8]).concat();
        assert!(fits(&group, Message::Model));
        assert!(!fits(&[group, model(1 << 22, 0)].concat(), Message::Model));
    }

    #[test]
    fn bytes_that_are_not_a_message_are_left_to_the_decoder() {
        for bytes in
            [&[0xff; 20][..], &[0x3a, 0x7f], &[0x3a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f]]
        {
            assert!(fits(bytes, Message::Model));
        }
    }
}
