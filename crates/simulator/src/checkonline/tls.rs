//! The listener: TLS that asks for a client's certificate (section 1), and what happens to a client without a good one.
//!
//! The documents do not say it, so both usual ways are there: an alert that ends the handshake, and a web server that
//! lets the handshake pass and answers HTTP 400 with a page.

use std::collections::HashMap;
use std::sync::Arc;

use axum::{Extension, Router};
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, RootCertStore, ServerConfig, SignatureScheme,
};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use super::authority::Authority;
use super::{CheckOnline, endpoint};
use crate::faults::Certificates;
use crate::server;
use crate::shared::Shared;

/// What is known of the client of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Peer {
    /// The enterprise that its certificate names.
    Enterprise(&'static str),
    /// It showed a certificate that is not accepted.
    Refused,
    /// It showed none.
    Nobody,
}

/// Serves until `stop`.
pub(super) async fn serve(
    checkonline: Arc<CheckOnline>,
    listener: TcpListener,
    authority: Authority,
    stop: CancellationToken,
) {
    let Authority { root, server, groups } = authority;
    let verifier = match doorman(root, Arc::clone(&checkonline.shared)) {
        Ok(verifier) => Arc::new(verifier),
        Err(error) => return tracing::error!(%error, "clients cannot be verified"),
    };
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map(|builder| builder.with_client_cert_verifier(Arc::clone(&verifier) as Arc<dyn ClientCertVerifier>))
        .and_then(|builder| builder.with_single_cert(vec![server.0], server.1));
    let mut config = match config {
        Ok(config) => config,
        Err(error) => return tracing::error!(%error, "TLS cannot be set up"),
    };
    // A resumed session would spare a revoked certificate the look at it.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    let door = Door {
        acceptor: TlsAcceptor::from(Arc::new(config)),
        verifier,
        groups: Arc::new(groups),
        router: endpoint::router(checkonline),
    };
    let serve_one = |stream, stop| door.clone().connection(stream, stop);
    server::serve_with(listener, serve_one, stop).await;
}

#[derive(Clone)]
struct Door {
    acceptor: TlsAcceptor,
    verifier: Arc<Doorman>,
    groups: Arc<HashMap<Vec<u8>, &'static str>>,
    router: Router,
}

impl Door {
    async fn connection(self, stream: TcpStream, stop: CancellationToken) {
        let handshake = tokio::select! {
            handshake = self.acceptor.accept(stream) => handshake,
            () = stop.cancelled() => return,
        };
        match handshake {
            Ok(stream) => {
                let peer = self.peer(stream.get_ref().1.peer_certificates());
                server::connection(stream, self.router.layer(Extension(peer)), stop).await;
            }
            Err(error) => tracing::debug!(%error, "handshake failed"),
        }
    }

    fn peer(&self, shown: Option<&[CertificateDer<'_>]>) -> Peer {
        let Some((leaf, chain)) = shown.and_then(<[_]>::split_first) else {
            return Peer::Nobody;
        };
        let accepted = self.verifier.accepts(leaf, chain, UnixTime::now()).is_ok();
        match self.groups.get(leaf.as_ref()) {
            Some(group) if accepted => Peer::Enterprise(group),
            Some(_) | None => Peer::Refused,
        }
    }
}

fn doorman(root: CertificateDer<'static>, shared: Arc<Shared>) -> Result<Doorman, Box<dyn std::error::Error>> {
    let mut roots = RootCertStore::empty();
    roots.add(root)?;
    let provider = Arc::new(ring::default_provider());
    let inner = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build()?;
    Ok(Doorman { inner, shared })
}

/// Looks at certificates as the faults in force want it.
#[derive(Debug)]
struct Doorman {
    inner: Arc<dyn ClientCertVerifier>,
    shared: Arc<Shared>,
}

impl Doorman {
    fn mode(&self) -> Certificates {
        self.shared.faults().faults().certificates
    }

    fn accepts(&self, leaf: &CertificateDer<'_>, chain: &[CertificateDer<'_>], now: UnixTime) -> Result<(), Error> {
        match self.mode() {
            Certificates::Alert | Certificates::Page => self.inner.verify_client_cert(leaf, chain, now).map(drop),
            Certificates::Revoked => Err(Error::InvalidCertificate(CertificateError::Revoked)),
        }
    }
}

impl ClientCertVerifier for Doorman {
    fn client_auth_mandatory(&self) -> bool {
        match self.mode() {
            Certificates::Alert | Certificates::Revoked => true,
            Certificates::Page => false,
        }
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.inner.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        leaf: &CertificateDer<'_>,
        chain: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        match (self.accepts(leaf, chain, now), self.mode()) {
            (Ok(()), _) | (Err(_), Certificates::Page) => Ok(ClientCertVerified::assertion()),
            (Err(error), Certificates::Alert | Certificates::Revoked) => Err(error),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls12_signature(message, cert, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls13_signature(message, cert, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}
