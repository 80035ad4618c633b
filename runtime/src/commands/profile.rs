//! `opml profile`: shows where a run spends its steps.

use super::disasm::{described, place};
use super::trace::instruction_at;
use crate::cli::{Backend, ProfileArgs};
use crate::failure::Failure;
use crate::machine::{Loaded, prepare, run_by};
use crate::output::{self, Output, count, table, write_file};
use crate::pictures::flame;
use crate::profile::{Block, RunProfile};
use comfy_table::CellAlignment;
use image::Image;
use interpreter::Census;
use jit::Jit;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;
use std::time::Instant;
use step::Status;

/// The maximum number of counts. There is one for each instruction in each big step that executes it.
const MAX_COUNTS: usize = 1 << 24;

/// The maximum number of instructions that are listed for a hot block.
const LISTED: u64 = 16;

/// Runs the image and reports where the steps went.
pub fn run(args: &ProfileArgs, output: Output) -> Result<(), Failure> {
    let mut loaded = prepare(&args.run, Backend::Interpreter)?;
    let bar = output.steps(args.run.limits.most_steps(&loaded.image));
    let start = Instant::now();
    let mut census = Census::new(loaded.image.profile, loaded.image.schedule.iter().map(|step| step.entry));
    take(&mut loaded, args.run.limits.max_steps, &mut census, &bar)?;
    let seconds = start.elapsed().as_secs_f64();
    bar.finish_and_clear();
    let Loaded { image, machine, .. } = &loaded;
    let profile = RunProfile::new(image, census.counts(), machine.steps())?;
    if let Some(file) = &args.flame {
        write_file(file, &flame_graph(&profile, &args.run.image, machine)?)?;
    }
    let shown = Shown { image, machine, profile: &profile, top: args.top, seconds };
    output.result(&shown.object(args.flame.as_deref()), &shown.text(args.flame.as_deref()))
}

/// Runs to the end, or as far as the limits allow, and counts.
fn take(
    loaded: &mut Loaded,
    max: u64,
    census: &mut Census,
    bar: &indicatif::ProgressBar,
) -> Result<(), Failure> {
    run_by(&mut loaded.machine, max, &loaded.memory, bar, |machine, steps| {
        machine.run_census(steps, census);
        census.kept() <= MAX_COUNTS
    })?;
    if census.kept() <= MAX_COUNTS {
        return Ok(());
    }
    Err(Failure::new(format!(
        "after {} steps there are more than {} counts, one for each instruction in each big step",
        loaded.machine.steps(),
        count(MAX_COUNTS as u64)
    ))
    .hint("compile the model with a larger --budget, so that it has fewer big steps"))
}

/// The flame graph.
fn flame_graph(profile: &RunProfile<'_>, image: &Path, machine: &Jit) -> Result<Vec<u8>, Failure> {
    if machine.steps() == 0 {
        return Err(
            Failure::new("the run made no step, so there is nothing to draw").hint("raise --max-steps")
        );
    }
    let model = image.file_stem().unwrap_or_default().to_string_lossy();
    let schedule = profile.has_schedule();
    let totals = profile.by(|place| if schedule { place.operator } else { place.function });
    Ok(flame::draw(&flame::frames(&model, profile), &totals))
}

/// A profile and what its report needs.
struct Shown<'a> {
    image: &'a Image,
    machine: &'a Jit,
    profile: &'a RunProfile<'a>,
    top: usize,
    seconds: f64,
}

impl Shown<'_> {
    /// How the run ended.
    fn ending(&self) -> String {
        let machine = self.machine;
        match machine.status() {
            Status::Exited => format!("the machine exited with {}", machine.x(10)),
            Status::Running => format!("the machine is still running: --max-steps is {}", machine.steps()),
            Status::Trapped(trap) => {
                let place = place(self.image, machine.pc());
                format!("the machine trapped at pc {:#x} ({place}): {}", machine.pc(), trap.message())
            }
        }
    }

    /// The number of big steps of each node.
    fn big_steps(&self) -> BTreeMap<(&str, &str), u64> {
        let mut big_steps = BTreeMap::new();
        for step in &self.image.schedule {
            *big_steps.entry((&*step.operator, &*step.node)).or_insert(0) += 1;
        }
        big_steps
    }

    /// The report as JSON: all rows, but only the hottest blocks and addresses.
    fn object(&self, flame: Option<&Path>) -> Value {
        let (image, machine, profile) = (self.image, self.machine, self.profile);
        let mut object = json!({
            "steps": machine.steps(), "status": machine.status().to_string(), "ending": self.ending(),
            "pc": machine.pc(), "exit_code": (machine.status() == Status::Exited).then(|| machine.x(10)),
            "seconds": self.seconds, "instructions_touched": profile.touched(), "code_words": image.profile.code_size() / 4,
            "functions": rows(profile.by(|place| place.function), |name, steps| json!({ "function": name, "steps": steps })),
            "instructions":
                rows(profile.by(|place| place.instruction), |name, steps| json!({ "instruction": name, "steps": steps })),
            "blocks": profile.blocks().iter().take(self.top).map(|block| self.block_object(block)).collect::<Vec<_>>(),
            "addresses": profile.hottest().iter().take(self.top).map(|&(address, steps)| self.line(address, steps)).collect::<Vec<_>>(),
        });
        if let Value::Object(fields) = &mut object {
            if !image.schedule.is_empty() {
                self.add_schedule(fields);
            }
            fields.extend(flame.map(|file| ("flame".to_owned(), output::path(file))));
        }
        object
    }

    /// Adds what only images with a schedule have.
    fn add_schedule(&self, fields: &mut Map<String, Value>) {
        let profile = self.profile;
        let operators = profile.by(|place| place.operator);
        fields.insert(
            "operators".to_owned(),
            rows(operators, |name, steps| json!({ "operator": name, "steps": steps })),
        );
        let big_steps = self.big_steps();
        let nodes = rows(profile.by(|place| (place.operator, place.node)), |(operator, node), steps| {
            let big_steps = big_steps.get(&(operator, node)).copied().unwrap_or(0);
            json!({ "operator": operator, "node": node, "big_steps": big_steps, "steps": steps })
        });
        fields.insert("nodes".to_owned(), nodes);
        let steps = self.image.schedule.iter().zip(profile.by_big_step()).enumerate().map(|(index, (step, steps))| {
            json!({ "big_step": index, "operator": step.operator, "node": step.node, "lo": step.lo, "hi": step.hi,
                    "steps": steps, "bound": step.bound })
        });
        fields.insert("big_steps".to_owned(), steps.collect());
    }

    /// A block with its instructions.
    fn block_object(&self, block: &Block) -> Value {
        let lines =
            (0..block.length).map(|index| self.line(block.address.wrapping_add(4 * index), block.times));
        json!({ "address": block.address, "place": place(self.image, block.address), "times": block.times,
                "steps": block.steps(), "instructions": lines.collect::<Vec<_>>() })
    }

    /// An instruction with its steps.
    fn line(&self, address: u64, steps: u64) -> Value {
        json!({ "address": address, "place": place(self.image, address), "text": self.disassembly(address), "steps": steps })
    }

    fn disassembly(&self, address: u64) -> String {
        let instruction = Some(address).filter(|address| address.is_multiple_of(4));
        let instruction = instruction.and_then(|address| instruction_at(self.image, address));
        instruction.map_or("not an instruction".to_owned(), |instruction| {
            described(self.image, address, instruction)
        })
    }

    /// The report as text.
    fn text(&self, flame: Option<&Path>) -> String {
        let (profile, steps) = (self.profile, self.machine.steps());
        let mut text = format!(
            "{} steps in {:.1} ms, {}\n{} of {} words of code were executed\n",
            count(steps),
            self.seconds * 1e3,
            self.ending(),
            count(profile.touched()),
            count(self.image.profile.code_size() / 4)
        );
        if let Some(file) = flame {
            let _ = writeln!(text, "flame graph: {}", file.display());
        }
        if !self.image.schedule.is_empty() {
            self.add(&mut text, ["operator"], profile.by(|place| [place.operator.to_owned()]));
            let big_steps = self.big_steps();
            let nodes = profile.by(|place| (place.operator, place.node)).into_iter().map(
                |((operator, node), steps)| {
                    let big_steps = big_steps.get(&(operator, node)).copied().unwrap_or(0);
                    ([node.to_owned(), operator.to_owned(), count(big_steps)], steps)
                },
            );
            self.add(&mut text, ["node", "operator", "big steps"], nodes.collect());
        }
        self.add(&mut text, ["function"], profile.by(|place| [place.function.to_owned()]));
        self.add(&mut text, ["instruction"], profile.by(|place| [place.instruction.to_owned()]));
        let blocks = profile.blocks();
        let named = blocks.iter().map(|block| {
            ([place(self.image, block.address), count(block.length), count(block.times)], block.steps())
        });
        self.add(&mut text, ["block", "instructions", "times"], named.collect());
        blocks.iter().take(self.top).for_each(|block| self.list(&mut text, block));
        text
    }

    /// Adds a table of names and their steps: the first rows, one row for the rest, and the sum.
    fn add<const N: usize>(&self, text: &mut String, header: [&str; N], rows: Vec<([String; N], u64)>) {
        let all = self.machine.steps();
        let mut table = table(header);
        table.set_header(header.iter().copied().chain(["steps", "per cent"]));
        // Align numbers to the right and names to the left.
        let names = header
            .iter()
            .take_while(|title| ["node", "operator", "function", "block"].contains(title))
            .count();
        for column in table.column_iter_mut().skip(names.max(1)) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        let mut add = |names: Vec<String>, steps: u64| {
            table.add_row(names.into_iter().chain([count(steps), per_cent(steps, all)]));
        };
        let named =
            |name: String| std::iter::once(name).chain(vec![String::new(); N - 1]).collect::<Vec<_>>();
        for (names, steps) in rows.iter().take(self.top) {
            add(names.to_vec(), *steps);
        }
        let rest = rows.get(self.top..).unwrap_or_default();
        if !rest.is_empty() {
            add(
                named(format!("{} others", count(rest.len() as u64))),
                rest.iter().map(|(_, steps)| steps).sum(),
            );
        }
        add(named("all".to_owned()), rows.iter().map(|(_, steps)| steps).sum());
        let _ = writeln!(text, "\n{table}");
    }

    /// Lists the instructions of a block.
    fn list(&self, text: &mut String, block: &Block) {
        let share = per_cent(block.steps(), self.machine.steps());
        let place = place(self.image, block.address);
        let _ = writeln!(text, "\n{place}, {share} % of the steps");
        for index in 0..block.length.min(LISTED) {
            let address = block.address.wrapping_add(4 * index);
            let _ = writeln!(text, "{address:>10x}:  {}", self.disassembly(address));
        }
        if block.length > LISTED {
            let _ = writeln!(text, "            ... {} more", count(block.length - LISTED));
        }
    }
}

/// Rows as JSON.
fn rows<K>(sums: Vec<(K, u64)>, object: impl Fn(K, u64) -> Value) -> Value {
    sums.into_iter().map(|(key, steps)| object(key, steps)).collect()
}

/// A share of all steps.
fn per_cent(steps: u64, all: u64) -> String {
    if all == 0 { "-".to_owned() } else { format!("{:.2}", steps as f64 * 100.0 / all as f64) }
}
