#!/bin/bash
# converge SLOTS DRAIN_SECONDS ONLINE_SECONDS: brings the slots 1..SLOTS to what compose.yaml says and ends when every
# runner listens for jobs. A slot whose definition is unchanged is left alone; one that changed finishes its job first.
set -euo pipefail
# shellcheck source=common.sh
. /opt/runner-fleet/bin/common.sh

count=$1 drain_seconds=$2 online_seconds=$3

systemctl daemon-reload

# A build daemon that is made anew ends the builds that run: their jobs come first.
present=$("${compose[@]}" ps --quiet buildkit)
if [ -n "$present" ]; then
  running=$(docker inspect --format '{{index .Config.Labels "com.docker.compose.config-hash"}}' "$present")
  wanted=$("${compose[@]}" config --hash buildkit)
  if [ "$running" != "${wanted#* }" ]; then /opt/runner-fleet/bin/drain "$drain_seconds"; fi
fi
# Services that are always there; runners are in a profile of their own. Ends when they are healthy.
"${compose[@]}" up --detach --quiet-pull --remove-orphans --wait --wait-timeout "$online_seconds"

retire=()
for unit in /etc/systemd/system/multi-user.target.wants/runner-slot@*.service; do
  [ -e "$unit" ] || continue
  slot=${unit##*@}
  slot=${slot%.service}
  if [ "$slot" -gt "$count" ]; then retire+=("$slot"); fi
done
if [ ${#retire[@]} -gt 0 ]; then
  /opt/runner-fleet/bin/drain "$drain_seconds" "${retire[@]}"
  for slot in "${retire[@]}"; do systemctl disable --quiet "runner-slot@$slot.service"; done
fi

changed=()
for ((slot = 1; slot <= count; slot++)); do
  wanted=$(definition "$slot")
  running=$(cat "/run/runner-fleet/runner-$slot.hash" 2>/dev/null || true)
  if [ -n "$running" ] && [ "$running" != "$wanted" ]; then changed+=("$slot"); fi
done
if [ ${#changed[@]} -gt 0 ]; then /opt/runner-fleet/bin/drain "$drain_seconds" "${changed[@]}"; fi

for ((slot = 1; slot <= count; slot++)); do
  rm -f "/run/runner-fleet/draining-$slot"
  systemctl enable --quiet --now "runner-slot@$slot.service"
done

# What was waited for jobs to end is not taken from the time to come online.
SECONDS=0
missing=()
while [ "$SECONDS" -lt "$online_seconds" ]; do
  missing=()
  for ((slot = 1; slot <= count; slot++)); do
    if ! listening "$slot"; then missing+=("$slot"); fi
  done
  if [ ${#missing[@]} -eq 0 ]; then exit 0; fi
  sleep 0.5
done
for slot in "${missing[@]}"; do
  echo "slot $slot is not online after $online_seconds s; the end of its log:" >&2
  journalctl --no-pager --quiet --output cat --lines 20 --unit "runner-slot@$slot.service" >&2
done
exit 1
