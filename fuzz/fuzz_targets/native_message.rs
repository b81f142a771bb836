//! Lines of a prompt service, delivered one after the other to one held prompt: nothing panics, and the only
//! approval is one in which every field agrees.

#![no_main]

use anteroom::factor::native::besides::Besides;
use anteroom::factor::native::waiting::Waiting;
use anteroom::factor::native::wire::{Event, Expected, Message, Pong, Said, Trouble, judge};
use anteroom::factor::{Answer, Refusal, object};
use anteroom::signin::attempt::SignInId;
use anteroom::users::model::Method;
use libfuzzer_sys::fuzz_target;

const SERVER: &str = "one";
const KEY: &str = "070707070707070707070707";
const NOW: u64 = 1_767_225_600;

fuzz_target!(|stream: &[u8]| {
    let sign_in = SignInId::new([7; 12]);
    let waiting = Waiting::new();
    assert!(waiting.register(sign_in, Method::Push, NOW));
    let besides = Besides::new(true, Some("42".into()));
    let mut last = None;
    for line in stream.split(|octet| *octet == b'\n') {
        let _ = object::read::<Trouble>(line);
        let _ = object::read::<Pong<'_>>(line);
        let event = object::read::<Event<'_>>(line).ok().and_then(|event| event.verification);
        let answer = object::read::<Message<'_>>(line).ok();
        for message in [event, answer].into_iter().flatten() {
            let expected = Expected {
                sign_in,
                server: SERVER,
                id: None,
                method: Method::Push,
                besides: None,
                asked_at: NOW,
                now: NOW,
            };
            // What has to be typed on the phone makes nothing right that is wrong without it.
            let strict = judge(&message, Expected { besides: besides.as_deref(), ..expected });
            if strict == Said::Approved {
                let result = message.result.as_ref().expect("an approval has a result");
                assert!(judge(&message, expected) == Said::Approved);
                assert!(result.number.as_deref() == Some("42") && result.pin.is_some());
            }
            if judge(&message, expected) == Said::Approved {
                let result = message.result.as_ref().expect("an approval has a result");
                assert!(message.state == "approved" && result.approved && result.method == "push");
                assert!(message.idempotency_key == KEY && message.server == SERVER && !message.id.is_empty());
                assert!(result.at.abs_diff(NOW) <= 300);
            }
            let _ = waiting.deliver(sign_in, &message, SERVER, NOW);
            let now = waiting.answer(sign_in);
            // An answer stays, unless another one contradicts it: then both are void.
            if let Some(before) = last.take() {
                assert!(now == Some(before) || now == Some(Answer::Refused(Refusal::Garbled)));
            }
            last = now;
        }
    }
    waiting.remove(sign_in);
    assert!(waiting.is_empty());
});
