"""What every peer does with a message: rows before the call, the vendor's request, rows after the call.

The same rows, by the same statements, as the floor of the benchmark writes.
"""

import hashlib
import json
import os
import pathlib
import ssl
import time
import uuid

CONFIG = json.loads(os.environ["BENCH_CONFIG"])
ROWS = CONFIG["rows"]
_HERE = pathlib.Path(__file__).parent
_SECURE = ROWS == "kassa"

ACCEPT = (_HERE / ("accept.sql" if _SECURE else "insert.sql")).read_text()
RECORD = (_HERE / ("record.sql" if _SECURE else "update.sql")).read_text()
URL = CONFIG["vendor"]["secure"] + "/fr/api/v2/Complex" if _SECURE else CONFIG["vendor"]["plain"] + "/plain"
_CERTIFICATES = pathlib.Path(CONFIG["vendor"]["certificates"])
CA = str(_CERTIFICATES / "ca.pem")
CLIENT = (str(_CERTIFICATES / "client.pem"), str(_CERTIFICATES / "client.key"))
HEADERS = {"content-type": "application/json"}

_SELLER = {
    "inn": "5544332219",
    "tax_system": "osn",
    "payment_address": "https://shop.example",
    "email": "kassa@shop.example",
    "cashier": None,
}


def tls():
    """TLS that shows our certificate, or none for the simple contest."""
    if not _SECURE:
        return None
    context = ssl.create_default_context(cafile=CA)
    context.load_cert_chain(*CLIENT)
    return context


def _digits(text):
    return int(text.replace(".", ""))


def _event(receipt, state, fiscal):
    return json.dumps(
        {
            "store": "main",
            "operation": "sell",
            "number": receipt["number"],
            "part": "main",
            "order": receipt["order"],
            "transaction_id": str(receipt["id"]),
            "external_id": receipt["external_id"],
            "vendor_uuid": None,
            "state": state,
            "kkm_status": "wait",
            "order_status_hint": None,
            "text": {
                "ru": "Чек прихода принят в очередь или пробит: номер документа и ссылка.",
                "en": "The sale receipt is accepted or registered: number of the document and its link.",
            },
            "fiscal": fiscal,
            "error": None,
            "replaces": None,
            "version": 1,
        },
        ensure_ascii=False,
    )


def prepare(request):
    """From the parsed message: what is to be known of the receipt, and the parameters of the first statement."""
    if not _SECURE:
        receipt = {"id": uuid.UUID(request["id"]), "wire": json.dumps(request)}
        return receipt, ([receipt["id"]], [request["number"]], [receipt["wire"]])
    number, order = request["document"]["number"], request["document"]["order"]
    total = _digits(request["total"])
    external_id = f"invoice_main_{number}"
    wire = json.dumps(
        {
            "Device": "auto",
            "Password": 1,
            "RequestId": external_id,
            "DocumentType": 0,
            "Lines": [
                {
                    "Qty": _digits(line["quantity"]) * 1000,
                    "Price": _digits(line["price"]),
                    "PayAttribute": 4,
                    "LineAttribute": 1,
                    "TaxId": 4 if line["vat"] == "none" else 11,
                    "Description": line["name"],
                }
                for line in request["lines"]
            ],
            "NonCash": [total, 0, 0],
            "TaxMode": 1,
            "PhoneOrEmail": "buyer@example.org",
            "Place": "https://shop.example",
            "FullResponse": False,
        }
    )
    body = json.dumps(
        {
            "buyer": request["customer"],
            "seller": _SELLER,
            "lines": request["lines"],
            "payments": request["payments"],
            "total": request["total"],
        }
    )
    receipt = {
        "id": uuid.uuid4(),
        "number": number,
        "order": order,
        "external_id": external_id,
        "total": total,
        "wire": wire,
        "began": time.monotonic(),
    }
    digest = hashlib.sha256(json.dumps(request).encode()).digest()
    return receipt, (
        [receipt["id"]],
        [number],
        [order],
        [digest],
        [body],
        [total],
        [external_id],
        [wire],
        [uuid.uuid4()],
        [_event(receipt, "queued", None)],
    )


def answered(receipt, answer):
    """The parameters of the second statement."""
    if not _SECURE:
        return [receipt["id"]], [answer]
    read = json.loads(answer)
    at = read["QR"][2:15]
    registered_at = f"{at[0:4]}-{at[4:6]}-{at[6:8]}T{at[9:11]}:{at[11:13]}:00"
    total = receipt["total"]
    fiscal = {
        "fn": read["FNSerialNumber"],
        "fd": read["FiscalDocNumber"],
        "fpd": str(read["FiscalSign"]),
        "shift": None,
        "receipt_number": read["DocNumber"],
        "register_number": read["DeviceRegistrationNumber"],
        "registered_at": registered_at,
        "total": f"{total // 100}.{total % 100:02}",
        "qr": read["QR"],
        "ofd_url": None,
    }
    return (
        [receipt["id"]],
        [answer],
        [int((time.monotonic() - receipt["began"]) * 1000)],
        [json.dumps(fiscal)],
        [fiscal["fn"]],
        [fiscal["fd"]],
        [fiscal["fpd"]],
        [registered_at],
        [uuid.uuid4()],
        [_event(receipt, "done", fiscal)],
    )
