// @ts-check
/**
 * Token service: trades one GitHub credential for what runners need, so that the credential is on no host that runs
 * jobs. Speaks the protocol of knatnetwork/github-runner-kms, and beyond it hands out just-in-time configurations,
 * deletes runners and takes them out of service by their names.
 *
 * Runs as `node tokenService.mjs [configuration file]`, without a dependency.
 */
import { Buffer } from "node:buffer";
import { createHash, createPrivateKey, sign, timingSafeEqual } from "node:crypto";
import { readFileSync, realpathSync } from "node:fs";
import http from "node:http";
import https from "node:https";
import { BlockList, isIP } from "node:net";
import { performance } from "node:perf_hooks";
import { clearTimeout, setTimeout } from "node:timers";
import { setTimeout as sleep } from "node:timers/promises";
import { pathToFileURL } from "node:url";

/**
 * @typedef {{ kind: "pat", token: string }
 *   | { kind: "app", appId: number, installationId: number, privateKey: string }} Credential `privateKey` is PEM.
 *
 * @typedef {object} TokenServiceConfig
 * @property {{ address: string, port: number }} listen Port 0 is any free one.
 * @property {{ apiUrl: string, timeoutMs?: number }} github `timeoutMs` (default 10000) bounds one exchange; a request
 *   with all its repetitions takes twice that at most.
 * @property {Credential} auth
 * @property {string} password Wanted from every client, by HTTP Basic under any user name or as a bearer token.
 * @property {string[]} sources Ranges (CIDR) that clients may come from.
 * @property {{ organizations: string[], repositories: string[], runnerNamePrefix: string, runnerGroupIds: number[],
 *   registrationTokens: boolean }} allow Repositories are written owner/name, and an organization does not include its
 *   repositories.
 *
 * @typedef {{ method: string, headers: Record<string, string>, body?: string, redirect: "manual",
 *   signal: AbortSignal }} FetchOptions
 * @typedef {{ status: number, headers: { get(name: string): string | null },
 *   body: AsyncIterable<Uint8Array> | null }} Fetched
 * @typedef {(url: string, options: FetchOptions) => Promise<Fetched>} Fetch
 *
 * @typedef {object} Dependencies
 * @property {Fetch} [fetch] That of the Web will do; a redirect is not to be followed.
 * @property {() => number} [now] Milliseconds since the epoch.
 * @property {(entry: Record<string, unknown>) => void} [log]
 *
 * @typedef {object} TokenService
 * @property {() => Promise<{ port: number }>} listen Rejects when the address cannot be had.
 * @property {() => Promise<void>} close Takes no more requests, and ends the open ones within a bound.
 *
 * @typedef {{ api: string, name: string }} Scope `/orgs/acme` or `/repos/acme/app`, and how people write it.
 * @typedef {{ status: number, headers: Fetched["headers"], text: string }} Answer
 * @typedef {{ token: string, expiresAt: number }} Token
 * @typedef {{ status: number, body?: string, type?: string, headers?: Record<string, string> }} Reply
 * @typedef {import("node:http").IncomingMessage} Incoming
 * @typedef {import("node:http").ServerResponse} Outgoing
 */

/** Exchanges with GitHub for single runners that go side by side; GitHub allows 100 to a credential. */
const CONCURRENCY = 32;
/** Requests that wait for one of these; the next one is told to come again. */
const QUEUE = 512;
const MAX_CONNECTIONS = 1024;
/** Requests that a client may send on one connection before the first is answered: more would pile up behind it. */
const PIPELINED = 8;
const ATTEMPTS = 3;
/** The longest that a request waits because GitHub said so, in milliseconds; beyond that the client is told. */
const LONGEST_PAUSE = 5_000;
const MAX_REQUEST_BYTES = 16 * 1024;
const MAX_ANSWER_BYTES = 1024 * 1024;
const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
/** How long before its end a token is replaced, and until when the old one will do while that fails. */
const INSTALLATION_TOKEN = { renewBefore: 5 * MINUTE, usableUntil: MINUTE };
/** A runner may take its time to register with the token that it was given. */
const RUNNER_TOKEN = { renewBefore: 15 * MINUTE, usableUntil: 15 * MINUTE };
/** How long `close` waits for requests that are being answered. */
const CLOSE_MS = 8_000;

/** Tells that the service lives, to everybody in its ranges. */
const HEALTH = "/healthz";
/** The scope of what concerns no account. @type {Scope} */
const NOBODY = { api: "", name: "" };

/** Wrong configuration: the message is one sentence and shows no secret. */
class ConfigError extends Error {}

/** What a client is told instead of what it asked for. */
class Refusal extends Error {
  /**
   * @param {number} status
   * @param {string} message
   * @param {{ headers?: Record<string, string>, github?: number, uncertain?: boolean }} [details] `github`: the status
   *   that GitHub answered; `uncertain`: GitHub may have done what it was asked.
   */
  constructor(status, message, { headers = {}, github, uncertain = false } = {}) {
    super(message);
    this.status = status;
    this.headers = headers;
    this.github = github;
    this.uncertain = uncertain;
  }
}

/** @param {string} message @param {number} ms */
const comeAgain = (message, ms, status = 503) =>
  new Refusal(status, message, { headers: { "retry-after": String(Math.ceil(ms / 1000)) } });

// Configuration

/** @typedef {(value: any) => boolean} Check */

/** @param {number} min @param {number} max @returns {Check} */
const whole = (min, max) => (value) => Number.isInteger(value) && value >= min && value <= max;
/** @param {RegExp} form @returns {Check} */
const text = (form) => (value) => typeof value === "string" && form.test(value);
/** @param {Check} check @returns {Check} */
const listOf = (check) => (value) => Array.isArray(value) && value.every(check);
const ID = whole(1, Number.MAX_SAFE_INTEGER);
const RUNNER_NAME = /^[\w.-]{1,64}$/;

/** Every key of the configuration, what is right for it, and how that is called. @type {[string, Check, string][]} */
const KEYS = [
  ["listen.address", (value) => isIP(String(value)) !== 0, "an IP address"],
  ["listen.port", whole(0, 65_535), "a port"],
  [
    "github.apiUrl",
    text(/^https?:\/\/[\w.-]+(:\d+)?(\/[\w.-]+)*$/),
    "the base URL of GitHub's API without a slash at its end",
  ],
  [
    "github.timeoutMs",
    (value) => value === undefined || whole(100, MINUTE)(value),
    "milliseconds from 100 to 60000",
  ],
  ["password", text(/^[\x21-\x7e]{16,}$/), "at least 16 printable characters"],
  ["sources", listOf(isRange), "a list of ranges such as 10.0.1.0/24"],
  ["allow.organizations", listOf(text(/^[\w-]{1,100}$/)), "a list of logins"],
  [
    "allow.repositories",
    listOf(text(/^[\w-]{1,100}\/(?!\.\.?$)[\w.-]{1,100}$/)),
    "a list of owner/name",
  ],
  ["allow.runnerNamePrefix", text(/^[\w.-]{1,63}$/), "a text such as dev-"],
  ["allow.runnerGroupIds", listOf(ID), "a list of numbers of runner groups"],
  ["allow.registrationTokens", (value) => typeof value === "boolean", "true or false"],
];
/** @type {Record<string, [string, Check, string][]>} */
const AUTH_KEYS = {
  pat: [["auth.token", text(/^[\x21-\x7e]+$/), "a token"]],
  app: [
    ["auth.appId", ID, "the number of the App"],
    ["auth.installationId", ID, "the number of its installation"],
    ["auth.privateKey", (value) => keyType(value) === "rsa", "an RSA private key in PEM"],
  ],
};

/**
 * Checks every value, and that there is no key that means nothing. What was found is not shown: it may be a secret.
 * @param {any} given
 * @returns {TokenServiceConfig}
 */
function checkConfig(given) {
  const auth = Object.hasOwn(AUTH_KEYS, String(given?.auth?.kind))
    ? AUTH_KEYS[given.auth.kind]
    : [];
  /** @type {typeof KEYS} */
  const keys = [...KEYS, ["auth.kind", () => auth?.length !== 0, "pat or app"], ...(auth ?? [])];
  for (const [key, check, expected] of keys) {
    const value = key.split(".").reduce((block, name) => block?.[name], given);
    if (check(value)) continue;
    const found = value === undefined ? "nothing" : "another value";
    throw new ConfigError(`${key}: found ${found}, expected ${expected}.`);
  }
  const known = keys.flatMap(([key]) => [key, ...key.split(".").slice(0, -1)]);
  const names = Object.entries(given).flatMap(([name, value]) => [
    name,
    ...(isBlock(value) ? Object.keys(value).map((one) => `${name}.${one}`) : []),
  ]);
  const unknown = names.find((name) => !known.includes(name));
  if (unknown !== undefined) throw new ConfigError(`${unknown} is not a configuration key.`);
  return given;
}

/** @param {unknown} value @returns {value is Record<string, any>} */
function isBlock(value) {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** @param {unknown} value such as 10.0.1.0/24 */
function isRange(value) {
  const [, address = "", bits = ""] = /^([^/]+)\/(\d{1,3})$/.exec(String(value)) ?? [];
  const family = isIP(address);
  return family !== 0 && Number(bits) <= (family === 4 ? 32 : 128);
}

/** @param {unknown} pem */
function keyType(pem) {
  try {
    return createPrivateKey(String(pem)).asymmetricKeyType;
  } catch {
    return undefined;
  }
}

// Metrics

const BUCKETS = [0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30];
const REQUESTS = "token_service_requests_total";
const GITHUB_REQUESTS = "token_service_github_requests_total";
const CACHE_REQUESTS = "token_service_cache_requests_total";
const GITHUB_SECONDS = "token_service_github_request_duration_seconds";
/** @type {Record<string, [type: string, help: string]>} */
const FAMILIES = {
  [REQUESTS]: ["counter", "Requests by route and answer."],
  [GITHUB_REQUESTS]: ["counter", "Exchanges with GitHub by what came of them."],
  [CACHE_REQUESTS]: ["counter", "Tokens that were asked for by whether one was at hand."],
  [GITHUB_SECONDS]: ["histogram", "Time that exchanges with GitHub took."],
};

/** Counts what happens and prints it in Prometheus' text format. Label values are this file's own words. */
function createMetrics() {
  /** The value of each series, by family. @type {Map<string, Map<string, number>>} */
  const families = new Map();
  /** @param {string} family @param {string} name @param {Record<string, string | number>} labels @param {number} value */
  function add(family, name, labels, value) {
    const series = families.get(family) ?? new Map();
    const list = Object.entries(labels).map(([key, text]) => `${key}="${text}"`);
    const key = `${name}{${list.join(",")}}`;
    families.set(family, series.set(key, (series.get(key) ?? 0) + value));
  }
  return {
    /** @param {string} family @param {Record<string, string | number>} labels */
    count: (family, labels) => add(family, family, labels, 1),
    /** @param {string} operation @param {number} seconds */
    time(operation, seconds) {
      for (const le of BUCKETS)
        add(GITHUB_SECONDS, `${GITHUB_SECONDS}_bucket`, { operation, le }, seconds <= le ? 1 : 0);
      add(GITHUB_SECONDS, `${GITHUB_SECONDS}_bucket`, { operation, le: "+Inf" }, 1);
      add(GITHUB_SECONDS, `${GITHUB_SECONDS}_sum`, { operation }, seconds);
      add(GITHUB_SECONDS, `${GITHUB_SECONDS}_count`, { operation }, 1);
    },
    /** @param {Record<string, readonly [help: string, value: number]>} gauges */
    text(gauges) {
      const lines = [];
      for (const [name, series] of families) {
        const [type, help] = FAMILIES[name] ?? [];
        lines.push(`# HELP ${name} ${help}`, `# TYPE ${name} ${type}`);
        for (const [key, value] of series) lines.push(`${key} ${value}`);
      }
      for (const [name, [help, value]] of Object.entries(gauges))
        lines.push(`# HELP ${name} ${help}`, `# TYPE ${name} gauge`, `${name} ${value}`);
      return `${lines.join("\n")}\n`;
    },
  };
}

/** @typedef {ReturnType<typeof createMetrics>} Metrics */

// GitHub

/** What is deleted of a runner, which answers mean that it is gone, and which one that a job keeps it. */
const WHOLE = { operation: "delete-runner", tail: "", gone: [204, 404], busy: 422 };
const LABELS = { operation: "cordon-runner", tail: "/labels", gone: [200, 404], busy: 0 };

/**
 * GitHub's API under the service's credential.
 * @param {TokenServiceConfig} config
 * @param {Required<Dependencies>} dependencies
 * @param {Metrics} metrics
 */
function createGitHub({ github: { apiUrl, timeoutMs = 10_000 }, auth }, dependencies, metrics) {
  /** GitHub's clock less ours: tokens end, and JWTs are judged, by GitHub's. */
  let skew = 0;
  const now = () => dependencies.now() + skew;
  /** Until then, by `performance.now()`, GitHub wants no requests. */
  let limitedUntil = 0;
  const deadline = () => performance.now() + 2 * timeoutMs;

  /**
   * @typedef {object} Question
   * @property {string} operation as logs and metrics call it
   * @property {string} method
   * @property {string} path
   * @property {unknown} [body]
   * @property {number} until by `performance.now()`
   * @property {boolean} [repeatable] Whether to ask again does no harm when GitHub has done it already. Default: true.
   */

  /**
   * One exchange. Throws a Refusal, and nothing else, when there is no answer.
   * @param {string} token @param {Question} question @param {number} ms
   * @returns {Promise<Answer>}
   */
  async function exchange(token, { operation, method, path, body }, ms) {
    const abort = new AbortController();
    const timer = setTimeout(() => abort.abort(), ms);
    const started = performance.now();
    let outcome = "failed";
    try {
      const response = await dependencies.fetch(`${apiUrl}${path}`, {
        method,
        headers: {
          accept: "application/vnd.github+json",
          "accept-encoding": "identity",
          authorization: `Bearer ${token}`,
          "user-agent": "runner-fleet-token-service",
          "x-github-api-version": "2022-11-28",
          ...(body !== undefined && { "content-type": "application/json" }),
        },
        ...(body !== undefined && { body: JSON.stringify(body) }),
        redirect: "manual",
        signal: abort.signal,
      });
      const answer = await readAnswer(response);
      // What says an error is logged and passed on; a proxy may put into it what it was sent.
      const text = response.status < 300 ? answer : answer.replaceAll(token, "***");
      outcome = String(response.status);
      const date = Date.parse(response.headers.get("date") ?? "");
      if (!Number.isNaN(date)) skew = date - dependencies.now();
      return { status: response.status, headers: response.headers, text };
    } catch (error) {
      if (error instanceof Refusal) throw error;
      if (abort.signal.aborted) {
        outcome = "timeout";
        throw new Refusal(504, `GitHub did not answer within ${ms} ms.`, { uncertain: true });
      }
      const code = errorCode(error);
      const message = `GitHub could not be reached (${code}).`;
      throw new Refusal(502, message, { uncertain: !NEVER_SENT.has(code) });
    } finally {
      clearTimeout(timer);
      const seconds = (performance.now() - started) / 1000;
      metrics.count(GITHUB_REQUESTS, { operation, status: outcome });
      metrics.time(operation, seconds);
      if (!/^[23]/.test(outcome))
        dependencies.log({ level: "warn", event: "github", operation, status: outcome, seconds });
    }
  }

  /**
   * An exchange, and again when it failed in a way that may pass. GitHub's last answer, or a Refusal.
   * @param {string} token @param {Question} question
   */
  async function persist(token, question) {
    const { until, repeatable = true } = question;
    // What GitHub does after we have stopped to listen is lost, and done all the same.
    const least = repeatable ? 1 : timeoutMs / 2;
    for (let attempt = 1; ; attempt += 1) {
      const pause = limitedUntil - performance.now();
      if (pause > 0) {
        if (pause > Math.min(LONGEST_PAUSE, until - performance.now()))
          throw comeAgain("GitHub's rate limit is reached.", pause, 429);
        await sleep(pause);
      }
      const ms = Math.min(timeoutMs, Math.ceil(until - performance.now()));
      if (ms < least)
        throw new Refusal(504, "GitHub was not asked, since too little time was left.");
      const answer = await exchange(token, question, ms).catch(
        (/** @type {Refusal} */ refusal) => refusal,
      );
      let problem = answer;
      if (!(answer instanceof Refusal)) {
        const limit = rateLimit(answer, now());
        if (limit !== undefined) {
          // GitHub has done nothing then, so that it can be asked again in any case.
          limitedUntil = performance.now() + limit;
          if (attempt < ATTEMPTS) continue;
          throw comeAgain("GitHub's rate limit is reached.", limit, 429);
        }
        if (answer.status < 500) return answer;
        problem = refused(answer, 502, true);
      }
      const wait = 200 * 3 ** (attempt - 1) * (0.75 + Math.random() / 2);
      const mayAsk = repeatable || !(/** @type {Refusal} */ (problem).uncertain);
      if (!mayAsk || attempt === ATTEMPTS || performance.now() + wait + least > until)
        throw problem;
      await sleep(wait);
    }
  }

  /** The same with the credential; one that GitHub no longer takes is renewed once. @param {Question} question */
  async function ask(question) {
    if (auth.kind === "pat") return persist(auth.token, question);
    const token = await installation.get();
    const answer = await persist(token, question);
    if (answer.status !== 401) return answer;
    installation.drop(token);
    return persist(await installation.get(), question);
  }

  /**
   * A token that is asked for once, by whoever comes first, and kept for a safe part of its life.
   * @param {string} kind @param {{ renewBefore: number, usableUntil: number }} margins
   * @param {() => Promise<Answer>} fetchToken
   */
  function cached(kind, { renewBefore, usableUntil }, fetchToken) {
    /** @type {Token | undefined} */
    let held;
    /** @type {Promise<string> | undefined} */
    let flight;
    const fly = async () => {
      const answer = await fetchToken();
      if (answer.status !== 201) throw refused(answer);
      const { token, expires_at } = parse(answer);
      const end = Date.parse(String(expires_at));
      if (typeof token !== "string" || !/^[\x21-\x7e]+$/.test(token) || Number.isNaN(end))
        throw new Refusal(502, "GitHub's answer holds no token.", { github: answer.status });
      held = { token, expiresAt: Math.min(end, now() + HOUR) };
      return token;
    };
    return {
      async get() {
        const left = held === undefined ? 0 : held.expiresAt - now();
        const hit = left > usableUntil ? held : undefined;
        metrics.count(CACHE_REQUESTS, { token: kind, result: hit ? "hit" : "miss" });
        if (hit !== undefined && left > renewBefore) return hit.token;
        flight ??= fly().finally(() => (flight = undefined));
        if (hit === undefined) return flight;
        // Renewed beside: the old one still serves, and the failure is in the log.
        flight.catch(() => undefined);
        return hit.token;
      },
      /** @param {string} token */
      drop(token) {
        if (held?.token === token) held = undefined;
      },
    };
  }

  const installation = cached("installation", INSTALLATION_TOKEN, async () => {
    if (auth.kind !== "app") throw new Error("A personal access token has no installation.");
    const until = deadline();
    const path = `/app/installations/${auth.installationId}/access_tokens`;
    const question = { operation: "installation-token", method: "POST", path, body: {}, until };
    const before = skew;
    const answer = await persist(appToken(auth, now()), question);
    // Refused since our clock is wrong: GitHub's is known now.
    const isLate = answer.status === 401 && Math.abs(skew - before) > 30_000;
    return isLate ? persist(appToken(auth, now()), question) : answer;
  });

  /** By path, which the lists of what is allowed bound. @type {Map<string, ReturnType<typeof cached>>} */
  const runnerTokens = new Map();

  /**
   * Deletes the runners of that name, one or none, or what they have; content when there is nothing.
   * @param {typeof WHOLE} what @param {Scope} scope @param {string} name @param {number} [until]
   * @param {(runner: any) => boolean} [which]
   */
  async function remove(what, scope, name, until = deadline(), which = () => true) {
    const runners = `${scope.api}/actions/runners`;
    const path = `${runners}?name=${encodeURIComponent(name)}&per_page=100`;
    const list = await ask({ operation: "find-runner", method: "GET", path, until });
    if (list.status !== 200) throw refused(list);
    const { runners: found } = parse(list);
    if (!Array.isArray(found)) throw new Refusal(502, "GitHub's answer holds no list of runners.");
    for (const runner of found) {
      if (runner?.name !== name || !Number.isInteger(runner.id) || !which(runner)) continue;
      const path = `${runners}/${runner.id}${what.tail}`;
      const answer = await ask({ operation: what.operation, method: "DELETE", path, until });
      if (!what.gone.includes(answer.status))
        throw refused(answer, answer.status === what.busy ? 409 : 502);
    }
  }

  return {
    timeoutMs,
    /** @param {Scope} scope @param {string} name */
    remove: (scope, name) => remove(WHOLE, scope, name),
    /** Without its labels GitHub finds no more jobs for it. @param {Scope} scope @param {string} name */
    cordon: (scope, name) => remove(LABELS, scope, name),
    /** @param {Scope} scope @param {"registration" | "remove"} kind */
    async runnerToken(scope, kind) {
      const path = `${scope.api}/actions/runners/${kind}-token`;
      const operation = `${kind}-token`;
      const cache =
        runnerTokens.get(path) ??
        cached(kind, RUNNER_TOKEN, () =>
          ask({ operation, method: "POST", path, until: deadline() }),
        );
      runnerTokens.set(path, cache);
      return cache.get();
    },
    /** @param {Scope} scope @param {{ name: string }} body @returns {Promise<string>} */
    async jitConfig(scope, body) {
      const path = `${scope.api}/actions/runners/generate-jitconfig`;
      const operation = "generate-jitconfig";
      const question = { operation, method: "POST", path, body, until: deadline() };
      const once = () => ask({ ...question, repeatable: false });
      const answer = await once().catch(async (error) => {
        if (!(error instanceof Refusal) || !error.uncertain) throw error;
        if (question.until - performance.now() < timeoutMs / 2) throw error;
        // The runner may be registered now, and its configuration is lost with the answer.
        const isLost = (/** @type {any} */ one) => one.status === "offline" && !one.busy;
        await remove(WHOLE, scope, body.name, question.until, isLost);
        return once();
      });
      if (answer.status !== 201) throw refused(answer, answer.status === 409 ? 409 : 502);
      if (typeof parse(answer).encoded_jit_config !== "string")
        throw new Refusal(502, "GitHub's answer holds no encoded_jit_config.");
      return answer.text;
    },
  };
}

/**
 * A JSON Web Token of the App; GitHub takes none that is longer than ten minutes or begins in its future.
 * @param {Extract<Credential, { kind: "app" }>} app @param {number} now
 */
function appToken({ appId, privateKey }, now) {
  const seconds = Math.floor(now / 1000);
  const parts = [
    { alg: "RS256", typ: "JWT" },
    { iat: seconds - 60, exp: seconds + 8 * 60, iss: appId },
  ];
  const signed = parts
    .map((part) => Buffer.from(JSON.stringify(part)).toString("base64url"))
    .join(".");
  return `${signed}.${sign("RSA-SHA256", Buffer.from(signed), privateKey).toString("base64url")}`;
}

const agents = {
  http: new http.Agent({ keepAlive: true }),
  https: new https.Agent({ keepAlive: true }),
};

/** By node:http, since Node's own fetch takes some ten MB more. @type {Fetch} */
function fetchByNode(url, { method, headers, body, signal }) {
  return new Promise((resolve, reject) => {
    const [library, agent] = url.startsWith("https:") ? [https, agents.https] : [http, agents.http];
    const request = library.request(url, { method, headers, signal, agent }, (response) => {
      const get = (/** @type {string} */ name) => response.headers[name]?.toString() ?? null;
      resolve({ status: response.statusCode ?? 0, headers: { get }, body: response });
    });
    request.on("error", reject);
    request.end(body);
  });
}

/** Failures of which GitHub has heard nothing. */
const NEVER_SENT = new Set([
  ...["ECONNREFUSED", "ENOTFOUND", "EAI_AGAIN", "EHOSTUNREACH", "ENETUNREACH"],
  ...["CERT_HAS_EXPIRED", "DEPTH_ZERO_SELF_SIGNED_CERT", "ERR_TLS_CERT_ALTNAME_INVALID"],
  ...["SELF_SIGNED_CERT_IN_CHAIN", "UNABLE_TO_VERIFY_LEAF_SIGNATURE"],
]);

/** @param {unknown} error */
function errorCode(error) {
  const { cause, code } = /** @type {any} */ (error ?? {});
  return String(cause?.code ?? code ?? cause?.name ?? "unknown");
}

/** @param {Fetched} response */
async function readAnswer(response) {
  const chunks = [];
  let size = 0;
  for await (const chunk of response.body ?? []) {
    size += chunk.length;
    if (size > MAX_ANSWER_BYTES)
      throw new Refusal(502, `GitHub's answer is longer than ${MAX_ANSWER_BYTES} bytes.`, {
        uncertain: true,
      });
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString();
}

/** @param {Answer} answer @returns {Record<string, any>} */
function parse({ text, status }) {
  try {
    const value = JSON.parse(text);
    if (isBlock(value)) return value;
  } catch {
    // Said below.
  }
  throw new Refusal(502, "GitHub's answer is no JSON.", { github: status });
}

/** What a client is told of an answer that is not what was asked for. @param {Answer} answer */
function refused(answer, status = 502, uncertain = false) {
  let message = "";
  try {
    message = String(JSON.parse(answer.text).message ?? "");
  } catch {
    // No JSON: the status says enough.
  }
  const words = message.replace(/[^\x20-\x7e]+/g, " ").slice(0, 300);
  const text = `GitHub answered ${answer.status}${words === "" ? "" : `: ${words}`}`;
  return new Refusal(status, text, { github: answer.status, uncertain });
}

/** Milliseconds that GitHub wants to be left alone, or undefined. @param {Answer} answer @param {number} now */
function rateLimit({ status, headers, text }, now) {
  if (status !== 429 && status !== 403) return undefined;
  const after = headers.get("retry-after");
  const exhausted = headers.get("x-ratelimit-remaining") === "0";
  if (status === 403 && after === null && !exhausted && !/rate limit/i.test(text)) return undefined;
  const reset = Number(headers.get("x-ratelimit-reset") ?? Number.NaN) * 1000 - now;
  const seconds = /^\d+$/.test(after ?? "") ? Number(after) : Number.NaN;
  const date = / GMT$/.test(after ?? "") ? Date.parse(after ?? "") - now : Number.NaN;
  const told = [seconds * 1000, date, exhausted ? reset : Number.NaN];
  // Without a time GitHub asks for a minute.
  const ms = told.find((one) => !Number.isNaN(one)) ?? MINUTE;
  return Math.min(HOUR, Math.max(0, ms));
}

// The service

/**
 * At most `limit` tasks at once, and a bounded number that waits, each for `ms` at most.
 * @param {number} limit @param {number} bound @param {number} ms
 */
function createGate(limit, bound, ms) {
  let running = 0;
  /** @type {Set<(problem?: Refusal) => void>} */
  const waiting = new Set();
  const full = () => comeAgain("Too many requests wait for GitHub.", 5_000);
  /** @param {Outgoing} response @returns {Promise<void>} */
  const turn = (response) =>
    new Promise((resolve, reject) => {
      /** @param {Refusal} [problem] */
      const settle = (problem) => {
        waiting.delete(settle);
        clearTimeout(timer);
        response.off("close", gone);
        if (problem === undefined) resolve();
        else reject(problem);
      };
      const gone = () => settle(clientGone());
      const timer = setTimeout(() => settle(full()), ms);
      response.once("close", gone);
      waiting.add(settle);
    });
  return {
    get waiting() {
      return waiting.size;
    },
    /** Whoever waits is told to come again. */
    close() {
      bound = 0;
      for (const settle of waiting) settle(comeAgain("The token service stops.", 5_000));
    },
    /**
     * @template T
     * @param {Outgoing} response of the client, who may go away while it waits
     * @param {() => Promise<T>} task
     * @returns {Promise<T>}
     */
    async run(response, task) {
      if (running < limit) running += 1;
      else if (waiting.size < bound) await turn(response);
      else throw full();
      try {
        return await task();
      } finally {
        // The place goes to the one that waits longest.
        const [next] = waiting;
        if (next === undefined) running -= 1;
        else next();
      }
    },
  };
}

/** For the log alone. */
const clientGone = () => new Refusal(400, "The client went away.");

/** @param {Incoming} request @returns {Promise<unknown>} */
async function readJson(request) {
  const tooLong = () =>
    new Refusal(413, `The body is longer than ${MAX_REQUEST_BYTES} bytes.`, {
      headers: { connection: "close" },
    });
  if (Number(request.headers["content-length"] ?? 0) > MAX_REQUEST_BYTES) throw tooLong();
  const chunks = [];
  let size = 0;
  try {
    // Destroyed, it could not be answered.
    for await (const chunk of request.iterator({ destroyOnReturn: false })) {
      size += chunk.length;
      if (size > MAX_REQUEST_BYTES) throw tooLong();
      chunks.push(chunk);
    }
  } catch (error) {
    throw error instanceof Refusal ? error : clientGone();
  }
  try {
    return JSON.parse(Buffer.concat(chunks).toString());
  } catch {
    throw new Refusal(400, "The body is no JSON.");
  }
}

/** The fields of a request for a just-in-time configuration by GitHub's own rules. @type {[string, Check, string][]} */
const JIT_FIELDS = [
  ["name", text(RUNNER_NAME), "1 to 64 letters, digits, dots, hyphens and underscores"],
  ["runner_group_id", (value) => Number.isInteger(value), "a whole number"],
  [
    "labels",
    (value) => listOf(text(/^[^]{1,256}$/))(value) && whole(1, 100)(value.length),
    "1 to 100 texts",
  ],
  ["work_folder", (value) => value === undefined || typeof value === "string", "a text"],
];

/** @param {unknown} body */
function checkJitRequest(body) {
  if (!isBlock(body)) throw new Refusal(400, "The body is no JSON object.");
  const unknown = Object.keys(body).find((key) => !JIT_FIELDS.some(([name]) => name === key));
  if (unknown !== undefined) {
    const shown = JSON.stringify(unknown.slice(0, 64));
    throw new Refusal(400, `The body has an unknown field ${shown}.`);
  }
  for (const [name, check, expected] of JIT_FIELDS)
    if (!check(body[name])) throw new Refusal(400, `${name}: expected ${expected}.`);
  return /** @type {{ name: string, runner_group_id: number }} */ (body);
}

/**
 * @param {TokenServiceConfig} given
 * @param {Dependencies} [dependencies]
 * @returns {TokenService}
 * @throws {Error} one sentence, when the configuration is wrong.
 */
export function createTokenService(given, dependencies = {}) {
  const config = checkConfig(given);
  const { allow } = config;
  const log = dependencies.log ?? logLine;
  const metrics = createMetrics();
  const github = createGitHub(
    config,
    { fetch: dependencies.fetch ?? fetchByNode, now: dependencies.now ?? Date.now, log },
    metrics,
  );
  const gate = createGate(CONCURRENCY, QUEUE, github.timeoutMs);
  const sources = new BlockList();
  for (const range of config.sources) {
    const [address = "", bits] = range.split("/");
    sources.addSubnet(address, Number(bits), isIP(address) === 6 ? "ipv6" : "ipv4");
  }
  const digest = (/** @type {string} */ text) => createHash("sha256").update(text).digest();
  const wanted = digest(config.password);
  /** Requests on a connection that are not answered yet. @type {WeakMap<import("node:net").Socket, number>} */
  const openOn = new WeakMap();
  let inFlight = 0;
  let stopping = false;

  /** @param {Incoming} request */
  function authenticate({ headers }) {
    const [, scheme = "", credential = ""] =
      /^(basic|bearer) (\S+)$/i.exec(headers.authorization ?? "") ?? [];
    const password =
      scheme.toLowerCase() === "basic"
        ? Buffer.from(credential, "base64")
            .toString()
            .replace(/^[^:]*:?/, "")
        : credential;
    // Digests, so that neither the length nor the beginning of the password shows in the time.
    if (!timingSafeEqual(digest(password), wanted))
      throw new Refusal(401, "Expected the password of the token service.", {
        headers: { "www-authenticate": 'Basic realm="token service"' },
      });
  }

  /** @param {string[]} parts organization, or owner and name of a repository @returns {Scope} */
  function scopeOf(parts) {
    const asked = parts.join("/");
    const list = parts.length === 1 ? allow.organizations : allow.repositories;
    const name = list.find((one) => one.toLowerCase() === asked.toLowerCase());
    if (name === undefined)
      throw new Refusal(403, "This token service does not serve that account or repository.");
    return { api: `/${parts.length === 1 ? "orgs" : "repos"}/${name}`, name };
  }

  /** @param {string} name @param {Record<string, unknown>} entry of the log, where a name that is one shows */
  function checkName(name, entry) {
    const isName = RUNNER_NAME.test(name);
    if (isName) entry.runner = name;
    const { runnerNamePrefix: prefix } = allow;
    if (!isName || !name.startsWith(prefix))
      throw new Refusal(403, `Expected the name of a runner that begins with ${prefix}.`);
  }

  /**
   * @typedef {{ request: Incoming, response: Outgoing, entry: Record<string, unknown>, scope: Scope,
   *   rest: string[] }} Call `rest`: what the path names beside the scope.
   * @typedef {(call: Call) => Promise<Reply>} Handler
   * @typedef {{ method: string, route: string, handler: Handler, names: number }} Route
   */

  /** @param {"registration" | "remove"} kind @returns {Handler} */
  const runnerToken =
    (kind) =>
    async ({ scope }) => {
      if (!allow.registrationTokens)
        throw new Refusal(403, "This token service hands out just-in-time configurations only.");
      const body = await github.runnerToken(scope, kind);
      return { status: 200, body, type: "text/plain; charset=utf-8" };
    };
  /** @type {Handler} */
  const jitConfig = async ({ request, response, entry, scope }) => {
    const asked = checkJitRequest(await readJson(request));
    checkName(asked.name, entry);
    if (!allow.runnerGroupIds.includes(asked.runner_group_id))
      throw new Refusal(403, `Runner group ${asked.runner_group_id} is not allowed.`);
    const body = await gate.run(response, async () => {
      const issued = await github.jitConfig(scope, asked);
      if (!response.destroyed) return issued;
      // Nobody will start that runner.
      await github.remove(scope, asked.name);
      throw clientGone();
    });
    return { status: 201, body };
  };
  const [registration, removal] = [runnerToken("registration"), runnerToken("remove")];
  /** @param {"remove" | "cordon"} what @returns {Handler} */
  const byName =
    (what) =>
    async ({ response, entry, scope, rest: [name = ""] }) => {
      checkName(name, entry);
      await gate.run(response, () => github[what](scope, name));
      return { status: 204 };
    };
  const [remove, cordon] = [byName("remove"), byName("cordon")];

  /** @type {Handler} */
  const health = async () => {
    if (stopping) throw comeAgain("The token service stops.", 5_000);
    return { status: 200, body: JSON.stringify({ status: "ok" }) };
  };
  /** @type {Handler} */
  const printMetrics = async () => ({
    status: 200,
    body: metricsText(),
    type: "text/plain; version=0.0.4; charset=utf-8",
  });

  /** Every route, and how many of the names in it say whose runners are meant. @type {Route[]} */
  const routes = [
    { method: "GET", route: HEALTH, handler: health, names: 0 },
    { method: "GET", route: "/metrics", handler: printMetrics, names: 0 },
    ...["/:org", "/repo/:owner/:name"].flatMap((head, at) => [
      { method: "GET", route: `${head}/registration-token`, handler: registration, names: at + 1 },
      { method: "GET", route: `${head}/remove-token`, handler: removal, names: at + 1 },
    ]),
    ...["/orgs/:org", "/repos/:owner/:name"].flatMap((head, at) => [
      { method: "POST", route: `${head}/jitconfigs`, handler: jitConfig, names: at + 1 },
      { method: "DELETE", route: `${head}/runners/:runner`, handler: remove, names: at + 1 },
      { method: "DELETE", route: `${head}/runners/:runner/labels`, handler: cordon, names: at + 1 },
    ]),
  ];
  const patterns = routes.map(({ route }) => new RegExp(`^${route.replace(/:\w+/g, "([^/]+)")}$`));

  /** @param {Incoming} request @param {Outgoing} response @param {Record<string, unknown>} entry of the log */
  async function answer(request, response, entry) {
    const source = String(request.socket.remoteAddress).replace(/^::ffff:(?=[\d.]+$)/, "");
    entry.source = source;
    const family = isIP(source);
    if (family === 0 || !sources.check(source, family === 6 ? "ipv6" : "ipv4"))
      throw new Refusal(403, "Requests from this address are not answered.");
    const [path = ""] = (request.url ?? "").split("?");
    if (path !== HEALTH) authenticate(request);
    const at = patterns.findIndex((pattern) => pattern.test(path));
    const found = routes[at];
    if (found === undefined) throw new Refusal(404, "The token service knows no such route.");
    const { route, method, handler, names } = found;
    entry.route = route;
    if (request.method !== method)
      throw new Refusal(405, `${route} knows ${method} only.`, { headers: { allow: method } });
    const parts = (patterns[at]?.exec(path) ?? []).slice(1).map(decode);
    const scope = names === 0 ? NOBODY : scopeOf(parts.slice(0, names));
    if (names > 0) entry.scope = scope.name;
    return handler({ request, response, entry, scope, rest: parts.slice(names) });
  }

  function metricsText() {
    return metrics.text({
      token_service_requests_in_flight: ["Requests that are being answered.", inFlight],
      token_service_requests_waiting: ["Requests that wait for their turn.", gate.waiting],
      process_resident_memory_bytes: ["Memory of the process.", process.memoryUsage.rss()],
      process_start_time_seconds: [
        "Start of the process since the epoch.",
        Math.floor(Date.now() / 1000 - process.uptime()),
      ],
    });
  }

  /** @param {Incoming} request @param {Outgoing} response */
  async function handle(request, response) {
    const started = performance.now();
    inFlight += 1;
    /** @type {Record<string, any>} */
    const entry = { level: "info", event: "request", method: request.method, route: "none" };
    /** @type {Reply} */
    let reply;
    try {
      reply = await answer(request, response, entry);
    } catch (error) {
      reply = replyTo(error, entry);
    }
    const { status, body = "", type = "application/json", headers = {} } = reply;
    response.writeHead(status, {
      ...(status !== 204 && { "content-type": type, "content-length": Buffer.byteLength(body) }),
      "cache-control": "no-store",
      ...(stopping && { connection: "close" }),
      ...headers,
    });
    response.end(status === 204 ? undefined : body);
    inFlight -= 1;
    metrics.count(REQUESTS, { route: entry.route, status });
    const quiet = status < 400 && [HEALTH, "/metrics"].includes(entry.route);
    if (!quiet) log({ ...entry, status, seconds: (performance.now() - started) / 1000 });
  }

  const server = http.createServer(
    {
      headersTimeout: 5_000,
      requestTimeout: 10_000,
      keepAliveTimeout: 5_000,
      connectionsCheckingInterval: 1_000,
      maxHeaderSize: 8 * 1024,
    },
    (request, response) => {
      const { socket } = request;
      const open = (openOn.get(socket) ?? 0) + 1;
      if (open > PIPELINED) {
        socket.destroy();
        return;
      }
      openOn.set(socket, open);
      response.once("close", () => openOn.set(socket, (openOn.get(socket) ?? 1) - 1));
      // A client that goes away takes nothing with it.
      response.on("error", () => undefined);
      void handle(request, response);
    },
  );
  server.maxConnections = MAX_CONNECTIONS;
  // Who reads no answer, or says nothing for longer than an answer may take.
  server.timeout = 10_000 + 6 * github.timeoutMs;

  return {
    listen: () =>
      new Promise((resolve, reject) => {
        const { address, port } = config.listen;
        // Also for errors after that, which would end the process otherwise.
        server.on("error", (error) => {
          const reason = `cannot listen on ${address} port ${port} (${errorCode(error)})`;
          reject(new ConfigError(`The token service ${reason}.`));
        });
        // As many clients as may be connected may also come at once.
        server.listen({ port, host: address, backlog: MAX_CONNECTIONS }, () => {
          const bound = server.address();
          resolve({ port: typeof bound === "object" && bound !== null ? bound.port : port });
        });
      }),
    close: () =>
      new Promise((resolve) => {
        stopping = true;
        gate.close();
        const timer = setTimeout(() => server.closeAllConnections(), CLOSE_MS);
        server.close(() => {
          clearTimeout(timer);
          resolve();
        });
      }),
  };
}

/** @param {string} part of a path */
function decode(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    throw new Refusal(400, "The path is not encoded as one.");
  }
}

/** @param {unknown} error @param {Record<string, unknown>} entry of the log @returns {Reply} */
function replyTo(error, entry) {
  const known = error instanceof Refusal ? error : undefined;
  const { status, headers, github, message } =
    known ?? new Refusal(500, "The token service failed inside.");
  entry.message = known === undefined ? `failed inside: ${String(error)}` : message;
  if (status >= 500) entry.level = known === undefined ? "error" : "warn";
  return { status, headers, body: JSON.stringify({ message, ...(github && { github }) }) };
}

/** @param {Record<string, unknown>} entry */
function logLine(entry) {
  process.stdout.write(`${JSON.stringify({ time: new Date().toISOString(), ...entry })}\n`);
}

// The program

/** @param {string} path */
function readConfig(path) {
  let text;
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    throw new ConfigError(`${path}: cannot be read (${errorCode(error)}).`);
  }
  try {
    return JSON.parse(text);
  } catch {
    // The parser's own message shows a piece of the text.
    throw new ConfigError(`${path}: found no JSON, expected the configuration as JSON.`);
  }
}

/** @param {string} path */
async function main(path) {
  // Without a reader of its log it serves all the same.
  process.stdout.on("error", () => undefined);
  try {
    const service = createTokenService(readConfig(path));
    const { port } = await service.listen();
    logLine({ level: "info", event: "listening", port });
    const stop = async (/** @type {string} */ signal) => {
      logLine({ level: "info", event: "stopping", signal });
      await service.close();
      logLine({ level: "info", event: "stopped" });
      process.exit(0);
    };
    process.once("SIGTERM", (signal) => void stop(signal));
    process.once("SIGINT", (signal) => void stop(signal));
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    process.stderr.write(`${error.message}\n`);
    process.exitCode = 1;
  }
}

function startedAsProgram() {
  try {
    return import.meta.url === pathToFileURL(realpathSync(process.argv[1] ?? "")).href;
  } catch {
    return false;
  }
}

if (startedAsProgram()) await main(process.argv[2] ?? "/etc/runner-fleet/token-service.json");
