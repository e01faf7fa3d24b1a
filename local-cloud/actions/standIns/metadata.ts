import semver from "semver";
import { type ActionDefinition, ActionFailure, type ActionRun } from "../action";
import { fieldsOf, listOf, pairOf } from "./lists";
import { get } from "./rest";

/** docker/metadata-action: tags, labels and annotations of an image from what has triggered the workflow. */
export const metadata: ActionDefinition = {
  inputs: {
    context: { default: "workflow" },
    images: {},
    tags: {},
    flavor: {},
    labels: {},
    annotations: {},
    "sep-tags": {},
    "sep-labels": {},
    "sep-annotations": {},
    "bake-target": { unmodelled: true },
    "github-token": { default: "${{ github.token }}" },
  },
  main: async (run) => {
    if (run.input("context") !== "workflow")
      throw new ActionFailure(
        `The local cloud does not model the context ${run.input("context")}, expected workflow.`,
      );
    const github = run.github as unknown as TriggerContext;
    const response = await get(
      run,
      `/repos/${github.repository}`,
      run.requiredInput("github-token"),
    );
    const list = (name: string): string[] =>
      listOf(run.rawInput(name), { keepCommas: true, comments: true });
    const result = describe(
      {
        images: list("images"),
        tags: list("tags"),
        flavor: list("flavor"),
        labels: list("labels"),
        annotations: list("annotations"),
      },
      github,
      (await response.json()) as RepositoryView,
      { now: new Date(), env: run.env, warn: (text) => run.warning(text) },
    );
    await report(run, result);
  },
};

async function report(run: ActionRun, result: Description): Promise<void> {
  const set = (name: string, value: string): void => {
    run.setOutput(name, value);
    if (run.env["DOCKER_METADATA_SET_OUTPUT_ENV"] !== "false")
      run.exportVariable(
        `DOCKER_METADATA_OUTPUT_${name.replaceAll(/\W/g, "_").toUpperCase()}`,
        value,
      );
  };
  const show = (title: string, lines: readonly string[]): Promise<void> =>
    run.group(title, () => lines.forEach((line) => run.info(line)));
  if (result.version === "")
    run.warning("No Docker image version has been generated. Check tags input.");
  else await show("Docker image version", [result.version]);
  if (result.tags.length === 0) run.warning("No Docker tag has been generated. Check tags input.");
  else await show("Docker tags", result.tags);
  await show("Docker labels", result.labels);

  const levels = (run.env["DOCKER_METADATA_ANNOTATIONS_LEVELS"] || "manifest").split(",");
  const annotations = levels.flatMap((level) =>
    result.annotations.map((annotation) => `${level}:${annotation}`),
  );
  await show("Annotations", annotations);
  const json = {
    tags: result.tags,
    "tag-names": result.tagNames,
    labels: Object.fromEntries(result.labels.map((label) => pairOf(label))),
    annotations,
  };
  await show("JSON output", JSON.stringify(json, null, 2).split("\n"));
  set("version", result.version);
  set("tags", result.tags.join(run.rawInput("sep-tags") || "\n"));
  set("tag-names", result.tagNames.join(run.rawInput("sep-tags") || "\n"));
  set("labels", result.labels.join(run.rawInput("sep-labels") || "\n"));
  set("annotations", annotations.join(run.rawInput("sep-annotations") || "\n"));
  set("json", JSON.stringify(json));
}

export interface MetadataInputs {
  readonly images: readonly string[];
  readonly tags: readonly string[];
  readonly flavor: readonly string[];
  readonly labels: readonly string[];
  readonly annotations: readonly string[];
}

/** The part of the context `github` that decides. */
export interface TriggerContext {
  readonly event_name: string;
  readonly ref: string;
  readonly sha: string;
  readonly repository: string;
  readonly event: {
    readonly base_ref?: string | null;
    readonly repository?: { readonly default_branch?: string };
    readonly pull_request?: {
      readonly base?: { readonly ref?: string };
      readonly head?: { readonly sha?: string };
    };
    readonly head_commit?: { readonly id?: string; readonly timestamp?: string } | null;
  };
}

/** The part of GitHub's view of a repository that labels tell. */
export interface RepositoryView {
  readonly name?: string;
  readonly description?: string | null;
  readonly html_url?: string;
  readonly default_branch?: string;
  readonly license?: { readonly spdx_id?: string } | null;
}

export interface Description {
  readonly version: string;
  /** With the images' names. */
  readonly tags: readonly string[];
  readonly tagNames: readonly string[];
  /** `key=value`, sorted; annotations without their levels. */
  readonly labels: readonly string[];
  readonly annotations: readonly string[];
}

export interface Surroundings {
  readonly now: Date;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly warn: (text: string) => void;
}

/** The rules by themselves. @throws ActionFailure on a rule that is wrong or not modelled. */
export function describe(
  inputs: MetadataInputs,
  github: TriggerContext,
  repository: RepositoryView,
  surroundings: Surroundings,
): Description {
  return new Rules(inputs, github, repository, surroundings).describe();
}

interface TagRule {
  readonly line: string;
  readonly type: string;
  readonly attributes: Readonly<Record<string, string>>;
}

/** Priority and default attributes of each type. */
const TYPES: Readonly<
  Record<string, { readonly priority: number; readonly defaults: Readonly<Record<string, string>> }>
> = {
  schedule: { priority: 1000, defaults: { pattern: "nightly" } },
  semver: { priority: 900, defaults: { value: "", match: "" } },
  match: { priority: 800, defaults: { group: "0", value: "" } },
  edge: { priority: 700, defaults: { branch: "" } },
  ref: { priority: 600, defaults: {} },
  raw: { priority: 200, defaults: {} },
  sha: { priority: 100, defaults: { prefix: "sha-", format: "short" } },
};
const REQUIRED: Readonly<Record<string, string>> = {
  semver: "pattern",
  match: "pattern",
  ref: "event",
  raw: "value",
};
const DEFAULT_TAGS = [
  "type=schedule",
  "type=ref,event=branch",
  "type=ref,event=tag",
  "type=ref,event=pr",
];

interface Flavor {
  latest: string;
  prefix: string;
  prefixLatest: boolean;
  suffix: string;
  suffixLatest: boolean;
}

class Rules {
  private readonly flavor: Flavor;
  private readonly names: string[] = [];
  private latest: boolean | undefined;
  private readonly ref: string;
  private readonly sha: string;

  constructor(
    private readonly inputs: MetadataInputs,
    private readonly github: TriggerContext,
    private readonly repository: RepositoryView,
    private readonly surroundings: Surroundings,
  ) {
    this.flavor = parseFlavor(inputs.flavor);
    this.ref = github.ref;
    const headSha = github.event.pull_request?.head?.sha;
    this.sha =
      /true/i.test(surroundings.env["DOCKER_METADATA_PR_HEAD_SHA"] ?? "") && headSha !== undefined
        ? headSha
        : github.sha;
  }

  describe(): Description {
    const rules = (this.inputs.tags.length === 0 ? DEFAULT_TAGS : this.inputs.tags)
      .map(parseRule)
      .sort((a, b) => priority(b) - priority(a));
    for (const rule of rules) {
      const enabled = this.global(rule.attributes["enable"] ?? "true");
      if (enabled !== "true" && enabled !== "false")
        throw new ActionFailure(`Invalid value for enable attribute: ${enabled}`);
      if (enabled === "true") this.apply(rule);
    }
    const names = [...new Set(this.names)];
    if (this.latest === true && names.length > 0) {
      const { prefix, prefixLatest, suffix, suffixLatest } = this.flavor;
      names.push(sanitize(`${prefixLatest ? prefix : ""}latest${suffixLatest ? suffix : ""}`));
    }
    const images = parseImages(this.inputs.images);
    return {
      version: names[0] ?? "",
      tags:
        images.length === 0
          ? names
          : images.flatMap((image) => names.map((name) => `${image}:${name}`)),
      tagNames: names,
      labels: this.labels(names[0] ?? "", this.inputs.labels),
      annotations: this.labels(names[0] ?? "", this.inputs.annotations),
    };
  }

  private apply(rule: TagRule): void {
    const { attributes } = rule;
    switch (rule.type) {
      case "schedule":
        if (this.github.event_name === "schedule")
          this.add(this.global(attributes["pattern"] ?? ""), rule, false);
        break;
      case "semver":
        this.semver(rule);
        break;
      case "match":
        this.match(rule);
        break;
      case "edge": {
        const branch = attributes["branch"] || (this.repository.default_branch ?? "");
        if (branch !== "" && this.branch === branch) this.add("edge", rule, false);
        break;
      }
      case "ref":
        if (attributes["event"] === "branch") {
          if (this.branch !== "") this.add(this.branch, rule, false);
        } else if (attributes["event"] === "tag") {
          if (this.tag !== "") this.add(this.tag, rule, true);
        } else if (this.ref.startsWith("refs/pull/"))
          this.add(this.ref.replace("refs/pull/", "").replace(/\/merge$/, ""), rule, false);
        break;
      case "raw":
        this.add(this.global(attributes["value"] ?? ""), rule, false);
        break;
      default:
        this.add(attributes["format"] === "long" ? this.sha : this.shortSha, rule, false);
    }
  }

  private semver(rule: TagRule): void {
    const { pattern = "", match = "" } = rule.attributes;
    let version = this.valueOrTag(rule);
    if (version === "") return;
    if (match !== "") {
      const found = version.match(match);
      if (found === null) this.surroundings.warn(`${match} does not match ${version}.`);
      else version = found[1] ?? "";
    }
    version = version.replaceAll("/", "-");
    const parsed = semver.parse(version);
    if (parsed === null) {
      this.surroundings.warn(`${version} is not a valid semver. More info: https://semver.org/`);
      return;
    }
    const prerelease = parsed.prerelease.length > 0;
    // A prerelease has no short forms: they would overwrite the tags of the release.
    const used = prerelease && !/^\{\{\s*raw\s*\}\}$/.test(pattern) ? "{{version}}" : pattern;
    const name = render(used, {
      raw: () => parsed.raw,
      version: () => parsed.version,
      major: () => String(parsed.major),
      minor: () => String(parsed.minor),
      patch: () => String(parsed.patch),
    });
    this.add(name, rule, !prerelease);
  }

  private match(rule: TagRule): void {
    const { pattern = "", group = "0" } = rule.attributes;
    const value = this.valueOrTag(rule);
    if (value === "") return;
    const slashed = /^\/(.+)\/(.*)$/.exec(pattern);
    const found = value.match(
      slashed === null ? new RegExp(pattern) : new RegExp(slashed[1] ?? "", slashed[2]),
    );
    if (found === null) this.surroundings.warn(`${pattern} does not match ${value}.`);
    else if (found[Number(group)] === undefined)
      this.surroundings.warn(`Group ${group} does not exist for ${pattern} pattern.`);
    else this.add(found[Number(group)] ?? "", rule, true);
  }

  private valueOrTag({ attributes }: TagRule): string {
    return (attributes["value"] ?? "") === "" ? this.tag : this.global(attributes["value"] ?? "");
  }

  /** @param latest Whether a tag of this rule is also the latest, when the flavor leaves it to the rules. */
  private add(value: string, { attributes }: TagRule, latest: boolean): void {
    const prefix = this.global(attributes["prefix"] ?? this.flavor.prefix);
    const suffix = this.global(attributes["suffix"] ?? this.flavor.suffix);
    const name = sanitize(`${prefix}${value}${suffix}`);
    if (name === "") return;
    this.names.push(name);
    // The first rule that gives a tag decides.
    this.latest ??= this.flavor.latest === "auto" ? latest : this.flavor.latest === "true";
  }

  private get branch(): string {
    return after(this.ref, "refs/heads/");
  }

  private get tag(): string {
    return after(this.ref, "refs/tags/");
  }

  private get shortSha(): string {
    const length = Number(this.surroundings.env["DOCKER_METADATA_SHORT_SHA_LENGTH"] ?? 7);
    if (Number.isNaN(length))
      throw new ActionFailure("DOCKER_METADATA_SHORT_SHA_LENGTH is not a valid number");
    return this.sha.slice(0, length);
  }

  /** Expressions that attributes of any rule may hold. */
  private global(text: string): string {
    const { event, event_name: eventName } = this.github;
    const isDefault = (): boolean => {
      const branch = this.ref.replace("refs/heads/", "");
      return (
        branch !== "" &&
        (event.repository?.default_branch === branch ||
          /create|discussion|issues|schedule/.test(eventName))
      );
    };
    return render(text, {
      branch: () => this.branch,
      tag: () => this.tag,
      sha: () => this.shortSha,
      base_ref: () =>
        this.tag !== ""
          ? after(event.base_ref ?? "", "refs/heads/")
          : (event.pull_request?.base?.ref ?? ""),
      is_default_branch: () => String(isDefault()),
      is_not_default_branch: () => String(!isDefault()),
      date: (args) => formatDate(this.surroundings.now, args),
      commit_date: (args) => {
        const time = event.head_commit?.id === this.sha ? event.head_commit?.timestamp : undefined;
        return formatDate(time === undefined ? this.surroundings.now : new Date(time), args);
      },
    });
  }

  private labels(version: string, more: readonly string[]): string[] {
    const { name, description, html_url: url, license } = this.repository;
    const prefix = "org.opencontainers.image.";
    const labels = new Map<string, string>([
      [`${prefix}title`, name ?? ""],
      [`${prefix}description`, description ?? ""],
      [`${prefix}url`, url ?? ""],
      [`${prefix}source`, url ?? ""],
      [`${prefix}version`, version],
      [`${prefix}created`, this.surroundings.now.toISOString()],
      [`${prefix}revision`, this.sha],
      [`${prefix}licenses`, license?.spdx_id ?? ""],
    ]);
    for (const label of more) {
      const text = this.global(label);
      const at = text.indexOf("=");
      if (at < 0) labels.set(text, "");
      else labels.set(text.slice(0, at), text.slice(at + 1));
    }
    return [...labels]
      .sort(([a], [b]) => a.localeCompare(b))
      .map(([key, value]) => `${key}=${value}`);
  }
}

function parseRule(line: string): TagRule {
  let type = "raw";
  const given: Record<string, string> = {};
  for (const [key, value] of fieldsOf(line).map(pairOf)) {
    if (value === undefined) given["value"] = key;
    else if (key.toLowerCase() === "type") type = value;
    else given[key.toLowerCase()] = value;
  }
  const known = TYPES[type];
  if (known === undefined)
    throw new ActionFailure(
      type === "pep440"
        ? "The local cloud does not model tags of type pep440."
        : `Unknown tag type attribute: ${type}`,
    );
  const required = REQUIRED[type];
  if (required !== undefined && given[required] === undefined)
    throw new ActionFailure(`Missing ${required} attribute for ${line}`);
  const attributes: Record<string, string> = { ...known.defaults, ...given };
  if (type === "ref") {
    if (!["branch", "tag", "pr"].includes(attributes["event"] ?? ""))
      throw new ActionFailure(`Invalid event for ${line}`);
    if (attributes["event"] === "pr") attributes["prefix"] ??= "pr-";
  }
  if (type === "sha" && !["short", "long"].includes(attributes["format"] ?? ""))
    throw new ActionFailure(`Invalid format for ${line}`);
  if (type === "match" && Number.isNaN(Number(attributes["group"])))
    throw new ActionFailure(`Invalid match group for ${line}`);
  return { line, type, attributes };
}

function priority({ type, attributes }: TagRule): number {
  return Number(attributes["priority"] ?? TYPES[type]?.priority);
}

function parseFlavor(lines: readonly string[]): Flavor {
  const flavor: Flavor = {
    latest: "auto",
    prefix: "",
    prefixLatest: false,
    suffix: "",
    suffixLatest: false,
  };
  for (const line of lines) {
    let previous = "";
    for (const [name, value] of fieldsOf(line).map(pairOf)) {
      const key = name.toLowerCase();
      if (value === undefined) throw new ActionFailure(`Invalid flavor entry: ${line}`);
      if (key === "latest") {
        if (!["auto", "true", "false"].includes(value))
          throw new ActionFailure(`Invalid latest flavor entry: ${line}`);
        flavor.latest = value;
      } else if (key === "prefix" || key === "suffix") flavor[key] = value;
      else if (key === "onlatest" && (previous === "prefix" || previous === "suffix")) {
        if (value !== "true" && value !== "false")
          throw new ActionFailure(`Invalid value for onlatest attribute: ${value}`);
        flavor[`${previous}Latest`] = value === "true";
      } else throw new ActionFailure(`Unknown flavor entry: ${line}`);
      previous = key;
    }
  }
  return flavor;
}

/** Names in lower case, as registries want them. */
function parseImages(lines: readonly string[]): string[] {
  const images: string[] = [];
  for (const line of lines) {
    let name = "";
    let enabled = true;
    const fields = fieldsOf(line).map(pairOf);
    // One line of names alone is a list of images.
    if (lines.length === 1 && fields.every(([, value]) => value === undefined))
      return fields.map(([one]) => one.toLowerCase());
    for (const [key, value] of fields) {
      if (value === undefined) name = key;
      else if (key.toLowerCase() === "name") name = value;
      else if (key.toLowerCase() === "enable" && (value === "true" || value === "false"))
        enabled = value === "true";
      else throw new ActionFailure(`Unknown image attribute: ${line}`);
    }
    if (name === "") throw new ActionFailure(`Image name attribute empty: ${line}`);
    if (enabled) images.push(name.toLowerCase());
  }
  return images;
}

/** Fills `{{name}}` and `{{name 'argument'}}`; other forms of the action's template language fail. */
function render(
  template: string,
  values: Readonly<Record<string, (args: string) => string>>,
): string {
  return template.replaceAll(/\{\{\s*(.*?)\s*\}\}/g, (_all, inside: string) => {
    const [, name = "", args = ""] = /^(\w+)\s*(.*)$/.exec(inside) ?? [];
    const value = Object.hasOwn(values, name) ? values[name] : undefined;
    if (value === undefined || (args !== "" && !/date$/.test(name)))
      throw new ActionFailure(`The local cloud does not model the expression {{${inside}}}.`);
    return value(args);
  });
}

function formatDate(date: Date, args: string): string {
  const match = /^(['"])(.*?)\1(?:\s+tz=(['"])UTC\3)?$/.exec(args);
  const parts: Readonly<Record<string, string>> = {
    YYYY: date.toISOString().slice(0, 4),
    MM: date.toISOString().slice(5, 7),
    DD: date.toISOString().slice(8, 10),
    HH: date.toISOString().slice(11, 13),
    mm: date.toISOString().slice(14, 16),
    ss: date.toISOString().slice(17, 19),
    X: String(Math.floor(date.getTime() / 1000)),
  };
  const format = match?.[2];
  if (format === undefined || !/^(?:YYYY|MM|DD|HH|mm|ss|X|[^A-Za-z])+$/.test(format))
    throw new ActionFailure(
      `The local cloud does not model the date ${args}, expected a format of YYYY, MM, DD, HH, mm, ss or X in UTC.`,
    );
  return format.replaceAll(/YYYY|MM|DD|HH|mm|ss|X/g, (token) => parts[token] ?? "");
}

function after(text: string, prefix: string): string {
  return text.startsWith(prefix) ? text.slice(prefix.length) : "";
}

function sanitize(tag: string): string {
  return tag.replaceAll(/[^a-zA-Z0-9._-]+/g, "-");
}
