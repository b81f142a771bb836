#!/usr/bin/python3
"""One sign-in in several rounds with pyrad, a RADIUS implementation that shares nothing with ours.

pyrad-rounds.py ADDRESS[,ADDRESS...] PORT SECRET SECONDS NAME PASSWORD [TYPED...]

Sends the password, and then each TYPED with the State of the challenge before it; to several addresses in turn. A TYPED of "wait" is none: it waits for a
line on standard input, so that something can be done between two rounds. Each reply is one line of JSON: code, whether its
authenticators are right and the Message-Authenticator is first, its texts, and the length of its State. It stops at the first
reply that is no challenge, and says how many of the TYPED were left.
"""
import io, json, os, sys

from pyrad.client import Client
from pyrad.dictionary import Dictionary

sys.dont_write_bytecode = True  # of the module beside this file
from signed import Signed

DICTIONARY = """
ATTRIBUTE User-Name 1 string
ATTRIBUTE User-Password 2 octets
ATTRIBUTE Reply-Message 18 string
ATTRIBUTE State 24 octets
ATTRIBUTE Class 25 octets
ATTRIBUTE NAS-Identifier 32 string
ATTRIBUTE Prompt 76 integer
ATTRIBUTE Message-Authenticator 80 octets
"""
CHALLENGE = 11

address, port, secret, seconds, name, password, *typed = sys.argv[1:]
secret = secret.encode()
dictionary = Dictionary(io.StringIO(DICTIONARY))
clients = [Client(server=one, authport=int(port), secret=secret, dict=dictionary) for one in address.split(",")]
for client in clients:
    client.timeout, client.retries = float(seconds), 1


def ask(text, state):
    request = Signed(id=os.urandom(1)[0], secret=secret, authenticator=os.urandom(16), dict=dictionary, User_Name=name)
    request["User-Password"] = request.PwCrypt(text)
    request["NAS-Identifier"] = "pyrad"
    if state is not None:
        request["State"] = state
    clients.append(clients.pop(0))
    reply = clients[-1].SendPacket(request)  # checks the Response Authenticator, raises Timeout otherwise
    state = reply["State"][0] if 24 in reply else None
    texts = [str(text) for text in reply["Reply-Message"]] if 18 in reply else []
    seen = {"code": reply.code, "signed_first": request.is_reply_signed_first(), "texts": texts, "state": len(state or b"")}
    print(json.dumps(seen), flush=True)
    return reply.code, state


code, state = ask(password, None)
while typed and code == CHALLENGE:
    text = typed.pop(0)
    if text == "wait":
        sys.stdin.readline()
        continue
    code, state = ask(text, state)
print(json.dumps({"left": len(typed)}))
