#!/usr/bin/env python3
"""slapd-fixture.py BASE: the entries of the OpenLDAP test directory as LDIF, for slapadd.

ou=people      alice, bob, carol: with mail, for sign-ins; dora, whose password is stored as it is, for SASL
ou=many        20,000 people of more than a kilobyte each: more than any socket buffer holds
ou=services    svc-proxy searches for Anteroom; svc-app is an application's account, may write everything and
               act for everybody (authzTo)
ou=scratch     empty: where the conversation adds, changes and deletes
cn=elsewhere   a referral
Passwords: people Us3r-Passw0rd!, service accounts Svc-Pr0xy-Passw0rd!"""
import base64
import hashlib
import sys

BASE = sys.argv[1]


def hashed(password):
    """The password in {SSHA}. Hashing each of thousands would cost more than loading them."""
    salt = b"fixture!"
    digest = hashlib.sha1(password.encode() + salt).digest()
    return "{SSHA}" + base64.b64encode(digest + salt).decode()


def emit(dn, *attributes):
    """One entry; what is not printable ASCII is written in base64 (RFC 2849)."""
    lines = [("dn", dn), *attributes]
    for key, value in lines:
        raw = value if isinstance(value, bytes) else value.encode()
        plain = all(32 <= octet < 127 for octet in raw) and raw[:1] not in (b" ", b":", b"<")
        print(f"{key}: {raw.decode()}" if plain else f"{key}:: {base64.b64encode(raw).decode()}")
    print()


PERSON, SERVICE = hashed("Us3r-Passw0rd!"), hashed("Svc-Pr0xy-Passw0rd!")
emit(BASE, ("objectClass", "dcObject"), ("objectClass", "organization"), ("o", "Open"), ("dc", "open"))
for unit in ("people", "many", "services", "scratch", "groups"):
    emit(f"ou={unit},{BASE}", ("objectClass", "organizationalUnit"), ("ou", unit))
for name, authority in (("svc-proxy", []), ("svc-app", [("authzTo", f"dn.subtree:ou=people,{BASE}")])):
    emit(f"cn={name},ou=services,{BASE}", ("objectClass", "organizationalRole"),
         ("objectClass", "simpleSecurityObject"), ("cn", name), ("userPassword", SERVICE), *authority)
for number, (uid, name) in enumerate((("alice", "Alice Anderson"), ("bob", "Bob Brown"), ("carol", "Çarol Čapek"))):
    emit(f"uid={uid},ou=people,{BASE}", ("objectClass", "inetOrgPerson"), ("uid", uid), ("cn", name),
         ("sn", name.split()[1]), ("mail", f"{uid}@example.test"), ("userPassword", PERSON),
         ("jpegPhoto", bytes(range(256))), ("entryUUID", f"00000000-0000-4000-8000-{number:012x}"))
emit(f"uid=dora,ou=people,{BASE}", ("objectClass", "inetOrgPerson"), ("uid", "dora"), ("cn", "Dora Digest"),
     ("sn", "Digest"), ("userPassword", "Us3r-Passw0rd!"), ("entryUUID", "00000000-0000-4000-8000-0000000000d0"))
emit(f"cn=staff,ou=groups,{BASE}", ("objectClass", "groupOfNames"), ("cn", "staff"),
     *[("member", f"uid={uid},ou=people,{BASE}") for uid in ("alice", "bob", "carol")])
emit(f"cn=elsewhere,{BASE}", ("objectClass", "referral"), ("objectClass", "extensibleObject"), ("cn", "elsewhere"),
     ("ref", "ldap://elsewhere.example.test/dc=elsewhere,dc=example,dc=test"))
for number in range(20_000):
    uid = f"m{number:05d}"
    # reversed digits: a sorted result is in another order than the stored one
    emit(f"uid={uid},ou=many,{BASE}", ("objectClass", "inetOrgPerson"), ("uid", uid), ("cn", f"{uid[:0:-1]} {uid}"),
         ("sn", uid[:0:-1]), ("description", f"{number} " + "x" * 1000))
