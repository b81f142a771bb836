#!/usr/bin/env python3
"""mschapv2.py USER PASSWORD SERVER PORT SECRET [NEW]: one MS-CHAPv2 sign-in (RFC 2759), not within EAP. With NEW, the
change of the expired PASSWORD to NEW (MS-CHAP2-CPW, RFC 2548 section 2.3.4), by which the person signs in at once.

radclient sends it and opens the keys of the reply with the client's secret; this checks MS-CHAP2-Success against
the password and both MPPE keys against what RFC 3079 makes of it. Prints accept, reject, challenge, silence (a refusal
with the number of its MS-CHAP-Error, where it has one), or what is wrong. MD4 and DES come from the openssl program's legacy provider."""
import hashlib
import os
import re
import subprocess
import sys

user, password, server, port, secret = sys.argv[1:6]
new = sys.argv[6] if len(sys.argv) > 6 else None


def openssl(data, *arguments):
    command = ["openssl", *arguments, "-provider", "legacy", "-provider", "default"]
    return subprocess.run(command, input=data, capture_output=True, check=True).stdout


def md4(data):
    return openssl(data, "dgst", "-md4", "-binary")


def sha(*parts):
    return hashlib.sha1(b"".join(parts)).digest()


def des(key7, block):
    key = int.from_bytes(key7, "big")
    key8 = bytes(((key >> (49 - 7 * i)) & 0x7F) << 1 for i in range(8))
    return openssl(block, "enc", "-des-ecb", "-nopad", "-K", key8.hex())


authenticator, peer = os.urandom(16), os.urandom(16)
bare = user.split("\\")[-1].encode()
hashed = md4((new or password).encode("utf-16le"))
challenge = sha(peer, authenticator, bare)[:8]
padded = hashed + bytes(5)
response = des(padded[:7], challenge) + des(padded[7:14], challenge) + des(padded[14:], challenge)
success = sha(sha(md4(hashed), response, b"Magic server to client signing constant"), challenge,
              b"Pad to make it do more than one iteration").hex().upper()

# RFC 3079 section 3.3: the keys of the server, of 128 bits.
master = sha(md4(hashed), response, b"This is the MPPE Master Key")[:16]
to_client = b"On the client side, this is the receive key; on the server side, it is the send key."
to_server = b"On the client side, this is the send key; on the server side, it is the receive key."
send = sha(master, bytes(40), to_client, b"\xf2" * 40)[:16].hex()
receive = sha(master, bytes(40), to_server, b"\xf2" * 40)[:16].hex()

if new:
    # RFC 2759 section 8.9 and 8.12: the new password under the old one's hash, and the old hash under the new one.
    old, text = md4(password.encode("utf-16le")), new.encode("utf-16le")
    clear = os.urandom(512 - len(text)) + text + len(text).to_bytes(4, "little")
    sealed = openssl(clear, "enc", "-rc4", "-K", old.hex())
    crossed = des(hashed[:7], old[:8]) + des(hashed[7:14], old[8:])
    parts = [sealed[at:at + 243] for at in range(0, len(sealed), 243)]
    proof = [f"MS-CHAP2-CPW = 0x0700{crossed.hex()}{peer.hex()}{bytes(8).hex()}{response.hex()}0000"]
    proof += [f"MS-CHAP-NT-Enc-PW += 0x0600{number:04x}{part.hex()}" for number, part in enumerate(parts, 1)]
else:
    proof = [f"MS-CHAP2-Response = 0x0000{peer.hex()}{bytes(8).hex()}{response.hex()}"]
request = "\n".join([
    f'User-Name = "{user}"'.replace("\\", "\\\\"), f"MS-CHAP-Challenge = 0x{authenticator.hex()}",
    *proof, "Message-Authenticator = 0x00",
]) + "\n"
done = subprocess.run(["radclient", "-x", "-r", "1", "-t", "15", f"{server}:{port}", "auth", secret], input=request,
                      capture_output=True, text=True)
said = done.stdout
kind = re.search(r"Received Access-(\w+)", said)
if not kind:
    print("silence")
elif kind[1] != "Accept":
    error = re.search(r'MS-CHAP-Error = ".*?E=(\d+) R=0 C=[0-9a-fA-F]{32} V=3', said)
    print(kind[1].lower() + (" with error " + error[1] if error else ""))
else:
    got = re.search(r"MS-CHAP2-Success = 0x([0-9a-f]+)", said)
    keys = [re.search(rf"MS-MPPE-{name}-Key = 0x([0-9a-f]+)", said) for name in ("Send", "Recv")]
    if not got or bytes.fromhex(got[1])[1:].decode() != "S=" + success:
        print("wrong MS-CHAP2-Success", said)
    elif [key and key[1] for key in keys] != [send, receive]:
        print("wrong keys", said)
    else:
        # with "show" in MPPE, the keys of the reply, too: send and receive
        print("accept", *[key[1] for key in keys if os.environ.get("MPPE") == "show"])
