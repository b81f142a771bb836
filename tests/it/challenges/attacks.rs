//! What an attacker can do with a State, with many connections and with time: nothing that counts.

use super::*;

const FOREIGN: (Verdict, Reason) = (Verdict::Reject, Reason::StateForeign);
const USED: (Verdict, Reason) = (Verdict::Reject, Reason::StateUsed);

#[tokio::test(start_paused = true)]
async fn a_state_is_good_once() {
    let hall = Hall::new(Cloud::default(), &[Method::Oath], RULE);
    let asked = hall.first().await;
    assert_eq!(heard(&hall.answer(&asked, RIGHT).await), IN);
    for typed in [RIGHT, "000000", "", "push"] {
        assert_eq!(heard(&hall.answer(&asked, typed).await), USED, "{typed:?}");
    }
    assert_eq!(hall.cloud.looked_at.load(Ordering::SeqCst), 1);
    let ends = hall.ends();
    assert_eq!((ends[0], &ends[1..]), (IN, &[USED; 4][..]), "each replay is in the audit");
}

#[tokio::test(start_paused = true)]
async fn an_altered_foreign_or_made_up_state_is_refused_and_harms_nobody() {
    let hall = Hall::new(Cloud::default(), &[Method::Oath], RULE);
    let asked = hall.first().await;
    let good = state(&asked).to_vec();
    let mut made_up: Vec<Vec<u8>> = (0..good.len())
        .map(|place| {
            let mut altered = good.clone();
            altered[place] ^= 1;
            altered
        })
        .collect();
    made_up.extend([vec![], vec![1], good[1..].to_vec(), [&good[..], &good[..]].concat(), vec![0xff; 253]]);
    for state in &made_up {
        assert_eq!(heard(&hall.enter(hall.next(state, RIGHT)).await), FOREIGN);
    }
    // A State of another server, of another client here, and with another name.
    let elsewhere =
        Hall::with(Cloud::default(), &[Method::Oath], RULE, fakes::enrolled(), |deps| deps.random = [9; 32]);
    let theirs = elsewhere.first().await;
    assert_eq!(heard(&hall.answer(&theirs, RIGHT).await), FOREIGN);
    let mut client = Arc::into_inner(fakes::client(ClientPolicy::default())).unwrap();
    (client.name, client.challenge) = ("vpn2".into(), Some(RULE));
    let client = Arc::new(client);
    let through_another = Attempt { client: client.clone(), ..hall.next(&good, RIGHT) };
    assert_eq!(heard(&hall.enter(through_another).await), FOREIGN);
    for name in ["bob", "ALICE", "alice@corp.example", ""] {
        let attempt = Attempt { name: name.into(), ..hall.next(&good, RIGHT) };
        assert_eq!(heard(&hall.enter(attempt).await), FOREIGN, "{name}");
    }
    assert_eq!(hall.cloud.looked_at.load(Ordering::SeqCst), 0);
    assert_eq!(hall.primary.binds.load(Ordering::SeqCst), 1, "no code was ever tried as a password");
    // And whoever it belongs to still gets in with it.
    assert_eq!(heard(&hall.enter(hall.next(&good, RIGHT)).await), IN);
}

#[tokio::test(start_paused = true)]
async fn a_client_without_challenges_takes_no_state_and_tries_no_password_with_one() {
    let hall = Hall::new(Cloud::default(), &[Method::Oath], RULE);
    let client = fakes::client(ClientPolicy::default());
    let credential = Ok(Secret::from_text("right-password".into()));
    let attempt = Attempt { credential, state: Some([7; 16].into()), ..fakes::attempt(&client) };
    assert_eq!(heard(&hall.enter(attempt).await), FOREIGN);
    assert_eq!(hall.primary.binds.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn of_many_answers_to_one_state_at_once_one_is_looked_at() {
    let hall = Arc::new(Hall::new(Cloud::default(), &[Method::Oath], RULE));
    let asked = hall.first().await;
    let state = state(&asked).to_vec();
    let tries = (0..200_u32).map(|number| {
        let (hall, state) = (hall.clone(), state.clone());
        tokio::spawn(async move { heard(&hall.enter(hall.next(&state, &format!("{number:06}"))).await) })
    });
    let heard: Vec<_> = futures_util::future::join_all(tries).await.into_iter().map(Result::unwrap).collect();
    assert_eq!(hall.cloud.looked_at.load(Ordering::SeqCst), 1);
    let used = heard.iter().filter(|end| **end == USED || **end == (Verdict::Reject, Reason::OverHeldPerson)).count();
    let again = heard.iter().filter(|end| end.0 == Verdict::Challenge).count();
    assert_eq!((used, again), (199, 1));
}

/// Sign-ins of one person, each with a challenge of its own, and codes guessed in all of them at once: no more are looked
/// at than prompts may be sent.
#[tokio::test]
async fn codes_guessed_in_parallel_never_get_more_than_the_tries() {
    let adjust = |deps: &mut Deps| deps.throttle.prompts_per_person = 5;
    let hall = Arc::new(Hall::with(Cloud::default(), &[Method::Oath], RULE, fakes::enrolled(), adjust));
    let guessers = (0..40_u8).map(|number| {
        let hall = hall.clone();
        tokio::spawn(async move {
            let person_address = Some(std::net::Ipv4Addr::new(198, 51, 100, number).into());
            let first = Attempt { person_address, ..fakes::attempt(&hall.client) };
            let mut outcome = hall.enter(first).await;
            for guess in 0..10_u32 {
                let Outcome::Challenge(challenge) = &*outcome else { break };
                let typed = format!("{:06}", u32::from(number) * 10 + guess);
                let next = Attempt { person_address, ..hall.next(&challenge.state.clone(), &typed) };
                outcome = hall.enter(next).await;
            }
            outcome.verdict()
        })
    });
    let verdicts = futures_util::future::join_all(guessers).await;
    assert!(verdicts.into_iter().all(|verdict| verdict.unwrap() == Verdict::Reject));
    let looked_at = hall.cloud.looked_at.load(Ordering::SeqCst);
    assert!((1..=5).contains(&looked_at), "{looked_at} codes were looked at");
}

#[tokio::test(start_paused = true)]
async fn rounds_of_one_person_and_of_all_are_bounded() {
    let adjust = |deps: &mut Deps| (deps.limits.held, deps.limits.held_per_person) = (2, 2);
    let hall = Hall::with(Cloud::default(), &[Method::Oath], RULE, fakes::enrolled(), adjust);
    let from = |number: u8| {
        let person_address = Some(std::net::Ipv4Addr::new(198, 51, 100, number).into());
        Attempt { person_address, ..fakes::attempt(&hall.client) }
    };
    assert_eq!(hall.enter(from(1)).await.verdict(), Verdict::Challenge);
    assert_eq!(hall.enter(from(2)).await.verdict(), Verdict::Challenge);
    assert!(matches!(heard(&hall.enter(from(3)).await), (Verdict::Reject, Reason::OverHeld)));
    tokio::time::sleep(Duration::from_secs(200)).await;
    assert_eq!(hall.enter(from(3)).await.verdict(), Verdict::Challenge, "there is room again");
}

#[tokio::test(start_paused = true)]
async fn nobody_is_asked_for_ever() {
    let rule = Challenges { beside_prompt: true, within: Duration::from_secs(3600), ..RULE };
    let hall = Hall::new(Cloud::default(), &[Method::Push], rule);
    let mut outcome = hall.first().await;
    let mut rounds = 0;
    while let Outcome::Challenge(challenge) = &*outcome {
        rounds += 1;
        assert!(rounds < 50, "asked for ever");
        let next = hall.next(&challenge.state.clone(), "");
        outcome = hall.enter(next).await;
    }
    assert_eq!(outcome.verdict(), Verdict::Reject);
    assert_eq!(hall.cloud.ways(), [Method::Push], "one prompt for all of it");
}
