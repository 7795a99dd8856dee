//! Telling the client that a document has ended (fact sheet, section 6.5): an unsigned POST of the report's body.

use std::time::Duration;

use bytes::Bytes;
use uuid::Uuid;

use super::Atol;
use super::answers;
use super::office::Record;
use crate::faults::Callbacks;
use crate::shared::lock;

/// How long the receiver may take; undocumented.
const PATIENCE: Duration = Duration::from_secs(5);

/// A call that is to be made.
#[derive(Clone, Debug)]
pub(super) struct Callback {
    uuid: Uuid,
    url: String,
    body: Bytes,
}

impl Callback {
    /// The call for an ended document, if its request asked for one.
    pub(super) fn of(record: &Record) -> Option<Callback> {
        record.wants_callback().then(|| Callback {
            uuid: record.uuid,
            url: record.order.callback_url.clone(),
            body: answers::report(record).body,
        })
    }
}

impl Atol {
    /// Makes the calls in the background, as the faults in force have it.
    pub(super) fn call_back_later(self: &std::sync::Arc<Self>, callbacks: Vec<Callback>) {
        if callbacks.is_empty() {
            return;
        }
        let mode = self.shared.faults().faults().callbacks;
        for callback in callbacks {
            let times = match mode {
                Callbacks::On | Callbacks::Early => 1,
                Callbacks::Twice => 2,
                Callbacks::Repeated(times) => times,
                Callbacks::Off => 0,
                Callbacks::Lost => {
                    self.shared.count("callback fault lost".to_owned());
                    0
                }
            };
            let atol = std::sync::Arc::clone(self);
            self.callbacks.spawn(async move {
                for _ in 0..times {
                    if atol.stop.run_until_cancelled(atol.call_back(&callback)).await.is_none() {
                        break;
                    }
                }
            });
        }
    }

    /// Makes one call and does not repeat it: whether the true service does is unknown.
    ///
    /// Redirects are followed as an ordinary HTTP client does, which turns POST into GET: one receiver saw just that.
    pub(super) async fn call_back(&self, callback: &Callback) {
        let request = self
            .client
            .post(&callback.url)
            .header(reqwest::header::CONTENT_TYPE, "application/json")
            .timeout(PATIENCE)
            .body(callback.body.clone());
        match request.send().await {
            Ok(response) => {
                self.shared.count(format!("callback {}", response.status().as_u16()));
                lock(&self.office).note_callback(callback.uuid);
            }
            Err(error) => {
                tracing::debug!(%error, url = callback.url, "callback failed");
                self.shared.count("callback failed".to_owned());
            }
        }
    }
}
