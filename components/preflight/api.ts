import { z } from "zod";
import { everyPage } from "../host/everyPage";
import { parseJson } from "../text/parseJson";

/** What the checks may replace in tests. */
export interface ApiOptions {
  readonly fetch?: typeof fetch;
  readonly sleep?: (milliseconds: number) => Promise<void>;
}

/** An API did not say what was asked; the message is one sentence and never holds the token. */
export class ApiError extends Error {
  constructor(
    message: string,
    readonly status?: number,
  ) {
    super(message);
  }
}

/** What was asked for, or `instead` where the API says that there is no such thing. */
export async function orWhereAbsent<T>(asked: Promise<T>, instead: T): Promise<T> {
  try {
    return await asked;
  } catch (error) {
    if (error instanceof ApiError && error.status === 404) return instead;
    throw error;
  }
}

const TIMEOUT_MS = 10_000;
/** A longer wait than this is not worth it before a preview: the caller is told to come back instead. */
const MAX_WAIT_MS = 10_000;
const DEFAULT_WAIT_MS = 500;
/** GitHub counts concurrent requests against a secondary limit. */
const MAX_CONCURRENT = 8;

/** Reads JSON from one REST API. A request is tried twice when the network, a limit or the server is at fault. */
export class Api {
  readonly #base: string;
  readonly #token: string | undefined;
  readonly #headers: Readonly<Record<string, string>>;
  readonly #fetch: typeof fetch;
  readonly #sleep: (milliseconds: number) => Promise<void>;
  readonly #waiting: (() => void)[] = [];
  #running = 0;

  /**
   * @param base URL that paths are appended to, without a slash at its end
   * @param token undefined where anybody may ask
   */
  constructor(
    readonly name: string,
    base: string,
    token: string | undefined,
    headers: Readonly<Record<string, string>>,
    options: ApiOptions,
  ) {
    this.#base = base;
    this.#token = token;
    this.#headers = {
      "User-Agent": "runner-fleet",
      ...(token !== undefined && { Authorization: `Bearer ${token}` }),
      ...headers,
    };
    this.#fetch = options.fetch ?? fetch;
    this.#sleep =
      options.sleep ?? ((milliseconds) => new Promise((done) => setTimeout(done, milliseconds)));
  }

  /**
   * The answer to `GET path`, undefined for 404.
   * @throws ApiError on every other failure, with the status when there was an answer.
   */
  async get<T>(path: string, schema: z.ZodType<T>): Promise<T | undefined> {
    const answer = await this.ask(path, [200, 404]);
    return answer.status === 404 ? undefined : this.parse(path, answer, schema);
  }

  /**
   * The answer to `GET path`, or `HEAD path`, as it is.
   * @throws ApiError when the status is not one of `expected`.
   */
  async ask(
    path: string,
    expected: readonly number[],
    method: "GET" | "HEAD" = "GET",
  ): Promise<RawAnswer> {
    const answer = await this.#limited(() => this.#retried(path, method));
    if (expected.includes(answer.status)) return answer;
    const reason = reasonOf(parseJson(answer.text));
    const what = `answered ${answer.status} to ${method} ${path}${reason && ` (${reason})`}`;
    throw this.#error(what, answer.status);
  }

  /**
   * The body of an answer to `GET path`.
   * @throws ApiError when it is not what `schema` describes.
   */
  parse<T>(path: string, answer: RawAnswer, schema: z.ZodType<T>): T {
    const parsed = schema.safeParse(parseJson(answer.text));
    if (parsed.success) return parsed.data;
    const where = parsed.error.issues[0]?.path.map(String).join(".") || "its root";
    throw this.#error(`answered GET ${path} with something else than documented, at ${where}`);
  }

  /**
   * Everything of one of GitHub's lists.
   * @param path where the list is, with a query if need be
   * @param key of the list in each answer
   * @throws ApiError on every failure.
   */
  async list<T>(path: string, key: string, item: z.ZodType<T>): Promise<T[]> {
    const page = z.object({ [key]: z.array(item) });
    const read = async (numbered: string) =>
      this.parse(numbered, await this.ask(numbered, [200]), page)[key]!;
    return everyPage(path, read, (what) => this.#error(what));
  }

  async #retried(path: string, method: string): Promise<RawAnswer> {
    for (let attempt = 1; ; attempt++) {
      let wait = DEFAULT_WAIT_MS;
      try {
        const answer = await this.#once(path, method);
        const limited = isLimited(answer);
        if (!limited && answer.status < 500) return answer;
        wait = waitOf(answer.headers) ?? DEFAULT_WAIT_MS;
        if (limited && (attempt > 1 || wait > MAX_WAIT_MS)) {
          const seconds = Math.ceil(wait / 1000);
          throw this.#error(`allows no more requests for ${seconds} s`, answer.status);
        }
        if (attempt > 1) return answer;
      } catch (error) {
        if (error instanceof ApiError || attempt > 1) throw this.#unreachable(error);
      }
      await this.#sleep(Math.min(wait, MAX_WAIT_MS));
    }
  }

  async #once(path: string, method: string): Promise<RawAnswer> {
    const answer = await this.#fetch(this.#base + path, {
      method,
      headers: this.#headers,
      signal: AbortSignal.timeout(TIMEOUT_MS),
    });
    return { status: answer.status, headers: answer.headers, text: await answer.text() };
  }

  #unreachable(error: unknown): ApiError {
    if (error instanceof ApiError) return error;
    const { name, message, cause } = error instanceof Error ? error : new Error(String(error));
    if (name === "TimeoutError") return this.#error(`did not answer within ${TIMEOUT_MS / 1000} s`);
    const code = (cause as { code?: unknown } | undefined)?.code;
    return this.#error(`cannot be reached (${typeof code === "string" ? code : message})`);
  }

  #error(what: string, status?: number): ApiError {
    const sentence = `${this.name} at ${this.#base} ${what}.`;
    const shown =
      this.#token === undefined ? sentence : sentence.replaceAll(this.#token, "[token]");
    return new ApiError(shown, status);
  }

  async #limited<T>(work: () => Promise<T>): Promise<T> {
    if (this.#running === MAX_CONCURRENT) {
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    } else {
      this.#running++;
    }
    try {
      return await work();
    } finally {
      // The slot goes to the next in line, or is free again.
      const next = this.#waiting.shift();
      if (next === undefined) this.#running--;
      else next();
    }
  }
}

export interface RawAnswer {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
}

/** GitHub says 403 as well when a limit is reached: then nothing remains, or it says how long to wait. */
function isLimited({ status, headers }: RawAnswer): boolean {
  return (
    status === 429 ||
    (status === 403 && (headers.get("x-ratelimit-remaining") === "0" || headers.has("retry-after")))
  );
}

/** Milliseconds that the server asks to wait. */
function waitOf(headers: Headers): number | undefined {
  const after = Number(headers.get("retry-after") ?? Number.NaN);
  if (after >= 0) return after * 1000;
  const reset = Number(
    headers.get("x-ratelimit-reset") ?? headers.get("ratelimit-reset") ?? Number.NaN,
  );
  return reset >= 0 ? Math.max(0, reset * 1000 - Date.now()) : undefined;
}

/** Hetzner says `{error: {message}}`, GitHub `{message}`. */
function reasonOf(body: unknown): string {
  const { error, message } = (body ?? {}) as { error?: { message?: unknown }; message?: unknown };
  const reason = error?.message ?? message;
  return typeof reason === "string" ? reason.replace(/\.+$/, "") : "";
}
