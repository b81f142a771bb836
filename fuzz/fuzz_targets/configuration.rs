//! The text of a configuration file: nothing panics, what is refused is refused with at least one mistake, and
//! each mistake points into the file.

#![no_main]

use std::path::Path;
use std::time::{Duration, SystemTime};

use anteroom::config::checked::read;
use anteroom::config::sources::Environment;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    // An input must not make the fuzzer read from a device or a pipe.
    if text.contains("/dev") || text.contains("/proc") {
        return;
    }
    let environment = Environment::of(&[("ANTEROOM_SECRET", "a secret of some length, as it should be")]);
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_767_225_600);
    let lines = text.split('\n').count();
    let warnings = match read(text, Path::new("fuzz/nowhere/anteroom.toml"), &Environment::default(), &environment, now)
    {
        Ok(checked) => checked.warnings,
        Err(refused) => {
            assert!(!refused.mistakes.is_empty());
            for mistake in &refused.mistakes {
                assert!(mistake.line().is_none_or(|line| (1..=lines).contains(&line)), "{mistake}");
            }
            refused.warnings
        }
    };
    assert!(warnings.iter().all(|warning| warning.line().is_none_or(|line| (1..=lines).contains(&line))));
});
