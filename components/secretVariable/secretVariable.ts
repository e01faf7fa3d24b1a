import * as pulumi from "@pulumi/pulumi";

/** A variable of a command's environment; left out where the environment of each run has it. */
export function secretVariable(
  name: string,
  value: pulumi.Input<string> | undefined,
): Record<string, pulumi.Output<string>> {
  return value === undefined ? {} : { [name]: pulumi.secret(value) };
}
