//! What is typed into challenges during a test: given beforehand, read line by line, or asked for at the terminal.

use std::io::{BufRead, BufReader, IsTerminal, Read};
use std::path::PathBuf;

use zeroize::Zeroizing;

use super::{Failure, Given, password};
use crate::secret::Secret;

/// Longest line of what is typed, in octets: a User-Password has 128 (RFC 2865 section 5.2).
const LONGEST: u64 = 130;

/// Options that say what is typed.
#[derive(Debug, clap::Args)]
pub struct AnswerSource {
    /// What to type into a challenge, such as a code or a number of a menu; once for each challenge, in turn. Empty: just OK
    #[arg(long = "answer", value_name = "TEXT", conflicts_with = "answer_from")]
    given: Vec<Given>,
    /// File with what to type, a line for each challenge; - is standard input. Without both it is asked for
    #[arg(long, value_name = "FILE")]
    answer_from: Option<PathBuf>,
}

/// What is typed into the challenges of one run.
pub enum Answers {
    /// These, in turn.
    Given(std::vec::IntoIter<Given>),
    /// The lines of a file or of standard input.
    Lines(BufReader<Box<dyn Read>>),
    /// Whatever the person at the terminal types.
    Terminal,
    /// There is nobody to ask.
    Nobody,
}

impl AnswerSource {
    /// Where the answers of a run come from.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn open(&self) -> Result<Answers, Failure> {
        match &self.answer_from {
            Some(file) if file.as_os_str() == "-" => Ok(Answers::lines(std::io::stdin())),
            Some(file) => {
                let opened = std::fs::File::open(file);
                opened.map(Answers::lines).map_err(|error| Failure::usage(format!("{}: {error}", file.display())))
            }
            None if !self.given.is_empty() => Ok(Answers::Given(self.given.clone().into_iter())),
            None if std::io::stdin().is_terminal() => Ok(Answers::Terminal),
            None => Ok(Answers::Nobody),
        }
    }
}

impl Answers {
    fn lines(from: impl Read + 'static) -> Answers {
        Answers::Lines(BufReader::new(Box::new(from)))
    }

    /// The next answer; nothing when there is none left. `shown`: the challenge says that it may be seen while it is typed.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn next(&mut self, shown: bool) -> Result<Option<Secret>, Failure> {
        match self {
            Answers::Given(left) => Ok(left.next().map(Given::into_secret)),
            Answers::Lines(reader) => {
                let mut line = Zeroizing::new(Vec::with_capacity(256));
                let read = reader.take(LONGEST).read_until(b'\n', &mut line)?;
                if read as u64 == LONGEST && line.last() != Some(&b'\n') {
                    return Err(Failure::usage("an answer is longer than 128 octets"));
                }
                Ok((read > 0).then(|| Secret::new(line.trim_ascii_end().to_vec())))
            }
            Answers::Terminal => password::ask("Answer", !shown).map(Some),
            Answers::Nobody => Ok(None),
        }
    }

    /// Why there is no further answer.
    pub fn why_none(&self) -> &'static str {
        match self {
            Answers::Given(_) | Answers::Lines(_) => "anteroom: there is no further answer: this challenge stays open",
            Answers::Terminal | Answers::Nobody => {
                "anteroom: nobody is here to answer: give --answer or --answer-from, or run it at a terminal"
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(mut answers: Answers) -> Vec<String> {
        let mut found = Vec::new();
        while let Some(answer) = answers.next(false).unwrap() {
            found.push(String::from_utf8(answer.open().to_vec()).unwrap());
        }
        found
    }

    #[test]
    fn answers_come_in_turn_and_an_empty_one_is_one() {
        let given: Vec<Given> = ["123456", "", "2"].map(|text| text.parse().unwrap()).to_vec();
        let source = AnswerSource { given, answer_from: None };
        assert_eq!(all(source.open().unwrap()), ["123456", "", "2"]);
        assert_eq!(all(Answers::lines("123456\n\n2\r\nlast".as_bytes())), ["123456", "", "2", "last"]);
        assert!(all(Answers::lines(std::io::empty())).is_empty());
        assert!(all(Answers::Nobody).is_empty());
        let source = AnswerSource { given: Vec::new(), answer_from: Some("/no/such/file".into()) };
        assert!(source.open().is_err());
    }

    #[test]
    fn a_line_without_end_is_refused() {
        assert!(Answers::lines(std::io::repeat(b'1')).next(false).is_err());
        assert_eq!(all(Answers::lines([b"1".repeat(128), b"\n2\n".to_vec()].concat().leak() as &[u8])).len(), 2);
    }
}
