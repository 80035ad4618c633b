//! `--config FILE`: options of `opml serve`, `opml watch` and `opml work` from a TOML file.
//!
//! The file has no options of its own. Each key is a flag without its dashes (`models` are the arguments), and what it
//! says is put into the command line, unless that or a variable of the environment says it already. So names, values
//! and their limits are those of the command line.

use crate::cli::Cli;
use crate::failure::Failure;
use crate::output::read_file;
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command, CommandFactory as _};
use std::any::TypeId;
use std::ffi::OsString;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use toml_edit::{Document, Item, Value};

/// The most bytes of a file.
const LONGEST: u64 = 1 << 20;
/// The commands that have one. Each may have a table of its own in the file.
const COMMANDS: [&str; 3] = ["serve", "watch", "work"];
/// What can't be in a file: the file itself, and what changes how a single call looks or lies.
const NOT_IN_FILES: [&str; 2] = ["config", "cheat"];

/// The command line with the options of its file, if it names one.
pub fn merge(args: Vec<OsString>) -> Result<Vec<OsString>, Failure> {
    let command = Cli::command();
    // What is wrong with the command line is said when it is parsed for good.
    let Ok(matches) = command.clone().ignore_errors(true).try_get_matches_from(&args) else {
        return Ok(args);
    };
    let Some((name, matches)) = matches.subcommand().filter(|(name, _)| COMMANDS.contains(name)) else {
        return Ok(args);
    };
    let Some(path) = matches.get_one::<PathBuf>("config") else { return Ok(args) };
    let more = File::read(path, &command, name)?.options(matches)?;
    let place = args.iter().position(|arg| *arg == *name).map_or(args.len(), |at| at + 1);
    Ok([&args[..place], &more, &args[place..]].concat())
}

/// A file, and the command that it is for.
struct File<'a> {
    path: &'a Path,
    text: String,
    document: Document<String>,
    command: &'a Command,
    name: &'a str,
}

impl<'a> File<'a> {
    fn read(path: &'a Path, command: &'a Command, name: &'a str) -> Result<Self, Failure> {
        let text = String::from_utf8(read_file(path, LONGEST)?);
        let text = text.map_err(|_| Failure::about(path, "it is not text"))?;
        let document = Document::parse(text.clone()).map_err(|error| {
            let line = error.span().map_or(1, |span| line(&text, span.start));
            Failure::new(format!("{}:{line}: {}", path.display(), error.message()))
        })?;
        Ok(Self { path, text, document, command, name })
    }

    /// What it adds to the command line.
    fn options(&self, given: &ArgMatches) -> Result<Vec<OsString>, Failure> {
        let mut options = Vec::new();
        let top = self.document.as_table();
        for (key, item) in top.iter().filter(|(key, _)| !COMMANDS.contains(key)) {
            // It is for all commands that have it. One that only another one has is out of place here.
            let name = match self.owners(key)[..] {
                [first, _, ..] if self.arg(self.name, key).is_none() => first,
                _ => self.name,
            };
            options.extend(self.added(name, key, item, given)?);
        }
        for name in COMMANDS {
            let Some(item) = top.get(name) else { continue };
            let table =
                item.as_table().ok_or_else(|| self.wrong(item, format!("'{name}' is not a table")))?;
            for (key, item) in table {
                options.extend(self.added(name, key, item, given)?);
                if top.contains_key(key) {
                    let what = format!("'{key}' is given twice: for all commands, and in [{name}]");
                    return Err(self.wrong(item, what));
                }
            }
        }
        Ok(options)
    }

    /// What an option of a command adds to the command line. Those of other commands are only checked for mistakes.
    fn added(
        &self,
        name: &str,
        key: &str,
        item: &Item,
        given: &ArgMatches,
    ) -> Result<Vec<OsString>, Failure> {
        let arg = self.find(name, key, item)?;
        let parsed = self.parsed(arg, key, item)?;
        Ok(if name == self.name && !is_given(arg, given) { parsed } else { Vec::new() })
    }

    /// The option of a command with this name.
    fn arg(&self, name: &str, key: &str) -> Option<&'a Arg> {
        self.args(name).find(|arg| name_of(arg) == key)
    }

    /// The commands that have an option.
    fn owners(&self, key: &str) -> Vec<&'static str> {
        COMMANDS.into_iter().filter(|name| self.arg(name, key).is_some()).collect()
    }

    /// The option of a command that a key stands for.
    fn find(&self, name: &str, key: &str, item: &Item) -> Result<&'a Arg, Failure> {
        if let Some(arg) = self.arg(name, key) {
            return Ok(arg);
        }
        match self.owners(key)[..] {
            [] => {}
            [other] => {
                let hint = format!("put it into the table [{other}]");
                let what = format!("'{key}' is an option of `opml {other}` only");
                return Err(self.wrong(item, what).hint(hint));
            }
            _ => {
                let what = format!("'{key}' is not an option of `opml {name}`");
                return Err(self.wrong(item, what).hint("put it before the tables: it is for the others"));
            }
        }
        let names: Vec<&str> = self.args(name).map(name_of).collect();
        let nearest =
            names.iter().max_by(|a, b| strsim::jaro_winkler(a, key).total_cmp(&strsim::jaro_winkler(b, key)));
        let hint = match nearest.filter(|name| strsim::jaro_winkler(name, key) > 0.7) {
            Some(name) => format!("'{name}' is one"),
            None => format!("there are {}", names.join(", ")),
        };
        Err(self.wrong(item, format!("there is no option '{key}'")).hint(hint))
    }

    /// The options of a command that may be in a file.
    fn args(&self, name: &str) -> impl Iterator<Item = &'a Arg> {
        let command = self.command.find_subcommand(name);
        command
            .into_iter()
            .flat_map(Command::get_arguments)
            .filter(|arg| !NOT_IN_FILES.contains(&name_of(arg)))
    }

    /// What a key adds to the command line.
    fn parsed(&self, arg: &Arg, key: &str, item: &Item) -> Result<Vec<OsString>, Failure> {
        let mut new = Vec::new();
        for value in values(item).ok_or_else(|| self.unfit(key, item))? {
            new.extend(self.option(arg, value).ok_or_else(|| self.unfit(key, item))?);
        }
        if ["rpc", "database"].contains(&key) {
            self.require_private(item)?;
        }
        self.check(key, item, &new)?;
        Ok(new)
    }

    /// The argument for a value; nothing for a flag that is false. `None` if the value has another type.
    fn option(&self, arg: &Arg, value: &Value) -> Option<Option<OsString>> {
        let is_flag = matches!(arg.get_action(), ArgAction::SetTrue);
        let mut text = match value {
            Value::Boolean(set) if is_flag => {
                return Some(set.value().then(|| format!("--{}", name_of(arg)).into()));
            }
            _ if is_flag => return None,
            Value::String(text) => OsString::from(text.value()),
            Value::Integer(number) => number.value().to_string().into(),
            _ => return None,
        };
        // As in other such files, paths start where the file is.
        if arg.get_value_parser().type_id() == TypeId::of::<PathBuf>() {
            let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty());
            text = folder.unwrap_or(Path::new(".")).join(text).into();
        }
        Some(Some(match arg.get_long() {
            Some(long) => [format!("--{long}=").into(), text].into_iter().collect(),
            None => text,
        }))
    }

    /// Parses an option alone, so that what is wrong with it is said of its line.
    fn check(&self, key: &str, item: &Item, option: &[OsString]) -> Result<(), Failure> {
        let name = self.owners(key).first().copied().unwrap_or(self.name);
        let command = self.command.find_subcommand(name).cloned();
        let Some(command) = command else { return Ok(()) };
        let options: Vec<OsString> =
            [OsString::from("opml")].into_iter().chain(option.iter().cloned()).collect();
        match command.try_get_matches_from(options) {
            Err(error) if error.kind() != clap::error::ErrorKind::MissingRequiredArgument => {
                let failure = Failure::from_clap(&error.to_string());
                Err(Failure { hint: failure.hint, ..self.wrong(item, failure.message) })
            }
            _ => Ok(()),
        }
    }

    /// Refuses a file that others can read if a URL in it may hold a key.
    fn require_private(&self, item: &Item) -> Result<(), Failure> {
        let urls = values(item).unwrap_or_default();
        let keys = urls.iter().filter_map(|url| url.as_str()).any(chain::may_hold_key);
        let data = mapped::open(self.path).and_then(|file| file.metadata());
        let data = data.map_err(|error| Failure::io("read", &self.path.display().to_string(), &error))?;
        let mode = data.permissions().mode() & 0o777;
        if keys && mode & 0o077 != 0 {
            return Err(Failure::from_error(chain::KeyError::Exposed { path: self.path.to_owned(), mode }));
        }
        Ok(())
    }

    fn unfit(&self, key: &str, item: &Item) -> Failure {
        let kind = item.type_name();
        self.wrong(
            item,
            format!("'{key}' can't be {} {kind}", if kind.starts_with(['a', 'i']) { "an" } else { "a" }),
        )
    }

    fn wrong(&self, item: &Item, what: impl std::fmt::Display) -> Failure {
        let line = item.span().map_or(1, |span| line(&self.text, span.start));
        Failure::usage(format!("{}:{line}: {what}", self.path.display()))
    }
}

/// Whether the command line or the environment says something of an option.
fn is_given(arg: &Arg, given: &ArgMatches) -> bool {
    let source = given.value_source(arg.get_id().as_str());
    matches!(source, Some(ValueSource::CommandLine | ValueSource::EnvVariable))
}

/// The name of an option in a file.
fn name_of(arg: &Arg) -> &str {
    arg.get_long().unwrap_or(arg.get_id().as_str())
}

/// The values of a key: one, or those of an array.
fn values(item: &Item) -> Option<Vec<&Value>> {
    match item.as_value()? {
        Value::Array(array) => Some(array.iter().collect()),
        value => Some(vec![value]),
    }
}

/// The number of the line that a byte of a text is on.
fn line(text: &str, at: usize) -> usize {
    text.bytes().take(at).filter(|&byte| byte == b'\n').count() + 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::Permissions;

    /// The command line of a file with this text, and of more arguments.
    fn merged(text: &str, args: &[&str]) -> Result<Vec<String>, String> {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("opml.toml");
        std::fs::write(&path, text).expect("a file");
        std::fs::set_permissions(&path, Permissions::from_mode(0o644)).expect("a mode");
        let place = folder.path().display().to_string();
        let args = args.iter().map(|arg| arg.replace("FILE", &path.display().to_string()).into()).collect();
        let short = |text: String| text.replace(&place, "~");
        match merge(args) {
            Ok(merged) => {
                Ok(merged.into_iter().map(|arg| short(arg.to_string_lossy().into_owned())).collect())
            }
            Err(failure) => Err(short(format!("{} | {}", failure.message, failure.hint.unwrap_or_default()))),
        }
    }

    const SERVE: [&str; 4] = ["opml", "serve", "--config", "FILE"];

    #[test]
    fn a_file_adds_what_the_command_line_does_not_say() {
        let text = "models = ['a.opml', '/b.opml']\nrpc = ['http://x', 'http://y']\npoll = 500\nstate = 'state'\n\
                    [serve]\nmin-fee = '1gwei'\n[watch]\nno-answers = true\n";
        let whole = merged(text, &SERVE).expect("options");
        let expected = [
            "opml",
            "serve",
            "~/a.opml",
            "/b.opml",
            "--rpc=http://x",
            "--rpc=http://y",
            "--poll=500",
            "--state=~/state",
            "--min-fee=1gwei",
            "--config",
            "~/opml.toml",
        ];
        assert_eq!(whole, expected);
        let args =
            ["opml", "--json", "watch", "c.opml", "--config", "FILE", "--poll", "20", "--rpc", "http://z"];
        let whole = merged(text, &args).expect("options");
        let expected = ["opml", "--json", "watch", "--state=~/state", "--no-answers", "c.opml", "--config"];
        assert_eq!(whole[..7], expected);
        for (args, text) in
            [(&["opml", "run", "serve"][..], "x"), (&["opml", "serve", "a"], "x"), (&["opml"], "x")]
        {
            assert_eq!(
                merged(text, args).as_deref(),
                Ok(&args.iter().map(ToString::to_string).collect::<Vec<_>>()[..])
            );
        }
    }

    #[test]
    fn a_file_is_for_players_and_workers() {
        let text = "models = ['a']\nrpc = ['http://x']\npoll = 500\ndatabase = 'postgres://b/o'\n\
                    [serve]\nmin-fee = '1gwei'\nmetrics = 9000\n[work]\njobs = 7\nmetrics = 9002\nstate = 'w'\n";
        let work = ["opml", "work", "--config", "FILE"];
        let expected =
            ["~/a", "--database=postgres://b/o", "--jobs=7", "--metrics=9002", "--state=~/w", "--config"];
        assert_eq!(merged(text, &work).expect("options")[2..8], expected);
        let expected = [
            "~/a",
            "--rpc=http://x",
            "--poll=500",
            "--database=postgres://b/o",
            "--min-fee=1gwei",
            "--metrics=9000",
        ];
        assert_eq!(merged(text, &SERVE).expect("options")[2..8], expected);
        for (text, says) in [
            (
                "min-fee = '1eth'",
                "'min-fee' is an option of `opml serve` only | put it into the table [serve]",
            ),
            (
                "[work]\nrpc = 'http://x'",
                "~/opml.toml:2: 'rpc' is not an option of `opml work` | put it before",
            ),
            ("poll = 1", "~/opml.toml:1: invalid value '1' for '--poll"),
            ("[work]\njobs = 0", "~/opml.toml:2: invalid value '0' for '--jobs"),
            ("jobs = 2\n[work]\njobs = 3", "'jobs' is given twice"),
            ("rcp = 'http://x'", "there is no option 'rcp'"),
        ] {
            let error = merged(text, &work).expect_err(text);
            assert!(error.contains(says), "{text}: {error}, not {says}");
        }
    }

    #[test]
    fn what_is_wrong_is_said_of_its_line() {
        for (text, says) in [
            ("models = ['a']\npol = 1", "~/opml.toml:2: there is no option 'pol' | 'poll' is one"),
            (
                "models = ['a']\n\nzzz = 1",
                "~/opml.toml:3: there is no option 'zzz' | there are models, config",
            ),
            ("poll = 1", "~/opml.toml:1: invalid value '1' for '--poll"),
            ("poll = [20, 30]", "cannot be used multiple times"),
            ("poll = 1.5", "~/opml.toml:1: 'poll' can't be a float"),
            ("state = true", "'state' can't be a boolean"),
            (
                "min-fee = '1eth'\nno-answers = true",
                "~/opml.toml:2: 'no-answers' is an option of `opml watch` only | put it into the table [watch]",
            ),
            ("[watch]\nmin-fee = '1eth'", "'min-fee' is an option of `opml serve` only"),
            ("[watch]\nno-answers = 1", "'no-answers' can't be an integer"),
            ("poll = 20\n[serve]\npoll = 30", "~/opml.toml:3: 'poll' is given twice"),
            ("serve = 1", "'serve' is not a table"),
            ("config = 'x'", "there is no option 'config'"),
            ("cheat = 'output'", "there is no option 'cheat'"),
            ("poll = ", "~/opml.toml:1: "),
            ("rpc = 'https://rpc.example/v3/secret'", "`chmod 600 ~/opml.toml`"),
        ] {
            let error = merged(text, &SERVE).expect_err(text);
            let says = says.replace("models, config", "models");
            assert!(error.contains(&says), "{text}: {error}, not {says}");
            assert!(!error.contains("v3/secret"), "{error}");
        }
    }
}
