//! EAP within RADIUS (RFC 3579), as far as it must be understood to be passed on: is it whole, what is it an answer to, and
//! how is it refused. What is in it is between the person's device and the target. Pure.

use super::attribute::{EAP_MESSAGE, USER_NAME};
use super::packet::Packet;

/// Octets of an EAP packet's header (RFC 3748 section 4).
const HEADER: usize = 4;

/// A Response (RFC 3748 section 4.1).
const RESPONSE: u8 = 2;

/// A Failure (RFC 3748 section 4.2).
const FAILURE: u8 = 4;

/// The Identity type (RFC 3748 section 5.1).
const IDENTITY: u8 = 1;

/// What a request's EAP-Message attributes are not: one whole EAP packet that a device could have sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Broken;

/// The EAP packet of a request.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub enum Eap {
    /// There is none.
    #[default]
    None,
    /// EAP-Start: the authentication server is to ask who it is (RFC 3579 section 2.1).
    Start,
    /// A Response under this identifier.
    Response(u8),
}

impl Eap {
    /// Reads what a request brings: its fragments stand together and in order, they are as long as the packet says,
    /// and an Identity is the request's User-Name (RFC 3579 section 2.1), so that all who read the packet speak of one name.
    ///
    /// # Errors
    /// [`Broken`].
    pub fn read(packet: &Packet<'_>) -> Result<Eap, Broken> {
        let mut attributes = packet.attributes().skip_while(|attribute| attribute.number != EAP_MESSAGE).peekable();
        if attributes.peek().is_none() {
            return Ok(Eap::None);
        }
        let mut whole = Vec::new();
        while let Some(fragment) = attributes.next_if(|attribute| attribute.number == EAP_MESSAGE) {
            whole.extend_from_slice(fragment.value);
        }
        if attributes.any(|attribute| attribute.number == EAP_MESSAGE) {
            return Err(Broken);
        }
        if whole.is_empty() {
            return Ok(Eap::Start);
        }
        let (&[code, identifier, high, low], data) = whole.split_first_chunk::<HEADER>().ok_or(Broken)?;
        if code != RESPONSE || usize::from(u16::from_be_bytes([high, low])) != whole.len() {
            return Err(Broken);
        }
        // Options may follow the name behind a zero octet (RFC 4284).
        let identity = data.split_first().filter(|(kind, _)| **kind == IDENTITY).map(|(_, name)| name);
        let identity = identity.map(|name| name.split(|octet| *octet == 0).next().unwrap_or_default());
        match identity {
            Some(name) if packet.value(USER_NAME) != Some(name) => Err(Broken),
            _ => Ok(Eap::Response(identifier)),
        }
    }

    /// The EAP-Failure that a refusal of this request must hold (RFC 3579 section 2.6.3), as an attribute: without it
    /// the person's device goes on waiting.
    pub fn failure(self) -> Option<[u8; 6]> {
        match self {
            Eap::None => None,
            Eap::Start => Some([EAP_MESSAGE, 6, FAILURE, 0, 0, 4]),
            // It has the identifier of what it answers (RFC 3748 section 4.2).
            Eap::Response(identifier) => Some([EAP_MESSAGE, 6, FAILURE, identifier, 0, 4]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::attribute::STATE;
    use super::super::packet::{Builder, Code};
    use super::*;
    use proptest::prelude::*;

    fn read(attributes: &[(u8, &[u8])]) -> Result<Eap, Broken> {
        let mut packet = Builder::new(Code::ACCESS_REQUEST, 1, &[0; 16], 0);
        for (number, value) in attributes {
            packet.push(*number, value).unwrap();
        }
        let bytes = packet.into_bytes();
        Eap::read(&Packet::decode(&bytes).unwrap())
    }

    fn whole(length: u16) -> Vec<u8> {
        let mut whole = vec![RESPONSE, 7, 0, 0, 25];
        whole.resize(usize::from(length), 9);
        whole[2..4].copy_from_slice(&length.to_be_bytes());
        whole
    }

    #[test]
    fn a_packet_in_fragments_is_one() {
        let whole = whole(600);
        let (first, rest) = whole.split_at(253);
        let (second, third) = rest.split_at(253);
        let parts = [(EAP_MESSAGE, first), (EAP_MESSAGE, second), (EAP_MESSAGE, third)];
        assert_eq!(read(&parts), Ok(Eap::Response(7)));
        assert_eq!(read(&[(STATE, b"s")]), Ok(Eap::None));
        assert_eq!(read(&[(EAP_MESSAGE, b"")]), Ok(Eap::Start));
        let apart = [(EAP_MESSAGE, first), (EAP_MESSAGE, second), (STATE, b"s"), (EAP_MESSAGE, third)];
        assert_eq!(read(&apart), Err(Broken), "fragments stand together");
        assert_eq!(read(&[parts[1], parts[0], parts[2]]), Err(Broken), "and in order");
        assert_eq!(read(&parts[..2]), Err(Broken), "all of them");
        assert_eq!(read(&[parts[0], parts[1], parts[2], parts[2]]), Err(Broken), "none twice");
    }

    #[test]
    fn only_a_response_comes_from_a_device() {
        assert_eq!(read(&[(EAP_MESSAGE, &[1, 7, 0, 5, 4])]), Err(Broken));
        assert_eq!(read(&[(EAP_MESSAGE, &[3, 7, 0, 4])]), Err(Broken));
        assert_eq!(read(&[(EAP_MESSAGE, &[2, 7, 0])]), Err(Broken));
    }

    #[test]
    fn an_identity_is_the_requests_name() {
        let identity = |name: &[u8]| {
            let mut packet = vec![RESPONSE, 1, 0, u8::try_from(5 + name.len()).unwrap(), IDENTITY];
            packet.extend_from_slice(name);
            packet
        };
        let named = |name: &[u8]| read(&[(USER_NAME, b"alice"), (EAP_MESSAGE, &identity(name))]);
        assert_eq!(named(b"alice"), Ok(Eap::Response(1)));
        assert_eq!(named(b"alice\0nasid=x"), Ok(Eap::Response(1)));
        assert_eq!(named(b"mallory"), Err(Broken));
        assert_eq!(read(&[(EAP_MESSAGE, &identity(b"alice"))]), Err(Broken));
    }

    #[test]
    fn a_failure_answers_what_was_sent() {
        assert_eq!(Eap::Response(7).failure(), Some([79, 6, 4, 7, 0, 4]));
        assert_eq!(Eap::None.failure(), None);
    }

    proptest! {
        #[test]
        fn nothing_breaks_it(values in proptest::collection::vec((77_u8..=80, proptest::collection::vec(any::<u8>(), 0..60)), 0..6)) {
            let values: Vec<(u8, &[u8])> = values.iter().map(|(number, value)| (*number, value.as_slice())).collect();
            let _ = read(&values);
        }
    }
}
