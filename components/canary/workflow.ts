import { ARM64, HOST_DAEMON } from "../imageWorkflow/jobs";
import { lines } from "../imageWorkflow/parameters";
import { ENVIRONMENT, type ImageWorkflowModel, MARKER } from "../imageWorkflow/workflow";
import { stringifyWorkflow } from "../imageWorkflow/workflowFile";

/** Longest that the job may run, in minutes. */
const TIMEOUT = 10;

const CONTEXT = "canary";

/**
 * The workflow whose one job proves a host: a runner of this host takes it and builds on the host's daemon, as the arm64
 * jobs of images do. Started by hand, with the name of the host and an id that its run is found by.
 *
 * Hosts of two stacks in two projects at Hetzner may have one name. Nothing of their canaries meets: the name of the
 * workflow, of which there is one to a stack, is in its concurrency group, and each stack has a runner group of its own.
 * @param runnerGroup name of the stack's
 */
export function renderCanary(
  { project, stack }: Omit<ImageWorkflowModel["generator"], "target">,
  runnerGroup: string,
): string {
  return stringifyWorkflow(
    {
      name: `Runner canary of ${stack}`,
      "run-name": "Canary of ${{ inputs.host }} (${{ inputs.id }})",
      on: {
        workflow_dispatch: {
          inputs: {
            host: {
              description: "Name of the server, which is a label of its runners",
              required: true,
              type: "string",
            },
            id: {
              description: "Tells this run from others of the host",
              required: true,
              type: "string",
            },
          },
        },
      },
      // One that an interrupted run has left behind is of no use any more.
      concurrency: {
        group: "${{ github.workflow }}-${{ inputs.host }}",
        "cancel-in-progress": true,
      },
      env: ENVIRONMENT,
      jobs: {
        canary: {
          name: "Prove the host",
          "runs-on": { group: runnerGroup, labels: ["self-hosted", "${{ inputs.host }}"] },
          "timeout-minutes": TIMEOUT,
          permissions: {},
          steps: [
            {
              name: "Refuse another machine than the host",
              env: { HOST: "${{ inputs.host }}" },
              run: lines(
                'echo "Runner $RUNNER_NAME is $RUNNER_ARCH, its kernel $(uname -srm)."',
                'if [[ "$RUNNER_NAME" != "$HOST"-* || "$RUNNER_ARCH" != ARM64 ]]; then',
                '  echo "::error::Found runner $RUNNER_NAME on $RUNNER_ARCH, expected one of $HOST on ARM64."',
                "  exit 1",
                "fi",
              ),
            },
            {
              comment: "Every time another one: nothing of an earlier build can stand in for it.",
              name: "Write an image",
              run: lines(
                `mkdir "$RUNNER_TEMP/${CONTEXT}"`,
                `cd "$RUNNER_TEMP/${CONTEXT}"`,
                'echo "$GITHUB_RUN_ID $GITHUB_RUN_ATTEMPT" >proof',
                "printf 'FROM scratch\\nCOPY proof /proof\\n' >Dockerfile",
              ),
            },
            HOST_DAEMON,
            {
              name: "Build it",
              uses: "docker/build-push-action",
              with: {
                builder: "${{ steps.shared.outputs.name }}",
                context: `\${{ runner.temp }}/${CONTEXT}`,
                platforms: ARM64,
                outputs: "type=cacheonly",
                provenance: false,
                sbom: false,
              },
            },
          ],
        },
      },
    },
    [
      MARKER,
      `Written by the Pulumi program ${project}, stack ${stack}, from its setting canary.`,
      "Do not edit: the next `pulumi up` writes it anew. It runs for each new host before the hosts that it replaces go.",
    ].join("\n"),
  );
}
