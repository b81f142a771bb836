//! What the profile of each client has set, and what its section has written itself.

use std::fmt::Display;

use super::Finding;
use crate::config::{Config, Profiled};

/// One finding for each RADIUS client that names a profile.
pub fn check(config: &Config) -> Vec<Finding> {
    let clients = config.radius.clients.iter();
    let profiled = clients.filter_map(|client| Some((client.client.name.as_str(), client.profile.as_deref()?)));
    profiled.map(|(client, profiled)| finding(client, profiled)).collect()
}

fn finding(client: &str, done: &Profiled) -> Finding {
    let profile = done.profile;
    let mut said = format!("profile {} ({}) sets {}", profile.word, profile.product, list(&done.set));
    if !done.written.is_empty() {
        let written =
            done.written.iter().map(|(preset, value)| format!("{} = {value}, not {}", preset.key, preset.value));
        said = format!("{said}; the section itself says {}", list(written));
    }
    Finding::ok(format!("client {client}"), format!("{said}; guide: conf/guides/{}", profile.guide))
}

fn list(items: impl IntoIterator<Item = impl Display>) -> String {
    let items: Vec<String> = items.into_iter().map(|item| item.to_string()).collect();
    if items.is_empty() { "nothing".to_owned() } else { items.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_profile_has_set_and_what_the_section_says_itself_is_told() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["vpn.secret", "bind.secret", "cloud.key"] {
            std::fs::write(folder.path().join(name), "k".repeat(32)).unwrap();
        }
        let client = "[[radius.client]]\nprofile = \"strongswan\"\nchallenge = \"no\"\npasscode = { length = 6 }\n";
        let text = include_str!("../../../conf/minimal.toml").replace("[[radius.client]]\n", client);
        let config = crate::config::load_text(&text, &folder.path().join("anteroom.toml")).unwrap();
        let findings: Vec<String> = check(&config).iter().map(ToString::to_string).collect();
        assert_eq!(
            findings,
            [format!(
                "ok    client {}  profile strongswan (strongSwan with eap-radius (IKEv1 XAuth)) sets \
                 require_message_authenticator = \"yes\", person_address = \"Calling-Station-Id\"; the section itself \
                 says passcode = {{ length = 6 }}, not {{ delimiter = \",\" }}, challenge = \"no\", not \"no\"; \
                 guide: conf/guides/strongswan.md",
                config.radius.clients[0].client.name
            )]
        );
    }
}
