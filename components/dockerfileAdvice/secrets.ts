import { type BuildFile, type Stage, type Step } from "./dockerfile";
import { replaceStep, rewritten } from "./edits";
import type { Edit, Finding, Rule } from "./finding";

const SECRET_NAME =
  /(?:^|_)(?:TOKEN|PASSWORD|PASSWD|PASSPHRASE|SECRET|SECRET_KEY|API_?KEY|PRIVATE_KEY|ACCESS_KEY|AUTH_?TOKEN|CREDENTIALS?)(?:_BASE)?$/i;
/** Names that tools build into what they hand out to everybody. */
const PUBLIC_NAME =
  /^(?:NEXT_PUBLIC|VITE|REACT_APP|NUXT_PUBLIC|PUBLIC|EXPO_PUBLIC)_|PUBLIC_KEY|DUMMY/i;
/** Values that hold nothing: a place, a switch or a stand-in. */
const HARMLESS_VALUE = /^(?:\/|true$|false$|dummy|placeholder|changeme|x+$|\d$|$)/i;
const KNOWN_SECRET =
  /\b(?:gh[pousr]_\w{30,}|github_pat_\w{30,}|glpat-[\w-]{20}|npm_\w{36}|AKIA[0-9A-Z]{16}|xox[bp]-[\w-]{20,})/;

export const buildSecret: Rule = ({ dockerfile: file }) =>
  file.stages.flatMap((stage) => [
    ...stage.steps.flatMap((step) => assignedSecrets(file, stage, step)),
    ...stage.steps.filter(isWritten).map((step) => writtenSecret(file, step)),
  ]);

function assignedSecrets(file: BuildFile, stage: Stage, step: Step): Finding[] {
  if (step.keyword !== "ARG" && step.keyword !== "ENV") return [];
  const secret = step.assigned.filter(({ name, value }) => isSecret(step.keyword, name, value));
  if (secret.length === 0) return [];
  const others = step.assigned.filter((assignment) => !secret.includes(assignment));
  const names = secret.map(({ name }) => name);
  const kept =
    others.length === 0
      ? []
      : [
          `${step.onbuild ? "ONBUILD " : ""}${step.keyword} ${others.map(({ text }) => text).join(" ")}`,
        ];
  const users = stage.steps.filter(
    (other) =>
      other.keyword === "RUN" && other.first > step.first && usedNames(other, names).length > 0,
  );
  const edits: Edit[] = [
    replaceStep(file, step, kept),
    ...users.map((user) =>
      replaceStep(
        file,
        user,
        rewritten(file, user, {
          flags: usedNames(user, names)
            .filter((name) => !mountsSecret(user, name))
            .map((name) => `--mount=type=secret,id=${name.toLowerCase()},env=${name}`),
        }),
      ),
    ),
  ];
  return [
    {
      rule: "build-secret",
      file: file.path,
      line: step.first,
      message: `${step.keyword} ${names.join(", ")} ${names.length > 1 ? "look like secrets" : "looks like a secret"}, and the image keeps what ${step.keyword} sets.`,
      cost: "Provenance and the image's history publish the value to everyone who can pull the image, and each new value rebuilds all after it.",
      edits,
    },
  ];
}

function isSecret(keyword: string, name: string, value: string | undefined): boolean {
  if (!SECRET_NAME.test(name) || PUBLIC_NAME.test(name)) return false;
  // An ARG is there to be given; an ENV has only the value that it says.
  if (keyword === "ARG") return value === undefined || value === "" || !HARMLESS_VALUE.test(value);
  return value !== undefined && !HARMLESS_VALUE.test(value);
}

function usedNames(step: Step, names: readonly string[]): string[] {
  const text = step.lines.join("\n");
  return names.filter((name) => new RegExp(`\\$\\{?${name}\\b`).test(text));
}

function mountsSecret(step: Step, name: string): boolean {
  return step.flags.some(({ value }) => value.includes("type=secret") && value.includes(name));
}

function isWritten(step: Step): boolean {
  return step.keyword === "RUN" && KNOWN_SECRET.test(step.lines.join("\n"));
}

function writtenSecret(file: BuildFile, step: Step): Finding {
  return {
    rule: "build-secret",
    file: file.path,
    line: step.first,
    message: "A token stands in the command itself.",
    cost: "The image's history and the repository hand it to everyone who can read either: it has to be revoked.",
    edits: [
      replaceStep(
        file,
        step,
        rewritten(file, step, {
          flags: ["--mount=type=secret,id=token,env=TOKEN"],
          text: (script) => script.replace(new RegExp(KNOWN_SECRET, "g"), "$$TOKEN"),
        }),
      ),
    ],
  };
}
