//! A bare TCP forwarder: what any relay costs at least. It looks at nothing.

use std::io;
use std::net::SocketAddr;

use tokio::net::{TcpListener, TcpStream};

/// Forwards every connection to `to` until the process is ended.
pub fn run(listen: SocketAddr, to: SocketAddr) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind(listen).await?;
        loop {
            let (near, _) = listener.accept().await?;
            tokio::spawn(async move {
                // either end may go at any time; that ends the other
                let _ = forward(near, to).await;
            });
        }
    })
}

async fn forward(mut near: TcpStream, to: SocketAddr) -> io::Result<()> {
    let mut far = TcpStream::connect(to).await?;
    near.set_nodelay(true)?;
    far.set_nodelay(true)?;
    tokio::io::copy_bidirectional(&mut near, &mut far).await.map(drop)
}
