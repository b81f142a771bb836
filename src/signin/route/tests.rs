use super::*;
use crate::signin::passcode;

#[test]
fn what_was_typed_comes_before_what_is_listed_and_that_before_the_persons_own() {
    let listed = [Method::Call, Method::Oath, Method::Push];
    let code = Typed::Code(Secret::from_text("123456".into()));
    let word = |text: &str| Typed::Word(passcode::word(text.as_bytes()).unwrap());
    assert_eq!(wishes(Some(&code), Method::Push, &listed), [Method::Oath]);
    assert_eq!(wishes(Some(&word("push2")), Method::Call, &[]), [Method::Push]);
    assert_eq!(wishes(Some(&word("sms")), Method::Call, &listed), [Method::SmsReply, Method::SmsCode]);
    assert_eq!(wishes(None, Method::Push, &listed), listed);
    assert_eq!(wishes(None, Method::SmsReply, &[]), [Method::SmsReply]);
}

/// Offers everything.
struct Able;

impl Factor for Able {
    fn name(&self) -> &str {
        "able"
    }

    fn offers(&self, _: &Person, method: Method) -> bool {
        method != Method::Call
    }

    fn run(&self, _: Request) -> futures_util::future::BoxFuture<'_, factor::Answer> {
        Box::pin(std::future::ready(factor::Answer::Approved))
    }
}

#[test]
fn nothing_is_sent_that_the_person_could_not_type() {
    let person = crate::signin::testing::person("u1");
    let means = |typed, can_type, can_ask| Means { typed, can_type, can_ask };
    let at = |method, typed, can_type| way(&Able, &person, method, means(typed, can_type, false));
    assert_eq!(at(Method::Push, false, false), Way::Open);
    assert_eq!(at(Method::SmsReply, false, false), Way::Open);
    assert_eq!(at(Method::SmsCode, false, false), Way::NoPlaceForCode);
    assert_eq!(at(Method::SmsCode, false, true), Way::Open);
    assert_eq!(at(Method::Oath, false, true), Way::WantsCode);
    assert_eq!(at(Method::Oath, true, true), Way::Open);
    assert_eq!(at(Method::Call, true, true), Way::NotOffered);
    let plan = |methods: &[Method], means| {
        let Planned { steps, wants_code, .. } = plan([Arc::new(Able) as Arc<dyn Factor>], &person, methods, means);
        (steps.into_iter().flat_map(|step| step.methods.into_vec()).collect::<Vec<_>>(), wants_code)
    };
    let (silent, typing, asking) = (means(false, false, false), means(false, true, false), means(false, true, true));
    let listed = [Method::Call, Method::SmsCode, Method::Oath, Method::Push];
    assert_eq!(plan(&listed, silent), (vec![Method::Push], false));
    assert_eq!(plan(&listed, typing), (vec![Method::SmsCode, Method::Push], false));
    assert_eq!(plan(&[Method::Call, Method::Oath], silent), (vec![], true), "a code is all that would do");
    assert_eq!(plan(&[Method::Call, Method::SmsCode], silent), (vec![], true), "one that could not be typed");
    assert_eq!(plan(&[Method::Call], silent), (vec![], false));
    assert_eq!(plan(&listed, asking), (vec![Method::SmsCode, Method::Push], false));
    let first = [Method::Call, Method::Oath, Method::Push];
    assert_eq!(plan(&first, typing), (vec![Method::Push], false));
    assert_eq!(plan(&first, asking), (vec![Method::Push], true), "the code is wanted first, and can be asked for");
}
