import { prepareEngine } from ".";

// Prints only the folder on stdout, for PATH="$(…):$PATH"; progress goes to stderr.
prepareEngine().then(
  ({ bin }) => process.stdout.write(`${bin}\n`),
  (error: unknown) => {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
    process.exitCode = 1;
  },
);
