import { posix } from "node:path";
import type { Step } from "./dockerfile";
import { flag, sequences } from "./dockerfile";
import type { Finding, Rule, Subject } from "./finding";
import { isIgnored } from "./ignore";

/** A COPY or ADD of a folder of the build context. */
export interface ContextCopy {
  readonly step: Step;
  /** The folder, relative to the context's root; "" is all of it. */
  readonly folder: string;
  /** As written. */
  readonly destination: string;
}

/** What a step copies, if it is one folder of the build context with all that is in it. */
export function contextCopy(step: Step): ContextCopy | undefined {
  if (step.keyword !== "COPY" && step.keyword !== "ADD") return undefined;
  if (flag(step, "from") !== undefined || step.heredoc || step.words.length !== 2) return undefined;
  const [source = "", destination = ""] = step.words;
  if (/[$?[\]]|:\/\//.test(source)) return undefined;
  const folder = posix.normalize(source).replace(/^(?:\.?\/)+|\/+$/g, "");
  if (folder === "." || folder === "" || folder === "*") return { step, folder: "", destination };
  return { step, folder: folder.replace(/\/\*$/, ""), destination };
}

/** What never belongs into an image built from source, and the file that tells that a project has it. */
const UNWANTED = [
  { name: ".git", told: undefined },
  { name: "node_modules", told: "package.json" },
  { name: "target", told: "Cargo.toml" },
] as const;

export const dockerignore: Rule = (subject) => {
  const copies = subject.dockerfile.stages
    .flatMap(sequences)
    .flat()
    .map(contextCopy)
    .filter((copy) => copy !== undefined)
    .filter(({ folder }) => folder === "");
  const [copy] = copies;
  if (copy === undefined) return [];
  const excluded = (name: string) => copies.every(({ step }) => excludes(step, name));
  const passing = UNWANTED.filter(({ name }) => !excluded(name))
    .map(({ name, told }) => ({ name, places: passingPlaces(subject, name, told) }))
    .filter(({ places }) => places.length > 0);
  if (passing.length === 0) return [];
  const names = passing.map(({ name }) => name).join(", ");
  const existing = subject.dockerignore;
  const patterns = passing.map(({ name, places }) =>
    places.length === 1 && places[0] === name ? name : `**/${name}`,
  );
  const lines = (existing?.text ?? "").replace(/\n$/, "").split("\n");
  const finding: Finding = {
    rule: "dockerignore",
    file: existing?.path ?? subject.dockerfile.path,
    line: existing === undefined ? copy.step.first : lines.length,
    message:
      existing === undefined
        ? `The whole context is copied and there is no .dockerignore, so ${names} ${passing.length > 1 ? "go" : "goes"} into the image.`
        : `The whole context is copied and ${existing.path} lets ${names} through.`,
    cost: "Each commit or local installation changes what is copied, so that the cache of this step and all after it is lost; more has to be sent as well.",
    edits: [
      existing === undefined
        ? { file: subject.dockerignorePath, first: 1, last: 0, lines: patterns }
        : { file: existing.path, first: lines.length + 1, last: lines.length, lines: patterns },
    ],
  };
  return [finding];
};

function excludes(step: Step, name: string): boolean {
  return step.flags.some(
    (one) => one.name === "exclude" && one.value.replace(/^\*\*\//, "") === name,
  );
}

/** Where in the context a folder of that name would get through. */
function passingPlaces(subject: Subject, name: string, told: string | undefined): string[] {
  const folders =
    told === undefined
      ? [""]
      : [...subject.files]
          .filter((file) => posix.basename(file) === told)
          .map((file) => posix.dirname(file))
          .map((folder) => (folder === "." ? "" : folder));
  const text = subject.dockerignore?.text ?? "";
  return folders
    .map((folder) => posix.join(folder, name))
    .filter((place) => !isIgnored(text, place) && !isIgnored(text, `${place}/any`));
}
