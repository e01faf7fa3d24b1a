import { text } from "node:stream/consumers";
import { ProposalError, proposeFile, withdrawFile } from "./proposeFile";

/**
 * `propose` or `withdraw`, as the environment says, with the file's content on standard input. Prints the address of the
 * pull request.
 */
async function main(command: string | undefined): Promise<void> {
  const variable = (name: string): string => {
    const value = process.env[name];
    if (value === undefined) throw new ProposalError(`${name}: found nothing in the environment.`);
    return value;
  };
  const file = {
    api: variable("GITHUB_API"),
    token: variable("GITHUB_TOKEN"),
    repository: variable("PROPOSAL_REPOSITORY"),
    base: variable("PROPOSAL_BASE"),
    head: variable("PROPOSAL_HEAD"),
    path: variable("PROPOSAL_PATH"),
    title: variable("PROPOSAL_TITLE"),
    body: variable("PROPOSAL_BODY"),
    message: variable("PROPOSAL_MESSAGE"),
    content: await text(process.stdin),
  };
  if (command === "withdraw") await withdrawFile(file);
  else process.stdout.write(await proposeFile(file));
}

main(process.argv[2]).catch((error: unknown) => {
  if (!(error instanceof ProposalError)) throw error;
  console.error(error.message);
  process.exitCode = 1;
});
