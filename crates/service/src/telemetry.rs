//! Logs, written to stderr: stdout belongs to the answers of commands.

use std::fmt;
use std::io::IsTerminal;

use serde::{Deserialize, Serialize};
use tracing::Subscriber;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};

/// Section `[log]`.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Telemetry {
    /// How a line looks.
    pub format: LogFormat,
    /// Which lines are written; key `level`.
    #[serde(rename = "level")]
    pub filter: Filter,
}

/// How a log line looks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// `Human` when stderr is a terminal, else `Json`.
    #[default]
    Auto,
    /// One readable line, coloured on a terminal unless `NO_COLOR` is set.
    Human,
    /// One JSON object a line, the fields of the event beside its message.
    Json,
}

/// A level (`info`), also per part (`info,lapin=warn`), in the syntax of tracing-subscriber's `EnvFilter`. Default `info`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct Filter(String);

impl Default for Filter {
    fn default() -> Filter {
        Filter("info".to_owned())
    }
}

impl TryFrom<String> for Filter {
    type Error = FilterError;

    fn try_from(text: String) -> Result<Filter, FilterError> {
        match EnvFilter::builder().parse(&text) {
            Ok(_) if !text.trim().is_empty() => Ok(Filter(text)),
            _ => Err(FilterError { text }),
        }
    }
}

impl From<Filter> for String {
    fn from(filter: Filter) -> String {
        filter.0
    }
}

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A text that is no log filter.
#[derive(Debug, thiserror::Error)]
#[error("`{text}` is no log level: write error, warn, info, debug, trace or off, or per part as in `info,lapin=warn`")]
pub struct FilterError {
    text: String,
}

/// Logging was started twice in one process.
#[derive(Debug, thiserror::Error)]
#[error("logging has been started already")]
pub struct AlreadyStarted(#[source] TryInitError);

/// Starts logging for the whole process. Panics are logged as one `error` line with their place from here on.
///
/// # Errors
/// When it was started before.
pub fn init(telemetry: &Telemetry) -> Result<(), AlreadyStarted> {
    let terminal = std::io::stderr().is_terminal();
    let colour = terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let format = match telemetry.format {
        LogFormat::Auto if terminal => LogFormat::Human,
        LogFormat::Auto => LogFormat::Json,
        chosen @ (LogFormat::Human | LogFormat::Json) => chosen,
    };
    subscriber(format, &telemetry.filter, colour, std::io::stderr)
        .try_init()
        .map_err(AlreadyStarted)?;
    // The default hook writes free text to stderr, which whoever reads JSON there can't parse.
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        let message = panic.payload_as_str().unwrap_or("no message");
        tracing::error!(panic.location = place, "panic: {message}");
    }));
    Ok(())
}

fn subscriber<W>(format: LogFormat, filter: &Filter, colour: bool, writer: W) -> Box<dyn Subscriber + Send + Sync>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let lines = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(&filter.0))
        .with_writer(writer);
    match format {
        // The list of spans holds the innermost one too.
        LogFormat::Json => Box::new(lines.json().flatten_event(true).with_current_span(false).finish()),
        LogFormat::Auto | LogFormat::Human => Box::new(lines.with_ansi(colour).finish()),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Captured(Arc<Mutex<Vec<u8>>>);

    impl Write for Captured {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn logged(format: LogFormat, filter: &str) -> String {
        let captured = Captured::default();
        let writer = captured.clone();
        let filter = Filter::try_from(filter.to_owned()).unwrap();
        tracing::subscriber::with_default(subscriber(format, &filter, false, move || writer.clone()), || {
            let span = tracing::info_span!("send", transaction.id = "0197");
            let _entered = span.enter();
            tracing::info!(duration_ms = 12, "registered");
            tracing::debug!("not asked for");
        });
        let bytes = captured.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn a_json_line_holds_message_fields_and_span() {
        let line: serde_json::Value = serde_json::from_str(&logged(LogFormat::Json, "info")).unwrap();
        assert_eq!(line["message"], "registered");
        assert_eq!(line["duration_ms"], 12);
        assert_eq!(line["level"], "INFO");
        assert_eq!(line["spans"][0]["transaction.id"], "0197");
    }

    #[test]
    fn a_human_line_is_readable_and_filtered_by_level() {
        let lines = logged(LogFormat::Human, "info");
        assert!(lines.contains("INFO send{transaction.id=\"0197\"}"), "{lines}");
        assert!(!lines.contains("not asked for"), "{lines}");
        assert!(logged(LogFormat::Human, "warn,service=debug").contains("not asked for"));
    }

    #[test]
    fn a_filter_that_means_nothing_is_refused() {
        let error = Filter::try_from("info,,lapin=loud".to_owned()).unwrap_err();
        assert!(error.to_string().contains("`info,,lapin=loud` is no log level"));
        assert!(Filter::try_from(" ".to_owned()).is_err());
    }
}
