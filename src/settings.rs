//! The operator's secrets and variables, read once per isolate.

use crate::cors;
use crate::error::ApiError;
use multiclaude_hybrid_core::seal::KeyRing;
use multiclaude_hybrid_core::timing::Timing;
use multiclaude_hybrid_protocol::ErrorCode;
use multiclaude_hybrid_protocol::token::{SecretToken, TokenKind};
use std::cell::OnceCell;
use std::rc::Rc;
use worker::Env;

/// The settings, checked.
#[derive(Debug)]
pub struct Settings {
    /// Plain `http` and loopback endpoints are open.
    pub allow_insecure: bool,
    pub timing: Timing,
    /// Seals webhook secrets.
    pub keys: KeyRing,
    /// Origins whose pages may call.
    pub allowed_origins: Vec<String>,
    /// The hash of the first admin token.
    pub admin_hash: Option<[u8; 32]>,
}

thread_local! {
    static SETTINGS: OnceCell<Result<Rc<Settings>, String>> = const { OnceCell::new() };
}

/// The settings, or why nothing can be served.
pub fn get(env: &Env) -> Result<Rc<Settings>, ApiError> {
    SETTINGS
        .with(|cell| cell.get_or_init(|| read(env).map(Rc::new)).clone())
        .map_err(|detail| ApiError::new(ErrorCode::Misconfigured, detail))
}

fn variable(env: &Env, name: &str) -> Option<String> {
    let value = env.var(name).ok()?.to_string();
    (!value.is_empty()).then_some(value)
}

fn read(env: &Env) -> Result<Settings, String> {
    let keys = variable(env, "MASTER_KEY").ok_or(
        "The secret MASTER_KEY is not set, so webhook secrets could not be stored safely. Set it \
         with `wrangler secret put MASTER_KEY` to k1:<base64 of 32 random bytes>, for example \
         k1:$(openssl rand -base64 32); `make dev` makes one.",
    )?;
    let keys = KeyRing::parse(&keys).map_err(|error| format!("The secret MASTER_KEY {error}."))?;
    let admin = variable(env, "ADMIN_TOKEN").map(|text| {
        SecretToken::parse(&text).filter(|token| token.kind() == TokenKind::Admin).ok_or(
            "The secret ADMIN_TOKEN is not an admin token: mca_, 43 base62 digits and their \
             checksum. Make one with `make token`.",
        )
    });
    let admin_hash = admin.transpose()?.map(|token| token.hash());
    let allow_insecure = variable(env, "ALLOW_INSECURE").as_deref() == Some("true");
    let scale = variable(env, "TIME_SCALE").filter(|_| allow_insecure);
    let scale = scale.map_or(Some(1), |text| text.parse().ok().filter(|scale| *scale > 0));
    let scale = scale.ok_or("The variable TIME_SCALE must be a whole number from 1.")?;
    let origins = variable(env, "ALLOWED_ORIGINS").unwrap_or_default();
    Ok(Settings {
        allow_insecure,
        allowed_origins: cors::parse(&origins)?,
        timing: Timing::scaled(scale),
        keys,
        admin_hash,
    })
}
