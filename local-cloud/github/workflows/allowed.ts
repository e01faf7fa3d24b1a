import type { Organization, Repository } from "../model";
import type { World } from "../world";
import { WorkflowError } from "./file";

/** Throws WorkflowError for an action or workflow (`owner/repo/path@ref`) that the repository's or its organization's policy leaves out. */
export function checkAllowed(world: World, repository: Repository, uses: unknown): void {
  // What lies in the repository itself is always allowed; images are no actions of a repository.
  if (typeof uses !== "string" || /^(\.\/|docker:\/\/)/.test(uses)) return;
  const [path = "", ref = ""] = uses.split("@", 2);
  const [owner = ""] = path.toLowerCase().split("/");
  const own = owner === repository.owner.login.toLowerCase();
  const policies = [repository.actions, world.organization(repository.owner.login)?.actions];
  const refuse = (reason: string): never => {
    throw new WorkflowError(
      `The action ${uses} is not allowed in ${repository.owner.login}/${repository.name} because all actions must be ${reason}.`,
    );
  };
  for (const policy of policies) {
    if (policy === undefined) continue;
    if (policy.shaPinning && !/^[0-9a-f]{40}$/.test(ref))
      refuse("pinned to a full-length commit SHA");
    if (own || policy.allowed === "all") continue;
    const from = `from a repository owned by ${repository.owner.login}`;
    if (policy.allowed === "local_only") refuse(from);
    else if (selected(policy.selected, owner, uses)) continue;
    else if (policy.selected.verified_allowed)
      throw new WorkflowError(
        `The local cloud does not know whether the creator of ${uses} is verified.`,
      );
    else refuse(`${from} or match one of the patterns that are allowed`);
  }
}

function selected(
  { github_owned_allowed, patterns_allowed }: Organization["actions"]["selected"],
  owner: string,
  uses: string,
): boolean {
  if (github_owned_allowed && ["actions", "github"].includes(owner)) return true;
  const matches = (pattern: string): boolean => {
    const parts = pattern.split("*").map((part) => part.replace(/[.+?^${}()|[\]\\/]/g, "\\$&"));
    // A pattern without a ref is for all of them.
    const any = pattern.includes("@") || pattern.endsWith("*") ? "" : "(@.*)?";
    return new RegExp(`^${parts.join(".*")}${any}$`, "i").test(uses);
  };
  // A pattern that begins with "!" takes away.
  return patterns_allowed.reduce(
    (found, pattern) =>
      pattern.startsWith("!") ? found && !matches(pattern.slice(1)) : found || matches(pattern),
    false,
  );
}
