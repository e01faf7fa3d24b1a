import { githubServerUrl } from "../config/githubUrl";
import { GITHUB_URL } from "../config/schema";
import { quote } from "../text/words";
import type { Obstacle, ServersDiffer } from "./facts";

export const PROVIDER_TOKEN = "github:token (or GITHUB_TOKEN)";

/** What stands in the way of asking Hetzner, as one sentence. */
export function hetznerObstacle(obstacle: Obstacle): string {
  switch (obstacle.obstacle) {
    case "tokenMissing":
      return "hcloud:token (or HCLOUD_TOKEN): found nothing, expected the API token of a Hetzner Cloud project.";
    case "tokenMalformed":
      return `hcloud:token (or HCLOUD_TOKEN): found a token of ${obstacle.length} characters, expected 64 letters and digits.`;
    case "tokenRefused":
      return "hcloud:token (or HCLOUD_TOKEN): found a token that Hetzner refuses (401), expected a valid one with read and write access.";
    case "endpointInvalid":
      return `hcloud:endpoint (or HCLOUD_ENDPOINT): found ${obstacle.found}, expected ${obstacle.expected}.`;
    case "failed":
      return obstacle.sentence;
  }
}

/** What stands in the way of asking GitHub with the provider's token, as one sentence. */
export function githubObstacle(
  obstacle: Obstacle | ServersDiffer,
  githubUrl: string,
  namespace: string,
): string {
  const key = "github:baseUrl (or GITHUB_BASE_URL)";
  switch (obstacle.obstacle) {
    case "endpointInvalid":
      return `${key}: found ${obstacle.found}, expected ${obstacle.expected}.`;
    case "serversDiffer": {
      const { baseUrl } = obstacle;
      if (githubUrl === GITHUB_URL && baseUrl !== undefined) {
        return `${namespace}:githubUrl: found ${quote(githubUrl)}, expected ${githubServerUrl(new URL(baseUrl))}, where ${key} leads.`;
      }
      const found = baseUrl === undefined ? "nothing" : quote(baseUrl);
      return `${key}: found ${found}, expected ${githubUrl}/, since ${namespace}:githubUrl names that server and the GitHub provider does not read it.`;
    }
    default:
      return tokenObstacle(PROVIDER_TOKEN, obstacle);
  }
}

/** @param key where the token is configured */
export function tokenObstacle(key: string, obstacle: Obstacle): string {
  switch (obstacle.obstacle) {
    case "tokenMissing":
      return `${key}: found nothing, expected an access token of GitHub.`;
    case "tokenMalformed":
      return `${key}: found a text with spaces or other characters that no token has, expected an access token of GitHub.`;
    case "tokenRefused":
      return `${key}: found a token that GitHub refuses (401), expected one that is valid and not expired.`;
    case "endpointInvalid":
      return `${key}: found ${obstacle.found}, expected ${obstacle.expected}.`;
    case "failed":
      return obstacle.sentence;
  }
}
