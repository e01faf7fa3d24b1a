import { setTimeout as pause } from "node:timers/promises";
import { z } from "zod";
import { parseJson } from "../text/parseJson";
import { everyPage } from "./everyPage";

/** Something went wrong that its reader can understand: the message is one sentence. */
export class HostError extends Error {}

const TIMEOUT_MS = 30_000;
const ATTEMPTS = 5;
const WAIT_MS = 1_000;
const LONGEST_WAIT_MS = 60_000;

export interface ApiTarget {
  /** As in a sentence, such as "GitHub". */
  readonly name: string;
  /** Without a slash at its end. */
  readonly baseUrl: string;
  readonly token: string;
}

export interface Answer {
  readonly status: number;
  readonly body: unknown;
}

/**
 * One request of a REST API, repeated where the network, a limit or the server is at fault.
 * @throws HostError when it stays so, or when the status is none of `expected`; the token is in no message.
 */
export async function request(
  api: ApiTarget,
  method: string,
  path: string,
  expected: readonly number[],
  body?: Readonly<Record<string, unknown>>,
): Promise<Answer> {
  const what = `${method} ${path}`;
  for (let attempt = 1; ; attempt++) {
    let problem: string;
    let wait = WAIT_MS * 2 ** (attempt - 1);
    try {
      const answer = await fetch(api.baseUrl + path, {
        method,
        headers: {
          accept: "application/json",
          authorization: `Bearer ${api.token}`,
          "user-agent": "runner-fleet",
          ...(body !== undefined && { "content-type": "application/json" }),
        },
        ...(body !== undefined && { body: JSON.stringify(body) }),
        signal: AbortSignal.timeout(TIMEOUT_MS),
      });
      const text = await answer.text();
      const { status, headers } = answer;
      if (expected.includes(status)) return { status, body: parseJson(text) };
      problem = `answered ${status} to ${what}`;
      const limited =
        status === 429 ||
        (status === 403 &&
          (headers.has("retry-after") || headers.get("x-ratelimit-remaining") === "0"));
      // 409 and 423 are Hetzner's for a server that is at something else.
      if (!limited && status < 500 && status !== 409 && status !== 423) {
        throw new HostError(`${api.name} ${problem}.`);
      }
      const after = Number(headers.get("retry-after") ?? Number.NaN);
      if (after >= 0) wait = after * 1000;
    } catch (error) {
      if (error instanceof HostError) throw error;
      const { message, cause } = error as Error & { cause?: { code?: string } };
      problem = `cannot be reached for ${what} (${cause?.code ?? message})`;
    }
    if (attempt === ATTEMPTS || wait > LONGEST_WAIT_MS) {
      throw new HostError(`${api.name} ${problem}.`);
    }
    await pause(wait);
  }
}

/**
 * Everything of one of GitHub's lists.
 * @param path where the list is, with a query if need be
 * @param key of the list in each answer
 * @throws HostError as `request` does, and when an answer holds no such list.
 */
export async function list<T>(
  api: ApiTarget,
  path: string,
  key: string,
  item: z.ZodType<T>,
): Promise<T[]> {
  const page = z.object({ [key]: z.array(item) });
  const read = async (numbered: string) => {
    const { body } = await request(api, "GET", numbered, [200]);
    const parsed = page.safeParse(body);
    if (parsed.success) return parsed.data[key]!;
    throw new HostError(`${api.name} answered GET ${numbered} without a list.`);
  };
  return everyPage(path, read, (what) => new HostError(`${api.name} ${what}.`));
}
