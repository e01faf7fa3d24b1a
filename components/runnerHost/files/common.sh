# shellcheck shell=bash
# Sourced by slot, drain and converge.

# shellcheck disable=SC2034 # used by those that source this
compose=(docker compose --project-directory /opt/runner-fleet)

# definition N: a hash of what slot N runs, from compose.yaml as it is now. Runners are in a profile, or `up` would
# start them past their units.
definition() {
  "${compose[@]}" --profile runner config --hash "runner-$1"
}

# working N: whether slot N runs a job. Seen in the process table of the container, not asked of GitHub, which answers
# "not busy" for up to a minute after a job has started.
working() {
  local pid namespace comm
  pid=$(docker inspect --format '{{.State.Pid}}' "runner-$1" 2>/dev/null) || return 1
  namespace=$(readlink "/proc/$pid/ns/pid" 2>/dev/null) || return 1
  while read -r comm; do
    if [ "$(readlink "${comm%comm}ns/pid" 2>/dev/null)" = "$namespace" ]; then return 0; fi
  done < <(grep -lsx Runner.Worker /proc/[0-9]*/comm)
  return 1
}

# listening N: whether slot N waits for a job or runs one.
listening() {
  # Reads to the end: leaving early would end docker by SIGPIPE, which counts as a failure here.
  docker logs "runner-$1" 2>&1 | grep 'Listening for Jobs' >/dev/null || working "$1"
}
