//! PSKC, the XML in which vendors deliver tokens (RFC 6030). Pure.
//!
//! Keys in the clear are read, and keys encrypted with AES-CBC under a key or a passphrase (PBKDF2) that the vendor
//! gave beside the file; of these, the MAC must be there and be right, or nothing of the key is taken (RFC 6030
//! section 6.1.1). Entities, other ciphers and certificates are refused by name.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};
use zeroize::Zeroizing;

use crate::import::entry::cleaned;
use crate::import::files::{BadLine, Lines};
use crate::import::tokens::{Opener, TokenFile, TokenRow};
use crate::secret::Secret;
use crate::users::token::{Algorithm, Moving};

mod cipher;

use cipher::{Cipher, Derivation, Locked};

/// Elements within each other that are read: PSKC itself needs a dozen.
const DEEPEST: usize = 32;
/// Characters of one text.
const LONGEST_TEXT: usize = 64 * 1024;

/// What encrypts the keys of a file.
#[derive(Debug, Default)]
struct Protection {
    /// PBKDF2's parameters, where a passphrase is the key.
    derivation: Option<Derivation>,
    /// The key of the MACs, itself encrypted.
    mac_key: Option<Locked>,
    mac_algorithm: Option<String>,
}

/// A key as far as it has been read.
#[derive(Debug, Default)]
struct Key {
    line: u64,
    id: String,
    algorithm: String,
    serial: String,
    manufacturer: String,
    model: String,
    owner: String,
    suite: String,
    digits: Option<String>,
    encoding: String,
    period: Option<String>,
    counter: Option<String>,
    plain: Option<Zeroizing<String>>,
    locked: Option<Locked>,
    mac: Option<Vec<u8>>,
    value_is_locked: bool,
}

/// Reads a file.
///
/// # Errors
/// When it is no PSKC, or its keys cannot be opened with what was given. Never carries any of it.
pub fn read(text: &str, opener: &Opener) -> Result<TokenFile, String> {
    let mut state = State::default();
    let mut reader = Reader::from_str(text);
    reader.config_mut().expand_empty_elements = true;
    let mut lines = Lines::new(text);
    loop {
        let position = reader.buffer_position();
        let event =
            reader.read_event().map_err(|_| format!("is no well-formed XML (near line {})", lines.of(position)))?;
        match event {
            Event::Start(start) => {
                state.text.clear();
                let line = lines.of(position);
                state.enter(&start, line)?;
            }
            Event::Text(text) => {
                let text = text.decode().map_err(|_| "is no UTF-8 XML".to_owned())?;
                state.append(&text)?;
            }
            Event::CData(text) => {
                let text = text.decode().map_err(|_| "is no UTF-8 XML".to_owned())?;
                state.append(&text)?;
            }
            Event::GeneralRef(reference) => {
                let name = reference.decode().map_err(|_| "is no UTF-8 XML".to_owned())?;
                state.append(entity(&name).ok_or_else(|| format!("uses the entity &{};", cleaned(&name)))?)?;
            }
            Event::End(_) => state.leave()?,
            Event::DocType(_) => return Err("has a DOCTYPE, which PSKC does not".to_owned()),
            Event::Eof => break,
            Event::Empty(_) | Event::Comment(_) | Event::Decl(_) | Event::PI(_) => {}
        }
    }
    if !state.is_container {
        return Err("is XML, but no PSKC KeyContainer".to_owned());
    }
    let opened = cipher::Opened::new(&state.protection, opener)?;
    let mut file = TokenFile::default();
    for key in state.keys {
        let line = key.line;
        match key.token(&opened) {
            Ok(token) => file.tokens.push(token),
            Err(why) => file.bad.push(BadLine { line, why }),
        }
    }
    Ok(file)
}

/// The entities that every XML has.
fn entity(name: &str) -> Option<&'static str> {
    Some(match name {
        "amp" => "&",
        "lt" => "<",
        "gt" => ">",
        "quot" => "\"",
        "apos" => "'",
        _ => return None,
    })
}

#[derive(Debug, Default)]
struct State {
    path: Vec<String>,
    text: Zeroizing<String>,
    is_container: bool,
    protection: Protection,
    package: Key,
    keys: Vec<Key>,
    /// The cipher of the value that is being read.
    cipher: Option<String>,
}

impl State {
    fn enter(&mut self, start: &BytesStart<'_>, line: u64) -> Result<(), String> {
        if self.path.len() >= DEEPEST {
            return Err(format!("has more than {DEEPEST} elements within each other"));
        }
        let name = String::from_utf8_lossy(start.local_name().as_ref()).into_owned();
        let attribute = |wanted: &str| {
            let found = start.attributes().flatten().find(|one| one.key.local_name().as_ref() == wanted.as_bytes());
            found.map(|one| String::from_utf8_lossy(&one.value).into_owned()).unwrap_or_default()
        };
        match name.as_str() {
            "KeyContainer" => self.is_container = true,
            "KeyPackage" => self.package = Key::default(),
            "Key" if self.inside("KeyPackage") => {
                self.package.line = line;
                self.package.id = attribute("Id");
                self.package.algorithm = attribute("Algorithm");
            }
            "ResponseFormat" => {
                self.package.digits = Some(attribute("Length")).filter(|digits| !digits.is_empty());
                self.package.encoding = attribute("Encoding");
            }
            "MACMethod" => self.protection.mac_algorithm = Some(attribute("Algorithm")),
            "EncryptionMethod" => self.cipher = Some(attribute("Algorithm")),
            "KeyDerivationMethod" => self.protection.derivation = Some(Derivation::new(&attribute("Algorithm"))?),
            "PRF" => {
                if let Some(derivation) = &mut self.protection.derivation {
                    derivation.set_function(&attribute("Algorithm"))?;
                }
            }
            "X509Data" | "KeyName" | "DerivedKey" | "EncryptionKey" => {}
            _ => {}
        }
        self.path.push(name);
        Ok(())
    }

    fn inside(&self, name: &str) -> bool {
        self.path.iter().any(|open| open == name)
    }

    fn append(&mut self, text: &str) -> Result<(), String> {
        if self.text.len() + text.len() > LONGEST_TEXT {
            return Err("has a text that is too long".to_owned());
        }
        self.text.push_str(text);
        Ok(())
    }

    fn leave(&mut self) -> Result<(), String> {
        let Some(name) = self.path.pop() else { return Ok(()) };
        let taken = Zeroizing::new(std::mem::take(&mut *self.text));
        let text = taken.trim();
        let parent = self.path.last().map(String::as_str).unwrap_or_default();
        match (parent, name.as_str()) {
            ("DeviceInfo", "SerialNo") => self.package.serial = cleaned(text),
            ("DeviceInfo", "Manufacturer") => self.package.manufacturer = cleaned(text),
            ("DeviceInfo", "Model") => self.package.model = cleaned(text),
            ("DeviceInfo" | "Key", "UserId") if !text.is_empty() => self.package.owner = cleaned(text),
            ("AlgorithmParameters", "Suite") => self.package.suite = text.to_owned(),
            ("Secret", "PlainValue") => self.package.plain = Some(Zeroizing::new(text.to_owned())),
            ("Secret", "ValueMAC") => self.package.mac = base64(text),
            ("Counter", "PlainValue") => self.package.counter = Some(text.to_owned()),
            ("TimeInterval", "PlainValue") => self.package.period = Some(text.to_owned()),
            ("Counter" | "TimeInterval", "EncryptedValue") => self.package.value_is_locked = true,
            (_, "CipherValue") => self.cipher_value(text)?,
            ("Specified" | "Salt", _) if name == "Specified" || name == "Salt" => self.salt(text),
            (_, "Specified") => self.salt(text),
            (_, "IterationCount") => {
                if let Some(derivation) = &mut self.protection.derivation {
                    derivation.set_iterations(text)?;
                }
            }
            (_, "KeyLength") => {
                if let Some(derivation) = &mut self.protection.derivation {
                    derivation.set_length(text)?;
                }
            }
            ("Key", "Policy") | ("KeyContainer", "Signature") => {}
            (_, "KeyPackage") => self.keys.push(std::mem::take(&mut self.package)),
            _ => {}
        }
        Ok(())
    }

    fn salt(&mut self, text: &str) {
        if let (Some(derivation), Some(salt)) = (&mut self.protection.derivation, base64(text)) {
            derivation.salt = salt;
        }
    }

    fn cipher_value(&mut self, text: &str) -> Result<(), String> {
        let octets = base64(text).ok_or("has an encrypted value that is not Base64")?;
        let algorithm = self.cipher.take().unwrap_or_default();
        let locked = Locked { cipher: Cipher::named(&algorithm)?, octets };
        if self.inside("MACMethod") {
            self.protection.mac_key = Some(locked);
        } else if self.inside("Secret") {
            self.package.locked = Some(locked);
        } else {
            self.package.value_is_locked = true;
        }
        Ok(())
    }
}

fn base64(text: &str) -> Option<Vec<u8>> {
    let plain: Zeroizing<String> = Zeroizing::new(text.chars().filter(|c| !c.is_whitespace()).collect());
    STANDARD.decode(plain.as_bytes()).ok()
}

impl Key {
    fn token(self, opened: &cipher::Opened) -> Result<TokenRow, String> {
        if self.value_is_locked {
            return Err("its counter or time interval is encrypted, which no known vendor does".to_owned());
        }
        let seed = match (&self.plain, &self.locked) {
            (Some(plain), None) => Secret::new(base64(plain).ok_or("its secret is not Base64")?),
            (None, Some(locked)) => opened.open(locked, self.mac.as_deref())?,
            (None, None) => return Err("it has no secret".to_owned()),
            (Some(_), Some(_)) => return Err("it has two secrets".to_owned()),
        };
        if !self.encoding.is_empty() && !self.encoding.eq_ignore_ascii_case("DECIMAL") {
            return Err("its codes are not decimal digits".to_owned());
        }
        let number = |text: &str, what: &str| text.parse::<u64>().map_err(|_| format!("its {what} is no number"));
        let kind = self.algorithm.rsplit([':', '#', '/']).next().unwrap_or_default().to_ascii_lowercase();
        let moving = match kind.as_str() {
            "totp" => {
                let period = self.period.as_deref().map_or(Ok(30), |text| number(text, "time interval"))?;
                Moving::Time { period: u32::try_from(period).map_err(|_| "its time interval is no number")? }
            }
            "hotp" => {
                let next = self.counter.as_deref().map_or(Ok(0), |text| number(text, "counter"))?;
                Moving::Counter { next }
            }
            _ => return Err(format!("its algorithm {:?} is neither TOTP nor HOTP", cleaned(&self.algorithm))),
        };
        let algorithm = if self.suite.is_empty() { Algorithm::Sha1 } else { self.suite.parse()? };
        let digits = self.digits.as_deref().map_or(Ok(6), |text| number(text, "response length"))?;
        let label = format!("{} {}", self.manufacturer, self.model).trim().to_owned();
        let serial = if self.serial.is_empty() { cleaned(&self.id) } else { self.serial };
        Ok(TokenRow {
            line: self.line,
            serial,
            owner: Some(owner(&self.owner)).filter(|owner| !owner.is_empty()),
            label: Some(label).filter(|label| !label.is_empty()),
            seed,
            algorithm,
            digits: u32::try_from(digits).unwrap_or(u32::MAX),
            moving,
        })
    }
}

/// A user id is a DN (RFC 6030 section 4.3.2): `UID=jsmith,DC=example`, `CN=alice`; vendors write plain names, too.
fn owner(text: &str) -> String {
    let first = text.split(',').next().unwrap_or_default().trim();
    match first.split_once('=') {
        Some((attribute, value)) if attribute.eq_ignore_ascii_case("uid") || attribute.eq_ignore_ascii_case("cn") => {
            value.trim().to_owned()
        }
        _ => text.trim().to_owned(),
    }
}

#[cfg(test)]
mod tests;
