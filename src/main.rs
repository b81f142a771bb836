//! The program: one provider of cryptography, one command.

use std::process::ExitCode;

/// Sign-ins allocate many small values on one thread and free them on another. With the C library's allocator a
/// sixth of a sign-in's CPU time was its own; `docs/performance.md` says how to measure it. Debug builds keep the C
/// library's, which tools such as heaptrack can watch.
#[cfg(not(debug_assertions))]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // Before much memory is in use: with large pages it would be half as much again, for nothing that a benchmark
    // shows. A kernel that refuses only costs that memory.
    #[cfg(target_os = "linux")]
    let _ = nix::sys::prctl::set_thp_disable(true);
    // First of all: rustls must never have to choose. It fails only if a provider was installed before.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    anteroom::cli::run()
}
