//! Pictures are well-formed, bounded, the same for the same input, and consistent with the numbers.

use crate::common::{Folder, fixture, program};
use roxmltree::{Document, Node};

/// The text of a picture.
fn svg(folder: &Folder, file: &str) -> String {
    String::from_utf8(folder.read(file)).expect("text")
}

/// All labels and hover texts of a picture, one a line. Panics if it isn't plain SVG without scripts.
fn words(svg: &str) -> String {
    let document = Document::parse(svg).unwrap_or_else(|error| panic!("{error}: {svg}"));
    let allowed = ["svg", "g", "rect", "text", "title", "polygon", "polyline"];
    let elements = || document.descendants().filter(Node::is_element);
    for node in elements() {
        assert!(allowed.contains(&node.tag_name().name()), "{node:?}");
        assert!(node.attributes().all(|attribute| !attribute.value().contains("NaN")), "{node:?}");
    }
    let texts = elements().filter(|node| node.has_tag_name("text") || node.has_tag_name("title"));
    texts.filter_map(|node| node.text()).collect::<Vec<_>>().join("\n")
}

/// The horizontal extent of the rectangles, for checks that nothing is drawn outside the picture.
fn assert_inside(svg: &str) {
    let document = Document::parse(svg).expect("XML");
    let number = |node: &Node<'_, '_>, name: &str| {
        node.attribute(name).map_or(0.0, |text| text.parse::<f64>().expect(text))
    };
    let root = document.root_element();
    let (width, height) = (number(&root, "width"), number(&root, "height"));
    for node in document.descendants().filter(|node| node.has_tag_name("rect")) {
        let (right, bottom) =
            (number(&node, "x") + number(&node, "width"), number(&node, "y") + number(&node, "height"));
        assert!(number(&node, "width") >= 0.0 && number(&node, "height") > 0.0, "{node:?}");
        assert!(
            number(&node, "x") >= 0.0 && right <= width + 0.1 && bottom <= height + 0.1,
            "{node:?} is outside"
        );
    }
}

#[test]
fn the_flame_graph_goes_in_the_order_of_execution() {
    let folder = Folder::with_net("mnist-cnn");
    let args = ["profile", "net.opml", "--input", &fixture("digits/7.npy"), "--flame", "flame.svg"];
    let profile = folder.json(&args);
    let svg = svg(&folder, "flame.svg");
    assert_inside(&svg);
    let words = words(&svg);
    let places: Vec<_> = ["conv1+relu1", "pool1", "conv2+relu2", "pool2"]
        .map(|node| words.find(&format!("› {node}\n")).unwrap_or_else(|| panic!("{node} is not in {words}")))
        .to_vec();
    assert!(places.is_sorted(), "{places:?}");
    // The legend has the totals of the table.
    for row in profile["operators"].as_array().expect("rows") {
        let digits = row["steps"].as_u64().expect("a number").to_string();
        let plain: String = words.chars().filter(|letter| *letter != ',').collect();
        assert!(plain.contains(&digits), "{row} is not in {words}");
    }
}

#[test]
fn inspect_draws_nodes_and_memory() {
    let folder = Folder::with_net("mnist-cnn");
    let object = folder.json(&["inspect", "net.opml", "--svg", "map.svg"]);
    assert_eq!(object["svg"], "map.svg");
    let svg = svg(&folder, "map.svg");
    assert_inside(&svg);
    let words = words(&svg);
    for step in object["schedule"].as_array().expect("rows") {
        let (node, bound) =
            (step["node"].as_str().expect("a name"), step["bound"].as_u64().expect("a number"));
        assert!(words.contains(node), "{node} is not in {words}");
        let plain: String = words.chars().filter(|letter| *letter != ',').collect();
        assert!(plain.contains(&bound.to_string()), "{bound} is not in {words}");
    }
    for word in [
        "input image",
        "weights",
        "activations",
        "stack and scratch",
        "6 nodes",
        "probabilities: f32 [1, 10]",
    ] {
        assert!(words.contains(word), "{word} is not in {words}");
    }
    // The network is a chain, so no line skips a node.
    assert!(!svg.contains("<polygon"), "{svg}");
    folder.text(&["inspect", "net.opml", "--svg", "again.svg"]);
    assert_eq!(folder.read("again.svg"), svg.into_bytes());
    folder.fails(&["inspect", "net.opml", "--svg", "nowhere/map.svg"]).says(&["nowhere/map.svg"]);
}

#[test]
fn inspect_draws_programs() {
    let folder = Folder::new();
    folder.text(&["image", "from-elf", &fixture("programs/crc32.elf"), "-o", "crc.opml"]);
    folder.text(&["inspect", "crc.opml", "--svg", "crc.svg"]);
    let crc = svg(&folder, "crc.svg");
    assert_inside(&crc);
    assert!(words(&crc).contains("main") && words(&crc).contains("stack"), "{crc}");
    // A program without symbols has that of the start code only.
    folder.write("exit.elf", program(&[0x05d0_0893, 0x0000_0073]));
    folder.text(&["image", "from-elf", "exit.elf", "-o", "exit.opml"]);
    folder.text(&["inspect", "exit.opml", "--svg", "exit.svg"]);
    assert!(words(&svg(&folder, "exit.svg")).contains("_opml_start"));
}

/// An image whose schedule is `big_steps`. Each is a separate node that reads the one before it and the one
/// ten before it.
fn chain(names: impl Fn(usize) -> (String, String), big_steps: usize) -> image::Image {
    let tensor = |index: usize| image::Tensor {
        name: names(index).1,
        role: image::Role::Activation,
        dtype: tensor::DType::F32,
        shape: vec![1],
        address: 4 * index as u64,
        bytes: 4,
    };
    let step = |index: usize| image::BigStep {
        kernel: 0,
        operator: names(index).0,
        node: names(index).1,
        output: index as u32,
        lo: 0,
        hi: 1,
        arguments: [1, 10]
            .iter()
            .filter_map(|back| index.checked_sub(*back))
            .chain([index])
            .map(|i| 4 * i as u64)
            .collect(),
        entry: 0x8_0000,
        bound: 1 + index as u64 % 97,
    };
    image::Image::new(image::Contents {
        profile: step::MachineProfile::new(isa::Extensions::IM, 20, 0x8_0000, 32).expect("a machine"),
        entry: 0x8_0000,
        sp: 0,
        code: vec![0; 32].into(),
        segments: Vec::new(),
        tensors: (0..big_steps).map(tensor).collect(),
        symbols: vec![image::Symbol { name: names(0).0, address: 0x8_0000, size: 32 }],
        schedule: (0..big_steps).map(step).collect(),
        period: None,
        interface: None,
        sections: Vec::new(),
    })
    .expect("an image")
}

#[test]
fn large_graphs_make_bounded_pictures() {
    let folder = Folder::new();
    let plain = |index: usize| (format!("Op{}", index % 7), format!("node_{index}"));
    for (big_steps, rows) in [(300, 300), (20_000, 330)] {
        chain(plain, big_steps).write(&folder.path("net.opml")).expect("written");
        folder.text(&["inspect", "net.opml", "--svg", "net.svg"]);
        let svg = svg(&folder, "net.svg");
        assert_inside(&svg);
        assert!(svg.len() < 800_000, "{big_steps} big steps make {} bytes", svg.len());
        let document = Document::parse(&svg).expect("XML");
        let height: f64 =
            document.root_element().attribute("height").expect("a height").parse().expect("a number");
        assert!(height < f64::from(rows) * 26.0 + 900.0, "{big_steps} big steps: {height} pixels");
        let total: u64 = (0..big_steps as u64).map(|index| 1 + index % 97).sum();
        let plain: String = words(&svg).chars().filter(|letter| *letter != ',').collect();
        assert!(
            plain.contains(&format!("{big_steps} nodes")) && plain.contains(&total.to_string()),
            "{plain}"
        );
    }
}

#[test]
fn hostile_names_stay_text() {
    let hostile = "</title><script>alert('x')</script>\"&\u{1}\u{202e}]]>";
    let folder = Folder::new();
    let names = |index: usize| (format!("{hostile}{index}"), format!("{hostile} node {index}"));
    chain(names, 12).write(&folder.path("net.opml")).expect("written");
    folder.text(&["inspect", "net.opml", "--svg", "net.svg"]);
    assert!(words(&svg(&folder, "net.svg")).contains("<script>"), "the name is shown as it is");
    folder.json(&["profile", "net.opml", "--max-steps", "5", "--flame", "flame.svg"]);
    words(&svg(&folder, "flame.svg"));
}
