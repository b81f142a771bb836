#!/usr/bin/env bash
# OpenLDAP slapd on a loopback port (and another for LDAPS) with N people: the directory that all servers ask.
#   slapd.sh start [N]     load N people on first use (default 10000), then run
#   slapd.sh stop [N] | pid [N] | operations [N]
#   slapd.sh change N K    give K of the people another description
# BENCH_PEOPLE=whole loads people with twelve attributes, as for an import.
# Each N has a folder of its own, so that loading 200,000 is done once. One runs at a time.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
N=${2:-10000}
HOST=127.0.0.1 PORT=${BENCH_LDAP_PORT:-28389} TLS_PORT=${BENCH_LDAPS_PORT:-28636}
BASE=${BENCH_BASE:-dc=bench,dc=example,dc=test} PASSWORD=${BENCH_PASSWORD:-Us3r-Passw0rd!}
D=$BENCH_STATE/slapd-${BENCH_PEOPLE:+$BENCH_PEOPLE-}$N TLS=$BENCH_STATE/tls

# The same certificate for every server that speaks TLS, so that handshakes are compared and not keys.
certificate() {
  [ -e "$TLS/key.pem" ] && return 0
  need openssl openssl
  mkdir -p "$TLS"
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 365 -subj "/CN=bench.example.test" \
    -addext "subjectAltName=IP:$HOST" -addext "basicConstraints=critical,CA:FALSE" \
    -keyout "$TLS/key.new" -out "$TLS/cert.pem" 2>/dev/null
  mv "$TLS/key.new" "$TLS/key.pem"; }

# Written at each start: what is kept is the database.
configure() {
  local schema=/etc/ldap/schema
  cat >"$D/slapd.conf" <<CONF
include $schema/core.schema
include $schema/cosine.schema
include $schema/inetorgperson.schema
modulepath /usr/lib/ldap
moduleload back_mdb
moduleload back_monitor
moduleload memberof
pidfile $D/slapd.pid
argsfile $D/slapd.args
loglevel 0
threads 8
TLSCertificateFile $TLS/cert.pem
TLSCertificateKeyFile $TLS/key.pem
# Like the page limit of Active Directory; in pages there is no limit.
sizelimit size.soft=1000 size.hard=1000 size.prtotal=unlimited
database mdb
maxsize 17179869184
suffix "$BASE"
rootdn "cn=admin,$BASE"
rootpw "$PASSWORD"
directory $D/db
index objectClass eq
index uid,mail eq
index entryUUID,entryCSN eq
index member eq
dbnosync
access to attrs=userPassword by anonymous auth by self write by * none
access to * by users read by anonymous auth
overlay memberof
# Counts operations: what proves that a retransmission reaches no back end.
database monitor
access to * by * read
CONF
}

load() {
  need slapadd "slapd ldap-utils"
  rm -rf "$D/db"; mkdir -p "$D/db"
  python3 "$(dirname "${BASH_SOURCE[0]}")/people.py" "$N" "$BASE" "$PASSWORD" ${BENCH_PEOPLE:-} >"$D/people.ldif"
  # -q checks nothing and syncs nothing: right for a throw-away directory from a trusted generator.
  slapadd -q -f "$D/slapd.conf" -l "$D/people.ldif" >"$D/slapadd.log" 2>&1 || { tail -3 "$D/slapadd.log" >&2; die slapadd; }
  rm -f "$D/people.ldif"; touch "$D/loaded"
  log "loaded $N people, $(du -sm "$D/db" | cut -f1) MB"; }

case ${1:-} in
  start)
    need slapd "slapd ldap-utils"
    pid_of "$D/slapd.pid" >/dev/null && exit 0
    mkdir -p "$D"; certificate; configure
    [ -e "$D/loaded" ] || load
    (exec 3<>"/dev/tcp/$HOST/$PORT") 2>/dev/null && die "port $PORT is taken: another slapd of ours, perhaps"
    $BENCH_PIN /usr/sbin/slapd -f "$D/slapd.conf" -h "ldap://$HOST:$PORT ldaps://$HOST:$TLS_PORT"
    wait_tcp "$HOST" "$PORT" 20 || die "slapd does not listen"
    # slapd writes its pid file shortly after it listens.
    for _ in $(seq 50); do pid_of "$D/slapd.pid" >/dev/null && exit 0; sleep 0.05; done
    die "slapd has no pid" ;;
  stop) stop_pidfile "$D/slapd.pid" ;;
  pid) pid_of "$D/slapd.pid" || die "not running" ;;
  change)
    for ((i = 0; i < ${3:-10}; i++)); do
      printf 'dn: uid=u%06d,ou=people,%s\nchangetype: modify\nreplace: description\ndescription: changed at %s\n\n' \
        $((i * 7)) "$BASE" "$(date +%s.%N)"
    done | ldapmodify -x -H "ldap://$HOST:$PORT" -D "cn=admin,$BASE" -w "$PASSWORD" >/dev/null ;;
  operations) # "binds searches": how many have been completed since the start
    for op in Bind Search; do
      ldapsearch -LLL -x -H "ldap://$HOST:$PORT" -b "cn=$op,cn=Operations,cn=Monitor" -s base monitorOpCompleted |
        sed -n 's/^monitorOpCompleted: //p'
    done | paste -sd' ' ;;
  *) die "usage: $0 start|stop|pid|change|operations [N]" ;;
esac
