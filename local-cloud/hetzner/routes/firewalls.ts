import type { Context, Hono } from "hono";
import { z } from "zod";
import { renderAction, type Action } from "../actions";
import { isCanonicalCidr } from "../addresses";
import { ApiError, type FieldError, invalidField, invalidFields, limitExceeded } from "../errors";
import { answerList, idParam, labelsField, readBody, resourceFilters, resourceSort } from "../http";
import { parseSelector } from "../labels";
import type { Project } from "../project";
import { renderFirewall } from "../render";
import type { Firewall, FirewallRule, FirewallTarget, Server } from "../state";

/** Firewalls that one server can have. */
export const mostFirewalls = 5;
const mostRules = 50;
const mostCidrs = 100;

const firewallName = z.string().min(1).max(128);
const ruleBody = z.strictObject({
  direction: z.enum(["in", "out"]),
  protocol: z.enum(["tcp", "udp", "icmp", "esp", "gre"]),
  source_ips: z.array(z.string()).max(mostCidrs).nullish(),
  destination_ips: z.array(z.string()).max(mostCidrs).nullish(),
  port: z.string().nullish(),
  description: z.string().max(255).nullish(),
});
const rulesBody = z.array(ruleBody).max(mostRules);
const targetsBody = z.array(
  z.strictObject({
    type: z.enum(["server", "label_selector"]),
    server: z.strictObject({ id: z.int() }).optional(),
    label_selector: z.strictObject({ selector: z.string().min(1) }).optional(),
  }),
);
type Rules = z.infer<typeof rulesBody>;
type Targets = z.infer<typeof targetsBody>;

function isPort(text: string): boolean {
  if (text === "any") return true;
  const match = /^(\d{1,5})(?:-(\d{1,5}))?$/.exec(text);
  if (!match) return false;
  const [low, high] = [Number(match[1]), Number(match[2] ?? match[1])];
  return low >= 1 && low <= high && high <= 65535;
}

function checkRules(rules: Rules): FirewallRule[] {
  const wrong: FieldError[] = [];
  const refuse = (index: number, field: string, message: string) =>
    wrong.push({ name: `rules.${index}.${field}`, messages: [message] });
  const checked = rules.map((rule, index) => {
    const [used, unused] =
      rule.direction === "in"
        ? (["source_ips", "destination_ips"] as const)
        : (["destination_ips", "source_ips"] as const);
    if (!rule[used]?.length) refuse(index, used, `is required for direction ${rule.direction}`);
    if (rule[unused]?.length) refuse(index, unused, `is not allowed for ${rule.direction}`);
    for (const cidr of rule[used] ?? [])
      if (!isCanonicalCidr(cidr))
        refuse(index, used, `'${cidr}' is no CIDR block without host bits`);
    const hasPort = rule.protocol === "tcp" || rule.protocol === "udp";
    if (hasPort && !isPort(rule.port ?? "")) refuse(index, "port", "is not a port or port range");
    if (!hasPort && rule.port) refuse(index, "port", `is not allowed for ${rule.protocol}`);
    return {
      direction: rule.direction,
      protocol: rule.protocol,
      port: rule.port ?? null,
      source_ips: rule.source_ips ?? [],
      destination_ips: rule.destination_ips ?? [],
      description: rule.description ?? null,
    };
  });
  if (wrong.length > 0) throw invalidFields(wrong);
  return checked;
}

function readTargets(targets: Targets): FirewallTarget[] {
  return targets.map((target, index): FirewallTarget => {
    if (target.type === "server") {
      if (!target.server) throw invalidField(`${index}.server`, "is required for type server");
      return { type: "server", server: target.server.id };
    }
    const selector = target.label_selector?.selector;
    if (selector === undefined)
      throw invalidField(`${index}.label_selector`, "is required for type label_selector");
    parseSelector(selector);
    return { type: "label_selector", selector };
  });
}

function same(a: FirewallTarget, b: FirewallTarget): boolean {
  if (a.type === "server") return b.type === "server" && a.server === b.server;
  return b.type === "label_selector" && a.selector === b.selector;
}

/** Servers that a target means now. */
function serversOf(project: Project, target: FirewallTarget): Server[] {
  if (target.type === "label_selector") return project.selected(target.selector);
  const server = project.servers.get(target.server);
  return server ? [server] : [];
}

function resourceNotFound(status: 404 | 422, id: number): ApiError {
  return new ApiError(status, "firewall_resource_not_found", `server with ID '${id}' not found`);
}

/** Refuses targets that cannot be added; `missing` is the status for a server that is not there. */
function checkTargets(
  project: Project,
  firewall: Firewall | undefined,
  targets: readonly FirewallTarget[],
  missing: 404 | 422,
): void {
  for (const [index, target] of targets.entries()) {
    if (targets.slice(0, index).some((other) => same(other, target)))
      throw new ApiError(422, "server_already_added", "a resource is given more than once");
    if (firewall?.targets.some((other) => same(other, target)))
      throw new ApiError(
        422,
        "firewall_already_applied",
        "firewall is already applied to resource",
      );
    if (target.type === "server") {
      const server = project.servers.get(target.server);
      if (!server) throw resourceNotFound(missing, target.server);
      if (!project.isPublic(server))
        throw new ApiError(422, "private_net_only_server", "the server has no public interface");
    }
    for (const server of serversOf(project, target))
      if (project.firewallsOf(server).length >= mostFirewalls)
        throw limitExceeded(
          `server ${server.id} has already ${mostFirewalls} firewalls`,
          "firewalls_per_server_limit",
        );
  }
}

function onServer(firewall: Firewall, server: Server) {
  return [
    { id: server.id, type: "server" },
    { id: firewall.id, type: "firewall" },
  ];
}

/** One action for each server; a selector that means none gets an action of its own. */
function apply(project: Project, firewall: Firewall, targets: readonly FirewallTarget[]): Action[] {
  firewall.targets.push(...targets);
  return targets.flatMap((target) => {
    const servers = serversOf(project, target);
    if (servers.length === 0)
      return [project.actions.start("apply_firewall", [{ id: firewall.id, type: "firewall" }])];
    return servers.map((server) => {
      firewall.pending.add(server.id);
      return project.actions.start("apply_firewall", onServer(firewall, server), {
        onSuccess: () => firewall.pending.delete(server.id),
        onError: () => {
          firewall.pending.delete(server.id);
          firewall.targets = firewall.targets.filter((other) => !same(other, target));
        },
      });
    });
  });
}

function setRules(project: Project, firewall: Firewall, rules: readonly FirewallRule[]): Action[] {
  const set = project.actions.start("set_firewall_rules", [{ id: firewall.id, type: "firewall" }], {
    immediate: true,
    onSuccess: () => (firewall.rules = rules),
  });
  const servers = new Set(firewall.targets.flatMap((target) => serversOf(project, target)));
  const applied = [...servers].map((server) =>
    project.actions.start("apply_firewall", onServer(firewall, server), { after: set }),
  );
  return [set, ...applied];
}

export function registerFirewalls(app: Hono, project: Project): void {
  const answerActions = (c: Context, actions: readonly Action[]) =>
    c.json({ actions: actions.map(renderAction) }, 201);

  app.get("/firewalls", (c) =>
    answerList(c, project, "firewalls", project.firewalls.values(), {
      render: (firewall) => renderFirewall(project, firewall),
      sort: resourceSort,
      filters: resourceFilters,
    }),
  );
  app.post("/firewalls", async (c) => {
    const schema = z.strictObject({
      name: firewallName,
      labels: labelsField,
      rules: rulesBody.optional(),
      apply_to: targetsBody.optional(),
    });
    const body = await readBody(c, project, schema);
    project.checkUniqueName("firewalls", body.name);
    project.checkLimit("firewalls");
    const rules = checkRules(body.rules ?? []);
    const targets = readTargets(body.apply_to ?? []);
    checkTargets(project, undefined, targets, 422);
    const firewall: Firewall = {
      id: project.nextId(),
      name: body.name,
      created: new Date(),
      labels: body.labels ?? {},
      busy: 0,
      rules: [],
      targets: [],
      pending: new Set(),
    };
    project.firewalls.set(firewall.id, firewall);
    const actions = [
      ...(rules.length > 0 ? setRules(project, firewall, rules) : []),
      ...apply(project, firewall, targets),
    ];
    return c.json(
      { firewall: renderFirewall(project, firewall), actions: actions.map(renderAction) },
      201,
    );
  });
  app.get("/firewalls/:id{[0-9]+}", (c) =>
    c.json({ firewall: renderFirewall(project, project.firewall(idParam(c))) }),
  );
  app.put("/firewalls/:id{[0-9]+}", async (c) => {
    const firewall = project.firewall(idParam(c));
    const schema = z.strictObject({ name: firewallName.optional(), labels: labelsField });
    const body = await readBody(c, project, schema);
    if (body.name !== undefined) {
      project.checkUniqueName("firewalls", body.name, firewall);
      firewall.name = body.name;
    }
    firewall.labels = body.labels ?? firewall.labels;
    return c.json({ firewall: renderFirewall(project, firewall) });
  });
  app.delete("/firewalls/:id{[0-9]+}", (c) => {
    const firewall = project.firewall(idParam(c));
    if (firewall.targets.length > 0)
      throw new ApiError(422, "resource_in_use", "firewall is still in use");
    project.firewalls.delete(firewall.id);
    return c.body(null, 204);
  });
  app.post("/firewalls/:id{[0-9]+}/actions/set_rules", async (c) => {
    const firewall = project.firewall(idParam(c));
    const body = await readBody(c, project, z.strictObject({ rules: rulesBody }));
    return answerActions(c, setRules(project, firewall, checkRules(body.rules)));
  });
  app.post("/firewalls/:id{[0-9]+}/actions/apply_to_resources", async (c) => {
    const firewall = project.firewall(idParam(c));
    const body = await readBody(c, project, z.strictObject({ apply_to: targetsBody.min(1) }));
    const targets = readTargets(body.apply_to);
    checkTargets(project, firewall, targets, 404);
    return answerActions(c, apply(project, firewall, targets));
  });
  app.post("/firewalls/:id{[0-9]+}/actions/remove_from_resources", async (c) => {
    const firewall = project.firewall(idParam(c));
    const body = await readBody(c, project, z.strictObject({ remove_from: targetsBody.min(1) }));
    const targets = readTargets(body.remove_from);
    for (const target of targets) {
      if (target.type === "label_selector") continue;
      const server = project.servers.get(target.server);
      if (!server) throw resourceNotFound(404, target.server);
      const direct = firewall.targets.some((other) => same(other, target));
      if (!direct && project.firewallsOf(server).includes(firewall))
        throw new ApiError(
          422,
          "firewall_managed_by_label_selector",
          "firewall is applied by a label selector and cannot be removed from the server",
        );
    }
    const actions = targets.flatMap((target) => {
      const servers = serversOf(project, target);
      const onSuccess = () => {
        firewall.targets = firewall.targets.filter((other) => !same(other, target));
      };
      if (servers.length === 0) {
        const resources = [{ id: firewall.id, type: "firewall" }];
        return [project.actions.start("remove_firewall", resources, { onSuccess })];
      }
      return servers.map((server) =>
        project.actions.start("remove_firewall", onServer(firewall, server), { onSuccess }),
      );
    });
    return answerActions(c, actions);
  });
}
