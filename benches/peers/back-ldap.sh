#!/usr/bin/env bash
# OpenLDAP's own proxy: slapd with back-ldap in front of the directory of slapd.sh.
#   back-ldap.sh start | stop | pid
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
HOST=127.0.0.1 PORT=${BENCH_BACK_LDAP_PORT:-28391} BEHIND=${BENCH_LDAP_PORT:-28389}
BASE=${BENCH_BASE:-dc=bench,dc=example,dc=test}
D=$BENCH_STATE/back-ldap

# As in its manual, with what helps it: no referrals are chased, no limits apply here, no log.
configure() {
  local schema=/etc/ldap/schema
  mkdir -p "$D"
  cat >"$D/slapd.conf" <<CONF
include $schema/core.schema
include $schema/cosine.schema
include $schema/inetorgperson.schema
modulepath /usr/lib/ldap
moduleload back_ldap
pidfile $D/slapd.pid
argsfile $D/slapd.args
loglevel 0
threads 8
sizelimit unlimited
database ldap
suffix "$BASE"
uri "ldap://$HOST:$BEHIND"
chase-referrals no
CONF
}

case ${1:-} in
  start)
    need slapd "slapd ldap-utils"
    pid_of "$D/slapd.pid" >/dev/null && exit 0
    configure
    $BENCH_PIN /usr/sbin/slapd -f "$D/slapd.conf" -h "ldap://$HOST:$PORT"
    wait_tcp "$HOST" "$PORT" 20 || die "back-ldap does not listen"
    for _ in $(seq 50); do pid_of "$D/slapd.pid" >/dev/null && exit 0; sleep 0.05; done
    die "back-ldap has no pid" ;;
  stop) stop_pidfile "$D/slapd.pid" ;;
  pid) pid_of "$D/slapd.pid" || die "not running" ;;
  *) die "usage: $0 start|stop|pid" ;;
esac
