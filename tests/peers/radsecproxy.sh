#!/usr/bin/env bash
# A real radsecproxy on a configuration, for as long as standard input stays open.
#
#   radsecproxy.sh CONFIGURATION WORD     WORD: what its log says once it can be asked, such as "listening"
#
# What it says goes to CONFIGURATION.log. Prints "ready", then obeys "stop", "start"
# (the proxy goes away and comes back) and "end"; end of file does the same as "end".
set -euo pipefail
CONF=${1:?usage: radsecproxy.sh CONFIGURATION WORD} WORD=${2:?usage: radsecproxy.sh CONFIGURATION WORD}
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
export PATH=$PATH:/usr/sbin:/sbin
die() { printf 'radsecproxy: ERROR: %s\n' "$*" >&2; cat "$CONF.log" >&2 2>/dev/null || true; exit 1; }
command -v radsecproxy >/dev/null ||
  die "'radsecproxy' is missing: apt-get install --no-install-recommends $("$HERE/packages.sh")"
PROXY=
start() {
  : >"$CONF.log"
  radsecproxy -f -c "$CONF" >>"$CONF.log" 2>&1 &
  PROXY=$!
  for _ in $(seq 200); do
    if grep -qi -- "$WORD" "$CONF.log"; then return; fi
    kill -0 "$PROXY" 2>/dev/null || die "it ended"
    sleep 0.05
  done
  die "its log does not say $WORD"
}
stop() { kill "$PROXY" 2>/dev/null || true; wait "$PROXY" 2>/dev/null || true; }
trap stop EXIT
start
echo ready
while read -r word; do
  case $word in
    stop) stop; echo stop ;;
    start) start; echo start ;;
    end) break ;;
    *) die "no such word: $word" ;;
  esac
done
