#!/bin/bash
# reboot-if-required DRAIN_SECONDS: reboots the host when an update asks for it; running jobs may end first.
set -euo pipefail

if [ ! -e /run/reboot-required ]; then exit 0; fi
if [ -x /opt/runner-fleet/bin/drain ] && ! /opt/runner-fleet/bin/drain "$1"; then
  echo "the host does not reboot for its updates, since it cannot be drained; it tries again tomorrow" >&2
  if [ -x /opt/runner-fleet/bin/undrain ]; then /opt/runner-fleet/bin/undrain; fi
  exit 1
fi
systemctl reboot
