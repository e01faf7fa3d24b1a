import assert from "node:assert/strict";
import { recordedHosts, recordedResources } from "../../../components/stack/recordedHosts";

const URN = "urn:pulumi:dev::runner-fleet";

function server(key: string, pool: string | undefined, id = "1") {
  return {
    urn: `${URN}::runner-fleet:index:Host$hcloud:index/server:Server::${key}`,
    type: "hcloud:index/server:Server",
    id,
    outputs: {
      name: `dev-${key}`,
      ipv4Address: "192.0.2.1",
      location: "fsn1",
      serverType: "cax21",
      labels: pool === undefined ? {} : { pool },
    },
  };
}

function component(key: string, outputs: Record<string, unknown>) {
  return {
    urn: `${URN}::runner-fleet:index:Host::${key}`,
    type: "runner-fleet:index:Host",
    outputs,
  };
}

function retirement(key: string, environment: Record<string, string>) {
  return {
    urn: `${URN}::runner-fleet:index:Host$command:local:Command::${key}-retire`,
    type: "command:local:Command",
    inputs: { environment },
  };
}

const read = (...resources: unknown[]) =>
  recordedHosts(recordedResources(JSON.stringify({ deployment: { resources } })));

describe("the hosts that a state has", () => {
  const host = {
    key: "arm64-1-1",
    name: "dev-arm64-1-1",
    serverId: "1",
    pool: "arm64",
    address: "192.0.2.1",
    location: "fsn1",
    serverType: "cax21",
    hostKey: "ssh-ed25519 AAAA",
    sshPort: 2222,
    drain: { command: "/bin/drain 60", timeoutSeconds: 60 },
  };
  const environment = {
    SSH_HOST_KEY: "ssh-ed25519 AAAA",
    SSH_PORT: "2222",
    DRAIN_COMMAND: "/bin/drain 60",
    TIMEOUT_SECONDS: "60",
  };

  it("are told by their servers and by what retires them", () => {
    assert.deepEqual(read(server("arm64-1-1", "arm64"), retirement("arm64-1-1", environment)), [
      host,
    ]);
  });

  it("show the key that the program has told of a host without runners", () => {
    assert.deepEqual(
      read(
        component("token-service", { hostKey: "ssh-ed25519 BBBB", sshPort: 2222 }),
        server("token-service", undefined),
      ),
      [
        {
          ...host,
          key: "token-service",
          name: "dev-token-service",
          pool: undefined,
          hostKey: "ssh-ed25519 BBBB",
          drain: undefined,
        },
      ],
    );
  });

  it("show none where nothing reaches into them", () => {
    const { DRAIN_COMMAND, TIMEOUT_SECONDS } = environment;
    assert.deepEqual(
      read(
        component("arm64-1-1", { serverId: 1 }),
        server("arm64-1-1", "arm64"),
        retirement("arm64-1-1", { DRAIN_COMMAND, TIMEOUT_SECONDS }),
      ),
      [{ ...host, hostKey: undefined, sshPort: 22 }],
    );
  });

  it("are in the order of their names, without those that go or were never made", () => {
    const names = read(
      server("token-service", undefined),
      server("arm64-1-2", "arm64"),
      server("arm64-1-1", "arm64"),
      { ...server("arm64-1-3", "arm64"), delete: true },
      server("arm64-1-4", "arm64", ""),
      { ...server("arm64-1-5", "arm64"), outputs: {} },
    ).map(({ name }) => name);
    assert.deepEqual(names, ["dev-arm64-1-1", "dev-arm64-1-2", "dev-token-service"]);
  });

  it("are none in an empty state", () => {
    assert.deepEqual(
      recordedHosts(recordedResources('{"version":3,"deployment":{"resources":null}}')),
      [],
    );
    assert.deepEqual(recordedHosts(recordedResources('{"version":3}')), []);
  });
});
