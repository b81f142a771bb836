//! Codes that are typed: of a token, and of those that were sent.

use super::*;

fn typed(number: u32, code: &str) -> Request {
    let code = Some(Secret::from_text(code.into()));
    Request { code, method: Method::Oath, ..request(number, Duration::from_secs(10)) }
}

#[tokio::test]
async fn right_code_approves_and_wrong_one_does_not_and_nobody_is_prompted() {
    for spec in SPECS {
        let rig = Rig::new(spec).await;
        rig.set(Scenario { code: "222333".into(), ..Scenario::default() });
        assert_eq!(rig.run(typed(1, "222333")).await, Answer::Approved, "{}", spec.word);
        assert_eq!(rig.run(typed(2, "222334")).await, refused(Refusal::WrongCode), "{}", spec.word);
        for odd in ["", "\u{0}", "1\" , \"x", "ünï", "a&pass=222333", &"9".repeat(300)] {
            let answer = rig.run(typed(3, odd)).await;
            assert_eq!(answer, refused(Refusal::WrongCode), "{}: {odd:?}", spec.word);
        }
        assert_eq!(rig.prompts(), 0, "{}", spec.word);
    }
}

#[tokio::test]
async fn code_that_is_sent_is_typed_at_the_next_sign_in() {
    for spec in SPECS {
        for &(method, word) in spec.codes {
            let rig = Rig::new(spec).await;
            let methods = vec![word.to_owned()];
            rig.set(Scenario { code: "222333".into(), methods, ..Scenario::default() });
            let tell = Tell::new(false);
            let sending = Request { method, tell: Some(tell.clone()), ..request(1, Duration::from_secs(10)) };
            assert_eq!(rig.run(sending).await, refused(Refusal::NeedsCode), "{}: {word}", spec.word);
            assert!(tell.take().is_some_and(|text| text.to_lowercase().contains("code")), "{}", spec.word);
            assert_eq!(rig.prompts(), 1, "{}: {word}", spec.word);
            assert_eq!(rig.run(typed(2, "999999")).await, refused(Refusal::WrongCode), "{}: {word}", spec.word);
            assert_eq!(rig.run(typed(3, "222333")).await, Answer::Approved, "{}: {word}", spec.word);
            assert_eq!(rig.prompts(), 1, "{}: {word}", spec.word);
        }
    }
}

#[tokio::test]
async fn failure_of_a_check_is_never_an_approval() {
    for spec in SPECS {
        let halves = (spec.service)().halves();
        let half = (0..halves).map(|which| Fault { which, ..Fault::new(Kind::HalfSuccess) });
        let others = [Fault::status(500), Fault::status(401), Fault::new(Kind::Reset), Fault::new(Kind::Twice)];
        let nonsense = Malformed::ALL.map(Fault::malformed);
        for fault in half.chain(others).chain(nonsense) {
            let rig = Rig::new(spec).await;
            let fault = vec![fault.at(Step::Code)];
            rig.set(Scenario { code: "222333".into(), fault: fault.clone(), ..Scenario::default() });
            let answer = rig.run(typed(1, "222333")).await;
            // The code is right: whoever asks again hears so.
            let had = spec.asks_again && fault[0].kind != Kind::Status && answer == Answer::Approved;
            assert!(matches!(answer, Answer::Refused(_)) || had, "{}: {fault:?}: {answer:?}", spec.word);
        }
    }
}
