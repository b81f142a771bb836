//! Prompts that are asked for together.

use super::*;

/// A simulator, and a client that knows already what it takes at once. Patient: the machine may be busy.
async fn together() -> (Phone, Native) {
    let options = PhoneOptions { key: Some(("test".into(), key())), behaviour: Behaviour::Manual };
    let phone = Phone::start(LOOPBACK, options).await.unwrap();
    let config = config_within(phone.url(), Duration::from_secs(2), None);
    let native = Native::start_with(&config, server(), NO_POLLING).unwrap();
    until(|| native.status().stream_up).await;
    (phone, native)
}

#[tokio::test]
async fn prompts_that_come_together_are_asked_for_together_and_each_gets_its_own_answer() {
    let (phone, native) = together().await;
    let people = ["approves", "denies", "garbles", "limited"];
    phone.set_behaviour(Some("approves"), APPROVE);
    phone.set_behaviour(Some("denies"), Behaviour::Answer { decision: Decision::Deny, after_ms: 10 });
    phone.set_behaviour(Some("garbles"), Behaviour::Garbage { garbage: Garbage::NotJson, by_event: false });
    phone.set_behaviour(Some("limited"), Behaviour::RateLimit { retry_after: 1 });
    let asked: Vec<_> = (0..200_u32).map(|number| (number, people[(number % 4) as usize])).collect();
    let runs = asked.iter().map(|(number, person)| native.run(request(person, id(*number), Duration::from_secs(20))));
    for ((_, person), answer) in asked.iter().zip(join_all(runs).await) {
        let expected = match *person {
            "approves" => Answer::Approved,
            "denies" => Answer::Refused(Refusal::Denied),
            "garbles" => Answer::Refused(Refusal::Garbled),
            _ => Answer::Refused(Refusal::Unreachable(UnreachableClass::RateLimited)),
        };
        assert_eq!(answer, expected, "{person}");
    }
    let counts = phone.counts();
    assert_eq!((counts.posts, counts.prompts), (200, 150), "one request and one prompt each");
    assert!(counts.batches > 0, "some of them went together");
}

#[tokio::test]
async fn a_service_that_chokes_on_one_prompt_holds_up_the_others_once_only() {
    let (phone, native) = together().await;
    phone.set_behaviour(None, APPROVE);
    phone.set_behaviour(Some("chokes"), Behaviour::Silent { times: u32::MAX });
    let asked: Vec<_> = (0..40_u32).map(|number| (number, if number == 20 { "chokes" } else { "alice" })).collect();
    let runs = asked.iter().map(|(number, person)| native.run(request(person, id(*number), Duration::from_secs(20))));
    for ((_, person), answer) in asked.iter().zip(join_all(runs).await) {
        let expected = if *person == "chokes" { Answer::Refused(Refusal::Lost) } else { Answer::Approved };
        assert_eq!(answer, expected, "{person}");
    }
    assert_eq!(phone.counts().prompts, 39, "one prompt each, also for those that were asked for twice");
}
