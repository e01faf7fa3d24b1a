# shellcheck shell=bash
# Sourced by drain and converge.

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
