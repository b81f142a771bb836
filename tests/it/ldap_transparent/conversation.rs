//! The conversation: every operation of RFC 4511, the controls and extended operations that applications use,
//! and things that none should. It changes the directory and puts back what it changed, so that it can be
//! played again and again. Codes are asserted where both directories have to agree with the standard; all
//! else is only compared.

use super::record::{CHANGE_NUMBER, LIST_CONTEXT, Player, Record, SORTED_PAGES, is_hang_up};
use crate::peers::ldap::{
    CANCEL, ENTRY, INTERMEDIATE, SEARCH_DONE, Scope, WHO_AM_I, Wire, abandon, add, attribute, change, compare, control,
    delete, enumerated, equal, extended, integer, list, message, modify, nest, number, octets, present, rename, search,
    search_with, sequence, tlv, unbind,
};

/// What the two directories do not have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    OpenLdap,
    ActiveDirectory,
}

/// Where things are in one directory.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) kind: Kind,
    pub(crate) base: &'static str,
    /// The account that converses, and its password.
    pub(crate) account: (&'static str, &'static str),
    /// Somebody who is only looked at.
    pub(crate) person: &'static str,
    /// Nobody signs in as this one, so that its operational attributes stay what they are.
    pub(crate) quiet: &'static str,
    /// A group of people.
    pub(crate) group: &'static str,
    /// Where many people are.
    pub(crate) people: &'static str,
    /// A container that may be written to.
    pub(crate) scratch: String,
    /// Its class, and what identifies a person in it.
    pub(crate) classes: &'static [&'static str],
    /// An attribute with any number of values.
    pub(crate) many: &'static str,
}

impl Place {
    fn open(&self) -> bool {
        self.kind == Kind::OpenLdap
    }

    fn scratch_person(&self, name: &str) -> String {
        format!("cn={name},{}", self.scratch)
    }

    fn new_person(&self, name: &str, more: &[Vec<u8>]) -> Vec<u8> {
        let mut attributes = vec![attribute("objectClass", self.classes), attribute("sn", &["Scratch"])];
        attributes.extend_from_slice(more);
        add(&self.scratch_person(name), &attributes)
    }
}

/// Plays everything on a connection; what arrived.
pub(crate) fn play(wire: Wire, place: &Place) -> Record {
    let mut player = Player::new(wire);
    bind(&mut player, place);
    reading(&mut player, place);
    pages_and_order(&mut player, place);
    controls(&mut player, place);
    changing(&mut player, place);
    large_things(&mut player, place);
    extended_operations(&mut player, place);
    together(&mut player, place);
    stopping(&mut player, place);
    player.wire.send_raw(&message(4711, &unbind(), &[]));
    player.rest("unbind");
    player.record()
}

fn bind(player: &mut Player, place: &Place) {
    let (name, password) = place.account;
    player.expect(0, "bind", &crate::peers::ldap::bind(name, password), &[]);
    let policy = control("1.3.6.1.4.1.42.2.27.8.5.1", false, None);
    player.expect(
        0,
        "bind again, with the password policy control",
        &crate::peers::ldap::bind(name, password),
        &[policy],
    );
}

fn everything() -> Vec<u8> {
    present("objectClass")
}

fn reading(player: &mut Player, place: &Place) {
    let found = player.expect(0, "an entry", &search(place.person, Scope::Base, everything(), &["*"]), &[]);
    assert_eq!(found.len(), 2);
    if place.open() {
        player.expect(
            0,
            "with operational attributes",
            &search(place.quiet, Scope::Base, everything(), &["*", "+"]),
            &[],
        );
    }
    player.expect(0, "no attributes", &search(place.person, Scope::Base, everything(), &["1.1"]), &[]);
    player.expect(
        0,
        "names of attributes",
        &search_with(place.person, Scope::Base, 0, true, everything(), &["cn", "sn"]),
        &[],
    );
    let filter = nest(
        0xa0,
        &[
            everything(),
            nest(
                0xa1,
                &[
                    equal("cn", "nobody has this"),
                    nest(0xa4, &[octets("sn"), sequence(&[tlv(0x80, "S"), tlv(0x81, "i"), tlv(0x82, "h")])]),
                ],
            ),
            nest(0xa2, &[nest(0xa3, &[octets("cn"), octets("Alice Anderson")])]),
        ],
    );
    player.expect(0, "filters in filters", &search(place.people, Scope::Subtree, filter, &["cn"]), &[]);
    for (tag, what) in [
        (0xa5, "a filter for what is not less"),
        (0xa6, "a filter for what is not more"),
        (0xa8, "an approximate filter"),
    ] {
        let filter = nest(tag, &[octets("sn"), octets("Anderson")]);
        player.ask(what, &search(place.person, Scope::Subtree, filter, &["cn"]), &[]);
    }
    let extensible =
        nest(0xa9, &[tlv(0x81, "caseExactMatch"), tlv(0x82, "cn"), tlv(0x83, "Alice Anderson"), tlv(0x84, [0xff])]);
    player.ask("an extensible filter", &search(place.people, Scope::Subtree, extensible, &["cn"]), &[]);
    player.ask("children", &search(place.base, Scope::One, everything(), &["1.1"]), &[]);
    // referrals: OpenLDAP's entry cn=elsewhere, AD's other naming contexts
    let alice = if place.open() { equal("uid", "alice") } else { equal("cn", "Alice Anderson") };
    let whole = player.ask("references", &search(place.base, Scope::Subtree, alice, &["cn", "sn"]), &[]);
    assert!(whole.iter().any(|frame| frame.tag() == crate::peers::ldap::REFERENCE), "no reference arrived");
    // Samba takes no notice of it
    let few = search_with(place.people, Scope::Subtree, 2, false, everything(), &["cn"]);
    let limited = player.ask("a size limit", &few, &[]);
    assert!(!place.open() || limited.last().unwrap().code() == 4);
    player.expect(
        32,
        "no such entry",
        &search(&format!("cn=nobody,{}", place.people), Scope::Base, everything(), &[]),
        &[],
    );
    player.expect(34, "no name at all", &search("this is no name", Scope::Base, everything(), &[]), &[]);
    player.expect(6, "compare: true", &compare(place.person, "objectClass", "person"), &[]);
    player.expect(5, "compare: false", &compare(place.person, "objectClass", "groupOfNames"), &[]);
    player.ask("compare: no such attribute", &compare(place.person, "nosuchattribute", "x"), &[]);
    // lengths of five octets, as Active Directory's own clients write them
    let id = player.wire.next_id();
    let inside = [integer(id), search(place.person, Scope::Base, everything(), &["cn"])].concat();
    let length = u32::try_from(inside.len()).unwrap().to_be_bytes();
    player.wire.send_raw(&[&[0x30, 0x84], &length[..], &inside].concat());
    let answer = player.wire.answer(id);
    player.note("a length longer than needed", answer, None);
    // the largest message id
    player.wire.send_raw(&message(0x7fff_ffff, &search(place.person, Scope::Base, everything(), &["cn"]), &[]));
    let answer = player.wire.answer(0x7fff_ffff);
    player.note("the largest message id", answer, None);
    // one octet at a time
    let id = player.wire.next_id();
    for octet in message(id, &search(place.person, Scope::Base, everything(), &["sn"]), &[]) {
        player.wire.send_raw(&[octet]);
    }
    let answer = player.wire.answer(id);
    player.note("split at every octet", answer, None);
}

const PAGED: &str = "1.2.840.113556.1.4.319";
const SORT: &str = "1.2.840.113556.1.4.473";
const LIST: &str = "2.16.840.1.113730.3.4.9";

fn page(size: u32, cookie: &[u8]) -> Vec<u8> {
    control(PAGED, true, Some(sequence(&[integer(size), octets(cookie)])))
}

fn pages_and_order(player: &mut Player, place: &Place) {
    let whole = search(place.people, Scope::Subtree, equal("objectClass", "person"), &["cn"]);
    let mut cookie = Vec::new();
    for number in 0..3 {
        let answer = player.expect(0, &format!("page {number}"), &whole, &[page(3, &cookie)]);
        let done = answer.last().unwrap();
        cookie = done.octets(done.control_parts(PAGED).expect("a page has a cookie")[1]);
        assert!(!cookie.is_empty(), "there are more people than three pages");
    }
    player.ask("the end of paging", &whole, &[page(0, &cookie)]);
    player.ask("a cookie that nobody gave", &whole, &[page(3, b"no such cookie")]);
    let by_surname = |critical| {
        // OpenLDAP wants to be told the rule, Samba knows none by that name
        let rule = if place.open() { tlv(0x80, "caseIgnoreOrderingMatch") } else { Vec::new() };
        control(SORT, critical, Some(sequence(&[sequence(&[octets("sn"), rule, tlv(0x81, [0xff])])])))
    };
    let few = if place.open() {
        nest(0xa4, &[octets("uid"), sequence(&[tlv(0x80, "m000")])])
    } else {
        equal("objectClass", "person")
    };
    let few = search(place.people, Scope::Subtree, few, &["sn"]);
    player.ask_sorted("sorted backwards", &few, &[by_surname(true)], None);
    let paged = [by_surname(true), page(5, b"")];
    player.ask_sorted("sorted, and in pages", &few, &paged, place.open().then_some(SORTED_PAGES));
    let window = sequence(&[integer(1), integer(3), nest(0xa0, &[integer(4), integer(0)])]);
    let listed = [by_surname(true), control(LIST, true, Some(window))];
    player.ask_sorted("a virtual list", &few, &listed, Some(LIST_CONTEXT));
    if place.open() {
        // a process of Samba 4.17 dies of this request
        let from = sequence(&[integer(0), integer(2), tlv(0x81, "M")]);
        let listed = [by_surname(true), control(LIST, true, Some(from))];
        player.ask_sorted("a virtual list from a value", &few, &listed, Some(LIST_CONTEXT));
    }
    player.ask(
        "a virtual list without an order",
        &few,
        &[control(LIST, true, Some(sequence(&[integer(0), integer(2), nest(0xa0, &[integer(1), integer(0)])])))],
    );
}

fn controls(player: &mut Player, place: &Place) {
    let one = search(place.person, Scope::Base, everything(), &["cn"]);
    for critical in [false, true] {
        let named = |what: &str| format!("{what}, critical: {critical}");
        player.ask(
            &named("an unknown control"),
            &one,
            &[control("1.2.3.4.5.6.7.8.9", critical, Some(vec![0, 1, 2, 255]))],
        );
        player.ask(
            &named("a control with odd content"),
            &one,
            &[control("2.999.1", critical, Some(b"\x30\x80\x00".to_vec()))],
        );
        player.ask(
            &named("manageDsaIT"),
            &search(place.base, Scope::Subtree, equal("cn", "elsewhere"), &["ref"]),
            &[control("2.16.840.1.113730.3.4.2", critical, None)],
        );
        let somebody = if place.open() {
            "dn:uid=alice,ou=people,dc=open,dc=example,dc=test"
        } else {
            "dn:CN=Alice Anderson,OU=Engineering,OU=People,OU=Lab,DC=corp,DC=example,DC=test"
        };
        player.ask(
            &named("proxied authorisation"),
            &one,
            &[control("2.16.840.1.113730.3.4.18", critical, Some(somebody.into()))],
        );
        player.ask(&named("assertion that holds"), &one, &[control("1.3.6.1.1.12", critical, Some(everything()))]);
        player.ask(
            &named("assertion that does not"),
            &one,
            &[control("1.3.6.1.1.12", critical, Some(equal("cn", "somebody else")))],
        );
        player.ask(
            &named("matched values"),
            &search(place.person, Scope::Base, everything(), &["objectClass"]),
            &[control("1.2.826.0.1.3344810.2.3", critical, Some(sequence(&[equal("objectClass", "person")])))],
        );
        player.ask(
            &named("dereferenced members"),
            &search(place.group, Scope::Base, everything(), &["cn"]),
            &[control(
                "1.3.6.1.4.1.4203.666.5.16",
                critical,
                Some(sequence(&[sequence(&[octets("member"), list(0x30, &["cn", "mail"])])])),
            )],
        );
        player.ask(&named("subentries"), &one, &[control("1.3.6.1.4.1.4203.1.10.1", critical, Some(vec![1, 1, 0xff]))]);
        player.ask(
            &named("extended names"),
            &one,
            &[control("1.2.840.113556.1.4.529", critical, Some(sequence(&[integer(1)])))],
        );
        player.ask(
            &named("security descriptor flags"),
            &search(place.person, Scope::Base, everything(), &["nTSecurityDescriptor"]),
            &[control("1.2.840.113556.1.4.801", critical, Some(sequence(&[integer(7)])))],
        );
    }
    if place.open() {
        let proxied = player.expect(
            0,
            "who am I, as somebody else",
            &extended(WHO_AM_I, None),
            &[control(
                "2.16.840.1.113730.3.4.18",
                true,
                Some(b"dn:uid=alice,ou=people,dc=open,dc=example,dc=test".to_vec()),
            )],
        );
        assert!(proxied[0].0.windows(9).any(|window| window == b"uid=alice"), "{proxied:x?}");
    } else {
        player.ask("values in a range", &search(place.group, Scope::Base, everything(), &["member;range=0-0"]), &[]);
    }
}

fn changing(player: &mut Player, place: &Place) {
    let person = place.scratch_person("one");
    let binary: Vec<u8> = (0..=255).rev().collect();
    player.expect(
        0,
        "add",
        &place.new_person("one", &[attribute("description", &["first"]), attribute("jpegPhoto", &[&binary])]),
        &[],
    );
    player.expect(68, "add again", &place.new_person("one", &[]), &[]);
    player.ask("add what the schema forbids", &place.new_person("two", &[attribute("nosuchattribute", &["x"])]), &[]);
    let look = search(&person, Scope::Base, everything(), &["cn", "sn", "description", "jpegPhoto", place.many]);
    let found = player.expect(0, "what was added", &look, &[]);
    assert!(found[0].0.windows(binary.len()).any(|window| window == binary), "the binary value is another");
    player.ask("compare a binary value", &compare(&person, "jpegPhoto", &binary), &[]);
    let pre = |critical| control("1.3.6.1.1.13.1", critical, Some(list(0x30, &["description", "sn"])));
    let post = |critical| control("1.3.6.1.1.13.2", critical, Some(list(0x30, &["description", "sn"])));
    let second = modify(&person, &[change(2, "description", &["second"])]);
    let both =
        player.ask("modify, with what was before and is after", &second, &[pre(place.open()), post(place.open())]);
    if place.open() {
        assert_eq!(both[0].code(), 0, "{}", both[0].text());
        assert!(both[0].control("1.3.6.1.1.13.2").is_some(), "no post-read arrived");
    }
    let assertion = |value| control("1.3.6.1.1.12", true, Some(equal("description", value)));
    player.ask(
        "modify if it is what it is not",
        &modify(&person, &[change(2, "description", &["third"])]),
        &[assertion("first")],
    );
    player.ask(
        "modify if it is what it is",
        &modify(&person, &[change(2, "description", &["third"])]),
        &[assertion("second")],
    );
    let several = [
        change::<&str>(0, place.many, &["a value", "another value"]),
        change::<&str>(1, "jpegPhoto", &[]),
        change(2, "sn", &["Ändert sich"]),
    ];
    player.expect(0, "several changes at once", &modify(&person, &several), &[]);
    player.expect(0, "what it is now", &look, &[]);
    player.expect(20, "a value twice", &modify(&person, &[change(0, place.many, &["a value"])]), &[]);
    player.expect(16, "delete what is not there", &modify(&person, &[change(1, place.many, &["no such value"])]), &[]);
    player.ask("increment", &modify(&person, &[change(3, "uidNumber", &["1"])]), &[]);
    player.expect(32, "modify nobody", &modify(&place.scratch_person("nobody"), &[change(2, "sn", &["x"])]), &[]);
    let moved = place.scratch_person("moved");
    player.expect(0, "rename", &rename(&person, "cn=moved", None), &[]);
    player.expect(32, "the old name", &look, &[]);
    player.expect(0, "the new name", &search(&moved, Scope::Base, everything(), &["cn"]), &[]);
    let ou = format!("ou=below,{}", place.scratch);
    player.expect(0, "add a unit", &add(&ou, &[attribute("objectClass", &["organizationalUnit"])]), &[]);
    player.expect(0, "move", &rename(&moved, "cn=moved", Some(&ou)), &[]);
    player.expect(66, "delete a unit that is not empty", &delete(&ou), &[]);
    let post_delete = [pre(false)];
    player.ask("delete, with what was there", &delete(&format!("cn=moved,{ou}")), &post_delete);
    player.expect(0, "delete", &delete(&ou), &[]);
    player.expect(32, "delete again", &delete(&ou), &[]);
    if place.open() {
        let referral = player.expect(
            10,
            "change what is elsewhere",
            &modify("cn=elsewhere,dc=open,dc=example,dc=test", &[change(2, "description", &["x"])]),
            &[],
        );
        assert!(referral[0].0.windows(9).any(|window| window == b"elsewhere"));
    }
}

/// Octets that look random and are the same in each run.
fn noise(length: usize) -> Vec<u8> {
    let mut state: u32 = 0x2545_f491;
    let next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state.to_be_bytes()[0]
    };
    std::iter::repeat_with(next).take(length).collect()
}

fn large_things(player: &mut Player, place: &Place) {
    let person = place.scratch_person("large");
    let photo = noise(5 * 1024 * 1024);
    player.expect(0, "add a value of 5 MB", &place.new_person("large", &[attribute("jpegPhoto", &[&photo])]), &[]);
    let found = player.expect(0, "read it", &search(&person, Scope::Base, everything(), &["jpegPhoto"]), &[]);
    assert!(found[0].0.ends_with(&photo), "another value came back");
    player.ask("compare it", &compare(&person, "jpegPhoto", &photo), &[]);
    player.expect(0, "delete it", &delete(&person), &[]);
    let person = place.scratch_person("many");
    let values: Vec<String> = (0..10_000).map(|n| format!("value {:05} of many", (n * 7919) % 10_000)).collect();
    player.expect(0, "add 10,000 values", &place.new_person("many", &[attribute(place.many, &values)]), &[]);
    let look = search(&person, Scope::Base, everything(), &[place.many]);
    let found = player.expect(0, "read them", &look, &[]);
    assert!(found[0].0.len() > 200_000, "{} octets", found[0].0.len());
    player.expect(0, "delete one of them", &modify(&person, &[change(1, place.many, &["value 00077 of many"])]), &[]);
    player.expect(0, "read the rest", &look, &[]);
    player.expect(0, "delete them", &delete(&person), &[]);
}

fn extended_operations(player: &mut Player, place: &Place) {
    player.ask("who am I", &extended(WHO_AM_I, None), &[]);
    let person = place.scratch_person("word");
    let new = |old: Option<&str>, new: &str| {
        let mut parts = vec![tlv(0x80, person.as_str())];
        parts.extend(old.map(|old| tlv(0x81, old)));
        parts.push(tlv(0x82, new));
        extended("1.3.6.1.4.1.4203.1.11.1", Some(sequence(&parts)))
    };
    player.expect(0, "somebody with a password", &place.new_person("word", &[]), &[]);
    player.ask("password modify", &new(None, "N3w-Passw0rd!"), &[]);
    player.ask("password modify, with the old one", &new(Some("N3w-Passw0rd!"), "N3wer-Passw0rd!"), &[]);
    player.ask("password modify, with a wrong old one", &new(Some("wrong"), "x"), &[]);
    player.expect(0, "nobody any more", &delete(&person), &[]);
    player.ask("an unknown extended operation", &extended("1.2.3.4.5.6.7.8.9", Some(noise(300))), &[]);
    player.ask("an extended operation with odd content", &extended("1.3.6.1.4.1.4203.1.11.1", Some(noise(30))), &[]);
    player.ask(
        "refresh",
        &extended("1.3.6.1.4.1.1466.101.119.1", Some(sequence(&[tlv(0x80, "cn=x"), number(0x81, 60)]))),
        &[],
    );
    player.ask("cancel what is not there", &extended(CANCEL, Some(sequence(&[integer(424_242)]))), &[]);
}

/// Many requests at once, and their answers in another order.
fn together(player: &mut Player, place: &Place) {
    let one = |attribute| search(place.person, Scope::Base, everything(), &[attribute]);
    let mut requests: Vec<Vec<u8>> = Vec::new();
    for _ in 0..50 {
        requests.extend([
            one("cn"),
            one("sn"),
            compare(place.person, "objectClass", "person"),
            search(place.people, Scope::Subtree, equal("cn", "nobody"), &[]),
        ]);
    }
    let ids = player.send_together(&requests);
    let frames = player.gather(&ids);
    assert_eq!(ids.len(), 200);
    player.note("200 requests in one write", frames, None);
    if place.open() {
        // the first takes a second, the others nothing
        let slow = compare("cn=slow,ou=codes,dc=open,dc=example,dc=test", "cn", "slow");
        let ids = player.send_together(&[slow, one("cn"), extended(WHO_AM_I, None), one("sn")]);
        let frames = player.gather(&ids);
        assert_eq!(frames.last().unwrap().id(), ids[0], "the slow answer came first");
        player.note("answers in another order than the requests", frames, None);
    }
}

/// Searches that are stopped in their middle.
fn stopping(player: &mut Player, place: &Place) {
    let person = search(place.person, Scope::Base, everything(), &["cn"]);
    player.wire.send(&abandon(424_243), &[]);
    player.ask("abandon what is not there", &person, &[]);
    if !place.open() {
        // Samba answers one request after the other and has done with a search before it reads on
        return;
    }
    // more than all buffers between here and there hold, of which a few are read
    let all = search(place.people, Scope::Subtree, everything(), &["*"]);
    let (whole, enough) = (20_000, 50);
    let id = player.wire.send(&all, &[]);
    let first: Vec<_> = (0..enough).map(|_| player.wire.frame().unwrap()).collect();
    assert!(first.iter().all(|frame| frame.id() == id && frame.tag() == ENTRY));
    player.note("the beginning of a search that is abandoned", first, None);
    player.wire.send(&abandon(id), &[]);
    // how many were on the way is a matter of time, that it ends is not; slapd, which answers others meanwhile, may still
    // have one in its hands when it answers the first of them
    let mut entries = enough;
    for what in ["the request after it", "and one more"] {
        let after = player.wire.send(&extended(WHO_AM_I, None), &[]);
        let answer = loop {
            let frame = player.wire.frame().unwrap();
            if frame.id() == after {
                break frame;
            }
            assert_eq!((frame.id(), frame.tag()), (id, ENTRY), "an abandoned search has no result");
            entries += 1;
        };
        player.note(what, vec![answer], None);
    }
    assert!(entries < whole, "nothing was abandoned");
    // nothing more of it comes
    player.ask("and the next", &person, &[]);

    let id = player.wire.send(&all, &[]);
    let first: Vec<_> = (0..enough).map(|_| player.wire.frame().unwrap()).collect();
    player.note("the beginning of a search that is cancelled", first, None);
    let cancel = player.wire.send(&extended(CANCEL, Some(sequence(&[integer(id)]))), &[]);
    let ends: Vec<_> = player.gather(&[id, cancel]).into_iter().filter(|frame| frame.tag() != ENTRY).collect();
    assert!(ends.iter().any(|frame| frame.id() == id && frame.tag() == SEARCH_DONE && frame.code() == 118));
    player.note("its end", ends, None);

    // content synchronisation: intermediate responses, and answers long after the question
    let watch = control("1.3.6.1.4.1.4203.1.9.1.1", true, Some(sequence(&[enumerated(3)])));
    let id = player.wire.send(
        &search("ou=people,dc=open,dc=example,dc=test", Scope::Subtree, everything(), &["cn", "description"]),
        &[watch],
    );
    let mut frames = Vec::new();
    while frames.last().is_none_or(|frame: &crate::peers::ldap::Frame| frame.tag() != INTERMEDIATE) {
        frames.push(player.wire.frame().unwrap());
    }
    player.note("synchronisation", frames, Some(CHANGE_NUMBER));
    for value in [&["watched"][..], &[]] {
        let changed = player
            .wire
            .send(&modify("uid=carol,ou=people,dc=open,dc=example,dc=test", &[change(2, "description", value)]), &[]);
        // its own answer and the news of it, in any order
        let both: Vec<_> = (0..2).map(|_| player.wire.frame().unwrap()).collect();
        assert!(
            both.iter().any(|frame| frame.id() == id) && both.iter().any(|frame| frame.id() == changed),
            "{both:x?}"
        );
        player.note("a change that is watched", both, Some(CHANGE_NUMBER));
    }
    // abandoned, not cancelled: whether it is too late for that is a matter of time in OpenLDAP
    player.wire.send(&abandon(id), &[]);
    // news of what other tests change may still come
    let after = player.wire.send(&person, &[]);
    let mut answers = Vec::new();
    while answers.last().is_none_or(|frame: &crate::peers::ldap::Frame| !frame.is_last()) {
        let frame = player.wire.frame().unwrap();
        assert!(frame.id() == after || (frame.id(), frame.tag()) == (id, ENTRY), "{frame:x?}");
        if frame.id() == after {
            answers.push(frame);
        }
    }
    player.note("the end of synchronisation", answers, None);
}

/// Things that no application should send, each on a connection of its own, to the end of that connection.
pub(crate) fn play_oddities(connect: &dyn Fn() -> Wire, place: &Place) -> Record {
    let (name, password) = place.account;
    let odd: [(&str, Vec<u8>); 4] = [
        ("a search without content", tlv(0x63, [])),
        ("a modification that is a search", tlv(0x66, &search("", Scope::Base, everything(), &[])[2..])),
        ("a name that is no text", tlv(0x4a, b"\xff\xfe\x00")),
        ("an extended operation without a name", tlv(0x77, [])),
    ];
    let mut all = Record::new();
    for (what, operation) in odd {
        let mut player = Player::new(connect());
        player.expect(0, "bind", &crate::peers::ldap::bind(name, password), &[]);
        player.wire.send_raw(&message(7, &operation, &[]));
        // one answer, or the end, perhaps with a notice before it
        let answer = player.wire.frame().filter(|frame| !is_hang_up(frame));
        let goes_on = answer.as_ref().is_some_and(|frame| frame.id() == 7);
        player.note(what, answer.into_iter().collect(), None);
        if goes_on {
            player.wire.send_raw(&message(8, &unbind(), &[]));
        }
        player.rest(&format!("the end of {what}"));
        all.extend(player.record());
    }
    all
}

/// Things that are no request of RFC 4511. A directory that is lax with tags might take one of them for a bind, so
/// they are the only ones that Anteroom does not pass on.
pub(crate) fn no_requests() -> [(&'static str, Vec<u8>); 4] {
    [
        ("an operation that nobody knows", tlv(0x7e, b"\x04\x00")),
        ("an answer as a request", nest(SEARCH_DONE, &[enumerated(0), octets(""), octets("")])),
        ("a bind without the bit for what holds elements", tlv(0x40, b"\x02\x01\x03\x04\x00\x80\x00")),
        ("a bind with its tag in two octets", b"\x7f\x00\x07\x02\x01\x03\x04\x00\x80\x00".to_vec()),
    ]
}
