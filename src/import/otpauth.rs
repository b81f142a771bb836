//! `otpauth://` addresses, as authenticator apps show them in their codes to scan: one a line. Pure.
//!
//! ```text
//! otpauth://totp/Corp:alice%40corp.example?secret=JBSWY3DPEHPK3PXP&issuer=Corp&algorithm=SHA1&digits=6&period=30
//! otpauth://hotp/alice?secret=…&counter=7&serial=GA-1234
//! ```

use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::import::entry::cleaned;
use crate::import::files::BadLine;
use crate::import::tokens::{TokenFile, TokenRow, base32, base32_text};
use crate::secret::Secret;
use crate::users::token::{Algorithm, Moving, Token};

/// Reads a list. Empty lines and lines with `#` are skipped.
pub fn read(text: &str) -> TokenFile {
    let mut file = TokenFile::default();
    for (line, address) in (1..).zip(text.lines()) {
        let address = address.trim().trim_start_matches('\u{feff}');
        if address.is_empty() || address.starts_with('#') {
            continue;
        }
        match one(address, line) {
            Ok(token) => file.tokens.push(token),
            Err(why) => file.bad.push(BadLine { line, why: why.to_owned() }),
        }
    }
    file
}

fn one(address: &str, line: u64) -> Result<TokenRow, &'static str> {
    const NOT_ONE: &str = "no otpauth:// address";
    let (scheme, rest) = address.split_once("://").ok_or(NOT_ONE)?;
    if !scheme.eq_ignore_ascii_case("otpauth") {
        return Err(NOT_ONE);
    }
    let (path, query) = rest.split_once('?').ok_or("no secret in it")?;
    let (kind, label) = path.split_once('/').ok_or(NOT_ONE)?;
    let label = decoded(label, false).ok_or("a label that is no text")?;
    let parameters: Vec<(&str, Zeroizing<String>)> = query
        .split('#')
        .next()
        .unwrap_or_default()
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .map(|(name, value)| decoded(value, true).map(|value| (name, value)))
        .collect::<Option<_>>()
        .ok_or("a parameter that is no text")?;
    let get = |wanted: &str| {
        let found = parameters.iter().find(|(name, _)| name.eq_ignore_ascii_case(wanted));
        found.map(|(_, value)| value.trim()).filter(|value| !value.is_empty())
    };
    let number = |name: &str| get(name).map(str::parse::<u64>).transpose();
    let seed = base32(get("secret").ok_or("no secret in it")?).ok_or("a secret that is not Base32")?;
    let moving = match kind.to_ascii_lowercase().as_str() {
        "totp" => {
            let period = number("period").map_err(|_| "a period that is no number")?.unwrap_or(30);
            Moving::Time { period: u32::try_from(period).map_err(|_| "a period that is no number")? }
        }
        "hotp" => Moving::Counter {
            next: number("counter").map_err(|_| "a counter that is no number")?.ok_or("no counter in it")?,
        },
        _ => return Err("neither totp nor hotp"),
    };
    let algorithm = match get("algorithm") {
        None => Algorithm::Sha1,
        Some(word) => word.parse().map_err(|_| "an algorithm that is none of SHA1, SHA256 and SHA512")?,
    };
    let digits = number("digits").map_err(|_| "digits that are no number")?.unwrap_or(6);
    let (before, account) = label.split_once(':').unwrap_or(("", &label));
    let issuer = cleaned(get("issuer").unwrap_or(before));
    let owner = cleaned(account);
    Ok(TokenRow {
        line,
        serial: get("serial").map_or_else(|| serial(&issuer, &owner), cleaned),
        owner: Some(owner).filter(|owner| !owner.is_empty()),
        label: Some(issuer).filter(|issuer| !issuer.is_empty()),
        seed,
        algorithm,
        digits: u32::try_from(digits).unwrap_or(u32::MAX),
        moving,
    })
}

/// Apps have no serial number: one that is the same whenever the list is read again, and says nothing of the seed.
fn serial(issuer: &str, account: &str) -> String {
    let digest = Sha256::digest(format!("{issuer}\0{}", account.to_lowercase()));
    digest.iter().take(6).fold("app-".to_owned(), |serial, octet| format!("{serial}{octet:02x}"))
}

/// The address of a new token, for an app to scan. It holds the seed: it is shown once, to the person.
pub fn address(token: &Token, seed: &Secret, issuer: &str, account: &str) -> Zeroizing<String> {
    let escaped =
        |text: &str| url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>().replace('+', "%20");
    let (issuer, account) = (escaped(issuer), escaped(account));
    let (kind, moving) = match token.moving {
        Moving::Time { period } => ("totp", format!("period={period}")),
        Moving::Counter { next } => ("hotp", format!("counter={next}")),
    };
    Zeroizing::new(format!(
        "otpauth://{kind}/{issuer}:{account}?secret={}&issuer={issuer}&algorithm={}&digits={}&{moving}",
        base32_text(seed.open()).as_str(),
        token.algorithm,
        token.digits
    ))
}

/// Undoes `%xx`, and `+` in a query.
fn decoded(text: &str, query: bool) -> Option<Zeroizing<String>> {
    let mut octets = Zeroizing::new(Vec::with_capacity(text.len()));
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        rest = after;
        octets.push(match first {
            b'%' => {
                let (&[high, low], after) = rest.split_first_chunk::<2>()?;
                rest = after;
                let digit = |octet: u8| char::from(octet).to_digit(16);
                u8::try_from(digit(high)? << 4 | digit(low)?).ok()?
            }
            b'+' if query => b' ',
            other => other,
        });
    }
    String::from_utf8(std::mem::take(&mut *octets)).ok().map(Zeroizing::new)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_address_is_read_with_its_parameters() {
        let text = "# apps\n\
            otpauth://totp/Corp:alice%40corp.example?secret=JBSWY3DPEHPK3PXPJBSWY3DP&issuer=Corp&period=60&digits=8\
            &algorithm=SHA256\n\
            OTPAUTH://hotp/bob?secret=jbsw-y3dp-ehpk-3pxp-jbsw&counter=7&serial=GA-1\n";
        let file = read(text);
        assert!(file.bad.is_empty(), "{:?}", file.bad);
        let [alice, bob] = &file.tokens[..] else { panic!("{:?}", file.tokens) };
        assert_eq!(alice.owner.as_deref(), Some("alice@corp.example"));
        assert_eq!((alice.label.as_deref(), alice.digits), (Some("Corp"), 8));
        assert_eq!((alice.algorithm, alice.moving), (Algorithm::Sha256, Moving::Time { period: 60 }));
        assert!(alice.serial.starts_with("app-") && alice.serial.len() == 16);
        assert_eq!((bob.serial.as_str(), bob.line), ("GA-1", 3));
        assert_eq!(bob.moving, Moving::Counter { next: 7 });
        assert_eq!(bob.seed.len(), 12);
    }

    #[test]
    fn what_is_wrong_with_an_address_is_told_without_its_secret() {
        for (address, says) in [
            ("otpauth://totp/alice", "no secret"),
            ("otpauth://totp/alice?issuer=x", "no secret"),
            ("otpauth://totp/alice?secret=planted1", "not Base32"),
            ("otpauth://hotp/alice?secret=JBSWY3DPEHPK3PXP", "no counter"),
            ("otpauth://steam/alice?secret=JBSWY3DPEHPK3PXP", "neither"),
            ("otpauth://totp/alice?secret=JBSWY3DPEHPK3PXP&period=soon", "period"),
            ("otpauth://totp/alice?secret=JBSWY3DPEHPK3PXP&algorithm=MD5", "algorithm"),
            ("otpauth://totp/%zz?secret=JBSWY3DPEHPK3PXP", "label"),
            ("https://example.com", "no otpauth"),
        ] {
            let file = read(address);
            assert!(file.tokens.is_empty());
            assert!(file.bad[0].why.contains(says), "{address}: {}", file.bad[0]);
            assert!(!file.bad[0].to_string().contains("planted"));
        }
    }

    proptest! {
        #[test]
        fn an_address_is_read_back_as_it_was_made(seed in proptest::collection::vec(any::<u8>(), 10..64),
                issuer in "[A-Za-z0-9 &%/?=+é.-]{1,20}", account in "[a-z0-9@%&+.-]{1,20}", digits in 6..=8_u32,
                counter in any::<Option<u64>>()) {
            let moving = counter.map_or(Moving::Time { period: 60 }, |next| Moving::Counter { next });
            let token = Token {
                serial: "T".into(), unique_id: None, label: None, seed: crate::users::sealed::Sealed::from_bytes(vec![]),
                algorithm: Algorithm::Sha512, digits, moving, drift: 0, last_step: None, last_used: None,
            };
            let written = address(&token, &Secret::new(seed.clone()), &issuer, &account);
            let file = read(&written);
            prop_assert!(file.bad.is_empty(), "{}: {:?}", written.as_str(), file.bad);
            let one = &file.tokens[0];
            prop_assert!(one.seed.matches(&seed));
            prop_assert_eq!((one.algorithm, one.digits, one.moving), (Algorithm::Sha512, digits, moving));
            prop_assert_eq!(one.owner.clone(), Some(cleaned(&account)));
        }

        #[test]
        fn any_list_is_read_without_panic(text in "(?s).{0,300}", tail in "[a-zA-Z0-9%&=?/:+]{0,80}") {
            let _ = read(&text);
            let _ = read(&format!("otpauth://totp/{tail}"));
        }
    }
}
