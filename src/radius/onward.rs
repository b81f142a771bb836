//! A client's request as a RADIUS target is to see it: which attributes go on, and what is put around them. Pure.
//!
//! What was hidden with the client's secret, or is between the client and us, does not go on: User-Password is
//! hidden again under the target's secret, Message-Authenticator is made anew, State is the target's own. All else
//! goes on unchanged and in its order.

use std::fmt;

use super::attribute::{
    CHAP_CHALLENGE, CHAP_PASSWORD, EAP_MESSAGE, MESSAGE_AUTHENTICATOR, NAS_IDENTIFIER, NAS_IP_ADDRESS,
    NAS_IPV6_ADDRESS, PROXY_STATE, STATE, USER_NAME, USER_PASSWORD, VENDOR_SPECIFIC, push, split_vendor,
};
use super::authenticator::{ClientKey, Verified, sign_request};
use super::client::RequestError;
use super::mschap;
use super::packet::{Authenticator, Builder, Code, Packet};
use super::password;
use super::said::MICROSOFT;
use crate::secret::Secret;

/// Responses and password changes of MS-CHAP (RFC 2548 section 2): MS-CHAP-Response, -CPW-1, -CPW-2, MS-CHAP2-Response,
/// MS-CHAP2-CPW.
const MS_CHAP_PROOFS: [u8; 5] = [1, 3, 4, 25, 27];

/// What a request brings as proof.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProofKind {
    /// A User-Password.
    Pap,
    /// A CHAP-Password.
    Chap,
    /// MS-CHAP of either version, or a change of password.
    MsChap,
    /// One round of EAP.
    Eap,
    /// Nothing: a gateway has made sure of the person, and asks whether they may connect.
    Gateway,
}

/// A request to be handed on.
pub struct Onward {
    kind: ProofKind,
    /// Octets of the name.
    named: u8,
    room: u16,
    /// The name, and behind it the attributes, encoded: in one piece, as tens of thousands may be outstanding.
    octets: Box<[u8]>,
}

/// Never shows a value: responses to challenges can be guessed at.
impl fmt::Debug for Onward {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Onward({:?}, {} octets)", self.kind, self.attributes().len())
    }
}

/// How a target's requests look.
#[derive(Debug)]
pub struct Form {
    /// What a request of our own calls us; none: the client's request is passed on.
    pub nas_identifier: Option<Box<str>>,
    /// The Proxy-State behind the client's own.
    pub proxy_state: [u8; 12],
}

/// What is put into a request besides what the client sent.
#[derive(Debug, Clone, Copy)]
pub struct Filling<'a> {
    /// The name to send instead of the typed one.
    pub name: Option<&'a str>,
    /// The password.
    pub password: Option<&'a Secret>,
    /// The target's State of the round before.
    pub state: Option<&'a [u8]>,
}

/// What kind of proof a request brings. Nothing where there is none, or more than one kind.
pub fn proof_kind(packet: &Packet<'_>) -> Option<ProofKind> {
    let mut kinds = proof_kinds(packet);
    kinds.next().filter(|_| kinds.next().is_none())
}

/// Whether a request brings a proof of any kind, be it one or several.
pub fn brings_proof(packet: &Packet<'_>) -> bool {
    proof_kinds(packet).next().is_some()
}

fn proof_kinds(packet: &Packet<'_>) -> impl Iterator<Item = ProofKind> {
    let ms_chap = || {
        let parts = packet.values(VENDOR_SPECIFIC).filter_map(split_vendor);
        parts.filter(|(vendor, _)| *vendor == MICROSOFT).flat_map(|(_, parts)| parts)
    };
    let found = [
        (ProofKind::Pap, packet.value(USER_PASSWORD).is_some()),
        (ProofKind::Chap, packet.value(CHAP_PASSWORD).is_some()),
        (ProofKind::MsChap, ms_chap().any(|part| MS_CHAP_PROOFS.contains(&part.number))),
        (ProofKind::Eap, packet.value(EAP_MESSAGE).is_some()),
    ];
    found.into_iter().filter(|(_, is)| *is).map(|(kind, _)| kind)
}

impl Onward {
    /// Takes what goes on out of a verified request. `room`: octets of attributes that its reply has left for what the
    /// target says. Nothing where the request brings no proof, or several.
    pub fn read(request: &Verified<'_>, room: usize) -> Option<Onward> {
        let kind = proof_kind(&request.packet())?;
        Some(Onward::taken(request, kind, room))
    }

    /// As [`Onward::read`], of a gateway's request. Nothing where that brings a proof: nobody may think that it was
    /// checked.
    pub fn of_gateway(request: &Verified<'_>, room: usize) -> Option<Onward> {
        (!brings_proof(&request.packet())).then(|| Onward::taken(request, ProofKind::Gateway, room))
    }

    fn taken(request: &Verified<'_>, kind: ProofKind, room: usize) -> Onward {
        let packet = request.packet();
        // No attribute has more octets than an octet can count.
        let name = packet.value(USER_NAME).unwrap_or_default();
        let named = u8::try_from(name.len()).unwrap_or_default();
        let mut octets = Vec::with_capacity(packet.bytes().len());
        octets.extend(name.iter().take(usize::from(named)));
        for attribute in packet.attributes() {
            if let USER_NAME | USER_PASSWORD | MESSAGE_AUTHENTICATOR | STATE = attribute.number {
                continue;
            }
            push(&mut octets, attribute.number, attribute.value);
        }
        if kind == ProofKind::Chap && packet.value(CHAP_CHALLENGE).is_none() {
            // The client's Request Authenticator was the challenge (RFC 2865 section 5.40); ours is another.
            push(&mut octets, CHAP_CHALLENGE, packet.authenticator());
        }
        Onward { kind, named, room: u16::try_from(room).unwrap_or(u16::MAX), octets: octets.into_boxed_slice() }
    }

    fn name(&self) -> &[u8] {
        self.octets.get(..usize::from(self.named)).unwrap_or_default()
    }

    fn attributes(&self) -> &[u8] {
        self.octets.get(usize::from(self.named)..).unwrap_or_default()
    }

    /// Of EAP, that it is. What it brings is gone.
    pub fn emptied(&self) -> Option<Onward> {
        let Onward { kind, room, .. } = *self;
        (kind == ProofKind::Eap).then(|| Onward { kind, named: 0, room, octets: Box::default() })
    }

    /// What it brings as proof.
    pub fn kind(&self) -> ProofKind {
        self.kind
    }

    /// Octets that the client's reply has left for what the target says.
    pub fn room(&self) -> usize {
        usize::from(self.room)
    }

    /// Its proof by MS-CHAP.
    ///
    /// # Errors
    /// Why there is none that a directory could judge.
    pub fn ms_chap(&self) -> Result<mschap::Proof, mschap::Broken> {
        mschap::Proof::read(self.name(), super::attribute::Attributes::new(self.attributes()))
    }

    /// Its change of password by MS-CHAPv2.
    ///
    /// # Errors
    /// Why there is none that a directory could make.
    pub fn ms_chap_change(&self) -> Result<mschap::Change, mschap::Broken> {
        mschap::Change::read(self.name(), super::attribute::Attributes::new(self.attributes()))
    }

    /// What stands for the credential where there is no password: equal for a repetition of the same proof alone.
    pub fn proof(&self) -> Secret {
        let is_proof = |number: u8| matches!(number, CHAP_PASSWORD | CHAP_CHALLENGE | EAP_MESSAGE | VENDOR_SPECIFIC);
        let mut proof = vec![self.kind as u8];
        for attribute in super::attribute::Attributes::new(self.attributes()) {
            if is_proof(attribute.number) {
                push(&mut proof, attribute.number, attribute.value);
            }
        }
        Secret::new(proof)
    }

    /// Whether it is to change a password, which no second server must be asked to do.
    pub fn changes_password(&self) -> bool {
        self.kind == ProofKind::MsChap && mschap::changes_password(super::attribute::Attributes::new(self.attributes()))
    }

    /// Whether it has come through us before: it bears our own Proxy-State.
    pub fn has_passed(&self, form: &Form) -> bool {
        let mut attributes = super::attribute::Attributes::new(self.attributes());
        attributes.any(|attribute| attribute.number == PROXY_STATE && attribute.value == form.proxy_state)
    }

    /// The packet for the target.
    ///
    /// # Errors
    /// [`RequestError`] when it does not fit.
    pub fn encode(
        &self,
        filling: Filling<'_>,
        form: &Form,
        (identifier, authenticator): (u8, &Authenticator),
        key: &ClientKey,
    ) -> Result<Vec<u8>, RequestError> {
        let mut packet = Builder::new(Code::ACCESS_REQUEST, identifier, authenticator, self.octets.len() + 200);
        packet.push(MESSAGE_AUTHENTICATOR, &[0; 16])?;
        packet.push(USER_NAME, filling.name.map_or(self.name(), str::as_bytes))?;
        if let Some(password) = filling.password.filter(|_| self.kind == ProofKind::Pap) {
            packet.push(USER_PASSWORD, &password::hide(password, key.keyed(), authenticator)?)?;
        }
        if let Some(state) = filling.state {
            packet.push(STATE, state)?;
        }
        match &form.nas_identifier {
            None => {
                packet.push_encoded(self.attributes())?;
                let known_again = packet.push(PROXY_STATE, &form.proxy_state);
                // Without it nobody but an RD Gateway's NPS sends a request in circles.
                if self.kind == ProofKind::Gateway {
                    known_again?;
                }
            }
            Some(own) => {
                packet.push(NAS_IDENTIFIER, own.as_bytes())?;
                if self.kind == ProofKind::Gateway {
                    // By nothing else it is known again where an NPS sends it back to us.
                    packet.push(PROXY_STATE, &form.proxy_state)?;
                }
                for attribute in super::attribute::Attributes::new(self.attributes()) {
                    if !matches!(attribute.number, NAS_IDENTIFIER | NAS_IP_ADDRESS | NAS_IPV6_ADDRESS | PROXY_STATE) {
                        packet.push(attribute.number, attribute.value)?;
                    }
                }
            }
        }
        let mut bytes = packet.into_bytes();
        sign_request(&mut bytes, key);
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests;
