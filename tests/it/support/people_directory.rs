//! A fake directory with people in it, given in pages like any good one; how it goes wrong is for each test to say.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use anteroom::ldap::control::{Control, find_control, oid, read_paged_request, write_controls};
use anteroom::ldap::message::{Envelope, op, write_message};
use anteroom::ldap::result::write_result;
use anteroom::ldap::search::{ReceivedSearch, write_entry};

use super::fake_directory::{Act, Asked, FakeDirectory, Request, bind, done};

/// Somebody in the directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Somebody {
    pub(crate) id: String,
    pub(crate) uid: String,
    pub(crate) mail: Option<String>,
    pub(crate) mobile: Option<String>,
    pub(crate) locked: bool,
}

impl Somebody {
    pub(crate) fn new(uid: &str) -> Self {
        Somebody { id: format!("id-{uid}"), uid: uid.to_owned(), mail: None, mobile: None, locked: false }
    }

    fn send(&self, id: u32, out: &mut Vec<u8>) {
        let list = |value: Option<&String>| value.map(|value| vec![value.clone().into_bytes()]).unwrap_or_default();
        let locked = if self.locked { vec![b"000001010000Z".to_vec()] } else { Vec::new() };
        let attributes = [
            ("entryUUID", vec![self.id.clone().into_bytes()]),
            ("uid", vec![self.uid.clone().into_bytes()]),
            ("mail", list(self.mail.as_ref())),
            ("mobile", list(self.mobile.as_ref())),
            ("pwdAccountLockedTime", locked),
        ];
        let given = attributes.iter().filter(|(_, values)| !values.is_empty());
        let dn = format!("uid={},ou=people,dc=fake", self.uid);
        write_entry(out, id, &dn, given.map(|(name, values)| (*name, values.as_slice())));
    }
}

/// What goes wrong, with which page (from 0).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wrong {
    Nothing,
    /// The connection ends in the middle of this page.
    LostIn(usize),
    /// This page is refused with a code.
    Refused(usize, u32),
    /// Nobody is there any more, and the answer says success.
    Nobody,
    /// An entry that is no entry, in this page.
    Garbage(usize),
    /// Nothing more is said from this page on; the connection stays open.
    SilentAt(usize),
}

/// The fake, its people and its faults.
pub(crate) struct PeopleDirectory {
    pub(crate) fake: FakeDirectory,
    pub(crate) people: Arc<Mutex<Vec<Somebody>>>,
    pub(crate) wrong: Arc<Mutex<Wrong>>,
    pub(crate) pages: Arc<AtomicUsize>,
}

impl PeopleDirectory {
    pub(crate) async fn start(people: Vec<Somebody>) -> Self {
        let people = Arc::new(Mutex::new(people));
        let wrong = Arc::new(Mutex::new(Wrong::Nothing));
        let pages = Arc::new(AtomicUsize::new(0));
        let script = {
            let (people, wrong, pages) = (Arc::clone(&people), Arc::clone(&wrong), Arc::clone(&pages));
            move |request: &Request| {
                let wrong = *wrong.lock().unwrap();
                match &request.asked {
                    Asked::Bind { .. } => vec![bind(request.id, 0, "")],
                    Asked::Search => {
                        if is_about_units(request) {
                            return vec![done(request.id, 0)];
                        }
                        pages.fetch_add(1, Ordering::SeqCst);
                        page(request, &people.lock().unwrap(), wrong)
                    }
                    _ => vec![Act::Close],
                }
            }
        };
        PeopleDirectory { fake: FakeDirectory::start(script).await, people, wrong, pages }
    }

    pub(crate) fn set(&self, people: Vec<Somebody>) {
        *self.people.lock().unwrap() = people;
    }

    pub(crate) fn go(&self, wrong: Wrong) {
        *self.wrong.lock().unwrap() = wrong;
    }
}

/// Whether a search asks which units and groups have just changed, before everybody is read: there are none.
fn is_about_units(request: &Request) -> bool {
    let envelope = Envelope::read(&request.frame).unwrap();
    let search = ReceivedSearch::read(envelope.operation(&request.frame)).unwrap();
    let about = |word: &[u8]| request.frame.windows(word.len()).any(|octets| octets == word);
    search.base == "dc=fake" && about(b"organizationalUnit") && about(b"entryCSN")
}

fn page(request: &Request, people: &[Somebody], wrong: Wrong) -> Vec<Act> {
    let envelope = Envelope::read(&request.frame).unwrap();
    let search = ReceivedSearch::read(envelope.operation(&request.frame)).unwrap();
    assert_eq!(search.base, "ou=people,dc=fake", "an item reads its own unit only");
    let Some(value) = find_control(&request.frame, &envelope, oid::PAGED).unwrap() else {
        return vec![done(request.id, 4)];
    };
    let (size, cookie) = read_paged_request(value).unwrap();
    let size = usize::try_from(size).unwrap();
    let first: usize = std::str::from_utf8(cookie).unwrap().parse().unwrap_or(0);
    let number = first / size;
    if let Wrong::Refused(page, code) = wrong
        && page == number
    {
        return vec![done(request.id, code)];
    }
    if wrong == Wrong::SilentAt(number) {
        return vec![Act::Hang];
    }
    let people = if wrong == Wrong::Nobody { &[] } else { people };
    let mut out = Vec::new();
    let here: Vec<&Somebody> = people.iter().skip(first).take(size).collect();
    for (place, somebody) in here.iter().enumerate() {
        if wrong == Wrong::LostIn(number) && place == here.len() / 2 {
            out.truncate(out.len().saturating_sub(3));
            return vec![Act::Send(out), Act::Close];
        }
        if wrong == Wrong::Garbage(number) && place == here.len() / 2 {
            write_message(&mut out, request.id, |message| {
                message.constructed(op::SEARCH_ENTRY, |entry| entry.octets(b"x"))
            });
        }
        somebody.send(request.id, &mut out);
    }
    let next = first + here.len();
    let cookie = if next < people.len() { next.to_string() } else { String::new() };
    write_message(&mut out, request.id, |message| {
        message.constructed(op::SEARCH_DONE, |response| write_result(response, 0, "", ""));
        write_controls(message, &[Control::paged(0, cookie.as_bytes())]);
    });
    vec![Act::Send(out)]
}
