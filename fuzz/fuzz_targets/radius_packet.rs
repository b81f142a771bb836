//! Any bytes: decoding, every reader of attributes, and every verification end without a panic.

#![no_main]

use std::sync::LazyLock;

use anteroom::radius::attribute::{AddressForm, VENDOR_SPECIFIC, split_vendor};
use anteroom::radius::authenticator::{ClientKey, Verified};
use anteroom::radius::packet::{HEADER, Packet};
use anteroom::secret::Secret;
use libfuzzer_sys::fuzz_target;

static KEY: LazyLock<ClientKey> = LazyLock::new(|| ClientKey::new(Secret::new(b"xyzzy5461".to_vec())));

fuzz_target!(|bytes: &[u8]| {
    let Ok(packet) = Packet::decode(bytes) else { return };
    let octets: usize = packet.attributes().map(|attribute| attribute.value.len() + 2).sum();
    assert_eq!(HEADER + octets, packet.bytes().len());
    for attribute in packet.attributes() {
        if attribute.number == VENDOR_SPECIFIC
            && let Some((_, vendors)) = split_vendor(attribute.value)
        {
            assert!(vendors.map(|vendors| vendors.value.len() + 2).sum::<usize>() <= attribute.value.len());
        }
        for form in [AddressForm::Text, AddressForm::TaggedText, AddressForm::Binary] {
            let _ = form.read(attribute.value);
        }
    }
    if let Ok(request) = Verified::request(packet, &KEY)
        && let Ok(Some(password)) = request.password()
    {
        assert!(password.len() <= 128);
    }
    let _ = Verified::accounting(packet, &KEY);
    let _ = Verified::reply(packet, &[0; 16], &KEY);
});
