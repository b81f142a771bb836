use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::signin::pending::HoldKey;

fn states() -> States {
    States::new(&[1; 32], &[2; 32])
}

fn id(number: u8) -> SignInId {
    SignInId::new([number; 12])
}

fn key(number: u8) -> HoldKey {
    HoldKey::testing(number)
}

fn place(person: u64, number: u8, now: Instant) -> Place {
    Place { person, key: key(number), again: now + Duration::from_secs(60), until: now + Duration::from_secs(180) }
}

type Table = Rounds<&'static str, u8>;

#[test]
fn a_state_is_good_for_its_client_and_octet_for_octet() {
    let states = states();
    let reference = states.reference(id(1), 1);
    let state = states.state(reference, "vpn", false);
    assert_eq!(state.len(), STATE);
    assert!(state.iter().all(u8::is_ascii_alphanumeric), "a client that keeps it as text keeps it whole");
    assert_eq!(states.judge(&state, "vpn"), Some((reference, false)));
    assert_eq!(states.judge(&state, "vpn2"), None);
    assert_eq!(states.judge(&state, ""), None);
    for place in 0..state.len() {
        for bit in 0..8 {
            let mut altered = state.clone();
            altered[place] ^= 1 << bit;
            assert_eq!(states.judge(&altered, "vpn"), None, "octet {place}, bit {bit}");
        }
        assert_eq!(states.judge(&state[..place], "vpn"), None, "cut to {place}");
    }
    assert_eq!(states.judge(&[&state[..], &[0]].concat(), "vpn"), None, "one octet more");
}

#[test]
fn each_round_has_a_reference_of_its_own_that_only_this_process_can_tell() {
    let states = states();
    let all = [states.reference(id(1), 1), states.reference(id(1), 2), states.reference(id(2), 1)];
    assert!(all[0] != all[1] && all[0] != all[2] && all[1] != all[2]);
    assert_ne!(States::new(&[3; 32], &[2; 32]).reference(id(1), 1), all[0]);
    // another node of the same house takes its State all the same
    let other = States::new(&[3; 32], &[2; 32]);
    assert_eq!(other.judge(&states.state(all[0], "vpn", false), "vpn"), Some((all[0], false)));
    assert_eq!(States::new(&[1; 32], &[3; 32]).judge(&states.state(all[0], "vpn", false), "vpn"), None);
}

#[test]
fn a_round_is_taken_once_by_whom_it_belongs_to_and_in_time() {
    let (mut rounds, now) = (Table::new(10, 3), Instant::now());
    let reference = states().reference(id(1), 1);
    rounds.keep(reference, "alice", 7, place(1, 1, now));
    assert_eq!(rounds.take(reference, now, |kept| *kept == "bob"), Err(Reason::StateForeign));
    assert_eq!(rounds.take(reference, now + Duration::from_secs(180), |_| true), Err(Reason::StateUsed), "late");
    assert_eq!(rounds.take(reference, now, |kept| *kept == "alice"), Ok("alice"));
    assert_eq!(rounds.take(reference, now, |_| true), Err(Reason::StateUsed), "twice");
    assert!(rounds.is_empty() && rounds.per_person.is_empty() && rounds.ends.is_empty() && rounds.led_to.is_empty());
}

#[test]
fn the_same_request_gets_the_same_challenge_for_a_while() {
    let (mut rounds, now) = (Table::new(10, 3), Instant::now());
    let reference = states().reference(id(1), 1);
    rounds.keep(reference, "alice", 7, place(1, 1, now));
    assert_eq!(rounds.again(key(1), now), Some(7));
    assert_eq!(rounds.again(key(2), now), None);
    assert_eq!(rounds.again(key(1), now + Duration::from_secs(60)), None);
    rounds.take(reference, now, |_| true).unwrap();
    assert_eq!(rounds.again(key(1), now), None, "answered");
}

#[test]
fn rounds_are_bounded_in_all_and_by_person_and_end_in_their_order() {
    let (mut rounds, now) = (Table::new(4, 2), Instant::now());
    let states = states();
    for number in 0..4 {
        assert_eq!(rounds.has_room(u64::from(number / 2)), Ok(()));
        let until = now + Duration::from_secs(100 - u64::from(number));
        let place = Place { until, ..place(u64::from(number / 2), number, now) };
        rounds.keep(states.reference(id(number), 1), ["a", "b", "c", "d"][usize::from(number)], number, place);
        if number == 1 {
            assert_eq!(rounds.has_room(0), Err(Reason::OverHeldPerson));
        }
    }
    assert_eq!(rounds.has_room(9), Err(Reason::OverHeld));
    assert_eq!(rounds.next_end(), Some(now + Duration::from_secs(97)));
    assert_eq!(rounds.expired(now + Duration::from_secs(96)), None);
    let late = now + Duration::from_secs(99);
    assert_eq!([rounds.expired(late), rounds.expired(late), rounds.expired(late)], [Some("d"), Some("c"), Some("b")]);
    assert_eq!((rounds.expired(late), rounds.len()), (None, 1));
    assert_eq!(rounds.clear(), ["a"]);
    assert_eq!((rounds.next_end(), rounds.has_room(0)), (None, Ok(())));
}

#[test]
fn what_is_typed_means_what_was_asked_for() {
    let shown = |ask: &Ask, text: &str| match read(ask, text.as_bytes()) {
        Typed::Nothing => "nothing".to_owned(),
        Typed::Text(text) => format!("text {}", String::from_utf8(text.open().to_vec()).unwrap()),
        Typed::Word(word) => format!("word {} {:?}", word.methods[0], word.device),
        Typed::Choice(place) => format!("choice {place}"),
        Typed::Refresh => "refresh".to_owned(),
    };
    let own = Ask::Code { provider: None, sent: None };
    let sent = Ask::Code { provider: Some("cloud".into()), sent: Some(Method::SmsCode) };
    let menu = Ask::Menu([Method::Push, Method::SmsCode].into());
    let none_of_them = format!("choice {}", usize::MAX);
    for (ask, typed, expected) in [
        (&own, "123456", "text 123456"),
        (&own, " 123456\r\n", "text 123456"),
        (&own, "", "nothing"),
        (&own, "OK", "nothing"),
        (&own, "push2", "word push Some(2)"),
        (&own, "r", "text r"),
        (&own, "ABCD-EFGH", "text ABCD-EFGH"),
        (&sent, "R", "refresh"),
        (&sent, "sms", "word sms_reply None"),
        (&menu, "1", "choice 0"),
        (&menu, "2", "choice 1"),
        (&menu, "3", "choice 2"),
        (&menu, "0", none_of_them.as_str()),
        (&menu, "33", "text 33"),
        (&menu, "call", "word call None"),
        (&menu, "123456", "text 123456"),
        (&Ask::Prompt, "", "nothing"),
    ] {
        assert_eq!(shown(ask, typed), expected, "{ask:?} {typed:?}");
    }
}

proptest! {
    #[test]
    fn no_octets_are_a_state_that_was_not_given(octets in proptest::collection::vec(any::<u8>(), 0..80)) {
        prop_assert_eq!(states().judge(&octets, "vpn"), None);
    }

    #[test]
    fn a_state_of_one_client_is_none_of_any_other(first in "[a-z]{0,12}", second in "[a-z]{0,12}", round in any::<u8>()) {
        let states = states();
        let reference = states.reference(id(9), round);
        let found = states.judge(&states.state(reference, &first, false), &second);
        prop_assert_eq!(found, (first == second).then_some((reference, false)));
    }

    #[test]
    fn no_octets_panic(text in proptest::collection::vec(any::<u8>(), 0..40)) {
        let _ = read(&Ask::Code { provider: None, sent: Some(Method::SmsCode) }, &text);
        let _ = read(&Ask::Menu([Method::Push].into()), &text);
    }

    /// Whatever is kept, taken, refused and forgotten in whatever order: counts and queues stay true, nothing comes
    /// out twice, nothing comes out of another's hands.
    #[test]
    fn each_round_comes_out_once(steps in proptest::collection::vec((0..4_u8, 0..12_u8, 0..200_u64), 0..200)) {
        let (mut rounds, start) = (Rounds::<u8, u8>::new(6, 2), Instant::now());
        let states = states();
        let (mut out, mut now) = (Vec::new(), start);
        let mut kept = Vec::new();
        for (what, number, seconds) in steps {
            match what {
                0 if !kept.contains(&number) && rounds.has_room(u64::from(number % 3)).is_ok() => {
                    rounds.keep(states.reference(id(number), 1), number, number, place(u64::from(number % 3), number, now));
                    kept.push(number);
                }
                1 => out.extend(rounds.take(states.reference(id(number), 1), now, |owner| *owner == number).ok()),
                2 => prop_assert!(rounds.take(states.reference(id(number), 1), now, |_| false).is_err()),
                3 => {
                    now += Duration::from_secs(seconds);
                    out.extend(std::iter::from_fn(|| rounds.expired(now)));
                }
                _ => {}
            }
            prop_assert!(rounds.len() <= 6 && rounds.ends.len() == rounds.len() && rounds.led_to.len() <= rounds.len());
            prop_assert!(rounds.per_person.values().all(|count| (1..=2).contains(count)));
            prop_assert_eq!(rounds.per_person.values().sum::<usize>(), rounds.len());
        }
        out.extend(rounds.clear());
        out.sort_unstable();
        kept.sort_unstable();
        prop_assert_eq!(out, kept);
    }
}
