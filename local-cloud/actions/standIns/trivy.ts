import { randomUUID } from "node:crypto";
import { readFile, rm } from "node:fs/promises";
import { join, resolve } from "node:path";
import { z } from "zod";
import { type ActionDefinition, ActionFailure, type ActionRun } from "../action";
import { packagesOfArchive, packagesOfLayers } from "./scan/image";
import type { Package } from "./scan/packages";
import { fetchLayers } from "./scan/remote";
import { compareVersions } from "./scan/versions";

const SEVERITIES = ["UNKNOWN", "LOW", "MEDIUM", "HIGH", "CRITICAL"] as const;

const advisories = z.array(
  z.strictObject({
    id: z.string().min(1),
    ecosystem: z.enum(["debian", "alpine", "go"]),
    /** Source package, or the path of a Go module (`stdlib` for Go itself). */
    package: z.string().min(1),
    /** First version that is not affected; without it there is no fix. */
    fixed: z.string().min(1).optional(),
    severity: z.enum(SEVERITIES),
    title: z.string(),
  }),
);

export type Advisory = z.infer<typeof advisories>[number];

/**
 * aquasecurity/trivy-action for images: a scanner that reads the packages of Debian and Alpine and the modules in Go
 * programs, and compares them with the advisories in the file that RUNNER_FLEET_ADVISORIES names.
 */
export const trivy: ActionDefinition = {
  inputs: {
    "scan-type": { default: "image" },
    "image-ref": {},
    input: {},
    "scan-ref": { default: ".", unmodelled: true },
    "exit-code": {},
    "ignore-unfixed": { default: "false" },
    "vuln-type": { default: "os,library" },
    severity: { default: SEVERITIES.join(",") },
    format: { default: "table" },
    template: { unmodelled: true },
    output: { unmodelled: true },
    "skip-dirs": { unmodelled: true },
    "skip-files": { unmodelled: true },
    "cache-dir": { default: "${{ github.workspace }}/.cache/trivy" },
    timeout: {},
    "ignore-policy": { unmodelled: true },
    "hide-progress": {},
    "list-all-pkgs": { default: "false", unmodelled: true },
    scanners: {},
    trivyignores: { unmodelled: true },
    "github-pat": { unmodelled: true },
    "trivy-config": { unmodelled: true },
    "tf-vars": { unmodelled: true },
    "limit-severities-for-sarif": { unmodelled: true },
    "docker-host": { unmodelled: true },
    version: { default: "v0.72.0" },
    cache: { default: "true" },
    "skip-setup-trivy": { default: "false" },
    "token-setup-trivy": { default: "${{ github.token }}" },
  },
  main: async (run) => {
    const known = await readAdvisories(run);
    for (const [name, expected] of [
      ["scan-type", ["image"]],
      ["format", ["table"]],
      ["scanners", ["", "vuln"]],
    ] as const)
      if (!(expected as readonly string[]).includes(run.input(name)))
        throw new ActionFailure(
          `The local cloud's scanner does not model ${name} ${run.input(name)}, expected ${expected.filter((one) => one !== "").join(" or ")}.`,
        );
    const severities = choice(run, "severity", SEVERITIES);
    const types = choice(run, "vuln-type", ["os", "library"]);
    const exitCode = run.input("exit-code") === "" ? 0 : Number(run.input("exit-code"));
    if (!Number.isInteger(exitCode) || exitCode < 0)
      throw new ActionFailure(`exit-code is ${run.input("exit-code")}, expected a number.`);

    const packages = (await scan(run)).filter((one) =>
      types.includes(one.ecosystem === "go" ? "library" : "os"),
    );
    const findings = match(packages, known).filter(
      ({ advisory }) =>
        severities.includes(advisory.severity) &&
        (advisory.fixed !== undefined || !/^true$/i.test(run.input("ignore-unfixed"))),
    );
    run.info(`Scanned ${packages.length} packages for ${known.length} advisories.`);
    run.info(table(findings));
    if (findings.length > 0 && exitCode !== 0)
      throw new ActionFailure(`Process completed with exit code ${exitCode}.`);
  },
};

async function readAdvisories(run: ActionRun): Promise<Advisory[]> {
  const file = run.env["RUNNER_FLEET_ADVISORIES"] ?? "";
  if (file === "")
    throw new ActionFailure(
      "The local cloud has no database of vulnerabilities: RUNNER_FLEET_ADVISORIES is not set, expected the path of a list of advisories.",
    );
  let list: unknown;
  try {
    list = JSON.parse(await readFile(file, "utf8"));
  } catch {
    throw new ActionFailure(`${file} cannot be read as JSON, expected a list of advisories.`);
  }
  const parsed = advisories.safeParse(list);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  throw new ActionFailure(`${file}: ${issue?.path.join(".") ?? ""}: ${issue?.message ?? ""}`);
}

function choice<T extends string>(run: ActionRun, name: string, all: readonly T[]): T[] {
  return run
    .input(name)
    .split(",")
    .map((given) => {
      const found = all.find((one) => one === given.trim());
      if (found === undefined)
        throw new ActionFailure(`${name} has ${given.trim()}, expected ${all.join(", ")}.`);
      return found;
    });
}

async function scan(run: ActionRun): Promise<Package[]> {
  const folder = join(run.temp, `trivy-${randomUUID()}`);
  const image = run.input("image-ref");
  const input = run.input("input");
  if ((image === "") === (input === ""))
    throw new ActionFailure("Neither or both of image-ref and input are given, expected one.");
  const saved = join(run.temp, `${randomUUID()}.tar`);
  try {
    if (input !== "") return await packagesOfArchive(resolve(run.workspace, input), folder);
    const sources = (run.env["TRIVY_IMAGE_SRC"] || "docker,remote").split(",");
    if (sources.includes("docker")) {
      const args = ["image", "inspect", image];
      const { code } = await run.exec("docker", args, { silent: true, check: false });
      if (code === 0) {
        await run.exec("docker", ["save", "--output", saved, image]);
        return await packagesOfArchive(saved, folder);
      }
    }
    if (!sources.includes("remote")) throw new Error("Docker does not have it");
    const platform =
      run.env["TRIVY_PLATFORM"] || `linux/${process.arch === "arm64" ? "arm64" : "amd64"}`;
    run.info(`Reading ${image} for ${platform} from its registry`);
    return await packagesOfLayers(
      await fetchLayers(image, folder, { platform, env: run.env, signal: run.signal }),
    );
  } catch (error) {
    if (error instanceof ActionFailure) throw error;
    throw new ActionFailure(
      `${image || input} cannot be scanned: ${error instanceof Error ? error.message : String(error)}`,
    );
  } finally {
    await rm(folder, { recursive: true, force: true });
    await rm(saved, { force: true });
  }
}

interface Finding {
  readonly advisory: Advisory;
  readonly package: Package;
}

function match(packages: readonly Package[], known: readonly Advisory[]): Finding[] {
  const findings = new Map<string, Finding>();
  for (const one of packages) {
    for (const advisory of known) {
      if (advisory.ecosystem !== one.ecosystem || advisory.package !== one.name) continue;
      if (
        advisory.fixed !== undefined &&
        compareVersions(one.ecosystem, one.version, advisory.fixed) >= 0
      )
        continue;
      // Several binary packages come from one source.
      findings.set([advisory.id, one.name, one.version, one.found].join(" "), {
        advisory,
        package: one,
      });
    }
  }
  return [...findings.values()].sort(
    (a, b) => SEVERITIES.indexOf(b.advisory.severity) - SEVERITIES.indexOf(a.advisory.severity),
  );
}

function table(findings: readonly Finding[]): string {
  const count = (severity: string): number =>
    findings.filter(({ advisory }) => advisory.severity === severity).length;
  const total = `Total: ${findings.length} (${SEVERITIES.map((one) => `${one}: ${count(one)}`).join(", ")})`;
  if (findings.length === 0) return total;
  const rows = [
    ["Library", "Vulnerability", "Severity", "Installed", "Fixed", "Found in", "Title"],
    ...findings.map(({ advisory, package: one }) => [
      one.name,
      advisory.id,
      advisory.severity,
      one.version,
      advisory.fixed ?? "",
      one.found,
      advisory.title,
    ]),
  ];
  const widths = (rows[0] ?? []).map((_, column) =>
    Math.max(...rows.map((row) => row[column]?.length ?? 0)),
  );
  const lines = rows.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join("  ")
      .trimEnd(),
  );
  return [total, "", ...lines].join("\n");
}
