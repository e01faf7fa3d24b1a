import * as pulumi from "@pulumi/pulumi";

/** What the stack's last run has told of itself, from the stack's own outputs. */
export interface RecordedOutputs {
  /** When each secret was written, by name, as the provider words dates. */
  readonly secrets: Readonly<Record<string, string>>;
  /** Git's name of the workflow file that each target was given, by key. */
  readonly targets: Readonly<Record<string, { readonly blob?: string }>>;
}

/** Empty before the first run. */
export async function recordedOutputs(): Promise<RecordedOutputs> {
  const self = new pulumi.StackReference("self", {
    name: `${pulumi.getOrganization()}/${pulumi.getProject()}/${pulumi.getStack()}`,
  });
  const [secrets, targets] = await Promise.all([
    self.getOutputDetails("secrets"),
    self.getOutputDetails("targets"),
  ]);
  return {
    secrets: (secrets.value ?? {}) as RecordedOutputs["secrets"],
    targets: (targets.value ?? {}) as RecordedOutputs["targets"],
  };
}
