//! Lines of a configuration that name attributes, and dictionaries added by file: nothing panics, and what is accepted
//! fits into a packet.

#![no_main]

use anteroom::config::ReplyAttribute;
use anteroom::radius::attribute::{VENDOR_SPECIFIC, split_vendor};
use anteroom::radius::dictionary::Dictionary;
use anteroom::radius::packet::{Builder, Code, HEADER};
use anteroom::radius::template::{Wording, first_value};
use libfuzzer_sys::fuzz_target;

fn fits(attribute: &ReplyAttribute) {
    let mut reply = Builder::new(Code::ACCESS_ACCEPT, 0, &[0; 16], HEADER + 255);
    reply.push(attribute.number, &attribute.value).expect("a configured attribute fits");
    assert!(!attribute.value.is_empty());
}

fuzz_target!(|text: &str| {
    match Dictionary::shipped().parse_reply_attribute(text) {
        Ok((writable, attribute)) => {
            fits(&attribute);
            assert!(writable.show(&attribute).starts_with(writable.name()));
            if attribute.number == VENDOR_SPECIFIC {
                let (_, inside) = split_vendor(&attribute.value).expect("a vendor and its attribute");
                assert_eq!(inside.map(|inside| inside.value.len() + 2).sum::<usize>() + 4, attribute.value.len());
            }
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
    if let Err(error) = Dictionary::shipped().person_address(text) {
        assert!(!error.to_string().is_empty());
    }
    for sourced in [false, true] {
        let _ = Wording::parse(text, sourced);
    }
    if let Some(value) = first_value(text) {
        assert!(!value.is_empty() && value.len() <= text.len());
    }
    let mut dictionary = Dictionary::default();
    let lines = text.lines().count();
    match dictionary.read("fuzz", text, &mut |_, named| Ok(Some(("more".into(), named.replace('|', "\n"))))) {
        Ok(()) => {
            for word in text.split_ascii_whitespace() {
                let Ok(writable) = dictionary.writable(word) else { continue };
                for value in ["1", "x", "0x00", "192.0.2.7", "::/0", "00:11:22:33:44:55"] {
                    if let Ok(attribute) = writable.value(value) {
                        fits(&attribute);
                    }
                }
            }
        }
        Err(error) => assert!(error.line <= lines.max(1) && !error.what.is_empty()),
    }
});
