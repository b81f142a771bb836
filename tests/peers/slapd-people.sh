#!/usr/bin/env bash
# OpenLDAP with generated people, for the tests of the import.
#   slapd-people.sh FOLDER PORT PEOPLE
# Loads and runs slapd in the foreground's place: it says "ready", and ends when its standard input closes.
# Searches without pages end at 1000 entries, as in Active Directory. Besides svc-proxy three accounts may read less:
# svc-total 1500 entries in all pages together, svc-unpaged in no pages, svc-hasty for a second.
set -euo pipefail
D=$1 PORT=$2 N=$3 BASE=dc=scale,dc=example,dc=test PASSWORD=Svc-Pr0xy-Passw0rd!
export PATH=$PATH:/usr/sbin:/sbin
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$HERE/process.sh"
needs slapd slapadd
mkdir -p "$D/db"
cat >"$D/slapd.conf" <<CONF
include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
modulepath /usr/lib/ldap
moduleload back_mdb
pidfile $D/slapd.pid
argsfile $D/slapd.args
loglevel 0
sizelimit size.soft=1000 size.hard=1000 size.prtotal=unlimited
database mdb
maxsize 1073741824
suffix "$BASE"
rootdn "cn=admin,$BASE"
rootpw "$PASSWORD"
limits dn.exact="cn=svc-total,ou=services,$BASE" size.soft=1000 size.hard=1000 size.prtotal=1500
limits dn.exact="cn=svc-unpaged,ou=services,$BASE" size.soft=1000 size.hard=1000 size.prtotal=disabled
limits dn.exact="cn=svc-hasty,ou=services,$BASE" size.soft=1000 size.hard=1000 size.prtotal=unlimited time.soft=1 time.hard=1
directory $D/db
index objectClass eq
index uid,mail eq
index entryUUID,entryCSN eq
dbnosync
access to attrs=userPassword by anonymous auth by * none
access to * by users read by anonymous auth
CONF
{
  # Long ago: what changes during a test is told from what was there before it.
  csn='entryCSN: 20260101000000.000000Z#000000#000#000000'
  printf 'dn: %s\nobjectClass: dcObject\nobjectClass: organization\no: Scale\ndc: scale\n%s\n\n' "$BASE" "$csn"
  for unit in people groups services; do
    printf 'dn: ou=%s,%s\nobjectClass: organizationalUnit\nou: %s\n%s\n\n' $unit "$BASE" $unit "$csn"
  done
  for account in svc-proxy svc-total svc-unpaged svc-hasty; do
    printf 'dn: cn=%s,ou=services,%s\nobjectClass: organizationalRole\nobjectClass: simpleSecurityObject\ncn: %s\nuserPassword: %s\n\n' $account "$BASE" $account "$PASSWORD"
  done
  for ((i = 0; i < N; i++)); do
    printf 'dn: uid=u%06d,ou=people,%s\nobjectClass: inetOrgPerson\nuid: u%06d\ncn: Person %d\nsn:: xaBpbWVr\ngivenName: Anna\nmail: u%06d@example.test\nmobile: +1202555%04d\n%s\n\n' $i "$BASE" $i $i $i $((i % 10000)) "$csn"
  done
  printf 'dn: cn=inner,ou=groups,%s\nobjectClass: groupOfNames\ncn: inner\nmember: uid=u000001,ou=people,%s\nmember: cn=outer,ou=groups,%s\n%s\n\n' "$BASE" "$BASE" "$BASE" "$csn"
  printf 'dn: cn=outer,ou=groups,%s\nobjectClass: groupOfNames\ncn: outer\nmember: uid=u000000,ou=people,%s\nmember: cn=inner,ou=groups,%s\nmember: uid=gone,ou=people,%s\n%s\n\n' "$BASE" "$BASE" "$BASE" "$BASE" "$csn"
} >"$D/people.ldif"
slapadd -q -f "$D/slapd.conf" -l "$D/people.ldif" >"$D/slapadd.log" 2>&1 || { tail -3 "$D/slapadd.log" >&2; die slapadd; }
slapd -f "$D/slapd.conf" -h "ldap://127.0.0.1:$PORT" -d 0 >"$D/slapd.log" 2>&1 &
server=$!
trap 'kill $server 2>/dev/null; wait $server 2>/dev/null || true; rm -rf "$D"' EXIT INT TERM
for _ in $(seq 200); do
  (exec 3<>"/dev/tcp/127.0.0.1/$PORT") 2>/dev/null && break
  kill -0 $server 2>/dev/null || { tail -3 "$D/slapd.log" >&2; die "slapd ended"; }
  sleep 0.05
done
echo ready
cat >/dev/null
