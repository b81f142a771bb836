//! One UDP socket: bound, received from and sent to, so that the answer leaves from the address that the
//! request came to.
//!
//! Answers that are ready together leave together, in a task of their own ([`Outgoing`]).
//!
//! A socket on a specific address needs nothing for that. One on a wildcard address learns the local address
//! of each datagram from the kernel (`IP_PKTINFO`, RFC 3542 section 6) and gives it back when sending.

use std::collections::VecDeque;
use std::io::{self, IoSlice, IoSliceMut};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::fd::AsRawFd;
use std::sync::Arc;

use nix::cmsg_space;
use nix::libc;
use nix::sys::socket::{
    ControlMessage, ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg, sendmsg, setsockopt, sockopt,
};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::io::Interest;
use tokio::net::UdpSocket;

use crate::radius::duplicates::Reply;
use crate::radius::packet::MAX_PACKET;
use crate::radius::pool::outgoing::Outgoing;
use crate::radius::pool::segments::Segments;

/// Receive buffer asked of the kernel, in octets: a burst of some ten thousand requests.
const RECEIVE_BUFFER: usize = 4 << 20;

/// Answers that wait for the kernel, at most. What is more is sent at once, or lost, as datagrams may be.
const MOST_OUTGOING: usize = 8_192;

type Answers = Outgoing<(Reply, Route)>;

/// A bound socket.
#[derive(Debug)]
pub(super) struct Port {
    socket: Arc<UdpSocket>,
    wildcard: bool,
    outgoing: Arc<Answers>,
}

/// What was left to be sent is sent.
impl Drop for Port {
    fn drop(&mut self) {
        self.outgoing.close();
    }
}

/// Where a datagram came from, and to which of our addresses: its answer's way back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Route {
    pub(super) peer: SocketAddr,
    local: Local,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Local {
    /// The socket's own address.
    Bound,
    V4(Ipv4Addr),
    /// With the interface's index, which a link-local address needs.
    V6(Ipv6Addr, u32),
}

impl Local {
    /// What the kernel must be told so that an answer leaves from there.
    fn with<T>(self, send: impl FnOnce(Option<ControlMessage<'_>>) -> T) -> T {
        match self {
            Local::Bound => send(None),
            Local::V4(local) => {
                let local = libc::in_addr { s_addr: u32::from_ne_bytes(local.octets()) };
                let nothing = libc::in_addr { s_addr: 0 };
                let info = libc::in_pktinfo { ipi_ifindex: 0, ipi_spec_dst: local, ipi_addr: nothing };
                send(Some(ControlMessage::Ipv4PacketInfo(&info)))
            }
            Local::V6(local, interface) => {
                let local = libc::in6_addr { s6_addr: local.octets() };
                let info = libc::in6_pktinfo { ipi6_addr: local, ipi6_ifindex: interface };
                send(Some(ControlMessage::Ipv6PacketInfo(&info)))
            }
        }
    }
}

/// What receiving needs, made once for each loop.
pub(super) struct Buffer {
    data: Box<[u8]>,
    control: Vec<u8>,
}

impl Buffer {
    /// Room for one datagram. Octets beyond the longest packet would be ignored anyway.
    pub(super) fn new() -> Self {
        let data = vec![0; MAX_PACKET].into_boxed_slice();
        Buffer { data, control: cmsg_space!(libc::in_pktinfo, libc::in6_pktinfo) }
    }

    /// The first `length` octets.
    pub(super) fn get(&self, length: usize) -> &[u8] {
        self.data.get(..length).unwrap_or_default()
    }
}

impl Port {
    /// Binds one of several sockets to an address. IPv6 sockets take IPv6 only, so that an address of each
    /// family can be bound side by side.
    pub(super) fn bind(address: SocketAddr) -> io::Result<Port> {
        let socket = socket(address)?;
        socket.set_reuse_port(true)?;
        socket.set_nonblocking(true)?;
        socket.set_recv_buffer_size(RECEIVE_BUFFER)?;
        // The kernel counts its own overhead in, and reports twice what it grants.
        let granted = socket.recv_buffer_size()? / 2;
        if granted < RECEIVE_BUFFER {
            tracing::info!(
                %address, granted, wanted = RECEIVE_BUFFER,
                "small receive buffer: bursts may be lost; raise the kernel's net.core.rmem_max"
            );
        }
        let wildcard = address.ip().is_unspecified();
        if wildcard {
            match address {
                SocketAddr::V4(_) => setsockopt(&socket, sockopt::Ipv4PacketInfo, &true)?,
                SocketAddr::V6(_) => setsockopt(&socket, sockopt::Ipv6RecvPacketInfo, &true)?,
            }
        }
        socket.bind(&address.into())?;
        let (socket, outgoing) = (Arc::new(UdpSocket::from_std(socket.into())?), Arc::default());
        tokio::spawn(post(Arc::clone(&socket), Arc::clone(&outgoing)));
        Ok(Port { socket, wildcard, outgoing })
    }

    /// Binds an address that nobody else has: an error tells that somebody does.
    pub(super) fn bind_alone(address: SocketAddr) -> io::Result<Socket> {
        let socket = socket(address)?;
        socket.bind(&address.into())?;
        Ok(socket)
    }

    /// The address that it is bound to.
    pub(super) fn address(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Waits until there may be something to receive.
    pub(super) async fn readable(&self) -> io::Result<()> {
        self.socket.readable().await
    }

    /// Receives one datagram, if there is one.
    pub(super) fn try_receive(&self, buffer: &mut Buffer) -> io::Result<(usize, Route)> {
        if !self.wildcard {
            let (length, peer) = self.socket.try_recv_from(&mut buffer.data)?;
            return Ok((length, Route { peer, local: Local::Bound }));
        }
        self.socket.try_io(Interest::READABLE, || {
            let mut parts = [IoSliceMut::new(&mut buffer.data)];
            let control = Some(buffer.control.as_mut_slice());
            let message = recvmsg::<SockaddrStorage>(self.socket.as_raw_fd(), &mut parts, control, MsgFlags::empty())?;
            let peer = message.address.as_ref().and_then(peer).ok_or(io::ErrorKind::InvalidData)?;
            let local = message.cmsgs()?.find_map(|control| local(&control)).unwrap_or(Local::Bound);
            Ok((message.bytes, Route { peer, local }))
        })
    }

    /// Has an answer sent.
    pub(super) fn send(&self, reply: &Reply, route: &Route) -> io::Result<()> {
        if self.outgoing() >= MOST_OUTGOING {
            return try_send(&self.socket, reply, route);
        }
        self.outgoing.push((Arc::clone(reply), *route));
        Ok(())
    }

    /// Answers that are yet to be sent.
    pub(super) fn outgoing(&self) -> usize {
        self.outgoing.items().len()
    }
}

/// Sends answers until the port is gone.
async fn post(socket: Arc<UdpSocket>, outgoing: Arc<Answers>) {
    let (mut batch, segments) = (VecDeque::new(), Segments::default());
    while outgoing.gather(&mut batch).await {
        // Stable, so that answers to one place leave in their order.
        batch.make_contiguous().sort_by_key(|(reply, route)| (route.peer, reply.len()));
        while let Some((_, route)) = batch.front() {
            let route = *route;
            let there = batch.iter().take_while(|(_, other)| *other == route);
            let together = segments.together(there.map(|(reply, _)| reply.len()));
            let all = together > 1 && send_together(&socket, &segments, &batch, together, &route).await.is_ok();
            for (reply, _) in batch.drain(..together) {
                if !all {
                    send(&socket, &reply, &route).await;
                }
            }
        }
    }
}

/// Sends the first so many answers, all of them to one place, in one call.
async fn send_together(
    socket: &UdpSocket,
    segments: &Segments,
    batch: &VecDeque<(Reply, Route)>,
    many: usize,
    route: &Route,
) -> io::Result<()> {
    let send = || {
        let parts: Vec<_> = batch.iter().take(many).map(|(reply, _)| IoSlice::new(reply)).collect();
        let to = SockaddrStorage::from(route.peer);
        route.local.with(|from| segments.send(socket.as_raw_fd(), &parts, from, Some(&to)))
    };
    socket.async_io(Interest::WRITABLE, send).await
}

async fn send(socket: &UdpSocket, reply: &Reply, route: &Route) {
    while let Err(error) = try_send(socket, reply, route) {
        if error.kind() != io::ErrorKind::WouldBlock || socket.writable().await.is_err() {
            tracing::debug!(%error, "reply not sent");
            return;
        }
    }
}

/// Sends one datagram back, if the kernel takes it at once.
fn try_send(socket: &UdpSocket, bytes: &[u8], route: &Route) -> io::Result<()> {
    if let Local::Bound = route.local {
        return socket.try_send_to(bytes, route.peer).map(|_| ());
    }
    socket.try_io(Interest::WRITABLE, || {
        let (parts, to) = ([IoSlice::new(bytes)], SockaddrStorage::from(route.peer));
        route.local.with(|from| sendmsg(socket.as_raw_fd(), &parts, from.as_slice(), MsgFlags::empty(), Some(&to)))?;
        Ok(())
    })
}

fn socket(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    Ok(socket)
}

fn peer(address: &SockaddrStorage) -> Option<SocketAddr> {
    let v4 = address.as_sockaddr_in().map(|address| SocketAddr::V4(SocketAddrV4::from(*address)));
    v4.or_else(|| address.as_sockaddr_in6().map(|address| SocketAddr::V6(SocketAddrV6::from(*address))))
}

fn local(control: &ControlMessageOwned) -> Option<Local> {
    match control {
        ControlMessageOwned::Ipv4PacketInfo(info) => {
            Some(Local::V4(Ipv4Addr::from(info.ipi_spec_dst.s_addr.to_ne_bytes())))
        }
        ControlMessageOwned::Ipv6PacketInfo(info) => {
            Some(Local::V6(Ipv6Addr::from(info.ipi6_addr.s6_addr), info.ipi6_ifindex))
        }
        _ => None,
    }
}
