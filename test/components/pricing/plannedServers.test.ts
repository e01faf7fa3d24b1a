import assert from "node:assert/strict";
import { plannedServers } from "../../../components/pricing/plannedServers";
import { placeFleet } from "../../../components/runnerPool/placement";
import { hetznerFacts } from "../preflight/facts";
import { settingsWith } from "../config/settings";

describe("plannedServers", () => {
  it("has the hosts of every pool and the token service's own", () => {
    const settings = settingsWith((raw) => {
      raw.pools.large = {
        ...raw.pools.arm64,
        serverTypes: ["cax41"],
        locations: ["hel1"],
        count: 1,
      };
      raw.routing = { pool: "arm64" };
    });
    assert.deepEqual(plannedServers(settings), [
      { serverType: "cax11", location: "fsn1" },
      { serverType: "cax21", location: "fsn1" },
      { serverType: "cax21", location: "fsn1" },
      { serverType: "cax41", location: "hel1" },
    ]);
  });

  it("puts the token service where the settings say", () => {
    const settings = settingsWith((raw) => (raw.tokenService = { location: "nbg1" }));
    assert.deepEqual(plannedServers(settings)[0], { serverType: "cax11", location: "nbg1" });
  });

  it("has each server as it was placed", () => {
    const settings = settingsWith((raw) => (raw.pools.arm64!.locations = ["fsn1", "nbg1"]));
    const placement = placeFleet("dev", settings, hetznerFacts());
    assert.deepEqual(plannedServers(settings, placement), [
      { serverType: "cax11", location: "fsn1" },
      { serverType: "cax21", location: "fsn1" },
      { serverType: "cax21", location: "nbg1" },
    ]);
  });

  it("has no server without own hosts, not even for tokens", () => {
    const settings = settingsWith((raw) => {
      raw.pools = {};
      raw.externalPools = { kubernetes: { scaleSet: "arc" } };
    });
    assert.deepEqual(plannedServers(settings), []);
  });

  it("has no server for a colocated token service", () => {
    const settings = settingsWith((raw) => (raw.tokenService = { placement: "colocated" }));
    assert.equal(plannedServers(settings).length, 2);
  });
});
