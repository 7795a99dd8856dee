use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use receipt::{Money, Refusal, RetryClass, Seen};
use reqwest::header::HeaderMap;

use super::*;
use crate::checkonline::client::Answered;
use crate::checkonline::codes::{self, Kind, Memory, Proof, Repeats, Verdict};
use crate::checkonline::link::LinkTemplate;
use crate::checkonline::wire::Sent;
use crate::checkonline::{CheckOnline, judge, known_codes};
use crate::http::{Answer, CallTimeouts};
use crate::mask::Mask;
use crate::vendor::{Registered, Vendor};

fn answered(status: u16, body: &str) -> Answered {
    Answered::from(Answer {
        status,
        retry_after: None,
        headers: HeaderMap::new(),
        body: body.as_bytes().to_vec(),
    })
}

fn account() -> CheckOnline {
    CheckOnline::new(&settings(), CallTimeouts::default()).expect("settings without faults")
}

fn judged(answered: &Answered) -> Result<Registered, Box<Refusal>> {
    let receipt = receipt(fixture!("receipt_small"));
    let body = account()
        .render(&rendering(&receipt, Operation::Sell, &external_id()))
        .expect("a body");
    let template = settings().ofd_url.expect("a template");
    judge::registration(
        answered,
        &judge::Question {
            sent: Sent::of(&body).as_ref(),
            operation: Operation::Sell,
            link: Some(&LinkTemplate::parse(&template).expect("a template")),
            cert_file: Path::new("/etc/kassa/client.pem"),
            mask: &Mask::default(),
        },
    )
}

fn judge(status: u16, body: &str) -> Result<Registered, Box<Refusal>> {
    judged(&answered(status, body))
}

fn refused(status: u16, body: &str) -> Refusal {
    *judge(status, body).expect_err("a refusal")
}

fn done(body: &str) -> receipt::FiscalDocument {
    match judge(200, body) {
        Ok(Registered::Done(fiscal)) => *fiscal,
        other => panic!("{other:?}"),
    }
}

fn device(code: i64) -> Refusal {
    refused(200, &format!(r#"{{"RequestId":"x","Response":{{"Error":{code}}}}}"#))
}

fn cloud(code: i64, fatal: &str) -> Refusal {
    refused(500, &format!(r#"{{"FCEError":{code},"ErrorDescription":"d"{fatal}}}"#))
}

#[test]
fn every_code_has_its_class() {
    let mut table = String::new();
    for row in codes::all() {
        let (kind, code, verdict, proves) = (row.kind.name(), row.code, row.verdict, row.proves);
        let _ = write!(table, "{kind} {code}: {verdict:?}, proves {proves:?}");
        if let Some((fatal, verdict)) = row.contradicted {
            let _ = write!(table, ", with Fatal {fatal} {verdict:?}");
        }
        let _ = writeln!(table, ", memory of the {:?}, repeated {:?}", row.memory, row.repeats);
    }
    insta::assert_snapshot!("codes", table);
}

#[test]
fn no_code_is_listed_twice_and_all_are_told_to_people() {
    let mut pairs: Vec<_> = codes::all().iter().map(|row| (row.kind.name(), row.code)).collect();
    pairs.sort_unstable();
    pairs.dedup();
    assert_eq!(pairs.len(), codes::all().len());
    assert_eq!(known_codes().len(), pairs.len());
    for code in known_codes() {
        assert!(!code.cause.ru.is_empty() && !code.cure.en.is_empty() && !code.source.is_empty());
        assert_eq!(
            code.proves_dead,
            code.class == "permanent",
            "{} {}",
            code.kind,
            code.code
        );
    }
}

/// Only what proves the id dead may give it up, and an id whose answer is kept may not be used for another try.
#[test]
fn an_answer_that_the_service_keeps_never_leads_to_a_repetition() {
    for row in codes::all() {
        let given_up = matches!(row.verdict, Verdict::Permanent);
        assert_eq!(
            given_up,
            row.proves == Proof::NotRegistered,
            "{:?} {}",
            row.kind,
            row.code
        );
        if row.repeats == Repeats::Yes {
            assert!(
                matches!(row.verdict, Verdict::Permanent | Verdict::Unknown),
                "{:?} {}",
                row.kind,
                row.code
            );
        }
    }
}

#[test]
fn a_registered_receipt_is_done_with_everything_that_people_ask_for() {
    let fiscal = done(fixture!("done"));
    assert_eq!(fiscal.fn_number, "9999999999999417");
    assert_eq!((fiscal.fd, fiscal.fpd.as_str()), (2148, "3127640982"));
    assert_eq!((fiscal.shift, fiscal.receipt_number), (None, Some(37)));
    assert_eq!(fiscal.register_number.as_deref(), Some("2505480089099417"));
    assert_eq!(fiscal.registered_at, jiff::civil::date(2026, 3, 14).at(11, 27, 0, 0));
    assert_eq!(fiscal.total, Money::from_kopecks(284_000));
    assert_eq!(
        fiscal.qr.as_deref(),
        Some("t=20260314T1127&s=2840.00&fn=9999999999999417&i=2148&fp=3127640982&n=1")
    );
    assert_eq!(
        fiscal.ofd_url.as_deref(),
        Some("https://receipt.taxcom.ru/v01/show?fp=3127640982&s=2840.00")
    );
}

#[test]
fn a_full_answer_gives_the_shift_and_what_the_short_one_lacks() {
    let full = fixture!("done")
        .replace("\"DocNumber\":37,", "")
        .replace("\"FiscalDocNumber\":2148,", "")
        .replace("i=2148", "i=2977")
        .replace(
            "\"Response\":{\"Error\":0}}",
            r#""Response":{"Error":0},"Responses":[{"Path":"/fr/api/v2/OpenDocument","Response":{"TurnNumber":1}},
            {"Path":"/fr/api/v2/CloseDocument","Response":{"DocNumber":11,"FiscalDocNumber":2977,"TurnNumber":92,
             "NonCash":[1,0,0],"Text":"…"}}]}"#,
        );
    let fiscal = done(&full);
    assert_eq!(
        (fiscal.shift, fiscal.receipt_number, fiscal.fd),
        (Some(92), Some(11), 2977)
    );
}

/// A document that exists is never lost because something beside its identity is missing or odd.
#[test]
fn nothing_that_can_be_done_without_loses_a_document() {
    let good = fixture!("done");
    let qr =
        r#" "QR":"t=20260314T1127\u0026s=2840.00\u0026fn=9999999999999417\u0026i=2148\u0026fp=3127640982\u0026n=1","#;
    for (from, to) in [
        (qr, ""),
        (qr, r#""QR":null,"#),
        (qr, r#""QR":"not a code","#),
        (qr, r#""QR":17,"#),
        ("\"Date\":{\"Date\"", "\"Date\":{\"Dates\""),
        ("\"Day\":14", "\"Day\":0"),
        ("\"Year\":26", "\"Year\":2026"),
        ("\"FNSerialNumber\":\"9999999999999417\",", ""),
        ("\"FiscalDocNumber\":2148,", ""),
        ("\"FiscalSign\":3127640982,", ""),
        ("\"FiscalSign\":3127640982,", "\"FiscalSign\":\"3127640982\","),
        ("\"GrandTotal\":284000,", ""),
        ("\"DeviceRegistrationNumber\"", "\"Whatever\""),
        ("\"DocumentType\":0,", ""),
        ("\"Response\"", "\"Reponse\""),
        ("\"DocNumber\":37,", "\"DocNumber\":[37],"),
    ] {
        assert!(good.contains(from), "{from}");
        let fiscal = done(&good.replace(from, to));
        assert_eq!(
            (
                fiscal.fn_number.as_str(),
                fiscal.fd,
                fiscal.fpd.as_str(),
                fiscal.total.kopecks()
            ),
            ("9999999999999417", 2148, "3127640982", 284_000),
            "{from} → {to}"
        );
        assert_eq!(fiscal.registered_at.date(), jiff::civil::date(2026, 3, 14));
        assert!(fiscal.qr.is_some_and(|qr| qr.contains("fp=3127640982")));
    }
}

#[test]
fn a_document_whose_identity_cannot_be_read_is_for_a_person_and_not_for_a_repetition() {
    for body in [
        r#"{"Response":{"Error":0}}"#.to_owned(),
        fixture!("done")
            .replace("fn=9999999999999417", "")
            .replace("\"FNSerialNumber\"", "\"FN\""),
    ] {
        let refusal = refused(200, &body);
        assert_eq!(
            (refusal.class, refusal.code.as_str()),
            (RetryClass::Unknown, "unreadable_document")
        );
    }
}

/// The service gives the first answer again whatever the body says, and other programs may use our ids.
#[test]
fn a_document_that_is_not_ours_is_not_taken_for_ours() {
    for (from, to) in [
        ("\"GrandTotal\":284000", "\"GrandTotal\":283900"),
        (
            "\"RequestId\":\"invoice_main_417\"",
            "\"RequestId\":\"invoice_main_418\"",
        ),
        ("\"DocumentType\":0", "\"DocumentType\":2"),
    ] {
        let refusal = refused(200, &fixture!("done").replace(from, to));
        assert_eq!(
            (refusal.class, refusal.code.as_str()),
            (RetryClass::Unknown, "foreign_document")
        );
    }
}

/// The buyer reads the code, and we record the fields: both must mean the same document.
#[test]
fn a_code_that_contradicts_the_answer_is_for_a_person() {
    for (field, from, to) in [
        ("s", "s=2840.00", "s=2840.01"),
        ("fn", "fn=9999999999999417", "fn=9999999999999418"),
        ("i", "i=2148", "i=2149"),
        ("fp", "fp=3127640982", "fp=3127640983"),
    ] {
        let refusal = refused(200, &fixture!("done").replace(from, to));
        assert_eq!(
            (&refusal.class, refusal.code.as_str()),
            (&RetryClass::Unknown, "contradictory_document"),
            "{field}"
        );
        assert!(refusal.cause.en.contains(&format!("field {field} ")), "{refusal:?}");
    }
    for (from, to) in [
        ("fp=3127640982", "fp=03127640982"),
        ("s=2840.00\\u0026", ""),
        ("s=2840.00", "s=2840"),
    ] {
        assert!(judge(200, &fixture!("done").replace(from, to)).is_ok(), "{to}");
    }
}

#[test]
fn a_refused_parameter_fails_the_receipt_with_the_registers_words() {
    let refusal = refused(200, fixture!("refused"));
    assert_eq!(refusal.class, RetryClass::Permanent);
    assert_eq!((refusal.kind.as_str(), refusal.code.as_str()), ("device", "51"));
    assert_eq!(refusal.message, "MSGCODE: 48, неверное значение [TaxId]: 0");
}

#[test]
fn passing_troubles_of_a_register_are_repeated_under_the_same_id() {
    for code in [17, 80, 200, 249, 250, 253, 254, 22, 61, 74, 114, 240] {
        assert_eq!(device(code).class, RetryClass::MAYBE_SEEN, "{code}");
    }
    for code in [5, 6, 18, 20, 21, 79, 192, 238, 239] {
        assert_eq!(device(code).class, RetryClass::Halt { certain: false }, "{code}");
    }
    // The drawer is looked into before anything is opened.
    assert_eq!(device(70).class, RetryClass::NOT_SEEN);
    assert_eq!(device(4711).class, RetryClass::Unknown);
    assert_eq!(device(-1).class, RetryClass::Unknown);
}

/// Whatever `Fatal` says: the outcome of 6 and 16 is not known, and 24 is our own call.
#[test]
fn an_undefined_outcome_is_decided_before_fatal() {
    for fatal in ["", r#","Fatal":true"#, r#","Fatal":false"#, r#","Fatal":"yes""#] {
        for code in [6, 16] {
            assert_eq!(cloud(code, fatal).class, RetryClass::Unknown, "{code} {fatal}");
        }
        assert_eq!(cloud(24, fatal).class.name(), "running", "{fatal}");
        assert_eq!(cloud(19, fatal).class, RetryClass::Halt { certain: true }, "{fatal}");
    }
}

#[test]
fn fatal_tells_what_the_code_alone_does_not() {
    for (code, fatal, class) in [
        (5, "", RetryClass::NOT_SEEN),
        (5, r#","Fatal":false"#, RetryClass::NOT_SEEN),
        (5, r#","Fatal":true"#, RetryClass::Halt { certain: false }),
        (2, "", RetryClass::Permanent),
        (2, r#","Fatal":true"#, RetryClass::Permanent),
        (2, r#","Fatal":false"#, RetryClass::MAYBE_SEEN),
        (22, r#","Fatal":false"#, RetryClass::MAYBE_SEEN),
        (22, r#","Fatal":true"#, RetryClass::Unknown),
        (22, "", RetryClass::Unknown),
    ] {
        assert_eq!(cloud(code, fatal).class, class, "{code} {fatal}");
    }
}

#[test]
fn a_register_that_cannot_be_had_names_the_settings_that_may_be_wrong() {
    for refusal in [cloud(5, ""), cloud(5, r#","Fatal":true"#), device(238)] {
        for cure in [&refusal.cure.ru, &refusal.cure.en] {
            assert!(cure.contains("cert_file") && cure.contains("group"), "{cure}");
        }
    }
}

#[test]
fn the_registers_answer_decides_before_the_services_and_both_before_the_status() {
    let both = r#"{"FCEError":5,"Fatal":false,"Response":{"Error":51}}"#;
    assert_eq!(refused(200, both).code, "51");
    let neither = r#"{"FCEError":0,"Response":{}}"#;
    assert_eq!(refused(200, neither).code, "unreadable");
    let contradiction = fixture!("done").replace("{\"ClientId\"", "{\"FCEError\":6,\"ClientId\"");
    assert_eq!(refused(200, &contradiction).class, RetryClass::Unknown);
    assert_eq!(refused(502, fixture!("refused")).code, "51");
}

#[test]
fn an_answer_that_is_none_of_the_services_is_judged_by_its_status() {
    let page = "<html><center><h1>400 No required SSL certificate was sent</h1></center></html>";
    for (status, class) in [
        (200, RetryClass::MAYBE_SEEN),
        (302, RetryClass::MAYBE_SEEN),
        (400, RetryClass::Halt { certain: true }),
        (403, RetryClass::Halt { certain: false }),
        (404, RetryClass::MAYBE_SEEN),
        (413, RetryClass::MAYBE_SEEN),
        (429, RetryClass::NOT_SEEN),
        (496, RetryClass::Halt { certain: true }),
        (500, RetryClass::MAYBE_SEEN),
        (502, RetryClass::MAYBE_SEEN),
        (504, RetryClass::MAYBE_SEEN),
    ] {
        let refusal = refused(status, page);
        assert_eq!(refusal.class, class, "{status}");
        if matches!(class, RetryClass::Halt { .. }) {
            assert!(
                refusal.cause.en.contains("/etc/kassa/client.pem"),
                "{}",
                refusal.cause.en
            );
            assert!(refusal.cure.en.contains("cert_file"), "{}", refusal.cure.en);
        }
    }
    for body in [
        "",
        "[]",
        "null",
        "17",
        "{",
        "{\"Response\":null}",
        "{\"error\":{\"code\":51}}",
    ] {
        assert_eq!(refused(200, body).class, RetryClass::MAYBE_SEEN, "{body}");
    }
}

#[test]
fn the_services_wish_to_wait_is_kept() {
    let mut busy = answered(503, "");
    busy.http.retry_after = Some(Duration::from_secs(17));
    assert_eq!(
        judged(&busy).expect_err("a refusal").class,
        RetryClass::Retry {
            seen: Seen::Maybe,
            after: Some(Duration::from_secs(17))
        }
    );
}

#[test]
fn an_answer_from_the_services_memory_says_so() {
    let mut repeated = answered(200, fixture!("refused"));
    repeated
        .http
        .headers
        .insert("x-from-fce-cache", "true".parse().expect("a value"));
    let refusal = judged(&repeated).expect_err("a refusal");
    assert!(refusal.message.ends_with("(repeated from the service's memory)"));
}

/// The service keeps no answer of a register that leaves a doubt: only the register remembers the id, for an hour.
#[test]
fn a_repetition_is_recognised_for_less_than_an_hour_after_a_register_left_a_doubt() {
    let account = account();
    let minutes = |refusal: &Refusal| account.idempotency_horizon(Some(refusal)).as_secs() / 60;
    for code in [3, 4, 17, 57, 80, 85, 200, 240, 249, 250, 253, 254, 255] {
        assert_eq!(minutes(&device(code)), 50, "{code}");
    }
    assert_eq!(
        minutes(&cloud(22, r#","Fatal":false"#)),
        50,
        "nobody has written down what it means"
    );
    let month = 30 * 24 * 60;
    for refusal in [device(51), device(70), cloud(5, ""), cloud(24, ""), refused(502, "")] {
        assert_eq!(minutes(&refusal), month, "{refusal:?}");
    }
    assert_eq!(account.idempotency_horizon(None).as_secs() / 60, month);
    for row in codes::all().iter().filter(|row| row.kind == Kind::Device) {
        let doubtful = matches!(row.verdict, Verdict::MaybeSeen);
        assert_eq!(row.memory == Memory::Device, doubtful, "{}", row.code);
    }
}

#[test]
fn a_service_whose_memory_failed_halts_the_account_and_leaves_a_doubt() {
    let account = account();
    let failed = cloud(19, "");
    assert_eq!(failed.class, RetryClass::Halt { certain: true });
    assert_eq!(account.idempotency_horizon(Some(&failed)).as_secs() / 60, 50);
    assert!(account.may_have_forgotten("fce", "19"));
    for (kind, code) in [
        ("fce", "20"),
        ("fce", "5"),
        ("device", "19"),
        ("device", "250"),
        ("transport", "timeout"),
    ] {
        assert!(!account.may_have_forgotten(kind, code), "{kind} {code}");
    }
}

#[test]
fn there_is_nothing_to_poll() {
    assert!(account().follower().is_none());
}
