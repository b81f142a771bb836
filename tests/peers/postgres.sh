#!/usr/bin/env bash
# Real PostgreSQL servers on loopback, for as long as standard input stays open: a primary with TLS, and on
# request a standby that follows it. Nothing in /etc is read or changed; all state is below the given folder.
#
#   postgres.sh DIR PORT         e.g. postgres.sh /tmp/pg 25432; the standby gets PORT + 1
#
# DIR must not exist; it is made, and removed at the end. Prints "ready" when the primary answers. Then it obeys
# one word a line, each answered by the same word:
#   restart  stop the primary as an administrator would, and start it again
#   standby  make a standby of the primary
#   crash    SIGKILL the primary with all its children
#   promote  make the standby a primary
#   disk     where we may mount one, make a disk of its own: the tablespace "small"; else nothing
#   full     nearly nothing more fits onto that disk; without it, no file of a new session can grow
#   room     there is room again
#   end      stop everything; end of file does the same, so it never outlives the test that started it
# PostgreSQL does not run as root: as root everything runs as the user of its package, postgres.
set -euo pipefail
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$HERE/process.sh"
D=${1:?usage: postgres.sh DIR PORT} PORT=${2:?usage: postgres.sh DIR PORT} IP=127.0.0.1
BIN=$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -1) || true
export PATH=$BIN:$PATH LC_ALL=C.UTF-8

needs initdb pg_ctl postgres psql pg_basebackup openssl
[ ! -e "$D" ] || die "$D is there already"
mkdir -p "$D"

as() { # as COMMAND...: not as root
  if [ "$(id -u)" = 0 ]; then (cd / && exec setpriv --reuid=postgres --regid=postgres --init-groups env HOME="$D" "$@"); else "$@"; fi; }
ctl() { as pg_ctl -s -w -t 30 "$@" >/dev/null; }
pid() { head -1 "$D/$1/postmaster.pid" 2>/dev/null || true; }

certificates() { # an authority and a certificate for this server: DIR/{ca,cert,key}.pem
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 365 -subj "/CN=Test Root CA" \
    -addext "basicConstraints=critical,CA:TRUE" -addext "keyUsage=critical,keyCertSign,cRLSign" \
    -keyout "$D/ca.key" -out "$D/ca.pem" 2>/dev/null
  openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj "/CN=localhost" \
    -keyout "$D/key.pem" -out "$D/req.pem" 2>/dev/null
  openssl x509 -req -in "$D/req.pem" -CA "$D/ca.pem" -CAkey "$D/ca.key" -CAcreateserial -days 365 -out "$D/cert.pem" \
    -extfile <(printf '%s\n' "subjectAltName=DNS:localhost,IP:$IP" "extendedKeyUsage=serverAuth" "basicConstraints=CA:FALSE") 2>/dev/null
  chmod 600 "$D/key.pem"
}

settings() { # settings PORT; a test throws the data away, but the promises about commits stay on
  cat <<CONF
listen_addresses = '$IP'
port = $1
unix_socket_directories = '$D'
ssl = on
ssl_cert_file = '$D/cert.pem'
ssl_key_file = '$D/key.pem'
password_encryption = scram-sha-256
wal_level = replica
max_wal_senders = 5
hot_standby = on
shared_buffers = 32MB
fsync = off
CONF
}

stop_all() {
  local node
  for node in b a; do
    if alive "$(pid $node)"; then ctl -D "$D/$node" -m immediate stop || true; fi
  done
  umount -l "$D/small" 2>/dev/null || true
  rm -rf "$D"
}
trap stop_all EXIT

limit() { # limit OCTETS: of a file that a session writes which begins after it
  prlimit --pid "$(pid a)" --fsize="$1:"; }
resize() { # resize KIB: of the disk, if there is one
  mountpoint -q "$D/small" && mount -o "remount,size=${1}k" "$D/small"; }

certificates
printf 'planted-database-password' >"$D/password"
chmod 600 "$D/password"
[ "$(id -u)" != 0 ] || chown -R postgres "$D"
as initdb -D "$D/a" -U anteroom -A scram-sha-256 --pwfile="$D/password" -E UTF8 --locale=C.UTF-8 --no-sync >/dev/null
settings "$PORT" | as tee -a "$D/a/postgresql.auto.conf" >/dev/null
# passwords over TLS from anywhere; without TLS only to a database whose name says so
as tee "$D/a/pg_hba.conf" >/dev/null <<HBA
hostssl     all         all 127.0.0.0/8 scram-sha-256
hostssl     replication all 127.0.0.0/8 scram-sha-256
hostnossl   plain       all 127.0.0.0/8 scram-sha-256
HBA
ctl -D "$D/a" -l "$D/a.log" start || { cat "$D/a.log" >&2; die "the server does not start"; }
echo ready

while read -r word; do
  case $word in
    restart) ctl -D "$D/a" -m fast stop; ctl -D "$D/a" -l "$D/a.log" start ;;
    standby)
      as env PGPASSFILE=/dev/null PGPASSWORD="$(cat "$D/password")" pg_basebackup -D "$D/b" -X stream -c fast -R \
        -d "host=$IP port=$PORT user=anteroom sslmode=require password=$(cat "$D/password")"
      settings $((PORT + 1)) | as tee -a "$D/b/postgresql.auto.conf" >/dev/null
      ctl -D "$D/b" -l "$D/b.log" start ;;
    crash)
      main=$(pid a)
      # shellcheck disable=SC2046 # a list of numbers on purpose
      kill -KILL "$main" $(ps -o pid= --ppid "$main") 2>/dev/null || true
      while alive "$main"; do sleep 0.05; done ;;
    disk)
      mkdir -p "$D/small"
      if mount -t tmpfs -o "size=256m,mode=0700,uid=$(stat -c %u "$D/a")" none "$D/small" 2>/dev/null; then
        as env PGPASSWORD="$(cat "$D/password")" psql -X -q -h "$IP" -p "$PORT" -U anteroom -d postgres \
          -c "CREATE TABLESPACE small LOCATION '$D/small'" >&2
      fi ;;
    full) resize $(($(df -k --output=used "$D/small" | tail -1) + 256)) || limit 524288 ;;
    room) resize 262144 || limit unlimited ;;
    promote) ctl -D "$D/b" promote ;;
    end) break ;;
    *) log "no such word: $word"; exit 1 ;;
  esac
  echo "$word"
done
