// Standard JSON in, standard JSON out, with the pinned compiler: `node solc.mjs < input.json`.
import { readFileSync } from "node:fs";
import solc from "solc";

const input = JSON.parse(readFileSync(0, "utf8"));
const output = JSON.parse(solc.compile(JSON.stringify(input)));
process.stdout.write(JSON.stringify({ version: solc.version(), ...output }));
