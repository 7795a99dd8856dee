//! `CheckOnline` ("Чек Онлайн"): the request `Complex` to cloud registers (manual 3.2.0 and live clients since).
//!
//! Synchronous: the answer holds the fiscal document, and there is nothing to poll. The service knows us by our
//! certificate and a repetition by its id: the answer to an id is kept for 31 days and given again, whatever the body,
//! which makes repeating under the same id the safe way out of a doubt. What it does not keep (a silent board, a failing
//! drive or printer) only the register itself remembers, for an hour.

mod client;
mod codes;
mod config;
mod credentials;
mod judge;
mod link;
#[cfg(test)]
mod tests;
mod wire;

use std::time::{Duration, Instant};

use async_trait::async_trait;
use receipt::{Refusal, RetryClass, Text, VendorName};

pub use config::CheckOnlineSettings;

use crate::http::{CallTimeouts, Effect, How, Silence};
use crate::mask::Mask;
use crate::registry::KnownCode;
use crate::vendor::{Call, Exchange, Follower, LONGEST_ANSWER_KEPT, Origin, Registered, Rendering, Reply, Vendor};
use client::{Client, NoAnswer};
use codes::{Memory, Proof, Verdict};
use credentials::Credentials;
use link::LinkTemplate;

/// The name in the registry.
pub(crate) const NAME: &str = "checkonline";

/// The service keeps answers for at least 31 days (manual 3.2.0).
const SERVICE_REMEMBERS: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// A register keeps them for an hour or 15 000 entries; the rest is for the call and the clocks.
const REGISTER_REMEMBERS: Duration = Duration::from_secs(50 * 60);

/// Beside the call itself: reading the files, judging.
const MARGIN: Duration = Duration::from_secs(1);

/// [`NAME`], parsed.
pub(crate) fn name() -> VendorName {
    VendorName::parse(NAME).expect("the name is made of lower-case letters")
}

/// The code table, for people.
pub(crate) fn known_codes() -> Vec<KnownCode> {
    let known = |row: &codes::Code| KnownCode {
        kind: row.kind.name().to_owned(),
        code: row.code.to_string(),
        class: row.verdict(None).class().name(),
        proves_dead: match row.proves {
            Proof::NotRegistered => true,
            Proof::Nothing => false,
        },
        cause: codes::text(row.cause),
        cure: codes::text(row.cure),
        source: row.source,
    };
    codes::all().iter().map(known).collect()
}

/// One account at `CheckOnline`.
pub(crate) struct CheckOnline {
    name: VendorName,
    settings: CheckOnlineSettings,
    client: Client,
    link: Option<LinkTemplate>,
    timeouts: CallTimeouts,
}

impl CheckOnline {
    /// Takes settings without faults. The files are not looked at.
    pub(crate) fn new(settings: &CheckOnlineSettings, general: CallTimeouts) -> Result<Self, String> {
        let timeouts = settings.timeouts(general);
        let base = settings.base()?;
        let link = settings.ofd_url.as_deref().map(LinkTemplate::parse).transpose();
        Ok(Self {
            name: name(),
            settings: settings.clone(),
            client: Client::new(Credentials::new(settings, timeouts), &base),
            link: link.map_err(|fault| format!("ofd_url: {fault}"))?,
            timeouts,
        })
    }

    /// A silence, with the files in its words where they have a part in it.
    fn silent(&self, silence: &Silence) -> Refusal {
        let refusal = silence.refusal(Effect::Registers);
        let credentials = self.client.credentials();
        match silence.how {
            How::Identity => {
                let file = credentials.cert_file().display();
                Refusal {
                    cause: Text::new(
                        format!("Сервис не принял сертификат {file}: он истёк, отозван или от другой организации."),
                        format!(
                            "The service did not accept the certificate {file}: it has expired, is revoked or is another enterprise's."
                        ),
                    ),
                    cure: judge::renew(),
                    ..refusal
                }
            }
            How::Certificate => {
                let roots = match credentials.ca_file() {
                    Some(file) => file.display().to_string(),
                    None => "ca_file".to_owned(),
                };
                Refusal {
                    cure: Text::new(
                        format!(
                            "Проверьте url и часы этой машины; если у сервиса свой корневой сертификат, положите его в {roots}."
                        ),
                        format!(
                            "Check url and this machine's clock; if the service has a root certificate of its own, put it into {roots}."
                        ),
                    ),
                    ..refusal
                }
            }
            How::Impossible
            | How::Dns
            | How::Connect
            | How::ConnectTimeout
            | How::Tls
            | How::Timeout
            | How::Cut
            | How::TooLong => refusal,
        }
    }
}

fn inexpressible(wire::Inexpressible(what): &wire::Inexpressible) -> Box<Refusal> {
    Box::new(Refusal {
        class: RetryClass::Permanent,
        kind: "render".to_owned(),
        code: "inexpressible".to_owned(),
        message: String::new(),
        cause: Text::new(
            format!("Чек нельзя передать в «Чек Онлайн»: {}.", what.ru),
            format!("The receipt cannot be sent to CheckOnline: {}.", what.en),
        ),
        cure: Text::new(
            "Исправьте данные чека и отправьте его заново.",
            "Correct the receipt's data and send it again.",
        ),
    })
}

#[async_trait]
impl Vendor for CheckOnline {
    fn name(&self) -> &VendorName {
        &self.name
    }

    fn render(&self, rendering: &Rendering<'_>) -> Result<String, Box<Refusal>> {
        wire::complex(rendering, &self.settings).map_err(|what| inexpressible(&what))
    }

    async fn register(&self, call: &Call<'_>) -> Reply<Registered> {
        let began = Instant::now();
        let sent = wire::Sent::of(call.wire_body);
        let mut mask = Mask::default();
        sent.iter()
            .flat_map(wire::Sent::personal)
            .for_each(|personal| mask.hide(personal));
        let mut origin = Origin::default();
        let (http_status, answer, outcome) = match self.client.complex(call.wire_body, self.timeouts.call).await {
            Ok(answered) => {
                let kept = mask.text(&answered.http.body, LONGEST_ANSWER_KEPT);
                let question = judge::Question {
                    sent: sent.as_ref(),
                    operation: call.operation,
                    link: self.link.as_ref(),
                    cert_file: self.client.credentials().cert_file(),
                    mask: &mask,
                };
                let outcome = judge::registration(&answered, &question);
                origin = answered.origin();
                (Some(answered.http.status), Some(kept), outcome)
            }
            Err(NoAnswer::NotSent(unusable)) => (None, None, Err(Box::new(unusable.refusal()))),
            Err(NoAnswer::Silence(silence)) => {
                let kept = (!silence.partial.is_empty()).then(|| mask.text(&silence.partial, LONGEST_ANSWER_KEPT));
                (silence.http_status, kept, Err(Box::new(self.silent(&silence))))
            }
        };
        Reply {
            exchange: Exchange {
                request: format!("POST {}", self.client.endpoint().path()),
                http_status,
                answer,
                duration: began.elapsed(),
                origin,
            },
            outcome,
        }
    }

    fn follower(&self) -> Option<&dyn Follower> {
        None
    }

    /// The service has no call without an effect that the cloud is known to allow.
    async fn probe(&self) -> Option<Reply<()>> {
        None
    }

    fn idempotency_horizon(&self, refusal: Option<&Refusal>) -> Duration {
        match refusal.map_or(Memory::Service, codes::memory_after) {
            Memory::Device => REGISTER_REMEMBERS,
            Memory::Service => SERVICE_REMEMBERS,
        }
    }

    fn may_have_forgotten(&self, kind: &str, code: &str) -> bool {
        codes::named(kind, code)
            .is_some_and(|row| matches!(row.verdict, Verdict::Halt { .. }) && row.memory == Memory::Device)
    }

    fn longest_call(&self) -> Duration {
        self.timeouts.call + MARGIN
    }
}
