//! What clouds answer: Duo's, Entra's, Okta's and privacyIDEA's. The first octet says whose and which answer it is, the
//! second the HTTP status, the rest is the body. Nothing panics, and an approval says so in every field that speaks of it.

#![no_main]

use anteroom::factor::Answer;
use anteroom::factor::duo::wire as duo;
use anteroom::factor::entra::wire as entra;
use anteroom::factor::okta::wire as okta;
use anteroom::factor::privacyidea::wire as privacyidea;
use libfuzzer_sys::fuzz_target;

const STATUSES: [u16; 12] = [200, 201, 204, 301, 400, 401, 403, 404, 423, 429, 500, 503];

const USER: &str = "alice@corp.example";

fuzz_target!(|input: &[u8]| {
    let &[which, status, ref body @ ..] = input else { return };
    let status = STATUSES[usize::from(status) % STATUSES.len()];
    match which % 12 {
        0 => for_entra("BeginTwoWayAuthenticationResponse", body),
        1 => for_entra("EndTwoWayAuthenticationResponse", body),
        2 => {
            let Ok(state) = duo::open::<duo::Status>(status, body) else { return };
            for typed in [false, true] {
                if duo::judge(&state, typed) == duo::Said::Approved {
                    assert!(status == 200 && state.result == "allow" && state.status == "allow");
                }
            }
        }
        3 => {
            if let Ok(preauth) = duo::open::<duo::Preauth>(status, body) {
                assert!(status == 200 && std::str::from_utf8(body).is_ok(), "{preauth:?}");
            }
            if let Ok(started) = duo::open::<duo::Started>(status, body) {
                assert!(!duo::is_txid(&started.txid) || !started.txid.contains(['/', '?', '#', '%']));
            }
            let _ = duo::open::<duo::Time>(status, body);
        }
        4 => {
            if okta::state(status, body) == Some(Answer::Approved) {
                assert!(status == 200 && says(body, "factorResult", "SUCCESS"));
            }
        }
        5 => {
            if okta::code(status, body) == Some(Answer::Approved) {
                assert!(status == 200 && says(body, "factorResult", "SUCCESS"));
            }
        }
        6 => {
            if let Ok(okta::Begun::Waiting { transaction, .. }) = okta::begun(status, body) {
                assert!(okta::is_id(&transaction) && !transaction.contains(['/', '?', '#', '%']));
            }
        }
        7 => {
            let _ = (okta::error_code(body), okta::grant_error(body));
            let enrolled: Vec<okta::Enrolled> = serde_json::from_slice(body).unwrap_or_default();
            for method in anteroom::users::model::Method::ALL {
                if let Ok(factor) = okta::choose(&enrolled, method, None) {
                    assert!(okta::is_id(&factor.id) && factor.status == "ACTIVE");
                }
            }
        }
        8 => {
            if privacyidea::state(status, body) == privacyidea::State::Accepted {
                assert_eq!(status, 200);
                assert!(answer(body).is_none_or(|answer| answer["result"]["value"] == true));
            }
        }
        9 => {
            if privacyidea::checked(status, body) == Ok(privacyidea::Checked::Accepted) {
                assert_eq!(status, 200);
                let Some(answer) = answer(body) else { return };
                let result = &answer["result"];
                assert!(result["status"] == true && result["value"] == true && result["authentication"] == "ACCEPT");
            }
        }
        10 => {
            if let Ok(triggered) = privacyidea::triggered(status, body) {
                assert!(privacyidea::is_id(&triggered.transaction));
            }
        }
        _ => {
            let _ = (privacyidea::authorised(status, body), privacyidea::error(body));
        }
    }
});

fn for_entra(root: &str, body: &[u8]) {
    let Some(answer) = entra::read(root, body) else { return };
    if entra::judge(&answer, USER) == entra::Said::Approved {
        assert_eq!((answer.value.as_deref(), answer.result.as_deref()), (Some("Success"), Some("true")));
        assert!(answer.user.is_none_or(|user| user.to_lowercase() == USER));
    }
    // What is written with a text of the answer is read as the same text.
    if let Some(session) = &answer.session {
        let mut written = format!("<{root}>");
        entra::element(&mut written, "SessionId", session);
        written.push_str(&format!("</{root}>"));
        let again = entra::read(root, written.as_bytes()).and_then(|answer| answer.session);
        let plain = |text: &str| !text.chars().any(|c| c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}'));
        assert!(!plain(session) || again.as_ref() == Some(session), "{session:?} became {again:?}");
    }
}

/// The whole answer. What is skipped by who reads it may be nested deeper than can be looked at here.
fn answer(body: &[u8]) -> Option<serde_json::Value> {
    serde_json::from_slice(body).ok()
}

fn says(body: &[u8], field: &str, word: &str) -> bool {
    answer(body).is_none_or(|answer| answer[field] == word)
}
