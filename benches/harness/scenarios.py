"""What is measured: one function for each line of the table of contents in docs/performance.md.

Each gives rows of Anteroom beside FreeRADIUS; those of the LDAP door are in ldap.py, those of the import in importing.py, those of
requests that are handed on in forwarding.py. Both get the same directory, prompt service, load
generator, CPUs and number of requests under way, one after the other in the same run."""
import time
from statistics import median

from . import clouds, forwarding, importing, ldap
from .peers import BARE_PORT, PASSWORD, PORTS, SECRET
from .table import Row

PEOPLE = 10_000
UNDER_WAY = 64


class Run:
    """One run of the script: which servers, how long, how often."""

    def __init__(self, peers, options):
        self.peers, self.options = peers, options
        self.kinds = [kind for kind in ("anteroom", "freeradius") if options.only in (None, kind)]
        self.rounds = options.rounds or (1 if options.quick else 3)

    def seconds(self, full, quick):
        """A length that --quick makes shorter."""
        return quick if self.options.quick else full

    def say(self, text):
        """Progress, where the table will not be disturbed."""
        print(f"  {text}", flush=True)

    def radius(self, kind, layout, *arguments, pids=None):
        """One run of the load against a server."""
        return self.peers.load(layout, "radius", "--server", f"127.0.0.1:{PORTS[kind]}", "--secret", SECRET,
                               "--password", PASSWORD, *arguments, pids=pids)

    def measure(self, kind, layout, people, *arguments, delay_ms=0, threads=32, dn_from_store=False):
        """Starts everything, runs the load once, ends everything; gives the load's report."""
        with self.peers.slapd(people, layout) as slapd, self.peers.phone(delay_ms, layout) as phone, \
                self.peers.server(kind, layout, people, threads, dn_from_store) as server:
            pids = {"server": server, "slapd": slapd, "prompts": phone}
            before = self.peers.operations()
            report = self.radius(kind, layout, "--people", people, "--expected-ms", delay_ms, *arguments, pids=pids)
            report["asked"] = self.peers.asked()
            report["operations"] = {key: value - before[key] for key, value in self.peers.operations().items()}
        used = {name: process["cpu_us_each"] for name, process in report["processes"].items()}
        self.say(f"{kind}{' (DN from store)' if dn_from_store else ''}, {threads} threads: " if kind == "freeradius"
                 else f"{kind}{' (DN from store)' if dn_from_store else ''}: ")
        self.say(f"  {report['per_second']}/s, p50 {report['latency_ms']['p50']} ms, p99 "
                 f"{report['latency_ms']['p99']} ms, rejected {report['rejected']}, lost {report['lost']}, "
                 f"CPU us each {used}")
        return report

    def beside(self, layout, people, *arguments, value, **more):
        """Both servers, in turn, several rounds; gives {kind: median of value(report)}."""
        values = {}
        for _ in range(self.rounds):
            for kind in self.kinds:
                values.setdefault(kind, []).append(value(self.measure(kind, layout, people, *arguments, **more)))
            if "anteroom" in self.kinds:
                known = self.measure("anteroom", layout, people, *arguments, **more, dn_from_store=True)
                values.setdefault("known", []).append(value(known))
        return {kind: median(several) for kind, several in values.items()}


def closed(under_way, seconds, warmup, ramp=0.5):
    """Arguments of a closed loop."""
    return ["--under-way", under_way, "--seconds", warmup + seconds, "--warmup", warmup, "--ramp", ramp]


def cpu(run):
    """CPU time per sign-in."""
    value = run.beside("split", PEOPLE, *closed(UNDER_WAY, run.seconds(10, 4), 2),
                       value=lambda report: report["processes"]["server"]["cpu_us_each"])
    return [
        Row("CPU per sign-in", value.get("anteroom"), value.get("freeradius"), ("<=", 0.40), "ratio", "µs"),
        Row("the same, DN known from the store", value.get("known"), value.get("freeradius"), unit="µs"),
    ]


def rate(run):
    """Sign-ins per second."""
    value = run.beside("shared", PEOPLE, *closed(UNDER_WAY, run.seconds(10, 4), 2),
                       value=lambda report: report["per_second"])
    return [
        Row("sign-ins per second", value.get("anteroom"), value.get("freeradius"), (">=", 1.9), "ratio"),
        Row("the same, DN known from the store", value.get("known"), value.get("freeradius")),
    ]


def held200ms(run):
    """A prompt of 200 ms, 12,800 under way."""
    people, own, held, theirs = 20_000, None, None, {}
    seconds = run.seconds(10, 4)
    if "freeradius" in run.kinds:
        # With 12,800 under way, 32 threads would answer each after 80 s, at the same rate: so it gets 64.
        # For 1,000 threads both are measured: the same load, and the load that suits it best.
        for name, count, under_way, warmup, ramp in (("32", 32, 64, 2, 1), ("1000", 1000, 12_800, 12, 8),
                                                     ("1000 best", 1000, 1_200, 8, 4)):
            report = run.measure("freeradius", "shared", people, *closed(under_way, seconds, warmup, ramp),
                                 delay_ms=200, threads=count)
            theirs[name] = report["per_second"]
    if "anteroom" in run.kinds:
        own = run.measure("anteroom", "shared", people, *closed(UNDER_WAY, seconds, 2))["per_second"]
        report = run.measure("anteroom", "shared", people, *closed(12_800, seconds, 8, 5), delay_ms=200)
        held = report["per_second"]
    return [
        Row("per second, FreeRADIUS with 32 threads", held, theirs.get("32"), (">=", 100), "ratio"),
        Row("per second, FreeRADIUS with 1,000 threads", held, theirs.get("1000"), (">=", 4), "ratio",
            note="12,800 under way at both"),
        Row("the same, FreeRADIUS given 1,200 at once", held, theirs.get("1000 best")),
        Row("share of our own rate at 0 ms", held / own if own else None, None, (">=", 0.85), "value"),
    ]


def held5s(run):
    """A prompt of 5 s: limited by the offered load."""
    people, seconds = 50_000, run.seconds(20, 8)
    offered, reports = run.options.offered, {}
    for kind in run.kinds:
        arguments = ["--rate", offered, "--seconds", 6 + seconds, "--warmup", 6, "--timeout-ms", 15_000]
        if kind == "freeradius":
            arguments = closed(1200, seconds, 10, 5) + ["--timeout-ms", 20_000]
        reports[kind] = run.measure(kind, "shared", people, *arguments, delay_ms=5_000, threads=1000)
    ours, theirs = reports.get("anteroom"), reports.get("freeradius")
    return [
        Row(f"per second of {offered} offered, FreeRADIUS with 1,000 threads", ours and ours["per_second"],
            theirs and theirs["per_second"], (">=", 0.98 * offered), "value"),
        Row("lost", ours and ours["lost"], theirs and theirs["lost"], ("<=", 0), "value"),
        Row("later than the person, p99", ours and ours["late_ms"]["p99"], None, unit="ms"),
    ]


def held100k(run):
    """100,000 sign-ins held at once, 30 s each."""
    if "anteroom" not in run.kinds:
        return []
    count = 100_000
    report = run.measure("anteroom", "shared", 200_000, "--rate", run.options.offered, "--count", count,
                         "--timeout-ms", 45_000, delay_ms=30_000)
    server = report["processes"]["server"]
    each = (server["rss_highest_kib"] - server["rss_before_kib"]) / max(report["most_under_way"], 1)
    return [
        Row("held at once", report["most_under_way"], None, (">=", 0.99 * count), "value"),
        Row("lost or refused", report["sent"] - report["accepted"], None, ("<=", 0), "value"),
        Row("prompts beyond one each", report["asked"] - count, None, ("<=", 0), "value"),
        Row("resident for each", each, None, ("<=", 3), "value", "KiB",
            f"idle {server['rss_before_kib'] // 1024} MiB, highest {server['rss_highest_kib'] // 1024} MiB"),
        Row("later than the person, p99", report["late_ms"]["p99"], None, ("<=", 50), "value", "ms",
            "search and bind included"),
    ]


def single(run):
    """One sign-in at a time, everything on one CPU."""
    value = run.beside("one", PEOPLE, *closed(1, run.seconds(8, 4), 1),
                       value=lambda report: report["latency_ms"]["p50"])
    return [
        Row("median", value.get("anteroom"), value.get("freeradius"), ("<=", 0.70), "ratio", "ms"),
        Row("the same, DN known from the store", value.get("known"), value.get("freeradius"), unit="ms"),
    ]


def retransmit(run):
    """What a retransmission costs."""
    layout, rounds, cost, touched = "split", run.seconds(200, 60), {}, {}
    arguments = ["--secret", SECRET, "--password", PASSWORD, "--requests", 1024]
    for _ in range(run.rounds):
        with run.peers.bare(layout) as pid:
            report = run.peers.load(layout, "retransmit", "--server", f"127.0.0.1:{BARE_PORT}", *arguments,
                                    "--rounds", rounds, pids={"server": pid})
            cost.setdefault("bare", []).append(report["processes"]["server"]["cpu_us_each"])
        for kind in run.kinds:
            # FreeRADIUS keeps its replies for 5 s: so many repetitions fit in.
            repeats = min(rounds, 25) if kind == "freeradius" else rounds
            with run.peers.slapd(PEOPLE, layout), run.peers.phone(0, layout), \
                    run.peers.server(kind, layout, PEOPLE) as server:
                before = run.peers.operations()
                report = run.peers.load(layout, "retransmit", "--server", f"127.0.0.1:{PORTS[kind]}", *arguments,
                                        "--rounds", repeats, pids={"server": server})
                searches = run.peers.operations()["searches"] - before["searches"]
                asked = run.peers.asked()
            # The look at the counters is two searches itself.
            touched[kind] = max(0, searches - 2 - 1024) + asked - 1024
            cost.setdefault(kind, []).append(report["processes"]["server"]["cpu_us_each"])
            run.say(f"{kind}: {report['sent']} repetitions, {report['identical']} identical, "
                    f"{report['different']} different, {report['lost']} lost, {cost[kind][-1]} us each")
    cost = {kind: median(several) for kind, several in cost.items()}
    ours = cost.get("anteroom")
    return [
        Row("CPU of a retransmission", ours, cost.get("freeradius"), unit="µs"),
        Row("the same, times a bare responder's", ours and ours / cost["bare"],
            cost.get("freeradius") and cost["freeradius"] / cost["bare"], ("<=", 2), "value",
            note=f"bare responder: {cost['bare']} µs"),
        Row("calls of a back end", touched.get("anteroom"), touched.get("freeradius"), ("<=", 0), "value"),
    ]


def overload(run):
    """Twice the load that it can take."""
    people, seconds, layout = 200_000, run.seconds(30, 10), "split"
    found = {}
    for kind in run.kinds:
        peak = run.measure(kind, layout, people, *closed(256, run.seconds(10, 4), 2))["per_second"]
        report = run.measure(kind, layout, people, "--rate", 2 * peak, "--seconds", seconds, "--timeout-ms", 5_000,
                             "--idle-check")
        found[kind] = {"share": report["window_accepted"] / report["window_seconds"] / peak,
                       "idle": 100 * report["idle_cpu_seconds"]["server"], "peak": peak,
                       "p99": report["latency_ms"]["p99"], "refused": report["rejected"]}
    get = lambda kind, key: found.get(kind, {}).get(key)
    return [
        Row("peak per second", get("anteroom", "peak"), get("freeradius", "peak")),
        Row("accepted within 5 s under twice that, share of peak", get("anteroom", "share"),
            get("freeradius", "share"), (">=", 0.9), "value"),
        Row("refused", get("anteroom", "refused"), get("freeradius", "refused")),
        Row("p99 of the accepted", get("anteroom", "p99"), get("freeradius", "p99"), unit="ms"),
        Row("CPU from 1 s to 2 s after the load", get("anteroom", "idle"), get("freeradius", "idle"), ("<=", 2),
            "value", "%"),
    ]


def start(run):
    """From the start of the program to its first answer."""
    layout, rows = "split", []
    for people in (PEOPLE, 200_000):
        took, resident = {}, {}
        with run.peers.slapd(people, layout), run.peers.phone(0, layout):
            for _ in range(run.seconds(5, 3)):
                for kind in run.kinds:
                    report = run.peers.first(kind, layout, people)
                    took.setdefault(kind, []).append(report["first_answer_ms"])
                    resident.setdefault(kind, []).append(report["resident_kib"] / 1024)
                    run.say(f"{kind}, {people} people: {report}")
        worst = {kind: max(value if value is not None else 1e9 for value in several)
                 for kind, several in took.items()}
        held = {kind: max(several) for kind, several in resident.items()}
        rows += [
            Row(f"first answer, {people:,} people, slowest of {run.seconds(5, 3)}", worst.get("anteroom"),
                worst.get("freeradius"), ("<=", 50), "value", "ms"),
            Row(f"resident after it, {people:,} people", held.get("anteroom"), held.get("freeradius"), ("<=", 40),
                "value", "MiB"),
        ]
    return rows


def memory(run):
    """Resident memory with 200,000 people in the store, after start and under full load."""
    people, before, highest = 200_000, {}, {}
    for kind in run.kinds:
        report = run.measure(kind, "shared", people, *closed(256, run.seconds(30, 10), 2))
        server = report["processes"]["server"]
        before[kind], highest[kind] = server["rss_before_kib"] / 1024, server["rss_highest_kib"] / 1024
    return [
        Row("after start", before.get("anteroom"), before.get("freeradius"), ("<=", 40), "value", "MiB"),
        Row("under full load", highest.get("anteroom"), highest.get("freeradius"), ("<=", 96), "value", "MiB"),
    ]


ALL = {function.__name__: function for function in
       (cpu, rate, held200ms, held5s, held100k, single, retransmit, overload, start, memory, *ldap.ALL,
        *forwarding.ALL, clouds.clouds, *importing.ALL)}


def run_one(name, run):
    """Runs a scenario and tells how long it took."""
    began = time.monotonic()
    print(f"\n{name}: {ALL[name].__doc__.splitlines()[0]}", flush=True)
    rows = ALL[name](run)
    print(f"  ({time.monotonic() - began:.0f} s)", flush=True)
    return rows
