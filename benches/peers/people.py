#!/usr/bin/env python3
"""people.py N BASE PASSWORD: LDIF of N people for slapadd, in entry order.

Person number i is uid=u000000 and so on, in ou=people, with mail, mobile and one shared SSHA hash
(hashing each would cost more than the load). entryUUID is made from the number, so that the user
store can be filled without asking the directory. Groups of 100 hold everybody."""
import base64
import hashlib
import sys

FIRST = "Anna Ben Chloé David Eva Felix Greta Hugo Ida Jörg".split()
LAST = "Meyer Nowak O'Neil Peña Quist Rossi Šimek Tóth Ursu Vogel".split()


def line(key, value):
    """One attribute; what is not ASCII is written in base64 (RFC 2849)."""
    if value.isascii():
        return f"{key}: {value}\n"
    return f"{key}:: {base64.b64encode(value.encode()).decode()}\n"


def main():
    count, base, password = int(sys.argv[1]), sys.argv[2], sys.argv[3]
    salt = b"benchmrk"
    digest = hashlib.sha1(password.encode() + salt).digest()
    ssha = "{SSHA}" + base64.b64encode(digest + salt).decode()
    write = sys.stdout.write
    write(f"dn: {base}\nobjectClass: dcObject\nobjectClass: organization\no: Bench\n"
          f"dc: {base.split(',')[0][3:]}\n\n")
    for unit in ("people", "groups", "services"):
        write(f"dn: ou={unit},{base}\nobjectClass: organizationalUnit\nou: {unit}\n\n")
    write(f"dn: cn=svc-proxy,ou=services,{base}\nobjectClass: organizationalRole\n"
          f"objectClass: simpleSecurityObject\ncn: svc-proxy\nuserPassword: {ssha}\n\n")
    for i in range(count):
        uid, first, last = f"u{i:06d}", FIRST[i % 10], LAST[i // 10 % 10]
        write(f"dn: uid={uid},ou=people,{base}\nobjectClass: inetOrgPerson\nuid: {uid}\n"
              + line("cn", f"{first} {last} {i}") + line("sn", last) + line("givenName", first)
              + f"mail: {uid}@example.test\nmobile: +1555{i:07d}\nuserPassword: {ssha}\n"
              + f"entryUUID: 00000000-0000-4000-8000-{i:012x}\n"
              # slapadd does not run the memberof overlay, so the back link is written here
              + f"memberOf: cn=team{i // 100:05d},ou=groups,{base}\n\n")
    for team in range(0, count, 100):
        members = "".join(f"member: uid=u{i:06d},ou=people,{base}\n" for i in range(team, min(team + 100, count)))
        write(f"dn: cn=team{team // 100:05d},ou=groups,{base}\nobjectClass: groupOfNames\n"
              f"cn: team{team // 100:05d}\n{members}\n")


main()
