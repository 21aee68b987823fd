//! Which of several addresses need a listener of their own: a wildcard address takes others' connections, too.
//!
//! On most systems `[::]` also takes connections over IPv4 (RFC 3493 5.3), and `0.0.0.0` cannot be bound beside it.
//! Left out on purpose: binding, which the library does.

use std::io::ErrorKind;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};

/// The addresses to bind. Each that another one covers is left out, and the log says so.
pub(super) fn to_bind(addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let is_wide = |address: &SocketAddr| address.ip() == Ipv6Addr::UNSPECIFIED;
    let dual_stack = addresses.len() > 1 && addresses.iter().any(is_wide) && is_dual_stack();
    let mut needed: Vec<SocketAddr> = Vec::new();
    for &address in &addresses {
        let other = addresses.iter().find(|other| covers(other, &address, dual_stack));
        match other.or_else(|| needed.iter().find(|other| **other == address && address.port() != 0)) {
            Some(other) => log::info!("{address} needs no listener of its own: {other} covers it"),
            None => needed.push(address),
        }
    }
    needed
}

fn covers(wide: &SocketAddr, address: &SocketAddr, dual_stack: bool) -> bool {
    // Port 0 is another port for each.
    let is_wide = wide.ip().is_unspecified() && wide.port() == address.port() && wide.port() != 0;
    let same_family = wide.is_ipv6() == address.is_ipv6();
    is_wide && wide != address && (same_family || (dual_stack && wide.is_ipv6()))
}

/// Whether a listener on `[::]` takes the port of `0.0.0.0` as well.
fn is_dual_stack() -> bool {
    let Ok(wide) = TcpListener::bind((Ipv6Addr::UNSPECIFIED, 0)) else { return false };
    let Ok(address) = wide.local_addr() else { return false };
    let second = TcpListener::bind((Ipv4Addr::UNSPECIFIED, address.port()));
    second.is_err_and(|error| error.kind() == ErrorKind::AddrInUse)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wildcard_covers_addresses_of_its_port() {
        let covered = |wide: &str, address: &str, dual_stack| {
            covers(&wide.parse().unwrap(), &address.parse().unwrap(), dual_stack)
        };
        assert!(covered("[::]:5222", "0.0.0.0:5222", true));
        assert!(covered("[::]:5222", "127.0.0.1:5222", true));
        assert!(covered("[::]:5222", "[::1]:5222", false));
        assert!(covered("0.0.0.0:5222", "127.0.0.1:5222", false));
        assert!(!covered("[::]:5222", "0.0.0.0:5222", false));
        assert!(!covered("0.0.0.0:5222", "[::]:5222", true));
        assert!(!covered("[::]:5222", "[::]:5222", true));
        assert!(!covered("[::]:5222", "0.0.0.0:5223", true));
        assert!(!covered("[::]:0", "0.0.0.0:0", true));
        assert!(!covered("127.0.0.1:5222", "0.0.0.0:5222", true));
    }

    #[test]
    fn the_same_address_is_bound_once() {
        let at = |text: &str| text.parse::<SocketAddr>().unwrap();
        let bound = to_bind(vec![at("127.0.0.1:1"), at("127.0.0.1:1"), at("127.0.0.1:0"), at("127.0.0.1:0")]);
        assert_eq!(bound, [at("127.0.0.1:1"), at("127.0.0.1:0"), at("127.0.0.1:0")]);
    }
}
