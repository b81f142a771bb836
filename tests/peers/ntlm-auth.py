#!/usr/bin/env python3
"""ntlm-auth.py FILE [CHALLENGE RESPONSE]: what FreeRADIUS's mschap module runs in place of Samba's ntlm_auth, for one account
whose password is in FILE.

With CHALLENGE and RESPONSE (hexadecimal) it checks the proof, and prints NT_KEY with the hash of the hash of the password.
Without, it speaks ntlm-change-password-1 on standard input: it opens the new password with the old one's hash (RFC 2759
section 8.9), sees to it that both blobs are of one change (section 8.12), writes it to FILE and makes FILE.changed. MD4, DES
and RC4 come from the openssl program's legacy provider."""
import subprocess
import sys

path = sys.argv[1]
password = open(path, encoding="utf-8").read()


def openssl(data, *arguments):
    command = ["openssl", *arguments, "-provider", "legacy", "-provider", "default"]
    return subprocess.run(command, input=data, capture_output=True, check=True).stdout


def md4(data):
    return openssl(data, "dgst", "-md4", "-binary")


def des(key7, block):
    key = int.from_bytes(key7, "big")
    key8 = bytes(((key >> (49 - 7 * i)) & 0x7F) << 1 for i in range(8))
    return openssl(block, "enc", "-des-ecb", "-nopad", "-K", key8.hex())


hashed = md4(password.encode("utf-16le"))
if len(sys.argv) == 4:
    challenge, response = (bytes.fromhex(word) for word in sys.argv[2:])
    padded = hashed + bytes(5)
    if b"".join(des(padded[at:at + 7], challenge) for at in (0, 7, 14)) != response:
        print("The attempted logon is invalid. (0xc000006d)")
        sys.exit(1)
    print("NT_KEY: " + md4(hashed).hex().upper())
    sys.exit()

said = {}
for line in sys.stdin:
    if line.strip() == ".":
        break
    key, _, value = line.strip().partition(": ")
    said[key] = value
clear = openssl(bytes.fromhex(said["new-nt-password-blob"]), "enc", "-rc4", "-d", "-K", hashed.hex())
length = int.from_bytes(clear[512:], "little")
text = clear[512 - length:512] if length <= 512 else b""
new = md4(text)
crossed = des(new[:7], hashed[:8]) + des(new[7:14], hashed[8:])
if not text or crossed.hex() != said["old-nt-hash-blob"].lower():
    print("Password-Change: No\nPassword-Change-Error: Wrong Password\n.")
    sys.exit()
with open(path, "w", encoding="utf-8") as file:
    file.write(text.decode("utf-16le"))
open(path + ".changed", "w").close()
print("Password-Change: Yes\n.")
