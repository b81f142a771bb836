use super::*;
use crate::config::ReplyAttribute;
use crate::radius::attribute::CALLING_STATION_ID;
use crate::radius::testing::{client, range};

fn at(name: &str, ranges: &[(&str, &str)]) -> Arc<RadiusClient> {
    let addresses = ranges.iter().map(|(first, last)| range(first, last)).collect();
    Arc::new(RadiusClient { addresses, ..client(name) })
}

#[test]
fn the_most_specific_range_wins() {
    let configured = [
        at("all", &[("0.0.0.0", "255.255.255.255")]),
        at("net", &[("192.0.2.0", "192.0.2.255"), ("2001:db8::", "2001:db8::ffff")]),
        at("one", &[("192.0.2.7", "192.0.2.7")]),
        at("few", &[("192.0.2.4", "192.0.2.9")]),
    ];
    let clients = Clients::new(&configured, Instant::now()).unwrap();
    for (address, name) in [
        ("192.0.2.7", Some("one")),
        ("::ffff:192.0.2.7", Some("one")),
        ("192.0.2.8", Some("few")),
        ("192.0.2.10", Some("net")),
        ("198.51.100.1", Some("all")),
        ("2001:db8::1", Some("net")),
        ("2001:db8::1:0", None),
    ] {
        assert_eq!(clients.find(address.parse().unwrap()).map(|known| known.name()), name, "{address}");
    }
    assert_eq!(clients.iter().count(), 4);
}

#[test]
fn replies_that_fit_no_packet_are_a_mistake_of_the_configuration() {
    let attribute = ReplyAttribute { number: 11, value: vec![b'x'; 253] };
    let with = |count: usize| {
        let config = RadiusClient { reply_attributes: vec![attribute.clone(); count], ..client("vpn") };
        Clients::new(&[Arc::new(config)], Instant::now()).err()
    };
    assert_eq!(with(15), None);
    assert_eq!(with(16), Some(ClientError { client: "vpn".into(), error: EncodeError::PacketTooLong }));
    let config = RadiusClient { reject_message: Some("€".repeat(1400)), ..client("vpn") };
    assert!(Clients::new(&[Arc::new(config)], Instant::now()).is_err());
}

#[test]
fn the_persons_address_is_read_from_the_configured_attribute() {
    let place = Some((PersonAddress { vendor: None, number: CALLING_STATION_ID }, AddressForm::Text));
    let known = Known::new(&Arc::new(RadiusClient { person_address: place, ..client("vpn") }), Instant::now()).unwrap();
    for (text, expected) in [("198.51.100.3", Some("198.51.100.3")), ("00-11-22-33-44-55", None)] {
        let mut builder = crate::radius::packet::Builder::new(crate::radius::packet::Code(1), 0, &[0; 16], 0);
        builder.push(CALLING_STATION_ID, text.as_bytes()).unwrap();
        let bytes = builder.into_bytes();
        let found = known.person_address(&Packet::decode(&bytes).unwrap());
        assert_eq!(found, expected.map(|address| address.parse().unwrap()));
    }
}
