import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { composeFile } from "../../../components/host/compose";
import {
  credentialFile,
  tokenServiceEntry,
  tokenServiceScript,
} from "../../../components/tokenService/stack";
import { assertGolden } from "../host/golden";
import { needs } from "../host/onPath";
import { TOKEN } from "../host/recorded";

const IMAGE = "knatnetwork/github-runner-kms:latest";
const MODEL = { image: IMAGE, organization: "acme", token: TOKEN, serverType: "cax11" };

describe("the stack of the token service", () => {
  it("is the golden file, byte for byte", () => {
    const { content } = composeFile({ kms: tokenServiceEntry(IMAGE, "10.0.1.2") });
    assertGolden(content, join(__dirname, "golden", "compose.yaml"));
    assert.ok(tokenServiceScript(MODEL, "10.0.1.2").includes(`\n${content}`));
  });

  it("is published on the private address alone, and nowhere without one", () => {
    assert.deepEqual(tokenServiceEntry(IMAGE, "10.0.1.2").ports, ["10.0.1.2:3000:3000"]);
    assert.equal(tokenServiceEntry(IMAGE).ports, undefined);
  });

  it("names the credential after the organization, for root alone", () => {
    assert.deepEqual(credentialFile({ organization: "my-org", token: TOKEN }), {
      path: "/etc/runner-fleet/token-service.env",
      mode: "0600",
      content: `PAT_my-org=${TOKEN}\n`,
    });
  });

  it("holds the credential once, in its file and in no command", () => {
    const script = tokenServiceScript(MODEL, "10.0.1.2");
    assert.deepEqual(
      script.split("\n").filter((line) => line.includes(TOKEN)),
      [`PAT_acme=${TOKEN}`],
    );
  });

  it("is started by a script that waits for an answer and that shellcheck accepts", function () {
    const script = tokenServiceScript(MODEL, "10.0.1.2");
    assert.match(script, /^docker compose --project-directory \/opt\/runner-fleet up --detach /m);
    assert.match(script, /^curl .*--retry-connrefused http:\/\/10\.0\.1\.2:3000\/$/m);
    const bash = spawnSync("bash", ["-n"], { input: script, encoding: "utf8" });
    assert.deepEqual([bash.status, bash.stderr], [0, ""]);
    needs(this, "shellcheck", "--version");
    const { stdout } = spawnSync("shellcheck", ["--shell=bash", "-"], {
      input: script,
      encoding: "utf8",
    });
    assert.equal(stdout, "");
  });
});
