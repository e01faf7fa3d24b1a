import * as pulumi from "@pulumi/pulumi";
import * as random from "@pulumi/random";

/**
 * A value that stays the same from run to run until `renew` is true. As `replacementTrigger` of a resource it has the
 * resource made again when the program, not the provider, sees that the real one was deleted or changed by hand.
 */
export function epoch(
  name: string,
  renew: boolean,
  opts: pulumi.CustomResourceOptions,
): pulumi.Output<string> {
  return new random.RandomId(
    name,
    { byteLength: 4, keepers: { drawn: String(Date.now()) } },
    { ...opts, ignoreChanges: renew ? [] : ["keepers"] },
  ).hex;
}
