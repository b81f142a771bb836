//! People in PIN mode whose provider asks for the PIN on the phone: no client is needed that shows challenges, and where there
//! is one, a wrong PIN is asked for again there.

use anteroom::config::Passcode;
use anteroom::factor;
use anteroom::users::pin::Rules;
use anteroom::users::pins::{self, PinVerdict, Pins};

use super::*;
use crate::local_codes::House;

const PIN: &str = "40927";

/// A cloud that asks for the PIN with its push: what people type there, one after the other.
struct Asks {
    pins: Pins,
    types: Mutex<Vec<&'static str>>,
    /// Of each push, whether the PIN was asked for.
    asked: Mutex<Vec<bool>>,
    /// Whether it says so where there was no PIN.
    lies: bool,
}

impl Factor for Asks {
    fn name(&self) -> &str {
        "cloud"
    }

    fn offers(&self, _: &Person, method: Method) -> bool {
        method == Method::Push
    }

    fn carries_pin(&self, method: Method) -> bool {
        method == Method::Push
    }

    fn run(&self, request: Request) -> BoxFuture<'_, Answer> {
        let owed = factor::owes_pin(self, &request.person, request.method, request.pin_passed());
        self.asked.lock().unwrap().push(owed);
        Box::pin(async move {
            if !owed || self.lies {
                return Answer::Approved;
            }
            let typed = Secret::from_text(self.types.lock().unwrap().remove(0).into());
            let (unique_id, now) = (&request.person.unique_id, SystemTime::now());
            Answer::Refused(
                match pins::check(&*self.pins.roster, unique_id, &typed, &self.pins.rules, now).await.unwrap() {
                    Ok(pin) => return Answer::ApprovedWithPin(Box::new(pin)),
                    Err(PinVerdict::MustChange) => Refusal::PinDue,
                    Err(_) => Refusal::WrongPin,
                },
            )
        })
    }
}

struct Told {
    hall: Hall,
    phone: Arc<Asks>,
    _house: House,
}

impl Told {
    async fn new(types: &[&'static str], must_change: bool, lies: bool) -> Told {
        let house = House::new().await;
        house.pin_mode(PIN, must_change).await;
        let pins = Pins { roster: house.store.clone(), rules: Rules::default() };
        let (types, asked) = (Mutex::new(types.to_vec()), Mutex::default());
        let phone = Arc::new(Asks { pins: pins.clone(), types, asked, lies });
        let hall = Hall::with(Cloud::default(), &[Method::Push], RULE, fakes::enrolled(), |deps| {
            deps.store = house.store.clone();
            deps.pins = Some(pins);
            deps.providers.insert("cloud".into(), phone.clone());
        });
        Told { hall, phone, _house: house }
    }

    /// Through a client that shows no challenges.
    async fn silently(&self, password: &str) -> Arc<Outcome> {
        let mut client = Arc::into_inner(fakes::client(ClientPolicy::default())).unwrap();
        (client.passcode, client.methods) = (Some(Passcode::Delimiter(",".into())), vec![Method::Push]);
        let credential = Ok(Secret::from_text(password.into()));
        self.hall.enter(Attempt { credential, ..fakes::attempt(&Arc::new(client)) }).await
    }

    fn asked(&self) -> Vec<bool> {
        self.phone.asked.lock().unwrap().clone()
    }
}

#[tokio::test]
async fn the_pin_on_the_phone_needs_no_challenge() {
    let told = Told::new(&[PIN, PIN, "40928"], false, false).await;
    assert_eq!(heard(&told.hall.first().await), IN);
    assert_eq!(heard(&told.silently("secret").await), IN);
    assert_eq!(heard(&told.silently("secret").await), (Verdict::Reject, Reason::WrongPin));
    assert_eq!(told.asked(), [true, true, true]);
}

#[tokio::test]
async fn a_wrong_pin_on_the_phone_is_asked_for_at_the_client_before_the_phone_rings_again() {
    let told = Told::new(&["40928"], false, false).await;
    let asked = told.hall.first().await;
    assert_eq!(text(&asked), "That was not right. 2 more tries: Enter your PIN.");
    let again = told.hall.answer(&asked, "40929").await;
    assert_eq!(text(&again), "That was not right. One more try: Enter your PIN.");
    assert_eq!(told.asked(), [true], "nobody is prompted in between");
    assert_eq!(heard(&told.hall.answer(&again, PIN).await), IN);
    assert_eq!((told.asked(), told.hall.ends()), (vec![true, false], vec![IN]), "the PIN was right: a push without it");
}

#[tokio::test]
async fn a_pin_behind_the_password_goes_before_the_phone() {
    let told = Told::new(&[], false, false).await;
    assert_eq!(heard(&told.silently(&format!("secret,{PIN}")).await), IN);
    assert_eq!(told.asked(), [false]);
    assert_eq!(heard(&told.silently("secret,40928").await), (Verdict::Reject, Reason::WrongPin));
    assert_eq!(told.asked(), [false], "and a wrong one prompts nobody");
}

#[tokio::test]
async fn a_due_pin_is_changed_at_the_client_and_not_asked_for_on_the_phone() {
    let told = Told::new(&[], true, false).await;
    let mut asked = told.hall.first().await;
    assert_eq!(text(&asked), "Enter your PIN.");
    for typed in [PIN, "70913"] {
        asked = told.hall.answer(&asked, typed).await;
    }
    assert_eq!(heard(&told.hall.answer(&asked, "70913").await), IN);
    assert_eq!(told.asked(), [false]);
    // where nothing can be shown, it is refused, and says why
    let told = Told::new(&[PIN], true, false).await;
    assert_eq!(heard(&told.silently("secret").await), (Verdict::Reject, Reason::PinDue));
}

#[tokio::test]
async fn an_approval_without_the_pin_lets_nobody_in() {
    let told = Told::new(&[], false, true).await;
    assert_eq!(heard(&told.hall.first().await), (Verdict::Reject, Reason::ProviderGarbled));
    assert_eq!(heard(&told.silently("secret").await), (Verdict::Reject, Reason::ProviderGarbled));
}
