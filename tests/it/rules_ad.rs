//! `[[rule]]` at the real program in front of a real domain controller: groups within groups, hours, applications.

use serde_json::Value;

use crate::peers::phone::Phone;
use crate::peers::samba::{BASE, Directory, PASSWORD, SERVICE_PASSWORD};
use crate::peers::server::{SHARED_SECRET, Server, Settings};
use crate::peers::wire::{ACCESS_ACCEPT, ACCESS_REJECT, Nas};
use crate::peers::world::{SOON, device_token};

/// A span of hours, of the whole week, that holds now or does not, whatever a test takes.
fn hours(now: bool) -> String {
    let hour = i64::from(jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).hour());
    let (from, until) = if now { (hour - 3, hour + 4) } else { (hour + 6, hour + 12) };
    let shown = |hour: i64| format!("{:02}:00", hour.rem_euclid(24));
    format!("days = [\"mon-sun\"]\nhours = [\"{}-{}\"]\nzone = \"UTC\"", shown(from), shown(until))
}

fn rule(name: &str, conditions: &str, then: &str) -> String {
    format!("[[rule]]\nname = \"{name}\"\n{conditions}\nthen = {then}\n\n")
}

fn group(name: &str) -> String {
    format!("groups = [\"CN={name},OU=Groups,OU=Lab,{BASE}\"]")
}

#[test]
fn rules_by_nested_group_hours_and_application_hold_against_a_real_domain() {
    let Some(directory) = Directory::get() else { return };
    let phone = Phone::start();
    phone.approve_by_itself();
    let settings = Settings {
        directory: directory.address().to_owned(),
        ca: directory.ca(),
        provider: format!("http://{}", phone.address()),
        service_password: SERVICE_PASSWORD.to_owned(),
        ..Settings::default()
    };
    let rules = [
        rule("not-now", &format!("{}\n{}", group("VPN-Users"), hours(false)), "\"refuse\""),
        rule("other-application", &format!("{}\napplications = [\"Wiki\"]", group("VPN-Users")), "\"refuse\""),
        rule("interns-never", &format!("{}\napplications = [\"Test VPN\"]", group("VPN-Interns")), "\"refuse\""),
        rule("engineers", &format!("{}\n{}", group("VPN-Engineering"), hours(true)), "\"skip\""),
        rule("loop", &group("Loop-B"), "\"require\"\nmethods = [\"call\"]"),
        rule("everybody-of-the-vpn", &group("VPN-Users"), "\"require\""),
    ];
    let server = Server::start_written(|folder, address| {
        let written = settings.written(folder, address);
        // Another client, of another application, with nobody behind it.
        let (before, after) = written.split_once("[target.corp]").unwrap();
        let wiki = "[[radius.client]]\nname = \"wiki\"\naddress = \"192.0.2.1\"\nsecret = \"Another-S3cret-of-the-test\"\n\
                    application = \"Wiki\"\ntarget = \"corp\"\nprovider = \"cloud\"\n\n";
        format!("{before}{wiki}[target.corp]{after}\n{}", rules.concat())
    });
    // alice is in VPN-Users itself, bob one group down (VPN-Engineering), carol and ada two (VPN-Interns); dave is in two
    // groups that contain each other; erin in none.
    let expected = [
        ("alice", ACCESS_ACCEPT, "approved", Some("everybody-of-the-vpn"), 1),
        ("bob", ACCESS_ACCEPT, "rule_skipped", Some("engineers"), 0),
        ("carol", ACCESS_REJECT, "rule_refused", Some("interns-never"), 0),
        ("ada", ACCESS_REJECT, "rule_refused", Some("interns-never"), 0),
        ("dave", ACCESS_REJECT, "no_method", Some("loop"), 0),
        ("erin", ACCESS_ACCEPT, "approved", None, 1),
    ];
    for (name, ..) in expected {
        server.run(&["user", "add", name, "--method", "push", "--device-token", &device_token(name)]);
    }
    for (name, code, reason, rule, prompts) in expected {
        let asked = phone.asked();
        let reply = Nas::new(server.radius(), SHARED_SECRET).ask(name, PASSWORD.as_bytes(), SOON).unwrap();
        let event = server.event(name);
        assert_eq!((reply.code, &event["reason"]), (code, &Value::from(reason)), "{name}: {event}");
        assert_eq!(event["rule"].as_str(), rule, "{name}: {event}");
        assert_eq!(phone.asked() - asked, prompts, "{name}");
        let output = server.command(&["explain", "--client", "vpn", "--user", name]).output().unwrap();
        let told = String::from_utf8(output.stdout).unwrap();
        if let Some(rule) = rule {
            assert!(told.contains(rule), "{name}: {told}");
        }
    }
    // Whoever is refused by a rule is refused with the right password only: nobody learns of rules without it.
    let reply = Nas::new(server.radius(), SHARED_SECRET).ask("CORP\\carol", b"a wrong password", SOON).unwrap();
    assert_eq!((reply.code, &server.event("CORP\\carol")["reason"]), (ACCESS_REJECT, &Value::from("wrong_password")));
}
