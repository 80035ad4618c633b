#!/bin/sh
# Compiles the program and makes an image of it. The flags are those of README.md; `opml` must be on the path.
set -e
cd "$(dirname "$0")"
riscv64-unknown-elf-gcc -O2 -march=rv64imfd -mabi=lp64d -ffreestanding -nostdlib -static score.c -o "${1:-score.elf}"
opml image from-elf "${1:-score.elf}" --max-steps 5000 -o "${2:-score.opml}"
