//! From the shop's message to rows and to the vendor's request, and from its answer to rows, by hand and without checks.
//! What is written has the size and the shape of what kassa writes.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use crate::speed::contender::Rows;

/// A receipt before the call. The simple contest uses id, number and body only.
pub(super) struct Receipt {
    pub(super) id: Uuid,
    pub(super) number: String,
    pub(super) order: String,
    pub(super) hash: Vec<u8>,
    pub(super) body: String,
    pub(super) total: i64,
    pub(super) external_id: String,
    pub(super) wire: String,
    pub(super) event: String,
}

/// The same after the call.
#[derive(Default)]
pub(super) struct Answered {
    pub(super) id: Uuid,
    pub(super) answer: String,
    pub(super) duration_ms: i64,
    pub(super) fiscal: Fiscal,
    pub(super) event: String,
}

#[derive(Default)]
pub(super) struct Fiscal {
    pub(super) text: String,
    pub(super) fn_number: String,
    pub(super) fd: i64,
    pub(super) fpd: String,
    pub(super) registered_at: String,
}

#[derive(Deserialize)]
struct Plain {
    id: Uuid,
    number: String,
}

#[derive(Deserialize)]
struct Request<'a> {
    document: Document<'a>,
    #[serde(borrow)]
    customer: &'a RawValue,
    #[serde(borrow)]
    lines: &'a RawValue,
    #[serde(borrow)]
    payments: &'a RawValue,
    total: &'a str,
}

#[derive(Deserialize)]
struct Document<'a> {
    number: &'a str,
    order: &'a str,
}

#[derive(Deserialize)]
struct Line<'a> {
    name: &'a str,
    price: &'a str,
    quantity: &'a str,
    vat: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Complex<'a> {
    device: &'static str,
    password: u8,
    request_id: &'a str,
    document_type: u8,
    lines: Vec<WireLine<'a>>,
    non_cash: [i64; 3],
    tax_mode: u8,
    phone_or_email: &'static str,
    place: &'static str,
    full_response: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct WireLine<'a> {
    qty: i64,
    price: i64,
    pay_attribute: u8,
    line_attribute: u8,
    tax_id: u8,
    description: &'a str,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer<'a> {
    #[serde(rename = "FNSerialNumber")]
    fn_number: &'a str,
    fiscal_doc_number: i64,
    fiscal_sign: i64,
    doc_number: i64,
    device_registration_number: &'a str,
    #[serde(rename = "QR")]
    qr: String,
}

const SELLER: &str = r#"{"inn":"5544332219","tax_system":"osn","payment_address":"https://shop.example","email":"kassa@shop.example","cashier":null}"#;

pub(super) fn parse(rows: Rows, message: &[u8]) -> anyhow::Result<Receipt> {
    match rows {
        Rows::Two => {
            let Plain { id, number } = serde_json::from_slice(message)?;
            let body = String::from_utf8(message.to_vec())?;
            Ok(Receipt {
                id,
                number,
                order: String::new(),
                hash: Vec::new(),
                wire: body.clone(),
                body,
                total: 0,
                external_id: String::new(),
                event: String::new(),
            })
        }
        Rows::Kassa => receipt(message),
    }
}

fn receipt(message: &[u8]) -> anyhow::Result<Receipt> {
    let request: Request<'_> = serde_json::from_slice(message)?;
    let Document { number, order } = request.document;
    let lines: Vec<Line<'_>> = serde_json::from_str(request.lines.get())?;
    let total = digits(request.total)?;
    let external_id = format!("invoice_main_{number}");
    let wire = serde_json::to_string(&Complex {
        device: "auto",
        password: 1,
        request_id: &external_id,
        document_type: 0,
        lines: lines
            .iter()
            .map(|line| {
                Ok(WireLine {
                    qty: digits(line.quantity)? * 1000,
                    price: digits(line.price)?,
                    pay_attribute: 4,
                    line_attribute: 1,
                    tax_id: if line.vat == "none" { 4 } else { 11 },
                    description: line.name,
                })
            })
            .collect::<anyhow::Result<_>>()?,
        non_cash: [total, 0, 0],
        tax_mode: 1,
        phone_or_email: "buyer@example.org",
        place: "https://shop.example",
        full_response: false,
    })?;
    let body = format!(
        r#"{{"buyer":{},"seller":{SELLER},"lines":{},"payments":{},"total":"{}"}}"#,
        request.customer, request.lines, request.payments, request.total
    );
    let id = Uuid::now_v7();
    let event = event(
        id,
        &format!(r#""number":"{number}""#),
        order,
        &external_id,
        "queued",
        "null",
    );
    Ok(Receipt {
        id,
        number: number.to_owned(),
        order: order.to_owned(),
        hash: Sha256::digest(message).to_vec(),
        body,
        total,
        external_id,
        wire,
        event,
    })
}

pub(super) fn answered(rows: Rows, receipt: &Receipt, answer: String, took: Duration) -> anyhow::Result<Answered> {
    if rows == Rows::Two {
        return Ok(Answered {
            id: receipt.id,
            answer,
            ..Answered::default()
        });
    }
    let read: Answer<'_> = serde_json::from_str(&answer)?;
    // `t=20260314T1127&s=…`
    let at = read.qr.get(2..15).unwrap_or_default();
    let registered_at = format!(
        "{}-{}-{}T{}:{}:00",
        at.get(0..4).unwrap_or_default(),
        at.get(4..6).unwrap_or_default(),
        at.get(6..8).unwrap_or_default(),
        at.get(9..11).unwrap_or_default(),
        at.get(11..13).unwrap_or_default(),
    );
    let total = receipt.total;
    let text = format!(
        r#"{{"fn":"{}","fd":{},"fpd":"{}","shift":null,"receipt_number":{},"register_number":"{}","registered_at":"{registered_at}","total":"{}.{:02}","qr":"{}","ofd_url":null}}"#,
        read.fn_number,
        read.fiscal_doc_number,
        read.fiscal_sign,
        read.doc_number,
        read.device_registration_number,
        total / 100,
        total % 100,
        read.qr,
    );
    let document = format!(r#""number":"{}""#, receipt.number);
    let fiscal = Fiscal {
        fn_number: read.fn_number.to_owned(),
        fd: read.fiscal_doc_number,
        fpd: read.fiscal_sign.to_string(),
        registered_at,
        text,
    };
    Ok(Answered {
        id: receipt.id,
        duration_ms: i64::try_from(took.as_millis())?,
        event: event(
            receipt.id,
            &document,
            &receipt.order,
            &receipt.external_id,
            "done",
            &fiscal.text,
        ),
        fiscal,
        answer,
    })
}

fn event(id: Uuid, document: &str, order: &str, external_id: &str, state: &str, fiscal: &str) -> String {
    format!(
        r#"{{"store":"main","operation":"sell",{document},"part":"main","order":"{order}","transaction_id":"{id}","external_id":"{external_id}","vendor_uuid":null,"state":"{state}","kkm_status":"wait","order_status_hint":null,"text":{{"ru":"Чек прихода принят в очередь или пробит: номер документа и ссылка.","en":"The sale receipt is accepted or registered: number of the document and its link."}},"fiscal":{fiscal},"error":null,"replaces":null,"version":1}}"#
    )
}

/// `"450.00"` in kopecks; `"2"` as it is.
fn digits(text: &str) -> anyhow::Result<i64> {
    Ok(text.replace('.', "").parse()?)
}
