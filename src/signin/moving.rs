//! Rounds that another node may go on with: sealed into the user database that the nodes share, and taken from there once.
//!
//! ```text
//! node 1: keep ─ pack ─ seal ─▶ database ─▶ take ─ open ─ unpack: node 2 goes on
//! ```
//!
//! What cannot be moved stays where it is: a prompt that is out, what a target said or a `[[reply]]` section gives, a gateway's connection. Its State
//! says so, and another node refuses it by that.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest as _, Sha256};

use crate::audit::Steps;
use crate::config::Client;
use crate::primary::{Identity, PrimaryPassed};
use crate::secret::Secret;
use crate::signin::attempt::{Attempt, Door, SignInId, Unusable};
use crate::signin::challenge::{Ask, Reference};
use crate::signin::ending::{Ending, Identified};
use crate::signin::flow::Trail;
use crate::signin::outcome::Reason;
use crate::signin::passcode::{Typed, Word};
use crate::signin::reception::{SignIns, now};
use crate::signin::rounds::{Earlier, Round, SoFar};
use crate::users::keys::KeyFile;
use crate::users::model::Method;
use crate::users::pins::PinPassed;
use crate::users::rounds::{SharedRounds, Taken, WaitingRound};
use crate::users::sealed::Sealed;

/// What rounds are sealed as.
const ROUND: &str = "round";

/// Rounds that are looked through at once for those that nobody has answered.
const MOST_OVER: u32 = 100;

/// Where rounds wait that any node may go on with.
pub struct Shared {
    /// The user database.
    pub store: Arc<dyn SharedRounds>,
    /// What seals them.
    pub keys: Arc<KeyFile>,
    /// 32 random octets that all nodes have.
    pub secret: [u8; 32],
    /// Every client that shows challenges, by its name.
    pub clients: BTreeMap<String, Arc<Client>>,
}

/// A round, as it is sealed.
#[derive(Serialize, Deserialize)]
struct Packed {
    sign_in: [u8; 12],
    client: String,
    name: String,
    unique_id: String,
    account: String,
    upn: Option<String>,
    dn: String,
    source: IpAddr,
    person_address: Option<IpAddr>,
    method: Option<Method>,
    provider: Option<Box<str>>,
    round: u8,
    steps: [Option<Duration>; 4],
    total: Duration,
    requests: u32,
    kept: Duration,
    ask: Ask,
    tries: u32,
    until: Duration,
    pin: bool,
    code: Option<Octets>,
    sent: Option<Method>,
    word: Option<(Vec<Method>, Option<u8>)>,
    new_pin: Option<Octets>,
    language: Box<str>,
    #[serde(default)]
    fell_back: bool,
}

/// Something typed, that is wiped when it is not needed any more.
struct Octets(Secret);

impl Serialize for Octets {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.open().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Octets {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Vec::deserialize(deserializer).map(|octets| Octets(Secret::new(octets)))
    }
}

fn since_epoch(time: SystemTime) -> Duration {
    time.duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// Whether another node could go on with a sign-in.
pub(super) fn can_move(ending: &Ending) -> bool {
    let (Some(attempt), Some(round)) = (ending.attempt(), &ending.round) else { return false };
    let asks =
        matches!(round.ask, Ask::Code { .. } | Ask::Menu(_) | Ask::Pin | Ask::NewPin | Ask::RepeatPin | Ask::NextCode);
    asks && round.prompting.is_none()
        && round.primary.said().is_none()
        && attempt.connection.is_none()
        && attempt.door == Door::Radius
}

fn pack(ending: &Ending) -> Option<Packed> {
    let (attempt, round, who) = (ending.attempt()?, ending.round.as_deref()?, &ending.identified.as_ref()?.who);
    let left = round.earlier.until.saturating_duration_since(now());
    let (trail, typed) = (&ending.trail, round.so_far.typed.as_ref());
    let steps = trail.taken.steps(trail.taken.earlier.time().unwrap_or_default());
    let octets = |secret: &Secret| Octets(secret.duplicate());
    let word = |word: &Word| (word.methods.to_vec(), word.device);
    Some(Packed {
        sign_in: *attempt.id.octets(),
        client: attempt.client.name.clone(),
        name: attempt.name.clone().into(),
        unique_id: who.unique_id.clone(),
        account: who.name.clone(),
        upn: who.upn.clone(),
        dn: who.dn.clone(),
        source: attempt.source,
        person_address: attempt.person_address,
        method: trail.method,
        provider: trail.provider.clone(),
        round: trail.round,
        steps: [steps.identify, steps.primary, steps.policy, steps.factor],
        total: steps.total,
        requests: round.requests,
        kept: since_epoch(SystemTime::now()),
        ask: round.ask.clone(),
        tries: round.earlier.tries,
        until: since_epoch(SystemTime::now()).saturating_add(left),
        pin: round.earlier.pin.is_some(),
        code: typed.and_then(Typed::code).map(octets),
        sent: typed.and_then(|typed| if let Typed::Sent(_, way) = typed { Some(*way) } else { None }),
        word: typed.and_then(|typed| if let Typed::Word(typed) = typed { Some(word(typed)) } else { None }),
        new_pin: round.so_far.new_pin.as_ref().map(octets),
        language: round.language.clone(),
        fell_back: trail.fell_back,
    })
}

/// What stands for client and name: under these alone a round is taken.
fn holder(client: &str, name: &str) -> String {
    let mut digest = Sha256::new();
    digest.update((client.len() as u64).to_be_bytes());
    digest.update(client.as_bytes());
    digest.update(name.as_bytes());
    digest.finalize().iter().map(|octet| format!("{octet:02x}")).collect()
}

fn text(reference: Reference) -> String {
    reference.octets().iter().map(|octet| format!("{octet:02x}")).collect()
}

/// Puts a sign-in where every node finds it. `false`: it stays here.
///
/// # Errors
/// The person has too many.
pub(super) async fn keep(shared: &Shared, ending: &Ending, reference: Reference, most: usize) -> Result<bool, Reason> {
    let (Some(packed), true) = (pack(ending), can_move(ending)) else { return Ok(false) };
    let reference = text(reference);
    let mut octets = Vec::with_capacity(4096);
    let written = serde_json::to_writer(&mut octets, &packed);
    let secret = Secret::new(octets);
    let sealed = written.ok().and_then(|()| shared.keys.seal(ROUND, &[&reference], &secret).ok());
    let Some(sealed) = sealed else {
        tracing::error!("a round cannot be sealed: it stays on this node");
        return Ok(false);
    };
    let until = UNIX_EPOCH.checked_add(packed.until).unwrap_or(UNIX_EPOCH);
    let holder = holder(&packed.client, &packed.name);
    let round = WaitingRound { reference, holder, unique_id: packed.unique_id, sealed, until };
    let most = u32::try_from(most).unwrap_or(u32::MAX);
    match shared.store.keep_round(&round, most, SystemTime::now()).await {
        Ok(true) => Ok(true),
        Ok(false) => Err(Reason::OverHeldPerson),
        Err(error) => {
            tracing::warn!(%error, "a round cannot be shared: it stays on this node");
            Ok(false)
        }
    }
}

/// Whether a round still waits; one that nobody can ask about does not.
pub(super) async fn waits(shared: &Shared, reference: Reference) -> bool {
    shared.store.round_waits(&text(reference), SystemTime::now()).await.unwrap_or(false)
}

/// Takes the sign-in of a State that was given out by any node; nobody else gets it after this.
///
/// # Errors
/// Why there is none.
pub(super) async fn take(
    sign_ins: &Arc<SignIns>,
    shared: &Shared,
    reference: Reference,
    attempt: &Attempt,
) -> Result<Ending, Reason> {
    let reference = text(reference);
    let holder = holder(&attempt.client.name, &attempt.name);
    let taken = shared.store.take_round(&reference, &holder, SystemTime::now()).await.map_err(|error| {
        tracing::error!(%error, "a round cannot be taken");
        Reason::StoreUnavailable
    })?;
    match taken {
        Taken::Gone => Err(Reason::StateUsed),
        Taken::Foreign => Err(Reason::StateForeign),
        Taken::Ours(sealed) => {
            open(sign_ins, shared, &reference, &sealed, Some(&attempt.client)).ok_or(Reason::StateUsed)
        }
    }
}

/// The sign-ins whose challenge nobody has answered in time, at whichever node it was given out.
pub(super) async fn over(sign_ins: &Arc<SignIns>, shared: &Shared) -> Vec<Ending> {
    match shared.store.rounds_over(SystemTime::now(), MOST_OVER).await {
        Ok(over) => {
            over.iter().filter_map(|(reference, sealed)| open(sign_ins, shared, reference, sealed, None)).collect()
        }
        Err(error) => {
            tracing::warn!(%error, "rounds that nobody has answered cannot be looked for");
            Vec::new()
        }
    }
}

fn open(
    sign_ins: &Arc<SignIns>,
    shared: &Shared,
    reference: &str,
    sealed: &Sealed,
    by: Option<&Arc<Client>>,
) -> Option<Ending> {
    let opened = shared.keys.open_sealed(ROUND, &[reference], sealed);
    let secret = opened.map_err(|error| tracing::error!(%error, "a round cannot be opened")).ok()?;
    let packed: Packed = serde_json::from_slice(secret.open()).ok()?;
    if by.is_some() && packed.until <= since_epoch(SystemTime::now()) {
        return None;
    }
    let client = match by {
        Some(client) if client.name == packed.client => Arc::clone(client),
        Some(_) => return None,
        None => Arc::clone(shared.clients.get(&packed.client)?),
    };
    Some(unpack(sign_ins, packed, client, reference))
}

fn unpack(sign_ins: &Arc<SignIns>, packed: Packed, client: Arc<Client>, reference: &str) -> Ending {
    let who = Arc::new(Identity {
        unique_id: packed.unique_id,
        name: packed.account,
        upn: packed.upn,
        dn: packed.dn,
        remembered: false,
        details: None,
    });
    let attempt = Attempt {
        id: SignInId::new(packed.sign_in),
        door: Door::Radius,
        client,
        name: packed.name.into(),
        credential: Err(Unusable::NoPassword),
        onward: None,
        source: packed.source,
        person_address: packed.person_address,
        station: None,
        state: None,
        connection: None,
        through: None,
        received: now(),
    };
    // An approval that is kept here under this is found by nobody else.
    let key = sign_ins.pending.round_key(&attempt, reference.as_bytes(), &[]);
    let mut ending = Ending::new(sign_ins, attempt);
    let [identify, primary, policy, factor] = packed.steps;
    ending.trail = Trail {
        primary: Some(Ok(())),
        method: packed.method,
        provider: packed.provider,
        round: packed.round,
        fell_back: packed.fell_back,
        taken: Steps { identify, primary, policy, factor, total: packed.total }.into(),
        ..Trail::default()
    };
    let earlier = Earlier {
        tries: packed.tries,
        until: instant(packed.until),
        pin: packed.pin.then(|| PinPassed::again(&who.unique_id)),
    };
    let typed = match (packed.code, packed.sent, packed.word) {
        (Some(code), Some(way), _) => Some(Typed::Sent(code.0, way)),
        (Some(code), None, _) => Some(Typed::Code(code.0)),
        (None, _, Some((methods, device))) => Word::again(&methods, device).map(Typed::Word),
        (None, _, None) => None,
    };
    ending.round = Some(Box::new(Round {
        primary: PrimaryPassed::again(&who),
        ask: packed.ask,
        earlier,
        so_far: SoFar { typed, new_pin: packed.new_pin.map(|pin| pin.0) },
        prompting: None,
        language: packed.language,
        kept: now().checked_sub(since_epoch(SystemTime::now()).saturating_sub(packed.kept)).unwrap_or_else(now),
        requests: packed.requests,
    }));
    ending.identified = Some(Identified { who, key });
    ending
}

/// A time of the wall's clock on this process's.
fn instant(time: Duration) -> Instant {
    now().checked_add(time.saturating_sub(since_epoch(SystemTime::now()))).unwrap_or_else(now)
}
