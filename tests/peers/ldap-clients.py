#!/usr/bin/env python3
"""One conversation of an application with an LDAP library of Python: `ldap3` or `python-ldap`.

ldap-clients.py LIBRARY URL CA SERVICE SERVICE-PASSWORD BASE FILTER PASSWORD

Service account, search, bind as the person on the same connection, a look at the own entry, back to the
service account, a wrong password, and the person again on a connection of their own. ldap:// means StartTLS.
Prints one JSON object; what cannot be done at all ends with an error."""
import json
import ssl
import sys

LIBRARY, URL, CA, SERVICE, SERVICE_PASSWORD, BASE, FILTER, PASSWORD = sys.argv[1:]
START_TLS = URL.startswith("ldap://")


class PythonLdap:
    """python-ldap: libldap underneath."""

    def __init__(self):
        import ldap
        self.ldap = ldap
        self.connection = ldap.initialize(URL)
        self.connection.set_option(ldap.OPT_X_TLS_CACERTFILE, CA)
        self.connection.set_option(ldap.OPT_X_TLS_REQUIRE_CERT, ldap.OPT_X_TLS_DEMAND)
        self.connection.set_option(ldap.OPT_X_TLS_NEWCTX, 0)
        self.connection.set_option(ldap.OPT_TIMEOUT, 30)
        self.connection.set_option(ldap.OPT_REFERRALS, 0)
        if START_TLS:
            self.connection.start_tls_s()

    def bind(self, name, password):
        try:
            self.connection.simple_bind_s(name, password)
            return 0
        except self.ldap.INVALID_CREDENTIALS as error:
            return error.args[0]["result"]

    def search(self, base, scope, text):
        scope = {"base": self.ldap.SCOPE_BASE, "sub": self.ldap.SCOPE_SUBTREE}[scope]
        found = self.connection.search_s(base, scope, text, ["cn"])
        # a reference has no name
        return [dn for dn, _ in found if dn]

    def pages(self, base, text):
        from ldap.controls import SimplePagedResultsControl
        control, found = SimplePagedResultsControl(True, 2, ""), []
        while True:
            number = self.connection.search_ext(base, self.ldap.SCOPE_SUBTREE, text, ["cn"], serverctrls=[control])
            _, entries, _, controls = self.connection.result3(number)
            found += [dn for dn, _ in entries if dn]
            control.cookie = controls[0].cookie
            if not control.cookie:
                return found

    def close(self):
        self.connection.unbind_s()


class Ldap3:
    """ldap3: its own BER and its own TLS. It reads rootDSE and schema as soon as it is bound."""

    def __init__(self):
        import ldap3
        self.ldap3 = ldap3
        tls = ldap3.Tls(ca_certs_file=CA, validate=ssl.CERT_REQUIRED)
        self.server = ldap3.Server(URL, tls=tls, get_info=ldap3.ALL, connect_timeout=10)
        self.connection = ldap3.Connection(self.server, receive_timeout=30, auto_referrals=False)
        self.connection.open()
        if START_TLS and not self.connection.start_tls():
            raise RuntimeError(f"StartTLS: {self.connection.result}")

    def bind(self, name, password):
        # a bind for the first, a rebind for all others: ldap3 tells them apart
        if self.connection.bound:
            self.connection.rebind(name, password)
        else:
            self.connection.user, self.connection.password = name, password
            self.connection.authentication = self.ldap3.SIMPLE
            self.connection.bind()
        return self.connection.result["result"]

    def search(self, base, scope, text):
        scope = {"base": self.ldap3.BASE, "sub": self.ldap3.SUBTREE}[scope]
        self.connection.search(base, text, scope, attributes=["cn"])
        return [entry["dn"] for entry in self.connection.response if entry["type"] == "searchResEntry"]

    def pages(self, base, text):
        found = self.connection.extend.standard.paged_search(base, text, attributes=["cn"], paged_size=2)
        return [entry["dn"] for entry in found if entry["type"] == "searchResEntry"]

    def close(self):
        self.connection.unbind()


def main():
    make = {"python-ldap": PythonLdap, "ldap3": Ldap3}[LIBRARY]
    connection, said = make(), {}
    said["service"] = connection.bind(SERVICE, SERVICE_PASSWORD)
    found = connection.search(BASE, "sub", FILTER)
    said["found"] = found
    said["paged"] = len(connection.pages(BASE, "(objectClass=person)")) if len(found) == 1 else 0
    person = found[0]
    said["person"] = connection.bind(person, PASSWORD)
    said["own_entry"] = connection.search(person, "base", "(objectClass=*)")
    said["service_again"] = connection.bind(SERVICE, SERVICE_PASSWORD)
    said["found_again"] = connection.search(BASE, "sub", FILTER)
    said["wrong_password"] = connection.bind(person, "not the password")
    connection.close()
    connection = make()
    said["person_first"] = connection.bind(person, PASSWORD)
    connection.close()
    print(json.dumps(said))


main()
