use std::time::Duration;

use super::*;
use crate::config::Balance;
use crate::signin::testing::StoreOf;

fn target(domains: &[&str], realms: &[&str]) -> RadiusTarget {
    let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    RadiusTarget {
        name: "nps".into(),
        servers: crate::config::RadiusServers::Udp(vec!["127.0.0.1:9".parse().unwrap()]),
        accounting: crate::config::RadiusServers::Udp(Vec::new()),
        secret: Secret::new(vec![7; 16]),
        balance: Balance::Ordered,
        timeout: Duration::from_secs(1),
        tries: 1,
        requires_signature: true,
        probe: None,
        dead_for: Duration::from_secs(60),
        sockets: 1,
        forward_as: ForwardAs::Proxy,
        nas_identifier: "anteroom".into(),
        domains: owned(domains),
        realms: owned(realms),
        send_name: SendName::Typed,
        eap_identity: EapIdentity::Reply,
        reply: ReplyRules::default(),
    }
}

fn people() -> Vec<Person> {
    let alice = Person { upn: Some("a.anders@corp.example".into()), ..Person::bare("id-alice", "alice") };
    let bob = Person::bare("id-bob", "bob");
    // Whose UPN spells another one's login name and realm.
    let carol = Person { upn: Some("bob@corp.example".into()), ..Person::bare("id-carol", "carol") };
    let foreign = Person::bare("id-foreign", "PARTNER\\alice");
    vec![alice, bob, carol, foreign]
}

async fn who(typed: &str) -> Result<String, IdentifyError> {
    let store: Arc<dyn Store> = Arc::new(StoreOf(Some(people())));
    let radius = Radius::new(&target(&["CORP"], &["corp.example"]), store, [0; 4]).unwrap();
    radius.identify(typed, Instant::now()).await.map(|who| who.unique_id)
}

#[tokio::test]
async fn each_way_to_write_a_person_is_that_person() {
    for typed in [
        "alice",
        "ALICE",
        "CORP\\alice",
        "corp\\Alice",
        "alice@corp.example",
        "alice@CORP.example",
        "a.anders@corp.example",
        "A.Anders",
    ] {
        assert_eq!(who(typed).await.as_deref(), Ok("id-alice"), "{typed}");
    }
    assert_eq!(who("PARTNER\\alice").await.as_deref(), Ok("id-foreign"));
}

/// Whoever passes under a name that the store does not know is asked for no factor where the client's section lets
/// unknown people in: so what a server may take for alice is alice, or nobody.
#[tokio::test]
async fn nobody_passes_as_somebody_else_by_spelling() {
    let others = [
        " alice",
        "alice ",
        "\talice",
        "alice\u{a0}",
        "\u{ff41}lice",
        "\u{e0}lice",
        "al\u{200b}ice",
        "alice\0",
        "al ice",
        "alice@",
        "@alice",
        "OTHER\\alice",
        "alice@other.example",
        "CORP\\\\alice",
        "CORP\\ alice",
        "alice/admin",
        "host/alice",
        "alice%corp.example",
        "corp.example!alice",
        "CORP/alice",
        "",
        " ",
        "\\alice",
        "CORP\\",
        "alice@corp.example ",
        "alice @corp.example",
        "\u{430}lice",
    ];
    for typed in others {
        assert_eq!(who(typed).await, Err(IdentifyError::Unknown), "{typed:?}");
    }
}

#[tokio::test]
async fn a_name_that_fits_two_people_is_nobodys() {
    assert_eq!(who("bob@corp.example").await, Err(IdentifyError::Ambiguous));
    assert_eq!(who("bob").await, Err(IdentifyError::Ambiguous));
    assert_eq!(who("carol").await.as_deref(), Ok("id-carol"));
}

#[tokio::test]
async fn a_plain_name_that_is_nobodys_is_somebody_unknown() {
    for typed in ["zoe", "ZOE", "CORP\\Zoe", "zoe@corp.example"] {
        assert_eq!(who(typed).await.as_deref(), Ok("radius:nps:zoe"), "{typed}");
    }
}

#[tokio::test]
async fn without_domains_and_realms_nothing_is_cut_off() {
    let store: Arc<dyn Store> = Arc::new(StoreOf(Some(people())));
    let radius = Radius::new(&target(&[], &[]), store, [0; 4]).unwrap();
    for typed in ["CORP\\alice", "alice@corp.example"] {
        assert_eq!(radius.identify(typed, Instant::now()).await, Err(IdentifyError::Unknown), "{typed}");
    }
    let found = radius.identify("a.anders@corp.example", Instant::now()).await.unwrap();
    assert_eq!((found.unique_id.as_str(), found.name.as_str()), ("id-alice", "alice"));
}

#[tokio::test]
async fn a_store_that_is_away_makes_nobody_unknown() {
    let radius = Radius::new(&target(&[], &[]), crate::signin::testing::store_away(), [0; 4]).unwrap();
    let found = radius.identify("alice", Instant::now()).await;
    assert!(matches!(found, Err(IdentifyError::Fault(_))), "{found:?}");
}

#[test]
fn a_request_that_waits_for_its_answer_is_small() {
    fn size<A, B, C, D, F>(_: impl FnOnce(A, B, C, D) -> F) -> usize {
        size_of::<F>()
    }
    let octets = size(Radius::ask);
    assert!(octets <= 552, "{octets}");
}
