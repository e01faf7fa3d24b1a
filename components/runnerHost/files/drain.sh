#!/bin/bash
# drain SECONDS [SLOT...]: takes slots (default: all) out of service. They take no further job, running jobs may end
# within SECONDS, then the runners deregister and stop. Harmless when repeated.
set -euo pipefail
# shellcheck source=common.sh
. /opt/runner-fleet/bin/common.sh

timeout=$1
shift
slots=("$@")
if [ ${#slots[@]} -eq 0 ]; then
  for unit in /etc/systemd/system/multi-user.target.wants/runner-slot@*.service; do
    [ -e "$unit" ] || continue
    unit=${unit##*@}
    slots+=("${unit%.service}")
  done
fi

# The mark keeps a slot from starting its next runner when the present one ends.
install -d -m 0755 /run/runner-fleet
for slot in "${slots[@]}"; do touch "/run/runner-fleet/draining-$slot"; done

stop() {
  local slot=$1 runner="runner-$1"
  while [ "$SECONDS" -lt "$timeout" ]; do
    docker container inspect "$runner" >/dev/null 2>&1 || break
    # Frozen while we look: no job starts between the look and the signal. One that GitHub assigns while the runner then
    # deregisters, which takes a moment, is still lost.
    docker pause "$runner" >/dev/null 2>&1 || { sleep 1; continue; }
    if working "$slot"; then
      docker unpause "$runner" >/dev/null
      sleep 1
      continue
    fi
    docker kill --signal TERM "$runner" >/dev/null || true
    docker unpause "$runner" >/dev/null || true
    break
  done
  if working "$slot"; then echo "slot $slot: its job still runs after $timeout s and is ended" >&2; fi
  systemctl stop "runner-slot@$slot.service"
}

# All at once: the drain takes as long as the longest job, not as long as all of them.
stops=()
for slot in "${slots[@]}"; do
  stop "$slot" &
  stops+=("$!")
done
status=0
for pid in "${stops[@]}"; do wait "$pid" || status=1; done
exit "$status"
