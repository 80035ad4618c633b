//! Image files: reading a written file gives the same image, and all damage is detected.

use image::{BigStep, Contents, Image, ImageError, Interface, Leaf, Region, Role, Segment, Symbol, Tensor};
use isa::Extensions;
use proptest::prelude::*;
use std::os::unix::fs::FileExt;
use step::MachineProfile;
use tensor::DType;

fn contents() -> Contents {
    let symbol = |name: &str, address, size| Symbol { name: name.to_owned(), address, size };
    let tensor = |name: &str, role, dtype, shape: &[u64], address| {
        let bytes = DType::bytes(dtype, shape.iter().product()).expect("it is small");
        Tensor { name: name.to_owned(), role, dtype, shape: shape.to_vec(), address, bytes }
    };
    Contents {
        profile: MachineProfile::new(Extensions::IMFD, 16, 0x8000, 64).expect("a machine"),
        entry: 0x8004,
        sp: 0x1_0000,
        code: (0..64).collect::<Vec<u8>>().into(),
        segments: vec![
            Segment { address: 0, bytes: vec![].into() },
            Segment { address: 0x1000, bytes: (1..=100).collect() },
            Segment { address: 0x9001, bytes: vec![5].into() },
        ],
        tensors: vec![
            tensor("weights", Role::Constant, DType::F32, &[5, 5], 0x1000),
            tensor("scalar", Role::Input, DType::Bool, &[], 0x2000),
            tensor("output", Role::Output, DType::I64, &[2, 3], 0x3000),
            tensor("state", Role::Input, DType::U8, &[40], 0x4000),
            tensor("state", Role::Output, DType::U8, &[40], 0x4000),
            tensor("packed", Role::Constant, DType::U4, &[3, 3], 0x1100),
        ],
        symbols: vec![symbol("matmul", 0x8000, 32), symbol("relu", 0x8020, 0)],
        schedule: vec![BigStep {
            kernel: 1,
            operator: "Relu".to_owned(),
            node: "node 1".to_owned(),
            output: 2,
            lo: 0,
            hi: 6,
            arguments: vec![0x3000, 0x1000],
            entry: 0x8020,
            bound: 100,
        }],
        period: None,
        sections: Vec::new(),
        interface: Some(Interface {
            inputs: vec![region(0x2000, 5), region(0x4000, 6)],
            outputs: vec![region(0x3000, 6), region(0x4000, 6)],
            scratch_bits: 12,
            bound: 1000,
        }),
    }
}

fn region(address: u64, bits: u8) -> Region {
    Region { address, bits }
}

fn interface(contents: &mut Contents) -> &mut Interface {
    contents.interface.as_mut().expect("an interface")
}

fn image() -> Image {
    Image::new(contents()).expect("an image")
}

#[test]
fn a_file_holds_the_image() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("model.image");
    image().write(&path).expect("write");
    // Writing over it works, and leaves no other file behind.
    image().write(&path).expect("write again");
    assert_eq!(std::fs::read_dir(folder.path()).expect("list").count(), 1);
    assert_eq!(Image::read(&path).expect("read"), image());
    assert_eq!(std::fs::read(&path).expect("read"), image().to_bytes().expect("bytes"));
}

/// The types are numbered in the order that docs/formats.md gives.
#[test]
fn element_types_have_their_numbers() {
    let order = DType::ALL.map(DType::name).join(" ");
    assert!(include_str!("../../../docs/formats.md").contains(&format!("dtype ({order})")), "{order}");
    for (number, dtype) in (0..).zip(DType::ALL) {
        assert_eq!(postcard::to_stdvec(&dtype), Ok(vec![number]), "{dtype}");
    }
}

#[test]
fn files_that_are_not_there_are_named() {
    let error = Image::read("no/such.image".as_ref()).expect_err("no file");
    assert!(error.to_string().starts_with("can't read no/such.image: "), "{error}");
    let error = image().write("no/such/folder.image".as_ref()).expect_err("no folder");
    assert!(error.to_string().starts_with("can't write no/such/folder.image: "), "{error}");
}

#[test]
fn every_damage_is_found() {
    let good = image().to_bytes().expect("bytes");
    for at in 0..good.len() {
        let mut bytes = good.clone();
        bytes[at] ^= 1 << (at % 8);
        assert!(Image::from_bytes(&bytes).is_err(), "byte {at}");
        assert!(Image::from_bytes(&good[..at]).is_err(), "cut to {at}");
    }
    assert!(Image::from_bytes(&[&good[..], &[0]].concat()).is_err());
    assert!(Image::from_bytes(&good).is_ok());
}

#[test]
fn errors_say_what_is_damaged() {
    let good = image().to_bytes().expect("bytes");
    let message = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = good.clone();
        change(&mut bytes);
        Image::from_bytes(&bytes).expect_err("damaged").to_string()
    };
    let last = good.len() - 1;
    assert_eq!(message(&|b| b[0] = 0), "not an opml image: it does not start with the bytes \"opmlimg\"");
    assert_eq!(message(&|b| b[8] = 9), "image version 9; this program reads version 7");
    assert!(message(&|b| b[60] ^= 1).starts_with("the image's metadata has the hash 0x"));
    // Two pages and a block with all nodes: the root first, and those of pages in the second half.
    let (pages, block) = (good.len() - 3 * 4096, good.len() - 4096);
    assert!(message(&|b| b[pages + 7] ^= 1).starts_with("the image's memory has the hash 0x"));
    let root = good.windows(32).rposition(|bytes| bytes == image().memory_root().0).expect("the root");
    assert!(message(&|b| b[root] ^= 1).starts_with("the image's memory has the hash 0x"));
    let node =
        "a stored node above the page at 0x0 is not the hash of what is below it: the image is damaged";
    assert_eq!((message(&|b| b[block] ^= 1), message(&|b| b[last] ^= 1)), (node.to_owned(), node.to_owned()));
    assert_eq!(message(&|b| b[pages - 1] ^= 1), "the image's metadata is damaged: the padding is not zero");
    let code = good.windows(64).position(|bytes| bytes.iter().copied().eq(0..64)).expect("the code");
    assert!(message(&|b| b[code + 3] ^= 1).starts_with("the image's code has the hash 0x"));
    assert_eq!(
        message(&|b| b.truncate(last)),
        format!("the file has {last} bytes; its header says {}", good.len())
    );
    assert_eq!(message(&|b| b.truncate(5)), "the file has 5 bytes; its header says 48");
}

#[test]
fn an_image_is_made_in_its_place_or_not_at_all() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("model.image");
    let mut done = 0;
    let made = Image::create(contents(), Some(&path), |bytes| done = bytes).expect("an image");
    assert_eq!((done, std::fs::read(&path).expect("the file")), (8192, image().to_bytes().expect("bytes")));
    let invalid = Contents { entry: 3, ..contents() };
    assert!(Image::create(invalid, Some(&path), |_| ()).is_err());
    assert_eq!((Image::read(&path).expect("still there"), made), (image(), image()));
    let error =
        Image::create(contents(), Some("no/such/folder.image".as_ref()), |_| ()).expect_err("no folder");
    assert!(error.to_string().starts_with("can't write no/such/folder.image: "), "{error}");
    assert_eq!(std::fs::read_dir(folder.path()).expect("list").count(), 1);
}

#[test]
fn an_image_is_opened_without_its_memory() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("model.image");
    let mut bytes = image().to_bytes().expect("bytes");
    std::fs::write(&path, &bytes).expect("write");
    let opened = Image::open(&path).expect("an image");
    assert!(image().is_verified() && !opened.is_verified());
    assert_eq!((&opened, opened.verify(|_| ()).is_ok(), opened.stored()), (&image(), true, 8192));
    assert!(opened.is_verified() && opened.clone().is_verified());
    // A replaced file stays the same for a process that has it open.
    let other = Image::new(Contents { segments: Vec::new(), ..contents() }).expect("an image");
    other.write(&path).expect("write");
    assert_eq!(opened.memory().expect("memory").read(0x1000, 4), Some(&[1, 2, 3, 4][..]));
    assert!(opened.verify(|_| ()).is_ok() && Image::open(&path).expect("an image") == other);
    // Damage in memory is found when it is verified.
    let page = bytes.len() - 3 * 4096;
    bytes[page] ^= 1;
    std::fs::write(&path, &bytes).expect("write");
    let opened = Image::open(&path).expect("an image");
    assert_eq!(opened.state(), image().state());
    assert!(matches!(opened.verify(|_| ()), Err(ImageError::Root { what: "memory", .. })));
    assert!(!opened.is_verified() && Image::read(&path).is_err());
}

#[test]
fn a_stamp_tells_that_a_file_was_changed_or_replaced() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("model.image");
    image().write(&path).expect("write");
    let stamp = || Image::open(&path).expect("an image").stamp().expect("a stamp");
    let (opened, first) = (Image::open(&path).expect("an image"), stamp());
    assert_eq!(stamp(), first);
    // The time of the last change can't be set back, as that of modification can.
    let file = std::fs::OpenOptions::new().write(true).open(&path).expect("the file");
    let modified = file.metadata().and_then(|data| data.modified()).expect("a time");
    std::thread::sleep(std::time::Duration::from_millis(20));
    file.write_all_at(&[1], 4096 + 5000).expect("a write");
    file.set_modified(modified).expect("a time");
    assert_eq!(file.metadata().and_then(|data| data.modified()).expect("a time"), modified);
    let changed = stamp();
    assert!(changed != first && opened.stamp().expect("a stamp") == changed);
    image().write(&path).expect("write");
    assert!(stamp() != changed && opened.stamp().expect("a stamp") != stamp());
}

#[test]
fn segments_are_whole_pages() {
    let segments = |image: &Image| -> Vec<(u64, usize)> {
        image.segments.iter().map(|segment| (segment.address, segment.bytes.len())).collect()
    };
    assert_eq!(segments(&image()), [(0x1000, 4096), (0x9000, 4096)]);
    let with = |pieces: &[(u64, usize)]| {
        let piece = |&(address, length)| Segment { address, bytes: vec![7; length].into() };
        Image::new(Contents { segments: pieces.iter().map(piece).collect(), ..contents() })
    };
    let image = with(&[(0x1ffe, 2), (0x2100, 4), (0x2fff, 2), (0x7000, 0x1000)]).expect("an image");
    assert_eq!(segments(&image), [(0x1000, 3 * 4096), (0x7000, 4096)]);
    assert_eq!(Image::new(image.clone().into_contents()).expect("the same"), image);
    // A page can be shared with code.
    let image = with(&[(0x8040, 1)]).expect("an image");
    assert_eq!(Image::from_bytes(&image.to_bytes().expect("bytes")).expect("the same"), image);
}

#[test]
fn what_is_too_much_is_refused() {
    let profile = MachineProfile::new(Extensions::IM, 30, 0x8000, 64).expect("a machine");
    let segment = |i: u64| Segment { address: 0x1_0000 + i * 0x2000, bytes: vec![1].into() };
    let with = |count| {
        let segments = (0..count).map(segment).collect();
        let (tensors, schedule) = (Vec::new(), Vec::new());
        Image::new(Contents { profile, segments, tensors, schedule, interface: None, ..contents() })
    };
    let error = with(1025).expect_err("too many").to_string();
    assert_eq!(error, "1025 segments of memory; an image has at most 1024");
    let most = with(1024).expect("an image");
    assert_eq!(most.memory().expect("memory").root(), most.memory_root());
    // The length of the metadata is checked before anything is read.
    let mut bytes = image().to_bytes().expect("bytes");
    bytes[12..16].copy_from_slice(&u32::MAX.to_le_bytes());
    let error = Image::from_bytes(&bytes).expect_err("too many").to_string();
    assert_eq!(error, "4294967295 bytes of metadata; an image has at most 67108864");
}

proptest! {
    #[test]
    fn any_bytes_are_an_image_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..200), metadata in any::<bool>()) {
        let mut file = bytes.clone();
        if metadata {
            // A header that matches these bytes, so that they are read as metadata.
            file = [&image::MAGIC[..], &image::VERSION.to_le_bytes(), &(bytes.len() as u32).to_le_bytes()].concat();
            file.extend(step::keccak(&bytes).0);
            file.extend(&bytes);
        }
        prop_assert!(Image::from_bytes(&file).is_err());
    }
}

#[test]
fn contents_that_make_no_sense() {
    let check = |change: &dyn Fn(&mut Contents)| {
        let mut contents = contents();
        change(&mut contents);
        Image::new(contents).expect_err("an error").to_string()
    };
    for (found, expected) in [
        (check(&|c| c.code.truncate(32)), "32 bytes of code; the profile says 64"),
        (check(&|c| c.entry = 0x8040), "the entry point 0x8040 is not a multiple of 4 inside the code"),
        (check(&|c| c.entry = 0x8002), "the entry point 0x8002 is not a multiple of 4 inside the code"),
        (check(&|c| c.sp = 8), "the stack pointer 0x8 is not a multiple of 16 up to the end of memory"),
        (
            check(&|c| c.sp = 0x1_0010),
            "the stack pointer 0x10010 is not a multiple of 16 up to the end of memory",
        ),
        (
            check(&|c| c.segments[1].address = u64::MAX),
            "segment 1 is 100 bytes at 0xffffffffffffffff, which are not all in the 2^16 bytes of memory",
        ),
        (check(&|c| c.segments[2].address = 0x1063), "segment 1 and segment 2 overlap at 0x1063"),
        (check(&|c| c.segments[1].address = 0x7fff), "segment 1 and the code overlap at 0x8000"),
        (check(&|c| c.tensors[0].bytes = 99), "tensor weights has 99 bytes; its shape and type need 100"),
        (
            check(&|c| c.tensors[0].shape = vec![1 << 62, 4]),
            "tensor weights has 100 bytes; its shape and type need more than 2^64",
        ),
        (
            check(&|c| c.tensors[0].address = 0x1_0000),
            "tensor weights is 100 bytes at 0x10000, which are not all in the 2^16 bytes of memory",
        ),
        (check(&|c| c.schedule[0].kernel = 2), "big step 0 names symbol 2, but there are 2"),
        (check(&|c| c.schedule[0].output = 6), "big step 0 names tensor 6, but there are 6"),
        (check(&|c| c.schedule[0].hi = 7), "big step 0 computes elements 0 to 7 of a tensor of 6"),
        (
            check(&|c| c.schedule[0].entry = 0x8040),
            "the entry point 0x8040 is not a multiple of 4 inside the code",
        ),
        (
            check(&|c| interface(c).inputs[0].address = 0x2010),
            "input region 0 of 2^5 bytes at 0x2010 is not 32 bytes or more at a multiple of its size in memory",
        ),
        (
            check(&|c| interface(c).outputs[1].bits = 17),
            "output region 1 of 2^17 bytes at 0x4000 is not 32 bytes or more at a multiple of its size in memory",
        ),
        (
            check(&|c| interface(c).outputs[0] = region(0, 64)),
            "output region 0 of 2^64 bytes at 0x0 is not 32 bytes or more at a multiple of its size in memory",
        ),
        (
            check(&|c| interface(c).scratch_bits = 17),
            "scratch of 2^17 bytes at 0xffffffffffffffff is not 32 bytes or more at a multiple of its size in memory",
        ),
        (check(&|c| interface(c).scratch_bits = 16), "input region 0 and scratch overlap at 0x2000"),
        (
            check(&|c| interface(c).outputs.push(region(0xf800, 11))),
            "output region 2 and scratch overlap at 0xf800",
        ),
        (check(&|c| interface(c).inputs.clear()), "0 input regions; an interface has 1 to 64"),
        (
            check(&|c| interface(c).outputs = (0..65).map(|i| region(32 * i, 5)).collect()),
            "65 output regions; an interface has 1 to 64",
        ),
        (
            check(&|c| interface(c).inputs.reverse()),
            "input region 1 is at 0x2000, and the one before ends at 0x4040: regions are in ascending order of \
             addresses and don't overlap",
        ),
        (
            check(&|c| interface(c).outputs.insert(1, region(0x3020, 5))),
            "output region 1 is at 0x3020, and the one before ends at 0x3040: regions are in ascending order of \
             addresses and don't overlap",
        ),
        (
            check(&|c| interface(c).outputs[1].bits = 7),
            "input region 1 and output region 1 overlap at 0x4000",
        ),
        (
            check(&|c| interface(c).inputs.insert(1, region(0x3020, 5))),
            "input region 1 at 0x3020 contains no input",
        ),
        (check(&|c| interface(c).outputs.truncate(1)), "tensor state is not in one of the output regions"),
        (
            check(&|c| interface(c).inputs[0].address = 0x2020),
            "tensor scalar is not in one of the input regions",
        ),
        (check(&|c| interface(c).outputs[0].bits = 5), "tensor output is not in one of the output regions"),
        (check(&|c| c.schedule[0].lo = 6), "big step 0 computes elements 6 to 6 of a tensor of 6"),
    ] {
        assert_eq!(found, expected);
    }
}

#[test]
fn regions_end_with_their_last_tensor() {
    let mut contents = contents();
    let bytes = |contents: &Contents, role, at| contents.extent(role, region(at, 6));
    assert_eq!(contents.extent(Role::Input, region(0x2000, 5)), 1);
    assert_eq!(bytes(&contents, Role::Input, 0x4000), 40);
    assert_eq!(bytes(&contents, Role::Output, 0x3000), 48);
    assert_eq!(bytes(&contents, Role::Output, 0x4000), 40);
    // Several tensors in a region, in any order. An output is not an input, even if it is there.
    let tensor = |address| Tensor { address, ..contents.tensors[1].clone() };
    let more = [tensor(0x201f), tensor(0x2003)];
    contents.tensors.extend(more);
    assert_eq!(contents.extent(Role::Input, region(0x2000, 5)), 32);
    assert_eq!(contents.extent(Role::Output, region(0x2000, 5)), 0);
}

/// The contents with one input, which is this region of memory, and with a byte at an address.
fn with_byte(input: Region, at: u64, byte: u8) -> Contents {
    let segment = |address, byte| Segment { address, bytes: vec![byte].into() };
    let mut contents = Contents { segments: vec![segment(0x1000, 7), segment(at, byte)], ..contents() };
    contents.tensors.truncate(3);
    contents.tensors[1].address = input.address;
    let interface = interface(&mut contents);
    (interface.inputs, interface.outputs) = (vec![input], vec![region(0x3000, 6)]);
    contents
}

/// The file of an image with the memory of another one, which is in the same pages.
fn file_with_memory(image: &Image, other: &Image) -> Vec<u8> {
    let mut file = image.to_bytes().expect("bytes");
    let length = u32::from_le_bytes(*file[12..].first_chunk().expect("a length")) as usize;
    let metadata = &mut file[48..48 + length];
    let root = image.memory_root().0;
    let place = metadata.windows(32).position(|bytes| bytes == root).expect("the root");
    metadata[place..place + 32].copy_from_slice(&other.memory_root().0);
    let hash = step::keccak(metadata).0;
    file[16..48].copy_from_slice(&hash);
    let memory = file.len() - (48 + length + 64).next_multiple_of(4096);
    let other = other.to_bytes().expect("bytes");
    let at = file.len() - memory;
    file[at..].copy_from_slice(&other[other.len() - memory..]);
    file
}

/// Whether an image with a byte in memory may have this input: as contents, and in a file.
fn accepted(input: Region, at: u64) -> bool {
    let direct = Image::new(with_byte(input, at, 9));
    let other = Contents { interface: None, ..with_byte(input, at, 9) };
    let other = Image::new(other).expect("without an interface");
    // A page that is zero is in the file too.
    let image = Image::new(with_byte(input, at, 0)).expect("zero memory");
    let read = Image::from_bytes(&file_with_memory(&image, &other));
    for result in [&direct, &read] {
        if let Err(error) = result {
            let Region { address, bits } = input;
            let start =
                format!("input region 0 of 2^{bits} bytes at {address:#x} is not zero before the first step");
            assert!(error.to_string().starts_with(&start), "{error}");
        }
    }
    assert_eq!(direct.is_ok(), read.is_ok());
    direct.is_ok()
}

#[test]
fn memory_is_zero_in_every_input_part() {
    for (input, inside, outside) in [
        (region(0x2020, 5), [0x2020, 0x203f], [0x201f, 0x2040]),
        (region(0x2800, 11), [0x2800, 0x2fff], [0x27ff, 0x3000]),
        (region(0x4000, 12), [0x4000, 0x4fff], [0x3fff, 0x5000]),
        (region(0x4000, 14), [0x5000, 0x7fff], [0x3fff, 0x9000]),
    ] {
        assert_eq!(inside.map(|at| accepted(input, at)), [false; 2], "{input:?}");
        assert_eq!(outside.map(|at| accepted(input, at)), [true; 2], "{input:?}");
    }
}

#[test]
fn roots_are_those_of_the_bytes() {
    let image = image();
    let mut memory = vec![0; 1 << 16];
    for segment in &image.segments {
        let at = segment.address as usize;
        memory[at..at + segment.bytes.len()].copy_from_slice(&segment.bytes);
    }
    assert_eq!(image.memory_root(), step::Tree::of_bytes(&memory, 11).root());
    assert_eq!(image.code_root(), step::Tree::of_bytes(&image.code, 1).root());
    assert!(matches!(Image::from_bytes(b""), Err(ImageError::Length { expected: 48, found: 0 })));
}

#[test]
fn the_schedule_root_is_over_entries_and_bounds() {
    let leaf = |entry: u64, bound: u64| step::keccak(&[entry.to_be_bytes(), bound.to_be_bytes()].concat());
    let mut contents = contents();
    assert_eq!(Image::new(contents.clone()).expect("an image").schedule_root(), leaf(0x8020, 100));
    let first = contents.schedule[0].clone();
    contents.schedule.push(BigStep { entry: 0x8000, bound: 7, ..first.clone() });
    contents.schedule.push(BigStep { bound: 8, ..first });
    let image = Image::new(contents).expect("an image");
    let [a, b, c] = [leaf(0x8020, 100), leaf(0x8000, 7), leaf(0x8020, 8)];
    let root = step::merkle::node(step::merkle::node(a, b), step::merkle::node(c, step::Root::ZERO));
    assert_eq!(image.schedule_root(), root);
    let steps = image.big_steps();
    assert_eq!(steps.leaves()[1], Leaf { entry: 0x8000, bound: 7 });
    assert_eq!(steps.proof(2).root(c, 2), root);
    let whole = image.single_phase().expect("a bound");
    assert_eq!((whole.root(), whole.leaves().len()), (leaf(0x8004, 1000), 1));
}

#[test]
fn a_draft_knows_all_but_what_is_in_memory() {
    let contents = contents();
    let image = Image::new(contents.clone()).expect("an image");
    let draft = Image::draft(contents.clone()).expect("a draft");
    assert_eq!(draft.segments, contents.segments);
    assert_eq!((draft.code_root(), &draft.tensors), (image.code_root(), &image.tensors));
    assert_eq!(draft.schedule, image.schedule);
    // What is not zero is in the file of the image alone.
    let [whole, small] = [&image, &draft].map(|image| image.to_bytes().expect("a file").len());
    assert!(small < whole, "{small} bytes of {whole}");
    assert!(image.is_verified() && !draft.is_verified());
}
