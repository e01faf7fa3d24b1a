import { posix } from "node:path";
import {
  type BuildFile,
  expand,
  flag,
  lineage,
  literal,
  mounts,
  type Stage,
  stageNamed,
  type Step,
} from "./dockerfile";
import { replaceStep, rewritten } from "./edits";
import type { Edit, Finding, Rule } from "./finding";
import { isAptInstall, isAptUpdate } from "./tools";
import { type Command, isCall } from "./shell";

const BRANCH = /^(?:main|master|develop|dev|trunk|head|latest|nightly)$/i;

export const movingBaseImage: Rule = ({ dockerfile: file }) =>
  file.stages.flatMap((stage) => {
    const findings: Finding[] = [];
    if (stage.base === undefined && stage.resolvedImage !== undefined) {
      const pinned = withVersion(stage.resolvedImage);
      if (pinned !== undefined) {
        findings.push(
          movingImage(file, stage.from, stage.resolvedImage, fromEdit(file, stage, pinned)),
        );
      }
    }
    for (const step of stage.steps) {
      const references = [flag(step, "from"), ...mounts(step).map(({ from }) => from)];
      for (const reference of references) {
        if (reference === undefined || reference === "" || reference.includes("$")) continue;
        if (stageNamed(file.stages, reference) !== undefined) continue;
        const pinned = withVersion(reference);
        // A name without a tag, registry or path may as well be a build context of the caller's.
        if (pinned === undefined || !/[:/]/.test(reference)) continue;
        const lines = step.lines.map((line) => replaceReference(line, reference, pinned));
        findings.push(movingImage(file, step, reference, replaceStep(file, step, lines)));
      }
    }
    return findings;
  });

function movingImage(file: BuildFile, step: Step, image: string, edit: Edit): Finding {
  return {
    rule: "moving-base-image",
    file: file.path,
    line: step.first,
    message: `${image} ${image.includes(":latest") ? "is another image whenever its latest tag moves" : "has no tag, so it is whatever latest is"}.`,
    cost: "Builds of the same commit differ, the two platforms may get different bases, and every move of the tag rebuilds all.",
    edits: [edit],
  };
}

/** The image with a place for its version, or undefined if it has one. */
function withVersion(image: string): string | undefined {
  if (image === "" || image === "scratch" || image.includes("@")) return undefined;
  const name = image.slice(image.lastIndexOf("/") + 1);
  const colon = name.indexOf(":");
  if (colon >= 0 && name.slice(colon + 1) !== "latest") return undefined;
  return `${image.replace(/:latest$/, "")}:<version>`;
}

/** The ARG whose default is the image, or the FROM itself. */
function fromEdit(file: BuildFile, stage: Stage, pinned: string): Edit {
  const variable = /^\$\{?(\w+)/.exec(stage.image)?.[1];
  const argument = file.globals.find((step) =>
    step.assigned.some(({ name, value }) => name === variable && value === stage.resolvedImage),
  );
  if (variable !== undefined && argument !== undefined && argument.assigned.length === 1) {
    return replaceStep(file, argument, [`ARG ${variable}=${pinned}`]);
  }
  const lines = stage.from.lines.map((line) => replaceReference(line, stage.image, pinned));
  return replaceStep(file, stage.from, lines);
}

function replaceReference(line: string, reference: string, replacement: string): string {
  const at = line.search(new RegExp(`(?<=[\\s=,])${literal(reference)}(?=[\\s,]|$)`));
  return at < 0 ? line : line.slice(0, at) + replacement + line.slice(at + reference.length);
}

export const movingSource: Rule = ({ dockerfile: file }) =>
  file.stages.flatMap((stage) =>
    stage.steps.flatMap((step, at) => {
      if (step.keyword === "ADD") return addFindings(file, step);
      if (step.keyword !== "RUN") return [];
      const following = stage.steps.slice(at + 1).flatMap(({ commands }) => commands);
      const clone = step.commands.find((command) => isCall(command, "git", "clone"));
      if (clone === undefined || isSettled(clone, [...step.commands, ...following])) return [];
      return cloneFinding(file, step, clone, following);
    }),
  );

/** Whether a clone is of, or is afterwards set to, something that stays. */
function isSettled(clone: Command, later: readonly Command[]): boolean {
  const option = (...names: string[]) =>
    clone.words.flatMap((word, at) => {
      if (names.includes(word)) return clone.words[at + 1] ?? [];
      return names
        .filter((name) => word.startsWith(`${name}=`))
        .map((name) => word.slice(name.length + 1));
    })[0];
  const revision = option("--branch", "-b", "--revision");
  if (revision !== undefined) return !BRANCH.test(revision);
  return later.some(
    (command) =>
      isCall(command, "git", "checkout", "switch", "reset", "fetch") ||
      // With options of git itself, such as -C, the subcommand is not the first operand.
      (isCall(command, "git") &&
        command.words.some((word) => ["checkout", "reset", "fetch"].includes(word))),
  );
}

function cloneFinding(
  file: BuildFile,
  step: Step,
  clone: Command,
  following: readonly Command[],
): Finding[] {
  const at = clone.words.findIndex((word) => /:\/\/|^git@|^\$/.test(word));
  const url = clone.words[at];
  if (url === undefined) return [];
  // A login in the address belongs into no file.
  const address = url
    .replace(/\/\/[^/@]*@/, "//")
    .replace(/\/?(?:\.git)?$/, url.startsWith("$") ? "" : ".git");
  const name = /([^/:]+)\.git$/.exec(address)?.[1] ?? ".";
  const before = step.commands.slice(0, step.commands.indexOf(clone));
  const folder = before
    .filter((command) => isCall(command, "cd"))
    .map(({ words }) => words[1] ?? "/");
  const destination = posix.join(...folder, clone.words[at + 1] ?? name);
  // By default the repository itself is not kept, which git needs.
  const others = [...step.commands, ...following].filter((command) => command !== clone);
  const keep = others.some((command) => isCall(command, "git")) ? "--keep-git-dir=true " : "";
  const add = `${step.onbuild ? "ONBUILD " : ""}ADD ${keep}${address}#<commit> ${destination}`;
  const alone = step.commands.length === 1;
  return [
    {
      rule: "moving-source",
      file: file.path,
      line: step.first,
      message: "git clone takes whatever the branch holds when this layer happens to be built.",
      cost: "A cached layer never sees a newer commit, while the builds of the two platforms may get different ones.",
      edits: [replaceStep(file, step, [add, ...(alone ? [] : withoutClone(file, step))])],
    },
  ];
}

function withoutClone(file: BuildFile, step: Step): string[] {
  const last = /\s*(?:&&|;)\s*(?:\\\n\s*)?git\s+clone\b(?:[^&;|\n\\]|\\\n)*(?=\n|$)/;
  const other = /git\s+clone\b(?:[^&;|\n\\]|\\\n)*(?:&&\s*(?:\\\n\s*)?|;\s*|(?=\n|$))/;
  return rewritten(file, step, {
    text: (script) => script.replace(last.test(script) ? last : other, ""),
  });
}

function addFindings(file: BuildFile, step: Step): Finding[] {
  const url = step.words.find((word) => /^(?:https?|git|ssh):\/\/|^git@/.test(word));
  if (url === undefined || flag(step, "checksum") !== undefined) return [];
  const [address = "", fragment] = url.split("#");
  const isGit = /\.git$/.test(address) || url.startsWith("git");
  if (isGit) {
    const [reference = ""] = (fragment ?? "").split(":");
    if (reference !== "" && !BRANCH.test(reference)) return [];
    return [addFinding(file, step, url, `${address}#<commit>`, [])];
  }
  if (isVersioned(expand(address, step.env) ?? address)) return [];
  return [addFinding(file, step, url, url, ["--checksum=sha256:<digest>"])];
}

/** An address that names a release or a commit; a variable may hold one. */
function isVersioned(address: string): boolean {
  if (/\/(?:latest|main|master|HEAD|nightly)(?:\/|$)/.test(address)) return false;
  return (
    address.includes("$") ||
    /\d+\.\d+|\/v\d+\/|[0-9a-f]{40}/.test(address.replace(/^\w+:\/\/[^/]*/, ""))
  );
}

function addFinding(
  file: BuildFile,
  step: Step,
  url: string,
  replacement: string,
  flags: readonly string[],
): Finding {
  const lines = step.lines.map((line) => line.replace(url, () => replacement));
  const [first = "", ...rest] = lines;
  const flagged = first.replace(
    /^(\s*(?:ONBUILD\s+)?ADD\s+)/i,
    (head) => head + flags.map((one) => `${one} `).join(""),
  );
  return {
    rule: "moving-source",
    file: file.path,
    line: step.first,
    message: "ADD takes whatever this address answers when the layer is built.",
    cost: "Builds of the same commit differ, and each one asks the server again before it may use its cache.",
    edits: [replaceStep(file, step, [flagged, ...rest])],
  };
}

export const aptUpdateLayer: Rule = ({ dockerfile: file }) =>
  file.stages.flatMap((stage) =>
    stage.steps
      .filter(({ commands }) => commands.some(isAptUpdate) && !commands.some(isAptInstall))
      .map((step): Finding => {
        const installs = file.stages
          .filter((other) => lineage(other).includes(stage))
          .flatMap(({ steps }) => steps)
          .filter(({ first, commands }) => first > step.first && commands.some(isAptInstall))
          .filter(({ commands }) => !commands.some(isAptUpdate));
        const others = step.commands.some((command) => !isAptUpdate(command));
        const update = step.commands.find(isAptUpdate)?.words.join(" ") ?? "apt-get update";
        const without = rewritten(file, step, {
          text: (script) =>
            script.replace(
              /apt(?:-get)?[^\n&;]*\bupdate\b[^\n&;\\]*(?:&&\s*(?:\\\n\s*)?|;\s*|(?=\n|$))/,
              "",
            ),
        });
        return {
          rule: "apt-update-layer",
          file: file.path,
          line: step.first,
          message:
            "apt-get update has a layer of its own, apart from the installation that needs its lists.",
          cost: "When the installation changes, the cached lists are old: it fails for packages that have been replaced, or installs old ones.",
          edits: [
            replaceStep(file, step, others ? without : []),
            ...installs.map((install) =>
              replaceStep(
                file,
                install,
                rewritten(file, install, {
                  text: (script) =>
                    install.heredoc
                      ? script.replace(/\n/, `\n${update}\n`)
                      : `${update} && ${script}`,
                }),
              ),
            ),
          ],
        };
      }),
  );
