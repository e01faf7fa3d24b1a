import { invalidField } from "./errors";

export type Labels = Readonly<Record<string, string>>;

const namePattern = /^[a-z0-9A-Z]([a-z0-9A-Z._-]{0,61}[a-z0-9A-Z])?$/;
const dnsLabelPattern = /^[a-z0-9A-Z]([a-z0-9A-Z-]{0,61}[a-z0-9A-Z])?$/;

function isKey(key: string): boolean {
  const segments = key.split("/");
  if (segments.length > 2) return false;
  const name = segments.at(-1) ?? "";
  const prefix = segments.length === 2 ? segments[0] : undefined;
  if (!namePattern.test(name)) return false;
  if (prefix === undefined) return true;
  return prefix.length <= 253 && prefix.split(".").every((part) => dnsLabelPattern.test(part));
}

function isValue(value: string): boolean {
  return value === "" || namePattern.test(value);
}

/** Refuses labels that the documented grammar does not allow. */
export function checkLabels(labels: Labels): void {
  for (const [key, value] of Object.entries(labels)) {
    if (!isKey(key)) throw invalidField("labels", `label key '${key}' is not correctly formatted`);
    if (key.startsWith("hetzner.cloud/"))
      throw invalidField("labels", "label key prefix 'hetzner.cloud/' is reserved");
    if (!isValue(value))
      throw invalidField("labels", `label value '${value}' is not correctly formatted`);
  }
}

export type LabelPredicate = (labels: Labels) => boolean;

/**
 * Reads a label selector: `k`, `!k`, `k=v`, `k==v`, `k!=v`, `k in (a,b)`, `k notin (a,b)`, joined by commas.
 * The two negative comparisons also match resources without the key. An empty selector matches everything.
 */
export function parseSelector(selector: string): LabelPredicate {
  if (selector.trim() === "") return () => true;
  const terms = selector.split(/,(?![^(]*\))/).map((term) => parseTerm(term.trim(), selector));
  return (labels) => terms.every((term) => term(labels));
}

function parseTerm(term: string, selector: string): LabelPredicate {
  const refuse = () => invalidField("label_selector", `label selector '${selector}' is not valid`);
  const set = /^(\S+)\s+(in|notin)\s*\(([^()]*)\)$/.exec(term);
  if (set) {
    const [, key = "", operator, list = ""] = set;
    const values = list.split(",").map((value) => value.trim());
    if (!isKey(key) || !values.every(isValue)) throw refuse();
    const isIn = (labels: Labels) =>
      Object.hasOwn(labels, key) && values.includes(labels[key] ?? "");
    return operator === "in" ? isIn : (labels) => !isIn(labels);
  }
  const comparison = /^([^=!\s]+)\s*(==|=|!=)\s*([^=!\s]*)$/.exec(term);
  if (comparison) {
    const [, key = "", operator, value = ""] = comparison;
    if (!isKey(key) || !isValue(value)) throw refuse();
    const equals = (labels: Labels) => Object.hasOwn(labels, key) && labels[key] === value;
    return operator === "!=" ? (labels) => !equals(labels) : equals;
  }
  const negated = term.startsWith("!");
  const key = negated ? term.slice(1).trim() : term;
  if (!isKey(key)) throw refuse();
  return (labels) => Object.hasOwn(labels, key) !== negated;
}
