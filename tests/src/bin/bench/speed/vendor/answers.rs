//! What it answers. Enough for a client to judge a document by: id, total, time, and the numbers of a fiscal document.

use jiff::Timestamp;
use jiff::tz::Offset;
use serde::Deserialize;

use super::books::Books;

/// What is read of `Complex`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Complex {
    request_id: String,
    document_type: u8,
    lines: Vec<Line>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Line {
    qty: u64,
    price: u64,
}

/// What is read of ATOL Online's registration.
#[derive(Deserialize)]
struct Sell {
    external_id: String,
}

/// What is read of the plain POST.
#[derive(Deserialize)]
struct Plain {
    id: String,
}

/// `CheckOnline` registers at once.
pub(super) fn complex(body: &[u8], books: &Books) -> Result<String, serde_json::Error> {
    let Complex {
        request_id,
        document_type,
        lines,
    } = serde_json::from_slice(body)?;
    let total: u64 = lines.iter().map(|line| line.price * line.qty / 1000).sum();
    let number = books.note(request_id.clone());
    let at = Offset::constant(3).to_datetime(Timestamp::now());
    let (day, month, year) = (at.day(), at.month(), at.year() % 100);
    let (hour, minute, second) = (at.hour(), at.minute(), at.second());
    let sign = 3_000_000_000 + number;
    Ok(format!(
        r#"{{"ClientId":"","Date":{{"Date":{{"Day":{day},"Month":{month},"Year":{year}}},"Time":{{"Hour":{hour},"Minute":{minute},"Second":{second}}}}},"Device":{{"Name":"10000000000000000017","Address":"10.20.0.17:4417"}},"DeviceRegistrationNumber":"0000000400054952","DeviceSerialNumber":"10000000000000000017","DocNumber":{number},"DocumentType":{document_type},"FNSerialNumber":"9999078900004412","FiscalDocNumber":{number},"FiscalSign":{sign},"GrandTotal":{total},"Path":"/fr/api/v2/Complex","QR":"t=20{year:02}{month:02}{day:02}T{hour:02}{minute:02}\u0026s={}.{:02}\u0026fn=9999078900004412\u0026i={number}\u0026fp={sign}\u0026n=1","RequestId":"{request_id}","Response":{{"Error":0}}}}"#,
        total / 100,
        total % 100,
    ))
}

/// ATOL Online takes it and will say later what became of it.
pub(super) fn sell(body: &[u8], books: &Books) -> Result<String, serde_json::Error> {
    let Sell { external_id } = serde_json::from_slice(body)?;
    let number = books.note(external_id);
    let at = Offset::constant(3)
        .to_datetime(Timestamp::now())
        .strftime("%d.%m.%Y %H:%M:%S");
    Ok(format!(
        r#"{{"uuid":"00000000-0000-4000-8000-{number:012x}","timestamp":"{at}","error":null,"status":"wait"}}"#
    ))
}

pub(super) fn token() -> String {
    r#"{"token":"a-token-of-the-benchmark","timestamp":"01.01.2026 00:00:00","error":null}"#.to_owned()
}

pub(super) fn plain(body: &[u8], books: &Books) -> Result<String, serde_json::Error> {
    let Plain { id } = serde_json::from_slice(body)?;
    let number = books.note(id);
    Ok(format!(r#"{{"number":{number},"status":"ok"}}"#))
}
