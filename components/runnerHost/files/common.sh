# shellcheck shell=bash
# Sourced by the scripts beside it.

# shellcheck source=/dev/null
. /opt/runner-fleet/runner.env

# shellcheck disable=SC2034 # used by those that source this
compose=(docker compose --project-directory /opt/runner-fleet)

# What the scripts tell each other, gone with a reboot:
#   draining-N  slot N is out of service; holds who wanted that: operator or guard
#   lock-N      held while a drain stops the slot's unit, and while undrain starts it; lock-converge: by converge
#   cordoned-N  GitHub was told to give the slot's runner no job
#   stopped-N   the unit is being stopped: how its container ends is no failure
#   started-N, listening-N, waiting-N  since when it starts, listens, or waits before it tries again
#   worked-N    its runner has been given a job
#   failures-N  how often in a row its runner ended without having been of use
#   runner-N.hash, runner-N.env  what its runner was started from
run=/run/runner-fleet
install -d -m 0755 "$run"

# enabled: the slots that are in service or are to be again after a drain.
enabled() {
  local unit
  for unit in /etc/systemd/system/multi-user.target.wants/runner-slot@*.service; do
    [ -e "$unit" ] || continue
    unit=${unit##*@}
    echo "${unit%.service}"
  done
}

# definition N: a hash of what slot N runs, from compose.yaml and runner.env as they are now. Runners are in a profile,
# or `up` would start them past their units.
definition() {
  local hash
  # Said here because a caller that keeps what this prints does not end by itself.
  hash=$("${compose[@]}" --profile runner config --hash "runner-$1") || return 1
  { echo "$hash"; grep -Ev '^(DRAIN_SECONDS|WORK_MAX_PERCENT)=' /opt/runner-fleet/runner.env; } | sha256sum | cut -d ' ' -f 1
}

# present N: whether slot N has a container, running or not. Ends the script when Docker does not tell within a minute, as
# while it is updated: containers go on meanwhile, and one that cannot be seen may have a job.
present() {
  local wait id
  for ((wait = 0; wait < 60; wait++)); do
    if id=$(docker container ls --all --quiet --filter "name=^runner-$1\$" 2>/dev/null); then
      [ -n "$id" ]
      return
    fi
    sleep 1
  done
  echo "slot $1: Docker does not answer, so nobody can tell whether a job runs" >&2
  exit 1
}

# processes N NAME: the processes of that name in the container of slot N. Seen in the process table, not asked of
# GitHub, which answers "not busy" for up to a minute after a job has started.
processes() {
  local pid namespace comm
  pid=$(docker inspect --format '{{.State.Pid}}' "runner-$1" 2>/dev/null) || return 0
  namespace=$(readlink "/proc/$pid/ns/pid" 2>/dev/null) || return 0
  while read -r comm; do
    if [ "$(readlink "${comm%comm}ns/pid" 2>/dev/null)" = "$namespace" ]; then
      comm=${comm%/comm}
      echo "${comm#/proc/}"
    fi
  done < <(grep -lsx "$2" /proc/[0-9]*/comm)
}

# working N: whether slot N runs a job.
working() {
  [ -n "$(processes "$1" Runner.Worker)" ]
}

# listening N: whether slot N waits for a job or has one.
listening() {
  { [ -e "$run/listening-$1" ] && present "$1"; } || working "$1"
}

# state N: starting, listening, working, draining, drained, backing-off or stopped. A runner that was given a job works
# until its container is gone: between the end of its job and that, it takes no other.
state() {
  if [ -e "$run/draining-$1" ]; then
    if present "$1"; then echo draining; else echo drained; fi
  elif present "$1"; then
    if [ -e "$run/worked-$1" ] || working "$1"; then
      echo working
    elif [ -e "$run/listening-$1" ]; then
      echo listening
    else
      echo starting
    fi
  elif ! systemctl is-active --quiet "runner-slot@$1.service"; then
    echo stopped
  elif [ -e "$run/waiting-$1" ]; then
    echo backing-off
  else
    echo starting
  fi
}

# runner_name N: the name of the last runner of slot N; nothing when it is known to be gone from GitHub.
runner_name() {
  cat "/var/lib/runner-fleet/slot-$1.runner" 2>/dev/null || true
}

# ask METHOD PATH [OPTION...]: asks the token service; prints its answer and, on a last line, its status: 000 when none
# came, "unsent" when nobody was there to be asked. The password is in curl's configuration and on no command line.
ask() {
  local method=$1 path=$2
  shift 2
  curl --config /etc/runner-fleet/token-service.curl --silent --show-error --connect-timeout 5 --max-time 30 \
    --request "$method" --write-out '\n%{http_code}\n' "$@" "$TOKEN_SERVICE_URL$path" ||
    if [ $? -eq 7 ]; then echo unsent; fi
}

# refusal ANSWER: what an answer that is no success says, in one line.
refusal() {
  local status=${1##*$'\n'} message
  message=$(printf '%s\n' "$1" | sed -n 's/.*"message"[[:space:]]*:[[:space:]]*"\(\([^"\\]\|\\.\)*\)".*/\1/p' | head -n 1)
  if [ "$status" = 000 ] || [ "$status" = unsent ]; then
    echo "the token service at $TOKEN_SERVICE_URL does not answer"
  else
    echo "the token service answers $status${message:+: $message}"
  fi
}

# deregister NAME: has GitHub forget a runner. Fails with 2 when GitHub says that it runs a job, with 1 when it cannot be
# told. Only the built-in token service can do that.
deregister() {
  local answer
  [ "$TOKEN_SERVICE" = builtin ] || return 0
  answer=$(ask DELETE "/orgs/$ORGANIZATION/runners/$1")
  case ${answer##*$'\n'} in
    204) return 0 ;;
    409) return 2 ;;
  esac
  echo "runner $1 is still registered: $(refusal "$answer")" >&2
  return 1
}

# forget N: has GitHub forget what slot N has left there: its last runner, whose container is gone, and those before that
# it could not be told of. What remains is for the next time.
forget() {
  local left="/var/lib/runner-fleet/slot-$1.left" names name kept=() code=0
  mapfile -t names < <({ cat "$left" || true; runner_name "$1"; } 2>/dev/null | tac | head -n 20)
  for name in "${names[@]}"; do
    if [ "$code" -ne 1 ]; then
      code=0
      deregister "$name" || code=$?
      if [ "$code" -eq 2 ]; then echo "runner $name, which is gone, still has a job at GitHub" >&2; fi
    fi
    if [ "$code" -ne 0 ]; then kept=("$name" "${kept[@]}"); fi
  done
  if [ ${#kept[@]} -gt 0 ]; then
    # A disk that is full takes no note: then what there is of it stays.
    if ! printf '%s\n' "${kept[@]}" >"$left.new" || ! mv -f "$left.new" "$left"; then return 0; fi
  else
    rm -f "$left"
  fi
  rm -f "/var/lib/runner-fleet/slot-$1.runner"
}

# cordon N: has GitHub give the runner of slot N no job from now on, as far as the token service can.
cordon() {
  local name answer
  name=$(runner_name "$1")
  if [ "$TOKEN_SERVICE" != builtin ] || [ -z "$name" ]; then return 0; fi
  touch "$run/cordoned-$1"
  answer=$(ask DELETE "/orgs/$ORGANIZATION/runners/$name/labels")
  [ "${answer##*$'\n'}" = 204 ] || echo "runner $name is not cordoned: $(refusal "$answer")" >&2
}

thaw() {
  docker unpause "runner-$1" >/dev/null 2>&1 || true
}

# listener N SIGNAL: signals the program that takes jobs.
listener() {
  local pid
  for pid in $(processes "$1" Runner.Listener); do kill -s "$2" "$pid" 2>/dev/null || true; done
}

# resume N: has the runner of slot N go on, however it was held.
resume() {
  thaw "$1"
  listener "$1" CONT
}

# leave N: takes the runner of slot N, which is frozen and has no job, out of GitHub's list and ends its container.
# Fails, with the container at work again, when GitHub has given it a job after all.
leave() {
  local slot=$1 runner="runner-$1" name code=0 answer
  name=$(runner_name "$slot")
  if [ "$TOKEN_SERVICE" = builtin ]; then
    if [ -n "$name" ]; then deregister "$name" || code=$?; fi
    if [ "$code" -eq 2 ]; then
      thaw "$slot"
      return 1
    fi
    # A token service that is down holds nobody up: the slot's next start removes what is left at GitHub.
    if [ "$code" -eq 0 ]; then rm -f "/var/lib/runner-fleet/slot-$slot.runner"; fi
    docker kill "$runner" >/dev/null 2>&1 || true
    return 0
  fi
  # What deregisters runs in the container, so it cannot stay frozen: the program that takes jobs is held instead.
  listener "$slot" STOP
  if [ "$RUNNER_IMAGE" = knatnetwork ]; then
    # The image deregisters when it is told to end.
    docker kill --signal TERM "$runner" >/dev/null 2>&1 || true
    thaw "$slot"
    for ((wait = 0; wait < 30; wait++)); do
      if [ "$(docker inspect --format '{{.State.Running}}' "$runner" 2>/dev/null)" != true ]; then break; fi
      sleep 1
    done
  else
    thaw "$slot"
    answer=$(ask GET "/$ORGANIZATION/remove-token")
    if [ "${answer##*$'\n'}" != 200 ]; then
      echo "runner $name is still registered: $(refusal "$answer")" >&2
    elif ! printf '%s\n' "${answer%$'\n'*}" | docker exec --interactive "$runner" bash -c \
      'IFS= read -r ACTIONS_RUNNER_INPUT_TOKEN; export ACTIONS_RUNNER_INPUT_TOKEN; exec ./config.sh remove </dev/null' >&2; then
      listener "$slot" CONT
      return 1
    fi
  fi
  rm -f "/var/lib/runner-fleet/slot-$slot.runner"
  docker kill "$runner" >/dev/null 2>&1 || true
}

# retire N SECONDS [MARK]: ends the runner of slot N between two jobs; a job that still runs after SECONDS is ended.
# Fails when MARK, which wanted that, is gone meanwhile.
retire() {
  local slot=$1 mark=${3:-} runner="runner-$1" deadline=$((SECONDS + $2)) given=
  present "$slot" || return 0
  # By the rules that it was registered by, which may have changed since.
  # shellcheck source=/dev/null
  if [ -e "$run/$runner.env" ]; then . "$run/$runner.env"; fi
  working "$slot" || cordon "$slot"
  # Whatever ends this must not leave the runner held.
  trap 'resume "$slot"' EXIT
  trap 'exit 143' TERM INT HUP
  while present "$slot"; do
    if [ -n "$mark" ] && [ ! -e "$mark" ]; then return 1; fi
    if [ "$SECONDS" -ge "$deadline" ]; then
      echo "slot $slot: its job still runs after $2 s and is ended" >&2
      docker stop --time 30 "$runner" >/dev/null 2>&1 || true
      break
    fi
    if working "$slot" || ! docker pause "$runner" >/dev/null 2>&1; then
      sleep 1
    elif working "$slot"; then
      # It started between the look and the frost. No job starts between this look and the end.
      thaw "$slot"
      sleep 1
    elif leave "$slot"; then
      break
    else
      [ -n "$given" ] || echo "slot $slot: GitHub has just given its runner a job, which is waited for" >&2
      given=1
      sleep 1
    fi
  done
  trap - EXIT TERM INT HUP
}
