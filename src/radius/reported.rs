//! A client's Accounting-Request as a target is to have it, now or after the target was away (RFC 2866). Pure.
//!
//! The client has been acknowledged before, so that its Proxy-States concern nobody behind. Acct-Delay-Time grows by what
//! the record has waited with us (RFC 2866 section 5.2); where nothing says whose it is, the client's address does.

use std::net::IpAddr;
use std::time::Duration;

use super::attribute::{
    self, Attributes, CHAP_PASSWORD, MESSAGE_AUTHENTICATOR, NAS_IDENTIFIER, NAS_IP_ADDRESS, NAS_IPV6_ADDRESS,
    PROXY_STATE, USER_PASSWORD,
};
use super::authenticator::{ClientKey, sign_accounting};
use super::client::RequestError;
use super::packet::{Builder, Code, Packet};

/// Acct-Delay-Time (RFC 2866 section 5.2).
const ACCT_DELAY_TIME: u8 = 41;

/// Octets of attributes that a packet has room for (RFC 2865 section 3).
const ROOM: usize = 4096 - 20;

/// The attributes of a verified request that go on, encoded. `source`: where it came from.
pub fn attributes(packet: &Packet<'_>, source: IpAddr) -> Box<[u8]> {
    let goes_on = |number| !matches!(number, MESSAGE_AUTHENTICATOR | PROXY_STATE | USER_PASSWORD | CHAP_PASSWORD);
    let reported = || packet.attributes().filter(|attribute| goes_on(attribute.number));
    let mut kept = Vec::with_capacity(packet.bytes().len() + 18);
    let named = [NAS_IDENTIFIER, NAS_IP_ADDRESS, NAS_IPV6_ADDRESS];
    if !named.iter().any(|number| packet.value(*number).is_some()) {
        match source.to_canonical() {
            IpAddr::V4(address) => attribute::push(&mut kept, NAS_IP_ADDRESS, &address.octets()),
            IpAddr::V6(address) => attribute::push(&mut kept, NAS_IPV6_ADDRESS, &address.octets()),
        }
        // A record that has no room for it goes on without.
        if kept.len() + reported().map(|attribute| attribute.value.len() + 2).sum::<usize>() > ROOM {
            kept.clear();
        }
    }
    for attribute in reported() {
        attribute::push(&mut kept, attribute.number, attribute.value);
    }
    kept.into_boxed_slice()
}

/// The packet for the target, after the record has `waited` here.
///
/// # Errors
/// [`RequestError`] when it does not fit.
pub fn encode(attributes: &[u8], waited: Duration, identifier: u8, key: &ClientKey) -> Result<Vec<u8>, RequestError> {
    let mut packet = Builder::new(Code::ACCOUNTING_REQUEST, identifier, &[0; 16], attributes.len() + 6);
    let mut delay = u32::try_from(waited.as_secs()).unwrap_or(u32::MAX);
    for attribute in Attributes::new(attributes) {
        match <[u8; 4]>::try_from(attribute.value) {
            Ok(octets) if attribute.number == ACCT_DELAY_TIME => {
                delay = delay.saturating_add(u32::from_be_bytes(octets));
            }
            _ => packet.push(attribute.number, attribute.value)?,
        }
    }
    // A record that has no room for it goes on without: RFC 2866 section 5.13 allows to leave it out.
    let _ = packet.push(ACCT_DELAY_TIME, &delay.to_be_bytes());
    let mut bytes = packet.into_bytes();
    sign_accounting(&mut bytes, key);
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::radius::authenticator::Verified;
    use crate::radius::testing::key;

    fn request(attributes: &[(u8, &[u8])]) -> Vec<u8> {
        let mut packet = Builder::new(Code::ACCOUNTING_REQUEST, 1, &[0; 16], 0);
        attributes.iter().for_each(|(number, value)| packet.push(*number, value).unwrap());
        packet.into_bytes()
    }

    fn forwarded(asked: &[(u8, &[u8])], waited: u64) -> Vec<(u8, Vec<u8>)> {
        let asked = request(asked);
        let kept = attributes(&Packet::decode(&asked).unwrap(), "192.0.2.9".parse().unwrap());
        let bytes = encode(&kept, Duration::from_secs(waited), 7, &key()).unwrap();
        let verified = Verified::accounting(Packet::decode(&bytes).unwrap(), &key()).unwrap().packet().identifier();
        assert_eq!(verified, 7);
        let packet = Packet::decode(&bytes).unwrap();
        packet.attributes().map(|attribute| (attribute.number, attribute.value.to_vec())).collect()
    }

    #[test]
    fn what_a_client_reports_goes_on_with_the_time_that_it_waited() {
        let asked: [(u8, &[u8]); 6] = [
            (NAS_IDENTIFIER, b"nas"),
            (PROXY_STATE, b"theirs"),
            (41, &[0, 0, 0, 5]),
            (44, b"session"),
            (MESSAGE_AUTHENTICATOR, &[7; 16]),
            (26, &[0, 0, 0, 9, 1, 3, 7]),
        ];
        let expected = [
            (NAS_IDENTIFIER, b"nas".to_vec()),
            (44, b"session".to_vec()),
            (26, vec![0, 0, 0, 9, 1, 3, 7]),
            (41, vec![0, 0, 0, 65]),
        ];
        assert_eq!(forwarded(&asked, 60), expected);
    }

    #[test]
    fn a_record_of_any_size_goes_on() {
        let large = [7; 253];
        for filling in 0..=26 {
            // 15 times 255 octets and more, up to 4096 with the header.
            let mut asked: Vec<(u8, &[u8])> = vec![(224, &large); 15];
            asked.push((224, &large[..221]));
            asked.push((224, &large[..filling]));
            let packet = request(&asked);
            let forwarded = forwarded(&asked, 60);
            let all = forwarded.iter().filter(|(number, _)| *number == 224).count();
            assert_eq!(all, 17, "{} octets", packet.len());
            assert_eq!(forwarded.iter().any(|(number, _)| *number == ACCT_DELAY_TIME), packet.len() <= 4084);
            assert_eq!(forwarded.iter().any(|(number, _)| *number == NAS_IP_ADDRESS), packet.len() <= 4090);
        }
    }

    #[test]
    fn who_does_not_say_who_it_is_is_its_address() {
        assert_eq!(
            forwarded(&[(44, b"s")], 0),
            [(NAS_IP_ADDRESS, vec![192, 0, 2, 9]), (44, b"s".to_vec()), (41, vec![0; 4])]
        );
    }
}
