//! Who is at the other end of a connection, as far as the connection tells.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

/// Who is at the other end of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Peer {
    /// Its address; `None` for a connection that never leaves this machine.
    pub address: Option<SocketAddr>,
}

impl From<SocketAddr> for Peer {
    fn from(address: SocketAddr) -> Self {
        Self { address: Some(address) }
    }
}

impl Peer {
    /// Whether nobody on a network can listen to this connection.
    pub(crate) fn is_local(&self) -> bool {
        self.network().map_or(true, |ip| ip.is_loopback())
    }

    /// What one peer cannot easily change: its IPv4 address, or the first half of its IPv6 address.
    pub(crate) fn network(&self) -> Option<IpAddr> {
        Some(match self.address?.ip() {
            IpAddr::V4(v4) => v4.into(),
            IpAddr::V6(v6) if v6.is_loopback() => v6.into(),
            IpAddr::V6(v6) => match v6.to_ipv4_mapped() {
                Some(v4) => v4.into(),
                None => Ipv6Addr::from(u128::from(v6) >> 64 << 64).into(),
            },
        })
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.address {
            Some(address) => write!(f, "{address}"),
            None => f.write_str("a local peer"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(address: &str) -> Peer {
        Peer::from(address.parse::<SocketAddr>().unwrap())
    }

    #[test]
    fn networks() {
        assert_eq!(peer("192.0.2.1:1").network(), peer("[::ffff:192.0.2.1]:2").network());
        assert_eq!(peer("[2001:db8::1]:1").network(), peer("[2001:db8::2]:2").network());
        assert_ne!(peer("[2001:db8:0:1::1]:1").network(), peer("[2001:db8::1]:1").network());
    }

    #[test]
    fn local_peers() {
        assert!(Peer::default().is_local() && peer("127.0.0.1:1").is_local() && peer("[::1]:1").is_local());
        assert!(!peer("192.0.2.1:1").is_local() && peer("[::ffff:127.0.0.1]:1").is_local());
    }
}
