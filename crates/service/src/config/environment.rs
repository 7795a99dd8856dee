//! The environment as the highest layer.

use super::fault::Fault;
use super::node::{Node, Origin, Step, Value, child, spell};
use super::reading;

/// What the names of our variables begin with.
pub(super) const PREFIX: &str = "KASSA_";
const ALIASES: [(&str, [&str; 2]); 2] = [("DATABASE_URL", ["database", "url"]), ("AMQP_URL", ["broker", "url"])];
/// Read before any key is, so no key itself.
const RESERVED: [&str; 1] = ["KASSA_CONFIG"];

/// The variable that sets the key at `path`.
pub(super) fn variable(path: &[Step]) -> String {
    let names: Vec<_> = path
        .iter()
        .filter_map(|step| match step {
            Step::Key(key) => Some(key.to_ascii_uppercase()),
            Step::Index(_) => None,
        })
        .collect();
    format!("{PREFIX}{}", names.join("__"))
}

/// Puts the variables over the lower layers in `root`, the aliases first.
pub(super) fn overlay(root: &mut Node, variables: &[(String, String)], ignored: &[String], faults: &mut Vec<Fault>) {
    for (alias, path) in ALIASES {
        if let Some((_, text)) = variables.iter().find(|(name, text)| name == alias && !text.is_empty()) {
            set(root, &path.map(str::to_owned), alias, text, faults);
        }
    }
    let mut ours: Vec<_> = variables
        .iter()
        .filter(|(name, text)| name.starts_with(PREFIX) && !is_service_link(name, text))
        .filter(|(name, _)| !RESERVED.contains(&name.as_str()) && !ignored.contains(name))
        .collect();
    ours.sort();
    for (name, text) in ours {
        let keys: Vec<_> = name[PREFIX.len()..].split("__").map(str::to_ascii_lowercase).collect();
        if keys.iter().any(String::is_empty) {
            let message = "names no key; two underscores stand between a section and its key".to_owned();
            faults.push(Fault::new("", Some(name.clone()), message));
        } else {
            set(root, &keys, name, text, faults);
        }
    }
}

fn set(root: &mut Node, keys: &[String], name: &str, text: &str, faults: &mut Vec<Fault>) {
    let mut node = root;
    let mut path = Vec::new();
    for (depth, key) in keys.iter().enumerate() {
        if !matches!(node.value, Value::Table(_)) {
            if let Some(rival) = node.origin.variable() {
                let message = format!("{rival} sets a value where {name} needs a section");
                faults.push(Fault::new(spell(&path), None, message));
                return;
            }
            let lower = std::mem::replace(node, Node::empty_table(Origin::Variable(name.to_owned())));
            node.beneath = Some(Box::new(lower));
        }
        let Value::Table(table) = &mut node.value else { return };
        // Store and account names may hold a dash, names of variables often cannot.
        let dashed = key.replace('_', "-");
        let key = if !table.contains_key(key) && table.contains_key(&dashed) {
            dashed
        } else {
            key.clone()
        };
        path = child(&path, &key);
        if depth + 1 < keys.len() {
            node = table
                .entry(key)
                .or_insert_with(|| Node::empty_table(Origin::Variable(name.to_owned())));
            continue;
        }
        let value = reading::from_environment(text.to_owned(), Origin::Variable(name.to_owned()));
        match table.get_mut(&key) {
            Some(below) => match below.origin.variable().filter(|rival| rival.starts_with(PREFIX)) {
                Some(rival) => {
                    let message = format!("is set by both {rival} and {name}; keep one");
                    faults.push(Fault::new(spell(&path), None, message));
                }
                None => below.overlay(value),
            },
            None => {
                table.insert(key, value);
            }
        }
        return;
    }
}

/// Kubernetes gives every pod `KASSA_HTTP_SERVICE_HOST`, `KASSA_HTTP_PORT=tcp://…` and more for a service `kassa-http`.
/// Nobody wrote them, so they must not stop the start as unknown keys.
fn is_service_link(name: &str, text: &str) -> bool {
    let docker_style = |at: usize| {
        let mut parts = name[at + "_PORT_".len()..].split('_');
        parts
            .next()
            .is_some_and(|port| !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()))
            && matches!(parts.next(), Some("TCP" | "UDP" | "SCTP"))
    };
    let service_port = name == "KASSA_PORT" || name.ends_with("_PORT");
    !name.contains("__")
        && (name.ends_with("_SERVICE_HOST")
            || name.ends_with("_SERVICE_PORT")
            || name.contains("_SERVICE_PORT_")
            || service_port
                && ["tcp://", "udp://", "sctp://"]
                    .iter()
                    .any(|scheme| text.starts_with(scheme))
            || name.match_indices("_PORT_").any(|(at, _)| docker_style(at)))
}
