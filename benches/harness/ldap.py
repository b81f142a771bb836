"""What is measured of the LDAP door: Anteroom beside the directory itself, OpenLDAP's own proxy (slapd with
back-ldap) and a bare TCP forwarder, all in front of the same slapd, alike pinned, in the same run."""
import os
import re
import subprocess
import time
from statistics import median

from . import holding
from .peers import BASE, LDAP_PORTS, PASSWORD, Unavailable
from .table import Beside

PEOPLE, MANY = 10_000, 200_000
KINDS = ("direct", "forwarder", "backldap", "anteroom")
# A held connection takes two open files of Anteroom and the kernel here grants a process 20,000.
HELD = int(os.environ.get("BENCH_HELD_CONNECTIONS", "9000"))
TICKS = os.sysconf("SC_CLK_TCK")


def kinds(run, *wanted):
    """Those of the servers that this run may use."""
    return [kind for kind in wanted or KINDS if kind != "anteroom" or "anteroom" in run.kinds]


def load(run, kind, layout, mode, *arguments, people=PEOPLE, seconds=None):
    """Starts everything, runs the load once, ends everything; gives its report."""
    seconds = seconds or run.seconds(8, 4)
    with run.peers.slapd(people, layout) as slapd, run.peers.ldap_server(kind, layout, people) as server:
        pids = {"slapd": slapd, **({"server": server} if server else {})}
        report = run.peers.load(
            layout, "ldap", "--server", f"127.0.0.1:{LDAP_PORTS[kind]}", "--mode", mode, "--people", people, "--base",
            f"ou=people,{BASE}", "--name", f"cn=svc-proxy,ou=services,{BASE}", "--password", PASSWORD, "--seconds",
            1 + seconds, "--warmup", 1, *arguments, pids=pids)
    used = {name: process["cpu_us_each"] for name, process in report["processes"].items()}
    run.say(f"{kind}: {report['per_second']}/s, p50 {report['latency_ms']['p50']} ms, p99 "
            f"{report['latency_ms']['p99']} ms, errors {report['errors']}, lost {report['lost']}, CPU us each {used}")
    if report["errors"] or report["lost"]:
        raise Unavailable(f"{kind}: {report['errors']} errors, {report['lost']} connections lost")
    return report


def beside(run, layout, mode, *arguments, value, wanted=KINDS, **more):
    """All servers in turn, several rounds; gives {kind: median of value(report)}."""
    values = {}
    for _ in range(run.rounds):
        for kind in kinds(run, *wanted):
            values.setdefault(kind, []).append(value(load(run, kind, layout, mode, *arguments, **more)))
    return {kind: median(several) for kind, several in values.items()}


def rate(report):
    """Operations (or entries) per second."""
    return report["per_second"]


def cpu_each(report):
    """CPU time of the server under test for each, in microseconds; of slapd where it is asked directly."""
    processes = report["processes"]
    return processes.get("server", processes["slapd"])["cpu_us_each"]


def ldap_search(run):
    """Relayed searches, one at a time on each of 16 connections, and pipelined."""
    one, many = ("--connections", 16), ("--connections", 4, "--depth", 32)
    cost = beside(run, "split", "search", *one, value=cpu_each)
    return [
        Beside("CPU per search", cost, [("forwarder", "<=", 1.6), ("backldap", "<=", 0.55)], "µs"),
        Beside("searches per second", beside(run, "shared", "search", *one, value=rate), [("backldap", ">=", 1.3)]),
        Beside("the same, 32 under way on each of 4", beside(run, "shared", "search", *many, value=rate),
               [("backldap", ">=", 1.1)]),
    ]


def ldap_paged(run):
    """Everybody of 200,000, in pages of 1,000, on one connection."""
    value = beside(run, "shared", "paged", value=rate, people=MANY, seconds=run.seconds(15, 6))
    return [Beside("entries per second", value, [("direct", ">=", 0.9)])]


def ldap_rebind(run):
    """Binds of an exempt account, again and again on each of 8 connections."""
    arguments = ("--connections", 8)
    cost = beside(run, "split", "rebind", *arguments, value=cpu_each)
    return [
        Beside("CPU per rebind", cost, [("forwarder", "<=", 1.8), ("backldap", "<=", 0.30)], "µs"),
        Beside("rebinds per second", beside(run, "shared", "rebind", *arguments, value=rate),
               [("backldap", ">=", 2.5)]),
    ]


def ldap_fresh(run):
    """Connect, bind, search, unbind: a new connection each time, 8 at a time."""
    value = beside(run, "shared", "session", "--connections", 8, value=rate)
    return [Beside("sessions per second", value, [("backldap", ">=", 1.0)])]


def ldap_latency(run):
    """What a relay adds to one search at a time."""
    median_of = lambda report: 1000 * report["latency_ms"]["p50"]
    value = beside(run, "split", "search", "--connections", 1, value=median_of)
    added = {kind: each - value["direct"] for kind, each in value.items() if kind != "direct"}
    above = {"anteroom": added["anteroom"] - added["forwarder"]} if "anteroom" in added else {}
    return [
        Beside("median of a search", value, unit="µs"),
        Beside("more than the directory's own", added, unit="µs"),
        Beside("Anteroom's beyond the forwarder's", above, [("value", "<=", 60)], "µs"),
    ]


def cpu_seconds(pid):
    """User and system time of a process so far."""
    fields = open(f"/proc/{pid}/stat", encoding="ascii").read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def settle(pid):
    """Waits until a process that was just started has done what it does at its start, such as looking through its store."""
    for _ in range(60):
        before = cpu_seconds(pid)
        time.sleep(0.5)
        if cpu_seconds(pid) - before <= 0.01:
            return


def handshakes(run, port, pid, seconds):
    """CPU microseconds of one full TLS handshake, by openssl's own client."""
    settle(pid)
    before = cpu_seconds(pid)
    command = [*run.peers.pin("split", "rest"), "openssl", "s_time", "-connect", f"127.0.0.1:{port}", "-new",
               "-time", str(seconds)]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    used = cpu_seconds(pid) - before
    count = re.search(r"(\d+) connections in \d+ real seconds", done.stdout)
    if not count or int(count[1]) < 10:
        raise Unavailable(f"{' '.join(command)}: {done.stdout[-200:]}")
    run.say(f"port {port}: {count[1]} handshakes, {1e6 * used / int(count[1]):.0f} us each")
    return 1e6 * used / int(count[1])


def ldap_handshake(run):
    """Full TLS handshakes with the listener, beside slapd's own."""
    seconds, cost = run.seconds(8, 4), {}
    for _ in range(run.rounds):
        with run.peers.slapd(PEOPLE, "split", part="server") as slapd:
            cost.setdefault("direct", []).append(handshakes(run, LDAP_PORTS["direct_tls"], slapd, seconds))
        if "anteroom" in run.kinds:
            with run.peers.slapd(PEOPLE, "split"), run.peers.ldap_server("anteroom", "split", PEOPLE) as server:
                cost.setdefault("anteroom", []).append(handshakes(run, LDAP_PORTS["anteroom_tls"], server, seconds))
    cost = {kind: median(several) for kind, several in cost.items()}
    return [Beside("CPU per full handshake", cost, [("direct", "<=", 0.5)], "µs")]


def resident(pid):
    """Resident memory in KiB."""
    for line in open(f"/proc/{pid}/status", encoding="ascii"):
        if line.startswith("VmRSS:"):
            return int(line.split()[1])
    raise Unavailable(f"process {pid} is gone")


def ldap_held(run):
    """Connections with held binds, and what each of them is resident."""
    if "anteroom" not in run.kinds:
        return []
    rows = []
    for port, authority, most, what in (("anteroom", None, 12, "plain"),
                                        ("anteroom_tls", run.peers.state / "tls/cert.pem", 32, "with TLS")):
        names = [f"uid=u{number:06d},ou=people,{BASE}" for number in range(HELD)]
        with run.peers.slapd(PEOPLE, "shared"), run.peers.phone(300_000, "shared"), \
                run.peers.ldap_server("anteroom", "shared", PEOPLE) as server:
            before = resident(server)
            with holding.held(LDAP_PORTS[port], names, PASSWORD, authority) as connections:
                deadline = time.monotonic() + 60
                while run.peers.asked() < HELD and time.monotonic() < deadline:
                    time.sleep(0.2)
                time.sleep(2)
                asked, highest, answered = run.peers.asked(), resident(server), holding.answered(connections)
        each = (highest - before) / HELD
        run.say(f"{what}: {asked} prompts, {answered} answered early, {before} KiB before, {highest} KiB with")
        rows += [
            Beside(f"held, {what}", {"anteroom": asked - answered}, [("value", ">=", HELD)]),
            Beside(f"resident for each, {what}", {"anteroom": each}, [("value", "<=", most)], "KiB",
                   f"{HELD} of the 20,000 of the target: two open files each"),
        ]
    return rows


ALL = (ldap_search, ldap_paged, ldap_rebind, ldap_fresh, ldap_latency, ldap_handshake, ldap_held)
