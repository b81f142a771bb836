"""Starting, pinning and ending what takes part in a measurement. Only processes started here are ended."""
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from urllib.request import urlopen

HERE = Path(__file__).resolve().parent.parent
ROOT = HERE.parent
LDAP_PORT, PROMPT_PORT, BARE_PORT = 28389, 28180, 28120
# Where the LDAP door is measured: the directory itself, a forwarder, OpenLDAP's own proxy, Anteroom.
LDAP_PORTS = {"direct": LDAP_PORT, "direct_tls": 28636, "forwarder": 28390, "backldap": 28391, "anteroom": 28392,
              "anteroom_tls": 28637}
PORTS = {"anteroom": 28121, "freeradius": 28122}
SECRET, PASSWORD, BASE = "bench-shared-secret", "Us3r-Passw0rd!", "dc=bench,dc=example,dc=test"
KEY_ID, KEY = "bench", "a-key-of-more-than-thirty-two-octets-for-benchmarks"

# Every time limit and bound is wide enough not to take part; everything else is as shipped.
CONFIG = """\
[server]
name = "bench"
store = "anteroom.db"
drain = "0s"
[radius]
listen = ["127.0.0.1:{port}"]
[[radius.client]]
name = "bench"
address = "127.0.0.0/8"
secret = "{secret}"
answer_within = "{answer_within}"
held = 200000
packets_per_second = 1000000
[target.bench]
type = "ldap"
servers = ["ldap://127.0.0.1:{ldap}"]
plaintext = true
base = "ou=people,{base}"
bind_name = "cn=svc-proxy,ou=services,{base}"
bind_password = "{password}"
dn_from_store = {dn_from_store}
[provider.bench]
type = "native"
url = "http://127.0.0.1:{prompts}"
key_id = "{key_id}"
key = "{key}"
[limits]
held = 200000
[throttle]
prompts_per_person = 1000000
prompt_window = "1m"
denial_backoff = "1s"
[audit]
file = "audit.jsonl"
[log]
level = "info"
"""


# What is added where the LDAP door is measured.
LDAP_CONFIG = """
[ldap]
listen = ["127.0.0.1:{ldap_listen}"]
listen_tls = ["127.0.0.1:{ldap_listen_tls}"]
certificate = "{state}/tls/cert.pem"
certificate_key = "{state}/tls/key.pem"
[[ldap.client]]
name = "applications"
address = "127.0.0.0/8"
answer_within = "10m"
held = 200000
connections = 20000
plaintext = true
service_accounts = ["cn=svc-proxy,ou=services,{base}"]
"""


class Unavailable(Exception):
    """Something that a measurement needs cannot be started."""


class Peers:
    """The programs, the CPUs they may use, and where their state is."""

    def __init__(self, options):
        self.state = Path(os.environ.get("BENCH_STATE", "/tmp/anteroom-bench"))
        self.state.mkdir(parents=True, exist_ok=True)
        self.programs = Path(options.programs) if options.programs else ROOT / "target/release"
        self.load_program = HERE / "load/target/release/anteroom-load"
        self.cpus = options.cpus.split(",")

    # --- CPUs

    def pin(self, layout, part):
        """The words before a command. `part` is "server" (under test) or "rest" (everything else)."""
        chosen = {
            # The server alone on one CPU, all others on the rest: nobody disturbs its caches.
            "split": self.cpus[:1] if part == "server" else self.cpus[1:] or self.cpus,
            # Everything on everything, as on a machine that does all of it.
            "shared": self.cpus,
            # Everything on one CPU: what remains is the sum of all work for one sign-in.
            "one": self.cpus[:1],
        }[layout]
        return ["taskset", "-c", ",".join(chosen)]

    # --- the load

    def load(self, layout, *arguments, pids=None, wrap=None):
        """Runs the load generator and returns its report."""
        command = [str(self.load_program), *map(str, arguments)]
        for name, pid in (pids or {}).items():
            command += ["--pid", f"{name}={pid}"]
        command = (wrap or self.pin(layout, "rest")) + command
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
        if done.returncode != 0:
            raise Unavailable(f"{' '.join(command)} ended with {done.returncode}")
        return json.loads(done.stdout)

    # --- peers with a script

    def script(self, name, *arguments, pin=(), **variables):
        """Runs one of benches/peers and returns what it prints."""
        environment = dict(os.environ, BENCH_STATE=str(self.state), BENCH_PIN=" ".join(pin),
                           BENCH_SECRET=SECRET, BENCH_PASSWORD=PASSWORD, BENCH_BASE=BASE,
                           BENCH_LDAP_PORT=str(LDAP_PORT), BENCH_LDAPS_PORT=str(LDAP_PORTS["direct_tls"]),
                           BENCH_BACK_LDAP_PORT=str(LDAP_PORTS["backldap"]), BENCH_PROMPTS=f"http://127.0.0.1:{PROMPT_PORT}",
                           **{key: str(value) for key, value in variables.items()})
        done = subprocess.run([str(HERE / "peers" / name), *map(str, arguments)], env=environment,
                              stdout=subprocess.PIPE, text=True, check=False)
        if done.returncode != 0:
            raise Unavailable(f"{name} {' '.join(map(str, arguments))} failed")
        return done.stdout.strip()

    @contextmanager
    def slapd(self, people, layout, part="rest"):
        """The directory with so many people; gives its pid."""
        self.script("slapd.sh", "start", people, pin=self.pin(layout, part))
        try:
            yield int(self.script("slapd.sh", "pid", people))
        finally:
            self.script("slapd.sh", "stop", people)

    def operations(self):
        """How many binds and searches the directory has completed."""
        binds, searches = map(int, self.script("slapd.sh", "operations").split())
        return {"binds": binds, "searches": searches}

    # --- processes of our own

    @contextmanager
    def process(self, command, log, cwd=None):
        """Runs a program until the block ends; its output goes to a file."""
        with open(self.state / log, "wb") as file:
            child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=file, stderr=file, cwd=cwd)
        try:
            yield child
        finally:
            child.send_signal(signal.SIGTERM)
            try:
                child.wait(10)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()

    @contextmanager
    def phone(self, delay_ms, layout):
        """The prompt service, everybody approving after a delay; gives its pid."""
        program = self.programs / "examples/phone"
        if program.exists():
            command = [str(program), "--key-id", KEY_ID, "--key", KEY]
        else:  # enough for FreeRADIUS alone
            command = [str(self.load_program), "prompts"]
        command += ["--listen", f"127.0.0.1:{PROMPT_PORT}", "--delay-ms", str(delay_ms)]
        with self.process(self.pin(layout, "rest") + command, "phone.log") as child:
            wait_for_port("tcp", PROMPT_PORT, child)
            yield child.pid

    def asked(self):
        """How many prompts the prompt service has been asked for."""
        with urlopen(f"http://127.0.0.1:{PROMPT_PORT}/simulator/counts", timeout=5) as answer:
            return json.load(answer)["prompts"]

    @contextmanager
    def bare(self, layout, part="server", delay_ms=0):
        """The bare responder, answering after a delay; gives its pid."""
        command = [str(self.load_program), "responder", "--listen", f"127.0.0.1:{BARE_PORT}", "--secret", SECRET,
                   "--delay-ms", str(delay_ms)]
        with self.process(self.pin(layout, part) + command, "responder.log") as child:
            wait_for_port("udp", BARE_PORT, child)
            yield child.pid

    @contextmanager
    def ldap_server(self, kind, layout, people):
        """What stands in front of the directory; gives its pid, or None where nothing does."""
        pin, port = self.pin(layout, "server"), LDAP_PORTS[kind]
        if kind == "direct":
            yield None
        elif kind == "backldap":
            self.script("back-ldap.sh", "start", pin=pin)
            try:
                yield int(self.script("back-ldap.sh", "pid"))
            finally:
                self.script("back-ldap.sh", "stop")
        else:
            command = [str(self.load_program), "forwarder", "--listen", f"127.0.0.1:{port}", "--to",
                       f"127.0.0.1:{LDAP_PORT}"]
            if kind == "anteroom":
                command = self.anteroom_files(people, more=LDAP_CONFIG.format(
                    ldap_listen=port, ldap_listen_tls=LDAP_PORTS["anteroom_tls"], state=self.state, base=BASE))
            with self.process(pin + command, f"{kind}.log") as child:
                wait_for_port("tcp", port, child)
                time.sleep(0.5)
                yield child.pid

    # --- servers under test

    def anteroom_files(self, people, answer_within="50s", dn_from_store=False, more=""):
        """A fresh folder with configuration and store; gives the command."""
        program = self.programs / "anteroom"
        folder, ready = self.state / "anteroom", self.state / f"people-{people}.db"
        if not ready.exists():
            half = ready.with_suffix(".half")
            half.unlink(missing_ok=True)
            loader = [str(self.programs / "examples/load_people"), "--store", str(half), "--people", str(people),
                      "--base", f"ou=people,{BASE}"]
            if not program.exists() or subprocess.run(loader, check=False).returncode != 0:
                raise Unavailable(f"{program} and {loader[0]}: cargo build --release --bins --examples")
            half.rename(ready)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(mode=0o700)
        shutil.copy(ready, folder / "anteroom.db")
        (folder / "anteroom.toml").write_text(CONFIG.format(
            port=PORTS["anteroom"], secret=SECRET, password=PASSWORD, base=BASE, ldap=LDAP_PORT, prompts=PROMPT_PORT,
            key_id=KEY_ID, key=KEY, answer_within=answer_within, dn_from_store=str(dn_from_store).lower()) + more)
        (folder / "anteroom.toml").chmod(0o600)
        return [str(program), "serve", "--config", str(folder / "anteroom.toml")]

    @contextmanager
    def server(self, kind, layout, people, threads=32, dn_from_store=False):
        """Anteroom or FreeRADIUS, ready for requests; gives its pid."""
        pin = self.pin(layout, "server")
        if kind == "anteroom":
            command = self.anteroom_files(people, dn_from_store=dn_from_store)
            with self.process(pin + command, "anteroom.log") as child:
                wait_for_port("udp", PORTS[kind], child)
                time.sleep(0.5)
                yield child.pid
            return
        # More than about 400 connections of each kind at the start, and FreeRADIUS does not start: its
        # own sockets must be below descriptor 1024. The rest is opened when needed.
        self.script("freeradius.sh", "start", pin=pin, FR_THREADS=threads, FR_CONNECTIONS=min(threads, 200))
        try:
            yield int(self.script("freeradius.sh", "pid"))
        finally:
            self.script("freeradius.sh", "stop")

    def first(self, kind, layout, people):
        """Time from the start of a server to its first answer, and its memory a second later."""
        arguments = ["first", "--server", f"127.0.0.1:{PORTS[kind]}", "--secret", SECRET, "--password", PASSWORD]
        if kind == "anteroom":
            command = self.anteroom_files(people)
            with open(self.state / "anteroom.log", "ab") as log:
                done = subprocess.run([str(self.load_program), *arguments, "--", *self.pin(layout, "server"), *command],
                                      stdout=subprocess.PIPE, stderr=log, text=True, check=False)
            if done.returncode != 0:
                raise Unavailable(f"anteroom did not answer: {self.state / 'anteroom.log'}")
            return json.loads(done.stdout)
        return json.loads(self.script("freeradius.sh", "first", self.load_program, *arguments,
                                      pin=self.pin(layout, "server")))


def wait_for_port(kind, port, child):
    """Waits until a socket of that port is open on loopback, without sending anything to it."""
    for _ in range(400):
        if child.poll() is not None:
            raise Unavailable(f"{child.args} ended with {child.returncode}")
        sockets = [line.split() for line in Path(f"/proc/net/{kind}").read_text().splitlines()[1:]]
        # 07: a UDP socket that is not connected; 0A: a TCP socket that listens.
        if any(fields[1].endswith(f":{port:04X}") and fields[3] in ("07", "0A") for fields in sockets):
            return
        time.sleep(0.025)
    print(f"{child.args}: no {kind} port {port} after 10 s", file=sys.stderr)
    raise Unavailable(f"port {port}")
