//! OATH tokens out of files: the CSV that Microsoft documents for hardware tokens, PSKC ([`crate::import::pskc`]),
//! and lists of `otpauth://` addresses ([`crate::import::otpauth`]), told apart by what they begin with. Pure.

use std::collections::HashMap;
use std::fmt;

use zeroize::Zeroizing;

use crate::import::entry::cleaned;
use crate::import::files::{BadLine, Lines, column, separator};
use crate::import::{otpauth, pskc};
use crate::secret::Secret;
use crate::users::token::{Algorithm, Moving};

/// Longest seed that is taken, in octets: more than any hash here uses (RFC 2104 section 3).
const LONGEST_SEED: usize = 128;
/// Shortest seed that is taken, in octets: the old server and some vendors gave 10 (RFC 4226 section 4 wants 16).
const SHORTEST_SEED: usize = 10;
/// Longest serial and owner, in characters.
const LONGEST_NAME: usize = 128;

/// A token of a file.
pub struct TokenRow {
    /// The line that it stands on; in PSKC that of its key.
    pub line: u64,
    /// Its serial number.
    pub serial: String,
    /// Whose it is, by name; none: nobody's yet.
    pub owner: Option<String>,
    /// What people call it.
    pub label: Option<String>,
    /// Its seed.
    pub seed: Secret,
    /// The hash that it uses.
    pub algorithm: Algorithm,
    /// Digits of a code.
    pub digits: u32,
    /// What makes the code change.
    pub moving: Moving,
}

/// Shows no seed.
impl fmt::Debug for TokenRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenRow").field("line", &self.line).field("serial", &self.serial).finish_non_exhaustive()
    }
}

/// What opens the keys of a PSKC file.
#[derive(Debug, Default)]
pub struct Opener {
    /// The key that the vendor gave beside the file.
    pub key: Option<Secret>,
    /// The passphrase that the vendor gave beside the file.
    pub passphrase: Option<Secret>,
}

/// A file of tokens.
#[derive(Debug, Default)]
pub struct TokenFile {
    /// The good ones.
    pub tokens: Vec<TokenRow>,
    /// The others.
    pub bad: Vec<BadLine>,
}

/// Reads a file of tokens.
///
/// # Errors
/// When nothing of it can be understood. Never carries any of it.
pub fn read(text: &str, opener: &Opener) -> Result<TokenFile, String> {
    let begin = text.trim_start();
    let mut file = if begin.starts_with('<') {
        pskc::read(text, opener)?
    } else if begin.lines().any(|line| line.trim_start().to_ascii_lowercase().starts_with("otpauth://")) {
        otpauth::read(text)
    } else {
        microsoft(text)?
    };
    let mut seen: HashMap<String, u64> = HashMap::new();
    let tokens = std::mem::take(&mut file.tokens);
    for token in tokens {
        match (check(&token), seen.get(&token.serial)) {
            (Err(why), _) => file.bad.push(BadLine { line: token.line, why }),
            (Ok(()), Some(line)) => {
                let why = format!("serial number {} is on line {line} already", token.serial);
                file.bad.push(BadLine { line: token.line, why });
            }
            (Ok(()), None) => {
                seen.insert(token.serial.clone(), token.line);
                file.tokens.push(token);
            }
        }
    }
    file.bad.sort_by_key(|bad| bad.line);
    Ok(file)
}

/// What every token must be, wherever it comes from.
fn check(token: &TokenRow) -> Result<(), String> {
    let fits = |text: &str| !text.is_empty() && text.chars().count() <= LONGEST_NAME;
    if !fits(&token.serial) || token.owner.as_deref().is_some_and(|owner| !fits(owner)) {
        return Err(format!("a serial number or owner that is empty or longer than {LONGEST_NAME} characters"));
    }
    if !(SHORTEST_SEED..=LONGEST_SEED).contains(&token.seed.len()) {
        return Err(format!("a secret of {} octets; allowed: {SHORTEST_SEED} to {LONGEST_SEED}", token.seed.len()));
    }
    if !(6..=8).contains(&token.digits) {
        return Err(format!("codes of {} digits; allowed: 6 to 8", token.digits));
    }
    match token.moving {
        Moving::Time { period: 30 | 60 } | Moving::Counter { .. } => Ok(()),
        Moving::Time { period } => Err(format!("a time interval of {period} seconds; allowed: 30 and 60")),
    }
}

/// Columns as Microsoft documents them: upn, serial number, secret key, time interval, manufacturer, model. Only
/// serial number and secret key are required here.
fn microsoft(text: &str) -> Result<TokenFile, String> {
    let mut reader = csv::ReaderBuilder::new()
        .delimiter(separator(text))
        .flexible(true)
        .has_headers(false)
        .from_reader(text.as_bytes());
    let mut file = TokenFile::default();
    let mut lines = Lines::new(text);
    let mut header: Option<Vec<String>> = None;
    for record in reader.records() {
        let Ok(record) = record else {
            let place = record.err().and_then(|error| error.position().map(csv::Position::byte));
            let line = lines.of(place.unwrap_or_default());
            file.bad.push(BadLine { line, why: "cannot be read as CSV; is a quote missing?".to_owned() });
            continue;
        };
        let Some(columns) = &header else {
            let columns: Vec<String> = record.iter().map(column).collect();
            for needed in ["serialnumber", "secretkey"] {
                if !columns.iter().any(|column| column == needed) {
                    return Err(
                        "is neither PSKC nor a list of otpauth:// addresses, and its first line does not name the \
                         columns of a CSV: upn, serial number, secret key, time interval, manufacturer, model"
                            .to_owned(),
                    );
                }
            }
            header = Some(columns);
            continue;
        };
        if record.iter().all(|field| field.trim().is_empty()) {
            continue;
        }
        let line = lines.of(record.position().map_or(0, csv::Position::byte));
        match microsoft_row(&record, columns, line) {
            Ok(token) => file.tokens.push(token),
            Err(why) => file.bad.push(BadLine { line, why }),
        }
    }
    if header.is_none() {
        return Err("is empty".to_owned());
    }
    Ok(file)
}

fn microsoft_row(record: &csv::StringRecord, columns: &[String], line: u64) -> Result<TokenRow, String> {
    if record.len() > columns.len() {
        return Err(format!("{} fields, but the first line names {}", record.len(), columns.len()));
    }
    let get = |name: &str| {
        let place = columns.iter().position(|column| column == name)?;
        record.get(place).map(str::trim).filter(|text| !text.is_empty())
    };
    let serial = get("serialnumber").ok_or("no serial number")?;
    let secret = get("secretkey").ok_or("no secret key")?;
    let seed = base32(secret).ok_or("the secret key is not Base32 (A to Z and 2 to 7)")?;
    let period = match get("timeinterval") {
        None => 30,
        Some(text) => text.parse().map_err(|_| "the time interval is no number of seconds".to_owned())?,
    };
    let algorithm = match get("hashfunction").or_else(|| get("algorithm")) {
        None => Algorithm::Sha1,
        Some(word) => word.parse()?,
    };
    let label = [get("manufacturer"), get("model")].into_iter().flatten().map(cleaned).collect::<Vec<_>>().join(" ");
    Ok(TokenRow {
        line,
        serial: cleaned(serial),
        owner: get("upn").map(cleaned),
        label: Some(label).filter(|label| !label.is_empty()),
        seed,
        algorithm,
        digits: 6,
        moving: Moving::Time { period },
    })
}

/// Base32 (RFC 4648 section 6) in either case, with blanks and dashes between and with or without padding.
pub fn base32(text: &str) -> Option<Secret> {
    let mut octets = Zeroizing::new(Vec::with_capacity(text.len() * 5 / 8));
    let (mut bits, mut value): (u32, u32) = (0, 0);
    let mut symbols = text.trim_end_matches(['=', ' ']).chars().filter(|c| !matches!(c, ' ' | '-')).peekable();
    symbols.peek()?;
    for symbol in symbols {
        let digit = match symbol.to_ascii_uppercase() {
            letter @ 'A'..='Z' => u32::from(letter) - u32::from('A'),
            digit @ '2'..='7' => u32::from(digit) - u32::from('2') + 26,
            _ => return None,
        };
        value = (value << 5 | digit) & 0xfff;
        bits += 5;
        if bits >= 8 {
            bits -= 8;
            octets.push(u8::try_from(value >> bits & 0xff).ok()?);
        }
    }
    Some(Secret::new(std::mem::take(&mut *octets)))
}

/// Octets as Base32, without padding, as apps and people read it.
pub fn base32_text(octets: &[u8]) -> Zeroizing<String> {
    const LETTERS: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let mut text = Zeroizing::new(String::with_capacity(octets.len().div_ceil(5) * 8));
    let letter = |value: u32| usize::try_from(value & 31).ok().and_then(|place| LETTERS.get(place)).copied();
    let (mut bits, mut value): (u32, u32) = (0, 0);
    for octet in octets {
        value = (value << 8 | u32::from(*octet)) & 0xfff;
        bits += 8;
        while bits >= 5 {
            bits -= 5;
            text.extend(letter(value >> bits).map(char::from));
        }
    }
    if bits > 0 {
        text.extend(letter(value << (5 - bits)).map(char::from));
    }
    text
}

#[cfg(test)]
mod tests;
