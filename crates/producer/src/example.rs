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

pub(crate) fn event() -> Value {
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
