//! A new seed, and how it gets into an app: as a code to scan on the terminal or in a picture, as an address, as JSON.

use qrcode::render::{svg, unicode};
use qrcode::{EcLevel, QrCode};
use zeroize::Zeroizing;

use crate::factor::native::signing::push_hex;
use crate::secret::Secret;
use crate::users::token::Algorithm;

/// How a new seed is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Output {
    /// For people: a code to scan on the terminal, and the address.
    Text,
    /// The otpauth:// address alone.
    Uri,
    /// The code to scan as an SVG picture.
    Svg,
    /// One JSON object.
    Json,
}

/// A random seed as long as the hash (RFC 4226 section 4, RFC 6238 section 5.1).
pub(super) fn seed(algorithm: Algorithm) -> Result<Secret, String> {
    let mut octets = vec![
        0;
        match algorithm {
            Algorithm::Sha1 => 20,
            Algorithm::Sha256 => 32,
            Algorithm::Sha512 => 64,
        }
    ];
    fill(&mut octets)?;
    Ok(Secret::new(octets))
}

/// A serial number for an app, which has none of its own.
pub(super) fn serial() -> Result<String, String> {
    let mut octets = [0; 4];
    fill(&mut octets)?;
    let mut serial = String::from("app-");
    push_hex(&mut serial, &octets);
    Ok(serial)
}

fn fill(octets: &mut [u8]) -> Result<(), String> {
    getrandom::fill(octets).map_err(|error| format!("no random octets from the kernel: {error}"))
}

/// An address as a code to scan.
pub(super) struct Enrolment(QrCode);

impl Enrolment {
    pub(super) fn of(address: &str) -> Result<Enrolment, String> {
        let code = QrCode::with_error_correction_level(address.as_bytes(), EcLevel::M);
        code.map(Enrolment).map_err(|error| format!("the address is too long for a code to scan: {error}"))
    }

    /// For a terminal: two modules a character. With colours it is dark on light wherever it is shown; without, it is made
    /// for light text on a dark ground, and every scanner can do the other way round, too.
    pub(super) fn terminal(&self, colours: bool) -> Zeroizing<String> {
        let mut renderer = self.0.render::<unicode::Dense1x2>();
        renderer.dark_color(unicode::Dense1x2::Light).light_color(unicode::Dense1x2::Dark).quiet_zone(true);
        let drawn = Zeroizing::new(renderer.build());
        if !colours {
            return drawn;
        }
        let line = |line: &str| format!("\u{1b}[40;97m{line}\u{1b}[0m\n");
        Zeroizing::new(drawn.lines().map(line).collect())
    }

    /// As a picture.
    pub(super) fn svg(&self) -> Zeroizing<String> {
        Zeroizing::new(self.0.render::<svg::Color<'_>>().min_dimensions(240, 240).build())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_to_scan_is_square_and_coloured_only_on_a_terminal() {
        let code = Enrolment::of("otpauth://totp/A:b?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ").unwrap();
        let plain = code.terminal(false);
        let widths: Vec<usize> = plain.lines().map(|line| line.chars().count()).collect();
        assert!(widths.iter().all(|width| *width == widths[0]), "{widths:?}");
        assert_eq!(widths[0].div_ceil(2), widths.len());
        assert!(!plain.contains('\u{1b}') && code.terminal(true).contains("\u{1b}[40;97m"));
        assert!(code.svg().starts_with("<?xml") && code.svg().contains("<svg"));
        assert!(Enrolment::of(&"x".repeat(5000)).is_err());
    }

    #[test]
    fn seeds_are_as_long_as_their_hash_and_serials_differ() {
        let lengths = Algorithm::ALL.map(|algorithm| seed(algorithm).unwrap().len());
        assert_eq!(lengths, [20, 32, 64]);
        assert_ne!(serial().unwrap(), serial().unwrap());
    }
}
