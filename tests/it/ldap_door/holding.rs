//! A person's bind is held until the second factor is done, and only then answered.

use anteroom::demo::directory::{DEMO_BASE, DEMO_PASSWORD, DEMO_SERVICE_NAME, DEMO_SERVICE_PASSWORD, demo_people};
use anteroom::demo::phone::behaviour::{Behaviour, Decision};
use anteroom::ldap::result::{code, write_abandon};
use anteroom::ldap::search::Scope;
use anteroom::secret::Secret;

use super::client::{Client, answer, door, house, until};

const ALICE: &str = "alice@demo.anteroom.test";

#[tokio::test]
async fn an_approved_bind_makes_the_connection_the_persons() {
    let demo = house().await;
    demo.phone.set_behaviour(None, answer(Decision::Approve));
    let mut client = Client::connect(door(&demo)).await;
    assert_eq!(client.bind(1, ALICE, DEMO_PASSWORD).await, (code::SUCCESS, String::new()));
    assert!(client.who_am_i(2).await.to_lowercase().starts_with("dn:cn=alice"), "bound as alice");
    let (entries, result) = client.search(3, DEMO_BASE, Scope::Subtree, "(sAMAccountName=bob)").await;
    assert_eq!((entries, result), (1, code::SUCCESS));
    demo.stop().await;
}

#[tokio::test]
async fn wrong_denied_and_unanswered_sound_the_same_and_leave_nobody_bound() {
    let demo = house().await;
    let mut client = Client::connect(door(&demo)).await;
    let wrong = client.bind(1, ALICE, "wrong").await;
    assert_eq!(wrong, (code::INVALID_CREDENTIALS, String::new()));
    assert_eq!(demo.phone.counts().prompts, 0, "a wrong password never reaches the phone");
    demo.phone.set_behaviour(None, answer(Decision::Deny));
    assert_eq!(client.bind(2, ALICE, DEMO_PASSWORD).await, wrong);
    assert_eq!(client.bind(3, "nobody@demo.anteroom.test", DEMO_PASSWORD).await, wrong);
    let (entries, result) = client.search(4, DEMO_BASE, Scope::Subtree, "(sAMAccountName=bob)").await;
    assert_eq!((entries, result), (0, code::STRONGER_AUTH_REQUIRED), "nobody is bound");
    demo.stop().await;
}

#[tokio::test]
async fn nothing_is_served_while_a_bind_is_held_and_all_of_it_afterwards() {
    let demo = house().await;
    demo.phone.set_behaviour(None, Behaviour::Manual);
    let mut client = Client::connect(door(&demo)).await;
    client.send_bind(1, ALICE, DEMO_PASSWORD).await;
    until("a prompt", || demo.phone.counts().prompts == 1).await;
    client.send_search(2, DEMO_BASE, Scope::Subtree, "(sAMAccountName=bob)").await;
    // RFC 4511 section 4.11: a bind cannot be abandoned.
    let mut abandon = Vec::new();
    write_abandon(&mut abandon, 3, 1);
    client.send(&abandon).await;
    assert!(client.is_silent().await);
    demo.phone.decide("alice", Decision::Approve);
    let bound = client.next().await.unwrap();
    assert_eq!((bound.id, bound.result().0), (1, code::SUCCESS));
    let entry = client.next().await.unwrap();
    assert_eq!(entry.id, 2);
    assert_eq!(client.next().await.unwrap().result().0, code::SUCCESS);
    demo.stop().await;
}

#[tokio::test]
async fn closing_unbinding_and_rebinding_cancel_the_prompt() {
    let demo = house().await;
    demo.phone.set_behaviour(None, Behaviour::Manual);
    let cancels = || demo.phone.counts().cancels;
    let mut client = Client::connect(door(&demo)).await;
    client.send_bind(1, ALICE, DEMO_PASSWORD).await;
    until("a prompt", || demo.phone.counts().prompts == 1).await;
    drop(client);
    until("a cancel after the close", || cancels() == 1).await;

    let mut client = Client::connect(door(&demo)).await;
    client.send_bind(1, "bob@demo.anteroom.test", DEMO_PASSWORD).await;
    until("a second prompt", || demo.phone.counts().prompts == 2).await;
    client.unbind(2).await;
    assert_eq!(client.next().await, None);
    until("a cancel after the unbind", || cancels() == 2).await;

    let mut client = Client::connect(door(&demo)).await;
    client.send_bind(1, "carol@demo.anteroom.test", DEMO_PASSWORD).await;
    until("a third prompt", || demo.phone.counts().prompts == 3).await;
    client.send_bind(2, DEMO_SERVICE_NAME, DEMO_SERVICE_PASSWORD).await;
    let superseded = client.next().await.unwrap();
    assert_eq!((superseded.id, superseded.result().0), (1, code::OPERATIONS_ERROR));
    let bound = client.next().await.unwrap();
    assert_eq!((bound.id, bound.result().0), (2, code::SUCCESS));
    until("a cancel after the rebind", || cancels() == 3).await;
    demo.stop().await;
}

#[tokio::test]
async fn a_service_account_searches_and_a_person_binds_on_the_same_connection() {
    let demo = house().await;
    demo.phone.set_behaviour(None, answer(Decision::Approve));
    let mut client = Client::connect(door(&demo)).await;
    for round in 0..3 {
        let id = round * 10 + 1;
        assert_eq!(client.bind(id, DEMO_SERVICE_NAME, DEMO_SERVICE_PASSWORD).await.0, code::SUCCESS);
        assert_eq!(client.search(id + 1, DEMO_BASE, Scope::Subtree, "(sAMAccountName=alice)").await.0, 1);
        assert_eq!(client.bind(id + 2, ALICE, DEMO_PASSWORD).await.0, code::SUCCESS);
    }
    assert_eq!(demo.phone.counts().prompts, 3, "each bind of a person is a sign-in, none of the service account is");
    demo.stop().await;
}

#[tokio::test]
async fn a_code_in_the_password_field_needs_no_prompt() {
    let demo = house().await;
    demo.phone.set_behaviour(None, Behaviour::Manual);
    let mut client = Client::connect(door(&demo)).await;
    let binds = demo.directory.binds();
    assert_eq!(client.bind(1, ALICE, &format!("{DEMO_PASSWORD},123456")).await.0, code::SUCCESS);
    assert_eq!(demo.directory.binds(), binds + 2, "the service account's own and one try, never the whole text");
    assert_eq!(client.bind(2, ALICE, &format!("{DEMO_PASSWORD},000000")).await.0, code::INVALID_CREDENTIALS);
    demo.stop().await;
}

#[tokio::test]
async fn a_password_that_ends_like_a_code_still_works_and_is_never_tried_whole_first() {
    let demo = house().await;
    demo.phone.set_behaviour(None, answer(Decision::Approve));
    let mut people = demo_people();
    for person in people.iter_mut().filter(|person| person.name == "alice") {
        person.password = Secret::from_text("tricky,123456".into());
    }
    demo.directory.set_people(people);
    let mut client = Client::connect(door(&demo)).await;
    // The service account's own bind comes with the first look-up.
    assert_eq!(client.bind(1, "bob@demo.anteroom.test", DEMO_PASSWORD).await.0, code::SUCCESS);
    let binds = demo.directory.binds();
    assert_eq!(client.bind(2, ALICE, "tricky,123456").await.0, code::SUCCESS);
    assert_eq!(demo.directory.binds(), binds + 2, "first without what looks like a code, then whole");
    assert_eq!(client.bind(3, ALICE, "tricky,123456,push").await.0, code::SUCCESS);
    assert_eq!(demo.directory.binds(), binds + 3, "what stands before a word is tried alone");
    for (id, tries) in [(4, 2), (5, 2), (6, 0)] {
        let before = demo.directory.binds();
        assert_eq!(client.bind(id, ALICE, "wrong,654321").await.0, code::INVALID_CREDENTIALS);
        assert_eq!(demo.directory.binds(), before + tries, "the throttle counts both tries");
    }
    demo.stop().await;
}
