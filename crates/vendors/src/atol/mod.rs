//! ATOL Online, protocol version 4 (fiscal format 1.05).
//!
//! A registration is taken by a POST and followed by reports; the service recognises a repeated external id and answers
//! with the uuid of the first document (error 33), which makes repeating under the same id the safe way out of a doubt.
//! What is known of the service comes from its v4 document 5.23 and, for register codes, from the v5 document 3.5.

mod callback;
mod client;
mod codes;
mod config;
mod judge;
#[cfg(test)]
mod tests;
mod token;
mod wire;

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use receipt::{Refusal, RetryClass, Text, VendorName, VendorUuid};
use secrecy::{ExposeSecret, SecretString};

pub use config::AtolSettings;
pub(crate) use token::Tokens;

use crate::http::{CallTimeouts, Effect, How, Http, Silence, TRANSPORT};
use crate::mask::Mask;
use crate::registry::KnownCode;
use crate::vendor::{
    Call, Caller, Exchange, Follower, LONGEST_ANSWER_KEPT, Named, News, Origin, Registered, Rendering, Reply, Vendor,
};
use client::{Answered, Client};
use codes::{Place, Proof};
use token::{Token, TokenSource};

/// The name in the registry.
pub(crate) const NAME: &str = "atol";

/// Results can be read for 32 days in v4 and 30 in v5; how long an id is remembered is documented nowhere, so it is
/// believed for the shorter of the two (v4 document 5.23 §10).
const IDEMPOTENCY_HORIZON: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// Beside the calls themselves: building, reading and judging.
const MARGIN: Duration = Duration::from_secs(1);

/// [`NAME`], parsed.
pub(crate) fn name() -> VendorName {
    VendorName::parse(NAME).expect("the name is made of lower-case letters")
}

/// The code table, for people.
pub(crate) fn known_codes() -> Vec<KnownCode> {
    let known = |row: &codes::Code| {
        // A code of the service judges the receipt where it is registered, all others where it is reported.
        let judged_in = match row.places.report {
            codes::Verdict::Rekey | codes::Verdict::Permanent | codes::Verdict::Unknown => Place::Report,
            codes::Verdict::NotSeen
            | codes::Verdict::MaybeSeen
            | codes::Verdict::FreshToken
            | codes::Verdict::Adopt
            | codes::Verdict::NoNews
            | codes::Verdict::Wait
            | codes::Verdict::Halt => Place::Registration,
        };
        KnownCode {
            kind: row.kind.name().to_owned(),
            code: row.code.to_string(),
            class: row.places.of(judged_in).class(judged_in).name(),
            proves_dead: match row.proves {
                Proof::NotRegistered => true,
                Proof::Taken | Proof::Nothing => false,
            },
            cause: codes::text(row.cause),
            cure: codes::text(row.cure),
            source: row.source,
        }
    };
    codes::all().iter().map(known).collect()
}

/// One account at ATOL Online.
pub(crate) struct Atol {
    name: VendorName,
    client: Client,
    tokens: Arc<TokenSource>,
    timeouts: CallTimeouts,
}

/// A call that came to a refusal, with its evidence.
struct Failed {
    evidence: Evidence,
    refusal: Box<Refusal>,
}

/// What is stored of one HTTP exchange.
#[derive(Clone)]
struct Evidence {
    request: String,
    http_status: Option<u16>,
    answer: Option<String>,
}

/// The two things that need a token.
#[derive(Clone, Copy)]
enum Question<'a> {
    Registration(&'a Call<'a>),
    Report(&'a VendorUuid),
}

impl Atol {
    /// Takes settings without faults.
    pub(crate) fn new(
        settings: &AtolSettings,
        http: Http,
        timeouts: CallTimeouts,
        tokens: &mut Tokens,
    ) -> Result<Self, String> {
        let base = settings.base()?;
        Ok(Self {
            name: name(),
            tokens: tokens.source(&base, &settings.login),
            client: Client::new(http, base, settings.clone()),
            timeouts,
        })
    }

    /// Asks with a token, and once more with a fresh one if the first is refused.
    ///
    /// Everything together, token and repetition included, ends within the time of one call: the lease of a claim is
    /// reckoned with it.
    async fn ask(&self, question: Question<'_>, mask: &mut Mask) -> Result<(Evidence, Answered<wire::Answer>), Failed> {
        let deadline = Instant::now() + self.timeouts.call;
        mask.hide(self.client.password().expose_secret());
        let mut refused: Option<Token> = None;
        loop {
            let token = self.token(refused.as_ref(), deadline).await?;
            mask.hide(token.value.expose_secret());
            let left = deadline.saturating_duration_since(Instant::now());
            if left < self.timeouts.call / 2 {
                return Err(self.token_came_late(question));
            }
            let limit = left.min(self.timeouts.call);
            let answered = match question {
                Question::Registration(call) => {
                    let operation = wire::segment(call.operation);
                    self.client
                        .register(&token.value, operation, call.wire_body, limit)
                        .await
                }
                Question::Report(uuid) => self.client.report(&token.value, uuid.as_str(), limit).await,
            };
            let answered = match answered {
                Ok(answered) => answered,
                Err(silence) => return Err(self.failed(question, mask, question.effect(), &silence)),
            };
            let evidence = Evidence {
                request: self.request(question),
                http_status: Some(answered.http.status),
                answer: Some(mask.text(&answered.http.body, LONGEST_ANSWER_KEPT)),
            };
            if !judge::refuses_the_token(question.place(), &answered) {
                return Ok((evidence, answered));
            }
            if refused.is_some() {
                return Err(Failed {
                    evidence,
                    refusal: token_refused_twice(&answered),
                });
            }
            refused = Some(token);
        }
    }

    async fn token(&self, refused: Option<&Token>, deadline: Instant) -> Result<Token, Failed> {
        let waited = tokio::time::timeout_at(deadline.into(), self.tokens.token(refused, self.fetch_token())).await;
        match waited {
            Ok(Ok(token)) => Ok(token),
            Ok(Err(shared)) => Err(Failed {
                evidence: shared.evidence.clone(),
                refusal: shared.refusal.clone(),
            }),
            Err(_elapsed) => Err(self.no_token(&Mask::default(), &Silence::without_answer(How::Timeout))),
        }
    }

    async fn fetch_token(&self) -> Result<SecretString, Failed> {
        let (_, token) = self.get_token().await?;
        Ok(token)
    }

    async fn get_token(&self) -> Result<(Evidence, SecretString), Failed> {
        let mut mask = Mask::default();
        mask.hide(self.client.password().expose_secret());
        let answered = match self.client.get_token(self.timeouts.call).await {
            Ok(answered) => answered,
            Err(silence) => return Err(self.no_token(&mask, &silence)),
        };
        let mut evidence = Evidence {
            request: request_line("POST", &self.client.token_url()),
            http_status: Some(answered.http.status),
            answer: None,
        };
        match judge::token(&answered, &mask) {
            // An answer with a good token is not kept: it has nothing but the secret.
            Ok(token) => Ok((evidence, token)),
            Err(refusal) => {
                evidence.answer = Some(mask.text(&answered.http.body, LONGEST_ANSWER_KEPT));
                Err(Failed { evidence, refusal })
            }
        }
    }

    fn no_token(&self, mask: &Mask, silence: &Silence) -> Failed {
        Failed {
            evidence: Evidence::of_silence(request_line("POST", &self.client.token_url()), mask, silence),
            refusal: Box::new(silence.refusal(Effect::Asks)),
        }
    }

    fn failed(&self, question: Question<'_>, mask: &Mask, effect: Effect, silence: &Silence) -> Failed {
        Failed {
            evidence: Evidence::of_silence(self.request(question), mask, silence),
            refusal: Box::new(silence.refusal(effect)),
        }
    }

    /// Too little time is left to wait for an answer, so the question is not put (again): an unsent call is harmless
    /// and one that is given up early is a doubt. If it was put before, the refused token proves that it did nothing.
    fn token_came_late(&self, question: Question<'_>) -> Failed {
        Failed {
            evidence: Evidence {
                request: self.request(question),
                http_status: None,
                answer: None,
            },
            refusal: Box::new(Refusal {
                class: RetryClass::NOT_SEEN,
                kind: TRANSPORT.to_owned(),
                code: "token_late".to_owned(),
                message: String::new(),
                cause: Text::new(
                    "Токен пришёл слишком поздно, вызов не сделан.",
                    "The token came too late for the call to be made.",
                ),
                cure: Text::new("Повторится само.", "It is repeated by itself."),
            }),
        }
    }

    fn request(&self, question: Question<'_>) -> String {
        match question {
            Question::Registration(call) => {
                request_line("POST", &self.client.group_url(&[wire::segment(call.operation)]))
            }
            Question::Report(uuid) => request_line("GET", &self.client.group_url(&["report", uuid.as_str()])),
        }
    }
}

impl Question<'_> {
    const fn place(self) -> Place {
        match self {
            Self::Registration(_) => Place::Registration,
            Self::Report(_) => Place::Report,
        }
    }

    const fn effect(self) -> Effect {
        match self {
            Self::Registration(_) => Effect::Registers,
            Self::Report(_) => Effect::Asks,
        }
    }
}

impl Evidence {
    fn of_silence(request: String, mask: &Mask, silence: &Silence) -> Self {
        let answer = (!silence.partial.is_empty()).then(|| mask.text(&silence.partial, LONGEST_ANSWER_KEPT));
        Self {
            request,
            http_status: silence.http_status,
            answer,
        }
    }

    fn reply<T>(self, began: Instant, outcome: Result<T, Box<Refusal>>) -> Reply<T> {
        let Self {
            request,
            http_status,
            answer,
        } = self;
        Reply {
            exchange: Exchange {
                request,
                http_status,
                answer,
                duration: began.elapsed(),
                // What it repeats, it repeats as error 33, with the uuid of the first try.
                origin: Origin::Fresh,
            },
            outcome,
        }
    }
}

fn request_line(method: &str, url: &url::Url) -> String {
    format!("{method} {}", url.path())
}

/// A fresh token that is refused as the old one was: something is wrong with the account, and no repetition mends it.
fn token_refused_twice(answered: &Answered<wire::Answer>) -> Box<Refusal> {
    let code = answered
        .parsed
        .as_ref()
        .and_then(|parsed| parsed.error.as_ref())
        .map(|error| error.code);
    Box::new(Refusal {
        class: RetryClass::Halt { certain: true },
        kind: codes::Kind::System.name().to_owned(),
        code: code.unwrap_or_default().to_string(),
        message: String::new(),
        cause: Text::new("Сервис отверг и новый токен.", "The service refused a fresh token too."),
        cure: Text::new(
            "Проверьте логин и группу счёта и часы машины; чеки ждут и уйдут сами.",
            "Check the account's login and group and this machine's clock; the receipts wait and go out by themselves.",
        ),
    })
}

fn inexpressible(wire::Inexpressible(what): &wire::Inexpressible) -> Box<Refusal> {
    Box::new(Refusal {
        class: RetryClass::Permanent,
        kind: "render".to_owned(),
        code: "inexpressible".to_owned(),
        message: String::new(),
        cause: Text::new(
            format!("Чек нельзя передать в АТОЛ Онлайн v4: {}.", what.ru),
            format!("The receipt cannot be sent to ATOL Online v4: {}.", what.en),
        ),
        cure: Text::new(
            "Исправьте данные чека и отправьте его заново.",
            "Correct the receipt's data and send it again.",
        ),
    })
}

#[async_trait]
impl Vendor for Atol {
    fn name(&self) -> &VendorName {
        &self.name
    }

    fn render(&self, rendering: &Rendering<'_>) -> Result<String, Box<Refusal>> {
        wire::registration(rendering).map_err(|what| inexpressible(&what))
    }

    async fn register(&self, call: &Call<'_>) -> Reply<Registered> {
        let began = Instant::now();
        let mut mask = Mask::default();
        wire::SentBuyer::of(call.wire_body).for_each(|personal| mask.hide(&personal));
        match self.ask(Question::Registration(call), &mut mask).await {
            Ok((evidence, answered)) => evidence.reply(began, judge::registration(&answered, &mask)),
            Err(Failed { evidence, refusal }) => evidence.reply(began, Err(refusal)),
        }
    }

    fn follower(&self) -> Option<&dyn Follower> {
        Some(self)
    }

    fn caller(&self) -> Option<&dyn Caller> {
        Some(self)
    }

    /// A token is asked for anew, whatever is cached. It proves the address, the login and the certificate, not the
    /// group.
    async fn probe(&self) -> Option<Reply<()>> {
        let began = Instant::now();
        Some(match self.get_token().await {
            Ok((evidence, _token)) => evidence.reply(began, Ok(())),
            Err(Failed { evidence, refusal }) => evidence.reply(began, Err(refusal)),
        })
    }

    fn idempotency_horizon(&self, _refusal: Option<&Refusal>) -> Duration {
        IDEMPOTENCY_HORIZON
    }

    fn longest_call(&self) -> Duration {
        self.timeouts.call + MARGIN
    }
}

#[async_trait]
impl Follower for Atol {
    async fn follow(&self, vendor_uuid: &VendorUuid) -> Reply<News> {
        let began = Instant::now();
        let mut mask = Mask::default();
        match self.ask(Question::Report(vendor_uuid), &mut mask).await {
            Ok((evidence, answered)) => evidence.reply(began, judge::report(&answered, vendor_uuid, &mask)),
            Err(Failed { evidence, refusal }) => evidence.reply(began, Err(refusal)),
        }
    }
}

impl Caller for Atol {
    fn named(&self, body: &[u8]) -> Named {
        callback::named(body)
    }

    fn address_fault(&self, url: &str) -> Option<&'static str> {
        callback::address_fault(url)
    }
}
