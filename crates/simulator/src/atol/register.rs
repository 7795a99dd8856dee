//! What the register checks after acceptance. Its refusals come late, in the report (fact sheet, section 3.8).

use std::collections::BTreeMap;

use super::codes::{self, driver};
use super::order::{Item, Order, Vat};
use crate::books::Failure;

/// How far `total` may be from the sum of the lines: rounding to whole roubles (document 4, section 3.8 of the sheet).
const ROUNDING_KOPECKS: i64 = 99;

/// The total in kopecks that the register prints, or why it refuses.
///
/// `inn` belongs to the group's registers. The order of the checks and the tolerances are inferred: no document names
/// them. A sum is wrong when it differs from the exact value by a kopeck or more, so every rounding rule passes.
pub(super) fn check(order: &Order, inn: &str) -> Result<i64, Failure> {
    if order.inn != inn {
        return Err(codes::foreign_inn(&order.inn, inn));
    }
    if order.operation.is_correction() {
        return Ok(order.payments.iter().filter_map(|payment| payment.sum_kopecks).sum());
    }
    let mut total: i64 = 0;
    for item in &order.items {
        total = total.saturating_add(line_sum(item)?);
    }
    let asked = order.total_kopecks.unwrap_or(total);
    if total.abs_diff(asked) > ROUNDING_KOPECKS.unsigned_abs() {
        return Err(driver(227));
    }
    check_payments(order, asked)?;
    check_vat(order)?;
    Ok(total)
}

/// The sum of a line; when given, it must be price × quantity.
fn line_sum(item: &Item) -> Result<i64, Failure> {
    const MILLION: i128 = 1_000_000;
    let exact = i128::from(item.price_kopecks) * item.quantity_micros;
    match item.sum_kopecks {
        Some(sum) if (i128::from(sum) * MILLION - exact).abs() < MILLION => Ok(sum),
        Some(_) => Err(driver(16)),
        None => i64::try_from((exact + MILLION / 2) / MILLION).map_err(|_| driver(163)),
    }
}

/// Payments must cover the total, and only cash may go above it: the rest of it is change.
fn check_payments(order: &Order, total: i64) -> Result<(), Failure> {
    let mut cash: i64 = 0;
    let mut cashless: i64 = 0;
    for payment in &order.payments {
        match payment.sum_kopecks {
            None => cashless = cashless.saturating_add(total),
            Some(sum) if payment.kind == 0 => cash = cash.saturating_add(sum),
            Some(sum) => cashless = cashless.saturating_add(sum),
        }
    }
    if order.payments.is_empty() {
        Err(driver(261))
    } else if cashless > total {
        Err(driver(52))
    } else if cash.saturating_add(cashless) < total {
        Err(driver(66))
    } else {
        Ok(())
    }
}

/// When the receipt gives VAT as a whole, the sums of its lines do not count.
fn check_vat(order: &Order) -> Result<(), Failure> {
    let Some(vats) = &order.vats else {
        return order.items.iter().try_for_each(|item| {
            let base = line_sum(item)?;
            if is_vat_of(&item.vat, base, 1) {
                Ok(())
            } else {
                Err(driver(128))
            }
        });
    };
    let mut bases: BTreeMap<&str, (i64, i64)> = BTreeMap::new();
    for item in &order.items {
        let (base, lines) = bases.entry(&item.vat.kind).or_default();
        *base = base.saturating_add(line_sum(item)?);
        *lines += 1;
    }
    for vat in vats {
        let (base, lines) = bases.get(vat.kind.as_str()).copied().unwrap_or((0, 1));
        if !is_vat_of(vat, base, lines) {
            return Err(driver(128));
        }
    }
    Ok(())
}

/// Whether the tax is the right part of `base`, computed for each of `lines` or for all at once.
fn is_vat_of(vat: &Vat, base: i64, lines: i64) -> bool {
    let Some(sum) = vat.sum_kopecks else { return true };
    let (numerator, denominator) = fraction(&vat.kind);
    let difference = i128::from(sum) * denominator - i128::from(base) * numerator;
    difference.abs() < denominator * i128::from(lines)
}

/// The part of a price that is tax (fact sheet, section 8).
fn fraction(kind: &str) -> (i128, i128) {
    match kind {
        "vat5" | "vat105" => (5, 105),
        "vat7" | "vat107" => (7, 107),
        "vat10" | "vat110" => (10, 110),
        "vat18" | "vat118" => (18, 118),
        "vat20" | "vat120" => (20, 120),
        "vat22" | "vat122" => (22, 122),
        // `none`, `vat0` and what the schema would not let through.
        _ => (0, 1),
    }
}

#[cfg(test)]
mod tests {
    use super::super::operation::Operation;
    use super::*;
    use serde_json::{Value, json};

    /// Sent as it is the register takes it; `change` spoils it.
    fn outcome(change: impl Fn(&mut Value)) -> Result<i64, i64> {
        let mut receipt = json!({
            "company": {"inn": "7805123470"},
            "items": [
                {"name": "Kettle", "price": 1290.00, "quantity": 2, "sum": 2580.00, "vat": {"type": "vat22", "sum": 465.25}},
                {"name": "Cheese", "price": 340.00, "quantity": 0.75, "sum": 255.00, "vat": {"type": "vat10", "sum": 23.18}}
            ],
            "payments": [{"type": 1, "sum": 2835.00}],
            "vats": [{"type": "vat22", "sum": 465.25}, {"type": "vat10", "sum": 23.18}],
            "total": 2835.00
        });
        change(&mut receipt);
        let body = json!({"external_id": "a", "receipt": receipt});
        check(&Order::read(Operation::Sell, &body), "7805123470").map_err(|failure| failure.code)
    }

    #[test]
    fn a_right_receipt_is_printed_with_the_sum_of_its_lines() {
        assert_eq!(outcome(|_| {}), Ok(283_500));
        assert_eq!(outcome(|r| r["total"] = json!(2834.01)), Err(52));
        assert_eq!(
            outcome(|r| {
                r["total"] = json!(2834.01);
                r["payments"][0]["sum"] = json!(2834.01)
            }),
            Ok(283_500)
        );
        assert_eq!(
            outcome(|r| {
                r["items"][1]["sum"] = Value::Null;
                r["payments"][0]["sum"] = Value::Null
            }),
            Ok(283_500)
        );
    }

    #[test]
    fn each_wrong_sum_has_its_code() {
        assert_eq!(outcome(|r| r["company"]["inn"] = json!("7701452865")), Err(2009));
        assert_eq!(outcome(|r| r["items"][1]["sum"] = json!(255.01)), Err(16));
        assert_eq!(outcome(|r| r["total"] = json!(2836.00)), Err(227));
        assert_eq!(outcome(|r| r["payments"][0]["sum"] = json!(2834.99)), Err(66));
        assert_eq!(outcome(|r| r["payments"][0]["sum"] = json!(2835.01)), Err(52));
        assert_eq!(outcome(|r| r["vats"][0]["sum"] = json!(425.70)), Err(128));
        assert_eq!(outcome(|r| r["vats"][0]["type"] = json!("vat20")), Err(128));
        assert_eq!(
            outcome(|r| r["vats"][0] = json!({"type": "none", "sum": 0.01})),
            Err(128)
        );
    }

    #[test]
    fn cash_above_the_total_is_change() {
        assert_eq!(
            outcome(|r| r["payments"] = json!([{"type": 0, "sum": 3000}])),
            Ok(283_500)
        );
        assert_eq!(
            outcome(|r| r["payments"] = json!([{"type": 0, "sum": 500}, {"type": 2, "sum": 2335}])),
            Ok(283_500)
        );
    }

    #[test]
    fn the_tax_of_a_line_counts_only_without_the_taxes_of_the_receipt() {
        assert_eq!(outcome(|r| r["items"][0]["vat"]["sum"] = json!(1)), Ok(283_500));
        let without_vats = |sum: Value| {
            outcome(move |r| {
                r.as_object_mut().expect("an object").remove("vats");
                r["items"][0]["vat"]["sum"] = sum.clone();
            })
        };
        assert_eq!(without_vats(json!(465.25)), Ok(283_500));
        assert_eq!(without_vats(json!(465.24)), Ok(283_500));
        assert_eq!(without_vats(json!(466.25)), Err(128));
        assert_eq!(without_vats(Value::Null), Ok(283_500));
    }
}
