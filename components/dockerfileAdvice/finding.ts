import type { BuildFile } from "./dockerfile";

export const RULES = [
  "build-platform",
  "copy-before-install",
  "cache-mount",
  "dockerignore",
  "build-secret",
  "moving-source",
  "apt-update-layer",
  "moving-base-image",
] as const;

/** Stable name of a kind of finding. */
export type RuleName = (typeof RULES)[number];

/** Lines to put in the place of others. */
export interface Edit {
  readonly file: string;
  /** First and last line that go, from 1; when `last` is before `first`, nothing goes and the lines come before `first`. */
  readonly first: number;
  readonly last: number;
  /** What comes instead; `<...>` stands for what only a person can fill in. */
  readonly lines: readonly string[];
}

export interface Finding {
  readonly rule: RuleName;
  readonly file: string;
  /** From 1. */
  readonly line: number;
  /** What is wrong, in one sentence. */
  readonly message: string;
  /** What it costs, in one sentence. */
  readonly cost: string;
  /** In the order of the lines; none overlaps another. */
  readonly edits: readonly Edit[];
}

/** What a rule may look at. */
export interface Subject {
  readonly dockerfile: BuildFile;
  /** Paths in the build context, relative to its root, with slashes. */
  readonly files: ReadonlySet<string>;
  readonly dockerignore: { readonly path: string; readonly text: string } | undefined;
  /** Where a `.dockerignore` would be looked for. */
  readonly dockerignorePath: string;
}

export type Rule = (subject: Subject) => Finding[];
