/** One answer of a fake API, or the error that the network gives instead. */
export type FakeAnswer =
  | {
      readonly status?: number;
      readonly headers?: Readonly<Record<string, string>>;
      readonly body?: unknown;
    }
  | Error;

export interface FakeFetch {
  readonly fetch: typeof fetch;
  /** Every request as `METHOD url`, in order. */
  readonly requests: string[];
  readonly headers: Headers[];
}

/**
 * A fetch that knows the given URLs and throws on every other one. A list is used up one by one; its last answer stays.
 * An unknown URL is remembered, so that the caller sees it even where the error was caught: `unknown` must stay empty.
 */
export function fakeFetch(
  answers: Readonly<Record<string, FakeAnswer | readonly FakeAnswer[]>>,
): FakeFetch & { readonly unknown: string[] } {
  const left = new Map<string, FakeAnswer[]>(
    Object.entries(answers).map(([url, one]) => [url, isList(one) ? [...one] : [one]]),
  );
  const requests: string[] = [];
  const unknown: string[] = [];
  const headers: Headers[] = [];
  const fake: typeof fetch = (input, init) => {
    const request = new Request(input, init);
    requests.push(`${request.method} ${request.url}`);
    headers.push(request.headers);
    const list = left.get(request.url);
    const answer = list !== undefined && list.length > 1 ? list.shift() : list?.[0];
    if (answer === undefined) {
      unknown.push(request.url);
      return Promise.reject(new Error(`the fake API knows no ${request.url}`));
    }
    if (answer instanceof Error) return Promise.reject(answer);
    const { status = 200, headers: given, body } = answer;
    const text = typeof body === "string" ? body : JSON.stringify(body ?? {});
    return Promise.resolve(new Response(status === 204 ? null : text, { status, headers: given }));
  };
  return { fetch: fake, requests, headers, unknown };
}

function isList(answer: FakeAnswer | readonly FakeAnswer[]): answer is readonly FakeAnswer[] {
  return Array.isArray(answer);
}
