//! What a register refuses (sections 2, 3.3 and 6.1).

use super::codes::Refused;
use super::order::{Line, Order};

/// Looks at a receipt before the register opens it.
pub(super) fn check(order: &Order, cash_in_drawer: u64) -> Result<(), Refused> {
    if !order.password.is_none_or(|password| (1..=31).contains(&password)) {
        return Err(Refused::bare(79));
    }
    if order.documenttype > 3 {
        return Err(Refused::parameter(8, "DocumentType", order.documenttype));
    }
    if order.lines.is_empty() {
        return Err(Refused::bare(208));
    }
    for line in &order.lines {
        check_line(line)?;
    }
    if order.lines.len() > 1 && order.lines.iter().any(|line| line.payattribute == 7) {
        return Err(Refused::parameter(54, "PayAttribute", 7));
    }
    if order.taxmode > 32 || order.taxmode.count_ones() > 1 {
        return Err(Refused::parameter(49, "TaxMode", order.taxmode));
    }
    check_texts(order)?;
    let (total, electronic) = (order.total(), order.electronic());
    if total == 0 {
        return Err(Refused::bare(142));
    }
    if order.cash.saturating_add(electronic) < total {
        return Err(Refused::bare(69));
    }
    if electronic > total {
        return Err(Refused::bare(77));
    }
    if matches!(order.documenttype, 1 | 2) && total - electronic > cash_in_drawer {
        return Err(Refused::bare(70));
    }
    Ok(())
}

fn check_line(line: &Line) -> Result<(), Refused> {
    if line.qty == 0 {
        return Err(Refused::parameter(48, "Qty", 0));
    }
    if line.price.is_none() && line.subtotal.is_none() {
        return Err(Refused::bare(52));
    }
    if !(1..=7).contains(&line.payattribute) {
        return Err(Refused::parameter(54, "PayAttribute", line.payattribute));
    }
    if line.lineattribute > 33 {
        return Err(Refused::parameter(64, "LineAttribute", line.lineattribute));
    }
    if !(1..=12).contains(&line.taxid) {
        return Err(Refused::parameter(48, "TaxId", line.taxid));
    }
    if line.description.is_empty() || line.description.chars().count() > 128 {
        return Err(Refused::parameter(48, "Description", line.description.chars().count()));
    }
    // Tag 1162: 44 4D, six bytes of GTIN, and at least one of a serial.
    let is_code = |bytes: Vec<u8>| (9..=32).contains(&bytes.len()) && bytes.starts_with(b"DM");
    if !line
        .cgnfloat
        .as_deref()
        .is_none_or(|text| base64(text).is_some_and(is_code))
    {
        return Err(Refused::parameter(64, "CGNFloat", "?"));
    }
    Ok(())
}

fn check_texts(order: &Order) -> Result<(), Refused> {
    let length = |text: &str| text.chars().count();
    let requisite = order.userrequisite.as_ref();
    for (field, text, longest) in [
        ("PhoneOrEmail", order.phoneoremail.as_str(), 64),
        ("Place", order.place.as_str(), 256),
        ("AdditionalRequisite", order.additionalrequisite.as_str(), 16),
        ("CustomerName", order.customername.as_str(), 256),
        ("UserRequisite.Title", requisite.map_or("", |it| it.title.as_str()), 240),
        ("UserRequisite.Value", requisite.map_or("", |it| it.value.as_str()), 240),
    ] {
        if length(text) > longest {
            return Err(Refused::parameter(63, field, length(text)));
        }
        if !is_code_page_866(text) {
            return Err(Refused::parameter(66, field, ""));
        }
    }
    if requisite.is_some_and(|it| length(&it.title) + length(&it.value) > 240) {
        return Err(Refused::parameter(63, "UserRequisite", "240"));
    }
    match order.lines.iter().find(|line| !is_code_page_866(&line.description)) {
        Some(_) => Err(Refused::parameter(66, "Description", "")),
        None => Ok(()),
    }
}

/// The letters and signs that the code page has; box drawing, which nobody sells, left out.
fn is_code_page_866(text: &str) -> bool {
    text.chars()
        .all(|c| matches!(c, ' '..='~' | 'А'..='я') || "ЁёЄєЇїЎў°∙·√№¤■\u{a0}".contains(c))
}

fn base64(text: &str) -> Option<Vec<u8>> {
    let body = text.trim_end_matches('=');
    let mut bytes = Vec::new();
    let (mut bits, mut held) = (0u32, 0u32);
    for letter in body.bytes() {
        let value = match letter {
            b'A'..=b'Z' => letter - b'A',
            b'a'..=b'z' => letter - b'a' + 26,
            b'0'..=b'9' => letter - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        bits = bits << 6 | u32::from(value);
        held += 6;
        if held >= 8 {
            held -= 8;
            bytes.push(u8::try_from(bits >> held & 0xff).ok()?);
            bits &= (1 << held) - 1;
        }
    }
    text.len().is_multiple_of(4).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(change: impl FnOnce(&mut serde_json::Value)) -> Option<i64> {
        let mut body = serde_json::json!({
            "Device": "auto", "RequestId": "a", "documentType": 0,
            "Lines": [{"Qty": 2000, "Price": 124500, "PayAttribute": 4, "LineAttribute": 1, "TaxId": 4, "Description": "Чайник"}],
            "NonCash": [249000, 0, 0], "TaxMode": 2, "PhoneOrEmail": "anna@example.com", "isShipping": true
        });
        change(&mut body);
        let order = Order::read(body.to_string().as_bytes()).expect("a request");
        check(&order, 1_000).err().map(|refused| refused.code)
    }

    #[test]
    fn a_register_refuses_what_the_manual_says() {
        assert_eq!(refusal(|_| ()), None);
        type Change = fn(&mut serde_json::Value);
        let cases: [(Change, i64); 14] = [
            (|body| body["Password"] = 9999.into(), 79),
            (|body| body["Lines"] = serde_json::json!([]), 208),
            (|body| body["Lines"][0]["TaxId"] = 0.into(), 51),
            (|body| body["Lines"][0]["TaxId"] = 13.into(), 51),
            (|body| body["Lines"][0]["PayAttribute"] = 0.into(), 51),
            (|body| body["Lines"][0]["Description"] = "".into(), 51),
            (|body| body["Lines"][0]["Description"] = "Чайник «Анна»".into(), 51),
            (|body| body["Lines"][0]["CGNFloat"] = "444D".into(), 51),
            (|body| body["TaxMode"] = 3.into(), 51),
            (|body| body["Lines"][0]["Price"] = 0.into(), 142),
            (|body| body["NonCash"] = serde_json::json!([248_900]), 69),
            (|body| body["NonCash"] = serde_json::json!([249_100]), 77),
            (|body| body["AdvancePayment"] = 1.into(), 77),
            (
                |body| {
                    body["DocumentType"] = 2.into();
                    body["NonCash"] = serde_json::json!([]);
                    body["Cash"] = 249_000.into();
                    body.as_object_mut().map(|body| body.remove("documentType"));
                },
                70,
            ),
        ];
        for (change, code) in cases {
            assert_eq!(refusal(change), Some(code));
        }
        assert_eq!(
            refusal(|body| body["Lines"][0]["CGNFloat"] = "RE0EMK31Aw01UmsrN1dkImFRMng5".into()),
            None
        );
        assert_eq!(refusal(|body| body["Cash"] = 5_000.into()), None, "change is given");
    }

    #[test]
    fn base64_is_read_strictly() {
        assert_eq!(base64("Zm9vYg==").as_deref(), Some(&b"foob"[..]));
        assert_eq!(base64("Zm9vYmFy").as_deref(), Some(&b"foobar"[..]));
        assert_eq!((base64("Zm9vYg"), base64("Zm 9")), (None, None));
    }
}
