//! Before a new id is sent, the id that it follows is asked about once more.
//!
//! A re-key rests on one answer that said the old id is dead. Vendors have been wrong, and the new id would then be a
//! second receipt: so nothing is posted under it until the vendor has said so again, directly. The same goes for a
//! corrected receipt, whose predecessor is an id of the transaction that it corrects.
//!
//! These questions are not counted against the limits of polls: there is one for each send of a later id, which the limits
//! of sends hold already.

use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::tz::TimeZone;
use ledger::{Claimed, Evidence, Past, PollRecord, PollVerdict, Polled, Recorded, Verdict, until_taken};
use receipt::{Doubt, Failure, FiscalDocument, Refusal, RetryClass, Text};
use vendors::{Exchange, News, Origin, Reply};

use crate::attempt::finish;
use crate::decide::{Decided, forgotten};
use crate::sender::Context;

/// What the vendor says about the old id now.
#[derive(Debug)]
enum Standing {
    /// Dead, again.
    Dead(Box<Refusal>),
    /// Registered after all.
    Registered(Box<FiscalDocument>),
    /// There is a document under it, and it is not ours.
    Foreign(Box<Refusal>),
    /// Nothing that settles it.
    Undecided(Option<Box<Refusal>>),
}

/// Asks about the old id. Returns the claim, and since when it holds, if its own id may be sent.
pub(crate) async fn ask(
    context: &Arc<Context>,
    claimed: Box<Claimed>,
    claimed_at: Instant,
    predecessor: Polled,
    past: &Past,
) -> Option<(Box<Claimed>, Instant)> {
    // A corrected receipt may go through another account than the one that it corrects.
    let Some(vendor) = context.registry.get(&predecessor.account) else {
        let reason = account_missing(&predecessor);
        let decided = not_yet(context, &claimed, &predecessor, Some(&reason));
        finish(context, claimed, not_asked(), decided, None).await;
        return None;
    };
    let Some(follower) = vendor.follower() else {
        return Some((claimed, claimed_at));
    };
    let Reply { exchange, outcome } = follower.follow(&predecessor.vendor_uuid).await;
    let old = predecessor.external_id.clone();
    let is_correction = predecessor.subject.transaction_id != claimed.subject.transaction_id;
    let record = |refusal, verdict| PollRecord::new(predecessor.clone(), evidence(&exchange), refusal, verdict);
    let word = Word {
        is_given: past.is_released,
        is_correction,
        horizon: vendor.idempotency_horizon(None),
    };
    match standing(outcome, &predecessor, word, &context.moscow) {
        Standing::Dead(refusal) if is_correction => {
            let record = record(Some(refusal), PollVerdict::Dead(None)).before_correcting();
            // It is evidence about another transaction and renews no claim, so ours holds as long as it did.
            keep(context, record).await.map(|_| (claimed, claimed_at))
        }
        Standing::Dead(refusal) => {
            let asked_at = Instant::now();
            let record = record(Some(refusal), PollVerdict::Dead(None));
            let record = record.before_sending(&claimed, context.config.claim_lease());
            match keep(context, record).await {
                Some(Recorded::Applied | Recorded::Already) => Some((claimed, asked_at)),
                Some(Recorded::Fenced) => {
                    tracing::warn!("the lease was over before the old id {old} was asked about; nothing is sent");
                    None
                }
                None => None,
            }
        }
        Standing::Registered(fiscal) => {
            tracing::warn!(
                fd = fiscal.fd,
                "{old} is registered after all; {} is not sent",
                claimed.external_id
            );
            let record = record(None, PollVerdict::Done(fiscal));
            if is_correction {
                // The correction ends first: while it is open, the document of the former receipt would look like one
                // of two. If we die in between, the former id is asked about again by the poller.
                let decided = superfluous(&claimed, &predecessor);
                finish(context, claimed, exchange.clone(), decided, None).await;
                let _ = keep(context, record.before_correcting()).await;
            } else {
                let record = record.before_sending(&claimed, context.config.claim_lease());
                let _ = keep(context, record).await;
            }
            None
        }
        Standing::Foreign(refusal) => {
            let decided = unknown(refusal);
            finish(context, claimed, exchange, decided, None).await;
            None
        }
        Standing::Undecided(reason) => {
            let decided = if past.age >= vendor.idempotency_horizon(None) {
                unknown(forgotten(reason.as_deref()))
            } else {
                not_yet(context, &claimed, &predecessor, reason.as_deref())
            };
            finish(context, claimed, exchange, decided, None).await;
            None
        }
    }
}

/// What people have said about the old id.
#[derive(Debug, Clone, Copy)]
struct Word {
    /// By `resolve`: that nothing is registered under it.
    is_given: bool,
    /// By a corrected receipt: that the vendor's refusal was right.
    is_correction: bool,
    /// How long the vendor knows its ids.
    horizon: Duration,
}

/// A person's word settles what the vendor leaves open for good: a failure that proves nothing, or an id that it has
/// forgotten. It does not stand against a document, nor against one that is still being made.
fn standing(outcome: Result<News, Box<Refusal>>, asked: &Polled, word: Word, registers: &TimeZone) -> Standing {
    match outcome {
        Ok(News::Done { fiscal, external_id }) => {
            match asked.expected().foreign(&fiscal, external_id.as_deref(), registers) {
                None => {
                    let sign = asked.subject.operation.tag_value();
                    Standing::Registered(Box::new(fiscal.with_qr_text(sign)))
                }
                Some(foreign) => Standing::Foreign(foreign),
            }
        }
        Ok(News::Refused(refusal)) => match refusal.class {
            RetryClass::Rekey | RetryClass::Permanent => Standing::Dead(refusal),
            RetryClass::Unknown if word.is_given => Standing::Dead(refusal),
            RetryClass::Retry { .. } | RetryClass::Halt { .. } | RetryClass::Unknown => {
                Standing::Undecided(Some(refusal))
            }
        },
        Ok(News::None(Some(reason))) if (word.is_given || word.is_correction) && asked.age >= word.horizon => {
            Standing::Dead(reason)
        }
        Ok(News::None(reason)) => Standing::Undecided(reason),
        Err(refusal) => Standing::Undecided(Some(refusal)),
    }
}

/// Keeps the question as evidence. While the claim holds, its lease begins anew, so that it need not be long enough for
/// two calls; a document ends it.
async fn keep(context: &Context, record: PollRecord) -> Option<Recorded> {
    match until_taken(&context.abort, "a question about the old id", || {
        context.ledger.record_poll(record.clone())
    })
    .await
    {
        Ok(recorded) => Some(recorded),
        Err(error) => {
            let error = service::error::chain(&error);
            tracing::error!(
                error,
                "the question about the old id is not recorded; the claim ends with its lease"
            );
            None
        }
    }
}

/// The new id waits, without a trial, until the old one is settled.
fn not_yet(context: &Context, claimed: &Claimed, old: &Polled, reason: Option<&Refusal>) -> Decided {
    let store = context.directory.stores.get(&claimed.subject.store);
    let soon = store
        .and_then(|store| store.retry_intervals.first().copied())
        .unwrap_or(Duration::from_secs(60));
    let (kind, code, message) = reason.map_or_else(Default::default, |reason| {
        (reason.kind.as_str(), reason.code.as_str(), reason.message.as_str())
    });
    // An account that is refused stays a matter of the account.
    let class = match reason.map(|reason| &reason.class) {
        Some(halt @ RetryClass::Halt { .. }) => halt.clone(),
        Some(RetryClass::Retry { .. } | RetryClass::Rekey | RetryClass::Permanent | RetryClass::Unknown) | None => {
            RetryClass::NOT_SEEN
        }
    };
    let old = &old.external_id;
    let why = reason.map(|reason| &reason.cause);
    let refusal = Refusal {
        class,
        kind: "kassa".to_owned(),
        code: "predecessor".to_owned(),
        message: format!("{kind} {code}: {message}"),
        cause: Text::new(
            format!(
                "Прежний ключ {old} перед отправкой нового не удалось проверить ещё раз. {}",
                why.map_or("", |why| why.ru.as_str())
            ),
            format!(
                "The former id {old} could not be checked once more before the new one is sent. {}",
                why.map_or("", |why| why.en.as_str())
            ),
        ),
        cure: Text::new("Повторится само.", "It is repeated by itself."),
    };
    Decided {
        verdict: Verdict::Retry {
            delay: soon,
            trials: claimed.trials,
        },
        refusal: Some(Box::new(refusal)),
        pointer: store.is_some().then_some(soon),
    }
}

/// What a corrected receipt comes to whose former receipt is registered after all. Of one that may have been sent already
/// nobody knows.
fn superfluous(claimed: &Claimed, former: &Polled) -> Decided {
    let old = &former.external_id;
    let in_doubt = claimed.doubt == Doubt::Stands;
    let refusal = Refusal {
        class: if in_doubt {
            RetryClass::Unknown
        } else {
            RetryClass::Permanent
        },
        kind: "kassa".to_owned(),
        code: "former_registered".to_owned(),
        message: String::new(),
        cause: Text::new(
            format!("Прежний чек {old} всё-таки зарегистрирован, поэтому исправленный не отправлен."),
            format!("The former receipt {old} is registered after all, so the corrected one is not sent."),
        ),
        cure: Text::new(
            format!("Если чек {old} неверен, отмените его и зарегистрируйте заново (resell)."),
            format!("If {old} is wrong, cancel it by a receipt and register it anew (resell)."),
        ),
    };
    Decided {
        verdict: if in_doubt {
            Verdict::Unknown
        } else {
            Verdict::Failed(Failure::Rejected)
        },
        refusal: Some(Box::new(refusal)),
        pointer: None,
    }
}

fn account_missing(former: &Polled) -> Refusal {
    let account = &former.account;
    Refusal {
        class: RetryClass::NOT_SEEN,
        kind: "kassa".to_owned(),
        code: "account_missing".to_owned(),
        message: String::new(),
        cause: Text::new(
            format!("Учётная запись {account}, через которую отправлен прежний чек, не настроена."),
            format!("The account {account}, through which the former receipt went, is not configured."),
        ),
        cure: Text::new(
            format!("Верните раздел [accounts.{account}] в настройки."),
            format!("Put the section [accounts.{account}] back into the configuration."),
        ),
    }
}

fn not_asked() -> Exchange {
    Exchange {
        request: String::from("not asked"),
        http_status: None,
        answer: None,
        duration: Duration::ZERO,
        origin: Origin::Fresh,
    }
}

fn unknown(refusal: Box<Refusal>) -> Decided {
    Decided {
        verdict: Verdict::Unknown,
        refusal: Some(refusal),
        pointer: None,
    }
}

fn evidence(exchange: &Exchange) -> Evidence {
    Evidence {
        request: exchange.request.clone(),
        http_status: exchange.http_status,
        answer: exchange.answer.clone(),
        duration: exchange.duration,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::Timestamp;
    use receipt::event::Subject;
    use receipt::intake::moscow;
    use receipt::{
        AccountName, DocumentNumber, DocumentPart, ExternalId, Money, Operation, StateName, StoreCode, TransactionId,
        VendorUuid,
    };

    fn asked() -> Polled {
        Polled {
            subject: Subject {
                transaction_id: TransactionId::new(),
                store: StoreCode::parse("main").expect("valid"),
                operation: Operation::Sell,
                document: DocumentNumber::parse("417").expect("valid"),
                part: DocumentPart::main(),
                order: None,
            },
            account: AccountName::parse("main").expect("valid"),
            generation: 0,
            external_id: ExternalId::parse("invoice_main_417").expect("valid"),
            vendor_uuid: VendorUuid::parse("uuid-1").expect("valid"),
            polls: 1,
            age: Duration::ZERO,
            state: StateName::Sending,
            retired: Some(Duration::ZERO),
            trials: 1,
            total: Money::from_kopecks(90_000),
            accepted_at: Timestamp::UNIX_EPOCH,
        }
    }

    fn refusal(class: RetryClass) -> Box<Refusal> {
        let mut refusal = forgotten(None);
        refusal.class = class;
        refusal
    }

    fn document(total: i64) -> News {
        News::Done {
            fiscal: Box::new(FiscalDocument {
                fn_number: "9999078900000001".into(),
                fd: 1,
                fpd: "1".into(),
                shift: None,
                receipt_number: None,
                register_number: None,
                registered_at: jiff::civil::date(2026, 2, 14).at(11, 8, 0, 0),
                total: Money::from_kopecks(total),
                qr: None,
                ofd_url: None,
            }),
            external_id: None,
        }
    }

    const NO_WORD: Word = Word {
        is_given: false,
        is_correction: false,
        horizon: Duration::from_secs(86_400),
    };

    #[test]
    fn the_word_of_a_person_settles_what_the_vendor_leaves_open_for_good_and_nothing_else() {
        let word = Word {
            is_given: true,
            ..NO_WORD
        };
        let old = Polled {
            age: NO_WORD.horizon,
            ..asked()
        };
        let dead = |outcome, asked: &Polled| {
            let said = super::standing(outcome, asked, word, &moscow());
            matches!(said, Standing::Dead(_))
        };
        assert!(dead(Ok(News::Refused(refusal(RetryClass::Unknown))), &asked()));
        assert!(!dead(Ok(News::None(Some(refusal(RetryClass::NOT_SEEN)))), &asked()));
        assert!(dead(Ok(News::None(Some(refusal(RetryClass::NOT_SEEN)))), &old));
        assert!(!dead(Ok(News::None(None)), &old), "it is being made");
        assert!(!dead(Ok(document(90_000)), &old), "it is there");
        assert!(!dead(Err(refusal(RetryClass::NOT_SEEN)), &old), "nobody was asked");
    }

    #[test]
    fn a_corrected_receipt_waits_for_no_answer_about_an_id_that_the_vendor_has_forgotten() {
        let word = Word {
            is_correction: true,
            ..NO_WORD
        };
        let old = Polled {
            age: NO_WORD.horizon,
            ..asked()
        };
        let dead =
            |outcome, asked: &Polled| matches!(super::standing(outcome, asked, word, &moscow()), Standing::Dead(_));
        assert!(dead(Ok(News::None(Some(refusal(RetryClass::NOT_SEEN)))), &old));
        assert!(!dead(Ok(News::None(Some(refusal(RetryClass::NOT_SEEN)))), &asked()));
        assert!(!dead(Ok(News::Refused(refusal(RetryClass::Unknown))), &old));
        assert!(!dead(Ok(document(90_000)), &old));
    }

    #[test]
    fn only_another_proof_of_death_lets_the_new_id_be_sent() {
        let standing = |outcome| super::standing(outcome, &asked(), NO_WORD, &moscow());
        for class in [RetryClass::Rekey, RetryClass::Permanent] {
            let said = standing(Ok(News::Refused(refusal(class))));
            assert!(matches!(said, Standing::Dead(_)), "{said:?}");
        }
        assert!(matches!(standing(Ok(document(90_000))), Standing::Registered(_)));
        assert!(matches!(standing(Ok(document(90_001))), Standing::Foreign(_)));
        let open: Vec<Result<News, Box<Refusal>>> = vec![
            Ok(News::None(None)),
            Ok(News::None(Some(refusal(RetryClass::NOT_SEEN)))),
            Ok(News::Refused(refusal(RetryClass::Unknown))),
            Ok(News::Refused(refusal(RetryClass::NOT_SEEN))),
            Err(refusal(RetryClass::NOT_SEEN)),
            Err(refusal(RetryClass::Halt { certain: true })),
            // The question was not answered, so its class proves nothing about the id.
            Err(refusal(RetryClass::Rekey)),
        ];
        for outcome in open {
            let said = standing(outcome);
            assert!(matches!(said, Standing::Undecided(_)), "{said:?}");
        }
    }
}
