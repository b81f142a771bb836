#!/usr/bin/env bash
# One PAM sign-in over RADIUS with the module that sshd, sudo and many VPN daemons use (libpam-radius-auth).
#
#   pam-radius.sh ADDRESS:PORT SECRET SECONDS NAME PASSWORD      exit status 0: let in
#
# The module sends no Message-Authenticator. libpam-wrapper points PAM at a folder of our own, so that
# /etc/pam.d stays untouched.
set -euo pipefail
[ $# -eq 5 ] || { echo "usage: $0 ADDRESS:PORT SECRET SECONDS NAME PASSWORD" >&2; exit 2; }
newest() { ls "$@" 2>/dev/null | head -1; }
wrapper=$(newest /usr/lib/*/libpam_wrapper.so) module=$(newest /lib/*/security/pam_radius_auth.so)
[ -n "$wrapper" ] && [ -n "$module" ] || { echo "libpam-wrapper or libpam-radius-auth is missing" >&2; exit 3; }
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
mkdir "$folder/pam.d"
echo "$1 $2 $3" >"$folder/server"; chmod 600 "$folder/server"
# retry=1: the module's default is to send the request three times, SECONDS apart
printf '%s\n' "auth required $module conf=$folder/server retry=1" "account required pam_permit.so" >"$folder/pam.d/test"
echo "auth required pam_deny.so" >"$folder/pam.d/other"
printf '%s\n' "$5" |
  PAM_WRAPPER=1 PAM_WRAPPER_SERVICE_DIR="$folder/pam.d" LD_PRELOAD="$wrapper" pamtester test "$4" authenticate
