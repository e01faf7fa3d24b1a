import assert from "node:assert/strict";
import type { FleetSettings } from "../../../components/config/schema";
import { MARKER } from "../../../components/imageWorkflow/workflow";
import { findFleet, type FoundFleet } from "../../../components/operate/foundFleet";
import { Api } from "../../../components/preflight/api";
import { type Labels, parseSelector } from "../../../local-cloud/hetzner/labels";
import { settingsWith } from "../config/settings";
import { NOTHING } from "./nothing";

interface Thing {
  readonly id: number;
  readonly name: string;
  readonly labels: Labels;
  readonly [more: string]: unknown;
}

/** A Hetzner project: its things by the name of their list. */
type Project = Readonly<Record<string, readonly Thing[]>>;

const LISTS = ["networks", "firewalls", "ssh_keys", "placement_groups", "servers"];

const labels = (stack: string, more: Labels = {}): Labels => ({
  "managed-by": "runner-fleet",
  stack,
  ...more,
});
const pool = (name: string) => ({ pool: name });

/** The whole fleet of a stack, as the program makes it; ids from `first` on. */
function fleetOf(stack: string, first: number): Project {
  return {
    networks: [
      {
        id: first,
        name: stack,
        labels: labels(stack),
        subnets: [{ ip_range: "10.0.1.0/24" }],
      },
    ],
    firewalls: [{ id: first + 1, name: stack, labels: labels(stack) }],
    ssh_keys: [{ id: first + 2, name: stack, labels: labels(stack) }],
    placement_groups: [
      { id: first + 3, name: `${stack}-arm64-1-1`, labels: labels(stack, pool("arm64")) },
    ],
    servers: [
      {
        id: first + 4,
        name: `${stack}-arm64-1-1`,
        labels: labels(stack, pool("arm64")),
        placement_group: { id: first + 3 },
      },
      {
        id: first + 5,
        name: `${stack}-token-service`,
        labels: labels(stack, { role: "token-service" }),
        placement_group: null,
      },
    ],
  };
}

const both = (...projects: readonly Project[]): Project =>
  Object.fromEntries(
    LISTS.map((list) => [list, projects.flatMap((project) => project[list] ?? [])]),
  );

/** Answers as Hetzner does: by the selector, and no more than two things a page. */
function hetzner(project: Project): Api {
  const answer = (url: URL): Response => {
    const list = url.pathname.slice(1);
    assert.ok(LISTS.includes(list), url.href);
    const selected = parseSelector(url.searchParams.get("label_selector") ?? "");
    const all = (project[list] ?? []).filter((one) => selected(one.labels));
    const page = Number(url.searchParams.get("page"));
    const next_page = all.length > 2 * page ? page + 1 : null;
    return Response.json({
      [list]: all.slice(2 * page - 2, 2 * page),
      meta: { pagination: { next_page } },
    });
  };
  return apiOf("https://hetzner.test", answer);
}

/** Answers by path; others are 404. */
function github(answers: Readonly<Record<string, unknown>>): Api {
  return apiOf("https://github.test", ({ pathname, search }) => {
    const body = answers[pathname + search] ?? answers[pathname];
    return Response.json(body ?? { message: "Not Found" }, {
      status: body === undefined ? 404 : 200,
    });
  });
}

function apiOf(base: string, answer: (url: URL) => Response): Api {
  return new Api(
    "An API",
    base,
    "token",
    {},
    { fetch: (url, init) => Promise.resolve(answer(new URL(new Request(url, init).url))) },
  );
}

const find = (
  project: Project,
  {
    stack = "dev",
    settings = settingsWith(),
    answers = {},
  }: {
    readonly stack?: string;
    readonly settings?: FleetSettings;
    readonly answers?: Readonly<Record<string, unknown>>;
  } = {},
) => findFleet({ hetzner: hetzner(project), github: github(answers) }, stack, settings);

const foundOf = (stack: string, first: number): FoundFleet => ({
  ...NOTHING,
  network: { id: first, name: stack, subnets: ["10.0.1.0/24"] },
  firewall: { id: first + 1, name: stack },
  sshKey: { id: first + 2, name: stack },
  placementGroups: [{ id: first + 3, name: `${stack}-arm64-1-1`, pool: "arm64" }],
  servers: [
    { id: first + 4, name: `${stack}-arm64-1-1`, pool: "arm64", placementGroup: first + 3 },
    { id: first + 5, name: `${stack}-token-service`, pool: undefined, placementGroup: undefined },
  ],
});

describe("findFleet at Hetzner", () => {
  const DEV = fleetOf("dev", 10);
  const FOUND = foundOf("dev", 10);
  const server = (id: number, name: string, of: Labels, group?: number): Thing => ({
    id,
    name,
    labels: of,
    placement_group: group === undefined ? null : { id: group },
  });
  const group = (id: number, name: string, of: Labels): Thing => ({ id, name, labels: of });
  const host = (id: number, name: string, of: string, placementGroup?: number) => ({
    id,
    name,
    pool: of,
    placementGroup,
  });

  const CASES: readonly (readonly [
    what: string,
    project: Project,
    found: FoundFleet,
    stack?: string,
  ])[] = [
    ["finds nothing in an empty project", {}, NOTHING],
    ["finds all of a stack", DEV, FOUND],
    ["leaves dev-2 to dev-2", both(fleetOf("dev-2", 20), DEV), FOUND],
    ["leaves dev to dev", both(DEV, fleetOf("dev-2", 20)), foundOf("dev-2", 20), "dev-2"],
    ["finds nothing of a stack beside one that begins alike", fleetOf("dev-2", 20), NOTHING],
    [
      "leaves things alone that only look like the stack's",
      both(DEV, {
        networks: [{ id: 90, name: "dev", labels: {}, subnets: [] }],
        ssh_keys: [{ id: 91, name: "dev", labels: { stack: "dev" } }],
        servers: [
          server(92, "dev-arm64-1-2", { "managed-by": "somebody", stack: "dev", pool: "arm64" }),
          server(93, "dev-arm64-1-3", labels("prod", pool("arm64"))),
        ],
      }),
      FOUND,
    ],
    ...(["network", "firewall", "sshKey"] as const).map((missing, index) => {
      const list = ["networks", "firewalls", "ssh_keys"][index]!;
      return [
        `finds the rest without its ${missing}`,
        { ...DEV, [list]: [] },
        { ...FOUND, [missing]: undefined },
      ] as const;
    }),
    [
      "finds the rest without its servers and their groups",
      { ...DEV, servers: [], placement_groups: [] },
      { ...FOUND, servers: [], placementGroups: [] },
    ],
    [
      "finds a host whose placement group is gone",
      {
        ...DEV,
        placement_groups: [],
        servers: [server(14, "dev-arm64-1-1", labels("dev", pool("arm64")))],
      },
      { ...FOUND, placementGroups: [], servers: [host(14, "dev-arm64-1-1", "arm64")] },
    ],
    [
      "leaves servers and groups out that the program does not call so, whatever labels they have",
      both(
        {
          servers: [
            server(80, "my-server", labels("dev")),
            server(81, "my-server-2", labels("dev", pool("arm64"))),
            server(82, "dev-arm64-1-7", labels("dev", pool("big"))),
            server(83, "dev-2-arm64-1-1", labels("dev", pool("arm64"))),
            server(84, "dev-arm64-1-8", labels("dev")),
          ],
          placement_groups: [
            group(85, "my-group", labels("dev", pool("arm64"))),
            group(86, "dev-spread", labels("dev")),
          ],
        },
        DEV,
      ),
      FOUND,
    ],
    [
      "prefers what is called as the stack is to an extra of its kind",
      both(
        {
          networks: [{ id: 70, name: "extra", labels: labels("dev"), subnets: [] }],
          firewalls: [{ id: 71, name: "extra", labels: labels("dev") }],
          ssh_keys: [{ id: 72, name: "extra", labels: labels("dev") }],
        },
        DEV,
      ),
      FOUND,
    ],
    [
      "takes what has another name where it is the only one",
      { firewalls: [{ id: 71, name: "renamed", labels: labels("dev") }] },
      { ...NOTHING, firewall: { id: 71, name: "renamed" } },
    ],
    [
      "finds all generations of all pools, those that are configured no more among them",
      {
        placement_groups: [
          group(1, "dev-arm64-1-1", labels("dev", pool("arm64"))),
          group(2, "dev-arm64-2-1", labels("dev", pool("arm64"))),
          group(3, "dev-big-2-10-1", labels("dev", pool("big-2"))),
        ],
        servers: [
          server(4, "dev-arm64-1-1", labels("dev", pool("arm64")), 1),
          server(5, "dev-arm64-2-1", labels("dev", pool("arm64")), 2),
          server(6, "dev-arm64-2-2", labels("dev", pool("arm64")), 2),
          server(7, "dev-big-2-10-1", labels("dev", pool("big-2")), 3),
          server(8, "dev-gone-1-12", labels("dev", pool("gone"))),
        ],
      },
      {
        ...NOTHING,
        placementGroups: [
          { id: 1, name: "dev-arm64-1-1", pool: "arm64" },
          { id: 2, name: "dev-arm64-2-1", pool: "arm64" },
          { id: 3, name: "dev-big-2-10-1", pool: "big-2" },
        ],
        servers: [
          host(4, "dev-arm64-1-1", "arm64", 1),
          host(5, "dev-arm64-2-1", "arm64", 2),
          host(6, "dev-arm64-2-2", "arm64", 2),
          host(7, "dev-big-2-10-1", "big-2", 3),
          host(8, "dev-gone-1-12", "gone"),
        ],
      },
    ],
  ];
  for (const [what, project, found, stack] of CASES) {
    it(what, async () => assert.deepEqual(await find(project, { stack }), found));
  }
});

describe("findFleet at GitHub", () => {
  const GROUPS = "/orgs/acme/actions/runner-groups";
  const runnerGroups = (...names: string[]) => ({
    [GROUPS]: { runner_groups: names.map((name, index) => ({ id: index + 1, name })) },
  });
  const file = (text: string) => ({
    content: Buffer.from(text).toString("base64"),
    encoding: "base64",
  });
  const OURS = file(`# ${MARKER}\non: push\n`);
  const at = (repository: string, path: string, branch: string) =>
    `/repos/acme/${repository}/contents/${path}?ref=${branch}`;
  const IMAGE = ".github/workflows/image.yml";
  const target = (more: Record<string, unknown> = {}) => ({
    image: "ghcr.io/acme/webppt",
    ...more,
  });
  const byRepository = settingsWith((raw) => {
    raw.routing = { level: "repository" };
    raw.targets = { webppt: target(), api: target({ repository: "Service" }), site: target() };
  });
  const variable = { name: "ARM64_RUNS_ON", value: "x" };

  const CASES: readonly (readonly [
    what: string,
    settings: FleetSettings,
    answers: Readonly<Record<string, unknown>>,
    found: Partial<FoundFleet>,
  ])[] = [
    ["finds nothing where there is nothing", settingsWith(), {}, {}],
    [
      "finds the runner group whatever its case, and no other that begins alike",
      settingsWith(),
      runnerGroups("Default", "arm64-2", "ARM64"),
      { runnerGroup: 3 },
    ],
    [
      "finds no runner group of another name",
      settingsWith((raw) => (raw.runnerGroup = { name: "dev" })),
      runnerGroups("Default", "dev-2", "my-dev"),
      {},
    ],
    [
      "finds the organization's variable, and looks at no repository's",
      settingsWith(),
      {
        "/orgs/acme/actions/variables/ARM64_RUNS_ON": variable,
        "/repos/acme/webppt/actions/variables/ARM64_RUNS_ON": variable,
      },
      { routing: { organization: true, repositories: [] } },
    ],
    [
      "finds the variables of the repositories that have one, and looks at no organization's",
      byRepository,
      {
        "/orgs/acme/actions/variables/ARM64_RUNS_ON": variable,
        "/repos/acme/Service/actions/variables/ARM64_RUNS_ON": variable,
        "/repos/acme/webppt/actions/variables/ARM64_RUNS_ON": variable,
      },
      { routing: { organization: false, repositories: ["webppt", "Service"] } },
    ],
    [
      "finds the files that the program wrote, on the branch that is configured or else the default one",
      settingsWith((raw) => {
        raw.targets = {
          webppt: target(),
          api: target({ repository: "service", branch: "stable/1" }),
          theirs: target(),
          gone: target(),
          proposed: target({ delivery: "pullRequest" }),
        };
      }),
      {
        "/repos/acme/webppt": { default_branch: "master" },
        [at("webppt", IMAGE, "master")]: OURS,
        [at("service", IMAGE, "stable%2F1")]: OURS,
        "/repos/acme/theirs": { default_branch: "main" },
        [at("theirs", IMAGE, "main")]: file("on: push\n"),
        "/repos/acme/proposed": { default_branch: "main" },
        [at("proposed", IMAGE, "main")]: OURS,
      },
      {
        files: {
          targets: {
            webppt: { repository: "webppt", path: IMAGE, branch: "master" },
            api: { repository: "service", path: IMAGE, branch: "stable/1" },
          },
          central: [],
        },
      },
    ],
    [
      "finds the workflows that targets call",
      settingsWith((raw) => {
        raw.reusableWorkflows = { repository: ".github" };
        raw.targets = {
          webppt: target({ emit: "reusable" }),
          site: target({ emit: "reusable", strategy: "qemu" }),
        };
      }),
      {
        "/repos/acme/.github": { default_branch: "main" },
        [at(".github", ".github/workflows/image-hybrid.yml", "main")]: OURS,
      },
      {
        files: {
          targets: {},
          central: [
            { repository: ".github", path: ".github/workflows/image-hybrid.yml", branch: "main" },
          ],
        },
      },
    ],
  ];
  for (const [what, settings, answers, found] of CASES) {
    it(what, async () => {
      assert.deepEqual(await find({}, { settings, answers }), { ...NOTHING, ...found });
    });
  }

  it("has no fleet where an API does not answer", async () => {
    const broken = apiOf("https://github.test", () =>
      Response.json({ message: "Bad credentials" }, { status: 401 }),
    );
    await assert.rejects(
      findFleet({ hetzner: hetzner({}), github: broken }, "dev", settingsWith()),
      { message: /answered 401 to GET / },
    );
  });
});
