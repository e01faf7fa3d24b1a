/** Hosts that serve nothing but the API: of github.com, and of a tenant of ghe.com. */
const API_HOST = /^api\.(github\.com|[a-z0-9-]+\.ghe\.com)$/;

/**
 * Base URL of the REST API, without a slash at its end, of the GitHub that a URL leads to, be it the server's or the
 * API's: github.com and *.ghe.com are served at their `api.` host, every other host is an Enterprise Server, which has
 * the API below /api/v3. Undefined where the first two would be reached without https or below a path.
 */
export function githubApiUrl(url: URL): string | undefined {
  const path = url.pathname.replace(/\/*$/, "/");
  const isApi = API_HOST.test(url.host);
  if (!isApi && url.host !== "github.com" && !url.host.endsWith(".ghe.com")) {
    return `${url.origin}${path.replace(/api\/v3\/$/, "")}api/v3`;
  }
  if (url.protocol !== "https:" || path !== "/") return undefined;
  return `https://${isApi ? "" : "api."}${url.host}`;
}

/** Where people and runners find the GitHub that a URL leads to, without a path. */
export function githubServerUrl(url: URL): string {
  return API_HOST.test(url.host) ? url.origin.replace("//api.", "//") : url.origin;
}
