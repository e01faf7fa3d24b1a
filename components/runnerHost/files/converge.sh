#!/bin/bash
# converge SLOTS DRAIN_SECONDS ONLINE_SECONDS: brings the slots 1..SLOTS to what compose.yaml says and ends when every
# runner listens for jobs. A slot whose definition is unchanged is left alone; one that changed finishes its job first.
set -euo pipefail
# shellcheck source=common.sh
. /opt/runner-fleet/bin/common.sh

count=$1 drain_seconds=$2 online_seconds=$3

# One at a time: a run that was interrupted may still be at work here.
exec {turn}>"$run/lock-converge"
if ! flock --timeout "$((drain_seconds + online_seconds + 600))" "$turn"; then
  echo "an earlier run is still at work on this host" >&2
  exit 1
fi

systemctl daemon-reload

# Before anything is stopped, and outside the time that a runner has to come online in.
while read -r image; do
  docker image inspect "$image" >/dev/null 2>&1 || docker pull --quiet "$image" >/dev/null
done < <("${compose[@]}" --profile runner config --images | sort -u)

# A build daemon that is made anew ends the builds that run: their jobs come first.
present=$("${compose[@]}" ps --quiet buildkit)
if [ -n "$present" ]; then
  running=$(docker inspect --format '{{index .Config.Labels "com.docker.compose.config-hash"}}' "$present")
  wanted=$("${compose[@]}" config --hash buildkit)
  if [ "$running" != "${wanted#* }" ]; then /opt/runner-fleet/bin/drain "$drain_seconds"; fi
fi
# While what they registered with is still there, and before Compose removes containers that it no longer knows.
retire=()
for slot in $(enabled); do
  if [ "$slot" -gt "$count" ]; then retire+=("$slot"); fi
done
if [ ${#retire[@]} -gt 0 ]; then
  /opt/runner-fleet/bin/drain "$drain_seconds" "${retire[@]}"
  for slot in "${retire[@]}"; do
    systemctl disable --quiet "runner-slot@$slot.service"
    rm -f "$run/draining-$slot" "$run/failures-$slot"
  done
fi

changed=()
for ((slot = 1; slot <= count; slot++)); do
  wanted=$(definition "$slot")
  running=$(cat "$run/runner-$slot.hash" 2>/dev/null || true)
  if [ -n "$running" ] && [ "$running" != "$wanted" ]; then changed+=("$slot"); fi
done
if [ ${#changed[@]} -gt 0 ]; then /opt/runner-fleet/bin/drain "$drain_seconds" "${changed[@]}"; fi

# Services that are always there; runners are in a profile of their own. Ends when they are healthy.
if ! "${compose[@]}" up --detach --quiet-pull --remove-orphans --wait --wait-timeout "$online_seconds"; then
  "${compose[@]}" ps --all >&2
  echo "not all of the services above are healthy; the end of their logs:" >&2
  "${compose[@]}" --ansi never logs --no-color --tail 20 >&2
  exit 1
fi

# Whatever took slots out of service before: this is what is wanted now. In one call, and only what is not enabled yet:
# each call has systemd read all its units.
units=(runner-guard.service) added=()
for ((slot = 1; slot <= count; slot++)); do units+=("runner-slot@$slot.service"); done
for unit in "${units[@]}"; do
  [ -e "/etc/systemd/system/multi-user.target.wants/$unit" ] || added+=("$unit")
done
if [ ${#added[@]} -gt 0 ]; then systemctl enable --quiet "${added[@]}"; fi
/opt/runner-fleet/bin/undrain
for ((slot = 1; slot <= count; slot++)); do
  if [ "$(state "$slot")" = backing-off ]; then
    # What it failed for may be mended by now.
    rm -f "$run/failures-$slot"
    systemctl restart --no-block "runner-slot@$slot.service"
  else
    systemctl start --no-block "runner-slot@$slot.service"
  fi
done
systemctl restart runner-guard.service

# What was waited for jobs to end is not taken from the time to come online.
SECONDS=0
missing=()
while [ "$SECONDS" -lt "$online_seconds" ]; do
  missing=()
  for ((slot = 1; slot <= count; slot++)); do
    if ! listening "$slot"; then missing+=("$slot"); fi
  done
  if [ ${#missing[@]} -eq 0 ]; then exit 0; fi
  sleep 0.2
done
for slot in "${missing[@]}"; do
  failures=$(cat "$run/failures-$slot" 2>/dev/null || echo 0)
  echo "slot $slot is not online after $online_seconds s: $(state "$slot"), failed $failures times in a row; the end of its log:" >&2
  journalctl --no-pager --quiet --output cat --lines 20 --unit "runner-slot@$slot.service" >&2
done
exit 1
