//! Whatever comes, in whatever order: nothing panics, nobody gets in, and every request ends once.

use proptest::prelude::*;

use super::*;

/// A packet that is nearly right: attributes of the numbers that the door reads, some of any number.
fn datagram() -> impl Strategy<Value = Vec<u8>> {
    let numbers = prop_oneof![
        Just(USER_NAME),
        Just(USER_PASSWORD),
        Just(CHAP_PASSWORD),
        Just(EAP_MESSAGE),
        Just(PROXY_STATE),
        Just(MESSAGE_AUTHENTICATOR),
        any::<u8>(),
    ];
    let value = prop_oneof![
        Just(vec![0; 16]),
        proptest::collection::vec(any::<u8>(), 0..40),
        proptest::collection::vec(any::<u8>(), 250..=253),
    ];
    let code = prop_oneof![4 => Just(1u8), 1 => Just(12), 1 => any::<u8>()];
    let attributes = proptest::collection::vec((numbers, value), 0..20);
    let whole = (code, 0u8..3, 0u8..3, attributes).prop_map(|(code, identifier, authenticator, attributes)| {
        let mut builder = Builder::new(Code(code), identifier, &[authenticator; 16], 0);
        for (number, value) in attributes {
            // What does not fit any more is left out.
            let _full = builder.push(number, &value);
        }
        builder.into_bytes()
    });
    let spoiled = (whole, proptest::option::weighted(0.2, (any::<prop::sample::Index>(), any::<u8>())));
    spoiled.prop_map(|(mut bytes, spoil)| {
        if let Some((at, octet)) = spoil {
            let at = at.index(bytes.len());
            bytes[at] = octet;
        }
        bytes
    })
}

fn check(reply: &[u8], allowed: Code) {
    let packet = Packet::decode(reply).unwrap();
    assert_eq!(packet.code(), allowed);
    assert_eq!(numbers(reply)[0], MESSAGE_AUTHENTICATOR);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn nobody_gets_in_and_every_request_ends_once(
        steps in proptest::collection::vec((datagram(), any::<bool>(), any::<bool>(), 0u64..20), 1..24),
        required in prop_oneof![Just(Requirement::Yes), Just(Requirement::Auto), Just(Requirement::No)],
    ) {
        let now = Instant::now();
        let client = RadiusClient { require_message_authenticator: required, ..client("vpn") };
        let mut lab = Lab { door: Door::new(shared(vec![client], now), 4), now };
        let mut held = Vec::new();
        for (mut bytes, sign, finish, seconds) in steps {
            lab.now += Duration::from_secs(seconds);
            if sign {
                sign_request(&mut bytes, &key());
            }
            match lab.receive(&bytes) {
                Step::Begin(begin) if finish => {
                    check(&lab.finish(&begin.ticket, &Outcome::Reject(Reason::Denied)).unwrap(), Code::ACCESS_REJECT);
                    prop_assert_eq!(lab.finish(&begin.ticket, &Outcome::Reject(Reason::Denied)), None);
                }
                Step::Begin(begin) => held.push(begin.ticket),
                Step::Resend(reply) => check(&reply, Code::ACCESS_REJECT),
                Step::Reply(reply) => check(&reply, Code::ACCESS_ACCEPT),
                Step::Discard(_) | Step::Running(_) => {}
            }
            prop_assert!(lab.door.running() <= 4);
        }
        let running = lab.door.running();
        let answered = held.iter().filter_map(|ticket| lab.door.abandon(ticket, lab.now));
        let answered = answered.inspect(|reply| check(reply, Code::ACCESS_REJECT)).count();
        prop_assert_eq!(answered, running, "one answer for each that was not superseded");
        prop_assert_eq!(lab.door.running(), 0);
    }
}
