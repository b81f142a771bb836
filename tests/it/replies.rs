//! What an Access-Accept has for whom, as clients read it that share nothing with us: pyrad, and radclient with the
//! dictionaries of FreeRADIUS. Values come from Samba and OpenLDAP.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use anteroom::radius::dictionary::{Dictionary, DictionaryError};
use serde_json::{Value, json};

use crate::peers::samba::{BASE, Directory, PASSWORD};
use crate::peers::server::SHARED_SECRET;
use crate::peers::slapd::Slapd;
use crate::peers::wire::{ACCESS_ACCEPT, ACCESS_REJECT, Nas};
use crate::peers::world::{SOON, World};
use crate::peers::{ldap_world, missing, peer_file, program, pyrad_is_there, slapd};

/// One sign-in by pyrad: what it reads.
fn pyrad(world: &World, name: &str) -> Value {
    let server = world.server.radius();
    let (address, port) = (server.ip().to_string(), server.port().to_string());
    let mut command = Command::new("/usr/bin/python3");
    let output = command.arg(peer_file("pyrad-client.py")).args([&address, &port, SHARED_SECRET, "15", name, PASSWORD]);
    let output = output.output().unwrap();
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
}

fn group(name: &str) -> String {
    format!("CN={name},OU=Groups,OU=Lab,{BASE}")
}

fn explained(world: &World, name: &str) -> String {
    let mut command = world.server.command(&["explain", "--client", "vpn", "--user", name]);
    let output: Output = command.output().unwrap();
    String::from_utf8(output.stdout).unwrap() + &String::from_utf8_lossy(&output.stderr)
}

#[test]
fn attributes_by_group_and_person_come_as_pyrad_reads_them() {
    let Some(directory) = Directory::get().filter(|_| pyrad_is_there()) else { return };
    let (all, engineers) = (group("VPN-Users"), group("VPN-Engineering"));
    let sections = format!(
        r#"
reply_attributes = ['Class = "everybody"', "Session-Timeout = 600"]

[[reply]]
name = "staff"
groups = ["{all}"]
attributes = {{ "Filter-Id" = "staff", "Session-Timeout" = 3600 }}
replace = true

[[reply]]
name = "engineers"
groups = ["{engineers}"]
attributes = {{ "Filter-Id" = "engineers", "Cisco-AVPair" = ["shell:priv-lvl=15", "user={{user}}"] }}
replace = true

[[reply]]
name = "alice-alone"
people = ["ALICE@corp.example.test"]
attributes = {{ "Framed-IP-Address" = "192.0.2.77", "Cisco-AVPair" = "upn={{upn}}" }}
last = true

[[reply]]
name = "the-rest"
clients = ["vpn"]
attributes = {{ "Class" = {{ from = "memberOf", only = ["VPN-*"], template = "OU={{cn}};" }} }}
"#
    );
    let world = World::new(&directory, &sections, "");
    world.enrol(&["alice", "bob", "carol", "dave"]);
    world.phone.approve_by_itself();
    let alice = pyrad(&world, "alice");
    assert_eq!((&alice["code"], &alice["authentic"], &alice["signed_first"]), (&2.into(), &true.into(), &true.into()));
    let expected = json!({
        "Class": ["everybody"], "Filter-Id": ["staff"], "Session-Timeout": [3600],
        "Framed-IP-Address": ["192.0.2.77"], "Cisco-AVPair": ["upn=alice@corp.example.test"],
    });
    assert_eq!(alice["values"], expected, "`last` keeps the last section out");
    // Bob is an engineer, and so of the staff; his own groups are those that name him.
    let expected = json!({
        "Class": ["everybody", "OU=VPN-Engineering;"], "Filter-Id": ["engineers"], "Session-Timeout": [3600],
        "Cisco-AVPair": ["shell:priv-lvl=15", "user=bob"],
    });
    assert_eq!(pyrad(&world, "bob")["values"], expected);
    // Carol is an engineer by way of the interns.
    let expected = json!({
        "Class": ["everybody", "OU=VPN-Interns;"], "Filter-Id": ["engineers"], "Session-Timeout": [3600],
        "Cisco-AVPair": ["shell:priv-lvl=15", "user=carol"],
    });
    assert_eq!(pyrad(&world, "CORP\\carol")["values"], expected);
    assert_eq!(pyrad(&world, "dave")["values"], json!({ "Class": ["everybody"], "Session-Timeout": [600] }));
    let refused = world.sign_in("alice", "wrong");
    assert_eq!((refused.code, refused.attributes.len()), (ACCESS_REJECT, 1), "a Reject has none of it");
    let said = explained(&world, "carol");
    for line in [
        "reply engineers",
        "is for others",
        "Filter-Id = \"engineers\"",
        "Cisco-AVPair = \"user=carol\"",
        "Session-Timeout = 3600",
        "Class = \"OU=VPN-Interns;\"",
    ] {
        assert!(said.contains(line), "{line}: {said}");
    }
}

#[test]
fn radclient_reads_tags_vendors_and_groups_by_its_own_dictionaries() {
    let Some(directory) = Directory::get().filter(|_| program("radclient")) else { return };
    let (all, engineers, none) = (group("VPN-Users"), group("VPN-Engineering"), group("MFA-Exempt"));
    let sections = format!(
        r#"
[[reply]]
name = "everything"
groups = ["{all}", "{engineers}", "{none}"]
[reply.attributes]
"Tunnel-Type:1" = "VLAN"
"Tunnel-Medium-Type:1" = "IEEE-802"
"Tunnel-Private-Group-Id:1" = "42"
"Service-Type" = "NAS-Prompt-User"
"Fortinet-Group-Name" = "{{group}}"
"PaloAlto-Admin-Role" = "superuser"
"Aruba-User-Vlan" = 7
"Mikrotik-Rate-Limit" = "10M/10M"
"MS-Primary-DNS-Server" = "192.0.2.53"
"WISPr-Bandwidth-Max-Up" = 512000
"F5-LTM-User-Role" = "Guest"
"Ruckus-User-Groups" = {{ from = "sAMAccountName" }}
"Huawei-Exec-Privilege" = 15
"Framed-IPv6-Prefix" = "2001:db8:7::/48"
"Class" = {{ from = "objectGUID" }}
"#
    );
    let world = World::new(&directory, &sections, "");
    world.enrol(&["bob"]);
    world.phone.approve_by_itself();
    let output = radclient(&world, "bob");
    let (_, reply) = output.split_once("Received Access-Accept").unwrap_or_else(|| panic!("{output}"));
    for line in [
        "Tunnel-Type:1 = VLAN",
        "Tunnel-Medium-Type:1 = IEEE-802",
        "Tunnel-Private-Group-Id:1 = \"42\"",
        "Service-Type = NAS-Prompt-User",
        "Fortinet-Group-Name = \"VPN-Users\"",
        "Fortinet-Group-Name = \"VPN-Engineering\"",
        "PaloAlto-Admin-Role = \"superuser\"",
        "Aruba-User-Vlan = 7",
        "Mikrotik-Rate-Limit = \"10M/10M\"",
        "MS-Primary-DNS-Server = 192.0.2.53",
        "WISPr-Bandwidth-Max-Up = 512000",
        "F5-LTM-User-Role = Guest",
        "Ruckus-User-Groups = \"bob\"",
        "Huawei-Exec-Privilege = 15",
        "Framed-IPv6-Prefix = 2001:db8:7::/48",
    ] {
        assert!(reply.contains(line), "{line}:\n{reply}");
    }
    assert_eq!(reply.matches("Fortinet-Group-Name").count(), 2, "only groups that he is in:\n{reply}");
    let class = reply.lines().find_map(|line| line.trim().strip_prefix("Class = 0x")).expect("a Class");
    assert_eq!(class.len(), 32, "16 octets as they are: {class}");
}

/// Sends one request with a password by radclient: all that it says.
fn radclient(world: &World, name: &str) -> String {
    let request = format!("User-Name = \"{name}\"\nUser-Password = \"{PASSWORD}\"\nMessage-Authenticator = 0x00\n");
    let server = world.server.radius().to_string();
    let mut command = Command::new("radclient");
    command.args(["-x", "-t", "15", "-r", "1", &server, "auth", SHARED_SECRET]).stdin(Stdio::piped());
    command.stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(request.as_bytes()).unwrap();
    String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap()
}

#[test]
fn a_tunnel_password_is_read_by_the_client_and_by_nobody_else() {
    let Some(directory) = Directory::get().filter(|_| program("radclient")) else { return };
    let sections = r#"
[[reply]]
name = "tunnel"
people = ["bob"]
[reply.attributes]
"Tunnel-Type:1" = "L2TP"
"Tunnel-Password:1" = { secret = "PLANTED in the file" }
"Tunnel-Password:2" = { from = "sAMAccountName", template = "PLANTED for {value}" }
"Filter-Id" = "after it"
"#;
    let world = World::new(&directory, sections, "");
    world.enrol(&["alice", "bob"]);
    world.phone.approve_by_itself();
    let output = radclient(&world, "bob");
    let (_, reply) = output.split_once("Received Access-Accept").unwrap_or_else(|| panic!("{output}"));
    for line in [
        "Tunnel-Password:1 = \"PLANTED in the file\"",
        "Tunnel-Password:2 = \"PLANTED for bob\"",
        "Tunnel-Type:1 = L2TP",
        "Filter-Id = \"after it\"",
    ] {
        assert!(reply.contains(line), "{line}:\n{reply}");
    }
    // On the wire they are hidden, each with its tag before it and a salt of its own, whose highest bit is set.
    let reply = world.sign_in("bob", PASSWORD);
    let hidden: Vec<&Vec<u8>> =
        reply.attributes.iter().filter(|(number, _)| *number == 69).map(|(_, value)| value).collect();
    assert_eq!((hidden.len(), hidden[0][0], hidden[1][0]), (2, 1, 2));
    assert!(hidden.iter().all(|value| value[1] >= 0x80 && (value.len() - 3).is_multiple_of(16)));
    assert_ne!(hidden[0][1..3], hidden[1][1..3]);
    assert!(!reply.attributes.iter().any(|(_, value)| value.windows(7).any(|part| part == b"PLANTED")));
    assert!(!radclient(&world, "alice").contains("Tunnel-"), "it is bob's");
    // Nobody reads it here.
    let said = explained(&world, "bob");
    assert!(said.contains("Tunnel-Password:2 = (a secret, not shown)"), "{said}");
    for text in [said, world.server.logs(), world.server.audit()] {
        assert!(!text.contains("PLANTED"), "{text}");
    }
}

#[test]
fn what_does_not_fit_refuses_or_is_cut_as_the_section_says() {
    let Some(directory) = Directory::get() else { return };
    let section = |unfit: &str| {
        format!(
            "[[reply]]\nname = \"odd\"\nattributes = {{ \"Session-Timeout\" = {{ from = \"sAMAccountName\" }}, \
             \"Filter-Id\" = \"{}{{dn}}\" }}\nunfit = \"{unfit}\"\n",
            "x".repeat(250)
        )
    };
    let strict = World::new(&directory, &section("refuse"), "");
    strict.enrol(&["alice"]);
    assert_eq!(strict.sign_in("alice", PASSWORD).code, ACCESS_REJECT);
    assert_eq!(strict.server.event("alice")["reason"], "reply_unfit");
    assert_eq!(strict.phone.asked(), 0, "nobody is prompted for nothing");
    let said = strict.server.logs();
    assert!(said.contains("Session-Timeout must be a number") || said.contains("Filter-Id must have"), "{said}");
    let lenient = World::new(&directory, &section("cut"), "");
    lenient.enrol(&["alice"]);
    lenient.phone.approve_by_itself();
    let reply = lenient.sign_in("alice", PASSWORD);
    assert_eq!(reply.code, ACCESS_ACCEPT);
    let filter: Vec<_> = reply.attributes.iter().filter(|(number, _)| *number == 11).collect();
    assert_eq!((filter.len(), filter[0].1.len()), (1, 253));
    assert!(reply.attributes.iter().all(|(number, _)| *number != 27), "no time-out of a name");
}

/// OpenLDAP's own `memberOf`, by the overlay of that name.
#[test]
fn open_ldap_tells_groups_too() {
    let Some(directory) = Slapd::get().filter(|_| program("ldapadd")) else { return };
    add_group(directory, "replies, with a comma");
    let target = ldap_world::open_ldap(directory);
    let base = slapd::BASE;
    let section = format!(
        "[[reply]]\nname = \"groups\"\n[reply.attributes]\n\"Class\" = {{ from = \"memberOf\", template = \"{{cn}}\" }}\n\
         \"Filter-Id\" = {{ from = \"mail\" }}\n\n[[reply]]\nname = \"nobody\"\ngroups = [\"cn=no-such,{base}\"]\n\
         attributes = {{ \"Filter-Id\" = \"wrong\" }}\n\n[target.open]\n{target}\n"
    );
    let Some(ad) = Directory::get() else { return };
    let client = format!(
        "[[radius.client]]\nname = \"open\"\naddress = \"127.0.0.9\"\nsecret = \"{SHARED_SECRET}\"\ntarget = \"open\"\n\
         provider = \"cloud\"\nunknown_users = \"password_only\"\n{section}"
    );
    let world = World::new(&ad, &client, "");
    let mut nas = Nas::at("127.0.0.9", world.server.radius(), SHARED_SECRET);
    let reply = nas.ask("bob", PASSWORD.as_bytes(), SOON).expect("an answer");
    assert_eq!(reply.code, ACCESS_ACCEPT, "{}", world.server.logs());
    let texts = |number: u8| {
        let values = reply.attributes.iter().filter(|(found, _)| *found == number);
        let mut values: Vec<_> = values.map(|(_, value)| String::from_utf8(value.clone()).unwrap()).collect();
        values.sort();
        values
    };
    assert_eq!(texts(25), ["replies, with a comma"]);
    assert_eq!(texts(11), ["bob@example.test"]);
}

/// Adds a group that bob is in: the overlay writes his `memberOf` only when it sees that.
fn add_group(directory: &Slapd, name: &str) {
    let base = slapd::BASE;
    let ldif = format!(
        "dn: cn={},ou=groups,{base}\nobjectClass: groupOfNames\ncn: {name}\nmember: uid=bob,ou=people,{base}\n\n",
        name.replace(',', "\\,")
    );
    let mut add = Command::new("ldapadd");
    add.env("LDAPTLS_CACERT", directory.ca()).args(["-x", "-H", &format!("ldaps://{}", directory.ldaps())]);
    add.args(["-D", slapd::APPLICATION, "-w", crate::peers::samba::SERVICE_PASSWORD]).stdin(Stdio::piped());
    let mut child = add.stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(ldif.as_bytes()).unwrap();
    assert!(child.wait().unwrap().success(), "ldapadd");
}

/// Every line that FreeRADIUS ships is understood, and what ships here says the same.
#[test]
fn the_dictionaries_of_freeradius_are_read_and_agree() {
    let folder = Path::new("/usr/share/freeradius");
    let Ok(text) = std::fs::read_to_string(folder.join("dictionary")) else {
        missing("FreeRADIUS", "its dictionaries are not installed");
        return;
    };
    let mut include = |from: &str, named: &str| {
        let path = Path::new(from).parent().unwrap().join(named);
        match std::fs::read(&path) {
            Ok(octets) => Ok(Some((path.display().to_string(), String::from_utf8_lossy(&octets).into_owned()))),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error.to_string()),
        }
    };
    let mut theirs = Dictionary::default();
    let read = theirs.read(&folder.join("dictionary").display().to_string(), &text, &mut include);
    read.unwrap_or_else(|error| panic!("{error}"));
    assert!(theirs.names() > 5000, "{}", theirs.names());
    let mut compared = 0;
    for file in std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("conf/dictionary")).unwrap() {
        let text = std::fs::read_to_string(file.unwrap().path()).unwrap();
        for name in text.lines().filter_map(|line| line.strip_prefix("ATTRIBUTE ")?.split(' ').next()) {
            let (ours, theirs) = (Dictionary::shipped().writable(name), theirs.writable(name));
            // These have a second number there, of the server's own.
            let twice = name == "Citrix-User-Groups" || name.starts_with("Digest-");
            match (&ours, &theirs) {
                _ if twice => continue,
                (Ok(ours), Ok(theirs)) => assert!(ours.is_like(theirs), "{name}"),
                // Not among those that it reads by itself.
                (_, Err(DictionaryError::UnknownName { .. })) => continue,
                (Err(ours), Err(theirs)) => assert_eq!(ours.to_string(), theirs.to_string()),
                _ => panic!("{name}: {ours:?} and {theirs:?}"),
            }
            compared += 1;
        }
    }
    assert!(compared > 1000, "{compared}");
}
