//! Phone numbers as people and directories write them. Pure.
//!
//! A number that the library knows to be possible is kept in the one form that everybody dials from everywhere
//! (ITU-T E.164: `+12025550111`); any other is kept as it was typed. An extension behind the number is taken off.

use phonenumber::PhoneNumber;
use phonenumber::country::Id;
use phonenumber::metadata::{DATABASE, Metadata};

/// Longest text that is looked at, in characters.
const LONGEST: usize = 256;

/// What begins an extension, longest first, in lower case.
const MARKS: [&str; 9] = ["extension", "ext.", "ext", "durchwahl", "poste", "x.", "x", ";ext=", "dw"];

/// A phone number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Phone {
    /// In E.164 form, or as typed.
    pub number: String,
    /// What is dialled once the phone has answered: digits, `*`, `#`, and commas for pauses.
    pub extension: Option<String>,
    /// The country's code, such as 1 or 49; none for a number that is kept as typed.
    pub country_code: Option<u16>,
}

impl Phone {
    /// Whether the number has its one form.
    pub fn is_normal(&self) -> bool {
        self.country_code.is_some()
    }
}

/// Reads a number. `region` is the country whose numbers come without a country code, in two letters (ISO 3166);
/// without it, or with one that does not exist, only numbers with a `+` are understood. `None` for an empty text.
pub fn parse(text: &str, region: Option<&str>) -> Option<Phone> {
    let text = text.trim();
    if text.is_empty() {
        return None;
    }
    let as_typed = |text: &str| Phone { number: text.to_owned(), extension: None, country_code: None };
    if text.chars().count() > LONGEST {
        return Some(as_typed(&text.chars().take(LONGEST).collect::<String>()));
    }
    let (number, extension) = split(text);
    let understood = understand(number, region);
    Some(match understood {
        Some((number, country_code)) => Phone { number, extension, country_code: Some(country_code) },
        // What stands before the mark may still be no number at all; then nothing was an extension.
        None if extension.is_some() && number.chars().any(|c| c.is_ascii_digit()) => {
            Phone { extension, ..as_typed(number) }
        }
        None => as_typed(text),
    })
}

/// The country's code of a number in E.164 form.
pub fn country_code(number: &str) -> Option<u16> {
    number.starts_with('+').then(|| understand(number, None)).flatten().map(|(_, code)| code)
}

/// The number and the extension behind it, if there is one.
fn split(text: &str) -> (&str, Option<String>) {
    if !text.contains(|c: char| c.is_ascii_alphabetic()) {
        // Every mark has a letter, and most numbers have none.
        return (text, None);
    }
    // Lower case of ASCII only, so that places in both texts are the same.
    let lower = text.to_ascii_lowercase();
    let first = MARKS
        .iter()
        .filter_map(|mark| lower.find(mark).map(|place| (place, mark.len())))
        .min_by_key(|(place, length)| (*place, usize::MAX - length));
    let split = first.and_then(|(place, length)| Some((text.get(..place)?, text.get(place + length..)?)));
    let Some((number, extension)) = split else { return (text, None) };
    let extension: String = extension.chars().filter(|c| !matches!(c, ' ' | ':' | '.' | '-')).collect();
    let is_extension = !extension.is_empty()
        && extension.chars().count() <= 20
        && extension.trim_start_matches('@').chars().all(|c| c.is_ascii_digit() || matches!(c, '*' | '#' | ','));
    if !is_extension {
        return (text, None);
    }
    (number.trim_end_matches([' ', ',', ';', '(', '-', '/']), Some(extension))
}

fn understand(number: &str, region: Option<&str>) -> Option<(String, u16)> {
    // What a directory writes between the country code and the rest for those who call from inside.
    let number = number.replace("(0)", "");
    let region: Option<Id> = region.and_then(|region| region.to_ascii_uppercase().parse().ok());
    let has_code = number.trim_start().starts_with('+');
    if !has_code && region.is_none() {
        return None;
    }
    // Letters are no mistake of the library's: it takes 1-800-FLOWERS. Here they are a text beside the number.
    if number.chars().any(char::is_alphabetic) {
        return None;
    }
    if let Some((code, national)) = plain(&number, has_code, region) {
        return Some((format!("+{code}{national}"), code));
    }
    let parsed: PhoneNumber = phonenumber::parse(if has_code { None } else { region }, number).ok()?;
    let (code, national) = (parsed.code().value(), parsed.national().to_string());
    is_possible(code, &national).then(|| (format!("+{code}{national}"), code))
}

/// Country code and the rest of a number that needs no more than a look at its length, as nearly all in a directory
/// do. The library tries the expressions of every country that shares a code, which takes it a thousand times as
/// long; whatever may hold a trunk prefix, a carrier's code or a code of its own is left to it.
fn plain(number: &str, has_code: bool, region: Option<Id>) -> Option<(u16, String)> {
    let mut digits = String::with_capacity(number.len());
    for c in number.trim().trim_start_matches('+').chars() {
        match c {
            '0'..='9' => digits.push(c),
            ' ' | '-' | '.' | '(' | ')' | '\u{a0}' => {}
            _ => return None,
        }
    }
    let (code, national) = if has_code {
        // No code begins another one.
        let (code, length) = (1..=3).find_map(|length| {
            let code: u16 = digits.get(..length)?.parse().ok().filter(|code| *code > 0)?;
            DATABASE.by_code(&code).map(|_| (code, length))
        })?;
        (code, digits.split_off(length))
    } else {
        let country = DATABASE.by_id(region?.as_ref())?;
        let code = country.country_code();
        (!has_prefix(country, &digits, code)).then_some((code, digits))?
    };
    (!national.starts_with('0') && is_possible(code, &national)).then_some((code, national))
}

/// Whether what people of the country dial could begin with more than the number itself.
fn has_prefix(country: &Metadata, digits: &str, code: u16) -> bool {
    let begins = |found: Option<usize>| found == Some(0);
    country.national_prefix().is_some_and(|prefix| digits.starts_with(prefix))
        || digits.starts_with(&code.to_string())
        || country.national_prefix_for_parsing().is_some_and(|prefix| begins(prefix.find(digits).map(|at| at.start())))
        || country.international_prefix().is_some_and(|prefix| begins(prefix.find(digits).map(|at| at.start())))
}

/// Whether the country has numbers of that length. Not whether that very range has been given out: telephone
/// companies are quicker than libraries, and a number that cannot be dialled is noticed when it is.
fn is_possible(code: u16, national: &str) -> bool {
    let length = u16::try_from(national.len()).unwrap_or(u16::MAX);
    let countries = DATABASE.by_code(&code).unwrap_or_default();
    countries.iter().any(|country| {
        let all = country.descriptors();
        let kinds = [
            all.fixed_line(),
            all.mobile(),
            all.toll_free(),
            all.premium_rate(),
            all.shared_cost(),
            all.personal_number(),
            all.voip(),
            all.pager(),
            all.uan(),
        ];
        kinds.into_iter().flatten().any(|kind| kind.possible_length().contains(&length))
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn phone(number: &str, extension: Option<&str>, country_code: Option<u16>) -> Option<Phone> {
        Some(Phone { number: number.into(), extension: extension.map(str::to_owned), country_code })
    }

    #[test]
    fn numbers_get_their_one_form_and_lose_their_extension() {
        let us = |text| parse(text, Some("US"));
        let number = "+12025550111";
        for text in ["202-555-0111", "(202) 555 0111", "+1 202 555 0111", "+1.202.555.0111", "12025550111"] {
            assert_eq!(us(text), phone(number, None, Some(1)), "{text}");
        }
        for text in ["202-555-0111 x890", "202-555-0111 ext. 890", "(202) 555-0111, Ext 890", "+1 202 555 0111;ext=890"]
        {
            assert_eq!(us(text), phone(number, Some("890"), Some(1)), "{text}");
        }
        assert_eq!(us("555-123-4567 x890"), phone("+15551234567", Some("890"), Some(1)));
        assert_eq!(us("202-555-0111x,,890#"), phone(number, Some(",,890#"), Some(1)));
        assert_eq!(us("202-555-0111 x@12"), phone(number, Some("@12"), Some(1)));
        assert_eq!(parse("030 901820", Some("de")), phone("+4930901820", None, Some(49)));
        assert_eq!(parse("+49 (0)30 901820", None), phone("+4930901820", None, Some(49)));
        assert_eq!(country_code("+4930901820"), Some(49));
        assert_eq!(country_code("4711"), None);
    }

    #[test]
    fn what_is_no_number_stays_as_it_was_typed() {
        for text in ["4711", "see reception", "555-123-4567", "1-800-FLOWERS", "+999 1", "Alex"] {
            assert_eq!(parse(text, None), phone(text, None, None), "{text}");
        }
        assert_eq!(parse("4711", Some("US")), phone("4711", None, None));
        assert_eq!(parse("4711 x890", Some("US")), phone("4711", Some("890"), None));
        assert_eq!(parse("  ", None), None);
        assert_eq!(parse("202-555-0111", Some("nowhere")), phone("202-555-0111", None, None));
    }

    /// What the library alone makes of a number.
    fn by_the_library(number: &str, region: Option<&str>) -> Option<(String, u16)> {
        let region = region.map(|region| region.parse().unwrap());
        let parsed = phonenumber::parse(if number.starts_with('+') { None } else { region }, number).ok()?;
        let (code, national) = (parsed.code().value(), parsed.national().to_string());
        is_possible(code, &national).then(|| (format!("+{code}{national}"), code))
    }

    proptest! {
        #[test]
        fn the_short_way_comes_to_what_the_library_does(
            region in prop::sample::select(vec!["US", "DE", "CH", "GB", "FR", "IT", "BR", "AR", "MX", "RU", "AU", "JP"]),
            digits in "[1-9][0-9]{4,11}"
        ) {
            if let Some((code, national)) = plain(&digits, false, region.parse().ok()) {
                prop_assert_eq!(Some((format!("+{code}{national}"), code)), by_the_library(&digits, Some(region)));
            }
        }

        #[test]
        fn a_number_with_a_country_code_is_never_another(digits in "[1-9][0-9]{5,13}") {
            let number = format!("+{digits}");
            if let Some((code, national)) = plain(&number, true, None) {
                prop_assert_eq!(format!("+{code}{national}"), number);
            }
        }

        #[test]
        fn any_text_is_kept_or_understood(text in ".{0,300}", region in "[A-Za-z]{0,3}") {
            if let Some(phone) = parse(&text, Some(&region)) {
                prop_assert!(!phone.number.is_empty());
                let again = parse(&phone.number, Some(&region)).unwrap();
                if phone.is_normal() {
                    prop_assert_eq!(again.number, phone.number);
                }
            }
        }
    }
}
