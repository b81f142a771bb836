# Sourced by the scripts beside it that keep a server for as long as their standard input stays open. They set D, the
# folder of its state, and server, its process.
SCRIPT=$(basename "$0" .sh)

log() { printf '%s: %s\n' "$SCRIPT" "$*" >&2; }
die() { log "ERROR: $*"; exit 1; }

needs() { # needs PROGRAM...: says what to install where one is missing
  local tool
  for tool; do
    command -v "$tool" >/dev/null || die "'$tool' is missing: apt-get install --no-install-recommends $("$HERE/packages.sh")"
  done
}

alive() { # alive PID; a zombie counts as dead: where the first process does not reap, kill -0 goes on succeeding for it
  [ -n "${1:-}" ] || return 1
  local state; state=$(sed 's/.*) //' "/proc/$1/stat" 2>/dev/null | cut -c1) && [ -n "$state" ] && [ "$state" != Z ]
}

ended() { # ended PID [WHAT]: asks it to end, and kills WHAT (the process; -PID is its group) where it has not in 10 s
  kill -TERM "$1" 2>/dev/null || true
  for _ in $(seq 100); do alive "$1" || break; sleep 0.1; done
  kill -KILL -- "${2:-$1}" 2>/dev/null || true
}

end() { # KEEP=yes leaves the folder for a look at it
  trap - EXIT INT TERM
  ended "$server"
  [ "${KEEP:-}" = yes ] || rm -rf "$D"
}

until_end() { # says that the server can be asked, and waits for the word "end" or the end of file
  echo ready
  local word
  while read -r word; do
    case $word in
      end) end; echo end; exit 0 ;;
      *)   die "unknown word '$word'" ;;
    esac
  done
}
