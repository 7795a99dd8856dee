//! What only this vendor has: certificates, and a memory that must be known well.

use std::sync::Arc;
use std::time::Duration;

use receipt::{Operation, Refusal, RetryClass};
use serde_json::{Value, json};
use simulator::{Action, Certificate, Certificates, ErrorAnswer, Faults, Point, Rule, Simulator};
use vendors::{Call, Origin, Registered, Rendering, Reply, Vendor};

use crate::simulated::{Folder, account, section, simulator};
use crate::suite::{external_id, receipt};

/// A simulator and its files.
struct World {
    simulator: Simulator,
    folder: Folder,
}

impl World {
    async fn start() -> Self {
        let folder = Folder::new();
        Self {
            simulator: simulator(&folder).await,
            folder,
        }
    }

    fn section(&self, which: Certificate) -> Value {
        section(&self.simulator, which)
    }

    fn good(&self) -> Arc<dyn Vendor> {
        account(&self.section(Certificate::North))
    }

    fn faults(&self, faults: Faults) {
        self.simulator.control().set_faults(faults).expect("valid faults");
    }

    /// The next receipt's register, or the service before it, fails so.
    fn once(&self, rule: fn(Point, Action) -> Rule, kind: &str, code: i64) {
        let action = Action::Error(ErrorAnswer::new(kind, code));
        let rule = rule(Point::Processing, action).for_vendor("checkonline").times(1);
        self.faults(Faults {
            rules: vec![rule],
            ..Faults::default()
        });
    }

    fn registered(&self, marker: &str) -> u32 {
        let books = self.simulator.control().books();
        books.registered_by_marker().get(marker).copied().unwrap_or(0)
    }
}

fn after(at: Point, action: Action) -> Rule {
    Rule::new(at, action).after()
}

async fn register(vendor: &dyn Vendor, marker: &str, operation: Operation) -> Reply<Registered> {
    let id = external_id(marker);
    let receipt = receipt(marker);
    let rendering = Rendering {
        receipt: &receipt,
        operation,
        external_id: &id,
        rendered_at: "2026-03-14T08:27:00Z".parse().expect("a time"),
        callback_url: None,
    };
    let wire_body = vendor.render(&rendering).expect("a body");
    let call = Call {
        operation,
        external_id: &id,
        wire_body: &wire_body,
    };
    vendor.register(&call).await
}

async fn sell(vendor: &dyn Vendor, marker: &str) -> Reply<Registered> {
    register(vendor, marker, Operation::Sell).await
}

fn refusal(reply: Reply<Registered>) -> Refusal {
    *reply.outcome.expect_err("a refusal")
}

/// The account stops at once, and people read which file it is about and what to do.
fn assert_halts(refusal: &Refusal, file: &str) {
    assert_eq!(refusal.class, RetryClass::Halt { certain: true }, "{refusal:?}");
    assert!(
        refusal.cause.ru.contains(file) && refusal.cause.en.contains(file),
        "{refusal:?}"
    );
    assert!(
        !refusal.cure.ru.is_empty() && !refusal.cure.en.is_empty(),
        "{refusal:?}"
    );
}

#[tokio::test]
async fn a_sale_and_a_refund_come_back_with_document_code_and_link() {
    let world = World::start().await;
    let vendor = world.good();
    for (marker, operation, sign) in [("S-1", Operation::Sell, "n=1"), ("R-1", Operation::Refund, "n=2")] {
        let Ok(Registered::Done(fiscal)) = register(vendor.as_ref(), marker, operation).await.outcome else {
            panic!("{marker} is not done");
        };
        let books = world.simulator.control().books_of(marker);
        let written = books.documents[0].fiscal.clone().expect("a document");
        assert_eq!(fiscal.fn_number, written.fn_number);
        assert_eq!(fiscal.fd, i64::from(written.fiscal_document_number));
        assert_eq!(fiscal.fpd, written.fiscal_document_attribute.to_string());
        assert_eq!(fiscal.total.kopecks(), 159_500);
        assert!(
            fiscal.qr.as_deref().is_some_and(|qr| qr.ends_with(sign)),
            "{:?}",
            fiscal.qr
        );
        let link = format!("https://receipt.taxcom.ru/v01/show?fp={}&s=1595.00", fiscal.fpd);
        assert_eq!(fiscal.ofd_url.as_deref(), Some(link.as_str()));
    }
}

#[tokio::test]
async fn the_whole_document_is_asked_for_when_the_account_says_so() {
    let world = World::start().await;
    let mut section = world.section(Certificate::North);
    section["full_response"] = json!(true);
    let reply = sell(account(&section).as_ref(), "W-1").await;
    let Ok(Registered::Done(fiscal)) = &reply.outcome else {
        panic!("{reply:?}");
    };
    let written = world.simulator.control().books().documents[0]
        .fiscal
        .clone()
        .expect("a document");
    assert_eq!(fiscal.shift, Some(i64::from(written.shift_number)));
    let kept = reply.exchange.answer.expect("an answer");
    assert!(!kept.contains("anna.petrova"), "{kept}");
}

#[tokio::test]
async fn a_missing_expired_or_strange_certificate_halts_its_account_and_no_other() {
    let world = World::start().await;
    let files = world.simulator.checkonline_files().expect("it was started").clone();
    let mut missing = world.section(Certificate::North);
    missing["cert_file"] = json!(world.folder.0.join("absent.pem"));
    for (section, file) in [
        (missing, "absent.pem".to_owned()),
        (
            world.section(Certificate::Expired),
            files.certificate(Certificate::Expired).display().to_string(),
        ),
        (
            world.section(Certificate::Stranger),
            files.certificate(Certificate::Stranger).display().to_string(),
        ),
    ] {
        let vendor = account(&section);
        // An alert may come before or after the request is written, and is the same to us.
        for _ in 0..5 {
            assert_halts(&refusal(sell(vendor.as_ref(), "X-1").await), &file);
        }
        assert!(sell(world.good().as_ref(), "X-2").await.outcome.is_ok());
    }
    assert_eq!(world.registered("X-1"), 0);
}

#[tokio::test]
async fn a_web_servers_page_about_the_certificate_halts_the_account_too() {
    let world = World::start().await;
    world.faults(Faults {
        certificates: Certificates::Page,
        ..Faults::default()
    });
    let reply = sell(account(&world.section(Certificate::Stranger)).as_ref(), "P-1").await;
    assert_eq!(reply.exchange.http_status, Some(400));
    assert_halts(&refusal(reply), "stranger.pem");
    assert!(sell(world.good().as_ref(), "P-2").await.outcome.is_ok());
}

#[tokio::test]
async fn a_service_that_is_not_who_it_should_be_gets_nothing() {
    let world = World::start().await;
    let mut section = world.section(Certificate::North);
    section.as_object_mut().expect("a section").remove("ca_file");
    let reply = sell(account(&section).as_ref(), "V-1").await;
    assert_eq!(reply.exchange.http_status, None);
    let refusal = refusal(reply);
    assert_eq!(refusal.code, "certificate");
    assert_eq!(refusal.class, RetryClass::Halt { certain: true });
    assert!(
        refusal.cure.ru.contains("ca_file") && refusal.cure.en.contains("ca_file"),
        "{refusal:?}"
    );
    assert_eq!(world.registered("V-1"), 0);
}

#[tokio::test]
async fn a_renewed_certificate_opens_the_account_without_a_restart() {
    let world = World::start().await;
    let files = world.simulator.checkonline_files().expect("it was started").clone();
    let (cert, key) = (world.folder.0.join("mine.pem"), world.folder.0.join("mine.key"));
    let mut section = world.section(Certificate::North);
    (section["cert_file"], section["key_file"]) = (json!(cert), json!(key));
    let vendor = account(&section);
    let put = |which| {
        std::fs::copy(files.certificate(which), &cert).expect("a copy");
        std::fs::copy(files.key(which), &key).expect("a copy");
    };
    put(Certificate::Expired);
    assert_halts(&refusal(sell(vendor.as_ref(), "N-1").await), "mine.pem");
    put(Certificate::North);
    assert!(sell(vendor.as_ref(), "N-1").await.outcome.is_ok());
}

/// The register closed the document and fell silent: the error is not kept, the register's memory answers.
#[tokio::test]
async fn a_silent_board_is_asked_again_under_the_same_id() {
    let world = World::start().await;
    let vendor = world.good();
    world.once(after, "device", 250);
    let silent = refusal(sell(vendor.as_ref(), "T-1").await);
    assert_eq!(silent.class, RetryClass::MAYBE_SEEN);
    assert_eq!(vendor.idempotency_horizon(Some(&silent)), Duration::from_secs(50 * 60));
    assert!(sell(vendor.as_ref(), "T-1").await.outcome.is_ok());
    assert_eq!(world.registered("T-1"), 1);
}

/// Each group has two registers here, taken in turn, and only the one that closed the document remembers it.
#[tokio::test]
async fn a_printer_that_fails_after_the_document_makes_no_second_one_at_another_register() {
    let world = World::start().await;
    let vendor = world.good();
    for code in [250, 80, 254] {
        let marker = format!("R-{code}");
        world.once(after, "device", code);
        assert!(sell(vendor.as_ref(), &marker).await.outcome.is_err(), "{code}");
        assert!(sell(vendor.as_ref(), &marker).await.outcome.is_ok(), "{code}");
        assert_eq!(world.registered(&marker), 1, "{code}");
    }
}

/// Why the horizon is there: an hour later nobody knows the id, and the same request is a second receipt.
#[tokio::test]
async fn after_an_hour_a_silent_boards_document_would_be_doubled() {
    let world = World::start().await;
    let vendor = world.good();
    world.once(after, "device", 249);
    assert!(sell(vendor.as_ref(), "H-1").await.outcome.is_err());
    world.simulator.control().forget_in_devices();
    assert!(sell(vendor.as_ref(), "H-1").await.outcome.is_ok());
    assert_eq!(world.registered("H-1"), 2);
}

#[tokio::test]
async fn a_broken_exchange_stays_undefined_however_often_it_is_asked() {
    let world = World::start().await;
    let vendor = world.good();
    world.once(after, "fce", 6);
    for _ in 0..3 {
        let refusal = refusal(sell(vendor.as_ref(), "U-1").await);
        assert_eq!((refusal.class, refusal.code.as_str()), (RetryClass::Unknown, "6"));
    }
    assert_eq!(world.registered("U-1"), 1, "it was registered all along");
}

#[tokio::test]
async fn a_refusal_that_the_service_keeps_spends_the_id() {
    let world = World::start().await;
    let vendor = world.good();
    world.once(Rule::new, "device", 51);
    assert_eq!(refusal(sell(vendor.as_ref(), "C-1").await).class, RetryClass::Permanent);
    let again = refusal(sell(vendor.as_ref(), "C-1").await);
    assert_eq!(
        again.class,
        RetryClass::Permanent,
        "although the register is healthy now"
    );
    assert!(again.message.contains("memory"), "{again:?}");
    assert_eq!(world.registered("C-1"), 0);
    assert_eq!(sell(vendor.as_ref(), "C-2").await.exchange.origin, Origin::Fresh);
    for marker in ["C-1", "C-2"] {
        let reply = sell(vendor.as_ref(), marker).await;
        assert_eq!(reply.exchange.origin, Origin::Memory, "{marker}");
    }
}

#[tokio::test]
async fn our_own_call_that_is_still_running_is_waited_for() {
    let world = World::start().await;
    let vendor = world.good();
    let slow = Rule::new(Point::Processing, Action::Nothing).delayed(Duration::from_secs(2));
    world.faults(Faults {
        rules: vec![slow.for_vendor("checkonline").times(1)],
        ..Faults::default()
    });
    let (first, second) = tokio::join!(sell(vendor.as_ref(), "D-1"), sell(vendor.as_ref(), "D-1"));
    let refused = [first, second].into_iter().filter_map(|reply| reply.outcome.err());
    let codes: Vec<_> = refused.map(|refusal| (refusal.code, refusal.class.name())).collect();
    assert_eq!(codes, [("24".to_owned(), "running")]);
    assert_eq!(world.registered("D-1"), 1);
}

#[tokio::test]
async fn a_certificate_of_another_enterprise_finds_no_register() {
    let world = World::start().await;
    let refusal = refusal(sell(account(&world.section(Certificate::South)).as_ref(), "G-1").await);
    assert_eq!((refusal.class, refusal.code.as_str()), (RetryClass::NOT_SEEN, "5"));
    let mut own = world.section(Certificate::South);
    own["group"] = json!("south");
    assert!(sell(account(&own).as_ref(), "G-1").await.outcome.is_ok());
}
