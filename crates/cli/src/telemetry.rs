//! The log: one line per event on standard error, as text or JSON.
//!
//! A line carries, from the outside in: the fields of `log.fields`, those of every span it lies in, its
//! own. An inner field hides an outer one of the same name, so that JSON has each name once.
//!
//! ```text
//! 2026-01-31T12:00:00.000000Z INFO  upload finished service=registry repository=a/b size_bytes=7
//! {"time":"2026-01-31T12:00:00.000000Z","level":"info","msg":"upload finished","service":"registry",…}
//! ```

use std::fmt::{self, Write as _};
use std::io::Write;

use anyhow::Context as _;
use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;

use crate::config::{LogConfig, LogFormat, LogLevel};

/// Starts the log of this process on standard error.
///
/// # Errors
/// Fails if it was started before.
pub(crate) fn init(config: &LogConfig) -> anyhow::Result<()> {
    tracing::subscriber::set_global_default(subscriber(config, std::io::stderr))
        .context("the log was started twice")
}

/// Builds what `init` installs, with any place to write to.
fn subscriber<W>(config: &LogConfig, writer: W) -> impl Subscriber + Send + Sync + 'static
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let layer = LogLayer {
        format: config.format,
        fields: config.fields.clone(),
        writer,
    };
    tracing_subscriber::registry().with(layer.with_filter(filter(config)))
}

/// The access log has a switch of its own, whatever the level.
fn filter(config: &LogConfig) -> Targets {
    let level = match config.level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
    };
    let access = if config.access_log {
        LevelFilter::INFO
    } else {
        LevelFilter::OFF
    };
    Targets::new()
        .with_default(level)
        .with_target(wharfinger_server::ACCESS_LOG, access)
}

struct LogLayer<W> {
    format: LogFormat,
    fields: Map<String, Value>,
    writer: W,
}

/// The fields of a span, kept with it.
struct SpanFields(Map<String, Value>);

impl<S, W> Layer<S> for LogLayer<W>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    W: for<'a> MakeWriter<'a> + 'static,
{
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut fields = Map::new();
        attributes.record(&mut Collector(&mut fields));
        if let Some(span) = context.span(id) {
            span.extensions_mut().insert(SpanFields(fields));
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        if let Some(span) = context.span(id)
            && let Some(SpanFields(fields)) = span.extensions_mut().get_mut()
        {
            values.record(&mut Collector(fields));
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut fields = self.fields.clone();
        for span in context
            .event_scope(event)
            .into_iter()
            .flat_map(|scope| scope.from_root())
        {
            if let Some(SpanFields(of_span)) = span.extensions().get() {
                fields.extend(of_span.clone());
            }
        }
        event.record(&mut Collector(&mut fields));
        let message = match fields.remove("message") {
            Some(Value::String(message)) => message,
            Some(other) => other.to_string(),
            None => String::new(),
        };
        let level = *event.metadata().level();
        let line = match self.format {
            LogFormat::Text => text_line(level, &message, &fields),
            LogFormat::Json => json_line(level, &message, &fields),
        };
        // There is nowhere to report that the log cannot be written.
        drop(self.writer.make_writer().write_all(line.as_bytes()));
    }
}

fn text_line(level: Level, message: &str, fields: &Map<String, Value>) -> String {
    let mut line = format!("{} {level:<5} {}", now(), one_line(message));
    for (name, value) in fields {
        // Writing to a string does not fail.
        let _ = match value {
            Value::String(text) if is_word(text) => write!(line, " {name}={text}"),
            // A value never looks like another line.
            value => write!(line, " {name}={}", Quoted(value)),
        };
    }
    line.push('\n');
    line
}

fn json_line(level: Level, message: &str, fields: &Map<String, Value>) -> String {
    let level = level.as_str().to_ascii_lowercase();
    let mut line = format!(
        r#"{{"time":"{}","level":"{level}","msg":{}"#,
        now(),
        Quoted(&Value::from(message))
    );
    for (name, value) in fields {
        if !matches!(name.as_str(), "time" | "level" | "msg") {
            // Writing to a string does not fail.
            let _ = write!(line, ",{}:{}", Value::from(name.as_str()), Quoted(value));
        }
    }
    line.push_str("}\n");
    line
}

/// The time in RFC 3339.
fn now() -> String {
    let mut text = String::new();
    // Writing to a string does not fail.
    let _ = SystemTime.format_time(&mut Writer::new(&mut text));
    text
}

fn is_word(text: &str) -> bool {
    !text.is_empty()
        && text
            .chars()
            .all(|c| c.is_ascii_graphic() && c != '"' && c != '=')
}

/// Tells whether a character may end a line or move a cursor: control characters, those of C1 too,
/// and Unicode's own ends of lines and paragraphs.
fn disturbs(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}')
}

/// A value as JSON, in which more is escaped than JSON asks for.
struct Quoted<'a>(&'a Value);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(Escaping(f), "{}", self.0)
    }
}

/// Passes JSON on; what disturbs can only stand within its strings.
struct Escaping<'a, 'b>(&'a mut fmt::Formatter<'b>);

impl fmt::Write for Escaping<'_, '_> {
    fn write_str(&mut self, json: &str) -> fmt::Result {
        let mut rest = json;
        while let Some((at, c)) = rest.char_indices().find(|(_, c)| disturbs(*c)) {
            self.0.write_str(&rest[..at])?;
            // All of them have one unit of UTF-16.
            write!(self.0, "\\u{:04x}", u32::from(c))?;
            rest = &rest[at + c.len_utf8()..];
        }
        self.0.write_str(rest)
    }
}

/// A message with its control characters written out.
fn one_line(message: &str) -> String {
    let mut line = String::with_capacity(message.len());
    for c in message.chars() {
        if disturbs(c) {
            line.extend(c.escape_default());
        } else {
            line.push(c);
        }
    }
    line
}

/// Turns fields into JSON values.
struct Collector<'a>(&'a mut Map<String, Value>);

impl Collector<'_> {
    fn put(&mut self, field: &Field, value: Value) {
        self.0.insert(field.name().to_owned(), value);
    }
}

impl Visit for Collector<'_> {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value.into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, value.into());
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        // An error's own text never repeats its source, so the chain is told here.
        let mut text = value.to_string();
        let mut source = value.source();
        while let Some(error) = source {
            // Writing to a string does not fail.
            let _ = write!(text, ": {error}");
            source = error.source();
        }
        self.put(field, text.into());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field, format!("{value:?}").into());
    }
}

#[cfg(test)]
mod tests;
