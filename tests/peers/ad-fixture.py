#!/usr/bin/env python3
"""Emit the people of the test directory as LDIF, for ldbadd and ldbmodify on a stopped controller.

ad-fixture.py add     --base DC=corp,DC=example,DC=test --realm corp.example.test
ad-fixture.py modify  ...   changes that need the objects to exist (lock-out, password age, a group loop)

Passwords: people Us3r-Passw0rd! where nothing else is said, service accounts Svc-Pr0xy-Passw0rd!
"""
import argparse, base64, time

ap = argparse.ArgumentParser()
ap.add_argument("what", choices=["add", "modify"])
ap.add_argument("--base", required=True)
ap.add_argument("--realm", required=True)
a = ap.parse_args()
B, R, LAB = a.base, a.realm.lower(), "OU=Lab," + a.base
PEOPLE_PASSWORD, SERVICE_PASSWORD = "Us3r-Passw0rd!", "Svc-Pr0xy-Passw0rd!"
FILETIME = lambda unix: str(int((unix + 11644473600) * 10_000_000))


def b64(data):
    return base64.b64encode(data).decode()


def pwd(p):  # unicodePwd is the quoted password in UTF-16LE
    return ('"%s"' % p).encode("utf-16le")


def esc(v):  # RFC 4514 escaping of one attribute value
    out = "".join("\\" + c if c in ',+"\\<>;=' else c for c in v)
    if out[:1] in ("#", " "):
        out = "\\" + out
    if out.endswith(" "):
        out = out[:-1] + "\\ "
    return out


def emit(dn, *attrs, changetype=None):
    def line(k, v):
        if v is None:
            return
        raw = v if isinstance(v, bytes) else str(v).encode()
        plain = all(32 <= c < 127 for c in raw)
        if plain and raw[:1] not in (b" ", b":", b"<", b"") and not raw.endswith(b" "):
            print(f"{k}: {raw.decode()}")
        else:
            print(f"{k}:: {b64(raw)}")
    line("dn", dn)
    if changetype:
        print("changetype:", changetype)
    for k, v in attrs:
        if k == "-":
            print("-")
        else:
            for one in v if isinstance(v, list) else [v]:
                line(k, one)
    print()


def ou(name, parent=LAB):
    emit(f"OU={esc(name)},{parent}", ("objectClass", "organizationalUnit"))


def user(sam, cn, ou, given=None, sn=None, upn="", mail="", pw=None, uac=512, oc=("user",), **kw):
    dn = f"CN={esc(cn)},{ou}"
    attrs = [("objectClass", list(oc)), ("sAMAccountName", sam)]
    if upn is not None:
        attrs.append(("userPrincipalName", upn or f"{sam}@{R}"))
    if mail is not None:
        attrs.append(("mail", mail or f"{sam}@{R}"))
    attrs += [("givenName", given), ("sn", sn), ("displayName", kw.pop("displayName", cn))]
    attrs += list(kw.items())
    if pw != "":
        attrs.append(("unicodePwd", pwd(pw or PEOPLE_PASSWORD)))
    attrs.append(("userAccountControl", uac))
    emit(dn, *attrs)
    return dn


def group(sam, members, kind, ou="OU=Groups," + LAB, cn=None):
    # groupType: 2 global, 4 domain local, 8 universal; 0x80000000 = security group
    gt = {"global": 2, "local": 4, "universal": 8, "dist": 8}[kind]
    gt = gt if kind == "dist" else gt - 2**31
    dn = f"CN={esc(cn or sam)},{ou}"
    emit(dn, ("objectClass", "group"), ("sAMAccountName", sam), ("groupType", gt), ("member", members))
    return dn


ENG, SALES = f"OU=Engineering,OU=People,{LAB}", f"OU=Sales,OU=People,{LAB}"
ZRH, STATES, SVC = f"OU=Zürich,OU=People,{LAB}", f"OU=States,{LAB}", f"OU=Service Accounts,{LAB}"
GRP = f"OU=Groups,{LAB}"
P = lambda cn, o: f"CN={esc(cn)},{o}"

if a.what == "add":
    emit(LAB, ("objectClass", "organizationalUnit"))
    for n in ("People", "States", "Service Accounts", "Groups"):
        ou(n)
    for n in ("Engineering", "Sales", "Zürich"):
        ou(n, f"OU=People,{LAB}")

    # --- ordinary people -----------------------------------------------------------------
    alice = user("alice", "Alice Anderson", ENG, "Alice", "Anderson", telephoneNumber="+1 202 555 0101",
                 mobile="+1 202 555 0111", department="Engineering", preferredLanguage="en-US")
    bob = user("bob", "Bob Brown", ENG, "Bob", "Brown", telephoneNumber="+1 (202) 555-0102 x17")  # no mobile
    carol = user("carol", "Carol Clark", SALES, "Carol", "Clark", mobile="0044 20 7946 0103",
                 otherMobile=["+442079460104", "+442079460105"])
    # --- names that break naive code -----------------------------------------------------
    jm = user("jmueller", "Jürgen Müller", ZRH, "Jürgen", "Müller", mobile="+41 44 668 18 00")
    mu = user("müller", "Müller Nonascii-sAM", ZRH, "Nonascii", "Müller", mail=f"mueller@{R}")
    user("lzolc", "Łukasz Żółć", SALES, "Łukasz", "Żółć")
    user("li", "李小龍", SALES, "小龍", "李")
    user("jose", "Jose\u0301 NFD", SALES, "Jose\u0301", "NFD")       # decomposed e + U+0301
    ada = user("ada", "Lovelace, Ada", ENG, "Ada", "Lovelace")        # CN=Lovelace\, Ada
    user("weird", '#Weird+Name "Q" <x>; b\\s = / end', ENG, "We,ird", "N+ame")
    user("smith", "Smith (Contractor) *", ENG, "S*", "Smith (x)")    # LDAP filter metacharacters
    user("o'brien", "O'Brien, Pat", SALES, "Pat", "O'Brien")
    user("abcdefghijklmnopqrst", "Twentychar Sam", SALES, upn=f"a.very.long.user.principal.name.indeed@{R}")
    # --- people whose passwords tests mistype: each has few enough mistakes not to be locked out --
    for n in range(1, 10):
        user(f"clumsy{n}", f"Clumsy {n}", SALES)
    # --- people whose passwords tests change: the first one's has expired, the third is disabled --
    for n, uac in ((1, 512), (2, 512), (3, 514), (4, 512)):
        user(f"renew{n}", f"Renew {n}", SALES, uac=uac)
    # --- identifiers that disagree -------------------------------------------------------
    user("noupn", "No Upn", SALES, upn=None)
    user("nomail", "No Mail", SALES, mail=None)
    dave = user("dave", "Dave Partner", SALES, "Dave", "Partner", upn="dave@partner.example.test",
                mail="dave@partner.example.test")                     # other UPN suffix
    user("erin", "Erin Smith", SALES, "Erin", "Smith", upn=f"erin.smith@{R}", mail=f"e.s@mail.{R}")
    # (two users whose UPNs are each other's implicit sAMAccountName@realm: Samba refuses that
    #  with a constraint violation; AD only since the 2021 uniqueness checks, so a mock must cover it)
    # --- passwords -----------------------------------------------------------------------
    user("pwutf8", "Pw Utf8", SALES, pw="Pässwörd-€uro1")
    user("pwspace", "Pw Space", SALES, pw=" Lead and trail 1 ")
    user("pwlong", "Pw Long", SALES, pw="L0ng-" + "x" * 122)          # 127 chars, the AD UI maximum
    user("pw128", "Pw OneTwentyEight", SALES, pw="L0ng-" + "y" * 195) # 200 > the 128 octets of RADIUS PAP
    # --- account states a bind must report ----------------------------------------------
    user("st-disabled", "State Disabled", STATES, uac=514)
    user("st-locked", "State Locked", STATES)                          # locked in 'modify'
    user("st-mustchange", "State MustChange", STATES, pwdLastSet=0)
    user("st-pwexpired", "State PwExpired", STATES)                    # aged in 'modify'
    user("st-acctexpired", "State AcctExpired", STATES, accountExpires=FILETIME(time.time() - 86400 * 30))
    user("st-nohours", "State NoHours", STATES, logonHours=b"\0" * 21)
    user("st-wks", "State Workstation", STATES, userWorkstations="NOSUCHPC")
    user("st-smartcard", "State Smartcard", STATES, uac=512 | 0x40000)
    user("st-blank", "State BlankPassword", STATES, pw="", uac=512 | 0x20)  # PASSWD_NOTREQD, no password
    user("st-protected", "State ProtectedUsers", STATES)               # member of Protected Users
    # --- service accounts ------------------------------------------------------------------
    svc = user("svc-proxy", "svc-proxy", SVC, mail=None, pw=SERVICE_PASSWORD, uac=512 | 0x10000)  # plain Domain User
    # --- things that must not be taken for people ------------------------------------
    emit(f"CN=Contact Only,OU=People,{LAB}", ("objectClass", "contact"), ("mail", "contact@elsewhere.example"),
         ("displayName", "Contact Only"), ("sn", "Only"))
    emit(f"CN=WKS01,OU=People,{LAB}", ("objectClass", "computer"), ("sAMAccountName", "WKS01$"),
         ("userAccountControl", 4096))
    user("iop", "Inet OrgPerson", SALES, oc=("user", "inetOrgPerson"))
    # --- groups: VPN-Users > VPN-Engineering > VPN-Interns, a loop, kinds, odd names ----------
    interns = group("VPN-Interns", [carol, ada, jm], "global")
    eng = group("VPN-Engineering", [bob, interns], "global")
    vpn = group("VPN-Users", [alice, eng], "global")
    group("App-Access", [vpn, mu], "local")                             # 4 levels deep
    group("MFA-Required", [vpn], "universal")
    group("MFA-Exempt", [svc], "global")
    emit(f"CN=Loop-A,{GRP}", ("objectClass", "group"), ("sAMAccountName", "Loop-A"), ("groupType", 8 - 2**31))
    group("Loop-B", [f"CN=Loop-A,{GRP}", dave], "universal")
    group("Newsletter", [alice, bob], "dist")
    group("Gruppe Zurich", [jm], "global", cn="Gruppe, Zürich (alle) +1")
    group("Primary-Only", [], "global")
    user("heidi", "Heidi Primary", SALES, "Heidi", "Primary")
    # --- computers that connect through a gateway: PC-0815 is in Gateway-Computers by way of another group ----
    emit(f"CN=PC-0815,OU=People,{LAB}", ("objectClass", "computer"), ("sAMAccountName", "PC-0815$"),
         ("dNSHostName", f"pc-0815.{R}"), ("userAccountControl", 4096))
    emit(f"CN=PC-4711,OU=People,{LAB}", ("objectClass", "computer"), ("sAMAccountName", "PC-4711$"),
         ("dNSHostName", f"pc-4711.{R}"), ("userAccountControl", 4096))
    laptops = group("Laptops", [f"CN=PC-0815,OU=People,{LAB}"], "global")
    group("Gateway-Computers", [laptops], "global")
    # logon hours: every hour but those of Sunday 0 h UTC, and the whole week
    user("allhours", "All Hours", SALES, logonHours=b"\xff" * 21)
else:
    M = "modify"
    # another UPN suffix, as in Active Directory Domains and Trusts
    emit(f"CN=Partitions,CN=Configuration,{B}", ("add", "uPNSuffixes"), ("uPNSuffixes", "partner.example.test"),
         ("-", None), changetype=M)
    # lock-out: 5 attempts, until an administrator unlocks (so the fixture stays locked);
    # a password may be changed again at once
    emit(B, ("replace", "lockoutThreshold"), ("lockoutThreshold", 5), ("-", None),
         ("replace", "lockoutDuration"), ("lockoutDuration", -2**63), ("-", None),
         ("replace", "minPwdAge"), ("minPwdAge", 0), ("-", None), changetype=M)
    emit(P("State Locked", STATES), ("replace", "lockoutTime"), ("lockoutTime", FILETIME(time.time())), ("-", None),
         ("replace", "badPwdCount"), ("badPwdCount", 5), ("-", None), changetype=M)
    for aged in (P("State PwExpired", STATES), P("Renew 1", SALES)):
        emit(aged, ("replace", "pwdLastSet"), ("pwdLastSet", FILETIME(time.time() - 86400 * 100)), ("-", None), changetype=M)
    emit(f"CN=Loop-A,{GRP}", ("add", "member"), ("member", f"CN=Loop-B,{GRP}"), ("-", None), changetype=M)
    emit(f"CN=Protected Users,CN=Users,{B}", ("add", "member"), ("member", P("State ProtectedUsers", STATES)),
         ("-", None), changetype=M)
