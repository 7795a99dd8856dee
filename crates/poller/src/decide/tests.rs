use jiff::Timestamp;
use jiff::tz::TimeZone;
use ledger::{PollVerdict, Polled};
use proptest::prelude::*;
use receipt::event::Subject;
use receipt::intake::moscow;
use receipt::policy::RETIRED_CHECKS;
use receipt::{
    AccountName, DocumentNumber, DocumentPart, ExternalId, FiscalDocument, Money, Operation, StateName, StoreCode,
    TransactionId, VendorUuid,
};

use super::*;

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86_400);

fn stamped() -> Timestamp {
    let stamped = jiff::civil::date(2026, 2, 14).at(11, 8, 0, 0).to_zoned(moscow());
    stamped.expect("a time of Moscow").timestamp()
}

fn polled(retired: Option<Duration>, age: Duration) -> Polled {
    let subject = Subject {
        transaction_id: TransactionId::new(),
        store: StoreCode::parse("main").expect("valid"),
        operation: Operation::Refund,
        document: DocumentNumber::parse("417").expect("valid"),
        part: DocumentPart::main(),
        order: None,
    };
    Polled {
        subject,
        account: AccountName::parse("main").expect("valid"),
        generation: 0,
        external_id: ExternalId::parse("creditmemo_main_417").expect("valid"),
        vendor_uuid: VendorUuid::parse("uuid-1").expect("valid"),
        polls: 1,
        age,
        state: StateName::Waiting,
        retired,
        trials: 1,
        total: Money::from_kopecks(90_000),
        accepted_at: stamped(),
    }
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
        external_id: Some("creditmemo_main_417".to_owned()),
    }
}

fn refused(class: RetryClass) -> News {
    News::Refused(refusal(class))
}

fn refusal(class: RetryClass) -> Box<Refusal> {
    let mut refusal = kassa("68", Text::new("Причина.", "The cause."));
    refusal.class = class;
    Box::new(refusal)
}

fn decided(outcome: Result<News, Box<Refusal>>, polled: &Polled) -> Decided {
    let policy = RetryPolicy::default();
    let registers: TimeZone = moscow();
    decide(outcome, polled, None, &policy, &registers, &RETIRED_CHECKS)
}

#[test]
fn a_document_is_taken_when_it_is_ours_from_a_live_and_from_a_retired_id() {
    for retired in [None, Some(HOUR)] {
        let Decided { verdict, refusal } = decided(Ok(document(90_000)), &polled(retired, HOUR));
        let PollVerdict::Done(fiscal) = verdict else {
            panic!("{verdict:?}")
        };
        assert!(fiscal.qr.expect("built").ends_with("&n=2") && refusal.is_none());
    }
}

#[test]
fn a_foreign_document_is_unknown_for_a_live_id_and_nothing_for_a_retired_one() {
    let live = decided(Ok(document(90_001)), &polled(None, HOUR));
    assert!(matches!(live.verdict, PollVerdict::Unknown));
    assert_eq!(live.refusal.expect("a cause").code, "foreign_document");
    let retired = decided(Ok(document(90_001)), &polled(Some(HOUR), HOUR));
    assert!(
        matches!(retired.verdict, PollVerdict::Dead(Some(_))),
        "{:?}",
        retired.verdict
    );
}

#[test]
fn a_report_that_proves_the_id_dead_rekeys_and_says_when_the_old_id_is_asked_about() {
    let Decided { verdict, .. } = decided(Ok(refused(RetryClass::Rekey)), &polled(None, MINUTE));
    let PollVerdict::Rekey { next, check, .. } = verdict else {
        panic!("{verdict:?}")
    };
    assert_eq!((next.as_str(), check), ("creditmemo_main_417__1", 10 * MINUTE));
}

#[test]
fn a_report_with_a_code_for_a_person_fails_and_an_undecided_one_is_unknown() {
    let failed = decided(Ok(refused(RetryClass::Permanent)), &polled(None, MINUTE));
    assert!(matches!(
        failed.verdict,
        PollVerdict::Failed(receipt::Failure::Rejected)
    ));
    let undecided = decided(Ok(refused(RetryClass::Unknown)), &polled(None, MINUTE));
    assert!(matches!(undecided.verdict, PollVerdict::Unknown));
}

#[test]
fn the_last_word_about_an_id_whose_transaction_has_gone_another_way_is_asked_for_once() {
    for state in [StateName::Unknown, StateName::Retrying, StateName::Sending] {
        let late = Polled {
            state,
            ..polled(None, MINUTE)
        };
        for class in [RetryClass::Rekey, RetryClass::Permanent] {
            let said = decided(Ok(refused(class)), &late).verdict;
            assert!(matches!(said, PollVerdict::Dead(None)), "{said:?}");
        }
        // What proves nothing does not make it dead.
        let said = decided(Ok(refused(RetryClass::Unknown)), &late).verdict;
        assert!(matches!(said, PollVerdict::Unknown), "{said:?}");
    }
}

#[test]
fn a_retired_id_is_asked_after_ten_minutes_an_hour_and_a_day_and_then_no_more() {
    let next = |retired| match decided(Ok(refused(RetryClass::Rekey)), &polled(Some(retired), HOUR)).verdict {
        PollVerdict::Dead(again) => again,
        other => panic!("{other:?}"),
    };
    assert_eq!(next(10 * MINUTE), Some(50 * MINUTE));
    assert_eq!(next(HOUR), Some(DAY - HOUR));
    assert_eq!(next(HOUR + MINUTE), Some(DAY - HOUR - MINUTE));
    assert_eq!(next(DAY), None);
}

#[test]
fn a_check_without_an_answer_is_made_again_and_not_counted_as_one() {
    let away = refusal(RetryClass::NOT_SEEN);
    for outcome in [Err(away.clone()), Ok(News::None(None)), Ok(News::None(Some(away)))] {
        let Decided { verdict, .. } = decided(outcome, &polled(Some(DAY), DAY));
        assert!(matches!(verdict, PollVerdict::Again(_)), "{verdict:?}");
    }
    let for_ever = decided(Ok(News::None(None)), &polled(Some(31 * DAY), DAY));
    assert!(matches!(for_ever.verdict, PollVerdict::Unknown), "but not for ever");
}

#[test]
fn a_receipt_that_waits_never_fails_by_waiting() {
    for (age, expected) in [
        (MINUTE, "again"),
        (DAY, "again"),
        (29 * DAY, "again"),
        (30 * DAY, "unknown"),
    ] {
        let Decided { verdict, .. } = decided(Ok(News::None(None)), &polled(None, age));
        let verdict = match verdict {
            PollVerdict::Again(_) => "again",
            PollVerdict::Unknown => "unknown",
            other => panic!("{other:?}"),
        };
        assert_eq!(verdict, expected, "{age:?}");
    }
}

fn any_class() -> impl Strategy<Value = RetryClass> {
    prop_oneof![
        Just(RetryClass::NOT_SEEN),
        Just(RetryClass::MAYBE_SEEN),
        Just(RetryClass::Rekey),
        any::<bool>().prop_map(|certain| RetryClass::Halt { certain }),
        Just(RetryClass::Permanent),
        Just(RetryClass::Unknown),
    ]
}

fn any_outcome() -> impl Strategy<Value = Result<News, Box<Refusal>>> {
    prop_oneof![
        any_class().prop_map(|class| Err(refusal(class))),
        any_class().prop_map(|class| Ok(News::None(Some(refusal(class))))),
        Just(Ok(News::None(None))),
        any_class().prop_map(|class| Ok(refused(class))),
        (89_999_i64..90_002).prop_map(|total| Ok(document(total))),
    ]
}

proptest! {
    #[test]
    fn no_answer_about_a_retired_id_makes_another_id_or_fails_the_receipt(
        outcome in any_outcome(), retired in 0_u64..4_000_000, age in 0_u64..4_000_000
    ) {
        let polled = polled(Some(Duration::from_secs(retired)), Duration::from_secs(age));
        let verdict = decided(outcome, &polled).verdict;
        let allowed = matches!(
            verdict,
            PollVerdict::Again(_) | PollVerdict::Done(_) | PollVerdict::Dead(_) | PollVerdict::Unknown
        );
        prop_assert!(allowed, "{:?}", verdict);
    }

    #[test]
    fn only_a_final_answer_or_a_month_of_silence_moves_a_receipt(outcome in any_outcome(), age in 0_u64..4_000_000) {
        let is_final = matches!(&outcome, Ok(News::Done { .. } | News::Refused(_)));
        let age = Duration::from_secs(age);
        let stays = matches!(decided(outcome, &polled(None, age)).verdict, PollVerdict::Again(_));
        prop_assert_eq!(stays, !is_final && age < 30 * DAY);
    }
}
