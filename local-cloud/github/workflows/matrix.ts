import { toText, type Value } from "../expressions";

/** One job of a matrix; a job without one is a matrix of one. */
export interface MatrixJob {
  readonly values: Record<string, Value>;
  /** The `strategy` context. */
  readonly strategy: Record<string, Value>;
  /** What its name gets when the file gives none: ` (a, b)`. */
  readonly suffix: string;
  readonly failFast: boolean;
  readonly maxParallel: number | undefined;
}

type Combination = Record<string, Value>;

/** A job that has no matrix to expand. */
export const single: MatrixJob = {
  values: {},
  strategy: {},
  suffix: "",
  failFast: true,
  maxParallel: undefined,
};

/** Every combination of a `strategy`, in GitHub's order. Throws where a part of it is not what it must be. */
export function expandMatrix(strategy: Value): MatrixJob[] {
  const { matrix, "fail-fast": fast, "max-parallel": parallel } = asMapping(strategy, "strategy");
  const failFast = fast === undefined || fast === null ? true : fast === true;
  const maxParallel = typeof parallel === "number" && parallel > 0 ? parallel : undefined;
  const all =
    matrix === undefined || matrix === null ? [{}] : combinations(asMapping(matrix, "matrix"));
  return all.map((values, index) => ({
    values,
    strategy: {
      "fail-fast": failFast,
      "job-index": index,
      "job-total": all.length,
      "max-parallel": maxParallel ?? all.length,
    },
    suffix:
      Object.keys(values).length === 0 ? "" : ` (${Object.values(values).map(shown).join(", ")})`,
    failFast,
    maxParallel,
  }));
}

function combinations(matrix: Combination): Combination[] {
  const { include, exclude, ...axes } = matrix;
  let all: Combination[] = Object.keys(axes).length === 0 ? [] : [{}];
  for (const [name, values] of Object.entries(axes))
    all = all.flatMap((one) =>
      asList(values, `matrix.${name}`).map((value) => ({ ...one, [name]: value })),
    );
  for (const rule of list(exclude, "exclude"))
    all = all.filter(
      (one) => !Object.entries(rule).every(([name, value]) => same(one[name], value)),
    );
  // What include adds may be overwritten by a later entry; values of the axes may not.
  const original = all.map((one) => ({ ...one }));
  for (const extra of list(include, "include")) {
    const fits = original.flatMap((one, index) =>
      Object.entries(extra).every(([name, value]) => !(name in one) || same(one[name], value))
        ? [index]
        : [],
    );
    if (fits.length === 0) all.push({ ...extra });
    else for (const index of fits) Object.assign(all[index] ?? {}, extra);
  }
  return all;
}

function list(value: Value | undefined, name: string): Combination[] {
  if (value === undefined || value === null) return [];
  return asList(value, `matrix.${name}`).map((one) => asMapping(one, `matrix.${name}`));
}

function asList(value: Value, name: string): Value[] {
  if (Array.isArray(value)) return value;
  throw new Error(`${name} must be a list, got ${JSON.stringify(value)}.`);
}

function asMapping(value: Value, name: string): Combination {
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return value;
  throw new Error(`${name} must be a mapping, got ${JSON.stringify(value)}.`);
}

function same(a: Value | undefined, b: Value): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}

function shown(value: Value): string {
  if (Array.isArray(value)) return value.map(shown).join(", ");
  return typeof value === "object" && value !== null
    ? Object.values(value).map(shown).join(", ")
    : toText(value);
}
