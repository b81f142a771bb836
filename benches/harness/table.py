"""Rows with a target each, printed as a Markdown table."""
import json


class Row:
    """What was measured, Anteroom beside FreeRADIUS, and what the project wants of it."""

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
        return value <= self.limit[1] if self.limit[0] == "<=" else value >= self.limit[1]

    def cells(self):
        """The texts of its table row."""
        target = ""
        if self.limit:
            sign = {"<=": "≤", ">=": "≥"}[self.limit[0]]
            target = f"{'ratio ' if self.of == 'ratio' else ''}{sign} {shown(self.limit[1])}"
        verdict = {True: "met", False: "MISSED", None: ""}[self.met]
        what = f"{self.what}, {self.unit}" if self.unit else self.what
        return [what, shown(self.anteroom), shown(self.freeradius), shown(self.ratio), target, verdict, self.note]

    def record(self):
        """The same for a program."""
        return {"what": self.what, "unit": self.unit, "anteroom": self.anteroom, "freeradius": self.freeradius,
                "ratio": self.ratio, "limit": self.limit, "of": self.of, "met": self.met, "note": self.note}


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
    head = ["measured", "Anteroom", "FreeRADIUS", "ratio", "target", "", "note"]
    lines = [head] + [row.cells() for row in rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
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
