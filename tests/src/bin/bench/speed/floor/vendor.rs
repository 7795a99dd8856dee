//! Calling the vendor.

use std::path::Path;
use std::time::{Duration, Instant};

use reqwest::{Certificate, Identity};

use crate::speed::contender::Rows;
use crate::speed::vendor::Addresses;

/// A client with connections that are kept.
pub(crate) struct Client {
    http: reqwest::Client,
    url: String,
}

impl Client {
    pub(crate) fn new(addresses: &Addresses, rows: Rows) -> anyhow::Result<Self> {
        let url = match rows {
            Rows::Two => format!("{}/plain", addresses.plain),
            Rows::Kassa => format!("{}/fr/api/v2/Complex", addresses.secure),
        };
        let files = ["ca.pem", "client.pem", "client.key"].map(|name| addresses.file(name));
        Self::with_files([&files[0], &files[1], &files[2]], url)
    }

    /// The same for another service that wants to see a certificate; the files are authority, certificate and key.
    pub(crate) fn with_files([ca, certificate, key]: [&Path; 3], url: String) -> anyhow::Result<Self> {
        // A second install only says that there is one.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let identity = Identity::from_pem(&[std::fs::read(certificate)?, std::fs::read(key)?].concat())?;
        let http = reqwest::Client::builder()
            .no_proxy()
            .http1_only()
            .identity(identity)
            .tls_certs_only([Certificate::from_pem(&std::fs::read(ca)?)?])
            .build()?;
        Ok(Self { http, url })
    }

    /// One call: the answer, and how long it took.
    pub(crate) async fn post(&self, body: String) -> anyhow::Result<(String, Duration)> {
        let began = Instant::now();
        let answer = self
            .http
            .post(&self.url)
            .header("content-type", "application/json")
            .body(body)
            .send()
            .await?
            .error_for_status()?
            .text()
            .await?;
        Ok((answer, began.elapsed()))
    }
}
