import type { RegistryAccess } from "../github";
import type { PackageAction, RegistryUser } from "./site";

/** Whose job made a package, as `owner/name` in lower case; undefined: none, a person did. */
type Origin = string | undefined;

/**
 * Who may do what in GitHub's container registry. A package belongs to the repository whose job made it; it is private,
 * and tokens that are limited to other repositories do not reach it.
 */
export class Packages {
  private readonly origins = new Map<string, Origin>();

  constructor(private readonly accessOf: (token: string) => RegistryAccess | undefined) {}

  login(token: string | undefined): RegistryUser | undefined {
    // Without a login there is something to be had only of public packages, and there are none.
    if (token === undefined) return { may: () => false };
    const access = this.accessOf(token);
    if (access === undefined) return undefined;
    return {
      may: (action, name) => this.may(access, action, name),
      pushes: (name) => this.pushed(access, name),
    };
  }

  /** Forgets all packages. */
  reset(): void {
    this.origins.clear();
  }

  private may(access: RegistryAccess, action: PackageAction, name: string): boolean {
    // The registry's own way to delete is not served; there is one in the REST API.
    if (action === "delete" || access.packages === "none") return false;
    if (action === "push" && access.packages !== "write") return false;
    if (access.owner !== undefined && access.owner.toLowerCase() !== name.split("/")[0]) {
      return false;
    }
    // Whoever could make it learns that it is not there yet.
    if (!this.origins.has(name) || access.repositories === undefined) return true;
    return repositoriesOf(access).includes(this.origins.get(name) ?? "");
  }

  private pushed(access: RegistryAccess, name: string): void {
    if (this.origins.has(name)) return;
    const [only, ...others] = repositoriesOf(access);
    this.origins.set(name, others.length === 0 ? only : undefined);
  }
}

function repositoriesOf({ owner, repositories }: RegistryAccess): string[] {
  return (repositories ?? []).map((name) => `${owner}/${name}`.toLowerCase());
}
