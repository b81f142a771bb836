#!/usr/bin/env bash
# Apache httpd with mod_authnz_ldap on one loopback address, for as long as standard input stays open: a page at
# http://ADDRESS:8080/ for who signs in with name and password. Nothing in /etc is read or changed.
#
#   apache-ldap.sh DIR ADDRESS LDAP-URL CA SERVICE-DN SERVICE-PASSWORD
#
# LDAP-URL is what AuthLDAPURL takes: ldaps://HOST:PORT/BASE?ATTRIBUTE?sub. DIR must not exist; it is made, and
# removed at the end. Prints "ready", then obeys "end"; end of file does the same.
set -euo pipefail
[ $# -eq 6 ] || { echo "usage: $0 DIR ADDRESS LDAP-URL CA SERVICE-DN SERVICE-PASSWORD" >&2; exit 2; }
D=$1 IP=$2 URL=$3 CA=$4 NAME=$5 PASSWORD=$6 M=/usr/lib/apache2/modules
export PATH=$PATH:/usr/sbin:/sbin
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$HERE/process.sh"
needs apache2
mkdir "$D" || die "there is something at $D already"
mkdir "$D/page"; echo "the page behind the sign-in" >"$D/page/index.html"
chmod 755 "$D" "$D/page"; chmod 644 "$D/page/index.html"
cat >"$D/httpd.conf" <<CONF
ServerRoot "$D"
ServerName wiki.example.test
Listen $IP:8080
PidFile "$D/pid"
ErrorLog "$D/error.log"
# debug of what we are here for only: with it each bind is told
LogLevel warn ldap:debug authnz_ldap:debug
LoadModule mpm_event_module $M/mod_mpm_event.so
LoadModule authn_core_module $M/mod_authn_core.so
LoadModule authz_core_module $M/mod_authz_core.so
LoadModule authz_user_module $M/mod_authz_user.so
LoadModule auth_basic_module $M/mod_auth_basic.so
LoadModule ldap_module $M/mod_ldap.so
LoadModule authnz_ldap_module $M/mod_authnz_ldap.so
LoadModule dir_module $M/mod_dir.so
$([ "$(id -u)" -ne 0 ] || printf 'User www-data\nGroup www-data')
DocumentRoot "$D/page"
DirectoryIndex index.html
LDAPTrustedGlobalCert CA_BASE64 "$CA"
LDAPTimeout 30
LDAPRetries 0
<Directory "$D/page">
  AuthType Basic
  AuthName "Wiki"
  AuthBasicProvider ldap
  AuthLDAPURL "$URL"
  AuthLDAPBindDN "$NAME"
  AuthLDAPBindPassword "$PASSWORD"
  Require valid-user
</Directory>
CONF
apache2 -f "$D/httpd.conf" -DFOREGROUND </dev/null >"$D/output" 2>&1 &
server=$!
trap end EXIT INT TERM
for _ in $(seq 100); do (exec 3<>"/dev/tcp/$IP/8080") 2>/dev/null && break; alive "$server" || break; sleep 0.1; done
(exec 3<>"/dev/tcp/$IP/8080") 2>/dev/null || { tail -5 "$D/output" "$D/error.log" >&2; die "apache does not listen on $IP:8080"; }
until_end
