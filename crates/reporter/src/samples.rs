//! Values for the tests: one Moscow day with a receipt of every kind.

use jiff::Timestamp;
use ledger::{Cause, Figures, Open, Problem, RegisterEntry, Tally};
use receipt::{Failure, Money, Operation, StateName, StoreCode, Text};
use uuid::Uuid;

use crate::period::{Period, time_zone};
use crate::statistics::{Question, Statistics};

/// The morning after the day.
pub(crate) fn now() -> Timestamp {
    at("2026-11-23T00:07:00+03:00")
}

pub(crate) fn question() -> Question {
    Question {
        store: StoreCode::parse("main").expect("a store code"),
        bounds: Period::Yesterday
            .bounds(now(), &time_zone("Europe/Moscow").expect("a zone"))
            .expect("a day"),
    }
}

fn at(time: &str) -> Timestamp {
    time.parse().expect("a time")
}

fn kopecks(kopecks: i64) -> Money {
    Money::from_kopecks(kopecks)
}

pub(crate) fn id(number: u128) -> Uuid {
    Uuid::from_u128(0x0193_9e5a_0000_7000_8000_0000_0000_0000 + number)
}

/// A sale that is registered, and a refund that was refused.
pub(crate) fn entries() -> Vec<RegisterEntry> {
    let done = RegisterEntry {
        id: id(1),
        store: "main".to_owned(),
        operation: Operation::Sell,
        document: "000000417".to_owned(),
        part: "main".to_owned(),
        order: Some("100000123".to_owned()),
        state: StateName::Done,
        failure: None,
        total: kopecks(125_050),
        accepted_at: at("2026-11-22T00:00:00+03:00"),
        account: "main".to_owned(),
        external_id: "invoice_main_000000417".to_owned(),
        vendor_uuid: Some("6a0d3f3c".to_owned()),
        fn_number: Some("9960440301177245".to_owned()),
        fd: Some(48_213),
        fpd: Some("2871940355".to_owned()),
        registered_at: Some(jiff::civil::date(2026, 11, 22).at(0, 0, 7, 0)),
        shift: Some(412),
        receipt_number: Some(37),
    };
    let refused = RegisterEntry {
        id: id(2),
        operation: Operation::Refund,
        document: "S-418".to_owned(),
        order: None,
        state: StateName::Failed,
        failure: Some(Failure::Rejected),
        total: kopecks(45_000),
        accepted_at: at("2026-11-22T23:59:59.75+03:00"),
        external_id: "creditmemo_main_S-418".to_owned(),
        vendor_uuid: None,
        fn_number: None,
        fd: None,
        fpd: None,
        registered_at: None,
        shift: None,
        receipt_number: None,
        ..done.clone()
    };
    vec![done, refused]
}

pub(crate) fn statistics() -> Statistics {
    Statistics::of((question(), figures()))
}

pub(crate) fn nothing() -> Statistics {
    let nothing = Figures {
        read_at: now(),
        tallies: Vec::new(),
        before: Vec::new(),
        causes: Vec::new(),
        problems: Vec::new(),
        problems_in_all: 0,
        open: Open::default(),
    };
    Statistics::of((question(), nothing))
}

fn tally(operation: Operation, state: StateName, count: u64, total: i64) -> Tally {
    Tally {
        operation,
        state,
        failure: (state == StateName::Failed).then_some(Failure::Rejected),
        count,
        total: kopecks(total),
    }
}

fn figures() -> Figures {
    let cause = Text::new("Неверная ставка НДС.", "The VAT rate is wrong.");
    let cure = Text::new(
        "Исправьте чек и отправьте снова.",
        "Correct the receipt and send it again.",
    );
    Figures {
        read_at: now(),
        tallies: vec![
            tally(Operation::Sell, StateName::Done, 1, 125_050),
            tally(Operation::Refund, StateName::Failed, 1, 45_000),
        ],
        before: vec![tally(Operation::Sell, StateName::Done, 3, 300_000)],
        causes: vec![Cause {
            state: StateName::Failed,
            failure: Some(Failure::Rejected),
            kind: Some("system".to_owned()),
            code: Some("32".to_owned()),
            cause: Some(cause.clone()),
            cure: Some(cure.clone()),
            count: 1,
            total: kopecks(45_000),
            first: at("2026-11-22T23:59:59.75+03:00"),
            last: at("2026-11-22T23:59:59.75+03:00"),
            example: id(2),
            example_document: "S-418".to_owned(),
        }],
        problems: vec![Problem {
            id: id(2),
            store: "main".to_owned(),
            operation: Operation::Refund,
            document: "S-418".to_owned(),
            part: "main".to_owned(),
            order: None,
            external_id: "creditmemo_main_S-418".to_owned(),
            state: StateName::Failed,
            failure: Some(Failure::Rejected),
            total: kopecks(45_000),
            accepted_at: at("2026-11-22T23:59:59.75+03:00"),
            updated_at: at("2026-11-23T00:00:01+03:00"),
            kind: Some("system".to_owned()),
            code: Some("32".to_owned()),
            cause: Some(cause),
            cure: Some(cure),
        }],
        problems_in_all: 1,
        open: Open {
            count: 2,
            total: kopecks(90_000),
            oldest: Some(at("2026-11-22T22:02:00+03:00")),
        },
    }
}
