import type { TokenServiceModel } from "../../../components/tokenService/stack";
import { PASSWORD, TOKEN } from "../host/recorded";

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
