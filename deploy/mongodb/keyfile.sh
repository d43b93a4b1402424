#!/usr/bin/env bash
# Makes the key by which the members of the replica set know each other, where it is not there yet.
set -euo pipefail

readonly file=/etc/mongodb/key/keyfile
[[ -s "$file" ]] || head -c 750 /dev/urandom | base64 -w 0 >"$file"
# mongod refuses a key that others could read; 999 is its user in the image.
chmod 0400 "$file"
chown 999:999 "$file"
