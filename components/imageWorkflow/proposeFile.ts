import { setTimeout as sleep } from "node:timers/promises";
import { z } from "zod";
import { gitBlob } from "./gitBlob";
import { judge, type Proposal } from "./proposal";

/** Where a file is proposed, and in which words. */
export interface ProposedFile {
  /** REST API, without a slash at the end. */
  readonly api: string;
  readonly token: string;
  /** Owner and name. */
  readonly repository: string;
  /** Branch that the file is meant for. */
  readonly base: string;
  /** Branch of the proposal, which belongs to this program. */
  readonly head: string;
  readonly path: string;
  readonly content: string;
  readonly title: string;
  readonly body: string;
  /** Message of the commit. */
  readonly message: string;
}

/** What GitHub answered, as one sentence for people. */
export class ProposalError extends Error {}

const ATTEMPTS = 5;
const WRITE_ATTEMPTS = 3;
const TIMEOUT_MS = 30_000;
/** A limit that lasts longer ends the run with what GitHub said. */
const MAX_WAIT_MS = 60_000;

const refAnswer = z.object({ object: z.object({ sha: z.string() }) });
const repositoryAnswer = z.object({ archived: z.boolean() });
const contentsAnswer = z.object({ sha: z.string() });
const pull = z.object({
  number: z.int(),
  state: z.enum(["open", "closed"]),
  merged_at: z.string().nullable(),
  html_url: z.string(),
  title: z.string(),
  body: z.string().nullable(),
  head: z.object({ sha: z.string() }),
});
type Pull = z.output<typeof pull>;

/**
 * Brings the proposal in line with the wanted content, whatever people did to the last one: changes an open pull request
 * in place, makes a new one after it was merged or closed, and leaves one closed that was declined with this content.
 * @returns Address of the pull request, empty where none was ever needed.
 * @throws ProposalError with one sentence.
 */
export async function proposeFile(file: ProposedFile): Promise<string> {
  const api = new Repository(file);
  const [present, pulls] = await Promise.all([api.blob(file.base), api.pulls()]);
  const proposals = await Promise.all(pulls.map((one) => api.proposal(one)));
  const { state, current } = judge(gitBlob(file.content), present, proposals);
  const known = pulls.find(({ number }) => number === current?.number);
  switch (state) {
    case "delivered":
      if (known?.state === "open") await withdrawFile(file);
      return known?.html_url ?? "";
    case "declined":
      return known?.html_url ?? "";
    case "open":
      await api.write();
      if (known !== undefined && (known.title !== file.title || known.body !== file.body)) {
        await api.call("PATCH", `/pulls/${known.number}`, { title: file.title, body: file.body });
      }
      return known?.html_url ?? "";
    case "wanted": {
      await api.startBranch();
      await api.write();
      const { title, body, head, base } = file;
      const made = await api.call("POST", "/pulls", { title, body, head, base });
      return made.as(pull).html_url;
    }
  }
}

/**
 * Closes what is open and deletes the branch of the proposals. What is gone already is no failure, nor is an archived
 * repository, in which nothing can be changed any more.
 * @throws ProposalError with one sentence.
 */
export async function withdrawFile(file: ProposedFile): Promise<void> {
  const api = new Repository(file);
  if (!(await api.isLive())) return;
  const pulls = await api.pulls();
  for (const { number } of pulls.filter(({ state }) => state === "open")) {
    await api.call("PATCH", `/pulls/${number}`, { state: "closed" }, [404]);
  }
  // 422 is GitHub's answer for a ref that does not exist.
  await api.call("DELETE", `/git/refs/heads/${encodePath(file.head)}`, undefined, [404, 422]);
}

interface Answer {
  readonly status: number;
  as<T>(schema: z.ZodType<T>): T;
}

/** One repository's REST API. */
class Repository {
  readonly #file: ProposedFile;

  constructor(file: ProposedFile) {
    this.#file = file;
  }

  /** Git's name of the file's content at a branch or commit, if it is there. */
  async blob(ref: string): Promise<string | undefined> {
    const answer = await this.call(
      "GET",
      `${this.#contents}?ref=${encodeURIComponent(ref)}`,
      undefined,
      [404],
    );
    return answer.status === 404 ? undefined : answer.as(contentsAnswer).sha;
  }

  /** Whether it is there and can be changed. */
  async isLive(): Promise<boolean> {
    const answer = await this.call("GET", "", undefined, [404]);
    return answer.status !== 404 && !answer.as(repositoryAnswer).archived;
  }

  /** Pull requests from the proposals' branch. */
  async pulls(): Promise<Pull[]> {
    const { repository, head, base } = this.#file;
    const query = new URLSearchParams({
      head: `${repository.split("/")[0]}:${head}`,
      base,
      state: "all",
      per_page: "100",
    });
    const answer = await this.call("GET", `/pulls?${query.toString()}`);
    return answer.as(z.array(pull));
  }

  async proposal({ number, state, merged_at, head }: Pull): Promise<Proposal> {
    if (state === "open" || merged_at !== null) {
      return { number, state: state === "open" ? "open" : "merged", blob: undefined };
    }
    return { number, state: "closed", blob: await this.blob(head.sha) };
  }

  /** The proposals' branch at the tip of the base branch: what an earlier proposal left on it is over. */
  async startBranch(): Promise<void> {
    const { base, head } = this.#file;
    const tip = await this.call("GET", `/git/ref/heads/${encodePath(base)}`);
    const { sha } = tip.as(refAnswer).object;
    const present = await this.call("GET", `/git/ref/heads/${encodePath(head)}`, undefined, [404]);
    if (present.status === 404) {
      await this.call("POST", "/git/refs", { ref: `refs/heads/${head}`, sha });
    } else if (present.as(refAnswer).object.sha !== sha) {
      await this.call("PATCH", `/git/refs/heads/${encodePath(head)}`, { sha, force: true });
    }
  }

  /** The content on the proposals' branch, as one more commit unless it is there. */
  async write(): Promise<void> {
    const { content, head, message } = this.#file;
    for (let attempt = 1; ; attempt++) {
      const sha = await this.blob(head);
      if (sha === gitBlob(content)) return;
      const body = {
        message,
        content: Buffer.from(content).toString("base64"),
        branch: head,
        ...(sha !== undefined && { sha }),
      };
      // A branch is not known everywhere in the moment it was made (404), and somebody may commit at the same time (409).
      const passing = attempt < WRITE_ATTEMPTS ? [404, 409] : [];
      const { status } = await this.call("PUT", this.#contents, body, passing);
      if (status < 300) return;
      await sleep(500 * attempt);
    }
  }

  get #contents(): string {
    return `/contents/${encodePath(this.#file.path)}`;
  }

  /**
   * @param accepted statuses that are answers too, beside success
   * @throws ProposalError on every other answer, and when there is none.
   */
  async call(
    method: string,
    path: string,
    body?: Readonly<Record<string, unknown>>,
    accepted: readonly number[] = [],
  ): Promise<Answer> {
    const { api, token, repository } = this.#file;
    const what = `${method} ${path.split("?")[0] || "/"} in ${repository}`;
    for (let attempt = 1; ; attempt++) {
      let response: Response;
      let text: string;
      try {
        response = await fetch(`${api}/repos/${repository}${path}`, {
          method,
          headers: {
            accept: "application/vnd.github+json",
            authorization: `Bearer ${token}`,
            "user-agent": "runner-fleet",
            "x-github-api-version": "2022-11-28",
            ...(body !== undefined && { "content-type": "application/json" }),
          },
          ...(body !== undefined && { body: JSON.stringify(body) }),
          signal: AbortSignal.timeout(TIMEOUT_MS),
        });
        text = await response.text();
      } catch (error) {
        const { message, cause } = error as Error & { cause?: { message?: string } };
        throw new ProposalError(`GitHub did not answer ${what}: ${cause?.message ?? message}.`);
      }
      const { status, headers } = response;
      if (response.ok || accepted.includes(status)) {
        return { status, as: (schema) => read(schema, text, what) };
      }
      // GitHub says 403 too when a limit is reached, and it is no right of the token that is missing then.
      const exhausted = headers.get("x-ratelimit-remaining") === "0";
      const limited =
        status === 429 || (status === 403 && (exhausted || headers.has("retry-after")));
      const wait = Number(headers.get("retry-after") ?? attempt) * 1000;
      if (attempt === ATTEMPTS || !(limited || status >= 500) || !(wait <= MAX_WAIT_MS)) {
        const rights = limited ? "" : missingRight(method, path, status);
        const said = messageIn(text);
        throw new ProposalError(
          `GitHub answered ${status}${said && ` (${said})`} to ${what}${rights}.`,
        );
      }
      await sleep(wait);
    }
  }
}

/** What the token may lack, as the end of a sentence. GitHub says 404 as well where a token lacks a right. */
function missingRight(method: string, path: string, status: number): string {
  if (![401, 403, 404].includes(status) || method === "GET") return "";
  const right = path.startsWith("/pulls")
    ? `"Pull requests: write"`
    : `"Contents: write" and "Workflows: write" (a classic token: the scopes repo and workflow)`;
  return `, expected a token with the permission ${right} there`;
}

function read<T>(schema: z.ZodType<T>, text: string, what: string): T {
  let parsed;
  try {
    parsed = schema.safeParse(JSON.parse(text));
  } catch {
    parsed = undefined;
  }
  if (parsed?.success) return parsed.data;
  throw new ProposalError(`GitHub answered ${what} with something else than documented.`);
}

function messageIn(text: string): string {
  try {
    const { message, errors } = JSON.parse(text) as {
      message?: unknown;
      errors?: readonly { message?: unknown }[];
    };
    const parts = [message, ...(errors ?? []).map((one) => one.message)];
    return parts
      .filter((part) => typeof part === "string")
      .map((part) => part.replace(/\.+$/, ""))
      .join(": ");
  } catch {
    return "";
  }
}

function encodePath(path: string): string {
  return path.split("/").map(encodeURIComponent).join("/");
}
