//! Every order in which directory, phone, client, deadline and shutdown can speak, in virtual time.

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Poll;
use std::time::Duration;

use anteroom::config::{Anonymous, ClientPolicy, LdapClient, LdapLimits, Sasl, ServerUrl};
use anteroom::factor::Answer;
use anteroom::ldap::bind::{write_bind_request, write_bind_response};
use anteroom::ldap::message::{Envelope, LARGE_FRAME, SMALL_FRAME, next_frame, op};
use anteroom::ldap::pool::Wire;
use anteroom::ldap::relay::{Behind, Event, Link, Surroundings};
use anteroom::ldap::result::{LdapResult, code, write_unbind};
use anteroom::ldap::session::{Rules, Session};
use anteroom::primary::{Fault, Finding, IdentifyError, Identity, Primary};
use anteroom::secret::Secret;
use bytes::BytesMut;
use futures_util::future::BoxFuture;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::time::{Instant, sleep, sleep_until};

use crate::support::fakes::{self, House, Told};

/// The client's `answer_within`, in seconds.
const DEADLINE: u64 = 10;

/// A directory that accepts each bind after a while.
struct Slow {
    bind: Duration,
}

impl Primary for Slow {
    fn identify<'a>(&'a self, _: &'a str, _: std::time::Instant) -> BoxFuture<'a, Result<Identity, IdentifyError>> {
        Box::pin(async { Ok(fakes::alice()) })
    }

    fn try_password<'a>(&'a self, _: &'a Identity, _: &'a Secret, _: std::time::Instant) -> BoxFuture<'a, Finding> {
        panic!("passwords are tried on the client's own connection");
    }

    fn member_of_any<'a>(
        &'a self,
        _: &'a Identity,
        _: &'a [String],
        _: std::time::Instant,
    ) -> BoxFuture<'a, Result<bool, Fault>> {
        Box::pin(async { Ok(false) })
    }
}

impl Behind for Slow {
    fn connect<'a>(
        &'a self,
        _: &'a mut Vec<ServerUrl>,
        _: std::time::Instant,
    ) -> BoxFuture<'a, Result<Box<dyn Wire>, Fault>> {
        let (ours, theirs) = tokio::io::duplex(1 << 16);
        tokio::spawn(answer_binds(theirs, self.bind));
        Box::pin(async { Ok(Box::new(ours) as Box<dyn Wire>) })
    }
}

async fn answer_binds(mut stream: DuplexStream, after: Duration) {
    let mut input = BytesMut::new();
    loop {
        while let Some(frame) = next_frame(&mut input, SMALL_FRAME).unwrap() {
            let envelope = Envelope::read(&frame).unwrap();
            assert_eq!(envelope.op_tag, op::BIND_REQUEST, "nothing else is sent while a bind is held");
            sleep(after).await;
            let mut out = Vec::new();
            write_bind_response(&mut out, envelope.message_id, code::SUCCESS, "");
            if stream.write_all(&out).await.is_err() {
                return;
            }
        }
        if !matches!(stream.read_buf(&mut input).await, Ok(octets) if octets > 0) {
            return;
        }
    }
}

/// What happens besides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Besides {
    Nothing,
    Close,
    Unbind,
    Rebind,
    Stop,
}

/// What a client heard: message id (0: the notice), code, and when, in seconds.
type Heard = (u32, u32, u64);

struct Played {
    heard: Vec<Heard>,
    prompts: usize,
    cancelled: usize,
    events: usize,
}

/// A client's end of a connection, and the door's.
pub(super) fn connection(house: &House, behind: Arc<dyn Behind>, policy: ClientPolicy) -> (DuplexStream, Link) {
    let mut client = Arc::into_inner(fakes::client(policy)).unwrap();
    client.answer_within = Duration::from_secs(DEADLINE);
    client.carry_over = Duration::ZERO;
    let minute = Duration::from_secs(60);
    let limits = LdapLimits {
        max_message: 1 << 20,
        max_message_before_bind: 1 << 16,
        max_depth: 48,
        connections: 10,
        outstanding: 10,
        first_message_within: minute,
        idle: minute,
        buffered: 1 << 16,
        send_within: minute,
    };
    let config = Arc::new(LdapClient {
        client: Arc::new(client),
        addresses: Vec::new(),
        plaintext: false,
        anonymous: Anonymous::Refuse,
        sasl: Sasl::Refuse,
        explain_refusals: false,
        connections: 10,
    });
    let rules = Rules { plaintext: false, anonymous: Anonymous::Allow, sasl: Sasl::Refuse, start_tls: false, limits };
    let (near, far) = tokio::io::duplex(1 << 16);
    let surroundings = Arc::new(Surroundings { sign_ins: house.sign_ins.clone() });
    let source = "192.0.2.1".parse().unwrap();
    let link = Link::new(surroundings, config, behind, source, Box::new(far), Session::new(rules, true));
    (near, link)
}

async fn play(directory: u64, phone: u64, at: u64, besides: Besides) -> Played {
    let start = Instant::now();
    let mut factor = fakes::factor(Told::Says(Answer::Approved));
    factor.delay = Duration::from_secs(phone);
    let house = House::new(fakes::right(), factor, fakes::enrolled());
    let (mut near, link) =
        connection(&house, Arc::new(Slow { bind: Duration::from_secs(directory) }), ClientPolicy::default());
    let stop = (besides == Besides::Stop).then_some(start + Duration::from_secs(at));
    let served = tokio::spawn(serve(link, stop));

    let bind = |id| {
        let mut out = Vec::new();
        write_bind_request(&mut out, id, b"alice", b"right-password");
        out
    };
    near.write_all(&bind(1)).await.unwrap();
    let mut heard = Vec::new();
    let mut input = BytesMut::new();
    let disturbance = sleep_until(start + Duration::from_secs(at));
    tokio::pin!(disturbance);
    let mut disturbed = false;
    let end = start + Duration::from_secs(100);
    loop {
        while let Some(frame) = next_frame(&mut input, LARGE_FRAME).unwrap() {
            let envelope = Envelope::read(&frame).unwrap();
            let result = LdapResult::read(&mut envelope.operation(&frame)).unwrap();
            heard.push((envelope.message_id, result.code, start.elapsed().as_secs()));
        }
        tokio::select! {
            biased;
            () = &mut disturbance, if !disturbed => {
                disturbed = true;
                match besides {
                    Besides::Nothing | Besides::Stop => {}
                    Besides::Close => break,
                    Besides::Unbind => {
                        let mut out = Vec::new();
                        write_unbind(&mut out, 2);
                        near.write_all(&out).await.unwrap();
                    }
                    Besides::Rebind => near.write_all(&bind(2)).await.unwrap(),
                }
            }
            read = near.read_buf(&mut input) => {
                if !matches!(read, Ok(octets) if octets > 0) {
                    break;
                }
            }
            () = sleep_until(end) => break,
        }
    }
    drop(near);
    served.await.unwrap();
    house.sign_ins.drain(Duration::from_secs(60)).await;
    Played {
        heard,
        prompts: house.factor.prompts.load(Ordering::SeqCst),
        cancelled: house.factor.cancelled.load(Ordering::SeqCst),
        events: house.events(),
    }
}

/// What the listener does with a connection.
pub(super) async fn serve(mut link: Link, stop: Option<Instant>) {
    let far = Instant::now() + Duration::from_secs(100_000);
    let stopping = sleep_until(stop.unwrap_or(far));
    let timer = sleep_until(link.next_look());
    tokio::pin!(stopping, timer);
    let mut stopped = false;
    loop {
        let event = poll_fn(|context| {
            if !stopped && stopping.as_mut().poll(context).is_ready() {
                stopped = true;
                link.stop();
            }
            if let Poll::Ready(event) = link.poll(context) {
                return Poll::Ready(Some(event));
            }
            timer.as_mut().poll(context).map(|()| None)
        });
        let ended = match event.await {
            Some(Event::End(last_words)) => Some(last_words),
            Some(Event::StartTls) => panic!("nobody asked for TLS"),
            Some(Event::Shed(cause)) => Some(cause.notice()),
            None => match link.look(Instant::now()) {
                Some(Event::End(last_words)) => Some(last_words),
                Some(Event::Shed(cause)) => Some(cause.notice()),
                _ => None,
            },
        };
        if let Some(last_words) = ended {
            return link.finish(last_words).await;
        }
        timer.as_mut().reset(link.next_look().max(Instant::now() + Duration::from_millis(1)));
    }
}

/// The answer to a bind that begins at `begin`: its code, and when it leaves.
fn answer(begin: u64, directory: u64, phone: u64) -> (u32, u64) {
    if directory >= DEADLINE {
        (code::UNAVAILABLE, begin + DEADLINE)
    } else if directory + phone >= DEADLINE {
        (code::INVALID_CREDENTIALS, begin + DEADLINE)
    } else {
        (code::SUCCESS, begin + directory + phone)
    }
}

#[tokio::test(start_paused = true)]
async fn whoever_speaks_first_the_answer_is_the_right_one_and_no_prompt_is_left_open() {
    let mut played = 0;
    for directory in [0, 3, 12] {
        for phone in [1, 4, 12] {
            for at in [2, 5, 8, 11] {
                for besides in [Besides::Nothing, Besides::Close, Besides::Unbind, Besides::Rebind, Besides::Stop] {
                    let story = format!("directory {directory} s, phone {phone} s, {besides:?} at {at} s");
                    let Played { heard, prompts, cancelled, events } = play(directory, phone, at, besides).await;
                    let (first, when) = answer(0, directory, phone);
                    let answered = when <= at;
                    let prompted = directory < if answered { DEADLINE } else { at.min(DEADLINE) };
                    let expected: Vec<Heard> = match besides {
                        Besides::Nothing => vec![(1, first, when)],
                        // A bind that is held is answered while the server stops; then the notice comes.
                        Besides::Stop => vec![(1, first, when), (0, code::UNAVAILABLE, at.max(when))],
                        Besides::Close | Besides::Unbind if answered => vec![(1, first, when)],
                        Besides::Close | Besides::Unbind => vec![],
                        Besides::Rebind => {
                            let (second, later) = answer(at, directory, phone);
                            let first = if answered { (1, first, when) } else { (1, code::OPERATIONS_ERROR, at) };
                            vec![first, (2, second, later)]
                        }
                    };
                    let mut heard = heard;
                    if besides != Besides::Stop {
                        heard.retain(|(id, ..)| *id != 0);
                    }
                    assert_eq!(heard, expected, "{story}");
                    let mut expected_prompts = usize::from(match besides {
                        Besides::Nothing | Besides::Stop => directory < DEADLINE,
                        _ => prompted,
                    });
                    if besides == Besides::Rebind {
                        expected_prompts += usize::from(directory < DEADLINE);
                    }
                    assert_eq!(prompts, expected_prompts, "prompts: {story}");
                    let successes = heard.iter().filter(|(id, code, _)| *id != 0 && *code == code::SUCCESS).count();
                    assert_eq!(prompts, successes + cancelled, "each prompt is answered or cancelled: {story}");
                    assert_eq!(events, 1 + usize::from(besides == Besides::Rebind), "one event each: {story}");
                    played += 1;
                }
            }
        }
    }
    assert_eq!(played, 3 * 3 * 4 * 5);
}
