//! Pictures as SVG text: shapes with hover texts, labels that are cut to fit, and colours derived from names.
//!
//! Every name in a picture comes from a model or a program, so it may be hostile. All text passes through
//! [`escape`].

pub mod flame;
mod graph;
pub mod map;
mod memory;
pub mod narrowing;

use crate::output::is_printable;
use std::fmt::Write;

/// The width of every picture, in pixels.
pub const WIDTH: f64 = 1200.0;
/// The empty margin of a picture.
pub const MARGIN: f64 = 20.0;
/// The ordinary font size.
pub const SIZE: f64 = 12.0;
/// The maximum length of a text in characters. Names have no limit of their own.
const LONGEST: usize = 400;

/// Black, for text.
pub const INK: &str = "#1f2328";
/// Grey, for secondary text.
pub const PALE: &str = "#6b7280";
/// Light grey, for lines and empty space.
pub const FAINT: &str = "#e5e7eb";

/// A rectangle.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Area {
    /// The left edge.
    pub x: f64,
    /// The upper edge.
    pub y: f64,
    /// Its width.
    pub width: f64,
    /// Its height.
    pub height: f64,
}

/// Which end of a text is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Anchor {
    /// The left end.
    Start,
    /// The right end.
    End,
}

/// A picture that is being drawn, from back to front.
#[derive(Debug, Default)]
pub struct Picture {
    body: String,
}

impl Picture {
    /// A filled rectangle.
    pub fn rect(&mut self, area: Area, fill: &str) {
        let Area { x, y, width, height } = area;
        let _ = writeln!(
            self.body,
            "<rect x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" fill=\"{fill}\"/>",
            number(x),
            number(y),
            number(width),
            number(height)
        );
    }

    /// A filled rectangle with a hover text, and with a label if there is room.
    pub fn label(&mut self, area: Area, fill: &str, label: &str, title: &str) {
        let _ = writeln!(self.body, "<g><title>{}</title>", escape(title));
        self.rect(area, fill);
        let middle = area.y + area.height / 2.0 + SIZE * 0.36;
        self.text(area.x + 4.0, middle, INK, Anchor::Start, &fit(label, area.width - 8.0, SIZE));
        let _ = writeln!(self.body, "</g>");
    }

    /// Text on one line, of the ordinary size; `y` is its baseline.
    pub fn text(&mut self, x: f64, y: f64, fill: &str, anchor: Anchor, text: &str) {
        self.sized(x, y, SIZE, fill, anchor, text);
    }

    /// Text of another size.
    pub fn sized(&mut self, x: f64, y: f64, size: f64, fill: &str, anchor: Anchor, text: &str) {
        if text.is_empty() {
            return;
        }
        let (x, y, text) = (number(x), number(y), escape(text));
        let _ = write!(self.body, "<text x=\"{x}\" y=\"{y}\" fill=\"{fill}\"");
        if size != SIZE {
            let _ = write!(self.body, " font-size=\"{}\"", number(size));
        }
        let _ = match anchor {
            Anchor::Start => writeln!(self.body, ">{text}</text>"),
            Anchor::End => writeln!(self.body, " text-anchor=\"end\">{text}</text>"),
        };
    }

    /// The title of the picture, with an explanation below it.
    pub fn heading(&mut self, title: &str, below: &str) {
        let width = WIDTH - 2.0 * MARGIN;
        self.sized(MARGIN, 34.0, 18.0, INK, Anchor::Start, &fit(title, width, 18.0));
        self.text(MARGIN, 54.0, PALE, Anchor::Start, &fit(below, width, SIZE));
    }

    /// A filled shape with these corners.
    pub fn polygon(&mut self, corners: &[(f64, f64)], fill: &str) {
        let corners: Vec<_> = corners.iter().map(|&(x, y)| format!("{},{}", number(x), number(y))).collect();
        let _ = writeln!(self.body, "<polygon points=\"{}\" fill=\"{fill}\"/>", corners.join(" "));
    }

    /// Straight lines through these points.
    pub fn line(&mut self, points: &[(f64, f64)], stroke: &str) {
        let points: Vec<_> = points.iter().map(|&(x, y)| format!("{},{}", number(x), number(y))).collect();
        let points = points.join(" ");
        let _ = writeln!(self.body, "<polyline points=\"{points}\" fill=\"none\" stroke=\"{stroke}\"/>");
    }

    /// The SVG file of a picture with this height.
    pub fn finish(self, height: f64) -> Vec<u8> {
        let (width, height) = (number(WIDTH), number(height));
        let head = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>";
        let size = format!("width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\"");
        let font = format!("font-family=\"Helvetica, Arial, sans-serif\" font-size=\"{SIZE}\"");
        let paper = format!("<rect width=\"{width}\" height=\"{height}\" fill=\"#ffffff\"/>");
        let body = self.body;
        format!("{head}\n<svg xmlns=\"http://www.w3.org/2000/svg\" {size} {font}>\n{paper}\n{body}</svg>\n")
            .into_bytes()
    }
}

/// Text for XML. Markup is escaped. Characters that XML does not allow are replaced, and so are those that
/// would reorder the surrounding text. Very long text is cut.
pub fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for (index, letter) in text.chars().enumerate() {
        if index == LONGEST {
            escaped.push('…');
            break;
        }
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            '\u{fffe}' | '\u{ffff}' => escaped.push('\u{fffd}'),
            letter if !is_printable(letter) => escaped.push('\u{fffd}'),
            letter => escaped.push(letter),
        }
    }
    escaped
}

/// The approximate width of a text. Fonts differ; this assumes a wide one.
pub fn text_width(text: &str, size: f64) -> f64 {
    let letter = |letter: char| match letter {
        'i' | 'j' | 'l' | 'I' | '|' | '\'' => 0.3,
        ' ' | '.' | ',' | ':' | ';' | '!' | '(' | ')' | '[' | ']' | '/' | 't' | 'f' | 'r' | '-' => 0.4,
        'm' | 'w' | 'M' | 'W' | '@' | '%' | '…' => 1.0,
        'A'..='Z' | '&' | '=' | '+' | '<' | '>' | '#' => 0.78,
        '\u{1100}'.. => 1.1,
        _ => 0.64,
    };
    text.chars().map(letter).sum::<f64>() * size
}

/// As much of a text as fits into a width, with "…" where it is cut. Empty if too little would be left.
pub fn fit(text: &str, width: f64, size: f64) -> String {
    if text_width(text, size) <= width {
        return text.to_owned();
    }
    let mut rest = width - text_width("…", size);
    let letters = text.chars().take_while(|&letter| {
        rest -= text_width(letter.encode_utf8(&mut [0; 4]), size);
        rest >= 0.0
    });
    let cut: String = letters.collect();
    let cut = cut.trim_end();
    if cut.chars().count() < 2 { String::new() } else { format!("{cut}…") }
}

/// The colour of a name, the same in every picture. A lightness from 60 to 90 keeps black text readable.
pub fn colour(name: &str, lightness: u8) -> String {
    // FNV-1a. With this seed, the common operators get hues that are far apart.
    const SEED: u64 = 558;
    let hash = name.bytes().fold(SEED, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3));
    let hue = (hash ^ hash >> 32) % 36 * 10;
    format!("hsl({hue},58%,{lightness}%)")
}

/// A number with at most two decimals.
fn number(number: f64) -> String {
    let text = format!("{number:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOSTILE: [&str; 6] = [
        "</text></svg><script>alert(1)</script>",
        "\" onload=\"alert(1)",
        "]]>&amp;<!--",
        "\0\u{1}\u{b}\u{1b}[31m\u{7f}\u{ffff}\u{202e}",
        "&#x0;&lt;",
        "<?xml?><!DOCTYPE svg [<!ENTITY a 'b'>]>",
    ];

    #[test]
    fn hostile_names_are_text() {
        for name in HOSTILE {
            let mut picture = Picture::default();
            picture.heading(name, name);
            picture.label(Area { x: 0.0, y: 0.0, width: 1e6, height: 10.0 }, "#fff", name, name);
            picture.text(0.0, 0.0, INK, Anchor::End, name);
            let text = String::from_utf8(picture.finish(100.0)).expect("text");
            let document =
                roxmltree::Document::parse(&text).unwrap_or_else(|error| panic!("{name:?}: {error}: {text}"));
            let allowed = ["svg", "g", "rect", "text", "title"];
            for node in document.descendants().filter(roxmltree::Node::is_element) {
                assert!(allowed.contains(&node.tag_name().name()), "{name:?} makes {node:?}");
                assert!(node.attributes().all(|attribute| !attribute.name().starts_with("on")), "{node:?}");
            }
            let readable = |text: &str| text.chars().filter(char::is_ascii_graphic).collect::<String>();
            let title = document.descendants().find(|node| node.has_tag_name("title")).expect("a title");
            assert_eq!(readable(title.text().expect("text")), readable(name));
        }
    }

    #[test]
    fn texts_are_cut_to_fit() {
        assert_eq!(fit("Conv", 100.0, 12.0), "Conv");
        for width in 0..120 {
            for text in [
                "a label that is too long",
                "WWWWWWWWWWWW",
                "一二三四五六七",
                "iiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiii",
            ] {
                let cut = fit(text, width.into(), 12.0);
                assert!(text_width(&cut, 12.0) <= width.into(), "{cut:?} is wider than {width}");
                assert!(cut.is_empty() || cut == text || cut.chars().count() > 2, "{cut:?} says nothing");
            }
        }
        assert_eq!(escape(&"x".repeat(10_000)).chars().count(), LONGEST + 1);
    }

    #[test]
    fn colours_are_stable_and_differ() {
        assert_eq!(colour("Conv", 70), "hsl(50,58%,70%)");
        let names = [
            "Conv",
            "Gemm",
            "MatMul",
            "Relu",
            "Add",
            "Mul",
            "Softmax",
            "MaxPool",
            "LayerNormalization",
            "Gelu",
        ];
        let colours: std::collections::HashSet<_> = names.iter().map(|name| colour(name, 70)).collect();
        assert_eq!(colours.len(), names.len());
    }

    #[test]
    fn numbers_are_short() {
        assert_eq!([number(1.0), number(0.333), number(120.5)], ["1", "0.33", "120.5"]);
    }
}
