//! Building each vendor's request from a frozen receipt, by the vendor's own settings, as a claim does it.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::sync::Arc;

use criterion::{Criterion, criterion_group, criterion_main};
use receipt::{AccountName, ExternalId, Operation, Receipt};
use serde_json::{Value, json};
use vendors::{AccountSettings, CallTimeouts, Registry, Rendering, Vendor};

fn receipt(lines: usize) -> Receipt {
    let lines: Vec<Value> = (0..lines)
        .map(|number| {
            json!({
                "name": format!("Кружка {number}"), "price": "450.00", "quantity": "2", "sum": "900.00", "vat": "vat22",
                "payment_method": "full_payment", "payment_object": "commodity",
            })
        })
        .collect();
    let total = format!("{}.00", 900 * lines.len());
    serde_json::from_value(json!({
        "buyer": { "email": "buyer@example.org" },
        "seller": {
            "inn": "5544332219",
            "tax_system": "osn",
            "payment_address": "https://shop.example",
            "email": "kassa@shop.example",
        },
        "lines": lines,
        "payments": [{ "type": "electronic", "sum": total }],
        "total": total,
    }))
    .expect("the frozen form of a receipt")
}

/// An account of each vendor. No file is read and nobody is called.
fn vendors() -> Vec<Arc<dyn Vendor>> {
    let sections = [
        json!({
            "vendor": "atol", "url": "https://atol.example/possystem/v4", "login": "shop", "password": "secret",
            "group_code": "shop_1",
        }),
        json!({
            "vendor": "checkonline", "url": "https://checkonline.example", "group": "north", "client_id": "shop",
            "cert_file": "/nowhere/shop.pem", "key_file": "/nowhere/shop.key",
        }),
    ];
    let name = AccountName::parse("main").expect("a name");
    sections
        .into_iter()
        .map(|section| {
            let settings: AccountSettings = serde_json::from_value(section).expect("a section");
            let accounts = BTreeMap::from([(name.clone(), settings)]);
            let registry = Registry::build(&accounts, CallTimeouts::default()).expect("no faults");
            registry.get(&name).expect("it was just built")
        })
        .collect()
}

fn render_benchmarks(criterion: &mut Criterion) {
    let external_id = ExternalId::parse("invoice_main_000000417").expect("a key");
    for vendor in vendors() {
        for lines in [2, 100] {
            let receipt = receipt(lines);
            let rendering = Rendering {
                receipt: &receipt,
                operation: Operation::Sell,
                external_id: &external_id,
                rendered_at: "2026-03-14T08:27:00Z".parse().expect("a time"),
                callback_url: None,
            };
            let name = format!("render {lines} lines for {}", vendor.name());
            criterion.bench_function(&name, |bencher| {
                bencher.iter(|| vendor.render(black_box(&rendering)).expect("a body"));
            });
        }
    }
}

criterion_group!(benches, render_benchmarks);
criterion_main!(benches);
