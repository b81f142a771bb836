//! What is recognised as a gateway's request, and what it is told.

use super::*;
use crate::config::gateway::MAX_SETTINGS;
use crate::radius::attribute::{Attributes, USER_NAME};
use crate::radius::attribute::{CHAP_PASSWORD, EAP_MESSAGE, USER_PASSWORD};
use crate::radius::packet::{Builder, Code};

fn packet(attributes: &[(u8, Vec<u8>)]) -> Vec<u8> {
    let mut builder = Builder::new(Code::ACCESS_REQUEST, 1, &[7; 16], 0);
    builder.push(USER_NAME, b"CORP\\alice").unwrap();
    attributes.iter().for_each(|(number, value)| builder.push(*number, value).unwrap());
    builder.into_bytes()
}

fn microsoft(number: u8, value: &[u8]) -> (u8, Vec<u8>) {
    (VENDOR_SPECIFIC, join_vendor(MICROSOFT, number, value).unwrap())
}

fn called(text: &str) -> (u8, Vec<u8>) {
    (CALLED_STATION_ID, text.as_bytes().to_vec())
}

fn read(attributes: &[(u8, Vec<u8>)]) -> Result<Box<Connection>, Unusable> {
    connection(&Packet::decode(&packet(attributes)).unwrap())
}

#[test]
fn a_gateway_is_known_by_its_attributes() {
    let kind = microsoft(SERVER_TYPE, &[0, 0, 0, 1]);
    let machine = microsoft(MACHINE_NAME, b"PC-0815");
    let found = read(&[called("UserAuthType:PW"), kind.clone(), machine]).unwrap();
    assert_eq!(found.authentication, Some(Authentication::Password));
    assert_eq!(found.computer.as_deref(), Some("PC-0815"));
    assert_eq!(read(&[called("UserAuthType:CA")]).unwrap().authentication, Some(Authentication::SmartCard));
    assert_eq!(read(&[called("UserAuthType:Cookie")]).unwrap().authentication, None);
    let only_kind = read(&[kind]).unwrap();
    assert_eq!((only_kind.authentication, only_kind.computer.clone()), (None, None));
    assert!(read(&[microsoft(9, b"TSGATEWAY")]).is_ok());
}

#[test]
fn anything_else_without_a_password_is_no_gateway() {
    for attributes in [
        vec![],
        vec![called("00-11-22-33-44-55:wifi")],
        vec![microsoft(MACHINE_NAME, b"PC-0815")],
        vec![microsoft(9, b"XTSGATEWAY")],
        // A remote access server, whatever else it says.
        vec![microsoft(SERVER_TYPE, &[0, 0, 0, 2]), called("UserAuthType:PW")],
        vec![microsoft(SERVER_TYPE, &[1]), called("UserAuthType:PW")],
    ] {
        assert_eq!(read(&attributes).err(), Some(Unusable::NoPassword), "{attributes:?}");
    }
}

#[test]
fn a_credential_is_never_passed_over() {
    for credential in [
        (USER_PASSWORD, vec![1; 16]),
        (CHAP_PASSWORD, vec![1; 17]),
        (EAP_MESSAGE, vec![2, 0, 0, 4]),
        microsoft(1, &[1; 50]),
        microsoft(25, &[1; 50]),
        microsoft(27, &[1; 66]),
    ] {
        assert_eq!(read(&[called("UserAuthType:PW"), credential]).err(), Some(Unusable::UnwantedPassword));
    }
}

#[test]
fn a_machine_name_that_is_none_is_no_name() {
    for name in [&b""[..], b" ", b"\0\0", b"PC\x07", b"\xff\xfe"] {
        let found = read(&[called("UserAuthType:PW"), microsoft(MACHINE_NAME, name)]).unwrap();
        assert_eq!(found.computer, None, "{name:?}");
    }
    let found = read(&[called("UserAuthType:PW"), microsoft(MACHINE_NAME, b"PC-0815\0")]).unwrap();
    assert_eq!(found.computer.as_deref(), Some("PC-0815"));
}

#[test]
fn settings_are_as_microsoft_numbers_them() {
    use Device::{Clipboard, Drives, Printers};
    assert_eq!(redirection(&Device::ALL), 0x4000_0000);
    assert_eq!(redirection(&[]), 0x2000_0000);
    assert_eq!(redirection(&[Clipboard]), 0b1_0111);
    assert_eq!(redirection(&[Drives, Printers, Clipboard]), 0b1_0100);
    let (idle, session) = (Some(Duration::from_secs(3600)), Some(Duration::from_secs(28_800)));
    let encoded = settings(Some(&[Clipboard]), idle, session);
    let expected = [26, 12, 0, 0, 1, 0x37, 63, 6, 0, 0, 0, 0x17, 28, 6, 0, 0, 0x0e, 0x10, 27, 6, 0, 0, 0x70, 0x80];
    assert_eq!(encoded, expected);
    assert_eq!(encoded.len(), MAX_SETTINGS);
    assert_eq!(Attributes::new(&encoded).count(), 3);
    assert!(settings(None, None, None).is_empty());
}
