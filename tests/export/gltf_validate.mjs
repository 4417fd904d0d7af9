// Prints the Khronos validator's report on one .glb as JSON: node gltf_validate.mjs FILE
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";

// require, not import: it looks into NODE_PATH too.
const { validateBytes } = createRequire(import.meta.url)("gltf-validator");
const report = await validateBytes(new Uint8Array(await readFile(process.argv[2])));
console.log(JSON.stringify(report.issues));
