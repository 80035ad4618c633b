"""What is written to docs/real-models.md."""

from datetime import date

from packaged import ROOT
from page import computer, mean, number, table

PAGE = ROOT / "docs/real-models.md"


def state(result):
    """What is to say of a model, in a few words."""
    if "refused" in result:
        return " ".join(result["refused"].split())[:160]
    return "agrees" if result["agrees"] else "WRONG"


def ratio(result):
    times = result.get("times")
    return times and times["opml"] / times["onnxruntime"]


def line(name, result):
    """A row while models run."""
    words = [name, state(result)]
    if "difference" in result:
        words.append(f"{result['difference']:.1e} (their own {result['own']:.1e})")
    if result.get("times"):
        times = result["times"]
        words.append(f"{number(times['opml'] * 1e3)} ms / {number(times['onnxruntime'] * 1e3)} ms")
        words.append(number(ratio(result)))
    return " | ".join(words)


def operators(nodes, shown=3):
    """How many nodes there are, of how many kinds, and the most frequent ones."""
    first = sorted(nodes, key=lambda name: (-nodes[name], name))[:shown]
    return f"{sum(nodes.values())} of {len(nodes)} kinds: {', '.join(first)}"


def row(name, result):
    times = result.get("times") or {}
    milliseconds = [number(times[engine] * 1e3) if times else "-" for engine in ("onnxruntime", "opml")]
    steps = result.get("steps")
    differences = [f"{result[what]:.0e}" if what in result else "-" for what in ("difference", "own")]
    return [
        name,
        operators(result["nodes"]),
        number(result["parameters"] / 1e6) if result["parameters"] else "-",
        number(steps / 1e6) if steps else "-",
        *milliseconds,
        number(ratio(result)),
        *differences,
        "+".join(backend[0] for backend in result.get("backends", [])) or "-",
        state(result),
    ]


def page(results):
    head = ["model", "nodes", "million parameters", "million steps", "onnxruntime ms", "opml ms", "ratio"]
    rows = [[*head, "difference", "their own", "backends", "state"]]
    rows += [row(name, result) for name, result in results.items()]
    ratios = [ratio(result) for result in results.values() if ratio(result)]
    agree = sum(result.get("agrees", False) and "refused" not in result for result in results.values())
    text = f"Measured on {date.today()}: {computer(['onnxruntime'])}.\n\n{table(rows)}\n"
    text += f"{agree} of {len(results)} models agree."
    if ratios:
        text += f" The geometric mean of the ratios of {len(ratios)} models is {number(mean(ratios))}."
    return text + "\n"


def wrong(results):
    """Models that are refused or that differ."""
    return [f"{name}: {state(result)}" for name, result in results.items() if state(result) != "agrees"]


def bless(mark, text):
    """Replaces what stands between two marks on the page."""
    begin, end = f"<!-- {mark}: made by tests/real/run -->\n", f"<!-- end of {mark} -->\n"
    before, rest = PAGE.read_text().split(begin)
    PAGE.write_text(f"{before}{begin}\n{text}\n{end}{rest.split(end)[1]}")
