#!/bin/bash
# The service wrapper: keeps the listener running as long as it does not end in order.
cd "$(dirname "$0")/.." || exit 1
trap 'stopping=1; kill -TERM "$listener"' INT TERM
while true; do
  ./bin/Runner.Listener run --startuptype service &
  listener=$!
  while true; do
    wait "$listener"
    code=$?
    kill -0 "$listener" 2>/dev/null || break
  done
  if [ -n "$stopping" ] || [ "$code" -eq 0 ] || [ "$code" -eq 1 ]; then
    # 1 is an end for good: the registration is gone, or what the runner was told is wrong.
    exit "$code"
  fi
  sleep 5
done
