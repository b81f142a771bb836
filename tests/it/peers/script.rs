//! A peer that a script of `tests/peers` runs: the script is our child and ends the peer when our end of its
//! standard input closes, however this process ends. It says "ready", then obeys one word a line.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// The running script.
#[derive(Debug)]
pub(crate) struct Script {
    words: ChildStdin,
    answers: BufReader<ChildStdout>,
    _process: Child,
}

impl Script {
    /// Starts it and waits until its peer is ready.
    pub(crate) fn start(command: &mut Command) -> Result<Self, String> {
        let spawned = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut process = spawned.map_err(|error| error.to_string())?;
        let (words, answers) = (process.stdin.take().unwrap(), BufReader::new(process.stdout.take().unwrap()));
        let mut script = Script { words, answers, _process: process };
        script.expect("ready")?;
        Ok(script)
    }

    fn expect(&mut self, answer: &str) -> Result<(), String> {
        let mut line = String::new();
        match self.answers.read_line(&mut line) {
            Ok(_) if line.trim() == answer => Ok(()),
            Ok(_) => Err(format!("the peer's script ended; it said {line:?} and wrote why above")),
            Err(error) => Err(error.to_string()),
        }
    }

    /// Says a word and waits until it has been obeyed.
    pub(crate) fn say(&mut self, word: &str) {
        self.words.write_all(format!("{word}\n").as_bytes()).unwrap();
        self.expect(word).unwrap();
    }
}
