#!/usr/bin/env node
// The pinned compiler as a program: standard JSON in, standard JSON and the compiler's version out. Stands in for solc
// where Foundry and slither call it, which ask for its version too, and may say more that is not needed here.
import { readFileSync } from "node:fs";
import solc from "solc";

if (process.argv.includes("--version")) {
    // Tools look for the platform behind the version.
    console.log(`solc, the solidity compiler commandline interface\nVersion: ${solc.version().replace("Emscripten.clang", "Linux.g++")}`);
} else {
    const output = JSON.parse(solc.compile(readFileSync(0, "utf8")));
    process.stdout.write(JSON.stringify({ version: solc.version(), ...output }));
}
