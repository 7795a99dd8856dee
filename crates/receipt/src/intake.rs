//! From the bytes of a message to a receipt that can be accepted, or to the reason why it cannot.
//!
//! Every way in asks here: the sender's accept loop, the drain of the broker's dead letters, the HTTP intake. So they
//! accept and refuse the same things with the same words.

use std::collections::BTreeMap;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde_json::{Value, json};

use crate::event::Subject;
use crate::request::{Fault, Faults, RequestV1};
use crate::settings::Sending;
use crate::{AccountName, ExternalId, Receipt, StateName, StoreCode, StoreSettings, Text, TransactionId, VendorName};

/// The message type that the accept loop takes; a message without a type is one too.
pub const REQUEST_TYPE: &str = "receipt.request.v1";

/// Which stores there are, and which vendor each account has.
#[derive(Debug, Clone, Default)]
pub struct Directory {
    /// The configured stores.
    pub stores: BTreeMap<StoreCode, StoreSettings>,
    /// The vendor of every configured account.
    pub vendors: BTreeMap<AccountName, VendorName>,
}

impl Directory {
    /// The configured stores of an account.
    #[must_use]
    pub fn stores_of(&self, account: &AccountName) -> Vec<StoreCode> {
        let stores = self.stores.iter().filter(|(_, store)| store.account == *account);
        stores.map(|(code, _)| code.clone()).collect()
    }
}

/// A receipt that can be accepted.
#[derive(Debug, Clone)]
pub struct Prepared {
    /// Id, store, operation and document.
    pub subject: Subject,
    /// The account that will register it.
    pub account: AccountName,
    /// That account's vendor.
    pub vendor: VendorName,
    /// SHA-256 of the canonical request before store defaults.
    pub request_hash: [u8; 32],
    /// The frozen content.
    pub receipt: Receipt,
    /// What was changed or is odd in it; nothing that stops it.
    pub warnings: Vec<Fault>,
    /// The key of the first registration.
    pub external_id: ExternalId,
    /// Who decides that it is sent.
    pub sending: Sending,
}

/// Why a message cannot be accepted.
#[derive(Debug, Clone)]
pub enum NotAccepted {
    /// A `type` that nobody here knows.
    UnknownType(String),
    /// Not a request at all, or one that breaks the contract.
    Invalid(Faults),
    /// A request for a store that is not configured. It may be accepted later.
    UnknownStore(StoreCode),
    /// A store whose account is not configured. It may be accepted later.
    UnknownAccount(AccountName),
}

impl NotAccepted {
    /// The word in `dead_letters.reason_code`.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::UnknownType(_) => "unknown_type",
            Self::Invalid(_) => "invalid",
            Self::UnknownStore(_) => "unknown_store",
            Self::UnknownAccount(_) => "unknown_account",
        }
    }

    /// One sentence in both languages.
    #[must_use]
    pub fn detail(&self) -> Text {
        match self {
            Self::UnknownType(given) => Text::new(
                format!("Тип сообщения {given:?} неизвестен. Укажите type = {REQUEST_TYPE} или не указывайте его."),
                format!("The message type {given:?} is not known. Set type to {REQUEST_TYPE}, or leave it out."),
            ),
            Self::Invalid(_) => Text::new(
                "Запрос нельзя принять: исправьте перечисленные поля и отправьте его снова.",
                "The request cannot be accepted: correct the listed fields and send it again.",
            ),
            Self::UnknownStore(store) => Text::new(
                format!("Магазин {store} не настроен. Добавьте раздел [stores.{store}] или исправьте код магазина."),
                format!(
                    "The store {store} is not configured. Add the section [stores.{store}], or mend the store code."
                ),
            ),
            Self::UnknownAccount(account) => Text::new(
                format!("Учётная запись {account} не настроена. Добавьте раздел [accounts.{account}]."),
                format!("The account {account} is not configured. Add the section [accounts.{account}]."),
            ),
        }
    }

    /// Every single fault; none when the whole request is the fault.
    #[must_use]
    pub fn faults(&self) -> &[Fault] {
        match self {
            Self::Invalid(faults) => faults.as_slice(),
            Self::UnknownType(_) | Self::UnknownStore(_) | Self::UnknownAccount(_) => &[],
        }
    }

    /// The problem document for the shop and for the dead letter.
    #[must_use]
    pub fn problem(&self) -> Value {
        problem(self.code(), &self.detail(), self.faults())
    }
}

/// The problem document of a document that is known with another content. `state` is where its transaction stands: it
/// decides what the shop can do.
#[must_use]
pub fn conflict(id: TransactionId, state: StateName) -> Value {
    let (cure_ru, cure_en) = match state {
        StateName::Held | StateName::Queued | StateName::Sending | StateName::Waiting | StateName::Retrying => (
            "Дождитесь его исхода: исправленный чек принимается под тем же номером, когда прежний точно не пробит.",
            "Wait for its outcome: a corrected receipt is taken under the same number once the former one has certainly \
             failed.",
        ),
        StateName::Done => (
            "Он уже пробит: исправьте его возвратом или отправьте новый документ под другим номером.",
            "It is registered: correct it by a refund, or send a new document under another number.",
        ),
        StateName::Unknown => (
            "Его исход неизвестен: сначала найдите его у поставщика и закройте командой kassa resolve.",
            "Its outcome is not known: look it up at the vendor and close it with kassa resolve first.",
        ),
        StateName::Failed | StateName::Cancelled => (
            "Прежний чек не пробит, но одна из его отправок не доказана мёртвой: проверьте её у поставщика.",
            "The former receipt is not registered, but one of its registrations is not proven dead: look it up at the \
             vendor.",
        ),
    };
    let detail = Text::new(
        format!("Документ уже принят с другим содержимым (операция {id}, {state}); новое не принято. {cure_ru}"),
        format!(
            "The document was accepted before with another content (transaction {id}, {state}); the new one is not \
             taken. {cure_en}"
        ),
    );
    let mut problem = problem("conflict", &detail, &[]);
    problem["transaction_id"] = json!(id);
    problem["state"] = json!(state);
    problem
}

/// The problem document of a document whose key at the vendor belongs to another document.
#[must_use]
pub fn key_taken() -> Value {
    let detail = Text::new(
        "Ключ документа у поставщика занят другим документом: их номера различаются только регистром букв. \
         Измените номер.",
        "The document's key at the vendor belongs to another document: their numbers differ in letter case only. \
         Change the number.",
    );
    problem("key_taken", &detail, &[])
}

/// The problem document of a request that the database refuses, which only a mistake of ours can cause.
#[must_use]
pub fn not_storable() -> Value {
    let detail = Text::new(
        "Запрос не удалось сохранить: ошибка kassa. Он не потерян; обратитесь к разработчикам.",
        "The request could not be stored because of a mistake in kassa. It is not lost; ask the developers.",
    );
    problem("not_storable", &detail, &[])
}

/// An RFC 9457 problem document with the detail in both languages.
fn problem(code: &str, detail: &Text, faults: &[Fault]) -> Value {
    json!({
        "type": format!("urn:kassa:problem:{code}"),
        "title": "The request was not accepted",
        "code": code,
        "detail": detail.en,
        "detail_ru": detail.ru,
        "errors": faults,
    })
}

/// Moscow, whose day decides which VAT rates are in force and whose time registers stamp.
#[must_use]
pub fn moscow() -> TimeZone {
    // UTC+3 since 2014: without a time zone database on the machine the fixed offset says the same.
    TimeZone::get("Europe/Moscow").unwrap_or_else(|_| TimeZone::fixed(jiff::tz::offset(3)))
}

impl Directory {
    /// Where `vendor` may call back about a registration of `store`, if that store has callbacks. It holds a secret.
    #[must_use]
    pub fn callback_url(&self, store: &StoreCode, vendor: &VendorName) -> Option<String> {
        self.stores.get(store)?.callback_url(store, vendor)
    }

    /// Reads a request and finds its store and account.
    ///
    /// `message_type` and `routing_key` are the message's, if it came as one.
    ///
    /// # Errors
    /// [`NotAccepted`] with everything that is wrong, at once.
    pub fn read(
        &self,
        body: &[u8],
        message_type: Option<&str>,
        routing_key: Option<&str>,
    ) -> Result<Asked<'_>, NotAccepted> {
        if let Some(given) = message_type.filter(|given| !given.is_empty() && *given != REQUEST_TYPE) {
            return Err(NotAccepted::UnknownType(given.chars().take(80).collect()));
        }
        let request = RequestV1::parse(body, routing_key).map_err(NotAccepted::Invalid)?;
        let store = request.store();
        let settings = self
            .stores
            .get(store)
            .ok_or_else(|| NotAccepted::UnknownStore(store.clone()))?;
        let account = &settings.account;
        let vendor = self
            .vendors
            .get(account)
            .ok_or_else(|| NotAccepted::UnknownAccount(account.clone()))?;
        Ok(Asked {
            request,
            settings,
            vendor,
        })
    }
}

/// A request that keeps the contract, and what its store says.
#[derive(Debug, Clone)]
pub struct Asked<'a> {
    request: RequestV1,
    settings: &'a StoreSettings,
    vendor: &'a VendorName,
}

impl Asked<'_> {
    /// The document, under an id that is new with every call.
    #[must_use]
    pub fn subject(&self) -> Subject {
        let request = &self.request;
        Subject {
            transaction_id: TransactionId::new(),
            store: request.store().clone(),
            operation: request.operation(),
            document: request.document().clone(),
            part: request.part().clone(),
            order: request.order().cloned(),
        }
    }

    /// SHA-256 of the canonical request before store defaults.
    #[must_use]
    pub fn request_hash(&self) -> [u8; 32] {
        self.request.hash()
    }

    /// Fills in the store's defaults and freezes the receipt. `today` is the day in Moscow: it decides which VAT rates
    /// are in force. What is refused here may have been accepted on an earlier day, so whoever buries it looks into the
    /// ledger first.
    ///
    /// # Errors
    /// [`NotAccepted::Invalid`] with everything that is wrong, at once.
    pub fn freeze(&self, today: Date) -> Result<Prepared, NotAccepted> {
        let subject = self.subject();
        let frozen = self
            .request
            .freeze(self.settings, today)
            .map_err(NotAccepted::Invalid)?;
        let sending = self.settings.sending(subject.operation);
        let external_id = ExternalId::of(subject.operation, &subject.store, &subject.document, &subject.part, 0)
            .expect("a parsed request leaves room for its key");
        Ok(Prepared {
            subject,
            account: self.settings.account.clone(),
            vendor: self.vendor.clone(),
            request_hash: self.request_hash(),
            receipt: frozen.receipt,
            warnings: frozen.warnings,
            external_id,
            sending,
        })
    }
}
