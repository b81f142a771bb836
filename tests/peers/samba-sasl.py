#!/usr/bin/env python3
"""A bind to Active Directory by SASL (GSS-SPNEGO with NTLM), and searches behind it, with Samba's own library.

samba-sasl.py HOST:PORT LAYER NAME PASSWORD BASE        LAYER: sign or seal

Prints one JSON object: how many entries were found, in one search and in pages, or what was refused."""
import json
import sys

import ldb
from samba.credentials import DONT_USE_KERBEROS, Credentials
from samba.param import LoadParm
from samba.samdb import SamDB

ADDRESS, LAYER, NAME, PASSWORD, BASE = sys.argv[1:]

lp = LoadParm()
lp.set("client ldap sasl wrapping", LAYER)
credentials = Credentials()
credentials.guess(lp)
credentials.set_username(NAME)
credentials.set_password(PASSWORD)
credentials.set_domain("CORP")
credentials.set_kerberos_state(DONT_USE_KERBEROS)
try:
    directory = SamDB(url=f"ldap://{ADDRESS}", lp=lp, credentials=credentials)
    whole = directory.search(BASE, ldb.SCOPE_SUBTREE, "(objectClass=user)", ["sAMAccountName", "objectSid"])
    paged = directory.search(BASE, ldb.SCOPE_SUBTREE, "(objectClass=user)", ["cn"], controls=["paged_results:1:3"])
    again = directory.search(BASE, ldb.SCOPE_BASE, "(objectClass=*)", ["dc"])
    print(json.dumps({"whole": len(whole), "paged": len(paged), "again": len(again)}))
except ldb.LdbError as error:
    print(json.dumps({"refused": str(error)}))
