import type { TokenServiceModel } from "../../../components/tokenService/stack";
import { TOKEN } from "../host/recorded";

/** Stand-in of a secret, to be looked for. */
export const PASSWORD = "canary-password-of-the-token-service";

export const BUILTIN: TokenServiceModel = {
  implementation: "builtin",
  image: "node:24-alpine@sha256:0123",
  organization: "my-org",
  githubUrl: "https://github.com",
  credential: { kind: "pat", token: TOKEN },
  password: PASSWORD,
  runnerNamePrefix: "dev-",
  runnerGroupId: "3",
  registrationTokens: false,
  sources: ["10.0.1.0/24"],
};

export const KNATNETWORK: TokenServiceModel = {
  ...BUILTIN,
  implementation: "knatnetwork",
  image: "knatnetwork/github-runner-kms:latest",
};
