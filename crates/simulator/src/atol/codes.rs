//! Codes and texts that the service sends (fact sheet, section 7). A text without a documented wording is ours.

use axum::http::StatusCode;

use crate::books::{Failure, Status};

/// An error of the service itself: how it is sent over HTTP.
#[derive(Clone, Copy, Debug)]
pub(super) struct ServiceCode {
    pub(super) code: i64,
    pub(super) http: StatusCode,
    /// The field `status` beside the error; most have none.
    pub(super) status: Option<Status>,
    pub(super) text: &'static str,
}

/// Section 7.1, with the wordings of sections 1.3 and 10.
static SERVICE: &[ServiceCode] = &[
    row(
        0,
        StatusCode::BAD_REQUEST,
        None,
        "Произошла непредвиденная ошибка. Обратитесь к Администратору.",
    ),
    row(
        1,
        StatusCode::BAD_REQUEST,
        None,
        "Ошибка при обработке входящего чека. Обратитесь к Администратору.",
    ),
    row(10, StatusCode::UNAUTHORIZED, None, "Не распознан токен запроса"),
    row(11, StatusCode::UNAUTHORIZED, None, "Переданный токен не активен"),
    row(12, StatusCode::UNAUTHORIZED, None, "Неверный логин или пароль"),
    row(13, StatusCode::BAD_REQUEST, None, "Ошибка валидации полей запроса"),
    row(14, StatusCode::FORBIDDEN, None, "Пользователь заблокирован"),
    row(
        20,
        StatusCode::UNAUTHORIZED,
        None,
        "Код группы, указанный в запросе, не соответствует токену",
    ),
    row(
        21,
        StatusCode::UNAUTHORIZED,
        None,
        "Группа не поддерживает указанную версию протокола",
    ),
    row(
        30,
        StatusCode::BAD_REQUEST,
        Some(Status::Fail),
        "Передан некорректный UUID",
    ),
    row(31, StatusCode::BAD_REQUEST, None, "Операция не поддерживается"),
    row(
        32,
        StatusCode::BAD_REQUEST,
        Some(Status::Fail),
        "Ошибка валидации входного чека",
    ),
    row(
        33,
        StatusCode::BAD_REQUEST,
        Some(Status::Wait),
        "В системе существует чек с таким external_id",
    ),
    row(
        34,
        StatusCode::OK,
        Some(Status::Wait),
        "Состояние чека не найдено. Попробуйте позднее",
    ),
    row(40, StatusCode::BAD_REQUEST, None, "Некорректный запрос"),
    row(
        41,
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        None,
        "Некорректный тип содержимого запроса",
    ),
    row(
        50,
        StatusCode::INTERNAL_SERVER_ERROR,
        None,
        "Ошибка сервера. Обратитесь к Администратору.",
    ),
];

const fn row(code: i64, http: StatusCode, status: Option<Status>, text: &'static str) -> ServiceCode {
    ServiceCode {
        code,
        http,
        status,
        text,
    }
}

/// The documented way to send a service error; an undocumented code goes out with HTTP 400.
pub(super) fn service(code: i64) -> ServiceCode {
    let found = SERVICE.iter().find(|known| known.code == code).copied();
    found.unwrap_or(row(code, StatusCode::BAD_REQUEST, None, "Неизвестная ошибка"))
}

/// Section 7.4, class FIX, and the few others that documents or notes give a text for.
static DRIVER: &[(i64, &str)] = &[
    (13, "Некорректное значение параметра"),
    (16, "Неверная цена (сумма)"),
    (17, "Неверное количество"),
    (23, "Невозможно начислить скидку/надбавку"),
    (24, "Неверный код товара"),
    (27, "Неверная длина"),
    (41, "Недостаточное количество товара"),
    (48, "Неверный тип чека"),
    (52, "Сумма не наличных платежей превышает сумму чека"),
    (53, "Накопление меньше суммы возврата или аннулирования"),
    (60, "Неверный вид оплаты"),
    (66, "Чек оплачен не полностью"),
    (98, "Невозможно закрыть чек данным типом оплаты"),
    (110, "Недопустимое кол-во позиций в чеке"),
    (128, "Некорректная сумма налога"),
    (143, "Некорректная СНО"),
    (144, "Недопустимый номер ставки налога"),
    (145, "Недопустимый тип оплаты товара"),
    (147, "Недопустима регистрация подакцизного товара"),
    (161, "Не указаны обязательные реквизиты"),
    (163, "Переполнение чисел с плавающей точкой"),
    (193, "Неверное значение GTIN"),
    (215, "Недопустимое сочетание реквизитов 1212 и 1030"),
    (216, "Некорректный признак способа расчёта"),
    (217, "Некорректный признак предмета расчёта"),
    (228, "Запрещена одновременная передача КМ и реквизита 1162"),
    (231, "Некорректная сумма акциза"),
    (243, "Некорректная сумма налога"),
    (244, "Некорректное значение типа кода маркировки"),
    (261, "Отсутствует позиция оплаты"),
    (265, "Подакцизный товар без акциза зарегистрирован в чеке"),
    (405, "Неверный код GS1"),
    (408, "Переполнена таблица хранения КМ"),
    (409, "Некорректный код маркировки"),
    (412, "Некорректное значение единиц измерения"),
    (421, "Истёк таймаут проверки КМ"),
];

/// A refusal of the register.
pub(super) fn driver(code: i64) -> Failure {
    report_error("driver", code, None)
}

/// An error as it stands in a report of a failed document.
pub(super) fn report_error(kind: &str, code: i64, text: Option<&str>) -> Failure {
    let documented = match (kind, code) {
        ("timeout", 1) => Some("Превышено время ожидания чека в очереди"),
        ("driver", code) => DRIVER.iter().find(|(known, _)| *known == code).map(|(_, text)| *text),
        _ => None,
    };
    let text = text
        .or(documented)
        .map_or_else(|| format!("Ошибка {kind} {code}"), str::to_owned);
    Failure {
        kind: kind.to_owned(),
        code,
        text,
    }
}

/// The queue was too slow (section 7.2).
pub(super) fn queue_timeout() -> Failure {
    report_error("timeout", 1, None)
}

/// Section 7.3, code 2009.
pub(super) fn foreign_inn(asked: &str, registered: &str) -> Failure {
    let text = format!(
        "ИНН, указанный в чеке {asked}, не соответствует ИНН группы касс {registered}. Попыток регистрировать чек не \
         производилось."
    );
    Failure {
        kind: "agent".to_owned(),
        code: 2009,
        text,
    }
}
