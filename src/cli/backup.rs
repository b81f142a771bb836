//! `anteroom backup` and `anteroom restore`.

use std::path::PathBuf;
use std::process::ExitCode;

use crate::cli::{ConfigFile, Ended, Failure, output, runtime};
use crate::config::Config;
use crate::users::backup::{Restored, backup, restore};

/// `anteroom backup`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    anteroom backup /backup/anteroom-monday.db\n\n\
The server may run meanwhile. The key file is not in the backup: keep a copy of it elsewhere.")]
pub struct Backup {
    /// The file to write, which must not exist.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    config: ConfigFile,
}

/// `anteroom restore`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    anteroom restore /backup/anteroom-monday.db\n\n\
The server must be stopped. A store that is a file stays beside the restored one under another name.")]
pub struct Restore {
    /// A file that `anteroom backup` has written.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    config: ConfigFile,
    /// Remove what a PostgreSQL server has.
    #[arg(long)]
    replace: bool,
}

fn load(file: &ConfigFile) -> Result<Config, Failure> {
    crate::config::checked::load_place(&file.config).map_err(|mistakes| Failure::usage(mistakes.to_string()))
}

/// Writes a backup.
///
/// # Errors
/// What went wrong.
pub fn backed_up(args: &Backup) -> Ended {
    let config = load(&args.config)?;
    runtime()?.block_on(backup(&config.server.store, &args.file))?;
    let keys = config.server.keys.display();
    output::line(format_args!("the store {} is saved in {}", config.server.store, args.file.display()));
    output::line(format_args!(
        "note: the keys of sealed values, {keys}, are not in it; keep a copy of that file elsewhere"
    ));
    Ok(ExitCode::SUCCESS)
}

/// Puts a backup back.
///
/// # Errors
/// What went wrong; the store is then as it was.
pub fn restored(args: &Restore) -> Ended {
    let config = load(&args.config)?;
    let moment = format!("{:.0}", jiff::Timestamp::now()).replace(':', "");
    let done = runtime()?.block_on(restore(&config.server.store, &args.file, args.replace, &moment))?;
    output::line(format_args!("the store {} is as it was in {}", config.server.store, args.file.display()));
    match done {
        Restored::Beside(old) => output::line(format_args!("what was there before is {}", old.display())),
        Restored::New | Restored::Replaced => {}
    }
    Ok(ExitCode::SUCCESS)
}
