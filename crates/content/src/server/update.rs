//! What an update asks for.

use std::collections::BTreeMap;

use wharfinger_oci::Digest;

use crate::error::{Error, ErrorKind, Result};
use crate::proto;
use crate::store::LabelUpdate;
use crate::wire::digest;

/// 4,096 bytes of key and value together: what containerd takes of its clients.
const MOST_LABEL_BYTES: usize = 4096;

fn invalid(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidArgument, message)
}

/// Reads which blob changes, and how.
///
/// A mask names `labels`, or `labels.KEY` where KEY is all that follows, dots and slashes included.
/// Nothing else of a blob can change; one other path, and nothing is done.
pub(super) fn read(request: proto::UpdateRequest) -> Result<(Digest, LabelUpdate)> {
    let info = request.info.ok_or_else(|| invalid("info is required"))?;
    let digest = digest(&info.digest)?;
    let paths = request.update_mask.unwrap_or_default().paths;
    if paths.is_empty() {
        return Ok((digest, LabelUpdate::Replace(info.labels)));
    }
    let mut keys = BTreeMap::new();
    let mut all = false;
    for path in &paths {
        match path.strip_prefix("labels") {
            Some("") => all = true,
            Some(key) if key.starts_with('.') => {
                let key = &key[1..];
                keys.insert(key.to_owned(), info.labels.get(key).cloned());
            }
            _ => {
                let message = format!("cannot update {path:?} field on content info {digest}");
                return Err(invalid(message));
            }
        }
    }
    let update = if all {
        LabelUpdate::Replace(info.labels)
    } else {
        LabelUpdate::Set(keys)
    };
    Ok((digest, update))
}

/// Refuses labels that containerd would.
pub(super) fn check_lengths<'a>(
    labels: impl IntoIterator<Item = (&'a String, &'a String)>,
) -> Result<()> {
    for (key, value) in labels {
        let length = key.len() + value.len();
        if length > MOST_LABEL_BYTES {
            let shown: String = key.chars().take(10).collect();
            return Err(invalid(format!(
                "label key and value length ({length} bytes) greater than maximum size \
                 ({MOST_LABEL_BYTES} bytes), key: {shown}"
            )));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use wharfinger_oci::Algorithm;

    fn request(paths: Option<&[&str]>) -> proto::UpdateRequest {
        let labels = [("a", "1"), ("x/y.z", "2")];
        let labels = labels.map(|(key, value)| (key.to_owned(), value.to_owned()));
        proto::UpdateRequest {
            info: Some(proto::Info {
                digest: Digest::of(Algorithm::Sha256, b"x").to_string(),
                labels: labels.into(),
                ..proto::Info::default()
            }),
            update_mask: paths.map(|paths| prost_types::FieldMask {
                paths: paths.iter().map(ToString::to_string).collect(),
            }),
        }
    }

    #[test]
    fn a_mask_names_labels_and_nothing_else() {
        for all in [
            None,
            Some(&[][..]),
            Some(&["labels"]),
            Some(&["labels.a", "labels"]),
        ] {
            let (_, update) = read(request(all)).unwrap();
            assert!(matches!(update, LabelUpdate::Replace(labels) if labels.len() == 2));
        }
        let (_, update) = read(request(Some(&["labels.x/y.z", "labels.gone"]))).unwrap();
        let wanted = [("x/y.z", Some("2")), ("gone", None)];
        let wanted = wanted.map(|(key, value)| (key.to_owned(), value.map(str::to_owned)));
        assert_eq!(update, LabelUpdate::Set(wanted.into()));
        for bad in ["", "size", "created_at", "labelsx", "digest"] {
            assert!(read(request(Some(&["labels.a", bad]))).is_err(), "{bad:?}");
        }
        assert!(read(proto::UpdateRequest::default()).is_err());
    }

    #[test]
    fn a_label_has_at_most_4096_bytes() {
        for (length, is_taken) in [(4095, true), (4096, false)] {
            let label = ("k".to_owned(), "v".repeat(length));
            let checked = check_lengths([(&label.0, &label.1)]);
            assert_eq!(checked.is_ok(), is_taken, "{length}");
        }
    }
}
