"""The vendors' own published clients, unchanged, against simulated clouds.

    cloud-clients.py duo   URL CA IKEY SKEY
    cloud-clients.py entra URL CA TENANT CLIENT_ID RESOURCE SECRET
    cloud-clients.py entra-certificate URL CA TENANT CLIENT_ID RESOURCE KEY CERTIFICATE
    cloud-clients.py okta  URL CA TOKEN

The simulator has these people: alice approves a moment later, bobby denies, carol reports fraud, dora is locked out,
nobody is not known; codes are 123456. Prints one line for each step; ends with 1 at the first that is not as it should be."""
import asyncio
import hashlib
import logging
import ssl
import sys
import time
import urllib.request
import xml.etree.ElementTree as tree
from urllib.parse import urlsplit


def check(what, found, expected):
    """One step."""
    if found != expected:
        sys.exit(f"{what}: found {found!r}, expected {expected!r}")
    print(f"{what}: {found}", flush=True)


def refusal(call):
    """Status and answer of a call that must be refused, by Duo's client."""
    try:
        return "not refused", call()
    except RuntimeError as error:
        return error.status, str(error)


def duo(url, ca, ikey, skey):
    """duo_client: every call of the Auth API."""
    import duo_client
    from duo_client.client import Client
    where = urlsplit(url)

    def client(**changed):
        options = {"ikey": ikey, "skey": skey, "host": where.hostname, "port": where.port, "ca_certs": ca, **changed}
        return duo_client.Auth(**options)

    auth = client()
    check("ping", abs(auth.ping()["time"] - time.time()) < 5, True)
    for version in (5, 4, 2):
        check(f"check, signature {version}", "time" in client(sig_version=version).check(), True)
    check("check, signature 2 with SHA-1", "time" in client(sig_version=2, digestmod=hashlib.sha1).check(), True)
    check("another time zone's date", "time" in client(sig_timezone="UTC").check(), True)
    check("wrong skey", refusal(client(skey="w" * 40).check),
          (401, "Received 401 Invalid signature in request credentials"))
    check("wrong ikey", refusal(client(ikey="DIWRONGWRONGWRONGWRO").check),
          (401, "Received 401 Invalid integration key in request credentials"))
    for version in (5, 2):
        wrong = client(skey="w" * 40, sig_version=version)
        check(f"wrong skey, posted, signature {version}", refusal(lambda: wrong.preauth(username="alice"))[0], 401)
        signed = client(sig_version=version)
        found = signed.preauth(username="alice", ipaddr="192.0.2.7")
        check(f"preauth, signature {version}", (found["result"], found["devices"][0]["device"]), ("auth", "DPSIMULATED1"))
        check(f"odd characters, signature {version}",
              signed.preauth(username="al ice+&=~é/%\"'")["result"], "auth")
    check("preauth of somebody unknown", auth.preauth(username="nobody")["result"], "enroll")
    check("preauth without anybody", refusal(auth.preauth)[0], 400)
    for name, expected in {"alice": ("allow", "allow"), "bobby": ("deny", "deny"), "carol": ("deny", "fraud"),
                           "dora": ("deny", "locked_out")}.items():
        found = auth.auth("push", username=name, device="auto", type="VPN", pushinfo="from=VPN&x=%20y")
        check(f"auth of {name}", (found["result"], found["status"]), expected)
    txid = auth.auth("push", username="alice", device="auto", async_txn=True)["txid"]
    first = auth.auth_status(txid)
    check("auth_status at once", (first["waiting"], first["success"], first["status"]), (True, False, "pushed"))
    later = auth.auth_status(txid)
    check("auth_status, waited for", (later["waiting"], later["success"], later["status"]), (False, True, "allow"))
    txid = auth.auth("phone", username="bobby", device="DPSIMULATED1", async_txn=True)["txid"]
    while (state := auth.auth_status(txid))["waiting"]:
        pass
    check("a call that is denied", (state["success"], state["status"]), (False, "deny"))
    check("passcode", auth.auth("passcode", username="alice", passcode="123456")["result"], "allow")
    check("the same passcode", auth.auth("passcode", username="alice", passcode="123456")["result"], "deny")
    check("wrong passcode", auth.auth("passcode", username="alice", passcode="000000")["status"], "deny")
    check("sms", auth.auth("sms", username="alice", device="auto")["status"], "sent")
    check("unknown txid", refusal(lambda: auth.auth_status("no-such-transaction")),
          (400, "Received 400 Invalid request parameters (txid)"))
    check("no device", refusal(lambda: auth.auth("push", username="alice")),
          (400, "Received 400 Missing required request parameters (device)"))
    check("unknown factor", refusal(lambda: auth.auth("smoke", username="alice", device="auto"))[0], 400)
    enrolled = auth.enroll("eve", valid_secs=60)
    check("enroll", enrolled["username"], "eve")
    check("enroll_status", auth.enroll_status(enrolled["user_id"], enrolled["activation_code"]), "waiting")
    check("logo", auth.logo()[:4], b"\x89PNG")
    generic = Client(ikey=ikey, skey=skey, host=where.hostname, port=where.port, ca_certs=ca)
    check("no such call", refusal(lambda: generic.json_api_call("GET", "/auth/v2/none", {}))[0], 404)
    headers = {"X-Duo-One": "a", "x-duo-two": "b"}
    response, _ = generic.api_call("GET", "/auth/v2/check", {}, additional_headers=headers)
    check("signed headers", response.status, 200)


def entra(url, ca, tenant, client_id, resource, secret):
    """adal for the token, then the connector as the published scripts speak to it."""
    import adal
    # It logs refusals at length, secrets left out.
    logging.getLogger("adal-python").setLevel(logging.CRITICAL)

    def token(**changed):
        given = {"resource": resource, "client_id": client_id, "client_secret": secret, **changed}
        context = adal.AuthenticationContext(f"{url}/{tenant}", validate_authority=False, verify_ssl=ca)
        return context.acquire_token_with_client_credentials(**given)["accessToken"]

    def refused(**changed):
        try:
            return token(**changed)
        except adal.AdalError as error:
            return error.error_response["error"]

    check("wrong secret", refused(client_secret="wrong"), "invalid_client")
    check("wrong client", refused(client_id="somebody"), "unauthorized_client")
    check("wrong resource", refused(resource="https://elsewhere.test"), "invalid_resource")
    connector(url, ca, token())


def entra_certificate(url, ca, tenant, client_id, resource, key, certificate):
    """adal with an assertion that it signs itself."""
    import adal
    with open(certificate, encoding="ascii") as file:
        digest = hashlib.sha1(ssl.PEM_cert_to_DER_cert(file.read())).hexdigest()
    with open(key, encoding="ascii") as file:
        private = file.read()
    context = adal.AuthenticationContext(f"{url}/{tenant}", validate_authority=False, verify_ssl=ca)
    granted = context.acquire_token_with_client_certificate(resource, client_id, private, digest)
    check("token by certificate", granted["tokenType"], "Bearer")
    connector(url, ca, granted["accessToken"])


CONNECTOR = "StrongAuthenticationService.svc/Connector"


def connector(url, ca, token):
    """Begin and End, with Python's own HTTP and XML."""
    trust = ssl.create_default_context(cafile=ca)

    def post(where, root, children, cookies=""):
        body = tree.Element(root)
        for name, value in children:
            tree.SubElement(body, name).text = value
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/xml", "Cookie": cookies}
        asked = urllib.request.Request(where, tree.tostring(body), headers)
        with urllib.request.urlopen(asked, timeout=60, context=trust) as answer:
            cookies = "; ".join(one.split(";")[0] for one in answer.headers.get_all("Set-Cookie", []))
            return tree.fromstring(answer.read()), cookies

    def begin(user, context, sync="true", swap=False):
        children = [("Version", "1.0"), ("UserPrincipalName", user), ("Lcid", "en-us"),
                    ("AuthenticationMethodId", "PhoneAppNotification"), ("ContextId", context), ("SyncCall", sync),
                    ("RequireUserMatch", "true"), ("CallerName", "radius"), ("CallerIP", "UNKNOWN:")]
        if swap:  # a child out of its order is not read
            children[1], children[4] = children[4], children[1]
        return post(f"{url}/{CONNECTOR}/BeginTwoWayAuthentication", "BeginTwoWayAuthenticationRequest", children)

    def said(answer):
        return answer.findtext("Result/Value"), answer.findtext("AuthenticationResult") or None

    contexts = (f"00000000-0000-4000-8000-{number:012x}" for number in range(100))
    for user, expected in {"alice": ("Success", "true"), "bobby": ("PhoneAppDenied", "false"),
                           "carol": ("PhoneAppFraudReported", "false"), "dora": ("UserIsBlocked", "false"),
                           "nobody": ("UserNotFound", "false")}.items():
        check(f"begin and wait, {user}", said(begin(user, next(contexts))[0]), expected)
    context = next(contexts)
    begun, cookies = begin("alice", context, sync="false")
    check("begin and poll", said(begun), ("AuthenticationPending", None))
    check("the same context once more", said(begin("alice", context, "false")[0])[0], "UserAuthFailedDuplicateRequest")
    children = [("Version", "1.0"), ("SessionId", begun.findtext("SessionId")), ("ContextId", context),
                ("AdditionalAuthData", ""), ("UserPrincipalName", "alice")]
    finish = "EndTwoWayAuthenticationRequest"
    where = begun.findtext("AffinityUrl")
    check("end without the cookie", said(post(where, finish, children)[0])[0], "InvalidSession")
    elsewhere = f"{url}/{CONNECTOR}/EndTwoWayAuthentication"
    check("end elsewhere", said(post(elsewhere, finish, children, cookies)[0])[0], "InvalidSession")
    end = time.time() + 20
    while (state := said(post(where, finish, children, cookies)[0]))[0] == "AuthenticationPending" and time.time() < end:
        time.sleep(0.05)
    check("end", state, ("Success", "true"))
    for what, action in {"children out of order": lambda: begin("alice", next(contexts), swap=True),
                         "no token": lambda: connector(url, ca, "none")}.items():
        try:
            found = action()
        except urllib.error.HTTPError as error:
            found = error.code
        check(what, found, 400 if what.startswith("children") else 401)


def okta(url, ca, token):
    """okta: the management API's own client."""
    import os
    os.environ["SSL_CERT_FILE"] = ca
    logging.disable(logging.CRITICAL)
    asyncio.run(talk(url, token))


async def talk(url, token):
    """What a program that verifies factors does with Okta's client."""
    from okta.client import Client

    def client(secret):
        # No retries of its own, and nothing kept.
        return Client({"orgUrl": url, "token": secret, "rateLimit": {"maxRetries": 0}, "cache": {"enabled": False}})

    _, answer, error = await client("wrong").get_user("alice")
    check("wrong token", (error is not None, answer.status if answer else None), (True, 401))
    with_token = client(token)
    user, _, error = await with_token.get_user("alice")
    check("user", (error, user.profile.login, str(user.status.value if hasattr(user.status, "value") else user.status)),
          (None, "alice", "ACTIVE"))
    _, answer, error = await with_token.get_user("nobody")
    check("user who is not there", (error is not None, answer.status), (True, 404))
    factors, _, error = await with_token.list_factors(user.id)
    check("factors", (error, len(factors) > 3), (None, True))

    async def verify(name, factor):
        # Its model of this request has no place for a typed code.
        user, _, _ = await with_token.get_user(name)
        found, answer, error = await with_token.verify_factor(user.id, factor)
        return user.id, found, answer, error

    _, _, answer, error = await verify("alice", "none")
    check("factor that is not there", (error is not None, answer.status), (True, 404))

    for name, expected in {"alice": "SUCCESS", "bobby": "REJECTED", "carol": "REJECTED"}.items():
        user_id, found, _, error = await verify(name, "opf1")
        check(f"push to {name}", (error, word(found.factor_result)), (None, "WAITING"))
        transaction = found.links.poll.href.rsplit("/", 1)[-1]
        end = time.time() + 20
        while True:
            state, _, error = await with_token.get_factor_transaction_status(user_id, "opf1", transaction)
            state = getattr(state, "actual_instance", state)
            if error is not None or word(state.factor_result) != "WAITING" or time.time() > end:
                break
            await asyncio.sleep(0.05)
        check(f"answer of {name}", (error, word(state.factor_result)), (None, expected))


def word(value):
    """An enumeration's or a text's word."""
    return str(getattr(value, "value", value))


CLIENTS = {"duo": duo, "entra": entra, "entra-certificate": entra_certificate, "okta": okta}

if __name__ == "__main__":
    CLIENTS[sys.argv[1]](*sys.argv[2:])
