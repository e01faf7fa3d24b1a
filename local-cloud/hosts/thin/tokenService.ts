import { listen, type Listening } from "../../core/serve";
import type { GatewayServices } from "../types";

/** Port of the service inside its container. */
export const TOKEN_SERVICE_PORT = 3000;

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
