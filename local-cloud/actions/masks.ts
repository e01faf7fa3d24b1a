const MASK = "***";

/** Hides secret values in lines of text, in the spellings in which they commonly appear. */
export class Masks {
  private readonly values = new Set<string>();

  add(secret: string): void {
    for (const value of [secret, ...secret.split(/\r?\n/)]) {
      if (value.trim() === "") continue;
      this.values.add(value.trim());
      for (const spelling of [
        JSON.stringify(value).slice(1, -1),
        encodeURIComponent(value),
        ...base64(value),
      ])
        this.values.add(spelling);
    }
  }

  /** Whatever overlaps or adjoins becomes one mask. */
  apply(line: string): string {
    const found: [start: number, end: number][] = [];
    for (const value of this.values) {
      for (let at = line.indexOf(value); at >= 0; at = line.indexOf(value, at + 1))
        found.push([at, at + value.length]);
    }
    found.sort(([a], [b]) => a - b);
    let masked = "";
    let from = 0;
    for (let index = 0; index < found.length;) {
      const [start] = found[index] as [number, number];
      let end = start;
      for (; index < found.length && (found[index]?.[0] ?? 0) <= end; index++)
        end = Math.max(end, found[index]?.[1] ?? 0);
      masked += line.slice(from, start) + MASK;
      from = end;
    }
    return masked + line.slice(from);
  }

  /** Whether the text shows a secret. */
  found(text: string): boolean {
    return [...this.values].some((value) => text.includes(value));
  }
}

/** What is left of a value inside Base64, such as of `user:value`, whatever number of bytes stands before it. */
function base64(value: string): string[] {
  const bytes = Buffer.from(value);
  const whole = bytes.toString("base64");
  const inside = [0, 1, 2]
    .map((skipped) => bytes.subarray(skipped))
    .map((part) => part.subarray(0, part.length - (part.length % 3)).toString("base64"));
  // A few characters say nothing of a secret, but would mask much that is none.
  return [whole, ...inside.filter((text) => text.length >= 8)];
}
