//! From the bytes to the contract's structs: every rule that needs no store.
//!
//! A field that can't be read leaves a fault and a gap. Rules over several fields are checked wherever there is no
//! gap, so that a shop gets the whole list the first time.

mod customer;
mod lines;

use serde_json::value::RawValue;

use self::customer::customer;
use self::lines::lines;
use super::code::FaultCode;
use super::contract::{Document, Payment, Request, RequestOperation, UserProperty};
use super::fault::{Collector, Faults, Place};
use super::field::{Field, Present};
use super::json::Object;
use super::{LONGEST_BODY, MOST_PAYMENTS};
use crate::content::PaymentKind;
use crate::external_id::{self, ExternalId};
use crate::id::{DocumentNumber, DocumentPart, OrderNumber, StoreCode};
use crate::money::Money;

const REQUEST: &[&str] = &[
    "store",
    "operation",
    "document",
    "customer",
    "lines",
    "payments",
    "total",
    "cashier",
    "user_property",
    "check_property",
];
const DOCUMENT: &[&str] = &["number", "part", "order"];
const PAYMENT: &[&str] = &["type", "sum"];
const USER_PROPERTY: &[&str] = &["name", "value"];

/// Reads a whole body.
pub(super) fn body(bytes: &[u8], routing_key: Option<&str>) -> Result<Request, Faults> {
    let mut faults = Collector::default();
    let request = document_text(bytes, &mut faults).and_then(|raw| request(raw, routing_key, &mut faults));
    match request {
        Some(request) => faults.into_result().map(|()| request),
        None => {
            // A gap without a fault would be a mistake of ours; the sender still gets an answer and no panic.
            if !faults.is_dirty() {
                faults.add(
                    Place::Root,
                    FaultCode::InvalidJson,
                    "не удалось прочитать.",
                    "can't be read.",
                );
            }
            Err(faults.into_faults())
        }
    }
}

fn document_text<'a>(bytes: &'a [u8], faults: &mut Collector) -> Option<&'a RawValue> {
    let place = Place::Root;
    if bytes.len() > LONGEST_BODY {
        let length = bytes.len();
        faults.add(
            place,
            FaultCode::BodyTooLarge,
            format_args!(
                "{length} байт; допустимо не больше {LONGEST_BODY}. Чек из 100 строк занимает около 30 тысяч."
            ),
            format_args!(
                "has {length} bytes; at most {LONGEST_BODY} are taken. A receipt of 100 lines needs about 30,000."
            ),
        );
        return None;
    }
    let text = match std::str::from_utf8(bytes) {
        // Some platforms put a byte order mark before every text.
        Ok(text) => text.strip_prefix('\u{FEFF}').unwrap_or(text),
        Err(error) => {
            let at = error.valid_up_to();
            faults.add(
                place,
                FaultCode::NotUtf8,
                format_args!("не UTF-8, ошибка в байте {at}; отправляйте JSON в UTF-8, а не в windows-1251."),
                format_args!("is not UTF-8, see byte {at}; send JSON in UTF-8, not in windows-1251."),
            );
            return None;
        }
    };
    serde_json::from_str(text)
        .map_err(|error| {
            let (line, column) = (error.line(), error.column());
            faults.add(
                place,
                FaultCode::InvalidJson,
                format_args!("не JSON, ошибка в строке {line}, столбец {column}; отправьте один объект JSON."),
                format_args!("is not JSON: {error}; send one JSON object."),
            );
        })
        .ok()
}

fn request(raw: &RawValue, routing_key: Option<&str>, faults: &mut Collector) -> Option<Request> {
    let root = Place::Root;
    let object = Object::open(raw, root, REQUEST, faults)?;
    let field = |name| Field::of(&object, &root, name);

    let store = store(field("store"), routing_key, faults);
    let operation = field("operation")
        .required(faults)
        .and_then(|value| value.word(&RequestOperation::ALL, RequestOperation::name, faults));
    let document = field("document")
        .required(faults)
        .and_then(|value| document(value, faults));
    if let (Some(store), Some(operation), Some(document)) = (&store, operation, &document) {
        check_key_length(store, operation, document, faults);
    }
    let customer = customer(field("customer"), faults);
    let (lines, lines_sum) = field("lines")
        .required(faults)
        .map_or((None, None), |value| lines(value, faults));
    let payments = field("payments").optional().map(|value| payments(value, faults));
    let total_field = field("total");
    let total = total_field.required(faults).and_then(|value| value.money(faults));
    if let Some(total) = total {
        check_total(total, total_field.place, lines_sum, faults);
        if let Some((_, Some(paid))) = &payments {
            check_paid(*paid, total, field("payments").place, faults);
        }
    }
    let cashier = field("cashier").optional_text(faults);
    let user_property = field("user_property")
        .optional()
        .map(|value| user_property(value, faults));
    let check_property = field("check_property").short_text(16, faults);

    Some(Request {
        store: store?,
        operation: operation?,
        document: document?,
        customer: customer?,
        lines: lines?,
        payments: match payments {
            None => None,
            Some((payments, _)) => Some(payments?),
        },
        total: total?,
        cashier,
        user_property: match user_property {
            None => None,
            Some(property) => Some(property?),
        },
        check_property,
    })
}

fn store(field: Field<'_>, routing_key: Option<&str>, faults: &mut Collector) -> Option<StoreCode> {
    const RULE: &str = "код магазина, от 1 до 16 знаков a-z, 0-9 и -";
    let Some(routing_key) = routing_key else {
        return field.required(faults)?.id(StoreCode::parse, RULE, faults);
    };
    let routed = StoreCode::parse(routing_key);
    if let Err(invalid) = &routed {
        faults.add(
            Place::Root,
            FaultCode::InvalidRoutingKey,
            format_args!("ключ маршрутизации не подходит; нужно: {RULE}."),
            format_args!("the routing key {invalid}."),
        );
    }
    let given = field.optional_id(StoreCode::parse, RULE, faults);
    if let (Ok(routed), Some(given)) = (&routed, &given)
        && routed != given
    {
        faults.add(
            field.place,
            FaultCode::StoreMismatch,
            format_args!("магазин {given}, а ключ маршрутизации {routed}; уберите поле или исправьте ключ."),
            format_args!("names the store {given}, but the routing key is {routed}; leave it out or mend the key."),
        );
    }
    routed.ok()
}

fn document(value: Present<'_>, faults: &mut Collector) -> Option<Document> {
    let object = Object::open(value.raw, value.place, DOCUMENT, faults)?;
    let field = |name| Field::of(&object, &value.place, name);
    let number = field("number").required(faults).and_then(|value| {
        value.id(
            DocumentNumber::parse,
            "номер документа, от 1 до 24 знаков A-Z, a-z, 0-9, «.», «/» и «-»",
            faults,
        )
    });
    let part = field("part");
    let part = match part.optional_id(
        DocumentPart::parse,
        "часть документа, от 1 до 12 знаков a-z, 0-9 и -",
        faults,
    ) {
        None => DocumentPart::main(),
        Some(part) => part,
    };
    let order = field("order").optional_id(OrderNumber::parse, "номер заказа, от 1 до 64 печатных знаков", faults);
    Some(Document {
        number: number?,
        part,
        order,
    })
}

/// The vendors' key is made of store, number and part, and must leave room for the suffix of a resell or a re-key.
fn check_key_length(store: &StoreCode, operation: RequestOperation, document: &Document, faults: &mut Collector) {
    const SUFFIX: usize = "_resell2__99".len();
    let key = ExternalId::of(operation.operation(), store, &document.number, &document.part, 0);
    if key.is_ok_and(|key| key.as_str().len() + SUFFIX <= external_id::LONGEST) {
        return;
    }
    let root = Place::Root;
    let place = root.field("document");
    faults.add(
        place.field("part"),
        FaultCode::DocumentTooLong,
        "код магазина, номер и часть документа вместе слишком длинны для ключа у оператора; сократите номер или часть.",
        "store, document number and part together are too long for the vendor's key; shorten the number or the part.",
    );
}

fn payments(value: Present<'_>, faults: &mut Collector) -> (Option<Vec<Payment>>, Option<Money>) {
    let Some(list) = value.entries(MOST_PAYMENTS, faults) else {
        return (None, None);
    };
    let mut payments = Some(Vec::with_capacity(list.len()));
    let mut paid = Some(Money::ZERO);
    for (index, raw) in list.into_iter().enumerate() {
        let payment = payment(
            Present {
                raw,
                place: value.place.index(index),
            },
            faults,
        );
        paid = paid
            .zip(payment.as_ref())
            .map(|(paid, payment)| [paid, payment.sum].into_iter().sum());
        payments = payments.zip(payment).map(|(mut payments, payment)| {
            payments.push(payment);
            payments
        });
    }
    (payments, paid)
}

fn payment(value: Present<'_>, faults: &mut Collector) -> Option<Payment> {
    let object = Object::open(value.raw, value.place, PAYMENT, faults)?;
    let field = |name| Field::of(&object, &value.place, name);
    let kind = field("type")
        .required(faults)
        .and_then(|value| value.word(PaymentKind::ALL, PaymentKind::name, faults));
    let sum = field("sum").required(faults).and_then(|value| value.money(faults));
    Some(Payment { kind: kind?, sum: sum? })
}

fn user_property(value: Present<'_>, faults: &mut Collector) -> Option<UserProperty> {
    let object = Object::open(value.raw, value.place, USER_PROPERTY, faults)?;
    let field = |name| Field::of(&object, &value.place, name);
    let name = field("name")
        .required(faults)
        .and_then(|value| value.printable(Some(64), faults));
    let text = field("value")
        .required(faults)
        .and_then(|value| value.printable(Some(256), faults));
    Some(UserProperty {
        name: name?,
        value: text?,
    })
}

fn check_total(total: Money, place: Place<'_>, lines_sum: Option<Money>, faults: &mut Collector) {
    if total == Money::ZERO {
        faults.add(
            place,
            FaultCode::Zero,
            "чек на ноль не регистрируют; оплату подарочной картой укажите в payments как prepaid, а не скидкой.",
            "a receipt of zero is not registered; a gift card is a payment of type prepaid and not a discount.",
        );
    }
    if let Some(sum) = lines_sum
        && sum != total
    {
        faults.add(
            place,
            FaultCode::SumMismatch,
            format_args!("{total}, а сумма строк {sum}; распределите скидку по ценам строк или исправьте total."),
            format_args!(
                "is {total}, but the lines add up to {sum}; spread the discount over the prices or mend the total."
            ),
        );
    }
}

fn check_paid(paid: Money, total: Money, place: Place<'_>, faults: &mut Collector) {
    if paid != total {
        faults.add(
            place,
            FaultCode::PaymentsMismatch,
            format_args!("в сумме {paid}, а total {total}; суммы должны совпасть. Наличные указывайте без сдачи."),
            format_args!(
                "add up to {paid}, but the total is {total}; they must be equal. Give cash without the change."
            ),
        );
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::customer::CUSTOMER;
    use super::lines::LINE;
    use super::*;
    use crate::request::schema;

    /// The names of the properties of the object at `pointer` in the schema.
    fn properties(schema: &Value, pointer: &str) -> Vec<String> {
        let mut names: Vec<String> = schema
            .pointer(pointer)
            .and_then(|object| object.get("properties"))
            .and_then(Value::as_object)
            .map(|properties| properties.keys().cloned().collect())
            .unwrap_or_default();
        names.sort();
        names
    }

    #[test]
    fn the_parser_knows_exactly_the_fields_of_the_schema() {
        let schema = schema();
        for (pointer, known) in [
            ("", REQUEST),
            ("/$defs/Document", DOCUMENT),
            ("/$defs/Customer", CUSTOMER),
            ("/$defs/Line", LINE),
            ("/$defs/Payment", PAYMENT),
            ("/$defs/UserProperty", USER_PROPERTY),
        ] {
            let mut known = known.to_vec();
            known.sort_unstable();
            assert_eq!(properties(&schema, pointer), known, "{pointer}");
            let object = schema.pointer(pointer).expect("in the schema");
            assert_eq!(
                object.get("additionalProperties"),
                Some(&Value::Bool(false)),
                "{pointer}"
            );
        }
    }
}
