import { GITHUB_URL } from "../config/schema";

/** The command of GitHub's CLI that deletes what a path of the API leads to. */
export function ghDelete(path: string, githubUrl: string): string {
  const host = githubUrl === GITHUB_URL ? "" : ` --hostname ${new URL(githubUrl).host}`;
  return `gh api --method DELETE${host} ${path}`;
}
