//! A State that comes back with whatever was typed: nothing panics, and none is taken but those that were given out, each
//! through its own client and octet for octet.

#![no_main]

use anteroom::signin::attempt::SignInId;
use anteroom::signin::challenge::{Ask, STATE, States, read};
use anteroom::users::model::Method;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let states = States::new(&[1; 32], &[2; 32]);
    let (head, typed) = data.split_at(data.len().min(STATE + 1));
    // The keys are known here, and a fuzzer that watches comparisons may put a whole State together. One that is taken is
    // octet for octet the one that would be given out.
    if let Some((reference, stays)) = states.judge(head, "vpn") {
        assert_eq!(*states.state(reference, "vpn", stays), *head);
    }

    let (octets, rest) = head.split_at(head.len().min(12));
    let mut id = [0; 12];
    id[..octets.len()].copy_from_slice(octets);
    let (round, stays) = (rest.first().copied().unwrap_or_default(), rest.get(1).is_some_and(|octet| octet & 1 == 1));
    let reference = states.reference(SignInId::new(id), round);
    let state = states.state(reference, "vpn", stays);
    assert_eq!(states.judge(&state, "vpn"), Some((reference, stays)));
    assert!(states.judge(&state, "vpn2").is_none());
    if let [place, change, ..] = *rest {
        let mut altered = state.clone();
        if let Some(octet) = altered.get_mut(usize::from(place) % STATE) {
            *octet ^= change;
        }
        assert_eq!(states.judge(&altered, "vpn").is_some(), altered == state);
    }

    let ways: Box<[Method]> = Method::ALL.into();
    let sent = Ask::Code { provider: None, sent: Some(Method::SmsCode) };
    for ask in [sent, Ask::Menu(ways), Ask::Prompt, Ask::Pin, Ask::NewPin, Ask::RepeatPin, Ask::NextCode] {
        let _ = read(&ask, typed);
    }
});
