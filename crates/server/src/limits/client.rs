use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use crate::access::Origin;

/// What a share is counted for: an address, and the user if there is one.
#[derive(Debug, Clone, Default)]
pub(crate) struct Client {
    address: Option<IpAddr>,
    user: Option<Arc<str>>,
}

/// One of those that a client's share is counted for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Holder {
    Address(IpAddr),
    User(Arc<str>),
}

impl Client {
    /// Returns the client of a request.
    pub(crate) fn new(origin: &Origin, user: Option<Arc<str>>) -> Self {
        let peer = origin.peer.parse::<SocketAddr>().ok();
        Client { address: peer.map(|peer| network(peer.ip())), user }
    }

    /// Returns the client at an address, whoever it is.
    pub(crate) fn at(peer: SocketAddr) -> Self {
        Client { address: Some(network(peer.ip())), user: None }
    }

    pub(crate) fn holders(&self) -> impl Iterator<Item = Holder> {
        let address = self.address.map(Holder::Address);
        address.into_iter().chain(self.user.clone().map(Holder::User))
    }
}

/// Returns the address that a client can't change at will: of IPv6 it has a network of 64 bits.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)).into()
        }
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_one_network_are_one_client() {
        let holders = |peer: &str| -> Vec<Holder> {
            let origin = Origin { peer: peer.to_owned(), ..Origin::default() };
            Client::new(&origin, None).holders().collect()
        };
        assert_eq!(holders("[2001:db8::1]:7"), holders("[2001:db8::2]:8"));
        assert_ne!(holders("[2001:db8::1]:7"), holders("[2001:db8:0:1::1]:7"));
        assert_eq!(holders("[::ffff:10.0.0.1]:7"), holders("10.0.0.1:8"));
        assert_ne!(holders("10.0.0.1:7"), holders("10.0.0.2:7"));
        assert_eq!(holders(""), []);
    }
}
