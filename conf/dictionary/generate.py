#!/usr/bin/env python3
"""Writes the dictionaries of this folder: names, numbers, types, tags, encryption and named values of attributes.

    python3 conf/dictionary/generate.py FOLDER...

Each FOLDER has dictionaries as vendors and the RFCs' implementations publish them (`dictionary.NAME`, in the format of
FreeRADIUS). Only facts are taken over: no comment, no order, no wording. What a later folder says of a number replaces
what an earlier one says. A vendor is written to the file whose name it has below.
"""

import pathlib
import re
import sys

# Our file: the dictionaries that the facts are in.
FILES = {
    "rfc": ["rfc2865", "rfc2866", "rfc2867", "rfc2868", "rfc2869", "rfc3162", "rfc3576", "rfc3580", "rfc4072", "rfc4372",
            "rfc4675", "rfc4818", "rfc4849", "rfc5090", "rfc5176", "rfc5580", "rfc5607", "rfc5904", "rfc6519", "rfc6911",
            "rfc7055", "rfc7155", "rfc7268"],
    "airespace": ["airespace"], "alcatel": ["alcatel.sr"], "arista": ["arista"], "aruba": ["aruba"],
    "avaya": ["avaya", "nortel"], "brocade": ["brocade", "foundry"], "cambium": ["cambium"],
    "checkpoint": ["checkpoint"], "cisco": ["cisco", "cisco.asa", "cisco.vpn3000"], "citrix": ["citrix"],
    "dell": ["dellemc", "force10"], "extreme": ["extreme", "aerohive"], "f5": ["f5"], "fortinet": ["fortinet"],
    "h3c": ["h3c"], "hp": ["hp"], "huawei": ["huawei"], "infoblox": ["infoblox"], "juniper": ["juniper", "netscreen"],
    "meraki": ["meraki"], "microsoft": ["microsoft"], "mikrotik": ["mikrotik"], "nokia": ["nokia"],
    "paloalto": ["paloalto"], "pfsense": ["pfsense"], "riverbed": ["riverbed"], "ruckus": ["ruckus"],
    "sonicwall": ["sonicwall"], "wispr": ["wispr"], "zyxel": ["zyxel"],
}

# What the vendors' own documents say otherwise, or more: NetScaler's groups are under Citrix's number of today.
MORE = {
    "citrix": "VENDOR Citrix-NetScaler 3845\nBEGIN-VENDOR Citrix-NetScaler\n"
              "ATTRIBUTE Citrix-User-Groups 16 string\nEND-VENDOR Citrix-NetScaler\n",
}
LEFT_OUT = {"citrix": {"Citrix-User-Groups"}}


class Facts:
    def __init__(self):
        self.vendors, self.attributes, self.values = {}, {}, {}

    def read(self, text):
        vendor, depth = None, 0
        for line in text.splitlines():
            words = line.split("#")[0].split()
            if not words:
                continue
            kind = words[0].upper()
            if kind == "VENDOR":
                self.vendors[words[1]] = (int(words[2], 0), words[3] if len(words) > 3 else "")
            elif kind == "BEGIN-VENDOR":
                vendor = words[1]
            elif kind == "END-VENDOR":
                vendor = None
            elif kind == "BEGIN-TLV":
                depth += 1
            elif kind == "END-TLV":
                depth -= 1
            elif kind == "ATTRIBUTE" and depth == 0 and re.fullmatch(r"\d+|0x[0-9a-fA-F]+", words[2]):
                number, flags = int(words[2], 0), words[4] if len(words) > 4 else ""
                kept = [flag for flag in flags.split(",") if flag == "has_tag" or flag.startswith("encrypt=")]
                if number < 256 and "virtual" not in flags:
                    self.attributes[words[1]] = (vendor, number, words[3].lower(), ",".join(kept))
            elif kind == "VALUE":
                self.values.setdefault(words[1], {})[words[2]] = int(words[3], 0)

    def write(self, left_out):
        out = []
        for vendor in [None, *sorted(self.vendors, key=lambda name: self.vendors[name][0])]:
            mine = [(number, name, type, flags) for name, (of, number, type, flags) in self.attributes.items()
                    if of == vendor and name not in left_out]
            if not mine:
                continue
            if vendor is not None:
                number, form = self.vendors[vendor]
                out.append(" ".join(["VENDOR", vendor, str(number), form]).strip())
                out.append(f"BEGIN-VENDOR {vendor}")
            for number, name, type, flags in sorted(mine):
                out.append(" ".join(["ATTRIBUTE", name, str(number), type, flags]).strip())
                values = self.values.get(name, {}).items()
                out.extend(f"VALUE {name} {word} {value}" for word, value in sorted(values, key=lambda pair: pair[::-1]))
            if vendor is not None:
                out.append(f"END-VENDOR {vendor}")
        return "".join(line + "\n" for line in out)


def main():
    folders = [pathlib.Path(folder) for folder in sys.argv[1:]]
    if not folders:
        sys.exit(__doc__)
    for ours, theirs in FILES.items():
        facts = Facts()
        for name in theirs:
            texts = [folder / f"dictionary.{name}" for folder in folders]
            found = [text for text in texts if text.exists()]
            if not found:
                sys.exit(f"none of {', '.join(map(str, folders))} has dictionary.{name}")
            for text in found:
                facts.read(text.read_text(errors="replace"))
        head = "# Facts, written by conf/dictionary/generate.py: do not edit.\n"
        text = head + facts.write(LEFT_OUT.get(ours, set())) + MORE.get(ours, "")
        pathlib.Path(__file__).with_name(f"dictionary.{ours}").write_text(text)


main()
