import { Agent, request } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";

/** Clients that ask without a pause, in a process of their own. What is to be asked comes by a message. */
export interface Load {
  readonly port: number;
  readonly password: string;
  readonly ask: "registrationToken" | "jitConfig";
  readonly clients: number;
  /** They stop at whichever comes first. */
  readonly seconds: number;
  readonly requests?: number;
}

export interface LoadResult {
  readonly seconds: number;
  /** Milliseconds that each answer took, sorted. */
  readonly latencies: readonly number[];
  /** Answers by status; 0 is a connection that broke. */
  readonly statuses: Readonly<Record<string, number>>;
}

process.on("disconnect", () => process.exit(0));
process.on("message", (load: Load) => {
  void run(load).then((result) => process.send?.(result));
});

let names = 0;

async function run(load: Load): Promise<LoadResult> {
  const agent = new Agent({ keepAlive: true, maxSockets: load.clients });
  const latencies: number[] = [];
  const statuses: Record<string, number> = {};
  const began = performance.now();
  const until = began + load.seconds * 1000;
  let left = load.requests ?? Number.POSITIVE_INFINITY;
  const client = async () => {
    while (performance.now() < until && left > 0) {
      left -= 1;
      const started = performance.now();
      const { status, retryAfter } = await askOnce(load, agent);
      latencies.push(performance.now() - started);
      statuses[status] = (statuses[status] ?? 0) + 1;
      // As told, within the time there is.
      const pause = Math.min(retryAfter * 1000, until - performance.now());
      if (pause > 0) await sleep(pause);
    }
  };
  await Promise.all(Array.from({ length: load.clients }, client));
  agent.destroy();
  const seconds = (performance.now() - began) / 1000;
  return { seconds, latencies: latencies.sort((a, b) => a - b), statuses };
}

function askOnce(load: Load, agent: Agent): Promise<{ status: number; retryAfter: number }> {
  const jit = load.ask === "jitConfig";
  const body = jit
    ? JSON.stringify({
        name: `bench-${++names}`,
        runner_group_id: 1,
        labels: ["self-hosted", "Linux", "ARM64", "docker"],
      })
    : undefined;
  return new Promise((resolve) => {
    const broken = () => resolve({ status: 0, retryAfter: 0 });
    const sent = request(
      {
        host: "127.0.0.1",
        port: load.port,
        agent,
        method: jit ? "POST" : "GET",
        path: jit ? "/orgs/acme/jitconfigs" : "/acme/registration-token",
        auth: `fleet:${load.password}`,
        headers: body === undefined ? {} : { "content-length": Buffer.byteLength(body) },
      },
      (response) => {
        response.resume();
        response.on("error", broken);
        response.on("end", () =>
          resolve({
            status: response.statusCode ?? 0,
            retryAfter: Number(response.headers["retry-after"] ?? 0),
          }),
        );
      },
    );
    sent.on("error", broken);
    sent.end(body);
  });
}
