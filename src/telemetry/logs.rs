//! The program's own log: `tracing` events on standard error, as text or as JSON lines.
//!
//! What is logged is decided where it is logged; nothing here sees a secret, as [`crate::secret::Secret`]
//! has no text form.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::FmtSpan;

use crate::config::{Log, LogFormat};

/// The filter that `level` describes, if it is one: a level, or `target=level` pairs.
pub fn filter(level: &str) -> Option<EnvFilter> {
    let level = level.trim();
    let known = |word: &str| word.parse::<tracing_subscriber::filter::LevelFilter>().is_ok();
    // A lone word that is no level would be taken as the name of a module, and silence everything else.
    if level.is_empty() || !level.split(',').all(|part| part.contains(['=', ':']) || known(part.trim())) {
        return None;
    }
    EnvFilter::try_new(level).ok()
}

/// Starts the log. A second call in one process changes nothing.
pub fn start(log: &Log) {
    let filter = filter(&log.level).unwrap_or_else(|| EnvFilter::new("info"));
    let builder =
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_span_events(FmtSpan::NONE);
    // Fails only if a log was started before, which then goes on.
    let _ = match log.format {
        LogFormat::Text => builder.with_ansi(std::io::stderr().is_terminal()).try_init(),
        LogFormat::Json => builder.json().flatten_event(true).with_current_span(false).with_span_list(false).try_init(),
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_and_pairs_are_filters() {
        for level in ["info", "WARN", "anteroom::radius=debug,info", "off", "anteroom=trace"] {
            assert!(filter(level).is_some(), "{level}");
        }
    }

    #[test]
    fn a_misspelt_level_is_no_filter() {
        for level in ["", "infos", "loud", "info,verbos", "anteroom=loud"] {
            assert!(filter(level).is_none(), "{level}");
        }
    }
}
