import assert from "node:assert/strict";
import type { ApiTarget } from "../../../components/host/request";
import { listen, type Listening } from "../../../local-cloud/core/serve";
import { Traffic } from "../../../local-cloud/core/traffic";
import { createGitHub, type GitHub } from "../../../local-cloud/github";
import { createHetzner, type Hetzner } from "../../../local-cloud/hetzner";
import { FakeHosts } from "../../local-cloud/hetzner/fakeHosts";

export const ORGANIZATION = "acme";

/** Hetzner and GitHub of the local cloud, with servers that only have a power switch. */
export class HostApis {
  readonly hetzner: ApiTarget;
  readonly github: ApiTarget;

  private constructor(
    readonly traffic: Traffic,
    readonly hosts: FakeHosts,
    private readonly hetznerSide: Hetzner,
    readonly githubSide: GitHub,
    private readonly listening: readonly Listening[],
  ) {
    const [hetzner, github] = listening.map(({ url }) => url);
    this.hetzner = { name: "Hetzner", baseUrl: `${hetzner}/v1`, token: hetznerSide.token };
    this.github = {
      name: "GitHub",
      baseUrl: `${github}/api/v3`,
      token: githubSide.tokens.admin,
    };
  }

  static async open(): Promise<HostApis> {
    const traffic = new Traffic();
    const hosts = new FakeHosts();
    const hetzner = createHetzner({ traffic, hosts });
    const github = await createGitHub({ traffic });
    const listening = await Promise.all(
      [hetzner, github].map((side) => listen((request) => side.fetch(request))),
    );
    return new HostApis(traffic, hosts, hetzner, github, listening);
  }

  async close(): Promise<void> {
    assert.deepEqual(this.traffic.takeSurprises(), []);
    await Promise.all(this.listening.map((one) => one.close()));
    await this.githubSide.close();
  }

  /** A server that runs. */
  async addServer(name: string): Promise<{ readonly id: string }> {
    const created = (await this.call(this.hetzner, "POST", "/servers", {
      name,
      server_type: "cax21",
      image: "debian-13",
      location: "fsn1",
    })) as { server: { id: number } };
    const id = String(created.server.id);
    for (let tries = 0; this.statusOf(id) !== "running" && tries < 500; tries++) {
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    assert.equal(this.statusOf(id), "running");
    return { id };
  }

  statusOf(id: string): string | undefined {
    return this.hetznerSide.state.servers.get(Number(id))?.status;
  }

  async power(id: string, action: "poweroff" | "poweron"): Promise<void> {
    await this.call(this.hetzner, "POST", `/servers/${id}/actions/${action}`, {});
    const wanted = action === "poweroff" ? "off" : "running";
    for (let tries = 0; this.statusOf(id) !== wanted && tries < 500; tries++) {
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  }

  /** Registers a runner, which is offline until somebody calls `online`, or `workOnce`: it takes a job and ends it. */
  async addRunner(
    name: string,
    labels: readonly string[] = ["self-hosted"],
    group = 1,
  ): Promise<{
    readonly online: () => Promise<void>;
    readonly workOnce: (result: "succeeded" | "failed") => Promise<void>;
  }> {
    const created = (await this.call(
      this.github,
      "POST",
      `/orgs/${ORGANIZATION}/actions/runners/generate-jitconfig`,
      { name, runner_group_id: group, labels },
    )) as { encoded_jit_config: string };
    const { credential } = JSON.parse(
      Buffer.from(created.encoded_jit_config, "base64").toString(),
    ) as { credential: string };
    const runner = {
      ...this.github,
      baseUrl: this.github.baseUrl.replace("/api/v3", ""),
      token: credential,
    };
    const connect = () => this.call(runner, "POST", "/_runner/sessions", { version: "2.338.0" });
    return {
      online: async () => {
        await connect();
      },
      workOnce: async (result) => {
        const { session_id: session } = (await connect()) as { session_id: string };
        const headers = { authorization: `Bearer ${runner.token}` };
        const poll = `${runner.baseUrl}/_runner/messages?session=${encodeURIComponent(session)}`;
        let job: { job_id: number } | undefined;
        while (job === undefined) {
          const answer = await fetch(poll, { headers });
          const text = await answer.text();
          if (answer.ok && text !== "") job = JSON.parse(text) as { job_id: number };
        }
        const end = { result, exit_code: result === "succeeded" ? 0 : 1, outputs: {}, steps: [] };
        const answer = await fetch(`${runner.baseUrl}/_runner/jobs/${job.job_id}/complete`, {
          method: "POST",
          headers: { ...headers, "content-type": "application/json" },
          body: JSON.stringify(end),
        });
        assert.ok(answer.ok, `${answer.status} ${await answer.text()}`);
      },
    };
  }

  /** GitHub refuses to delete runners, as it does while it counts them as busy. */
  refuseDeletions(times: number): void {
    this.traffic.addFault({
      side: "github",
      method: "DELETE",
      path: /\/actions\/runners\/\d+$/,
      times,
      effect: {
        kind: "respond",
        status: 422,
        body: { message: 'Bad request - Runner "one" is still running a job"' },
      },
    });
  }

  runners(): string[] {
    return this.githubSide
      .runners(ORGANIZATION)
      .map(({ name }) => name)
      .sort();
  }

  /** A runner group for the jobs of any private repository. */
  async addRunnerGroup(name: string): Promise<number> {
    const path = `/orgs/${ORGANIZATION}/actions/runner-groups`;
    const created = await this.call(this.github, "POST", path, { name, visibility: "all" });
    return (created as { id: number }).id;
  }

  private async call(
    api: ApiTarget,
    method: string,
    path: string,
    body: unknown,
  ): Promise<unknown> {
    const answer = await fetch(api.baseUrl + path, {
      method,
      headers: { authorization: `Bearer ${api.token}`, "content-type": "application/json" },
      body: JSON.stringify(body),
    });
    assert.ok(answer.ok, `${method} ${path}: ${answer.status} ${await answer.clone().text()}`);
    return answer.json();
  }
}
