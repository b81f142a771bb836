//! Octets from a client and from a directory, in turns, to one session of the LDAP door: nothing panics, the table
//! of outstanding operations keeps to its bound, and nothing is passed on while a bind is under way.
//!
//! Input: pieces of two octets of length, one of flags, and so many octets. Flag 1: from the directory. Flag 2: a bind
//! that is held ends before it, flag 4 with a success.

#![no_main]

use std::time::Duration;

use anteroom::config::{Anonymous, LdapLimits, Sasl};
use anteroom::ldap::message::{Head, check, op};
use anteroom::ldap::session::{Reply, Rules, Session, Step};
use anteroom::ldap::{proxy, root};
use anteroom_fuzz::datagrams;
use libfuzzer_sys::fuzz_target;

const OUTSTANDING: usize = 4;

fn rules(first: u8) -> Rules {
    let second = Duration::from_secs(1);
    Rules {
        plaintext: first & 1 != 0,
        anonymous: if first & 2 != 0 { Anonymous::Allow } else { Anonymous::Refuse },
        sasl: if first & 4 != 0 { Sasl::Relay } else { Sasl::Refuse },
        start_tls: first & 8 != 0,
        limits: LdapLimits {
            max_message: 1 << 16,
            max_message_before_bind: 1 << 12,
            max_depth: 16,
            connections: 1,
            outstanding: OUTSTANDING,
            first_message_within: second,
            idle: second,
            buffered: 1 << 12,
            send_within: second,
        },
    }
}

fuzz_target!(|input: &[u8]| {
    let Some((first, input)) = input.split_first() else { return };
    if let Some((start, rest)) = input.split_first_chunk::<{ proxy::START }>()
        && let Ok(start) = proxy::start(start)
    {
        let _ = proxy::source(start, rest);
    }
    let mut session = Session::new(rules(*first), first & 16 != 0);
    for (flags, octets) in datagrams(input) {
        if flags & 2 != 0 && session.is_held() {
            session.bound(flags & 4 != 0);
        }
        let Ok(Some(head)) = Head::read(&octets, session.longest()) else { continue };
        let Some(frame) = octets.get(..head.length) else { continue };
        if check(frame, &head, session.limits().max_depth).is_err() {
            continue;
        }
        if flags & 1 != 0 {
            match session.response(&head) {
                Reply::Pass => {}
                Reply::Root => drop(root::edited(frame, session.offers(head.message_id))),
                Reply::BindAnswer(what) => session.relayed(what, u32::from(flags >> 3)),
            }
            continue;
        }
        let busy = session.binding().is_some();
        match session.request(frame, &head) {
            Step::Forward => {
                assert!(!busy, "something passes while a bind is under way");
                assert_ne!(head.op_tag, op::BIND_REQUEST, "a bind passes as if it were none");
                session.forwarded(frame, &head);
            }
            Step::Bind => {
                assert!(!busy);
                session.lost_directory();
                session.begin_bind(head.message_id);
            }
            Step::RelayBind(what) => {
                assert!(!busy);
                session.begin_relayed(head.message_id, what);
            }
            Step::Refuse(answer) | Step::Answer(answer) | Step::StartTls(answer) => {
                assert!(matches!(Head::read(&answer, usize::MAX), Ok(Some(_))));
            }
            Step::Supersede => session.bound(false),
            Step::Drop | Step::Drain | Step::Later => {}
            Step::End(_) => return,
        }
    }
});
