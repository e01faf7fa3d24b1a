/**
 * Names of the secrets that somebody else wrote since. The provider tells in a refresh that a secret has a newer date
 * than ours, but version 6.11 never updates it for that reason.
 * @param recorded what the stack wrote, as the provider words dates
 * @param observed what GitHub tells now, ISO 8601, by name in upper case
 */
export function rewrittenSecrets(
  recorded: Readonly<Record<string, string>>,
  observed: ReadonlyMap<string, string>,
): Set<string> {
  return new Set(
    Object.entries(recorded)
      .filter(([name, written]) => {
        const now = observed.get(name.toUpperCase());
        return now !== undefined && Date.parse(now) !== Date.parse(written);
      })
      .map(([name]) => name),
  );
}
