//! Lines of a configuration that name attributes: nothing panics, and what is accepted fits into a packet.

#![no_main]

use anteroom::radius::attribute::{VENDOR_SPECIFIC, split_vendor};
use anteroom::radius::dictionary::{address_form, parse_reply_attribute, person_address_attribute};
use anteroom::radius::packet::{Builder, Code, HEADER};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|line: &str| {
    match parse_reply_attribute(line) {
        Ok(attribute) => {
            let mut reply = Builder::new(Code::ACCESS_ACCEPT, 0, &[0; 16], HEADER + 255);
            reply.push(attribute.number, &attribute.value).expect("a configured attribute fits");
            assert!(!attribute.value.is_empty());
            if attribute.number == VENDOR_SPECIFIC {
                let (_, inside) = split_vendor(&attribute.value).expect("a vendor and its attribute");
                assert_eq!(inside.map(|inside| inside.value.len() + 2).sum::<usize>() + 4, attribute.value.len());
            }
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
    match person_address_attribute(line) {
        Ok(place) => drop(address_form(place)),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
});
