//! An export of an NPS: nothing panics, and what is read becomes TOML with a secret for each file that it names, none of
//! them in the TOML itself.

#![no_main]

use anteroom::migrate::nps;
use anteroom::migrate::written::{Given, turn};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let Ok(export) = nps::read(text) else { return };
    let gateways = export.clients.iter().step_by(2).map(|client| client.name.clone()).collect();
    let given = Given { domain: "corp.example.com".into(), gateways, zone: None, random: [7; 32] };
    let turned = turn(&export, &given);
    for line in turned.toml.lines().filter_map(|line| line.strip_prefix("secret_file = ")) {
        assert!(turned.secrets.iter().any(|(name, _)| line == format!("{name:?}")), "{line}");
    }
    let policies = turned.toml.matches("[[target.gateway.policy]]").count();
    assert_eq!(turned.toml.contains("[target.gateway]"), policies > 0);
});
