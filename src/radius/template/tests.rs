use super::*;
use crate::radius::dictionary::Dictionary;

fn template(name: &str, from: Option<&str>, only: &[&str], wording: &str) -> Template {
    let attribute = Dictionary::shipped().writable(name).unwrap();
    let wording = Wording::parse(wording, from.is_some()).unwrap();
    let source = match from {
        None => Source::Worded(wording),
        Some(name) => {
            let only = only.iter().map(|text| Pattern::new(text)).collect();
            Source::Directory { name: name.to_owned(), only, wording }
        }
    };
    Template { attribute, source }
}

fn details() -> Details {
    let mut details = Details::default();
    let groups: [&[u8]; 3] = [b"CN=VPN-Staff,OU=G,DC=x", b"CN=Printers\\, big,DC=x", b"cn=VPN-Gr\\C3\\BCn,DC=x"];
    details.add("memberof", groups.into_iter());
    details.add("objectguid", [&[0, 1, 0xff][..]].into_iter());
    details.add("vlan", [b"42".as_slice(), b"many"].into_iter());
    details.add("odd", [b"a\nb".as_slice()].into_iter());
    details.add("long", [[b'x'; 300].as_slice()].into_iter());
    details
}

fn value(filled: Filled) -> Vec<u8> {
    match filled.made {
        Made::Open(encoded) => encoded.value,
        Made::Sealed(secret) => panic!("{secret:?} is sealed"),
    }
}

fn fill(template: &Template, cuts: bool) -> (Vec<Vec<u8>>, Vec<String>) {
    let details = details();
    let groups = ["CN=Admins,DC=x", "CN=Staff,DC=x"];
    let person = Person { user: "alice", upn: None, dn: "CN=Alice,DC=x", details: Some(&details), groups: &groups };
    let (filled, misfits) = template.fill(person, cuts);
    let values = filled.into_iter().map(value).collect();
    (values, misfits.iter().map(ToString::to_string).collect())
}

fn texts(template: &Template) -> Vec<String> {
    let (values, misfits) = fill(template, false);
    assert!(misfits.is_empty(), "{misfits:?}");
    values.into_iter().map(|value| String::from_utf8(value).unwrap()).collect()
}

#[test]
fn fields_are_the_persons_and_one_without_a_value_makes_no_attribute() {
    assert_eq!(texts(&template("Filter-Id", None, &[], "u={user}; {{x}}")), ["u=alice; {x}"]);
    assert!(texts(&template("Filter-Id", None, &[], "{user} {upn}")).is_empty());
    assert_eq!(texts(&template("Class", None, &[], "{dn}")), ["CN=Alice,DC=x"]);
    assert_eq!(texts(&template("Class", None, &[], "g:{group}")), ["g:Admins", "g:Staff"]);
    assert_eq!(texts(&template("Tunnel-Private-Group-Id:1", None, &[], "{user}")), ["\u{1}alice"]);
}

#[test]
fn the_mail_address_is_asked_of_the_directory_and_never_made_up() {
    let mail = |wording: &str| template("Class", None, &[], wording);
    assert_eq!(mail("{mail}").detail().as_deref(), Some("mail"));
    assert_eq!(mail("{user}").detail(), None);
    let of = |values: &[&[u8]]| {
        let mut details = Details::default();
        details.add("mail", values.iter().copied());
        let person = Person { user: "alice", upn: None, dn: "CN=Alice,DC=x", details: Some(&details), groups: &[] };
        let (filled, misfits) = mail("m={mail};u={user}").fill(person, true);
        let values: Vec<String> = filled.into_iter().map(|filled| String::from_utf8(value(filled)).unwrap()).collect();
        (values, misfits)
    };
    assert_eq!(of(&[b"a@x.example", b"b@x.example"]), (vec!["m=a@x.example;u=alice".to_owned()], vec![]));
    assert_eq!(of(&[]), (vec![], vec![]));
    for nonsense in [&b"a\nb"[..], b"\xff"] {
        assert_eq!(of(&[nonsense]), (vec![], vec![Misfit::NoText]));
    }
    // Other templates of the same person are none of its business.
    let mut details = Details::default();
    details.add("mail", [&b"\xff"[..]].into_iter());
    let person = Person { user: "alice", upn: None, dn: "CN=Alice,DC=x", details: Some(&details), groups: &[] };
    assert_eq!(mail("{user}").fill(person, false).0.len(), 1);
    assert!(Wording::parse("{mail}", true).unwrap_err().contains("is no field"), "one attribute for each template");
}

#[test]
fn values_of_the_directory_become_an_attribute_each() {
    let of = |only: &[&str], wording| texts(&template("Class", Some("memberof"), only, wording));
    assert_eq!(of(&[], "OU={cn};"), ["OU=VPN-Staff;", "OU=Printers, big;", "OU=VPN-Grün;"]);
    assert_eq!(of(&["vpn-*"], "{cn}"), ["VPN-Staff", "VPN-Grün"]);
    assert_eq!(of(&["*,OU=G,*"], "{value}"), ["CN=VPN-Staff,OU=G,DC=x"]);
    assert_eq!(of(&["vpn-s*"], "{user}/{cn}"), ["alice/VPN-Staff"]);
    assert!(texts(&template("Class", Some("nothing"), &[], "{value}")).is_empty());
    let guid = fill(&template("Class", Some("objectguid"), &[], "{value}"), false);
    assert_eq!(guid, (vec![vec![0, 1, 0xff]], vec![]), "octets pass as they are");
}

#[test]
fn what_does_not_fit_is_told_or_cut() {
    let (values, misfits) = fill(&template("Session-Timeout", Some("vlan"), &[], "{value}"), true);
    assert_eq!(values, [[0, 0, 0, 42]]);
    assert!(misfits[0].contains("Session-Timeout must be a number"), "{misfits:?}");
    let (values, misfits) = fill(&template("Filter-Id", Some("odd"), &[], "{value}"), true);
    assert!(values.is_empty() && misfits[0].contains("control"), "{misfits:?}");
    let (values, misfits) = fill(&template("Filter-Id", Some("objectguid"), &[], "{value}"), true);
    assert!(values.is_empty() && misfits.len() == 1, "octets are no text");
    let long = template("Cisco-AVPair", Some("long"), &[], "é{value}");
    let (values, misfits) = fill(&long, false);
    assert!(values.is_empty() && misfits[0].contains("1 to 247 octets, not 302"), "{misfits:?}");
    let (values, misfits) = fill(&long, true);
    assert_eq!((values[0].len(), misfits.len()), (253, 0));
    let tagged = fill(&template("Tunnel-Private-Group-Id:1", Some("long"), &[], "{value}"), true);
    assert_eq!((tagged.0[0].len(), tagged.1.len()), (253, 0));
}

#[test]
fn a_template_with_a_mistake_is_refused() {
    for (text, sourced, what) in [
        ("{", false, "stands alone"),
        ("}", false, "stands alone"),
        ("a{user", false, "stands alone"),
        ("{usr}", false, "{user}, {upn}, {dn}, {mail}, {group};"),
        ("{cn}", false, "is no field"),
        ("{nothing}", true, "{value}, {cn}"),
        ("{group}{value}", true, "beside"),
    ] {
        let why = Wording::parse(text, sourced).expect_err(text);
        assert!(why.contains(what), "{text}: {why}");
    }
    assert_eq!(Wording::parse("plain {{}}", false).unwrap().literal(), Some("plain {}"));
    assert_eq!(Wording::parse("{user}", false).unwrap().literal(), None);
}

#[test]
fn what_a_distinguished_name_begins_with() {
    for (dn, value) in [
        ("CN=Staff,DC=x", Some("Staff")),
        ("cn=a+uid=b,dc=x", Some("a")),
        (r"CN=a\,b\=c\\d,DC=x", Some(r"a,b=c\d")),
        (r"CN=\C3\A9t\C3\A9", Some("été")),
        (r"CN=\", None),
        ("staff", None),
        ("=x", None),
        ("CN=,DC=x", None),
        ("C N=x", None),
        (r"CN=\ff", None),
        (r"CN=a\00b", None),
    ] {
        assert_eq!(first_value(dn).as_deref(), value, "{dn}");
    }
}

#[test]
fn a_tunnel_password_of_the_directory_is_sealed_and_never_cut_or_shown() {
    let attribute = Dictionary::shipped().replied("tunnel-password:3").unwrap();
    let wording = Wording::parse("{value}", true).unwrap();
    let source = Source::Directory { name: "psk".into(), only: Vec::new(), wording };
    let template = Template { attribute, source };
    let of = |value: &[u8]| {
        let mut details = Details::default();
        details.add("psk", std::iter::once(value));
        assert_eq!(format!("{details:?}"), r#"[("psk", 1)]"#);
        let person = Person { user: "alice", upn: None, dn: "CN=Alice,DC=x", details: Some(&details), groups: &[] };
        template.fill(person, true)
    };
    let (filled, misfits) = of(b"of the tunnel");
    assert!(misfits.is_empty() && matches!(&filled[0].made, Made::Sealed(secret) if secret.open() == b"of the tunnel"));
    assert_eq!(filled[0].show(), "Tunnel-Password:3 = (a secret, not shown)");
    assert!(!format!("{filled:?}").contains("of the tunnel"));
    // Tag, salt, and its length before it: whole blocks of 16.
    assert_eq!((filled[0].size(), of(&[b'x'; 16]).0[0].size()), (21, 37));
    assert_eq!(said(filled).unwrap().length(), 21);
    assert!(of(&[b'x'; 239]).1.is_empty());
    let (filled, misfits) = of(&[b'x'; 240]);
    assert!(filled.is_empty() && misfits == [Misfit::Secret { have: 240 }], "{misfits:?}");
    assert_eq!(of(b"a\nb").1, [Misfit::NoText]);
}
