//! A target that checks no password: a gateway has done so, and the directory says whether the account may sign in
//! and which connection policy lets it. The checked form. Pure.

use std::sync::Arc;

use super::AddressRange;
use super::rule::Hours;

/// `[target.NAME]` with `type = "none"`.
#[derive(Debug)]
pub struct AuthorizingTarget {
    /// Its name in the configuration.
    pub name: String,
    /// Name of the Active Directory target that is asked about accounts.
    pub directory: String,
    /// Who may connect: the first that fits decides, and where none fits, nobody may. Never empty.
    pub policies: Vec<ConnectionPolicy>,
}

/// Who may connect through a gateway, from where, when, and with what. Every condition that is named must hold.
#[derive(Debug, Clone)]
pub struct ConnectionPolicy {
    /// Its name in the log.
    pub name: String,
    /// Whether those whom it fits are let in, or kept out.
    pub allow: bool,
    /// Distinguished names of groups, nested members included; empty: whoever it is.
    pub groups: Vec<String>,
    /// Addresses of gateways; empty: every gateway of the target's clients.
    pub gateways: Vec<AddressRange>,
    /// Patterns of the names of people's computers, as they tell them; empty: every computer.
    pub computers: Vec<Pattern>,
    /// Distinguished names of groups of computers, nested members included; empty: every computer.
    pub computer_groups: Vec<String>,
    /// How the gateway has made sure of the person; empty: in every way.
    pub authentication: Vec<Authentication>,
    /// When; always where there is none.
    pub hours: Option<Hours>,
    /// Attributes of the Access-Accept, encoded, at most [`MAX_SETTINGS`] octets.
    pub settings: Arc<[u8]>,
}

/// Longest [`ConnectionPolicy::settings`]: MS-RDG-Device-Redirection, Idle-Timeout, Session-Timeout, in octets.
pub const MAX_SETTINGS: usize = 12 + 6 + 6;

/// How a gateway has made sure of a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Authentication {
    /// By a password.
    Password,
    /// By a smart card.
    SmartCard,
}

/// What of a person's computer the session may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Device {
    /// Drives.
    Drives,
    /// Printers.
    Printers,
    /// Serial ports.
    Ports,
    /// The clipboard.
    Clipboard,
    /// Plug-and-play devices.
    PlugAndPlay,
}

impl Device {
    /// Every one, in the order of the bits of MS-RDG-Device-Redirection.
    pub const ALL: [Device; 5] =
        [Device::Drives, Device::Printers, Device::Ports, Device::Clipboard, Device::PlugAndPlay];

    /// The word in the configuration.
    pub fn word(self) -> &'static str {
        match self {
            Device::Drives => "drives",
            Device::Printers => "printers",
            Device::Ports => "ports",
            Device::Clipboard => "clipboard",
            Device::PlugAndPlay => "plug_and_play",
        }
    }
}

/// A name in which `*` stands for any characters, compared without case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern(String);

impl Pattern {
    /// Of its text.
    pub fn new(text: &str) -> Self {
        Pattern(text.to_lowercase())
    }

    /// Whether all of `name` is as the pattern says. Takes no longer than the product of both lengths.
    pub fn fits(&self, name: &str) -> bool {
        let name = name.to_lowercase();
        let mut parts = self.0.split('*');
        let Some(mut rest) = parts.next().and_then(|first| name.strip_prefix(first)) else { return false };
        let mut parts: Vec<&str> = parts.collect();
        let Some(last) = parts.pop() else { return rest.is_empty() };
        for part in parts {
            let Some(at) = rest.find(part) else { return false };
            rest = rest.get(at + part.len()..).unwrap_or_default();
        }
        rest.ends_with(last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_fits_all_of_a_name() {
        for (pattern, name, fits) in [
            ("pc-*", "PC-0815", true),
            ("PC-*", "xpc-0815", false),
            ("*", "", true),
            ("pc1", "PC1", true),
            ("pc1", "pc12", false),
            ("*.corp.example", "pc1.corp.example", true),
            ("*.corp.example", "pc1.corp.example.net", false),
            ("a*b*a", "aba", true),
            ("a*b*a", "ab", false),
            ("a*a", "a", false),
        ] {
            assert_eq!(Pattern::new(pattern).fits(name), fits, "{pattern} {name}");
        }
    }
}
