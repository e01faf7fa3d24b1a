// Makes a fresh checkout ready: node_modules from the lockfile and, unless --modules is given, everything that the local
// cloud needs. Plain JavaScript on purpose: it runs before anything is installed. Costs nothing when all is in place.
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = dirname(dirname(fileURLToPath(import.meta.url)));

const [major, minor] = process.versions.node.split(".").map(Number);
if (major < 20 || (major === 20 && minor < 19)) {
  fail(`Node ${process.versions.node} is too old: Node 20.19 or newer is needed.`);
}

const marker = join(root, "node_modules", ".lockfile-hash");
const wanted = createHash("sha256")
  .update(readFileSync(join(root, "package-lock.json")))
  .digest("hex");
if (!existsSync(marker) || readFileSync(marker, "utf8") !== wanted) {
  console.error("setup: installing node_modules from the lockfile");
  run("npm", ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]);
  writeFileSync(marker, wanted);
}

if (!process.argv.includes("--modules")) {
  run(process.execPath, ["--import", "tsx", join(root, "local-cloud", "prepare.ts")]);
}

function run(command, args) {
  // Standard output stays with the command that this prepares for: --json and engine:path print one thing only.
  const { status, error } = spawnSync(command, args, { cwd: root, stdio: ["ignore", 2, 2] });
  if (error) fail(`${command} could not be started: ${error.message}.`);
  if (status !== 0) process.exit(status ?? 1);
}

function fail(sentence) {
  console.error(`setup: ${sentence}`);
  process.exit(1);
}
