//! What is known of each kind of appliance: one entry each, each fact with its source. What is not known is not here.
//!
//! `challenge` is "yes" only where the vendor says, or its source shows, that people see a challenge and can answer it;
//! "no" where they cannot. `passcode` goes with "no", as the password field is then the only place for a code.
//! `require_message_authenticator = "auto"` is for what signs its requests only since some release: unsigned ones are
//! answered until the first signed one.

use super::Value::{self, Delimiter, Flag, Text};
use super::{Preset, Profile};

const fn set(key: &'static str, value: Value, source: &'static str) -> Preset {
    Preset { key, value, source }
}

const fn signs(word: &'static str, source: &'static str) -> Preset {
    set("require_message_authenticator", Text(word), source)
}

const fn address(attribute: &'static str, source: &'static str) -> Preset {
    set("person_address", Text(attribute), source)
}

const fn code_behind_password(source: &'static str) -> Preset {
    set("passcode", Delimiter(","), source)
}

const fn challenge(word: &'static str, source: &'static str) -> Preset {
    set("challenge", Text(word), source)
}

/// Declares profiles: word, product, whether it checks the password itself, what it sets. The guide of each is named by its word.
macro_rules! profiles {
    ($(($word:literal, $product:literal, $authorizes:literal, [$($preset:expr),* $(,)?]),)*) => {
        /// Every profile, by its word, in the order of the alphabet.
        pub const PROFILES: &[(&str, &Profile)] = &[$((
            $word,
            &Profile {
                word: $word,
                product: $product,
                guide: concat!($word, ".md"),
                authorizes: $authorizes,
                presets: &[$($preset),*],
            },
        )),*];
    };
}

profiles! {
    ("aruba", "HPE Aruba Networking ClearPass, gateways and switches", false, [
        code_behind_password("as the token server of ClearPass takes one answer, the password's field is the only place for a code"),
        challenge("no", "HPE Aruba, ClearPass, Authentication Sources, Token Server: EAP-GTC, a single answer"),
    ]),
    ("checkpoint", "Check Point Remote Access VPN and Mobile Access", false, [
        challenge(
        "yes",
        "MultiFactor, guide for Check Point Remote Access VPN: the second factor in dialogue with the person",
    ),
    ]),
    ("cisco-asa", "Cisco ASA with Secure Client (AnyConnect)", false, [
        signs(
            "auto",
            "Cisco, advisory on CVE-2024-3596 (radius-spoofing-july-2024): releases before the fix do not sign",
        ),
        address(
            "Calling-Station-Id",
            "Cisco, ASA, attributes sent in RADIUS requests: the address of the person's device",
        ),
        challenge(
            "yes",
            "Cisco, ASA VPN guide, RADIUS challenge/response; the Azure MFA Server guide for ASA lists typed codes",
        ),
    ]),
    ("cisco-ftd", "Cisco Secure Firewall (FTD) with Secure Client", false, [
        signs(
            "auto",
            "Cisco, advisory on CVE-2024-3596 (radius-spoofing-july-2024): releases before the fix do not sign",
        ),
        address(
            "Calling-Station-Id",
            "Cisco, Secure Firewall, RADIUS attributes of remote access VPN: as on the ASA",
        ),
        challenge("yes", "Cisco, Secure Firewall, RADIUS challenge in Secure Client: as on the ASA"),
    ]),
    ("citrix-netscaler", "NetScaler (Citrix) Gateway", false, [
        signs("auto", "NetScaler, add authentication radiusAction, -messageAuthenticator: later releases only"),
        address(
            "Calling-Station-Id",
            "NetScaler, add authentication radiusAction, -callingstationid: not sent unless ENABLED",
        ),
        challenge("yes", "NetScaler Gateway, one-time passwords by RADIUS: the logon page asks for them"),
    ]),
    ("f5-apm", "F5 BIG-IP Access Policy Manager", false, [
        challenge(
        "yes",
        "F5, APM authentication, RADIUS: a challenge leads to a logon page of its own",
    ),
    ]),
    ("fortigate", "Fortinet FortiGate with FortiClient", false, [
        signs("auto", "Fortinet, release notes of FortiOS 7.2.10, 7.4.5 and 7.6.1: signatures since then"),
        address(
            "Calling-Station-Id",
            "Fortinet, RADIUS attributes of VPN logins: the address of the person's device",
        ),
        challenge(
            "yes",
            "Fortinet, VPN with RADIUS and token codes: FortiClient and the portal ask for the code",
        ),
    ]),
    ("freeradius", "FreeRADIUS as a proxy in front of Anteroom", false, [
        signs("yes", "FreeRADIUS 3.2.1 signs what it proxies: tried by us"),
        address("Calling-Station-Id", "what the appliance behind it sends comes through untouched: tried by us"),
    ]),
    ("juniper-srx", "Juniper SRX with Juniper Secure Connect", false, [
        code_behind_password("as no challenge is shown, the password's field is the only place for a code"),
        challenge("no", "Juniper, Secure Connect User Guide, Authentication: a message to the person's device, nothing typed after it"),
    ]),
    ("meraki", "Cisco Meraki MX client VPN", false, [
        code_behind_password("as no challenge is shown, the password's field is the only place for a code"),
        challenge("no", "DoubleClue, guide for Meraki: challenges are to be left off"),
    ]),
    ("mikrotik", "MikroTik RouterOS (L2TP, SSTP, OpenVPN, PPPoE, HotSpot)", false, [
        signs("auto", "MikroTik, RADIUS, require-message-auth: since RouterOS 7.15"),
        code_behind_password(
            "as no challenge is shown, the password's field is the only place for a code; with PAP",
        ),
        challenge("no", "RFC 1334 section 2: PPP's password authentication asks once"),
    ]),
    ("ocserv", "ocserv (OpenConnect server)", false, [
        signs("auto", "radcli of Debian 12 does not sign: tried by us"),
        address("Calling-Station-Id", "ocserv's source, src/auth/radius.c: the address of the person's device"),
        challenge("yes", "a second form with the Reply-Message: tried by us"),
    ]),
    ("openvpn", "OpenVPN with openvpn-auth-radius", false, [
        signs("auto", "the plugin of Debian 12 does not sign: tried by us"),
        address("Calling-Station-Id", "the plugin's source: the address of the person's device"),
        code_behind_password("as no challenge is shown, the password's field is the only place for a code"),
        challenge("no", "OpenVPN's auth-user-pass asks once, and the plugin asks nothing more"),
    ]),
    ("palo-alto-globalprotect", "Palo Alto Networks PAN-OS with GlobalProtect", false, [
        signs("auto", "Palo Alto Networks, advisory on CVE-2024-3596: releases before the fix do not sign"),
        address(
            "PaloAlto-Client-Source-IP",
            "Palo Alto Networks, RADIUS attributes; sent after `set authentication radius-vsa-on client-source-ip`",
        ),
        challenge(
            "yes",
            "Palo Alto Networks, GlobalProtect with one-time passwords: asks for them after the password",
        ),
    ]),
    ("pam_radius", "pam_radius (sshd, sudo, login)", false, [
        signs("auto", "pam_radius 2.0.0 does not sign: tried by us"),
        address("Calling-Station-Id", "pam_radius's source: PAM_RHOST; where that is a name, it is not used"),
        challenge("yes", "a PAM prompt with the Reply-Message: tried by us"),
    ]),
    ("pulse", "Ivanti (Pulse, Juniper) Connect Secure", false, [challenge("yes", "Pulse Secure, KB44686: with a custom RADIUS rule for Access-Challenge")]),
    ("rd-gateway", "Microsoft RD Gateway, by way of the NPS beside it", true, [
        set(
            "number_matching",
            Text("approve"),
            "Microsoft, NPS extension with RD Gateway: nothing is shown while a prompt is out",
        ),
        signs("yes", "Microsoft, NPS, remote RADIUS server group: a setting, which the guide turns on"),
        challenge("no", "Microsoft, NPS extension with RD Gateway: nothing can be typed"),
    ]),
    ("sonicwall", "SonicWall SMA (Secure Mobile Access)", false, [
        challenge(
        "yes",
        "SonicWall, SMA guides, two-factor authentication: PINs and next tokens are asked for after the password",
    ),
    ]),
    ("sophos", "Sophos Firewall (SFOS) with Sophos Connect", false, [
        code_behind_password("as no challenge is shown, the password's field is the only place for a code"),
        challenge("no", "Sophos, Firewall help, Multi-factor authentication settings: Sophos Connect does not support a challenge"),
    ]),
    ("squid", "Squid with basic_radius_auth", false, [
        signs("auto", "the helper of Debian 12 does not sign: tried by us"),
        set("duplicate_window", Text("30s"), "the helper sends the same packet every second: tried by us"),
        code_behind_password("as no challenge is shown, the password's field is the only place for a code"),
        challenge("no", "RFC 7617: Basic authentication asks once"),
    ]),
    ("strongswan", "strongSwan with eap-radius (IKEv1 XAuth)", false, [
        signs("yes", "strongSwan's source, libradius: every Access-Request is signed"),
        address(
            "Calling-Station-Id",
            "strongSwan, eap-radius.station_id_with_port = no: the address of the person's device",
        ),
        code_behind_password("as no challenge is shown, the password's field is the only place for a code"),
        challenge("no", "strongSwan's source, eap_radius_xauth.c: a challenge ends the login"),
    ]),
    ("unifi", "Ubiquiti UniFi gateways", false, [
        code_behind_password("as no challenge is shown, the password's field is the only place for a code; with PAP"),
        challenge("no", "RFC 1334 section 2, for L2TP: PPP's password authentication asks once; so does OpenVPN's auth-user-pass"),
    ]),
    ("vmware-horizon", "Omnissa (VMware) Horizon Connection Server", false, [
        challenge(
            "yes",
            "VMware, Horizon 2006, Logging in Using Two-Factor Authentication: a dialogue for the next code",
        ),
        set(
            "challenge_menu",
            Flag(false),
            "the same page: the challenge's text is not displayed, so nobody could choose",
        ),
    ]),
    ("watchguard", "WatchGuard Firebox with Mobile VPN with SSL", false, [
        challenge(
        "yes",
        "WatchGuard, Use Two-Factor Authentication with Mobile VPN with SSL: the client prompts for it",
    ),
    ]),
    ("windows-rras", "Microsoft Routing and Remote Access (RRAS)", false, [
        signs(
            "yes",
            "Microsoft, RRAS, RADIUS server: a setting (always use message authenticator), which the guide turns on",
        ),
        code_behind_password(
            "as no challenge is shown, the password's field is the only place for a code; with PAP",
        ),
        challenge("no", "RFC 1334 section 2: PPP's password authentication asks once"),
    ]),
}
