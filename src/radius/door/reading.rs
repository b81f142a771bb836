//! What an Access-Request says, as a value that knows no protocol. Pure.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use crate::radius::attribute::{CALLING_STATION_ID, CHAP_PASSWORD, EAP_MESSAGE, STATE, USER_NAME, USER_PASSWORD};
use crate::radius::authenticator::Verified;
use crate::radius::clients::Known;
use crate::radius::eap::{Broken, Eap};
use crate::radius::gateway;
use crate::radius::onward::{Onward, ProofKind, proof_kind};
use crate::radius::packet::Packet;
use crate::secret::Secret;
use crate::signin::attempt::{Attempt, Door as Entrance, SignInId, Unusable};

/// Makes the value that knows no protocol.
pub(super) fn attempt(
    client: &Known,
    (request, eap): (&Verified<'_>, Result<Eap, Broken>),
    room: usize,
    (peer, now): (SocketAddr, Instant),
    random: [u8; 12],
) -> Attempt {
    let packet = request.packet();
    let (name, named) = name(&packet);
    let (credential, connection) = match named {
        Err(unusable) => (Err(unusable), None),
        Ok(()) if client.config.authorize_only => match gateway::connection(&packet) {
            Ok(connection) => (Err(Unusable::NoPassword), Some(connection)),
            Err(unusable) => (Err(unusable), None),
        },
        Ok(()) => (credential(request), None),
    };
    let onward = onward(client, request, room, connection.is_some()).map(Box::new);
    let credential = match credential {
        Err(Unusable::NoPassword) if eap.is_err() && onward.is_some() => Err(Unusable::BrokenEap),
        credential => credential,
    };
    Attempt {
        id: SignInId::new(random),
        door: Entrance::Radius,
        client: Arc::clone(&client.config.client),
        name: name.into(),
        credential,
        onward,
        source: peer.ip().to_canonical(),
        person_address: client.person_address(&packet),
        station: packet.value(CALLING_STATION_ID).map(Into::into),
        state: state(&packet),
        connection,
        through: None,
        received: now,
    }
}

/// The State, if there is any. RFC 2865 section 5.24 allows one; several are put together, which is nobody's.
fn state(packet: &Packet<'_>) -> Option<Box<[u8]>> {
    let mut states = packet.values(STATE);
    let first = states.next()?;
    Some(
        states
            .fold(first.to_vec(), |mut all, more| {
                all.extend_from_slice(more);
                all
            })
            .into(),
    )
}

/// The name as typed, and whether it can be one: there is exactly one, in UTF-8, without control characters.
fn name(packet: &Packet<'_>) -> (String, Result<(), Unusable>) {
    let mut names = packet.values(USER_NAME);
    let bytes = names.next().unwrap_or_default();
    let more = names.next().is_some();
    let name = String::from_utf8_lossy(bytes).into_owned();
    let good = !more && !name.is_empty() && std::str::from_utf8(bytes).is_ok() && !name.contains(char::is_control);
    (name, if good { Ok(()) } else { Err(Unusable::BadName) })
}

/// The whole request, where the client's target is to get it. `is_gateways`: it is what a gateway asks, without a proof.
fn onward(client: &Known, request: &Verified<'_>, room: usize, is_gateways: bool) -> Option<Onward> {
    let config = &client.config;
    match (config.hands_on, config.authorize_only) {
        (true, false) => Onward::read(request, room),
        (true, true) if is_gateways => Onward::of_gateway(request, room),
        // Of what a directory gets, MS-CHAP alone is more than a password.
        (false, false) if config.checks_ms_chap && proof_kind(&request.packet()) == Some(ProofKind::MsChap) => {
            let changes = |onward: &Onward| config.changes_passwords && onward.ms_chap_change().is_ok();
            Onward::read(request, room).filter(|onward| onward.ms_chap().is_ok() || changes(onward))
        }
        _ => None,
    }
}

/// The password. CHAP and EAP are no passwords that a directory bind could check.
fn credential(request: &Verified<'_>) -> Result<Secret, Unusable> {
    let packet = request.packet();
    let others = packet.value(CHAP_PASSWORD).is_some() || packet.value(EAP_MESSAGE).is_some();
    match packet.values(USER_PASSWORD).count() {
        0 => return Err(Unusable::NoPassword),
        1 if !others => {}
        _ => return Err(Unusable::BadPassword),
    }
    let password = request.password().map_err(|_| Unusable::BadPassword)?.ok_or(Unusable::NoPassword)?;
    if password.is_empty() { Err(Unusable::EmptyPassword) } else { Ok(password) }
}
