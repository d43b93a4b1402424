#!/usr/bin/env bash
# Makes a certificate authority and one certificate per node of EventStoreDB, where they are not there yet. Runs in the
# image of es-gencert-cli. No other container sees the authority's key, and only the nodes see theirs.
set -euo pipefail

readonly authority=/authority/ca certs=/certs trusted=/trusted
# Of the user that runs EventStoreDB in its image.
readonly owner=1000:1000

# It makes the folders that it writes to, refuses those that are there, and ends with 0 even then: what lacks is found by
# the commands that come after it.
[[ -s "$authority/ca.key" ]] || es-gencert-cli create-ca -days 3650 -out "$authority"
# A place to mount the trusted certificate at.
mkdir -p "$certs/ca"
cp "$authority/ca.crt" "$trusted/ca.crt"

for node in esdb-1 esdb-2 esdb-3; do
  # 825 days: see "Rotating keys" in runbook.md for their renewal.
  [[ -s "$certs/$node/node.key" ]] ||
    es-gencert-cli create-node -days 825 \
      -ca-certificate "$authority/ca.crt" -ca-key "$authority/ca.key" \
      -dns-names "$node,localhost" -ip-addresses 127.0.0.1 -out "$certs/$node"
  chmod 0400 "$certs/$node/node.key"
done
chmod 0444 "$trusted/ca.crt" "$certs"/*/node.crt
chown -R "$owner" "$certs"
