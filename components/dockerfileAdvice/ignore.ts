/**
 * Whether a path in the build context stays out of it. Patterns are those of `.dockerignore`: anchored at the root, a
 * folder's includes all in it, the last that matches decides, `!` takes back.
 */
export function isIgnored(dockerignore: string, path: string): boolean {
  let ignored = false;
  for (const line of dockerignore.split(/\r?\n/)) {
    if (line.startsWith("#") || line.trim() === "") continue;
    const negated = line.trim().startsWith("!");
    const pattern = line
      .trim()
      .slice(negated ? 1 : 0)
      .trim();
    if (matcher(pattern).test(path)) ignored = !negated;
  }
  return ignored;
}

function matcher(pattern: string): RegExp {
  const clean = pattern.replace(/^(?:\.?\/)+/, "").replace(/\/+$/, "");
  const source = clean.replace(/\*\*\/|\*\*|\*|\?|\\.|\[[^\]]*\]|[^]/g, (token) => {
    if (token === "**/") return "(?:.*/)?";
    if (token === "**") return ".*";
    if (token === "*") return "[^/]*";
    if (token === "?") return "[^/]";
    if (token.startsWith("\\") && token.length > 1) return escaped(token.slice(1));
    if (token.startsWith("[") && token.length > 1) return token;
    return escaped(token);
  });
  return new RegExp(clean === "." ? "^" : `^${source}(?:/|$)`);
}

function escaped(text: string): string {
  return text.replace(/[\\^$.*+?()[\]{}|/]/g, "\\$&");
}
