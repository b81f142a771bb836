//! Where the passwords and secrets of a test come from: a file, the environment, or the person at the terminal.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use zeroize::Zeroizing;

use super::Failure;
use crate::config::sources::{Environment, from_file, from_variable};
use crate::secret::Secret;

/// Reads a secret from `file`, else from the variable `variable`, else asks `question` at the terminal.
///
/// # Errors
/// It could not be read, or there is no terminal to ask at.
pub fn read(file: Option<&Path>, variable: Option<&str>, question: &str) -> Result<Secret, Failure> {
    match (file, variable) {
        (Some(file), _) => from_file(file).map_err(|error| Failure::usage(format!("{}: {error}", file.display()))),
        (None, Some(name)) => from_variable(&Environment::of_this_process(), name)
            .map_err(|_| Failure::usage(format!("the environment variable {name} is not set, or empty"))),
        (None, None) => ask(question, true),
    }
}

/// Asks at the terminal; `hidden`: without showing what is typed.
///
/// # Errors
/// There is no terminal to ask at.
pub fn ask(question: &str, hidden: bool) -> Result<Secret, Failure> {
    let no_terminal = |_| Failure::usage(format!("{question}: no terminal to ask at; give a file or a variable"));
    let terminal = std::fs::OpenOptions::new().read(true).write(true).open("/dev/tty").map_err(no_terminal)?;
    let mut writer = &terminal;
    // First, so that whoever types fast is not seen, either.
    let echo = hidden.then(|| Echo::off(&terminal));
    write!(writer, "{question}: ").and_then(|()| writer.flush())?;
    let mut line = Zeroizing::new(String::with_capacity(256));
    let read = BufReader::new(&terminal).read_line(&mut line);
    if echo.is_some() {
        drop(echo);
        writeln!(writer)?;
    }
    read?;
    Ok(Secret::new(line.trim_end_matches(['\n', '\r']).as_bytes().to_vec()))
}

/// Switches the terminal's echo back on when it goes.
struct Echo<'a>(&'a std::fs::File);

impl<'a> Echo<'a> {
    fn off(terminal: &'a std::fs::File) -> Self {
        if !stty(terminal, "-echo") {
            super::output::error("anteroom: the terminal will show what you type (stty is missing)");
        }
        Echo(terminal)
    }
}

impl Drop for Echo<'_> {
    fn drop(&mut self) {
        stty(self.0, "echo");
    }
}

fn stty(terminal: &std::fs::File, mode: &str) -> bool {
    let Ok(input) = terminal.try_clone() else { return false };
    let status = Command::new("stty").arg(mode).stdin(input).stdout(Stdio::null()).stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}
