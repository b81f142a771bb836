//! Datagrams of one length to one place: they leave in one call and take one way through the kernel, which cuts them
//! apart where it must (`UDP_SEGMENT`, Linux 4.18). Where the kernel or the network card refuses, they leave one by one.
//!
//! What the other side receives is the same.

use std::io::{self, IoSlice};
use std::os::fd::RawFd;
use std::sync::atomic::{AtomicBool, Ordering};

use nix::errno::Errno;
use nix::sys::socket::{ControlMessage, MsgFlags, SockaddrLike, sendmsg};

/// Datagrams in one call, at most: what every kernel takes that takes several.
const MOST: usize = 64;

/// Octets in one call, at most: those of one long datagram of UDP, with room for headers.
const OCTETS: usize = 64_000;

/// The longest datagram that leaves so: none of them may be cut by IP, so they fit into whatever a link must carry
/// (RFC 8200 section 5: 1,280 octets, headers included).
const LONGEST: usize = 1_232;

/// Whether datagrams can leave together over one socket.
#[derive(Debug, Default)]
pub(in crate::radius) struct Segments {
    refused: AtomicBool,
}

impl Segments {
    /// How many of the datagrams with these lengths, from the first on, leave in one call; they all go to one place.
    pub(in crate::radius) fn together(&self, mut lengths: impl Iterator<Item = usize>) -> usize {
        let Some(first) = lengths.next() else { return 0 };
        if first == 0 || first > LONGEST || self.refused.load(Ordering::Relaxed) {
            return 1;
        }
        let most = MOST.min(OCTETS / first);
        1 + lengths.take(most.saturating_sub(1)).take_while(|length| *length == first).count()
    }

    /// Sends them: all, or none. `from` and `to` as the socket needs them.
    ///
    /// # Errors
    /// What the kernel says. Where it is not that it cannot send at the moment, they are to be sent one by one.
    pub(in crate::radius) fn send<A: SockaddrLike>(
        &self,
        socket: RawFd,
        parts: &[IoSlice<'_>],
        from: Option<ControlMessage<'_>>,
        to: Option<&A>,
    ) -> io::Result<()> {
        let length = parts.first().map_or(0, |part| part.len());
        let length = u16::try_from(length).map_err(|_| io::ErrorKind::InvalidInput)?;
        let mut control = vec![ControlMessage::UdpGsoSegments(&length)];
        control.extend(from);
        let sent = sendmsg(socket, parts, &control, MsgFlags::empty(), to);
        if let Err(Errno::EIO | Errno::EINVAL | Errno::EMSGSIZE | Errno::EOPNOTSUPP | Errno::ENOPROTOOPT) = sent {
            // No checksums by the card, another kernel, a link that carries less: it will not get better.
            self.refused.store(true, Ordering::Relaxed);
            tracing::debug!("datagrams leave one by one: the kernel does not take several");
        }
        Ok(sent.map(|_| ())?)
    }
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;
    use std::os::fd::AsRawFd;
    use std::time::Duration;

    use nix::sys::socket::SockaddrIn;

    use super::*;

    #[test]
    fn those_of_one_length_go_together_up_to_what_the_kernel_takes() {
        let segments = Segments::default();
        let together = |lengths: &[usize]| segments.together(lengths.iter().copied());
        assert_eq!(together(&[]), 0);
        assert_eq!(together(&[90]), 1);
        assert_eq!(together(&[90, 90, 90, 91, 90]), 3);
        assert_eq!(together(&[90, 91]), 1);
        assert_eq!(together(&[90; 200]), MOST);
        assert_eq!(together(&[LONGEST; 200]), OCTETS / LONGEST);
        assert_eq!(together(&[LONGEST + 1; 2]), 1, "it would be cut on its way");
        assert_eq!(together(&[0, 0]), 1);
        segments.refused.store(true, Ordering::Relaxed);
        assert_eq!(together(&[90; 200]), 1);
    }

    /// Two sockets on loopback, the first connected to the second.
    fn pair() -> (UdpSocket, UdpSocket) {
        let there = UdpSocket::bind("127.0.0.1:0").unwrap();
        there.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        let here = UdpSocket::bind("127.0.0.1:0").unwrap();
        here.connect(there.local_addr().unwrap()).unwrap();
        (here, there)
    }

    #[test]
    fn each_arrives_by_itself_and_in_its_order() {
        let (here, there) = pair();
        let segments = Segments::default();
        let sent: Vec<[u8; 100]> = (0..50).map(|number| [number; 100]).collect();
        let parts: Vec<_> = sent.iter().map(|octets| IoSlice::new(octets)).collect();
        if let Err(error) = segments.send::<SockaddrIn>(here.as_raw_fd(), &parts, None, None) {
            assert_eq!(segments.together([100; 2].into_iter()), 1, "{error}: then they go one by one");
            return;
        }
        let mut buffer = [0; 4_096];
        for expected in &sent {
            assert_eq!(there.recv(&mut buffer).unwrap(), 100);
            assert_eq!(&buffer[..100], expected);
        }
    }

    #[test]
    fn what_the_kernel_refuses_is_not_tried_again() {
        let (here, _there) = pair();
        let segments = Segments::default();
        // More than one datagram can hold, in more pieces than any kernel takes.
        let piece = [0; 1_200];
        let parts = vec![IoSlice::new(&piece); 100];
        assert!(segments.send::<SockaddrIn>(here.as_raw_fd(), &parts, None, None).is_err());
        assert_eq!(segments.together([100; 2].into_iter()), 1);
    }
}
