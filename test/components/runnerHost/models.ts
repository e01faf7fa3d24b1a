import type { RunnerStackModel } from "../../../components/runnerHost/stack";
import { TOKEN } from "../host/recorded";

export const DEDICATED: RunnerStackModel = {
  organization: "acme",
  hostName: "dev-arm64-1-1",
  serverType: "cax21",
  runners: 2,
  labels: ["docker", "webpcloud"],
  runnerGroup: { id: "7", name: "arm64" },
  image: "knatnetwork/github-runner:noble-2.338.0",
  dockerSocket: false,
  buildCachePercent: 60,
  drainTimeoutSeconds: 3600,
  tokenService: { placement: "dedicated", url: "http://10.0.1.2:3000" },
};

export const COLOCATED: RunnerStackModel = {
  ...DEDICATED,
  runners: 1,
  dockerSocket: true,
  tokenService: {
    placement: "colocated",
    image: "knatnetwork/github-runner-kms:latest",
    organization: "acme",
    token: TOKEN,
  },
};
