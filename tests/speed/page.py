"""What is written to docs/speed.md, and how."""

import math
import os
import platform
import re
import statistics
import subprocess
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
PAGE = ROOT / "docs/speed.md"


def number(value):
    """A number with three digits, or all that are before its point."""
    if value is None:
        return "-"
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.{2 - math.floor(math.log10(value))}f}"


def mean(values):
    """The geometric mean of those values that there are."""
    values = [value for value in values if value is not None]
    return math.exp(statistics.fmean(map(math.log, values))) if values else None


def table(rows):
    """A table in Markdown; the first row is the head, and the first column is text."""
    widths = [max(map(len, column)) for column in zip(*rows)]

    def line(row):
        first, *others = (cell.rjust(width) for cell, width in zip(row, widths))
        return "| " + " | ".join([first.strip().ljust(widths[0]), *others]) + " |"

    rules = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    return "\n".join(map(line, [rows[0], rules, *rows[1:]])) + "\n"


def listed(title, notes):
    """A list under a title, if there is anything to list."""
    return f"\n{title}:\n\n" + "".join(f"- {note}\n" for note in notes) if notes else ""


def reason(message):
    """Why a model is refused, in a few words."""
    lacking = re.findall(r"operator (\w+) is not supported", message)
    return "no " + " and no ".join(lacking) if lacking else " ".join(message.split())[:90]


def computer(packages):
    """This computer and the versions of what was measured on it."""
    names = re.findall(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    rustc = subprocess.run(["rustc", "--version"], capture_output=True, text=True, cwd=ROOT).stdout.strip()
    versions = ", ".join(f"{package} {version(package)}" for package in packages)
    return f"{names[0] if names else platform.machine()} with {os.cpu_count()} cores, {rustc},\n{versions}"


def bless(mark, text):
    """Replaces what stands between two marks on the page."""
    begin, end = f"<!-- {mark}: made by tests/speed/run -->\n", f"<!-- end of {mark} -->\n"
    before, rest = PAGE.read_text().split(begin)
    PAGE.write_text(f"{before}{begin}\n{text}\n{end}{rest.split(end)[1]}")
