//! Whose connection it is, and how many each client has. Pure.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::shed::Cause;
use crate::config::LdapClient;
use crate::config::by_address::ByAddress;

/// All clients.
#[derive(Debug)]
pub struct Clients<B> {
    known: ByAddress<Arc<Known<B>>>,
    open: Arc<AtomicUsize>,
    most: usize,
}

/// One client and the directory behind it.
#[derive(Debug)]
pub struct Known<B> {
    /// Its configuration.
    pub config: Arc<LdapClient>,
    /// Its directory.
    pub behind: B,
    open: AtomicUsize,
}

/// A connection's place among those that may be open. Gives it back when dropped.
#[derive(Debug)]
pub struct Place(Arc<AtomicUsize>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

/// A connection's place among those of its client.
#[derive(Debug)]
pub struct Admitted<B>(Arc<Known<B>>);

impl<B> Admitted<B> {
    /// The client.
    pub fn client(&self) -> &Known<B> {
        &self.0
    }
}

impl<B> Drop for Admitted<B> {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::AcqRel);
    }
}

impl<B> Clients<B> {
    /// These clients, each with its directory; `most` connections in all.
    pub fn new(all: impl IntoIterator<Item = (Arc<LdapClient>, B)>, most: usize) -> Self {
        let known =
            all.into_iter().map(|(config, behind)| Arc::new(Known { config, behind, open: AtomicUsize::new(0) }));
        let known: Vec<_> = known.collect();
        let ranges =
            known.iter().flat_map(|known| known.config.addresses.iter().map(|range| (range, Arc::clone(known))));
        Clients { known: ByAddress::new(ranges), open: Arc::default(), most }
    }

    /// A place for a connection, whoever's it is.
    ///
    /// # Errors
    /// [`Cause::Connections`].
    pub fn place(&self) -> Result<Place, Cause> {
        let place = Place(Arc::clone(&self.open));
        if self.open.fetch_add(1, Ordering::AcqRel) >= self.most { Err(Cause::Connections) } else { Ok(place) }
    }

    /// Whose connection it is.
    ///
    /// # Errors
    /// [`Cause::UnknownClient`], [`Cause::ClientConnections`].
    pub fn admit(&self, source: IpAddr) -> Result<Admitted<B>, Cause> {
        let known = Arc::clone(self.known.find(source).ok_or(Cause::UnknownClient)?);
        let admitted = Admitted(known);
        let open = admitted.0.open.fetch_add(1, Ordering::AcqRel);
        if open >= admitted.0.config.connections { Err(Cause::ClientConnections) } else { Ok(admitted) }
    }

    /// Connections that are open.
    pub fn open(&self) -> usize {
        self.open.load(Ordering::Acquire)
    }
}
