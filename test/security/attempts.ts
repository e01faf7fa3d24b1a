import assert from "node:assert/strict";
import { gunzipSync } from "node:zlib";
import { finishedWell, type Scene } from "../../local-cloud/story";

/** What one attempt of a hostile job came to. */
export interface Outcome {
  readonly code: number;
  /** Standard output and error together. */
  readonly output: string;
}

const SECONDS_EACH = 20;

/**
 * Runs a job on one of our hosts that tries one thing after the other, each in a shell of its own. What they print is packed, so that no masking of the
 * log hides what a job has seen.
 */
export async function tryAll<Name extends string>(
  scene: Scene,
  attempts: Readonly<Record<Name, string>>,
  runner?: string,
): Promise<Record<Name, Outcome>> {
  const names = Object.keys(attempts) as Name[];
  const script = names
    .map((name) => {
      const packed = Buffer.from(attempts[name]).toString("base64");
      return [
        `timeout ${SECONDS_EACH} bash -c "$(echo ${packed} | base64 -d)" >out 2>&1 </dev/null`,
        `echo "@@ ${name} $? $(gzip -c out | base64 -w0)"`,
      ].join("\n");
    })
    .join("\n");
  const job = await finishedWell(scene, scene.arm64Job(`set +e\n${script}\ntrue`));
  if (runner !== undefined) assert.ok(job.runner?.startsWith(runner), `${job.runner} ran it`);
  assert.equal(job.runnerKind, "self-hosted");
  const found = new Map<string, Outcome>();
  for (const [, name = "", code = "", packed = ""] of job.log.matchAll(
    /@@ (\S+) (\d+) ([A-Za-z0-9+/=]+)/g,
  )) {
    const output = gunzipSync(Buffer.from(packed, "base64")).toString("latin1");
    found.set(name, { code: Number(code), output });
  }
  return Object.fromEntries(
    names.map((name) => {
      const outcome = found.get(name);
      assert.ok(outcome !== undefined, `${name} has left no result: ${job.log.slice(-500)}`);
      return [name, outcome];
    }),
  ) as Record<Name, Outcome>;
}
