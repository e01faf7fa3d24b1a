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

/** Counts what happens and prints it in Prometheus' text format. Label values are this file's own words. */
function createMetrics() {
  /** @type {Map<string, { help: string, series: Map<string, number> }>} */
  const counters = new Map();
  /** @type {Map<string, { counts: number[], sum: number, count: number }>} */
  const latencies = new Map();
  /** @param {Record<string, string | number>} labels */
  const print = (labels) =>
    `{${Object.entries(labels)
      .map(([key, value]) => `${key}="${value}"`)
      .join(",")}}`;
  return {
    /** @param {string} name @param {string} help @param {Record<string, string | number>} labels */
    count(name, help, labels) {
      const counter = counters.get(name) ?? { help, series: new Map() };
      counters.set(name, counter);
      const key = print(labels);
      counter.series.set(key, (counter.series.get(key) ?? 0) + 1);
    },
    /** @param {string} operation @param {number} seconds */
    time(operation, seconds) {
      const known = latencies.get(operation);
      const histogram = known ?? { counts: BUCKETS.map(() => 0), sum: 0, count: 0 };
      if (known === undefined) latencies.set(operation, histogram);
      BUCKETS.forEach((bound, index) => {
        if (seconds <= bound) histogram.counts[index] = (histogram.counts[index] ?? 0) + 1;
      });
      histogram.sum += seconds;
      histogram.count += 1;
    },
    /** @param {Record<string, readonly [help: string, value: number]>} gauges */
    text(gauges) {
      const lines = [];
      for (const [name, { help, series }] of counters) {
        lines.push(`# HELP ${name} ${help}`, `# TYPE ${name} counter`);
        for (const [labels, value] of series) lines.push(`${name}${labels} ${value}`);
      }
      if (latencies.size > 0) {
        const name = "token_service_github_request_duration_seconds";
        lines.push(`# HELP ${name} Time that exchanges with GitHub took.`);
        lines.push(`# TYPE ${name} histogram`);
        for (const [operation, { counts, sum, count }] of latencies) {
          BUCKETS.forEach((le, index) =>
            lines.push(`${name}_bucket${print({ operation, le })} ${counts[index]}`),
          );
          lines.push(`${name}_bucket${print({ operation, le: "+Inf" })} ${count}`);
          lines.push(`${name}_sum${print({ operation })} ${sum}`);
          lines.push(`${name}_count${print({ operation })} ${count}`);
        }
      }
      for (const [name, [help, value]] of Object.entries(gauges))
        lines.push(`# HELP ${name} ${help}`, `# TYPE ${name} gauge`, `${name} ${value}`);
      return `${lines.join("\n")}\n`;
    },
  };
}

/** @typedef {ReturnType<typeof createMetrics>} Metrics */

// GitHub

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
  const appKey = auth.kind === "app" ? createPrivateKey(auth.privateKey) : undefined;
  const deadline = () => performance.now() + 2 * timeoutMs;

  /**
   * One exchange. Throws a Refusal when there is no answer.
   * @param {string} operation @param {string} method @param {string} path @param {string} authorization
   * @param {unknown} body @param {number} ms
   * @returns {Promise<Answer>}
   */
  async function exchange(operation, method, path, authorization, body, ms) {
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
          authorization,
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
      const text =
        response.status < 300 ? answer : answer.replaceAll(authorization.slice(7), "***");
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
      const help = "Exchanges with GitHub by what came of them.";
      metrics.count("token_service_github_requests_total", help, { operation, status: outcome });
      metrics.time(operation, seconds);
      if (!/^[23]/.test(outcome))
        dependencies.log({ level: "warn", event: "github", operation, status: outcome, seconds });
    }
  }

  /**
   * An exchange, and again when it failed in a way that may pass. GitHub's last answer, or a Refusal.
   * @param {string} operation @param {string} method @param {string} path @param {string} authorization
   * @param {{ body?: unknown, until: number, repeatable?: boolean }} options `repeatable`: whether to ask again does no
   *   harm when GitHub has done it already.
   */
  async function persist(operation, method, path, authorization, options) {
    const { body, until, repeatable = true } = options;
    for (let attempt = 1; ; attempt += 1) {
      const pause = limitedUntil - performance.now();
      if (pause > Math.min(LONGEST_PAUSE, until - performance.now()))
        throw comeAgain("GitHub's rate limit is reached.", pause, 429);
      if (pause > 0) await sleep(pause);
      let last;
      try {
        const ms = Math.max(1, Math.min(timeoutMs, Math.ceil(until - performance.now())));
        const answer = await exchange(operation, method, path, authorization, body, ms);
        const limit = rateLimit(answer, now());
        if (limit !== undefined) limitedUntil = performance.now() + limit;
        // GitHub has done nothing then, so that it can be asked again in any case.
        if (limit !== undefined && attempt < ATTEMPTS) continue;
        if (limit !== undefined) throw comeAgain("GitHub's rate limit is reached.", limit, 429);
        if (answer.status < 500) return answer;
        last = refused(answer, true);
      } catch (error) {
        if (!(error instanceof Refusal) || error.status === 429) throw error;
        last = error;
      }
      const wait = 200 * 3 ** (attempt - 1) * (0.75 + Math.random() / 2);
      const mayAsk = repeatable || !last.uncertain;
      if (!mayAsk || attempt === ATTEMPTS || performance.now() + wait > until) throw last;
      await sleep(wait);
    }
  }

  /**
   * The same with the credential; one that GitHub no longer takes is renewed once.
   * @param {string} operation @param {string} method @param {string} path
   * @param {{ body?: unknown, until: number, repeatable?: boolean }} options
   */
  async function ask(operation, method, path, options) {
    if (auth.kind === "pat")
      return persist(operation, method, path, `Bearer ${auth.token}`, options);
    const first = await installation.get();
    const answer = await persist(operation, method, path, `Bearer ${first.token}`, options);
    if (answer.status !== 401) return answer;
    installation.drop(first.token);
    const second = await installation.get();
    return persist(operation, method, path, `Bearer ${second.token}`, options);
  }

  /** A JWT of the App; GitHub takes none that is longer than ten minutes or begins in its future. */
  function jwt() {
    /** @param {unknown} part */
    const encode = (part) => Buffer.from(JSON.stringify(part)).toString("base64url");
    const seconds = Math.floor(now() / 1000);
    const claims = {
      iat: seconds - 60,
      exp: seconds + 8 * 60,
      iss: auth.kind === "app" ? auth.appId : 0,
    };
    const signed = `${encode({ alg: "RS256", typ: "JWT" })}.${encode(claims)}`;
    const key = /** @type {import("node:crypto").KeyObject} */ (appKey);
    return `${signed}.${sign("RSA-SHA256", Buffer.from(signed), key).toString("base64url")}`;
  }

  /**
   * A token that is asked for once, by whoever comes first, and kept for a safe part of its life.
   * @param {string} kind @param {{ renewBefore: number, usableUntil: number }} margins
   * @param {() => Promise<Answer>} fetchToken
   */
  function cached(kind, { renewBefore, usableUntil }, fetchToken) {
    /** @type {Token | undefined} */
    let held;
    /** @type {Promise<Token> | undefined} */
    let flight;
    const fly = async () => {
      const answer = await fetchToken();
      if (answer.status !== 201) throw refused(answer);
      const { token, expires_at } = parse(answer);
      const end = Date.parse(String(expires_at));
      if (typeof token !== "string" || !/^[\x21-\x7e]+$/.test(token) || Number.isNaN(end))
        throw new Refusal(502, "GitHub's answer holds no token.", { github: answer.status });
      held = { token, expiresAt: Math.min(end, now() + HOUR) };
      return held;
    };
    return {
      async get() {
        const left = held === undefined ? 0 : held.expiresAt - now();
        const hit = held !== undefined && left > usableUntil;
        const help = "Tokens that were asked for by whether one was at hand.";
        const labels = { token: kind, result: hit ? "hit" : "miss" };
        metrics.count("token_service_cache_requests_total", help, labels);
        if (held !== undefined && left > renewBefore) return held;
        flight ??= fly().finally(() => (flight = undefined));
        if (held === undefined || !hit) return flight;
        // Renewed beside: the old one still serves, and the failure is in the log.
        flight.catch(() => undefined);
        return held;
      },
      /** @param {string} token */
      drop(token) {
        if (held?.token === token) held = undefined;
      },
    };
  }

  const installation = cached("installation", INSTALLATION_TOKEN, async () => {
    const id = auth.kind === "app" ? auth.installationId : 0;
    const path = `/app/installations/${id}/access_tokens`;
    const until = deadline();
    const request = () =>
      persist("installation-token", "POST", path, `Bearer ${jwt()}`, { body: {}, until });
    const before = skew;
    const answer = await request();
    // Refused since our clock is wrong: GitHub's is known now.
    return answer.status === 401 && Math.abs(skew - before) > 30_000 ? request() : answer;
  });

  /** @type {Map<string, ReturnType<typeof cached>>} */
  const runnerTokens = new Map();

  /**
   * The runners of that name: one, or none.
   * @param {Scope} scope @param {string} name @param {number} until
   */
  async function find(scope, name, until) {
    const path = `${scope.api}/actions/runners?name=${encodeURIComponent(name)}&per_page=100`;
    const answer = await ask("find-runner", "GET", path, { until });
    if (answer.status !== 200) throw refused(answer);
    const { runners } = parse(answer);
    if (!Array.isArray(runners))
      throw new Refusal(502, "GitHub's answer holds no list of runners.");
    return runners.filter((one) => one?.name === name && Number.isInteger(one.id));
  }

  /**
   * Deletes a runner by name; content when there is none.
   * @param {Scope} scope @param {string} name @param {number} until
   * @param {(runner: any) => boolean} [which]
   */
  async function remove(scope, name, until, which = () => true) {
    for (const { id } of (await find(scope, name, until)).filter(which)) {
      const path = `${scope.api}/actions/runners/${id}`;
      const answer = await ask("delete-runner", "DELETE", path, { until });
      if (answer.status === 422) throw refused(answer, false, 409);
      if (answer.status !== 204 && answer.status !== 404) throw refused(answer);
    }
  }

  return {
    timeoutMs,
    remove: (/** @type {Scope} */ scope, /** @type {string} */ name) =>
      remove(scope, name, deadline()),
    /** @param {Scope} scope @param {"registration" | "remove"} kind */
    async runnerToken(scope, kind) {
      const path = `${scope.api}/actions/runners/${kind}-token`;
      let cache = runnerTokens.get(path);
      if (cache === undefined) {
        cache = cached(kind, RUNNER_TOKEN, () =>
          ask(`${kind}-token`, "POST", path, { until: deadline() }),
        );
        runnerTokens.set(path, cache);
      }
      return (await cache.get()).token;
    },
    /** @param {Scope} scope @param {{ name: string }} body @returns {Promise<string>} */
    async jitConfig(scope, body) {
      const path = `${scope.api}/actions/runners/generate-jitconfig`;
      const until = deadline();
      const request = () =>
        ask("generate-jitconfig", "POST", path, { body, until, repeatable: false });
      let answer;
      try {
        answer = await request();
      } catch (error) {
        const left = until - performance.now();
        if (!(error instanceof Refusal) || !error.uncertain || left < timeoutMs / 2) throw error;
        // The runner may be registered now, and its configuration is lost with the answer.
        await remove(scope, body.name, until, (one) => one.status === "offline" && !one.busy);
        answer = await request();
      }
      if (answer.status === 409) throw refused(answer, false, 409);
      if (answer.status !== 201) throw refused(answer);
      if (typeof parse(answer).encoded_jit_config !== "string")
        throw new Refusal(502, "GitHub's answer holds no encoded_jit_config.");
      return answer.text;
    },
    /** Without its labels GitHub finds no more jobs for it. @param {Scope} scope @param {string} name */
    async cordon(scope, name) {
      const until = deadline();
      for (const { id } of await find(scope, name, until)) {
        const path = `${scope.api}/actions/runners/${id}/labels`;
        const answer = await ask("cordon-runner", "DELETE", path, { until });
        if (answer.status !== 200 && answer.status !== 404) throw refused(answer);
      }
    },
  };
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
function refused(answer, uncertain = false, status = 502) {
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
  const told = [seconds * 1000, Date.parse(after ?? "") - now, exhausted ? reset : Number.NaN];
  // Without a time GitHub asks for a minute.
  const ms = told.find((one) => !Number.isNaN(one)) ?? MINUTE;
  return Math.min(HOUR, Math.max(0, ms));
}

// The service

/**
 * At most `limit` tasks at once, and a bounded number that waits, each a bounded time.
 * @param {number} limit @param {number} bound
 */
function createGate(limit, bound) {
  let running = 0;
  /** @type {Set<(problem?: Refusal) => void>} */
  const waiting = new Set();
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
     * @param {number} ms the longest that it waits
     * @param {() => Promise<T>} task
     * @returns {Promise<T>}
     */
    async run(response, ms, task) {
      if (running >= limit && waiting.size >= bound)
        throw comeAgain("Too many requests wait for GitHub.", 5_000);
      if (running >= limit) {
        await new Promise((resolve, reject) => {
          /** @param {Refusal} [problem] */
          const settle = (problem) => {
            waiting.delete(settle);
            clearTimeout(timer);
            response.off("close", gone);
            if (problem === undefined) resolve(undefined);
            else reject(problem);
          };
          const gone = () => settle(comeAgain("The client went away.", 0));
          const late = () => settle(comeAgain("Too many requests wait for GitHub.", 5_000));
          const timer = setTimeout(late, ms);
          response.once("close", gone);
          waiting.add(settle);
        });
      } else running += 1;
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

/** @param {Incoming} request @returns {Promise<unknown>} */
async function readJson(request) {
  const tooLong = () =>
    new Refusal(413, `The body is longer than ${MAX_REQUEST_BYTES} bytes.`, {
      headers: { connection: "close" },
    });
  if (Number(request.headers["content-length"] ?? 0) > MAX_REQUEST_BYTES) throw tooLong();
  const chunks = [];
  let size = 0;
  // Destroyed, it could not be answered.
  for await (const chunk of request.iterator({ destroyOnReturn: false })) {
    size += chunk.length;
    if (size > MAX_REQUEST_BYTES) throw tooLong();
    chunks.push(chunk);
  }
  try {
    return JSON.parse(Buffer.concat(chunks).toString());
  } catch {
    throw new Refusal(400, "The body is no JSON.");
  }
}

/** GitHub's own rules for what it is asked to register. @param {unknown} body */
function checkJitRequest(body) {
  /** @param {string} message @returns {never} */
  const fail = (message) => {
    throw new Refusal(400, message);
  };
  if (!isBlock(body)) return fail("The body is no JSON object.");
  const { name, runner_group_id, labels, work_folder, ...rest } = body;
  const unknown = Object.keys(rest)[0];
  if (unknown !== undefined) fail(`The body has an unknown field ${JSON.stringify(unknown)}.`);
  if (typeof name !== "string" || !RUNNER_NAME.test(name))
    fail("name: expected 1 to 64 letters, digits, dots, hyphens and underscores.");
  if (!Number.isInteger(runner_group_id)) fail("runner_group_id: expected a whole number.");
  const isLabel = (/** @type {unknown} */ one) =>
    typeof one === "string" && one !== "" && one.length <= 256;
  if (!Array.isArray(labels) || labels.length < 1 || labels.length > 100 || !labels.every(isLabel))
    fail("labels: expected 1 to 100 texts.");
  if (work_folder !== undefined && typeof work_folder !== "string")
    fail("work_folder: expected a text.");
  return /** @type {{ name: string, runner_group_id: number }} */ (body);
}

const RUNNER_NAME = /^[\w.-]{1,64}$/;

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
  const gate = createGate(CONCURRENCY, QUEUE);
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

  /** @param {string} name */
  function checkName(name) {
    if (!RUNNER_NAME.test(name) || !name.startsWith(allow.runnerNamePrefix))
      throw new Refusal(
        403,
        `Expected the name of a runner that begins with ${allow.runnerNamePrefix}.`,
      );
  }

  /**
   * @typedef {{ request: Incoming, response: Outgoing, scope: Scope, rest: string[], note: (runner: string) => void }} Call
   * @typedef {(call: Call) => Promise<Reply>} Handler
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
  const jitConfig = async ({ request, response, scope, note }) => {
    const body = checkJitRequest(await readJson(request));
    note(body.name);
    checkName(body.name);
    if (!allow.runnerGroupIds.includes(body.runner_group_id))
      throw new Refusal(403, `Runner group ${body.runner_group_id} is not allowed.`);
    const task = () => github.jitConfig(scope, body);
    return { status: 201, body: await gate.run(response, github.timeoutMs, task) };
  };
  /** @param {"remove" | "cordon"} what @returns {Handler} */
  const byName =
    (what) =>
    async ({ response, scope, rest: [name = ""], note }) => {
      note(name);
      checkName(name);
      await gate.run(response, github.timeoutMs, () => github[what](scope, name));
      return { status: 204 };
    };

  /**
   * Every route, once below an organization and once below a repository.
   * @type {{ route: string, path: RegExp, method: string, handler: Handler, names: number }[]}
   */
  const routes = /** @type {[string, string, string, Handler][]} */ ([
    ["GET", "", "/registration-token", runnerToken("registration")],
    ["GET", "", "/remove-token", runnerToken("remove")],
    ["POST", "s", "/jitconfigs", jitConfig],
    ["DELETE", "s", "/runners/:runner", byName("remove")],
    ["DELETE", "s", "/runners/:runner/labels", byName("cordon")],
  ]).flatMap(([method, plural, tail, handler]) =>
    [plural === "" ? "/:org" : "/orgs/:org", `/repo${plural}/:owner/:name`].map((head, index) => {
      const route = `${head}${tail}`;
      const path = new RegExp(`^${route.replace(/:\w+/g, "([^/]+)")}$`);
      return { route, path, method, handler, names: index + 1 };
    }),
  );

  /** @param {Incoming} request @param {string} route @param {string} method */
  function checkMethod(request, route, method) {
    if (request.method !== method)
      throw new Refusal(405, `${route} knows ${method} only.`, { headers: { allow: method } });
  }

  /** @param {Incoming} request @param {Outgoing} response @param {Record<string, unknown>} entry of the log */
  async function answer(request, response, entry) {
    const source = String(request.socket.remoteAddress).replace(/^::ffff:(?=[\d.]+$)/, "");
    entry.source = source;
    const family = isIP(source);
    if (family === 0 || !sources.check(source, family === 6 ? "ipv6" : "ipv4"))
      throw new Refusal(403, "Requests from this address are not answered.");
    const [path = ""] = (request.url ?? "").split("?");
    if (path === "/healthz") {
      entry.route = path;
      checkMethod(request, path, "GET");
      if (stopping) throw comeAgain("The token service stops.", 5_000);
      return { status: 200, body: JSON.stringify({ status: "ok" }) };
    }
    authenticate(request);
    if (path === "/metrics") {
      entry.route = path;
      checkMethod(request, path, "GET");
      return { status: 200, body: metricsText(), type: "text/plain; version=0.0.4; charset=utf-8" };
    }
    for (const { route, path: pattern, method, handler, names } of routes) {
      const match = pattern.exec(path);
      if (match === null) continue;
      entry.route = route;
      checkMethod(request, route, method);
      const parts = match.slice(1).map(decode);
      const scope = scopeOf(parts.slice(0, names));
      entry.scope = scope.name;
      const note = (/** @type {string} */ runner) => (entry.runner = runner);
      return handler({ request, response, scope, rest: parts.slice(names), note });
    }
    throw new Refusal(404, "The token service knows no such route.");
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
    const help = "Requests by route and answer.";
    metrics.count("token_service_requests_total", help, { route: entry.route, status });
    const quiet = status < 400 && ["/healthz", "/metrics"].includes(entry.route);
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
        server.once("error", (error) => {
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
        server.closeIdleConnections();
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
