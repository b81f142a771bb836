//! Texts of an export as values of TOML, and as they may go to a terminal. Pure.

use std::fmt::Write as _;
use std::net::IpAddr;

/// The beginning of a text, without control characters: it goes to a terminal.
pub(super) fn shown(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(80).collect()
}

/// Without control characters, cut to so many octets.
pub(super) fn shortened(text: &str, octets: usize) -> String {
    let plain: String = text.chars().filter(|c| !c.is_control()).collect();
    plain.get(..plain.floor_char_boundary(octets)).unwrap_or_default().to_owned()
}

/// Whether it is an address, or a block that names no host.
pub(super) fn is_address(text: &str) -> bool {
    match text.split_once('/') {
        None => text.parse::<IpAddr>().is_ok(),
        Some((address, bits)) => address.parse::<IpAddr>().is_ok_and(|address| {
            let width = if address.is_ipv4() { 32 } else { 128 };
            bits.parse::<u32>().is_ok_and(|bits| bits <= width && hosts_are_zero(address, width - bits))
        }),
    }
}

fn hosts_are_zero(address: IpAddr, hosts: u32) -> bool {
    let bits = match address {
        IpAddr::V4(address) => u128::from(u32::from(address)),
        IpAddr::V6(address) => u128::from(address),
    };
    hosts == 128 || bits & ((1 << hosts) - 1) == 0
}

/// Whether they are alike but for case.
pub(super) fn same(one: &str, other: &str) -> bool {
    one.to_lowercase() == other.to_lowercase()
}

/// A TOML basic string.
pub(super) fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for character in text.chars() {
        match character {
            '"' | '\\' => quoted.extend(['\\', character]),
            control if control.is_control() => {
                let _ = write!(quoted, "\\u{:04X}", u32::from(control));
            }
            other => quoted.push(other),
        }
    }
    quoted.push('"');
    quoted
}

/// A TOML array of strings.
pub(super) fn list<T>(items: &[T], text: impl Fn(&T) -> String) -> String {
    let items: Vec<String> = items.iter().map(|item| quoted(&text(item))).collect();
    format!("[{}]", items.join(", "))
}

/// A secret of 64 digits: of random octets, another one for each number.
pub(super) fn hexadecimal(random: &[u8; 32], number: usize) -> String {
    use sha2::{Digest, Sha256};
    let digest = Sha256::new().chain_update(random).chain_update(number.to_be_bytes()).finalize();
    digest.iter().fold(String::with_capacity(64), |mut text, octet| {
        let _ = write!(text, "{octet:02x}");
        text
    })
}
