use super::*;

pub(super) fn bounds() -> config::Throttle {
    config::Throttle {
        failures_per_person: 3,
        failures_per_source: 5,
        window: Duration::from_secs(60),
        prompts_per_person: 3,
        prompt_window: Duration::from_secs(600),
        denial_backoff: Duration::from_secs(30),
        fraud_block: Duration::from_secs(3600),
        lockout: None,
    }
}

fn fail(throttle: &mut Throttle, person: &str, source: Option<IpAddr>, now: Instant) -> Result<(), Reason> {
    let permit = throttle.admit(person, source, now)?;
    throttle.settle(permit, Guess::Wrong, now);
    Ok(())
}

#[test]
fn guesses_are_stopped_at_the_bound_and_start_again_after_the_window() {
    let (mut throttle, start) = (Throttle::new(bounds()), Instant::now());
    for _ in 0..3 {
        assert_eq!(fail(&mut throttle, "alice", None, start), Ok(()));
    }
    assert_eq!(fail(&mut throttle, "alice", None, start), Err(Reason::ThrottledPerson));
    assert_eq!(fail(&mut throttle, "bob", None, start), Ok(()), "bob is somebody else");
    let later = start + Duration::from_secs(59);
    assert_eq!(fail(&mut throttle, "alice", None, later), Err(Reason::ThrottledPerson));
    assert_eq!(fail(&mut throttle, "alice", None, start + Duration::from_secs(60)), Ok(()));
}

#[test]
fn the_window_counts_from_the_last_failure_as_the_directory_does() {
    let (mut throttle, start) = (Throttle::new(bounds()), Instant::now());
    for second in [0, 50, 100] {
        assert_eq!(fail(&mut throttle, "alice", None, start + Duration::from_secs(second)), Ok(()));
    }
    let now = start + Duration::from_secs(150);
    assert_eq!(fail(&mut throttle, "alice", None, now), Err(Reason::ThrottledPerson));
}

#[test]
fn guesses_under_way_count() {
    let (mut throttle, now) = (Throttle::new(bounds()), Instant::now());
    let permits: Vec<_> = (0..3).map(|_| throttle.admit("alice", None, now).unwrap()).collect();
    assert_eq!(throttle.admit("alice", None, now).unwrap_err(), Reason::ThrottledPerson);
    for permit in permits {
        throttle.settle(permit, Guess::Uncounted, now);
    }
    assert!(throttle.admit("alice", None, now).is_ok());
}

#[test]
fn who_guesses_elsewhere_leaves_the_last_try_to_the_person_at_their_own_place() {
    let (mut throttle, mut now) = (Throttle::new(bounds()), Instant::now());
    let [home, away] = ["198.51.100.7", "192.0.2.1"].map(|address| Some(address.parse().unwrap()));
    let right = |throttle: &mut Throttle, source, now| {
        let permit = throttle.admit("alice", source, now)?;
        throttle.settle(permit, Guess::Right, now);
        Ok::<_, Reason>(())
    };
    assert_eq!(right(&mut throttle, home, now), Ok(()));
    for guesser in [away, None] {
        // Guessing goes on and on; she comes in each time.
        for _ in 0..3 {
            let guessed = (0..10).filter(|_| fail(&mut throttle, "alice", guesser, now).is_ok()).count();
            assert_eq!(guessed, 2, "one below the bound");
            assert_eq!(right(&mut throttle, home, now), Ok(()));
            now += Duration::from_secs(60);
        }
    }
    let typos = (0..10).filter(|_| fail(&mut throttle, "alice", home, now).is_ok()).count();
    assert_eq!(typos, 3, "in all not more than the bound");
    assert_eq!(fail(&mut throttle, "alice", home, now + REMEMBERED), Ok(()));
    let guessed = (0..10).filter(|_| fail(&mut throttle, "bob", away, now + REMEMBERED).is_ok()).count();
    assert_eq!(guessed, 3, "nothing is kept for who has never been here");
}

#[test]
fn a_person_has_a_few_places_and_the_table_of_them_stays_bounded() {
    let (mut throttle, now) = (Throttle::new(bounds()), Instant::now());
    let address = |number: usize| IpAddr::from(u32::try_from(number).unwrap().to_be_bytes());
    for number in 0..ENTRIES + 10 {
        throttle.remember(u64::try_from(number).unwrap(), address(number), now);
    }
    assert!(throttle.places.len() <= ENTRIES);
    for number in 0..PLACES * 2 {
        throttle.remember(7, address(number), now);
    }
    let places: Vec<IpAddr> = throttle.places[&7].iter().map(|(place, _)| *place).collect();
    assert_eq!(places, (PLACES..PLACES * 2).map(address).collect::<Vec<_>>(), "the latest");
}

#[test]
fn an_unknown_answer_counts_once_for_each_password() {
    let (mut throttle, now) = (Throttle::new(bounds()), Instant::now());
    let source = Some("192.0.2.1".parse().unwrap());
    let mut unknown = |person: &str, password| {
        let permit = throttle.admit(person, source, now)?;
        throttle.settle(permit, Guess::Unknown(password), now);
        Ok(())
    };
    for _ in 0..20 {
        assert_eq!(unknown("alice", 1), Ok(()), "the same password again and again");
    }
    for password in [1, 2, 3] {
        assert_eq!(unknown("bob", password), Ok(()));
    }
    assert_eq!(unknown("bob", 4), Err(Reason::ThrottledPerson), "guesses count guess by guess");
    for number in 0..20 {
        assert_eq!(unknown(&format!("person {number}"), 1), Ok(()), "an outage does not shut out an office");
    }
}

#[test]
fn a_right_password_clears_the_person_but_not_the_address() {
    let (mut throttle, now) = (Throttle::new(bounds()), Instant::now());
    let source = Some("192.0.2.1".parse().unwrap());
    for person in ["a", "b", "c", "d"] {
        assert_eq!(fail(&mut throttle, person, source, now), Ok(()));
    }
    let permit = throttle.admit("a", source, now).unwrap();
    throttle.settle(permit, Guess::Right, now);
    assert_eq!(fail(&mut throttle, "e", source, now), Ok(()));
    assert_eq!(fail(&mut throttle, "f", source, now), Err(Reason::ThrottledSource));
    assert_eq!(fail(&mut throttle, "f", None, now), Ok(()));
}

#[test]
fn prompts_are_bounded_and_denials_back_off_twice_as_long_each_time() {
    let (mut throttle, start) = (Throttle::new(bounds()), Instant::now());
    assert_eq!(throttle.prompt("alice", start), Ok(()));
    throttle.denied("alice", start);
    assert_eq!(throttle.prompt("alice", start + Duration::from_secs(29)), Err(Reason::PromptLimited));
    let second = start + Duration::from_secs(30);
    assert_eq!(throttle.prompt("alice", second), Ok(()));
    throttle.denied("alice", second);
    assert_eq!(throttle.prompt("alice", second + Duration::from_secs(59)), Err(Reason::PromptLimited));
    let third = second + Duration::from_secs(60);
    assert_eq!(throttle.prompt("alice", third), Ok(()));
    assert_eq!(throttle.prompt("alice", third), Err(Reason::PromptLimited), "three in the window");
    assert!(throttle.approved("alice", third, third));
    assert_eq!(throttle.prompt("alice", third), Ok(()));
}

#[test]
fn from_the_second_unanswered_prompt_in_a_row_on_nobody_is_asked_for_a_while() {
    let bounds = config::Throttle { prompts_per_person: 100, ..bounds() };
    let (mut throttle, mut now) = (Throttle::new(bounds), Instant::now());
    let second = Duration::from_secs(1);
    assert_eq!(throttle.prompt("alice", now), Ok(()));
    throttle.unanswered("alice", now);
    for pause in [30, 60, 120].map(Duration::from_secs) {
        assert_eq!(throttle.prompt("alice", now), Ok(()));
        assert_eq!(throttle.prompt("bob", now), Ok(()), "bob is somebody else");
        throttle.unanswered("alice", now);
        assert_eq!(throttle.prompt("alice", now + pause - second), Err(Reason::PromptLimited), "{pause:?}");
        now += pause;
    }
    assert_eq!(throttle.prompt("alice", now), Ok(()));
    throttle.unanswered("alice", now);
    assert_eq!(throttle.prompt("alice", now), Err(Reason::PromptLimited));
    assert!(throttle.approved("alice", now, now), "another prompt, that was open at the same time");
    for _ in 0..2 {
        assert_eq!(throttle.prompt("alice", now), Ok(()), "an approval clears it");
        throttle.unanswered("alice", now);
    }
    assert_eq!(throttle.prompt("alice", now + second), Err(Reason::PromptLimited));
}

#[test]
fn codes_are_counted_by_themselves_and_no_quiet_holds_them() {
    let (mut throttle, start) = (Throttle::new(bounds()), Instant::now());
    // Bombed until nothing goes out any more, and one of them denied.
    for _ in 0..3 {
        assert_eq!(throttle.prompt("alice", start), Ok(()));
        throttle.unanswered("alice", start);
        throttle.prompts_of("alice", start).refusals().patient_until = None;
    }
    throttle.denied("alice", start);
    let soon = start + Duration::from_secs(1);
    assert_eq!(throttle.would_prompt("alice", false, soon), Err(Reason::PromptLimited));
    assert_eq!(throttle.would_prompt("alice", true, soon), Ok(()), "her own code is looked at");
    for _ in 0..3 {
        assert_eq!(throttle.code("alice", soon), Ok(()));
    }
    assert_eq!(throttle.would_prompt("alice", true, soon), Err(Reason::PromptLimited));
    assert_eq!(throttle.code("alice", soon), Err(Reason::PromptLimited), "guesses are bounded, too");
    assert_eq!(throttle.code("bob", soon), Ok(()), "bob is somebody else");
    // A new window is one for both, and leaves the quiet as it was.
    let mut late = start + Duration::from_secs(599);
    throttle.denied("alice", late);
    late = start + Duration::from_secs(600);
    assert_eq!(throttle.code("alice", late), Ok(()));
    assert_eq!(throttle.prompt("alice", late), Err(Reason::PromptLimited), "a denial just now");
    // A right one clears both counts.
    assert_eq!([throttle.code("alice", late), throttle.code("alice", late)], [Ok(()), Ok(())]);
    assert!(throttle.approved("alice", late, late));
    assert_eq!(throttle.code("alice", late), Ok(()));
}

#[test]
fn an_answer_between_them_ends_the_row_of_unanswered_prompts() {
    let (mut throttle, mut now) = (Throttle::new(bounds()), Instant::now());
    throttle.unanswered("alice", now);
    throttle.denied("alice", now);
    now += Duration::from_secs(30);
    throttle.unanswered("alice", now);
    assert_eq!(throttle.prompt("alice", now), Ok(()));
}

#[test]
fn an_unanswered_prompt_does_not_shorten_the_pause_after_a_denial() {
    let (mut throttle, now) = (Throttle::new(bounds()), Instant::now());
    throttle.denied("alice", now);
    throttle.denied("alice", now);
    throttle.unanswered("alice", now);
    throttle.unanswered("alice", now);
    assert_eq!(throttle.prompt("alice", now + Duration::from_secs(59)), Err(Reason::PromptLimited));
    assert_eq!(throttle.prompt("alice", now + Duration::from_secs(60)), Ok(()));
}

#[test]
fn a_denial_counts_although_another_prompt_was_approved_at_the_same_time() {
    for approved_first in [true, false] {
        let (mut throttle, now) = (Throttle::new(bounds()), Instant::now());
        assert_eq!([throttle.prompt("alice", now), throttle.prompt("alice", now)], [Ok(()), Ok(())]);
        if approved_first {
            assert!(throttle.approved("alice", now, now));
            throttle.denied("alice", now);
        } else {
            throttle.denied("alice", now);
            assert!(throttle.approved("alice", now, now));
        }
        let soon = now + Duration::from_secs(29);
        assert_eq!(throttle.prompt("alice", soon), Err(Reason::PromptLimited), "{approved_first}");
    }
}

#[test]
fn too_many_refusals_in_a_row_lock_out_once_and_time_or_an_approval_forgets_them() {
    let minute = Duration::from_secs(60);
    let lockout = Some(config::Lockout { after: 3, reset: 10 * minute, release: minute });
    let (mut throttle, now) = (Throttle::new(config::Throttle { lockout, ..bounds() }), Instant::now());
    let mut refused = |person, minutes: u32| throttle.refused(person, now + minute * minutes);
    assert_eq!(
        [refused("alice", 0), refused("alice", 9), refused("bob", 9), refused("alice", 18)],
        [false, false, false, true]
    );
    assert_eq!([refused("alice", 18), refused("alice", 19)], [false, false], "it begins anew");
    assert_eq!([refused("alice", 29), refused("alice", 30)], [false, false], "ten minutes have passed");
    assert!(throttle.approved("alice", now, now + minute * 31));
    assert!(!throttle.refused("alice", now + minute * 31) && !throttle.refused("alice", now + minute * 32));
    let mut never = Throttle::new(bounds());
    assert!((0..1000).all(|_| !never.refused("alice", now)));
}

#[test]
fn no_approval_of_what_was_open_counts_after_a_fraud_report() {
    let (mut throttle, began) = (Throttle::new(bounds()), Instant::now());
    assert_eq!([throttle.prompt("alice", began), throttle.prompt("alice", began)], [Ok(()), Ok(())]);
    throttle.fraud("alice", began + Duration::from_secs(5));
    assert!(!throttle.approved("alice", began, began + Duration::from_secs(6)));
    let later = began + Duration::from_secs(700);
    assert_eq!(throttle.prompt("alice", later), Ok(()), "an admin has unblocked her");
    assert!(!throttle.approved("alice", began, later), "not even now");
    assert!(throttle.approved("alice", later, later));
}

#[test]
fn an_ipv6_line_is_one_source_and_a_mapped_address_is_the_ipv4_one() {
    for addresses in [["2001:db8:0:1::1", "2001:db8:0:1:ffff::2"], ["192.0.2.1", "::ffff:192.0.2.1"]] {
        let (mut throttle, now) = (Throttle::new(bounds()), Instant::now());
        let [one, other] = addresses.map(|address| Some(address.parse().unwrap()));
        for person in ["a", "b", "c", "d", "e"] {
            assert_eq!(fail(&mut throttle, person, one, now), Ok(()));
        }
        assert_eq!(fail(&mut throttle, "f", other, now), Err(Reason::ThrottledSource));
        let elsewhere = Some("2001:db8:0:2::1".parse().unwrap());
        assert_eq!(fail(&mut throttle, "f", elsewhere, now), Ok(()));
    }
}

#[test]
fn an_address_with_a_few_failures_an_hour_is_never_shut_out_and_a_guesser_earns_try_by_try() {
    let (mut throttle, start) = (Throttle::new(bounds()), Instant::now());
    let source = Some("192.0.2.1".parse().unwrap());
    for number in 0..100_u32 {
        let now = start + Duration::from_secs(13) * number;
        assert_eq!(fail(&mut throttle, &number.to_string(), source, now), Ok(()), "{number}");
    }
    let now = start + Duration::from_secs(2000);
    let tries = |throttle: &mut Throttle, now| {
        (0..20).filter(|number: &u32| fail(throttle, &format!("{number}"), source, now).is_ok()).count()
    };
    assert_eq!(tries(&mut throttle, now), 5);
    assert_eq!(tries(&mut throttle, now + Duration::from_secs(11)), 0);
    assert_eq!(tries(&mut throttle, now + Duration::from_secs(12)), 1);
}

#[test]
fn a_full_table_stays_bounded() {
    let minute = Duration::from_secs(60);
    let lockout = Some(config::Lockout { after: 3, reset: minute, release: minute });
    let (mut throttle, now) = (Throttle::new(config::Throttle { lockout, ..bounds() }), Instant::now());
    for number in 0..(ENTRIES + 10) {
        let person = number.to_string();
        let at = now + Duration::from_micros(u64::try_from(number).unwrap());
        assert_eq!(fail(&mut throttle, &person, None, at), Ok(()));
        assert_eq!(throttle.prompt(&person, at), Ok(()));
        assert!(!throttle.refused(&person, at));
    }
    assert!(throttle.people.len() <= ENTRIES && throttle.prompts.len() <= ENTRIES);
    assert!(throttle.refused.len() <= ENTRIES);
}

#[test]
fn a_prompt_that_never_left_is_none() {
    let (mut throttle, now) = (Throttle::new(bounds()), Instant::now());
    for _ in 0..10 {
        assert_eq!(throttle.prompt("alice", now), Ok(()));
        throttle.not_sent("alice");
    }
    for _ in 0..3 {
        assert_eq!(throttle.prompt("alice", now), Ok(()));
    }
    assert_eq!(throttle.prompt("alice", now), Err(Reason::PromptLimited));
    throttle.not_sent("bob");
}

#[test]
fn an_application_that_guesses_leaves_the_last_try_to_the_one_where_the_account_is_at_home() {
    let (mut throttle, now) = (Throttle::new(bounds()), Instant::now());
    let [home, elsewhere] = ["192.0.2.1", "192.0.2.2"].map(|address| Some(address.parse().unwrap()));
    let permit = throttle.admit_at("svc", None, home, now).unwrap();
    throttle.settle(permit, Guess::Right, now);
    for _ in 0..2 {
        let permit = throttle.admit_at("svc", None, elsewhere, now).unwrap();
        throttle.settle(permit, Guess::Wrong, now);
    }
    assert_eq!(throttle.admit_at("svc", None, elsewhere, now).unwrap_err(), Reason::ThrottledPerson);
    assert!(throttle.admit_at("svc", None, home, now).is_ok_and(Permit::is_at_home));
}
