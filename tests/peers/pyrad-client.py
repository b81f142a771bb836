#!/usr/bin/python3
"""One sign-in with pyrad, a RADIUS implementation that shares nothing with ours.

pyrad-client.py ADDRESS PORT SECRET SECONDS NAME PASSWORD

Prints the reply as one line of JSON: code, whether the Response Authenticator is right, whether the
Message-Authenticator is there, is the first attribute and is right, all attribute numbers in order, and the values that
it knows by name.
"""
import hashlib, io, json, os, sys

from pyrad.client import Client
from pyrad.dictionary import Dictionary

sys.dont_write_bytecode = True  # of the module beside this file
from signed import Signed

DICTIONARY = """
ATTRIBUTE User-Name 1 string
ATTRIBUTE User-Password 2 octets
ATTRIBUTE NAS-Identifier 32 string
ATTRIBUTE Message-Authenticator 80 octets
ATTRIBUTE Reply-Message 18 string
ATTRIBUTE Class 25 octets
ATTRIBUTE Filter-Id 11 string
ATTRIBUTE Session-Timeout 27 integer
ATTRIBUTE Framed-IP-Address 8 ipaddr
VENDOR Cisco 9
BEGIN-VENDOR Cisco
ATTRIBUTE Cisco-AVPair 1 string
END-VENDOR Cisco
"""

address, port, secret, seconds, name, password = sys.argv[1:]
secret = secret.encode()
client = Client(server=address, authport=int(port), secret=secret, dict=Dictionary(io.StringIO(DICTIONARY)))
client.timeout, client.retries = float(seconds), 1

request = Signed(id=os.urandom(1)[0], secret=secret, authenticator=os.urandom(16), dict=client.dict, User_Name=name)
request["User-Password"] = request.PwCrypt(password)
request["NAS-Identifier"] = "pyrad"
reply = client.SendPacket(request)  # checks the Response Authenticator, raises Timeout otherwise

raw, numbers, at = request.raw, [], 20
while at < len(raw):
    numbers.append(raw[at])
    at += raw[at + 1]
right = hashlib.md5(raw[:4] + request.authenticator + raw[20:] + secret).digest() == raw[4:20]
text = lambda value: value.decode() if isinstance(value, bytes) else value
values = {name: [text(value) for value in reply[name]] for name in reply.keys()
          if isinstance(name, str) and name != "Message-Authenticator"}
print(json.dumps({"values": values, "code": reply.code, "authentic": right,
                  "signed_first": request.is_reply_signed_first(), "attributes": numbers}))
