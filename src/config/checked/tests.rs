//! Each kind of mistake as a spoiled partner of a sample in which all is well.

use super::*;
use crate::config::mistakes::Mistakes;

mod gateways;
mod spoiled;

pub(super) const MINIMAL: &str = include_str!("../../../conf/minimal.toml");
const SAMPLE: &str = include_str!("../../../conf/anteroom.toml");

/// The line of the sample that names the store.
const STORE: &str = "#store = \"/var/lib/anteroom/anteroom.db\"";

/// Stands in every place that holds a secret, and must never be seen again.
const PLANTED: &str = "PLANTED-do-not-show-this-anywhere";

pub(super) fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for name in [
        "vpn.secret",
        "rdg.secret",
        "wifi.secret",
        "nps.secret",
        "bind.secret",
        "cloud.key",
        "privacyidea.secret",
        "okta.token",
        "texts.token",
        "ldap.pem",
        "radsec.pem",
        "radsec.key",
        "radsec-clients.pem",
        "anteroom.pem",
        "anteroom.key",
        "radsec-servers.pem",
        "ldap.key",
    ] {
        write(folder.path(), name, &format!("{PLANTED}\n"));
    }
    folder
}

fn write(folder: &FilePath, name: &str, content: &str) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::write(folder.join(name), content).unwrap();
    std::fs::set_permissions(folder.join(name), std::fs::Permissions::from_mode(0o600)).unwrap();
}

pub(super) fn read_in(folder: &FilePath, text: &str) -> Result<Checked, Mistakes> {
    read_with(folder, text, &[])
}

fn read_with(folder: &FilePath, text: &str, variables: &[(&str, &str)]) -> Result<Checked, Mistakes> {
    let environment = Environment::of(variables);
    let now = "2026-06-01T00:00:00Z".parse::<jiff::Timestamp>().unwrap();
    read(text, &folder.join("anteroom.toml"), &environment, &environment, now.into())
}

/// The sample with the first `from` replaced, and the line of it. Sections that share keys with earlier ones are told
/// apart by what stands beside the key.
fn spoil(from: &str, to: &str) -> (String, usize) {
    assert!(SAMPLE.contains(from), "{from}");
    let line = SAMPLE[..SAMPLE.find(from).unwrap()].matches('\n').count() + 1;
    (SAMPLE.replacen(from, to, 1), line)
}

#[test]
fn minimal_sample_is_fine_and_safe() {
    let folder = folder();
    let checked = read_in(folder.path(), MINIMAL).unwrap();
    assert!(checked.warnings.is_empty(), "{:?}", checked.warnings);
    let client = &checked.config.radius.clients[0];
    assert_eq!(client.secret.open(), PLANTED.as_bytes());
    assert_eq!((client.client.target.as_str(), client.client.providers[0].as_str()), ("corp", "cloud"));
    assert_eq!(client.require_message_authenticator, crate::config::Requirement::Yes);
    assert_eq!(client.client.answer_within, Duration::from_secs(55));
    assert_eq!(client.client.policy.unknown_users, crate::config::Lenience::Reject);
    assert_eq!(checked.config.throttle.failures_per_person, 4);
}

#[test]
fn teaching_sample_is_fine() {
    let folder = folder();
    let checked = read_in(folder.path(), SAMPLE).unwrap();
    assert!(checked.warnings.is_empty(), "{:?}", checked.warnings);
}

/// A commented default that differs from the real one would teach a lie.
#[test]
fn defaults_that_the_sample_teaches_are_the_real_ones() {
    let folder = folder();
    let written = read_in(folder.path(), SAMPLE).unwrap().config;
    let alternative = [
        "secret",
        "bind_password",
        "store_",
        "keep",
        "key",
        "certificate",
        "provider_unreachable",
        "client_crl_file",
        "accounting_target",
        "server_name",
        "ca_file",
        "domain",
        "group = \"VPN",
        "search",
        "base = \"OU",
        "people = [\"",
        "filter = \"(!(ext",
        "nested",
        "passcode",
        "profile",
        "reuse",
        "service_filter",
        "proxy",
        "login",
        "templates = \"/etc",
        "texts = \"/etc",
        "password",
        "token",
        "private_key",
        "client_id",
        "realm",
        "reply_only",
        "reply_drop",
        "reply_rename",
        "reply_add",
        "from = \"+1",
        "subject",
        "dictionary",
        "mschap_domain",
    ];
    let uncommented: String = SAMPLE
        .lines()
        .map(|line| {
            let key = line.strip_prefix('#').and_then(|rest| rest.split_once(" = ")).map(|(key, _)| key);
            let is_key = |key: &str| !key.is_empty() && key.chars().all(|c| c.is_ascii_lowercase() || c == '_');
            let skipped = |key: &str| alternative.iter().any(|word| line[1..].starts_with(word)) || key == "security";
            match key {
                Some(key) if is_key(key) && !skipped(key) => &line[1..],
                _ => line,
            }
        })
        .collect::<Vec<_>>()
        .join("\n");
    assert!(uncommented.contains("\nanswer_within = "), "the defaults were not uncommented");
    let explicit = read_in(folder.path(), &uncommented).unwrap().config;
    assert_eq!(format!("{written:?}"), format!("{explicit:?}"));
}

#[test]
fn sample_has_every_key_and_no_other() {
    let uncommented: Vec<&str> = SAMPLE.lines().map(|line| line.trim_start_matches('#').trim_start()).collect();
    for (table, keys) in crate::config::known::tables() {
        for key in keys {
            let is_section = crate::config::known::tables().iter().any(|(other, _)| {
                let path = if table.is_empty() { (*key).to_owned() } else { format!("{table}.{key}") };
                *other == path || other.starts_with(&format!("{path}.*"))
            });
            let taught = uncommented.iter().any(|line| {
                line.starts_with(&format!("{key} = "))
                    || line.contains(&format!("{{ {key} = "))
                    || line.contains(&format!(", {key} = "))
            });
            let headed = ["[", "[["].iter().any(|open| SAMPLE.contains(&format!("\n{open}{key}")))
                || ["[[radius.", "[radius.", "[[import.", "[import.item.", "[[target.gateway.", "[[radius.changes."]
                    .iter()
                    .any(|open| SAMPLE.contains(&format!("\n{open}{key}]")));
            assert!(taught || (is_section && headed), "{table}: {key}");
        }
    }
}

#[test]
fn what_is_missing_is_told_at_the_section_that_lacks_it() {
    let folder = folder();
    let (text, _) = spoil("name = \"vpn\"\n", "\n");
    let section = SAMPLE[..SAMPLE.find("[[radius.client]]\n").unwrap()].matches('\n').count() + 1;
    let mistakes = read_in(folder.path(), &text).unwrap_err();
    assert_eq!(mistakes.mistakes[0].line(), Some(section));
}

#[test]
fn all_mistakes_are_told_at_once_and_in_order() {
    let folder = folder();
    let text = SAMPLE
        .replace("#drain = \"60s\"", "drain = 60")
        .replace("#held = 10000\n", "held = \"many\"\n")
        .replace("secret_file = \"vpn.secret\"", "secrte_file = \"vpn.secret\"")
        .replace("\"https://prompt.example.com\"", "\"http://prompt.example.com\"")
        .replace("#level = \"info\"", "level = 7");
    let mistakes = read_in(folder.path(), &text).unwrap_err().mistakes;
    let keys: Vec<&str> = mistakes.iter().map(|mistake| mistake.key.as_str()).collect();
    let expected = ["server.drain", "radius.client[0].secret", "radius.client[0].secrte_file", "radius.client[0].held"];
    assert_eq!(keys[..4], expected);
    assert_eq!(keys[4..], ["provider.cloud.url", "log.level"]);
}

#[test]
fn one_mistake_hides_no_other_of_its_section() {
    let folder = folder();
    let client = |door: &str, more: &str| {
        format!(
            "[[{door}.client]]\nname = \"twice\"\naddress = \"192.0.2.300\"\ntarget = \"nowhere\"\n\
             provider = \"nobody\"\nanswer_within = \"1h\"\nheld = 0\npasscode = {{ length = 99 }}\n{more}"
        )
    };
    let text = [
        client("radius", "carry_over = \"1h\"\nduplicate_window = \"1h\"\npackets_per_second = 0\n"),
        client("ldap", "connections = 0\nreuse = { within = \"13h\", count = 0 }\n"),
        "[target.corp]\ntype = \"ad\"\nservers = [\"http://x\"]\nbase = \"x\"\nca_file = \"none.pem\"\n\
         timeout = \"1h\"\nconnect_timeout = \"1h\"\nconnections = 0\n"
            .to_owned(),
    ]
    .concat();
    let mistakes = read_in(folder.path(), &text).unwrap_err().mistakes;
    let told = |key: &str| mistakes.iter().filter(|mistake| mistake.key == key).count();
    let common = ["address[0]", "target", "provider", "answer_within", "held", "passcode.length"];
    let radius = ["secret", "carry_over", "duplicate_window", "packets_per_second"];
    let ldap = ["name", "connections", "reuse.within", "reuse.count"];
    let target =
        ["servers[0]", "base", "ca_file", "bind_name", "bind_password", "timeout", "connect_timeout", "connections"];
    let sections = [("radius.client[0]", &common[..]), ("radius.client[0]", &radius), ("ldap.client[0]", &common)];
    for (section, keys) in sections.into_iter().chain([("ldap.client[0]", &ldap[..]), ("target.corp", &target)]) {
        for key in keys {
            assert_eq!(told(&format!("{section}.{key}")), 1, "{section}.{key}: {mistakes:#?}");
        }
    }
}

#[test]
fn sections_that_nobody_wrote_are_told() {
    let folder = folder();
    let mistakes = read_in(folder.path(), "").unwrap_err().mistakes;
    let keys: Vec<&str> = mistakes.iter().map(|mistake| mistake.key.as_str()).collect();
    assert_eq!(keys, ["target", "provider", "radius.client"]);
}

#[test]
fn broken_toml_is_told_without_its_content() {
    let folder = folder();
    let text = format!("[radius]\nlisten = []\nsecret = \"{PLANTED}\nx = {PLANTED}\n");
    let mistakes = read_in(folder.path(), &text).unwrap_err();
    assert_eq!(mistakes.mistakes[0].line(), Some(3));
    assert!(mistakes.mistakes.iter().all(|mistake| mistake.found.starts_with("not TOML")), "{mistakes}");
    assert!(!mistakes.to_string().contains(PLANTED), "{mistakes}");
}

const SECOND_CLIENT: &str =
    "[[radius.client]]\nname = \"NAME\"\naddress = \"ADDRESS\"\nsecret_file = \"vpn.secret\"\n\n[target.corp]";

fn with_second_client(name: &str, address: &str) -> String {
    let client = SECOND_CLIENT.replace("NAME", name).replace("ADDRESS", address);
    MINIMAL.replace("[target.corp]", &client)
}

#[test]
fn clients_of_one_name_or_one_range_are_refused() {
    let folder = folder();
    assert!(read_in(folder.path(), &with_second_client("wlan", "192.0.2.0/24")).is_ok());
    let mistakes = read_in(folder.path(), &with_second_client("vpn", "192.0.2.0/24")).unwrap_err();
    assert_eq!(mistakes.mistakes[0].key, "radius.client[1].name");
    let mistakes = read_in(folder.path(), &with_second_client("wlan", "192.0.2.10/32")).unwrap_err();
    assert_eq!(mistakes.mistakes[0].key, "radius.client[1].address");
    assert!(mistakes.to_string().contains("\"vpn\""), "{mistakes}");
}

#[test]
fn target_must_be_named_where_there_are_two() {
    let folder = folder();
    let second = MINIMAL.replace("[provider.cloud]", "[target.lab]\nservers = \"ldap://[::1]\"\nplaintext = true\nbase = \"DC=lab\"\nbind_name = \"x\"\nbind_password_file = \"bind.secret\"\n\n[provider.cloud]");
    let mistakes = read_in(folder.path(), &second).unwrap_err();
    assert_eq!(mistakes.mistakes[0].key, "radius.client[0].target");
    assert!(mistakes.to_string().contains("corp, lab"), "{mistakes}");
    let named = second.replace("name = \"vpn\"", "name = \"vpn\"\ntarget = \"lab\"");
    let checked = read_in(folder.path(), &named).unwrap();
    assert_eq!(checked.warnings[0].key, "target.corp", "{:?}", checked.warnings);
    let crate::config::Servers::Listed(servers) = &checked.config.targets["lab"].servers else { panic!() };
    assert_eq!((servers[0].host.as_str(), servers[0].port), ("::1", 389));
    assert_eq!(servers[0].security, crate::config::Security::Plaintext);
}

#[test]
fn dangerous_settings_are_warned_of() {
    let folder = folder();
    for (from, to, key) in [
        (
            "#require_message_authenticator = \"yes\"",
            "require_message_authenticator = \"no\"",
            "require_message_authenticator",
        ),
        (
            "#require_message_authenticator = \"yes\"",
            "require_message_authenticator = \"auto\"",
            "require_message_authenticator",
        ),
        ("#unknown_users = \"reject\"", "unknown_users = \"password_only\"", "unknown_users"),
        ("#provider_unreachable", "provider_unreachable", "provider_unreachable"),
        ("secret_file = \"vpn.secret\"", "secret = \"tooshort\"", "secret"),
    ] {
        let checked = read_in(folder.path(), &spoil(from, to).0).unwrap();
        let warning = checked.warnings.iter().find(|warning| warning.key.ends_with(key));
        assert!(warning.is_some_and(|warning| warning.line().is_some()), "{to}: {:?}", checked.warnings);
    }
    let public = SAMPLE.replace("127.0.0.1:9812", "0.0.0.0:9812");
    assert_eq!(read_in(folder.path(), &public).unwrap().warnings[0].key, "metrics.listen");
}

#[test]
fn literal_secret_in_a_file_that_others_may_read_is_warned_of() {
    use std::os::unix::fs::PermissionsExt;
    let folder = folder();
    let (text, _) = spoil("secret_file = \"vpn.secret\"", &format!("secret = \"{PLANTED}\""));
    write(folder.path(), "anteroom.toml", &text);
    assert!(read_in(folder.path(), &text).unwrap().warnings.is_empty());
    let file = folder.path().join("anteroom.toml");
    std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o640)).unwrap();
    let warnings = read_in(folder.path(), &text).unwrap().warnings;
    assert_eq!(warnings[0].key, "radius.client[0].secret");
    assert!(!format!("{warnings:?}").contains(PLANTED));
}

#[test]
fn secrets_come_from_variables_and_credentials() {
    let folder = folder();
    let directory = folder.path().to_str().unwrap();
    let (text, _) = spoil("secret_file = \"vpn.secret\"", "secret_env = \"VPN_SECRET\"");
    let text = text.replace("bind_password_file = \"bind.secret\"", "bind_password_credential = \"bind.secret\"");
    let variables = [("VPN_SECRET", "from-the-environment"), ("CREDENTIALS_DIRECTORY", directory)];
    let config = read_with(folder.path(), &text, &variables).unwrap().config;
    assert_eq!(config.radius.clients[0].secret.open(), b"from-the-environment");
    assert_eq!(config.targets["corp"].bind_password.open(), PLANTED.as_bytes());
    let outside = text.replace("credential = \"bind.secret\"", "credential = \"../bind.secret\"");
    let mistakes = read_with(folder.path(), &outside, &variables).unwrap_err();
    assert_eq!(mistakes.mistakes[0].key, "target.corp.bind_password_credential");
}

#[test]
fn whoever_asks_where_things_are_needs_no_secret() {
    let folder = folder();
    let text = MINIMAL
        .replace("secret_file = \"vpn.secret\"", "secret_credential = \"vpn-secret\"")
        .replace("bind_password_file = \"bind.secret\"", "bind_password_env = \"ANTEROOM_TEST_NOT_SET\"")
        .replace("key_file = \"cloud.key\"", "key_credential = \"cloud-key\"");
    let path = folder.path().join("anteroom.toml");
    let with = |more: &str| {
        std::fs::write(&path, format!("{text}\n{more}")).unwrap();
        super::load_place(&path)
    };
    let config = with("[server]\nstore = \"people.db\"").unwrap();
    assert_eq!(config.server.store.file().unwrap(), folder.path().join("people.db"));
    assert_eq!(super::load(&path).unwrap_err().mistakes.len(), 3);
    // Whatever else is wrong still is, and so is a store that cannot be opened without its password.
    assert_eq!(with("[server]\nstore = \"people.db\"\n[limits]\nheld = 0").unwrap_err().mistakes[0].key, "limits.held");
    let server =
        "[server]\nstore = \"postgresql://anteroom@db.example.com/anteroom\"\nstore_password_credential = \"db\"";
    let mistakes = with(server).unwrap_err().mistakes;
    assert_eq!(
        mistakes.iter().map(|mistake| mistake.key.as_str()).collect::<Vec<_>>(),
        ["server.store_password_credential"]
    );
}

#[test]
fn a_list_that_is_for_nobody_is_not_taken_for_everybody() {
    let folder = folder();
    let gateway = "[[radius.client]]\nname = \"rdg\"\naddress = \"192.0.2.30\"\nsecret_file = \"vpn.secret\"\n\
                   profile = \"rd-gateway\"\ntarget = \"gateway\"\n\
                   [target.gateway]\ntype = \"none\"\ndirectory = \"corp\"\n";
    let reply = "attributes = { \"Filter-Id\" = \"x\" }";
    let sections = [
        (
            "[[rule]]\nname = \"one\"\nthen = \"refuse\"",
            "rule[0]",
            &["users", "groups", "clients", "applications", "networks"][..],
        ),
        ("[[route]]\nprovider = \"cloud\"", "route[0]", &["users", "groups", "clients", "methods"]),
        (
            "[[caching]]\nname = \"one\"\ntype = \"person\"\nfor = \"1h\"",
            "caching[0]",
            &["users", "groups", "networks"],
        ),
        (&format!("[[reply]]\nname = \"one\"\n{reply}"), "reply[0]", &["people", "groups", "clients"]),
        (
            &format!("{gateway}[[target.gateway.policy]]\nname = \"all\""),
            "target.gateway.policy[0]",
            &["groups", "gateways", "computers", "computer_groups", "authentication", "days", "hours"],
        ),
    ];
    for (section, at, keys) in sections {
        for key in keys {
            let text = format!("{MINIMAL}\n{section}\n{key} = []\n");
            let mistakes = read_in(folder.path(), &text).unwrap_err().mistakes;
            let found: Vec<(&str, &str)> = mistakes.iter().map(|one| (one.key.as_str(), one.found.as_str())).collect();
            assert!(found.contains(&(&format!("{at}.{key}"), "found an empty list")), "{key}: {found:?}");
        }
    }
}

#[test]
fn what_is_likely_a_slip_is_warned_of() {
    let folder = folder();
    let warned = |text: &str| {
        let warnings = read_in(folder.path(), text).unwrap().warnings;
        warnings.into_iter().map(|one| one.key).collect::<Vec<_>>()
    };
    assert_eq!(warned(MINIMAL), [""; 0]);
    let crossed = MINIMAL.replace("ldaps://dc2.corp.example.com", "ldaps://dc2.corp.example.com:389");
    assert_eq!(warned(&crossed), ["target.corp.servers[1]"]);
    for odd in ["\u{feff}0123456789abcdef0123", "0123456789abcdef0123 ", "0123456789abcdef0123\n\n"] {
        std::fs::write(folder.path().join("vpn.secret"), odd).unwrap();
        assert_eq!(warned(MINIMAL), ["radius.client[0].secret_file"], "{odd:?}");
    }
    std::fs::write(folder.path().join("vpn.secret"), "0123456789abcdef0123\n").unwrap();
    assert_eq!(warned(MINIMAL), [""; 0]);
}

#[test]
fn an_attribute_is_renamed_to_one_of_its_type() {
    let folder = folder();
    let told = |rename: &str| {
        let target = "[target.nps]\ntype = \"radius\"\nservers = [\"192.0.2.9\"]\nsecret = \"0123456789abcdef0123\"\n";
        let text = format!("{MINIMAL}\n{target}reply_rename = [\"{rename}\"]\n");
        let text = text.replace("secret_file = \"vpn.secret\"", "secret_file = \"vpn.secret\"\ntarget = \"corp\"\n#");
        read_in(folder.path(), &text).err().map(|told| told.mistakes[0].key.clone())
    };
    for fine in ["Filter-Id = Class", "Class = Reply-Message", "Session-Timeout = Idle-Timeout"] {
        assert_eq!(told(fine), None, "{fine}");
    }
    for bad in ["Framed-IP-Address = Filter-Id", "Session-Timeout = Class", "Class = Session-Timeout"] {
        assert_eq!(told(bad).as_deref(), Some("target.nps.reply_rename[0]"), "{bad}");
    }
}

#[test]
fn a_gateway_needs_a_directory_and_not_itself() {
    let folder = folder();
    let radius = "[target.nps]\ntype = \"radius\"\nservers = [\"192.0.2.9\"]\nsecret = \"0123456789abcdef0123\"\n";
    for directory in ["gateway", "other", "nps"] {
        let text = format!(
            "{MINIMAL}\n{radius}[target.gateway]\ntype = \"none\"\ndirectory = \"{directory}\"\n\
             [[target.gateway.policy]]\nname = \"all\"\n\
             [target.other]\ntype = \"none\"\ndirectory = \"corp\"\n[[target.other.policy]]\nname = \"all\"\n"
        );
        let mistakes = read_in(folder.path(), &text).unwrap_err().mistakes;
        let told =
            mistakes.iter().any(|one| one.key == "target.gateway.directory" && one.found.contains("no directory"));
        assert!(told, "{directory}: {mistakes:?}");
    }
}

#[test]
fn a_code_that_nobody_can_type_is_told() {
    let folder = folder();
    let client = |keys: &str| {
        MINIMAL.replace("secret_file = \"vpn.secret\"", &format!("secret_file = \"vpn.secret\"\n{keys}\n#"))
    };
    let told = |text: &str| read_in(folder.path(), text).err().map(|told| told.mistakes[0].key.clone());
    assert_eq!(told(&client("methods = [\"oath\", \"sms_code\"]")).as_deref(), Some("radius.client[0].methods"));
    assert_eq!(told(&client("methods = [\"oath\", \"push\"]")), None);
    assert_eq!(told(&client("methods = \"oath\"\nchallenge = \"yes\"")), None);
    assert_eq!(told(&client("methods = \"oath\"\npasscode = { delimiter = \",\" }")), None);
    let ldap = |keys: &str| {
        format!("{MINIMAL}\n[[ldap.client]]\nname = \"app\"\naddress = \"127.0.0.1\"\nplaintext = true\n{keys}\n")
    };
    assert_eq!(told(&ldap("methods = \"oath\"")).as_deref(), Some("ldap.client[0].methods"));
    assert_eq!(told(&ldap("methods = \"oath\"\npasscode = { delimiter = \",\" }")), None);
    assert_eq!(told(&ldap("on_deadline = \"silence\"")).as_deref(), Some("ldap.client[0].on_deadline"));
    // What is allowed, and more than is meant.
    let wide =
        ldap("service_accounts = \"svc\"\nservice_filter = \"(objectClass=user)\"").replace("127.0.0.1", "10.0.0.0/8");
    let warned: Vec<String> = read_in(folder.path(), &wide).unwrap().warnings.into_iter().map(|one| one.key).collect();
    for key in ["ldap.client[0].address", "ldap.client[0].service_filter"] {
        assert!(warned.iter().any(|one| one == key), "{warned:?}");
    }
    // Once for each value.
    let (text, _) = spoil("redirection = [\"clipboard\"", "redirection = [\"clipbord\"");
    assert_eq!(read_in(folder.path(), &text).unwrap_err().mistakes.len(), 1);
}

#[test]
fn environment_overrides_single_values() {
    let folder = folder();
    let variables = [
        ("ANTEROOM__SERVER__NAME", "node-7"),
        ("ANTEROOM__LIMITS__HELD", "77"),
        ("ANTEROOM__TARGET__CORP__DN_FROM_STORE", "true"),
        ("ANTEROOM__RADIUS__CLIENT__0__ANSWER_WITHIN", "30s"),
        ("ANTEROOM__RADIUS__CLIENT__VPN__HELD", "5"),
        ("ANTEROOM__RADIUS__LISTEN", "127.0.0.1:11812"),
    ];
    let config = read_with(folder.path(), SAMPLE, &variables).unwrap().config;
    assert_eq!(config.server.name, "node-7");
    assert_eq!(config.limits.held, 77);
    assert!(config.targets["corp"].dn_from_store);
    assert_eq!(config.radius.clients[0].client.answer_within, Duration::from_secs(30));
    assert_eq!(config.radius.clients[0].client.held, 5);
    assert_eq!(config.radius.listen, ["127.0.0.1:11812".parse().unwrap()]);
}

#[test]
fn mistakes_in_the_environment_name_the_variable() {
    let folder = folder();
    for (variable, value, word) in [
        ("ANTEROOM__LIMITS__HELD", "many", "a whole number"),
        ("ANTEROOM__LIMITS__HELT", "5", "did you mean held?"),
        ("ANTEROOM__RADIUS__CLIENT__9__HELD", "5", "names no key"),
        ("ANTEROOM__RADIUS__CLIENT__WLAN__HELD", "5", "names no key"),
        ("ANTEROOM__LIMITS", "5", "names no key"),
        ("ANTEROOM__SERVER__DRAIN", "1h", "0s to 10m"),
    ] {
        let mistakes = read_with(folder.path(), SAMPLE, &[(variable, value)]).unwrap_err();
        let told = mistakes.to_string();
        assert!(told.contains(&format!("environment {variable}: ")) && told.contains(word), "{told}");
    }
}

#[test]
fn no_secret_is_in_debug_or_in_any_message() {
    let folder = folder();
    let literal = SAMPLE
        .replace("secret_file = \"vpn.secret\"", &format!("secret = \"{PLANTED}\""))
        .replace("bind_password_file = \"bind.secret\"", &format!("bind_password = \"{PLANTED}\""))
        .replace("key_file = \"cloud.key\"", &format!("key = \"{PLANTED}\""));
    let checked = read_in(folder.path(), &literal).unwrap();
    assert!(!format!("{checked:#?}").contains(PLANTED));
    // The secret where something else belongs, as hasty people write it.
    for spoiled in [
        SAMPLE.replace("\"vpn.secret\"", &format!("\"{PLANTED}\"")),
        SAMPLE.replace("secret_file = \"vpn.secret\"", &format!("secret_env = \"{PLANTED}\"")),
        SAMPLE.replace("secret_file = \"vpn.secret\"", &format!("secret_credential = \"{PLANTED}\"")),
        SAMPLE.replace("secret_file = \"vpn.secret\"", &format!("sceret = \"{PLANTED}\"")),
        SAMPLE.replace("secret_file = \"vpn.secret\"", &format!("secret = [\"{PLANTED}\"]")),
        SAMPLE.replace("secret_file = \"vpn.secret\"", &format!("secret = {{ text = \"{PLANTED}\" }}")),
        SAMPLE.replace("ldaps://dc1", &format!("ldaps://svc:{PLANTED}@dc1")),
        SAMPLE.replace("https://prompt", &format!("https://key:{PLANTED}@prompt")),
        literal.replace("#drain = \"60s\"", "drain = 60"),
    ] {
        let mistakes = read_in(folder.path(), &spoiled).unwrap_err();
        assert!(!format!("{mistakes}{mistakes:?}").contains(PLANTED), "{mistakes}");
    }
    let variables = [("ANTEROOM__TARGET__CORP__BIND_PASSWORD", PLANTED)];
    let mistakes = read_with(folder.path(), SAMPLE, &variables).unwrap_err();
    assert!(!format!("{mistakes}{mistakes:?}{:?}", Environment::of(&variables)).contains(PLANTED), "{mistakes}");
}

/// What the guides tell people to write must be accepted.
#[test]
fn every_guide_shows_a_client_that_is_accepted() {
    let folder = folder();
    let guides = FilePath::new(env!("CARGO_MANIFEST_DIR")).join("conf/guides");
    let mut tried = 0;
    for guide in std::fs::read_dir(guides).unwrap().map(|entry| entry.unwrap().path()) {
        let text = std::fs::read_to_string(&guide).unwrap();
        let Some((_, rest)) = text.split_once("    [[radius.client]]\n") else { continue };
        let block: String =
            rest.lines().map_while(|line| line.strip_prefix("    ")).map(|line| format!("{line}\n")).collect();
        let name =
            block.lines().find_map(|line| line.strip_prefix("secret_file = ")).unwrap().trim_matches('"').to_owned();
        write(folder.path(), &name, PLANTED);
        let client = format!("[[radius.client]]\n{block}\n[target.corp]");
        let gateway =
            "[target.gateway]\ntype = \"none\"\ndirectory = \"corp\"\n[[target.gateway.policy]]\nname = \"all\"\n";
        let gateway = if client.contains("rd-gateway") { gateway } else { "" };
        let checked = read_in(folder.path(), &format!("{}{gateway}", MINIMAL.replace("[target.corp]", &client)));
        assert!(checked.is_ok(), "{}: {}", guide.display(), checked.unwrap_err());
        tried += 1;
    }
    assert_eq!(tried, crate::config::profile::PROFILES.len());
}

#[test]
fn a_store_on_servers_is_read_with_its_password_and_certificates() {
    let folder = folder();
    let text = "store = \"postgres://anteroom@db1.example.com:5433,db2.example.com/people\"\n\
                store_password_file = \"bind.secret\"\nstore_ca_file = \"ldap.pem\"";
    let config = read_in(folder.path(), &spoil(STORE, text).0).unwrap().config;
    let shown = format!("{:?}", config.server);
    assert!(shown.contains("db2.example.com") && shown.contains("ldap.pem") && !shown.contains(PLANTED), "{shown}");
    let told = config.server.store.to_string();
    assert_eq!(told, "postgres://anteroom@db1.example.com:5433,db2.example.com:5432/people");
    assert_eq!(config.server.keys, FilePath::new("/var/lib/anteroom/anteroom.keys"));
}

#[test]
fn texts_of_a_folder_stand_before_those_that_come_along() {
    use crate::texts::Text;
    let folder = folder();
    let texts = folder.path().join("own");
    std::fs::create_dir(&texts).unwrap();
    write(&texts, "de-CH.toml", "enter_code = \"Code iitippe.\"\n");
    write(&texts, "README", "no texts");
    let text = SAMPLE.replacen("\n[server]\n", "\n[server]\ntexts = \"own\"\n", 1);
    let said = read_in(folder.path(), &text).unwrap().config.server.texts;
    assert_eq!(said.say("de-CH", Text::EnterCode, &[]), "Code iitippe.");
    assert_ne!(said.say("de", Text::EnterCode, &[]), "Code iitippe.");
    assert_eq!(said.say("en", Text::EnterCode, &[]), "Enter your code.");
    // a client's own lie over both
    let one = text.replacen("\n[[radius.client]]\n", "\n[[radius.client]]\ntexts = \"more\"\n", 1);
    let missing = read_in(folder.path(), &one).unwrap_err().to_string();
    assert!(missing.contains("radius.client[0].texts") && missing.contains("it does not exist"), "{missing}");
    std::fs::create_dir(folder.path().join("more")).unwrap();
    write(&folder.path().join("more"), "en.toml", "enter_code = \"Blue code:\"\n");
    let config = read_in(folder.path(), &one).unwrap().config;
    let own = config.radius.clients[0].client.texts.as_ref().unwrap();
    assert_eq!(own.say("en", Text::EnterCode, &[]), "Blue code:");
    assert_eq!(own.say("de-CH", Text::EnterCode, &[]), "Code iitippe.");
    assert_eq!(config.server.texts.say("en", Text::EnterCode, &[]), "Enter your code.");
    assert!(config.radius.clients[1].client.texts.is_none());
    for (file, wrong) in
        [("enter_kode = \"x\"", "there is no such text"), ("number = \"\"", "number"), ("x", "de.toml")]
    {
        write(&texts, "de.toml", file);
        let mistakes = read_in(folder.path(), &text).unwrap_err().to_string();
        assert!(mistakes.contains("server.texts") && mistakes.contains(wrong), "{mistakes}");
    }
    std::fs::remove_dir_all(&texts).unwrap();
    assert!(read_in(folder.path(), &text).unwrap_err().to_string().contains("it does not exist"));
}

#[test]
fn names_of_a_dictionary_are_good_everywhere_and_its_mistakes_have_their_line() {
    let folder = folder();
    write(folder.path(), "acme", "VENDOR Acme 64000\nBEGIN-VENDOR Acme\n$INCLUDE acme.more\nEND-VENDOR Acme\n");
    write(folder.path(), "acme.more", "ATTRIBUTE Acme-Role 1 string Acme\nATTRIBUTE Acme-Address 2 ipaddr Acme\n");
    let text = SAMPLE
        .replacen("#dictionary = [\"dictionary.acme\"]", "dictionary = [\"acme\"]", 1)
        .replacen("'Class = \"vpn\"'", "'Acme-Role = \"vpn\"'", 1)
        .replacen("person_address = \"Calling-Station-Id\"", "person_address = \"Acme-Address\"", 1)
        .replacen("\"Filter-Id\" = \"staff\"", "\"Acme-Role\" = \"{user}\"", 1);
    let config = read_in(folder.path(), &text).unwrap().config;
    let client = &config.radius.clients[0];
    let place = crate::config::PersonAddress { vendor: Some(64000), number: 2 };
    assert_eq!(client.person_address, Some((place, crate::radius::attribute::AddressForm::Binary)));
    let reply = client.client.reply.as_ref().expect("sections");
    assert_eq!(reply.always[0].1.value[..6], [0, 0, 0xfa, 0, 1, 5]);
    assert!(client.reply_attributes.is_empty(), "they are in one place");
    assert_eq!((reply.details(), config.details("corp")), (vec!["memberof".to_owned()], vec!["memberof".to_owned()]));
    write(folder.path(), "acme.more", "ATTRIBUTE Acme-Role 1 string Acme\nATTRIBUTES x\n");
    let mistakes = read_in(folder.path(), &text).unwrap_err().to_string();
    assert!(mistakes.contains("acme.more:2: \"ATTRIBUTES\" is not known"), "{mistakes}");
}

#[test]
fn a_section_that_needs_a_directory_is_not_for_a_radius_target() {
    let folder = folder();
    let radius = "[target.behind]\ntype = \"radius\"\nservers = \"192.0.2.5\"\nsecret = \"0123456789abcdef\"\n";
    let with = |section: &str| {
        format!(
            "{}\n{radius}\n{section}",
            MINIMAL.replacen("[[radius.client]]", "[[radius.client]]\ntarget = \"behind\"", 1)
        )
    };
    let client = read_in(folder.path(), MINIMAL).unwrap().config.radius.clients[0].client.name.clone();
    let section = |keys: &str| with(&format!("[[reply]]\nname = \"r\"\nattributes = {{ Class = \"x\" }}\n{keys}"));
    let named = read_in(folder.path(), &section(&format!("clients = \"{client}\"\ngroups = \"CN=x\"")));
    assert!(named.unwrap_err().to_string().contains("which know no groups"));
    let unnamed = read_in(folder.path(), &section("groups = \"CN=x\""));
    let said = unnamed.as_ref().map_or_else(|mistakes| &mistakes.warnings, |checked| &checked.warnings);
    assert!(said.iter().any(|warning| warning.found.contains("is not for client")), "{said:?}");
    let people = read_in(folder.path(), &section("people = \"alice\"")).map(|checked| checked.config);
    let people = people.unwrap_or_else(|mistakes| panic!("{mistakes}"));
    assert_eq!(people.radius.clients[0].client.reply.as_ref().map(|reply| reply.room), Some(3));
}
