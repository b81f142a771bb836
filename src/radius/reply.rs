//! Replies: what a client's Accept and Reject hold, encoded once; and a reply put together and signed.
//!
//! The order is: Message-Authenticator first (against CVE-2024-3596), the client's attributes, then the
//! request's Proxy-States unchanged and in their order (RFC 2865 section 5.33).
//!
//! An Access-Challenge has the text, the State and nothing of the client's, in between.
//!
//! [`verdict`] is the one maker of an answer to an Access-Request, and only [`Outcome::Accept`] makes an
//! Access-Accept there. Every Reject to a client has the same attributes, whatever the reason; only where the client's
//! section has `show_texts`, a Reply-Message before them holds what the person is to read.

use std::borrow::Cow;

use super::attribute::{MESSAGE_AUTHENTICATOR, PROMPT, PROXY_STATE, REPLY_MESSAGE, STATE, push};
use super::authenticator::{ClientKey, sign_reply};
use super::duplicates::Reply;
use super::eap::Eap;
use super::mschap;
use super::packet::{Authenticator, Builder, Code, EncodeError, HEADER, MAX_PACKET, MAX_VALUE, Packet};
use super::said::Said;
use crate::config::RadiusClient;
use crate::config::gateway::MAX_SETTINGS;
use crate::signin::challenge::{self, Challenge};
use crate::signin::outcome::{Outcome, Reason};

/// Octets of a Message-Authenticator attribute.
const SIGNATURE: usize = 18;

/// Octets of the attributes of a challenge of ours: text, State, Prompt.
const CHALLENGE: usize = MAX_VALUE + 2 + challenge::STATE + 2 + 6;

/// Prompt: what is typed is not to be shown (RFC 2869 section 5.10).
const NO_ECHO: [u8; 4] = [0; 4];

/// The attributes of a client's replies, already encoded.
#[derive(Debug, Default)]
pub struct Replies {
    accept: Box<[u8]>,
    reject: Box<[u8]>,
    /// Whether texts for the person are shown.
    shows_texts: bool,
    /// Whether the client is sent challenges.
    challenges: bool,
    /// Octets of attributes for the very person, at most.
    own: usize,
}

impl Replies {
    /// Encodes what the configuration says.
    ///
    /// # Errors
    /// [`EncodeError`] when it does not fit into one packet.
    pub fn prepare(client: &RadiusClient) -> Result<Self, EncodeError> {
        let mut accept = Builder::new(Code::ACCESS_ACCEPT, 0, &[0; 16], 0);
        for attribute in &client.reply_attributes {
            accept.push(attribute.number, &attribute.value)?;
        }
        let mut reject = Builder::new(Code::ACCESS_REJECT, 0, &[0; 16], 0);
        let mut text = client.reject_message.as_deref().unwrap_or_default();
        while !text.is_empty() {
            let (part, rest) = text.split_at_checked(text.floor_char_boundary(MAX_VALUE)).unwrap_or((text, ""));
            reject.push(REPLY_MESSAGE, part.as_bytes())?;
            text = rest;
        }
        let attributes = |packet: Builder| packet.bytes().get(HEADER..).unwrap_or_default().into();
        let shows_texts = client.client.shows_texts;
        let challenges = client.client.challenge.is_some();
        let settings = if client.authorize_only { MAX_SETTINGS } else { 0 };
        let own = settings + client.client.reply.as_ref().map_or(0, |reply| reply.room);
        let replies = Replies { accept: attributes(accept), reject: attributes(reject), shows_texts, challenges, own };
        if replies.longest() + HEADER + SIGNATURE > MAX_PACKET {
            return Err(EncodeError::PacketTooLong);
        }
        Ok(replies)
    }

    /// Octets of Proxy-State that every reply has room for.
    pub fn room(&self) -> usize {
        MAX_PACKET - HEADER - SIGNATURE - self.longest()
    }

    fn longest(&self) -> usize {
        let text = if self.shows_texts { MAX_VALUE + 2 } else { 0 } + mschap::LONGEST_REFUSAL;
        let challenge = if self.challenges { CHALLENGE } else { 0 };
        (self.accept.len() + self.own).max(self.reject.len() + text).max(challenge)
    }

    /// An Accept's attributes, with those for this very person behind the others.
    fn accepted(&self, own: &[u8]) -> Cow<'_, [u8]> {
        if own.is_empty() { (&*self.accept).into() } else { [&self.accept, own].concat().into() }
    }

    /// A Reject's attributes, with what the person is to read before the others: some clients show the first only.
    fn explained(&self, text: &str) -> Cow<'_, [u8]> {
        let text = text.get(..text.floor_char_boundary(MAX_VALUE)).unwrap_or_default();
        match u8::try_from(text.len() + 2) {
            Ok(size) if self.shows_texts && !text.is_empty() => {
                let mut attributes = vec![REPLY_MESSAGE, size];
                attributes.extend_from_slice(text.as_bytes());
                attributes.extend_from_slice(&self.reject);
                attributes.into()
            }
            _ => (&*self.reject).into(),
        }
    }
}

/// What of a request its reply needs.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// Its identifier.
    pub identifier: u8,
    /// Its authenticator.
    pub authenticator: &'a Authenticator,
    /// Its Proxy-State attributes, encoded, in order.
    pub proxy_states: &'a [u8],
    /// Its EAP packet.
    pub eap: Eap,
    /// The identifier of its MS-CHAP response, and a challenge that a refusal tells.
    pub ms_chap: Option<(u8, u128)>,
}

impl Asked<'_> {
    /// What a refusal holds: within EAP that, and nothing else (RFC 3579 section 2.6.5); of MS-CHAP its error, too.
    fn refused<'a>(&self, reason: Reason, otherwise: Cow<'a, [u8]>) -> Cow<'a, [u8]> {
        match (self.eap.failure(), self.ms_chap) {
            (Some(failure), _) => failure.to_vec().into(),
            (None, Some((identifier, challenge))) => {
                [&*otherwise, &mschap::refusal(identifier, challenge, reason)].concat().into()
            }
            (None, None) => otherwise,
        }
    }
}

/// The answer to an Access-Request, or nothing where the client shall hear nothing.
///
/// # Errors
/// [`EncodeError::PacketTooLong`] when there is more Proxy-State than [`Replies::room`].
pub fn verdict(
    outcome: &Outcome,
    asked: Asked<'_>,
    replies: &Replies,
    key: &ClientKey,
) -> Result<Option<Reply>, EncodeError> {
    match outcome {
        Outcome::Accept(accept) => {
            let own = replies.accepted(accept.attributes());
            let attributes = (&*own, accept.primary().said());
            encode(Code::ACCESS_ACCEPT, asked, attributes, true, key).map(Some)
        }
        Outcome::Explained { text, reason } => {
            let attributes = asked.refused(*reason, replies.explained(text));
            encode(Code::ACCESS_REJECT, asked, (&attributes, None), true, key).map(Some)
        }
        Outcome::Reject(reason) => {
            let attributes = asked.refused(*reason, (&*replies.reject).into());
            encode(Code::ACCESS_REJECT, asked, (&attributes, None), true, key).map(Some)
        }
        Outcome::Challenge(challenge) => {
            let said = challenge.relayed.as_ref().map(|relayed| &*relayed.said);
            let attributes = (&*challenged(challenge)?, said);
            encode(Code::ACCESS_CHALLENGE, asked, attributes, true, key).map(Some)
        }
        Outcome::Discard(_) => Ok(None),
    }
}

/// The attributes of an Access-Challenge: a text that is longer than one attribute takes several.
fn challenged(challenge: &Challenge) -> Result<Vec<u8>, EncodeError> {
    let mut packet = Builder::new(Code::ACCESS_CHALLENGE, 0, &[0; 16], 0);
    let mut text = &*challenge.text;
    while !text.is_empty() {
        let (part, rest) = text.split_at_checked(text.floor_char_boundary(MAX_VALUE)).unwrap_or((text, ""));
        packet.push(REPLY_MESSAGE, part.as_bytes())?;
        text = rest;
    }
    packet.push(STATE, &challenge.state)?;
    if challenge.hidden {
        packet.push(PROMPT, &NO_ECHO)?;
    }
    Ok(packet.bytes().get(HEADER..).unwrap_or_default().to_vec())
}

/// The answer to Status-Server, which tells that the port is served and nothing about anybody
/// (RFC 5997 section 3): Access-Accept or Accounting-Response, without attributes of the client.
///
/// # Errors
/// [`EncodeError::PacketTooLong`] when there is too much Proxy-State.
pub fn status(accounting: bool, asked: Asked<'_>, key: &ClientKey) -> Result<Reply, EncodeError> {
    let code = if accounting { Code::ACCOUNTING_RESPONSE } else { Code::ACCESS_ACCEPT };
    encode(code, asked, (&[], None), true, key)
}

/// The acknowledgement of an Accounting-Request (RFC 2866 section 4.2).
///
/// # Errors
/// [`EncodeError::PacketTooLong`] when there is too much Proxy-State.
pub fn acknowledgement(asked: Asked<'_>, key: &ClientKey) -> Result<Reply, EncodeError> {
    encode(Code::ACCOUNTING_RESPONSE, asked, (&[], None), false, key)
}

/// `attributes`: the client's own, and what a RADIUS target has said.
fn encode(
    code: Code,
    asked: Asked<'_>,
    (own, said): (&[u8], Option<&Said>),
    signed: bool,
    key: &ClientKey,
) -> Result<Reply, EncodeError> {
    let room = SIGNATURE + own.len() + said.map_or(0, Said::length) + asked.proxy_states.len();
    let mut packet = Builder::new(code, asked.identifier, asked.authenticator, room);
    if signed {
        packet.push(MESSAGE_AUTHENTICATOR, &[0; 16])?;
    }
    packet.push_encoded(own)?;
    if let Some(said) = said {
        said.write(&mut packet, asked.authenticator, key)?;
    }
    packet.push_encoded(asked.proxy_states)?;
    let mut bytes = packet.into_bytes();
    sign_reply(&mut bytes, asked.authenticator, key);
    Ok(Reply::from(bytes))
}

/// The Proxy-State attributes of a packet, encoded, in order. Allocates only where there are any.
pub fn proxy_states(packet: &Packet<'_>) -> Box<[u8]> {
    let mut encoded = Vec::new();
    for value in packet.values(PROXY_STATE) {
        push(&mut encoded, PROXY_STATE, value);
    }
    encoded.into_boxed_slice()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Client, RadiusClient};

    fn replies(shows_texts: bool) -> Replies {
        let client = crate::radius::testing::client("vpn");
        let common = std::sync::Arc::into_inner(client.client).expect("nobody else has it");
        let common = std::sync::Arc::new(Client { shows_texts, ..common });
        let message = Some("Sign-in failed.".to_owned());
        Replies::prepare(&RadiusClient { client: common, reject_message: message, ..client }).expect("fits")
    }

    #[test]
    fn a_text_for_the_person_comes_first_and_only_where_it_is_shown() {
        let general = replies(false).reject;
        let shown = replies(true).explained("Enrol at https://enrol.example/x").into_owned();
        assert_eq!(shown[..2], [REPLY_MESSAGE, 34]);
        assert_eq!(&shown[2..34], b"Enrol at https://enrol.example/x");
        assert_eq!(shown[34..], *general);
        assert_eq!(*replies(false).explained("Enrol at https://enrol.example/x"), *general);
        assert_eq!(*replies(true).explained(""), *general);
        assert_eq!(replies(true).explained(&"é".repeat(300)).len(), 2 + 252 + general.len(), "one attribute");
        assert_eq!(replies(true).room() + 255, replies(false).room());
    }

    #[test]
    fn a_challenge_has_its_state_and_text_and_nothing_of_the_clients() {
        let key = crate::radius::testing::key();
        let proxy = [PROXY_STATE, 4, 1, 2];
        let asked =
            Asked { identifier: 7, authenticator: &[9; 16], proxy_states: &proxy, eap: Eap::None, ms_chap: None };
        let sent = |text: &str, hidden| {
            let (text, state) = (text.into(), [5; challenge::STATE].as_slice().into());
            let challenge = Challenge { text, state, hidden, relayed: None };
            let reply = verdict(&Outcome::Challenge(challenge.into()), asked, &replies(true), &key);
            reply.expect("fits").expect("an answer")
        };
        let attributes = |reply: &[u8]| {
            let packet = Packet::decode(reply).expect("a packet");
            assert_eq!(packet.code(), Code::ACCESS_CHALLENGE);
            packet.attributes().map(|attribute| (attribute.number, attribute.value.to_vec())).collect::<Vec<_>>()
        };
        let short = attributes(&sent("Code?", false));
        assert_eq!(short[0].0, MESSAGE_AUTHENTICATOR, "first");
        assert_eq!(short[1..3], [(REPLY_MESSAGE, b"Code?".to_vec()), (STATE, vec![5; challenge::STATE])]);
        assert_eq!(short[3..], [(PROXY_STATE, vec![1, 2])], "last");
        let hidden = attributes(&sent("PIN?", true));
        assert_eq!(hidden[3], (PROMPT, vec![0; 4]));
        let long = attributes(&sent(&"あ".repeat(100), false));
        assert_eq!((long[1].1.len(), long[2].1.len()), (252, 48), "no sign is cut in two");
        assert_eq!(attributes(&sent("", false)).len(), 3);
    }

    #[test]
    fn an_explained_refusal_is_a_reject() {
        let key = crate::radius::testing::key();
        let asked = Asked { identifier: 7, authenticator: &[9; 16], proxy_states: &[], eap: Eap::None, ms_chap: None };
        let outcome = Outcome::Explained { reason: Reason::ProviderUnknownPerson, text: "Enrol".into() };
        let reply = verdict(&outcome, asked, &replies(true), &key).expect("fits").expect("an answer");
        assert_eq!(reply.first(), Some(&Code::ACCESS_REJECT.0));
        assert!(reply.windows(5).any(|part| part == b"Enrol"));
    }

    #[test]
    fn a_refusal_of_ms_chap_holds_its_error_behind_the_text() {
        let asked =
            Asked { identifier: 7, authenticator: &[9; 16], proxy_states: &[], eap: Eap::None, ms_chap: Some((5, 1)) };
        let reply =
            verdict(&Outcome::Reject(Reason::PasswordExpired), asked, &replies(false), &crate::radius::testing::key());
        let reply = reply.expect("fits").expect("an answer");
        let packet = Packet::decode(&reply).expect("a packet");
        let found: Vec<_> = packet.attributes().map(|attribute| attribute.number).collect();
        assert_eq!(found, [MESSAGE_AUTHENTICATOR, REPLY_MESSAGE, 26]);
        let error = super::super::attribute::vendor_value(&packet, 311, 2).expect("an error");
        assert!(error.starts_with(b"\x05E=648 R=0 "), "{error:?}");
    }

    #[test]
    fn a_refusal_within_eap_is_an_eap_failure_and_no_text() {
        let key = crate::radius::testing::key();
        let asked = Asked {
            identifier: 7,
            authenticator: &[9; 16],
            proxy_states: &[],
            eap: Eap::Response(42),
            ms_chap: Some((1, 1)),
        };
        let explained = Outcome::Explained { reason: Reason::ProviderUnknownPerson, text: "Enrol".into() };
        for outcome in [Outcome::Reject(Reason::Denied), explained] {
            let reply = verdict(&outcome, asked, &replies(true), &key).expect("fits").expect("an answer");
            let packet = Packet::decode(&reply).expect("a packet");
            let found: Vec<_> = packet.attributes().map(|attribute| attribute.number).collect();
            assert_eq!(found, [MESSAGE_AUTHENTICATOR, 79]);
            assert_eq!(packet.value(79), Some(&[4, 42, 0, 4][..]));
        }
    }
}
