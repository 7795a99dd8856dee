//! The request `Complex`: manual 3.2.0, with the fields that live clients have added since.
//!
//! Amounts are kopecks, quantities thousandths. What is left out, and why:
//! - `SubTotal`: the device would derive the price from it, with a rounding that nobody has described. Price times
//!   quantity is the sum of a line already.
//! - cashier, unit, country, customs declaration and excise: the request has no fields for them. A receipt to a company
//!   must carry the last three (law 54-FZ, article 4.7), so such a receipt is refused and not sent without them.
//! - `QueueLen`, `TryCount` and the other routing fields: the cloud has defaults, and `auto` needs none of them. The one
//!   that is sent is `ResendToSameDevice`: an answer that the service would not keep (a silent board, a failing printer)
//!   may stand for a closed document that only its own register remembers, and `auto` would let another register close a
//!   second one. The manual wants it to be constant for an id, so it is the same in every request.
//! - `TaxCalculationMethod`, `MaxDocumentsInTurn`: the register's own settings.

use receipt::marking::Mark;
use receipt::text::clean;
use receipt::{Line, Operation, PaymentKind, PaymentObject, Receipt, Text, Vat};
use serde::{Deserialize, Serialize};

use super::super::config::CheckOnlineSettings;
use crate::vendor::Rendering;

const LONGEST_DESCRIPTION: usize = 128;
const LONGEST_PLACE: usize = 256;
const LONGEST_NAME: usize = 256;
/// Title and value of the user requisite together, in bytes of code page 866, which are characters.
const LONGEST_REQUISITE: usize = 240;
/// `AdditionalRequisite` (tag 1192).
const LONGEST_ADDITIONAL: usize = 16;

/// Something in a receipt that the request has no words for, in words that follow "cannot be sent:".
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::checkonline) struct Inexpressible(pub(in crate::checkonline) Text);

impl Inexpressible {
    fn new(ru: impl Into<String>, en: impl Into<String>) -> Self {
        Self(Text::new(ru, en))
    }
}

/// The body of a registration.
///
/// # Errors
/// [`Inexpressible`] when the request has no words for something in the receipt.
pub(in crate::checkonline) fn complex(
    rendering: &Rendering<'_>,
    settings: &CheckOnlineSettings,
) -> Result<String, Inexpressible> {
    let Rendering {
        receipt,
        operation,
        external_id,
        rendered_at: _,
        callback_url: _,
    } = *rendering;
    let body = Complex::new(receipt, operation, external_id.as_str(), settings)?;
    serde_json::to_string(&body)
        .map_err(|_| Inexpressible::new("чек не превратился в JSON", "the receipt did not become JSON"))
}

/// `DocumentType`. It is not tag 1054: there a refund is 2 as well, but a sale is 1.
const fn document_type(operation: Operation) -> u8 {
    match operation {
        Operation::Sell | Operation::ResellSell => 0,
        Operation::Refund | Operation::ResellRefund => 2,
    }
}

/// `TaxId`. Up to 6 the numbers are the service's own; from 7 on they are those of tag 1199, and 11 and 12 are concluded
/// from that: no document that names them has been read, hence the setting `tax_ids`.
const fn tax_id(vat: Vat) -> u8 {
    match vat {
        Vat::Vat20 => 1,
        Vat::Vat10 => 2,
        Vat::Vat0 => 3,
        Vat::None => 4,
        Vat::Vat120 => 5,
        Vat::Vat110 => 6,
        Vat::Vat5 => 7,
        Vat::Vat7 => 8,
        Vat::Vat105 => 9,
        Vat::Vat107 => 10,
        Vat::Vat22 => 11,
        Vat::Vat122 => 12,
    }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Complex<'a> {
    device: &'static str,
    resend_to_same_device: bool,
    password: u32,
    request_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    group: Option<&'a str>,
    document_type: u8,
    lines: Vec<LineBody>,
    #[serde(skip_serializing_if = "is_nothing")]
    cash: i64,
    non_cash: [i64; 3],
    #[serde(skip_serializing_if = "is_nothing")]
    advance_payment: i64,
    #[serde(skip_serializing_if = "is_nothing")]
    credit: i64,
    #[serde(skip_serializing_if = "is_nothing")]
    consideration: i64,
    tax_mode: u8,
    phone_or_email: String,
    place: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_requisite: Option<UserRequisite>,
    #[serde(skip_serializing_if = "Option::is_none")]
    additional_requisite: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    customer_name: Option<String>,
    #[serde(rename = "CustomerINN", skip_serializing_if = "Option::is_none")]
    customer_inn: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    internet: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    timezone: Option<u8>,
    full_response: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct LineBody {
    qty: i64,
    price: i64,
    pay_attribute: u8,
    line_attribute: u8,
    tax_id: u8,
    description: String,
    #[serde(rename = "CGNFloat", skip_serializing_if = "Option::is_none")]
    cgn_float: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct UserRequisite {
    title: String,
    value: String,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
const fn is_nothing(kopecks: &i64) -> bool {
    *kopecks == 0
}

impl<'a> Complex<'a> {
    fn new(
        receipt: &'a Receipt,
        operation: Operation,
        request_id: &'a str,
        settings: &'a CheckOnlineSettings,
    ) -> Result<Self, Inexpressible> {
        let paid = |kind| -> i64 {
            let of_kind = receipt.payments.iter().filter(|payment| payment.kind == kind);
            of_kind.map(|payment| payment.sum.kopecks()).sum()
        };
        let company = receipt.buyer.inn.as_deref();
        let lines = receipt.lines.iter().enumerate();
        let lines = lines.map(|(at, line)| LineBody::new(at, line, company.is_some(), settings));
        Ok(Self {
            device: "auto",
            resend_to_same_device: true,
            password: settings.cashier_number,
            request_id,
            client_id: settings.client_id.as_deref(),
            group: settings.group.as_deref(),
            document_type: document_type(operation),
            lines: lines.collect::<Result<_, _>>()?,
            cash: paid(PaymentKind::Cash),
            // What this document was paid with; three kinds of electronic money, of which shops need one.
            non_cash: [paid(PaymentKind::Electronic), 0, 0],
            advance_payment: paid(PaymentKind::Prepaid),
            credit: paid(PaymentKind::Credit),
            consideration: paid(PaymentKind::Counter),
            tax_mode: receipt.seller.tax_system.tag_value(),
            phone_or_email: phone_or_email(receipt)?,
            place: clean(&receipt.seller.payment_address, LONGEST_PLACE).text,
            user_requisite: user_requisite(receipt)?,
            additional_requisite: additional_requisite(receipt)?,
            customer_name: (receipt.buyer.name.as_deref())
                .map(|name| clean(name, LONGEST_NAME).text)
                .filter(|name| !name.is_empty()),
            customer_inn: company,
            internet: is_internet_settlement(receipt).then_some(true),
            timezone: settings.timezone,
            full_response: settings.full_response,
        })
    }
}

/// Tag 1125, which a receipt of an Internet settlement must carry since 2025-09-01. Cash is paid to a courier.
fn is_internet_settlement(receipt: &Receipt) -> bool {
    receipt.payments.iter().all(|payment| match payment.kind {
        PaymentKind::Cash => false,
        PaymentKind::Electronic | PaymentKind::Prepaid | PaymentKind::Credit | PaymentKind::Counter => true,
    })
}

/// Tag 1008: the e-mail if there is one, for services write to one of them only and letters cost nothing. A Russian
/// telephone goes without its plus, as the manual has it.
fn phone_or_email(receipt: &Receipt) -> Result<String, Inexpressible> {
    let given = |field: &Option<String>| field.clone().filter(|text| !text.is_empty());
    let phone = given(&receipt.buyer.phone).map(|phone| {
        let normal = receipt::contact::phone(&phone).unwrap_or(phone);
        match normal.strip_prefix("+7") {
            Some(national) => format!("7{national}"),
            None => normal,
        }
    });
    given(&receipt.buyer.email).or(phone).ok_or_else(|| {
        Inexpressible::new(
            "у покупателя нет ни почты, ни телефона",
            "the buyer has neither e-mail nor telephone",
        )
    })
}

fn user_requisite(receipt: &Receipt) -> Result<Option<UserRequisite>, Inexpressible> {
    let Some(property) = &receipt.user_property else {
        return Ok(None);
    };
    let [title, value] = [&property.name, &property.value].map(|text| clean(text, usize::MAX).text);
    // The cleaned text has one byte per character in code page 866.
    let length = title.chars().count() + value.chars().count();
    if length > LONGEST_REQUISITE {
        return Err(Inexpressible::new(
            format!(
                "дополнительный реквизит пользователя длиннее {LONGEST_REQUISITE} знаков (название и значение вместе — {length})"
            ),
            format!(
                "the user property is longer than {LONGEST_REQUISITE} characters (name and value together have {length})"
            ),
        ));
    }
    Ok(Some(UserRequisite { title, value }))
}

fn additional_requisite(receipt: &Receipt) -> Result<Option<String>, Inexpressible> {
    let Some(given) = receipt.check_property.as_deref() else {
        return Ok(None);
    };
    let text = clean(given, usize::MAX).text;
    if text.chars().count() > LONGEST_ADDITIONAL {
        return Err(Inexpressible::new(
            format!("дополнительный реквизит чека длиннее {LONGEST_ADDITIONAL} знаков"),
            format!("the additional receipt requisite is longer than {LONGEST_ADDITIONAL} characters"),
        ));
    }
    Ok(Some(text).filter(|text| !text.is_empty()))
}

impl LineBody {
    fn new(at: usize, line: &Line, to_a_company: bool, settings: &CheckOnlineSettings) -> Result<Self, Inexpressible> {
        let number = at + 1;
        let description = clean(&line.name, LONGEST_DESCRIPTION).text;
        if description.is_empty() {
            return Err(Inexpressible::new(
                format!("в названии строки {number} нет ни одного знака, который печатает касса"),
                format!("the name of line {number} has no character that a register prints"),
            ));
        }
        let needs_fields = line.country_code.is_some() || line.declaration_number.is_some() || line.excise.is_some();
        if to_a_company && needs_fields {
            return Err(Inexpressible::new(
                format!(
                    "в чеке на организацию нужны страна, декларация и акциз строки {number}, а в запросе для них нет полей"
                ),
                format!(
                    "a receipt to a company needs country, declaration and excise of line {number}, and the request has no fields for them"
                ),
            ));
        }
        Ok(Self {
            qty: line.quantity.thousandths(),
            price: line.price.kopecks(),
            pay_attribute: line.payment_method.tag_value(),
            line_attribute: line_attribute(number, line.payment_object, &description)?,
            tax_id: (settings.tax_ids.get(&line.vat).copied()).unwrap_or_else(|| tax_id(line.vat)),
            description,
            cgn_float: line.mark.as_deref().map(|code| cgn_float(number, code)).transpose()?,
        })
    }
}

/// Tag 1212. A word of one vendor alone has no number that everybody means by it: 12 is a composite object in the format
/// 1.05 and a payout in 1.2.
fn line_attribute(number: usize, object: PaymentObject, description: &str) -> Result<u8, Inexpressible> {
    if object == PaymentObject::Award {
        return Err(Inexpressible::new(
            format!("у предмета расчёта {object} строки {number} нет здесь кода; укажите payment, service или another"),
            format!("the payment object {object} of line {number} has no code here; give payment, service or another"),
        ));
    }
    let tag = object.tag_value();
    // For these two kinds of income and expense a register takes a number for a name, and refuses all else (error 51).
    let kinds = match tag {
        15 => Some(1..=25),
        16 => Some(26..=31),
        _ => None,
    };
    if let Some(kinds) = kinds
        && !description.parse::<u8>().is_ok_and(|kind| kinds.contains(&kind))
    {
        let (least, most) = (kinds.start(), kinds.end());
        return Err(Inexpressible::new(
            format!("название строки {number} с предметом расчёта {object} должно быть числом от {least} до {most}"),
            format!(
                "the name of line {number} with the payment object {object} must be a number from {least} to {most}"
            ),
        ));
    }
    Ok(tag)
}

/// Tag 1162 in Base64.
fn cgn_float(number: usize, code: &str) -> Result<String, Inexpressible> {
    Mark::parse(code)
        .map(|mark| base64(&mark.nomenclature()))
        .map_err(|fault| {
            let Text { ru, en } = fault.text();
            Inexpressible::new(
                format!("код маркировки в строке {number}: {ru}"),
                format!("the marking code of line {number} {en}"),
            )
        })
}

/// RFC 4648 §4, for at most 32 bytes.
fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let [first, second, third] = [0, 1, 2].map(|at| usize::from(chunk.get(at).copied().unwrap_or(0)));
        let sextets = [
            first >> 2,
            (first << 4 | second >> 4) & 63,
            (second << 2 | third >> 6) & 63,
            third & 63,
        ];
        for (at, sextet) in sextets.into_iter().enumerate() {
            text.push(if at <= chunk.len() {
                char::from(ALPHABET[sextet])
            } else {
                '='
            });
        }
    }
    text
}

/// What a stored body says of itself: what an answer must agree with, and what is personal in it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(in crate::checkonline) struct Sent {
    pub(in crate::checkonline) request_id: String,
    pub(in crate::checkonline) document_type: i64,
    lines: Vec<SentLine>,
    phone_or_email: Option<String>,
    customer_name: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct SentLine {
    qty: i64,
    price: i64,
}

impl Sent {
    /// `None` for bytes that [`complex`] did not make.
    pub(in crate::checkonline) fn of(wire_body: &str) -> Option<Self> {
        serde_json::from_str(wire_body).ok()
    }

    /// Kopecks, each line rounded half up.
    pub(in crate::checkonline) fn total(&self) -> i64 {
        let rows = self.lines.iter();
        rows.map(|line| (i128::from(line.price) * i128::from(line.qty) + 500) / 1000)
            .map(|row| i64::try_from(row).unwrap_or(i64::MAX))
            .fold(0, i64::saturating_add)
    }

    /// Everything personal in the body.
    pub(in crate::checkonline) fn personal(&self) -> impl Iterator<Item = &str> {
        [self.phone_or_email.as_deref(), self.customer_name.as_deref()]
            .into_iter()
            .flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_that_of_the_standard() {
        for (bytes, text) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(base64(bytes.as_bytes()), text);
        }
        assert_eq!(base64(&[0xff, 0xfe, 0xfd]), "//79");
    }
}
