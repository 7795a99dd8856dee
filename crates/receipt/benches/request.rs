//! Reading a request: from a message's bytes to a receipt that can be accepted, or to the list of what is wrong with it.

use std::collections::BTreeMap;
use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use receipt::intake::Directory;
use receipt::{AccountName, RequestV1, StoreCode, StoreSettings, VendorName};
use serde_json::json;

/// A day on which every rate of 2026 is in force.
const TODAY: jiff::civil::Date = jiff::civil::date(2026, 11, 23);

fn request(lines: usize) -> Vec<u8> {
    let lines: Vec<_> = (0..lines)
        .map(|number| {
            json!({
                "name": format!("Ceramic mug {number}"), "price": "450.00", "quantity": "2", "sum": "900.00", "vat": "vat22"
            })
        })
        .collect();
    let total = format!("{}.00", 900 * lines.len());
    json!({
        "store": "main",
        "operation": "sell",
        "document": { "number": "000000417", "order": "100000123" },
        "customer": { "email": "buyer@example.org", "phone": "+79001234567" },
        "lines": lines,
        "payments": [{ "type": "electronic", "sum": total }],
        "total": total,
    })
    .to_string()
    .into_bytes()
}

fn directory() -> Directory {
    let store: StoreSettings = serde_json::from_value(json!({
        "account": "main",
        "inn": "7707083893",
        "sno": "osn",
        "payment_address": "https://shop.example",
        "company_email": "kassa@shop.example",
    }))
    .expect("sound settings");
    let account = AccountName::parse("main").expect("a name");
    let vendor = VendorName::parse("atol").expect("a name");
    Directory {
        stores: BTreeMap::from([(StoreCode::parse("main").expect("a code"), store)]),
        vendors: BTreeMap::from([(account, vendor)]),
    }
}

fn request_benchmarks(criterion: &mut Criterion) {
    let directory = directory();
    for lines in [2, 100] {
        let body = request(lines);
        criterion.bench_function(&format!("parse a request of {lines} lines"), |bencher| {
            bencher.iter(|| RequestV1::parse(black_box(&body), Some("main")));
        });
        criterion.bench_function(&format!("read, validate and freeze one of {lines} lines"), |bencher| {
            bencher.iter(|| {
                let asked = directory.read(black_box(&body), None, Some("main")).expect("a request");
                asked.freeze(TODAY).expect("a receipt")
            });
        });
    }
    let wrong = String::from_utf8(request(2)).expect("text").replace("vat22", "vat19");
    criterion.bench_function("refuse a request with two faults", |bencher| {
        bencher.iter(|| RequestV1::parse(black_box(wrong.as_bytes()), Some("main")).expect_err("faults"));
    });
}

criterion_group!(benches, request_benchmarks);
criterion_main!(benches);
