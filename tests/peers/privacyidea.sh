#!/usr/bin/env bash
# A real privacyIDEA server (PyPI) over HTTPS on one loopback port, for as long as standard input stays open, with a
# mail sink and a text-message gateway of its own. Nothing outside the two given folders is read or changed.
#
#   privacyidea.sh INSTALL DIR PORT     e.g. privacyidea.sh target/tmp/privacyidea /tmp/pi 25443
#
# INSTALL holds the Python environment; it is made once (half a minute, 500 MB) and kept. DIR must not exist; it is
# made, and removed at the end (KEEP=yes leaves it). Prints "ready". Then it obeys one line after the other, each
# answered by the same line when it is done:
#   accept USER | decline USER    the person's phone waits for its challenge and answers it
#   freeze | thaw                 stop every process of the server where it is; let them go on
#   end                           as end of file: it never outlives the test that started it
set -euo pipefail
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$HERE/process.sh"
USAGE="usage: privacyidea.sh INSTALL DIR PORT"
V=${1:?$USAGE} D=${2:?$USAGE} PORT=${3:?$USAGE}
VERSION=3.14 URL=https://127.0.0.1:$PORT
export PRIVACYIDEA_CONFIGFILE=$D/pi.cfg PYTHONDONTWRITEBYTECODE=1

needs openssl flock
python=$(command -v python3) || die "python3 is missing"

install() { # once, whoever comes first
  mkdir -p "$V"
  exec 8>"$V/lock"
  flock -w 400 8 || die "somebody else's installation takes too long"
  if [ ! -e "$V/$VERSION.done" ]; then
    log "installing privacyIDEA $VERSION into $V"
    rm -rf "$V/venv"
    "$python" -m venv "$V/venv" 2>"$V/venv.log" || { tail -3 "$V/venv.log" >&2; die "apt-get install python3-venv"; }
    timeout 300 nice "$V/venv/bin/pip" install -q --disable-pip-version-check "privacyidea==$VERSION" gunicorn aiosmtpd \
      >"$V/pip.log" 2>&1 || { tail -3 "$V/pip.log" >&2; die "pip cannot install privacyidea $VERSION"; }
    touch "$V/$VERSION.done"
  fi
  exec 8>&-
}

certificates() { # an authority, and a certificate for this server
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 30 -subj "/CN=Test Root CA" \
    -addext "basicConstraints=critical,CA:TRUE" -addext "keyUsage=critical,keyCertSign,cRLSign" \
    -keyout "$D/ca.key" -out "$D/ca.pem" 2>/dev/null
  openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj "/CN=pi.example.test" \
    -keyout "$D/key.pem" -out "$D/req.pem" 2>/dev/null
  openssl x509 -req -in "$D/req.pem" -CA "$D/ca.pem" -CAkey "$D/ca.key" -CAcreateserial -days 30 -out "$D/cert.pem" \
    -extfile <(printf '%s\n' "subjectAltName=IP:127.0.0.1,DNS:localhost" "extendedKeyUsage=serverAuth" "basicConstraints=CA:FALSE") 2>/dev/null
}

database() {
  cat >"$D/pi.cfg" <<CONF
import logging
SUPERUSER_REALM = ['super']
SQLALCHEMY_DATABASE_URI = 'sqlite:///$D/pi.sqlite'
SECRET_KEY = 'of a test'
PI_PEPPER = 'of a test'
PI_ENCFILE = '$D/enckey'
PI_AUDIT_KEY_PRIVATE = '$D/private.pem'
PI_AUDIT_KEY_PUBLIC = '$D/public.pem'
PI_AUDIT_NO_SIGN = True
PI_LOGFILE = '$D/pi.log'
PI_LOGLEVEL = logging.INFO
CONF
  { "$V/venv/bin/pi-manage" setup create_enckey && "$V/venv/bin/pi-manage" setup create_audit_keys &&
    "$V/venv/bin/pi-manage" setup create_tables &&
    for admin in admin anteroom powerless; do "$V/venv/bin/pi-manage" admin add "$admin" -p "Adm1n-Passw0rd!" || exit 1; done
  } >"$D/setup.log" 2>&1 || { tail -5 "$D/setup.log" >&2; die "the database cannot be made"; }
}

end() {
  trap - EXIT INT TERM
  local pid
  for pid in ${server:-} ${sinks:-}; do
    kill -CONT -- "-$pid" 2>/dev/null || true
    ended "$pid" "-$pid"
  done
  [ "${KEEP:-}" = yes ] || rm -rf "$D"
}

helper() { "$V/venv/bin/python" "$HERE/privacyidea.py" "$@"; }

install
mkdir "$D" || die "there is something at $D already"
chmod 700 "$D"
trap end EXIT INT TERM
certificates
database
setsid "$V/venv/bin/python" "$HERE/privacyidea.py" sinks "$D" </dev/null >"$D/sinks.out" 2>&1 8>&- &
sinks=$!
HOME=$D setsid "$V/venv/bin/gunicorn" -w 2 --threads 4 -b "127.0.0.1:$PORT" --certfile "$D/cert.pem" --keyfile "$D/key.pem" \
  --log-file "$D/gunicorn.log" "privacyidea.app:create_app(config_name='production', config_file='$D/pi.cfg', silent=True)" \
  </dev/null >"$D/out" 2>&1 &
server=$!
for _ in $(seq 600); do
  [ ! -s "$D/sinks.ports" ] || ! curl -fsS -m 20 --cacert "$D/ca.pem" -o /dev/null "$URL/" 2>/dev/null || break
  alive $server && alive $sinks || { tail -5 "$D/gunicorn.log" "$D/out" "$D/sinks.out" >&2; die "it does not start"; }
  sleep 0.1
done
helper configure "$D" "$URL" || { tail -5 "$D/pi.log" >&2; die "it cannot be configured"; }
echo ready
while read -r line; do
  case $line in
    "accept "* | "decline "*) helper phone "$D" "$URL" $line || die "the phone cannot: $line" ;;
    freeze) kill -STOP -- "-$server" ;;
    thaw)   kill -CONT -- "-$server" ;;
    end)    end; echo end; exit 0 ;;
    *)      die "unknown line '$line'" ;;
  esac
  echo "$line"
done
