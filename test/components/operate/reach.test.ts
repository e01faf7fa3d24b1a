import assert from "node:assert/strict";
import { findHost } from "../../../components/operate/findHost";
import { noWayIn, type Purpose, reachHost } from "../../../components/operate/reach";
import type { Stack } from "../../../components/stack/stack";
import { RUNNER_HOST, TOKEN_SERVICE } from "./hosts";

const HOSTS = [RUNNER_HOST, TOKEN_SERVICE];

describe("a host that people name", () => {
  for (const [wanted, name] of [
    ["dev-arm64-1-1", "dev-arm64-1-1"],
    ["arm64-1-1", "dev-arm64-1-1"],
    ["dev-token-service", "dev-token-service"],
    ["token-service", "dev-token-service"],
  ] as const) {
    it(`${wanted} is ${name}`, () => assert.equal(findHost(HOSTS, wanted).name, name));
  }

  for (const wanted of ["arm64-1", "dev-arm64-1-1-1", "", "DEV-ARM64-1-1"]) {
    it(`"${wanted}" is none, and those that there are are listed`, () => {
      assert.throws(() => findHost(HOSTS, wanted), {
        message: `HOST: found "${wanted}", expected one of dev-arm64-1-1, dev-token-service.`,
      });
    });
  }

  it("is none before the first up", () => {
    assert.throws(() => findHost([], "arm64-1-1"), {
      message:
        'HOST: found "arm64-1-1", and the stack\'s state has no host: `pulumi up` makes them.',
    });
  });
});

describe("the way into a host", () => {
  const stack = (management: "ssh" | "none") => {
    const asked: string[] = [];
    return {
      asked,
      settings: { management } as Stack["settings"],
      hosts: () => Promise.resolve(HOSTS),
      secret: (path: string) => {
        asked.push(path);
        return Promise.resolve("the private key");
      },
    };
  };

  it("is its address and pinned key from the state, and the configured login", async () => {
    assert.deepEqual(await reachHost(stack("ssh"), "token-service", "ssh"), {
      host: TOKEN_SERVICE,
      target: {
        host: "127.0.0.1",
        port: 22,
        privateKey: "the private key",
        hostKey: TOKEN_SERVICE.hostKey,
      },
    });
  });

  const nothing = (name: string) =>
    `${name}: nothing reaches into it, since the stack has management none; `;
  const sentences: readonly (readonly [Purpose, typeof RUNNER_HOST, string])[] = [
    [
      "drain",
      RUNNER_HOST,
      "`hcloud server shutdown dev-arm64-1-1` drains it and powers it off, and raising pools.arm64.generation replaces it.",
    ],
    [
      "undrain",
      RUNNER_HOST,
      "`hcloud server poweron dev-arm64-1-1` starts it, and its runners with it.",
    ],
    [
      "logs",
      RUNNER_HOST,
      "GitHub has the logs of its jobs, `hcloud server request-console dev-arm64-1-1` opens its screen, and raising pools.arm64.generation replaces it.",
    ],
    [
      "ssh",
      TOKEN_SERVICE,
      "`hcloud server request-console dev-token-service` opens its screen, where nobody can log in, and `pulumi up --replace URN` with the URN of its server makes it anew.",
    ],
  ];
  for (const [purpose, host, rest] of sentences) {
    it(`is none for ${purpose} with management none, with what to do instead`, async () => {
      const closed = stack("none");
      await assert.rejects(reachHost(closed, host.name, purpose), {
        message: nothing(host.name) + rest,
      });
      assert.deepEqual(closed.asked, [], "no secret is decrypted for that");
    });
  }

  it("is none into a host whose key the state does not have", () => {
    assert.equal(
      noWayIn({ ...RUNNER_HOST, hostKey: undefined }, "ssh", "ssh"),
      "dev-arm64-1-1: found no SSH host key of it in the stack's state, which has one of every host that was made with management ssh: `pulumi up` records it, or, where the host was made with management none, raising pools.arm64.generation replaces it.",
    );
  });
});
