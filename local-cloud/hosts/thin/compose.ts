import { createHash } from "node:crypto";
import { parse } from "yaml";
import { z } from "zod";
import type { StoredFile } from "./applyScript";

const composeProject = z.object({
  services: z.record(
    z.string(),
    z.object({
      image: z.string(),
      command: z.array(z.string()).default([]),
      environment: z.record(z.string(), z.string()).default({}),
      env_file: z.array(z.string()).default([]),
      ports: z.array(z.string()).default([]),
      profiles: z.array(z.string()).default([]),
    }),
  ),
});

export interface Service {
  /** With what its env_file holds. */
  readonly environment: Readonly<Record<string, string>>;
  readonly ports: readonly string[];
  /** Path of its configuration, if it is the built-in token service. */
  readonly config: string | undefined;
  /** In a profile: not started by `compose up`. */
  readonly onDemand: boolean;
  /** Changes with whatever the service is defined by. */
  readonly hash: string;
}

/** @throws when the project is not one of token service `kms`, runners `runner-N`, and `buildkit`, which is taken note of only. */
export function readCompose(
  path: string,
  files: ReadonlyMap<string, StoredFile>,
): ReadonlyMap<string, Service> {
  const file = files.get(path);
  if (file === undefined) throw new Error(`${path} does not exist`);
  const document: unknown = parse(file.content, { version: "1.1" });
  const project = composeProject.safeParse(document);
  if (!project.success)
    throw new Error(`${path} is not understood: ${z.prettifyError(project.error)}`);
  const definitions = (document as { services: Record<string, unknown> }).services;
  return new Map(
    Object.entries(project.data.services).map(([name, service]) => {
      if (!/^(buildkit|kms|runner-[1-9]\d*)$/.test(name))
        throw new Error(
          `a thin host knows buildkit, kms and runner-N, and not the service ${name}`,
        );
      const environment = { ...fromFiles(service.env_file, files), ...service.environment };
      const definition = JSON.stringify([definitions[name], environment]);
      return [
        name,
        {
          environment,
          ports: service.ports,
          config: /\/tokenService\.mjs$/.test(service.command.at(-2) ?? "")
            ? service.command.at(-1)
            : undefined,
          onDemand: service.profiles.length > 0,
          hash: createHash("sha256").update(definition).digest("hex"),
        },
      ];
    }),
  );
}

function fromFiles(
  paths: readonly string[],
  files: ReadonlyMap<string, StoredFile>,
): Record<string, string> {
  const lines = paths.flatMap((path) => {
    const file = files.get(path);
    if (file === undefined) throw new Error(`the env_file ${path} does not exist`);
    return file.content.split("\n").filter((line) => line !== "" && !line.startsWith("#"));
  });
  return Object.fromEntries(
    lines.map((line) => {
      const at = line.indexOf("=");
      return [line.slice(0, at), line.slice(at + 1)];
    }),
  );
}
