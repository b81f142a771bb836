//! How a sign-in ends: verdict and reason; the outside and the inside voice.
//!
//! The client hears the [`Verdict`] only: what it sees for a wrong password, an unknown user, a blocked user
//! and a denied prompt is the same. The audit, the log, the metrics and the admin hear the [`Reason`].

use std::fmt;

use crate::signin::challenge::Challenge;
pub use crate::signin::proof::Accept;
use crate::signin::proof::SecondPassed;

/// The outside voice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// Come in.
    Accept,
    /// Stay out.
    Reject,
    /// Say more first: no end of a sign-in.
    Challenge,
    /// No answer at all.
    Discard,
}

impl Verdict {
    /// The word in logs, metrics and audit events.
    pub fn word(self) -> &'static str {
        match self {
            Verdict::Accept => "accept",
            Verdict::Reject => "reject",
            Verdict::Challenge => "challenge",
            Verdict::Discard => "discard",
        }
    }
}

/// The end of a sign-in.
#[derive(Debug)]
#[must_use]
pub enum Outcome {
    /// Both proofs were given.
    Accept(Accept),
    /// They were not.
    Reject(Reason),
    /// They were not, and the person is to read what they can do; only through a client that shows texts.
    Explained {
        /// As of [`Outcome::Reject`].
        reason: Reason,
        /// What the person is to read: at most 253 octets, without control characters.
        text: Box<str>,
    },
    /// The person is to say more first. No end: the sign-in leaves its event with its last round.
    Challenge(Box<Challenge>),
    /// They were not, and the client shall hear nothing.
    Discard(Reason),
}

impl Outcome {
    /// What the client hears.
    pub fn verdict(&self) -> Verdict {
        match self {
            Outcome::Accept(_) => Verdict::Accept,
            Outcome::Reject(_) | Outcome::Explained { .. } => Verdict::Reject,
            Outcome::Challenge(_) => Verdict::Challenge,
            Outcome::Discard(_) => Verdict::Discard,
        }
    }

    /// Whether nothing was decided (no room, stopping): the same request may be tried again. Any other silence stays.
    pub fn is_undecided(&self) -> bool {
        matches!(self, Outcome::Discard(Reason::Overloaded | Reason::ShuttingDown))
    }

    /// What the admin hears.
    pub fn reason(&self) -> Reason {
        match self {
            Outcome::Accept(accept) => match accept.second() {
                SecondPassed::Approved(_) => Reason::Approved,
                SecondPassed::Exempt(exempted) => Reason::from_exemption(exempted.rule()),
            },
            Outcome::Challenge(_) => Reason::Challenged,
            Outcome::Reject(reason) | Outcome::Explained { reason, .. } | Outcome::Discard(reason) => *reason,
        }
    }

    /// What the person is to read.
    pub fn text(&self) -> Option<&str> {
        match self {
            Outcome::Explained { text, .. } => Some(text),
            Outcome::Challenge(challenge) => Some(&challenge.text),
            Outcome::Accept(_) | Outcome::Reject(_) | Outcome::Discard(_) => None,
        }
    }
}

/// Declares the reasons once: variant, code, and what an admin can do about it.
macro_rules! reasons {
    ($($(#[$doc:meta])* $variant:ident = $code:literal, $advice:literal;)*) => {
        /// Why a sign-in ended as it did. The audit row, the log line and the metric label use the same code.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Reason {
            $($(#[$doc])* $variant,)*
        }

        impl Reason {
            /// Every reason.
            pub const ALL: &'static [Reason] = &[$(Reason::$variant),*];

            /// The code in the audit, the log, the metrics and the documentation.
            pub fn code(self) -> &'static str {
                match self { $(Reason::$variant => $code,)* }
            }

            /// What it means and what an admin can do.
            pub fn advice(self) -> &'static str {
                match self { $(Reason::$variant => $advice,)* }
            }
        }
    };
}

reasons! {
    /// Password right, prompt approved.
    Approved = "approved", "the password was right and the prompt was approved";
    /// [`crate::signin::policy::Exemption::ExemptUser`].
    ExemptUser = "exempt_user", "let in without a second factor: the client's exempt_users names the account";
    /// [`crate::signin::policy::Exemption::ExemptGroup`].
    ExemptGroup = "exempt_group", "let in without a second factor: member of one of the client's exempt_groups";
    /// [`crate::signin::policy::Exemption::ExemptNetwork`].
    ExemptNetwork = "exempt_network", "let in without a second factor: the person's address is in exempt_networks";
    /// [`crate::signin::policy::Exemption::NotEnrolled`].
    NotEnrolledExempt = "not_enrolled_exempt", "let in without a second factor: not in the user store, and the client says unknown_users = \"password_only\"";
    /// [`crate::signin::policy::Exemption::UserDisabled`].
    UserDisabledExempt = "user_disabled_exempt", "let in without a second factor: disabled in the user store, and the client says disabled_users = \"password_only\"";
    /// [`crate::signin::policy::Exemption::ProviderUnreachable`].
    ProviderUnreachableExempt = "provider_unreachable_exempt", "let in without a second factor: the provider cannot be reached and the client's provider_unreachable rule covers it";
    /// [`crate::signin::policy::Exemption::ProviderBypass`].
    ProviderBypassExempt = "provider_bypass_exempt", "let in without a second factor: the provider would not ask them, and the client says provider_bypass = \"password_only\"";
    /// [`crate::signin::policy::Exemption::ServiceAccount`].
    ServiceAccount = "service_account", "let in without a second factor: the client's section says that a program signs in with this account";
    /// [`crate::signin::policy::Exemption::RememberedApproval`].
    RememberedApproval = "remembered_approval", "let in without a new prompt: the person approved a moment ago from the same address, and the client's reuse covers it";
    /// [`crate::signin::policy::Exemption::CachedApproval`].
    CachedApproval = "cached_approval", "let in without a new prompt: a [[caching]] rule, which the event names, lets the approval of an earlier sign-in stand for this one";
    /// [`crate::signin::policy::Exemption::Rule`].
    RuleSkipped = "rule_skipped", "let in without a second factor: a [[rule]] that skips it fits; the event names it";
    /// [`crate::signin::policy::Exemption::OneTimeBypass`].
    OneTimeBypass = "one_time_bypass", "let in without a second factor, once: the help desk gave a one-time bypass; `anteroom report bypasses`";
    /// A SASL bind that was passed on.
    SaslRelayed = "sasl_relayed", "let in without a second factor: the client's section says sasl = \"relay\", so that the directory alone judged; who it was stands in the directory's log";
    /// No password that we can check.
    NoPassword = "no_password", "the request carries no User-Password; set the client to PAP, or give it a target that takes what it sends: RADIUS servers, or for MS-CHAP a directory with mschap";
    /// An EAP packet that is none.
    BrokenEap = "broken_eap", "the request's EAP packet is broken or out of order, or names somebody else than the request; look at the client";
    /// A password that nobody would check.
    UnwantedPassword = "unwanted_password", "the request carries a password, and the client's target of type \"none\" checks none: it is for RD Gateways only";
    /// Empty password.
    EmptyPassword = "empty_password", "the password was empty; the directory was not asked";
    /// The name cannot be one.
    BadName = "bad_name", "the user name is missing, too long, not UTF-8, or has control characters";
    /// The password cannot be one.
    BadPassword = "bad_password", "the password cannot be read; the shared secret of the client is probably not ours";
    /// The directory does not know the name.
    UnknownUser = "unknown_user", "no account in the directory has that name; see the target's base, filter and name attributes";
    /// The directory knows several.
    AmbiguousUser = "ambiguous_user", "more than one account in the directory has that name; sign in with the UPN or DOMAIN\\name";
    /// Wrong password.
    WrongPassword = "wrong_password", "the directory says that the password is wrong (52e)";
    /// 530.
    LogonHours = "logon_hours", "the account may not sign in at this hour (530)";
    /// 531.
    Workstation = "workstation", "the account may sign in at named workstations only (531)";
    /// 532.
    PasswordExpired = "password_expired", "the password was right but has expired (532)";
    /// 533.
    AccountDisabled = "account_disabled", "the account is disabled in the directory (533)";
    /// 701.
    AccountExpired = "account_expired", "the account has expired (701)";
    /// 773.
    MustChangePassword = "must_change_password", "the password was right but must be changed first (773)";
    /// [`crate::primary::Refusal::NewPassword`].
    NewPasswordRefused = "new_password_refused", "the password was right, and the directory does not take the new one: its rules (length, complexity, history, age) do not allow it; the old one stays";
    /// 775.
    AccountLocked = "account_locked", "the account is locked out in the directory (775); unlock it there";
    /// Any other sub-code.
    AccountRestricted = "account_restricted", "the directory does not let this account sign in this way (52f or another restriction)";
    /// [`crate::primary::Refusal::OtherPerson`].
    OtherPerson = "other_person", "the RADIUS target let somebody in and named another person than the request (User-Name of its Access-Accept); let it name the same one, or drop User-Name by the target's reply_drop";
    /// [`crate::primary::Refusal::Unnamed`].
    UnnamedPerson = "unnamed_person", "the RADIUS target let somebody in by EAP and did not say whom; let it put the inner name as User-Name into its Access-Accept";
    /// [`crate::primary::Refusal::AsksMore`].
    TargetAsksMore = "target_asks_more", "the RADIUS target asks for more by an Access-Challenge: set the client's challenge = \"yes\" where it shows challenges; or it asked again and again without an end";
    /// It bears the mark of the target that it goes to, which only we give.
    RequestLoop = "request_loop", "the request has come through this server before: the RADIUS target sends it back to us";
    /// A connection policy says no.
    ConnectionDenied = "connection_denied", "the first connection policy that fits keeps the person out, or the RADIUS server behind refuses the gateway; see the policies of either";
    /// No connection policy fits.
    NoConnectionPolicy = "no_connection_policy", "no connection policy of the target fits person, gateway, computer, hour and kind of sign-in";
    /// No directory server answered.
    DirectoryUnreachable = "directory_unreachable", "no server of the target answered; run `anteroom check`";
    /// A directory server did not want to.
    DirectoryRefused = "directory_refused", "a directory server refused the operation; see the log for its result code, and the service account's rights";
    /// A directory server spoke nonsense.
    DirectoryGarbled = "directory_garbled", "a directory server gave an answer that is none; see the log";
    /// Not in the user store.
    NotEnrolled = "not_enrolled", "the password was right but the person is not in the user store; `anteroom user add`";
    /// Disabled in the user store.
    UserDisabled = "user_disabled", "the password was right but the person is disabled in the user store; `anteroom user enable`";
    /// Blocked in the user store.
    Blocked = "blocked", "the person is blocked, by an admin, after a fraud report or after too many denials or wrong codes; `anteroom user show` and `anteroom report blocks`";
    /// A rule refuses.
    RuleRefused = "rule_refused", "a [[rule]] that refuses fits; the event names it";
    /// A rule may refuse or require.
    RuleUndecided = "rule_undecided", "the directory could not say whether the person is in the groups of a [[rule]] that requires or refuses; see the log";
    /// Groups of a `[[reply]]`.
    ReplyUndecided = "reply_undecided", "the directory could not say whether the person is in the groups of a [[reply]], so that nobody knows what the client is to be told; see the log";
    /// A value of a `[[reply]]`.
    ReplyUnfit = "reply_unfit", "a value that a [[reply]] has for the person does not fit its attribute or the packet; the log names both, and unfit = \"cut\" leaves it out";
    /// No way to ask.
    NoMethod = "no_method", "no provider of the client serves the person's method, or it needs a device or a phone number that the user store does not have; `anteroom user set`";
    /// Too many wrong passwords for the person.
    ThrottledPerson = "throttled_person", "too many wrong passwords for this person; the directory was not asked, so that its lockout does not trip";
    /// Too many wrong passwords from the address.
    ThrottledSource = "throttled_source", "too many wrong passwords from this address; the directory was not asked";
    /// Too many prompts, or too soon after a denial or after prompts that nobody answered.
    PromptLimited = "prompt_limited", "the person was prompted too often, or just now denied a prompt or left two unanswered; nobody was prompted, see throttle.denial_backoff";
    /// The person said no.
    Denied = "denied", "the person denied the prompt";
    /// The person reported fraud.
    Fraud = "fraud", "the person reported fraud and is blocked now; their password is probably known to somebody else";
    /// Nobody answered the prompt.
    Expired = "expired", "nobody answered the prompt in time";
    /// The prompt did not arrive.
    Undeliverable = "undeliverable", "the prompt could not be delivered; check the person's device and phone number";
    /// The provider wants a code.
    NeedsCode = "needs_code", "a typed code is wanted, which this client cannot give, or which was not typed behind the password; where nothing can be typed (RD Gateway, EAP) give the person a way without (`anteroom user set NAME --method push`)";
    /// The typed code was wrong.
    WrongCode = "wrong_code", "the password was right and the code typed with it was not";
    /// The PIN typed with the code was wrong.
    WrongPin = "wrong_pin", "the password was right, and the PIN was not";
    /// The PIN must be changed.
    PinDue = "pin_due", "password and PIN were right, and the PIN must be changed first; `anteroom user pin`";
    /// No PIN.
    NoPin = "no_pin", "the person is in PIN mode and has no PIN; `anteroom user pin`";
    /// Too many wrong PINs.
    PinLocked = "pin_locked", "the person was wrong about their PIN too often; it is not looked at for a while, see [pin], or set a new one: `anteroom user pin`";
    /// A PIN is wanted, and there is no place for it.
    NeedsPin = "needs_pin", "the person is in PIN mode, and no PIN was typed; let them type it behind the password, or let the client show challenges";
    /// The provider cannot be reached.
    ProviderUnreachable = "provider_unreachable", "the provider cannot be reached; run `anteroom check`";
    /// The provider was lost in the middle.
    ProviderLost = "provider_lost", "the connection to the provider broke after the prompt may have been sent";
    /// The provider refused us.
    ProviderRefused = "provider_refused", "the provider refused our credentials or our request; run `anteroom check`";
    /// The provider spoke nonsense.
    ProviderGarbled = "provider_garbled", "the provider gave an answer that is none; see the log";
    /// The provider does not know the person.
    ProviderUnknownPerson = "provider_unknown_person", "the provider does not know the person, or has nothing to ask them by; enrol them there, and see the provider's `user`";
    /// The provider has nothing to ask the person by.
    ProviderNoMethod = "provider_no_method", "the provider knows the person, but nothing there serves the ways that may be asked and that the client can carry; enrol a device there, or add a way to methods";
    /// The provider has locked the person out.
    ProviderLocked = "provider_locked", "the provider has locked the person out or its own rules refuse them; see its administration, and tries of a local one";
    /// The provider would not ask.
    ProviderBypassed = "provider_bypassed", "the provider would let the person in without asking them, which is no proof; see the client's provider_bypass";
    /// More was asked of the person. No end.
    Challenged = "challenged", "the person was asked for more by an Access-Challenge; the sign-in goes on with their answer";
    /// A challenge that nobody answered.
    ChallengeExpired = "challenge_expired", "nobody answered the challenge in time; see the client's challenge_within, and whether it shows challenges at all";
    /// A State that was given to nobody, or to somebody else.
    StateForeign = "state_foreign", "the State is none of this server's, was altered, or belongs to another client or another person";
    /// A State that is good no more.
    StateUsed = "state_used", "the challenge was answered already or its time is over: a replay, or a client that was too late";
    /// A State of a round that another node has.
    StateElsewhere = "state_elsewhere", "the challenge waits at the node that gave it out, as a prompt was open or the target had answered, or was answered there already; let the client come back to the same node";
    /// `answer_within` is over.
    Deadline = "deadline", "the sign-in was not finished within answer_within";
    /// Nobody is left to receive the answer.
    ClientGone = "client_gone", "the client gave up: connection closed, or the request was superseded";
    /// The table of held sign-ins is full.
    OverHeld = "over_held", "too many sign-ins are held; see limits.held";
    /// The client's share is full.
    OverHeldClient = "over_held_client", "too many sign-ins are held through this client; see its held";
    /// The person's share is full.
    OverHeldPerson = "over_held_person", "too many sign-ins of this person are held; see limits.held_per_person";
    /// Too many wait for the directory.
    Overloaded = "overloaded", "too many sign-ins wait for the directory at once; see limits.at_directory and the target's connections";
    /// The user store is away.
    StoreUnavailable = "store_unavailable", "the user store cannot be read; see the log";
    /// The server is stopping.
    ShuttingDown = "shutting_down", "the server is stopping";
    /// A mistake of ours.
    Internal = "internal_error", "a mistake in Anteroom; see the log and please report it";
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}
