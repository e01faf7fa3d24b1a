#!/bin/bash
# guard [once]: keeps the disk from filling, so that no job fails for want of space that another one took. Looks every
# GUARD_INTERVAL_SECONDS; the thresholds below are percent of Docker's file system that are free.
set -euo pipefail
# shellcheck source=common.sh
. /opt/runner-fleet/bin/common.sh

interval=${GUARD_INTERVAL_SECONDS:-15}
prune_below=${GUARD_PRUNE_BELOW:-25}
drain_below=${GUARD_DRAIN_BELOW:-12}
resume_above=${GUARD_RESUME_ABOVE:-20}
kill_below=${GUARD_KILL_BELOW:-5}
work=/var/lib/runner-fleet/work
# One file for each image, written when it was last seen in use.
seen=/var/lib/runner-fleet/images
pruned="$run/pruned"

# measure: sets size (in KiB) and free (in percent) of the file system of Docker and the work folders.
measure() {
  local available
  read -r size available < <(df --block-size 1K --output=size,avail /var/lib/docker | tail -n 1)
  free=$((available * 100 / size))
}

# used N: what the work folder of slot N holds, in KiB.
used() {
  du --summarize --one-file-system --block-size 1K "$work/$1" 2>/dev/null | cut -f 1 || true
}

# end_job N WHY
end_job() {
  echo "slot $1: its job is ended: $2" >&2
  docker kill "runner-$1" >/dev/null 2>&1 || true
}

# prune: removes what no one uses any more. What a job has made a moment ago is left to it, and so is everything of this
# stack.
prune() {
  local id kept used
  touch "$pruned"
  docker container prune --force --filter until=24h --filter label!=com.docker.compose.project=runner-fleet >/dev/null
  # Anonymous ones only: the build cache has a name.
  docker volume prune --force >/dev/null
  docker image prune --force >/dev/null
  install -d -m 0755 "$seen"
  kept=$("${compose[@]}" --profile runner config --images | xargs -r docker image inspect --format '{{.Id}}' 2>/dev/null || true)
  used=$(docker ps --all --quiet | xargs -r docker inspect --format '{{.Image}}' 2>/dev/null || true)
  for id in $(docker image ls --all --no-trunc --quiet | sort -u); do
    if [ ! -e "$seen/$id" ] || [[ $'\n'$kept$'\n'$used$'\n' == *$'\n'$id$'\n'* ]]; then touch "$seen/$id"; fi
  done
  while read -r id; do
    # By its names: the last of them takes the image along. Docker refuses what a container uses.
    docker image inspect --format '{{range .RepoTags}}{{println .}}{{end}}{{range .RepoDigests}}{{println .}}{{end}}' "$id" </dev/null 2>/dev/null |
      xargs -r docker image rm >/dev/null 2>&1 || true
    docker image rm "$id" </dev/null >/dev/null 2>&1 || true
    rm -f "$seen/$id"
  done < <(find "$seen" -type f -mmin +10080 -printf '%f\n')
}

# shrink_cache: has BuildKit drop what no build uses, what was used longest ago first, until enough is free or little is
# left of it.
shrink_cache() {
  local daemon
  daemon=$("${compose[@]}" ps --quiet buildkit)
  [ -n "$daemon" ] || return 0
  docker exec "$daemon" buildctl --addr unix:///run/buildkit/buildkitd.sock prune \
    --free-storage "$((size * prune_below / 100 / 1024))" --keep-storage-min 5000 >/dev/null 2>&1 || true
}

# bound: ends each job whose work folder has outgrown its part of the disk.
bound() {
  local slot kib
  for slot in $(enabled); do
    kib=$(used "$slot")
    if [ "$((${kib:-0} * 100 / size))" -ge "$WORK_MAX_PERCENT" ] && present "$slot"; then
      end_job "$slot" "its work folder holds $((kib / 1024)) MiB, more than $WORK_MAX_PERCENT % of the disk"
    fi
  done
}

# largest: the slot with the largest work folder among those that have a container.
largest() {
  local slot
  for slot in $(enabled); do
    if present "$slot"; then echo "$(used "$slot") $slot"; fi
  done | sort -n | tail -n 1 | cut -d ' ' -f 2
}

relieve() {
  local slot every=60
  if [ "$free" -lt "$drain_below" ]; then every=1; elif [ "$free" -lt "$prune_below" ]; then every=10; fi
  if [ -z "$(find "$pruned" -newermt "-$every minutes" 2>/dev/null)" ]; then
    prune
    if [ "$free" -lt "$prune_below" ]; then shrink_cache; fi
    measure
  fi
  if [ "$free" -lt "$drain_below" ]; then
    for slot in $(enabled); do
      [ ! -e "$run/draining-$slot" ] || continue
      echo "$free % of the disk is free, less than $drain_below %: no slot takes a further job" >&2
      # Beside this, which goes on looking; one drain at a time is enough.
      systemd-run --quiet --collect --unit runner-guard-drain --setenv DRAIN_BY=guard \
        /opt/runner-fleet/bin/drain "$DRAIN_SECONDS" 2>/dev/null || true
      break
    done
  fi
  if [ "$free" -lt "$kill_below" ]; then
    slot=$(largest)
    if [ -n "$slot" ]; then end_job "$slot" "$free % of the disk is free, less than $kill_below %, and its work folder is the largest"; fi
  fi
  if [ "$free" -gt "$resume_above" ] && grep -sqx guard "$run"/draining-*; then
    echo "$free % of the disk is free again: the slots take jobs" >&2
    UNDRAIN_ONLY=guard /opt/runner-fleet/bin/undrain
  fi
}

look() {
  measure
  bound
  relieve
}

if [ "${1:-}" = once ]; then
  look
  exit
fi
while true; do
  # What fails once is tried again; the guard itself stays.
  (look) || echo "the disk could not be looked after; next try in $interval s" >&2
  sleep "$interval"
done
