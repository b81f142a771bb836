//! As much LDAP (RFC 4511) as the load needs: requests written, answers told apart.

/// Identifier octets.
pub mod tag {
    /// BindRequest.
    pub const BIND: u8 = 0x60;
    /// BindResponse.
    pub const BOUND: u8 = 0x61;
    /// UnbindRequest.
    pub const UNBIND: u8 = 0x42;
    /// SearchRequest.
    pub const SEARCH: u8 = 0x63;
    /// SearchResultEntry.
    pub const ENTRY: u8 = 0x64;
    /// SearchResultDone.
    pub const DONE: u8 = 0x65;
}

const PAGED: &[u8] = b"1.2.840.113556.1.4.319";

fn tlv(out: &mut Vec<u8>, tag: u8, content: &[u8]) {
    out.push(tag);
    match u8::try_from(content.len()) {
        Ok(short) if short < 0x80 => out.push(short),
        _ => {
            let length = u32::try_from(content.len()).unwrap_or(u32::MAX).to_be_bytes();
            out.push(0x84);
            out.extend_from_slice(&length);
        }
    }
    out.extend_from_slice(content);
}

fn nested(tag: u8, inside: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let (mut content, mut out) = (Vec::new(), Vec::new());
    inside(&mut content);
    tlv(&mut out, tag, &content);
    out
}

fn number(out: &mut Vec<u8>, tag: u8, value: u32) {
    let octets = u64::from(value).to_be_bytes();
    let skip = octets.windows(2).take(7).take_while(|pair| matches!(pair, [0, next] if *next < 0x80)).count();
    tlv(out, tag, octets.get(skip..).unwrap_or_default());
}

/// A message with this operation and, perhaps, controls.
fn message(id: u32, operation: &[u8], controls: &[u8]) -> Vec<u8> {
    nested(0x30, |message| {
        number(message, 0x02, id);
        message.extend_from_slice(operation);
        if !controls.is_empty() {
            tlv(message, 0xa0, controls);
        }
    })
}

/// A simple bind.
pub fn bind(id: u32, name: &str, password: &str) -> Vec<u8> {
    let operation = nested(tag::BIND, |bind| {
        number(bind, 0x02, 3);
        tlv(bind, 0x04, name.as_bytes());
        tlv(bind, 0x80, password.as_bytes());
    });
    message(id, &operation, &[])
}

/// An unbind.
pub fn unbind(id: u32) -> Vec<u8> {
    message(id, &[tag::UNBIND, 0], &[])
}

fn search_below(base: &str, filter: &[u8], attributes: &[&str]) -> Vec<u8> {
    nested(tag::SEARCH, |search| {
        tlv(search, 0x04, base.as_bytes());
        number(search, 0x0a, 2);
        number(search, 0x0a, 0);
        number(search, 0x02, 0);
        number(search, 0x02, 0);
        tlv(search, 0x01, &[0]);
        search.extend_from_slice(filter);
        search.extend(nested(0x30, |list| attributes.iter().for_each(|name| tlv(list, 0x04, name.as_bytes()))));
    })
}

/// The filter of one value.
pub fn equal(attribute: &str, value: &str) -> Vec<u8> {
    nested(0xa3, |equal| {
        tlv(equal, 0x04, attribute.as_bytes());
        tlv(equal, 0x04, value.as_bytes());
    })
}

/// A search for one person, as an application makes it before a sign-in.
pub fn search(id: u32, base: &str, uid: &str) -> Vec<u8> {
    let filter = equal("uid", uid);
    message(id, &search_below(base, &filter, &["cn", "mail"]), &[])
}

/// One page of everybody, with all attributes.
pub fn page(id: u32, base: &str, size: u32, cookie: &[u8]) -> Vec<u8> {
    let mut filter = Vec::new();
    tlv(&mut filter, 0x87, b"uid");
    page_of(id, base, size, cookie, &filter, &["*"])
}

/// One page of whatever matches.
pub fn page_of(id: u32, base: &str, size: u32, cookie: &[u8], filter: &[u8], attributes: &[&str]) -> Vec<u8> {
    let value = nested(0x30, |page| {
        number(page, 0x02, size);
        tlv(page, 0x04, cookie);
    });
    let control = nested(0x30, |control| {
        tlv(control, 0x04, PAGED);
        tlv(control, 0x01, &[0xff]);
        tlv(control, 0x04, &value);
    });
    message(id, &search_below(base, filter, attributes), &control)
}

/// An answer: how long it is, and what matters of it.
#[derive(Debug, PartialEq, Eq)]
pub struct Answer<'a> {
    /// Octets of the whole message.
    pub length: usize,
    /// Message id.
    pub id: u32,
    /// Identifier octet of the operation.
    pub tag: u8,
    /// Result code; 0 for an entry.
    pub code: u8,
    /// What follows the operation.
    controls: &'a [u8],
}

impl Answer<'_> {
    /// The cookie of a page: empty after the last.
    pub fn cookie(&self) -> Option<Vec<u8>> {
        let at = self.controls.windows(PAGED.len()).position(|window| window == PAGED)?;
        // the value is an OCTET STRING that holds a SEQUENCE of a number and the cookie
        let (_, value, _) = element(self.controls.get(at + PAGED.len()..)?)?;
        let (_, sequence, _) = element(value)?;
        let (_, _, rest) = element(sequence)?;
        let (_, cookie, _) = element(rest)?;
        Some(cookie.to_vec())
    }
}

/// Tag, content and what follows of the first element; `None` while it is not whole.
fn element(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = bytes.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = if first < 0x80 {
        (usize::from(first), rest)
    } else {
        let (octets, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
        (octets.iter().fold(0, |sum, octet| sum << 8 | usize::from(*octet)), rest)
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((tag, content, rest))
}

/// The answer that `bytes` starts with; `None` while it is not whole.
pub fn answer(bytes: &[u8]) -> Option<Answer<'_>> {
    let (_, message, after) = element(bytes)?;
    let (_, id, rest) = element(message)?;
    let (tag, operation, controls) = element(rest)?;
    let code = match tag {
        tag::ENTRY => 0,
        _ => element(operation).and_then(|(_, code, _)| code.last().copied()).unwrap_or(u8::MAX),
    };
    let id = id.iter().fold(0, |sum, octet| sum << 8 | u32::from(*octet));
    Some(Answer { length: bytes.len() - after.len(), id, tag, code, controls })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bind_is_written_as_the_standard_has_it() {
        assert_eq!(bind(1, "cn=x", "p"), b"\x30\x11\x02\x01\x01\x60\x0c\x02\x01\x03\x04\x04cn=x\x80\x01p");
        assert_eq!(unbind(300), b"\x30\x06\x02\x02\x01\x2c\x42\x00");
    }

    #[test]
    fn an_answer_is_read_once_it_is_whole() {
        let whole = b"\x30\x0c\x02\x01\x07\x61\x07\x0a\x01\x31\x04\x00\x04\x00rest";
        assert_eq!(answer(whole), Some(Answer { length: 14, id: 7, tag: tag::BOUND, code: 49, controls: &[] }));
        assert_eq!(answer(&whole[..13]), None);
    }

    #[test]
    fn the_cookie_of_a_page_is_found() {
        // what we ask for a page carries the same control as what a server answers
        let asked = page(5, "dc=x", 100, b"cookie");
        let (_, message, _) = element(&asked).unwrap();
        let (_, _, rest) = element(message).unwrap();
        let (_, _, controls) = element(rest).unwrap();
        let controls = &controls[..controls.len()];
        // without the criticality, which an answer does not have
        let plain: Vec<u8> = controls.to_vec().into_iter().collect();
        let at = plain.windows(3).position(|window| window == b"\x01\x01\xff").unwrap();
        let plain = [&plain[..at], &plain[at + 3..]].concat();
        let found = Answer { length: 0, id: 5, tag: tag::DONE, code: 0, controls: &plain };
        assert_eq!(found.cookie().as_deref(), Some(&b"cookie"[..]));
    }
}
