import assert from "node:assert/strict";
import { type Finding, ok, problem } from "../../../components/doctor/check";
import { judgeSecrets } from "../../../components/doctor/secrets";
import { settingsWith } from "../config/settings";

const settings = settingsWith((raw) => (raw.secrets = { REGISTRY_PASSWORD: { value: "x" } }));
const KEYS = ["fleet:githubAuth", "fleet:ssh", "fleet:secrets"];

const config = (secret: Readonly<Record<string, boolean>>) =>
  JSON.stringify(
    Object.fromEntries(
      [...KEYS.map((key) => [key, true] as const), ...Object.entries(secret)].map(
        ([key, isSecret]) => [key, { secret: isSecret }],
      ),
    ),
  );

const inPlainText = (key: string, command: string): Finding =>
  problem(
    `${key}: found in plain text, expected a secret, as \`${command}\` makes it from standard input.`,
    command,
  );

describe("judgeSecrets", () => {
  const cases: Record<string, [secret: Record<string, boolean>, ...findings: Finding[]]> = {
    "all encrypted": [
      { "hcloud:token": true, "fleet:organization": false },
      ok("Every secret in the stack's file is encrypted, and can be decrypted here."),
    ],
    "a credential in plain text": [
      { "fleet:githubAuth": false },
      inPlainText("fleet:githubAuth.token", "pulumi config set --secret --path githubAuth.token"),
    ],
    "tokens of providers in plain text": [
      { "hcloud:token": false, "github:token": false },
      inPlainText("hcloud:token", "pulumi config set --secret hcloud:token"),
      inPlainText("github:token", "pulumi config set --secret github:token"),
    ],
  };
  for (const [what, [secret, ...findings]] of Object.entries(cases)) {
    it(`judges ${what}`, () => {
      assert.deepEqual(judgeSecrets(settings, "fleet", config(secret)), findings);
    });
  }
});
