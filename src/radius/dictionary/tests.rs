use super::*;

fn good(line: &str) -> (u8, Vec<u8>) {
    let attribute = parse_reply_attribute(line).unwrap_or_else(|error| panic!("{line}: {error}"));
    (attribute.number, attribute.value)
}

fn bad(line: &str) -> String {
    parse_reply_attribute(line).expect_err(line).to_string()
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
        let error = parse_reply_attribute(&format!("{name} = x")).unwrap_err();
        assert!(matches!(error, DictionaryError::Refused { .. }), "{name}: {error}");
    }
}

#[test]
fn errors_say_what_would_be_right() {
    assert_eq!(bad("Filter-Id"), "write it as `Name = value`, such as `Filter-Id = \"staff\"`");
    assert_eq!(bad("Filter-ld = x"), "no attribute is called \"Filter-ld\"; did you mean Filter-Id?");
    assert_eq!(bad("Sesion-Timout = 1"), "no attribute is called \"Sesion-Timout\"; did you mean Session-Timeout?");
    assert_eq!(bad("Xylophone-Volume-Control = 11"), "no attribute is called \"Xylophone-Volume-Control\"");
    assert!(bad("Service-Type = Framed").ends_with("Callback-Administrative)"), "{}", bad("Service-Type = Framed"));
    assert!(bad("Framed-IP-Address = ::1").contains("IPv4"));
    for line in ["Session-Timeout = -1", "Session-Timeout = +1", "Session-Timeout = 4294967296", "Session-Timeout ="] {
        assert!(bad(line).contains("0 to 4294967295"), "{line}");
    }
    for line in ["Class = 0x123", "Class = 0xzz", "Filter-Id = \"open", "Filter-Id = \"a\"b"] {
        assert!(matches!(parse_reply_attribute(line), Err(DictionaryError::WrongValue { .. })), "{line}");
    }
    assert!(bad("Filter-Id = \"\"").contains("1 to 253 octets, not 0"));
    assert!(bad(&format!("Filter-Id = {}", "x".repeat(254))).contains("not 254"));
    assert!(bad(&format!("Cisco-AVPair = {}", "x".repeat(248))).contains("1 to 247"));
    assert_eq!(good(&format!("Cisco-AVPair = {}", "x".repeat(247))).1.len(), 253);
}

#[test]
fn the_persons_address_comes_from_attributes_that_hold_one() {
    let place = |name| person_address_attribute(name).unwrap();
    let form = |name| address_form(place(name));
    assert_eq!(place("Calling-Station-Id"), PersonAddress { vendor: None, number: 31 });
    assert_eq!(form("Calling-Station-Id"), AddressForm::Text);
    assert_eq!(form("Tunnel-Client-Endpoint"), AddressForm::TaggedText);
    assert_eq!(form("Framed-IP-Address"), AddressForm::Binary);
    assert_eq!(place("Fortinet-Client-IP-Address"), PersonAddress { vendor: Some(12356), number: 2 });
    assert!(person_address_attribute("NAS-IP-Address").is_err(), "the client's address is not the person's");
    assert!(person_address_attribute("Filter-Id").is_err());
    assert!(person_address_attribute("Calling-Station").unwrap_err().to_string().contains("Calling-Station-Id"));
}

#[test]
fn no_name_and_no_number_is_in_the_table_twice() {
    for (at, named) in TABLE.iter().enumerate() {
        for other in &TABLE[at + 1..] {
            assert!(!named.name.eq_ignore_ascii_case(other.name), "{}", named.name);
            assert!((named.vendor, named.number) != (other.vendor, other.number), "{} {}", named.name, other.name);
        }
    }
}
