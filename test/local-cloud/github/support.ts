import assert from "node:assert/strict";
import sodium from "libsodium-wrappers";
import { Traffic } from "../../../local-cloud/core/traffic";
import { createGitHub, type GitHub, type GitHubOptions } from "../../../local-cloud/github";

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  /** Parsed JSON, or the text where it is none. */
  readonly body: unknown;
}

/** A GitHub side with a client that speaks to it in this process. */
export interface Bench {
  readonly github: GitHub;
  readonly traffic: Traffic;
  /** Sends with the admin token unless another (or "" for none) is given. */
  call(
    method: string,
    path: string,
    body?: unknown,
    options?: { token?: string; headers?: Record<string, string> },
  ): Promise<Answer>;
  /** Like `call`; the answer must have this status. */
  expect<T = Record<string, unknown>>(
    status: number,
    method: string,
    path: string,
    body?: unknown,
    options?: { token?: string; headers?: Record<string, string> },
  ): Promise<T>;
  /** The request must be refused with exactly this status and message. */
  refuses(
    status: number,
    message: string,
    method: string,
    path: string,
    body?: unknown,
    options?: { token?: string },
  ): Promise<void>;
  /** A clock that tests move. */
  readonly clock: { advance(ms: number): void };
}

export const root = "http://127.0.0.1:8080";

export async function start(options: Partial<GitHubOptions> = {}): Promise<Bench> {
  const traffic = new Traffic();
  let offset = 0;
  const github = await createGitHub({ traffic, now: () => Date.now() + offset, ...options });
  const call: Bench["call"] = async (method, path, body, { token, headers = {} } = {}) => {
    const credential: Record<string, string> =
      token === "" ? {} : { authorization: `Bearer ${token ?? github.tokens.admin}` };
    const response = await github.fetch(
      new Request(root + path, {
        method,
        headers: { ...credential, ...headers },
        ...(body !== undefined && { body: typeof body === "string" ? body : JSON.stringify(body) }),
      }),
    );
    const text = await response.text();
    const json =
      response.headers.get("content-type")?.startsWith("application/json") === true && text !== "";
    return {
      status: response.status,
      headers: response.headers,
      body: json ? (JSON.parse(text) as unknown) : text,
    };
  };
  return {
    github,
    traffic,
    call,
    expect: async <T>(status: number, ...request: Parameters<Bench["call"]>) => {
      const answer = await call(...request);
      assert.equal(answer.status, status, JSON.stringify(answer.body));
      return answer.body as T;
    },
    refuses: async (status, message, ...request) => {
      const answer = await call(...request);
      const body = answer.body as { message: string; status: string; documentation_url: string };
      assert.deepEqual({ status: answer.status, message: body.message }, { status, message });
      assert.equal(body.status, String(status));
      assert.match(body.documentation_url, /^https:\/\/docs\.github\.com\/rest/);
    },
    clock: { advance: (ms) => (offset += ms) },
  };
}

/** Ends a test: what the real API would not have understood must not have happened unseen. */
export async function end(bench: Bench): Promise<void> {
  await bench.github.close();
  assert.deepEqual(bench.traffic.surprises, []);
}

/** Encrypts for GitHub as its documentation says. */
export async function seal(key: string, value: string): Promise<string> {
  await sodium.ready;
  const sealed = sodium.crypto_box_seal(
    sodium.from_string(value),
    sodium.from_base64(key, sodium.base64_variants.ORIGINAL),
  );
  return sodium.to_base64(sealed, sodium.base64_variants.ORIGINAL);
}

export function base64(text: string): string {
  return Buffer.from(text).toString("base64");
}
