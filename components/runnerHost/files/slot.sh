#!/bin/bash
# slot N: runs one job in one fresh container, then ends; the unit runner-slot@N starts the next.
set -euo pipefail
# shellcheck source=common.sh
. /opt/runner-fleet/bin/common.sh
runner="runner-$1"

# After a crash of Docker's client the container may still be at work: its job comes first.
if docker container inspect "$runner" >/dev/null 2>&1; then
  docker wait "$runner" >/dev/null || true
  docker rm --force "$runner" >/dev/null 2>&1 || true
fi

# After a restart of the host the build daemon comes up beside the slots: a runner without it would take jobs and fail.
socket=/run/buildkit/buildkitd.sock
for ((wait = 0; wait < 60; wait++)); do
  if [ -S "$socket" ]; then break; fi
  sleep 1
done
if [ ! -S "$socket" ]; then
  echo "the build daemon's socket $socket is not there after 60 s" >&2
  exit 1
fi

# What this container was started from, for converge to compare with what is wanted.
install -d -m 0755 /run/runner-fleet
definition "$1" >"/run/runner-fleet/$runner.hash.new"
mv -f "/run/runner-fleet/$runner.hash.new" "/run/runner-fleet/$runner.hash"

# The image waits for ever when its token or its registration is not answered: a runner that does not come online is
# ended, and the unit starts the next. Ends with the unit at the latest.
(
  sleep 120
  if ! listening "$1"; then docker kill "$runner"; fi
) </dev/null >/dev/null 2>&1 &

exec "${compose[@]}" run --rm --no-TTY --no-deps --name "$runner" "$runner"
