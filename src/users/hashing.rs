//! Slow hashes beside the sign-ins: in a thread that may be busy, few at once, as each takes 19 MiB.

use tokio::sync::Semaphore;

/// Hashes at once. Whoever comes later waits for their turn.
static ROOM: Semaphore = Semaphore::const_new(2);

/// Does slow work. `None`: it panicked, and nothing is to be believed.
pub async fn slowly<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    let _room = ROOM.acquire().await.ok()?;
    tokio::task::spawn_blocking(work).await.ok()
}
