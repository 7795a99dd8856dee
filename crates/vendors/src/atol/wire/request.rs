//! Requests: v4 document 5.23 §5.
//!
//! Sums and quantities are JSON numbers with exactly the digits that our integers have. What is left out, and why:
//! - `vats` and `vat.sum`: the register computes them from the rate of each line, and a sum of ours that is rounded
//!   otherwise would be refused *after* the receipt was taken.
//! - `phone` beside an e-mail: the schema's second alternative wants it alone, and with both the OFD writes to the
//!   e-mail only.
//! - `cashless_payments`, `device_number`, `location`, agents: the vendor-neutral receipt does not have them.
//!
//! The receipt's own words for rates, methods, objects and tax systems are those of v4; a test holds the lists together.

use std::fmt;

use jiff::tz::{Offset, TimeZone};
use receipt::marking::Mark;
use receipt::{Buyer, Line, Money, Operation, PaymentKind, Quantity, Receipt, Text};
use serde::ser::Error as _;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::value::RawValue;

use super::TIMESTAMP;
use crate::vendor::Rendering;

/// Moscow has been at UTC+3 all year since 2014-10-26, so no time zone database is needed.
const MOSCOW: Offset = jiff::tz::offset(3);

/// The longest callback address that the schema lets through; a longer one would have every receipt refused.
pub(in crate::atol) const LONGEST_CALLBACK_URL: usize = 256;

/// The body of `getToken`.
#[derive(Serialize)]
pub(in crate::atol) struct TokenRequest<'a> {
    pub(in crate::atol) login: &'a str,
    pub(in crate::atol) pass: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::atol) source: Option<&'a str>,
}

/// The path segment of an operation (v4 document 5.23 §2).
pub(in crate::atol) const fn segment(operation: Operation) -> &'static str {
    match operation {
        Operation::Sell | Operation::ResellSell => "sell",
        Operation::Refund | Operation::ResellRefund => "sell_refund",
    }
}

/// Something in a receipt that version 4 has no words for, in words that follow "cannot be sent:".
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::atol) struct Inexpressible(pub(in crate::atol) Text);

impl Inexpressible {
    fn new(ru: impl Into<String>, en: impl Into<String>) -> Self {
        Self(Text::new(ru, en))
    }
}

/// The body of a registration.
///
/// # Errors
/// [`Inexpressible`] when version 4 has no words for something in the receipt.
pub(in crate::atol) fn registration(rendering: &Rendering<'_>) -> Result<String, Inexpressible> {
    let Rendering {
        receipt,
        operation: _,
        external_id,
        rendered_at,
        callback_url,
    } = *rendering;
    let body = RegistrationBody {
        timestamp: rendered_at
            .to_zoned(TimeZone::fixed(MOSCOW))
            .strftime(TIMESTAMP)
            .to_string(),
        external_id: external_id.as_str(),
        service: callback_url
            .filter(|url| !url.is_empty() && url.chars().count() <= LONGEST_CALLBACK_URL)
            .map(|callback_url| Service { callback_url }),
        receipt: ReceiptBody::new(receipt)?,
    };
    serde_json::to_string(&body)
        .map_err(|_| Inexpressible::new("чек не превратился в JSON", "the receipt did not become JSON"))
}

#[derive(Serialize)]
struct RegistrationBody<'a> {
    timestamp: String,
    external_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    service: Option<Service<'a>>,
    receipt: ReceiptBody<'a>,
}

#[derive(Serialize)]
struct Service<'a> {
    callback_url: &'a str,
}

#[derive(Serialize)]
struct ReceiptBody<'a> {
    client: Client<'a>,
    company: Company<'a>,
    items: Vec<Item<'a>>,
    payments: Vec<Payment>,
    #[serde(serialize_with = "exact")]
    total: Money,
    #[serde(skip_serializing_if = "Option::is_none")]
    additional_check_props: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cashier: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    additional_user_props: Option<UserProps<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    internet: Option<bool>,
}

#[derive(Serialize)]
struct Client<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    email: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    phone: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    inn: Option<&'a str>,
}

#[derive(Serialize)]
struct Company<'a> {
    email: &'a str,
    sno: &'static str,
    inn: &'a str,
    payment_address: &'a str,
}

#[derive(Serialize)]
struct Item<'a> {
    name: &'a str,
    #[serde(serialize_with = "exact")]
    price: Money,
    #[serde(serialize_with = "exact")]
    quantity: Quantity,
    #[serde(serialize_with = "exact")]
    sum: Money,
    #[serde(skip_serializing_if = "Option::is_none")]
    measurement_unit: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    nomenclature_code: Option<String>,
    payment_method: &'static str,
    payment_object: &'static str,
    vat: Vat,
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "exact_if_any")]
    excise: Option<Money>,
    #[serde(skip_serializing_if = "Option::is_none")]
    country_code: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    declaration_number: Option<&'a str>,
}

#[derive(Serialize)]
struct Vat {
    r#type: &'static str,
}

#[derive(Serialize)]
struct Payment {
    r#type: u8,
    #[serde(serialize_with = "exact")]
    sum: Money,
}

#[derive(Serialize)]
struct UserProps<'a> {
    name: &'a str,
    value: &'a str,
}

impl<'a> ReceiptBody<'a> {
    fn new(receipt: &'a Receipt) -> Result<Self, Inexpressible> {
        let items = receipt.lines.iter().enumerate().map(|(at, line)| Item::new(at, line));
        Ok(Self {
            client: Client::new(&receipt.buyer)?,
            company: Company {
                email: &receipt.seller.email,
                sno: receipt.seller.tax_system.name(),
                inn: &receipt.seller.inn,
                payment_address: &receipt.seller.payment_address,
            },
            items: items.collect::<Result<_, _>>()?,
            payments: receipt
                .payments
                .iter()
                .map(|payment| Payment {
                    r#type: payment.kind.tag_value(),
                    sum: payment.sum,
                })
                .collect(),
            total: receipt.total,
            additional_check_props: receipt.check_property.as_deref(),
            cashier: receipt.cashier.as_deref(),
            additional_user_props: receipt.user_property.as_ref().map(|property| UserProps {
                name: &property.name,
                value: &property.value,
            }),
            internet: is_internet_settlement(receipt).then_some(true),
        })
    }
}

/// Tag 1125, which a receipt of an Internet settlement must carry since 2025-09-01 (FNS order ЕД-7-20/236@) and which
/// v4 has had since document 5.18. A shop's receipt is one unless cash changed hands; cash is paid to a courier. An
/// older copy of the service ignores the field, as it does every one that it does not know.
fn is_internet_settlement(receipt: &Receipt) -> bool {
    receipt.payments.iter().all(|payment| match payment.kind {
        PaymentKind::Cash => false,
        PaymentKind::Electronic | PaymentKind::Prepaid | PaymentKind::Credit | PaymentKind::Counter => true,
    })
}

impl<'a> Client<'a> {
    fn new(buyer: &'a Buyer) -> Result<Self, Inexpressible> {
        let email = buyer.email.as_deref().filter(|email| !email.is_empty());
        let phone = buyer
            .phone
            .as_deref()
            .filter(|phone| email.is_none() && !phone.is_empty());
        if email.is_none() && phone.is_none() {
            return Err(Inexpressible::new(
                "у покупателя нет ни почты, ни телефона",
                "the buyer has neither e-mail nor telephone",
            ));
        }
        Ok(Self {
            email,
            phone,
            name: buyer.name.as_deref(),
            inn: buyer.inn.as_deref(),
        })
    }
}

impl<'a> Item<'a> {
    fn new(at: usize, line: &'a Line) -> Result<Self, Inexpressible> {
        Ok(Self {
            name: &line.name,
            price: line.price,
            quantity: line.quantity,
            sum: line.sum,
            measurement_unit: line.unit.as_deref(),
            nomenclature_code: line
                .mark
                .as_deref()
                .map(|code| nomenclature_code(at, code))
                .transpose()?,
            payment_method: line.payment_method.name(),
            payment_object: line.payment_object.name(),
            vat: Vat {
                r#type: line.vat.name(),
            },
            // The schema's lower bound excludes 0 itself.
            excise: line.excise.filter(|excise| *excise != Money::ZERO),
            country_code: line.country_code.as_deref(),
            declaration_number: line.declaration_number.as_deref(),
        })
    }
}

/// Tag 1162 of the line with that index. The service would also convert the raw code itself, with rules that are written
/// nowhere; hexadecimal bytes leave it nothing to decide (v4 document 5.23 §6).
fn nomenclature_code(at: usize, code: &str) -> Result<String, Inexpressible> {
    Mark::parse(code).map(|mark| mark.nomenclature_hex()).map_err(|fault| {
        let Text { ru, en } = fault.text();
        let line = at + 1;
        Inexpressible::new(
            format!("код маркировки в строке {line}: {ru}"),
            format!("the marking code of line {line} {en}"),
        )
    })
}

/// A decimal as a JSON number with exactly its digits: `Display` of our amounts is one, and goes out as it is.
fn exact<T: fmt::Display, S: Serializer>(amount: &T, to: S) -> Result<S::Ok, S::Error> {
    RawValue::from_string(amount.to_string())
        .map_err(S::Error::custom)?
        .serialize(to)
}

fn exact_if_any<S: Serializer>(amount: &Option<Money>, to: S) -> Result<S::Ok, S::Error> {
    match amount {
        Some(amount) => exact(amount, to),
        None => to.serialize_none(),
    }
}

/// What a stored body says about the buyer, for masking.
#[derive(Deserialize)]
pub(in crate::atol) struct SentBuyer {
    receipt: SentReceipt,
}

#[derive(Deserialize)]
struct SentReceipt {
    client: SentClient,
}

#[derive(Deserialize)]
struct SentClient {
    email: Option<String>,
    phone: Option<String>,
    name: Option<String>,
}

impl SentBuyer {
    /// Everything personal in the body.
    pub(in crate::atol) fn of(wire_body: &str) -> impl Iterator<Item = String> {
        let client = serde_json::from_str::<Self>(wire_body)
            .ok()
            .map(|body| body.receipt.client);
        client
            .into_iter()
            .flat_map(|client| [client.email, client.phone, client.name])
            .flatten()
    }
}
