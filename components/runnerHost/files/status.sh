#!/bin/bash
# status: what each slot does and how full the disk is, as JSON. Every text in it is one that needs no escape: names
# that the configuration allows, words of our own, numbers.
set -euo pipefail
# shellcheck source=common.sh
. /opt/runner-fleet/bin/common.sh

# iso SECONDS: as in JSON, null for nothing.
iso() {
  if [ -z "$1" ]; then echo null; else date --utc --date "@$1" '+"%Y-%m-%dT%H:%M:%SZ"'; fi
}

# changed FILE: when it was written, in seconds; nothing when it is not there.
changed() {
  stat --format %Y "$1" 2>/dev/null || true
}

# cached: what the build cache takes in bytes, by BuildKit's own account of it, which costs no walk through the disk; null
# when it does not answer at once.
cached() {
  local daemon sizes size sum=0
  daemon=$("${compose[@]}" ps --quiet buildkit 2>/dev/null) || true
  if [ -z "$daemon" ] || ! sizes=$(timeout 2 docker exec "$daemon" buildctl --addr unix:///run/buildkit/buildkitd.sock \
    du --format '{{range .}}{{println .Size}}{{end}}' </dev/null 2>/dev/null); then
    echo null
    return
  fi
  for size in $sizes; do sum=$((sum + size)); done
  echo "$sum"
}

read -r size free < <(df --block-size 1K --output=size,avail /var/lib/docker | tail -n 1)
printf '{"host":"%s","disk":{"sizeBytes":%d,"freeBytes":%d,"freePercent":%d},"cacheBytes":%s,"slots":[' \
  "$HOST_NAME" $((size * 1024)) $((free * 1024)) $((free * 100 / size)) "$(cached)"
comma=
for slot in $(enabled | sort -n); do
  state=$(state "$slot")
  case $state in
    working) since=$(changed "$run/worked-$slot") ;;
    listening) since=$(changed "$run/listening-$slot") ;;
    starting) since=$(changed "$run/started-$slot") ;;
    backing-off) since=$(changed "$run/waiting-$slot") ;;
    draining | drained) since=$(changed "$run/draining-$slot") ;;
    *) since= ;;
  esac
  name=$(runner_name "$slot")
  by=$(cat "$run/draining-$slot" 2>/dev/null || true)
  printf '%s{"slot":%d,"state":"%s","runner":%s,"failures":%d,"since":%s,"drainedBy":%s}' \
    "$comma" "$slot" "$state" "${name:+\"}${name:-null}${name:+\"}" \
    "$(cat "$run/failures-$slot" 2>/dev/null || echo 0)" "$(iso "$since")" "${by:+\"}${by:-null}${by:+\"}"
  comma=,
done
echo ']}'
