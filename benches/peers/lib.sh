# Shared by the peers' scripts; sourced, never run on its own.
# All state is below $BENCH_STATE: end the peers, delete it, and nothing is left.
# $BENCH_PIN is what a server is started with, for instance "taskset -c 1".

BENCH_STATE=${BENCH_STATE:-${TMPDIR:-/tmp}/anteroom-bench}
BENCH_PIN=${BENCH_PIN:-}

log() { printf '%s: %s\n' "${0##*/}" "$*" >&2; }
die() { log "ERROR: $*"; exit 1; }

need() { # need COMMAND DEBIAN-PACKAGES
  command -v "$1" >/dev/null 2>&1 || [ -x "/usr/sbin/$1" ] ||
    die "$1 is missing: apt-get install --no-install-recommends $2"; }

# True while the process runs. A zombie counts as gone: an init that reaps late keeps it visible.
alive() { # alive PID
  local state
  [ -n "${1:-}" ] && [ -r "/proc/$1/stat" ] || return 1
  state=$(sed 's/.*) //' "/proc/$1/stat" 2>/dev/null | cut -c1) || return 1
  [ -n "$state" ] && [ "$state" != Z ] && [ "$state" != X ]; }

pid_of() { # pid_of PIDFILE -> prints the pid if that process is alive
  local pid
  [ -r "$1" ] || return 1
  pid=$(tr -dc 0-9 <"$1")
  alive "$pid" && printf '%s' "$pid"; }

stop_pidfile() { # stop_pidfile PIDFILE: ends only the process that we wrote there
  local pid i
  pid=$(pid_of "$1") || { rm -f "$1"; return 0; }
  kill -TERM "$pid" 2>/dev/null || true
  for i in $(seq 100); do alive "$pid" || break; sleep 0.1; done
  if alive "$pid"; then log "pid $pid ignored TERM, sending KILL"; kill -KILL "$pid" 2>/dev/null || true; fi
  rm -f "$1"; }

wait_tcp() { # wait_tcp HOST PORT SECONDS
  local i
  for i in $(seq $(($3 * 20))); do (exec 3<>"/dev/tcp/$1/$2") 2>/dev/null && return 0; sleep 0.05; done
  return 1; }
