//! Mails: to people who are enrolled or whose details have changed, and to administrators whose word is waited for.
//!
//! ```text
//! import ─ rule: who is written to ─▶ letters in the store, with the import or not at all
//! letters ─ sending: one server takes one ─ template ─▶ client (SMTP) ─▶ forgotten, or tried again later
//! ```
//!
//! * [`rule`]: which change of a person asks for which mail.
//! * [`template`]: what the mails say.
//! * [`sending`]: the loop that sends what waits.
//! * [`client`]: the one file that talks to the mail server.
//!
//! Nothing waits for a mail: an import puts down whom it is about, and a server that is away is asked again later.

pub mod client;
pub mod rule;
pub mod sending;
pub mod template;

/// Longest address, in octets (RFC 5321 section 4.5.3.1.3).
const LONGEST_ADDRESS: usize = 254;

/// Whether a text can be an address to send to or from: `name@domain`, or `Somebody <name@domain>`. Nothing in it can
/// begin another header.
pub fn is_address(text: &str) -> bool {
    let bare = match text.strip_suffix('>').and_then(|text| text.rsplit_once('<')) {
        Some((name, bare)) if !name.contains(['<', '>', '"', ',', ';']) => bare,
        Some(_) => return false,
        None => text,
    };
    let Some((local, domain)) = bare.rsplit_once('@') else { return false };
    let fine = |c: char| !c.is_control() && !c.is_whitespace() && !matches!(c, '<' | '>' | ',' | ';' | '"' | '(' | ')');
    !local.is_empty()
        && !local.contains('@')
        && !domain.is_empty()
        && !domain.starts_with('.')
        && !domain.ends_with('.')
        && bare.len() <= LONGEST_ADDRESS
        && bare.chars().all(fine)
        && !text.chars().any(char::is_control)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_can_be_nothing_but_one_address() {
        for fine in ["a@b", "o'brien@corp.example", "IT Service <it@corp.example>", "jörg@corp.example"] {
            assert!(is_address(fine), "{fine}");
        }
        for bad in
            ["", "a", "@b", "a@", "a b@c", "a@b, c@d", "a@b\r\nBcc: c@d", "X\n <a@b>", "<a@b", "a@b>x", "a@.b", "a@@b"]
        {
            assert!(!is_address(bad), "{bad:?}");
        }
    }
}
