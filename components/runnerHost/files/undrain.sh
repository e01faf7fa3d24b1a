#!/bin/bash
# undrain [SLOT...]: puts slots (default: all) that were drained back into service.
# UNDRAIN_ONLY in the environment: only those that were drained by operator, or by guard.
set -euo pipefail
# shellcheck source=common.sh
. /opt/runner-fleet/bin/common.sh

slots=("$@")
if [ ${#slots[@]} -eq 0 ]; then mapfile -t slots < <(enabled); fi

left=
for slot in "${slots[@]}"; do
  mark="$run/draining-$slot"
  [ -e "$mark" ] || continue
  if [ -n "${UNDRAIN_ONLY:-}" ] && [ "$(cat "$mark")" != "$UNDRAIN_ONLY" ]; then continue; fi
  # Not while a drain clears up.
  exec {lock}>"$run/lock-$slot"
  flock "$lock"
  rm -f "$mark"
  resume "$slot"
  # A runner that GitHub gives no job any more makes way for a new one, after its job if it has one. A unit without a
  # runner may have seen the mark and be about to end. It starts also when Docker does not tell: it waits for that itself.
  if [ -e "$run/cordoned-$slot" ] || ! (present "$slot"); then verb=restart; else verb=start; fi
  systemctl "$verb" --no-block "runner-slot@$slot.service"
  exec {lock}>&-
done
for mark in "$run"/draining-*; do
  if [ -e "$mark" ] && [ "$(cat "$mark")" = operator ]; then left=1; fi
done
if [ -z "$left" ]; then systemctl stop runner-lease.timer 2>/dev/null || true; fi
