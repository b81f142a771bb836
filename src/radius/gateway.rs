//! RD Gateway: what its requests look like, and what an Access-Accept tells it. Pure.
//!
//! The gateway has checked the password or the smart card itself. It asks, by way of the NPS beside it, whether the
//! person may connect: an Access-Request without any credential (NPS calls that "unauthenticated"), with a
//! Called-Station-Id of `UserAuthType:PW` or the like and Microsoft's attributes (MS-RNAP section 2.2.1). Only a client
//! with `profile = "rd-gateway"` is heard in this way: its target is of type `none`, or the RADIUS servers (an NPS) that
//! decide.

use std::time::Duration;

use super::attribute::{
    self, CALLED_STATION_ID, IDLE_TIMEOUT, SESSION_TIMEOUT, VENDOR_SPECIFIC, join_vendor, split_vendor, vendor_value,
};
use super::onward::brings_proof;
use super::packet::Packet;
use crate::config::{Authentication, Device};
use crate::primary::none::Connection;
use crate::signin::attempt::Unusable;

/// Microsoft's enterprise number.
const MICROSOFT: u32 = 311;
/// MS-Network-Access-Server-Type (MS-RNAP section 2.2.1.6).
const SERVER_TYPE: u8 = 47;
/// A Terminal Services Gateway.
const TERMINAL_SERVICES_GATEWAY: [u8; 4] = [0, 0, 0, 1];
/// MS-Machine-Name (MS-RNAP section 2.2.1.9).
const MACHINE_NAME: u8 = 50;
/// MS-RDG-Device-Redirection (MS-RNAP section 2.2.1.22).
const DEVICE_REDIRECTION: u8 = 63;
/// Every kind of redirection is off, whatever the other bits say.
const ALL_OFF: u32 = 1 << 29;
/// Every kind of redirection is on.
const ALL_ON: u32 = 1 << 30;
/// What stands before the way in which the gateway has made sure of the person.
const AUTHENTICATED_BY: &[u8] = b"UserAuthType:";
/// What some versions send in an attribute of Microsoft's.
const MARK: &[u8] = b"TSGATEWAY";

/// What a gateway asks, of a packet that is authentic.
///
/// # Errors
/// [`Unusable::UnwantedPassword`] where there is a credential, which nobody would check; [`Unusable::NoPassword`] where
/// there is nothing by which a gateway is known.
pub fn connection(packet: &Packet<'_>) -> Result<Box<Connection>, Unusable> {
    let microsoft = |number: u8| vendor_value(packet, MICROSOFT, number);
    if brings_proof(packet) {
        return Err(Unusable::UnwantedPassword);
    }
    let called = packet.value(CALLED_STATION_ID).unwrap_or_default();
    let by = called.strip_prefix(AUTHENTICATED_BY);
    let known = match microsoft(SERVER_TYPE) {
        Some(kind) => kind == TERMINAL_SERVICES_GATEWAY,
        None => by.is_some() || has_mark(packet),
    };
    if !known {
        return Err(Unusable::NoPassword);
    }
    let authentication = match by {
        Some(b"PW") => Some(Authentication::Password),
        Some(b"CA" | b"SC") => Some(Authentication::SmartCard),
        _ => None,
    };
    let computer = microsoft(MACHINE_NAME).and_then(|name| {
        let name = std::str::from_utf8(name).ok()?.trim_end_matches('\0').trim();
        (!name.is_empty() && !name.contains(char::is_control)).then(|| name.into())
    });
    Ok(Box::new(Connection { authentication, computer, called: called.into(), settings: None }))
}

fn has_mark(packet: &Packet<'_>) -> bool {
    let vendors = packet.values(VENDOR_SPECIFIC).filter_map(split_vendor);
    vendors
        .filter(|(vendor, _)| *vendor == MICROSOFT)
        .flat_map(|(_, attributes)| attributes)
        .any(|attribute| attribute.value.trim_ascii_end().strip_suffix(b"\0").unwrap_or(attribute.value) == MARK)
}

/// The attributes of an Access-Accept, encoded: what of the person's computer the session may use, after how long
/// without input it ends, and after how long in any case. What is not said is left to the gateway.
pub fn settings(devices: Option<&[Device]>, idle: Option<Duration>, session: Option<Duration>) -> Vec<u8> {
    let mut encoded = Vec::new();
    let mut push = |number: u8, value: &[u8]| attribute::push(&mut encoded, number, value);
    if let Some(devices) = devices
        && let Ok(value) = join_vendor(MICROSOFT, DEVICE_REDIRECTION, &redirection(devices).to_be_bytes())
    {
        push(VENDOR_SPECIFIC, &value);
    }
    for (number, time) in [(IDLE_TIMEOUT, idle), (SESSION_TIMEOUT, session)] {
        if let Some(time) = time {
            push(number, &u32::try_from(time.as_secs()).unwrap_or(u32::MAX).to_be_bytes());
        }
    }
    encoded
}

/// The value of MS-RDG-Device-Redirection that lets these be used: a bit that is set switches one off.
fn redirection(devices: &[Device]) -> u32 {
    let off = Device::ALL.iter().enumerate().filter(|(_, device)| !devices.contains(device));
    let bits = off.fold(0, |bits, (place, _)| bits | 1 << place);
    match bits {
        0 => ALL_ON,
        0b1_1111 => ALL_OFF,
        some => some,
    }
}

#[cfg(test)]
mod tests;
