#!/usr/bin/env python3
"""radius11.py SERVER PORT CA CERTIFICATE KEY ALPN USER PASSWORD: one Access-Request over TLS, written by hand.

ALPN is a list of protocols with commas between them, or "-" for none. Speaks RADIUS/1.1 (RFC 9765) where that was come to,
RADIUS/1.0 (RFC 6614) else. Prints the protocol, and what the answer was in one line; "closed" where none came."""
import hashlib
import hmac
import os
import socket
import ssl
import struct
import sys

server, port, ca, certificate, key, alpn, user, password = sys.argv[1:9]
SECRET = b"radsec"


def attribute(number, value):
    return bytes([number, len(value) + 2]) + value


def packet(code, second, rest, attributes):
    body = b"".join(attributes)
    return bytes([code, second]) + struct.pack("!H", 20 + len(body)) + rest + body


def read(stream, length):
    data = b""
    while len(data) < length:
        more = stream.recv(length - len(data))
        if not more:
            print("closed")
            sys.exit(0)
        data += more
    return data


def attributes_of(body):
    found = []
    while body:
        found.append((body[0], body[2:body[1]]))
        body = body[body[1]:]
    return found


context = ssl.create_default_context(ssl.Purpose.SERVER_AUTH, cafile=ca)
context.load_cert_chain(certificate, key)
if alpn != "-":
    context.set_alpn_protocols(alpn.split(","))
try:
    stream = context.wrap_socket(socket.create_connection((server, int(port)), timeout=20), server_hostname=server)
except ssl.SSLError as error:
    print("handshake failed", error.reason)
    sys.exit(0)
chosen = stream.selected_alpn_protocol()
print("alpn", chosen)
eleven = chosen == "radius/1.1"
state = os.urandom(6)
if eleven:
    token = os.urandom(4)
    request = packet(1, 0, token + bytes(12), [
        attribute(1, user.encode()), attribute(2, password.encode()), attribute(33, state)])
else:
    authenticator = os.urandom(16)
    hidden, previous = b"", authenticator
    padded = password.encode() + bytes(-len(password) % 16)
    for at in range(0, len(padded), 16):
        stream_key = hashlib.md5(SECRET + previous).digest()
        previous = bytes(a ^ b for a, b in zip(padded[at:at + 16], stream_key))
        hidden += previous
    request = packet(1, 7, authenticator, [attribute(1, user.encode()), attribute(2, hidden), attribute(33, state)])
stream.sendall(request)
header = read(stream, 20)
code, second, length = struct.unpack("!BBH", header[:4])
body = read(stream, length - 20)
found = attributes_of(body)
wrong = []
if [value for number, value in found if number == 33] != [state]:
    wrong.append("Proxy-State")
if eleven:
    if second != 0 or header[8:] != bytes(12):
        wrong.append("reserved fields")
    if header[4:8] != token:
        wrong.append("token")
    if any(number in (80, 241) for number, _ in found):
        wrong.append("Message-Authenticator or Original-Packet-Code")
else:
    if hashlib.md5(header[:4] + authenticator + body + SECRET).digest() != header[4:]:
        wrong.append("Response Authenticator")
    zeroed = b"".join(attribute(number, bytes(16) if number == 80 else value) for number, value in found)
    signature = hmac.new(SECRET, header[:4] + authenticator + zeroed, "md5").digest()
    if [value for number, value in found if number == 80] != [signature]:
        wrong.append("Message-Authenticator")
names = {2: "accept", 3: "reject", 11: "challenge", 52: "protocol error"}
told = [names.get(code, str(code))]
told += [f"cause {struct.unpack('!I', value)[0]}" for number, value in found if number == 101]
told += [f"of code {value[-1]}" for number, value in found if number == 241 and value[0] == 4]
told += [f"{number}={value.hex()}" for number, value in found if number in (11, 25, 26, 69)]
print(" ".join(told) if not wrong else "wrong: " + ", ".join(wrong))
if code == 52:
    stream.settimeout(20)
    print("then closed" if stream.recv(1) == b"" else "then more")
