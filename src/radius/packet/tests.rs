use super::*;
use crate::radius::attribute::Attribute;
use crate::radius::testing::{bad_packets, vector};
use proptest::prelude::*;

#[test]
fn rfc2865_7_1_user_telnet() {
    let bytes = vector("rfc2865_7_1_user_telnet_request");
    let packet = Packet::decode(&bytes).unwrap();
    assert_eq!((packet.code(), packet.identifier()), (Code::ACCESS_REQUEST, 0));
    let numbers: Vec<u8> = packet.attributes().map(|attribute| attribute.number).collect();
    assert_eq!(numbers, [1, 2, 4, 5]);
    assert_eq!(packet.value(1), Some(&b"nemo"[..]));
    assert_eq!(packet.value(4), Some(&[192, 168, 1, 16][..]));
    assert_eq!(packet.value(24), None);
}

#[test]
fn octets_beyond_length_are_ignored() {
    let bytes = vector("rfc2865_7_1_user_telnet_request");
    let mut padded = bytes.clone();
    padded.extend_from_slice(&[0xff; 7]);
    assert_eq!(Packet::decode(&padded).unwrap().bytes(), bytes);
}

#[test]
fn the_limits_themselves_are_good() {
    let mut bytes = vec![1, 0, 0, 20];
    bytes.resize(20, 0);
    assert_eq!(Packet::decode(&bytes).unwrap().attributes().count(), 0);
    bytes[2..4].copy_from_slice(&4096u16.to_be_bytes());
    for _ in 0..2038 {
        bytes.extend_from_slice(&[1, 2]);
    }
    assert_eq!(Packet::decode(&bytes).unwrap().attributes().count(), 2038);
}

#[test]
fn debug_shows_no_attribute() {
    let bytes = vector("rfc2865_7_1_user_telnet_request");
    let text = format!("{:?}", Packet::decode(&bytes).unwrap());
    assert_eq!(text, "Packet(Access-Request #0, 56 octets)");
}

#[test]
fn a_builder_never_passes_4096_octets() {
    let mut builder = Builder::new(Code::ACCESS_ACCEPT, 0, &[0; 16], 0);
    assert_eq!(builder.push(1, &[0; 254]), Err(EncodeError::ValueTooLong { have: 254 }));
    while builder.push(1, &[0; 253]).is_ok() {}
    let before = builder.bytes().to_vec();
    assert_eq!(before.len(), 20 + 15 * 255);
    assert_eq!(builder.push_encoded(&[0; 252]), Err(EncodeError::PacketTooLong));
    assert_eq!(builder.bytes(), before);
    builder.push(1, &[0; 249]).unwrap();
    assert_eq!(builder.bytes().len(), MAX_PACKET);
    assert!(Packet::decode(builder.bytes()).is_ok());
}

/// Datagrams of every kind: noise, and packets with a header that is right and attributes that nearly are.
fn datagrams() -> impl Strategy<Value = Vec<u8>> {
    let noise = proptest::collection::vec(any::<u8>(), 0..300);
    let framed = (any::<[u8; 20]>(), proptest::collection::vec((any::<u8>(), 0u8..40), 0..40), -3i32..4).prop_map(
        |(header, attributes, off)| {
            let mut bytes = header.to_vec();
            for (number, size) in attributes {
                bytes.extend_from_slice(&[number, size]);
                bytes.resize(bytes.len() + usize::from(size.saturating_sub(2)), number);
            }
            let length = u16::try_from(i32::try_from(bytes.len()).unwrap() + off).unwrap();
            bytes[2..4].copy_from_slice(&length.to_be_bytes());
            bytes
        },
    );
    prop_oneof![noise, framed]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn the_radius_crate_decodes_the_same_packets(bytes in datagrams()) {
        let ours = Packet::decode(&bytes);
        // The other one demands a code that it knows only for its name, never for decoding.
        let theirs = radius::core::packet::Packet::decode(&bytes, b"secret");
        prop_assert_eq!(ours.is_ok(), theirs.is_ok(), "{:?} {:?}", ours, theirs.err());
        if let (Ok(ours), Ok(theirs)) = (ours, theirs) {
            prop_assert_eq!(ours.identifier(), theirs.get_identifier());
            prop_assert_eq!(&ours.authenticator()[..], &theirs.get_authenticator()[..]);
            for number in 0..=255u8 {
                let values: Vec<&[u8]> = ours.values(number).collect();
                let others: Vec<Vec<u8>> = theirs.lookup_all(number).iter().map(|avp| avp.encode_bytes()).collect();
                prop_assert_eq!(values, others);
            }
        }
    }

    #[test]
    fn attributes_cover_the_packet_and_nothing_else(bytes in datagrams()) {
        if let Ok(packet) = Packet::decode(&bytes) {
            let sum: usize = packet.attributes().map(|attribute| attribute.value.len() + 2).sum();
            prop_assert_eq!(HEADER + sum, packet.bytes().len());
        }
    }

    #[test]
    fn what_was_built_decodes_as_it_was(
        code in any::<u8>(),
        identifier in any::<u8>(),
        authenticator in any::<[u8; 16]>(),
        attributes in proptest::collection::vec((any::<u8>(), proptest::collection::vec(any::<u8>(), 0..=253)), 0..16),
    ) {
        let mut builder = Builder::new(Code(code), identifier, &authenticator, 0);
        for (number, value) in &attributes {
            builder.push(*number, value).unwrap();
        }
        let bytes = builder.into_bytes();
        let packet = Packet::decode(&bytes).unwrap();
        prop_assert_eq!(packet.code(), Code(code));
        prop_assert_eq!(packet.identifier(), identifier);
        prop_assert_eq!(packet.authenticator(), &authenticator);
        let decoded: Vec<(u8, Vec<u8>)> =
            packet.attributes().map(|Attribute { number, value }| (number, value.to_vec())).collect();
        prop_assert_eq!(decoded, attributes);
    }
}

#[test]
fn bad_packets_are_refused_by_the_radius_crate_too() {
    for (name, cause, bytes) in bad_packets() {
        if ["too_short", "bad_length", "truncated", "attribute_too_short", "attribute_overrun"].contains(&cause) {
            assert!(radius::core::packet::Packet::decode(&bytes, b"secret").is_err(), "{name}");
        }
    }
}
