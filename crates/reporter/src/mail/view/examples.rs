//! What a layout is tried with before it is used: one day when all was well, and one with everything that can be in a mail.

use super::{CauseView, Labels, Line, Part, ProblemView, Row, Tile, Tone, View};
use crate::language::Language;

impl View {
    /// The examples.
    pub(crate) fn examples() -> [Self; 2] {
        let row = |tone| Row {
            operation: "Приход".to_owned(),
            state: "Пробит".to_owned(),
            tone,
            count: "1 247".to_owned(),
            sum: "1 558 750,00 ₽".to_owned(),
            change: "+12".to_owned(),
        };
        let well = Self {
            language: "ru",
            subject: "✔ Чеки 27.11: 1 247 пробито, 1 558 750,00 ₽".to_owned(),
            preview: "Все чеки пробиты".to_owned(),
            store: "main".to_owned(),
            title: "Чеки за 27.11.2026".to_owned(),
            bounds: "27.11.2026 00:00 – 28.11.2026 00:00, Europe/Moscow".to_owned(),
            late: String::new(),
            verdict: Line {
                tone: Tone::Good,
                mark: "✔",
                text: "Все чеки пробиты".to_owned(),
            },
            tiles: vec![Tile {
                tone: Tone::Good,
                label: "Пробито".to_owned(),
                count: "1 247".to_owned(),
                sum: "1 558 750,00 ₽".to_owned(),
                change: "+12".to_owned(),
            }],
            bar: vec![Part {
                tone: Tone::Good,
                percent: 100,
            }],
            rows: vec![row(Tone::Good)],
            total: row(Tone::Calm),
            changes: Vec::new(),
            causes: Vec::new(),
            problems: Vec::new(),
            more: String::new(),
            list_link: String::new(),
            footer: vec!["kassa".to_owned()],
            labels: Labels::of(Language::Ru),
        };
        let bad = Self {
            late: "Отчёт отправлен с опозданием".to_owned(),
            verdict: Line {
                tone: Tone::Bad,
                mark: "✖",
                text: "3 не пробиты, 4 ждут".to_owned(),
            },
            changes: vec!["26.11: пробито 10 → 12".to_owned()],
            causes: vec![CauseView {
                count: "3".to_owned(),
                sum: "3 600,00 ₽".to_owned(),
                cause: "<b>Неверный ИНН & другое</b>".to_owned(),
                cure: "Исправьте ИНН".to_owned(),
                code: "system 32".to_owned(),
                example: "000000417".to_owned(),
                link: "https://receipts.shop.example/receipts/1".to_owned(),
            }],
            problems: vec![ProblemView {
                document: "000000417".to_owned(),
                order: "100000123".to_owned(),
                operation: "Приход".to_owned(),
                state: "Не пробит".to_owned(),
                tone: Tone::Bad,
                sum: "1 200,00 ₽".to_owned(),
                accepted: "27.11.2026 12:00".to_owned(),
                cause: "<script>alert(1)</script>".to_owned(),
                link: "https://receipts.shop.example/receipts/1".to_owned(),
            }],
            more: "И ещё 7".to_owned(),
            list_link: "https://receipts.shop.example/receipts?store=main".to_owned(),
            ..well.clone()
        };
        [well, bad]
    }
}
