//! Attributes in their order, the numbers in use, and vendors' attributes (RFC 2865 section 5).
//!
//! The `radius` crate keeps the numbers; its own attribute list hides their order, so the list is ours.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::packet::{EncodeError, MAX_VALUE, Packet};

pub use radius::core::rfc2865::{
    CALLED_STATION_ID_TYPE as CALLED_STATION_ID, CALLING_STATION_ID_TYPE as CALLING_STATION_ID,
    CHAP_CHALLENGE_TYPE as CHAP_CHALLENGE, CHAP_PASSWORD_TYPE as CHAP_PASSWORD, CLASS_TYPE as CLASS,
    FRAMED_IP_ADDRESS_TYPE as FRAMED_IP_ADDRESS, IDLE_TIMEOUT_TYPE as IDLE_TIMEOUT,
    NAS_IDENTIFIER_TYPE as NAS_IDENTIFIER, NAS_IP_ADDRESS_TYPE as NAS_IP_ADDRESS, NAS_PORT_TYPE as NAS_PORT,
    PROXY_STATE_TYPE as PROXY_STATE, REPLY_MESSAGE_TYPE as REPLY_MESSAGE, SERVICE_TYPE_TYPE as SERVICE_TYPE,
    SESSION_TIMEOUT_TYPE as SESSION_TIMEOUT, STATE_TYPE as STATE, USER_NAME_TYPE as USER_NAME,
    USER_PASSWORD_TYPE as USER_PASSWORD, VENDOR_SPECIFIC_TYPE as VENDOR_SPECIFIC,
};
pub use radius::core::rfc2866::{
    ACCT_INPUT_OCTETS_TYPE as ACCT_INPUT_OCTETS, ACCT_OUTPUT_OCTETS_TYPE as ACCT_OUTPUT_OCTETS,
    ACCT_SESSION_ID_TYPE as ACCT_SESSION_ID, ACCT_SESSION_TIME_TYPE as ACCT_SESSION_TIME,
    ACCT_STATUS_TYPE_TYPE as ACCT_STATUS_TYPE,
};
pub use radius::core::rfc2868::{
    TUNNEL_CLIENT_ENDPOINT_TYPE as TUNNEL_CLIENT_ENDPOINT, TUNNEL_PASSWORD_TYPE as TUNNEL_PASSWORD,
    TUNNEL_SERVER_ENDPOINT_TYPE as TUNNEL_SERVER_ENDPOINT,
};
pub use radius::core::rfc2869::{
    ACCT_INPUT_GIGAWORDS_TYPE as ACCT_INPUT_GIGAWORDS, ACCT_OUTPUT_GIGAWORDS_TYPE as ACCT_OUTPUT_GIGAWORDS,
    EAP_MESSAGE_TYPE as EAP_MESSAGE, EVENT_TIMESTAMP_TYPE as EVENT_TIMESTAMP,
    MESSAGE_AUTHENTICATOR_TYPE as MESSAGE_AUTHENTICATOR, PROMPT_TYPE as PROMPT,
};
pub use radius::core::rfc3162::NAS_IPV6_ADDRESS_TYPE as NAS_IPV6_ADDRESS;
pub use radius::core::rfc3576::ERROR_CAUSE_TYPE as ERROR_CAUSE;

/// One attribute of a packet.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Attribute<'a> {
    /// Its number (RFC 2865 section 5, "Type").
    pub number: u8,
    /// Its value, 0 to 253 octets.
    pub value: &'a [u8],
}

/// The attributes of a checked packet, in order.
#[derive(Clone)]
pub struct Attributes<'a> {
    rest: &'a [u8],
}

impl<'a> Attributes<'a> {
    /// Over encoded attributes. Ends early where they break their bounds, which
    /// [`Packet::decode`] has ruled out for packets.
    pub fn new(encoded: &'a [u8]) -> Self {
        Attributes { rest: encoded }
    }

    /// Octets that have not been walked over yet.
    pub fn remaining(&self) -> usize {
        self.rest.len()
    }
}

impl<'a> Iterator for Attributes<'a> {
    type Item = Attribute<'a>;

    fn next(&mut self) -> Option<Attribute<'a>> {
        let (&[number, size], _) = self.rest.split_first_chunk::<2>()?;
        let (attribute, rest) = self.rest.split_at_checked(usize::from(size))?;
        let value = attribute.get(2..)?;
        self.rest = rest;
        Some(Attribute { number, value })
    }
}

/// Adds an attribute to encoded ones. A value of more than 253 octets is left out: none that was read from a packet is as
/// long, and what we make ourselves is checked where it is made.
pub fn push(encoded: &mut Vec<u8>, number: u8, value: &[u8]) {
    if let Ok(size) = u8::try_from(value.len() + 2) {
        encoded.extend_from_slice(&[number, size]);
        encoded.extend_from_slice(value);
    }
}

/// The parts of a Vendor-Specific value (RFC 2865 section 5.26): the vendor's number and the vendor's own
/// attributes. Vendors that do not keep to the recommended form yield no attributes, or fewer.
pub fn split_vendor(value: &[u8]) -> Option<(u32, Attributes<'_>)> {
    let (vendor, attributes) = value.split_first_chunk::<4>()?;
    Some((u32::from_be_bytes(*vendor), Attributes::new(attributes)))
}

/// The value of a Vendor-Specific attribute that holds one attribute of a vendor.
///
/// # Errors
/// [`EncodeError::ValueTooLong`] above 247 octets.
pub fn join_vendor(vendor: u32, number: u8, value: &[u8]) -> Result<Vec<u8>, EncodeError> {
    let have = value.len();
    let size =
        u8::try_from(have + 2).ok().filter(|_| have + 6 <= MAX_VALUE).ok_or(EncodeError::ValueTooLong { have })?;
    let mut joined = Vec::with_capacity(have + 6);
    joined.extend_from_slice(&vendor.to_be_bytes());
    joined.extend_from_slice(&[number, size]);
    joined.extend_from_slice(value);
    Ok(joined)
}

/// The value of a vendor's first attribute with this number.
pub fn vendor_value<'a>(packet: &Packet<'a>, vendor: u32, number: u8) -> Option<&'a [u8]> {
    packet
        .values(VENDOR_SPECIFIC)
        .filter_map(split_vendor)
        .filter(|(found, _)| *found == vendor)
        .flat_map(|(_, attributes)| attributes)
        .find(|attribute| attribute.number == number)
        .map(|attribute| attribute.value)
}

/// How an address is written in an attribute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AddressForm {
    /// As text, and nothing else beside it.
    Text,
    /// As text after an optional tag octet (RFC 2868 section 3.3).
    TaggedText,
    /// As 4 or 16 octets.
    Binary,
}

impl AddressForm {
    /// Reads an address, or nothing where the value holds anything else.
    pub fn read(self, value: &[u8]) -> Option<IpAddr> {
        match self {
            AddressForm::Text => std::str::from_utf8(value).ok()?.parse().ok(),
            AddressForm::TaggedText => match value.split_first() {
                Some((0..=0x1f, text)) => AddressForm::Text.read(text),
                _ => AddressForm::Text.read(value),
            },
            AddressForm::Binary => {
                if let Ok(octets) = <[u8; 4]>::try_from(value) {
                    return Some(IpAddr::V4(Ipv4Addr::from(octets)));
                }
                let octets = <[u8; 16]>::try_from(value).ok()?;
                Some(IpAddr::V6(Ipv6Addr::from(octets)).to_canonical())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_with_other_text_around_it_is_refused() {
        for (text, good) in [("192.0.2.7", true), ("2001:db8::7", true)] {
            assert_eq!(AddressForm::Text.read(text.as_bytes()).is_some(), good, "{text}");
        }
        for text in ["", "192.0.2.7:4500", " 192.0.2.7", "192.0.2.7 ", "ip 192.0.2.7", "00-11-22-33-44-55", "192.0.2"] {
            assert_eq!(AddressForm::Text.read(text.as_bytes()), None, "{text:?}");
        }
        assert_eq!(AddressForm::Text.read(&[0xff; 9]), None);
    }

    #[test]
    fn a_tag_octet_before_a_tunnel_endpoint_is_skipped() {
        let expected = Some("198.51.100.9".parse().unwrap());
        assert_eq!(AddressForm::TaggedText.read(b"\x01198.51.100.9"), expected);
        assert_eq!(AddressForm::TaggedText.read(b"198.51.100.9"), expected);
        assert_eq!(AddressForm::TaggedText.read(b"\x20198.51.100.9"), None);
    }

    #[test]
    fn binary_addresses_have_4_or_16_octets() {
        assert_eq!(AddressForm::Binary.read(&[192, 0, 2, 7]), Some("192.0.2.7".parse().unwrap()));
        let mapped = "::ffff:192.0.2.7".parse::<Ipv6Addr>().unwrap().octets();
        assert_eq!(AddressForm::Binary.read(&mapped), Some("192.0.2.7".parse().unwrap()));
        assert_eq!(AddressForm::Binary.read(&[192, 0, 2]), None);
        assert_eq!(AddressForm::Binary.read(&[0; 8]), None);
    }

    #[test]
    fn vendor_attributes_split_as_they_were_joined() {
        let value = join_vendor(311, 11, b"challenge").unwrap();
        let (vendor, mut attributes) = split_vendor(&value).unwrap();
        assert_eq!(vendor, 311);
        assert!(attributes.next() == Some(Attribute { number: 11, value: b"challenge" }));
        assert!(attributes.next().is_none());
        assert_eq!(join_vendor(311, 1, &[0; 247]).unwrap().len(), MAX_VALUE);
        assert_eq!(join_vendor(311, 1, &[0; 248]), Err(EncodeError::ValueTooLong { have: 248 }));
    }

    #[test]
    fn broken_vendor_lengths_end_the_list() {
        assert!(split_vendor(b"\0\0\x01").is_none());
        for broken in
            [&b"\0\0\x01\x37\x0b"[..], b"\0\0\x01\x37\x0b\x00", b"\0\0\x01\x37\x0b\x01", b"\0\0\x01\x37\x0b\x09x"]
        {
            let (vendor, attributes) = split_vendor(broken).unwrap();
            assert_eq!((vendor, attributes.count()), (311, 0), "{broken:?}");
        }
    }
}
