//! What an RD Gateway may have, and what nobody else may.

use super::*;

/// A file with a directory, a gateway's target with one policy, and these keys for the gateway's client and policy.
fn gateway_text(client: &str, policy: &str) -> String {
    format!(
        r#"
[server]
store = "a.db"
[[radius.client]]
name = "vpn"
address = "192.0.2.10"
secret = "a secret of sixteen or more"
[[radius.client]]
name = "rdg"
address = "192.0.2.30"
secret = "a secret of sixteen or more"
profile = "rd-gateway"
{client}
[target.corp]
servers = "ldaps://dc1.corp.example"
base = "DC=corp,DC=example"
bind_name = "svc"
bind_password = "p"
[target.gate]
type = "none"
directory = "corp"
[[target.gate.policy]]
name = "staff"
{policy}
[provider.cloud]
url = "https://prompt.example"
key_id = "k"
key = "a key of thirty-two octets or more, certainly"
"#
    )
}

fn with_gateway(client: &str, policy: &str) -> Result<Config, String> {
    read_text(&gateway_text(client, policy))
}

fn read_text(text: &str) -> Result<Config, String> {
    let environment = Environment::default();
    read(text, FilePath::new("a.toml"), &environment, &environment, SystemTime::now())
        .map(|checked| checked.config)
        .map_err(|mistakes| mistakes.to_string())
}

#[test]
fn a_gateway_takes_the_target_that_checks_no_password_and_everybody_else_the_other() {
    let config = with_gateway("", "redirection = [\"drives\"]\nidle_timeout = \"1h\"").unwrap();
    let [vpn, gateway] = config.radius.clients.as_slice() else { panic!("two clients") };
    assert_eq!((vpn.client.target.as_str(), vpn.authorize_only), ("corp", false));
    assert_eq!((gateway.client.target.as_str(), gateway.authorize_only), ("gate", true));
    let reuse = gateway.client.reuse.expect("on by itself");
    assert_eq!((reuse.within, vpn.client.reuse), (Duration::from_secs(120), None));
    let target = &config.authorizing["gate"];
    assert_eq!((target.directory.as_str(), target.policies.len()), ("corp", 1));
    assert!(target.policies[0].allow && target.policies[0].settings.len() == 18);
    let config = with_gateway("reconnect_within = \"0s\"", "").unwrap();
    assert_eq!(config.radius.clients[1].client.reuse, None);
}

#[test]
fn a_gateways_requests_may_go_on_to_an_nps() {
    let nps =
        "target = \"nps\"\n[target.nps]\ntype = \"radius\"\nservers = \"192.0.2.30\"\nsecret = \"of sixteen or more\"";
    // Now that there are several, the VPN has to say which is its own.
    let text = gateway_text(nps, "").replacen("192.0.2.10\"", "192.0.2.10\"\ntarget = \"corp\"", 1);
    let config = read_text(&text).unwrap();
    let gateway = &config.radius.clients[1];
    assert!(gateway.authorize_only && gateway.hands_on && gateway.client.target == "nps");
    assert!(gateway.client.reuse.is_some(), "on by itself here, too");
    assert!(!config.radius.clients[0].authorize_only && !config.radius.clients[0].hands_on);
}

#[test]
fn what_a_gateway_cannot_have_is_said_where_it_stands() {
    for (client, policy, said) in [
        ("target = \"corp\"", "", "an RD Gateway sends none"),
        ("passcode = { length = 6 }", "", "nothing can be typed there"),
        ("methods = [\"push\", \"oath\"]", "", "found \"oath\" for an RD Gateway"),
        ("number_matching = \"code\"", "", "\"approve\""),
        ("reconnect_within = \"2h\"", "", "allowed: 0s to 1h"),
        ("", "groups = \"staff\"", "the group's distinguished name"),
        ("", "gateways = \"nowhere\"", "target.gate.policy[0].gateways"),
        ("", "hours = \"08:00-18:00\"", "whose clock counts"),
        ("", "zone = \"UTC\"", "has no effect"),
        ("", "hours = \"8-18\"\nzone = \"UTC\"", "found \"8-18\""),
        ("", "days = \"someday\"\nzone = \"UTC\"", "found \"someday\""),
        ("", "days = \"mon\"\nzone = \"Nowhere/Land\"", "not known here"),
        ("", "redirection = [\"usb\"]", "\"drives\" or \"printers\""),
        ("", "allow = false\nsession_timeout = \"8h\"", "found beside allow = false"),
        ("", "allow = \"no\"", "target.gate.policy[0].allow"),
        ("", "timeout = \"8h\"", "timeout"),
        ("", "[[target.gate.policy]]\nname = \"staff\"", "found \"staff\" a second time"),
        ("", "[target.other]\ntype = \"none\"\ndirectory = \"gone\"", "there is no such directory"),
        ("", "[target.other]\ntype = \"none\"\ndirectory = \"corp\"", "at least one [[target.NAME.policy]]"),
        ("", "[target.other]\ntype = \"none\"\nbase = \"DC=x\"", "found for type = \"none\""),
        ("", "[[ldap.client]]\nname = \"wiki\"\naddress = \"::1\"\ntarget = \"gate\"", "which is of type \"none\""),
        ("", "[[import.item]]\nname = \"staff\"\nou = \"OU=x\"\ntarget = \"gate\"", "which is of type \"none\""),
    ] {
        match with_gateway(client, policy) {
            Ok(_) => panic!("taken: {client} {policy}"),
            Err(mistakes) => assert!(mistakes.contains(said), "{client} {policy}: {mistakes}"),
        }
    }
}

#[test]
fn only_a_gateway_may_do_without_a_password() {
    let text = |client: &str| {
        with_gateway(
            &format!(
                "[[radius.client]]\nname = \"x\"\naddress = \"192.0.2.40\"\nsecret = \"0123456789abcdef\"\n{client}"
            ),
            "",
        )
    };
    assert!(text("target = \"gate\"").unwrap_err().contains("only for clients with profile = \"rd-gateway\""));
    assert!(text("reconnect_within = \"1m\"").unwrap_err().contains("found without profile = \"rd-gateway\""));
    assert_eq!(text("").unwrap().radius.clients[2].client.target, "corp");
}
