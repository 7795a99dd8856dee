//! How mails look: MJML with the holes of a template, so that ops may change it without building anything.

use std::path::{Path, PathBuf};

use minijinja::{AutoEscape, Environment, UndefinedBehavior};
use serde::Serialize;

use crate::mail::view::View;

const REPORT: &str = include_str!("../../layout/report.mjml");
const ALERT: &str = include_str!("../../layout/alert.mjml");

/// Why a layout cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LayoutError {
    /// The file cannot be read.
    #[error("{} cannot be read", .0.display())]
    Unreadable(PathBuf, #[source] std::io::Error),
    /// The template is none, or has holes that nothing fills.
    #[error("the template cannot be filled")]
    Template(#[source] minijinja::Error),
    /// What came out of it is no MJML.
    #[error("the filled template is not MJML: {0}")]
    Parse(String),
    /// The MJML cannot become HTML.
    #[error("the MJML cannot be rendered: {0}")]
    Render(String),
}

/// A layout, ready to be filled.
#[derive(Debug, Clone)]
pub(crate) struct Layout {
    environment: Environment<'static>,
}

impl Layout {
    /// The layout of a file, or the built-in one, after it was filled with an example.
    ///
    /// # Errors
    /// What is wrong with the file.
    pub(crate) fn of(file: Option<&Path>) -> Result<Self, LayoutError> {
        let source = match file {
            None => REPORT.to_owned(),
            Some(path) => {
                std::fs::read_to_string(path).map_err(|error| LayoutError::Unreadable(path.to_owned(), error))?
            }
        };
        let layout = Self::compile(source)?;
        for example in View::examples() {
            layout.fill(&example)?;
        }
        Ok(layout)
    }

    /// The built-in layout of alerts.
    ///
    /// # Errors
    /// None, as a test says.
    pub(crate) fn of_alerts() -> Result<Self, LayoutError> {
        Self::compile(ALERT.to_owned())
    }

    fn compile(source: String) -> Result<Self, LayoutError> {
        let mut environment = Environment::new();
        // Whatever a vendor or a shop has written comes out as text and never as a tag.
        environment.set_auto_escape_callback(|_| AutoEscape::Html);
        // A misspelt hole would otherwise be an empty place that nobody notices.
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment
            .add_template_owned("mail", source)
            .map_err(LayoutError::Template)?;
        Ok(Self { environment })
    }

    /// The HTML of a mail.
    ///
    /// # Errors
    /// When a hole has no value, or the result is no MJML.
    pub(crate) fn fill<T: Serialize>(&self, view: &T) -> Result<String, LayoutError> {
        let template = self.environment.get_template("mail").map_err(LayoutError::Template)?;
        let source = template
            .render(minijinja::value::Serde(view))
            .map_err(LayoutError::Template)?;
        let parsed = mrml::parse(&source).map_err(|error| LayoutError::Parse(error.to_string()))?;
        let options = mrml::prelude::render::RenderOptions {
            // No mail of ours fetches anything.
            fonts: std::collections::HashMap::new(),
            ..mrml::prelude::render::RenderOptions::default()
        };
        parsed
            .element
            .render(&options)
            .map_err(|error| LayoutError::Render(error.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    /// A layout file with this content.
    fn file(content: &str) -> (std::path::PathBuf, Result<Layout, LayoutError>) {
        let path = std::env::temp_dir().join(format!("kassa-layout-{}.mjml", uuid::Uuid::new_v4().simple()));
        let mut file = std::fs::File::create(&path).expect("a file");
        file.write_all(content.as_bytes()).expect("written");
        let layout = Layout::of(Some(&path));
        (path, layout)
    }

    #[test]
    fn the_built_in_layout_shows_whatever_a_vendor_writes_as_text() {
        let layout = Layout::of(None).expect("the built-in layout can be used");
        let [_, bad] = View::examples();
        let html = layout.fill(&bad).expect("it can be filled");
        assert!(html.contains("&lt;script&gt;alert(1)&lt;"), "{html}");
        assert!(html.contains("&lt;b&gt;Неверный ИНН &amp; другое"), "{html}");
        assert!(!html.contains("<script") && !html.contains("<img"), "{html}");
        assert!(!html.contains("fonts.googleapis"), "nothing is fetched");
        assert!(html.contains("<!--[if mso"), "Outlook is given tables of a fixed width");
    }

    #[test]
    fn a_layout_of_ops_is_used_and_a_broken_one_says_what_is_wrong() {
        let body = |text: &str| {
            format!(
                "<mjml><mj-body><mj-section><mj-column><mj-text>{text}</mj-text></mj-column></mj-section></mj-body></mjml>"
            )
        };
        let (path, layout) = file(&body("{{ title }}: {{ verdict.text }}"));
        let [well, _] = View::examples();
        let html = layout.expect("it can be used").fill(&well).expect("it can be filled");
        assert!(html.contains("Чеки за 27.11.2026: Все чеки пробиты"), "{html}");
        std::fs::remove_file(path).expect("removed");

        for (content, word) in [
            (body("{{ titel }}"), "undefined"),
            (body("{% if title %}"), "template"),
            ("<html></html>".to_owned(), "MJML"),
        ] {
            let (path, layout) = file(&content);
            let error = service::error::chain(&layout.expect_err("it cannot be used"));
            assert!(error.contains(word), "{word} in {error}");
            std::fs::remove_file(path).expect("removed");
        }
        let missing = Layout::of(Some(Path::new("/nowhere/report.mjml"))).expect_err("there is no such file");
        assert!(matches!(missing, LayoutError::Unreadable(..)));
    }

    #[test]
    fn the_longest_possible_report_stays_below_what_mail_programs_show() {
        let [_, bad] = View::examples();
        let long = |most: usize| "Неверный ".chars().cycle().take(most).collect::<String>();
        let mut longest = bad.clone();
        longest.problems = bad.problems.iter().cycle().take(50).cloned().collect();
        for problem in &mut longest.problems {
            problem.cause = long(160);
            problem.document = "0".repeat(24);
            problem.order = "1".repeat(40);
            problem.link = format!("https://receipts.shop.example/receipts/{}", uuid::Uuid::nil());
        }
        longest.causes = bad.causes.iter().cycle().take(12).cloned().collect();
        for cause in &mut longest.causes {
            (cause.cause, cause.cure) = (long(320), long(320));
        }
        let html = Layout::of(None).expect("a layout").fill(&longest).expect("filled");
        assert!(html.len() < 90_000, "{} bytes", html.len());
    }

    /// WCAG's contrast of every pair that the layout uses, light and dark.
    #[test]
    fn every_text_can_be_read_on_its_ground() {
        let pairs = [
            ("1c2230", "ffffff"),
            ("59616f", "ffffff"),
            ("59616f", "f5f6f9"),
            ("1d4ed8", "ffffff"),
            ("ffffff", "1d4ed8"),
            ("0f6b36", "ffffff"),
            ("0f6b36", "f5f6f9"),
            ("8a4b00", "f5f6f9"),
            ("b3141f", "f5f6f9"),
            ("0b5a2c", "e4f5ea"),
            ("7a4200", "fdf1d8"),
            ("9c0f1a", "fde8e8"),
            ("1b3a7a", "e8effd"),
            ("eceff4", "1a1e27"),
            ("a9b2c1", "1a1e27"),
            ("a9b2c1", "232936"),
            ("8ab4ff", "1a1e27"),
            ("6fd99a", "232936"),
            ("f5c35b", "232936"),
            ("ff9a9a", "232936"),
            ("b7f0cd", "123a24"),
            ("ffdf9c", "3d2e0c"),
            ("ffd0d0", "47191d"),
            ("d3e1ff", "1b2a4a"),
        ];
        for (text, ground) in pairs {
            assert!(
                REPORT.contains(text) && REPORT.contains(ground),
                "{text} on {ground} is not used any more"
            );
            let ratio = contrast(text, ground);
            assert!(ratio >= 450, "{text} on {ground} has only {ratio}/100");
        }
    }

    /// Times 100.
    #[expect(
        clippy::float_arithmetic,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "as WCAG has it"
    )]
    fn contrast(one: &str, other: &str) -> u32 {
        let luminance = |colour: &str| {
            let part = |at: usize| {
                let value = f64::from(u8::from_str_radix(&colour[at..at + 2], 16).expect("hexadecimal")) / 255.0;
                if value <= 0.040_45 {
                    value / 12.92
                } else {
                    ((value + 0.055) / 1.055).powf(2.4)
                }
            };
            0.2126 * part(0) + 0.7152 * part(2) + 0.0722 * part(4)
        };
        let (one, other) = (luminance(one), luminance(other));
        ((one.max(other) + 0.05) / (one.min(other) + 0.05) * 100.0) as u32
    }
}
