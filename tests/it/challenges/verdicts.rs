//! The verdict through rounds: every answer of the provider in the first round, every kind of answer in the second and
//! third, every state of the prompt: no Accept without the password's proof and an approval of this very sign-in.

use anteroom::signin::proof::SecondPassed;

use super::*;

/// What a person types into a challenge.
const TYPED: [&str; 6] = ["", RIGHT, "000000", "push", "r", "sms"];

#[tokio::test(start_paused = true)]
async fn no_accept_lacks_its_two_proofs_through_any_rounds() {
    let (mut combinations, mut accepts) = (0, 0);
    let lists: [&[Method]; 4] =
        [&[Method::Oath], &[Method::SmsCode], &[Method::Push], &[Method::Push, Method::SmsCode, Method::Oath]];
    let answers = [Answer::Approved, Answer::Refused(Refusal::Denied), Answer::Refused(Refusal::Expired)];
    for methods in lists {
        for (beside_prompt, menu) in [(false, false), (true, false), (false, true), (true, true)] {
            for fails in [None, Some(Refusal::Undeliverable), Some(Refusal::Lost), Some(Refusal::Bypassed)] {
                for said in &answers {
                    for typed in TYPED.iter().flat_map(|first| TYPED.iter().map(move |second| [*first, *second])) {
                        let rule = Challenges { beside_prompt, menu, ..RULE };
                        let accepted = walk(methods, rule, fails, said, &typed).await;
                        combinations += 1;
                        accepts += u32::from(accepted);
                    }
                }
            }
        }
    }
    assert!(combinations > 5_000 && accepts > 500, "{combinations} combinations, {accepts} accepts");
}

/// Whether it ended in an Accept, which is checked.
async fn walk(methods: &[Method], rule: Challenges, fails: Option<Refusal>, said: &Answer, typed: &[&str]) -> bool {
    let hall = Hall::new(Cloud { fails, says: Mutex::new(said.clone()), ..Cloud::default() }, methods, rule);
    // Prompts are answered as soon as they are out.
    hall.cloud.answered.notify_one();
    let mut outcome = hall.first().await;
    let mut said_right = false;
    for typed in typed {
        if outcome.verdict() != Verdict::Challenge {
            break;
        }
        said_right |= *typed == RIGHT;
        hall.cloud.answered.notify_one();
        outcome = hall.answer(&outcome, typed).await;
    }
    let what = format!("{methods:?} {rule:?} {fails:?} {said:?} {typed:?}: {outcome:?}");
    let pushed = hall.cloud.ways().contains(&Method::Push);
    let Outcome::Accept(accept) = &*outcome else {
        // Nothing is left behind: one event, now or when the challenge's time is over.
        tokio::time::sleep(Duration::from_secs(400)).await;
        assert_eq!(hall.ends().len(), 1, "{what}");
        assert_eq!(hall.ends()[0].0, Verdict::Reject, "{what}");
        return false;
    };
    assert_eq!(hall.primary.binds.load(Ordering::SeqCst), 1, "the password was tried once: {what}");
    assert_eq!(accept.second().unique_id(), accept.primary().who().unique_id);
    let SecondPassed::Approved(approved) = accept.second() else { panic!("an exemption: {what}") };
    let by_code = approved.method() == Method::Oath && said_right;
    let by_push = approved.method() != Method::Oath && pushed && *said == Answer::Approved && fails.is_none();
    let by_answer = approved.method() == Method::SmsReply && *said == Answer::Approved;
    assert!(by_code || by_push || by_answer, "{what}");
    let asked = hall.cloud.asked.lock().unwrap().clone();
    assert!(asked.iter().any(|(_, _, id)| *id == approved.sign_in()), "approved is what was asked: {what}");
    assert_eq!(hall.ends(), [IN], "{what}");
    true
}
