import {
  type BuildFile,
  flag,
  lineage,
  mounts,
  type Stage,
  stageNamed,
  type Step,
} from "./dockerfile";
import { replaceStep, rewritten } from "./edits";
import type { Edit, Finding, Rule, Subject } from "./finding";
import { isCall } from "./shell";
import { isCargoCompile, isGo, TOOL_NAMES, type ToolName, TOOLS } from "./tools";

/** How a RUN step gets the mounts of one tool. */
interface Change {
  readonly targets: readonly string[];
  /** Options that every one of them needs. */
  readonly options?: string;
  readonly text?: (script: string) => string;
  readonly others?: readonly Edit[];
}

/** Home folders of users that are not root, in images that have them by default. */
const HOMES: Readonly<Record<string, { readonly home: string; readonly options: string }>> = {
  node: { home: "/home/node", options: ",uid=1000,gid=1000" },
  gradle: { home: "/home/gradle", options: ",uid=1000,gid=1000" },
};

export const cacheMount: Rule = (subject) =>
  subject.dockerfile.stages.flatMap((stage) =>
    stage.steps.flatMap((step) => missingMounts(subject, stage, step)),
  );

/** Whether a step keeps what the tool has fetched or compiled. */
export function hasCacheMount(step: Step, tool: ToolName): boolean {
  return mounts(step).some(
    ({ type, target }) =>
      type === "cache" && target !== undefined && TOOLS[tool].target.test(target),
  );
}

function missingMounts(subject: Subject, stage: Stage, step: Step): Finding[] {
  const file = subject.dockerfile;
  const home = homeOf(step);
  // Where another user's home is, and which number the user has, only the image knows.
  if (home === undefined) return [];
  const missing = TOOL_NAMES.filter(
    (tool) => step.commands.some(TOOLS[tool].caches) && !hasCacheMount(step, tool),
  );
  if (missing.length === 0) return [];
  const changes = missing.map((tool) => CHANGES[tool]({ subject, stage, step, home: home.home }));
  const flags = changes.flatMap(({ targets, options = "" }) =>
    targets.map((target) => `--mount=type=cache,target=${target}${home.options}${options}`),
  );
  const text = (script: string) =>
    changes.reduce((changed, change) => change.text?.(changed) ?? changed, script);
  const edits = [
    replaceStep(file, step, rewritten(file, step, { flags, text })),
    ...changes.flatMap(({ others = [] }) => others),
  ];
  const names = missing.map((tool) => TOOLS[tool].name).join(", ");
  return [
    {
      rule: "cache-mount",
      file: file.path,
      line: step.first,
      message: `${names} ${missing.length > 1 ? "run" : "runs"} without a cache mount.`,
      cost: "Whenever this step runs again, everything is fetched and compiled from nothing, even on a host that keeps its cache.",
      edits: edits.sort((a, b) => a.first - b.first),
    },
  ];
}

function homeOf({ user }: Step): { readonly home: string; readonly options: string } | undefined {
  if (user === undefined || /^(?:root|0)(?::|$)/.test(user)) return { home: "/root", options: "" };
  return HOMES[user.replace(/:.*/, "")];
}

interface Place {
  readonly subject: Subject;
  readonly stage: Stage;
  readonly step: Step;
  readonly home: string;
}

const CHANGES: Readonly<Record<ToolName, (place: Place) => Change>> = {
  npm: ({ step, home }) => ({
    targets: [step.env.npm_config_cache || step.env.NPM_CONFIG_CACHE || `${home}/.npm`],
    text: (script) => script.replace(/\s*&&(?:\s|\\\n)*npm cache clean[^&\n;]*/g, ""),
  }),
  yarn: ({ subject, step, home }) => ({
    targets: [
      step.env.YARN_CACHE_FOLDER ||
        ([...subject.files].some((path) => path.endsWith(".yarnrc.yml"))
          ? `${home}/.yarn/berry/cache`
          : home === "/root"
            ? "/usr/local/share/.cache/yarn"
            : `${home}/.cache/yarn`),
    ],
    text: (script) => script.replace(/\s*&&(?:\s|\\\n)*yarn cache clean[^&\n;]*/g, ""),
  }),
  pnpm: ({ step, home }) => ({
    targets: [
      step.env.PNPM_HOME ? `${step.env.PNPM_HOME}/store` : `${home}/.local/share/pnpm/store`,
    ],
  }),
  pip: ({ subject, stage, step, home }) => ({
    targets: [step.env.PIP_CACHE_DIR || `${home}/.cache/pip`],
    text: (script) => script.replace(/\s--no-cache-dir\b/g, ""),
    others: withoutVariable(subject.dockerfile, stage, step, "PIP_NO_CACHE_DIR"),
  }),
  poetry: ({ step, home }) => ({
    targets: [step.env.POETRY_CACHE_DIR || `${home}/.cache/pypoetry`],
    text: (script) => script.replace(/\s--no-cache\b/g, ""),
  }),
  uv: ({ subject, stage, step, home }) => ({
    targets: [step.env.UV_CACHE_DIR || `${home}/.cache/uv`],
    text: (script) => script.replace(/\s--no-cache\b/g, ""),
    others: withoutVariable(subject.dockerfile, stage, step, "UV_NO_CACHE"),
  }),
  bundler: () => ({ targets: ["/usr/local/bundle/cache"] }),
  composer: ({ step }) =>
    step.env.COMPOSER_CACHE_DIR
      ? { targets: [step.env.COMPOSER_CACHE_DIR] }
      : {
          targets: ["/var/cache/composer"],
          text: (script) =>
            script.replace(
              /(?<![-\w/])composer (?=install|require)/g,
              "COMPOSER_CACHE_DIR=/var/cache/composer composer ",
            ),
        },
  go: ({ subject, stage, step, home }) => {
    const compiled = step.env.GOCACHE || `${home}/.cache/go-build`;
    const modules = step.env.GOMODCACHE || `${step.env.GOPATH || "/go"}/pkg/mod`;
    const vendored =
      [...subject.files].some((path) => /(?:^|\/)vendor\/modules\.txt$/.test(path)) ||
      step.lines.join("\n").includes("-mod=vendor");
    // A mount would hide what an earlier layer has downloaded.
    const downloaded = before(stage, step).some(
      (earlier) =>
        earlier.commands.some((command) => isGo(command, "mod")) &&
        !mounts(earlier).some(({ target }) => target === modules),
    );
    const mounted = mounts(step).some(({ target }) => target === modules);
    return { targets: vendored || downloaded || mounted ? [compiled] : [modules, compiled] };
  },
  cargo: ({ subject, stage, step }) => {
    const cargo = step.env.CARGO_HOME || "/usr/local/cargo";
    const compiled = compiledBinaries(subject.dockerfile, stage, step);
    return {
      targets: [`${cargo}/registry`, `${cargo}/git/db`, ...(compiled?.targets ?? [])],
      ...(compiled?.text && { text: compiled.text }),
      ...(compiled?.others && { others: compiled.others }),
    };
  },
  maven: ({ home }) => ({ targets: [`${home}/.m2`] }),
  gradle: ({ stage, step, home }) => ({
    targets: [
      step.env.GRADLE_USER_HOME ||
        (/(?:^|\/)gradle(?::|@|$)/.test(lineage(stage)[0]?.image ?? "")
          ? "/home/gradle/.gradle"
          : `${home}/.gradle`),
    ],
  }),
  dotnet: ({ step, home }) => ({ targets: [step.env.NUGET_PACKAGES || `${home}/.nuget/packages`] }),
  apt: ({ stage, step }) => ({
    targets: ["/var/cache/apt", "/var/lib/apt"],
    options: ",sharing=locked",
    text: (script) => {
      const kept = script.replace(
        /\s*(?:\\\n\s*)?(?:&&|;)\s*(?:\\\n\s*)?(?:apt-get (?:auto)?clean(?: -y)?|rm -rf? \/var\/lib\/apt\/lists(?:\/\*)?)(?=\s|;|&|$)/g,
        "",
      );
      // Debian's images throw packages away as soon as they are installed.
      const told = [...before(stage, step), step].some(({ lines }) =>
        lines.join("\n").includes("docker-clean"),
      );
      if (told) return kept;
      const keep = "rm -f /etc/apt/apt.conf.d/docker-clean";
      return step.heredoc ? kept.replace(/\n/, `\n${keep}\n`) : `${keep} && ${kept}`;
    },
  }),
};

/** Steps that have run by then, in this stage and those that it builds on. */
function before(stage: Stage, step: Step): Step[] {
  return lineage(stage)
    .flatMap(({ steps }) => steps)
    .filter(({ first }) => first < step.first);
}

/** Edits that take a variable away that switches a cache off. */
function withoutVariable(file: BuildFile, stage: Stage, step: Step, variable: string): Edit[] {
  return before(stage, step)
    .filter(
      ({ keyword, assigned }) =>
        keyword === "ENV" && assigned.some(({ name }) => name === variable),
    )
    .map((setting) => {
      const kept = setting.assigned.filter(({ name }) => name !== variable).map(({ text }) => text);
      return replaceStep(file, setting, kept.length === 0 ? [] : [`ENV ${kept.join(" ")}`]);
    });
}

/**
 * A mount for Cargo's own output, which holds the compiled dependencies, where it is plain which files leave it: those
 * have to be copied out, since a mount is not part of the layer.
 */
function compiledBinaries(file: BuildFile, stage: Stage, step: Step): Change | undefined {
  const compiles = stage.steps.filter(({ commands }) => commands.some(isCargoCompile));
  const cooked = file.stages.some(({ steps }) =>
    steps.some(({ commands }) => commands.some((command) => isCall(command, "cargo", "chef"))),
  );
  if (compiles.length !== 1 || cooked || step.cwd === undefined || step.json || step.heredoc)
    return undefined;
  if (step.env.CARGO_TARGET_DIR) return undefined;
  const target = `${step.cwd.replace(/\/$/, "")}/target`;
  const copies = file.stages
    .flatMap(({ steps }) => steps)
    .filter(
      (copy) =>
        copy.keyword === "COPY" && stageNamed(file.stages, flag(copy, "from") ?? "") === stage,
    )
    .filter((copy) =>
      copy.words
        .slice(0, -1)
        .some((source) => source.startsWith(`${target}/`) || source === target),
    );
  const sources = copies.flatMap(({ words }) => words.slice(0, -1));
  if (sources.length === 0) return undefined;
  if (
    !sources.every(
      (source) => /^\/(?:[\w-]+\/)+[\w.-]+$/.test(source) && source.startsWith(`${target}/`),
    )
  )
    return undefined;
  const moved = (source: string) => `/usr/local/bin/${source.slice(source.lastIndexOf("/") + 1)}`;
  return {
    targets: [target],
    text: (script) =>
      `${script.trimEnd()} && cp ${[...new Set(sources)].map((source) => source.slice(step.cwd!.replace(/\/$/, "").length + 1)).join(" ")} /usr/local/bin/`,
    others: copies.map((copy) =>
      replaceStep(
        file,
        copy,
        copy.lines.map((line) =>
          line
            .split(/(\s+)/)
            .map((word) => (sources.includes(word) ? moved(word) : word))
            .join(""),
        ),
      ),
    ),
  };
}
