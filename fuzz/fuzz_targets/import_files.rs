//! Files of people and of tokens: CSV, PSKC and `otpauth://` lists. Nothing panics, and what is taken is within its
//! bounds.

#![no_main]

use anteroom::import::csv::{self, Defaults};
use anteroom::import::files::text_of;
use anteroom::import::tokens::{self, Opener};
use anteroom::secret::Secret;
use anteroom::users::model::Method;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = text_of(data) else { return };
    let defaults = Defaults { method: Method::Push, language: "en".into(), region: Some("US".into()) };
    if let Ok(sheet) = csv::read(&text, &defaults) {
        for row in &sheet.rows {
            assert!(!row.profile.person.name.is_empty() && row.profile.person.name.len() <= 256);
            assert!(row.line > 1);
        }
    }
    let opener = Opener { key: Some(Secret::new(vec![7; 16])), passphrase: None };
    if let Ok(file) = tokens::read(&text, &opener) {
        for token in &file.tokens {
            assert!((6..=8).contains(&token.digits) && !token.serial.is_empty());
            assert!((10..=128).contains(&token.seed.len()));
        }
    }
});
