//! The one place that prints. A reader that went away (`anteroom check | head`) is no reason to panic.

use std::fmt::Display;
use std::io::Write;

/// One line on standard output.
pub fn line(text: impl Display) {
    let _ = writeln!(std::io::stdout().lock(), "{text}");
}

/// Bytes on standard output, as they are.
pub fn raw(bytes: &[u8]) {
    let _ = std::io::stdout().lock().write_all(bytes);
}

/// One line on standard error.
pub fn error(text: impl Display) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

/// Standard output for long texts. When its reader has gone, the rest goes nowhere.
#[derive(Debug)]
pub struct Patient;

impl Write for Patient {
    fn write(&mut self, octets: &[u8]) -> std::io::Result<usize> {
        match std::io::stdout().lock().write(octets) {
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(octets.len()),
            other => other,
        }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        match std::io::stdout().lock().flush() {
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
            other => other,
        }
    }
}
