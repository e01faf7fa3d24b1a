import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openRegistries, type Registries } from "../../../local-cloud/registry";
import {
  CONFIG_TYPE,
  INDEX_TYPE,
  LAYER_TYPE,
  MANIFEST_TYPE,
  sha256,
} from "../../../local-cloud/registry/client";
import { startRegistry } from "../../../local-cloud/registry/process";
import { BUILDKIT_VERSION } from "../../../local-cloud/tools";
import { preparedImages } from "../hosts/prepared";

describe("the registries of the local cloud", function () {
  this.timeout(30_000);
  let registries: Registries;

  before(async function () {
    const images = await preparedImages(this);
    registries = await openRegistries({ files: images.registry, accessOf: () => undefined });
  });

  after(async () => registries?.close());

  it("keep what is pushed until they are reset", async () => {
    const { ghcr } = registries;
    const folder = await mkdtemp(join(tmpdir(), "layer-"));
    try {
      const file = join(folder, "layer");
      await writeFile(file, "layer");
      const size = await ghcr.pushFile("acme/web", file, sha256("layer"));
      assert.equal(size, 5);
      await ghcr.pushBlob("acme/web", sha256("{}"), "{}");
      const manifest = {
        schemaVersion: 2,
        mediaType: MANIFEST_TYPE,
        config: { mediaType: CONFIG_TYPE, digest: sha256("{}"), size: 2 },
        layers: [{ mediaType: LAYER_TYPE, digest: sha256("layer"), size }],
      };
      await ghcr.pushManifest("acme/web", "31", manifest);
      await ghcr.pushManifest("acme/web", "latest", manifest);
      const stored = await ghcr.manifest("acme/web", "31");
      assert.equal(stored?.mediaType, MANIFEST_TYPE);
      assert.equal(stored.digest, sha256(JSON.stringify(manifest)));
      assert.deepEqual((await ghcr.manifest("acme/web", stored.digest))?.content, manifest);
      assert.equal((await ghcr.blob("acme/web", sha256("layer"))).toString(), "layer");
    } finally {
      await rm(folder, { recursive: true });
    }
    assert.deepEqual(await ghcr.tags("acme/web"), ["31", "latest"]);
    assert.deepEqual(await ghcr.repositories(), ["acme/web"]);
    assert.equal(await ghcr.manifest("acme/web", "32"), undefined);

    await registries.reset();
    assert.deepEqual(await ghcr.tags("acme/web"), []);
    assert.deepEqual(await ghcr.repositories(), []);
    await assert.rejects(ghcr.blob("acme/web", sha256("layer")), /answered 404/);
  });

  it("refuse a manifest whose parts are not there", async () => {
    const missing = { mediaType: CONFIG_TYPE, digest: sha256("absent"), size: 6 };
    const manifest = {
      schemaVersion: 2,
      mediaType: MANIFEST_TYPE,
      config: missing,
      layers: [],
    };
    await assert.rejects(
      registries.ghcr.pushManifest("acme/web", "1", manifest),
      /answered 400 .*BLOB_UNKNOWN/,
    );
  });

  it("have on docker.io what builds pull, for both platforms, and take nothing", async () => {
    const { dockerHub } = registries;
    for (const [repository, tag] of [
      ["library/busybox", "latest"],
      ["library/golang", "latest"],
      ["docker/buildkit-syft-scanner", "1.12.0"],
    ] as const) {
      const index = await dockerHub.manifest(repository, tag);
      assert.equal(index?.mediaType, INDEX_TYPE, repository);
      assert.deepEqual(
        index.content.manifests?.map(({ platform }) => platform?.architecture),
        ["amd64", "arm64"],
      );
      for (const { digest, platform } of index.content.manifests ?? []) {
        const manifest = await dockerHub.manifest(repository, digest);
        const config = manifest?.content.config?.digest ?? assert.fail(repository);
        const image = (await dockerHub.blobAsJson(repository, config)) as { architecture: string };
        assert.equal(image.architecture, platform?.architecture);
      }
    }
    assert.ok((await dockerHub.tags("moby/buildkit")).includes(BUILDKIT_VERSION));
    await assert.rejects(dockerHub.pushBlob("library/x", sha256("x"), "x"), /answered 405/);
  });

  it("say why one of them does not start", async () => {
    await assert.rejects(
      startRegistry({ program: "/bin/false", storage: "/nowhere" }),
      /^Error: the registry does not start: it said nothing$/,
    );
  });
});
