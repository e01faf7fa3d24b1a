import semver from "semver";

export type Ecosystem = "debian" | "alpine" | "go";

/** Negative where a is older than b, by the rules of the packages' world. */
export function compareVersions(ecosystem: Ecosystem, a: string, b: string): number {
  if (ecosystem === "go") return semver.compare(semverOf(a), semverOf(b));
  return ecosystem === "debian" ? compareDebian(a, b) : compareDebian(alpine(a), alpine(b));
}

function semverOf(version: string): string {
  const cleaned = semver.valid(version) ?? semver.coerce(version, { includePrerelease: true });
  if (cleaned === null) throw new Error(`"${version}" is not a version.`);
  return String(cleaned);
}

/** Alpine's suffixes in Debian's terms: `_rc1` is before the version, `_p1` after. */
function alpine(version: string): string {
  return version
    .replaceAll(/_(alpha|beta|pre|rc)/g, "~$1")
    .replaceAll(/_(p|git|svn|cvs|hg)/g, "+$1");
}

/** The epoch, then upstream's version, then Debian's revision. */
function compareDebian(a: string, b: string): number {
  const [x, y] = [parts(a), parts(b)];
  return (
    x.epoch - y.epoch || compareText(x.upstream, y.upstream) || compareText(x.revision, y.revision)
  );
}

function parts(version: string): { epoch: number; upstream: string; revision: string } {
  const colon = version.indexOf(":");
  const rest = version.slice(colon + 1);
  const dash = rest.lastIndexOf("-");
  return {
    epoch: colon < 0 ? 0 : Number(version.slice(0, colon)),
    upstream: dash < 0 ? rest : rest.slice(0, dash),
    revision: dash < 0 ? "" : rest.slice(dash + 1),
  };
}

/** Stretches of text and of digits in turn. In text `~` is before everything, even the end, and letters before the rest. */
function compareText(a: string, b: string): number {
  for (let [x, y] = [a, b]; x !== "" || y !== "";) {
    const [xText = "", yText = ""] = [/^\D*/.exec(x)?.[0], /^\D*/.exec(y)?.[0]];
    for (let index = 0; index < Math.max(xText.length, yText.length); index++) {
      const difference = rank(xText[index]) - rank(yText[index]);
      if (difference !== 0) return difference;
    }
    [x, y] = [x.slice(xText.length), y.slice(yText.length)];
    const [xDigits = "", yDigits = ""] = [/^\d*/.exec(x)?.[0], /^\d*/.exec(y)?.[0]];
    const difference = Number(xDigits) - Number(yDigits);
    if (difference !== 0) return difference;
    [x, y] = [x.slice(xDigits.length), y.slice(yDigits.length)];
  }
  return 0;
}

function rank(character: string | undefined): number {
  if (character === undefined) return 0;
  if (character === "~") return -1;
  return /[A-Za-z]/.test(character) ? character.charCodeAt(0) : character.charCodeAt(0) + 256;
}
