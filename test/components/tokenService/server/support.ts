import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { createServer, type IncomingMessage, request as httpRequest, type Server } from "node:http";
import { type AddressInfo, connect } from "node:net";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { NODE_OPTIONS } from "../../../../components/tokenService/stack";

/** CommonJS reaches an ES module in this way alone. */
export const loaded = import("../../../../components/tokenService/server/tokenService.mjs");

type Module = Awaited<typeof loaded>;
export type TokenServiceConfig = Parameters<Module["createTokenService"]>[0];
export type Dependencies = NonNullable<Parameters<Module["createTokenService"]>[1]>;
export type LogEntry = Record<string, unknown>;

export const PASSWORD = "a-password-of-the-token-service";
export const PAT = "ghp_CanaryOfTheTokenService0000000000000";

/** What GitHub is told, and what it answers: a function per request, or one for all. */
export interface Told {
  readonly method: string;
  readonly path: string;
  readonly authorization: string;
  readonly body: unknown;
}
export interface Said {
  readonly status: number;
  readonly body?: unknown;
  /** In place of `body`, as it is. */
  readonly raw?: string;
  readonly headers?: Record<string, string>;
}
export type Answering = (told: Told, count: number) => Said | "reset" | "hang" | Promise<Said>;

/** A GitHub of which each test says what it answers. */
export class Upstream {
  readonly told: Told[] = [];
  answering: Answering = () => ({ status: 500 });
  private constructor(
    private readonly server: Server,
    readonly url: string,
  ) {}

  static async start(): Promise<Upstream> {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const { port } = server.address() as AddressInfo;
    const upstream = new Upstream(server, `http://127.0.0.1:${port}`);
    server.on("request", (request: IncomingMessage, response) => {
      const chunks: Buffer[] = [];
      request.on("data", (chunk: Buffer) => chunks.push(chunk));
      request.on("end", () => {
        const text = Buffer.concat(chunks).toString();
        const told: Told = {
          method: request.method ?? "",
          path: request.url ?? "",
          authorization: request.headers.authorization ?? "",
          body: text === "" ? undefined : JSON.parse(text),
        };
        upstream.told.push(told);
        void Promise.resolve(upstream.answering(told, upstream.told.length)).then((said) => {
          if (said === "hang") return;
          if (said === "reset") {
            request.socket.resetAndDestroy();
            return;
          }
          response.writeHead(said.status, {
            "content-type": "application/json",
            ...said.headers,
          });
          response.end(said.status === 204 ? undefined : (said.raw ?? JSON.stringify(said.body)));
        });
      });
    });
    return upstream;
  }

  /** Method and path of what was told since the last look. */
  calls(): string[] {
    return this.told.splice(0).map(({ method, path }) => `${method} ${path}`);
  }

  close(): Promise<void> {
    return new Promise((resolve) => {
      this.server.close(() => resolve());
      this.server.closeAllConnections();
    });
  }
}

export function configFor(apiUrl: string, change: Partial<TokenServiceConfig> = {}) {
  const config: TokenServiceConfig = {
    listen: { address: "127.0.0.1", port: 0 },
    github: { apiUrl, timeoutMs: 500 },
    auth: { kind: "pat", token: PAT },
    password: PASSWORD,
    sources: ["127.0.0.0/8"],
    allow: {
      organizations: ["acme", "My-Org"],
      repositories: ["acme/webppt"],
      runnerNamePrefix: "dev-",
      runnerGroupIds: [3],
      registrationTokens: true,
    },
  };
  return { ...config, ...change };
}

export interface Reply {
  readonly status: number;
  readonly headers: IncomingMessage["headers"];
  readonly text: string;
  json(): Record<string, unknown>;
}

export interface AskOptions {
  readonly method?: string;
  /** Default: the password, by HTTP Basic. */
  readonly authorization?: string | null;
  readonly body?: unknown;
  readonly raw?: string;
  readonly headers?: Record<string, string>;
}

export interface Running {
  readonly port: number;
  readonly log: LogEntry[];
  readonly ask: (path: string, options?: AskOptions) => Promise<Reply>;
  readonly metrics: () => Promise<Metrics>;
  close(): Promise<void>;
}

/** The service in this process. */
export async function start(
  config: TokenServiceConfig,
  dependencies: Dependencies = {},
): Promise<Running> {
  const { createTokenService } = await loaded;
  const log: LogEntry[] = [];
  const service = createTokenService(config, { log: (entry) => log.push(entry), ...dependencies });
  const { port } = await service.listen();
  const ask = (path: string, options?: AskOptions) => askAt(port, path, options);
  return {
    port,
    log,
    ask,
    metrics: async () => parseMetrics((await ask("/metrics")).text),
    close: () => service.close(),
  };
}

export const BASIC = `Basic ${Buffer.from(`fleet:${PASSWORD}`).toString("base64")}`;

export function askAt(port: number, path: string, options: AskOptions = {}): Promise<Reply> {
  const { method = "GET", authorization = BASIC, body, headers } = options;
  const raw = options.raw ?? (body === undefined ? undefined : JSON.stringify(body));
  return new Promise((resolve, reject) => {
    const request = httpRequest(
      {
        host: "127.0.0.1",
        port,
        path,
        method,
        agent: false,
        headers: {
          ...(authorization !== null && { authorization }),
          ...(raw !== undefined &&
            headers?.["transfer-encoding"] === undefined && {
              "content-length": Buffer.byteLength(raw),
            }),
          ...headers,
        },
      },
      (response) => {
        const chunks: Buffer[] = [];
        response.on("data", (chunk: Buffer) => chunks.push(chunk));
        response.on("error", reject);
        response.on("end", () => {
          const text = Buffer.concat(chunks).toString();
          resolve({
            status: response.statusCode ?? 0,
            headers: response.headers,
            text,
            json: () => JSON.parse(text) as Record<string, unknown>,
          });
        });
      },
    );
    request.on("error", reject);
    request.end(raw);
  });
}

/** Each series with its labels, sorted by their names, and its value. */
export type Metrics = Map<string, number>;

/**
 * Reads Prometheus' text format 0.0.4, and fails on what it does not allow: a sample without its type, a type said
 * twice, lines of one family apart from each other, a series twice, a histogram that goes down or does not add up.
 */
export function parseMetrics(text: string): Metrics {
  assert.ok(text.endsWith("\n"), "the last line ends");
  const types = new Map<string, string>();
  const helped = new Set<string>();
  const samples: Metrics = new Map();
  const families: string[] = [];
  for (const line of text.slice(0, -1).split("\n")) {
    const help = /^# HELP ([a-zA-Z_:][\w:]*) \S.*$/.exec(line);
    if (help !== null) {
      assert.ok(!helped.has(help[1]!), `one help of ${help[1]}`);
      helped.add(help[1]!);
      continue;
    }
    const type = /^# TYPE ([a-zA-Z_:][\w:]*) (counter|gauge|histogram)$/.exec(line);
    if (type !== null) {
      assert.ok(!types.has(type[1]!), `one type of ${type[1]}`);
      types.set(type[1]!, type[2]!);
      continue;
    }
    const sample = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)$/.exec(line);
    assert.ok(sample !== null, `a sample, and not ${line}`);
    const [, name = "", labelText = "", valueText = ""] = sample;
    const family = types.has(name) ? name : name.replace(/_(bucket|sum|count)$/, "");
    assert.ok(types.has(family) && helped.has(family), `${name} has a type and a help before it`);
    assert.ok(family === name || types.get(family) === "histogram", `${name} is of a histogram`);
    if (families.at(-1) !== family) {
      assert.ok(!families.includes(family), `the lines of ${family} are together`);
      families.push(family);
    }
    const labels = labelText === "" ? [] : labelText.split(/,(?=[a-z_]+=")/);
    for (const label of labels)
      assert.match(label, /^[a-zA-Z_]\w*="([^"\\\n]|\\["\\n])*"$/, `a label in ${line}`);
    const value = valueText === "+Inf" ? Number.POSITIVE_INFINITY : Number(valueText);
    assert.ok(!Number.isNaN(value), `a number in ${line}`);
    const key = labels.length === 0 ? name : `${name}{${labels.sort().join(",")}}`;
    assert.ok(!samples.has(key), `${key} once`);
    samples.set(key, value);
  }
  for (const [family, type] of types) if (type === "histogram") checkHistogram(family, samples);
  return samples;
}

function checkHistogram(family: string, samples: Metrics): void {
  const series = new Map<string, [le: number, value: number][]>();
  for (const [key, value] of samples) {
    if (!key.startsWith(`${family}_bucket{`)) continue;
    const le = /le="([^"]+)"/.exec(key)![1]!;
    const rest = key
      .slice(key.indexOf("{") + 1, -1)
      .split(",")
      .filter((label) => !label.startsWith("le="))
      .join(",");
    const bound = le === "+Inf" ? Number.POSITIVE_INFINITY : Number(le);
    series.set(rest, [...(series.get(rest) ?? []), [bound, value]]);
  }
  assert.ok(series.size > 0, `${family} has buckets`);
  for (const [labels, buckets] of series) {
    const values = buckets.sort(([a], [b]) => a - b).map(([, value]) => value);
    assert.deepEqual(
      values,
      [...values].sort((a, b) => a - b),
      `${family} goes up`,
    );
    assert.equal(buckets.at(-1)?.[0], Number.POSITIVE_INFINITY);
    assert.equal(samples.get(`${family}_count{${labels}}`), values.at(-1));
    assert.ok((samples.get(`${family}_sum{${labels}}`) ?? -1) >= 0);
  }
}

const MODULE = join(__dirname, "../../../../components/tokenService/server/tokenService.mjs");

/** The service as a program of its own. */
export interface Program {
  readonly child: ChildProcess;
  readonly lines: string[];
  readonly errors: string[];
  readonly ended: Promise<{ code: number | null; signal: string | null }>;
  until(event: string): Promise<Record<string, unknown>>;
}

/** Starts it with the configuration in a file. */
export function runProgram(path: string): Program {
  // As in the container.
  const child = spawn(process.execPath, [...NODE_OPTIONS, MODULE, path], {
    stdio: ["ignore", "pipe", "pipe"],
    env: {},
  });
  const lines: string[] = [];
  const errors: string[] = [];
  createInterface({ input: child.stdout }).on("line", (line) => lines.push(line));
  child.stderr.on("data", (text: Buffer) => errors.push(text.toString()));
  const ended = new Promise<{ code: number | null; signal: string | null }>((resolve) =>
    child.once("close", (code, signal) => resolve({ code, signal })),
  );
  return {
    child,
    lines,
    errors,
    ended,
    until: async (event) => {
      for (let at = 0; at < 500; at += 1) {
        const found = lines
          .map((line) => JSON.parse(line) as Record<string, unknown>)
          .find((entry) => entry.event === event);
        if (found !== undefined) return found;
        await new Promise((resolve) => setTimeout(resolve, 10));
      }
      throw new Error(`No ${event} in ${lines.join("\n")}${errors.join("")}`);
    },
  };
}

/** Everything that comes back until the connection ends. */
export function exchange(port: number, text: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, "127.0.0.1");
    const chunks: Buffer[] = [];
    socket.on("data", (chunk) => chunks.push(chunk));
    socket.on("error", reject);
    socket.on("close", () => resolve(Buffer.concat(chunks).toString()));
    socket.write(text);
  });
}
