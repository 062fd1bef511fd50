//! `wharfinger uploads`

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use clap::{Args, Subcommand};
use serde::Serialize;
use wharfinger_store::{PurgeOptions, Store, StoreOptions, UploadEvent, UploadState, UploadSurvey};

use crate::config::{ServeConfig, parse_duration};
use crate::output::Lines;

use super::with_storage;

/// What can be done with uploads.
#[derive(Debug, Subcommand)]
pub(crate) enum UploadsCommand {
    /// Say which uploads there are, what they hold, and why they were not finished
    List(ListArgs),
    /// Remove uploads that nobody goes on with
    #[command(
        long_about = "Remove uploads that nobody goes on with, and what finished ones have left \
behind. A registry may be serving meanwhile; an upload that somebody is writing to stays."
    )]
    Purge(PurgeArgs),
}

impl UploadsCommand {
    /// Returns the configuration file that was named.
    pub(crate) fn config(&self) -> Option<&PathBuf> {
        match self {
            Self::List(args) => args.config.as_ref(),
            Self::Purge(args) => args.config.as_ref(),
        }
    }
}

/// What `uploads list` takes.
#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// Print one JSON object a line
    #[arg(long)]
    json: bool,
    /// The configuration file; without it, REGISTRY_CONFIGURATION_PATH names it
    config: Option<PathBuf>,
}

/// What `uploads purge` takes.
#[derive(Debug, Args)]
pub(crate) struct PurgeArgs {
    /// Remove nothing; say what would be removed
    #[arg(short, long)]
    dry_run: bool,
    /// How long ago an upload must have been written to last; by default as in the configuration
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    age: Option<Duration>,
    /// Print one JSON object a line
    #[arg(long)]
    json: bool,
    /// The configuration file; without it, REGISTRY_CONFIGURATION_PATH names it
    config: Option<PathBuf>,
}

/// Does `command` in the storage that `config` describes.
///
/// # Errors
/// Fails if the storage does, or an upload could not be removed.
pub(crate) fn run(config: &ServeConfig, command: &UploadsCommand) -> anyhow::Result<()> {
    with_storage(config, async |opened| {
        let secret = config.http.secret.obtain(&*opened.runtime.entropy)?;
        let runtime = opened.runtime.clone();
        let options = StoreOptions::new(secret);
        let store = Store::new(Arc::clone(&opened.driver), None, runtime, options);
        match command {
            UploadsCommand::List(args) => list(&store, args.json).await,
            UploadsCommand::Purge(args) => {
                let options = PurgeOptions {
                    age: args.age.unwrap_or(config.storage.purging.age),
                    dry_run: args.dry_run,
                };
                purge(&store, options, args.json).await
            }
        }
    })
}

async fn list(store: &Store, json: bool) -> anyhow::Result<()> {
    let mut lines = Lines::new(false);
    let mut count = 0_u64;
    let mut tell = |upload: UploadSurvey| {
        if count == 0 && !json {
            lines.print(&columns([
                "ID",
                "STARTED",
                "LAST WRITTEN",
                "BYTES",
                "STATE",
                "REPOSITORY",
            ]));
        }
        count += 1;
        lines.print(&line(&upload, json));
    };
    let listed = store.survey_uploads(&mut tell).await;
    if !json {
        lines.print(&format!("{count} uploads"));
    }
    lines.finish()?;
    Ok(listed?)
}

async fn purge(store: &Store, options: PurgeOptions, json: bool) -> anyhow::Result<()> {
    let mut lines = Lines::new(false);
    let mut count = 0_u64;
    let mut tell = |event: UploadEvent<'_>| match event {
        UploadEvent::Purged(upload) => {
            if count == 0 && !json {
                lines.print(&columns([
                    "ID",
                    "STARTED",
                    "LAST WRITTEN",
                    "BYTES",
                    "STATE",
                    "REPOSITORY",
                ]));
            }
            count += 1;
            lines.print(&line(upload, json));
        }
        UploadEvent::Failed {
            repository,
            id,
            error,
        } => eprintln!("{repository} {id}: {error}"),
        _ => {}
    };
    let purged = store.purge_uploads(options, &mut tell).await;
    if let Ok(report) = &purged
        && !json
    {
        let what = if options.dry_run {
            "would be purged"
        } else {
            "purged"
        };
        let busy = match report.busy {
            0 => String::new(),
            busy => format!("; {busy} old ones are being written to"),
        };
        let (purged, uploads, bytes) = (report.purged, report.uploads, report.bytes);
        lines.print(&format!(
            "{purged} of {uploads} uploads {what}, {bytes} bytes{busy}"
        ));
    }
    lines.finish()?;
    let failed = purged?.failed;
    anyhow::ensure!(failed == 0, "{failed} uploads could not be removed");
    Ok(())
}

/// One upload, as a row of the table or as JSON.
fn line(upload: &UploadSurvey, json: bool) -> String {
    let row = Row {
        repository: &upload.repository,
        id: upload.id.as_str(),
        started: upload.started_at.map(timestamp),
        last_written: timestamp(upload.written_at),
        size_bytes: upload.size_bytes,
        state: state(&upload.state),
        expected: match &upload.state {
            UploadState::Refused { expected } => Some(expected.to_string()),
            _ => None,
        },
    };
    if json {
        return serde_json::to_string(&row).expect("text and numbers are always JSON");
    }
    let started = row.started.as_deref().unwrap_or("-");
    let bytes = row.size_bytes.to_string();
    let columns = columns([
        row.id,
        started,
        &row.last_written,
        &bytes,
        row.state,
        row.repository,
    ]);
    match &row.expected {
        Some(expected) => format!("{columns}  its bytes are not {expected}"),
        None => columns,
    }
}

/// What may be of any length comes last.
fn columns([id, started, written, bytes, state, repository]: [&str; 6]) -> String {
    format!("{id:<36}  {started:<20}  {written:<20}  {bytes:>12}  {state:<11}  {repository}")
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Row<'a> {
    repository: &'a str,
    id: &'a str,
    started: Option<String>,
    last_written: String,
    size_bytes: u64,
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    expected: Option<String>,
}

/// A word for how far an upload has come.
fn state(state: &UploadState) -> &'static str {
    match state {
        UploadState::Empty => "empty",
        UploadState::Unfinished => "unfinished",
        UploadState::Refused { .. } => "refused",
        UploadState::Moved => "moved",
        UploadState::Left => "left behind",
        _ => "unknown",
    }
}

fn timestamp(time: SystemTime) -> String {
    let since = time
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    let whole = SystemTime::UNIX_EPOCH + Duration::from_secs(since.as_secs());
    jiff::Timestamp::try_from(whole)
        .unwrap_or(jiff::Timestamp::UNIX_EPOCH)
        .to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn upload(state: UploadState) -> UploadSurvey {
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_316_348);
        UploadSurvey {
            repository: "library/alpine".to_owned(),
            id: "0190a2b4-0000-7000-8000-000000000001".parse().unwrap(),
            started_at: Some(time),
            written_at: time + Duration::from_millis(60_500),
            size_bytes: 7,
            state,
        }
    }

    #[test]
    fn an_upload_tells_what_it_holds_and_how_it_failed() {
        let expected = wharfinger_oci::Digest::of(wharfinger_oci::Algorithm::Sha256, b"");
        let refused = upload(UploadState::Refused { expected });
        insta::assert_snapshot!(line(&refused, false), @"0190a2b4-0000-7000-8000-000000000001  2026-11-22T02:59:08Z  2026-11-22T03:00:08Z             7  refused      library/alpine  its bytes are not sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
        insta::assert_snapshot!(line(&refused, true), @r#"{"repository":"library/alpine","id":"0190a2b4-0000-7000-8000-000000000001","started":"2026-11-22T02:59:08Z","lastWritten":"2026-11-22T03:00:08Z","sizeBytes":7,"state":"refused","expected":"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"}"#);
        let left = UploadSurvey {
            started_at: None,
            ..upload(UploadState::Left)
        };
        insta::assert_snapshot!(line(&left, false), @"0190a2b4-0000-7000-8000-000000000001  -                     2026-11-22T03:00:08Z             7  left behind  library/alpine");
    }
}
