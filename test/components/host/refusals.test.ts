import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type * as pulumi from "@pulumi/pulumi";
import { readRefusals, recordRefusal } from "../../../components/host/refusals";
import { refusedOrder } from "../../../components/host/refusedOrder";
import { createHetzner, type Hetzner } from "../../../local-cloud/hetzner";
import { Traffic } from "../../../local-cloud/core/traffic";
import { FakeHosts } from "../../local-cloud/hetzner/fakeHosts";

const ENDPOINT = "https://hetzner.example/v1";
const NO_ROOM = "error during placement (resource_unavailable, 5f0a)";

describe("refusals", () => {
  let folder: string;
  let file: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "runner-fleet-refusals-"));
    file = join(folder, "refusals.jsonl");
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  it("are read as they were recorded, in order", () => {
    recordRefusal(file, { serverType: "cax21", location: "fsn1" });
    recordRefusal(file, { serverType: "cax31", location: "nbg1" });
    assert.equal(
      readFileSync(file, "utf8"),
      '{"serverType":"cax21","location":"fsn1"}\n{"serverType":"cax31","location":"nbg1"}\n',
    );
    assert.deepEqual(readRefusals(file), [
      { serverType: "cax21", location: "fsn1" },
      { serverType: "cax31", location: "nbg1" },
    ]);
  });

  it("are none without a file", () => {
    assert.deepEqual(readRefusals(undefined), []);
    assert.deepEqual(readRefusals(""), []);
    assert.deepEqual(readRefusals(file), []);
  });

  for (const line of ["cax21", '{"serverType":"cax21"}', "[]"]) {
    it(`do not read ${line}`, () => {
      writeFileSync(file, `${line}\n`);
      assert.throws(() => readRefusals(file), {
        message:
          "RUNNER_FLEET_REFUSALS: found a file with another line, expected JSON lines with serverType and location.",
      });
    });
  }

  it("cannot be read from a folder", () => {
    assert.throws(() => readRefusals(folder), {
      message:
        "RUNNER_FLEET_REFUSALS: found a file that cannot be read (EISDIR), expected one of JSON lines.",
    });
  });

  describe("of an order", () => {
    let hetzner: Hetzner;
    let traffic: Traffic;
    let said: string[];
    beforeEach(() => {
      traffic = new Traffic();
      hetzner = createHetzner({ traffic, hosts: new FakeHosts() });
      said = [];
      for (const type of ["cax11", "cax21", "cax41"]) {
        for (const location of ["fsn1", "nbg1", "hel1"]) hetzner.setStock(type, location, false);
      }
      hetzner.setStock("cax21", "fsn1", true);
      hetzner.setStock("cax21", "hel1", true);
    });
    afterEach(() => assert.deepEqual(traffic.takeSurprises(), []));

    /** What the hook answers when a server cannot be made, updated or deleted. */
    async function fail(
      change: Partial<pulumi.ErrorHookArgs> = {},
      refusals = file,
    ): Promise<boolean> {
      const hook = refusedOrder(
        { hetzner: { endpoint: ENDPOINT, token: hetzner.token }, networkZone: "eu-central" },
        (sentence) => said.push(sentence),
        {
          environment: { RUNNER_FLEET_REFUSALS: refusals },
          sleep: () => Promise.resolve(),
          fetch: async (input, init) => {
            const request = new Request(input, init);
            const { pathname, search } = new URL(request.url);
            return hetzner.fetch(new Request(`http://127.0.0.1${pathname}${search}`, request));
          },
        },
      );
      return hook({
        urn: "urn:pulumi:dev::runner-fleet::hcloud:index/server:Server::arm64-1-1",
        id: "",
        name: "arm64-1-1",
        type: "hcloud:index/server:Server",
        newInputs: { name: "dev-arm64-1-1", serverType: "cax21", location: "fsn1" },
        failedOperation: "create",
        errors: [NO_ROOM],
        ...change,
      });
    }

    it("are said with what was tried and what there is, kept, and not tried again", async () => {
      recordRefusal(file, { serverType: "cax21", location: "nbg1" });
      assert.equal(await fail(), false);
      assert.deepEqual(said, [
        "Hetzner has no room for dev-arm64-1-1; tried: cax21 (nbg1, fsn1); can be ordered now: cax21 (hel1), cax31 (fsn1, nbg1, hel1).",
      ]);
      assert.deepEqual(readRefusals(file), [
        { serverType: "cax21", location: "nbg1" },
        { serverType: "cax21", location: "fsn1" },
      ]);
    });

    it("are known by either code, also of an order that was taken", async () => {
      await fail({ errors: ["could not place the server (placement_error, 17)"] });
      assert.equal(readRefusals(file).length, 1);
    });

    it("name the command that goes on, where nothing does", async () => {
      assert.equal(await fail({}, ""), false);
      assert.deepEqual(said, [
        "Hetzner has no room for dev-arm64-1-1; tried: cax21 (fsn1); can be ordered now: cax21 (hel1), cax31 (fsn1, nbg1, hel1); `npm run up` goes on with the next choice by itself.",
      ]);
    });

    it("say so when there is nothing at all", async () => {
      for (const location of ["fsn1", "nbg1", "hel1"]) hetzner.setStock("cax31", location, false);
      hetzner.setStock("cax21", "hel1", false);
      await fail();
      assert.deepEqual(said, [
        "Hetzner has no room for dev-arm64-1-1; tried: cax21 (fsn1); can be ordered now: nothing.",
      ]);
    });

    it("are kept when Hetzner cannot be asked", async () => {
      traffic.addFault({
        side: "hetzner",
        path: /^\/server_types$/,
        times: 2,
        effect: { kind: "respond", status: 500, body: {} },
      });
      assert.equal(await fail(), false);
      assert.deepEqual(said, [
        `Hetzner has no room for dev-arm64-1-1; tried: cax21 (fsn1); Hetzner does not say what can be ordered now: Hetzner's API at ${ENDPOINT} answered 500 to GET /server_types?page=1&per_page=50.`,
      ]);
      assert.equal(readRefusals(file).length, 1);
    });

    it("do not take the place of the provider's error when they cannot be kept", async () => {
      assert.equal(await fail({}, folder), false);
      assert.match(said.join(), /^Hetzner has no room for dev-arm64-1-1 as cax21 in fsn1: EISDIR/);
    });

    for (const [what, change] of [
      ["another error", { errors: ["server limit exceeded (resource_limit_exceeded)"] }],
      ["a failed rescale", { failedOperation: "update" }],
      ["a failed deletion", { failedOperation: "delete", newInputs: undefined }],
    ] as const) {
      it(`are not what ${what} is`, async () => {
        assert.equal(await fail(change as Partial<pulumi.ErrorHookArgs>), false);
        assert.deepEqual([said, readRefusals(file)], [[], []]);
      });
    }
  });
});
