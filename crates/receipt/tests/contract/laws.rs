//! What holds for every request.

use proptest::prelude::*;
use receipt::RequestV1;
use serde_json::{Value, json};

use super::{SAMPLE, TODAY, full, merge, parse, sample, settings};

fn hash(text: &str) -> [u8; 32] {
    RequestV1::parse(text.as_bytes(), Some("main"))
        .map_err(|faults| faults.to_string())
        .expect("sound")
        .hash()
}

#[test]
fn the_hash_of_version_1_never_changes() {
    let hex = |text: &str| hash(text).iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    assert_eq!(
        hex(SAMPLE),
        "aca210bebeb8fad5103355a244f365e5a19bb44bc5789d44ae810c3c66cee104"
    );
    assert_eq!(
        hex(&full().to_string()),
        "c63460148ca977a382a115b93fcbfbef68f359c3f372e108cc4a2d844b450907"
    );
}

#[test]
fn spelling_makes_no_difference_to_the_hash() {
    let same = hash(SAMPLE);
    for (from, to) in [
        (r#""2""#, "2"),
        (r#""2""#, "2.000"),
        (r#""2""#, r#""2.0""#),
        (r#""450.00""#, "450"),
        (r#""total": "1200.00""#, r#""total": 1200.0"#),
        ("  ", "\n\t"),
        ("Ceramic", r"\u0043eramic"),
        (r#""number": "000000417","#, r#""part": "main", "number": "000000417","#),
        (r#""number": "000000417","#, r#""part": null, "number": "000000417","#),
        (r#""store": "main","#, ""),
        (
            r#""operation": "sell","#,
            r#""cashier": null, "operation": "sell", "check_property": " ","#,
        ),
        ("{\n", "\u{FEFF}{\n"),
    ] {
        let text = SAMPLE.replacen(from, to, 1);
        assert_ne!(text, SAMPLE, "{from}");
        assert_eq!(hash(&text), same, "{to}");
    }
}

#[test]
fn content_makes_a_difference_to_the_hash() {
    let same = hash(SAMPLE);
    for change in [
        json!({ "operation": "refund" }),
        json!({ "document": { "number": "417" } }),
        json!({ "document": { "part": "second" } }),
        json!({ "document": { "order": null } }),
        json!({ "customer": { "email": "other@example.org" } }),
        json!({ "lines": { "0": { "name": "Ceramic  mug" } } }),
        json!({ "lines": { "0": { "vat": "vat10" } } }),
        json!({ "lines": { "0": { "payment_method": "full_payment" } } }),
        json!({ "payments": { "0": { "type": "cash" } } }),
        json!({ "payments": null }),
    ] {
        let mut request = sample();
        merge(&mut request, &change);
        assert_ne!(parse(&request).expect("sound").hash(), same, "{change}");
    }
}

/// Any JSON, with the contract's own words in it often enough to get past the first checks.
fn any_json() -> impl Strategy<Value = Value> {
    let word = prop_oneof![
        Just("store"),
        Just("operation"),
        Just("document"),
        Just("customer"),
        Just("lines"),
        Just("payments"),
        Just("total"),
        Just("number"),
        Just("part"),
        Just("email"),
        Just("phone"),
        Just("inn"),
        Just("name"),
        Just("price"),
        Just("quantity"),
        Just("sum"),
        Just("vat"),
        Just("mark"),
        Just("type"),
        Just("user_property"),
    ];
    let key = prop_oneof![9 => word.prop_map(str::to_owned), 1 => any::<String>()];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        (0..100_000_i64).prop_map(Value::from),
        "[0-9]{1,6}([.][0-9]{1,4})?".prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        prop_oneof![
            Just("sell"),
            Just("main"),
            Just("vat22"),
            Just("cash"),
            Just("a@b.c"),
            Just("+79001234567")
        ]
        .prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 60, 12, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((key.clone(), inner), 0..12)
                .prop_map(|entries| Value::Object(entries.into_iter().collect())),
        ]
    })
}

/// Both steps, every way; whatever is accepted must also freeze or say why not.
fn try_all(bytes: &[u8]) {
    for routing_key in [None, Some("main"), Some("ключ")] {
        match RequestV1::parse(bytes, routing_key) {
            Ok(request) => {
                let _ = request.hash();
                for day in [jiff::civil::date(2025, 12, 31), TODAY] {
                    let _ = request.freeze(&settings(&json!({})), day);
                }
            }
            Err(faults) => {
                assert!(faults.iter().next().is_some());
                assert!(!faults.to_string().contains('\0'));
            }
        }
    }
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        try_all(&bytes);
    }

    #[test]
    fn no_json_panics(value in any_json()) {
        try_all(value.to_string().as_bytes());
    }

    #[test]
    fn no_part_of_a_sound_request_panics_when_it_is_replaced(value in any_json(), place in 0_usize..40, whole in any::<bool>()) {
        let mut request = full();
        replace(&mut request, &mut place.clone(), &value, whole);
        try_all(request.to_string().as_bytes());
    }

    #[test]
    fn a_cut_or_damaged_body_does_not_panic(cut in 0_usize..1000, at in 0_usize..1000, byte in any::<u8>()) {
        let mut bytes = full().to_string().into_bytes();
        bytes.truncate(cut.max(1));
        let at = at % bytes.len();
        bytes[at] = byte;
        try_all(&bytes);
    }

    #[test]
    fn numbers_mean_the_same_in_every_spelling(kopecks in 1_u32..=4_000_000, thousandths in 1_u32..=50_000, zeros in 0_usize..4) {
        let price = format!("{}.{:02}", kopecks / 100, kopecks % 100);
        let quantity = format!("{}.{:03}", thousandths / 1000, thousandths % 1000);
        let row = (u64::from(kopecks) * u64::from(thousandths) + 500) / 1000;
        prop_assume!(row > 0 && row <= 4_294_967_295);
        let total = format!("{}.{:02}", row / 100, row % 100);
        let body = |quote: &str, zeros: &str| format!(
            r#"{{"operation":"sell","document":{{"number":"1"}},"customer":{{"email":"a@b.c"}},"total":{quote}{total}{zeros}{quote},
               "lines":[{{"name":"x","vat":"none","price":{quote}{price}{quote},"quantity":{quote}{quantity}{zeros}{quote}}}]}}"#
        );
        let zeros = "0".repeat(zeros);
        prop_assert_eq!(hash(&body("\"", "")), hash(&body("", &zeros)));
        prop_assert_eq!(hash(&body("\"", "")), hash(&body("\"", &zeros)));
    }

    #[test]
    fn the_order_of_keys_makes_no_difference(seed in any::<u64>()) {
        let text = full().to_string();
        prop_assert_eq!(hash(&shuffled(&full(), &mut seed.max(1))), hash(&text));
    }
}

/// Puts `value` at the `place`-th node of the tree, counted from the root, or beside what stands there.
fn replace(tree: &mut Value, place: &mut usize, value: &Value, whole: bool) {
    if *place == 0 {
        match (tree, whole) {
            (Value::Object(fields), false) => {
                fields.insert("extra".to_owned(), value.clone());
            }
            (Value::Array(list), false) => list.push(value.clone()),
            (tree, _) => *tree = value.clone(),
        }
        *place = usize::MAX;
        return;
    }
    *place = place.saturating_sub(1);
    let children: Vec<&mut Value> = match tree {
        Value::Object(fields) => fields.values_mut().collect(),
        Value::Array(list) => list.iter_mut().collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Vec::new(),
    };
    for child in children {
        if *place > usize::MAX / 2 {
            return;
        }
        replace(child, place, value, whole);
    }
}

/// The same JSON with the keys of every object in another order and blanks in between.
fn shuffled(value: &Value, seed: &mut u64) -> String {
    match value {
        Value::Object(fields) => {
            let mut entries: Vec<_> = fields.iter().collect();
            for index in (1..entries.len()).rev() {
                // xorshift: any order will do, as long as the case can be repeated.
                *seed ^= *seed << 13;
                *seed ^= *seed >> 7;
                *seed ^= *seed << 17;
                let other = usize::try_from(*seed % 1000).unwrap_or(0) % (index + 1);
                entries.swap(index, other);
            }
            let entries: Vec<String> = entries
                .into_iter()
                .map(|(key, value)| format!("\"{key}\" :\t{}", shuffled(value, seed)))
                .collect();
            format!("{{ {} }}", entries.join(" ,\n"))
        }
        Value::Array(list) => {
            let list: Vec<String> = list.iter().map(|value| shuffled(value, seed)).collect();
            format!("[ {} ]", list.join(" , "))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.to_string(),
    }
}
