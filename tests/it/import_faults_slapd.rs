//! What a real OpenLDAP refuses in the middle of an import changes nothing and is told: a page whose cookie it does not
//! take, its limits of size and time, pages altogether, and a connection that is gone.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "the helpers of a test fail as a test does")]

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use anteroom::import::pass::{Ask, ImportError, Outcome};
use anteroom::import::progress::Progress;
use anteroom::users::profile::Profile;
use anteroom::users::roster::Roster;

use crate::import::ready;
use crate::import_peers::{Slapd, configuration, target};

const BASE: &str = "dc=scale,dc=example,dc=test";

const NOTHING: u8 = 0;
/// Every cookie on its way to the server is another one.
const COOKIES: u8 = 1;
/// The connection ends where a cookie goes to the server: in the middle of what is read.
const CUT: u8 = 2;

/// Stands between an importer and the directory.
#[derive(Clone)]
struct Meddler {
    address: SocketAddr,
    what: Arc<AtomicU8>,
}

impl Meddler {
    fn to(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let meddler = Meddler { address: listener.local_addr().unwrap(), what: Arc::default() };
        let what = Arc::clone(&meddler.what);
        std::thread::spawn(move || {
            for near in listener.incoming().flatten() {
                let far = TcpStream::connect(("127.0.0.1", port)).unwrap();
                let (up, down) = ((near.try_clone().unwrap(), far.try_clone().unwrap()), (far, near));
                let what = Arc::clone(&what);
                std::thread::spawn(move || pass(up.0, up.1, &what));
                std::thread::spawn(move || pass(down.0, down.1, &AtomicU8::new(NOTHING)));
            }
        });
        meddler
    }
}

/// What a request for a further page ends with (RFC 2696): the size of a page in two octets, and the octets of a cookie, of
/// which slapd's has eight.
fn cookie(request: &mut [u8]) -> Option<&mut u8> {
    let of_pages = request.windows(22).any(|octets| octets == b"1.2.840.113556.1.4.319");
    let place = request.len().checked_sub(14)?;
    let [2, 2, _, _, 4, 8, ..] = request[place..] else { return None };
    if of_pages { request.last_mut() } else { None }
}

fn pass(mut from: TcpStream, mut to: TcpStream, what: &AtomicU8) {
    let mut buffer = [0; 16 * 1024];
    while let Ok(length @ 1..) = from.read(&mut buffer) {
        match (what.load(Ordering::SeqCst), cookie(&mut buffer[..length])) {
            (COOKIES, Some(octet)) => *octet ^= 0x55,
            (CUT, Some(_)) => break,
            _ => {}
        }
        if to.write_all(&buffer[..length]).is_err() {
            break;
        }
    }
    // Already gone is fine.
    let _ = to.shutdown(Shutdown::Both);
    let _ = from.shutdown(Shutdown::Both);
}

/// A full import by this service account into the store of `folder`, and everybody who is there afterwards.
async fn import(
    folder: &Path,
    port: u16,
    account: &str,
    search: Option<&str>,
) -> (Result<Outcome, ImportError>, Vec<Profile>) {
    let item = match search {
        None => format!("[[import.item]]\nname = \"staff\"\nou = \"ou=people,{BASE}\""),
        Some(search) => format!("[[import.item]]\nname = \"staff\"\nsearch = \"{search}\""),
    };
    let (importer, store) = ready(&configuration(&target(port, account), &item), folder).await;
    let ask = Ask { full: true, ..Ask::default() };
    let done = importer.run(&ask, &Progress::default(), &mut |_| ()).await;
    let mut everybody = store.profiles("", 10_000).await.unwrap();
    everybody.sort_by(|a, b| a.person.unique_id.cmp(&b.person.unique_id));
    store.close().await;
    (done, everybody)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_real_directory_refuses_in_the_middle_changes_nothing_and_is_told() {
    let Some(slapd) = Slapd::start(2500) else { return };
    let meddler = Meddler::to(slapd.port);
    let folder = tempfile::tempdir().unwrap();
    let (through, direct) = (meddler.address.port(), slapd.port);
    // A search that takes slapd seconds: it looks through everybody's names for each of these.
    let terms: String = (0..40_000).map(|n| format!("(cn=*q{n}*z)")).collect();
    let slow = format!("(|(uid=*){terms})");
    let slow = slow.replace("(uid=*)", "(&(uid=*)(!(cn=Person*)))");
    let cases = [
        (COOKIES, through, "svc-proxy", None, "paged results cookie is invalid"),
        (CUT, through, "svc-proxy", None, "was lost while it was read"),
        (NOTHING, direct, "svc-total", None, "raise its size limit for the service account"),
        (NOTHING, direct, "svc-unpaged", None, "pagedResults control not allowed"),
        (NOTHING, direct, "svc-hasty", Some(slow.as_str()), "raise its time limit for the service account"),
    ];
    // A first import that fails leaves an empty store, also where a thousand people had come by then.
    for (what, port, account, search, says) in &cases {
        meddler.what.store(*what, Ordering::SeqCst);
        let (done, everybody) = import(folder.path(), *port, account, *search).await;
        let error = done.unwrap_err().to_string();
        assert!(error.contains(says) && error.to_lowercase().contains("nothing was changed"), "{account}: {error}");
        assert_eq!(everybody, [], "{account}: {error}");
    }
    meddler.what.store(NOTHING, Ordering::SeqCst);
    let (done, before) = import(folder.path(), through, "svc-proxy", None).await;
    assert_eq!((done.unwrap().counts.added, before.len()), (2500, 2500));
    // From here on something would have to be done: people who change on the first page, and some who are gone.
    let mut ldif = String::new();
    for n in 0..20 {
        ldif +=
            &format!("dn: uid=u{n:06},ou=people,{BASE}\nchangetype: modify\nreplace: mail\nmail: n{n}@new.test\n\n");
    }
    for n in 2400..2403 {
        ldif += &format!("dn: uid=u{n:06},ou=people,{BASE}\nchangetype: delete\n\n");
    }
    slapd.change(&ldif);
    for (what, port, account, search, says) in &cases {
        meddler.what.store(*what, Ordering::SeqCst);
        let (done, everybody) = import(folder.path(), *port, account, *search).await;
        let error = done.unwrap_err().to_string();
        assert!(error.contains(says), "{account}: {error}");
        assert!(everybody == before, "{account}: somebody is not as before; {error}");
    }
    meddler.what.store(NOTHING, Ordering::SeqCst);
    let (done, _) = import(folder.path(), through, "svc-proxy", None).await;
    let counts = done.unwrap().counts;
    assert_eq!((counts.changed, counts.disabled), (20, 3), "{counts:?}");
}
