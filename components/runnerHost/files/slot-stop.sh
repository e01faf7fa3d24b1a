#!/bin/bash
# slot-stop N: ends the runner of a slot whose unit is to stop, when its job has ended; within the drain's time.
set -euo pipefail
# shellcheck source=common.sh
. /opt/runner-fleet/bin/common.sh

# systemd runs this after a unit that ended by itself as well.
if [ -z "${MAINPID:-}" ]; then exit 0; fi
touch "$run/stopped-$1"
retire "$1" "$DRAIN_SECONDS"
forget "$1"
