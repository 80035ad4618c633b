"""Proves what the verifiers do with an instruction (README.md). Run by `tests/prove`."""

import sys
import time

import instructions

start = time.monotonic()
wrong = instructions.prove()
for claim in wrong:
    print(f"NOT PROVED: {claim}")
print(f"{len(wrong)} claims not proved, {time.monotonic() - start:.0f} s")
sys.exit(bool(wrong))
