import assert from "node:assert/strict";
import { MAX_USER_DATA_BYTES } from "../../../components/host/cloudInit";
import { userDataSizes } from "../../../components/render/userData";
import { settingsWith } from "../config/settings";

type Change = NonNullable<Parameters<typeof settingsWith>[0]>;

const withoutSsh: Change = (raw) => {
  raw.management = "none";
  raw.ssh = { publicKey: raw.ssh.publicKey };
};

describe("userDataSizes", () => {
  it("are those of each pool and of the token service", () => {
    const { pools, tokenService } = userDataSizes(
      "dev",
      settingsWith((raw) => {
        const more = { cloudInit: { packages: ["htop"] } };
        raw.pools = { arm64: raw.pools.arm64!, more: { ...raw.pools.arm64, ...more } };
        raw.routing = { pool: "arm64" };
      }),
    );
    assert.deepEqual(Object.keys(pools), ["arm64", "more"]);
    assert.equal(pools.more! - pools.arm64!, '  - "htop"\n'.length);
    assert.ok(tokenService !== undefined && tokenService > 1_000);
  });

  it("are none of a token service that has no server", () => {
    const sizes = userDataSizes(
      "dev",
      settingsWith((raw) => (raw.tokenService = { placement: "colocated" })),
    );
    assert.equal(sizes.tokenService, undefined);
    assert.deepEqual(
      userDataSizes(
        "dev",
        settingsWith((raw) => {
          raw.pools = {};
          raw.externalPools = { arc: { scaleSet: "arm64" } };
        }),
      ),
      { pools: {}, tokenService: undefined },
    );
  });

  it("without SSH take in what else arrives over it, and hardly depend on what was drawn", () => {
    const { pools: over } = userDataSizes("dev", settingsWith());
    const settings = settingsWith(withoutSsh);
    const [one, other] = [userDataSizes("dev", settings), userDataSizes("dev", settings)];
    assert.ok(one.pools.arm64! > 2 * over.arm64!);
    assert.ok(Math.abs(one.pools.arm64! - other.pools.arm64!) < 64);
  });

  for (const implementation of ["builtin", "knatnetwork"]) {
    for (const image of ["actions-runner", "knatnetwork"]) {
      it(`without SSH are within the limit with ${implementation} and ${image}, however many runners`, () => {
        const { pools, tokenService } = userDataSizes(
          "a-stack-of-20-chars",
          settingsWith((raw) => {
            withoutSsh(raw);
            raw.tokenService = { implementation };
            Object.assign(raw.pools.arm64!, { runner: { image }, runnersPerHost: 16 });
          }),
        );
        assert.ok(pools.arm64! <= MAX_USER_DATA_BYTES, `${pools.arm64} bytes`);
        assert.ok(tokenService! <= MAX_USER_DATA_BYTES, `${tokenService} bytes`);
      });
    }
  }
});
