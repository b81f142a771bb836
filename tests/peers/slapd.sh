#!/usr/bin/env bash
# A real OpenLDAP server on one loopback address, for as long as standard input stays open. Nothing in /etc is
# changed; of it only the schema files are read. All state is below the given folder.
#
#   slapd.sh DIR ADDRESS      e.g. slapd.sh /tmp/open 127.67.0.1
#
# DIR must not exist; it is made, and removed at the end (KEEP=yes leaves it for a look at DIR/log).
# It listens on ADDRESS:3389 (LDAP and StartTLS) and ADDRESS:6636 (LDAPS), so it needs no root. Prints "ready"
# when both answer, and obeys the word "end"; end of file does the same.
set -euo pipefail
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$HERE/process.sh"
D=${1:?usage: slapd.sh DIR ADDRESS} IP=${2:?usage: slapd.sh DIR ADDRESS}
BASE="dc=open,dc=example,dc=test" PLAIN=3389 TLS=6636 SCHEMA=/etc/ldap/schema
export PATH=$PATH:/usr/sbin:/sbin

needs slapd slapadd openssl

certificates() { # an authority and a certificate for this server: DIR/tls/{ca,cert,key}.pem
  local t=$D/tls
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 365 -subj "/CN=Test Root CA" \
    -addext "basicConstraints=critical,CA:TRUE" -addext "keyUsage=critical,keyCertSign,cRLSign" \
    -keyout "$t/ca.key" -out "$t/ca.pem" 2>/dev/null
  openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj "/CN=open.example.test" \
    -keyout "$t/key.pem" -out "$t/req.pem" 2>/dev/null
  openssl x509 -req -in "$t/req.pem" -CA "$t/ca.pem" -CAkey "$t/ca.key" -CAcreateserial -days 365 -out "$t/cert.pem" \
    -extfile <(printf '%s\n' "subjectAltName=IP:$IP" "extendedKeyUsage=serverAuth" "basicConstraints=CA:FALSE") 2>/dev/null
  chmod 600 "$t/key.pem"
}

configuration() { cat >"$D/slapd.conf" <<CONF
include $SCHEMA/core.schema
include $SCHEMA/cosine.schema
include $SCHEMA/inetorgperson.schema
modulepath /usr/lib/ldap
moduleload back_mdb
moduleload sssvlv
moduleload syncprov
moduleload memberof
moduleload ppolicy
moduleload retcode
moduleload deref
pidfile $D/slapd.pid
argsfile $D/slapd.args
loglevel ${SLAPD_LOGLEVEL:-0}
threads 8
# as many requests under way on one connection as the conversation sends at once
conn_max_pending 1000
conn_max_pending_auth 1000
# values of several megabytes
sockbuf_max_incoming 16777215
sockbuf_max_incoming_auth 16777215
TLSCACertificateFile $D/tls/ca.pem
TLSCertificateFile $D/tls/cert.pem
TLSCertificateKeyFile $D/tls/key.pem
TLSVerifyClient never
allow bind_anon_dn
# proxied authorisation: who may act for others says so in authzTo
authz-policy to
# DIGEST-MD5: who says a name is the person of that name
authz-regexp "^uid=([^,]+),(cn=[^,]+,)?cn=digest-md5,cn=auth\$" "uid=\$1,ou=people,$BASE"
sizelimit unlimited
database mdb
maxsize 1073741824
suffix "$BASE"
rootdn "cn=admin,$BASE"
rootpw "Adm1n-Passw0rd!"
directory $D/db
index objectClass,entryUUID,entryCSN,uid,mail,member eq
dbnosync
access to attrs=userPassword by dn.exact="cn=svc-app,ou=services,$BASE" write by self write by anonymous auth by * none
access to attrs=authzTo by * auth
access to * by dn.exact="cn=svc-app,ou=services,$BASE" write by users read by anonymous auth
overlay memberof
overlay sssvlv
sssvlv-max 8
overlay deref
overlay syncprov
overlay ppolicy
# answers after a second, so that the order of answers is not the order of requests
overlay retcode
retcode-parent "ou=codes,$BASE"
retcode-item "cn=slow" 0x00 op=compare sleeptime=1
CONF
}

# --- the process -------------------------------------------------------------------------------------------

answers() { # whether both ports answer, within 20 s
  for _ in $(seq 200); do
    (exec 3<>"/dev/tcp/$IP/$PLAIN" && exec 3<>"/dev/tcp/$IP/$TLS") 2>/dev/null && return 0
    alive "$server" || return 1
    sleep 0.1
  done
  return 1
}

mkdir "$D" || die "there is something at $D already"
mkdir "$D/tls" "$D/db" "$D/log"
certificates; configuration
/usr/bin/python3 "$HERE/slapd-fixture.py" "$BASE" >"$D/fixture.ldif"
# -w keeps the context's change number, so that the first change of a test is not the first of all
slapadd -q -w -f "$D/slapd.conf" -l "$D/fixture.ldif" >"$D/log/slapadd" 2>&1 || { tail -3 "$D/log/slapadd" >&2; die "the fixture was refused"; }
# -d 0: in the foreground, so that it is our child
slapd -d 0 -f "$D/slapd.conf" -h "ldap://$IP:$PLAIN ldaps://$IP:$TLS" </dev/null >"$D/log/slapd" 2>&1 &
server=$!
trap end EXIT INT TERM
answers || { tail -5 "$D/log/slapd" >&2; die "slapd does not answer on $IP"; }
until_end
