import type { Exception, Pin } from "../pins/table";
import type { Sources } from "./sources";
import { chooseVersion, compareParts, isMajor, STABLE, versionParts } from "./versions";

/** What a pin is to become; equal to what it is where nothing newer can be had. */
export interface Proposal {
  readonly pin: Pin;
  readonly version: string;
  /** Commit or digest that goes with the version; undefined where none is pinned. */
  readonly digest: string | undefined;
  /** What people should know before they take it, or why there is nothing to take. */
  readonly notes: readonly string[];
}

export function isChange({ pin, version, digest }: Proposal): boolean {
  return version !== pin.current || digest !== pin.digest;
}

/**
 * The pins of these names, and those whose version another of them decides.
 * @throws Error that names what is not in the table.
 */
export function selectPins(table: readonly Pin[], names: readonly string[]): readonly Pin[] {
  if (names.length === 0) return table;
  const unknown = names.find((name) => !table.some((pin) => pin.name === name));
  if (unknown !== undefined) {
    const known = table.map(({ name }) => name).join(", ");
    throw new Error(`--only: found ${JSON.stringify(unknown)}, expected one of ${known}.`);
  }
  return table.filter(
    ({ name, source }) =>
      names.includes(name) || (source.kind === "input" && names.includes(source.action)),
  );
}

/**
 * Asks publishers for the next version of each pin.
 * @param table all pins, those that are not selected included
 * @throws ApiError as one sentence when one of them cannot be asked: half an answer is none.
 */
export async function propose(
  table: readonly Pin[],
  selected: readonly Pin[],
  exceptions: readonly Exception[],
  sources: Sources,
): Promise<readonly Proposal[]> {
  const proposals = new Map<string, Promise<Proposal>>();
  const proposalOf = (pin: Pin): Promise<Proposal> => {
    const known = proposals.get(pin.name);
    if (known !== undefined) return known;
    const exception = exceptions.find(({ name }) => name === pin.name);
    const proposal = proposeOne(pin, exception, sources, commitOf);
    proposals.set(pin.name, proposal);
    return proposal;
  };
  /** Commit at which an action will be once this proposal is taken. */
  const commitOf = async (name: string): Promise<string> => {
    const action = table.find((pin) => pin.name === name);
    if (action?.digest === undefined) throw new Error(`${name} is no action of the table of pins.`);
    return selected.includes(action)
      ? ((await proposalOf(action)).digest ?? action.digest)
      : action.digest;
  };
  return Promise.all(selected.map(proposalOf));
}

async function proposeOne(
  pin: Pin,
  exception: Exception | undefined,
  sources: Sources,
  commitOf: (action: string) => Promise<string>,
): Promise<Proposal> {
  const { source, current } = pin;
  const unchanged = { pin, version: current, digest: pin.digest };
  switch (source.kind) {
    case "none":
      return { ...unchanged, notes: [source.reason] };
    case "input": {
      const commit = await commitOf(source.action);
      const version = await sources.inputDefault(source.action, commit, source.input);
      return { ...unchanged, version, notes: [`what ${source.action} installs by itself`] };
    }
    case "npm": {
      const { all, latest } = await sources.versions(pin.name);
      // Without an exception the publisher decides what people get.
      const limit = exception === undefined ? versionParts(latest, STABLE) : undefined;
      const offered = all.filter(
        (version) =>
          limit === undefined || compareParts(versionParts(version, STABLE) ?? [], limit) <= 0,
      );
      return chosen(pin, offered, STABLE, exception);
    }
    case "tags": {
      const [repository = ""] = pin.image?.("").split(":") ?? [];
      return withDigest(
        chosen(pin, await sources.tags(repository), source.pattern, exception),
        sources,
      );
    }
    case "releases": {
      const tags = await sources.releases(source.repository);
      const offered = source.bare === true ? tags.map((tag) => tag.replace(/^v/, "")) : tags;
      const proposal = chosen(pin, offered, source.pattern, exception);
      return pin.kind === "action"
        ? withCommit(proposal, source.repository, sources)
        : withDigest(proposal, sources);
    }
  }
}

function chosen(
  pin: Pin,
  offered: readonly string[],
  pattern: RegExp,
  exception: Exception | undefined,
): Proposal {
  const { next, held } = chooseVersion(pin.current, offered, pattern, exception);
  const notes = [
    ...(isMajor(pin.current, next, pattern)
      ? ["a new major version, whose release notes say what breaks"]
      : []),
    ...(held !== undefined && exception !== undefined
      ? [`${held} is held back below ${exception.below}: ${exception.reason}`]
      : []),
  ];
  return { pin, version: next, digest: pin.digest, notes };
}

/** The digest of the image that goes with a version; without the image the version is not taken. */
async function withDigest(proposal: Proposal, sources: Sources): Promise<Proposal> {
  const { pin, version } = proposal;
  if (pin.image === undefined || (pin.digest === undefined && version === pin.current)) {
    return proposal;
  }
  const reference = pin.image(version);
  const digest = await sources.digest(reference);
  if (digest === undefined) {
    const notes = [`${version} is released, but its image ${reference} is not there`];
    return { pin, version: pin.current, digest: pin.digest, notes };
  }
  if (pin.digest === undefined) return proposal;
  const rebuilt = version === pin.current && digest !== pin.digest;
  const notes = [
    ...proposal.notes,
    ...(rebuilt ? ["its publisher has built the same tag anew"] : []),
  ];
  return { ...proposal, digest, notes };
}

/** The commit of an action's tag. A tag of today's version that names another commit than the pin is not followed. */
async function withCommit(
  proposal: Proposal,
  repository: string,
  sources: Sources,
): Promise<Proposal> {
  const { pin, version } = proposal;
  const commit = await sources.commit(repository, version);
  if (version !== pin.current && commit !== undefined) return { ...proposal, digest: commit };
  const unchanged = { pin, version: pin.current, digest: pin.digest };
  if (commit === pin.digest) return { ...unchanged, notes: proposal.notes };
  const what =
    commit === undefined ? `${repository} has no tag ${version}` : `somebody moved tag ${version}`;
  return { ...unchanged, notes: [`${what}: the pinned commit stays until people have looked`] };
}
