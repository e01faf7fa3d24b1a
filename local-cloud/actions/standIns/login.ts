import { type ActionDefinition, ActionFailure } from "../action";

/** docker/login-action for registries with user name and password. */
export const login: ActionDefinition = {
  inputs: {
    registry: {},
    username: {},
    password: {},
    ecr: { unmodelled: true },
    scope: { unmodelled: true },
    logout: { default: "true" },
    "registry-auth": { unmodelled: true },
  },
  main: async (run) => {
    const registry = run.input("registry") || "docker.io";
    const username = run.input("username");
    const password = run.input("password");
    run.state.set("logout", String(run.booleanInput("logout")));
    run.state.set("registry", registry);
    if (username === "" && password === "")
      throw new ActionFailure("Username and password required");
    if (username === "") throw new ActionFailure("Username required");
    if (password === "") throw new ActionFailure("Password required");
    run.mask(password);
    run.info(`Logging into ${registry}...`);
    const { code, stderr } = await run.exec(
      "docker",
      ["login", "--password-stdin", "--username", username, registry],
      { input: password, silent: true, check: false },
    );
    if (code !== 0)
      throw new ActionFailure(stderr.trim() || `docker login ended with exit code ${code}`);
    run.info("Login Succeeded!");
  },
  post: async (run) => {
    if (run.state.get("logout") !== "true") return;
    const registry = run.state.get("registry") ?? "";
    await run.group(`Logout from ${registry}`, async () => {
      const { code, stderr } = await run.exec("docker", ["logout", registry], { check: false });
      if (code !== 0) run.warning(stderr.trim());
    });
  },
};
