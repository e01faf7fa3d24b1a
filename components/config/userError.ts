import * as pulumi from "@pulumi/pulumi";

/**
 * An error that the user can mend: the CLI prints the message and nothing else. Without a stack, because Pulumi inspects
 * it anyway, and Node 20 then spends some 12 s on frames such as `node_modules/@pulumi/resource.ts` before it gives up.
 */
export function userError(message: string): pulumi.RunError {
  const error = new pulumi.RunError(message);
  delete error.stack;
  return error;
}
