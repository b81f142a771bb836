//! `Authorization` headers and idempotency keys: nothing panics, what is taken apart is written the same way
//! again, and no header verifies but the one that we would write.

#![no_main]

use std::sync::LazyLock;

use anteroom::factor::native::signing::{Claim, Signed, Signer};
use anteroom::factor::native::wire::{Key, is_id};
use anteroom::secret::Secret;
use libfuzzer_sys::fuzz_target;

static SIGNER: LazyLock<Signer> = LazyLock::new(|| {
    Signer::new("anteroom-1", &Secret::new(b"0123456789abcdef0123456789abcdef".to_vec())).expect("long enough")
});

fuzz_target!(|header: &str| {
    if let Some(claim) = Claim::parse(header) {
        let body = br#"{"idempotency_key":"000102030405060708090a0b"}"#;
        let signed = Signed { method: "POST", target: "/v1/verifications", time: claim.time, nonce: claim.nonce, body };
        let ours = SIGNER.header(signed);
        assert_eq!(
            Claim::parse(&ours),
            Some(Claim { key: "anteroom-1", signature: SIGNER.signature(signed), ..claim })
        );
        assert_eq!(SIGNER.verifies(signed, &claim.signature), ours.ends_with(&header[header.len() - 64..]));
    }
    if let Some(sign_in) = Key::parse(header) {
        assert_eq!(Key::of(sign_in).as_str(), header);
    }
    if is_id(header) {
        assert!(!header.contains(['/', '?', '#', '.', '%', ' ']));
    }
});
