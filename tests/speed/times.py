"""How long models take in all engines."""

import math
import os
import statistics
import subprocess
import sys
import time
from datetime import date
from pathlib import Path

import numpy as np

from page import computer, listed, mean, number, reason, table

# Each engine is a process that holds the model while it is measured. The last one is ours with two threads.
OTHERS = ["onnxruntime", "tract"]
ENGINES = [*OTHERS, "opml", "opml 2"]

# How long an engine is measured before it is the next one's turn, in seconds.
TURN = 0.1

# How far results may be from onnxruntime's, relative to the largest one.
TOLERANCE = 1e-4

# A program that always runs, until the process that started it is gone.
SPINNER = "import os\nparent = os.getppid()\nwhile os.getppid() == parent: pass"


class Engine:
    """A process that runs a model when it is asked to (see `engines.py`)."""

    def __init__(self, name, folder, executable, cache):
        self.results = cache / f"{name}.results"
        kind, threads = (name.split() + ["1"])[:2]
        script = Path(__file__).parent / "engines.py"
        command = [executable] if kind == "opml" else [sys.executable, script, kind]
        command += [folder, threads, self.results]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        answer = self.process.stdout.readline().strip()
        self.refusal = None if answer == "ready" else answer or "it ended early"

    def seconds(self, count):
        """The processor's time for a run, and the median of the times on the clock."""
        before = self.processor_time()
        print(count, file=self.process.stdin, flush=True)
        clock = float(self.process.stdout.readline())
        # It runs once more than it is told.
        return (self.processor_time() - before) / (count + 1), clock

    def processor_time(self):
        """What the kernel has counted for all threads of the process, as clock_getcpuclockid(3) finds it."""
        return time.clock_gettime(~self.process.pid << 3 | 2)

    def output(self):
        return np.fromfile(self.results, np.float32)

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def rounds(engines, count):
    """Medians of processor time and of time on the clock, by engine. Engines take turns of about `TURN`."""
    turns = {name: max(1, round(TURN / engine.seconds(1)[0])) for name, engine in engines.items()}
    times = {name: [] for name in engines}
    for _ in range(count):
        for name, engine in engines.items():
            times[name].append(engine.seconds(turns[name]))
    return tuple(
        {name: statistics.median(pair[index] for pair in pairs) for name, pairs in times.items()}
        for index in (0, 1)
    )


def compare(outputs):
    """How far results are from onnxruntime's, relative to the largest one. Ours must have the same bits."""
    expected = outputs["onnxruntime"]
    differences = {
        name: float(np.max(np.abs(output - expected)) / np.max(np.abs(expected)))
        for name, output in outputs.items()
    }
    if "opml" in outputs and outputs["opml"].tobytes() != outputs["opml 2"].tobytes():
        differences["opml 2"] = math.inf
    return differences


def measure(folder, executable, cache, count):
    """What there is to say of a model: processor time by engine; time on the clock, without and with another
    process that always runs; differences from onnxruntime; who refuses it."""
    started = {name: Engine(name, folder, executable, cache) for name in ENGINES}
    engines = {name: engine for name, engine in started.items() if not engine.refusal}
    differences = compare({name: engine.output() for name, engine in engines.items()})
    processor, quiet = rounds(engines, count)
    ours = {name: engine for name, engine in engines.items() if name not in OTHERS}
    spinner = subprocess.Popen([sys.executable, "-c", SPINNER])
    try:
        _, busy = rounds(ours, count)
    finally:
        spinner.kill()
        spinner.wait()
    for engine in started.values():
        engine.close()
    refusals = {name: started[name].refusal for name in [*OTHERS, "opml"] if started[name].refusal}
    return {
        "processor": processor,
        "quiet": quiet,
        "busy": busy,
        "differences": differences,
        "refusals": refusals,
    }


def quotient(seconds, above, below):
    return seconds[above] / seconds[below] if above in seconds and below in seconds else None


def ratios(result):
    """The last columns of a row."""
    seconds, quiet, busy = result["processor"], result["quiet"], result["busy"]
    threads = [quotient(times, "opml", "opml 2") for times in (quiet, busy)]
    return [quotient(seconds, "opml", other) for other in OTHERS] + threads


def report(results):
    """The table, and what is said below it."""
    head = ["model", "million multiply-adds", "onnxruntime ms", "tract ms", "opml ms"]
    rows = [[*head, "opml / onnxruntime", "opml / tract", "2 threads", "busy"]]
    differences, notes = [0.0], []
    for group, found in results.items():
        for name, (work, result) in found.items():
            times = [result["processor"].get(engine) for engine in [*OTHERS, "opml"]]
            milliseconds = [number(seconds and seconds * 1e3) for seconds in times]
            work = number(work / 1e6) if work else "-"
            rows.append([name, work, *milliseconds, *map(number, ratios(result))])
            notes += [f"{name}, {engine}: {reason(why)}" for engine, why in result["refusals"].items()]
            differences += result["differences"].values()
        means = map(mean, zip(*(ratios(result) for _, result in found.values())))
        rows.append([f"**{group}**, geometric mean", "", "", "", "", *map(number, means)])
    largest = "The largest difference from onnxruntime, relative to the largest of a model's results"
    return table(rows) + f"\n{largest}: {max(differences):.1e}.\n" + listed("Not measured", notes)


def times(groups, executable, cache, count):
    """The text for the page, and which results are wrong."""
    load, results, wrong = os.getloadavg()[0], {}, []
    for group, found in groups.items():
        for name, (folder, work) in found.items():
            result = measure(folder, executable, cache, count)
            results.setdefault(group, {})[name] = work, result
            for engine, seconds in result["processor"].items():
                print(f"{name}, {engine}: {number(seconds * 1e3)} ms", file=sys.stderr, flush=True)
            for engine, difference in result["differences"].items():
                # Not a number is wrong too.
                if not difference <= TOLERANCE:
                    wrong.append(f"{name}: {engine} differs from onnxruntime by {difference:.1e}")
    when = f"Measured on {date.today()} in {count} rounds, after a minute with a load of {load:.1f}:\n"
    return f"{when}{computer(OTHERS)}.\n\n{report(results)}", wrong
