#!/bin/sh
# Stand-in for the entry point of the official image: a first argument that is an option, or no command, is Node's.
set -e
if [ "${1#-}" != "$1" ] || [ -z "$(command -v "$1")" ]; then
  set -- node "$@"
fi
exec "$@"
