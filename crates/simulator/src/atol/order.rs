//! An accepted body as the register reads it: only what it computes with, in exact units.

use serde_json::Value;

use super::operation::Operation;
use crate::exact::Exact;

/// The part of a document that the service and the register act on.
#[derive(Debug)]
pub(super) struct Order {
    pub(super) operation: Operation,
    pub(super) external_id: String,
    /// Empty when the request named none.
    pub(super) callback_url: String,
    pub(super) inn: String,
    /// Empty in a correction.
    pub(super) items: Vec<Item>,
    pub(super) payments: Vec<Payment>,
    /// VAT of the whole receipt, when the request gave it.
    pub(super) vats: Option<Vec<Vat>>,
    /// What the request says the total is; a correction has none.
    pub(super) total_kopecks: Option<i64>,
}

#[derive(Debug)]
pub(super) struct Item {
    pub(super) name: String,
    pub(super) price_kopecks: i64,
    /// The quantity in millionths.
    pub(super) quantity_micros: i128,
    /// Absent when the request gave `null`: the register computes it.
    pub(super) sum_kopecks: Option<i64>,
    pub(super) vat: Vat,
}

#[derive(Debug)]
pub(super) struct Payment {
    /// 0 is cash, everything else is not.
    pub(super) kind: u64,
    /// Absent when the request gave `null`: the service fills in the total, as cashless.
    pub(super) sum_kopecks: Option<i64>,
}

#[derive(Debug)]
pub(super) struct Vat {
    pub(super) kind: String,
    /// Absent when the register is to compute it.
    pub(super) sum_kopecks: Option<i64>,
}

impl Order {
    /// Reads a body that has passed the schema; whatever the schema let through and we cannot use counts as absent.
    pub(super) fn read(operation: Operation, body: &Value) -> Order {
        let content = &body[if operation.is_correction() {
            "correction"
        } else {
            "receipt"
        }];
        Order {
            operation,
            external_id: text(&body["external_id"]),
            callback_url: text(&body["service"]["callback_url"]),
            inn: text(&content["company"]["inn"]),
            items: elements(&content["items"]).map(Item::read).collect(),
            payments: elements(&content["payments"]).map(Payment::read).collect(),
            vats: content["vats"]
                .as_array()
                .map(|vats| vats.iter().map(Vat::read).collect()),
            total_kopecks: kopecks(&content["total"]),
        }
    }

    /// The first line's name, by which people recognise a receipt.
    pub(super) fn marker(&self) -> Option<&str> {
        self.items.first().map(|item| item.name.as_str())
    }
}

impl Item {
    fn read(item: &Value) -> Item {
        Item {
            name: text(&item["name"]),
            price_kopecks: kopecks(&item["price"]).unwrap_or(0),
            quantity_micros: item["quantity"]
                .as_number()
                .map_or(0, |number| Exact::of(number).units(6)),
            sum_kopecks: kopecks(&item["sum"]),
            vat: Vat::read(&item["vat"]),
        }
    }
}

impl Payment {
    fn read(payment: &Value) -> Payment {
        Payment {
            kind: payment["type"].as_u64().unwrap_or(0),
            sum_kopecks: kopecks(&payment["sum"]),
        }
    }
}

impl Vat {
    /// The schema does not demand a type; a line without one is taken as free of VAT.
    fn read(vat: &Value) -> Vat {
        Vat {
            kind: vat["type"].as_str().unwrap_or("none").to_owned(),
            sum_kopecks: kopecks(&vat["sum"]),
        }
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn kopecks(value: &Value) -> Option<i64> {
    value.as_number().map(|number| Exact::of(number).kopecks())
}

fn elements(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

/// The external id and the first line's name of a body that nobody has checked yet, for the fault rules.
pub(super) fn subject_of(body: &Value) -> (Option<&str>, Option<&str>) {
    (
        body["external_id"].as_str(),
        body["receipt"]["items"][0]["name"].as_str(),
    )
}
