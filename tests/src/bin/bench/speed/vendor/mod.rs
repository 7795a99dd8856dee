//! The vendor that every contender calls: as little work as a server can do that still keeps books.
//!
//! The simulator checks what a cash register checks and can be told to fail, which costs more than the batched floor's
//! own work (`ceiling.rs` measures both); on two cores that would hide the differences that are to be measured. It
//! speaks `CheckOnline` over mutual TLS, ATOL Online's registration, and a plain POST; all three write into the same books.

mod answers;
mod books;
mod handle;
mod server;
mod tls;

use std::io::Write as _;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;

pub(crate) use books::micros_now;
pub(crate) use handle::Vendor;

/// Where it listens, told on standard output in one line.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Addresses {
    /// `http://host:port`: the plain POST, ATOL Online and the control.
    pub(crate) plain: String,
    /// `https://host:port`: `CheckOnline`.
    pub(crate) secure: String,
    /// The folder with `ca.pem`, `client.pem` and `client.key`.
    pub(crate) certificates: PathBuf,
}

impl Addresses {
    /// One of the files for clients.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.certificates.join(name)
    }
}

/// Serves until the process is ended.
pub(crate) async fn serve(certificates: PathBuf) -> anyhow::Result<()> {
    let tls = tls::acceptor(&certificates)?;
    let plain = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let secure = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let addresses = Addresses {
        plain: format!("http://{}", plain.local_addr()?),
        secure: format!("https://{}", secure.local_addr()?),
        certificates,
    };
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "{}", serde_json::to_string(&addresses)?)?;
    stdout.flush()?;
    drop(stdout);
    let books = Arc::default();
    tokio::join!(
        server::plain(plain, Arc::clone(&books)),
        server::secure(secure, tls, books)
    );
    Ok(())
}
