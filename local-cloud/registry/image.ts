import type { Descriptor, RegistryClient } from "./client";

const REFERENCE_TYPE = "vnd.docker.reference.type";
const REFERENCE_DIGEST = "vnd.docker.reference.digest";
const PREDICATE = "in-toto.io/predicate-type";

/** One platform of an index. */
export interface PlatformImage {
  readonly platform: string;
  readonly digest: string;
  /** Predicate types of its attestations, sorted. */
  readonly attestations: readonly string[];
}

/** What an index holds, in order of platform. Rejects when the reference names none. */
export async function imagesOf(
  registry: RegistryClient,
  repository: string,
  reference: string,
): Promise<PlatformImage[]> {
  const index = await registry.manifest(repository, reference);
  if (index === undefined) throw new Error(`There is no ${repository}:${reference}.`);
  const { manifests = [] } = index.content;
  if (manifests.length === 0) throw new Error(`${repository}:${reference} is not an index.`);
  const isAttestation = ({ annotations }: Descriptor) =>
    annotations?.[REFERENCE_TYPE] === "attestation-manifest";
  const images = manifests.filter((one) => !isAttestation(one));
  return Promise.all(
    images
      .map((image) => ({ image, platform: platformOf(image) }))
      .sort((a, b) => a.platform.localeCompare(b.platform))
      .map(async ({ image, platform }) => {
        const attesting = manifests.filter(
          (one) => isAttestation(one) && one.annotations?.[REFERENCE_DIGEST] === image.digest,
        );
        const attestations = await Promise.all(
          attesting.map(async ({ digest }) => {
            const manifest = await registry.manifest(repository, digest);
            return (manifest?.content.layers ?? []).map(
              ({ annotations }) => annotations?.[PREDICATE] ?? "unknown",
            );
          }),
        );
        return { platform, digest: image.digest, attestations: attestations.flat().sort() };
      }),
  );
}

export async function platformsOf(
  registry: RegistryClient,
  repository: string,
  reference: string,
): Promise<string[]> {
  return (await imagesOf(registry, repository, reference)).map(({ platform }) => platform);
}

function platformOf({ platform }: Descriptor): string {
  return platform === undefined ? "unknown" : `${platform.os}/${platform.architecture}`;
}
