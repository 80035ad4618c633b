"""Bitwuzla as a program: `solver.py FILE` answers what the SMT-LIB file asks."""

import sys

import bitwuzla

options = bitwuzla.Options()
options.set(bitwuzla.Option.PRODUCE_MODELS, True)
bitwuzla.Parser(bitwuzla.TermManager(), options).parse(sys.argv[-1], False)
