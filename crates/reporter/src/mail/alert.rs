//! What an alert says: the cause, what to do, and the first few receipts that it strikes. No buyer's data, because there is
//! none in events.

use jiff::Timestamp;
use receipt::StoreCode;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::desk::Desk;
use crate::language::Language;
use crate::mail::layout::{Layout, LayoutError};
use crate::mail::letter::Letter;
use crate::mail::said;
use crate::words;

/// How many receipts an alert names.
pub(crate) const EXAMPLES: u32 = 10;

/// What an alert is about. The ledger adds what happened.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct AlertOrder {
    /// The store whose language and links it has.
    pub(crate) store: StoreCode,
    /// Whom it strikes: `store main`, `account main`.
    pub(crate) subject: String,
    /// What strikes: the type of the event, with the vendor's error if there is one.
    pub(crate) cause: String,
    /// How many events.
    #[serde(default)]
    pub(crate) count: u64,
    /// The first of them.
    #[serde(default)]
    pub(crate) first: Option<Timestamp>,
    /// The last of them.
    #[serde(default)]
    pub(crate) last: Option<Timestamp>,
    /// The stores that it strikes.
    #[serde(default)]
    pub(crate) stores: Vec<String>,
    /// The bodies of the first few.
    #[serde(default)]
    pub(crate) examples: Vec<Value>,
}

/// An alert, ready to be laid out.
#[derive(Debug, Clone, Serialize)]
struct AlertView {
    language: &'static str,
    subject: String,
    title: String,
    happened: String,
    cause: String,
    cure: String,
    cure_label: &'static str,
    code: String,
    when: String,
    examples: Vec<ExampleView>,
    more: String,
    footer: String,
}

/// A receipt that it strikes.
#[derive(Debug, Clone, Serialize)]
struct ExampleView {
    document: String,
    order: String,
    external_id: String,
    time: String,
    link: String,
}

impl AlertOrder {
    /// The mail.
    ///
    /// # Errors
    /// None with the built-in layout, as a test says.
    pub(crate) fn letter(&self, desk: &Desk) -> Result<Letter, LayoutError> {
        let view = self.view(desk);
        let html = Layout::of_alerts()?.fill(&view)?;
        Ok(Letter {
            text: view.text(),
            subject: view.subject,
            html,
            attached: None,
            list: format!("alerts.{}", self.store),
            thread: format!("alerts.{}", slug(&format!("{}.{}", self.subject, self.cause))),
        })
    }

    fn event(&self) -> &str {
        self.cause.split(' ').next().unwrap_or_default()
    }

    fn is_about_an_account(&self) -> bool {
        self.event() == "account.paused"
    }

    fn view(&self, desk: &Desk) -> AlertView {
        let language = desk.settings.language;
        let name = self.subject.split_once(' ').map_or("", |(_, name)| name);
        let newest = self.examples.last().cloned().unwrap_or_default();
        let title = title(self.event(), name, self.count, language);
        let moment = |time: Option<Timestamp>| time.map_or_else(String::new, |time| said::moment(time, &desk.zone));
        let (first, last) = (moment(self.first), moment(self.last));
        let when = if first == last {
            first
        } else {
            format!("{first} – {last}")
        };
        let examples: Vec<ExampleView> = if self.is_about_an_account() {
            Vec::new()
        } else {
            self.examples.iter().map(|body| example(body, desk)).collect()
        };
        let hidden = self
            .count
            .saturating_sub(u64::try_from(examples.len()).unwrap_or(u64::MAX));
        let more = if examples.is_empty() || hidden == 0 {
            String::new()
        } else {
            let hidden = words::number(hidden, language);
            match language {
                Language::Ru => format!("И ещё {hidden}"),
                Language::En => format!("And {hidden} more"),
            }
        };
        let period = jiff::SignedDuration::try_from(desk.settings.alert_period).unwrap_or(jiff::SignedDuration::MAX);
        let period = words::age(period, language);
        let stores = self.stores.join(", ");
        AlertView {
            language: language.choose("ru", "en"),
            subject: format!("✖ {title}"),
            title,
            // The text of an event about one receipt names it; of several only the cause is told.
            happened: if self.is_about_an_account() || self.count == 1 {
                localized(&newest["text"], language)
            } else {
                String::new()
            },
            cause: localized(&newest["error"]["cause"], language),
            cure: localized(&newest["error"]["cure"], language),
            cure_label: language.choose("Что делать:", "What to do:"),
            code: self
                .cause
                .split_once(' ')
                .map_or_else(String::new, |(_, code)| said::shortened(code, 60)),
            when,
            examples,
            more,
            footer: match language {
                Language::Ru => {
                    format!("Магазины: {stores}. О той же причине kassa напишет не раньше чем через {period}.")
                }
                Language::En => {
                    format!("Stores: {stores}. kassa writes about the same cause again after {period} at the earliest.")
                }
            },
        }
    }
}

fn localized(text: &Value, language: Language) -> String {
    let text = text[language.choose("ru", "en")].as_str().unwrap_or_default();
    said::shortened(text, 600)
}

fn example(body: &Value, desk: &Desk) -> ExampleView {
    let text = |name: &str| said::shortened(body[name].as_str().unwrap_or_default(), 70);
    let time = body["time"].as_str().and_then(|time| time.parse::<Timestamp>().ok());
    let link = desk.settings.receipt_link.as_deref().unwrap_or_default();
    ExampleView {
        document: text("document"),
        order: text("order"),
        external_id: text("external_id"),
        time: time.map_or_else(String::new, |time| said::moment(time, &desk.zone)),
        link: link.replace("{id}", body["transaction_id"].as_str().unwrap_or_default()),
    }
}

fn title(event: &str, name: &str, count: u64, language: Language) -> String {
    let number = words::number(count, language);
    let of = |one: (&str, &str), many: (&str, &str)| match (language, count) {
        (Language::Ru, 0 | 1) => format!("{} · {name}", one.0),
        (Language::En, 0 | 1) => format!("{} · {name}", one.1),
        (Language::Ru, _) => format!("{}: {number} · {name}", many.0),
        (Language::En, _) => format!("{}: {number} · {name}", many.1),
    };
    match event {
        "account.paused" => match language {
            Language::Ru => format!("Отправка чеков остановлена · учётная запись {name}"),
            Language::En => format!("Receipts are not sent · account {name}"),
        },
        "receipt.failed" => of(
            ("Чек не пробит", "A receipt failed"),
            ("Чеки не пробиты", "Receipts failed"),
        ),
        "receipt.unknown" => of(
            (
                "Неизвестно, пробит ли чек",
                "It is not known whether a receipt is registered",
            ),
            (
                "Неизвестно, пробиты ли чеки",
                "It is not known whether receipts are registered",
            ),
        ),
        "receipt.overdue" => of(
            ("Чек ждёт дольше положенного", "A receipt is overdue"),
            ("Чеки ждут дольше положенного", "Receipts are overdue"),
        ),
        "receipt.double" => of(
            (
                "Возможно, два чека за одну покупку",
                "Possibly two receipts for one purchase",
            ),
            (
                "Возможно, по два чека за одну покупку",
                "Possibly two receipts for one purchase",
            ),
        ),
        other => format!("{other}: {number} · {name}"),
    }
}

/// What may stand in a message id.
fn slug(text: &str) -> String {
    text.chars()
        .map(|letter| {
            if letter.is_ascii_alphanumeric() || letter == '.' || letter == '-' {
                letter
            } else {
                '_'
            }
        })
        .collect()
}

impl AlertView {
    fn text(&self) -> String {
        let mut lines = vec![self.title.clone(), self.when.clone(), String::new()];
        // What happened to one receipt has cause and cure in it.
        if self.happened.is_empty() {
            lines.push(self.cause.clone());
            if !self.cure.is_empty() {
                lines.push(format!("{} {}", self.cure_label, self.cure));
            }
        } else {
            lines.push(self.happened.clone());
        }
        if !self.code.is_empty() {
            lines.push(format!("[{}]", self.code));
        }
        lines.push(String::new());
        for example in &self.examples {
            let parts = [
                &example.time,
                &example.document,
                &example.order,
                &example.external_id,
                &example.link,
            ];
            let parts: Vec<&str> = parts
                .into_iter()
                .map(String::as_str)
                .filter(|part| !part.is_empty())
                .collect();
            lines.push(parts.join("  "));
        }
        lines.extend([self.more.clone(), String::new(), self.footer.clone()]);
        lines.dedup_by(|one, other| one.is_empty() && other.is_empty());
        lines.push(String::new());
        lines.join("\n")
    }
}
