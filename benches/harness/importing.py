"""What is measured of the import: each beside floors of the same run. The paged read of the same attributes to
nowhere, and the bulk insert of the same rows with the same indexes by the database's own shell."""
import json
import os
import shutil
import subprocess
import time
from contextlib import contextmanager
from statistics import median

from .peers import BASE, LDAP_PORT, LDAP_PORTS, PASSWORD, ROOT, Unavailable
from .table import Floors

PEOPLE = int(os.environ.get("BENCH_IMPORT_PEOPLE", "200000"))
MILLION = int(os.environ.get("BENCH_IMPORT_MILLION", "1000000"))
POSTGRES_PORT = 28432
# What the item below asks for; people.py gives twelve of them to everybody.
ATTRIBUTES = ("entryUUID,pwdAccountLockedTime,uid,employeeNumber,givenName,sn,mail,mobile,telephoneNumber,homePhone,"
              "preferredLanguage,departmentNumber,description")
CONFIG = """\
[server]
name = "bench"
{store}
[[radius.client]]
name = "bench"
address = "127.0.0.1"
secret = "bench-shared-secret"
[target.bench]
type = "ldap"
servers = ["ldap://127.0.0.1:{ldap}"]
plaintext = true
base = "ou=people,{base}"
bind_name = "cn=svc-proxy,ou=services,{base}"
bind_password = "{password}"
[provider.bench]
type = "native"
url = "http://127.0.0.1:28180"
key_id = "bench"
key = "a-key-of-more-than-thirty-two-octets-for-benchmarks"
"""
ITEM = """
[import]
stop_above = 999
[[import.item]]
name = "everybody"
ou = "ou=people,{base}"
{more}
[import.item.attributes]
aliases = ["employeeNumber"]
group = ["departmentNumber"]
"""
# What an import writes, in the order in which the directory gives it: unique ids come in none.
TABLES = {"people": "name", "names": "CAST(substr(folded, 2) AS INTEGER), folded", "changes": "id"}


class Imported:
    """What one run of `anteroom import` was."""

    def __init__(self, seconds, rss, summary):
        self.seconds, self.rss, self.summary = seconds, rss, summary

    @property
    def hold_ms(self):
        """The longest that others were kept from changing people."""
        return self.summary["longest_hold_us"] / 1000


class Bench:
    """A folder with a configuration, and the directory that it reads."""

    def __init__(self, run, people, store='store = "anteroom.db"'):
        self.run, self.people = run, people
        self.folder = run.peers.state / "import"
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(mode=0o700)
        self.store = self.folder / "anteroom.db"
        self.config = self.folder / "anteroom.toml"
        self.write(CONFIG.format(store=store, ldap=LDAP_PORT, base=BASE, password=PASSWORD) +
                   ITEM.format(base=BASE, more=""))

    def write(self, text):
        """Writes the configuration."""
        self.config.write_text(text)
        self.config.chmod(0o600)

    @contextmanager
    def directory(self):
        """The people with twelve attributes."""
        variables = {"BENCH_PEOPLE": "whole"}
        peers = self.run.peers
        peers.script("slapd.sh", "start", self.people, pin=peers.pin("shared", "rest"), **variables)
        try:
            yield
        finally:
            peers.script("slapd.sh", "stop", self.people, **variables)

    def change(self, many):
        """Gives some of the people another description."""
        self.run.peers.script("slapd.sh", "change", self.people, many, BENCH_PEOPLE="whole")

    def read(self):
        """Seconds of the bare read."""
        report = self.run.peers.load(
            "shared", "read", "--server", f"127.0.0.1:{LDAP_PORTS['direct']}", "--base", f"ou=people,{BASE}",
            "--attributes", ATTRIBUTES, "--name", f"cn=svc-proxy,ou=services,{BASE}", "--password", PASSWORD)
        if report["entries"] != self.people:
            raise Unavailable(f"{report['entries']} entries were read, not {self.people}")
        return report["seconds"]

    def command(self, *arguments):
        """A command of anteroom with this configuration."""
        return [str(self.run.peers.programs / "anteroom"), *arguments, "--config", str(self.config)]

    def anteroom(self, *arguments):
        """Runs an import; gives how it was."""
        command = self.run.peers.pin("shared", "server") + self.command("import", "--quiet", *arguments)
        began = time.monotonic()
        child = subprocess.Popen(command, stdin=subprocess.DEVNULL)
        _, status, usage = os.wait4(child.pid, 0)
        seconds = time.monotonic() - began
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode != 0:
            raise Unavailable(f"{' '.join(command)} ended with {child.returncode}")
        status = subprocess.run(self.command("import", "status", "--json"), stdout=subprocess.PIPE, text=True, check=True)
        imported = Imported(seconds, usage.ru_maxrss / 1024, json.loads(status.stdout)["runs"][0]["summary"])
        self.run.say(f"import {' '.join(arguments)}: {seconds:.2f} s, {imported.rss:.0f} MiB, CPU {usage.ru_utime:.1f} "
                     f"+ {usage.ru_stime:.1f} s, longest hold {imported.hold_ms:.1f} ms, {imported.summary['counts']}")
        return imported

    def fresh(self):
        """Takes the store away."""
        for suffix in ("", "-wal", "-shm"):
            self.store.with_name(self.store.name + suffix).unlink(missing_ok=True)

    def dump(self):
        """All rows that an import has written, as SQL, and the tables that they go into."""
        schema, rows = self.folder / "schema.sql", self.folder / "rows.sql"
        with open(schema, "w", encoding="utf8") as file:
            subprocess.run(["sqlite3", str(self.store), ".schema --nosys"], stdout=file, check=True)
        with open(rows, "w", encoding="utf8") as file:
            file.write("PRAGMA journal_mode = WAL;\nPRAGMA synchronous = NORMAL;\nPRAGMA cache_size = -65536;\nBEGIN;\n")
            file.flush()
            for table, order in TABLES.items():
                select = f"SELECT * FROM {table} ORDER BY {order};"
                subprocess.run(["sqlite3", str(self.store), f".mode insert {table}", select], stdout=file, check=True)
            file.write("COMMIT;\n")
        return schema, rows

    def bulk(self, schema, rows):
        """Seconds of the bulk insert by the sqlite3 shell."""
        copy = self.folder / "bulk.db"
        for suffix in ("", "-wal", "-shm"):
            copy.with_name(copy.name + suffix).unlink(missing_ok=True)
        with open(schema, encoding="utf8") as file:
            subprocess.run(["sqlite3", str(copy)], stdin=file, check=True)
        began = time.monotonic()
        with open(rows, encoding="utf8") as file:
            subprocess.run(self.run.peers.pin("shared", "rest") + ["sqlite3", str(copy)], stdin=file, check=True,
                           stdout=subprocess.DEVNULL)
        return time.monotonic() - began


def import_first(run):
    """First import of 200,000 people with twelve attributes, and a full pass with nothing changed."""
    if "anteroom" not in run.kinds:
        return []
    reads, bulks, firsts, again = [], [], [], []
    bench = Bench(run, PEOPLE)
    with bench.directory():
        bench.read()
        for _ in range(run.rounds):
            bench.fresh()
            reads.append(bench.read())
            firsts.append(bench.anteroom("--full"))
            again.append(bench.anteroom("--full"))
            bulks.append(bench.bulk(*bench.dump()))
            run.say(f"bare read {reads[-1]:.2f} s, bulk insert {bulks[-1]:.2f} s")
        if firsts[0].summary["counts"]["added"] != PEOPLE or again[0].summary["counts"]["unchanged"] != PEOPLE:
            raise Unavailable("not everybody was imported")
        bench.change(10)
        changes = bench.anteroom()
    read, bulk = median(reads), median(bulks)
    seconds = lambda several: median(one.seconds for one in several)
    return [
        Floors(f"first import of {PEOPLE:,}", seconds(firsts), read, bulk, max(read, bulk), ("<=", 1.5), "s"),
        Floors("the same, resident at most", max(one.rss for one in firsts), limit=("<=", 120), unit="MiB"),
        Floors("the same, longest hold of the write lock", max(one.hold_ms for one in firsts), limit=("<=", 50), unit="ms"),
        Floors("full pass, nothing changed", seconds(again), read, None, read, ("<=", 1.3), "s"),
        Floors("the same, resident at most", max(one.rss for one in again), limit=("<=", 120), unit="MiB"),
        Floors("what has changed: 10 people", changes.seconds, limit=("<=", 1), unit="s",
               note=f"{changes.summary['counts']['changed']} changed, {changes.summary['passes']['bench']}"),
        Floors("the same, resident at most", changes.rss, limit=("<=", 120), unit="MiB"),
    ]


@contextmanager
def postgres(run):
    """A PostgreSQL server; gives a function that runs SQL."""
    folder = run.peers.state / "postgres"
    shutil.rmtree(folder, ignore_errors=True)
    command = [str(ROOT / "tests/peers/postgres.sh"), str(folder), str(POSTGRES_PORT)]
    child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        if child.stdout.readline().strip() != "ready":
            raise Unavailable("PostgreSQL does not start")
        environment = dict(os.environ, PGPASSWORD="planted-database-password", PGSSLMODE="require")

        def sql(*statements):
            """Runs statements as one transaction each."""
            words = [word for statement in statements for word in ("-c", statement)]
            return subprocess.run(["psql", "-X", "-qAt", "-v", "ON_ERROR_STOP=1", "-h", "127.0.0.1", "-p",
                                   str(POSTGRES_PORT), "-U", "anteroom", "-d", "bench", *words], env=environment,
                                  stdout=subprocess.PIPE, text=True, check=True).stdout

        subprocess.run(["psql", "-X", "-q", "-h", "127.0.0.1", "-p", str(POSTGRES_PORT), "-U", "anteroom", "-d",
                        "postgres", "-c", "CREATE DATABASE bench"], env=environment, check=True)
        yield folder, sql
    finally:
        child.stdin.close()
        child.wait(60)


def import_postgres(run):
    """First import of 200,000 people into PostgreSQL, beside a COPY of the same rows."""
    if "anteroom" not in run.kinds:
        return []
    reads, copies, firsts, again = [], [], [], []
    with postgres(run) as (folder, sql):
        bench = Bench(run, PEOPLE, f'store = "postgres://anteroom@127.0.0.1:{POSTGRES_PORT}/bench"\n'
                      f'store_password = "planted-database-password"\nstore_ca_file = "{folder}/ca.pem"\n'
                      f'keys = "{run.peers.state}/import/keys"\ncontrol = "{run.peers.state}/import/c.sock"')
        with bench.directory():
            bench.read()
            for number in range(run.rounds):
                if number:
                    sql("DROP SCHEMA public CASCADE", "CREATE SCHEMA public")
                reads.append(bench.read())
                firsts.append(bench.anteroom("--full"))
                again.append(bench.anteroom("--full"))
                copies.append(copy(bench, sql))
                run.say(f"bare read {reads[-1]:.2f} s, COPY {copies[-1]:.2f} s")
    read, bulk = median(reads), median(copies)
    seconds = lambda several: median(one.seconds for one in several)
    return [
        Floors(f"first import of {PEOPLE:,} into PostgreSQL", seconds(firsts), read, bulk, max(read, bulk),
               ("<=", 1.5), "s"),
        Floors("the same, longest change", max(one.hold_ms for one in firsts), limit=("<=", 50), unit="ms"),
        Floors("full pass, nothing changed", seconds(again), read, None, read, ("<=", 1.3), "s"),
    ]


def copy(bench, sql):
    """Seconds of a COPY of the same rows into the same tables."""
    files = {table: bench.folder / f"{table}.copy" for table in TABLES}
    for table, file in files.items():
        sql(f"\\copy (SELECT * FROM {table} ORDER BY {TABLES[table]}) to '{file}'")
    sql(*(f"TRUNCATE {table}" for table in TABLES))
    began = time.monotonic()
    sql("BEGIN", *(f"\\copy {table} from '{file}'" for table, file in files.items()), "COMMIT")
    return time.monotonic() - began


def import_million(run):
    """First import of a million people, and what finding one of them by name takes."""
    if "anteroom" not in run.kinds or (run.options.quick and not run.options.scenario):
        return []
    bench = Bench(run, MILLION)
    with bench.directory():
        first = bench.anteroom("--full")
        again = bench.anteroom("--full")
    looks = subprocess.run([str(run.peers.programs / "examples/store_speed"), str(MILLION), str(bench.store)],
                           stdout=subprocess.PIPE, text=True, check=True)
    found = json.loads(looks.stdout.strip().splitlines()[-1])
    run.say(f"look-ups: {found}")
    return [
        Floors(f"first import of {MILLION:,}", first.seconds, unit="s"),
        Floors("the same, resident at most", first.rss, limit=("<=", 120), unit="MiB"),
        Floors("the same, longest hold of the write lock", first.hold_ms, limit=("<=", 50), unit="ms"),
        Floors("full pass, nothing changed, resident at most", again.rss, limit=("<=", 120), unit="MiB"),
        Floors("finding a person by a name, median", found["p50_us"], limit=("<=", 100), unit="µs"),
        Floors("the same, p99", found["p99_us"], unit="µs"),
    ]


def import_signins(run):
    """Sign-ins at a steady rate, alone and while an import changes all 200,000 people."""
    if "anteroom" not in run.kinds:
        return []
    peers, found, holds = run.peers, {}, []
    rate = min(run.options.offered, 400)
    item = ITEM.format(base=BASE, more='language = "fr"')
    for importing in (False, True):
        with peers.slapd(PEOPLE, "shared"), peers.phone(0, "shared"):
            command = peers.anteroom_files(PEOPLE, more=item)
            with peers.process(peers.pin("shared", "server") + command, "anteroom.log"):
                time.sleep(1)
                config = command[-1]
                importer = None
                if importing:
                    arguments = [command[0], "import", "--quiet", "--full", "--config", config]
                    importer = subprocess.Popen(["sh", "-c", 'sleep 2; exec "$0" "$@"', *arguments])
                report = run.radius("anteroom", "shared", "--people", PEOPLE, "--rate", rate, "--seconds",
                                    run.seconds(20, 12), "--warmup", 2, "--timeout-ms", 5_000)
                if importer:
                    importer.wait(120)
                    done = subprocess.run([command[0], "import", "status", "--json", "--config", config],
                                          stdout=subprocess.PIPE, text=True, check=True)
                    summary = json.loads(done.stdout)["runs"][0]["summary"]
                    holds.append(summary["longest_hold_us"] / 1000)
                    run.say(f"meanwhile: {summary['counts']}, longest hold {holds[-1]:.1f} ms")
        found[importing] = report["latency_ms"]
        run.say(f"{'with' if importing else 'without'} an import: {report['per_second']}/s, {report['latency_ms']}, "
                f"lost {report['lost']}")
    return [
        Floors(f"p99 of {rate:.0f} sign-ins per second, alone", found[False]["p99"], unit="ms"),
        Floors("the same, while all people change", found[True]["p99"], unit="ms"),
        Floors("median, alone", found[False]["p50"], unit="ms"),
        Floors("the same, while all people change", found[True]["p50"], unit="ms"),
        Floors("longest hold of the write lock", max(holds), limit=("<=", 50), unit="ms"),
    ]


ALL = (import_first, import_postgres, import_million, import_signins)
