//! docs/challenges.md: each of its commands does what it says, against the demo; and `anteroom test radius` answers
//! challenges from its options, from lines, and at a terminal.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use anteroom::demo::directory::DEMO_PASSWORD;
use anteroom::demo::phone::{Behaviour, Decision};
use anteroom::demo::{DEMO_SECRET, Demo, Ports};

const PAGE: &str = include_str!("../../docs/challenges.md");

/// The arguments of a sign-in through the demo's client at this address.
fn arguments<'a>(server: &'a str, from: &'a str, user: &'a str) -> Vec<&'a str> {
    let mut words = vec!["test", "radius", "--server", server, "--from", from, "--user", user];
    words.extend(["--secret-env", "SECRET", "--password-env", "PASSWORD", "--timeout", "10"]);
    words
}

fn anteroom(folder: &Path, words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_anteroom"));
    command.args(words).current_dir(folder).envs([("SECRET", DEMO_SECRET), ("PASSWORD", DEMO_PASSWORD)]);
    command.stdin(Stdio::null());
    command
}

async fn run(mut command: Command) -> (Option<i32>, String, String) {
    let ended = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let Output { status, stdout, stderr } = ended;
    (status.code(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

fn verdicts(said: &str) -> Vec<&str> {
    said.lines().filter(|line| !line.starts_with(' ')).map(|line| line.split(' ').next().unwrap()).collect()
}

async fn demo() -> (Demo, String) {
    let demo = Demo::start(Ports::default()).await.unwrap();
    let server: SocketAddr = demo.server.radius()[0];
    (demo, server.to_string())
}

#[tokio::test(flavor = "multi_thread")]
async fn every_command_of_the_page_on_challenges_does_what_it_says() {
    let (demo, server) = demo().await;
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("answers.txt"), "push\n123456\n").unwrap();
    let commands: Vec<&str> = PAGE.lines().filter_map(|line| line.strip_prefix("    anteroom ")).collect();
    assert_eq!(commands.len(), 2, "{commands:?}");
    for command in commands {
        let words: Vec<&str> =
            command.split(' ').map(|word| if word == "127.0.0.1:1812" { server.as_str() } else { word }).collect();
        let (code, said, errors) = run(anteroom(folder.path(), &words)).await;
        assert_eq!(code, Some(0), "{command}\n{said}{errors}");
        assert_eq!(verdicts(&said), ["Access-Challenge", "Access-Challenge", "Access-Accept"], "{said}");
        // and it reads as the page shows it
        let shown = PAGE.split("```text\n").nth(1).unwrap().split("```").next().unwrap();
        for line in shown.lines().filter(|line| line.starts_with(' ')) {
            assert!(said.contains(line.trim()), "the page shows {line:?}\n{said}");
        }
    }
    demo.stop().await;
}

#[test]
fn the_page_on_challenges_has_each_text_that_it_teaches() {
    let texts = include_str!("../../conf/texts/en.toml");
    for text in [
        "Enter your code.",
        "A code is on its way as a text message.",
        "How do you want to sign in?",
        "Still waiting for your phone",
        "Your phone did not answer.",
    ] {
        assert!(PAGE.contains(text) && texts.contains(text), "{text}");
    }
    let sample = include_str!("../../conf/anteroom.toml");
    for key in ["challenge", "challenge_tries", "challenge_within", "challenge_beside_prompt", "challenge_menu"] {
        let row = PAGE.lines().find(|line| line.starts_with(&format!("| `{key}` | "))).unwrap();
        let usual = row.split(" | ").nth(1).unwrap().trim_matches('`');
        assert!(sample.contains(&format!("#{key} = {usual}\n")), "{key}: the page says {usual}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_built_in_client_answers_challenges_in_turn() {
    let (demo, server) = demo().await;
    demo.phone.set_behaviour(None, Behaviour::Answer { decision: Decision::NeedsCode, after_ms: 0 });
    let folder = tempfile::tempdir().unwrap();
    let portal = |user, more: &[&str]| {
        let words = [&arguments(&server, "127.0.0.6", user)[..], more].concat();
        run(anteroom(folder.path(), &words))
    };
    let (code, said, errors) = portal("alice", &["--answer", "654321", "--answer", "123456"]).await;
    assert_eq!(code, Some(0), "{said}{errors}");
    assert_eq!(verdicts(&said), ["Access-Challenge", "Access-Challenge", "Access-Accept"]);
    assert!(
        said.contains("Reply-Message = \"Enter your code.\"") && said.contains("That was not right. 2 more tries:"),
        "{said}"
    );
    assert!(!said.contains("654321") && !errors.contains("123456"), "what is typed is not told");

    // an answer too few leaves the challenge open, one too many is not needed
    let (code, said, errors) = portal("bob", &["--answer", "654321"]).await;
    assert_eq!((code, verdicts(&said)), (Some(1), vec!["Access-Challenge", "Access-Challenge"]));
    assert!(errors.contains("no further answer"), "{errors}");
    let (code, said, _) = portal("carol", &["--answer", "123456", "--answer", "999999"]).await;
    assert_eq!((code, verdicts(&said)), (Some(0), vec!["Access-Challenge", "Access-Accept"]));

    // nobody is there to ask, and nothing waits for somebody
    let (code, said, errors) = portal("erin", &[]).await;
    assert_eq!((code, verdicts(&said)), (Some(1), vec!["Access-Challenge"]));
    assert!(errors.contains("give --answer or --answer-from"), "{errors}");

    // wrong to the end
    let (code, said, _) = portal("ada", &["--answer", "654321", "--answer", "654321", "--answer", "654321"]).await;
    assert_eq!((code, verdicts(&said).last().copied()), (Some(1), Some("Access-Reject")));
    demo.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_of_standard_input_and_just_ok_are_answers() {
    let (demo, server) = demo().await;
    demo.phone.set_behaviour(None, Behaviour::Answer { decision: Decision::Approve, after_ms: 1_500 });
    let folder = tempfile::tempdir().unwrap();
    let lines = folder.path().join("lines");
    fs::write(&lines, "push\n\n").unwrap();
    let words = [&arguments(&server, "127.0.0.7", "alice")[..], &["--answer-from", "-"]].concat();
    let mut command = anteroom(folder.path(), &words);
    command.stdin(fs::File::open(&lines).unwrap());
    let (code, said, errors) = run(command).await;
    assert_eq!(code, Some(0), "{said}{errors}");
    assert_eq!(
        verdicts(&said),
        ["Access-Challenge", "Access-Challenge", "Access-Accept"],
        "OK is pressed while the phone is asked"
    );
    demo.stop().await;
}

/// At a terminal of its own: what is typed is asked for, and not shown.
#[tokio::test(flavor = "multi_thread")]
async fn whoever_sits_at_a_terminal_is_asked() {
    if !crate::peers::program("python3") {
        return;
    }
    let (demo, server) = demo().await;
    demo.phone.set_behaviour(None, Behaviour::Answer { decision: Decision::NeedsCode, after_ms: 0 });
    let mut command = Command::new("python3");
    command.arg(crate::peers::peer_file("terminal.py")).args(["Answer: ", "123456", env!("CARGO_BIN_EXE_anteroom")]);
    command.args(arguments(&server, "127.0.0.6", "alice")).envs([("SECRET", DEMO_SECRET), ("PASSWORD", DEMO_PASSWORD)]);
    command.stdin(Stdio::null());
    let (code, said, errors) = run(command).await;
    assert_eq!(code, Some(0), "{said}{errors}");
    assert!(said.contains("Enter your code.") && said.contains("Access-Accept"), "{said}");
    assert!(!said.contains("123456"), "what was typed is shown: {said}");
    demo.stop().await;
}
