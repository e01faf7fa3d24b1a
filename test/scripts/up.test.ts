import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { delimiter, dirname, join } from "node:path";

const PROJECT = dirname(dirname(__dirname));

/** A program `pulumi` that notes its arguments, and in each run refuses, rolls and ends as it is told. */
const PULUMI = `#!/bin/sh
cd "$(dirname "$0")"
if [ "$1" = stack ]; then
  if [ -e broken ]; then echo "error: no access to the backend" >&2; exit 255; fi
  echo "{\\"hosts\\": []$(sed -n "$(wc -l <asked)"p rolls 2>/dev/null | sed 's/^/, "rolls": /')}"
  exit
fi
echo "$*" >>asked
run=$(wc -l <asked)
sed -n "$run"p refused | tr ' ' '\\n' | grep . >>"$RUNNER_FLEET_REFUSALS"
echo "run $run"
exit "$(sed -n "$run"p codes)"
`;

const line = (serverType: string, location: string) =>
  `{"serverType":"${serverType}","location":"${location}"}`;

describe("npm run up", function () {
  this.timeout("1m");
  let folder: string;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "runner-fleet-up-test-"));
    await writeFile(join(folder, "pulumi"), PULUMI, { mode: 0o755 });
    await writeFile(join(folder, "asked"), "");
  });
  afterEach(() => rm(folder, { recursive: true }));

  /** What comes of runs that end with these codes and are refused these orders. */
  async function up(
    args: readonly string[],
    runs: readonly (readonly [code: number, ...refused: string[]])[],
    environment: NodeJS.ProcessEnv = {
      PATH: `${folder}${delimiter}${process.env.PATH}`,
    },
  ) {
    await writeFile(join(folder, "codes"), runs.map(([code]) => `${code}\n`).join(""));
    await writeFile(
      join(folder, "refused"),
      runs.map(([, ...refused]) => `${refused.join(" ")}\n`).join(""),
    );
    const ended = await new Promise<{ code: unknown; stdout: string; stderr: string }>(
      (resolve) => {
        execFile(
          process.execPath,
          ["--import", "tsx", "scripts/up.ts", ...args],
          { cwd: PROJECT, env: { ...process.env, RUNNER_FLEET_REFUSALS: "", ...environment } },
          (error, stdout, stderr) => resolve({ code: error?.code ?? 0, stdout, stderr }),
        );
      },
    );
    const asked = await readFile(join(folder, "asked"), "utf8");
    return { ...ended, asked: asked.split("\n").slice(0, -1) };
  }

  it("runs pulumi up with the stack and whatever follows", async () => {
    const args = ["--stack", "prod", "--config-file", "a.yaml", "--", "--yes", "--target", "x"];
    assert.deepEqual(await up(args, [[0]]), {
      code: 0,
      stdout: "run 1\n",
      stderr: "",
      asked: ["up --stack prod --config-file a.yaml --yes --target x"],
    });
  });

  it("leaves the choice of the stack to pulumi", async () => {
    assert.deepEqual((await up([], [[0]])).asked, ["up"]);
  });

  it("ends with the exit code of a run that failed for another reason", async () => {
    const { code, stderr, asked } = await up([], [[7]]);
    assert.deepEqual([code, stderr, asked], [7, "", ["up"]]);
  });

  it("does not run again what succeeded", async () => {
    const { code, asked } = await up([], [[0, line("cax21", "fsn1")]]);
    assert.deepEqual([code, asked], [0, ["up"]]);
  });

  it("runs again, and says so, as long as something else was refused", async () => {
    const runs = [
      [255, line("cax21", "fsn1"), line("cax21", "nbg1")],
      [255, line("cax21", "hel1"), line("cax31", "fsn1")],
      [0],
    ] as const;
    assert.deepEqual(await up(["--", "--yes"], runs), {
      code: 0,
      stdout: "run 1\nrun 2\nrun 3\n",
      stderr:
        "Hetzner had no room for cax21 (fsn1, nbg1): again, with the next choice.\n" +
        "Hetzner had no room for cax21 (hel1), cax31 (fsn1): again, with the next choice.\n",
      asked: ["up --yes", "up --yes", "up --yes"],
    });
  });

  const progress = (moved: number) => `{"arm64":{"generation":2,"moved":${moved},"count":3}}`;

  it("runs again until every roll is at its end", async () => {
    await writeFile(join(folder, "rolls"), `${progress(1)}\n${progress(2)}\n{}\n`);
    const args = ["--stack", "prod", "--", "--yes"];
    assert.deepEqual(await up(args, [[0], [0], [0], [0]]), {
      code: 0,
      stdout: "run 1\nrun 2\nrun 3\n",
      stderr:
        "pool arm64: 1 of 3 hosts is of generation 2; the next run goes on.\n" +
        "pool arm64: 2 of 3 hosts are of generation 2; the next run goes on.\n",
      asked: Array<string>(3).fill("up --stack prod --yes"),
    });
  });

  it("leaves a roll that gets no further, and one whose run fails", async () => {
    await writeFile(join(folder, "rolls"), `${progress(1)}\n`.repeat(4));
    const stuck = await up([], [[0], [0], [0]]);
    assert.deepEqual([stuck.code, stuck.asked], [1, ["up", "up"]]);
    assert.match(stuck.stderr, /\nThe last run has taken the roll of arm64 no further\.\n$/);
    await writeFile(join(folder, "asked"), "");
    const { code, asked } = await up([], [[0], [7], [0]]);
    assert.deepEqual([code, asked], [7, ["up", "up"]]);
  });

  it("does not take a roll whose progress it cannot read for one that is at its end", async () => {
    await writeFile(join(folder, "broken"), "");
    assert.deepEqual(await up([], [[0]]), {
      code: 1,
      stdout: "run 1\n",
      stderr:
        "pulumi up has succeeded, but whether a roll goes on is not known, since pulumi stack output fails: no access to the backend\n",
      asked: ["up"],
    });
  });

  it("gives up when the same is refused again", async () => {
    const same = line("cax21", "fsn1");
    const { code, asked } = await up([], [[255, same], [255, same], [0]]);
    assert.deepEqual([code, asked.length], [255, 2]);
  });

  it("goes on from the refusals of a file that it is given, and leaves it there", async () => {
    const file = join(folder, "refusals.jsonl");
    await writeFile(file, `${line("cax21", "fsn1")}\n`);
    const environment = {
      PATH: `${folder}${delimiter}${process.env.PATH}`,
      RUNNER_FLEET_REFUSALS: file,
    };
    const { code, asked } = await up([], [[255, line("cax21", "fsn1")]], environment);
    assert.deepEqual([code, asked.length], [255, 1]);
    assert.equal((await readFile(file, "utf8")).split("\n").length, 3);
  });

  it("begins no further run of a roll after the time that it is given", async () => {
    await writeFile(join(folder, "rolls"), `${progress(1)}\n${progress(2)}\n{}\n`);
    const { code, asked, stderr } = await up(["--for", "0.0001"], [[0], [0], [0]]);
    assert.deepEqual([code, asked], [0, ["up"]]);
    assert.match(stderr, /^pool arm64: 1 of 3 hosts is of generation 2; the next run goes on\.\n$/);
  });

  it("takes neither a stack for pulumi up alone nor a time that is none", async () => {
    for (const [args, message] of [
      [["--", "--stack", "prod"], "--stack: found behind --, expected before it"],
      [["--", "--stack=prod"], "--stack=prod: found behind --, expected before it"],
      [["--for", "soon"], '--for: found "soon", expected a number of minutes.'],
    ] as const) {
      const { code, stderr, asked } = await up(args, [[0]]);
      assert.deepEqual([code, asked], [1, []]);
      assert.ok(stderr.startsWith(message), stderr);
    }
  });

  it("says in one sentence what it does not understand", async () => {
    const { code, stderr, asked } = await up(["--yes"], [[0]]);
    assert.deepEqual([code, asked], [1, []]);
    assert.equal(
      stderr,
      "Unknown option '--yes', expected --stack NAME, --config-file FILE, --for MINUTES or -- and arguments for `pulumi up`.\n",
    );
  });

  it("says in one sentence that there is no pulumi", async () => {
    const { code, stderr } = await up([], [[0]], { PATH: "/nowhere" });
    assert.equal(code, 1);
    assert.equal(stderr, "The program pulumi is not on the PATH, expected Pulumi's CLI there.\n");
  });
});
