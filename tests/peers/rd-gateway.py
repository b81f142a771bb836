#!/usr/bin/python3
"""Plays an RD Gateway with the NPS beside it, built with pyrad, a RADIUS implementation that shares nothing with ours.

rd-gateway.py ADDRESS PORT SECRET SECONDS SOURCE NAME COMPUTER AUTHTYPE [PROXY-STATE ...]

Sends one Access-Request without a password from SOURCE: Called-Station-Id UserAuthType:AUTHTYPE, MS-Machine-Name
COMPUTER (none if it is "-"), MS-Network-Access-Server-Type 1, the Proxy-States (hexadecimal) in order, and a
Message-Authenticator. Prints the reply as one line of JSON: code, whether the Response Authenticator is right, whether
the Message-Authenticator is the first attribute and right, and every attribute as [number, value in hexadecimal] in
order; or {"code": null} if none comes.
"""
import hashlib, io, json, os, struct, sys

from pyrad import client as pyrad_client
from pyrad.client import Client
from pyrad.dictionary import Dictionary

sys.dont_write_bytecode = True  # of the module beside this file
from signed import Signed

DICTIONARY = """
ATTRIBUTE User-Name 1 string
ATTRIBUTE Called-Station-Id 30 string
ATTRIBUTE Vendor-Specific 26 octets
ATTRIBUTE Proxy-State 33 octets
ATTRIBUTE NAS-Port-Type 61 integer
ATTRIBUTE Message-Authenticator 80 octets
"""

address, port, secret, seconds, source, name, computer, by, *states = sys.argv[1:]
secret = secret.encode()
client = Client(server=address, authport=int(port), secret=secret, dict=Dictionary(io.StringIO(DICTIONARY)))
client.timeout, client.retries = float(seconds), 1
client.bind((source, 0))


def microsoft(number, value):
    return struct.pack("!LBB", 311, number, len(value) + 2) + value

request = Signed(id=os.urandom(1)[0], secret=secret, authenticator=os.urandom(16), dict=client.dict, User_Name=name)
request["NAS-Port-Type"] = 5
request["Called-Station-Id"] = "UserAuthType:" + by
request[26] = [microsoft(47, struct.pack("!L", 1))] + ([] if computer == "-" else [microsoft(50, computer.encode())])
if states:
    request[33] = [bytes.fromhex(state) for state in states]
try:
    reply = client.SendPacket(request)
except pyrad_client.Timeout:
    print(json.dumps({"code": None}))
    sys.exit()

raw, attributes, at = request.raw, [], 20
while at < len(raw):
    attributes.append([raw[at], raw[at + 2:at + raw[at + 1]].hex()])
    at += raw[at + 1]
right = hashlib.md5(raw[:4] + request.authenticator + raw[20:] + secret).digest() == raw[4:20]
print(json.dumps({"code": reply.code, "authentic": right, "signed_first": request.is_reply_signed_first(), "attributes": attributes}))
