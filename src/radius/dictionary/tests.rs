use super::*;

fn good(line: &str) -> (u8, Vec<u8>) {
    let parsed = Dictionary::shipped().parse_reply_attribute(line);
    let (_, attribute) = parsed.unwrap_or_else(|error| panic!("{line}: {error}"));
    (attribute.number, attribute.value)
}

fn bad(line: &str) -> String {
    Dictionary::shipped().parse_reply_attribute(line).expect_err(line).to_string()
}

#[test]
fn values_of_every_type_are_encoded() {
    assert_eq!(good("Filter-Id = \"staff\""), (11, b"staff".to_vec()));
    assert_eq!(good("filter-id=staff"), (11, b"staff".to_vec()));
    assert_eq!(good(r#"Filter-Id = "a \"b\" \\ c = d""#), (11, br#"a "b" \ c = d"#.to_vec()));
    assert_eq!(good("Class = 0x00ffA1"), (25, vec![0, 255, 161]));
    assert_eq!(good("Class = \"0x00\""), (25, b"0x00".to_vec()));
    assert_eq!(good("Service-Type = Framed-User"), (6, vec![0, 0, 0, 2]));
    assert_eq!(good("Session-Timeout = 28800"), (27, vec![0, 0, 0x70, 0x80]));
    assert_eq!(good("Session-Timeout = 0xffffffff"), (27, vec![255; 4]));
    assert_eq!(good("Framed-IP-Address = 192.0.2.7"), (8, vec![192, 0, 2, 7]));
    assert_eq!(good("Framed-IPv6-Address = ::1").1.len(), 16);
    assert_eq!(good("Event-Timestamp = 2030-01-31T12:00:00Z"), (55, 1_896_091_200u32.to_be_bytes().to_vec()));
    assert_eq!(good("Event-Timestamp = 5"), (55, vec![0, 0, 0, 5]));
}

#[test]
fn tunnel_attributes_take_a_tag() {
    assert_eq!(good("Tunnel-Type = VLAN"), (64, vec![0, 0, 0, 13]));
    assert_eq!(good("Tunnel-Medium-Type:1 = IEEE-802"), (65, vec![1, 0, 0, 6]));
    assert_eq!(good("Tunnel-Private-Group-Id:1 = 120"), (81, b"\x01120".to_vec()));
    assert_eq!(good("Tunnel-Private-Group-Id = 120"), (81, b"120".to_vec()));
    for line in ["Tunnel-Type:0 = VLAN", "Tunnel-Type:32 = VLAN", "Tunnel-Type = 16777216", "Filter-Id:1 = x"] {
        bad(line);
    }
}

#[test]
fn a_vendors_attribute_becomes_a_vendor_specific_one() {
    let (number, value) = good("Cisco-AVPair = \"shell:priv-lvl=15\"");
    assert_eq!((number, &value[..6]), (26, &[0, 0, 0, 9, 1, 19][..]));
    assert_eq!(&value[6..], b"shell:priv-lvl=15");
    assert_eq!(good("MS-Primary-DNS-Server = 192.0.2.1").1, [0, 0, 1, 55, 28, 6, 192, 0, 2, 1]);
    assert_eq!(good("Fortinet-Group-Name = vpn").1[..4], 12356u32.to_be_bytes());
}

#[test]
fn what_must_not_be_configured_is_refused() {
    for name in [
        "User-Password",
        "CHAP-Password",
        "State",
        "Proxy-State",
        "Message-Authenticator",
        "EAP-Message",
        "Tunnel-Password",
        "Vendor-Specific",
        "MS-MPPE-Send-Key",
        "MS-CHAP2-Response",
        "Calling-Station-Id",
    ] {
        let error = Dictionary::shipped().parse_reply_attribute(&format!("{name} = x")).unwrap_err();
        assert!(matches!(error, DictionaryError::Refused { .. }), "{name}: {error}");
    }
}

#[test]
fn errors_say_what_would_be_right() {
    assert_eq!(bad("Filter-Id"), "write it as `Name = value`, such as `Filter-Id = \"staff\"`");
    assert_eq!(bad("Filter-ld = x"), "no attribute is called \"Filter-ld\"; did you mean Filter-Id?");
    assert_eq!(bad("Sesion-Timout = 1"), "no attribute is called \"Sesion-Timout\"; did you mean Session-Timeout?");
    assert_eq!(bad("Xylophone-Volume-Control = 11"), "no attribute is called \"Xylophone-Volume-Control\"");
    let framed = bad("Service-Type = Framed");
    assert!(framed.contains("(Login-User, Framed-User, ") && framed.ends_with("Framed-Management)"), "{framed}");
    assert!(bad("Framed-IP-Address = ::1").contains("IPv4"));
    for line in ["Session-Timeout = -1", "Session-Timeout = +1", "Session-Timeout = 4294967296", "Session-Timeout ="] {
        assert!(bad(line).contains("0 to 4294967295"), "{line}");
    }
    for line in ["Class = 0x123", "Class = 0xzz", "Filter-Id = \"open", "Filter-Id = \"a\"b"] {
        let parsed = Dictionary::shipped().parse_reply_attribute(line);
        assert!(matches!(parsed, Err(DictionaryError::WrongValue { .. })), "{line}");
    }
    assert!(bad("Filter-Id = \"\"").contains("1 to 253 octets, not 0"));
    assert!(bad(&format!("Filter-Id = {}", "x".repeat(254))).contains("not 254"));
    assert!(bad(&format!("Cisco-AVPair = {}", "x".repeat(248))).contains("1 to 247"));
    assert_eq!(good(&format!("Cisco-AVPair = {}", "x".repeat(247))).1.len(), 253);
}

#[test]
fn the_persons_address_comes_from_attributes_that_hold_one() {
    let address = |name| Dictionary::shipped().person_address(name);
    let at = |vendor, number| PersonAddress { vendor, number };
    assert_eq!(address("Calling-Station-Id"), Ok((at(None, 31), AddressForm::Text)));
    assert_eq!(address("Tunnel-Client-Endpoint"), Ok((at(None, 66), AddressForm::TaggedText)));
    assert_eq!(address("Framed-IP-Address"), Ok((at(None, 8), AddressForm::Binary)));
    assert_eq!(address("Fortinet-Client-IP-Address"), Ok((at(Some(12356), 2), AddressForm::Binary)));
    assert_eq!(address("PaloAlto-Client-Source-IP"), Ok((at(Some(25461), 7), AddressForm::Text)));
    assert!(address("NAS-IP-Address").is_err(), "the client's address is not the person's");
    assert!(address("Filter-Id").is_err());
    assert!(address("Calling-Station").unwrap_err().to_string().contains("Calling-Station-Id"));
}

#[test]
fn names_of_what_passes_and_is_dropped_are_known() {
    let place = |name| Dictionary::shipped().attribute_place(name);
    assert_eq!(place("Class"), Ok(PersonAddress { vendor: None, number: 25 }));
    assert_eq!(place("cisco-avpair"), Ok(PersonAddress { vendor: Some(9), number: 1 }));
    assert_eq!(place("Tunnel-Password").unwrap().number, 69, "a target's can be dropped");
    assert_eq!(place("MS-MPPE-Send-Key").unwrap().vendor, Some(311));
    for name in ["State", "User-Password", "NAS-Port", "Vendor-Specific", "Nothing-Of-The-Kind"] {
        assert!(place(name).is_err(), "{name}");
    }
}

#[test]
fn what_ships_is_read_whole_and_every_name_is_there_once() {
    let mut dictionary = Dictionary::empty();
    let mut names = 0;
    for (name, text) in shipped::FILES {
        dictionary.read(name, text, &mut |_, _| Err("nothing".into())).unwrap_or_else(|error| panic!("{error}"));
        names += text.lines().filter(|line| line.starts_with("ATTRIBUTE ")).count();
    }
    assert_eq!((dictionary.names(), Dictionary::shipped().names()), (names, names), "no name is there twice");
    assert!(names > 1300, "{names}");
    for (line, octets) in [
        ("Cisco-AVPair = x", &[0, 0, 0, 9, 1, 3, b'x'][..]),
        ("ASA-Group-Policy = x", &[0, 0, 12, 4, 25, 3, b'x']),
        ("Fortinet-Group-Name = x", &[0, 0, 0x30, 0x44, 1, 3, b'x']),
        ("PaloAlto-Admin-Role = x", &[0, 0, 0x63, 0x75, 1, 3, b'x']),
        ("Citrix-User-Groups = x", &[0, 0, 0x0f, 5, 16, 3, b'x']),
        ("Juniper-Local-User-Name = x", &[0, 0, 0x0a, 0x4c, 1, 3, b'x']),
        ("Aruba-User-Role = x", &[0, 0, 0x39, 0xe7, 1, 3, b'x']),
        ("Mikrotik-Group = x", &[0, 0, 0x3a, 0x8c, 3, 3, b'x']),
        ("SonicWall-User-Group = x", &[0, 0, 0x22, 0x25, 3, 3, b'x']),
        ("WISPr-Bandwidth-Max-Up = 8", &[0, 0, 0x37, 0x2a, 7, 6, 0, 0, 0, 8]),
        ("F5-LTM-User-Role = Guest", &[0, 0, 0x0d, 0x2f, 1, 6, 0, 0, 2, 0xbc]),
        ("CP-Gaia-User-Role = x", &[0, 0, 0x0a, 0x3c, 229, 3, b'x']),
        ("Ruckus-User-Groups = x", &[0, 0, 0x61, 0xdd, 1, 3, b'x']),
        ("Meraki-Device-Name = x", &[0, 0, 0x73, 0xe7, 1, 3, b'x']),
        ("Huawei-Exec-Privilege = 15", &[0, 0, 7, 0xdb, 29, 6, 0, 0, 0, 15]),
        ("MS-Primary-DNS-Server = 192.0.2.1", &[0, 0, 1, 55, 28, 6, 192, 0, 2, 1]),
    ] {
        assert_eq!(good(line), (26, octets.to_vec()), "{line}");
    }
}

const MINE: &str = "
VENDOR   Acme 64000
VENDOR   Wide 64001 format=2,1
VENDOR   Bare 64002 format=4,0
VALUE    Acme-Role Admin 15   # before its attribute
BEGIN-VENDOR Acme
ATTRIBUTE Acme-Role   1 integer
ATTRIBUTE Acme-Tagged 2 string has_tag
ATTRIBUTE Acme-Secret 3 string encrypt=2
ATTRIBUTE Acme-Box    4 tlv
BEGIN-TLV Acme-Box
ATTRIBUTE Acme-Inside 1 string
END-TLV   Acme-Box
ATTRIBUTE Acme-Part   4.2 string
ATTRIBUTE Acme-Size   5 short
ATTRIBUTE Acme-Mac    6 ether
ATTRIBUTE Acme-Net    7 ipv6prefix
ATTRIBUTE Acme-Key    8 octets[3]
ATTRIBUTE Acme-Low    9 signed
ATTRIBUTE Acme-Long  10 integer64
END-VENDOR Acme
ATTRIBUTE Wide-Name 300 string Wide
ATTRIBUTE Bare-Name 70000 string Bare
ATTRIBUTE Own-State 24 octets
$INCLUDE more
$INCLUDE- nowhere
";

fn mine() -> Dictionary {
    let mut dictionary = Dictionary::shipped().clone();
    let more = "VALUE Filter-Id Ignored 1\nVALUE Service-Type Acme-Special 77\n";
    let mut include = |from: &str, named: &str| match named {
        "more" => Ok(Some((format!("{from}/more"), more.to_owned()))),
        _ => Ok(None),
    };
    dictionary.read("mine", MINE, &mut include).unwrap_or_else(|error| panic!("{error}"));
    dictionary
}

#[test]
fn a_file_adds_names_in_the_format_of_freeradius() {
    let mine = mine();
    let encoded =
        |line: &str| mine.parse_reply_attribute(line).unwrap_or_else(|error| panic!("{line}: {error}")).1.value;
    assert_eq!(encoded("Acme-Role = Admin"), [0, 0, 0xfa, 0, 1, 6, 0, 0, 0, 15]);
    assert_eq!(encoded("Acme-Tagged:3 = x"), [0, 0, 0xfa, 0, 2, 4, 3, b'x']);
    assert_eq!(encoded("Acme-Size = 258"), [0, 0, 0xfa, 0, 5, 4, 1, 2]);
    assert_eq!(encoded("Acme-Mac = 00:11:22:33:44:ff"), [0, 0, 0xfa, 0, 6, 8, 0, 0x11, 0x22, 0x33, 0x44, 0xff]);
    assert_eq!(encoded("Acme-Net = 2001:db8::/32")[6..12], [0, 32, 0x20, 1, 0x0d, 0xb8]);
    assert_eq!(encoded("Acme-Key = 0x010203"), [0, 0, 0xfa, 0, 8, 5, 1, 2, 3]);
    assert_eq!(encoded("Acme-Low = -1"), [0, 0, 0xfa, 0, 9, 6, 255, 255, 255, 255]);
    assert_eq!(encoded("Acme-Long = 1")[6..], [0, 0, 0, 0, 0, 0, 0, 1]);
    assert_eq!(encoded("Wide-Name = x"), [0, 0, 0xfa, 1, 1, 44, 4, b'x'], "2 octets of number, the length counts all");
    assert_eq!(encoded("Bare-Name = x"), [0, 0, 0xfa, 2, 0, 1, 0x11, 0x70, b'x'], "no length");
    assert_eq!(encoded("Service-Type = Acme-Special"), [0, 0, 0, 77], "a name for a value of what ships");
    for line in [
        "Acme-Size = 65536",
        "Acme-Mac = 00:11:22:33:44",
        "Acme-Mac = 000:1:2:3:4:5",
        "Acme-Net = 2001:db8::1/32",
        "Acme-Net = ::/129",
        "Acme-Key = 0x01",
        "Acme-Key = abc",
    ] {
        assert!(matches!(mine.parse_reply_attribute(line), Err(DictionaryError::WrongValue { .. })), "{line}");
    }
    for name in ["Acme-Secret", "Acme-Box", "Acme-Inside", "Acme-Part", "Own-State"] {
        let error = mine.writable(name).unwrap_err();
        assert!(matches!(error, DictionaryError::Refused { .. }), "{name}: {error}");
    }
    assert!(mine.attribute_place("Wide-Name").is_err() && mine.attribute_place("Acme-Role").is_ok());
    let longest = |name: &str| mine.writable(name).unwrap().longest();
    assert_eq!((longest("Acme-Tagged:1"), longest("Wide-Name"), longest("Filter-Id")), (246, 246, 253));
}

#[test]
fn what_a_file_has_wrong_is_named_with_its_line() {
    for (text, line, what) in [
        ("\nATRIBUTE X 1 string", 2, "\"ATRIBUTE\" is not known; known are ATTRIBUTE"),
        ("ATTRIBUTE X 1", 1, "ATTRIBUTE Name Number Type"),
        ("ATTRIBUTE X one string", 1, "\"one\" is no attribute's number"),
        ("ATTRIBUTE X 1 sting", 1, "the type \"sting\" is not known"),
        ("ATTRIBUTE X 1 string has_tags", 1, "\"has_tags\" is not known"),
        ("ATTRIBUTE X 1 octets[0]", 1, "the type"),
        ("ATTRIBUTE X\u{e9} 1 string", 1, "is no name"),
        ("ATTRIBUTE X 99999999999 string", 1, "too large"),
        ("VALUE Nothing Such 1", 1, "no ATTRIBUTE is called that"),
        ("VALUE Service-Type Such x", 1, "\"x\" is no number"),
        ("VENDOR V x", 1, "is no vendor's number"),
        ("VENDOR V 1 format=3,1", 1, "format=1,1"),
        ("BEGIN-VENDOR Nobody", 1, "no VENDOR"),
        ("END-VENDOR Cisco", 1, "without its beginning"),
        ("END-TLV X", 1, "without its beginning"),
        ("BEGIN-VENDOR Cisco\nBEGIN-VENDOR Cisco", 2, "within"),
        ("BEGIN-VENDOR Cisco\n", 1, "ends within"),
        ("BEGIN-VENDOR Cisco sometimes", 1, "not known here"),
        ("$INCLUDE", 1, "too few"),
        ("$INCLUDE nowhere", 1, "there is no file \"nowhere\""),
        ("$INCLUDE itself", 1, "files within files"),
        ("$INCLUDE broken", 1, "cannot be read"),
    ] {
        let mut dictionary = Dictionary::shipped().clone();
        let mut include = |_: &str, named: &str| match named {
            "itself" => Ok(Some(("itself".to_owned(), "$INCLUDE itself".to_owned()))),
            "broken" => Err("cannot be read".to_owned()),
            _ => Ok(None),
        };
        let error = dictionary.read("f", text, &mut include).expect_err(text);
        assert_eq!(error.line, line, "{text}: {error}");
        assert!(error.what.contains(what), "{text}: {error}");
    }
}

#[test]
fn values_are_shown_as_people_read_them() {
    for (line, shown) in [
        ("Filter-Id = staff", "Filter-Id = \"staff\""),
        ("Tunnel-Private-Group-Id:1 = 42", "Tunnel-Private-Group-Id:1 = \"42\""),
        ("Tunnel-Type:1 = VLAN", "Tunnel-Type:1 = 13 (VLAN)"),
        ("Tunnel-Type = VLAN", "Tunnel-Type = 13 (VLAN)"),
        ("Session-Timeout = 60", "Session-Timeout = 60"),
        ("Service-Type = Framed-User", "Service-Type = 2 (Framed-User)"),
        ("Framed-IP-Address = 192.0.2.7", "Framed-IP-Address = 192.0.2.7"),
        ("Class = 0x00ff", "Class = 0x00ff"),
        ("Cisco-AVPair = \"shell:priv-lvl=15\"", "Cisco-AVPair = \"shell:priv-lvl=15\""),
    ] {
        let (writable, encoded) = Dictionary::shipped().parse_reply_attribute(line).unwrap();
        assert_eq!(writable.show(&encoded), shown);
    }
}
