//! One sign-in, one prompt: joins, carried-over approvals, deadlines, cancels, bounds and the drain, in
//! virtual time.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anteroom::config::{Client, ClientPolicy, OnDeadline};
use anteroom::factor::{Answer, Refusal};
use anteroom::primary::Finding;
use anteroom::secret::Secret;
use anteroom::signin::attempt::Attempt;
use anteroom::signin::outcome::{Outcome, Reason, Verdict};

use crate::support::fakes::{self, FakePrimary, House, Told};

fn seconds(number: u64) -> Duration {
    Duration::from_secs(number)
}

fn client() -> Arc<Client> {
    fakes::client(ClientPolicy::default())
}

fn client_with(adjust: impl FnOnce(&mut Client)) -> Arc<Client> {
    let mut client = Arc::into_inner(client()).unwrap();
    adjust(&mut client);
    Arc::new(client)
}

/// A provider whose person answers after a while.
fn answers_after(delay: Duration, answer: Answer) -> fakes::FakeFactor {
    let mut factor = fakes::factor(Told::Says(answer));
    factor.delay = delay;
    factor
}

fn approves_after(delay: Duration) -> House {
    House::new(fakes::right(), answers_after(delay, Answer::Approved), fakes::enrolled())
}

fn prompts(house: &House) -> usize {
    house.factor.prompts.load(Ordering::SeqCst)
}

fn cancelled(house: &House) -> usize {
    house.factor.cancelled.load(Ordering::SeqCst)
}

/// Starts a sign-in and lets it get as far as it can.
async fn start(house: &House, attempt: Attempt) -> tokio::task::JoinHandle<Arc<Outcome>> {
    let waiting = house.sign_ins.enter(attempt).await;
    let task = tokio::spawn(waiting.outcome());
    settle().await;
    task
}

async fn settle() {
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
}

async fn sign_in(house: &House, client: &Arc<Client>) -> (Verdict, Reason) {
    let outcome = house.sign_ins.enter(fakes::attempt(client)).await.outcome().await;
    (outcome.verdict(), outcome.reason())
}

#[tokio::test(start_paused = true)]
async fn a_retry_joins_the_pending_hold_and_both_get_its_outcome() {
    let (house, client) = (approves_after(seconds(10)), client());
    let first = start(&house, fakes::attempt(&client)).await;
    tokio::time::advance(seconds(5)).await;
    let retry = start(&house, fakes::attempt(&client)).await;
    assert_eq!(house.sign_ins.held(), 1);
    assert_eq!(first.await.unwrap().verdict(), Verdict::Accept);
    assert_eq!(retry.await.unwrap().verdict(), Verdict::Accept);
    assert_eq!((prompts(&house), house.events(), house.last_event().requests), (1, 1, 2));
    assert_eq!(house.primary.binds.load(Ordering::SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn a_different_credential_person_address_or_client_does_not_join() {
    let (house, client) = (approves_after(seconds(10)), client());
    let first = start(&house, fakes::attempt(&client)).await;
    let mut other = fakes::attempt(&client);
    other.credential = Ok(Secret::from_text("another-password".into()));
    let second = start(&house, other).await;
    let third = start(&house, fakes::attempt(&client_with(|client| client.name = "other".into()))).await;
    let mut elsewhere = fakes::attempt(&client);
    elsewhere.person_address = Some("198.51.100.66".parse().unwrap());
    let fourth = start(&house, elsewhere).await;
    let mut another = fakes::attempt(&client);
    another.station = Some(Box::from(*b"00-00-5E-00-53-66"));
    let fifth = start(&house, another).await;
    assert_eq!((house.sign_ins.held(), prompts(&house)), (5, 5));
    for task in [first, second, third, fourth, fifth] {
        assert_eq!(task.await.unwrap().verdict(), Verdict::Accept);
    }
}

#[tokio::test(start_paused = true)]
async fn the_sign_in_goes_on_as_long_as_one_request_waits_and_is_cancelled_when_none_does() {
    let (house, client) = (approves_after(seconds(10)), client());
    let first = house.sign_ins.enter(fakes::attempt(&client)).await;
    let second = house.sign_ins.enter(fakes::attempt(&client)).await;
    settle().await;
    drop(first);
    settle().await;
    assert_eq!((house.sign_ins.held(), cancelled(&house)), (1, 0));
    drop(second);
    settle().await;
    assert_eq!((house.sign_ins.held(), cancelled(&house)), (0, 1));
    let event = house.last_event();
    assert_eq!((event.verdict, event.reason), (Verdict::Discard, Reason::ClientGone));
}

#[tokio::test(start_paused = true)]
async fn the_answer_leaves_at_the_deadline_and_the_prompt_is_cancelled() {
    let house = House::new(fakes::right(), fakes::factor(Told::Hangs), fakes::enrolled());
    let began = tokio::time::Instant::now();
    assert_eq!(sign_in(&house, &client()).await, (Verdict::Reject, Reason::Deadline));
    assert_eq!(began.elapsed().as_secs(), 55);
    settle().await;
    assert_eq!((cancelled(&house), house.sign_ins.held()), (1, 0));
    assert_eq!((house.last_event().reason, house.last_event().factor), (Reason::Deadline, Some("deadline")));
}

#[tokio::test(start_paused = true)]
async fn a_client_that_prefers_silence_hears_nothing_at_the_deadline() {
    let house = House::new(fakes::right(), fakes::factor(Told::Hangs), fakes::enrolled());
    let client = client_with(|client| client.on_deadline = OnDeadline::Silence);
    assert_eq!(sign_in(&house, &client).await, (Verdict::Discard, Reason::Deadline));
}

#[tokio::test(start_paused = true)]
async fn a_later_request_keeps_the_hold_beyond_the_deadline_of_the_first() {
    let house = approves_after(seconds(58));
    let client = client();
    let first = start(&house, fakes::attempt(&client)).await;
    tokio::time::advance(seconds(30)).await;
    let second = start(&house, fakes::attempt(&client)).await;
    assert_eq!(first.await.unwrap().reason(), Reason::Deadline);
    assert_eq!(second.await.unwrap().verdict(), Verdict::Accept);
    assert_eq!(prompts(&house), 1);
}

#[tokio::test(start_paused = true)]
async fn a_directory_that_hangs_ends_in_a_rejection() {
    let primary = FakePrimary { finding: Told::Hangs, ..fakes::right() };
    let house = House::new(primary, fakes::approves(), fakes::enrolled());
    assert_eq!(sign_in(&house, &client()).await, (Verdict::Reject, Reason::Deadline));
    settle().await;
    assert_eq!((prompts(&house), house.sign_ins.held()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn an_outage_of_the_directory_throttles_nobody() {
    let primary = FakePrimary { finding: Told::Hangs, ..fakes::right() };
    let house =
        House::bounded(primary, fakes::approves(), fakes::enrolled(), |_, throttle| throttle.failures_per_person = 2);
    for _ in 0..4 {
        assert_eq!(sign_in(&house, &client()).await, (Verdict::Reject, Reason::Deadline));
        settle().await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_approval_after_the_client_gave_up_carries_over_to_one_retry() {
    let (house, client) = (approves_after(seconds(10)), client());
    assert_eq!(sign_in(&house, &client).await, (Verdict::Accept, Reason::Approved));
    assert_eq!(sign_in(&house, &client).await, (Verdict::Accept, Reason::Approved));
    assert_eq!((prompts(&house), house.last_event().factor), (1, Some("carried_over")));
    assert_eq!(house.primary.binds.load(Ordering::SeqCst), 2, "the password was checked again");
    assert_eq!(sign_in(&house, &client).await, (Verdict::Accept, Reason::Approved));
    assert_eq!(prompts(&house), 2, "it was good for one retry");
}

#[tokio::test(start_paused = true)]
async fn an_approval_that_was_delivered_does_not_carry_over() {
    let (house, client) = (approves_after(seconds(1)), client());
    for number in 1..4 {
        assert_eq!(sign_in(&house, &client).await.0, Verdict::Accept);
        assert_eq!(prompts(&house), number);
    }
}

#[tokio::test(start_paused = true)]
async fn an_approval_carries_over_only_in_its_window_and_to_the_same_credential_and_address() {
    let (house, client) = (approves_after(seconds(10)), client());
    assert_eq!(sign_in(&house, &client).await.0, Verdict::Accept);
    tokio::time::advance(seconds(60)).await;
    assert_eq!(sign_in(&house, &client).await.0, Verdict::Accept);
    assert_eq!(prompts(&house), 2, "the window was over");

    let mut other = fakes::attempt(&client);
    other.credential = Ok(Secret::from_text("another-password".into()));
    let _ = house.sign_ins.enter(other).await.outcome().await;
    assert_eq!(prompts(&house), 3, "another credential");

    let mut elsewhere = fakes::attempt(&client);
    elsewhere.person_address = Some("198.51.100.66".parse().unwrap());
    let _ = house.sign_ins.enter(elsewhere).await.outcome().await;
    assert_eq!(prompts(&house), 4, "another address");
}

#[tokio::test(start_paused = true)]
async fn a_denial_does_not_carry_over() {
    let factor = answers_after(seconds(10), Answer::Refused(Refusal::Denied));
    let house = House::new(fakes::right(), factor, fakes::enrolled());
    assert_eq!(sign_in(&house, &client()).await, (Verdict::Reject, Reason::Denied));
    assert_eq!(sign_in(&house, &client()).await, (Verdict::Reject, Reason::Denied));
    assert_eq!(prompts(&house), 2);
}

#[tokio::test(start_paused = true)]
async fn a_wrong_password_never_reaches_the_phone_and_is_throttled_below_the_lockout() {
    let primary = FakePrimary {
        finding: Told::Says(Finding::Wrong(anteroom::primary::Refusal::WrongPassword)),
        ..fakes::right()
    };
    let house =
        House::bounded(primary, fakes::approves(), fakes::enrolled(), |_, throttle| throttle.failures_per_person = 3);
    for _ in 0..3 {
        assert_eq!(sign_in(&house, &client()).await, (Verdict::Reject, Reason::WrongPassword));
    }
    assert_eq!(sign_in(&house, &client()).await, (Verdict::Reject, Reason::ThrottledPerson));
    assert_eq!((house.primary.binds.load(Ordering::SeqCst), prompts(&house)), (3, 0));
}

#[tokio::test(start_paused = true)]
async fn an_empty_password_reaches_neither_directory_nor_phone() {
    let house = approves_after(Duration::ZERO);
    let mut attempt = fakes::attempt(&client());
    attempt.credential = Ok(Secret::new(Vec::new()));
    let outcome = house.sign_ins.enter(attempt).await.outcome().await;
    assert_eq!((outcome.verdict(), outcome.reason()), (Verdict::Reject, Reason::EmptyPassword));
    assert_eq!((house.primary.binds.load(Ordering::SeqCst), prompts(&house)), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_fraud_report_blocks_the_person_in_the_store() {
    let house = House::new(fakes::right(), fakes::refuses(Refusal::Fraud), fakes::enrolled());
    assert_eq!(sign_in(&house, &client()).await, (Verdict::Reject, Reason::Fraud));
    assert_eq!(house.store.blocked.load(Ordering::SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn after_a_denial_nobody_is_prompted_for_a_while() {
    let house = House::bounded(fakes::right(), fakes::refuses(Refusal::Denied), fakes::enrolled(), |_, throttle| {
        throttle.denial_backoff = seconds(30);
    });
    assert_eq!(sign_in(&house, &client()).await, (Verdict::Reject, Reason::Denied));
    assert_eq!(sign_in(&house, &client()).await, (Verdict::Reject, Reason::PromptLimited));
    tokio::time::advance(seconds(30)).await;
    assert_eq!(sign_in(&house, &client()).await, (Verdict::Reject, Reason::Denied));
    assert_eq!(prompts(&house), 2);
}

#[tokio::test(start_paused = true)]
async fn a_sign_in_given_up_while_its_prompt_is_out_counts_as_unanswered() {
    let house = House::bounded(fakes::right(), fakes::factor(Told::Hangs), fakes::enrolled(), |_, throttle| {
        throttle.denial_backoff = seconds(30);
    });
    for _ in 0..2 {
        let held = start(&house, fakes::attempt(&client())).await;
        held.abort();
        settle().await;
    }
    assert_eq!((prompts(&house), house.factor.cancelled.load(Ordering::SeqCst)), (2, 2));
    assert_eq!(sign_in(&house, &client()).await, (Verdict::Reject, Reason::PromptLimited));
    tokio::time::advance(seconds(30)).await;
    start(&house, fakes::attempt(&client())).await.abort();
    assert_eq!(prompts(&house), 3);
}

#[tokio::test(start_paused = true)]
async fn what_is_over_a_bound_is_refused_with_its_own_reason() {
    let hanging = || (fakes::right(), fakes::factor(Told::Hangs), fakes::enrolled());
    let with_password = |client: &Arc<Client>, password: &str| {
        let mut attempt = fakes::attempt(client);
        attempt.credential = Ok(Secret::from_text(password.into()));
        attempt
    };
    let refused = |house: House, client: Arc<Client>| async move {
        let held = start(&house, with_password(&client, "one")).await;
        let outcome = house.sign_ins.enter(with_password(&client, "two")).await.outcome().await;
        assert_eq!(house.last_event().reason, outcome.reason());
        held.abort();
        (outcome.verdict(), outcome.reason())
    };
    let (primary, factor, store) = hanging();
    let house = House::bounded(primary, factor, store, |limits, _| limits.held = 1);
    assert_eq!(refused(house, client()).await, (Verdict::Reject, Reason::OverHeld));
    let (primary, factor, store) = hanging();
    let house = House::bounded(primary, factor, store, |limits, _| limits.held_per_person = 1);
    assert_eq!(refused(house, client()).await, (Verdict::Reject, Reason::OverHeldPerson));
    let (primary, factor, store) = hanging();
    let house = House::new(primary, factor, store);
    let narrow = client_with(|client| client.held = 1);
    assert_eq!(refused(house, narrow).await, (Verdict::Reject, Reason::OverHeldClient));
    let (_, factor, store) = hanging();
    let primary = FakePrimary { finding: Told::Hangs, ..fakes::right() };
    let house = House::bounded(primary, factor, store, |limits, _| limits.at_directory = 1);
    assert_eq!(refused(house, client()).await, (Verdict::Discard, Reason::Overloaded));
}

#[tokio::test(start_paused = true)]
async fn a_stopping_server_finishes_what_is_held_and_takes_nothing_new() {
    let (house, client) = (approves_after(seconds(10)), client());
    let held = start(&house, fakes::attempt(&client)).await;
    let sign_ins = house.sign_ins.clone();
    let drain = tokio::spawn(async move { sign_ins.drain(seconds(30)).await });
    settle().await;
    let mut other = fakes::attempt(&client);
    other.credential = Ok(Secret::from_text("another-password".into()));
    let late = house.sign_ins.enter(other).await.outcome().await;
    assert_eq!((late.verdict(), late.reason()), (Verdict::Discard, Reason::ShuttingDown));
    assert_eq!(held.await.unwrap().verdict(), Verdict::Accept);
    drain.await.unwrap();
    assert_eq!(house.sign_ins.held(), 0);
}
