//! `serve --expose`: where other machines reach this one, and how a person gets the address onto a phone.

use std::net::{IpAddr, Ipv6Addr};

use nix::ifaddrs::getifaddrs;
use qrcode::render::unicode::Dense1x2;
use qrcode::{EcLevel, QrCode};

/// The addresses under which other machines may reach this one, IPv4 first: a person may have to type it.
pub(super) fn own_addresses() -> Vec<String> {
    let mut addresses: Vec<IpAddr> = getifaddrs()
        .into_iter()
        .flatten()
        .filter_map(|interface| {
            let address = interface.address?;
            let v4 = address.as_sockaddr_in().map(|v4| IpAddr::V4(v4.ip()));
            v4.or_else(|| address.as_sockaddr_in6().map(|v6| IpAddr::V6(v6.ip())))
        })
        .filter(reachable)
        .collect();
    addresses.sort_unstable();
    addresses.dedup();
    addresses.iter().map(ToString::to_string).collect()
}

/// Not loopback, and not link-local: such an address needs an interface's name beside it, which a URL can't have.
fn reachable(address: &IpAddr) -> bool {
    let link_local = match address {
        IpAddr::V4(v4) => v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_unicast_link_local(),
    };
    !address.is_loopback() && !address.is_unspecified() && !link_local
}

/// A host as a URL writes it: an IPv6 address in brackets (RFC 3986 section 3.2.2).
pub(super) fn in_url(host: &str) -> String {
    match host.parse::<Ipv6Addr>() {
        Ok(address) => format!("[{address}]"),
        Err(_) => host.to_ascii_lowercase(),
    }
}

/// A QR code for a terminal, or nothing for a text that is too long for one. With `colour` it is black on white
/// whatever the terminal's colours are; without, it is right on a dark ground, which readers take either way.
pub(super) fn qr(text: &str, colour: bool) -> String {
    let Ok(code) = QrCode::with_error_correction_level(text, EcLevel::L) else { return String::new() };
    let picture = code.render().dark_color(Dense1x2::Light).light_color(Dense1x2::Dark).build();
    let (before, after) = if colour { ("\x1b[97;40m", "\x1b[0m") } else { ("", "") };
    picture.lines().flat_map(|line| [before, line, after, "\n"]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_that_a_url_can_name_are_reachable() {
        let reachable = |text: &str| super::reachable(&text.parse().unwrap());
        for address in ["192.0.2.7", "10.0.0.1", "2001:db8::1", "fd00::2"] {
            assert!(reachable(address), "{address}");
        }
        for address in ["127.0.0.1", "::1", "169.254.1.1", "fe80::1", "0.0.0.0", "::"] {
            assert!(!reachable(address), "{address}");
        }
    }

    #[test]
    fn a_qr_code_is_square_and_has_its_quiet_zone() {
        let code = qr("https://192.0.2.7:8440/?token=abcdefghijklmnopqrstuvwxyzabcdefghijklmnopq", false);
        let widths: Vec<usize> = code.lines().map(|line| line.chars().count()).collect();
        assert!(widths.iter().all(|width| *width == widths[0]), "{code}");
        assert_eq!(widths.len(), widths[0].div_ceil(2), "two rows of modules in a line");
        assert!(code.starts_with("████"), "light around it: {code}");
        assert_eq!(qr(&"x".repeat(4000), false), "");
    }
}
