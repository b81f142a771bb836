//! One sample for each mistake that can be made in a configuration file, and what must be said about it.

use super::*;

/// What is spoiled, by what, and what must be said: the key and a word of the message.
const SPOILED: &[(&str, &str, &str, &str)] = &[
    // kinds of value
    ("#held = 10000\n", "held = \"many\"\n", "radius.client[0].held", "allowed: a whole number"),
    ("#held = 10000\n", "held = -1\n", "radius.client[0].held", "not negative"),
    (
        "#accounting_target = \"nps\"",
        "accounting_target = \"corp\"",
        "radius.client[0].accounting_target",
        "type = \"radius\"",
    ),
    ("#tcp = []", "tcp = [\"192.0.2.1:1812\"]", "radius.tcp", "a loopback address"),
    // CoA and Disconnect
    ("#listen = [\"0.0.0.0:3799\"]", "listen = \"0.0.0.0:1813\"", "radius.changes.listen", "in radius.accounting, too"),
    (
        "target = \"nps\"\nclient = \"vpn\"",
        "target = \"corp\"\nclient = \"vpn\"",
        "radius.changes.relay[0].target",
        "\"radius\"",
    ),
    (
        "target = \"nps\"\nclient = \"vpn\"",
        "target = \"radsec\"\nclient = \"vpn\"",
        "radius.changes.relay[0].target",
        "over TLS",
    ),
    (
        "target = \"nps\"\nclient = \"vpn\"",
        "target = \"nps\"\nclient = \"vpm\"",
        "radius.changes.relay[0].client",
        "[[radius.client]]",
    ),
    (
        "target = \"nps\"\nclient = \"vpn\"",
        "target = \"nps\"\nclient = \"branch\"",
        "radius.changes.relay[0].client",
        "over TLS",
    ),
    ("to = \"192.0.2.10\"", "to = \"vpn.example\"", "radius.changes.relay[0].to", "3799"),
    ("to = \"192.0.2.10\"", "", "radius.changes.relay[0].to", "missing"),
    ("to = \"192.0.2.10\"", "to = \"0.0.0.0:3799\"", "radius.changes.relay[0].to", "an address"),
    // RADIUS over TLS
    (
        "[\"nas1.branch.example.com\"",
        "[\"*.branch.example.com\"",
        "radius.client[3].certificate_names[0]",
        "a DNS name",
    ),
    ("#certificate_common_name = false", "secret = \"x\"", "radius.client[3].secret", "the certificate counts"),
    ("#transport = \"udp\"", "connections = 9", "radius.client[0].connections", "set transport"),
    ("client_ca_file = \"radsec-clients.pem\"", "", "radius.tls.client_ca_file", "missing"),
    ("\"radius.example.com\", \"192", "\"a b\", \"192", "target.radsec.servers[0]", "2083"),
    ("#server_name = \"radius.example.com\"", "secret = \"x\"", "target.radsec.secret", "take it out"),
    ("#drain = \"60s\"", "drain = 60", "server.drain", "a duration in quotes"),
    ("#drain = \"60s\"", "drain = \"sixty\"", "server.drain", "a duration in quotes"),
    (STORE, "store = \"postgres://a:planted@h/d\"", "server.store", "give that as store_password_file"),
    (STORE, "store = \"postgres://db1.example.com/d\"", "server.store", "it names no user"),
    (STORE, "store = \"x.db\"\nstore_plaintext = true", "server.store", "a file needs neither"),
    (
        STORE,
        "store = \"postgres://a@db1.example.com/d\"\nstore_plaintext = true",
        "server.store_plaintext",
        "loopback address",
    ),
    (STORE, "store = \"postgres://a@h/d\"\nstore_ca_file = \"missing.pem\"", "server.store_ca_file", "cannot be read"),
    ("via = \"http\"", "via = \"fax\"", "provider.texts.via", "\"http\" or \"twilio\" or \"smtp\""),
    ("url = \"https://gateway", "url = \"https://{phone}.gateway", "provider.texts.url", "its host is not fixed"),
    ("\"text\": \"{text}\"}", "\"x\": 1}", "provider.texts.body", "{code} or {text}"),
    ("#expect = [200, 201, 202]", "expect = [404]", "provider.texts.expect", "200 to 299"),
    ("#text = \"{code} is", "text = \"this is", "provider.texts.text", "{code} in it"),
    ("#shortest = 4", "shortest = 3", "pin.shortest", "4 to 16"),
    ("#history = 5", "history = 11", "pin.history", "0 to 10"),
    ("#keep = \"400d\"", "keep = \"1h\"", "audit.keep", "1d to 36500d"),
    ("#mschap_helpers = 8", "mschap_helpers = 0", "target.corp.mschap_helpers", "1 to 256"),
    (
        "#mschap_helper = [\"/usr/bin/ntlm_auth\"]",
        "mschap_helper = \"ntlm_auth\"",
        "target.corp.mschap_helper",
        "the whole path",
    ),
    ("#mschap_domain = \"CORP\"", "mschap_domain = \"CORP\\\\x\"", "target.corp.mschap_domain", "NetBIOS"),
    ("#mschap_change = false", "mschap_change = true", "target.corp.mschap_change", "name the people's domain"),
    ("mschap = \"winbind\"", "mschap_helpers = 4", "target.corp.mschap_helpers", "set mschap"),
    ("mschap = \"winbind\"", "mschap = \"samba\"", "target.corp.mschap", "winbind"),
    ("#radius_1_1 = \"forbid\"", "radius_1_1 = \"yes\"", "radius.tls.radius_1_1", "\"allow\""),
    ("#dn_from_store = false", "dn_from_store = \"no\"", "target.corp.dn_from_store", "true or false"),
    ("name = \"anteroom-1\"", "name = [1]", "server.name", "text in quotes"),
    ("accounting = [\"0.0.0.0:1813\"]", "accounting = [1813]", "radius.accounting[0]", "text in quotes"),
    (
        "secret_file = \"vpn.secret\"",
        "secret = 1234567890",
        "radius.client[0].secret",
        "a number without quotes (not shown)",
    ),
    ("#format = \"text\"", "format = \"xml\"", "log.format", "\"text\" or \"json\""),
    ("[[ldap.client]]\n", "[ldap.client]\n", "ldap.client", "two brackets"),
    ("[[import.item]]\n", "[import.item]\n", "import.item", "two brackets"),
    // import
    ("interval = \"1h\"", "interval = \"30s\"", "import.interval", "1m to 24h"),
    ("#stop_above = 5", "stop_above = 1000", "import.stop_above", "1 to 999"),
    ("stop_above_percent = 10", "stop_above_percent = 0", "import.stop_above_percent", "1 to 100"),
    ("region = \"US\"", "region = \"USA\"", "import.region", "two letters"),
    ("target = \"corp\"\n\n# What is read", "target = \"x\"\n\n# What is read", "import.item[0].target", "corp"),
    ("ou = \"OU=People", "#ou = \"OU=People", "import.item[0]", "exactly one of"),
    ("#group = \"VPN-Users\"", "group = \"VPN-Users\"", "import.item[0]", "exactly one of"),
    ("#nested = true", "nested = true", "import.item[0].nested", "belongs to group"),
    (
        "ou = \"OU=People,DC=corp,DC=example\"\n# Whether",
        "ou = \"People\"\n# Whether",
        "import.item[0].ou",
        "distinguished",
    ),
    ("#method = \"push\"\n#mode", "method = \"pigeon\"\n#mode", "import.item[0].method", "push"),
    ("#mode = \"standard\"", "mode = \"sometimes\"", "import.item[0].mode", "standard, pin"),
    ("#leavers = \"disable\"", "leavers = \"erase\"", "import.item[0].leavers", "\"remove\""),
    ("#filter = \"(!(extension", "filter = \"(!(extension(", "import.item[0].filter", "RFC 4515"),
    ("#user_name = [\"userP", "user_name = [\"user P", "import.item[0].attributes.user_name", "an attribute"),
    // unknown keys
    ("#answer_within = ", "anser_within = ", "radius.client[0].anser_within", "did you mean answer_within?"),
    ("#answer_within = ", "level = ", "radius.client[0].level", "level belongs in [log]"),
    ("[metrics]", "[metric]", "metric", "did you mean metrics?"),
    ("#send = { names = true", "send = { name = true", "provider.cloud.send.name", "did you mean names?"),
    // missing
    ("name = \"vpn\"\n", "\n", "radius.client[0].name", "missing"),
    ("secret_file = \"vpn.secret\"", "", "radius.client[0].secret", "exactly one of secret,"),
    ("bind_name = ", "#", "target.corp.bind_name", "missing"),
    ("base = \"DC=corp,DC=example,DC=com\"", "", "target.corp.base", "missing"),
    ("url = \"https://prompt.example.com\"", "", "provider.cloud.url", "missing"),
    ("key_id = \"anteroom-1\"", "", "provider.cloud.key_id", "missing"),
    // ranges of numbers and durations
    ("#answer_within = \"55s\"", "answer_within = \"11m\"", "radius.client[0].answer_within", "allowed: 1s to 10m"),
    ("#answer_within = \"55s\"", "answer_within = \"0s\"", "radius.client[0].answer_within", "found 0s"),
    ("#held_per_person = 3", "held_per_person = 0", "limits.held_per_person", "found 0"),
    ("#failures_per_person = 4", "failures_per_person = 99999999999", "throttle.failures_per_person", "usual: 4"),
    // addresses
    ("#listen = [\"0.0.0.0:1812\"]", "listen = []", "radius.listen", "empty list"),
    ("#listen = [\"0.0.0.0:1812\"]", "listen = [\"localhost\"]", "radius.listen[0]", "an address and a port"),
    ("#listen = [\"0.0.0.0:1812\"]", "listen = [\"[::]:1\", \"[::]:1\"]", "radius.listen[1]", "a second time"),
    ("accounting = [\"0.0.0.0:1813\"]", "accounting = \"0.0.0.0:1812\"", "radius.accounting", "is in listen, too"),
    ("listen = \"127.0.0.1:9812\"", "listen = \"9812\"", "metrics.listen", "an address and a port"),
    ("\"192.0.2.64/28\"", "\"192.0.2.65/28\"", "radius.client[0].address[1]", "inside 192.0.2.64/28"),
    ("\"192.0.2.100-192.0.2.109\"", "\"192.0.2.9-192.0.2.1\"", "radius.client[0].address[2]", "ends before"),
    ("\"192.0.2.100-192.0.2.109\"", "\"192.0.2.9-::1\"", "radius.client[0].address[2]", "mixes"),
    ("\"192.0.2.100-192.0.2.109\"", "\"vpn.example\"", "radius.client[0].address[2]", "allowed:"),
    ("\"192.0.2.100-192.0.2.109\"", "\"192.0.2.10\"", "radius.client[0].address[2]", "a second time"),
    ("address = [\"192.0.2.10\"", "address = [] # [", "radius.client[0].address", "empty list"),
    // secrets
    ("#secret_env = \"VPN_SECRET\"", "secret_env = \"VPN_SECRET\"", "radius.client[0].secret", "found 2 spellings"),
    ("secret_file = \"vpn.secret\"", "secret_file = \"gone\"", "radius.client[0].secret_file", "cannot be read"),
    ("secret_file = \"vpn.secret\"", "secret_env = \"GONE\"", "radius.client[0].secret_env", "not set"),
    (
        "secret_file = \"vpn.secret\"",
        "secret_credential = \"x\"",
        "radius.client[0].secret_credential",
        "no service credentials",
    ),
    ("secret_file = \"vpn.secret\"", "secret = \"\"", "radius.client[0].secret", "empty secret"),
    ("key_file = \"cloud.key\"", "key = \"short\"", "provider.cloud.key", "32 or more"),
    // names that must exist, or differ
    (
        "target = \"corp\"\nprovider",
        "target = \"crop\"\nprovider",
        "radius.client[0].target",
        "as this file has them: corp",
    ),
    ("provider = \"cloud\"\n", "provider = \"fog\"\n", "radius.client[0].provider", "as this file has them: cloud"),
    ("name = \"vpn\"\n", "name = \"the vpn\"\n", "radius.client[0].name", "letters, digits"),
    // the policy
    ("person_address = \"Calling-Station-Id\"", "", "radius.client[0].exempt_networks", "can never match"),
    ("\"198.51.100.0/24\"", "\"everywhere\"", "radius.client[0].exempt_networks[0]", "allowed:"),
    (
        "\"CN=VPN without second factor,OU=Groups,DC=corp,DC=example,DC=com\"",
        "\"vpn\"",
        "radius.client[0].exempt_groups[0]",
        "distinguished name",
    ),
    (
        "person_address = \"Calling-Station-Id\"",
        "person_address = \"Caller\"",
        "radius.client[0].person_address",
        "Caller",
    ),
    ("\"Filter-Id\" = \"staff\"", "\"Filtre-Id\" = \"x\"", "reply[0].attributes.Filtre-Id", "did you mean Filter-Id"),
    ("\"Filter-Id\" = \"staff\"", "\"Filter-Id\" = \"{usr}\"", "reply[0].attributes.Filter-Id", "{usr} is no field"),
    ("\"Filter-Id\" = \"staff\"", "\"Session-Timeout\" = \"x\"", "reply[0].attributes.Session-Timeout", "a number"),
    ("\"Filter-Id\" = \"staff\"", "\"Filter-Id\" = true", "reply[0].attributes.Filter-Id", "text in quotes, a number"),
    ("\"Filter-Id\" = \"staff\"", "\"State\" = \"x\"", "reply[0].attributes.State", "cannot be configured"),
    ("\"Filter-Id\" = \"staff\"", "\"Tunnel-Password\" = \"x\"", "reply[0].attributes.Tunnel-Password", "stands open"),
    ("\"Filter-Id\" = \"staff\"", "\"MS-MPPE-Send-Key\" = \"x\"", "reply[0].attributes.MS-MPPE-Send-Key", "encrypted"),
    (
        "\"Filter-Id\" = \"staff\"",
        "\"Filter-Id\" = { secret = \"x\" }",
        "reply[0].attributes.Filter-Id",
        "hides nothing",
    ),
    (
        "\"Filter-Id\" = \"staff\"",
        "\"Tunnel-Password\" = { secret = \"x\", from = \"memberOf\" }",
        "reply[0].attributes.Tunnel-Password",
        "beside from",
    ),
    (
        "\"Filter-Id\" = \"staff\"",
        "\"Tunnel-Password\" = { secret = \"x\", secret_file = \"vpn.secret\" }",
        "reply[0].attributes.Tunnel-Password.secret",
        "2 spellings",
    ),
    ("'Class = \"vpn\"'", "'Tunnel-Password = \"x\"'", "radius.client[0].reply_attributes[0]", "in a [[reply]]"),
    ("{ from = \"memberOf\", ", "{ ", "reply[1].attributes.Class.from", "missing"),
    ("{ from = \"memberOf\", ", "{ from = \"userPassword\", ", "reply[1].attributes.Class.from", "holds a secret"),
    ("template = \"OU={cn};\"", "template = \"OU={dc};\"", "reply[1].attributes.Class.template", "is no field"),
    ("template = \"OU={cn};\"", "templat = \"OU={cn};\"", "reply[1].attributes.Class.templat", "did you mean template"),
    ("\"user={user}\"", "\"group={group}\"", "reply[1].attributes.Cisco-AVPair", "found {group}"),
    ("name = \"groups-of-the-directory\"", "name = \"staff\"", "reply[1].name", "a second time"),
    ("#unfit = \"refuse\"", "unfit = \"ignore\"", "reply[0].unfit", "\"refuse\" or \"cut\""),
    ("#dictionary = [\"dictionary.acme\"]", "dictionary = \"missing\"", "radius.dictionary[0]", "there is no file"),
    ("'Class = \"vpn\"'", "'Colour = \"red\"'", "radius.client[0].reply_attributes[0]", "Colour"),
    (
        "#provider_unreachable = { classes = [\"connect\", \"outage\"], ",
        "provider_unreachable = { classes = [], ",
        "radius.client[0].provider_unreachable.classes",
        "found none",
    ),
    (
        "#provider_unreachable = { classes = [\"connect\", \"outage\"], until = \"2026-12-01T00:00:00Z\", for = \"4h\" }",
        "provider_unreachable = { classes = [\"tls\"] }",
        "radius.client[0].provider_unreachable.until",
        "missing",
    ),
    (
        "#provider_unreachable = { classes = [\"connect\", \"outage\"], until = \"2026-12-01T00:00:00Z\", for = \"4h\" }",
        "provider_unreachable = { classes = [\"tls\"], until = \"soon\" }",
        "radius.client[0].provider_unreachable.until",
        "a time with its zone",
    ),
    (
        "#provider_unreachable = { classes = [\"connect\", \"outage\"], ",
        "provider_unreachable = { classes = [\"all\"], ",
        "radius.client[0].provider_unreachable.classes[0]",
        "\"rate_limited\"",
    ),
    // directories
    ("\"ldaps://dc2.corp.example.com\"", "\"dc2.corp.example.com\"", "target.corp.servers[1]", "ldaps://HOST"),
    ("\"ldaps://dc2.corp.example.com\"", "\"https://dc2\"", "target.corp.servers[1]", "found https://"),
    ("\"ldaps://dc2.corp.example.com\"", "\"ldaps://dc1.corp.example.com\"", "target.corp.servers[1]", "a second time"),
    (
        "servers = [\"ldaps://dc1.corp.example.com\", \"ldaps://dc2.corp.example.com\"]",
        "servers = []",
        "target.corp.servers",
        "empty list",
    ),
    (
        "servers = [\"ldaps://dc1.corp.example.com\", \"ldaps://dc2.corp.example.com\"]",
        "",
        "target.corp.servers",
        "missing",
    ),
    (
        "servers = [\"ldaps://dc1.corp.example.com\", \"ldaps://dc2.corp.example.com\"]",
        "servers = \"ldap://dc1\"\nplaintext = true",
        "target.corp.servers[0]",
        "in the clear",
    ),
    ("#domain = \"corp.example.com\"", "domain = \"corp.example.com\"", "target.corp.domain", "one of the two"),
    ("#security = \"ldaps\"", "security = \"ldaps\"", "target.corp.security", "their addresses say it"),
    ("base = \"DC=corp,DC=example,DC=com\"", "base = \"corp\"", "target.corp.base", "distinguished name"),
    (
        "filter = \"(&(objectCategory=person)(objectClass=user))\"",
        "filter = \"(&(a=b)\"",
        "target.corp.filter",
        "in parentheses",
    ),
    ("#unique_id = \"objectGUID\"", "unique_id = \"a)(b\"", "target.corp.unique_id", "letters, digits"),
    ("#ca_file = \"corp-ca.pem\"", "ca_file = \"gone.pem\"", "target.corp.ca_file", "cannot be read"),
    // providers
    ("\"https://prompt.example.com\"", "\"http://prompt.example.com\"", "provider.cloud.url", "everybody on the way"),
    ("\"https://prompt.example.com\"", "\"prompt.example.com\"", "provider.cloud.url", "https://HOST"),
    ("#certificate = \"anteroom.pem\"", "certificate = \"anteroom.pem\"", "provider.cloud.certificate", "not two"),
    // the rest
    ("#level = \"info\"", "level = \"loud\"", "log.level", "trace"),
    (
        "reject_message = \"Sign-in failed.",
        "reject_message = \"\\u0007",
        "radius.client[0].reject_message",
        "control characters",
    ),
];

#[test]
fn each_mistake_is_told_with_its_line_and_key() {
    let folder = folder();
    let failures: Vec<String> =
        SPOILED.iter().filter_map(|(from, to, key, word)| untold(folder.path(), from, to, key, word)).collect();
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
}

/// What is wrong with what was told about one spoiled sample, if anything.
fn untold(folder: &FilePath, from: &str, to: &str, key: &str, word: &str) -> Option<String> {
    let (text, line) = spoil(from, to);
    let Err(mistakes) = read_in(folder, &text) else { return Some(format!("{to}: no mistake was told")) };
    let told = mistakes.to_string();
    if told.contains(PLANTED) {
        return Some(format!("{to}: a secret in\n{told}"));
    }
    let Some(mistake) = mistakes.mistakes.iter().find(|mistake| mistake.key == key) else {
        return Some(format!("{to}: {key} is not in\n{told}"));
    };
    if !mistake.to_string().contains(word) {
        return Some(format!("{to}: {word:?} is not in\n{mistake}"));
    }
    // What is not there, or only half there, is told at its section or at the key that suffers from it.
    let elsewhere = ["missing", "can never match", "found 2 spellings", "says not", "says in several"]
        .iter()
        .any(|word| mistake.found.starts_with(word));
    let near = mistake.line().is_some_and(|found| found.abs_diff(line) <= to.matches('\n').count());
    (!elsewhere && !near).then(|| format!("{to}: not at line {line}:\n{mistake}"))
}
