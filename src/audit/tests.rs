use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::Mutex;

use futures_util::future::{BoxFuture, ready};
use tracing_subscriber::fmt::MakeWriter;

use super::*;
use crate::users::model::Person;
use crate::users::store::{StoreError, StoreResult};

/// A store that keeps the sizes of the batches it was given, or fails.
#[derive(Default)]
struct Batches {
    sizes: Mutex<Vec<usize>>,
    accounted: Mutex<Vec<Accounted>>,
    broken: AtomicBool,
}

impl Store for Batches {
    fn person<'a>(&'a self, _: &'a str) -> BoxFuture<'a, StoreResult<Option<Person>>> {
        unreachable!("the audit reads nobody")
    }
    fn person_named<'a>(&'a self, _: &'a str) -> BoxFuture<'a, StoreResult<Option<Person>>> {
        unreachable!("the audit reads nobody")
    }
    fn people<'a>(&'a self, _: &'a str, _: u32) -> BoxFuture<'a, StoreResult<Vec<Person>>> {
        unreachable!("the audit reads nobody")
    }
    fn add<'a>(&'a self, _: &'a Person) -> BoxFuture<'a, StoreResult<()>> {
        unreachable!("the audit changes nobody")
    }
    fn replace<'a>(&'a self, _: &'a Person) -> BoxFuture<'a, StoreResult<bool>> {
        unreachable!("the audit changes nobody")
    }
    fn remove<'a>(&'a self, _: &'a str) -> BoxFuture<'a, StoreResult<bool>> {
        unreachable!("the audit changes nobody")
    }
    fn block<'a>(&'a self, _: &'a str, _: Option<SystemTime>) -> BoxFuture<'a, StoreResult<bool>> {
        unreachable!("the audit changes nobody")
    }
    fn record<'a>(&'a self, events: &'a [Event]) -> BoxFuture<'a, StoreResult<()>> {
        let result = if self.broken.load(Ordering::Relaxed) {
            Err(StoreError::Unavailable("disk full".into()))
        } else {
            self.sizes.lock().unwrap().push(events.len());
            Ok(())
        };
        Box::pin(ready(result))
    }
    fn record_accounting<'a>(&'a self, accounted: &'a [Accounted]) -> BoxFuture<'a, StoreResult<()>> {
        if self.broken.load(Ordering::Relaxed) {
            return Box::pin(ready(Err(StoreError::Unavailable("disk full".into()))));
        }
        self.accounted.lock().unwrap().extend_from_slice(accounted);
        Box::pin(ready(Ok(())))
    }
}

/// Everything that was logged, as one text.
#[derive(Clone, Default)]
struct Captured(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Captured {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Captured {
    type Writer = Captured;
    fn make_writer(&'a self) -> Captured {
        self.clone()
    }
}

impl Captured {
    fn start(&self) -> tracing::subscriber::DefaultGuard {
        let subscriber = tracing_subscriber::fmt().with_writer(self.clone()).with_ansi(false).finish();
        tracing::subscriber::set_default(subscriber)
    }
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

fn event(name: &str, verdict: Verdict, reason: Reason) -> Event {
    Event {
        time: SystemTime::UNIX_EPOCH + Duration::from_micros(1_763_780_400_000_250),
        sign_in: SignInId::new([0xab; 12]),
        door: Door::Radius,
        client: "vpn".into(),
        application: "Company VPN".into(),
        name: name.into(),
        unique_id: Some("id-alice".into()),
        account: Some("alice".into()),
        source: Ipv4Addr::LOCALHOST.into(),
        person_address: None,
        method: Some(Method::Push),
        provider: Some("cloud".into()),
        primary: Some("passed"),
        factor: Some("approved"),
        verdict,
        reason,
        rule: Some("office".into()),
        earlier: None,
        requests: 1,
        steps: Steps {
            primary: Some(Duration::from_micros(1_234)),
            factor: Some(Duration::from_millis(3_000)),
            total: Duration::from_nanos(3_002_500_400),
            ..Steps::default()
        },
        server: "gate-1".into(),
    }
}

fn approved(name: &str) -> Event {
    event(name, Verdict::Accept, Reason::Approved)
}

fn audit(store: &Arc<Batches>, file: Option<&Path>) -> (Audit, Arc<Metrics>) {
    let metrics = Arc::new(Metrics::new(["vpn"]));
    let store: Arc<dyn Store> = Arc::clone(store) as _;
    (Audit::new(Arc::clone(&metrics), store, file.map(Path::to_path_buf)).unwrap(), metrics)
}

fn lines(path: &Path) -> Vec<serde_json::Value> {
    let text = std::fs::read_to_string(path).unwrap();
    text.lines().filter(|line| !line.is_empty()).map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn a_line_has_every_field_in_its_place() {
    let mut out = Vec::new();
    line::append(&mut out, &approved("ALICE"));
    assert_eq!(
        String::from_utf8(out).unwrap(),
        concat!(
            r#"{"time":"2025-11-22T03:00:00.000250Z","sign_in":"abababababababababababab","door":"radius","#,
            r#""client":"vpn","application":"Company VPN","name":"ALICE","unique_id":"id-alice","account":"alice","#,
            r#""source":"127.0.0.1","person_address":null,"method":"push","provider":"cloud","primary":"passed","#,
            r#""factor":"approved","verdict":"accept","reason":"approved","rule":"office","earlier":null,"requests":1,"#,
            r#""identify_ms":null,"primary_ms":1.234,"policy_ms":null,"factor_ms":3000.0,"total_ms":3002.5,"server":"gate-1"}"#,
            "\n"
        )
    );
}

#[test]
fn a_name_cannot_begin_a_line_of_its_own() {
    let evil = "a\n{\"verdict\":\"accept\"}\r\u{1b}[2J\u{0}\u{2028}\"";
    let mut out = Vec::new();
    line::append(&mut out, &approved(evil));
    let text = String::from_utf8(out).unwrap();
    assert_eq!(text.matches('\n').count(), 1);
    assert!(!text.chars().any(|character| character.is_control() && character != '\n'));
    let read: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(read["name"], evil);

    let captured = Captured::default();
    let guard = captured.start();
    log(&approved(evil));
    drop(guard);
    let text = captured.text();
    assert_eq!(text.matches('\n').count(), 1, "{text}");
    assert!(!text.contains('\u{1b}') && !text.contains('\r') && !text.contains('\0'), "{text:?}");
}

#[test]
fn an_exempted_accept_is_a_warning_and_others_are_not() {
    let captured = Captured::default();
    let guard = captured.start();
    log(&event("a", Verdict::Accept, Reason::ExemptUser));
    log(&event("b", Verdict::Accept, Reason::Approved));
    log(&event("c", Verdict::Reject, Reason::WrongPassword));
    drop(guard);
    let text = captured.text();
    let levels: Vec<&str> = text.lines().filter_map(|line| line.split_whitespace().nth(1)).collect();
    assert_eq!(levels, ["WARN", "INFO", "INFO"], "{text}");
    for part in ["sign_in=abababab", "client=\"vpn\"", "name=\"b\"", "verdict=\"accept\"", "total_ms=3002.5"] {
        assert!(text.contains(part), "{part} is missing in {text}");
    }
}

#[tokio::test]
async fn what_was_finished_is_in_file_and_store_after_a_flush() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.jsonl");
    let store = Arc::new(Batches::default());
    let (audit, metrics) = audit(&store, Some(&path));
    for number in 0..9_000 {
        audit.finish(approved(&number.to_string()));
    }
    audit.flush().await;
    assert_eq!(*store.sizes.lock().unwrap(), [4_096, 4_096, 808]);
    let written = lines(&path);
    assert_eq!(written.len(), 9_000);
    assert_eq!(written[8_999]["name"], "8999");
    let text = metrics.text();
    assert!(text.contains(r#"{client="vpn",verdict="accept",reason="approved"} 9000"#), "{text}");
    assert!(text.contains("anteroom_sign_in_duration_seconds_count 9000"));
    audit.flush().await;
}

#[tokio::test(start_paused = true)]
async fn without_a_flush_a_batch_is_written_after_a_moment() {
    let store = Arc::new(Batches::default());
    let (audit, _) = audit(&store, None);
    audit.finish(approved("a"));
    audit.finish(approved("b"));
    tokio::time::sleep(Duration::from_millis(40)).await;
    assert!(store.sizes.lock().unwrap().is_empty());
    tokio::time::sleep(Duration::from_millis(20)).await;
    assert_eq!(*store.sizes.lock().unwrap(), [2]);
}

#[tokio::test]
async fn dropping_the_audit_still_writes_what_was_finished() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.jsonl");
    let store = Arc::new(Batches::default());
    let (audit, _) = audit(&store, Some(&path));
    audit.finish(approved("last"));
    drop(audit);
    while store.sizes.lock().unwrap().is_empty() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(lines(&path).len(), 1);
}

#[tokio::test]
async fn a_failing_store_is_counted_once_reported_and_the_file_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.jsonl");
    let captured = Captured::default();
    let _guard = captured.start();
    let store = Arc::new(Batches::default());
    store.broken.store(true, Ordering::Relaxed);
    let (audit, metrics) = audit(&store, Some(&path));
    for _ in 0..3 {
        audit.finish(approved("a"));
        audit.flush().await;
    }
    assert_eq!(lines(&path).len(), 3);
    assert!(metrics.text().contains("anteroom_audit_lost_total{place=\"store\"} 3"));
    assert!(metrics.text().contains("anteroom_audit_lost_total{place=\"file\"} 0"));
    assert_eq!(captured.text().matches("could not be written to the store").count(), 1);
    store.broken.store(false, Ordering::Relaxed);
    audit.finish(approved("a"));
    audit.flush().await;
    assert_eq!(*store.sizes.lock().unwrap(), [1]);
}

#[tokio::test]
async fn a_failing_file_is_counted_and_the_store_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sub/audit.jsonl");
    std::fs::create_dir(folder.path().join("sub")).unwrap();
    let store = Arc::new(Batches::default());
    let (audit, metrics) = audit(&store, Some(&path));
    std::fs::remove_dir_all(folder.path().join("sub")).unwrap();
    audit.finish(approved("lost"));
    audit.flush().await;
    assert!(metrics.text().contains("anteroom_audit_lost_total{place=\"file\"} 1"));
    assert_eq!(*store.sizes.lock().unwrap(), [1]);
    std::fs::create_dir(folder.path().join("sub")).unwrap();
    audit.finish(approved("kept"));
    audit.flush().await;
    assert_eq!(lines(&path).len(), 1);
}

#[tokio::test]
async fn a_rotated_file_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let (path, rotated) = (folder.path().join("audit.jsonl"), folder.path().join("audit.jsonl.1"));
    let store = Arc::new(Batches::default());
    let (audit, _) = audit(&store, Some(&path));
    audit.finish(approved("before"));
    audit.flush().await;
    std::fs::rename(&path, &rotated).unwrap();
    audit.finish(approved("after"));
    audit.flush().await;
    assert_eq!(lines(&rotated)[0]["name"], "before");
    assert_eq!(lines(&path)[0]["name"], "after");
    audit.reopen();
    audit.finish(approved("again"));
    audit.flush().await;
    assert_eq!(lines(&path).len(), 2);
}

#[tokio::test]
async fn a_full_queue_loses_events_and_never_waits() {
    let store = Arc::new(Batches::default());
    let captured = Captured::default();
    let subscriber =
        tracing_subscriber::fmt().with_writer(captured.clone()).with_max_level(tracing::Level::ERROR).finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    let (audit, metrics) = audit(&store, None);
    // The writer shares this thread and gets no turn before the first await.
    for _ in 0..QUEUE + 7 {
        audit.finish(approved("a"));
    }
    assert!(metrics.text().contains("anteroom_audit_lost_total{place=\"queue\"} 7"));
    assert_eq!(captured.text().matches("audit events are lost").count(), 1);
    audit.flush().await;
    assert_eq!(store.sizes.lock().unwrap().iter().sum::<usize>(), QUEUE);
}

#[test]
fn a_file_that_cannot_be_opened_is_an_error_at_the_start() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let _guard = runtime.enter();
    let store: Arc<dyn Store> = Arc::new(Batches::default());
    assert!(Audit::new(Arc::new(Metrics::new([])), store, Some("/no/such/folder/audit.jsonl".into())).is_err());
}

fn report(session: &str) -> AccountingRecord {
    AccountingRecord {
        client: "vpn".into(),
        source: Ipv4Addr::LOCALHOST.into(),
        status: Some(2),
        session: session.into(),
        name: "alice".into(),
        octets_in: Some(u64::MAX),
        octets_out: None,
        session_time: Some(Duration::from_secs(61)),
    }
}

#[tokio::test]
async fn accounting_records_are_written_beside_sign_ins_and_told_apart_by_their_kind() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.jsonl");
    let store = Arc::new(Batches::default());
    let (audit, metrics) = audit(&store, Some(&path));
    assert!(audit.account(report("0\"\n1")));
    audit.finish(approved("alice"));
    audit.flush().await;
    let written = lines(&path);
    assert_eq!(written.len(), 2);
    assert_eq!((&written[0]["kind"], &written[0]["verdict"]), (&serde_json::Value::Null, &"accept".into()));
    let mut accounted = written[1].clone();
    let time = accounted.as_object_mut().unwrap().remove("time").unwrap();
    assert!(time.as_str().unwrap().parse::<jiff::Timestamp>().is_ok(), "{time}");
    let expected = serde_json::json!({
        "kind": "accounting", "client": "vpn", "source": "127.0.0.1", "status": "stop", "session": "0\"\n1",
        "name": "alice", "octets_in": u64::MAX, "octets_out": null, "session_seconds": 61
    });
    assert_eq!(accounted, expected);
    assert_eq!(store.accounted.lock().unwrap()[0].record, report("0\"\n1"));
    assert_eq!(*store.sizes.lock().unwrap(), [1]);

    store.broken.store(true, Ordering::Relaxed);
    assert!(audit.account(report("2")));
    audit.flush().await;
    assert!(metrics.text().contains("anteroom_audit_lost_total{place=\"store\"} 1"));
}

#[tokio::test]
async fn accounting_records_leave_half_of_the_queue_to_sign_ins() {
    let store = Arc::new(Batches::default());
    let (audit, metrics) = audit(&store, None);
    // The writer shares this thread and gets no turn before the first await.
    let taken = (0..QUEUE).filter(|number| audit.account(report(&number.to_string()))).count();
    assert_eq!(taken, QUEUE - FOR_SIGN_INS);
    for _ in 0..FOR_SIGN_INS {
        audit.finish(approved("a"));
    }
    assert!(metrics.text().contains("anteroom_audit_lost_total{place=\"queue\"} 0"));
    audit.flush().await;
    assert_eq!(store.accounted.lock().unwrap().len(), taken);
    assert_eq!(store.sizes.lock().unwrap().iter().sum::<usize>(), FOR_SIGN_INS);
}
