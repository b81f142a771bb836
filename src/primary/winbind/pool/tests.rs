use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;

use super::spoken::{Answer, Question};
use super::*;
use crate::primary::Refusal;

/// A helper in the shell: `$name` is the name in Base64 and `$word` the closing word, `answer` what it does.
fn script(folder: &tempfile::TempDir, answer: &str) -> PathBuf {
    let path = folder.path().join("helper");
    let text = format!(
        "#!/bin/sh\n\
         echo started >>\"$0.log\"; echo \"$*\" >\"$0.arguments\"\n\
         yes() {{ printf 'Authenticated: Yes\\nUser-Session-Key: 0102030405060708090A0B0C0D0E0F10\\n.\\n'; }}\n\
         no() {{ printf 'Authenticated: No\\nAuthentication-Error: Wrong Password\\n.\\n.\\n'; }}\n\
         close() {{ printf 'Error: Unknown request %s\\n.\\n' \"$word\"; }}\n\
         while read -r key value; do case $key in\n\
         Username::) name=$value ;;\n\
         Anteroom-*) word=${{key%:}}\n{answer}\n;;\n\
         esac; done\n"
    );
    std::fs::write(&path, text).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    path
}

fn started(program: &std::path::Path) -> usize {
    std::fs::read_to_string(program.with_extension("log")).unwrap_or_default().lines().count()
}

fn pool(program: &std::path::Path, helpers: usize, timeout: Duration) -> Pool {
    let (arguments, domain, changes) = (vec!["--configfile=x".to_owned()], None, false);
    Pool::new(&Winbind { program: program.to_owned(), arguments, helpers, timeout, domain, changes }, TO_JUDGE)
}

fn question(name: &str) -> Question<'_> {
    Question { name, domain: None, challenge: &[1; 8], response: &[2; 24] }
}

async fn ask(pool: &Pool, name: &str) -> Result<Answer, NoAnswer> {
    pool.ask(question(name), Instant::now() + Duration::from_secs(20)).await
}

const PATIENT: Duration = Duration::from_secs(20);

/// "alice" in Base64 is right, everybody else is wrong.
const JUDGES: &str = "if [ \"$name\" = YWxpY2U= ]; then yes; else no; fi; close";

#[tokio::test]
async fn one_helper_answers_one_after_the_other_and_each_hears_their_own_answer() {
    let folder = tempfile::tempdir().unwrap();
    let program = script(&folder, JUDGES);
    let pool = pool(&program, 2, PATIENT);
    for _ in 0..10 {
        assert!(matches!(ask(&pool, "bob").await, Ok(Answer::Wrong(Refusal::WrongPassword))));
        assert!(matches!(ask(&pool, "alice").await, Ok(Answer::Right(key)) if key[0] == 1));
    }
    assert_eq!(started(&program), 1);
    let arguments = std::fs::read_to_string(program.with_extension("arguments")).unwrap();
    assert_eq!(arguments.trim(), "--configfile=x --helper-protocol=ntlm-server-1 --allow-mschapv2");
}

#[tokio::test]
async fn a_helper_that_ends_is_replaced_and_its_question_is_not_asked_again() {
    let folder = tempfile::tempdir().unwrap();
    let program = script(&folder, "if [ \"$name\" = Ym9i ]; then yes; exit; fi; yes; close");
    let pool = pool(&program, 2, PATIENT);
    assert!(matches!(ask(&pool, "alice").await, Ok(Answer::Right(_))));
    assert!(matches!(ask(&pool, "bob").await, Err(NoAnswer::Ended)), "a yes that is not closed is none");
    assert_eq!(started(&program), 1);
    assert!(matches!(ask(&pool, "alice").await, Ok(Answer::Right(_))));
    assert_eq!(started(&program), 2);
}

#[tokio::test]
async fn a_late_answer_is_nobodys_and_holds_up_nobody_else() {
    let folder = tempfile::tempdir().unwrap();
    let program = script(&folder, "[ \"$name\" != Ym9i ] || sleep 30; yes; close");
    let pool = Arc::new(pool(&program, 2, Duration::from_secs(2)));
    let slow = tokio::spawn({
        let pool = Arc::clone(&pool);
        async move { ask(&pool, "bob").await }
    });
    assert!(matches!(ask(&pool, "alice").await, Ok(Answer::Right(_))));
    assert!(matches!(slow.await.unwrap(), Err(NoAnswer::Late)));
    assert_eq!(pool.idle().len(), 1, "only the one that had answered");
}

#[tokio::test]
async fn no_more_run_at_once_than_may() {
    let folder = tempfile::tempdir().unwrap();
    let program = script(&folder, "sleep 30");
    let pool = Arc::new(pool(&program, 1, PATIENT));
    let first = tokio::spawn({
        let pool = Arc::clone(&pool);
        async move { ask(&pool, "alice").await }
    });
    while pool.places.available_permits() > 0 {
        tokio::task::yield_now().await;
    }
    let soon = Instant::now() + Duration::from_millis(50);
    assert!(matches!(pool.ask(question("bob"), soon).await, Err(NoAnswer::Busy)));
    // Given up, it is killed, and its place is free.
    first.abort();
    assert!(first.await.is_err_and(|error| error.is_cancelled()));
    assert_eq!((pool.places.available_permits(), pool.idle().len()), (1, 0));
}

#[tokio::test]
async fn what_is_no_answer_is_none_and_its_helper_is_not_asked_again() {
    let folder = tempfile::tempdir().unwrap();
    let endless = "i=0; while [ $i -lt 600 ]; do echo aaaaaaaaaaaaaaaa; i=$((i+1)); done";
    for answer in ["echo hello; close", endless, "yes; yes; close"] {
        let program = script(&folder, answer);
        let pool = pool(&program, 2, PATIENT);
        assert!(matches!(ask(&pool, "alice").await, Err(NoAnswer::Garbled)), "{answer}");
        assert!(pool.idle().is_empty());
    }
}

#[tokio::test]
async fn what_cannot_be_started_says_so() {
    let nowhere = pool(std::path::Path::new("/nonexistent/ntlm_auth"), 1, PATIENT);
    assert!(matches!(ask(&nowhere, "alice").await, Err(NoAnswer::Unstartable(_))));
}
