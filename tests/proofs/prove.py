"""Proves what the verifiers do with an instruction (README.md). Run by `tests/prove`."""

import sys
import time
from concurrent.futures import ThreadPoolExecutor

import addition
import floats
import instructions

if sys.argv[1:] not in ([], ["quick"], ["add"]):
    sys.exit("usage: tests/prove [quick | add]")
start = time.monotonic()
quick = "quick" in sys.argv
if "add" in sys.argv:
    wrong = addition.prove()
else:
    with ThreadPoolExecutor() as pool:
        parts = [pool.submit(part.prove, quick) for part in (instructions, floats)]
        wrong = [claim for part in parts for claim in part.result()]
for claim in wrong:
    print(f"WRONG: {claim}")
print(f"{'Failed' if wrong else 'All as it should be'} after {time.monotonic() - start:.0f} s")
sys.exit(bool(wrong))
