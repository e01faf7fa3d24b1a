import assert from "node:assert/strict";
import * as github from "@pulumi/github";
import * as pulumi from "@pulumi/pulumi";
import * as random from "@pulumi/random";
import { deploy, only, valueOf } from "./mocks";

const VARIABLE = "github:index/actionsVariable:ActionsVariable";

function variable(
  name: string,
  args: Partial<github.ActionsVariableArgs> = {},
  options?: pulumi.CustomResourceOptions,
) {
  return new github.ActionsVariable(
    name,
    { repository: "webppt", variableName: "ARM64_RUNS_ON", value: "[]", ...args },
    options,
  );
}

describe("deploy", () => {
  it("waits for what is made of outputs of something else", async () => {
    let last: github.ActionsVariable | undefined;
    const resources = await deploy(
      () => {
        const first = variable("first");
        last = variable("second", { value: first.createdAt.apply((at) => `made ${at}`) });
      },
      { outputs: ({ name }) => (name === "first" ? { createdAt: "today" } : undefined) },
    );
    assert.deepEqual(
      resources.map(({ name, inputs }) => [name, inputs.value]),
      [
        ["first", "[]"],
        ["second", "made today"],
      ],
    );
    assert.equal(await valueOf(last!.value), "made today");
  });

  it("records parents, dependencies and options", async () => {
    const resources = await deploy(() => {
      const group = new pulumi.ComponentResource("runner-fleet:index:Group", "group");
      const first = variable("first", {}, { parent: group });
      variable(
        "second",
        {},
        {
          dependsOn: [first],
          deleteBeforeReplace: true,
          ignoreChanges: ["value"],
          replaceOnChanges: ["repository"],
          additionalSecretOutputs: ["value"],
          protect: true,
          provider: new github.Provider("explicit", { owner: "acme" }),
        },
      );
    });
    assert.equal(only(resources, VARIABLE, "first").parent, "group");
    const second = only(resources, VARIABLE, "second");
    assert.equal(second.parent, undefined);
    assert.deepEqual(second.options, {
      dependsOn: ["first"],
      protect: true,
      retainOnDelete: false,
      deleteBeforeReplace: true,
      ignoreChanges: ["value"],
      replaceOnChanges: ["repository"],
      additionalSecretOutputs: ["value"],
      provider: "explicit",
    });
  });

  it("tells which inputs are secret, and keeps them secret on the way back", async () => {
    let made: github.ActionsVariable | undefined;
    const resources = await deploy(() => {
      const password = new random.RandomPassword("password", { length: 20 });
      made = variable("secret", { value: password.result });
      variable("plain");
    });
    const secret = only(resources, VARIABLE, "secret");
    assert.equal(secret.inputs.value, "password-of-password");
    assert.deepEqual(secret.secrets, ["value"]);
    assert.deepEqual(only(resources, VARIABLE, "plain").secrets, []);
    assert.ok(await pulumi.isSecret(made!.value));
    assert.ok(!(await pulumi.isSecret(made!.variableName)));
  });

  it("rejects with what the program throws, at once or inside apply", async () => {
    await assert.rejects(
      deploy(() => {
        throw new Error("at once");
      }),
      { message: "at once" },
    );
    await assert.rejects(
      deploy(() => {
        variable("late", {
          value: pulumi.output(1).apply((): string => {
            throw new Error("inside apply");
          }),
        });
      }),
      /inside apply/,
    );
  });

  it("rejects when a registration fails, and works again afterwards", async () => {
    await assert.rejects(
      deploy(() => variable("refused"), {
        outputs: () => {
          throw new Error("422 Unprocessable Entity");
        },
      }),
      /422 Unprocessable Entity/,
    );
    assert.equal((await deploy(() => variable("accepted"))).length, 1);
  });

  it("rejects two resources of one URN", async () => {
    await assert.rejects(
      deploy(() => {
        variable("twice");
        variable("twice");
      }),
      /Two resources have the URN urn:pulumi:dev::runner-fleet::.*::twice/,
    );
  });

  it("answers provider functions only as told", async () => {
    const look = () => github.getRepositoryOutput({ fullName: "acme/webppt" }).defaultBranch;
    let branch: pulumi.Output<string> | undefined;
    await deploy(() => (branch = look()), {
      call: (token, inputs) => {
        assert.equal(token, "github:index/getRepository:getRepository");
        assert.deepEqual(inputs, { fullName: "acme/webppt" });
        return { defaultBranch: "master" };
      },
    });
    assert.equal(await valueOf(branch!), "master");
    await assert.rejects(deploy(look), /No answer was given for github:index\/getRepository/);
  });

  it("gives the program its configuration, project and stack", async () => {
    await deploy(
      () => {
        assert.equal(new pulumi.Config().require("organization"), "acme");
        assert.equal(pulumi.getProject(), "fleet");
        assert.equal(pulumi.getStack(), "prod");
      },
      { project: "fleet", stack: "prod", config: { "fleet:organization": "acme" } },
    );
    await deploy(() => assert.equal(new pulumi.Config("fleet").get("organization"), undefined));
  });
});

describe("only", () => {
  it("says what there is when there is not exactly one", async () => {
    const resources = await deploy(() => [variable("a"), variable("b")]);
    assert.throws(() => only(resources, VARIABLE), {
      message: `Found 2 of ${VARIABLE}, expected one. All: ${VARIABLE} a, ${VARIABLE} b.`,
    });
    assert.throws(() => only(resources, VARIABLE, "c"), /^Error: Found 0 of .* c, expected one\./);
  });
});
