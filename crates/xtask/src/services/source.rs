//! Where a server comes from.

use anyhow::{Result, bail};

use super::{
    docker, given, install,
    place::Place,
    server::{self, Seen, Server},
};
use crate::workspace;

pub(super) enum Source<S> {
    /// Its URL is in the environment.
    Given(String),
    Private(S),
    /// A service of `docker-compose.yml`.
    Container,
    Nowhere,
}

/// What to do about programs that are not there.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Missing {
    Install,
    Accept,
}

/// Decides for both servers at once, because missing programs are installed together.
pub(super) fn sources<A: Server, B: Server>(password: &str, missing: Missing) -> Result<(Source<A>, Source<B>)> {
    let (a, b): (Source<A>, Source<B>) = (Source::find(password), Source::find(password));
    let packages: Vec<&str> = a.missing_package().into_iter().chain(b.missing_package()).collect();
    if packages.is_empty() {
        return Ok((a, b));
    }
    if missing == Missing::Install && install::is_possible() {
        install::packages(&packages)?;
        return Ok((
            a.or_else(|| Source::find(password)),
            b.or_else(|| Source::find(password)),
        ));
    }
    if docker::engine_answers() {
        return Ok((a.or_else(|| Source::Container), b.or_else(|| Source::Container)));
    }
    if missing == Missing::Install {
        bail!(
            "not installed: {}; as root run `apt-get install {}`, or start a Docker engine, or set DATABASE_URL and \
             AMQP_URL",
            packages.join(", "),
            packages.join(" ")
        );
    }
    Ok((a, b))
}

impl<S: Server> Source<S> {
    fn find(password: &str) -> Self {
        match workspace::variable(S::VARIABLE) {
            Some(url) => Self::Given(url),
            None => S::find(password).map_or(Self::Nowhere, Self::Private),
        }
    }

    fn missing_package(&self) -> Option<&'static str> {
        match self {
            Self::Given(_) | Self::Private(_) | Self::Container => None,
            Self::Nowhere => Some(S::PACKAGE),
        }
    }

    fn or_else(self, other: impl FnOnce() -> Self) -> Self {
        match self {
            Self::Given(_) | Self::Private(_) | Self::Container => self,
            Self::Nowhere => other(),
        }
    }

    /// Makes sure that the server is there and returns its URL.
    pub(super) fn up(&self) -> Result<String> {
        match self {
            Self::Given(url) => {
                given::check(S::VARIABLE, url)?;
                Ok(url.clone())
            }
            Self::Private(server) => server::up(server, &Place::find()?),
            Self::Container => {
                docker::up(S::NAME)?;
                Ok(S::CONTAINER_URL.to_owned())
            }
            Self::Nowhere => bail!("{} was installed but its programs are not found", S::PACKAGE),
        }
    }

    /// Looks without touching the server.
    pub(super) fn look(&self) -> Result<Seen> {
        let (state, url) = match self {
            Self::Private(server) => return Ok(server::look(server, &Place::find()?)),
            Self::Given(url) if given::check(S::VARIABLE, url).is_ok() => ("given", Some(url.clone())),
            Self::Given(url) => ("not answering", Some(url.clone())),
            Self::Container if docker::runs(S::NAME) => ("in docker", Some(S::CONTAINER_URL.to_owned())),
            Self::Container => ("stopped", None),
            Self::Nowhere => ("not installed", None),
        };
        Ok(Seen { state, url, pid: None })
    }

    pub(super) fn is_container(&self) -> bool {
        matches!(self, Self::Container)
    }
}
