import { z } from "zod";
import { listen, type Listening } from "../../core/serve";
import type { GatewayServices } from "../types";

const LOOPBACK = "127.0.0.1";

/** Port of the service inside its container. */
export const TOKEN_SERVICE_PORT = 3000;

const builtinConfig = z.object({
  listen: z.object({ address: z.string(), port: z.int() }),
});

/** Where the built-in service listens when its container is on the host's own network, as Docker writes ports. */
export function listensAt(config: string): string {
  const { address, port } = builtinConfig.parse(JSON.parse(config)).listen;
  return `${address}:${port}:${TOKEN_SERVICE_PORT}`;
}

/**
 * The product's own service with the configuration that its host got, in this process. Everybody comes from the loopback
 * address here, so which sources may is not told apart.
 */
export async function startBuiltinTokenService(
  config: string,
  services: GatewayServices,
  log: (line: string) => void,
): Promise<Listening> {
  const { createTokenService } =
    await import("../../../components/tokenService/server/tokenService.mjs");
  const service = createTokenService(
    {
      ...(JSON.parse(config) as Parameters<typeof createTokenService>[0]),
      listen: { address: LOOPBACK, port: 0 },
      sources: ["127.0.0.0/8"],
    },
    {
      fetch: async (url, init) => {
        const headers = new Headers(init.headers);
        headers.set("host", new URL(url).host);
        const request = new Request(url, { ...init, headers });
        const late = new Promise<never>((_resolve, reject) => {
          const give = () => reject(request.signal.reason as Error);
          request.signal.addEventListener("abort", give);
        });
        return Promise.race([Promise.resolve(services.handler(request)), late]);
      },
      log: (entry) => log(JSON.stringify(entry)),
    },
  );
  const { port } = await service.listen();
  return { url: `http://${LOOPBACK}:${port}`, port, close: () => service.close() };
}

export interface JitRequest {
  readonly name: string;
  readonly runner_group_id: number;
  readonly labels: readonly string[];
}

/** What a host asks a built-in token service. Each request rejects in one sentence when it is refused. */
export class TokenServiceClient {
  constructor(
    private readonly organization: string,
    private readonly password: string,
    /** Where the service is on this machine, or undefined when nothing answers. */
    private readonly locate: () => URL | undefined,
  ) {}

  /** Configuration of a new runner, encoded. */
  async jitConfig(request: JitRequest): Promise<string> {
    const body = await this.ask("POST", "jitconfigs", JSON.stringify(request));
    return z.object({ encoded_jit_config: z.string() }).parse(JSON.parse(body)).encoded_jit_config;
  }

  /** Harmless when it is gone already. */
  async remove(runner: string): Promise<void> {
    await this.ask("DELETE", `runners/${runner}`);
  }

  private async ask(method: string, path: string, body?: string): Promise<string> {
    const base = this.locate();
    if (base === undefined) throw new Error("the token service does not answer");
    const response = await fetch(new URL(`/orgs/${this.organization}/${path}`, base), {
      method,
      body,
      headers: { authorization: `Bearer ${this.password}`, "content-type": "application/json" },
      signal: AbortSignal.timeout(30_000),
    });
    const text = await response.text();
    if (!response.ok) throw new Error(`the token service answers ${response.status}: ${text}`);
    return text;
  }
}

/**
 * Honours the contract of `knatnetwork/github-runner-kms`: trades the personal access token in `PAT_<organization>` for
 * registration and remove tokens, answered bare. Serves on a port of the loopback address.
 */
export async function startTokenService(
  environment: Readonly<Record<string, string>>,
  services: GatewayServices,
  log: (line: string) => void,
): Promise<Listening> {
  const token = async (owner: string, path: string): Promise<string> => {
    const response = await services.handler(
      new Request(`https://api.github.com${path}`, {
        method: "POST",
        headers: {
          host: "api.github.com",
          authorization: `token ${environment[`PAT_${owner}`] ?? ""}`,
          accept: "application/vnd.github+json",
          "user-agent": "github-runner-kms",
        },
      }),
    );
    if (response.status !== 201) throw new Error(`GitHub answered ${response.status}`);
    return ((await response.json()) as { token: string }).token;
  };

  return listen(async (request) => {
    const { pathname } = new URL(request.url);
    const [, repository, organization, kind] =
      /^\/(?:repo\/([^/]+\/[^/]+)|([^/]+))\/(registration-token|remove-token)$/.exec(pathname) ??
      [];
    const place = repository ?? organization;
    if (request.method !== "GET" || place === undefined || kind === undefined)
      return new Response(`Cannot ${request.method} ${pathname}`, { status: 404 });
    const root = repository === undefined ? "orgs" : "repos";
    const path = `/${root}/${place}/actions/runners/${kind}`;
    try {
      const answer = await token(place.split("/")[0] ?? "", path);
      return new Response(answer, { headers: { "content-type": "text/html; charset=utf-8" } });
    } catch (error) {
      log(`${path}: ${error instanceof Error ? error.message : String(error)}`);
      // As the original: an error of GitHub's is never answered.
      await new Promise((resolve) => request.signal.addEventListener("abort", resolve));
      return new Response(null, { status: 500 });
    }
  });
}
