//! What a sound request becomes.

use receipt::{FaultCode, Frozen, Operation, PaymentKind, PaymentMethod, PaymentObject, Receipt, Vat};
use serde_json::{Value, json};

use super::{SAMPLE, TODAY, freeze, full, merge, parse, sample, settings};

fn frozen(change: &Value) -> Frozen {
    let mut request = sample();
    merge(&mut request, change);
    freeze(&request).map_err(|faults| faults.to_string()).expect("sound")
}

fn warnings(frozen: &Frozen) -> Vec<(&str, FaultCode)> {
    frozen
        .warnings
        .iter()
        .map(|warning| (warning.pointer.as_str(), warning.code))
        .collect()
}

#[test]
fn the_sample_of_the_contract_parses_and_freezes() {
    let request = receipt::RequestV1::parse(SAMPLE.as_bytes(), None).expect("the sample is sound");
    assert_eq!(request.operation(), Operation::Sell);
    assert_eq!(request.document().as_str(), "000000417");
    assert!(request.part().is_main());
    assert_eq!(request.order().map(ToString::to_string).as_deref(), Some("100000123"));
    assert_eq!(request.total().to_string(), "1200.00");
    let frozen = request
        .freeze(&settings(&json!({})), TODAY)
        .expect("the sample is sound");
    insta::assert_json_snapshot!(frozen.receipt, @r#"
    {
      "buyer": {
        "email": "buyer@example.org",
        "phone": "+79001234567",
        "name": "Romashka LLC",
        "inn": "7701234567"
      },
      "seller": {
        "inn": "7707083893",
        "tax_system": "osn",
        "payment_address": "https://shop.example",
        "email": "kassa@shop.example"
      },
      "lines": [
        {
          "name": "Ceramic mug",
          "price": "450.00",
          "quantity": "2",
          "sum": "900.00",
          "vat": "vat22",
          "payment_method": "full_payment",
          "payment_object": "commodity"
        },
        {
          "name": "Courier",
          "price": "300.00",
          "quantity": "1",
          "sum": "300.00",
          "vat": "none",
          "payment_method": "full_payment",
          "payment_object": "service"
        }
      ],
      "payments": [
        {
          "type": "electronic",
          "sum": "1200.00"
        }
      ],
      "total": "1200.00"
    }
    "#);
    // The INN of the sample is made up; wrong check digits are worth a look and no reason to leave a sale unregistered.
    assert_eq!(warnings(&frozen), [("/customer/inn", FaultCode::InnCheckDigits)]);
}

#[test]
fn a_frozen_receipt_reads_back_as_itself() {
    for request in [sample(), full()] {
        let receipt = freeze(&request).expect("sound").receipt;
        let stored = serde_json::to_string(&receipt).expect("serialises");
        assert_eq!(serde_json::from_str::<Receipt>(&stored).expect("reads back"), receipt);
    }
}

#[test]
fn every_field_of_the_contract_reaches_the_receipt() {
    let frozen = freeze(&full()).map_err(|faults| faults.to_string()).expect("sound");
    assert_eq!(warnings(&frozen), []);
    let receipt = serde_json::to_value(&frozen.receipt).expect("serialises");
    for (pointer, value) in [
        ("/buyer/phone", "+79001234567"),
        ("/buyer/name", "Ромашка"),
        ("/lines/0/name", "Кофе \"Утро\""),
        ("/lines/0/sum", "255.00"),
        ("/lines/0/quantity", "0.75"),
        ("/lines/0/unit", "кг"),
        ("/lines/0/country_code", "076"),
        ("/lines/0/declaration_number", "10702020/060526/0013422"),
        ("/lines/0/excise", "1.50"),
        (
            "/lines/1/mark",
            "0104607123456781215Rk+7Wd\"aQ2x9\u{1d}91EE05\u{1d}92tail",
        ),
        ("/payments/1/type", "prepaid"),
        ("/cashier", "Иванова И."),
        ("/user_property/value", "сайт"),
        ("/check_property", "2871940355"),
    ] {
        assert_eq!(
            receipt.pointer(pointer).and_then(Value::as_str),
            Some(value),
            "{pointer}"
        );
    }
}

#[test]
fn the_store_fills_what_is_absent() {
    let mut request = sample();
    merge(
        &mut request,
        &json!({ "lines": { "0": { "vat": null, "sum": null } }, "payments": null }),
    );
    let settings = settings(&json!({
        "default_vat": "vat10", "default_payment_method": "full_prepayment", "default_payment_object": "job"
    }));
    let receipt = parse(&request)
        .expect("sound")
        .freeze(&settings, TODAY)
        .expect("sound")
        .receipt;
    let line = &receipt.lines[0];
    assert_eq!((line.vat, line.sum.kopecks()), (Vat::Vat10, 90_000));
    assert_eq!(line.payment_method, PaymentMethod::FullPrepayment);
    assert_eq!(line.payment_object, PaymentObject::Job);
    assert_eq!(receipt.payments.len(), 1);
    assert_eq!(
        (receipt.payments[0].kind, receipt.payments[0].sum),
        (PaymentKind::Electronic, receipt.total)
    );
}

#[test]
fn payments_of_one_kind_are_added_and_zeros_left_out() {
    let payments = json!([
        { "type": "prepaid", "sum": "200" }, { "type": "electronic", "sum": 300 }, { "type": "cash", "sum": "0.00" },
        { "type": "electronic", "sum": "700.00" }
    ]);
    let receipt = frozen(&json!({ "payments": payments })).receipt;
    let merged: Vec<_> = receipt
        .payments
        .iter()
        .map(|payment| (payment.kind, payment.sum.kopecks()))
        .collect();
    assert_eq!(
        merged,
        [(PaymentKind::Electronic, 100_000), (PaymentKind::Prepaid, 20_000)]
    );
}

#[test]
fn what_is_odd_or_was_changed_is_a_warning() {
    for (change, pointer, code) in [
        (
            json!({ "customer": { "phone": "12" } }),
            "/customer/phone",
            FaultCode::PhoneDropped,
        ),
        (
            json!({ "lines": { "0": { "name": "м".repeat(129) } } }),
            "/lines/0/name",
            FaultCode::TextCut,
        ),
        (
            json!({ "lines": { "0": { "name": "Мяч ⚽" } } }),
            "/lines/0/name",
            FaultCode::CharactersDropped,
        ),
        (json!({ "cashier": "х".repeat(65) }), "/cashier", FaultCode::TextCut),
        (
            json!({ "lines": { "0": { "payment_method": "credit" } } }),
            "/lines/0/price",
            FaultCode::ZeroPrice,
        ),
        (
            json!({ "lines": { "0": { "vat": "vat122" } } }),
            "/lines/0/vat",
            FaultCode::VatUnusual,
        ),
        (
            json!({ "lines": { "1": { "payment_method": "advance" } } }),
            "/lines/1/payment_object",
            FaultCode::PaymentObjectUnusual,
        ),
        (
            json!({ "lines": { "1": { "payment_object": "payment" } } }),
            "/lines/1/payment_object",
            FaultCode::PaymentObjectUnusual,
        ),
        (
            json!({ "lines": { "1": { "payment_method": "full_prepayment" } } }),
            "/lines",
            FaultCode::MixedSettlement,
        ),
    ] {
        let mut change = change;
        if code == FaultCode::ZeroPrice {
            merge(
                &mut change,
                &json!({ "lines": { "0": { "price": 0, "sum": 0 } }, "total": 300, "payments": null }),
            );
            merge(
                &mut change,
                &json!({ "lines": { "0": { "payment_method": "full_payment" } } }),
            );
        }
        let frozen = frozen(&change);
        assert!(
            warnings(&frozen).contains(&(pointer, code)),
            "{change}: {:?}",
            frozen.warnings
        );
        for line in &frozen.receipt.lines {
            assert!((1..=128).contains(&line.name.chars().count()), "{:?}", line.name);
        }
    }
}
