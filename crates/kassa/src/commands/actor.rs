//! Who acts: the user of the machine, or a name that one gives for a colleague.

use std::os::unix::fs::MetadataExt;

use clap::Args;
use ledger::Actor;

#[derive(Debug, Args)]
pub(crate) struct ActorArgs {
    /// On whose behalf, for the history; your own user name is kept beside it.
    #[arg(long = "as", value_name = "NAME", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    on_behalf_of: Option<String>,
}

impl ActorArgs {
    pub(crate) fn actor(&self, reason: Option<&str>) -> Actor {
        let user = user();
        Actor {
            name: match &self.on_behalf_of {
                Some(name) => format!("{name} (by {user})"),
                None => user,
            },
            reason: reason.map(ToOwned::to_owned),
        }
    }
}

/// The name of the user who runs this process, by the kernel's word and not by a variable that anybody can set.
fn user() -> String {
    let Ok(uid) = std::fs::metadata("/proc/self").map(|own| own.uid()) else {
        return "unknown".to_owned();
    };
    let users = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    name_of(uid, &users).unwrap_or_else(|| format!("user {uid}"))
}

fn name_of(uid: u32, users: &str) -> Option<String> {
    users.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next().filter(|name| !name.is_empty())?;
        (fields.nth(1)?.parse() == Ok(uid)).then(|| name.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_named_by_the_machines_own_list() {
        let users = "root:x:0:0:root:/root:/bin/bash\n\nmaria:x:1000:1000::/home/maria:/bin/sh\n";
        assert_eq!(name_of(1000, users).as_deref(), Some("maria"));
        assert_eq!(name_of(1, users), None);
        assert!(!user().is_empty());
    }
}
