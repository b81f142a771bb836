//! An attacker at the real program in front of a real domain controller: sprays passwords from ever new addresses, bombs
//! one person with prompts, guesses codes on many connections and replays States. What the controller has counted is read
//! from the controller, and what the reports say from the command.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use serde_json::Value;

use crate::peers::crowd::{Crowd, password};
use crate::peers::phone::Phone;
use crate::peers::samba::{Alone, SERVICE_PASSWORD};
use crate::peers::server::{SHARED_SECRET, Server, Settings};
use crate::peers::wire::{ACCESS_ACCEPT, ACCESS_CHALLENGE, ACCESS_REJECT, Nas, Reply};
use crate::peers::world::{SOON, device_token};

const CALLING_STATION_ID: u8 = 31;
const STATE: u8 = 24;
const HOME: &str = "198.51.100.7";

struct World {
    server: Server,
    phone: Phone,
    addresses: AtomicUsize,
}

impl World {
    /// With the throttle as it is when nobody says otherwise, but for `throttle`.
    fn new(directory: &Alone, client: &str, throttle: &str, more: &str) -> World {
        let phone = Phone::start();
        let settings = Settings {
            directory: directory.address().to_owned(),
            ca: directory.ca(),
            provider: format!("http://{}", phone.address()),
            service_password: SERVICE_PASSWORD.to_owned(),
            client: format!("person_address = \"Calling-Station-Id\"\ncarry_over = \"0s\"\n{client}"),
            ..Settings::default()
        };
        let server = Server::start_written(|folder, address| {
            let written = settings.written(folder, address);
            let generous = "failures_per_source = 1000\nprompts_per_person = 100\n";
            assert!(written.contains(generous));
            let written = written.replace(generous, &format!("{throttle}\n"));
            // Who is asked by the house is not asked by the cloud.
            let written =
                if more.is_empty() { written } else { written.replace("provider = \"cloud\"", "provider = \"local\"") };
            format!("{written}\n{more}")
        });
        World { server, phone, addresses: AtomicUsize::new(0) }
    }

    fn enrol(&self, name: &str) {
        self.server.run(&["user", "add", name, "--method", "push", "--device-token", &device_token(name)]);
    }

    /// An address that nobody has come from before.
    fn somewhere(&self) -> String {
        let number = self.addresses.fetch_add(1, Ordering::SeqCst);
        format!("10.{}.{}.{}", number >> 16 & 0xff, number >> 8 & 0xff, number & 0xff)
    }

    fn begin(&self, who: &str, typed: &str, from: &str, state: Option<&[u8]>) -> Reply {
        let mut nas = Nas::new(self.server.radius(), SHARED_SECRET);
        let mut more: Vec<(u8, &[u8])> = vec![(CALLING_STATION_ID, from.as_bytes())];
        more.extend(state.map(|state| (STATE, state)));
        let request = nas.request(who, typed.as_bytes(), &more);
        nas.send(&request);
        nas.receive(&request, SOON).unwrap_or_else(|| panic!("no answer for {who}"))
    }

    fn sign_in(&self, who: &str, typed: &str, from: &str) -> u8 {
        self.begin(who, typed, from, None).code
    }

    /// How often each reason is in the audit, which has `count` events at least.
    fn reasons(&self, count: usize) -> BTreeMap<String, usize> {
        let mut reasons = BTreeMap::new();
        for event in self.server.all_events(count) {
            *reasons.entry(event["reason"].as_str().unwrap().to_owned()).or_default() += 1;
        }
        reasons
    }

    /// Waits until the report has of each reason as many as the audit.
    fn reported(&self) {
        crate::peers::eventually("the report of all that is in the audit", || {
            let output = self.server.run(&["report", "usage", "--format", "json"]);
            let mut reasons: BTreeMap<String, usize> = BTreeMap::new();
            for row in String::from_utf8(output.stdout).unwrap().lines() {
                let row: Value = serde_json::from_str(row).unwrap();
                let number: usize = row["sign_ins"].as_str().unwrap().parse().unwrap();
                *reasons.entry(row["reason"].as_str().unwrap().to_owned()).or_default() += number;
            }
            let is_there = reasons == self.reasons(1);
            if !is_there {
                thread::sleep(Duration::from_millis(200));
            }
            is_there.then_some(())
        });
    }
}

/// Does `work` with each of `jobs` in as many threads as there are jobs, at most `many` at once.
fn at_once<T: Send + Sync, R: Send>(jobs: &[T], many: usize, work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let next = AtomicUsize::new(0);
    thread::scope(|scope| {
        let one = || {
            let mut done = Vec::new();
            while let Some(job) = jobs.get(next.fetch_add(1, Ordering::SeqCst)) {
                done.push(work(job));
            }
            done
        };
        let threads: Vec<_> = (0..many).map(|_| scope.spawn(one)).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    })
}

#[test]
fn a_real_domain_is_sprayed_and_locks_nobody_out() {
    let Some(directory) = Alone::get() else { return };
    let crowd = Crowd::new(&directory, 50);
    let world = World::new(&directory, "", "", "");
    world.phone.approve_by_itself();
    let (threshold, many) = (crowd.threshold(), crowd.names.len());
    assert_eq!((threshold, many), (5, 50), "as AD is told by many");
    let (sprayed, others) = crowd.names.split_at(28);
    let owners = &sprayed[..3];
    for owner in owners {
        world.enrol(owner);
        assert_eq!(world.sign_in(owner, &password(owner), HOME), ACCESS_ACCEPT, "{owner}");
    }
    let mut sent = owners.len();
    // Eight passwords, each tried on everybody, from an address of its own each time.
    for round in 0..8 {
        let ends = at_once(sprayed, 8, |who| world.sign_in(who, &format!("Summer202{round}!"), &world.somewhere()));
        assert!(ends.iter().all(|end| *end == ACCESS_REJECT));
        for owner in owners {
            assert_eq!(world.sign_in(owner, &password(owner), HOME), ACCESS_ACCEPT, "{owner} in round {round}");
        }
        sent += sprayed.len() + owners.len();
    }
    // One of them is singled out, on many connections at once.
    let guesses: Vec<usize> = (0..150).collect();
    let owner = &owners[0];
    let ends = at_once(&guesses, 30, |guess| world.sign_in(owner, &format!("guess {guess}"), &world.somewhere()));
    assert!(ends.iter().all(|end| *end == ACCESS_REJECT));
    assert_eq!(world.sign_in(owner, &password(owner), HOME), ACCESS_ACCEPT, "the owner, from a known place");
    sent += guesses.len() + 1;
    // All from one address: it is shut out before the people are through.
    let lair = world.somewhere();
    let tries: Vec<(&String, usize)> = others.iter().flat_map(|who| (0..4).map(move |number| (who, number))).collect();
    let ends = at_once(&tries, 8, |(who, number)| world.sign_in(who, &format!("Winter202{number}!"), &lair));
    assert!(ends.iter().all(|end| *end == ACCESS_REJECT));
    sent += tries.len();

    let counted = crowd.counted();
    assert_eq!(counted.len(), many);
    for (who, counted) in &counted {
        assert!(!counted.locked && counted.bad_passwords < threshold, "{who}: {counted:?}");
    }
    let most = counted.values().map(|counted| counted.bad_passwords).max();
    assert!(most >= Some(3), "the controller was asked, as far as it may be: {counted:?}");
    let reasons = world.reasons(sent);
    assert_eq!(reasons["approved"], 3 + 8 * 3 + 1, "{reasons:?}");
    assert!(reasons["throttled_source"] >= 30 && reasons["throttled_person"] > 100, "{reasons:?}");
    world.reported();
}

#[test]
fn a_person_of_a_real_domain_is_not_bombed_with_prompts() {
    let Some(directory) = Alone::get() else { return };
    let crowd = Crowd::new(&directory, 1);
    let who = &crowd.names[0];
    let world = World::new(&directory, "", "denial_backoff = \"1s\"", "");
    world.enrol(who);
    world.phone.deny_by_itself(who);
    // The attacker knows the password.
    let tries: Vec<usize> = (0..60).collect();
    let ends = at_once(&tries, 20, |_| world.sign_in(who, &password(who), &world.somewhere()));
    assert!(ends.iter().all(|end| *end == ACCESS_REJECT));
    let asked = world.phone.asked();
    assert!((1..=5).contains(&asked), "asked {asked} times, where five are allowed in ten minutes");
    // The owner has the phone in hand, once the pause is over; five in ten minutes are not reached.
    world.phone.approves_by_itself(who);
    crate::peers::eventually("the owner", || {
        thread::sleep(Duration::from_millis(500));
        (world.sign_in(who, &password(who), HOME) == ACCESS_ACCEPT).then_some(())
    });
    assert!(world.phone.asked() <= 5 + 1);
    let reasons = world.reasons(tries.len() + 1);
    assert_eq!(reasons["denied"], usize::try_from(asked).unwrap(), "{reasons:?}");
    assert_eq!(crowd.counted()[who].bad_passwords, 0, "the password was right");
    world.reported();
}

#[test]
fn codes_are_guessed_on_many_connections_and_states_replayed_in_vain() {
    let Some(directory) = Alone::get() else { return };
    let crowd = Crowd::new(&directory, 1);
    let who = &crowd.names[0];
    let throttle = "prompts_per_person = 1000\nlockout_after = 40";
    let world = World::new(
        &directory,
        "challenge = \"yes\"\nchallenge_within = \"10s\"",
        throttle,
        "[provider.local]\ntype = \"local\"\n",
    );
    world.server.run(&["user", "add", who, "--method", "oath"]);
    let codes = |arguments: &[&str]| {
        let output = world.server.run(&[&["user"], arguments, &["--output", "codes"]].concat());
        String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect::<Vec<_>>()
    };
    let list = codes(&["codes", who]);
    let state = |reply: &Reply| {
        let found = reply.attributes.iter().find(|(number, _)| *number == STATE);
        found.map(|(_, value)| value.clone())
    };
    // Forty connections, each with three guesses at what it is asked for, as long as their backup codes are.
    let tries: Vec<usize> = (0..40).collect();
    let ends = at_once(&tries, 20, |number| {
        let from = world.somewhere();
        let mut reply = world.begin(who, &password(who), &from, None);
        for guess in 0..3 {
            let Some(state) = state(&reply) else { break };
            reply = world.begin(who, &format!("{:010}", number * 3 + guess), &from, Some(&state));
        }
        reply.code
    });
    assert!(ends.iter().all(|end| *end != ACCESS_ACCEPT), "{ends:?}");
    // The tries are used up: the right one is not looked at any more.
    let asked = world.begin(who, &password(who), HOME, None);
    let end = match state(&asked) {
        Some(state) => world.begin(who, &list[0], HOME, Some(&state)),
        None => asked,
    };
    assert_ne!(end.code, ACCESS_ACCEPT, "a code was accepted beyond its tries");
    // The help desk gives one, which ends that, and the owner comes in.
    let temporary = codes(&["code", who, "--reason", "guessed at"]);
    world.server.run(&["user", "unblock", who, "--reason", "it was an attacker"]);
    let open = crate::peers::eventually("a round, once others of theirs are over", || {
        let asked = world.begin(who, &password(who), HOME, None);
        state(&asked).map(|state| (asked.code, state))
    });
    assert_eq!(open.0, ACCESS_CHALLENGE);
    let altered: Vec<u8> = open.1.iter().rev().copied().collect();
    assert_eq!(world.begin(who, &temporary[0], HOME, Some(&altered)).code, ACCESS_REJECT);
    assert_eq!(world.begin(who, &temporary[0], HOME, Some(&open.1)).code, ACCESS_ACCEPT);
    // State and code once more, on many connections.
    let ends = at_once(&tries, 20, |_| world.begin(who, &temporary[0], &world.somewhere(), Some(&open.1)).code);
    assert!(ends.iter().all(|end| *end == ACCESS_REJECT), "{ends:?}");
    // And the code in a round of its own.
    let asked = world.begin(who, &password(who), HOME, None);
    let end = world.begin(who, &temporary[0], HOME, Some(&state(&asked).unwrap()));
    assert_ne!(end.code, ACCESS_ACCEPT, "a code was good twice");
    let counted = crowd.counted()[who];
    assert_eq!((counted.bad_passwords, counted.locked), (0, false), "the password was right each time");
    // The events come after the answers, and how many the guesses made depends on whose turn it was.
    let reasons = crate::peers::eventually("one approval and forty states used twice in the audit", || {
        let reasons = world.reasons(42);
        let number = |reason: &str| reasons.get(reason).copied().unwrap_or(0);
        ((number("approved"), number("state_used")) == (1, 40)).then_some(reasons)
    });
    assert!(reasons["state_foreign"] >= 1, "{reasons:?}");
    world.reported();
}
