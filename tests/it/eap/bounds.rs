//! Conversations that nobody goes on with: they end by themselves, and one client's take no place from another's. In virtual
//! time, with a target in this process.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anteroom::config::{Client, ClientPolicy, RadiusClient, ReplyRules};
use anteroom::primary::{Answered, Fault, Finding, Handed, IdentifyError, Identity, Primary, Refusal};
use anteroom::radius::authenticator::{ClientKey, Verified, sign_reply};
use anteroom::radius::packet::{Builder, Code, Packet};
use anteroom::radius::said::Said;
use anteroom::secret::Secret;
use anteroom::signin::outcome::{Outcome, Reason};
use anteroom::signin::reception::SignIns;
use futures_util::future::BoxFuture;

use super::{EAP_MESSAGE, STATE};
use crate::gateway;

/// Asks for another round, for ever.
struct Asks;

impl Primary for Asks {
    fn identify<'a>(&'a self, _: &'a str, _: Instant) -> BoxFuture<'a, Result<Identity, IdentifyError>> {
        Box::pin(std::future::ready(Err(IdentifyError::Unknown)))
    }

    fn try_password<'a>(&'a self, _: &'a Identity, _: &'a Secret, _: Instant) -> BoxFuture<'a, Finding> {
        Box::pin(std::future::ready(Finding::Fault(Fault::Garbled)))
    }

    fn member_of_any<'a>(&'a self, _: &'a Identity, _: &'a [String], _: Instant) -> BoxFuture<'a, Result<bool, Fault>> {
        Box::pin(std::future::ready(Err(Fault::Garbled)))
    }

    fn hand_on<'a>(&'a self, _: Option<&'a Identity>, _: Handed<'a>, _: Instant) -> BoxFuture<'a, Answered> {
        let key = ClientKey::new(Secret::from_text("of the target".into()));
        let mut packet = Builder::new(Code::ACCESS_CHALLENGE, 1, &[0; 16], 0);
        packet.push(EAP_MESSAGE, &[1, 2, 0, 6, 25, 0x20]).unwrap();
        packet.push(STATE, b"the target's own").unwrap();
        let mut bytes = packet.into_bytes();
        sign_reply(&mut bytes, &[3; 16], &key);
        let verified = Verified::reply(Packet::decode(&bytes).unwrap(), &[3; 16], &key).unwrap();
        let said = Said::read(&verified, &[3; 16], &key, &ReplyRules::default(), 4000).unwrap();
        let finding = Finding::Wrong(Refusal::AsksMore);
        Box::pin(std::future::ready(Answered { finding, said: Some(Box::new(said)), server: 0, changed: false }))
    }
}

/// A client of this name.
fn named(name: &str) -> Arc<Client> {
    let common = Arc::into_inner(gateway::client(ClientPolicy::default(), "nps", false).client).unwrap();
    Arc::new(Client { name: name.into(), ..common })
}

/// A request of `client`, with a State where one is given.
async fn ask(house: &Arc<SignIns>, client: &Arc<Client>, number: usize, state: Option<&[u8]>) -> Arc<Outcome> {
    let of = RadiusClient { hands_on: true, ..gateway::client(ClientPolicy::default(), "nps", false) };
    // The name that the helper's request has.
    let identity = [&[2, 1, 0, 15, 1][..], b"CORP\\alice"].concat();
    let response = if state.is_some() { vec![2, 2, 0, 6, 25, 0] } else { identity };
    let mut attributes = vec![(EAP_MESSAGE, response), (31, b"one".to_vec())];
    attributes.extend(state.map(|state| (STATE, state.to_vec())));
    let mut attempt = gateway::attempt(of, &attributes, None);
    let octets = u64::try_from(number).unwrap().to_be_bytes();
    let [a, b, c, d, e, f, g, h] = octets;
    attempt.id = anteroom::signin::attempt::SignInId::new([a, b, c, d, e, f, g, h, client.name.as_bytes()[0], 0, 0, 0]);
    attempt.client = Arc::clone(client);
    attempt.received = tokio::time::Instant::now().into_std();
    house.enter(attempt).await.outcome().await
}

fn state_of(outcome: &Arc<Outcome>) -> Vec<u8> {
    let Outcome::Challenge(challenge) = &**outcome else { panic!("no challenge: {outcome:?}") };
    challenge.state.to_vec()
}

#[tokio::test(start_paused = true)]
async fn a_conversation_that_waits_too_long_is_over_and_rounds_without_an_end_are_ended() {
    let (house, vpn) = (gateway::house_with("nps", Arc::new(Asks)), named("vpn"));
    let state = state_of(&ask(&house, &vpn, 1, None).await);
    tokio::time::sleep(Duration::from_secs(61)).await;
    let late = ask(&house, &vpn, 1, Some(&state)).await;
    assert_eq!(late.reason(), Reason::StateUsed);
    // Again and again, as long as the target asks: a hundred rounds, and then no more.
    let mut state = state_of(&ask(&house, &vpn, 2, None).await);
    let mut rounds = 1;
    let end = loop {
        let outcome = ask(&house, &vpn, 1000 + rounds, Some(&state)).await;
        if outcome.reason() != Reason::Challenged {
            break outcome.reason();
        }
        (state, rounds) = (state_of(&outcome), rounds + 1);
    };
    assert_eq!((end, rounds), (Reason::TargetAsksMore, 100));
    // Ten minutes are the end of it, however quick each round is.
    let mut state = state_of(&ask(&house, &vpn, 3, None).await);
    for round in 0..11 {
        tokio::time::sleep(Duration::from_secs(55)).await;
        let outcome = ask(&house, &vpn, 5000 + round, Some(&state)).await;
        if round < 10 {
            state = state_of(&outcome);
        } else {
            assert_eq!(outcome.reason(), Reason::StateUsed);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_opens_conversations_without_an_end_takes_no_place_from_another() {
    let (house, vpn) = (gateway::house_with("nps", Arc::new(Asks)), named("vpn"));
    for number in 0..8192 {
        assert_eq!(ask(&house, &vpn, number, None).await.reason(), Reason::Challenged, "{number}");
    }
    let over = ask(&house, &vpn, 8192, None).await;
    assert!(matches!(&*over, Outcome::Discard(Reason::Overloaded)), "{over:?}");
    assert_eq!(ask(&house, &named("other"), 0, None).await.reason(), Reason::Challenged);
    // They end, looked after by nobody but the clock.
    tokio::time::sleep(Duration::from_secs(75)).await;
    assert_eq!(ask(&house, &vpn, 9000, None).await.reason(), Reason::Challenged);
}
