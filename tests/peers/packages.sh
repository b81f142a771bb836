#!/usr/bin/env bash
# The Debian packages of the real peers, one list for ./test, for the tests' own messages and for people:
#   apt-get install --no-install-recommends $(tests/peers/packages.sh)
#   packages.sh --missing    only those that are not installed
set -euo pipefail
packages="samba samba-dsdb-modules samba-vfs-modules samba-ad-provision winbind ldb-tools slapd ldap-utils openssl
  python3-ldap python3-ldap3 python3-samba libnet-ldap-perl libio-socket-ssl-perl libsasl2-modules apache2-bin
  freeradius freeradius-utils eapoltest oathtool postgresql python3-pyrad pamtester python3-venv curl libpam-radius-auth
  libpam-wrapper radsecproxy 389-ds-base"
# Debian 13 moved the controller's daemon into a package of its own.
release=$(. /etc/os-release && echo "${VERSION_ID:-}")
if [ "${release%%.*}" -ge 13 ] 2>/dev/null; then packages="$packages samba-ad-dc"; fi
for package in $packages; do
  if [ "${1:-}" = --missing ] && dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null | grep -qx installed; then continue; fi
  printf '%s ' "$package"
done
