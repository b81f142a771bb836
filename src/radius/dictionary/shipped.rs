//! What ships: attributes of the RFCs and of the common vendors, compiled in from `conf/dictionary`, and which of them
//! nobody may configure in a reply.

use std::sync::LazyLock;

use super::Dictionary;
use super::file::Reading;

/// Facts, written by `conf/dictionary/generate.py`.
pub(super) const FILES: [(&str, &str); 31] = [
    ("dictionary.rfc", include_str!("../../../conf/dictionary/dictionary.rfc")),
    ("dictionary.airespace", include_str!("../../../conf/dictionary/dictionary.airespace")),
    ("dictionary.alcatel", include_str!("../../../conf/dictionary/dictionary.alcatel")),
    ("dictionary.arista", include_str!("../../../conf/dictionary/dictionary.arista")),
    ("dictionary.aruba", include_str!("../../../conf/dictionary/dictionary.aruba")),
    ("dictionary.avaya", include_str!("../../../conf/dictionary/dictionary.avaya")),
    ("dictionary.brocade", include_str!("../../../conf/dictionary/dictionary.brocade")),
    ("dictionary.cambium", include_str!("../../../conf/dictionary/dictionary.cambium")),
    ("dictionary.checkpoint", include_str!("../../../conf/dictionary/dictionary.checkpoint")),
    ("dictionary.cisco", include_str!("../../../conf/dictionary/dictionary.cisco")),
    ("dictionary.citrix", include_str!("../../../conf/dictionary/dictionary.citrix")),
    ("dictionary.dell", include_str!("../../../conf/dictionary/dictionary.dell")),
    ("dictionary.extreme", include_str!("../../../conf/dictionary/dictionary.extreme")),
    ("dictionary.f5", include_str!("../../../conf/dictionary/dictionary.f5")),
    ("dictionary.fortinet", include_str!("../../../conf/dictionary/dictionary.fortinet")),
    ("dictionary.h3c", include_str!("../../../conf/dictionary/dictionary.h3c")),
    ("dictionary.hp", include_str!("../../../conf/dictionary/dictionary.hp")),
    ("dictionary.huawei", include_str!("../../../conf/dictionary/dictionary.huawei")),
    ("dictionary.infoblox", include_str!("../../../conf/dictionary/dictionary.infoblox")),
    ("dictionary.juniper", include_str!("../../../conf/dictionary/dictionary.juniper")),
    ("dictionary.meraki", include_str!("../../../conf/dictionary/dictionary.meraki")),
    ("dictionary.microsoft", include_str!("../../../conf/dictionary/dictionary.microsoft")),
    ("dictionary.mikrotik", include_str!("../../../conf/dictionary/dictionary.mikrotik")),
    ("dictionary.nokia", include_str!("../../../conf/dictionary/dictionary.nokia")),
    ("dictionary.paloalto", include_str!("../../../conf/dictionary/dictionary.paloalto")),
    ("dictionary.pfsense", include_str!("../../../conf/dictionary/dictionary.pfsense")),
    ("dictionary.riverbed", include_str!("../../../conf/dictionary/dictionary.riverbed")),
    ("dictionary.ruckus", include_str!("../../../conf/dictionary/dictionary.ruckus")),
    ("dictionary.sonicwall", include_str!("../../../conf/dictionary/dictionary.sonicwall")),
    ("dictionary.wispr", include_str!("../../../conf/dictionary/dictionary.wispr")),
    ("dictionary.zyxel", include_str!("../../../conf/dictionary/dictionary.zyxel")),
];

/// Read once. A test sees to it that every line can be.
pub(super) static SHIPPED: LazyLock<Dictionary> = LazyLock::new(|| {
    let mut dictionary = Dictionary::empty();
    for (name, text) in FILES {
        if let Err(error) =
            Reading::new(&mut dictionary, &mut |_, _| Err("nothing is included".into())).file(name, text)
        {
            tracing::error!(%error, "a dictionary that ships cannot be read");
        }
    }
    dictionary
});

/// Who brings an attribute into a packet, where the configuration may not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Bar {
    /// Anteroom, where it is due.
    Own,
    /// Requests have it, replies do not.
    Request,
    /// The same, and it may hold the address of the person's device.
    RequestAddress,
    /// It holds other attributes.
    Container,
    /// Its value must be encrypted for each reply.
    Encrypted,
    /// It is no attribute of its own, or has a form that cannot be written here.
    Form,
}

impl Bar {
    /// For the person who writes the configuration.
    pub(super) fn why(self) -> &'static str {
        match self {
            Bar::Own => "Anteroom puts it into replies where it is due",
            Bar::Request | Bar::RequestAddress => "it belongs into requests, not into replies",
            Bar::Container => "name the vendor's attribute itself",
            Bar::Encrypted => {
                "its value must be encrypted for each reply: of those, Tunnel-Password can be written, in a [[reply]]"
            }
            Bar::Form => "it is part of another attribute, or has a form that cannot be written here",
        }
    }
}

/// The vendor of MS-CHAP.
const MICROSOFT: u32 = 311;
/// The vendor whose client tells where a person's device is.
const PALO_ALTO: u32 = 25461;

/// Whether an attribute of this number may not be configured, whatever a dictionary calls it.
pub(super) fn bar(vendor: Option<u32>, number: u32) -> Option<Bar> {
    match (vendor, number) {
        // State, Proxy-State, EAP-Message, Message-Authenticator.
        (None, 24 | 33 | 79 | 80) => Some(Bar::Own),
        (None, 26) => Some(Bar::Container),
        (None, 31) => Some(Bar::RequestAddress),
        // Passwords, the NAS and its port, Called-Station-Id, challenges of passwords, what accounting has, ARAP,
        // Connect-Info, NAS-Port-Id, NAS-IPv6-Address, Error-Cause, digests of SIP, Originating-Line-Info.
        (
            None,
            2..=5 | 30 | 32 | 40..=54 | 60 | 61 | 70 | 73 | 77 | 87 | 94 | 95 | 101 | 103..=122 | 126 | 128..=132,
        )
        // What authenticates by MS-CHAP or tells of the person's computer.
        | (Some(MICROSOFT), 1..=5 | 11 | 18..=20 | 25 | 27 | 34 | 35 | 40 | 41 | 47 | 50) => Some(Bar::Request),
        (Some(MICROSOFT), 26) => Some(Bar::Own),
        (Some(PALO_ALTO), 7) => Some(Bar::RequestAddress),
        // Attributes within attributes (RFC 6929).
        (None, 241..) => Some(Bar::Form),
        _ => None,
    }
}
