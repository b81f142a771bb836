use super::*;
use crate::simulate::scenario::Kind;

fn desk(scenario: Scenario) -> Desk {
    let desk = Desk::new(ScenarioFile::default());
    desk.set(None, scenario);
    desk
}

fn begin(desk: &Desk, person: &str) -> Prompt {
    desk.begin(Asking { person: person.into(), ..Asking::default() })
}

#[test]
fn prompts_end_as_their_scenario_says() {
    for (answer, state) in [
        (Decision::Approve, State::Approved),
        (Decision::Deny, State::Denied),
        (Decision::Fraud, State::Fraud),
        (Decision::Lockout, State::Lockout),
        (Decision::Never, State::Pending),
    ] {
        assert_eq!(begin(&desk(Scenario::answering(answer)), "alice").state, state);
    }
    let late = Scenario { after: Duration::from_secs(9), ..Scenario::answering(Decision::Approve) };
    assert_eq!(begin(&desk(late.clone()), "alice").state, State::Pending);
    let expired = desk(Scenario { expires: Duration::ZERO, ..late });
    assert_eq!(begin(&expired, "alice").state, State::Expired);
}

#[test]
fn second_answer_comes_after_the_first_was_fetched() {
    let desk = desk(Scenario { then: Some(Decision::Deny), ..Scenario::answering(Decision::Approve) });
    let id = begin(&desk, "alice").id;
    assert_eq!(desk.prompt(&id).map(|prompt| prompt.state), Some(State::Approved));
    assert_eq!(desk.fetch(&id).map(|prompt| prompt.state), Some(State::Approved));
    assert_eq!(desk.fetch(&id).map(|prompt| prompt.state), Some(State::Denied));
}

#[test]
fn decision_and_cancellation_count_once() {
    let desk = desk(Scenario::default());
    let (one, two) = (begin(&desk, "alice"), begin(&desk, "bob"));
    assert_eq!((desk.pending(), desk.decide("alice", Decision::Approve)), (2, 1));
    assert!(!desk.cancel(&one.id) && desk.cancel(&two.id) && !desk.cancel("nobody"));
    let states: Vec<State> = desk.prompts().iter().map(|prompt| prompt.state).collect();
    assert_eq!(states, [State::Approved, State::Cancelled]);
}

#[test]
fn faults_happen_where_and_as_often_as_said() {
    let desk = desk(Scenario::with(Fault::status(401).at(Step::Token).times(1)));
    assert!(desk.fault(Step::Begin, Some("alice")).is_none());
    assert!(desk.fault(Step::Token, None).is_some() && desk.fault(Step::Token, None).is_none());
    desk.set(Some("bob"), Scenario::with(Fault::new(Kind::Reset)));
    assert!(desk.fault(Step::Poll, Some("bob")).is_some() && desk.fault(Step::Poll, Some("alice")).is_none());
}

#[tokio::test]
async fn waiting_ends_with_the_decision() {
    let desk = desk(Scenario::default());
    let id = begin(&desk, "alice").id;
    let (waited, decided) = tokio::join!(desk.wait(&id, Duration::from_secs(30)), async {
        tokio::task::yield_now().await;
        desk.decide("alice", Decision::Deny)
    });
    assert_eq!((waited.map(|prompt| prompt.state), decided), (Some(State::Denied), 1));
    assert_eq!(desk.wait("nobody", Duration::ZERO).await.map(|prompt| prompt.id), None);
}

#[test]
fn followers_learn_of_every_decision_once_and_in_order() {
    let desk = desk(Scenario::default());
    let waiting: Vec<Prompt> = ["alice", "bob", "carol"].into_iter().map(|name| begin(&desk, name)).collect();
    assert_eq!(desk.decided_after(0, 10).0.len(), 0);
    desk.decide("bob", Decision::Deny);
    assert!(desk.cancel(&waiting[0].id) && !desk.cancel(&waiting[0].id));
    let (decided, seen) = desk.decided_after(0, 1);
    assert_eq!((decided[0].person.as_str(), decided.len(), seen), ("bob", 1, 1));
    let (decided, seen) = desk.decided_after(seen, 10);
    assert_eq!((decided[0].state, decided.len(), seen), (State::Cancelled, 1, 2));
    assert_eq!(desk.decided_after(seen, 10).0.len(), 0);
    // what a scenario decides is told when it is due, and an expiry as well
    desk.set(None, Scenario { expires: Duration::ZERO, ..Scenario::default() });
    begin(&desk, "dora");
    let (decided, _) = desk.decided_after(seen, 10);
    assert_eq!(decided.iter().map(|prompt| prompt.state).collect::<Vec<_>>(), [State::Expired]);
}

#[tokio::test]
async fn news_come_with_the_next_decision_or_when_it_is_due() {
    let desk = desk(Scenario { after: Duration::from_millis(20), ..Scenario::answering(Decision::Approve) });
    begin(&desk, "alice");
    desk.news(0).await;
    assert_eq!(desk.decided_after(0, 10).0[0].state, State::Approved);
    desk.set(None, Scenario::default());
    begin(&desk, "bob");
    tokio::join!(desk.news(1), async {
        tokio::task::yield_now().await;
        desk.decide("bob", Decision::Deny)
    });
    assert_eq!(desk.decided_after(1, 10).0[0].state, State::Denied);
}

/// A stream that is followed sleeps until the next prompt is due; this one is, long before any that it knows of.
#[tokio::test]
async fn news_come_of_a_prompt_that_began_while_they_were_waited_for() {
    let desk = desk(Scenario { after: Duration::from_millis(20), ..Scenario::answering(Decision::Approve) });
    let news = async {
        while desk.decided_after(0, 10).0.is_empty() {
            desk.news(0).await;
        }
    };
    let (heard, ()) = tokio::join!(tokio::time::timeout(Duration::from_secs(30), news), async {
        tokio::task::yield_now().await;
        begin(&desk, "alice");
    });
    assert!(heard.is_ok(), "nobody was woken");
}
