//! Which addresses are near: this machine, its neighbours, and what is nobody's in particular.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Whether an address is anything but one of the public network. A name of somebody else's may lead
/// there, and then it is not somebody else who is reached.
#[must_use]
pub fn is_near(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_near_v4(address),
        IpAddr::V6(address) => is_near_v6(address),
    }
}

fn is_near_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_documentation()
        || match (a, b, c) {
            // This network, shared by carriers, benchmarks, protocols, relays, groups and the rest.
            (0 | 224..=255, _, _)
            | (100, 64..=127, _)
            | (198, 18 | 19, _)
            | (192, 0, 0)
            | (192, 88, 99) => true,
            _ => false,
        }
}

fn is_near_v6(address: Ipv6Addr) -> bool {
    let [a, b, c, d, e, f, g, h] = address.segments();
    let embedded = || {
        let [[a, b], [c, d]] = [g.to_be_bytes(), h.to_be_bytes()];
        is_near_v4(Ipv4Addr::new(a, b, c, d))
    };
    match (a, b) {
        // Where a network has no addresses of version 4, this is how it writes them.
        (0x64, 0xff9b) if [c, d, e, f] == [0; 4] => embedded(),
        // Documentation, and tunnels, behind which is any address of version 4.
        (0x2001, 0xdb8 | 0) | (0x2002, _) => true,
        (0x2001, b) if b < 0x200 => true,
        (0x3fff, b) if b < 0x1000 => true,
        (0x2000..=0x3fff, _) => false,
        // Mapped, unique to a place, of one link, groups, and what was given to nobody.
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_near_is_told_from_what_is_public() {
        let near = |text: &str| is_near(text.parse().unwrap());
        for text in [
            "0.0.0.0",
            "10.1.2.3",
            "100.64.0.1",
            "100.127.255.255",
            "127.0.0.1",
            "127.255.0.1",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.1",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.1.1",
            "198.18.0.1",
            "198.51.100.1",
            "203.0.113.1",
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:8.8.8.8",
            "::8.8.8.8",
            "64:ff9b::10.0.0.1",
            "64:ff9b:1::1",
            "100::1",
            "2001::1",
            "2001:db8::1",
            "2002:808:808::1",
            "fc00::1",
            "fd12::1",
            "fe80::1",
            "fec0::1",
            "ff02::1",
            "3fff::1",
        ] {
            assert!(near(text), "{text}");
        }
        for text in [
            "1.1.1.1",
            "8.8.8.8",
            "100.63.0.1",
            "100.128.0.1",
            "172.15.0.1",
            "172.32.0.1",
            "192.167.1.1",
            "198.17.0.1",
            "223.255.255.1",
            "64:ff9b::808:808",
            "2606:4700::1111",
            "2a00:1450::1",
            "2001:4860:4860::8888",
        ] {
            assert!(!near(text), "{text}");
        }
    }
}
