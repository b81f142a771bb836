//! An XML document as a small tree, bounded in depth, number and length. A DOCTYPE and entities of one's own are
//! refused. Texts are wiped when dropped: an export holds shared secrets in the clear.

use quick_xml::Reader;
use quick_xml::XmlVersion;
use quick_xml::events::{BytesStart, Event};
use zeroize::Zeroizing;

/// Elements within each other: an NPS export has a dozen.
const DEEPEST: usize = 32;
/// Elements in all: an NPS export with its schema has some ten thousand.
const MOST: usize = 500_000;
/// Octets of one element's text.
const LONGEST_TEXT: usize = 64 * 1024;

/// One element.
#[derive(Debug, Default)]
pub struct Node {
    /// Its tag, without a prefix.
    pub tag: String,
    /// Its attribute `name`, if it has one.
    pub name: Option<String>,
    /// Line of its start, from 1.
    pub line: u64,
    /// Its own text, not that of elements within it.
    text: Zeroizing<String>,
    /// The elements within it, in order.
    pub children: Vec<Node>,
}

impl Node {
    /// The first element within it that has this tag.
    pub fn child(&self, tag: &str) -> Option<&Node> {
        self.children.iter().find(|child| child.tag == tag)
    }

    /// The element that is reached through elements with these tags.
    pub fn at(&self, path: &[&str]) -> Option<&Node> {
        path.iter().try_fold(self, |node, tag| node.child(tag))
    }

    /// Its name as people know it: the attribute, else the tag.
    pub fn called(&self) -> &str {
        self.name.as_deref().unwrap_or(&self.tag)
    }

    /// Its text without blanks around it. May be a secret.
    pub fn text(&self) -> &str {
        self.text.trim()
    }

    /// Whether there are blanks around its text.
    pub fn has_blanks(&self) -> bool {
        self.text.len() != self.text.trim().len()
    }
}

/// Reads a document; its one element.
///
/// # Errors
/// Why it is none, without any of its text.
pub fn read(text: &str) -> Result<Node, String> {
    let mut reader = Reader::from_str(text);
    reader.config_mut().expand_empty_elements = true;
    let mut open: Vec<Node> = vec![Node::default()];
    let (mut count, mut at, mut line) = (0_usize, 0_usize, 1_u64);
    loop {
        let position = usize::try_from(reader.buffer_position()).unwrap_or(usize::MAX);
        let passed = text.as_bytes().get(at..position).unwrap_or_default();
        line += u64::try_from(passed.iter().filter(|octet| **octet == b'\n').count()).unwrap_or_default();
        at = at.max(position);
        let event = reader.read_event().map_err(|_| format!("is no well-formed XML (near line {line})"))?;
        match event {
            Event::Start(start) => {
                count += 1;
                if open.len() > DEEPEST || count > MOST {
                    return Err(format!("has too many elements, or too deep ones (line {line})"));
                }
                open.push(begun(&start, line)?);
            }
            Event::Text(part) => append(&mut open, &part.decode().map_err(|_| NO_UTF8)?)?,
            Event::CData(part) => append(&mut open, &part.decode().map_err(|_| NO_UTF8)?)?,
            Event::GeneralRef(reference) => {
                let name = reference.decode().map_err(|_| NO_UTF8)?;
                let character = match reference.resolve_char_ref() {
                    Ok(Some(character)) => Some(character),
                    Ok(None) => entity(&name),
                    Err(_) => None,
                };
                let character = character.ok_or_else(|| format!("uses an entity of its own (line {line})"))?;
                append(&mut open, character.encode_utf8(&mut [0; 4]))?;
            }
            Event::End(_) => {
                let done = open.pop().ok_or(UNBALANCED)?;
                open.last_mut().ok_or(UNBALANCED)?.children.push(done);
            }
            Event::DocType(_) => return Err("has a DOCTYPE, which no export has".to_owned()),
            Event::Eof => break,
            Event::Empty(_) | Event::Comment(_) | Event::Decl(_) | Event::PI(_) => {}
        }
    }
    match (open.pop(), open.is_empty()) {
        (Some(mut document), true) if document.children.len() == 1 => document.children.pop().ok_or(UNBALANCED.into()),
        _ => Err(UNBALANCED.to_owned()),
    }
}

const NO_UTF8: &str = "is no UTF-8 XML";
const UNBALANCED: &str = "is no whole XML document";

fn begun(start: &BytesStart<'_>, line: u64) -> Result<Node, String> {
    let tag = std::str::from_utf8(start.local_name().into_inner()).map_err(|_| NO_UTF8)?.to_owned();
    let mut name = None;
    for attribute in start.attributes() {
        let attribute = attribute.map_err(|_| format!("has a broken attribute (line {line})"))?;
        if attribute.key.as_ref() == b"name" {
            let value = attribute
                .normalized_value(XmlVersion::Implicit1_0)
                .map_err(|_| format!("has a broken attribute (line {line})"))?;
            if value.len() > LONGEST_TEXT {
                return Err(format!("has a text that is too long (line {line})"));
            }
            name = Some(value.into_owned());
        }
    }
    Ok(Node { tag, name, line, ..Node::default() })
}

fn append(open: &mut [Node], part: &str) -> Result<(), String> {
    let Some(node) = open.last_mut() else { return Err(UNBALANCED.into()) };
    if node.text.len() + part.len() > LONGEST_TEXT {
        return Err(format!("has a text that is too long (line {})", node.line));
    }
    // Grown by hand: a `String` that moves leaves its old octets behind.
    if node.text.capacity() < node.text.len() + part.len() {
        let mut longer = Zeroizing::new(String::with_capacity((node.text.len() + part.len()).next_power_of_two()));
        longer.push_str(&node.text);
        node.text = longer;
    }
    node.text.push_str(part);
    Ok(())
}

/// The entities that every XML has.
fn entity(name: &str) -> Option<char> {
    match name {
        "amp" => Some('&'),
        "lt" => Some('<'),
        "gt" => Some('>'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_have_names_lines_and_texts() {
        let root = read("<?xml version=\"1.0\"?>\n<Root xmlns:dt=\"u\">\n <A name=\"An &amp; a\">\n<b dt:dt=\"int\">x&lt;&#65;<![CDATA[&]]></b></A>\n<b/></Root>").unwrap();
        let a = root.child("A").unwrap();
        assert_eq!((root.tag.as_str(), a.called(), a.line), ("Root", "An & a", 3));
        assert_eq!((a.child("b").unwrap().text(), a.child("b").unwrap().line), ("x<A&", 4));
        assert_eq!(root.at(&["b"]).unwrap().text(), "");
        assert!(root.at(&["A", "c"]).is_none());
    }

    #[test]
    fn what_is_no_export_is_refused() {
        let deep = "<a>".repeat(DEEPEST + 1);
        let long = format!("<a>{}</a>", "x".repeat(LONGEST_TEXT + 1));
        for text in [
            "",
            "text",
            "<a>",
            "<a></b>",
            "<a/><b/>",
            "<!DOCTYPE a [<!ENTITY b \"c\">]><a>&b;</a>",
            "<a>&b;</a>",
            "<a>&#xffffffff;</a>",
            "<a name=\"&b;\"/>",
            &deep,
            &long,
        ] {
            assert!(read(text).is_err(), "{:?}", text.chars().take(40).collect::<String>());
        }
    }
}
