fail() {
  echo "::error::$1"
  exit 1
}

mapfile -t digests <<<"$DIGESTS"
sources=()
for digest in "${digests[@]}"; do
  [[ "$digest" =~ ^sha256:[0-9a-f]{64}$ ]] || fail "A build handed over '$digest', expected a sha256 digest."
  sources+=("$IMAGE@$digest")
done
mapfile -t tags < <(jq --raw-output '.tags[]' <<<"$METADATA")
mapfile -t annotations < <(jq --raw-output '.annotations[]' <<<"$METADATA")
[[ "${#tags[@]}" -gt 0 ]] || fail "No image tag follows from $GITHUB_REF."

options=(--annotation "index:runner-fleet.run-id=$GITHUB_RUN_ID")
for annotation in "${annotations[@]}"; do options+=(--annotation "$annotation"); done

# The index is checked before anything has a tag.
index="$(docker buildx imagetools create --dry-run "${options[@]}" "${sources[@]}")"
mapfile -t entries < <(jq --raw-output '
  def attests: .annotations["vnd.docker.reference.type"] == "attestation-manifest";
  (.manifests | map(select(attests) | { key: .annotations["vnd.docker.reference.digest"], value: .digest })
    | from_entries) as $attestations
  | .manifests[] | select(attests | not)
  | "\(.platform.os)/\(.platform.architecture) \($attestations[.digest] // "none")"
' <<<"$index" | sort)
platforms="${entries[*]%% *}"
[[ "$platforms" == "$PLATFORMS" ]] ||
  fail "The index has the platforms '$platforms', expected exactly '$PLATFORMS'."
for entry in "${entries[@]}"; do
  platform="${entry%% *}" attestation="${entry##* }"
  [[ "$attestation" != none ]] || fail "The image for $platform has no attestations, expected provenance and SBOM."
  predicates="$(docker buildx imagetools inspect --raw "$IMAGE@$attestation" |
    jq --raw-output '[.layers[].annotations["in-toto.io/predicate-type"]] | join(" ")')"
  for predicate in https://slsa.dev/provenance/ https://spdx.dev/; do
    [[ "$predicates" == *"$predicate"* ]] ||
      fail "The image for $platform has the attestations '$predicates', expected one of $predicate as well."
  done
done

# A tag never goes back: a run that is repeated or overtaken leaves it to the later one, whose number is higher. The
# tag of the commit means the same in both.
names=() moved=()
for tag in "${tags[@]}"; do
  last=
  if [[ "$tag" != *":sha-$GITHUB_SHA" ]]; then
    last="$(docker buildx imagetools inspect --raw "$tag" 2>/dev/null |
      jq --raw-output '.annotations["runner-fleet.run-id"] // ""')" || last=
  fi
  if [[ "$last" =~ ^[0-9]{1,18}$ && "$last" -gt "$GITHUB_RUN_ID" ]]; then
    echo "::notice::$tag stays as the later run $last has published it."
  else
    names+=(--tag "$tag") moved+=("$tag")
  fi
done
[[ "${#moved[@]}" -gt 0 ]] || fail "Later runs have published all tags of this one, ${tags[*]}."

docker buildx imagetools create "${options[@]}" "${names[@]}" "${sources[@]}"

# Read back by digest: another run may have moved a tag by now.
digest="sha256:$(printf '%s' "$index" | sha256sum | cut --delimiter=' ' --fields=1)"
[[ "$(docker buildx imagetools inspect --raw "$IMAGE@$digest")" == "$index" ]] ||
  fail "The registry does not hold the index that was checked, $digest."

echo "digest=$digest" >>"$GITHUB_OUTPUT"
{
  echo "Published \`$digest\` for $platforms as"
  printf -- "- \`%s\`\n" "${moved[@]}"
} >>"$GITHUB_STEP_SUMMARY"
