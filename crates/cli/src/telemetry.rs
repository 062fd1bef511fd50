//! The log: one line per event on standard error, as text or JSON; and the access log on standard output.
//!
//! A line carries, from the outside in: the fields of `log.fields`, those of every span it lies in, its
//! own. An inner field hides an outer one of the same name, so that JSON has each name once.
//!
//! ```text
//! 2026-01-31T12:00:00.000000Z INFO  upload finished service=registry repository=a/b size_bytes=7
//! {"time":"2026-01-31T12:00:00.000000Z","level":"info","msg":"upload finished","service":"registry",…}
//! ```

mod line;

use std::fmt::{self, Write as _};
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use anyhow::Context as _;
use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::Interest;
use tracing::{Event, Metadata, Subscriber};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::{Context, Filter, Layer, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;
use wharfinger_server::{ACCESS_LOG, COMBINED_LOG};

use self::line::{json_line, logstash_line, text_line};
use crate::config::{AccessLog, LogConfig, LogFormat, LogLevel};

/// Starts the log of this process.
///
/// # Errors
/// Fails if it was started before.
pub(crate) fn init(config: &LogConfig) -> anyhow::Result<LogHandle> {
    let handle = LogHandle::new(config.level);
    let subscriber = subscriber(config, handle.clone(), std::io::stderr, std::io::stdout);
    tracing::subscriber::set_global_default(subscriber).context("the log was started twice")?;
    Ok(handle)
}

/// Builds what `init` installs, with any places to write to.
fn subscriber<W, A>(
    config: &LogConfig,
    handle: LogHandle,
    writer: W,
    access_writer: A,
) -> impl Subscriber + Send + Sync + 'static
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
    A: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let layer = LogLayer {
        format: config.format,
        fields: config.fields.clone(),
        report_caller: config.report_caller,
        writer,
        access_writer,
    };
    let filter = LogFilter {
        handle,
        access: config.access_log,
    };
    tracing_subscriber::registry().with(layer.with_filter(filter))
}

/// Changes the level of a log that is being written.
#[derive(Debug, Clone)]
pub(crate) struct LogHandle(Arc<AtomicU8>);

impl LogHandle {
    fn new(level: LogLevel) -> Self {
        Self(Arc::new(AtomicU8::new(level as u8)))
    }

    /// Writes lines of `level` and what is more serious from now on.
    pub(crate) fn set(&self, level: LogLevel) {
        self.0.store(level as u8, Ordering::Relaxed);
        // What every place in the program has remembered of the old level is forgotten.
        tracing::callsite::rebuild_interest_cache();
    }

    fn level(&self) -> LevelFilter {
        const LEVELS: [LevelFilter; 4] = [
            LevelFilter::ERROR,
            LevelFilter::WARN,
            LevelFilter::INFO,
            LevelFilter::DEBUG,
        ];
        LEVELS[usize::from(self.0.load(Ordering::Relaxed))]
    }
}

/// Decides what is written. The access log has a switch of its own, whatever the level.
#[derive(Debug)]
struct LogFilter {
    handle: LogHandle,
    access: AccessLog,
}

impl LogFilter {
    fn takes(&self, metadata: &Metadata<'_>) -> bool {
        match metadata.target() {
            ACCESS_LOG => self.access == AccessLog::Structured,
            COMBINED_LOG => self.access == AccessLog::Combined,
            _ => *metadata.level() <= self.handle.level(),
        }
    }
}

impl<S> Filter<S> for LogFilter {
    fn enabled(&self, metadata: &Metadata<'_>, _: &Context<'_, S>) -> bool {
        self.takes(metadata)
    }

    fn callsite_enabled(&self, metadata: &'static Metadata<'static>) -> Interest {
        if self.takes(metadata) {
            Interest::always()
        } else {
            Interest::never()
        }
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        // The lines of the access log are at this level.
        Some(self.handle.level().max(LevelFilter::INFO))
    }
}

struct LogLayer<W, A> {
    format: LogFormat,
    fields: Map<String, Value>,
    report_caller: bool,
    writer: W,
    access_writer: A,
}

/// The fields of a span, kept with it.
struct SpanFields(Map<String, Value>);

impl<S, W, A> Layer<S> for LogLayer<W, A>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    W: for<'a> MakeWriter<'a> + 'static,
    A: for<'a> MakeWriter<'a> + 'static,
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
        if event.metadata().target() == COMBINED_LOG {
            let mut line = String::new();
            event.record(&mut Message(&mut line));
            line.push('\n');
            // There is nowhere to report that the log cannot be written.
            drop(self.access_writer.make_writer().write_all(line.as_bytes()));
            return;
        }
        let mut fields = self.fields.clone();
        if self.report_caller {
            let metadata = event.metadata();
            fields.extend(metadata.file().map(|file| ("file".to_owned(), file.into())));
            fields.extend(metadata.line().map(|line| ("line".to_owned(), line.into())));
        }
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
            LogFormat::Logstash => logstash_line(level, &message, &fields),
        };
        // There is nowhere to report that the log cannot be written.
        drop(self.writer.make_writer().write_all(line.as_bytes()));
    }
}

/// Takes the message and nothing else.
struct Message<'a>(&'a mut String);

impl Visit for Message<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            // Writing to a string does not fail.
            let _ = write!(self.0, "{value:?}");
        }
    }
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
