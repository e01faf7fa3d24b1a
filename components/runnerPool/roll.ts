/** What decides how a pool gets from one generation of hosts to the next. */
export interface RollSettings {
  readonly count: number;
  /** The generation that all hosts are to be of. */
  readonly generation: number;
  /** How many hosts of it may be made beside those that they replace in one run; default: all at once. */
  readonly maxSurge?: number;
}

export interface RolledHost {
  /** Name in the program, such as arm64-2-1. */
  readonly key: string;
  readonly generation: number;
  /** Its number in the pool, from 1. */
  readonly index: number;
}

/** How far a pool is. */
export interface RollProgress {
  readonly generation: number;
  /** Hosts of this generation once the run is done, of `count`. */
  readonly moved: number;
  readonly count: number;
}

/**
 * The hosts of this run, in the order of their numbers. Of each number there is one: of the wanted generation, unless
 * that one would have to be made and the run may make no more; then the one that is there. Whatever lives and is not
 * among them goes, but at the end of a run, so it counts against what may be made.
 *
 * The same servers always give the same hosts. After a run that was interrupted, what it has made is kept, and what it
 * has not deleted goes before anything more is made.
 * @param pool key of the pool, with which the names of its hosts begin
 * @param living names in the program of the servers that there are, of this pool or another
 */
export function rollHosts(
  pool: string,
  { count, generation, maxSurge = count }: RollSettings,
  living: Iterable<string> = [],
): RolledHost[] {
  const hosts = [...living].flatMap((key) => hostOf(pool, key) ?? []);
  const at = (index: number) => hosts.filter((host) => host.index === index);
  const indexes = Array.from({ length: count }, (_, position) => position + 1);
  const missing = indexes.filter((index) => at(index).length === 0).length;
  let surge = Math.max(0, Math.min(maxSurge, count + maxSurge - hosts.length - missing));
  return indexes.map((index) => {
    const wanted = { key: `${pool}-${generation}-${index}`, generation, index };
    const present = at(index);
    if (present.length === 0 || present.some(({ key }) => key === wanted.key)) return wanted;
    if (surge > 0) {
      surge--;
      return wanted;
    }
    // Of several the oldest: the others were made to replace it and have not been found good.
    return present.reduce((oldest, one) => (one.generation < oldest.generation ? one : oldest));
  });
}

/** Undefined when every host is of the wanted generation. */
export function rollProgress(
  { generation }: Pick<RollSettings, "generation">,
  hosts: readonly Pick<RolledHost, "generation">[],
): RollProgress | undefined {
  const moved = hosts.filter((host) => host.generation === generation).length;
  return moved === hosts.length ? undefined : { generation, moved, count: hosts.length };
}

/** How far a roll is, as one sentence without its end. */
export function rollSentence(pool: string, { generation, moved, count }: RollProgress): string {
  const [hosts, are] = count === 1 ? ["host", "is"] : ["hosts", moved === 1 ? "is" : "are"];
  return `pool ${pool}: ${moved} of ${count} ${hosts} ${are} of generation ${generation}; the next run goes on`;
}

/** The host of this pool that a server is, by its name in the program. */
function hostOf(pool: string, key: string): RolledHost | undefined {
  const [, generation, index] =
    (key.startsWith(`${pool}-`) && /^-([1-9]\d*)-([1-9]\d*)$/.exec(key.slice(pool.length))) || [];
  return generation === undefined
    ? undefined
    : { key, generation: Number(generation), index: Number(index) };
}
