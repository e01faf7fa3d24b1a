#!/bin/bash
# drain SECONDS [SLOT...]: takes slots (default: all) out of service. They take no further job, running jobs may end
# within SECONDS, then the runners deregister and stop. Harmless when repeated. A host that is still up 15 minutes later
# takes up work again by itself, so a run that was interrupted strands nothing.
# DRAIN_BY in the environment: who wants that, operator (default) or guard, which takes its slots back by itself.
set -euo pipefail
# shellcheck source=common.sh
. /opt/runner-fleet/bin/common.sh

timeout=$1
shift
slots=("$@")
if [ ${#slots[@]} -eq 0 ]; then mapfile -t slots < <(enabled); fi
by=${DRAIN_BY:-operator}

# The mark keeps a slot from starting its next runner when the present one ends.
for slot in "${slots[@]}"; do
  mark="$run/draining-$slot"
  if [ "$by" != guard ] || [ ! -e "$mark" ]; then echo "$by" >"$mark"; fi
done
if [ "$by" != guard ] && [ ${#slots[@]} -gt 0 ]; then
  systemctl stop runner-lease.timer 2>/dev/null || true
  systemd-run --quiet --collect --unit runner-lease --on-active "$((timeout + 900))s" \
    --setenv UNDRAIN_ONLY=operator /opt/runner-fleet/bin/undrain ||
    echo "nothing takes the slots back by itself should this be interrupted" >&2
fi

stop() {
  local slot=$1 mark="$run/draining-$1"
  if ! retire "$slot" "$timeout" "$mark" || ! finish "$slot" "$mark"; then
    echo "slot $slot is back in service" >&2
  fi
}

# finish N MARK: stops the unit and leaves nothing of its last runner. Not while undrain starts the next.
finish() {
  local lock
  exec {lock}>"$run/lock-$1"
  flock "$lock"
  [ -e "$2" ] || return 1
  systemctl stop "runner-slot@$1.service"
  # One that was just about to start.
  retire "$1" 30
  docker rm --force "runner-$1" >/dev/null 2>&1 || true
  forget "$1"
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
