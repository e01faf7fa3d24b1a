#!/bin/bash
# base: brings the host to what its base files say. What has not changed since the last time is left alone: nothing is
# installed, restarted or reloaded again.
set -euo pipefail
shopt -s nullglob
# shellcheck source=/dev/null
. /etc/runner-fleet/base.env

state=/var/lib/runner-fleet/base
install -d -m 0700 "$state"

# once NAME COMMAND FILE...: runs COMMAND unless it has succeeded with these contents of the files before.
once() {
  local name=$1 command=$2 wanted
  shift 2
  wanted=$(sha256sum -- "$@")
  if [ "$(cat "$state/$name" 2>/dev/null || true)" = "$wanted" ]; then return; fi
  "$command"
  printf '%s\n' "$wanted" >"$state/$name"
}

# enable UNIT...: enabled and started. Not asked for again where it is so: enabling has systemd read all its units.
enable() {
  local unit
  for unit; do
    if ! systemctl is-enabled --quiet "$unit"; then systemctl enable --quiet "$unit"; fi
    if ! systemctl is-active --quiet "$unit"; then systemctl start "$unit"; fi
  done
}

# disable UNIT: as `enable`.
disable() {
  if systemctl is-enabled --quiet "$1" || systemctl is-active --quiet "$1"; then
    systemctl disable --quiet --now "$1"
  fi
}

# Present already, unless the first boot reached no mirror.
install_packages() {
  local package missing=()
  for package in $PACKAGES; do
    if [ "$(dpkg-query --show --showformat '${db:Status-Status}' "$package" 2>/dev/null || true)" != installed ]; then
      missing+=("$package")
    fi
  done
  if [ ${#missing[@]} -eq 0 ]; then return; fi
  export DEBIAN_FRONTEND=noninteractive
  local apt=(apt-get --quiet --yes -o DPkg::Lock::Timeout=600 -o Acquire::Retries=3)
  # What is missing may be there in half: an interrupted installation is completed first.
  if ! { dpkg --configure --pending && "${apt[@]}" update && "${apt[@]}" install "${missing[@]}"; } >"$state/apt.log" 2>&1; then
    tail --lines 20 "$state/apt.log" >&2
    echo "packages: ${missing[*]} cannot be installed, expected them from the distribution's mirrors" >&2
    exit 1
  fi
}

reload_units() { systemctl daemon-reload; }

apply_sysctl() { /usr/lib/systemd/systemd-sysctl /etc/sysctl.d/60-runner-fleet-base.conf; }

restart_journal() { systemctl restart systemd-journald.service; }

load_firewall() {
  nft --check --file /etc/runner-fleet/firewall.nft
  systemctl enable --quiet runner-fleet-firewall.service
  systemctl reload-or-restart runner-fleet-firewall.service
}

reload_ssh() {
  sshd -t
  systemctl reload-or-restart ssh.service
}

# Takes over mirrors; containers go on.
reload_docker() { systemctl reload-or-restart docker.service; }

restart_reboot_timer() { systemctl try-restart runner-fleet-reboot.timer; }

# Does again what cloud-init failed at: a server is not made anew for a mirror that was down or a command that was wrong.
first_boot() {
  local outcome=0
  if [ -e "$state/first-boot" ]; then return; fi
  cloud-init status >/dev/null 2>&1 || outcome=$?
  # 2 means "done with recoverable errors", such as a key that a newer cloud-init warns about.
  if [ "$outcome" -ne 0 ] && [ "$outcome" -ne 2 ]; then
    if ! /opt/runner-fleet/bin/first-boot; then
      echo "the first boot failed, and so did its packages and commands now; cloud-init says:" >&2
      cloud-init status --long >&2 || true
      exit 1
    fi
  fi
  touch "$state/first-boot"
}

reboot_timer=/etc/systemd/system/runner-fleet-reboot.timer

install_packages
if [ "$REBOOT_WINDOW" = never ] && [ -e "$reboot_timer" ]; then
  disable runner-fleet-reboot.timer
  rm -f "$reboot_timer" "$state/reboot-timer"
fi
once units reload_units /etc/systemd/system/runner-fleet-*.service /etc/systemd/system/runner-fleet-*.timer \
  /etc/systemd/system/nftables.service.d/runner-fleet.conf
once sysctl apply_sysctl /etc/sysctl.d/60-runner-fleet-base.conf
if ! nft list table inet runner_fleet >/dev/null 2>&1; then rm -f "$state/firewall"; fi
once firewall load_firewall /etc/runner-fleet/firewall.nft
once journal restart_journal /etc/systemd/journald.conf.d/10-runner-fleet.conf
if [ "$SSH" = yes ]; then
  once ssh reload_ssh /etc/ssh/sshd_config.d/10-runner-fleet.conf
else
  disable ssh.service
fi
if [ "$(getent shadow root | cut --delimiter : --fields 2)" != '*' ]; then usermod --password '*' root; fi

enable docker.service systemd-timesyncd.service apt-daily.timer apt-daily-upgrade.timer
once docker reload_docker /etc/docker/daemon.json
if [ "$REBOOT_WINDOW" != never ]; then
  # A timer that runs keeps the time it had; one that does not is started once.
  once reboot-timer restart_reboot_timer "$reboot_timer"
  enable runner-fleet-reboot.timer
fi
first_boot
