//! What the Auth API of the simulated Duo has beside sign-ins: enrolment of new people, and the account's logo. Pure.

use serde_json::{Value, json};

use super::{INVALID, MISSING, Params, Refused};

/// A picture of one transparent point, as the logo of an account (RFC 2083).
pub(super) const LOGO: &[u8] = &[
    0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a, 0x00, 0x00, 0x00, 0x0d, 0x49, 0x48, 0x44, 0x52, 0x00, 0x00, 0x00,
    0x01, 0x00, 0x00, 0x00, 0x01, 0x08, 0x06, 0x00, 0x00, 0x00, 0x1f, 0x15, 0xc4, 0x89, 0x00, 0x00, 0x00, 0x0d, 0x49,
    0x44, 0x41, 0x54, 0x78, 0x9c, 0x63, 0x00, 0x01, 0x00, 0x00, 0x05, 0x00, 0x01, 0x0d, 0x0a, 0x2d, 0xb4, 0x00, 0x00,
    0x00, 0x00, 0x49, 0x45, 0x4e, 0x44, 0xae, 0x42, 0x60, 0x82,
];

/// The activation code of everybody who is enrolled.
const ACTIVATION: &str = "duo://8LIRa5danrICkhHtkLxi-cKLu2DWzDYCmBwBHY2YzW5ZYnYaRxA";

/// A new person. Nothing becomes of them here: everybody is known already.
pub(super) fn enroll(params: &Params, now: u64) -> Result<Value, Refused> {
    let lives = params.get("valid_secs").map_or(Ok(86_400), |text| text.parse::<u64>());
    let lives = lives.map_err(|_| (INVALID, "Invalid request parameters", "valid_secs"))?;
    let id = uuid::Uuid::new_v4().simple().to_string().to_uppercase();
    let username = params.get("username").cloned().unwrap_or_else(|| id.clone());
    Ok(json!({
        "activation_barcode": "https://api-simulated.duosecurity.com/frame/qr?value=8LIRa5danrICkhHtkLxi",
        "activation_code": ACTIVATION, "expiration": now.saturating_add(lives),
        "user_id": format!("DU{}", id.get(..18).unwrap_or_default()), "username": username,
    }))
}

pub(super) fn enroll_status(params: &Params) -> Result<Value, Refused> {
    let missing = |name: &'static str| (MISSING, "Missing required request parameters", name);
    params.get("user_id").ok_or(missing("user_id"))?;
    let code = params.get("activation_code").ok_or(missing("activation_code"))?;
    Ok(if code == ACTIVATION { "waiting" } else { "invalid" }.into())
}
