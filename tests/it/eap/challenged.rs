//! A target's own challenge goes to the client, its answer back to the target, and the factor comes after all of it.

use super::*;

const CODE: &str = "123456";

#[test]
fn the_targets_challenge_is_answered_and_then_the_factor_is_asked() {
    let Some(target) = FreeRadius::start() else { return };
    let world = relayed(&[target.radius()], "", "challenge = \"yes\"");
    let mut nas = Nas::new(world.server.radius(), SHARED_SECRET);
    let first = nas.ask("coded", b"hello", SOON).unwrap();
    assert_eq!(first.code, ACCESS_CHALLENGE);
    assert_eq!(values(&first, 18), [b"Enter the code"], "the target's words");
    let state = values(&first, STATE)[0].to_vec();
    assert_eq!(world.phone.asked(), 0, "the target has not let anybody in yet");
    assert_eq!(world.server.audit(), "", "the sign-in goes on");

    let again = nas.ask("coded", b"hello", SOON).unwrap();
    assert_eq!(values(&again, STATE), [state.as_slice()], "the same sign-in again, the same challenge");

    let answer = nas.request("coded", CODE.as_bytes(), &[(STATE, &state)]);
    nas.send(&answer);
    let prompt = world.phone.prompt_of("coded");
    // While the prompt is out, a retransmission and a repetition under another identifier begin nothing.
    nas.send(&answer);
    let repeated = nas.request("coded", CODE.as_bytes(), &[(STATE, &state)]);
    nas.send(&repeated);
    world.joins(1);
    world.phone.approve(&prompt);
    assert_eq!(nas.receive(&answer, SOON).unwrap().code, ACCESS_ACCEPT);
    assert_eq!(nas.receive(&repeated, SOON).unwrap().code, ACCESS_ACCEPT);
    assert_eq!(world.phone.asked(), 1);
    let event = world.server.event("coded");
    assert_eq!(event["reason"], "approved");
    assert!(!target.requests().contains(&hex(&state)), "the target sees its own State, not ours");

    let used = nas.request("coded", CODE.as_bytes(), &[(STATE, &state)]);
    nas.send(&used);
    assert_eq!(nas.receive(&used, SOON).unwrap().code, ACCESS_REJECT);
    assert_eq!(world.server.events("coded", 2)[1]["reason"], "state_used");
}

#[test]
fn a_wrong_answer_is_refused_and_prompts_nobody() {
    let Some(target) = FreeRadius::start() else { return };
    let world = relayed(&[target.radius()], "", "challenge = \"yes\"");
    let mut nas = Nas::new(world.server.radius(), SHARED_SECRET);
    let first = nas.ask("coded", b"hello", SOON).unwrap();
    let wrong = nas.request("coded", b"654321", &[(STATE, values(&first, STATE)[0])]);
    nas.send(&wrong);
    assert_eq!(nas.receive(&wrong, SOON).unwrap().code, ACCESS_REJECT);
    assert_eq!(world.server.event("coded")["reason"], "wrong_password");
    assert_eq!(world.phone.asked(), 0);
}

#[test]
fn a_client_that_shows_no_challenges_is_refused_with_a_reason() {
    let Some(target) = FreeRadius::start() else { return };
    let world = relayed(&[target.radius()], "", "");
    let mut nas = Nas::new(world.server.radius(), SHARED_SECRET);
    assert_eq!(nas.ask("coded", b"hello", SOON).unwrap().code, ACCESS_REJECT);
    assert_eq!(world.server.event("coded")["reason"], "target_asks_more");
}

fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}
