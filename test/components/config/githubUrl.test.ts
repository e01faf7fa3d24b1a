import assert from "node:assert/strict";
import { githubApiUrl, githubServerUrl } from "../../../components/config/githubUrl";

describe("the address of GitHub", () => {
  const cases: [url: string, api: string | undefined, server: string][] = [
    ["https://github.com", "https://api.github.com", "https://github.com"],
    ["https://api.github.com/", "https://api.github.com", "https://github.com"],
    ["https://acme.ghe.com", "https://api.acme.ghe.com", "https://acme.ghe.com"],
    ["https://api.acme.ghe.com/", "https://api.acme.ghe.com", "https://acme.ghe.com"],
    ["https://ghe.example.com", "https://ghe.example.com/api/v3", "https://ghe.example.com"],
    ["https://api.example.com", "https://api.example.com/api/v3", "https://api.example.com"],
    ["https://git.hub:8443/api/v3/", "https://git.hub:8443/api/v3", "https://git.hub:8443"],
    ["http://github.com", undefined, "http://github.com"],
    ["https://acme.ghe.com/api/v3", undefined, "https://acme.ghe.com"],
  ];
  for (const [url, api, server] of cases)
    it(`${url} leads to the API at ${api} and the server at ${server}`, () => {
      assert.deepEqual([githubApiUrl(new URL(url)), githubServerUrl(new URL(url))], [api, server]);
    });
});
