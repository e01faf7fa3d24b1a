import { posix } from "node:path";
import {
  buildsOn,
  type BuildFile,
  flag,
  mounts,
  type Stage,
  stageNamed,
  type Step,
} from "./dockerfile";
import { insertBefore, replaceStep, rewritten } from "./edits";
import type { Edit, Finding, Rule } from "./finding";
import { type Command, isCall, operands } from "./shell";
import { isCargoCompile, isGo, TOOLS } from "./tools";

type Language = "Go" | "Rust" | "JavaScript" | "Java" | ".NET";

/** Pinned, since it is a moving image otherwise. */
const XX = "tonistiigi/xx:1.6.1";

export const buildPlatform: Rule = ({ dockerfile: file }) => {
  const result = file.stages.at(-1);
  if (result === undefined) return [];
  return file.stages
    .filter((stage) => stage.base === undefined && stage.platform === undefined)
    .flatMap((root): Finding[] => {
      const family = file.stages.filter((stage) => buildsOn(stage, root));
      // What runs in the end has to be of the target's platform.
      if (family.includes(result)) return [];
      const copied = takenFrom(file, family);
      if (copied === undefined || copied.length === 0) return [];
      const steps = family.flatMap(({ steps: own }) => own).filter(({ onbuild }) => !onbuild);
      const commands = steps.flatMap((step) => step.commands);
      const languages = languagesOf(steps);
      if (languages.length === 0) return [];
      if (commands.some((command) => isNative(command))) return [];
      if (
        steps.some(({ lines }) =>
          /\buname -m\b|--print-architecture|\bTARGETARCH\b.*curl|\barch\)/.test(lines.join("\n")),
        )
      )
        return [];
      if (!copied.every((source) => isPortable(source, steps, languages))) return [];
      const edits = languages.flatMap((language) => crossEdits(language, file, root, steps));
      // Two languages compiled in one step would need two edits of the same lines.
      if (new Set(edits.map(({ first }) => first)).size < edits.length) return [];
      return [
        {
          rule: "build-platform",
          file: file.path,
          line: root.from.first,
          message: `${languages.join(" and ")} can be built for another platform, but this stage runs on the target's.`,
          cost: "Without a machine of that platform the whole stage is emulated, which makes compiling 7 to 34 times slower; with one, the same work is done twice.",
          edits: [fromEdit(file, root, languages), ...edits],
        },
      ];
    });
};

/** Paths that other stages copy from these; undefined if one uses them in another way. */
function takenFrom(file: BuildFile, family: readonly Stage[]): string[] | undefined {
  const paths: string[] = [];
  for (const stage of file.stages.filter((other) => !family.includes(other))) {
    for (const step of stage.steps) {
      const isOurs = (reference: string | undefined) => {
        const named = reference === undefined ? undefined : stageNamed(file.stages, reference);
        return named !== undefined && family.includes(named);
      };
      if (step.keyword === "COPY" && isOurs(flag(step, "from")))
        paths.push(...step.words.slice(0, -1));
      if (mounts(step).some(({ from }) => isOurs(from))) return undefined;
    }
  }
  return paths;
}

function languagesOf(steps: readonly Step[]): Language[] {
  const found = new Set<Language>();
  for (const step of steps) {
    for (const command of step.commands) {
      if (isGo(command, "build") && isPureGo(steps, step, command)) found.add("Go");
      else if (isCargoCompile(command) && isPlainCargo(steps, step, command)) found.add("Rust");
      else if (isAssetBuild(command)) found.add("JavaScript");
      else if (TOOLS.maven.caches(command) || isGradleBuild(command)) found.add("Java");
      else if (isPortableDotnet(command)) found.add(".NET");
    }
  }
  return [...found];
}

/** Without C: with it, a compiler for the target is needed that the image may not have. */
function isPureGo(steps: readonly Step[], step: Step, command: Command): boolean {
  const setting = command.env.CGO_ENABLED ?? exported(step, "CGO_ENABLED") ?? step.env.CGO_ENABLED;
  if (step.env.GOARCH || setting === "1") return false;
  return setting === "0" || !installsCompiler(steps);
}

function exported(step: Step, name: string): string | undefined {
  return step.commands
    .filter((command) => isCall(command, "export"))
    .flatMap(({ words }) => words)
    .find((word) => word.startsWith(`${name}=`))
    ?.slice(name.length + 1);
}

function installsCompiler(steps: readonly Step[]): boolean {
  return installed(steps).some((name) =>
    /^(?:gcc|g\+\+|clang|build-base|build-essential|musl-dev|libc6-dev)$|-dev$/.test(name),
  );
}

function installed(steps: readonly Step[]): string[] {
  return steps
    .flatMap(({ commands }) => commands)
    .filter((command) =>
      ["apk", "apt-get", "apt", "dnf", "yum", "microdnf"].some((program) =>
        isCall(command, program),
      ),
    )
    .flatMap((command) => operands(command).slice(2))
    .map((name) => name.replace(/[=~<>].*/, ""));
}

/** With its output in the usual place, and no C libraries beyond the compiler's own. */
function isPlainCargo(steps: readonly Step[], step: Step, command: Command): boolean {
  const special = command.words.some((word) =>
    /^--(?:target|target-dir|manifest-path)\b/.test(word),
  );
  if (!isCall(command, "cargo", "build", "b") || special || step.env.CARGO_TARGET_DIR) return false;
  if (step.json || step.env.CARGO_BUILD_TARGET) return false;
  const own = /^(?:gcc|build-base|build-essential|musl-dev|libc6-dev)$/;
  return !installed(steps).some(
    (name) => /-dev$|^(?:clang|g\+\+|cmake)$/.test(name) && !own.test(name),
  );
}

function isAssetBuild(command: Command): boolean {
  const script = /^(?:build|bundle|compile|generate|export)(?:[:.-]\w+)*$/;
  const [program = "", ...rest] = operands(command);
  if (program === "npm") return rest[0] === "run" && script.test(rest[1] ?? "");
  if (program === "yarn" || program === "pnpm" || program === "bun") {
    return script.test((rest[0] === "run" ? rest[1] : rest[0]) ?? "");
  }
  const [bundler = "", action = ""] = program === "npx" ? rest : [program, ...rest];
  if (["tsc", "webpack", "rollup", "esbuild"].includes(bundler)) return true;
  return ["vite", "next", "nuxt", "ng", "astro"].includes(bundler) && action === "build";
}

function isGradleBuild(command: Command): boolean {
  return (
    TOOLS.gradle.caches(command) &&
    operands(command).some((word) =>
      /(?:^|:)(?:build|assemble|jar|bootJar|shadowJar|installDist|war)$/.test(word),
    )
  );
}

function isPortableDotnet(command: Command): boolean {
  if (!isCall(command, "dotnet", "publish", "build")) return false;
  return !command.words.some((word) =>
    /^(?:-r|--runtime|-a|--arch|--os|--self-contained|--sc)$|PublishAot|PublishReadyToRun|RuntimeIdentifier/.test(
      word,
    ),
  );
}

/** Whether a command makes something that only runs on the platform it ran on, or may do so. */
function isNative(command: Command): boolean {
  const [first = ""] = command.words;
  const program = posix.basename(first);
  if (
    /^(?:make|cmake|ninja|meson|gcc|g\+\+|cc|c\+\+|clang|configure|ghc|stack|cabal|swift|zig|jlink|jpackage|native-image|pyinstaller)$/.test(
      program,
    )
  )
    return true;
  if (
    command.words.some((word) => /native-image|nativeCompile|-Pnative\b|jlink|jpackage/.test(word))
  )
    return true;
  if (isGo(command, "test") && command.words.includes("-c")) return true;
  return (
    TOOLS.pip.caches(command) ||
    TOOLS.poetry.caches(command) ||
    TOOLS.uv.caches(command) ||
    TOOLS.bundler.caches(command)
  );
}

/** Whether a copied path holds only what was built for the target, or what is the same on every platform. */
function isPortable(
  source: string,
  steps: readonly Step[],
  languages: readonly Language[],
): boolean {
  if (/^\/(?:etc|usr\/share)\//.test(source)) return true;
  const text = steps.map(({ lines }) => lines.join("\n")).join("\n");
  if (/^\/(?:usr\/)?(?:bin|sbin|lib\w*)\b/.test(source)) return false;
  if (
    /^\/(?:usr\/local|go\/bin|root|opt)\b/.test(source) &&
    !new RegExp(`(?:-o|--output|--out|cp)[\\s=][^\\n]*${source.replace(/[.+]/g, "\\$&")}`).test(
      text,
    )
  ) {
    return false;
  }
  if (!languages.includes("JavaScript")) return true;
  // Installed packages may hold programs of the platform on which they were installed.
  if (/node_modules|standalone/.test(source)) return false;
  const path = source.replace(/\/$/, "") || "/";
  return !steps.some(({ cwd, commands }) => {
    const here = commands.some(
      (command) =>
        TOOLS.npm.caches(command) || TOOLS.yarn.caches(command) || TOOLS.pnpm.caches(command),
    );
    return (
      here &&
      (cwd === undefined || path === "." || `${cwd}/`.startsWith(path === "/" ? "/" : `${path}/`))
    );
  });
}

function fromEdit(file: BuildFile, root: Stage, languages: readonly Language[]): Edit {
  const lines = root.from.lines.map((line, at) =>
    at === 0 ? line.replace(/^(\s*FROM\s+)/i, "$1--platform=$BUILDPLATFORM ") : line,
  );
  if (!languages.includes("Rust")) return replaceStep(file, root.from, lines);
  const alpine = /alpine/.test(root.resolvedImage ?? root.image);
  const known = file.stages.find(({ name }) => name === "xx");
  return replaceStep(file, root.from, [
    ...(known ? [] : [`FROM --platform=$BUILDPLATFORM ${XX} AS xx`, ""]),
    ...lines,
    "COPY --from=xx / /",
    ...(alpine
      ? ["RUN apk add --no-cache clang lld"]
      : aptInstall(
          file,
          "rm -f /etc/apt/apt.conf.d/docker-clean && apt-get update && apt-get install --yes --no-install-recommends clang lld",
        )),
  ]);
}

function crossEdits(
  language: Language,
  file: BuildFile,
  root: Stage,
  steps: readonly Step[],
): Edit[] {
  switch (language) {
    case "Go":
      return goEdits(file, steps);
    case "Rust":
      return rustEdits(file, root, steps);
    case ".NET":
      return dotnetEdits(file, steps);
    case "JavaScript":
    case "Java":
      return [];
  }
}

/** ARG lines for those of the names that the step does not know yet. */
function argument(step: Step, ...names: string[]): string[] {
  const unknown = names.filter((name) => !(name in step.env));
  return unknown.length === 0 ? [] : [`ARG ${unknown.join(" ")}`];
}

function goEdits(file: BuildFile, steps: readonly Step[]): Edit[] {
  return steps
    .filter(({ commands }) => commands.some((command) => isCall(command, "go", "build")))
    .map((step) => {
      const command = step.commands.find((one) => isCall(one, "go", "build"));
      const set = { ...step.env, ...command?.env };
      const wanted = [
        ...(set.CGO_ENABLED === undefined && exported(step, "CGO_ENABLED") === undefined
          ? ["CGO_ENABLED=0"]
          : []),
        ...(set.GOOS === undefined && exported(step, "GOOS") === undefined
          ? ["GOOS=$TARGETOS"]
          : []),
        "GOARCH=$TARGETARCH",
      ];
      const names = wanted.some((one) => one.includes("TARGETOS"))
        ? ["TARGETOS", "TARGETARCH"]
        : ["TARGETARCH"];
      if (step.json) {
        return insertBefore(file, step, [...argument(step, ...names), `ENV ${wanted.join(" ")}`]);
      }
      const lines = rewritten(file, step, {
        text: (script) =>
          script
            .replace(/\bGOARCH=[^\s$]\S*\s+/g, "")
            .replace(/(?<![\w/-])go build\b/g, (call) =>
              /GOARCH=\$/.test(script) ? call : `${wanted.join(" ")} ${call}`,
            ),
      });
      return replaceStep(file, step, [...argument(step, ...names), ...lines]);
    });
}

function rustEdits(file: BuildFile, root: Stage, steps: readonly Step[]): Edit[] {
  const compiles = steps.filter(({ commands }) =>
    commands.some((command) => isCall(command, "cargo", "build", "b")),
  );
  const essentials = /alpine/.test(root.resolvedImage ?? root.image)
    ? ["RUN xx-apk add --no-cache xx-c-essentials"]
    : aptInstall(file, "xx-apt-get update && xx-apt-get install --yes xx-c-essentials");
  return compiles.map((step, at) => {
    const command = step.commands.find((one) => isCall(one, "cargo", "build", "b"));
    const profile = profileOf(command?.words ?? []);
    const lines = rewritten(file, step, {
      text: (script) =>
        script.replace(/(?<![\w-])cargo (b(?:uild)?\b(?:[^&;|\n\\]|\\\n)*)/, (_, rest: string) => {
          const end = /\s*$/.exec(rest)![0];
          return `xx-cargo ${rest.trimEnd()} && rm -rf target/${profile} && ln -s "$(xx-cargo --print-target-triple)/${profile}" target/${profile}${end}`;
        }),
    });
    const setup = at === 0 ? [...argument(step, "TARGETPLATFORM"), ...essentials] : [];
    return replaceStep(file, step, [...setup, ...lines]);
  });
}

/** A RUN step that installs with apt's caches mounted. */
function aptInstall({ escape }: BuildFile, script: string): string[] {
  return [
    `RUN --mount=type=cache,target=/var/cache/apt,sharing=locked ${escape}`,
    `    --mount=type=cache,target=/var/lib/apt,sharing=locked ${escape}`,
    `    ${script}`,
  ];
}

/** Folder below `target` that a build goes to. */
function profileOf(words: readonly string[]): string {
  if (words.includes("--release") || words.includes("-r")) return "release";
  const named = words[words.indexOf("--profile") + 1];
  return words.includes("--profile") && named !== undefined ? named : "debug";
}

function dotnetEdits(file: BuildFile, steps: readonly Step[]): Edit[] {
  const known = new Set<string>();
  return steps
    .filter(({ commands }) =>
      commands.some((command) => isCall(command, "dotnet", "restore", "build", "publish")),
    )
    .map((step) => {
      const setup = known.size > 0 ? [] : argument(step, "TARGETARCH");
      known.add("TARGETARCH");
      const lines = rewritten(file, step, {
        text: (script) =>
          script.replace(/\bdotnet (restore|build|publish)\b/g, "dotnet $1 -a $TARGETARCH"),
      });
      return replaceStep(file, step, [...setup, ...lines]);
    });
}
