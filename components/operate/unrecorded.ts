import type { RecordedResource } from "../stack/recordedHosts";
import type { FoundFile, FoundFleet } from "./foundFleet";

/**
 * What of a fleet its state does not have. Nothing else is for an import, which names most things by another path: a
 * server that the state has would be in it twice, and the next run deletes what only the import has named.
 * @param recorded what the state has
 */
export function unrecorded(found: FoundFleet, recorded: readonly RecordedResource[]): FoundFleet {
  const ofType = (type: string) => recorded.filter((one) => one.type === type);
  const isNew = (type: string) => {
    const ids = ofType(type).map(({ id }) => id);
    return ({ id }: { readonly id: number }) => !ids.includes(String(id));
  };
  const orNone = <T extends { readonly id: number }>(type: string, one: T | undefined) =>
    one !== undefined && isNew(type)(one) ? one : undefined;
  const variables = ofType("github:index/actionsVariable:ActionsVariable");
  const files = ofType("github:index/repositoryFile:RepositoryFile");
  const isNewFile = ({ repository, path }: FoundFile) =>
    !files.some(({ outputs }) => outputs?.repository === repository && outputs?.file === path);
  return {
    network: orNone("hcloud:index/network:Network", found.network),
    firewall: orNone("hcloud:index/firewall:Firewall", found.firewall),
    sshKey: orNone("hcloud:index/sshKey:SshKey", found.sshKey),
    placementGroups: found.placementGroups.filter(
      isNew("hcloud:index/placementGroup:PlacementGroup"),
    ),
    servers: found.servers.filter(isNew("hcloud:index/server:Server")),
    runnerGroup:
      ofType("github:index/actionsRunnerGroup:ActionsRunnerGroup").length > 0
        ? undefined
        : found.runnerGroup,
    routing: {
      organization:
        found.routing.organization &&
        ofType("github:index/actionsOrganizationVariable:ActionsOrganizationVariable").length === 0,
      repositories: found.routing.repositories.filter(
        (repository) => !variables.some(({ outputs }) => outputs?.repository === repository),
      ),
    },
    files: {
      targets: Object.fromEntries(
        Object.entries(found.files.targets).filter(([, file]) => isNewFile(file)),
      ),
      central: found.files.central.filter(isNewFile),
    },
  };
}
