//! Which addresses a webhook may go to.
//!
//! Whoever writes an endpoint's address into the configuration, or answers for its name in the DNS, could otherwise make
//! kassa post into its own network: to the database, to a router, to the cloud's metadata. So an address must be public.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use serde::Deserialize;

/// IPv4 networks that are not the public internet (IANA's special-purpose registry), and a host that is inside every
/// machine of one cloud although its address is public.
const NOT_PUBLIC_V4: [&str; 17] = [
    "0.0.0.0/8",
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "168.63.129.16/32",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.0.0.0/24",
    "192.0.2.0/24",
    "192.31.196.0/24",
    "192.88.99.0/24",
    "192.168.0.0/16",
    "198.18.0.0/15",
    "198.51.100.0/24",
    "203.0.113.0/24",
    "224.0.0.0/4",
    "240.0.0.0/4",
];

/// Of IPv6 only the globally routed block can be public, and these parts of it are not: protocol assignments with Teredo,
/// documentation, 6to4, which hides an IPv4 address.
const PUBLIC_V6: &str = "2000::/3";
const NOT_PUBLIC_V6: [&str; 4] = ["2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20"];
/// The well-known prefix of NAT64: the IPv4 address in its end decides.
const NAT64: &str = "64:ff9b::/96";

/// Whether an address is on the public internet.
#[must_use]
pub fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    !within(&NOT_PUBLIC_V4, IpAddr::V4(address))
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let whole = IpAddr::V6(address);
    if within(&[NAT64], whole) {
        let [.., a, b, c, d] = address.octets();
        return is_public_v4(Ipv4Addr::new(a, b, c, d));
    }
    // An IPv4 address in IPv6 clothes (::ffff:10.0.0.1) is outside this block, whatever it is of.
    within(&[PUBLIC_V6], whole) && !within(&NOT_PUBLIC_V6, whole)
}

fn within(networks: &[&str], address: IpAddr) -> bool {
    networks.iter().any(|network| {
        network
            .parse::<Network>()
            .is_ok_and(|network| network.contains(address))
    })
}

/// A network: `10.1.0.0/16`, `fd00:1::/32`, or one address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Network {
    address: IpAddr,
    prefix: u32,
}

/// A text that is no network.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a network such as 10.1.0.0/16 or fd00:1::/32")]
pub struct NoNetwork(String);

impl Network {
    /// Whether the address lies in it.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        let same = |ours: u128, theirs: u128, bits: u32| {
            let rest = bits - self.prefix;
            rest >= bits || (ours >> rest) == (theirs >> rest)
        };
        match (self.address, address) {
            (IpAddr::V4(ours), IpAddr::V4(theirs)) => same(ours.to_bits().into(), theirs.to_bits().into(), 32),
            (IpAddr::V6(ours), IpAddr::V6(theirs)) => same(ours.to_bits(), theirs.to_bits(), 128),
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
        }
    }
}

impl FromStr for Network {
    type Err = NoNetwork;

    fn from_str(text: &str) -> Result<Self, NoNetwork> {
        let refused = || NoNetwork(text.chars().take(80).collect());
        let (address, prefix) = text
            .split_once('/')
            .map_or((text, None), |(address, prefix)| (address, Some(prefix)));
        let address: IpAddr = address.parse().map_err(|_| refused())?;
        let longest = if address.is_ipv4() { 32 } else { 128 };
        let prefix = prefix.map_or(Ok(longest), str::parse).map_err(|_| refused())?;
        if prefix > longest {
            return Err(refused());
        }
        Ok(Self { address, prefix })
    }
}

impl TryFrom<String> for Network {
    type Error = NoNetwork;

    fn try_from(text: String) -> Result<Self, NoNetwork> {
        text.parse()
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().expect(text)
    }

    #[test]
    fn only_the_public_internet_is_public() {
        for public in [
            "1.1.1.1",
            "9.255.255.255",
            "100.63.255.255",
            "100.128.0.0",
            "172.32.0.1",
            "192.169.0.1",
            "223.255.255.255",
            "2a02:6b8::feed:ff",
            "2606:4700:4700::1111",
            "64:ff9b::101:101",
        ] {
            assert!(is_public(address(public)), "{public}");
        }
        for (what, refused) in [
            ("unspecified", "0.0.0.0"),
            ("this network", "0.1.2.3"),
            ("private", "10.255.255.255"),
            ("carrier NAT", "100.64.0.1"),
            ("metadata of a cloud in carrier NAT", "100.100.100.200"),
            ("loopback", "127.0.0.1"),
            ("loopback", "127.255.255.254"),
            ("inside every machine of a cloud", "168.63.129.16"),
            ("metadata", "169.254.169.254"),
            ("private", "172.16.0.1"),
            ("private", "172.31.255.255"),
            ("metadata of a cloud", "192.0.0.192"),
            ("documentation", "192.0.2.1"),
            ("private", "192.168.1.1"),
            ("benchmarks", "198.19.0.1"),
            ("documentation", "203.0.113.1"),
            ("multicast", "224.0.0.1"),
            ("reserved", "240.0.0.1"),
            ("broadcast", "255.255.255.255"),
            ("unspecified", "::"),
            ("loopback", "::1"),
            ("mapped loopback", "::ffff:127.0.0.1"),
            ("mapped private", "::ffff:10.0.0.1"),
            ("mapped, whatever it maps", "::ffff:1.1.1.1"),
            ("compatible", "::7f00:1"),
            ("loopback behind NAT64", "64:ff9b::7f00:1"),
            ("metadata behind NAT64", "64:ff9b::a9fe:a9fe"),
            ("local NAT64", "64:ff9b:1::1"),
            ("Teredo", "2001:0:4136:e378::1"),
            ("documentation", "2001:db8::1"),
            ("6to4 of a private address", "2002:a00:1::1"),
            ("documentation", "3fff::1"),
            ("unique local", "fd00:ec2::254"),
            ("unique local", "fc00::1"),
            ("link-local", "fe80::1"),
            ("site-local", "fec0::1"),
            ("multicast", "ff02::1"),
        ] {
            assert!(!is_public(address(refused)), "{what}: {refused}");
        }
    }

    #[test]
    fn a_network_is_read_as_people_write_it() {
        let network: Network = "10.1.0.0/16".parse().expect("a network");
        assert!(network.contains(address("10.1.255.255")) && !network.contains(address("10.2.0.0")));
        let one: Network = "127.0.0.1".parse().expect("one address");
        assert_eq!(one.to_string(), "127.0.0.1/32");
        assert!(one.contains(address("127.0.0.1")) && !one.contains(address("127.0.0.2")));
        let all: Network = "::/0".parse().expect("everything");
        assert!(all.contains(address("fd00::1")) && !all.contains(address("10.0.0.1")));
        for wrong in [
            "",
            "10.1/16",
            "10.1.0.0/33",
            "::/129",
            "10.1.0.0/-1",
            "10.1.0.0/",
            "shop.example",
        ] {
            assert!(wrong.parse::<Network>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn every_network_of_the_tables_is_one() {
        for text in NOT_PUBLIC_V4.iter().chain(&NOT_PUBLIC_V6).chain(&[PUBLIC_V6, NAT64]) {
            assert!(text.parse::<Network>().is_ok(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn the_standard_library_knows_no_special_address_that_is_public_here(bits in any::<u32>()) {
            let address = Ipv4Addr::from_bits(bits);
            let special = address.is_private() || address.is_loopback() || address.is_link_local()
                || address.is_multicast() || address.is_broadcast() || address.is_documentation()
                || address.is_unspecified();
            prop_assert!(!special || !is_public(IpAddr::V4(address)), "{address}");
        }

        #[test]
        fn no_ipv4_address_is_public_in_ipv6_clothes(bits in any::<u32>()) {
            let mapped = Ipv4Addr::from_bits(bits).to_ipv6_mapped();
            prop_assert!(!is_public(IpAddr::V6(mapped)), "{mapped}");
        }
    }
}
