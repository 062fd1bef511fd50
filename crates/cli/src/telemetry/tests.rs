use std::io;
use std::sync::{Arc, Mutex};

use tracing::{debug, error, info, info_span};

use super::line::disturbs;
use super::*;

/// Somewhere to write that can be read again.
#[derive(Debug, Clone, Default)]
struct Sink(Arc<Mutex<Vec<u8>>>);

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Runs `body` with a log and returns what it wrote, without the time at the start of each line.
fn written(level: LogLevel, format: LogFormat, body: impl FnOnce()) -> String {
    written_with(level, format, AccessLog::Structured, body)
}

fn written_with(
    level: LogLevel,
    format: LogFormat,
    access_log: AccessLog,
    body: impl FnOnce(),
) -> String {
    let sink = Sink::default();
    let fields = serde_json::json!({"service": "registry", "zone": 7});
    let Value::Object(fields) = fields else {
        panic!()
    };
    let config = LogConfig {
        level,
        format,
        fields,
        report_caller: false,
        access_log,
    };
    let (writer, access) = (sink.clone(), sink.clone());
    let handle = LogHandle::new(level);
    let subscriber = subscriber(
        &config,
        handle,
        move || writer.clone(),
        move || access.clone(),
    );
    tracing::subscriber::with_default(subscriber, body);
    let text = String::from_utf8(sink.0.lock().unwrap().clone()).unwrap();
    let year = text.find("20").unwrap_or(0);
    assert!(
        text.is_empty() || text[year..].contains("Z"),
        "no time: {text}"
    );
    text.lines()
        .map(|line| match format {
            LogFormat::Text => line.split_once(' ').unwrap().1,
            LogFormat::Json | LogFormat::Logstash => line.split_once(',').unwrap().1,
        })
        .fold(String::new(), |all, line| all + line + "\n")
}

fn an_upload() {
    let span = info_span!(
        "upload",
        repository = "a/b",
        upload = "u-1",
        digest = tracing::field::Empty
    );
    span.record("digest", "sha256:ab");
    let _entered = span.enter();
    info!(
        size_bytes = 7,
        zone = "mine",
        note = "two words",
        "upload finished"
    );
    debug!("not at this level");
    error!(
        error = &io::Error::other("disk\nfull") as &dyn std::error::Error,
        "line\nbreak"
    );
}

#[test]
fn a_text_line_carries_the_fields_of_the_configuration_and_of_its_spans() {
    insta::assert_snapshot!(written(LogLevel::Info, LogFormat::Text, an_upload), @r#"
    INFO  upload finished digest=sha256:ab note="two words" repository=a/b service=registry size_bytes=7 upload=u-1 zone=mine
    ERROR line\nbreak digest=sha256:ab error="disk\nfull" repository=a/b service=registry upload=u-1 zone=7
    "#);
}

#[test]
fn a_json_line_has_each_name_once() {
    let text = written(LogLevel::Info, LogFormat::Json, an_upload);
    insta::assert_snapshot!(text, @r#"
    "level":"info","msg":"upload finished","digest":"sha256:ab","note":"two words","repository":"a/b","service":"registry","size_bytes":7,"upload":"u-1","zone":"mine"}
    "level":"error","msg":"line\nbreak","digest":"sha256:ab","error":"disk\nfull","repository":"a/b","service":"registry","upload":"u-1","zone":7}
    "#);
    for line in text.lines() {
        serde_json::from_str::<Value>(&format!("{{{line}")).unwrap();
    }
}

#[test]
fn nothing_that_a_client_sends_ends_a_line_or_moves_a_cursor() {
    // CSI and NEL of C1, the ends of Unicode, DEL, and an ordinary escape sequence.
    let hostile = "a\u{9b}31m\u{85}\u{2028}\u{2029}\u{7f}\u{1b}[2Jé";
    let both = [LogFormat::Text, LogFormat::Json].map(|format| {
        let text = written(LogLevel::Info, format, || {
            let span = info_span!("request", path = hostile);
            let _entered = span.enter();
            info!(user_agent = hostile, shown = %hostile, "{hostile}");
        });
        assert_eq!(text.matches('\n').count(), 1, "{text:?}");
        let disturbing = text.trim_end().chars().find(|c| disturbs(*c));
        assert_eq!(disturbing, None, "{text:?}");
        text
    });
    let json: Value = serde_json::from_str(&format!("{{{}", both[1])).unwrap();
    for field in ["path", "user_agent", "shown", "msg"] {
        assert_eq!(json[field], hostile, "{field}");
    }
}

#[test]
fn the_level_decides_what_is_written() {
    let lines = |level| written(level, LogFormat::Text, an_upload).lines().count();
    assert_eq!(lines(LogLevel::Error), 1);
    assert_eq!(lines(LogLevel::Warn), 1);
    assert_eq!(lines(LogLevel::Info), 2);
    assert_eq!(lines(LogLevel::Debug), 3);
}

#[test]
fn the_access_log_has_a_switch_of_its_own() {
    let request = || {
        info!(target: ACCESS_LOG, status = 200, "answered");
        info!("something else");
    };
    let lines = |level, access| {
        written_with(level, LogFormat::Text, access, request)
            .lines()
            .count()
    };
    let (on, off) = (AccessLog::Structured, AccessLog::Off);
    assert_eq!(lines(LogLevel::Error, on), 1, "whatever the level");
    assert_eq!(lines(LogLevel::Error, off), 0);
    assert_eq!(lines(LogLevel::Info, on), 2);
    assert_eq!(lines(LogLevel::Debug, off), 1);
}

/// A log whose lines and access lines go to places of their own.
fn two_places(config: &LogConfig, body: impl FnOnce(&LogHandle)) -> (String, String) {
    let (log, access) = (Sink::default(), Sink::default());
    let (to_log, to_access) = (log.clone(), access.clone());
    let handle = LogHandle::new(config.level);
    let changed = handle.clone();
    let subscriber = subscriber(
        config,
        handle,
        move || to_log.clone(),
        move || to_access.clone(),
    );
    tracing::subscriber::with_default(subscriber, || body(&changed));
    let text = |sink: Sink| String::from_utf8(sink.0.lock().unwrap().clone()).unwrap();
    (text(log), text(access))
}

fn config() -> LogConfig {
    LogConfig {
        level: LogLevel::Error,
        format: LogFormat::Json,
        fields: Map::new(),
        report_caller: true,
        access_log: AccessLog::Combined,
    }
}

#[test]
fn combined_lines_go_elsewhere_as_they_are() {
    let (log, access) = two_places(&config(), |_| {
        info!(target: COMBINED_LOG, "1.2.3.4 - - [] \"GET / HTTP/1.1\" 200 0 \"\" \"\"");
        info!(target: ACCESS_LOG, status = 200, "answered");
        error!("for the operator");
    });
    assert_eq!(
        access,
        "1.2.3.4 - - [] \"GET / HTTP/1.1\" 200 0 \"\" \"\"\n"
    );
    assert_eq!(log.lines().count(), 1, "{log}");
    let line: Value = serde_json::from_str(&log).unwrap();
    assert!(
        line["file"].as_str().unwrap().ends_with("tests.rs"),
        "{log}"
    );
    assert!(line["line"].is_u64());
}

#[test]
fn the_level_can_be_changed_while_the_log_is_written() {
    let (log, _) = two_places(&config(), |handle| {
        for level in [LogLevel::Error, LogLevel::Debug, LogLevel::Warn] {
            handle.set(level);
            debug!("fine");
            info!("plain");
        }
    });
    assert_eq!(log.lines().count(), 2, "{log}");
}

#[test]
fn logstash_has_its_own_names() {
    let text = written(LogLevel::Info, LogFormat::Logstash, an_upload);
    insta::assert_snapshot!(text.lines().next().unwrap(), @r#""@version":"1","level":"info","message":"upload finished","digest":"sha256:ab","note":"two words","repository":"a/b","service":"registry","size_bytes":7,"upload":"u-1","zone":"mine"}"#);
}
