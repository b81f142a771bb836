//! `anteroom simulate`: the clouds, on loopback, so that everything can be tried and tested without an account.
//!
//! ```text
//! listener ─ TLS, HTTP/2 ─► serving ─► service.about ─► a fault of the scenario?
//!                              │                            │ no                  │ yes
//!                              │                            ▼                     ▼
//!                              │                      service.answer       refused, spoiled, cut
//!                              └─► page, /simulator/…       └──────► desk ◄───────┘
//! ```
//!
//! A core ([`Service`]) checks what the real service checks: signatures, tokens, dates, content types, the order of
//! elements. What goes wrong on purpose is the shell's, the same for each ([`scenario`]).

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::demo::phone::listener::{Connections, PhoneListener};
use crate::factor::native::signing::push_hex;
use crate::simulate::listener::Doorway;

pub mod desk;
pub mod duo;
pub mod entra;
pub mod jwt;
pub mod native;
pub mod okta;
pub mod privacyidea;
pub mod prompt;
pub mod scenario;
pub mod service;
pub mod texts;

mod listener;
mod page;
mod serving;

pub use desk::{Desk, Typed};
pub use listener::TlsFiles;
pub use prompt::{Asked, Asking, Counts, Prompt, State};
pub use scenario::{Decision, Fault, Kind, Malformed, Scenario, ScenarioFile, ServerScenario, Step};
pub use service::{About, Call, Reply, Service};

/// How a simulator is started.
#[derive(Debug, Default)]
pub struct Options {
    /// What people answer and what goes wrong.
    pub scenarios: ScenarioFile,
    /// Serve TLS with these.
    pub tls: Option<TlsFiles>,
    /// Keep each request whole in the log, secrets and all. For tests.
    pub record: bool,
}

/// What the handlers share.
#[derive(Debug)]
struct House {
    service: Arc<dyn Service>,
    desk: Arc<Desk>,
    record: bool,
    /// Whether it serves TLS.
    tls: bool,
    /// Heading of the page.
    title: String,
    /// On the page's forms, and in its content security policy.
    token: String,
}

/// What outlives a restart: the service with its tokens and sessions, and the desk with its prompts.
#[derive(Debug, Clone)]
struct Memory {
    service: Arc<dyn Service>,
    desk: Arc<Desk>,
    tls: Option<TlsFiles>,
    record: bool,
}

/// A running simulator. Dropping it stops it.
#[derive(Debug)]
pub struct Simulator {
    local: SocketAddr,
    memory: Memory,
    connections: Arc<Connections>,
    tasks: [JoinHandle<()>; 2],
}

/// A simulator that was killed and has forgotten nothing, as a service whose memory is a database.
#[derive(Debug)]
pub struct Killed {
    local: SocketAddr,
    memory: Memory,
}

impl Killed {
    /// Prompts, scenarios, the log of requests.
    pub fn desk(&self) -> &Desk {
        &self.memory.desk
    }

    /// Starts it again at the same address.
    ///
    /// # Errors
    /// When the address cannot be bound, or the TLS files cannot be used.
    pub async fn revive(&self) -> io::Result<Simulator> {
        Simulator::open(self.local, self.memory.clone()).await
    }
}

impl Simulator {
    /// Starts a simulator on a loopback address; port 0 takes a free one.
    ///
    /// # Errors
    /// When the address is not loopback or cannot be bound, or the TLS files cannot be used.
    pub async fn start(address: SocketAddr, service: Arc<dyn Service>, options: Options) -> io::Result<Self> {
        let desk = Arc::new(Desk::new(options.scenarios));
        Simulator::open(address, Memory { service, desk, tls: options.tls, record: options.record }).await
    }

    async fn open(address: SocketAddr, memory: Memory) -> io::Result<Self> {
        if !address.ip().to_canonical().is_loopback() {
            let text = "simulators serve loopback addresses only";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        }
        let acceptor = memory.tls.as_ref().map(listener::acceptor).transpose()?;
        let tcp = TcpListener::bind(address).await?;
        let local = tcp.local_addr()?;
        let mut random = [0; 20];
        getrandom::fill(&mut random).map_err(io::Error::other)?;
        let mut token = String::new();
        push_hex(&mut token, &random);
        let (service, desk) = (Arc::clone(&memory.service), Arc::clone(&memory.desk));
        let title = format!("{} simulator", service.word());
        let (record, tls) = (memory.record, memory.tls.is_some());
        let house = House { service, desk: Arc::clone(&desk), record, tls, title, token };
        let routes = Router::new().merge(page::routes()).fallback(serving::handle).with_state(Arc::new(house));
        let routes = routes.layer(axum::middleware::from_fn(serving::with_host));
        let connections = Arc::new(Connections::default());
        let door = PhoneListener { tcp, connections: Arc::clone(&connections) };
        let (door, accepting) = Doorway::open(door, acceptor, desk)?;
        let serving = tokio::spawn(async move {
            if let Err(error) = axum::serve(door, routes).await {
                tracing::error!(%error, "simulator stopped");
            }
        });
        Ok(Simulator { local, memory, connections, tasks: [accepting, serving] })
    }

    /// Where it listens.
    pub fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// Its base address. With TLS by name, as certificates are for names.
    pub fn url(&self) -> String {
        let port = self.local.port();
        if self.memory.tls.is_some() { format!("https://localhost:{port}") } else { format!("http://{}", self.local) }
    }

    /// Prompts, scenarios, the log of requests.
    pub fn desk(&self) -> &Desk {
        &self.memory.desk
    }

    /// Cuts every connection; new ones are taken.
    pub fn cut(&self) {
        self.connections.cut_all();
    }

    /// Stops at once: the port is closed and every connection is cut.
    pub async fn stop(self) {
        self.kill().await;
    }

    /// As [`Simulator::stop`], and gives what is needed to start it again with all that it knows.
    pub async fn kill(mut self) -> Killed {
        self.halt();
        for task in &mut self.tasks {
            // Aborted is what it shall be.
            let _ = task.await;
        }
        self.connections.cut_all();
        Killed { local: self.local, memory: self.memory.clone() }
    }

    fn halt(&self) {
        self.tasks.iter().for_each(JoinHandle::abort);
        self.connections.cut_all();
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        self.halt();
    }
}
