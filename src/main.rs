//! The program: one provider of cryptography, one command.

use std::process::ExitCode;

fn main() -> ExitCode {
    // First of all: rustls must never have to choose. It fails only if a provider was installed before.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    anteroom::cli::run()
}
