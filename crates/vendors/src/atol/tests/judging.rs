use std::fmt::Write as _;

use receipt::{RetryClass, Seen};

use super::*;
use crate::atol::client::Answered;
use crate::atol::codes::{self, Code, Kind, Place, Proof, Verdict};
use crate::atol::{judge, known_codes};
use crate::http::Answer;
use crate::mask::Mask;
use crate::vendor::{Adopted, News, Registered};

fn answered<T: serde::de::DeserializeOwned>(status: u16, body: &str) -> Answered<T> {
    Answered::from(Answer {
        status,
        retry_after: None,
        headers: reqwest::header::HeaderMap::new(),
        body: body.as_bytes().to_vec(),
    })
}

fn registration(status: u16, body: &str) -> Result<Registered, Box<receipt::Refusal>> {
    judge::registration(&answered(status, body), &Mask::default())
}

fn report(status: u16, body: &str) -> Result<News, Box<receipt::Refusal>> {
    judge::report(&answered(status, body), &uuid(), &Mask::default())
}

fn class_of_registration(status: u16, body: &str) -> RetryClass {
    registration(status, body).expect_err("a refusal").class
}

fn failed_report(kind: &str, code: i64) -> String {
    format!(r#"{{"uuid":"{UUID}","status":"fail","error":{{"code":{code},"text":"","type":"{kind}"}},"payload":null}}"#)
}

fn error(kind: &str, code: i64) -> String {
    format!(r#"{{"error":{{"code":{code},"error_id":"e","text":"","type":"{kind}"}},"timestamp":""}}"#)
}

#[test]
fn every_code_has_its_class_in_every_place() {
    let mut table = String::new();
    for Code {
        kind,
        code,
        places,
        proves,
        ..
    } in codes::all()
    {
        let (kind, [token, registration, report]) = (kind.name(), [places.token, places.registration, places.report]);
        let _ = writeln!(
            table,
            "{kind} {code}: {token:?} / {registration:?} / {report:?}, proves {proves:?}"
        );
    }
    insta::assert_snapshot!("codes", table);
}

#[test]
fn no_pair_of_type_and_code_is_listed_twice() {
    let mut pairs: Vec<_> = codes::all().iter().map(|row| (row.kind.name(), row.code)).collect();
    let listed = pairs.len();
    pairs.sort_unstable();
    pairs.dedup();
    assert_eq!(pairs.len(), listed);
}

/// Only what proves the id dead may give it up, and what is out of place in a registration proves nothing there.
#[test]
fn a_code_that_gives_up_an_id_proves_that_it_is_dead() {
    for row in codes::all() {
        for verdict in [row.places.registration, row.places.report] {
            if matches!(verdict, Verdict::Rekey | Verdict::Permanent) {
                assert_eq!(row.proves, Proof::NotRegistered, "{:?} {}", row.kind, row.code);
            }
        }
        if matches!(row.kind, Kind::Driver | Kind::Agent | Kind::Timeout) {
            assert_eq!(
                row.places.of(Place::Registration),
                Verdict::Unknown,
                "{:?} {}",
                row.kind,
                row.code
            );
        }
    }
}

#[test]
fn broken_exchanges_and_interrupted_closings_are_unknown() {
    let listed = [
        1..=3,
        5..=5,
        15..=15,
        55..=55,
        104..=104,
        115..=119,
        159..=160,
        177..=178,
        200..=201,
        203..=203,
    ]
    .into_iter()
    .flatten()
    .chain([241, 258, 262, 402, 502]);
    for code in listed {
        let news = report(200, &failed_report("driver", code)).expect("an answer");
        assert!(
            matches!(&news, News::Refused(refusal) if refusal.class == RetryClass::Unknown),
            "{code}: {news:?}"
        );
    }
    for unlisted in [0, 202, 999, -3897, i64::MAX, i64::MIN] {
        let news = report(200, &failed_report("driver", unlisted)).expect("an answer");
        assert!(
            matches!(&news, News::Refused(refusal) if refusal.class == RetryClass::Unknown),
            "{unlisted}"
        );
        assert_eq!(
            class_of_registration(400, &error("system", unlisted)),
            RetryClass::Unknown,
            "{unlisted}"
        );
    }
}

#[test]
fn every_text_is_there_in_both_languages() {
    for known in known_codes() {
        for text in [&known.cause, &known.cure] {
            assert!(text.ru.ends_with('.') && text.en.ends_with('.'), "{known:?}");
            assert!(text.en.is_ascii(), "{known:?}");
        }
        assert!(!known.source.is_empty());
    }
}

/// The body says nothing readable, so the status alone decides.
#[test]
fn every_http_status_of_an_unreadable_answer_has_its_class() {
    for status in 100..600 {
        for body in [
            "",
            "<html>Bad gateway</html>",
            "[]",
            "null",
            "{}",
            r#"{"error":"slow down"}"#,
        ] {
            let refusal = registration(status, body).expect_err("nothing was accepted");
            let seen = if status == 429 { Seen::No } else { Seen::Maybe };
            assert_eq!(
                refusal.class,
                RetryClass::Retry { seen, after: None },
                "{status} {body}"
            );
            let code = if (200..300).contains(&status) {
                "unreadable".into()
            } else {
                format!("http_{status}")
            };
            assert_eq!(
                (refusal.kind.as_str(), refusal.code),
                ("transport", code),
                "{status} {body}"
            );

            match report(status, body) {
                Ok(News::None(Some(refusal))) | Err(refusal) => assert_eq!(refusal.class, RetryClass::NOT_SEEN),
                other => panic!("{status} {body}: {other:?}"),
            }
            let no_token = judge::token(&answered(status, body), &Mask::default()).expect_err("no token");
            assert_eq!(no_token.class, RetryClass::NOT_SEEN, "{status} {body}");
        }
    }
}

#[test]
fn a_readable_error_decides_before_the_http_status() {
    assert_eq!(class_of_registration(500, fixture!("invalid")), RetryClass::Permanent);
    assert_eq!(
        class_of_registration(200, &error("system", 12)),
        RetryClass::Halt { certain: false }
    );
    assert_eq!(class_of_registration(429, &error("system", 1)), RetryClass::MAYBE_SEEN);
    assert_eq!(
        class_of_registration(429, &error("system", 429)),
        RetryClass::NOT_SEEN,
        "a limiter's own code"
    );
    assert_eq!(class_of_registration(400, &error("unknown", 0)), RetryClass::MAYBE_SEEN);
    assert_eq!(class_of_registration(500, &error("system", 50)), RetryClass::MAYBE_SEEN);
}

#[test]
fn a_gateways_own_error_object_says_no_more_than_its_http_status() {
    for body in [
        r#"{"error":{"code":502,"message":"bad gateway"}}"#.to_owned(),
        error("gateway", 7),
    ] {
        assert_eq!(class_of_registration(502, &body), RetryClass::MAYBE_SEEN, "{body}");
        assert_eq!(class_of_registration(400, &body), RetryClass::MAYBE_SEEN, "{body}");
    }
    assert_eq!(class_of_registration(400, &error("driver", 9999)), RetryClass::Unknown);
}

#[test]
fn the_wish_to_be_left_alone_is_passed_on() {
    let wish = Some(Duration::from_secs(7));
    for (status, body, seen) in [
        (429, String::new(), Seen::No),
        (503, String::new(), Seen::Maybe),
        (500, error("system", 50), Seen::Maybe),
    ] {
        let http = Answer {
            status,
            headers: reqwest::header::HeaderMap::new(),
            retry_after: wish,
            body: body.into_bytes(),
        };
        let refusal = judge::registration(&http.into(), &Mask::default()).expect_err("a refusal");
        assert_eq!(refusal.class, RetryClass::Retry { seen, after: wish });
    }
}

#[test]
fn an_accepted_receipt_and_a_known_id_give_the_uuid_to_follow() {
    let accepted = |adopted| Registered::Accepted {
        vendor_uuid: uuid(),
        adopted,
    };
    assert_eq!(registration(200, fixture!("accepted")), Ok(accepted(Adopted::No)));
    assert_eq!(registration(400, fixture!("duplicate")), Ok(accepted(Adopted::Yes)));
    let without_uuid = fixture!("duplicate").replace(UUID, "");
    assert_eq!(class_of_registration(400, &without_uuid), RetryClass::MAYBE_SEEN);
    // A uuid beside a status of failure is no acceptance.
    assert_eq!(class_of_registration(502, fixture!("accepted")), RetryClass::MAYBE_SEEN);
}

#[test]
fn a_token_is_taken_only_when_it_can_be_sent() {
    use secrecy::ExposeSecret;
    let token = |status, body: &str| judge::token(&answered(status, body), &Mask::default());
    assert_eq!(token(200, fixture!("token")).expect("a token").expose_secret(), TOKEN);
    assert_eq!(
        token(401, fixture!("token_refused")).expect_err("no token").class,
        RetryClass::Halt { certain: true }
    );
    assert_eq!(
        token(400, fixture!("token_malformed")).expect_err("no token").class,
        RetryClass::Halt { certain: true }
    );
    for unusable in [
        String::new(),
        "a b".into(),
        "токен".into(),
        "a\\r\\nX: y".into(),
        "a".repeat(1001),
    ] {
        let refusal = token(200, &format!(r#"{{"error":null,"token":"{unusable}"}}"#)).expect_err("no token");
        assert_eq!(refusal.class, RetryClass::NOT_SEEN, "{unusable}");
    }
}

#[test]
fn a_report_says_wait_done_or_failed() {
    assert_eq!(report(200, fixture!("report_wait")), Ok(News::None(None)));
    let Ok(News::Done { fiscal, external_id }) = report(200, fixture!("report_done")) else {
        panic!("done")
    };
    assert_eq!(external_id.as_deref(), Some("invoice_main_417"));
    insta::assert_json_snapshot!("fiscal_document", fiscal);
    let failed = |body: &str| match report(200, body) {
        Ok(News::Refused(refusal)) => refusal.class,
        other => panic!("{other:?}"),
    };
    assert_eq!(failed(fixture!("report_failed")), RetryClass::Permanent);
    assert_eq!(failed(fixture!("report_queue_timeout")), RetryClass::Rekey);
    assert_eq!(failed(&failed_report("agent", 2009)), RetryClass::Permanent);
    assert_eq!(failed(&failed_report("DRIVER", 68)), RetryClass::Rekey);
    assert_eq!(failed(&failed_report("system", 2005)), RetryClass::Unknown);
}

#[test]
fn the_status_decides_before_the_error_in_a_report() {
    let done_with_error = fixture!("report_done").replace(
        r#""error": null"#,
        r#""error": {"code": 34, "type": "system", "text": ""}"#,
    );
    assert!(matches!(report(200, &done_with_error), Ok(News::Done { .. })));
    let wait_with_failure = failed_report("driver", 128).replace("fail", "wait");
    assert!(matches!(report(200, &wait_with_failure), Ok(News::None(Some(_)))));
    // The waiting report without its status, and a code of the service under "fail".
    assert_eq!(report(200, &error("system", 34)), Ok(News::None(None)));
    for code in [1, 30, 50] {
        assert!(
            matches!(report(400, &failed_report("system", code)), Ok(News::None(Some(_)))),
            "{code}"
        );
    }
}

#[test]
fn nothing_but_a_final_answer_about_the_asked_uuid_is_news() {
    let other = "00000000-0000-4000-8000-000000000001";
    for body in [
        fixture!("report_done").replace(UUID, other),
        fixture!("report_done").replace(UUID, ""),
        fixture!("report_failed").replace(UUID, other),
        fixture!("report_unknown_uuid").to_owned(),
        fixture!("report_done").replace(r#""done""#, r#""registered""#),
        error("driver", 128),
    ] {
        match report(200, &body) {
            Ok(News::None(Some(refusal))) => assert_eq!(refusal.class, RetryClass::NOT_SEEN, "{body}"),
            other => panic!("{body}: {other:?}"),
        }
    }
    let capitals = fixture!("report_done").replace(UUID, &UUID.to_uppercase());
    assert!(matches!(report(200, &capitals), Ok(News::Done { .. })));
}

#[test]
fn a_report_of_a_refused_account_is_no_news_but_an_error() {
    for code in [12, 14, 20, 21] {
        assert_eq!(
            report(401, &error("system", code)).expect_err("not answered").class,
            RetryClass::Halt { certain: false }
        );
    }
}

#[test]
fn a_done_report_that_lacks_something_is_asked_for_again() {
    for (field, broken) in [
        (r#""9960440302266311""#, r#""ФН""#),
        ("30977,", "null,"),
        ("4102938475,", "-1,"),
        ("03.03.2026 09:17:00", "2026-03-03T09:17:00"),
        ("9497.4,", "9497.401,"),
        ("9497.4,", "1e4,"),
        (r#""payload""#, r#""pay""#),
    ] {
        let body = fixture!("report_done").replacen(field, broken, 1);
        match report(200, &body) {
            Ok(News::None(Some(refusal))) => {
                assert_eq!(
                    (refusal.class, refusal.code.as_str()),
                    (RetryClass::NOT_SEEN, "unreadable"),
                    "{field}"
                );
            }
            other => panic!("{field}: {other:?}"),
        }
    }
}

#[test]
fn what_a_fiscal_document_can_do_without_may_be_missing_or_odd() {
    let odd = fixture!("report_done")
        .replace("187,", r#""n/a","#)
        .replace("https://consumer", "javascript:consumer")
        .replace("4102938475,", r#""0102938475","#)
        .replace(r#""warnings": null"#, r#""warnings": {"new": [1]}, "marks_result": 5"#);
    let Ok(News::Done { fiscal, .. }) = report(200, &odd) else {
        panic!("done")
    };
    assert_eq!(
        (fiscal.shift, fiscal.ofd_url, fiscal.fpd.as_str()),
        (None, None, "0102938475")
    );
}

#[test]
fn the_vendors_words_are_kept_masked_and_with_the_number_for_support() {
    let body = r#"{"error":{"code":32,"error_id":"e-1","text":"bad buyer@example.org\u0000","type":"system"}}"#;
    let refusal = registration(400, body).expect_err("a refusal");
    assert_eq!(refusal.message, "bad *** (error_id e-1)");
}
