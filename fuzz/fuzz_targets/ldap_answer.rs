//! Octets from a directory, read as the answer to a bind and as entries: nothing panics, and the only yes is
//! the exact one.

#![no_main]

use anteroom::ldap::ber::ENUMERATED;
use anteroom::ldap::bind::{read_answer, read_bind_response};
use anteroom::ldap::message::{frame_length, op};
use anteroom::ldap::search::Entry;
use anteroom::primary::names::{guid_octets, guid_text};
use libfuzzer_sys::fuzz_target;

const ID: u32 = 7;

fuzz_target!(|data: &[u8]| {
    if let Ok(Some(length)) = frame_length(data, 1 << 20) {
        let frame = &data[..length];
        if let Ok(result) = read_bind_response(frame, ID) {
            let _ = result.refusal();
            if result.code == 0 {
                let envelope = read_answer(frame, ID).expect("it was read");
                assert_eq!((envelope.message_id, envelope.op_tag), (ID, op::BIND_RESPONSE));
                let code = envelope.operation(frame).next().expect("a result");
                assert_eq!(code.tag, ENUMERATED);
                assert!(!code.value.is_empty() && code.value.iter().all(|octet| *octet == 0));
            }
        }
        if let Ok(envelope) = read_answer(frame, ID)
            && let Ok(entry) = Entry::read(envelope.operation(frame))
        {
            for (description, values) in entry.attributes() {
                if let Ok(name) = std::str::from_utf8(description) {
                    let _ = (entry.first_text(name), entry.ranged(name));
                }
                values.for_each(|value| {
                    if let Some(text) = guid_text(value) {
                        assert_eq!(guid_octets(&text).as_ref().map(<[u8; 16]>::as_slice), Some(value));
                    }
                });
            }
        }
    }
});
