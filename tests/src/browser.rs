//! A real browser, which shows the HTML of a mail.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, ensure};
use serde::Deserialize;

const LIMIT: Duration = Duration::from_secs(60);
const NARROWEST_WINDOW: u32 = 500;

/// Light or dark, as a person has set it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// Dark on light.
    Light,
    /// Light on dark.
    Dark,
}

/// What the browser says of a page.
#[derive(Debug, Clone, Deserialize)]
pub struct Seen {
    /// Whether the page was told that the person likes it dark.
    pub dark: bool,
    /// Width of the window.
    pub window: u32,
    /// Width of what is in it.
    pub content: u32,
    /// Everything that can be read, as it is shown.
    pub text: String,
    /// The lowest contrast of a text with its ground, times 100.
    pub contrast: u32,
    /// The text that has it.
    pub faintest: String,
    /// What the page wanted to fetch.
    pub fetched: Vec<String>,
    /// The colour of the page.
    pub ground: String,
}

/// Runs in the page and leaves what it finds in an attribute. Mails have no scripts; this one is the test's.
const PROBE: &str = r#"<script>
addEventListener('load', () => {
  const rgba = text => (text.match(/[\d.]+/g) || [0, 0, 0, 0]).map(Number);
  const light = colour => {
    const [r, g, b] = rgba(colour).map(v => v / 255).map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ground = element => {
    for (let e = element; e; e = e.parentElement) {
      const colour = getComputedStyle(e).backgroundColor, parts = rgba(colour);
      if (parts.length < 4 || parts[3] > 0) return colour;
    }
    return matchMedia('(prefers-color-scheme: dark)').matches ? 'rgb(18, 18, 18)' : 'rgb(255, 255, 255)';
  };
  let contrast = 2100, faintest = '';
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    const element = node.parentElement, words = node.textContent.trim();
    if (!words || ['SCRIPT', 'STYLE'].includes(element.tagName) || element.getClientRects().length === 0) continue;
    if (getComputedStyle(element).fontSize === '1px') continue;
    const [a, b] = [light(getComputedStyle(element).color), light(ground(element))];
    const ratio = Math.floor(100 * (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05));
    if (ratio < contrast) { contrast = ratio; faintest = words; }
  }
  parent.document.documentElement.setAttribute('data-seen', encodeURIComponent(JSON.stringify({
    dark: matchMedia('(prefers-color-scheme: dark)').matches,
    window: innerWidth,
    content: Math.max(document.documentElement.scrollWidth, document.body.scrollWidth),
    text: document.body.innerText,
    contrast, faintest,
    fetched: performance.getEntriesByType('resource').map(entry => entry.name),
    ground: ground(document.body.firstElementChild || document.body),
  })));
});
</script>"#;

/// Shows `html` and leaves a picture of it at `picture`.
///
/// # Errors
/// When there is no Chromium, or it fails.
pub async fn show(html: &str, scheme: Scheme, width: u32, height: u32, picture: &Path) -> anyhow::Result<Seen> {
    let folder = picture.parent().context("a folder")?.join(format!(
        "browser-{}",
        picture.file_stem().and_then(|name| name.to_str()).context("a name")?
    ));
    std::fs::create_dir_all(&folder)?;
    let (page, probed) = (folder.join("page.html"), folder.join("probed.html"));
    std::fs::write(&page, framed(html, width, height))?;
    let with_probe = html.replacen("</body>", &format!("{PROBE}</body>"), 1);
    std::fs::write(&probed, framed(&with_probe, width, height))?;
    let size = format!("--window-size={width},{height}");
    let shot = format!("--screenshot={}", picture.display());
    run(&folder, scheme, &[&size, "--hide-scrollbars", &shot], &page).await?;
    ensure!(picture.exists(), "Chromium made no picture");
    let dom = run(&folder, scheme, &[&size, "--hide-scrollbars", "--dump-dom"], &probed).await?;
    let seen = dom
        .split_once("data-seen=\"")
        .and_then(|(_, rest)| rest.split_once('"'))
        .map(|(seen, _)| seen)
        .context("the probe has not run in the page")?;
    Ok(serde_json::from_slice(&decoded(seen))?)
}

/// Narrower than a window of Chromium may be, as on a phone, a page is shown in a frame of its width.
fn framed(html: &str, width: u32, height: u32) -> String {
    if width >= NARROWEST_WINDOW {
        return html.to_owned();
    }
    let quoted = html.replace('&', "&amp;").replace('"', "&quot;");
    format!(
        "<!doctype html><html><body style=\"margin:0\"><iframe style=\"border:0;width:{width}px;height:{height}px\" \
         srcdoc=\"{quoted}\"></iframe></body></html>"
    )
}

/// Undoes `encodeURIComponent`.
fn decoded(text: &str) -> Vec<u8> {
    let bytes = text.as_bytes();
    let (mut out, mut at) = (Vec::with_capacity(bytes.len()), 0);
    while let Some(&byte) = bytes.get(at) {
        let hex = (byte == b'%').then(|| text.get(at + 1..at + 3)).flatten();
        match hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(value) => {
                out.push(value);
                at += 3;
            }
            None => {
                out.push(byte);
                at += 1;
            }
        }
    }
    out
}

async fn run(folder: &Path, scheme: Scheme, arguments: &[&str], page: &Path) -> anyhow::Result<String> {
    let mut chromium = tokio::process::Command::new(program()?);
    chromium.args([
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--disable-dev-shm-usage",
    ]);
    // Blink's own number for dark is 0 and for light 1.
    chromium.arg(match scheme {
        Scheme::Light => "--blink-settings=preferredColorScheme=1",
        Scheme::Dark => "--blink-settings=preferredColorScheme=0",
    });
    chromium
        .arg(format!("--user-data-dir={}", folder.join("profile").display()))
        .args(arguments)
        .arg(format!("file://{}", page.display()))
        .kill_on_drop(true);
    let output = tokio::time::timeout(LIMIT, chromium.output()).await??;
    ensure!(
        output.status.success(),
        "Chromium failed: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn program() -> anyhow::Result<PathBuf> {
    let candidates = [
        "/usr/bin/chromium",
        "/usr/bin/chromium-browser",
        "/usr/bin/google-chrome",
    ];
    let found = candidates.into_iter().map(PathBuf::from).find(|path| path.exists());
    found.context("this test shows a mail in a browser: apt-get install chromium")
}
