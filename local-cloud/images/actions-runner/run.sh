#!/bin/bash
cd "$(dirname "$0")" || exit 1
if [ "$(id -u)" -eq 0 ] && [ -z "$RUNNER_ALLOW_RUNASROOT" ]; then
  echo "Must not run interactively with sudo" >&2
  exit 1
fi
if [ -z "$RUNNER_MANUALLY_TRAP_SIG" ]; then
  ./bin/Runner.Listener run "$@"
  exit $?
fi
# As process 1 of a container a shell ignores signals that it does not trap.
trap 'kill -TERM "$listener"' INT TERM
./bin/Runner.Listener run "$@" &
listener=$!
while true; do
  wait "$listener"
  code=$?
  kill -0 "$listener" 2>/dev/null || exit "$code"
done
