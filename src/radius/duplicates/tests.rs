use super::*;
use proptest::prelude::*;

const WINDOW: Duration = Duration::from_secs(30);

fn key(n: u32) -> RequestKey {
    let peer = SocketAddr::from(([192, 0, 2, 1], u16::try_from(n / 256).unwrap()));
    RequestKey::new(peer, u8::try_from(n % 256).unwrap())
}

fn seen(table: &mut Duplicates<u32>, key: RequestKey, authenticator: u8, now: Instant) -> &'static str {
    match table.seen(&key, &[authenticator; 16], now) {
        Seen::New => "new",
        Seen::Running(_) => "running",
        Seen::Answered(_) => "answered",
    }
}

#[test]
fn a_request_is_new_then_running_then_answered_then_new() {
    let start = Instant::now();
    let mut table = Duplicates::<u32>::new(10, start);
    assert_eq!(seen(&mut table, key(1), 1, start), "new");
    let begun = table.begin(key(1), &[1; 16], start).unwrap();
    assert_eq!(seen(&mut table, key(1), 1, start + WINDOW * 100), "running");
    let now = start + WINDOW * 100;
    assert!(table.finish(&key(1), begun.generation, Reply::from(*b"bytes"), WINDOW, now));
    let Seen::Answered(reply) = table.seen(&key(1), &[1; 16], now + WINDOW) else { panic!() };
    assert_eq!(&reply[..], b"bytes");
    assert_eq!(seen(&mut table, key(1), 1, now + WINDOW + Duration::from_secs(1)), "new");
    assert!(table.is_empty());
}

#[test]
fn another_authenticator_supersedes_a_running_request() {
    let now = Instant::now();
    let mut table = Duplicates::<u32>::new(10, now);
    let first = table.begin(key(1), &[1; 16], now).unwrap();
    assert_eq!(table.attach(&key(1), first.generation, 71), None);
    assert_eq!(seen(&mut table, key(1), 2, now), "new");
    let second = table.begin(key(1), &[2; 16], now).unwrap();
    assert_eq!(second.superseded, Some(71));
    assert_eq!(table.attach(&key(1), first.generation, 72), Some(72));
    assert!(!table.finish(&key(1), first.generation, Reply::from([]), WINDOW, now));
    assert_eq!(seen(&mut table, key(1), 2, now), "running");
    assert!(table.finish(&key(1), second.generation, Reply::from([]), WINDOW, now));
    assert!(!table.finish(&key(1), second.generation, Reply::from([]), WINDOW, now));
    assert_eq!(table.running(), 0);
}

#[test]
fn a_full_table_refuses_new_requests_and_evicts_none() {
    let now = Instant::now();
    let mut table = Duplicates::<u32>::new(2, now);
    let first = table.begin(key(1), &[1; 16], now).unwrap();
    table.begin(key(2), &[1; 16], now).unwrap();
    assert!(table.begin(key(3), &[1; 16], now).is_err());
    assert!(table.finish(&key(1), first.generation, Reply::from([]), WINDOW, now));
    assert!(table.begin(key(3), &[1; 16], now).is_err(), "an answer is kept for its window");
    assert!(table.begin(key(3), &[1; 16], now + WINDOW * 2).is_ok());
    assert_eq!(seen(&mut table, key(2), 1, now + WINDOW * 2), "running");
}

#[test]
fn entries_are_small() {
    // With its control octet, and at the worst fill of the map after it has grown: 7/16.
    let octets = size_of::<(RequestKey, Entry<tokio::task::AbortHandle>)>() + 1;
    assert!(octets * 16 / 7 < 200, "{octets}");
}

#[test]
fn ten_thousand_requests_a_second_do_not_grow_it_without_bound() {
    let start = Instant::now();
    let mut table = Duplicates::<u32>::new(1 << 20, start);
    let mut longest = 0;
    for n in 0..300_000u32 {
        let now = start + Duration::from_micros(u64::from(n) * 100);
        // 16 ports with their 256 identifiers, used again and again, each time with another authenticator.
        let authenticator = n.to_be_bytes().repeat(4).try_into().unwrap();
        let begun = table.begin(key(n % 4096), &authenticator, now).unwrap();
        assert!(table.finish(&key(n % 4096), begun.generation, Reply::from([]), Duration::from_secs(5), now));
        longest = longest.max(table.ends.values().map(VecDeque::len).sum());
    }
    assert_eq!(table.len(), 4096);
    assert!(longest <= 4096, "{longest}");
    let end = start + Duration::from_secs(60);
    (0..4096).for_each(|_| table.expire(end));
    assert!(table.is_empty() && table.ends.is_empty());
}

/// What the model knows of a key: authenticator, generation, and when it was answered.
type Modelled = (u8, u32, Option<(Instant, Reply)>);

proptest! {
    #[test]
    fn it_behaves_like_its_model(
        steps in proptest::collection::vec((0u8..5, 0u32..6, 0u8..3, 0u64..3000), 1..300),
    ) {
        let start = Instant::now();
        let mut now = start;
        let mut table = Duplicates::<u32>::new(5, start);
        let mut model: HashMap<RequestKey, Modelled> = HashMap::new();
        for (action, n, authenticator, wait) in steps {
            now += Duration::from_millis(wait);
            let window = Duration::from_secs(u64::from(n) + 1);
            // What has ended by more than the table's one-second grain must be gone for the one who asks.
            let known = model.get(&key(n)).cloned();
            match action {
                0..=2 => {
                    let seen = table.seen(&key(n), &[authenticator; 16], now);
                    match (&known, &seen) {
                        (Some((same, _, None)), Seen::Running(_)) => prop_assert_eq!(*same, authenticator),
                        (Some((same, _, Some((at, reply)))), Seen::Answered(bytes)) => {
                            prop_assert_eq!(*same, authenticator);
                            prop_assert_eq!(reply, bytes);
                            prop_assert!(now <= *at + window + Duration::from_secs(1));
                        }
                        (Some((same, _, None)), Seen::New) => prop_assert_ne!(*same, authenticator),
                        (Some((same, _, Some((at, _)))), Seen::New) => {
                            prop_assert!(*same != authenticator || now > *at + window);
                        }
                        (None, Seen::New) => {}
                        other => prop_assert!(false, "{:?}", other),
                    }
                    if matches!(seen, Seen::New)
                        && let Ok(begun) = table.begin(key(n), &[authenticator; 16], now)
                    {
                        model.insert(key(n), (authenticator, begun.generation, None));
                    }
                }
                3 => if let Some((same, generation, state)) = known {
                    let reply = Reply::from(generation.to_be_bytes());
                    let done = table.finish(&key(n), generation, Arc::clone(&reply), window, now);
                    prop_assert_eq!(done, state.is_none());
                    if done {
                        model.insert(key(n), (same, generation, Some((now, reply))));
                    }
                },
                _ => if let Some((_, generation, state)) = known {
                    table.forget(&key(n), generation);
                    if state.is_none() {
                        model.remove(&key(n));
                    }
                },
            }
            let running = model.values().filter(|(_, _, state)| state.is_none()).count();
            prop_assert_eq!(table.running(), running);
            prop_assert!(table.len() <= 5);
            prop_assert!(table.ends.values().map(VecDeque::len).sum::<usize>() <= table.len());
        }
    }
}
