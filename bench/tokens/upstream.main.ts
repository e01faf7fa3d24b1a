import { createServer } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";

/**
 * A GitHub with a latency, in a process of its own. Its parent says by messages how it behaves, and is told the port.
 */
export interface Behaviour {
  readonly kind: "answers" | "fails" | "hangs";
  readonly latencyMs: number;
}

let behaviour: Behaviour = { kind: "answers", latencyMs: 0 };
process.on("message", (message: Behaviour) => {
  behaviour = message;
  process.send?.({ behaviour });
});
process.on("disconnect", () => process.exit(0));

let ids = 0;
// As long as GitHub's: some 5 KB of keys.
const encoded = Buffer.alloc(3_600, "jit-configuration").toString("base64");

const server = createServer((request, response) => {
  request.resume();
  const { kind, latencyMs } = behaviour;
  if (kind === "hangs") return;
  void sleep(latencyMs).then(() => {
    const [status, body] = kind === "fails" ? [503, { message: "Service Unavailable" }] : answer();
    response.writeHead(status, { "content-type": "application/json" });
    response.end(JSON.stringify(body));
  });

  function answer(): [status: number, body: unknown] {
    const expires_at = new Date(Date.now() + 3_600_000).toISOString();
    if (request.url?.endsWith("-token")) return [201, { token: "A".repeat(29), expires_at }];
    if (request.url?.endsWith("/generate-jitconfig"))
      return [201, { runner: { id: ++ids }, encoded_jit_config: encoded }];
    return [200, { total_count: 0, runners: [] }];
  }
});
server.keepAliveTimeout = 60_000;
server.listen(0, "127.0.0.1", () => {
  const address = server.address();
  if (typeof address === "object" && address !== null) process.send?.({ port: address.port });
});
