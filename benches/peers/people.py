#!/usr/bin/env python3
"""people.py N BASE PASSWORD [whole]: LDIF of N people for slapadd, in entry order.

Person number i is uid=u000000 and so on, in ou=people, with mail, mobile and one shared SSHA hash
(hashing each would cost more than the load). entryUUID is made from the number, so that the user
store can be filled without asking the directory. Groups of 100 hold everybody.

With "whole" everybody has twelve attributes that an import reads, a unique id that comes in no order, as those of a
real directory, and was changed long ago; there are no groups."""
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
    whole = sys.argv[4:] == ["whole"]
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
              + f"mail: {uid}@example.test\nmobile: +1555{i:07d}\nuserPassword: {ssha}\n")
        if whole:
            spread = hashlib.md5(uid.encode()).hexdigest()
            uuid = f"{spread[:8]}-{spread[8:12]}-4{spread[13:16]}-8{spread[17:20]}-{spread[20:]}"
            write(f"telephoneNumber: +41 44 {i % 900 + 100} {i // 900 % 90 + 10} {i % 83 + 10}\n"
                  f"homePhone: +1 (202) {i % 900 + 100}-{i // 900 % 9000 + 1000}\npreferredLanguage: de-CH\n"
                  f"description: Person number {i} of the benchmark\ndepartmentNumber: D{i // 100:05d}\n"
                  f"employeeNumber: E{i:07d}\nentryUUID: {uuid}\n"
                  f"entryCSN: 20260101000000.000000Z#000000#000#000000\n\n")
            continue
        write(f"entryUUID: 00000000-0000-4000-8000-{i:012x}\n"
              # slapadd does not run the memberof overlay, so the back link is written here
              + f"memberOf: cn=team{i // 100:05d},ou=groups,{base}\n\n")
    for team in range(0, 0 if whole else count, 100):
        members = "".join(f"member: uid=u{i:06d},ou=people,{base}\n" for i in range(team, min(team + 100, count)))
        write(f"dn: cn=team{team // 100:05d},ou=groups,{base}\nobjectClass: groupOfNames\n"
              f"cn: team{team // 100:05d}\n{members}\n")


main()
