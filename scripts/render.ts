import { chmod, mkdir, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { stackNameProblem } from "../components/config/schema";
import { renderFleet } from "../components/render/render";
import { readStackFile } from "../components/render/stackFile";
import { codeOf, readText } from "../components/text/files";
import { readArguments, runScript } from "./script";

const USAGE = "expected --stack NAME and --out DIR";

/**
 * Writes what a stack would put into repositories and on hosts to a folder, without engine, network or secrets. Run it
 * in the folder with Pulumi.yaml. Files that are there already are overwritten, others are left alone.
 */
async function render(): Promise<number> {
  const { stack, out } = options();
  const problem = stackNameProblem(stack);
  if (problem !== undefined) throw new Error(problem);
  const [projectFile, stackFile] = await Promise.all([
    readText("Pulumi.yaml", "the project's file in the current folder"),
    readText(`Pulumi.${stack}.yaml`, `the file of a stack named ${stack}`),
  ]);
  const found = readStackFile(stack, projectFile, stackFile);
  if (!found.ok) throw new Error(found.problems.join("\n"));

  const { files, notes } = renderFleet(found.project, stack, found.settings);
  for (const { path, mode, content } of files) {
    const file = join(out, path);
    try {
      await mkdir(dirname(file), { recursive: true });
      await writeFile(file, content);
      await chmod(file, Number.parseInt(mode, 8));
    } catch (error) {
      throw new Error(`${file} cannot be written (${codeOf(error)}).`, { cause: error });
    }
    process.stdout.write(`${file}\n`);
  }
  for (const note of notes) process.stderr.write(`${note}\n`);
  return 0;
}

function options(): { readonly stack: string; readonly out: string } {
  const { values } = readArguments(
    { options: { stack: { type: "string" }, out: { type: "string" } } },
    USAGE,
  );
  const { stack, out } = values;
  if (stack !== undefined && out !== undefined && out !== "") return { stack, out };
  throw new Error(`An option is missing, ${USAGE}.`);
}

runScript(render);
