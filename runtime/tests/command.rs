//! What all commands have in common: one JSON object, exit statuses, arbitrary file names, and errors with a
//! hint.

use crate::common::{Folder, fixture, npy};
use serde_json::Value;
use std::ffi::OsStr;

#[test]
fn json_is_always_one_object() {
    let folder = Folder::with_net("mnist-mlp");
    let input = format!("input={}", fixture("digits/7.flat.npy"));
    let (model, elf) = (fixture("mnist-mlp/model.onnx"), fixture("programs/crc32.elf"));
    // Every command that needs no chain; those that do are in the tests on a chain.
    for args in [
        &["compile", &model, "-o", "again.opml"][..],
        &["image", "from-elf", &elf, "-o", "crc.opml"],
        &["inspect", "net.opml"],
        &["disasm", "net.opml"],
        &["run", "net.opml", "--input", &input],
        &["profile", "net.opml", "--input", &input],
        &["trace", "net.opml", "--input", &input, "--at", "0..3"],
        &["prove", "net.opml", "--input", &input, "--step", "1e3", "-o", "step.json"],
        &["verify", "step.json"],
        &["verifier", "net.opml", "-o", "package"],
        &["dispute", "net.opml", "--input", &input],
        &["demo"],
        &["completions", "bash"],
        &["--help"],
        &["trace", "--help"],
        &["--version"],
    ] {
        assert!(!folder.json(args).as_object().expect("an object").is_empty(), "{args:?}");
    }
    // A failure is one, too: `fails` compares it with the text.
    folder.fails(&["inspect", "nothing.opml"]).says(&["nothing.opml"]);
    folder.misused(&["trace", "net.opml", "--at", "x"]).says(&["'x' is not a step"]);
}

/// A model with one input `x` of four floats, and an output of each name.
fn model(outputs: &[&str]) -> Vec<u8> {
    fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
        let mut length = bytes.len();
        let mut field = vec![number << 3 | 2];
        while length >= 128 {
            field.push((length % 128) as u8 | 128);
            length /= 128;
        }
        field.push(length as u8);
        [&field[..], bytes].concat()
    }
    let node = |output: &&str| {
        let [input, output, operator] =
            [(1, "x"), (2, *output), (4, "Relu")].map(|(n, text)| field(n, text.as_bytes()));
        field(1, &[input, output, operator].concat())
    };
    let value = |name: &str| {
        let shape = field(2, &field(1, &[8, 4]));
        [field(1, name.as_bytes()), field(2, &field(1, &[&[8, 1], &shape[..]].concat()))].concat()
    };
    let nodes: Vec<u8> = outputs.iter().flat_map(node).collect();
    let values: Vec<u8> = outputs.iter().flat_map(|name| field(12, &value(name))).collect();
    let graph = [nodes, field(2, b"g"), field(11, &value("x")), values].concat();
    [vec![8, 8], field(7, &graph), field(8, &[16, 17])].concat()
}

#[test]
fn outputs_whose_names_are_not_file_names_have_files() {
    let folder = Folder::new();
    let long = "x".repeat(300);
    folder.write("model.onnx", model(&["a/b", "a_b", &long]));
    folder.write("x.npy", npy("<f4", "(4,)", &[0; 16]));
    folder.text(&["compile", "model.onnx", "-o", "net.opml"]);
    let ran = folder.json(&["run", "net.opml", "--input", "x.npy", "-o", "out"]);
    let outputs = ran["outputs"].as_object().expect("outputs");
    let file = |name: &str| outputs[name].as_str().expect("a file").to_owned();
    assert_eq!((file("a/b"), file("a_b")), ("out/a_b-2.npy".to_owned(), "out/a_b.npy".to_owned()));
    assert_eq!(file(&long).len(), "out/.npy".len() + 120);
    for name in outputs.keys() {
        assert!(!folder.read(&file(name)).is_empty());
    }
    let text = folder.text(&["run", "net.opml", "--input", "x.npy", "-o", "out"]);
    assert!(
        text.contains("a/b [4] -> out/a_b-2.npy") && text.contains("can't have the output's name"),
        "{text}"
    );
}

#[test]
#[cfg(target_os = "linux")]
fn paths_need_not_be_text() {
    use std::os::unix::ffi::OsStrExt;
    let folder = Folder::with_net("mnist-mlp");
    let name = |end: &str| OsStr::from_bytes(&[b"\xff", end.as_bytes()].concat()).to_owned();
    let path = |end: &str| folder.path("").join(name(end));
    for (from, to) in
        [("mnist-mlp/model.onnx", ".onnx"), ("digits/7.flat.npy", ".npy"), ("programs/crc32.elf", ".elf")]
    {
        std::fs::copy(fixture(from), path(to)).expect("a copy");
    }
    let (model, image, array, elf) = (name(".onnx"), name(".opml"), name(".npy"), name(".elf"));
    let named = OsStr::from_bytes(b"input=\xff.npy");
    let (out, step, package, crc, svg) =
        (name("-out"), name(".json"), name("-package"), name("-crc"), name(".svg"));
    let s = OsStr::new;
    for args in [
        &[s("compile"), &model, s("-o"), &image][..],
        &[s("inspect"), &image],
        &[s("disasm"), &image],
        &[s("run"), &image, s("--input"), &array, s("-o"), &out],
        &[s("run"), &image, s("--input"), named, s("-o"), &out],
        &[s("profile"), &image, s("--input"), named, s("--flame"), &svg],
        &[s("trace"), &image, s("--input"), named, s("--at"), s("5")],
        &[s("prove"), &image, s("--input"), named, s("--step"), s("5"), s("-o"), &step],
        &[s("verify"), &step],
        &[s("verifier"), &image, s("-o"), &package],
        &[s("dispute"), &image, s("--input"), named],
        &[s("image"), s("from-elf"), &elf, s("-o"), &crc],
    ] {
        for json in [&[][..], &[s("--json")]] {
            let output = folder.output(&[args, json].concat());
            let error = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{args:?}: {error}");
        }
    }
    assert!(path("-out/output.npy").exists() && path("-package/foundry.toml").exists());
    // Refused, but without a panic.
    let nothing = name("nothing");
    folder.fails(&[s("run"), &nothing]).says(&["nothing"]);
    folder.fails(&[s("account"), s("address"), s("--keystore"), &nothing]).says(&["nothing"]);
    folder.misused(&[s("run"), &image, s("--input"), OsStr::from_bytes(b"\xff=x.npy")]).says(&["NAME=FILE"]);
    folder.misused(&[&nothing]).says(&["nothing"]);
}

#[test]
fn files_of_the_wrong_kind_are_named_with_the_way_out() {
    let folder = Folder::with_net("mnist-mlp");
    let zip = |member: &str| {
        let mut bytes = b"PK\x03\x04".to_vec();
        bytes.resize(26, 0);
        bytes.extend([member.len() as u8, 0, 0, 0]);
        bytes.extend(member.bytes());
        bytes
    };
    folder.write("arrays.npz", zip("image.npy"));
    folder.write("tensor.pt", zip("archive/data.pkl"));
    folder.write("double.npy", npy("<f8", "(28, 28)", &[0; 6272]));
    folder.write("flat.npy", npy("<f4", "(784,)", &[0; 3136]));
    folder.write("big.npy", npy(">f4", "(1, 784)", &[0; 3136]));
    folder.write("text.npy", npy("<U7", "(1, 784)", &[0; 3136]));
    folder.write("short.npy", npy("<f4", "(10,)", &[0; 40]));
    let fortran = String::from_utf8_lossy(&npy("<f4", "(1, 784)", &[])).into_owned();
    folder.write("fortran.npy", [&npy("<f4", "(1, 784)", &[0; 3136])[..]].concat());
    assert!(fortran.contains("False"));
    let mut columns = folder.read("fortran.npy");
    let at = columns.windows(5).position(|word| word == b"False").expect("an order");
    columns.splice(at..at + 5, *b"True ");
    folder.write("fortran.npy", columns);
    folder.write("page.npy", "<!DOCTYPE html><html>");
    let model = fixture("mnist-mlp/model.onnx");
    for (args, says) in [
        (&["run", "net.opml", "--input", "arrays.npz"][..], &["np.load('arrays.npz')['image']"][..]),
        (&["run", "net.opml", "--input", "tensor.pt"], &["torch.load('tensor.pt').numpy()"]),
        (&["run", "net.opml", "--input", "double.npy"], &[".astype(np.float32).reshape(1, 784)"]),
        (
            &["run", "net.opml", "--input", "flat.npy"],
            &["np.save('flat.npy', np.load('flat.npy').reshape(1, 784))"],
        ),
        (&["run", "net.opml", "--input", "big.npy"], &["big-endian", ".astype('<f4')"]),
        (&["run", "net.opml", "--input", "text.npy"], &["'<U7'", "astype(np.float32)"]),
        (
            &["run", "net.opml", "--input", "fortran.npy"],
            &["Fortran", "np.ascontiguousarray(np.load('fortran.npy'))"],
        ),
        (&["run", "net.opml", "--input", "short.npy"], &["10 elements", "784", "--shape"]),
        (&["run", "net.opml", "--input", "page.npy"], &["a web page", "download"]),
        (&["run", &model], &["not an opml image, but an ONNX model", "opml compile"]),
        (&["inspect", "flat.npy"], &["not an opml image, but a NumPy array", "--input NAME=FILE"]),
        (
            &["compile", "net.opml", "-o", "out"],
            &["not an ONNX model, but an opml image", "opml run net.opml"],
        ),
        (&["compile", "tensor.pt", "-o", "out"], &["not an ONNX model", "torch.onnx.export"]),
    ] {
        let complaint = folder.fails(args);
        complaint.says(says);
        let file = args.iter().rfind(|arg| arg.contains('.') && !arg.starts_with("out")).expect("a file");
        assert_eq!(complaint.error.matches(file).count(), 1, "named once: {complaint:?}");
    }
}

#[test]
fn a_package_keeps_what_was_edited() {
    let folder = Folder::with_net("mnist-mlp");
    let write = ["verifier", "net.opml", "-o", "package"];
    folder.text(&write);
    // Writing the same again changes nothing, whatever forge or the user has added.
    folder.write("package/test/Mine.t.sol", "// mine");
    folder.text(&write);
    let original = folder.read("package/foundry.toml");
    folder.write("package/foundry.toml", "# edited");
    std::fs::remove_file(folder.path("package/README.md")).expect("a file");
    folder.fails(&write).says(&["package", "foundry.toml", "--force"]);
    assert_eq!(folder.read("package/foundry.toml"), b"# edited");
    assert!(!folder.path("package/README.md").exists(), "nothing is written if something is refused");
    // What can't be read as a file may be anything.
    std::fs::create_dir(folder.path("package/README.md")).expect("a folder");
    folder.write("package/foundry.toml", &original);
    folder.fails(&write).says(&["package", "README.md", "--force"]);
    std::fs::remove_dir(folder.path("package/README.md")).expect("an empty folder");
    folder.text(&[&write[..], &["--force"]].concat());
    assert_eq!(folder.read("package/foundry.toml"), original);
    assert_eq!(folder.read("package/test/Mine.t.sol"), b"// mine");
    // A folder with other contents is not mistaken for a package.
    std::fs::create_dir(folder.path("home")).expect("a folder");
    folder.write("home/notes.txt", "mine");
    folder.fails(&["verifier", "net.opml", "-o", "home"]).says(&["home", "not a package", "--force"]);
    assert_eq!(std::fs::read_dir(folder.path("home")).expect("a folder").count(), 1);
    // A failed run leaves nothing behind, not even the folder.
    folder.fails(&["verifier", "net.opml", "-o", "new", "--max-memory", "1B"]);
    assert_eq!(folder.files(), ["home", "net.opml", "package"]);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode =
            |name| std::fs::metadata(folder.path(name)).expect("a folder").permissions().mode() & 0o777;
        assert_eq!(mode("package"), mode("home"));
    }
}

fn set_mode(path: &std::path::Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("a mode");
}

#[test]
fn an_account_is_made_once_and_opens_with_its_password() {
    let folder = Folder::new();
    let write_secret = |name: &str, text: &str| {
        folder.write(name, text);
        set_mode(&folder.path(name), 0o600);
    };
    write_secret("password", "correct horse\n");
    set_mode(&folder.path("password"), 0o644);
    let exposed = folder.fails(&["account", "new", "-o", "key.json", "--password-file", "password"]);
    exposed.says(&["can be read by others", "mode 644", "`chmod 600 password`"]);
    set_mode(&folder.path("password"), 0o600);
    let made = folder.json(&["account", "new", "-o", "key.json", "--password-file", "password"]);
    let address = made["address"].as_str().expect("an address");
    let by = ["account", "address", "--keystore", "key.json", "--password-file", "password"];
    assert_eq!(folder.text(&by).trim().to_lowercase(), address);
    assert_eq!(folder.json(&by)["address"], made["address"]);
    let before = folder.read("key.json");
    folder
        .fails(&["account", "new", "-o", "key.json", "--password-file", "password"])
        .says(&["key.json exists", "--output"]);
    assert_eq!(folder.read("key.json"), before);
    write_secret("wrong", "incorrect");
    folder
        .fails(&["account", "address", "--keystore", "key.json", "--password-file", "wrong"])
        .says(&["key.json"]);
    folder.fails(&["account", "new", "-o", "other.json"]).says(&[
        "password",
        "--password-file",
        "OPML_PASSWORD",
    ]);
    write_secret("empty", "\n");
    folder.fails(&["account", "new", "-o", "other.json", "--password-file", "empty"]).says(&["empty"]);
    assert_eq!(folder.files(), ["empty", "key.json", "password", "wrong"]);
}

#[test]
fn sizes_and_steps_are_written_as_people_write_them() {
    let folder = Folder::with_net("mnist-mlp");
    let input = fixture("digits/7.flat.npy");
    let run = |more: &[&str]| folder.json(&[&["run", "net.opml", "--input", &input], more].concat());
    run(&["--max-steps", "1e9", "--max-memory", "4GiB"]);
    run(&["--max-steps", "1_000_000", "--max-memory", "16GB"]);
    for (option, value) in
        [("--max-memory", "1G"), ("--max-memory", "much"), ("--max-steps", "0.5"), ("--max-steps", "-1")]
    {
        let value = format!("{option}={value}");
        folder.misused(&["run", "net.opml", "--input", &input, &value]).says(&["expected", "for example"]);
    }
}

#[test]
fn help_has_an_example_for_every_command() {
    let folder = Folder::new();
    let help = folder.text(&["--help"]);
    let (_, list) = help.split_once("Commands:\n").expect("commands");
    let commands: Vec<&str> = list.lines().take_while(|line| line.starts_with("  ")).collect();
    // A description may continue on the next line, further to the right.
    let commands: Vec<&str> = commands.into_iter().filter(|line| !line.starts_with("   ")).collect();
    assert!(commands.len() > 20, "{help}");
    for line in commands {
        let name = line.split_whitespace().next().expect("a name");
        if ["help", "demo"].contains(&name) {
            continue;
        }
        let text = folder.text(&[name, "--help"]);
        let subcommands = ["image", "account"].contains(&name);
        assert!(subcommands || text.contains(&format!("  opml {name} ")), "no example in {text}");
        assert!(text.lines().all(|line| line.chars().count() <= 120), "{text}");
    }
    for args in [["image", "from-elf"], ["account", "new"], ["account", "address"]] {
        let text = folder.text(&[args[0], args[1], "--help"]);
        assert!(text.contains(&format!("  opml {} {}", args[0], args[1])), "no example in {text}");
    }
    let object: Value = folder.json(&["--help"]);
    assert!(object["text"].as_str().expect("text").contains("Exit status:"));
}
