//! A third vendor that exists only here: what a new one needs is the trait, a line in the registry, and a fake.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use receipt::{AccountName, ExternalId, FiscalDocument, Receipt, Refusal, RetryClass, Seen, Text, VendorName};
use serde::{Deserialize, Serialize};
use vendors::{Call, Exchange, Follower, Origin, Registered, Registry, Rendering, Reply, Vendor};

use crate::fake::{Fake, Trouble};

/// The vendor and its fake at once: its wire is a lock.
pub(crate) struct Acme {
    books: Arc<Mutex<Books>>,
    registry: Registry,
}

#[derive(Default)]
struct Books {
    trouble: Option<Trouble>,
    expired: bool,
    away: bool,
    registered: HashMap<ExternalId, (String, FiscalDocument)>,
}

struct Account {
    name: VendorName,
    books: Arc<Mutex<Books>>,
}

/// As this vendor spells a receipt.
#[derive(Serialize, Deserialize)]
struct Order {
    id: String,
    to: String,
    receipt: Receipt,
}

fn account() -> AccountName {
    AccountName::parse("third").expect("an account name")
}

impl Acme {
    pub(crate) async fn start() -> Self {
        let books = Arc::new(Mutex::new(Books::default()));
        let vendor: Arc<dyn Vendor> = Arc::new(Account {
            name: VendorName::parse("acme").expect("a name"),
            books: Arc::clone(&books),
        });
        let registry: Registry = std::iter::once((account(), vendor)).collect();
        assert_eq!(
            registry
                .vendor_names()
                .iter()
                .map(VendorName::as_str)
                .collect::<Vec<_>>(),
            ["acme"]
        );
        Self { books, registry }
    }

    fn books(&self) -> std::sync::MutexGuard<'_, Books> {
        self.books.lock().expect("no panic under the lock")
    }
}

#[async_trait]
impl Fake for Acme {
    fn vendor(&self) -> Arc<dyn Vendor> {
        self.registry.get(&account()).expect("it is registered")
    }

    fn trouble(&self, trouble: Option<Trouble>) {
        self.books().trouble = trouble;
    }

    fn expire_credentials(&self) {
        self.books().expired = true;
    }

    fn renew_credentials(&self) {
        self.books().expired = false;
    }

    fn registered(&self, marker: &str) -> u32 {
        let books = self.books();
        let of_marker = books.registered.values().filter(|(name, _)| name == marker);
        u32::try_from(of_marker.count()).unwrap_or(u32::MAX)
    }

    fn secrets(&self) -> Vec<String> {
        Vec::new()
    }

    async fn go_away(&mut self) {
        self.books().away = true;
    }
}

fn refusal(class: RetryClass, code: &str) -> Box<Refusal> {
    Box::new(Refusal {
        class,
        kind: "acme".to_owned(),
        code: code.to_owned(),
        message: String::new(),
        cause: Text::new("Отказ.", "Refused."),
        cure: Text::new("Подождите.", "Wait."),
    })
}

impl Account {
    fn answer(&self, call: &Call<'_>) -> (Option<u16>, Result<Registered, Box<Refusal>>) {
        let order: Order = serde_json::from_str(call.wire_body).expect("our own body");
        let mut books = self.books.lock().expect("no panic under the lock");
        if books.away {
            return (None, Err(refusal(RetryClass::NOT_SEEN, "connect")));
        }
        if books.expired {
            return (Some(401), Err(refusal(RetryClass::Halt { certain: true }, "expired")));
        }
        let maybe = |code| Err(refusal(RetryClass::MAYBE_SEEN, code));
        match books.trouble {
            Some(Trouble::Refuses) => return (Some(400), Err(refusal(RetryClass::Permanent, "wrong"))),
            Some(Trouble::Throttles(seconds)) => {
                let class = RetryClass::Retry {
                    seen: Seen::No,
                    after: Some(Duration::from_secs(seconds)),
                };
                return (Some(429), Err(refusal(class, "http_429")));
            }
            Some(Trouble::CutsBefore) => return (None, maybe("cut")),
            Some(Trouble::Gateway) => return (Some(502), maybe("http_502")),
            Some(Trouble::AnswersLate | Trouble::CutsAfter | Trouble::Babbles(_)) | None => {}
        }
        let number = i64::try_from(books.registered.len()).unwrap_or(i64::MAX);
        let marker = order.receipt.lines[0].name.clone();
        let (_, fiscal) = books
            .registered
            .entry(call.external_id.clone())
            .or_insert_with(|| (marker, fiscal(number, &order.receipt)));
        let done = Registered::Done(Box::new(fiscal.clone()));
        match books.trouble {
            Some(Trouble::CutsAfter) => (None, maybe("cut")),
            Some(Trouble::AnswersLate) => (None, maybe("timeout")),
            Some(Trouble::Babbles(_)) => (Some(200), maybe("unreadable")),
            Some(Trouble::Refuses | Trouble::Throttles(_) | Trouble::CutsBefore | Trouble::Gateway) | None => {
                (Some(200), Ok(done))
            }
        }
    }
}

fn fiscal(number: i64, receipt: &Receipt) -> FiscalDocument {
    FiscalDocument {
        fn_number: "9999078900000003".to_owned(),
        fd: number + 1,
        fpd: "3000000001".to_owned(),
        shift: None,
        receipt_number: None,
        register_number: None,
        registered_at: jiff::civil::date(2026, 3, 14).at(11, 27, 0, 0),
        total: receipt.total,
        qr: None,
        ofd_url: None,
    }
}

#[async_trait]
impl Vendor for Account {
    fn name(&self) -> &VendorName {
        &self.name
    }

    fn render(&self, rendering: &Rendering<'_>) -> Result<String, Box<Refusal>> {
        let to = rendering.receipt.buyer.email.clone();
        let order = Order {
            id: rendering.external_id.as_str().to_owned(),
            to: to.ok_or_else(|| refusal(RetryClass::Permanent, "nobody"))?,
            receipt: rendering.receipt.clone(),
        };
        Ok(serde_json::to_string(&order).expect("texts and numbers"))
    }

    async fn register(&self, call: &Call<'_>) -> Reply<Registered> {
        let (http_status, outcome) = self.answer(call);
        Reply {
            exchange: Exchange {
                request: "POST /orders".to_owned(),
                http_status,
                answer: http_status.map(|_| "{}".to_owned()),
                duration: Duration::ZERO,
                origin: Origin::Fresh,
            },
            outcome,
        }
    }

    fn follower(&self) -> Option<&dyn Follower> {
        None
    }

    async fn probe(&self) -> Option<Reply<()>> {
        None
    }

    fn idempotency_horizon(&self, _refusal: Option<&Refusal>) -> Duration {
        Duration::from_secs(30 * 86_400)
    }

    fn longest_call(&self) -> Duration {
        Duration::from_secs(1)
    }
}
