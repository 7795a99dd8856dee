//! The table itself: every code that the service and its registers are documented to give, one line each.
//!
//! Numbers, meanings and what the service keeps: manual 3.2.0. The class letters are our reading of them: V the request is
//! wrong, T passes, M the state of money or shift, D people must see to the register. Where a register gives up in the
//! middle (3, 4, 57, 255: failing drive, failing board) the document may exist, so these are repeated like the silent
//! board (249, 250), as long as the register remembers, and do not merely halt the account. The texts are ours.
//!
//! Whatever a register answers that leaves a doubt is not kept by the service (manual, "cached"), so only the register
//! that answered knows the id afterwards, for an hour: such codes have the memory of the device, 50 minutes for us. Past
//! them a person looks, because nobody would recognise the repetition. A printer that fails (80, 200, 253, 254), the line
//! to the OFD (17) and the state of shift and receipt (22 to 32, 60, 61, 74, 85, 114, 115, 240) are no exception: the
//! answer does not say which step of the composite command it is about.
//!
//! 19 halts the account and leaves a doubt too: the service may have failed before it asked a register or after the
//! document was closed, and of its own memory nothing is known from then on. Other receipts that are in doubt are not sent
//! to find out whether it works again.
//!
//! 70 is the one code of class M that comes before anything is opened: a register counts the cash of its drawer before it
//! begins, and a refund that waits for cash is no doubt.

use super::{Code, Kind, Memory, Proof, Repeats, Verdict};

const MANUAL: &str = "manual 3.2.0, register's codes";
const MODULE: &str = "manual 3.2.0, register's codes; repeated under the same id by mygento/kkm 2.4";
const CLOUD: &str = "manual 3.2.0, FCE codes";

const CORRECT: [&str; 2] = [
    "Исправьте данные чека и отправьте его заново; прежний номер запроса больше не годится, чек уйдёт под следующим.",
    "Correct the receipt's data and send it again; the old request id is spent, the receipt goes out under the next one.",
];
const WAIT: [&str; 2] = [
    "Повторяется само под тем же номером; если не проходит, сообщите код в поддержку «Чек Онлайн».",
    "It is repeated by itself under the same id; if it lasts, give the code to CheckOnline's support.",
];
const WATCH: [&str; 2] = [
    "Повторяется само под тем же номером, пока касса его помнит (час); если не пройдёт, найдите чек в личном кабинете или у ОФД.",
    "It is repeated by itself under the same id while the register remembers it (an hour); if it fails, look the receipt up in the cabinet or at the OFD.",
];
const STATE: [&str; 2] = [
    "Повторяется само под тем же номером, пока касса его помнит (час); если не проходит, проверьте смену и деньги в кассе.",
    "It is repeated by itself under the same id while the register remembers it (an hour); if it lasts, check the register's shift and its money.",
];
const REGISTER: [&str; 2] = [
    "Обратитесь в поддержку «Чек Онлайн»: касса или её накопитель требуют внимания; чеки ждут и уйдут сами.",
    "Call CheckOnline's support: the register or its fiscal drive needs attention; the receipts wait and go out by themselves.",
];
const GROUP: [&str; 2] = [
    "Если не проходит само: проверьте в личном кабинете «Чек Онлайн», что касса активна и что group и сертификат (cert_file) в настройках счёта — той же организации; чеки ждут и уйдут сами.",
    "If it does not pass by itself: check in CheckOnline's cabinet that the register is active, and that group and the certificate (cert_file) in the account's settings are the same enterprise's; the receipts wait and go out by themselves.",
];
const ACCOUNT: [&str; 2] = [
    "Проверьте настройки счёта и личный кабинет «Чек Онлайн»; чеки ждут и уйдут сами.",
    "Check the account's settings and CheckOnline's cabinet; the receipts wait and go out by themselves.",
];
const SUPPORT: [&str; 2] = [
    "Сообщите код в поддержку «Чек Онлайн»: отправка остановлена, чеки ждут и уйдут сами.",
    "Give the code to CheckOnline's support: sending has stopped, the receipts wait and go out by themselves.",
];
const LOOK: [&str; 2] = [
    "Найдите чек в личном кабинете или у ОФД и запишите, зарегистрирован ли он; сам он не повторится.",
    "Look the receipt up in the cabinet or at the OFD and record whether it is registered; it is not repeated by itself.",
];
const REPORT_KASSA: [&str; 2] = [
    "Это ошибка kassa: сообщите о ней вместе с кодом.",
    "This is a fault of kassa: report it with the code.",
];

const fn device(code: i64, verdict: Verdict, cause: [&'static str; 2], cure: [&'static str; 2]) -> Code {
    Code {
        kind: Kind::Device,
        code,
        verdict,
        contradicted: None,
        proves: match verdict {
            Verdict::Permanent => Proof::NotRegistered,
            Verdict::NotSeen | Verdict::MaybeSeen | Verdict::Running | Verdict::Halt { .. } | Verdict::Unknown => {
                Proof::Nothing
            }
        },
        memory: Memory::Service,
        repeats: Repeats::No,
        cause,
        cure,
        source: MANUAL,
    }
}

/// V, and the service keeps the answer.
const fn spent(code: i64, ru: &'static str, en: &'static str) -> Code {
    Code {
        repeats: Repeats::Yes,
        ..device(code, Verdict::Permanent, [ru, en], CORRECT)
    }
}

/// V, and a repetition would be carried out.
const fn wrong(code: i64, ru: &'static str, en: &'static str) -> Code {
    device(code, Verdict::Permanent, [ru, en], CORRECT)
}

/// T, as the module had it: the printer or the line to the OFD may fail after the document was closed.
const fn passes(code: i64, ru: &'static str, en: &'static str) -> Code {
    Code {
        source: MODULE,
        ..midway(code, ru, en)
    }
}

/// The register may have given up after the drive took the document.
const fn midway(code: i64, ru: &'static str, en: &'static str) -> Code {
    Code {
        memory: Memory::Device,
        ..device(code, Verdict::MaybeSeen, [ru, en], WATCH)
    }
}

/// M: the composite command stopped at a step that may have been the last one.
const fn state(code: i64, ru: &'static str, en: &'static str) -> Code {
    Code {
        cure: STATE,
        ..midway(code, ru, en)
    }
}

/// D.
const fn people(code: i64, ru: &'static str, en: &'static str) -> Code {
    device(code, Verdict::Halt { certain: false }, [ru, en], REGISTER)
}

const fn cloud(code: i64, verdict: Verdict, cause: [&'static str; 2], cure: [&'static str; 2]) -> Code {
    Code {
        kind: Kind::Cloud,
        source: CLOUD,
        ..device(code, verdict, cause, cure)
    }
}

/// A request that the service cannot make sense of: no register was asked.
const fn malformed(code: i64, ru: &'static str, en: &'static str) -> Code {
    Code {
        contradicted: Some((false, Verdict::MaybeSeen)),
        ..cloud(code, Verdict::Permanent, [ru, en], REPORT_KASSA)
    }
}

/// No register could be had for the request.
const fn no_register(code: i64, ru: &'static str, en: &'static str) -> Code {
    Code {
        contradicted: Some((true, Verdict::Halt { certain: false })),
        ..cloud(code, Verdict::NotSeen, [ru, en], WAIT)
    }
}

const fn set_up(code: i64, ru: &'static str, en: &'static str) -> Code {
    cloud(code, Verdict::Halt { certain: false }, [ru, en], ACCOUNT)
}

/// Every documented code. Looked up by who answered and the code, never by the code alone.
#[rustfmt::skip]
pub(super) const TABLE: &[Code] = &[
    people(1, "Накопитель: неизвестная команда.", "The fiscal drive does not know the command."),
    people(2, "Накопитель не в том состоянии для этой команды.", "The fiscal drive is in the wrong state for the command."),
    midway(3, "Отказ фискального накопителя.", "The fiscal drive failed."),
    midway(4, "Ошибка контрольной суммы накопителя.", "The fiscal drive's checksum is wrong."),
    people(5, "Истёк срок жизни фискального накопителя.", "The fiscal drive's life is over."),
    people(6, "Архив фискального накопителя переполнен.", "The fiscal drive's archive is full."),
    people(7, "Дата и время расходятся с накопителем.", "Date and time contradict the fiscal drive."),
    people(8, "В архиве накопителя нет данных.", "The data are not in the fiscal drive's archive."),
    wrong(9, "Неверные параметры для накопителя.", "The fiscal drive refuses the parameters."),
    wrong(16, "Данные чека слишком велики для накопителя.", "The receipt is too large for the fiscal drive."),
    passes(17, "Нет связи кассы с ОФД.", "The register has no connection to the OFD."),
    people(18, "Исчерпан ресурс криптографии накопителя.", "The fiscal drive's cryptography is used up."),
    people(20, "В накопителе нет места для документов, ждущих ОФД.", "The fiscal drive has no room for documents that wait for the OFD."),
    people(21, "Документы ждут отправки в ОФД больше 30 дней.", "Documents have waited for the OFD for more than 30 days."),
    state(22, "Смена длится больше 24 часов.", "The shift has lasted more than 24 hours."),
    state(23, "Между операциями прошло больше пяти минут.", "More than five minutes lie between two operations."),
    state(32, "Сообщение ОФД не принято.", "The OFD's message was not accepted."),
    people(40, "Касса требует перерегистрации.", "The register must be registered anew."),
    people(41, "Касса требует перерегистрации.", "The register must be registered anew."),
    spent(51, "Касса считает неверным один из параметров чека.", "The register calls a parameter of the receipt wrong."),
    spent(52, "В чеке не хватает данных.", "The receipt lacks data."),
    spent(55, "Касса не умеет такую команду.", "The register does not have the command."),
    midway(57, "Внутренний сбой кассы.", "The register failed inside."),
    state(60, "Смена уже открыта.", "The shift is open already."),
    state(61, "Смена не открыта.", "The shift is not open."),
    spent(69, "Оплаты меньше суммы чека.", "The payments are below the total."),
    device(70, Verdict::NotSeen, ["В кассе не хватает наличных для возврата.", "The drawer has not enough cash for the refund."], [
        "Повторяется само под тем же номером: внесите в кассу наличные или дождитесь продаж за наличные.",
        "It is repeated by itself under the same id: put cash into the register or wait for sales in cash.",
    ]),
    spent(73, "Вид документа не годится для команды.", "The document type does not fit the command."),
    state(74, "В кассе открыт другой чек.", "Another receipt is open in the register."),
    spent(77, "Безналичных оплат больше суммы чека.", "The electronic payments are above the total."),
    device(79, Verdict::Halt { certain: false }, ["Неверный пароль кассира.", "The cashier's password is wrong."], [
        "Исправьте cashier_number в настройках счёта; чеки ждут и уйдут сами.",
        "Correct cashier_number in the account's settings; the receipts wait and go out by themselves.",
    ]),
    passes(80, "Касса печатает.", "The register is printing."),
    state(85, "Чек в кассе уже закрыт.", "The receipt is closed already."),
    wrong(90, "Скидка больше суммы строки.", "A discount is above its line's sum."),
    spent(94, "Неверная команда.", "The command is wrong."),
    wrong(95, "Сторно больше суммы.", "A storno is above the total."),
    wrong(109, "Не хватает оборота по налогу.", "The tax turnover is too small."),
    state(114, "Команда невозможна в этом режиме кассы.", "The command is not allowed in this mode of the register."),
    state(115, "Команда невозможна в этом состоянии кассы.", "The command is not allowed in this state of the register."),
    people(124, "Неверная дата в кассе.", "The register's date is wrong."),
    people(125, "Дата в кассе не читается.", "The register's date cannot be read."),
    spent(142, "Сумма чека равна нулю.", "The total is zero."),
    people(192, "Касса ждёт подтверждения даты.", "The register waits for its date to be confirmed."),
    people(196, "Номер смены в накопителе и кассе разный.", "Fiscal drive and register disagree about the shift's number."),
    passes(200, "Принтер не ответил вовремя.", "The printer did not answer in time."),
    people(207, "Неверные дата и время кассы.", "The register's date and time are wrong."),
    spent(208, "В чеке нет строк.", "The receipt has no lines."),
    Code { cure: GROUP, ..people(238, "Касса принадлежит другой группе.", "The register belongs to another group.") },
    device(239, Verdict::Halt { certain: false }, ["Срок аренды кассы истёк.", "The register's rental has expired."], [
        "Оплатите аренду кассы в личном кабинете «Чек Онлайн»; чеки ждут и уйдут сами.",
        "Pay the register's rental in CheckOnline's cabinet; the receipts wait and go out by themselves.",
    ]),
    state(240, "Составная команда не выполнена.", "The composite command failed."),
    spent(241, "Неизвестная команда в пакете.", "The batch has an unknown command."),
    spent(242, "Пустой запрос.", "The request is empty."),
    spent(243, "Нет номера запроса.", "The request id is missing."),
    spent(244, "Запрос не разобран как JSON.", "The request could not be read as JSON."),
    spent(245, "Нет номера запроса.", "The request id is missing."),
    spent(246, "Запрос не разобран как JSON.", "The request could not be read as JSON."),
    people(247, "Такой смены нет.", "There is no such shift."),
    people(248, "Параметры регистрации кассы изменились.", "The register's registration has changed."),
    passes(249, "Сбой связи с архивом накопителя.", "The connection to the fiscal drive's archive failed."),
    passes(250, "Главная плата кассы не отвечает.", "The register's main board does not answer."),
    people(252, "Контрольная сумма файла кассы неверна.", "A file of the register has a wrong checksum."),
    passes(253, "Сбой принтера кассы.", "The register's printer failed."),
    passes(254, "Принтер кассы не на связи.", "The register's printer is offline."),
    midway(255, "Неустранимый сбой кассы.", "The register failed fatally."),

    malformed(1, "Сервис не смог прочитать запрос.", "The service could not read the request."),
    malformed(2, "Сервис не понял JSON запроса.", "The service did not understand the request's JSON."),
    malformed(3, "В запросе не названа касса.", "The request names no register."),
    malformed(4, "В запросе нет стратегии выбора кассы.", "The request has no strategy to choose a register."),
    Code { cure: GROUP, ..no_register(5, "Свободной подходящей кассы не нашлось.", "There was no suitable register.") },
    Code {
        repeats: Repeats::Yes,
        ..cloud(6, Verdict::Unknown, [
            "Обмен с выбранной кассой сорвался: пробит ли чек, неизвестно.",
            "The exchange with the chosen register broke off: whether the receipt is registered is not known.",
        ], LOOK)
    },
    malformed(7, "Выбор кассы сервисом не годится для этой команды.", "The command does not let the service choose the register."),
    set_up(8, "Неверное имя кассы.", "The register's name is wrong."),
    set_up(9, "Неверный адрес кассы.", "The register's address is wrong."),
    set_up(10, "Неверное имя или адрес кассы.", "The register's name or address is wrong."),
    set_up(12, "Касса не активирована.", "The register is not activated."),
    set_up(13, "Касса не активирована.", "The register is not activated."),
    set_up(14, "Касса не активирована.", "The register is not activated."),
    set_up(15, "Неверный пароль кассы в сервисе.", "The service has a wrong password for the register."),
    cloud(16, Verdict::Unknown, [
        "Касса ответила непонятно и отключена: пробит ли чек, неизвестно.",
        "The register answered nonsense and was switched off: whether the receipt is registered is not known.",
    ], LOOK),
    malformed(17, "Нет номера запроса.", "The request id is missing."),
    no_register(18, "Касса занята дольше, чем ждёт сервис.", "The register was busy longer than the service waits."),
    Code {
        memory: Memory::Device,
        ..cloud(19, Verdict::Halt { certain: true }, [
            "Сбой памяти сервиса: он может не узнать повторный запрос.",
            "The service's memory failed: it may not recognise a repetition.",
        ], SUPPORT)
    },
    cloud(20, Verdict::Halt { certain: true }, ["Сбой очереди сервиса.", "The service's queue failed."], SUPPORT),
    malformed(21, "Обратный вызов невозможен для этой команды.", "The command allows no callback."),
    cloud(24, Verdict::Running, [
        "Прежний запрос с этим номером ещё выполняется.",
        "The earlier request with this id is still being carried out.",
    ], WAIT),
];
