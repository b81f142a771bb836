"""Rows with a target each, printed as a Markdown table."""
import json


def holds(value, sign, limit):
    """Whether a limit is kept."""
    return value <= limit if sign == "<=" else value >= limit


SIGNS = {"<=": "≤", ">=": "≥"}
VERDICTS = {True: "met", False: "MISSED", None: ""}


class Row:
    """What was measured, Anteroom beside FreeRADIUS, and what the project wants of it."""

    HEAD = ["measured", "Anteroom", "FreeRADIUS", "ratio", "target", "", "note"]

    def __init__(self, what, anteroom, freeradius=None, limit=None, of=None, unit="", note=""):
        """`limit` is ("<=", x) or (">=", x); it is for the ratio to FreeRADIUS if `of` is "ratio", or for
        the value of Anteroom if `of` is "value"."""
        self.what, self.anteroom, self.freeradius = what, anteroom, freeradius
        self.limit, self.of, self.unit, self.note = limit, of, unit, note

    @property
    def ratio(self):
        """Anteroom's value divided by FreeRADIUS's."""
        if self.anteroom is None or not self.freeradius:
            return None
        return self.anteroom / self.freeradius

    @property
    def met(self):
        """Whether the target is reached; None without a target or a measurement."""
        value = self.ratio if self.of == "ratio" else self.anteroom
        if not self.limit or value is None:
            return None
        return holds(value, *self.limit)

    def cells(self):
        """The texts of its table row."""
        target = ""
        if self.limit:
            target = f"{'ratio ' if self.of == 'ratio' else ''}{SIGNS[self.limit[0]]} {shown(self.limit[1])}"
        what = f"{self.what}, {self.unit}" if self.unit else self.what
        return [what, shown(self.anteroom), shown(self.freeradius), shown(self.ratio), target,
                VERDICTS[self.met], self.note]

    def record(self):
        """The same for a program."""
        return {"what": self.what, "unit": self.unit, "anteroom": self.anteroom, "freeradius": self.freeradius,
                "ratio": self.ratio, "limit": self.limit, "of": self.of, "met": self.met, "note": self.note}


class Beside:
    """What was measured of several servers in front of one directory, and what the project wants of Anteroom's."""

    PEERS = {"direct": "slapd", "backldap": "back-ldap", "forwarder": "forwarder"}
    HEAD = ["measured", "Anteroom", *PEERS.values(), "Anteroom's share of", "target", "", "note"]

    def __init__(self, what, values, limits=(), unit="", note=""):
        """`values` by kind; `limits` are (kind, "<=" or ">=", x) for the ratio of Anteroom's value to that kind's,
        or ("value", ...) for Anteroom's own."""
        self.what, self.values, self.limits, self.unit, self.note = what, values, limits, unit, note

    def against(self, kind):
        """Anteroom's value, or its ratio to another's."""
        own, other = self.values.get("anteroom"), self.values.get(kind)
        if kind == "value":
            return own
        return own / other if own is not None and other else None

    @property
    def met(self):
        """Whether all targets are reached; None without targets or a measurement."""
        found = [(self.against(kind), sign, limit) for kind, sign, limit in self.limits]
        if not found or any(value is None for value, _, _ in found):
            return None
        return all(holds(*one) for one in found)

    def cells(self):
        """The texts of its table row."""
        ratios = [f"{name} {shown(self.against(kind))}" for kind, name in self.PEERS.items() if self.against(kind)]
        target = [f"{'' if kind == 'value' else self.PEERS[kind] + ' '}{SIGNS[sign]} {shown(limit)}"
                  for kind, sign, limit in self.limits]
        what = f"{self.what}, {self.unit}" if self.unit else self.what
        return [what, shown(self.values.get("anteroom")), *(shown(self.values.get(kind)) for kind in self.PEERS),
                ", ".join(ratios), ", ".join(target), VERDICTS[self.met], self.note]

    def record(self):
        """The same for a program."""
        return {"what": self.what, "unit": self.unit, "values": self.values, "limits": self.limits, "met": self.met,
                "note": self.note}


class Floors:
    """What an import took beside the floors that it cannot go below, and what the project wants of it."""

    HEAD = ["measured", "Anteroom", "bare read", "bulk insert", "times the floor", "target", "", "note"]

    def __init__(self, what, anteroom, read=None, bulk=None, floor=None, limit=None, unit="", note=""):
        """`limit` is for the ratio to `floor` where that is given, else for the value."""
        self.what, self.anteroom, self.read, self.bulk, self.floor = what, anteroom, read, bulk, floor
        self.limit, self.unit, self.note = limit, unit, note

    @property
    def ratio(self):
        """Anteroom's value divided by the floor."""
        return self.anteroom / self.floor if self.floor else None

    @property
    def met(self):
        """Whether the target is reached; None without a target."""
        if not self.limit:
            return None
        return holds(self.anteroom if self.floor is None else self.ratio, *self.limit)

    def cells(self):
        """The texts of its table row."""
        target = f"{'times ' if self.floor else ''}{SIGNS[self.limit[0]]} {shown(self.limit[1])}" if self.limit else ""
        what = f"{self.what}, {self.unit}" if self.unit else self.what
        return [what, shown(self.anteroom), shown(self.read), shown(self.bulk), shown(self.ratio), target,
                VERDICTS[self.met], self.note]

    def record(self):
        """The same for a program."""
        return {"what": self.what, "unit": self.unit, "anteroom": self.anteroom, "read": self.read, "bulk": self.bulk,
                "ratio": self.ratio, "limit": self.limit, "met": self.met, "note": self.note}


def shown(value):
    """A number with three or so digits that matter."""
    if value is None:
        return "–"
    if isinstance(value, str):
        return value
    if value == 0 or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def show(title, rows):
    """Prints the table of one scenario."""
    lines = ([rows[0].HEAD] if rows else []) + [row.cells() for row in rows]
    if not lines:
        return
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    print(f"\n### {title}\n")
    for number, line in enumerate(lines):
        print("| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths)) + " |")
        if number == 0:
            print("|" + "|".join("-" * (width + 2) for width in widths) + "|")
    print(flush=True)


def save(path, results):
    """Writes all results as JSON."""
    records = {name: [row.record() for row in rows] for name, rows in results.items()}
    path.write_text(json.dumps(records, indent=1, ensure_ascii=False) + "\n")
