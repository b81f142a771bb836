#!/usr/bin/env bash
# The vendors' own published clients (PyPI), unchanged, against a simulated cloud.
#
#   cloud-clients.sh INSTALL CLIENT ARGUMENT...   e.g. cloud-clients.sh target/tmp/cloud-clients duo https://localhost:8443 …
#
# CLIENT is duo, entra or okta; the arguments are those of cloud-clients.py. INSTALL holds the Python environment; it
# is made once (a minute, 150 MB) and kept. Nothing else is read or changed. Prints what the client found, one step a
# line, and ends with 1 at the first that is not as it should be.
set -euo pipefail
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$HERE/process.sh"
V=${1:?usage: cloud-clients.sh INSTALL CLIENT ARGUMENT...}; shift
PACKAGES="duo_client==5.7.0 adal==1.2.7 okta==3.4.6"
MARK=$(printf '%s' "$PACKAGES" | tr ' ' '_').done
export PYTHONDONTWRITEBYTECODE=1

needs flock
python=$(command -v python3) || die "python3 is missing"

install() { # once, whoever comes first
  mkdir -p "$V"
  exec 8>"$V/lock"
  flock -w 400 8 || die "somebody else's installation takes too long"
  if [ ! -e "$V/$MARK" ]; then
    log "installing $PACKAGES into $V"
    rm -rf "$V/venv"
    "$python" -m venv "$V/venv" 2>"$V/venv.log" || { tail -3 "$V/venv.log" >&2; die "apt-get install python3-venv"; }
    # shellcheck disable=SC2086 # a list of words on purpose
    timeout 300 nice "$V/venv/bin/pip" install -q --no-compile --disable-pip-version-check $PACKAGES >"$V/pip.log" 2>&1 ||
      { tail -3 "$V/pip.log" >&2; die "pip cannot install $PACKAGES"; }
    touch "$V/$MARK"
  fi
  exec 8>&-
}

install
exec "$V/venv/bin/python" "$HERE/cloud-clients.py" "$@"
