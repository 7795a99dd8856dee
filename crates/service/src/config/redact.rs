//! Showing a configuration without its secrets.

use super::node::{Node, Origin, Step, Value, child, spell, spell_key};

const MASK: &str = "***";
const SECRET_WORDS: [&str; 8] = [
    "credential",
    "key",
    "pass",
    "passphrase",
    "passwd",
    "password",
    "secret",
    "token",
];

/// Whether a key's name says that its value is a secret: `password`, `api_key`, `client_secret`.
/// `key_file` and the like hold a path, and the path is what a reader of the configuration looks for.
fn names_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let mut words = name.split(['_', '-', '.']);
    let holds_path = matches!(name.rsplit(['_', '-', '.']).next(), Some("file" | "path" | "dir"));
    !holds_path && words.any(|word| SECRET_WORDS.contains(&word) || SECRET_WORDS.contains(&word.trim_end_matches('s')))
}

/// The text as it may be shown: all masked if its key names a secret, else without the password of a URL.
pub(super) fn masked(path: &[Step], text: &str) -> String {
    let secret = path
        .iter()
        .any(|step| matches!(step, Step::Key(key) if names_secret(key)));
    if secret && !text.is_empty() {
        MASK.to_owned()
    } else {
        masked_url(text)
    }
}

/// Works on the text, not on a parsed URL: what is refused as a URL is shown too, in the error.
fn masked_url(text: &str) -> String {
    let (scheme, rest) = text
        .split_once("//")
        .map_or(("", text), |(scheme, rest)| (&text[..scheme.len() + 2], rest));
    let rest = match rest
        .rsplit_once('@')
        .and_then(|(userinfo, host)| Some((userinfo.split_once(':')?.0, host)))
    {
        Some((user, host)) => format!("{user}:{MASK}@{host}"),
        None => rest.to_owned(),
    };
    let Some((address, query)) = rest.split_once('?') else {
        return format!("{scheme}{rest}");
    };
    let query: Vec<_> = query
        .split('&')
        .map(|pair| match pair.split_once('=') {
            Some((name, _)) if names_secret(name) || name.ends_with("password") => format!("{name}={MASK}"),
            _ => pair.to_owned(),
        })
        .collect();
    format!("{scheme}{address}?{}", query.join("&"))
}

/// Masks in `message` whatever the values at and below `path` have to hide.
pub(super) fn mask_message(root: &Node, path: &[Step], message: String) -> String {
    let Some(node) = root.get(path) else { return message };
    let mut message = message;
    node.leaves(&mut path.to_vec(), &mut |path, leaf| {
        let text = plain(&leaf.value);
        let shown = masked(path, &text);
        if shown != text {
            let escaped = format!("{text:?}");
            message = message
                .replace(escaped.trim_matches('"'), &shown)
                .replace(&text, &shown);
        }
    });
    message
}

/// The effective configuration as TOML, the source of every value behind it.
pub(super) fn render(root: &Node) -> String {
    let mut out = String::new();
    render_table(root, &mut Vec::new(), &mut out);
    out
}

fn render_table(node: &Node, path: &mut Vec<Step>, out: &mut String) {
    let Value::Table(table) = &node.value else { return };
    let is_table = |node: &Node| matches!(node.value, Value::Table(_));
    let has_values = table.values().any(|node| !is_table(node));
    if !path.is_empty() && (has_values || table.is_empty()) {
        if !out.is_empty() {
            out.push('\n');
        }
        out.push_str(&format!("[{}]\n", spell(path)));
    }
    for (key, node) in table.iter().filter(|(_, node)| !is_table(node)) {
        let value = render_value(node, &child(path, key));
        out.push_str(&format!("{} = {value}  # {}\n", spell_key(key), comment(&node.origin)));
    }
    for (key, node) in table.iter().filter(|(_, node)| is_table(node)) {
        path.push(Step::Key(key.clone()));
        render_table(node, path, out);
        path.pop();
    }
}

/// A path may hold anything, a line break too, and must not end the comment it stands in.
fn comment(origin: &Origin) -> String {
    origin
        .to_string()
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

fn render_value(node: &Node, path: &[Step]) -> String {
    match &node.value {
        Value::List(list) => {
            let items: Vec<_> = list.iter().map(|node| render_value(node, path)).collect();
            format!("[{}]", items.join(", "))
        }
        Value::Table(table) => {
            let pairs: Vec<_> = table
                .iter()
                .map(|(key, node)| format!("{} = {}", spell_key(key), render_value(node, &child(path, key))))
                .collect();
            format!("{{ {} }}", pairs.join(", "))
        }
        Value::Text(text) => toml::Value::String(masked(path, text)).to_string(),
        Value::Integer(_) | Value::Float(_) | Value::Boolean(_) => {
            let shown = masked(path, MASK_PROBE);
            if shown == MASK_PROBE {
                plain(&node.value)
            } else {
                toml::Value::String(shown).to_string()
            }
        }
    }
}

/// Any text without a URL in it: it comes back changed only if the key names a secret.
const MASK_PROBE: &str = "value";

fn plain(value: &Value) -> String {
    match value {
        Value::Text(text) => text.clone(),
        Value::Integer(number) => number.to_string(),
        Value::Float(number) => toml::Value::Float(*number).to_string(),
        Value::Boolean(value) => value.to_string(),
        Value::Table(_) | Value::List(_) => String::new(),
    }
}
