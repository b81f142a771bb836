#!/usr/bin/env bash
# FreeRADIUS 3.2 with rlm_ldap and rlm_rest: what Anteroom is measured beside.
#   freeradius.sh start | stop | pid | command (prints what runs it in the foreground) | debug
# FR_THREADS=32 (as shipped) or more; FR_CONNECTIONS are open from the start to each back end, the
# rest is opened when needed.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
export FR_IP=127.0.0.1 FR_PORT=${FR_PORT:-28122} FR_SECRET=${BENCH_SECRET:-bench-shared-secret}
export FR_THREADS=${FR_THREADS:-32}
export FR_CONNECTIONS=${FR_CONNECTIONS:-$FR_THREADS}
export FR_LDAP=ldap://127.0.0.1:${BENCH_LDAP_PORT:-28389}
export FR_BASE=${BENCH_BASE:-dc=bench,dc=example,dc=test} FR_PASSWORD=${BENCH_PASSWORD:-Us3r-Passw0rd!}
export FR_PROMPTS=${BENCH_PROMPTS:-http://127.0.0.1:28180}
# FR_NAME=forward: it hands requests on to FR_TARGET instead.
FR_NAME=${FR_NAME:-radiusd}
export FR_TARGET=${FR_TARGET:-28120}
export FR_DIR=$BENCH_STATE/freeradius
FR_CONF=$(cd "$(dirname "${BASH_SOURCE[0]}")/freeradius" && pwd); export FR_CONF
prepare() {
  need freeradius "freeradius freeradius-ldap freeradius-rest freeradius-utils"
  mkdir -p "$FR_DIR"; chmod 700 "$FR_DIR"; : >"$FR_DIR/radius.log"; }

case ${1:-} in
  start)
    pid_of "$FR_DIR/freeradius.pid" >/dev/null && exit 0
    prepare
    $BENCH_PIN freeradius -d "$FR_CONF" -n "$FR_NAME" >"$FR_DIR/start.log" 2>&1 ||
      { tail -n 5 "$FR_DIR/start.log" >&2; tail -n 5 "$FR_DIR/radius.log" >&2; die "freeradius does not start"; }
    for _ in $(seq 600); do
      grep -q "Ready to process requests" "$FR_DIR/radius.log" && pid_of "$FR_DIR/freeradius.pid" >/dev/null && exit 0
      sleep 0.05
    done
    die "not ready: see $FR_DIR/radius.log" ;;
  stop) stop_pidfile "$FR_DIR/freeradius.pid" ;;
  pid) pid_of "$FR_DIR/freeradius.pid" || die "not running" ;;
  first) # freeradius.sh first LOAD-PROGRAM ARGUMENTS...: measures the start of a foreground server
    shift; prepare; exec "$@" -- $BENCH_PIN freeradius -f -d "$FR_CONF" -n "$FR_NAME" ;;
  debug) prepare; exec freeradius -fxx -l stdout -d "$FR_CONF" -n "$FR_NAME" ;;
  *) die "usage: $0 start|stop|pid|first|debug" ;;
esac
