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

/// One object of an export, with the values of its properties.
fn object(name: &str, properties: &[(&str, &str)]) -> String {
    let tag = name.replace(' ', "_");
    let all: String = properties.iter().map(|(key, value)| format!("<{key}>{value}</{key}>")).collect();
    format!("<{tag} name=\"{name}\"><Properties>{all}</Properties></{tag}>")
}

/// A network policy and its profile: the group's last number, other conditions, whether it grants, by which
/// authentication, more of its profile.
type Made<'a> = (&'a str, u32, &'a [&'a str], &'a str, &'a str, &'a [(&'a str, &'a str)]);

/// What becomes of network policies and connection request policies, for one gateway; the names of ours, with a `-`
/// before those that keep out, and the notes.
fn decided(policies: &[Made<'_>], requests: &[(&str, &str)]) -> (Vec<String>, crate::config::Config, String) {
    let (mut written, mut profiles) = (String::new(), String::new());
    for (place, (name, group, conditions, grants, authentication, more)) in policies.iter().enumerate() {
        let place = place.to_string();
        let group = format!("NTGROUPS(\"S-1-5-21-1-2-3-{group}\")");
        let mut own = vec![("msNPSequence", place.as_str()), ("msNPConstraint", group.as_str())];
        own.extend(conditions.iter().map(|one| ("msNPConstraint", *one)));
        written += &object(name, &own);
        let fixed = [
            ("msNPAllowDialin", *grants),
            ("msNPAuthenticationType2", *authentication),
            ("msIgnoreUserDialinProperties", "1"),
        ];
        profiles += &object(name, &[&fixed, *more].concat());
    }
    let requests: String = requests.iter().map(|(name, one)| object(name, &[("msNPConstraint", *one)])).collect();
    let folder = |tag: &str, inside: &str| format!("<{tag}><Children>{inside}</Children></{tag}>");
    let service =
        [folder("RadiusProfiles", &profiles), folder("NetworkPolicy", &written), folder("Proxy_Policies", &requests)];
    let service = folder("Microsoft_Internet_Authentication_Service", &service.concat());
    let text = format!("<Root><Children>{service}</Children></Root>");
    let given = Given {
        domain: "corp.example.com".into(),
        gateways: vec!["192.0.2.30".into()],
        zone: Some("UTC".into()),
        random: [7; 32],
    };
    let turned = turn(&nps::read(&text).unwrap(), &given);
    let config = checked(&turned).unwrap_or_else(|told| panic!("{told}\n{}", turned.toml));
    let ours = &config.authorizing["gateway"].policies;
    let names = ours.iter().map(|one| format!("{}{}", if one.allow { "" } else { "-" }, one.name)).collect();
    let notes = notes(&turned);
    (names, config, notes)
}

/// The connection request policy that fits all that gateways ask.
const ALL: [(&str, &str); 1] = [("TS GATEWAY AUTHORIZATION POLICY", "MATCH(\"NAS-Port-Type=^5$\")")];
const STAFF: Made<'_> = ("Staff", 513, &[], "1", "7", &[]);

#[test]
fn what_keeps_out_before_a_gateways_policy_still_does() {
    let leavers: Made<'_> = ("Leavers", 1140, &[], "0", "4", &[]);
    let vpn: Made<'_> = ("VPN", 1130, &[], "1", "4", &[]);
    let wifi: Made<'_> = ("Wi-Fi", 1150, &["MATCH(\"NAS-Port-Type=^19$\")"], "0", "5", &[]);
    let last: Made<'_> = ("Others", 1160, &[], "0", "4", &[]);
    let (names, config, notes) = decided(&[leavers, wifi, vpn, STAFF, last], &ALL);
    assert_eq!(names, ["-Leavers", "-VPN", "Staff"], "{notes}");
    assert!(config.authorizing["gateway"].policies[0].groups[0].ends_with("-1140>"));
    assert!(notes.contains("\"VPN\" of target gateway: is not for gateways, but NPS looks at it first"), "{notes}");
    // It cannot be told whom it fits: whoever is in the group is kept out.
    let from: Made<'_> = ("From", 1140, &["MATCH(\"Calling-Station-Id=^10\")"], "0", "7", &[]);
    assert_eq!(decided(&[from, STAFF], &ALL).0, ["-From", "Staff"]);
}

#[test]
fn constraints_of_a_profile_keep_out_whom_its_conditions_fit() {
    let at = |text: &str| text.parse::<jiff::Timestamp>().unwrap().into();
    let hours: Made<'_> = (
        "Interns",
        1170,
        &["TIMEOFDAY(\"1 06:00-20:00; 2 06:00-20:00\")"],
        "1",
        "7",
        &[("msNPTimeOfDay", "1 08:00-22:00"), ("msNPTimeOfDay", "2 00:00-24:00")],
    );
    let (names, config, notes) = decided(&[hours, STAFF], &ALL);
    assert_eq!(names, ["Interns", "Interns (2)", "-Interns'", "Staff"], "{notes}");
    let ours = &config.authorizing["gateway"].policies;
    let fits = |which: usize, time: &str| ours[which].hours.as_ref().unwrap().contain(at(time));
    // A Monday at 07:00: in its condition's hours, but not in its profile's.
    assert!(!fits(0, "2026-11-23T07:00:00Z") && !fits(1, "2026-11-23T07:00:00Z") && fits(2, "2026-11-23T07:00:00Z"));
    assert!(fits(0, "2026-11-23T08:00:00Z") && fits(1, "2026-11-24T07:00:00Z"));
    for name in ["msNPCalledStationId", "msNPCallingStationId", "msNPAllowedPortTypes"] {
        let other = [(name, "19")];
        let one: Made<'_> = ("One", 1170, &[], "1", "7", &other);
        let (names, _, notes) = decided(&[one, STAFF], &ALL);
        assert_eq!(names, ["-One", "Staff"], "{notes}");
        assert!(notes.contains(&format!("its constraint {name} cannot be told")), "{notes}");
    }
    let ports = [("msNPAllowedPortTypes", "15"), ("msNPAllowedPortTypes", "5")];
    assert_eq!(decided(&[("One", 1170, &[], "1", "7", &ports), STAFF], &ALL).0, ["One", "Staff"]);
}

#[test]
fn connection_request_policies_keep_out_what_none_of_them_fits() {
    let hours = ("Hours", "TIMEOFDAY(\"1 08:00-17:00\")");
    let (names, config, notes) = decided(&[STAFF], &[hours]);
    assert!(names[0].starts_with("-No connection request policy") && names.last().unwrap() == "Staff", "{names:?}");
    let ours = &config.authorizing["gateway"].policies;
    let kept_out = |time: &str| {
        let time = time.parse::<jiff::Timestamp>().unwrap().into();
        ours.iter().filter(|one| !one.allow).any(|one| one.hours.as_ref().is_none_or(|hours| hours.contain(time)))
    };
    // Monday is the 23rd.
    assert!(kept_out("2026-11-23T07:59:00Z") && !kept_out("2026-11-23T08:00:00Z") && kept_out("2026-11-24T09:00:00Z"));
    assert!(notes.contains("at all others nobody comes in"), "{notes}");
    let (names, config, notes) = decided(&[STAFF], &[("Some", "MATCH(\"User-Name=^CORP\")")]);
    assert_eq!(names, ["-No connection request policy", "Staff"], "{notes}");
    assert!(config.authorizing["gateway"].policies[0].hours.is_none() && notes.contains("\"Some\""), "{notes}");
    // The next one takes whatever the first ones do not.
    assert_eq!(decided(&[STAFF], &[hours, ALL[0]]).0, ["Staff"]);
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
