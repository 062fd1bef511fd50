//! The `_state` token, with which the client carries an upload's state from one request to the
//! next.
//!
//! ```text
//! token  = base64url(MAC ‖ JSON), padded
//! MAC    = HMAC-SHA256(http.secret, JSON), 32 bytes
//! JSON   = {"Name":"a/b","UUID":"…","Offset":300001,"StartedAt":"2026-11-22T02:59:08Z"}
//! ```
//!
//! The form is Distribution's byte for byte, so that an upload may go on at any of several nodes,
//! theirs or ours, that share storage and secret. What is read follows Go's decoder: keys come in
//! any order and case, unknown ones are passed over, missing ones are empty. Only the MAC, over the
//! bytes as they are, decides whether the token counts.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE;
use hmac::{Hmac, KeyInit as _, Mac as _};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;
use sha2::Sha256;
use wharfinger_oci::{RepositoryName, UploadId};
use wharfinger_runtime::Secret;

/// The length of the MAC.
const MAC_BYTES: usize = 32;

/// 4 KiB: four times the token of the longest names.
const MAX_TOKEN_CHARS: usize = 4096;

/// What a token says of an upload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct UploadState {
    /// The repository.
    pub(crate) name: String,
    /// The session.
    pub(crate) id: String,
    /// How many bytes had arrived.
    pub(crate) offset: u64,
    /// When it was started: to the nanosecond in the answer that starts it, and afterwards as it
    /// was written down, in whole seconds.
    pub(crate) started_at: Timestamp,
}

impl UploadState {
    /// Describes an upload.
    pub(crate) fn new(
        name: &RepositoryName,
        id: &UploadId,
        offset: u64,
        started_at: Timestamp,
    ) -> Self {
        Self {
            name: name.to_string(),
            id: id.to_string(),
            offset,
            started_at,
        }
    }

    /// Tells whether the token is one of this upload.
    pub(crate) fn is_of(&self, name: &RepositoryName, id: &UploadId) -> bool {
        self.name == name.as_str() && self.id == id.as_str()
    }
}

/// Why a token does not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TokenError {
    /// It is longer than any token, or not in base64, or too short.
    #[error("malformed upload state")]
    Malformed,
    /// It was not made with our secret.
    #[error("upload state has a wrong signature")]
    Forged,
    /// It was made with our secret, and says nothing that is understood.
    #[error("upload state does not decode")]
    Undecodable,
}

/// Makes and reads tokens.
#[derive(Debug, Clone)]
pub(crate) struct UploadTokens {
    key: Secret<Hmac<Sha256>>,
}

impl UploadTokens {
    /// Makes tokens with `secret`, of any length.
    pub(crate) fn new(secret: &Secret<Vec<u8>>) -> Self {
        let key = Hmac::new_from_slice(secret.expose()).expect("an HMAC takes keys of any length");
        Self {
            key: Secret::new(key),
        }
    }

    /// Prints a state as a token.
    pub(crate) fn sign(&self, state: &UploadState) -> String {
        #[derive(Serialize)]
        #[serde(rename_all = "PascalCase")]
        struct Wire<'a> {
            name: &'a str,
            #[serde(rename = "UUID")]
            uuid: &'a str,
            offset: u64,
            started_at: String,
        }
        let json = serde_json::to_vec(&Wire {
            name: &state.name,
            uuid: &state.id,
            offset: state.offset,
            started_at: state.started_at.to_string(),
        })
        .expect("strings and numbers always serialize");
        let mut mac = self.key.expose().clone();
        mac.update(&json);
        let mut token = mac.finalize().into_bytes().to_vec();
        token.extend_from_slice(&json);
        URL_SAFE.encode(token)
    }

    /// Reads a token, and holds it against the secret.
    ///
    /// # Errors
    /// Fails if the token does not count.
    pub(crate) fn verify(&self, token: &str) -> Result<UploadState, TokenError> {
        if token.len() > MAX_TOKEN_CHARS {
            return Err(TokenError::Malformed);
        }
        let bytes = URL_SAFE.decode(token).map_err(|_| TokenError::Malformed)?;
        let (mac, json) = bytes
            .split_at_checked(MAC_BYTES)
            .ok_or(TokenError::Malformed)?;
        let mut expected = self.key.expose().clone();
        expected.update(json);
        // In constant time.
        expected.verify_slice(mac).map_err(|_| TokenError::Forged)?;
        decode(json).ok_or(TokenError::Undecodable)
    }
}

/// Decodes as Go does: without regard to case, and with empty values for what is missing.
fn decode(json: &[u8]) -> Option<UploadState> {
    let Value::Object(fields) = serde_json::from_slice(json).ok()? else {
        return None;
    };
    let mut state = UploadState {
        name: String::new(),
        id: String::new(),
        offset: 0,
        started_at: Timestamp::UNIX_EPOCH,
    };
    for (key, value) in fields {
        match key.to_ascii_lowercase().as_str() {
            "name" => value.as_str()?.clone_into(&mut state.name),
            "uuid" => value.as_str()?.clone_into(&mut state.id),
            "offset" => state.offset = value.as_u64()?,
            "startedat" => state.started_at = value.as_str()?.parse().ok()?,
            _ => {}
        }
    }
    Some(state)
}

#[cfg(test)]
mod tests;
