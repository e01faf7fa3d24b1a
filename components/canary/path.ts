/** Name of the canary's workflow file, by which GitHub's API knows it. */
export const CANARY_FILE = "runner-canary.yml";
/** In its repository. */
export const CANARY_PATH = `.github/workflows/${CANARY_FILE}`;
