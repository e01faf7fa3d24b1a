import type { Verdict } from "../preflight/check";
import { type CheckId, type Finding, problem, warning } from "./check";

/** The check that a sentence of preflight belongs to. */
export function topicOf(sentence: string, namespace: string): CheckId {
  if (/^(hcloud:(token|endpoint)\b|Hetzner's API )/.test(sentence)) return "hetzner-token";
  if (/^(github:(token|baseUrl)\b|GitHub's API )/.test(sentence)) return "github-token";
  if (!sentence.startsWith(`${namespace}:`)) return "configuration";
  const own = sentence.slice(namespace.length + 1);
  if (/^githubUrl: /.test(own)) return "github-token";
  if (/^githubAuth\b/.test(own)) return "credential";
  if (/^pools\.[^.:]+\.runner\.version: /.test(own)) return "runner-versions";
  const isServer = /^(pools\.[^.:]+(\.serverTypes)?|tokenService(\.serverType)?): /.test(own);
  if (isServer && /\b(be ordered|out of stock)\b/.test(own)) return "stock";
  return /GitHub's Free plan/.test(own) ? "plan" : "configuration";
}

/** What preflight says about the subject of one check. */
export function findingsAbout(
  topic: CheckId,
  { problems, warnings }: Verdict,
  namespace: string,
): readonly Finding[] {
  const about = (sentences: readonly string[]) =>
    sentences.filter((sentence) => topicOf(sentence, namespace) === topic);
  return [
    ...about(problems).map((sentence) => problem(sentence)),
    ...about(warnings).map((sentence) => warning(sentence)),
  ];
}
