//! Handing a mail over to a server, and knowing what is known afterwards.
//!
//! Until the first byte of the mail itself nothing can have been taken, whatever goes wrong. From then on only the
//! server's answer says what became of it.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use lettre::message::Mailbox;
use lettre::transport::smtp::authentication::{Credentials, DEFAULT_MECHANISMS};
use lettre::transport::smtp::client::{AsyncSmtpConnection, Certificate, TlsParameters};
use lettre::transport::smtp::commands::{Data, Mail, Rcpt};
use lettre::transport::smtp::extension::ClientId;
use lettre::{Address, transport::smtp};
use secrecy::ExposeSecret;

use crate::config::{MailConfig, Tls};

/// What a server that was told goodbye may take for its answer.
const GOODBYE: Duration = Duration::from_secs(2);

/// Why mail cannot be handed over as configured.
#[derive(Debug, thiserror::Error)]
pub enum Unusable {
    /// A file cannot be read.
    #[error("{} cannot be read", .0.display())]
    Unreadable(PathBuf, #[source] std::io::Error),
    /// A file holds no certificate.
    #[error("{} holds no certificate in PEM", .0.display())]
    NoCertificate(PathBuf),
    /// The name is none that a certificate could have.
    #[error("the server's certificate cannot be checked")]
    Tls(#[source] smtp::Error),
    /// The address of the one who writes is none.
    #[error("is not an address")]
    From(#[source] lettre::address::AddressError),
    /// Passwords and figures would go over the net for everybody to read.
    #[error("none is for an address of this machine such as 127.0.0.1; {0} is not one")]
    Plain(String),
}

impl Unusable {
    /// The key of the section that it is about.
    #[must_use]
    pub const fn key(&self) -> &'static str {
        match self {
            Self::Unreadable(..) | Self::NoCertificate(_) => "ca_file",
            Self::Tls(_) => "server",
            Self::From(_) => "from",
            Self::Plain(_) => "tls",
        }
    }
}

/// What is known after a try.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Handed {
    /// The server took it.
    Taken,
    /// The server certainly did not take it.
    NotTaken(String),
    /// The server may have taken it: its answer was lost.
    InDoubt(String),
}

/// Hands mails over, each on a connection of its own.
#[derive(Clone)]
pub struct Mailer {
    server: String,
    port: u16,
    mode: Tls,
    tls: Option<TlsParameters>,
    credentials: Option<Credentials>,
    timeout: Duration,
    /// Who writes.
    pub(crate) from: Mailbox,
    /// Who is answered.
    pub(crate) reply_to: Option<Mailbox>,
}

impl Mailer {
    /// The mailer of a section; `None` without a server.
    ///
    /// # Errors
    /// What cannot work.
    pub fn build(config: &MailConfig) -> Result<Option<Self>, Unusable> {
        let (Some(server), Some(from)) = (&config.server, &config.from) else {
            return Ok(None);
        };
        let parse = |text: &String| text.parse::<Mailbox>().map_err(Unusable::From);
        Ok(Some(Self {
            server: server.clone(),
            port: config.port(),
            mode: config.tls,
            tls: parameters(config, server)?,
            credentials: config
                .user
                .as_ref()
                .zip(config.password.as_ref())
                .map(|(user, password)| Credentials::new(user.clone(), password.expose_secret().to_owned())),
            timeout: config.timeout,
            from: parse(from)?,
            reply_to: config.reply_to.as_ref().map(parse).transpose()?,
        }))
    }

    /// Hands over the bytes of a mail to one recipient.
    pub(crate) async fn hand_over(&self, recipient: &Address, bytes: &[u8]) -> Handed {
        let mut connection = match tokio::time::timeout(self.timeout, self.open(recipient)).await {
            Ok(Ok(connection)) => connection,
            Ok(Err(error)) => return Handed::NotTaken(service::error::chain(&error)),
            Err(_) => return Handed::NotTaken("the server did not answer in time".to_owned()),
        };
        let answer = tokio::time::timeout(self.timeout, connection.message(bytes)).await;
        let handed = match answer {
            Ok(Ok(_)) => Handed::Taken,
            // An answer with a code is an answer: the server says that it did not take the mail.
            Ok(Err(error)) if error.status().is_some() => Handed::NotTaken(service::error::chain(&error)),
            Ok(Err(error)) => Handed::InDoubt(service::error::chain(&error)),
            Err(_) => Handed::InDoubt("the server did not say in time whether it took the mail".to_owned()),
        };
        let _ = tokio::time::timeout(GOODBYE, connection.abort()).await;
        handed
    }

    /// Everything up to the mail itself.
    async fn open(&self, recipient: &Address) -> Result<AsyncSmtpConnection, smtp::Error> {
        let hello = ClientId::default();
        let immediate = match self.mode {
            Tls::Tls => self.tls.clone(),
            Tls::StartTls | Tls::None => None,
        };
        let server = (self.server.as_str(), self.port);
        let mut connection =
            AsyncSmtpConnection::connect_tokio1(server, Some(self.timeout), &hello, immediate, None).await?;
        if self.mode == Tls::StartTls
            && let Some(tls) = &self.tls
        {
            // A server that does not offer it is refused: nothing is said in plain text.
            connection.starttls(tls.clone(), &hello).await?;
        }
        if let Some(credentials) = &self.credentials {
            connection.auth(DEFAULT_MECHANISMS, credentials).await?;
        }
        connection
            .command(Mail::new(Some(self.from.email.clone()), Vec::new()))
            .await?;
        connection.command(Rcpt::new(recipient.clone(), Vec::new())).await?;
        connection.command(Data).await?;
        Ok(connection)
    }
}

fn parameters(config: &MailConfig, server: &str) -> Result<Option<TlsParameters>, Unusable> {
    match config.tls {
        Tls::None if server.parse::<IpAddr>().is_ok_and(|address| address.is_loopback()) => return Ok(None),
        Tls::None => return Err(Unusable::Plain(server.to_owned())),
        Tls::StartTls | Tls::Tls => {}
    }
    let mut parameters = TlsParameters::builder(server.to_owned());
    if let Some(path) = &config.ca_file {
        let pem = std::fs::read(path).map_err(|error| Unusable::Unreadable(path.clone(), error))?;
        let holds_one = pem
            .windows(b"BEGIN CERTIFICATE".len())
            .any(|part| part == b"BEGIN CERTIFICATE");
        let certificate = Certificate::from_pem(&pem)
            .ok()
            .filter(|_| holds_one)
            .ok_or_else(|| Unusable::NoCertificate(path.clone()))?;
        parameters = parameters.add_root_certificate(certificate);
    }
    parameters.build().map(Some).map_err(Unusable::Tls)
}
