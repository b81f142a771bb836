//! Typed codes and PINs in the store.

use std::time::Duration;

use anteroom::secret::Secret;
use anteroom::users::codes::{CodeKind, KeptCode};
use anteroom::users::pin::Rules;
use anteroom::users::pins::{self, PinVerdict, Unfit};
use anteroom::users::roster::Roster;
use anteroom::users::sealed::Sealed;
use anteroom::users::typed::{Bound, Sending, SentCode, Tried};
use futures_util::future::join_all;

use super::{at, profile};

const BOUND: Bound = Bound { tries: 3, locked_for: Duration::from_secs(100) };

pub(crate) async fn tries_are_counted_before_they_are_looked_at(store: &dyn Roster) {
    let may = async |what, seconds| store.count_try("id-a", what, BOUND, at(seconds)).await.unwrap();
    let together = join_all((0..20).map(|_| may(Tried::Code, 1000))).await;
    assert_eq!(together.into_iter().filter(|may| *may).count(), 3, "of many at once no more than may be");
    assert!(may(Tried::Pin, 1000).await, "PINs are counted apart");
    assert!(store.count_try("id-b", Tried::Code, BOUND, at(1000)).await.unwrap(), "and people");
    assert!(!may(Tried::Code, 1099).await);
    assert!(may(Tried::Code, 1100).await, "the lock is over, and the count begins anew");
    assert!(may(Tried::Code, 1101).await);
    store.uncount_try("id-a", Tried::Code).await.unwrap();
    assert!(may(Tried::Code, 1102).await);
    assert!(may(Tried::Code, 1103).await);
    assert!(!may(Tried::Code, 1104).await);
    store.forget_tries("id-a", Tried::Code).await.unwrap();
    assert!(may(Tried::Code, 1105).await);
    // A clock that is a little behind another node's changes nothing; one that was set back does not lock for ever.
    assert!(may(Tried::Code, 1095).await && may(Tried::Code, 1095).await && !may(Tried::Code, 1096).await);
    assert!(may(Tried::Code, 500).await);
    for (person, what) in [("id-a", Tried::Code), ("id-a", Tried::Pin), ("id-b", Tried::Code)] {
        store.forget_tries(person, what).await.unwrap();
    }
}

fn code(kind: CodeKind, hash: &str, uses: u32) -> KeptCode {
    let expires = (kind == CodeKind::Temporary).then(|| at(50));
    let reason = (kind == CodeKind::Temporary).then(|| "phone forgotten".to_owned());
    KeptCode { kind, hash: hash.into(), uses, expires, reason, added: at(0), added_by: "cli:ada".into() }
}

pub(crate) async fn a_kept_code_is_used_as_often_as_it_may_be(store: &dyn Roster) {
    store.enrol(&profile("id-a", "alice"), "t").await.unwrap();
    let list = ["z", "a", "m"].map(|hash| code(CodeKind::Backup, hash, 1));
    assert!(store.set_kept_codes("id-a", CodeKind::Backup, &list, "cli:ada").await.unwrap());
    let temporary = code(CodeKind::Temporary, "t", 2);
    assert!(
        store.set_kept_codes("id-a", CodeKind::Temporary, std::slice::from_ref(&temporary), "cli:ada").await.unwrap()
    );
    assert!(!store.set_kept_codes("nobody", CodeKind::Backup, &list, "t").await.unwrap());
    let mut all = list.to_vec();
    all.push(temporary.clone());
    assert_eq!(store.kept_codes("id-a").await.unwrap(), all, "in their order, and whole");
    let uses = |code| store.use_kept_code("id-a", code, at(10));
    let together = join_all((0..8).map(|_| uses(&list[1]))).await;
    let used: Vec<u32> = together.into_iter().filter_map(|used| used.unwrap()).collect();
    assert_eq!(used, [2], "once, and two are left");
    assert_eq!(store.use_kept_code("id-b", &list[0], at(10)).await.unwrap(), None, "somebody else's");
    assert_eq!(uses(&temporary).await.unwrap(), Some(1));
    assert_eq!(store.use_kept_code("id-a", &temporary, at(50)).await.unwrap(), None, "expired");
    assert_eq!(uses(&temporary).await.unwrap(), Some(0));
    assert_eq!(uses(&temporary).await.unwrap(), None);
    // A new list voids the one before, and whoever was wrong too often may try again.
    for _ in 0..3 {
        store.count_try("id-a", Tried::Code, BOUND, at(10)).await.unwrap();
    }
    store.set_kept_codes("id-a", CodeKind::Backup, &[code(CodeKind::Backup, "new", 1)], "cli:ada").await.unwrap();
    assert_eq!(uses(&list[0]).await.unwrap(), None);
    assert!(store.count_try("id-a", Tried::Code, BOUND, at(10)).await.unwrap());
    store.set_kept_codes("id-a", CodeKind::Backup, &[], "cli:ada").await.unwrap();
    assert_eq!(store.kept_codes("id-a").await.unwrap(), []);
    let changes = store.changes(Some("id-a"), i64::MAX, 20).await.unwrap();
    let kinds: Vec<&str> = changes.iter().rev().map(|change| change.kind.as_str()).collect();
    let latest = kinds.len() - 7..;
    assert_eq!(
        kinds[latest],
        [
            "backup codes made",
            "temporary codes made",
            "backup code used",
            "temporary code used",
            "temporary code used",
            "backup codes made",
            "backup codes withdrawn"
        ]
    );
    let given = changes.iter().find(|change| change.kind == "temporary codes made").unwrap();
    assert!(given.by == "cli:ada" && format!("{:?}", given.fields).contains("phone forgotten"), "{given:?}");
    store.set_kept_codes("id-a", CodeKind::Backup, &list, "t").await.unwrap();
    store.count_try("id-a", Tried::Code, BOUND, at(10)).await.unwrap();
    store.dismiss("id-a", "t").await.unwrap();
    store.enrol(&profile("id-a", "alice"), "t").await.unwrap();
    assert_eq!(store.kept_codes("id-a").await.unwrap(), [], "codes go with their person");
    store.dismiss("id-a", "t").await.unwrap();
}

pub(crate) async fn a_sent_code_is_tried_and_sent_as_often_as_it_may_be(store: &dyn Roster) {
    store.enrol(&profile("id-a", "alice"), "t").await.unwrap();
    let sending = Sending { lives: Duration::from_secs(300), tries: 2, most: 3, per: Duration::from_secs(600) };
    let sealed = |octet| Sealed::from_bytes(vec![octet; 40]);
    let send =
        async |octet, seconds| store.begin_sent("id-a", "sms", &sealed(octet), sending, at(seconds)).await.unwrap();
    let tried = async |seconds| store.try_sent("id-a", "sms", at(seconds)).await.unwrap();
    assert_eq!(tried(0).await, SentCode::Nothing);
    assert!(send(1, 0).await);
    assert_eq!(store.try_sent("id-a", "mail", at(1)).await.unwrap(), SentCode::Nothing, "another provider's");
    let together = join_all((0..8).map(|_| tried(1))).await;
    let looked = together.iter().filter(|tried| **tried == SentCode::Sealed(sealed(1))).count();
    assert_eq!((looked, together.contains(&SentCode::TriedOut)), (2, true));
    assert!(send(2, 10).await);
    assert_eq!(tried(310).await, SentCode::Nothing, "expired");
    assert_eq!(tried(309).await, SentCode::Sealed(sealed(2)));
    assert!(!store.use_sent("id-a", "sms", &sealed(1)).await.unwrap(), "the one before is void");
    let together = join_all((0..8).map(|_| async { store.use_sent("id-a", "sms", &sealed(2)).await.unwrap() })).await;
    assert_eq!(together.into_iter().filter(|used| *used).count(), 1);
    assert_eq!(tried(309).await, SentCode::Nothing, "used");
    assert!(send(3, 20).await);
    assert!(!send(4, 599).await, "a fourth within ten minutes");
    assert_eq!(tried(300).await, SentCode::Sealed(sealed(3)), "and the third is still good");
    assert!(send(4, 600).await);
    assert!(send(5, 590).await, "a node whose clock is behind counts with the others");
    assert!(send(6, 601).await && !send(7, 602).await);
    store.dismiss("id-a", "t").await.unwrap();
}

pub(crate) async fn pins_are_checked_and_changed_by_the_rules(store: &dyn Roster) {
    store.enrol(&profile("id-a", "alice"), "t").await.unwrap();
    let secret = |text: &str| Secret::from_text(text.into());
    let rules = Rules { bound: BOUND, history: 1, expires_after: Some(Duration::from_secs(1000)), ..Rules::default() };
    let check = async |pin: &str, seconds| {
        let checked = pins::check(store, "id-a", &secret(pin), &rules, at(seconds)).await.unwrap();
        checked.map_or_else(
            |verdict| verdict,
            |passed| {
                assert!(passed.is_of("id-a") && !passed.is_of("id-b"));
                PinVerdict::Right
            },
        )
    };
    let change = async |pin: &str, rules: &Rules| {
        let judged = pins::judge(store, "id-a", &secret(pin), rules).await.unwrap();
        let changed = pins::change(store, "id-a", &secret(pin), rules, at(0)).await.unwrap().map(|_| ());
        assert_eq!(judged, changed, "what was judged fit is taken, and nothing else");
        changed
    };
    assert_eq!(check("4092", 0).await, PinVerdict::NoPin);
    assert!(matches!(change("1234", &rules).await, Err(Unfit::Rule(_))));
    assert_eq!(change("4092", &Rules { own_change: false, ..rules }).await, Err(Unfit::NotAllowed));
    assert_eq!(change("4092", &rules).await, Ok(()));
    assert_eq!(change("4092", &rules).await, Err(Unfit::UsedBefore));
    assert_eq!(check("4092", 1).await, PinVerdict::Right);
    assert_eq!(check("4092", 1000).await, PinVerdict::MustChange, "expired");
    assert!(store.expire_pin("id-a", "cli:ada").await.unwrap());
    assert_eq!(check("4092", 1).await, PinVerdict::MustChange);
    assert_eq!(change("7391", &rules).await, Ok(()));
    assert_eq!(change("4092", &rules).await, Err(Unfit::UsedBefore), "one is remembered");
    assert_eq!(change("5082", &rules).await, Ok(()));
    assert_eq!(change("4092", &rules).await, Ok(()), "and not two");
    for _ in 0..3 {
        assert_eq!(check("0000", 2).await, PinVerdict::Wrong);
    }
    assert_eq!(check("4092", 3).await, PinVerdict::Locked, "also the right one");
    assert_eq!(check("4092", 103).await, PinVerdict::Right);
    assert_eq!(
        pins::change(store, "nobody", &secret("4092"), &rules, at(0)).await.unwrap().map(|_| ()),
        Err(Unfit::Nobody)
    );
    assert!(!store.expire_pin("nobody", "t").await.unwrap());
    store.dismiss("id-a", "t").await.unwrap();
}
