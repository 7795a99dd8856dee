//! From what the vendor said to what becomes of the transaction. Pure.

use std::time::{Duration, Instant};

use jiff::tz::TimeZone;
use ledger::{Doubted, Verdict};
use receipt::policy::Wake;
use receipt::{Decision, Doubt, Expected, Operation, Refusal, RetryClass, RetryPolicy, StoreSettings, Text};
use vendors::{Adopted, Registered};

/// What a send is judged by, beside its answer.
#[derive(Debug, Clone, Copy)]
pub struct Sent<'a> {
    /// What was registered.
    pub operation: Operation,
    /// What a document must agree with to be ours.
    pub expected: Expected<'a>,
    /// What earlier tries of this registration had left behind.
    pub doubt: Doubt,
    /// Whether a refusal tells what became of the id, earlier tries included: the vendor repeats it from its memory, and
    /// has a memory of every earlier try.
    pub is_last_word: bool,
    /// Sends of the current cycle that were counted before this one.
    pub trials: u32,
    /// For how long from now the vendor is known to recognise the id; `None` when no doubt stands, this try included.
    pub left: Option<Duration>,
}

/// The doubt that earlier tries left behind.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Before {
    /// Until when it may be settled by repeating.
    pub(crate) until: Instant,
    /// Whether the vendor keeps what it answered to those tries. An answer after which it recognises a repetition for a
    /// shorter time than after a silence is one that it does not keep.
    pub(crate) is_remembered: bool,
}

impl Before {
    /// `silent` is how long the vendor recognises a repetition after a try that ended without a word.
    #[must_use]
    pub(crate) fn of(doubt: Doubted, silent: Duration, now: Instant) -> Self {
        let since_the_try = silent.saturating_sub(doubt.age);
        Self {
            until: now + doubt.left(silent),
            // The two differ by the length of a call and its recording where no answer has cut the time short.
            is_remembered: doubt.left.is_none_or(|left| left >= since_the_try / 2),
        }
    }

    /// Whether a call of this length that begins now might come after the vendor has forgotten.
    pub(crate) fn ends_within(self, call: Duration) -> bool {
        self.until <= Instant::now() + call
    }
}

/// What follows a send, why, and whether a pointer wakes it.
#[derive(Debug, Clone)]
pub struct Decided {
    /// What is recorded.
    pub verdict: Verdict,
    /// Why it is not registered or waiting, if it is not.
    pub refusal: Option<Box<Refusal>>,
    /// The interval of the delay exchange that wakes it, if there is one.
    pub pointer: Option<Duration>,
}

/// Decides after one send. `registers` is the time zone in which registers stamp their documents.
#[must_use]
pub fn decide(
    outcome: Result<Registered, Box<Refusal>>,
    sent: &Sent<'_>,
    store: Option<&StoreSettings>,
    policy: &RetryPolicy,
    registers: &TimeZone,
) -> Decided {
    let settled = |verdict, refusal| Decided {
        verdict,
        refusal,
        pointer: None,
    };
    match outcome {
        Ok(Registered::Accepted { vendor_uuid, adopted }) => settled(
            Verdict::Accepted {
                vendor_uuid,
                adopted: adopted == Adopted::Yes,
                first_poll: store.map_or(Duration::from_secs(5), |store| store.poll_delay(0, Duration::ZERO)),
            },
            None,
        ),
        // A vendor that recognises an id answers with what it holds under it, whoever has put it there.
        Ok(Registered::Done(fiscal)) => match sent.expected.foreign(&fiscal, None, registers) {
            None => settled(
                Verdict::Done(Box::new(fiscal.with_qr_text(sent.operation.tag_value()))),
                None,
            ),
            Some(foreign) => settled(Verdict::Unknown, Some(foreign)),
        },
        Err(refusal) => {
            // What the vendor repeats from its memory is what became of the id: it settles the doubt, and the record of a
            // dead registration clears it.
            let doubt = match refusal.class {
                RetryClass::Permanent if sent.is_last_word => Doubt::None,
                RetryClass::Permanent
                | RetryClass::Rekey
                | RetryClass::Retry { .. }
                | RetryClass::Halt { .. }
                | RetryClass::Unknown => sent.doubt,
            };
            let decision = policy.decide(&refusal.class, doubt, sent.trials);
            match decision.clone().within(sent.left) {
                Decision::Retry { delay, trials, wake } => Decided {
                    verdict: Verdict::Retry { delay, trials },
                    pointer: pointer(wake, delay),
                    refusal: Some(refusal),
                },
                Decision::Rekey { delay, trials, wake } => match sent.expected.external_id.next_generation() {
                    Ok(next) => Decided {
                        verdict: Verdict::Rekey { delay, trials, next },
                        pointer: pointer(wake, delay),
                        refusal: Some(refusal),
                    },
                    // Thousands of generations would be needed to get here; a person may then count on.
                    Err(_) => settled(Verdict::Failed(receipt::Failure::Exhausted), Some(refusal)),
                },
                Decision::Fail(failure) => settled(Verdict::Failed(failure), Some(refusal)),
                Decision::Unknown if decision == Decision::Unknown => settled(Verdict::Unknown, Some(refusal)),
                Decision::Unknown => settled(Verdict::Unknown, Some(forgotten(Some(&refusal)))),
            }
        }
    }
}

/// Why a doubtful registration is not sent again: the vendor may have forgotten its id, and a repetition would be a
/// second registration. `last` is the answer after which no repetition would come in time.
#[must_use]
pub fn forgotten(last: Option<&Refusal>) -> Box<Refusal> {
    let (ru, en) = last.map_or((String::new(), String::new()), |last| {
        (format!("{} ", last.cause.ru), format!("{} ", last.cause.en))
    });
    Box::new(Refusal {
        class: RetryClass::Unknown,
        kind: "kassa".to_owned(),
        code: "horizon".to_owned(),
        message: last.map_or_else(String::new, |last| {
            format!("{} {}: {}", last.kind, last.code, last.message)
        }),
        cause: Text::new(
            format!(
                "{ru}Чек мог быть пробит, а срок, в течение которого поставщик узнаёт повтор, выходит: повторная отправка \
                 могла бы пробить его второй раз."
            ),
            format!(
                "{en}The receipt may be registered, and the time in which the vendor recognises a repetition is over \
                 before the next try: sending it again could register it twice."
            ),
        ),
        cure: Text::new(
            "Найдите чек в личном кабинете поставщика или у ОФД и закройте операцию вручную.",
            "Look the receipt up in the vendor's cabinet or at the OFD and resolve the transaction by hand.",
        ),
    })
}

const fn pointer(wake: Wake, delay: Duration) -> Option<Duration> {
    match wake {
        Wake::DelayExchange => Some(delay),
        Wake::DueRow => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::Timestamp;
    use proptest::prelude::*;
    use receipt::intake::moscow;
    use receipt::{ExternalId, FiscalDocument, Money, Seen};

    const DAY: Duration = Duration::from_secs(86_400);

    fn ours() -> ExternalId {
        ExternalId::parse("invoice_main_417").expect("valid")
    }

    fn stamped() -> Timestamp {
        let stamped = jiff::civil::date(2026, 2, 14).at(11, 8, 0, 0).to_zoned(moscow());
        stamped.expect("a time of Moscow").timestamp()
    }

    fn sent(external_id: &ExternalId, doubt: Doubt, left: Option<Duration>) -> Sent<'_> {
        Sent {
            operation: Operation::Sell,
            expected: Expected {
                external_id,
                total: Money::from_kopecks(90_000),
                accepted_at: stamped(),
            },
            doubt,
            is_last_word: false,
            trials: 0,
            left,
        }
    }

    fn refusal(class: RetryClass) -> Box<Refusal> {
        Box::new(Refusal {
            class,
            kind: "device".into(),
            code: "249".into(),
            message: "as the vendor put it".into(),
            cause: Text::new("Причина.", "The cause."),
            cure: Text::new("Повторится само.", "It is repeated by itself."),
        })
    }

    fn judged(outcome: Result<Registered, Box<Refusal>>, doubt: Doubt, left: Option<Duration>) -> Decided {
        let policy = RetryPolicy::default();
        decide(outcome, &sent(&ours(), doubt, left), None, &policy, &moscow())
    }

    fn document(total: i64) -> Registered {
        Registered::Done(Box::new(FiscalDocument {
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
        }))
    }

    #[test]
    fn a_document_that_comes_straight_from_a_send_is_taken_only_when_it_is_ours() {
        let Verdict::Done(taken) = judged(Ok(document(90_000)), Doubt::Stands, None).verdict else {
            panic!("it is ours")
        };
        assert!(taken.qr.expect("built").ends_with("&n=1"));
        let foreign = judged(Ok(document(90_100)), Doubt::None, None);
        assert!(matches!(foreign.verdict, Verdict::Unknown));
        assert_eq!(foreign.refusal.expect("a cause").code, "foreign_document");
    }

    #[test]
    fn a_wait_that_would_outlast_the_vendors_memory_is_unknown_at_once_with_cause_and_cure() {
        let external_id = ours();
        let last = Sent {
            trials: 9,
            ..sent(&external_id, Doubt::Stands, Some(Duration::from_secs(3000)))
        };
        let policy = RetryPolicy::default();
        let decided = decide(Err(refusal(RetryClass::MAYBE_SEEN)), &last, None, &policy, &moscow());
        assert!(matches!(decided.verdict, Verdict::Unknown) && decided.pointer.is_none());
        let why = decided.refusal.expect("a cause");
        assert_eq!((why.code.as_str(), &why.class), ("horizon", &RetryClass::Unknown));
        assert!(why.message.contains("device 249") && why.cause.en.starts_with("The cause."));
        assert!(!why.cure.en.contains("by itself"), "{}", why.cure.en);

        let first = judged(
            Err(refusal(RetryClass::MAYBE_SEEN)),
            Doubt::None,
            Some(Duration::from_secs(3000)),
        );
        assert!(
            matches!(first.verdict, Verdict::Retry { .. }),
            "a minute is soon enough"
        );
        assert_eq!(first.refusal.expect("the vendor's").code, "249");
    }

    #[test]
    fn a_refusal_from_the_vendors_memory_is_what_became_of_the_id_and_ends_the_doubt() {
        let external_id = ours();
        let judged = |class, is_last_word| {
            let sent = Sent {
                is_last_word,
                ..sent(&external_id, Doubt::Stands, Some(DAY))
            };
            let policy = RetryPolicy::default();
            decide(Err(refusal(class)), &sent, None, &policy, &moscow()).verdict
        };
        let rejected = judged(RetryClass::Permanent, true);
        assert!(
            matches!(rejected, Verdict::Failed(receipt::Failure::Rejected)),
            "{rejected:?}"
        );
        assert!(matches!(judged(RetryClass::Permanent, false), Verdict::Unknown));
        assert!(
            matches!(judged(RetryClass::Unknown, true), Verdict::Unknown),
            "a broken exchange is repeated from the memory too, and says nothing"
        );
        assert!(matches!(judged(RetryClass::Rekey, true), Verdict::Unknown));
        assert!(matches!(judged(RetryClass::NOT_SEEN, true), Verdict::Retry { .. }));
    }

    #[test]
    fn a_try_whose_answer_the_vendor_does_not_keep_is_not_in_its_memory() {
        let month = 30 * DAY;
        let minute = Duration::from_secs(60);
        let before = |age, left| Before::of(Doubted { age, left }, month, Instant::now()).is_remembered;
        assert!(before(minute, None), "it ended without a word");
        assert!(before(DAY, Some(month - DAY - minute)), "a timeout");
        assert!(!before(minute, Some(49 * minute)), "a silent board");
        assert!(!before(29 * DAY, Some(Duration::ZERO)), "a silent board, long ago");
    }

    #[test]
    fn an_answer_that_is_unknown_by_itself_keeps_its_own_cause() {
        let decided = judged(Err(refusal(RetryClass::Unknown)), Doubt::None, Some(DAY));
        assert!(matches!(decided.verdict, Verdict::Unknown));
        assert_eq!(decided.refusal.expect("the vendor's").code, "249");
    }

    fn any_class() -> impl Strategy<Value = RetryClass> {
        prop_oneof![
            (
                prop_oneof![Just(Seen::No), Just(Seen::Maybe), Just(Seen::Running)],
                proptest::option::of(0_u64..10_000)
            )
                .prop_map(|(seen, after)| RetryClass::Retry {
                    seen,
                    after: after.map(Duration::from_secs)
                }),
            Just(RetryClass::Rekey),
            any::<bool>().prop_map(|certain| RetryClass::Halt { certain }),
            Just(RetryClass::Permanent),
            Just(RetryClass::Unknown),
        ]
    }

    proptest! {
        #[test]
        fn a_doubtful_registration_is_repeated_in_time_or_not_at_all(
            class in any_class(), trials in 0_u32..20, left in 0_u64..200_000, endless in any::<bool>()
        ) {
            let policy = RetryPolicy { retry_endlessly: endless, ..RetryPolicy::default() };
            let external_id = ours();
            let left = Duration::from_secs(left);
            let sent = Sent { trials, ..sent(&external_id, Doubt::Stands, Some(left)) };
            let decided = decide(Err(refusal(class)), &sent, None, &policy, &moscow());
            match decided.verdict {
                Verdict::Retry { delay, .. } => prop_assert!(delay < left),
                Verdict::Unknown => prop_assert!(decided.refusal.is_some()),
                other => prop_assert!(false, "{:?}", other),
            }
        }
    }
}
