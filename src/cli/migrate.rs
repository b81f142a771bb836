//! `anteroom migrate`: other products' configurations into one for Anteroom.

use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use zeroize::Zeroizing;

use super::{Ended, Failure, output};
use crate::migrate::written::{Given, turn};
use crate::migrate::{Turned, nps};

/// Largest export that is read, in octets. A real one has less than one mebibyte.
const LARGEST: u64 = 32 * 1024 * 1024;

const EXAMPLES: &str = "\
Examples:
  anteroom migrate nps EXPORT.xml --domain corp.example.com --gateway RDG1 --into new
  anteroom migrate nps EXPORT.xml --domain corp.example.com --gateway 192.0.2.30 --zone Europe/Zurich --into new

On the NPS: netsh nps export filename=EXPORT.xml exportPSK=YES. The export has every shared secret in the clear: delete it
afterwards. The new folder gets anteroom.toml and a file of mode 600 for each secret; no secret is ever printed. What could
not be turned is listed with its line; a rule that would have become wider is left out.

Exit codes: 0 written; 1 it cannot be; 2 a mistake on the command line.";

/// `anteroom migrate`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    #[command(subcommand)]
    from: From,
}

#[derive(Debug, clap::Subcommand)]
enum From {
    /// From an export of Microsoft's NPS: clients, targets and connection policies
    #[command(after_help = EXAMPLES)]
    Nps(Nps),
}

#[derive(Debug, clap::Args)]
struct Nps {
    /// The export
    #[arg(value_name = "EXPORT.xml")]
    export: PathBuf,
    /// The Active Directory domain's DNS name
    #[arg(long, value_name = "NAME")]
    domain: String,
    /// A RADIUS client that is an RD Gateway, by its friendly name or address; may be given several times
    #[arg(long, value_name = "NAME|ADDRESS")]
    gateway: Vec<String>,
    /// The time zone of the NPS, such as Europe/Zurich, by which its policies' hours are meant
    #[arg(long, value_name = "ZONE")]
    zone: Option<String>,
    /// The folder for the new files; it must not exist
    #[arg(long, value_name = "FOLDER")]
    into: PathBuf,
}

/// Runs the command.
///
/// # Errors
/// What went wrong. Nothing that was there before is changed.
pub fn run(args: &Args) -> Ended {
    let From::Nps(args) = &args.from;
    if args.zone.as_deref().is_some_and(|zone| jiff::tz::TimeZone::get(zone).is_err()) {
        return Err(Failure::usage("--zone: no such time zone; such as Europe/Zurich or UTC"));
    }
    let label = |label: &str| !label.is_empty() && label.chars().all(|c| c.is_alphanumeric() || c == '-' || c == '_');
    if !args.domain.contains('.') || !args.domain.split('.').all(label) {
        return Err(Failure::usage("--domain: the domain's DNS name, such as corp.example.com"));
    }
    let mut random = [0; 32];
    getrandom::fill(&mut random).map_err(|error| Failure::refused(format!("no random octets: {error}")))?;
    let refused = |why: String| Failure::refused(format!("{} {why}", args.export.display()));
    let text = read(&args.export).map_err(refused)?;
    let export = nps::read(&text).map_err(refused)?;
    drop(text);
    let (domain, gateways, zone) = (args.domain.clone(), args.gateway.clone(), args.zone.clone());
    let turned = turn(&export, &Given { domain, gateways, zone, random });
    write(&args.into, &turned)?;
    output::line(format_args!(
        "{} and {} secrets are in {}",
        "anteroom.toml",
        turned.secrets.len(),
        args.into.display()
    ));
    if !turned.notes.is_empty() {
        output::line("\nTo be done by hand:");
        turned.notes.iter().for_each(|note| output::line(format_args!("  {note}")));
    }
    output::line(format_args!("\nThen: anteroom check --config {}", args.into.join("anteroom.toml").display()));
    Ok(ExitCode::SUCCESS)
}

/// The export as text: UTF-8, or UTF-16 with its mark.
fn read(path: &Path) -> Result<Zeroizing<String>, String> {
    let cannot = |error: std::io::Error| format!("cannot be read: {}", error.kind());
    let file = std::fs::File::open(path).map_err(cannot)?;
    if file.metadata().map_err(cannot)?.len() > LARGEST {
        return Err(format!("is larger than {LARGEST} octets, which no export is"));
    }
    let mut octets = Zeroizing::new(Vec::new());
    std::io::Read::read_to_end(&mut std::io::Read::take(file, LARGEST), &mut octets).map_err(cannot)?;
    let wide = |from: fn([u8; 2]) -> u16| {
        let pairs = octets.get(2..).unwrap_or_default().as_chunks::<2>().0;
        let units: Zeroizing<Vec<u16>> = Zeroizing::new(pairs.iter().map(|pair| from(*pair)).collect());
        String::from_utf16(&units).map_err(|_| "is no UTF-16 text".to_owned())
    };
    let text = match octets.as_slice() {
        [0xff, 0xfe, ..] => wide(u16::from_le_bytes)?,
        [0xfe, 0xff, ..] => wide(u16::from_be_bytes)?,
        plain => std::str::from_utf8(plain).map_err(|_| "is neither UTF-8 nor UTF-16".to_owned())?.to_owned(),
    };
    Ok(Zeroizing::new(text))
}

/// A new folder that nobody else can read, and in it files that nobody else can read.
fn write(folder: &Path, turned: &Turned) -> Result<(), Failure> {
    let cannot = |path: &Path, error: &std::io::Error| Failure::refused(format!("{}: {error}", path.display()));
    std::fs::DirBuilder::new().mode(0o700).create(folder).map_err(|error| cannot(folder, &error))?;
    let put = |name: &str, content: &[u8]| {
        let path = folder.join(name);
        let file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
        file.and_then(|mut file| file.write_all(content)).map_err(|error| cannot(&path, &error))
    };
    put("anteroom.toml", turned.toml.as_bytes())?;
    for (name, secret) in &turned.secrets {
        put(name, secret.open())?;
    }
    Ok(())
}
