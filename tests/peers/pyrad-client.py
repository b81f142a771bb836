#!/usr/bin/python3
"""One sign-in with pyrad, a RADIUS implementation that shares nothing with ours.

pyrad-client.py ADDRESS PORT SECRET SECONDS NAME PASSWORD

Prints the reply as one line of JSON: code, whether the Response Authenticator is right, whether the
Message-Authenticator is there, is the first attribute and is right, all attribute numbers in order, and the values that
it knows by name.
pyrad's old version in Debian 12 does not know Message-Authenticator, so it is computed here with hashlib.
"""
import hashlib, hmac, io, json, os, sys

from pyrad import packet
from pyrad.client import Client
from pyrad.dictionary import Dictionary

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


class Signed(packet.AuthPacket):
    """A request whose last attribute is a Message-Authenticator (RFC 3579 section 3.2)."""

    def RequestPacket(self):
        self[80] = [bytes(16)]
        unsigned = super().RequestPacket()
        where = unsigned.rindex(bytes([80, 18]) + bytes(16)) + 2
        signature = hmac.new(self.secret, unsigned, hashlib.md5).digest()
        return unsigned[:where] + signature + unsigned[where + 16:]

    def VerifyReply(self, reply, rawreply=None):
        self.raw = rawreply
        return super().VerifyReply(reply, rawreply)


request = Signed(id=os.urandom(1)[0], secret=secret, authenticator=os.urandom(16), dict=client.dict, User_Name=name)
request["User-Password"] = request.PwCrypt(password)
request["NAS-Identifier"] = "pyrad"
reply = client.SendPacket(request)  # checks the Response Authenticator, raises Timeout otherwise

raw, numbers, at = request.raw, [], 20
while at < len(raw):
    numbers.append(raw[at])
    at += raw[at + 1]
blank = raw[:4] + request.authenticator + raw[20:22] + bytes(16) + raw[38:]
signed = numbers[:1] == [80] and hmac.compare_digest(hmac.new(secret, blank, hashlib.md5).digest(), raw[22:38])
right = hashlib.md5(raw[:4] + request.authenticator + raw[20:] + secret).digest() == raw[4:20]
text = lambda value: value.decode() if isinstance(value, bytes) else value
values = {name: [text(value) for value in reply[name]] for name in reply.keys()
          if isinstance(name, str) and name != "Message-Authenticator"}
print(json.dumps({"values": values, "code": reply.code, "authentic": right, "signed_first": signed, "attributes": numbers}))
