"""Prompts held open at the clouds: what each costs, how fast they begin, how many TLS handshakes they take.

The provider under test runs alone in a process of its own (examples/hold_prompts), against `anteroom simulate` with
TLS, both on the same CPUs."""
import json
import os
import subprocess
from urllib.request import urlopen
import ssl

from .peers import Unavailable, wait_for_port
from .table import Row

PROMPTS, PER_SECOND, PORT = 10_000, 2_000, 28443
SECRET = "simulated-secret-0123456789abcdef"
SECTIONS = {
    "entra": f'type = "entra"\ntenant = "tenant.example"\nclient_secret = "{SECRET}"\nlogin = "https://localhost:{PORT}"\n',
    "duo": 'type = "duo"\nikey = "DIANTEROOMSIMULATED0"\nskey = "simulated-secret-key-of-forty-characters"\n',
    "privacyidea": f'type = "privacyidea"\naccount = "anteroom"\npassword = "{SECRET}"\nrealm = "example"\n'
                   'user = "name"\ntriggers = "method"\n',
    "okta": f'type = "okta"\ntoken = "{SECRET}"\n',
    "native": f'type = "native"\nkey_id = "anteroom"\nkey = "{SECRET}"\n',
}
CONFIG = """\
[[radius.client]]
name = "bench"
address = "127.0.0.1"
secret = "0123456789abcdef0123"
[target.bench]
type = "ldap"
servers = "ldaps://ldap.bench.test"
base = "dc=bench"
bind_name = "cn=bench"
bind_password = "bench"
[provider.cloud]
timeout = "60s"
"""


def clouds(run):
    """10,000 prompts held at once at each cloud, 2,000 begun each second."""
    if "anteroom" not in run.kinds:
        return []
    rows = []
    for word in os.environ.get("BENCH_CLOUDS", " ".join(SECTIONS)).split():
        report = hold(run, word)
        run.say(f"{word}: {report}")
        each = (report["rss_highest_kib"] - report["rss_idle_kib"]) / max(report["most_open"], 1)
        rows += [
            Row(f"{word}: held at once", report["most_open"], None, (">=", 0.99 * PROMPTS), "value"),
            Row(f"{word}: not approved", PROMPTS - report["approved"], None, ("<=", 0), "value"),
            Row(f"{word}: resident for each", each, None, ("<=", 6), "value", "KiB"),
            Row(f"{word}: begun per second", report["per_second"], None, (">=", 0.98 * PER_SECOND), "value"),
            Row(f"{word}: prompts beyond one each", report["prompted"] - PROMPTS - report["warmed"], None,
                ("<=", 0), "value"),
        ]
        rows.append(Row(f"{word}: TLS handshakes for each connection",
                        report["handshakes"] / max(report["accepted"], 1), None, ("<=", 1), "value",
                        note=f"{report['accepted']} connections, {report['requests']} requests"))
    return rows


def hold(run, word):
    """One cloud; gives the report of hold_prompts with the simulator's own figures."""
    peers, folder = run.peers, run.peers.state / f"cloud-{word}"
    folder.mkdir(exist_ok=True)
    certificate, key = folder / "cert.pem", folder / "key.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                    "-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost",
                    # Nobody takes an authority's certificate for a server's.
                    "-addext", "basicConstraints=critical,CA:FALSE", "-keyout", str(key), "-out", str(certificate)], check=True, stderr=subprocess.DEVNULL)
    # Answered after all have begun; the polls meanwhile are part of what is measured.
    (folder / "scenario.toml").write_text('[everybody]\nanswer = "approve"\nafter = "15s"\nexpires = "2m"\n')
    url = f"https://localhost:{PORT}"
    section = SECTIONS[word] + f'url = "{url}"\nca_file = "{certificate}"\n'
    (folder / "anteroom.toml").write_text(CONFIG + section)
    (folder / "anteroom.toml").chmod(0o600)
    command = [str(peers.programs / "anteroom"), "simulate", word, "--port", str(PORT), "--scenario",
               str(folder / "scenario.toml"), "--certificate", str(certificate), "--key", str(key)]
    holder = [str(peers.programs / "examples/hold_prompts"), "--config", str(folder / "anteroom.toml"),
              "--prompts", str(PROMPTS), "--per-second", str(PER_SECOND)]
    with peers.process(peers.pin("shared", "rest") + command, f"simulate-{word}.log") as child:
        wait_for_port("tcp", PORT, child)
        done = subprocess.run(peers.pin("shared", "server") + holder, stdout=subprocess.PIPE, text=True, check=False)
        if done.returncode != 0:
            raise Unavailable(f"{' '.join(holder)} ended with {done.returncode}")
        report = json.loads(done.stdout.strip().splitlines()[-1])
        trust = ssl.create_default_context(cafile=str(certificate))
        with urlopen(f"{url}/simulator/counts", timeout=10, context=trust) as answer:
            counts = json.load(answer)
    if not report["warmed"]:
        raise Unavailable(f"{word}: nobody was approved, not even before the measurement")
    report["prompted"] = counts["prompts"]
    report["per_second"] = PROMPTS / max(report["seconds_to_begin"], 1e-9)
    # The question just now took a connection of its own.
    report["handshakes"], report["accepted"] = counts["handshakes"] - 1, counts["connections"] - 1
    report["requests"] = counts["requests"]
    return report
