/** Parts of sentences. */

/** A text as it was found, in quotation marks. */
export function quote(text: string): string {
  return JSON.stringify(text);
}

/** Such as `fsn1, nbg1 or hel1`. */
export function enumerate(names: readonly string[], conjunction: "or" | "and" = "or"): string {
  const last = names.at(-1) ?? "";
  return names.length < 2 ? last : `${names.slice(0, -1).join(", ")} ${conjunction} ${last}`;
}
