#!/usr/bin/env bash
# A real Samba Active Directory domain controller on one loopback address, for as long as standard input
# stays open. No systemd, no DNS, nothing in /etc is read or changed; all state is below the given folder.
#
#   samba-ad.sh DIR ADDRESS [winbind]      e.g. samba-ad.sh /tmp/ad 127.66.0.1
#
# With "winbind" it also answers ntlm_auth, which knows one socket only, below /run/samba. So the controller gets a
# /run/samba of its own (a mount namespace), and DIR/ntlm_auth is the program that asks this very controller.
#
# DIR must not exist; it is made, and removed at the end (KEEP=yes leaves it for a look at DIR/log).
# Prints "ready" when LDAPS answers. Then it obeys one word a line, each answered by the same word:
#   freeze   stop every process of the controller where it is (SIGSTOP); connections stay open
#   thaw     let them go on
#   end      stop the controller; end of file does the same, so it never outlives the test that started it
# Samba's LDAP ports are fixed (389, 636), so each controller has an address of its own. Needs root for them.
set -euo pipefail
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$HERE/process.sh"
D=${1:?usage: samba-ad.sh DIR ADDRESS [winbind]} IP=${2:?usage: samba-ad.sh DIR ADDRESS [winbind]} WINBIND=${3:-}
REALM=CORP.EXAMPLE.TEST DOMAIN=CORP HOST=dc1
FQDN=$HOST.${REALM,,} BASE="DC=corp,DC=example,DC=test"
export PATH=$PATH:/usr/sbin:/sbin

SERVICES=ldap SOCKET=$D/winbindd
[ -z "$WINBIND" ] || SERVICES="ldap, cldap, kdc, rpc, winbindd" SOCKET=/run/samba/winbindd
needs samba samba-tool ldbadd ldbmodify openssl ${WINBIND:+winbindd ntlm_auth unshare nsenter}

certificates() { # an authority and a certificate for this controller: DIR/tls/{ca,cert,key}.pem
  local t=$D/tls
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 365 -subj "/CN=Test Root CA" \
    -addext "basicConstraints=critical,CA:TRUE" -addext "keyUsage=critical,keyCertSign,cRLSign" \
    -keyout "$t/ca.key" -out "$t/ca.pem" 2>/dev/null
  openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj "/CN=$FQDN" \
    -keyout "$t/key.pem" -out "$t/req.pem" 2>/dev/null
  openssl x509 -req -in "$t/req.pem" -CA "$t/ca.pem" -CAkey "$t/ca.key" -CAcreateserial -days 365 -out "$t/cert.pem" \
    -extfile <(printf '%s\n' "subjectAltName=DNS:$FQDN,IP:$IP" "extendedKeyUsage=serverAuth" "basicConstraints=CA:FALSE") 2>/dev/null
  chmod 600 "$t/key.pem"
}

configuration() { cat >"$D/etc/smb.conf" <<CONF
[global]
	workgroup = $DOMAIN
	realm = $REALM
	netbios name = ${HOST^^}
	server role = active directory domain controller
	interfaces = $IP/8
	bind interfaces only = yes
	# only what a sign-in proxy talks to
	server services = $SERVICES
	dcerpc endpoint servers = epmapper, wkssvc, samr, netlogon, lsarpc, drsuapi, dssetup
	# of NTLM's first version only what says that it is for MS-CHAPv2
	ntlm auth = mschapv2-and-ntlmv2-only
	# as on a hardened AD: a simple bind is refused outside TLS
	ldap server require strong auth = yes
	tls enabled = yes
	tls keyfile = $D/tls/key.pem
	tls certfile = $D/tls/cert.pem
	tls cafile = $D/tls/ca.pem
	# throw-away data: no fsync (the first bind of each user writes lastLogonTimestamp)
	ldb:nosync = yes
	lock directory = $D/lock
	state directory = $D/state
	cache directory = $D/cache
	private dir = $D/private
	pid directory = $D/run
	ncalrpc dir = $D/ncalrpc
	winbindd socket directory = $SOCKET
	ntp signd socket directory = $D/ntp_signd
	binddns dir = $D/bind-dns
	log file = $D/log/samba.log
	logging = file
	max log size = 0
	# one JSON line per authentication, so that a test can see what the controller saw
	log level = 0 auth_json_audit:3@$D/log/auth.json
	load printers = no
[sysvol]
	path = $D/state/sysvol
	read only = no
[netlogon]
	path = $D/state/sysvol/${REALM,,}/scripts
	read only = no
CONF
}

provision() { # offline: nothing listens yet
  local conf=$D/etc/smb.conf sam=$D/private/sam.ldb
  mkdir "$D" || die "there is something at $D already"
  chmod 755 "$D"; mkdir -p "$D"/{etc,lock,state/sysvol,cache,private,run,log,tls,winbindd}
  certificates; configuration
  samba-tool domain provision --configfile="$conf" --realm="$REALM" --domain="$DOMAIN" --server-role=dc \
    --dns-backend=NONE --adminpass="Adm1n-Passw0rd!" --host-name="$HOST" --host-ip="$IP" --backend-store=mdb \
    >"$D/log/provision.log" 2>&1 || { tail -5 "$D/log/provision.log" >&2; die "provision failed"; }
  /usr/bin/python3 "$HERE/ad-fixture.py" add --base "$BASE" --realm "$REALM" >"$D/add.ldif"
  /usr/bin/python3 "$HERE/ad-fixture.py" modify --base "$BASE" --realm "$REALM" >"$D/modify.ldif"
  # ldbadd exits 0 even when records were refused, so its "ERR" lines are what counts
  ldbadd --configfile="$conf" -H "$sam" --relax "$D/add.ldif" >"$D/log/fixture.log" 2>&1 || true
  # the control lets pwdLastSet be written as it is (past Samba's password_hash module)
  ldbmodify --configfile="$conf" -H "$sam" --relax --controls=local_oid:1.3.6.1.4.1.7165.4.3.12:0 \
    "$D/modify.ldif" >>"$D/log/fixture.log" 2>&1 || true
  ! grep -E '^ERR|failed' "$D/log/fixture.log" >&2 || die "the fixture was refused"
}

answers() { # whether LDAPS answers, within 30 s
  for _ in $(seq 300); do
    (exec 3<>"/dev/tcp/$IP/636") 2>/dev/null && return 0
    alive "$controller" || return 1
    sleep 0.1
  done
  return 1
}

end() { # the whole group
  trap - EXIT INT TERM
  kill -CONT -- "-$controller" 2>/dev/null || true
  ended "$controller" "-$controller"
  [ "${KEEP:-}" = yes ] || rm -rf "$D"
}

provision
within=()
if [ -n "$WINBIND" ]; then
  mkdir -p /run/samba
  # shellcheck disable=SC2016
  within=(unshare --mount sh -c 'mount -t tmpfs tmpfs /run/samba && exec "$@"' own-run)
fi
# a session of its own, so that its process group is exactly the controller
setsid "${within[@]}" samba --configfile="$D/etc/smb.conf" --foreground --no-process-group </dev/null >"$D/log/stdout" 2>&1 &
controller=$!
trap end EXIT INT TERM
[ -z "$WINBIND" ] || {
  printf '#!/bin/sh\nexec nsenter --mount=/proc/%s/ns/mnt ntlm_auth --configfile=%s "$@"\n' "$controller" "$D/etc/smb.conf" >"$D/ntlm_auth"
  chmod 755 "$D/ntlm_auth"
}
answers || { tail -5 "$D"/log/samba.log "$D/log/stdout" >&2; die "no LDAPS on $IP"; }
echo ready
while read -r word; do
  case $word in
    freeze) kill -STOP -- "-$controller" ;;
    thaw)   kill -CONT -- "-$controller" ;;
    end)    end; echo end; exit 0 ;;
    *)      die "unknown word '$word'" ;;
  esac
  echo "$word"
done
