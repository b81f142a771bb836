#!/usr/bin/env bash
# A real FreeRADIUS 3.2 on one loopback address, for as long as standard input stays open: the RADIUS server behind
# Anteroom. Nothing of /etc/freeradius is read. All state is below the given folder.
#
#   freeradius.sh DIR ADDRESS SECRET     e.g. freeradius.sh /tmp/behind 127.68.0.1 testing123-testing123
#
# DIR must not exist; it is made, and removed at the end (KEEP=yes leaves it for a look at DIR/radius.log).
# It listens on ADDRESS:18120 (authentication) and ADDRESS:18130 (accounting), so it needs no root. Prints "ready"
# when it answers Status-Server. Obeys the words "stop" and "start" (the server goes away and comes back) and "end";
# end of file does the same as "end".
set -euo pipefail
D=${1:?usage: freeradius.sh DIR ADDRESS SECRET} IP=${2:?usage: freeradius.sh DIR ADDRESS SECRET} SECRET=${3:?}
. "$(dirname "${BASH_SOURCE[0]}")/freeradius-common.sh"
[ ! -e "$D" ] || die "$D is there already"
mkdir -m 700 "$D" "$D/tls" "$D/acct"

certificates() { # an authority and a certificate for EAP: DIR/tls/{ca,cert,key}.pem
  local t=$D/tls
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 365 -subj "/CN=Test Root CA" \
    -addext "basicConstraints=critical,CA:TRUE" -addext "keyUsage=critical,keyCertSign,cRLSign" \
    -keyout "$t/ca.key" -out "$t/ca.pem" 2>/dev/null
  openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj "/CN=radius.example.test" \
    -keyout "$t/key.pem" -out "$t/req.pem" 2>/dev/null
  openssl x509 -req -in "$t/req.pem" -CA "$t/ca.pem" -CAkey "$t/ca.key" -CAcreateserial -days 365 -out "$t/cert.pem" \
    -extfile <(printf '%s\n' "subjectAltName=DNS:radius.example.test" "extendedKeyUsage=serverAuth,clientAuth" \
      "basicConstraints=CA:FALSE" "keyUsage=digitalSignature") 2>/dev/null
  chmod 600 "$t/key.pem"
}

cat >"$D/users" <<'USERS'
alice	Cleartext-Password := "Us3r-Passw0rd!"
	Class = 0x6c61622d636c617373,
	Filter-Id = "vpn-users",
	Framed-IP-Address = 10.9.0.17,
	Session-Timeout = 3600,
	Cisco-AVPair = "ip:inacl#1=permit ip any any",
	Cisco-AVPair += "shell:priv-lvl=15"

bob	Cleartext-Password := "Us3r-Passw0rd!"
	Tunnel-Password = "of the tunnel"

# an RD Gateway asks without a password: the NPS that this server plays lets alice connect, and nobody else
DEFAULT	User-Name =~ "alice$", Called-Station-Id =~ "^UserAuthType:", Auth-Type := Accept
	MS-TSG-Device-Redirection = 7

# answers as somebody else than was asked for
liar	Cleartext-Password := "Us3r-Passw0rd!"
	User-Name := "alice"

# never answered
mute	Cleartext-Password := "Us3r-Passw0rd!"
USERS

# expired's password is the one in this file, and has expired until it is changed
printf 'Us3r-Passw0rd!' >"$D/password-of-expired"
cat >"$D/radiusd.conf" <<CONF
$(head_of_configuration)
proxy_requests = no
# Every request must be signed, as Anteroom's are.
client loopback {
	ipaddr = 127.0.0.0/8
	secret = "$SECRET"
	require_message_authenticator = yes
}
modules {
	always handled { rcode = handled }
	always ok { rcode = ok }
	always reject { rcode = reject }
	expr { }
	pap { normalise = yes }
	chap { }
	mschap {
		use_mppe = yes
		require_encryption = yes
		require_strong = yes
	}
	# The account whose password has expired: checked and changed as in a domain. (What this version does itself where
	# there is no domain ends in a crash.)
	mschap expired {
		use_mppe = yes
		require_encryption = yes
		require_strong = yes
		ntlm_auth = "$HERE/ntlm-auth.py $D/password-of-expired %{expired:Challenge} %{expired:NT-Response}"
		passchange {
			ntlm_auth = "$HERE/ntlm-auth.py $D/password-of-expired"
			ntlm_auth_username = "username: %{expired:User-Name}"
		}
	}
	exec {
		wait = yes
		program = /bin/true
		input_pairs = request
		shell_escape = no
		timeout = 10
	}
	files { filename = $D/users }
	detail {
		filename = $D/acct/detail
		permissions = 0600
		header = "%t"
	}
	detail replies {
		filename = $D/replies
		permissions = 0600
		header = "%t"
	}
	detail requests {
		filename = $D/requests
		permissions = 0600
		header = "%t"
	}
	eap {
		default_eap_type = peap
		timer_expire = 60
		ignore_unknown_eap_types = no
		max_sessions = 65536
		md5 { }
		tls-config lab {
			private_key_file = $D/tls/key.pem
			certificate_file = $D/tls/cert.pem
			ca_file = $D/tls/ca.pem
			cipher_list = "DEFAULT"
			tls_min_version = "1.2"
			tls_max_version = "1.2"
			ecdh_curve = ""
			cache { enable = no }
		}
		tls { tls = lab }
		ttls {
			tls = lab
			default_eap_type = md5
			copy_request_to_tunnel = yes
			use_tunneled_reply = yes
			virtual_server = inner
		}
		peap {
			tls = lab
			default_eap_type = mschapv2
			copy_request_to_tunnel = yes
			use_tunneled_reply = yes
			virtual_server = inner
		}
		mschapv2 { }
	}
}
instantiate { }
policy {
	challenge {
		update control { &Response-Packet-Type := Access-Challenge }
		handled
	}
	who {
		if (&User-Name == "mute") {
			update control { &Response-Packet-Type := Do-Not-Respond }
			handled
		}
		# a password, and then a code: with the State given back
		elsif (&User-Name == "coded" && &User-Password) {
			if (!&State) {
				update control {
					&Auth-Type := Step1
					&Cleartext-Password := "hello"
				}
			}
			else {
				update control {
					&Auth-Type := Step2
					&Cleartext-Password := "123456"
				}
			}
		}
		elsif (&User-Name == "expired") {
			update control {
				# the account's flags: an ordinary one, and until it is changed, one whose password has expired
				&SMB-Account-Ctrl := "%{exec:/bin/sh -c 'test -e $D/password-of-expired.changed && echo 1048576 || echo 1179648'}"
			}
			expired
		}
		else {
			chap
			mschap
			eap { ok = return }
			files
			pap
		}
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
	listen {
		type = coa
		ipaddr = $IP
		port = 37990
	}
	# as an access server whose sessions may be changed: it has one of alice's, and nobody else's
	recv-coa {
		if (&User-Name == "alice") {
			update reply { &Reply-Message := "changed" }
			ok
		}
		else {
			reject
		}
	}
	authorize {
		requests
		who
	}
	authenticate {
		Auth-Type PAP {
			pap
		}
		Auth-Type CHAP {
			chap
		}
		Auth-Type MS-CHAP {
			mschap
		}
		expired
		Auth-Type Step1 {
			pap
			update reply {
				&State := "%{randstr:aaaaaaaaaaaaaaaa}"
				&Reply-Message := "Enter the code"
				&Message-Authenticator := 0x00
			}
			challenge
		}
		Auth-Type Step2 {
			pap
		}
		eap
	}
	preacct { }
	accounting {
		detail
	}
	session { }
	post-auth {
		# This version signs nothing but EAP by itself.
		update reply { &Message-Authenticator := 0x00 }
		# with its keys as it made them, before they are encrypted for whoever asked
		replies
		Post-Auth-Type REJECT {
			update reply { &Message-Authenticator := 0x00 }
		}
	}
}
server inner {
	authorize {
		who
	}
	authenticate {
		Auth-Type PAP {
			pap
		}
		Auth-Type CHAP {
			chap
		}
		Auth-Type MS-CHAP {
			mschap
		}
		eap
	}
	post-auth {
		# Who really came in: the outer name says nothing.
		update reply { &User-Name := "%{User-Name}" }
	}
}
CONF

certificates
serve
