#!/usr/bin/env bash
# A real FreeRADIUS 3.2 on one loopback address that speaks RADIUS over TLS (RFC 6614) on either side of Anteroom, for as
# long as standard input stays open. Nothing of /etc/freeradius is read. All state is below the given folder.
#
#   freeradius-radsec.sh DIR ADDRESS SECRET CERTIFICATES NAME             the server behind: TLS in on port 2083
#   freeradius-radsec.sh DIR ADDRESS SECRET CERTIFICATES NAME HOST PORT   in front: hands all to HOST:PORT over TLS
#
# DIR must not exist; it is made, and removed at the end (KEEP=yes leaves it for a look at DIR/radius.log). CERTIFICATES
# has ca.pem, and NAME.pem and NAME.key, which it shows. Either listens on ADDRESS:18120 (authentication) and
# ADDRESS:18130 (accounting) over UDP under SECRET, and writes what comes to DIR/requests and DIR/accounting. Prints
# "ready" when it answers Status-Server. Obeys "stop" and "start" (it goes away and comes back) and "end".
set -euo pipefail
D=${1:?} IP=${2:?} SECRET=${3:?} CERTIFICATES=${4:?} NAME=${5:?} HOST=${6:-} PORT=${7:-}
. "$(dirname "${BASH_SOURCE[0]}")/freeradius-common.sh"
[ ! -e "$D" ] || die "$D is there already"
mkdir -m 700 "$D"

TLS="tls {
		private_key_file = $CERTIFICATES/$NAME.key
		certificate_file = $CERTIFICATES/$NAME.pem
		ca_file = $CERTIFICATES/ca.pem
		fragment_size = 8192
		cipher_list = \"DEFAULT\"
		tls_min_version = \"1.2\"
		tls_max_version = \"1.2\"
		require_client_cert = yes
		cache { enable = no }
	}"
if [ -n "$HOST" ]; then
  WHO='update control { &Proxy-To-Realm := "onward" }'
  PROXIES=yes
  MORE="home_server onward {
	ipaddr = $HOST
	port = $PORT
	type = auth+acct
	proto = tcp
	secret = radsec
	response_window = 30
	status_check = none
	$TLS
}
home_server_pool onward {
	type = fail-over
	home_server = onward
}
realm onward {
	auth_pool = onward
	acct_pool = onward
	nostrip
}"
  LISTEN=
else
  WHO='files
		pap'
  PROXIES=no
  MORE="clients radsec {
	client loopback-tls {
		ipaddr = 127.0.0.0/8
		proto = tls
		secret = radsec
	}
}"
  LISTEN="listen {
		type = auth+acct
		ipaddr = $IP
		port = 2083
		proto = tcp
		clients = radsec
		limit {
			max_connections = 16
			lifetime = 0
			idle_timeout = 60
		}
		$TLS
	}"
fi

cat >"$D/users" <<'USERS'
alice	Cleartext-Password := "Us3r-Passw0rd!"
	Class = "behind-tls"

bob	Cleartext-Password := "Us3r-Passw0rd!"
	Tunnel-Password = "of the tunnel"
USERS
cat >"$D/radiusd.conf" <<CONF
$(head_of_configuration)
proxy_requests = $PROXIES
proxy server { }
client loopback {
	ipaddr = 127.0.0.0/8
	secret = "$SECRET"
}
$MORE
modules {
	always ok { rcode = ok }
	pap { normalise = yes }
	files { filename = $D/users }
	detail requests {
		filename = $D/requests
		permissions = 0600
		header = "%t"
	}
	detail accounting {
		filename = $D/accounting
		permissions = 0600
		header = "%t"
	}
}
server default {
	listen {
		type = auth
		ipaddr = $IP
		port = 18120
	}
	listen {
		type = acct
		ipaddr = $IP
		port = 18130
	}
	$LISTEN
	authorize {
		requests
		$WHO
	}
	authenticate {
		Auth-Type PAP {
			pap
		}
	}
	preacct {
		$([ -z "$HOST" ] || echo "$WHO")
		ok
	}
	accounting {
		accounting
	}
}
CONF

serve
