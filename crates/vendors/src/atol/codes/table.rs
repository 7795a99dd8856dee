//! The table itself: every code that ATOL Online is documented to give, one line each.
//!
//! Numbers and meanings: v4 document 5.23 §11 and v5 document 3.5 §7, which agree but for the remedy of driver codes 78
//! and 80. The texts are ours. What a group means for the receipt stands in [`Group`].

use super::{Code, Group, Kind, Places, Proof, Verdict};

use Group::{DriveLife, Exchange, Licence, Limit, Receipt, Registration, Request, Resend, Settings, Shift, Undecided};
use Proof::{NotRegistered, Nothing, Taken};
use Verdict::{Adopt, FreshToken, Halt, MaybeSeen, NoNews, NotSeen, Permanent, Wait};

/// A code of the service.
const fn service(code: i64, places: Places, proves: Proof, cause: [&'static str; 2], cure: [&'static str; 2]) -> Code {
    Code {
        kind: Kind::System,
        code,
        places,
        proves,
        cause,
        cure,
        source: "v4 document 5.23 §11.1; v5 document 3.5 §7.1",
    }
}

/// A code of the program that feeds a register.
const fn agent(kind: Kind, code: i64, group: Group, cause: [&'static str; 2]) -> Code {
    Code {
        kind,
        code,
        places: Places::in_report(group.verdict()),
        proves: group.proof(),
        cause,
        cure: group.cure(),
        source: "v4 document 5.23 §11.3; v5 document 3.5 §7.2",
    }
}

/// A code of the register's driver.
const fn d(code: i64, group: Group, ru: &'static str, en: &'static str) -> Code {
    Code {
        kind: Kind::Driver,
        code,
        places: Places::in_report(group.verdict()),
        proves: group.proof(),
        cause: [ru, en],
        cure: group.cure(),
        source: group.source(),
    }
}

const fn at(token: Verdict, registration: Verdict, report: Verdict) -> Places {
    Places {
        token,
        registration,
        report,
    }
}

const SUPPORT: [&str; 2] = [
    "Повторяется само под тем же номером; если не проходит, сообщите error_id в поддержку АТОЛ Онлайн.",
    "It is repeated by itself under the same id; if it lasts, give the error_id to ATOL Online's support.",
];
const ACCOUNT: [&str; 2] = [
    "Исправьте настройки счёта (адрес, логин, пароль, группа); чеки ждут и уйдут сами.",
    "Correct the account's settings (address, login, password, group); the receipts wait and go out by themselves.",
];
const NEW_TOKEN: [&str; 2] = [
    "Новый токен запрашивается сам, вызов повторяется.",
    "A new token is asked for and the call is repeated by itself.",
];
const CORRECT: [&str; 2] = [
    "Исправьте данные чека и отправьте его заново.",
    "Correct the receipt's data and send it again.",
];
const REPORT_KASSA: [&str; 2] = [
    "Проверьте адрес API в настройках счёта; если он верен, это ошибка kassa: сообщите о ней.",
    "Check the API address in the account's settings; if it is right, this is a fault of kassa: report it.",
];
const NOTHING_TO_DO: [&str; 2] = ["Ничего делать не нужно.", "Nothing needs to be done."];

/// Every documented code. Looked up by [`super::find`], by the pair of type and code and never by the code alone:
/// `system` 1, `timeout` 1 and `driver` 1 are three different things.
#[rustfmt::skip]
pub(super) const TABLE: &[Code] = &[
    // Service codes: an answer to the call itself, so what they mean depends on the call.
    Code {
        kind: Kind::Unknown, code: 0, places: at(NotSeen, MaybeSeen, NoNews), proves: Nothing,
        cause: [
            "Сервис не смог обработать запрос и не знает почему.",
            "The service could not process the request and does not know why.",
        ],
        cure: SUPPORT,
        source: "v4 document 5.23 §11.1; v5 document 3.5 §7.1",
    },
    service(
        1, at(NotSeen, MaybeSeen, NoNews), Nothing,
        ["Сервер не смог обработать чек.", "The server could not process the receipt."],
        SUPPORT,
    ),
    service(
        10, at(NotSeen, FreshToken, FreshToken), NotRegistered,
        ["Токен не распознан.", "The token was not recognised."],
        NEW_TOKEN,
    ),
    service(
        11, at(NotSeen, FreshToken, FreshToken), NotRegistered,
        ["Срок действия токена истёк.", "The token has expired."],
        NEW_TOKEN,
    ),
    service(
        12, at(Halt, Halt, Halt), NotRegistered,
        ["Неверный логин или пароль.", "Wrong login or password."],
        ACCOUNT,
    ),
    service(
        13, at(Halt, Halt, Halt), NotRegistered,
        ["Запрос токена составлен неверно.", "The token request is malformed."],
        ACCOUNT,
    ),
    service(
        14, at(Halt, Halt, Halt), NotRegistered,
        ["Пользователь заблокирован.", "The user is blocked."],
        [
            "Обратитесь в поддержку АТОЛ Онлайн; чеки ждут и уйдут сами.",
            "Ask ATOL Online's support; the receipts wait and go out by themselves.",
        ],
    ),
    service(
        20, at(Halt, Halt, Halt), NotRegistered,
        ["Код группы не соответствует токену.", "The group code does not belong to the token."],
        ACCOUNT,
    ),
    service(
        21, at(Halt, Halt, Halt), NotRegistered,
        [
            "Группа касс работает по другой версии протокола.",
            "The group of registers runs another version of the protocol.",
        ],
        [
            "Укажите в адресе счёта версию протокола группы; чеки ждут и уйдут сами.",
            "Put the group's protocol version into the account's address; the receipts wait and go out by themselves.",
        ],
    ),
    service(
        30, at(NotSeen, MaybeSeen, NoNews), Nothing,
        ["Сервис не знает такого UUID.", "The service does not know this UUID."],
        [
            "Опрос продолжится; проверьте чек в личном кабинете АТОЛ Онлайн.",
            "Polling goes on; look the receipt up in ATOL Online's cabinet.",
        ],
    ),
    service(
        31, at(Halt, Permanent, NoNews), NotRegistered,
        ["Сервис не знает такой операции.", "The service does not know this operation."],
        REPORT_KASSA,
    ),
    service(
        32, at(Halt, Permanent, NoNews), NotRegistered,
        ["Чек не соответствует схеме.", "The receipt violates the schema."],
        CORRECT,
    ),
    service(
        33, at(NotSeen, Adopt, NoNews), Taken,
        ["Чек с этим номером уже принят.", "A receipt with this id has been taken before."],
        [
            "Результат ранее принятого чека запрашивается сам.",
            "The outcome of the receipt taken before is asked for by itself.",
        ],
    ),
    service(
        34, at(NotSeen, MaybeSeen, Wait), Nothing,
        ["Чек ещё не обработан.", "The receipt is not processed yet."],
        NOTHING_TO_DO,
    ),
    service(
        40, at(Halt, Permanent, NoNews), NotRegistered,
        ["Сервис не смог прочитать запрос.", "The service could not read the request."],
        REPORT_KASSA,
    ),
    // The header is the same for every receipt, so a refusal of it concerns the account and not the receipt.
    service(
        41, at(Halt, Halt, NoNews), NotRegistered,
        ["Сервис не принял тип содержимого запроса.", "The service did not accept the request's content type."],
        [
            "Проверьте, не меняет ли заголовки прокси между kassa и АТОЛ Онлайн; чеки ждут и уйдут сами.",
            "Check whether a proxy between kassa and ATOL Online changes headers; the receipts wait and go out by themselves.",
        ],
    ),
    service(50, at(NotSeen, MaybeSeen, NoNews), Nothing, ["Ошибка сервера.", "Server error."], SUPPORT),

    // Codes of a finished document, in a report only.
    Code {
        kind: Kind::Timeout, code: 1, places: Places::in_report(Verdict::Rekey), proves: NotRegistered,
        cause: [
            "Чек прождал кассу больше 300 секунд и не обработан.",
            "The receipt waited for a register for more than 300 seconds and was not processed.",
        ],
        cure: [
            "Отправится сам под следующим номером; если повторяется, добавьте кассы в группу или проверьте, что они включены.",
            "It goes out by itself under the next id; if it recurs, add registers to the group or check that they are on.",
        ],
        source: "v4 document 5.23 §11.2; v5 document 3.5 §7.1",
    },
    agent(
        Kind::System, -2_146_233_033, Receipt,
        [
            "Чек не удалось сформировать: поле неверно или отсутствует.",
            "The receipt could not be formed: a field is wrong or missing.",
        ],
    ),
    agent(Kind::System, 2005, Undecided, ["Внутренняя ошибка сервиса.", "Internal error of the service."]),
    agent(
        Kind::Agent, 2003, Receipt,
        ["ИНН в чеке не совпадает с ИНН компании.", "The receipt's INN is not the company's INN."],
    ),
    agent(Kind::Agent, 2004, Undecided, ["Внутренняя ошибка сервиса.", "Internal error of the service."]),
    agent(Kind::Agent, 2005, Undecided, ["Внутренняя ошибка сервиса.", "Internal error of the service."]),
    agent(
        Kind::Agent, 2006, Receipt,
        ["Агент не смог прочитать JSON чека.", "The agent could not read the receipt's JSON."],
    ),
    agent(
        Kind::Agent, 2007, Receipt,
        ["Недопустимое значение в JSON чека.", "A value in the receipt's JSON is not allowed."],
    ),
    agent(
        Kind::Agent, 2009, Receipt,
        ["ИНН в чеке не совпадает с ИНН группы касс.", "The receipt's INN is not the INN of the group of registers."],
    ),

    // Register codes, in a report only.
    d(1, Exchange, "Нет соединения с кассой.", "No connection to the register."),
    d(2, Exchange, "Нет связи с кассой.", "No link to the register."),
    d(3, Exchange, "Порт кассы занят.", "The register's port is busy."),
    d(4, Undecided, "Порт кассы недоступен.", "The register's port is not available."),
    d(5, Exchange, "От кассы пришли неверные данные.", "The register sent bad data."),
    d(6, Undecided, "Внутренняя ошибка драйвера.", "Internal error of the driver."),
    d(7, Undecided, "Драйвер не смог преобразовать параметр.", "The driver could not convert a parameter."),
    d(8, Undecided, "Драйвер не получил обязательный параметр.", "The driver did not get a required parameter."),
    d(9, Settings, "Неверные настройки драйвера.", "The driver's settings are wrong."),
    d(10, Settings, "Драйвер не настроен.", "The driver is not configured."),
    d(11, Settings, "Версия драйвера этого не умеет.", "This version of the driver does not support it."),
    d(12, Settings, "Касса этого не умеет в текущем режиме.", "The register does not support it in its present mode."),
    d(13, Receipt, "Неверное значение параметра.", "A parameter has a bad value."),
    d(14, Settings, "Библиотека драйвера не загружена.", "The driver's library is not loaded."),
    d(15, Exchange, "Неизвестная ошибка драйвера.", "Unknown error of the driver."),
    d(16, Receipt, "Неверная цена или сумма.", "Bad price or sum."),
    d(17, Receipt, "Неверное количество.", "Bad quantity."),
    d(18, Undecided, "Переполнен счётчик наличных.", "The cash counter overflowed."),
    d(19, Undecided, "Последнюю операцию нельзя сторнировать.", "The last operation cannot be reversed."),
    d(20, Undecided, "Нельзя сторнировать по коду.", "Reversal by code is impossible."),
    d(21, Undecided, "Последнюю операцию нельзя повторить.", "The last operation cannot be repeated."),
    d(22, Undecided, "Повторная скидка или надбавка на одну операцию.", "A second discount or surcharge on one operation."),
    d(23, Receipt, "Скидку или надбавку начислить нельзя.", "The discount or surcharge is impossible."),
    d(24, Receipt, "Неверный код товара.", "Bad goods code."),
    d(26, Undecided, "Неверный формат команды.", "Bad command format."),
    d(27, Receipt, "Неверная длина поля.", "A field has a bad length."),
    d(28, Shift, "Касса ждёт ввода даты.", "The register is locked until its date is entered."),
    d(29, Shift, "Касса ждёт подтверждения даты.", "The register waits for its date to be confirmed."),
    d(30, Undecided, "У кассы больше нет данных.", "The register has no more data."),
    d(31, Undecided, "Прошлая продажа не подтверждена и не отменена.", "An earlier sale is neither confirmed nor cancelled."),
    d(32, Shift, "Прерван отчёт о закрытии смены.", "The shift-closing report was interrupted."),
    d(34, Shift, "Вход в режим заблокирован.", "Entering the mode is locked."),
    d(35, Shift, "Дату и время кассы нужно проверить.", "The register's date and time need checking."),
    d(36, Resend, "Время чека раньше последнего фискального документа.", "The receipt's time is earlier than the last fiscal document."),
    d(38, Request, "Товар не найден.", "The goods were not found."),
    d(40, Resend, "Переполнен буфер чека.", "The receipt buffer is full."),
    d(41, Receipt, "Недостаточно товара.", "Not enough goods."),
    d(42, Undecided, "Сторнируется больше, чем продано.", "More is reversed than was sold."),
    d(43, Request, "Товар не найден в базе кассы.", "The goods are not in the register's base."),
    d(48, Receipt, "Неверный тип чека.", "Bad receipt type."),
    d(52, Receipt, "Безналичных платежей больше, чем сумма чека.", "Cashless payments exceed the total."),
    d(53, Receipt, "Накоплено меньше, чем возвращается.", "Less was accumulated than is returned."),
    d(54, Undecided, "Переполнена сумма платежей.", "The sum of payments overflowed."),
    d(55, Exchange, "Предыдущая операция не завершена.", "The previous operation is unfinished."),
    d(57, Request, "Неверный размер скидки или надбавки.", "Bad value of a discount or surcharge."),
    d(58, Request, "После скидки такая операция невозможна.", "The operation is impossible after a discount."),
    d(59, Undecided, "Неверная секция.", "Bad section."),
    d(60, Receipt, "Неверный вид оплаты.", "Bad payment kind."),
    d(61, Undecided, "Переполнение при умножении.", "The multiplication overflowed."),
    d(62, Settings, "Операция запрещена таблицей настроек.", "The settings table forbids the operation."),
    d(63, Limit, "Переполнен итог чека.", "The receipt's total overflowed."),
    d(64, Undecided, "Открыт чек аннулирования.", "An annulment receipt is open."),
    d(65, Undecided, "Переполнен буфер контрольной ленты.", "The journal buffer is full."),
    d(66, Receipt, "Чек оплачен не полностью.", "The receipt is not fully paid."),
    d(67, Undecided, "Открыт чек возврата.", "A refund receipt is open."),
    d(68, Shift, "Смена длится больше 24 часов.", "The shift is longer than 24 hours."),
    d(69, Undecided, "Открыт чек продажи.", "A sale receipt is open."),
    d(70, DriveLife, "Фискальная память заполнена.", "The fiscal memory is full."),
    d(71, Settings, "Неверный пароль кассы.", "Bad password of the register."),
    d(72, Undecided, "Обрабатывается контрольная лента.", "The journal is being processed."),
    d(73, Shift, "Смена закрыта.", "The shift is closed."),
    d(77, Shift, "Неверная дата или время кассы.", "Bad date or time of the register."),
    d(78, Request, "Неверная сумма сторно.", "Bad sum of a reversal."),
    d(80, Request, "Нет денег для выплаты.", "There is no cash for the payout."),
    d(81, Undecided, "Чек уже закрыт.", "The receipt is closed already."),
    d(82, Undecided, "В кассе открыт чек.", "A receipt is open in the register."),
    d(83, Shift, "Смена открыта.", "The shift is open."),
    d(86, Shift, "Неверный номер смены.", "Bad shift number."),
    d(89, Registration, "Касса не зарегистрирована.", "The register is not registered."),
    d(90, Registration, "У кассы нет заводского номера.", "The register has no serial number."),
    d(93, Undecided, "Нет данных документа.", "There is no data of the document."),
    d(95, Settings, "Касса требует общего сброса.", "The register needs a full reset."),
    d(97, Undecided, "Скидку нельзя отменить.", "The discount cannot be cancelled."),
    d(98, Receipt, "Этим видом оплаты чек закрыть нельзя.", "The receipt cannot be closed with this payment."),
    d(104, Exchange, "Сбой обмена с фискальным модулем.", "The exchange with the fiscal module failed."),
    d(105, Undecided, "Касса требует обслуживания.", "The register needs maintenance."),
    d(106, Shift, "Номера смен кассы и накопителя расходятся.", "Shift numbers of the register and the drive differ."),
    d(107, Undecided, "Нет устройства для команды.", "There is no device for the command."),
    d(109, Undecided, "Неверное состояние топливной колонки.", "Bad state of the fuel pump."),
    d(110, Receipt, "Недопустимое число позиций в чеке.", "The number of lines is not allowed."),
    d(111, Undecided, "Неверный номер топливной колонки.", "Bad number of the fuel pump."),
    d(112, Undecided, "Неверный делитель.", "Bad divisor."),
    d(115, Exchange, "Сбой обмена с накопителем по I2C.", "The I2C exchange with the drive failed."),
    d(116, Exchange, "Неверный формат обмена с накопителем.", "Bad transfer format with the drive."),
    d(117, Exchange, "Неверное состояние накопителя.", "Bad state of the drive."),
    d(118, Exchange, "Неисправимая ошибка накопителя.", "Fatal error of the drive."),
    d(119, Exchange, "Ошибка криптопроцессора накопителя.", "Error of the drive's cryptoprocessor."),
    d(120, DriveLife, "Срок жизни накопителя истёк.", "The drive's life is over."),
    d(121, DriveLife, "Архив накопителя заполнен.", "The drive's archive is full."),
    d(122, Undecided, "Накопителю переданы неверные дата или время.", "The drive was given a bad date or time."),
    d(123, Undecided, "В накопителе нет таких данных.", "The drive has no such data."),
    d(124, Undecided, "Переполнен итог чека или смены.", "The total of the receipt or the shift overflowed."),
    d(125, Undecided, "Переполнен буфер накопителя.", "The drive's buffer is full."),
    d(127, Settings, "Контрольная лента требует обнуления.", "The journal must be reset."),
    d(128, Receipt, "Неверная сумма налога.", "Bad tax sum."),
    d(129, Undecided, "Налог на последнюю операцию невозможен.", "Tax on the last operation is impossible."),
    d(131, Undecided, "Сторнируемый налог больше накопленного.", "The reversed tax is above the registered one."),
    d(132, Undecided, "Низкое питание накопителя.", "The drive's power is low."),
    d(133, Undecided, "Неверные параметры команды накопителя.", "Bad parameters of a command to the drive."),
    d(134, Request, "Реквизит слишком длинный для накопителя.", "A detail is too long for the drive."),
    d(135, Undecided, "Нет транспортного соединения накопителя.", "The drive has no transport connection."),
    d(136, DriveLife, "Криптографический ресурс накопителя исчерпан.", "The drive's crypto resource is spent."),
    d(137, DriveLife, "Память документов накопителя исчерпана.", "The drive's document storage is spent."),
    d(138, Undecided, "Накопитель не принял сообщение ОФД.", "The drive refused a message of the OFD."),
    d(139, Undecided, "В накопителе есть непереданные документы.", "The drive holds unsent documents."),
    d(140, DriveLife, "Срок передачи документов в ОФД исчерпан.", "The time for handing documents to the OFD is spent."),
    d(141, Shift, "Смена накопителя длится больше 24 часов.", "The drive's shift is longer than 24 hours."),
    d(142, Undecided, "Слишком большая разница времени между операциями.", "The time between two operations differs too much."),
    d(143, Receipt, "Неверная система налогообложения.", "Wrong tax system."),
    d(144, Receipt, "Ставка налога не разрешена.", "The tax rate is not allowed."),
    d(145, Receipt, "Вид оплаты товара не разрешён.", "The payment type of the goods is not allowed."),
    d(146, Request, "Тип кода товара не разрешён.", "The type of the goods code is not allowed."),
    d(147, Receipt, "Подакцизный товар не разрешён.", "Excisable goods are not allowed."),
    d(148, Undecided, "Реквизит не удалось запрограммировать.", "A detail could not be programmed."),
    d(149, Undecided, "Неверный тип счётчика.", "Bad counter type."),
    d(154, Settings, "Неверное значение режима налогообложения.", "Bad value of the tax mode."),
    d(158, Undecided, "Реквизиты не разрешены.", "The details are not allowed."),
    d(159, Exchange, "Ошибка интерфейса накопителя.", "Error of the drive's interface."),
    d(160, Exchange, "Данные накопителю переданы повторно.", "The drive was given the same data twice."),
    d(161, Receipt, "Не указаны обязательные реквизиты.", "Required details are missing."),
    d(162, Undecided, "Документ не удалось прочитать.", "The document cannot be read."),
    d(163, Receipt, "Переполнение числа.", "A number overflowed."),
    d(165, Undecided, "Внутренняя ошибка кассы.", "Internal error of the register."),
    d(166, Undecided, "В накопителе не найдено.", "Not found in the drive."),
    d(167, Undecided, "Реквизит агента нельзя записать.", "The agent's detail cannot be written."),
    d(168, Registration, "Реквизиты 1002 и 1056 несовместимы.", "Details 1002 and 1056 clash."),
    d(169, Registration, "Реквизиты 1002 и 1017 несовместимы.", "Details 1002 and 1017 clash."),
    d(172, Registration, "Кассир не зарегистрирован.", "The cashier is not registered."),
    d(177, Exchange, "Закрытие чека прервано.", "Closing the receipt was interrupted."),
    d(178, Exchange, "Чтение документа прервано.", "Reading the document was interrupted."),
    d(179, Undecided, "Сбой часов кассы.", "The register's clock failed."),
    d(180, Undecided, "Сбой памяти кассы.", "The register's memory failed."),
    d(181, Undecided, "Сбой микросхемы кассы.", "A chip of the register failed."),
    d(183, Settings, "Неверный MAC-адрес кассы.", "Bad MAC address of the register."),
    d(188, Undecided, "Кассу нужно перезапустить.", "The register must be restarted."),
    d(189, Licence, "У кассы нет лицензии.", "The register has no licence."),
    d(190, Registration, "Неверная версия ФФД.", "Wrong FFD version."),
    d(191, Settings, "Параметр доступен только для чтения.", "The parameter is read-only."),
    d(192, Undecided, "Неверный тип кода товара.", "Bad type of the goods code."),
    d(193, Receipt, "Неверный GTIN.", "Bad GTIN."),
    d(194, Undecided, "Результат отрицательный.", "The result is negative."),
    d(195, Undecided, "Реквизиты несовместимы.", "Details clash."),
    d(196, Registration, "Кассира не удалось зарегистрировать.", "The cashier could not be registered."),
    d(197, Undecided, "Нет канала интернета.", "There is no Internet channel."),
    d(198, Undecided, "Время не синхронизировано.", "The time is not synchronised."),
    d(199, Undecided, "Ошибка контрольной ленты.", "Error of the journal."),
    d(200, Exchange, "В кассе открыт документ.", "A document is open in the register."),
    d(201, Exchange, "Документ закрыт.", "The document is closed."),
    d(203, Exchange, "Критическая ошибка, документ нужно отменить.", "Critical error, the document must be cancelled."),
    d(204, Settings, "Регистры не инициализированы.", "The registers are not initialised."),
    d(205, Undecided, "Итог не зарегистрирован.", "The total must be registered."),
    d(206, Settings, "Ошибка таблицы настроек.", "Error of the settings table."),
    d(207, Undecided, "Ошибка счётчиков и регистров.", "Error of counters and registers."),
    d(208, Undecided, "Ошибка пользовательской памяти.", "Error of the user memory."),
    d(209, Undecided, "Ошибка служебных регистров.", "Error of the service registers."),
    d(210, Settings, "Ошибка реквизитов кассы.", "Error of the register's details."),
    d(211, Settings, "Конфигурация уже обновляется.", "The configuration is being updated already."),
    d(212, Settings, "Проверка конфигурации не прошла.", "The configuration check failed."),
    d(213, Undecided, "Аппаратный канал отсутствует.", "The hardware channel is off."),
    d(214, Undecided, "У сетевого интерфейса нет адреса.", "The network interface has no address."),
    d(215, Receipt, "Реквизиты 1212 и 1030 несовместимы.", "Details 1212 and 1030 clash."),
    d(216, Receipt, "Неверный признак способа расчёта.", "Wrong payment method."),
    d(217, Receipt, "Неверный признак предмета расчёта.", "Wrong payment object."),
    d(221, Undecided, "Сетевой интерфейс занят.", "The network interface is busy."),
    d(224, DriveLife, "Архив накопителя закрыт.", "The drive's archive is closed."),
    d(225, Registration, "Нужна регистрация или перерегистрация кассы.", "The register needs registration or re-registration."),
    d(226, Settings, "Прошивка обновляется.", "The firmware is being updated."),
    d(227, Undecided, "Неверный итог чека.", "Wrong total of the receipt."),
    d(228, Receipt, "Код маркировки передан вместе с реквизитом 1162.", "A mark code was given together with detail 1162."),
    d(230, Licence, "Неверная электронная подпись.", "Bad digital signature."),
    d(231, Receipt, "Неверная сумма акциза.", "Wrong excise sum."),
    d(241, Exchange, "Соединение с кассой потеряно.", "The connection to the register was lost."),
    d(243, Receipt, "Неверная сумма налога.", "Bad tax sum."),
    d(244, Receipt, "Неверный тип кода маркировки.", "Bad type of the mark code."),
    d(245, Licence, "Лицензию не удалось сохранить.", "The licence could not be saved."),
    d(246, Licence, "Неверная подпись лицензии.", "Bad signature of the licence."),
    d(247, Licence, "Лицензия от другой кассы.", "The licence belongs to another register."),
    d(248, Licence, "Срок лицензии истёк.", "The licence has expired."),
    d(249, Undecided, "Документ отменён.", "The document was cancelled."),
    d(251, Settings, "Заголовок чека слишком длинный.", "The receipt's header is too long."),
    d(258, Exchange, "Ошибка чтения или записи кэша.", "Error of reading or writing the cache."),
    d(261, Receipt, "В чеке нет оплаты.", "The receipt has no payment."),
    d(262, Exchange, "Касса не выполнила команду вовремя.", "The register did not carry out the command in time."),
    d(263, Settings, "Фискальный режим выключен.", "The fiscal mode is off."),
    d(264, Settings, "Нет записи OTP.", "The OTP record is missing."),
    d(265, Receipt, "Подакцизный товар без акциза.", "Excisable goods without excise."),
    d(402, Exchange, "Сбой соединения с сервером.", "The connection to the server failed."),
    d(404, Undecided, "Неверный статус маркировки.", "Bad mark status."),
    d(405, Receipt, "Неверный код GS1.", "Bad GS1 code."),
    d(406, Undecided, "Маркированный товар запрещён.", "Marked goods are forbidden."),
    d(407, Undecided, "Маркированный товар временно заблокирован.", "Marked goods are blocked for now."),
    d(408, Receipt, "Слишком много кодов маркировки в чеке.", "Too many mark codes in the receipt."),
    d(409, Receipt, "Неверный код маркировки.", "Bad mark code."),
    d(410, Undecided, "Неверное состояние проверки маркировки.", "Bad state of the mark check."),
    d(411, Undecided, "Сбой обмена с ОФД или системой маркировки.", "The exchange with the OFD or the marking system failed."),
    d(412, Receipt, "Неверная единица измерения.", "Bad unit of measure."),
    d(413, Registration, "Версия ФФД этого не допускает.", "The FFD version does not allow it."),
    d(414, Registration, "Касса зарегистрирована без признака маркировки.", "The register was registered without the sign of marked goods."),
    d(418, Undecided, "Обновление ключей нужно повторить.", "The key update must be repeated."),
    d(419, Undecided, "Сбой службы обновления ключей.", "The key update service failed."),
    d(420, Undecided, "Код маркировки не проверен в накопителе.", "The mark code was not checked in the drive."),
    d(421, Undecided, "Код маркировки не проверен вовремя.", "The mark code was not checked in time."),
    d(501, Undecided, "Касса не разобрала запрос.", "The register could not parse the request."),
    d(502, Exchange, "Остановлено из-за прежних ошибок.", "Stopped because of earlier errors."),
];
