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

mod listener;
mod page;
mod serving;

pub use desk::Desk;
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
    /// Heading of the page.
    title: String,
    /// On the page's forms, and in its content security policy.
    token: String,
}

/// A running simulator. Dropping it stops it.
#[derive(Debug)]
pub struct Simulator {
    local: SocketAddr,
    tls: bool,
    desk: Arc<Desk>,
    connections: Arc<Connections>,
    task: JoinHandle<()>,
}

impl Simulator {
    /// Starts a simulator on a loopback address; port 0 takes a free one.
    ///
    /// # Errors
    /// When the address is not loopback or cannot be bound, or the TLS files cannot be used.
    pub async fn start(address: SocketAddr, service: Arc<dyn Service>, options: Options) -> io::Result<Self> {
        if !address.ip().to_canonical().is_loopback() {
            let text = "simulators serve loopback addresses only";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        }
        let acceptor = options.tls.as_ref().map(listener::acceptor).transpose()?;
        let tls = acceptor.is_some();
        let tcp = TcpListener::bind(address).await?;
        let local = tcp.local_addr()?;
        let mut random = [0; 20];
        getrandom::fill(&mut random).map_err(io::Error::other)?;
        let mut token = String::new();
        push_hex(&mut token, &random);
        let desk = Arc::new(Desk::new(options.scenarios));
        let title = format!("{} simulator", service.word());
        let house = House { service, desk: Arc::clone(&desk), record: options.record, title, token };
        let routes = Router::new().merge(page::routes()).fallback(serving::handle).with_state(Arc::new(house));
        let connections = Arc::new(Connections::default());
        let door = PhoneListener { tcp, connections: Arc::clone(&connections) };
        let door = Doorway::open(door, acceptor, Arc::clone(&desk))?;
        let task = tokio::spawn(async move {
            if let Err(error) = axum::serve(door, routes).await {
                tracing::error!(%error, "simulator stopped");
            }
        });
        Ok(Simulator { local, tls, desk, connections, task })
    }

    /// Where it listens.
    pub fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// Its base address. With TLS by name, as certificates are for names.
    pub fn url(&self) -> String {
        if self.tls { format!("https://localhost:{}", self.local.port()) } else { format!("http://{}", self.local) }
    }

    /// Prompts, scenarios, the log of requests.
    pub fn desk(&self) -> &Desk {
        &self.desk
    }

    /// Cuts every connection; new ones are taken.
    pub fn cut(&self) {
        self.connections.cut_all();
    }

    /// Stops at once: the port is closed and every connection is cut.
    pub async fn stop(mut self) {
        self.halt();
        // Aborted is what it shall be.
        let _ = (&mut self.task).await;
        self.connections.cut_all();
    }

    fn halt(&self) {
        self.task.abort();
        self.connections.cut_all();
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        self.halt();
    }
}
