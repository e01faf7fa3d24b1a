import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { build } from "esbuild";

/** The executor with all that it needs as the text of one CommonJS file, which Node 20 runs anywhere. */
export async function executorBundle(): Promise<string> {
  const { outputFiles } = await build({
    entryPoints: [join(__dirname, "executor.ts")],
    // The text names the files in it, and is the same wherever it is made.
    absWorkingDir: join(__dirname, "..", ".."),
    write: false,
    bundle: true,
    platform: "node",
    format: "cjs",
    target: "node20",
    legalComments: "eof",
    logLevel: "silent",
  });
  const [file] = outputFiles;
  if (file === undefined) throw new Error("esbuild wrote nothing, expected the executor.");
  return file.text;
}

/** Writes the executor as a file. */
export async function bundleExecutor(outfile: string): Promise<void> {
  await writeFile(outfile, await executorBundle());
}
