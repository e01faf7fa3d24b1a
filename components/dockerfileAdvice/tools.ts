import { type Command, isCall, operands } from "./shell";

/** A tool that fetches dependencies or compiles, and where it keeps what it could use again. */
export interface Tool {
  readonly name: string;
  /** Whether a command installs what the project's own manifest lists. */
  readonly installs: (command: Command) => boolean;
  /** Whether a command is helped by the cache. */
  readonly caches: (command: Command) => boolean;
  /** Whether a cache mount's target serves this tool. */
  readonly target: RegExp;
  /** Files and folders that decide what is installed, beside the manifest itself; those that exist are copied. */
  readonly manifests: readonly string[];
  /** Any of these has to be there for an installation to be possible. */
  readonly required: readonly string[];
}

const npmInstalls = (command: Command) =>
  isCall(command, "npm", "ci", "clean-install") ||
  (isCall(command, "npm", "install", "i") && isPlain(command, 2));

/** Without names of packages, and not for the machine as a whole. */
function isPlain(command: Command, words: number): boolean {
  return (
    operands(command).length <= words &&
    !command.words.some((word) => word === "-g" || word === "--global")
  );
}

const NODE_MANIFESTS = ["package.json", ".npmrc"];

/** `pip install -r FILE`, by whichever of the ways to call pip. */
export function requirementFiles(command: Command): string[] {
  if (!isPip(command) || !command.words.includes("install")) return [];
  return command.words.flatMap((word, at) => {
    if (word === "-r" || word === "--requirement") return command.words[at + 1] ?? [];
    return /^(?:-r|--requirement=)(.+)$/.exec(word)?.[1] ?? [];
  });
}

function isPip(command: Command): boolean {
  const [first = "", ...rest] = command.words;
  return (
    /(?:^|\/)pip3?$/.test(first) ||
    (/(?:^|\/)python3?(?:\.\d+)?$/.test(first) && rest[0] === "-m" && rest[1] === "pip")
  );
}

const isMaven = (command: Command) => isCall(command, "mvn") || isCall(command, "mvnw");
const isGradle = (command: Command) => isCall(command, "gradle") || isCall(command, "gradlew");
const hasGoal = (command: Command, goal: RegExp) =>
  operands(command)
    .slice(1)
    .some((word) => goal.test(word));
const CARGO = ["cargo", "xx-cargo"];
const isCargo = (command: Command, ...subcommands: string[]) =>
  CARGO.some((program) => isCall(command, program, ...subcommands));

/** `cargo chef cook` compiles the dependencies; `cargo chef prepare` only lists them. */
const isCargoFetch = (command: Command) =>
  isCargo(command, "fetch") || (isCargo(command, "chef") && command.words.includes("cook"));

/** Whether a command is Go's own tool or its cross-compiling wrapper. */
export const isGo = (command: Command, ...subcommands: string[]): boolean =>
  ["go", "xx-go"].some((program) => isCall(command, program, ...subcommands));

export const isCargoCompile = (command: Command): boolean =>
  isCargo(command, "build", "b", "test", "install", "rustc");

export type ToolName =
  | "npm"
  | "yarn"
  | "pnpm"
  | "pip"
  | "poetry"
  | "uv"
  | "bundler"
  | "composer"
  | "go"
  | "cargo"
  | "maven"
  | "gradle"
  | "dotnet"
  | "apt";

export const TOOLS: Readonly<Record<ToolName, Tool>> = {
  npm: {
    name: "npm",
    installs: npmInstalls,
    caches: (command) => isCall(command, "npm", "ci", "clean-install", "install", "i"),
    target: /npm|node|\/\.cache\/?$/i,
    manifests: [...NODE_MANIFESTS, "package-lock.json", "npm-shrinkwrap.json", "patches"],
    required: ["package.json"],
  },
  yarn: {
    name: "Yarn",
    installs: (command) =>
      isCall(command, "yarn", "install") ||
      (isCall(command, "yarn") && operands(command).length === 1),
    caches: (command) =>
      isCall(command, "yarn", "install", "add") ||
      (isCall(command, "yarn") && operands(command).length === 1),
    target: /yarn|node|\/\.cache\/?$/i,
    manifests: [...NODE_MANIFESTS, "yarn.lock", ".yarnrc", ".yarnrc.yml", ".yarn", "patches"],
    required: ["package.json"],
  },
  pnpm: {
    name: "pnpm",
    installs: (command) => isCall(command, "pnpm", "install", "i") && isPlain(command, 2),
    caches: (command) => isCall(command, "pnpm", "install", "i", "add", "fetch"),
    target: /pnpm|store/i,
    manifests: [
      ...NODE_MANIFESTS,
      "pnpm-lock.yaml",
      "pnpm-workspace.yaml",
      ".pnpmfile.cjs",
      "patches",
    ],
    required: ["package.json"],
  },
  pip: {
    name: "pip",
    installs: (command) => requirementFiles(command).length > 0,
    caches: (command) => isPip(command) && command.words.includes("install"),
    target: /pip|\/\.cache\/?$/i,
    manifests: [],
    required: [],
  },
  poetry: {
    name: "Poetry",
    installs: (command) => isCall(command, "poetry", "install", "sync"),
    caches: (command) => isCall(command, "poetry", "install", "sync"),
    target: /poetry|\/\.cache\/?$/i,
    manifests: ["pyproject.toml", "poetry.lock", "poetry.toml"],
    required: ["pyproject.toml"],
  },
  uv: {
    name: "uv",
    installs: (command) => isCall(command, "uv", "sync"),
    caches: (command) => isCall(command, "uv", "sync", "pip"),
    target: /uv|\/\.cache\/?$/i,
    manifests: ["pyproject.toml", "uv.lock", ".python-version"],
    required: ["pyproject.toml"],
  },
  bundler: {
    name: "Bundler",
    installs: (command) => isCall(command, "bundle", "install"),
    caches: (command) => isCall(command, "bundle", "install"),
    target: /bundle|gem/i,
    manifests: ["Gemfile", "Gemfile.lock", ".ruby-version"],
    required: ["Gemfile"],
  },
  composer: {
    name: "Composer",
    installs: (command) => isCall(command, "composer", "install"),
    caches: (command) => isCall(command, "composer", "install", "require"),
    target: /composer|cache/i,
    manifests: ["composer.json", "composer.lock"],
    required: ["composer.json"],
  },
  go: {
    name: "Go",
    installs: (command) => isGo(command, "mod") || isGo(command, "build", "test"),
    caches: (command) => isGo(command, "build", "test", "vet"),
    target: /go-?build|gocache|\/\.cache\/?$/i,
    manifests: ["go.mod", "go.sum"],
    required: ["go.mod"],
  },
  cargo: {
    name: "Cargo",
    installs: (command) =>
      isCargoFetch(command) || (isCargoCompile(command) && !isCargo(command, "install")),
    caches: (command) => isCargoFetch(command) || isCargoCompile(command),
    target: /cargo|registry|target|\/\.cache\/?$/i,
    manifests: ["Cargo.toml", "Cargo.lock", "rust-toolchain", "rust-toolchain.toml", ".cargo"],
    required: ["Cargo.toml"],
  },
  maven: {
    name: "Maven",
    installs: isMaven,
    caches: (command) =>
      isMaven(command) &&
      hasGoal(command, /^(?:package|install|verify|test|compile|deploy|dependency:|spring-boot:)/),
    target: /m2|maven/i,
    manifests: ["pom.xml", "mvnw", ".mvn"],
    required: ["pom.xml"],
  },
  gradle: {
    name: "Gradle",
    installs: isGradle,
    caches: (command) => isGradle(command) && !command.words.includes("--version"),
    target: /gradle/i,
    manifests: [
      ...["build.gradle", "build.gradle.kts", "settings.gradle", "settings.gradle.kts"],
      ...["gradle.properties", "gradlew", "gradle"],
    ],
    required: ["build.gradle", "build.gradle.kts"],
  },
  dotnet: {
    name: ".NET",
    installs: () => false,
    caches: (command) => isCall(command, "dotnet", "restore", "build", "publish"),
    target: /nuget/i,
    manifests: [],
    required: [],
  },
  apt: {
    name: "apt",
    installs: () => false,
    caches: (command) => isAptInstall(command),
    target: /\/apt\b/,
    manifests: [],
    required: [],
  },
};
export const TOOL_NAMES = Object.keys(TOOLS) as ToolName[];

const APT = ["apt-get", "apt", "xx-apt-get", "xx-apt"];

export function isAptUpdate(command: Command): boolean {
  return APT.some((program) => isCall(command, program, "update"));
}

export function isAptInstall(command: Command): boolean {
  return APT.some((program) =>
    isCall(command, program, "install", "upgrade", "dist-upgrade", "full-upgrade", "build-dep"),
  );
}
