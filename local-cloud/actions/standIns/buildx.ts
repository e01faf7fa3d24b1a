import type { ActionRun } from "../action";

/** What `docker buildx inspect` says of a builder. */
export interface Builder {
  readonly name: string;
  readonly driver: string;
  readonly nodes: readonly BuilderNode[];
}

export interface BuilderNode {
  readonly name: string;
  readonly endpoint: string;
  readonly status: string;
  readonly "buildkitd-flags"?: string;
  readonly buildkit?: string;
  readonly platforms?: string;
}

/** @param name Default: the builder in use. @throws ActionFailure where there is none. */
export async function inspectBuilder(run: ActionRun, name: string): Promise<Builder> {
  const { stdout } = await run.exec("docker", ["buildx", "inspect", ...(name && [name])], {
    silent: true,
  });
  return parseBuilder(stdout);
}

export async function builderExists(run: ActionRun, name: string): Promise<boolean> {
  const args = ["buildx", "inspect", name];
  return (await run.exec("docker", args, { silent: true, check: false })).code === 0;
}

/** The text has two parts: the builder, and below `Nodes:` one block per node that begins with its name. */
export function parseBuilder(text: string): Builder {
  const [head = "", tail = ""] = text.split(/^Nodes:$/m);
  const builder = blocks(head)[0] ?? {};
  return {
    name: builder["Name"] ?? "",
    driver: builder["Driver"] ?? "",
    nodes: blocks(tail).map((block) => ({
      name: block["Name"] ?? "",
      endpoint: block["Endpoint"] ?? "",
      status: block["Status"] ?? "",
      ...(block["BuildKit daemon flags"] && { "buildkitd-flags": block["BuildKit daemon flags"] }),
      ...(block["BuildKit version"] && { buildkit: block["BuildKit version"] }),
      ...(block["Platforms"] && {
        platforms: block["Platforms"].replaceAll(/[\s*]+/g, ""),
      }),
    })),
  };
}

function blocks(text: string): Record<string, string>[] {
  const found: Record<string, string>[] = [];
  for (const line of text.split("\n")) {
    // Indented lines belong to lists such as labels.
    const match = /^([A-Z][\w ]*):\s*(.*)$/.exec(line);
    if (match?.[1] === undefined) continue;
    if (match[1] === "Name") found.push({});
    const last = found.at(-1);
    if (last !== undefined) last[match[1]] ??= match[2]?.trim() ?? "";
  }
  return found;
}
