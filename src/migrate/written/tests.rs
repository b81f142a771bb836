//! An export as it is documented, made for this, and what becomes of it.

use super::*;
use crate::migrate::nps;

const EXPORT: &str = include_str!("../../../tests/vectors/nps-export.xml");

fn turned(gateways: &[&str], zone: Option<&str>) -> Turned {
    let gateways = gateways.iter().map(|one| (*one).to_owned()).collect();
    let given = Given { domain: "corp.example.com".into(), gateways, zone: zone.map(str::to_owned), random: [7; 32] };
    turn(&nps::read(EXPORT).unwrap(), &given)
}

/// What our own configuration makes of it.
fn checked(turned: &Turned) -> Result<crate::config::Config, String> {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    for (name, secret) in &turned.secrets {
        std::fs::write(folder.path().join(name), secret.open()).unwrap();
        std::fs::set_permissions(folder.path().join(name), std::fs::Permissions::from_mode(0o600)).unwrap();
    }
    crate::config::load_text(&turned.toml, &folder.path().join("anteroom.toml")).map_err(|told| told.to_string())
}

fn notes(turned: &Turned) -> String {
    turned.notes.iter().map(|note| format!("{note}\n")).collect()
}

#[test]
fn clients_targets_and_policies_are_a_configuration() {
    let turned = turned(&["rdg 1"], Some("Europe/Zurich"));
    let config = checked(&turned).unwrap_or_else(|told| panic!("{told}\n{}", turned.toml));
    let [gateway, vpn] = config.radius.clients.as_slice() else { panic!("{}", turned.toml) };
    assert!(gateway.authorize_only && gateway.client.application == "RDG 1");
    assert_eq!(gateway.secret.open(), b"PLANTED-gateway-secret-&-more");
    assert_eq!((vpn.authorize_only, vpn.client.target.as_str()), (false, "corp"));
    let policies = &config.authorizing["gateway"].policies;
    let names: Vec<&str> = policies.iter().map(|policy| policy.name.as_str()).collect();
    // Saturday has other hours; the one that names a person is left out.
    assert_eq!(names, ["Leavers", "Gateway staff", "Gateway staff (2)", "Night shift"]);
    assert_eq!(policies.iter().map(|policy| policy.allow).collect::<Vec<_>>(), [false, true, true, true]);
    let staff = &policies[1];
    assert_eq!(staff.groups.len(), 2);
    assert!(staff.groups[0].starts_with("<SID=S-1-5-21-") && staff.computer_groups[0].ends_with("-515>"));
    assert_eq!(staff.authentication.len(), 2);
    // What the export says of devices is not understood, so all are off; two hours, twelve hours.
    assert_eq!(staff.settings[..12], [26, 12, 0, 0, 1, 0x37, 63, 6, 0x20, 0, 0, 0]);
    assert_eq!(staff.settings[12..], [28, 6, 0, 0, 0x1c, 0x20, 27, 6, 0, 0, 0xa8, 0xc0]);
    let at = |text: &str| text.parse::<jiff::Timestamp>().unwrap().into();
    let (week, saturday) = (policies[1].hours.as_ref().unwrap(), policies[2].hours.as_ref().unwrap());
    assert!(week.contain(at("2026-11-23T05:30:00Z")) && !week.contain(at("2026-11-28T09:00:00Z")));
    assert!(saturday.contain(at("2026-11-28T09:00:00Z")) && !saturday.contain(at("2026-11-28T12:00:00Z")));
    let night = &policies[3];
    assert!(night.computers[0].fits("pc-1") && !night.computers[0].fits("xpc-1"));
    assert!(night.gateways[0].contains("192.0.2.30".parse().unwrap()) && night.settings.is_empty());
}

#[test]
fn what_could_not_be_turned_is_told_with_its_line() {
    let turned = turned(&["RDG 1"], None);
    let told = notes(&turned);
    let line = |text: &str| EXPORT.lines().position(|line| line.contains(text)).unwrap() + 1;
    for (place, what, why) in [
        (line("User-Name=^CORP"), "\"Named person\"", "let in more people: left out"),
        (line("Calling-Station-Id=^10"), "\"Leavers\"", "keeps out more people"),
        (line("<msTSGDeviceRedirection"), "\"Gateway staff\"", "which devices it redirects is not read, so none is"),
        (line("<msQuarantineState"), "\"Gateway staff\"", "msQuarantineState"),
        (line("<WLAN"), "\"WLAN\"", "write an address"),
        (line("<Old"), "Old", "is disabled"),
        (line("<VPN name"), "\"VPN\"", "short shared secret"),
        (line("<VPN name"), "\"VPN\"", "did not have to sign"),
        (line("<TS_GATEWAY_SERVER_GROUP"), "TS GATEWAY SERVER GROUP", "type = \"radius\""),
        (line("<TS_GATEWAY_AUTHORIZATION"), "TS GATEWAY AUTHORIZATION POLICY", "by its client's section"),
    ] {
        let found = turned
            .notes
            .iter()
            .any(|note| usize::try_from(note.line) == Ok(place) && note.what.contains(what) && note.why.contains(why));
        assert!(found, "line {place}: {what}: {why}\n{told}");
    }
    assert!(
        told.contains("VPN & users") && told.contains("UTC is assumed") && told.contains("outside 1m to 30d"),
        "{told}"
    );
}

#[test]
fn no_secret_is_in_the_file_or_in_the_notes() {
    let turned = turned(&["192.0.2.30", "192.0.2.31"], None);
    assert!(!turned.toml.contains("PLANTED") && !notes(&turned).contains("PLANTED"));
    let new = turned.secrets.iter().find(|(name, _)| name.starts_with("rdg-192")).unwrap();
    assert_eq!(new.1.len(), 64);
    let text = String::from_utf8(new.1.open().to_vec()).unwrap();
    assert!(!turned.toml.contains(&text) && !notes(&turned).contains(&text));
    assert!(checked(&turned).is_ok());
}

#[test]
fn without_a_gateway_no_policy_lets_anybody_in() {
    let turned = turned(&[], None);
    let config = checked(&turned).unwrap();
    assert!(config.authorizing.is_empty() && config.radius.clients.iter().all(|client| !client.authorize_only));
    assert!(notes(&turned).contains("name it with --gateway"));
}

#[test]
fn a_gateway_without_a_policy_lets_nobody_in() {
    let start = EXPORT.find("        <NetworkPolicy").unwrap();
    let end = EXPORT.find("        <Proxy_Policies").unwrap();
    let bare = format!("{}{}", &EXPORT[..start], &EXPORT[end..]);
    let given =
        Given { domain: "corp.example.com".into(), gateways: vec!["RDG 1".into()], zone: None, random: [7; 32] };
    let turned = turn(&nps::read(&bare).unwrap(), &given);
    let config = checked(&turned).unwrap();
    assert!(config.authorizing["gateway"].policies.iter().all(|policy| !policy.allow));
}

#[test]
fn names_and_addresses_of_an_export_cannot_become_keys() {
    assert_eq!(quoted("a\"\\\n]"), "\"a\\\"\\\\\\u000A]\"");
    for (text, fine) in [
        ("192.0.2.1", true),
        ("2001:db8::1", true),
        ("192.0.2.0/24", true),
        ("192.0.2.1/24", false),
        ("0.0.0.0/0", true),
        ("192.0.2.1/33", false),
        ("host", false),
        ("192.0.2.1\"", false),
        ("", false),
    ] {
        assert_eq!(is_address(text), fine, "{text}");
    }
}
