//! Servers whose URL somebody has put into the environment.

use std::{
    net::{TcpStream, ToSocketAddrs as _},
    time::Duration,
};

use anyhow::{Context, Result};

const LIMIT: Duration = Duration::from_secs(5);

/// Says early and plainly that nobody listens, instead of leaving it to the first of a hundred failing tests.
pub(crate) fn check(variable: &str, url: &str) -> Result<()> {
    let (host, port) = address(url).with_context(|| format!("{variable} is no URL with a host: {url}"))?;
    let addresses = (host, port)
        .to_socket_addrs()
        .with_context(|| format!("{variable} names the unknown host {host}"))?;
    let mut failure = None;
    for address in addresses {
        match TcpStream::connect_timeout(&address, LIMIT) {
            Ok(_) => return Ok(()),
            Err(error) => failure = Some(error),
        }
    }
    let failure = failure.context("the host has no address")?;
    Err(failure).with_context(|| {
        format!("{variable} is set, but nothing answers at {host}:{port}; unset it to have a private server")
    })
}

fn address(url: &str) -> Option<(&str, u16)> {
    let (scheme, rest) = url.split_once("://")?;
    let default = match scheme {
        "postgres" | "postgresql" => 5432,
        "amqp" => 5672,
        "amqps" => 5671,
        _ => return None,
    };
    let authority = rest.split(['/', '?', '#']).next()?;
    let host_and_port = authority.rsplit_once('@').map_or(authority, |(_, behind)| behind);
    let (host, port) = match host_and_port.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, port.parse().ok()?),
        _ => (host_and_port, default),
    };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    (!host.is_empty()).then_some((host, port))
}

#[cfg(test)]
mod tests {
    use super::address;

    #[test]
    fn the_address_is_found_behind_a_password_and_before_a_path() {
        assert_eq!(
            address("postgres://kassa:a@b@db.example:6432/kassa?sslmode=require"),
            Some(("db.example", 6432))
        );
        assert_eq!(address("postgresql://localhost/kassa"), Some(("localhost", 5432)));
        assert_eq!(address("amqp://127.0.0.1"), Some(("127.0.0.1", 5672)));
        assert_eq!(address("amqps://shop:secret@[::1]/%2f"), Some(("::1", 5671)));
        assert_eq!(address("amqp://[::1]:5673/%2f"), Some(("::1", 5673)));
    }

    #[test]
    fn what_has_no_host_or_a_foreign_scheme_is_refused() {
        assert_eq!(address("localhost:5432"), None);
        assert_eq!(address("mysql://localhost/kassa"), None);
        assert_eq!(address("postgres:///kassa"), None);
    }
}
