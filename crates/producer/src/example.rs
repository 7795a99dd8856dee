//! What the documents show. The tests run them through the parser and the schemas.

use serde_json::{Value, json};

pub(crate) fn request() -> Value {
    json!({
        "store": "main",
        "operation": "sell",
        "document": { "number": "000000417", "order": "100000123" },
        "customer": { "email": "buyer@example.org", "phone": "+79001234567" },
        "lines": [
            { "name": "Ceramic mug", "price": "450.00", "quantity": "2", "sum": "900.00", "vat": "vat22" },
            { "name": "Courier", "price": "300.00", "quantity": "1", "sum": "300.00", "vat": "none",
              "payment_object": "service" }
        ],
        "payments": [{ "type": "electronic", "sum": "1200.00" }],
        "total": "1200.00"
    })
}

/// One event of each kind that a shop has to act on, each with the name of the example.
pub(crate) fn events() -> [(&'static str, Value); 5] {
    [
        ("accepted", accepted()),
        ("done", done()),
        ("conflict", conflict()),
        ("rejected", rejected()),
        ("paused", paused()),
    ]
}

fn accepted() -> Value {
    json!({
        "id": "019ab1c2-3a01-7f60-8a1b-2c3d4e5f6071",
        "type": "receipt.accepted",
        "time": "2026-11-23T09:30:01.003456Z",
        "version": 0,
        "transaction_id": "019ab1c2-3a00-7000-8000-000000000417",
        "store": "main",
        "operation": "sell",
        "document": "000000417",
        "part": "main",
        "order": "100000123",
        "external_id": "invoice_main_000000417",
        "vendor_uuid": null,
        "state": "queued",
        "kkm_status": "wait",
        "order_status_hint": null,
        "text": {
            "ru": "Чек прихода 000000417 принят в очередь.",
            "en": "Sale receipt 000000417 is accepted."
        },
        "fiscal": null,
        "error": null,
        "replaces": null
    })
}

fn conflict() -> Value {
    let (ru, en) = (
        "Документ уже принят с другим содержимым (операция 019ab1c2-3a00-7000-8000-000000000417, done); новое не принято. \
         Он уже пробит: исправьте его возвратом или отправьте новый документ под другим номером.",
        "The document was accepted before with another content (transaction 019ab1c2-3a00-7000-8000-000000000417, done); \
         the new one is not taken. It is registered: correct it by a refund, or send a new document under another number.",
    );
    json!({
        "id": "019ab1c3-0b00-7f60-8a1b-2c3d4e5f6071",
        "type": "receipt.conflict",
        "time": "2026-11-23T09:31:00.500000Z",
        "store": "main",
        "message_id": "000000417-again",
        "routing_key": "main",
        "operation": "sell",
        "document": "000000417",
        "part": "main",
        "order": "100000123",
        "transaction_id": "019ab1c2-3a00-7000-8000-000000000417",
        "external_id": "invoice_main_000000417",
        "vendor_uuid": "2ea26f17-0884-4f08-b120-306fc096a58f",
        "state": "done",
        "kkm_status": "done",
        "text": { "ru": ru, "en": en },
        "problem": {
            "type": "urn:kassa:problem:conflict",
            "title": "The request was not accepted",
            "code": "conflict",
            "detail": en,
            "detail_ru": ru,
            "errors": [],
            "transaction_id": "019ab1c2-3a00-7000-8000-000000000417",
            "state": "done"
        }
    })
}

fn rejected() -> Value {
    let (ru, en) = (
        "Запрос нельзя принять: исправьте перечисленные поля и отправьте его снова.",
        "The request cannot be accepted: correct the listed fields and send it again.",
    );
    json!({
        "id": "019ab1c3-0c00-7f60-8a1b-2c3d4e5f6071",
        "type": "request.rejected",
        "time": "2026-11-23T09:32:00.500000Z",
        "store": "main",
        "message_id": "000000418",
        "routing_key": "main",
        "text": { "ru": ru, "en": en },
        "problem": {
            "type": "urn:kassa:problem:invalid",
            "title": "The request was not accepted",
            "code": "invalid",
            "detail": en,
            "detail_ru": ru,
            "errors": [{
                "pointer": "/lines/0/vat",
                "code": "unknown_value",
                "message": {
                    "ru": "значение \"vat19\" неизвестно; может быть, vat10?",
                    "en": "the value \"vat19\" is not known; did you mean vat10?"
                }
            }]
        }
    })
}

fn paused() -> Value {
    json!({
        "id": "019ab1c3-0d00-7f60-8a1b-2c3d4e5f6071",
        "type": "account.paused",
        "time": "2026-11-23T09:33:00.500000Z",
        "store": "main",
        "account": "main",
        "state": "paused",
        "by": "person",
        "who": "olga",
        "reason": "the cash registers are being replaced",
        "text": {
            "ru": "Отправка чеков через учётную запись main остановлена, чеки принимаются и ждут.",
            "en": "No receipts are sent by the account main; they are accepted and wait."
        },
        "error": null
    })
}

fn done() -> Value {
    json!({
        "id": "019ab1c2-3d4e-7f60-8a1b-2c3d4e5f6071",
        "type": "receipt.done",
        "time": "2026-11-23T09:30:07.123456Z",
        "version": 3,
        "transaction_id": "019ab1c2-3a00-7000-8000-000000000417",
        "store": "main",
        "operation": "sell",
        "document": "000000417",
        "part": "main",
        "order": "100000123",
        "external_id": "invoice_main_000000417",
        "vendor_uuid": "2ea26f17-0884-4f08-b120-306fc096a58f",
        "state": "done",
        "kkm_status": "done",
        "order_status_hint": "restore",
        "text": {
            "ru": "Чек пробит: ФН 9999078902003456, ФД 4160, ФПД 3522207165.",
            "en": "The receipt is registered: FN 9999078902003456, FD 4160, FPD 3522207165."
        },
        "fiscal": {
            "fn": "9999078902003456",
            "fd": 4160,
            "fpd": "3522207165",
            "shift": 23,
            "receipt_number": 112,
            "register_number": "0000000005009461",
            "registered_at": "2026-11-23T12:30:05",
            "total": "1200.00",
            "qr": "t=20261123T123005&s=1200.00&fn=9999078902003456&i=4160&fp=3522207165&n=1",
            "ofd_url": null
        },
        "error": null
    })
}
