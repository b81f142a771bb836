# Sourced by the scripts that run a FreeRADIUS: what they have in common. D, IP and SECRET are theirs.
export PATH=$PATH:/usr/sbin:/sbin
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
log() { printf 'freeradius: %s\n' "$*" >&2; }
die() { log "ERROR: $*"; exit 1; }
for tool in freeradius radclient openssl; do
  command -v $tool >/dev/null || die "'$tool' is missing: apt-get install --no-install-recommends $("$HERE/packages.sh")"
done

# What every configuration begins with.
head_of_configuration() {
  cat <<CONF
prefix = /usr
libdir = /usr/lib/freeradius
raddbdir = $D
logdir = $D
run_dir = $D
pidfile = $D/freeradius.pid
correct_escapes = true
max_request_time = 60
cleanup_delay = 5
max_requests = 65536
hostname_lookups = no
log {
	destination = files
	file = $D/radius.log
	auth = yes
}
security {
	allow_core_dumps = no
	max_attributes = 200
	reject_delay = 0
	status_server = yes
}
thread pool {
	start_servers = 2
	max_servers = 8
	min_spare_servers = 1
	max_spare_servers = 4
	max_requests_per_server = 0
}
CONF
}

start() {
  freeradius -f -d "$D" -n radiusd >>"$D/out" 2>&1 &
  SERVER=$!
  for _ in $(seq 100); do
    if echo "Message-Authenticator = 0x00" | radclient -q -r 1 -t 0.3 "$IP:18120" status "$SECRET" >/dev/null 2>&1; then return; fi
    kill -0 "$SERVER" 2>/dev/null || { cat "$D/out" "$D/radius.log" >&2; die "it ended"; }
  done
  die "it does not answer; see $D/radius.log"
}
stop() { kill "$SERVER" 2>/dev/null || true; wait "$SERVER" 2>/dev/null || true; }
finish() { stop; [ "${KEEP:-}" = yes ] || rm -rf "$D"; }

# Runs it on DIR/radiusd.conf until "end", or the end of standard input.
serve() {
  SERVER=
  trap finish EXIT
  start
  echo ready
  while read -r word; do
    case $word in
      stop) stop; echo stop ;;
      start) start; echo start ;;
      end) break ;;
      *) log "no such word: $word" ;;
    esac
  done
}
