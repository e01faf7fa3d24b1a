import * as command from "@pulumi/command";
import * as pulumi from "@pulumi/pulumi";
import * as random from "@pulumi/random";

const config = new pulumi.Config();
const fail = config.get("fail");
if (fail === "run") throw new pulumi.RunError(`config key fail is "run", expected nothing`);
if (fail === "hang") {
  console.log(`program ${process.pid} hangs`);
  setInterval(() => undefined, 1000);
}
console.log("from stdout");
console.error("from stderr");

const hook = new pulumi.ResourceHook("tell", (args) =>
  pulumi.log.info(`hook ran for ${args.name}`),
);
const pet = new random.RandomPet("pet", {}, { hooks: { afterCreate: [hook] } });
const password = new random.RandomPassword("password", { length: 20 });
const local = new command.local.Command("local", {
  create: pulumi.interpolate`echo pet is ${pet.id}`,
  environment: { GREETING: config.get("greeting") ?? "hello" },
});
const remote = new command.remote.Command(
  "remote",
  {
    connection: {
      host: "127.0.0.1",
      port: config.requireNumber("port"),
      hostKey: config.require("hostKey"),
      password: config.requireSecret("password"),
      dialErrorLimit: 2,
    },
    create: "cat",
    delete: "echo gone",
    stdin: config.requireSecret("password"),
    logging: "none",
  },
  { additionalSecretOutputs: ["stdout"] },
);

export const echoed = remote.stdout;
export const generated = password.result;
export const said = local.stdout;
