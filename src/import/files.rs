//! What the readers of files have in common: lines that are wrong, and the shapes of text that spreadsheets
//! write. Pure.

use std::borrow::Cow;
use std::fmt;

/// Longest file that is read, in octets.
pub const LONGEST_FILE: u64 = 256 * 1024 * 1024;

/// A line that cannot be used. Never carries a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadLine {
    /// Its number, from 1.
    pub line: u64,
    /// What is wrong with it.
    pub why: String,
}

impl fmt::Display for BadLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.why)
    }
}

/// The text of a file: UTF-8 with or without a byte order mark, or UTF-16 with one, as Windows tools write it.
///
/// # Errors
/// When it is neither.
pub fn text_of(octets: &[u8]) -> Result<Cow<'_, str>, String> {
    let wide = |pairs: &[[u8; 2]], read: fn([u8; 2]) -> u16| {
        let units = pairs.iter().map(|pair| read(*pair));
        char::decode_utf16(units).collect::<Result<String, _>>().map(Cow::Owned)
    };
    match octets {
        [0xff, 0xfe, rest @ ..] => {
            wide(rest.as_chunks::<2>().0, u16::from_le_bytes).map_err(|_| "is no UTF-16 text".to_owned())
        }
        [0xfe, 0xff, rest @ ..] => {
            wide(rest.as_chunks::<2>().0, u16::from_be_bytes).map_err(|_| "is no UTF-16 text".to_owned())
        }
        [0xef, 0xbb, 0xbf, rest @ ..] => utf8(rest),
        all => utf8(all),
    }
}

fn utf8(octets: &[u8]) -> Result<Cow<'_, str>, String> {
    std::str::from_utf8(octets).map(Cow::Borrowed).map_err(|error| {
        let line = octets.iter().take(error.valid_up_to()).filter(|octet| **octet == b'\n').count() + 1;
        format!("is no UTF-8 text (line {line}); save it as UTF-8")
    })
}

/// Numbers of the lines of a text, for places that come in their order. A line ends with LF, CRLF or, as spreadsheets
/// of a Macintosh write, with CR alone, which the readers of CSV and XML count for none.
pub struct Lines<'a> {
    text: &'a [u8],
    at: usize,
    line: u64,
}

impl<'a> Lines<'a> {
    /// Numbers from the beginning of a text.
    pub fn new(text: &'a str) -> Self {
        Self { text: text.as_bytes(), at: 0, line: 1 }
    }

    /// The line of the first octet at or behind a place that ends no line: a reader that ends a line with CR finds
    /// the LF, and lines with nothing on them, in front of the next.
    pub fn of(&mut self, place: u64) -> u64 {
        let place = usize::try_from(place).unwrap_or(usize::MAX);
        while let Some(octet) = self.text.get(self.at)
            && (self.at < place || matches!(octet, b'\r' | b'\n'))
        {
            let ends = *octet == b'\n' || *octet == b'\r' && self.text.get(self.at + 1) != Some(&b'\n');
            self.line += u64::from(ends);
            self.at += 1;
        }
        self.line
    }
}

/// The separator that the first line uses: comma, semicolon or tab, whichever is there most often outside quotes.
pub fn separator(text: &str) -> u8 {
    let mut quoted = false;
    let mut counts = [(b',', 0), (b';', 0), (b'\t', 0)];
    for octet in text.bytes() {
        match octet {
            b'"' => quoted = !quoted,
            b'\n' | b'\r' if !quoted => break,
            other if !quoted => counts.iter_mut().filter(|(known, _)| *known == other).for_each(|(_, n)| *n += 1),
            _ => {}
        }
    }
    // The first of the most frequent: `max_by_key` would take the last.
    let [first, rest @ ..] = counts;
    rest.into_iter().fold(first, |best, next| if next.1 > best.1 { next } else { best }).0
}

/// A column's name without what people write differently: case, blanks, dashes, dots.
pub fn column(name: &str) -> String {
    name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

/// Yes or no in the words of several programs.
pub fn yes_or_no(text: &str) -> Option<bool> {
    match text.trim().to_ascii_lowercase().as_str() {
        "true" | "yes" | "y" | "1" | "enabled" | "on" => Some(true),
        "false" | "no" | "n" | "0" | "disabled" | "off" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_of_spreadsheets_are_read_in_every_encoding_they_use() {
        let wide = |mark: [u8; 2], octets: fn(u16) -> [u8; 2]| {
            mark.into_iter().chain("é,b".encode_utf16().flat_map(octets)).collect::<Vec<u8>>()
        };
        assert_eq!(text_of(&wide([0xff, 0xfe], u16::to_le_bytes)).unwrap(), "é,b");
        assert_eq!(text_of(&wide([0xfe, 0xff], u16::to_be_bytes)).unwrap(), "é,b");
        assert_eq!(text_of("\u{feff}é,b".as_bytes()).unwrap(), "é,b");
        assert_eq!(text_of("é,b".as_bytes()).unwrap(), "é,b");
        assert!(text_of(b"a\nb\xe9").unwrap_err().contains("line 2"));
    }

    #[test]
    fn the_separator_is_the_one_that_the_first_line_uses() {
        assert_eq!(separator("a,b,c\n1;2;3;4;5"), b',');
        assert_eq!(separator("a;b\n"), b';');
        assert_eq!(separator("\"a,b,c\";d"), b';');
        assert_eq!(separator("a\tb\tc"), b'\t');
        assert_eq!(separator("a;b\r1,2,3"), b';');
        assert_eq!(separator("alone"), b',');
    }

    #[test]
    fn lines_are_counted_whichever_way_they_end() {
        for end in ["\n", "\r\n", "\r"] {
            let text = ["a", "b", "", "", "c", "d"].join(end);
            let mut lines = Lines::new(&text);
            let place = |text: &str, wanted: char| u64::try_from(text.find(wanted).unwrap()).unwrap();
            assert_eq!(lines.of(0), 1);
            assert_eq!(lines.of(place(&text, 'b')), 2, "{end:?}");
            assert_eq!(lines.of(place(&text, 'b') + 1), 5, "{end:?}: behind b, so at c");
            assert_eq!(lines.of(place(&text, 'd')), 6, "{end:?}");
            assert_eq!(lines.of(u64::MAX), 6, "{end:?}");
        }
    }

    #[test]
    fn columns_are_the_same_however_they_are_spelled() {
        for name in ["User Name", "user_name", "USERNAME", "user-name "] {
            assert_eq!(column(name), "username");
        }
    }
}
