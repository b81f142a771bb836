"""Requests that are handed on to a RADIUS server, Anteroom beside FreeRADIUS as a proxy and radsecproxy; and RadSec
beside UDP. The server behind is the bare responder; nobody needs a second factor."""
import subprocess
from contextlib import contextmanager
from statistics import median

from .peers import BARE_PORT, CONFIG, KEY, KEY_ID, LDAP_PORT, PASSWORD, PORTS, PROMPT_PORT, SECRET, BASE, wait_for_port
from .table import Row

PEOPLE, UNDER_WAY, PROXY_PORT, TLS_PORT = 10_000, 64, 28123, 28283

TARGET = """\
[target.bench]
type = "radius"
servers = ["127.0.0.1:{target}"]
secret = "{secret}"
sockets = 256
timeout = "2m"
tries = 1
[[rule]]
name = "nobody needs a second factor here"
clients = ["bench", "bench-tls"]
then = "skip"
"""

TLS = """
[radius.tls]
listen = "127.0.0.1:{port}"
certificate = "{tls}/cert.pem"
certificate_key = "{tls}/key.pem"
client_ca_file = "{tls}/ca.pem"
[[radius.client]]
name = "bench-tls"
address = "127.0.0.0/8"
transport = "tls"
certificate_names = "bench"
answer_within = "1m"
held = 200000
packets_per_second = 1000000
"""

RADSECPROXY = """\
ListenUDP 127.0.0.1:{port}
LogLevel 3
client 127.0.0.1 {{
    type udp
    secret {secret}
}}
server target {{
    type udp
    host 127.0.0.1
    port {target}
    secret {secret}
    StatusServer off
}}
realm * {{
    server target
}}
"""


def certificates(folder):
    """An authority and one certificate for both sides."""
    folder.mkdir(exist_ok=True)
    run = lambda *words: subprocess.run(["openssl", *words], cwd=folder, check=True, capture_output=True)
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    run("req", "-x509", *key, "-days", "30", "-subj", "/CN=bench authority", "-keyout", "ca.key", "-out", "ca.pem",
        "-addext", "basicConstraints=critical,CA:TRUE")
    run("req", *key, "-subj", "/CN=bench", "-keyout", "key.pem", "-out", "request.pem")
    (folder / "names").write_text("subjectAltName=DNS:bench,IP:127.0.0.1\nbasicConstraints=CA:FALSE\n")
    run("x509", "-req", "-in", "request.pem", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "30",
        "-extfile", "names", "-out", "cert.pem")
    return folder


def anteroom_files(run, tls=""):
    """Anteroom in front of the responder; gives the command."""
    command = run.peers.anteroom_files(PEOPLE)
    file = run.peers.state / "anteroom/anteroom.toml"
    whole = CONFIG.format(port=PORTS["anteroom"], secret=SECRET, password=PASSWORD, base=BASE, ldap=LDAP_PORT,
                          prompts=PROMPT_PORT, key_id=KEY_ID, key=KEY, answer_within="2m", dn_from_store="false")
    before, rest = whole.split("[target.bench]\n")
    after = rest[rest.index("[provider.bench]"):].replace("held = 200000\n", "held = 200000\nat_directory = 200000\n")
    target = TARGET.format(target=BARE_PORT, secret=SECRET)
    if not tls:
        target = target.replace(', "bench-tls"', "")
    file.write_text(before + tls + target + after)
    return command


@contextmanager
def forwarder(run, kind, layout, tls=""):
    """What hands requests on; gives its pid and its port."""
    pin = run.peers.pin(layout, "server")
    if kind == "freeradius":
        run.peers.script("freeradius.sh", "start", pin=pin, FR_NAME="forward", FR_TARGET=BARE_PORT)
        try:
            yield int(run.peers.script("freeradius.sh", "pid")), PORTS[kind]
        finally:
            run.peers.script("freeradius.sh", "stop")
        return
    if kind == "radsecproxy":
        file = run.peers.state / "radsecproxy.conf"
        file.write_text(RADSECPROXY.format(port=PROXY_PORT, secret=SECRET, target=BARE_PORT))
        command, port = ["radsecproxy", "-f", "-c", str(file)], PROXY_PORT
    else:
        command, port = anteroom_files(run, tls), PORTS["anteroom"]
    with run.peers.process(pin + command, f"{kind}.log") as child:
        wait_for_port("udp", port, child)
        if tls:
            wait_for_port("tcp", TLS_PORT, child)
        yield child.pid, port


def measure(run, kind, layout, *arguments, delay_ms=0):
    """One run of the load against one of them; gives the load's report."""
    with run.peers.bare(layout, "rest", delay_ms), forwarder(run, kind, layout) as (pid, port):
        report = run.peers.load(layout, "radius", "--server", f"127.0.0.1:{port}", "--secret", SECRET, "--password",
                                PASSWORD, "--unsigned-replies", *arguments, pids={"server": pid})
    run.say(f"{kind}: {report['per_second']}/s, p50 {report['latency_ms']['p50']} ms, p99 {report['latency_ms']['p99']} "
            f"ms, rejected {report['rejected']}, lost {report['lost']}, CPU us each "
            f"{report['processes']['server']['cpu_us_each']}")
    return report


def closed(run, under_way=UNDER_WAY):
    """Arguments of a closed loop."""
    seconds = run.seconds(10, 4)
    return ["--people", PEOPLE, "--under-way", under_way, "--seconds", 1 + seconds, "--warmup", 1]


def forward(run):
    """Requests handed on to a RADIUS server."""
    kinds = [*run.kinds, "radsecproxy"]
    rates, costs = {}, {}
    for _ in range(run.rounds):
        for kind in kinds:
            report = measure(run, kind, "split", *closed(run))
            rates.setdefault(kind, []).append(report["per_second"])
            costs.setdefault(kind, []).append(report["processes"]["server"]["cpu_us_each"])
    rate = {kind: median(several) for kind, several in rates.items()}
    cost = {kind: median(several) for kind, several in costs.items()}
    ours = rate.get("anteroom")
    return [
        Row("per second, the server on a CPU of its own", ours, rate.get("freeradius"), (">=", 2), "ratio"),
        Row("the same, times radsecproxy's", ours and ours / rate["radsecproxy"], None, (">=", 1.2), "value",
            note=f"radsecproxy: {rate['radsecproxy']:.0f}"),
        Row("CPU of each", cost.get("anteroom"), cost.get("freeradius"), unit="µs",
            note=f"radsecproxy: {cost['radsecproxy']} µs"),
    ]


def forward_held(run):
    """50,000 requests handed on, and not answered for a while."""
    if "anteroom" not in run.kinds:
        return []
    count = 50_000
    report = measure(run, "anteroom", "shared", "--people", count, "--under-way", count, "--ramp", 12, "--count", count,
                     "--timeout-ms", 60_000, delay_ms=25_000)
    server = report["processes"]["server"]
    each = (server["rss_highest_kib"] - server["rss_before_kib"]) / max(report["most_under_way"], 1)
    return [
        Row("outstanding at once", report["most_under_way"], None, (">=", count), "value"),
        Row("lost or refused", report["sent"] - report["accepted"], None, ("<=", 0), "value"),
        Row("resident for each", each, None, ("<=", 4), "value", "KiB",
            f"idle {server['rss_before_kib'] // 1024} MiB, highest {server['rss_highest_kib'] // 1024} MiB"),
    ]


def forward_tls(run):
    """Requests over one connection of TLS, beside as many over UDP."""
    if "anteroom" not in run.kinds:
        return []
    tls = certificates(run.peers.state / "radsec")
    section = TLS.format(port=TLS_PORT, tls=tls)
    shares, udp, over_tls = [], [], []
    for _ in range(run.rounds):
        with run.peers.bare("split", "rest"), forwarder(run, "anteroom", "split", section) as (pid, port):
            plain = run.peers.load("split", "radius", "--server", f"127.0.0.1:{port}", "--secret", SECRET, "--password",
                                   PASSWORD, "--ports", 1, *closed(run), pids={"server": pid})
            secure = run.peers.load("split", "radsec", "--server", f"127.0.0.1:{TLS_PORT}", "--ca", tls / "ca.pem",
                                    "--certificate", tls / "cert.pem", "--key", tls / "key.pem", "--password", PASSWORD,
                                    *closed(run), pids={"server": pid})
        udp.append(plain["per_second"])
        over_tls.append(secure["per_second"])
        shares.append(over_tls[-1] / udp[-1])
        used = [report["processes"]["server"]["cpu_us_each"] for report in (plain, secure)]
        run.say(f"UDP {udp[-1]}/s, TLS {over_tls[-1]}/s, CPU us each {used}, refused {secure['rejected']}")
    return [
        Row("per second over TLS", median(over_tls)),
        Row("the same, share of UDP's", median(shares), None, (">=", 0.7), "value", note=f"UDP: {median(udp):.0f}"),
    ]


ALL = (forward, forward_held, forward_tls)
