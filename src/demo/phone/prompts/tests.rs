use super::*;

const WALL: u64 = 1_767_225_600;

fn asked(key: &str) -> Asked {
    Asked {
        key: key.into(),
        server: "one".into(),
        person: "alice".into(),
        application: "VPN".into(),
        method: "push".into(),
        address: None,
        wants_pin: false,
        number: None,
        lives: Duration::from_secs(10),
    }
}

fn state(prompts: &Prompts, number: u64) -> State {
    prompts.get(number).expect("remembered").state
}

#[test]
fn unanswered_prompt_expires_in_time() {
    let (mut prompts, now) = (Prompts::new(1), Instant::now());
    let number = prompts.begin(asked("k"), Behaviour::Manual, now, WALL);
    prompts.run_due(now + Duration::from_millis(9_999), WALL, 10);
    assert_eq!(state(&prompts, number), State::Pending);
    prompts.run_due(now + Duration::from_secs(10), WALL, 10);
    assert_eq!(state(&prompts, number), State::Expired);
}

#[test]
fn final_state_never_changes() {
    let (mut prompts, now) = (Prompts::new(1), Instant::now());
    let number = prompts.begin(asked("k"), Behaviour::Manual, now, WALL);
    assert!(prompts.decide(number, State::Denied, now, WALL));
    assert!(!prompts.decide(number, State::Approved, now, WALL));
    prompts.cancel(number, now, WALL);
    assert_eq!(state(&prompts, number), State::Denied);
}

#[test]
fn key_cancelled_before_it_is_seen_prompts_nobody() {
    let (mut prompts, now) = (Prompts::new(1), Instant::now());
    assert_eq!(prompts.cancel_key("k", now, WALL), None);
    let answer = Behaviour::Answer { decision: Decision::Approve, after_ms: 0 };
    let number = prompts.begin(asked("k"), answer, now, WALL);
    assert_eq!(state(&prompts, number), State::Expired);
    assert_eq!((prompts.counts.prompts, prompts.counts.approved), (0, 0));
}

#[test]
fn waiter_hears_the_decision() {
    let (mut prompts, now) = (Prompts::new(1), Instant::now());
    let number = prompts.begin(asked("k"), Behaviour::Manual, now, WALL);
    let mut waiter = prompts.wait(number).expect("pending");
    prompts.decide(number, State::Approved, now, WALL);
    assert_eq!(waiter.try_recv(), Ok(State::Approved));
    assert!(prompts.wait(number).is_none());
}

#[test]
fn finished_prompts_and_keys_are_forgotten() {
    let (mut prompts, now) = (Prompts::new(1), Instant::now());
    prompts.note_early("early", now);
    let number = prompts.begin(asked("k"), Behaviour::Manual, now, WALL);
    prompts.decide(number, State::Denied, now, WALL);
    prompts.begin(asked("l"), Behaviour::Manual, now + REMEMBERED, WALL);
    assert!(prompts.by_key("k").is_none() && prompts.early_posts("early") == 0);
    assert!(prompts.by_key("l").is_some());
}
