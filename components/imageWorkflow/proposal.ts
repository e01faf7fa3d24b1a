/**
 * A file that is proposed by a pull request. People merge or close it, and GitHub may delete its branch; so what is
 * there decides, not what was made in an earlier run. Pure: the program and the command that it runs judge alike.
 */

/** A pull request from the branch that proposals are made on. */
export interface Proposal {
  readonly number: number;
  readonly state: "open" | "merged" | "closed";
  /** Git's name of the file's content in its last commit; undefined when the file is not in it. */
  readonly blob: string | undefined;
}

export interface Judgement {
  /**
   * `delivered`: the branch has the content. `open`: a pull request is there to carry it. `declined`: the last one was
   * closed with this very content. `wanted`: a new one has to be made.
   */
  readonly state: "delivered" | "open" | "declined" | "wanted";
  /** The pull request that the state comes from. */
  readonly current: Proposal | undefined;
  /**
   * What the present proposal comes after: the same in every run until a new one is wanted, so that a change of it is
   * the reason to make one.
   */
  readonly follows: string;
}

/**
 * @param wanted git's name of the content that the file should have
 * @param present that of the content it has on the branch; undefined without a file
 * @param proposals all pull requests from the proposals' branch to that branch
 */
export function judge(
  wanted: string,
  present: string | undefined,
  proposals: readonly Proposal[],
): Judgement {
  const newestFirst = [...proposals].sort((one, other) => other.number - one.number);
  const [newest] = newestFirst;
  const open = newestFirst.find(({ state }) => state === "open");
  const after = (current: Proposal): string =>
    String(newestFirst[newestFirst.indexOf(current) + 1]?.number ?? "");

  const last = open ?? newest;
  if (present === wanted) {
    return {
      state: "delivered",
      current: last,
      follows: last === undefined ? "delivered" : after(last),
    };
  }
  if (open !== undefined) return { state: "open", current: open, follows: after(open) };
  if (newest?.state === "closed" && newest.blob === wanted) {
    return { state: "declined", current: newest, follows: after(newest) };
  }
  return { state: "wanted", current: undefined, follows: String(newest?.number ?? "") };
}

/** The branch that a stack proposes a workflow file on; files of one repository have one each. */
export function proposalBranch(stack: string, path: string): string {
  const file = path.slice(path.lastIndexOf("/") + 1);
  // Git takes neither two dots in a row nor a part that begins with one.
  return `runner-fleet/${stack}/${file.replace(/^\./, "_.").replace(/\.(?=\.)/g, "._")}`;
}
