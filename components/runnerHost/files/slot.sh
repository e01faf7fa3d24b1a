#!/bin/bash
# slot N: runs one job in one fresh container, then ends; the unit runner-slot@N starts the next.
set -euo pipefail
# shellcheck source=common.sh
. /opt/runner-fleet/bin/common.sh
slot=$1 runner="runner-$1" work="/var/lib/runner-fleet/work/$1" last="/var/lib/runner-fleet/slot-$1.runner"

# Whatever it is that fails, the next start waits the longer, the more often it has failed in a row.
# shellcheck disable=SC2317 # called by the trap
count_failure() {
  local failures
  if [ "$1" -eq 0 ] || [ -e "$run/draining-$slot" ] || [ -e "$run/stopped-$slot" ]; then return; fi
  failures=$(cat "$run/failures-$slot" 2>/dev/null || echo 0)
  echo $((failures + 1)) >"$run/failures-$slot"
}
trap 'count_failure $?' EXIT

# in_service: ends the unit for the time being when the slot is drained. systemd does not look at its own condition when
# it starts a unit again by itself.
in_service() {
  if [ -e "$run/draining-$slot" ]; then exit 75; fi
}

empty_work() {
  rm -rf --one-file-system -- "$work"
}

# ended: waits for the container that the slot has, if any. Docker's client may have ended before it, by a crash or with
# Docker itself while that is updated: the job goes on, and needs its work folder.
ended() {
  while present "$slot"; do
    if docker wait "$runner" >/dev/null 2>&1; then
      docker rm --force "$runner" >/dev/null 2>&1 || true
      return
    fi
    sleep 1
  done
}

if present "$slot"; then
  # Whoever holds it was ended at that, unless the slot is being drained.
  if [ ! -e "$run/draining-$slot" ]; then resume "$slot"; fi
  ended
fi
in_service
rm -f "$run/stopped-$slot" "$run/cordoned-$slot" "$run/listening-$slot" "$run/worked-$slot" "$run/started-$slot"

failures=$(cat "$run/failures-$slot" 2>/dev/null || echo 0)
if [ "$failures" -gt 0 ]; then
  pause=$((failures < 6 ? 1 << failures : 60))
  echo "failed $failures times in a row: the next try in $pause s" >&2
  touch "$run/waiting-$slot"
  sleep "$pause"
fi
rm -f "$run/waiting-$slot"
touch "$run/started-$slot"

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

# What this container is started from, for converge to compare with what is wanted.
definition "$slot" >"$run/$runner.hash.new"
mv -f "$run/$runner.hash.new" "$run/$runner.hash"
cp /opt/runner-fleet/runner.env "$run/$runner.env"

# A runner that was killed with its host or its container is still in GitHub's list.
install -d -m 0711 /var/lib/runner-fleet /var/lib/runner-fleet/work
forget "$slot"

empty_work
if [ "$RUNNER_IMAGE" = knatnetwork ]; then owner=0; else owner=1001; fi
install -d -m 0755 -o "$owner" -g "$owner" "$work"

characters=abcdefghijklmnopqrstuvwxyz0123456789
name="$HOST_NAME-$slot-"
for ((count = 0; count < 6; count++)); do name+=${characters:SRANDOM % 36:1}; done
echo "$name" >"$last.new"
mv -f "$last.new" "$last"

# What registers the runner goes in on standard input alone: neither a command line nor Docker's records show it.
input='' options=()
case $RUNNER_IMAGE-$TOKEN_SERVICE in
  actions-runner-builtin)
    IFS=, read -r -a labels <<<"self-hosted,Linux,ARM64,$RUNNER_LABELS"
    printf -v list ',"%s"' "${labels[@]}"
    printf -v body '{"name":"%s","runner_group_id":%s,"labels":[%s]}' \
      "$name" "$RUNNER_GROUP_ID" "${list:1}"
    answer=$(printf '%s' "$body" | ask POST "/orgs/$ORGANIZATION/jitconfigs" \
      --header 'Content-Type: application/json' --data-binary @-)
    input=$(printf '%s\n' "$answer" |
      sed -n 's/.*"encoded_jit_config"[[:space:]]*:[[:space:]]*"\([A-Za-z0-9+/=_-]*\)".*/\1/p')
    if [ "${answer##*$'\n'}" != 201 ] || [ -z "$input" ]; then
      echo "runner $name is not registered: $(refusal "$answer")" >&2
      # It may be, where an answer was lost or came from somebody in between: then the next start removes it.
      case ${answer##*$'\n'} in 4?? | unsent) rm -f "$last" ;; esac
      exit 1
    fi
    ;;
  actions-runner-knatnetwork)
    answer=$(ask GET "/$ORGANIZATION/registration-token")
    input=${answer%$'\n'*}
    if [ "${answer##*$'\n'}" != 200 ] || [ -z "$input" ]; then
      echo "runner $name is not registered: $(refusal "$answer")" >&2
      rm -f "$last"
      exit 1
    fi
    options=(--env "RUNNER_NAME=$name")
    ;;
  knatnetwork-*)
    options=(--env "ADDITIONAL_FLAGS=--ephemeral --runnergroup $RUNNER_GROUP --name $name --work /home/runner/_work")
    ;;
esac
unset answer

# Taken out of service meanwhile: whoever did that looks for a container once this has ended, and for the runner's name.
in_service

# A runner that does not come online is ended, and the unit starts the next. One that has listened for a minute shows
# that what failed before is mended.
(
  sleep 120
  if [ ! -e "$run/listening-$slot" ] && ! working "$slot"; then docker kill "$runner"; fi
) </dev/null >/dev/null 2>&1 &
watch=$!
(
  while [ ! -e "$run/listening-$slot" ]; do sleep 5; done
  sleep 60
  rm -f "$run/failures-$slot"
) </dev/null >/dev/null 2>&1 &
mend=$!

set +e
printf '%s\n' "$input" |
  "${compose[@]}" run --rm --no-TTY --no-deps --name "$runner" "${options[@]}" "$runner" 2>&1 |
  while IFS= read -r line; do
    case $line in
      *'Listening for Jobs'*) touch "$run/listening-$slot" ;;
      *'Running job: '*) touch "$run/worked-$slot" ;;
    esac
    printf '%s\n' "$line"
  done
status=${PIPESTATUS[1]}
set -e
unset input
kill "$watch" "$mend" 2>/dev/null || true
ended
empty_work
if [ "$status" -eq 0 ]; then
  # GitHub forgets an ephemeral runner with its job.
  if [ -e "$run/worked-$slot" ]; then rm -f "$last"; fi
  if [ ! -e "$run/listening-$slot" ]; then
    echo "the runner has ended before it listened for jobs" >&2
    exit 1
  fi
  rm -f "$run/failures-$slot"
elif [ -e "$run/listening-$slot" ] && [ "$(($(date +%s) - $(stat --format %Y "$run/listening-$slot")))" -ge 60 ]; then
  # It was of use until something ended it: no reason to wait.
  status=0
  rm -f "$run/failures-$slot"
fi
rm -f "$run/listening-$slot"
exit "$status"
