import type { LinterName } from "./lint";

/** Findings that stay, and why. */
export interface LintException {
  readonly linter: LinterName;
  /** As printed with the finding. */
  readonly rule: string;
  /** Which findings of that rule: the file's name as printed, and the text of the line if it does not hold for all lines. */
  readonly where: { readonly file: RegExp; readonly line?: RegExp };
  readonly reason: string;
}

/** All exceptions. One that nothing matches is a failure too, so that none outlives its cause. */
export const EXCEPTIONS: readonly LintException[] = [
  {
    linter: "zizmor",
    rule: "unpinned-uses",
    where: {
      file: /, reusable, .*\/image\.yml$/,
      line: /^uses: acme\/\.github\/\.github\/workflows\//,
    },
    reason:
      "The called workflow is the organization's own and written by the same program, which pins every action in it. By commit, each change of it would have to be made once more in every repository.",
  },
];
