import { createPrivateKey, type KeyObject, sign } from "node:crypto";
import { z } from "zod";
import type { GithubCredential } from "../tokenService/stack";
import { type Api, ApiError } from "./api";

type AppCredential = Extract<GithubCredential, { readonly kind: "app" }>;

/** What GitHub says of the App that the token service signs in as, and of its installation. */
export type AppFacts =
  /** The private key cannot be read or is none of RSA; GitHub knows no App with this id and key; or no such installation. */
  | { readonly state: "keyUnreadable" | "refused" | "notInstalled" }
  /** `sentence` says what was asked and what came back. */
  | { readonly state: "failed"; readonly sentence: string }
  | {
      readonly state: "installed";
      /** Login of the account that it is installed in. */
      readonly account: string;
      readonly suspended: boolean;
      /** Level of the permission "Self-hosted runners" of the organization, such as write; undefined without it. */
      readonly runners: string | undefined;
    };

const installationAnswer = z.object({
  account: z.object({ login: z.string() }),
  permissions: z.object({ organization_self_hosted_runners: z.string().optional() }),
  suspended_at: z.string().nullish(),
});

/** @param connect makes a client of GitHub's API that signs in with a token. */
export async function readApp(
  { appId, installationId, privateKey }: AppCredential,
  connect: (token: string) => Api,
): Promise<AppFacts> {
  const key = rsaKey(privateKey);
  if (key === undefined) return { state: "keyUnreadable" };
  try {
    const api = connect(appToken(appId, key, new Date()));
    const path = `/app/installations/${installationId}`;
    const answer = await api.ask(path, [200, 404]);
    if (answer.status === 404) {
      // So GitHub calls an App: one that it does not know has no key to be wrong, which would be 401.
      const isUnknown = /integration not found/i.test(answer.text);
      return { state: isUnknown ? "refused" : "notInstalled" };
    }
    const found = api.parse(path, answer, installationAnswer);
    return {
      state: "installed",
      account: found.account.login,
      suspended: found.suspended_at != null,
      runners: found.permissions.organization_self_hosted_runners,
    };
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    return error.status === 401
      ? { state: "refused" }
      : { state: "failed", sentence: error.message };
  }
}

function rsaKey(pem: string): KeyObject | undefined {
  try {
    const key = createPrivateKey(pem);
    return key.asymmetricKeyType === "rsa" ? key : undefined;
  } catch {
    return undefined;
  }
}

/** GitHub takes none that lives longer, in seconds. */
const MAX_LIFE = 600;
/** What the two clocks may be apart, in seconds. */
const SKEW = 60;

/** The JSON Web Token that an App proves itself with. */
function appToken(appId: number, key: KeyObject, now: Date): string {
  const seconds = Math.floor(now.getTime() / 1000);
  const part = (value: unknown) => Buffer.from(JSON.stringify(value)).toString("base64url");
  const claims = { iat: seconds - SKEW, exp: seconds + MAX_LIFE - 2 * SKEW, iss: appId };
  const signed = `${part({ alg: "RS256", typ: "JWT" })}.${part(claims)}`;
  return `${signed}.${sign("sha256", Buffer.from(signed), key).toString("base64url")}`;
}
