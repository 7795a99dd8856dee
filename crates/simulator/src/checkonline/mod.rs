//! CheckOnline ("Чек Онлайн"), the request `Complex` over mutual TLS, written from the vendor's documents alone.
//!
//! Section numbers in this folder are those of the project's fact sheet about CheckOnline.

mod answers;
mod authority;
mod codes;
mod device;
mod endpoint;
mod office;
mod order;
mod rules;
mod tls;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::books::Document;
use crate::shared::{Shared, lock};
use office::Office;

pub(crate) use authority::Authority;
pub use authority::{Certificate, CheckOnlineFiles};

/// The name in books and rules.
pub(crate) const NAME: &str = "checkonline";

/// Whether errors of that kind are this vendor's.
pub(crate) fn is_kind(kind: &str) -> bool {
    matches!(kind, "device" | "fce")
}

/// How the vendor behaves when nothing is wrong.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings {
    /// A register works on a receipt between these two durations.
    pub(crate) delay: (Duration, Duration),
    /// How many registers each group has.
    pub(crate) registers: usize,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            delay: (Duration::from_millis(300), Duration::from_millis(1_500)),
            registers: 2,
        }
    }
}

/// The simulated service.
#[derive(Debug)]
pub(crate) struct CheckOnline {
    shared: Arc<Shared>,
    office: Mutex<Office>,
    settings: Settings,
    /// Registers at work: what was handed over is carried out although the client hangs up.
    works: TaskTracker,
}

impl CheckOnline {
    pub(crate) fn new(shared: Arc<Shared>, settings: Settings) -> CheckOnline {
        CheckOnline {
            shared,
            office: Mutex::default(),
            settings,
            works: TaskTracker::new(),
        }
    }

    /// Serves clients that show a certificate of `authority`, until `stop`.
    pub(crate) async fn run(self: Arc<Self>, listener: TcpListener, authority: Authority, stop: CancellationToken) {
        tls::serve(Arc::clone(&self), listener, authority, stop).await;
        self.works.close();
        let _ = tokio::time::timeout(Duration::from_secs(1), self.works.wait()).await;
    }

    pub(crate) fn documents(&self) -> Vec<Document> {
        lock(&self.office).documents()
    }

    pub(crate) fn refused(&self) -> BTreeMap<String, u64> {
        lock(&self.office).refused()
    }

    pub(crate) fn forget_documents(&self) {
        lock(&self.office).forget_documents();
    }

    pub(crate) fn forget_in_devices(&self) {
        lock(&self.office).forget_in_devices();
    }

    pub(crate) fn close_shifts(&self) {
        lock(&self.office).close_shifts();
    }
}
