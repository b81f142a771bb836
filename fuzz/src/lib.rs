//! What the targets of the RADIUS doors share: one configured client, and the shape of their input.

use std::net::SocketAddr;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use anteroom::config::import::{
    DisabledAccounts, EnabledRule, Import, ImportItem, ImportScope, Incremental, Leavers, MailRule, Preset,
};
use anteroom::config::{AddressRange, Client, ClientPolicy, OnDeadline, PersonAddress, RadiusClient, Requirement};
use anteroom::import::preset::attributes;
use anteroom::radius::attribute::{AddressForm, MESSAGE_AUTHENTICATOR};
use anteroom::radius::authenticator::ClientKey;
use anteroom::radius::clients::Clients;
use anteroom::radius::door::Shared;
use anteroom::radius::packet::{Code, Packet};
use anteroom::secret::Secret;
use anteroom::users::model::{Method, Mode};

/// The secret of the RFCs' own examples, so that `tests/vectors` are authentic here.
pub const SECRET: &[u8] = b"xyzzy5461";

/// The client's secret, ready to verify and to sign.
pub static KEY: LazyLock<ClientKey> = LazyLock::new(|| ClientKey::new(Secret::new(SECRET.to_vec())));

/// Where every datagram comes from.
pub fn peer() -> SocketAddr {
    SocketAddr::from(([192, 0, 2, 1], 1812))
}

/// What the doors share, with one client.
pub fn shared(start: Instant) -> Arc<Shared> {
    let client = Client {
        name: "vpn".into(),
        application: "VPN".into(),
        target: "corp".into(),
        providers: vec!["phone".into()],
        methods: Vec::new(),
        number_matching: Default::default(),
        answer_within: Duration::from_secs(55),
        on_deadline: OnDeadline::Reject,
        carry_over: Duration::from_secs(30),
        gives_up_after: Duration::from_secs(2),
        passcode: None,
        challenge: None,
        shows_texts: false,
        texts: None,
        reuse: None,
        reply: None,
        held: 1000,
        policy: ClientPolicy::default(),
    };
    let client = RadiusClient {
        client: Arc::new(client),
        addresses: vec![AddressRange { first: peer().ip(), last: peer().ip() }],
        secret: Secret::new(SECRET.to_vec()),
        tls: None,
        require_message_authenticator: Requirement::Auto,
        limit_proxy_state: Requirement::Auto,
        duplicate_window: Duration::from_secs(5),
        hands_on: false,
        person_address: Some((PersonAddress { vendor: Some(12356), number: 2 }, AddressForm::Binary)),
        reply_attributes: Vec::new(),
        reject_message: Some("Access denied.".into()),
        packets_per_second: 1_000_000,
        accounting_target: None,
        checks_ms_chap: false,
        changes_passwords: false,
        authorize_only: false,
        profile: None,
    };
    Arc::new(Shared::new(Clients::new(&[Arc::new(client)], start).expect("the replies fit"), start))
}

/// The datagrams of an input: for each a length of two octets, an octet of flags, the datagram.
pub fn datagrams(mut input: &[u8]) -> impl Iterator<Item = (u8, Vec<u8>)> {
    std::iter::from_fn(move || {
        let (&[high, low, flags], tail) = input.split_first_chunk::<3>()?;
        let (datagram, tail) = tail.split_at(usize::from(u16::from_be_bytes([high, low])).min(tail.len()));
        input = tail;
        Some((flags, datagram.to_vec()))
    })
}

/// A reply is a packet of the right kind, with its signature first.
pub fn check_reply(reply: &[u8], code: Code) {
    let packet = Packet::decode(reply).expect("our own reply is a packet");
    assert_eq!(packet.code(), code);
    assert_eq!(packet.attributes().next().map(|attribute| attribute.number), Some(MESSAGE_AUTHENTICATOR));
}

/// An import of one unit of an Active Directory.
pub fn import() -> Import {
    let item = ImportItem {
        name: "staff".into(),
        target: "corp".into(),
        scope: ImportScope::Ou { dn: "OU=People,DC=corp".into(), subtree: true },
        filter: None,
        preset: Preset::Ad,
        attributes: attributes(Preset::Ad),
        add: true,
        update: true,
        leavers: Leavers::Disable,
        disabled_accounts: DisabledAccounts::Disable,
        method: Method::Push,
        mode: Mode::Standard,
        language: "en".into(),
        enabled: EnabledRule::All,
        mail: MailRule::None,
        follow_referrals: false,
    };
    Import {
        interval: None,
        incremental: Incremental::Auto,
        full_every: Duration::from_secs(86_400),
        stop_above: 5,
        stop_above_percent: None,
        quarantine: Duration::from_secs(86_400),
        region: Some("US".into()),
        patience: Duration::from_secs(60),
        page: 1000,
        items: vec![item],
    }
}
