import type { RunnerStackModel } from "../../../components/runnerHost/stack";
import type { TokenServiceModel } from "../../../components/tokenService/stack";
import { PASSWORD, TOKEN } from "../host/recorded";

export const DEDICATED: RunnerStackModel & {
  readonly tokenService: { readonly placement: "dedicated" };
} = {
  organization: "acme",
  githubUrl: "https://github.com",
  hostName: "dev-arm64-1-1",
  serverType: "cax21",
  runners: 2,
  labels: ["docker", "webpcloud"],
  runnerGroup: { id: "7", name: "arm64" },
  image: "ghcr.io/actions/actions-runner:2.338.0",
  runnerImage: "actions-runner",
  dockerSocket: false,
  buildCachePercent: 60,
  registryMirrors: {},
  drainTimeoutSeconds: 3600,
  tokenService: {
    placement: "dedicated",
    implementation: "builtin",
    url: "http://10.0.1.254:3000",
    password: PASSWORD,
  },
};

export const SERVICE: TokenServiceModel = {
  implementation: "knatnetwork",
  image: "knatnetwork/github-runner-kms:latest",
  organization: "acme",
  githubUrl: "https://github.com",
  credential: { kind: "pat", token: TOKEN },
  password: PASSWORD,
  runnerNamePrefix: "dev-",
  runnerGroupId: "7",
  registrationTokens: true,
  sources: ["10.0.1.0/24"],
};

/** The origin's stack: both of its images on one host, with Docker's socket. */
export const COLOCATED: RunnerStackModel = {
  ...DEDICATED,
  runners: 1,
  image: "knatnetwork/github-runner:noble-2.338.0",
  runnerImage: "knatnetwork",
  dockerSocket: true,
  tokenService: { placement: "colocated", service: SERVICE },
};
