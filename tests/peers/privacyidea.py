#!/usr/bin/env python3
"""What tests/peers/privacyidea.sh needs in Python, with the packages of privacyIDEA's own environment.

sinks DIR              a mail sink (DIR/mail/*.txt) and a text-message gateway (DIR/sms.log); ports in DIR/sinks.ports
configure DIR URL      people, policies and tokens, over the REST API
phone DIR URL accept|decline USER
                       the person's phone: waits for its push challenge and answers it"""
import base64
import email
import json
import os
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request

ADMIN, PASSWORD = "Adm1n-Passw0rd!", "Us3r-Passw0rd!"
KEY = "3132333435363738393031323334353637383930"  # the secret of RFC 4226, appendix D
PEOPLE = ["hotp", "totp", "mail", "sms", "push", "several", "notoken", "alike"]


def call(url, folder, method, path, token=None, **data):
    """One request; the answer's JSON, whatever the status."""
    body = urllib.parse.urlencode(data).encode()
    address = url + path + ("?" + body.decode() if method == "GET" and data else "")
    request = urllib.request.Request(address, data=None if method == "GET" else body, method=method)
    if token:
        request.add_header("Authorization", token)
    trust = ssl.create_default_context(cafile=folder + "/ca.pem")
    try:
        with urllib.request.urlopen(request, timeout=30, context=trust) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        return json.load(error)


def sinks(folder):
    """Runs both sinks until the process is ended."""
    import threading
    from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

    from aiosmtpd.controller import Controller

    os.makedirs(folder + "/mail")

    class Mail:
        """Keeps each message as a file."""
        count = 0

        async def handle_DATA(self, _server, _session, envelope):
            Mail.count += 1
            name = f"{folder}/mail/{Mail.count:06d}.txt"
            parts = email.message_from_bytes(envelope.original_content).walk()
            text = next(part for part in parts if part.get_content_maintype() == "text").get_payload(decode=True)
            with open(name + ".new", "wb") as file:
                file.write(text)
            os.rename(name + ".new", name)
            return "250 OK"

    class Gateway(BaseHTTPRequestHandler):
        """Keeps each message as a line of JSON."""

        def do_POST(self):
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
            pairs = dict(urllib.parse.parse_qsl(body))
            with open(folder + "/sms.log", "a", encoding="utf-8") as file:
                file.write(json.dumps({"to": pairs.get("to"), "text": pairs.get("text")}) + "\n")
            self.send_response(200)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"OK")

        def log_message(self, *_):
            pass

    import socket
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    Controller(Mail(), hostname="127.0.0.1", port=port).start()
    gateway = ThreadingHTTPServer(("127.0.0.1", 0), Gateway)
    threading.Thread(target=gateway.serve_forever, daemon=True).start()
    with open(folder + "/sinks.ports.new", "w", encoding="utf-8") as file:
        file.write(f"{port} {gateway.server_address[1]}")
    os.rename(folder + "/sinks.ports.new", folder + "/sinks.ports")
    threading.Event().wait()


def configure(folder, url):
    """People in two realms: in `lab` a code is enough, in `pinned` the password stands before it."""
    smtp, sms = open(folder + "/sinks.ports", encoding="utf-8").read().split()
    answer = call(url, folder, "POST", "/auth", username="admin", password=ADMIN)
    token = answer["result"]["value"]["token"]

    def admin(method, path, **data):
        answer = call(url, folder, method, path, token, **data)
        if not answer["result"].get("status"):
            sys.exit(f"{path}: {answer['result']}")
        return answer

    hidden = subprocess.run(["openssl", "passwd", "-6", "-salt", "saltofatest", PASSWORD], check=True,
                            capture_output=True, text=True).stdout.strip()
    for realm, people in (("lab", PEOPLE), ("pinned", ["pinhotp", "pinpush"])):
        path = f"{folder}/{realm}.passwd"
        with open(path, "w", encoding="utf-8") as file:
            for number, name in enumerate(people):
                file.write(f"{name}:{hidden}:{1000 + number}:100:{name} Lab,,,,{name}@lab.test:/nowhere:/bin/false\n")
        admin("POST", f"/resolver/{realm}people", type="passwdresolver", fileName=path)
        admin("POST", f"/realm/{realm}", resolvers=f"{realm}people")
    admin("POST", "/defaultrealm/lab")
    challenges = "challenge_response=hotp totp sms email push"
    admin("POST", "/policy/code", scope="authentication", active=1, realm="lab", action=f"otppin=none, {challenges}")
    admin("POST", "/policy/pin", scope="authentication", active=1, realm="pinned",
          action=f"otppin=userstore, {challenges}")
    # without it, `type` in a request is read and not obeyed
    admin("POST", "/policy/kind", scope="authorization", active=1, action="application_tokentype")
    admin("POST", "/policy/push", scope="enrollment", active=1, realm="lab,pinned",
          action=f"push_firebase_configuration=poll only, push_registration_url={url}/ttype/push, push_ttl=10, push_ssl_verify=0")
    admin("POST", "/smtpserver/sink", server="127.0.0.1", port=smtp, sender="pi@lab.test", tls="0")
    admin("POST", "/system/setConfig", **{"email.identifier": "sink"})
    admin("POST", "/smsgateway", name="sink", module="privacyidea.lib.smsprovider.HttpSMSProvider.HttpSMSProvider",
          description="", **{"option.URL": f"http://127.0.0.1:{sms}/sms", "option.HTTP_METHOD": "POST",
                             "option.CHECK_SSL": "no", "option.SEND_DATA_AS_JSON": "no", "option.to": "{phone}",
                             "option.text": "{otp}"})
    admin("POST", "/system/setConfig", **{"sms.identifier": "sink"})
    for user, realm, kind in (("hotp", "lab", "hotp"), ("totp", "lab", "totp"), ("several", "lab", "hotp"),
                              ("pinhotp", "pinned", "hotp")):
        admin("POST", "/token/init", type=kind, otpkey=KEY, genkey=0, user=user, realm=realm)
    admin("POST", "/token/init", type="email", email="mail@lab.test", user="mail", realm="lab")
    admin("POST", "/token/init", type="sms", phone="+12025550111", user="sms", realm="lab")
    for user, realm in (("push", "lab"), ("several", "lab"), ("alike", "lab"), ("pinpush", "pinned")):
        enrol(folder, url, admin, user, realm)
    # from here on only Anteroom's account may do anything, and only this
    admin("POST", "/policy/anteroom", scope="admin", active=1, adminuser="anteroom", action="triggerchallenge")


def enrol(folder, url, admin, user, realm):
    """Enrols a push token, with a key of its own for the phone."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa
    key = rsa.generate_private_key(65537, 2048)
    public = key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    detail = admin("POST", "/token/init", type="push", genkey=1, user=user, realm=realm)["detail"]
    answer = call(url, folder, "POST", "/ttype/push", serial=detail["serial"], fbtoken="none",
                  pubkey=base64.urlsafe_b64encode(public).decode(), enrollment_credential=detail["enrollment_credential"])
    if not answer["result"].get("status"):
        sys.exit(f"push enrolment: {answer['result']}")
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    with open(f"{folder}/phone-{user}.json", "w", encoding="utf-8") as file:
        json.dump({"serial": detail["serial"], "key": pem.decode()}, file)


def phone(folder, url, answer, user):
    """Waits for a challenge, twenty seconds at most, and answers it."""
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import padding
    with open(f"{folder}/phone-{user}.json", encoding="utf-8") as file:
        enrolled = json.load(file)
    key, serial = serialization.load_pem_private_key(enrolled["key"].encode(), None), enrolled["serial"]

    def sign(text):
        return base64.b32encode(key.sign(text.encode(), padding.PKCS1v15(), hashes.SHA256())).decode()

    for _ in range(100):
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime())
        found = call(url, folder, "GET", "/ttype/push", serial=serial, timestamp=stamp, signature=sign(f"{serial}|{stamp}"))
        for challenge in found["result"].get("value") or []:
            text = f"{challenge['nonce']}|{serial}" + ("" if answer == "accept" else "|decline")
            more = {} if answer == "accept" else {"decline": "1"}
            call(url, folder, "POST", "/ttype/push", serial=serial, nonce=challenge["nonce"], signature=sign(text), **more)
        if found["result"].get("value"):
            return
        time.sleep(0.2)
    sys.exit(f"no challenge came for {user}")


globals()[sys.argv[1]](*sys.argv[2:])
