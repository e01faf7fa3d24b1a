#!/bin/bash
# Stand-in for the image knatnetwork/github-runner: the same environment, the same start, the same end.
echo "This is the local cloud's stand-in for knatnetwork/github-runner."
cd /home/runner || exit 1

if [ -z "$RUNNER_REGISTER_TO" ]; then
  echo "RUNNER_REGISTER_TO is empty, expected <organization> or <owner>/<repository>" >&2
  exit 1
fi
if [ -n "$ADDITIONAL_PACKAGES" ]; then
  apt-get update && apt-get install -y --no-install-recommends ${ADDITIONAL_PACKAGES//,/ }
fi

case "$RUNNER_REGISTER_TO" in
  */*) token_url="$KMS_SERVER_ADDR/repo/$RUNNER_REGISTER_TO" ;;
  *) token_url="$KMS_SERVER_ADDR/$RUNNER_REGISTER_TO" ;;
esac
# Computed, but never given to config.sh: a name goes into ADDITIONAL_FLAGS.
export RUNNER_NAME="${RUNNER_NAME:-$(hostname)}"

deregister() {
  ./config.sh remove --unattended --token "$(curl -s "$token_url/remove-token")"
}
trap 'deregister; exit 130' INT
trap 'deregister; exit 143' TERM

# Neither a time limit nor a check of the status: what the token service answers is taken for the token.
token="$(curl -s "$token_url/registration-token")"
# shellcheck disable=SC2086 # the flags are split into words on purpose
./config.sh --unattended --url "https://github.com/$RUNNER_REGISTER_TO" --token "$token" \
  $ADDITIONAL_FLAGS --labels "$RUNNER_LABELS" --disableupdate || exit 1

./bin/runsvc.sh &
wait $!
