//! `anteroom completions` and `anteroom man`, both made from the command line's own definition.

use std::path::PathBuf;
use std::process::ExitCode;

use clap_complete::Shell;

use super::{Ended, Failure, examples, output};

const COMPLETIONS: &str = "\
Examples:
  anteroom completions bash > /etc/bash_completion.d/anteroom
  anteroom completions zsh > \"${fpath[1]}/_anteroom\"
  anteroom completions fish > ~/.config/fish/completions/anteroom.fish";

const MAN: &str = "\
Examples:
  anteroom man /usr/local/share/man/man1
  anteroom man . && man ./anteroom.1";

/// Options of `anteroom completions`.
#[derive(Debug, clap::Args)]
#[command(after_help = COMPLETIONS)]
pub struct Completions {
    /// For which shell
    #[arg(value_name = "SHELL")]
    pub shell: Shell,
}

/// Options of `anteroom man`.
#[derive(Debug, clap::Args)]
#[command(after_help = MAN)]
pub struct Man {
    /// An existing folder
    #[arg(value_name = "DIR")]
    pub folder: PathBuf,
}

/// Prints the completions.
///
/// # Errors
/// None.
pub fn completions(args: &Completions) -> Ended {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut examples::command(), "anteroom", &mut script);
    output::raw(&script);
    Ok(ExitCode::SUCCESS)
}

/// Writes one page for each command.
///
/// # Errors
/// The folder could not be written to.
pub fn man(args: &Man) -> Ended {
    clap_mangen::generate_to(examples::command(), &args.folder)
        .map_err(|error| Failure::refused(format!("{}: {error}", args.folder.display())))?;
    output::line(format_args!("wrote the manual pages to {}", args.folder.display()));
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_has_a_page() {
        let folder = tempfile::tempdir().unwrap();
        man(&Man { folder: folder.path().to_owned() }).unwrap();
        for page in ["anteroom.1", "anteroom-serve.1", "anteroom-check.1", "anteroom-test-radius.1"] {
            let text = std::fs::read_to_string(folder.path().join(page)).unwrap();
            assert!(text.contains("Examples:"), "{page}");
        }
    }

    #[test]
    fn a_missing_folder_is_named() {
        let failure = man(&Man { folder: "/nonexistent/folder".into() }).unwrap_err();
        assert!(failure.to_string().contains("/nonexistent/folder"));
    }
}
