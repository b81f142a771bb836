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

/// Every profile, by its word, in the order of the alphabet.
pub const PROFILES: &[(&str, &Profile)] = &[
    (
        "checkpoint",
        &Profile {
            word: "checkpoint",
            product: "Check Point Remote Access VPN and Mobile Access",
            guide: "checkpoint.md",
            authorizes: false,
            presets: &[challenge(
                "yes",
                "MultiFactor, guide for Check Point Remote Access VPN: the second factor in dialogue with the person",
            )],
        },
    ),
    (
        "cisco-asa",
        &Profile {
            word: "cisco-asa",
            product: "Cisco ASA with Secure Client (AnyConnect)",
            guide: "cisco-asa.md",
            authorizes: false,
            presets: &[
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
            ],
        },
    ),
    (
        "cisco-ftd",
        &Profile {
            word: "cisco-ftd",
            product: "Cisco Secure Firewall (FTD) with Secure Client",
            guide: "cisco-ftd.md",
            authorizes: false,
            presets: &[
                signs(
                    "auto",
                    "Cisco, advisory on CVE-2024-3596 (radius-spoofing-july-2024): releases before the fix do not sign",
                ),
                address(
                    "Calling-Station-Id",
                    "Cisco, Secure Firewall, RADIUS attributes of remote access VPN: as on the ASA",
                ),
                challenge("yes", "Cisco, Secure Firewall, RADIUS challenge in Secure Client: as on the ASA"),
            ],
        },
    ),
    (
        "citrix-netscaler",
        &Profile {
            word: "citrix-netscaler",
            product: "NetScaler (Citrix) Gateway",
            guide: "citrix-netscaler.md",
            authorizes: false,
            presets: &[
                signs("auto", "NetScaler, add authentication radiusAction, -messageAuthenticator: later releases only"),
                address(
                    "Calling-Station-Id",
                    "NetScaler, add authentication radiusAction, -callingstationid: not sent unless ENABLED",
                ),
                challenge("yes", "NetScaler Gateway, one-time passwords by RADIUS: the logon page asks for them"),
            ],
        },
    ),
    (
        "f5-apm",
        &Profile {
            word: "f5-apm",
            product: "F5 BIG-IP Access Policy Manager",
            guide: "f5-apm.md",
            authorizes: false,
            presets: &[challenge(
                "yes",
                "F5, APM authentication, RADIUS: a challenge leads to a logon page of its own",
            )],
        },
    ),
    (
        "fortigate",
        &Profile {
            word: "fortigate",
            product: "Fortinet FortiGate with FortiClient",
            guide: "fortigate.md",
            authorizes: false,
            presets: &[
                signs("auto", "Fortinet, release notes of FortiOS 7.2.10, 7.4.5 and 7.6.1: signatures since then"),
                address(
                    "Calling-Station-Id",
                    "Fortinet, RADIUS attributes of VPN logins: the address of the person's device",
                ),
                challenge(
                    "yes",
                    "Fortinet, VPN with RADIUS and token codes: FortiClient and the portal ask for the code",
                ),
            ],
        },
    ),
    (
        "meraki",
        &Profile {
            word: "meraki",
            product: "Cisco Meraki MX client VPN",
            guide: "meraki.md",
            authorizes: false,
            presets: &[
                code_behind_password("as no challenge is shown, the password's field is the only place for a code"),
                challenge("no", "DoubleClue, guide for Meraki: challenges are to be left off"),
            ],
        },
    ),
    (
        "mikrotik",
        &Profile {
            word: "mikrotik",
            product: "MikroTik RouterOS (L2TP, SSTP, OpenVPN, PPPoE, HotSpot)",
            guide: "mikrotik.md",
            authorizes: false,
            presets: &[
                signs("auto", "MikroTik, RADIUS, require-message-auth: since RouterOS 7.15"),
                code_behind_password(
                    "as no challenge is shown, the password's field is the only place for a code; with PAP",
                ),
                challenge("no", "RFC 1334 section 2: PPP's password authentication asks once"),
            ],
        },
    ),
    (
        "ocserv",
        &Profile {
            word: "ocserv",
            product: "ocserv (OpenConnect server)",
            guide: "ocserv.md",
            authorizes: false,
            presets: &[
                signs("auto", "radcli of Debian 12 does not sign: tried by us"),
                address("Calling-Station-Id", "ocserv's source, src/auth/radius.c: the address of the person's device"),
                challenge("yes", "a second form with the Reply-Message: tried by us"),
            ],
        },
    ),
    (
        "openvpn",
        &Profile {
            word: "openvpn",
            product: "OpenVPN with openvpn-auth-radius",
            guide: "openvpn.md",
            authorizes: false,
            presets: &[
                signs("auto", "the plugin of Debian 12 does not sign: tried by us"),
                address("Calling-Station-Id", "the plugin's source: the address of the person's device"),
                code_behind_password("as no challenge is shown, the password's field is the only place for a code"),
                challenge("no", "OpenVPN's auth-user-pass asks once, and the plugin asks nothing more"),
            ],
        },
    ),
    (
        "palo-alto-globalprotect",
        &Profile {
            word: "palo-alto-globalprotect",
            product: "Palo Alto Networks PAN-OS with GlobalProtect",
            guide: "palo-alto-globalprotect.md",
            authorizes: false,
            presets: &[
                signs("auto", "Palo Alto Networks, advisory on CVE-2024-3596: releases before the fix do not sign"),
                address(
                    "PaloAlto-Client-Source-IP",
                    "Palo Alto Networks, RADIUS attributes; sent after `set authentication radius-vsa-on client-source-ip`",
                ),
                challenge(
                    "yes",
                    "Palo Alto Networks, GlobalProtect with one-time passwords: asks for them after the password",
                ),
            ],
        },
    ),
    (
        "pam_radius",
        &Profile {
            word: "pam_radius",
            product: "pam_radius (sshd, sudo, login)",
            guide: "pam_radius.md",
            authorizes: false,
            presets: &[
                signs("auto", "pam_radius 2.0.0 does not sign: tried by us"),
                address("Calling-Station-Id", "pam_radius's source: PAM_RHOST; where that is a name, it is not used"),
                challenge("yes", "a PAM prompt with the Reply-Message: tried by us"),
            ],
        },
    ),
    (
        "pulse",
        &Profile {
            word: "pulse",
            product: "Ivanti (Pulse, Juniper) Connect Secure",
            guide: "pulse.md",
            authorizes: false,
            presets: &[challenge("yes", "Pulse Secure, KB44686: with a custom RADIUS rule for Access-Challenge")],
        },
    ),
    (
        "rd-gateway",
        &Profile {
            word: "rd-gateway",
            product: "Microsoft RD Gateway, by way of the NPS beside it",
            guide: "rd-gateway.md",
            authorizes: true,
            presets: &[
                set(
                    "number_matching",
                    Text("approve"),
                    "Microsoft, NPS extension with RD Gateway: nothing is shown while a prompt is out",
                ),
                signs("yes", "Microsoft, NPS, remote RADIUS server group: a setting, which the guide turns on"),
                challenge("no", "Microsoft, NPS extension with RD Gateway: nothing can be typed"),
            ],
        },
    ),
    (
        "sonicwall",
        &Profile {
            word: "sonicwall",
            product: "SonicWall SMA (Secure Mobile Access)",
            guide: "sonicwall.md",
            authorizes: false,
            presets: &[challenge(
                "yes",
                "SonicWall, SMA guides, two-factor authentication: PINs and next tokens are asked for after the password",
            )],
        },
    ),
    (
        "squid",
        &Profile {
            word: "squid",
            product: "Squid with basic_radius_auth",
            guide: "squid.md",
            authorizes: false,
            presets: &[
                signs("auto", "the helper of Debian 12 does not sign: tried by us"),
                set("duplicate_window", Text("30s"), "the helper sends the same packet every second: tried by us"),
                code_behind_password("as no challenge is shown, the password's field is the only place for a code"),
                challenge("no", "RFC 7617: Basic authentication asks once"),
            ],
        },
    ),
    (
        "strongswan",
        &Profile {
            word: "strongswan",
            product: "strongSwan with eap-radius (IKEv1 XAuth)",
            guide: "strongswan.md",
            authorizes: false,
            presets: &[
                signs("yes", "strongSwan's source, libradius: every Access-Request is signed"),
                address(
                    "Calling-Station-Id",
                    "strongSwan, eap-radius.station_id_with_port = no: the address of the person's device",
                ),
                code_behind_password("as no challenge is shown, the password's field is the only place for a code"),
                challenge("no", "strongSwan's source, eap_radius_xauth.c: a challenge ends the login"),
            ],
        },
    ),
    (
        "vmware-horizon",
        &Profile {
            word: "vmware-horizon",
            product: "Omnissa (VMware) Horizon Connection Server",
            guide: "vmware-horizon.md",
            authorizes: false,
            presets: &[
                challenge(
                    "yes",
                    "VMware, Horizon 2006, Logging in Using Two-Factor Authentication: a dialogue for the next code",
                ),
                set(
                    "challenge_menu",
                    Flag(false),
                    "the same page: the challenge's text is not displayed, so nobody could choose",
                ),
            ],
        },
    ),
    (
        "watchguard",
        &Profile {
            word: "watchguard",
            product: "WatchGuard Firebox with Mobile VPN with SSL",
            guide: "watchguard.md",
            authorizes: false,
            presets: &[challenge(
                "yes",
                "WatchGuard, Use Two-Factor Authentication with Mobile VPN with SSL: the client prompts for it",
            )],
        },
    ),
    (
        "windows-rras",
        &Profile {
            word: "windows-rras",
            product: "Microsoft Routing and Remote Access (RRAS)",
            guide: "windows-rras.md",
            authorizes: false,
            presets: &[
                signs(
                    "yes",
                    "Microsoft, RRAS, RADIUS server: a setting (always use message authenticator), which the guide turns on",
                ),
                code_behind_password(
                    "as no challenge is shown, the password's field is the only place for a code; with PAP",
                ),
                challenge("no", "RFC 1334 section 2: PPP's password authentication asks once"),
            ],
        },
    ),
];
