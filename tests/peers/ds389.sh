#!/usr/bin/env bash
# A real 389 Directory Server on loopback, for as long as standard input stays open. Nothing in /etc is changed; of the
# system only the package's schema and its template of a configuration are read. All state is below the given folder.
#
#   ds389.sh DIR PORT      e.g. ds389.sh /tmp/ds 28399
#
# DIR must not exist; it is made, and removed at the end (KEEP=yes leaves it for a look at DIR/log/errors). It listens on
# 127.0.0.1:PORT without TLS and runs as whoever starts it. Prints "ready" when it answers, and obeys the word "end";
# end of file does the same.
set -euo pipefail
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$HERE/process.sh"
D=${1:?usage: ds389.sh DIR PORT} PORT=${2:?usage: ds389.sh DIR PORT} IP=127.0.0.1
BASE="dc=ds,dc=example,dc=test" MANAGER="cn=Directory Manager" PASSWORD="Adm1n-Passw0rd!" SHARE=/usr/share/dirsrv
export PATH=$PATH:/usr/sbin:/sbin

needs ns-slapd ldapsearch ldapadd openssl

configuration() { # DIR/etc: what dscreate would write, and a database
  # it does not take the password as it is
  local hash; hash="{SHA}$(printf '%s' "$PASSWORD" | openssl dgst -sha1 -binary | base64)"
  local plugins; plugins=$(ls -d /usr/lib/*/dirsrv /usr/lib64/dirsrv /usr/lib/dirsrv 2>/dev/null | head -1) || true
  mkdir "$D/etc" "$D/etc/schema"
  cp /etc/dirsrv/config/slapd-collations.conf "$D/etc/"
  cp /etc/dirsrv/schema/99user.ldif "$D/etc/schema/"
  sed -e "s|%config_dir%|$D/etc|; s|%schema_dir%|$D/etc/schema|; s|%db_dir%|$D/db|; s|%db_home_dir%|$D/db|" \
    -e "s|%db_lib%|mdb|; s|%bak_dir%|$D/bak|; s|%cert_dir%|$D/cert|; s|%inst_dir%|$plugins|; s|%ldif_dir%|$D/ldif|" \
    -e "s|%lock_dir%|$D/lock|; s|%log_dir%|$D/log|g; s|%run_dir%|$D/run|; s|%tmp_dir%|$D/tmp|; s|%ds_port%|$PORT|" \
    -e "s|%ds_user%|$(id -un)|; s|%fqdn%|localhost|; s|%rootdn%|$MANAGER|g; s|%ds_passwd%|$hash|" \
    -e "s|%ds_suffix%|$BASE|g; s|%ldapi_enabled%|off|; s|%ldapi_autobind%|off|; s|%ldapi%|$D/run/socket|" \
    "$SHARE/data/template-dse.ldif" >"$D/etc/dse.ldif"
  # the template's own words for what it does not ask about
  sed -i -e "/^nsslapd-port:/a nsslapd-listenhost: $IP" -e '/%[a-z_]*%/d' "$D/etc/dse.ldif"
  chmod 600 "$D/etc/dse.ldif"
}

database() { cat <<LDIF
dn: cn=people,cn=ldbm database,cn=plugins,cn=config
objectClass: top
objectClass: extensibleObject
objectClass: nsBackendInstance
cn: people
nsslapd-suffix: $BASE

dn: cn="$BASE",cn=mapping tree,cn=config
objectClass: top
objectClass: extensibleObject
objectClass: nsMappingTree
cn: $BASE
nsslapd-state: backend
nsslapd-backend: people

dn: cn=fill,cn=import,cn=tasks,cn=config
objectClass: top
objectClass: extensibleObject
cn: fill
nsInstance: people
nsFilename: $D/ldif/entries.ldif
LDIF
}

entries() { # units are old: one that has just changed makes a pass a full one
  local old="modifyTimestamp: 20200101000000Z"
  cat <<LDIF
dn: $BASE
objectClass: domain
dc: ds
$old
aci: (targetattr="* || nsUniqueId || nsAccountLock || modifyTimestamp")(version 3.0; acl "services read";
  allow (read,search,compare) userdn="ldap:///uid=svc-proxy,ou=services,$BASE";)

dn: ou=services,$BASE
objectClass: organizationalUnit
ou: services
$old

dn: uid=svc-proxy,ou=services,$BASE
objectClass: account
objectClass: simpleSecurityObject
uid: svc-proxy
userPassword: Pr0xy-Passw0rd!

dn: ou=people,$BASE
objectClass: organizationalUnit
ou: people
$old

dn: ou=inner,ou=people,$BASE
objectClass: organizationalUnit
ou: inner
$old

dn: ou=groups,$BASE
objectClass: organizationalUnit
ou: groups
$old
LDIF
}

filled() { # whether the task has ended well, within 30 s
  local code
  for _ in $(seq 150); do
    code=$(ldapsearch -x -LLL -H "ldap://$IP:$PORT" -D "$MANAGER" -w "$PASSWORD" \
      -b "cn=fill,cn=import,cn=tasks,cn=config" -s base nsTaskExitCode 2>/dev/null | sed -n 's/^nsTaskExitCode: //p')
    [ -z "$code" ] || { [ "$code" = 0 ]; return; }
    sleep 0.2
  done
  return 1
}

# --- the process -------------------------------------------------------------------------------------------

answers() { # whether it answers, within 60 s
  for _ in $(seq 300); do
    ldapsearch -x -LLL -H "ldap://$IP:$PORT" -D "$MANAGER" -w "$PASSWORD" -b '' -s base vendorName >/dev/null 2>&1 && return 0
    alive "$server" || return 1
    sleep 0.2
  done
  return 1
}

mkdir "$D" || die "there is something at $D already"
for folder in db bak cert ldif lock log run tmp; do mkdir "$D/$folder"; done
configuration
# -d 0: in the foreground, so that it is our child
ns-slapd -D "$D/etc" -i "$D/run/pid" -d 0 </dev/null >"$D/log/output" 2>&1 &
server=$!
trap end EXIT INT TERM
answers || { cat "$D/log/output" >&2; die "the server does not answer on $IP:$PORT"; }
entries >"$D/ldif/entries.ldif"
database | ldapadd -x -H "ldap://$IP:$PORT" -D "$MANAGER" -w "$PASSWORD" >"$D/log/database" 2>&1 ||
  { tail -n 3 "$D/log/database" >&2; die "the database was refused"; }
filled || { tail -n 5 "$D/log/errors" >&2; die "the entries were refused"; }
until_end
