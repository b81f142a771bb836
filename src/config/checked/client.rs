//! `[[radius.client]]`.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::super::place::Path;
use super::super::values::{OneOrMany, When, Word};
use super::super::{
    AddressRange, AuthorizingTarget, Client, ClientPolicy, DirectoryTarget, LdapClient, Lenience, NumberMatching,
    OnDeadline, Passcode, Provider, RADSEC, RadiusClient, Requirement, Route, ServiceAccounts, Transport,
    UnreachableClass, UnreachableRule, written,
};
use super::gateway::typed;
use super::reply::Section;
use super::secrets::Spellings;
use super::{Checker, Named, word};
use crate::secret::Secret;

/// Shorter shared secrets can be guessed offline from one packet (RFC 2865 section 3 asks for 16 octets).
const SHORT_SECRET: usize = 16;

/// The providers of the file.
pub(super) type Providers = Named<Provider>;

impl Checker<'_> {
    pub(super) fn clients(
        &self,
        written: Vec<written::Client>,
        targets: &Named<DirectoryTarget>,
        authorizing: &BTreeMap<String, AuthorizingTarget>,
        providers: &Providers,
        replies: &[Section],
    ) -> Vec<Arc<RadiusClient>> {
        let at = Path::top("radius").key("client");
        let clients = written.into_iter().enumerate().filter_map(|(position, client)| {
            self.client(&at.index(position), client, (targets, authorizing), providers, replies).map(Arc::new)
        });
        clients.collect()
    }

    /// Two clients of one name could not be told apart, whatever else is wrong with them.
    pub(super) fn own_names(&self, doors: [(&str, &[Option<String>]); 2]) {
        let mut names: BTreeMap<&str, Path> = BTreeMap::new();
        for (door, clients) in doors {
            for (position, name) in clients.iter().enumerate() {
                let Some(name) = name else { continue };
                let at = Path::top(door).key("client").index(position);
                if let Some(earlier) = names.insert(name, at.clone()) {
                    let found = format!("found {name:?}, which {earlier} has, too");
                    self.wrong(&at.key("name"), found, "a name of its own");
                }
            }
        }
    }

    /// What only all clients together can get wrong.
    pub(super) fn check_together(
        &self,
        radius: &[Arc<RadiusClient>],
        ldap: &[Arc<LdapClient>],
        providers: &Providers,
        routes: &[Arc<Route>],
    ) {
        if radius.is_empty() && ldap.is_empty() {
            let what = "at least one [[radius.client]] or [[ldap.client]], or nobody can ask anything";
            self.wrong(&Path::top("radius").key("client"), "missing", what);
            return;
        }
        self.certificates_apart(radius);
        // Clients over TLS may share addresses: their certificates tell them apart.
        let owned = |client: &RadiusClient| if client.tls.is_some() { Vec::new() } else { client.addresses.clone() };
        let radius = radius.iter().map(|client| (&client.client, owned(client)));
        let ldap = ldap.iter().map(|client| (&client.client, client.addresses.clone()));
        let doors: [(&str, Vec<_>); 2] = [("radius", radius.collect()), ("ldap", ldap.collect())];
        for (door, clients) in &doors {
            let mut ranges: Vec<(AddressRange, &str)> = Vec::new();
            for (position, (client, addresses)) in clients.iter().enumerate() {
                let at = Path::top(door).key("client").index(position);
                for range in addresses {
                    if let Some((_, other)) = ranges.iter().find(|(known, _)| known == range) {
                        let found = format!("found {}, which is the address of client {other:?}, too", show(range));
                        self.wrong(&at.key("address"), found, "each range belongs to one client");
                    }
                }
                ranges.extend(addresses.iter().map(|range| (*range, client.name.as_str())));
            }
        }
        let all = || doors.iter().flat_map(|(_, clients)| clients);
        let by_clients = all().flat_map(|(client, _)| &client.providers);
        let used = by_clients.chain(routes.iter().flat_map(|route| &route.providers)).map(String::as_str);
        self.unused("provider", &providers.written, used);
    }

    pub(super) fn unused<'n>(
        &self,
        section: &str,
        names: &std::collections::BTreeSet<String>,
        used: impl Iterator<Item = &'n str>,
    ) {
        let used: Vec<&str> = used.collect();
        for name in names.iter().filter(|name| !used.contains(&name.as_str())) {
            self.warn(&Path::top(section).key(name), "no client uses it", "take it out, or name it in a client");
        }
    }

    fn client(
        &self,
        at: &Path,
        mut written: written::Client,
        (targets, authorizing): (&Named<DirectoryTarget>, &BTreeMap<String, AuthorizingTarget>),
        providers: &Providers,
        replies: &[Section],
    ) -> Option<RadiusClient> {
        let addresses = self.client_addresses(at, &mut written);
        let (tls, secret) = match word(written.transport.take(), Transport::Udp) {
            Transport::Tls => (Some(self.tls_client(at, &mut written)), Some(Secret::new(RADSEC.to_vec()))),
            Transport::Udp => {
                self.no_tls_client(at, &written);
                (None, self.shared_secret(at, &mut written))
            }
        };
        // What comes over TLS cannot be changed on the way, signed or not.
        let usual = if tls.is_some() { Requirement::No } else { Requirement::Yes };
        let requirement = word(written.require_message_authenticator.take(), usual);
        if requirement != Requirement::Yes && tls.is_none() {
            self.warn(
                &at.key("require_message_authenticator"),
                "unsigned requests of this client are answered (CVE-2024-3596)",
                "only for clients that cannot sign, over a network that nobody else can reach",
            );
        }
        let person_address =
            written.person_address.take().and_then(|text| self.person(&at.key("person_address"), &text));
        let always = self.reply_attributes(at, &mut written);
        // A spoiled key names an attribute, too.
        let knows_address = person_address.is_some() || self.is_spoiled(&at.key("person_address"));
        let challenge = self.challenge(at, &mut written);
        let texts = self.client_texts(&at.key("texts"), written.texts.take());
        let client = self.common_client(at, &mut written, knows_address, targets, providers);
        if let Some(message) = &written.reject_message {
            self.text_length(&at.key("reject_message"), message, 253);
        }
        let duplicate_window = self.duration(&at.key("duplicate_window"), written.duplicate_window, "30s", "1s", "5m");
        let packets = written.packets_per_second;
        let packets_per_second = self.count(&at.key("packets_per_second"), packets, 20_000, 1, 10_000_000);
        let hands_on = client.as_ref().is_some_and(|client| self.is_radius(&client.target));
        if hands_on && client.as_ref().is_some_and(|client| !client.policy.exempt_groups.is_empty()) {
            let allowed = "exempt_users, or a target that is a directory";
            self.wrong(&at.key("exempt_groups"), "its target is RADIUS servers, which know no groups", allowed);
        }
        let of_client = client.as_ref().and_then(|client| targets.found.get(&client.target));
        let winbind = of_client.and_then(|target| target.ms_chap.as_ref());
        let (checks_ms_chap, changes_passwords) = (winbind.is_some(), winbind.is_some_and(|winbind| winbind.changes));
        let accounting_target = self.accounting_target(at, written.accounting_target.take());
        let profile = (written.profile.map(|Word(profile)| profile), written.reconnect_within);
        // Only now, so that one mistake does not hide another.
        let client = client?;
        let reply = self.client_reply((&client.name, &client.target), &always, replies);
        // Where there are sections, they have these, too.
        let reply_attributes = always.into_iter().map(|(_, encoded)| encoded).filter(|_| reply.is_none()).collect();
        let mut client = Client { challenge, texts, reply, ..client };
        let authorize_only = self.gateway_client(at, &mut client, profile, authorizing);
        if client.challenge.is_none() && !authorize_only && !self.is_spoiled(&at.key("challenge")) {
            self.can_be_typed(at, &client, "challenge is \"no\"");
        }
        Some(RadiusClient {
            client: Arc::new(client),
            addresses,
            hands_on,
            checks_ms_chap,
            changes_passwords,
            secret: secret?,
            tls,
            require_message_authenticator: requirement,
            limit_proxy_state: word(written.limit_proxy_state, usual),
            duplicate_window,
            person_address,
            reply_attributes,
            reject_message: written.reject_message,
            packets_per_second,
            accounting_target,
            authorize_only,
            profile: self.places.profiled(at).cloned().map(Box::new),
        })
    }

    fn shared_secret(&self, at: &Path, written: &mut written::Client) -> Option<Secret> {
        let spellings = Spellings {
            literal: written.secret.take(),
            file: written.secret_file.take(),
            credential: written.secret_credential.take(),
            variable: written.secret_env.take(),
        };
        self.long_secret(at, spellings)
    }

    /// A secret of RADIUS, with a warning where it is short.
    pub(super) fn long_secret(&self, at: &Path, spellings: Spellings) -> Option<Secret> {
        let secret = self.secret(at, "secret", spellings)?;
        if secret.len() < SHORT_SECRET {
            let found = format!("has {} octets", secret.len());
            self.warn(&at.key("secret"), found, "take 16 or more: who sees one packet can guess a short one offline");
        }
        Some(secret)
    }

    /// Where a client's packets or connections come from.
    pub(super) fn client_addresses(&self, at: &Path, written: &mut written::Client) -> Vec<AddressRange> {
        let at = at.key("address");
        let given = written.address.take();
        if given.is_none() && !self.is_spoiled(&at) {
            self.wrong(&at, "missing", "where it asks from: an address, a CIDR block or a range");
        }
        let texts = self.filled_list(&at, given, "at least one address");
        self.ranges(&at, &texts.unwrap_or_default())
    }

    /// Tells where all ways to ask are codes that nobody can type, as `no_challenge` says why none is asked for.
    pub(super) fn can_be_typed(&self, at: &Path, client: &Client, no_challenge: &str) {
        let all = !client.methods.is_empty() && client.methods.iter().all(|method| typed(*method));
        if all && client.passcode.is_none() {
            let found = format!("names only codes that are typed, and nobody can type one: {no_challenge}");
            let what = "set passcode, so that the code stands behind the password, or name \"push\" or \"call\"";
            self.wrong(&at.key("methods"), found, what);
        }
    }

    /// What a client of every door has. `knows_address`: whether it is known where the person is.
    pub(super) fn common_client(
        &self,
        at: &Path,
        written: &mut written::Client,
        knows_address: bool,
        targets: &Named<DirectoryTarget>,
        providers: &Providers,
    ) -> Option<Client> {
        let name = self.required(&at.key("name"), written.name.take(), "a name for logs and metrics");
        if let Some(name) = &name {
            self.name(&at.key("name"), name);
        }
        let target = self.chosen(at, "target", written.target.take(), &targets.written);
        let ask = self.chosen_providers(at, written.provider.take(), &providers.written);
        let methods = self.methods(&at.key("methods"), written.methods.take());
        let policy = self.policy(at, written, knows_address);
        let application = written.application.take().or_else(|| name.clone()).unwrap_or_default();
        self.text_length(&at.key("application"), &application, 100);
        let passcode = written.passcode.take().and_then(|rule| self.passcode(&at.key("passcode"), rule));
        let time = |key: &str, given, usual, least| self.duration(&at.key(key), given, usual, least, "10m");
        let answer_within = time("answer_within", written.answer_within, "55s", "1s");
        let carry_over = time("carry_over", written.carry_over, "60s", "0s");
        let gives_up_after = time("gives_up_after", written.gives_up_after, "3s", "0s");
        let held = self.size(&at.key("held"), written.held, 10_000, 1, 10_000_000);
        // Only now, so that one mistake does not hide another.
        Some(Client {
            name: name?,
            application,
            target: target?,
            providers: ask?,
            methods,
            number_matching: word(written.number_matching, NumberMatching::Approve),
            answer_within,
            on_deadline: word(written.on_deadline, OnDeadline::Reject),
            carry_over,
            gives_up_after,
            held,
            passcode,
            // A door that has challenges says so itself.
            challenge: None,
            shows_texts: written.show_texts.take().unwrap_or(false),
            texts: None,
            reuse: None,
            reply: None,
            policy,
        })
    }

    fn passcode(&self, at: &Path, written: written::Passcode) -> Option<Passcode> {
        match (written.delimiter, written.length) {
            (Some(delimiter), None) => {
                if delimiter.is_empty() || delimiter.len() > 8 || delimiter.chars().any(|c| c.is_alphanumeric()) {
                    let allowed = "1 to 8 characters that are neither letters nor digits, such as \",\"";
                    self.wrong(&at.key("delimiter"), format!("found {delimiter:?}"), allowed);
                }
                Some(Passcode::Delimiter(delimiter))
            }
            (None, length @ Some(_)) => Some(Passcode::Length(self.size(&at.key("length"), length, 6, 4, 10))),
            _ => {
                self.wrong(at, "found neither or both", "{ delimiter = \",\" } or { length = 6 }");
                None
            }
        }
    }

    /// The target or provider of a client: named, or the only one there is.
    pub(super) fn chosen(
        &self,
        at: &Path,
        section: &str,
        given: Option<String>,
        written: &std::collections::BTreeSet<String>,
    ) -> Option<String> {
        let at = at.key(section);
        let all: Vec<&str> = written.iter().map(String::as_str).collect();
        match (given, all.as_slice()) {
            (Some(name), _) if written.contains(&name) => Some(name),
            (Some(name), []) => {
                self.wrong(&at, format!("found {name:?}"), format!("there is no [{section}.NAME] in this file"));
                None
            }
            (Some(name), all) => {
                let allowed = format!("allowed, as this file has them: {}", all.join(", "));
                self.wrong(&at, format!("found {name:?}, and there is no [{section}.{name}]"), allowed);
                None
            }
            (None, [only]) => Some((*only).to_owned()),
            // Told once, where the section should be.
            (None, []) => None,
            (None, all) => {
                self.wrong(&at, "missing", format!("there are several, name one of: {}", all.join(", ")));
                None
            }
        }
    }

    fn policy(&self, at: &Path, written: &mut written::Client, knows_address: bool) -> ClientPolicy {
        let networks_at = at.key("exempt_networks");
        let networks = self.list(&networks_at, written.exempt_networks.take()).unwrap_or_default();
        let exempt_networks = self.ranges(&networks_at, &networks);
        if !exempt_networks.is_empty() && !knows_address {
            self.wrong(
                &networks_at,
                "can never match, as no attribute says where the person is",
                "set person_address, for instance to \"Calling-Station-Id\"",
            );
        }
        let unknown_users = word(written.unknown_users, Lenience::Reject);
        if unknown_users == Lenience::PasswordOnly {
            let advice = "fine while people are being enrolled; set it back to \"reject\" afterwards";
            self.warn(&at.key("unknown_users"), "who is not enrolled comes in with the password alone", advice);
        }
        ClientPolicy {
            unknown_users,
            disabled_users: word(written.disabled_users, Lenience::Reject),
            exempt_users: self.list(&at.key("exempt_users"), written.exempt_users.take()).unwrap_or_default(),
            exempt_groups: self.groups(&at.key("exempt_groups"), written.exempt_groups.take()),
            exempt_networks,
            provider_unreachable: written.provider_unreachable.take().and_then(|rule| self.unreachable(at, rule)),
            provider_bypass: self.provider_bypass(at, written),
            service: ServiceAccounts::default(),
        }
    }

    fn provider_bypass(&self, at: &Path, written: &mut written::Client) -> Lenience {
        let bypass = word(written.provider_bypass.take(), Lenience::Reject);
        if bypass == Lenience::PasswordOnly {
            let advice = "whoever administers the provider then decides who needs no second factor";
            self.warn(
                &at.key("provider_bypass"),
                "whom the provider bypasses comes in with the password alone",
                advice,
            );
        }
        bypass
    }

    /// Distinguished names of groups.
    pub(super) fn groups(&self, at: &Path, given: Option<OneOrMany>) -> Vec<String> {
        let groups = self.list(at, given).unwrap_or_default();
        for (position, group) in groups.iter().enumerate() {
            if !group.contains('=') && !group.trim().is_empty() {
                let allowed = "the group's distinguished name, such as \"CN=VPN Service,OU=Groups,DC=corp,DC=example\"";
                self.wrong(&at.index(position), format!("found {group:?}"), allowed);
            }
        }
        groups
    }

    fn unreachable(&self, at: &Path, rule: written::Unreachable) -> Option<UnreachableRule> {
        let at = at.key("provider_unreachable");
        let classes: Vec<_> = rule.classes.unwrap_or_default().into_iter().map(|Word(class)| class).collect();
        if classes.is_empty() {
            let words = UnreachableClass::ALL.map(|class| format!("{:?}", class.word())).join(", ");
            self.wrong(&at.key("classes"), "found none", format!("allowed: one or more of {words}"));
        }
        let until = rule.until.map(|When(until)| until);
        let lasting = rule.r#for.map(|given| self.duration(&at.key("for"), Some(given), "1h", "1m", "7d"));
        if until.is_none() && lasting.is_none() {
            let allowed = "when it ends, such as \"2026-12-01T00:00:00Z\", or for how long into each outage it is good, \
                           as for = \"2h\": no rule for ever";
            self.wrong(&at.key("until"), "missing", allowed);
            return None;
        }
        if until.is_some_and(|until| until <= self.now) {
            self.warn(&at.key("until"), "is over", "the rule has no effect any more: take it out");
        } else {
            let found = "while the provider is away, the password alone is enough";
            self.warn(&at, found, "for an emergency; whoever can cut the line to the provider needs no second factor");
        }
        Some(UnreachableRule { classes, until, lasting })
    }
}

fn show(range: &AddressRange) -> String {
    if range.first == range.last { range.first.to_string() } else { format!("{}-{}", range.first, range.last) }
}
